//! What is wrong with a configuration: all of it, each with its place. Must not know how it was found.

use std::fmt::Write;

use super::text;
use crate::error::Error;

/// Whether the container can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It can't.
    Error,
    /// It can; the message is for the log.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer (RFC 6901) into the file that was checked; empty for the whole of it.
    pub field: String,
    /// In runc's words where runc has some.
    pub message: String,
    /// Error or warning.
    pub severity: Severity,
}

/// A message has an end, even if a hostile file has a fault in each of a million entries.
const MAX_TOLD: u32 = 64;
/// So has each of its parts: a string of the file may have a megabyte.
const MAX_MESSAGE: usize = 1024;

/// All errors among the problems as one error of one line: the first one's message first, so that a caller that knows
/// runc's texts finds it where runc prints it. `None` if there are only warnings. `file` is `config.json` or
/// `process.json`.
pub fn join(problems: &[Problem], file: &str) -> Option<Error> {
    let mut errors = problems.iter().filter(|p| p.severity == Severity::Error);
    let first = errors.next()?;
    let mut text = text::short_line(&first.message, MAX_MESSAGE);
    let others: Vec<&Problem> = errors.collect();
    if others.is_empty() && file == "config.json" && !first.field.is_empty() {
        return Some(Error::new(text).field(first.field.as_str()));
    }
    // Writing to a String can't fail.
    if !first.field.is_empty() {
        let _ = write!(text, " ({file} {})", first.field);
    }
    if !others.is_empty() {
        let _ = write!(text, "; {} more:", others.len());
        for (n, other) in (2_u32..=MAX_TOLD).zip(others) {
            let _ = write!(text, " [{n}] {} ({});", text::short_line(&other.message, MAX_MESSAGE), other.field);
        }
        text.pop();
    }
    Some(Error::new(text))
}

/// The messages of the warnings, for the log, each on one line.
pub fn warnings(problems: &[Problem]) -> impl Iterator<Item = String> {
    problems.iter().filter(|p| p.severity == Severity::Warning).map(|p| text::short_line(&p.message, MAX_MESSAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(field: &str, message: &str, severity: Severity) -> Problem {
        Problem { field: field.into(), message: message.into(), severity }
    }

    #[test]
    fn joined_on_one_line() {
        let one = [problem("/root", "root must be specified", Severity::Error), problem("", "w", Severity::Warning)];
        assert_eq!(join(&one, "config.json").unwrap().to_string(), "root must be specified (config.json /root)");
        assert_eq!(join(&one, "process.json").unwrap().to_string(), "root must be specified (process.json /root)");
        assert_eq!(warnings(&one).collect::<Vec<_>>(), ["w"]);
        assert!(join(&one[1..], "config.json").is_none());

        let three = [
            problem("/process/cwd", "Cwd property must not be empty", Severity::Error),
            problem("/process/args", "args must not be empty", Severity::Error),
            problem("/hostname", "a\nb", Severity::Error),
        ];
        assert_eq!(
            join(&three, "config.json").unwrap().to_string(),
            "Cwd property must not be empty (config.json /process/cwd); 2 more: [2] args must not be empty \
             (/process/args); [3] a\\nb (/hostname)"
        );
    }
}
