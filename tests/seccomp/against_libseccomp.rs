//! The seccomp compiler against libseccomp (and runc's `ENOSYS` in front of it): random profiles, both programs interpreted on
//! random and on telling calls; a million calls in a release build, a tenth of that in a debug build.
//!
//! Each answer has also to be that of `reference`, which reads the rules one by one: no exception. libseccomp's may be
//! another only where it contradicts its own rules, which `excused` tells:
//!
//! * libseccomp 2.5 merges the comparisons of a call into one tree, and shares pieces of program between calls, and loses or
//!   inverts some comparisons other than `EQ` on the way: of `a0 < 0x8000000000000001` and `a0 < 0x6fef5ef08b4eedbd`, both
//!   ALLOW, it does not allow 0x6fef5ef08b4eedbe; of `a0 >= 0x200000005` and `a0 < 0x10` it allows 0x11; beside rules of
//!   other calls it may read `a0 & 0x10` under another rule's mask. That is one call in a thousand of these. With `EQ` only
//!   there is no exception, and `against_crates` confirms every operator without one.
//! * It refuses (EEXIST) some rules with the same conditions and different actions, and does not come to an end with others:
//!   then there is nothing to compare.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use dunnage::seccomp::bpf::{RET_K, SeccompData, run};
use dunnage::seccomp::{Arch, SockFilter, arch, compile};
use dunnage::spec::{Arg, Seccomp, Syscall};
use serde_json::{Value, json};

const X86_64: &str = "SCMP_ARCH_X86_64";

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

/// Names as in config.json, `SECCOMP_RET_*`, and whether `errnoRet` is added.
const ACTIONS: [(&str, u32, bool); 9] = [
    ("SCMP_ACT_ALLOW", 0x7fff_0000, false),
    ("SCMP_ACT_ERRNO", 0x0005_0000, true),
    ("SCMP_ACT_KILL", 0, false),
    ("SCMP_ACT_KILL_PROCESS", 0x8000_0000, false),
    ("SCMP_ACT_KILL_THREAD", 0, false),
    ("SCMP_ACT_LOG", 0x7ffc_0000, false),
    ("SCMP_ACT_NOTIFY", 0x7fc0_0000, false),
    ("SCMP_ACT_TRACE", 0x7ff0_0000, true),
    ("SCMP_ACT_TRAP", 0x0003_0000, false),
];

/// Names, and `enum scmp_compare`.
const OPERATORS: [(&str, u32); 7] = [
    ("SCMP_CMP_NE", 1),
    ("SCMP_CMP_LT", 2),
    ("SCMP_CMP_LE", 3),
    ("SCMP_CMP_EQ", 4),
    ("SCMP_CMP_GE", 5),
    ("SCMP_CMP_GT", 6),
    ("SCMP_CMP_MASKED_EQ", 7),
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
    pub fn program(&mut self, question: &Value) -> Result<Vec<SockFilter>, &'static str> {
        let Some(answer) = self.ask(question) else {
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
pub fn token(arch: &Arch) -> u32 {
    if arch.name == "SCMP_ARCH_X32" { 0x4000_003e } else { arch.audit }
}

/// A rule as the oracle is told: name, action, [(index, operator, value, value two)].
pub type Told = (String, u32, Vec<(u32, u32, u64, u64)>);

pub struct Case {
    pub seccomp: Seccomp,
    told: Vec<Told>,
    default: u32,
}

pub fn case(random: &mut Random, names: &[&str], arches: &[&str]) -> Case {
    let action = |random: &mut Random, default: bool| loop {
        let (name, ret, errno) = random.of(&ACTIONS);
        if default && name == "SCMP_ACT_NOTIFY" {
            continue;
        }
        let errno = if errno { Some(random.of(&[None, Some(38), Some(0), Some(4094)])) } else { None };
        return (name, errno.flatten(), ret | errno.map_or(0, |e| e.unwrap_or(1)));
    };
    let (default_name, default_errno, default) = action(random, true);
    let few = 1 + random.below(4);
    let actions: Vec<_> = (0..few).map(|_| action(random, false)).collect();
    let pool: Vec<&str> = (0..1 + random.below(30)).map(|_| random.of(names)).collect();
    let mut syscalls = Vec::new();
    let mut told = Vec::new();
    for _ in 0..random.below(40) {
        let (action, errno_ret, ret) = random.of(&actions);
        let names: Vec<&str> = (0..1 + random.below(6)).map(|_| random.of(&pool)).filter(|n| *n != "write").collect();
        if names.is_empty() {
            continue;
        }
        let conditions = if random.one_in(3) { random.below(4) } else { usize::from(random.one_in(2)) };
        let args: Vec<_> = (0..conditions)
            .map(|_| {
                let index = if random.one_in(2) { 0 } else { random.below(6) as u32 };
                let (name, op) = random.of(&OPERATORS);
                let value_two = if op == 7 { random.value() } else { 0 };
                (name, (index, op, random.value(), value_two))
            })
            .collect();
        for name in &names {
            told.push(((*name).to_owned(), ret, args.iter().map(|(_, a)| *a).collect()));
        }
        syscalls.push(Syscall {
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            action: action.to_owned(),
            errno_ret,
            args: args
                .iter()
                .map(|(name, (index, _, value, value_two))| Arg {
                    index: *index,
                    value: *value,
                    value_two: *value_two,
                    op: (*name).to_owned(),
                })
                .collect(),
        });
    }
    let seccomp = Seccomp {
        default_action: default_name.to_owned(),
        default_errno_ret: default_errno,
        architectures: arches.iter().map(|a| (*a).to_owned()).collect(),
        listener_path: "/run/agent".to_owned(),
        syscalls,
        ..Seccomp::default()
    };
    Case { seccomp, told, default }
}

/// Calls near to what the rules speak of.
fn probe(random: &mut Random, case: &Case, arches: &[&'static Arch]) -> SeccompData {
    let arch = random.of(arches);
    let rule = (!case.told.is_empty()).then(|| &case.told[random.below(case.told.len())]);
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

/// What a call gets by the rules as they are told; and the operators of its rules.
fn reference(case: &Case, numbers: &Numbers, data: &SeccompData, arches: &[&Arch]) -> (u32, Vec<u32>) {
    let x32 = data.nr & 0x4000_0000 != 0;
    let same = |a: &&&Arch| a.audit == data.arch && (a.audit != 0xc000_003e || x32 == (a.name == "SCMP_ARCH_X32"));
    let beyond =
        |a: &&&Arch| a.name != X86_64 || data.nr < 0x4000_0000 || arches.iter().any(|a| a.name == "SCMP_ARCH_X32");
    let Some(arch) = arches.iter().find(same).filter(beyond) else {
        let skipped = data.nr == u32::MAX && arches.iter().any(|a| a.audit == data.arch);
        let enabled = arches.iter().any(|a| a.audit == data.arch && a.name == "SCMP_ARCH_X32");
        return (if skipped || enabled { case.default } else { 0 }, Vec::new());
    };
    // (rank, order, action, whether it holds)
    let mut rules: Vec<(Vec<_>, usize, u32, bool)> = Vec::new();
    let mut operators = Vec::new();
    for (order, (name, action, args)) in case.told.iter().enumerate().filter(|(_, t)| t.1 != case.default) {
        let call = arch::Call::by_name(name).unwrap();
        let direct = numbers[arch.name].get(name) == Some(&data.nr);
        let selector = call.multiplexer(arch).filter(|(n, _)| *n == data.nr).map(|(_, v)| (0, 4, u64::from(v), 0));
        let mut indices: Vec<_> = args.iter().map(|a| a.0).collect();
        indices.sort_unstable();
        indices.dedup();
        let split: Vec<Vec<_>> = match indices.len() == args.len() {
            true => vec![args.clone()],
            false => args.iter().map(|a| vec![*a]).collect(),
        };
        for args in split {
            for selector in selector.into_iter().map(Some).chain(direct.then_some(None)) {
                let kept = args.iter().filter(|a| selector.is_none() || a.0 != 0).copied();
                let mut args: Vec<_> = selector.into_iter().chain(kept).collect();
                args.sort_by_key(|a| a.0);
                let width = if arch.wide { u64::MAX } else { 0xffff_ffff };
                args.retain(|a| a.1 != 7 || a.2 & width != 0);
                operators.push(args.iter().map(|a| a.1).collect::<Vec<_>>());
                let holds = args.iter().all(|(index, op, value, two)| {
                    let (arg, value, two) = (data.args[*index as usize] & width, value & width, two & width);
                    match op {
                        1 => arg != value,
                        2 => arg < value,
                        3 => arg <= value,
                        4 => arg == value,
                        5 => arg >= value,
                        6 => arg > value,
                        _ => arg & value == two & value,
                    }
                });
                let rank = args.iter().flat_map(|(index, op, value, two)| {
                    let value = if *op == 7 { value & two } else { *value } & width;
                    [(value >> 32) as u32, value as u32].map(|word| match op {
                        1 | 4 | 7 => (6 - index, 0u32, u32::MAX - word),
                        2 | 3 => (6 - index, 1, word),
                        _ => (6 - index, 2, u32::MAX - word),
                    })
                });
                rules.push((rank.collect(), order, *action, holds));
            }
        }
    }
    rules.sort();
    let first = rules.iter().find(|r| r.3).map_or(case.default, |r| r.2);
    (first, operators.concat())
}

/// On a machine of the other byte order libseccomp turns the value of a `ret` that it repeats (for a far jump) twice.
fn native_returns(mut program: Vec<SockFilter>, case: &Case) -> Vec<SockFilter> {
    let values: Vec<u32> = case.told.iter().map(|t| t.1).chain([case.default, 0]).collect();
    for i in program.iter_mut().filter(|i| i.code == RET_K && !values.contains(&i.k)) {
        i.k = i.k.swap_bytes();
    }
    program
}

/// Whether libseccomp cannot be asked about a call (see the top).
fn excused(operators: &[u32]) -> bool {
    operators.iter().any(|op| *op != 4)
}

/// What runc puts in front of libseccomp's program.
fn enosys(case: &Case, native: &'static Arch, numbers: &Numbers, data: &SeccompData) -> Option<u32> {
    if [0x7fff_0000, 0x7ffc_0000, 0x7ff0_0000].contains(&(case.default & 0xffff_0000)) {
        return None;
    }
    let x32 = data.nr & 0x4000_0000 != 0;
    // A profile that lists no architecture is one for the native one (runc since 1.2).
    let listed = &case.seccomp.architectures;
    let native = Some(native).filter(|_| listed.is_empty());
    let arch = listed
        .iter()
        .filter_map(|a| arch::by_name(a))
        .chain(native)
        .find(|a| a.audit == data.arch && (a.audit != 0xc000_003e || x32 == (a.name == "SCMP_ARCH_X32")))?;
    let of_arch = &numbers[arch.name];
    // The one exception of ours (src/seccomp/mod.rs): ARM's private calls.
    let private = |n: u32| arch.name == "SCMP_ARCH_ARM" && n >= 0xf_0000;
    let mentioned = case.seccomp.syscalls.iter().flat_map(|s| &s.names);
    let newest = mentioned.filter_map(|n| of_arch.get(n)).copied().filter(|n| !private(*n)).max()?;
    let s390 = ["SCMP_ARCH_S390", "SCMP_ARCH_S390X"].contains(&arch.name);
    (newest > 0 && !private(data.nr) && (data.nr > newest || (s390 && data.nr == 0))).then_some(0x0005_0026)
}

#[test]
fn agrees_with_libseccomp() {
    let scale = if cfg!(debug_assertions) { 1 } else { 10 };
    let mut oracle = Oracle::start();
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    let all: Vec<&str> = arch::Call::all().map(arch::Call::name).collect();
    let mut numbers = Numbers::new();
    for a in FAMILIES.iter().flat_map(|(native, others)| others.iter().chain([native])) {
        let a = arch::by_name(a).unwrap();
        let answer = oracle.ask(&json!({"resolve": all, "arch": token(a)}));
        let answer = answer.expect("libseccomp: install the packages python3 and libseccomp2");
        let of_arch = answer.as_array().unwrap().iter().zip(&all);
        let number = |name: &str, n: &Value| match arch::Call::by_name(name).unwrap().multiplexer(a) {
            // libseccomp's number is a negative one for these, so runc takes no notice of them, and may answer ENOSYS to
            // calls that the profile names. That is not what ENOSYS is there for: here they count.
            Some(_) => arch::Call::by_name(name).unwrap().number(a),
            None => n.as_u64().map(|n| n as u32),
        };
        numbers.insert(a.name, of_arch.filter_map(|(n, name)| Some(((*name).to_owned(), number(name, n)?))).collect());
    }
    let known = oracle.ask(&json!({"known": all})).unwrap();
    let known = all.iter().zip(known.as_array().unwrap()).filter(|(_, k)| **k == json!(true));
    // libseccomp knows the number of these, but not of every architecture that has it.
    let known = known.filter(|(n, _)| !["map_shadow_stack", "sys_debug_setcontext"].contains(n));
    let known: Vec<&str> = known.map(|(n, _)| *n).collect();
    let (mut calls, mut excuses, mut without, mut differences, mut lengths) = (0u64, 0u64, BTreeMap::new(), 0, (0, 0));
    for round in 0..200 * scale {
        let (native, others) = FAMILIES[round % FAMILIES.len()];
        let native = arch::by_name(native).unwrap();
        let case = case(&mut random, &known, others);
        let mut arches: Vec<&Arch> = vec![native];
        arches.extend(others.iter().filter_map(|a| arch::by_name(a)));
        let question = json!({
            "default": case.default,
            "arches": arches.iter().map(|a| token(a)).collect::<Vec<_>>(),
            "remove_native": !arches.iter().any(|a| a.name == X86_64),
            "big_endian": native.big_endian,
            "rules": case.told,
        });
        let theirs = match oracle.program(&question) {
            Ok(theirs) => native_returns(theirs, &case),
            Err(why) => {
                *without.entry(why).or_insert(0) += 1;
                continue;
            }
        };
        let ours = compile(&case.seccomp, native, 0).unwrap().unwrap().filter;
        lengths = (lengths.0 + ours.len(), lengths.1 + theirs.len());
        for _ in 0..600 {
            let data = probe(&mut random, &case, &arches);
            let a = run(&ours, &data, native.big_endian);
            let enosys = enosys(&case, native, &numbers, &data);
            let b = enosys.or_else(|| run(&theirs, &data, native.big_endian));
            let (reference, operators) = reference(&case, &numbers, &data, &arches);
            calls += 1;
            excuses += u64::from(a != b && excused(&operators));
            if a != Some(enosys.unwrap_or(reference)) || (a != b && !excused(&operators)) {
                differences += 1;
                if differences < 10 {
                    println!(
                        "round {round} {}: {data:x?}: ours {a:x?}, libseccomp {b:x?}, reference {reference:x?}",
                        native.name
                    );
                    for c in arch::Call::all() {
                        let on = arches.iter().any(|a| {
                            c.number(a) == Some(data.nr) || c.multiplexer(a).is_some_and(|(n, _)| n == data.nr)
                        });
                        for t in case.told.iter().filter(|t| on && t.0 == c.name()) {
                            println!("    {t:x?}");
                        }
                    }
                }
            }
        }
    }
    println!(
        "{calls} calls, profiles without a program of libseccomp {without:?}, {excuses} excused, {differences} differences; instructions {lengths:?}"
    );
    assert_eq!(differences, 0);
    assert!(excuses * 500 < calls, "more than 0.2 percent are excused");
}
