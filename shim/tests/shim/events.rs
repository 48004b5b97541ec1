//! Events: what is in them, in which order they come, and that none is lost or told twice while the daemon is away.

use std::time::Instant;

use dunnage_shim::proto::Message;
use dunnage_shim::proto::events::TaskCreate;

use crate::common::*;

#[test]
fn the_first_event_says_what_was_asked() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_stdin(t);
        let task = t.boot(&c);
        let pid = task.create(&c).unwrap();
        let event = t.events.expect("create c1");
        let create = TaskCreate::decode(&event.any.value).unwrap();
        assert_eq!((create.container_id.as_str(), create.pid), ("c1", pid));
        assert_eq!(create.bundle, c.request.bundle);
        assert_eq!(create.checkpoint, "");
        let io = create.io.unwrap();
        assert_eq!((io.stdin, io.stdout, io.stderr), (c.request.stdin, c.request.stdout, c.request.stderr));
        assert!(!io.terminal && create.rootfs.is_empty());
        assert_eq!(event.namespace, "k8s.io");
        assert!(event.metadata.contains(&("containerd-namespace-ttrpc".into(), "k8s.io".into())), "{event:?}");
    });
}

#[test]
fn the_whole_life_is_told_in_order() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("read x < /tmp/go; exit 3");
        let go = t.rootfs().join("tmp/go");
        fifo(&go);
        let task = t.launch(&c);
        for id in ["e1", "e2"] {
            task.run(&t.exec(&c, id, &["/bin/true"]));
        }
        task.pause("c1").unwrap();
        task.resume("c1").unwrap();
        Writer::to(go.to_str().unwrap()).write("\n");
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        let [a, b, c, d, e] = ["create c1", "start c1", "exec-added c1 e1", "exec-started c1 e1", "exit c1 e1 0"];
        let [f, g, h] = ["exec-added c1 e2", "exec-started c1 e2", "exit c1 e2 0"];
        t.events.are(&[a, b, c, d, e, f, g, h, "paused c1", "resumed c1", "exit c1 3", "delete c1 3"]);
        let times: Vec<_> = t.events.all().iter().map(|e| (e.timestamp.seconds, e.timestamp.nanos)).collect();
        assert!(times.is_sorted(), "{times:?}");
    });
}

const LIFE: [&str; 7] =
    ["create c1", "start c1", "exec-added c1 e1", "exec-started c1 e1", "exit c1 e1 0", "exit c1 137", "delete c1 137"];

fn live(t: &Daemon, c: &Container, task: &Task) {
    task.create(c).unwrap();
    task.start("c1", "").unwrap();
    task.run(&t.exec(c, "e1", &["/bin/true"]));
    task.end("c1");
}

#[test]
fn none_is_lost_while_the_daemon_is_away() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        t.events.stop();
        live(t, &c, &task);
        pause(2000);
        t.events.serve();
        t.events.are(&LIFE);
    });
}

/// containerd's own shim gives up after about fifteen.
#[test]
fn none_is_lost_within_thirty_seconds() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        t.events.stop();
        live(t, &c, &task);
        pause(30_000);
        t.events.serve();
        t.events.are(&LIFE);
    });
}

#[test]
fn none_is_lost_when_the_daemon_is_restarted_between_two() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        for n in 0..5 {
            t.events.stop();
            task.exec(&t.exec(&c, &format!("e{n}"), &["/bin/true"])).unwrap();
            t.events.serve();
        }
        t.events.are(&[
            "create c1",
            "start c1",
            "exec-added c1 e0",
            "exec-added c1 e1",
            "exec-added c1 e2",
            "exec-added c1 e3",
            "exec-added c1 e4",
        ]);
    });
}

/// A daemon that is about to stop answers that it is not available.
#[test]
fn what_the_daemon_can_not_take_now_it_gets_later() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        t.events.mood(Mood::Refuses(14));
        live(t, &c, &task);
        pause(1000);
        t.events.mood(Mood::Takes);
        t.events.are(&LIFE);
    });
}

#[test]
fn what_the_daemon_will_never_take_holds_up_nothing() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        t.events.mood(Mood::Refuses(3));
        task.create(&c).unwrap();
        until("the first to be refused", || t.events.refused() > 0);
        t.events.mood(Mood::Takes);
        task.start("c1", "").unwrap();
        t.events.expect("start c1");
        pause(1500);
        assert_eq!(t.events.told(), ["start c1"]);
    });
}

/// It hangs, with its socket open: five seconds are allowed for a call.
#[test]
fn a_daemon_that_hangs_is_asked_again() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        t.events.mood(Mood::Deaf);
        task.create(&c).unwrap();
        // Everybody else is answered meanwhile.
        assert_eq!(task.status("c1", ""), 1);
        pause(1000);
        t.events.mood(Mood::Takes);
        task.start("c1", "").unwrap();
        t.events.are(&["create c1", "start c1"]);
    });
}

/// The order is kept, and the memory is bounded.
#[test]
fn thousands_are_kept_while_the_daemon_is_away() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        t.events.expect("start c1");
        t.events.stop();
        let (pid, template) = (task.shim_pid(), t.exec(&c, "e", &["/bin/true"]).silent());
        let anon = || host::status(pid)["RssAnon"].split(' ').next().unwrap().parse::<u64>().unwrap();
        let (before, begun) = (anon(), Instant::now());
        for n in 0..3000 {
            assert!(begun.elapsed() < patience(40), "only {n}");
            let mut request = template.request();
            request.exec_id = format!("e{n}");
            task.begin::<dunnage_shim::proto::Empty>("Exec", &request).wait().unwrap();
            task.delete("c1", &request.exec_id).unwrap();
        }
        let grown = anon().saturating_sub(before);
        assert!(grown < 8 << 10, "{grown} kB");
        t.events.serve();
        let begun = Instant::now();
        let told = t.events.when("all", |events| (events.len() >= 3002).then(|| events.to_vec()));
        assert!(begun.elapsed() < patience(15));
        for (n, event) in told[2..].iter().enumerate() {
            assert_eq!(event.to_string(), format!("exec-added c1 e{n}"));
        }
    });
}

/// A daemon has a descriptor for each connection, and hundreds of shims.
#[test]
fn one_connection_is_enough() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        for n in 0..20 {
            task.run(&t.exec(&c, &format!("e{n}"), &["/bin/true"]));
        }
        t.events.expect("exit c1 e19 0");
        assert_eq!(t.events.connections(), 1);
    });
}

/// What is still to be told is told, for as long as five seconds.
#[test]
fn shutdown_tells_what_is_left_to_tell() {
    case(|t| {
        let mut c = t.container("c1");
        c.args(&["/bin/true"]);
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        t.events.expect("exit c1 0");
        t.events.stop();
        task.delete("c1", "").unwrap();
        let _ = task.shutdown("c1");
        pause(500);
        t.events.serve();
        t.events.expect("delete c1 0");
    });
}

#[test]
fn shutdown_does_not_wait_for_ever_for_a_daemon_that_is_away() {
    case(|t| {
        let mut c = t.container("c1");
        c.args(&["/bin/true"]);
        let task = t.launch(&c);
        let pid = task.shim_pid();
        task.wait("c1", "").unwrap();
        t.events.stop();
        task.delete("c1", "").unwrap();
        let begun = Instant::now();
        let _ = task.shutdown("c1");
        while host::alive(pid) {
            assert!(begun.elapsed() < patience(20), "it is still there");
            pause(20);
        }
        t.events.serve();
    });
}
