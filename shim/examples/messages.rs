//! The messages as `integration/containerd/protos.py` asks for them: of each line of stdin, `task::KillRequest HEX`, the message that
//! the bytes are is written again, in hexadecimal; what is none is answered with `!` and why.
#![allow(clippy::print_stdout, reason = "it is what this program is for")]

use std::fmt::Write as _;

use dunnage_shim::proto::{Any, Empty, Mount, Timestamp};
use dunnage_shim::proto::{Fault, Message};
use dunnage_shim::proto::{bootstrap, events, metrics, options, sandbox, task, ttrpc};

fn again<M: Message>(bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    M::decode(bytes).map(|message| message.encode())
}

macro_rules! by_name {
    ($name:expr, $bytes:expr, $($($part:ident)::+),* $(,)?) => {
        match $name {
            $(name if name == stringify!($($part)::+).replace(' ', "") => again::<$($part)::+>($bytes),)*
            unknown => { println!("?{unknown}"); return }
        }
    }
}

fn answer(name: &str, bytes: &[u8]) {
    let written = by_name!(
        name,
        bytes,
        Any,
        Empty,
        Mount,
        Timestamp,
        ttrpc::Request,
        ttrpc::Response,
        ttrpc::Status,
        ttrpc::KeyValue,
        bootstrap::BootstrapParams,
        bootstrap::Extension,
        bootstrap::BootstrapResult,
        bootstrap::RuntimeInfo,
        bootstrap::RuntimeVersion,
        events::TaskCreate,
        events::TaskIo,
        events::TaskStart,
        events::TaskCheckpointed,
        events::TaskDelete,
        events::TaskExit,
        events::TaskOnly,
        events::TaskExecAdded,
        events::TaskExecStarted,
        events::ForwardRequest,
        events::Envelope,
        options::RuncOptions,
        options::CheckpointOptions,
        options::RuntimeOptions,
        task::CreateTaskRequest,
        task::PidResponse,
        task::ProcessRequest,
        task::IdRequest,
        task::StateResponse,
        task::DeleteResponse,
        task::PidsResponse,
        task::ProcessInfo,
        task::ProcessDetails,
        task::CheckpointTaskRequest,
        task::KillRequest,
        task::ExecProcessRequest,
        task::ResizePtyRequest,
        task::CloseIoRequest,
        task::UpdateTaskRequest,
        task::WaitResponse,
        task::StatsResponse,
        task::ConnectResponse,
        task::ShutdownRequest,
        sandbox::CreateSandboxRequest,
        sandbox::SandboxRequest,
        sandbox::StartSandboxResponse,
        sandbox::PlatformResponse,
        sandbox::Platform,
        sandbox::StopSandboxRequest,
        sandbox::WaitSandboxResponse,
        sandbox::SandboxStatusRequest,
        sandbox::SandboxStatusResponse,
        sandbox::SandboxMetricsResponse,
        sandbox::Metric,
        metrics::v1::Metrics,
        metrics::v1::HugetlbStat,
        metrics::v1::PidsStat,
        metrics::v1::CpuStat,
        metrics::v1::CpuUsage,
        metrics::v1::Throttle,
        metrics::v1::MemoryStat,
        metrics::v1::MemoryEntry,
        metrics::v1::MemoryOomControl,
        metrics::v1::BlkIoStat,
        metrics::v1::BlkIoEntry,
        metrics::v1::RdmaStat,
        metrics::v1::RdmaEntry,
        metrics::v1::NetworkStat,
        metrics::v1::CgroupStats,
        metrics::v2::Metrics,
        metrics::v2::PidsStat,
        metrics::v2::CpuStat,
        metrics::v2::PsiStats,
        metrics::v2::PsiData,
        metrics::v2::MemoryStat,
        metrics::v2::IoStat,
        metrics::v2::IoEntry,
        metrics::v2::HugeTlbStat,
        metrics::v2::MemoryEvents,
    );
    match written {
        Ok(bytes) => println!("{}", hex(&bytes)),
        Err(fault) => println!("!{fault:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(byte).collect()
}

fn main() {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let (name, digits) = line.split_once(' ').unwrap_or((&line, ""));
        match unhex(digits) {
            Some(bytes) => answer(name, &bytes),
            None => println!("?{digits}"),
        }
    }
}
