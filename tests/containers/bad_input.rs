//! Resources that cannot be: each is an error that names the field, and nothing is left behind, above the container's cgroup
//! neither.

use crate::cgroup2::unified;
use crate::common::{Bundle, Command, Driver, case, host, json};
use std::fs;
use std::path::PathBuf;

/// `V1`: cgroup v2 has no such limit, or none that is refused. `ByUs`: it is rounded up for systemd.
#[derive(Clone, Copy, PartialEq)]
enum On {
    Both,
    V1,
    ByUs,
}
use On::{Both, ByUs, V1};

/// `linux.resources` -> the field that the error names.
const BAD: &[(On, &str, &str)] = &[
    (Both, r#"{"memory":{"limit":-2}}"#, "/memory/limit"),
    (Both, r#"{"memory":{"limit":9223372036854775808}}"#, "/memory/limit"),
    (Both, r#"{"memory":{"limit":1.5}}"#, "/memory/limit"),
    (Both, r#"{"memory":{"limit":"1G"}}"#, "/memory/limit"),
    (Both, r#"{"memory":{"limit":1}}"#, "/memory"),
    (Both, r#"{"memory":{"limit":8192}}"#, "/memory"),
    (Both, r#"{"memory":{"limit":67108864,"swap":-7}}"#, "/memory/swap"),
    (Both, r#"{"memory":{"limit":67108864,"swap":1048576}}"#, "/memory/swap"),
    (Both, r#"{"memory":{"swap":1048576}}"#, "/memory/swap"),
    (Both, r#"{"memory":{"reservation":-5}}"#, "/memory/reservation"),
    (Both, r#"{"memory":{"swappiness":-1}}"#, "/memory/swappiness"),
    (V1, r#"{"memory":{"swappiness":101}}"#, "/memory/swappiness"),
    (Both, r#"{"memory":{"disableOOMKiller":1}}"#, "/memory/disableOOMKiller"),
    (Both, r#"{"cpu":{"shares":-1}}"#, "/cpu/shares"),
    (V1, r#"{"cpu":{"shares":1}}"#, "/cpu/shares"),
    (V1, r#"{"cpu":{"shares":18446744073709551615}}"#, "/cpu/shares"),
    (ByUs, r#"{"cpu":{"quota":1}}"#, "/cpu/quota"),
    (Both, r#"{"cpu":{"quota":9223372036854775807}}"#, "/cpu/quota"),
    (Both, r#"{"cpu":{"period":1}}"#, "/cpu/period"),
    (Both, r#"{"cpu":{"period":18446744073709551615}}"#, "/cpu/period"),
    (Both, r#"{"cpu":{"quota":10000,"period":20000,"burst":20000}}"#, "/cpu/"),
    (Both, r#"{"cpu":{"burst":18446744073709551615}}"#, "/cpu/burst"),
    (Both, r#"{"cpu":{"idle":2}}"#, "/cpu/idle"),
    (Both, r#"{"cpu":{"idle":-1}}"#, "/cpu/idle"),
    (V1, r#"{"cpu":{"realtimeRuntime":-5}}"#, "/cpu/realtimeRuntime"),
    (V1, r#"{"cpu":{"realtimeRuntime":5000,"realtimePeriod":1000}}"#, "/cpu/realtimeRuntime"),
    (Both, r#"{"cpu":{"cpus":"99999"}}"#, "/cpu/cpus"),
    (Both, r#"{"cpu":{"cpus":"x"}}"#, "/cpu/cpus"),
    (Both, r#"{"cpu":{"cpus":"3-1"}}"#, "/cpu/cpus"),
    (Both, r#"{"cpu":{"mems":"77"}}"#, "/cpu/mems"),
    (Both, r#"{"cpu":{"mems":"-1"}}"#, "/cpu/mems"),
    (Both, r#"{"pids":{"limit":9223372036854775807}}"#, "/pids/limit"),
    (Both, r#"{"pids":{"limit":4194305}}"#, "/pids/limit"),
    (Both, r#"{"pids":{"limit":99999999999999999999}}"#, "/pids/limit"),
    (Both, r#"{"blockIO":{"weight":65536}}"#, "/blockIO/weight"),
    (Both, r#"{"blockIO":{"weight":-1}}"#, "/blockIO/weight"),
    (Both, r#"{"blockIO":{"weight":1001}}"#, "/blockIO/weight"),
    (V1, r#"{"blockIO":{"leafWeight":5000}}"#, "/blockIO/leafWeight"),
    (V1, r#"{"blockIO":{"weightDevice":[{"major":999,"minor":0,"weight":100}]}}"#, "/blockIO/weightDevice/0"),
    (V1, r#"{"blockIO":{"weightDevice":[{"major":-1,"minor":0,"weight":100}]}}"#, "/blockIO/weightDevice/0"),
    (
        Both,
        r#"{"blockIO":{"throttleReadBpsDevice":[{"major":999,"minor":99,"rate":1}]}}"#,
        "/blockIO/throttleReadBpsDevice/0",
    ),
    (
        Both,
        r#"{"blockIO":{"throttleWriteBpsDevice":[{"major":-8,"minor":0,"rate":1}]}}"#,
        "/blockIO/throttleWriteBpsDevice/0",
    ),
    (
        Both,
        r#"{"blockIO":{"throttleReadIOPSDevice":[{"major":999,"minor":99,"rate":1}]}}"#,
        "/blockIO/throttleReadIOPSDevice/0",
    ),
    (
        Both,
        r#"{"blockIO":{"throttleWriteIOPSDevice":[{"major":1,"minor":2,"rate":-1}]}}"#,
        "/blockIO/throttleWriteIOPSDevice/0",
    ),
    (Both, r#"{"hugepageLimits":[{"pageSize":"3MB","limit":1}]}"#, "/hugepageLimits/0"),
    (Both, r#"{"hugepageLimits":[{"pageSize":"2MB","limit":-1}]}"#, "/hugepageLimits/0/limit"),
    (Both, r#"{"hugepageLimits":[{"pageSize":"../x","limit":1}]}"#, "/hugepageLimits/0/pageSize"),
    (Both, r#"{"network":{"classID":4294967296}}"#, "/network/classID"),
    (V1, r#"{"network":{"priorities":[{"name":"no such","priority":1}]}}"#, "/network/priorities/0"),
    (Both, r#"{"rdma":{"nosuch":{"hcaHandles":1}}}"#, "/rdma/nosuch"),
    (Both, r#"{"rdma":{"nosuch":{"hcaHandles":-1}}}"#, "/rdma/nosuch/hcaHandles"),
    (V1, r#"{"unified":{"memory.max":"1000000000"}}"#, "/unified"),
    (Both, r#"{"unified":{"memory.max":"much"}}"#, "/unified"),
    (Both, r#"{"unified":{"nosuch.max":"1"}}"#, "/unified"),
    (Both, r#"{"unified":{"cgroup.procs":"1"}}"#, "/unified"),
    (Both, r#"{"unified":{"a/b":"1"}}"#, "/unified"),
    (Both, r#"{"devices":[{"allow":true,"type":"x","access":"r"}]}"#, "/devices/0/type"),
    (Both, r#"{"devices":[{"allow":true,"type":"c","major":-2,"access":"r"}]}"#, "/devices/0/major"),
    (Both, r#"{"devices":[{"allow":true,"type":"c","minor":4294967296,"access":"r"}]}"#, "/devices/0/minor"),
    (Both, r#"{"devices":[{"allow":true,"type":"c","major":1,"access":"rwq"}]}"#, "/devices/0/access"),
    (
        Both,
        r#"{"devices":[{"allow":true,"type":"c","access":"rwm"},{"allow":false,"type":"c","major":1,"minor":11,"access":"r"}]}"#,
        "/devices/1",
    ),
    (
        Both,
        r#"{"devices":[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"access":"r"}]}"#,
        "/devices",
    ),
    // The good ones are written first.
    (Both, r#"{"pids":{"limit":100},"hugepageLimits":[{"pageSize":"5GB","limit":1}]}"#, "/linux/resources/"),
];

#[track_caller]
fn nothing_left(b: &Bundle, what: &str) {
    assert!(!b.state_dir().exists(), "{what}: the state is left");
    // The test is pid 1: whatever has lost its parent is its child.
    let left = || host::children(std::process::id() as i32).into_iter().any(host::alive);
    crate::common::until("no process to be left", || !left());
    let uppermost = match Driver::under_test() {
        Driver::Cgroupfs => b.cgroup_parent(),
        // A slice stays until somebody stops it.
        Driver::Systemd => &b.cgroup,
    };
    assert_eq!(host::cgroup_leftovers(uppermost), Vec::<PathBuf>::new(), "{what}: cgroups are left");
}

fn table(b: &mut Bundle, v2: bool) {
    b.args(&["/bin/true"]);
    for (on, resources, field) in BAD {
        let refused = match on {
            Both => true,
            V1 => !v2,
            ByUs => Driver::under_test() == Driver::Cgroupfs,
        };
        if !refused {
            continue;
        }
        // As it stands here: no JSON library may have had a say about the numbers.
        b.set("/linux/resources", "RESOURCES");
        let started = ["create", "run"].map(|verb| {
            let command = b.start_command(verb, &[]);
            let config = b.bundle().join("config.json");
            fs::write(&config, host::read(&config).replace("\"RESOURCES\"", resources)).unwrap();
            (verb, command.output())
        });
        for (verb, out) in started {
            let what = format!("{verb} {resources}: {out}");
            assert_eq!(out.code, 1, "{what}");
            assert!(out.err.contains(&format!("/linux/resources{field}")) || out.err.contains(field), "{what}");
            nothing_left(b, &what);
        }
    }
}

#[test]
fn resources_of_every_field() {
    case(|b| {
        let v2 = !host::hierarchies().iter().any(|(name, _)| name == "memory");
        table(b, v2);
    });
}

/// Without a single one of v1's controllers, where this host has them.
#[test]
fn resources_of_every_field_on_v2() {
    case(|b| {
        unified(b);
        table(b, true);
    });
}

/// A v1 controller that is not mounted, or a v2 one that is not there, is named.
#[test]
fn a_controller_that_is_not_there() {
    case(|b| {
        let v1 = host::hierarchies().into_iter().find(|(name, _)| name == "pids");
        if let Some((_, point)) = v1 {
            Command::new(["umount", point.to_str().unwrap()]).output().ok();
        }
        b.args(&["/bin/true"]).run().ok();
        let out = b.set("/linux/resources/rdma", json!({"mlx": {"hcaHandles": 1}})).run();
        out.fails(1, "rdma").err_has("/linux/resources/rdma/mlx");
        b.remove("/linux/resources/rdma");
        if host::hierarchies().iter().any(|(name, _)| name == "memory") {
            let out = b.set("/linux/resources/pids", json!({"limit": 5})).run();
            out.fails(1, "cannot set pids limit").err_has("/linux/resources/pids/limit");
        }
        b.assert_gone();
    });
}

/// A state root with less and less room: it works, or it says why and leaves nothing.
#[test]
fn a_full_disk() {
    case(|b| {
        b.args(&["/bin/true"]);
        fs::create_dir(b.root()).unwrap();
        let root = b.root().display().to_string();
        let mut refused = 0;
        for options in [
            "nr_inodes=2",
            "nr_inodes=3",
            "nr_inodes=4",
            "nr_inodes=5",
            "nr_inodes=6",
            "size=4k",
            "size=8k",
            "size=12k",
        ] {
            Command::new(["mount", "-t", "tmpfs", "-o", options, "tmpfs", &root]).output().ok();
            for verb in ["create", "run"] {
                let out = b.start_command(verb, &[]).output();
                if out.code == 0 {
                    b.rt(&["delete", "--force", &b.id]).ok();
                    // Those above the cgroup of a container that there was, stay.
                    Driver::under_test().sweep(b.cgroup_parent());
                } else {
                    refused += 1;
                    assert!(out.code == 1 && out.err.contains("no space left on device"), "{options}: {out}");
                }
                nothing_left(b, &format!("{options}: {out}"));
            }
            Command::new(["umount", &root]).output().ok();
        }
        assert!(refused > 0, "there was always room");
    });
}
