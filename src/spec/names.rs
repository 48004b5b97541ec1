//! The names of config.json and the kernel's numbers for them: one table per enumeration, from which the features
//! document is made too. Must not know which field a name comes from.

use libc::c_int;

/// One kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamespaceKind {
    /// In config.json.
    pub name: &'static str,
    /// In libcontainer's state.json.
    pub libcontainer: &'static str,
    /// Below /proc/PID/ns.
    pub file: &'static str,
    /// Flag of clone(2), unshare(2) and setns(2).
    pub clone_flag: c_int,
}

const fn kind(name: &'static str, libcontainer: &'static str, file: &'static str, clone_flag: c_int) -> NamespaceKind {
    NamespaceKind { name, libcontainer, file, clone_flag }
}

/// Sorted by name.
pub const NAMESPACES: &[NamespaceKind] = &[
    kind("cgroup", "NEWCGROUP", "cgroup", libc::CLONE_NEWCGROUP),
    kind("ipc", "NEWIPC", "ipc", libc::CLONE_NEWIPC),
    kind("mount", "NEWNS", "mnt", libc::CLONE_NEWNS),
    kind("network", "NEWNET", "net", libc::CLONE_NEWNET),
    kind("pid", "NEWPID", "pid", libc::CLONE_NEWPID),
    kind("time", "NEWTIME", "time", libc::CLONE_NEWTIME),
    kind("user", "NEWUSER", "user", libc::CLONE_NEWUSER),
    kind("uts", "NEWUTS", "uts", libc::CLONE_NEWUTS),
];

/// Looks a namespace up by its name in config.json.
pub fn namespace(name: &str) -> Option<&'static NamespaceKind> {
    NAMESPACES.iter().find(|k| k.name == name)
}

/// The number of a name in one of the tables below.
pub fn number<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
}

/// `RLIMIT_*`: the resource argument of prlimit(2), also the number in state.json.
#[allow(clippy::unnecessary_cast)] // u32 with glibc, int with musl
pub const RLIMITS: &[(&str, u32)] = &[
    ("RLIMIT_CPU", libc::RLIMIT_CPU as u32),
    ("RLIMIT_FSIZE", libc::RLIMIT_FSIZE as u32),
    ("RLIMIT_DATA", libc::RLIMIT_DATA as u32),
    ("RLIMIT_STACK", libc::RLIMIT_STACK as u32),
    ("RLIMIT_CORE", libc::RLIMIT_CORE as u32),
    ("RLIMIT_RSS", libc::RLIMIT_RSS as u32),
    ("RLIMIT_NPROC", libc::RLIMIT_NPROC as u32),
    ("RLIMIT_NOFILE", libc::RLIMIT_NOFILE as u32),
    ("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK as u32),
    ("RLIMIT_AS", libc::RLIMIT_AS as u32),
    ("RLIMIT_LOCKS", libc::RLIMIT_LOCKS as u32),
    ("RLIMIT_SIGPENDING", libc::RLIMIT_SIGPENDING as u32),
    ("RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE as u32),
    ("RLIMIT_NICE", libc::RLIMIT_NICE as u32),
    ("RLIMIT_RTPRIO", libc::RLIMIT_RTPRIO as u32),
    ("RLIMIT_RTTIME", libc::RLIMIT_RTTIME as u32),
];

/// Policies of sched_setattr(2). SCHED_ISO is reserved in the kernel and fails there.
pub const SCHED_POLICIES: &[(&str, u32)] = &[
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

/// Flags of sched_setattr(2).
pub const SCHED_FLAGS: &[(&str, u64)] = &[
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// Classes of ioprio_set(2); the value is `class << 13 | priority`.
pub const IOPRIO_CLASSES: &[(&str, u32)] = &[("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];

/// Modes of set_mempolicy(2), sorted by name.
pub const MPOL_MODES: &[(&str, u32)] = &[
    ("MPOL_BIND", 2),
    ("MPOL_DEFAULT", 0),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_LOCAL", 4),
    ("MPOL_PREFERRED", 1),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
];

/// Flags of set_mempolicy(2), or-ed into the mode, sorted by name.
pub const MPOL_FLAGS: &[(&str, u32)] =
    &[("MPOL_F_NUMA_BALANCING", 1 << 13), ("MPOL_F_RELATIVE_NODES", 1 << 14), ("MPOL_F_STATIC_NODES", 1 << 15)];

/// Domains of personality(2).
pub const PERSONALITIES: &[(&str, u32)] = &[("LINUX", 0x0000), ("LINUX32", 0x0008)];

/// Mount flags (MS_*) of `linux.rootfsPropagation`; absent (empty) leaves the kernel state to the runtime's default.
pub const PROPAGATIONS: &[(&str, u64)] = &[
    ("private", libc::MS_PRIVATE),
    ("rprivate", libc::MS_PRIVATE | libc::MS_REC),
    ("rshared", libc::MS_SHARED | libc::MS_REC),
    ("rslave", libc::MS_SLAVE | libc::MS_REC),
    ("runbindable", libc::MS_UNBINDABLE | libc::MS_REC),
    ("shared", libc::MS_SHARED),
    ("slave", libc::MS_SLAVE),
    ("unbindable", libc::MS_UNBINDABLE),
];

/// Actions of seccomp rules, sorted, with libcontainer's number in state.json.
pub const SECCOMP_ACTIONS: &[(&str, u32)] = &[
    ("SCMP_ACT_ALLOW", 4),
    ("SCMP_ACT_ERRNO", 2),
    ("SCMP_ACT_KILL", 1),
    ("SCMP_ACT_KILL_PROCESS", 9),
    ("SCMP_ACT_KILL_THREAD", 8),
    ("SCMP_ACT_LOG", 6),
    ("SCMP_ACT_NOTIFY", 7),
    ("SCMP_ACT_TRACE", 5),
    ("SCMP_ACT_TRAP", 3),
];

/// Operators of seccomp conditions, sorted, with libcontainer's number in state.json.
pub const SECCOMP_OPERATORS: &[(&str, u32)] = &[
    ("SCMP_CMP_EQ", 1),
    ("SCMP_CMP_GE", 4),
    ("SCMP_CMP_GT", 3),
    ("SCMP_CMP_LE", 6),
    ("SCMP_CMP_LT", 5),
    ("SCMP_CMP_MASKED_EQ", 7),
    ("SCMP_CMP_NE", 2),
];

/// Architectures of seccomp profiles, sorted, with libcontainer's name in state.json (none: libcontainer does not know
/// the architecture).
pub const SECCOMP_ARCHITECTURES: &[(&str, Option<&str>)] = &[
    ("SCMP_ARCH_AARCH64", Some("arm64")),
    ("SCMP_ARCH_ARM", Some("arm")),
    ("SCMP_ARCH_LOONGARCH64", Some("loong64")),
    ("SCMP_ARCH_M68K", None),
    ("SCMP_ARCH_MIPS", Some("mips")),
    ("SCMP_ARCH_MIPS64", Some("mips64")),
    ("SCMP_ARCH_MIPS64N32", Some("mips64n32")),
    ("SCMP_ARCH_MIPSEL", Some("mipsel")),
    ("SCMP_ARCH_MIPSEL64", Some("mipsel64")),
    ("SCMP_ARCH_MIPSEL64N32", Some("mipsel64n32")),
    ("SCMP_ARCH_PARISC", None),
    ("SCMP_ARCH_PARISC64", None),
    ("SCMP_ARCH_PPC", Some("ppc")),
    ("SCMP_ARCH_PPC64", Some("ppc64")),
    ("SCMP_ARCH_PPC64LE", Some("ppc64le")),
    ("SCMP_ARCH_RISCV64", Some("riscv64")),
    ("SCMP_ARCH_S390", Some("s390")),
    ("SCMP_ARCH_S390X", Some("s390x")),
    ("SCMP_ARCH_SH", None),
    ("SCMP_ARCH_SHEB", None),
    ("SCMP_ARCH_X32", Some("x32")),
    ("SCMP_ARCH_X86", Some("x86")),
    ("SCMP_ARCH_X86_64", Some("amd64")),
];

/// Flags of seccomp(2), in the order in which runc lists them.
pub const SECCOMP_FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 1 << 0),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", 1 << 2),
    ("SECCOMP_FILTER_FLAG_LOG", 1 << 1),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1 << 5),
];

/// The capabilities in the kernel's order: the index is the bit.
pub const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The bit of a capability. The name must be exact: `cap_chown` is as unknown as any misspelling.
pub fn capability(name: &str) -> Option<u8> {
    CAPABILITIES.iter().position(|n| *n == name).and_then(|bit| u8::try_from(bit).ok())
}

/// The set of the names that this kernel knows (`last` is /proc/sys/kernel/cap_last_cap). The others are left out, as
/// the specification asks; validation warns of them.
pub fn capability_set<S: AsRef<str>>(names: &[S], last: u8) -> u64 {
    names.iter().filter_map(|n| capability(n.as_ref())).filter(|bit| *bit <= last).fold(0, |set, bit| set | 1 << bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_the_numbers_of_the_kernel() {
        for (name, bit) in [
            ("CAP_CHOWN", 0),
            ("CAP_SETPCAP", 8),
            ("CAP_SYS_ADMIN", 21),
            ("CAP_AUDIT_WRITE", 29),
            ("CAP_SYSLOG", 34),
            ("CAP_CHECKPOINT_RESTORE", 40),
        ] {
            assert_eq!(capability(name), Some(bit), "{name}");
        }
        for cap in caps::all() {
            assert_eq!(capability(&cap.to_string()), Some(cap.index()), "{cap}");
        }
        assert_eq!(caps::all().len(), CAPABILITIES.len());
    }

    #[test]
    fn a_set_leaves_out_what_is_not_known() {
        assert_eq!(capability_set(&["CAP_KILL", "CAP_FUTURE", "cap_chown"], 40), 1 << 5);
        assert_eq!(capability_set(&["CAP_BPF", "CAP_CHOWN"], 38), 1);
    }

    #[test]
    fn tables_are_sorted_where_features_lists_them() {
        fn sorted<T: PartialOrd>(names: impl Iterator<Item = T>) -> bool {
            names.is_sorted()
        }
        assert!(sorted(NAMESPACES.iter().map(|n| n.name)));
        assert!(sorted(MPOL_MODES.iter().map(|n| n.0)));
        assert!(sorted(MPOL_FLAGS.iter().map(|n| n.0)));
        assert!(sorted(SECCOMP_ACTIONS.iter().map(|n| n.0)));
        assert!(sorted(SECCOMP_OPERATORS.iter().map(|n| n.0)));
        assert!(sorted(SECCOMP_ARCHITECTURES.iter().map(|n| n.0)));
        assert!(sorted(PROPAGATIONS.iter().map(|n| n.0)));
    }

    #[test]
    fn numbers_of_the_kernel() {
        assert_eq!(number(RLIMITS, "RLIMIT_NOFILE"), Some(7));
        assert_eq!(number(RLIMITS, "RLIMIT_RTTIME"), Some(15));
        assert_eq!(number(RLIMITS, "RLIMIT_FOO"), None);
        assert_eq!(namespace("time").map(|n| n.clone_flag), Some(0x80));
        assert_eq!(namespace("mount").map(|n| n.libcontainer), Some("NEWNS"));
        assert_eq!(number(SCHED_FLAGS, "SCHED_FLAG_DL_OVERRUN"), Some(libc::SCHED_FLAG_DL_OVERRUN as u64));
        assert_eq!(number(MPOL_FLAGS, "MPOL_F_STATIC_NODES"), Some(libc::MPOL_F_STATIC_NODES as u32));
        assert_eq!(number(&SECCOMP_FLAGS, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"), Some(4));
    }
}
