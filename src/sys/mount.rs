//! Mounts that are attached nowhere: open_tree(2) and mount_setattr(2), as the runtime needs them on the host's side.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// struct mount_attr.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct MountAttr {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
    /// `MS_SLAVE` and the like; 0 leaves it.
    pub propagation: u64,
    /// A user namespace, with `MOUNT_ATTR_IDMAP`.
    pub userns_fd: u64,
}

/// `MOUNT_ATTR_IDMAP`
pub const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;

const OPEN_TREE_CLONE: u32 = 1;
const AT_RECURSIVE: u32 = 0x8000;

/// A copy of the mount from `at` on, with `recursive` of all mounts below it; close-on-exec.
pub fn open_tree_clone(at: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd, Errno> {
    let empty_path = libc::AT_EMPTY_PATH.cast_unsigned();
    let flags =
        OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned() | empty_path | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: a string that lives through the call.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, at.as_raw_fd(), c"".as_ptr(), flags) };
    let fd = RawFd::try_from(Errno::result(fd)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made it for us; nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Changes a mount by its descriptor.
pub fn mount_setattr(mount: BorrowedFd<'_>, recursive: bool, attr: &MountAttr) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH.cast_unsigned() | if recursive { AT_RECURSIVE } else { 0 };
    let size = size_of::<MountAttr>();
    let path = c"".as_ptr();
    // SAFETY: a string and a structure that live through the call, and the structure's size.
    let result = unsafe { libc::syscall(libc::SYS_mount_setattr, mount.as_raw_fd(), path, flags, attr, size) };
    Errno::result(result).map(drop)
}

/// Whether a directory is the top of a mount.
pub fn is_root(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut stat = MaybeUninit::<libc::statx>::uninit();
    let (fd, path) = (directory.as_raw_fd(), c"".as_ptr());
    // SAFETY: a string that lives through the call; the structure is valid for the write.
    Errno::result(unsafe { libc::statx(fd, path, libc::AT_EMPTY_PATH, 0, stat.as_mut_ptr()) })?;
    // SAFETY: the call has filled it in.
    let attributes = unsafe { stat.assume_init() }.stx_attributes;
    Ok(attributes & u64::try_from(libc::STATX_ATTR_MOUNT_ROOT).unwrap_or(0) != 0)
}
