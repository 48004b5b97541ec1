//! All that a server knows, for another program that goes on in its process: [`crate::server::upgrade`]. Descriptors are numbers that the
//! process keeps; 0 is none. A change that an older reader would get wrong needs a new [`VERSION`].

use std::collections::BTreeMap;

use super::options::RuncOptions;
use super::{Any, Timestamp};
use crate::messages;

/// Of what follows.
pub const VERSION: u32 = 1;

messages! {
    /// Everything.
    Table {
        1 version: u32, 2 namespace: String, 3 group: String, 4 debug: bool, 5 socket: String, 6 leader: String,
        7 listener: i32, 8 connections: Vec<TConnection>, 9 containers: Vec<TContainer>, 10 flows: Vec<TFlow>,
        11 next: u32, 12 shutdown_asked: bool, 13 events: Vec<TEvent>, 14 deferred: Vec<TCall>, 15 caller: Option<TCaller>,
        16 loggers: Vec<TLogger>,
    }
    /// A client.
    TConnection { 1 number: u32, 2 fd: i32, 3 partial: Vec<u8>, 4 discard: u64, 5 newest: u32, 6 unsent: Vec<u8> }
    /// Who waits for an answer.
    TCaller { 1 connection: u32, 2 stream: u32 }
    /// A call that waits, its request as it came.
    TCall { 1 caller: Option<TCaller>, 2 request: Vec<u8> }
    /// Who waits for an end: for so long, in nanoseconds; 0 for ever.
    TWaiter { 1 caller: Option<TCaller>, 2 left: u64 }
    /// An event that waits.
    TEvent { 1 topic: String, 2 request: Vec<u8> }
    /// A logger that should end.
    TLogger { 1 fd: i32, 2 signal: i32 }
    /// A container.
    TContainer {
        1 number: u32, 2 id: String, 3 bundle: String, 4 root: String, 5 options: Option<RuncOptions>, 6 init: Option<TProcess>,
        7 execs: Vec<TProcess>, 8 queue: Vec<TCall>, 9 freezing: u32, 10 has_mounts: bool, 11 shares_pids: bool,
        12 cgroups: BTreeMap<String, String>, 13 ending: bool, 14 removed: bool, 15 kills: u64, 16 remembered: Option<Any>,
        17 sandbox: Option<TSandbox>,
    }
    /// What a container is more if it is a pod's sandbox.
    TSandbox { 1 created_at: Option<Timestamp>, 2 stoppers: Vec<TCaller>, 3 closers: Vec<TCaller> }
    /// A process.
    TProcess {
        1 exec_id: String, 2 phase: u32, 3 pid: i32, 4 pidfd: i32, 5 spec: Vec<u8>, 6 terminal: bool, 7 stdin: String,
        8 stdout: String, 9 stderr: String, 10 flow_stdin: u32, 11 flow_stdout: u32, 12 flow_stderr: u32, 13 console: i32,
        14 size: Option<TSize>, 15 logger: i32, 16 exit: Option<TExit>, 17 waiters: Vec<TWaiter>, 18 deleters: Vec<TCaller>,
        19 close_stdin: bool,
    }
    /// Of a terminal.
    TSize { 1 width: u32, 2 height: u32 }
    /// How a process ended.
    TExit { 1 status: u32, 2 seconds: i64, 3 nanos: i32 }
    /// A stream.
    TFlow {
        1 number: u32, 2 container: u32, 3 exec_id: String, 4 from: i32, 5 to: i32, 6 terminal: bool, 7 input: bool,
        8 over: bool, 9 ended: bool, 10 rest: Vec<u8>,
    }

    /// dunnage.shim.v1.Shim/Upgrade
    UpgradeRequest { 1 binary: String }
    /// Its answer, by the new program.
    UpgradeResponse { 1 pid: u32, 2 version: String, 3 revision: String }
}
