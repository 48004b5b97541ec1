//! What we promised ourselves, and whether it holds. The figures are docs/design.md's.

use crate::Result;
use crate::report::{Host, OURS};
use crate::runtimes::FLOOR;
use serde_json::Value;
use std::fmt::Write;

/// One promise: what was measured, against at most what.
struct Budget {
    what: String,
    measured: Option<f64>,
    limit: Option<f64>,
    unit: &'static str,
    of: String,
    /// What the floor takes for the same.
    floor: Option<f64>,
}

/// The commands that have a budget relative to crun.
const COMMANDS: [&str; 6] = ["run", "create", "start", "exec", "kill", "delete"];

fn relative(host: &Host, row: &str, mode: &str, factor: f64, other: &str) -> Budget {
    let theirs = host.figure(row, other, mode, "wall");
    Budget {
        what: format!("`{row}`, {mode}"),
        measured: host.figure(row, OURS, mode, "wall"),
        limit: theirs.map(|t| t * factor),
        unit: "ms",
        floor: host.figure(row, FLOOR, mode, "wall"),
        of: theirs.map_or_else(|| format!("{other} was not measured"), |t| format!("{factor} x {other}'s {t:.2}")),
    }
}

fn absolute(what: &str, measured: Option<f64>, limit: f64, unit: &'static str) -> Budget {
    Budget { what: what.into(), measured, limit: Some(limit), unit, of: String::new(), floor: None }
}

fn all(host: &Host, hosts: &[Host]) -> Vec<Budget> {
    let mut list = vec![];
    for row in COMMANDS {
        list.push(relative(host, row, "warm", 0.5, "crun"));
        list.push(relative(host, row, "cold", 0.35, "crun"));
    }
    list.push(relative(host, "run", "warm", 2.0, FLOOR));
    list.push(relative(host, "run", "cold", 2.0, FLOOR));
    let calls = host.figure("run", OURS, "syscalls", "count");
    list.push(absolute("system calls of a `run`, the container's own included", calls, 300.0, ""));
    let bytes = host.fact(OURS, "bytes").and_then(Value::as_f64).map(|b| b / 1024.0 / 1024.0);
    let linked = host.fact(OURS, "static") == Some(&Value::Bool(true));
    let what = if linked { "the binary, static" } else { "the binary (NOT static)" };
    list.push(absolute(what, bytes.filter(|_| linked), 4.0, "MiB"));
    let init = std::env::var("BENCH_INIT_BYTES").ok().and_then(|b| b.parse::<f64>().ok());
    list.push(absolute("`dunnage-init`", init.map(|b| b / 1024.0), 128.0, "KiB"));
    let rss = host.rows("warm").iter().filter_map(|r| host.figure(r, OURS, "warm", "rss")).reduce(f64::max);
    list.push(absolute("peak resident memory of any command", rss.map(|k| k / 1024.0), 3.0, "MiB"));
    let version = host.figure("--version", OURS, "warm", "wall");
    list.push(absolute("`--version`", version, 1.0, "ms"));
    let limit = hosts.iter().find_map(|h| h.limit(OURS)).flatten();
    list.push(absolute("smallest memory limit", limit.map(|k| k as f64), 512.0, "KiB"));
    let seccomp = std::env::var("BENCH_SECCOMP_US").ok().and_then(|b| b.parse::<f64>().ok());
    list.push(absolute("engines' seccomp profile to BPF", seccomp, 200.0, "us"));
    list
}

/// Writes the table of budgets.
pub fn table(p: &mut String, host: &Host, hosts: &[Host]) -> Result<()> {
    writeln!(p, "## Budgets (on {})\n", host.name())?;
    writeln!(p, "A budget below the floor is one that nobody can meet on this machine.\n")?;
    writeln!(p, "| | measured | at most | the floor | |\n|---|---:|---:|---:|---|")?;
    for b in all(host, hosts) {
        let verdict = match (b.measured, b.limit) {
            (Some(m), Some(l)) if m <= l => "holds",
            (Some(_), Some(l)) if b.floor.is_some_and(|f| f > l) => "**missed** (the floor too)",
            (Some(_), Some(_)) => "**missed**",
            _ => "not measured",
        };
        let show = |v: Option<f64>| {
            v.map_or_else(
                || "-".into(),
                |v| if v.fract() == 0.0 { format!("{v} {}", b.unit) } else { format!("{v:.2} {}", b.unit) },
            )
        };
        let of = if b.of.is_empty() { String::new() } else { format!(" ({})", b.of) };
        let floor = b.floor.map(|f| format!("{f:.2} ms")).unwrap_or_default();
        let (measured, limit) = (show(b.measured), show(b.limit));
        writeln!(p, "| {} | {} | {}{of} | {floor} | {verdict} |", b.what, measured.trim(), limit.trim())?;
    }
    Ok(())
}
