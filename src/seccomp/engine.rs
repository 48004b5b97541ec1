//! Profiles as engines have them (`/etc/docker/seccomp.json`, `/usr/share/containers/seccomp.json`): those of config.json, and
//! rules that hold only for some architectures, capabilities and kernels. An engine decides these for each container and writes
//! the rest to config.json; here it is done only to show somebody such a profile.

use super::Arch;
use crate::error::{Error, Result};
use crate::spec::names::SECCOMP_ARCHITECTURES;
use crate::spec::object::object;
use crate::spec::{Arg, Seccomp, Syscall};

/// What Docker gives to a container of which nobody says otherwise.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

object! {
    /// The file. Without any of an engine's own fields it is `linux.seccomp` of config.json.
    pub struct Profile {
        /// As in config.json.
        pub default_action: String,
        /// As in config.json.
        pub default_errno_ret: Option<u32>,
        /// As in config.json.
        pub architectures: Vec<String>,
        /// Instead of `architectures`: by the architecture of the host.
        pub arch_map: Vec<ArchMap>,
        /// As in config.json.
        pub flags: Option<Vec<String>>,
        /// As in config.json.
        pub listener_path: String,
        /// As in config.json.
        pub listener_metadata: String,
        /// The rules.
        pub syscalls: Vec<Rule>,
    }
}

object! {
    /// Architectures of a host.
    pub struct ArchMap {
        /// The host's.
        pub architecture: String,
        /// What else it runs.
        pub sub_architectures: Vec<String>,
    }
}

object! {
    /// One action for some calls, in some containers.
    pub struct Rule {
        /// As in config.json.
        pub names: Vec<String>,
        /// One more; an older spelling.
        pub name: String,
        /// As in config.json.
        pub action: String,
        /// As in config.json.
        pub errno_ret: Option<u32>,
        /// The name of that number.
        pub errno: String,
        /// As in config.json.
        pub args: Vec<Arg>,
        /// The rule holds only where all of this does.
        pub includes: Filter,
        /// The rule does not hold where any of this does.
        pub excludes: Filter,
    }
}

object! {
    /// For which containers.
    pub struct Filter {
        /// As Go names them.
        pub arches: Vec<String>,
        /// `CAP_*`
        pub caps: Vec<String>,
        /// `major.minor`
        pub min_kernel: String,
    }
}

/// What an engine knows of a container.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Of the host.
    pub native: &'static Arch,
    /// `CAP_*` in the bounding set.
    pub capabilities: &'a [String],
    /// major, minor
    pub kernel: (u32, u32),
}

impl Profile {
    /// Whether some rule depends on the capabilities of the container.
    pub fn asks_for_capabilities(&self) -> bool {
        self.syscalls.iter().any(|rule| !rule.includes.caps.is_empty() || !rule.excludes.caps.is_empty())
    }

    /// What an engine would write to config.json.
    ///
    /// # Errors
    /// What engines refuse, too: both ways to name architectures, or calls; a kernel version that is none. And an errno by name
    /// only, which is not understood.
    pub fn resolve(self, of: &Circumstances<'_>) -> Result<Seccomp> {
        let mut architectures = self.architectures;
        if !self.arch_map.is_empty() {
            if !architectures.is_empty() {
                return Err(Error::new("archMap and architectures exclude each other").field("/archMap"));
            }
            for map in self.arch_map.into_iter().filter(|map| map.architecture == of.native.name) {
                architectures.push(map.architecture);
                architectures.extend(map.sub_architectures);
            }
        }
        let mut syscalls = Vec::with_capacity(self.syscalls.len());
        for (i, rule) in self.syscalls.into_iter().enumerate() {
            let refuse = |why: &str, field: &str| Error::new(why).field(format!("/syscalls/{i}/{field}"));
            if !rule.errno.is_empty() && rule.errno_ret.is_none() {
                return Err(refuse("an errno by its name alone: errnoRet is needed", "errno"));
            }
            let mut names = rule.names;
            match (names.is_empty(), rule.name.is_empty()) {
                (_, true) => {}
                (true, false) => names.push(rule.name),
                (false, false) => return Err(refuse("name and names exclude each other", "name")),
            }
            let newer = |filter: &Filter, field| {
                filter.is_reached(of.kernel).ok_or_else(|| refuse("minKernel is not of the form 4.8", field))
            };
            let excluded = rule.excludes.has_arch(of)
                || rule.excludes.any_cap(of)
                || newer(&rule.excludes, "excludes")? == Some(true);
            let included = (rule.includes.arches.is_empty() || rule.includes.has_arch(of))
                && rule.includes.caps.iter().all(|cap| of.capabilities.contains(cap))
                && newer(&rule.includes, "includes")? != Some(false);
            if included && !excluded {
                syscalls.push(Syscall { names, action: rule.action, errno_ret: rule.errno_ret, args: rule.args });
            }
        }
        Ok(Seccomp {
            default_action: self.default_action,
            default_errno_ret: self.default_errno_ret,
            architectures,
            flags: self.flags,
            listener_path: self.listener_path,
            listener_metadata: self.listener_metadata,
            syscalls,
        })
    }
}

impl Filter {
    fn has_arch(&self, of: &Circumstances<'_>) -> bool {
        let go = SECCOMP_ARCHITECTURES.iter().find(|(name, _)| *name == of.native.name).and_then(|(_, go)| *go);
        self.arches.iter().any(|arch| Some(arch.as_str()) == go)
    }

    fn any_cap(&self, of: &Circumstances<'_>) -> bool {
        self.caps.iter().any(|cap| of.capabilities.contains(cap))
    }

    /// Whether the kernel is as new as that; `Some(None)` if nothing is asked.
    fn is_reached(&self, kernel: (u32, u32)) -> Option<Option<bool>> {
        if self.min_kernel.is_empty() {
            return Some(None);
        }
        Some(Some(kernel >= version(&self.min_kernel)?))
    }
}

/// `major.minor`, whatever follows.
pub fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::arch::by_name;

    fn resolve(json: &str, capabilities: &[&str]) -> Result<Seccomp> {
        let profile: Profile = serde_json::from_str(json).unwrap();
        let capabilities: Vec<String> = capabilities.iter().map(|c| (*c).to_owned()).collect();
        let native = by_name("SCMP_ARCH_X86_64").unwrap();
        profile.resolve(&Circumstances { native, capabilities: &capabilities, kernel: (5, 10) })
    }

    #[test]
    fn rules_of_some_containers() {
        let rule = |filter: &str| {
            format!(r#"{{"syscalls": [{{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "errno": "", {filter}}}]}}"#)
        };
        #[rustfmt::skip]
        let table: [(&str, &[&str], bool); 16] = [
            (r#""includes": {}, "excludes": null"#, &[], true),
            (r#""includes": {"caps": ["CAP_A"]}"#, &[], false),
            (r#""includes": {"caps": ["CAP_A"]}"#, &["CAP_A"], true),
            (r#""includes": {"caps": ["CAP_A", "CAP_B"]}"#, &["CAP_A"], false),
            (r#""includes": {"caps": ["CAP_A", "CAP_B"]}"#, &["CAP_A", "CAP_B"], true),
            (r#""excludes": {"caps": ["CAP_A", "CAP_B"]}"#, &["CAP_B"], false),
            (r#""excludes": {"caps": ["CAP_A"]}"#, &["CAP_B"], true),
            (r#""includes": {"arches": ["amd64", "x32"]}"#, &[], true),
            (r#""includes": {"arches": ["s390x"]}"#, &[], false),
            (r#""excludes": {"arches": ["amd64"]}"#, &[], false),
            (r#""includes": {"minKernel": "4.8"}"#, &[], true),
            (r#""includes": {"minKernel": "5.10"}"#, &[], true),
            (r#""includes": {"minKernel": "5.11"}"#, &[], false),
            (r#""excludes": {"minKernel": "4.8"}"#, &[], false),
            (r#""excludes": {"minKernel": "6.0"}"#, &[], true),
            (r#""includes": {"arches": ["amd64"], "caps": ["CAP_A"]}"#, &[], false),
        ];
        for (filter, capabilities, holds) in table {
            let seccomp = resolve(&rule(filter), capabilities).unwrap();
            assert_eq!(seccomp.syscalls.len(), usize::from(holds), "{filter} {capabilities:?}");
        }
    }

    #[test]
    fn architectures_of_the_host() {
        let json = r#"{"archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                                   {"architecture": "SCMP_ARCH_S390X", "subArchitectures": ["SCMP_ARCH_S390"]}]}"#;
        assert_eq!(resolve(json, &[]).unwrap().architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (json, message) in [
            (
                r#"{"archMap": [{}], "architectures": ["SCMP_ARCH_X86"]}"#,
                "archMap and architectures exclude each other (config.json /archMap)",
            ),
            (
                r#"{"syscalls": [{"name": "read", "names": ["write"]}]}"#,
                "name and names exclude each other (config.json /syscalls/0/name)",
            ),
            (
                r#"{"syscalls": [{}, {"name": "read", "errno": "EPERM"}]}"#,
                "an errno by its name alone: errnoRet is needed (config.json /syscalls/1/errno)",
            ),
            (
                r#"{"syscalls": [{"includes": {"minKernel": "new"}}]}"#,
                "minKernel is not of the form 4.8 (config.json /syscalls/0/includes)",
            ),
        ] {
            assert_eq!(resolve(json, &[]).unwrap_err().to_string(), message);
        }
    }
}
