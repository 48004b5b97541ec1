//! The cgroupfs driver on v1 and hybrid hosts: paths, limits, devices, freezing, killing, removing.

use crate::common::{Beside, Bundle, Command, Value, case, eventually, host, json, strings, until};
use std::fs;
use std::os::unix::process::CommandExt;

fn running(b: &mut Bundle) -> i32 {
    b.args(&["/bin/sleep", "100"]).run_detached();
    b.pid()
}

#[track_caller]
fn assert_in_it(b: &Bundle, pid: i32) {
    let groups = host::cgroups_of(pid);
    assert!(!groups.is_empty() && groups.iter().all(|group| *group == b.cgroup), "{groups:?}");
}

#[test]
fn an_absolute_path() {
    case(|b| {
        let pid = running(b);
        assert_in_it(b, pid);
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}

/// `..` can't lead out of a hierarchy.
#[test]
fn an_absolute_path_is_cleaned() {
    case(|b| {
        b.set("/linux/cgroupsPath", format!("/../..{}/x/../", b.cgroup));
        let pid = running(b);
        assert!(host::read(format!("/proc/{pid}/cgroup")).contains(&format!(":pids:{}", b.cgroup)));
    });
}

/// Relative: below the runtime's own group, of each hierarchy.
#[test]
fn a_relative_path_and_none() {
    case(|b| {
        let own = host::cgroup_dir("pids", b.cgroup_parent());
        fs::create_dir(&own).unwrap();
        let enter = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", own.display());
        b.wrap(&["sh", "-c", &enter, "sh"]);
        // In the other hierarchies the test is in the root group, where a group named as this id comes to be.
        b.set("/linux/cgroupsPath", format!("{}/rel", b.cgroup_parent().trim_start_matches('/')));
        let r = b.report();
        let parent = b.cgroup_parent().to_string();
        let line = strings(&r["cgroup"]).into_iter().find(|l| l.contains(":pids:")).unwrap();
        assert!(line.ends_with(&format!(":{parent}{parent}/rel")), "{line}");
        assert!(host::cgroup_leftovers(&format!("{parent}{parent}/rel")).is_empty());
        b.remove("/linux/cgroupsPath");
        let line = strings(&b.report()["cgroup"]).into_iter().find(|l| l.contains(":pids:")).unwrap();
        assert!(line.ends_with(&format!(":{parent}/{}", b.id)), "{line}");
    });
}

#[test]
fn colons_are_only_a_name() {
    case(|b| {
        b.set("/linux/cgroupsPath", format!("{}/a:b:c", b.cgroup_parent()));
        let pid = running(b);
        assert!(host::read(format!("/proc/{pid}/cgroup")).contains("/a:b:c"));
        b.rt(&["delete", "--force", &b.id]).ok();
    });
}

/// In the group before anything of the image runs (CVE-2025-47291).
#[test]
fn in_the_group_at_create() {
    case(|b| {
        b.user_namespace().args(&["/bin/true"]).create();
        assert_in_it(b, b.pid());
    });
}

#[test]
fn limits_in_the_files() {
    case(|b| {
        b.set(
            "/linux/resources",
            json!({
                "devices": [{"allow": false, "access": "rwm"}],
                "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20, "swappiness": 7, "disableOOMKiller": true},
                "cpu": {"shares": 321, "quota": 5000, "period": 50000, "burst": 1000, "cpus": "0", "mems": "0"},
                "pids": {"limit": 99},
                "blockIO": {"throttleReadBpsDevice": [{"major": 254, "minor": 0, "rate": 1_048_576}],
                            "throttleWriteIOPSDevice": [{"major": 254, "minor": 0, "rate": 77}]}
            }),
        );
        running(b);
        for (controller, file, value) in [
            ("memory", "memory.limit_in_bytes", "67108864"),
            ("memory", "memory.soft_limit_in_bytes", "33554432"),
            ("memory", "memory.memsw.limit_in_bytes", "100663296"),
            ("memory", "memory.swappiness", "7"),
            ("cpu", "cpu.shares", "321"),
            ("cpu", "cpu.cfs_quota_us", "5000"),
            ("cpu", "cpu.cfs_period_us", "50000"),
            ("cpuset", "cpuset.cpus", "0"),
            ("cpuset", "cpuset.mems", "0"),
            ("pids", "pids.max", "99"),
            ("blkio", "blkio.throttle.read_bps_device", "254:0 1048576"),
            ("blkio", "blkio.throttle.write_iops_device", "254:0 77"),
        ] {
            assert_eq!(host::cgroup_file(controller, &b.cgroup, file), value, "{file}");
        }
        assert!(host::cgroup_file("memory", &b.cgroup, "memory.oom_control").starts_with("oom_kill_disable 1"));
    });
}

#[test]
fn cpu_burst_and_idle() {
    case(|b| {
        b.set("/linux/resources/cpu", json!({"quota": 20000, "period": 50000, "burst": 3000}));
        running(b);
        assert_eq!(host::cgroup_file("cpu", &b.cgroup, "cpu.cfs_burst_us"), "3000");
        b.another_id("idle").set("/linux/resources/cpu", json!({"idle": 1}));
        running(b);
        assert_eq!(host::cgroup_file("cpu", &b.cgroup, "cpu.idle"), "1");
    });
}

#[test]
fn unlimited_and_zero() {
    case(|b| {
        b.set("/linux/resources/pids", json!({"limit": -1})).set("/linux/resources/memory", json!({"limit": -1}));
        running(b);
        assert_eq!(host::cgroup_file("pids", &b.cgroup, "pids.max"), "max");
        assert!(host::cgroup_file("memory", &b.cgroup, "memory.limit_in_bytes").parse::<u64>().unwrap() > 1 << 60);
    });
}

#[test]
fn a_limit_of_no_processes_is_one() {
    case(|b| {
        b.set("/linux/resources/pids", json!({"limit": 0}));
        b.args(&["/bin/sleep", "100"]).create();
        assert_eq!(host::cgroup_file("pids", &b.cgroup, "pids.max"), "1");
    });
}

#[test]
fn limits_hold() {
    case(|b| {
        b.set("/linux/resources/pids", json!({"limit": 3}));
        let out = b.sh("for i in 1 2 3 4 5 6; do sleep 5 & done; echo started").run();
        assert!(out.err.contains("can't fork"), "{out}");
        b.remove("/linux/resources/pids").set("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
        b.sh("head -c 60000000 /dev/zero | tail -c 50000000 | wc -c; echo survived").run().ok();
        let failures = b.sh("dd if=/dev/zero of=/dev/null bs=100M count=1").run();
        assert_ne!(failures.code, 0, "{failures}");
    });
}

/// Only what is allowed, and the defaults (GHSA-g54h-m393-cpwq).
#[test]
fn devices_are_denied_by_default() {
    case(|b| {
        b.all_capabilities(&["CAP_MKNOD", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]).set("/root/readonly", false);
        b.set(
            "/linux/resources/devices",
            json!([{"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]),
        );
        b.sh("mknod /tmp/disk b 254 0 && echo made; /payload open r /tmp/disk
              mknod /tmp/mem c 1 1 && echo made; /payload open r /tmp/mem
              mknod /tmp/fuse c 10 229; /payload open r /tmp/fuse
              for d in null zero full random urandom tty ptmx; do /payload open r /dev/$d; done");
        let out = b.run().ok();
        let denied = "Operation not permitted (os error 1)";
        let lines: Vec<&str> = out.out.lines().collect();
        assert_eq!(lines[..4], ["made", denied, "made", denied], "{out}");
        assert_ne!(lines[4], denied, "{out}");
        for line in &lines[5..] {
            assert!(*line != denied, "{out}");
        }
        let list = {
            running(b);
            host::cgroup_file("devices", &b.cgroup, "devices.list")
        };
        let mut list: Vec<&str> = list.lines().collect();
        list.sort_unstable();
        let expected = [
            "b *:* m",
            "c *:* m",
            "c 10:200 rwm",
            "c 10:229 rw",
            "c 136:* rwm",
            "c 1:3 rwm",
            "c 1:5 rwm",
            "c 1:7 rwm",
            "c 1:8 rwm",
            "c 1:9 rwm",
            "c 5:0 rwm",
            "c 5:2 rwm",
        ];
        assert_eq!(list, expected);
    });
}

#[test]
fn all_devices_may_be_allowed() {
    case(|b| {
        b.set("/linux/resources/devices", json!([{"allow": true, "access": "rwm"}]));
        running(b);
        assert_eq!(host::cgroup_file("devices", &b.cgroup, "devices.list"), "a *:* rwm");
    });
}

#[test]
fn no_device_rules_means_the_defaults() {
    case(|b| {
        b.remove("/linux/resources");
        running(b);
        assert!(!host::cgroup_file("devices", &b.cgroup, "devices.list").starts_with('a'));
    });
}

#[test]
fn an_occupied_group_is_refused() {
    case(|b| {
        let dir = host::cgroup_dir("pids", &b.cgroup);
        fs::create_dir_all(&dir).unwrap();
        let squatter = Beside::spawn(&["sleep", "100"]);
        fs::write(dir.join("cgroup.procs"), squatter.pid().to_string()).unwrap();
        let devices = host::cgroup_dir("devices", &b.cgroup);
        fs::create_dir_all(&devices).unwrap();
        fs::write(devices.join("cgroup.procs"), squatter.pid().to_string()).unwrap();
        b.args(&["/bin/true"]).run().fails(1, "container's cgroup is not empty: 1 process(es) found");
        assert!(host::alive(squatter.pid()));
        assert!(!b.state_dir().exists());
    });
}

#[test]
fn an_empty_group_is_used() {
    case(|b| {
        for (_, point) in host::hierarchies() {
            fs::create_dir_all(point.join(b.cgroup.trim_start_matches('/'))).unwrap();
        }
        b.args(&["/bin/true"]).run().ok();
        b.assert_gone();
    });
}

#[test]
fn a_frozen_group_is_refused() {
    case(|b| {
        let dir = host::cgroup_dir("freezer", &b.cgroup);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("freezer.state"), "FROZEN").unwrap();
        b.args(&["/bin/true"]).run().fails(1, "container's cgroup unexpectedly frozen");
        fs::write(dir.join("freezer.state"), "THAWED").unwrap();
    });
}

#[test]
fn pausing_uses_the_freezer() {
    case(|b| {
        running(b);
        b.rt(&["pause", &b.id]).ok();
        assert_eq!(host::cgroup_file("freezer", &b.cgroup, "freezer.state"), "FROZEN");
        b.rt(&["resume", &b.id]).ok();
        assert_eq!(host::cgroup_file("freezer", &b.cgroup, "freezer.state"), "THAWED");
        // Frozen by somebody else is paused too.
        fs::write(host::cgroup_dir("freezer", &b.cgroup).join("freezer.state"), "FROZEN").unwrap();
        b.await_status("paused");
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}

/// A container in another's pid namespace: SIGKILL takes its whole group, and nothing but its group.
#[test]
fn kill_takes_the_group_of_a_shared_pid_namespace() {
    case(|b| {
        let mut pod = Bundle::new();
        let pause = running(&mut pod);
        b.namespace("pid", Some(&format!("/proc/{pause}/ns/pid")));
        let mut out = b.sh("sleep 100 & sleep 100 & echo ready; wait").run_detached();
        until("its children", || out.written().0.contains("ready"));
        let init = b.pid();
        let children = host::children(init);
        assert_eq!(children.len(), 2);
        b.rt(&["kill", &b.id, "KILL"]).ok();
        until("all of them to be dead", || !host::alive(init) && children.iter().all(|c| !host::alive(*c)));
        assert!(host::alive(pause));
        b.await_status("stopped");
        b.delete();
        b.assert_gone();
        assert!(host::alive(pause));
    });
}

/// Init has gone and left others: they are killed when the container is deleted, or by `kill`.
#[test]
fn leftovers_of_a_shared_pid_namespace() {
    case(|b| {
        let mut pod = Bundle::new();
        let pause = running(&mut pod);
        b.namespace("pid", Some(&format!("/proc/{pause}/ns/pid")));
        for by in ["delete", "kill"] {
            b.another_id(by).sh("setsid sleep 100 & echo ready").run_detached();
            b.await_status("stopped");
            let left = host::pids_in_cgroup(&b.cgroup);
            assert_eq!(left.len(), 1, "{by}");
            if by == "kill" {
                b.rt(&["kill", &b.id, "KILL"]).ok();
                until("it to be dead", || !host::alive(left[0]));
            }
            b.delete();
            until("it to be dead", || !host::alive(left[0]));
            b.assert_gone();
        }
        assert!(host::alive(pause));
    });
}

#[test]
fn delete_removes_groups_that_the_payload_made() {
    case(|b| {
        running(b);
        for (_, point) in host::hierarchies() {
            fs::create_dir_all(point.join(b.cgroup.trim_start_matches('/')).join("a/b")).unwrap();
        }
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}

/// Whatever is missing already, `delete` goes on to the end.
#[test]
fn delete_converges() {
    case(|b| {
        let pid = running(b);
        b.rt(&["kill", &b.id, "KILL"]).ok();
        until("it to be dead", || !host::alive(pid));
        b.await_status("stopped");
        for dir in host::cgroup_leftovers(&b.cgroup).into_iter().step_by(2) {
            until("its removal", || fs::remove_dir(&dir).is_ok());
        }
        b.delete();
        b.assert_gone();
    });
}

/// The hazard: a state without cgroup paths, or with a hierarchy's root, once made `delete` kill every process of a host.
/// Here "the host" is a pid namespace with one witness: signals can't leave it, whatever the runtime does.
#[test]
fn a_state_without_a_group_kills_nobody() {
    // NEVER against another runtime: real runc kills the whole machine through the root cgroup (it did, twice), pid
    // namespace or not. The host's processes are the price of proving that it does.
    if std::env::var_os("RUNTIME").is_some() {
        return;
    }
    case(|b| {
        let holder = Beside::spawn(&["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "sleep", "1000"]);
        let host_pid = eventually("the namespace", || host::children(holder.pid()).first().copied());
        until("its procfs", || host::read(format!("/proc/{host_pid}/comm")) == "sleep");
        let pid = host_pid.to_string();
        let enter = ["nsenter", "-t", &pid, "-m", "-p"];
        let entered = Beside::spawn(&[&enter[..], &["sleep", "500"]].concat());
        let witness = eventually("the witness", || host::children(entered.pid()).first().copied());
        // A state directory that no clean-up on the real host ever looks at.
        let root = b.path("hazard");
        b.drop_namespace("pid").args(&["/bin/sleep", "100"]).write_config();
        let (path, bundle) = (b.runtime().path.display().to_string(), b.bundle().display().to_string());
        let run = |args: &[&str]| {
            let mut command =
                Command::new([&enter[..], &[path.as_str(), "--root", root.to_str().unwrap()], args].concat());
            // A signal to "process 0" is one to the own process group.
            command.inner().process_group(0);
            command.output()
        };
        run(&["run", "--detach", "--bundle", &bundle, &b.id]).ok();
        let dir = root.join(&b.id);
        let file = dir.join("state.json");
        let sane = fs::read(&file).unwrap();
        let roots: Value = host::hierarchies().iter().map(|(n, p)| (n.clone(), json!(p))).collect();
        for paths in [json!({}), json!({"": ""}), json!({"pids": "relative", "freezer": ""}), roots] {
            let mut state: Value = serde_json::from_slice(&sane).unwrap();
            state["cgroup_paths"] = paths.clone();
            state["config"]["cgroups"] = json!({});
            for command in [&["kill", &b.id, "KILL"][..], &["delete", "--force", &b.id]] {
                fs::create_dir_all(&dir).unwrap();
                fs::write(&file, state.to_string()).unwrap();
                let out = run(command);
                std::thread::sleep(std::time::Duration::from_millis(20));
                assert!(host::alive(witness), "{paths}: {out}");
            }
        }
    });
}
