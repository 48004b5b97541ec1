//! `config.cgroups` of libcontainer's state: names and limits in one flat object. Data only.

#![allow(non_snake_case)] // The keys are the names of the fields.

use std::collections::BTreeMap;

use super::object::object;

object! {
    /// Where the cgroup is, which driver made it, and its limits. Zero means "not set", except in the `Option`s.
    pub struct Cgroup {
        /// See [`super::CgroupName`].
        pub name: String,
        /// See [`super::CgroupName`].
        pub parent: String,
        /// See [`super::CgroupName`].
        pub path: String,
        /// See [`super::CgroupName`].
        pub scope_prefix: String,
        /// The systemd driver made it.
        pub Systemd: bool,
        /// Errors of cgroups are to be ignored.
        pub Rootless: bool,
        /// Host uid to which the cgroup is delegated.
        pub owner_uid: Option<i64>,
        /// In order, the runtime's own allow-list included.
        pub devices: Vec<DeviceRule>,
        /// Bytes.
        pub memory: i64,
        /// Bytes.
        pub memory_reservation: i64,
        /// Bytes, memory and swap together.
        pub memory_swap: i64,
        /// Relative.
        pub cpu_shares: u64,
        /// Microseconds.
        pub cpu_quota: i64,
        /// Microseconds.
        pub cpu_burst: Option<u64>,
        /// Microseconds.
        pub cpu_period: u64,
        /// Microseconds.
        pub cpu_rt_quota: i64,
        /// Microseconds.
        pub cpu_rt_period: u64,
        /// CPU list.
        pub cpuset_cpus: String,
        /// Node list.
        pub cpuset_mems: String,
        /// 1: SCHED_IDLE.
        pub cpu_idle: Option<i64>,
        /// Absent: not set. runc before 1.4 writes 0 for that, which since then is a limit.
        pub pids_limit: Option<i64>,
        /// 10..=1000.
        pub blkio_weight: u16,
        /// cgroup v1 only.
        pub blkio_leaf_weight: u16,
        /// Per device.
        pub blkio_weight_device: Vec<WeightDevice>,
        /// Bytes per second.
        pub blkio_throttle_read_bps_device: Vec<ThrottleDevice>,
        /// Bytes per second.
        pub blkio_throttle_write_bps_device: Vec<ThrottleDevice>,
        /// Operations per second.
        pub blkio_throttle_read_iops_device: Vec<ThrottleDevice>,
        /// Operations per second.
        pub blkio_throttle_write_iops_device: Vec<ThrottleDevice>,
        /// `FROZEN`, `THAWED` or nothing; what the kernel says counts, not this.
        pub freezer: String,
        /// By page size.
        pub hugetlb_limit: Vec<HugepageLimit>,
        /// cgroup v1 only.
        pub oom_kill_disable: bool,
        /// cgroup v1 only.
        pub memory_swappiness: Option<u64>,
        /// cgroup v1 only.
        pub net_prio_ifpriomap: Vec<InterfacePriority>,
        /// cgroup v1 only.
        pub net_cls_classid_u: u32,
        /// By device.
        pub rdma: BTreeMap<String, Rdma>,
        /// cgroup v2's value of `cpu_shares`.
        pub cpu_weight: u64,
        /// cgroup v2: file -> content.
        pub unified: BTreeMap<String, String>,
        /// Refuse a limit below the usage.
        pub memory_check_before_update: bool,
    }
}

object! {
    /// Allows or denies access to devices.
    pub struct DeviceRule {
        /// ASCII code: 97 `a`, 98 `b`, 99 `c`.
        #[serde(rename = "type")]
        pub kind: u32,
        /// -1: any.
        pub major: i64,
        /// -1: any.
        pub minor: i64,
        /// Of `rwm`.
        pub permissions: String,
        /// Allow or deny.
        pub allow: bool,
    }
}

object! {
    /// The weight of one device.
    pub struct WeightDevice {
        /// Major number.
        pub major: i64,
        /// Minor number.
        pub minor: i64,
        /// 10..=1000.
        pub weight: u16,
        /// cgroup v1 only.
        pub leafWeight: u16,
    }
}

object! {
    /// The rate of one device.
    pub struct ThrottleDevice {
        /// Major number.
        pub major: i64,
        /// Minor number.
        pub minor: i64,
        /// Per second.
        pub rate: u64,
    }
}

object! {
    /// Bytes in huge pages of one size.
    pub struct HugepageLimit {
        /// `2MB`, `1GB`, ...
        pub page_size: String,
        /// Bytes.
        pub limit: u64,
    }
}

object! {
    /// The priority of one interface.
    pub struct InterfacePriority {
        /// Interface in the runtime's network namespace.
        pub interface: String,
        /// Priority.
        pub priority: i64,
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
