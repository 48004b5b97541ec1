//! `state`: the state of one container, as JSON.

use super::definition::Definition;
use super::{Command, Global, Matches, id, look, print};
use crate::error::Result;
use crate::state::{Report, Status};

/// The command.
pub static COMMAND: Definition = Definition {
    name: "state",
    about: "output the state of a container",
    usage: "ID",
    description: "\
Writes the state of the container ID to stdout, as JSON: its status (created, running, paused or stopped), pid, bundle,
root file system, time of creation and annotations; and, of one that has stopped, how it ended, as far as that is known
(`io.dunnage.end`).",
    min: 1,
    max: Some(1),
    stops_at_first: false,
    flags: &[],
    read: |m| Command::State(StateArgs::read(m)),
};

/// `state`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateArgs {
    /// The container.
    pub id: String,
}

impl StateArgs {
    fn read(m: &Matches) -> StateArgs {
        StateArgs { id: id(m) }
    }
}

pub(super) fn run(global: &Global, args: &StateArgs) -> Result<u8> {
    let container = look(global, &args.id)?;
    let status = container.status()?;
    let end = if status == Status::Stopped { container.end() } else { None };
    print(&Report { end, ..Report::new(container.state, status) }.pretty()?)?;
    Ok(0)
}
