//! The `process` object.

use super::*;

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
        (
            userns(json!({"additionalGids": [0, 1]})),
            "/process/user/additionalGids/1",
            "setgroups: invalid argument: unmapped gid 1 in user namespace",
        ),
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
