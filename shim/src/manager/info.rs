//! `-info` and `-v`: what we are.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use dunnage::error::Result;

use super::{input, print};
use crate::external;
use crate::options;
use crate::program;
use crate::proto::bootstrap::{RuntimeInfo, RuntimeVersion};
use crate::proto::options::RuncOptions;
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
    let features = features(&options::of_any(options.as_ref()).unwrap_or_default())?;
    let info = RuntimeInfo {
        name: "io.containerd.runc.v2".into(),
        version: Some(RuntimeVersion { version: VERSION.into(), revision: dunnage::cli::version::commit().into() }),
        options,
        features: Some(Any {
            type_url: "types.containerd.io/opencontainers/runtime-spec/1/features/Features".into(),
            value: features,
        }),
        annotations: BTreeMap::new(),
    };
    print(&info.encode())
}

/// Ours, or those of another runtime: that it does not tell any is no fault, that it is not there is one.
fn features(options: &RuncOptions) -> Result<Vec<u8>> {
    let Some(name) = options::external(options) else { return Ok(dunnage::cli::features::document()?.into_bytes()) };
    let (root, log) = (options::state_root(options, ""), PathBuf::new());
    let binary = external::find(name)?;
    let runtime = external::Runtime { binary, root, systemd_cgroup: false, log, env: program::inherited_env() };
    Ok(runtime.features().unwrap_or_default())
}

/// `-v`: for people.
///
/// # Errors
/// write(2).
pub fn version(argv0: &OsStr) -> Result<()> {
    let name = Path::new(argv0).file_name().unwrap_or(argv0).to_string_lossy();
    print(format!("{name}:\n  Version:  {VERSION}\n  Revision: {}\n", dunnage::cli::version::commit()).as_bytes())
}
