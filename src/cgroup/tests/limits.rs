//! Limits and device rules, asked of the kernel after they were written, and of a process that tries.

use std::time::{Duration, Instant};

use super::super::host::{ROOT, Version};
use super::super::*;
use super::{Fixture, assert_killed, on_both, on_v2};
use crate::spec::DeviceRule;

/// What a shell in the cgroup can do with /dev/kmsg (1:11) and /dev/null, and with a node that it makes: in /dev, since no device
/// can be opened in a /tmp that is mounted nodev.
const PROBE: &str = "
    t=$(mktemp -d /dev/dunnage-test-XXXXXX); mknod $t/null c 1 3 && echo mknod; (: < $t/null) && echo null; (: > /dev/null) && echo write;
    (: < /dev/kmsg) && echo kmsg; (: < /dev/pts/ptmx) && echo ptmx; rm -r $t; exit 0";

fn probe(t: &Fixture, cgroup: &mut Cgroup) -> String {
    let output = t.spawn(cgroup, PROBE).wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().replace('\n', " ").trim().into()
}

#[test]
fn devices_are_what_the_rules_say() {
    on_both("limits::devices_are_what_the_rules_say", || {
        let t = Fixture::new("devices");
        let mut cgroup = t.create("{}").unwrap();
        let apply = |cgroup: &Cgroup, rules: &str| {
            let list = DeviceList::new(&serde_json::from_str::<Vec<DeviceRule>>(rules).unwrap(), &[]).unwrap();
            cgroup.apply(&t.settings("{}"), Some(&list), false).unwrap();
        };
        assert_eq!(probe(&t, &mut cgroup), "mknod null write kmsg ptmx", "before any rule");
        apply(&cgroup, r#"[{"allow":false,"access":"rwm"}]"#);
        assert_eq!(probe(&t, &mut cgroup), "mknod null write ptmx", "the default list");
        // The same cgroup again, as `exec`, `update` or a restarted container has it.
        let mut cgroup = t.owned.open().unwrap();
        let kmsg = r#"[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]"#;
        apply(&cgroup, kmsg);
        assert_eq!(probe(&t, &mut cgroup), "mknod null write kmsg ptmx");
        apply(&cgroup, "[]");
        assert_eq!(probe(&t, &mut cgroup), "mknod null write ptmx");
        // A deny-list.
        apply(
            &cgroup,
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":11,"access":"r"}]"#,
        );
        assert_eq!(probe(&t, &mut cgroup), "mknod null write ptmx");
        apply(&cgroup, r#"[{"allow":true,"access":"rwm"}]"#);
        let expected = if t.host.version() == Version::V2 {
            "mknod null write kmsg ptmx"
        } else {
            // The kernel does not show the exceptions of a deny-list, so they stay; runc has the same limit.
            "mknod null write ptmx"
        };
        assert_eq!(probe(&t, &mut cgroup), expected);
    });
}

#[test]
fn limits_of_v1() {
    let t = Fixture::new("limits");
    if t.host.version() == Version::V2 {
        println!("this host has cgroup v2 alone: see limits_of_v2");
        assert!(t.host.hierarchies.len() == 1);
        return;
    }
    let cgroup = t.create(r#"{"cpu":{"cpus":"0","mems":"0"}}"#).unwrap();
    assert_eq!((t.file("cpuset", "cpuset.cpus"), t.file("cpuset", "cpuset.mems")), ("0".into(), "0".into()));
    let apply = |json: &str| t.owned.open().unwrap().apply(&t.settings(json), None, false).map_err(|e| e.to_string());
    cgroup
        .apply(
            &t.settings(
                r#"{"memory":{"limit":33554432,"reservation":16777216,"swappiness":10},"pids":{"limit":20},
                "cpu":{"shares":512,"quota":20000,"period":50000,"burst":1000}}"#,
            ),
            None,
            false,
        )
        .unwrap();
    for (key, file, value) in [
        ("memory", "memory.limit_in_bytes", "33554432"),
        ("memory", "memory.soft_limit_in_bytes", "16777216"),
        ("memory", "memory.swappiness", "10"),
        ("pids", "pids.max", "20"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "20000"),
        ("cpu", "cpu.cfs_period_us", "50000"),
    ] {
        assert_eq!(t.file(key, file), value, "{file}");
    }
    // In steps whose order matters: memory.limit <= memory.memsw.limit, and quota/period.
    for json in [
        r#"{"memory":{"limit":67108864,"swap":67108864}}"#,
        r#"{"memory":{"limit":134217728,"swap":134217728}}"#,
        r#"{"memory":{"limit":33554432,"swap":50331648}}"#,
        r#"{"memory":{"limit":-1}}"#,
        r#"{"memory":{"limit":33554432,"swap":-1}}"#,
        r#"{"cpu":{"quota":1000,"period":1000}}"#,
        r#"{"cpu":{"quota":1000000,"period":1000000,"burst":500000}}"#,
        r#"{"cpu":{"quota":-1,"burst":0}}"#,
    ] {
        apply(json).unwrap_or_else(|e| panic!("{json}: {e}"));
    }
    assert_eq!(t.file("memory", "memory.limit_in_bytes"), "33554432");
    assert_eq!(
        apply(r#"{"cpu":{"shares":1}}"#).unwrap_err(),
        "the minimum allowed cpu-shares is 2 (config.json /linux/resources/cpu/shares)"
    );
    assert_eq!(
        apply(r#"{"cpu":{"shares":262145}}"#).unwrap_err(),
        "the maximum allowed cpu-shares is 262144 (config.json /linux/resources/cpu/shares)"
    );
    let e = apply(r#"{"rdma":{"mlx5_1":{"hcaHandles":3}}}"#).unwrap_err();
    let expected = "cannot set rdma limit: container could not join or create cgroup";
    assert!(t.host.hierarchy("rdma").is_some() || e.starts_with(expected), "{e}");
    // A limit below what is in use.
    let mut child = t.spawn(&cgroup, "x=$(head -c 8000000 /dev/zero | tr '\\0' x); echo ready; sleep 100");
    let mut ready = [0u8; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    apply(r#"{"memory":{"swappiness":0}}"#).unwrap();
    match apply(r#"{"memory":{"limit":4096}}"#) {
        Err(e) => assert!(e.starts_with("unable to set memory limit to 4096 (current usage: "), "{e}"),
        // It could all be swapped out.
        Ok(()) => assert_eq!(t.file("memory", "memory.limit_in_bytes"), "4096"),
    }
    t.owned.kill_all().unwrap();
    assert_killed(&mut child);
    assert_eq!(t.owned.oom_kills().unwrap(), Some(0));
}

#[test]
fn the_kernel_kills_for_memory_and_we_see_it() {
    let t = Fixture::new("oom");
    if t.host.version() == Version::V2 && !t.host.available_controllers().unwrap().contains(&"memory".into()) {
        println!("this host's cgroup v2 has no memory controller");
        return;
    }
    let cgroup = t.create("{}").unwrap();
    cgroup.apply(&t.settings(r#"{"memory":{"limit":4194304,"swap":4194304}}"#), None, false).unwrap();
    let mut child = t.spawn(&cgroup, "x=$(head -c 50000000 /dev/zero | tr '\\0' x); sleep 100");
    let until = Instant::now() + Duration::from_secs(20);
    while t.owned.oom_kills().unwrap() == Some(0) {
        assert!(Instant::now() < until, "no oom_kill");
        std::thread::sleep(Duration::from_millis(5));
    }
    t.owned.kill_all().unwrap();
    let _ = child.wait().unwrap();
}

#[test]
fn limits_of_v2() {
    on_v2("limits::limits_of_v2", || {
        let t = Fixture::new("limits");
        let controllers = t.host.available_controllers().unwrap();
        let has = |name: &str| controllers.iter().any(|c| c == name);
        let cgroup = t.create("{}").unwrap();
        let here = t.file("", "cgroup.controllers");
        assert_eq!(here.split(' ').filter(|c| !c.is_empty()).count(), controllers.len(), "{here} of {controllers:?}");
        let apply = |json: &str| cgroup.apply(&t.settings(json), None, false).map_err(|e| e.to_string());
        for (controller, json, file, value) in [
            ("pids", r#"{"pids":{"limit":20}}"#, "pids.max", "20"),
            ("memory", r#"{"memory":{"limit":33554432}}"#, "memory.max", "33554432"),
            ("cpu", r#"{"cpu":{"shares":512}}"#, "cpu.weight", "59"),
            ("hugetlb", r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#, "hugetlb.2MB.max", "4194304"),
            ("hugetlb", r#"{"unified":{"hugetlb.2MB.max":"2097152\n"}}"#, "hugetlb.2MB.max", "2097152"),
            ("memory", r#"{"unified":{"memory.high":"8388608"}}"#, "memory.high", "8388608"),
            ("cgroup", r#"{"unified":{"cgroup.max.depth":"7"}}"#, "cgroup.max.depth", "7"),
        ] {
            if controller == "cgroup" || has(controller) {
                apply(json).unwrap_or_else(|e| panic!("{json}: {e}"));
                assert_eq!(t.file("", file), value, "{file}");
            } else {
                println!("cgroup v2 has no {controller} here; its limit must be refused for that reason");
                let e = apply(json).unwrap_err();
                let unified =
                    format!("unified resource {file:?} can't be set: controller {controller:?} not available");
                let plain = format!("/{file}: no such file or directory");
                let hint = format!("the cgroup has no controller {controller:?}");
                assert!(e.starts_with(&unified) || (e.contains(&plain) && e.contains(&hint)), "{e}");
            }
        }
        let e = apply(r#"{"unified":{"cgroup.max.depth":"x"}}"#).unwrap_err();
        assert!(
            e.starts_with("unable to set unified resource \"cgroup.max.depth\": failed to write \"x\": write "),
            "{e}"
        );
        assert!(
            e.ends_with("cgroup.max.depth: invalid argument (config.json /linux/resources/unified/cgroup.max.depth)")
        );
    });
}

#[test]
fn threaded_parents() {
    on_v2("limits::threaded_parents", || {
        let t = Fixture::new("threaded");
        let dir = |below: &str| super::super::dir::Dir::at(format!("{ROOT}{}{below}", t.name));
        for below in ["", "/pod", "/pod/sibling"] {
            std::fs::create_dir(dir(below).path).unwrap();
        }
        dir("/pod/sibling").write("cgroup.type", "threaded").unwrap();
        assert_eq!(dir("/pod").read_value("cgroup.type").unwrap(), "domain threaded");
        let e = t.create(r#"{"memory":{"limit":1}}"#).unwrap_err().to_string();
        assert!(e.starts_with("cannot enter cgroupv2") && e.contains("invalid state"), "{e}");
        t.create("{}").unwrap();
        assert_eq!(t.file("", "cgroup.type"), "threaded");
    });
}
