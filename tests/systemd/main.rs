//! The calls to systemd's manager against a real one: `make test-systemd`, or as root on a host with systemd. Not part of
//! `cargo test`. Speaks to the bus, or where there is none to the private socket.
#![allow(clippy::disallowed_methods)] // Tests own the files that they touch.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing)] // A panic is what a test wants.

mod properties;

use std::fs::read_to_string;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use dunnage::cgroup::systemd::{Manager, Property, Scope, Unit};
use dunnage::dbus::Value;
use dunnage::sys::pidfd::PidFd;

/// Only one test at a time may reload systemd, or want it not to.
static SYSTEMD: Mutex<()> = Mutex::new(());

fn manager() -> Manager {
    Manager::connect(Scope::System).unwrap()
}

/// A scope with a name of its own.
fn scope() -> Unit {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    Unit {
        name: format!("dunnage-test-{}-{n}.scope", std::process::id()),
        properties: vec![property("Delegate", Value::Bool(true)), property("TasksMax", Value::Uint64(50))],
    }
}

fn property(name: &str, value: Value) -> Property {
    Property { name: name.into(), value, field: format!("/field/of/{name}") }
}

/// A process that is in nobody's way.
struct Sleeper(Child, PidFd);

impl Sleeper {
    fn new() -> Sleeper {
        let child = Command::new("sleep").arg("300").spawn().unwrap();
        let pidfd = PidFd::open(child.id() as i32).unwrap();
        Sleeper(child, pidfd)
    }

    fn named(&self) -> Option<(i32, BorrowedFd<'_>)> {
        Some((self.pid(), self.1.as_fd()))
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    fn cgroup(&self) -> String {
        let all = read_to_string(format!("/proc/{}/cgroup", self.pid())).unwrap();
        all.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned()
    }

    fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn show(unit: &str, property: &str) -> String {
    let output = Command::new("systemctl").args(["show", "--value", "--property", property, unit]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < until, "{what}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_life_of_a_scope() {
    let _guard = SYSTEMD.lock();
    let (unit, mut process, other) = (scope(), Sleeper::new(), Sleeper::new());
    let mut manager = manager();
    assert!(manager.version().unwrap() > 200);
    assert_eq!(manager.facts().unwrap().control_group, "");

    manager.start(&unit, process.named()).unwrap();
    assert_eq!(process.cgroup(), format!("/system.slice/{}", unit.name));
    assert_eq!(show(&unit.name, "TasksMax"), "50");

    manager.set_properties(&unit.name, &[property("TasksMax", Value::Uint64(60))]).unwrap();
    assert_eq!(show(&unit.name, "TasksMax"), "60");

    let sub = format!("/sys/fs/cgroup{}/sub", process.cgroup());
    std::fs::create_dir(sub).unwrap();
    manager.attach(&unit.name, "/sub", &[other.pid()]).unwrap();
    assert_eq!(other.cgroup(), format!("/system.slice/{}/sub", unit.name));

    manager.stop(&unit.name).unwrap();
    assert!(process.ended());
    assert_eq!(show(&unit.name, "LoadState"), "not-found");
    manager.stop(&unit.name).unwrap();

    let again = Sleeper::new();
    manager.start(&unit, again.named()).unwrap();
    manager.stop(&unit.name).unwrap();
}

#[test]
fn a_slice_can_be_asked_for_twice() {
    let _guard = SYSTEMD.lock();
    let slice = Unit { name: format!("dunnage{}.slice", std::process::id()), properties: vec![] };
    let mut manager = manager();
    manager.start(&slice, None).unwrap();
    manager.start(&slice, None).unwrap();
    assert_eq!(show(&slice.name, "ActiveState"), "active");
    manager.stop(&slice.name).unwrap();
    assert_eq!(show(&slice.name, "ActiveState"), "inactive");
}

#[test]
fn a_failed_unit_of_the_same_name_is_reset() {
    let _guard = SYSTEMD.lock();
    let mut unit = scope();
    let mut manager = manager();
    unit.properties.push(property("RuntimeMaxUSec", Value::Uint64(1)));
    let mut first = Sleeper::new();
    manager.start(&unit, first.named()).unwrap();
    eventually("the unit has failed", || first.ended() && show(&unit.name, "ActiveState") == "failed");

    unit.properties.pop();
    let second = Sleeper::new();
    manager.start(&unit, second.named()).unwrap();
    assert_eq!(second.cgroup(), format!("/system.slice/{}", unit.name));
    manager.stop(&unit.name).unwrap();
}

#[test]
fn a_unit_of_somebody_else_is_left_alone() {
    let _guard = SYSTEMD.lock();
    let (unit, mut theirs, ours) = (scope(), Sleeper::new(), Sleeper::new());
    let mut manager = manager();
    manager.start(&unit, theirs.named()).unwrap();
    let error = manager.start(&unit, ours.named()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("unable to start unit {:?} (properties [Delegate=true", unit.name)), "{error}");
    assert!(error.contains("already"), "{error}");
    assert!(!theirs.ended());
    assert_eq!(theirs.cgroup(), format!("/system.slice/{}", unit.name));
    assert_ne!(ours.cgroup(), theirs.cgroup());
    manager.stop(&unit.name).unwrap();
}

#[test]
fn refusals() {
    let _guard = SYSTEMD.lock();
    let process = Sleeper::new();
    let mut manager = manager();
    for (bad, expected) in [
        (
            property("NoSuchThing", Value::Bool(true)),
            "(config.json /field/of/NoSuchThing); this version of systemd does not know",
        ),
        (property("CPUWeight", Value::Uint64(1 << 40)), "(config.json /field/of/CPUWeight)"),
    ] {
        let mut unit = scope();
        unit.properties.push(bad);
        let error = manager.start(&unit, process.named()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(show(&unit.name, "LoadState"), "not-found");
    }
    let mut ended = Sleeper::new();
    ended.0.kill().unwrap();
    ended.0.wait().unwrap();
    let nobody = manager.start(&scope(), ended.named()).unwrap_err().to_string();
    assert!(nobody.starts_with("unable to start unit"), "{nobody}");
}

/// `systemctl daemon-reload` and `daemon-reexec`, one after the other, while scopes come and go.
#[test]
fn under_a_systemd_that_is_replaced() {
    let _guard = SYSTEMD.lock();
    for command in ["daemon-reload", "daemon-reexec"] {
        let done = AtomicBool::new(false);
        std::thread::scope(|threads| {
            let reloads = threads.spawn(|| {
                let mut n = 0;
                while !done.load(Ordering::Relaxed) {
                    // It fails now and then, when it finds systemd as we do.
                    n += u32::from(Command::new("systemctl").arg(command).output().unwrap().status.success());
                    sleep(Duration::from_millis(150));
                }
                n
            });
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    threads.spawn(|| {
                        let mut slowest = Duration::ZERO;
                        for _ in 0..15 {
                            let (unit, mut process) = (scope(), Sleeper::new());
                            let begin = Instant::now();
                            let mut manager = manager();
                            manager.start(&unit, process.named()).unwrap();
                            slowest = slowest.max(begin.elapsed());
                            assert_eq!(process.cgroup(), format!("/system.slice/{}", unit.name));
                            manager.stop(&unit.name).unwrap();
                            eventually("the process has ended", || process.ended());
                        }
                        slowest
                    })
                })
                .collect();
            let slowest: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            done.store(true, Ordering::Relaxed);
            let n = reloads.join().unwrap();
            println!("{n} times {command}; the slowest start of each worker: {slowest:?}");
            assert!(n > 0 && slowest.iter().all(Result::is_ok));
        });
    }
}

/// Not a judgement: prints what a scope costs.
#[test]
fn what_it_costs() {
    let _guard = SYSTEMD.lock();
    let mut times: Vec<[Duration; 3]> = (0..50)
        .map(|_| {
            let (unit, process) = (scope(), Sleeper::new());
            // What the last one has left to do is not this one's cost.
            sleep(Duration::from_millis(100));
            let begin = Instant::now();
            let mut manager = manager();
            let connected = begin.elapsed();
            manager.start(&unit, process.named()).unwrap();
            let started = begin.elapsed() - connected;
            manager.stop(&unit.name).unwrap();
            [connected, started, begin.elapsed() - started - connected]
        })
        .collect();
    for (i, what) in ["connect", "start", "stop"].into_iter().enumerate() {
        times.sort_by_key(|time| time[i]);
        println!("{what}: median {:?}", times[times.len() / 2][i]);
    }
}
