//! docs/bench/core.md and core.svg out of what `measure` wrote.

use crate::runtimes::FLOOR;
use crate::{Result, budgets, svg};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Ourselves.
pub const OURS: &str = "dunnage";

/// What `measure` wrote about one host.
pub struct Host(Value);

impl Host {
    /// Its name.
    pub fn name(&self) -> &str {
        self.0.get("host").and_then(Value::as_str).unwrap_or_default()
    }

    /// The runtimes that it could run, in the order of the command line.
    pub fn runtimes(&self) -> Vec<&str> {
        let list = self.0.get("runtimes").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|r| r.get("name")?.as_str()).collect()
    }

    /// A fact about a runtime: `version`, `bytes`, `static`.
    pub fn fact(&self, runtime: &str, key: &str) -> Option<&Value> {
        let list = self.0.get("runtimes").and_then(Value::as_array)?;
        list.iter().find(|r| r.get("name").is_some_and(|n| n == runtime))?.get(key)
    }

    /// A figure: of a row ("run"), a runtime, a mode ("warm", "cold", "syscalls"), a key ("wall", "cpu", "rss", "count").
    pub fn figure(&self, row: &str, runtime: &str, mode: &str, key: &str) -> Option<f64> {
        let rows = self.0.get("rows").and_then(Value::as_array)?;
        let is = |r: &Value, k: &str, v: &str| r.get(k).is_some_and(|x| x == v);
        let found = rows.iter().find(|r| is(r, "row", row) && is(r, "runtime", runtime) && is(r, "mode", mode))?;
        found.get(key)?.as_f64()
    }

    /// The rows that have figures of this mode, in the order in which they were measured.
    pub fn rows(&self, mode: &str) -> Vec<&str> {
        let mut names: Vec<&str> = vec![];
        for row in self.0.get("rows").and_then(Value::as_array).into_iter().flatten() {
            let name = row.get("row").and_then(Value::as_str).unwrap_or_default();
            if row.get("mode").is_some_and(|m| m == mode) && !names.contains(&name) {
                names.push(name);
            }
        }
        // The parts of a cycle come after the whole, in the order of a container's life.
        const LIFE: [&str; 10] = [
            "run",
            "run, seccomp",
            "create+start+delete",
            "create",
            "start",
            "delete",
            "exec",
            "state",
            "kill",
            "--version",
        ];
        names.sort_by_key(|n| LIFE.iter().position(|l| l == n));
        names
    }

    /// Smallest memory limits: None when this host cannot limit memory, else KiB by runtime (None: none that was tried).
    pub fn limit(&self, runtime: &str) -> Option<Option<u64>> {
        self.0.get("limits")?.get(runtime).map(Value::as_u64)
    }

    /// Samples that failed: row, runtime, "warm" or "cold", how many, what the first one said.
    fn failures(&self) -> Vec<(&str, &str, &str, u64, &str)> {
        let rows = self.0.get("rows").and_then(Value::as_array);
        let failed = rows.into_iter().flatten().filter(|r| r.get("mode").is_some_and(|m| m == "failures"));
        failed
            .filter_map(|r| {
                let text = |key: &str| r.get(key).and_then(Value::as_str);
                Some((text("row")?, text("runtime")?, text("rounds")?, r.get("count")?.as_u64()?, text("first")?))
            })
            .collect()
    }

    fn samples(&self, mode: &str) -> u64 {
        self.0.get(mode).and_then(Value::as_u64).unwrap_or_default()
    }

    fn refused(&self) -> Vec<(&str, &str)> {
        let map = self.0.get("refused").and_then(Value::as_object);
        map.into_iter().flatten().map(|(k, v)| (k.as_str(), v.as_str().unwrap_or_default())).collect()
    }
}

/// Writes core.md and core.svg into `out`.
pub fn write(out: &Path, files: &[String]) -> Result<()> {
    let mut hosts = vec![];
    for file in files {
        hosts.push(Host(serde_json::from_slice(&fs::read(file)?)?));
    }
    let main = hosts.first().ok_or("nothing to report")?;
    fs::create_dir_all(out)?;
    fs::write(out.join("core.svg"), svg::plot(main))?;
    fs::write(out.join("core.md"), page(&hosts)?)?;
    Ok(())
}

fn page(hosts: &[Host]) -> Result<String> {
    let mut p = String::from("<!-- Written by `make bench`; do not edit. -->\n# The core, measured\n\n");
    writeln!(
        p,
        "Repeat it with `make bench` (as root; it fetches the other runtimes, see `integration/peers.sh`). Every"
    )?;
    writeln!(
        p,
        "sample is one posix_spawn and one wait4 of the runtime itself, no shell. A round takes one sample of each"
    )?;
    writeln!(p, "runtime, in another order each time. The bundle is that of `runc spec` with /bin/true of a")?;
    writeln!(
        p,
        "static busybox. *floor* is no runtime: it is the least that has to be asked of the kernel for that bundle"
    )?;
    writeln!(
        p,
        "(`integration/bench/floor.c`), linked with glibc, whose start on a virtual machine is 0.25 ms longer than musl's: a"
    )?;
    writeln!(
        p,
        "command that does next to nothing can be below it. *seccomp* is the profile that engines ship with.\n"
    )?;
    writeln!(p, "{}\n", machine())?;
    versions(&mut p, hosts)?;
    writeln!(p, "\n![Wall time by command and runtime](core.svg)\n")?;
    if let Some(main) = hosts.first().filter(|h| h.runtimes().contains(&OURS)) {
        budgets::table(&mut p, main, hosts)?;
    }
    for host in hosts {
        tables(&mut p, host)?;
    }
    limits(&mut p, hosts)?;
    Ok(p)
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ")).map_or("", |(_, m)| m);
    let cpus = cpuinfo.lines().filter(|l| l.starts_with("processor")).count();
    let day = std::env::var("BENCH_DATE").unwrap_or_default();
    let load = std::env::var("BENCH_LOAD").unwrap_or_default();
    let note = std::env::var("BENCH_NOTE").unwrap_or_default();
    format!(
        "{day}: Linux {}, {cpus} x {model}. Load average before the run: {load}. {note}",
        read("/proc/sys/kernel/osrelease").trim()
    )
}

fn versions(p: &mut String, hosts: &[Host]) -> Result<()> {
    let Some(main) = hosts.first() else { return Ok(()) };
    writeln!(p, "| | version | binary | linked |\n|---|---|---|---|")?;
    for r in main.runtimes() {
        let version = main.fact(r, "version").and_then(Value::as_str).filter(|_| r != FLOOR).unwrap_or("-");
        let mib = main.fact(r, "bytes").and_then(Value::as_f64).unwrap_or_default() / 1024.0 / 1024.0;
        let linked = if main.fact(r, "static") == Some(&Value::Bool(true)) { "statically" } else { "dynamically" };
        writeln!(p, "| {r} | {version} | {mib:.2} MiB | {linked} |")?;
    }
    Ok(())
}

fn tables(p: &mut String, host: &Host) -> Result<()> {
    writeln!(p, "\n## On {}\n", host.name())?;
    for (runtime, reason) in host.refused() {
        // The runtime's own words come last, after the command line of the sample.
        let reason = reason.rsplit("exit status").next().unwrap_or(reason).trim();
        let line = reason.lines().next().unwrap_or_default();
        writeln!(p, "{runtime} does not run here: exit status {line}\n")?;
    }
    for (row, runtime, rounds, count, first) in host.failures() {
        let first = first.rsplit_once(" did not end").map_or("failed", |_| "did not end");
        writeln!(p, "{runtime}: {count} of the {rounds} samples of `{row}` {first}; they are not in the figures.\n")?;
    }
    let warm = format!("Wall time, back to back: median (p90) of {}, milliseconds", host.samples("warm"));
    let cold = format!("Wall time, 0.3 s apart: median (p90) of {}, milliseconds", host.samples("cold"));
    let wall = |mode: &'static str| {
        move |row: &str, r: &str| {
            let (m, p90) = (host.figure(row, r, mode, "wall")?, host.figure(row, r, mode, "wall_p90")?);
            Some(format!("{m:.2} ({p90:.2})"))
        }
    };
    table(p, host, &warm, "warm", &wall("warm"))?;
    table(p, host, &cold, "cold", &wall("cold"))?;
    let cpu = |row: &str, r: &str| Some(format!("{:.2}", host.figure(row, r, "warm", "cpu")?));
    table(p, host, "CPU, user and system, the container's included: mean, milliseconds", "warm", &cpu)?;
    let rss = |row: &str, r: &str| Some(format!("{:.1}", host.figure(row, r, "warm", "rss")? / 1024.0));
    table(p, host, "Peak resident memory of the largest process: median, MiB", "warm", &rss)?;
    let count = |row: &str, r: &str| Some(format!("{}", host.figure(row, r, "syscalls", "count")?));
    table(p, host, "System calls, the container's own included", "syscalls", &count)
}

fn table(
    p: &mut String,
    host: &Host,
    title: &str,
    mode: &str,
    cell: &dyn Fn(&str, &str) -> Option<String>,
) -> Result<()> {
    let rows = host.rows(mode);
    if rows.is_empty() {
        return Ok(());
    }
    let runtimes = host.runtimes();
    writeln!(p, "{title}\n\n| | {} |\n|---{}|", runtimes.join(" | "), "|---:".repeat(runtimes.len()))?;
    for row in rows {
        let cells: Vec<String> = runtimes.iter().map(|r| cell(row, r).unwrap_or_else(|| "-".into())).collect();
        writeln!(p, "| {row} | {} |", cells.join(" | "))?;
    }
    writeln!(p)?;
    Ok(())
}

fn limits(p: &mut String, hosts: &[Host]) -> Result<()> {
    let with: Vec<&Host> = hosts.iter().filter(|h| h.runtimes().iter().any(|r| h.limit(r).is_some())).collect();
    if with.is_empty() {
        return Ok(());
    }
    writeln!(p, "## The smallest memory limit in which /bin/true starts\n")?;
    writeln!(p, "Five times out of five, with `linux.resources.memory.limit`; sizes were tried in steps.\n")?;
    for host in with {
        let list: Vec<String> = host
            .runtimes()
            .iter()
            .filter_map(|r| host.limit(r).map(|l| (r, l)))
            .map(|(r, l)| l.map_or_else(|| format!("{r}: none up to 32 MiB"), |kib| format!("{r}: {kib} KiB")))
            .collect();
        writeln!(p, "* On {}: {}", host.name(), list.join(", "))?;
    }
    Ok(())
}
