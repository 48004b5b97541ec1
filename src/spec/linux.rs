//! The `linux` section (config-linux.md), apart from resources and seccomp. Data only.

use std::collections::BTreeMap;

use super::object::object;
use super::resources::Resources;
use super::seccomp::Seccomp;

object! {
    /// Everything that only Linux has.
    pub struct Linux {
        /// Of the new user namespace; ignored without one.
        pub uid_mappings: Vec<IdMapping>,
        /// Of the new user namespace; ignored without one.
        pub gid_mappings: Vec<IdMapping>,
        /// Keys with `.` or `/`; `sysctl::normalise` reads them.
        pub sysctl: BTreeMap<String, String>,
        /// Limits, and the device allow-list.
        pub resources: Option<Resources>,
        /// Empty: the runtime's default.
        pub cgroups_path: String,
        /// A type that is not listed is shared with the runtime.
        pub namespaces: Vec<Namespace>,
        /// In addition to the default ones.
        pub devices: Vec<Device>,
        /// Host network devices to move in, by their name on the host.
        pub net_devices: BTreeMap<String, NetDevice>,
        /// System call filter.
        pub seccomp: Option<Seccomp>,
        /// `[r]shared`, `[r]slave`, `[r]private`, `[r]unbindable`; empty: rslave.
        pub rootfs_propagation: String,
        /// Absolute paths in the container.
        pub masked_paths: Vec<String>,
        /// Absolute paths in the container.
        pub readonly_paths: Vec<String>,
        /// SELinux context of the mounts.
        pub mount_label: String,
        /// Cache and memory bandwidth allocation.
        pub intel_rdt: Option<IntelRdt>,
        /// set_mempolicy(2).
        pub memory_policy: Option<MemoryPolicy>,
        /// personality(2).
        pub personality: Option<Personality>,
        /// By clock: `monotonic`, `boottime`.
        pub time_offsets: BTreeMap<String, TimeOffset>,
    }
}

object! {
    /// A namespace to make, or to join.
    pub struct Namespace {
        /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup`, `time`.
        #[serde(rename = "type")]
        pub kind: String = required,
        /// Empty: a new one.
        pub path: String,
    }
}

object! {
    /// A range of ids.
    pub struct IdMapping {
        /// First id in the container.
        #[serde(rename = "containerID")]
        pub container_id: u32 = required,
        /// First id on the host.
        #[serde(rename = "hostID")]
        pub host_id: u32 = required,
        /// How many.
        pub size: u32 = required,
    }
}

object! {
    /// A device node.
    pub struct Device {
        /// Full path in the container.
        pub path: String = required,
        /// `c`, `u` (the same), `b` or `p`.
        #[serde(rename = "type")]
        pub kind: String = required,
        /// Required unless `p`.
        pub major: Option<i64>,
        /// Required unless `p`.
        pub minor: Option<i64>,
        /// Absent: 0666.
        pub file_mode: Option<u32>,
        /// Owner.
        pub uid: Option<u32>,
        /// Group.
        pub gid: Option<u32>,
    }
}

object! {
    /// A network device that moves into the container.
    pub struct NetDevice {
        /// Its name there; empty: the same; `%d` is the kernel's template.
        pub name: String,
    }
}

object! {
    /// resctrl group and schemata.
    pub struct IntelRdt {
        /// Name of the group; empty: the container's id; `/`: the root class.
        #[serde(rename = "closID")]
        pub clos_id: String,
        /// Lines for the schemata file, written last.
        pub schemata: Vec<String>,
        /// `L3:...`, written first.
        pub l3_cache_schema: String,
        /// `MB:...`, written second.
        pub mem_bw_schema: String,
        /// A monitoring group of its own.
        pub enable_monitoring: bool,
        /// Deprecated in 1.3, without effect; still valid input.
        #[serde(rename = "enableCMT")]
        pub enable_cmt: bool,
        /// Deprecated in 1.3, without effect; still valid input.
        #[serde(rename = "enableMBM")]
        pub enable_mbm: bool,
    }
}

object! {
    /// set_mempolicy(2).
    pub struct MemoryPolicy {
        /// `MPOL_*`.
        pub mode: String = required,
        /// `0-3,7`.
        pub nodes: String,
        /// `MPOL_F_*`.
        pub flags: Vec<String>,
    }
}

object! {
    /// personality(2).
    pub struct Personality {
        /// `LINUX` or `LINUX32`.
        pub domain: String = required,
        /// None is supported.
        pub flags: Vec<String>,
    }
}

object! {
    /// What is added to a clock in the container's time namespace.
    pub struct TimeOffset {
        /// Seconds, may be negative.
        pub secs: i64,
        /// Nanoseconds.
        pub nanosecs: u32,
    }
}
