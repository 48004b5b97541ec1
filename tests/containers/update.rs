//! `update`: new limits of a container that exists, on cgroup v1 and on v2.

use crate::common::{
    Bundle, Command, Driver, Out, Runtime, Value, case, case_of_two, host, json, other_runtime, until,
};
use std::collections::BTreeMap;
use std::fs;

/// The limits are in a v2 hierarchy.
fn is_v2() -> bool {
    host::hierarchies().iter().all(|(name, _)| name.is_empty())
}

/// What a limit is in the kernel, in words that are the same on v1 and v2.
#[derive(Clone, Copy, PartialEq)]
enum Limit {
    Memory,
    /// v1: memory and swap; v2: swap alone.
    Swap,
    Reservation,
    /// `QUOTA PERIOD`.
    Cpu,
    /// v1: shares; v2: weight.
    Shares,
    Idle,
    Burst,
    Cpus,
    Pids,
}
use Limit::{Burst, Cpu, Cpus, Idle, Memory, Pids, Reservation, Shares, Swap};

fn limit(b: &Bundle, limit: Limit) -> String {
    let v1 = |controller: &str, file: &str| match host::cgroup_file(controller, &b.cgroup, file).as_str() {
        // The greatest number of whole pages.
        "9223372036854771712" | "-1" => "max".to_owned(),
        value => value.to_owned(),
    };
    let v2 = |file: &str| host::cgroup_file("", &b.cgroup, file);
    match (limit, is_v2()) {
        (Memory, false) => v1("memory", "memory.limit_in_bytes"),
        (Swap, false) => v1("memory", "memory.memsw.limit_in_bytes"),
        (Reservation, false) => v1("memory", "memory.soft_limit_in_bytes"),
        (Cpu, false) => format!("{} {}", v1("cpu", "cpu.cfs_quota_us"), v1("cpu", "cpu.cfs_period_us")),
        (Shares, false) => v1("cpu", "cpu.shares"),
        (Idle, false) => v1("cpu", "cpu.idle"),
        (Burst, false) => v1("cpu", "cpu.cfs_burst_us"),
        (Cpus, false) => v1("cpuset", "cpuset.cpus"),
        (Pids, false) => v1("pids", "pids.max"),
        (Memory, true) => v2("memory.max"),
        (Swap, true) => v2("memory.swap.max"),
        (Reservation, true) => v2("memory.low"),
        (Cpu, true) => v2("cpu.max"),
        (Shares, true) => v2("cpu.weight"),
        (Idle, true) => v2("cpu.idle"),
        (Burst, true) => v2("cpu.max.burst"),
        (Cpus, true) => v2("cpuset.cpus"),
        (Pids, true) => v2("pids.max"),
    }
}

#[track_caller]
fn limits(b: &Bundle, expected: &[(Limit, &str)]) {
    for (which, value) in expected {
        assert_eq!(limit(b, *which), *value);
    }
}

fn running(b: &mut Bundle, resources: Value) {
    let devices = b.config["linux"]["resources"]["devices"].take();
    b.set("/linux/resources", resources).set("/linux/resources/devices", devices);
    b.args(&["/bin/sleep", "100"]).run_detached();
}

/// `update --resources - ID`, as containerd and CRI-O call it.
fn update(b: &Bundle, resources: &Value) -> Out {
    b.command(&["update", "--resources", "-", &b.id]).stdin(resources.to_string()).output()
}

fn with_flags(b: &Bundle, flags: &[&str]) -> Out {
    b.rt(&[&["update"], flags, &[b.id.as_str()]].concat())
}

fn state_file(b: &Bundle) -> Value {
    serde_json::from_str(&host::read(b.state_dir().join("state.json"))).unwrap()
}

/// Go writes zeros, or not, depending on its version.
pub fn without_zeros(value: Value) -> Option<Value> {
    Some(match value {
        Value::Object(map) => {
            let map: serde_json::Map<_, _> =
                map.into_iter().filter_map(|(key, value)| Some((key, without_zeros(value)?))).collect();
            (!map.is_empty()).then_some(Value::Object(map))?
        }
        Value::Array(items) if !items.is_empty() => items.into_iter().filter_map(without_zeros).collect(),
        Value::Null | Value::Bool(false) | Value::Array(_) => return None,
        Value::Number(n) if n.as_u64() == Some(0) => return None,
        Value::String(text) if text.is_empty() => return None,
        other => other,
    })
}

/// The resource keys that are not zero.
fn saved(b: &Bundle) -> BTreeMap<String, Value> {
    let names = ["name", "parent", "path", "scope_prefix", "Systemd", "Rootless", "owner_uid", "devices"];
    let cgroups = state_file(b)["config"]["cgroups"].as_object().unwrap().clone();
    let keys = cgroups.into_iter().filter(|(key, _)| !names.contains(&key.as_str()));
    keys.filter_map(|(key, value)| Some((key, without_zeros(value)?))).collect()
}

/// Every setting of the container's cgroups, by hierarchy and file; no statistics.
fn settings(b: &Bundle) -> BTreeMap<String, String> {
    let changing = [
        "stat",
        "usage",
        "procs",
        "tasks",
        "threads",
        "failcnt",
        "events",
        "current",
        "peak",
        "io_service",
        "pressure",
        "slabinfo",
        "controllers",
        "memory_pressure",
        "effective",
    ];
    let mut all = BTreeMap::new();
    for dir in host::cgroup_leftovers(&b.cgroup) {
        for file in fs::read_dir(&dir).unwrap().flatten().filter(|file| file.path().is_file()) {
            let name = file.file_name().into_string().unwrap();
            if let (false, Ok(text)) = (changing.iter().any(|c| name.contains(c)), fs::read_to_string(file.path())) {
                let hierarchy = dir.components().nth(4).unwrap().as_os_str().to_string_lossy().into_owned();
                let hierarchy = if is_v2() { String::new() } else { hierarchy };
                all.insert(format!("{hierarchy}/{name}"), text.trim_end().to_owned());
            }
        }
    }
    all
}

/// A disk of this machine.
fn disk() -> (u64, u64) {
    let disks = fs::read_dir("/sys/block").unwrap().flatten().map(|disk| disk.path());
    let real =
        disks.filter(|disk| disk.join("device").exists()).find_map(|disk| fs::read_to_string(disk.join("dev")).ok());
    let real = real.expect("a disk in /sys/block");
    let (major, minor) = real.trim().split_once(':').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

// ---- what is asked for is in the kernel and in the state

#[test]
fn every_flag() {
    case(|b| {
        running(b, json!({}));
        with_flags(
            b,
            &[
                "--memory",
                "64m",
                "--memory-swap",
                "96M",
                "--memory-reservation=32mb",
                "--cpu-share",
                "512",
                "--cpu-quota",
                "20000",
                "--cpu-period",
                "50000",
                "--cpu-burst",
                "1000",
                "--cpuset-cpus",
                "0",
                "--cpuset-mems",
                "0",
                "--pids-limit",
                "20",
            ],
        )
        .ok();
        let (swap, weight) = if is_v2() { ("33554432", "59") } else { ("100663296", "512") };
        limits(
            b,
            &[
                (Memory, "67108864"),
                (Swap, swap),
                (Reservation, "33554432"),
                (Shares, weight),
                (Cpu, "20000 50000"),
                (Burst, "1000"),
                (Cpus, "0"),
                (Pids, "20"),
            ],
        );
        let expected = json!({"memory": 64 << 20, "memory_swap": 96 << 20, "memory_reservation": 32 << 20,
            "cpu_shares": 512, "cpu_weight": 59, "cpu_quota": 20000, "cpu_period": 50000, "cpu_burst": 1000,
            "cpuset_cpus": "0", "cpuset_mems": "0", "pids_limit": 20});
        assert_eq!(json!(saved(b)), expected);
        with_flags(b, &["--cpu-idle", "1"]).ok();
        limits(b, &[(Idle, "1")]);
        // The container's own end and another runtime's commands go on with that state.
        b.switch(&other_runtime());
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}

/// What containerd sends for a resize of the kubelet: the whole of `linux.resources`, device rules included; and other ways.
#[test]
fn as_engines_call_it() {
    case(|b| {
        running(b, json!({"memory": {"limit": 64 << 20}, "cpu": {"shares": 256}}));
        let resize = json!({"devices": [{"allow": false, "access": "rwm"}],
            "memory": {"limit": 48 << 20, "swap": 48 << 20}, "pids": null,
            "cpu": {"shares": 512, "quota": 30000, "period": 100_000, "cpus": "", "mems": ""}, "unified": {}});
        let out = update(b, &resize).ok();
        assert_eq!((out.out.as_str(), out.err.as_str()), ("", ""));
        let swap = if is_v2() { "0" } else { "50331648" };
        limits(b, &[(Memory, "50331648"), (Swap, swap), (Cpu, "30000 100000")]);
        // podman writes a file.
        let file = b.path("podman.json").display().to_string();
        fs::write(&file, json!({"memory": {"limit": 40 << 20}, "pids": {"limit": 30}}).to_string()).unwrap();
        b.rt(&[&format!("--resources={file}"), "update"]).fails(1, "");
        b.rt(&["update", &format!("--resources={file}"), &b.id]).ok();
        limits(b, &[(Memory, "41943040"), (Pids, "30"), (Cpu, "30000 100000")]);
        // Beside a file the other flags do not count.
        b.rt(&["update", "-r", &file, "--memory", "1g", "--cpu-share=nonsense", &b.id]).ok();
        limits(b, &[(Memory, "41943040")]);
        // Nothing of HOME, PATH and the like.
        let line = ["update", "--resources", "-", &b.id];
        b.command(&line).env_clear().stdin(r#"{"pids":{"limit":31}}"#).output().ok();
        limits(b, &[(Pids, "31")]);
    });
}

#[test]
fn unlimited_is_written() {
    case(|b| {
        running(
            b,
            json!({"memory": {"limit": 64 << 20, "swap": 64 << 20, "reservation": 1 << 20}, "pids": {"limit": 5},
            "cpu": {"quota": 20000, "period": 50000}}),
        );
        with_flags(b, &["--memory", "-1", "--memory-reservation=-1", "--cpu-quota", "-1", "--pids-limit=-1"]).ok();
        limits(b, &[(Memory, "max"), (Swap, "max"), (Reservation, "max"), (Cpu, "max 50000"), (Pids, "max")]);
        update(b, &json!({"memory": {"limit": 64 << 20, "swap": 64 << 20}})).ok();
        update(b, &json!({"memory": {"swap": -1}, "pids": {"limit": -1}})).ok();
        limits(b, &[(Memory, "67108864"), (Swap, "max")]);
    });
}

/// Each of them needs the other limit to be written first, or not: both orders.
#[test]
fn limits_that_depend_on_each_other() {
    case(|b| {
        running(
            b,
            json!({"memory": {"limit": 64 << 20, "swap": 64 << 20}, "cpu": {"quota": 50000, "period": 100_000}}),
        );
        for (memory, swap) in [(32_u64, 48_u64), (96, 128), (16, 16), (256, 256)] {
            let (memory, swap) = (memory << 20, swap << 20);
            update(b, &json!({"memory": {"limit": memory, "swap": swap}})).ok();
            let in_kernel = if is_v2() { swap - memory } else { swap };
            limits(b, &[(Memory, &memory.to_string()), (Swap, &in_kernel.to_string())]);
        }
        for (quota, period) in [(1000, 1000), (1_000_000, 1_000_000), (5000, 10_000)] {
            with_flags(b, &["--cpu-quota", &quota.to_string(), "--cpu-period", &period.to_string()]).ok();
            limits(b, &[(Cpu, &format!("{quota} {period}"))]);
        }
        with_flags(b, &["--cpu-burst", "5000"]).ok();
        with_flags(b, &["--cpu-quota=20000", "--cpu-burst", "20000"]).ok();
        limits(b, &[(Cpu, "20000 10000"), (Burst, "20000")]);
        with_flags(b, &["--cpu-burst", "100", "--cpu-quota=2000"]).ok();
        limits(b, &[(Cpu, "2000 10000"), (Burst, "100")]);
    });
}

#[test]
fn what_is_not_asked_for_stays() {
    case(|b| {
        running(
            b,
            json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}, "cpu": {"shares": 512, "quota": 20000,
            "period": 50000, "cpus": "0", "burst": 100}}),
        );
        let before = (settings(b), saved(b));
        for request in [
            json!({}),
            json!(null),
            json!({"memory": null, "cpu": null, "pids": null, "blockIO": null, "network": null, "unified": null}),
            json!({"memory": {"limit": 0, "swap": 0}, "cpu": {"shares": 0, "quota": 0, "period": 0}, "pids": {}}),
            json!({"memory": {"limit": 64 << 20}}),
            json!({"somebodys": "extension"}),
        ] {
            update(b, &request).ok();
            assert_eq!((settings(b), saved(b)), before, "{request}");
        }
        with_flags(b, &["--cpu-quota", "30000"]).ok();
        with_flags(b, &["--memory-reservation", "8m"]).ok();
        limits(b, &[(Cpu, "30000 50000"), (Memory, "67108864"), (Cpus, "0"), (Burst, "100"), (Pids, "20")]);
        let mut expected = before.1;
        expected.insert("cpu_quota".into(), json!(30000));
        expected.insert("memory_reservation".into(), json!(8 << 20));
        assert_eq!(saved(b), expected);
    });
}

/// What others have changed in the kernel is not taken back by an update of something else.
#[test]
fn what_others_have_set_stays() {
    case(|b| {
        running(b, json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}}));
        let (controller, file) = if is_v2() { ("", "memory.max") } else { ("memory", "memory.limit_in_bytes") };
        fs::write(host::cgroup_dir(controller, &b.cgroup).join(file), "33554432").unwrap();
        with_flags(b, &["--pids-limit", "7"]).ok();
        limits(b, &[(Memory, "33554432"), (Pids, "7")]);
    });
}

/// A GPU that was let in after creation stays in, whatever the JSON says of devices.
#[test]
fn device_rules_are_never_touched() {
    case(|b| {
        b.all_capabilities(&["CAP_MKNOD"]).set("/root/readonly", false);
        b.file("dev-note", 0o644, "");
        running(b, json!({}));
        let rules = || (!is_v2()).then(|| host::cgroup_file("devices", &b.cgroup, "devices.list"));
        if !is_v2() {
            fs::write(host::cgroup_dir("devices", &b.cgroup).join("devices.allow"), "c 10:229 rw").unwrap();
        }
        let before = rules();
        update(b, &json!({"devices": [{"allow": false, "access": "rwm"}], "pids": {"limit": 9}})).ok();
        update(b, &json!({"devices": [{"allow": true, "type": "nonsense", "access": ""}], "pids": {"limit": 10}})).ok();
        assert_eq!(rules(), before);
        let out = b.exec(&["/bin/sh", "-c", "echo x > /dev/null && mknod /tmp/mem c 1 1 && /payload open r /tmp/mem"]);
        assert!(out.out.contains("Operation not permitted"), "{out}");
    });
}

// ---- all of it or nothing

/// Each of them fails at another place of the order in which limits are written.
#[test]
fn a_refused_limit_takes_the_others_back() {
    case(|b| {
        let (major, minor) = disk();
        running(
            b,
            json!({"memory": {"limit": 64 << 20, "swap": 80 << 20}, "pids": {"limit": 20},
            "cpu": {"shares": 512, "quota": 20000, "period": 50000, "cpus": "0"}}),
        );
        let before = (settings(b), state_file(b));
        let good = json!({"memory": {"limit": 128 << 20, "swap": 160 << 20, "reservation": 1 << 20},
            "pids": {"limit": 30}, "cpu": {"shares": 1024, "quota": 90000, "period": 100_000, "cpus": "0-1", "idle": 0},
            "blockIO": {"throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": 1 << 20}]}});
        for (field, bad) in [
            ("/cpu/cpus", json!("4096")),
            ("/cpu/mems", json!("63")),
            ("/memory/limit", json!(-5)),
            ("/memory/reservation", json!(-7)),
            ("/cpu/shares", json!(1_000_000_000_u64)),
            ("/cpu/quota", json!(1)),
            ("/cpu/period", json!(2_000_000)),
            ("/cpu/burst", json!(10_000_000_000_u64)),
            ("/cpu/idle", json!(7)),
            ("/pids/limit", json!(i64::MAX)),
            ("/blockIO/throttleWriteBpsDevice", json!([{"major": 4095, "minor": 5, "rate": 1}])),
        ] {
            // cgroup v2 has no bounds for shares: they are converted. And systemd has 10 ms in a second for the least quota.
            let bounded = match field {
                "/cpu/shares" => !is_v2(),
                "/cpu/quota" => Driver::under_test() != Driver::Systemd,
                _ => true,
            };
            if !bounded {
                continue;
            }
            let mut request = good.clone();
            let (section, key) = field[1..].split_once('/').unwrap();
            request[section][key] = bad;
            let out = update(b, &request);
            assert_eq!(out.code, 1, "{field}: {out}");
            assert!(out.err.contains(&format!("(resources {field}")), "{field}: {out}");
            assert!(!out.err.contains("Setting back"), "{out}");
            assert_eq!(settings(b), before.0, "{field}: {out}");
            assert_eq!(state_file(b), before.1, "{field}");
        }
        update(b, &good).ok();
        assert!(settings(b) != before.0);
    });
}

/// The state cannot be written: then the kernel's limits are not what it says, unless they are put back.
#[test]
fn a_full_disk() {
    case(|b| {
        fs::create_dir(b.root()).unwrap();
        let root = b.root().display().to_string();
        Command::new(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", &root]).output().ok();
        running(b, json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}}));
        let before = (settings(b), state_file(b));
        let mut filler = fs::File::create(b.root().join("filler")).unwrap();
        while std::io::Write::write(&mut filler, &[0; 512]).is_ok() {}
        with_flags(b, &["--memory", "32m", "--pids-limit", "7"]).fails(1, "no space left on device");
        assert_eq!((settings(b), state_file(b)), before);
        assert_eq!(fs::read_dir(b.state_dir()).unwrap().count(), 1, "a temporary file is left");
        drop(filler);
        fs::remove_file(b.root().join("filler")).unwrap();
        with_flags(b, &["--memory", "32m", "--pids-limit", "7"]).ok();
        limits(b, &[(Memory, "33554432"), (Pids, "7")]);
        b.rt(&["delete", "--force", &b.id]).ok();
        Command::new(["umount", "-l", &root]).output().ok();
    });
}

#[test]
fn at_once() {
    case(|b| {
        running(b, json!({}));
        let flags = |n: u64| {
            vec![
                vec!["--memory".into(), format!("{}m", 64 + n)],
                vec!["--pids-limit".into(), (20 + n).to_string()],
                vec!["--cpu-share".into(), (500 + n).to_string()],
                vec!["--cpu-quota".into(), (20000 + n).to_string()],
                vec!["--memory-reservation".into(), format!("{}m", 1 + n)],
            ]
        };
        let mut all = Vec::new();
        for flags in (0..4).flat_map(flags) {
            let line: Vec<&str> =
                ["update"].into_iter().chain(flags.iter().map(String::as_str)).chain([b.id.as_str()]).collect();
            all.push(b.command(&line).spawn());
        }
        for running in all {
            running.wait().ok();
        }
        let saved = saved(b);
        let text = |key: &str| saved[key].to_string();
        assert_eq!(saved.len(), 6, "{saved:?}");
        limits(
            b,
            &[(Memory, &text("memory")), (Pids, &text("pids_limit")), (Reservation, &text("memory_reservation"))],
        );
        limits(b, &[(Cpu, &format!("{} 100000", text("cpu_quota")))]);
        limits(b, &[(Shares, &text(if is_v2() { "cpu_weight" } else { "cpu_shares" }))]);
    });
}

// ---- containers in every condition

#[test]
fn created_paused_and_stopped() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).create();
        with_flags(b, &["--memory", "64m", "--pids-limit", "20"]).ok();
        limits(b, &[(Memory, "67108864"), (Pids, "20")]);
        assert_eq!(b.status(), "created");
        b.start();
        b.rt(&["pause", &b.id]).ok();
        with_flags(b, &["--memory", "48m", "--cpuset-cpus", "0", "--cpu-quota", "10000"]).ok();
        limits(b, &[(Memory, "50331648"), (Cpus, "0"), (Cpu, "10000 100000")]);
        assert_eq!(b.status(), "paused");
        b.rt(&["resume", &b.id]).ok();
        b.rt(&["kill", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        with_flags(b, &["--memory", "32m"]).fails(1, "container not running");
        b.rt(&["update", "--memory", "32m", "nosuch"]).fails(1, "container does not exist");
    });
}

/// A container that holds 24 MiB which cannot be reclaimed.
fn holding(b: &mut Bundle) {
    b.set("/linux/resources/memory", json!({"limit": 128 << 20, "swap": 128 << 20}));
    let out = b.sh("dd if=/dev/zero of=/dev/shm/x bs=1M count=24 2>/dev/null; echo ready; sleep 100").run_detached();
    let mut out = out;
    until("its memory", || out.written().0.contains("ready"));
}

#[test]
fn below_the_usage() {
    case(|b| {
        holding(b);
        if is_v2() {
            let request = |limit: u64, swap: u64, check: bool| {
                update(b, &json!({"memory": {"limit": limit, "swap": swap, "checkBeforeUpdate": check}}))
            };
            request(4 << 20, 64 << 20, true).fails(1, "rejecting memory limit 4194304 <= usage ");
            request(4 << 20, 8 << 20, true).fails(1, "rejecting memory+swap limit 8388608 <= usage ");
            limits(b, &[(Memory, "134217728"), (Swap, "0")]);
        } else {
            let usage = "unable to set memory limit to 4194304 (current usage: ";
            with_flags(b, &["--memory", "4m", "--memory-swap", "4m", "--pids-limit", "9"]).fails(1, usage);
            limits(b, &[(Memory, "134217728"), (Swap, "134217728"), (Pids, "max")]);
            // Frozen processes do not keep the kernel from answering.
            b.rt(&["pause", &b.id]).ok();
            let line = ["update", "--memory", "4m", &b.id];
            b.command(&line).limit(20).output().fails(1, usage);
            limits(b, &[(Memory, "134217728")]);
        }
        b.rt(&["delete", "--force", &b.id]).ok();
    });
}

#[test]
fn an_idle_group_has_no_shares() {
    case(|b| {
        running(b, json!({"cpu": {"shares": 512}}));
        with_flags(b, &["--cpu-idle", "1"]).ok();
        limits(b, &[(Idle, "1")]);
        let out = with_flags(b, &["--cpu-share", "2048"]);
        out.fails(1, "set idle to 0 with it");
        with_flags(b, &["--cpu-share", "1024", "--cpu-idle", "0"]).ok();
        limits(b, &[(Idle, "0"), (Shares, if is_v2() { "100" } else { "1024" })]);
        with_flags(b, &["--cpu-share", "512"]).ok();
        // Going back from SCHED_IDLE takes the weight along.
        let before = settings(b);
        update(b, &json!({"cpu": {"idle": 1, "quota": 20000}, "pids": {"limit": i64::MAX}})).fails(1, "/pids/limit");
        assert_eq!(settings(b), before);
    });
}

/// runc before 1.4 wrote 0 for "no limit of processes", which since then is one of nothing.
#[test]
fn a_state_of_another_runtime() {
    case_of_two(|b| {
        b.set("/linux/resources/memory", json!({"limit": 64 << 20}));
        b.args(&["/bin/sleep", "100"]).switch(&other_runtime()).run_detached();
        // None, or that of every unit.
        let pids = limit(b, Pids);
        let file = b.state_dir().join("state.json");
        let mut state = state_file(b);
        state["config"]["cgroups"]["pids_limit"] = json!(0);
        state["config"]["cgroups"]["of_the_future"] = json!({"a": 1});
        state["later"] = json!([1]);
        fs::write(&file, state.to_string()).unwrap();
        b.switch(Runtime::under_test());
        with_flags(b, &["--memory", "48m"]).ok();
        limits(b, &[(Memory, "50331648"), (Pids, &pids)]);
        let after = state_file(b);
        assert_eq!((&after["later"], &after["config"]["cgroups"]["of_the_future"]), (&json!([1]), &json!({"a": 1})));
        state["config"]["cgroups"]["memory"] = json!(48 << 20);
        assert_eq!(after, state);
        b.switch(&other_runtime());
        with_flags(b, &["--memory-reservation", "8m"]).ok();
        limits(b, &[(Memory, "50331648"), (Reservation, "8388608")]);
        b.rt(&["delete", "--force", &b.id]).ok();
    });
}

// ---- what is refused, and in which words

#[test]
fn words_of_refusals() {
    case(|b| {
        running(b, json!({"memory": {"limit": 64 << 20}}));
        let before = (settings(b), state_file(b));
        for (flags, words) in [
            (&["--memory", "foo"][..], "invalid value for memory: invalid size: 'foo'"),
            (&["--cpu-share", "x"], r#"invalid value for cpu-share: strconv.ParseUint: parsing "x": invalid syntax"#),
            (&["--cpu-period=-1"], r#"invalid value for cpu-period: strconv.ParseUint: parsing "-1": invalid syntax"#),
            (
                &["--cpu-quota", "1e9"],
                r#"invalid value for cpu-quota: strconv.ParseInt: parsing "1e9": invalid syntax"#,
            ),
            (
                &["--cpu-burst", "99999999999999999999"],
                r#"invalid value for cpu-burst: strconv.ParseUint: parsing "99999999999999999999": value out of range"#,
            ),
            (&["--l3-cache-schema", "L3:0=f"], "Intel RDT/CAT: l3 cache schema is not enabled"),
            (&["--mem-bw-schema", "MB:0=20"], "Intel RDT/MBA: memory bandwidth schema is not enabled"),
        ] {
            with_flags(b, flags).fails(1, words);
        }
        b.rt(&["update", "-r", "/nonexistent", &b.id]).fails(1, "open /nonexistent: no such file or directory");
        if !is_v2() {
            update(b, &json!({"unified": {"memory.max": "1"}})).fails(1, "cannot use unified on cgroup v1");
        }
        assert_eq!((settings(b), state_file(b)), before);
    });
}

#[test]
fn refusals_name_the_flag_or_the_field() {
    case(|b| {
        running(b, json!({"memory": {"limit": 64 << 20}}));
        let before = (settings(b), state_file(b));
        for (flags, words) in [
            (&["--memory-swap", "5x"][..], "invalid value for memory-swap: invalid suffix: 'x'"),
            (&["--blkio-weight", "70000"], "invalid value for blkio-weight: 70000 is out of range"),
            (&["--cpuset-cpus", "4096"], "(flag --cpuset-cpus)"),
            (&["--cpu-period", "1"], "(flag --cpu-period)"),
        ] {
            with_flags(b, flags).fails(1, words);
        }
        // systemd has it rounded up.
        if Driver::under_test() == Driver::Cgroupfs {
            with_flags(b, &["--cpu-quota", "1"]).fails(1, "(flag --cpu-quota)");
        }
        for (json, words) in [
            ("", "parse resources: EOF"),
            ("{", "parse resources: EOF"),
            ("[]", "invalid type: sequence"),
            ("{} x", "trailing characters"),
            (r#"{"memory":{"limit":"64m"}}"#, "(resources /memory/limit)"),
            (r#"{"memory":{"limit":1e30},"cpu":{"shares":-1}}"#, "1 more"),
            (r#"{"memory":{"limit":9223372036854775808}}"#, "(resources /memory/limit)"),
            (r#"{"pids":{"limit":"max"}}"#, "(resources /pids/limit)"),
            (r#"{"blockIO":{"weight":70000}}"#, "(resources /blockIO/weight)"),
            (r#"{"cpu":{"cpus":"0\u0000"}}"#, "/cpu/cpus"),
            (r#"{"unified":{"../memory.max":"1"}}"#, "/unified/..~1memory.max"),
            (r#"{"hugepageLimits":[{"pageSize":"../x","limit":1}]}"#, "(resources /hugepageLimits/0/pageSize)"),
        ] {
            let out = b.command(&["update", "-r", "-", &b.id]).stdin(json).output();
            assert!(out.code == 1 && out.err.contains(words), "{json}: {out}");
        }
        if is_v2() {
            update(b, &json!({"unified": {"nosuch.max": "1"}})).fails(1, "controller \"nosuch\" not available");
        }
        assert_eq!((settings(b), state_file(b)), before);
    });
}

#[test]
fn what_is_ignored_is_told() {
    case(|b| {
        running(b, json!({}));
        let out = with_flags(b, &["--kernel-memory", "64m", "--pids-limit", "9"]).ok();
        assert!(out.err.contains("Kernel memory settings are ignored and will be removed"), "{out}");
        let out = update(b, &json!({"memory": {"swappiness": 7}, "pids": {"limit": 8}})).ok();
        assert!(out.err.contains("update does not change memory.swappiness"), "{out}");
        limits(b, &[(Pids, "8")]);
        assert!(!b.rt(&["update", "--help"]).ok().out.contains("kernel-memory"));
    });
}

// ---- the same request to a real runc

/// A container of each runtime with the same limits gets the same request: the same answer, the same files in every
/// hierarchy, the same keys in the state.
fn same_as_runc(b: &mut Bundle, rows: &[(Value, Request)]) {
    let runc = other_runtime();
    let mut wrong = Vec::new();
    for (n, (limits, request)) in rows.iter().enumerate() {
        let mut one = |runtime: &Runtime, id: String| {
            b.switch(runtime).another_id(&id);
            running(b, limits.clone());
            let before = saved(b);
            let out = match request {
                Flags(flags) => with_flags(b, flags),
                Json(resources) => update(b, resources),
            };
            let seen = (out.code, settings(b), saved(b), before, out.err);
            b.rt(&["delete", "--force", &b.id]).ok();
            seen
        };
        let theirs = one(&runc, format!("runc{n}"));
        let ours = one(Runtime::under_test(), format!("ours{n}"));
        let mut note = |what: String| wrong.push(format!("{limits} + {request:?}: {what}"));
        if theirs.4.contains("flag provided but not defined") {
            // An older one.
            continue;
        }
        if ours.0 != theirs.0 {
            note(format!("exit codes {} and {}: {}{}", ours.0, theirs.0, ours.4, theirs.4));
            continue;
        }
        if ours.0 != 0 {
            // What runc leaves behind then is what the tests of `all of it or nothing` are about.
            continue;
        }
        for file in ours.1.keys().chain(theirs.1.keys()).collect::<std::collections::BTreeSet<_>>() {
            if ours.1.get(file) != theirs.1.get(file) {
                note(format!("{file}: {:?}, runc {:?}", ours.1.get(file), theirs.1.get(file)));
            }
        }
        for key in ours.2.keys().chain(theirs.2.keys()).collect::<std::collections::BTreeSet<_>>() {
            let (our, their) = (ours.2.get(key), theirs.2.get(key));
            // runc forgets what a request does not name or gives as zero (which keys, depends on its version), although the
            // kernel goes on with it.
            let forgotten = their.is_none() && our == ours.3.get(key);
            let known = match key.as_str() {
                // Its conversion was linear before 1.4.
                "cpu_weight" => !runc.name.ends_with("-1.4"),
                "memory_check_before_update" => runc.name.ends_with("-1.1"),
                // Unlimited because memory is: 1.4 says so, the newest leaves it open.
                "memory_swap" => our.is_none() && their == Some(&json!(-1)),
                _ => false,
            };
            if our != their && !forgotten && !known {
                note(format!("{key}: {our:?}, runc {their:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[derive(Debug)]
enum Request {
    Flags(&'static [&'static str]),
    Json(Value),
}
use Request::{Flags, Json};

#[test]
fn memory_as_runc_has_it() {
    case_of_two(|b| {
        let base = || json!({"memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 16 << 20}});
        let mut rows = vec![
            (json!({}), Flags(&["--memory", "32m"])),
            (json!({}), Flags(&["--memory", "33554433"])),
            (json!({}), Flags(&["--memory", "0.5g", "--memory-swap", "1gb"])),
            (json!({}), Flags(&["--memory-swap", "64m"])),
            (json!({}), Flags(&["--memory-reservation", "10 MiB"])),
            (base(), Flags(&["--memory", "32m"])),
            (base(), Flags(&["--memory", "128m"])),
            (base(), Flags(&["--memory-swap", "80m"])),
            (base(), Flags(&["--memory-swap", "32m"])),
            (base(), Flags(&["--memory-swap", "-1"])),
            (base(), Flags(&["--memory", "-1"])),
            (base(), Flags(&["--memory=-1", "--memory-swap=-1", "--memory-reservation=-1"])),
            (base(), Flags(&["--memory", "128m", "--memory-swap", "128m"])),
            (base(), Json(json!({"memory": {"limit": 32 << 20, "swap": 32 << 20}}))),
            (base(), Json(json!({"memory": {"limit": -1, "swap": 128 << 20}}))),
            (base(), Json(json!({"memory": {"limit": -1, "swap": -1}}))),
            (base(), Json(json!({"memory": {"limit": 48 << 20, "checkBeforeUpdate": true}}))),
            (base(), Json(json!({"memory": {"reservation": -1}}))),
            (base(), Json(json!({"memory": {"limit": -5}}))),
            (base(), Json(json!({}))),
        ];
        // For us 0 asks for nothing, for runc it is a limit, which on v2 it refuses beside one of swap.
        if !is_v2() {
            rows.push((base(), Flags(&["--memory", "0"])));
        }
        same_as_runc(b, &rows);
    });
}

#[test]
fn cpu_as_runc_has_it() {
    case_of_two(|b| {
        let base = || json!({"cpu": {"shares": 512, "quota": 20000, "period": 50000, "cpus": "0-1", "mems": "0"}});
        let rows = [
            (json!({}), Flags(&["--cpu-share", "2"])),
            (json!({}), Flags(&["--cpu-share", "100000"])),
            (json!({}), Flags(&["--cpu-quota", "20000"])),
            (json!({}), Flags(&["--cpu-period", "20000"])),
            (json!({}), Flags(&["--cpu-idle", "1"])),
            (json!({}), Flags(&["--cpuset-cpus", "0"])),
            (base(), Flags(&["--cpu-share", "1024"])),
            (base(), Flags(&["--cpu-share", "0"])),
            (base(), Flags(&["--cpu-quota", "-1"])),
            (base(), Flags(&["--cpu-quota", "40000"])),
            (base(), Flags(&["--cpu-quota", "1"])),
            (base(), Flags(&["--cpu-period", "100000"])),
            (base(), Flags(&["--cpu-period", "1000000", "--cpu-quota", "1000000"])),
            (base(), Flags(&["--cpu-burst", "10000"])),
            (base(), Flags(&["--cpu-burst", "30000"])),
            (base(), Flags(&["--cpu-idle", "1"])),
            (base(), Flags(&["--cpuset-cpus", "1", "--cpuset-mems", "0"])),
            (base(), Flags(&["--cpuset-cpus", "77-99"])),
            (base(), Json(json!({"cpu": {"shares": 256, "quota": 10000, "period": 10000}}))),
            (base(), Json(json!({"cpu": {"cpus": "1"}}))),
            (base(), Json(json!({"cpu": {"quota": -1, "period": 0}}))),
            (base(), Json(json!({"cpu": {}}))),
        ];
        same_as_runc(b, &rows);
    });
}

#[test]
fn pids_and_disks_as_runc_has_them() {
    case_of_two(|b| {
        let (major, minor) = disk();
        let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
        let base =
            || json!({"pids": {"limit": 20}, "blockIO": {"weight": 100, "throttleReadBpsDevice": rate(1 << 20)}});
        let rows = [
            (json!({}), Flags(&["--pids-limit", "10"])),
            (base(), Flags(&["--pids-limit", "-1"])),
            (base(), Flags(&["--pids-limit", "10"])),
            (base(), Flags(&["--blkio-weight", "500"])),
            (base(), Flags(&["--blkio-weight", "5"])),
            (base(), Flags(&["--memory", "64m", "--cpu-share", "100", "--pids-limit", "7", "--blkio-weight", "50"])),
            (base(), Json(json!({"pids": {"limit": 10}, "blockIO": {"weight": 900}}))),
            (base(), Json(json!({"hugepageLimits": [], "network": {"classID": 7}, "pids": {"limit": 5}}))),
            (base(), Json(json!({"devices": [{"allow": true, "access": "rwm"}], "pids": {"limit": 5}}))),
        ];
        same_as_runc(b, &rows);
    });
}
