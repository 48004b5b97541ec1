//! Guards: what a `run` costs, how little memory it needs, what is left when it is killed at any moment, and what happens on
//! kernels without the newer calls.

use crate::common::stepper::kill_at_call;
use crate::common::{Bundle, Command, Driver, case, host, json, patience, until};
use nix::libc;
use std::fs;
use std::os::unix::process::CommandExt;

/// Every system call of one `run`, the container's own included.
#[test]
fn system_calls_of_a_run() {
    case(|b| {
        // The budget is for one hierarchy (`cgroup2::system_calls_of_a_run`). Each one of v1 takes its own: to be made, limited,
        // entered, mounted, removed.
        let v1 = host::hierarchies().iter().filter(|(name, _)| !name.is_empty()).count();
        let calls = calls_of_a_run(b);
        assert!(calls <= budget() + 26 * v1, "{calls} system calls with {v1} hierarchies");
    });
}

/// How many system calls a `run` may make on v2.
pub fn budget() -> usize {
    // What is masked, read-only, or linked to (/dev/core), only where the kernel has it.
    let more = [
        "/proc/asound",
        "/proc/kcore",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/sysrq-trigger",
        "/proc/timer_stats",
    ];
    let more = 3 * more.iter().filter(|path| fs::exists(path).unwrap()).count();
    more + match Driver::under_test() {
        Driver::Cgroupfs => 300,
        // To connect, ask, wait for the jobs, and read what the bus tells of others meanwhile.
        Driver::Systemd => 450,
    }
}

/// The system calls of `run /bin/true`, the container's own included.
pub fn calls_of_a_run(b: &mut Bundle) -> usize {
    let file = b.path("calls").display().to_string();
    // Without fcntl: in debug builds the standard library asks with it whether a descriptor that it closes is open.
    // Once before, so that the mount points are there: an image has them.
    b.args(&["/bin/true"]).run().ok();
    let quiet = "exec strace -f -c -e 'trace=!fcntl' -o \"$0\" \"$@\" </dev/null >/dev/null 2>&1";
    b.wrap(&["sh", "-c", quiet, &file]).run().ok();
    let table = host::read(&file);
    let total = table.lines().last().unwrap();
    // `100.00  seconds  usecs/call  CALLS  errors  total`
    total.split_whitespace().nth(3).and_then(|w| w.parse().ok()).unwrap()
}

#[test]
fn starts_under_a_memory_limit_of_512_kib() {
    case(|b| {
        b.set("/linux/resources/memory", json!({"limit": 512 << 10})).args(&["/bin/true"]);
        b.run().ok();
        b.create();
        b.start();
        b.await_status("stopped");
    });
}

/// How many system calls a command makes that ends well.
fn calls_of(command: Command) -> usize {
    let done = kill_at_call(command, usize::MAX);
    assert_eq!((done.killed, done.code), (false, 0));
    done.calls
}

/// The points at which to kill, at most `most`, spread over all of them.
fn points(calls: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = calls.min(most);
    (0..count).map(move |i| 1 + i * calls / count)
}

/// Nothing is left: the test is pid 1 here, so a child that lost its parent is ours.
#[track_caller]
fn assert_nothing(b: &Bundle, mounts: &[String], when: &str) {
    let leftovers =
        || {
            let mut left: Vec<String> =
                host::cgroup_leftovers(&b.cgroup).into_iter().map(|p| p.display().to_string()).collect();
            left.extend(b.state_dir().exists().then(|| b.state_dir().display().to_string()));
            left.extend(host::pids().filter(|p| *p != 1 && host::alive(*p)).map(|p| {
                format!("pid {p}: {}", fs::read_to_string(format!("/proc/{p}/comm")).unwrap_or_default().trim())
            }));
            left.extend(host::mounts().into_iter().filter(|m| !mounts.contains(m)));
            left
        };
    let end = std::time::Instant::now() + patience(2);
    while std::time::Instant::now() < end {
        if leftovers().is_empty() {
            return;
        }
        crate::common::pause(5);
    }
    panic!("{when}: left behind: {:#?}", leftovers());
}

/// kill -9 of a command at every moment, then `delete --force`.
fn killed_at_any_moment(b: &mut Bundle, verb: &str, flags: &[&str], most: usize) {
    b.args(&["/bin/sleep", "100"]);
    let mounts = host::mounts();
    // The first one makes the parents of its groups as well, which stay.
    b.start_command(verb, flags).output().ok();
    b.rt(&["delete", "--force", &b.id]).ok();
    let calls = calls_of(b.start_command(verb, flags));
    b.rt(&["delete", "--force", &b.id]).ok();
    for n in points(calls, most) {
        let when = format!("{verb} killed at call {n} of {calls}");
        // A run may take a few calls less than the one that was counted: with systemd, all that the bus told that one of others.
        let fewer = if Driver::under_test() == Driver::Systemd { 40 } else { 10 };
        assert!(kill_at_call(b.start_command(verb, flags), n).killed || n + fewer > calls, "{when}: it was not");
        let out = b.rt(&["delete", "--force", &b.id]);
        assert_eq!(out.code, 0, "{when}: {out}");
        assert_nothing(b, &mounts, &when);
    }
}

#[test]
fn create_killed_at_any_moment() {
    case(|b| killed_at_any_moment(b, "create", &[], 400));
}

#[test]
fn run_killed_at_any_moment() {
    case(|b| killed_at_any_moment(b, "run", &["--detach"], 60));
}

#[test]
fn delete_killed_at_any_moment() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).run_detached();
        let mounts = host::mounts();
        let delete = |b: &Bundle| b.command(&["delete", "--force", &b.id]);
        let calls = calls_of(delete(b));
        for n in points(calls, 60) {
            b.run_detached();
            kill_at_call(delete(b), n);
            delete(b).output().ok();
            assert_nothing(b, &mounts, &format!("delete killed at call {n} of {calls}"));
        }
    });
}

/// The id is free again after a create that was killed and deleted.
#[test]
fn the_id_is_free_after_a_killed_create() {
    case(|b| {
        b.args(&["/bin/true"]);
        let calls = calls_of(b.start_command("create", &[]));
        b.rt(&["delete", "--force", &b.id]).ok();
        for n in points(calls, 10) {
            kill_at_call(b.start_command("create", &[]), n);
            b.rt(&["delete", "--force", &b.id]).ok();
            b.run().ok();
        }
    });
}

#[test]
fn run_killed_in_the_foreground() {
    case(|b| {
        b.sh("echo ready; exec sleep 100");
        let mounts = host::mounts();
        let mut running = b.start_command("run", &[]).spawn();
        until("the payload", || running.written().0.contains("ready"));
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        b.rt(&["delete", "--force", &b.id]).ok();
        assert_nothing(b, &mounts, "run killed");
    });
}

/// Calls that older kernels, or the filters of an outer container, do not have.
const OPTIONAL: &[(&str, libc::c_long)] = &[
    ("clone3", libc::SYS_clone3),
    ("openat2", libc::SYS_openat2),
    ("open_tree", libc::SYS_open_tree),
    ("move_mount", libc::SYS_move_mount),
    ("fsopen", libc::SYS_fsopen),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("close_range", libc::SYS_close_range),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
    ("memfd_create", libc::SYS_memfd_create),
    ("execveat", libc::SYS_execveat),
    ("statx", libc::SYS_statx),
    ("bpf", libc::SYS_bpf),
    ("keyctl", libc::SYS_keyctl),
    ("add_key", libc::SYS_add_key),
    ("set_mempolicy", libc::SYS_set_mempolicy),
    ("ioprio_set", libc::SYS_ioprio_set),
    ("sched_setattr", libc::SYS_sched_setattr),
    ("faccessat2", libc::SYS_faccessat2),
];

/// This command, and all that comes of it, gets ENOSYS from these calls.
pub fn without(mut command: Command, calls: &[libc::c_long]) -> Command {
    let rule = |code: u16, jt: u8, jf: u8, k: u32| libc::sock_filter { code, jt, jf, k };
    // Load the call's number; each match jumps to the last instruction.
    let mut program = vec![rule(0x20, 0, 0, 0)];
    for (i, call) in calls.iter().enumerate() {
        program.push(rule(0x15, (calls.len() - i) as u8, 0, *call as u32));
    }
    program.push(rule(0x06, 0, 0, libc::SECCOMP_RET_ALLOW));
    program.push(rule(0x06, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32));
    let install = move || {
        let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
        // SAFETY: `filter` points at a program that outlives the call; root needs no no_new_privs.
        match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec, one system call and no allocation.
    unsafe { command.inner().pre_exec(install) };
    command
}

/// It works, or it says which call is missing and leaves nothing.
#[track_caller]
fn works_or_tells(b: &Bundle, name: &str, calls: &[libc::c_long]) -> bool {
    let out = without(b.start_command("run", &[]), calls).output();
    if out.code == 0 {
        assert_eq!(out.out.trim(), "works", "{name}: {out}");
    } else {
        assert!(out.code == 1 && out.err.contains("function not implemented"), "without {name}: {out}");
    }
    b.assert_gone();
    out.code == 0
}

#[test]
fn kernels_without_one_of_the_newer_calls() {
    case(|b| {
        b.sh("echo works");
        let mut refused = Vec::new();
        for (name, call) in OPTIONAL {
            if !works_or_tells(b, name, &[*call]) {
                refused.push(*name);
            }
        }
        // What may be refused, clearly: calls of Linux 5.6 and older, without which there is no safe way. The rest has one.
        let mut needed = vec!["clone3", "openat2", "statx", "pidfd_open", "memfd_create", "execveat", "move_mount"];
        if !host::has_v1() {
            // Device rules are a program there.
            needed.push("bpf");
        }
        refused.retain(|name| !needed.contains(name));
        assert_eq!(refused, Vec::<&str>::new());
    });
}

#[test]
fn kernels_without_any_of_them() {
    case(|b| {
        b.sh("echo works");
        let all: Vec<libc::c_long> = OPTIONAL.iter().map(|(_, call)| *call).collect();
        works_or_tells(b, "all of them", &all);
    });
}

#[test]
fn the_other_commands_without_one_of_them() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).run_detached();
        for (name, call) in OPTIONAL {
            let out = without(b.command(&["exec", &b.id, "echo", "works"]), &[*call]).output();
            assert!(
                out.out.trim() == "works" || out.err.contains("function not implemented"),
                "exec without {name}: {out}"
            );
            for command in
                [&["state", &b.id][..], &["pause", &b.id], &["resume", &b.id], &["kill", &b.id, "0"], &["ps", &b.id]]
            {
                let out = without(b.command(command), &[*call]).output();
                // Who could not be paused cannot be resumed.
                let told = ["function not implemented", "container not paused"].iter().any(|t| out.err.contains(t));
                assert!(out.code == 0 || told, "without {name}: {out}");
            }
            b.rt(&["resume", &b.id]);
        }
        for (i, (name, call)) in OPTIONAL.iter().enumerate() {
            b.another_id(&format!("c{i}")).run_detached();
            let out = without(b.command(&["delete", "--force", &b.id]), &[*call]).output();
            if out.code != 0 {
                assert!(out.err.contains("function not implemented"), "delete without {name}: {out}");
                b.rt(&["delete", "--force", &b.id]).ok();
            }
            b.assert_gone();
        }
    });
}

/// A field that asks for a missing call is an error, not a silence.
#[test]
fn features_that_a_kernel_does_not_have() {
    case(|b| {
        let plain = b.sh("true").config.clone();
        for (pointer, value, call) in [
            ("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0"}), libc::SYS_set_mempolicy),
            ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 4}), libc::SYS_ioprio_set),
            ("/process/scheduler", json!({"policy": "SCHED_BATCH"}), libc::SYS_sched_setattr),
        ] {
            b.config = plain.clone();
            b.set(pointer, value).run().ok();
            without(b.start_command("run", &[]), &[call]).output().fails(1, "function not implemented");
            b.assert_gone();
        }
    });
}

#[test]
fn many_at_once() {
    case(|b| {
        b.sh("echo works");
        let mut all = Vec::new();
        for i in 0..12 {
            b.another_id(&format!("c{i}"));
            all.push(b.start_command("run", &[]).spawn());
            // The next one's cgroupsPath must not be written before this one has read its own.
            let before = all.last_mut().unwrap();
            until("its state", || b.state_dir().exists() || before.child.try_wait().unwrap().is_some());
        }
        for one in all {
            one.wait().ok().says("works");
        }
    });
}

#[test]
fn no_room_for_the_state() {
    case(|b| {
        b.args(&["/bin/true"]);
        fs::create_dir(b.root()).unwrap();
        let root = b.root().display().to_string();
        Command::new(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", &root]).output().ok();
        b.start_command("create", &[]).output().fails(1, "read-only file system");
        Command::new(["mount", "-o", "remount,rw,size=4k,nr_inodes=6", &root]).output().ok();
        fs::write(b.root().join("full"), [0; 4096]).unwrap();
        b.start_command("create", &[]).output().fails(1, "no space left on device");
        b.assert_gone();
        Command::new(["umount", &root]).output().ok();
    });
}
