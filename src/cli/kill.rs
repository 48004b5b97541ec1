//! `kill`: the signal's name or number, and where it goes.

use super::definition::{Definition, Flag, Takes};
use super::{Command, Global, Matches, id, open};
use crate::container::is_not_running;
use crate::error::{Error, Result};

/// The command.
pub static COMMAND: Definition = Definition {
    name: "kill",
    about: "send a signal to the init process of a container",
    usage: "ID [SIGNAL]",
    description: "\
Sends SIGNAL, by name or number, to the first process of the container ID; SIGTERM if none is given. SIGKILL reaches
every process of a container that has no pid namespace of its own.",
    min: 1,
    max: Some(2),
    stops_at_first: true,
    flags: &[ALL],
    read: |m| Command::Kill(KillArgs::read(m)),
};

const ALL: Flag = Flag::new("all", Takes::Bool, "obsolete: no error if the container has stopped").short('a').hidden();

/// `kill`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KillArgs {
    /// The container.
    pub id: String,
    /// As typed; `None`, which an empty one is: SIGTERM.
    pub signal: Option<String>,
    /// `--all`
    pub all: bool,
}

impl KillArgs {
    fn read(m: &Matches) -> KillArgs {
        let signal = m.arguments.get(1).filter(|signal| !signal.is_empty());
        let signal = signal.map(|signal| signal.to_string_lossy().into_owned());
        KillArgs { id: id(m), signal, all: m.bool(&ALL) }
    }
}

/// The number of a signal: given as one, or by its name with or without SIG, in any case.
///
/// # Errors
/// `unknown signal "FOO"`. A number that no signal has, also a negative one, is for the kernel to refuse; 0 asks whether the process is there.
pub fn signal_number(text: &str) -> Result<i32> {
    let unknown = || Error::new(format!("unknown signal {text:?}"));
    // As Go reads a number: with a sign, if there is one.
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_err(|_| unknown());
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    named.or_else(|| realtime(name)).ok_or_else(unknown)
}

/// `RTMIN`, `RTMIN+n`, `RTMAX-n`, `RTMAX`, as Docker numbers them: the C library keeps 32 and 33 for itself.
fn realtime(name: &str) -> Option<i32> {
    const MIN: i32 = 34;
    const MAX: i32 = 64;
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => MIN,
        (_, Some("")) => MAX,
        (Some(more), _) => MIN.checked_add(more.strip_prefix('+')?.parse::<u8>().ok()?.into())?,
        (_, Some(less)) => MAX.checked_sub(less.strip_prefix('-')?.parse::<u8>().ok()?.into())?,
        (None, None) => return None,
    };
    (MIN..=MAX).contains(&number).then_some(number)
}

/// The classic signals and their aliases.
const SIGNALS: &[(&str, i32)] = &[
    ("ABRT", libc::SIGABRT),
    ("ALRM", libc::SIGALRM),
    ("BUS", libc::SIGBUS),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("FPE", libc::SIGFPE),
    ("HUP", libc::SIGHUP),
    ("ILL", libc::SIGILL),
    ("INT", libc::SIGINT),
    ("IO", libc::SIGIO),
    ("IOT", libc::SIGABRT),
    ("KILL", libc::SIGKILL),
    ("PIPE", libc::SIGPIPE),
    ("POLL", libc::SIGIO),
    ("PROF", libc::SIGPROF),
    ("PWR", libc::SIGPWR),
    ("QUIT", libc::SIGQUIT),
    ("SEGV", libc::SIGSEGV),
    ("STKFLT", libc::SIGSTKFLT),
    ("STOP", libc::SIGSTOP),
    ("SYS", libc::SIGSYS),
    ("TERM", libc::SIGTERM),
    ("TRAP", libc::SIGTRAP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("UNUSED", libc::SIGSYS),
    ("URG", libc::SIGURG),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("VTALRM", libc::SIGVTALRM),
    ("WINCH", libc::SIGWINCH),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
];

pub(super) fn run(global: &Global, args: &KillArgs) -> Result<u8> {
    let container = open(global, &args.id)?;
    let signal = args.signal.as_deref().map_or(Ok(libc::SIGTERM), signal_number)?;
    match container.kill(signal) {
        // Not every process is signalled by --all, for years; what is left of it is this.
        Err(e) if args.all && is_not_running(&e) => Ok(0),
        killed => killed.map(|()| 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for (text, number) in [
            ("9", 9),
            ("0", 0),
            ("64", 64),
            ("99", 99),
            ("+9", 9),
            ("-9", -9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigkill", 9),
            ("Term", 15),
            ("WINCH", 28),
            ("SIGRTMIN", 34),
            ("RTMIN+3", 37),
            ("sigrtmax-1", 63),
            ("RTMAX", 64),
            ("RTMIN+30", 64),
        ] {
            assert_eq!(signal_number(text).unwrap(), number, "{text}");
        }
        for text in
            ["FOO", "-", "+-9", "9x", "SIG", "RTMIN+31", "RTMAX-31", "RTMIN-1", "RTMIN+", "99999999999", "SIGSIGKILL"]
        {
            assert_eq!(signal_number(text).unwrap_err().to_string(), format!("unknown signal {text:?}"));
        }
        assert!(signal_number("").is_err());
    }

    /// Every name that the kernel's headers have, through an independent table.
    #[test]
    fn every_classic_name_is_known() {
        for signal in nix::sys::signal::Signal::iterator() {
            assert_eq!(signal_number(signal.as_str()).unwrap(), signal as i32);
        }
    }
}
