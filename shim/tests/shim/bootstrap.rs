//! `start`: what it is given, what it answers, and the server that it leaves.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use dunnage_shim::proto::bootstrap::{BootstrapResult, RuntimeInfo};
use dunnage_shim::proto::options::{RuncOptions, RuntimeOptions};
use dunnage_shim::proto::{Any, Message};
use nix::libc;

use crate::common::*;

const SOCKETS: &str = "/run/containerd/s";

/// What the path of a group's socket is made of.
fn socket_of(daemon: &Daemon, group: &str) -> String {
    let hash =
        hmac_sha256::Hash::hash(format!("/run/containerd/containerd.sock/{}/{group}", daemon.namespace).as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{SOCKETS}/{hex}")
}

fn servers() -> Vec<i32> {
    let shim = &Shim::under_test().path;
    host::pids()
        .filter(|pid| host::alive(*pid) && fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == *shim))
        .collect()
}

#[test]
fn an_old_daemon_gets_the_bare_address() {
    case(|t| {
        let c = t.container("c1");
        let ran = t.start_command(&c, Stdin::Any(None)).output().ok();
        assert_eq!(ran.text(), format!("unix://{}", socket_of(t, "c1")));
        assert_eq!(ran.err, "", "the daemon reads both merged");
        t.started(&Answer::of(&ran));
    });
}

#[test]
fn a_new_daemon_gets_a_message() {
    case(|t| {
        let c = t.container("c1");
        let ran = t.start_command(&c, Stdin::Params(None)).output().ok();
        let result = BootstrapResult::decode(&ran.out).unwrap();
        assert_eq!(result.version, 3);
        assert_eq!(result.protocol, "ttrpc");
        assert_eq!(result.address, format!("unix://{}", socket_of(t, "c1")));
        assert_eq!(ran.err, "");
        t.started(&Answer::of(&ran));
        assert_eq!(t.connect(&result.address).connect("c1").unwrap().task_pid, 0);
    });
}

/// Options and no options look like a BootstrapParams: field 1 a string, field 2 bytes.
#[test]
fn options_of_an_old_daemon_are_no_params() {
    case(|t| {
        for (id, options) in
            [("c1", RuncOptions::default()), ("c2", RuncOptions { root: "k8s.io".into(), ..Default::default() })]
        {
            let c = t.container(id);
            let any = Any::of("containerd.runc.v1.Options", &options);
            let ran = t.start_command(&c, Stdin::Any(Some(any))).output().ok();
            assert!(ran.text().starts_with("unix:///"), "{ran}");
            t.started(&Answer::of(&ran));
        }
    });
}

fn is_refused(t: &Daemon, bytes: Vec<u8>) {
    let c = t.container("c1");
    let ran = t.start_command(&c, Stdin::Bytes(bytes)).output();
    assert!(ran.code != 0 && !ran.err.is_empty() && ran.out.is_empty(), "{ran}");
    assert!(servers().is_empty());
    assert_eq!(fs::read_dir(SOCKETS).map_or(0, Iterator::count), 0, "a socket is left");
}

#[test]
fn garbage_on_stdin_is_refused() {
    case(|t| is_refused(t, b"\xff\xff\xff\xff not a message".to_vec()));
}

#[test]
fn more_than_ten_mebibytes_of_stdin_are_refused() {
    case(|t| {
        let value = vec![0; 10 << 20];
        is_refused(t, Any { type_url: "containerd.runc.v1.Options".into(), value }.encode());
    });
}

/// A sandbox has none; of a container it is said as soon as it is known to be one.
#[test]
fn without_a_configuration_create_says_so() {
    case(|t| {
        let c = t.container("c1");
        let answer = Answer::of(&t.command(&c, &["start"]).output().ok());
        t.started(&answer);
        let failure = t.connect(&answer.address).create(&c).unwrap_err();
        assert!(failure.message.contains("config.json"), "{failure:?}");
    });
}

#[test]
fn only_root_gets_to_the_socket() {
    case(|t| {
        let c = t.container("c1");
        let answer = t.start_with(&c, t.usual_stdin(&c));
        assert_eq!(fs::metadata(SOCKETS).unwrap().permissions().mode() & 0o077, 0);
        assert_eq!(fs::metadata(answer.path()).unwrap().permissions().mode() & 0o777, 0o600);
    });
}

/// 1.6 and 1.7 find a shim again only by it.
#[test]
fn the_address_is_in_the_bundle() {
    case(|t| {
        let c = t.container("c1");
        let answer = t.start_with(&c, t.usual_stdin(&c));
        assert_eq!(fs::read_to_string(c.path("address")).unwrap(), answer.address);
        assert!(!c.path("bootstrap.json").exists(), "it is the daemon's");
    });
}

#[test]
fn the_address_is_also_in_the_bundle_of_whoever_joins_a_group() {
    case(|t| {
        let (mut a, mut b) = (t.container("pause"), t.container("app"));
        a.sandbox("pause");
        b.sandbox("pause");
        let first = t.start_with(&a, t.usual_stdin(&a));
        let second = t.start_with(&b, t.usual_stdin(&b));
        assert_eq!(first.address, second.address);
        assert_eq!(servers().len(), 1);
        assert_eq!(fs::read_to_string(b.path("address")).unwrap(), first.address);
    });
}

#[test]
fn the_group_is_the_label_then_the_sandbox_then_the_id() {
    case(|t| {
        let mut labelled = t.container("a");
        labelled.sandbox("pod").set("/annotations/io.containerd.runc.v2.group", "label");
        let mut sandboxed = t.container("b");
        sandboxed.sandbox("pod");
        let alone = t.container("c");
        for (container, group) in [(&labelled, "label"), (&sandboxed, "pod"), (&alone, "c")] {
            let answer = t.start_with(container, t.usual_stdin(container));
            assert_eq!(answer.path(), socket_of(t, group));
        }
        assert_eq!(servers().len(), 3);
    });
}

#[test]
fn a_stale_socket_is_replaced() {
    case(|t| {
        let c = t.container("c1");
        fs::create_dir_all(SOCKETS).unwrap();
        drop(UnixListener::bind(socket_of(t, "c1")).unwrap());
        let task = t.boot(&c);
        assert!(task.connect("c1").is_ok());
    });
}

#[test]
fn what_is_no_socket_is_not_taken_for_a_server() {
    case(|t| {
        let c = t.container("c1");
        fs::create_dir_all(SOCKETS).unwrap();
        fs::write(socket_of(t, "c1"), "").unwrap();
        let ran = t.start_command(&c, t.usual_stdin(&c)).output();
        // Replaced or refused: both are honest.
        if ran.code == 0 {
            let answer = Answer::of(&ran);
            t.started(&answer);
            assert!(t.connect(&answer.address).connect("c1").is_ok());
        } else {
            assert!(servers().is_empty());
            fs::remove_file(socket_of(t, "c1")).unwrap();
        }
    });
}

#[test]
fn fifty_starts_of_one_group_at_once_make_one_server() {
    case(|t| {
        let containers: Vec<Container> = (0..50)
            .map(|n| {
                let mut c = t.container(&format!("c{n}"));
                c.sandbox("c0");
                c
            })
            .collect();
        let running: Vec<_> = containers.iter().map(|c| t.start_command(c, t.usual_stdin(c)).spawn()).collect();
        for run in running {
            let answer = Answer::of(&run.wait().ok());
            assert_eq!(answer.path(), socket_of(t, "c0"));
            t.started(&answer);
        }
        assert_eq!(servers().len(), 1);
        let task = t.connect(&format!("unix://{}", socket_of(t, "c0")));
        assert_eq!(task.shim_pid(), servers()[0]);
    });
}

#[test]
fn fifty_starts_at_once_replace_one_stale_socket() {
    case(|t| {
        fs::create_dir_all(SOCKETS).unwrap();
        drop(UnixListener::bind(socket_of(t, "c0")).unwrap());
        let containers: Vec<Container> = (0..50)
            .map(|n| {
                let mut c = t.container(&format!("c{n}"));
                c.sandbox("c0");
                c
            })
            .collect();
        let running: Vec<_> = containers.iter().map(|c| t.start_command(c, t.usual_stdin(c)).spawn()).collect();
        for run in running {
            t.started(&Answer::of(&run.wait().ok()));
        }
        assert_eq!(servers().len(), 1);
        let task = t.connect(&format!("unix://{}", socket_of(t, "c0")));
        assert_eq!(task.shim_pid(), servers()[0], "the socket is that of the one that lives");
    });
}

/// Nothing but what it made itself: no pipe of the daemon's, no file that `start` was given.
#[test]
fn the_server_inherits_no_descriptor() {
    case(|t| {
        let c = t.container("c1");
        let (mut reader, writer) = std::io::pipe().unwrap();
        let run = t.start_command(&c, t.usual_stdin(&c));
        // Whoever is executed from now on gets it.
        dunnage::sys::fork::install(writer.as_raw_fd(), 20).unwrap();
        let answer = Answer::of(&run.output().ok());
        t.started(&answer);
        drop((writer, dunnage::sys::fork::inherited(20)));
        // Its end comes only when nobody has the other end.
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(reader.read_to_end(&mut Vec::new())));
        assert!(receiver.recv_timeout(patience(3)).is_ok(), "the server holds what start had inherited");
    });
}

#[test]
fn the_server_is_apart_from_start() {
    case(|t| {
        let c = t.container("c1");
        let pid = t.boot(&c).shim_pid();
        for fd in 0..2 {
            assert_eq!(fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap(), Path::new("/dev/null"), "{fd}");
        }
        let group = nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid))).unwrap();
        assert_eq!(group.as_raw(), pid, "its own process group");
        assert_eq!(host::status(pid)["PPid"], "1");
    });
}

/// The bundle's directory can be removed while others of the group live.
#[test]
fn the_server_stays_in_no_bundle() {
    case(|t| {
        let c = t.container("c1");
        let pid = t.boot(&c).shim_pid();
        assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
    });
}

#[test]
fn the_server_is_killed_a_little_before_the_daemon() {
    case(|t| {
        let score = |pid: &str| host::read(format!("/proc/{pid}/oom_score_adj")).parse::<i32>().unwrap();
        let c = t.container("c1");
        let pid = t.boot(&c).shim_pid();
        assert_eq!(score(&pid.to_string()), score("self") + 1);
    });
}

/// `start` under strace, with SCHED_CORE as the daemon's configuration sets it; `inject` is what the kernel is made to answer.
fn start_with_core_scheduling(t: &Daemon, c: &Container, inject: Option<&str>) -> (Ran, String) {
    c.write_config();
    let (trace, shim) = (t.path("trace"), Shim::under_test().path.display().to_string());
    let trace = trace.to_str().unwrap();
    let mut args = vec!["-f", "-qq", "-o", trace, "-e", "trace=prctl,execve"];
    let injection = inject.map(|answer| format!("inject=prctl:{answer}:when=1"));
    if let Some(injection) = &injection {
        args.extend(["-e", injection]);
    }
    args.extend([shim.as_str(), "-namespace", &t.namespace, "-address", "/run/containerd/containerd.sock"]);
    args.extend(["-id", &c.id, "start"]);
    let run = Run::new("strace", &args).env("TTRPC_ADDRESS", &t.events.path).env("SCHED_CORE", "1");
    let ran = run.dir(&c.bundle).output();
    (ran, fs::read_to_string(trace).unwrap())
}

/// The arguments are those of the kernel's documentation: a new cookie (1) for ourselves (0), our process group (2).
#[test]
fn a_kernel_without_core_scheduling_refuses_what_was_asked() {
    case(|t| {
        for error in ["ENODEV", "EINVAL"] {
            let c = t.container(&format!("c-{error}"));
            let (ran, trace) = start_with_core_scheduling(t, &c, Some(&format!("error={error}")));
            let calls: Vec<&str> = trace.lines().filter(|line| line.contains("PR_SCHED_CORE")).collect();
            assert_eq!(calls.len(), 1, "{trace}");
            assert!(
                calls[0].contains("PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, ") && calls[0].contains("(INJECTED)"),
                "{trace}"
            );
            let group = ["PIDTYPE_PGID", ", 0x2"].iter().any(|name| calls[0].contains(name));
            assert!(group, "of the process group: {trace}");
            assert_ne!(ran.code, 0, "{ran}");
            assert!(ran.err.contains("enable sched core support"), "{ran}");
            assert!(servers().is_empty(), "a server is left");
            assert_eq!(fs::read_dir(SOCKETS).map_or(0, Iterator::count), 0, "a socket is left");
        }
    });
}

/// What this kernel says to it decides: a server in a group of its own, or a refusal; never a server without.
#[test]
fn core_scheduling_is_what_the_kernel_makes_of_it() {
    case(|t| {
        let c = t.container("c1");
        let run = t.start_command(&c, t.usual_stdin(&c)).env("SCHED_CORE", "1");
        let ran = run.output();
        if ran.code == 0 {
            t.started(&Answer::of(&ran));
            assert_eq!(servers().len(), 1);
        } else {
            assert!(ran.err.contains("enable sched core support"), "{ran}");
            assert!(ran.err.contains("no such device") || ran.err.contains("invalid argument"), "{ran}");
            assert!(servers().is_empty());
        }
    });
}

/// `shim_cgroup` is the option that `start` itself obeys, so it shows whether it has read them.
fn is_put_into(t: &Daemon, stdin: impl Fn(&str) -> Stdin) {
    let c = t.container("c1");
    let group = format!("{}/shim", t.cgroup);
    let dirs: Vec<PathBuf> = host::hierarchies().into_iter().map(|(_, point)| point.join(&group[1..])).collect();
    for dir in dirs.iter().filter(|dir| !dir.ends_with("cpuset")) {
        fs::create_dir_all(dir).unwrap();
        // A group of v1's cpuset takes nobody before it has these.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let parent = dir.parent().unwrap();
            if let Ok(all) = fs::read_to_string(parent.parent().unwrap().join(file)) {
                fs::write(parent.join(file), &all).unwrap();
                fs::write(dir.join(file), &all).unwrap();
            }
        }
    }
    let answer = t.start_with(&c, stdin(&group));
    let pid = t.connect(&answer.address).shim_pid();
    let unified = !host::has_v1();
    let all = host::cgroups_of(pid);
    let inside = all.iter().filter(|path| path.ends_with("/shim")).count();
    assert!(inside >= if unified { 1 } else { 5 }, "{all:?}");
}

fn in_group(group: &str) -> RuncOptions {
    RuncOptions { shim_cgroup: group.into(), ..RuncOptions::default() }
}

#[test]
fn the_server_is_put_into_the_group_that_the_options_name() {
    case(|t| is_put_into(t, |group| Stdin::Any(Some(Any::of("containerd.runc.v1.Options", &in_group(group))))));
}

#[test]
fn options_have_a_long_name_too() {
    case(|t| {
        is_put_into(t, |g| Stdin::Any(Some(Any::of("type.googleapis.com/containerd.runc.v1.Options", &in_group(g)))));
    });
}

#[test]
fn options_come_as_an_extension() {
    case(|t| is_put_into(t, |group| Stdin::Params(Some(Any::of("containerd.runc.v1.Options", &in_group(group))))));
}

#[test]
fn options_come_as_toml() {
    case(|t| {
        is_put_into(t, |group| {
            let config_body = format!("ShimCgroup = \"{group}\"\n").into_bytes();
            Stdin::Params(Some(Any::of(
                "runtimeoptions.v1.Options",
                &RuntimeOptions { type_url: "containerd.runc.v1.Options".into(), config_body, ..Default::default() },
            )))
        });
    });
}

#[test]
fn a_group_that_is_missing_is_an_error_and_leaves_no_server() {
    case(|t| {
        let c = t.container("c1");
        let options = Any::of("containerd.runc.v1.Options", &in_group(&format!("{}/missing", t.cgroup)));
        let ran = t.start_command(&c, Stdin::Any(Some(options))).output();
        assert!(ran.code != 0 && !ran.err.is_empty(), "{ran}");
        until("no server", || servers().is_empty());
        assert_eq!(fs::read_dir(SOCKETS).map_or(0, Iterator::count), 0, "a socket is left");
    });
}

#[test]
fn the_params_name_the_directory_of_sockets() {
    case(|t| {
        let c = t.container("c1");
        let mut params = t.params(&c, None);
        params.socket_dir = "/run/test/sockets".into();
        let answer = t.start_with(&c, Stdin::Bytes(params.encode()));
        assert!(answer.path().starts_with("/run/test/sockets/"), "{answer:?}");
        assert_eq!(fs::read_link(c.path("s")).unwrap(), Path::new("/run/test/sockets"));
        assert!(t.connect(&answer.address).connect("c1").is_ok());
    });
}

#[test]
fn the_params_name_the_socket_of_the_events() {
    case(|t| {
        let mut c = t.container("c1");
        c.args(&["/bin/true"]);
        let params = t.params(&c, None).encode();
        let mut run = t.start_command(&c, Stdin::Bytes(params));
        run.inner().env_remove("TTRPC_ADDRESS").env_remove("GRPC_ADDRESS").env_remove("NAMESPACE");
        let answer = Answer::of(&run.output().ok());
        t.started(&answer);
        let task = t.connect(&answer.address);
        task.create(&c).unwrap();
        t.events.expect("create c1");
    });
}

/// The daemon has it open and reads it; it may be late, or gone.
#[test]
fn a_missing_log_is_not_fatal() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("echo fine");
        fs::remove_file(c.path("log")).unwrap();
        let task = t.launch(&c);
        assert_eq!(c.out.text(), "fine\n");
        assert_eq!(task.wait("c1", ""), Ok(0));
    });
}

/// Nobody reads it, and it holds 64 KiB.
#[test]
fn a_full_log_is_not_fatal() {
    case(|t| {
        let mut c = t.container("c1");
        let path = t.path("full-log");
        fifo(&path);
        let full = File::options().read(true).write(true).open(&path).unwrap();
        nix::fcntl::fcntl(&full, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
        while std::io::Write::write(&mut &full, &[b'x'; 4096]).is_ok() {}
        fs::rename(&path, c.path("log")).unwrap();
        c.sh("echo fine");
        let task = t.launch(&c);
        assert_eq!(c.out.text(), "fine\n");
        for n in 0..5 {
            task.state(&format!("unknown{n}"), "").fails(5, "not found");
        }
        assert_eq!(task.wait("c1", ""), Ok(0));
    });
}

#[test]
fn it_says_its_version() {
    case(|t| {
        let ran = t.bare(&["-v"]).output().ok();
        let text = ran.text();
        let name = Shim::under_test().path.file_name().unwrap().to_string_lossy().into_owned();
        let first = text.lines().next().unwrap();
        assert!(first.ends_with(&format!("{name}:")), "{text}");
        assert!(text.contains("\n  Version: ") && text.contains("\n  Revision:"), "{text}");
        assert_eq!(ran.err, "");
    });
}

#[test]
fn version_has_a_long_flag() {
    case(|t| assert!(t.bare(&["-version"]).output().ok().text().contains("\n  Version: ")));
}

#[test]
fn it_says_what_it_can() {
    case(|t| {
        for stdin in [None, Some(Any::of("containerd.runc.v1.Options", &RuncOptions::default()).encode())] {
            let ran = t.bare(&["-info"]).stdin(stdin.clone()).output().ok();
            assert_eq!(ran.err, "");
            let info = RuntimeInfo::decode(&ran.out).unwrap();
            assert_eq!(info.name, "io.containerd.runc.v2");
            assert!(!info.version.unwrap().version.is_empty());
            assert_eq!(info.options.map(|any| any.encode()), stdin);
            let features = info.features.unwrap();
            assert_eq!(features.type_url, "types.containerd.io/opencontainers/runtime-spec/1/features/Features");
            let features: Value = serde_json::from_slice(&features.value).unwrap();
            let namespaces = features["linux"]["namespaces"].as_array().unwrap();
            assert!(namespaces.contains(&json!("user")), "{features}");
            assert!(features["mountOptions"].as_array().unwrap().contains(&json!("rbind")), "{features}");
        }
    });
}

#[test]
fn it_says_that_it_maps_ids_of_mounts_and_makes_them_read_only_below() {
    case(|t| {
        let info = RuntimeInfo::decode(&t.bare(&["-info"]).output().ok().out).unwrap();
        let features: Value = serde_json::from_slice(&info.features.unwrap().value).unwrap();
        assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true, "{features}");
        assert!(features["mountOptions"].as_array().unwrap().contains(&json!("rro")), "{features}");
    });
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    case(|t| {
        let c = t.container("c1");
        c.write_config();
        let ran = t.command(&c, &["-frobnicate", "start"]).output();
        assert_eq!(ran.code, 2, "{ran}");
        assert!(ran.err.contains("-frobnicate") || ran.err.contains("frobnicate"), "{ran}");
        assert!(ran.err.contains("-namespace"), "usage: {ran}");
        assert!(servers().is_empty());
    });
}

#[test]
fn a_flag_without_its_value_is_a_usage_error() {
    case(|t| {
        let ran = t.bare(&["-namespace"]).output();
        assert_eq!(ran.code, 2, "{ran}");
        assert!(ran.err.contains("flag needs an argument: -namespace"), "{ran}");
    });
}

#[test]
fn there_must_be_a_namespace() {
    case(|t| {
        let c = t.container("c1");
        c.write_config();
        for action in [&["start"][..], &["delete"], &[]] {
            let args = [&["-address", "/run/containerd/containerd.sock", "-id", "c1"], action].concat();
            let ran = t.bare(&args).dir(&c.bundle).output();
            ran.fails("shim namespace cannot be empty");
        }
    });
}

/// `-x v`, `-x=v`, `--x v`, `--x=v`; a flag that is yes or no takes no word; what follows the action is not looked at.
#[test]
fn flags_have_the_syntax_of_go() {
    case(|t| {
        let address = "-address=/run/containerd/containerd.sock";
        for (n, flags) in [
            &["-namespace=k8s.io", address, "-publish-binary=/x", "-id=ID", "start"][..],
            &["--namespace", "k8s.io", address, "--publish-binary", "/x", "--id", "ID", "start"],
            &["--namespace=k8s.io", address, "--id=ID", "start"],
            &["-debug", "-namespace", "k8s.io", address, "-id", "ID", "start"],
            &["-debug=true", "-namespace", "k8s.io", address, "-id", "ID", "start"],
            &["-debug=false", "-namespace", "k8s.io", address, "-id", "ID", "start", "-frobnicate"],
        ]
        .iter()
        .enumerate()
        {
            let id = format!("c{n}");
            let c = t.container(&id);
            c.write_config();
            let args: Vec<String> = flags.iter().map(|flag| flag.replace("ID", &id)).collect();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let answer = Answer::of(&t.bare(&args).dir(&c.bundle).output().ok());
            t.started(&answer);
            assert_eq!(answer.path(), socket_of(t, &id));
        }
    });
}

/// 76 characters are the most that containerd allows.
#[test]
fn the_longest_namespace_and_id() {
    case(|t| {
        t.namespace = "n".repeat(76);
        let mut c = t.container(&"i".repeat(76));
        c.args(&["/bin/true"]);
        let task = t.launch(&c);
        assert_eq!(task.wait(&c.id, ""), Ok(0));
    });
}

/// A server that can't be reached by anybody but the daemon's user.
#[test]
fn another_user_is_not_served() {
    case(|t| {
        let c = t.container("c1");
        let answer = t.start_with(&c, t.usual_stdin(&c));
        // Even if somebody opened the doors.
        for path in ["/run/containerd", SOCKETS] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(answer.path(), fs::Permissions::from_mode(0o666)).unwrap();
        let path = answer.path().to_string();
        let read = std::thread::spawn(move || {
            // SAFETY: the system calls themselves, which are for this thread only, and not libc's, which are for all.
            assert_eq!(unsafe { libc::syscall(libc::SYS_setresgid, 65534, 65534, 65534) }, 0);
            // SAFETY: as above.
            assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) }, 0);
            let mut stream = UnixStream::connect(path).unwrap();
            stream.set_read_timeout(Some(patience(5))).unwrap();
            stream.read(&mut [0; 16])
        });
        match read.join().unwrap() {
            Ok(n) => assert_eq!(n, 0, "it is closed"),
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset),
        }
        assert_eq!(fs::metadata(answer.path()).unwrap().uid(), 0);
    });
}
