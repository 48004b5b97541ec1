//! Against programs that runc has loaded (`record_runc.py` says how they were recorded): above all which calls get ENOSYS
//! because they are younger than the profile. No exception.

use dunnage::seccomp::bpf::{SeccompData, run};
use dunnage::seccomp::{SockFilter, arch, compile};
use dunnage::spec::Seccomp;
use serde::Deserialize;

#[derive(Deserialize)]
struct Record {
    profile: Seccomp,
    program: Vec<(u16, u8, u8, u32)>,
}

#[test]
fn agrees_with_runc() {
    let records: Vec<Record> = serde_json::from_str(include_str!("runc.json")).unwrap();
    assert!(records.len() > 20);
    let native = arch::by_name("SCMP_ARCH_X86_64").unwrap();
    let mut numbers: Vec<u32> =
        (0..1000).flat_map(|n| [n, n | 0x4000_0000, n | 0x8000_0000, n | 0xc000_0000]).collect();
    numbers.extend([0x3fff_ffff, 0x7fff_ffff, 0xbfff_ffff, u32::MAX - 1, u32::MAX, 0xf_0001]);
    let args = [
        [0; 6],
        [1, 0x10, 0, 0, 0, 0],
        [2, 0x10, 0, 0, 0, 0],
        [3, 0x1f, 0, 0, 0, 0],
        [40, 0, 0, 0, 0, 0],
        [u64::MAX; 6],
    ];
    // The recorded runc (1.1) gave ENOSYS only for architectures that the profile lists; since 1.2 a profile that lists none is
    // one for the native architecture, and so it is here.
    let lists_some = |record: &&Record| !record.profile.architectures.is_empty();
    assert!(records.iter().filter(lists_some).count() > 15);
    for (i, record) in records.iter().enumerate().filter(|(_, record)| lists_some(record)) {
        let program = record.program.iter().map(|&(code, jt, jf, k)| SockFilter { code, jt, jf, k });
        let theirs: Vec<SockFilter> = program.collect();
        let ours = compile(&record.profile, native, 0).unwrap().unwrap().filter;
        for arch in [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_003e] {
            for nr in &numbers {
                for args in args {
                    let data = SeccompData { nr: *nr, arch, args };
                    let (a, b) = (run(&ours, &data, false), run(&theirs, &data, false));
                    assert_eq!(a, b, "profile {i}, {data:x?}: {a:x?}, runc {b:x?}: {:?}", record.profile);
                }
            }
        }
    }
}
