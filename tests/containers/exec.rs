//! `exec`: what the new process inherits, every flag, exit codes, what is refused.

use crate::common::{Bundle, case, eventually, host, json, strings, until};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn running(b: &mut Bundle) -> i32 {
    b.args(&["/bin/sleep", "100"]).run_detached();
    b.pid()
}

#[test]
fn joins_all_of_the_container() {
    case(|b| {
        b.namespace("cgroup", None).set("/process/user/umask", 0o027).set("/process/oomScoreAdj", 300);
        let pid = running(b);
        let r = b.exec_report(&[]);
        for link in ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user", "time"] {
            assert_eq!(r["ns"][link], host::namespace(pid, link), "{link}");
        }
        assert_ne!(r["pid"], 1);
        assert_eq!(r["hostname"], "runc");
        assert_eq!(r["status"]["NoNewPrivs"], "1");
        assert_eq!(r["umask"], "0027");
        assert_eq!(r["oom_score_adj"], "300");
        assert_eq!(r["cwd"], "/");
        let init = host::status(pid);
        for set in ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"] {
            assert_eq!(r["status"][set], init[set], "{set}");
        }
        let numbers: Vec<String> = r["fds"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(numbers, ["0", "1", "2"], "{}", r["fds"]);
    });
}

#[test]
fn joins_the_cgroup() {
    case(|b| {
        let pid = running(b);
        let r = b.exec_report(&[]);
        assert_eq!(strings(&r["cgroup"]).join("\n"), host::read(format!("/proc/{pid}/cgroup")));
    });
}

#[test]
fn joins_a_user_namespace() {
    case(|b| {
        let pid = running(b.user_namespace());
        let r = b.exec_report(&[]);
        assert_eq!(r["ns"]["user"], host::namespace(pid, "user"));
        assert_eq!(r["status"]["Uid"], "0 0 0 0");
        let r = b.exec_report(&["--user", "5:6"]);
        assert_eq!((&r["status"]["Uid"], &r["status"]["Gid"]), (&json!("5 5 5 5"), &json!("6 6 6 6")));
    });
}

#[test]
fn exit_codes() {
    case(|b| {
        running(b);
        b.exec(&["true"]).ok();
        b.exec(&["sh", "-c", "exit 42"]).code(42);
        b.exec(&["sh", "-c", "kill -9 $$"]).code(137);
        b.exec(&["sh", "-c", "kill -USR1 $$"]).code(138);
        b.exec(&["nosuch"]).fails(
            255,
            "exec failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH",
        );
        b.exec(&["/nosuch"]).fails(255, "exec: \"/nosuch\": stat /nosuch: no such file or directory");
        b.exec(&["/etc/passwd"]).fails(255, "exec: \"/etc/passwd\": permission denied");
        b.exec(&["/tmp"]).fails(255, "exec: \"/tmp\": is a directory");
        b.rt(&["exec", "nosuch", "true"]).fails(255, "container does not exist");
        b.rt(&["exec", &b.id]).fails(255, "exec args cannot be empty");
    });
}

#[test]
fn streams() {
    case(|b| {
        running(b);
        let out = b.command(&["exec", &b.id, "sh", "-c", "cat; echo err >&2"]).stdin("in").output().ok();
        assert_eq!((out.out.as_str(), out.err.as_str()), ("in", "err\n"));
    });
}

#[test]
fn flags_end_at_the_id() {
    case(|b| {
        running(b);
        b.exec(&["echo", "-t", "--user", "x"]).ok().says("-t --user x");
        b.rt(&["exec", "--", &b.id, "echo", "a"]).ok().says("a");
    });
}

#[test]
fn two_dashes_behind_the_id_are_dropped() {
    case(|b| {
        running(b);
        b.rt(&["exec", &b.id, "--", "echo", "a"]).ok().says("a");
    });
}

#[test]
fn cwd_and_environment() {
    case(|b| {
        running(b);
        let r = b.exec_report(&["--cwd", "/tmp", "-e", "A=1,B=2", "-e", "TERM=dumb", "-e", "C="]);
        assert_eq!(r["cwd"], "/tmp");
        let env = strings(&r["env"]);
        for entry in ["A=1,B=2", "TERM=dumb", "C=", "HOME=/root"] {
            assert!(env.iter().any(|e| e == entry), "{entry}: {env:?}");
        }
        assert!(!env.iter().any(|e| e == "TERM=xterm"), "{env:?}");
        let out = b.exec_with(&["--cwd", "/nosuch"], &["true"]);
        out.fails(255, "chdir to cwd (\"/nosuch\") set in config.json failed: no such file or directory");
    });
}

/// CVE-2026-30892 was a `--user 1` that became uid 0 gid 0.
#[test]
fn user_is_parsed_strictly() {
    case(|b| {
        b.set("/process/user", json!({"uid": 7, "gid": 8}));
        running(b);
        for (user, uid, gid) in [("1", 1, 8), ("1:2", 1, 2), ("01", 1, 8), ("0:0", 0, 0), ("1000:5", 1000, 5)] {
            let r = b.exec_report(&["--user", user]);
            let id = |n: i32| json!(format!("{n} {n} {n} {n}"));
            assert_eq!((&r["status"]["Uid"], &r["status"]["Gid"]), (&id(uid), &id(gid)), "{user}");
        }
        for user in ["root", "root:root", " 1", "1 ", "0x1", "1:root", "1:2:x", "99999999999999999999", ":1", "1:"] {
            let out = b.exec_with(&["--user", user], &["id", "-u"]);
            assert!(out.code == 255 && out.err.contains("bad "), "{user:?} must be refused: {out}");
        }
    });
}

/// What is a number but not a uid must never become another user.
#[test]
fn user_out_of_range() {
    case(|b| {
        running(b);
        for user in ["-1", "4294967295", "4294967296", "4294967297", "1:4294967296", "1:-1", "+1"] {
            let out = b.exec_with(&[&format!("--user={user}")], &["id", "-u"]);
            let harmless = user == "+1" && out.out.trim() == "1";
            assert!(harmless || out.code == 255, "{user}: {out}");
        }
    });
}

#[test]
fn additional_groups() {
    case(|b| {
        b.set("/process/user/additionalGids", json!([9]));
        running(b);
        assert_eq!(b.exec_report(&["-g", "5", "-g", "6"])["status"]["Groups"], "5 6 9");
        b.exec_with(&["--additional-gids=-1"], &["true"]).fails(255, "additional-gids must be a positive number -1");
    });
}

#[test]
fn capabilities_are_added() {
    case(|b| {
        running(b);
        let r = b.exec_report(&["--cap", "CAP_SYS_PTRACE", "--cap", "CAP_CHOWN"]);
        let bits = |set: &str| u64::from_str_radix(r["status"][set].as_str().unwrap(), 16).unwrap();
        let added = 1 << 19 | 1;
        assert_eq!(bits("CapEff") & added, added);
        assert_eq!(bits("CapBnd") & added, added);
        // CVE-2022-29162: an inheritable set that nobody asked for.
        assert_eq!((bits("CapInh"), bits("CapAmb")), (0, 0));
        assert_eq!(
            u64::from_str_radix(b.exec_report(&[])["status"]["CapEff"].as_str().unwrap(), 16).unwrap() & added,
            0
        );
    });
}

#[test]
fn capabilities_where_the_configuration_has_none() {
    case(|b| {
        b.remove("/process/capabilities");
        running(b);
        b.exec_with(&["--cap", "CAP_CHOWN"], &["true"]).ok();
    });
}

#[test]
fn no_new_privileges_flag() {
    case(|b| {
        b.set("/process/noNewPrivileges", false);
        running(b);
        assert_eq!(b.exec_report(&[])["status"]["NoNewPrivs"], "0");
        assert_eq!(b.exec_report(&["--no-new-privs"])["status"]["NoNewPrivs"], "1");
    });
}

#[test]
fn process_file() {
    case(|b| {
        running(b);
        let process = json!({
            "args": ["/payload", "report"], "cwd": "/tmp", "env": ["ONLY=this"],
            "user": {"uid": 11, "gid": 12, "additionalGids": [13]},
            "capabilities": {"bounding": ["CAP_CHOWN"], "effective": [], "permitted": []},
            "rlimits": [{"type": "RLIMIT_CORE", "soft": 99, "hard": 100}]
        });
        let r = b.exec_process(&process).ok().json();
        assert_eq!(r["cwd"], "/tmp");
        assert_eq!(strings(&r["env"]), ["ONLY=this", "HOME=/"]);
        assert_eq!((&r["status"]["Uid"], &r["status"]["Gid"]), (&json!("11 11 11 11"), &json!("12 12 12 12")));
        assert_eq!(r["status"]["Groups"], "13");
        assert_eq!(r["status"]["CapBnd"], "0000000000000001");
        assert_eq!(r["status"]["NoNewPrivs"], "0");
        assert_eq!(r["rlimits"]["RLIMIT_CORE"], json!([99, 100]));
    });
}

#[test]
fn process_file_without_capabilities_takes_the_containers() {
    case(|b| {
        let pid = running(b);
        let r = b
            .exec_process(&json!({"args": ["/payload", "report"], "cwd": "/", "user": {"uid": 0, "gid": 0}}))
            .ok()
            .json();
        assert_eq!(r["status"]["CapBnd"], host::status(pid)["CapBnd"]);
    });
}

#[test]
fn process_file_is_validated() {
    case(|b| {
        running(b);
        for (process, words) in [
            (json!({"args": ["true"], "cwd": "tmp"}), "Cwd must be an absolute path"),
            (json!({"args": [], "cwd": "/"}), "args must not be empty"),
            (json!({"args": ["true"]}), "Cwd property must not be empty"),
            (
                json!({"args": ["true"], "cwd": "/", "rlimits": [{"type": "RLIMIT_FOO", "soft": 1, "hard": 1}]}),
                "RLIMIT_FOO",
            ),
        ] {
            b.exec_process(&process).fails(255, words);
        }
        b.rt(&["exec", "--process", "/no/such", &b.id]).fails(255, "no such file or directory");
    });
}

/// Without `--process` the bundle's config.json is read again.
#[test]
fn the_bundle_is_read_again() {
    case(|b| {
        running(b);
        b.env("NEW=1").write_config();
        assert!(strings(&b.exec_report(&[])["env"]).contains(&"NEW=1".into()));
    });
}

#[test]
fn detached() {
    case(|b| {
        running(b);
        let file = b.path("exec.pid");
        let flags = ["--detach", "--pid-file", file.to_str().unwrap()];
        b.exec_with(&flags, &["sleep", "77"]).ok();
        let text = fs::read_to_string(&file).unwrap();
        let pid: i32 = text.parse().expect("digits only");
        until("it to be executed", || host::read(format!("/proc/{pid}/cmdline")).starts_with("sleep\0"));
        assert_eq!(host::namespace(pid, "pid"), host::namespace(b.pid(), "pid"));
        // To the caller, who is the reaper of what has lost its parent.
        assert_eq!(host::status(pid)["PPid"], std::process::id().to_string());
    });
}

#[test]
fn a_detached_process_keeps_the_callers_streams() {
    case(|b| {
        running(b);
        let mut running = b.command(&["exec", "-d", &b.id, "sh", "-c", "sleep 0.1; echo late"]).spawn();
        eventually("exec to return", || running.child.try_wait().unwrap());
        until("the output", || running.written().0 == "late\n");
    });
}

#[test]
fn refused_in_a_stopped_or_paused_container() {
    case(|b| {
        running(b);
        b.rt(&["pause", &b.id]).ok();
        b.exec(&["true"]).fails(255, "cannot exec in a paused container (use --ignore-paused to override)");
        let late = b.command(&["exec", "--ignore-paused", &b.id, "echo", "thawed"]).spawn();
        std::thread::sleep(std::time::Duration::from_millis(100));
        b.rt(&["resume", &b.id]).ok();
        late.wait().ok().says("thawed");
        b.rt(&["kill", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        b.exec(&["true"]).fails(255, "cannot exec in a stopped container");
    });
}

#[test]
fn allowed_in_a_created_container() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).create();
        b.exec(&["echo", "hello"]).ok().says("hello");
        assert_eq!(b.status(), "created");
    });
}

/// A group below the container's, which must exist.
#[test]
fn sub_cgroups() {
    case(|b| {
        running(b);
        for (name, point) in host::hierarchies() {
            if name != "unified" && !name.is_empty() {
                let sub = point.join(b.cgroup.trim_start_matches('/')).join("sub");
                fs::create_dir(&sub).unwrap();
                if name == "cpuset" {
                    for file in ["cpuset.cpus", "cpuset.mems"] {
                        fs::write(sub.join(file), host::read(sub.parent().unwrap().join(file))).unwrap();
                    }
                }
            }
        }
        let group = |r: &serde_json::Value, controller: &str| {
            strings(&r["cgroup"]).into_iter().find(|l| l.contains(&format!(":{controller}:"))).unwrap()
        };
        let r = b.exec_report(&["--cgroup", "pids,memory:sub"]);
        assert!(group(&r, "pids").ends_with(&format!("{}/sub", b.cgroup)));
        assert!(group(&r, "memory").ends_with(&format!("{}/sub", b.cgroup)));
        assert!(group(&r, "freezer").ends_with(&b.cgroup));
        for (argument, words) in
            [(":sub", "invalid --cgroup argument: :sub (empty <controller> prefix)"), ("../..", "bad sub cgroup path")]
        {
            b.exec_with(&["--cgroup", argument], &["true"]).fails(255, words);
        }
        let twice = b.exec_with(&["--cgroup", "pids:sub", "--cgroup", "pids:sub"], &["true"]);
        twice.fails(255, "invalid --cgroup argument(s): controller pids specified multiple times");
        b.exec_with(&["--cgroup", "nosuch:sub"], &["true"]).fails(255, "unknown controller nosuch in SubCgroupPaths");
        b.exec_with(&["--cgroup", "pids:absent"], &["true"]).code(255);
    });
}

#[test]
fn scheduling_of_the_process() {
    case(|b| {
        running(b);
        let r = b
            .exec_process(&json!({
                "args": ["/payload", "report"], "cwd": "/", "user": {"uid": 0, "gid": 0},
                "scheduler": {"policy": "SCHED_BATCH", "nice": 3},
                "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}
            }))
            .ok()
            .json();
        assert_eq!((&r["policy"], &r["nice"], &r["ioprio"]), (&json!(3), &json!(3), &json!(3 << 13)));
    });
}

#[test]
fn cpu_affinity() {
    case(|b| {
        running(b);
        let process = json!({"args": ["/payload", "report"], "cwd": "/", "user": {"uid": 0, "gid": 0},
            "execCPUAffinity": {"initial": "0", "final": "1"}});
        assert_eq!(b.exec_process(&process).ok().json()["status"]["Cpus_allowed_list"], "1");
        assert_eq!(
            b.exec_report(&[])["status"]["Cpus_allowed_list"],
            host::status(std::process::id() as i32)["Cpus_allowed_list"]
        );
    });
}

/// The user of the file may run it, root without capabilities may not: looked up as the final user.
#[test]
fn looked_up_as_the_final_user() {
    case(|b| {
        let tool = b.file("/opt/tool", 0o700, "#!/bin/sh\necho mine");
        std::os::unix::fs::chown(&tool, Some(1000), Some(1000)).unwrap();
        b.set("/process/capabilities", json!({"bounding": [], "effective": [], "permitted": []}));
        running(b);
        b.exec_with(&["--user", "1000:1000"], &["/opt/tool"]).ok().says("mine");
        b.exec_with(&["--user", "2000:2000"], &["/opt/tool"]).fails(255, "permission denied");
    });
}

#[test]
fn many_at_once() {
    case(|b| {
        running(b);
        let all: Vec<_> = (0..10).map(|i| b.command(&["exec", &b.id, "echo", &i.to_string()]).spawn()).collect();
        for (i, one) in all.into_iter().enumerate() {
            one.wait().ok().says(&i.to_string());
        }
    });
}

/// The directory of the process does not have to be readable for root on the host.
#[test]
fn home_of_another_user() {
    case(|b| {
        running(b);
        let home = b.rootfs("/home/user");
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&home, Some(1000), Some(1000)).unwrap();
        b.exec_with(&["--user", "1000:1000", "--cwd", "/home/user"], &["pwd"]).ok().says("/home/user");
    });
}
