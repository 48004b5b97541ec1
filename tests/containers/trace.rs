//! `--trace` and the annotation `io.dunnage.trace`: that every step is there, with times that can be; what it writes where; what it
//! costs.

use crate::common::{Bundle, Value, case, host, json};
use crate::robustness::calls_of_a_run;
use std::fs;
use std::os::unix::fs::symlink;

/// The verbs of a plan, of the runtime and of the container.
fn planned(b: &Bundle) -> [Vec<String>; 2] {
    let plan = b.start_command("plan", &[]).output().ok().out;
    let (head, container) = plan.split_once("container:\n").unwrap();
    let (_, runtime) = head.split_once("runtime:\n").unwrap();
    // What is indented more belongs to the step above.
    let verbs = |part: &str| {
        let steps = part.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
        steps.map(|step| step.split(' ').next().unwrap().to_string()).collect()
    };
    [verbs(runtime), verbs(container)]
}

/// The events of a file, strictly: nothing but what the format has.
fn events(path: &std::path::Path) -> Vec<Value> {
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert!(file["displayTimeUnit"] == "ns" && file["otherData"]["title"].is_string(), "{file}");
    let events = file["traceEvents"].as_array().unwrap().clone();
    for event in &events {
        let keys: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
        let known = ["args", "cat", "dur", "name", "ph", "pid", "tid", "ts"];
        assert!(keys.iter().all(|key| known.contains(key)), "{event}");
        assert!(event["pid"].as_i64().is_some_and(|pid| pid > 0) && event["tid"] == event["pid"], "{event}");
        assert!(event["name"].as_str().is_some_and(|name| !name.is_empty()), "{event}");
        let (ts, dur) = (event["ts"].as_f64(), event["dur"].as_f64());
        match event["ph"].as_str().unwrap() {
            "M" => assert!(event["args"]["name"].is_string() && ts.is_none() && dur.is_none(), "{event}"),
            "B" => assert!(ts.is_some_and(|ts| ts > 0.0) && dur.is_none(), "{event}"),
            "X" => assert!(ts.is_some_and(|ts| ts > 0.0) && dur.is_some_and(|dur| dur >= 0.0), "{event}"),
            _ => panic!("{event}"),
        }
    }
    events.into_iter().filter(|event| event["ph"] != "M").collect()
}

/// The verbs of one side. One is after the other, and all of them together take no longer than the whole.
fn verbs(events: &[Value], side: &str) -> Vec<String> {
    let of = |event: &&Value| event["cat"] == side;
    let number = |event: &Value, key: &str| (event[key].as_f64().unwrap_or(0.0) * 1000.0).round() as u64;
    let ends = events.iter().map(|e| number(e, "ts") + number(e, "dur"));
    let whole = ends.max().unwrap() - events.iter().map(|e| number(e, "ts")).min().unwrap();
    let (mut last, mut sum) = (0, 0);
    for event in events.iter().filter(of) {
        assert!(number(event, "ts") >= last, "{event} begins before {last}");
        last = number(event, "ts") + number(event, "dur");
        sum += number(event, "dur");
    }
    assert!(0 < sum && sum <= whole, "{side}: {sum} of {whole} ns");
    events.iter().filter(of).map(|e| e["name"].as_str().unwrap().to_string()).collect()
}

/// What the runtime does outside of the plan.
const OUTSIDE: &[&str] =
    &["read", "check", "facts", "compile", "state-directory", "hand-over", "poststart", "state", "release"];

fn of_the_plan(verbs: Vec<String>) -> Vec<String> {
    verbs.into_iter().filter(|verb| !OUTSIDE.contains(&verb.as_str())).collect()
}

#[test]
fn create_and_start_name_every_step() {
    case(|b| {
        let (create, start) = (b.path("create.json"), b.path("start.json"));
        b.set("/annotations/io.dunnage.trace", "true").args(&["/bin/sleep", "100"]);
        b.set("/hooks/startContainer", json!([{"path": "/bin/true"}]));
        let [runtime, container] = planned(b);
        b.start_command("create", &["--trace", create.to_str().unwrap()]).output().ok();
        std::thread::sleep(std::time::Duration::from_millis(20));
        b.rt(&["start", "--trace", start.to_str().unwrap(), &b.id]).ok();
        let created = events(&create);
        assert_eq!(of_the_plan(verbs(&created, "runtime")), runtime);
        // It waits for `start`, which sees the rest.
        let mut told = verbs(&created, "container");
        let waiting = created.iter().filter(|e| e["ph"] == "B").collect::<Vec<_>>();
        let [waiting] = waiting[..] else { panic!("one is under way: {waiting:?}") };
        assert_eq!((waiting["name"].as_str(), told.pop().as_deref()), (Some("fifo"), Some("fifo")));
        let started = events(&start);
        told.extend(verbs(&started, "container"));
        assert_eq!(told, container);
        assert_eq!(told[0], "trace");
        assert_eq!(told[told.len() - 3..], ["fifo", "hook", "exec"]);
        assert!(started.iter().all(|e| e["ph"] == "X"), "{started:?}");
        // One scale, both halves: nothing of `start` is before the end of `create`.
        let ts = |e: &Value| (e["ts"].as_f64().unwrap() * 1000.0) as u64;
        assert!(created.iter().map(ts).max() < started.iter().map(ts).min());
        let table = b.bare(&["trace".as_ref(), create.as_os_str(), start.as_os_str()]).output().ok().out;
        let title = format!("create {}, start {}: ", b.id, b.id);
        assert!(table.starts_with(&title), "{table}");
        for words in ["# /mounts/0", "by phase", "the critical path", "waited", "hook startContainer"] {
            assert!(table.contains(words), "{words}: {table}");
        }
        b.rt(&["delete", "--force", &b.id]).ok();
        assert!(!b.state_dir().exists());
    });
}

#[test]
fn run_and_exec_name_every_step() {
    case(|b| {
        let file = b.path("run.json");
        b.set("/annotations/io.dunnage.trace", "true").args(&["/bin/sleep", "100"]);
        let [runtime, container] = planned(b);
        // What is there for the sake of `start`.
        let without = |verbs: Vec<String>| -> Vec<String> {
            verbs.into_iter().filter(|verb| !["proc", "close", "fifo"].contains(&verb.as_str())).collect()
        };
        b.start_command("run", &["--detach", "--trace", file.to_str().unwrap()]).output().ok();
        let ran = events(&file);
        assert_eq!(without(of_the_plan(verbs(&ran, "runtime"))), without(runtime));
        assert_eq!(without(verbs(&ran, "container")), without(container));
        assert!(ran.iter().all(|e| e["ph"] == "X"), "{ran:?}");

        let file = b.path("exec.json");
        b.exec_with(&["--trace", file.to_str().unwrap()], &["/bin/true"]).ok();
        let executed = events(&file);
        assert_eq!(verbs(&executed, "container")[0], "trace");
        assert_eq!(verbs(&executed, "container").last().unwrap(), "exec");
        // A process took over half-way, and went on.
        assert!(verbs(&executed, "container").contains(&"fork".into()));
        assert!(verbs(&executed, "runtime").contains(&"spawn".into()));
        assert!(executed.iter().all(|e| e["ph"] == "X"), "{executed:?}");

        let text = b.path("exec.txt");
        b.exec_with(&["--trace", text.to_str().unwrap()], &["/bin/true"]).ok();
        assert!(fs::read_to_string(&text).unwrap().contains("the critical path"));
    });
}

#[test]
fn in_a_user_namespace_with_a_stage() {
    case(|b| {
        let file = b.path("run.json");
        b.user_namespace().namespace("time", None).args(&["/bin/true"]);
        b.start_command("run", &["--trace", file.to_str().unwrap()]).output().ok();
        let ran = events(&file);
        let verbs = verbs(&ran, "container");
        assert!(verbs.contains(&"fork".into()) && verbs.last().unwrap() == "exec", "{verbs:?}");
        assert!(ran.iter().all(|e| e["ph"] == "X"), "{ran:?}");
    });
}

#[test]
fn behind_a_filter_that_kills() {
    case(|b| {
        let file = b.path("run.json");
        // No call of ours is for the trace's sake once the filter is loaded.
        let killed = ["clock_gettime", "gettimeofday", "time", "fsync", "pwrite64", "ftruncate"];
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": killed, "action": "SCMP_ACT_KILL_PROCESS"}]});
        b.set("/linux/seccomp", profile).set("/process/noNewPrivileges", false).args(&["/bin/true"]);
        b.start_command("run", &["--trace", file.to_str().unwrap()]).output().ok();
        let verbs = verbs(&events(&file), "container");
        let after = verbs.iter().position(|verb| verb == "seccomp").unwrap();
        assert!(verbs.len() > after + 5, "{verbs:?}");
    });
}

#[test]
fn a_step_that_fails_is_the_last() {
    case(|b| {
        let file = b.path("run.json");
        b.mount(json!({"destination": "/x", "type": "bind", "source": "/nowhere/at/all", "options": ["bind"]}));
        b.start_command("run", &["--trace", file.to_str().unwrap()]).output().fails(1, "/nowhere/at/all");
        let ran = events(&file);
        let last = ran.iter().rfind(|e| e["cat"] == "container").unwrap();
        assert_eq!((last["ph"].as_str(), last["name"].as_str()), (Some("B"), Some("bind")));
        assert_eq!(last["args"]["subject"], "/x");
        let table = b.bare(&["trace".as_ref(), file.as_os_str()]).output().ok().out;
        assert!(table.contains("(failed)") && table.contains("bind /x  # /mounts/"), "{table}");
        assert!(!b.state_dir().exists());
    });
}

#[test]
fn the_annotation_chooses_no_file() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]);
        for path in ["/tmp/trace", "../x", "1", ""] {
            b.set("/annotations/io.dunnage.trace", path);
            b.start_command("create", &[]).output().fails(1, "/annotations/io.dunnage.trace");
        }
        b.set("/annotations/io.dunnage.trace", "true");
        b.create();
        assert!(!events(&b.state_dir().join("trace.json")).is_empty());
        b.start();
        assert!(!events(&b.state_dir().join("trace-start.json")).is_empty());
        b.exec(&["/bin/true"]).ok();
        let mut files: Vec<_> =
            fs::read_dir(b.state_dir()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, ["state.json", "trace-start.json", "trace.json", "trace.steps"]);
        // What init mapped is not there any more: the program has nothing of it.
        let pid = b.state()["pid"].as_i64().unwrap();
        let maps = host::read(format!("/proc/{pid}/maps"));
        assert!(!maps.contains("trace"), "{maps}");
        b.rt(&["delete", "--force", &b.id]).ok();
        assert!(!b.state_dir().exists());
    });
}

#[test]
fn a_file_that_is_there_is_left_alone() {
    case(|b| {
        let (file, link, target) = (b.path("file"), b.path("link"), b.path("target"));
        fs::write(&file, "mine").unwrap();
        symlink(&target, &link).unwrap();
        b.args(&["/bin/true"]);
        for path in [&file, &link] {
            let out = b.start_command("run", &["--trace", path.to_str().unwrap()]).output();
            out.fails(1, "file exists").err_has("a trace is a file of its own");
        }
        b.start_command("run", &["--trace", "/nowhere/trace"]).output().fails(1, "no such file or directory");
        assert_eq!(host::read(&file), "mine");
        assert!(!target.exists() && !b.state_dir().exists());
        let out = b.bare(&["trace".as_ref(), file.as_os_str()]).output();
        out.fails(1, "no trace");
    });
}

/// To make the file of the times, to map it, to read it, to write the trace, and to remove that with the container; nothing for a step.
#[test]
fn costs_a_few_system_calls() {
    case(|b| {
        let off = calls_of_a_run(b);
        b.set("/annotations/io.dunnage.trace", "true");
        let on = calls_of_a_run(b);
        println!("{off} system calls of a run, {on} with a trace");
        assert!(off < on && on <= off + 24, "{off} system calls of a run, {on} with a trace");
    });
}
