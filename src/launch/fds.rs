//! Which of our caller's descriptors the container gets beside 0-2: those of socket activation (LISTEN_FDS) and
//! `--preserve-fds`. Everything else becomes close-on-exec, whoever opened it (CVE-2024-21626).

use crate::error::{Errno, Error, Result};
use crate::sys::descriptors::{close_range_cloexec, is_open, set_cloexec};

/// The first descriptor after stdio.
const FIRST: i32 = 3;

/// Descriptors that go through to the container under the numbers that they have here, from 3 on without a gap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtraFds {
    /// From socket activation.
    listen: i32,
    /// Of `--preserve-fds`; after those of socket activation.
    preserve: i32,
}

impl ExtraFds {
    /// `pid`: our own, to which LISTEN_PID has to be addressed; `env` looks a variable up. Every descriptor has to be open.
    pub fn new(preserve: u32, pid: u32, env: impl Fn(&str) -> Option<String>) -> Result<ExtraFds> {
        let number = |name| env(name)?.parse::<i32>().ok();
        // Addressed to another process, or garbled: not for us (sd_listen_fds(3)).
        let addressed = number("LISTEN_PID").and_then(|to| u32::try_from(to).ok()) == Some(pid);
        let listen = if addressed { number("LISTEN_FDS").unwrap_or(0).max(0) } else { 0 };
        let preserve = i32::try_from(preserve).unwrap_or(i32::MAX);
        let extra = ExtraFds { listen, preserve };
        extra.check()?;
        Ok(extra)
    }

    fn check(self) -> Result<()> {
        let base = FIRST.saturating_add(self.listen);
        // Ends at the first gap, so a number out of all reason costs nothing.
        if let Some(gap) = (FIRST..base).find(|fd| !is_open(*fd)) {
            return Err(Error::sys(format!("LISTEN_FDS={}: descriptor {gap}", self.listen), Errno::EBADF));
        }
        match (0..self.preserve).find(|i| !is_open(base.saturating_add(*i))) {
            // ENOENT, not EBADF: the wording of the stat in /proc/self/fd that callers know.
            Some(gap) => {
                Err(Error::sys(format!("unable to stat preserved-fd {gap} (of {})", self.preserve), Errno::ENOENT))
            }
            None => Ok(()),
        }
    }

    /// How many descriptors from 3 on the container keeps.
    pub fn count(self) -> i32 {
        self.listen.saturating_add(self.preserve)
    }

    /// How many of them are socket activation's.
    pub fn listen(self) -> i32 {
        self.listen
    }

    /// What socket activation adds to the container's environment, after `process.env`: its process is pid 1.
    pub fn env(self) -> Option<[String; 2]> {
        (self.listen > 0).then(|| [format!("LISTEN_FDS={}", self.listen), "LISTEN_PID=1".into()])
    }

    /// Marks everything that the container does not keep close-on-exec.
    pub fn mark_others_cloexec(self) -> Result<()> {
        cloexec_from(FIRST.saturating_add(self.count()))
    }
}

/// The variables of socket activation, which are addressed to one pid and so mean nothing in a program that we start.
pub fn is_listen_variable(name: &str) -> bool {
    matches!(name, "LISTEN_FDS" | "LISTEN_PID" | "LISTEN_FDNAMES")
}

fn cloexec_from(first: i32) -> Result<()> {
    match close_range_cloexec(first) {
        Ok(()) => Ok(()),
        // No close_range before Linux 5.9, no CLOSE_RANGE_CLOEXEC before 5.11; seccomp of an outer container says EPERM.
        Err(Errno::ENOSYS | Errno::EINVAL | Errno::EPERM) => cloexec_listed(first),
        Err(e) => Err(Error::sys("close_range", e)),
    }
}

/// The same by the list of what is open; ours is a single-threaded program, so nothing is opened meanwhile.
fn cloexec_listed(first: i32) -> Result<()> {
    let call = "list /proc/self/fd";
    for entry in std::fs::read_dir("/proc/self/fd").map_err(|e| Error::io(call, &e))? {
        let name = entry.map_err(|e| Error::io(call, &e))?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse().ok()).filter(|fd| *fd >= first) else { continue };
        set_cloexec(fd).map_err(|e| Error::sys(format!("fcntl F_SETFD of {fd}"), e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;

    fn with(preserve: u32, fds: &str, pid: &str) -> Result<ExtraFds> {
        ExtraFds::new(preserve, 100, |name| {
            Some(match name {
                "LISTEN_FDS" => fds.into(),
                "LISTEN_PID" => pid.into(),
                _ => return None,
            })
        })
    }

    #[test]
    fn socket_activation_is_for_the_process_that_it_names() {
        for (fds, pid) in [("1", "99"), ("1", ""), ("1", "-100"), ("x", "100"), ("-1", "100"), ("0", "100")] {
            assert_eq!(with(0, fds, pid), Ok(ExtraFds::default()), "LISTEN_FDS={fds} LISTEN_PID={pid}");
        }
        assert_eq!(ExtraFds::new(0, 100, |_| None), Ok(ExtraFds::default()));
        assert_eq!(ExtraFds::default().env(), None);
        let two = ExtraFds { listen: 2, preserve: 3 };
        assert_eq!(two.count(), 5);
        assert_eq!(two.env(), Some(["LISTEN_FDS=2".into(), "LISTEN_PID=1".into()]));
    }

    #[test]
    fn a_gap_is_refused_however_long_the_range() {
        let text = with(4_000_000_000, "", "").unwrap_err().to_string();
        assert!(text.starts_with("unable to stat preserved-fd "), "{text}");
        assert!(text.ends_with(" (of 2147483647): no such file or directory"), "{text}");
        assert_eq!(with(0, "2000000000", "100").unwrap_err().errno(), Some(Errno::EBADF));
    }

    #[test]
    fn what_is_not_kept_is_closed_on_exec() {
        let first = 200;
        // Numbers of our own, far from those that tests beside us open.
        let null = File::open("/dev/null").unwrap();
        let dup = |at| fcntl(&null, FcntlArg::F_DUPFD(at)).unwrap();
        let flags = |fd: i32| std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
        let cloexec = |fd: i32| {
            let octal = flags(fd).lines().find_map(|l| l.strip_prefix("flags:").map(str::trim).map(str::to_owned));
            i32::from_str_radix(&octal.unwrap(), 8).unwrap() & libc::O_CLOEXEC != 0
        };
        for mark in [cloexec_from, cloexec_listed] {
            let (kept, other) = (dup(first), dup(first + 50));
            assert!(!cloexec(kept) && !cloexec(other));
            mark(first + 50).unwrap();
            assert!(!cloexec(kept) && cloexec(other));
        }
        assert!(set_cloexec(first + 40).is_err(), "was not open");
        assert_eq!(fcntl(&null, FcntlArg::F_GETFD).unwrap() & FdFlag::FD_CLOEXEC.bits(), FdFlag::FD_CLOEXEC.bits());
    }
}
