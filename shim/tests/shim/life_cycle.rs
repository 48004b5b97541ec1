//! The life of a container: what each method does in each state, and what it answers where it may not.

use std::fs;

use dunnage_shim::proto::task::status::*;

use crate::common::*;

const NEVER: i64 = -62_135_596_800;

#[test]
fn a_container_lives_and_ends() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("echo out; echo err >&2; exit 7");
        let task = t.boot(&c);
        let pid = task.create(&c).unwrap();
        let state = task.state("c1", "").unwrap();
        assert_eq!((state.id.as_str(), state.pid, state.status), ("c1", pid, CREATED));
        assert_eq!(state.bundle, c.bundle.display().to_string());
        assert_eq!((&state.stdout, &state.stderr, state.terminal), (&c.request.stdout, &c.request.stderr, false));
        assert_eq!(state.exited_at.unwrap().seconds, NEVER);

        let wait = task.begin_wait("c1", "");
        assert!(wait.pending());
        assert_eq!(task.start("c1", "").unwrap(), pid);
        let ended = wait.wait().unwrap();
        assert_eq!(ended.exit_status, 7);
        assert_eq!(c.out.text(), "out\n");
        assert_eq!(c.err.text(), "err\n");

        let state = task.state("c1", "").unwrap();
        assert_eq!((state.pid, state.status, state.exit_status), (pid, STOPPED, 7));
        assert_eq!(state.exited_at, ended.exited_at);
        let now = dunnage_shim::proto::Timestamp::now();
        assert!((now.seconds - ended.exited_at.clone().unwrap().seconds).abs() < 30);

        let deleted = task.delete("c1", "").unwrap();
        assert_eq!((deleted.pid, deleted.exit_status), (pid, 7));
        assert_eq!(deleted.exited_at, ended.exited_at);
        task.state("c1", "").fails(5, "not found");
        t.events.are(&["create c1", "start c1", "exit c1 7", "delete c1 7"]);
        for event in t.events.all() {
            assert_eq!(event.namespace, "k8s.io");
            assert_eq!(event.pid, pid);
            assert!(event.timestamp.seconds > 1_700_000_000);
        }
        // It may leave before it answers.
        let _ = task.shutdown("c1");
        until("the server to leave", || task.client.is_closed());
    });
}

/// By whichever of its two names.
#[test]
fn the_task_api_has_two_names() {
    case(|t| {
        let mut c = t.container("c1");
        c.args(&["/bin/true"]);
        let mut task = t.boot(&c);
        task.create(&c).unwrap();
        for service in ["containerd.task.v2.Task", "containerd.task.v3.Task"] {
            task.service = service;
            assert_eq!(task.status("c1", ""), CREATED);
        }
        task.start("c1", "").unwrap();
        for service in ["containerd.task.v2.Task", "containerd.task.v3.Task"] {
            task.service = service;
            assert_eq!(task.wait("c1", ""), Ok(0));
        }
    });
}

#[test]
fn the_status_of_a_signal_is_128_and_it() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done");
        let mut d = t.container("c2");
        d.sandbox("c1");
        let task = t.launch(&c);
        c.out.expect("ready");
        task.kill("c1", "", 15).unwrap();
        assert_eq!(task.wait("c1", ""), Ok(9), "it has a handler");
        t.start_with(&d, t.usual_stdin(&d));
        let task = t.launch(&d);
        task.kill("c2", "", 9).unwrap();
        assert_eq!(task.wait("c2", ""), Ok(137));
        assert_eq!(task.delete("c2", "").unwrap().exit_status, 137);
    });
}

// ---- what is unknown

#[test]
fn an_unknown_container_is_not_found() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        task.start("no", "").fails(5, "not found");
        task.state("no", "").fails(5, "not found");
        task.delete("no", "").fails(5, "not found");
        task.pids("no").fails(5, "not found");
        task.pause("no").fails(5, "not found");
        task.resume("no").fails(5, "not found");
        task.checkpoint("no", "/run/test/x").fails(5, "not found");
        task.kill("no", "", 15).fails(5, "not found");
        task.exec(&t.exec(&t.container("no"), "e1", &["true"])).fails(5, "not found");
        task.resize("no", "", 80, 24).fails(5, "not found");
        task.close_io("no", "").fails(5, "not found");
        task.update("no", &json!({})).fails(5, "not found");
        task.wait("no", "").fails(5, "not found");
        task.stats("no").fails(5, "not found");
    });
}

#[test]
fn it_is_said_in_the_words_that_callers_know() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        assert_eq!(task.state("no", "").fails(5, "").message, "container not created: not found");
        task.create(&c).unwrap();
        assert_eq!(task.state("c1", "e1").fails(5, "").message, "process does not exist e1: not found");
    });
}

/// Whoever asks is told who serves.
#[test]
fn connect_never_fails() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        let unknown = task.connect("no").unwrap();
        assert_eq!(unknown.task_pid, 0);
        assert!(host::alive(unknown.shim_pid as i32));
        let pid = task.create(&c).unwrap();
        let known = task.connect("c1").unwrap();
        assert_eq!((known.shim_pid, known.task_pid), (unknown.shim_pid, pid));
    });
}

#[test]
fn an_id_is_made_once() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        let pid = task.create(&c).unwrap();
        task.create(&c).fails(6, "already exists");
        assert_eq!(task.state("c1", "").unwrap().pid, pid, "the first one is still there");
    });
}

// ---- created

#[test]
fn what_is_created_can_be_deleted_and_its_end_is_told() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        let pid = task.create(&c).unwrap();
        let wait = task.begin_wait("c1", "");
        let deleted = task.delete("c1", "").unwrap();
        assert_eq!(deleted.pid, pid);
        // A waiter is let go, with the status or with the news that there is nothing.
        if let Err(failure) = wait.wait() {
            assert_eq!(failure.code, 5);
        }
        t.events.are(&["create c1", "exit c1 137", "delete c1 137"]);
    });
}

#[test]
fn what_is_created_can_be_killed() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        task.create(&c).unwrap();
        task.kill("c1", "", 9).unwrap();
        assert_eq!(task.wait("c1", ""), Ok(137));
        assert_eq!(task.status("c1", ""), STOPPED);
        task.start("c1", "").fails(2, "cannot start a stopped process");
        task.delete("c1", "").unwrap();
        t.events.are(&["create c1", "exit c1 137", "delete c1 137"]);
    });
}

#[test]
fn what_is_created_is_not_paused_nor_resumed() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        task.create(&c).unwrap();
        task.pause("c1").fails(2, "cannot pause task in created state");
        task.resume("c1").fails(2, "cannot resume task in created state");
        task.checkpoint("c1", "/run/test/x").fails(2, "cannot checkpoint a task in created state");
        assert_eq!(task.status("c1", ""), CREATED);
        task.update("c1", &json!({"cpu": {"shares": 512}})).unwrap();
        task.stats("c1").unwrap();
        assert_eq!(task.pids("c1").unwrap().len(), 1);
    });
}

// ---- running

#[test]
fn what_runs_is_not_started_nor_deleted_nor_resumed() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        assert_eq!(task.status("c1", ""), RUNNING);
        task.start("c1", "").fails(2, "cannot start a running process");
        task.delete("c1", "").fails(2, "cannot delete a running process");
        task.resume("c1").fails(2, "cannot resume a running process");
        assert_eq!(task.status("c1", ""), RUNNING);
        assert!(task.begin_wait("c1", "").pending());
    });
}

/// A probe.
#[test]
fn signal_0_only_asks() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        task.kill("c1", "", 0).unwrap();
        assert_eq!(task.status("c1", ""), RUNNING);
        task.kill("c1", "", 9).unwrap();
        task.wait("c1", "").unwrap();
        task.kill("c1", "", 0).fails(5, "process already finished");
    });
}

#[test]
fn real_time_signals_arrive() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("trap 'echo got; exit 3' 40; echo ready; while :; do sleep 0.01; done");
        let task = t.launch(&c);
        c.out.expect("ready");
        task.kill("c1", "", 40).unwrap();
        assert_eq!(task.wait("c1", ""), Ok(3));
        assert_eq!(c.out.text(), "ready\ngot\n");
    });
}

// ---- paused

#[test]
fn what_is_paused_stands_still() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("while :; do echo x; usleep 10000; done");
        let task = t.launch(&c);
        c.out.expect("x");
        task.pause("c1").unwrap();
        assert_eq!(task.status("c1", ""), PAUSED);
        // Whatever is under way arrives.
        pause(100);
        let said = c.out.so_far().len();
        pause(100);
        assert_eq!(c.out.so_far().len(), said);

        task.start("c1", "").fails(2, "cannot start a paused process");
        task.delete("c1", "").fails(2, "cannot delete a paused process");
        task.pause("c1").fails(2, "cannot pause a paused container");
        task.exec(&t.exec(&c, "e1", &["true"])).fails(2, "cannot exec in a paused state");
        task.update("c1", &json!({"cpu": {"shares": 512}})).unwrap();
        task.stats("c1").unwrap();
        assert!(!task.pids("c1").unwrap().is_empty());

        task.resume("c1").unwrap();
        assert_eq!(task.status("c1", ""), RUNNING);
        until("it to go on", || c.out.so_far().len() > said);
        t.events.expect("resumed c1");
        assert_eq!(t.events.told(), ["create c1", "start c1", "paused c1", "resumed c1"]);
    });
}

#[test]
fn what_is_paused_can_be_killed() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        task.pause("c1").unwrap();
        task.kill("c1", "", 9).unwrap();
        assert_eq!(task.wait("c1", ""), Ok(137));
        assert_eq!(task.status("c1", ""), STOPPED);
        task.delete("c1", "").unwrap();
    });
}

#[test]
fn what_is_paused_can_be_killed_with_all_of_it() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("sleep 1000 & wait");
        let task = t.launch(&c);
        until("both", || task.pids("c1").unwrap().len() == 2);
        task.pause("c1").unwrap();
        task.kill_all("c1", 9).unwrap();
        assert_eq!(task.wait("c1", ""), Ok(137));
        task.delete("c1", "").unwrap();
    });
}

#[test]
fn a_command_of_what_is_paused_is_paused() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let e = t.exec(&c, "e1", &["/bin/sleep", "1000"]);
        task.exec(&e).unwrap();
        task.start("c1", "e1").unwrap();
        task.pause("c1").unwrap();
        assert_eq!(task.status("c1", "e1"), PAUSED);
        task.resume("c1").unwrap();
        assert_eq!(task.status("c1", "e1"), RUNNING);
        task.kill("c1", "e1", 9).unwrap();
        assert_eq!(task.wait("c1", "e1"), Ok(137));
    });
}

// ---- stopped, deleted

#[test]
fn what_is_stopped_can_only_be_deleted() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("exit 3");
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        task.start("c1", "").fails(2, "cannot start a stopped process");
        task.pause("c1").fails(2, "cannot pause a stopped container");
        task.resume("c1").fails(2, "cannot resume a stopped container");
        task.update("c1", &json!({"cpu": {"shares": 512}})).fails(2, "cannot update a stopped container");
        task.checkpoint("c1", "/run/test/x").fails(2, "cannot checkpoint a stopped container");
        task.exec(&t.exec(&c, "e1", &["true"])).fails(2, "cannot exec in a stopped state");
        task.kill("c1", "", 15).fails(5, "process already finished");
        assert_eq!(task.wait("c1", ""), Ok(3), "again");
        assert_eq!(task.delete("c1", "").unwrap().exit_status, 3);
    });
}

/// A daemon that comes back asks for the pids, and takes what has none for a leak: it would destroy the exit status.
#[test]
fn what_is_stopped_has_its_pid() {
    case(|t| {
        let mut c = t.container("c1");
        c.args(&["/bin/true"]);
        let task = t.boot(&c);
        let pid = task.create(&c).unwrap();
        task.start("c1", "").unwrap();
        task.wait("c1", "").unwrap();
        let pids: Vec<u32> = task.pids("c1").unwrap().iter().map(|p| p.pid).collect();
        assert_eq!(pids, [pid]);
    });
}

#[test]
fn what_is_deleted_is_unknown() {
    case(|t| {
        let mut c = t.container("c1");
        c.args(&["/bin/true"]);
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        task.delete("c1", "").fails(5, "not found");
        task.start("c1", "").fails(5, "not found");
        task.kill("c1", "", 9).fails(5, "not found");
        task.wait("c1", "").fails(5, "not found");
        task.stats("c1").fails(5, "not found");
        task.exec(&t.exec(&c, "e1", &["true"])).fails(5, "not found");
    });
}

#[test]
fn an_id_that_is_free_again_can_be_used_again() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("exit 1");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(1));
        task.delete("c1", "").unwrap();
        let (out, err) = (t.stream("again", "stdout"), t.stream("again", "stderr"));
        (c.request.stdout, c.request.stderr) = (out.path.display().to_string(), err.path.display().to_string());
        c.sh("echo again; exit 2").write_config();
        task.create(&c).unwrap();
        task.start("c1", "").unwrap();
        assert_eq!(out.text(), "again\n");
        assert_eq!(task.wait("c1", ""), Ok(2));
    });
}

// ---- several

/// One shim, three containers: a pod.
#[test]
fn containers_of_one_shim_do_not_know_each_other() {
    case(|t| {
        let mut pause_container = t.container("pause");
        pause_container.sandbox("pause");
        let task = t.launch(&pause_container);
        for (id, line) in [("a", "echo a; exit 1"), ("b", "echo b; exit 2")] {
            let mut c = t.container(id);
            c.sandbox("pause").sh(line);
            c.write_config();
            task.create(&c).unwrap();
            task.start(id, "").unwrap();
            assert_eq!(c.out.text(), format!("{id}\n"));
        }
        assert_eq!(task.wait("a", ""), Ok(1));
        assert_eq!(task.wait("b", ""), Ok(2));
        assert_eq!(task.status("pause", ""), RUNNING);
        assert_eq!(task.delete("a", "").unwrap().exit_status, 1);
        assert_eq!(task.status("b", ""), STOPPED);
    });
}

#[test]
fn the_bundle_has_what_delete_will_need() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        let pid = task.create(&c).unwrap();
        assert_eq!(fs::read_to_string(c.path("init.pid")).unwrap().trim(), pid.to_string());
        assert!(c.path("options.json").exists() || c.request.options.is_none());
        assert!(fs::metadata("/run/containerd/runc/k8s.io/c1/state.json").is_ok());
    });
}
