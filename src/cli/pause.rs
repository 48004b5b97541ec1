//! `pause`: freezes the cgroup.

use super::definition::Definition;
use super::{Command, Global, Matches, id, open};
use crate::error::Result;
use crate::log;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "pause",
    about: "suspend all processes of a container",
    usage: "ID",
    description: "\
Freezes every process of the container ID, until `resume`.",
    min: 1,
    max: Some(1),
    stops_at_first: false,
    flags: &[],
    read: |m| Command::Pause(PauseArgs::read(m)),
};

/// `pause`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PauseArgs {
    /// The container.
    pub id: String,
}

impl PauseArgs {
    fn read(m: &Matches) -> PauseArgs {
        PauseArgs { id: id(m) }
    }
}

pub(super) fn run(global: &Global, args: &PauseArgs) -> Result<u8> {
    let container = open(global, &args.id)?;
    container.pause().inspect_err(|_| {
        if container.state.config.rootless_cgroups {
            log::warn("runc pause failure might be caused by lack of full access to cgroups");
        }
    })?;
    Ok(0)
}
