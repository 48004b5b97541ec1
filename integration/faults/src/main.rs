//! Robustness, counted: a runtime's commands killed before and after each of their system calls, each call failed once;
//! thousands of containers; state directories that somebody else has written. The same for every runtime.
// Paths here are the program's own, in namespaces that it made: the races that the ban is about cannot happen. A panic of a
// measuring program is seen.
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod calls;
mod matrix;
mod portrait;
mod scenario;
mod sys;
mod tracer;
mod world;

use matrix::{Errnos, Kinds, Verdict};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned();
    let runtime = value("--runtime").unwrap_or_default();
    let rootfs = value("--rootfs").unwrap_or_default();
    let wanted = value("--commands").unwrap_or_default();
    let kinds = value("--faults").unwrap_or("before,after,all".into());
    let most = value("--most").and_then(|m| m.parse().ok()).unwrap_or(usize::MAX);
    let only = value("--only");
    let options = matrix::Options { runtime: &runtime, rootfs: &rootfs };
    let kinds = Kinds {
        kill_before: kinds.contains("before"),
        kill_after: kinds.contains("after"),
        errnos: if kinds.contains("all") { Errnos::All } else if kinds.contains("one") { Errnos::One } else { Errnos::None },
    };
    for (name, scenario) in scenario::ALL {
        if !wanted.is_empty() && !wanted.split(',').any(|w| w == *name) {
            continue;
        }
        let clean = match options.clean(*scenario) {
            Ok(clean) => clean,
            Err(e) => {
                println!("{name}: {e}");
                continue;
            }
        };
        let all = matrix::faults(&clean, kinds);
        let mut faults = matrix::spread(&all, most);
        if let Some(only) = &only {
            faults.retain(|f| matrix::describe(*f).contains(only.as_str()));
        }
        let begun = std::time::Instant::now();
        let mut rounds = Vec::new();
        for fault in &faults {
            match options.round(*scenario, &clean, *fault) {
                Ok(round) => {
                    if round.verdict <= Verdict::Unclear || only.is_some() {
                        println!("{name}: {:?}: {}: {}", round.verdict, matrix::describe(*fault), round.words);
                    }
                    rounds.push(round);
                }
                Err(e) => println!("{name}: {}: {e}", matrix::describe(*fault)),
            }
        }
        println!("{name}: {} calls, {} of {} faults, {:?}, {:.1} s", clean.seen.len(), faults.len(), all.len(), matrix::count(&rounds), begun.elapsed().as_secs_f64());
    }
    ExitCode::SUCCESS
}
