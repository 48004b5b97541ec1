//! Our programs in the kernel that this runs on: its verifier takes every one, and what it answers to real calls is what
//! the interpreter and the reference say. x86 and x32 calls, too, which a process of x86_64 can make.

use std::io::Write;
use std::process::{Command, Stdio};

use dunnage::seccomp::{SockFilter, arch, compile};
use serde_json::json;

use crate::against_libseccomp::{Random, profile};

/// The kernel's answers: errno, microseconds.
pub fn load(programs: &[Vec<SockFilter>]) -> Vec<(i64, f64)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seccomp/load.py");
    let mut command = Command::new("python3");
    let mut child =
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("install the package python3");
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = programs
        .iter()
        .map(|p| format!("{}\n", json!(p.iter().map(|i| (i.code, i.jt, i.jf, i.k)).collect::<Vec<_>>())))
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn kernel_takes_every_program() {
    let native = arch::native().unwrap();
    let names: Vec<&str> = arch::Call::all().map(arch::Call::name).collect();
    let mut random = Random(7);
    let families: [&[&str]; 3] = [&["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], &["SCMP_ARCH_AARCH64"], &[]];
    let programs: Vec<_> = (0..150)
        .map(|i| compile(&profile(&mut random, &names, families[i % 3]), native, 0).unwrap().unwrap().filter)
        .collect();
    let answers = load(&programs);
    assert_eq!(answers.len(), programs.len());
    let refused: Vec<_> = answers.iter().zip(&programs).filter(|((errno, _), _)| *errno != 0).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[cfg(target_arch = "x86_64")]
mod real_calls {
    use std::arch::asm;

    use dunnage::seccomp::arch::Arch;
    use dunnage::seccomp::bpf::{RET_K, SeccompData, run};
    use dunnage::seccomp::{SockFilter, arch, compile};
    use dunnage::spec::Seccomp;
    use nix::errno::Errno;
    use nix::libc;
    use nix::sys::signal::Signal;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    use crate::against_libseccomp::{Random, probe, profile};
    use crate::reference::Reference;

    const X86: u32 = 0x4000_0003;
    const ALL: [&str; 3] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];

    /// Memory that a child leaves its answers in, since under the filter it can tell in no other way. Below 4 GiB, for the pointers
    /// of x86.
    struct Shared {
        words: *mut i64,
        len: usize,
    }

    impl Shared {
        fn new(len: usize) -> Shared {
            let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: new memory, wherever there is room.
            let at = unsafe { libc::mmap(std::ptr::null_mut(), len * 8, prot, flags, -1, 0) };
            assert_ne!(at, libc::MAP_FAILED);
            Shared { words: at.cast(), len }
        }

        fn set(&self, i: usize, value: i64) {
            if i < self.len {
                // SAFETY: within the mapping, which is as long as this lives.
                unsafe { self.words.wrapping_add(i).write_volatile(value) }
            }
        }

        fn get(&self, i: usize) -> i64 {
            assert!(i < self.len);
            // SAFETY: within the mapping, which is as long as this lives.
            unsafe { self.words.wrapping_add(i).read_volatile() }
        }
    }

    impl Drop for Shared {
        fn drop(&mut self) {
            // SAFETY: what `new` has mapped, and nobody else knows of it.
            unsafe { libc::munmap(self.words.cast(), self.len * 8) };
        }
    }

    /// Makes a call as the architecture says; the result, or an errno negated.
    fn call(data: &SeccompData) -> i64 {
        if data.arch == X86 {
            return i64::from(int80(data.nr, data.args.map(|a| a as u32)));
        }
        let [a, b, c, d, e, f] = data.args;
        // SAFETY: the filter lets only those calls pass that the test has chosen.
        match unsafe { libc::syscall(i64::from(data.nr), a, b, c, d, e, f) } {
            -1 => -i64::from(Errno::last_raw()),
            result => result,
        }
    }

    /// A call of x86.
    fn int80(number: u32, args: [u32; 6]) -> i32 {
        let mut result = number;
        // SAFETY: rbx and rbp, which the compiler keeps for itself, are restored; the kernel changes no other register than those
        // named. What the call does is the caller's affair.
        unsafe {
            asm!(
                "push rbx", "push rbp",
                "mov ebx, [r12]", "mov ecx, [r12 + 4]", "mov edx, [r12 + 8]",
                "mov esi, [r12 + 12]", "mov edi, [r12 + 16]", "mov ebp, [r12 + 20]",
                "int 0x80",
                "pop rbp", "pop rbx",
                inout("eax") result, in("r12") args.as_ptr(),
                out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
        result as i32
    }

    /// A child's end that needs no call.
    fn end() -> ! {
        // SAFETY: SIGILL, as it is meant.
        unsafe { asm!("ud2", options(noreturn)) }
    }

    /// Loads the program into a child and makes the calls there, in their order. What each gave; `None` from where the child
    /// was killed by the filter.
    fn observe(program: &[SockFilter], calls: &[SeccompData]) -> Vec<Option<i64>> {
        // One more, which counts them.
        let shared = Shared::new(calls.len() + 1);
        let filter: Vec<libc::sock_filter> =
            program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
        let fprog = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        // SAFETY: the child calls nothing that allocates or takes a lock.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let (seconds, none) =
                    (libc::rlimit { rlim_cur: 20, rlim_max: 20 }, libc::rlimit { rlim_cur: 0, rlim_max: 0 });
                // SAFETY: a limit that lives.
                unsafe { libc::setrlimit(libc::RLIMIT_CPU, &seconds) };
                // SAFETY: a limit that lives.
                unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
                // SAFETY: numbers only.
                unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
                // SAFETY: a program that lives.
                let loaded = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &fprog) };
                if loaded == 0 {
                    for (i, data) in calls.iter().enumerate() {
                        shared.set(i, call(data));
                        shared.set(calls.len(), i as i64 + 1);
                    }
                }
                end()
            }
            ForkResult::Parent { child } => {
                let status = waitpid(child, None).unwrap();
                let made = shared.get(calls.len()) as usize;
                let killed = matches!(status, WaitStatus::Signaled(_, Signal::SIGSYS, _));
                let at = calls.get(made);
                assert!(killed || made == calls.len(), "{made} of {} calls, {status:?} at {at:x?}", calls.len());
                (0..calls.len()).map(|i| (i < made).then(|| shared.get(i))).collect()
            }
        }
    }

    /// The same profile with an errno of its own for each entry and for the default, so that no call passes and each answer says
    /// which rule it is from.
    fn only_errnos(mut seccomp: Seccomp) -> Seccomp {
        seccomp.default_action = "SCMP_ACT_ERRNO".into();
        seccomp.default_errno_ret = Some(4000);
        for (i, syscall) in seccomp.syscalls.iter_mut().enumerate() {
            syscall.action = "SCMP_ACT_ERRNO".into();
            syscall.errno_ret = Some(1000 + i as u32);
        }
        seccomp
    }

    /// Nothing but errnos and deaths: whatever the calls are, they do nothing.
    fn is_harmless(program: &[SockFilter]) -> bool {
        program.iter().all(|i| i.code != RET_K || i.k == 0 || i.k >> 16 == 5)
    }

    #[test]
    fn the_kernel_answers_as_the_interpreter() {
        let native = arch::native().unwrap();
        let names: Vec<&str> = arch::Call::all().map(arch::Call::name).collect();
        let families: [&[&str]; 5] = [&ALL, &["SCMP_ARCH_X86"], &["SCMP_ARCH_X32"], &[], &ALL];
        let mut random = Random(0xca11_ab1e);
        let (mut calls, mut by_rule, mut deaths) = (0, [0; 3], 0);
        for round in 0..250 {
            let seccomp = only_errnos(profile(&mut random, &names, families[round % families.len()]));
            let program = compile(&seccomp, native, 0).unwrap().unwrap().filter;
            assert!(is_harmless(&program));
            let reference = Reference::new(&seccomp, native);
            let arches: Vec<&'static Arch> = ALL.iter().map(|a| arch::by_name(a).unwrap()).collect();
            let mut lethal = None;
            let mut probes = Vec::new();
            while probes.len() < 1200 {
                let mut data = probe(&mut random, &reference, &arches);
                // Since Linux 6.14 uretprobe, and since 6.18 uprobe, pass every filter; outside of a probe they are the end.
                let unfiltered = data.arch != X86 && [335, 336].contains(&data.nr);
                if ![arches[0].audit, X86].contains(&data.arch) || unfiltered {
                    continue;
                }
                if data.arch == X86 {
                    data.args = data.args.map(|a| a & 0xffff_ffff);
                }
                if reference.answer(&data) == 0 {
                    lethal = Some(data);
                    continue;
                }
                probes.push(data);
            }
            // The last one ends the child, where there is a call that the filter kills for.
            probes.extend(lethal);
            for (data, seen) in probes.iter().zip(observe(&program, &probes)) {
                let expected = reference.answer(data);
                assert_eq!(run(&program, data, false), Some(expected), "{data:x?}");
                let errno = seen.map(|result| -result);
                let wanted = (expected != 0).then_some(i64::from(expected & 0xffff));
                assert_eq!(errno, wanted, "{data:x?} under {seccomp:?}");
                calls += 1;
                deaths += u32::from(expected == 0);
                by_rule[match wanted {
                    Some(1000..4000) => 0,
                    Some(38) => 1,
                    _ => 2,
                }] += 1;
            }
        }
        println!("{calls} calls: by rules, newer, default {by_rule:?}, {deaths} ends");
        assert!(calls >= 300_000 && by_rule[0] > calls / 10 && by_rule[1] > calls / 100 && deaths > 50);
    }

    /// security.md note 5: a profile about `socket(AF_ALG, ...)`, and each way to make that call. `socketcall` has its arguments
    /// in memory, where no filter can look: a rule of `socket` holds for it whatever the family is, as with libseccomp.
    #[test]
    fn af_alg_by_every_way() {
        const AF_ALG: u64 = 38;
        let native = arch::native().unwrap();
        let rule = |action: &str, op: &str| {
            serde_json::json!({"names": ["socket"], "action": action, "errnoRet": 1234,
                "args": [{"index": 0, "value": AF_ALG, "op": op}]})
        };
        let profile = |default: &str, rule: serde_json::Value, arches: &[&str]| -> Vec<SockFilter> {
            // In an open profile all else passes; in a closed one what the answers need.
            let seccomp: Seccomp = serde_json::from_value(serde_json::json!({
                "defaultAction": default, "defaultErrnoRet": 1234, "architectures": arches, "syscalls": [rule]}))
            .unwrap();
            compile(&seccomp, native, 0).unwrap().unwrap().filter
        };
        let deny = |arches| profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "SCMP_CMP_EQ"), arches);
        let allow_others = |arches| profile("SCMP_ACT_ERRNO", rule("SCMP_ACT_ALLOW", "SCMP_CMP_NE"), arches);
        let arguments = Shared::new(2);
        let socketcall = |family: u64| {
            // int[3] of x86, two of which are in the first word.
            arguments.set(0, (family | (5 << 32)) as i64);
            SeccompData { nr: 102, arch: X86, args: [1, arguments.words as u64, 0, 0, 0, 0] }
        };
        let socket = |nr: u32, arch: u32, family: u64| SeccompData { nr, arch, args: [family, 5, 0, 0, 0, 0] };
        let x86_64 = |family| socket(41, native.audit, family);
        let x32 = |family| socket(0x4000_0000 | 41, native.audit, family);
        let x86 = |family| socket(359, X86, family);
        // Denied by the filter, let through to the kernel whatever that makes of it, or the end.
        #[derive(Debug, PartialEq)]
        enum Seen {
            Denied,
            Passed,
            Killed,
        }
        use Seen::{Denied, Killed, Passed};
        let seen = |program: &[SockFilter], data: SeccompData| match observe(program, &[data])[0] {
            None => Killed,
            Some(-1234) => Denied,
            Some(_) => Passed,
        };
        for arches in [&ALL[..], &["SCMP_ARCH_X86", "SCMP_ARCH_X32"]] {
            let (deny, allow_others) = (deny(arches), allow_others(arches));
            for way in [x86_64(AF_ALG), x32(AF_ALG), x86(AF_ALG)] {
                assert_eq!((seen(&deny, way), seen(&allow_others, way)), (Denied, Denied), "{way:x?}");
            }
            for way in [x86_64(1), x32(1), x86(1)] {
                assert_eq!((seen(&deny, way), seen(&allow_others, way)), (Passed, Passed), "{way:x?}");
            }
            // A list of what is denied denies too much there, one of what is allowed allows too much.
            for family in [AF_ALG, 1] {
                assert_eq!(seen(&deny, socketcall(family)), Denied);
                assert_eq!(seen(&allow_others, socketcall(family)), Passed);
            }
        }
        // So who wants to be sure leaves x86 out.
        for program in [deny(&["SCMP_ARCH_X86_64"]), allow_others(&[])] {
            for way in [x86(AF_ALG), x86(1), socketcall(AF_ALG), x32(AF_ALG), x32(1)] {
                assert_eq!(seen(&program, way), Killed, "{way:x?}");
            }
            assert_eq!((seen(&program, x86_64(AF_ALG)), seen(&program, x86_64(1))), (Denied, Passed));
        }
    }
}
