//! `features`: what this runtime can do, as the specification's features.md has it.

use super::definition::Definition;
use super::{Command, print};
use crate::error::Result;
use crate::spec::features::{Build, json};
use crate::{host, seccomp};

/// The command.
pub static COMMAND: Definition = Definition {
    name: "features",
    about: "show the enabled features",
    usage: "",
    description: "\
Writes what this runtime can do to stdout, as the JSON document of the runtime specification's features.md.",
    min: 0,
    max: Some(0),
    stops_at_first: false,
    flags: &[],
    read: |_| Command::Features,
};

pub(super) fn run() -> Result<u8> {
    print(&document()?)?;
    Ok(0)
}

/// The document.
///
/// # Errors
/// It cannot be written as JSON.
pub fn document() -> Result<String> {
    let archs: Vec<&str> = seccomp::arches().collect();
    let known = host::seccomp_flags();
    let flags: Vec<&str> = seccomp::FLAGS.iter().filter(|(_, flag)| known & flag != 0).map(|(name, _)| *name).collect();
    json(&Build {
        systemd: true,
        criu: true,
        intel_rdt: true,
        net_devices: true,
        seccomp_archs: &archs,
        seccomp_flags: &flags,
    })
}
