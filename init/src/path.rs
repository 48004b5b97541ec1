//! Names inside the container's root become descriptors here, once, and nowhere else. The image and everybody who shares a
//! volume with it may have put links there, and may be moving them: the kernel resolves (openat2(2) with
//! RESOLVE_IN_ROOT), never a loop of ours that looks first and acts later.

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
