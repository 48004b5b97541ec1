//! The same bundle through runc and through us: every file of the container's cgroups and of those above, every property of
//! its unit and slices, and what the state file says of them, after `create`, `start`, `update` and `delete`.
//!
//! [`table`] has the bundles, [`look`] what is looked at, [`known`] what may differ, by two lists: `varies.txt`, what differs
//! between two containers of one runtime, and `differences.txt`, where we are not runc, each with its reason.
//!
//! On a host with both versions of cgroups the same is done where there is v1 alone, and where there is v2 alone.
//!
//! When another runtime is under test it is compared with itself: what differs then varies by itself.

mod known;
mod look;
mod table;

use crate::cgroup2::unified;
use crate::common::{Bundle, Command, Driver, Runtime, Value, case_of_two, host, newest_runc, until};
use known::Known;
use look::Seen;
use std::ffi::OsStr;
use table::Case;

/// The life of one container.
fn observe(runtime: &Runtime, case: &Case) -> Seen {
    let mut b = Bundle::new();
    b.switch(runtime).args(&["/bin/sleep", "100"]);
    let groups = case.prepare(&mut b);
    let mut seen = Seen::new(&b, groups);
    let created = b.start_command("create", &[]).output();
    seen.ended("created", &created);
    if created.code == 0 {
        seen.look(&b);
        seen.ended("started", &b.rt(&["start", &b.id]));
        // Before that it has the threads and the memory of the runtime.
        until("its program", || host::status(b.pid())["Name"] == "sleep");
        seen.look(&b);
        if !case.update.is_null() {
            let request = case.update.to_string();
            seen.ended("updated", &b.command(&["update", "--resources", "-", &b.id]).stdin(request).output());
            seen.look(&b);
        }
        b.rt(&["delete", "--force", &b.id]).ok();
    }
    seen.after(&b, created.code == 0);
    seen
}

fn differences(cases: &[Case]) -> Vec<String> {
    let ours = Runtime::under_test();
    let other = if ours.name == "dunnage" { newest_runc() } else { ours.clone() };
    let mut wrong = Vec::new();
    for case in cases {
        // Ours first: what it does not turn on in the hierarchy's root, the other's cannot have turned on.
        let (our, their) = (observe(ours, case), observe(&other, case));
        let mut known = Known::new(ours, &other, case.name);
        let both = |phase: &str| our.reached(phase) && their.reached(phase);
        for key in our.keys(&their) {
            let (phase, name) = key.split_once(':').unwrap();
            if name != "exit code" && !both(phase) {
                continue;
            }
            if our.get(key) != their.get(key) && !known.covers(key) {
                let (our, their) = (our.shown(key), their.shown(key));
                wrong.push(format!("{} {key}: {our}, {} {their}", case.name, other.name));
            }
        }
        for gone in known.unseen(both) {
            wrong.push(format!("{}: listed, and does not differ: {gone}", case.name));
        }
    }
    if !wrong.is_empty() {
        wrong.insert(0, format!("-- {} differences on {:?}", wrong.len(), known::facts()));
    }
    wrong
}

/// Here, and where there is one version of cgroups only.
fn compare(b: &Bundle, cases: &[Case]) {
    let mut wrong = differences(cases);
    let (v2, v1): (Vec<_>, Vec<_>) = host::hierarchies().into_iter().partition(|(name, _)| name.is_empty());
    if !v1.is_empty() && Driver::under_test() == Driver::Cgroupfs {
        if let [(_, unified)] = v2.as_slice() {
            Command::new([OsStr::new("umount"), unified.as_os_str()]).output().ok();
            wrong.extend(differences(cases));
        }
        unified(b);
        wrong.extend(differences(cases));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn cpu() {
    case_of_two(|b| compare(b, &table::cpu()));
}

#[test]
fn cpu_time() {
    case_of_two(|b| compare(b, &table::cpu_time()));
}

#[test]
fn cpusets() {
    case_of_two(|b| compare(b, &table::cpusets()));
}

#[test]
fn memory() {
    case_of_two(|b| compare(b, &table::memory()));
}

#[test]
fn swap() {
    case_of_two(|b| compare(b, &table::swap()));
}

#[test]
fn pids() {
    case_of_two(|b| compare(b, &table::pids()));
}

#[test]
fn files_by_name() {
    case_of_two(|b| compare(b, &table::unified()));
}

#[test]
fn disks() {
    case_of_two(|b| compare(b, &table::disks()));
}

#[test]
fn pages_and_networks() {
    case_of_two(|b| compare(b, &table::pages_and_networks()));
}

#[test]
fn devices() {
    case_of_two(|b| compare(b, &table::devices()));
}

#[test]
fn places() {
    case_of_two(|b| compare(b, &table::places()));
}

#[test]
fn delegation() {
    case_of_two(|b| compare(b, &table::delegation()));
}

#[test]
fn annotations() {
    case_of_two(|b| compare(b, &table::annotations()));
}

/// The lists say something of each line.
#[test]
fn lists_are_well_formed() {
    let names: Vec<&str> = table::all().iter().map(|case| case.name).collect();
    assert!(names.iter().collect::<std::collections::BTreeSet<_>>().len() == names.len(), "two of one name: {names:?}");
    known::check(&names);
}

/// A value of JSON as one line.
fn line(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
