//! Wait: before, during and after, as often as one likes.

use crate::common::*;

#[test]
fn whoever_waits_before_start_is_told() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("exit 4");
        let task = t.boot(&c);
        task.create(&c).unwrap();
        let waits: Vec<_> = (0..5).map(|_| task.begin_wait("c1", "")).collect();
        pause(100);
        assert!(waits.iter().all(ttrpc::Call::pending), "created is not ended");
        task.start("c1", "").unwrap();
        let answers: Vec<_> = waits.iter().map(|wait| wait.wait().unwrap()).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(answers[0].exit_status, 4);
    });
}

#[test]
fn whoever_waits_after_the_end_is_told_at_once_until_delete() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("exit 4");
        let task = t.launch(&c);
        let first = task.begin_wait("c1", "").wait().unwrap();
        for _ in 0..3 {
            assert_eq!(task.begin_wait("c1", "").wait().unwrap(), first);
        }
        let deleted = task.delete("c1", "").unwrap();
        assert_eq!((deleted.exit_status, deleted.exited_at), (4, first.exited_at));
        task.wait("c1", "").fails(5, "not found");
    });
}

/// The same of a command.
#[test]
fn whoever_waits_for_a_command_is_told() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        task.exec(&t.exec_sh(&c, "e1", "exit 4")).unwrap();
        let wait = task.begin_wait("c1", "e1");
        pause(100);
        assert!(wait.pending());
        task.start("c1", "e1").unwrap();
        let first = wait.wait().unwrap();
        assert_eq!(first.exit_status, 4);
        assert_eq!(task.begin_wait("c1", "e1").wait().unwrap(), first);
        task.delete("c1", "e1").unwrap();
        task.wait("c1", "e1").fails(5, "not found");
    });
}

#[test]
fn whoever_waits_for_a_command_that_is_never_begun_is_let_go() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        task.exec(&t.exec(&c, "e1", &["/bin/true"])).unwrap();
        let wait = task.begin_wait("c1", "e1");
        pause(50);
        assert!(wait.pending());
        task.delete("c1", "e1").unwrap();
        match wait.within(patience(10)).expect("an answer") {
            Ok(answer) => assert_eq!(answer.exit_status, 0),
            Err(failure) => assert_eq!(failure.code, 5),
        }
    });
}

#[test]
fn whoever_waits_for_a_command_that_can_not_be_started_is_let_go() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        task.exec(&t.exec(&c, "e1", &["no-such-command"])).unwrap();
        let wait = task.begin_wait("c1", "e1");
        task.start("c1", "e1").fails(2, "executable file not found");
        assert_eq!(wait.within(patience(10)).expect("an answer").unwrap().exit_status, 0);
    });
}

/// Ended from outside, by whatever means.
#[test]
fn whoever_waits_is_told_of_a_kill_by_somebody_else() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let wait = task.begin_wait("c1", "");
        let pid = task.state("c1", "").unwrap().pid as i32;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        assert_eq!(wait.wait().unwrap().exit_status, 137);
        t.events.expect("exit c1 137");
    });
}
