//! `delete`: ends what still runs of a container where that is asked for, then removes it.

use super::definition::{Definition, Flag, Takes};
use super::{Command, Global, Matches, id, root};
use crate::container;
use crate::error::Result;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "delete",
    about: "delete a container",
    usage: "ID",
    description: "\
Removes what is left of the container ID, which must have stopped or never been started: its cgroup and its state. Then
runs its poststop hooks.",
    min: 1,
    max: Some(1),
    stops_at_first: false,
    flags: &[FORCE],
    read: |m| Command::Delete(DeleteArgs::read(m)),
};

const FORCE: Flag =
    Flag::new("force", Takes::Bool, "kill the container first if it still runs; no error if there is none").short('f');

/// `delete`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteArgs {
    /// The container.
    pub id: String,
    /// `--force`
    pub force: bool,
}

impl DeleteArgs {
    fn read(m: &Matches) -> DeleteArgs {
        DeleteArgs { id: id(m), force: m.bool(&FORCE) }
    }
}

pub(super) fn run(global: &Global, args: &DeleteArgs) -> Result<u8> {
    container::delete(&root::find(global)?.path, &args.id, args.force)?;
    Ok(0)
}
