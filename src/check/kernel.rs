//! The kernel: system calls, namespaces, file systems, sysctls, seccomp, security modules.

use std::collections::BTreeMap;

use super::{Asked, Findings};
use crate::host;
use crate::seccomp;
use crate::spec::{mount_options, names, sysctl};
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

const FEATURES: [Feature; 8] = [
    feature(probe::PIDFD_SEND_SIGNAL, "5.1", None),
    feature(probe::PIDFD_OPEN, "5.3", None),
    feature(probe::OPENAT2, "5.6", None),
    feature(
        probe::CLONE3,
        "5.3",
        Some("processes are moved into their cgroup instead of being started in it, which is slow"),
    ),
    feature(probe::OPEN_TREE, "5.2", Some("mounts are made with mount(2), by path")),
    feature(probe::MOVE_MOUNT, "5.2", Some("mounts are made with mount(2), by path")),
    feature(probe::FSOPEN, "5.2", Some("mounts are made with mount(2), by path")),
    feature(probe::CLOSE_RANGE, "5.9", Some("descriptors are closed one by one")),
];

pub(super) fn look(findings: &mut Findings, asked: &Asked<'_>) {
    let release = nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned());
    findings.ok("kernel", format!("Linux {}", release.unwrap_or_default()), "");
    for Feature { call, since, without } in FEATURES.iter().filter(|f| !probe::has(f.call)) {
        let missing = format!("{} is missing (since Linux {since}; or a seccomp filter around us hides it)", call.name);
        match without {
            None => findings.error("kernel", missing, ""),
            Some(without) => findings.warning("kernel", format!("{missing}: {without}"), ""),
        }
    }
    namespaces(findings, asked);
    mounts(findings, asked);
    sysctls(findings, asked);
    profile(findings, asked);
    security_modules(findings, asked);
}

fn namespaces(findings: &mut Findings, asked: &Asked<'_>) {
    let mut made = Vec::new();
    for (i, namespace) in asked.linux.namespaces.iter().enumerate() {
        let field = format!("/linux/namespaces/{i}");
        let Some(kind) = names::namespace(&namespace.kind) else { continue };
        if !namespace.path.is_empty() {
            match std::fs::metadata(&namespace.path) {
                Ok(_) => findings.ok("namespaces", format!("{} to join: {}", kind.name, namespace.path), field),
                Err(e) => findings.error("namespaces", stat_failed(&namespace.path, &e), field),
            }
            continue;
        }
        // user_namespaces(7), "/proc/sys/user": how many there may be.
        let limit = format!("/proc/sys/user/max_{}_namespaces", kind.file);
        let closed = std::fs::read_to_string(&limit).is_ok_and(|text| text.trim_end() == "0");
        match (host::has_namespace(kind), closed) {
            (false, _) => findings.error("namespaces", format!("the kernel has no {} namespaces", kind.name), field),
            (true, true) => findings.error("namespaces", format!("{limit} is 0"), field),
            (true, false) => made.push(kind.name),
        }
    }
    if !made.is_empty() {
        findings.ok("namespaces", format!("{} can be made", made.join(", ")), "/linux/namespaces");
    }
    if asked.has_new("user") {
        restrictions_of_user_namespaces(findings, asked);
    }
}

/// Distributions' own switches; each shows only as a bare EPERM or EACCES later.
fn restrictions_of_user_namespaces(findings: &mut Findings, asked: &Asked<'_>) {
    if !asked.circumstances.rootless_euid {
        return;
    }
    for (file, bad) in
        [("kernel/unprivileged_userns_clone", "0"), ("kernel/apparmor_restrict_unprivileged_userns", "1")]
    {
        if std::fs::read_to_string(format!("/proc/sys/{file}")).is_ok_and(|text| text.trim_end() == bad) {
            let detail = format!("/proc/sys/{file} is {bad}: users may not make user namespaces");
            findings.warning("namespaces", detail, "/linux/namespaces");
        }
    }
}

fn mounts(findings: &mut Findings, asked: &Asked<'_>) {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let known = |kind: &str| known.lines().any(|line| line.split('\t').next_back() == Some(kind));
    let mut unknown: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, mount) in asked.spec.mounts.iter().enumerate() {
        let options = mount_options::parse(&mount.options);
        let attributes = options.rec_attr_set != 0 || options.rec_attr_clr != 0;
        let idmap = options.idmap.is_some() || !mount.uid_mappings.is_empty();
        if (attributes || idmap) && !probe::has(probe::MOUNT_SETATTR) {
            let detail = "mount_setattr is missing (since Linux 5.12): no recursive attributes, no id-mapped mounts";
            findings.error("mounts", detail, format!("/mounts/{i}"));
        }
        if !options.is_bind() && mount.kind != "cgroup" && !known(&mount.kind) {
            unknown.entry(mount.kind.as_str()).or_insert(i);
        }
    }
    for (kind, i) in unknown {
        let detail = format!("file system {kind} is not known to the kernel, as long as no module brings it");
        findings.warning("mounts", detail, format!("/mounts/{i}/type"));
    }
}

fn sysctls(findings: &mut Findings, asked: &Asked<'_>) {
    for key in asked.linux.sysctl.keys() {
        let Some(path) = sysctl::path(&sysctl::normalise(key)) else { continue };
        if std::fs::symlink_metadata(format!("/proc/sys/{path}")).is_err() {
            let detail = format!("/proc/sys/{path} is missing here, and probably in the container");
            findings.warning("sysctl", detail, "/linux/sysctl");
        }
    }
}

fn profile(findings: &mut Findings, asked: &Asked<'_>) {
    let Some(profile) = &asked.linux.seccomp else { return };
    if !knows_flags(0) {
        return findings.error("seccomp", "the kernel has no seccomp filters", "/linux/seccomp");
    }
    let Some(native) = seccomp::arch::native() else {
        return findings.error("seccomp", "no system call table for this architecture", "/linux/seccomp");
    };
    match seccomp::compile(profile, native, host::seccomp_flags()) {
        Err(e) => findings.error("seccomp", e.to_string(), "/linux/seccomp"),
        Ok(None) => findings.ok("seccomp", "the profile says nothing: no filter", "/linux/seccomp"),
        Ok(Some(program)) => {
            let length = program.filter.len();
            findings.ok("seccomp", format!("the profile compiles to {length} instructions"), "/linux/seccomp");
            if !program.unknown.is_empty() {
                let names = program.unknown.join(", ");
                findings.warning(
                    "seccomp",
                    format!("unknown system calls are skipped: {names}"),
                    "/linux/seccomp/syscalls",
                );
            }
        }
    }
}

fn security_modules(findings: &mut Findings, asked: &Asked<'_>) {
    let profile = asked.process.apparmor_profile.as_str();
    if profile.is_empty() || profile == "unconfined" {
        return;
    }
    let field = "/process/apparmorProfile";
    if !host::has_apparmor() {
        return findings.error("apparmor", "AppArmor is off or not in the kernel", field);
    }
    match std::fs::read_to_string("/sys/kernel/security/apparmor/profiles") {
        Ok(loaded) if loaded.lines().any(|line| line.rsplit_once(" (").is_some_and(|(name, _)| name == profile)) => {
            findings.ok("apparmor", format!("profile {profile} is loaded"), field);
        }
        Ok(_) => findings.error("apparmor", format!("profile {profile} is not loaded"), field),
        Err(_) => findings.warning("apparmor", format!("cannot be told whether profile {profile} is loaded"), field),
    }
}

pub(super) fn stat_failed(path: &str, e: &std::io::Error) -> String {
    crate::error::Error::io(format_args!("stat {path}"), e).to_string()
}
