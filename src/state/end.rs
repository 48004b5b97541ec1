//! How a container ended, as far as somebody knows: `io.dunnage.end` of the command `state`, and `end.json` in the state directory,
//! which who reaps the first process writes (the shim, a `run --keep`). What the file says is read as hostile.

use serde::{Deserialize, Serialize};

use crate::cgroup::{Ooms, Whose};
use crate::sys::pidfd::Exit;

/// The largest file that is read.
pub(super) const MAX: usize = 4096;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct End {
    /// In a sentence.
    #[serde(skip_deserializing)]
    pub reason: String,
    /// exit(2) with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Killed by this signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The kernel dumped its memory.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub core: bool,
    /// By SIGSYS, with a seccomp filter.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub seccomp: bool,
    /// The kernel has killed in it for want of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom: Option<Ooms>,
}

impl End {
    /// Of what is known. `filtered`: the container has a seccomp profile.
    pub fn new(exit: Option<Exit>, oom: Option<Ooms>, filtered: bool) -> End {
        let (code, signal) = match exit {
            None => (None, None),
            Some(Exit::Code(code)) => (Some(code), None),
            Some(Exit::Signal(signal) | Exit::Dumped(signal)) => (None, Some(signal)),
        };
        let core = matches!(exit, Some(Exit::Dumped(_)));
        let seccomp = filtered && signal == Some(libc::SIGSYS);
        End { reason: String::new(), code, signal, core, seccomp, oom }.explained()
    }

    /// What a file says; `None` if it says nothing that can be.
    pub(super) fn read(bytes: &[u8]) -> Option<End> {
        let end: End = serde_json::from_slice(bytes).ok()?;
        let possible = end.code.is_none_or(|code| (0..=255).contains(&code))
            && end.signal.is_none_or(|signal| (1..=64).contains(&signal))
            && end.code.is_some() != end.signal.is_some();
        possible.then(|| end.explained())
    }

    fn explained(mut self) -> End {
        let mut reason = match (self.code, self.signal) {
            (Some(code), _) => format!("exited with {code}"),
            (_, Some(signal)) => format!("killed by signal {signal}{}", name(signal)),
            _ => "ended, nobody knows how".into(),
        };
        if self.core {
            reason.push_str(", core dumped");
        }
        if self.seccomp {
            reason.push_str(": a system call that its seccomp profile kills for");
        }
        if let Some(oom) = &self.oom {
            let whose = match oom.limit {
                Whose::Container => "its own limit",
                Whose::Below => "a limit that it set itself, of a cgroup below its own",
                Whose::Above => "the limit of a cgroup above it",
                Whose::Host => "no limit that is known of: the host had none left",
            };
            let place = if oom.limit == Whose::Above {
                format!(" ({})", crate::text::one_line(&oom.cgroup))
            } else {
                String::new()
            };
            // What is killed need not be the first process, and that may have ended otherwise.
            let link =
                if self.signal == Some(libc::SIGKILL) { ": out of memory, by " } else { "; out of memory before, by " };
            reason.push_str(link);
            reason.push_str(whose);
            reason.push_str(&place);
        }
        self.reason = reason;
        self
    }
}

fn name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| String::new(), |signal| format!(" ({})", signal.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ooms(limit: Whose) -> Option<Ooms> {
        Some(Ooms { kills: 2, limit, cgroup: "/sys/fs/cgroup/pod".into() })
    }

    #[test]
    fn in_words() {
        for (exit, oom, filtered, words) in [
            (Some(Exit::Code(3)), None, true, "exited with 3"),
            (Some(Exit::Signal(15)), None, true, "killed by signal 15 (SIGTERM)"),
            (Some(Exit::Dumped(11)), None, true, "killed by signal 11 (SIGSEGV), core dumped"),
            (Some(Exit::Signal(40)), None, true, "killed by signal 40"),
            (Some(Exit::Dumped(31)), None, false, "killed by signal 31 (SIGSYS), core dumped"),
            (
                Some(Exit::Dumped(31)),
                None,
                true,
                "killed by signal 31 (SIGSYS), core dumped: a system call that its seccomp profile kills for",
            ),
            (
                Some(Exit::Signal(9)),
                ooms(Whose::Above),
                true,
                "killed by signal 9 (SIGKILL): out of memory, by the limit of a cgroup above it (/sys/fs/cgroup/pod)",
            ),
            (
                Some(Exit::Code(0)),
                ooms(Whose::Container),
                true,
                "exited with 0; out of memory before, by its own limit",
            ),
            (
                None,
                ooms(Whose::Host),
                true,
                "ended, nobody knows how; out of memory before, by no limit that is known of: the host had none left",
            ),
        ] {
            let end = End::new(exit, oom, filtered);
            assert_eq!(end.reason, words);
            let json = serde_json::to_vec(&end).unwrap();
            assert!(json.len() < MAX);
            assert_eq!(End::read(&json), exit.map(|_| end));
        }
    }

    #[test]
    fn what_a_file_cannot_say() {
        for text in [
            "",
            "{",
            "{}",
            "null",
            r#"{"code": 256}"#,
            r#"{"code": -1}"#,
            r#"{"signal": 0}"#,
            r#"{"signal": 65}"#,
            r#"{"code": 1, "signal": 9}"#,
            r#"{"code": "1"}"#,
            r#"{"code": 1, "oom": {"kills": 1, "limit": "mine"}}"#,
        ] {
            assert_eq!(End::read(text.as_bytes()), None, "{text}");
        }
        let end = End::read(br#"{"code": 1, "reason": "because \u001b[31m", "more": []}"#).unwrap();
        assert_eq!(end.reason, "exited with 1");
    }
}
