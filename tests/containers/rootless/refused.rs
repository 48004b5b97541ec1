//! What a container without root cannot have, and the words for it.

use super::{UID, ordinary_user, own_network, remount};
use crate::common::{Bundle, case, json};

/// What a configuration asks for, with the words and the field of the error.
type Row = (&'static str, fn(&mut Bundle), &'static str, &'static str);

const ROWS: &[Row] = &[
    (
        "no user namespace",
        |b| {
            b.drop_namespace("user");
        },
        "rootless container requires user namespaces",
        "/linux/namespaces",
    ),
    (
        "no uids",
        |b| {
            b.set("/linux/uidMappings", json!([]));
        },
        "user namespaces enabled, but no uid mappings found",
        "/linux/uidMappings",
    ),
    (
        "no gids",
        |b| {
            b.set("/linux/gidMappings", json!([]));
        },
        "user namespaces enabled, but no gid mappings found",
        "/linux/gidMappings",
    ),
    (
        "no root inside",
        |b| {
            b.set("/linux/uidMappings/0/containerID", 1000);
        },
        "user namespaces enabled, but no mapping found for uid 0",
        "/linux/uidMappings",
    ),
    (
        "uid= of somebody else",
        |b| {
            b.mount(json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["uid=5"]}));
        },
        "cannot specify uid=5 mount option for rootless container: user namespaces enabled, but no mapping found for uid 5",
        "/mounts/7/options/0",
    ),
    (
        "gid= of somebody else",
        |b| {
            b.mount(json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "gid=7"]}));
        },
        "cannot specify gid=7 mount option for rootless container: user namespaces enabled, but no mapping found for gid 7",
        "/mounts/7/options/1",
    ),
    (
        "more groups",
        |b| {
            b.set("/process/user/additionalGids", json!([7]));
        },
        "cannot set any additional groups in a rootless container",
        "/process/user/additionalGids",
    ),
    (
        "network devices",
        |b| {
            own_network(b).set("/linux/netDevices/lo", json!({}));
        },
        "network devices are not supported for rootless containers",
        "/linux/netDevices",
    ),
    (
        "id-mapped mounts",
        |b| {
            b.mount(json!({"destination": "/mnt", "type": "bind", "source": "/etc", "options": ["bind", "idmap"]}));
        },
        "id-mapped mounts are not supported for rootless containers",
        "/mounts/7",
    ),
    (
        "a user that is not mapped",
        |b| {
            b.set("/process/user/uid", 5);
        },
        "",
        "/process/user/uid",
    ),
    (
        "a procfs of the host's pid namespace",
        |b| {
            b.drop_namespace("pid");
        },
        "operation not permitted",
        "/mounts/0",
    ),
    (
        "a sysfs of the host's network",
        |b| {
            remount(b, "/sys", json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}));
        },
        "operation not permitted",
        "/mounts/5",
    ),
    (
        "a block device's file system",
        |b| {
            b.mount(json!({"destination": "/mnt", "type": "ext4", "source": "/dev/vda", "options": ["ro"]}));
        },
        "error mounting \"/dev/vda\" to rootfs at \"/mnt\"",
        "/mounts/7",
    ),
    (
        "a better oom score",
        |b| {
            b.set("/process/oomScoreAdj", -500);
        },
        "failed to update /proc/self/oom_score_adj",
        "/process/oomScoreAdj",
    ),
    (
        "a higher limit",
        |b| {
            b.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 9_000_000, "hard": 9_000_000}]));
        },
        "error setting rlimit",
        "/process/rlimits/0",
    ),
    (
        "real time",
        |b| {
            b.set("/process/scheduler", json!({"policy": "SCHED_FIFO", "priority": 10}));
        },
        "operation not permitted",
        "/process/scheduler",
    ),
    (
        "a sysctl of the host",
        |b| {
            b.set("/linux/sysctl", json!({"kernel.core_pattern": "x"}));
        },
        "sysctl \"kernel.core_pattern\" is not in a separate kernel namespace",
        "/linux/sysctl/kernel.core_pattern",
    ),
    (
        "a sysctl of the host's network",
        |b| {
            b.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
        },
        "sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace",
        "/linux/sysctl/net.ipv4.ip_forward",
    ),
];

/// The words are those of runc, which tells no field.
#[test]
fn what_takes_root() {
    case(|b| {
        // A service of systemd's may have a better one; what root sets for itself is the best for those who are not.
        std::fs::write("/proc/self/oom_score_adj", "0").unwrap();
        ordinary_user(b).args(&["/bin/true"]);
        let config = b.config.clone();
        for (what, change, words, field) in ROWS {
            b.config = config.clone();
            change(b);
            let out = b.run();
            assert!(out.code == 1 && !out.out.contains("command not found"), "{what}\n{out}");
            assert!(out.err.replace("\\\"", "\"").contains(words), "{what}: {words}\n{out}");
            if b.runtime().name == "dunnage" {
                assert!(out.err.contains(field), "{what}: {field}\n{out}");
            }
            b.assert_gone();
        }
    });
}

/// What a mount of the host's has, it keeps: the kernel does not let the user take it off.
#[test]
fn locked_flags_stay() {
    case(|b| {
        let shared = b.path("shared");
        std::fs::create_dir(&shared).unwrap();
        ordinary_user(b);
        let source = shared.display().to_string();
        let mount = format!("mount -t tmpfs -o ro,nosuid,nodev,noexec,mode=777 tmpfs {source}");
        let config = b.config.clone();
        crate::common::Command::new(["sh", "-c", &mount]).output().ok();
        // Not asked for: they stay. Asked away: refused.
        for (options, words) in [
            (json!(["bind"]), None),
            (json!(["rbind", "ro"]), None),
            (json!(["bind", "nosuid"]), None),
            (json!(["bind", "rw"]), Some("locked")),
            (json!(["bind", "exec"]), Some("locked")),
        ] {
            b.config = config.clone();
            b.mount(json!({"destination": "/mnt", "type": "bind", "source": source, "options": options}));
            b.sh("grep ' /mnt ' /proc/self/mountinfo; touch /mnt/x");
            let out = b.run();
            match words {
                None => {
                    let out = out.code(1).out_has(" ro,nosuid,nodev,noexec").err_has("Read-only file system");
                    assert!(!out.err.contains("runc run failed"), "{out}");
                }
                Some(words) => {
                    out.fails(1, words);
                }
            }
        }
        crate::common::Command::new(["umount", &source]).output().ok();
    });
}

/// Only as root of the host may a map of ours name ids that are not ours.
#[test]
fn somebody_elses_files() {
    case(|b| {
        ordinary_user(b);
        let secret = b.path("secret");
        std::fs::write(&secret, "of root").unwrap();
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        b.mount(json!({"destination": "/mnt/secret", "type": "bind", "source": secret.display().to_string(), "options": ["bind"]}));
        std::fs::write(b.rootfs("/mnt/secret"), "").unwrap();
        b.sh("id -u; for c in 'cat /mnt/secret' 'true >/mnt/secret' 'chown 0 /mnt/secret'; do (eval $c) && echo $c; done; stat -c %u /mnt/secret");
        let out = b.run().ok();
        assert_eq!(out.out, "0\n65534\n", "{out}");
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "of root");
        // A source that the user cannot reach.
        let hidden = b.path("hidden");
        super::private(&hidden, 0);
        std::fs::write(hidden.join("file"), "").unwrap();
        let source = hidden.join("file").display().to_string();
        b.set(
            "/mounts/7",
            json!({"destination": "/mnt/secret", "type": "bind", "source": source, "options": ["bind"]}),
        );
        b.run().fails(1, "permission denied");
        assert_ne!(UID, 0);
    });
}
