//! What CRIU's log says of a failure, for our error: the last of its errors, with an end.

use std::io::{Read, Seek, SeekFrom};
use std::os::fd::BorrowedFd;

use nix::fcntl::OFlag;
use nix::sys::stat::{SFlag, fstat};

use crate::text::short_line;

/// So much of the end of a log is looked at: in it CRIU says what it undoes, and before that why.
const TAIL: u64 = 64 << 10;
/// So many errors are told. CRIU's own lead from the cause outwards: the first of the last few is what one wants.
const ERRORS: usize = 4;
/// So long may one be, in bytes.
const LENGTH: usize = 300;

/// The last errors in the log of that name, outermost last; none if it cannot be read.
pub fn errors(dir: BorrowedFd<'_>, name: &str) -> Vec<String> {
    let Ok(fd) = crate::files::openat(dir, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK) else { return Vec::new() };
    let regular = |s: nix::sys::stat::FileStat| SFlag::from_bits_truncate(s.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
    if !fstat(&fd).is_ok_and(regular) {
        return Vec::new();
    }
    let mut file = std::fs::File::from(fd);
    let length = file.seek(SeekFrom::End(0)).unwrap_or(0);
    let mut tail = Vec::new();
    let read =
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).and_then(|_| file.take(TAIL).read_to_end(&mut tail));
    if read.is_err() {
        return Vec::new();
    }
    of(&String::from_utf8_lossy(&tail))
}

/// The same from the text.
fn of(log: &str) -> Vec<String> {
    let error = |line: &'_ str| {
        line.find("Error (").and_then(|at| line.get(at..)).map(|rest| short_line(rest.trim_end(), LENGTH))
    };
    let mut last: Vec<String> = log.lines().rev().filter_map(error).take(ERRORS).collect();
    last.reverse();
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    const LOG: &str = "\
(00.264) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.300) Warn  (criu/x.c:1): something
(00.382) Error (criu/files-reg.c:1790): Can't lookup mount=27 for fd=1 path=/tmp/out
(00.383) Error (criu/cr-dump.c:1545): Dump files (pid: 14767) failed with -1
(00.400) thawing
(00.474) Error (criu/cr-dump.c:1975): Dumping FAILED.
";

    #[test]
    fn the_last_errors() {
        let got = of(LOG);
        assert_eq!(got.len(), 4);
        assert_eq!(got[1], "Error (criu/files-reg.c:1790): Can't lookup mount=27 for fd=1 path=/tmp/out");
        assert_eq!(got[3], "Error (criu/cr-dump.c:1975): Dumping FAILED.");
        assert_eq!(of(&LOG.repeat(3)), of(LOG));
        assert!(of("all is well\n").is_empty());
    }

    #[test]
    fn harmless_and_short() {
        let got = of(&format!("Error (a\x1b[31m: {}\r\n", "x".repeat(1000)));
        assert!(got[0].starts_with(r"Error (a\x1b[31m: xxx") && got[0].len() < 350, "{got:?}");
    }

    #[test]
    fn only_a_regular_file_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let fd = crate::files::open(dir.path(), crate::files::DIRECTORY).unwrap();
        assert!(errors(fd.as_fd(), "dump.log").is_empty());
        std::fs::write(dir.path().join("log"), LOG.repeat(2000)).unwrap();
        assert_eq!(errors(fd.as_fd(), "log"), of(LOG));
        std::os::unix::fs::symlink("log", dir.path().join("dump.log")).unwrap();
        assert!(errors(fd.as_fd(), "dump.log").is_empty());
        nix::unistd::mkfifo(&dir.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(errors(fd.as_fd(), "fifo").is_empty());
    }
}
