//! User namespaces that exist for their maps alone: an id-mapped mount needs one.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::pidfd::PidFd;

/// A process in a new user namespace that does nothing; it ends with this value.
#[derive(Debug)]
pub struct Holder {
    /// Our child.
    pub pid: i32,
    pidfd: PidFd,
}

impl Holder {
    /// Makes one, by clone(2) without sharing: it has a copy of our memory that it never looks at.
    pub fn new() -> Result<Holder, Errno> {
        let mut pidfd: RawFd = -1;
        let flags = libc::CLONE_NEWUSER | libc::CLONE_PIDFD | libc::SIGCHLD;
        let none = std::ptr::null::<libc::c_void>();
        // SAFETY: without a stack and without CLONE_VM this is fork(2); with CLONE_PIDFD the kernel writes one int.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, &raw mut pidfd, none, none) };
        match i32::try_from(Errno::result(pid)?).unwrap_or(-1) {
            0 => {
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
