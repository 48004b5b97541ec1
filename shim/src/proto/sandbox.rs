//! containerd.runtime.sandbox.v1.

use std::collections::BTreeMap;

use super::{Any, Mount, Timestamp};
use crate::messages;

messages! {
    /// CreateSandbox
    CreateSandboxRequest {
        1 sandbox_id: String, 2 bundle_path: String, 3 rootfs: Vec<Mount>, 4 options: Option<Any>, 5 netns_path: String,
        6 annotations: BTreeMap<String, String>,
    }
    /// StartSandbox, Platform, WaitSandbox, PingSandbox, ShutdownSandbox, SandboxMetrics
    SandboxRequest { 1 sandbox_id: String }
    /// StartSandbox
    StartSandboxResponse { 1 pid: u32, 2 created_at: Option<Timestamp> }
    /// Platform
    PlatformResponse { 1 platform: Option<Platform> }
    /// containerd.types.Platform
    Platform { 1 os: String, 2 architecture: String, 3 variant: String, 4 os_version: String }
    /// StopSandbox
    StopSandboxRequest { 1 sandbox_id: String, 2 timeout_secs: u32 }
    /// WaitSandbox
    WaitSandboxResponse { 1 exit_status: u32, 2 exited_at: Option<Timestamp> }
    /// SandboxStatus
    SandboxStatusRequest { 1 sandbox_id: String, 2 verbose: bool }
    /// SandboxStatus
    SandboxStatusResponse {
        1 sandbox_id: String, 2 pid: u32, 3 state: String, 4 info: BTreeMap<String, String>, 5 created_at: Option<Timestamp>,
        6 exited_at: Option<Timestamp>, 7 extra: Option<Any>,
    }
    /// SandboxMetrics
    SandboxMetricsResponse { 1 metrics: Option<Metric> }
    /// containerd.types.Metric
    Metric { 1 timestamp: Option<Timestamp>, 2 id: String, 3 data: Option<Any> }
}
