//! `help`, `--help`, and no arguments at all.

use std::ffi::OsString;

use super::definition::Definition;
use super::{Command, Global, print, usage};
use crate::error::Result;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "help",
    about: "show the commands, or the help of one",
    usage: "[COMMAND]",
    description: "\
Shows what COMMAND does and which flags it has; without COMMAND, what commands there are.",
    min: 0,
    // All but the first are ignored.
    max: None,
    stops_at_first: false,
    flags: &[],
    read: |m| of(m.arguments.first().cloned()),
};

/// `help`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HelpArgs {
    /// Of which command, one that there is; `None`: of the program.
    pub command: Option<OsString>,
}

/// The command that shows the help of `command`.
pub(super) fn of(command: Option<OsString>) -> Command {
    Command::Help(HelpArgs { command })
}

pub(super) fn run(global: &Global, args: &HelpArgs) -> Result<u8> {
    let definition = args.command.as_deref().and_then(super::command);
    print(&usage::help_text(definition, global.program()))?;
    Ok(0)
}
