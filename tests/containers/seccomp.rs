//! Seccomp profiles in force: actions, errnos, conditions, the stub for newer calls, exec, the agent's socket.

mod agent;

use crate::common::{Bundle, case, json, until};
use agent::{Agent, Answer};
use nix::libc;
use std::os::unix::net::UnixListener;

/// What a static busybox and the payload need, and what a runtime still calls behind the filter.
const NEEDED: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "capget",
    "capset",
    "chdir",
    "clone",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fchdir",
    "fcntl",
    "fork",
    "fstat",
    "fstatfs",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getppid",
    "getrandom",
    "getrlimit",
    "getsockopt",
    "gettid",
    "getuid",
    "ioctl",
    "kill",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "nanosleep",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "prlimit64",
    "read",
    "readlink",
    "readlinkat",
    "recvmsg",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "seccomp",
    "sendmsg",
    "setgid",
    "setgroups",
    "setsid",
    "setuid",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "socket",
    "stat",
    "statfs",
    "statx",
    "tgkill",
    "uname",
    "unlink",
    "vfork",
    "wait4",
    "write",
    "writev",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_create1",
    "eventfd2",
    "sched_yield",
    "clone3",
    "setresuid",
    "setresgid",
    "umask",
    "getpgid",
];

fn profile(b: &mut Bundle, default: &str, rules: serde_json::Value) {
    b.set("/linux/seccomp", json!({"defaultAction": default, "syscalls": rules}));
}

fn call(number: libc::c_long, arguments: &[i64]) -> Vec<String> {
    let numbers = [number].into_iter().chain(arguments.iter().copied()).map(|n| n.to_string());
    ["/payload".to_string(), "syscall".to_string()].into_iter().chain(numbers).collect()
}

#[test]
fn errno_of_the_rule() {
    case(|b| {
        let rules = json!([
            {"names": ["sync"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
            {"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}
        ]);
        profile(b, "SCMP_ACT_ALLOW", rules);
        b.args(&call(libc::SYS_sync, &[])).run().ok().says("errno 95");
        b.args(&call(libc::SYS_getpriority, &[0, 0])).run().ok().says("errno 1");
        b.args(&call(libc::SYS_getuid, &[])).run().ok().says("0");
        let r = b.report();
        assert_eq!((&r["status"]["Seccomp"], &r["status"]["Seccomp_filters"]), (&json!("2"), &json!("1")));
    });
}

#[test]
fn conditions() {
    case(|b| {
        // AF_VSOCK is 40; the level of kill(2)'s signal is masked.
        let rules = json!([
            {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97, "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]},
            {"names": ["umask"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71,
             "args": [{"index": 0, "value": 0o700, "valueTwo": 0o200, "op": "SCMP_CMP_MASKED_EQ"}]}
        ]);
        profile(b, "SCMP_ACT_ALLOW", rules);
        b.args(&call(libc::SYS_socket, &[40, 1, 0])).run().ok().says("errno 97");
        b.args(&call(libc::SYS_socket, &[1, 1, 0])).run().ok().says("3");
        b.args(&call(libc::SYS_umask, &[0o277])).run().ok().says("errno 71");
        b.args(&call(libc::SYS_umask, &[0o077])).run().ok().says("18");
    });
}

/// Calls that are newer than the profile do not exist for it; programs then fall back.
#[test]
fn newer_calls_do_not_exist() {
    case(|b| {
        profile(b, "SCMP_ACT_ERRNO", json!([{"names": NEEDED, "action": "SCMP_ACT_ALLOW"}]));
        b.args(&call(libc::SYS_sync, &[])).run().ok().says("errno 1");
        // openat2 and faccessat2 are the newest named; 460 is younger than both.
        b.args(&call(460, &[])).run().ok().says(&format!("errno {}", libc::ENOSYS));
    });
}

#[test]
fn with_and_without_no_new_privileges() {
    case(|b| {
        profile(b, "SCMP_ACT_ERRNO", json!([{"names": NEEDED, "action": "SCMP_ACT_ALLOW"}]));
        for nnp in [true, false] {
            b.set("/process/noNewPrivileges", nnp).sh("echo works").run().ok().says("works");
            b.set("/process/user", json!({"uid": 1000, "gid": 1000})).run().ok().says("works");
        }
    });
}

/// A profile that is older than these calls, as many that are shipped with applications: nothing that the runtime does
/// behind the filter, in either order, may need them.
#[test]
fn a_profile_without_the_newer_calls() {
    case(|b| {
        let newer = ["openat2", "statx", "clone3", "close_range", "faccessat2", "execveat"];
        // And what sleep(1) needs.
        let older = NEEDED.iter().filter(|name| !newer.contains(name)).chain(&["clock_nanosleep"]);
        let older: Vec<&&str> = older.collect();
        profile(b, "SCMP_ACT_ERRNO", json!([{"names": older, "action": "SCMP_ACT_ALLOW"}]));
        b.file("/etc/passwd", 0o644, "u:x:1000:1000::/home/u:/bin/sh\n");
        for nnp in [true, false] {
            b.set("/process/noNewPrivileges", nnp);
            for user in [0, 1000] {
                b.set("/process/user", json!({"uid": user, "gid": user, "additionalGids": [5, 7]}));
                b.sh("id -u").run().ok().says(&user.to_string());
                b.args(&["/bin/sleep", "100"]).run_detached();
                b.exec(&["id", "-u"]).ok().says(&user.to_string());
                b.exec_with(&["--user", "1000:1000"], &["sh", "-c", "echo $HOME"]).ok().says("/home/u");
                b.rt(&["delete", "--force", &b.id]).ok();
            }
        }
    });
}

#[test]
fn kill_and_trap() {
    case(|b| {
        for action in ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL", "SCMP_ACT_TRAP"] {
            profile(b, "SCMP_ACT_ALLOW", json!([{"names": ["sync"], "action": action}]));
            // As pid 1 a signal without a handler would be ignored where it is not forced.
            b.sh(&format!("/payload syscall {}; echo $?", libc::SYS_sync)).run().ok().out_has("159");
        }
    });
}

#[test]
fn flags() {
    case(|b| {
        profile(b, "SCMP_ACT_ALLOW", json!([{"names": ["sync"], "action": "SCMP_ACT_ERRNO"}]));
        b.args(&["/bin/true"]);
        for flags in [json!([]), json!(["SECCOMP_FILTER_FLAG_LOG"]), json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"])] {
            b.set("/linux/seccomp/flags", flags).run().ok();
        }
        b.set("/linux/seccomp/flags", json!(["SECCOMP_FILTER_FLAG_FOO"]));
        b.run().fails(1, "seccomp flag SECCOMP_FILTER_FLAG_FOO is not known to runc");
    });
}

#[test]
fn exec_has_the_containers() {
    case(|b| {
        profile(b, "SCMP_ACT_ALLOW", json!([{"names": ["sync"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]));
        b.args(&["/bin/sleep", "100"]).run_detached();
        let all = call(libc::SYS_sync, &[]);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        b.exec(&all).ok().says("errno 95");
        let process = json!({"args": all, "cwd": "/", "user": {"uid": 5, "gid": 5}, "noNewPrivileges": true});
        b.exec_process(&process).ok().says("errno 95");
    });
}

/// Every action, carried out by the kernel.
#[test]
fn every_action() {
    case(|b| {
        let sync = libc::SYS_sync.to_string();
        let tell = |line: &str| format!("/payload {line} {sync}; echo $?");
        // (action, errnoRet, how the call is made, what is seen)
        let table: [(&str, Option<u32>, &str, &[&str]); 11] = [
            ("SCMP_ACT_ALLOW", None, "syscall", &["0", "0"]),
            ("SCMP_ACT_LOG", None, "syscall", &["0", "0"]),
            ("SCMP_ACT_ERRNO", None, "syscall", &["errno 1", "0"]),
            ("SCMP_ACT_ERRNO", Some(4094), "syscall", &["errno 4094", "0"]),
            // Without a tracer there is no such call.
            ("SCMP_ACT_TRACE", None, "syscall", &["errno 38", "0"]),
            ("SCMP_ACT_TRACE", Some(77), "traced", &["event 77", "0"]),
            ("SCMP_ACT_TRAP", None, "syscall", &["159"]),
            ("SCMP_ACT_TRAP", None, "trapped", &["SIGSYS code 1 call 162", "0"]),
            ("SCMP_ACT_KILL_PROCESS", None, "thread", &["159"]),
            ("SCMP_ACT_KILL_THREAD", None, "thread", &["the thread is gone", "0"]),
            ("SCMP_ACT_KILL", None, "thread", &["the thread is gone", "0"]),
        ];
        for (action, errno, how, seen) in table {
            let default = if action == "SCMP_ACT_ALLOW" { "SCMP_ACT_LOG" } else { "SCMP_ACT_ALLOW" };
            profile(b, default, json!([{"names": ["sync"], "action": action, "errnoRet": errno}]));
            let out = b.sh(&tell(how)).run().ok();
            let lines: Vec<&str> = out.out.lines().collect();
            let wanted: Vec<String> = seen.iter().map(|s| s.replace("162", &sync)).collect();
            assert_eq!(lines, wanted, "{action} {errno:?} {how}");
        }
        // As the default action, for calls that the profile does not name.
        for (default, seen) in [("SCMP_ACT_ERRNO", "errno 9"), ("SCMP_ACT_TRACE", "errno 38")] {
            let rules = json!([{"names": NEEDED, "action": "SCMP_ACT_ALLOW"}, {"names": ["sync"], "action": default}]);
            b.set("/linux/seccomp", json!({"defaultAction": default, "defaultErrnoRet": 9, "syscalls": rules}));
            b.args(&call(libc::SYS_getpriority, &[0, 0])).run().ok().says(seen);
        }
    });
}

/// What of `flags` reaches seccomp(2).
#[test]
fn flags_reach_the_kernel() {
    case(|b| {
        let trace = b.path("trace");
        b.wrap(&["strace", "-f", "-qq", "-o", trace.to_str().unwrap(), "-e", "trace=seccomp"]);
        b.args(&["/bin/true"]);
        let table: [(Option<&[&str]>, &str); 6] = [
            (None, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"),
            (Some(&[]), "0"),
            (Some(&["LOG"]), "SECCOMP_FILTER_FLAG_LOG"),
            (Some(&["SPEC_ALLOW", "LOG"]), "SECCOMP_FILTER_FLAG_LOG|SECCOMP_FILTER_FLAG_SPEC_ALLOW"),
            // One thread needs no synchronisation, and where nobody listens nobody waits.
            (Some(&["TSYNC"]), "0"),
            (Some(&["WAIT_KILLABLE_RECV"]), "0"),
        ];
        for (flags, seen) in table {
            profile(b, "SCMP_ACT_ALLOW", json!([{"names": ["sync"], "action": "SCMP_ACT_ERRNO"}]));
            if let Some(flags) = flags {
                let names: Vec<String> = flags.iter().map(|f| format!("SECCOMP_FILTER_FLAG_{f}")).collect();
                b.set("/linux/seccomp/flags", json!(names));
            }
            b.run().ok();
            let trace = std::fs::read_to_string(&trace).unwrap();
            let loads: Vec<&str> =
                trace.lines().filter(|l| l.contains("SET_MODE_FILTER") && l.contains("len=")).collect();
            assert!(
                loads.len() == 1 && loads[0].contains(&format!("SECCOMP_SET_MODE_FILTER, {seen}, {{len=")),
                "{trace}"
            );
        }
    });
}

#[test]
fn names_that_are_skipped_are_told_in_the_log() {
    case(|b| {
        profile(b, "SCMP_ACT_ALLOW", json!([{"names": ["sync", "no_such_call"], "action": "SCMP_ACT_ERRNO"}]));
        b.args(&["/bin/true"]).write_config();
        let bundle = b.bundle().display().to_string();
        let run = |debug: &[&str], name: &str| {
            let log = b.path(name);
            let mut args = debug.to_vec();
            args.extend(["--log", log.to_str().unwrap(), "run", "--bundle", &bundle, &b.id]);
            b.rt(&args).ok();
            std::fs::read_to_string(&log).unwrap_or_default()
        };
        let log = run(&["--debug"], "debug.log");
        assert!(log.contains("level=debug") && log.contains("no_such_call"), "{log}");
        assert!(!log.contains("syscall \\\"sync"), "{log}");
        assert!(!run(&[], "quiet.log").contains("no_such_call"));
    });
}

/// The profile of these tests: some calls are the agent's to answer.
fn notified(b: &mut Bundle, path: &std::path::Path) {
    let rules =
        json!([{"names": ["mkdir", "mknod", "chown", "umask", "getpriority", "sync"], "action": "SCMP_ACT_NOTIFY"}]);
    b.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "syscalls": rules}));
}

/// The host answers calls of the container: it emulates, it refuses, it lets through, it gives a descriptor.
fn answers(number: i64, args: &[u64; 6]) -> Answer {
    match number {
        libc::SYS_mkdir => Answer::Value(0),
        libc::SYS_mknod => Answer::Errno(libc::EXDEV),
        libc::SYS_chown => Answer::Value(args[1] as i64 + args[2] as i64),
        libc::SYS_getpriority => Answer::Descriptor(std::fs::File::open("/dev/null").unwrap()),
        libc::SYS_sync => Answer::Value(42),
        _ => Answer::Continue,
    }
}

/// Makes the calls, and says what each gave.
fn calls() -> String {
    let each = [
        (libc::SYS_mkdir, vec![0]),
        (libc::SYS_mknod, vec![0, 0, 0]),
        (libc::SYS_chown, vec![0, 20, 3]),
        (libc::SYS_umask, vec![0o77]),
        (libc::SYS_getpriority, vec![0, 0]),
        (libc::SYS_sync, vec![]),
    ];
    let lines: Vec<String> = each.iter().map(|(number, args)| call(*number, args).join(" ")).collect();
    lines.join("; ")
}

const ANSWERS: &str = "0\nerrno 18\n23\n18\n3\n42";

/// Of every process whose filter notifies: run, create and start, exec; loaded early and late.
#[test]
fn the_agent_answers() {
    case(|b| {
        let path = b.path("agent.sock");
        let agent = Agent::new(&path);
        notified(b, &path);
        b.set("/linux/seccomp/listenerMetadata", "meta").set("/annotations", json!({"k": "v"}));
        let bundle = b.bundle().display().to_string();
        for nnp in [true, false] {
            b.set("/process/noNewPrivileges", nnp);
            let expected = |b: &Bundle, pid: i32, init: i32, status: &str| {
                json!({"ociVersion": b.state()["ociVersion"], "fds": ["seccompFd"], "pid": pid, "metadata": "meta",
                    "state": {"ociVersion": b.state()["ociVersion"], "id": b.id, "status": status, "pid": init,
                        "bundle": bundle, "annotations": {"k": "v"}}})
            };

            // run, in the foreground.
            let running = b.sh(&calls()).start_command("run", &[]).spawn();
            let serving = agent.next().serve(answers);
            assert_eq!(running.wait().ok().out.trim(), ANSWERS, "{nnp}");
            assert!(serving.join().unwrap().len() >= 6);

            // create, start. The listener comes with create, or with start, where the filter is loaded late.
            b.sh(&format!("{}; exec sleep 100", calls()));
            let mut creating = b.start_command("create", &[]).spawn();
            let handed = agent.next();
            let state = handed.state.clone();
            let serving = handed.serve(answers);
            until("create to return", || creating.child.try_wait().unwrap().is_some());
            assert_eq!(state, expected(b, b.pid(), b.pid(), "creating"));
            b.start();
            until("the answers", || creating.written().0.trim() == ANSWERS);

            // exec.
            let pid_file = b.path("exec.pid");
            let mut args = vec!["exec", "--pid-file", pid_file.to_str().unwrap()];
            if nnp {
                args.push("--no-new-privs");
            }
            let line = calls();
            args.extend([b.id.as_str(), "sh", "-c", &line]);
            let running = b.command(&args).spawn();
            let handed = agent.next();
            let state = handed.state.clone();
            let of_exec = handed.serve(answers);
            assert_eq!(running.wait().ok().out.trim(), ANSWERS, "exec {nnp}");
            let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().parse().unwrap();
            assert_ne!(pid, b.pid());
            assert_eq!(state, expected(b, pid, b.pid(), "running"));
            assert!(of_exec.join().unwrap().len() >= 6);

            b.rt(&["delete", "--force", &b.id]).ok();
            serving.join().unwrap();
        }
        // Without metadata there is no such key.
        b.remove("/linux/seccomp/listenerMetadata").remove("/annotations").args(&["/bin/true"]);
        let running = b.start_command("run", &[]).spawn();
        let handed = agent.next();
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&handed.state), ["fds", "ociVersion", "pid", "state"]);
        assert_eq!(keys(&handed.state["state"]), ["bundle", "id", "ociVersion", "pid", "status"]);
        handed.serve(answers);
        running.wait().ok();
    });
}

/// Neither the listener nor anything else of the hand-over is a descriptor of the program.
#[test]
fn the_listener_does_not_leak() {
    case(|b| {
        let path = b.path("agent.sock");
        let agent = Agent::new(&path);
        notified(b, &path);
        for nnp in [true, false] {
            b.set("/process/noNewPrivileges", nnp);
            for verb in ["run", "exec"] {
                let list = ["/payload", "report"];
                b.args(if verb == "run" { &list } else { &["/bin/sleep", "100"] });
                let flags: &[&str] = if verb == "run" { &[] } else { &["--detach"] };
                let mut running = b.start_command("run", flags).spawn();
                let serving = agent.next().serve(answers);
                let mut of_exec = None;
                if verb == "exec" {
                    until("run to return", || running.child.try_wait().unwrap().is_some());
                    let args = ["exec", &b.id, "/payload", "report"];
                    running = b.command(&args).spawn();
                    of_exec = Some(agent.next().serve(answers));
                }
                let report = running.wait().ok().json();
                let fds: Vec<&String> = report["fds"].as_object().unwrap().keys().collect();
                assert_eq!(fds, ["0", "1", "2"], "{verb} {nnp}: {}", report["fds"]);
                b.rt(&["delete", "--force", &b.id]);
                serving.join().unwrap();
                of_exec.map(|serving| serving.join().unwrap());
            }
        }
    });
}

#[test]
fn one_agent_of_several_containers() {
    case(|b| {
        let path = b.path("agent.sock");
        let agent = Agent::new(&path);
        notified(b, &path);
        b.args(&call(libc::SYS_chown, &[0, 1, 2]));
        let first = b.id.clone();
        let mut all = Vec::new();
        for i in 0..3 {
            b.another_id(&format!("{first}-{i}"));
            let running = b.start_command("run", &[]).spawn();
            let handed = agent.next();
            assert_eq!(handed.state["state"]["id"], b.id);
            all.push((running, handed));
        }
        // Answered in another order than they came, each by its own listener.
        for (i, (running, handed)) in all.into_iter().enumerate().rev() {
            let serving = handed.serve(move |number, _| match number {
                libc::SYS_chown => Answer::Value(1000 + i as i64),
                _ => Answer::Continue,
            });
            running.wait().ok().says(&(1000 + i).to_string());
            serving.join().unwrap();
        }
    });
}

/// config-linux.md: "MUST send exactly one container process state per connection", which "MUST be closed".
#[test]
fn one_state_per_connection() {
    case(|b| {
        let path = b.path("agent.sock");
        let agent = Agent::new(&path);
        notified(b, &path);
        let running = b.args(&["/bin/sleep", "1"]).start_command("run", &[]).spawn();
        let mut handed = agent.next();
        assert!(handed.is_all());
        handed.serve(answers);
        running.wait().ok();
    });
}

/// While the agent has a call, only what kills ends it.
#[test]
fn wait_killable_recv() {
    case(|b| {
        let path = b.path("agent.sock");
        let agent = Agent::new(&path);
        notified(b, &path);
        b.set("/linux/seccomp/flags", json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]));
        let running = b.args(&call(libc::SYS_sync, &[])).start_command("run", &[]).spawn();
        let serving = agent.next().serve(answers);
        running.wait().ok().says("42");
        serving.join().unwrap();
    });
}

/// An agent that closes the listener, at any time: its calls do not exist any more. One that never reads does not hinder.
#[test]
fn agents_that_go() {
    case(|b| {
        let path = b.path("agent.sock");
        let agent = Agent::new(&path);
        notified(b, &path);
        b.args(&call(libc::SYS_sync, &[]));
        let running = b.start_command("run", &[]).spawn();
        drop(agent.next());
        running.wait().ok().says("errno 38");
        drop(agent);

        // It never accepts: the message waits in its queue, until there is no such agent any more.
        std::fs::remove_file(&path).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let mut running = b.start_command("run", &["--detach"]).spawn();
        until("run to return", || running.child.try_wait().unwrap().is_some());
        assert_eq!(b.status(), "running");
        drop(listener);
        until("the call to return", || running.written().0.trim() == "errno 38");
        until("the payload to end", || b.status() == "stopped");
    });
}

#[test]
fn an_agent_that_is_not_there() {
    case(|b| {
        b.set(
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/no/such.sock",
            "syscalls": [{"names": ["sync"], "action": "SCMP_ACT_NOTIFY"}]}),
        );
        let words = "failed to connect with seccomp agent specified in the seccomp profile";
        b.args(&["/bin/true"]).run().fails(1, words);
        b.assert_gone();
        // No socket, and one of another kind.
        let file = b.path("file");
        std::fs::write(&file, "").unwrap();
        let datagrams = b.path("datagrams");
        let _datagrams = std::os::unix::net::UnixDatagram::bind(&datagrams).unwrap();
        for path in [file, datagrams] {
            b.set("/linux/seccomp/listenerPath", path.display().to_string()).run().fails(1, words);
            b.assert_gone();
        }
        b.remove("/linux/seccomp/listenerPath").run().fails(1, "seccomp listenerPath is not set");
    });
}

/// Where the runtime runs: in the bundle.
#[test]
fn a_relative_path_of_the_agent() {
    case(|b| {
        let agent = Agent::new(&b.bundle().join("agent.sock"));
        notified(b, std::path::Path::new("agent.sock"));
        let running = b.args(&call(libc::SYS_sync, &[])).start_command("run", &[]).spawn();
        let serving = agent.next().serve(answers);
        running.wait().ok().says("42");
        serving.join().unwrap();
    });
}
