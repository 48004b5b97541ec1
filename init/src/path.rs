//! Names inside the container's root become descriptors here, once, and nowhere else. The image and everybody who shares a
//! volume with it may have put links there, and may be moving them: the kernel resolves (openat2(2) with
//! RESOLVE_IN_ROOT), never a loop of ours that looks first and acts later.
//!
//! Every call that takes a name goes through here (`init/clippy.toml` forbids it anywhere else): a path of the container
//! by [`open`] and [`destination`], a name in an open directory by [`child`] and the functions after it, and what is the host's, or
//! known to be in nobody's hands, by the functions at the end.
#![expect(clippy::disallowed_methods, reason = "the one place for paths of the container")]

use crate::run::{At, Failure, Init};
use crate::sys::{self, Errno, Fd};
use crate::text::{Path, Text};
use core::ffi::CStr;
use dunnage_steps::Call;

/// Links are followed inside the root; those of procfs that lead out of it are not.
const INSIDE: u64 = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
/// The name itself, no link.
const ITSELF: u64 = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS | sys::RESOLVE_NO_MAGICLINKS;

/// What a missing destination becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Make {
    Directory,
    File,
}

/// A destination, whether its path was free of links (then what the path says lexically is true), and whether it was made now.
pub struct Found {
    pub fd: Fd,
    pub plain: bool,
    pub made: bool,
}

/// Opens what exists: a handle (O_PATH) with further `flags`.
pub fn open(init: &Init<'_>, path: &CStr, flags: u64) -> Result<sys::Result<Fd>, Failure> {
    Ok(sys::openat2(init.root()?, path, sys::O_PATH | flags, 0, INSIDE))
}

/// Opens what exists, for reading or writing.
pub fn open_file(init: &Init<'_>, path: &CStr, flags: u64) -> Result<sys::Result<Fd>, Failure> {
    Ok(sys::openat2(init.root()?, path, flags | sys::O_NOCTTY, 0, INSIDE))
}

/// Opens a destination, made if it is missing.
pub fn destination(
    init: &mut Init<'_>,
    path: &CStr,
    make: impl FnOnce() -> Result<Make, Failure>,
) -> Result<Found, Failure> {
    let root = init.root()?;
    // Most paths hold no link. Asking for that first tells it without another call.
    match sys::openat2(root, path, sys::O_PATH, 0, INSIDE | sys::RESOLVE_NO_SYMLINKS) {
        Ok(fd) => return Ok(Found { fd, plain: true, made: false }),
        // There was no link up to where the path ends.
        Err(Errno::ENOENT) => {
            let make = make()?;
            return create_last(root, path, make)
                .or_else(|_| create(root, path.to_bytes(), make, INSIDE | sys::RESOLVE_NO_SYMLINKS, 0))
                .or_else(|_| create(root, path.to_bytes(), make, INSIDE, 0))
                .or_else(|errno| refused(init, path, errno));
        }
        Err(Errno::ELOOP) => (),
        Err(errno) => return refused(init, path, errno),
    }
    match sys::openat2(root, path, sys::O_PATH, 0, INSIDE) {
        Ok(fd) => Ok(Found { fd, plain: false, made: false }),
        Err(Errno::ENOENT) => {
            let make = make()?;
            create(root, path.to_bytes(), make, INSIDE, 0).or_else(|errno| refused(init, path, errno))
        }
        Err(errno) => refused(init, path, errno),
    }
}

/// Makes what is missing if that is the last component only.
fn create_last(root: i32, path: &CStr, make: Make) -> sys::Result<Found> {
    let bytes = path.to_bytes();
    let slash = bytes.iter().rposition(|b| *b == b'/').ok_or(Errno::ENOENT)?;
    let (parent, name) = bytes.split_at(slash);
    let (mut parent_text, mut name_text) = (Path::new(), Text::<256>::new());
    let parent = parent_text.push(parent).push(b"/").c_str().ok_or(Errno::ENAMETOOLONG)?;
    let name = name_text.push(name.get(1..).unwrap_or_default()).c_str().ok_or(Errno::ENAMETOOLONG)?;
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    let dir = sys::openat2(root, parent, flags, 0, INSIDE | sys::RESOLVE_NO_SYMLINKS)?;
    create_one(dir.raw(), name, make).map(|fd| Found { fd, plain: true, made: true })
}

/// A directory, made with its parents if it is missing.
pub fn directory(init: &mut Init<'_>, path: &CStr) -> Result<Found, Failure> {
    destination(init, path, || Ok(Make::Directory))
}

fn refused<T>(init: &mut Init<'_>, path: &CStr, errno: Errno) -> Result<T, Failure> {
    init.about(path);
    Err(errno).at(Call::Open)
}

/// The most links that lead to where nothing is, as in path_resolution(7).
const MAX_LINKS: u32 = 40;

/// Makes what is missing of `path`, component by component: each is opened through the root again, and made in the
/// directory that this gave, so that no swap in between leads outside. `resolve`: with links or without.
fn create(root: i32, path: &[u8], make: Make, resolve: u64, links: u32) -> sys::Result<Found> {
    let mut prefix = Path::new();
    let mut parent: Option<Fd> = None;
    let mut parent_len = 0;
    let mut components = path.split(|b| *b == b'/').filter(|c| !c.is_empty() && *c != b".").peekable();
    while let Some(name) = components.next() {
        prefix.push(b"/").push(name);
        let whole = prefix.c_str().ok_or(Errno::ENAMETOOLONG)?;
        let opened = match sys::openat2(root, whole, sys::O_PATH, 0, resolve) {
            Err(Errno::ENOENT) => {
                let mut text = Path::new();
                let name = text.push(name).c_str().ok_or(Errno::ENAMETOOLONG)?;
                let dir = parent.as_ref().map_or(root, Fd::raw);
                let last = components.peek().is_none();
                match create_one(dir, name, if last { make } else { Make::Directory }) {
                    // Something is there that leads nowhere: a link, whose target is to be made instead.
                    Err(Errno::EEXIST) if links < MAX_LINKS && resolve == INSIDE => {
                        prefix.truncate(parent_len);
                        let target = link_target(dir, name, &prefix, components)?;
                        return create(root, target.as_bytes(), make, resolve, links.saturating_add(1));
                    }
                    Err(Errno::EEXIST) => return Err(Errno::ELOOP),
                    r => r?,
                }
            }
            r => r?,
        };
        parent = Some(opened);
        parent_len = prefix.as_bytes().len();
    }
    // Through links, the caller has to look at where it is.
    parent.map(|fd| Found { fd, plain: resolve != INSIDE, made: true }).ok_or(Errno::ENOENT)
}

fn create_one(dir: i32, name: &CStr, make: Make) -> sys::Result<Fd> {
    match make {
        Make::Directory => sys::mkdirat(dir, name, 0o755)?,
        // Not by opening it: a file that is open for writing keeps its file system from becoming read-only.
        Make::File => sys::mknodat(dir, name, sys::S_IFREG | 0o644, 0)?,
    }
    sys::openat2(dir, name, sys::O_PATH, 0, ITSELF)
}

/// Where the link `name` in the directory at `prefix` leads, with the rest of the path behind it.
fn link_target<'a>(dir: i32, name: &CStr, prefix: &Path, rest: impl Iterator<Item = &'a [u8]>) -> sys::Result<Path> {
    let mut link = [0; crate::text::PATH_MAX];
    let link = sys::readlinkat(dir, name, &mut link)?;
    let mut target = Path::new();
    if !link.starts_with(b"/") {
        target.push(prefix.as_bytes()).push(b"/");
    }
    target.push(link);
    for component in rest {
        target.push(b"/").push(component);
    }
    target.c_str().ok_or(Errno::ENAMETOOLONG)?;
    Ok(target)
}

// ---- names in an open directory: one component, and never through a link ---------------------------------------------

/// How often somebody may win the race for a name against us before we refuse.
const RACES: u32 = 1000;

/// Opens a name in a directory.
pub fn child(dir: i32, name: &CStr, flags: u64, resolve: u64) -> sys::Result<Fd> {
    // A handle is none of a terminal, and openat2(2) refuses what makes no sense.
    let flags = if flags & sys::O_PATH == 0 { flags | sys::O_NOCTTY } else { flags };
    let name = single(name)?;
    for _ in 0..RACES {
        match sys::openat2(dir, name, flags, 0, ITSELF | resolve) {
            // One component without links leads nowhere else: what had the name was moved out of the directory while the kernel looked.
            Err(Errno::EXDEV) if resolve & sys::RESOLVE_NO_XDEV == 0 => {}
            opened => return opened,
        }
    }
    Err(Errno::EXDEV)
}

/// Makes a file for writing, which must not be there.
pub fn new_file(dir: i32, name: &CStr) -> sys::Result<Fd> {
    sys::openat2(dir, single(name)?, sys::O_CREAT | sys::O_EXCL | sys::O_WRONLY, 0o600, ITSELF)
}

/// Makes a directory.
pub fn mkdir(dir: i32, name: &CStr, mode: u32) -> sys::Result<()> {
    sys::mkdirat(dir, single(name)?, mode)
}

/// Makes a device node, a fifo, a socket or an empty file.
pub fn mknod(dir: i32, name: &CStr, mode: u32, dev: u64) -> sys::Result<()> {
    sys::mknodat(dir, single(name)?, mode, dev)
}

/// Makes a link.
pub fn symlink(target: &CStr, dir: i32, name: &CStr) -> sys::Result<()> {
    sys::symlinkat(target, dir, single(name)?)
}

/// Removes what is no directory.
pub fn unlink(dir: i32, name: &CStr) -> sys::Result<()> {
    sys::unlinkat(dir, single(name)?)
}

/// Where a link leads.
pub fn readlink<'a>(dir: i32, name: &CStr, to: &'a mut [u8]) -> sys::Result<&'a [u8]> {
    sys::readlinkat(dir, single(name)?, to)
}

/// Gives a name, or the link that it is, to another; with an empty name what is open.
pub fn chown(dir: i32, name: &CStr, uid: u32, gid: u32) -> sys::Result<()> {
    sys::fchownat(dir, single(name)?, uid, gid)
}

/// Changes the mode of a file that nobody else has a hand on: chmod(2) follows a link.
pub fn chmod(dir: i32, name: &CStr, mode: u32) -> sys::Result<()> {
    sys::fchmodat(dir, single(name)?, mode)
}

/// Changes the times of a name, or of the link that it is.
pub fn utimes(dir: i32, name: &CStr, times: [(i64, u32); 2]) -> sys::Result<()> {
    sys::utimensat(dir, single(name)?, times)
}

fn single(name: &CStr) -> sys::Result<&CStr> {
    let bytes = name.to_bytes();
    if bytes.contains(&b'/') || bytes == b".." { Err(Errno::EINVAL) } else { Ok(name) }
}

// ---- mounts -----------------------------------------------------------------------------------------------------------

/// mount(2) on the working directory, which is what fchdir(2) was given.
pub fn mount_here(source: Option<&CStr>, fstype: Option<&CStr>, flags: u64, data: Option<&CStr>) -> sys::Result<()> {
    sys::mount(source, c".", fstype, flags, data)
}

/// mount(2) on a path below the private procfs, `self/fd/N`: a descriptor for calls that know only paths.
pub fn mount_on_descriptor(source: Option<&CStr>, target: &CStr, flags: u64) -> sys::Result<()> {
    sys::mount(source, target, None, flags, None)
}

/// A copy of the mount that is open, attached nowhere.
pub fn copy_of(fd: i32, recursive: bool) -> sys::Result<Fd> {
    sys::open_tree_clone(fd, c"", recursive)
}

/// Attaches a mount where a descriptor is.
pub fn attach(mount: i32, target: i32) -> sys::Result<()> {
    sys::move_mount(mount, target, c"")
}

// ---- what is the host's: paths of the plan, before its root is left -----------------------------------------------------

/// Opens a path of the host.
pub fn of_host(path: &CStr, flags: u64) -> sys::Result<Fd> {
    sys::openat(Fd::CWD, path, flags)
}

/// The directory above, or the same if there is none.
pub fn above(dir: i32) -> sys::Result<Fd> {
    sys::openat(dir, c"..", sys::O_PATH | sys::O_DIRECTORY)
}

/// A copy of a part of the host's tree: of a path, or, with an empty one, of what is open.
pub fn tree_of_host(at: i32, path: &CStr, recursive: bool) -> sys::Result<Fd> {
    sys::open_tree_clone(at, path, recursive)
}

/// Attaches the container's root to where it is on the host, in our copy of the host's mounts.
pub fn attach_root(tree: i32, at: i32, path: &CStr) -> sys::Result<()> {
    sys::move_mount(tree, at, path)
}

/// mount(2) in our copy of the host's mounts.
pub fn mount_of_host(source: Option<&CStr>, target: &CStr, fstype: Option<&CStr>, flags: u64) -> sys::Result<()> {
    sys::mount(source, target, fstype, flags, None)
}

/// umount2(2) there.
pub fn umount_of_host(target: &CStr) -> sys::Result<()> {
    sys::umount2(target, sys::MNT_DETACH)
}

/// A file of the private procfs: nothing that is mounted over it, and no link that leads out of it.
pub fn in_procfs(proc: i32, path: &CStr, flags: u64) -> sys::Result<Fd> {
    sys::openat2(proc, path, flags, 0, sys::RESOLVE_BENEATH | sys::RESOLVE_NO_MAGICLINKS | sys::RESOLVE_NO_XDEV)
}

/// What was opened in procfs by this program, opened once more: `self/fd/N` below it is a link of the kernel's.
pub fn again(proc: i32, path: &CStr, flags: u64) -> sys::Result<Fd> {
    sys::openat(proc, path, flags)
}

/// Opens a path in the root that we are in, as the user that we are: what a filter that does not know openat2(2) leaves.
pub fn as_user(path: &CStr, flags: u64) -> sys::Result<Fd> {
    sys::openat(Fd::CWD, path, flags | sys::O_NOCTTY)
}

/// chdir(2), likewise; where that is, is looked at by whoever calls this.
pub fn chdir_as_user(path: &CStr) -> sys::Result<()> {
    sys::chdir(path)
}

/// The root directory of a process becomes its working directory.
pub fn chroot_here() -> sys::Result<()> {
    sys::chroot(c".")?;
    sys::chdir(c"/")
}
