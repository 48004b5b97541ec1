//! Sets of kernel flags, with the kernel's numbers. As text they are the names that mount(8), unshare(1) and
//! capabilities(7) use.

use core::fmt;

macro_rules! flag_sets {
    ($($(#[$doc:meta])* $set:ident { $($(#[$fdoc:meta])* $name:ident = $value:expr => $text:literal),* $(,)? })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Default)]
        pub struct $set(pub u64);

        impl $set {
            $($(#[$fdoc])* pub const $name: $set = $set($value);)*

            /// No flag.
            pub const fn none() -> $set {
                $set(0)
            }
            /// True if no flag is set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }
            /// True if all of `other`'s flags are set.
            pub const fn contains(self, other: $set) -> bool {
                self.0 & other.0 == other.0
            }
            /// The flags of both.
            #[must_use]
            pub const fn with(self, other: $set) -> $set {
                $set(self.0 | other.0)
            }
            /// The flags that both have.
            #[must_use]
            pub const fn and(self, other: $set) -> $set {
                $set(self.0 & other.0)
            }
            /// The flags that `other` does not have.
            #[must_use]
            pub const fn without(self, other: $set) -> $set {
                $set(self.0 & !other.0)
            }
        }

        impl fmt::Display for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut rest = self.0;
                let mut comma = "";
                for (value, text) in [$(($value, $text)),*] {
                    let value: u64 = value;
                    if value != 0 && rest & value == value {
                        write!(f, "{comma}{text}")?;
                        rest &= !value;
                        comma = ",";
                    }
                }
                if rest != 0 { write!(f, "{comma}{rest:#x}") } else if comma.is_empty() { f.write_str("-") } else { Ok(()) }
            }
        }

        impl fmt::Debug for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl crate::wire::Get<'_> for $set {
            fn get(from: &mut crate::wire::Reader<'_>) -> Option<Self> {
                u64::get(from).map($set)
            }
        }

        #[cfg(feature = "owned")]
        impl crate::wire::Put for $set {
            fn put(&self, to: &mut Vec<u8>) {
                self.0.put(to);
            }
        }
    )* };
}

flag_sets! {
    /// `MS_*` of mount(2).
    MountFlags {
        /// MS_REC with MS_SLAVE and the like, and with MS_BIND.
        REC = 0x4000 => "rec",
        /// MS_BIND
        BIND = 0x1000 => "bind",
        /// MS_MOVE
        MOVE = 0x2000 => "move",
        /// MS_REMOUNT
        REMOUNT = 0x20 => "remount",
        /// MS_RDONLY
        RDONLY = 1 => "ro",
        /// MS_NOSUID
        NOSUID = 2 => "nosuid",
        /// MS_NODEV
        NODEV = 4 => "nodev",
        /// MS_NOEXEC
        NOEXEC = 8 => "noexec",
        /// MS_SYNCHRONOUS
        SYNCHRONOUS = 0x10 => "sync",
        /// MS_MANDLOCK
        MANDLOCK = 0x40 => "mand",
        /// MS_DIRSYNC
        DIRSYNC = 0x80 => "dirsync",
        /// MS_NOSYMFOLLOW
        NOSYMFOLLOW = 0x100 => "nosymfollow",
        /// MS_NOATIME
        NOATIME = 0x400 => "noatime",
        /// MS_NODIRATIME
        NODIRATIME = 0x800 => "nodiratime",
        /// MS_SILENT
        SILENT = 0x8000 => "silent",
        /// MS_UNBINDABLE
        UNBINDABLE = 0x2_0000 => "unbindable",
        /// MS_PRIVATE
        PRIVATE = 0x4_0000 => "private",
        /// MS_SLAVE
        SLAVE = 0x8_0000 => "slave",
        /// MS_SHARED
        SHARED = 0x10_0000 => "shared",
        /// MS_RELATIME
        RELATIME = 0x20_0000 => "relatime",
        /// MS_I_VERSION
        I_VERSION = 0x80_0000 => "iversion",
        /// MS_STRICTATIME
        STRICTATIME = 0x100_0000 => "strictatime",
        /// MS_LAZYTIME
        LAZYTIME = 0x200_0000 => "lazytime",
    }
    /// `LANDLOCK_ACCESS_FS_*` of landlock(7).
    FileAccess {
        /// LANDLOCK_ACCESS_FS_EXECUTE
        EXECUTE = 1 => "execute",
        /// LANDLOCK_ACCESS_FS_WRITE_FILE
        WRITE_FILE = 1 << 1 => "write-file",
        /// LANDLOCK_ACCESS_FS_READ_FILE
        READ_FILE = 1 << 2 => "read-file",
        /// LANDLOCK_ACCESS_FS_READ_DIR
        READ_DIR = 1 << 3 => "read-dir",
        /// LANDLOCK_ACCESS_FS_REMOVE_DIR
        REMOVE_DIR = 1 << 4 => "remove-dir",
        /// LANDLOCK_ACCESS_FS_REMOVE_FILE
        REMOVE_FILE = 1 << 5 => "remove-file",
        /// LANDLOCK_ACCESS_FS_MAKE_CHAR
        MAKE_CHAR = 1 << 6 => "make-char",
        /// LANDLOCK_ACCESS_FS_MAKE_DIR
        MAKE_DIR = 1 << 7 => "make-dir",
        /// LANDLOCK_ACCESS_FS_MAKE_REG
        MAKE_REG = 1 << 8 => "make-reg",
        /// LANDLOCK_ACCESS_FS_MAKE_SOCK
        MAKE_SOCK = 1 << 9 => "make-sock",
        /// LANDLOCK_ACCESS_FS_MAKE_FIFO
        MAKE_FIFO = 1 << 10 => "make-fifo",
        /// LANDLOCK_ACCESS_FS_MAKE_BLOCK
        MAKE_BLOCK = 1 << 11 => "make-block",
        /// LANDLOCK_ACCESS_FS_MAKE_SYM
        MAKE_SYM = 1 << 12 => "make-sym",
        /// LANDLOCK_ACCESS_FS_REFER, ABI 2
        REFER = 1 << 13 => "refer",
        /// LANDLOCK_ACCESS_FS_TRUNCATE, ABI 3
        TRUNCATE = 1 << 14 => "truncate",
        /// LANDLOCK_ACCESS_FS_IOCTL_DEV, ABI 5
        IOCTL_DEV = 1 << 15 => "ioctl-dev",
    }
    /// `MOUNT_ATTR_*` of mount_setattr(2).
    Attr {
        /// MOUNT_ATTR_RDONLY
        RDONLY = 1 => "ro",
        /// MOUNT_ATTR_NOSUID
        NOSUID = 2 => "nosuid",
        /// MOUNT_ATTR_NODEV
        NODEV = 4 => "nodev",
        /// MOUNT_ATTR_NOEXEC
        NOEXEC = 8 => "noexec",
        /// MOUNT_ATTR__ATIME, the whole field
        ATIME = 0x70 => "atime-field",
        /// MOUNT_ATTR_NOATIME
        NOATIME = 0x10 => "noatime",
        /// MOUNT_ATTR_STRICTATIME
        STRICTATIME = 0x20 => "strictatime",
        /// MOUNT_ATTR_NODIRATIME
        NODIRATIME = 0x80 => "nodiratime",
        /// MOUNT_ATTR_IDMAP
        IDMAP = 0x10_0000 => "idmap",
        /// MOUNT_ATTR_NOSYMFOLLOW
        NOSYMFOLLOW = 0x20_0000 => "nosymfollow",
    }
    /// `CLONE_NEW*` of namespaces(7).
    Namespaces {
        /// CLONE_NEWTIME
        TIME = 0x80 => "time",
        /// CLONE_NEWNS
        MOUNT = 0x2_0000 => "mount",
        /// CLONE_NEWCGROUP
        CGROUP = 0x200_0000 => "cgroup",
        /// CLONE_NEWUTS
        UTS = 0x400_0000 => "uts",
        /// CLONE_NEWIPC
        IPC = 0x800_0000 => "ipc",
        /// CLONE_NEWUSER
        USER = 0x1000_0000 => "user",
        /// CLONE_NEWPID
        PID = 0x2000_0000 => "pid",
        /// CLONE_NEWNET
        NET = 0x4000_0000 => "network",
    }
    /// A set of capabilities: bit `1 << CAP_*` of capabilities(7).
    Caps {
        /// All that 64 bits can name.
        ALL = u64::MAX => "all",
        /// CAP_CHOWN
        CHOWN = 1 => "chown",
        /// CAP_DAC_OVERRIDE
        DAC_OVERRIDE = 1 << 1 => "dac_override",
        /// CAP_DAC_READ_SEARCH
        DAC_READ_SEARCH = 1 << 2 => "dac_read_search",
        /// CAP_FOWNER
        FOWNER = 1 << 3 => "fowner",
        /// CAP_FSETID
        FSETID = 1 << 4 => "fsetid",
        /// CAP_KILL
        KILL = 1 << 5 => "kill",
        /// CAP_SETGID
        SETGID = 1 << 6 => "setgid",
        /// CAP_SETUID
        SETUID = 1 << 7 => "setuid",
        /// CAP_SETPCAP
        SETPCAP = 1 << 8 => "setpcap",
        /// CAP_LINUX_IMMUTABLE
        LINUX_IMMUTABLE = 1 << 9 => "linux_immutable",
        /// CAP_NET_BIND_SERVICE
        NET_BIND_SERVICE = 1 << 10 => "net_bind_service",
        /// CAP_NET_BROADCAST
        NET_BROADCAST = 1 << 11 => "net_broadcast",
        /// CAP_NET_ADMIN
        NET_ADMIN = 1 << 12 => "net_admin",
        /// CAP_NET_RAW
        NET_RAW = 1 << 13 => "net_raw",
        /// CAP_IPC_LOCK
        IPC_LOCK = 1 << 14 => "ipc_lock",
        /// CAP_IPC_OWNER
        IPC_OWNER = 1 << 15 => "ipc_owner",
        /// CAP_SYS_MODULE
        SYS_MODULE = 1 << 16 => "sys_module",
        /// CAP_SYS_RAWIO
        SYS_RAWIO = 1 << 17 => "sys_rawio",
        /// CAP_SYS_CHROOT
        SYS_CHROOT = 1 << 18 => "sys_chroot",
        /// CAP_SYS_PTRACE
        SYS_PTRACE = 1 << 19 => "sys_ptrace",
        /// CAP_SYS_PACCT
        SYS_PACCT = 1 << 20 => "sys_pacct",
        /// CAP_SYS_ADMIN
        SYS_ADMIN = 1 << 21 => "sys_admin",
        /// CAP_SYS_BOOT
        SYS_BOOT = 1 << 22 => "sys_boot",
        /// CAP_SYS_NICE
        SYS_NICE = 1 << 23 => "sys_nice",
        /// CAP_SYS_RESOURCE
        SYS_RESOURCE = 1 << 24 => "sys_resource",
        /// CAP_SYS_TIME
        SYS_TIME = 1 << 25 => "sys_time",
        /// CAP_SYS_TTY_CONFIG
        SYS_TTY_CONFIG = 1 << 26 => "sys_tty_config",
        /// CAP_MKNOD
        MKNOD = 1 << 27 => "mknod",
        /// CAP_LEASE
        LEASE = 1 << 28 => "lease",
        /// CAP_AUDIT_WRITE
        AUDIT_WRITE = 1 << 29 => "audit_write",
        /// CAP_AUDIT_CONTROL
        AUDIT_CONTROL = 1 << 30 => "audit_control",
        /// CAP_SETFCAP
        SETFCAP = 1 << 31 => "setfcap",
        /// CAP_MAC_OVERRIDE
        MAC_OVERRIDE = 1 << 32 => "mac_override",
        /// CAP_MAC_ADMIN
        MAC_ADMIN = 1 << 33 => "mac_admin",
        /// CAP_SYSLOG
        SYSLOG = 1 << 34 => "syslog",
        /// CAP_WAKE_ALARM
        WAKE_ALARM = 1 << 35 => "wake_alarm",
        /// CAP_BLOCK_SUSPEND
        BLOCK_SUSPEND = 1 << 36 => "block_suspend",
        /// CAP_AUDIT_READ
        AUDIT_READ = 1 << 37 => "audit_read",
        /// CAP_PERFMON
        PERFMON = 1 << 38 => "perfmon",
        /// CAP_BPF
        BPF = 1 << 39 => "bpf",
        /// CAP_CHECKPOINT_RESTORE
        CHECKPOINT_RESTORE = 1 << 40 => "checkpoint_restore",
    }
}
