//! Mounts by descriptor: open_tree(2), mount_setattr(2), fsopen(2) and what goes with it, as the runtime and the shim need them
//! on the host's side.

use std::ffi::CStr;
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
    // SAFETY: the kernel has just made it for us; nobody else knows of it.
    unsafe { owned(fd) }
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

/// Which mount a file is on, as mountinfo numbers them (Linux 5.8; `ENODATA` before).
pub fn mount_id(file: BorrowedFd<'_>) -> Result<u64, Errno> {
    const STATX_MNT_ID: u32 = 0x1000;
    let mut stat = MaybeUninit::<libc::statx>::uninit();
    let (fd, path) = (file.as_raw_fd(), c"".as_ptr());
    // SAFETY: a string that lives through the call; the structure is valid for the write.
    Errno::result(unsafe { libc::statx(fd, path, libc::AT_EMPTY_PATH, STATX_MNT_ID, stat.as_mut_ptr()) })?;
    // SAFETY: the call has filled it in.
    let stat = unsafe { stat.assume_init() };
    if stat.stx_mask & STATX_MNT_ID == 0 { Err(Errno::ENODATA) } else { Ok(stat.stx_mnt_id) }
}

/// fsopen(2): the context of a file system that is to be made; close-on-exec.
pub fn fsopen(kind: &CStr) -> Result<OwnedFd, Errno> {
    const FSOPEN_CLOEXEC: u32 = 1;
    // SAFETY: a string that lives through the call.
    let fd = unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) };
    // SAFETY: the kernel has just made it for us; nobody else knows of it.
    unsafe { owned(fd) }
}

/// What fsconfig(2) is to do to the context.
#[derive(Debug, Clone, Copy)]
pub enum FsConfig<'a> {
    /// `FSCONFIG_SET_FLAG`: an option without a value.
    Flag(&'a CStr),
    /// `FSCONFIG_SET_STRING`; the kernel takes up to 255 bytes of value (`EINVAL`).
    String(&'a CStr, &'a CStr),
    /// `FSCONFIG_CMD_CREATE`
    Create,
}

/// fsconfig(2).
pub fn fsconfig(context: BorrowedFd<'_>, what: FsConfig<'_>) -> Result<(), Errno> {
    const FSCONFIG_SET_FLAG: u32 = 0;
    const FSCONFIG_SET_STRING: u32 = 1;
    const FSCONFIG_CMD_CREATE: u32 = 6;
    let none = std::ptr::null();
    let (command, key, value) = match what {
        FsConfig::Flag(key) => (FSCONFIG_SET_FLAG, key.as_ptr(), none),
        FsConfig::String(key, value) => (FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr()),
        FsConfig::Create => (FSCONFIG_CMD_CREATE, none, none),
    };
    // SAFETY: strings that live through the call, or null where the command takes none.
    Errno::result(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) }).map(drop)
}

/// fsmount(2): the context's file system as a mount that is attached nowhere, with `MOUNT_ATTR_*`; close-on-exec.
pub fn fsmount(context: BorrowedFd<'_>, attributes: u32) -> Result<OwnedFd, Errno> {
    const FSMOUNT_CLOEXEC: u32 = 1;
    // SAFETY: no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) };
    // SAFETY: the kernel has just made it for us; nobody else knows of it.
    unsafe { owned(fd) }
}

/// move_mount(2), by descriptors alone: attaches a mount to a directory or, that of a file, to a file.
pub fn move_mount(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x4;
    const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
    let empty = c"".as_ptr();
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    let (mount, target) = (mount.as_raw_fd(), target.as_raw_fd());
    // SAFETY: strings that live through the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_move_mount, mount, empty, target, empty, flags) }).map(drop)
}

/// What a call that makes a descriptor has returned.
///
/// # Safety
/// If it is not -1, it is a descriptor that nobody else owns.
unsafe fn owned(returned: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = RawFd::try_from(Errno::result(returned)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: by the contract of this function.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
