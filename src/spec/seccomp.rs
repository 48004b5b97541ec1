//! `linux.seccomp`. Data only; the module `seccomp` compiles it. Names of actions, architectures, operators, flags and
//! system calls are kept as text: the compiler knows which of them are errors and which are skipped.

use super::object::object;

object! {
    /// A system call filter.
    pub struct Seccomp {
        /// `SCMP_ACT_*`.
        pub default_action: String = required,
        /// Absent: EPERM.
        pub default_errno_ret: Option<u32>,
        /// `SCMP_ARCH_*`, in addition to the native one.
        pub architectures: Vec<String>,
        /// `SECCOMP_FILTER_FLAG_*`. Absent: runc's default (SPEC_ALLOW); empty: none.
        pub flags: Option<Vec<String>>,
        /// Socket of the agent of `SCMP_ACT_NOTIFY`.
        pub listener_path: String,
        /// Text for that agent.
        pub listener_metadata: String,
        /// The rules.
        pub syscalls: Vec<Syscall>,
    }
}

object! {
    /// One action for some calls.
    pub struct Syscall {
        /// Unknown names are skipped.
        pub names: Vec<String> = required,
        /// `SCMP_ACT_*`.
        pub action: String = required,
        /// Absent: EPERM.
        pub errno_ret: Option<u32>,
        /// All must match.
        pub args: Vec<Arg>,
    }
}

object! {
    /// A condition on one argument.
    pub struct Arg {
        /// 0..=5.
        pub index: u32 = required,
        /// What it is compared with; the mask of `SCMP_CMP_MASKED_EQ`.
        pub value: u64 = required,
        /// What the masked argument is compared with.
        pub value_two: u64,
        /// `SCMP_CMP_*`.
        pub op: String = required,
    }
}
