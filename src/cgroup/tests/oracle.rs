//! runc as the oracle: for the same `linux.resources` the kernel must hold the same values, or both must fail.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::super::host::Version;
use super::super::*;
use super::Fixture;
use crate::spec::Resources;

/// What is compared, of those that this kernel has.
const FILES: [(&str, &str); 20] = [
    ("memory", "memory.limit_in_bytes"),
    ("memory", "memory.memsw.limit_in_bytes"),
    ("memory", "memory.soft_limit_in_bytes"),
    ("memory", "memory.swappiness"),
    ("memory", "memory.oom_control"),
    ("cpu", "cpu.shares"),
    ("cpu", "cpu.cfs_period_us"),
    ("cpu", "cpu.cfs_quota_us"),
    ("cpu", "cpu.idle"),
    ("cpu", "cpu.rt_period_us"),
    ("cpu", "cpu.rt_runtime_us"),
    ("cpuset", "cpuset.cpus"),
    ("cpuset", "cpuset.mems"),
    ("pids", "pids.max"),
    ("devices", "devices.list"),
    ("blkio", "blkio.throttle.read_bps_device"),
    ("blkio", "blkio.throttle.write_iops_device"),
    ("blkio", "blkio.bfq.weight"),
    ("blkio", "blkio.weight"),
    ("net_cls", "net_cls.classid"),
];

const RESOURCES: [&str; 23] = [
    r#"{}"#,
    r#"{"devices":[{"allow":false,"access":"rwm"}]}"#,
    r#"{"devices":[{"allow":true,"access":"rwm"}]}"#,
    r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":229,"access":"rw"},
        {"allow":true,"type":"b","major":8,"access":"r"}]}"#,
    r#"{"devices":[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":10,"minor":229,"access":"rw"}]}"#,
    r#"{"memory":{"limit":33554432,"swap":67108864,"reservation":16777216,"swappiness":10,"disableOOMKiller":true}}"#,
    r#"{"memory":{"limit":-1}}"#,
    r#"{"memory":{"limit":33554432,"swap":-1}}"#,
    r#"{"memory":{"limit":33554432,"swap":1048576}}"#,
    r#"{"cpu":{"shares":512,"quota":20000,"period":50000}}"#,
    r#"{"cpu":{"shares":1}}"#,
    r#"{"cpu":{"shares":262145}}"#,
    r#"{"cpu":{"quota":-1}}"#,
    r#"{"cpu":{"period":50000}}"#,
    r#"{"cpu":{"quota":500}}"#,
    r#"{"cpu":{"cpus":"0","mems":"0"}}"#,
    r#"{"cpu":{"cpus":"4000"}}"#,
    r#"{"cpu":{"realtimeRuntime":5000,"realtimePeriod":900000}}"#,
    r#"{"pids":{"limit":20}}"#,
    r#"{"pids":{"limit":-1}}"#,
    r#"{"blockIO":{"weight":500}}"#,
    r#"{"hugepageLimits":[{"pageSize":"2MB","limit":2097152}]}"#,
    r#"{"network":{"classID":5}}"#,
];

fn values(owned: &OwnedCgroup) -> BTreeMap<&'static str, Vec<String>> {
    let read = |(key, file): (&str, &'static str)| {
        let text = std::fs::read_to_string(format!("{}/{file}", owned.node(key)?.path)).ok()?;
        // The kernel shows device rules in the order in which they came.
        let mut lines: Vec<_> = text.lines().map(String::from).collect();
        lines.sort();
        Some((file, lines))
    };
    FILES.into_iter().filter_map(read).collect()
}

fn runc(bundle: &Path, args: &[&str]) -> Output {
    // A `create` leaves a process that keeps its output open: to a file, not to a pipe that we would wait for.
    let out = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(bundle.join("out")).unwrap();
    let status = Command::new("timeout")
        .args(["20", "runc", "--root"])
        .arg(bundle.join("root"))
        .args(args)
        .current_dir(bundle)
        .stdin(Stdio::null())
        .stderr(out.try_clone().unwrap())
        .stdout(out)
        .status()
        .unwrap();
    Output { status, stdout: std::fs::read(bundle.join("out")).unwrap(), stderr: Vec::new() }
}

#[test]
fn the_kernel_holds_what_runc_would_have_set() {
    if let Err(e) = Command::new("runc").arg("--version").output() {
        println!("no runc here to compare with: {e}");
        assert_eq!(e.kind(), std::io::ErrorKind::NotFound);
        return;
    }
    let t = Fixture::new("oracle");
    if t.host.version() == Version::V2 {
        println!("cgroup v2 alone: these are v1's files");
        return;
    }
    let bundle = tempfile::tempdir().unwrap();
    std::fs::create_dir(bundle.path().join("rootfs")).unwrap();
    // `create` looks for the program and does not run it.
    let program = bundle.path().join("rootfs/program");
    std::fs::write(&program, "").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    runc(bundle.path(), &["spec"]);
    let config = bundle.path().join("config.json");
    let base: serde_json::Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    let id = t.name.trim_start_matches('/');
    for json in RESOURCES {
        let mut spec = base.clone();
        spec["process"]["terminal"] = false.into();
        spec["process"]["args"] = serde_json::json!(["/program"]);
        spec["linux"]["cgroupsPath"] = format!("{}/pod/container", t.name).into();
        spec["linux"]["resources"] = serde_json::from_str(json).unwrap();
        std::fs::write(&config, spec.to_string()).unwrap();
        let created = runc(bundle.path(), &["create", id]);
        let theirs = created.status.success().then(|| values(&t.owned));
        runc(bundle.path(), &["delete", "-f", id]);
        t.owned.kill_all().unwrap();
        t.owned.remove().unwrap();

        let resources: Resources = serde_json::from_str(json).unwrap();
        let settings = t.settings(json);
        let ours = DeviceList::new(&resources.devices, &[]).and_then(|devices| {
            t.owned.create(&settings, Denied::Fail)?.apply(&settings, Some(&devices), false)?;
            Ok(values(&t.owned))
        });
        let said = String::from_utf8_lossy(&created.stdout);
        match (theirs, &ours) {
            (Some(theirs), Ok(ours)) => assert_eq!(*ours, theirs, "{json}"),
            // The message is runc's, before the field of config.json that we add.
            (None, Err(e)) => {
                let text = e.to_string();
                let text = text.split(" (config.json").next().unwrap();
                assert!(said.replace(r#"\""#, r#"""#).contains(text), "{json}: ours {text:?}, theirs {said}");
            }
            (theirs, ours) => panic!("{json}: ours {ours:?}, theirs {theirs:?} {said}"),
        }
        t.owned.remove().unwrap();
    }
}
