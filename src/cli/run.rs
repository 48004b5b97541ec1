//! `run`: flags -> `launch::run`, create and start in one.

use super::create::{CreateArgs, NO_NEW_KEYRING, NO_PIVOT, arguments};
use super::definition::shared::{BUNDLE, CONSOLE_SOCKET, DETACH, PID_FILE, PIDFD_SOCKET, PRESERVE_FDS, TRACE};
use super::definition::{Definition, Flag, Takes};
use super::{Command, Global, Matches};
use crate::error::{Context, Result};
use crate::launch::{self, create::Run};

/// The command.
pub static COMMAND: Definition = Definition {
    name: "run",
    about: "create and run a container",
    usage: "ID",
    description: "\
Makes the container ID out of a bundle and starts its program. In the foreground it relays the program's output and
the signals that it gets, removes the container in the end and returns the program's exit status, 128+n if signal n
killed it.",
    min: 1,
    max: Some(1),
    stops_at_first: false,
    flags: &[
        BUNDLE,
        CONSOLE_SOCKET,
        PIDFD_SOCKET,
        PID_FILE,
        DETACH,
        KEEP,
        NO_SUBREAPER,
        NO_PIVOT,
        NO_NEW_KEYRING,
        PRESERVE_FDS,
        TRACE,
    ],
    read: |m| Command::Run(RunArgs::read(m)),
};

const KEEP: Flag = Flag::new("keep", Takes::Bool, "leave the container in place when its program has ended");
pub(super) const NO_SUBREAPER: Flag =
    Flag::new("no-subreaper", Takes::Bool, "do not adopt the processes that the container leaves behind");

/// `run`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunArgs {
    /// What it has in common with `create`.
    pub create: CreateArgs,
    /// `--detach`
    pub detach: bool,
    /// `--keep`: neither the end of the program nor a failure removes the container.
    pub keep: bool,
    /// `--no-subreaper`
    pub no_subreaper: bool,
}

impl RunArgs {
    fn read(m: &Matches) -> RunArgs {
        RunArgs {
            create: CreateArgs::read(m),
            detach: m.bool(&DETACH),
            keep: m.bool(&KEEP),
            no_subreaper: m.bool(&NO_SUBREAPER),
        }
    }
}

pub(super) fn run(global: &Global, args: &RunArgs) -> Result<u8> {
    let RunArgs { detach, keep, no_subreaper, .. } = *args;
    let run = || launch::create::run(&arguments(global, &args.create)?, Run { detach, keep, no_subreaper });
    run().doing(|| "runc run failed")
}
