//! `checkpoint`: a container that runs becomes files.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::stat;
use nix::unistd::write;

use super::images::{self, Directories};
use super::options::{self, Checkpoint, DUMP_LOG, DumpFacts, EXTERNAL};
use super::rpc::{Features, Notify, kind};
use super::swrk::{Criu, request};
use super::tree;
use crate::cgroup::host::Version;
use crate::cgroup::{Host, OwnedCgroup};
use crate::container::Container;
use crate::error::{Error, Result};
use crate::log;
use crate::state::{Config, Status};
use crate::sys::descriptors::inherited;

/// Writes the container to files; without `--leave-running` and `--pre-dump` it ends by that, and is removed.
///
/// # Errors
/// `Container cannot be checkpointed in X state`; the flags contradict each other or this CRIU; what CRIU says.
pub fn checkpoint(container: Container, asked: &Checkpoint) -> Result<()> {
    refuse_state(container.status()?)?;
    let directories = Directories::make(&asked.common.image_path, asked.common.work_path.as_deref())?;
    directories.check_parent(&asked.parent_path)?;
    let dumped = dump(&container, asked, &directories);
    if asked.leave_running || asked.pre_dump || dumped.is_err() {
        let unmarked = container.dir.mark_checkpoint(false);
        return dumped.and(unmarked);
    }
    // The images are there, which is what was asked for.
    if let Err(e) = container.destroy() {
        log::warn(e);
    }
    Ok(())
}

/// Only what runs can be written: before `start` there is no program, and after its end none any more.
///
/// # Errors
/// `Container cannot be checkpointed in X state`.
pub fn refuse_state(status: Status) -> Result<()> {
    match status {
        Status::Running | Status::Paused => Ok(()),
        status => Err(Error::new(format!("Container cannot be checkpointed in {status} state"))),
    }
}

fn dump(container: &Container, asked: &Checkpoint, directories: &Directories) -> Result<()> {
    let state = container.dir.load::<Config>()?;
    let init = state.init()?.ok_or_else(crate::state::not_running)?;
    let criu = Criu::find()?;
    let version = criu.version(options::OLDEST)?;
    let features = Features { mem_track: asked.pre_dump, lazy_pages: asked.common.lazy_pages };
    if features != Features::default() {
        criu.check(&features)?;
    }
    let mut ready = asked.status_fd.filter(|_| asked.common.lazy_pages).map(status_fd).transpose()?;
    let tells = version >= options::TELLS_READY;
    let facts = DumpFacts {
        version,
        pid: init.pid,
        directories: (directories.images(), directories.work()),
        namespaces: namespaces(&state.config)?,
        freezer: freezer(container)?,
        mountpoints: tree::mountpoints(init.pid, &state.config)?,
        cgroup_binds: cgroup_binds(&container.paths())?,
        masked_files: tree::masked_files(init.pid, &state.config)?,
        status_fd: ready.as_ref().filter(|_| !tells).map(AsRawFd::as_raw_fd),
    };
    let opts = options::dump(asked, &state.config, &facts)?;
    if !asked.pre_dump {
        let known = &state.external_descriptors;
        directories.write_descriptors(&if known.is_empty() { images::links(init.pid)? } else { known.clone() })?;
    }
    let null = super::swrk::null()?;
    let mut conversation = criu.start([std::os::fd::AsFd::as_fd(&null); 3], &[], false)?;
    let kind = if asked.pre_dump { kind::PRE_DUMP } else { kind::DUMP };
    let answered = conversation.ask(&request(kind, opts), |notify, _| notified(container, notify, &mut ready));
    match answered {
        Ok(_) => {}
        Err(e) => {
            // First, so that the log is whole.
            drop(conversation);
            return Err(directories.explain(e, DUMP_LOG));
        }
    }
    let exit = conversation.finish()?;
    // After a PRE_DUMP it has waited for more of us, and takes our leaving for a failure.
    if exit.shell_status() != 0 && !asked.pre_dump {
        return Err(
            directories.explain(Error::new(format!("criu failed: exit status {}", exit.shell_status())), DUMP_LOG)
        );
    }
    Ok(())
}

fn notified(container: &Container, notify: &Notify, ready: &mut Option<OwnedFd>) -> Result<()> {
    match notify.script.as_str() {
        "post-dump" => container.dir.mark_checkpoint(true),
        "status-ready" => {
            // One byte, and the end: whoever waits for either.
            if let Some(fd) = ready.take()
                && let Err(e) = write(&fd, &[0])
            {
                log::warn(Error::sys("write to the status descriptor", e));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// `--status-fd`: the caller's descriptor becomes ours to close.
fn status_fd(number: i32) -> Result<OwnedFd> {
    let invalid = |e| Error::sys(format!("invalid --status-fd argument {number}"), e);
    let fd = inherited(number).map_err(invalid)?;
    let flags = OFlag::from_bits_truncate(fcntl(&fd, FcntlArg::F_GETFL).map_err(invalid)?);
    if flags & OFlag::O_ACCMODE == OFlag::O_RDONLY {
        return Err(Error::new(format!("invalid --status-fd argument {number}: not writable")));
    }
    Ok(fd)
}

/// The inodes of those that have a path.
fn namespaces(config: &Config) -> Result<[Option<u64>; 2]> {
    let mut inodes = [None; 2];
    for (kind, inode) in EXTERNAL.iter().zip(&mut inodes) {
        if let Some(path) = kind.path(config) {
            *inode = Some(stat(path).map_err(|e| Error::sys(format!("stat {path}"), e))?.st_ino);
        }
    }
    Ok(inodes)
}

/// Where all of the container's processes can be held; CRIU would have to stop them one by one.
fn freezer(container: &Container) -> Result<Option<(String, bool)>> {
    let paths = container.paths();
    if paths.is_empty() {
        return Ok(None);
    }
    let owned = OwnedCgroup::new(&Host::detect()?, &paths)?;
    // Somebody may have moved init: CRIU would freeze others, or wait for it for ever.
    let Some(owned) = owned else { return Ok(None) };
    if !owned.can_freeze(container.state.init_process_pid)? {
        return Ok(None);
    }
    Ok(owned.freezer_path().map(|(path, version)| (path.to_owned(), version == Version::V2)))
}

/// The binds that a `cgroup` mount stands for where controllers are on v1.
///
/// # Errors
/// The hierarchies cannot be found.
pub fn cgroup_binds(paths: &crate::cgroup::Paths) -> Result<Vec<options::CgroupBind>> {
    let host = Host::detect()?;
    if host.version() == Version::V2 {
        return Ok(Vec::new());
    }
    let bind = |h: &crate::cgroup::host::Hierarchy| {
        let name = h.mount.rsplit('/').next().filter(|name| !name.is_empty())?.to_owned();
        let source = h.keys.iter().find_map(|key| paths.get(key))?.to_owned();
        Some(options::CgroupBind { name, source })
    };
    Ok(host.hierarchies.iter().filter_map(bind).collect())
}
