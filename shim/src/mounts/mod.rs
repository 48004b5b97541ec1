//! The root file system of a container as containerd hands it over: mounted below the bundle's `rootfs` in our own mount
//! namespace, the host's, and unmounted again. For a process of one thread that may block, and change its directory.
//!
//! | module | owns |
//! |---|---|
//! | `options` | pure: the options of a mount -> a plan |
//! | `attach` | carrying a plan out |
//! | `overlay` | what is particular to overlay: long lists of layers, layers with mapped ids |
//! | `fuse` | the helpers of FUSE |
//! | `unmount` | unmounting; `table` is mountinfo |

mod attach;
mod fuse;
pub mod options;
mod overlay;
pub mod table;
mod unmount;

#[cfg(test)]
mod tests;

use std::path::Path;

use dunnage::error::{Context, Result};

use crate::proto::Mount;

/// Mounts all, in their order. What a mount's `target` leads to is looked up in `rootfs`, and cannot leave it.
///
/// # Errors
/// `failed to mount rootfs component: ...`; what was mounted by then is unmounted.
pub fn mount_all(mounts: &[Mount], rootfs: &Path) -> Result<()> {
    let mut done = attach::Attached::default();
    for mount in mounts {
        let result = options::plan(mount).and_then(|plan| attach::attach(mount, &plan, rootfs, &mut done));
        if result.is_err() {
            done.undo();
        }
        result.doing(|| "failed to mount rootfs component")?;
    }
    Ok(())
}

/// Unmounts whatever is mounted at `rootfs` and below it, and whatever is stacked there. Nothing there is no error.
///
/// Never MNT_DETACH: when this succeeds the file systems are quiet, and a snapshotter may do with them what it likes.
///
/// # Errors
/// `failed rootfs umount: ...`; some of it may be unmounted.
pub fn unmount_all(rootfs: &Path) -> Result<()> {
    unmount::all(rootfs).doing(|| "failed rootfs umount")
}

/// Takes out of the tree whatever is mounted at `rootfs` and below it, at once, even if it is in use. For what nobody else will
/// clean up after; a file system that is in use lives on, unseen.
pub fn detach_all(rootfs: &Path) {
    unmount::detach(rootfs);
}
