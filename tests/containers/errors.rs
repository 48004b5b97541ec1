//! What is refused, and in which words: validation of config.json, programs that can't be executed, input of any kind.

use crate::common::{Bundle, Value, case, json};
use std::fs;

/// A change of the base configuration, and the words with which it is refused.
type Fault = (&'static str, Value, &'static str);

/// Each fault alone must be told, and must leave nothing.
#[track_caller]
fn refused(b: &mut Bundle, faults: &[Fault]) {
    b.args(&["/bin/true"]);
    let sound = b.config.clone();
    for (pointer, value, words) in faults {
        b.config = sound.clone();
        b.set(pointer, value.clone());
        let out = b.start_command("create", &[]).output();
        assert!(
            out.code == 1 && out.err.replace("\\\"", "\"").contains(words),
            "{pointer} = {value} must be refused with: {words}\n{out}"
        );
        b.assert_gone();
    }
    b.config = sound;
    b.run().ok();
}

#[test]
fn process_object() {
    case(|b| {
        refused(
            b,
            &[
                ("/process", Value::Null, "process property must not be empty"),
                ("/process/cwd", json!(""), "Cwd property must not be empty"),
                ("/process/cwd", json!("tmp"), "Cwd must be an absolute path"),
                ("/process/args", json!([]), "args must not be empty"),
                ("/process/rlimits/-", json!({"type": "RLIMIT_FOO", "soft": 1, "hard": 1}), "RLIMIT_FOO"),
            ],
        );
    });
}

#[test]
fn environment_entries() {
    case(|b| {
        refused(
            b,
            &[
                ("/process/env/-", json!("NOEQUALS"), "invalid environment variable"),
                ("/process/env/-", json!("=x"), "invalid environment variable"),
                ("/process/env/-", json!("A=\u{0}"), "contains nul byte"),
            ],
        );
    });
}

#[test]
fn root_object() {
    case(|b| {
        let link = b.bundle().join("link");
        std::os::unix::fs::symlink("rootfs", link).unwrap();
        refused(
            b,
            &[
                ("/root", Value::Null, "root must be specified"),
                ("/root/path", json!("nosuch"), "no such file or directory"),
                ("/root/path", json!("link"), "not an absolute path, or a symlink"),
            ],
        );
    });
}

#[test]
fn namespace_objects() {
    case(|b| {
        refused(
            b,
            &[
                ("/linux/namespaces/-", json!({"type": "bogus"}), "namespace {\"bogus\" \"\"} does not exist"),
                ("/linux/namespaces/-", json!({"type": "pid"}), "malformed spec file: duplicated ns {\"pid\" \"\"}"),
                ("/linux/rootfsPropagation", json!("sideways"), "rootfsPropagation=sideways is not supported"),
                ("/linux/namespaces/1", json!({"type": "network", "path": "/no/such"}), "no such file or directory"),
            ],
        );
        b.drop_namespace("uts")
            .start_command("create", &[])
            .output()
            .fails(1, "unable to set hostname without a private UTS namespace");
        b.namespace("uts", None).drop_namespace("mount");
        let words = "unable to restrict sys entries without a private MNT namespace";
        b.start_command("create", &[]).output().fails(1, words);
        b.assert_gone();
    });
}

#[test]
fn user_and_time_namespaces() {
    case(|b| {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 10}]);
        let off = json!([{"containerID": 5, "hostID": 100_000, "size": 10}]);
        b.args(&["/bin/true"]).namespace("user", None);
        let create = |b: &Bundle| b.start_command("create", &[]).output();
        create(b).fails(1, "user namespaces enabled, but no uid mappings found");
        b.set("/linux/uidMappings", map.clone());
        create(b).fails(1, "user namespaces enabled, but no gid mappings found");
        b.set("/linux/uidMappings", off).set("/linux/gidMappings", map);
        create(b).code(1);
        b.drop_namespace("user").set("/linux/timeOffsets", json!({"boottime": {"secs": 1}}));
        create(b).fails(1, "time namespace offsets specified, but time namespace isn't enabled in the config");
        b.namespace("time", Some("/proc/self/ns/time"));
        create(b).fails(1, "time namespace enabled, but both namespace path and time offsets specified");
        b.assert_gone();
    });
}

#[test]
fn sysctls() {
    case(|b| {
        let not_separate = "is not in a separate kernel namespace";
        refused(
            b,
            &[
                ("/linux/sysctl", json!({"kernel.core_pattern": "x"}), not_separate),
                ("/linux/sysctl", json!({"vm.swappiness": "1"}), not_separate),
                (
                    "/linux/sysctl",
                    json!({"kernel.hostname": "x"}),
                    "is not allowed as it conflicts with the OCI \"hostname\" field",
                ),
                ("/linux/sysctl", json!({"net.ipv4.nosuch": "1"}), "no such file or directory"),
                ("/linux/sysctl", json!({"net.ipv4.ip_forward": "seven"}), "invalid argument"),
                ("/linux/sysctl", json!({"kernel/core_pattern": "x"}), not_separate),
                ("/linux/sysctl", json!({"net/../kernel/core_pattern": "x"}), ""),
                ("/linux/sysctl", json!({"fs.mqueue./../../kernel/core_pattern": "x"}), ""),
            ],
        );
        b.drop_namespace("ipc").set("/linux/sysctl", json!({"kernel.shmmax": "1"}));
        b.run().fails(1, "is not allowed in the hosts ipc namespace");
        b.namespace("ipc", None).drop_namespace("network").set("/linux/sysctl", json!({"net.core.somaxconn": "1"}));
        b.run().fails(1, "not allowed in host network namespace");
    });
}

#[test]
fn devices_and_cgroups() {
    case(|b| {
        refused(
            b,
            &[
                ("/linux/resources/devices/-", json!({"allow": true}), "device access at 1 field cannot be empty"),
                (
                    "/linux/resources/devices/-",
                    json!({"allow": true, "type": "x", "access": "r"}),
                    "invalid cgroup device type \"x\"",
                ),
                ("/linux/devices", json!([{"path": "/dev/x", "type": "x"}]), "invalid device type \"x\""),
                ("/linux/resources/unified", json!({"memory.max": "1"}), "cannot use unified on cgroup v1"),
                (
                    "/linux/resources/memory",
                    json!({"swappiness": 101}),
                    "invalid memory swappiness value: 101 (valid range is 0-100)",
                ),
            ],
        );
    });
}

#[test]
fn labels() {
    case(|b| {
        refused(
            b,
            &[
                (
                    "/process/selinuxLabel",
                    json!("a:b:c:d"),
                    "selinux label is specified in config, but selinux is disabled or not supported",
                ),
                ("/linux/mountLabel", json!("a:b:c:d"), ""),
                ("/process/apparmorProfile", json!("docker-default"), "apparmor"),
            ],
        );
    });
}

#[test]
fn scheduling() {
    case(|b| {
        refused(
            b,
            &[
                ("/process/scheduler", json!({"policy": "SCHED_OTHER", "nice": 20}), "invalid scheduler.nice: 20"),
                (
                    "/process/scheduler",
                    json!({"policy": "SCHED_OTHER", "priority": 2}),
                    "scheduler.priority can only be specified for SchedFIFO or SchedRR policy",
                ),
                (
                    "/process/scheduler",
                    json!({"policy": "SCHED_OTHER", "runtime": 2}),
                    "scheduler runtime/deadline/period can only be specified for SchedDeadline policy",
                ),
                (
                    "/process/ioPriority",
                    json!({"class": "IOPRIO_CLASS_BE", "priority": 9}),
                    "invalid ioPriority.Priority: 9",
                ),
                ("/process/ioPriority", json!({"class": "X", "priority": 1}), "invalid ioPriority.Class: \"X\""),
                ("/linux/personality", json!({"domain": "SOLARIS"}), "invalid personality domain SOLARIS"),
            ],
        );
    });
}

#[test]
fn memory_policies() {
    case(|b| {
        refused(
            b,
            &[
                ("/linux/memoryPolicy", json!({"mode": "X", "nodes": "0"}), "invalid memory policy mode \"X\""),
                (
                    "/linux/memoryPolicy",
                    json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["X"]}),
                    "invalid memory policy flag \"X\"",
                ),
                (
                    "/linux/memoryPolicy",
                    json!({"mode": "MPOL_BIND", "nodes": "a"}),
                    "invalid memory policy nodes \"a\"",
                ),
                (
                    "/linux/memoryPolicy",
                    json!({"mode": "MPOL_BIND"}),
                    "memory policy mode requires at least one node but got 0",
                ),
                (
                    "/linux/memoryPolicy",
                    json!({"mode": "MPOL_LOCAL", "nodes": "0"}),
                    "memory policy mode requires 0 nodes but got 1",
                ),
            ],
        );
    });
}

#[test]
fn mounts() {
    case(|b| {
        let source = b.rootfs("/tmp").display().to_string();
        refused(
            b,
            &[
                (
                    "/mounts/-",
                    json!({"destination": "/mnt", "source": source, "options": ["bind", "size=1"]}),
                    "bind mounts cannot have any filesystem-specific options applied",
                ),
                (
                    "/mounts/-",
                    json!({"destination": "/mnt", "type": "tmpfs", "source": "x", "options": ["idmap"]}),
                    "id-mapped mounts are only supported for bind-mounts",
                ),
                (
                    "/mounts/-",
                    json!({"destination": "/mnt", "type": "tmpfs", "source": "x", "options": ["nosuchoption=1"]}),
                    "invalid argument",
                ),
                ("/mounts/-", json!({"destination": "/mnt", "type": "nosuchfs", "source": "x"}), "no such device"),
                ("/mounts/-", json!({"destination": "/", "type": "tmpfs", "source": "x"}), "is on the top of rootfs"),
            ],
        );
    });
}

#[test]
fn net_devices() {
    case(|b| {
        refused(
            b,
            &[
                ("/linux/netDevices", json!({"a/b": {}}), "invalid network device name \"a/b\""),
                ("/linux/netDevices", json!({"eth0": {"name": ".."}}), "invalid network device name \"..\""),
            ],
        );
        b.drop_namespace("network").set("/linux/netDevices", json!({"x0": {}}));
        b.run().fails(1, "unable to move network devices without a NET namespace");
    });
}

#[test]
fn seccomp() {
    case(|b| {
        refused(
            b,
            &[
                ("/linux/seccomp", json!({"defaultAction": "X"}), "string X is not a valid action for seccomp"),
                (
                    "/linux/seccomp",
                    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["X"]}),
                    "string X is not a valid arch for seccomp",
                ),
                (
                    "/linux/seccomp",
                    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO",
                    "args": [{"index": 0, "value": 1, "op": "X"}]}]}),
                    "string X is not a valid operator for seccomp",
                ),
                (
                    "/linux/seccomp",
                    json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"}),
                    "SCMP_ACT_NOTIFY cannot be used as default action",
                ),
            ],
        );
    });
}

/// CVE-2024-40635: ids that are none must never become another user.
#[test]
fn ids_out_of_range() {
    case(|b| {
        refused(
            b,
            &[
                ("/process/user/uid", json!(-1), ""),
                ("/process/user/uid", json!(4_294_967_296_u64), ""),
                ("/process/user/uid", json!(1.5), ""),
                ("/process/user/uid", json!("root"), ""),
                ("/process/user/gid", json!(4_294_967_296_u64), ""),
                ("/process/user/additionalGids", json!([-1]), ""),
            ],
        );
    });
}

#[test]
fn input_of_any_kind() {
    case(|b| {
        b.write_config();
        let file = b.bundle().join("config.json");
        let whole = fs::read_to_string(&file).unwrap();
        let bundle = b.bundle().display().to_string();
        let deep = "[".repeat(100_000);
        for text in ["", "{", "[]", "1", "\"\"", "\u{0}", &whole[..whole.len() / 2], &deep, "{\"process\": 1}"] {
            fs::write(&file, text).unwrap();
            let out = b.rt(&["create", "--bundle", &bundle, &b.id]);
            assert!(out.code == 1 && !out.err.is_empty() && !out.err.contains("panic"), "{:.40}: {out}", text);
            b.assert_gone();
        }
        fs::write(&file, "null").unwrap();
        b.rt(&["create", "--bundle", &bundle, &b.id]).fails(1, "config cannot be null");
        fs::remove_file(&file).unwrap();
        b.rt(&["create", "--bundle", &bundle, &b.id]).fails(1, "JSON specification file config.json not found");
        b.rt(&["create", "--bundle", "/no/such", &b.id]).fails(1, "chdir /no/such: no such file or directory");
    });
}

#[test]
fn programs_that_are_not_found() {
    case(|b| {
        let prefix = "unable to start container process: error during container init: exec: ";
        b.file("/etc/plain", 0o644, "text");
        for (program, words) in [
            ("nosuch", "\"nosuch\": executable file not found in $PATH"),
            ("/nosuch", "\"/nosuch\": stat /nosuch: no such file or directory"),
            ("/etc/plain", "\"/etc/plain\": permission denied"),
            ("/tmp", "\"/tmp\": is a directory"),
            ("/etc/passwd/x", "\"/etc/passwd/x\": stat /etc/passwd/x: not a directory"),
        ] {
            let out = b.args(&[program]).start_command("create", &[]).output();
            out.fails(1, &format!("runc create failed: {prefix}{words}"));
            b.assert_gone();
            b.run().fails(1, &format!("runc run failed: {prefix}{words}"));
        }
    });
}

#[test]
fn working_directories_that_are_not_there() {
    case(|b| {
        b.args(&["/bin/true"]).set("/process/cwd", "/etc/passwd");
        b.run().fails(1, "not a directory");
        b.assert_gone();
        // One that is missing is made, also in a root file system that is read-only later.
        b.set("/process/cwd", "/no/such").run().ok();
    });
}

/// Programs that exist and still can't run.
fn unrunnable(b: &mut Bundle) -> [(&'static str, &'static str, &'static [&'static str]); 5] {
    b.file("/bin/no-interpreter", 0o755, "#!/no/such/interpreter\n");
    b.file("/bin/crlf", 0o755, "#!/bin/sh\r\necho hi\r\n");
    let mut elf = fs::read("/bin/busybox").unwrap();
    // e_machine: AArch64 on x86-64 and the other way round.
    elf[18] = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
    b.file("/bin/foreign", 0o755, elf);
    b.file("/bin/garbage", 0o755, "not a program");
    b.file("/opt/noexec/tool", 0o755, "#!/bin/sh\necho hi\n");
    let source = b.rootfs("/opt/noexec").display().to_string();
    b.mount(json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["bind", "noexec"]}));
    [
        ("/bin/no-interpreter", "no such file or directory", &["/no/such/interpreter"]),
        ("/bin/crlf", "no such file or directory", &["CR", "carriage", "\\r", "line ending"]),
        ("/bin/foreign", "exec format error", &["architecture", "aarch64", "AArch64", "arm64"]),
        ("/bin/garbage", "exec format error", &["#!", "shebang", "format"]),
        ("/mnt/tool", "permission denied", &["noexec"]),
    ]
}

#[test]
fn programs_that_cannot_be_executed() {
    case(|b| {
        for (program, words, _) in unrunnable(b) {
            let out = b.args(&[program]).run();
            assert!(out.code != 0 && out.err.contains(words) && out.err.contains(program), "{program}: {out}");
            b.assert_gone();
        }
    });
}

/// The errno alone misleads: the message says what is missing.
#[test]
fn programs_that_cannot_be_executed_and_why() {
    case(|b| {
        for (program, _, hints) in unrunnable(b) {
            let out = b.args(&[program]).run();
            assert!(hints.iter().any(|h| out.err.contains(h)), "{program} must say one of {hints:?}: {out}");
        }
        b.file("/bin/plain", 0o644, "#!/bin/sh\n");
        let out = b.args(&["/bin/plain"]).run();
        assert!(["x bit", "chmod", "executable"].iter().any(|h| out.err.contains(h)), "{out}");
    });
}

/// A bundle with ten faults is told all ten.
#[test]
fn all_faults_at_once() {
    case(|b| {
        b.set("/process/cwd", "relative")
            .set("/process/args", json!([]))
            .set("/process/rlimits/-", json!({"type": "RLIMIT_FOO", "soft": 1, "hard": 1}))
            .set("/process/scheduler", json!({"policy": "SCHED_OTHER", "nice": 20}))
            .set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 9}))
            .set("/linux/sysctl", json!({"kernel.core_pattern": "x"}))
            .set("/linux/namespaces/-", json!({"type": "bogus"}))
            .set("/linux/rootfsPropagation", "sideways")
            .set("/linux/devices", json!([{"path": "/dev/x", "type": "x"}]))
            .set("/linux/personality", json!({"domain": "SOLARIS"}));
        let out = b.start_command("create", &[]).output().code(1);
        for words in [
            "Cwd must be an absolute path",
            "args must not be empty",
            "RLIMIT_FOO",
            "invalid scheduler.nice: 20",
            "invalid ioPriority.Priority: 9",
            "kernel.core_pattern",
            "bogus",
            "sideways",
            "invalid device type",
            "SOLARIS",
        ] {
            assert!(out.err.contains(words), "{words} is not told: {out}");
        }
        b.assert_gone();
    });
}

/// On a host without: there is no machine with it to test the rest on.
#[test]
fn intel_rdt_without_resctrl() {
    case(|b| {
        assert!(!std::path::Path::new("/sys/fs/resctrl/schemata").is_file(), "this host has it: test it");
        let words = "intelRdt is specified in config, but Intel RDT is not";
        refused(b, &[("/linux/intelRdt", json!({"closID": "gold"}), words)]);
    });
}

#[test]
fn oom_in_set_up() {
    case(|b| {
        b.set("/linux/resources/memory", json!({"limit": 1})).args(&["/bin/true"]);
        let out = b.run();
        assert_ne!(out.code, 0, "{out}");
        b.assert_gone();
    });
}
