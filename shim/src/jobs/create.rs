//! Create and start. What was made is undone if the rest fails: the daemon hears of a container that there is, or of none.

use std::path::{Path, PathBuf};

use dunnage::cli::root::Rootless;
use dunnage::container::Container;
use dunnage::criu::options::{Common, Restore};
use dunnage::error::Error;
use dunnage::launch::create::{Arguments, create_here};
use dunnage::launch::restore::restore_here;
use nix::sys::stat::Mode;

use super::other;
use super::stdio::{self, Stdio};
use super::{Given, Outcome, Place, Streams, Whose, oci};
use crate::bundle::{self, Bundle};
use crate::mounts;
use crate::options;
use crate::proto::task::CreateTaskRequest;
use crate::ttrpc::Failure;

/// Mounts, streams, container.
pub fn create(whose: &Whose, request: &CreateTaskRequest, given: &mut Given) -> Result<Outcome, Failure> {
    let files = Bundle::open(&whose.bundle)?;
    if files.read(bundle::ADDRESS).is_none() {
        // A pod's further containers have no `start`, but daemons of 1.x find us by this file alone.
        files.write(bundle::ADDRESS, whose.address.as_bytes())?;
    }
    files.write(bundle::OPTIONS, options::to_json(&whose.options).as_bytes())?;
    files.write(bundle::RUNTIME, whose.options.binary_name.as_bytes())?;
    let rootfs = whose.bundle.join("rootfs");
    if !request.rootfs.is_empty() {
        match dunnage::files::mkdirat(files.dir(), "rootfs", Mode::from_bits_truncate(0o711)) {
            Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
            Err(e) => return Err(Error::sys("mkdir rootfs in the bundle", e).into()),
        }
        mounts::mount_all(&request.rootfs, &rootfs)?;
    }
    if !request.checkpoint.is_empty() {
        // There is no process before it is started: [`restore`].
        return Ok(Outcome { has_mounts: !request.rootfs.is_empty(), ..Outcome::default() });
    }
    let made = make(whose, request, given);
    if made.is_err() {
        given.clear();
        if !request.rootfs.is_empty()
            && let Err(e) = mounts::unmount_all(&rootfs)
        {
            dunnage::log::warn(e);
        }
    }
    let outcome = made?;
    Ok(Outcome { has_mounts: !request.rootfs.is_empty(), ..outcome })
}

/// Streams, and the container out of its image.
pub fn restore(whose: &Whose, request: &CreateTaskRequest, given: &mut Given) -> Result<Outcome, Failure> {
    make(whose, request, given)
}

fn make(whose: &Whose, request: &CreateTaskRequest, given: &mut Given) -> Result<Outcome, Failure> {
    let streams = Streams {
        terminal: request.terminal,
        size: None,
        stdin: request.stdin.clone(),
        stdout: request.stdout.clone(),
        stderr: request.stderr.clone(),
    };
    let owner = (whose.options.io_uid, whose.options.io_gid);
    let Stdio { logger, ours } = stdio::prepare(&streams, &whose.id, &whose.namespace, owner)?;
    given.extend(ours);
    if let Some(runtime) = other::runtime(whose)? {
        let outcome = other::create(&runtime, whose, request, given)?;
        return Ok(Outcome { logger, ..outcome });
    }
    let Rootless { euid, cgroups } = dunnage::cli::root::rootless(&dunnage::cli::Global::default())?;
    let arguments = Arguments {
        root: whose.root.clone(),
        id: whose.id.clone(),
        bundle: Some(whose.bundle.clone()),
        takes_console: true,
        pid_file: Some(whose.bundle.join(bundle::INIT_PID)),
        no_pivot: whose.options.no_pivot_root,
        no_new_keyring: whose.options.no_new_keyring,
        systemd_cgroup: whose.options.systemd_cgroup,
        rootless_euid: euid,
        rootless_cgroups: cgroups,
        ..Arguments::default()
    };
    let here = if request.checkpoint.is_empty() {
        create_here(&arguments).map_err(|e| oci("create", &e.doing("runc create failed")))?
    } else {
        let common =
            Common { image_path: request.checkpoint.clone().into(), work_path: Some(work(whose)), ..Common::default() };
        restore_here(&arguments, &Restore { common, ..Restore::default() }).map_err(|e| oci("restore", &e))?
    };
    if let Some(console) = here.console {
        given.push((Place::Console, console));
    }
    let (cgroups, shares_pids) = known(&whose.root, &whose.id)?;
    Ok(Outcome { pid: here.pid, cgroups, shares_pids, logger, ..Outcome::default() })
}

/// Where CRIU works while it restores.
pub fn work(whose: &Whose) -> PathBuf {
    let given = &whose.options.criu_work_path;
    if given.is_empty() { whose.bundle.join("work") } else { PathBuf::from(given) }
}

/// What the state says of it: its cgroups, and whether its end leaves processes behind.
fn known(root: &Path, id: &str) -> Result<(std::collections::BTreeMap<String, String>, bool), Failure> {
    let container = Container::look(root, id)?;
    Ok((container.paths().0, !container.has_own_pid_namespace()))
}

/// Lets the first process go.
pub fn start(whose: &Whose) -> Result<Outcome, Failure> {
    if let Some(runtime) = other::runtime(whose)? {
        runtime.start(&whose.id)?;
        return Ok(Outcome::default());
    }
    dunnage::launch::start::start(&whose.root, &whose.id, None).map_err(|e| oci("start", &e))?;
    Ok(Outcome::default())
}
