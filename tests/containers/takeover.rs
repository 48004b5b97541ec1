//! A node is switched from one runtime to the other while containers are there, whatever they are doing: fifty, of every kind, with
//! one state root for both. And the name that engines call is exchanged while they call it.

use crate::common::{Bundle, Out, Runtime, Value, case_of_two, host, json, other_runtime, until};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Of each kind.
const EACH: usize = 10;

/// What a container is doing when it is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Running,
    Created,
    Paused,
    /// Running in the pid namespace of the first.
    Shared,
    /// Running, with a process that was executed in it.
    Entered,
}

const KINDS: [Kind; 5] = [Kind::Running, Kind::Created, Kind::Paused, Kind::Shared, Kind::Entered];

impl Kind {
    fn status(self) -> &'static str {
        match self {
            Kind::Created => "created",
            Kind::Paused => "paused",
            Kind::Running | Kind::Shared | Kind::Entered => "running",
        }
    }
}

struct Container {
    kind: Kind,
    id: String,
    pid: i32,
}

/// Makes them with the bundle's runtime.
fn populate(b: &mut Bundle) -> Vec<Container> {
    b.set("/linux/resources/pids", json!({"limit": 50}));
    let mut made: Vec<Container> = Vec::new();
    for kind in KINDS {
        if kind == Kind::Shared {
            b.namespace("pid", Some(&format!("/proc/{}/ns/pid", made[0].pid)));
        } else {
            b.namespace("pid", None);
        }
        // A child, which dies with it only where the pid namespace is its own.
        b.sh("setsid sleep 1000 & wait");
        for number in 0..EACH {
            b.another_id(&format!("{kind:?}-{number}").to_lowercase());
            match kind {
                Kind::Created => drop(b.create()),
                _ => drop(b.run_detached()),
            }
            match kind {
                Kind::Paused => drop(b.rt(&["pause", &b.id]).ok()),
                Kind::Entered => drop(b.exec_with(&["--detach"], &["sleep", "1000"]).ok()),
                Kind::Running | Kind::Created | Kind::Shared => {}
            }
            made.push(Container { kind, id: b.id.clone(), pid: b.pid() });
        }
    }
    made
}

/// `list` and `state` tell of each what is so.
fn seen(b: &mut Bundle, all: &[Container]) {
    let listed = b.rt(&["list", "--format", "json"]).ok().json();
    assert_eq!(listed.as_array().unwrap().len(), all.len());
    for container in all {
        let of_it = listed.as_array().unwrap().iter().find(|entry| entry["id"] == container.id).unwrap();
        assert_eq!((&of_it["pid"], &of_it["status"]), (&json!(container.pid), &json!(container.kind.status())));
        b.another_id(&container.id);
        assert_eq!((b.pid(), b.status().as_str()), (container.pid, container.kind.status()), "{}", container.id);
    }
}

fn processes(b: &Bundle) -> usize {
    b.rt(&["ps", "--format", "json", &b.id]).ok().json().as_array().unwrap().len()
}

/// Everything that one does to a container, but for its end.
fn driven(b: &Bundle, kind: Kind) {
    match kind {
        Kind::Created => drop(b.start()),
        Kind::Paused => {
            b.exec(&["true"]).fails(255, "cannot exec in a paused container");
            b.rt(&["resume", &b.id]).ok();
        }
        Kind::Running | Kind::Shared => {}
        // Init, its child, and the one that the other has executed.
        Kind::Entered => assert_eq!(processes(b), 3),
    }
    until("its child", || processes(b) >= 2);
    let inside = b.exec(&["sh", "-c", "hostname; readlink /proc/self/ns/mnt"]).ok().out;
    assert_eq!(inside, format!("runc\n{}\n", host::namespace(b.pid(), "mnt")));
    b.exec_with(&["--detach"], &["sleep", "1000"]).ok();
    b.rt(&["update", "--pids-limit", "77", &b.id]).ok();
    let controller = if host::has_v1() { "pids" } else { "" };
    assert_eq!(host::cgroup_file(controller, &b.cgroup, "pids.max"), "77");
    b.rt(&["pause", &b.id]).ok();
    assert_eq!(b.status(), "paused");
    b.rt(&["resume", &b.id]).ok();
    assert_eq!(b.status(), "running");
}

fn ended(b: &Bundle, kind: Kind) {
    // Its other processes survive its init in a pid namespace that is not its own; `delete --force` looks for them.
    if kind == Kind::Shared {
        b.rt(&["delete", "--force", &b.id]).ok();
    } else {
        b.rt(&["kill", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        b.delete();
    }
    b.assert_gone();
}

/// `from` makes all of them, `to` does the rest. A process that `from` has executed, and waits for, goes on meanwhile.
fn taken_over(b: &mut Bundle, from: &Runtime, to: &Runtime) {
    b.switch(from);
    let all = populate(b);
    let entered = all.iter().find(|container| container.kind == Kind::Entered).unwrap();
    let line = "until [ -e /tmp/go ]; do usleep 20000; done; echo through; exit 7";
    let waiting = b.another_id(&entered.id).command(&["exec", &entered.id, "sh", "-c", line]).limit(100).spawn();
    until("the process that goes on", || processes(b) >= 4);
    b.switch(to);
    seen(b, &all);
    b.another_id(&entered.id).rt(&["pause", &entered.id]).ok();
    b.rt(&["resume", &b.id]).ok();
    b.file("/tmp/go", 0o644, "");
    let Out { code, out, .. } = waiting.wait();
    assert_eq!((code, out.as_str()), (7, "through\n"), "what {from:?} has executed and waits for");
    for container in &all {
        driven(b.another_id(&container.id), container.kind);
    }
    // The first one's end is the end of those that share its pid namespace.
    for container in all.iter().rev() {
        ended(b.another_id(&container.id), container.kind);
    }
    assert_eq!(b.rt(&["list", "--quiet"]).ok().out, "");
    b.switch(from);
    assert_eq!(b.rt(&["list", "--quiet"]).ok().out, "");
}

#[test]
fn from_runc() {
    case_of_two(|b| taken_over(b, &other_runtime(), Runtime::under_test()));
}

#[test]
fn to_runc() {
    case_of_two(|b| taken_over(b, Runtime::under_test(), &other_runtime()));
}

/// How many cycles each of the engines makes.
const CYCLES: usize = 8;

/// Lets `link` lead to `target`, from one moment to the next: there is none at which it leads nowhere.
fn exchange(link: &Path, target: &Path) {
    let new = link.with_extension("new");
    symlink(target, &new).unwrap();
    fs::rename(&new, link).unwrap();
}

/// One container's life, every command by whatever the name leads to at that moment.
fn cycle(b: &mut Bundle, number: usize) {
    b.another_id(&format!("cycle-{number}"));
    b.create();
    assert_eq!(b.status(), "created");
    b.start();
    b.exec(&["sh", "-c", "usleep 30000; hostname; exit 5"]).code(5).says("runc");
    b.rt(&["update", "--pids-limit", "33", &b.id]).ok();
    b.rt(&["pause", &b.id]).ok();
    b.rt(&["resume", &b.id]).ok();
    b.rt(&["kill", &b.id, "KILL"]).ok();
    b.await_status("stopped");
    b.delete();
    b.assert_gone();
}

/// Engines work on while the name that they call is exchanged, to and fro.
#[test]
fn the_name_is_exchanged_under_load() {
    case_of_two(|b| {
        let link = b.path("runc");
        let both = [other_runtime(), Runtime::under_test().clone()].map(|runtime| which(&runtime));
        exchange(&link, &both[0]);
        let by_name = Runtime { path: link.clone(), name: "either".into() };
        let at_work = AtomicUsize::new(3);
        let exchanges = std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let _done = Leaving(&at_work);
                    let mut b = Bundle::new();
                    b.switch(&by_name).args(&["sleep", "1000"]);
                    (0..CYCLES).for_each(|number| cycle(&mut b, number));
                });
            }
            let mut exchanges = 0;
            while at_work.load(Ordering::Relaxed) > 0 {
                exchanges += 1;
                exchange(&link, &both[exchanges % 2]);
                std::thread::sleep(std::time::Duration::from_millis(7));
            }
            exchanges
        });
        assert!(exchanges > CYCLES, "{exchanges} exchanges");
    });
}

/// Where a name in PATH leads.
fn which(runtime: &Runtime) -> PathBuf {
    if runtime.path.components().count() > 1 {
        return fs::canonicalize(&runtime.path).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|dir| dir.join(&runtime.path)).find(|file| file.is_file()).unwrap()
}

/// Counts a thread out, whatever ends it.
struct Leaving<'a>(&'a AtomicUsize);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn state_json(b: &Bundle) -> Value {
    serde_json::from_slice(&fs::read(b.state_dir().join("state.json")).unwrap()).unwrap()
}

fn update(b: &Bundle, limit: i64) -> Value {
    b.rt(&["update", "--pids-limit", &limit.to_string(), &b.id]).ok();
    state_json(b)
}

/// What is ours alone in state.json (`dunnage`) is for nobody else: a runc that writes the file drops it, as it does with
/// everything that it does not know, and we go on without.
#[test]
fn what_is_ours_in_the_state() {
    case_of_two(|b| {
        let (ours, runc) = (Runtime::under_test().clone(), other_runtime());
        b.args(&["sleep", "1000"]).run_detached();
        let made = state_json(b);
        assert!(made["dunnage"]["format"].is_number(), "{made}");
        // It is kept by what we write.
        assert_eq!(update(b, 40)["dunnage"], made["dunnage"]);

        let mut by_runc = update(b.switch(&runc), 41);
        assert_eq!(by_runc["dunnage"], Value::Null);
        let again = update(b.switch(&ours), 42);
        // Of what runc has written we change the limit, and nothing else.
        by_runc["config"]["cgroups"]["pids_limit"] = json!(42);
        assert_eq!(again, by_runc);
        b.exec(&["hostname"]).ok().says("runc");
        b.switch(&runc).exec(&["hostname"]).ok().says("runc");
        b.switch(&ours);
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}

/// Of a state that runc has made we change what was asked, and nothing else; what a later runc may have put there stays.
#[test]
fn what_is_runcs_in_the_state() {
    case_of_two(|b| {
        let (ours, runc) = (Runtime::under_test().clone(), other_runtime());
        b.switch(&runc).args(&["sleep", "1000"]).run_detached();
        let mut made = update(b, 40);
        made["of_a_later_runc"] = json!({"a": [1, null]});
        made["config"]["of_a_later_runc"] = json!(true);
        fs::write(b.state_dir().join("state.json"), made.to_string()).unwrap();
        let changed = update(b.switch(&ours), 41);
        made["config"]["cgroups"]["pids_limit"] = json!(41);
        assert_eq!(changed, made);
        b.switch(&runc);
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}
