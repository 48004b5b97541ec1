//! How a container ended: what `state` and `events` say of it.

use crate::common::{Bundle, Value, case, host, json, until};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

const END: &str = "io.dunnage.end";
/// 100 MB at once, by a program that does nothing else.
const TOO_MUCH: [&str; 4] = ["dd", "if=/dev/zero", "of=/dev/null", "bs=100M"];

/// By a `run --keep`, which is there to see it.
fn kept(b: &mut Bundle) -> Value {
    b.start_command("run", &["--keep"]).output();
    let state = b.state();
    assert_eq!(state["status"], "stopped");
    let end = state[END].clone();
    b.rt(&["delete", &b.id]).ok();
    end
}

#[test]
fn code_signal_and_core() {
    case(|b| {
        assert_eq!(kept(b.sh("exit 3")), json!({"reason": "exited with 3", "code": 3}));
        assert_eq!(kept(b.args(&["/bin/true"])), json!({"reason": "exited with 0", "code": 0}));
        // The first of a pid namespace is not killed by itself; by us, it is.
        b.drop_namespace("pid");
        let end = kept(b.sh("kill -TERM $$"));
        assert_eq!(end, json!({"reason": "killed by signal 15 (SIGTERM)", "signal": 15}));
        let end = kept(b.sh("ulimit -c unlimited; cd /tmp; kill -SEGV $$"));
        assert_eq!((&end["signal"], &end["oom"]), (&json!(11), &Value::Null), "{end}");
        // Whether there is a core is up to the limit, and to where the host wants it.
        assert!(end["core"] == Value::Null || end["core"] == true, "{end}");
    });
}

#[test]
fn a_filter_that_kills() {
    case(|b| {
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}]});
        b.set("/linux/seccomp", profile).args(&["/bin/mkdir", "/tmp/x"]);
        let end = kept(b);
        assert_eq!((&end["signal"], &end["seccomp"]), (&json!(31), &json!(true)), "{end}");
        assert!(end["reason"].as_str().unwrap().contains("seccomp profile"), "{end}");
        // Without one it is a signal like any other.
        b.remove("/linux/seccomp").drop_namespace("pid").sh("kill -SYS $$");
        let end = kept(b);
        assert_eq!((&end["signal"], &end["seccomp"]), (&json!(31), &Value::Null), "{end}");
    });
}

fn memory_dir(path: &str) -> std::path::PathBuf {
    let v1 = host::hierarchies().iter().any(|(names, _)| names.split(',').any(|name| name == "memory"));
    host::cgroup_dir(if v1 { "memory" } else { "" }, path)
}

#[test]
fn out_of_memory_by_its_own_limit() {
    case(|b| {
        b.set("/linux/resources/memory", json!({"limit": 32 << 20, "swap": 32 << 20})).args(&TOO_MUCH);
        let end = kept(b);
        assert_eq!((&end["signal"], &end["oom"]["limit"]), (&json!(9), &json!("container")), "{end}");
        assert_eq!(end["oom"]["kills"], 1);
        let dir = memory_dir(&b.cgroup);
        assert!(dir.display().to_string().ends_with(b.cgroup.as_str()));
        assert!(end["oom"]["cgroup"].as_str().unwrap().ends_with(&b.cgroup), "{end}");
        assert!(end["reason"].as_str().unwrap().ends_with("out of memory, by its own limit"), "{end}");
    });
}

#[test]
fn out_of_memory_by_a_limit_above() {
    case(|b| {
        // So that the cgroup above is there.
        b.args(&["/bin/true"]).run().ok();
        let parent = memory_dir(b.cgroup_parent());
        let (limit, swap) = if parent.join("memory.max").exists() {
            ("memory.max", "memory.swap.max")
        } else {
            ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        };
        fs::write(parent.join(limit), (32 << 20).to_string()).unwrap();
        // Without swap accounting there is no such file.
        let _ =
            fs::write(parent.join(swap), if swap == "memory.swap.max" { "0".into() } else { (32 << 20).to_string() });
        let end = kept(b.args(&TOO_MUCH));
        assert_eq!((&end["signal"], &end["oom"]["limit"]), (&json!(9), &json!("above")), "{end}");
        assert!(end["oom"]["cgroup"].as_str().unwrap().ends_with(b.cgroup_parent()), "{end}");
    });
}

/// Nobody has reaped it: its zombie tells.
#[test]
fn of_a_zombie_and_of_one_that_is_gone() {
    case(|b| {
        b.sh("exit 7");
        // This test is its parent, and the harness reaps for it while a command takes long: then another one has to do.
        let told = (0..20).find_map(|_| {
            b.create();
            b.start();
            b.await_status("stopped");
            let end = b.state().get(END).cloned();
            if end.is_none() {
                b.rt(&["delete", &b.id]).ok();
            }
            end
        });
        assert_eq!(told, Some(json!({"reason": "exited with 7", "code": 7})));
        until("it is reaped", || b.state().get(END).is_none());
        // Then nobody knows, and nothing is said.
        assert_eq!(b.state()["status"], "stopped");
    });
}

#[test]
fn files_that_are_no_end() {
    case(|b| {
        b.sh("exit 3");
        b.start_command("run", &["--keep"]).output().code(3);
        let file = b.state_dir().join("end.json");
        assert_eq!(b.state()[END]["code"], 3);
        let secret = b.path("secret");
        fs::write(&secret, r#"{"code": 5}"#).unwrap();
        for text in ["", "{", "[]", r#"{"code": 300}"#, r#"{"code":1,"signal":9}"#] {
            fs::write(&file, text).unwrap();
            assert_eq!(b.state().get(END), None, "{text}");
        }
        fs::write(&file, format!("{}{}", r#"{"code": 3}"#, " ".repeat(100 << 20))).unwrap();
        assert_eq!(b.state().get(END), None);
        fs::write(
            &file,
            r#"{"code": 4, "reason": "\u001b[31mmine", "oom": {"kills": 1, "limit": "above", "cgroup": "\u001b[31m"}}"#,
        )
        .unwrap();
        let out = b.rt(&["state", &b.id]).ok();
        assert!(!out.out.contains('\u{1b}'), "{out}");
        assert!(out.json()[END]["reason"].as_str().unwrap().starts_with("exited with 4"), "{out}");
        fs::remove_file(&file).unwrap();
        symlink(&secret, &file).unwrap();
        assert_eq!(b.state().get(END), None);
        fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(b.state().get(END), None);
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(b.state().get(END), None);
        b.rt(&["delete", &b.id]).ok();
        assert!(!b.state_dir().exists());
    });
}

#[test]
fn events_tell_it() {
    case(|b| {
        b.sh("while ! test -e /tmp/go; do usleep 10000; done; exit 5").set("/root/readonly", false).run_detached();
        let events = b.command(&["events", &b.id]).spawn();
        std::thread::sleep(Duration::from_millis(300));
        fs::write(b.rootfs("/tmp/go"), "").unwrap();
        let out = events.wait().ok();
        let last: Value = serde_json::from_str(out.out.lines().last().unwrap()).unwrap();
        assert_eq!((&last["type"], &last["id"]), (&json!("end"), &json!(b.id)), "{out}");
        assert!(last["data"]["reason"].is_string(), "{out}");
        // The test may have reaped it: before Linux 6.15 nobody can say then.
        assert!(matches!(last["data"]["code"].as_i64(), Some(5) | None), "{out}");
    });
}

/// What a foreground `run` prints is the container's alone, whatever ended it.
#[test]
fn standard_error_is_the_containers() {
    case(|b| {
        b.set("/linux/resources/memory", json!({"limit": 32 << 20, "swap": 32 << 20})).args(&TOO_MUCH);
        let out = b.run().code(137);
        assert_eq!((out.out.as_str(), out.err.as_str()), ("", ""));
        let log = b.path("log");
        b.start_command("run", &["--debug", "--log", log.to_str().unwrap()]).output().code(137);
        assert!(host::read(&log).contains("out of memory, by its own limit"), "{}", host::read(&log));
    });
}
