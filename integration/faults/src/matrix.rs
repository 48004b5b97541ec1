//! Every call of every command, killed and failed: one round each, one verdict each.

use crate::calls::{self, ERRNOS};
use crate::portrait;
use crate::scenario::{self, ID, Runtime, Scenario};
use crate::tracer::{self, Fault, Point, Seen, What};
use crate::world::{self, World};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What came of a fault, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// Something is there after `delete --force`.
    Left,
    /// It answered 0 and what it was asked for is not so.
    Lied,
    /// It did not end in time.
    Hung,
    /// It failed, and its words do not say with what.
    Unclear,
    /// It failed, and said what the kernel said.
    Clear,
    /// It succeeded all the same.
    Done,
    /// It had answered already: what failed was the container's.
    After,
    /// It was killed, and nothing is left.
    Killed,
    /// The call did not come.
    Missed,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Round {
    pub fault: Fault,
    pub verdict: Verdict,
    /// What is left, what is not so, or what was said.
    pub words: String,
}

/// What a round without a fault shows.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Clean {
    pub seen: Vec<Seen>,
    pub result: Vec<String>,
}

impl Clean {
    /// The process had written all that it ever writes: what happens to it then, the command can't know, as it can't know what
    /// becomes of the program.
    fn is_after_its_last_word(&self, fault: Fault) -> bool {
        let own: Vec<&Seen> = self.seen.iter().filter(|s| s.at.process == fault.at.process).collect();
        let says = |s: &Seen| ["write", "sendto", "sendmsg"].contains(&calls::name(s.at.call).as_str());
        let last = own.iter().rposition(|s| says(s));
        let here = own.iter().position(|s| s.at == fault.at);
        let done = matches!(fault.what, What::KillAfter);
        fault.at.process != 0 && last.zip(here).is_some_and(|(last, here)| here > last || (here == last && done))
    }
}

pub struct Options<'a> {
    pub runtime: &'a str,
    pub rootfs: &'a str,
}

fn limit() -> Duration {
    Duration::from_secs(5 * scenario::slow())
}

fn whole() -> Duration {
    Duration::from_secs(60 * scenario::slow())
}

impl Options<'_> {
    /// The calls, in the order in which they come, and what the command makes.
    pub fn clean(&self, scenario: Scenario) -> Result<Clean, String> {
        let round = |world: &World| -> Result<Clean, String> {
            let runtime = Runtime { path: self.runtime, world };
            scenario::write_config(&scenario.config(world, self.rootfs))?;
            let inits = scenario.prepare(&runtime)?;
            let traced = tracer::trace(&runtime.argv(&scenario.args()), &inits, None, true, whole() / 2)
                .map_err(|e| format!("trace: {e}"))?;
            if traced.code != Some(0) {
                return Err(format!("exit code {:?}: {}", traced.code, traced.err));
            }
            let result = scenario.result(&runtime, &traced.out)?;
            let deleted = runtime.delete(ID);
            let left = world.left_after(Duration::from_secs(2));
            if !left.is_empty() {
                return Err(format!("left without any fault: {left:?} ({deleted:?})"));
            }
            Ok(Clean { seen: traced.seen, result })
        };
        world::run(scenario.cgroups(), whole(), round).map_err(|e| e.to_string())?.unwrap_or(Err("no answer".into()))
    }

    pub fn round(&self, scenario: Scenario, clean: &Clean, fault: Fault) -> Result<Round, String> {
        let round = |world: &World| -> Result<(Verdict, String), String> {
            let runtime = Runtime { path: self.runtime, world };
            scenario::write_config(&scenario.config(world, self.rootfs))?;
            let inits = scenario.prepare(&runtime)?;
            let traced = tracer::trace(&runtime.argv(&scenario.args()), &inits, Some(fault), false, limit())
                .map_err(|e| format!("trace: {e}"))?;
            let killed = !matches!(fault.what, What::Errno(_)) && fault.at.process == 0;
            let (mut verdict, mut words) = match traced.code {
                _ if !traced.reached => (Verdict::Missed, String::new()),
                None => (Verdict::Hung, traced.err.clone()),
                Some(_) if killed => (Verdict::Killed, String::new()),
                // A process of the container's, which went on alone.
                Some(0) => match scenario.result(&runtime, &traced.out) {
                    Err(_) if clean.is_after_its_last_word(fault) => (Verdict::After, String::new()),
                    Err(e) => (Verdict::Lied, e),
                    Ok(now) => match portrait::difference(&clean.result, &now) {
                        Some(difference) => (Verdict::Lied, difference),
                        None => (Verdict::Done, String::new()),
                    },
                },
                Some(code) => (told(fault, code, &traced.err), format!("exit {code}: {}", traced.err.trim())),
            };
            let (code, _, err) = runtime.delete(ID);
            let left = world.left_after(Duration::from_secs(2 * scenario::slow()));
            if code.is_none() {
                (verdict, words) = (Verdict::Hung, format!("delete --force: {err}"));
            } else if !left.is_empty() && traced.reached {
                let said = if code == Some(0) { String::new() } else { format!(" ({})", err.trim()) };
                (verdict, words) = (Verdict::Left, format!("{}{said}", left.join(", ")));
            }
            Ok((verdict, words))
        };
        let done = world::run(scenario.cgroups(), whole(), round).map_err(|e| e.to_string())?;
        let (verdict, words) = done.unwrap_or(Ok((Verdict::Hung, "the round had to be ended".into())))?;
        Ok(Round { fault, verdict, words })
    }
}

/// Whether the words of a failure say what the kernel said.
fn told(fault: Fault, code: i32, err: &str) -> Verdict {
    let lower = err.to_lowercase();
    let crashed = ["panic", "goroutine", "segmentation", "fatal error:"].iter().any(|w| lower.contains(w))
        || (code > 128 && ![255, 128 + libc::SIGKILL].contains(&code));
    let says = match fault.what {
        What::Errno(n) => {
            let (name, _, text) = ERRNOS.get(n).copied().unwrap_or_default();
            lower.contains(text) || err.contains(name) || (text.contains("memory") && lower.contains("out of memory"))
        }
        // A part of it has been killed; or the program, whose end is told as a shell does.
        _ => !lower.trim().is_empty() || code == 128 + libc::SIGKILL,
    };
    if says && !crashed { Verdict::Clear } else { Verdict::Unclear }
}

/// Calls at which nothing can be lost: Go's scheduler makes as many as it likes of them, never twice the same.
const NOISE: &[&str] = &[
    "futex",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_yield",
    "nanosleep",
    "clock_nanosleep",
    "tgkill",
    "gettid",
    "getpid",
    "madvise",
    "epoll_pwait",
    "epoll_wait",
    "rt_sigaction",
    "sigaltstack",
    "restart_syscall",
];

fn is_noise(call: i64) -> bool {
    NOISE.contains(&calls::name(call).as_str())
}

/// The faults of one command: kills, before each call and after it; every errno that each call may get, or one of them.
pub fn faults(clean: &Clean, kinds: Kinds) -> Vec<Fault> {
    let mut all = Vec::new();
    for (i, seen) in clean.seen.iter().filter(|s| !is_noise(s.at.call)).enumerate() {
        let mut add = |what| all.push(Fault { at: seen.at, what });
        if kinds.kill_before {
            add(What::KillBefore);
        }
        // What does not return, or returns elsewhere, has no after.
        let returns = !["exit_group", "exit"].contains(&calls::name(seen.at.call).as_str());
        if kinds.kill_after && returns {
            add(What::KillAfter);
        }
        match kinds.errnos {
            Errnos::All => seen.errnos.iter().for_each(|n| add(What::Errno(*n))),
            Errnos::One => {
                // In turn, so that each comes up.
                let n = seen.errnos.len();
                seen.errnos.get(i.checked_rem(n).unwrap_or(0)).into_iter().for_each(|n| add(What::Errno(*n)));
            }
            Errnos::None => {}
        }
    }
    all
}

#[derive(Debug, Clone, Copy)]
pub struct Kinds {
    pub kill_before: bool,
    pub kill_after: bool,
    pub errnos: Errnos,
}

#[derive(Debug, Clone, Copy)]
pub enum Errnos {
    None,
    One,
    All,
}

/// `most` of them, spread evenly.
pub fn spread<T: Copy>(all: &[T], most: usize) -> Vec<T> {
    let count = all.len().min(most);
    (0..count).filter_map(|i| all.get(i.saturating_mul(all.len()).checked_div(count).unwrap_or(0)).copied()).collect()
}

pub fn describe(fault: Fault) -> String {
    let Point { process, call, occurrence } = fault.at;
    let what = match fault.what {
        What::KillBefore => "killed before".to_string(),
        What::KillAfter => "killed after".to_string(),
        What::Errno(n) => ERRNOS.get(n).map_or("?", |(name, _, _)| name).to_string(),
    };
    format!("{what} {}[{occurrence}] of process {process}", calls::name(call))
}

pub fn count(rounds: &[Round]) -> BTreeMap<Verdict, usize> {
    let mut counts = BTreeMap::new();
    for round in rounds {
        *counts.entry(round.verdict).or_default() += 1;
    }
    counts
}
