//! Upgrade in place: another program goes on in the shim's process. Ours alone: containerd's shims have no such call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dunnage_shim::proto::Message;
use dunnage_shim::proto::table::{Table, UpgradeRequest, UpgradeResponse};
use dunnage_shim::server::upgrade::{READABLE, SERVICE};
use serde_json::json;

use crate::common::*;

const CREATED: i32 = 1;
const RUNNING: i32 = 2;
const STOPPED: i32 = 3;
const PAUSED: i32 = 4;

fn shim() -> String {
    Shim::under_test().path.to_string_lossy().into_owned()
}

fn begin(task: &Task, binary: &str) -> ttrpc::Call<UpgradeResponse> {
    task.client.begin(SERVICE, "Upgrade", &UpgradeRequest { binary: binary.into() })
}

fn try_upgrade(task: &Task, binary: &str) -> Result<UpgradeResponse, Failure> {
    begin(task, binary).wait()
}

#[track_caller]
fn upgrade(task: &Task) {
    let pid = task.shim_pid();
    let answer = try_upgrade(task, &shim()).unwrap();
    assert_eq!(answer.pid, u32::try_from(pid).unwrap());
    assert_eq!(answer.version, env!("CARGO_PKG_VERSION"));
}

fn descriptors(task: &Task) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", task.shim_pid())).unwrap().count()
}

/// As the writer makes them.
#[track_caller]
fn assert_lines(text: &str, at_least: usize) {
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() >= at_least, "{} lines", lines.len());
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(*line, number.to_string(), "of {} lines", lines.len());
    }
}

#[test]
fn a_hundred_times_under_load_and_nothing_is_lost() {
    case(|t| {
        const TIMES: usize = 100;
        let mut c = t.container("c1");
        c.sh("trap 'exit 42' TERM; i=0; while :; do echo $i; i=$((i + 1)); done");
        let mut d = t.container("c2");
        d.sandbox("c1").with_stdin(t).sh("i=0; while read line; do echo $i >&2; i=$((i + 1)); done; exit 7");
        let task = t.launch(&c);
        t.start_with(&d, t.usual_stdin(&d));
        t.launch(&d);
        // Once alone: a shim without this call fails here, and not when the threads wait for each other.
        upgrade(&task);
        let (address, fds) = (task.address.clone(), descriptors(&task));
        let waits = (task.begin_wait("c1", ""), task.begin_wait("c2", ""));
        let exec =
            |name: &str, n: u32| t.exec_sh(&c, &format!("e{name}{n}"), &format!("echo out{n}; exit {}", n % 100));
        let execs = ["a", "b"].map(|name| (0..100).map(|n| exec(name, n)).collect::<Vec<_>>());
        let mut typed = Writer::to(&d.request.stdin);
        let done = AtomicBool::new(false);
        let run = std::thread::scope(|scope| {
            // Clients that stay connected, and do one thing after the other all the time.
            let threads: Vec<_> = execs
                .iter()
                .map(|execs| {
                    let (task, done) = (t.connect(&address), &done);
                    scope.spawn(move || {
                        let mut count = 0;
                        for e in execs {
                            assert_eq!(task.run(e), count % 100, "exec {count}");
                            assert_eq!(e.out.text(), format!("out{count}\n"));
                            count += 1;
                            if done.load(Ordering::Relaxed) {
                                break;
                            }
                        }
                        count
                    })
                })
                .collect();
            let (watcher, done) = (t.connect(&address), &done);
            let state = scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(watcher.status("c1", ""), RUNNING);
                }
            });
            for n in 0..TIMES {
                upgrade(&task);
                typed.write(format!("line {n}\n"));
            }
            done.store(true, Ordering::Relaxed);
            state.join().unwrap();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
        });
        assert!(run >= 2, "{run} execs");
        assert!(waits.0.pending() && waits.1.pending());
        task.kill("c1", "", 15).unwrap();
        assert_eq!(waits.0.wait().unwrap().exit_status, 42);
        assert_lines(&c.out.text(), 1000);
        drop(typed);
        task.close_io("c2", "").unwrap();
        assert_eq!(waits.1.wait().unwrap().exit_status, 7);
        assert_lines(&d.err.text(), TIMES);
        assert!(descriptors(&task) <= fds, "{} descriptors, {fds} before", descriptors(&task));
        task.delete("c1", "").unwrap();
        task.delete("c2", "").unwrap();
        let told = t.events.when("the end", |events| {
            let told: Vec<String> = events.iter().map(ToString::to_string).collect();
            told.contains(&"delete c2 7".into()).then_some(told)
        });
        let count = |words: &str| told.iter().filter(|line| line.starts_with(words)).count();
        let run = usize::try_from(run).unwrap();
        assert_eq!((count("exec-added"), count("exec-started"), count("exit c1 e")), (run, run, run));
        assert_eq!((count("exit c1 42"), count("exit c2 7"), count("delete"), count("create")), (1, 1, 2, 2));
    });
}

#[test]
fn what_can_not_go_on_is_refused_and_nothing_changes() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let wait = task.begin_wait("c1", "");
        let newer = t.script(
            "newer",
            "cat >/dev/null; echo 'the table has version 1; this program reads version 2' >&2; exit 1",
        );
        let slow = t.script("slow", "cat >/dev/null; exec sleep 100");
        let liar = t.script("liar", "cat >/dev/null; echo yes");
        for (binary, words) in [
            ("/bin/true", "/bin/true cannot go on with what this shim has: exit status 0"),
            ("/nonexistent", "no such file or directory"),
            (newer.as_str(), "the table has version 1; this program reads version 2"),
            (liar.as_str(), "cannot go on"),
            (slow.as_str(), "took too long"),
        ] {
            let failure = try_upgrade(&task, binary).unwrap_err();
            assert!(failure.message.contains(words), "{binary}: {failure:?}");
        }
        assert_eq!(try_upgrade(&task, "relative").unwrap_err().code, 3);
        assert_eq!(task.status("c1", ""), RUNNING);
        assert!(wait.pending());
        upgrade(&task);
        task.kill("c1", "", 9).unwrap();
        assert_eq!(wait.wait().unwrap().exit_status, 137);
    });
}

/// A program that reads the table and then cannot begin leaves containers, which `delete` finds.
#[test]
fn one_that_ends_after_it_took_over_is_cleaned_up_after() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let lines = format!("case $1 in read-table) cat >/dev/null; echo '{READABLE}';; esac");
        let failed = try_upgrade(&task, &t.script("dies", &lines)).unwrap_err();
        assert_eq!(failed, Failure::closed());
        let answer = t.delete(&c);
        assert_eq!(answer.exit_status, 137);
        t.untidy();
    });
}

#[test]
fn every_state_is_kept() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_stdin(t).sh("read line; echo got $line; read line || exit 5");
        let task = t.boot(&c);
        let pid = task.create(&c).unwrap();
        upgrade(&task);
        assert_eq!(task.status("c1", ""), CREATED);
        assert_eq!(task.start("c1", "").unwrap(), pid);

        let early = t.exec_sh(&c, "early", "exit 3");
        task.exec(&early).unwrap();
        let terminal =
            t.exec_sh(&c, "terminal", "stty size; read line; stty size; exit 4").with_stdin(t).with_terminal();
        task.exec(&terminal).unwrap();
        task.resize("c1", "terminal", 81, 24).unwrap();
        task.start("c1", "terminal").unwrap();
        terminal.out.expect("24 81");
        let ended = t.exec_sh(&c, "ended", "exit 9").silent();
        task.exec(&ended).unwrap();
        task.start("c1", "ended").unwrap();
        assert_eq!(task.wait("c1", "ended"), Ok(9));
        task.pause("c1").unwrap();
        let before: Vec<_> = ["", "early", "terminal", "ended"].map(|id| task.state("c1", id).unwrap()).into();

        upgrade(&task);
        let after: Vec<_> = ["", "early", "terminal", "ended"].map(|id| task.state("c1", id).unwrap()).into();
        assert_eq!(before, after);
        assert_eq!(task.status("c1", ""), PAUSED);
        task.resume("c1").unwrap();
        task.start("c1", "early").unwrap();
        assert_eq!(task.wait("c1", "early"), Ok(3));
        task.resize("c1", "terminal", 99, 33).unwrap();
        Writer::to(&terminal.ask.stdin).write("\n");
        terminal.out.expect("33 99");
        assert_eq!(task.wait("c1", "terminal"), Ok(4));
        assert_eq!(task.delete("c1", "ended").unwrap().exit_status, 9);
        Writer::to(&c.request.stdin).write("hello\n");
        c.out.expect("got hello");
        upgrade(&task);
        task.close_io("c1", "").unwrap();
        assert_eq!(task.wait("c1", ""), Ok(5));
        upgrade(&task);
        assert_eq!(task.status("c1", ""), STOPPED);
        assert_eq!(task.pids("c1").unwrap().len(), 1);
        task.stats("c1").unwrap();
        assert_eq!(task.delete("c1", "").unwrap().exit_status, 5);
    });
}

#[test]
fn it_waits_for_those_that_work_and_who_comes_meanwhile_waits_for_it() {
    case(|t| {
        let c = t.container("c1");
        let mut d = t.container("c2");
        let hook = t.script("hook", "sleep 1");
        d.sandbox("c1").set("/hooks", json!({"createRuntime": [{"path": hook}]}));
        let task = t.launch(&c);
        t.start_with(&d, t.usual_stdin(&d));
        let create = task.begin_create(&d);
        let upgrade = begin(&task, &shim());
        let e = t.exec_sh(&c, "e1", "exit 6");
        let other = t.connect(&task.address);
        let exec = other.begin::<dunnage_shim::proto::Empty>("Exec", &e.request());
        assert_eq!(task.status("c1", ""), RUNNING, "what only looks is answered");
        assert!(exec.within(Duration::from_millis(300)).is_none(), "a change waits");
        assert!(create.wait().unwrap().pid > 0);
        upgrade.wait().unwrap();
        exec.wait().unwrap();
        other.start("c1", "e1").unwrap();
        assert_eq!(other.wait("c1", "e1"), Ok(6));
        task.start("c2", "").unwrap();
        assert_eq!(task.status("c2", ""), RUNNING);
    });
}

#[test]
fn events_wait_for_the_daemon_across_it() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        t.events.expect("start c1");
        t.events.stop();
        let e = t.exec(&c, "e1", &["/bin/true"]);
        task.exec(&e).unwrap();
        task.start("c1", "e1").unwrap();
        task.wait("c1", "e1").unwrap();
        upgrade(&task);
        task.kill("c1", "", 9).unwrap();
        task.wait("c1", "").unwrap();
        upgrade(&task);
        task.delete("c1", "").unwrap();
        t.events.serve();
        t.events.are(&[
            "create c1",
            "start c1",
            "exec-added c1 e1",
            "exec-started c1 e1",
            "exit c1 e1 0",
            "exit c1 137",
            "delete c1 137",
        ]);
    });
}

#[test]
fn what_was_said_of_the_end_is_remembered() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let pid = task.shim_pid();
        task.shutdown("c1").unwrap();
        upgrade(&task);
        task.kill("c1", "", 9).unwrap();
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        until("the shim to go", || !host::alive(pid));
    });
}

#[test]
fn the_command_upgrades_one_or_all() {
    case(|t| {
        let (c, d) = (t.container("c1"), t.container("c2"));
        let (one, two) = (t.launch(&c), t.launch(&d));
        assert_ne!(one.shim_pid(), two.shim_pid());
        let path = one.address.trim_start_matches("unix://").to_owned();
        let ran = t.bare(&["-socket", &path, "upgrade"]).output().ok();
        assert!(ran.text().contains(&format!("{path}: pid {}, version ", one.shim_pid())), "{ran:?}");
        let ran = t.bare(&["upgrade"]).output().ok();
        assert_eq!(ran.text().lines().count(), 2, "{ran:?}");
        let ran = t.bare(&["-socket", &path, "upgrade", "/bin/true"]).output();
        assert!(ran.code != 0 && ran.text().contains("cannot go on"), "{ran:?}");
        assert_eq!((one.status("c1", ""), two.status("c2", "")), (RUNNING, RUNNING));
    });
}

#[test]
fn a_table_of_another_version_is_not_read() {
    case(|t| {
        let read = |table: &[u8]| t.bare(&["read-table"]).stdin(Some(table.to_vec())).output();
        for table in [&b""[..], b"\xff\xff", &Table { version: 2, ..Table::default() }.encode()] {
            assert!(read(table).code != 0);
        }
    });
}
