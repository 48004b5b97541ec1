//! The terminal requests that nix has no call for: window sizes, a pty's number.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::winsize;
use nix::errno::Errno;

/// The size of a terminal's window. ENOTTY if `tty` is none.
pub fn tcgetwinsize(tty: BorrowedFd<'_>) -> Result<winsize, Errno> {
    let mut size = MaybeUninit::<winsize>::zeroed();
    // SAFETY: TIOCGWINSZ writes one winsize, for which `size` has room.
    Errno::result(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr()) })?;
    // SAFETY: four integers, which the kernel (or the zeroes) filled.
    Ok(unsafe { size.assume_init() })
}

/// Sets it; the processes in the terminal's foreground group get SIGWINCH if it changed.
pub fn tcsetwinsize(tty: BorrowedFd<'_>, size: &winsize) -> Result<(), Errno> {
    // SAFETY: TIOCSWINSZ reads one winsize, which the reference guarantees.
    Errno::result(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSWINSZ, std::ptr::from_ref(size)) }).map(drop)
}

/// The number of the pseudoterminal (`N` of `/dev/pts/N`) that `master` is the master of.
pub fn ptn(master: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN writes one unsigned int, for which there is room.
    Errno::result(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) })?;
    Ok(number)
}
