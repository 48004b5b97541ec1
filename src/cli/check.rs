//! `check`: what this host can and cannot do for a bundle, before anything starts.

use std::path::PathBuf;

use super::definition::Definition;
use super::definition::shared::{BUNDLE, FORMAT};
use super::{Command, Global, Matches};
use crate::error::Result;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "check",
    about: "say what this host can and cannot do for a bundle",
    usage: "",
    description: "\
Reads the bundle and holds what it asks for against this host: kernel, cgroups and delegation, security modules,
rights. Nothing is made or changed. It fails if the bundle could not run here as it stands.",
    min: 0,
    max: Some(0),
    stops_at_first: false,
    flags: &[BUNDLE, FORMAT],
    read: |m| Command::Check(CheckArgs::read(m)),
};

/// `check`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckArgs {
    /// `--bundle`
    pub bundle: Option<PathBuf>,
    /// `--format`
    pub format: Option<String>,
}

impl CheckArgs {
    fn read(m: &Matches) -> CheckArgs {
        CheckArgs { bundle: m.path(&BUNDLE), format: m.text(&FORMAT) }
    }
}

pub(super) fn run(_global: &Global, _args: &CheckArgs) -> Result<u8> {
    Err(super::unavailable())
}
