//! The kernel: system calls, file systems, sysctls, seccomp, security modules.

use std::collections::BTreeMap;

use super::{Asked, Findings, stat_failed};
use crate::error::Errno;
use crate::host;
use crate::plan::landlock;
use crate::seccomp;
use crate::spec::landlock::ANNOTATION;
use crate::spec::{mount_options, sysctl};
use crate::sys::memfd;
use crate::sys::probe::{self, Call};
use crate::sys::seccomp::knows_flags;

/// What we do without a call, and since when Linux has it.
struct Feature {
    call: Call,
    since: &'static str,
    /// `None`: nothing works without it.
    without: Option<&'static str>,
}

const fn feature(call: Call, since: &'static str, without: Option<&'static str>) -> Feature {
    Feature { call, since, without }
}

/// docs/kernel.md has the same table for people.
const FEATURES: [Feature; 9] = [
    feature(probe::PIDFD_SEND_SIGNAL, "5.1", None),
    feature(probe::PIDFD_OPEN, "5.3", None),
    feature(probe::CLONE3, "5.3", None),
    feature(probe::OPENAT2, "5.6", None),
    feature(probe::OPEN_TREE, "5.2", Some("no bind mounts in user namespaces, no terminals")),
    feature(probe::MOVE_MOUNT, "5.2", None),
    feature(
        probe::FSOPEN,
        "5.2",
        Some(
            "labels and sysctls are written through the host's /proc; each masked directory has a file system of its own",
        ),
    ),
    feature(
        probe::MOUNT_SETATTR,
        "5.12",
        Some("no recursive mount attributes, no id-mapped mounts, no bind mounts in user namespaces"),
    ),
    feature(probe::CLOSE_RANGE, "5.9", Some("descriptors are marked one by one")),
];

const UPDATE: &str = "update the kernel, or let the seccomp filter around us pass the call";

pub(super) fn look(findings: &mut Findings, asked: &Asked<'_>) {
    let release = nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned());
    findings.ok("kernel", format!("Linux {}", release.unwrap_or_default()), "");
    calls(findings, asked);
    if let Some(list) = asked.read("/sys/kernel/security/lsm") {
        findings.ok("kernel", format!("security modules: {}", list.trim()), "");
    }
    executable_memory_files(findings, asked);
    mounts(findings, asked);
    sysctls(findings, asked);
    profile(findings, asked);
    apparmor(findings, asked);
    landlock(findings, asked, crate::sys::landlock::abi());
}

fn calls(findings: &mut Findings, asked: &Asked<'_>) {
    let (there, missing): (Vec<&Feature>, Vec<&Feature>) = FEATURES.iter().partition(|f| probe::has(f.call));
    let names: Vec<&str> = there.iter().map(|f| f.call.name).collect();
    findings.ok("kernel", format!("system calls: {}", names.join(", ")), "");
    for Feature { call, since, without } in missing {
        let missing = format!("{} is missing (Linux {since})", call.name);
        match without {
            None => findings.error("kernel", missing, "").remedy(UPDATE),
            Some(without) => findings.warning("kernel", format!("{missing}: {without}"), "").remedy(UPDATE),
        }
    }
    if asked.cgroups.unified_hierarchy().is_some() && !probe::has_clone_into_cgroup() {
        findings.error("kernel", "clone3 does not know CLONE_INTO_CGROUP (Linux 5.7)", "").remedy(UPDATE);
    }
}

/// `dunnage-init` is executed from one.
fn executable_memory_files(findings: &mut Findings, asked: &Asked<'_>) {
    let closed = asked.sysctl_number("vm/memfd_noexec") == Some(2);
    match memfd::sealed(c"dunnage-check", b"", true) {
        Ok(_) if !closed => findings.ok("kernel", "sealed executable memory files can be made", ""),
        Ok(_) | Err(Errno::EACCES) => {
            findings
                .error("kernel", "vm.memfd_noexec is 2: no executable memory files, from which dunnage-init is run", "")
                .remedy("sysctl -w vm.memfd_noexec=1");
        }
        Err(e) => {
            let call = crate::error::Error::sys("memfd_create", e).to_string();
            findings.error("kernel", format!("{call}: dunnage-init is run from a memory file"), "");
        }
    }
}

fn mounts(findings: &mut Findings, asked: &Asked<'_>) {
    let known = asked.read("/proc/filesystems").unwrap_or_default();
    let known = |kind: &str| known.lines().any(|line| line.split('\t').next_back() == Some(kind));
    let mut unknown: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, mount) in asked.spec.mounts.iter().enumerate() {
        let options = mount_options::parse(&mount.options);
        let attributes = options.rec_attr_set != 0 || options.rec_attr_clr != 0;
        let idmap = options.idmap.is_some() || !mount.uid_mappings.is_empty();
        if (attributes || idmap) && !probe::has(probe::MOUNT_SETATTR) {
            findings
                .error("mounts", "this mount takes mount_setattr (Linux 5.12)", format!("/mounts/{i}"))
                .remedy(UPDATE);
        }
        if !options.is_bind() && mount.kind != "cgroup" && !known(&mount.kind) {
            unknown.entry(mount.kind.as_str()).or_insert(i);
        }
    }
    for (kind, i) in unknown {
        findings
            .warning("mounts", format!("the kernel does not know the file system {kind}"), format!("/mounts/{i}/type"))
            .remedy(format!("if it is a module, modprobe {kind}"));
    }
}

/// Keys that are not here are not in the container either, as long as they do not belong to what it may have of its own:
/// network devices, or the namespace that it joins.
fn sysctls(findings: &mut Findings, asked: &Asked<'_>) {
    for key in asked.linux.sysctl.keys() {
        let dotted = sysctl::normalise(key);
        let Some(path) = sysctl::path(&dotted) else { continue };
        if std::fs::symlink_metadata(format!("/proc/sys/{path}")).is_ok() {
            continue;
        }
        let field = format!("/linux/sysctl/{}", key.replace('~', "~0").replace('/', "~1"));
        let of_a_device = ["/conf/", "/neigh/"].iter().any(|part| path.contains(part));
        let joined = asked.joins("network") || asked.joins("ipc");
        let detail = format!("/proc/sys/{path} is missing");
        match of_a_device || joined {
            true => findings.warning("sysctl", format!("{detail} here; the container may have it"), field),
            false => findings.error("sysctl", detail, field),
        }
        .remedy("load the module that has it, or check the name");
    }
}

fn profile(findings: &mut Findings, asked: &Asked<'_>) {
    let field = "/linux/seccomp";
    let Some(profile) = &asked.linux.seccomp else { return };
    if !knows_flags(0) {
        findings
            .error("seccomp", "the kernel has no seccomp filters", field)
            .remedy("CONFIG_SECCOMP_FILTER is needed, or no profile");
        return;
    }
    let Some(native) = seccomp::arch::native() else {
        findings.error("seccomp", "no system call table for this architecture", field);
        return;
    };
    let program = match seccomp::compile(profile, native, host::seccomp_flags()) {
        Err(e) => return findings.failure("seccomp", e, field),
        Ok(None) => return findings.ok("seccomp", "the profile says nothing: no filter", field),
        Ok(Some(program)) => program,
    };
    findings.ok("seccomp", format!("the profile compiles to {} instructions", program.filter.len()), field);
    if !program.unknown.is_empty() {
        let names = program.unknown.join(", ");
        findings.warning("seccomp", format!("unknown system calls are skipped: {names}"), "/linux/seccomp/syscalls");
    }
    if program.notify {
        agent(findings, &profile.listener_path);
    }
}

/// Who decides about calls that the profile notifies of.
fn agent(findings: &mut Findings, path: &str) {
    let field = "/linux/seccomp/listenerPath";
    if !probe::has(probe::PIDFD_GETFD) {
        findings.error("seccomp", "a listener is taken over with pidfd_getfd (Linux 5.6)", field).remedy(UPDATE);
    }
    // Not connected to: an agent may take that for a container.
    match std::fs::metadata(path) {
        Ok(meta) if std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()) => {
            findings.ok("seccomp", format!("the agent's socket: {path}"), field);
        }
        Ok(_) => findings.error("seccomp", format!("{path} is not a socket"), field).remedy(""),
        Err(e) => {
            findings.error("seccomp", stat_failed(path, &e), field).remedy("start the agent of this profile");
        }
    }
}

fn apparmor(findings: &mut Findings, asked: &Asked<'_>) {
    let profile = asked.process.apparmor_profile.as_str();
    let field = "/process/apparmorProfile";
    if profile.is_empty() {
        return;
    }
    let enabled = asked.read("/sys/module/apparmor/parameters/enabled").is_some_and(|text| text.starts_with('Y'));
    if !enabled {
        findings.error("apparmor", "AppArmor is off, or not in the kernel", field).remedy("leave the profile out here");
        return;
    }
    match asked.read("/sys/kernel/security/apparmor/profiles") {
        _ if profile == "unconfined" => {}
        Some(loaded) if loaded.lines().any(|line| line.rsplit_once(" (").is_some_and(|(name, _)| name == profile)) => {
            findings.ok("apparmor", format!("profile {profile} is loaded"), field);
        }
        Some(_) => findings
            .error("apparmor", format!("profile {profile} is not loaded"), field)
            .remedy("load it with apparmor_parser -r FILE"),
        None => {
            findings.warning("apparmor", format!("cannot be told whether profile {profile} is loaded"), field);
        }
    }
}

/// The host's is told of a host, or of a bundle that asks for it.
pub(super) fn landlock(findings: &mut Findings, asked: &Asked<'_>, abi: u32) {
    let wanted = asked.spec.annotations.contains_key(ANNOTATION);
    let field = if wanted { "/annotations/io.dunnage.landlock" } else { "" };
    match landlock::insufficient(abi) {
        Some(error) if wanted => findings.failure("landlock", error, field),
        Some(error) if asked.bundle.is_none() => {
            let (text, _, hint) = error.into_parts();
            findings.warning("landlock", text, field).remedy(hint.unwrap_or_default());
        }
        None if abi < landlock::IOCTL_ABI => {
            let text =
                format!("Landlock ABI {abi} (Linux 6.10 has 5): a device that may be read may be sent any ioctl");
            findings.warning("landlock", text, field);
        }
        None => findings.ok("landlock", format!("Landlock ABI {abi}"), field),
        Some(_) => (),
    }
}
