//! One table a section: a change to the default bundle -> what is said about it. The messages are those of runc 1.4 where
//! it has one.

use serde_json::{Value, json};

use super::{HostFacts, IdMaps, Options, Rdt, validate, validate_process};
use crate::spec::problem::{Problem, Severity, join, warnings};
use crate::spec::{IdMapping, Spec, default, parse};

const HOST: HostFacts<'static> = HostFacts::COMPLETE;
/// No cgroup v2, no SELinux, no resctrl, only the namespaces of Linux 3.8, an old kernel's capabilities.
const OLD_HOST: HostFacts<'static> = HostFacts {
    cgroup_v2: false,
    last_cap: &|| 37,
    has_namespace: &|kind| !matches!(kind.name, "user" | "time" | "cgroup"),
    selinux: &|| false,
    rdt: &|| Rdt { enabled: false, l3: false, mb: false },
    is_own_netns: &|path| match path {
        "/proc/self/ns/net" => Ok(true),
        "/nosuch" => Err("stat /nosuch: no such file or directory".into()),
        _ => Ok(false),
    },
    userns_maps: &|path| match path {
        "/nosuch" => Err("open /nosuch: no such file or directory".into()),
        _ => Ok(Some(IdMaps { uid: vec![range(0, 1000, 10), range(10, 5000, 5)], gid: vec![range(0, 1000, 10)] })),
    },
};
const ROOT: Options = Options { rootless_euid: false, systemd_cgroup: false, no_pivot: false };
const ROOTLESS: Options = Options { rootless_euid: true, ..ROOT };

const fn range(container_id: u32, host_id: u32, size: u32) -> IdMapping {
    IdMapping { container_id, host_id, size }
}

/// RFC 7386: objects are merged, `null` removes, everything else replaces.
fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(patch) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (key, value) in patch {
                match value {
                    Value::Null => drop(target.as_object_mut().unwrap().remove(&key)),
                    value => merge(&mut target[key], value),
                }
            }
        }
        patch => *target = patch,
    }
}

fn patched(patch: Value) -> Spec {
    let mut config = serde_json::to_value(default::spec(true)).unwrap();
    merge(&mut config, patch);
    parse::config(config.to_string().as_bytes()).unwrap()
}

fn told(problems: &[Problem]) -> Vec<(&str, &str)> {
    problems.iter().map(|p| (p.field.as_str(), p.message.as_str())).collect()
}

/// Each patch must give exactly the one problem.
fn table(host: &HostFacts<'_>, options: &Options, severity: Severity, cases: &[(Value, &str, &str)]) {
    for (patch, field, message) in cases {
        let problems = validate(&patched(patch.clone()), host, options);
        assert_eq!(told(&problems), [(*field, *message)], "{patch}");
        assert_eq!(problems[0].severity, severity, "{patch}");
    }
}

fn errors(cases: &[(Value, &str, &str)]) {
    table(&HOST, &ROOT, Severity::Error, cases);
}

fn accepted(host: &HostFacts<'_>, options: &Options, patches: &[Value]) {
    for patch in patches {
        assert_eq!(told(&validate(&patched(patch.clone()), host, options)), [], "{patch}");
    }
}

/// The namespaces of the default bundle, changed.
fn namespaces(change: Value) -> Value {
    let mut all = vec!["pid", "network", "ipc", "uts", "mount", "cgroup"];
    if let Some(without) = change["without"].as_str() {
        all.retain(|kind| *kind != without);
    }
    let mut list: Vec<Value> = all.iter().map(|kind| json!({ "type": kind })).collect();
    list.extend(change["with"].as_array().cloned().unwrap_or_default());
    Value::Array(list)
}

#[test]
fn default_bundles_have_no_problem() {
    for (spec, options) in [
        (default::spec(true), ROOT),
        (default::spec(false), ROOT),
        (default::rootless(true, 1000, 1000), ROOTLESS),
        (default::rootless(true, 0, 0), ROOT),
    ] {
        assert_eq!(told(&validate(&spec, &HOST, &options)), []);
    }
    assert_eq!(told(&validate(&default::spec(false), &OLD_HOST, &ROOT)), []);
}

#[test]
fn top_level() {
    errors(&[
        (json!({"process": null}), "/process", "process property must not be empty"),
        (json!({"process": {"cwd": ""}}), "/process/cwd", "Cwd property must not be empty"),
        (json!({"process": {"cwd": "tmp"}}), "/process/cwd", "Cwd must be an absolute path"),
        (json!({"process": {"args": []}}), "/process/args", "args must not be empty"),
        (json!({"root": null}), "/root", "root must be specified"),
        (json!({"root": {"path": ""}}), "/root/path", "root path must not be empty"),
        (json!({"root": {"path": "a\0"}}), "/root/path", "invalid root path \"a\\x00\": contains nul byte (\\x00)"),
    ]);
    accepted(&HOST, &ROOT, &[json!({"ociVersion": "1.0.2-dev"}), json!({"ociVersion": "1.3.0"}), json!({"x": {}})]);
    // Without `linux` there are no namespaces.
    accepted(&HOST, &ROOT, &[json!({"linux": null, "hostname": null})]);
    table(
        &HOST,
        &ROOT,
        Severity::Warning,
        &[(
            json!({"annotations": {"bundle": "/etc"}}),
            "/annotations/bundle",
            "ignoring annotation \"bundle\": it would hide the path of the bundle",
        )],
    );
}

#[test]
fn users() {
    let unmapped = |key, id| format!("cannot set{key} to unmapped {key} {id} in user namespace");
    let userns = |user: Value| {
        json!({"process": {"user": user}, "linux": {
            "namespaces": namespaces(json!({"with": [{"type": "user"}]})),
            "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 5}, {"containerID": 9, "hostID": 5000, "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
        }})
    };
    errors(&[
        (json!({"process": {"user": {"uid": u32::MAX}}}), "/process/user/uid", &unmapped("uid", u32::MAX)),
        (json!({"process": {"user": {"gid": u32::MAX}}}), "/process/user/gid", &unmapped("gid", u32::MAX)),
        (
            json!({"process": {"user": {"additionalGids": [1, u32::MAX]}}}),
            "/process/user/additionalGids/1",
            "invalid additional gid 4294967295",
        ),
        (userns(json!({"uid": 5})), "/process/user/uid", &unmapped("uid", 5)),
        (userns(json!({"gid": 1})), "/process/user/gid", &unmapped("gid", 1)),
    ]);
    accepted(
        &HOST,
        &ROOT,
        &[
            userns(json!({"uid": 4})),
            userns(json!({"uid": 9})),
            json!({"process": {"user": {"uid": u32::MAX - 1, "additionalGids": [0, 5]}}}),
            json!({"process": {"user": null}}),
        ],
    );
}

#[test]
fn environment_and_arguments() {
    errors(&[
        (json!({"process": {"env": ["A"]}}), "/process/env/0", "invalid environment variable: missing '='"),
        (json!({"process": {"env": [""]}}), "/process/env/0", "invalid environment variable: missing '='"),
        (
            json!({"process": {"env": ["A=1", "=x"]}}),
            "/process/env/1",
            "invalid environment variable: name cannot be empty",
        ),
        (
            json!({"process": {"env": ["A=secret\0"]}}),
            "/process/env/0",
            "invalid environment variable \"A\": contains nul byte (\\x00)",
        ),
        (
            json!({"process": {"args": ["sh", "a\0b"]}}),
            "/process/args/1",
            "invalid argument \"a\\x00b\": contains nul byte (\\x00)",
        ),
        (json!({"process": {"cwd": "/\0"}}), "/process/cwd", "invalid cwd \"/\\x00\": contains nul byte (\\x00)"),
    ]);
    accepted(
        &HOST,
        &ROOT,
        &[json!({"process": {"env": ["A=", "A=1\n2", "B==", "C=a=b", "LD_PRELOAD=x"], "args": [""]}})],
    );
}

#[test]
fn scheduling() {
    let scheduler = |s: Value| json!({"process": {"scheduler": s}});
    errors(&[
        (scheduler(json!({})), "/process/scheduler/policy", "scheduler policy is required"),
        (
            scheduler(json!({"policy": "SCHED_OTHER", "nice": 20})),
            "/process/scheduler/nice",
            "invalid scheduler.nice: 20 when scheduler.policy is SCHED_OTHER",
        ),
        (
            scheduler(json!({"policy": "SCHED_BATCH", "nice": -21})),
            "/process/scheduler/nice",
            "invalid scheduler.nice: -21 when scheduler.policy is SCHED_BATCH",
        ),
        (
            scheduler(json!({"policy": "SCHED_OTHER", "priority": 1})),
            "/process/scheduler/priority",
            "scheduler.priority can only be specified for SchedFIFO or SchedRR policy",
        ),
        (
            scheduler(json!({"policy": "SCHED_FIFO", "runtime": 1})),
            "/process/scheduler",
            "scheduler runtime/deadline/period can only be specified for SchedDeadline policy",
        ),
        (scheduler(json!({"policy": "SCHED_X"})), "/process/scheduler/policy", "invalid scheduler policy: SCHED_X"),
        (
            scheduler(json!({"policy": "SCHED_RR", "flags": ["SCHED_RESET_ON_FORK"]})),
            "/process/scheduler/flags/0",
            "invalid scheduler flag: SCHED_RESET_ON_FORK",
        ),
        (
            json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 9}}}),
            "/process/ioPriority/priority",
            "invalid ioPriority.Priority: 9",
        ),
        (
            json!({"process": {"ioPriority": {"class": "X"}}}),
            "/process/ioPriority/class",
            "invalid ioPriority.Class: \"X\"",
        ),
        (
            json!({"process": {"execCPUAffinity": {"initial": "x"}}}),
            "/process/execCPUAffinity/initial",
            "bad CPUAffinity.Initial: strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            json!({"process": {"execCPUAffinity": {"initial": "0", "final": "3-1"}}}),
            "/process/execCPUAffinity/final",
            "bad CPUAffinity.Final: invalid range: 3-1",
        ),
        (
            json!({"process": {"oomScoreAdj": 1001}}),
            "/process/oomScoreAdj",
            "failed to update /proc/self/oom_score_adj: Invalid argument: 1001 is not in -1000..1000",
        ),
    ]);
    accepted(
        &HOST,
        &ROOT,
        &[
            scheduler(json!({"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3,
                "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN"]})),
            scheduler(json!({"policy": "SCHED_FIFO", "priority": 50, "nice": 0})),
            json!({"process": {"execCPUAffinity": {"initial": "7", "final": "0-3,7"}, "oomScoreAdj": -1000,
                "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 4}}}),
        ],
    );
}

#[test]
fn rlimits() {
    let rlimit = |kind: &str, soft: u64, hard: u64| json!({"type": kind, "soft": soft, "hard": hard});
    let rlimits = |list: Vec<Value>| json!({"process": {"rlimits": list}});
    errors(&[
        (rlimits(vec![rlimit("RLIMIT_FOO", 1, 1)]), "/process/rlimits/0/type", "wrong rlimit value: RLIMIT_FOO"),
        (
            rlimits(vec![rlimit("RLIMIT_NOFILE", 2, 1)]),
            "/process/rlimits/0",
            "error setting rlimit type 7: invalid argument: soft limit 2 of RLIMIT_NOFILE is above hard limit 1",
        ),
        (
            rlimits(vec![rlimit("RLIMIT_CORE", 1, 1), rlimit("RLIMIT_CORE", 2, 2)]),
            "/process/rlimits/1/type",
            "duplicated rlimit RLIMIT_CORE with another value",
        ),
    ]);
    accepted(
        &HOST,
        &ROOT,
        &[rlimits(vec![rlimit("RLIMIT_CORE", 0, u64::MAX), rlimit("RLIMIT_CORE", 0, u64::MAX)]), rlimits(vec![])],
    );
}

#[test]
fn capabilities() {
    let caps = |patch: Value| json!({"process": {"capabilities": patch}});
    let at = "/process/capabilities";
    table(
        &HOST,
        &ROOT,
        Severity::Warning,
        &[
            (
                caps(json!({"bounding": ["CAP_FOO", "CAP_KILL"], "inheritable": ["CAP_BAR"], "ambient": ["CAP_FOO"]})),
                at,
                "ignoring unknown or unavailable capabilities: [CAP_BAR CAP_FOO]",
            ),
            (
                caps(json!({"effective": ["cap_chown"]})),
                at,
                "ignoring unknown or unavailable capabilities: [cap_chown]",
            ),
        ],
    );
    let bpf = validate(&patched(caps(json!({"permitted": ["CAP_BPF", "CAP_AUDIT_READ"]}))), &OLD_HOST, &ROOT);
    let told: Vec<_> = bpf.iter().map(|p| p.message.as_str()).filter(|m| m.contains("capabilities")).collect();
    assert_eq!(told, ["ignoring unknown or unavailable capabilities: [CAP_BPF]"]);
    accepted(&HOST, &ROOT, &[json!({"process": {"capabilities": null}}), caps(json!({"bounding": []}))]);
}

#[test]
fn mounts() {
    let mounts = |mount: Value| json!({"mounts": [mount]});
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    let shown = |dest: &str, kind: &str, options: &str, uid: &str, gid: &str| {
        format!(
            "invalid mount {{Destination:{dest} Type:{kind} Source: Options:[{options}] UIDMappings:[{uid}] \
             GIDMappings:[{gid}]}}: "
        )
    };
    let range = "{ContainerID:0 HostID:1000 Size:1}";
    errors(&[
        (
            mounts(json!({"destination": "/a", "type": "none", "options": ["rbind", "x=1"]})),
            "/mounts/0/options",
            &(shown("/a", "none", "rbind x=1", "", "")
                + "bind mounts cannot have any filesystem-specific options applied"),
        ),
        (
            mounts(
                json!({"destination": "/a", "type": "tmpfs", "options": ["idmap"], "uidMappings": map, "gidMappings": map}),
            ),
            "/mounts/0",
            &(shown("/a", "tmpfs", "idmap", range, range) + "id-mapped mounts are only supported for bind-mounts"),
        ),
        (
            mounts(json!({"destination": "/a", "options": ["bind"], "uidMappings": map})),
            "/mounts/0",
            &(shown("/a", "", "bind", range, "") + "id-mapped mounts must have both uid and gid mappings specified"),
        ),
        (
            mounts(json!({"destination": "/a", "options": ["bind", "ridmap"]})),
            "/mounts/0",
            &(shown("/a", "", "bind ridmap", "", "")
                + "id-mapped mounts must have both uid and gid mappings specified"),
        ),
        (
            mounts(json!({"destination": "/a\0", "type": "tmpfs"})),
            "/mounts/0",
            &(shown("/a\0", "tmpfs", "", "", "") + "mount field contains null byte"),
        ),
        (mounts(json!({"type": "tmpfs"})), "/mounts/0/destination", "mount destination must not be empty"),
        (
            mounts(json!({"destination": "/a", "options": ["bind"], "uidMappings": [{"size": 0}], "gidMappings": map})),
            "/mounts/0/uidMappings/0/size",
            "invalid id mapping: size must not be zero",
        ),
    ]);
    table(
        &HOST,
        &ROOT,
        Severity::Warning,
        &[(
            mounts(json!({"destination": "dev", "type": "tmpfs"})),
            "/mounts/0/destination",
            "mount destination dev is not absolute. Support for non-absolute mount destinations will be removed in a \
             future release.",
        )],
    );
    accepted(
        &HOST,
        &ROOT,
        &[
            mounts(json!({"destination": "/a", "source": "/b", "options": ["bind", "defaults", "rro"]})),
            mounts(json!({"destination": "/a", "type": "tmpfs", "options": ["defaults", "size=1k"]})),
            mounts(json!({"destination": "/a", "options": ["bind", "idmap"], "uidMappings": map, "gidMappings": map})),
        ],
    );
    // The user namespace's maps are the mount's.
    let mut with_userns = mounts(json!({"destination": "/a", "options": ["rbind", "ridmap"]}));
    with_userns["linux"] = json!({
        "namespaces": namespaces(json!({"with": [{"type": "user"}]})), "uidMappings": map, "gidMappings": map
    });
    accepted(&HOST, &ROOT, &[with_userns]);
}

#[test]
fn nothing_is_mounted_inside_proc() {
    for (destination, kind, options, message) in [
        ("/proc/x", "tmpfs", "ro", Some("\"/proc/x\" cannot be mounted because it is inside /proc")),
        ("/proc/x", "proc", "ro", Some("\"/proc/x\" cannot be mounted because it is inside /proc")),
        ("/proc/sys", "none", "bind", Some("\"/proc/sys\" cannot be mounted because it is inside /proc")),
        (
            "//a/.././proc//self/attr/",
            "none",
            "bind",
            Some("\"/proc/self/attr\" cannot be mounted because it is inside /proc"),
        ),
        ("/../proc/uptime/x", "none", "bind", Some("\"/proc/uptime/x\" cannot be mounted because it is inside /proc")),
        ("/proc", "tmpfs", "ro", Some("\"/proc\" cannot be mounted because it is not of type proc")),
        ("/proc/.", "sysfs", "ro", Some("\"/proc\" cannot be mounted because it is not of type proc")),
        ("/proc", "proc", "ro", None),
        ("/proc", "none", "rbind", None),
        ("/proc/uptime", "none", "bind", None),
        ("/proc/sys/kernel/ns_last_pid", "none", "bind", None),
        ("/procfs", "tmpfs", "ro", None),
    ] {
        let spec = patched(json!({"mounts": [{"destination": destination, "type": kind, "options": [options]}]}));
        let problems = validate(&spec, &HOST, &ROOT);
        let expected: Vec<_> = message.into_iter().map(|m| ("/mounts/0", m)).collect();
        assert_eq!(told(&problems), expected, "{destination}");
    }
}

#[test]
fn namespaces_and_maps() {
    let ns = |change: Value| json!({"linux": {"namespaces": namespaces(change)}});
    let user = |uid: Value, gid: Value| {
        json!({"linux": {"namespaces": namespaces(json!({"with": [{"type": "user"}]})),
            "uidMappings": uid, "gidMappings": gid}})
    };
    let map = |container: u32, host: u32, size: u32| json!([{"containerID": container, "hostID": host, "size": size}]);
    let at = "/linux/namespaces/6";
    errors(&[
        (ns(json!({"with": [{"type": "bogus"}]})), at, "namespace {\"bogus\" \"\"} does not exist"),
        (
            ns(json!({"with": [{"type": "pid", "path": "/proc/1/ns/pid"}]})),
            at,
            "malformed spec file: duplicated ns {\"pid\" \"/proc/1/ns/pid\"}",
        ),
        (
            ns(json!({"with": [{"type": "time", "path": "proc/1/ns/time"}]})),
            "/linux/namespaces/6/path",
            "namespace path \"proc/1/ns/time\" is not absolute",
        ),
        (user(json!([]), map(0, 1, 1)), "/linux/uidMappings", "user namespaces enabled, but no uid mappings found"),
        (user(map(0, 1, 1), json!([])), "/linux/gidMappings", "user namespaces enabled, but no gid mappings found"),
        (
            user(map(1, 1, 1), map(0, 1, 1)),
            "/linux/uidMappings",
            "user namespaces enabled, but no mapping found for uid 0",
        ),
        (
            user(map(0, 1, 1), map(1, 1, 9)),
            "/linux/gidMappings",
            "user namespaces enabled, but no mapping found for gid 0",
        ),
        (
            user(map(0, u32::MAX, 2), map(0, 1, 1)),
            "/linux/uidMappings/0",
            "invalid id mapping: range goes past the last id",
        ),
        (ns(json!({"without": "uts"})), "/hostname", "unable to set hostname without a private UTS namespace"),
        (
            json!({"hostname": "", "domainname": "x", "linux": {"namespaces": namespaces(json!({"without": "uts"}))}}),
            "/domainname",
            "unable to set domainname without a private UTS namespace",
        ),
        (
            json!({"hostname": "x".repeat(65)}),
            "/hostname",
            "sethostname: invalid argument: hostname is longer than 64 bytes",
        ),
        (
            ns(json!({"without": "mount"})),
            "/linux/maskedPaths",
            "unable to restrict sys entries without a private MNT namespace",
        ),
        (
            json!({"linux": {"maskedPaths": [], "namespaces": namespaces(json!({"without": "mount"}))}}),
            "/linux/readonlyPaths",
            "unable to restrict sys entries without a private MNT namespace",
        ),
        (
            json!({"linux": {"timeOffsets": {"boottime": {"secs": 1}}}}),
            "/linux/timeOffsets",
            "time namespace offsets specified, but time namespace isn't enabled in the config",
        ),
        (
            json!({"linux": {"timeOffsets": {"boottime": {"secs": 1}},
                "namespaces": namespaces(json!({"with": [{"type": "time", "path": "/x"}]}))}}),
            "/linux/timeOffsets",
            "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one",
        ),
        (
            json!({"linux": {"timeOffsets": {"real/time": {}}, "namespaces": namespaces(json!({"with": [{"type": "time"}]}))}}),
            "/linux/timeOffsets/real~1time",
            "invalid clock \"real/time\" in timeOffsets",
        ),
        (
            json!({"linux": {"rootfsPropagation": "x"}}),
            "/linux/rootfsPropagation",
            "rootfsPropagation=x is not supported",
        ),
    ]);
    let no_pivot = Options { no_pivot: true, ..ROOT };
    table(
        &HOST,
        &no_pivot,
        Severity::Error,
        &[(
            json!({"linux": {"rootfsPropagation": "rprivate"}}),
            "/linux/rootfsPropagation",
            "rootfsPropagation of [r]private is not safe without pivot_root",
        )],
    );
    accepted(
        &HOST,
        &ROOT,
        &[
            user(map(0, 100_000, 65536), map(0, 100_000, 65536)),
            // Maps without the namespace are ignored.
            json!({"linux": {"uidMappings": map(5, 5, 5)}}),
            ns(json!({"with": [{"type": "user", "path": "/proc/1/ns/user"}]})),
            json!({"linux": {"rootfsPropagation": "rslave"}}),
        ],
    );
}

#[test]
fn kernels_without_a_namespace() {
    for (kind, message) in [
        ("user", "user namespaces aren't enabled in the kernel"),
        ("time", "time namespaces aren't enabled in the kernel"),
        ("cgroup", "cgroup namespaces aren't enabled in the kernel"),
    ] {
        let mut spec = default::spec(false);
        let linux = spec.linux.as_mut().unwrap();
        linux.namespaces.push(crate::spec::Namespace { kind: kind.into(), path: "/x".into() });
        assert_eq!(told(&validate(&spec, &OLD_HOST, &ROOT)), [("/linux/namespaces/5", message)]);
    }
}

#[test]
fn maps_beside_a_path_must_be_the_same() {
    let at = |path: &str, uid: Value, gid: Value| {
        let mut spec = patched(json!({"linux": {
            "namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "user", "path": path}],
            "uidMappings": uid, "gidMappings": gid
        }}));
        spec.hostname.clear();
        spec
    };
    let host = HostFacts { has_namespace: &|_| true, ..OLD_HOST };
    let uid = json!([
        {"containerID": 10, "hostID": 5000, "size": 5},
        {"containerID": 0, "hostID": 1000, "size": 10},
    ]);
    let gid = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    assert_eq!(told(&validate(&at("/ns", uid.clone(), gid.clone()), &host, &ROOT)), []);
    let different = validate(&at("/ns", gid.clone(), gid.clone()), &host, &ROOT);
    assert_eq!(
        told(&different),
        [(
            "/linux/uidMappings",
            "user namespaces enabled, but both namespace path and non-matching mapping specified -- you may only \
             provide one"
        )]
    );
    let missing = validate(&at("/nosuch", uid, gid), &host, &ROOT);
    assert_eq!(
        told(&missing),
        [("/linux/namespaces", "failed to cache mappings for userns: open /nosuch: no such file or directory")]
    );
}

#[test]
fn sysctls() {
    let sysctl = |key: &str, without: &str| json!({"hostname": "", "linux": {"sysctl": {key: "1"}, "namespaces": namespaces(json!({"without": without}))}});
    let at = "/linux/sysctl/";
    for (key, without, message) in [
        ("kernel.core_pattern", "", "sysctl \"kernel.core_pattern\" is not in a separate kernel namespace"),
        ("kernel.shmmax", "ipc", "sysctl \"kernel.shmmax\" is not allowed in the hosts ipc namespace"),
        ("fs.mqueue.msg_max", "ipc", "sysctl \"fs.mqueue.msg_max\" is not allowed in the hosts ipc namespace"),
        ("net.ipv4.ip_forward", "network", "sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace"),
        ("kernel.domainname", "uts", "sysctl \"kernel.domainname\" is not in a separate kernel namespace"),
        ("kernel.hostname", "uts", "sysctl \"kernel.hostname\" is not in a separate kernel namespace"),
        (
            "kernel.hostname",
            "",
            "sysctl \"kernel.hostname\" is not allowed as it conflicts with the OCI \"hostname\" field",
        ),
        (
            "user.max_pid_namespaces",
            "",
            "setting ucounts without a user namespace not allowed: user.max_pid_namespaces",
        ),
        ("net.//.kernel.shmmni", "", "sysctl \"net.//.kernel.shmmni\" is not in a separate kernel namespace"),
    ] {
        let pointer = format!("{at}{}", key.replace('/', "~1"));
        errors(&[(sysctl(key, without), &pointer, message)]);
    }
    errors(&[
        (
            sysctl("net/ipv4/conf/eno2.100/rp_filter", "network"),
            "/linux/sysctl/net~1ipv4~1conf~1eno2.100~1rp_filter",
            "sysctl \"net.ipv4.conf.eno2/100.rp_filter\" not allowed in host network namespace",
        ),
        (
            json!({"linux": {"sysctl": {"kernel.shm_rmid_forced": "1+kernel.core_pattern=|/x"}}}),
            "/linux/sysctl/kernel.shm_rmid_forced",
            "invalid value of sysctl \"kernel.shm_rmid_forced\": contains another assignment",
        ),
        (
            json!({"linux": {"sysctl": {"kernel.shm_rmid_forced": "1\nx"}}}),
            "/linux/sysctl/kernel.shm_rmid_forced",
            "invalid value of sysctl \"kernel.shm_rmid_forced\": contains a line break",
        ),
    ]);
    accepted(
        &HOST,
        &ROOT,
        &[sysctl("kernel.shmmax", ""), sysctl("net/ipv4/ip_forward", ""), sysctl("kernel.domainname", "")],
    );
}

#[test]
fn net_sysctls_in_a_joined_namespace() {
    for (path, message) in [
        ("/proc/self/ns/net", Some("sysctl \"net.core.somaxconn\" not allowed in host network namespace")),
        ("/nosuch", Some("invalid netns path: stat /nosuch: no such file or directory")),
        ("/run/netns/a", None),
    ] {
        let spec = patched(json!({"hostname": "", "linux": {"sysctl": {"net.core.somaxconn": "1"},
            "namespaces": [{"type": "mount"}, {"type": "network", "path": path}]}}));
        let expected: Vec<_> = message.into_iter().map(|m| ("/linux/sysctl/net.core.somaxconn", m)).collect();
        assert_eq!(told(&validate(&spec, &OLD_HOST, &ROOT)), expected, "{path}");
    }
}

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
            resources(json!({"memory": {"swappiness": 200}, "hugepageLimits": [{"pageSize": "64KB", "limit": 0}],
                "unified": {"memory.max": "1", "io.max": "8:0 rbps=1\n8:16 rbps=2"}})),
        ],
    );
}

#[test]
fn network_devices() {
    let devices = |d: Value| json!({"linux": {"netDevices": d}});
    let at = |name: &str| format!("/linux/netDevices/{name}");
    errors(&[
        (devices(json!({"a b": {}})), &at("a b"), "invalid network device name \"a b\""),
        (devices(json!({"eth0": {"name": ".."}})), &at("eth0/name"), "invalid network device name \"..\""),
        (devices(json!({"eth0": {"name": "a:1"}})), &at("eth0/name"), "invalid network device name \"a:1\""),
        (
            devices(json!({"abcdefghijklmnop": {}})),
            &at("abcdefghijklmnop"),
            "invalid network device name \"abcdefghijklmnop\"",
        ),
        (
            json!({"linux": {"netDevices": {"eth0": {}}, "namespaces": namespaces(json!({"without": "network"}))}}),
            "/linux/netDevices",
            "unable to move network devices without a NET namespace",
        ),
    ]);
    accepted(&HOST, &ROOT, &[devices(json!({"eth0": {"name": "eth%d"}, "abcdefghijklmno": {}}))]);
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

#[test]
fn rootless() {
    let check = |patch: Value| {
        let mut config = serde_json::to_value(default::rootless(true, 1000, 1000)).unwrap();
        merge(&mut config, patch);
        let problems = validate(&parse::config(config.to_string().as_bytes()).unwrap(), &HOST, &ROOTLESS);
        problems.into_iter().map(|p| p.message).collect::<Vec<_>>()
    };
    assert_eq!(
        check(json!({"linux": {"namespaces": namespaces(json!({}))}})),
        ["rootless container requires user namespaces"]
    );
    assert_eq!(
        check(json!({"linux": {"uidMappings": [], "gidMappings": []}})),
        [
            "user namespaces enabled, but no uid mappings found",
            "user namespaces enabled, but no gid mappings found",
            "rootless containers requires at least one UID mapping",
            "rootless containers requires at least one GID mapping",
        ]
    );
    assert_eq!(
        check(json!({"process": {"user": {"additionalGids": [0]}}})),
        ["cannot set any additional groups in a rootless container"]
    );
    assert_eq!(
        check(json!({"mounts": [{"destination": "/a", "type": "tmpfs", "options": ["uid=5", "gid=0", "uid=x"]}]})),
        ["cannot specify uid=5 mount option for rootless container: user namespaces enabled, but no mapping found \
             for uid 5"]
    );
    assert!(
        check(json!({"mounts": [{"destination": "/a", "options": ["bind", "idmap"]}]}))[0]
            .ends_with("id-mapped mounts are not supported for rootless containers")
    );
    assert_eq!(
        check(
            json!({"linux": {"netDevices": {"eth0": {}}, "namespaces": namespaces(json!({"with": [{"type": "user"}]}))}})
        ),
        ["network devices are not supported for rootless containers"]
    );
}

#[test]
fn ten_faults_are_told_at_once() {
    let spec = patched(json!({
        "process": {"cwd": "", "env": ["A"], "rlimits": [{"type": "RLIMIT_X"}], "capabilities": {"ambient": ["CAP_X"]}},
        "root": null,
        "mounts": [{"destination": "/proc/x", "type": "tmpfs"}],
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "x"}],
            "sysctl": {"vm.swappiness": "1"},
            "seccomp": {"defaultAction": "X"},
            "devices": [{"path": "/dev/x", "type": "x"}],
            "rootfsPropagation": "x",
        },
    }));
    let problems = validate(&spec, &HOST, &ROOT);
    let error = join(&problems, "config.json").unwrap().to_string();
    assert!(error.starts_with("Cwd property must not be empty (config.json /process/cwd); 10 more: [2] root must be"));
    for text in [
        "(/root)",
        "(/mounts/0)",
        "(/linux/devices/0/type)",
        "(/linux/rootfsPropagation)",
        "(/linux/namespaces/1)",
        "(/hostname)",
        "(/linux/seccomp/defaultAction)",
        "(/linux/sysctl/vm.swappiness)",
        "(/process/rlimits/0/type)",
        "[11] invalid environment variable: missing '=' (/process/env/0)",
    ] {
        assert!(error.contains(text), "{text}: {error}");
    }
    assert!(!error.contains('\n'));
    assert_eq!(warnings(&problems).collect::<Vec<_>>(), ["ignoring unknown or unavailable capabilities: [CAP_X]"]);
}

#[test]
fn process_json_has_fields_of_its_own() {
    let process = parse::process(
        br#"{"cwd":"x","user":{"uid":7,"gid":7},"env":["A"],"rlimits":[{"type":"RLIMIT_FOO"}],
        "capabilities":{"bounding":["CAP_X"]}}"#,
    )
    .unwrap();
    let map = [range(0, 1000, 1)];
    let problems = validate_process(&process, Some(IdMaps { uid: &map, gid: &map }), &HOST, &ROOT);
    assert_eq!(
        told(&problems),
        [
            ("/cwd", "Cwd must be an absolute path"),
            ("/args", "args must not be empty"),
            ("/user/uid", "cannot setuid to unmapped uid 7 in user namespace"),
            ("/user/gid", "cannot setgid to unmapped gid 7 in user namespace"),
            ("/capabilities", "ignoring unknown or unavailable capabilities: [CAP_X]"),
            ("/rlimits/0/type", "wrong rlimit value: RLIMIT_FOO"),
            ("/env/0", "invalid environment variable: missing '='"),
        ]
    );
    let error = join(&problems, "process.json").unwrap().to_string();
    assert!(error.starts_with("Cwd must be an absolute path (process.json /cwd); 5 more: "), "{error}");
}
