//! The options of netlink(7) sockets, which nix does not have.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// `NETLINK_CAP_ACK`: an answer repeats no more of a request than its header (Linux 4.3).
pub const NETLINK_CAP_ACK: libc::c_int = 10;
/// `NETLINK_EXT_ACK`: an answer says in words what is wrong (Linux 4.12).
pub const NETLINK_EXT_ACK: libc::c_int = 11;
/// `NETLINK_GET_STRICT_CHK`: lists are of what was asked for alone (Linux 4.20).
pub const NETLINK_GET_STRICT_CHK: libc::c_int = 12;

/// Sets one of the options that are on or off.
///
/// # Errors
/// `ENOPROTOOPT`: the kernel does not know it.
pub fn switch_on(socket: BorrowedFd<'_>, option: libc::c_int) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    // SAFETY: the kernel reads one int, whose size is given.
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_NETLINK, option, std::ptr::from_ref(&on).cast(), size)
    };
    Errno::result(set).map(drop)
}
