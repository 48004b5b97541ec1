//! A profile written for people: which calls get what. What a call is said to get is what the program answers, not what the
//! profile asked for. Knows nothing of files or terminals; [`super::listing`] writes the program itself.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::arch::{Arch, Call};
use super::bpf::{self, SeccompData, SockFilter};
use super::rules::{
    Action, Condition, Op, Profile, RET_ACTION, RET_ALLOW, RET_ERRNO, RET_KILL_PROCESS, RET_KILL_THREAD, RET_LOG,
    RET_TRACE, RET_TRAP, RET_USER_NOTIF, Rule, Verdict,
};
use super::{FLAGS, arches_of, compile, listing};
use crate::error::Result;
use crate::spec::Seccomp;

/// Lines are no wider, if their words allow it.
const WIDTH: usize = 110;

/// Says what a profile does and lists its program. Parameters and errors are those of [`compile`].
pub fn explain(seccomp: &Seccomp, native: &'static Arch, supported: u32) -> Result<String> {
    let Some(program) = compile(seccomp, native, supported)? else {
        return Ok("no filter: the profile has neither defaultAction nor syscalls\n".into());
    };
    let profile = Profile::new(seccomp)?;
    let mut out = format!("default: {}\n", action(profile.default));
    let flags = FLAGS.iter().filter(|(_, flag)| program.flags & flag != 0).map(|(name, _)| *name);
    line(&mut out, "flags", flags);
    if program.notify {
        push(&mut out, format_args!("listener: {}\n", seccomp.listener_path));
    }
    line(&mut out, "skipped, no architecture has them", program.unknown.iter().map(String::as_str));
    let arches = arches_of(seccomp, native)?;
    for (arch, listed) in &arches {
        calls(&mut out, arch, &profile, &program.filter);
        let newest = if *listed && profile.is_closed() { profile.newest(arch) } else { None };
        if let Some(newest) = newest {
            let name = arch.call(newest).map_or("", Call::name);
            push(
                &mut out,
                format_args!(
                    "  above {newest} ({name}), the newest that the profile names: {}\n",
                    action(RET_ERRNO | nix::libc::ENOSYS as u32)
                ),
            );
        }
    }
    push(&mut out, format_args!("\nother architectures: {}\n\n", action(RET_KILL_THREAD)));
    push(&mut out, format_args!("{} instructions\n", program.filter.len()));
    let arches: Vec<&Arch> = arches.into_iter().map(|(arch, _)| arch).collect();
    out.push_str(&listing::program(&program.filter, &arches));
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
            Some(of) => by_rules.entry(rules(call, of, profile.default)).or_default().push(call.name()),
            None => {
                let data = SeccompData { nr: number, arch: arch.audit, ..SeccompData::default() };
                let answer = bpf::run(program, &data, arch.big_endian).map_or("?".into(), action);
                by_action.entry(answer).or_default().push(call.name());
            }
        }
    }
    for (what, names) in by_action {
        line(out, &format!("  {what}"), names.into_iter());
    }
    for (what, names) in by_rules {
        push(out, format_args!("  {}:\n{what}", names.join(" ")));
    }
    let is_hidden = |call: Call| call.is_multiplexer() || call.multiplexer(arch).is_some();
    if conditional.keys().any(|number| arch.call(*number).is_some_and(is_hidden)) {
        out.push_str(
            "  What socketcall and ipc do is in a0; their other arguments lie in memory, which no filter reads. A rule on \
             a0\n  of a call that is also behind them holds there whatever that is.\n",
        );
    }
}

/// `WHAT: WORD WORD...`, in lines of [`WIDTH`].
fn line<'a>(out: &mut String, what: &str, words: impl Iterator<Item = &'a str>) {
    let mut words = words.peekable();
    if words.peek().is_none() {
        return;
    }
    push(out, format_args!("{what}:"));
    let mut column = what.len().saturating_add(1);
    for word in words {
        column = column.saturating_add(word.len()).saturating_add(1);
        if column > WIDTH {
            column = word.len().saturating_add(5);
            out.push_str("\n    ");
        }
        push(out, format_args!(" {word}"));
    }
    out.push('\n');
}

/// Writing to a string cannot fail.
pub(super) fn push(out: &mut String, text: std::fmt::Arguments) {
    let _ = out.write_fmt(text);
}

/// The rules of one call, the first that holds counts: a line each.
fn rules(call: Call, rules: &[Rule], default: Action) -> String {
    let mut text = String::new();
    for rule in rules {
        let conditions: Vec<String> = rule.conditions.iter().map(|c| condition(call, c)).collect();
        push(&mut text, format_args!("    {} if {}\n", action(rule.action), conditions.join(" and ")));
    }
    push(&mut text, format_args!("    {} otherwise\n", action(default)));
    text
}

fn condition(call: Call, c: &Condition) -> String {
    let op = match c.op {
        Op::MaskedEq => return format!("a{} & {:#x} == {:#x}", c.arg, c.mask, c.value),
        Op::Eq => "==",
        Op::Ne => "!=",
        Op::Gt => ">",
        Op::Ge => ">=",
        Op::Lt => "<",
        Op::Le => "<=",
    };
    let behind = (c.arg == 0 && c.op == Op::Eq).then(|| call.behind(c.value)).flatten();
    let behind = behind.map(|name| format!(" ({name})")).unwrap_or_default();
    format!("a{} {op} {:#x}{behind}", c.arg, c.value)
}

/// The name of what a filter returns.
pub(super) fn action(action: Action) -> String {
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
