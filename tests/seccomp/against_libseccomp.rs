//! The seccomp compiler against libseccomp (and runc's `ENOSYS` in front of it): random profiles, both programs interpreted on
//! a million random and telling calls.
//!
//! Each answer has also to be that of `reference`, which reads the rules one by one: no exception. libseccomp's may be another
//! only where `excuse` finds the call in this list, for which it asks libseccomp about every single such call:
//!
//! * **Contradiction.** Of a profile with only one of the rules about the call, for each of them, libseccomp says of the call
//!   what we say: that rule holds or not. Of a profile with only two of them, the one that we say counts and any other that
//!   holds too, it never says that the other one counts. And yet of all the rules together its answer is not that of the one
//!   that counts: by its own word it is not what the rules mean. libseccomp 2.5 merges the comparisons of a call into one tree,
//!   and shares pieces of program between calls, and loses or inverts some comparisons other than `EQ` on the way: of
//!   `a0 < 0x8000000000000001` and `a0 < 0x6fef5ef08b4eedbd`, both ALLOW, it does not allow 0x6fef5ef08b4eedbe; of
//!   `a0 >= 0x200000005` and `a0 < 0x10` it allows 0x11; beside rules of other calls it may read `a0 & 0x10` under another
//!   rule's mask. About one call in a thousand of these.
//! * **Order.** Two rules of different actions hold, one of them has an `NE` or a mask of which one word is empty, and of a
//!   profile with only these two libseccomp says that the other one counts. The specification has no order for rules that
//!   overlap; libseccomp's is that of words in its tree, where an empty word is left out and an `NE` is there twice (where the
//!   high word differs, and where only the low one does). So of one pair now the one, now the other counts: with `a0 != 5` and
//!   `a0 != 0`, told in the other order, 6 gets what the first says and 0x100000006 what the second says. Here one order holds
//!   for all values. About one call in thirty thousand.
//!
//! It refuses (EEXIST) some rules with the same conditions and different actions, and does not come to an end with others: then
//! there is nothing to compare, and the profile does not count among the million.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use dunnage::seccomp::bpf::{RET_K, SeccompData, run};
use dunnage::seccomp::{Arch, SockFilter, arch, compile};
use dunnage::spec::{Arg, Seccomp, Syscall};
use serde_json::{Value, json};

use crate::reference::{ACTIONS, OPERATORS, Reference, Rule};

const X86_64: &str = "SCMP_ARCH_X86_64";

/// `SCMP_CMP_NE` and `SCMP_CMP_MASKED_EQ`.
const NE: u32 = 1;
const MASKED_EQ: u32 = 7;

/// A program of libseccomp, or why there is none.
type Made = Result<Vec<SockFilter>, &'static str>;

/// How many answers are compared, and of one profile.
const CALLS: u64 = 1_000_000;
const CALLS_OF_A_PROFILE: usize = 600;

/// (the native architecture that is imagined, the others)
const FAMILIES: [(&str, &[&str]); 12] = [
    (X86_64, &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
    (X86_64, &["SCMP_ARCH_X32"]),
    (X86_64, &["SCMP_ARCH_X86"]),
    (X86_64, &[]),
    ("SCMP_ARCH_AARCH64", &["SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"]),
    ("SCMP_ARCH_ARM", &[]),
    ("SCMP_ARCH_RISCV64", &[]),
    ("SCMP_ARCH_S390X", &["SCMP_ARCH_S390"]),
    ("SCMP_ARCH_PPC64LE", &[]),
    ("SCMP_ARCH_PPC64", &["SCMP_ARCH_PPC"]),
    ("SCMP_ARCH_MIPSEL64", &["SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64N32"]),
    ("SCMP_ARCH_AARCH64", &["SCMP_ARCH_X86_64"]),
];

pub struct Oracle {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Oracle {
    pub fn start() -> Oracle {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seccomp/libseccomp.py");
        let mut child = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3: install the package python3");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Oracle { child, stdin, stdout }
    }

    /// Nothing, if the oracle ended over it.
    fn ask(&mut self, question: &Value) -> Option<Value> {
        writeln!(self.stdin.as_mut().unwrap(), "{question}").expect("libseccomp: install the package libseccomp2");
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).ok()
    }

    /// libseccomp's program. `Err` if it has none: it refuses a rule, or does not come to an end.
    pub fn program(&mut self, default: u32, arches: &[&Arch], big_endian: bool, rules: &[&Rule]) -> Made {
        let question = json!({
            "default": default,
            "arches": arches.iter().map(|a| token(a)).collect::<Vec<_>>(),
            "remove_native": !arches.iter().any(|a| a.name == X86_64),
            "big_endian": big_endian,
            "rules": rules,
        });
        let Some(answer) = self.ask(&question) else {
            *self = Oracle::start();
            return Err("endless");
        };
        if !answer["refused"].as_array().unwrap().is_empty() {
            return Err("refused");
        }
        let number = |v: &Value| u32::try_from(v.as_u64().unwrap()).unwrap();
        let filter = answer["program"].as_array().unwrap().iter().map(|i| SockFilter {
            code: number(&i[0]) as u16,
            jt: number(&i[1]) as u8,
            jf: number(&i[2]) as u8,
            k: number(&i[3]),
        });
        Ok(filter.collect())
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.stdin.take();
        let _ = self.child.wait();
    }
}

/// xorshift64*: the same profiles each time.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 33) as usize) % n
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Values near each other, so that rules overlap, with and without a high word.
    pub fn value(&mut self) -> u64 {
        let low = self.of(&[0, 1, 2, 3, 5, 0x10, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]);
        let high = if self.one_in(3) { self.of(&[1, 2, 0x8000_0000, 0xffff_ffff]) } else { 0 };
        match self.below(8) {
            0 => self.next(),
            _ => (high << 32) | low,
        }
    }
}

/// SCMP_ARCH_* of <seccomp.h>: the audit value, but for x32, which has none of its own.
fn token(arch: &Arch) -> u32 {
    if arch.name == "SCMP_ARCH_X32" { 0x4000_003e } else { arch.audit }
}

/// A random profile about these names.
pub fn profile(random: &mut Random, names: &[&str], arches: &[&str]) -> Seccomp {
    let action = |random: &mut Random, default: bool| loop {
        let (name, _, errno) = random.of(&ACTIONS);
        if !default || name != "SCMP_ACT_NOTIFY" {
            return (name, if errno { random.of(&[None, Some(38), Some(0), Some(4094)]) } else { None });
        }
    };
    let (default_action, default_errno_ret) = action(random, true);
    let few = 1 + random.below(4);
    let actions: Vec<_> = (0..few).map(|_| action(random, false)).collect();
    let pool: Vec<&str> = (0..1 + random.below(30)).map(|_| random.of(names)).collect();
    let mut syscalls = Vec::new();
    for _ in 0..random.below(40) {
        let (action, errno_ret) = random.of(&actions);
        let names: Vec<&str> = (0..1 + random.below(6)).map(|_| random.of(&pool)).filter(|n| *n != "write").collect();
        if names.is_empty() {
            continue;
        }
        let conditions = if random.one_in(3) { random.below(4) } else { usize::from(random.one_in(2)) };
        let args = (0..conditions).map(|_| {
            let index = if random.one_in(2) { 0 } else { random.below(6) as u32 };
            let op = random.of(&OPERATORS[1..]);
            let value_two = if op == "SCMP_CMP_MASKED_EQ" { random.value() } else { 0 };
            Arg { index, value: random.value(), value_two, op: op.to_owned() }
        });
        let args = args.collect();
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        syscalls.push(Syscall { names, action: action.to_owned(), errno_ret, args });
    }
    Seccomp {
        default_action: default_action.to_owned(),
        default_errno_ret,
        architectures: arches.iter().map(|a| (*a).to_owned()).collect(),
        listener_path: "/run/agent".to_owned(),
        syscalls,
        ..Seccomp::default()
    }
}

/// Calls near to what the rules speak of.
pub fn probe(random: &mut Random, reference: &Reference, arches: &[&'static Arch]) -> SeccompData {
    let arch = random.of(arches);
    let rules = &reference.rules;
    let rule = (!rules.is_empty()).then(|| &rules[random.below(rules.len())]);
    let call = rule.and_then(|r| arch::Call::by_name(&r.0));
    let number = call.and_then(|c| match random.below(4) {
        0 => c.multiplexer(arch).map(|(n, _)| n).or(c.number(arch)),
        _ => c.number(arch),
    });
    let nr = match (random.below(8), number) {
        (0, _) | (_, None) => {
            random.of(&[0, 1, 435, 0x3fff_ffff, 0x4000_0000, 0x4000_0200, u32::MAX - 1, u32::MAX, 0xf_0005])
        }
        (1, Some(n)) => n ^ random.of(&[1, 2, 0x4000_0000, 0x8000_0000]),
        (_, Some(n)) => n,
    };
    let audit = if random.one_in(50) { arch.audit ^ random.of(&[1, 0x4000_0000, 0x8000_0000]) } else { arch.audit };
    let mut args = [0; 6];
    for arg in &mut args {
        *arg = if random.one_in(3) { random.value() } else { 0 };
    }
    for (index, _, value, value_two) in rule.map_or(&[][..], |r| &r.2) {
        let value = if random.one_in(3) { *value_two } else { *value };
        args[*index as usize] = match random.below(8) {
            0 => value.wrapping_add(1),
            1 => value.wrapping_sub(1),
            2 => value ^ (1 << 32),
            3 => value & 0xffff_ffff,
            4 => args[*index as usize],
            _ => value,
        };
    }
    if let Some((n, value)) = call.and_then(|c| c.multiplexer(arch)).filter(|_| random.one_in(2)) {
        args[0] = if n == nr { u64::from(value) } else { args[0] };
    }
    SeccompData { nr, arch: audit, args }
}

/// libseccomp's numbers, by architecture and name.
type Numbers = BTreeMap<&'static str, BTreeMap<String, u32>>;

fn numbers(oracle: &mut Oracle, all: &[&str]) -> Numbers {
    let mut numbers = Numbers::new();
    for a in FAMILIES.iter().flat_map(|(native, others)| others.iter().chain([native])) {
        let a = arch::by_name(a).unwrap();
        let answer = oracle.ask(&json!({"resolve": all, "arch": token(a)}));
        let answer = answer.expect("libseccomp: install the packages python3 and libseccomp2");
        let of_arch = answer.as_array().unwrap().iter().zip(all);
        let number = |name: &str, n: &Value| match arch::Call::by_name(name).unwrap().multiplexer(a) {
            // libseccomp's number is a negative one for these, so runc takes no notice of them, and may answer ENOSYS to
            // calls that the profile names. That is not what ENOSYS is there for: here they count.
            Some(_) => arch::Call::by_name(name).unwrap().number(a),
            None => n.as_u64().map(|n| n as u32),
        };
        numbers.insert(a.name, of_arch.filter_map(|(n, name)| Some(((*name).to_owned(), number(name, n)?))).collect());
    }
    numbers
}

/// Names that libseccomp has.
fn known(oracle: &mut Oracle, all: &[&'static str]) -> Vec<&'static str> {
    let known = oracle.ask(&json!({"known": all})).unwrap();
    let known = all.iter().zip(known.as_array().unwrap()).filter(|(_, k)| **k == json!(true));
    // libseccomp knows the number of these, but not of every architecture that has it.
    known.map(|(n, _)| *n).filter(|n| !["map_shadow_stack", "sys_debug_setcontext"].contains(n)).collect()
}

/// libseccomp, about one profile.
struct Asked<'a> {
    oracle: &'a mut Oracle,
    reference: &'a Reference,
    big_endian: bool,
    /// What it made of some rules alone, on one architecture.
    parts: BTreeMap<(&'static str, Vec<usize>), Made>,
}

impl Asked<'_> {
    /// Its program for these rules of the profile.
    fn program(&mut self, arches: &[&Arch], rules: &[usize]) -> Made {
        let rules: Vec<&Rule> = rules.iter().map(|i| &self.reference.rules[*i]).collect();
        let program = self.oracle.program(self.reference.default, arches, self.big_endian, &rules)?;
        Ok(native_returns(program, self.reference))
    }

    /// Its answer if the profile had no rules but these, and no architecture but the call's.
    fn alone(&mut self, rules: &[usize], data: &SeccompData) -> Option<u32> {
        let arch = self.reference.arch(data)?;
        let key = (arch.name, rules.to_vec());
        if !self.parts.contains_key(&key) {
            let program = self.program(&[arch], rules);
            self.parts.insert(key.clone(), program);
        }
        run(self.parts[&key].as_ref().ok()?, data, self.big_endian)
    }

    /// Which entry of the list at the top of this file libseccomp's answer is under, if any.
    fn excuse(&mut self, data: &SeccompData, theirs: Option<u32>) -> Option<Excuse> {
        let reference = self.reference;
        let about = reference.rules_about(data);
        let action = |i: usize| reference.rules[i].1;
        let as_we_say = about.iter().all(|(rule, _)| {
            // A rule on `socket` is two on socketcall: either may hold.
            let holds = about.iter().any(|(r, holds)| r == rule && *holds);
            self.alone(&[*rule], data) == Some(if holds { action(*rule) } else { reference.default })
        });
        if !as_we_say {
            return None;
        }
        let mut holding = about.iter().filter(|(_, holds)| *holds).map(|(rule, _)| *rule);
        let Some(first) = holding.next() else { return Some(Excuse::Contradiction) };
        let rivals: Vec<usize> = holding
            .filter(|rule| action(*rule) != action(first))
            .filter(|rule| self.alone(&[first.min(*rule), first.max(*rule)], data) == Some(action(*rule)))
            .collect();
        let odd =
            |rule: &usize| reference.rules[*rule].2.iter().any(|c| c.1 == NE || (c.1 == MASKED_EQ && is_half(c.2)));
        match rivals.as_slice() {
            [] => Some(Excuse::Contradiction),
            rivals if rivals.iter().all(|rival| odd(rival) || odd(&first)) => {
                rivals.iter().any(|rival| Some(action(*rival)) == theirs).then_some(Excuse::Order)
            }
            _ => None,
        }
    }
}

/// Whether one of the two words of a mask is empty.
fn is_half(mask: u64) -> bool {
    mask >> 32 == 0 || mask & 0xffff_ffff == 0
}

/// Why libseccomp may answer otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Excuse {
    Contradiction,
    Order,
}

/// On a machine of the other byte order libseccomp turns the value of a `ret` that it repeats (for a far jump) twice.
fn native_returns(mut program: Vec<SockFilter>, reference: &Reference) -> Vec<SockFilter> {
    let values: Vec<u32> = reference.rules.iter().map(|r| r.1).chain([reference.default, 0]).collect();
    for i in program.iter_mut().filter(|i| i.code == RET_K && !values.contains(&i.k)) {
        i.k = i.k.swap_bytes();
    }
    program
}

#[test]
fn agrees_with_libseccomp() {
    let mut oracle = Oracle::start();
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    let all: Vec<&str> = arch::Call::all().map(arch::Call::name).collect();
    let numbers = numbers(&mut oracle, &all);
    let known = known(&mut oracle, &all);
    let (mut calls, mut differences, mut lengths) = (0u64, 0, (0, 0));
    let (mut excused, mut without) = (BTreeMap::new(), BTreeMap::new());
    let mut round = 0;
    while calls < CALLS {
        let (native, others) = FAMILIES[round % FAMILIES.len()];
        round += 1;
        let native = arch::by_name(native).unwrap();
        let seccomp = profile(&mut random, &known, others);
        let reference = Reference::with_numbers(&seccomp, native, |arch, name| numbers[arch.name].get(name).copied());
        let mut arches: Vec<&Arch> = vec![native];
        arches.extend(others.iter().filter_map(|a| arch::by_name(a)));
        let big_endian = native.big_endian;
        let mut asked = Asked { oracle: &mut oracle, reference: &reference, big_endian, parts: BTreeMap::new() };
        let every: Vec<usize> = (0..reference.rules.len()).collect();
        let theirs = match asked.program(&arches, &every) {
            Ok(theirs) => theirs,
            Err(why) => {
                *without.entry(why).or_insert(0) += 1;
                continue;
            }
        };
        let ours = compile(&seccomp, native, 0).unwrap().unwrap().filter;
        lengths = (lengths.0 + ours.len(), lengths.1 + theirs.len());
        for _ in 0..CALLS_OF_A_PROFILE {
            let data = probe(&mut random, &reference, &arches);
            let expected = Some(reference.answer(&data));
            let a = run(&ours, &data, big_endian);
            // What is newer gets the ENOSYS of runc, whose program stands in front of libseccomp's.
            let b = if reference.is_newer(&data) { expected } else { run(&theirs, &data, big_endian) };
            calls += 1;
            if a == expected && a == b {
                continue;
            }
            if a == expected
                && let Some(excuse) = asked.excuse(&data, b)
            {
                *excused.entry(excuse).or_insert(0) += 1;
                continue;
            }
            differences += 1;
            if differences < 10 {
                println!(
                    "round {round} {}: {data:x?}: ours {a:x?}, libseccomp {b:x?}, reference {expected:x?}",
                    native.name
                );
                for (rule, holds) in reference.rules_about(&data) {
                    let alone = asked.alone(&[rule], &data);
                    println!("    {rule} {:x?} holds: {holds}; alone {alone:x?}", reference.rules[rule]);
                }
            }
        }
    }
    println!(
        "{calls} calls of {round} profiles, of which libseccomp has no program: {without:?}; excused {excused:?}, {differences} \
         differences; instructions {lengths:?}"
    );
    assert_eq!(differences, 0);
    assert!(without.values().sum::<usize>() * 5 < round, "{without:?}");
}
