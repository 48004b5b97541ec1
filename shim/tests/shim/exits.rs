//! Exits: every one is told, once, in its place, and whoever outlives the container's first process does not outlive its exit.

use std::collections::HashMap;

use crate::common::*;

/// Of each: added, started, exited once, in this order, and the container's exit is the last.
#[track_caller]
fn assert_in_order(told: &[String], execs: usize) {
    let mut seen: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in told {
        let words: Vec<&str> = line.split(' ').collect();
        if words.len() > 2 && words[2].starts_with('e') {
            seen.entry(words[2]).or_default().push(words[0]);
        }
    }
    assert_eq!(seen.len(), execs);
    for (id, events) in seen {
        assert_eq!(events, ["exec-added", "exec-started", "exit"], "{id}");
    }
    let last_of_execs = told.iter().rposition(|line| line.starts_with("exit c1 e")).unwrap();
    let exit = told.iter().position(|line| line.starts_with("exit c1 ") && !line.starts_with("exit c1 e"));
    assert!(exit.is_none_or(|exit| exit > last_of_execs), "the container's exit is not the last");
}

#[test]
fn two_hundred_commands_at_once_have_two_hundred_exits() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let execs: Vec<Exec> =
            (0..200).map(|n| t.exec_sh(&c, &format!("e{n}"), &format!("exit {}", n % 100)).silent()).collect();
        let mut statuses: Vec<(usize, u32)> = std::thread::scope(|scope| {
            let threads: Vec<_> = execs
                .chunks(25)
                .enumerate()
                .map(|(chunk, execs)| {
                    let task = t.connect(&task.address);
                    scope.spawn(move || {
                        let begun: Vec<_> = execs
                            .iter()
                            .map(|e| {
                                task.exec(e).unwrap();
                                (task.begin_wait("c1", &e.id), task.begin_start("c1", &e.id))
                            })
                            .collect();
                        let status = |(n, (wait, start)): (usize, &(ttrpc::Call<_>, ttrpc::Call<_>))| {
                            let _: dunnage_shim::proto::task::PidResponse = start.wait().unwrap();
                            let ended: dunnage_shim::proto::task::WaitResponse = wait.wait().unwrap();
                            (chunk * 25 + n, ended.exit_status)
                        };
                        begun.iter().enumerate().map(status).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, (0..200).map(|n| (n, n as u32 % 100)).collect::<Vec<_>>());
        let exits = |events: &[events::Event]| events.iter().filter(|e| e.topic == "/tasks/exit").count();
        t.events.when("200 exits", |events| (exits(events) == 200).then_some(()));
        task.kill("c1", "", 9).unwrap();
        task.wait("c1", "").unwrap();
        t.events.expect("exit c1 137");
        assert_in_order(&t.events.told(), 200);
    });
}

/// Commands that die at once, and the container under them.
#[test]
fn no_exit_is_lost_when_all_ends_at_once() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let mut started = 0;
        for n in 0..30 {
            task.exec(&t.exec_sh(&c, &format!("e{n}"), "usleep 300000").silent()).unwrap();
        }
        let starts: Vec<_> = (0..30).map(|n| task.begin_start("c1", &format!("e{n}"))).collect();
        pause(150);
        task.kill("c1", "", 9).unwrap();
        for start in starts {
            started += usize::from(start.wait().is_ok());
        }
        task.wait("c1", "").unwrap();
        let told = t.events.when("all exits", |events| {
            let exits = events.iter().filter(|e| e.topic == "/tasks/exit").count();
            let begun = events.iter().filter(|e| e.topic == "/tasks/exec-started").count();
            (exits == begun + 1 && begun >= started).then(|| events.to_vec())
        });
        let last = told.iter().rfind(|e| e.topic == "/tasks/exit").unwrap();
        assert_eq!(last.id, "c1", "the container's is the last");
        pause(200);
        assert_eq!(t.events.all().len(), told.len(), "nothing comes after it");
    });
}

/// However soon: first the start, then the exit.
#[test]
fn the_exit_of_what_ends_at_once_comes_after_its_start() {
    case(|t| {
        for n in 0..20 {
            let id = format!("c{n}");
            let mut c = t.container(&id);
            c.sandbox("c0").args(&["/bin/true"]).silent();
            let task = t.launch(&c);
            assert_eq!(task.wait(&id, ""), Ok(0));
            task.delete(&id, "").unwrap();
        }
        t.events.expect("delete c19 0");
        let mut expected = Vec::new();
        for n in 0..20 {
            expected.extend([
                format!("create c{n}"),
                format!("start c{n}"),
                format!("exit c{n} 0"),
                format!("delete c{n} 0"),
            ]);
        }
        assert_eq!(t.events.told(), expected);
    });
}

#[test]
fn the_exit_of_a_command_is_told_although_nobody_waits() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        for n in 0..10 {
            let id = format!("e{n}");
            task.exec(&t.exec_sh(&c, &id, "exit 3").silent()).unwrap();
            task.start("c1", &id).unwrap();
        }
        for n in 0..10 {
            t.events.expect(&format!("exit c1 e{n} 3"));
        }
    });
}

/// In the pid namespace of the host no kernel kills the others when the first process ends.
fn others_end_with_the_first(t: &Daemon, c: &mut Container) {
    c.sh("setsid sleep 1000 & setsid sleep 1000 & read x < /tmp/go");
    let go = t.rootfs().join("tmp/go");
    fifo(&go);
    let task = t.launch(c);
    until("three processes", || host::pids_in_cgroup(&c.cgroup).len() == 3);
    let id = c.id.clone();
    let wait = task.begin_wait(&id, "");
    Writer::to(go.to_str().unwrap()).write("\n");
    assert_eq!(wait.wait().unwrap().exit_status, 0);
    until("the others to be dead", || host::pids_in_cgroup(&c.cgroup).is_empty());
    task.delete(&id, "").unwrap();
}

#[test]
fn in_the_hosts_pid_namespace_others_end_with_the_first() {
    case(|t| {
        let mut c = t.container("c1");
        c.drop_namespace("pid");
        others_end_with_the_first(t, &mut c);
    });
}

#[test]
fn in_a_shared_pid_namespace_others_end_with_the_first() {
    case(|t| {
        let mut pod = t.container("pod");
        pod.sandbox("pod");
        let task = t.launch(&pod);
        let pid = task.state("pod", "").unwrap().pid;
        let mut c = t.container("c1");
        c.sandbox("pod").namespace("pid", Some(&format!("/proc/{pid}/ns/pid")));
        others_end_with_the_first(t, &mut c);
        assert_eq!(task.status("pod", ""), 2, "the other container lives");
    });
}

/// Commands too, which are told like all others.
#[test]
fn in_the_hosts_pid_namespace_commands_end_with_the_container() {
    case(|t| {
        let mut c = t.container("c1");
        c.drop_namespace("pid");
        let task = t.launch(&c);
        task.exec(&t.exec(&c, "e1", &["/bin/sleep", "1000"])).unwrap();
        task.start("c1", "e1").unwrap();
        task.kill("c1", "", 9).unwrap();
        assert_eq!(task.wait("c1", "e1"), Ok(137));
        assert_eq!(task.wait("c1", ""), Ok(137));
        t.events.are(&[
            "create c1",
            "start c1",
            "exec-added c1 e1",
            "exec-started c1 e1",
            "exit c1 e1 137",
            "exit c1 137",
        ]);
    });
}

/// What nobody else reaps, the shim does.
#[test]
fn no_zombie_is_left() {
    case(|t| {
        let mut c = t.container("c1");
        c.drop_namespace("pid").sh("for i in 1 2 3 4 5; do (setsid true &); done; echo done; sleep 1000");
        let task = t.launch(&c);
        let shim = task.shim_pid();
        c.out.expect("done");
        for n in 0..5 {
            task.run(&t.exec_sh(&c, &format!("e{n}"), "(setsid true &)"));
        }
        let zombies = || -> Vec<i32> { host::children(shim).into_iter().filter(|pid| !host::alive(*pid)).collect() };
        until("no zombies", || zombies().is_empty());
        task.end("c1");
        until("no children", || host::children(shim).is_empty());
    });
}

/// The time of an exit is when it happened, and everybody is told the same.
#[test]
fn an_exit_has_one_time() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        task.exec(&t.exec_sh(&c, "e1", "exit 3")).unwrap();
        task.start("c1", "e1").unwrap();
        let waited = task.begin_wait("c1", "e1").wait().unwrap().exited_at.unwrap();
        let told = t.events.expect("exit c1 e1 3").exited_at.unwrap();
        pause(1100);
        let state = task.state("c1", "e1").unwrap().exited_at.unwrap();
        let deleted = task.delete("c1", "e1").unwrap().exited_at.unwrap();
        assert!(waited == told && told == state && state == deleted, "{waited:?} {told:?} {state:?} {deleted:?}");
    });
}
