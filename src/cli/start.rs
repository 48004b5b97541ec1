//! `start`: the one call to `launch::start`.

use std::path::PathBuf;

use super::definition::Definition;
use super::definition::shared::TRACE;
use super::{Command, Global, Matches, id, root};
use crate::error::Result;
use crate::launch;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "start",
    about: "execute the user-defined process in a created container",
    usage: "ID",
    description: "\
Lets the program of the container ID run, which `create` has made ready.",
    min: 1,
    max: Some(1),
    stops_at_first: false,
    flags: &[TRACE],
    read: |m| Command::Start(StartArgs::read(m)),
};

/// `start`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartArgs {
    /// The container.
    pub id: String,
    /// `--trace`
    pub trace: Option<PathBuf>,
}

impl StartArgs {
    fn read(m: &Matches) -> StartArgs {
        StartArgs { id: id(m), trace: m.path(&TRACE) }
    }
}

pub(super) fn run(global: &Global, args: &StartArgs) -> Result<u8> {
    launch::start::start(&root::find(global)?.path, &args.id, args.trace.as_deref()).map(|()| 0)
}
