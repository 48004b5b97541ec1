//! `plan`: compiles a bundle and shows the steps instead of taking them.

use std::path::PathBuf;

use super::create::CreateArgs;
use super::definition::shared::BUNDLE;
use super::definition::{Definition, Flag, Takes};
use super::{Command, Global, Matches, print};
use crate::error::{Error, Result};
use crate::launch;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "plan",
    about: "show what creating a container would do, without doing it",
    usage: "[ID]",
    description: "\
Compiles the bundle as `create` would and writes the plan to stdout: the steps of the runtime and those of the
container's own half, in their order. Nothing is made or changed.",
    min: 0,
    max: Some(1),
    stops_at_first: false,
    flags: &[BUNDLE, FORMAT],
    read: |m| Command::Plan(PlanArgs::read(m)),
};

const FORMAT: Flag = Flag::new("format", Takes::Text("FORMAT"), "text (the default, and the only one)").short('f');

/// `plan`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanArgs {
    /// The container that would be made.
    pub id: Option<String>,
    /// `--bundle`
    pub bundle: Option<PathBuf>,
    /// `--format`
    pub format: Option<String>,
}

impl PlanArgs {
    fn read(m: &Matches) -> PlanArgs {
        PlanArgs {
            id: m.arguments.first().map(|id| id.to_string_lossy().into_owned()),
            bundle: m.path(&BUNDLE),
            format: m.text(&FORMAT),
        }
    }
}

pub(super) fn run(global: &Global, args: &PlanArgs) -> Result<u8> {
    if let Some(format) = args.format.as_deref().filter(|f| *f != "text") {
        return Err(Error::new(format!("invalid format option {format:?}")));
    }
    let create = CreateArgs {
        id: args.id.clone().unwrap_or_else(|| "ID".into()),
        bundle: args.bundle.clone(),
        ..CreateArgs::default()
    };
    print(&launch::create::plan(&super::create::arguments(global, &create)?)?)?;
    Ok(0)
}
