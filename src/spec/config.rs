//! The top of config.json and its sections that are the same on every platform. Data only: what a value means and
//! whether it may be so is `validate`'s business.

use std::collections::BTreeMap;

use super::linux::{IdMapping, Linux};
use super::object::object;
use super::process::Process;

object! {
    /// A whole config.json (config.md). Sections for other platforms are ignored, like every unknown key.
    pub struct Spec {
        /// SemVer; only told back in state and hooks, never a reason to refuse.
        pub oci_version: String = required,
        /// Required to start; absent is refused by `validate`.
        pub process: Option<Process>,
        /// Required on Linux.
        pub root: Option<Root>,
        /// Needs a uts namespace.
        pub hostname: String,
        /// Needs a uts namespace.
        pub domainname: String,
        /// In the order in which they are mounted.
        pub mounts: Vec<Mount>,
        /// Absent and empty are the same.
        pub hooks: Option<Hooks>,
        /// Untrusted: image labels may flow into them (CVE-2026-53488).
        pub annotations: BTreeMap<String, String>,
        /// Absent: no namespaces, the default devices only.
        pub linux: Option<Linux>,
    }
}

object! {
    /// The root filesystem.
    pub struct Root {
        /// Absolute, or relative to the bundle.
        pub path: String = required,
        /// Remounted read-only at the end.
        pub readonly: bool,
    }
}

object! {
    /// One mount. It is a bind mount if `bind` or `rbind` is among the options, whatever `type` says.
    pub struct Mount {
        /// Inside the container; relative is deprecated and read as relative to `/`.
        pub destination: String = required,
        /// Filesystem type; a dummy for binds.
        #[serde(rename = "type")]
        pub kind: String,
        /// Device, or the path to bind (relative to the bundle).
        pub source: String,
        /// As typed; `mount_options::parse` reads them.
        pub options: Vec<String>,
        /// For an id-mapped mount; both kinds or none.
        pub uid_mappings: Vec<IdMapping>,
        /// For an id-mapped mount; both kinds or none.
        pub gid_mappings: Vec<IdMapping>,
    }
}

object! {
    /// The hooks, by the moment at which they run (config.md, "POSIX-platform Hooks").
    pub struct Hooks {
        /// Deprecated, still used by GPU runtimes: runtime's namespaces, before `createRuntime`.
        pub prestart: Vec<Hook>,
        /// Runtime's namespaces, after the mounts, before pivot_root.
        pub create_runtime: Vec<Hook>,
        /// Container's namespaces, before pivot_root.
        pub create_container: Vec<Hook>,
        /// Container's namespaces and root, before the user's program.
        pub start_container: Vec<Hook>,
        /// Runtime's namespaces, after the user's program was started.
        pub poststart: Vec<Hook>,
        /// Runtime's namespaces, after the container was deleted.
        pub poststop: Vec<Hook>,
    }
}

object! {
    /// One program to run.
    pub struct Hook {
        /// Absolute.
        pub path: String = required,
        /// With `argv[0]`.
        pub args: Vec<String>,
        /// Absent: the runtime's own environment; empty: an empty one.
        pub env: Option<Vec<String>>,
        /// Seconds, greater than zero.
        pub timeout: Option<i64>,
    }
}
