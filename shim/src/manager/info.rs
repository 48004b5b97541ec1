//! `-info` and `-v`: what we are.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use dunnage::error::Result;

use super::{input, print};
use crate::proto::bootstrap::{RuntimeInfo, RuntimeVersion};
use crate::proto::{Any, Message};

/// The version of the project.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `-info`: the runtime's features, as the daemon asks for them once.
///
/// # Errors
/// read(2), write(2); another runtime that is not there.
pub fn info() -> Result<()> {
    let bytes = input()?;
    let options = Any::decode(&bytes).ok().filter(|any| !any.type_url.is_empty());
    let features = dunnage::cli::features::document()?;
    let info = RuntimeInfo {
        name: "io.containerd.runc.v2".into(),
        version: Some(RuntimeVersion { version: VERSION.into(), revision: dunnage::cli::version::commit().into() }),
        options,
        features: Some(Any {
            type_url: "types.containerd.io/opencontainers/runtime-spec/1/features/Features".into(),
            value: features.into_bytes(),
        }),
        annotations: BTreeMap::new(),
    };
    print(&info.encode())
}

/// `-v`: for people.
///
/// # Errors
/// write(2).
pub fn version(argv0: &OsStr) -> Result<()> {
    let name = Path::new(argv0).file_name().unwrap_or(argv0).to_string_lossy();
    print(format!("{name}:\n  Version:  {VERSION}\n  Revision: {}\n", dunnage::cli::version::commit()).as_bytes())
}
