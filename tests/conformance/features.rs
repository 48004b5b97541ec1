//! Every value of `features` is taken where config.json has it, and what it does not list is not: neither document nor program knows
//! more than the other.

use dunnage::spec::mount_options;
use dunnage::spec::problem::Severity;
use dunnage::spec::validate::{HostFacts, Options, validate};
use dunnage::spec::{default, parse};
use serde_json::{Value, json};
use std::path::Path;

fn features() -> Value {
    serde_json::from_slice(&super::dunnage(&["features"], Path::new("/"))).unwrap()
}

fn list(document: &Value, pointer: &str) -> Vec<String> {
    let value = document.pointer(pointer).unwrap_or_else(|| panic!("features has no {pointer}"));
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

/// What validation says of the default configuration with this in it: errors, and warnings.
fn told(pointer: &str, value: Value) -> (Vec<String>, Vec<String>) {
    let mut config = serde_json::to_value(default::spec(true)).unwrap();
    let mut at = &mut config;
    for key in pointer.trim_start_matches('/').split('/') {
        if at.is_null() {
            *at = json!({});
        }
        at = &mut at[key];
    }
    *at = value;
    let spec = match parse::config(config.to_string().as_bytes()) {
        Ok(spec) => spec,
        Err(e) => return (vec![e.to_string()], Vec::new()),
    };
    let problems = validate(&spec, &HostFacts::COMPLETE, &Options::default());
    let of = |severity| problems.iter().filter(|p| p.severity == severity).map(|p| p.message.clone()).collect();
    (of(Severity::Error), of(Severity::Warning))
}

#[track_caller]
fn taken(pointer: &str, value: Value) {
    assert_eq!(told(pointer, value.clone()), (vec![], vec![]), "{pointer} {value}");
}

#[track_caller]
fn refused(pointer: &str, value: Value) {
    assert!(!told(pointer, value.clone()).0.is_empty(), "{pointer} {value} is taken");
}

#[test]
fn versions() {
    let f = features();
    for key in ["ociVersionMin", "ociVersionMax"] {
        taken("/ociVersion", f[key].clone());
    }
    let number = |key: &str| -> Vec<u32> { f[key].as_str().unwrap().split('.').map(|n| n.parse().unwrap()).collect() };
    assert!(number("ociVersionMin") <= number("ociVersionMax"));
    assert_eq!(f["ociVersionMax"], serde_json::to_value(default::spec(true)).unwrap()["ociVersion"]);
}

#[test]
fn hooks() {
    let names = list(&features(), "/hooks");
    for name in &names {
        taken("/hooks", json!({ name: [{"path": "/bin/true"}] }));
        // It is read, and not passed over as an unknown key.
        refused("/hooks", json!({ name: [{"path": "relative"}] }));
    }
    assert_eq!(names.len(), 6);
    taken("/hooks", json!({"unheard": [{"path": "relative"}]}));
}

#[test]
fn mount_options_and_nothing_of_a_file_system() {
    let names = list(&features(), "/mountOptions");
    for name in &names {
        assert_eq!(mount_options::parse(&[name.as_str()]).data, "", "{name} is passed to the file system");
    }
    for other in ["size=5", "mode=755", "lowerdir=/a", "nr_inodes=2", "unheard", "RO", ""] {
        assert!(!names.iter().any(|n| n == other), "{other}");
    }
    for of_the_file_system in ["size=5", "unheard", "RO"] {
        assert_eq!(mount_options::parse(&[of_the_file_system]).data, of_the_file_system);
    }
    // A key of its own says so; older runtimes do not list them.
    for extension in ["idmap", "ridmap"] {
        assert!(mount_options::parse(&["bind", extension]).idmap.is_some() && !names.iter().any(|n| n == extension));
    }
}

#[test]
fn namespaces() {
    let names = list(&features(), "/linux/namespaces");
    let base = |kind: &str| {
        let mut all: Vec<Value> =
            ["pid", "mount", "uts"].iter().filter(|k| **k != kind).map(|k| json!({ "type": k })).collect();
        all.push(json!({ "type": kind }));
        Value::Array(all)
    };
    for name in names.iter().filter(|n| *n != "user") {
        taken("/linux/namespaces", base(name));
    }
    let map = json!([{"containerID": 0, "hostID": 1, "size": 1}]);
    let (namespaces, uids) = (base("user"), map.clone());
    let linux = json!({"namespaces": namespaces, "uidMappings": uids, "gidMappings": map});
    taken("/linux", linux);
    for name in ["unheard", "net", "mnt", "PID"] {
        refused("/linux/namespaces", base(name));
    }
}

#[test]
fn capabilities() {
    for name in list(&features(), "/linux/capabilities") {
        taken("/process/capabilities", json!({"bounding": [name], "effective": [name], "permitted": [name]}));
    }
    for name in ["CAP_UNHEARD", "KILL", "cap_kill"] {
        let (errors, warnings) = told("/process/capabilities", json!({"bounding": [name]}));
        assert!(errors.is_empty() && warnings[0].contains(name), "{errors:?} {warnings:?}");
    }
}

#[test]
fn cgroups() {
    let f = features();
    assert_eq!(
        f["linux"]["cgroup"],
        json!({"v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true})
    );
    taken("/linux/resources/rdma", json!({"mlx5_1": {"hcaHandles": 3}}));
}

#[test]
fn seccomp() {
    let f = features();
    assert_eq!(f["linux"]["seccomp"]["enabled"], true);
    let at = "/linux/seccomp";
    let with = |key: &str, value: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", key: value});
    for action in list(&f, "/linux/seccomp/actions") {
        let mut profile = with("syscalls", json!([{"names": ["getcwd"], "action": action}]));
        profile["listenerPath"] = json!(if action == "SCMP_ACT_NOTIFY" { "/run/agent" } else { "" });
        taken(at, profile);
    }
    refused(at, with("syscalls", json!([{"names": ["getcwd"], "action": "SCMP_ACT_UNHEARD"}])));
    let rule = |op: &str| json!([{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": op}]}]);
    for operator in list(&f, "/linux/seccomp/operators") {
        taken(at, with("syscalls", rule(&operator)));
    }
    refused(at, with("syscalls", rule("SCMP_CMP_UNHEARD")));
    for arch in list(&f, "/linux/seccomp/archs") {
        taken(at, with("architectures", json!([arch])));
    }
    refused(at, with("architectures", json!(["SCMP_ARCH_UNHEARD"])));
    let known = list(&f, "/linux/seccomp/knownFlags");
    for flag in &known {
        let mut profile = with("flags", json!([flag]));
        profile["syscalls"] = json!([{"names": ["getcwd"], "action": "SCMP_ACT_NOTIFY"}]);
        profile["listenerPath"] = json!("/run/agent");
        taken(at, profile);
    }
    refused(at, with("flags", json!(["SECCOMP_FILTER_FLAG_UNHEARD"])));
    assert!(list(&f, "/linux/seccomp/supportedFlags").iter().all(|flag| known.contains(flag)));
}

#[test]
fn labels_and_mounts_of_other_ids() {
    let f = features();
    for key in ["apparmor", "selinux", "mountExtensions/idmap", "netDevices"] {
        assert_eq!(f.pointer(&format!("/linux/{key}/enabled")), Some(&json!(true)), "{key}");
    }
    taken("/process/apparmorProfile", json!("unconfined"));
    taken("/process/selinuxLabel", json!("a:b:c:d"));
    let map = json!([{"containerID": 0, "hostID": 1, "size": 1}]);
    let mapped = json!([{"destination": "/x", "source": "/", "options": ["bind", "idmap"], "uidMappings": map, "gidMappings": map}]);
    taken("/mounts", mapped);
    taken("/linux/netDevices", json!({"eth1": {"name": "eth%d"}}));
    refused("/linux/netDevices", json!({"a/b": {}}));
}

#[test]
fn memory_policies() {
    let f = features();
    let with = |mode: &str| match mode {
        "MPOL_DEFAULT" | "MPOL_LOCAL" => json!({ "mode": mode }),
        _ => json!({"mode": mode, "nodes": "0"}),
    };
    for mode in list(&f, "/linux/memoryPolicy/modes") {
        taken("/linux/memoryPolicy", with(&mode));
    }
    refused("/linux/memoryPolicy", with("MPOL_UNHEARD"));
    for flag in list(&f, "/linux/memoryPolicy/flags") {
        taken("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]}));
    }
    refused("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_UNHEARD"]}));
}

#[test]
fn intel_rdt() {
    let f = features();
    assert_eq!(f["linux"]["intelRdt"], json!({"enabled": true, "schemata": true, "monitoring": true}));
    taken("/linux/intelRdt", json!({"closID": "a", "schemata": ["L3:0=f"], "enableMonitoring": true}));
    refused("/linux/intelRdt", json!({"closID": ".."}));
}

/// What changes what we do, and nothing else is listed.
#[test]
fn annotations() {
    let f = features();
    assert!(f["annotations"].as_object().unwrap().iter().all(|(key, value)| !key.is_empty() && value.is_string()));
    let unsafe_ones = list(&f, "/potentiallyUnsafeConfigAnnotations");
    assert_eq!(unsafe_ones, ["io.dunnage.landlock", "io.dunnage.trace", "org.systemd.property.", "org.criu.config"]);
    refused("/annotations", json!({"io.dunnage.trace": "/a/file"}));
    refused("/annotations", json!({"io.dunnage.landlock": "nonsense"}));
    taken("/annotations", json!({"org.example.unheard": "nonsense"}));
}
