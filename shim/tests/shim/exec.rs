//! Commands in a container: their life, what they are refused, what becomes of them.

use dunnage_shim::proto::Message;
use dunnage_shim::proto::task::ProcessDetails;
use dunnage_shim::proto::task::status::*;

use crate::common::*;

#[test]
fn a_command_lives_and_ends() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let e = t.exec_sh(&c, "e1", "echo out; echo err >&2; exit 5");
        task.exec(&e).unwrap();
        let state = task.state("c1", "e1").unwrap();
        assert_eq!((state.id.as_str(), state.pid, state.status), ("e1", 0, CREATED));
        assert_eq!((&state.stdout, &state.stderr), (&e.ask.stdout, &e.ask.stderr));
        let wait = task.begin_wait("c1", "e1");
        assert!(wait.pending());
        let pid = task.start("c1", "e1").unwrap();
        assert!(pid > 0);
        assert_eq!(wait.wait().unwrap().exit_status, 5);
        assert_eq!(e.out.text(), "out\n");
        assert_eq!(e.err.text(), "err\n");
        let state = task.state("c1", "e1").unwrap();
        assert_eq!((state.pid, state.status, state.exit_status), (pid, STOPPED, 5));
        let deleted = task.delete("c1", "e1").unwrap();
        assert_eq!((deleted.pid, deleted.exit_status), (pid, 5));
        assert_eq!(deleted.exited_at, state.exited_at);
        task.state("c1", "e1").fails(5, "process does not exist e1: not found");
        assert_eq!(task.status("c1", ""), RUNNING);
        t.events.are(&["create c1", "start c1", "exec-added c1 e1", "exec-started c1 e1", "exit c1 e1 5"]);
        let exit = t.events.expect("exit c1 e1 5");
        assert_eq!((exit.pid, exit.id.as_str()), (pid, "e1"));
    });
}

#[test]
fn a_command_is_in_the_container() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let init = task.state("c1", "").unwrap().pid as i32;
        let e = t.exec(&c, "e1", &["/bin/sleep", "1000"]);
        task.exec(&e).unwrap();
        let pid = task.start("c1", "e1").unwrap() as i32;
        for kind in ["pid", "mnt", "net", "ipc", "uts"] {
            assert_eq!(host::namespace(pid, kind), host::namespace(init, kind));
        }
        assert_eq!(host::cgroups_of(pid), host::cgroups_of(init));
        task.kill("c1", "e1", 15).unwrap();
        assert_eq!(task.wait("c1", "e1"), Ok(143));
    });
}

#[test]
fn pids_tells_commands_by_their_names() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("sleep 1000 & wait");
        let task = t.launch(&c);
        let init = task.state("c1", "").unwrap().pid;
        let e = t.exec(&c, "e1", &["/bin/sleep", "1000"]);
        task.exec(&e).unwrap();
        let pid = task.start("c1", "e1").unwrap();
        let processes = eventually("three processes", || Some(task.pids("c1").unwrap()).filter(|p| p.len() == 3));
        for process in processes {
            if process.pid == pid {
                let any = process.info.expect("the details of a command");
                assert_eq!(any.type_name(), "containerd.runc.v1.ProcessDetails");
                assert_eq!(ProcessDetails::decode(&any.value).unwrap().exec_id, "e1");
            } else {
                assert!(process.info.is_none());
                assert!(process.pid == init || host::status(process.pid as i32)["PPid"] == init.to_string());
            }
        }
    });
}

#[test]
fn an_exec_id_is_used_once() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let e = t.exec(&c, "e1", &["/bin/true"]);
        task.exec(&e).unwrap();
        let failure = task.exec(&e).fails(6, "already exists");
        assert_eq!(failure.message, "id e1: already exists");
        task.start("c1", "e1").unwrap();
        task.wait("c1", "e1").unwrap();
        task.exec(&e).fails(6, "already exists");
        task.delete("c1", "e1").unwrap();
        let again = t.exec(&c, "e1", &["/bin/true"]);
        assert_eq!(task.run(&again), 0, "free again");
    });
}

#[test]
fn a_command_is_started_once() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        task.exec(&t.exec(&c, "e1", &["/bin/sleep", "1000"])).unwrap();
        task.start("c1", "e1").unwrap();
        task.start("c1", "e1").fails(2, "cannot start a running process");
        task.delete("c1", "e1").fails(2, "cannot delete a running process");
        task.kill("c1", "e1", 9).unwrap();
        task.wait("c1", "e1").unwrap();
        task.start("c1", "e1").fails(2, "cannot start a stopped process");
        task.kill("c1", "e1", 9).fails(5, "process already finished");
        task.delete("c1", "e1").unwrap();
    });
}

#[test]
fn a_command_that_was_not_started_is_not_killed() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        task.exec(&t.exec(&c, "e1", &["/bin/true"])).unwrap();
        task.kill("c1", "e1", 9).fails(9, "process not created");
        task.delete("c1", "e1").unwrap();
        task.state("c1", "e1").fails(5, "not found");
        t.events.are(&["create c1", "start c1", "exec-added c1 e1"]);
    });
}

/// Not begun: no exit, whoever waits is let go, and the entry stays until it is deleted.
#[test]
fn a_command_that_does_not_exist_was_never_begun() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let e = t.exec(&c, "e1", &["no-such-command"]);
        task.exec(&e).unwrap();
        let failure = task.start("c1", "e1").fails(2, "OCI runtime exec failed: ");
        assert!(failure.message.contains("exec failed: unable to start container process: "), "{failure:?}");
        assert!(
            failure.message.contains(r#"exec: "no-such-command": executable file not found in $PATH"#),
            "{failure:?}"
        );
        let wait = task.begin_wait("c1", "e1").wait().unwrap();
        assert_eq!(wait.exit_status, 0);
        task.delete("c1", "e1").unwrap();
        assert_eq!(task.status("c1", ""), RUNNING);
        t.events.are(&["create c1", "start c1", "exec-added c1 e1"]);
    });
}

/// What it was given is closed: a client that reads it comes to the end.
#[test]
fn the_streams_of_a_command_that_could_not_be_started_end() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let pid = task.shim_pid();
        let fds = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        // The first command may leave something for all that follow.
        task.run(&t.exec(&c, "e0", &["/bin/true"]));
        let before = fds();
        for n in 1..=5 {
            let id = format!("e{n}");
            task.exec(&t.exec(&c, &id, &["no-such-command"]).with_stdin(t)).unwrap();
            task.start("c1", &id).fails(2, "executable file not found");
            task.delete("c1", &id).unwrap();
        }
        until("all descriptors to be closed", || fds() <= before);
    });
}

#[test]
fn the_process_is_taken_from_the_request() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let mut e = t.exec_sh(&c, "e1", "id -u; pwd; echo $MINE; ulimit -n; grep NoNewPrivs /proc/self/status");
        e.process["user"] = json!({"uid": 1000, "gid": 1000});
        e.process["cwd"] = json!("/tmp");
        e.process["env"] = json!(["PATH=/bin", "MINE=yes"]);
        e.process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}]);
        e.process["noNewPrivileges"] = json!(false);
        assert_eq!(task.run(&e), 0);
        assert_eq!(e.out.text(), "1000\n/tmp\nyes\n100\nNoNewPrivs:\t0\n");
    });
}

#[test]
fn a_process_that_is_no_json_is_refused() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let mut request = t.exec(&c, "e1", &["/bin/true"]).request();
        request.spec.as_mut().unwrap().value = b"{ not json".to_vec();
        let refused = task.begin::<dunnage_shim::proto::Empty>("Exec", &request).wait();
        assert!(refused.is_err(), "{refused:?}");
        task.state("c1", "e1").fails(5, "not found");
    });
}

/// Whether it is on a terminal is the request's to say.
#[test]
fn the_request_says_whether_there_is_a_terminal() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let mut e = t.exec_sh(&c, "e1", "tty");
        e.process["terminal"] = json!(true);
        task.run(&e);
        assert_eq!(e.out.text(), "not a tty\n");
        let mut e = t.exec_sh(&c, "e2", "tty").with_terminal();
        e.process["terminal"] = json!(false);
        assert_eq!(task.run(&e), 0);
        assert_eq!(e.out.text(), "/dev/pts/0\r\n");
    });
}

#[test]
fn no_command_is_begun_in_what_has_ended() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("read x < /tmp/go");
        std::fs::remove_file("/run/test/rootfs/tmp/go").ok();
        let go = t.rootfs().join("tmp/go");
        fifo(&go);
        let task = t.launch(&c);
        task.exec(&t.exec(&c, "e1", &["/bin/true"])).unwrap();
        Writer::to(go.to_str().unwrap()).write("\n");
        assert_eq!(task.wait("c1", ""), Ok(0));
        let failure = task.start("c1", "e1").fails(9, "init process is not running");
        assert_eq!(failure.message, "container c1 init process is not running: failed precondition");
        task.delete("c1", "e1").unwrap();
        t.events.are(&["create c1", "start c1", "exec-added c1 e1", "exit c1 0"]);
    });
}

/// Registered before Start of the container, begun after it.
#[test]
fn a_command_can_be_added_to_what_is_created() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        task.create(&c).unwrap();
        task.exec(&t.exec(&c, "e1", &["/bin/true"])).unwrap();
        task.start("c1", "").unwrap();
        task.start("c1", "e1").unwrap();
        assert_eq!(task.wait("c1", "e1"), Ok(0));
        task.delete("c1", "e1").unwrap();
    });
}

#[test]
fn all_kills_the_commands_too() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        for n in 0..5 {
            let id = format!("e{n}");
            task.exec(&t.exec(&c, &id, &["/bin/sleep", "1000"])).unwrap();
            task.start("c1", &id).unwrap();
        }
        task.kill_all("c1", 9).unwrap();
        for n in 0..5 {
            assert_eq!(task.wait("c1", &format!("e{n}")), Ok(137));
        }
        assert_eq!(task.wait("c1", ""), Ok(137));
        let exits: Vec<String> = t.events.when("six exits", |events| {
            let exits: Vec<_> = events.iter().filter(|e| e.topic == "/tasks/exit").map(|e| e.id.clone()).collect();
            (exits.len() == 6).then_some(exits)
        });
        assert_eq!(exits[5], "c1", "the container's is the last: {exits:?}");
    });
}

#[test]
fn a_signal_for_one_command_is_not_for_the_others() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        for id in ["e1", "e2"] {
            task.exec(&t.exec(&c, id, &["/bin/sleep", "1000"])).unwrap();
            task.start("c1", id).unwrap();
        }
        task.kill("c1", "e1", 9).unwrap();
        assert_eq!(task.wait("c1", "e1"), Ok(137));
        assert_eq!(task.status("c1", "e2"), RUNNING);
        assert_eq!(task.status("c1", ""), RUNNING);
    });
}

/// The exits of commands come before the container's, although it took them with it.
#[test]
fn the_exits_of_commands_come_before_that_of_the_container() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        for n in 0..20 {
            let id = format!("e{n}");
            task.exec(&t.exec(&c, &id, &["/bin/sleep", "1000"]).silent()).unwrap();
            task.start("c1", &id).unwrap();
        }
        let wait = task.begin_wait("c1", "");
        task.kill("c1", "", 9).unwrap();
        wait.wait().unwrap();
        let exits = t.events.when("all exits", |events| {
            let exits: Vec<_> = events.iter().filter(|e| e.topic == "/tasks/exit").map(|e| e.id.clone()).collect();
            (exits.len() == 21).then_some(exits)
        });
        assert_eq!(exits[20], "c1", "{exits:?}");
    });
}
