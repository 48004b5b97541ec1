//! Process descriptors: pidfd_open(2), pidfd_send_signal(2), and waitid(2) on one. A pid can be given to another process
//! between two calls; a pidfd cannot.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A process as a descriptor (Linux 5.3; close-on-exec by itself).
#[derive(Debug)]
pub struct PidFd(OwnedFd);

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// exit(2) with this status.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
    /// The same, and the kernel dumped its memory (or would have: the limit and `core_pattern` say what comes of it).
    Dumped(i32),
}

impl Exit {
    /// The exit status that a shell would show: `128 + n` for a signal.
    pub fn shell_status(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(n) | Exit::Dumped(n) => n.saturating_add(128),
        }
    }

    /// Of a status as wait(2) has it: the signal in the low seven bits, a core in the eighth, else the code in the next eight.
    pub fn of_wait_status(status: i32) -> Exit {
        match (status & 0x7f, status & 0x80) {
            (0, _) => Exit::Code(status >> 8 & 0xff),
            (signal, 0) => Exit::Signal(signal),
            (signal, _) => Exit::Dumped(signal),
        }
    }

    /// Of what waitid(2) says.
    pub(super) fn of_waitid(code: i32, status: i32) -> Exit {
        match code {
            libc::CLD_EXITED => Exit::Code(status),
            libc::CLD_DUMPED => Exit::Dumped(status),
            _ => Exit::Signal(status),
        }
    }
}

impl PidFd {
    /// pidfd_open(2). `ESRCH` if there is no such process, `EINVAL` if `pid` is a thread that leads no group.
    pub fn open(pid: i32) -> Result<PidFd, Errno> {
        // SAFETY: takes two integers and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = i32::try_from(Errno::result(fd)?).map_err(|_| Errno::EBADF)?;
        // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
        Ok(PidFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// pidfd_send_signal(2). Signal 0 asks whether the process is there; a zombie is. `ESRCH` if it was reaped.
    pub fn send_signal(&self, signal: i32) -> Result<(), Errno> {
        let info: *const libc::siginfo_t = std::ptr::null();
        // SAFETY: a null siginfo is what kill(2) would send; the descriptor is open for as long as `self` lives.
        let rc = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal, info, 0) };
        Errno::result(rc).map(drop)
    }

    /// The same to every process of the group that this process leads: PIDFD_SIGNAL_PROCESS_GROUP (Linux 6.9, before it `EINVAL`).
    /// `ESRCH` if there is no such group.
    pub fn send_signal_to_group(&self, signal: i32) -> Result<(), Errno> {
        let info: *const libc::siginfo_t = std::ptr::null();
        // SAFETY: as above; the flag changes whom it is for.
        let rc = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal,
                info,
                libc::PIDFD_SIGNAL_PROCESS_GROUP,
            )
        };
        Errno::result(rc).map(drop)
    }

    /// Waits until the process has ended (a zombie has) or `timeout` is over; true if it has ended. Works for any process,
    /// child or not. An interrupting signal (`EINTR`) is the caller's to handle.
    pub fn wait_exit(&self, timeout: PollTimeout) -> Result<bool, Errno> {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut fds, timeout)? != 0)
    }

    /// waitid(P_PIDFD, WEXITED): reaps the child and says how it ended; blocks until it does. `ECHILD` if it is not our
    /// child (Linux 5.4).
    pub fn reap(&self) -> Result<Exit, Errno> {
        self.waitid(libc::WEXITED)?.ok_or(Errno::ECHILD)
    }

    /// The same without waiting; `None` while the child runs.
    pub fn try_reap(&self) -> Result<Option<Exit>, Errno> {
        self.waitid(libc::WEXITED | libc::WNOHANG)
    }

    /// PIDFD_GET_INFO with PIDFD_INFO_EXIT (Linux 6.15): how a process ended that was anybody's child. `None` as long as nobody has reaped
    /// it. ENOTTY, EINVAL: the kernel does not say.
    pub fn exit_info(&self) -> Result<Option<Exit>, Errno> {
        let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
        // SAFETY: the kernel writes at most the size that is part of the number, which is that of the structure.
        unsafe { ioctls::pidfd_get_info(self.0.as_raw_fd(), &raw mut info) }?;
        if info.mask & PIDFD_INFO_EXIT == 0 {
            return Ok(None);
        }
        Ok(Some(Exit::of_wait_status(info.exit_code)))
    }

    fn waitid(&self, options: i32) -> Result<Option<Exit>, Errno> {
        let id = u32::try_from(self.0.as_raw_fd()).map_err(|_| Errno::EBADF)?;
        // SAFETY: siginfo_t is plain integers, for which all zeroes is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // __WALL: a child that was cloned with another exit signal than SIGCHLD is a child too.
        // SAFETY: `info` is ours and of the type that the call fills in.
        let rc = unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut info, options | libc::__WALL) };
        Errno::result(rc)?;
        // SAFETY: after a waitid that succeeded si_pid is set: zero if no child had ended (WNOHANG).
        if unsafe { info.si_pid() } == 0 {
            return Ok(None);
        }
        // SAFETY: for a child that ended, waitid fills si_status.
        let status = unsafe { info.si_status() };
        Ok(Some(Exit::of_waitid(info.si_code, status)))
    }
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// struct pidfd_info of linux/pidfd.h, in its first version.
#[repr(C)]
#[derive(Default)]
#[allow(missing_docs)]
pub struct PidfdInfo {
    mask: u64,
    cgroupid: u64,
    ids: [u32; 11],
    exit_code: i32,
}

#[allow(missing_docs)]
mod ioctls {
    nix::ioctl_readwrite!(pidfd_get_info, 0xff, 11, super::PidfdInfo);
}

const _: () = assert!(size_of::<PidfdInfo>() == 64);

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for PidFd {
    /// For the descriptor that clone3(CLONE_PIDFD) gave.
    fn from(fd: OwnedFd) -> PidFd {
        PidFd(fd)
    }
}

impl From<PidFd> for OwnedFd {
    fn from(fd: PidFd) -> OwnedFd {
        fd.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn pid(child: &std::process::Child) -> i32 {
        i32::try_from(child.id()).unwrap()
    }

    #[test]
    fn how_it_ended_is_known_after_it_was_reaped() {
        for (script, exit) in [("exit 7", Exit::Code(7)), ("kill -9 $$", Exit::Signal(9)), ("true", Exit::Code(0))] {
            let mut child = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
            let pidfd = PidFd::open(pid(&child)).unwrap();
            let before = pidfd.exit_info();
            child.wait().unwrap();
            match before {
                // A kernel before 6.15 does not say.
                Err(Errno::ENOTTY | Errno::EINVAL) => assert!(pidfd.exit_info().is_err()),
                before => {
                    assert_eq!(before.unwrap(), None);
                    assert_eq!(pidfd.exit_info().unwrap(), Some(exit), "{script}");
                }
            }
        }
    }

    #[test]
    fn exit_status() {
        let mut child = Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().unwrap();
        let fd = PidFd::open(pid(&child)).unwrap();
        assert!(fd.wait_exit(PollTimeout::NONE).unwrap());
        assert_eq!(fd.reap(), Ok(Exit::Code(7)));
        assert_eq!(fd.send_signal(0), Err(Errno::ESRCH));
        assert_eq!(fd.reap(), Err(Errno::ECHILD));
        assert!(child.wait().is_err(), "reaped already");
    }

    #[test]
    fn killed() {
        let mut child = Command::new("/bin/sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
        let fd = PidFd::open(pid(&child)).unwrap();
        assert_eq!(fd.try_reap(), Ok(None));
        assert_eq!(fd.wait_exit(PollTimeout::ZERO), Ok(false));
        fd.send_signal(libc::SIGKILL).unwrap();
        let exit = fd.reap().unwrap();
        assert_eq!((exit, exit.shell_status()), (Exit::Signal(libc::SIGKILL), 137));
        assert!(child.wait().is_err(), "reaped already");
    }

    #[test]
    fn a_group_is_killed_with_its_leader() {
        use std::io::Read;
        use std::os::unix::process::CommandExt;
        let script = "sleep 60 & wait";
        let mut child =
            Command::new("/bin/sh").args(["-c", script]).process_group(0).stdout(Stdio::piped()).spawn().unwrap();
        let fd = PidFd::open(pid(&child)).unwrap();
        match fd.send_signal_to_group(libc::SIGKILL) {
            // A kernel before 6.9 does not know it.
            Err(Errno::EINVAL) => fd.send_signal(libc::SIGKILL).unwrap(),
            sent => {
                sent.unwrap();
                // Until nobody holds the pipe: sleep, too, is gone.
                child.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
            }
        }
        assert_eq!(fd.reap(), Ok(Exit::Signal(libc::SIGKILL)));
        assert_eq!(fd.send_signal(0), Err(Errno::ESRCH));
        assert!(child.wait().is_err(), "reaped already");
    }

    #[test]
    fn no_such_process_and_not_our_child() {
        assert_eq!(PidFd::open(i32::MAX).unwrap_err(), Errno::ESRCH);
        let parent = PidFd::open(nix::unistd::getppid().as_raw()).unwrap();
        assert_eq!(parent.try_reap(), Err(Errno::ECHILD));
    }
}
