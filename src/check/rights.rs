//! Our own rights: capabilities, limits that we would have to exceed, id maps.

use nix::sys::resource::{Resource, getrlimit};

use super::{Asked, Findings, Verdict};
use crate::spec::{IdMapping, names};

pub(super) fn look(findings: &mut Findings, asked: &Asked<'_>) {
    let own = effective_capabilities(asked);
    let has = |name: &str| names::capability(name).is_some_and(|bit| own & (1_u64 << (bit & 63)) != 0);
    if !asked.has_user_namespace() {
        if has("CAP_SYS_ADMIN") {
            findings.ok("rights", "CAP_SYS_ADMIN: namespaces and mounts can be made", "");
        } else if asked.bundle.is_some() {
            findings
                .error("rights", "no CAP_SYS_ADMIN, and no user namespace to have it in", "/linux/namespaces")
                .remedy("run as root, or let the bundle have a user namespace (dunnage spec --rootless)");
        } else {
            findings.warning("rights", "no CAP_SYS_ADMIN: only bundles with a user namespace can run", "");
        }
        needs(findings, asked, has);
        capabilities(findings, asked, own);
    }
    // Limits are the host's: root in a user namespace may not exceed them.
    if !has("CAP_SYS_RESOURCE") || asked.in_user_namespace() {
        limits(findings, asked);
        oom_score(findings, asked);
    }
    open_files(findings, asked);
    if asked.has_new("user") {
        outer_ids(findings, asked);
        if asked.circumstances.rootless_euid {
            id_maps(findings, asked);
        }
    }
}

/// Of capabilities(7); all of them if /proc does not tell, so that nothing is claimed.
fn effective_capabilities(asked: &Asked<'_>) -> u64 {
    let status = asked.read("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(u64::MAX)
}

/// A capability that something in the bundle takes, where no user namespace gives it.
struct Need {
    capability: &'static str,
    /// Whether the bundle needs it.
    asks: fn(&Asked<'_>) -> bool,
    verdict: Verdict,
    without: &'static str,
    field: &'static str,
}

const NEEDS: [Need; 8] = [
    Need {
        capability: "CAP_SETGID",
        asks: |asked| asked.bundle.is_some(),
        verdict: Verdict::Error,
        without: "the groups of the process cannot be set",
        field: "/process/user",
    },
    Need {
        capability: "CAP_SETUID",
        asks: |asked| asked.process.user.uid != nix::unistd::geteuid().as_raw(),
        verdict: Verdict::Error,
        without: "the process cannot become its user",
        field: "/process/user/uid",
    },
    Need {
        capability: "CAP_SETPCAP",
        asks: |asked| asked.process.capabilities.is_some(),
        verdict: Verdict::Error,
        without: "the bounding set cannot be made smaller",
        field: "/process/capabilities/bounding",
    },
    Need {
        capability: "CAP_NET_ADMIN",
        asks: |asked| asked.has_new("network"),
        verdict: Verdict::Error,
        without: "the loopback interface cannot be brought up",
        field: "/linux/namespaces",
    },
    Need {
        capability: "CAP_SYS_CHROOT",
        asks: |asked| asked.bundle.is_some() && !asked.has_new("mount"),
        verdict: Verdict::Error,
        without: "a mount namespace cannot be joined, nor the root be changed",
        field: "/linux/namespaces",
    },
    Need {
        capability: "CAP_MKNOD",
        asks: |asked| asked.has_new("mount"),
        verdict: Verdict::Warning,
        without: "devices are bound from the host instead of made",
        field: "/linux/devices",
    },
    Need {
        capability: "CAP_SYS_NICE",
        asks: |asked| {
            let real_time = |policy: &str| matches!(policy, "SCHED_FIFO" | "SCHED_RR" | "SCHED_DEADLINE");
            asked.process.scheduler.as_ref().is_some_and(|s| real_time(&s.policy) || s.nice < 0)
        },
        verdict: Verdict::Error,
        without: "this scheduling policy cannot be set",
        field: "/process/scheduler",
    },
    Need {
        capability: "CAP_SYS_PTRACE",
        asks: |asked| {
            let notifies = |s: &crate::spec::Seccomp| s.syscalls.iter().any(|call| call.action == "SCMP_ACT_NOTIFY");
            asked.linux.seccomp.as_ref().is_some_and(notifies)
        },
        verdict: Verdict::Error,
        without: "the listener of the seccomp profile cannot be taken over",
        field: "/linux/seccomp",
    },
];

fn needs(findings: &mut Findings, asked: &Asked<'_>, has: impl Fn(&str) -> bool) {
    for need in NEEDS.iter().filter(|need| !has(need.capability) && (need.asks)(asked)) {
        let detail = format!("no {}: {}", need.capability, need.without);
        findings.add(need.verdict, "rights", detail, need.field);
    }
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

const GRANT: &str = "give the runtime CAP_SYS_RESOURCE on the host, or ask for less";

fn limits(findings: &mut Findings, asked: &Asked<'_>) {
    for (i, limit) in asked.process.rlimits.iter().enumerate() {
        let Some((resource, name)) = RESOURCES.iter().find(|(_, name)| *name == limit.kind) else { continue };
        if let Ok((_, hard)) = getrlimit(*resource)
            && limit.hard > hard
        {
            let detail = format!("{name} {} is above ours ({hard}): raising it takes CAP_SYS_RESOURCE", limit.hard);
            findings.error("rights", detail, format!("/process/rlimits/{i}")).remedy(GRANT);
        }
    }
}

/// getrlimit(2): above fs.nr_open not even root may set it.
fn open_files(findings: &mut Findings, asked: &Asked<'_>) {
    let Some(most) = asked.sysctl_number("fs/nr_open") else { return };
    for (i, limit) in asked.process.rlimits.iter().enumerate() {
        if limit.kind == "RLIMIT_NOFILE" && limit.hard > most {
            findings
                .error(
                    "rights",
                    format!("RLIMIT_NOFILE {} is above fs.nr_open ({most})", limit.hard),
                    format!("/process/rlimits/{i}"),
                )
                .remedy("raise fs.nr_open, or ask for less");
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
    let own = asked.read("/proc/self/oom_score_adj").unwrap_or_default();
    if let Ok(own) = own.trim_end().parse::<i32>()
        && wanted < own
    {
        let detail = format!("oomScoreAdj {wanted} is below ours ({own}): lowering it takes CAP_SYS_RESOURCE");
        findings.error("rights", detail, "/process/oomScoreAdj").remedy(GRANT);
    }
}

/// In a user namespace only ids that it maps can be given on.
fn outer_ids(findings: &mut Findings, asked: &Asked<'_>) {
    if !asked.in_user_namespace() {
        return;
    }
    for (file, mappings, field) in maps(asked, "/proc/self/uid_map", "/proc/self/gid_map") {
        let ours: Vec<(u64, u64)> = ranges(&asked.read(file).unwrap_or_default(), char::is_whitespace);
        if let Some(i) = outside(mappings, &ours) {
            findings
                .error(
                    "rights",
                    "these ids are not mapped in the user namespace that we are in",
                    format!("{field}/{i}"),
                )
                .remedy(format!("use ids of {file}"));
        }
    }
}

type Maps<'a> = [(&'static str, &'a [IdMapping], &'static str); 2];

fn maps<'a>(asked: &'a Asked<'_>, uid: &'static str, gid: &'static str) -> Maps<'a> {
    [(uid, &asked.linux.uid_mappings, "/linux/uidMappings"), (gid, &asked.linux.gid_mappings, "/linux/gidMappings")]
}

/// Of lines with a name, a first id and a count: the last two.
fn ranges(text: &str, separator: fn(char) -> bool) -> Vec<(u64, u64)> {
    let range = |line: &str| {
        let mut fields = line.trim().split(separator).filter(|f| !f.is_empty()).skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    text.lines().filter_map(range).collect()
}

/// The first mapping whose ids of the host are not in one of the ranges (first, count).
fn outside(mappings: &[IdMapping], ranges: &[(u64, u64)]) -> Option<usize> {
    let inside = |m: &IdMapping| {
        let (first, end) = (u64::from(m.host_id), u64::from(m.host_id).saturating_add(m.size.into()));
        ranges.iter().any(|(start, count)| first >= *start && end <= start.saturating_add(*count))
    };
    mappings.iter().position(|m| !inside(m))
}

/// A user may map one id, their own; the rest is done by two set-uid programs, for ids that were granted (subuid(5)).
fn id_maps(findings: &mut Findings, asked: &Asked<'_>) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let helpers = [("newuidmap", uid), ("newgidmap", gid)];
    for ((file, mappings, field), (program, own)) in maps(asked, "/etc/subuid", "/etc/subgid").into_iter().zip(helpers)
    {
        if matches!(mappings, [one] if one.size == 1 && one.host_id == own) {
            continue;
        }
        match std::env::split_paths(&path).find(|dir| std::fs::metadata(dir.join(program)).is_ok()) {
            Some(dir) => findings.ok("rights", format!("id maps by {}", dir.join(program).display()), field),
            None => findings
                .error("rights", format!("mapping more than one's own id takes {program}, not in PATH"), field)
                .remedy("Debian's package uidmap has it"),
        }
        let mut granted = granted(asked, file, uid);
        granted.push((own.into(), 1));
        if let Some(i) = outside(mappings, &granted) {
            // It may be granted by another source of subuid (nsswitch.conf(5)).
            findings
                .warning("rights", format!("{file} does not grant these ids to user {uid}"), format!("{field}/{i}"))
                .remedy("usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST USER");
        }
    }
}

/// subuid(5): `name or id:first:count`.
fn granted(asked: &Asked<'_>, file: &str, uid: u32) -> Vec<(u64, u64)> {
    let passwd = asked.read("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    let name = passwd.lines().find(|line| line.split(':').nth(2) == Some(number.as_str()));
    let name = name.and_then(|line| line.split(':').next()).unwrap_or(&number);
    let text = asked.read(file).unwrap_or_default();
    let of_user = |line: &&str| line.split(':').next().is_some_and(|user| user == name || user == number);
    let lines: Vec<&str> = text.lines().filter(of_user).collect();
    ranges(&lines.join("\n"), |c| c == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_within_ranges() {
        let map = |host_id, size| IdMapping { container_id: 0, host_id, size };
        let granted = ranges("me:100000:65536\nme:7:1\nbroken\n", |c| c == ':');
        assert_eq!(granted, [(100_000, 65536), (7, 1)]);
        assert_eq!(ranges("         0     100000      65536\n", char::is_whitespace), [(100_000, 65536)]);
        for (mapping, inside) in
            [(map(100_000, 65536), true), (map(100_000, 65537), false), (map(99_999, 2), false), (map(7, 1), true)]
        {
            assert_eq!(outside(&[mapping], &granted).is_none(), inside);
        }
        assert_eq!(outside(&[map(7, 1), map(u32::MAX, u32::MAX)], &granted), Some(1));
    }
}
