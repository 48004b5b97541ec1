//! A container as the daemon knows it, and what may be done to it in which state: the table of the task API. Pure.

use std::collections::{BTreeMap, VecDeque};

use dunnage::cgroup::Paths;

use super::process::{Caller, Phase, Process};
use super::sandbox::Sandbox;
use crate::jobs::Whose;
use crate::metrics::Meter;
use crate::oom::OomWatch;
use crate::proto::ttrpc::Request;
use crate::ttrpc::Failure;

/// What a whole container is doing, besides what its first process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freezing {
    /// Nothing.
    No,
    /// A worker freezes it.
    Pausing,
    /// It is frozen.
    Paused,
}

/// What a worker does for a container as a whole; one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// Nothing.
    No,
    /// The container is being made: nobody knows of it yet.
    Create,
    /// Whatever else.
    Change,
    /// It is being removed.
    Delete,
}

/// A container.
#[derive(Debug)]
pub struct Container {
    /// Tells it from others of the same id, and from those that are gone.
    pub number: u32,
    /// Id, bundle, options.
    pub whose: Whose,
    /// Its first process.
    pub init: Process,
    /// The others, by their ids.
    pub execs: BTreeMap<String, Process>,
    /// Calls in their order, while a worker is busy.
    pub queue: VecDeque<(Caller, Request)>,
    /// What a worker does.
    pub busy: Busy,
    /// Whether it is frozen.
    pub freezing: Freezing,
    /// Its rootfs is of our mounts.
    pub has_mounts: bool,
    /// It has no pid namespace of its own: the end of its first process leaves others behind.
    pub shares_pids: bool,
    /// Its cgroups.
    pub cgroups: Paths,
    /// To read what it uses; made when first asked for.
    pub meter: Option<Meter>,
    /// Whether memory has run out.
    pub oom: Option<OomWatch>,
    /// Its first process has ended, and its others are awaited until that is told.
    pub ending: bool,
    /// Workers that send a signal and whose answer is awaited: before that of a deletion, after which a client may hang up.
    pub signalling: u32,
    /// A worker kills what that leaves.
    pub killing_rest: bool,
    /// The runtime has nothing of it any more; its output is awaited.
    pub removed: bool,
    /// It holds the namespaces of a pod, and is no task.
    pub sandbox: Option<Sandbox>,
}

impl Container {
    /// One that is about to be made.
    pub fn new(number: u32, whose: Whose, init: Process) -> Container {
        Container {
            number,
            whose,
            init,
            execs: BTreeMap::new(),
            queue: VecDeque::new(),
            busy: Busy::Create,
            freezing: Freezing::No,
            has_mounts: false,
            shares_pids: false,
            cgroups: Paths::default(),
            meter: None,
            oom: None,
            ending: false,
            signalling: 0,
            killing_rest: false,
            removed: false,
            sandbox: None,
        }
    }

    /// Nobody knows of it yet.
    pub fn is_being_made(&self) -> bool {
        self.busy == Busy::Create
    }

    /// It is to be made from an image, when it is started.
    pub fn is_image(&self) -> bool {
        matches!(self.init.phase, Phase::Created | Phase::Starting) && self.init.pid == 0 && !self.is_being_made()
    }

    /// The process of that exec id; the first one's is empty.
    ///
    /// # Errors
    /// `process does not exist`.
    pub fn process(&self, exec_id: &str) -> Result<&Process, Failure> {
        if exec_id.is_empty() { Ok(&self.init) } else { self.execs.get(exec_id).ok_or_else(|| no_process(exec_id)) }
    }

    /// As [`Container::process`], to change it.
    ///
    /// # Errors
    /// `process does not exist`.
    pub fn process_mut(&mut self, exec_id: &str) -> Result<&mut Process, Failure> {
        if exec_id.is_empty() {
            return Ok(&mut self.init);
        }
        self.execs.get_mut(exec_id).ok_or_else(|| no_process(exec_id))
    }

    /// The state's name in messages.
    pub fn state(&self) -> &'static str {
        match (self.init.phase, self.freezing) {
            (Phase::Stopped, _) => "stopped",
            (Phase::Running, Freezing::Paused | Freezing::Pausing) => "paused",
            (Phase::Running, Freezing::No) => "running",
            _ => "created",
        }
    }

    /// # Errors
    /// It cannot be started now.
    pub fn may_start(&self) -> Result<(), Failure> {
        match self.state() {
            "created" if self.init.phase == Phase::Created => Ok(()),
            "created" => Err(Failure::unknown("cannot start a running process")),
            state => Err(Failure::unknown(format_args!("cannot start a {state} process"))),
        }
    }

    /// # Errors
    /// It cannot be deleted now.
    pub fn may_delete(&self) -> Result<(), Failure> {
        match self.state() {
            "created" | "stopped" => Ok(()),
            state => Err(Failure::unknown(format_args!("cannot delete a {state} process"))),
        }
    }

    /// # Errors
    /// It cannot be frozen now.
    pub fn may_pause(&self) -> Result<(), Failure> {
        match self.state() {
            "running" => Ok(()),
            "created" => Err(Failure::unknown("cannot pause task in created state")),
            state => Err(Failure::unknown(format_args!("cannot pause a {state} container"))),
        }
    }

    /// # Errors
    /// It cannot be thawed now.
    pub fn may_resume(&self) -> Result<(), Failure> {
        match self.state() {
            "paused" => Ok(()),
            "created" => Err(Failure::unknown("cannot resume task in created state")),
            "running" => Err(Failure::unknown("cannot resume a running process")),
            state => Err(Failure::unknown(format_args!("cannot resume a {state} container"))),
        }
    }

    /// # Errors
    /// It cannot be given other limits now.
    pub fn may_update(&self) -> Result<(), Failure> {
        match self.state() {
            "stopped" => Err(Failure::unknown("cannot update a stopped container")),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// No image of it can be made now.
    pub fn may_checkpoint(&self) -> Result<(), Failure> {
        match self.state() {
            "running" | "paused" => Ok(()),
            "created" => Err(Failure::unknown("cannot checkpoint a task in created state")),
            state => Err(Failure::unknown(format_args!("cannot checkpoint a {state} container"))),
        }
    }

    /// # Errors
    /// No process can be added now.
    pub fn may_exec(&self) -> Result<(), Failure> {
        match self.state() {
            "created" if self.is_image() => Err(Failure::unknown("cannot exec in a created state")),
            "paused" => Err(Failure::unknown("cannot exec in a paused state")),
            "stopped" => Err(Failure::unknown("cannot exec in a stopped state")),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// A process that was added cannot be started now.
    pub fn may_start_exec(&self, exec_id: &str) -> Result<(), Failure> {
        if self.init.exit.is_some() {
            let text = format!("container {} init process is not running", self.whose.id);
            return Err(Failure::precondition(text));
        }
        match self.process(exec_id)?.phase {
            Phase::Created | Phase::Failed => Ok(()),
            Phase::Starting | Phase::Running => Err(Failure::unknown("cannot start a running process")),
            Phase::Stopped => Err(Failure::unknown("cannot start a stopped process")),
        }
    }

    /// Whether one of the others still runs.
    pub fn has_running_execs(&self) -> bool {
        self.execs.values().any(Process::is_alive)
    }
}

/// The id of a container that is none.
pub fn not_created() -> Failure {
    Failure::not_found("container not created")
}

fn no_process(exec_id: &str) -> Failure {
    Failure::not_found(format_args!("process does not exist {exec_id}"))
}
