//! The command line: every command, its output, its exit code, the words of its errors; logs and the state on disk.

use crate::common::{Bundle, Runtime, Value, case, host, json, until};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

fn sleeper(b: &mut Bundle) -> i32 {
    b.args(&["/bin/sleep", "100"]).run_detached();
    b.pid()
}

#[test]
fn version() {
    case(|b| {
        for flag in ["--version", "-v"] {
            let out = b.bare(&[flag]).output().ok();
            let program = Runtime::under_test().name.split('-').next().unwrap().to_string();
            assert!(out.out.starts_with(&format!("{program} version ")), "{out}");
            assert!(out.out.lines().any(|l| l.starts_with("spec: 1.")), "{out}");
            assert_eq!(out.err, "");
        }
    });
}

#[test]
fn help() {
    case(|b| {
        for args in [&["--help"][..], &["-h"], &["help"], &[]] {
            let out = b.bare(args).output().ok();
            for word in ["create", "start", "exec", "delete", "--root", "--log-format"] {
                assert!(out.out.contains(word), "{args:?} must name {word}: {out}");
            }
        }
        for command in [
            "create", "run", "start", "exec", "state", "kill", "delete", "events", "list", "ps", "pause", "resume",
            "spec",
        ] {
            b.bare(&[command, "--help"]).output().ok().out_has(command);
        }
    });
}

#[test]
fn unknown_commands_and_flags() {
    case(|b| {
        b.bare(&["foo"]).output().fails(3, "No help topic for 'foo'");
        b.bare(&["version"]).output().code(3);
        b.bare(&["state", "--nosuch", "x"]).output().fails(1, "flag provided but not defined: -nosuch");
        b.bare(&["--nosuch", "list"]).output().fails(1, "flag provided but not defined: -nosuch");
        b.bare(&["exec", "--nosuch", "x"]).output().fails(1, "flag provided but not defined: -nosuch");
    });
}

#[test]
fn argument_counts() {
    case(|b| {
        for (args, words) in [
            (&["create"][..], "\"create\" requires exactly 1 argument(s)"),
            (&["create", "a", "b"], "\"create\" requires exactly 1 argument(s)"),
            (&["run"], "\"run\" requires exactly 1 argument(s)"),
            (&["start"], "\"start\" requires exactly 1 argument(s)"),
            (&["state"], "\"state\" requires exactly 1 argument(s)"),
            (&["state", "a", "b"], "\"state\" requires exactly 1 argument(s)"),
            (&["delete"], "\"delete\" requires exactly 1 argument(s)"),
            (&["pause"], "\"pause\" requires exactly 1 argument(s)"),
            (&["resume"], "\"resume\" requires exactly 1 argument(s)"),
            (&["list", "x"], "\"list\" requires exactly 0 argument(s)"),
            (&["spec", "x"], "\"spec\" requires exactly 0 argument(s)"),
            (&["ps"], "\"ps\" requires a minimum of 1 argument(s)"),
            (&["exec"], "\"exec\" requires a minimum of 1 argument(s)"),
            (&["kill"], "\"kill\" requires a minimum of 1 argument(s)"),
            (&["kill", "a", "9", "x"], "\"kill\" requires a maximum of 2 argument(s)"),
        ] {
            b.rt(args).fails(1, words).out_has("Incorrect Usage.");
        }
    });
}

/// Go's spellings: one dash, `=`, flags behind the positional argument.
#[test]
fn flag_spellings() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).write_config();
        let (root, bundle) = (b.root().display().to_string(), b.bundle().display().to_string());
        b.bare(&["-root", &root, "create", &b.id, &format!("-bundle={bundle}")]).output().ok();
        b.bare(&[&format!("--root={root}"), "state", &b.id]).output().ok();
        b.bare(&["-root", &root, "delete", &b.id, "-force=true"]).output().ok();
        b.bare(&["--root", &root, "run", "-d", "-b", &bundle, &b.id]).output().ok();
        b.bare(&["--root", &root, "kill", "--", &b.id, "0"]).output().ok();
        b.bare(&["--root", &root, "delete", "--force=false", &b.id]).output().fails(1, "that is not stopped: running");
    });
}

#[test]
fn life_of_a_container() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).create();
        assert_eq!(b.status(), "created");
        let pid = b.pid();
        assert!(host::alive(pid));
        b.start();
        assert_eq!(b.status(), "running");
        assert_eq!(b.pid(), pid);
        until("the payload to be executed", || host::read(format!("/proc/{pid}/comm")) == "sleep");
        b.rt(&["kill", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        assert_eq!(b.pid(), 0);
        b.delete();
        b.assert_gone();
        b.rt(&["state", &b.id]).fails(1, "container does not exist");
    });
}

/// runtime.md, "Lifecycle", 2: what config.json becomes later is nothing to the container.
#[test]
fn config_json_is_read_once() {
    case(|b| {
        let mut running = b.env("WHICH=created").sh("echo $WHICH").create();
        std::fs::write(b.bundle().join("config.json"), "not even JSON").unwrap();
        b.start();
        b.await_status("stopped");
        assert_eq!(running.written().0, "created\n");
        b.rt(&["delete", &b.id]).ok();
        b.assert_gone();
    });
}

#[test]
fn state_output() {
    case(|b| {
        b.set("/annotations", json!({"org.example.key": "<&> \"quoted\""})).args(&["/bin/sleep", "100"]).create();
        let out = b.rt(&["state", &b.id]).ok();
        assert_eq!(out.err, "");
        assert!(out.out.starts_with("{\n  \"ociVersion\": \"1.") && !out.out.ends_with('\n'), "{out}");
        let order: Vec<&str> = out.out.lines().filter_map(|l| l.strip_prefix("  \"")?.split('"').next()).collect();
        let keys = ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"];
        assert_eq!(order, keys, "{out}");
        let state = out.json();
        assert_eq!(state["id"], b.id);
        assert_eq!(state["bundle"], b.bundle().display().to_string());
        assert_eq!(state["rootfs"], b.rootfs("").display().to_string().trim_end_matches('/'));
        assert_eq!(state["annotations"]["org.example.key"], "<&> \"quoted\"");
        assert_eq!(state["owner"], "");
        let created = state["created"].as_str().unwrap();
        assert!(created.ends_with('Z') && created.contains('T') && created.contains('.'), "{created}");
        b.another_id("plain").remove("/annotations").create();
        assert!(b.state().get("annotations").is_none());
    });
}

#[test]
fn start_in_every_state() {
    case(|b| {
        b.rt(&["start", "nosuch"]).fails(1, "container does not exist");
        sleeper(b);
        b.rt(&["start", &b.id]).fails(1, "cannot start an already running container");
        b.rt(&["pause", &b.id]).ok();
        b.rt(&["start", &b.id]).fails(1, "cannot start a container in the paused state");
        b.rt(&["resume", &b.id]).ok();
        b.rt(&["kill", &b.id, "9"]).ok();
        b.await_status("stopped");
        b.rt(&["start", &b.id]).fails(1, "cannot start a container that has stopped");
    });
}

#[test]
fn signals_by_name_and_number() {
    case(|b| {
        let trap = "for s in HUP INT USR1 USR2 TERM WINCH; do trap \"echo $s\" $s; done; echo ready; while :; do sleep 0.01; done";
        let mut out = b.sh(trap).run_detached();
        until("the traps to be set", || out.written().0.contains("ready"));
        let spellings =
            [("HUP", "HUP"), ("SIGINT", "INT"), ("sigusr1", "USR1"), ("12", "USR2"), ("28", "WINCH"), ("", "TERM")];
        for (signal, seen) in spellings {
            let mut args = vec!["kill", b.id.as_str()];
            args.extend((!signal.is_empty()).then_some(signal));
            b.rt(&args).ok();
            until(&format!("{signal} to arrive as {seen}"), || out.written().0.contains(&format!("{seen}\n")));
        }
        b.rt(&["kill", &b.id, "0"]).ok();
        b.rt(&["kill", &b.id, "FOO"]).fails(1, "unknown signal \"FOO\"");
        b.rt(&["kill", &b.id, "9999"]).fails(1, "invalid argument");
    });
}

#[test]
fn kill_of_what_is_not_there() {
    case(|b| {
        b.rt(&["kill", "nosuch", "KILL"]).fails(1, "container does not exist");
        sleeper(b);
        b.rt(&["kill", "--all", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        b.rt(&["kill", &b.id, "KILL"]).fails(1, "container not running");
        b.rt(&["kill", &b.id, "TERM"]).fails(1, "container not running");
        b.rt(&["kill", "-a", &b.id, "9"]).ok();
    });
}

#[test]
fn kill_of_a_created_container() {
    case(|b| {
        b.args(&["/bin/true"]).create();
        let pid = b.pid();
        b.rt(&["kill", &b.id, "KILL"]).ok();
        until("it to be dead", || !host::alive(pid));
        b.await_status("stopped");
    });
}

#[test]
fn delete_in_every_state() {
    case(|b| {
        b.rt(&["delete", "nosuch"]).fails(1, "container does not exist");
        b.rt(&["delete", "--force", "nosuch"]).ok();
        let pid = sleeper(b);
        b.rt(&["delete", &b.id]).fails(1, &format!("cannot delete container {} that is not stopped: running", b.id));
        b.rt(&["pause", &b.id]).ok();
        b.rt(&["delete", &b.id]).fails(1, "that is not stopped: paused");
        assert!(host::alive(pid));
        b.rt(&["delete", "--force", &b.id]).ok();
        assert!(!host::alive(pid));
        b.assert_gone();
        b.create();
        b.delete();
        b.assert_gone();
    });
}

#[test]
fn ids() {
    case(|b| {
        for id in ["a/b", "..", ".", "a b", "ü", "a\nb", "-x/", "a:b"] {
            b.id = id.into();
            b.write_config();
            let bundle = b.bundle().display().to_string();
            b.rt(&["create", "--bundle", &bundle, "--", id]).fails(1, "invalid container ID format");
            b.rt(&["delete", "--force", "--", id]).fails(1, "invalid container ID format");
        }
        let bundle = b.bundle().display().to_string();
        b.rt(&["create", "--bundle", &bundle, ""]).fails(1, "container id cannot be empty");
        assert_eq!(fs::read_dir(b.root()).map_or(0, Iterator::count), 0);
        // The cgroup keeps its name: that of a unit has no plus.
        b.id = "A-z_0.9+".into();
        b.args(&["/bin/true"]).run().ok();
    });
}

#[test]
fn an_id_is_taken_once() {
    case(|b| {
        let pid = sleeper(b);
        let out = b.start_command("create", &[]).output();
        out.fails(1, "container with given ID already exists");
        assert!(host::alive(pid) && b.status() == "running");
    });
}

#[test]
fn list() {
    case(|b| {
        fs::create_dir(b.root()).unwrap();
        b.rt(&["list", "--format", "json"]).ok().says("null");
        b.rt(&["list", "--quiet"]).ok().says("");
        let pid = sleeper(b);
        let first = b.id.clone();
        b.another_id("zz-second").args(&["/bin/true"]).create();
        let out = b.rt(&["list"]).ok();
        let lines: Vec<Vec<&str>> = out.out.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], "{out}");
        assert_eq!(lines[1][..3], [first.as_str(), &pid.to_string(), "running"], "{out}");
        assert_eq!((lines[2][0], lines[2][2], lines[2][5]), ("zz-second", "created", "root"), "{out}");
        b.rt(&["list", "-q"]).ok().says(&format!("{first}\nzz-second"));
        let out = b.rt(&["list", "-f", "json"]).ok();
        assert!(out.out.ends_with("]\n") && out.out.lines().count() == 1, "{out}");
        let all = out.json();
        assert_eq!(
            (&all[0]["id"], &all[0]["owner"], &all[1]["status"]),
            (&json!(first), &json!("root"), &json!("created"))
        );
        b.rt(&["list", "--format", "xml"]).fails(1, "invalid format option");
    });
}

#[test]
fn list_goes_on_over_broken_entries() {
    case(|b| {
        sleeper(b);
        fs::create_dir(b.root().join("broken")).unwrap();
        fs::write(b.root().join("broken/state.json"), "{").unwrap();
        b.rt(&["list", "-q"]).ok().says(&b.id).err_has("load container broken");
        fs::remove_dir_all(b.root().join("broken")).unwrap();
        let missing = b.path("missing").display().to_string();
        b.bare(&["--root", &missing, "list"]).output().fails(1, "no such file or directory");
    });
}

#[test]
fn ps() {
    case(|b| {
        let mut out = b.sh("sleep 100 & echo ready; wait").run_detached();
        until("its child", || out.written().0.contains("ready"));
        let pid = b.pid();
        let child = host::children(pid)[0];
        let result = b.rt(&["ps", "--format", "json", &b.id]).ok();
        assert_eq!(result.err, "");
        let mut pids: Vec<i64> = result.json().as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
        pids.sort_unstable();
        assert_eq!(pids, [i64::from(pid), i64::from(child)]);
        let table = b.rt(&["ps", &b.id]).ok();
        let lines: Vec<&str> = table.out.lines().collect();
        assert!(lines.len() == 3 && lines[0].contains("PID") && table.out.contains("sleep 100"), "{table}");
        let table = b.rt(&["ps", &b.id, "-o", "pid,comm"]).ok();
        assert!(table.out.contains(&format!("{child} sleep")) && table.out.lines().count() == 3, "{table}");
        b.rt(&["kill", &b.id, "9"]).ok();
        b.await_status("stopped");
        b.rt(&["ps", "-f", "json", &b.id]).ok().says("null");
    });
}

#[test]
fn ps_of_the_host() {
    case(|b| {
        sleeper(b);
        b.rt(&["ps", &b.id, "-o", "comm"]).fails(1, "couldn't find PID field in ps output");
        // Behind the id all is for ps(1), whose complaint is told.
        for options in [&["--nosuch"][..], &["--format", "json"]] {
            let args = [&["ps", b.id.as_str()][..], options].concat();
            b.rt(&args).fails(1, "exit status 1: error:");
        }
        b.rt(&["ps", "--format", "xml", &b.id]).fails(1, "invalid format option");
        b.rt(&["ps", "nosuch"]).fails(1, "container does not exist");
        b.rt(&["pause", &b.id]).ok();
        assert_eq!(b.rt(&["ps", &b.id, "-eo", "stat,pid"]).ok().out.lines().count(), 2);
        b.rt(&["resume", &b.id]).ok();
        b.rt(&["kill", &b.id, "9"]).ok();
        b.await_status("stopped");
        let table = b.rt(&["ps", &b.id]).ok();
        assert!(table.out.lines().count() == 1 && table.out.contains("PID"), "{table}");
    });
}

#[test]
fn pause_and_resume() {
    case(|b| {
        let mut out = b.sh("i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done").run_detached();
        b.rt(&["resume", &b.id]).fails(1, "container not paused");
        b.rt(&["pause", &b.id]).ok();
        assert_eq!(b.status(), "paused");
        let frozen = out.written().0;
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(out.written().0, frozen);
        b.rt(&["pause", &b.id]).fails(1, "container not running");
        b.rt(&["resume", &b.id]).ok();
        assert_eq!(b.status(), "running");
        until("it to go on", || out.written().0.len() > frozen.len());
        b.rt(&["pause", &b.id]).ok();
        b.rt(&["kill", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        b.rt(&["pause", &b.id]).fails(1, "container not running");
    });
}

#[test]
fn exit_codes_of_run() {
    case(|b| {
        b.sh("exit 0").run().ok();
        b.sh("exit 42").run().code(42);
        b.sh("kill -9 $$").drop_namespace("pid").run().code(137);
        b.sh("kill -TERM $$").run().code(143);
        b.assert_gone();
    });
}

#[test]
fn run_relays_the_three_streams() {
    case(|b| {
        b.sh("cat; echo to-err >&2");
        let out = b.start_command("run", &[]).stdin("from the caller").output().ok();
        assert_eq!((out.out.as_str(), out.err.as_str()), ("from the caller", "to-err\n"));
    });
}

#[test]
fn run_relays_much() {
    case(|b| {
        b.sh("head -c 3000000 /dev/zero | tr '\\0' x");
        assert_eq!(b.run().ok().out.len(), 3_000_000);
    });
}

#[test]
fn run_forwards_signals() {
    case(|b| {
        b.sh("trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        let mut running = b.start_command("run", &[]).spawn();
        until("the trap to be set", || running.written().0.contains("ready"));
        let pid = nix::unistd::Pid::from_raw(running.pid());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        running.wait().code(7).out_has("got");
    });
}

#[test]
fn run_keep() {
    case(|b| {
        b.sh("exit 3");
        b.start_command("run", &["--keep"]).output().code(3);
        assert_eq!(b.status(), "stopped");
        b.delete();
        b.assert_gone();
    });
}

#[test]
fn pid_file() {
    case(|b| {
        let file = b.path("pid");
        b.args(&["/bin/sleep", "100"]);
        b.start_command("create", &["--pid-file", file.to_str().unwrap()]).output().ok();
        assert_eq!(fs::read_to_string(&file).unwrap(), b.pid().to_string());
        b.start();
        // Relative to the caller's directory, not to the bundle.
        b.another_id("second");
        b.start_command("run", &["-d", "--pid-file", "relative"]).dir(b.dir()).output().ok();
        assert_eq!(fs::read_to_string(b.path("relative")).unwrap(), b.pid().to_string());
        let names: Vec<_> = fs::read_dir(b.dir()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!names.iter().any(|n| n.to_string_lossy().starts_with('.')), "{names:?}");
    });
}

#[test]
fn the_bundle_is_the_callers_directory() {
    case(|b| {
        b.args(&["/bin/true"]).write_config();
        b.command(&["run", &b.id]).dir(b.bundle()).output().ok();
    });
}

#[test]
fn state_on_disk() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).create();
        let mode = |name: &str| fs::symlink_metadata(b.state_dir().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(""), mode("state.json"), mode("exec.fifo")), (0o711, 0o600, 0o622));
        assert!(fs::symlink_metadata(b.state_dir().join("exec.fifo")).unwrap().file_type().is_fifo());
        assert_eq!(fs::metadata(b.root()).unwrap().mode() & 0o777, 0o700);
        let state: Value = serde_json::from_str(&host::read(b.state_dir().join("state.json"))).unwrap();
        assert_eq!(state["id"], b.id);
        assert_eq!(state["init_process_pid"], b.pid());
        let stat = host::read(format!("/proc/{}/stat", b.pid()));
        let start = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_string();
        assert_eq!(state["init_process_start"].to_string(), start);
        assert!(state["config"]["cgroups"].is_object());
        assert!(state["cgroup_paths"].as_object().is_some_and(|p| !p.is_empty()));
        let labels = state["config"]["labels"].as_array().unwrap();
        assert_eq!(labels.last().unwrap(), &json!(format!("bundle={}", b.bundle().display())));
        b.start();
        assert!(!b.state_dir().join("exec.fifo").exists());
    });
}

#[test]
fn logs() {
    case(|b| {
        let log = b.path("log").display().to_string();
        // A file: one JSON object there, and the bare message on stderr.
        let out = b.command(&["--log", &log, "--log-format", "json", "state", "nosuch"]).output().code(1);
        assert_eq!(out.err.trim(), "container does not exist");
        let record: Value = serde_json::from_str(&host::read(&log)).unwrap();
        assert_eq!((&record["level"], &record["msg"]), (&json!("error"), &json!("container does not exist")));
        assert!(record["time"].as_str().unwrap().contains('T'));
        // It is appended to.
        b.command(&["--log", &log, "--log-format=json", "state", "nosuch"]).output().code(1);
        assert_eq!(host::read(&log).lines().count(), 2);
        let out = b.rt(&["state", "nosuch"]).code(1);
        assert!(
            out.err.starts_with("time=\"") && out.err.contains(" level=error msg=\"container does not exist\""),
            "{out}"
        );
        assert_eq!(out.err.lines().count(), 1);
        b.command(&["--log-format", "xml", "list"]).output().fails(1, "xml");
        b.command(&["--log", "/no/such/dir/log", "list"]).output().fails(1, "no such file or directory");
    });
}

/// podman takes the whole file as one object, so a failed create must not log anything else.
#[test]
fn a_failed_create_logs_one_object() {
    case(|b| {
        let log = b.path("log").display().to_string();
        b.args(&["/no/such"]).write_config();
        let bundle = b.bundle().display().to_string();
        let out = b.command(&["--log", &log, "--log-format", "json", "create", "--bundle", &bundle, &b.id]).output();
        let out = out.fails(1, "no such file or directory");
        let record: Value = serde_json::from_str(&host::read(&log)).unwrap();
        assert_eq!(record["msg"].as_str().unwrap(), out.err.trim());
    });
}

#[test]
fn root_flag() {
    case(|b| {
        b.bare(&["--root", "/", "list"]).output().fails(1, "Option --root argument should not be set to /");
        b.bare(&["--root", "/tmp/..", "list"]).output().fails(1, "Option --root argument should not be set to /");
    });
}

/// podman calls most commands with next to no environment, and without a directory of its own.
#[test]
fn without_an_environment() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).write_config();
        let bundle = b.bundle().display().to_string();
        let id = b.id.clone();
        for args in [
            &["create", "--bundle", &bundle, &id][..],
            &["start", &id],
            &["state", &id],
            &["exec", &id, "true"],
            &["ps", "--format", "json", &id],
            &["pause", &id],
            &["resume", &id],
            &["list", "-q"],
            &["kill", &id, "KILL"],
            &["delete", "--force", &id],
        ] {
            b.command(args).env_clear().dir("/").output().ok();
        }
        b.assert_gone();
    });
}

#[test]
fn rootless_flag() {
    case(|b| {
        b.without_systemd().args(&["/bin/true"]).write_config();
        let (root, bundle) = (b.root().display().to_string(), b.bundle().display().to_string());
        for value in ["true", "false", "auto", "AUTO", "1", "F"] {
            b.bare(&["--root", &root, "--rootless", value, "run", "--bundle", &bundle, &b.id]).output().ok();
        }
        let out = b.bare(&["--root", &root, "--rootless", "foo", "run", "--bundle", &bundle, &b.id]).output();
        out.fails(1, "strconv.ParseBool: parsing \"foo\": invalid syntax");
        let out = b.bare(&["--root", &root, "--systemd-cgroup", "run", "--bundle", &bundle, &b.id]).output();
        out.code(1).err_has("systemd");
        b.assert_gone();
    });
}
