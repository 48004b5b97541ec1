//! Seccomp profiles in force: actions, errnos, conditions, the stub for newer calls, exec, the agent's socket.

use crate::common::pty::receive_fds;
use crate::common::{Bundle, case, json, until};
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

#[test]
fn the_agent_gets_the_listener() {
    case(|b| {
        let path = b.path("agent.sock");
        let agent = UnixListener::bind(&path).unwrap();
        b.set(
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "meta",
            "syscalls": [{"names": ["sync"], "action": "SCMP_ACT_NOTIFY"}]}),
        );
        let running = b.args(&call(libc::SYS_sync, &[])).start_command("run", &["-d"]).spawn();
        let (stream, _) = agent.accept().unwrap();
        let (message, fds) = receive_fds(&stream);
        let state: serde_json::Value = serde_json::from_slice(&message).unwrap();
        assert_eq!((&state["fds"], &state["metadata"]), (&json!(["seccompFd"]), &json!("meta")));
        assert_eq!((&state["state"]["id"], &state["state"]["status"]), (&json!(b.id), &json!("creating")));
        assert_eq!(fds.len(), 1);
        running.wait().ok();
        assert_eq!(state["pid"], b.pid());
        // The call waits for the agent; without one it does not exist.
        drop(fds);
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
        b.remove("/linux/seccomp/listenerPath").run().fails(1, "seccomp listenerPath is not set");
    });
}
