//! The types against the specification: a fixture with every field, an independent implementation as an oracle, and
//! arbitrary JSON.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::validate::{HostFacts, Options, validate};
use super::{Spec, mount_options, names, parse, sysctl};
use crate::seccomp;

/// Every field of runtime-spec 1.3 that Linux has, `commandLine` and `username` (Windows) aside.
const EVERYTHING: &str = include_str!("everything.json");

fn everything() -> Value {
    serde_json::from_str(EVERYTHING).unwrap()
}

#[test]
fn no_field_is_lost() {
    let spec = parse::config(EVERYTHING.as_bytes()).unwrap();
    assert_eq!(serde_json::to_value(&spec).unwrap(), everything());
}

/// Where oci-spec 0.10 can't read a valid configuration: the place, what it stumbles over there, and what it can read.
fn oracle_refuses() -> Vec<(&'static str, Value)> {
    vec![
        // It knows SCHED_RESET_ON_FORK and SCHED_FLAG_D_L_OVERRUN, which the kernel doesn't.
        ("/process/scheduler/flags", json!(["SCHED_FLAG_RECLAIM"])),
        // uint64 in the specification.
        ("/linux/resources/hugepageLimits/0/limit", json!(i64::MAX)),
    ]
}

#[test]
fn the_oracle_reads_the_same() {
    let mut config = everything();
    for (pointer, readable) in oracle_refuses() {
        let refused = serde_json::from_value::<oci_spec::runtime::Spec>(config.clone());
        assert!(refused.is_err(), "oci-spec reads {pointer} now: take it off the list");
        *config.pointer_mut(pointer).unwrap() = readable;
    }
    let theirs: oci_spec::runtime::Spec = serde_json::from_value(config.clone()).unwrap();
    let theirs = serde_json::to_value(&theirs).unwrap();
    let ours = serde_json::to_value(parse::config(config.to_string().as_bytes()).unwrap()).unwrap();
    let mut different = Vec::new();
    compare("", &ours, &theirs, &mut different);
    // It makes numbers up for a fifo, and looks for `enableCmt` and `enableMbm`.
    assert_eq!(
        different,
        [
            "/linux/devices/1/major: null 0",
            "/linux/devices/1/minor: null 0",
            "/linux/intelRdt/enableCMT: true null",
            "/linux/intelRdt/enableMBM: true null",
        ]
    );
}

#[test]
fn what_the_oracle_makes_up_stays_absent_here() {
    let theirs: oci_spec::runtime::LinuxPids = serde_json::from_value(json!({})).unwrap();
    assert_eq!(theirs.limit(), 0, "oci-spec has learnt that `pids: {{}}` is no limit");
    assert_eq!(parse::resources(br#"{"pids":{}}"#).unwrap().pids.unwrap().limit, None);
    let unknown = json!(["CAP_FUTURE_THING"]);
    assert!(serde_json::from_value::<oci_spec::runtime::Capabilities>(unknown).is_err());
    let process = parse::process(br#"{"capabilities":{"bounding":["CAP_FUTURE_THING"]}}"#).unwrap();
    assert_eq!(process.capabilities.unwrap().bounding, ["CAP_FUTURE_THING"]);
}

fn compare(at: &str, ours: &Value, theirs: &Value, different: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                compare(&format!("{at}/{key}"), a, b, different);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{at}/{i}"), a, b, different);
            }
        }
        (a, b) if a == b => {}
        (a, b) => different.push(format!("{at}: {a} {b}")),
    }
}

/// Validation asks `names`, the compiler its own tables: a name that only one of them knew would pass one and fail in the
/// other, or be promised by the features document and refused.
#[test]
fn seccomp_names_are_those_of_the_compiler() {
    fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names
    }
    assert_eq!(sorted(names::SECCOMP_ACTIONS.iter().map(|n| n.0)), sorted(seccomp::actions()));
    assert_eq!(sorted(names::SECCOMP_OPERATORS.iter().map(|n| n.0)), sorted(seccomp::operators()));
    assert_eq!(sorted(names::SECCOMP_ARCHITECTURES.iter().map(|n| n.0)), sorted(seccomp::arches()));
    let ours = names::SECCOMP_FLAGS.map(|(name, bit)| (name, u64::from(bit)));
    let mut theirs = seccomp::FLAGS.map(|(name, bit)| (name, u64::from(bit)));
    theirs.sort_by_key(|(name, _)| ours.iter().position(|(n, _)| n == name));
    assert_eq!(ours, theirs);
}

/// What kernels, shells and parsers stumble over.
fn leaf() -> impl Strategy<Value = Value> {
    let words = [
        "",
        "/",
        ".",
        "..",
        "../x",
        "/proc",
        "/proc/x",
        "a\0b",
        "a\nb",
        "=",
        "A=",
        "a:b:c",
        "0-3,7",
        "7-",
        "rbind",
        "idmap",
        "uid=9",
        "pid",
        "user",
        "network",
        "mount",
        "time",
        "net.//.x",
        "kernel.hostname",
        "SCHED_OTHER",
        "RLIMIT_CORE",
        "SCMP_ACT_NOTIFY",
        "MPOL_BIND",
        "CAP_KILL",
        "CAP_X",
        "\u{202e}",
        "\u{1f600}",
    ];
    let numbers = [0, 1, -1, 7, 20, i64::from(u32::MAX), 4_294_967_296, i64::MAX, i64::MIN];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(numbers.to_vec()).prop_map(Value::from),
        Just(json!(u64::MAX)),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

/// JSON whose keys are often those of the specification.
fn arbitrary_json() -> impl Strategy<Value = Value> {
    let keys = pointers().into_iter().filter_map(|p| p.rsplit('/').next().map(str::to_owned)).collect::<Vec<_>>();
    leaf().prop_recursive(6, 64, 6, move |inner| {
        let key = prop_oneof![4 => prop::sample::select(keys.clone()), 1 => any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Every place of the fixture.
fn pointers() -> Vec<String> {
    fn walk(at: &str, value: &Value, all: &mut Vec<String>) {
        all.push(at.to_owned());
        let mut child = |key: &str, value| {
            let mut at = at.to_owned();
            super::text::push_pointer(&mut at, key);
            walk(&at, value, all);
        };
        match value {
            Value::Object(o) => o.iter().for_each(|(k, v)| child(k, v)),
            Value::Array(a) => a.iter().enumerate().for_each(|(i, v)| child(&i.to_string(), v)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    walk("", &everything(), &mut all);
    all
}

/// Parses and validates; whatever it is, one line is said about it.
fn digest(config: &Value) {
    let spec: Spec = match parse::config(config.to_string().as_bytes()) {
        Ok(spec) => spec,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error}"),
    };
    let again = parse::config(&serde_json::to_vec(&spec).unwrap()).unwrap();
    assert_eq!(again, spec);
    for rootless_euid in [false, true] {
        let options = Options { rootless_euid, systemd_cgroup: rootless_euid, no_pivot: true };
        let problems = validate(&spec, &HostFacts::COMPLETE, &options);
        if let Some(error) = super::problem::join(&problems, "config.json") {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_json_is_digested(config in arbitrary_json()) {
        digest(&config);
    }

    /// Several places of a good configuration are replaced: this gets further than what is arbitrary throughout.
    #[test]
    fn a_mangled_configuration_is_digested(
        changes in prop::collection::vec((prop::sample::select(pointers()), arbitrary_json()), 1..5)
    ) {
        let mut config = everything();
        for (pointer, value) in changes {
            if let Some(place) = config.pointer_mut(&pointer) {
                *place = value;
            }
        }
        digest(&config);
    }

    #[test]
    fn any_bytes_are_digested(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse::config(&bytes);
        let _ = parse::process(&bytes);
        let _ = parse::resources(&bytes);
    }

    #[test]
    fn any_sysctl_that_is_allowed_stays_below_its_directory(key in "net[./][a-z./]{0,20}") {
        let dotted = sysctl::normalise(&key);
        if sysctl::scope(&dotted) == sysctl::Scope::Network {
            let path = sysctl::path(&dotted).unwrap();
            prop_assert!(path.starts_with("net/"), "{}", path);
            prop_assert!(!path.split('/').any(|part| part.is_empty() || part == "." || part == ".."), "{}", path);
        }
    }

    /// Whatever the order, no bit is both set and cleared, and the access time field is cleared as a whole.
    #[test]
    fn mount_options_do_not_contradict_themselves(
        options in prop::collection::vec(prop::sample::select(mount_options::names().collect::<Vec<_>>()), 0..12)
    ) {
        let parsed = mount_options::parse(&options);
        let atime = mount_options::attr::ATIME;
        prop_assert_eq!(parsed.flags & parsed.cleared, 0);
        prop_assert_eq!(parsed.rec_attr_set & parsed.rec_attr_clr & !atime, 0);
        prop_assert!(matches!(parsed.rec_attr_clr & atime, 0 | mount_options::attr::ATIME));
        prop_assert!(parsed.rec_attr_set & atime == 0 || parsed.rec_attr_clr & atime == atime);
        prop_assert_eq!(parsed.data, "");
    }
}
