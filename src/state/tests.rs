//! Against states that runc itself wrote, kept in tests/fixtures/state with the config.json they were made from. (What runc
//! makes of ours is tested with a real runc, in tests/.)

use serde_json::Value;

use super::{Brief, Config, Origin, Report, State, Status, rewrite};
use crate::spec::Spec;

struct Fixture {
    name: &'static str,
    config: &'static str,
    state: &'static str,
}

macro_rules! fixture {
    ($name:literal) => {
        Fixture {
            name: $name,
            config: include_str!(concat!("../../tests/fixtures/state/", $name, ".config.json")),
            state: include_str!(concat!("../../tests/fixtures/state/", $name, ".state.json")),
        }
    };
}

const FIXTURES: [Fixture; 3] = [fixture!("runc-1.1.5-plain"), fixture!("runc-1.1.5-rich"), fixture!("runc-1.4.3-new")];

impl Fixture {
    fn state(&self) -> State {
        serde_json::from_str(self.state).unwrap()
    }

    fn value(&self) -> Value {
        serde_json::from_str(self.state).unwrap()
    }
}

/// Without the zero values that Go writes, depending on its version.
fn without_zeros(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) => {
            let map: serde_json::Map<_, _> =
                map.into_iter().filter_map(|(key, value)| Some((key, without_zeros(value)?))).collect();
            (!map.is_empty()).then_some(Value::Object(map))
        }
        // An element of zeros is an element: the place counts.
        Value::Array(items) => (!items.is_empty())
            .then(|| Value::Array(items.into_iter().map(|v| without_zeros(v).unwrap_or(Value::Null)).collect())),
        Value::Null | Value::Bool(false) => None,
        Value::Number(n) if n.as_u64() == Some(0) => None,
        Value::String(s) if s.is_empty() => None,
        other => Some(other),
    }
}

#[test]
fn every_key_of_runcs_states_is_known() {
    for fixture in &FIXTURES {
        let ours = serde_json::to_value(fixture.state()).unwrap();
        assert_eq!(without_zeros(ours), without_zeros(fixture.value()), "{}", fixture.name);
    }
}

#[test]
fn a_rewrite_that_changes_nothing_changes_nothing() {
    for fixture in &FIXTURES {
        let state = fixture.state();
        let bytes = rewrite::rewrite(fixture.state.as_bytes(), &state, &state).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), fixture.value(), "{}", fixture.name);
    }
}

#[test]
fn a_part_of_config_says_the_same_as_all_of_it() {
    for fixture in &FIXTURES {
        let all = fixture.state();
        let part: State<Brief> = serde_json::from_str(fixture.state).unwrap();
        assert_eq!(part.cgroup_paths, all.cgroup_paths);
        assert_eq!(part.config.namespaces, all.config.namespaces);
        assert_eq!(part.config.Hooks, all.config.Hooks);
        assert_eq!(part.config.labels, all.config.labels);
        assert_eq!(part.config.cgroups.path, all.config.cgroups.path);
        let report = Report::new(part, Status::Created);
        assert_eq!((report.bundle.as_str(), report.rootfs.as_str()), ("/bundle", "/bundle/rootfs"));
    }
}

#[test]
fn config_json_is_converted_as_runc_converts_it() {
    for fixture in &FIXTURES {
        let spec: Spec = serde_json::from_str(fixture.config).unwrap();
        let origin = Origin { id: fixture.name, bundle: "/bundle", rootfs: "/bundle/rootfs", ..Origin::default() };
        let mut ours = Config::from_spec(&spec, &origin).unwrap();
        let mut runcs = fixture.state().config;
        // runc writes annotations in the order of a hash map, and the one that poses as the bundle.
        runcs.labels.retain(|label| label != "bundle=spoof");
        runcs.labels.sort_by_key(|label| (label.starts_with("bundle="), label.clone()));
        if fixture.name.contains("1.1.5") {
            unlearn(&mut ours);
            // Its zero is "not set"; since 1.4 it is a limit.
            runcs.cgroups.pids_limit = runcs.cgroups.pids_limit.filter(|limit| *limit != 0);
        }
        assert_eq!(serde_json::to_value(&ours).unwrap(), serde_json::to_value(&runcs).unwrap(), "{}", fixture.name);
    }
}

/// What runc 1.1 did not know yet.
#[allow(clippy::arithmetic_side_effects)] // The shares are those of the fixture.
fn unlearn(config: &mut Config) {
    for mount in &mut config.mounts {
        mount.cleared_flags = 0;
    }
    for flags in config.seccomp.iter_mut().map(|seccomp| &mut seccomp.flags) {
        flags.clear();
    }
    // Its conversion of shares was linear.
    config.cgroups.cpu_weight = match config.cgroups.cpu_shares {
        0 => 0,
        shares => 1 + (shares - 2) * 9999 / 262_142,
    };
    config.version = "1.0.2-dev".into();
}

#[test]
fn names_that_are_not_known_are_errors() {
    for linux in [
        serde_json::json!({"namespaces": [{"type": "pidd"}]}),
        serde_json::json!({"rootfsPropagation": "rslavish"}),
        serde_json::json!({"memoryPolicy": {"mode": "MPOL_FOO"}}),
        serde_json::json!({"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "x"}}),
        serde_json::json!({"personality": {"domain": "BSD"}}),
        serde_json::json!({"seccomp": {"defaultAction": "SCMP_ACT_FOO"}}),
    ] {
        let spec: Spec = serde_json::from_value(serde_json::json!({"ociVersion": "1.3.0", "linux": linux})).unwrap();
        assert!(Config::from_spec(&spec, &Origin::default()).is_err(), "{linux}");
    }
}

#[test]
fn cgroup_names() {
    let name = |path: &str, systemd: bool| {
        let spec = serde_json::json!({"ociVersion": "1.3.0", "linux": {"cgroupsPath": path}});
        let spec: Spec = serde_json::from_value(spec).unwrap();
        let origin = Origin { id: "c", systemd_cgroup: systemd, ..Origin::default() };
        let cgroup = Config::from_spec(&spec, &origin).unwrap().cgroups;
        [cgroup.name, cgroup.parent, cgroup.path, cgroup.scope_prefix]
    };
    assert_eq!(name("", false), ["c", "", "", ""]);
    assert_eq!(name("/a//b/../c/", false), ["", "", "/a/c", ""]);
    assert_eq!(name("/../../a", false), ["", "", "/a", ""]);
    assert_eq!(name("a/./b", false), ["", "", "a/b", ""]);
    assert_eq!(name("../../a", false), ["", "", "a", ""]);
    assert_eq!(name("a:b:c", false), ["", "", "a:b:c", ""]);
    assert_eq!(name("", true), ["c", "", "", "runc"]);
    assert_eq!(name("a.slice:cri-containerd:x", true), ["x", "a.slice", "", "cri-containerd"]);
    assert_eq!(name(":p:x", true), ["x", "", "", "p"]);
    assert_eq!(name("-.slice:p:a.slice", true), ["a.slice", "-.slice", "", "p"]);
}

/// What `delete` and `update`, ours or runc's, make of the parts in a state file is the unit that was started.
#[test]
fn a_unit_is_found_again() {
    use crate::cgroup::systemd::{Scope, UnitName};
    for path in ["", "a-b.slice:cri-containerd:x", ":p:x", "-.slice::x", "-.slice:p:a.slice"] {
        let spec = serde_json::json!({"ociVersion": "1.3.0", "linux": {"cgroupsPath": path}});
        let spec: Spec = serde_json::from_value(spec).unwrap();
        let origin = Origin { id: "c", systemd_cgroup: true, ..Origin::default() };
        let cgroup = Config::from_spec(&spec, &origin).unwrap().cgroups;
        assert!(cgroup.Systemd);
        for scope in [Scope::System, Scope::User] {
            let found = UnitName::of_parts(&cgroup.parent, &cgroup.scope_prefix, &cgroup.name, scope).unwrap();
            assert_eq!(found, UnitName::new(path, "c", scope).unwrap());
        }
    }
}

#[test]
fn systemd_rounds_the_quota() {
    let cpu = serde_json::json!({"quota": 33333, "period": 100_000});
    let spec = serde_json::json!({"ociVersion": "1.3.0", "linux": {"resources": {"cpu": cpu}}});
    let spec: Spec = serde_json::from_value(spec).unwrap();
    for (systemd_cgroup, quota) in [(true, 34000), (false, 33333)] {
        let origin = Origin { systemd_cgroup, ..Origin::default() };
        assert_eq!(Config::from_spec(&spec, &origin).unwrap().cgroups.cpu_quota, quota);
    }
}
