//! The scenarios, and the rounds in which they run.
//!
//! A round takes one sample of each runtime, in another order each time, so that what disturbs the machine (and what one
//! container leaves for the kernel to tear down) falls on all of them alike.

use crate::bundle::{self, Bundle};
use crate::meter::{self, Cost};
use crate::runtimes::Runtime;
use crate::{Options, Result, limits, stats};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What is measured. The order is that of the tables.
#[derive(Clone, Copy, PartialEq)]
enum Scenario {
    Run,
    RunSeccomp,
    Cycle,
    Exec,
    State,
    Kill,
    Version,
}

const ALL: [Scenario; 7] = [
    Scenario::Run,
    Scenario::RunSeccomp,
    Scenario::Cycle,
    Scenario::Exec,
    Scenario::State,
    Scenario::Kill,
    Scenario::Version,
];

const ID: &str = "bench";
const SLEEPER: &str = "sleeper";

/// What scenarios need of the host.
struct Stage<'a> {
    options: &'a Options,
    meter: PathBuf,
    runtimes: Vec<Runtime>,
    plain: Bundle,
    sleeper: Bundle,
    seccomp: Option<Bundle>,
}

/// What the rounds of a scenario gave.
#[derive(Default)]
struct Rounds {
    /// By row and runtime.
    samples: BTreeMap<(&'static str, String), Vec<Cost>>,
    /// By runtime: why samples failed.
    failures: BTreeMap<String, Vec<String>>,
}

/// A runtime that fails this often in one scenario is not asked again.
const TOO_OFTEN: usize = 5;

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Scenario::Run => "run",
            Scenario::RunSeccomp => "run, seccomp",
            Scenario::Cycle => "create+start+delete",
            Scenario::Exec => "exec",
            Scenario::State => "state",
            Scenario::Kill => "kill",
            Scenario::Version => "--version",
        }
    }

    /// The floor installs no seccomp profile: compiling one is the runtimes' own doing.
    fn applies(self, stage: &Stage, runtime: &Runtime) -> bool {
        self != Scenario::RunSeccomp || (stage.seccomp.is_some() && !runtime.is_floor())
    }

    fn steps(self, stage: &Stage, r: &Runtime) -> Vec<Vec<String>> {
        match self {
            Scenario::Run => vec![r.launch("run", &stage.plain, ID)],
            Scenario::RunSeccomp => stage.seccomp.iter().map(|b| r.launch("run", b, ID)).collect(),
            Scenario::Cycle => vec![
                r.launch("create", &stage.plain, ID),
                r.on("start", ID, &[]),
                vec!["@reap".into()],
                r.on("delete", ID, &[]),
            ],
            Scenario::Exec => vec![r.on("exec", SLEEPER, &["/bin/true"])],
            Scenario::State => vec![r.on("state", SLEEPER, &[])],
            // A signal that changes nothing: the sleeper is needed for the next sample.
            Scenario::Kill => vec![r.on("kill", SLEEPER, &["CONT"])],
            Scenario::Version => vec![r.print_version()],
        }
    }

    /// The rows of the tables that a sample gives. @reap is the container's own time, not the runtime's.
    fn rows(self, costs: &[Cost], whole: Cost) -> Vec<(&'static str, Cost)> {
        match (self, costs) {
            (Scenario::Cycle, [create, start, reap, delete]) => vec![
                (self.name(), Cost { wall: whole.wall - reap.wall, ..whole }),
                ("create", *create),
                ("start", *start),
                ("delete", *delete),
            ],
            (_, [one, ..]) => vec![(self.name(), *one)],
            _ => vec![],
        }
    }
}

impl Stage<'_> {
    fn sample(&self, scenario: Scenario, runtime: &Runtime, into: &mut Rounds) {
        match meter::run(&self.meter, &scenario.steps(self, runtime)) {
            Ok((costs, whole)) => {
                for (row, cost) in scenario.rows(&costs, whole) {
                    into.samples.entry((row, runtime.name.clone())).or_default().push(cost);
                }
            }
            Err(e) => {
                eprintln!("{}: {}: {}: {e}", self.options.host, scenario.name(), runtime.name);
                into.failures.entry(runtime.name.clone()).or_default().push(e.to_string());
                let _ = words(&runtime.force_delete(ID)).and_then(|mut c| quiet(&mut c, &self.options.work));
            }
        }
    }

    /// `count` rounds, `pause` before each sample, after one that is not counted.
    fn rounds(&self, scenario: Scenario, count: usize, pause: Duration) -> Rounds {
        let mut order: Vec<&Runtime> = self.runtimes.iter().filter(|r| scenario.applies(self, r)).collect();
        let mut rounds = Rounds::default();
        if order.is_empty() || count == 0 {
            return rounds;
        }
        for runtime in &order {
            self.sample(scenario, runtime, &mut rounds);
        }
        rounds.samples.clear();
        for round in 0..count {
            order.sort_by_cached_key(|r| shuffled(round, &r.name));
            for runtime in &order {
                if rounds.failures.get(&runtime.name).is_none_or(|f| f.len() < TOO_OFTEN) {
                    std::thread::sleep(pause);
                    self.sample(scenario, runtime, &mut rounds);
                }
            }
        }
        rounds
    }

    /// Every system call of the command and its children, the container's own program included: the middle of three runs
    /// under strace.
    fn syscalls(&self, scenario: Scenario, runtime: &Runtime) -> Result<Option<f64>> {
        let (steps, report) = (scenario.steps(self, runtime), self.options.work.join("strace"));
        // strace waits for all that it follows: a container that `create` leaves behind would never end.
        let [step] = steps.as_slice() else { return Ok(None) };
        let mut counts = vec![];
        for _ in 0..3 {
            // With /dev/null for all three: what a runtime copies for its container would be counted otherwise.
            let mut command = Command::new("timeout");
            let trace = "exec strace -f -qq -c -o \"$0\" \"$@\" </dev/null >/dev/null 2>&1";
            command.args(["-k", "1", "10", "sh", "-c", trace]).arg(&report).args(step);
            if quiet(&mut command, &self.options.work).is_err() {
                let _ = words(&runtime.force_delete(ID)).and_then(|mut c| quiet(&mut c, &self.options.work));
                continue;
            }
            let text = fs::read_to_string(&report)?;
            let total = text.lines().find(|l| l.trim_end().ends_with(" total"));
            counts.extend(total.and_then(|l| l.split_whitespace().nth(3)?.parse::<f64>().ok()));
        }
        Ok(Some(stats::median(&counts)).filter(|_| !counts.is_empty()))
    }

    fn start_sleepers(&self) -> Result<()> {
        for runtime in &self.runtimes {
            for step in [runtime.launch("create", &self.sleeper, SLEEPER), runtime.on("start", SLEEPER, &[])] {
                quiet(words(&step)?.env("FLOOR_ARGS", "sleep"), &self.options.work)?;
            }
        }
        Ok(())
    }

    fn stop_sleepers(&self) -> Result<()> {
        for runtime in &self.runtimes {
            quiet(words(&runtime.force_delete(SLEEPER))?.env("FLOOR_KILL", "1"), &self.options.work)?;
        }
        Ok(())
    }

    fn scenario(&self, scenario: Scenario) -> Result<Vec<Value>> {
        eprintln!("{}: {}", self.options.host, scenario.name());
        let needs_sleeper = matches!(scenario, Scenario::Exec | Scenario::State | Scenario::Kill);
        if needs_sleeper {
            self.start_sleepers()?;
        }
        let measured = self.measure(scenario);
        if needs_sleeper {
            self.stop_sleepers()?;
        }
        measured
    }

    fn measure(&self, scenario: Scenario) -> Result<Vec<Value>> {
        let warm = self.rounds(scenario, self.options.warm, Duration::ZERO);
        let cold = self.rounds(scenario, self.options.cold, Duration::from_millis(300));
        let mut rows = vec![];
        for (mode, rounds) in [("warm", warm), ("cold", cold)] {
            for ((row, runtime), costs) in rounds.samples {
                rows.push(summary(row, &runtime, mode, &costs));
            }
            for (runtime, failures) in rounds.failures {
                rows.push(json!({"row": scenario.name(), "runtime": runtime, "mode": "failures", "rounds": mode,
                    "count": failures.len(), "first": failures.first()}));
            }
        }
        for runtime in self.runtimes.iter().filter(|r| scenario.applies(self, r)) {
            if let Some(count) = self.syscalls(scenario, runtime)? {
                rows.push(json!({"row": scenario.name(), "runtime": runtime.name, "mode": "syscalls", "count": count}));
            }
        }
        Ok(rows)
    }
}

/// Sorting by this gives each round an order of its own, the same in every run of the benchmark.
fn shuffled(round: usize, name: &str) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    (round, name).hash(&mut hasher);
    hasher.finish()
}

fn summary(row: &str, runtime: &str, mode: &str, costs: &[Cost]) -> Value {
    let of = |field: fn(&Cost) -> f64| costs.iter().map(field).collect::<Vec<f64>>();
    let (wall, cpu, rss) = (of(|c| c.wall), of(|c| c.cpu), of(|c| c.rss));
    json!({
        "row": row, "runtime": runtime, "mode": mode, "n": costs.len(),
        "wall": stats::median(&wall), "wall_p90": stats::quantile(&wall, 0.9),
        // The kernel accounts by the tick for some and exactly for others: a mean loses less than a median.
        "cpu": cpu.iter().sum::<f64>() / cpu.len() as f64,
        "rss": stats::median(&rss),
    })
}

/// A command from its words.
pub fn words(argv: &[String]) -> Result<Command> {
    let (program, args) = argv.split_first().ok_or("an empty command")?;
    let mut command = Command::new(program);
    command.args(args);
    Ok(command)
}

/// Runs a command without its output; when it fails, what it said is the error. The output goes to a file, because a
/// container that stays would keep a pipe open.
pub fn quiet(command: &mut Command, work: &Path) -> Result<()> {
    let path = work.join("output");
    let output = fs::File::create(&path)?;
    let status = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {status}: {}", fs::read_to_string(&path)?.trim()).into())
}

/// Where cgroup hierarchies are mounted, one directory each.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for line in fs::read_to_string("/proc/self/mounts")?.lines() {
        let mut fields = line.split(' ').skip(1);
        if let (Some(path), Some("cgroup" | "cgroup2")) = (fields.next(), fields.next()) {
            found.push(path.into());
        }
    }
    Ok(found)
}

/// Makes the parent of all cgroups here. A v1 cpuset is born without CPUs, and nothing may enter it; its children copy
/// the parent's when clone_children is set.
fn make_parent(hierarchy: &Path) -> Result<PathBuf> {
    let dir = hierarchy.join(bundle::parent());
    fs::create_dir_all(&dir)?;
    if hierarchy.join("cpuset.cpus").is_file() {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            fs::write(dir.join(file), fs::read(hierarchy.join(file))?)?;
        }
        fs::write(dir.join("cgroup.clone_children"), "1")?;
    }
    Ok(dir)
}

fn remove_parents(hierarchies: &[PathBuf]) {
    for hierarchy in hierarchies {
        let parent = hierarchy.join(bundle::parent());
        for child in fs::read_dir(&parent).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(child.path());
        }
        if let Err(e) = fs::remove_dir(&parent) {
            eprintln!("dunnage-bench: {}: {e}", parent.display());
        }
    }
}

/// Measures everything on this host and writes it to `--out`.
pub fn all(options: &Options) -> Result<()> {
    let hierarchies = hierarchies()?;
    fs::create_dir_all(&options.work)?;
    let mut runtimes = vec![];
    for argument in &options.rest {
        let mut runtime = Runtime::new(argument, &options.work)?;
        fs::create_dir_all(&runtime.state)?;
        runtime.cgroups = hierarchies.iter().map(|h| h.join(bundle::parent()).join(&runtime.name)).collect();
        runtimes.push(runtime);
    }
    for hierarchy in &hierarchies {
        make_parent(hierarchy)?;
    }
    let result = measure_all(options, runtimes);
    remove_parents(&hierarchies);
    result
}

fn measure_all(options: &Options, mut runtimes: Vec<Runtime>) -> Result<()> {
    let work = &options.work;
    let plain = Bundle::new(work, "plain", &runtimes, |_| {})?;
    let sleeper = Bundle::new(work, "sleeper", &runtimes, |c| {
        bundle::set(c, "/process/args", json!(["/bin/sleep", "1000"]));
    })?;
    let seccomp = match bundle::seccomp() {
        Some(section) => {
            Some(Bundle::new(work, "seccomp", &runtimes, |c| bundle::set(c, "/linux/seccomp", section.clone()))?)
        }
        None => None,
    };
    // A runtime that this host is not for (crun refuses cgroup v1 beside v2) is named with its reason, not measured.
    let meter = options.tools.join("meter");
    let mut refused = BTreeMap::new();
    runtimes.retain(|r| match runs(options, &meter, r, &plain) {
        Ok(()) => true,
        Err(e) => {
            eprintln!("{}: {} cannot run here: {e}", options.host, r.name);
            refused.insert(r.name.clone(), e.to_string());
            false
        }
    });
    let stage = Stage { options, meter, runtimes, plain, sleeper, seccomp };
    let mut rows = vec![];
    for scenario in ALL {
        rows.extend(stage.scenario(scenario)?);
    }
    let limits = limits::smallest(options, &stage.runtimes)?;
    let facts: Vec<Value> = stage.runtimes.iter().map(facts).collect();
    let document = json!({"host": options.host, "warm": options.warm, "cold": options.cold, "runtimes": facts, "refused": refused, "rows": rows, "limits": limits});
    fs::write(&options.out, serde_json::to_vec_pretty(&document)?)?;
    Ok(())
}

/// Whether a runtime can run the bundle on this host: one success of three, because one (youki) does not always see its
/// container end.
fn runs(options: &Options, meter: &Path, runtime: &Runtime, bundle: &Bundle) -> Result<()> {
    let mut last = Ok(());
    for _ in 0..3 {
        last = meter::run(meter, &[runtime.launch("run", bundle, ID)]).map(|_| ());
        if last.is_ok() {
            break;
        }
        let _ = words(&runtime.force_delete(ID)).and_then(|mut c| quiet(&mut c, &options.work));
    }
    last
}

fn facts(runtime: &Runtime) -> Value {
    let bytes = fs::read(&runtime.binary).unwrap_or_default();
    let dynamic = interpreted(&bytes).unwrap_or(false);
    json!({"name": runtime.name, "version": runtime.version, "bytes": bytes.len(), "static": !dynamic})
}

/// Whether an ELF64 little-endian executable names a loader (a program header of the type PT_INTERP).
fn interpreted(elf: &[u8]) -> Option<bool> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(elf.get(at..)?.first_chunk().copied()?));
    let headers = u64::from_le_bytes(elf.get(32..)?.first_chunk().copied()?) as usize;
    let (size, count) = (u16_at(54)?, u16_at(56)?);
    let table = elf.get(headers..)?.chunks(usize::from(size).max(1)).take(usize::from(count));
    Some(table.filter_map(|h| h.first_chunk::<4>()).any(|kind| u32::from_le_bytes(*kind) == 3))
}
