//! Devices, resources, Intel RDT, memory policy, seccomp, hooks, labels.

use super::*;

#[test]
fn devices_and_resources() {
    let device = |d: Value| json!({"linux": {"devices": [d]}});
    let resources = |r: Value| json!({"linux": {"resources": r}});
    errors(&[
        (
            device(json!({"path": "/dev/x", "type": "x", "major": 1, "minor": 1})),
            "/linux/devices/0/type",
            "invalid device type \"x\"",
        ),
        (
            device(json!({"path": "/dev/x", "type": "c", "minor": 1})),
            "/linux/devices/0",
            "device \"/dev/x\" has no major number",
        ),
        (
            device(json!({"path": "/dev/x", "type": "b", "major": 1, "minor": -1})),
            "/linux/devices/0/minor",
            "device \"/dev/x\" has an invalid minor number -1",
        ),
        (
            device(json!({"path": "/dev/x", "type": "b", "major": 4096, "minor": 1})),
            "/linux/devices/0/major",
            "device \"/dev/x\" has an invalid major number 4096",
        ),
        (device(json!({"type": "p"})), "/linux/devices/0/path", "device path must not be empty"),
        (
            resources(json!({"devices": [{"allow": true}]})),
            "/linux/resources/devices/0/access",
            "device access at 0 field cannot be empty",
        ),
        (
            resources(json!({"devices": [{"allow": true, "access": "rwx"}]})),
            "/linux/resources/devices/0/access",
            "device access at 0 field is invalid: \"rwx\"",
        ),
        (
            resources(json!({"devices": [{"allow": true, "access": "r", "type": "p"}]})),
            "/linux/resources/devices/0/type",
            "invalid cgroup device type \"p\"",
        ),
        (
            resources(json!({"hugepageLimits": [{"pageSize": "../2MB", "limit": 1}]})),
            "/linux/resources/hugepageLimits/0/pageSize",
            "invalid hugepage size \"../2MB\"",
        ),
        (
            resources(json!({"unified": {"../x/cgroup.procs": "1"}})),
            "/linux/resources/unified/..~1x~1cgroup.procs",
            "unified resource \"../x/cgroup.procs\" must be a file name (no slashes)",
        ),
        (
            resources(json!({"unified": {"..": "1"}})),
            "/linux/resources/unified/..",
            "unified resource \"..\" must be in the form CONTROLLER.PARAMETER",
        ),
    ]);
    let mut old = default::spec(false);
    let changed = parse::resources(br#"{"unified":{"memory.max":"1"},"memory":{"swappiness":101}}"#).unwrap();
    old.linux.as_mut().unwrap().resources = Some(changed);
    assert_eq!(
        told(&validate(&old, &OLD_HOST, &ROOT)),
        [
            ("/linux/resources/unified", "invalid configuration: cannot use unified on cgroup v1"),
            ("/linux/resources/memory/swappiness", "invalid memory swappiness value: 101 (valid range is 0-100)"),
        ]
    );
    let systemd = Options { systemd_cgroup: true, ..ROOT };
    let path = |path: &str| json!({"linux": {"cgroupsPath": path}});
    table(
        &HOST,
        &systemd,
        Severity::Error,
        &[(
            path("/x"),
            "/linux/cgroupsPath",
            "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/x\" instead",
        )],
    );
    accepted(&HOST, &systemd, &[path("system.slice:a:b"), path(":a:b"), path("")]);
    accepted(
        &HOST,
        &ROOT,
        &[
            path("/x"),
            path("a:b:c"),
            device(json!({"path": "/dev/x", "type": "p"})),
            device(json!({"path": "/dev/x", "type": "u", "major": 0, "minor": 0})),
            resources(
                json!({"memory": {"disableOOMKiller": false}, "hugepageLimits": [{"pageSize": "64KB", "limit": 0}],
                "unified": {"memory.max": "1", "io.max": "8:0 rbps=1\n8:16 rbps=2"}}),
            ),
        ],
    );
}

#[test]
fn resources_that_v2_does_not_have() {
    for (asked, field) in [
        (json!({"memory": {"swappiness": 200}}), "memory/swappiness"),
        (json!({"memory": {"disableOOMKiller": true}}), "memory/disableOOMKiller"),
        (json!({"cpu": {"realtimeRuntime": 1}}), "cpu/realtimeRuntime"),
        (json!({"cpu": {"realtimePeriod": 1}}), "cpu/realtimePeriod"),
        (json!({"network": {"classID": 1}}), "network/classID"),
        (json!({"network": {"priorities": [{"name": "lo", "priority": 1}]}}), "network/priorities"),
        (json!({"blockIO": {"leafWeight": 10}}), "blockIO/leafWeight"),
    ] {
        let spec = patched(json!({"linux": {"resources": asked}}));
        let why = format!("{field} is ignored: cgroup v2 has nothing like it");
        let problems = validate(&spec, &HOST, &ROOT);
        assert_eq!(told(&problems), [(format!("/linux/resources/{field}").as_str(), why.as_str())]);
        assert_eq!(problems[0].severity, Severity::Warning);
        let v1 = HostFacts { cgroup_v2: false, ..HOST };
        assert!(validate(&spec, &v1, &ROOT).iter().all(|p| p.severity == Severity::Error), "{field}");
    }
}

#[test]
fn resources_of_an_update() {
    let resources = parse::resources(br#"{"unified":{"../x":"1"},"hugepageLimits":[{"pageSize":"x"}]}"#).unwrap();
    assert_eq!(
        told(&validate_resources(&resources, &OLD_HOST)),
        [
            ("/unified", "invalid configuration: cannot use unified on cgroup v1"),
            ("/unified/..~1x", "unified resource \"../x\" must be a file name (no slashes)"),
            ("/hugepageLimits/0/pageSize", "invalid hugepage size \"x\""),
        ]
    );
}

#[test]
fn intel_rdt() {
    let rdt = |r: Value| json!({"linux": {"intelRdt": r}});
    errors(&[
        (rdt(json!({"closID": ".."})), "/linux/intelRdt/closID", "invalid intelRdt.ClosID \"..\""),
        (rdt(json!({"closID": "a/b"})), "/linux/intelRdt/closID", "invalid intelRdt.ClosID \"a/b\""),
        (
            rdt(json!({"memBwSchema": "L3:0=f"})),
            "/linux/intelRdt/memBwSchema",
            "invalid intelRdt.memBwSchema \"L3:0=f\"",
        ),
        (
            rdt(json!({"l3CacheSchema": "L3:0=f\0"})),
            "/linux/intelRdt/l3CacheSchema",
            "invalid intelRdt.l3CacheSchema \"L3:0=f\\x00\": contains nul byte (\\x00)",
        ),
        (
            rdt(json!({"schemata": ["MB:0=20", "L3:0=f\nMB:0=1"]})),
            "/linux/intelRdt/schemata/1",
            "invalid intelRdt.schemata \"L3:0=f\\nMB:0=1\"",
        ),
    ]);
    accepted(
        &HOST,
        &ROOT,
        &[rdt(json!({"closID": "/", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20", "enableCMT": true}))],
    );
    let check = |r: Value, host: Rdt| {
        let facts = HostFacts { rdt: &|| host, ..HOST };
        validate(&patched(rdt(r)), &facts, &ROOT)[0].message.clone()
    };
    assert_eq!(check(json!({}), Rdt::default()), "intelRdt is specified in config, but Intel RDT is not enabled");
    let bare = Rdt { enabled: true, ..Rdt::default() };
    assert_eq!(
        check(json!({"l3CacheSchema": "L3:0=f"}), bare),
        "intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not enabled"
    );
    assert_eq!(
        check(json!({"memBwSchema": "MB:0=20"}), bare),
        "intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled"
    );
}

#[test]
fn memory_policy_and_personality() {
    let policy = |p: Value| json!({"linux": {"memoryPolicy": p}});
    let at = "/linux/memoryPolicy/nodes";
    let none = "memory policy mode requires at least one node but got 0";
    errors(&[
        (policy(json!({"mode": "X"})), "/linux/memoryPolicy/mode", "invalid memory policy mode \"X\""),
        (
            policy(json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["X"]})),
            "/linux/memoryPolicy/flags/0",
            "invalid memory policy flag \"X\"",
        ),
        (
            policy(json!({"mode": "MPOL_BIND", "nodes": "x"})),
            at,
            "invalid memory policy nodes \"x\": strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (policy(json!({"mode": "MPOL_DEFAULT", "nodes": "0-1"})), at, "memory policy mode requires 0 nodes but got 2"),
        (policy(json!({"mode": "MPOL_LOCAL", "nodes": "3"})), at, "memory policy mode requires 0 nodes but got 1"),
        (policy(json!({"mode": "MPOL_BIND"})), at, none),
        (policy(json!({"mode": "MPOL_INTERLEAVE"})), at, none),
        (policy(json!({"mode": "MPOL_PREFERRED_MANY"})), at, none),
        (policy(json!({"mode": "MPOL_WEIGHTED_INTERLEAVE"})), at, none),
        (
            json!({"linux": {"personality": {"domain": "X"}}}),
            "/linux/personality/domain",
            "invalid personality domain X",
        ),
    ]);
    table(
        &HOST,
        &ROOT,
        Severity::Warning,
        &[(
            json!({"linux": {"personality": {"domain": "LINUX", "flags": ["A", "B"]}}}),
            "/linux/personality/flags",
            "ignoring unsupported personality flags: [A B] because personality flag has not supported at this time",
        )],
    );
    accepted(
        &HOST,
        &ROOT,
        &[
            policy(json!({"mode": "MPOL_PREFERRED"})),
            policy(json!({"mode": "MPOL_INTERLEAVE", "nodes": "2-3", "flags": ["MPOL_F_STATIC_NODES"]})),
            json!({"linux": {"personality": {"domain": "LINUX32"}}}),
        ],
    );
}

#[test]
fn seccomp() {
    let profile = |p: Value| json!({"linux": {"seccomp": p}});
    let rule = |r: Value| profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/s", "syscalls": [r]}));
    let at = "/linux/seccomp";
    errors(&[
        (
            profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 0})),
            &format!("{at}/defaultErrnoRet"),
            "seccomp action SCMP_ACT_ALLOW does not support an errno, but 0 is given",
        ),
        (
            rule(json!({"names": ["read"], "action": "SCMP_ACT_KILL", "errnoRet": 1})),
            &format!("{at}/syscalls/0/errnoRet"),
            "seccomp action SCMP_ACT_KILL does not support an errno, but 1 is given",
        ),
        (
            rule(json!({"names": [], "action": "SCMP_ACT_KILL"})),
            &format!("{at}/syscalls/0/names"),
            "a seccomp rule must name at least one syscall",
        ),
        (
            profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"})),
            &format!("{at}/listenerMetadata"),
            "seccomp listenerMetadata is set, but listenerPath is not",
        ),
        (
            profile(json!({"defaultAction": "X"})),
            &format!("{at}/defaultAction"),
            "string X is not a valid action for seccomp",
        ),
        (
            profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["X"]})),
            &format!("{at}/architectures/0"),
            "string X is not a valid arch for seccomp",
        ),
        (
            profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]})),
            &format!("{at}/flags/0"),
            "seccomp flag X is not known to runc",
        ),
        (
            profile(json!({"defaultAction": "SCMP_ACT_NOTIFY"})),
            &format!("{at}/defaultAction"),
            "SCMP_ACT_NOTIFY cannot be used as default action",
        ),
        (
            rule(json!({"names": ["a"], "action": "X"})),
            &format!("{at}/syscalls/0/action"),
            "string X is not a valid action for seccomp",
        ),
        (
            rule(json!({"names": ["a"], "action": "SCMP_ACT_LOG", "args": [{"op": "X"}]})),
            &format!("{at}/syscalls/0/args/0/op"),
            "string X is not a valid operator for seccomp",
        ),
        (
            rule(json!({"names": ["a"], "action": "SCMP_ACT_LOG", "args": [{"op": "SCMP_CMP_EQ", "index": 6}]})),
            &format!("{at}/syscalls/0/args/0/index"),
            "seccomp argument index 6 is larger than 5",
        ),
        (
            rule(json!({"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"})),
            &format!("{at}/syscalls/0/names"),
            "SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
        (
            profile(
                json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_NOTIFY"}]}),
            ),
            &format!("{at}/listenerPath"),
            "seccomp listenerPath is not set",
        ),
    ]);
    accepted(
        &HOST,
        &ROOT,
        &[
            profile(json!({})),
            rule(json!({"names": ["no_such_call"], "action": "SCMP_ACT_NOTIFY"})),
            profile(json!({"defaultAction": "SCMP_ACT_KILL", "flags": [], "architectures": ["SCMP_ARCH_X32"]})),
        ],
    );
}

#[test]
fn hooks_paths_and_labels() {
    let hook = |h: Value| json!({"hooks": {"poststop": [{"path": "/bin/true"}, h]}});
    let nul = "contains nul byte (\\x00)";
    errors(&[
        (hook(json!({"path": "true"})), "/hooks/poststop/1/path", "poststop hook #1: path must be absolute: \"true\""),
        (
            hook(json!({"path": "/x", "timeout": 0})),
            "/hooks/poststop/1/timeout",
            "poststop hook #1: timeout must be greater than zero",
        ),
        (
            hook(json!({"path": "/x", "args": ["a\0"]})),
            "/hooks/poststop/1/args/0",
            &format!("invalid hook argument \"a\\x00\": {nul}"),
        ),
        (
            json!({"linux": {"mountLabel": "a:b\",size=1"}}),
            "/linux/mountLabel",
            "invalid mount label \"a:b\\\",size=1\"",
        ),
        (
            json!({"linux": {"maskedPaths": ["/a\0"]}}),
            "/linux/maskedPaths/0",
            &format!("invalid path \"/a\\x00\": {nul}"),
        ),
    ]);
    table(
        &HOST,
        &ROOT,
        Severity::Warning,
        &[(
            json!({"linux": {"readonlyPaths": ["proc/bus"]}}),
            "/linux/readonlyPaths/0",
            "readonlyPaths: \"proc/bus\" is not absolute",
        )],
    );
    let label = "selinux label is specified in config, but selinux is disabled or not supported";
    let no_selinux = HostFacts { selinux: &|| false, ..HOST };
    table(
        &no_selinux,
        &ROOT,
        Severity::Error,
        &[
            (json!({"process": {"selinuxLabel": "a:b:c"}}), "/process/selinuxLabel", label),
            (json!({"linux": {"mountLabel": "a:b:c"}}), "/linux/mountLabel", label),
        ],
    );
    accepted(
        &HOST,
        &ROOT,
        &[hook(json!({"path": "/x", "env": [], "timeout": 1})), json!({"linux": {"mountLabel": "a"}})],
    );
}
