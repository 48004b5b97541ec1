//! `ps`: the processes of a container, by their pids or through the host's `ps`.

use std::ffi::OsString;

use super::definition::Definition;
use super::definition::shared::FORMAT;
use super::{Command, Global, Matches, id};
use crate::error::Result;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "ps",
    about: "display the processes running inside a container",
    usage: "ID [PS-OPTION...]",
    description: "\
Shows the processes of the container ID. As a table they come from the host's ps(1), called with PS-OPTION... or with
-ef; as JSON they are the pids alone, as the host numbers them. All that follows ID belongs to ps.",
    min: 1,
    max: None,
    stops_at_first: true,
    flags: &[FORMAT],
    read: |m| Command::Ps(PsArgs::read(m)),
};

/// `ps`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PsArgs {
    /// The container.
    pub id: String,
    /// `--format`
    pub format: Option<String>,
    /// For the host's `ps`.
    pub options: Vec<OsString>,
}

impl PsArgs {
    fn read(m: &Matches) -> PsArgs {
        PsArgs { id: id(m), format: m.text(&FORMAT), options: m.arguments.iter().skip(1).cloned().collect() }
    }
}

pub(super) fn run(_global: &Global, _args: &PsArgs) -> Result<u8> {
    Err(super::unavailable())
}
