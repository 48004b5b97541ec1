//! A program written for people: labels where jumps lead, the parts of `seccomp_data` and the calls by name. Follows the
//! program to know what each comparison is about.

use super::arch::Arch;
use super::bpf::{self, SockFilter};
use super::explain::{action, push};

/// What is known before an instruction runs, whichever way led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    /// What the accumulator holds.
    accumulator: Accumulator,
    /// `AUDIT_ARCH_*` of the call.
    audit: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Accumulator {
    Unknown,
    Arch,
    Number,
    /// A word of an argument, and what it was masked with.
    Word(String),
}

/// One line an instruction, and one a label.
pub fn program(program: &[SockFilter], arches: &[&Arch]) -> String {
    let big_endian = arches.first().is_some_and(|arch| arch.big_endian);
    let mut known: Vec<Option<Known>> = vec![None; program.len()];
    let mut labels = vec![false; program.len()];
    if let Some(first) = known.first_mut() {
        *first = Some(Known { accumulator: Accumulator::Unknown, audit: None });
    }
    for (at, i) in program.iter().enumerate() {
        // Jumps go forward only: all that leads here has been seen.
        let Some(now) = known.get(at).cloned().flatten() else { continue };
        for (skip, after) in ways(i, &now, big_endian) {
            let to = target(at, skip);
            if skip > 0
                && let Some(label) = labels.get_mut(to)
            {
                *label = true;
            }
            match known.get_mut(to) {
                Some(Some(there)) if *there != after => {
                    if there.accumulator != after.accumulator {
                        there.accumulator = Accumulator::Unknown;
                    }
                    if there.audit != after.audit {
                        there.audit = None;
                    }
                }
                Some(there) => *there = Some(after),
                None => {}
            }
        }
    }
    let mut out = String::new();
    for (at, (i, known)) in program.iter().zip(&known).enumerate() {
        if labels.get(at) == Some(&true) {
            push(&mut out, format_args!("L{at}:\n"));
        }
        push(&mut out, format_args!("    {}\n", instruction(at, i, known.as_ref(), arches, big_endian)));
    }
    out
}

/// Where an instruction leads: how many it skips, and what is known there.
fn ways(i: &SockFilter, now: &Known, big_endian: bool) -> Vec<(u32, Known)> {
    let with = |accumulator| Known { accumulator, ..now.clone() };
    match i.code {
        bpf::RET_K => vec![],
        bpf::LD_ABS => vec![(0, with(loaded(i.k, big_endian)))],
        bpf::AND_K => vec![(0, with(masked(&now.accumulator, i.k)))],
        bpf::JA => vec![(i.k, now.clone())],
        bpf::JEQ_K if now.accumulator == Accumulator::Arch => {
            vec![(i.jt.into(), Known { audit: Some(i.k), ..now.clone() }), (i.jf.into(), now.clone())]
        }
        _ => vec![(i.jt.into(), now.clone()), (i.jf.into(), now.clone())],
    }
}

fn loaded(offset: u32, big_endian: bool) -> Accumulator {
    match offset {
        bpf::OFFSET_NR => Accumulator::Number,
        bpf::OFFSET_ARCH => Accumulator::Arch,
        _ => {
            let at = offset.saturating_sub(bpf::OFFSET_ARGS);
            let half = if at.is_multiple_of(8) == big_endian { "high" } else { "low" };
            Accumulator::Word(format!("a{}.{half}", at / 8))
        }
    }
}

fn masked(accumulator: &Accumulator, mask: u32) -> Accumulator {
    match accumulator {
        Accumulator::Word(word) => Accumulator::Word(format!("{word} & {mask:#x}")),
        _ => Accumulator::Unknown,
    }
}

fn target(at: usize, skip: u32) -> usize {
    at.saturating_add(1).saturating_add(usize::try_from(skip).unwrap_or(usize::MAX))
}

fn instruction(at: usize, i: &SockFilter, known: Option<&Known>, arches: &[&Arch], big_endian: bool) -> String {
    let name = |accumulator: &Accumulator| match accumulator {
        Accumulator::Unknown => "A".to_owned(),
        Accumulator::Arch => "arch".to_owned(),
        Accumulator::Number => "nr".to_owned(),
        Accumulator::Word(word) => word.clone(),
    };
    let (op, opposite) = match i.code {
        bpf::LD_ABS => return format!("load {}", name(&loaded(i.k, big_endian))),
        bpf::AND_K => return format!("and {:#x}", i.k),
        bpf::JA => return format!("goto L{}", target(at, i.k)),
        bpf::RET_K => return format!("return {}", action(i.k)),
        bpf::JEQ_K => ("==", "!="),
        bpf::JGT_K => (">", "<="),
        bpf::JGE_K => (">=", "<"),
        code => return format!("{code:#x} {} {} {:#x}", i.jt, i.jf, i.k),
    };
    let accumulator = known.map_or(&Accumulator::Unknown, |k| &k.accumulator);
    let value = match accumulator {
        Accumulator::Arch => match arches.iter().find(|a| a.audit == i.k) {
            Some(arch) => format!("{:#x} ({})", i.k, arch.name),
            None => format!("{:#x}", i.k),
        },
        Accumulator::Number => {
            let mut of_audit = arches.iter().filter(|a| known.and_then(|k| k.audit) == Some(a.audit));
            match of_audit.find_map(|a| a.call(i.k)) {
                Some(call) => format!("{} ({})", i.k, call.name()),
                None => format!("{:#x}", i.k),
            }
        }
        _ => format!("{:#x}", i.k),
    };
    let what = name(accumulator);
    let (then, or) = (target(at, i.jt.into()), target(at, i.jf.into()));
    match (i.jt, i.jf) {
        (_, 0) => format!("if {what} {op} {value} goto L{then}"),
        (0, _) => format!("if {what} {opposite} {value} goto L{or}"),
        _ => format!("if {what} {op} {value} goto L{then} else L{or}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::arch::by_name;
    use crate::seccomp::compile;
    use crate::spec::Seccomp;

    #[test]
    fn everything_has_a_name() {
        let native = by_name("SCMP_ARCH_X86_64").unwrap();
        let seccomp: Seccomp = serde_json::from_str(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"},
                {"names": ["clone"], "action": "SCMP_ACT_TRAP",
                 "args": [{"index": 1, "value": 255, "valueTwo": 16, "op": "SCMP_CMP_MASKED_EQ"}]}]}"#,
        )
        .unwrap();
        let filter = compile(&seccomp, native, 0).unwrap().unwrap().filter;
        let expected = [
            "    load arch",
            "    if arch != 0xc000003e (SCMP_ARCH_X86_64) goto L13",
            "    load nr",
            "    if nr >= 0x40000000 goto L7",
            "    if nr == 56 (clone) goto L8",
            "    if nr != 101 (ptrace) goto L12",
            "    return ERRNO(1 EPERM)",
            "L7:",
            "    if nr >= 0xffffffff goto L12 else L13",
            "L8:",
            "    load a1.low",
            "    and 0xff",
            "    if a1.low & 0xff != 0x10 goto L12",
            "    return TRAP",
            "L12:",
            "    return ALLOW",
            "L13:",
            "    return KILL_THREAD",
        ];
        assert_eq!(program(&filter, &[native]).lines().collect::<Vec<_>>(), expected);
    }
}
