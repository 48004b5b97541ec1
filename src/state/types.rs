//! libcontainer's state.json and the `config` in it, as runc 1.1 to 1.5 write them. Data only: what the file says, not
//! what it means. Names are the file's.

#![allow(non_snake_case)] // The keys are the names of the fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::object::{is_zero, object, or_zero};
use super::resources::Cgroup;
use super::seccomp::Seccomp;

/// A whole state.json. `C` is how much of `config` is read: all ([`Config`]) or what most commands need ([`Brief`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State<C = Config> {
    /// The container's id.
    pub id: String,
    /// Pid of the container's init in the pid namespace of the runtime.
    pub init_process_pid: i32,
    /// When init started: field 22 of /proc/PID/stat, in clock ticks since boot.
    pub init_process_start: u64,
    /// When the container was created, RFC 3339 with nanoseconds, UTC.
    pub created: String,
    /// What the container was made from.
    pub config: C,
    /// Effective user not root, and cgroup errors ignored.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rootless: bool,
    /// cgroup v1: controller to absolute path, in a hybrid also `""` to the unified one; v2: `""` alone.
    /// Empty must never be read as "the root cgroup".
    #[serde(default, deserialize_with = "or_zero")]
    pub cgroup_paths: BTreeMap<String, String>,
    /// `NEWPID` -> `/proc/PID/ns/pid` and so on. Told to readers; runc works them out anew.
    #[serde(default, deserialize_with = "or_zero")]
    pub namespace_paths: BTreeMap<String, String>,
    /// Where init's fds 0, 1 and 2 led; for checkpoints.
    #[serde(default, deserialize_with = "or_zero")]
    pub external_descriptors: Vec<String>,
    /// resctrl group, ours or another's.
    #[serde(default, deserialize_with = "or_zero", skip_serializing_if = "is_zero")]
    pub intel_rdt_path: String,
    /// resctrl monitoring group, which is the container's own.
    #[serde(default, deserialize_with = "or_zero", skip_serializing_if = "is_zero")]
    pub intel_rdt_mon_path: String,
    /// What is ours alone; runc ignores it.
    #[serde(default, deserialize_with = "or_zero", skip_serializing_if = "is_zero")]
    pub dunnage: Extra,
}

object! {
    /// Our own additions to libcontainer's state, under a key of their own.
    pub struct Extra {
        /// Changes when the meaning of a key in here does; 0: the state was not written by us.
        pub format: u32,
        /// Version of the program that wrote it.
        pub version: String,
    }
}

object! {
    /// The part of `config` that `state`, `list`, `start`, `kill`, `ps`, `pause`, `resume` and `delete` need.
    pub struct Brief {
        /// Absolute.
        pub rootfs: String,
        /// New (no path), or joined.
        pub namespaces: Vec<Namespace>,
        /// Which cgroup driver, and which cgroup.
        pub cgroups: CgroupName,
        /// `poststart` and `poststop` are run by later commands.
        pub Hooks: Hooks,
        /// `key=value`: annotations, and `bundle`.
        pub labels: Vec<String>,
        /// Errors of cgroups are to be ignored.
        pub rootless_cgroups: bool,
    }
}

object! {
    /// Where the container's cgroup was asked to be. The truth is [`State::cgroup_paths`].
    pub struct CgroupName {
        /// Last component, or `NAME` of `PREFIX-NAME.scope`.
        pub name: String,
        /// systemd: the slice.
        pub parent: String,
        /// cgroupfs: `linux.cgroupsPath`.
        pub path: String,
        /// systemd: `PREFIX` of `PREFIX-NAME.scope`.
        pub scope_prefix: String,
        /// The systemd driver made it.
        pub Systemd: bool,
        /// Errors of cgroups are to be ignored.
        pub Rootless: bool,
    }
}

object! {
    /// libcontainer's `config`, all of it. Not in it: the process (args, env, cwd, user), which `exec` reads
    /// from the bundle.
    pub struct Config {
        /// `--no-pivot`.
        pub no_pivot_root: bool,
        /// Signal number; the command line never sets it.
        pub parent_death_signal: i32,
        /// Absolute.
        pub rootfs: String,
        /// Absent: 022 for init, the caller's for exec.
        pub umask: Option<u32>,
        /// Root filesystem is read-only.
        pub readonlyfs: bool,
        /// `MS_*` flags.
        pub rootPropagation: u64,
        /// In order.
        pub mounts: Vec<Mount> = always,
        /// Nodes of /dev, the default ones included.
        pub devices: Vec<Device> = always,
        /// Host name -> name inside.
        pub netDevices: BTreeMap<String, NetDevice>,
        /// SELinux context of the mounts.
        pub mount_label: String,
        /// Absent: unchanged.
        pub hostname: String,
        /// Absent: unchanged.
        pub domainname: String,
        /// New (no path), or joined.
        pub namespaces: Vec<Namespace>,
        /// Absent: not touched.
        pub capabilities: Option<Capabilities>,
        /// `loopback` if the network namespace is new.
        pub networks: Vec<Network>,
        /// Paths, driver and limits. runc crashes on a state without.
        pub cgroups: Cgroup = always,
        /// Written by libcontainer's other users; runc's command line does not.
        pub apparmor_profile: String,
        /// SELinux label of the process.
        pub process_label: String,
        /// As `apparmor_profile`.
        pub rlimits: Vec<Rlimit>,
        /// Absent: inherited.
        pub oom_score_adj: Option<i32>,
        /// Of the user namespace.
        pub uid_mappings: Vec<IdMap>,
        /// Of the user namespace.
        pub gid_mappings: Vec<IdMap>,
        /// Absolute paths inside.
        pub mask_paths: Vec<String>,
        /// Absolute paths inside.
        pub readonly_paths: Vec<String>,
        /// With dots.
        pub sysctl: BTreeMap<String, String>,
        /// System call filter.
        pub seccomp: Option<Seccomp>,
        /// prctl(PR_SET_NO_NEW_PRIVS).
        pub no_new_privileges: bool,
        /// By the moment at which they run.
        pub Hooks: Hooks,
        /// Version of the runtime-spec.
        pub version: String,
        /// `key=value`: annotations, and `bundle` last.
        pub labels: Vec<String>,
        /// `--no-new-keyring`.
        pub no_new_keyring: bool,
        /// resctrl.
        pub intel_rdt: Option<IntelRdt>,
        /// Effective user not root.
        pub rootless_euid: bool,
        /// Errors of cgroups are to be ignored.
        pub rootless_cgroups: bool,
        /// set_mempolicy(2).
        pub memory_policy: Option<MemoryPolicy>,
        /// Clock -> offset.
        pub time_offsets: BTreeMap<String, TimeOffset>,
        /// sched_setattr(2).
        pub scheduler: Option<crate::spec::Scheduler>,
        /// personality(2).
        pub personality: Option<Personality>,
        /// ioprio_set(2).
        pub io_priority: Option<crate::spec::IoPriority>,
        /// Of exec'd processes.
        pub exec_cpu_affinity: Option<ExecCpuAffinity>,
    }
}

object! {
    /// A mount, its options decoded.
    pub struct Mount {
        /// Absolute for binds.
        pub source: String,
        /// As in config.json.
        pub destination: String,
        /// Filesystem type; `bind` for binds.
        pub device: String,
        /// `MS_*` that were asked for.
        pub flags: u64,
        /// `MS_*` that were asked to be off.
        pub cleared_flags: u64,
        /// `MS_*` propagation, in the order in which they are applied.
        pub propagation_flags: Vec<u64>,
        /// The filesystem's own options.
        pub data: String,
        /// SELinux relabelling; runc 1.1 writes it, always empty.
        pub relabel: String,
        /// Argument of mount_setattr(AT_RECURSIVE).
        pub rec_attr: Option<MountAttr>,
        /// 1: `tmpcopyup`.
        pub extensions: u64,
        /// Id-mapped mount.
        pub id_mapping: Option<MountIdMapping>,
    }
}

object! {
    /// struct mount_attr, with the names that Go gave it.
    pub struct MountAttr {
        /// `MOUNT_ATTR_*` to set.
        pub Attr_set: u64,
        /// `MOUNT_ATTR_*` to clear.
        pub Attr_clr: u64,
        /// `MS_*`.
        pub Propagation: u64,
        /// Unused.
        pub Userns_fd: u64,
    }
}

object! {
    /// Which ids an id-mapped mount maps. No mapping at all: those of the container's user namespace.
    pub struct MountIdMapping {
        /// `ridmap`.
        pub recursive: bool,
        /// A user namespace to take the mappings from.
        pub userns_path: String,
        /// User ids.
        pub uid_mappings: Vec<IdMap>,
        /// Group ids.
        pub gid_mappings: Vec<IdMap>,
    }
}

object! {
    /// A device node.
    pub struct Device {
        /// ASCII code: 97 `a`, 98 `b`, 99 `c`, 112 `p`.
        #[serde(rename = "type")]
        pub kind: u32,
        /// Major number.
        pub major: i64,
        /// Minor number.
        pub minor: i64,
        /// Of the default devices `rwm`, else empty: access is the cgroup rules' business.
        pub permissions: String,
        /// Goes with `permissions`.
        pub allow: bool,
        /// Path in the container.
        pub path: String,
        /// Permission bits.
        pub file_mode: u32,
        /// On the host.
        pub uid: u32,
        /// On the host.
        pub gid: u32,
    }
}

object! {
    /// A network device that was moved in.
    pub struct NetDevice {
        /// Its name there; empty: the same.
        pub name: String,
    }
}

object! {
    /// A namespace.
    pub struct Namespace {
        /// `NEWNET`, `NEWPID`, `NEWNS`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWCGROUP`, `NEWTIME`.
        #[serde(rename = "type")]
        pub kind: String,
        /// Empty: a new one.
        pub path: String,
    }
}

object! {
    /// The five sets; names of `CAP_*`.
    pub struct Capabilities {
        /// Bounding set.
        pub Bounding: Vec<String>,
        /// Effective set.
        pub Effective: Vec<String>,
        /// Inheritable set.
        pub Inheritable: Vec<String>,
        /// Permitted set.
        pub Permitted: Vec<String>,
        /// Ambient set.
        pub Ambient: Vec<String>,
    }
}

object! {
    /// A network to set up. Only `loopback` is in use.
    pub struct Network {
        /// `loopback`.
        #[serde(rename = "type")]
        pub kind: String,
    }
}

object! {
    /// A resource limit.
    pub struct Rlimit {
        /// `RLIMIT_*` as a number.
        #[serde(rename = "type")]
        pub kind: i32,
        /// Hard limit.
        pub hard: u64,
        /// Soft limit.
        pub soft: u64,
    }
}

object! {
    /// A range of ids.
    pub struct IdMap {
        /// First id in the container.
        pub container_id: i64,
        /// First id on the host.
        pub host_id: i64,
        /// How many.
        pub size: i64,
    }
}

object! {
    /// The hooks.
    pub struct Hooks {
        /// Runtime's namespaces, before `createRuntime`.
        pub prestart: Vec<Hook>,
        /// Runtime's namespaces, after the mounts.
        pub createRuntime: Vec<Hook>,
        /// Container's namespaces, before pivot_root.
        pub createContainer: Vec<Hook>,
        /// Container's namespaces, before the user's program.
        pub startContainer: Vec<Hook>,
        /// Runtime's namespaces, by `start`.
        pub poststart: Vec<Hook>,
        /// Runtime's namespaces, by `delete`.
        pub poststop: Vec<Hook>,
    }
}

object! {
    /// One program to run.
    pub struct Hook {
        /// Absolute.
        pub path: String,
        /// With `argv[0]`.
        pub args: Vec<String>,
        /// Absent: the runtime's environment; empty: an empty one.
        pub env: Option<Vec<String>>,
        /// Working directory; the command line never sets it.
        pub dir: String,
        /// Nanoseconds.
        pub timeout: Option<i64>,
    }
}

object! {
    /// resctrl.
    pub struct IntelRdt {
        /// Group.
        pub closID: String,
        /// Lines.
        pub schemata: Vec<String>,
        /// `L3:...`.
        pub l3_cache_schema: String,
        /// `MB:...`.
        pub memBwSchema: String,
        /// Monitoring group of its own.
        pub enableMonitoring: bool,
    }
}

object! {
    /// set_mempolicy(2).
    pub struct MemoryPolicy {
        /// `MPOL_*`.
        pub mode: u32,
        /// `MPOL_F_*`.
        pub flags: u32,
        /// A mask in 64-bit words.
        pub nodes: Vec<u64>,
    }
}

object! {
    /// What is added to a clock.
    pub struct TimeOffset {
        /// Seconds.
        pub secs: i64,
        /// Nanoseconds.
        pub nanosecs: u32,
    }
}

object! {
    /// personality(2).
    pub struct Personality {
        /// 0 `LINUX`, 8 `LINUX32`.
        pub domain: u32,
    }
}

object! {
    /// sched_setaffinity(2) of an exec'd process: masks in 64-bit words.
    pub struct ExecCpuAffinity {
        /// Before it enters the cgroup.
        pub Initial: Option<Vec<u64>>,
        /// After that.
        pub Final: Option<Vec<u64>>,
    }
}
