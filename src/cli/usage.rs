//! What is said to a command line that was not understood, in the words and on the streams that runc uses.

use std::error::Error as _;
use std::ffi::OsStr;

use clap::error::{ContextKind, ContextValue};

use super::Global;
use super::definition::{self, Definition, Flag, GLOBAL};
use crate::error::Error;

/// A command line that was not understood.
#[derive(Debug)]
pub struct Refusal {
    /// Shown on stderr before anything else; may be empty.
    pub stderr: String,
    /// Shown on stdout: how the command is used; may be empty.
    pub stdout: String,
    /// What the log is told.
    pub error: Error,
    /// The exit code.
    pub code: u8,
}

impl Refusal {
    pub(super) fn unknown_command(name: &OsStr) -> Box<Refusal> {
        let error = Error::new(format!("No help topic for '{}'", name.to_string_lossy()));
        Box::new(Refusal { stderr: String::new(), stdout: String::new(), error, code: 3 })
    }

    pub(super) fn flag(global: &Global, definition: Option<&Definition>, fault: String) -> Box<Refusal> {
        Box::new(Refusal {
            stderr: format!("Incorrect Usage: {fault}\n\n"),
            stdout: help_text(definition, global.program()),
            error: Error::new(fault),
            code: 1,
        })
    }

    pub(super) fn arguments(global: &Global, definition: &Definition, fault: &str) -> Box<Refusal> {
        Box::new(Refusal {
            stderr: String::new(),
            stdout: format!("Incorrect Usage.\n\n{}", help_text(Some(definition), global.program())),
            error: Error::new(format!("{}: {fault}", global.argv0.to_string_lossy())),
            code: 1,
        })
    }
}

/// The help of a command, or of the program.
pub(super) fn help_text(definition: Option<&Definition>, program: &'static str) -> String {
    let mut command = match definition {
        Some(definition) => definition::shown(definition, program),
        None => definition::shown_all(program),
    };
    command.render_help().to_string()
}

/// Go's words for a value that a flag does not take, with the name that was typed for it; and whether it is a global flag. The
/// flags themselves were known: the scan before saw to it.
pub(super) fn value_fault(e: &clap::Error, typed: &[(&Flag, String)]) -> (String, bool) {
    let context = |kind| match e.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let long = context(ContextKind::InvalidArg).split([' ', '=']).next().unwrap_or_default().trim_start_matches('-');
    let typed = typed.iter().rfind(|(flag, _)| flag.long == long);
    let name = typed.map_or(long, |(_, name)| name);
    let is_global = typed.is_some_and(|(flag, _)| GLOBAL.iter().any(|global| std::ptr::eq(global, *flag)));
    let why = e.source().map_or_else(|| e.kind().to_string(), ToString::to_string);
    (format!("invalid value {:?} for flag -{name}: {why}", context(ContextKind::InvalidValue)), is_global)
}
