//! Our own rights: capabilities, limits that we would have to exceed, id maps.

use nix::sys::resource::{Resource, getrlimit};

use super::{Asked, Findings};
use crate::spec::names;

pub(super) fn look(findings: &mut Findings, asked: &Asked<'_>) {
    let own = effective_capabilities();
    let new_user_namespace = asked.has_new("user");
    let joins_user_namespace = asked.linux.namespaces.iter().any(|n| n.kind == "user" && !n.path.is_empty());
    let has = |name: &str| names::capability(name).is_some_and(|bit| own & (1_u64 << (bit & 63)) != 0);
    if !new_user_namespace && !joins_user_namespace {
        if has("CAP_SYS_ADMIN") {
            findings.ok("rights", "CAP_SYS_ADMIN: namespaces and mounts can be made", "");
        } else {
            findings.error("rights", "no CAP_SYS_ADMIN, and no user namespace to have it in", "/linux/namespaces");
        }
        capabilities(findings, asked, own);
    }
    if !has("CAP_SYS_RESOURCE") {
        limits(findings, asked);
        oom_score(findings, asked);
    }
    if asked.circumstances.rootless_euid && new_user_namespace {
        id_maps(findings, asked);
    }
}

/// Of capabilities(7); all of them if /proc does not tell, so that nothing is claimed.
fn effective_capabilities() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(u64::MAX)
}

/// What we do not have we cannot give.
fn capabilities(findings: &mut Findings, asked: &Asked<'_>, own: u64) {
    let Some(sets) = &asked.process.capabilities else { return };
    let last = crate::host::last_capability();
    for (set, list) in [("bounding", &sets.bounding), ("permitted", &sets.permitted)] {
        let lacking: Vec<&str> = list
            .iter()
            .map(String::as_str)
            .filter(|name| names::capability(name).is_some_and(|bit| bit <= last && own & (1_u64 << (bit & 63)) == 0))
            .collect();
        if !lacking.is_empty() {
            let detail = format!("we do not have {}, and cannot give what we do not have", lacking.join(", "));
            findings.warning("rights", detail, format!("/process/capabilities/{set}"));
        }
    }
}

fn limits(findings: &mut Findings, asked: &Asked<'_>) {
    for (i, limit) in asked.process.rlimits.iter().enumerate() {
        let Some((resource, name)) = RESOURCES.iter().find(|(_, name)| *name == limit.kind) else { continue };
        if getrlimit(*resource).is_ok_and(|(_, hard)| limit.hard > hard) {
            let detail = format!("{name} is above ours, and raising it takes CAP_SYS_RESOURCE");
            findings.error("rights", detail, format!("/process/rlimits/{i}"));
        }
    }
}

const RESOURCES: [(Resource, &str); 16] = [
    (Resource::RLIMIT_AS, "RLIMIT_AS"),
    (Resource::RLIMIT_CORE, "RLIMIT_CORE"),
    (Resource::RLIMIT_CPU, "RLIMIT_CPU"),
    (Resource::RLIMIT_DATA, "RLIMIT_DATA"),
    (Resource::RLIMIT_FSIZE, "RLIMIT_FSIZE"),
    (Resource::RLIMIT_LOCKS, "RLIMIT_LOCKS"),
    (Resource::RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK"),
    (Resource::RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE"),
    (Resource::RLIMIT_NICE, "RLIMIT_NICE"),
    (Resource::RLIMIT_NOFILE, "RLIMIT_NOFILE"),
    (Resource::RLIMIT_NPROC, "RLIMIT_NPROC"),
    (Resource::RLIMIT_RSS, "RLIMIT_RSS"),
    (Resource::RLIMIT_RTPRIO, "RLIMIT_RTPRIO"),
    (Resource::RLIMIT_RTTIME, "RLIMIT_RTTIME"),
    (Resource::RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING"),
    (Resource::RLIMIT_STACK, "RLIMIT_STACK"),
];

fn oom_score(findings: &mut Findings, asked: &Asked<'_>) {
    let Some(wanted) = asked.process.oom_score_adj else { return };
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    if own.trim_end().parse().is_ok_and(|own: i32| wanted < own) {
        let detail = format!("{wanted} is below ours, and lowering it takes CAP_SYS_RESOURCE");
        findings.error("rights", detail, "/process/oomScoreAdj");
    }
}

/// A user may map one id, their own; the rest is done by two set-uid programs.
fn id_maps(findings: &mut Findings, asked: &Asked<'_>) {
    let maps = [
        ("newuidmap", &asked.linux.uid_mappings, "/linux/uidMappings"),
        ("newgidmap", &asked.linux.gid_mappings, "/linux/gidMappings"),
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    for (program, mappings, field) in maps {
        if matches!(mappings.as_slice(), [one] if one.size == 1) {
            continue;
        }
        let found = std::env::split_paths(&path).find(|dir| std::fs::metadata(dir.join(program)).is_ok());
        match found {
            Some(dir) => findings.ok("rights", format!("id maps by {}", dir.join(program).display()), field),
            None => findings.error("rights", format!("mapping more than one id takes {program}, not in PATH"), field),
        }
    }
}
