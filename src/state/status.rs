//! What a container is doing: its init as a process that cannot be mistaken for another, and the status that follows.
//! Knows /proc and pidfds; of cgroups only what it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollTimeout;

use super::dir::ContainerDir;
use super::report::now;
use super::types::{Config, Extra, State};
use crate::error::{Error, Result};
use crate::spec::names::{NAMESPACES, NamespaceKind};
use crate::sys::pidfd::PidFd;
use crate::sys::proc;

/// The status of a container, as commands tell it. (Hooks know `creating` instead of `paused`.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Made; init waits for `start`.
    Created,
    /// Started.
    Running,
    /// Frozen.
    Paused,
    /// Init has ended.
    Stopped,
}

impl Status {
    /// As in the state's JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl State {
    /// The state of a container whose init has just been made; `start_time` is [`start_time`] of it.
    pub fn new(id: &str, pid: i32, start_time: u64, config: Config, cgroup_paths: BTreeMap<String, String>) -> State {
        let namespace = |kind: &NamespaceKind| (kind.libcontainer.to_owned(), format!("/proc/{pid}/ns/{}", kind.file));
        State {
            id: id.to_owned(),
            init_process_pid: pid,
            init_process_start: start_time,
            created: now(),
            rootless: config.rootless_euid && config.rootless_cgroups,
            config,
            cgroup_paths,
            namespace_paths: NAMESPACES.iter().map(namespace).collect(),
            dunnage: Extra { format: 1, version: env!("CARGO_PKG_VERSION").to_owned() },
            ..State::default()
        }
    }
}

impl<C> State<C> {
    /// The status: stopped wins over `frozen`, that over created. (runc asks the freezer first. On cgroup v2 a frozen process can
    /// be killed, and would leave a container that is paused, so not to be deleted, for ever.)
    pub fn status(&self, dir: &ContainerDir, frozen: impl FnOnce() -> Result<bool>) -> Result<Status> {
        if !self.init_is_alive()? {
            return Ok(Status::Stopped);
        }
        self.status_of_living(dir, frozen)
    }

    /// The status of one whose init is held, alive.
    pub fn status_of_living(&self, dir: &ContainerDir, frozen: impl FnOnce() -> Result<bool>) -> Result<Status> {
        if frozen()? {
            return Ok(Status::Paused);
        }
        Ok(if dir.has_exec_fifo()? { Status::Created } else { Status::Running })
    }

    /// Whether init runs, at this moment. To act on it, use [`State::init`].
    pub fn init_is_alive(&self) -> Result<bool> {
        Ok(self.init_process_pid > 0 && is_same(self.init_process_pid, self.init_process_start)?)
    }

    /// Init, held by a descriptor; `None` if it has ended.
    pub fn init(&self) -> Result<Option<InitProcess>> {
        InitProcess::open(self.init_process_pid, self.init_process_start)
    }
}

/// The first process of a container, alive when it was opened, and never another one.
#[derive(Debug)]
pub struct InitProcess {
    /// In the runtime's pid namespace; for paths and messages, not for signals.
    pub pid: i32,
    /// Clock ticks since boot.
    pub start_time: u64,
    /// The process.
    pub pidfd: PidFd,
}

impl InitProcess {
    /// `None` if it has ended, is a zombie, or the pid has passed to another process.
    pub fn open(pid: i32, start_time: u64) -> Result<Option<InitProcess>> {
        if pid <= 0 {
            return Ok(None);
        }
        // The descriptor first: if the process with this pid has the right start time *after* that, it is the one that the
        // descriptor holds, for its pid was not free in between.
        let pidfd = match PidFd::open(pid) {
            Ok(fd) => fd,
            // EINVAL: the pid has become the id of a thread.
            Err(Errno::ESRCH | Errno::EINVAL) => return Ok(None),
            Err(Errno::ENOSYS) => {
                let error = Error::sys(format!("pidfd_open {pid}"), Errno::ENOSYS);
                return Err(error.hint("Linux 5.3 is needed, or a seccomp filter around us that lets it pass"));
            }
            Err(e) => return Err(Error::sys(format!("pidfd_open {pid}"), e)),
        };
        if !is_same(pid, start_time)? {
            return Ok(None);
        }
        Ok(Some(InitProcess { pid, start_time, pidfd }))
    }

    /// Sends a signal; `container not running` if the process has ended since.
    pub fn kill(&self, signal: i32) -> Result<()> {
        match self.pidfd.send_signal(signal) {
            Ok(()) => Ok(()),
            Err(Errno::ESRCH) => Err(not_running()),
            Err(e) => Err(Error::sys("unable to signal init", e)),
        }
    }

    /// Waits until it has ended; true if it has within `timeout`. Without polling: the pidfd becomes readable.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        self.pidfd.wait_exit(timeout).map_err(|e| Error::sys(format!("poll on the pidfd of {}", self.pid), e))
    }
}

/// What `kill`, `pause` and others say when init has ended; callers match on it.
pub fn not_running() -> Error {
    Error::new("container not running")
}

/// Field 22 of /proc/`pid`/stat, to record with a pid. Of a process that we have just made and not reaped.
pub fn start_time(pid: i32) -> Result<u64> {
    match proc::stat(pid) {
        Ok(Some(stat)) => Ok(stat.start_time),
        Ok(None) => Err(Error::sys(format!("read /proc/{pid}/stat"), Errno::ESRCH)),
        Err(e) => Err(Error::sys(format!("read /proc/{pid}/stat"), e)),
    }
}

fn is_same(pid: i32, start_time: u64) -> Result<bool> {
    match proc::stat(pid) {
        Ok(Some(stat)) => Ok(stat.start_time == start_time && !stat.is_dead()),
        Ok(None) => Ok(false),
        Err(e) => Err(Error::sys(format!("read /proc/{pid}/stat"), e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_state_has_what_runc_relies_on() {
        let paths = BTreeMap::from([(String::new(), "/sys/fs/cgroup/x".to_owned())]);
        let config = Config { rootless_euid: true, rootless_cgroups: true, ..Config::default() };
        let json = serde_json::to_value(State::new("c", 7, 99, config, paths)).unwrap();
        assert_eq!(json["id"], "c");
        assert_eq!((&json["init_process_pid"], &json["init_process_start"]), (&7.into(), &99.into()));
        assert_eq!((&json["rootless"], &json["cgroup_paths"][""]), (&true.into(), &"/sys/fs/cgroup/x".into()));
        assert_eq!(json["namespace_paths"].as_object().unwrap().len(), 8);
        assert_eq!(json["namespace_paths"]["NEWNS"], "/proc/7/ns/mnt");
        // It is dereferenced without a look.
        assert!(json["config"]["cgroups"].is_object());
        assert_eq!(json["dunnage"]["format"], 1);
        assert!(json["created"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_process_is_known_by_pid_and_start_time() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let start = start_time(pid).unwrap();
        let own = InitProcess::open(pid, start).unwrap().unwrap();
        assert_eq!((own.pid, own.start_time), (pid, start));
        own.kill(0).unwrap();
        assert_eq!(own.kill(1000).unwrap_err().to_string(), "unable to signal init: invalid argument");
        assert!(!own.wait(Duration::ZERO).unwrap());
        for (pid, start) in [(pid, start + 1), (i32::MAX, start), (0, start), (-1, start)] {
            assert!(InitProcess::open(pid, start).unwrap().is_none(), "{pid} {start}");
        }
    }
}
