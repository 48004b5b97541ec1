//! The methods of the task API: which there are, and those that are answered at once, from memory or by a few reads.

use std::time::{Duration, Instant};

use dunnage::cgroup::OwnedCgroup;
use dunnage::log;
use dunnage::sys::tty::tcsetwinsize;
use nix::errno::Errno;

use super::Server;
use super::container::{Container, Freezing, not_created};
use super::process::{Caller, Phase, Process, Waiter};
use super::workers::{Kind, Purpose};
use crate::jobs::{Job, Streams};
use crate::metrics;
use crate::options;
use crate::proto::events::TaskExecAdded;
use crate::proto::task::{
    CloseIoRequest, ConnectResponse, ExecProcessRequest, IdRequest, KillRequest, PidsResponse, ProcessDetails,
    ProcessInfo, ProcessRequest, ResizePtyRequest, ShutdownRequest, StateResponse, StatsResponse, WaitResponse, status,
};
use crate::proto::ttrpc::Request;
use crate::proto::{Any, Empty, Message};
use crate::ttrpc::{Answer, Failure};

/// The two names of the one service.
const SERVICES: [&str; 2] = ["containerd.task.v2.Task", "containerd.task.v3.Task"];

/// A request's message.
pub(super) fn decode<M: Message>(request: &Request) -> Result<M, Failure> {
    let malformed = |fault| Failure::internal(format_args!("ttrpc: error unmarshalling payload: {fault}"));
    M::decode(&request.payload).map_err(malformed)
}

fn done(message: &impl Message) -> Result<Option<Answer>, Failure> {
    Ok(Some(Ok(message.encode())))
}

impl Server {
    /// Answers a call, or sees to it that it will be.
    pub(super) fn call(&mut self, caller: Caller, request: Request) {
        match self.dispatch(caller, &request) {
            Ok(None) => {}
            Ok(Some(answer)) => self.answer(caller, answer),
            Err(failure) => {
                log::debug(format_args!("{}: {}", request.method, failure.message));
                self.answer(caller, Err(failure));
            }
        }
    }

    fn dispatch(&mut self, caller: Caller, request: &Request) -> Result<Option<Answer>, Failure> {
        if request.service == super::upgrade::SERVICE {
            return self.own_call(caller, request).map(|()| None);
        }
        let of_sandboxes = request.service == super::sandbox::SERVICE;
        if !of_sandboxes && !SERVICES.contains(&request.service.as_str()) {
            return Err(Failure::unimplemented(format_args!("service {}", request.service)));
        }
        if self.defers(caller, request) {
            return Ok(None);
        }
        if of_sandboxes {
            return self.sandbox_call(caller, request);
        }
        match request.method.as_str() {
            "State" => self.state(&decode(request)?),
            "Connect" => self.connect(&decode(request)?),
            "Pids" => self.pids(&decode(request)?),
            "Stats" => self.stats(&decode(request)?),
            "Wait" => self.wait(caller, &decode(request)?, request.timeout_nano),
            "Shutdown" => self.shutdown(caller, &decode(request)?),
            "Create" => self.create(caller, decode(request)?).map(|()| None),
            // What follows has to wait for a container that is being made, and some of it for a worker that changes one.
            "Kill" => self.kill(caller, request, &decode(request)?),
            "Exec" => self.exec(caller, request, decode(request)?),
            "CloseIO" => self.close_io(caller, request, &decode(request)?),
            "ResizePty" => self.resize_pty(caller, request, &decode(request)?),
            "Start" => self.start(caller, request).map(|()| None),
            "Delete" => self.delete(caller, request).map(|()| None),
            "Pause" | "Resume" | "Update" | "Checkpoint" => self.change(caller, request).map(|()| None),
            method => Err(Failure::unimplemented(format_args!("method {method}"))),
        }
    }

    /// The container, once it is made.
    fn known(&self, id: &str) -> Result<&Container, Failure> {
        let number = self.find(id).ok_or_else(not_created)?;
        self.containers.get(&number).filter(|container| !container.is_being_made()).ok_or_else(not_created)
    }

    fn known_mut(&mut self, id: &str) -> Result<&mut Container, Failure> {
        let number = self.find(id).ok_or_else(not_created)?;
        self.containers.get_mut(&number).filter(|container| !container.is_being_made()).ok_or_else(not_created)
    }

    /// Puts a call for a container that is being made behind those that wait already.
    pub(super) fn waits_for_create(&mut self, caller: Caller, request: &Request, id: &str) -> bool {
        let Some(number) = self.find(id) else { return false };
        match self.containers.get_mut(&number) {
            Some(container) if container.is_being_made() => {
                container.queue.push_back((caller, request.clone()));
                true
            }
            _ => false,
        }
    }

    fn state(&self, request: &ProcessRequest) -> Result<Option<Answer>, Failure> {
        let container = self.known(&request.id)?;
        let process = container.process(&request.exec_id)?;
        let (exit_status, exited_at) = process.told_exit();
        let status = match (process.status(), container.freezing) {
            (status::RUNNING, Freezing::Paused) => status::PAUSED,
            (status::RUNNING, Freezing::Pausing) => status::PAUSING,
            (status, _) => status,
        };
        let Streams { terminal, stdin, stdout, stderr, .. } = process.streams.clone();
        done(&StateResponse {
            // Of an exec it is the exec's; `exec_id` stays empty, as clients expect.
            id: if request.exec_id.is_empty() { request.id.clone() } else { request.exec_id.clone() },
            bundle: container.whose.bundle.to_string_lossy().into_owned(),
            pid: process.pid_u32(),
            status,
            stdin,
            stdout,
            stderr,
            terminal,
            exit_status,
            exited_at: Some(exited_at),
            exec_id: String::new(),
        })
    }

    fn connect(&self, request: &IdRequest) -> Result<Option<Answer>, Failure> {
        let task_pid = self.known(&request.id).map_or(0, |container| container.init.pid_u32());
        done(&ConnectResponse { shim_pid: std::process::id(), task_pid, version: String::new() })
    }

    /// Never nobody: a daemon that comes back takes that for a container of which nothing is left, and deletes it with its exit code.
    fn pids(&self, request: &IdRequest) -> Result<Option<Answer>, Failure> {
        let container = self.known(&request.id)?;
        let mut pids = match container.init.phase {
            Phase::Stopped => Vec::new(),
            _ => match OwnedCgroup::new(&self.host, &container.cgroups) {
                Ok(Some(cgroup)) => cgroup.pids().unwrap_or_default(),
                // Another runtime has put it where it is not alone.
                Ok(None) | Err(_) => Vec::new(),
            },
        };
        if pids.is_empty() {
            pids.push(container.init.pid);
        }
        let info = |pid: i32| {
            let process = container.execs.values().find(|process| process.pid == pid && process.is_alive());
            let info = process.map(|process| {
                let details = ProcessDetails { exec_id: process.exec_id.clone() };
                Any::of("containerd.runc.v1.ProcessDetails", &details)
            });
            ProcessInfo { pid: u32::try_from(pid).unwrap_or(0), info }
        };
        done(&PidsResponse { processes: pids.into_iter().map(info).collect() })
    }

    fn stats(&self, request: &IdRequest) -> Result<Option<Answer>, Failure> {
        done(&StatsResponse { stats: Some(self.metrics(&request.id)?) })
    }

    /// What a container uses.
    pub(super) fn metrics(&self, id: &str) -> Result<Any, Failure> {
        let container = self.known(id)?;
        let meter = container.meter.as_ref().ok_or_else(|| Failure::not_found("cgroup does not exist"))?;
        meter.read().map_err(|e| match metrics::is_gone(&e) {
            true => Failure::not_found("cgroup does not exist"),
            false => e.into(),
        })
    }

    pub(super) fn wait(
        &mut self,
        caller: Caller,
        request: &ProcessRequest,
        timeout: i64,
    ) -> Result<Option<Answer>, Failure> {
        let process = self.known_mut(&request.id)?.process_mut(&request.exec_id)?;
        if matches!(process.phase, Phase::Stopped | Phase::Failed) {
            let (exit_status, exited_at) = process.told_exit();
            return done(&WaitResponse { exit_status, exited_at: Some(exited_at) });
        }
        let now = Instant::now();
        // There is no message by which a client says that it has given up.
        process.waiters.retain(|waiter| waiter.until.is_none_or(|until| until > now));
        let timeout = u64::try_from(timeout).ok().filter(|timeout| *timeout > 0).map(Duration::from_nanos);
        let until = timeout.and_then(|timeout| now.checked_add(timeout));
        process.waiters.push(Waiter { caller, until });
        Ok(None)
    }

    /// With containers left it is remembered, and that is the answer. Else the answer comes when nobody finds us any more, because the
    /// daemon looks next for what is left of us.
    fn shutdown(&mut self, caller: Caller, _request: &ShutdownRequest) -> Result<Option<Answer>, Failure> {
        self.leaving.asked(caller);
        self.look_whether_to_leave();
        Ok(None)
    }

    fn kill(&mut self, caller: Caller, call: &Request, request: &KillRequest) -> Result<Option<Answer>, Failure> {
        if self.waits_for_create(caller, call, &request.id) {
            return Ok(None);
        }
        let signal = i32::try_from(request.signal).ok().filter(|signal| *signal <= 64);
        let signal = signal.ok_or_else(|| Failure::invalid(format_args!("signal {} out of range", request.signal)))?;
        let container = self.known(&request.id)?;
        let process = container.process(&request.exec_id)?;
        let finished = || Failure::not_found("process already finished");
        let is_init = request.exec_id.is_empty();
        let needs_worker = is_init
            && (request.all
                || options::external(&container.whose.options).is_some()
                || (signal == libc::SIGKILL && (container.shares_pids || container.freezing != Freezing::No)));
        match process.phase {
            Phase::Stopped if !(is_init && request.all && signal == libc::SIGKILL) => return Err(finished()),
            Phase::Failed => return Err(finished()),
            Phase::Created | Phase::Starting if !is_init => return Err(Failure::precondition("process not created")),
            _ => {}
        }
        if needs_worker {
            let job = Job::Kill { signal, all: request.all };
            let (container, exec_id) = (container.number, String::new());
            let purpose = Purpose { container, exec_id, kind: Kind::Kill, caller: Some(caller) };
            if let Some(container) = self.containers.get_mut(&container) {
                self.workers.start(&self.poll, &container.whose, &job, purpose, self.debug)?;
                container.signalling = container.signalling.saturating_add(1);
            }
            return Ok(None);
        }
        let pidfd = process.pidfd.as_ref().ok_or_else(finished)?;
        // A probe that took too long is a shell and what it waits for. All of a command that did not go away from its group ends with it;
        // the leader is our child, so the group is nobody else's. A kernel that cannot say that (before 6.9) kills the one process.
        let group = !is_init && signal == libc::SIGKILL && pidfd.send_signal_to_group(signal).is_ok();
        let sent = if group { Ok(()) } else { pidfd.send_signal(signal) };
        match sent {
            Ok(()) => done(&Empty {}),
            Err(Errno::ESRCH) => Err(finished()),
            Err(e) => Err(Failure::unknown(format_args!("unknown error after kill: {e}"))),
        }
    }

    fn exec(&mut self, caller: Caller, call: &Request, request: ExecProcessRequest) -> Result<Option<Answer>, Failure> {
        if self.waits_for_create(caller, call, &request.id) {
            return Ok(None);
        }
        let exec_id = request.exec_id;
        // It becomes part of a file's name.
        if exec_id.is_empty() || exec_id.contains(['/', '\0']) || exec_id.starts_with('.') || exec_id.len() > 200 {
            return Err(Failure::invalid(format_args!("exec id {exec_id:?} is not allowed")));
        }
        let spec = request.spec.map(|any| any.value).unwrap_or_default();
        dunnage::spec::parse::process(&spec).map_err(|e| Failure::invalid(&e))?;
        let container = self.known_mut(&request.id)?;
        if container.execs.contains_key(&exec_id) {
            return Err(Failure::already_exists(format_args!("id {exec_id}")));
        }
        container.may_exec()?;
        let streams = Streams {
            terminal: request.terminal,
            size: None,
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
        };
        container.execs.insert(exec_id.clone(), Process::new(&exec_id, streams, spec));
        let event = TaskExecAdded { container_id: request.id, exec_id };
        self.publisher.publish("/tasks/exec-added", "TaskExecAdded", &event);
        done(&Empty {})
    }

    fn close_io(
        &mut self,
        caller: Caller,
        call: &Request,
        request: &CloseIoRequest,
    ) -> Result<Option<Answer>, Failure> {
        if self.waits_for_create(caller, call, &request.id) {
            return Ok(None);
        }
        let process = self.known_mut(&request.id)?.process_mut(&request.exec_id)?;
        if request.stdin {
            process.close_stdin = true;
            if let Some(flow) = process.pumps.stdin {
                self.let_input_end(flow);
            }
        }
        done(&Empty {})
    }

    fn resize_pty(
        &mut self,
        caller: Caller,
        call: &Request,
        request: &ResizePtyRequest,
    ) -> Result<Option<Answer>, Failure> {
        if self.waits_for_create(caller, call, &request.id) {
            return Ok(None);
        }
        let size = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let (width, height) = (size(request.width), size(request.height));
        let container = self.known_mut(&request.id)?;
        let process = container.process_mut(&request.exec_id)?;
        if process.phase == Phase::Stopped && !request.exec_id.is_empty() {
            return Err(Failure::unknown("cannot resize a stopped container"));
        }
        process.size = Some((width, height));
        let (number, exec_id) = (container.number, request.exec_id.clone());
        self.resize(number, &exec_id)?;
        done(&Empty {})
    }

    /// Gives a terminal the size that was last asked for.
    pub(super) fn resize(&self, container: u32, exec_id: &str) -> Result<(), Failure> {
        let Some(container) = self.containers.get(&container) else { return Ok(()) };
        let process = container.process(exec_id)?;
        let (Some((width, height)), true) = (process.size, process.streams.terminal) else { return Ok(()) };
        let size = libc::winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        let pump = process.pumps.stdout.and_then(|flow| self.flows.get(&flow)).map(|flow| flow.pump.from());
        let console = process.console.as_ref().map(std::os::fd::AsFd::as_fd);
        match pump.or(console).map(|master| tcsetwinsize(master, &size)) {
            Some(Err(e)) => Err(Failure::unknown(format_args!("ioctl TIOCSWINSZ: {e}"))),
            _ => Ok(()),
        }
    }

    /// Tells everybody who waits for the end of a process.
    pub(super) fn answer_waiters(&mut self, container: u32, exec_id: &str) {
        let Some(container) = self.containers.get_mut(&container) else { return };
        let Ok(process) = container.process_mut(exec_id) else { return };
        let (exit_status, exited_at) = process.told_exit();
        let waiters = std::mem::take(&mut process.waiters);
        let answer = WaitResponse { exit_status, exited_at: Some(exited_at) }.encode();
        waiters.into_iter().for_each(|waiter| self.answer(waiter.caller, Ok(answer.clone())));
    }
}
