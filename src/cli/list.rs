//! `list`: the containers of a state root, as a table, as JSON, or their ids.

use super::definition::shared::FORMAT;
use super::definition::{Definition, Flag, Takes};
use super::{Command, Global, Matches};
use crate::error::Result;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "list",
    about: "list the containers of the given root",
    usage: "",
    description: "\
Lists the containers whose state lies under `--root`. One whose state cannot be read is named on stderr and left out.",
    min: 0,
    max: Some(0),
    stops_at_first: false,
    flags: &[FORMAT, QUIET],
    read: |m| Command::List(ListArgs::read(m)),
};

const QUIET: Flag = Flag::new("quiet", Takes::Bool, "the ids alone, one a line").short('q');

/// `list`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListArgs {
    /// `--format`
    pub format: Option<String>,
    /// `--quiet`
    pub quiet: bool,
}

impl ListArgs {
    fn read(m: &Matches) -> ListArgs {
        ListArgs { format: m.text(&FORMAT), quiet: m.bool(&QUIET) }
    }
}

pub(super) fn run(_global: &Global, _args: &ListArgs) -> Result<u8> {
    Err(super::unavailable())
}
