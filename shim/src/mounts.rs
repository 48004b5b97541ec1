//! stub
use std::path::Path;
/// x
pub fn mount_all(_: &[crate::proto::Mount], _: &Path) -> dunnage::error::Result<()> {
    Ok(())
}
/// x
pub fn unmount_all(_: &Path) -> dunnage::error::Result<()> {
    Ok(())
}
/// x
pub fn detach_all(_: &Path) {}
