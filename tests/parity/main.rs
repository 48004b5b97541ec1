//! runc's command line, case by case: the same lines through runc and through the runtime under test, and what they print, where,
//! and how they end, compared piece by piece.
//!
//! [`script`] reads the cases (`cases/SUBJECT.txt`), [`observe`] runs them, [`known`] has what may differ (`differences.txt`),
//! each with the row of `docs/runc-behaviour.md` that gives the reason. A difference that is listed and not seen fails the run too.
//! [`help`] compares the flags that the help texts name.
//!
//! Both are invoked as `runc`, by a link in the PATH of the case: it is runc's place that we take.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![allow(clippy::disallowed_methods)] // The tests own the directories that they walk.

// The harness of tests/containers, of which some is for tests of its own.
#[allow(dead_code, unused_imports)]
#[path = "../containers/common/mod.rs"]
mod common;

mod help;
mod known;
mod observe;
mod script;

use common::{Bundle, Runtime, case_of_two, newest_runc, other_runtime};
use known::Known;

/// The runtimes that ours is compared with: the runc in PATH and the newest that there is. A runc is compared with itself.
fn others() -> Vec<Runtime> {
    let ours = Runtime::under_test();
    if ours.name.starts_with("runc") {
        return vec![ours.clone()];
    }
    let mut all = vec![other_runtime()];
    let newest = newest_runc();
    if newest.name != all[0].name {
        all.push(newest);
    }
    all
}

/// The cases of a subject, by the runtime under test and by each runc that there is.
fn compare(_: &mut Bundle, subject: &str) {
    let ours = Runtime::under_test();
    let scenes = script::scenes(subject);
    let our: Vec<_> = scenes.iter().map(|scene| observe::observe(ours, scene)).collect();
    let mut wrong = Vec::new();
    for other in others() {
        let mut known = Known::new(ours, &other, subject);
        for (scene, our) in scenes.iter().zip(&our) {
            let their = observe::observe(&other, scene);
            for ((line, our), their) in scene.cases().zip(our).zip(&their) {
                let case = format!("{subject}/{}: {line}", scene.name);
                for (piece, our, their) in our.pieces(their) {
                    if our != their && !known.covers(&case, piece, our, their) {
                        wrong.push(format!("{case}\n  {piece} {our}\n  {} {their}", other.name));
                    }
                }
            }
        }
        wrong.extend(known.unseen().map(|entry| format!("listed, and does not differ from {}: {entry}", other.name)));
    }
    assert!(wrong.is_empty(), "{} differences:\n{}\n", wrong.len(), wrong.join("\n"));
}

/// A test for each file of cases; [`every_file_has_its_test`] holds that none is forgotten.
macro_rules! subjects {
    ($($subject:ident)*) => {
        $(#[test]
        fn $subject() {
            case_of_two(|b| compare(b, stringify!($subject)));
        })*
        const SUBJECTS: &[&str] = &[$(stringify!($subject)),*];
    };
}

subjects! {
    arguments checkpoint configurations create delete events exec exec_programs flags global ids kill list logs pause ps run spec start
    state update
}

#[test]
fn every_file_has_its_test() {
    let mut files: Vec<String> = script::files().collect();
    files.sort();
    let mut tests: Vec<&str> = SUBJECTS.to_vec();
    tests.sort_unstable();
    assert_eq!(files, tests);
}

#[test]
fn lists_are_well_formed() {
    known::check();
}

#[test]
fn help_texts_name_the_same_flags() {
    let wrong: Vec<String> = others().iter().flat_map(|other| help::compare(Runtime::under_test(), other)).collect();
    assert!(wrong.is_empty(), "{} differences:\n{}\n", wrong.len(), wrong.join("\n"));
}
