//! `linux.resources`: of config.json, and alone as the input of `update --resources`. Data only; `cgroup` turns it into
//! files and values. `Option` everywhere, because absent ("leave as it is") and zero differ.

use std::collections::BTreeMap;

use super::object::object;

object! {
    /// Limits of the container's cgroup, and the device rules.
    pub struct Resources {
        /// In order; the last rule that matches decides.
        pub devices: Vec<DeviceRule>,
        /// Memory.
        pub memory: Option<Memory>,
        /// CPU time and sets.
        pub cpu: Option<Cpu>,
        /// Number of processes.
        pub pids: Option<Pids>,
        /// Block devices.
        #[serde(rename = "blockIO")]
        pub block_io: Option<BlockIo>,
        /// By page size.
        pub hugepage_limits: Vec<HugepageLimit>,
        /// cgroup v1 only.
        pub network: Option<Network>,
        /// By device name.
        pub rdma: BTreeMap<String, Rdma>,
        /// cgroup v2: file name to content.
        pub unified: BTreeMap<String, String>,
    }
}

object! {
    /// Allows or denies access to devices.
    pub struct DeviceRule {
        /// Allow or deny.
        pub allow: bool = required,
        /// `a`, `c` or `b`; empty: `a`.
        #[serde(rename = "type")]
        pub kind: String,
        /// Absent or -1: any.
        pub major: Option<i64>,
        /// Absent or -1: any.
        pub minor: Option<i64>,
        /// Of `rwm`.
        pub access: String,
    }
}

object! {
    /// Bytes; -1 is unlimited.
    pub struct Memory {
        /// Hard limit.
        pub limit: Option<i64>,
        /// Soft limit.
        pub reservation: Option<i64>,
        /// Memory and swap together.
        pub swap: Option<i64>,
        /// Ignored by kernels that we run on.
        pub kernel: Option<i64>,
        /// cgroup v1 only.
        #[serde(rename = "kernelTCP")]
        pub kernel_tcp: Option<i64>,
        /// 0..=100, cgroup v1 only.
        pub swappiness: Option<u64>,
        /// cgroup v1 only.
        #[serde(rename = "disableOOMKiller")]
        pub disable_oom_killer: Option<bool>,
        /// cgroup v1 only; always on.
        pub use_hierarchy: Option<bool>,
        /// Refuse a new limit below the current usage.
        pub check_before_update: Option<bool>,
    }
}

object! {
    /// CPU time in microseconds, and sets.
    pub struct Cpu {
        /// Relative weight, 2..=262144.
        pub shares: Option<u64>,
        /// Microseconds per period; zero or less is unlimited.
        pub quota: Option<i64>,
        /// Microseconds that may be saved up.
        pub burst: Option<u64>,
        /// Microseconds.
        pub period: Option<u64>,
        /// Microseconds, cgroup v1 only.
        pub realtime_runtime: Option<i64>,
        /// Microseconds, cgroup v1 only.
        pub realtime_period: Option<u64>,
        /// CPU list; empty: not set.
        pub cpus: String,
        /// Memory node list; empty: not set.
        pub mems: String,
        /// 1: SCHED_IDLE.
        pub idle: Option<i64>,
    }
}

object! {
    /// Number of processes.
    pub struct Pids {
        /// Negative: unlimited. Absent is no limit, not zero.
        pub limit: Option<i64>,
    }
}

object! {
    /// Weights and throttles of block devices.
    pub struct BlockIo {
        /// 10..=1000.
        pub weight: Option<u16>,
        /// cgroup v1 only.
        pub leaf_weight: Option<u16>,
        /// Per device.
        pub weight_device: Vec<WeightDevice>,
        /// Bytes per second.
        pub throttle_read_bps_device: Vec<ThrottleDevice>,
        /// Bytes per second.
        pub throttle_write_bps_device: Vec<ThrottleDevice>,
        /// Operations per second.
        #[serde(rename = "throttleReadIOPSDevice")]
        pub throttle_read_iops_device: Vec<ThrottleDevice>,
        /// Operations per second.
        #[serde(rename = "throttleWriteIOPSDevice")]
        pub throttle_write_iops_device: Vec<ThrottleDevice>,
    }
}

object! {
    /// The weight of one device.
    pub struct WeightDevice {
        /// Major number.
        pub major: i64 = required,
        /// Minor number.
        pub minor: i64 = required,
        /// 10..=1000.
        pub weight: Option<u16>,
        /// cgroup v1 only.
        pub leaf_weight: Option<u16>,
    }
}

object! {
    /// The rate of one device.
    pub struct ThrottleDevice {
        /// Major number.
        pub major: i64 = required,
        /// Minor number.
        pub minor: i64 = required,
        /// Per second.
        pub rate: u64 = required,
    }
}

object! {
    /// Bytes in huge pages of one size.
    pub struct HugepageLimit {
        /// `2MB`, `1GB`, ...
        pub page_size: String = required,
        /// Bytes.
        pub limit: u64 = required,
    }
}

object! {
    /// net_cls and net_prio, cgroup v1 only.
    pub struct Network {
        /// Class of packets.
        #[serde(rename = "classID")]
        pub class_id: Option<u32>,
        /// Per interface.
        pub priorities: Vec<InterfacePriority>,
    }
}

object! {
    /// The priority of one interface.
    pub struct InterfacePriority {
        /// Interface in the runtime's network namespace.
        pub name: String = required,
        /// Priority.
        pub priority: u32 = required,
    }
}

object! {
    /// Limits of one RDMA device.
    pub struct Rdma {
        /// Handles.
        pub hca_handles: Option<u32>,
        /// Objects.
        pub hca_objects: Option<u32>,
    }
}
