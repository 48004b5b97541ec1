//! Commands at the same time: on one container, and on many.

use crate::common::{case, host, json, until};

#[test]
fn one_of_two_creates_wins() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]);
        for i in 0..10 {
            b.another_id(&format!("c{i}"));
            let both = [b.start_command("create", &[]).spawn(), b.start_command("create", &[]).spawn()];
            let codes: Vec<i32> = both.into_iter().map(|one| one.wait().code).collect();
            assert_eq!(codes.iter().filter(|c| **c == 0).count(), 1, "{codes:?}");
            assert_eq!(b.status(), "created");
            assert_eq!(host::pids_in_cgroup(&b.cgroup), [b.pid()]);
            b.delete();
            b.assert_gone();
        }
    });
}

#[test]
fn one_of_two_starts_wins() {
    case(|b| {
        b.sh("echo started; exec sleep 100");
        for i in 0..10 {
            b.another_id(&format!("c{i}"));
            let mut out = b.create();
            let both = [b.command(&["start", &b.id]).spawn(), b.command(&["start", &b.id]).spawn()];
            let codes: Vec<i32> = both.into_iter().map(|one| one.wait().code).collect();
            assert!(codes.contains(&0), "{codes:?}");
            until("the payload", || out.written().0.contains("started"));
            assert_eq!(out.written().0, "started\n");
            b.rt(&["delete", "--force", &b.id]).ok();
        }
    });
}

#[test]
fn two_deletes_converge() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]);
        for i in 0..10 {
            b.another_id(&format!("c{i}")).run_detached();
            let delete = || b.command(&["delete", "--force", &b.id]).spawn();
            for one in [delete(), delete(), delete()] {
                one.wait();
            }
            b.rt(&["delete", "--force", &b.id]).ok();
            b.assert_gone();
        }
    });
}

/// `state`, `list` and `kill` never wait behind another command, and never see half a state.
#[test]
fn looking_while_it_is_made() {
    case(|b| {
        let wait = b.script("hook", &format!("while ! [ -e {} ]; do sleep 0.01; done", b.path("go").display()));
        b.set("/hooks/createRuntime", json!([{"path": wait}])).args(&["/bin/sleep", "100"]);
        let create = b.start_command("create", &[]).spawn();
        until("the state directory", || b.state_dir().exists());
        for _ in 0..20 {
            let out = b.command(&["state", &b.id]).limit(3).output();
            assert!(out.code == 0 || out.err.contains("container does not exist"), "{out}");
            b.command(&["list"]).limit(3).output().ok();
        }
        std::fs::write(b.path("go"), "").unwrap();
        create.wait().ok();
        assert_eq!(b.status(), "created");
    });
}

/// The container is deleted while it is being made: either of the two may win, nothing may be left.
#[test]
fn deleted_while_it_is_made() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]);
        for i in 0..20 {
            b.another_id(&format!("c{i}"));
            let create = b.start_command("create", &[]).spawn();
            std::thread::sleep(std::time::Duration::from_micros(500 * i));
            b.rt(&["delete", "--force", &b.id]);
            create.wait();
            b.rt(&["delete", "--force", &b.id]).ok();
            b.assert_gone();
        }
    });
}

#[test]
fn exec_while_it_dies() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]);
        for i in 0..5 {
            b.another_id(&format!("c{i}")).run_detached();
            let all: Vec<_> = (0..6).map(|_| b.command(&["exec", &b.id, "sleep", "50"]).spawn()).collect();
            std::thread::sleep(std::time::Duration::from_millis(4 * i));
            b.rt(&["kill", &b.id, "KILL"]).ok();
            for one in all {
                let out = one.wait();
                assert!(out.code == 137 || out.code == 255, "{out}");
            }
            b.await_status("stopped");
            b.delete();
            b.assert_gone();
        }
    });
}

#[test]
fn pause_and_exec_and_kill() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).run_detached();
        for _ in 0..10 {
            b.rt(&["pause", &b.id]).ok();
            assert_eq!(b.status(), "paused");
            b.rt(&["resume", &b.id]).ok();
            b.exec(&["true"]).ok();
        }
        b.rt(&["pause", &b.id]).ok();
        b.rt(&["kill", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        b.delete();
        b.assert_gone();
    });
}

/// Nothing of what a container says last is lost, in the foreground.
#[test]
fn the_last_words_arrive() {
    case(|b| {
        b.sh("i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done; echo the end");
        for _ in 0..15 {
            b.run().ok().out_has("line 199\nthe end\n");
        }
        b.args(&["/bin/sleep", "100"]).run_detached();
        for _ in 0..15 {
            b.exec(&["sh", "-c", "echo a; echo b; echo the end"]).ok().says("a\nb\nthe end");
        }
    });
}

#[test]
fn the_last_words_arrive_on_a_terminal() {
    case(|b| {
        b.set("/process/terminal", true)
            .sh("i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done; echo the end");
        for _ in 0..10 {
            let (mut tty, slave) = crate::common::pty::Terminal::open(20, 60);
            let mut child = b.start_command("run", &[]).spawn_on(&slave);
            tty.expect("the end");
            until("run to end", || child.try_wait().unwrap().is_some());
        }
    });
}
