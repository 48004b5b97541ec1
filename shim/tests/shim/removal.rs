//! The command `delete`: after everything went well, after the shim died, and when it is asked about what lives.

use std::fs;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::*;

/// The shim dies, with whatever it knew.
fn kill_shim(task: &Task) {
    let pid = task.shim_pid();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    until("the shim to be dead", || !host::alive(pid) && task.client.is_closed());
}

/// containerd's own leaves the socket of a dead shim; one test says so, the others are about other things.
fn forgive_the_socket(task: &Task) {
    if !Shim::under_test().is_ours() {
        let _ = fs::remove_file(task.address.strip_prefix("unix://").unwrap());
    }
}

#[track_caller]
fn assert_gone(c: &Container) {
    host::reap_orphans();
    assert_eq!(host::pids_in_cgroup(&c.cgroup), [0; 0], "processes");
    assert!(host::cgroup_leftovers(&c.cgroup).is_empty(), "control groups");
    assert!(!fs::exists(format!("/run/containerd/runc/k8s.io/{}", c.id)).unwrap(), "the runtime's state");
    assert!(!host::mounts().iter().any(|m| m.contains(c.bundle.to_str().unwrap())), "mounts");
}

fn is_now(time: Option<dunnage_shim::proto::Timestamp>) -> bool {
    (dunnage_shim::proto::Timestamp::now().seconds - time.unwrap_or_default().seconds).abs() < 20
}

/// containerd runs it after every Delete.
#[test]
fn after_delete_it_has_nothing_to_do() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("exit 7");
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        let _ = task.shutdown("c1");
        until("the shim to leave", || task.client.is_closed());
        let ran = t.delete_command(&c).output().ok();
        assert_eq!(ran.err, "", "the daemon logs it as a warning");
        t.delete(&c);
        assert_gone(&c);
        t.events.are(&["create c1", "start c1", "exit c1 7", "delete c1 7"]);
    });
}

#[test]
fn it_knows_the_exit_status_that_was() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("exit 7");
        let task = t.launch(&c);
        let exit = task.begin_wait("c1", "").wait().unwrap();
        let pid = task.state("c1", "").unwrap().pid;
        kill_shim(&task);
        let said = t.delete(&c);
        assert_eq!((said.exit_status, said.pid), (7, pid));
        assert_eq!(said.exited_at, exit.exited_at);
        assert_gone(&c);
    });
}

#[test]
fn what_lived_when_the_shim_died_is_killed_with_all_of_it() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("setsid sleep 1000 & sleep 1000");
        let task = t.launch(&c);
        let pid = task.state("c1", "").unwrap().pid;
        task.exec(&t.exec(&c, "e1", &["/bin/sleep", "1000"])).unwrap();
        task.start("c1", "e1").unwrap();
        kill_shim(&task);
        assert!(host::alive(pid as i32), "it outlives the shim");
        let said = t.delete(&c);
        assert_eq!((said.exit_status, said.pid), (137, pid));
        assert!(is_now(said.exited_at));
        assert_gone(&c);
        forgive_the_socket(&task);
    });
}

#[test]
fn the_socket_of_a_dead_shim_is_removed() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        kill_shim(&task);
        t.delete(&c);
        assert!(!fs::exists(task.address.strip_prefix("unix://").unwrap()).unwrap());
    });
}

#[test]
fn it_can_be_asked_again() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        kill_shim(&task);
        let first = t.delete(&c);
        let again = t.delete(&c);
        assert_eq!((first.exit_status, first.pid), (again.exit_status, again.pid));
        forgive_the_socket(&task);
    });
}

#[test]
fn what_was_only_created_is_removed() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        task.create(&c).unwrap();
        kill_shim(&task);
        assert_eq!(t.delete(&c).exit_status, 137);
        assert_gone(&c);
        forgive_the_socket(&task);
    });
}

#[test]
fn what_was_paused_is_removed() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        task.pause("c1").unwrap();
        kill_shim(&task);
        assert_eq!(t.delete(&c).exit_status, 137);
        assert_gone(&c);
        forgive_the_socket(&task);
    });
}

/// With processes in the pid namespace of the host, which nobody's end takes along.
#[test]
fn what_shared_the_hosts_pid_namespace_is_removed() {
    case(|t| {
        let mut c = t.container("c1");
        c.drop_namespace("pid").sh("setsid sleep 1000 & setsid sleep 1000 & sleep 1000");
        let task = t.launch(&c);
        until("three processes", || host::pids_in_cgroup(&c.cgroup).len() == 3);
        kill_shim(&task);
        t.delete(&c);
        until("all to be gone", || host::pids_in_cgroup(&c.cgroup).is_empty());
        assert_gone(&c);
        forgive_the_socket(&task);
    });
}

#[test]
fn the_root_file_system_is_unmounted() {
    case(|t| {
        let mut c = t.container("c1");
        c.overlay(t);
        let task = t.launch(&c);
        assert!(host::mounts().iter().any(|m| m.contains(c.path("rootfs").to_str().unwrap())));
        kill_shim(&task);
        t.delete(&c);
        assert_gone(&c);
        forgive_the_socket(&task);
    });
}

#[test]
fn what_is_missing_is_no_error() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        kill_shim(&task);
        t.delete(&c);
        for file in ["config.json", "init.pid", "options.json", "runtime", "address", "log", "s"] {
            let _ = fs::remove_file(c.path(file));
        }
        let _ = fs::remove_dir_all(c.path("rootfs"));
        let said = t.delete(&c);
        assert!(is_now(said.exited_at));
        forgive_the_socket(&task);
    });
}

/// Not 4294967295.
#[test]
fn a_pid_that_is_unknown_is_0() {
    case(|t| {
        let c = t.container("c1");
        c.write_config();
        let said = t.delete(&c);
        assert_eq!((said.pid, said.exit_status), (0, 137));
        assert!(is_now(said.exited_at));
    });
}

/// The daemon waits for five seconds; it does so for every container that ends.
#[test]
fn it_takes_no_time() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        kill_shim(&task);
        let begun = Instant::now();
        t.delete(&c);
        assert!(begun.elapsed() < patience(3), "{:?}", begun.elapsed());
        for _ in 0..10 {
            let ran = t.delete_command(&c).output().ok();
            assert!(ran.took < patience(1), "{:?}", ran.took);
        }
        forgive_the_socket(&task);
    });
}

/// The bundle can be removed afterwards, although `delete` was run in it.
#[test]
fn the_bundle_can_be_removed() {
    case(|t| {
        let mut c = t.container("c1");
        c.overlay(t);
        let task = t.launch(&c);
        kill_shim(&task);
        t.delete(&c);
        fs::remove_dir_all(&c.bundle).unwrap();
        forgive_the_socket(&task);
    });
}

// ---- pods

/// A pod of a daemon since 2.0: the leader's shim serves all, and nobody runs `start` for the others.
fn pod(t: &Daemon, members: &[&str]) -> (Container, Vec<Container>, Task) {
    let mut leader = t.container("pod");
    leader.sandbox("pod").overlay(t);
    let task = t.launch(&leader);
    let members = members.iter().map(|id| member(t, &task, id)).collect();
    (leader, members, task)
}

fn member(t: &Daemon, task: &Task, id: &str) -> Container {
    let mut c = t.container(id);
    c.sandbox("pod").overlay(t).sh("setsid sleep 1000 & sleep 1000");
    c.write_config();
    fs::write(c.path("sandbox"), "pod").unwrap();
    task.create(&c).unwrap();
    task.start(id, "").unwrap();
    c
}

/// 2.x has no other occasion: it asks for nobody but the leader.
#[test]
fn a_dead_pod_goes_with_its_leader() {
    case(|t| {
        let (leader, members, task) = pod(t, &["a", "b", "c", "d"]);
        kill_shim(&task);
        t.delete(&leader);
        assert_gone(&leader);
        for c in &members {
            assert_gone(c);
            assert!(c.path("config.json").exists(), "the bundle is the daemon's");
        }
        forgive_the_socket(&task);
    });
}

#[test]
fn the_exit_status_of_a_member_is_known_after_the_leader_went() {
    case(|t| {
        let (leader, _, task) = pod(t, &["a"]);
        let mut c = t.container("b");
        c.sandbox("pod").sh("exit 5").write_config();
        task.create(&c).unwrap();
        task.start("b", "").unwrap();
        task.wait("b", "").unwrap();
        kill_shim(&task);
        t.delete(&leader);
        assert_eq!(t.delete(&c).exit_status, 5);
    });
}

/// Each of the others may still be asked for.
#[test]
fn a_member_of_a_dead_pod_goes_alone() {
    case(|t| {
        let (leader, members, task) = pod(t, &["a", "b"]);
        kill_shim(&task);
        t.delete(&members[0]);
        assert_gone(&members[0]);
        assert!(!host::pids_in_cgroup(&leader.cgroup).is_empty());
        assert!(!host::pids_in_cgroup(&members[1].cgroup).is_empty());
        t.delete(&members[1]);
        t.delete(&leader);
        assert_gone(&members[1]);
        assert_gone(&leader);
        forgive_the_socket(&task);
    });
}

/// Nothing of a pod that lives is touched.
#[test]
fn a_member_of_a_living_pod_goes_alone() {
    case(|t| {
        let (_, members, task) = pod(t, &["a", "b"]);
        task.end("a");
        t.delete(&members[0]);
        assert_eq!(task.status("pod", ""), 2);
        assert_eq!(task.status("b", ""), 2);
        assert!(t.connect(&task.address).connect("b").is_ok(), "the socket is there");
        assert!(host::alive(task.shim_pid()));
    });
}

#[test]
fn a_leader_that_is_gone_from_a_living_shim_takes_nobody_with_it() {
    case(|t| {
        let (leader, _, task) = pod(t, &["a"]);
        task.end("pod");
        t.delete(&leader);
        assert_eq!(task.status("a", ""), 2);
        assert!(t.connect(&task.address).connect("a").is_ok(), "the socket is there");
    });
}

/// The daemon gave up on the shim, which was slow and not dead: what it asks for is done all the same.
#[test]
fn what_a_living_shim_has_is_removed_and_told_once() {
    case(|t| {
        let (_, members, task) = pod(t, &["a", "b"]);
        t.delete(&members[0]);
        until("it to be dead", || host::pids_in_cgroup(&members[0].cgroup).is_empty());
        t.events.expect("exit a 137");
        assert_eq!(task.status("b", ""), 2);
        assert_eq!(task.status("pod", ""), 2);
        pause(100);
        assert_eq!(t.events.told().iter().filter(|e| e.starts_with("exit a")).count(), 1);
        assert_gone(&members[0]);
    });
}

/// A daemon that lost its patience with a shim calls for the removal of what that still has.
#[test]
fn a_shim_that_still_has_it_ends_it_forgets_it_and_goes() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let pid = task.shim_pid();
        let wait = task.begin_wait("c1", "");
        assert_eq!(t.delete(&c).exit_status, 137);
        assert_eq!(wait.wait().unwrap().exit_status, 137);
        assert!(task.state("c1", "").is_err(), "forgotten");
        t.events.are(&["create c1", "start c1", "exit c1 137", "delete c1 137"]);
        task.shutdown("c1").unwrap();
        until("the shim to go", || !host::alive(pid));
        t.untidy();
    });
}
