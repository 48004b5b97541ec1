//! Log records in the form of logrus, which callers read: containerd decodes a stream of JSON objects and takes the last of
//! level `error`, podman takes the whole file as *one* object, conmon and CRI-O look at stderr. Knows nothing of commands.
//!
//! With `--log-format json` warnings are held back until [`flush`] or until the command fails: then the error's record is
//! the only one of the file and carries them in its field `warnings`, so that podman can still read it.

use std::fmt::{self, Display, Write as _};
use std::fs::File;
use std::io::IsTerminal;
use std::panic::Location;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::spec::text::{one_line, short_line};

/// How grave a record is; the names are logrus'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The command failed.
    Error,
    /// Something was not done as asked for, and the command goes on.
    Warning,
    /// Worth knowing.
    Info,
    /// For whoever looks for a fault; only with `--debug`.
    Debug,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }

    /// The colour and the four letters of a record on a terminal.
    fn on_terminal(self) -> (u8, &'static str) {
        match self {
            Level::Error => (31, "ERRO"),
            Level::Warning => (33, "WARN"),
            Level::Info => (36, "INFO"),
            Level::Debug => (37, "DEBU"),
        }
    }
}

/// The form of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `time="..." level=error msg="..."`
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// The format of `--log-format`.
    ///
    /// # Errors
    /// `invalid log-format: X`.
    pub fn parse(text: &str) -> Result<Format> {
        match text {
            "text" | "" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err(Error::new(format!("invalid log-format: {text}"))),
        }
    }
}

/// A field besides the message.
pub type Field<'a> = (&'a str, &'a dyn Display);

struct Logger {
    debug: bool,
    format: Format,
    /// `None`: stderr.
    file: Option<File>,
    started: Option<Instant>,
    /// Records held back: the line, and the bare message.
    held: Vec<(String, String)>,
}

static LOGGER: Mutex<Logger> =
    Mutex::new(Logger { debug: false, format: Format::Text, file: None, started: None, held: Vec::new() });

/// The thread that panicked while it logged left no half-made state behind: every change is one assignment.
fn logger() -> MutexGuard<'static, Logger> {
    LOGGER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says where records go from now on, and which. An empty `path` is stderr, as no path is.
///
/// # Errors
/// The open of the file, in runc's words: `open /x/log: no such file or directory`.
pub fn open(debug: bool, format: Format, path: Option<&Path>) -> Result<()> {
    let file = match path.filter(|p| !p.as_os_str().is_empty()) {
        None => None,
        Some(path) => {
            let file =
                crate::files::append(path).map_err(|e| Error::sys(format_args!("open {}", path.display()), e))?;
            Some(file.into())
        }
    };
    let mut logger = logger();
    logger.debug = debug;
    logger.format = format;
    logger.file = file;
    logger.started = Some(Instant::now());
    Ok(())
}

/// Sends records to a descriptor from now on; for a caller whose stderr is not its own (the shim).
pub fn to(debug: bool, format: Format, descriptor: std::os::fd::OwnedFd) {
    let mut logger = logger();
    logger.debug = debug;
    logger.format = format;
    logger.file = Some(descriptor.into());
    logger.started = Some(Instant::now());
}

/// Whether debug records are written; for those that cost something to word.
pub fn debugging() -> bool {
    logger().debug
}

/// A debug record: `log::debug(format_args!("..."))` words it only if it is wanted.
#[track_caller]
pub fn debug(message: impl Display) {
    if debugging() {
        record(Level::Debug, message, &[]);
    }
}

/// An info record.
#[track_caller]
pub fn info(message: impl Display) {
    record(Level::Info, message, &[]);
}

/// A warning: something was not done as asked for, and the command goes on.
#[track_caller]
pub fn warn(message: impl Display) {
    record(Level::Warning, message, &[]);
}

/// An error that does not end the command (the one that does goes to [`fatal`]).
#[track_caller]
pub fn error(message: impl Display) {
    record(Level::Error, message, &[]);
}

/// Any record, with fields besides the message.
#[track_caller]
pub fn record(level: Level, message: impl Display, fields: &[Field<'_>]) {
    let mut logger = logger();
    if level == Level::Debug && !logger.debug {
        return;
    }
    let message = message.to_string();
    let line = logger.line(level, &message, fields, Location::caller());
    if logger.format == Format::Json && !logger.debug {
        logger.held.push((line, message));
    } else {
        logger.write(&line);
    }
}

/// Writes what was held back; for a success, and for the moment after which failure is no longer ours to tell (a container
/// in the foreground runs).
pub fn flush() {
    let mut logger = logger();
    for (line, _) in std::mem::take(&mut logger.held) {
        logger.write(&line);
    }
}

/// The error that ends the command: one record, and, where the records do not go to stderr, the bare message there, since
/// conmon and CRI-O read nothing else.
#[track_caller]
pub fn fatal(error: &Error) {
    let mut logger = logger();
    let message = error.to_string();
    // A path of config.json may have megabytes.
    let message = if message.len() > MAX_MESSAGE { short_line(&message, MAX_MESSAGE) } else { message };
    let held: Vec<String> = std::mem::take(&mut logger.held).into_iter().map(|(_, message)| message).collect();
    let warnings = JsonList(&held);
    let fields: &[Field<'_>] = if held.is_empty() { &[] } else { &[("warnings", &warnings)] };
    let line = logger.line(Level::Error, &message, fields, Location::caller());
    logger.write(&line);
    if logger.file.is_some() {
        // It quotes hostile input, and this may be a terminal.
        let message = one_line(&message);
        write_all(std::io::stderr(), format!("{message}\n").as_bytes());
    }
}

/// The longest error: 64 faults of a configuration, each with its place.
const MAX_MESSAGE: usize = 128 << 10;

/// A record that cannot be written has no one to be told to.
fn write_all(mut to: impl std::io::Write, bytes: &[u8]) {
    to.write_all(bytes).ok();
}

impl Logger {
    fn write(&mut self, line: &str) {
        match &mut self.file {
            Some(file) => write_all(file, line.as_bytes()),
            None => write_all(std::io::stderr(), line.as_bytes()),
        }
    }

    fn line(&self, level: Level, message: &str, fields: &[Field<'_>], at: &Location<'_>) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A function that was handed to one of the library (`for_each(log::warn)`) is called from there: of no use.
        let at = Some(at).filter(|at| self.debug && !at.file().starts_with('/'));
        let record = Record { level, message, fields, at, time: Rfc3339(now) };
        match self.format {
            Format::Json => record.json(),
            Format::Text if self.file.is_none() && std::io::stderr().is_terminal() => {
                record.terminal(self.started.map(|s| s.elapsed()).unwrap_or_default())
            }
            Format::Text => record.text(),
        }
    }
}

struct Record<'a> {
    level: Level,
    message: &'a str,
    fields: &'a [Field<'a>],
    /// Where it was logged; with `--debug` only.
    at: Option<&'a Location<'a>>,
    time: Rfc3339,
}

impl Record<'_> {
    fn sorted(&self) -> Vec<(&str, String)> {
        let mut fields: Vec<_> = self.fields.iter().map(|(key, value)| (*key, value.to_string())).collect();
        fields.sort();
        fields
    }

    fn caller(&self) -> Option<(String, String)> {
        self.at.map(|at| (function(at.file()), format!("{}:{}", at.file(), at.line())))
    }

    /// logrus' order: time, level, msg, func, file, then the rest by name.
    fn text(&self) -> String {
        let mut line = format!("time=\"{}\" level={} msg={}", self.time, self.level.name(), Quoted(self.message));
        if let Some((func, file)) = self.caller() {
            put(&mut line, format_args!(" func={} file={}", Quoted(&func), Quoted(&file)));
        }
        for (key, value) in self.sorted() {
            put(&mut line, format_args!(" {key}={}", Quoted(&value)));
        }
        line.push('\n');
        line
    }

    fn terminal(&self, since: Duration) -> String {
        let (colour, name) = self.level.on_terminal();
        let message = self.message.trim_end();
        // A message that holds control characters must not reach the terminal as they are: it quotes hostile input.
        let message = if message.chars().any(is_control) { Quoted(message).to_string() } else { message.to_owned() };
        let mut line = format!("\x1b[{colour}m{name}\x1b[0m[{:04}] {message:<44}", since.as_secs());
        for (key, value) in self.sorted() {
            put(&mut line, format_args!(" \x1b[{colour}m{key}\x1b[0m={}", Quoted(&value)));
        }
        format!("{}\n", line.trim_end())
    }

    /// All keys by name.
    fn json(&self) -> String {
        let mut fields: Vec<(&str, String)> = vec![
            ("level", JsonText(self.level.name()).to_string()),
            ("msg", JsonText(self.message).to_string()),
            ("time", format!("\"{}\"", self.time)),
        ];
        if let Some((func, file)) = self.caller() {
            fields.push(("func", JsonText(&func).to_string()));
            fields.push(("file", JsonText(&file).to_string()));
        }
        for (key, value) in self.sorted() {
            // The one list that we write is JSON already.
            let value = if key == "warnings" { value } else { JsonText(&value).to_string() };
            fields.push((key, value));
        }
        fields.sort();
        let mut line = String::from("{");
        for (i, (key, value)) in fields.iter().enumerate() {
            put(&mut line, format_args!("{}{}:{value}", if i == 0 { "" } else { "," }, JsonText(key)));
        }
        line.push_str("}\n");
        line
    }
}

/// Formatting into a string does not fail.
fn put(to: &mut String, what: fmt::Arguments<'_>) {
    to.write_fmt(what).ok();
}

/// The module that logged, as the function's name: `src/cli/kill.rs` -> `cli::kill`. Rust does not tell the function.
fn function(file: &str) -> String {
    let path = file.strip_prefix("src/").unwrap_or(file);
    let path = path.strip_suffix("/mod.rs").or_else(|| path.strip_suffix(".rs")).unwrap_or(path);
    path.replace('/', "::")
}

fn is_control(c: char) -> bool {
    c.is_control() || (!c.is_ascii() && c.escape_debug().len() > 1)
}

/// A text as logrus writes a value: bare, or quoted like Go's `%q` when it holds more than `[A-Za-z0-9._/@^+-]`.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/@^+".contains(&b)) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\x07' => f.write_str("\\a")?,
                '\x08' => f.write_str("\\b")?,
                '\x0c' => f.write_str("\\f")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\x0b' => f.write_str("\\v")?,
                c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                c if is_control(c) && u32::from(c) > 0xffff => write!(f, "\\U{:08x}", u32::from(c))?,
                c if is_control(c) => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// A JSON string as Go's encoder writes it, `<`, `>` and `&` escaped.
struct JsonText<'a>(&'a str);

impl Display for JsonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => write!(f, "\\u{:04x}", u32::from(c))?,
                // Beyond what JSON asks for: who looks at the file with a terminal is not to be moved about in it.
                c if is_control(c) && u32::from(c) <= 0xffff => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

struct JsonList<'a>(&'a [String]);

impl Display for JsonList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for (i, text) in self.0.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { "," }, JsonText(text))?;
        }
        f.write_char(']')
    }
}

/// A moment since 1970, written `2026-11-21T06:10:46Z`. In UTC: what the local zone is would have to be read from files.
#[derive(Clone, Copy)]
struct Rfc3339(Duration);

impl Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (days, of_day) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let (h, m, s) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
    }
}

/// Year, month and day of the Gregorian calendar, for days since 1970-01-01.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut left = days;
    let mut year = 1970_u64;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => break,
        }
        year = year.saturating_add(1);
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1_u64;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => break,
        }
        month = month.saturating_add(1);
    }
    (year, month, left.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(message: &'a str, fields: &'a [Field<'a>]) -> Record<'a> {
        Record { level: Level::Error, message, fields, at: None, time: Rfc3339(Duration::from_secs(1_795_241_446)) }
    }

    #[test]
    fn text_is_logrus() {
        assert_eq!(
            record("container does not exist", &[("pid", &7), ("error", &"a b")]).text(),
            "time=\"2026-11-21T06:10:46Z\" level=error msg=\"container does not exist\" error=\"a b\" pid=7\n"
        );
        assert_eq!(record("word", &[]).text(), "time=\"2026-11-21T06:10:46Z\" level=error msg=word\n");
    }

    #[test]
    fn quoting_is_that_of_go() {
        for (text, quoted) in [
            ("a/b.c@d^e+f-1_", "a/b.c@d^e+f-1_"),
            ("", ""),
            ("a b", "\"a b\""),
            ("say \"hi\"\\", r#""say \"hi\"\\""#),
            ("l1\nl2\t\r", r#""l1\nl2\t\r""#),
            ("\x00\x1b[31m\x7f", r#""\x00\x1b[31m\x7f""#),
            ("ünï", "\"ünï\""),
            ("\u{202e}\u{85}\u{e0001}", r#""\u202e\u0085\U000e0001""#),
        ] {
            assert_eq!(Quoted(text).to_string(), quoted, "{text:?}");
        }
    }

    #[test]
    fn json_has_sorted_keys_and_gos_escapes() {
        assert_eq!(
            record("a<b> & \"c\"\n\x01", &[]).json(),
            "{\"level\":\"error\",\"msg\":\"a\\u003cb\\u003e \\u0026 \\\"c\\\"\\n\\u0001\",\
             \"time\":\"2026-11-21T06:10:46Z\"}\n"
        );
        let held = vec!["one".to_owned(), "t\"wo".to_owned()];
        let line = record("m", &[("warnings", &JsonList(&held)), ("a", &1)]).json();
        assert_eq!(
            line,
            "{\"a\":\"1\",\"level\":\"error\",\"msg\":\"m\",\"time\":\"2026-11-21T06:10:46Z\",\
             \"warnings\":[\"one\",\"t\\\"wo\"]}\n"
        );
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }

    #[test]
    fn debug_records_say_where_they_come_from() {
        let at = Location::caller();
        let line = Record { at: Some(at), ..record("m", &[]) }.text();
        let end = format!("msg=m func=log file=\"src/log.rs:{}\"\n", at.line());
        assert!(line.ends_with(&end), "{line}");
        assert_eq!(function("src/cli/mod.rs"), "cli");
        assert_eq!(function("src/cli/kill.rs"), "cli::kill");
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let line = record("bad \x1b]0;owned\x07 name", &[]).terminal(Duration::from_secs(3));
        assert!(line.starts_with("\x1b[31mERRO\x1b[0m[0003] \"bad \\x1b]0;owned\\a name\""), "{line:?}");
    }

    #[test]
    fn the_calendar_is_that_of_date() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Rfc3339(Duration::from_secs(seconds)).to_string(), text);
        }
    }
}
