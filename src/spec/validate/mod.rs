//! Whether a configuration can be meant: every problem, not just the first, in runc's words and roughly in runc's order.
//! Pure: what it must know of the host it is given. What only the kernel or the root filesystem can tell (does the path
//! exist, does the device fit) is found by whoever does it.

mod linux;
mod mounts;
mod namespaces;
mod process;
mod resources;
mod seccomp;
#[cfg(test)]
mod tests;

pub(crate) use mounts::PROC_FILES;

use super::landlock::Landlock;
use super::names::NamespaceKind;
use super::problem::{Problem, Severity};
use super::trace;
use super::{Hooks, IdMapping, Linux, Process, Resources, Spec, text};

/// What validation may ask about the host. Each function is called only if the configuration makes the answer matter.
#[derive(Clone, Copy)]
pub struct HostFacts<'a> {
    /// Whether the container's cgroup is in a v2 hierarchy.
    pub cgroup_v2: bool,
    /// The highest capability of the kernel (/proc/sys/kernel/cap_last_cap).
    pub last_cap: &'a dyn Fn() -> u8,
    /// Whether the kernel has namespaces of this kind.
    pub has_namespace: &'a dyn Fn(&NamespaceKind) -> bool,
    /// Whether SELinux is on.
    pub selinux: &'a dyn Fn() -> bool,
    /// What resctrl offers.
    pub rdt: &'a dyn Fn() -> Rdt,
    /// Whether the file is the network namespace that we are in; the error says why that can't be told.
    pub is_own_netns: &'a dyn Fn(&str) -> Result<bool, String>,
    /// The maps of the user namespace that the file is; `None` if they can't be told beforehand.
    pub userns_maps: &'a dyn Fn(&str) -> Result<Option<OwnedMaps>, String>,
}

impl HostFacts<'static> {
    /// A host with cgroup v2 whose kernel has everything and which runs nothing: for plans and tests that must not
    /// depend on the machine they are made on.
    pub const COMPLETE: HostFacts<'static> = HostFacts {
        cgroup_v2: true,
        last_cap: &|| 40,
        has_namespace: &|_| true,
        selinux: &|| true,
        rdt: &|| Rdt { enabled: true, l3: true, mb: true },
        is_own_netns: &|_| Ok(false),
        userns_maps: &|_| Ok(None),
    };
}

/// Intel Resource Director Technology, as the resctrl filesystem shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rdt {
    /// resctrl is mounted.
    pub enabled: bool,
    /// Cache allocation (CAT).
    pub l3: bool,
    /// Memory bandwidth allocation (MBA).
    pub mb: bool,
}

/// The two maps of a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMaps<T> {
    /// Users.
    pub uid: T,
    /// Groups.
    pub gid: T,
}

/// Maps that were read from the kernel.
pub type OwnedMaps = IdMaps<Vec<IdMapping>>;

/// How the runtime was called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// The effective user is not root.
    pub rootless_euid: bool,
    /// `--systemd-cgroup`.
    pub systemd_cgroup: bool,
    /// `--no-pivot`.
    pub no_pivot: bool,
}

/// All problems of a config.json, fields relative to the file.
pub fn validate(spec: &Spec, host: &HostFacts<'_>, options: &Options) -> Vec<Problem> {
    let none = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    let mut check = Check { found: Vec::new(), errors: 0, warnings: 0, host, options };
    check.version(&spec.oci_version);
    match &spec.process {
        Some(process) => check.process_required(process, "/process"),
        None => check.error("/process", "process property must not be empty"),
    }
    match &spec.root {
        Some(root) if root.path.is_empty() => check.error("/root/path", "root path must not be empty"),
        Some(root) => check.no_nul("/root/path", "root path", &root.path),
        None => check.error("/root", "root must be specified"),
    }
    check.devices(linux);
    check.cgroups_path(linux);
    if let Some(resources) = &linux.resources {
        check.resources(resources, "/linux/resources");
        check.of_v1_alone(resources);
    }
    check.mounts(&spec.mounts, linux);
    check.rootfs_propagation(linux);
    let maps = check.namespaces(spec, linux);
    if let Some(seccomp) = &linux.seccomp {
        check.seccomp(seccomp);
    }
    check.net_devices(linux);
    check.names_and_paths(spec, linux);
    check.sysctls(linux);
    check.intel_rdt(linux);
    check.rootless(spec, linux, maps);
    if let Some(process) = &spec.process {
        check.process(process, "/process", maps);
    }
    check.memory_policy_and_personality(linux);
    if let Some(hooks) = &spec.hooks {
        check.hooks(hooks);
    }
    check.found.extend(Landlock::of(&spec.annotations).err());
    if spec.annotations.contains_key("") {
        check.error("/annotations/", "the key of an annotation must not be empty");
    }
    check.found.extend(trace::asked(&spec.annotations).err());
    if spec.annotations.contains_key("bundle") {
        check.warning("/annotations/bundle", "ignoring annotation \"bundle\": it would hide the path of the bundle");
    }
    check.found
}

/// All problems of a process.json, fields relative to the file. `maps` are those of the container's user namespace.
pub fn validate_process(
    process: &Process,
    maps: Option<IdMaps<&[IdMapping]>>,
    host: &HostFacts<'_>,
    options: &Options,
) -> Vec<Problem> {
    let mut check = Check { found: Vec::new(), errors: 0, warnings: 0, host, options };
    check.process_required(process, "");
    check.process(process, "", maps);
    check.found
}

/// All problems of the resources of an update, fields relative to them.
pub fn validate_resources(resources: &Resources, host: &HostFacts<'_>) -> Vec<Problem> {
    let mut check = Check { found: Vec::new(), errors: 0, warnings: 0, host, options: &Options::default() };
    check.resources(resources, "");
    check.found
}

/// More of a kind are not kept: a hostile file may have one in each of its entries.
const MAX_FOUND: u32 = 256;

/// What is being checked, and what was found. Its methods are spread over the modules, by section of the file.
struct Check<'a> {
    found: Vec<Problem>,
    errors: u32,
    warnings: u32,
    host: &'a HostFacts<'a>,
    options: &'a Options,
}

impl Check<'_> {
    fn add(&mut self, field: &str, message: String, severity: Severity) {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count = count.saturating_add(1);
        if *count > MAX_FOUND {
            return;
        }
        self.found.push(Problem { field: field.to_owned(), message, severity });
    }

    fn error(&mut self, field: impl AsRef<str>, message: impl Into<String>) {
        self.add(field.as_ref(), message.into(), Severity::Error);
    }

    fn warning(&mut self, field: impl AsRef<str>, message: impl Into<String>) {
        self.add(field.as_ref(), message.into(), Severity::Warning);
    }

    /// The kernel would stop reading at the NUL and act on something that was not written here.
    fn no_nul(&mut self, field: impl AsRef<str>, what: &str, value: &str) {
        if value.contains('\0') {
            self.error(field, format!("invalid {what} {}: contains nul byte (\\x00)", text::quote(value)));
        }
    }

    /// Nothing depends on it, and runc takes any: so what is none is no reason to refuse.
    fn version(&mut self, version: &str) {
        if !is_semver(version) {
            let why = format!("ociVersion {} is not a version (MAJOR.MINOR.PATCH)", text::quote(version));
            self.warning("/ociVersion", why);
        }
    }

    fn hooks(&mut self, hooks: &Hooks) {
        for (name, list) in [
            ("prestart", &hooks.prestart),
            ("createRuntime", &hooks.create_runtime),
            ("createContainer", &hooks.create_container),
            ("startContainer", &hooks.start_container),
            ("poststart", &hooks.poststart),
            ("poststop", &hooks.poststop),
        ] {
            for (i, hook) in list.iter().enumerate() {
                let at = format!("/hooks/{name}/{i}");
                if !hook.path.starts_with('/') {
                    let path = text::quote(&hook.path);
                    self.error(format!("{at}/path"), format!("{name} hook #{i}: path must be absolute: {path}"));
                }
                if hook.timeout.is_some_and(|seconds| seconds <= 0) {
                    self.error(format!("{at}/timeout"), format!("{name} hook #{i}: timeout must be greater than zero"));
                }
                self.no_nul(format!("{at}/path"), "hook path", &hook.path);
                for (n, arg) in hook.args.iter().enumerate() {
                    self.no_nul(format!("{at}/args/{n}"), "hook argument", arg);
                }
                for (n, var) in hook.env.iter().flatten().enumerate() {
                    self.no_nul(format!("{at}/env/{n}"), "hook environment variable", var);
                }
            }
        }
    }
}

/// SemVer 2.0.0, as far as it can be told from the outside: three numbers, and what is before or after a release.
fn is_semver(version: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let (version, build) = version.split_once('+').unwrap_or((version, "0"));
    let (release, before) = version.split_once('-').unwrap_or((version, "0"));
    let numbers: Vec<&str> = release.split('.').collect();
    let number =
        |n: &&str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) && (*n == "0" || !n.starts_with('0'));
    let named = |text: &str| !text.is_empty() && text.chars().all(word) && text.split('.').all(|part| !part.is_empty());
    numbers.len() == 3 && numbers.iter().all(number) && named(build) && named(before)
}

/// Whether a map has `id` inside the container.
fn is_mapped(map: &[IdMapping], id: u32) -> bool {
    map.iter().any(|m| id.checked_sub(m.container_id).is_some_and(|offset| offset < m.size))
}
