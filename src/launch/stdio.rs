//! What a process gets as its descriptors 0-2 when it has no terminal, and who owns them. Knows nothing of how they get
//! there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::unistd::{Gid, Uid, fchown, getegid, geteuid, pipe2};

use super::relay::{Relay, kind};
use crate::error::{Errno, Error, Result};

/// Who owns the process's stdio, in ids of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Of the process's user: it may open `/dev/stdout` again.
    pub uid: u32,
    /// Of the container's root; for pipes that we make. What the caller made keeps its group.
    pub gid: u32,
}

/// What becomes the process's descriptors 0-2, and what we do meanwhile.
#[derive(Debug, Default)]
pub struct StdioPlan {
    /// `None`: ours, unchanged. To be closed here once the process has them.
    pub child: [Option<OwnedFd>; 3],
    /// Our part.
    pub relay: Relay,
}

impl StdioPlan {
    /// create, `run -d`, `exec -d` without a terminal: ours, whatever they are. Only their owner changes.
    pub fn detached(owner: Owner) -> Result<StdioPlan> {
        for (fd, name) in [
            (std::io::stdin().as_fd(), "stdin"),
            (std::io::stdout().as_fd(), "stdout"),
            (std::io::stderr().as_fd(), "stderr"),
        ] {
            give(fd, &stat(fd, name)?, owner, name)?;
        }
        Ok(StdioPlan::default())
    }

    /// With a terminal, whose slave `dunnage-init` puts on 0-2; [`Relay::terminal`] follows in the foreground.
    pub fn terminal() -> StdioPlan {
        StdioPlan::default()
    }

    /// run, exec without a terminal. runc copies everything through three pipes. A pipe or a socket of the caller can be
    /// passed on as it is: it is what the process would get anyway, one copy less. A terminal can't, because its
    /// holder may push input into it (TIOCSTI); nor a file, whose owner would have to change.
    pub fn foreground(owner: Owner) -> Result<StdioPlan> {
        let mut plan = StdioPlan::default();
        let standard = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        plan.add(0, standard.0.as_fd(), "stdin", owner)?;
        plan.add(1, standard.1.as_fd(), "stdout", owner)?;
        plan.add(2, standard.2.as_fd(), "stderr", owner)?;
        Ok(plan)
    }

    fn add(&mut self, slot: usize, fd: BorrowedFd<'_>, name: &str, owner: Owner) -> Result<()> {
        let stat = stat(fd, name)?;
        if is_null(&stat) || matches!(kind(&stat), SFlag::S_IFIFO | SFlag::S_IFSOCK) {
            return give(fd, &stat, owner, name);
        }
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|e| Error::sys(format!("pipe for {name}"), e))?;
        let child = if slot == 0 { &read } else { &write };
        if (geteuid().as_raw(), getegid().as_raw()) != (owner.uid, owner.gid) {
            fchown(child, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
                .map_err(|e| Error::sys(format!("fchown of the pipe for {name}"), e))?;
        }
        let child = if slot == 0 {
            self.relay.add_stdin(fd, write)?;
            read
        } else {
            self.relay.add_output(read, fd)?;
            write
        };
        if let Some(place) = self.child.get_mut(slot) {
            *place = Some(child);
        }
        Ok(())
    }
}

fn stat(fd: BorrowedFd<'_>, name: &str) -> Result<FileStat> {
    fstat(fd).map_err(|e| Error::sys(format!("fstat of {name}"), e))
}

/// The null device of the host: nobody's to own.
fn is_null(stat: &FileStat) -> bool {
    kind(stat) == SFlag::S_IFCHR && stat.st_rdev == libc::makedev(1, 3)
}

/// Makes the process's user the owner of one of the caller's descriptors, as runc does; its group stays.
fn give(fd: BorrowedFd<'_>, stat: &FileStat, owner: Owner, name: &str) -> Result<()> {
    if is_null(stat) || stat.st_uid == owner.uid {
        return Ok(());
    }
    match fchown(fd, Some(Uid::from_raw(owner.uid)), None) {
        // A file of somebody else (rootless), or on a read-only filesystem: usable all the same.
        Ok(()) | Err(Errno::EPERM | Errno::EROFS) => Ok(()),
        Err(e) => Err(Error::sys(format!("fchown of {name}"), e)),
    }
}
