//! The methods that take a worker: who may ask for it now, what is asked of the worker, and what becomes of its answer. A container has
//! one worker at a time for itself as a whole (the others wait in its queue, in order); its execs have theirs beside that.

use std::time::Duration;

use dunnage::log;
use dunnage::sys::pidfd::PidFd;

use super::calls::decode;
use super::container::{Busy, Container, Freezing, not_created};
use super::process::{Caller, Phase, Process};
use super::sandbox::Sandbox;
use super::workers::{Kind, Purpose};
use super::{Server, Timer};
use crate::jobs::{Given, Job, Outcome, Streams, Whose};
use crate::options;
use crate::proto::events::{TaskCheckpointed, TaskCreate, TaskDelete, TaskExecStarted, TaskIo, TaskOnly, TaskStart};
use crate::proto::options::CheckpointOptions;
use crate::proto::task::{
    CheckpointTaskRequest, CreateTaskRequest, DeleteResponse, IdRequest, PidResponse, ProcessRequest, UpdateTaskRequest,
};
use crate::proto::ttrpc::Request;
use crate::proto::{Empty, Message};
use crate::ttrpc::{Answer, Failure};

/// The program that reads a process's output, which is our child as the process is.
fn logger(outcome: &Outcome) -> Option<PidFd> {
    (outcome.logger > 0).then(|| PidFd::open(outcome.logger).ok()).flatten()
}

/// The request by which a container was created that is to be restored when it is started.
fn kept_request(container: &Container) -> Result<CreateTaskRequest, Failure> {
    CreateTaskRequest::decode(&container.init.spec)
        .map_err(|fault| Failure::unknown(format_args!("the request: {fault}")))
}

/// Takes over what a worker has made.
fn know(container: &mut Container, outcome: Outcome) {
    container.init.pid = outcome.pid;
    // It is our child, or a worker's that has not exited yet, and nobody has reaped it.
    container.init.pidfd = (outcome.pid > 0).then(|| PidFd::open(outcome.pid).ok()).flatten();
    container.init.logger = logger(&outcome);
    container.shares_pids = outcome.shares_pids;
    container.cgroups = dunnage::cgroup::Paths(outcome.cgroups);
}

/// How long a deleted process's output may take to come out.
const DRAIN: Duration = Duration::from_secs(10);

impl Server {
    /// Begins to make a container. Nobody but Connect hears of it before it is made.
    pub(super) fn create(&mut self, caller: Caller, request: CreateTaskRequest) -> Result<(), Failure> {
        if self.find(&request.id).is_some() {
            return Err(Failure::already_exists(format_args!("container {}", request.id)));
        }
        if self.leaving.is_gone() {
            return Err(Failure::precondition("the shim is about to end"));
        }
        dunnage::state::check_id(&request.id).map_err(|e| Failure::invalid(&e))?;
        let options = options::of_any(request.options.as_ref())?;
        let whose = Whose {
            namespace: self.namespace.clone(),
            id: request.id.clone(),
            bundle: request.bundle.clone().into(),
            root: options::state_root(&options, &self.namespace),
            options,
            address: self.address(),
        };
        let streams = Streams {
            terminal: request.terminal,
            size: None,
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
        };
        let process = Process::new("", streams, request.encode());
        self.begin_create(caller, whose, process, None, &Job::Create(Box::new(request)))
    }

    /// The part of it that a task and a sandbox have in common.
    pub(super) fn begin_create(
        &mut self,
        caller: Caller,
        whose: Whose,
        process: Process,
        sandbox: Option<Sandbox>,
        job: &Job,
    ) -> Result<(), Failure> {
        let number = self.number();
        let purpose = Purpose { container: number, exec_id: String::new(), kind: Kind::Create, caller: Some(caller) };
        let container = Container { sandbox, ..Container::new(number, whose, process) };
        self.workers.start(&self.poll, &container.whose, job, purpose, self.debug)?;
        self.containers.insert(number, container);
        self.leaving.somebody_is_here();
        self.look_whether_to_leave();
        // What is made from now on is found by `delete` if we die.
        self.note_members();
        Ok(())
    }

    /// Start, of either kind.
    pub(super) fn start(&mut self, caller: Caller, call: &Request) -> Result<(), Failure> {
        let request: ProcessRequest = decode(call)?;
        let number = self.find(&request.id).ok_or_else(not_created)?;
        let container = self.containers.get_mut(&number).ok_or_else(not_created)?;
        let is_init = request.exec_id.is_empty();
        if container.is_being_made() || (is_init && container.busy != Busy::No) {
            container.queue.push_back((caller, call.clone()));
            return Ok(());
        }
        let kind = if is_init { Kind::Start } else { Kind::Exec };
        let purpose = Purpose { container: number, exec_id: request.exec_id.clone(), kind, caller: Some(caller) };
        if is_init {
            container.may_start()?;
            let (job, kind) = match container.is_image() {
                true => (Job::Restore(Box::new(kept_request(container)?)), Kind::Restore),
                false => (Job::Start, Kind::Start),
            };
            self.workers.start(&self.poll, &container.whose, &job, Purpose { kind, ..purpose }, self.debug)?;
            container.busy = Busy::Change;
            container.init.phase = Phase::Starting;
            return Ok(());
        }
        container.may_start_exec(&request.exec_id)?;
        let process = container.process_mut(&request.exec_id)?;
        let (spec, streams) = (process.spec.clone(), Streams { size: process.size, ..process.streams.clone() });
        process.phase = Phase::Starting;
        let job = Job::Exec { id: request.exec_id, spec, streams };
        let started = self.workers.start(&self.poll, &container.whose, &job, purpose, self.debug);
        if let (Err(_), Job::Exec { id, .. }) = (&started, &job) {
            container.process_mut(id)?.phase = Phase::Created;
        }
        Ok(started?)
    }

    /// Pause, Resume, Update, Checkpoint.
    pub(super) fn change(&mut self, caller: Caller, call: &Request) -> Result<(), Failure> {
        let id = decode::<IdRequest>(call)?.id;
        let number = self.find(&id).ok_or_else(not_created)?;
        let container = self.containers.get_mut(&number).ok_or_else(not_created)?;
        if container.busy != Busy::No {
            container.queue.push_back((caller, call.clone()));
            return Ok(());
        }
        let (kind, job) = match call.method.as_str() {
            "Pause" => {
                container.may_pause()?;
                (Kind::Pause, Job::Pause)
            }
            "Resume" => {
                container.may_resume()?;
                (Kind::Resume, Job::Resume)
            }
            "Update" => {
                container.may_update()?;
                let request: UpdateTaskRequest = decode(call)?;
                (Kind::Update, Job::Update(request.resources.map(|any| any.value).unwrap_or_default()))
            }
            _ => {
                container.may_checkpoint()?;
                let request: CheckpointTaskRequest = decode(call)?;
                let options = request.options.map(|any| CheckpointOptions::decode(&any.value)).transpose();
                let options = options.map_err(|fault| Failure::invalid(format_args!("checkpoint options: {fault}")))?;
                (Kind::Checkpoint, Job::Checkpoint { path: request.path, options: options.unwrap_or_default() })
            }
        };
        let purpose = Purpose { container: number, exec_id: String::new(), kind, caller: Some(caller) };
        self.workers.start(&self.poll, &container.whose, &job, purpose, self.debug)?;
        container.busy = Busy::Change;
        if kind == Kind::Pause {
            container.freezing = Freezing::Pausing;
        }
        Ok(())
    }

    /// Delete, of either kind.
    pub(super) fn delete(&mut self, caller: Caller, call: &Request) -> Result<(), Failure> {
        let request: ProcessRequest = decode(call)?;
        let number = self.find(&request.id).ok_or_else(not_created)?;
        let container = self.containers.get_mut(&number).ok_or_else(not_created)?;
        if !request.exec_id.is_empty() && !container.is_being_made() {
            return self.delete_exec(caller, number, &request.exec_id);
        }
        match container.busy {
            Busy::Delete => {
                // A client that has lost its patience and asks again gets the same answer.
                container.init.deleters.push(caller);
                return Ok(());
            }
            Busy::Create | Busy::Change => {
                container.queue.push_back((caller, call.clone()));
                return Ok(());
            }
            Busy::No => container.may_delete()?,
        }
        let purpose = Purpose { container: number, exec_id: String::new(), kind: Kind::Delete, caller: None };
        let job = Job::Delete { has_mounts: container.has_mounts };
        self.workers.start(&self.poll, &container.whose, &job, purpose, self.debug)?;
        container.busy = Busy::Delete;
        container.init.deleters.push(caller);
        Ok(())
    }

    fn delete_exec(&mut self, caller: Caller, number: u32, exec_id: &str) -> Result<(), Failure> {
        let container = self.containers.get_mut(&number).ok_or_else(not_created)?;
        let process = container.process_mut(exec_id)?;
        if process.is_alive() {
            return Err(Failure::unknown("cannot delete a running process"));
        }
        let first = process.deleters.is_empty();
        process.deleters.push(caller);
        if first {
            self.drain(number, exec_id);
        }
        self.finish_exec(number, exec_id);
        Ok(())
    }

    /// Gives a process's output the time that it has.
    pub(super) fn drain(&mut self, number: u32, exec_id: &str) {
        let grace = self.hurry_outputs(number, exec_id).min(DRAIN);
        self.set_timer(grace, Timer::Drained(number, exec_id.into()));
    }

    /// Answers who deletes an exec, once its output is out.
    pub(super) fn finish_exec(&mut self, number: u32, exec_id: &str) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        let Some(process) = container.execs.get(exec_id) else { return };
        if process.deleters.is_empty() || process.pumps.outputs().next().is_some() {
            return;
        }
        self.answer_waiters(number, exec_id);
        let Some(container) = self.containers.get_mut(&number) else { return };
        let Some(process) = container.execs.remove(exec_id) else { return };
        // Another runtime tells the pid by a file.
        if options::external(&container.whose.options).is_some()
            && let Ok(bundle) = crate::bundle::Bundle::open(&container.whose.bundle)
        {
            bundle.remove(&format!("{exec_id}.pid"));
        }
        let (exit_status, exited_at) = process.told_exit();
        let answer = DeleteResponse { pid: process.pid_u32(), exit_status, exited_at: Some(exited_at) };
        self.end_logger(process.logger);
        self.answer_all(process.deleters, &Ok(answer.encode()));
    }

    /// Answers who deletes a container, once the runtime has nothing of it any more, its end was told, and its output is out.
    pub(super) fn finish_delete(&mut self, number: u32) {
        let Some(container) = self.containers.get(&number) else { return };
        let told = container.init.phase == Phase::Stopped || container.init.pid == 0;
        if !container.removed || !told || container.signalling > 0 || container.init.pumps.outputs().next().is_some() {
            return;
        }
        let Some(container) = self.containers.remove(&number) else { return };
        self.forget_memory(container.oom.as_ref());
        let init = container.init;
        for process in container.execs.values() {
            process.pumps.all().for_each(|flow| self.close_flow(flow));
            for waiter in &process.waiters {
                self.answer(waiter.caller, Err(not_created()));
            }
        }
        let (exit_status, exited_at) = init.told_exit();
        let (id, pid) = (container.whose.id, init.pid_u32());
        if let Some(sandbox) = container.sandbox {
            self.sandbox_removed(sandbox);
        } else {
            let exited_at = Some(exited_at.clone());
            let event = TaskDelete { container_id: id, pid, exit_status, exited_at, id: String::new() };
            self.publisher.publish("/tasks/delete", "TaskDelete", &event);
        }
        self.end_logger(init.logger);
        let answer = DeleteResponse { pid, exit_status, exited_at: Some(exited_at) };
        self.answer_all(init.deleters, &Ok(answer.encode()));
        // What waited behind the deletion comes too late.
        self.refuse_queue(container.queue);
        self.note_members();
        self.look_whether_to_leave();
    }

    fn refuse_queue(&mut self, queue: impl IntoIterator<Item = (Caller, Request)>) {
        queue.into_iter().for_each(|(caller, _)| self.answer(caller, Err(not_created())));
    }

    /// Calls that had to wait.
    fn run_queue(&mut self, number: u32) {
        // They go with the table.
        if self.upgrade.is_some() {
            return;
        }
        while let Some(container) = self.containers.get_mut(&number).filter(|container| container.busy == Busy::No)
            && let Some((caller, request)) = container.queue.pop_front()
        {
            self.call(caller, request);
        }
    }

    /// Calls that had to wait for the upgrade.
    pub(super) fn run_all_queues(&mut self) {
        let numbers: Vec<u32> = self.containers.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.run_queue(number));
    }

    /// What came of a job.
    pub(super) fn done(&mut self, purpose: Purpose, outcome: Outcome, given: Given) {
        let number = purpose.container;
        let failure = (outcome.code != 0).then(|| Failure { code: outcome.code, message: outcome.error.clone() });
        if let (Kind::Kill, None, Some(failure)) = (purpose.kind, purpose.caller, &failure) {
            self.sandbox_lives_on(number, failure);
        }
        let answer = match (purpose.kind, failure) {
            (Kind::Create, failure) => self.created(number, outcome, given, failure),
            (Kind::Start, failure) => self.started(number, failure),
            (Kind::Restore, failure) => self.restored(number, outcome, given, failure),
            (Kind::Exec, failure) => self.exec_started(number, &purpose.exec_id, &outcome, given, failure),
            (Kind::Delete, failure) => {
                self.removed(number, failure);
                Ok(Vec::new())
            }
            (Kind::KillRest, failure) => {
                failure.into_iter().for_each(|failure| log::warn(failure.message));
                self.rest_is_killed(number);
                Ok(Vec::new())
            }
            (Kind::Pause | Kind::Resume, failure) => self.frozen(number, purpose.kind, failure),
            (Kind::Kill | Kind::Update | Kind::Checkpoint, Some(failure)) => Err(failure),
            (Kind::Checkpoint, None) => self.checkpointed(number, outcome.checkpoint),
            (Kind::Kill | Kind::Update, None) => Ok(Empty {}.encode()),
        };
        if let Some(caller) = purpose.caller {
            self.answer(caller, answer);
        }
        if purpose.kind == Kind::Kill
            && let Some(container) = self.containers.get_mut(&number)
        {
            container.signalling = container.signalling.saturating_sub(1);
            self.finish_delete(number);
        }
        let changes = !matches!(purpose.kind, Kind::Exec | Kind::Kill | Kind::KillRest | Kind::Delete);
        if let Some(container) = self.containers.get_mut(&number).filter(|_| changes) {
            container.busy = Busy::No;
        }
        self.meet_strangers();
        self.go_on_closing(number);
        self.run_queue(number);
        self.look_whether_to_leave();
    }

    fn created(&mut self, number: u32, outcome: Outcome, given: Given, failure: Option<Failure>) -> Answer {
        if let Some(failure) = failure {
            // As if it had never been: no events.
            if let Some(container) = self.containers.remove(&number) {
                self.refuse_queue(container.queue);
            }
            self.note_members();
            return Err(failure);
        }
        let Some(container) = self.containers.get_mut(&number) else { return Err(not_created()) };
        let request = CreateTaskRequest::decode(&container.init.spec).unwrap_or_default();
        if request.checkpoint.is_empty() {
            container.init.spec = Vec::new();
        }
        container.has_mounts = outcome.has_mounts;
        know(container, outcome);
        let (pid, streams) = (container.init.pid_u32(), container.init.streams.clone());
        if container.sandbox.is_some() {
            self.watch_memory(number);
            return Ok(Empty {}.encode());
        }
        let event = TaskCreate {
            container_id: request.id,
            bundle: request.bundle,
            rootfs: request.rootfs,
            io: Some(TaskIo {
                stdin: streams.stdin,
                stdout: streams.stdout,
                stderr: streams.stderr,
                terminal: streams.terminal,
            }),
            checkpoint: request.checkpoint,
            pid,
        };
        self.publisher.publish("/tasks/create", "TaskCreate", &event);
        // Of one that is to be restored there is nothing yet.
        if pid != 0 {
            self.connect_flows(number, "", given);
            self.watch_memory(number);
        }
        Ok(PidResponse { pid }.encode())
    }

    /// The container is there again, and runs.
    fn restored(&mut self, number: u32, outcome: Outcome, given: Given, failure: Option<Failure>) -> Answer {
        if failure.is_some() {
            return self.started(number, failure);
        }
        let Some(container) = self.containers.get_mut(&number) else { return Err(not_created()) };
        container.init.spec = Vec::new();
        know(container, outcome);
        self.connect_flows(number, "", given);
        self.watch_memory(number);
        self.started(number, None)
    }

    fn checkpointed(&mut self, number: u32, checkpoint: String) -> Answer {
        let Some(container) = self.containers.get(&number) else { return Err(not_created()) };
        let event = TaskCheckpointed { container_id: container.whose.id.clone(), checkpoint };
        self.publisher.publish("/tasks/checkpointed", "TaskCheckpointed", &event);
        Ok(Empty {}.encode())
    }

    fn started(&mut self, number: u32, failure: Option<Failure>) -> Answer {
        let Some(container) = self.containers.get_mut(&number) else { return Err(not_created()) };
        if let Some(failure) = failure {
            if container.init.phase == Phase::Starting {
                container.init.phase = Phase::Created;
            }
            return Err(failure);
        }
        container.init.phase = Phase::Running;
        let pid = container.init.pid_u32();
        let answer = match &container.sandbox {
            Some(sandbox) => Server::sandbox_started(container, sandbox),
            None => {
                let event = TaskStart { container_id: container.whose.id.clone(), pid };
                self.publisher.publish("/tasks/start", "TaskStart", &event);
                PidResponse { pid }.encode()
            }
        };
        // It may have ended while it was being started: only now may that be told.
        self.tell_end(number);
        Ok(answer)
    }

    fn exec_started(
        &mut self,
        number: u32,
        exec_id: &str,
        outcome: &Outcome,
        given: Given,
        failure: Option<Failure>,
    ) -> Answer {
        let Some(container) = self.containers.get_mut(&number) else { return Err(not_created()) };
        let container_id = container.whose.id.clone();
        let process = container.process_mut(exec_id)?;
        if let Some(failure) = failure {
            process.phase = Phase::Failed;
            self.answer_waiters(number, exec_id);
            self.tell_end(number);
            return Err(failure);
        }
        process.phase = Phase::Running;
        process.spec = Vec::new();
        process.pid = outcome.pid;
        process.pidfd = PidFd::open(outcome.pid).ok();
        process.logger = logger(outcome);
        let pid = process.pid_u32();
        let event = TaskExecStarted { container_id, exec_id: exec_id.into(), pid };
        self.publisher.publish("/tasks/exec-started", "TaskExecStarted", &event);
        self.connect_flows(number, exec_id, given);
        Ok(PidResponse { pid }.encode())
    }

    fn frozen(&mut self, number: u32, kind: Kind, failure: Option<Failure>) -> Answer {
        let Some(container) = self.containers.get_mut(&number) else { return Err(not_created()) };
        container.freezing = match (kind, &failure) {
            (Kind::Pause, None) | (Kind::Resume, Some(_)) => Freezing::Paused,
            _ => Freezing::No,
        };
        if let Some(failure) = failure {
            return Err(failure);
        }
        let event = TaskOnly { container_id: container.whose.id.clone() };
        match kind {
            Kind::Pause => self.publisher.publish("/tasks/paused", "TaskPaused", &event),
            _ => self.publisher.publish("/tasks/resumed", "TaskResumed", &event),
        }
        Ok(Empty {}.encode())
    }

    /// The runtime has removed the container, or not.
    fn removed(&mut self, number: u32, failure: Option<Failure>) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        if let Some(failure) = failure {
            container.busy = Busy::No;
            let deleters = std::mem::take(&mut container.init.deleters);
            self.sandbox_stays(number, &failure);
            self.answer_all(deleters, &Err(failure));
            return;
        }
        container.removed = true;
        self.drain(number, "");
        self.finish_delete(number);
    }
}
