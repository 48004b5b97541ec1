//! What the daemon hands to `start` and gets back, and what `-info` prints.

use std::collections::BTreeMap;

use super::Any;
use crate::messages;

messages! {
    /// containerd.runtime.bootstrap.v1: on stdin of `start`, since containerd 2.3.
    BootstrapParams {
        1 instance_id: String, 2 namespace: String, 3 log_level: i32, 4 containerd_version: String,
        5 containerd_ttrpc_address: String, 6 containerd_grpc_address: String, 7 containerd_binary: String,
        8 extensions: Vec<Extension>, 9 socket_dir: String,
    }
    /// One of its extensions: the runtime's options are one.
    Extension { 1 value: Option<Any> }
    /// The answer of `start`.
    BootstrapResult {
        1 version: i32, 2 address: String, 3 protocol: String, 4 capabilities: Vec<u64>, 5 metadata: BTreeMap<String, String>,
    }
    /// containerd.types: the answer of `-info`.
    RuntimeInfo {
        1 name: String, 2 version: Option<RuntimeVersion>, 3 options: Option<Any>, 4 features: Option<Any>,
        5 annotations: BTreeMap<String, String>,
    }
    /// In [`RuntimeInfo`].
    RuntimeVersion { 1 version: String, 2 revision: String }
}
