//! Verdicts -> instructions: which shape a program has. Knows nothing of profiles.
//!
//! The kernel verifies, translates and (since Linux 5.11) simulates a filter for every system call number when it is
//! installed, so its length is start time: 2,000 instructions cost 0.5 to 1 ms, 130 cost 0.07 ms. So:
//!
//! * numbers are searched by *ranges of one outcome*, not one by one, in a balanced tree;
//! * a lone number in a range of another outcome is one `jeq`, not two ends of ranges;
//! * one piece of code for all calls of all architectures whose conditions are the same, and one `ret` per value.

use super::arch::{ARM_PRIVATE, Arch, SKIPPED, X32_BIT};
use super::bpf::{Assembler, JEQ_K, JGE_K, JGT_K, Label, OFFSET_ARCH, OFFSET_ARGS, OFFSET_NR, SockFilter};
use super::rules::{Action, Condition, Op, RET_ERRNO, RET_KILL_THREAD, Rule, Verdict};

/// Lone numbers that one leaf of the tree tests one after the other: three cost as many instructions as two and a fork.
const LONE: usize = 3;

/// What an architecture's part of the program is made from.
pub struct Part {
    /// Which.
    pub arch: &'static Arch,
    /// What happens to its calls, by number; the default to all others.
    pub verdicts: Vec<(u32, Verdict)>,
    /// `ENOSYS` to calls numbered above this.
    pub newest: Option<u32>,
}

/// Writes the program: the parts in the order given, which is the order in which the architecture is tested.
pub fn program(parts: &[Part], default: Action) -> Vec<SockFilter> {
    let mut emitter = Emitter { asm: Assembler::default(), leaves: Vec::new(), default };
    // The call of an architecture that the profile does not name: libseccomp's answer.
    let mut entry = emitter.asm.ret(RET_KILL_THREAD);
    let mut audits: Vec<u32> = Vec::with_capacity(parts.len());
    for part in parts {
        if !audits.contains(&part.arch.audit) {
            audits.push(part.arch.audit);
        }
    }
    let mut trees = Vec::with_capacity(audits.len());
    for audit in audits.iter().rev() {
        // x86_64 and x32 are one architecture to the kernel, and one tree here.
        let spans = emitter.spans(parts.iter().filter(|p| p.arch.audit == *audit));
        let tree = emitter.tree(&spans);
        trees.push((*audit, emitter.asm.load(OFFSET_NR, tree)));
    }
    entry = emitter.asm.reach(entry);
    for (audit, tree) in trees {
        entry = emitter.asm.jump(JEQ_K, audit, tree, entry);
    }
    emitter.asm.load(OFFSET_ARCH, entry);
    emitter.asm.finish()
}

/// What happens to a call, once its number is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Return(Action),
    /// Index into [`Emitter::leaves`].
    Leaf(usize),
}

const ENOSYS: Outcome = Outcome::Return(RET_ERRNO | nix::libc::ENOSYS as u32);

/// Numbers from `start` to the next span's start have one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    outcome: Outcome,
}

/// The tests of the arguments of a call.
struct Leaf {
    rules: Vec<Rule>,
    wide: bool,
    big_endian: bool,
    label: Label,
}

/// Spans in the making.
#[derive(Default)]
struct Spans(Vec<Span>);

impl Spans {
    /// From `start` on: `outcome`. Starts never go back.
    fn push(&mut self, start: u32, outcome: Outcome) {
        debug_assert!(self.0.last().is_none_or(|last| last.start <= start));
        self.0.pop_if(|last| last.start >= start);
        if self.0.last().is_none_or(|last| last.outcome != outcome) {
            self.0.push(Span { start, outcome });
        }
    }
}

/// Neighbouring spans that are one leaf of the tree: one outcome, and lone numbers that have others.
struct Group {
    start: u32,
    weight: u32,
    background: Outcome,
    lone: Vec<Span>,
}

/// Cuts spans into groups.
fn groups(spans: &[Span]) -> Vec<Group> {
    let mut groups = Vec::with_capacity(spans.len());
    let mut at = 0usize;
    while let Some(first) = spans.get(at) {
        let (background, lone, end) = leading_group(spans, at, false)
            .into_iter()
            .chain(leading_group(spans, at, true))
            .max_by_key(|(.., end)| *end)
            .unwrap_or((first.outcome, Vec::new(), spans.len()));
        // Full, but the background goes on behind one more lone number: its last span begins the next group.
        let goes_on = lone.len() == LONE && is_lone_in(spans, end, background);
        at = if goes_on { end.saturating_sub(1) } else { end };
        // How many calls there are, for want of how often each is made; but no table is longer than 512, and x32 is rare.
        let width = spans.get(at).map_or(u32::MAX, |next| next.start).saturating_sub(first.start);
        let weight = if first.start < 512 { width.min(64).saturating_add(2) } else { 1 };
        groups.push(Group { start: first.start, weight, background, lone });
    }
    groups
}

/// Where to cut, so that both sides weigh the same: a program of the same length, whose wide ranges are reached sooner.
fn middle(groups: &[Group]) -> usize {
    let weight = |of: &[Group]| of.iter().map(|g| g.weight).fold(0, u32::saturating_add);
    let half = weight(groups) / 2;
    let mut before = 0u32;
    let cut = groups.iter().take_while(|g| {
        before = before.saturating_add(g.weight);
        before <= half
    });
    cut.count().clamp(1, groups.len().saturating_sub(1).max(1))
}

/// The group that begins with the span `at`, which is its background or, if `skip`, itself a lone number in it; and the span
/// behind the group.
fn leading_group(spans: &[Span], at: usize, skip: bool) -> Option<(Outcome, Vec<Span>, usize)> {
    let mut lone = Vec::new();
    let mut end = at;
    if skip {
        lone.push(*spans.get(at)?);
        end = after_index(end);
    }
    let background = spans.get(end)?.outcome;
    if skip && !is_lone_in(spans, at, background) {
        return None;
    }
    end = after_index(end);
    while lone.len() < LONE && is_lone_in(spans, end, background) {
        lone.push(*spans.get(end)?);
        end = after_index(after_index(end));
    }
    Some((background, lone, end))
}

/// Whether a span is one number, and `background` follows.
fn is_lone_in(spans: &[Span], at: usize, background: Outcome) -> bool {
    match (spans.get(at), spans.get(after_index(at))) {
        (Some(span), Some(next)) => next.start == after(span.start) && next.outcome == background,
        _ => false,
    }
}

fn after(number: u32) -> u32 {
    number.saturating_add(1)
}

fn after_index(index: usize) -> usize {
    index.saturating_add(1)
}

/// The ELF machine in the low half of `AUDIT_ARCH_S390` and `AUDIT_ARCH_S390X`.
const EM_S390: u32 = 22;

/// Whether a rule and another test one argument for equality with values that differ in the low word only.
fn equals_of_one_word(a: &Rule, b: &Rule) -> bool {
    match (a.conditions.as_slice(), b.conditions.as_slice()) {
        ([a], [b]) => a.op == Op::Eq && b.op == Op::Eq && a.arg == b.arg && a.value >> 32 == b.value >> 32,
        _ => false,
    }
}

/// One half of a condition: where in `seccomp_data`, under which mask, compared with what.
struct Word {
    offset: u32,
    mask: u32,
    value: u32,
}

impl Word {
    /// The high half, if the architecture's arguments have one, and the low half.
    fn of(arch: &Arch, c: &Condition) -> (Option<Word>, Word) {
        let at = OFFSET_ARGS.saturating_add(c.arg.saturating_mul(8));
        let (high, low) = if arch.big_endian { (0, 4) } else { (4, 0) };
        #[allow(clippy::cast_possible_truncation)]
        let half = |offset: u32, shift: u32| Word {
            offset: at.saturating_add(offset),
            mask: (c.mask >> shift) as u32,
            value: (c.value >> shift) as u32,
        };
        (arch.wide.then(|| half(high, 32)), half(low, 0))
    }
}

struct Emitter {
    asm: Assembler,
    leaves: Vec<Leaf>,
    default: Action,
}

impl Emitter {
    /// All numbers of one `AUDIT_ARCH`, in order, neighbours distinct.
    fn spans<'a>(&mut self, parts: impl Iterator<Item = &'a Part>) -> Vec<Span> {
        let mut parts: Vec<&Part> = parts.collect();
        parts.sort_by_key(|p| p.arch.base);
        let named = |name| parts.iter().find(|p: &&&Part| p.arch.name == name).copied();
        let (x86_64, x32) = (named("SCMP_ARCH_X86_64"), named("SCMP_ARCH_X32"));
        let default = Outcome::Return(self.default);
        let other = Outcome::Return(RET_KILL_THREAD);
        let newer = |part: &Part| if part.newest.is_some() { ENOSYS } else { default };
        let mut spans = Spans::default();
        spans.push(0, if x86_64.is_none() && x32.is_some() { other } else { default });
        for part in parts.iter().filter(|p| p.arch.base != X32_BIT) {
            self.part(&mut spans, part);
        }
        if x86_64.is_none() && x32.is_none() {
            return spans.0;
        }
        // The bit alone says whose a number is, though numbers that begin with 10 or 11 are nobody's.
        spans.push(X32_BIT, if x32.is_some() { default } else { other });
        if let Some(part) = x32 {
            self.part(&mut spans, part);
        }
        spans.push(
            1 << 31,
            x86_64.map_or(default, |p| if x32.is_none() && p.newest.is_none() { other } else { newer(p) }),
        );
        spans.push((1 << 31) | X32_BIT, x32.map_or(other, newer));
        spans.push(SKIPPED, x32.map_or(default, newer));
        spans.0
    }

    fn part(&mut self, spans: &mut Spans, part: &Part) {
        let default = Outcome::Return(self.default);
        if part.newest.is_some() && part.arch.audit & 0xffff == EM_S390 {
            // The kernel leaves 0 there if it does not know the number that the register has. No call is numbered 0.
            spans.push(0, ENOSYS);
            spans.push(1, default);
        }
        let own = part.verdicts.partition_point(|(number, _)| part.arch.base != 0 || *number < ARM_PRIVATE);
        let (own, private) = part.verdicts.split_at_checked(own).unwrap_or_default();
        self.verdicts(spans, part.arch, own);
        if let Some(newest) = part.newest {
            spans.push(after(newest), ENOSYS);
        }
        if part.arch.name == "SCMP_ARCH_ARM" {
            spans.push(ARM_PRIVATE, default);
        }
        self.verdicts(spans, part.arch, private);
    }

    fn verdicts(&mut self, spans: &mut Spans, arch: &Arch, verdicts: &[(u32, Verdict)]) {
        for (number, verdict) in verdicts {
            let outcome = match verdict {
                Verdict::Always(action) => Outcome::Return(*action),
                Verdict::First(rules) => self.leaf(arch, rules),
            };
            spans.push(*number, outcome);
            spans.push(after(*number), Outcome::Return(self.default));
        }
    }

    /// The code that tests the arguments of a call; the one that is there already, if another call has the same rules.
    fn leaf(&mut self, arch: &Arch, rules: &[Rule]) -> Outcome {
        let known =
            self.leaves.iter().position(|l| l.wide == arch.wide && l.big_endian == arch.big_endian && l.rules == rules);
        if let Some(i) = known {
            return Outcome::Leaf(i);
        }
        let mut miss = self.asm.ret(self.default);
        let mut rest = rules;
        while let Some((last, before)) = rest.split_last() {
            // Rules that want one argument to equal one of several values read it once.
            let alike = before.iter().rev().take_while(|r| equals_of_one_word(r, last)).count();
            let (others, group) = rest.split_at(before.len().saturating_sub(alike));
            miss = match last.conditions.first() {
                Some(c) if alike > 0 => self.one_of(arch, c, group, miss),
                _ => self.rule(arch, last, miss),
            };
            rest = others;
        }
        self.leaves.push(Leaf { rules: rules.to_vec(), wide: arch.wide, big_endian: arch.big_endian, label: miss });
        Outcome::Leaf(self.leaves.len().saturating_sub(1))
    }

    fn rule(&mut self, arch: &Arch, rule: &Rule, miss: Label) -> Label {
        let hit = self.asm.ret(rule.action);
        rule.conditions.iter().rev().fold(hit, |hit, condition| self.condition(arch, condition, hit, miss))
    }

    fn one_of(&mut self, arch: &Arch, of: &Condition, group: &[Rule], miss: Label) -> Label {
        let (high, low) = Word::of(arch, of);
        let next = group.iter().rev().fold(miss, |next, rule| {
            let hit = self.asm.ret(rule.action);
            let value = rule.conditions.first().map_or(0, |c| Word::of(arch, c).1.value);
            self.asm.jump(JEQ_K, value, hit, next)
        });
        let next = self.asm.load(low.offset, next);
        match high {
            Some(high) => self.compare(&high, JEQ_K, next, miss),
            None => next,
        }
    }

    fn condition(&mut self, arch: &Arch, c: &Condition, hit: Label, miss: Label) -> Label {
        let (high, low) = Word::of(arch, c);
        let (code, hit, miss) = match c.op {
            Op::Eq | Op::MaskedEq => (JEQ_K, hit, miss),
            Op::Ne => (JEQ_K, miss, hit),
            Op::Gt => (JGT_K, hit, miss),
            Op::Le => (JGT_K, miss, hit),
            Op::Ge => (JGE_K, hit, miss),
            Op::Lt => (JGE_K, miss, hit),
        };
        let low = match low.mask {
            0 => hit,
            _ => self.compare(&low, code, hit, miss),
        };
        match high {
            None | Some(Word { mask: 0, .. }) => low,
            Some(high) if code == JEQ_K => self.compare(&high, JEQ_K, low, miss),
            Some(high) => {
                let equal = self.asm.jump(JEQ_K, high.value, low, miss);
                let greater = self.asm.jump(JGT_K, high.value, hit, equal);
                self.asm.load(high.offset, greater)
            }
        }
    }

    fn compare(&mut self, word: &Word, code: u16, hit: Label, miss: Label) -> Label {
        let next = self.asm.jump(code, word.value, hit, miss);
        let next = match word.mask {
            u32::MAX => next,
            mask => self.asm.and(mask, next),
        };
        self.asm.load(word.offset, next)
    }

    /// The search for the number, which is in the accumulator.
    fn tree(&mut self, spans: &[Span]) -> Label {
        self.fork(&groups(spans))
    }

    fn fork(&mut self, groups: &[Group]) -> Label {
        let (left, right) = groups.split_at_checked(middle(groups)).unwrap_or_default();
        let Some(split) = right.first().map(|g| g.start).filter(|_| !left.is_empty()) else {
            return groups.first().map_or(Label::END, |group| self.group(group));
        };
        let right = self.fork(right);
        let left = self.fork(left);
        self.asm.jump(JGE_K, split, right, left)
    }

    fn group(&mut self, group: &Group) -> Label {
        let background = self.outcome(group.background);
        group.lone.iter().rev().fold(background, |next, span| {
            let then = self.outcome(span.outcome);
            self.asm.jump(JEQ_K, span.start, then, next)
        })
    }

    fn outcome(&mut self, outcome: Outcome) -> Label {
        match outcome {
            Outcome::Return(action) => self.asm.ret(action),
            Outcome::Leaf(i) => {
                let Some(label) = self.leaves.get(i).map(|l| l.label) else { return Label::END };
                let near = self.asm.reach(label);
                if let Some(leaf) = self.leaves.get_mut(i) {
                    leaf.label = near;
                }
                near
            }
        }
    }
}
