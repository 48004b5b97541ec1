//! `resume`: thaws the cgroup.

use super::definition::Definition;
use super::{Command, Global, Matches, id, open};
use crate::error::Result;
use crate::log;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "resume",
    about: "resume all processes of a paused container",
    usage: "ID",
    description: "\
Thaws the processes of the container ID, which `pause` froze.",
    min: 1,
    max: Some(1),
    stops_at_first: false,
    flags: &[],
    read: |m| Command::Resume(ResumeArgs::read(m)),
};

/// `resume`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResumeArgs {
    /// The container.
    pub id: String,
}

impl ResumeArgs {
    fn read(m: &Matches) -> ResumeArgs {
        ResumeArgs { id: id(m) }
    }
}

pub(super) fn run(global: &Global, args: &ResumeArgs) -> Result<u8> {
    let container = open(global, &args.id)?;
    container.resume().inspect_err(|_| {
        if container.state.config.rootless_cgroups {
            log::warn("runc resume failure might be caused by lack of full access to cgroups");
        }
    })?;
    Ok(0)
}
