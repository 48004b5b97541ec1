//! One table a section: a change to the default bundle -> what is said about it. The messages are those of runc 1.4 where
//! it has one.

mod linux;
mod mounts;
mod namespaces;
mod process;

use serde_json::{Value, json};

use super::{HostFacts, IdMaps, Options, Rdt, validate, validate_process, validate_resources};
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
    errors(&[(json!({"annotations": {"": "x"}}), "/annotations/", "the key of an annotation must not be empty")]);
    let versions = ["1.0.2-dev", "1.3.0", "1.2.0-rc.1+build.7", "0.0.0", "10.20.30"];
    accepted(&HOST, &ROOT, &versions.map(|version| json!({ "ociVersion": version })));
    for version in ["", "1", "1.2", "1.2.3.4", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-a..b", "1.2.x", "1.2.3 "] {
        let problems = validate(&patched(json!({ "ociVersion": version })), &HOST, &ROOT);
        let why = format!("ociVersion {version:?} is not a version (MAJOR.MINOR.PATCH)");
        assert_eq!(told(&problems), [("/ociVersion", why.as_str())]);
        assert_eq!(problems[0].severity, Severity::Warning);
    }
    accepted(&HOST, &ROOT, &[json!({"x": {}})]);
    // Without `linux` there are no namespaces.
    accepted(&HOST, &ROOT, &[json!({"linux": null, "hostname": null, "mounts": []})]);
    table(
        &HOST,
        &ROOT,
        Severity::Warning,
        &[
            (
                json!({"annotations": {"bundle": "/etc"}}),
                "/annotations/bundle",
                "ignoring annotation \"bundle\": it would hide the path of the bundle",
            ),
            (
                json!({"linux": null, "hostname": null}),
                "/mounts",
                "ignoring all mounts: the container has no mount namespace of its own",
            ),
        ],
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
