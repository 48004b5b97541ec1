//! Asks the host what a plan may know of it; each thing only if the configuration makes it matter.

use dunnage_steps::flags::Namespaces;
use nix::unistd::geteuid;

use crate::cgroup::host::Membership;
use crate::cgroup::systemd::properties::needs_version;
use crate::cgroup::systemd::{self, Manager, Scope, UnitName};
use crate::cgroup::{Host, Paths};
use crate::error::{Errno, Error, Result};
use crate::plan::Facts;
use crate::spec::{Capabilities, Linux, Spec, landlock, names};
use crate::{host, log, seccomp};

/// What this process may give: its permitted set.
pub fn own_capabilities() -> Result<u64> {
    let set = caps::read(None, caps::CapSet::Permitted).map_err(|e| Error::new(format!("capget: {e}")))?;
    Ok(set.iter().fold(0, |bits, cap| bits | cap.bitmask()))
}

/// Full procfs and sysfs mounts of the host, for `--no-pivot`.
fn proc_mounts(rootfs: &str) -> Result<Vec<String>> {
    let text =
        crate::files::read_to_string("/proc/self/mountinfo").map_err(|e| Error::io("open /proc/self/mountinfo", &e))?;
    let full = |line: &str| {
        let (head, tail) = line.split_once(" - ")?;
        let fields: Vec<&str> = head.split(' ').collect();
        let (root, point) = (*fields.get(3)?, *fields.get(4)?);
        let kind = tail.split(' ').next()?;
        let outside = !point.starts_with(rootfs);
        (matches!(kind, "proc" | "sysfs") && root == "/" && outside).then(|| point.to_owned())
    };
    Ok(text.lines().filter_map(full).collect())
}

/// CAP_AUDIT_READ: every kernel that we run on has it.
const OLDEST_LAST_CAPABILITY: u8 = 37;

fn names_recent(caps: &Capabilities) -> bool {
    let sets = [&caps.bounding, &caps.effective, &caps.permitted, &caps.ambient];
    let all = sets.into_iter().flatten().chain(caps.inheritable.iter().flatten());
    all.filter_map(|name| names::capability(name)).any(|bit| bit > OLDEST_LAST_CAPABILITY)
}

/// Where a new container's cgroup is to be, and who makes it.
#[derive(Default)]
pub struct Placement {
    /// The directories.
    pub paths: Paths,
    /// The unit and what is known of systemd, if systemd makes them.
    pub unit: Option<(String, systemd::Facts)>,
    /// The connection to it.
    pub manager: Option<Manager>,
}

/// Where `linux.cgroupsPath` leads. `driver`: systemd's, whose systemd; none: the cgroupfs driver.
pub fn placement(spec: &Spec, id: &str, cgroups: &Host, driver: Option<Scope>) -> Result<Placement> {
    let none = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    let Some(scope) = driver else {
        return Ok(Placement { paths: Paths::new(cgroups, &linux.cgroups_path, id)?, ..Placement::default() });
    };
    let name = UnitName::new(&linux.cgroups_path, id, scope)?;
    let mut manager = Manager::connect(scope)?;
    let asked = linux.resources.as_ref().is_some_and(needs_version);
    let facts = systemd::Facts {
        scope,
        version: if asked { manager.version()? } else { 0 },
        control_group: manager.control_group()?,
    };
    let paths = name.paths(cgroups, &facts, Membership::of(1)?.as_ref())?;
    Ok(Placement { paths, unit: Some((name.unit().to_owned(), facts)), manager: Some(manager) })
}

/// The facts for creating a container.
pub fn gather(spec: &Spec, cgroups: Host, paths: &Paths, rootfs: &str, no_pivot: bool) -> Result<Facts> {
    let process = spec.process.as_ref();
    let caps = process.and_then(|p| p.capabilities.as_ref());
    let terminal = process.is_some_and(|p| p.terminal);
    let profile = spec.linux.as_ref().and_then(|l| l.seccomp.as_ref());
    if log::debugging() {
        for name in profile.into_iter().flat_map(seccomp::unknown) {
            log::debug(format!("unknown seccomp syscall {name:?} ignored"));
        }
    }
    Ok(Facts {
        euid: geteuid().as_raw(),
        in_user_namespace: host::in_user_namespace(),
        setgroups_denied: host::in_user_namespace() && host::setgroups_denied(),
        capabilities: if caps.is_some() { own_capabilities()? } else { 0 },
        // The kernel is asked only if one is named that the oldest kernels do not have.
        last_capability: if caps.is_some_and(names_recent) { host::last_capability() } else { OLDEST_LAST_CAPABILITY },
        cgroups,
        cgroup_paths: paths.0.clone(),
        resctrl: spec.linux.as_ref().and_then(|l| l.intel_rdt.as_ref()).and_then(|_| host::resctrl()),
        systemd: None,
        proc_mounts: if no_pivot { proc_mounts(rootfs)? } else { Vec::new() },
        stdio_null: if terminal { 0 } else { super::stdio::null() },
        seccomp_flags: if profile.is_some() { host::seccomp_flags().into() } else { 0 },
        landlock: if spec.annotations.contains_key(landlock::ANNOTATION) { crate::sys::landlock::abi() } else { 0 },
    })
}

/// Kinds of namespaces as flags, from their names in state.json.
pub fn namespaces_of_state(kinds: impl Iterator<Item = String>) -> Namespaces {
    kinds
        .filter_map(|name| names::NAMESPACES.iter().find(|k| k.libcontainer == name))
        .filter_map(|kind| u64::try_from(kind.clone_flag).ok())
        .fold(Namespaces::none(), |all, flag| all.with(Namespaces(flag)))
}

/// The container's root has to be there, under its own name: a link in it could be another directory a moment later.
pub fn check_rootfs(path: &str) -> Result<()> {
    use nix::fcntl::OFlag;
    match crate::files::open_without_links(path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
        Ok(_) => Ok(()),
        Err(Errno::ELOOP) => Err(Error::new("invalid rootfs: not an absolute path, or a symlink").field("/root/path")),
        Err(e) => Err(Error::sys(format!("stat {path}"), e).doing("invalid rootfs").field("/root/path")),
    }
}
