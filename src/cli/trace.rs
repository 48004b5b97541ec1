//! `trace`: what `--trace` has written, as a table.

use std::path::PathBuf;

use super::definition::Definition;
use super::{Command, Matches, print};
use crate::error::{Context, Error, Result};
use crate::files;
use crate::trace::{Timeline, json, table};

/// The command.
pub static COMMAND: Definition = Definition {
    name: "trace",
    about: "show where the time of a start went",
    usage: "FILE [FILE...]",
    description: "\
Reads what `--trace` of create, start, run or exec has written, and writes to stdout: every step with its time and the field of
config.json that asked for it, the sums, the critical path through both halves, and who waited for what. The files of a create
and its start are shown as one.

The files are also read by https://ui.perfetto.dev and chrome://tracing.",
    min: 1,
    max: None,
    stops_at_first: false,
    flags: &[],
    read: |m| Command::Trace(TraceArgs::read(m)),
};

/// `trace`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceArgs {
    /// The files.
    pub files: Vec<PathBuf>,
}

impl TraceArgs {
    fn read(m: &Matches) -> TraceArgs {
        TraceArgs { files: m.arguments.iter().map(PathBuf::from).collect() }
    }
}

pub(super) fn run(args: &TraceArgs) -> Result<u8> {
    let mut all = Timeline::default();
    for file in &args.files {
        let bytes = files::document(file).map_err(|e| Error::io(format_args!("open {}", file.display()), &e))?;
        all.join(json::read(&bytes).doing(|| file.display().to_string())?);
    }
    print(&table(&all))?;
    Ok(0)
}
