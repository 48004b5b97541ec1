//! Create that fails, and Create that takes long.

use std::fs;
use std::time::{Duration, Instant};

use dunnage_shim::proto::Mount;

use crate::common::*;

/// It is refused with these words, and as if it had never been.
#[track_caller]
fn fails_and_leaves_nothing(t: &Daemon, c: &Container, words: &str) {
    let task = t.boot(c);
    let pid = task.shim_pid();
    let fds = || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let failure = task.create(c).fails(2, words);
    task.state(&c.id, "").fails(5, "not found");
    task.delete(&c.id, "").fails(5, "not found");
    assert_eq!(host::pids_in_cgroup(&c.cgroup), [0; 0]);
    assert!(host::cgroup_leftovers(&c.cgroup).is_empty(), "control groups are left");
    assert!(!host::mounts().iter().any(|m| m.contains(c.bundle.to_str().unwrap())), "mounts are left");
    assert!(!fs::exists("/run/containerd/runc/k8s.io/c1").unwrap(), "state is left");
    let once = fds();
    // Nothing adds up.
    for _ in 0..3 {
        assert_eq!(task.create(c).fails(2, words), failure);
    }
    until("no descriptors to be left", || fds() <= once);
    pause(100);
    assert_eq!(t.events.told(), [""; 0], "no events");
    let _ = task.shutdown(&c.id);
    until("the server to leave", || task.client.is_closed());
    t.delete(c);
}

#[test]
fn a_command_that_does_not_exist() {
    case(|t| {
        let mut c = t.container("c1");
        c.args(&["no-such-command"]).silent();
        let words = r#"exec: "no-such-command": executable file not found in $PATH"#;
        fails_and_leaves_nothing(t, &c, words);
    });
}

#[test]
fn the_words_before_an_error_of_the_runtime() {
    case(|t| {
        let mut c = t.container("c1");
        c.args(&["no-such-command"]).silent();
        let task = t.boot(&c);
        let failure = task.create(&c).fails(2, "");
        let begins = "OCI runtime create failed: runc create failed: unable to start container process: ";
        assert!(failure.message.starts_with(begins), "{failure:?}");
    });
}

#[test]
fn a_command_that_may_not_be_executed() {
    case(|t| {
        let mut c = t.container("c1");
        c.args(&["/etc/passwd"]).silent();
        fails_and_leaves_nothing(t, &c, r#"exec: "/etc/passwd": permission denied"#);
    });
}

#[test]
fn a_working_directory_that_is_none() {
    case(|t| {
        let mut c = t.container("c1");
        c.silent().set("/process/cwd", "/etc/passwd");
        fails_and_leaves_nothing(t, &c, "not a directory");
    });
}

#[test]
fn a_configuration_that_is_broken() {
    case(|t| {
        let mut c = t.container("c1");
        c.silent().set("/process/args", json!([]));
        fails_and_leaves_nothing(t, &c, "OCI runtime create failed: ");
    });
}

#[test]
fn a_hook_that_fails() {
    case(|t| {
        let mut c = t.container("c1");
        let hook = t.script("hook", "echo no >&2; exit 3");
        c.silent().set("/hooks/createRuntime", json!([{"path": hook}]));
        fails_and_leaves_nothing(t, &c, "exit status 3");
    });
}

#[test]
fn a_root_that_can_not_be_mounted() {
    case(|t| {
        let mut c = t.container("c1");
        c.silent().mounts(vec![
            Mount {
                kind: "bind".into(),
                source: t.rootfs().display().to_string(),
                options: vec!["rbind".into()],
                ..Mount::default()
            },
            Mount {
                kind: "overlay".into(),
                source: "overlay".into(),
                options: vec!["lowerdir=/no".into()],
                ..Mount::default()
            },
        ]);
        fails_and_leaves_nothing(t, &c, "failed to mount rootfs component");
    });
}

#[test]
fn a_stream_that_can_not_be_opened() {
    case(|t| {
        let mut c = t.container("c1");
        c.request.stdout = "/run/test/no/such/fifo".into();
        fails_and_leaves_nothing(t, &c, "no such file or directory");
    });
}

/// After a failure the id is free.
#[test]
fn what_failed_can_be_tried_again() {
    case(|t| {
        let mut c = t.container("c1");
        c.args(&["no-such-command"]).silent();
        let task = t.boot(&c);
        task.create(&c).fails(2, "executable file not found");
        c.sh("exit 5").write_config();
        task.create(&c).unwrap();
        task.start("c1", "").unwrap();
        assert_eq!(task.wait("c1", ""), Ok(5));
    });
}

/// A hook of another container takes its time; State and the others are asked every second by kubelet.
#[test]
fn a_slow_create_keeps_nobody_waiting() {
    case(|t| {
        let mut a = t.container("a");
        a.sandbox("a");
        let task = t.launch(&a);
        let mut b = t.container("b");
        let hook = t.script("hook", "sleep 3");
        b.sandbox("a").set("/hooks/createRuntime", json!([{"path": hook}]));
        b.write_config();
        let create = task.begin_create(&b);
        pause(300);
        let begun = Instant::now();
        for _ in 0..20 {
            assert_eq!(task.status("a", ""), 2);
            task.connect("a").unwrap();
            task.connect("b").unwrap();
            assert!(!task.pids("a").unwrap().is_empty());
            task.stats("a").unwrap();
        }
        // Of the one that is being made: whatever is true, but at once.
        match task.state("b", "") {
            Ok(state) => assert_eq!(state.status, 1),
            Err(failure) => assert_eq!(failure.code, 5),
        }
        assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
        assert_eq!(task.run(&t.exec(&a, "e1", &["/bin/true"])), 0);
        assert!(create.pending(), "the hook still sleeps");
        create.wait().unwrap();
        task.start("b", "").unwrap();
    });
}

/// The same for whatever else of it is under way.
#[test]
fn a_slow_delete_keeps_nobody_waiting() {
    case(|t| {
        let mut c = t.container("c1");
        let hook = t.script("hook", "sleep 2");
        c.set("/hooks/poststop", json!([{"path": hook}])).args(&["/bin/true"]);
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        let delete = task.begin_delete("c1", "");
        pause(200);
        let begun = Instant::now();
        let state = task.state("c1", "");
        assert!(begun.elapsed() < Duration::from_millis(1000), "{:?}", begun.elapsed());
        if let Ok(state) = state {
            assert_eq!(state.status, 3);
        }
        // A second Delete, of a client that lost patience, hears the same or that it is done.
        match task.begin_delete("c1", "").wait() {
            Ok(_) => {}
            Err(failure) => assert_eq!(failure.code, 5),
        }
        delete.wait().unwrap();
        t.events.expect("delete c1 0");
        pause(100);
        assert_eq!(t.events.told(), ["create c1", "start c1", "exit c1 0", "delete c1 0"]);
    });
}

#[test]
fn twenty_containers_are_made_at_once() {
    case(|t| {
        let mut pod = t.container("c0");
        pod.sandbox("c0").silent();
        let task = t.launch(&pod);
        let containers: Vec<Container> = (1..=20)
            .map(|n| {
                let mut c = t.container(&format!("c{n}"));
                c.sandbox("c0").sh(&format!("exit {n}")).silent();
                c.write_config();
                c
            })
            .collect();
        let created: Vec<_> = containers.iter().map(|c| task.begin_create(c)).collect();
        created.iter().for_each(|create| assert!(create.wait().unwrap().pid > 0));
        let started: Vec<_> = containers.iter().map(|c| task.begin_start(&c.id, "")).collect();
        started.iter().for_each(|start| assert!(start.wait().is_ok()));
        for n in 1..=20 {
            assert_eq!(task.wait(&format!("c{n}"), ""), Ok(n));
        }
        let deleted: Vec<_> = containers.iter().map(|c| task.begin_delete(&c.id, "")).collect();
        deleted.iter().for_each(|delete| assert!(delete.wait().is_ok()));
        assert_eq!(task.status("c0", ""), 2);
    });
}
