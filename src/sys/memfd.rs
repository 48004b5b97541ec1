//! Sealed memory files: what is handed to a container's process and must not change under it, nor be changed by it.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{ftruncate, write};

/// `MFD_EXEC` of Linux 6.3: where the sysctl vm.memfd_noexec is 1, a memfd is not executable without it.
const MFD_EXEC: libc::c_uint = 0x10;

/// `F_SEAL_EXEC` of Linux 6.3: nobody changes whether it is executable, which its owner, root of a container, could by a descriptor.
const F_SEAL_EXEC: libc::c_int = 0x20;

/// A sealed copy of `bytes`, close-on-exec.
pub fn sealed(name: &CStr, bytes: &[u8], executable: bool) -> Result<OwnedFd, Errno> {
    let plain = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = if executable {
        match memfd_create(name, plain | MFdFlags::from_bits_retain(MFD_EXEC)) {
            // Before 6.3 the flag is unknown, and every memfd executable.
            Err(Errno::EINVAL) => memfd_create(name, plain)?,
            r => r?,
        }
    } else {
        memfd_create(name, plain)?
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = write(&fd, rest)?;
        rest = rest.get(n..).ok_or(Errno::EIO)?;
    }
    let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    if executable {
        match fcntl(&fd, FcntlArg::F_ADD_SEALS(seals | SealFlag::from_bits_retain(F_SEAL_EXEC))) {
            Err(Errno::EINVAL) => fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))?,
            r => r?,
        };
    } else {
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))?;
    }
    Ok(fd)
}

/// One of `size` bytes that another process is to map and write to, close-on-exec.
pub fn shared(name: &CStr, size: u64) -> Result<OwnedFd, Errno> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC)?;
    ftruncate(&fd, libc::off_t::try_from(size).map_err(|_| Errno::EFBIG)?)?;
    Ok(fd)
}

/// Whether it can be executed still: see `F_SEAL_EXEC`, for kernels without.
pub fn is_executable(fd: &OwnedFd) -> bool {
    nix::sys::stat::fstat(fd).is_ok_and(|stat| stat.st_mode & 0o100 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn stays_executable() {
        let fd = sealed(c"test", b"#!/bin/true\n", true).unwrap();
        assert!(is_executable(&fd));
        let changed = nix::sys::stat::fchmod(&fd, nix::sys::stat::Mode::empty());
        // Where the kernel cannot keep it from being changed, it is seen.
        assert_eq!(is_executable(&fd), changed == Err(Errno::EPERM));
    }

    #[test]
    fn cannot_be_changed_by_any_way_to_it() {
        let fd = sealed(c"test", b"what it is", false).unwrap();
        assert_eq!(write(&fd, b"x"), Err(Errno::EPERM));
        let again = std::fs::OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        assert_eq!(
            again.map(|mut f| std::io::Write::write(&mut f, b"x").unwrap_err().raw_os_error()).ok(),
            Some(Some(1))
        );
    }
}
