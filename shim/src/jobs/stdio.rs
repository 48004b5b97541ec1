//! The streams of a process, as its client named them: descriptors 0-2 of the worker, which the process inherits, and our ends.
//!
//! A client makes fifos and opens its ends before it calls, in the background: it can open one only when the other side does. We open
//! ours before the process is made, so that one that prints and ends at once has its reader. Then we keep a reader of our own: the
//! daemon may go and come back, and its absence is neither an end of file nor a SIGPIPE.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dunnage::error::{Error, Result};
use dunnage::files;
use dunnage::sys::fork;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{Gid, Uid, fchown, pipe2};

use super::{Given, Place, Streams};
use crate::ttrpc::Failure;

/// How long a client may take to open its end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often we look meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What came of it; 0-2 are in place.
#[derive(Debug)]
pub struct Stdio {
    /// The pid of the logger that was started, or 0.
    pub logger: i32,
    /// Our ends.
    pub ours: Given,
}

/// Where output goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A path: a fifo, or whatever else is there.
    Path(PathBuf),
    /// A file, made if it is missing.
    File(PathBuf),
    /// A program that reads it.
    Logger {
        /// The program.
        path: PathBuf,
        /// Its arguments.
        args: Vec<String>,
        /// One that ends before it says that it is ready has failed.
        strict: bool,
    },
}

impl Target {
    /// Of what the client gave for stdout, which tells for both.
    ///
    /// # Errors
    /// `unknown STDIO scheme X`
    pub fn parse(text: &str) -> std::result::Result<Target, Failure> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Target::Path(text.into())) };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = PathBuf::from(unescape(path));
        match scheme {
            "fifo" => Ok(Target::Path(path)),
            "file" => Ok(Target::File(path)),
            "binary" | "binary-v2" => {
                let args = arguments(query);
                Ok(Target::Logger { path, args, strict: scheme == "binary-v2" })
            }
            _ => Err(Failure::unknown(format_args!("unknown STDIO scheme {scheme}"))),
        }
    }
}

/// Each key once, in the order of the URL, with its first value, be it empty.
fn arguments(query: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let mut args = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = unescape(&key.replace('+', " "));
        if !seen.contains(&key) {
            args.extend([key.clone(), unescape(&value.replace('+', " "))]);
            seen.push(key);
        }
    }
    args
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = digits.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Puts descriptors 0-2 in place, for a process of that `owner` (uid, gid).
///
/// # Errors
/// `unknown STDIO scheme X`; a client that does not open its end; what open(2) says.
pub fn prepare(streams: &Streams, id: &str, namespace: &str, owner: (u32, u32)) -> std::result::Result<Stdio, Failure> {
    let targets =
        [&streams.stdout, &streams.stderr].map(|text| (!text.is_empty()).then(|| Target::parse(text)).transpose());
    let [stdout, stderr] = targets;
    let (stdout, stderr) = (stdout?, stderr?);
    let mut stdio = Stdio { logger: 0, ours: Given::new() };
    let null = files::open("/dev/null", OFlag::O_RDWR).map_err(|e| Error::sys("open /dev/null", e))?;
    for number in 0..3 {
        // Whatever of it has no stream; and a terminal's process has it until it opens the terminal.
        fork::install(null.as_raw_fd(), number).map_err(|e| Error::sys("dup2", e))?;
    }
    let opening = |e: Error| {
        let failure = Failure::unknown(format_args!("failed to start io pipe copy: {e}"));
        // The client's own patience has ended, too.
        if e.errno() == Some(Errno::ETIMEDOUT) { Failure::deadline(failure.message) } else { failure }
    };
    let deadline = Instant::now().checked_add(PATIENCE);
    if !streams.stdin.is_empty() {
        let path = streams.stdin.strip_prefix("fifo://").unwrap_or(&streams.stdin);
        stdio.ours.push((Place::StdinFrom, open_input(Path::new(path)).map_err(opening)?));
        if !streams.terminal {
            let (read, write) = pipe(owner, true)?;
            fork::install(read.as_raw_fd(), 0).map_err(|e| Error::sys("dup2", e))?;
            stdio.ours.push((Place::StdinTo, write));
        }
    }
    match stdout {
        Some(Target::Logger { path, args, strict }) => {
            stdio.logger =
                logger(&mut stdio.ours, &Logger { path, args, strict, id, namespace }, streams.terminal, owner)?;
        }
        stdout => {
            // One description for both where they are one file: one offset.
            let shared = stdout.is_some() && (stdout == stderr || matches!(stdout, Some(Target::File(_))));
            let to = stdout.map(|target| open_output(&target, deadline)).transpose().map_err(opening)?;
            let copy = match &to {
                Some(fd) if shared => Some(fd.try_clone().map_err(|e| Error::io("dup", &e))?),
                _ => None,
            };
            let wants_stderr = !streams.terminal;
            let stderr = stderr.filter(|_| !shared && wants_stderr);
            let err = stderr.map(|target| open_output(&target, deadline)).transpose().map_err(opening)?;
            output(&mut stdio.ours, to, 1, streams.terminal, owner)?;
            if wants_stderr {
                output(&mut stdio.ours, err.or(copy), 2, false, owner)?;
            }
        }
    }
    Ok(stdio)
}

fn output(ours: &mut Given, to: Option<OwnedFd>, number: i32, terminal: bool, owner: (u32, u32)) -> Result<()> {
    let Some(to) = to else { return Ok(()) };
    let (from, place) =
        if number == 1 { (Place::StdoutFrom, Place::StdoutTo) } else { (Place::StderrFrom, Place::StderrTo) };
    if !terminal {
        let (read, write) = pipe(owner, false)?;
        fork::install(write.as_raw_fd(), number).map_err(|e| Error::sys("dup2", e))?;
        ours.push((from, read));
    }
    ours.push((place, to));
    Ok(())
}

/// A pipe for a process. Its end is the process's to open again (`/dev/stdout`), so it has its owner. O_NONBLOCK would be of both who
/// share an end: ours has it, the process's never.
fn pipe((uid, gid): (u32, u32), process_reads: bool) -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|e| Error::sys("pipe", e))?;
    let (theirs, ours) = if process_reads { (&read, &write) } else { (&write, &read) };
    if (uid, gid) != (0, 0) {
        fchown(theirs, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|e| Error::sys("fchown of a pipe", e))?;
    }
    set_nonblocking(ours.as_fd())?;
    Ok((read, write))
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop).map_err(|e| Error::sys("fcntl F_SETFL", e))
}

/// Both ends of stdin's fifo in one: as long as it is open there is no end of file.
fn open_input(path: &Path) -> Result<OwnedFd> {
    let failed = |e| Error::sys(format!("open {}", path.display()), e);
    let file = files::open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK).map_err(failed)?;
    if !is_fifo(file.as_fd()) {
        return Ok(file);
    }
    again(file.as_fd(), OFlag::O_RDWR).map_err(failed)
}

/// The same file once more, with other rights.
fn again(fd: BorrowedFd<'_>, flags: OFlag) -> nix::Result<OwnedFd> {
    files::open(format!("/proc/self/fd/{}", fd.as_raw_fd()).as_str(), flags | OFlag::O_NONBLOCK)
}

fn is_fifo(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFIFO)
}

fn open_output(target: &Target, deadline: Option<Instant>) -> Result<OwnedFd> {
    let (path, make) = match target {
        Target::Path(path) => (path, false),
        Target::File(path) | Target::Logger { path, .. } => (path, true),
    };
    let failed = |e| Error::sys(format!("open {}", path.display()), e);
    if make {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(failed(Errno::EISDIR)) };
        let dir = files::make_dirs(parent).map_err(failed)?;
        return files::append_in(dir, name).map_err(failed);
    }
    loop {
        match files::open(path, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK) {
            // A fifo that nobody reads yet.
            Err(Errno::ENXIO) if deadline.is_some_and(|deadline| Instant::now() < deadline) => {
                std::thread::sleep(LOOK_AGAIN);
            }
            Err(Errno::ENXIO) => {
                return Err(failed(Errno::ETIMEDOUT).hint("nobody opened the fifo for reading in 30 seconds"));
            }
            Err(e) => return Err(failed(e)),
            Ok(fd) if is_fifo(fd.as_fd()) => return again(fd.as_fd(), OFlag::O_RDWR).map_err(failed),
            Ok(fd) => return Ok(fd),
        }
    }
}

struct Logger<'a> {
    path: PathBuf,
    args: Vec<String>,
    strict: bool,
    id: &'a str,
    namespace: &'a str,
}

/// Starts a logger: descriptor 3 is the process's stdout, 4 its stderr; when it closes 5 or writes to it, it is ready. The result is its
/// pid.
fn logger(
    ours: &mut Given,
    logger: &Logger<'_>,
    terminal: bool,
    owner: (u32, u32),
) -> std::result::Result<i32, Failure> {
    let (stdout, to_stdout) = pipe(owner, true)?;
    let (stderr, to_stderr) = pipe(owner, true)?;
    // The logger reads, and who writes blocks while it does not.
    for fd in [&to_stdout, &to_stderr] {
        let flags = if terminal { OFlag::O_NONBLOCK } else { OFlag::empty() };
        fcntl(fd, FcntlArg::F_SETFL(flags)).map_err(|e| Error::sys("fcntl F_SETFL", e))?;
    }
    let (ready, tells) = pipe2(OFlag::O_CLOEXEC).map_err(|e| Error::sys("pipe", e))?;
    let pid = run(logger, [stdout.as_fd(), stderr.as_fd(), tells.as_fd()])?;
    drop((stdout, stderr, tells));
    wait_ready(ready.as_fd(), logger.strict)?;
    if terminal {
        ours.push((Place::StdoutTo, to_stdout));
    } else {
        for (number, fd) in [(1, &to_stdout), (2, &to_stderr)] {
            fork::install(fd.as_raw_fd(), number).map_err(|e| Error::sys("dup2", e))?;
        }
    }
    Ok(pid)
}

/// A copy of us puts 3-5 in place and executes the logger.
fn run(logger: &Logger<'_>, fds: [BorrowedFd<'_>; 3]) -> std::result::Result<i32, Failure> {
    let word =
        |text: &[u8]| CString::new(text).map_err(|_| Failure::invalid("an argument of the logger has a nul byte"));
    let path = word(logger.path.as_os_str().as_bytes())?;
    let mut args = vec![path.clone()];
    for arg in &logger.args {
        args.push(word(arg.as_bytes())?);
    }
    let env = [
        word(format!("CONTAINER_ID={}", logger.id).as_bytes())?,
        word(format!("CONTAINER_NAMESPACE={}", logger.namespace).as_bytes())?,
    ];
    let (told, tells) = pipe2(OFlag::O_CLOEXEC).map_err(|e| Error::sys("pipe", e))?;
    let fork::Side::Parent(pid) = fork::fork().map_err(|e| Error::sys("fork of the logger", e))? else {
        let tells = fcntl(&tells, FcntlArg::F_DUPFD_CLOEXEC(20)).unwrap_or(-1);
        let e = become_logger(fds, tells, &path, &args, &env);
        if let Some(tells) = fork::inherited(tells) {
            nix::unistd::write(&tells, &(e as i32).to_le_bytes()).ok();
        }
        fork::exit(127)
    };
    drop(tells);
    let mut errno = [0u8; 4];
    match nix::unistd::read(&told, &mut errno) {
        Ok(4) => {
            let e = Errno::from_raw(i32::from_le_bytes(errno));
            Err(Error::sys(format!("exec of the logging binary {}", logger.path.display()), e).into())
        }
        _ => Ok(pid),
    }
}

/// In the copy: only returns if it fails. Descriptors are numbers here; whoever owned them, it is closed with all the others.
fn become_logger(fds: [BorrowedFd<'_>; 3], tells: RawFd, path: &CString, args: &[CString], env: &[CString]) -> Errno {
    let place = || -> nix::Result<()> {
        let null = files::open("/dev/null", OFlag::O_RDWR)?.into_raw_fd();
        // Out of the way of 3-5 first.
        let mut high = [0; 3];
        for (fd, high) in fds.iter().zip(&mut high) {
            *high = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(10))?;
        }
        (0..3).try_for_each(|number| fork::install(null, number))?;
        high.iter().zip(3..).try_for_each(|(fd, number)| fork::install(*fd, number))?;
        fork::close_all_but(&[3, 4, 5, tells])
    };
    if let Err(e) = place() {
        return e;
    }
    fork::default_signals();
    match nix::unistd::execve(path, args, env) {
        Err(e) => e,
        Ok(never) => match never {},
    }
}

fn wait_ready(ready: BorrowedFd<'_>, strict: bool) -> std::result::Result<(), Failure> {
    let mut fds = [PollFd::new(ready, PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(0) => return Err(Failure::unknown("the logging binary was not ready in 30 seconds")),
        Ok(_) => {}
        Err(e) => return Err(Error::sys("poll of the logging binary", e).into()),
    }
    match nix::unistd::read(ready, &mut [0u8; 1]) {
        Ok(0) if strict => {
            let text = "logging binary did not call ready (it may have crashed or exited prematurely)";
            Err(Failure::unknown(text))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let path = |text: &str| Target::Path(text.into());
        assert_eq!(Target::parse("/run/f").unwrap(), path("/run/f"));
        assert_eq!(Target::parse("fifo:///run/f").unwrap(), path("/run/f"));
        assert_eq!(Target::parse("file:///var/log/a%20b").unwrap(), Target::File("/var/log/a b".into()));
        let args = ["id", "a b", "empty", "", "x", "1"].map(String::from).to_vec();
        let logger = Target::Logger { path: "/bin/l".into(), args: args.clone(), strict: false };
        assert_eq!(Target::parse("binary:///bin/l?id=a+b&empty=&x=1&x=2").unwrap(), logger);
        assert!(matches!(Target::parse("binary-v2:///bin/l").unwrap(), Target::Logger { strict: true, .. }));
        for scheme in ["pipe", "ttrpc+unix", "http"] {
            let failure = Target::parse(&format!("{scheme}://x?y=z")).unwrap_err();
            assert_eq!(failure.message, format!("unknown STDIO scheme {scheme}"));
        }
        assert_eq!(unescape("%2f%zz%4"), "/%zz%4");
    }
}
