//! What a profile means: its names become actions and numbers, and its rules, for each system call of one architecture, an
//! ordered list of which the first match counts. Knows nothing of instructions.
//!
//! Where rules overlap, the order is libseccomp's, because profiles are written and tried with it:
//!
//! * a rule whose action is the default one is no rule;
//! * a rule without conditions beats all with, and of several the first beats the rest;
//! * of rules with conditions, those on a higher argument come first; on one argument `EQ`, `NE` and `MASKED_EQ` before `LT`
//!   and `LE`, before `GT` and `GE`; the tighter bound and the higher value first; on a tie the rule that is written first.

use std::cmp::{Ordering, Reverse};

use super::arch::{Arch, Call};
use crate::error::{Error, Result};
use crate::spec::{Arg, Seccomp, Syscall};

/// A value that a filter returns: `SECCOMP_RET_*`, with its data.
pub type Action = u32;

pub(super) const RET_KILL_THREAD: Action = 0;
pub(super) const RET_KILL_PROCESS: Action = 0x8000_0000;
pub(super) const RET_TRAP: Action = 0x0003_0000;
pub(super) const RET_ERRNO: Action = 0x0005_0000;
pub(super) const RET_USER_NOTIF: Action = 0x7fc0_0000;
pub(super) const RET_TRACE: Action = 0x7ff0_0000;
pub(super) const RET_LOG: Action = 0x7ffc_0000;
pub(super) const RET_ALLOW: Action = 0x7fff_0000;
/// The part of an [`Action`] that is not data.
pub(super) const RET_ACTION: u32 = 0xffff_0000;

/// `SCMP_ACT_*`, sorted, and whether `errnoRet` is for them.
pub(super) static ACTIONS: [(&str, Action, bool); 9] = [
    ("SCMP_ACT_ALLOW", RET_ALLOW, false),
    ("SCMP_ACT_ERRNO", RET_ERRNO, true),
    ("SCMP_ACT_KILL", RET_KILL_THREAD, false),
    ("SCMP_ACT_KILL_PROCESS", RET_KILL_PROCESS, false),
    ("SCMP_ACT_KILL_THREAD", RET_KILL_THREAD, false),
    ("SCMP_ACT_LOG", RET_LOG, false),
    ("SCMP_ACT_NOTIFY", RET_USER_NOTIF, false),
    ("SCMP_ACT_TRACE", RET_TRACE, true),
    ("SCMP_ACT_TRAP", RET_TRAP, false),
];

/// `SCMP_CMP_*`, sorted.
pub(super) static OPERATORS: [(&str, Op); 7] = [
    ("SCMP_CMP_EQ", Op::Eq),
    ("SCMP_CMP_GE", Op::Ge),
    ("SCMP_CMP_GT", Op::Gt),
    ("SCMP_CMP_LE", Op::Le),
    ("SCMP_CMP_LT", Op::Lt),
    ("SCMP_CMP_MASKED_EQ", Op::MaskedEq),
    ("SCMP_CMP_NE", Op::Ne),
];

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Op {
    Eq,
    Ge,
    Gt,
    Le,
    Lt,
    MaskedEq,
    Ne,
}

/// One comparison of one argument, both sides masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Condition {
    pub arg: u32,
    pub op: Op,
    pub mask: u64,
    pub value: u64,
}

/// If all conditions hold: the action. The conditions are of distinct arguments, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Rule {
    pub action: Action,
    pub conditions: Vec<Condition>,
}

/// What happens to a system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Always the same.
    Always(Action),
    /// The first rule that matches, else the profile's default.
    First(Vec<Rule>),
}

/// A profile whose words are understood.
#[derive(Debug)]
pub struct Profile<'a> {
    /// What happens where no rule matches.
    pub default: Action,
    /// Some rule notifies: the filter needs a listener.
    pub notify: bool,
    /// Names that no architecture has, in the order of the profile.
    pub unknown: Vec<&'a str>,
    /// Every call that the profile names, whatever its rule is.
    mentioned: Vec<Call>,
    /// (call, index into `rules`), in the order of the profile.
    calls: Vec<(Call, usize)>,
    rules: Vec<Rule>,
}

impl<'a> Profile<'a> {
    /// Reads the words of a profile.
    pub fn new(seccomp: &'a Seccomp) -> Result<Self> {
        let default = action(&seccomp.default_action, seccomp.default_errno_ret)
            .map_err(|e| e.field("/linux/seccomp/defaultAction"))?;
        if default == RET_USER_NOTIF {
            return Err(
                Error::new("SCMP_ACT_NOTIFY cannot be used as default action").field("/linux/seccomp/defaultAction")
            );
        }
        let names = seccomp.syscalls.iter().map(|s| s.names.len()).fold(0, usize::saturating_add);
        let mut profile = Profile {
            default,
            notify: false,
            unknown: Vec::new(),
            mentioned: Vec::with_capacity(names),
            calls: Vec::with_capacity(names),
            rules: Vec::with_capacity(seccomp.syscalls.len()),
        };
        for (i, syscall) in seccomp.syscalls.iter().enumerate() {
            profile.add(i, syscall)?;
        }
        if profile.notify && seccomp.listener_path.is_empty() {
            return Err(Error::new("seccomp listenerPath is not set").field("/linux/seccomp/listenerPath"));
        }
        Ok(profile)
    }

    /// Adds `syscalls[i]`.
    fn add(&mut self, i: usize, syscall: &'a Syscall) -> Result<()> {
        let refuse = |e: Error, at: &str| e.field(format!("/linux/seccomp/syscalls/{i}{at}"));
        let action = action(&syscall.action, syscall.errno_ret).map_err(|e| refuse(e, "/action"))?;
        let first = self.rules.len();
        let alternatives = conditions(i, &syscall.args)?;
        if action != self.default {
            self.rules.extend(alternatives.into_iter().map(|conditions| Rule { action, conditions }));
        }
        self.notify |= action == RET_USER_NOTIF;
        for name in &syscall.names {
            if name.is_empty() {
                return Err(refuse(Error::new("empty string is not a valid syscall"), "/names"));
            }
            if action == RET_USER_NOTIF && name == "write" {
                // The one that reports the listener is itself under the filter then.
                let e = Error::new("SCMP_ACT_NOTIFY cannot be used for the write syscall");
                return Err(refuse(e, "/action"));
            }
            match Call::by_name(name) {
                None => self.unknown.push(name),
                Some(call) => {
                    self.mentioned.push(call);
                    self.calls.extend((first..self.rules.len()).map(|rule| (call, rule)));
                }
            }
        }
        Ok(())
    }

    /// Whether calls that are younger than the profile get `ENOSYS` in place of the default action: not if that lets them pass,
    /// or asks a tracer, who may know them.
    pub fn is_closed(&self) -> bool {
        !matches!(self.default & RET_ACTION, RET_ALLOW | RET_LOG | RET_TRACE)
    }

    /// The highest number that the profile names on an architecture, whatever the rule is; none if that is 0. What is behind
    /// `ipc` or `socketcall` has that number, too. ARM's private calls are left out: they are not numbered with the others.
    pub fn newest(&self, arch: &Arch) -> Option<u32> {
        let numbers = |call: &Call| [call.number(arch), call.multiplexer(arch).map(|(number, _)| number)];
        let numbers = self.mentioned.iter().flat_map(numbers).flatten();
        numbers.filter(|n| *n < super::arch::ARM_PRIVATE || arch.base != 0).max().filter(|n| *n != 0)
    }

    /// What happens to each call of an architecture for which there is a rule, by number.
    pub fn verdicts(&self, arch: &Arch) -> Vec<(u32, Verdict)> {
        // (number, order in the profile, rule, value of the multiplexer's first argument)
        let mut entries: Vec<(u32, usize, usize, Option<u32>)> = Vec::with_capacity(self.calls.len().saturating_mul(2));
        for (order, (call, rule)) in self.calls.iter().enumerate() {
            if let Some((number, value)) = call.multiplexer(arch) {
                entries.push((number, order, *rule, Some(value)));
            }
            if let Some(number) = call.number(arch) {
                entries.push((number, order, *rule, None));
            }
        }
        entries.sort_unstable();
        entries
            .chunk_by(|a, b| a.0 == b.0)
            .filter_map(|of_call| Some((of_call.first()?.0, self.verdict(arch, of_call)?)))
            .collect()
    }

    fn verdict(&self, arch: &Arch, entries: &[(u32, usize, usize, Option<u32>)]) -> Option<Verdict> {
        let mut rules = Vec::new();
        for (_, _, rule, multiplexed) in entries {
            let rule = self.rules.get(*rule)?;
            let conditions = on(arch, &rule.conditions, *multiplexed);
            if conditions.is_empty() {
                return Some(Verdict::Always(rule.action));
            }
            rules.push(Rule { action: rule.action, conditions });
        }
        // Stable: on a tie the rule that is written first.
        rules.sort_by(precedence);
        rules.dedup();
        Some(Verdict::First(rules))
    }
}

/// The conditions of a rule as an architecture can test them.
fn on(arch: &Arch, conditions: &[Condition], multiplexed: Option<u32>) -> Vec<Condition> {
    let width = if arch.wide { u64::MAX } else { u64::from(u32::MAX) };
    // libseccomp too puts the multiplexer's selector in the place of a condition on the first argument, and leaves those on
    // the others, which there are pointers or unused: of `socket(AF_ALG, ...)` the multiplexed form matches as `socket(...)`.
    let selector = multiplexed.map(|v| Condition { arg: 0, op: Op::Eq, mask: u64::MAX, value: u64::from(v) });
    let rest = conditions.iter().filter(|c| multiplexed.is_none() || c.arg != 0).copied();
    let narrowed = selector.into_iter().chain(rest).map(|c| Condition {
        mask: c.mask & width,
        value: c.value & c.mask & width,
        ..c
    });
    // Under an empty mask all is equal.
    narrowed.filter(|c| c.mask != 0).collect()
}

/// libseccomp's order of two rules of one call: that of its tree, word by word.
fn precedence(a: &Rule, b: &Rule) -> Ordering {
    a.conditions.iter().flat_map(ranks).cmp(b.conditions.iter().flat_map(ranks))
}

/// How the high and the low word of a condition are ranked.
fn ranks(c: &Condition) -> [(Reverse<u32>, u8, u32); 2] {
    #[allow(clippy::cast_possible_truncation)]
    let halves = [(c.value >> 32) as u32, c.value as u32];
    halves.map(|half| match c.op {
        Op::Eq | Op::Ne | Op::MaskedEq => (Reverse(c.arg), 0, !half),
        Op::Lt | Op::Le => (Reverse(c.arg), 1, half),
        Op::Gt | Op::Ge => (Reverse(c.arg), 2, !half),
    })
}

/// The value that `SCMP_ACT_*` returns.
fn action(name: &str, errno: Option<u32>) -> Result<Action> {
    let Some((_, action, takes_errno)) = ACTIONS.iter().find(|(n, ..)| *n == name) else {
        return Err(Error::new(format!("string {name} is not a valid action for seccomp")));
    };
    match (errno, *action) {
        // config-linux.md wants an error here; runc ignores the errno, and profiles of others have it.
        _ if !takes_errno => Ok(*action),
        (None, _) => Ok(action | nix::libc::EPERM.unsigned_abs()),
        // `MAX_ERRNO`, and for a tracer `SECCOMP_RET_DATA`: what is more the kernel would cut.
        (Some(errno), RET_ERRNO) if errno > 4095 => {
            Err(Error::new(format!("errno {errno} of {name} is more than 4095")))
        }
        (Some(errno), _) if errno > 0xffff => Err(Error::new(format!("errno {errno} of {name} is more than 65535"))),
        (Some(errno), _) => Ok(action | errno),
    }
}

/// The conditions of a rule: all must hold. If two are of one argument, runc makes each a rule of its own: any suffices.
/// They are of `syscalls[of]`.
fn conditions(of: usize, args: &[Arg]) -> Result<Vec<Vec<Condition>>> {
    let mut all = Vec::with_capacity(args.len());
    for (i, arg) in args.iter().enumerate() {
        all.push(condition(arg).map_err(|e| e.field(format!("/linux/seccomp/syscalls/{of}/args/{i}")))?);
    }
    all.sort_by_key(|c| c.arg);
    if all.windows(2).any(|pair| matches!(pair, [a, b] if a.arg == b.arg)) {
        return Ok(all.into_iter().map(|c| vec![c]).collect());
    }
    Ok(vec![all])
}

fn condition(arg: &Arg) -> Result<Condition> {
    if arg.index > 5 {
        return Err(Error::new(format!("syscalls only have up to 6 arguments, there is no argument {}", arg.index)));
    }
    let Some((_, op)) = OPERATORS.iter().find(|(n, _)| *n == arg.op) else {
        return Err(Error::new(format!("string {} is not a valid operator for seccomp", arg.op)));
    };
    let (mask, value) = match op {
        Op::MaskedEq => (arg.value, arg.value_two),
        _ => (u64::MAX, arg.value),
    };
    Ok(Condition { arg: arg.index, op: *op, mask, value })
}
