//! `resume`: thaws the cgroup.

use super::definition::Definition;
use super::{Command, Global, Matches, id};
use crate::error::Result;

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

pub(super) fn run(_global: &Global, _args: &ResumeArgs) -> Result<u8> {
    Err(super::unavailable())
}
