//! Mounts, old calls and new. See [`super`].

use super::*;

pub fn mount(
    source: Option<&CStr>,
    target: &CStr,
    fstype: Option<&CStr>,
    flags: u64,
    data: Option<&CStr>,
) -> Result<()> {
    none(call(nr::MOUNT, [opt(source), ptr(target), opt(fstype), word(flags), opt(data), 0]))
}

pub const MNT_DETACH: usize = 2;

pub fn umount2(target: &CStr, flags: usize) -> Result<()> {
    none(call(nr::UMOUNT2, [ptr(target), flags, 0, 0, 0, 0]))
}

/// A detached copy of the mount at a path; with `recursive` of the whole tree below it.
pub fn open_tree_clone(dir: i32, path: &CStr, recursive: bool) -> Result<Fd> {
    const OPEN_TREE_CLONE: usize = 1;
    const AT_RECURSIVE: usize = 0x8000;
    let flags = OPEN_TREE_CLONE | word(O_CLOEXEC) | AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    fd(call(nr::OPEN_TREE, [arg(dir), ptr(path), flags, 0, 0, 0]))
}

/// Attaches the mount `from` on what the descriptor `to` is, or to a path.
pub fn move_mount(from: i32, to: i32, path: &CStr) -> Result<()> {
    const F_EMPTY_PATH: usize = 4;
    const T_EMPTY_PATH: usize = 0x40;
    none(call(nr::MOVE_MOUNT, [arg(from), ptr(c""), arg(to), ptr(path), F_EMPTY_PATH | T_EMPTY_PATH, 0]))
}

/// Changes the mount that the descriptor is the root of.
pub fn mount_setattr(mount: i32, recursive: bool, set: u64, clear: u64, propagation: u64) -> Result<()> {
    const AT_RECURSIVE: usize = 0x8000;
    let attr: [u64; 4] = [set, clear, propagation, 0];
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    none(call(nr::MOUNT_SETATTR, [arg(mount), ptr(c""), flags, at(&attr), size_of_val(&attr), 0]))
}

pub fn fsopen(fstype: &CStr) -> Result<Fd> {
    const FSOPEN_CLOEXEC: usize = 1;
    fd(call(nr::FSOPEN, [ptr(fstype), FSOPEN_CLOEXEC, 0, 0, 0, 0]))
}

pub fn fsconfig_set_string(context: i32, key: &CStr, value: &CStr) -> Result<()> {
    const FSCONFIG_SET_STRING: usize = 1;
    none(call(nr::FSCONFIG, [arg(context), FSCONFIG_SET_STRING, ptr(key), ptr(value), 0, 0]))
}

pub fn fsconfig_create(context: i32) -> Result<()> {
    const FSCONFIG_CMD_CREATE: usize = 6;
    none(call(nr::FSCONFIG, [arg(context), FSCONFIG_CMD_CREATE, 0, 0, 0, 0]))
}

pub fn fsmount(context: i32, attributes: u64) -> Result<Fd> {
    const FSMOUNT_CLOEXEC: usize = 1;
    fd(call(nr::FSMOUNT, [arg(context), FSMOUNT_CLOEXEC, word(attributes), 0, 0, 0]))
}

pub fn pivot_root(new: &CStr, old: &CStr) -> Result<()> {
    none(call(nr::PIVOT_ROOT, [ptr(new), ptr(old), 0, 0, 0, 0]))
}

pub fn chroot(path: &CStr) -> Result<()> {
    none(call(nr::CHROOT, [ptr(path), 0, 0, 0, 0, 0]))
}

pub fn chdir(path: &CStr) -> Result<()> {
    none(call(nr::CHDIR, [ptr(path), 0, 0, 0, 0, 0]))
}

pub fn fchdir(dir: i32) -> Result<()> {
    none(call(nr::FCHDIR, [arg(dir), 0, 0, 0, 0, 0]))
}

pub fn getcwd(to: &mut [u8]) -> Result<&[u8]> {
    let n = call(nr::GETCWD, [to.as_mut_ptr() as usize, to.len(), 0, 0, 0, 0])?;
    to.get(..n.saturating_sub(1)).ok_or(Errno::EINVAL)
}
