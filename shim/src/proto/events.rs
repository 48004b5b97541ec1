//! containerd.events: what a shim tells the daemon, and the call by which it does.

use super::{Any, Mount, Timestamp};
use crate::messages;

messages! {
    /// `/tasks/create`
    TaskCreate {
        1 container_id: String, 2 bundle: String, 3 rootfs: Vec<Mount>, 4 io: Option<TaskIo>, 5 checkpoint: String, 6 pid: u32,
    }
    /// In [`TaskCreate`].
    TaskIo { 1 stdin: String, 2 stdout: String, 3 stderr: String, 4 terminal: bool }
    /// `/tasks/start`
    TaskStart { 1 container_id: String, 2 pid: u32 }
    /// `/tasks/delete`
    TaskDelete { 1 container_id: String, 2 pid: u32, 3 exit_status: u32, 4 exited_at: Option<Timestamp>, 5 id: String }
    /// `/tasks/exit`: `id` is the container's for its first process, else the exec's
    TaskExit { 1 container_id: String, 2 id: String, 3 pid: u32, 4 exit_status: u32, 5 exited_at: Option<Timestamp> }
    /// `/tasks/oom`, `/tasks/paused`, `/tasks/resumed`
    TaskOnly { 1 container_id: String }
    /// `/tasks/checkpointed`
    TaskCheckpointed { 1 container_id: String, 2 checkpoint: String }
    /// `/tasks/exec-added`
    TaskExecAdded { 1 container_id: String, 2 exec_id: String }
    /// `/tasks/exec-started`
    TaskExecStarted { 1 container_id: String, 2 exec_id: String, 3 pid: u32 }

    /// containerd.services.events.ttrpc.v1.Events/Forward
    ForwardRequest { 1 envelope: Option<Envelope> }
    /// An event, who tells it and when.
    Envelope { 1 timestamp: Option<Timestamp>, 2 namespace: String, 3 topic: String, 4 event: Option<Any> }
}
