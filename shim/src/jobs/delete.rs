//! The end of a container: what the runtime has of it, then its mounts.

use dunnage::container;

use super::other;
use super::{Outcome, Whose};
use crate::mounts;
use crate::ttrpc::Failure;

/// Removes it. One that is not there any more (an administrator was faster) is no fault. A root that was not mounted by us is left alone.
pub fn delete(whose: &Whose, has_mounts: bool) -> Result<Outcome, Failure> {
    match other::runtime(whose)? {
        Some(runtime) => runtime.delete(&whose.id, true)?,
        None => container::delete(&whose.root, &whose.id, true)
            .map_err(|e| Failure::unknown(format_args!("failed to delete task: {e}")))?,
    }
    if has_mounts {
        mounts::unmount_all(&whose.bundle.join("rootfs"))?;
    }
    Ok(Outcome::default())
}
