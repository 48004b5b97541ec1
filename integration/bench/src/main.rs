//! The benchmark: container runtimes side by side, interleaved, in one run.
//!
//! `measure` runs the scenarios on the host as it finds it and writes what it saw as JSON; `report` turns such files into
//! docs/bench. `run.sh` beside this crate prepares the hosts and calls both. Nothing here is part of the runtime.
#![forbid(unsafe_code)]
// Paths here are the harness's own, in a directory that it made: the races that the ban is about cannot happen.
#![allow(clippy::disallowed_methods)]

mod budgets;
mod bundle;
mod limits;
mod measure;
mod meter;
mod report;
mod runtimes;
mod seccomp;
mod stats;
mod svg;

use std::path::PathBuf;
use std::process::ExitCode;

type Error = Box<dyn std::error::Error>;
type Result<T> = std::result::Result<T, Error>;

const USAGE: &str =
    "usage: dunnage-bench measure --host NAME --work DIR --tools DIR --out FILE [--warm N] [--cold N] NAME=BINARY...
       dunnage-bench report --out DIR FILE...
       dunnage-bench seccomp CONFIG.JSON
  --host NAME   what this host is called in the tables
  --work DIR    where bundles and state go; removed by the caller
  --tools DIR   holds the compiled `floor` and `meter`
  --warm N      samples back to back (default 100)
  --cold N      samples 0.3 s apart (default 25; 0: none)";

/// What `measure` was asked for.
struct Options {
    host: String,
    work: PathBuf,
    tools: PathBuf,
    out: PathBuf,
    warm: usize,
    cold: usize,
    rest: Vec<String>,
}

impl Options {
    fn parse(mut args: std::env::Args) -> Result<Self> {
        let mut o = Options {
            host: "host".into(),
            work: "".into(),
            tools: "".into(),
            out: "".into(),
            warm: 100,
            cold: 25,
            rest: vec![],
        };
        while let Some(a) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{a} wants a value\n{USAGE}"));
            match a.as_str() {
                "--host" => o.host = value()?,
                "--work" => o.work = value()?.into(),
                "--tools" => o.tools = value()?.into(),
                "--out" => o.out = value()?.into(),
                "--warm" => o.warm = value()?.parse()?,
                "--cold" => o.cold = value()?.parse()?,
                _ if a.starts_with('-') => return Err(format!("unknown option {a}\n{USAGE}").into()),
                _ => o.rest.push(a),
            }
        }
        Ok(o)
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args();
    let command = args.nth(1).unwrap_or_default();
    let result = Options::parse(args).and_then(|o| match command.as_str() {
        "measure" => measure::all(&o),
        "report" => report::write(&o.out, &o.rest),
        "seccomp" => seccomp::time(o.rest.first().ok_or(USAGE)?.as_ref()),
        _ => Err(USAGE.into()),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("dunnage-bench: {e}");
            ExitCode::FAILURE
        }
    }
}
