//! A profile and its program, written for people. What a call is said to get is what the program answers, not what the profile
//! asked for. Knows nothing of files or terminals.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::arch::{Arch, Call};
use super::bpf::{self, SeccompData, SockFilter};
use super::rules::{
    Action, Condition, Op, Profile, RET_ACTION, RET_ALLOW, RET_ERRNO, RET_KILL_PROCESS, RET_KILL_THREAD, RET_LOG,
    RET_TRACE, RET_TRAP, RET_USER_NOTIF, Rule, Verdict,
};
use super::{FLAGS, arches_of, compile};
use crate::error::Result;
use crate::spec::Seccomp;

/// Says what a profile does and lists its program. Parameters and errors are those of [`compile`].
pub fn explain(seccomp: &Seccomp, native: &'static Arch, supported: u32) -> Result<String> {
    let Some(program) = compile(seccomp, native, supported)? else {
        return Ok("no filter: the profile has neither defaultAction nor syscalls\n".into());
    };
    let profile = Profile::new(seccomp)?;
    let mut out = format!("default: {}\n", action(profile.default));
    let flags = FLAGS.iter().filter(|(_, flag)| program.flags & flag != 0).map(|(name, _)| *name);
    line(&mut out, "flags", flags);
    line(&mut out, "skipped, no architecture has them", program.unknown.iter().map(String::as_str));
    for (arch, _) in arches_of(seccomp, native)? {
        calls(&mut out, arch, &profile, &program.filter);
    }
    push(&mut out, format_args!("\nother architectures: {}\n", action(RET_KILL_THREAD)));
    push(&mut out, format_args!("\n{} instructions\n", program.filter.len()));
    for (at, instruction) in program.filter.iter().enumerate() {
        push(&mut out, format_args!("{at:5}  {}\n", listing(at, instruction)));
    }
    Ok(out)
}

/// What happens to each call of an architecture.
fn calls(out: &mut String, arch: &Arch, profile: &Profile, program: &[SockFilter]) {
    push(out, format_args!("\n{} (audit {:#x})\n", arch.name, arch.audit));
    let conditional: BTreeMap<u32, Vec<Rule>> = profile
        .verdicts(arch)
        .into_iter()
        .filter_map(|(number, verdict)| match verdict {
            Verdict::First(rules) => Some((number, rules)),
            Verdict::Always(_) => None,
        })
        .collect();
    let mut by_action: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut by_rules: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for call in Call::all() {
        let Some(number) = call.number(arch) else { continue };
        match conditional.get(&number) {
            Some(of) => by_rules.entry(rules(of)).or_default().push(call.name()),
            None => {
                let data = SeccompData { nr: number, arch: arch.audit, ..SeccompData::default() };
                let answer = bpf::run(program, &data, arch.big_endian).map_or("?".into(), action);
                by_action.entry(answer).or_default().push(call.name());
            }
        }
    }
    for (what, names) in by_action.into_iter().chain(by_rules) {
        line(out, &format!("  {what}"), names.into_iter());
    }
}

fn line<'a>(out: &mut String, what: &str, words: impl Iterator<Item = &'a str>) {
    let words: Vec<&str> = words.collect();
    if !words.is_empty() {
        push(out, format_args!("{what}: {}\n", words.join(" ")));
    }
}

/// Writing to a string cannot fail.
fn push(out: &mut String, text: std::fmt::Arguments) {
    let _ = out.write_fmt(text);
}

/// The rules of one call.
fn rules(rules: &[Rule]) -> String {
    let rule = |rule: &Rule| {
        let conditions: Vec<String> = rule.conditions.iter().map(condition).collect();
        format!("{} if {}", action(rule.action), conditions.join(" and "))
    };
    rules.iter().map(rule).collect::<Vec<_>>().join(", else ")
}

fn condition(c: &Condition) -> String {
    let op = match c.op {
        Op::MaskedEq => return format!("a{} & {:#x} == {:#x}", c.arg, c.mask, c.value),
        Op::Eq => "==",
        Op::Ne => "!=",
        Op::Gt => ">",
        Op::Ge => ">=",
        Op::Lt => "<",
        Op::Le => "<=",
    };
    format!("a{} {op} {:#x}", c.arg, c.value)
}

/// The name of what a filter returns.
fn action(action: Action) -> String {
    let data = action & !RET_ACTION;
    match action & RET_ACTION {
        RET_ALLOW => "ALLOW".into(),
        RET_LOG => "LOG".into(),
        RET_TRACE => format!("TRACE({data})"),
        RET_USER_NOTIF => "NOTIFY".into(),
        RET_ERRNO => format!("ERRNO({data} {:?})", crate::error::Errno::from_raw(i32::try_from(data).unwrap_or(0))),
        RET_TRAP => "TRAP".into(),
        RET_KILL_PROCESS => "KILL_PROCESS".into(),
        RET_KILL_THREAD => "KILL_THREAD".into(),
        _ => format!("{action:#x}"),
    }
}

fn listing(at: usize, i: &SockFilter) -> String {
    let to = |skip: u32| at.saturating_add(1).saturating_add(usize::try_from(skip).unwrap_or(usize::MAX));
    let jump = |op: &str| format!("{op} {:#x} ? {} : {}", i.k, to(i.jt.into()), to(i.jf.into()));
    match i.code {
        bpf::LD_ABS if i.k == bpf::OFFSET_NR => "load nr".into(),
        bpf::LD_ABS if i.k == bpf::OFFSET_ARCH => "load arch".into(),
        bpf::LD_ABS => {
            let at = i.k.saturating_sub(bpf::OFFSET_ARGS);
            format!("load a{} + {}", at / 8, at % 8)
        }
        bpf::AND_K => format!("and {:#x}", i.k),
        bpf::JA => format!("goto {}", to(i.k)),
        bpf::JEQ_K => jump("=="),
        bpf::JGT_K => jump(">"),
        bpf::JGE_K => jump(">="),
        bpf::RET_K => format!("return {}", action(i.k)),
        code => format!("{code:#x} {} {} {:#x}", i.jt, i.jf, i.k),
    }
}
