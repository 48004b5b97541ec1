//! One command with a time limit. Its output goes to files and not to pipes, because a detached container keeps them.

use super::{patience, pause};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A command to be run.
pub struct Command {
    inner: std::process::Command,
    shown: String,
    stdin: Vec<u8>,
    limit: Duration,
}

/// What a command left.
pub struct Out {
    /// The exit status, or 128 + the signal.
    pub code: i32,
    pub out: String,
    pub err: String,
    shown: String,
}

/// A command that runs beside the test.
pub struct Running {
    pub child: Child,
    out: File,
    err: File,
    shown: String,
    started: Instant,
    limit: Duration,
}

impl Command {
    pub fn new<S: AsRef<OsStr>>(argv: impl IntoIterator<Item = S>) -> Command {
        let argv: Vec<OsString> = argv.into_iter().map(|a| a.as_ref().to_owned()).collect();
        let mut inner = std::process::Command::new(&argv[0]);
        inner.args(&argv[1..]);
        let shown = argv.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ");
        Command { inner, shown, stdin: Vec::new(), limit: patience(20) }
    }

    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(key, value);
        self
    }

    pub fn env_clear(mut self) -> Self {
        self.inner.env_clear();
        self
    }

    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.inner.current_dir(dir);
        self
    }

    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = text.into();
        self
    }

    pub fn limit(mut self, seconds: u64) -> Self {
        self.limit = patience(seconds);
        self
    }

    /// The standard library's command, for what is rare.
    pub fn inner(&mut self) -> &mut std::process::Command {
        &mut self.inner
    }

    /// Runs it with all three descriptors on a terminal.
    pub fn spawn_on(mut self, tty: &OwnedFd) -> Child {
        let side = || Stdio::from(tty.try_clone().unwrap());
        self.inner.stdin(side()).stdout(side()).stderr(side());
        self.inner.spawn().unwrap_or_else(|e| panic!("{}: {e}", self.shown))
    }

    pub fn spawn(mut self) -> Running {
        let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        if self.stdin.is_empty() {
            self.inner.stdin(Stdio::null());
        } else {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&self.stdin).unwrap();
            file.rewind().unwrap();
            self.inner.stdin(file);
        }
        self.inner.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
        let child = self.inner.spawn().unwrap_or_else(|e| panic!("{}: {e}", self.shown));
        Running { child, out, err, shown: self.shown, started: Instant::now(), limit: self.limit }
    }

    pub fn output(self) -> Out {
        self.spawn().wait()
    }
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What it, or the container that inherited its descriptors, has written by now.
    pub fn written(&mut self) -> (String, String) {
        (read_all(&mut self.out), read_all(&mut self.err))
    }

    /// Waits for it; kills it, by its pid, when its time is up.
    pub fn wait(mut self) -> Out {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.started.elapsed() > self.limit {
                let (out, err) = self.written();
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("{} did not end within {:?}\n--- stdout\n{out}\n--- stderr\n{err}", self.shown, self.limit);
            }
            if self.started.elapsed() > Duration::from_millis(200) {
                super::host::reap_orphans();
            }
            pause(1);
        };
        let (out, err) = self.written();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Out { code, out, err, shown: self.shown }
    }
}

fn read_all(file: &mut File) -> String {
    // A second handle on the same description would move the offset at which the command writes: read at positions.
    use std::os::unix::fs::FileExt;
    let mut all = vec![0; file.metadata().unwrap().len() as usize];
    let mut at = 0;
    while at < all.len() {
        match file.read_at(&mut all[at..], at as u64).unwrap() {
            0 => break,
            n => at += n,
        }
    }
    String::from_utf8_lossy(&all[..at]).into_owned()
}

impl Out {
    /// It must have ended with 0.
    #[track_caller]
    pub fn ok(self) -> Out {
        self.code(0)
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Out {
        assert!(self.code == code, "exit code {} expected\n{self}", code);
        self
    }

    /// stderr must contain these words; quotes may have been escaped by the log's text format.
    #[track_caller]
    pub fn err_has(self, words: &str) -> Out {
        assert!(self.err.replace("\\\"", "\"").contains(words), "stderr must contain: {words}\n{self}");
        self
    }

    /// stdout must contain these words.
    #[track_caller]
    pub fn out_has(self, words: &str) -> Out {
        assert!(self.out.contains(words), "stdout must contain: {words}\n{self}");
        self
    }

    /// It must have failed with this code and, within the message, these words.
    #[track_caller]
    pub fn fails(self, code: i32, words: &str) -> Out {
        self.code(code).err_has(words)
    }

    /// stdout, without the space around it, must be exactly this.
    #[track_caller]
    pub fn says(self, text: &str) -> Out {
        assert!(self.out.trim() == text, "stdout must be: {text:?}\n{self}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("stdout is not JSON: {e}\n{self}"))
    }
}

impl fmt::Display for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$ {}\n--- exit {}\n--- stdout\n{}\n--- stderr\n{}", self.shown, self.code, self.out, self.err)
    }
}

/// A process beside the test, killed by its pid at the end.
pub struct Beside(pub Child);

impl Beside {
    pub fn spawn(argv: &[&str]) -> Beside {
        Beside(std::process::Command::new(argv[0]).args(&argv[1..]).spawn().unwrap())
    }

    pub fn pid(&self) -> i32 {
        self.0.id() as i32
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a whole file descriptor's rest; for sockets and pipes.
pub fn drain(from: &mut impl Read) -> String {
    let mut text = Vec::new();
    let _ = from.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}
