//! Against seccompiler, on what it can say (two actions, one architecture; but every operator, and several rules and
//! conditions of a call): no exception. And our numbers of system calls against those of the crate `syscalls`.

use std::collections::BTreeMap;

use dunnage::seccomp::bpf::{SeccompData, run};
use dunnage::seccomp::{Arch, SockFilter, arch, compile};
use dunnage::spec::{Arg, Seccomp, Syscall};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use crate::against_libseccomp::Random;

const NAMES: [&str; 6] = ["read", "socket", "clone", "personality", "openat2", "futex_waitv"];

/// One random profile, for both.
fn profile(random: &mut Random, native: &Arch) -> (Seccomp, BTreeMap<i64, Vec<SeccompRule>>) {
    let mut theirs: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut ours = Seccomp { default_action: "SCMP_ACT_LOG".into(), ..Seccomp::default() };
    for _ in 0..1 + random.below(12) {
        let name = random.of(&NAMES);
        let number = i64::from(arch::Call::by_name(name).unwrap().number(native).unwrap());
        let mut indices: Vec<u8> = (0..1 + random.below(3)).map(|_| random.below(6) as u8).collect();
        indices.sort_unstable();
        indices.dedup();
        let (mut args, mut conditions) = (Vec::new(), Vec::new());
        for index in indices {
            let (value, mask) = (random.value(), random.value() | 1);
            let (op, theirs) = match random.below(7) {
                0 => ("SCMP_CMP_EQ", SeccompCmpOp::Eq),
                1 => ("SCMP_CMP_NE", SeccompCmpOp::Ne),
                2 => ("SCMP_CMP_LT", SeccompCmpOp::Lt),
                3 => ("SCMP_CMP_LE", SeccompCmpOp::Le),
                4 => ("SCMP_CMP_GT", SeccompCmpOp::Gt),
                5 => ("SCMP_CMP_GE", SeccompCmpOp::Ge),
                _ => ("SCMP_CMP_MASKED_EQ", SeccompCmpOp::MaskedEq(mask)),
            };
            let (first, second) = if op == "SCMP_CMP_MASKED_EQ" { (mask, value) } else { (value, 0) };
            args.push(Arg { index: index.into(), value: first, value_two: second, op: op.into() });
            conditions.push(SeccompCondition::new(index, SeccompCmpArgLen::Qword, theirs, value).unwrap());
        }
        ours.syscalls.push(Syscall {
            names: vec![name.into()],
            action: "SCMP_ACT_ALLOW".into(),
            errno_ret: None,
            args,
        });
        theirs.entry(number).or_default().push(SeccompRule::new(conditions).unwrap());
    }
    (ours, theirs)
}

#[test]
fn agrees_with_seccompiler() {
    let native = arch::by_name("SCMP_ARCH_X86_64").unwrap();
    let mut random = Random(0x0dd_ba11);
    let (mut calls, mut hits) = (0, 0);
    for _ in 0..3400 {
        let (ours, theirs) = profile(&mut random, native);
        let filter = SeccompFilter::new(theirs, SeccompAction::Log, SeccompAction::Allow, TargetArch::x86_64).unwrap();
        let program: BpfProgram = filter.try_into().unwrap();
        let theirs = program.iter().map(|i| SockFilter { code: i.code, jt: i.jt, jf: i.jf, k: i.k });
        let theirs: Vec<SockFilter> = theirs.collect();
        let filter = compile(&ours, native, 0).unwrap().unwrap().filter;
        for _ in 0..300 {
            let rule = &ours.syscalls[random.below(ours.syscalls.len())];
            let call = if random.one_in(8) { random.of(&NAMES) } else { rule.names[0].as_str() };
            let mut args = [(); 6].map(|()| random.value());
            for arg in &rule.args {
                let near = random.of(&[0, 0, 0, 1, u64::MAX, 1 << 32, 1 << 63]);
                let value = if arg.op == "SCMP_CMP_MASKED_EQ" { arg.value_two } else { arg.value };
                args[arg.index as usize] = value.wrapping_add(near);
            }
            let nr = arch::Call::by_name(call).unwrap().number(native).unwrap();
            let data = SeccompData { nr, arch: native.audit, args };
            let (a, b) = (run(&filter, &data, false), run(&theirs, &data, false));
            assert_eq!(a, b, "{data:x?}: {a:x?}, seccompiler {b:x?}: {ours:x?}");
            calls += 1;
            hits += u32::from(a == Some(0x7fff_0000));
        }
    }
    println!("{calls} calls, {hits} of which a rule allows");
    assert!(calls > 1_000_000);
    assert!(hits > calls / 5 && hits < calls / 5 * 4);
}

/// What the crate has and the kernel's lists of that architecture have not.
fn not_the_kernels(arch: &str, name: &str) -> bool {
    let generic_64 = ["SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64"].contains(&arch);
    // Gaps in the tables of MIPS.
    name.starts_with("unused") || name.starts_with("reserved")
        // 32-bit architectures only; and newfstatat by another name.
        || (generic_64 && ((name.ends_with("64") && name.contains("time")) || name == "clock_adjtime64" || name == "fstatat"))
        // arch/loongarch/kernel/Makefile.syscalls does not have it.
        || (arch == "SCMP_ARCH_LOONGARCH64" && name == "memfd_secret")
        // Younger than the calls that replace these: it has prlimit64 and renameat2.
        || (arch == "SCMP_ARCH_LOONGARCH64" && ["renameat", "getrlimit", "setrlimit"].contains(&name))
}

#[test]
fn numbers_as_in_the_crate_syscalls() {
    let mut compared = 0;
    let mut differences = Vec::new();
    let mut compare = |arch: &str, theirs: &[(&str, usize)]| {
        let arch_of = arch::by_name(arch).unwrap();
        for (name, number) in theirs.iter().map(|(n, number)| (n.trim_start_matches("r#"), number)) {
            compared += 1;
            let ours = arch::Call::by_name(name).and_then(|c| c.number(arch_of)).map(|n| n as usize);
            if ours != Some(*number) && !not_the_kernels(arch, name) {
                differences.push(format!("{arch} {name}: {number}, ours {ours:?}"));
            }
        }
    };
    macro_rules! of {
        ($arch:ident) => {
            syscalls::$arch::Sysno::iter().map(|s| (s.name(), s.id() as usize)).collect::<Vec<_>>()
        };
    }
    compare("SCMP_ARCH_X86_64", &of!(x86_64));
    compare("SCMP_ARCH_X86", &of!(x86));
    compare("SCMP_ARCH_AARCH64", &of!(aarch64));
    compare("SCMP_ARCH_ARM", &of!(arm));
    compare("SCMP_ARCH_RISCV64", &of!(riscv64));
    compare("SCMP_ARCH_S390X", &of!(s390x));
    compare("SCMP_ARCH_PPC64LE", &of!(powerpc64));
    compare("SCMP_ARCH_PPC", &of!(powerpc));
    compare("SCMP_ARCH_MIPS", &of!(mips));
    compare("SCMP_ARCH_MIPS64", &of!(mips64));
    compare("SCMP_ARCH_LOONGARCH64", &of!(loongarch64));
    println!("{compared} numbers");
    assert!(compared > 3500);
    assert!(differences.is_empty(), "{differences:#?}");
}
