//! `features`: what this runtime can do, as the specification's features.md has it.

use super::Command;
use super::definition::Definition;
use crate::error::Result;

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
    Err(super::unavailable())
}
