//! The profile that podman, CRI-O and (with few differences) Docker give to each container: what it means.

use dunnage::seccomp::bpf::{SeccompData, run};
use dunnage::seccomp::{arch, compile, flag};
use dunnage::spec::{Arg, Seccomp, Syscall};
use serde_json::Value;

use crate::against_libseccomp::Oracle;
use crate::reference::{Reference, Rule};

pub const FILE: &str = "/usr/share/containers/seccomp.json";

/// A few, with which more of the profile's conditions are there.
pub const CAPS: [&str; 3] = ["CAP_CHOWN", "CAP_SYS_CHROOT", "CAP_SETUID"];

/// What the engine makes of the profile for a container: `includes` and `excludes` applied, for x86_64.
pub fn profile(caps: &[&str]) -> Seccomp {
    let text = std::fs::read(FILE)
        .unwrap_or_else(|e| panic!("{FILE}: {e}: install the package golang-github-containers-common"));
    let file: Value = serde_json::from_slice(&text).unwrap();
    let strings = |v: &Value| -> Vec<String> {
        v.as_array().into_iter().flatten().map(|s| s.as_str().unwrap().to_owned()).collect()
    };
    let has = |of: &Value| {
        let arch = strings(&of["arches"]).iter().any(|a| a == "amd64");
        let cap = strings(&of["caps"]).iter().any(|c| caps.contains(&c.as_str()));
        (arch, cap)
    };
    let mut syscalls = Vec::new();
    for rule in file["syscalls"].as_array().unwrap() {
        let (includes, excludes) = (&rule["includes"], &rule["excludes"]);
        let (in_arch, in_cap) = has(includes);
        let (out_arch, out_cap) = has(excludes);
        if out_arch
            || out_cap
            || (!includes["arches"].is_null() && !in_arch)
            || (!includes["caps"].is_null() && !in_cap)
        {
            continue;
        }
        let number = |v: &Value| v.as_u64().unwrap_or_default();
        syscalls.push(Syscall {
            names: strings(&rule["names"]),
            action: rule["action"].as_str().unwrap().to_owned(),
            errno_ret: rule["errnoRet"].as_u64().map(|e| e as u32),
            args: rule["args"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|a| Arg {
                    index: number(&a["index"]) as u32,
                    value: number(&a["value"]),
                    value_two: number(&a["valueTwo"]),
                    op: a["op"].as_str().unwrap().to_owned(),
                })
                .collect(),
        });
    }
    Seccomp {
        default_action: file["defaultAction"].as_str().unwrap().to_owned(),
        default_errno_ret: file["defaultErrnoRet"].as_u64().map(|e| e as u32),
        architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"].map(str::to_owned).to_vec(),
        syscalls,
        ..Seccomp::default()
    }
}

/// Every number of every architecture, with the arguments that the profile's rules speak of.
#[test]
fn every_call_as_with_libseccomp() {
    let native = arch::by_name("SCMP_ARCH_X86_64").unwrap();
    let mut oracle = Oracle::start();
    for caps in [&CAPS[..], &[], &["CAP_SYS_ADMIN", "CAP_AUDIT_WRITE", "CAP_SYS_PTRACE"]] {
        let seccomp = profile(caps);
        let program = compile(&seccomp, native, flag::SPEC_ALLOW).unwrap().unwrap();
        assert_eq!((program.flags, program.notify), (flag::SPEC_ALLOW, false));
        let arches: Vec<_> = seccomp.architectures.iter().map(|a| arch::by_name(a).unwrap()).collect();
        let reference = Reference::new(&seccomp, native);
        let rules: Vec<&Rule> = reference.rules.iter().collect();
        let theirs = oracle.program(reference.default, &arches, false, &rules).unwrap();
        let values = [0, 1, 5, 8, 9, 16, 40, 0x2_0000, 0x2_0008, 0xffff_ffff, 0x1_0000_0010, 0x7e02_0000, 0x1000_0000];
        let mut calls = 0;
        for arch in arches {
            // From 1,000 on nothing can differ, but for the ENOSYS of runc, which here is the default anyway.
            for nr in (0..1000).map(|n| arch.base | n) {
                for a in values {
                    for b in [0, 1, 0x7e02_0000] {
                        let data = SeccompData { nr, arch: arch.audit, args: [a, b, b, 0, 0, 0] };
                        let (x, y) = (run(&program.filter, &data, false), run(&theirs, &data, false));
                        // libseccomp 2.5 knows the calls of Linux 5.17.
                        let newer = nr & !0x4000_0000 > 450;
                        assert!(x == y || newer, "{} {data:x?}: {x:x?}, libseccomp {y:x?}", arch.name);
                        calls += 1;
                    }
                }
            }
        }
        println!("{caps:?}: {calls} calls, {} instructions, libseccomp {}", program.filter.len(), theirs.len());
    }
}
