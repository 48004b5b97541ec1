//! The task API on one connection: a function for each method.

use dunnage_shim::proto::options::CheckpointOptions;
use dunnage_shim::proto::task::*;
use dunnage_shim::proto::{Any, Empty, Message};

use super::ttrpc::{Call, Client};
use super::{Container, Exec, Value, any_json};

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub code: i32,
    pub message: String,
}

pub const CLOSED: i32 = -1;

impl Failure {
    /// The connection ended first.
    pub fn closed() -> Failure {
        Failure { code: CLOSED, message: "ttrpc: closed".into() }
    }
}

/// What tests ask of an error.
pub trait Fails {
    /// It is an error of this code with these words.
    fn fails(self, code: i32, words: &str) -> Failure;
}

impl<T: std::fmt::Debug> Fails for Result<T, Failure> {
    #[track_caller]
    fn fails(self, code: i32, words: &str) -> Failure {
        match self {
            Err(failure) if failure.code == code && failure.message.contains(words) => failure,
            other => panic!("must fail with code {code} and {words:?}: {other:?}"),
        }
    }
}

/// A connection to a shim.
#[derive(Clone)]
pub struct Task {
    pub client: Client,
    pub service: &'static str,
    pub address: String,
}

fn process(id: &str, exec_id: &str) -> ProcessRequest {
    ProcessRequest { id: id.into(), exec_id: exec_id.into() }
}

fn only(id: &str) -> IdRequest {
    IdRequest { id: id.into() }
}

impl Task {
    pub fn begin<R: Message>(&self, method: &str, message: &impl Message) -> Call<R> {
        self.client.begin(self.service, method, message)
    }

    #[track_caller]
    fn call<R: Message>(&self, method: &str, message: &impl Message) -> Result<R, Failure> {
        self.begin(method, message).wait()
    }

    /// Its pid.
    #[track_caller]
    pub fn create(&self, container: &Container) -> Result<u32, Failure> {
        self.begin_create(container).wait().map(|r| r.pid)
    }

    pub fn begin_create(&self, container: &Container) -> Call<PidResponse> {
        self.begin("Create", &container.request)
    }

    /// Its pid. The exec's id is empty for the container's first process, here and below.
    #[track_caller]
    pub fn start(&self, id: &str, exec_id: &str) -> Result<u32, Failure> {
        self.begin_start(id, exec_id).wait().map(|r| r.pid)
    }

    pub fn begin_start(&self, id: &str, exec_id: &str) -> Call<PidResponse> {
        self.begin("Start", &process(id, exec_id))
    }

    #[track_caller]
    pub fn state(&self, id: &str, exec_id: &str) -> Result<StateResponse, Failure> {
        self.call("State", &process(id, exec_id))
    }

    /// The number of its state.
    #[track_caller]
    pub fn status(&self, id: &str, exec_id: &str) -> i32 {
        self.state(id, exec_id).unwrap().status
    }

    #[track_caller]
    pub fn delete(&self, id: &str, exec_id: &str) -> Result<DeleteResponse, Failure> {
        self.begin_delete(id, exec_id).wait()
    }

    pub fn begin_delete(&self, id: &str, exec_id: &str) -> Call<DeleteResponse> {
        self.begin("Delete", &process(id, exec_id))
    }

    #[track_caller]
    pub fn pids(&self, id: &str) -> Result<Vec<ProcessInfo>, Failure> {
        self.call::<PidsResponse>("Pids", &only(id)).map(|r| r.processes)
    }

    #[track_caller]
    pub fn pause(&self, id: &str) -> Result<(), Failure> {
        self.call::<Empty>("Pause", &only(id)).map(drop)
    }

    #[track_caller]
    pub fn resume(&self, id: &str) -> Result<(), Failure> {
        self.call::<Empty>("Resume", &only(id)).map(drop)
    }

    #[track_caller]
    pub fn checkpoint(&self, id: &str, path: &str) -> Result<(), Failure> {
        let request = CheckpointTaskRequest { id: id.into(), path: path.into(), options: None };
        self.call::<Empty>("Checkpoint", &request).map(drop)
    }

    #[track_caller]
    pub fn checkpoint_with(&self, id: &str, path: &str, options: &CheckpointOptions) -> Result<(), Failure> {
        let options = Some(Any::of("containerd.runc.v1.CheckpointOptions", options));
        let request = CheckpointTaskRequest { id: id.into(), path: path.into(), options };
        self.call::<Empty>("Checkpoint", &request).map(drop)
    }

    #[track_caller]
    pub fn kill(&self, id: &str, exec_id: &str, signal: u32) -> Result<(), Failure> {
        self.kill_with(id, exec_id, signal, false)
    }

    #[track_caller]
    pub fn kill_all(&self, id: &str, signal: u32) -> Result<(), Failure> {
        self.kill_with(id, "", signal, true)
    }

    #[track_caller]
    fn kill_with(&self, id: &str, exec_id: &str, signal: u32, all: bool) -> Result<(), Failure> {
        let request = KillRequest { id: id.into(), exec_id: exec_id.into(), signal, all };
        self.call::<Empty>("Kill", &request).map(drop)
    }

    #[track_caller]
    pub fn exec(&self, exec: &Exec) -> Result<(), Failure> {
        self.call::<Empty>("Exec", &exec.request()).map(drop)
    }

    #[track_caller]
    pub fn resize(&self, id: &str, exec_id: &str, width: u32, height: u32) -> Result<(), Failure> {
        let request = ResizePtyRequest { id: id.into(), exec_id: exec_id.into(), width, height };
        self.call::<Empty>("ResizePty", &request).map(drop)
    }

    #[track_caller]
    pub fn close_io(&self, id: &str, exec_id: &str) -> Result<(), Failure> {
        let request = CloseIoRequest { id: id.into(), exec_id: exec_id.into(), stdin: true };
        self.call::<Empty>("CloseIO", &request).map(drop)
    }

    #[track_caller]
    pub fn update(&self, id: &str, resources: &Value) -> Result<(), Failure> {
        let resources = any_json("types.containerd.io/opencontainers/runtime-spec/1/LinuxResources", resources);
        let request = UpdateTaskRequest { id: id.into(), resources: Some(resources), ..UpdateTaskRequest::default() };
        self.call::<Empty>("Update", &request).map(drop)
    }

    /// Its exit status.
    #[track_caller]
    pub fn wait(&self, id: &str, exec_id: &str) -> Result<u32, Failure> {
        self.begin_wait(id, exec_id).wait().map(|r| r.exit_status)
    }

    pub fn begin_wait(&self, id: &str, exec_id: &str) -> Call<WaitResponse> {
        self.begin("Wait", &process(id, exec_id))
    }

    #[track_caller]
    pub fn stats(&self, id: &str) -> Result<Any, Failure> {
        self.call::<StatsResponse>("Stats", &only(id)).map(|r| r.stats.expect("metrics"))
    }

    #[track_caller]
    pub fn connect(&self, id: &str) -> Result<ConnectResponse, Failure> {
        self.call("Connect", &only(id))
    }

    /// The pid of the shim's server.
    #[track_caller]
    pub fn shim_pid(&self) -> i32 {
        self.connect("").unwrap().shim_pid as i32
    }

    #[track_caller]
    pub fn shutdown(&self, id: &str) -> Result<(), Failure> {
        self.call::<Empty>("Shutdown", &ShutdownRequest { id: id.into(), now: false }).map(drop)
    }

    /// The whole way of a command in a container: its exit status.
    #[track_caller]
    pub fn run(&self, exec: &Exec) -> u32 {
        self.exec(exec).unwrap();
        self.start(&exec.container, &exec.id).unwrap();
        let status = self.wait(&exec.container, &exec.id).unwrap();
        self.delete(&exec.container, &exec.id).unwrap();
        status
    }

    /// SIGKILL, Wait, Delete.
    #[track_caller]
    pub fn end(&self, id: &str) {
        let wait = self.begin_wait(id, "");
        self.kill(id, "", 9).unwrap();
        wait.wait().unwrap();
        self.delete(id, "").unwrap();
    }
}
