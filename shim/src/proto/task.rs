//! containerd.task.v2 and v3: the same messages under two names.

use std::collections::BTreeMap;

use super::{Any, Mount, Timestamp};
use crate::messages;

/// What a process is doing: containerd.v1.types.Status.
#[expect(missing_docs, reason = "the names are those of the .proto file")]
pub mod status {
    pub const UNKNOWN: i32 = 0;
    pub const CREATED: i32 = 1;
    pub const RUNNING: i32 = 2;
    pub const STOPPED: i32 = 3;
    pub const PAUSED: i32 = 4;
    pub const PAUSING: i32 = 5;
}

messages! {
    /// Create
    CreateTaskRequest {
        1 id: String, 2 bundle: String, 3 rootfs: Vec<Mount>, 4 terminal: bool, 5 stdin: String, 6 stdout: String,
        7 stderr: String, 8 checkpoint: String, 9 parent_checkpoint: String, 10 options: Option<Any>,
    }
    /// Create, Start
    PidResponse { 1 pid: u32 }
    /// Start, Delete, State, Wait
    ProcessRequest { 1 id: String, 2 exec_id: String }
    /// Pids, Pause, Resume, Stats, Connect
    IdRequest { 1 id: String }
    /// State
    StateResponse {
        1 id: String, 2 bundle: String, 3 pid: u32, 4 status: i32, 5 stdin: String, 6 stdout: String, 7 stderr: String,
        8 terminal: bool, 9 exit_status: u32, 10 exited_at: Option<Timestamp>, 11 exec_id: String,
    }
    /// Delete; also what the command `delete` prints
    DeleteResponse { 1 pid: u32, 2 exit_status: u32, 3 exited_at: Option<Timestamp> }
    /// Pids
    PidsResponse { 1 processes: Vec<ProcessInfo> }
    /// Pids
    ProcessInfo { 1 pid: u32, 2 info: Option<Any> }
    /// Pids: containerd.runc.v1.ProcessDetails
    ProcessDetails { 1 exec_id: String }
    /// Checkpoint
    CheckpointTaskRequest { 1 id: String, 2 path: String, 3 options: Option<Any> }
    /// Kill
    KillRequest { 1 id: String, 2 exec_id: String, 3 signal: u32, 4 all: bool }
    /// Exec
    ExecProcessRequest {
        1 id: String, 2 exec_id: String, 3 terminal: bool, 4 stdin: String, 5 stdout: String, 6 stderr: String,
        7 spec: Option<Any>,
    }
    /// ResizePty
    ResizePtyRequest { 1 id: String, 2 exec_id: String, 3 width: u32, 4 height: u32 }
    /// CloseIO
    CloseIoRequest { 1 id: String, 2 exec_id: String, 3 stdin: bool }
    /// Update
    UpdateTaskRequest { 1 id: String, 2 resources: Option<Any>, 3 annotations: BTreeMap<String, String> }
    /// Wait
    WaitResponse { 1 exit_status: u32, 2 exited_at: Option<Timestamp> }
    /// Stats
    StatsResponse { 1 stats: Option<Any> }
    /// Connect
    ConnectResponse { 1 shim_pid: u32, 2 task_pid: u32, 3 version: String }
    /// Shutdown
    ShutdownRequest { 1 id: String, 2 now: bool }
}
