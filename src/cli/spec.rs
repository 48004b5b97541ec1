//! `spec`: writes a config.json to begin with.

use std::path::PathBuf;

use super::definition::shared::BUNDLE;
use super::definition::{Definition, Flag, Takes};
use super::{Command, Matches};
use crate::error::Result;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "spec",
    about: "create a new specification file",
    usage: "",
    description: "\
Writes a config.json that runs `sh` on a terminal, in the root file system that lies in `rootfs` beside it. It is for
editing. One that is already there is left alone.",
    min: 0,
    max: Some(0),
    stops_at_first: false,
    flags: &[BUNDLE, ROOTLESS_SPEC],
    read: |m| Command::Spec(SpecArgs::read(m)),
};

const ROOTLESS_SPEC: Flag =
    Flag::new("rootless", Takes::Bool, "write one for a container without root: with a user namespace of one id");

/// `spec`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecArgs {
    /// `--bundle`
    pub bundle: Option<PathBuf>,
    /// `--rootless`
    pub rootless: bool,
}

impl SpecArgs {
    fn read(m: &Matches) -> SpecArgs {
        SpecArgs { bundle: m.path(&BUNDLE), rootless: m.bool(&ROOTLESS_SPEC) }
    }
}

pub(super) fn run(_args: &SpecArgs) -> Result<u8> {
    Err(super::unavailable())
}
