//! The programs that we carry, and how the child is started: from a sealed memory file, in its cgroup. Knows no plan.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use dunnage_steps::flags::Namespaces;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::cgroup::Cgroup;
use crate::error::{Errno, Error, Result};
use crate::sys::clone::{self, Start};
use crate::sys::memfd;
use crate::sys::pidfd::PidFd;

/// The child's half, as the build made it.
static INIT: &[u8] = include_bytes!(env!("DUNNAGE_INIT"));
/// The program that holds a pod's namespaces: `init/src/bin/pause.rs`.
pub static PAUSE: &[u8] = include_bytes!(env!("DUNNAGE_PAUSE"));

/// The sealed memory file of it that [`keep_init`] has made.
static KEPT: OnceLock<OwnedFd> = OnceLock::new();

fn sealed_init() -> nix::Result<OwnedFd> {
    memfd::sealed(c"dunnage-init", INIT, true)
}

/// Makes `dunnage-init`'s memory file for all that this process and its copies will start, once; for a process that lives long (the shim).
/// Nobody can change it: sealed, it is the same for whoever gets to it by `/proc/PID/exe` as one of its own would be.
///
/// The descriptor, for those who close all others; `None` if there is no memory: then each start makes its own.
pub fn keep_init() -> Option<BorrowedFd<'static>> {
    if KEPT.get().is_none()
        && let Ok(made) = sealed_init()
    {
        // Nobody else makes one in the meantime, or ours is closed again.
        KEPT.set(made).ok();
    }
    KEPT.get().map(AsFd::as_fd)
}

/// `dunnage-init` as a child executes it: the file that is kept, or one for this start alone.
pub(super) enum Executable {
    /// [`keep_init`] has made it.
    Kept(&'static OwnedFd),
    /// Of this start.
    Own(OwnedFd),
}

impl Executable {
    /// The kept one may have been made unusable where the kernel cannot seal its mode (before Linux 6.3): then it is left alone.
    pub(super) fn get() -> nix::Result<Executable> {
        match KEPT.get().filter(|kept| memfd::is_executable(kept)) {
            Some(kept) => Ok(Executable::Kept(kept)),
            None => sealed_init().map(Executable::Own),
        }
    }
}

impl AsFd for Executable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Executable::Kept(kept) => kept.as_fd(),
            Executable::Own(own) => own.as_fd(),
        }
    }
}

/// The caller's limit of the size of files, which is the container's to inherit, also limits files in memory, and to write
/// past it is a signal. It is put back when this is dropped.
pub(super) struct FileSize(Option<(u64, u64)>);

impl FileSize {
    pub(super) fn raise() -> std::result::Result<FileSize, Errno> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE)?;
        let needed = u64::try_from(INIT.len()).unwrap_or(u64::MAX);
        if soft >= needed {
            return Ok(FileSize(None));
        }
        if hard < needed {
            return Err(Errno::EFBIG);
        }
        setrlimit(Resource::RLIMIT_FSIZE, hard, hard)?;
        Ok(FileSize(Some((soft, hard))))
    }
}

impl Drop for FileSize {
    fn drop(&mut self) {
        if let Some((soft, hard)) = self.0 {
            // To lower a limit always works.
            setrlimit(Resource::RLIMIT_FSIZE, soft, hard).ok();
        }
    }
}

pub(super) fn start_in(start: Start<'_>, cgroup: Option<&Cgroup>) -> Result<(i32, PidFd)> {
    let cgroup = cgroup.and_then(Cgroup::clone_into);
    clone::start(&Start { cgroup, ..start })
        .map_err(|e| clone_failed(e, Namespaces(start.namespaces), cgroup.is_some()))
}

/// In the container's cgroup, or where that takes no processes, in that of its init.
pub(super) fn start_with_init(
    start: Start<'_>,
    cgroup: Option<&mut Cgroup>,
    init: BorrowedFd<'_>,
) -> Result<(i32, PidFd)> {
    match (start_in(start, cgroup.as_deref()), cgroup) {
        (Err(e), Some(cgroup)) if e.errno() == Some(Errno::EBUSY) => {
            cgroup.follow(pid_of(init)?)?;
            // It was that process's, and no other's who has got its pid.
            pid_of(init)?;
            start_in(start, Some(cgroup))
        }
        (started, _) => started,
    }
}

/// The pid behind a pidfd, in our pid namespace.
pub(super) fn pid_of(pidfd: BorrowedFd<'_>) -> Result<i32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = crate::files::read_to_string(&path).map_err(|e| Error::io(format!("open {path}"), &e))?;
    let pid = text.lines().find_map(|l| l.strip_prefix("Pid:")).and_then(|p| p.trim().parse().ok());
    pid.filter(|pid| *pid > 0).ok_or_else(|| Error::new("the process of the container has ended already"))
}

fn clone_failed(e: Errno, namespaces: Namespaces, into_cgroup: bool) -> Error {
    let error = Error::sys(format!("clone3 (namespaces {namespaces})"), e);
    match e {
        Errno::ENOSYS => error.hint("Linux 5.7 is needed, or a seccomp filter around us that lets clone3 pass"),
        Errno::ENOSPC => error.hint("too many namespaces: see the sysctls user.max_*_namespaces"),
        Errno::EPERM => error.hint("creating namespaces takes CAP_SYS_ADMIN, or a user namespace in the configuration"),
        Errno::EAGAIN if into_cgroup => error.hint("the pids limit of the cgroup, or of one above it, is reached"),
        Errno::EBUSY if into_cgroup => {
            error.hint(
                "the cgroup has children with controllers, so it takes no processes itself (cgroups(7), \"no internal processes\"): \
                 name one of them",
            )
        }
        _ => error,
    }
}
