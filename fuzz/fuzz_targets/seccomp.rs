//! Any document as a seccomp profile, compiled for each kind of machine: the kernel would take the program, and it answers what
//! the rules say, read one by one, to the calls that the rules speak of and to those beside them.
#![no_main]

#[path = "../../tests/seccomp/reference.rs"]
#[allow(dead_code, missing_docs)]
mod reference;

use dunnage::seccomp::arch::{self, Arch, Call};
use dunnage::seccomp::bpf::{self, SeccompData, SockFilter};
use dunnage::seccomp::{compile, flag};
use dunnage::spec::Seccomp;
use dunnage_fuzz::{json, one_line};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use reference::{ACTIONS, Reference, Rule};

/// One of each word size, byte order, and way to number calls.
const NATIVE: [&str; 7] = [
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_MIPSEL64",
];

/// More rules than these are not asked about, so that an input takes milliseconds.
const RULES: usize = 40;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| { json::mutate(data, size, max_size, seed) });

fuzz_target!(|bytes: &[u8]| {
    let Ok(profile) = serde_json::from_slice::<Seccomp>(bytes) else { return };
    for native in NATIVE {
        let native = arch::by_name(native).expect("an architecture");
        match compile(&profile, native, 0x3f) {
            Ok(Some(program)) => {
                assert_eq!(program.notify, program.flags & flag::NEW_LISTENER != 0);
                verify(&program.filter);
                compare(&profile, native, &program.filter);
            }
            Ok(None) => assert!(profile.syscalls.is_empty()),
            Err(error) => one_line(error),
        }
    }
});

/// What bpf_check_classic and seccomp_check_filter of the kernel ask for.
fn verify(program: &[SockFilter]) {
    assert!((1..=4096).contains(&program.len()));
    let last = program.last().expect("not empty");
    assert_eq!(last.code, bpf::RET_K, "the last instruction returns");
    for (at, i) in program.iter().enumerate() {
        let rest = program.len() - at - 1;
        match i.code {
            bpf::RET_K => assert!(ACTIONS.iter().any(|(_, ret, _)| *ret == i.k & 0xffff_0000), "{i:?}"),
            bpf::LD_ABS => assert!(i.k % 4 == 0 && i.k < 64, "{i:?}"),
            bpf::AND_K => (),
            bpf::JA => assert!((i.k as usize) < rest, "{i:?}"),
            bpf::JEQ_K | bpf::JGT_K | bpf::JGE_K | bpf::JSET_K => assert!(usize::from(i.jt.max(i.jf)) < rest, "{i:?}"),
            _ => panic!("{i:?}"),
        }
    }
}

fn compare(profile: &Seccomp, native: &'static Arch, program: &[SockFilter]) {
    // No machine has x32 without x86_64.
    if native.name != "SCMP_ARCH_X86_64" && profile.architectures.iter().any(|name| name == "SCMP_ARCH_X32") {
        return;
    }
    let reference = Reference::new(profile, native);
    let ask = |data: SeccompData| {
        let answer = bpf::run(program, &data, native.big_endian);
        assert_eq!(answer, Some(reference.answer(&data)), "{} {data:x?}", native.name);
    };
    let listed = profile.architectures.iter().filter_map(|name| arch::by_name(name));
    for arch in [native].into_iter().chain(listed).take(4) {
        for nr in [0, 1, 0x3fff_ffff, 0x4000_0000, 0xf_0005, u32::MAX - 1, u32::MAX] {
            ask(SeccompData { nr, arch: arch.audit, ..SeccompData::default() });
        }
        ask(SeccompData { nr: 0, arch: arch.audit ^ 1, ..SeccompData::default() });
        reference.rules.iter().take(RULES).for_each(|rule| probe(arch, rule, &ask));
    }
}

/// A call for which all comparisons are equalities that hold, and its neighbours.
fn probe(arch: &Arch, (name, _, comparisons): &Rule, ask: &impl Fn(SeccompData)) {
    let Some(call) = Call::by_name(name) else { return };
    let direct = call.number(arch).map(|nr| (nr, None));
    let multiplexed = call.multiplexer(arch).map(|(nr, selector)| (nr, Some(u64::from(selector))));
    for (nr, selector) in direct.into_iter().chain(multiplexed) {
        let mut data = SeccompData { nr, arch: arch.audit, args: [0; 6] };
        for (index, _, value, _) in comparisons {
            data.args[*index as usize] = *value;
        }
        data.args[0] = selector.unwrap_or(data.args[0]);
        for nr in [nr, nr ^ 1, nr.wrapping_add(1), nr ^ 0x4000_0000] {
            ask(SeccompData { nr, ..data });
        }
        for (index, _, value, two) in comparisons {
            for arg in [
                value.wrapping_add(1),
                value.wrapping_sub(1),
                value ^ 1 << 32,
                value & 0xffff_ffff,
                !value,
                *two,
                two & value,
                two ^ 1,
            ] {
                let mut data = data;
                data.args[*index as usize] = arg;
                ask(data);
            }
        }
    }
}
