//! The state file, both ways, with a real runc: what it wrote, the library reads; what the library writes in its place, runc
//! goes on with. No binary of ours takes part, so these hold before `create` does and say which half is at fault later.

use crate::common::{Bundle, Value, case_of_two, json, other_runtime, patience};
use dunnage::spec::Spec;
use dunnage::state::{Brief, Claim, Config, ContainerDir, Origin, Report, State};
use std::fs;

/// Whether the container's freezer says so, in whichever hierarchy it is.
fn frozen(state: &State<Brief>) -> bool {
    let read = |key: &str, file: &str| {
        state.cgroup_paths.get(key).and_then(|dir| fs::read_to_string(format!("{dir}/{file}")).ok())
    };
    match read("freezer", "freezer.state") {
        Some(text) => text.trim() == "FROZEN",
        None => read("", "cgroup.events").is_some_and(|text| text.lines().any(|line| line == "frozen 1")),
    }
}

fn container(b: &Bundle) -> (ContainerDir, State<Brief>) {
    let dir = ContainerDir::open(&b.root(), &b.id).unwrap();
    let state = dir.load().unwrap();
    (dir, state)
}

/// What our `state` would print.
fn report(b: &Bundle) -> Value {
    let (dir, state) = container(b);
    let status = state.status(&dir, || Ok(frozen(&state))).unwrap();
    let mut report: Value = serde_json::from_str(&Report::new(state, status).pretty().unwrap()).unwrap();
    // Each tells its own version of the specification.
    report["ociVersion"] = json!("any");
    report
}

#[track_caller]
fn assert_same(b: &Bundle, status: &str) {
    let ours = report(b);
    assert_eq!(ours["status"], status);
    let mut runcs = b.state();
    runcs["ociVersion"] = json!("any");
    assert_eq!(ours, runcs);
}

#[test]
fn we_see_a_container_of_runc_as_runc_does() {
    case_of_two(|b| {
        b.switch(&other_runtime()).args(&["sleep", "60"]);
        b.set("/annotations", json!({"org.example.key": "value=1", "bundle": "/etc"}));
        b.create();
        assert_same(b, "created");
        b.start();
        assert_same(b, "running");
        b.rt(&["pause", &b.id]).ok();
        assert_same(b, "paused");
        b.rt(&["resume", &b.id]).ok();
        assert_same(b, "running");

        let init = container(b).1.init().unwrap().expect("init is alive");
        assert_eq!(init.pid, b.pid());
        init.kill(libc::SIGKILL).unwrap();
        assert!(init.wait(patience(10)).unwrap());
        assert_same(b, "stopped");
        assert!(container(b).1.init().unwrap().is_none());

        b.delete();
        assert_eq!(ContainerDir::open(&b.root(), &b.id).unwrap_err().to_string(), "container does not exist");
        assert!(matches!(Claim::of(&b.root(), &b.id), Ok(Claim::Missing)));
    });
}

/// Puts a state in place of runc's, made from config.json by us.
fn write_ours(b: &Bundle) -> State {
    let dir = ContainerDir::open(&b.root(), &b.id).unwrap();
    let runcs: State = dir.load().unwrap();
    let spec: Spec = serde_json::from_value(b.config.clone()).unwrap();
    let (bundle, rootfs) = (b.bundle().display().to_string(), b.rootfs("").display().to_string());
    let rootfs = rootfs.trim_end_matches('/');
    let origin = Origin { id: &b.id, bundle: &bundle, rootfs, ..Origin::default() };
    let config = Config::from_spec(&spec, &origin).unwrap();
    let ours = State { config, ..runcs };
    dir.save(&ours).unwrap();
    ours
}

#[test]
fn runc_goes_on_with_a_state_of_ours() {
    case_of_two(|b| {
        b.switch(&other_runtime()).args(&["sleep", "60"]);
        b.set("/annotations", json!({"org.example.key": "value"}));
        b.set(
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}),
        );
        b.set("/linux/resources/pids", json!({"limit": 20}));
        b.create();
        write_ours(b);
        let created = b.state();
        assert_eq!(
            (&created["status"], &created["annotations"]),
            (&json!("created"), &json!({"org.example.key": "value"}))
        );
        assert_eq!(created["bundle"], b.bundle().display().to_string());
        b.start();

        b.exec(&["sh", "-c", "hostname; cat /proc/1/comm"]).ok().says("runc\nsleep");
        b.exec(&["mkdir", "/dev/shm/x"]).fails(1, "No space left on device");
        let listed = b.rt(&["list", "--format", "json"]).ok().json();
        assert_eq!((&listed[0]["id"], &listed[0]["status"]), (&json!(b.id), &json!("running")));
        assert_eq!(b.rt(&["ps", "--format", "json", &b.id]).ok().json(), json!([b.pid()]));
        b.rt(&["pause", &b.id]).ok();
        assert_eq!(b.status(), "paused");
        b.rt(&["resume", &b.id]).ok();
        b.rt(&["kill", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        b.delete();
        b.assert_gone();
    });
}

#[test]
fn poststop_hooks_of_ours_are_run_by_runc() {
    case_of_two(|b| {
        b.switch(&other_runtime()).args(&["sleep", "60"]);
        let told = b.path("told");
        let script = format!("cat > {}", told.display());
        b.set("/hooks", json!({"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 10}]}));
        b.create();
        write_ours(b);
        b.rt(&["delete", "--force", &b.id]).ok();
        let told: Value = serde_json::from_slice(&fs::read(told).unwrap()).unwrap();
        assert_eq!((&told["id"], &told["status"]), (&json!(b.id), &json!("stopped")));
        assert_eq!(told["bundle"], b.bundle().display().to_string());
    });
}

/// `update` makes runc write what it has read: a key that it reads in another sense, or not at all, shows.
#[test]
fn runc_reads_every_key_of_ours_in_our_sense() {
    case_of_two(|b| {
        b.switch(&other_runtime()).args(&["sleep", "60"]);
        b.create();
        // Of these only the state says something: the container was made without them.
        for (pointer, value) in [
            ("/process/user/umask", json!(0o27)),
            ("/process/oomScoreAdj", json!(100)),
            ("/process/selinuxLabel", json!("system_u:system_r:container_t:s0")),
            ("/linux/mountLabel", json!("system_u:object_r:container_file_t:s0")),
            ("/linux/rootfsPropagation", json!("rslave")),
            ("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"})),
            ("/linux/namespaces/1/path", json!("/proc/1/ns/net")),
            ("/linux/uidMappings", json!([{"containerID": 0, "hostID": 1000, "size": 10}])),
            ("/linux/gidMappings", json!([{"containerID": 0, "hostID": 2000, "size": 10}])),
            (
                "/linux/devices",
                json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600}]),
            ),
            ("/linux/intelRdt", json!({"closID": "guaranteed", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20"})),
            (
                "/mounts/-",
                json!({"destination": "/a", "source": "/", "options":
                ["rbind", "ro", "rro", "rprivate", "nosuid"]}),
            ),
            (
                "/mounts/-",
                json!({"destination": "/b", "type": "tmpfs", "source": "t", "options": ["tmpcopyup", "size=1m"]}),
            ),
            (
                "/hooks",
                json!({"prestart": [{"path": "/bin/true", "args": ["true"], "env": [], "timeout": 3}],
                "poststart": [{"path": "/bin/true"}]}),
            ),
            (
                "/linux/seccomp",
                json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "flags": [],
                "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 1, "value": 2, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]}]}),
            ),
        ] {
            b.set(pointer, value);
        }
        let ours = write_ours(b);
        b.rt(&["update", "--pids-limit", "77", &b.id]).ok();
        let runcs: State = ContainerDir::open(&b.root(), &b.id).unwrap().load().unwrap();

        let mut expected = ours;
        expected.config.cgroups.pids_limit = Some(77);
        if b.runtime().name == "runc-1.1" {
            // Keys that came later.
            expected.config.mounts.iter_mut().for_each(|mount| mount.cleared_flags = 0);
        }
        assert_eq!(serde_json::to_value(runcs).unwrap(), serde_json::to_value(expected).unwrap());
    });
}
