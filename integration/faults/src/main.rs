//! Robustness, counted: a runtime's commands killed before and after each of their system calls, each call failed once;
//! thousands of containers; state directories that somebody else has written. The same for every runtime.
//!
//! `run.sh` beside this crate prepares what it needs. Nothing here is part of the runtime.
// Paths here are the program's own, in namespaces that it made: the races that the ban is about cannot happen.
#![allow(clippy::disallowed_methods)]
// It measures: a panic is seen, and nobody depends on it.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod calls;
mod hostile;
mod matrix;
mod portrait;
mod report;
mod scenario;
mod soak;
mod sys;
mod tracer;
mod world;

use matrix::{Errnos, Kinds, Round, Verdict};
use report::{Attacked, Results};
use std::process::ExitCode;
use std::time::Instant;

const USAGE: &str = "usage: dunnage-faults measure --name NAME --runtime BINARY --rootfs DIR --out FILE [OPTIONS]
       dunnage-faults report --out FILE RESULTS...
  --commands A,B    only these (create create-mapped start run exec exec-detached kill delete delete-stopped update)
  --faults KINDS    of: before after (SIGKILL), all or one (errnos of each call); default before,after,all
  --most N          at most so many kills, and so many errnos, of a command, spread evenly
  --only TEXT       only faults whose description holds it, each told
  --lives N         containers one after another (default 0: none), and --at-once N
  --hostile         hostile state directories
  --strict          fail if something was left, untrue or hung";

struct Args(Vec<String>);

impl Args {
    fn value(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|a| a == name)?;
        self.0.get(at + 1).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.value(name)?.parse().ok()
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|a| a == name)
    }
}

fn main() -> ExitCode {
    let mut args = Args(std::env::args().skip(1).collect());
    if args.0.is_empty() {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let verb = args.0.remove(0);
    let done = match verb.as_str() {
        "measure" => measure(&args),
        "report" => report(&args),
        _ => Err(USAGE.to_string()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("faults: {e}");
            ExitCode::from(2)
        }
    }
}

fn kinds(text: &str) -> Kinds {
    let has = |word: &str| text.split(',').any(|w| w == word);
    let errnos = match () {
        () if has("all") => Errnos::All,
        () if has("one") => Errnos::One,
        () => Errnos::None,
    };
    Kinds { kill_before: has("before"), kill_after: has("after"), errnos }
}

/// All of it for one runtime. Whether it was as it should be.
fn measure(args: &Args) -> Result<bool, String> {
    let need = |name: &str| args.value(name).ok_or(format!("{name} is missing\n{USAGE}"));
    let (name, runtime, rootfs) = (need("--name")?, need("--runtime")?, need("--rootfs")?);
    let mut results = Results { name: name.to_string(), version: report::version(runtime), ..Results::default() };
    for (command, scenario) in scenario::ALL {
        if args.value("--commands").is_none_or(|c| c.split(',').any(|c| c == *command)) {
            results.attacked.push(attack(args, runtime, rootfs, command, *scenario)?);
        }
    }
    if let Some(lives) = args.number("--lives") {
        let soak = soak::run(runtime, rootfs, lives, args.number("--at-once").unwrap_or(200))?;
        println!("{}", report::words_of(&soak));
        results.soak = Some(soak);
    }
    if args.has("--hostile") {
        results.hostile = hostile::run(runtime, rootfs)?;
        for case in results.hostile.iter().filter(|c| !c.faults.is_empty()) {
            println!("{}: {}", case.name, case.faults.join("; "));
        }
        println!("hostile state directories: {}", results.hostile.len());
    }
    if let Some(out) = args.value("--out") {
        let text = serde_json::to_string(&results).map_err(|e| e.to_string())?;
        std::fs::write(out, text).map_err(|e| format!("{out}: {e}"))?;
    }
    Ok(!args.has("--strict") || results.is_sound())
}

fn attack(
    args: &Args,
    runtime: &str,
    rootfs: &str,
    command: &str,
    scenario: scenario::Scenario,
) -> Result<Attacked, String> {
    let options = matrix::Options { runtime, rootfs };
    let begun = Instant::now();
    let clean = match options.clean(scenario) {
        Ok(clean) => clean,
        // It does not do that on this host at all; a page says so.
        Err(e) => {
            println!("{command}: {e}");
            let cannot = e.lines().next().unwrap_or_default().to_string();
            return Ok(Attacked { command: command.to_string(), cannot, ..Attacked::default() });
        }
    };
    let all = matrix::faults(&clean, kinds(args.value("--faults").unwrap_or("before,after,all")));
    let most = args.number("--most").unwrap_or(usize::MAX);
    let (kills, errnos): (Vec<_>, Vec<_>) = all.iter().partition(|f| !matches!(f.what, tracer::What::Errno(_)));
    let mut faults = [matrix::spread(&kills, most), matrix::spread(&errnos, most)].concat();
    let only = args.value("--only");
    faults.retain(|f| only.is_none_or(|only| matrix::describe(*f).contains(only)));
    let mut rounds: Vec<Round> = Vec::new();
    for fault in &faults {
        let mut round = options.round(scenario, &clean, *fault)?;
        if round.verdict <= Verdict::Hung {
            // What a loaded machine is to blame for does not come twice.
            let again = options.round(scenario, &clean, *fault)?;
            round = if again.verdict > round.verdict && again.verdict != Verdict::Missed { again } else { round };
        }
        if round.verdict <= Verdict::Unclear || only.is_some() {
            println!("{command}: {:?}: {}: {}", round.verdict, matrix::describe(*fault), round.words);
        }
        rounds.push(round);
    }
    let counts = matrix::count(&rounds);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{command}: {} calls, {} of {} faults: {counts:?} ({seconds:.0} s)",
        clean.seen.len(),
        faults.len(),
        all.len()
    );
    let (calls, points) = (clean.seen.len(), all.len());
    Ok(Attacked { command: command.to_string(), calls, points, rounds, cannot: String::new() })
}

fn report(args: &Args) -> Result<bool, String> {
    let out = args.value("--out").ok_or(USAGE)?;
    let mut all = Vec::new();
    for file in args.0.iter().filter(|a| a.ends_with(".json")) {
        let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
        all.push(serde_json::from_str::<Results>(&text).map_err(|e| format!("{file}: {e}"))?);
    }
    std::fs::write(out, report::page(&all)).map_err(|e| format!("{out}: {e}"))?;
    Ok(true)
}
