//! What the profile of most containers costs (containers-common's, for a container with the capabilities that Docker gives): to
//! compile, to install, and at each call. docs/bench/seccomp.md has figures.

use std::time::Instant;

use dunnage::seccomp::arch::Call;
use dunnage::seccomp::bpf::{self, SeccompData};
use dunnage::seccomp::{SockFilter, arch, compile, flag};

use crate::against_libseccomp::Oracle;
use crate::kernel::load;
use crate::real_profile::profile;
use crate::reference::{Reference, Rule};
use dunnage::seccomp::engine::DEFAULT_CAPABILITIES;

/// The budgets of time are those of a release build, a debug build is some twenty times slower; and `make test` runs on whatever
/// machine it is, beside other tests: of many times the shortest counts there, and that with room.
const ROOM: f64 = if cfg!(debug_assertions) { 50.0 } else { 2.0 };

/// (least, median), in microseconds.
fn summary(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2])
}

#[test]
fn compiles_in_200_microseconds() {
    let native = arch::by_name("SCMP_ARCH_X86_64").unwrap();
    let seccomp = profile(&DEFAULT_CAPABILITIES);
    let names: usize = seccomp.syscalls.iter().map(|s| s.names.len()).sum();
    let times = (0..401).map(|_| {
        let start = Instant::now();
        assert!(compile(&seccomp, native, flag::SPEC_ALLOW).unwrap().is_some());
        start.elapsed().as_secs_f64() * 1e6
    });
    let times: Vec<f64> = times.collect();
    let first = times[0];
    let (least, median) = summary(times);
    println!(
        "compile: {names} names on 3 architectures, the first time {first:.0} us, median {median:.0} us, least {least:.0} us"
    );
    assert!(least < 200.0 * ROOM, "{least} us");
}

#[test]
fn installs_in_100_microseconds() {
    let program = compile(&profile(&DEFAULT_CAPABILITIES), arch::native().unwrap(), 0).unwrap().unwrap().filter;
    let times = load(&vec![program.clone(); 201]).into_iter().map(|(errno, microseconds)| {
        assert_eq!(errno, 0);
        microseconds
    });
    let (least, median) = summary(times.collect());
    println!("install: {} instructions, median {median:.0} us, least {least:.0} us", program.len());
    // The kernel's own time: no slower for a debug build of ours.
    assert!(least < 100.0 * ROOM.min(5.0), "{least} us");
}

/// What a busy program calls all the time.
const HOT: [&str; 24] = [
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "recvfrom",
    "sendto",
    "recvmsg",
    "sendmsg",
    "accept4",
    "epoll_wait",
    "epoll_pwait",
    "epoll_ctl",
    "poll",
    "futex",
    "mmap",
    "munmap",
    "madvise",
    "openat",
    "close",
    "newfstatat",
    "clock_nanosleep",
    "sched_yield",
];

/// How many instructions a program takes to answer.
fn steps(program: &[SockFilter], data: &SeccompData) -> usize {
    let (mut at, mut a, mut steps) = (0, 0, 0);
    loop {
        let i = program[at];
        steps += 1;
        at += 1;
        match i.code {
            bpf::RET_K => return steps,
            bpf::LD_ABS => {
                a = match i.k {
                    bpf::OFFSET_NR => data.nr,
                    bpf::OFFSET_ARCH => data.arch,
                    // No argument is anything but 0 here.
                    _ => 0,
                }
            }
            bpf::AND_K => a &= i.k,
            bpf::JA => at += i.k as usize,
            bpf::JEQ_K => at += usize::from(if a == i.k { i.jt } else { i.jf }),
            bpf::JGT_K => at += usize::from(if a > i.k { i.jt } else { i.jf }),
            bpf::JGE_K => at += usize::from(if a >= i.k { i.jt } else { i.jf }),
            code => panic!("{code:#x}"),
        }
    }
}

#[test]
fn short_and_hot_calls_shorter() {
    let native = arch::by_name("SCMP_ARCH_X86_64").unwrap();
    let seccomp = profile(&DEFAULT_CAPABILITIES);
    let ours = compile(&seccomp, native, 0).unwrap().unwrap().filter;
    let reference = Reference::new(&seccomp, native);
    let rules: Vec<&Rule> = reference.rules.iter().collect();
    let arches: Vec<_> = seccomp.architectures.iter().map(|a| arch::by_name(a).unwrap()).collect();
    let theirs = Oracle::start().program(reference.default, &arches, false, &rules).unwrap();
    println!("instructions: {}, libseccomp {}", ours.len(), theirs.len());
    assert!(ours.len() <= 225, "{}", ours.len());
    let count = |call: Call| {
        let data = SeccompData { nr: call.number(native).unwrap(), arch: native.audit, args: [0; 6] };
        (steps(&ours, &data), steps(&theirs, &data))
    };
    let mut total = (0, 0);
    for name in HOT {
        let (a, b) = count(Call::by_name(name).unwrap());
        println!("    {name}: {a}, libseccomp {b}");
        assert!(a <= 12, "{name}: {a}");
        total = (total.0 + a, total.1 + b);
    }
    let all: Vec<_> = Call::all().filter(|c| c.number(native).is_some()).map(count).collect();
    let longest = all.iter().map(|c| c.0).max().unwrap();
    let (sum_a, sum_b) = all.iter().fold((0, 0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
    println!(
        "instructions of a call: of {} that are hot {:.1} (libseccomp {:.1}), of all {:.1} ({:.1}), at most {longest}",
        HOT.len(),
        total.0 as f64 / HOT.len() as f64,
        total.1 as f64 / HOT.len() as f64,
        sum_a as f64 / all.len() as f64,
        sum_b as f64 / all.len() as f64,
    );
    assert!(longest <= 25, "{longest}");
    assert!(total.0 * 2 < total.1);
}
