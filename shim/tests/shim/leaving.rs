//! When the server leaves, and when it does not.

use std::fs;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::*;

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn socket_is_there(task: &Task) -> bool {
    fs::exists(task.address.strip_prefix("unix://").unwrap()).unwrap()
}

#[test]
fn shutdown_of_an_empty_server_is_answered_and_obeyed() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        let pid = task.shim_pid();
        task.shutdown("c1").unwrap();
        until("the server to leave", || task.client.is_closed() && !host::alive(pid));
        assert!(!socket_is_there(&task));
    });
}

/// Whoever asked first, it leaves when its last container is gone: 2.x asks for nothing more.
#[test]
fn shutdown_is_remembered_while_there_are_containers() {
    case(|t| {
        let mut a = t.container("a");
        a.sandbox("a");
        let task = t.launch(&a);
        let mut b = t.container("b");
        b.sandbox("a").write_config();
        task.create(&b).unwrap();
        let pid = task.shim_pid();
        task.shutdown("a").unwrap();
        task.start("b", "").unwrap();
        assert_eq!(task.status("a", ""), 2, "nothing happens to them");
        task.end("b");
        assert_eq!(task.status("a", ""), 2);
        task.end("a");
        let begun = Instant::now();
        until("the server to leave", || !host::alive(pid));
        assert!(begun.elapsed() < patience(2));
        assert!(!socket_is_there(&task));
    });
}

/// The order of 2.0 to 2.3: the pause container is deleted, Shutdown, then the others, and no Shutdown for them.
#[test]
fn the_pause_container_may_go_first() {
    case(|t| {
        let mut pod = t.container("pod");
        pod.sandbox("pod");
        let task = t.launch(&pod);
        let mut app = t.container("app");
        app.sandbox("pod").write_config();
        task.create(&app).unwrap();
        task.start("app", "").unwrap();
        task.end("pod");
        task.shutdown("pod").unwrap();
        t.delete(&pod);
        assert_eq!(task.status("app", ""), 2);
        task.end("app");
        until("the server to leave", || task.client.is_closed());
        assert!(!socket_is_there(&task));
    });
}

/// A container that comes after a Shutdown that was remembered is served like any other.
#[test]
fn a_server_that_will_leave_still_serves() {
    case(|t| {
        let mut a = t.container("a");
        a.sandbox("a");
        let task = t.launch(&a);
        task.shutdown("a").unwrap();
        let mut b = t.container("b");
        b.sandbox("a").sh("echo b").write_config();
        task.create(&b).unwrap();
        task.start("b", "").unwrap();
        assert_eq!(b.out.text(), "b\n");
        task.wait("b", "").unwrap();
        task.delete("b", "").unwrap();
    });
}

#[test]
fn without_shutdown_it_stays() {
    case(|t| {
        let mut c = t.container("c1");
        c.args(&["/bin/true"]);
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        pause(500);
        assert!(task.connect("c1").is_ok());
    });
}

/// The daemon died between `start` and Create.
#[test]
fn a_server_that_nobody_uses_leaves() {
    case(|t| {
        let c = t.container("c1");
        let run = t.start_command(&c, t.usual_stdin(&c)).env("DUNNAGE_SHIM_IDLE_SECONDS", "1");
        let answer = Answer::of(&run.output().ok());
        t.started(&answer);
        until("the socket to be gone", || !fs::exists(answer.path()).unwrap());
    });
}

#[test]
fn a_server_with_a_connection_is_used() {
    case(|t| {
        let c = t.container("c1");
        let run = t.start_command(&c, t.usual_stdin(&c)).env("DUNNAGE_SHIM_IDLE_SECONDS", "1");
        let answer = Answer::of(&run.output().ok());
        t.started(&answer);
        let task = t.connect(&answer.address);
        pause(2500);
        assert!(task.connect("c1").is_ok());
    });
}

#[test]
fn a_server_with_a_container_is_used() {
    case(|t| {
        let c = t.container("c1");
        let run = t.start_command(&c, t.usual_stdin(&c)).env("DUNNAGE_SHIM_IDLE_SECONDS", "1");
        let answer = Answer::of(&run.output().ok());
        t.started(&answer);
        let task = t.connect(&answer.address);
        task.create(&c).unwrap();
        task.client.close();
        pause(2500);
        assert_eq!(t.connect(&answer.address).status("c1", ""), 1);
    });
}

/// The machine is shut down, or the service is stopped: containers live on, until `delete` is asked.
fn leaves_its_containers(t: &Daemon, by: Signal) {
    let c = t.container("c1");
    let task = t.launch(&c);
    let (shim, pid) = (task.shim_pid(), task.state("c1", "").unwrap().pid as i32);
    signal(shim, by);
    until("the server to leave", || task.client.is_closed() && !host::alive(shim));
    assert!(host::alive(pid));
    assert!(!socket_is_there(&task));
    assert_eq!(t.delete(&c).exit_status, 137);
    until("the container to be dead", || !host::alive(pid));
}

#[test]
fn it_leaves_its_containers_on_sigterm() {
    case(|t| leaves_its_containers(t, Signal::SIGTERM));
}

#[test]
fn it_leaves_its_containers_on_sigint() {
    case(|t| leaves_its_containers(t, Signal::SIGINT));
}

#[test]
fn what_was_to_be_told_is_told_before_it_leaves() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        t.events.expect("start c1");
        t.events.stop();
        task.kill("c1", "", 9).unwrap();
        task.wait("c1", "").unwrap();
        let pid = task.shim_pid();
        signal(pid, Signal::SIGTERM);
        pause(300);
        t.events.serve();
        t.events.expect("exit c1 137");
        until("the server to leave", || !host::alive(pid));
        t.delete(&c);
    });
}

#[test]
fn other_signals_do_nothing() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        for by in [Signal::SIGHUP, Signal::SIGPIPE, Signal::SIGCHLD] {
            signal(task.shim_pid(), by);
        }
        pause(200);
        assert_eq!(task.status("c1", ""), 2);
    });
}

#[test]
fn sigusr1_tells_the_log_what_there_is() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let before = t.log().len();
        signal(task.shim_pid(), Signal::SIGUSR1);
        until("the log to grow", || t.log().len() > before);
        assert_eq!(task.status("c1", ""), 2);
    });
}

/// What it ignores itself, such as SIGPIPE, is not ignored in a container: that is inherited.
#[test]
fn a_container_ignores_and_blocks_nothing_that_the_daemon_did_not() {
    case(|t| {
        let mut c = t.container("c1");
        // Without a shell, which has its own ideas of SIGQUIT.
        c.args(&["/bin/grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"]);
        t.launch(&c);
        let bits = |mask: &str| u64::from_str_radix(mask, 16).unwrap();
        let sigpipe = 1 << (Signal::SIGPIPE as i32 - 1);
        let own = bits(&host::status(1)["SigIgn"]) & !sigpipe;
        for line in c.out.text().lines() {
            let (_, mask) = line.split_once(":\t").unwrap();
            assert_eq!(bits(mask) & !own, 0, "{line}");
        }
    });
}
