//! Containers in a container, on cgroup v2: each has a cgroup namespace and its cgroups mounted for writing.

use crate::cgroup2::unified;
use crate::common::{Bundle, Value, case, json};
use std::fs;

/// Makes the bundle's container, and those of the bundles `/2` and `/3` in it, able to hold another.
fn nested(b: &mut Bundle) {
    fs::copy(&b.runtime().path, b.rootfs("/runtime")).unwrap();
    let all: Vec<String> = [
        "SYS_ADMIN",
        "MKNOD",
        "SETUID",
        "SETGID",
        "SETPCAP",
        "NET_ADMIN",
        "SYS_CHROOT",
        "DAC_OVERRIDE",
        "KILL",
        "CHOWN",
        "FOWNER",
        "SYS_RESOURCE",
        "BPF",
        "PERFMON",
        "AUDIT_WRITE",
        "NET_BIND_SERVICE",
        "SYS_PTRACE",
    ]
    .iter()
    .map(|name| format!("CAP_{name}"))
    .collect();
    b.all_capabilities(&all.iter().map(String::as_str).collect::<Vec<_>>());
    b.namespace("cgroup", None).set("/root/readonly", false).set("/linux/maskedPaths", json!([]));
    b.set("/linux/readonlyPaths", json!([])).set("/linux/resources/devices", json!([{"allow": true, "access": "rwm"}]));
    let last = b.config["mounts"].as_array().unwrap().len() - 1;
    b.set(&format!("/mounts/{last}/options"), json!(["nosuid", "noexec", "nodev"]));
    b.mount(json!({"destination": "/run", "type": "tmpfs", "source": "tmpfs"}));
    b.mount(json!({"destination": "/below", "type": "bind", "source": b.rootfs("/").display().to_string(), "options": ["bind"]}));
    for dir in ["/run", "/below"] {
        fs::create_dir_all(b.rootfs(dir)).unwrap();
    }
}

fn inner(b: &Bundle, level: &str, line: &str, resources: Value) {
    let mut config = b.config.clone();
    config["process"]["args"] = json!(["/bin/sh", "-c", line]);
    config["root"]["path"] = json!("/below");
    config["linux"]["cgroupsPath"] = json!(format!("/level{level}"));
    config["linux"]["resources"] = resources;
    let mounts = config["mounts"].as_array_mut().unwrap();
    mounts.last_mut().unwrap()["source"] = json!("/below");
    fs::create_dir_all(b.rootfs(level)).unwrap();
    fs::write(b.rootfs(level).join("config.json"), config.to_string()).unwrap();
}

fn devices() -> Value {
    json!({"devices": [{"allow": true, "access": "rwm"}]})
}

#[test]
fn three_levels() {
    case(|b| {
        unified(b);
        nested(b);
        inner(b, "2", "exec /runtime --root /run/d run --bundle /3 c3", devices());
        inner(b, "3", "grep ^0: /proc/self/cgroup; ls -d /sys/fs/cgroup/cgroup.procs", devices());
        b.sh("/runtime --root /run/d run --bundle /2 c2 && ls -d /sys/fs/cgroup/level2 || echo gone");
        let out = b.run().ok();
        assert_eq!(out.out, "0::/\n/sys/fs/cgroup/cgroup.procs\ngone\n", "{out}");
        b.assert_gone();
    });
}

#[test]
fn a_life_inside() {
    case(|b| {
        unified(b);
        nested(b);
        inner(b, "2", "sleep 100", devices());
        b.sh("r='/runtime --root /run/d'; set -e
              $r run --detach --bundle /2 c2
              $r exec c2 grep ^0: /proc/self/cgroup
              mkdir /sys/fs/cgroup/level2/sub; $r exec --cgroup sub c2 grep ^0: /proc/self/cgroup
              $r pause c2; $r state c2 | grep -c paused; $r resume c2
              $r kill c2 KILL; $r delete --force c2
              test ! -e /sys/fs/cgroup/level2 && echo gone");
        let out = b.run().ok();
        assert_eq!(out.out, "0::/\n0::/sub\n1\ngone\n", "{out}");
    });
}

/// A cgroup with processes passes no controllers on ("no internal processes"): limits need the processes in a leaf first.
#[test]
fn limits_need_a_leaf() {
    case(|b| {
        unified(b);
        nested(b);
        let limit = json!({"devices": [{"allow": true, "access": "rwm"}], "hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]});
        // systemd has no hand in this controller: the outer container gets it if it asks for it.
        b.set("/linux/resources/hugepageLimits", limit["hugepageLimits"].clone());
        inner(b, "2", "cat /sys/fs/cgroup/hugetlb.2MB.max", limit);
        b.sh("/runtime --root /run/d run --bundle /2 c2; ls /run/d; test -e /sys/fs/cgroup/level2 && echo left
              mkdir /sys/fs/cgroup/leaf && echo 0 > /sys/fs/cgroup/leaf/cgroup.procs
              /runtime --root /run/d run --bundle /2 c2");
        let out = b.run().ok();
        assert_eq!(out.out, "4194304\n", "{out}");
        out.err_has("/linux/resources/hugepageLimits/0").err_has("move them into a cgroup below it");
    });
}
