//! Another runtime, which the options name.

use std::fs;
use std::process::Command;

use dunnage_shim::proto::options::RuncOptions;

use crate::common::*;

fn named(binary: &str) -> RuncOptions {
    RuncOptions { binary_name: binary.into(), ..RuncOptions::default() }
}

/// What every runtime has to get right.
fn lives(t: &Daemon, options: &RuncOptions) {
    let mut c = t.container("c1");
    c.options(options).with_stdin(t).sh("echo out; echo err >&2; read line; exit $line");
    let task = t.boot(&c);
    let pid = task.create(&c).unwrap();
    assert_eq!(task.status("c1", ""), 1);
    assert_eq!(task.start("c1", "").unwrap(), pid);
    c.out.expect("out\n");
    let e = t.exec_sh(&c, "e1", "echo exec; exit 3");
    assert_eq!(task.run(&e), 3);
    assert_eq!(e.out.text(), "exec\n");
    let e = t.exec_sh(&c, "e2", "tty").with_terminal();
    assert_eq!(task.run(&e), 0);
    assert_eq!(e.out.text(), "/dev/pts/0\r\n");
    task.pause("c1").unwrap();
    assert_eq!(task.status("c1", ""), 4);
    task.resume("c1").unwrap();
    task.update("c1", &json!({"pids": {"limit": 77}})).unwrap();
    assert!(!task.pids("c1").unwrap().is_empty());
    task.stats("c1").unwrap();
    Writer::to(&c.request.stdin).write("7\n");
    assert_eq!(task.wait("c1", ""), Ok(7));
    assert_eq!(c.err.text(), "err\n");
    assert_eq!(task.delete("c1", "").unwrap().exit_status, 7);
    let told = t.events.told();
    let exits: Vec<&String> = told.iter().filter(|e| e.starts_with("exit")).collect();
    assert_eq!(exits, ["exit c1 e1 3", "exit c1 e2 0", "exit c1 7"]);
}

fn runc() -> String {
    let out = Command::new("sh").args(["-c", "command -v runc"]).output().unwrap();
    String::from_utf8_lossy(&out.stdout).trim().to_string()
}

/// The environment's `CRUN`, else the one in PATH (Debian's package `crun`).
fn crun() -> String {
    let path = std::env::var("CRUN").unwrap_or_else(|_| {
        let out = Command::new("sh").args(["-c", "command -v crun"]).output().unwrap();
        String::from_utf8_lossy(&out.stdout).trim().to_string()
    });
    assert!(!path.is_empty(), "Debian package crun, or CRUN=/path");
    path
}

#[test]
fn runc_by_its_path() {
    case(|t| lives(t, &named(&runc())));
}

#[test]
fn runc_by_its_name() {
    case(|t| lives(t, &named("runc")));
}

#[test]
fn crun_by_its_path() {
    case(|t| {
        if host::has_v1() {
            // crun refuses v1 beside v2. The mounts are the test's own.
            let _ = nix::mount::umount2("/sys/fs/cgroup/unified", nix::mount::MntFlags::MNT_DETACH);
        }
        lives(t, &named(&crun()));
    });
}

#[test]
fn the_options_of_a_runtime_that_the_daemon_does_not_know() {
    case(|t| {
        use dunnage_shim::proto::{Any, options::RuntimeOptions};
        let mut c = t.container("c1");
        let body = "binaryname = \"/run/test/runtime\"\nROOT = \"/run/test/root\"\n";
        t.script("runtime", &format!("echo \"$@\" >> /run/test/argv\nexec {} \"$@\"", runc()));
        c.request.options = Some(Any::of(
            "runtimeoptions.v1.Options",
            &RuntimeOptions { type_url: String::new(), config_path: String::new(), config_body: body.into() },
        ));
        c.sh("exit 3");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(3));
        assert!(fs::exists("/run/test/root/k8s.io/c1").unwrap());
        assert!(fs::read_to_string("/run/test/argv").unwrap().contains(" create "));
    });
}

/// A wrapper that sees what it is asked: nvidia-container-runtime is one.
#[test]
fn it_is_asked_as_runc_is() {
    case(|t| {
        let wrapper = t.script("runtime", &format!("echo \"$@\" >> /run/test/argv\nexec {} \"$@\"", runc()));
        lives(t, &RuncOptions { root: "/run/test/root".into(), ..named(&wrapper) });
        let argv = fs::read_to_string("/run/test/argv").unwrap();
        for verb in ["create", "start", "exec", "pause", "resume", "update", "delete"] {
            let line = argv.lines().find(|line| line.split(' ').any(|word| word == verb));
            let line = line.unwrap_or_else(|| panic!("no {verb}: {argv}"));
            assert!(line.starts_with("--root /run/test/root/k8s.io "), "{line}");
            assert!(line.contains("c1"), "{line}");
        }
        let create = argv.lines().find(|line| line.contains(" create ")).unwrap();
        for words in ["--log-format json", "--bundle ", "--pid-file "] {
            assert!(create.contains(words), "{create}");
        }
        assert!(!fs::exists("/run/test/root/k8s.io/c1").unwrap(), "deleted");
    });
}

#[test]
fn a_runtime_that_does_not_exist_is_named_in_quotes() {
    case(|t| {
        let mut c = t.container("c1");
        c.options(&named("no-runc")).silent();
        let task = t.boot(&c);
        let failure = task.create(&c).fails(2, "\"no-runc\"");
        assert!(failure.message.contains("executable file not found in $PATH"), "{failure:?}");
        task.state("c1", "").fails(5, "not found");
        assert_eq!(t.events.told(), [""; 0]);
    });
}

#[test]
fn its_error_is_told() {
    case(|t| {
        let mut c = t.container("c1");
        c.options(&named(&runc())).args(&["no-such-command"]).silent();
        let task = t.boot(&c);
        let failure = task.create(&c).fails(2, "OCI runtime create failed: ");
        assert!(
            failure.message.contains(r#"exec: "no-such-command": executable file not found in $PATH"#),
            "{failure:?}"
        );
    });
}

/// Dead with the shim, alive without it: `delete` asks the same runtime.
#[test]
fn the_command_delete_asks_it_too() {
    case(|t| {
        let wrapper = t.script("runtime", &format!("echo \"$@\" >> /run/test/argv\nexec {} \"$@\"", runc()));
        let mut c = t.container("c1");
        c.options(&named(&wrapper));
        let task = t.launch(&c);
        let pid = task.shim_pid();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        until("the shim to be dead", || !host::alive(pid) && task.client.is_closed());
        t.delete(&c);
        let argv = fs::read_to_string("/run/test/argv").unwrap();
        assert!(argv.lines().any(|line| line.contains("delete") && line.contains("--force")), "{argv}");
        let _ = fs::remove_file(task.address.strip_prefix("unix://").unwrap());
    });
}

/// However soon its process ends: the shim learns its pid from a file, when it may be dead.
#[test]
fn a_process_that_ends_at_once_has_an_exit() {
    case(|t| {
        let mut c = t.container("c1");
        c.options(&named(&runc())).silent();
        let task = t.launch(&c);
        for n in 0..10 {
            assert_eq!(task.run(&t.exec_sh(&c, &format!("e{n}"), &format!("exit {n}")).silent()), n);
        }
    });
}

#[test]
fn the_state_may_be_somewhere_else() {
    case(|t| {
        let mut c = t.container("c1");
        c.options(&RuncOptions { root: "/run/test/root".into(), ..RuncOptions::default() });
        let task = t.launch(&c);
        assert!(fs::exists("/run/test/root/k8s.io/c1/state.json").unwrap());
        task.end("c1");
        assert!(!fs::exists("/run/test/root/k8s.io/c1").unwrap());
    });
}

/// runc itself lists it and can end it.
#[test]
fn runc_reads_the_state() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let pid = task.state("c1", "").unwrap().pid;
        let out = Command::new("runc").args(["--root", "/run/containerd/runc/k8s.io", "state", "c1"]).output().unwrap();
        let state: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {out:?}"));
        assert_eq!((state["status"].as_str(), state["pid"].as_u64()), (Some("running"), Some(pid.into())));
        assert_eq!(state["bundle"].as_str(), c.bundle.to_str());
    });
}
