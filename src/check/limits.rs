//! What a host can run out of: keys, mounts, processes. Each shows later as an errno that names something else.

use super::{Asked, Findings};

pub(super) fn look(findings: &mut Findings, asked: &Asked<'_>) {
    keys(findings, asked);
    mounts(findings, asked);
    processes(findings, asked);
}

/// From 9 of 10 on it is worth a word.
fn is_close(used: u64, limit: u64) -> bool {
    used.saturating_mul(10) >= limit.saturating_mul(9)
}

/// keyrings(7), "/proc files": `uid: usage nkeys/nikeys qnkeys/maxkeys qnbytes/maxbytes`. A container's session keyring
/// belongs to its root.
fn keys(findings: &mut Findings, asked: &Asked<'_>) {
    let uid = match asked.has_user_namespace() {
        true => asked.host_root(&asked.linux.uid_mappings),
        false => nix::unistd::geteuid().as_raw(),
    };
    let Some(text) = asked.read("/proc/key-users") else { return };
    let of_user = |line: &&str| line.split_once(':').is_some_and(|(id, _)| id.trim() == uid.to_string());
    let quota = text.lines().find(of_user).and_then(|line| line.split_ascii_whitespace().nth(3));
    let Some((used, limit)) = quota.and_then(|quota| quota.split_once('/')) else { return };
    let (Ok(used), Ok(limit)) = (used.parse(), limit.parse()) else { return };
    let name = if uid == 0 { "kernel.keys.root_maxkeys" } else { "kernel.keys.maxkeys" };
    let detail = format!("user {uid} has {used} of {limit} keys; every container takes one");
    match used {
        _ if !is_close(used, limit) => return,
        n if n >= limit => findings.error("limits", detail, ""),
        _ => findings.warning("limits", detail, ""),
    }
    .remedy(format!("raise {name}, or use --no-new-keyring"));
}

/// A container's mount namespace begins with a copy of ours.
fn mounts(findings: &mut Findings, asked: &Asked<'_>) {
    let Some(limit) = asked.sysctl_number("fs/mount-max") else { return };
    let ours = asked.read("/proc/self/mountinfo").unwrap_or_default().lines().count();
    let (masked, read_only) = (asked.linux.masked_paths.len(), asked.linux.readonly_paths.len());
    let wanted = [ours, asked.spec.mounts.len(), masked, read_only].into_iter().fold(1_usize, usize::saturating_add);
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    let detail = format!("the mount namespace will have about {wanted} mounts of {limit}, {ours} of them the host's");
    match wanted {
        n if n > limit => findings.error("limits", detail, "/mounts"),
        n if is_close(n, limit) => findings.warning("limits", detail, "/mounts"),
        _ => return,
    }
    .remedy("raise fs.mount-max, or unmount what nobody needs");
}

/// proc_loadavg(5): the fourth field is running/existing scheduling entities.
fn processes(findings: &mut Findings, asked: &Asked<'_>) {
    let loadavg = asked.read("/proc/loadavg").unwrap_or_default();
    let existing = loadavg.split_ascii_whitespace().nth(3).and_then(|field| field.split_once('/')).map(|(_, n)| n);
    let Some(used) = existing.and_then(|n| n.parse::<u64>().ok()) else { return };
    for name in ["kernel/pid_max", "kernel/threads-max"] {
        let Some(limit) = asked.sysctl_number(name).filter(|limit| is_close(used, *limit)) else { continue };
        let name = name.replace('/', ".");
        findings
            .warning("limits", format!("{used} threads run, {name} is {limit}"), "")
            .remedy(format!("raise {name}, or end what runs away"));
    }
}
