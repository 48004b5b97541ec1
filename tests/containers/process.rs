//! What a process finds: ids, groups, umask, cwd, environment, limits, capabilities, scheduling, names, keyring.

use crate::common::{Value, case, host, json, strings};

fn status(report: &Value, key: &str) -> String {
    report["status"][key].as_str().unwrap_or_default().to_string()
}

/// A capability set of the report as a number.
fn caps(report: &Value, set: &str) -> u64 {
    u64::from_str_radix(&status(report, set), 16).unwrap()
}

const KILL: u64 = 1 << 5;
const NET_BIND_SERVICE: u64 = 1 << 10;
const AUDIT_WRITE: u64 = 1 << 29;
const CHOWN: u64 = 1;

#[test]
fn root_by_default() {
    case(|b| {
        let r = b.report();
        assert_eq!(status(&r, "Uid"), "0 0 0 0");
        assert_eq!(status(&r, "Gid"), "0 0 0 0");
        assert_eq!(r["umask"], "0022");
        assert_eq!(r["cwd"], "/");
        assert_eq!(r["args"], json!(["/payload", "report"]));
        assert_eq!(status(&r, "SigBlk"), "0000000000000000");
        assert_eq!(r["dumpable"], 1);
    });
}

#[test]
fn ids_groups_and_umask() {
    case(|b| {
        b.set("/process/user", json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 20, 1001], "umask": 0o077}));
        let r = b.report();
        assert_eq!(status(&r, "Uid"), "1000 1000 1000 1000");
        assert_eq!(status(&r, "Gid"), "1001 1001 1001 1001");
        assert_eq!(status(&r, "Groups"), "5 20 1001");
        assert_eq!(r["umask"], "0077");
        // A change of ids clears what the bounding set would still allow.
        assert_eq!(caps(&r, "CapEff"), 0);
    });
}

/// CVE-2023-25173 and its family: an empty list is a list too.
#[test]
fn groups_of_the_caller_are_dropped() {
    case(|b| {
        b.wrap(&["setpriv", "--groups", "7,8", "--"]);
        assert_eq!(status(&b.report(), "Groups"), "");
        b.set("/process/user", json!({"uid": 1000, "gid": 1000}));
        assert_eq!(status(&b.report(), "Groups"), "");
    });
}

#[test]
fn umask_of_the_caller_does_not_matter() {
    case(|b| {
        b.wrap(&["sh", "-c", "umask 0; exec \"$@\"", "sh"]);
        assert_eq!(b.report()["umask"], "0022");
    });
}

#[test]
fn working_directory() {
    case(|b| {
        assert_eq!(b.set("/process/cwd", "/home/user").report()["cwd"], "/home/user");
    });
}

#[test]
fn working_directory_is_made() {
    case(|b| {
        b.set("/root/readonly", false).set("/process/cwd", "/a/b/c").sh("pwd; stat -c %a:%u /a/b/c");
        b.run().ok().says("/a/b/c\n755:0");
    });
}

/// The directory belongs to another user and only he may enter: tried as root, then again as the user.
#[test]
fn working_directory_of_the_user_alone() {
    case(|b| {
        b.sh("pwd").set("/process/user", json!({"uid": 1000, "gid": 1000})).set("/process/cwd", "/home/user");
        for set in ["bounding", "effective", "permitted"] {
            b.set(&format!("/process/capabilities/{set}"), json!([]));
        }
        let home = b.rootfs("/home/user");
        std::os::unix::fs::chown(&home, Some(1000), Some(1000)).unwrap();
        std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        b.run().ok().says("/home/user");
    });
}

#[test]
fn environment_is_exactly_the_configured_one() {
    case(|b| {
        b.set("/process/env", json!(["PATH=/bin", "B=2", "A=1", "EMPTY=", "S=a b=c"])).args(&["/payload", "report"]);
        let r = b.start_command("run", &[]).env("LEAK", "yes").env("DUNNAGE_LEAK", "1").output().ok().json();
        assert_eq!(strings(&r["env"]), ["PATH=/bin", "B=2", "A=1", "EMPTY=", "S=a b=c", "HOME=/root"]);
    });
}

#[test]
fn the_last_of_equal_variables_wins() {
    case(|b| {
        b.set("/process/env", json!(["A=1", "PATH=/bin", "B=2", "A=3"]));
        let mut env = strings(&b.report()["env"]);
        env.sort();
        assert_eq!(env, ["A=3", "B=2", "HOME=/root", "PATH=/bin"]);
    });
}

#[test]
fn home_comes_from_the_passwd_of_the_image() {
    case(|b| {
        b.set("/process/user", json!({"uid": 1000, "gid": 1000}));
        assert!(strings(&b.report()["env"]).contains(&"HOME=/home/user".into()));
        // A uid that it does not know.
        b.set("/process/user", json!({"uid": 4711, "gid": 0}));
        assert!(strings(&b.report()["env"]).contains(&"HOME=/".into()));
    });
}

#[test]
fn an_empty_home_counts_as_none() {
    case(|b| {
        b.env("HOME=");
        let env = strings(&b.report()["env"]);
        assert_eq!(env.iter().filter(|e| e.starts_with("HOME=")).collect::<Vec<_>>(), ["HOME=/root"]);
        b.env("HOME=/elsewhere");
        assert!(strings(&b.report()["env"]).contains(&"HOME=/elsewhere".into()));
    });
}

#[test]
fn no_passwd_no_trouble() {
    case(|b| {
        std::fs::remove_file(b.rootfs("/etc/passwd")).unwrap();
        assert!(strings(&b.report()["env"]).contains(&"HOME=/".into()));
    });
}

#[test]
fn path_of_the_container_finds_the_program() {
    case(|b| {
        b.file("/opt/tools/hello", 0o755, "#!/bin/sh\necho found $0");
        b.set("/process/env", json!(["PATH=/nosuch:/opt/tools"])).args(&["hello"]);
        b.run().ok().says("found /opt/tools/hello");
    });
}

#[test]
fn arguments_arrive_as_they_are() {
    case(|b| {
        b.args(&["/payload", "report", "", "two words", "$HOME", "-x", "ü\t\"'"]);
        let args = b.run().ok().json()["args"].clone();
        assert_eq!(args, json!(["/payload", "report", "", "two words", "$HOME", "-x", "ü\t\"'"]));
    });
}

#[test]
fn resource_limits() {
    case(|b| {
        b.set(
            "/process/rlimits",
            json!([
                {"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1000},
                {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
                {"type": "RLIMIT_AS", "soft": 1u64 << 32, "hard": 1u64 << 33},
                {"type": "RLIMIT_NPROC", "soft": 50, "hard": 60},
                {"type": "RLIMIT_STACK", "soft": 4 << 20, "hard": 8 << 20}
            ]),
        );
        let limits = b.report()["rlimits"].clone();
        assert_eq!(limits["RLIMIT_NOFILE"], json!([512, 1000]));
        assert_eq!(limits["RLIMIT_CORE"], json!([0, 0]));
        assert_eq!(limits["RLIMIT_AS"], json!([1u64 << 32, 1u64 << 33]));
        assert_eq!(limits["RLIMIT_NPROC"], json!([50, 60]));
        assert_eq!(limits["RLIMIT_STACK"], json!([4 << 20, 8 << 20]));
    });
}

/// The limit is the user's program's: what is opened before it must not run into it.
#[test]
fn a_low_limit_of_open_files() {
    case(|b| {
        b.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 8, "hard": 8}]));
        assert_eq!(b.report()["rlimits"]["RLIMIT_NOFILE"], json!([8, 8]));
        b.args(&["/bin/sleep", "100"]).run_detached();
        assert_eq!(b.exec_report(&[])["rlimits"]["RLIMIT_NOFILE"], json!([8, 8]));
    });
}

#[test]
fn limits_not_named_are_the_callers() {
    case(|b| {
        b.set("/process/rlimits", json!([])).wrap(&["prlimit", "--nofile=700:800", "--core=12345:23456", "--"]);
        let limits = b.report()["rlimits"].clone();
        assert_eq!(limits["RLIMIT_NOFILE"], json!([700, 800]));
        assert_eq!(limits["RLIMIT_CORE"], json!([12345, 23456]));
    });
}

#[test]
fn capability_sets() {
    case(|b| {
        b.set(
            "/process/capabilities",
            json!({
                "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_AUDIT_WRITE"],
                "permitted": ["CAP_KILL", "CAP_CHOWN"],
                "inheritable": ["CAP_KILL"],
                "effective": ["CAP_KILL", "CAP_CHOWN"],
                "ambient": ["CAP_KILL"]
            }),
        );
        let r = b.report();
        assert_eq!(caps(&r, "CapBnd"), KILL | CHOWN | AUDIT_WRITE);
        assert_eq!(caps(&r, "CapInh"), KILL);
        assert_eq!(caps(&r, "CapAmb"), KILL);
        assert_eq!(caps(&r, "CapPrm"), KILL | CHOWN);
        assert_eq!(caps(&r, "CapEff"), KILL | CHOWN);
        assert_eq!(r["securebits"], 0);
        // Without no_new_privs execve(2) gives uid 0 all of the bounding set.
        let r = b.set("/process/noNewPrivileges", false).report();
        assert_eq!(caps(&r, "CapPrm"), KILL | CHOWN | AUDIT_WRITE);
    });
}

#[test]
fn ambient_capabilities_reach_an_ordinary_user() {
    case(|b| {
        let one = json!(["CAP_NET_BIND_SERVICE"]);
        b.set("/process/user", json!({"uid": 1000, "gid": 1000}));
        for set in ["bounding", "permitted", "inheritable", "effective", "ambient"] {
            b.set(&format!("/process/capabilities/{set}"), one.clone());
        }
        let r = b.report();
        for set in ["CapBnd", "CapPrm", "CapInh", "CapEff", "CapAmb"] {
            assert_eq!(caps(&r, set), NET_BIND_SERVICE, "{set}");
        }
    });
}

#[test]
fn empty_capability_sets_drop_everything() {
    case(|b| {
        b.set("/process/capabilities", json!({"bounding": [], "effective": [], "permitted": []}));
        let r = b.report();
        for set in ["CapBnd", "CapPrm", "CapInh", "CapEff", "CapAmb"] {
            assert_eq!(caps(&r, set), 0, "{set}");
        }
    });
}

#[test]
fn no_capabilities_object_changes_nothing() {
    case(|b| {
        b.remove("/process/capabilities");
        let own = host::status(std::process::id() as i32)["CapBnd"].clone();
        let r = b.report();
        assert_eq!(status(&r, "CapBnd"), own);
        assert_eq!(status(&r, "CapEff"), own);
    });
}

#[test]
fn unknown_capabilities_are_a_warning() {
    case(|b| {
        b.all_capabilities(&["CAP_KILL", "CAP_MADE_UP"]).args(&["/payload", "report"]);
        let out = b.run().ok().err_has("CAP_MADE_UP").err_has("level=warning");
        assert_eq!(caps(&out.json(), "CapBnd"), KILL);
    });
}

#[test]
fn no_new_privileges() {
    case(|b| {
        assert_eq!(status(&b.report(), "NoNewPrivs"), "1");
        assert_eq!(status(&b.set("/process/noNewPrivileges", false).report(), "NoNewPrivs"), "0");
        assert_eq!(status(&b.remove("/process/noNewPrivileges").report(), "NoNewPrivs"), "0");
    });
}

#[test]
fn oom_score_adjustment() {
    case(|b| {
        assert_eq!(b.set("/process/oomScoreAdj", 500).report()["oom_score_adj"], "500");
    });
}

#[test]
fn oom_score_adjustment_of_the_caller_is_inherited() {
    case(|b| {
        b.wrap(&["choom", "-n", "123", "--"]);
        assert_eq!(b.report()["oom_score_adj"], "123");
    });
}

#[test]
fn personality() {
    case(|b| {
        assert_eq!(b.report()["personality"], 0);
        assert_eq!(b.set("/linux/personality", json!({"domain": "LINUX32"})).report()["personality"], 8);
        assert_eq!(b.set("/linux/personality", json!({"domain": "LINUX"})).report()["personality"], 0);
    });
}

#[test]
fn scheduler_other_batch_idle() {
    case(|b| {
        for (policy, nice, number) in [("SCHED_OTHER", 5, 0), ("SCHED_BATCH", 7, 3), ("SCHED_IDLE", 0, 5)] {
            let mut scheduler = json!({"policy": policy});
            if nice != 0 {
                scheduler["nice"] = json!(nice);
            }
            let r = b.set("/process/scheduler", scheduler).report();
            assert_eq!((&r["sched"]["policy"], &r["sched"]["nice"]), (&json!(number), &json!(nice)), "{policy}");
        }
    });
}

#[test]
fn scheduler_real_time_and_deadline() {
    case(|b| {
        // Real time has to be granted from the top down, in v1's hierarchy of the cpu controller. v2 has no such limits.
        if host::has_v1() {
            let parent = host::cgroup_dir("cpu", b.cgroup_parent());
            std::fs::create_dir(&parent).unwrap();
            std::fs::write(parent.join("cpu.rt_runtime_us"), "20000").unwrap();
            b.set("/linux/resources/cpu", json!({"realtimeRuntime": 10000, "realtimePeriod": 1_000_000}));
        }
        for (policy, number) in [("SCHED_FIFO", 1), ("SCHED_RR", 2)] {
            b.set(
                "/process/scheduler",
                json!({"policy": policy, "priority": 3, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}),
            );
            let sched = b.report()["sched"].clone();
            assert_eq!((&sched["policy"], &sched["priority"], &sched["flags"]), (&json!(number), &json!(3), &json!(1)));
        }
    });
}

#[test]
fn io_priority() {
    case(|b| {
        for (class, number) in [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)] {
            let priority = if number == 3 { 0 } else { 4 };
            b.set("/process/ioPriority", json!({"class": class, "priority": priority}));
            assert_eq!(b.report()["ioprio"], number << 13 | priority, "{class}");
        }
    });
}

#[test]
fn memory_policy() {
    case(|b| {
        b.set("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}));
        // MPOL_BIND is 2, MPOL_F_STATIC_NODES 1 << 15.
        assert_eq!(b.report()["mempolicy"], json!([2 | 1 << 15, 1]));
        b.set("/linux/memoryPolicy", json!({"mode": "MPOL_LOCAL"}));
        assert_eq!(b.report()["mempolicy"][0], 4);
    });
}

#[test]
fn cpu_affinity_of_the_caller_is_not_inherited() {
    case(|b| {
        let all = host::status(std::process::id() as i32)["Cpus_allowed_list"].clone();
        b.wrap(&["taskset", "1"]);
        assert_eq!(status(&b.report(), "Cpus_allowed_list"), all);
    });
}

#[test]
fn sysctl() {
    case(|b| {
        b.set(
            "/linux/sysctl",
            json!({"kernel.shmmni": "1234", "net.core.somaxconn": "321", "fs.mqueue.queues_max": "77"}),
        );
        b.sh("cat /proc/sys/kernel/shmmni /proc/sys/net/core/somaxconn /proc/sys/fs/mqueue/queues_max");
        b.run().ok().says("1234\n321\n77");
        assert_ne!(host::read("/proc/sys/kernel/shmmni"), "1234");
    });
}

#[test]
fn sysctl_with_slashes() {
    case(|b| {
        b.set("/linux/sysctl", json!({"net/ipv4/ip_default_ttl": "44", "net/ipv4/conf/lo/rp_filter": "2"}));
        b.sh("cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/net/ipv4/conf/lo/rp_filter");
        b.run().ok().says("44\n2");
    });
}

#[test]
fn host_and_domain_name() {
    case(|b| {
        let before = host::read("/proc/sys/kernel/hostname");
        let r = b.set("/hostname", "carrier").report();
        assert_eq!(r["hostname"], "carrier");
        assert_eq!(host::read("/proc/sys/kernel/hostname"), before);
    });
}

#[test]
fn domain_name() {
    case(|b| {
        assert_eq!(b.set("/domainname", "example.org").report()["domainname"], "example.org");
    });
}

#[test]
fn session_keyring_of_its_own() {
    case(|b| {
        let keyring = b.report()["keyring"].as_str().unwrap().to_string();
        assert!(keyring.ends_with(&format!(";_ses.{}", b.id)), "{keyring}");
    });
}

#[test]
fn session_keyring_of_the_caller() {
    case(|b| {
        b.args(&["/payload", "report"]);
        let r = b.start_command("run", &["--no-new-keyring"]).output().ok().json();
        let keyring = r["keyring"].as_str().unwrap_or_default();
        assert!(!keyring.contains("_ses.t"), "{keyring}");
    });
}

#[test]
fn not_in_the_callers_session() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).run_detached();
        let stat = |pid: &str| host::read(format!("/proc/{pid}/stat")).split_whitespace().nth(5).unwrap().to_string();
        assert_ne!(stat(&b.pid().to_string()), stat("self"));
    });
}

/// The guard of every descriptor leak, whatever the caller left open.
#[test]
fn the_payload_has_three_descriptors() {
    case(|b| {
        b.wrap(&["sh", "-c", "exec 3</etc 7</etc/passwd 9>/dev/null; exec \"$@\"", "sh"]);
        let fds = b.report()["fds"].clone();
        let numbers: Vec<&str> = fds.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(numbers, ["0", "1", "2"], "{fds}");
    });
}
