//! Mounts inside the container's root: file systems, binds, their attributes, masks. Targets are descriptors; mount(2) is
//! given `.` after fchdir(2), which for a directory is the same as a descriptor and asks half the calls of fsopen(2).

use crate::copy_up;
use crate::path::{self, Found, Make};
use crate::run::{At, Done, Failure, Init};
use crate::sys::{self, Errno, Fd};
use crate::text::Text;
use core::ffi::CStr;
use core::fmt::Write;
use dunnage_steps::flags::{Attr, MountFlags};
use dunnage_steps::{Call, Slot};

/// A tmpfs that can hold nothing: its flags, and its options.
const NOTHING: MountFlags =
    MountFlags::RDONLY.with(MountFlags::NOSUID).with(MountFlags::NODEV).with(MountFlags::NOEXEC);
const NO_ROOM: &CStr = c"nr_blocks=1,nr_inodes=1";

/// The fields of [`dunnage_steps::Step::Mount`].
pub struct Filesystem {
    pub fstype: &'static CStr,
    pub source: &'static CStr,
    pub dest: &'static CStr,
    pub flags: MountFlags,
    pub data: &'static CStr,
    pub keep_mode: bool,
    pub copy_up: bool,
    pub in_proc: bool,
    pub fallback: &'static CStr,
    pub label: &'static CStr,
}

/// Mounts a file system.
pub fn mount(init: &mut Init<'static>, m: &Filesystem) -> Done {
    let target = path::directory(init, m.dest)?;
    check(init, m.dest, &target, m.in_proc, matches!(m.fstype.to_bytes(), b"proc" | b"sysfs"))?;
    let mut with_mode = Text::<4096>::new();
    let mut data = m.data;
    if m.keep_mode && !target.made {
        let mode = sys::statx(target.fd.raw(), c"").at(Call::Stat)?.mode & 0o7777;
        // In front: a mode that the user gave comes later and wins.
        let _ = write!(with_mode, "mode=0{mode:o}");
        if !m.data.is_empty() {
            with_mode.push(b",").push(m.data.to_bytes());
        }
        data = with_mode.c_str().ok_or(Failure::of(Call::Mount, Errno::ENAMETOOLONG))?;
    }
    sys::fchdir(target.fd.raw()).at(Call::Fchdir)?;
    let data = Some(data).filter(|d| !d.is_empty());
    match path::mount_here(Some(m.source), Some(m.fstype), m.flags.0, data) {
        Err(Errno::EPERM | Errno::EBUSY) if !m.fallback.is_empty() => {
            match source_tree(init, m.fallback, true) {
                Ok(tree) => {
                    attach(init, tree, &target.fd, m.dest)?;
                    // The host's own, so with the host's flags, until it is told otherwise (CVE-2023-25809). The first four
                    // flags have the same numbers in both sets.
                    remount(init, Attr(m.flags.0 & 0xf), Attr::none())?;
                }
                // A rootless container that had to do without a cgroup: it sees none, rather than the host's.
                Err(failure) if failure.errno == Errno::ENOENT => {
                    path::mount_here(Some(c"tmpfs"), Some(c"tmpfs"), NOTHING.0, Some(NO_ROOM)).at(Call::Mount)?;
                }
                Err(failure) => return Err(failure),
            }
        }
        r => r.at(Call::Mount)?,
    }
    mounted_at(init, m.dest);
    if !m.label.is_empty() {
        let root = path::open_file(init, m.dest, sys::O_DIRECTORY)?.at(Call::Open)?;
        sys::fsetxattr(root.raw(), c"security.selinux", m.label.to_bytes()).at(Call::Xattr)?;
    }
    if m.copy_up {
        let to = path::open_file(init, m.dest, sys::O_DIRECTORY)?.at(Call::Open)?;
        // The handle is of the directory below the mount: `.` through it does not cross to what is mounted on it.
        let from = path::child(target.fd.raw(), c".", sys::O_DIRECTORY, 0).at(Call::Openat)?;
        copy_up::tree(procfs(init)?, &from, &to, 0)?;
    }
    Ok(())
}

/// The fields of [`dunnage_steps::Step::Bind`].
pub struct Bind {
    pub source: &'static CStr,
    pub from: Slot,
    pub dest: &'static CStr,
    pub recursive: bool,
    pub remount: bool,
    pub set: Attr,
    pub clear: Attr,
    pub in_proc: bool,
    pub procfs: bool,
    pub optional: bool,
    pub detached: bool,
}

/// Binds a part of the host's tree.
pub fn bind(init: &mut Init<'static>, b: &Bind) -> Done {
    let tree = if b.from == Slot::NONE {
        match source_tree(init, b.source, b.recursive) {
            Err(Failure { errno: Errno::ENOENT, .. }) if b.optional => return Ok(()),
            r => r?,
        }
    } else {
        let from = init.slot(b.from)?;
        if b.detached { Tree::Detached(Fd::from_raw(from)) } else { clone_of(init, from, b.recursive)? }
    };
    let target = path::destination(init, b.dest, || {
        let is_directory = sys::statx(tree.raw(), c"").at(Call::Stat)?.is(sys::S_IFDIR);
        Ok(if is_directory { Make::Directory } else { Make::File })
    })?;
    check(init, b.dest, &target, b.in_proc, b.procfs)?;
    if b.procfs && sys::fstatfs(tree.raw()).at(Call::Statfs)? != sys::PROC_SUPER_MAGIC {
        return Err(Failure::found(Call::NotProcType));
    }
    attach(init, tree, &target.fd, b.dest)?;
    if b.remount { remount(init, b.set, b.clear) } else { Ok(()) }
}

/// The flags that a bind remount decides anew: all that are not named are cleared.
const REMOUNTED: Attr = Attr(Attr::RDONLY.0 | Attr::NOSUID.0 | Attr::NODEV.0 | Attr::NOEXEC.0 | Attr::NOSYMFOLLOW.0);

fn remount(init: &mut Init<'static>, set: Attr, clear: Attr) -> Done {
    let mount = last(init)?;
    let mut all = REMOUNTED.with(clear).without(set);
    if set.0 & Attr::ATIME.0 != 0 {
        // The access time is one field of several bits: to set it is to clear it first.
        all = all.with(Attr::ATIME);
    }
    match sys::mount_setattr(mount, false, set.0, all.0, 0) {
        // Flags that the mount came with into this user namespace are locked (mount_namespaces(7)): they stay, unless
        // the user said explicitly that they must not.
        Err(Errno::EPERM) => {
            let explicit = all.without(REMOUNTED.without(clear));
            sys::mount_setattr(mount, false, set.0, explicit.0, 0).map_err(|errno| match errno {
                Errno::EPERM => Failure::of(Call::LockedFlags, errno),
                _ => Failure::of(Call::MountSetattr, errno),
            })
        }
        Err(Errno::ENOSYS) => old_remount(init, mount, |_| attr_to_flags(set)),
        r => r.at(Call::MountSetattr),
    }
}

/// Sets attributes of the mount made last and of all below it.
pub fn attributes(init: &mut Init<'static>, set: Attr, clear: Attr) -> Done {
    let mount = last(init)?;
    sys::mount_setattr(mount, true, set.0, clear.0, 0).at(Call::MountSetattr)
}

/// Sets the propagation of the mount made last.
pub fn propagate(init: &mut Init<'static>, flags: MountFlags) -> Done {
    let mount = last(init)?;
    let recursive = flags.contains(MountFlags::REC);
    match sys::mount_setattr(mount, recursive, 0, 0, flags.without(MountFlags::REC).0) {
        Err(Errno::ENOSYS) => through_proc(init, |target| path::mount_on_descriptor(None, target, flags.0), mount),
        r => r.at(Call::MountSetattr),
    }
}

/// Makes the mount at a path read-only; its other flags stay.
pub fn read_only(init: &mut Init<'static>, path: &CStr) -> Done {
    let mount = path::open(init, path, 0)?.at(Call::Open)?;
    set_read_only(init, mount.raw())
}

fn set_read_only(init: &mut Init<'static>, mount: i32) -> Done {
    match sys::mount_setattr(mount, false, Attr::RDONLY.0, 0, 0) {
        Err(Errno::ENOSYS) => old_remount(init, mount, |flags| flags | MountFlags::RDONLY.0),
        r => r.at(Call::MountSetattr),
    }
}

/// Binds a path on itself, read-only. What is not there need not be protected.
pub fn read_only_path(init: &mut Init<'static>, path: &'static CStr) -> Done {
    let target = match path::open(init, path, 0)? {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        r => r.at(Call::Open)?,
    };
    let tree = clone_of(init, target.raw(), true)?;
    // Attached first: without mount_setattr(2) (before Linux 5.12) only what is attached can be made read-only. Nobody of the
    // container runs yet.
    attach(init, tree, &target, path)?;
    let mount = last(init)?;
    set_read_only(init, mount)
}

/// Covers a path, so that nothing of it can be read.
pub fn mask(init: &mut Init<'static>, path: &'static CStr, label: &CStr) -> Done {
    match path::open(init, path, sys::O_DIRECTORY)? {
        Ok(target) => return mask_directory(init, &target, label),
        Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::ENOTDIR) => (),
        Err(errno) => return Err(errno).at(Call::Open),
    }
    let target = match path::open(init, path, 0)? {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        r => r.at(Call::Open)?,
    };
    // The host's own null device, taken before the host's root was left: whatever the image calls /dev/null does not matter
    // (CVE-2025-31133).
    let null = match init.null.take() {
        Some(null) => null,
        None => own_null(init)?,
    };
    init.null = Some(cover(init, null, &target)?);
    Ok(())
}

/// Without open_tree(2) nothing of the host's can be taken along: the container's own null device, if it is one.
fn own_null(init: &mut Init<'_>) -> Result<Fd, Failure> {
    let null = path::open(init, c"/dev/null", 0)?.at(Call::Open)?;
    let stat = sys::statx(null.raw(), c"").at(Call::Stat)?;
    if !stat.is(sys::S_IFCHR) || stat.rdev != (1, 3) {
        return Err(Failure::found(Call::NotANull));
    }
    Ok(null)
}

fn mask_directory(init: &mut Init<'static>, target: &Fd, label: &CStr) -> Done {
    let empty = match init.empty.take() {
        Some(fd) => fd,
        None => match empty_filesystem(label) {
            // fsconfig(2) is missing, or takes no label of this length (256).
            Err(Errno::ENOSYS | Errno::EINVAL) => {
                let mut data = Text::<4096>::new();
                data.push(NO_ROOM.to_bytes());
                if !label.is_empty() {
                    data.push(b",context=\"").push(label.to_bytes()).push(b"\"");
                }
                let data = data.c_str().ok_or(Failure::of(Call::Mount, Errno::ENAMETOOLONG))?;
                sys::fchdir(target.raw()).at(Call::Fchdir)?;
                return path::mount_here(Some(c"tmpfs"), Some(c"tmpfs"), NOTHING.0, Some(data)).at(Call::Mount);
            }
            r => r.at(Call::Fsmount)?,
        },
    };
    init.empty = Some(cover(init, empty, target)?);
    Ok(())
}

/// Attaches `what` on the target: itself the first time, a copy of it later (before Linux 6.15 only what is attached can be
/// copied). Returns the one that is attached.
fn cover(init: &mut Init<'static>, what: Fd, target: &Fd) -> Result<Fd, Failure> {
    match path::copy_of(what.raw(), false) {
        Ok(copy) => path::attach(copy.raw(), target.raw()).at(Call::MoveMount)?,
        // EINVAL: not attached yet.
        Err(Errno::EINVAL) => path::attach(what.raw(), target.raw()).at(Call::MoveMount)?,
        // It can be attached once, and then bound from where it is.
        Err(Errno::ENOSYS) => match path::attach(what.raw(), target.raw()) {
            Ok(()) => (),
            Err(_) => {
                let raw = what.raw();
                old_bind(init, raw, target.raw(), false)?;
            }
        },
        Err(errno) => return Err(errno).at(Call::OpenTree),
    }
    Ok(what)
}

/// One superblock for all masked directories: it can hold nothing.
fn empty_filesystem(label: &CStr) -> sys::Result<Fd> {
    let context = sys::fsopen(c"tmpfs")?;
    sys::fsconfig_set_string(context.raw(), c"nr_blocks", c"1")?;
    sys::fsconfig_set_string(context.raw(), c"nr_inodes", c"1")?;
    if !label.is_empty() {
        sys::fsconfig_set_string(context.raw(), c"context", label)?;
    }
    sys::fsconfig_create(context.raw())?;
    sys::fsmount(context.raw(), Attr::RDONLY.with(Attr::NOSUID).with(Attr::NODEV).with(Attr::NOEXEC).0)
}

// ---- where, and what ------------------------------------------------------------------------------------------------

/// A tree on its way to its target.
enum Tree {
    /// Copied, attached nowhere.
    Detached(Fd),
    /// Still where it was; to be bound by the old call.
    Source(Fd, bool),
}

impl Tree {
    fn raw(&self) -> i32 {
        match self {
            Tree::Detached(fd) | Tree::Source(fd, _) => fd.raw(),
        }
    }
}

/// A part of the host's tree.
fn source_tree(init: &mut Init<'_>, source: &CStr, recursive: bool) -> Result<Tree, Failure> {
    match path::tree_of_host(Fd::CWD, source, recursive) {
        Ok(fd) => Ok(Tree::Detached(fd)),
        Err(Errno::ENOSYS) => path::of_host(source, sys::O_PATH).map(|fd| Tree::Source(fd, recursive)).at(Call::Open),
        Err(errno) => {
            init.about(source);
            Err(errno).at(Call::OpenTree)
        }
    }
}

fn clone_of(init: &mut Init<'static>, fd: i32, recursive: bool) -> Result<Tree, Failure> {
    match path::copy_of(fd, recursive) {
        Ok(fd) => Ok(Tree::Detached(fd)),
        Err(Errno::ENOSYS) => {
            let path = proc_path(init, fd)?;
            let again = path::again(Fd::CWD, path.c_str().unwrap_or(c""), sys::O_PATH).at(Call::Open)?;
            Ok(Tree::Source(again, recursive))
        }
        Err(errno) => Err(errno).at(Call::OpenTree),
    }
}

/// Attaches a tree, which becomes the mount made last.
fn attach(init: &mut Init<'static>, tree: Tree, target: &Fd, dest: &'static CStr) -> Done {
    let attached = match tree {
        Tree::Detached(fd) => {
            path::attach(fd.raw(), target.raw()).at(Call::MoveMount)?;
            Some(fd)
        }
        Tree::Source(fd, recursive) => {
            old_bind(init, fd.raw(), target.raw(), recursive)?;
            None
        }
    };
    mounted_at(init, dest);
    init.mount = attached;
    Ok(())
}

fn mounted_at(init: &mut Init<'static>, dest: &'static CStr) {
    // A directory that was remembered may be covered now.
    init.directory = None;
    init.mount = None;
    init.mounted = dest;
}

/// The mount made last: as a descriptor of its root.
fn last(init: &mut Init<'static>) -> Result<i32, Failure> {
    if init.mount.is_none() {
        init.mount = Some(path::open(init, init.mounted, 0)?.at(Call::Open)?);
    }
    init.mount.as_ref().map(Fd::raw).ok_or(Failure::found(Call::Plan))
}

/// What the compiler could see of the path is true only if there was no link in it; else it is looked at again here.
fn check(init: &mut Init<'_>, dest: &CStr, target: &Found, in_proc: bool, ordinary: bool) -> Done {
    if target.plain {
        return Ok(());
    }
    init.about(dest);
    if ordinary || in_proc {
        // /proc and /sys themselves, and the few files of /proc that may be covered, must be where they are said to be:
        // CVE-2019-19921, CVE-2023-27561.
        return Err(Failure::found(Call::NotADirectory));
    }
    let (here, root) =
        (sys::statx(target.fd.raw(), c"").at(Call::Stat)?, sys::statx(init.root()?, c"").at(Call::Stat)?);
    if (here.mount, here.ino) == (root.mount, root.ino) {
        return Err(Failure::found(Call::OnRoot));
    }
    if sys::fstatfs(target.fd.raw()).at(Call::Statfs)? == sys::PROC_SUPER_MAGIC {
        return Err(Failure::found(Call::InsideProc));
    }
    Ok(())
}

// ---- kernels (or filters around us) without the new mount calls ------------------------------------------------------

/// `self/fd/N` in the private procfs, which is made the working directory: the old calls know only paths.
fn proc_path(init: &mut Init<'static>, fd: i32) -> Result<Text<32>, Failure> {
    sys::fchdir(procfs(init)?).at(Call::Fchdir)?;
    let mut path = Text::new();
    let _ = write!(path, "self/fd/{fd}");
    Ok(path)
}

/// The private procfs; made now, if no step before needed it.
fn procfs(init: &mut Init<'static>) -> Result<i32, Failure> {
    if init.proc.is_none() {
        crate::namespaces::proc(init, false)?;
    }
    init.proc.as_ref().map(Fd::raw).ok_or(Failure::found(Call::Plan))
}

fn through_proc(init: &mut Init<'static>, call: impl FnOnce(&CStr) -> sys::Result<()>, fd: i32) -> Done {
    let path = proc_path(init, fd)?;
    call(path.c_str().unwrap_or(c"")).at(Call::Mount)
}

fn old_bind(init: &mut Init<'static>, from: i32, to: i32, recursive: bool) -> Done {
    let source = proc_path(init, from)?;
    let target = proc_path(init, to)?;
    let flags = if recursive { MountFlags::BIND.with(MountFlags::REC) } else { MountFlags::BIND };
    path::mount_on_descriptor(source.c_str(), target.c_str().unwrap_or(c""), flags.0).at(Call::Mount)
}

fn old_remount(init: &mut Init<'static>, mount: i32, flags: impl FnOnce(u64) -> u64) -> Done {
    let now = sys::mount_flags(mount).at(Call::Statfs)?;
    let flags = flags(now) | MountFlags::REMOUNT.with(MountFlags::BIND).0;
    through_proc(init, |target| path::mount_on_descriptor(None, target, flags), mount)
}

fn attr_to_flags(set: Attr) -> u64 {
    // The first four have the same numbers in both sets.
    let mut flags = set.0 & 0xf;
    for (attr, flag) in [
        (Attr::NOSYMFOLLOW, MountFlags::NOSYMFOLLOW),
        (Attr::NOATIME, MountFlags::NOATIME),
        (Attr::NODIRATIME, MountFlags::NODIRATIME),
        (Attr::STRICTATIME, MountFlags::STRICTATIME),
    ] {
        if set.contains(attr) {
            flags |= flag.0;
        }
    }
    flags
}
