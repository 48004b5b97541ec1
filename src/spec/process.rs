//! The `process` object: of config.json, and alone as the process.json of `exec --process`. Data only.

use super::object::object;

object! {
    /// What runs, and as whom.
    pub struct Process {
        /// A pseudoterminal on the three standard streams.
        pub terminal: bool,
        /// Ignored without `terminal`.
        pub console_size: Option<ConsoleSize>,
        /// Absent is uid 0, gid 0 of the container, as with runc.
        pub user: User = required,
        /// At least one.
        pub args: Vec<String>,
        /// `NAME=value`; of duplicates the last one counts.
        pub env: Vec<String>,
        /// Absolute, inside the container.
        pub cwd: String = required,
        /// Absent: the capabilities are not touched; empty lists: all are dropped.
        pub capabilities: Option<Capabilities>,
        /// Limits that are not listed are inherited.
        pub rlimits: Vec<Rlimit>,
        /// prctl(PR_SET_NO_NEW_PRIVS).
        pub no_new_privileges: bool,
        /// Empty: no profile change.
        pub apparmor_profile: String,
        /// -1000..=1000; absent: inherited.
        pub oom_score_adj: Option<i32>,
        /// sched_setattr(2).
        pub scheduler: Option<Scheduler>,
        /// Empty: no label change.
        pub selinux_label: String,
        /// ioprio_set(2), for the process group.
        pub io_priority: Option<IoPriority>,
        /// Of exec'd processes only, never of init.
        #[serde(rename = "execCPUAffinity")]
        pub exec_cpu_affinity: Option<ExecCpuAffinity>,
    }
}

object! {
    /// Characters, not pixels.
    pub struct ConsoleSize {
        /// Rows.
        pub height: u64 = required,
        /// Columns.
        pub width: u64 = required,
    }
}

object! {
    /// Numeric ids in the container's user namespace. A name from the image's /etc/passwd is never looked up
    /// (CVE-2016-3697, CVE-2024-40635): what is not a u32 fails to parse.
    pub struct User {
        /// User id.
        pub uid: u32 = required,
        /// Primary group id.
        pub gid: u32 = required,
        /// Absent: 022 for init.
        pub umask: Option<u32>,
        /// Supplementary groups.
        pub additional_gids: Vec<u32>,
        /// Windows only; never used.
        pub username: String,
    }
}

object! {
    /// `CAP_*` names; unknown ones are warned of and ignored, as the specification asks.
    pub struct Capabilities {
        /// Bounding set.
        pub bounding: Vec<String>,
        /// Effective set.
        pub effective: Vec<String>,
        /// Inheritable set. Absent and empty differ for `exec --cap`, which adds to ambient only if the list is there.
        pub inheritable: Option<Vec<String>>,
        /// Permitted set.
        pub permitted: Vec<String>,
        /// Ambient set.
        pub ambient: Vec<String>,
    }
}

object! {
    /// One resource limit; 2^64-1 is unlimited.
    pub struct Rlimit {
        /// `RLIMIT_*`.
        #[serde(rename = "type")]
        pub kind: String = required,
        /// Hard limit.
        pub hard: u64 = required,
        /// Soft limit.
        pub soft: u64 = required,
    }
}

object! {
    /// sched_setattr(2).
    pub struct Scheduler {
        /// `SCHED_*`.
        pub policy: String = required,
        /// -20..=19, of SCHED_OTHER and SCHED_BATCH.
        pub nice: i32,
        /// Static priority, of SCHED_FIFO and SCHED_RR.
        pub priority: i32,
        /// `SCHED_FLAG_*`.
        pub flags: Vec<String>,
        /// Nanoseconds, of SCHED_DEADLINE.
        pub runtime: u64,
        /// Nanoseconds, of SCHED_DEADLINE.
        pub deadline: u64,
        /// Nanoseconds, of SCHED_DEADLINE.
        pub period: u64,
    }
}

object! {
    /// ioprio_set(2).
    pub struct IoPriority {
        /// `IOPRIO_CLASS_*`.
        pub class: String = required,
        /// 0 (highest) to 7.
        pub priority: i32 = required,
    }
}

object! {
    /// CPU lists (`0-3,7`) for an exec'd process; empty: not set.
    pub struct ExecCpuAffinity {
        /// Before it enters the container's cgroup.
        pub initial: String,
        /// After that.
        #[serde(rename = "final")]
        pub last: String,
    }
}
