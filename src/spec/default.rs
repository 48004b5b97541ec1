//! What `dunnage spec` writes: a bundle to begin with, the same as runc's.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::{
    Capabilities, DeviceRule, IdMapping, Linux, Mount, Namespace, Process, Resources, Rlimit, Root, Spec, User,
};
use crate::error::{Error, Result};

/// The version of the specification that we implement.
pub const OCI_VERSION: &str = "1.3.0";

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

/// The configuration for root. A cgroup namespace is of use with cgroup v2 only.
pub fn spec(cgroup_v2: bool) -> Spec {
    Spec {
        oci_version: OCI_VERSION.into(),
        process: Some(process()),
        root: Some(Root { path: "rootfs".into(), readonly: true }),
        hostname: "runc".into(),
        mounts: mounts(),
        linux: Some(linux(cgroup_v2)),
        ..Spec::default()
    }
}

/// The configuration for a user who is not root: one who is mapped to the container's root, and has nothing else.
pub fn rootless(cgroup_v2: bool, uid: u32, gid: u32) -> Spec {
    let mut spec = spec(cgroup_v2);
    for mount in &mut spec.mounts {
        // Ids other than the one that is mapped can't be given to a filesystem.
        mount.options.retain(|o| !o.starts_with("uid=") && !o.starts_with("gid="));
        if mount.destination == "/sys" {
            // sysfs can be mounted only by the owner of the network namespace, and that one is the host's.
            mount.kind = "none".into();
            mount.source = "/sys".into();
            mount.options = strings(&["rbind", "nosuid", "noexec", "nodev", "ro"]);
        }
    }
    if let Some(linux) = &mut spec.linux {
        linux.resources = None;
        linux.uid_mappings = vec![IdMapping { container_id: 0, host_id: uid, size: 1 }];
        linux.gid_mappings = vec![IdMapping { container_id: 0, host_id: gid, size: 1 }];
        linux.namespaces.retain(|n| n.kind != "network");
        linux.namespaces.push(Namespace { kind: "user".into(), path: String::new() });
    }
    spec
}

fn process() -> Process {
    let caps = strings(&["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    Process {
        terminal: true,
        user: User::default(),
        args: strings(&["sh"]),
        env: strings(&["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"]),
        cwd: "/".into(),
        capabilities: Some(Capabilities {
            bounding: caps.clone(),
            effective: caps.clone(),
            permitted: caps,
            ..Capabilities::default()
        }),
        rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".into(), hard: 1024, soft: 1024 }],
        no_new_privileges: true,
        ..Process::default()
    }
}

/// Destination, type, source, options.
const MOUNTS: &[(&str, &str, &str, &[&str])] = &[
    ("/proc", "proc", "proc", &[]),
    ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
];

fn mounts() -> Vec<Mount> {
    let mount = |(destination, kind, source, options): &(&str, &str, &str, &[&str])| Mount {
        destination: (*destination).into(),
        kind: (*kind).into(),
        source: (*source).into(),
        options: strings(options),
        ..Mount::default()
    };
    MOUNTS.iter().map(mount).collect()
}

fn linux(cgroup_v2: bool) -> Linux {
    let mut namespaces = strings(&["pid", "network", "ipc", "uts", "mount"]);
    if cgroup_v2 {
        namespaces.push("cgroup".into());
    }
    Linux {
        resources: Some(Resources {
            devices: vec![DeviceRule { allow: false, access: "rwm".into(), ..DeviceRule::default() }],
            ..Resources::default()
        }),
        namespaces: namespaces.into_iter().map(|kind| Namespace { kind, path: String::new() }).collect(),
        masked_paths: strings(&[
            "/proc/acpi",
            "/proc/asound",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/sys/firmware",
            "/proc/scsi",
        ]),
        readonly_paths: strings(&["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]),
        ..Linux::default()
    }
}

/// JSON as runc writes config.json: indented with tabs, no newline at the end.
pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b"\t")))
        .map_err(|e| Error::new(format!("write json: {e}")))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse;

    #[test]
    fn written_as_runc_writes_it() {
        let text = String::from_utf8(to_json(&spec(false)).unwrap()).unwrap();
        assert!(text.starts_with(
            "{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n\t\t\"terminal\": true,\n\t\t\"user\": {\n\
             \t\t\t\"uid\": 0,\n\t\t\t\"gid\": 0\n\t\t},\n\t\t\"args\": [\n\t\t\t\"sh\"\n\t\t],\n\t\t\"env\": [\n"
        ));
        assert!(text.ends_with("\t\t\t\"/proc/sysrq-trigger\"\n\t\t]\n\t}\n}"));
        assert!(
            text.contains("\"devices\": [\n\t\t\t\t{\n\t\t\t\t\t\"allow\": false,\n\t\t\t\t\t\"access\": \"rwm\"\n")
        );
        assert!(!text.contains("null") && !text.contains("inheritable"));
    }

    #[test]
    fn reads_back_the_same() {
        for spec in [spec(false), spec(true), rootless(true, 1000, 100)] {
            assert_eq!(parse::config(&to_json(&spec).unwrap()).unwrap(), spec);
        }
    }

    #[test]
    fn rootless_differs_in_what_a_user_may_not_do() {
        let spec = rootless(true, 1000, 100);
        let linux = spec.linux.unwrap();
        let kinds: Vec<&str> = linux.namespaces.iter().map(|n| n.kind.as_str()).collect();
        assert_eq!(kinds, ["pid", "ipc", "uts", "mount", "cgroup", "user"]);
        assert_eq!(linux.uid_mappings, [IdMapping { container_id: 0, host_id: 1000, size: 1 }]);
        assert_eq!(linux.gid_mappings, [IdMapping { container_id: 0, host_id: 100, size: 1 }]);
        assert_eq!(linux.resources, None);
        assert!(spec.mounts.iter().all(|m| !m.options.iter().any(|o| o.starts_with("gid="))));
        let sys = spec.mounts.iter().find(|m| m.destination == "/sys").unwrap();
        assert_eq!((sys.kind.as_str(), sys.source.as_str()), ("none", "/sys"));
        assert_eq!(sys.options, ["rbind", "nosuid", "noexec", "nodev", "ro"]);
        assert!(spec.mounts.iter().any(|m| m.destination == "/sys/fs/cgroup"));
    }
}
