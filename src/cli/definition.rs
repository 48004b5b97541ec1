//! What a command line is made of, as data: flags, commands, and the `clap::Command` built from them. The parser, help, the
//! man pages and the completions all come from these tables. Knows nothing of what a command does.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches};

use super::Command;

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing, or `=true`, `=false` and the other spellings of Go's `strconv.ParseBool`.
    Bool,
    /// A text; the name stands in the help.
    Text(&'static str),
    /// A file or directory; may be any bytes, also none at all.
    Path(&'static str),
    /// A signed decimal number.
    Int(&'static str),
    /// A duration as Go writes it; nanoseconds.
    Duration(&'static str),
    /// A text, as often as wanted. Commas do not separate.
    Texts(&'static str),
    /// A signed decimal number, as often as wanted.
    Ints(&'static str),
}

/// One flag.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Its name without dashes.
    pub long: &'static str,
    /// Its one-letter name.
    pub short: Option<char>,
    /// Its value.
    pub takes: Takes,
    /// One line of help.
    pub help: &'static str,
    /// Accepted, but neither in the help nor in the completions.
    pub hidden: bool,
}

impl Flag {
    /// A flag as most are: with a long name only, and shown.
    pub const fn new(long: &'static str, takes: Takes, help: &'static str) -> Flag {
        Flag { long, short: None, takes, help, hidden: false }
    }

    /// The same with a one-letter name.
    pub const fn short(self, short: char) -> Flag {
        Flag { short: Some(short), ..self }
    }

    /// The same, not shown.
    pub const fn hidden(self) -> Flag {
        Flag { hidden: true, ..self }
    }

    /// Whether this is the flag that was typed as `name` (without dashes; Go makes no difference between one and two).
    pub fn is_called(&self, name: &[u8]) -> bool {
        name == self.long.as_bytes() || matches!((self.short, name), (Some(s), [b]) if s == char::from(*b))
    }

    fn arg(&self, purpose: Purpose) -> Arg {
        let arg = Arg::new(self.long).long(self.long).help(self.help).hide(self.hidden);
        let arg = match self.short {
            Some(short) => arg.short(short),
            None => arg,
        };
        let one = |arg: Arg, name| arg.action(ArgAction::Set).value_name(name).allow_hyphen_values(true);
        let many = |arg: Arg, name| arg.action(ArgAction::Append).value_name(name).allow_hyphen_values(true);
        match (self.takes, purpose) {
            (Takes::Bool, Purpose::Show) => arg.action(ArgAction::SetTrue),
            // Kept a value and not `SetTrue`, because `--detach=false` is a spelling that callers use.
            (Takes::Bool, Purpose::Parse) => arg.action(ArgAction::Set).value_parser(parse_bool),
            (Takes::Text(name), _) => one(arg, name).value_parser(clap::value_parser!(String)),
            // Not PathBuf, whose parser refuses the empty path: `--root ""` means the current directory.
            (Takes::Path(name), Purpose::Parse) => one(arg, name).value_parser(clap::value_parser!(OsString)),
            (Takes::Path(name), Purpose::Show) => one(arg, name).value_hint(clap::ValueHint::AnyPath),
            (Takes::Int(name), _) => one(arg, name).value_parser(parse_int),
            (Takes::Duration(name), _) => one(arg, name).value_parser(parse_duration),
            (Takes::Texts(name), _) => many(arg, name).value_parser(clap::value_parser!(String)),
            (Takes::Ints(name), _) => many(arg, name).value_parser(parse_int),
        }
    }
}

/// Why a `clap::Command` is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To parse what was typed.
    Parse,
    /// To show it: help, man pages, completions.
    Show,
}

/// One command.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// What stands after the flags in the usage line.
    pub usage: &'static str,
    /// The rest of the help and of the man page.
    pub description: &'static str,
    /// The least number of positional arguments.
    pub min: usize,
    /// The greatest; `None`: no limit.
    pub max: Option<usize>,
    /// All that follows the first positional argument is positional, whatever it looks like.
    pub stops_at_first: bool,
    /// Its own flags; [`GLOBAL`] ones come on top.
    pub flags: &'static [Flag],
    /// Makes the command out of what was typed.
    pub read: fn(&Matches) -> Command,
}

impl Definition {
    /// What runc says about a wrong number of arguments.
    pub fn arguments_fault(&self, given: usize) -> Option<String> {
        let name = self.name;
        match self.max {
            Some(max) if max == self.min => {
                (given != max).then(|| format!("\"{name}\" requires exactly {max} argument(s)"))
            }
            _ if given < self.min => Some(format!("\"{name}\" requires a minimum of {} argument(s)", self.min)),
            Some(max) if given > max => Some(format!("\"{name}\" requires a maximum of {max} argument(s)")),
            _ => None,
        }
    }
}

/// The flags of every command. Before the command or after it; runc took the latter up in 2026.
pub static GLOBAL: &[Flag] = &[DEBUG, LOG, LOG_FORMAT, ROOT, SYSTEMD_CGROUP, ROOTLESS];
/// `--help`, before or after the command.
pub const HELP: Flag = Flag::new("help", Takes::Bool, "show help").short('h');
/// `--version`, before the command only.
pub const VERSION: Flag = Flag::new("version", Takes::Bool, "print the version").short('v');

/// `--debug`.
pub const DEBUG: Flag = Flag::new("debug", Takes::Bool, "enable debug logging");
/// `--log`.
pub const LOG: Flag = Flag::new("log", Takes::Path("FILE"), "set the log file to write to (default: /dev/stderr)");
/// `--log-format`.
pub const LOG_FORMAT: Flag =
    Flag::new("log-format", Takes::Text("FORMAT"), "set the log format: text or json (default: text)");
/// `--root`.
pub const ROOT: Flag = Flag::new(
    "root",
    Takes::Path("DIR"),
    "root directory for the state of containers (default: /run/runc, or $XDG_RUNTIME_DIR/runc for rootless containers)",
);
/// `--systemd-cgroup`.
pub const SYSTEMD_CGROUP: Flag = Flag::new(
    "systemd-cgroup",
    Takes::Bool,
    "let systemd make the cgroup; cgroupsPath is then \"slice:prefix:name\" (create, run and restore)",
);
/// `--rootless`.
pub const ROOTLESS: Flag = Flag::new(
    "rootless",
    Takes::Text("BOOL"),
    "ignore cgroup permission errors: true, false or auto (default: auto; create, run and restore)",
);

/// Flags that several commands share.
pub mod shared {
    use super::{Flag, Takes};

    /// `--bundle`.
    pub const BUNDLE: Flag =
        Flag::new("bundle", Takes::Path("DIR"), "the bundle: the directory of config.json (default: the current one)")
            .short('b');
    /// `--console-socket`.
    pub const CONSOLE_SOCKET: Flag = Flag::new(
        "console-socket",
        Takes::Path("SOCKET"),
        "AF_UNIX socket that receives a descriptor of the console's pseudoterminal (its master end)",
    );
    /// `--pidfd-socket`.
    pub const PIDFD_SOCKET: Flag =
        Flag::new("pidfd-socket", Takes::Path("SOCKET"), "AF_UNIX socket that receives a pidfd of the process");
    /// `--pid-file`.
    pub const PID_FILE: Flag = Flag::new("pid-file", Takes::Path("FILE"), "file to write the process id to");
    /// `--preserve-fds`.
    pub const PRESERVE_FDS: Flag = Flag::new(
        "preserve-fds",
        Takes::Int("N"),
        "pass N more descriptors to the container (stdio + $LISTEN_FDS + N in all)",
    );
    /// `--detach`.
    pub const DETACH: Flag = Flag::new("detach", Takes::Bool, "return when the process has started").short('d');
    /// `--trace`.
    pub const TRACE: Flag =
        Flag::new("trace", Takes::Path("FILE"), "write where the time goes to a new file (see the command `trace`)");
    /// `--format` of tables.
    pub const FORMAT: Flag = Flag::new("format", Takes::Text("FORMAT"), "table or json (default: table)").short('f');
}

/// The values of the flags that were typed, and the positional arguments.
#[derive(Debug)]
pub struct Matches {
    flags: ArgMatches,
    /// In their order.
    pub arguments: Vec<OsString>,
}

impl Matches {
    /// What clap made of the flags, with the positional arguments.
    pub fn new(flags: ArgMatches, arguments: Vec<OsString>) -> Matches {
        Matches { flags, arguments }
    }

    fn get<T: Clone + Send + Sync + 'static>(&self, flag: &Flag) -> Option<T> {
        self.flags.try_get_one::<T>(flag.long).ok().flatten().cloned()
    }

    fn get_all<T: Clone + Send + Sync + 'static>(&self, flag: &Flag) -> Vec<T> {
        self.flags.try_get_many::<T>(flag.long).ok().flatten().map(|v| v.cloned().collect()).unwrap_or_default()
    }

    /// A bool that is false unless set.
    pub fn bool(&self, flag: &Flag) -> bool {
        self.get(flag).unwrap_or(false)
    }

    /// A bool for which "not given" is a third case.
    pub fn given_bool(&self, flag: &Flag) -> Option<bool> {
        self.get(flag)
    }

    /// A text.
    pub fn text(&self, flag: &Flag) -> Option<String> {
        self.get(flag)
    }

    /// A path.
    pub fn path(&self, flag: &Flag) -> Option<PathBuf> {
        self.get::<OsString>(flag).map(PathBuf::from)
    }

    /// A number, or a duration in nanoseconds.
    pub fn int(&self, flag: &Flag) -> Option<i64> {
        self.get(flag)
    }

    /// All texts of a repeated flag, in order.
    pub fn texts(&self, flag: &Flag) -> Vec<String> {
        self.get_all(flag)
    }

    /// All numbers of a repeated flag, in order.
    pub fn ints(&self, flag: &Flag) -> Vec<i64> {
        self.get_all(flag)
    }
}

/// The `clap::Command` that parses the flags of one command together with the global ones, or the global ones alone.
/// Building that of every command would cost each start 0.25 ms.
pub fn parser(definition: Option<&Definition>) -> clap::Command {
    let own = definition.map_or(&[][..], |d| d.flags);
    clap::Command::new(definition.map_or("dunnage", |d| d.name))
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .args(own.iter().chain(GLOBAL.iter().filter(|g| !shadows(own, g))).map(|f| f.arg(Purpose::Parse)))
}

/// Whether a command has a flag of its own by the name of a global one: `spec --rootless` has no value.
pub fn shadows(own: &[Flag], global: &Flag) -> bool {
    own.iter().any(|f| f.long == global.long)
}

/// The command as help, man page and completions show it. `program` is what it was invoked as.
pub fn shown(definition: &Definition, program: &str) -> clap::Command {
    let name = format!("{program} {}", definition.name);
    let usage = format!("{name} [flags] {}", definition.usage);
    let command = clap::Command::new(definition.name)
        .bin_name(&name)
        .display_name(name)
        .about(definition.about)
        .long_about(definition.description)
        .override_usage(usage.trim_end().to_owned())
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .help_template(template(TEMPLATE, definition.description))
        .args(definition.flags.iter().chain([&HELP]).map(|f| f.arg(Purpose::Show)));
    let positional = |required| Arg::new("ARGUMENTS").hide(true).num_args(0..).required(required);
    if definition.max == Some(0) { command } else { command.arg(positional(definition.min > 0)) }
}

/// Everything: the program with all of its commands, for the global help, the man pages and the completions.
pub fn shown_all(program: &'static str) -> clap::Command {
    clap::Command::new(program)
        .bin_name(program)
        .display_name(program)
        .about("Open Container Initiative runtime")
        .long_about(PROGRAM_DESCRIPTION)
        .override_usage(format!("{program} [global flags] COMMAND [flags] [arguments...]"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .help_template(template(PROGRAM_TEMPLATE, PROGRAM_DESCRIPTION))
        .args(GLOBAL.iter().chain([&HELP, &VERSION]).map(|f| f.arg(Purpose::Show)))
        .subcommands(super::COMMANDS.iter().map(|d| shown(d, program)))
}

/// `NAME:` first, `PROGRAM COMMAND - about` next: scripts that look at runc's help look at these two lines.
const TEMPLATE: &str = "\
NAME:
   {name} - {about}

USAGE:
   {usage}

DESCRIPTION:
DETAILS

FLAGS:
{options}
";
const PROGRAM_TEMPLATE: &str = "\
NAME:
   {name} - {about}

USAGE:
   {usage}

DESCRIPTION:
DETAILS

COMMANDS:
{subcommands}

GLOBAL FLAGS:
{options}
";

/// A help template with the description in its place, which clap has no tag for; its paragraphs refilled to 80 columns.
fn template(template: &str, description: &str) -> String {
    let mut filled = String::new();
    for paragraph in description.split("\n\n") {
        let mut column = 80_usize;
        for word in paragraph.split_whitespace() {
            column = column.saturating_add(word.len()).saturating_add(1);
            if column > 80 {
                column = word.len().saturating_add(3);
                filled.push_str("\n  ");
            }
            filled.push(' ');
            filled.push_str(word);
        }
        filled.push('\n');
    }
    template.replace("DETAILS", filled.trim_matches('\n'))
}

const PROGRAM_DESCRIPTION: &str = "\
Creates, runs and removes containers as the Open Container Initiative's runtime specification says. It takes the command
line, the state on disk and the place of runc; engines such as containerd, Docker, podman and CRI-O call it.

A container starts from a bundle: a directory with a config.json and a root file system. `spec` writes a config.json to
begin with; `check` says what of it this host cannot do; `run` starts it.

Flags are written with one dash or two. Global flags may also follow the command.";

/// Go's `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> std::result::Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

fn parse_int(text: &str) -> std::result::Result<i64, String> {
    text.parse().map_err(|e: std::num::ParseIntError| {
        let why = match e.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.ParseInt: parsing {text:?}: {why}")
    })
}

fn parse_duration(text: &str) -> std::result::Result<i64, String> {
    super::duration::parse(text).ok_or_else(|| "parse error".to_owned())
}
