//! Parts of the host's tree for a container that could not get at them itself: cloned here, with mapped ids where asked for,
//! and sent as descriptors.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use dunnage_steps::flags::MountFlags;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use super::idmaps;
use crate::error::{Errno, Error, Result};
use crate::plan::parent::Idmap;
use crate::spec::IdMapping;
use crate::sys::mount::{MOUNT_ATTR_IDMAP, MountAttr, mount_setattr, open_tree_clone};
use crate::sys::userns::Holder;

/// A handle of `source` in the mount namespace of `pid`, our child that still has the host's root in its copy of it: found with
/// our rights, but of a mount that is the container's to bind.
pub fn find(pid: i32, source: &str) -> Result<OwnedFd> {
    let failed = |e| Error::sys(format!("open {source}"), e).doing("failed to fulfil mount request");
    let path = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let root = open(format!("/proc/{pid}/root").as_str(), path | OFlag::O_DIRECTORY, Mode::empty()).map_err(failed)?;
    // A link with an absolute target must not lead back to our own root.
    let how = OpenHow::new().flags(path).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    openat2(&root, source, how).map_err(failed)
}

/// Clones `source`. `maps`: those of the container, for a mount that names none.
pub fn clone(
    source: &str,
    recursive: bool,
    idmap: Option<&Idmap>,
    maps: &(Vec<IdMapping>, Vec<IdMapping>),
) -> Result<OwnedFd> {
    let path = CString::new(source).map_err(|_| Error::new("mount field contains null byte"))?;
    let tree = open_tree_clone(&path, recursive)
        .map_err(|e| Error::sys(format!("open {source}"), e).doing("failed to fulfil mount request"))?;
    // A copy is a peer of the original: what is mounted in the container must not show up on the host.
    let slave = MountAttr { propagation: MountFlags::SLAVE.0, ..MountAttr::default() };
    mount_setattr(tree.as_fd(), recursive, &slave).map_err(|e| Error::sys(format!("mount_setattr {source}"), e))?;
    if let Some(idmap) = idmap {
        map_ids(&tree, source, idmap, maps)?;
    }
    Ok(tree)
}

fn map_ids(tree: &OwnedFd, source: &str, idmap: &Idmap, maps: &(Vec<IdMapping>, Vec<IdMapping>)) -> Result<()> {
    let open = |file: &str| File::open(file).map_err(|e| Error::io(format!("open {file}"), &e));
    let userns = match &idmap.user_namespace {
        Some(file) if idmap.uids.is_empty() => open(file)?,
        _ => {
            let (uids, gids) = if idmap.uids.is_empty() { (&maps.0, &maps.1) } else { (&idmap.uids, &idmap.gids) };
            if uids.is_empty() || gids.is_empty() {
                return Err(Error::new("id-mapped mounts must have both uid and gid mappings specified"));
            }
            let holder =
                Holder::new().map_err(|e| Error::sys("clone (namespaces user)", e).doing("map the ids of a mount"))?;
            idmaps::write_maps(holder.pid, uids, gids)?;
            open(&format!("/proc/{}/ns/user", holder.pid))?
        }
    };
    let attr = MountAttr {
        set: MOUNT_ATTR_IDMAP,
        userns_fd: u64::try_from(userns.as_raw_fd()).unwrap_or(u64::MAX),
        ..MountAttr::default()
    };
    mount_setattr(tree.as_fd(), idmap.recursive, &attr).map_err(|e| {
        let error = Error::sys(format!("mount_setattr MOUNT_ATTR_IDMAP {source}"), e);
        if e == Errno::EINVAL {
            error.hint("its file system does not support id-mapped mounts on this kernel")
        } else {
            error
        }
    })
}
