//! Go's way of writing a command line, brought into the one form that clap reads: `--name=value`, positional arguments
//! apart. Go (runc, and so every caller of it) writes long names with one dash or two, has no bundled short flags, and its
//! flags stand on either side of the arguments. Knows the tables of flags, not what they mean.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::definition::{self, Definition, Flag, GLOBAL, HELP, Takes, VERSION};

/// A command line, taken apart.
#[derive(Debug, Default)]
pub struct Scanned {
    /// The command, as typed.
    pub name: Option<OsString>,
    /// What it is, if it is one.
    pub definition: Option<&'static Definition>,
    /// Its flags and the global ones, each as `--name=value`.
    pub flags: Vec<OsString>,
    /// Its positional arguments.
    pub arguments: Vec<OsString>,
    /// The flags, with the name that was typed for each.
    pub typed: Vec<(&'static Flag, String)>,
    /// `--help` was given; for the command if there is one.
    pub help: bool,
    /// `--version` was given before the command.
    pub version: bool,
    /// Where the scan ended, if not at the end.
    pub fault: Option<String>,
}

/// Takes `argv` (without the program's name) apart.
pub fn scan(argv: &[OsString]) -> Scanned {
    let mut scanned = Scanned::default();
    let mut rest = argv.iter();
    let mut flags_end = false;
    while let Some(token) = rest.next() {
        let stops = scanned.definition.is_some_and(|d| d.stops_at_first) && !scanned.arguments.is_empty();
        match dashless(token) {
            // Dropped once where flags could still stand, also right behind the id of `exec ID -- cmd`; later it is an
            // argument like any other (`exec ID sh -c '...' -- x`).
            _ if token == "--" && !flags_end && (!stops || scanned.arguments.len() == 1) => flags_end = true,
            Some(flag) if !flags_end && !stops => {
                if let Err(fault) = scanned.flag(token, flag, &mut rest) {
                    scanned.fault = Some(fault);
                    return scanned;
                }
            }
            // What follows a `--help` or `--version` of the program is of no interest.
            _ if scanned.name.is_none() && (scanned.help || scanned.version) => return scanned,
            _ if scanned.name.is_none() => {
                scanned.definition = super::command(token);
                scanned.name = Some(token.clone());
                flags_end = false;
                scanned.drop_shadowed();
            }
            _ => scanned.arguments.push(token.clone()),
        }
    }
    scanned
}

/// The token without its one or two leading dashes, if it looks like a flag. A lone dash is an argument.
fn dashless(token: &OsStr) -> Option<&[u8]> {
    let one = token.as_bytes().strip_prefix(b"-")?;
    let name = one.strip_prefix(b"-").unwrap_or(one);
    (!name.is_empty()).then_some(name)
}

impl Scanned {
    /// Takes back the global flags whose name the command has for a flag of its own; it has no use for the global one.
    fn drop_shadowed(&mut self) {
        let own = self.definition.map_or(&[][..], |d| d.flags);
        for flag in GLOBAL.iter().filter(|g| definition::shadows(own, g)) {
            let prefix = canonical(flag, b"");
            self.flags.retain(|typed| !typed.as_bytes().starts_with(prefix.as_bytes()));
        }
    }

    fn flag<'a>(
        &mut self,
        token: &OsStr,
        flag: &[u8],
        rest: &mut impl Iterator<Item = &'a OsString>,
    ) -> Result<(), String> {
        let mut halves = flag.splitn(2, |b| *b == b'=');
        let name = halves.next().unwrap_or_default();
        let value = halves.next();
        if name.is_empty() || name.starts_with(b"-") {
            return Err(format!("bad flag syntax: {}", token.to_string_lossy()));
        }
        if HELP.is_called(name) {
            self.help = true;
            return Ok(());
        }
        if self.name.is_none() && VERSION.is_called(name) {
            self.version = true;
            return Ok(());
        }
        let own = self.definition.map_or(&[][..], |d| d.flags);
        let Some(known) = own.iter().chain(GLOBAL).find(|f| f.is_called(name)) else {
            return Err(format!("flag provided but not defined: -{}", String::from_utf8_lossy(name)));
        };
        let value = match (value, known.takes) {
            (Some(value), _) => value,
            (None, Takes::Bool) => b"true",
            (None, _) => match rest.next() {
                Some(value) => value.as_bytes(),
                None => return Err(format!("flag needs an argument: {}", token.to_string_lossy())),
            },
        };
        self.flags.push(canonical(known, value));
        self.typed.push((known, String::from_utf8_lossy(name).into_owned()));
        Ok(())
    }
}

fn canonical(flag: &Flag, value: &[u8]) -> OsString {
    let mut text = Vec::with_capacity(flag.long.len().saturating_add(value.len()).saturating_add(3));
    text.extend_from_slice(b"--");
    text.extend_from_slice(flag.long.as_bytes());
    text.push(b'=');
    text.extend_from_slice(value);
    OsString::from_vec(text)
}
