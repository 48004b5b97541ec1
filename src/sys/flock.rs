//! flock(2) on a borrowed descriptor (nix's takes ownership of it, at the price of a dup).

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

/// LOCK_EX | LOCK_NB: false if another open file description holds it. The lock lasts until [`unlock`], or until every
/// descriptor of this open file description is closed, those of forked children included.
pub fn try_lock(fd: impl AsFd) -> Result<bool, Errno> {
    match flock(fd, libc::LOCK_EX | libc::LOCK_NB) {
        Ok(()) => Ok(true),
        Err(Errno::EWOULDBLOCK) => Ok(false),
        Err(e) => Err(e),
    }
}

/// LOCK_UN.
pub fn unlock(fd: impl AsFd) -> Result<(), Errno> {
    flock(fd, libc::LOCK_UN)
}

fn flock(fd: impl AsFd, operation: i32) -> Result<(), Errno> {
    // SAFETY: takes two integers; the descriptor is open for as long as `fd` is borrowed.
    Errno::result(unsafe { libc::flock(fd.as_fd().as_raw_fd(), operation) }).map(drop)
}
