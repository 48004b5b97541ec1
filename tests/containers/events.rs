//! `events`: what a container uses, that it has no memory left, and its end. On cgroup v1, hybrid, and v2 with controllers.

use crate::cgroup2::unified;
use crate::common::{Bundle, Runtime, Value, case, case_of_two, host, json, other_runtime, until};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const TOO_MUCH: [&str; 4] = ["dd", "if=/dev/zero", "of=/dev/null", "bs=100M"];

/// The directory of the container's cgroup that has the files of a controller.
fn dir_of(b: &Bundle, controller: &str) -> PathBuf {
    let v1 = host::hierarchies().iter().any(|(names, _)| names.split(',').any(|name| name == controller));
    host::cgroup_dir(if v1 { controller } else { "" }, &b.cgroup)
}

fn is_v1() -> bool {
    host::hierarchies().iter().any(|(name, _)| name == "memory")
}

fn sleeping(b: &mut Bundle) {
    b.set("/linux/resources/memory", json!({"limit": 32 << 20, "swap": 32 << 20}))
        .set("/linux/resources/pids", json!({"limit": 99}));
    b.args(&["/bin/sleep", "100"]).run_detached();
}

/// The whole ones: of a long line there may be the beginning only, so far.
fn lines(text: &str) -> Vec<Value> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

fn count(text: &str, kind: &str) -> usize {
    lines(text).iter().filter(|event| event["type"] == kind).count()
}

fn stats_of(b: &Bundle) -> Value {
    let out = b.rt(&["events", "--stats", &b.id]).ok();
    assert!(out.out.ends_with("}\n") && out.out.lines().count() == 1 && out.err.is_empty(), "{out}");
    out.json()
}

#[test]
fn statistics_are_what_the_files_say() {
    case(|b| {
        sleeping(b);
        let event = stats_of(b);
        assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(b.id)));
        let data = &event["data"];
        let keys: Vec<&String> = data.as_object().unwrap().keys().collect();
        for key in ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"] {
            assert!(keys.iter().any(|k| *k == key), "{key}: {keys:?}");
        }
        assert_eq!(data["memory"]["usage"]["limit"], 32 << 20);
        assert_eq!(data["memory"]["swap"]["limit"], 32 << 20);
        assert_eq!(data["pids"], json!({"current": 1, "limit": 99}));
        assert!(data["cpu"]["usage"]["total"].as_u64().unwrap() > 0, "{event}");
        assert_eq!((&data["intel_rdt"], &data["network_interfaces"]), (&json!({}), &Value::Null));
        // All of memory.stat.
        let stat = host::read(dir_of(b, "memory").join("memory.stat"));
        let stat: BTreeSet<&str> = stat.lines().filter_map(|line| line.split(' ').next()).collect();
        let raw: BTreeSet<&str> = data["memory"]["raw"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(raw, stat);
    });
}

/// The same keys and types at every place, and the same values where they stand still.
fn assert_alike(ours: &Value, theirs: &Value, place: &str) {
    let moving = ["/cpu/usage", "/memory/cache", "/memory/raw", "/memory/usage/usage", "/memory/swap/usage"];
    let moving = moving.iter().chain(&["/memory/kernel/", "/memory/usage/max", "/memory/swap/max", "/blkio/io"]);
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
            for key in keys {
                let place = format!("{place}/{key}");
                match (ours.get(key), theirs.get(key)) {
                    (Some(ours), Some(theirs)) => assert_alike(ours, theirs, &place),
                    // Older ones write what is zero, and know no pressure.
                    (None, Some(theirs)) => assert!(is_nothing(theirs), "{place} is missing: {theirs}"),
                    (Some(ours), None) => {
                        let known = ["/psi", "/rdma", "/misc"].iter().any(|end| place.ends_with(end));
                        assert!(known, "{place} is new: {ours}");
                    }
                    (None, None) => {}
                }
            }
        }
        _ if place.contains("/psi/") => assert!(ours.is_number() && theirs.is_number(), "{place}: {ours} {theirs}"),
        _ if moving.into_iter().any(|start| place.strip_prefix("/data").is_some_and(|p| p.starts_with(start))) => {
            let kind = |value: &Value| (value.is_u64(), value.as_array().map(Vec::len));
            assert_eq!(kind(ours), kind(theirs), "{place}: {ours} {theirs}");
            // Pages of the kernel's own come and go.
            let apart = ours.as_u64().zip(theirs.as_u64()).map_or(0, |(ours, theirs)| ours.abs_diff(theirs));
            assert!(!place.starts_with("/data/memory") || apart <= 1 << 20, "{place}: {ours} {theirs}");
        }
        _ => assert_eq!(ours, theirs, "{place}"),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().all(is_nothing),
        value => *value == json!(0),
    }
}

#[test]
fn statistics_are_those_of_runc() {
    case_of_two(|b| {
        let both = [Runtime::under_test().clone(), other_runtime()];
        for (id, maker) in [("ours", &both[0]), ("theirs", &both[1])] {
            b.another_id(id).switch(maker);
            sleeping(b);
            // What was charged to the cgroup while its program was loaded comes to rest.
            std::thread::sleep(Duration::from_millis(300));
            let [mut ours, theirs] = [0, 1].map(|n| {
                b.switch(&both[n]);
                stats_of(b)
            });
            if theirs["data"]["hugetlb"] == json!({}) {
                // 1.1.15 looks for the events of reservations, a file that there is not, and then tells of no huge pages.
                ours["data"]["hugetlb"] = json!({});
            }
            assert_alike(&ours, &theirs, "");
            b.rt(&["delete", "--force", id]).ok();
        }
    });
}

#[test]
fn a_stream_of_statistics() {
    case(|b| {
        sleeping(b);
        let started = Instant::now();
        let mut events = b.command(&["events", "--interval", "300ms", &b.id]).spawn();
        until("the first", || !events.written().0.is_empty());
        assert!(started.elapsed() >= Duration::from_millis(300), "not before an interval has passed");
        until("three of them", || count(&events.written().0, "stats") >= 3);
        assert!(started.elapsed() >= Duration::from_millis(900));
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(events.pid()), nix::sys::signal::Signal::SIGTERM).unwrap();
        events.wait().code(143);
    });
}

#[test]
fn the_end_of_the_container_is_the_end_of_the_stream() {
    case(|b| {
        for id in ["killed", "paused"] {
            b.another_id(id);
            sleeping(b);
            if id == "paused" {
                b.rt(&["pause", id]).ok();
            }
            let mut events = b.command(&["events", "--interval", "100ms", id]).spawn();
            until("it to be at work", || count(&events.written().0, "stats") > 0);
            b.rt(&["kill", id, "KILL"]).ok();
            let out = events.wait().ok();
            assert_eq!((out.err.as_str(), count(&out.out, "oom")), ("", 0), "{out}");
            b.rt(&["events", id]).fails(1, &format!("container with id {id} is not running"));
        }
    });
}

/// A process leaves its cgroup before it has ended, and until then the container is running. Here it stays on its way.
#[test]
fn an_empty_cgroup_is_not_the_end_of_init() {
    case(|b| {
        unified(b);
        b.args(&["/bin/sleep", "100"]).run_detached();
        let init = b.pid();
        let events = b.command(&["events", "--interval", "1h", &b.id]).spawn();
        until("it to be at work", || has_open(events.pid(), "cgroup.events"));
        let outside = host::cgroup_dir("", &format!("{}/outside", b.cgroup_parent()));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("cgroup.procs"), init.to_string()).unwrap();
        let file = host::cgroup_dir("", &b.cgroup).join("cgroup.events");
        // systemd removes what is empty.
        until("it to be empty", || fs::read_to_string(&file).map_or(true, |text| text.contains("populated 0")));
        std::thread::sleep(Duration::from_millis(200));
        assert!(host::alive(events.pid()), "it has taken that for the end");
        b.rt(&["kill", &b.id, "KILL"]).ok();
        events.wait().ok();
        b.rt(&["events", &b.id]).fails(1, "is not running");
    });
}

#[test]
fn another_deletes_the_container() {
    case(|b| {
        sleeping(b);
        let mut events = b.command(&["events", "--interval", "100ms", &b.id]).spawn();
        until("it to be at work", || count(&events.written().0, "stats") > 0);
        b.rt(&["delete", "--force", &b.id]).ok();
        let out = events.wait().ok();
        assert_eq!((out.err.as_str(), count(&out.out, "oom")), ("", 0), "{out}");
    });
}

/// A container that shares a pid namespace is not at its end while a process of it is left.
#[test]
fn who_outlives_init_belongs_to_the_container() {
    case(|b| {
        let mut pod = Bundle::new();
        sleeping(&mut pod);
        b.namespace("pid", Some(&format!("/proc/{}/ns/pid", pod.pid())));
        b.sh("setsid sleep 100 & echo ready; trap 'exit 0' USR1; while :; do sleep 0.01; done");
        let mut out = b.run_detached();
        until("its child", || out.written().0.contains("ready"));
        let mut events = b.command(&["events", "--interval", "100ms", &b.id]).spawn();
        until("it to be at work", || count(&events.written().0, "stats") > 0);
        b.rt(&["kill", &b.id, "USR1"]).ok();
        b.await_status("stopped");
        let before = count(&events.written().0, "stats");
        until("more of them", || count(&events.written().0, "stats") > before + 1);
        for pid in host::pids_in_cgroup(&b.cgroup) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        events.wait().ok();
    });
}

#[test]
fn no_memory_left() {
    case(|b| {
        sleeping(b);
        let mut events = b.command(&["events", "--interval", "100ms", &b.id]).spawn();
        until("it to be at work", || count(&events.written().0, "stats") > 0);
        for times in 1..=2 {
            b.exec(&TOO_MUCH).code(137);
            until("the event", || count(&events.written().0, "oom") >= times);
        }
        let text = events.written().0;
        let told: Vec<&str> = text.lines().filter(|line| line.contains("\"oom\"")).collect();
        assert_eq!(told, [format!("{{\"type\":\"oom\",\"id\":\"{}\"}}", b.id).as_str(); 2]);
        assert_eq!(b.status(), "running");
        b.rt(&["delete", "--force", &b.id]).ok();
        events.wait().ok();
    });
}

/// It has open what tells it of a want of memory.
fn is_watching(pid: i32) -> bool {
    has_open(pid, "memory.events") || has_open(pid, "[eventfd]")
}

fn has_open(pid: i32, name: &str) -> bool {
    let links =
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    links.map(|to| to.display().to_string()).any(|to| to.ends_with(name))
}

/// At once, and not with the next statistics.
#[test]
fn init_has_no_memory_left() {
    case(|b| {
        b.set("/linux/resources/memory", json!({"limit": 32 << 20, "swap": 32 << 20}));
        b.sh(&format!("trap 'exec {}' USR1; echo ready; while :; do sleep 0.01; done", TOO_MUCH.join(" ")));
        let mut out = b.run_detached();
        until("the trap", || out.written().0.contains("ready"));
        let events = b.command(&["events", "--interval", "1h", &b.id]).spawn();
        until("it to be at work", || is_watching(events.pid()));
        b.rt(&["kill", &b.id, "USR1"]).ok();
        let out = events.wait().ok();
        assert_eq!((count(&out.out, "oom"), count(&out.out, "stats")), (1, 0), "{out}");
    });
}

#[test]
fn no_memory_left_in_a_cgroup_below() {
    case(|b| {
        sleeping(b);
        fs::create_dir(dir_of(b, "memory").join("below")).unwrap();
        let mut events = b.command(&["events", "--interval", "100ms", &b.id]).spawn();
        until("it to be at work", || count(&events.written().0, "stats") > 0);
        let below = if is_v1() { "memory:below" } else { "below" };
        b.exec_with(&["--cgroup", below], &TOO_MUCH).code(137);
        until("the event", || count(&events.written().0, "oom") == 1);
        b.rt(&["delete", "--force", &b.id]).ok();
        events.wait().ok();
    });
}

#[test]
fn a_file_that_cannot_be_read() {
    case(|b| {
        sleeping(b);
        let file = dir_of(b, "cpu").join("cpu.stat").display().to_string();
        let mount = |args: &[&str]| crate::common::Command::new(args).output().ok();
        // At its beginning there is no memory: an I/O error.
        mount(&["mount", "--bind", "/proc/1/mem", &file]);
        b.rt(&["events", "--stats", &b.id]).fails(1, "cpu.stat");
        let mut events = b.command(&["--log-format", "json", "events", "--interval", "100ms", &b.id]).spawn();
        until("the fault to be told twice", || events.written().1.lines().count() >= 2);
        assert_eq!(events.written().0, "");
        mount(&["umount", &file]);
        until("it to go on", || count(&events.written().0, "stats") > 0);
        assert!(lines(&events.written().1).iter().all(|record| record["level"] == "error"), "{}", events.written().1);
        b.rt(&["delete", "--force", &b.id]).ok();
        events.wait().ok();
    });
}

#[test]
fn output_that_nobody_reads() {
    case(|b| {
        sleeping(b);
        let (path, root) = (b.runtime().path.display().to_string(), b.root().display().to_string());
        for (interval, reader) in [("1h", "true"), ("50ms", "head -n 1 > /dev/null")] {
            let line =
                format!("{{ {path} --root {root} events --interval {interval} {}; echo rc $? >&2; }} | {reader}", b.id);
            let out = crate::common::Command::new(["sh", "-c", &line]).limit(5).output().ok();
            assert_eq!(out.err, "rc 0\n", "{line}");
        }
        let line = format!("{path} --root {root} events --stats {} > /dev/full", b.id);
        crate::common::Command::new(["sh", "-c", &line]).output().fails(1, "no space left on device");
    });
}

#[test]
fn intervals() {
    case(|b| {
        sleeping(b);
        for (interval, words) in [
            ("0", "duration interval must be greater than 0"),
            ("0h0m0s", "duration interval must be greater than 0"),
            ("-1s", "duration interval must be greater than 0"),
            ("5", "invalid value \"5\" for flag -interval: parse error"),
            ("1h2x", "invalid value \"1h2x\" for flag -interval: parse error"),
            ("", "invalid value \"\" for flag -interval: parse error"),
        ] {
            b.rt(&["events", &format!("--interval={interval}"), "--stats", &b.id]).fails(1, words);
        }
        for interval in ["2562047h47m16.854775807s", "1h1m1s1ms1us1ns", ".5h"] {
            assert_eq!(lines(&b.rt(&["events", "-interval", interval, "-stats", &b.id]).ok().out).len(), 1);
        }
        // What is asked for first: the container, then the interval, then whether it runs.
        b.rt(&["events", "--interval", "0", "nosuch"]).fails(1, "container does not exist");
        b.rt(&["kill", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        b.rt(&["events", "--interval", "0", &b.id]).fails(1, "duration interval must be greater than 0");
        b.rt(&["events", "--stats", &b.id]).fails(1, &format!("container with id {} is not running", b.id));
        b.rt(&["events"]).fails(1, "\"events\" requires exactly 1 argument(s)");
    });
}

#[test]
fn a_created_container_has_statistics() {
    case(|b| {
        b.args(&["/bin/true"]).create();
        assert!(stats_of(b)["data"]["pids"]["current"].as_u64().unwrap() > 0);
    });
}
