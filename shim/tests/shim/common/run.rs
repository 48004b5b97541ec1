//! One command of the shim as the daemon runs it: stdout and stderr are pipes that are read to their end, so whoever inherits them
//! keeps the daemon waiting.

use std::ffi::OsStr;
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::patience;

/// A command to be run.
pub struct Run {
    command: Command,
    stdin: Option<Vec<u8>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// The exit status, or 128 + the signal.
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
    /// From its start to the end of its output.
    pub took: Duration,
    shown: String,
}

/// One that runs.
pub struct Running {
    child: Child,
    out: Receiver<Vec<u8>>,
    err: Receiver<Vec<u8>>,
    started: Instant,
    shown: String,
}

impl Run {
    pub fn new(program: impl AsRef<OsStr>, args: &[&str]) -> Run {
        let mut command = Command::new(program);
        // As the daemon does.
        command.args(args).process_group(0);
        Run { command, stdin: None }
    }

    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(key, value);
        self
    }

    pub fn dir(mut self, dir: impl AsRef<Path>) -> Run {
        self.command.current_dir(dir);
        self
    }

    /// None is `/dev/null`.
    pub fn stdin(mut self, bytes: Option<Vec<u8>>) -> Run {
        self.stdin = bytes;
        self
    }

    /// The standard library's command, for what is rare.
    pub fn inner(&mut self) -> &mut Command {
        &mut self.command
    }

    pub fn spawn(mut self) -> Running {
        let shown = format!("{:?}", self.command);
        let stdin = if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("{shown}: {e}"));
        if let (Some(bytes), Some(mut pipe)) = (self.stdin, child.stdin.take()) {
            // Whoever does not read everything closes it: that is not the writer's failure.
            std::thread::spawn(move || drop(pipe.write_all(&bytes)));
        }
        let (out, err) = (reader(child.stdout.take().unwrap()), reader(child.stderr.take().unwrap()));
        Running { child, out, err, started, shown }
    }

    #[track_caller]
    pub fn output(self) -> Ran {
        self.spawn().wait()
    }
}

fn reader(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = pipe.read_to_end(&mut all);
        let _ = sender.send(all);
    });
    receiver
}

impl Running {
    /// Its end and that of its output, within thirty seconds. Meanwhile the orphans of a dead shim are reaped, as a machine's pid 1
    /// does: a pid namespace ends only when all of its dead have been.
    #[track_caller]
    pub fn wait(mut self) -> Ran {
        let end = self.started + patience(30);
        let mut take = |from: &Receiver<Vec<u8>>, what: &str| loop {
            match from.recv_timeout(Duration::from_millis(20)) {
                Ok(bytes) => break bytes,
                Err(RecvTimeoutError::Disconnected) => unreachable!("the reader sends"),
                Err(RecvTimeoutError::Timeout) if Instant::now() < end => super::host::reap_orphans(),
                Err(RecvTimeoutError::Timeout) => {
                    let ended = self.child.try_wait();
                    let _ = self.child.kill();
                    panic!("{}: its {what} has no end: {ended:?}", self.shown);
                }
            }
        };
        let (out, err) = (take(&self.out, "stdout"), take(&self.err, "stderr"));
        let status = self.child.wait().unwrap();
        Ran {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            out,
            err: String::from_utf8_lossy(&err).into_owned(),
            took: self.started.elapsed(),
            shown: self.shown,
        }
    }
}

impl Ran {
    #[track_caller]
    pub fn ok(self) -> Ran {
        assert!(self.code == 0, "must succeed:\n{self}");
        self
    }

    /// It must have failed with these words on stderr.
    #[track_caller]
    pub fn fails(self, words: &str) -> Ran {
        assert!(self.code != 0 && self.err.contains(words), "must fail and say {words:?}:\n{self}");
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let out = String::from_utf8_lossy(&self.out);
        write!(f, "$ {}\n--- exit {}\n--- stdout\n{out:?}\n--- stderr\n{}", self.shown, self.code, self.err)
    }
}
