//! Processes that are in a user namespace and do nothing: an id-mapped mount needs a user namespace for its maps, and the maps of an
//! existing one can be read only of a process that is in it.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read};

use super::pidfd::PidFd;

/// A process in a user namespace that does nothing; it ends with this value.
#[derive(Debug)]
pub struct Holder {
    /// Our child.
    pub pid: i32,
    pidfd: PidFd,
}

impl Holder {
    /// One in a new user namespace.
    pub fn new() -> Result<Holder, Errno> {
        Holder::start(libc::CLONE_NEWUSER, || ())
    }

    /// One in an existing user namespace.
    pub fn of(userns: BorrowedFd<'_>) -> Result<Holder, Errno> {
        let (heard, told) = pipe2(OFlag::O_CLOEXEC)?;
        let holder = Holder::start(0, || {
            // SAFETY: no pointers.
            let joined = Errno::result(unsafe { libc::setns(userns.as_raw_fd(), libc::CLONE_NEWUSER) });
            let bytes = joined.err().map_or(0, |errno| errno as i32).to_ne_bytes();
            // SAFETY: a buffer of ours, and its length.
            unsafe { libc::write(told.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
        })?;
        // Or its end would not be the end of the pipe.
        drop(told);
        let mut bytes = [0; 4];
        match (read(&heard, &mut bytes)?, i32::from_ne_bytes(bytes)) {
            (4, 0) => Ok(holder),
            (4, errno) => Err(Errno::from_raw(errno)),
            _ => Err(Errno::ECHILD),
        }
    }

    /// By clone(2) without sharing: it has a copy of our memory. `first` is what it does in that, system calls alone.
    fn start(flags: i32, first: impl FnOnce()) -> Result<Holder, Errno> {
        let mut pidfd: RawFd = -1;
        let flags = flags | libc::CLONE_PIDFD | libc::SIGCHLD;
        let none = std::ptr::null::<libc::c_void>();
        // SAFETY: without a stack and without CLONE_VM this is fork(2); with CLONE_PIDFD the kernel writes one int.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, &raw mut pidfd, none, none) };
        match i32::try_from(Errno::result(pid)?).unwrap_or(-1) {
            0 => {
                first();
                // SAFETY: waits for the signal that ends this process. A parent that died first is noticed by nobody, so not
                // for long.
                unsafe { libc::sleep(60) };
                // SAFETY: ends this process only, without the buffers that it has copies of.
                unsafe { libc::_exit(0) }
            }
            pid => {
                // SAFETY: the kernel has just made it for us; nobody else knows of it.
                let pidfd = PidFd::from(unsafe { OwnedFd::from_raw_fd(pidfd) });
                Ok(Holder { pid, pidfd })
            }
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It can only have ended already.
        self.pidfd.send_signal(libc::SIGKILL).ok();
        self.pidfd.reap().ok();
    }
}
