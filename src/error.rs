//! The one error type. A runtime's errors are its user interface: each is one line, whatever it quotes, that says what we were doing, which
//! field of config.json asked for it, which call failed with which errno (in the lower-case wording of Go, which callers
//! match), and what to do about it.

use std::fmt::{self, Write};

pub use nix::errno::Errno;

use crate::text::Visible;

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One failure, told from the outside in: `doing: ... : call: errno (config.json /field): hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What the innermost failure was, complete: `open /x: no such file or directory`.
    what: String,
    /// The activities around it, innermost first.
    doing: Vec<String>,
    /// JSON pointer of the field that asked for it.
    field: Option<String>,
    /// The document that the field is in, if it is not config.json.
    document: Option<&'static str>,
    /// What the person who reads this can do about it.
    hint: Option<String>,
    /// For code that decides by it (`ENOENT` of an optional file).
    errno: Option<Errno>,
}

impl Error {
    /// A failure that no system call reported.
    pub fn new(what: impl Into<String>) -> Self {
        Error { what: what.into(), doing: Vec::new(), field: None, document: None, hint: None, errno: None }
    }

    /// A failed call, written as it would be in a trace: `call` is for example `open /run/runc`.
    pub fn sys(call: impl fmt::Display, errno: Errno) -> Self {
        Error { errno: Some(errno), ..Error::new(format!("{call}: {}", errno_text(errno))) }
    }

    /// The same for an error of the standard library.
    pub fn io(call: impl fmt::Display, e: &std::io::Error) -> Self {
        match e.raw_os_error() {
            Some(n) => Error::sys(call, Errno::from_raw(n)),
            None => Error::new(format!("{call}: {e}")),
        }
    }

    /// Says what we were doing; goes in front, separated by a colon.
    #[must_use]
    pub fn doing(mut self, what: impl Into<String>) -> Self {
        self.doing.push(what.into());
        self
    }

    /// Names the field of config.json, as a JSON pointer (`/mounts/3`).
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>) -> Self {
        self.field.get_or_insert(pointer.into());
        self
    }

    /// Says that the field is in another document: `process.json`.
    #[must_use]
    pub fn document(mut self, name: &'static str) -> Self {
        self.document.get_or_insert(name);
        self
    }

    /// Names the field as the user wrote it: `place` gives the document and the field there for a field of config.json.
    #[must_use]
    pub fn relocated(mut self, place: impl FnOnce(&str) -> (&'static str, String)) -> Self {
        if let Some(field) = self.field.take() {
            let (document, field) = place(&field);
            (self.document, self.field) = (Some(document), Some(field));
        }
        self
    }

    /// Says what to do about it; for errnos that mislead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert(hint.into());
        self
    }

    /// Its parts, for who shows them apart: the text, the field of config.json, the hint.
    pub fn into_parts(mut self) -> (String, Option<String>, Option<String>) {
        let (field, hint) = (self.field.take(), self.hint.take());
        (self.to_string(), field, hint)
    }

    /// The errno of the innermost call, if a call failed.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Much of it quotes configurations, images and peers.
        let mut f = Visible(f);
        for doing in self.doing.iter().rev() {
            write!(f, "{doing}: ")?;
        }
        f.write_str(&self.what)?;
        if let Some(field) = &self.field {
            write!(f, " ({} {field})", self.document.unwrap_or("config.json"))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Adds context to results.
pub trait Context<T> {
    /// [`Error::doing`] on the error, built only if there is one.
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| e.doing(what()))
    }
}

/// The wording of Go's syscall package (the C library's text in lower case), which Docker, podman and CRI-O match on.
pub fn errno_text(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno as i32).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // `RPC ...`-like words keep their capitals: only one that begins an ordinary word is lowered.
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain([second]).chain(chars).collect()
        }
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_a_trace() {
        let e = Error::sys("open /x", Errno::ENOENT)
            .doing("unable to start container process")
            .field("/mounts/3")
            .hint("make it");
        assert_eq!(
            e.to_string(),
            "unable to start container process: open /x: no such file or directory (config.json /mounts/3); make it"
        );
        assert_eq!(e.errno(), Some(Errno::ENOENT));
    }

    #[test]
    fn stays_on_its_line() {
        let e = Error::new("string a\nb is not\x1b[31m").doing("c\r").field("/x\u{202e}").hint("d\0");
        assert_eq!(e.to_string(), r"c\r: string a\nb is not\x1b[31m (config.json /x\u202e); d\x00");
    }

    #[test]
    fn callers_match_these_words() {
        for (errno, text) in [
            (Errno::ENOENT, "no such file or directory"),
            (Errno::EACCES, "permission denied"),
            (Errno::EPERM, "operation not permitted"),
            (Errno::EISDIR, "is a directory"),
            (Errno::ENOTDIR, "not a directory"),
            (Errno::ESRCH, "no such process"),
            (Errno::ENOEXEC, "exec format error"),
            (Errno::EBUSY, "device or resource busy"),
            (Errno::EINVAL, "invalid argument"),
            (Errno::EROFS, "read-only file system"),
        ] {
            assert_eq!(errno_text(errno), text);
        }
    }
}
