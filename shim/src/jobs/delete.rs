//! The end of a container: what the runtime has of it, then its mounts.

use dunnage::container;

use super::other;
use super::{Outcome, Whose};
use crate::mounts;
use crate::ttrpc::Failure;

/// Removes it. One that is not there any more (an administrator was faster) is no fault.
pub fn delete(whose: &Whose) -> Result<Outcome, Failure> {
    if let Some(runtime) = other::runtime(whose)? {
        runtime.delete(&whose.id, true)?;
        mounts::unmount_all(&whose.bundle.join("rootfs"))?;
        return Ok(Outcome::default());
    }
    container::delete(&whose.root, &whose.id, true)
        .map_err(|e| Failure::unknown(format_args!("failed to delete task: {e}")))?;
    mounts::unmount_all(&whose.bundle.join("rootfs"))?;
    Ok(Outcome::default())
}
