//! Unmounts what is mounted below a directory, whatever it is: what mountinfo says now, not what we remember.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dunnage::error::{Errno, Error, Result};
use dunnage::files;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, umount2};

use super::fuse;
use super::table::{Mounted, below, places};

/// Somebody may look at it at this very moment: udev, a monitor, a process that has not quite ended.
const BUSY_TRIES: u32 = 50;
const BUSY_WAIT: Duration = Duration::from_millis(50);

/// Each round takes at least one mount away.
const ROUNDS: u32 = 10_000;

/// Everything at `rootfs` and below it, the deepest first.
pub fn all(rootfs: &Path) -> Result<()> {
    let Some(top) = real_path(rootfs)? else { return Ok(()) };
    for _ in 0..ROUNDS {
        let places = places(below(&top)?);
        if places.is_empty() {
            return Ok(());
        }
        // One, and then again from the deepest on: below what is stacked there may be another.
        uncover(&places)?;
    }
    Err(Error::new(format!("mounts keep appearing below {}", top.display())))
}

/// Unmounts the deepest that can be reached.
fn uncover(places: &[Mounted]) -> Result<()> {
    let mut hidden = None;
    for place in places {
        match one(place) {
            // It lies below another mount.
            Err(e) if matches!(e.errno(), Some(Errno::EINVAL | Errno::ENOENT | Errno::ENOTDIR)) => {
                hidden.get_or_insert(e);
            }
            result => return result,
        }
    }
    hidden.map_or(Ok(()), Err)
}

/// The same in whatever order and state, without waiting for anything.
pub fn detach(rootfs: &Path) {
    let Ok(Some(top)) = real_path(rootfs) else { return };
    for _ in 0..ROUNDS {
        let Ok(mounts) = below(&top) else { return };
        let mut places = places(mounts);
        // With a mount goes what is below it.
        places.reverse();
        let gone = |place: &Mounted| umount(&place.at, MntFlags::MNT_DETACH).is_ok();
        if !places.iter().any(gone) {
            return;
        }
    }
}

/// The uppermost mount of one place.
fn one(place: &Mounted) -> Result<()> {
    if place.is_fuse() && fuse::unmount(&place.at) {
        return Ok(());
    }
    let mut tries = BUSY_TRIES;
    loop {
        match umount(&place.at, MntFlags::empty()) {
            Err(Errno::EBUSY) if tries > 0 => {
                tries = tries.saturating_sub(1);
                std::thread::sleep(BUSY_WAIT);
            }
            result => {
                return result.map_err(|e| {
                    let error = Error::sys(format!("umount {}", place.at.display()), e);
                    if e == Errno::EBUSY { error.hint("a process of the host uses it (fuser -vm)") } else { error }
                });
            }
        }
    }
}

/// umount2(2), through no link: below a container's root its names are the image's and the container's.
fn umount(at: &Path, flags: MntFlags) -> std::result::Result<(), Errno> {
    let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else { return Err(Errno::EINVAL) };
    let parent = files::open_without_links(parent, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
    umount2(&in_dir(&parent, name), flags | MntFlags::UMOUNT_NOFOLLOW)
}

fn in_dir(dir: &OwnedFd, name: &std::ffi::OsStr) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name)
}

/// As mountinfo has it: the bundle's path may go through links (/var/run). Only the parent is looked up: what is mounted on it
/// may be a file system that answers no more. `None` if there is no such directory.
fn real_path(rootfs: &Path) -> Result<Option<PathBuf>> {
    let (Some(parent), Some(name)) = (rootfs.parent(), rootfs.file_name()) else {
        return Err(Error::new(format!("{} is no directory of a container", rootfs.display())));
    };
    let failed = |e| Error::sys(format!("open {}", parent.display()), e);
    let parent = match files::open(parent, OFlag::O_PATH | OFlag::O_DIRECTORY) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        parent => parent.map_err(failed)?,
    };
    let link = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd()));
    let real: OsString = nix::fcntl::readlink(&link).map_err(failed)?;
    Ok(Some(Path::new(&real).join(name)))
}
