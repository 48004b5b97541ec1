//! Any bytes as each of the shim's messages: it is one or none, without a panic; what is written of it is the same message; what
//! stands behind it on the wire is read on top of it, and a field that nobody knows changes nothing.
#![no_main]

use dunnage_fuzz::one_line;
use dunnage_shim::proto::metrics::{v1, v2};
use dunnage_shim::proto::{
    Any, Empty, Message, Mount, Timestamp, bootstrap, events, options, table, task, ttrpc, wire,
};
use dunnage_shim::server::upgrade;
use libfuzzer_sys::fuzz_target;

macro_rules! each {
    ($bytes:expr, $($message:ty),* $(,)?) => { $(there_and_back::<$message>($bytes);)* }
}

fuzz_target!(|bytes: &[u8]| {
    each!(bytes, Any, Empty, Mount, Timestamp);
    each!(bytes, ttrpc::Request, ttrpc::Response, ttrpc::Status, ttrpc::KeyValue);
    each!(bytes, bootstrap::BootstrapParams, bootstrap::Extension, bootstrap::BootstrapResult);
    each!(bytes, bootstrap::RuntimeInfo, bootstrap::RuntimeVersion);
    each!(bytes, events::TaskCreate, events::TaskIo, events::TaskStart, events::TaskDelete, events::TaskExit);
    each!(bytes, events::TaskOnly, events::TaskExecAdded, events::TaskExecStarted);
    each!(bytes, events::ForwardRequest, events::Envelope);
    each!(bytes, options::RuncOptions, options::CheckpointOptions, options::RuntimeOptions);
    each!(bytes, task::CreateTaskRequest, task::PidResponse, task::ProcessRequest, task::IdRequest);
    each!(bytes, task::StateResponse, task::DeleteResponse, task::PidsResponse, task::ProcessInfo);
    each!(bytes, task::ProcessDetails, task::CheckpointTaskRequest, task::KillRequest, task::ExecProcessRequest);
    each!(bytes, task::ResizePtyRequest, task::CloseIoRequest, task::UpdateTaskRequest, task::WaitResponse);
    each!(bytes, task::StatsResponse, task::ConnectResponse, task::ShutdownRequest);
    each!(bytes, v1::Metrics, v1::HugetlbStat, v1::PidsStat, v1::CpuStat, v1::CpuUsage, v1::Throttle);
    each!(bytes, v1::MemoryStat, v1::MemoryEntry, v1::MemoryOomControl, v1::BlkIoStat, v1::BlkIoEntry);
    each!(bytes, v1::RdmaStat, v1::RdmaEntry, v1::NetworkStat, v1::CgroupStats);
    each!(bytes, v2::Metrics, v2::PidsStat, v2::CpuStat, v2::PsiStats, v2::PsiData, v2::MemoryStat, v2::IoStat);
    each!(bytes, v2::IoEntry, v2::HugeTlbStat, v2::MemoryEvents);
    each!(bytes, table::Table, table::UpgradeRequest, table::UpgradeResponse);
    if let Ok(table) = table::Table::decode(bytes) {
        let checked = upgrade::check(&table).map_err(one_line);
        let mut fds = upgrade::descriptors_of(&table);
        assert!(fds.iter().all(|fd| *fd > 0));
        fds.sort_unstable();
        let once = fds.windows(2).all(|two| two[0] != two[1]);
        assert!(checked.is_err() || once, "a descriptor that two would close: {table:?}");
    }
});

fn there_and_back<M: Message + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let message = match M::decode(bytes) {
        Ok(message) => message,
        Err(fault) => return one_line(fault),
    };
    let encoded = message.encode();
    same(&M::decode(&encoded).expect("what was encoded"), &message);

    let mut unknown = encoded.clone();
    wire::put_bytes((1 << 29) - 1, bytes, &mut unknown);
    same(&M::decode(&unknown).expect("a field more"), &message);

    let mut merged = M::decode(bytes).expect("again");
    merged.merge(&encoded).expect("on top");
    same(&M::decode(&[bytes, &encoded].concat()).expect("one behind the other"), &merged);
}

/// A number that is none is not the same as itself.
fn same<M: Message + PartialEq + std::fmt::Debug>(one: &M, other: &M) {
    assert!(one == other || format!("{one:?}") == format!("{other:?}"), "{one:?}\n{other:?}");
    assert_eq!(one.encode(), other.encode());
}
