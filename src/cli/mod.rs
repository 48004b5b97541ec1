//! The command line: what was typed -> [`Command`], a plain struct a command -> one call -> print. One file a command.
//! Only `definition` knows clap; only `main.rs` prints errors and exits.

mod definition;
mod duration;
mod goflags;
pub mod root;
mod usage;

pub mod check;
pub mod checkpoint;
pub mod create;
pub mod delete;
pub mod events;
pub mod exec;
pub mod features;
pub mod help;
pub mod kill;
pub mod list;
pub mod pause;
pub mod plan;
pub mod process;
pub mod ps;
pub mod restore;
pub mod resume;
pub mod run;
pub mod seccomp;
pub mod spec;
pub mod start;
pub mod state;
pub mod trace;
pub mod update;
pub mod version;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

pub use definition::shown_all as clap_command;
pub use usage::Refusal;

use crate::container::Container;
use crate::error::{Errno, Error, Result};
use crate::log;
use definition::{DEBUG, Definition, LOG, LOG_FORMAT, Matches, ROOT, ROOTLESS, SYSTEMD_CGROUP};

/// Every command, in the order of the help.
static COMMANDS: &[&Definition] = &[
    &check::COMMAND,
    &checkpoint::COMMAND,
    &create::COMMAND,
    &delete::COMMAND,
    &events::COMMAND,
    &exec::COMMAND,
    &features::COMMAND,
    &help::COMMAND,
    &kill::COMMAND,
    &list::COMMAND,
    &pause::COMMAND,
    &plan::COMMAND,
    &ps::COMMAND,
    &restore::COMMAND,
    &resume::COMMAND,
    &run::COMMAND,
    &seccomp::COMMAND,
    &spec::COMMAND,
    &start::COMMAND,
    &state::COMMAND,
    &trace::COMMAND,
    &update::COMMAND,
];

/// The command of that name; `h` is `help`.
fn command(name: &OsStr) -> Option<&'static Definition> {
    COMMANDS.iter().find(|d| name == d.name || (name == "h" && d.name == "help")).copied()
}

/// What was typed.
#[derive(Debug)]
pub struct Parsed {
    /// The global flags; also there when the rest was not understood, since the complaint goes to `--log`.
    pub global: Global,
    /// `--help` or `--version` of the program, which are answered whatever the other global flags say.
    pub alone: bool,
    /// The command.
    pub command: std::result::Result<Command, Box<Refusal>>,
}

/// The global flags, as typed, and the program's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Global {
    /// `argv[0]`.
    pub argv0: OsString,
    /// `--debug`
    pub debug: bool,
    /// `--log`
    pub log: Option<PathBuf>,
    /// `--log-format`
    pub log_format: Option<String>,
    /// `--root`
    pub root: Option<PathBuf>,
    /// `--systemd-cgroup`
    pub systemd_cgroup: bool,
    /// `--rootless`
    pub rootless: Option<String>,
}

impl Global {
    fn read(argv0: OsString, m: &Matches) -> Global {
        Global {
            argv0,
            debug: m.bool(&DEBUG),
            log: m.path(&LOG),
            log_format: m.text(&LOG_FORMAT),
            root: m.path(&ROOT),
            systemd_cgroup: m.bool(&SYSTEMD_CGROUP),
            rootless: m.text(&ROOTLESS),
        }
    }

    /// The name that we were invoked under: `runc` where we took its place, else our own.
    pub fn program(&self) -> &'static str {
        if Path::new(&self.argv0).file_name() == Some(OsStr::new("runc")) { "runc" } else { "dunnage" }
    }

    /// What comes before any command: sends log records where the flags say, and refuses a root that cannot be meant.
    ///
    /// # Errors
    /// An unknown `--log-format`, a `--log` that does not open, `--root /`.
    pub fn prepare(&self) -> Result<()> {
        let format = log::Format::parse(self.log_format.as_deref().unwrap_or("text"))?;
        log::open(self.debug, format, self.log.as_deref())?;
        root::given(self).map(drop)
    }
}

/// One command with what was typed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `check`
    Check(check::CheckArgs),
    /// `checkpoint`
    Checkpoint(Box<checkpoint::CheckpointArgs>),
    /// `create`
    Create(create::CreateArgs),
    /// `delete`
    Delete(delete::DeleteArgs),
    /// `events`
    Events(events::EventsArgs),
    /// `exec`
    Exec(Box<exec::ExecArgs>),
    /// `features`
    Features,
    /// `help`, `--help`, and no arguments at all
    Help(help::HelpArgs),
    /// `kill`
    Kill(kill::KillArgs),
    /// `list`
    List(list::ListArgs),
    /// `pause`
    Pause(pause::PauseArgs),
    /// `plan`
    Plan(plan::PlanArgs),
    /// `ps`
    Ps(ps::PsArgs),
    /// `restore`
    Restore(Box<restore::RestoreArgs>),
    /// `resume`
    Resume(resume::ResumeArgs),
    /// `run`
    Run(run::RunArgs),
    /// `seccomp`
    Seccomp(seccomp::SeccompArgs),
    /// `spec`
    Spec(spec::SpecArgs),
    /// `start`
    Start(start::StartArgs),
    /// `state`
    State(state::StateArgs),
    /// `trace`
    Trace(trace::TraceArgs),
    /// `update`
    Update(Box<update::UpdateArgs>),
    /// `--version`
    Version,
}

impl Command {
    /// Does it. The result is the exit code: 0, or that of a container's process in the foreground.
    ///
    /// # Errors
    /// Whatever goes wrong, worded for the user.
    pub fn run(&self, global: &Global) -> Result<u8> {
        match self {
            Command::Check(args) => check::run(global, args),
            Command::Checkpoint(args) => checkpoint::run(global, args),
            Command::Create(args) => create::run(global, args),
            Command::Delete(args) => delete::run(global, args),
            Command::Events(args) => events::run(global, args),
            Command::Exec(args) => exec::run(global, args),
            Command::Features => features::run(),
            Command::Help(args) => help::run(global, args),
            Command::Kill(args) => kill::run(global, args),
            Command::List(args) => list::run(global, args),
            Command::Pause(args) => pause::run(global, args),
            Command::Plan(args) => plan::run(global, args),
            Command::Ps(args) => ps::run(global, args),
            Command::Restore(args) => restore::run(global, args),
            Command::Resume(args) => resume::run(global, args),
            Command::Run(args) => run::run(global, args),
            Command::Seccomp(args) => seccomp::run(args),
            Command::Spec(args) => spec::run(args),
            Command::Start(args) => start::run(global, args),
            Command::State(args) => state::run(global, args),
            Command::Trace(args) => trace::run(args),
            Command::Update(args) => update::run(global, args),
            Command::Version => version::run(global),
        }
    }

    /// The exit code of its failure. 255 for `exec`, where 1 could be the process's own.
    pub fn failure_code(&self) -> u8 {
        match self {
            Command::Exec(_) => 255,
            _ => 1,
        }
    }
}

/// Understands a command line, `argv[0]` included.
pub fn parse(argv: Vec<OsString>) -> Parsed {
    let mut argv = argv.into_iter();
    let argv0 = argv.next().unwrap_or_else(|| "dunnage".into());
    let rest: Vec<OsString> = argv.collect();
    let mut scanned = goflags::scan(&rest);
    let flags = std::mem::take(&mut scanned.flags);
    let arguments = std::mem::take(&mut scanned.arguments);
    let matched = match flags.is_empty() {
        // The parser costs some microseconds to build, which `state ID` can do without.
        true => Ok(Default::default()),
        false => definition::parser(scanned.definition).try_get_matches_from(&flags),
    };
    let (matches, value_fault) = match matched {
        Ok(flags) => (Matches::new(flags, arguments), None),
        // The global flags that were right are still wanted: the complaint goes to `--log`.
        Err(e) => {
            let rest = definition::parser(scanned.definition).ignore_errors(true).try_get_matches_from(flags);
            let (fault, is_global) = usage::value_fault(&e, &scanned.typed);
            if is_global {
                (scanned.name, scanned.definition) = (None, None);
            }
            (Matches::new(rest.unwrap_or_default(), arguments), Some(fault))
        }
    };
    let fault = scanned.fault.take().or(value_fault);
    let global = Global::read(argv0, &matches);
    let alone = scanned.name.is_none() && (scanned.help || scanned.version) && fault.is_none();
    let command = understand(&global, &scanned, &matches, fault);
    Parsed { global, alone, command }
}

/// Which command it is, in the order of precedence that runc has.
fn understand(
    global: &Global,
    scanned: &goflags::Scanned,
    matches: &Matches,
    fault: Option<String>,
) -> std::result::Result<Command, Box<Refusal>> {
    if let (Some(name), None) = (&scanned.name, scanned.definition) {
        if name.is_empty() {
            return Ok(help::of(None));
        }
        return Err(Refusal::unknown_command(name));
    }
    if let Some(fault) = fault {
        return Err(Refusal::flag(global, scanned.definition, fault));
    }
    let Some(definition) = scanned.definition else {
        return Ok(if scanned.version && !scanned.help { Command::Version } else { help::of(None) });
    };
    if scanned.help {
        return Ok(help::of(Some(definition.name.into())));
    }
    match definition.arguments_fault(matches.arguments.len()) {
        Some(fault) => Err(Refusal::arguments(global, definition, &fault)),
        None => match (definition.read)(matches) {
            Command::Help(help::HelpArgs { command: Some(name) }) if self::command(&name).is_none() => {
                Err(Refusal::unknown_command(&name))
            }
            command => Ok(command),
        },
    }
}

/// The first positional argument as the id of a container. One that is not UTF-8 is no valid id, and stays none.
fn id(matches: &Matches) -> String {
    matches.arguments.first().map(|id| id.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The container that a command changes.
fn open(global: &Global, id: &str) -> Result<Container> {
    Container::open(&root::find(global)?.path, id)
}

/// The container that a command only tells of.
fn look(global: &Global, id: &str) -> Result<Container> {
    Container::look(&root::find(global)?.path, id)
}

/// Writes to stdout, the whole or an error; in one write(2), where std's stdout would make two of a last line without end.
fn print(text: &str) -> Result<()> {
    let mut left = text.as_bytes();
    while !left.is_empty() {
        match nix::unistd::write(std::io::stdout(), left) {
            Ok(n) => left = left.get(n..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::sys("write /dev/stdout", e)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
