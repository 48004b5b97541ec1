//! Kill, whom it reaches and whom not.

use std::process::Command;

use crate::common::*;

#[test]
fn the_first_process_takes_the_others_with_it() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("setsid sleep 1000 & setsid sleep 1000 & wait");
        let task = t.launch(&c);
        until("three processes", || host::pids_in_cgroup(&c.cgroup).len() == 3);
        task.kill("c1", "", 9).unwrap();
        assert_eq!(task.wait("c1", ""), Ok(137));
        assert_eq!(host::pids_in_cgroup(&c.cgroup), [0; 0]);
    });
}

#[test]
fn a_signal_is_for_the_first_process_alone() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("trap 'echo first' USR1; sh -c 'trap \"echo second\" USR1; echo ready; while :; do usleep 10000; done' & while :; do usleep 10000; done");
        let task = t.launch(&c);
        c.out.expect("ready");
        task.kill("c1", "", 10).unwrap();
        c.out.expect("first");
        pause(100);
        assert!(!c.out.so_far().contains("second"));
    });
}

#[test]
fn all_is_every_process_of_the_container() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("trap 'echo first' USR1; sh -c 'trap \"echo second\" USR1; echo ready; while :; do usleep 10000; done' & while :; do usleep 10000; done");
        let task = t.launch(&c);
        c.out.expect("ready");
        task.kill_all("c1", 10).unwrap();
        c.out.expect("first");
        c.out.expect("second");
    });
}

/// The first one has ended, the others have not: `all` finds them.
#[test]
fn all_finds_whoever_is_left() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("exit 0");
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        // Somebody puts a process into its group from outside.
        let mut left = Command::new("sleep").arg("1000").spawn().unwrap();
        for (controllers, point) in host::hierarchies() {
            let procs = point.join(&c.cgroup[1..]).join("cgroup.procs");
            if procs.exists() && !controllers.contains("cpuset") {
                std::fs::write(procs, left.id().to_string()).unwrap();
            }
        }
        match task.kill_all("c1", 9) {
            Ok(()) => {}
            Err(failure) => assert_eq!(failure.code, 5, "{failure:?}"),
        }
        until("it to be killed", || left.try_wait().unwrap().is_some());
        task.delete("c1", "").unwrap();
    });
}

#[test]
fn all_says_nothing_of_a_command() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        for id in ["e1", "e2"] {
            task.exec(&t.exec(&c, id, &["/bin/sleep", "1000"])).unwrap();
            task.start("c1", id).unwrap();
        }
        let request =
            dunnage_shim::proto::task::KillRequest { id: "c1".into(), exec_id: "e1".into(), signal: 9, all: true };
        task.begin::<dunnage_shim::proto::Empty>("Kill", &request).wait().unwrap();
        assert_eq!(task.wait("c1", "e1"), Ok(137));
        assert_eq!((task.status("c1", "e2"), task.status("c1", "")), (2, 2));
    });
}

/// What a probe that took too long has started does not stay. Another signal is for the command alone, and another command is not meant.
#[test]
fn the_end_of_a_command_is_that_of_what_it_started() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let script = "sleep 1000 & sleep 1000 & trap : USR1; while :; do wait; done";
        for id in ["e1", "e2"] {
            task.exec(&t.exec(&c, id, &["/bin/sh", "-c", script])).unwrap();
            task.start("c1", id).unwrap();
        }
        let all = || host::pids_in_cgroup(&c.cgroup).len();
        until("three of each", || all() == 7);
        task.kill("c1", "e1", 10).unwrap();
        pause(100);
        assert_eq!(all(), 7);
        task.kill("c1", "e1", 9).unwrap();
        assert_eq!(task.wait("c1", "e1"), Ok(137));
        until("the other's alone", || all() == 4);
        assert_eq!((task.status("c1", "e2"), task.status("c1", "")), (2, 2));
    });
}

#[test]
fn a_signal_that_does_not_exist_is_refused() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        for signal in [65, 1000, u32::MAX] {
            assert!(task.kill("c1", "", signal).is_err(), "{signal}");
        }
        assert_eq!(task.status("c1", ""), 2);
    });
}

/// Who deletes the container behind the shim's back, as an administrator may with runc.
#[test]
fn what_the_runtime_deleted_is_not_found() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let wait = task.begin_wait("c1", "");
        let mut runc = Command::new("runc");
        let ran = runc.args(["--root", "/run/containerd/runc/k8s.io", "delete", "--force", "c1"]).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        assert_eq!(wait.wait().unwrap().exit_status, 137);
        task.kill("c1", "", 9).fails(5, "not found");
        task.delete("c1", "").unwrap();
    });
}

/// The daemon's stop: TERM, nothing, KILL, Wait, Delete, all within its ten seconds.
#[test]
fn what_ignores_term_is_stopped_by_kill() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("trap '' TERM; echo ready; sleep 1000");
        let task = t.launch(&c);
        c.out.expect("ready");
        task.kill("c1", "", 15).unwrap();
        pause(200);
        assert_eq!(task.status("c1", ""), 2);
        let begun = std::time::Instant::now();
        task.kill_all("c1", 9).unwrap();
        assert_eq!(task.wait("c1", ""), Ok(137));
        task.delete("c1", "").unwrap();
        assert!(begun.elapsed() < patience(5));
    });
}
