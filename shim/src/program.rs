//! A program of the host, run to its end: what it gets is said, what it prints is bounded. For processes that may block. Must
//! not know what the program is.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dunnage::error::{Errno, Error, Result};
use dunnage::files;
use dunnage::launch::fds::is_listen_variable;
use dunnage::sys::children::restore_sigchld;
use dunnage::sys::descriptors;
use dunnage::sys::memfd::sealed;
use dunnage::sys::pidfd::{Exit, PidFd};
use dunnage::sys::spawn::{self, Failure};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Whence, lseek, pipe2, read};

/// What to run.
#[derive(Debug)]
pub struct Program<'a> {
    /// No search in PATH.
    pub path: &'a Path,
    /// Without `argv[0]`, which is the path.
    pub args: Vec<CString>,
    /// The whole environment.
    pub env: &'a [CString],
    /// What it reads and where it writes.
    pub stdio: Stdio<'a>,
    /// It is killed when the thread that runs it ends.
    pub dies_with_us: bool,
    /// It is killed after so long; `None`: it has for ever.
    pub timeout: Option<Duration>,
}

/// The program's descriptors 0, 1 and 2.
#[derive(Debug, Clone, Copy)]
pub enum Stdio<'a> {
    /// Ours: those of a container.
    Ours,
    /// stdin is this, or /dev/null; of stdout and stderr so much is kept each.
    Kept(Option<&'a [u8]>, usize),
}

/// How it went.
#[derive(Debug)]
pub struct Ended {
    /// `None`: its time was over.
    pub exit: Option<Exit>,
    /// What was kept.
    pub stdout: Vec<u8>,
    /// What was kept.
    pub stderr: Vec<u8>,
}

impl Ended {
    /// Whether it says that it has done what it was to do.
    pub fn well(&self) -> bool {
        self.exit == Some(Exit::Code(0))
    }

    /// In Go's words, with what it wrote to stderr.
    pub fn describe(&self) -> String {
        let how = match self.exit {
            None => "took too long, and was killed".to_owned(),
            Some(Exit::Code(code)) => format!("exit status {code}"),
            Some(Exit::Signal(libc::SIGKILL)) => "signal: killed".to_owned(),
            Some(Exit::Signal(signal) | Exit::Dumped(signal)) => format!("signal: {signal}"),
        };
        match String::from_utf8_lossy(&self.stderr).trim() {
            "" => how,
            text => format!("{how}: {text}"),
        }
    }
}

/// Our environment, less what is addressed to the daemon that we have it from: its service manager and its listening sockets.
pub fn inherited_env() -> Vec<CString> {
    let not_for_us = |name: &OsStr| name.to_str().is_some_and(|n| n == "NOTIFY_SOCKET" || is_listen_variable(n));
    let ours = std::env::vars_os().filter(|(name, _)| !not_for_us(name));
    ours.filter_map(|(name, value)| CString::new([name.into_vec(), value.into_vec()].join(&b'=')).ok()).collect()
}

/// Looks a program up in PATH, as Go does: a name with a slash in it is a path.
///
/// # Errors
/// `exec: "x": executable file not found in $PATH`, which callers match on.
pub fn look_up(name: &str) -> Result<PathBuf> {
    look_up_in(name, &std::env::var_os("PATH").unwrap_or_default())
}

fn look_up_in(name: &str, path: &OsStr) -> Result<PathBuf> {
    let executable = |path: &Path| match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Err(Errno::EISDIR),
        Ok(_) => nix::unistd::access(path, nix::unistd::AccessFlags::X_OK),
        Err(e) => Err(e.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
    };
    if name.contains('/') {
        return executable(Path::new(name)).map(|()| name.into()).map_err(|e| match e {
            Errno::EACCES | Errno::EISDIR => Error::sys(format!("exec: {name:?}"), e),
            _ => Error::sys(format!("exec: {name:?}: stat {name}"), e),
        });
    }
    // A relative entry would be a file of our working directory.
    let dirs = std::env::split_paths(path).filter(|dir| dir.is_absolute());
    let mut found = dirs.map(|dir| dir.join(name)).filter(|path| !name.is_empty() && executable(path).is_ok());
    found.next().ok_or_else(|| Error::new(format!("exec: {name:?}: executable file not found in $PATH")))
}

/// A string for the program.
///
/// # Errors
/// One with a NUL byte in it.
pub fn argument(text: impl AsRef<OsStr>) -> Result<CString> {
    let text = text.as_ref();
    CString::new(text.as_bytes()).map_err(|_| Error::new(format!("a NUL byte in {text:?}")))
}

/// Runs it.
///
/// # Errors
/// It could not be started (`fork/exec PATH: ...`), or be waited for. How it ended is no error.
pub fn run(program: &Program<'_>) -> Result<Ended> {
    restore_sigchld();
    let (stdio, pipes) = descriptors_of(program.stdio)?;
    let mut args = vec![argument(program.path)?];
    args.extend(program.args.iter().cloned());
    let path = argument(program.path)?;
    let deadline = program.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let spawned = spawn::spawn(&spawn::Program {
        path: &path,
        args: &args,
        env: program.env,
        cwd: None,
        stdio: stdio.each_ref().map(AsFd::as_fd),
        more: &[],
        pdeathsig: program.dies_with_us.then_some(libc::SIGKILL),
    });
    let spawned = spawned.map_err(|failure| match failure {
        Failure::Clone(e) => Error::sys("clone", e),
        Failure::Stdio(e) => Error::sys(format!("stdio of {}", program.path.display()), e),
        Failure::Chdir(e) => Error::sys("chdir", e),
        Failure::Exec(e) => Error::sys(format!("fork/exec {}", program.path.display()), e),
    })?;
    // Or the pipes would not end with it.
    drop(stdio);
    Running { process: spawned.pidfd, outputs: pipes }.wait(deadline)
}

/// The program's, and our ends of its stdout and stderr.
fn descriptors_of(stdio: Stdio<'_>) -> Result<([OwnedFd; 3], Option<[Output; 2]>)> {
    let Stdio::Kept(input, most) = stdio else {
        let [a, b, c] = descriptors::stdio();
        return Ok(([copy(a)?, copy(b)?, copy(c)?], None));
    };
    let stdin = match input {
        None => files::open("/dev/null", OFlag::O_RDONLY).map_err(|e| Error::sys("open /dev/null", e))?,
        // Not a pipe: it holds all of it, and there is nobody to wait for.
        Some(bytes) => {
            let file = sealed(c"stdin", bytes, false).map_err(|e| Error::sys("memfd_create", e))?;
            lseek(&file, 0, Whence::SeekSet).map_err(|e| Error::sys("lseek", e))?;
            file
        }
    };
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|e| Error::sys("pipe", e));
    let (from_stdout, stdout) = pipe()?;
    let (from_stderr, stderr) = pipe()?;
    let output = |pipe| Output { pipe: Some(pipe), kept: Vec::new(), most };
    // If ours are closed these can be numbered 0 to 2, which they must not.
    Ok(([above(stdin)?, above(stdout)?, above(stderr)?], Some([output(from_stdout), output(from_stderr)])))
}

fn above(fd: OwnedFd) -> Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    if fd.as_raw_fd() > 2 { Ok(fd) } else { copy(fd.as_fd()) }
}

/// A copy that is none of 0 to 2.
fn copy(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    fd.try_clone_to_owned().map_err(|e| Error::io("dup", &e))
}

struct Running {
    process: PidFd,
    outputs: Option<[Output; 2]>,
}

/// One of stdout and stderr.
struct Output {
    pipe: Option<OwnedFd>,
    kept: Vec<u8>,
    most: usize,
}

impl Running {
    fn wait(mut self, deadline: Option<Instant>) -> Result<Ended> {
        let exit = loop {
            let timeout = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => PollTimeout::NONE,
                Some(Duration::ZERO) => {
                    self.process.send_signal(libc::SIGKILL).ok();
                    self.process.reap().map_err(|e| Error::sys("waitid", e))?;
                    break None;
                }
                Some(left) => PollTimeout::from(u16::try_from(left.as_millis().saturating_add(1)).unwrap_or(u16::MAX)),
            };
            if self.serve(timeout)? {
                break Some(self.process.reap().map_err(|e| Error::sys("waitid", e))?);
            }
        };
        let [stdout, stderr] = self.outputs.take().map_or_else(Default::default, |both| both.map(Output::rest));
        Ok(Ended { exit, stdout, stderr })
    }

    /// One round; true if the program has ended.
    fn serve(&mut self, timeout: PollTimeout) -> Result<bool> {
        let mut fds = Vec::with_capacity(3);
        fds.push(PollFd::new(self.process.as_fd(), PollFlags::POLLIN));
        for output in self.outputs.iter().flatten() {
            fds.extend(output.pipe.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        }
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::sys("poll", e)),
        }
        let mut ready = fds.iter().map(|fd| fd.any() != Some(false)).collect::<Vec<_>>().into_iter();
        let ended = ready.next().unwrap_or(false);
        for output in self.outputs.iter_mut().flatten().filter(|output| output.pipe.is_some()) {
            if ready.next().unwrap_or(false) {
                output.read();
            }
        }
        Ok(ended)
    }
}

impl Output {
    /// Reads once from the pipe; its end closes it.
    fn read(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let mut buffer = [0; 4096];
        match read(pipe, &mut buffer) {
            Ok(n) if n > 0 => {
                let room = self.most.saturating_sub(self.kept.len());
                self.kept.extend(buffer.iter().take(n.min(room)));
            }
            Err(Errno::EINTR) => {}
            _ => self.pipe = None,
        }
    }

    /// After the program's end: what is still in the pipe, whoever else may hold it. A daemon that it has left behind goes on.
    fn rest(mut self) -> Vec<u8> {
        if let Some(pipe) = &self.pipe {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).ok();
        }
        // What a full pipe holds.
        for _ in 0..16 {
            self.read();
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: Option<&[u8]>, timeout: Option<Duration>) -> Ended {
        let args = vec![c"-c".to_owned(), CString::new(script).unwrap()];
        let env = [c"PATH=/usr/bin:/bin".to_owned()];
        let stdio = Stdio::Kept(input, 1000);
        run(&Program { path: Path::new("/bin/sh"), args, env: &env, stdio, dies_with_us: true, timeout }).unwrap()
    }

    #[test]
    fn what_it_gets_and_gives() {
        let big = vec![b'x'; 300_000];
        let ended = sh("wc -c; echo err >&2; exit 3", Some(&big), None);
        assert_eq!((ended.exit, ended.stdout.as_slice()), (Some(Exit::Code(3)), &b"300000\n"[..]));
        assert_eq!(ended.describe(), "exit status 3: err");
        assert!(sh("test -c /proc/self/fd/0", None, None).well());
        assert_eq!(sh("head -c 3000000 /dev/zero", None, None).stdout.len(), 1000);
        assert_eq!(sh("kill -9 $$", None, None).describe(), "signal: killed");
    }

    #[test]
    fn neither_a_late_program_nor_a_daemon_holds_us() {
        let begun = Instant::now();
        let ended = sh("echo first; exec sleep 60", None, Some(Duration::from_millis(300)));
        assert_eq!((ended.exit, ended.stdout.as_slice()), (None, &b"first\n"[..]));
        assert_eq!(sh("echo first; sleep 15 & exit 0", None, None).stdout, b"first\n");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn is_killed_with_us() {
        let ended = sh("grep -q x /proc/self/status; exec cat /proc/self/stat", None, None);
        assert!(ended.well());
        // The one who asks is the program itself: prctl(PR_GET_PDEATHSIG) of a shell is nowhere in /proc.
        let code = "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value)";
        let ended = sh(&format!("exec python3 -c '{code}'"), None, None);
        assert_eq!(ended.stdout, b"9\n", "{}", ended.describe());
    }

    #[test]
    fn looks_in_path() {
        let path = OsStr::new("relative:/no/such:/usr/bin:/bin");
        assert!(look_up_in("env", path).unwrap().ends_with("bin/env"));
        assert_eq!(look_up_in("/bin/sh", path).unwrap(), Path::new("/bin/sh"));
        for (name, text) in [
            ("no-runc", "exec: \"no-runc\": executable file not found in $PATH"),
            ("", "exec: \"\": executable file not found in $PATH"),
            ("/no/runc", "exec: \"/no/runc\": stat /no/runc: no such file or directory"),
            ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
            ("/etc/", "exec: \"/etc/\": is a directory"),
        ] {
            assert_eq!(look_up_in(name, path).unwrap_err().to_string(), text);
        }
    }
}
