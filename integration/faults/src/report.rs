//! What was measured, as docs/robustness.md.

use crate::hostile::Case;
use crate::matrix::{self, Round, Verdict};
use crate::soak::Soak;
use crate::tracer::What;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Results {
    pub name: String,
    pub version: String,
    pub attacked: Vec<Attacked>,
    pub soak: Option<Soak>,
    pub hostile: Vec<Case>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Attacked {
    pub command: String,
    /// Why it could not be attacked.
    #[serde(default)]
    pub cannot: String,
    /// System calls of a clean one.
    pub calls: usize,
    /// Faults that there are, of which `rounds` may be a part.
    pub points: usize,
    pub rounds: Vec<Round>,
}

impl Results {
    /// Nothing left, nothing untrue, nothing that hangs; nothing of others touched.
    pub fn is_sound(&self) -> bool {
        let rounds = self.attacked.iter().flat_map(|a| &a.rounds);
        let soak = self.soak.iter().all(|s| s.is_flat());
        let all = self.attacked.iter().all(|a| a.cannot.is_empty());
        soak && all
            && rounds.into_iter().all(|r| r.verdict > Verdict::Hung)
            && self.hostile.iter().all(|c| c.faults.is_empty())
    }
}

impl Soak {
    pub fn is_flat(&self) -> bool {
        let (Some(first), Some(last)) = (self.looks.first(), self.looks.last()) else { return false };
        self.left.is_empty()
            && self.at_once.left.is_empty()
            && self.at_once.failed.is_empty()
            && self.at_once.running == self.at_once.asked
            // Some of the host's mounts that a round has copies of may go meanwhile.
            && last.mounts <= first.mounts
            && (first.processes, first.cgroups) == (last.processes, last.cgroups)
            // Others on the host have descriptors, too.
            && last.files < first.files + 500
            && last.peak < first.peak + first.peak / 10 + 512
    }
}

pub fn version(runtime: &str) -> String {
    let out = std::process::Command::new(runtime).arg("--version").output();
    let text = out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    first.split_whitespace().find(|w| w.starts_with(|c: char| c.is_ascii_digit())).unwrap_or_default().to_string()
}

pub fn words_of(soak: &Soak) -> String {
    let mut text = String::new();
    for look in &soak.looks {
        let _ = writeln!(text, "{look:?}");
    }
    let once = &soak.at_once;
    let failed = once.failed.first().cloned().unwrap_or_default();
    let _ = write!(
        text,
        "left {:?}; {} at once: {} ran, {} commands failed ({}), left {:?}, {} ms",
        soak.left,
        once.asked,
        once.running,
        once.failed.len(),
        failed.trim(),
        once.left,
        once.milliseconds
    );
    text
}

const HEAD: &str = "<!-- Written by `FULL=yes make test-faults`; do not edit. -->
# Robustness, measured

What is left when a runtime is killed at the worst moment, what it says when a system call fails, what thousands of containers
cost in the end, and what it does with a state directory that somebody else has written to. `FULL=yes make test-faults` does it
again: as root, with the runtimes that `integration/peers.sh` fetches. One program (`integration/faults/`) for all of them: what
is measured is what one sees from outside.
";

const HOW: &str = "
## How

Each round is a world of its own: pid, mount, network, ipc and cgroup namespaces, with nothing in `/tmp`, `/run` and `/dev/shm`. The host
has cgroup v2 alone in there (`update` and `create-mapped`, which has a user namespace and hooks: as it is, with v1). A tracer (ptrace(2)) stops the command, and every process that comes of
it until it becomes somebody else's program, before and after each system call. At one of them

* the process that makes the call is killed by SIGKILL, before the kernel has done anything of it or after it is done; or
* the call is not made and fails once, with each of ENOMEM, EIO, ENOSPC, EINTR, EAGAIN and EMFILE that can be: `integration/faults/src/calls.rs`
  is the table (close(2) closes all the same; EAGAIN only where a descriptor does not block).

Points are counted by process and kind of call (the third `openat` of the second process). Then it is looked at what the command answered,
and whether that is so: a container, or a process in one, is compared with a clean one's portrait as the host sees it
(namespaces, every mount with its flags, capabilities, limits, seccomp, ids, environment, devices, descriptors, host name, sysctl,
cgroup: some 150 lines). Then comes `delete --force`, and then nothing may be there: no process, cgroup, mount, file, directory,
fifo or socket.

| | |
|---|---|
| **left** | something is there after `delete --force` |
| **untrue** | it answered 0 and what it was asked for is not so |
| **hung** | it, or the `delete --force` after it, took more than five seconds |
| unclear | it failed, and does not say with which error (or crashed); of a killed helper: it said nothing |
| clear | it failed and said so, with the error |
| done | it succeeded all the same |
| after | its answer had been given already: the fault was the container's |
| killed | it was killed, and nothing is left |
";

/// Words for the columns.
const COLUMNS: &[(Verdict, &str)] = &[
    (Verdict::Left, "**left**"),
    (Verdict::Lied, "**untrue**"),
    (Verdict::Hung, "**hung**"),
    (Verdict::Unclear, "unclear"),
    (Verdict::Clear, "clear"),
    (Verdict::Done, "done"),
    (Verdict::After, "after"),
    (Verdict::Killed, "killed"),
];

fn row(page: &mut String, first: &str, rounds: &[&Round]) {
    if rounds.is_empty() {
        return;
    }
    let reached: Vec<_> = rounds.iter().filter(|r| r.verdict != Verdict::Missed).collect();
    let _ = write!(page, "| {first} | {} ", reached.len());
    for (verdict, _) in COLUMNS {
        let n = reached.iter().filter(|r| r.verdict == *verdict).count();
        let _ = write!(page, "| {} ", if n == 0 { "-".to_string() } else { n.to_string() });
    }
    page.push_str("|\n");
}

fn table(page: &mut String, all: &[Results], wanted: fn(What) -> bool) {
    let heads: Vec<&str> = COLUMNS.iter().map(|(_, head)| *head).collect();
    let _ = writeln!(page, "\n| | points | {} |\n|---|---:{}|", heads.join(" | "), "|---:".repeat(heads.len()));
    let mut commands: Vec<&str> = Vec::new();
    for attacked in all.iter().flat_map(|r| &r.attacked) {
        if !commands.contains(&attacked.command.as_str()) {
            commands.push(&attacked.command);
        }
    }
    for results in all {
        let rounds = results.attacked.iter().flat_map(|a| &a.rounds).filter(|r| wanted(r.fault.what));
        row(page, &format!("**{} {}**, all", results.name, results.version), &rounds.collect::<Vec<_>>());
    }
    for command in commands {
        for results in all {
            let attacked = results.attacked.iter().filter(|a| a.command == command);
            let rounds: Vec<_> = attacked.flat_map(|a| &a.rounds).filter(|r| wanted(r.fault.what)).collect();
            row(page, &format!("`{command}` {}", results.name), &rounds);
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    let here = std::env::current_dir().map(|d| format!("{}/", d.display())).unwrap_or_default();
    let line = text.replace(['\n', '|'], " ").replace(&here, "");
    // Times and the like differ from run to run; warnings come first.
    let line = line.rsplit_once("msg=").map_or(line.as_str(), |(_, rest)| rest);
    let short: String = line.chars().take(most).collect();
    if short.len() < line.len() { format!("{short}...") } else { short }
}

/// What came of the bad points, most frequent first.
fn examples(page: &mut String, results: &Results, most: usize) {
    let mut seen: BTreeMap<(Verdict, String, String), (usize, String)> = BTreeMap::new();
    for attacked in &results.attacked {
        for round in attacked.rounds.iter().filter(|r| r.verdict <= Verdict::Unclear) {
            let key = (round.verdict, attacked.command.clone(), cut(&round.words, 160));
            let entry = seen.entry(key).or_insert((0, matrix::describe(round.fault)));
            entry.0 += 1;
        }
    }
    let mut sorted: Vec<_> = seen.into_iter().collect();
    sorted.sort_by_key(|((verdict, _, _), (count, _))| (*verdict, usize::MAX - count));
    if sorted.is_empty() {
        let _ = writeln!(page, "\n{}: none.", results.name);
        return;
    }
    let kinds = sorted.len();
    let _ = writeln!(page, "\n{} {}:\n", results.name, results.version);
    for ((verdict, command, words), (count, first)) in sorted.into_iter().take(most) {
        let verdict = COLUMNS.iter().find(|(v, _)| *v == verdict).map_or("", |(_, head)| head.trim_matches('*'));
        let words = if words.is_empty() { String::new() } else { format!(": `{}`", words.replace('`', "'")) };
        let _ = writeln!(page, "* {verdict}, `{command}`, {count} points, the first {first}{words}");
    }
    if kinds > most {
        let _ = writeln!(page, "* and {} more kinds", kinds - most);
    }
}

pub fn page(all: &[Results]) -> String {
    let mut page = HEAD.to_string();
    page.push_str("\n## SIGKILL at every system call\n");
    for results in all {
        let (points, made): (Vec<_>, Vec<_>) = results.attacked.iter().map(|a| (a.points, a.rounds.len())).unzip();
        let (points, made) = (points.iter().sum::<usize>(), made.iter().sum::<usize>());
        if made < points {
            let _ =
                writeln!(page, "\n{}: {made} of {points} points (both tables), spread evenly over all.", results.name);
        }
    }
    for results in all {
        for attacked in results.attacked.iter().filter(|a| !a.cannot.is_empty()) {
            let (command, cannot) = (&attacked.command, cut(&attacked.cannot.replace('`', "'"), 200));
            let _ = writeln!(
                page,
                "\n{}: `{command}` could not be attacked, since without a fault it says: `{cannot}`.",
                results.name
            );
        }
    }
    table(&mut page, all, |what| !matches!(what, What::Errno(_)));
    page.push_str("\n## Every system call failed once\n");
    table(&mut page, all, |what| matches!(what, What::Errno(_)));
    page.push_str("\n## The worst of it\n");
    for results in all {
        examples(&mut page, results, 12);
    }
    page.push_str(EXCEPTIONS);
    soaks(&mut page, all);
    hostile(&mut page, all);
    page.push_str(HOW);
    page
}

const EXCEPTIONS: &str = "
What stays of ours, and why:

* *after*: the process in the container has said that it is done, the command has answered, and only then execve(2) fails, or somebody kills
  the process. To say so first and to execute then is the protocol of all of them: who waits for `start` waits in open(2). What failed
  is on the container's standard error.
* `start`, unclear: the container's process cannot open or write the fifo that it waits at. It has no other way to tell `start`, which sees
  that it has ended, and says that; the errno is on the container's standard error.
* Memory that is refused before `main`, or to the allocator, ends the program as the C library ends it: without words of ours.
";

fn soaks(page: &mut String, all: &[Results]) {
    page.push_str(
        "\n## Thousands, and hundreds at once\n
`create`, `start` and `delete --force`, one container after another; what the host has is looked at ten times. *Memory* is what programs could have (MemAvailable),
*kernel* what the kernel can't give back (SUnreclaim), both of the whole machine, MiB; *command* the largest command's peak, KiB.

| | containers | memory | kernel | files open | cgroups | mounts | processes | command | ms each |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for results in all {
        let Some(soak) = &results.soak else { continue };
        let middle = soak.looks.len() / 2;
        for look in [0, middle, soak.looks.len().saturating_sub(1)].iter().filter_map(|i| soak.looks.get(*i)) {
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} |",
                results.name,
                look.lives,
                look.available,
                look.slab,
                look.files,
                look.cgroups,
                look.mounts,
                look.processes,
                look.peak,
                look.milliseconds_a_life
            );
        }
    }
    page.push_str("\n`run --detach` of all before one is waited for, then `delete --force` of all:\n\n| | asked for | ran | commands that failed | left | ms |\n|---|---:|---:|---:|---:|---:|\n");
    for results in all {
        let Some(once) = results.soak.as_ref().map(|s| &s.at_once) else { continue };
        let (failed, left) = (once.failed.len(), once.left.len());
        let _ = writeln!(
            page,
            "| {} {} | {} | {} | {failed} | {left} | {} |",
            results.name, results.version, once.asked, once.running, once.milliseconds
        );
    }
}

fn hostile(page: &mut String, all: &[Results]) {
    page.push_str(
        "\n## A state directory that others have written to\n
Beside it live another container, and somebody's process (in a cgroup), files and mount. The state of a container that runs is
changed; then come `list` (table and JSON), `state`, `kill`, `delete`, `delete --force` and `list` again. **ok**: `list` shows the
other one each time, nothing hangs or crashes, nothing of the others is touched.\n\n",
    );
    let with: Vec<&Results> = all.iter().filter(|r| !r.hostile.is_empty()).collect();
    let names: Vec<String> = with.iter().map(|r| format!("{} {}", r.name, r.version)).collect();
    let _ = writeln!(page, "| | {} |\n|---{}|", names.join(" | "), "|---".repeat(names.len()));
    let cases = with.first().map(|r| r.hostile.as_slice()).unwrap_or_default();
    for case in cases {
        let _ = write!(page, "| {} ", case.name);
        for results in &with {
            let same = results.hostile.iter().find(|c| c.name == case.name);
            let words =
                same.map_or("?".to_string(), |c| if c.faults.is_empty() { "ok".into() } else { c.faults.join("; ") });
            let _ = write!(page, "| {} ", words.replace('|', " "));
        }
        page.push_str("|\n");
    }
}
