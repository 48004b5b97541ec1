//! One more process in a container.

use dunnage::launch::exec::{Arguments, Target, exec_here};
use dunnage::spec::{ConsoleSize, parse};

use super::other;
use super::stdio::{self, Stdio};
use super::{Given, Outcome, Place, Streams, Whose, oci};
use crate::ttrpc::Failure;

/// Starts it.
pub fn exec(
    whose: &Whose,
    exec_id: &str,
    spec: &[u8],
    streams: &Streams,
    given: &mut Given,
) -> Result<Outcome, Failure> {
    let failed = |e: dunnage::error::Error| oci("exec", &e.doing("exec failed"));
    let owner = (whose.options.io_uid, whose.options.io_gid);
    let mut process = parse::process(spec).map_err(failed)?;
    process.terminal = streams.terminal;
    if let Some((width, height)) = streams.size {
        process.console_size = Some(ConsoleSize { height: height.into(), width: width.into() });
    }
    let Stdio { logger, ours } = stdio::prepare(streams, exec_id, &whose.namespace, owner)?;
    given.extend(ours);
    if let Some(runtime) = other::runtime(whose)? {
        let outcome = other::exec(&runtime, whose, exec_id, spec, streams.terminal, given)?;
        return Ok(Outcome { logger, ..outcome });
    }
    let arguments = Arguments {
        root: whose.root.clone(),
        id: whose.id.clone(),
        takes_console: true,
        detach: true,
        ..Arguments::default()
    };
    let target = Target::open(&arguments).map_err(failed)?;
    let here = exec_here(&arguments, &target, process).map_err(failed)?;
    if let Some(console) = here.console {
        given.push((Place::Console, console));
    }
    Ok(Outcome { pid: here.pid, logger, ..Outcome::default() })
}
