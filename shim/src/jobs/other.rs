//! The same jobs by another runtime ([`crate::external`]): what it is told, and what we have to find out ourselves, because it keeps
//! its state as it likes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dunnage::cgroup::{Host, Membership};
use dunnage::container::Container;
use dunnage::error::{Error, Result};

use super::{Given, Outcome, Place, Whose};
use crate::bundle::{self, Bundle};
use crate::external::console::ConsoleSocket;
use crate::external::{self, Create, Exec, NotKilled, Restore, Runtime};
use crate::options;
use crate::program;
use crate::proto::task::CreateTaskRequest;
use crate::ttrpc::Failure;

/// How long the terminal may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// The runtime that the options name, if it is not ours.
///
/// # Errors
/// It is not there.
pub fn runtime(whose: &Whose) -> Result<Option<Runtime>> {
    let Some(name) = options::external(&whose.options) else { return Ok(None) };
    Ok(Some(Runtime {
        binary: external::find(name)?,
        root: whose.root.clone(),
        systemd_cgroup: whose.options.systemd_cgroup,
        log: whose.bundle.join("log.json"),
        env: program::inherited_env(),
    }))
}

fn pid_in(whose: &Whose, name: &str) -> Result<i32> {
    let text = Bundle::open(&whose.bundle)?.read_text(name);
    let pid = text.and_then(|text| text.parse().ok()).filter(|pid| *pid > 0);
    pid.ok_or_else(|| Error::new(format!("the runtime wrote no pid to {name}")))
}

/// Makes a container, or makes it again from its image.
pub fn create(
    runtime: &Runtime,
    whose: &Whose,
    request: &CreateTaskRequest,
    given: &mut Given,
) -> std::result::Result<Outcome, Failure> {
    let console = request.terminal.then(ConsoleSocket::new).transpose()?;
    let create = Create {
        bundle: &whose.bundle,
        pid_file: &whose.bundle.join(bundle::INIT_PID),
        console_socket: console.as_ref().map(ConsoleSocket::path),
        no_pivot: whose.options.no_pivot_root,
        no_new_keyring: whose.options.no_new_keyring,
    };
    if request.checkpoint.is_empty() {
        runtime.create(&whose.id, &create)?;
    } else {
        let parent_path = Some(request.parent_checkpoint.as_str()).filter(|parent| !parent.is_empty());
        let (image_path, work_path) = (Path::new(&request.checkpoint), &super::create::work(whose));
        runtime.restore(&whose.id, &Restore { create, image_path, work_path, parent_path })?;
    }
    let mut known = || -> Result<(i32, BTreeMap<String, String>)> {
        if let Some(console) = &console {
            given.push((Place::Console, console.receive(PATIENCE)?));
        }
        let pid = pid_in(whose, bundle::INIT_PID)?;
        Ok((pid, cgroups(whose, pid)?))
    };
    match known() {
        Ok((pid, cgroups)) => Ok(Outcome { pid, cgroups, shares_pids: shares_pids(whose), ..Outcome::default() }),
        Err(e) => {
            if let Err(e) = runtime.delete(&whose.id, true) {
                dunnage::log::warn(e);
            }
            Err(e.into())
        }
    }
}

/// A runc tells in its state; of others the first process tells, which is in there. Where that is no cgroup of its own, nobody will act
/// on it: [`dunnage::cgroup::OwnedCgroup`] refuses.
fn cgroups(whose: &Whose, pid: i32) -> Result<BTreeMap<String, String>> {
    if let Ok(container) = Container::look(&whose.root, &whose.id) {
        return Ok(container.paths().0);
    }
    let (host, Some(membership)) = (Host::detect()?, Membership::of(pid)?) else { return Ok(BTreeMap::new()) };
    let mut paths = BTreeMap::new();
    for hierarchy in &host.hierarchies {
        if let Some(directory) = membership.directory(hierarchy) {
            paths.extend(hierarchy.keys.iter().map(|key| (key.clone(), directory.clone())));
        }
    }
    Ok(paths)
}

/// One that cannot be read shares them, so that all of it is killed in the end.
fn shares_pids(whose: &Whose) -> bool {
    let config = dunnage::files::document(whose.bundle.join("config.json")).ok();
    let spec = config.and_then(|json| dunnage::spec::parse::config(&json).ok());
    let linux = spec.and_then(|spec| spec.linux);
    !linux.is_some_and(|linux| linux.namespaces.iter().any(|ns| ns.kind == "pid" && ns.path.is_empty()))
}

/// Starts a process in a container.
pub fn exec(
    runtime: &Runtime,
    whose: &Whose,
    exec_id: &str,
    spec: &[u8],
    terminal: bool,
    given: &mut Given,
) -> std::result::Result<Outcome, Failure> {
    let console = terminal.then(ConsoleSocket::new).transpose()?;
    let mut process: serde_json::Value = serde_json::from_slice(spec).map_err(|e| Failure::invalid(&e))?;
    if let Some(process) = process.as_object_mut() {
        process.insert("terminal".into(), terminal.into());
    }
    let files = Bundle::open(&whose.bundle)?;
    let (spec, pid) = (format!("{exec_id}.process.json"), format!("{exec_id}.pid"));
    files.write(&spec, &serde_json::to_vec(&process).unwrap_or_default())?;
    let at = |name: &str| -> PathBuf { whose.bundle.join(name) };
    let started = runtime.exec(
        &whose.id,
        &Exec { process: &at(&spec), pid_file: &at(&pid), console_socket: console.as_ref().map(ConsoleSocket::path) },
    );
    files.remove(&spec);
    started?;
    if let Some(console) = &console {
        given.push((Place::Console, console.receive(PATIENCE)?));
    }
    Ok(Outcome { pid: pid_in(whose, &pid)?, ..Outcome::default() })
}

/// Sends a signal.
pub fn kill(runtime: &Runtime, whose: &Whose, signal: i32, all: bool) -> std::result::Result<Outcome, Failure> {
    match runtime.kill(&whose.id, signal, all) {
        Ok(()) => Ok(Outcome::default()),
        Err(e @ (NotKilled::Finished | NotKilled::NoContainer)) => Err(Failure::not_found(e)),
        Err(e @ NotKilled::Other(_)) => Err(Failure::unknown(e)),
    }
}
