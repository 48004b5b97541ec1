//! No field of the specification is without effect: for each field of the fixture that has all of them
//! (`src/spec/tests/everything.json`) there is a case whose plan changes when the field is taken away. Fields that plans have
//! nothing to do with are listed in `not-in-plans.txt`, each with its reason; a listed field that does change a plan fails
//! too, so the list stays true.

use std::collections::{BTreeMap, BTreeSet};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::case::Case;

const EVERYTHING: &str = include_str!("../../src/spec/tests/everything.json");
const NOT_IN_PLANS: &str = include_str!("not-in-plans.txt");

/// Objects whose keys are names of things, not of fields.
const MAPS: [&str; 6] = [
    "/annotations",
    "/linux/sysctl",
    "/linux/netDevices",
    "/linux/timeOffsets",
    "/linux/resources/rdma",
    "/linux/resources/unified",
];

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("coverage::every_field_changes_a_plan", every_field)]
}

fn every_field() -> Result<(), Failed> {
    let fixture: Value = serde_json::from_str(EVERYTHING)?;
    let wanted: BTreeSet<String> = leaves(&fixture).into_iter().map(|(_, shape)| shape).collect();
    let listed: BTreeMap<&str, &str> = NOT_IN_PLANS
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once(' ').unwrap_or_else(|| panic!("no reason: {line}")))
        .collect();
    let mut effective = BTreeSet::new();
    for name in super::names() {
        let case = Case::load(&name);
        let outcome = case.outcome();
        for (pointer, shape) in leaves(&case.config) {
            if effective.contains(&shape) || case.process.is_some() && !shape.starts_with("/linux") {
                continue;
            }
            let mut without = case.clone();
            remove(&mut without.config, &pointer);
            if without.outcome() != outcome {
                effective.insert(shape);
            }
        }
        for (pointer, shape) in case.process.iter().flat_map(leaves) {
            let mut without = case.clone();
            remove(without.process.as_mut().unwrap(), &pointer);
            if without.outcome() != outcome {
                effective.insert(format!("/process{shape}"));
            }
        }
    }
    let mut faults: Vec<String> = Vec::new();
    for shape in &wanted {
        match (effective.contains(shape), listed.get(shape.as_str())) {
            (false, None) => faults.push(format!("no case shows {shape}")),
            (true, Some(reason)) => faults.push(format!("{shape} has an effect, and is listed: {reason}")),
            _ => (),
        }
    }
    faults.extend(listed.keys().filter(|l| !wanted.contains(**l)).map(|l| format!("no such field: {l}")));
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

/// The pointers of all values that hold no others, and their shapes: `*` for the place in a list and the key of a map.
pub fn leaves(value: &Value) -> Vec<(String, String)> {
    fn walk(pointer: &str, shape: &str, value: &Value, all: &mut Vec<(String, String)>) {
        let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
        match value {
            Value::Object(object) if !object.is_empty() => {
                for (key, value) in object {
                    let key = escaped(key);
                    let name = if MAPS.contains(&shape) { "*" } else { &key };
                    walk(&format!("{pointer}/{key}"), &format!("{shape}/{name}"), value, all);
                }
            }
            Value::Array(list) if !list.is_empty() => {
                for (i, value) in list.iter().enumerate() {
                    walk(&format!("{pointer}/{i}"), &format!("{shape}/*"), value, all);
                }
            }
            _ => all.push((pointer.to_owned(), shape.to_owned())),
        }
    }
    let mut all = Vec::new();
    walk("", "", value, &mut all);
    all
}

fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    match value.pointer_mut(parent) {
        Some(Value::Object(object)) => {
            object.remove(&key.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(list)) => {
            list.remove(key.parse().unwrap());
        }
        _ => (),
    }
}
