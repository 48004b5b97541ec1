//! A host with cgroup v2 alone: the test's own mount namespace has cgroup2 at /sys/fs/cgroup and nothing else. The
//! controllers are v1's on a hybrid host, so these are the tests of the core: entering, freezing, killing, devices.

use crate::common::mount::mount_at;
use crate::common::{Bundle, Command, Driver, case, host, json, strings, until};
use std::fs;
use std::path::Path;

/// From here on the host is one with the unified hierarchy only.
pub fn unified(b: &Bundle) {
    let line = "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup";
    Command::new(["sh", "-c", line]).output().ok();
    assert!(host::cgroup_leftovers(&b.cgroup).is_empty());
}

fn own(b: &Bundle, file: &str) -> String {
    host::read(host::cgroup_dir("", &b.cgroup).join(file))
}

/// The same of a cgroup whose processes have ended: systemd removes that at once.
fn left(b: &Bundle, file: &str) -> Option<String> {
    let text = fs::read_to_string(host::cgroup_dir("", &b.cgroup).join(file));
    assert!(text.is_ok() || Driver::under_test() == Driver::Systemd, "{file}: {text:?}");
    text.ok()
}

fn running(b: &mut Bundle) -> i32 {
    b.args(&["/bin/sleep", "100"]).run_detached();
    b.pid()
}

#[test]
fn life_of_a_container() {
    case(|b| {
        unified(b);
        let pid = running(b);
        assert!(host::read(format!("/proc/{pid}/cgroup")).contains(&format!("0::{}", b.cgroup)));
        let state: serde_json::Value = serde_json::from_str(&host::read(b.state_dir().join("state.json"))).unwrap();
        assert_eq!(state["cgroup_paths"], json!({"": format!("/sys/fs/cgroup{}", b.cgroup)}));
        b.rt(&["kill", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        b.delete();
        b.assert_gone();
    });
}

#[test]
fn system_calls_of_a_run() {
    case(|b| {
        unified(b);
        // The group of an engine is there, and passes its controllers on.
        let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap();
        let all: String = controllers.split_whitespace().map(|name| format!("+{name} ")).collect();
        let parent = host::cgroup_dir("", b.cgroup_parent());
        fs::create_dir(&parent).unwrap();
        for group in [Path::new("/sys/fs/cgroup"), &parent] {
            fs::write(group.join("cgroup.subtree_control"), &all).unwrap();
        }
        let calls = crate::robustness::calls_of_a_run(b);
        assert!(calls <= crate::robustness::budget(), "{calls} system calls");
    });
}

#[test]
fn in_the_group_at_create() {
    case(|b| {
        unified(b);
        b.user_namespace().args(&["/bin/true"]).create();
        assert_eq!(own(b, "cgroup.procs"), b.pid().to_string());
    });
}

#[test]
fn cgroup_namespace_and_mount() {
    case(|b| {
        unified(b);
        let r = b.namespace("cgroup", None).report();
        assert!(strings(&r["cgroup"]).contains(&"0::/".into()));
        let m = mount_at(&r, "/sys/fs/cgroup");
        assert!(m.kind == "cgroup2" && m.root == "/" && m.has_own("ro") && m.has_own("nosuid"), "{m:?}");
        b.sh("cat /sys/fs/cgroup/cgroup.procs | head -n 1").run().ok().says("1");
    });
}

/// CVE-2023-25809: in a user namespace, and without a cgroup namespace, cgroup2 cannot be mounted anew. What is bound in its
/// place is the host's, with the flags that were asked for.
#[test]
fn a_cgroup_mount_without_a_namespace_is_not_writable() {
    case(|b| {
        unified(b);
        let group = host::cgroup_dir("", b.cgroup_parent());
        fs::create_dir_all(group.join("users")).unwrap();
        // As systemd delegates a user's slice.
        std::os::unix::fs::chown(group.join("users"), Some(100_000), Some(100_000)).unwrap();
        let point = format!("/sys/fs/cgroup{}/users/of-the-container", b.cgroup_parent());
        let r = b.user_namespace().report();
        let m = mount_at(&r, "/sys/fs/cgroup");
        assert!(m.has_own("ro") && m.has_own("nosuid") && m.has_own("nodev") && m.has_own("noexec"), "{m:?}");
        b.sh(&format!("mkdir {point} 2>&1; test -e {point} || echo refused"));
        assert!(b.run().out.ends_with("refused\n"));
        assert!(!group.join("users/of-the-container").exists());
        fs::remove_dir(group.join("users")).unwrap();
    });
}

#[test]
fn devices_are_denied_by_default() {
    case(|b| {
        unified(b);
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
        for line in &lines[4..] {
            assert!(*line != denied, "{out}");
        }
    });
}

#[test]
fn freezing() {
    case(|b| {
        unified(b);
        let pid = running(b);
        b.rt(&["pause", &b.id]).ok();
        assert_eq!(own(b, "cgroup.freeze"), "1");
        assert!(own(b, "cgroup.events").contains("frozen 1"));
        assert_eq!(b.status(), "paused");
        b.rt(&["resume", &b.id]).ok();
        assert_eq!(own(b, "cgroup.freeze"), "0");
        b.rt(&["pause", &b.id]).ok();
        b.rt(&["delete", "--force", &b.id]).ok();
        assert!(!host::alive(pid));
        b.assert_gone();
    });
}

/// A frozen process can be killed, and nobody thaws what it leaves behind.
#[test]
fn a_paused_container_is_killed() {
    case(|b| {
        unified(b);
        let pid = running(b);
        b.rt(&["pause", &b.id]).ok();
        Command::new(["kill", "-KILL", &pid.to_string()]).output().ok();
        b.await_status("stopped");
        assert!(left(b, "cgroup.events").is_none_or(|text| text.contains("populated 0\nfrozen 1")));
        b.rt(&["exec", &b.id, "true"]).fails(255, "cannot exec in a stopped container");
        b.delete();
        b.assert_gone();
        // While it dies it is neither frozen nor gone: nothing may depend on that.
        for _ in 0..20 {
            running(b);
            b.rt(&["pause", &b.id]).ok();
            b.rt(&["kill", &b.id, "KILL"]).ok();
            b.await_status("stopped");
            assert!(left(b, "cgroup.freeze").is_none_or(|text| text == "0\n"));
            b.delete();
        }
    });
}

/// Without controllers there is still something to tell, and an end.
#[test]
fn events() {
    case(|b| {
        unified(b);
        running(b);
        let data = b.rt(&["events", "--stats", &b.id]).ok().json()["data"].take();
        assert!(data["cpu"]["usage"]["total"].is_u64() && data["cpu"]["usage"].get("percpu").is_none(), "{data}");
        assert_eq!(data["pids"]["current"], 1);
        for resource in ["cpu", "memory", "blkio"] {
            let psi = fs::exists("/proc/pressure/cpu").unwrap();
            assert_eq!(data[resource]["psi"]["full"]["total"].is_u64(), psi, "{resource}: {data}");
        }
        let mut events = b.command(&["events", "--interval", "100ms", &b.id]).spawn();
        until("it to be at work", || !events.written().0.is_empty());
        b.rt(&["kill", &b.id, "KILL"]).ok();
        assert_eq!(events.wait().ok().err, "");
    });
}

#[test]
fn kill_takes_the_group_of_a_shared_pid_namespace() {
    case(|b| {
        unified(b);
        let mut pod = Bundle::new();
        let pause = running(&mut pod);
        b.namespace("pid", Some(&format!("/proc/{pause}/ns/pid")));
        let mut out = b.sh("setsid sleep 100 & setsid sleep 100 & echo ready; wait").run_detached();
        until("its children", || out.written().0.contains("ready"));
        b.rt(&["kill", &b.id, "KILL"]).ok();
        until("all of them to be dead", || host::pids_in_cgroup(&b.cgroup).is_empty());
        b.await_status("stopped");
        b.delete();
        b.assert_gone();
        assert!(host::alive(pause));
    });
}

#[test]
fn delete_removes_groups_that_the_payload_made() {
    case(|b| {
        unified(b);
        running(b);
        fs::create_dir_all(host::cgroup_dir("", &b.cgroup).join("a/b")).unwrap();
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}

#[test]
fn exec_joins() {
    case(|b| {
        unified(b);
        running(b);
        assert!(strings(&b.exec_report(&[])["cgroup"]).contains(&format!("0::{}", b.cgroup)));
        fs::create_dir(host::cgroup_dir("", &b.cgroup).join("sub")).unwrap();
        assert!(strings(&b.exec_report(&["--cgroup", "sub"])["cgroup"]).contains(&format!("0::{}/sub", b.cgroup)));
        b.exec_with(&["--cgroup", "absent"], &["true"]).code(255);
        b.exec_with(&["--cgroup", "../.."], &["true"]).code(255);
    });
}

#[test]
fn an_occupied_group_is_refused() {
    case(|b| {
        unified(b);
        let dir = host::cgroup_dir("", &b.cgroup);
        fs::create_dir_all(&dir).unwrap();
        let squatter = crate::common::Beside::spawn(&["sleep", "100"]);
        fs::write(dir.join("cgroup.procs"), squatter.pid().to_string()).unwrap();
        b.args(&["/bin/true"]).run().fails(1, "container's cgroup is not empty: 1 process(es) found");
        assert!(host::alive(squatter.pid()));
    });
}

#[test]
fn unified_resources_are_files() {
    case(|b| {
        unified(b);
        b.set("/linux/resources/unified", json!({"cgroup.max.descendants": "7"}));
        running(b);
        assert_eq!(own(b, "cgroup.max.descendants"), "7");
        b.another_id("bad").set("/linux/resources/unified", json!({"nosuch.max": "7"}));
        b.start_command("create", &[]).output().fails(1, "nosuch.max");
        b.assert_gone();
        b.set("/linux/resources/unified", json!({"../x": "7"}));
        b.start_command("create", &[]).output().code(1);
        b.assert_gone();
    });
}

#[test]
fn spec_asks_for_a_cgroup_namespace() {
    case(|b| {
        unified(b);
        let dir = b.path("new");
        fs::create_dir(&dir).unwrap();
        b.bare(&["spec"]).dir(&dir).output().ok();
        let spec: serde_json::Value = serde_json::from_str(&host::read(dir.join("config.json"))).unwrap();
        let kinds: Vec<&str> =
            spec["linux"]["namespaces"].as_array().unwrap().iter().filter_map(|n| n["type"].as_str()).collect();
        assert!(kinds.contains(&"cgroup"), "{kinds:?}");
    });
}

/// "No internal processes": a cgroup with controllers for its children takes none itself. `exec` goes where init has gone,
/// unless it is told where.
#[test]
fn exec_follows_init() {
    case(|b| {
        unified(b);
        // systemd has no hand in this controller: the container gets it if it asks for it.
        b.set("/linux/resources/hugepageLimits", json!([{"pageSize": "2MB", "limit": 4_194_304}]));
        let pid = running(b);
        let dir = host::cgroup_dir("", &b.cgroup);
        let controllers = host::read(dir.join("cgroup.controllers"));
        let domain = controllers.split(' ').find(|c| ["memory", "io", "hugetlb", "rdma", "misc"].contains(c));
        let domain = domain.unwrap_or_else(|| panic!("no controller: {controllers:?}"));
        fs::create_dir(dir.join("leaf")).unwrap();
        fs::create_dir(dir.join("other")).unwrap();
        fs::write(dir.join("leaf/cgroup.procs"), pid.to_string()).unwrap();
        fs::write(dir.join("cgroup.subtree_control"), format!("+{domain}")).unwrap();
        let in_group = |flags: &[&str], path: &str| {
            let groups = strings(&b.exec_report(flags)["cgroup"]);
            assert!(groups.contains(&format!("0::{}{path}", b.cgroup)), "{flags:?}: {groups:?}");
        };
        in_group(&[], "/leaf");
        in_group(&["--cgroup", "/other"], "/other");
        in_group(&["--cgroup", "leaf/../other"], "/other");
        let out = b.exec_with(&["--cgroup", "/"], &["true"]);
        out.fails(255, "device or resource busy").err_has("it takes no processes itself");
        b.exec_with(&["--cgroup", "memory:leaf"], &["true"]).fails(255, "unknown controller memory in SubCgroupPaths");
        b.exec_with(&["--cgroup", "a/../../leaf"], &["true"]).fails(255, "bad sub cgroup path");
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}
