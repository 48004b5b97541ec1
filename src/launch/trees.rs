//! Parts of the host's tree for a container that could not get at them itself: found here with our rights, but in its mount
//! namespace, copied with mapped ids where asked for, and sent as descriptors.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use dunnage_steps::flags::MountFlags;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};
use nix::sys::statfs;
use nix::unistd::fchdir;

use super::idmaps;
use crate::error::{Errno, Error, Result};
use crate::files;
use crate::plan::parent::{Given, Idmap};
use crate::spec::IdMapping;
use crate::sys::mount::{self, MOUNT_ATTR_IDMAP, MountAttr, mount_setattr, open_tree_clone};
use crate::sys::userns::Holder;

/// The maps of user ids and of group ids.
type Maps = (Vec<IdMapping>, Vec<IdMapping>);

/// Opens what a container is given, one after the other. Mounts of many volumes have the same maps: each user namespace that exists
/// for its maps alone is made once.
pub struct Trees<'a> {
    /// Our child, which is in the container's mount and user namespaces, still with the host's root.
    pid: i32,
    /// The maps of its user namespace.
    container: &'a Maps,
    made: Vec<(Maps, File)>,
}

impl Trees<'_> {
    /// Nothing is opened yet.
    pub fn new(pid: i32, container: &Maps) -> Trees<'_> {
        Trees { pid, container, made: Vec::new() }
    }

    /// Opens `source`.
    pub fn open(&mut self, source: &str, recursive: bool, given: &Given) -> Result<OwnedFd> {
        let found = find(self.pid, source)?;
        match given {
            Given::Handle => Ok(found),
            Given::Mount => top(found).map_err(|e| Error::sys(format!("find the mount of {source}"), e)),
            Given::Mapped(idmap) => {
                let userns = self.user_namespace(idmap)?;
                let tree = inside(self.pid, || open_tree_clone(found.as_fd(), recursive))?;
                let tree = tree.map_err(|e| Error::sys(format!("open_tree {source}"), e).doing(FAILED))?;
                map_ids(&tree, source, recursive, idmap.recursive, &userns)?;
                Ok(tree)
            }
        }
    }

    /// The user namespace that has these maps: the container's own, or one that is made for them.
    fn user_namespace(&mut self, idmap: &Idmap) -> Result<File> {
        let maps = (idmap.uids.clone(), idmap.gids.clone());
        if maps.0.is_empty() || maps == *self.container {
            let file = format!("/proc/{}/ns/user", self.pid);
            let open = files::open(file.as_str(), OFlag::O_RDONLY);
            return open.map(File::from).map_err(|e| Error::sys(format!("open {file}"), e));
        }
        if let Some((_, made)) = self.made.iter().find(|(known, _)| *known == maps) {
            return made.try_clone().map_err(|e| Error::io("dup", &e));
        }
        let made = user_namespace(&maps.0, &maps.1)?;
        let again = made.try_clone().map_err(|e| Error::io("dup", &e))?;
        self.made.push((maps, made));
        Ok(again)
    }
}

const FAILED: &str = "failed to fulfil mount request";

/// A handle of `source` in the mount namespace of `pid`.
fn find(pid: i32, source: &str) -> Result<OwnedFd> {
    let failed = |e| Error::sys(format!("open {source}"), e).doing(FAILED);
    let root = format!("/proc/{pid}/root");
    let root = files::open(root.as_str(), OFlag::O_PATH | OFlag::O_DIRECTORY).map_err(failed)?;
    // A link with an absolute target must not lead back to our own root.
    files::in_root(&root, source, OFlag::O_PATH).map_err(failed)
}

/// The top of the mount that a directory is on.
fn top(mut dir: OwnedFd) -> std::result::Result<OwnedFd, Errno> {
    while !mount::is_root(dir.as_fd())? {
        dir = files::above(&dir, OFlag::O_PATH)?;
    }
    Ok(dir)
}

/// Does something in the mount namespace of `pid`, and comes back. Only there is what the container may not change about a
/// mount locked, and it stays so in a copy.
fn inside<T>(pid: i32, work: impl FnOnce() -> T) -> Result<T> {
    let open = |file: &str, flags| files::open(file, flags).map_err(|e| Error::sys(format!("open {file}"), e));
    let handle = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let theirs = open(&format!("/proc/{pid}/ns/mnt"), OFlag::O_RDONLY)?;
    let ours = open("/proc/self/ns/mnt", OFlag::O_RDONLY)?;
    let (root, cwd) = (open("/", handle)?, open(".", handle)?);
    let failed = |e| Error::sys("setns of the container's mount namespace", e);
    setns(&theirs, CloneFlags::CLONE_NEWNS).map_err(failed)?;
    let result = work();
    setns(&ours, CloneFlags::CLONE_NEWNS)
        // It has put us at the root of the namespace, which need not be ours.
        .and_then(|()| fchdir(&root))
        .and_then(|()| files::chroot_here())
        .and_then(|()| fchdir(&cwd))
        .map_err(|e| Error::sys("setns back to the runtime's mount namespace", e))?;
    Ok(result)
}

/// A user namespace that exists for its maps alone.
pub fn user_namespace(uids: &[IdMapping], gids: &[IdMapping]) -> Result<File> {
    let holder = Holder::new().map_err(|e| Error::sys("clone (namespaces user)", e).doing("map the ids of a mount"))?;
    idmaps::write_maps(holder.pid, uids, gids)?;
    let file = format!("/proc/{}/ns/user", holder.pid);
    files::open(file.as_str(), OFlag::O_RDONLY).map(File::from).map_err(|e| Error::sys(format!("open {file}"), e))
}

/// Maps the ids of a copy; `all` those of the mounts below its top, too.
pub fn map_ids(tree: &OwnedFd, source: &str, recursive: bool, all: bool, userns: &File) -> Result<()> {
    // A copy is a peer of the original: what is mounted in the container must not show up on the host.
    let slave = MountAttr { propagation: MountFlags::SLAVE.0, ..MountAttr::default() };
    mount_setattr(tree.as_fd(), recursive, &slave).map_err(|e| Error::sys(format!("mount_setattr {source}"), e))?;
    let attr = MountAttr {
        set: MOUNT_ATTR_IDMAP,
        userns_fd: u64::try_from(userns.as_raw_fd()).unwrap_or(u64::MAX),
        ..MountAttr::default()
    };
    mount_setattr(tree.as_fd(), all, &attr).map_err(|e| {
        let error = Error::sys(format!("failed to set MOUNT_ATTR_IDMAP on {source}"), e).doing(FAILED);
        match e {
            Errno::ENOSYS => error.hint("id-mapped mounts take Linux 5.12"),
            Errno::EINVAL => error.hint(match (all, filesystem(tree)) {
                (true, name) => format!(
                    "{name}, or a file system mounted below it, does not support id-mapped mounts on this kernel"
                ),
                (false, name) => format!("{name} does not support id-mapped mounts on this kernel"),
            }),
            Errno::EPERM => {
                error.hint("it is an id-mapped mount already, or of a file system that another user namespace mounted")
            }
            _ => error,
        }
    })
}

/// The kind of file system that a mount is of: those that are known for not taking it.
fn filesystem(tree: &OwnedFd) -> String {
    let names = [
        (statfs::OVERLAYFS_SUPER_MAGIC, "overlay"),
        (statfs::NFS_SUPER_MAGIC, "nfs"),
        (statfs::FUSE_SUPER_MAGIC, "fuse"),
        (statfs::SMB_SUPER_MAGIC, "smb"),
        (statfs::PROC_SUPER_MAGIC, "proc"),
        (statfs::SYSFS_MAGIC, "sysfs"),
        (statfs::TMPFS_MAGIC, "tmpfs"),
        (statfs::CGROUP2_SUPER_MAGIC, "cgroup2"),
    ];
    let Ok(kind) = statfs::fstatfs(tree).map(|fs| fs.filesystem_type()) else { return "its file system".to_owned() };
    match names.iter().find(|(magic, _)| *magic == kind) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("its file system (type {:#x})", kind.0),
    }
}
