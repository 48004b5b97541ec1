//! Another OCI runtime in our place (`BinaryName`): runc, crun, nvidia's or anybody's wrapper, through runc's command line.
//! For a process of one thread that may block: each call is one program, run to its end. Must not know when the shim asks for
//! what, nor which names mean ourselves.
//!
//! What it makes is not its child but ours: the runtime ends, and its container goes to the nearest subreaper.

pub mod console;
pub mod log;

#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::fmt;
use std::path::{Path, PathBuf};

use dunnage::error::{Error, Result};

use crate::program::{self, Ended, Program, Stdio, argument};
use log::Log;

/// Of what a command writes to stderr.
const KEPT: usize = 16 << 10;

/// Of a document that it writes to stdout.
const MOST: usize = 4 << 20;

/// A runtime and what all its commands have in common.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// What is executed: see [`find`].
    pub binary: PathBuf,
    /// Of its state: the root of the options and below it the namespace's.
    pub root: PathBuf,
    /// Whether it makes control groups by systemd.
    pub systemd_cgroup: bool,
    /// Where it writes what went wrong: `log.json` of the bundle.
    pub log: PathBuf,
    /// The whole environment of its commands: see [`program::inherited_env`].
    pub env: Vec<CString>,
}

/// Looks a `BinaryName` up.
///
/// # Errors
/// `exec: "x": executable file not found in $PATH`
pub fn find(binary_name: &str) -> Result<PathBuf> {
    program::look_up(binary_name)
}

/// What `create` takes.
#[derive(Debug, Clone, Copy)]
pub struct Create<'a> {
    /// With config.json.
    pub bundle: &'a Path,
    /// Where the pid of the container's process appears.
    pub pid_file: &'a Path,
    /// Where the terminal's master is sent, of a process that has one.
    pub console_socket: Option<&'a Path>,
    /// MS_MOVE in place of pivot_root(2).
    pub no_pivot: bool,
    /// The process stays in our session keyring.
    pub no_new_keyring: bool,
}

/// What `exec` takes.
#[derive(Debug, Clone, Copy)]
pub struct Exec<'a> {
    /// process.json
    pub process: &'a Path,
    /// Where its pid appears.
    pub pid_file: &'a Path,
    /// Where the terminal's master is sent, of a process that has one.
    pub console_socket: Option<&'a Path>,
}

/// What `checkpoint` takes.
#[derive(Debug, Clone)]
pub struct Checkpoint<'a> {
    /// Where the image goes.
    pub image_path: &'a Path,
    /// Where CRIU works, and leaves `dump.log`.
    pub work_path: &'a Path,
    /// An earlier image that this one adds to, relative to it.
    pub parent_path: Option<&'a str>,
    /// The container goes on.
    pub leave_running: bool,
    /// Connections, too.
    pub tcp_established: bool,
    /// Sockets whose other end is outside.
    pub ext_unix_sk: bool,
    /// A terminal that is the caller's.
    pub shell_job: bool,
    /// Locks, too.
    pub file_locks: bool,
    /// `soft`, `full`, `strict` or `ignore`
    pub manage_cgroups_mode: Option<&'a str>,
    /// Namespaces that are not saved.
    pub empty_ns: &'a [String],
}

/// What `restore` takes.
#[derive(Debug, Clone, Copy)]
pub struct Restore<'a> {
    /// As of `create`; a restored process has a keyring of its own.
    pub create: Create<'a>,
    /// Where the image is.
    pub image_path: &'a Path,
    /// Where CRIU works.
    pub work_path: &'a Path,
    /// The image that this one adds to.
    pub parent_path: Option<&'a str>,
}

/// What `state` says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct State {
    /// Of the container's first process; 0 if it has ended.
    #[serde(default)]
    pub pid: i32,
    /// `created`, `running`, `paused` or `stopped`
    pub status: String,
}

/// Why a signal did not arrive.
#[derive(Debug)]
pub enum NotKilled {
    /// The process has ended.
    Finished,
    /// The runtime knows no such container.
    NoContainer,
    /// Something else.
    Other(Error),
}

impl fmt::Display for NotKilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotKilled::Finished => f.write_str("process already finished"),
            NotKilled::NoContainer => f.write_str("no such container"),
            NotKilled::Other(error) => write!(f, "unknown error after kill: {error}"),
        }
    }
}

/// A command that was run, and did not do what it was to do.
struct Failed {
    /// What the log says last, or how it ended.
    text: String,
}

impl Failed {
    fn doing(self, what: &str) -> Error {
        Error::new(self.text).doing(what)
    }

    fn says(&self, words: &str) -> bool {
        self.text.to_lowercase().contains(words)
    }
}

impl Runtime {
    /// Makes a container; its process waits for [`Runtime::start`], with our descriptors 0 to 2.
    ///
    /// # Errors
    /// `OCI runtime create failed: ...`
    pub fn create(&self, id: &str, create: &Create<'_>) -> Result<()> {
        let mut args = Args::new("create")?;
        args.created(create)?;
        args.flag("--no-new-keyring", create.no_new_keyring);
        self.done(args.then(id)?, Stdio::Ours)?.map_err(|e| e.doing("OCI runtime create failed"))
    }

    /// Lets the process of a container that was created go on.
    ///
    /// # Errors
    /// `OCI runtime start failed: ...`
    pub fn start(&self, id: &str) -> Result<()> {
        self.verb("start", id)?.map_err(|e| e.doing("OCI runtime start failed"))
    }

    /// Starts one more process in a container, with our descriptors 0 to 2, and does not wait for its end.
    ///
    /// # Errors
    /// `OCI runtime exec failed: ...`
    pub fn exec(&self, id: &str, exec: &Exec<'_>) -> Result<()> {
        let mut args = Args::new("exec")?;
        args.path("--process", exec.process)?;
        if let Some(socket) = exec.console_socket {
            args.path("--console-socket", socket)?;
        }
        args.flag("--detach", true);
        args.path("--pid-file", exec.pid_file)?;
        self.done(args.then(id)?, Stdio::Ours)?.map_err(|e| e.doing("OCI runtime exec failed"))
    }

    /// Sends a signal to the container's process, or to all of its processes.
    ///
    /// # Errors
    /// `OCI runtime killall failed: ...` for all of them.
    pub fn kill(&self, id: &str, signal: i32, all: bool) -> std::result::Result<(), NotKilled> {
        let ended = || {
            let mut args = Args::new("kill")?;
            args.flag("--all", all);
            self.done(args.then(id)?.then(&signal.to_string())?, Stdio::Kept(None, KEPT))
        };
        ended().map_err(NotKilled::Other)?.map_err(|e| match e {
            e if self.has_no(id, &e) => NotKilled::NoContainer,
            e if ["container not running", "process already finished", "no such process"].iter().any(|w| e.says(w)) => {
                NotKilled::Finished
            }
            e if all => NotKilled::Other(e.doing("OCI runtime killall failed")),
            e => NotKilled::Other(Error::new(e.text)),
        })
    }

    /// Removes a container that has ended or, with `force`, kills it first. One that is not there is removed.
    ///
    /// # Errors
    /// `failed to delete task: ...`
    pub fn delete(&self, id: &str, force: bool) -> Result<()> {
        let mut args = Args::new("delete")?;
        args.flag("--force", force);
        match self.done(args.then(id)?, Stdio::Kept(None, KEPT))? {
            Err(e) if !self.has_no(id, &e) => Err(e.doing("failed to delete task")),
            _ => Ok(()),
        }
    }

    /// Freezes a container.
    ///
    /// # Errors
    /// `OCI runtime pause failed: ...`
    pub fn pause(&self, id: &str) -> Result<()> {
        self.verb("pause", id)?.map_err(|e| e.doing("OCI runtime pause failed"))
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// `OCI runtime resume failed: ...`
    pub fn resume(&self, id: &str) -> Result<()> {
        self.verb("resume", id)?.map_err(|e| e.doing("OCI runtime resume failed"))
    }

    /// Gives a container other limits: `resources` is JSON of the specification's.
    ///
    /// # Errors
    /// `OCI runtime update failed: ...`
    pub fn update(&self, id: &str, resources: &[u8]) -> Result<()> {
        let mut args = Args::new("update")?;
        args.flag("--resources=-", true);
        let updated = self.done(args.then(id)?, Stdio::Kept(Some(resources), KEPT))?;
        updated.map_err(|e| e.doing("OCI runtime update failed"))
    }

    /// The pids of all processes of a container, in our pid namespace.
    ///
    /// # Errors
    /// `OCI runtime ps failed: ...`
    pub fn ps(&self, id: &str) -> Result<Vec<i32>> {
        const FAILED: &str = "OCI runtime ps failed";
        let mut args = Args::new("ps")?;
        args.option("--format", "json")?;
        let out = self.output(args.then(id)?)?.map_err(|e| e.doing(FAILED))?;
        let pids: Option<Vec<i32>> =
            serde_json::from_slice(&out).map_err(|e| Error::new(e.to_string()).doing(FAILED))?;
        Ok(pids.unwrap_or_default())
    }

    /// What the runtime knows of a container.
    ///
    /// # Errors
    /// `OCI runtime state failed: ...`
    pub fn state(&self, id: &str) -> Result<State> {
        const FAILED: &str = "OCI runtime state failed";
        let out = self.output(Args::new("state")?.then(id)?)?.map_err(|e| e.doing(FAILED))?;
        serde_json::from_slice(&out).map_err(|e| Error::new(e.to_string()).doing(FAILED))
    }

    /// Saves a container by CRIU.
    ///
    /// # Errors
    /// `OCI runtime checkpoint failed: ...`
    pub fn checkpoint(&self, id: &str, checkpoint: &Checkpoint<'_>) -> Result<()> {
        let saved = self.done(checkpoint.args()?.then(id)?, Stdio::Kept(None, KEPT))?;
        saved.map_err(|e| e.doing("OCI runtime checkpoint failed"))
    }

    /// Makes a container that goes on where one was saved, with our descriptors 0 to 2.
    ///
    /// # Errors
    /// `OCI runtime restore failed: ...`
    pub fn restore(&self, id: &str, restore: &Restore<'_>) -> Result<()> {
        self.done(restore.args()?.then(id)?, Stdio::Ours)?.map_err(|e| e.doing("OCI runtime restore failed"))
    }

    /// The document that says what the runtime can do.
    ///
    /// # Errors
    /// `OCI runtime features failed: ...`
    pub fn features(&self) -> Result<Vec<u8>> {
        // Of no container: no state, no log.
        let ended = self.run(vec![c"features".to_owned()], Stdio::Kept(None, MOST))?;
        if ended.well() { Ok(ended.stdout) } else { Err(self.ended_badly(&ended).doing("OCI runtime features failed")) }
    }

    fn verb(&self, verb: &'static str, id: &str) -> Result<std::result::Result<(), Failed>> {
        self.done(Args::new(verb)?.then(id)?, Stdio::Kept(None, KEPT))
    }

    fn output(&self, args: Args) -> Result<std::result::Result<Vec<u8>, Failed>> {
        Ok(self.command(args, Stdio::Kept(None, MOST))?.map(|ended| ended.stdout))
    }

    fn done(&self, args: Args, stdio: Stdio<'_>) -> Result<std::result::Result<(), Failed>> {
        Ok(self.command(args, stdio)?.map(drop))
    }

    /// One command. The outer error is ours: it could not be run.
    fn command(&self, command: Args, stdio: Stdio<'_>) -> Result<std::result::Result<Ended, Failed>> {
        let mut args = Args(Vec::with_capacity(8));
        args.path("--root", &self.root)?;
        args.path("--log", &self.log)?;
        args.option("--log-format", "json")?;
        args.flag("--systemd-cgroup", self.systemd_cgroup);
        args.0.extend(command.0);
        // What earlier commands have left there is not this one's.
        let log = Log::now(&self.log);
        let ended = self.run(args.0, stdio)?;
        if ended.well() {
            return Ok(Ok(ended));
        }
        Ok(Err(log.last_error().map_or_else(|| self.ended_badly(&ended), |text| Failed { text })))
    }

    fn run(&self, args: Vec<CString>, stdio: Stdio<'_>) -> Result<Ended> {
        program::run(&Program { path: &self.binary, args, env: &self.env, stdio, dies_with_us: true, timeout: None })
    }

    fn ended_badly(&self, ended: &Ended) -> Failed {
        let name = self.binary.file_name().unwrap_or(self.binary.as_os_str()).to_string_lossy();
        Failed { text: format!("{name} did not terminate successfully: {}", ended.describe()) }
    }

    /// Whether the container is not there: in runc's words, or by the C library's about its state.
    fn has_no(&self, id: &str, e: &Failed) -> bool {
        let state = || std::fs::symlink_metadata(self.root.join(id)).is_ok();
        e.says("does not exist") || (e.says("no such file or directory") && !state())
    }
}

impl Checkpoint<'_> {
    fn args(&self) -> Result<Args> {
        let mut args = Args::new("checkpoint")?;
        args.path("--image-path", self.image_path)?;
        args.path("--work-path", self.work_path)?;
        if let Some(parent) = self.parent_path {
            args.option("--parent-path", parent)?;
        }
        args.flag("--leave-running", self.leave_running);
        args.flag("--tcp-established", self.tcp_established);
        args.flag("--ext-unix-sk", self.ext_unix_sk);
        args.flag("--shell-job", self.shell_job);
        args.flag("--file-locks", self.file_locks);
        if let Some(mode) = self.manage_cgroups_mode {
            args.option("--manage-cgroups-mode", mode)?;
        }
        for namespace in self.empty_ns {
            args.option("--empty-ns", namespace)?;
        }
        Ok(args)
    }
}

impl Restore<'_> {
    fn args(&self) -> Result<Args> {
        let mut args = Args::new("restore")?;
        args.path("--image-path", self.image_path)?;
        args.path("--work-path", self.work_path)?;
        if let Some(parent) = self.parent_path {
            args.option("--parent-path", parent)?;
        }
        args.flag("--detach", true);
        // The container goes to the shim.
        args.flag("--no-subreaper", true);
        args.created(&self.create)?;
        Ok(args)
    }
}

/// The arguments of a command.
struct Args(Vec<CString>);

impl Args {
    fn new(verb: &str) -> Result<Args> {
        Ok(Args(vec![argument(verb)?]))
    }

    fn flag(&mut self, name: &str, given: bool) {
        if given {
            self.0.extend(CString::new(name));
        }
    }

    fn option(&mut self, name: &str, value: &str) -> Result<()> {
        self.0.extend([argument(name)?, argument(value)?]);
        Ok(())
    }

    fn path(&mut self, name: &str, value: &Path) -> Result<()> {
        self.0.extend([argument(name)?, argument(value)?]);
        Ok(())
    }

    /// What `create` and `restore` have in common.
    fn created(&mut self, create: &Create<'_>) -> Result<()> {
        self.path("--bundle", create.bundle)?;
        self.path("--pid-file", create.pid_file)?;
        if let Some(socket) = create.console_socket {
            self.path("--console-socket", socket)?;
        }
        self.flag("--no-pivot", create.no_pivot);
        Ok(())
    }

    /// What is no option: an id that looks like one is refused.
    fn then(mut self, value: &str) -> Result<Args> {
        if value.starts_with('-') {
            return Err(Error::new(format!("{value:?} would be an option of the runtime")));
        }
        self.0.push(argument(value)?);
        Ok(self)
    }
}
