//! `containerd.runtime.sandbox.v1.Sandbox`, which a containerd calls whose runtime has `sandboxer = "shim"`: the pod has no pause container of
//! an image, and the shim holds its namespaces. Here that is a container of the group like others, with a small program of our own, of which
//! the daemon is told by these methods and by no events of tasks.
//!
//! StopSandbox and ShutdownSandbox answer when it is done: nothing of the sandbox runs any more, nothing of it is left.

use std::collections::BTreeMap;

use super::Server;
use super::calls::decode;
use super::container::{Busy, Container};
use super::process::{Caller, Phase, Process};
use super::workers::{Kind, Purpose};
use crate::jobs::{Job, Streams, Whose};
use crate::options;
use crate::proto::sandbox::{
    CreateSandboxRequest, Metric, Platform, PlatformResponse, SandboxMetricsResponse, SandboxRequest,
    SandboxStatusRequest, SandboxStatusResponse, StartSandboxResponse, StopSandboxRequest,
};
use crate::proto::task::ProcessRequest;
use crate::proto::ttrpc::Request;
use crate::proto::{Empty, Message, Timestamp};
use crate::ttrpc::{Answer, Failure};

/// Its name.
pub const SERVICE: &str = "containerd.runtime.sandbox.v1.Sandbox";

/// What a container is more, if it is a sandbox.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    /// When it was made.
    pub created_at: Timestamp,
    /// Who waits for its end, having asked for it.
    pub stoppers: Vec<Caller>,
    /// Who wants it removed, and the shim gone.
    pub closers: Vec<Caller>,
}

impl Server {
    /// The methods.
    pub(super) fn sandbox_call(&mut self, caller: Caller, request: &Request) -> Result<Option<Answer>, Failure> {
        match request.method.as_str() {
            "CreateSandbox" => self.create_sandbox(caller, decode(request)?).map(|()| None),
            "StartSandbox" => self.start_sandbox(caller, request).map(|()| None),
            "Platform" => done(&platform()),
            "WaitSandbox" => self.wait_sandbox(caller, request),
            "SandboxStatus" => self.sandbox_status(&decode(request)?),
            "PingSandbox" => {
                let request: SandboxRequest = decode(request)?;
                self.sandbox(&request.sandbox_id)?;
                done(&Empty {})
            }
            "SandboxMetrics" => self.sandbox_metrics(&decode(request)?),
            "StopSandbox" => self.stop_sandbox(caller, request),
            "ShutdownSandbox" => self.shutdown_sandbox(caller, request),
            method => Err(Failure::unimplemented(format_args!("method {method}"))),
        }
    }

    fn sandbox(&self, id: &str) -> Result<u32, Failure> {
        let number = self.find(id).filter(|number| self.containers.get(number).is_some_and(|c| c.sandbox.is_some()));
        number.ok_or_else(|| Failure::not_found(format_args!("sandbox {id}")))
    }

    fn create_sandbox(&mut self, caller: Caller, request: CreateSandboxRequest) -> Result<(), Failure> {
        if self.find(&request.sandbox_id).is_some() {
            return Err(Failure::already_exists(format_args!("sandbox {}", request.sandbox_id)));
        }
        if self.leaving.is_gone() {
            return Err(Failure::precondition("the shim is about to end"));
        }
        dunnage::state::check_id(&request.sandbox_id).map_err(|e| Failure::invalid(&e))?;
        let options = options::of_environment();
        let whose = Whose {
            namespace: self.namespace.clone(),
            id: request.sandbox_id.clone(),
            bundle: request.bundle_path.clone().into(),
            root: options::state_root(&options, &self.namespace),
            options,
            address: self.address(),
        };
        let process = Process::new("", Streams::default(), Vec::new());
        let sandbox = Sandbox { created_at: Timestamp::now(), ..Sandbox::default() };
        self.begin_create(caller, whose, process, Some(sandbox), &Job::CreateSandbox(Box::new(request)))
    }

    fn start_sandbox(&mut self, caller: Caller, call: &Request) -> Result<(), Failure> {
        let request: SandboxRequest = decode(call)?;
        self.sandbox(&request.sandbox_id)?;
        self.start(caller, call)
    }

    /// What StartSandbox is answered with.
    pub(super) fn sandbox_started(container: &Container, sandbox: &Sandbox) -> Vec<u8> {
        let created_at = Some(sandbox.created_at.clone());
        StartSandboxResponse { pid: container.init.pid_u32(), created_at }.encode()
    }

    /// The answer is WaitResponse's of tasks.
    fn wait_sandbox(&mut self, caller: Caller, call: &Request) -> Result<Option<Answer>, Failure> {
        let request: SandboxRequest = decode(call)?;
        self.sandbox(&request.sandbox_id)?;
        let process = ProcessRequest { id: request.sandbox_id, exec_id: String::new() };
        self.wait(caller, &process, call.timeout_nano)
    }

    fn sandbox_status(&self, request: &SandboxStatusRequest) -> Result<Option<Answer>, Failure> {
        let number = self.sandbox(&request.sandbox_id)?;
        let container = self.containers.get(&number).ok_or_else(super::container::not_created)?;
        let (_, exited_at) = container.init.told_exit();
        let ready = container.init.phase == Phase::Running;
        let mut info = BTreeMap::new();
        if request.verbose {
            let text = serde_json::json!({"pid": container.init.pid, "processStatus": container.state()});
            info.insert("info".into(), text.to_string());
        }
        done(&SandboxStatusResponse {
            sandbox_id: request.sandbox_id.clone(),
            pid: container.init.pid_u32(),
            state: if ready { "SANDBOX_READY" } else { "SANDBOX_NOTREADY" }.into(),
            info,
            created_at: container.sandbox.as_ref().map(|sandbox| sandbox.created_at.clone()),
            exited_at: Some(exited_at),
            extra: None,
        })
    }

    fn sandbox_metrics(&self, request: &SandboxRequest) -> Result<Option<Answer>, Failure> {
        self.sandbox(&request.sandbox_id)?;
        let data = Some(self.metrics(&request.sandbox_id)?);
        let metric = Metric { timestamp: Some(Timestamp::now()), id: request.sandbox_id.clone(), data };
        done(&SandboxMetricsResponse { metrics: Some(metric) })
    }

    /// At once, whatever time was given: the program does nothing that could be ended more gently.
    fn stop_sandbox(&mut self, caller: Caller, call: &Request) -> Result<Option<Answer>, Failure> {
        let request: StopSandboxRequest = decode(call)?;
        let number = self.sandbox(&request.sandbox_id)?;
        if self.waits_for_create(caller, call, &request.sandbox_id) {
            return Ok(None);
        }
        if self.has_ended(number) {
            return done(&Empty {});
        }
        self.kill_sandbox(number)?;
        if let Some(sandbox) = self.containers.get_mut(&number).and_then(|container| container.sandbox.as_mut()) {
            sandbox.stoppers.push(caller);
        }
        Ok(None)
    }

    /// Of a sandbox that could not be made nothing is there but the shim, which is to go.
    fn shutdown_sandbox(&mut self, caller: Caller, call: &Request) -> Result<Option<Answer>, Failure> {
        let request: SandboxRequest = decode(call)?;
        let number = match self.sandbox(&request.sandbox_id) {
            Err(_) if request.sandbox_id == self.group && self.find(&request.sandbox_id).is_none() => {
                self.leaving.asked(caller);
                self.look_whether_to_leave();
                return Ok(None);
            }
            number => number?,
        };
        if self.waits_for_create(caller, call, &request.sandbox_id) {
            return Ok(None);
        }
        if !self.has_ended(number) {
            self.kill_sandbox(number)?;
        }
        if let Some(sandbox) = self.containers.get_mut(&number).and_then(|container| container.sandbox.as_mut()) {
            sandbox.closers.push(caller);
        }
        self.go_on_closing(number);
        Ok(None)
    }

    fn has_ended(&self, number: u32) -> bool {
        self.containers.get(&number).is_none_or(|container| container.init.phase == Phase::Stopped)
    }

    fn kill_sandbox(&mut self, number: u32) -> Result<(), Failure> {
        let Some(container) = self.containers.get_mut(&number) else { return Ok(()) };
        let purpose = Purpose { container: number, exec_id: String::new(), kind: Kind::Kill, caller: None };
        let job = Job::Kill { signal: libc::SIGKILL, all: true };
        self.workers.start(&self.poll, &container.whose, &job, purpose, self.debug)?;
        container.signalling = container.signalling.saturating_add(1);
        Ok(())
    }

    /// The end of a sandbox was told, or a worker has done what it had to do.
    pub(super) fn go_on_closing(&mut self, number: u32) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        let Some(sandbox) = &mut container.sandbox else { return };
        if container.init.phase != Phase::Stopped {
            return;
        }
        let stoppers = std::mem::take(&mut sandbox.stoppers);
        // Not beside who still kills what is to be removed.
        if !sandbox.closers.is_empty() && container.busy == Busy::No && container.signalling == 0 {
            let purpose = Purpose { container: number, exec_id: String::new(), kind: Kind::Delete, caller: None };
            let job = Job::Delete { has_mounts: container.has_mounts };
            match self.workers.start(&self.poll, &container.whose, &job, purpose, self.debug) {
                Ok(()) => container.busy = Busy::Delete,
                Err(e) => self.sandbox_stays(number, &e.into()),
            }
        }
        self.answer_all(stoppers, &Ok(Empty {}.encode()));
    }

    /// It could not be killed. If it has ended all the same, that is what was wanted.
    pub(super) fn sandbox_lives_on(&mut self, number: u32, failure: &Failure) {
        if !self.has_ended(number) {
            self.sandbox_stays(number, failure);
        }
    }

    /// It could not be ended or removed.
    pub(super) fn sandbox_stays(&mut self, number: u32, failure: &Failure) {
        let Some(sandbox) = self.containers.get_mut(&number).and_then(|container| container.sandbox.as_mut()) else {
            return;
        };
        let callers = std::mem::take(&mut sandbox.stoppers).into_iter().chain(std::mem::take(&mut sandbox.closers));
        let callers = callers.collect();
        self.answer_all(callers, &Err(failure.clone()));
    }

    /// It is removed: who wanted that is answered when the shim goes, or stays for others.
    pub(super) fn sandbox_removed(&mut self, sandbox: Sandbox) {
        self.answer_all(sandbox.stoppers, &Ok(Empty {}.encode()));
        sandbox.closers.into_iter().for_each(|caller| self.leaving.asked(caller));
    }
}

fn done(message: &impl Message) -> Result<Option<Answer>, Failure> {
    Ok(Some(Ok(message.encode())))
}

/// In the words of Go, which are the image specification's.
fn platform() -> PlatformResponse {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", ""),
        "aarch64" => ("arm64", "v8"),
        "x86" => ("386", ""),
        other => (other, ""),
    };
    PlatformResponse {
        platform: Some(Platform {
            os: "linux".into(),
            architecture: architecture.into(),
            variant: variant.into(),
            os_version: String::new(),
        }),
    }
}
