//! ioctl_nsfs(2): what a namespace's file says of it.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// `NS_GET_NSTYPE`: `_IO(0xb7, 3)`, Linux 4.11. ioctl numbers are `int` or `unsigned long`, as the C library has it.
const NS_GET_NSTYPE: u32 = 0xb703;

/// The `CLONE_NEW*` flag of the namespace whose file this is.
///
/// # Errors
/// ENOTTY: it is the file of no namespace.
pub fn ns_get_nstype(file: BorrowedFd<'_>) -> Result<i32, Errno> {
    // SAFETY: the request takes no argument.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE as libc::Ioctl) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn kinds() {
        let of = |path: &str| ns_get_nstype(std::fs::File::open(path).unwrap().as_fd());
        assert_eq!(of("/proc/self/ns/net"), Ok(libc::CLONE_NEWNET));
        assert_eq!(of("/proc/self/ns/mnt"), Ok(libc::CLONE_NEWNS));
        assert_eq!(of("/dev/null"), Err(Errno::ENOTTY));
    }
}
