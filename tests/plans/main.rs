//! Golden plans: each directory here is one test. What it asks for is compiled as `create` (or, with a `process.json`, `exec`)
//! would, for a host that is made up, and the plan compared with its `plan.txt`. No root, nothing of this machine.
//!
//! | file | holds |
//! |---|---|
//! | `base.json` | the configuration that all begin with |
//! | `NAME/config.json` | what differs from it (a merge patch, RFC 7396) |
//! | `NAME/process.json` | the process of an exec, as it differs from the base's |
//! | `NAME/request.json` | the host and the command line, where they matter: [`case::Asked`] |
//! | `NAME/plan.txt` | the plan, or the error. Rewritten with `UPDATE=1`; read the difference before committing it |
//!
//! Besides: [`bad_input`] (each leaf of a configuration, made wrong), [`coverage`] (no field of the specification is without effect) and [`properties`] (no input breaks the compiler).
#![allow(clippy::disallowed_methods)] // Tests own the files that they touch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bad_input;
mod case;
mod coverage;
mod properties;

use std::path::Path;

use case::Case;
use libtest_mimic::{Arguments, Failed, Trial};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plans");

fn main() {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> =
        names().into_iter().map(|name| Trial::test(format!("golden::{name}"), move || golden(&name))).collect();
    trials.extend(coverage::trials());
    trials.extend(properties::trials());
    trials.extend(bad_input::trials());
    libtest_mimic::run(&arguments, trials).exit();
}

/// The directories, in order.
fn names() -> Vec<String> {
    let entries = std::fs::read_dir(HERE).unwrap().map(Result::unwrap);
    let directories = entries.filter(|e| e.file_type().unwrap().is_dir());
    let mut names: Vec<String> = directories.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn golden(name: &str) -> Result<(), Failed> {
    let path = Path::new(HERE).join(name).join("plan.txt");
    let plan = Case::load(name).outcome();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, plan)?;
        return Ok(());
    }
    let wanted = std::fs::read_to_string(path)?;
    // Numbers of system calls differ from one architecture to the next, and with them the filters.
    let (plan, wanted) = if cfg!(target_arch = "x86_64") { (plan, wanted) } else { (blurred(&plan), blurred(&wanted)) };
    match wanted.lines().zip(plan.lines()).position(|(a, b)| a != b) {
        None if wanted == plan => Ok(()),
        line => {
            let line = line.map_or_else(|| "at the end".into(), |n| format!("from line {}", n.saturating_add(1)));
            Err(format!("{name}/plan.txt differs {line}; this is the plan now:\n{plan}").into())
        }
    }
}

fn blurred(plan: &str) -> String {
    plan.lines().map(|line| line.split_once(" filter=").map_or(line, |(head, _)| head)).collect::<Vec<_>>().join("\n")
}
