//! runtime.v1, the CRI: what a kubelet asks of a pod, which containerd hands to the shim as it is. Fields that say nothing to the process
//! that holds the pod's namespaces are left out.

use std::collections::BTreeMap;

use crate::messages;

/// NamespaceMode: whose a namespace is.
#[expect(missing_docs, reason = "the names are those of the .proto file")]
pub mod namespace_mode {
    pub const POD: i32 = 0;
    pub const CONTAINER: i32 = 1;
    pub const NODE: i32 = 2;
}

messages! {
    /// A pod.
    PodSandboxConfig {
        1 metadata: Option<PodSandboxMetadata>, 2 hostname: String, 3 log_directory: String, 7 annotations: BTreeMap<String, String>,
        8 linux: Option<LinuxPodSandboxConfig>,
    }
    /// Its names.
    PodSandboxMetadata { 1 name: String, 2 uid: String, 3 namespace: String, 4 attempt: u32 }
    /// What is particular to Linux.
    LinuxPodSandboxConfig {
        1 cgroup_parent: String, 2 security_context: Option<LinuxSandboxSecurityContext>, 3 sysctls: BTreeMap<String, String>,
        5 resources: Option<LinuxContainerResources>,
    }
    /// Who it runs as, and in whose namespaces.
    LinuxSandboxSecurityContext {
        1 namespace_options: Option<NamespaceOption>, 3 run_as_user: Option<Int64Value>, 5 supplemental_groups: Vec<u64>,
        8 run_as_group: Option<Int64Value>,
    }
    /// Modes.
    NamespaceOption { 1 network: i32, 2 pid: i32, 3 ipc: i32, 4 target_id: String, 5 userns_options: Option<UserNamespace> }
    /// Which ids.
    UserNamespace { 1 mode: i32, 2 uids: Vec<IdMapping>, 3 gids: Vec<IdMapping> }
    /// A range of ids.
    IdMapping { 1 host_id: u32, 2 container_id: u32, 3 length: u32 }
    /// A number that may be absent.
    Int64Value { 1 value: i64 }
    /// Limits.
    LinuxContainerResources { 1 cpu_period: i64, 2 cpu_quota: i64, 3 cpu_shares: i64, 4 memory_limit_in_bytes: i64 }
}
