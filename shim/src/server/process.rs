//! A process as the daemon knows it: the first of a container, or one that was put into it.

use std::os::fd::OwnedFd;
use std::time::Instant;

use dunnage::sys::pidfd::PidFd;

use crate::bundle::Exit;
use crate::jobs::Streams;
use crate::proto::task::status;
use crate::proto::{NEVER, Timestamp};

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The connection.
    pub connection: u32,
    /// The call on it.
    pub stream: u32,
}

/// Who waits for the end of a process.
#[derive(Debug, Clone, Copy)]
pub struct Waiter {
    /// The caller.
    pub caller: Caller,
    /// When it stops listening.
    pub until: Option<Instant>,
}

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Known, and not started.
    Created,
    /// A worker starts it.
    Starting,
    /// It runs.
    Running,
    /// It has ended, and that was told.
    Stopped,
    /// It could not be started.
    Failed,
}

/// The streams of a process, as numbers of pumps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pumps {
    /// Into it.
    pub stdin: Option<u32>,
    /// Out of it; of a terminal's process, everything.
    pub stdout: Option<u32>,
    /// Out of it.
    pub stderr: Option<u32>,
}

impl Pumps {
    /// Those that are there.
    pub fn all(&self) -> impl Iterator<Item = u32> {
        [self.stdin, self.stdout, self.stderr].into_iter().flatten()
    }

    /// Those out of the process.
    pub fn outputs(&self) -> impl Iterator<Item = u32> {
        [self.stdout, self.stderr].into_iter().flatten()
    }

    /// It is no more.
    pub fn forget(&mut self, pump: u32) {
        for slot in [&mut self.stdin, &mut self.stdout, &mut self.stderr] {
            if *slot == Some(pump) {
                *slot = None;
            }
        }
    }
}

/// A process.
#[derive(Debug)]
pub struct Process {
    /// Empty for the first of a container.
    pub exec_id: String,
    /// What it is doing.
    pub phase: Phase,
    /// Its pid in our pid namespace; 0 as long as there is none.
    pub pid: i32,
    /// The process behind the pid, until it is reaped.
    pub pidfd: Option<PidFd>,
    /// process.json, as long as it is not started.
    pub spec: Vec<u8>,
    /// What the client asked for.
    pub streams: Streams,
    /// What of it is open.
    pub pumps: Pumps,
    /// A terminal that no stream of the client's reads, held so that its process keeps it.
    pub console: Option<OwnedFd>,
    /// Its stdin is to end when its writers have closed it.
    pub close_stdin: bool,
    /// The size that was last asked for.
    pub size: Option<(u16, u16)>,
    /// A program that reads its output.
    pub logger: Option<PidFd>,
    /// How it ended; known before it is told.
    pub exit: Option<Exit>,
    /// Who waits for its end.
    pub waiters: Vec<Waiter>,
    /// Who wants it deleted, and is answered when its output is out.
    pub deleters: Vec<Caller>,
}

impl Process {
    /// One that is not started.
    pub fn new(exec_id: &str, streams: Streams, spec: Vec<u8>) -> Process {
        Process {
            exec_id: exec_id.into(),
            phase: Phase::Created,
            pid: 0,
            pidfd: None,
            spec,
            streams,
            pumps: Pumps::default(),
            console: None,
            close_stdin: false,
            size: None,
            logger: None,
            exit: None,
            waiters: Vec::new(),
            deleters: Vec::new(),
        }
    }

    /// It runs, or is about to: its end is still to be told.
    pub fn is_alive(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Running)
    }

    /// containerd's word for what it does.
    pub fn status(&self) -> i32 {
        match self.phase {
            Phase::Created | Phase::Starting | Phase::Failed => status::CREATED,
            Phase::Running => status::RUNNING,
            Phase::Stopped => status::STOPPED,
        }
    }

    /// Its exit status and when, as it was told; zero and [`NEVER`] until then.
    pub fn told_exit(&self) -> (u32, Timestamp) {
        match self.exit.filter(|_| self.phase == Phase::Stopped) {
            Some(exit) => (exit.status, exit.time()),
            None => (0, NEVER),
        }
    }

    /// Its pid as messages have it.
    pub fn pid_u32(&self) -> u32 {
        u32::try_from(self.pid).unwrap_or(0)
    }
}
