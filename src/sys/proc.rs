//! /proc/PID/stat of one process: its state, parent and start time. Reads with three system calls and no allocation.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::read;

/// What we use of proc_pid_stat(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Field 3: `R`, `S`, `D`, `Z`, `T`, `t`, `X`, `I`.
    pub state: u8,
    /// Field 4: pid of the parent.
    pub ppid: i32,
    /// Field 22: when the process started, in clock ticks since boot. With the pid it names a process for good.
    pub start_time: u64,
    /// Field 52: how a zombie ended, as wait(2) has it; 0 for who may not trace it.
    pub exit_code: i32,
}

impl Stat {
    /// It has ended: a zombie, or being reaped.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Reads /proc/`pid`/stat; `None` if there is no such process.
pub fn stat(pid: i32) -> Result<Option<Stat>, Errno> {
    // The longest line: 52 numbers of up to 20 digits, and a name of up to 64 bytes.
    let mut buf = [0u8; 1280];
    let file = match crate::files::open(format!("/proc/{pid}/stat").as_str(), OFlag::O_RDONLY) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ESRCH) => return Ok(None),
        Err(e) => return Err(e),
    };
    let len = match read(&file, &mut buf) {
        // The process was reaped between the two calls.
        Err(Errno::ESRCH) => return Ok(None),
        other => other?,
    };
    parse(buf.get(..len).unwrap_or_default()).map(Some).ok_or(Errno::EBADMSG)
}

/// The process chooses field 2, its name, which may hold blanks, parentheses and newlines (CVE-2017-1000367 of sudo); it
/// ends at the *last* `)`.
fn parse(line: &[u8]) -> Option<Stat> {
    let end_of_name = line.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(line.get(end_of_name.checked_add(1)?..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let ppid = fields.next()?.parse().ok()?;
    // 5..=21 lie between.
    let start_time = fields.nth(17)?.parse().ok()?;
    // 23..=51 lie between; the last one.
    let exit_code = fields.nth(29).and_then(|field| field.parse().ok()).unwrap_or(0);
    Some(Stat { state, ppid, start_time, exit_code })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_hostile() {
        let fields = "S 1 9 9 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 2 3";
        let expected = Some(Stat { state: b'S', ppid: 1, start_time: 4242, exit_code: 0 });
        for name in ["sh", "a b", ") Z 7 7 7", "((", "x) R 1 (", "\n) Z 0"] {
            assert_eq!(parse(format!("12 ({name}) {fields}\n").as_bytes()), expected, "{name:?}");
        }
        assert_eq!(parse(b"12 (sh) S 1 9"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn real_ones() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let own = stat(pid).unwrap().unwrap();
        assert_eq!(own.ppid, nix::unistd::getppid().as_raw());
        assert!(!own.is_dead());
        let mut child = std::process::Command::new("/bin/sh").args(["-c", "exit 3"]).spawn().unwrap();
        let child_pid = i32::try_from(child.id()).unwrap();
        let pidfd = crate::sys::pidfd::PidFd::open(child_pid).unwrap();
        pidfd.wait_exit(nix::poll::PollTimeout::NONE).unwrap();
        let dead = stat(child_pid).unwrap().unwrap();
        assert!(dead.is_dead());
        assert!(dead.start_time >= own.start_time);
        assert_eq!(dead.exit_code, 3 << 8);
        child.wait().unwrap();
        assert_eq!(stat(child_pid), Ok(None));
    }
}
