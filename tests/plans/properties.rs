//! Whatever the input: the compiler does not panic, the two halves of what it makes meet, and dunnage-init reads as many steps
//! as were written. Inputs are the golden cases and the fixture with every field, mangled: that gets further than what is
//! arbitrary throughout. What validation would refuse is compiled all the same.

use dunnage::plan::Plan;
use dunnage::spec::parse;
use dunnage_steps::wire::{Get, Reader};
use dunnage_steps::{Borrowed, Step};
use libtest_mimic::{Failed, Trial};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::case::Case;
use super::coverage::leaves;

const EVERYTHING: &str = include_str!("../../src/spec/tests/everything.json");

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("properties::golden_plans_are_whole", golden_plans_are_whole),
        Trial::test("properties::mangled_configurations_compile_or_are_refused", mangled),
    ]
}

fn golden_plans_are_whole() -> Result<(), Failed> {
    for name in super::names() {
        if let Ok(plan) = Case::load(&name).plan(&mut Vec::new()) {
            whole(&plan).map_err(|e| format!("{name}: {e}"))?;
        }
    }
    Ok(())
}

fn mangled() -> Result<(), Failed> {
    let mut seeds: Vec<Case> = super::names().iter().map(|name| Case::load(name)).collect();
    let mut everything = seeds[0].clone();
    everything.config = serde_json::from_str(EVERYTHING)?;
    seeds.push(everything);
    let places: Vec<String> = seeds.iter().flat_map(|s| leaves(&s.config)).flat_map(|(p, _)| prefixes(&p)).collect();
    let change = (prop::sample::select(places), arbitrary());
    let input = (prop::sample::select(seeds), prop::collection::vec(change, 1..6), any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 3000, failure_persistence: None, ..Config::default() });
    let result = runner.run(&input, |(mut case, changes, exec)| {
        for (pointer, value) in changes {
            put(&mut case.config, &pointer, value);
        }
        if exec {
            case.process = Some(case.config["process"].clone());
        }
        digest(&case).map_err(TestCaseError::fail)
    });
    result.map_err(|e| e.to_string().into())
}

fn digest(case: &Case) -> Result<(), String> {
    if let Ok(plan) = case.plan(&mut Vec::new()) {
        whole(&plan)?;
    }
    let Ok(spec) = parse::config(case.config.to_string().as_bytes()) else { return Ok(()) };
    let process = case.process.is_some().then(|| spec.process.clone().unwrap_or_default());
    match case.compile(&spec, process.as_ref()) {
        Ok(plan) => whole(&plan),
        Err(error) if error.to_string().contains("do not meet") => Err(error.to_string()),
        Err(error) if error.to_string().contains('\0') => Err(format!("NUL in {error}")),
        Err(_) => Ok(()),
    }
}

/// Both halves meet; what is written is read back; the plan can be shown.
fn whole(plan: &Plan) -> Result<(), String> {
    plan.check().map_err(|e| e.to_string())?;
    let descriptors = vec![-1; plan.places.len()];
    let bytes = plan.encode(&descriptors);
    let mut from = Reader::new(&bytes);
    let count = u32::get(&mut from).ok_or("no count of descriptors")?;
    if usize::try_from(count).ok() != Some(plan.places.len()) || plan.sent() > plan.places.len() {
        return Err(format!("{count} descriptors for {} places", plan.places.len()));
    }
    for _ in 0..count {
        i32::get(&mut from).ok_or("too few descriptors")?;
    }
    for step in &plan.child {
        let read = Step::<Borrowed<'_>>::get(&mut from).ok_or_else(|| format!("cannot be read: {}", step.step))?;
        if read.name() != step.step.name() {
            return Err(format!("{} was read as {}", step.step.name(), read.name()));
        }
    }
    match plan.child.last().map(|s| s.step.name()) {
        _ if !from.is_empty() => Err("more was written than there are steps".into()),
        Some("exec") => Ok(()),
        last => Err(format!("the last step is {last:?}")),
    }
}

/// Every place on the way to `pointer`.
fn prefixes(pointer: &str) -> Vec<String> {
    pointer.match_indices('/').skip(1).map(|(at, _)| pointer[..at].to_owned()).chain([pointer.to_owned()]).collect()
}

fn put(config: &mut Value, pointer: &str, value: Value) {
    if let Some(place) = config.pointer_mut(pointer) {
        *place = value;
        return;
    }
    // A place of another case: made, if its parent is here.
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    match config.pointer_mut(parent) {
        Some(Value::Object(object)) => {
            object.insert(key.replace("~1", "/").replace("~0", "~"), value);
        }
        Some(Value::Array(list)) => list.push(value),
        _ => (),
    }
}

/// Values that steps, kernels and files stumble over.
fn arbitrary() -> impl Strategy<Value = Value> {
    let words = [
        "",
        "/",
        ".",
        "..",
        "../x",
        "/proc",
        "/proc/x",
        "/dev",
        "/dev/ptmx",
        "a\0b",
        "a\nb",
        "=",
        "HOME=",
        "a=b=c",
        "0-3,7",
        "7-",
        "rbind",
        "bind",
        "ridmap",
        "rro",
        "ro",
        "tmpcopyup",
        "rshared",
        "shared",
        "private",
        "unbindable",
        "slave",
        "mode=1777",
        "pid",
        "user",
        "network",
        "mount",
        "time",
        "ipc",
        "uts",
        "cgroup",
        "proc",
        "tmpfs",
        "/run/ns/x",
        "SCMP_ACT_NOTIFY",
        "SCMP_ACT_ALLOW",
        "MPOL_BIND",
        "CAP_KILL",
        "c",
        "p",
        "b",
        "rwm",
        "boottime",
        "monotonic",
        "\u{202e}",
    ];
    let numbers = [0, 1, -1, 7, 20, 1023, 1024, 65536, i64::from(u32::MAX), 4_294_967_296, i64::MAX, i64::MIN];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(numbers.to_vec()).prop_map(Value::from),
        Just(json!(u64::MAX)),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let names: Vec<String> = {
        let fixture: Value = serde_json::from_str(EVERYTHING).unwrap();
        let all = leaves(&fixture).into_iter().filter_map(|(p, _)| p.rsplit('/').next().map(str::to_owned));
        all.collect()
    };
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(names.clone()), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}
