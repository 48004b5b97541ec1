//! What a plan may know of the host. Gathered once by `launch`; made up by tests.

use std::collections::BTreeMap;

use crate::cgroup::host::Version;
use crate::cgroup::{Host, systemd};

/// The host, as far as plans depend on it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Our effective user id.
    pub euid: u32,
    /// Whether we are in a user namespace ourselves: no mknod, no privilege over the host.
    pub in_user_namespace: bool,
    /// It does not let us set groups (user_namespaces(7), /proc/self/setgroups), nor any namespace below it.
    pub setgroups_denied: bool,
    /// The capabilities that we have and can give, as bits.
    pub capabilities: u64,
    /// The highest capability of the kernel.
    pub last_capability: u8,
    /// The hierarchies of control groups.
    pub cgroups: Host,
    /// The container's cgroup, as `cgroup_paths` of the state file. Empty: it gets none (rootless).
    pub cgroup_paths: BTreeMap<String, String>,
    /// Where resctrl is mounted, if config.json has `intelRdt`.
    pub resctrl: Option<String>,
    /// systemd, if it is to make the cgroup (`--systemd-cgroup`).
    pub systemd: Option<systemd::Facts>,
    /// Full procfs and sysfs mounts outside of the container, which `--no-pivot` would leave reachable.
    pub proc_mounts: Vec<String>,
    /// Which of our descriptors 0-2 are the null device, as bits.
    pub stdio_null: u32,
    /// `SECCOMP_FILTER_FLAG_*` that this kernel knows.
    pub seccomp_flags: u64,
    /// The version of the kernel's Landlock, 0 for none, if the annotation asks for it.
    pub landlock: u32,
}

impl Facts {
    /// True if the child starts inside the cgroup of the unified hierarchy (`CLONE_INTO_CGROUP`).
    pub fn clones_into_cgroup(&self) -> bool {
        self.cgroup_paths.contains_key("")
    }

    /// How many cgroups of version 1 the child has to enter.
    pub fn v1_hierarchies(&self) -> usize {
        let has = |h: &&crate::cgroup::host::Hierarchy| h.keys.iter().any(|k| self.cgroup_paths.contains_key(k));
        self.cgroups.hierarchies.iter().filter(|h| h.version == Version::V1).filter(has).count()
    }
}
