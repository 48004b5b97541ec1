//! What concerns descriptors by number: which are open, who inherits them, and receiving one from a socket. Only here is
//! a raw integer a descriptor.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// Our stdin, stdout and stderr, without the buffers that std makes for them.
pub fn stdio() -> [BorrowedFd<'static>; 3] {
    // SAFETY: 0 to 2 are open from the start of the program (`start::prepare`) to its end; nobody owns them, so nobody
    // closes them.
    [0, 1, 2].map(|fd| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Marks every open descriptor from `first` on close-on-exec. ENOSYS or EINVAL before Linux 5.11: see
/// [`set_cloexec`] for one at a time.
pub fn close_range_cloexec(first: RawFd) -> Result<(), Errno> {
    // SAFETY: no pointers; no descriptor is closed, so none that somebody owns goes away under him.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(done).map(drop)
}

/// Marks one descriptor close-on-exec; EBADF if it is not open.
pub fn set_cloexec(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: no pointers; only the flag changes.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }).map(drop)
}

/// Whether `fd` is open in this process.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: no pointers; reads a flag.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// A descriptor that our caller has opened for us under this number, and that is now ours: close-on-exec, under a number above 2.
pub fn inherited(fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers; EBADF if it is not open.
    let copy = Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    if fd > 2 {
        // SAFETY: the caller named it for this, once; nothing of ours owns it.
        unsafe { libc::close(fd) };
    }
    // SAFETY: the kernel has just made it for us; nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// A copy of the descriptor `fd` of the process behind `pidfd` (Linux 5.6; needs ptrace rights over it).
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers. The descriptor is close-on-exec by definition.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) })?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made it for us; nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[allow(missing_docs)]
mod ioctls {
    nix::ioctl_read_bad!(fionread, libc::FIONREAD, i32);
}

/// How many bytes lie in a pipe (FIONREAD).
pub fn readable(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut count = 0;
    // SAFETY: FIONREAD writes one int.
    unsafe { ioctls::fionread(fd.as_raw_fd(), &raw mut count) }?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Receives bytes and up to eight descriptors (close-on-exec) from a socket. `(0, [])` is the end of a stream.
pub fn recv_fds(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = nix::cmsg_space!([RawFd; 8]);
    let mut iov = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut iov, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut all = Vec::new();
    for cmsg in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = cmsg {
            // SAFETY: the kernel has just installed them for us; nobody else knows of them.
            all.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, all))
}

/// Receives bytes and at most one descriptor (close-on-exec) from a socket. Any further descriptors that the peer sent
/// are closed, so it can't fill our table. `(0, None)` is the end of a stream.
pub fn recv_fd(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut space = nix::cmsg_space!([RawFd; 8]);
    let mut iov = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut iov, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut first = None;
    for cmsg in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = cmsg {
            for fd in fds {
                // SAFETY: the kernel has just installed it for us; nobody else knows of it.
                let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                first.get_or_insert(fd);
            }
        }
    }
    Ok((message.bytes, first))
}
