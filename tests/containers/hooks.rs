//! Hooks: the six kinds, their order, namespaces, environment, directory, state on stdin, time limits and failures.

use crate::common::{Bundle, Value, case, host, json, patience, until};
use std::fs;
use std::time::{Duration, Instant};

/// Adds a hook of this kind that notes itself in `order` and keeps what it found in files `NAME.state`, `.env`, `.ns`, `.cwd`.
fn hook(b: &mut Bundle, kind: &str, name: &str) -> Value {
    let dir = if kind == "startContainer" { "/out".to_string() } else { b.path("out").display().to_string() };
    let lines = format!(
        "echo {name} >> {dir}/order; cat > {dir}/{name}.state; env > {dir}/{name}.env; pwd > {dir}/{name}.cwd
         for n in mnt net pid; do readlink /proc/self/ns/$n; done > {dir}/{name}.ns; echo \"$0 $*\" > {dir}/{name}.args"
    );
    let path = if kind == "startContainer" {
        b.file(&format!("/hook-{name}"), 0o755, format!("#!/bin/sh\n{lines}\n"));
        format!("/hook-{name}")
    } else {
        b.script(&format!("hook-{name}"), &lines)
    };
    let entry = json!({"path": path, "args": [name, "one", "two"]});
    b.set(&format!("/hooks/{kind}/-"), entry.clone());
    entry
}

fn prepare(b: &mut Bundle) {
    let out = b.path("out");
    fs::create_dir(&out).unwrap();
    fs::create_dir(b.rootfs("/out")).unwrap();
    // What the hooks of the container write goes to the same place.
    b.mount(json!({"destination": "/out", "type": "bind", "source": out, "options": ["bind"]}));
    b.args(&["/bin/sh", "-c", "echo payload >> /out/order; exec sleep 100"]);
}

fn found(b: &Bundle, name: &str) -> String {
    host::read(b.path("out").join(name))
}

fn state(b: &Bundle, name: &str) -> Value {
    serde_json::from_str(&found(b, &format!("{name}.state"))).unwrap()
}

/// Without poststart, which released runcs run at another moment.
const KINDS: [&str; 5] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststop"];

#[test]
fn order() {
    case(|b| {
        prepare(b);
        for kind in KINDS {
            for n in ["1", "2"] {
                hook(b, kind, &format!("{kind}{n}"));
            }
        }
        b.create();
        let so_far =
            ["prestart1", "prestart2", "createRuntime1", "createRuntime2", "createContainer1", "createContainer2"];
        assert_eq!(found(b, "order").lines().collect::<Vec<_>>(), so_far);
        b.start();
        until("the payload", || found(b, "order").contains("payload"));
        b.rt(&["delete", "--force", &b.id]).ok();
        let order = found(b, "order");
        let order: Vec<&str> = order.lines().collect();
        let rest = ["startContainer1", "startContainer2", "payload", "poststop1", "poststop2"];
        assert_eq!(order[6..], rest);
    });
}

#[test]
fn namespaces_of_the_runtime_and_of_the_container() {
    case(|b| {
        prepare(b);
        for kind in KINDS {
            hook(b, kind, kind);
        }
        b.create();
        b.start();
        until("the payload", || found(b, "order").contains("payload"));
        let pid = b.pid();
        let links = |pid: i32| ["mnt", "net", "pid"].map(|n| host::namespace(pid, n)).join("\n");
        let (own, inside) = (links(std::process::id() as i32), links(pid));
        b.rt(&["delete", "--force", &b.id]).ok();
        for (kind, expected) in [
            ("prestart", &own),
            ("createRuntime", &own),
            ("createContainer", &inside),
            ("startContainer", &inside),
            ("poststop", &own),
        ] {
            assert_eq!(&found(b, &format!("{kind}.ns")), expected, "{kind}");
        }
    });
}

#[test]
fn state_on_stdin() {
    case(|b| {
        prepare(b);
        b.set("/annotations", json!({"a.b": "c"}));
        for kind in KINDS {
            hook(b, kind, kind);
        }
        b.create();
        let pid = b.pid();
        b.start();
        until("the payload", || found(b, "order").contains("payload"));
        b.rt(&["delete", "--force", &b.id]).ok();
        for (kind, status, expected) in [
            ("prestart", "creating", json!(pid)),
            ("createRuntime", "creating", json!(pid)),
            ("createContainer", "creating", json!(1)),
            ("startContainer", "created", json!(1)),
            ("poststop", "stopped", Value::Null),
        ] {
            let s = state(b, kind);
            assert_eq!((&s["status"], &s["pid"]), (&json!(status), &expected), "{kind}");
            assert_eq!((&s["id"], &s["annotations"]["a.b"]), (&json!(b.id), &json!("c")), "{kind}");
            assert_eq!(s["bundle"], b.bundle().display().to_string(), "{kind}");
            assert!(s["ociVersion"].is_string(), "{kind}");
        }
    });
}

#[test]
fn environment_arguments_and_directory() {
    case(|b| {
        prepare(b);
        for kind in ["createRuntime", "createContainer"] {
            hook(b, kind, kind);
            let name = format!("{kind}-env");
            hook(b, kind, &name);
            b.set(&format!("/hooks/{kind}/1/env"), json!(["ONLY=this"]));
        }
        hook(b, "startContainer", "startContainer");
        b.env("INSIDE=1").write_config();
        let bundle = b.bundle().display().to_string();
        b.command(&["create", "--bundle", &bundle, &b.id]).env("CALLER", "yes").output().ok();
        b.command(&["start", &b.id]).env("CALLER", "yes").dir(b.dir()).output().ok();
        until("the payload", || found(b, "order").contains("payload"));
        let has = |name: &str, entry: &str| found(b, &format!("{name}.env")).lines().any(|l| l == entry);
        assert!(has("createRuntime", "CALLER=yes"));
        assert!(!has("createContainer", "CALLER=yes") && !has("createContainer", "INSIDE=1"));
        assert!(has("startContainer", "INSIDE=1") && !has("startContainer", "CALLER=yes"));
        for kind in ["createRuntime", "createContainer"] {
            let name = format!("{kind}-env");
            assert!(has(&name, "ONLY=this") && !has(&name, "CALLER=yes"), "{kind}");
        }
        // The script's $0 is its path; argv[0] goes to the interpreter.
        assert!(found(b, "createRuntime.args").ends_with(" one two"));
        assert_eq!(found(b, "createRuntime.cwd"), bundle);
        assert_eq!(found(b, "startContainer.cwd"), "/");
    });
}

#[test]
fn an_empty_environment_is_empty() {
    case(|b| {
        prepare(b);
        hook(b, "createRuntime", "h");
        // env(1) has to be found without a PATH.
        b.script("hook-h", &format!("/usr/bin/env > {}/h.env", b.path("out").display()));
        b.set("/hooks/createRuntime/0/env", json!([]));
        b.start_command("create", &[]).env("CALLER", "yes").output().ok();
        let env = found(b, "h.env");
        let unexpected: Vec<&str> =
            env.lines().filter(|l| !["PWD=", "SHLVL=", "_="].iter().any(|own| l.starts_with(own))).collect();
        assert_eq!(unexpected, Vec::<&str>::new());
    });
}

/// Run by `start`, in its namespaces, directory and environment, when the payload is.
#[test]
fn poststart() {
    case(|b| {
        prepare(b);
        for name in ["first", "second"] {
            hook(b, "poststart", name);
        }
        b.create();
        assert!(!b.path("out/order").exists());
        b.command(&["start", &b.id]).env("CALLER", "yes").dir(b.dir()).output().ok();
        until("the payload", || found(b, "order").contains("payload"));
        let order = found(b, "order");
        assert_eq!(order.lines().filter(|l| *l != "payload").collect::<Vec<_>>(), ["first", "second"]);
        let s = state(b, "first");
        assert_eq!((&s["status"], &s["pid"]), (&json!("running"), &json!(b.pid())));
        assert!(found(b, "first.env").lines().any(|l| l == "CALLER=yes"));
        assert_eq!(found(b, "first.cwd"), b.dir().display().to_string());
        assert!(found(b, "first.ns").contains(&host::own_namespace("mnt")));
    });
}

#[test]
fn hooks_see_three_descriptors() {
    case(|b| {
        prepare(b);
        let payload = b.rootfs("/payload").display().to_string();
        for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
            let inside = kind == "startContainer";
            let to = if inside { format!("/out/{kind}") } else { b.path("out").join(kind).display().to_string() };
            let path = if inside { "/payload" } else { &payload };
            b.set(&format!("/hooks/{kind}/-"), json!({"path": path, "args": ["payload", "report-to", to]}));
        }
        b.wrap(&["sh", "-c", "exec 5</etc/passwd 9</etc; exec \"$@\"", "sh"]);
        b.create();
        b.start();
        until("the payload", || b.path("out/order").exists());
        b.rt(&["delete", "--force", &b.id]).ok();
        for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
            let report: Value = serde_json::from_str(&found(b, kind)).unwrap();
            let numbers: Vec<&String> = report["fds"].as_object().unwrap().keys().collect();
            assert_eq!(numbers, ["0", "1", "2"], "{kind}: {}", report["fds"]);
        }
    });
}

/// nvidia's and CDI's hooks change the root file system and the container's namespaces from outside.
#[test]
fn create_runtime_prepares_the_container() {
    case(|b| {
        let script = format!(
            "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); touch {}/from-hook
             nsenter -t $pid -n ip link set lo mtu 12345
             nsenter -t $pid -m test -d {} && echo mounts-are-there > {}",
            b.rootfs("").display(),
            b.rootfs("/proc/1").display(),
            b.path("seen").display()
        );
        let path = b.script("hook", &script);
        b.set("/hooks/createRuntime/-", json!({"path": path}));
        b.sh("ls /from-hook; cat /sys/class/net/lo/mtu").run().ok().says("/from-hook\n12345");
        assert_eq!(host::read(b.path("seen")), "mounts-are-there");
    });
}

/// Limits are in force before the first hook runs.
#[test]
fn limits_before_hooks() {
    case(|b| {
        let file = host::cgroup_dir("pids", &b.cgroup).join("pids.max");
        let path = b.script("hook", &format!("cat {} > {}", file.display(), b.path("limit").display()));
        b.set("/hooks/prestart/-", json!({"path": path}));
        b.set("/linux/resources/pids", json!({"limit": 77})).args(&["/bin/true"]).run().ok();
        assert_eq!(host::read(b.path("limit")), "77");
    });
}

#[test]
fn failures_before_start_undo_the_create() {
    case(|b| {
        let path = b.script("bad", "echo to-out; echo to-err >&2; exit 3");
        for kind in ["prestart", "createRuntime", "createContainer"] {
            b.remove("/hooks").set(&format!("/hooks/{kind}"), json!([{"path": "/bin/true"}, {"path": path}]));
            let out = b.start_command("create", &[]).output();
            let out = out
                .fails(1, &format!("error running {kind} hook #1: exit status 3"))
                .err_has("to-out")
                .err_has("to-err");
            assert!(out.out.is_empty(), "{out}");
            b.assert_gone();
        }
    });
}

#[test]
fn a_missing_hook_is_told() {
    case(|b| {
        b.set("/hooks/createRuntime/-", json!({"path": "/no/such/hook"})).args(&["/bin/true"]);
        b.run().fails(1, "/no/such/hook: no such file or directory").err_has("error running createRuntime hook #0");
        b.assert_gone();
    });
}

#[test]
fn time_limits() {
    case(|b| {
        let path = b.script("slow", "exec sleep 100");
        b.set("/hooks/createRuntime/-", json!({"path": path, "timeout": 1})).args(&["/bin/true"]);
        let begun = Instant::now();
        b.run().fails(1, "hook ran past specified timeout of 1.0s");
        assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < patience(10));
        b.assert_gone();
    });
}

#[test]
fn a_failed_start_container_hook_ends_the_container() {
    case(|b| {
        b.file("/bad", 0o755, "#!/bin/sh\necho inside-err >&2; exit 4\n");
        b.set("/hooks/startContainer/-", json!({"path": "/bad"})).args(&["/bin/echo", "payload"]);
        let mut running = b.create();
        b.rt(&["start", &b.id]);
        b.await_status("stopped");
        let (out, err) = running.written();
        assert!(!out.contains("payload"), "{out}");
        assert!(err.contains("error running startContainer hook #0: exit status 4"), "{err}");
    });
}

#[test]
fn a_failed_poststart_hook_kills_the_container() {
    case(|b| {
        let path = b.script("bad", "exit 5");
        b.set("/hooks/poststart/-", json!({"path": path})).args(&["/bin/sleep", "100"]).create();
        let pid = b.pid();
        b.rt(&["start", &b.id]).fails(1, "error running poststart hook #0: exit status 5");
        until("init to be dead", || !host::alive(pid));
    });
}

#[test]
fn a_failed_poststop_hook_is_told_after_the_removal() {
    case(|b| {
        let path = b.script("bad", "exit 6");
        b.set("/hooks/poststop/-", json!({"path": path})).args(&["/bin/true"]).create();
        b.start();
        b.await_status("stopped");
        b.rt(&["delete", &b.id]).fails(1, "error running poststop hook #0: exit status 6");
        b.assert_gone();
        // In the foreground it is a warning.
        b.args(&["/bin/sh", "-c", "exit 9"]).run().code(9).err_has("error running poststop hook #0: exit status 6");
    });
}

#[test]
fn poststop_after_a_failed_create() {
    case(|b| {
        let path = b.script("stop", &format!("touch {}", b.path("stopped").display()));
        b.set("/hooks/poststop/-", json!({"path": path})).args(&["/no/such"]);
        b.start_command("create", &[]).output().code(1);
        assert!(b.path("stopped").exists());
    });
}
