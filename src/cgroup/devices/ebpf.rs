//! A device list as an eBPF program for cgroup v2, which has no files for devices: the kernel runs it at each mknod and
//! open of a device node and denies on 0. Generating is pure; [`apply`] loads and attaches.

use std::os::fd::{AsFd, BorrowedFd};

use super::{Access, DeviceList, Kind};
use crate::error::{Errno, Error, Result};
use crate::sys::bpf::{self, Insn};

// Operations of include/uapi/linux/bpf.h: class | size or operation | mode or source. 32-bit arithmetic zeroes the upper
// half; the 64-bit jumps serve because device numbers are far below 2^31 (JMP32 came only with Linux 5.1).
const LDX_MEM_W: u8 = 0x61;
const MOV64_K: u8 = 0xb7;
const MOV32_X: u8 = 0xbc;
const AND32_K: u8 = 0x54;
const RSH32_K: u8 = 0x74;
const JEQ_K: u8 = 0x15;
const JNE_K: u8 = 0x55;
const EXIT: u8 = 0x95;

// Registers: R0 is the answer, R1 the context and later scratch.
const R0: u8 = 0;
const R1: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    // The two registers are bit fields of one byte, in the order of the machine.
    let regs = if cfg!(target_endian = "little") { (src << 4) | dst } else { (dst << 4) | src };
    Insn { code, regs, off, imm }
}

/// BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_DEV_CHAR.
fn kind_bits(kind: Kind) -> i32 {
    match kind {
        Kind::Block => 1,
        Kind::Char => 2,
    }
}

/// The program: fetch `struct bpf_cgroup_dev_ctx`, then for each exception "if all of it matches, that is the answer".
pub fn program(list: &DeviceList) -> Vec<Insn> {
    let exception = i32::from(!list.default_allow);
    let mut program = vec![
        // access_type is access << 16 | kind.
        insn(LDX_MEM_W, KIND, R1, 0, 0),
        insn(MOV32_X, ACCESS, KIND, 0, 0),
        insn(AND32_K, KIND, 0, 0, 0xffff),
        insn(RSH32_K, ACCESS, 0, 0, 16),
        insn(LDX_MEM_W, MAJOR, R1, 4, 0),
        insn(LDX_MEM_W, MINOR, R1, 8, 0),
        insn(MOV64_K, R0, 0, 0, exception),
    ];
    for (devices, access) in &list.exceptions {
        let start = program.len();
        program.push(insn(JNE_K, KIND, 0, 0, kind_bits(devices.kind)));
        for (register, number) in [(MAJOR, devices.major), (MINOR, devices.minor)] {
            if let Some(number) = number {
                program.push(insn(JNE_K, register, 0, 0, number.cast_signed()));
            }
        }
        if *access != Access::ALL {
            program.push(insn(MOV32_X, R1, ACCESS, 0, 0));
            let bits = i32::from(access.bits());
            if list.default_allow {
                // One denied kind of access is enough.
                program.push(insn(AND32_K, R1, 0, 0, bits));
                program.push(insn(JEQ_K, R1, 0, 0, 0));
            } else {
                // Nothing may be asked beyond what is allowed.
                program.push(insn(AND32_K, R1, 0, 0, !bits));
                program.push(insn(JNE_K, R1, 0, 0, 0));
            }
        }
        program.push(insn(EXIT, 0, 0, 0, 0));
        // Whatever does not match goes on behind this exit; an exception has at most eight instructions.
        let end = program.len();
        for (at, jump) in program.iter_mut().enumerate().skip(start) {
            if matches!(jump.code, JNE_K | JEQ_K) {
                jump.off = i16::try_from(end.saturating_sub(at).saturating_sub(1)).unwrap_or(i16::MAX);
            }
        }
    }
    program.push(insn(MOV64_K, R0, 0, 0, i32::from(list.default_allow)));
    program.push(insn(EXIT, 0, 0, 0, 0));
    program
}

/// Makes `list` the device filter of the cgroup. `fresh`: we have just made the cgroup, so nothing is attached to it.
pub fn apply(cgroup: BorrowedFd<'_>, list: &DeviceList, fresh: bool) -> Result<()> {
    if fresh && list.allows_everything() {
        return Ok(());
    }
    let program = bpf::prog_load_cgroup_device(&program(list), c"Apache")
        .map_err(|e| explain(Error::sys("bpf BPF_PROG_LOAD", e)))?;
    let attached = if fresh {
        bpf::prog_attach(cgroup, program.as_fd(), bpf::BPF_F_ALLOW_MULTI, None)
    } else {
        bpf::prog_replace_all(cgroup, program.as_fd())
    };
    attached.map_err(|e| explain(Error::sys("bpf BPF_PROG_ATTACH", e)))
}

fn explain(e: Error) -> Error {
    match e.errno() {
        Some(Errno::EINVAL | Errno::ENOSYS) => {
            e.hint("the kernel needs CONFIG_CGROUP_BPF for device rules on cgroup v2")
        }
        Some(Errno::EPERM) => {
            e.hint("device rules on cgroup v2 need CAP_BPF or CAP_SYS_ADMIN in the initial user namespace")
        }
        _ => e,
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // An overflow in the machine is a panic, which is what a test wants.
mod tests {
    use super::super::tests::{access, devices, list};
    use super::super::{Devices, Kind};
    use super::*;
    use proptest::prelude::*;

    /// A machine for the few operations above; a jump backwards, an unknown operation or the end of the program fails.
    fn run(program: &[Insn], context: [u32; 3]) -> u64 {
        let mut regs = [0u64; 11];
        let mut at = 0;
        loop {
            let Insn { code, regs: r, off, imm } = program[at];
            let (dst, src) = (usize::from(r & 15), usize::from(r >> 4));
            let low = |n: u64| n & 0xffff_ffff;
            let (imm32, imm64) = (u64::from(imm.cast_unsigned()), i64::from(imm).cast_unsigned());
            at += 1;
            match code {
                LDX_MEM_W => regs[dst] = u64::from(context[usize::try_from(off).unwrap() / 4]),
                MOV64_K => regs[dst] = imm64,
                MOV32_X => regs[dst] = low(regs[src]),
                AND32_K => regs[dst] = low(regs[dst]) & imm32,
                RSH32_K => regs[dst] = low(regs[dst]) >> imm,
                JEQ_K if regs[dst] == imm64 => at += usize::try_from(off).unwrap(),
                JNE_K if regs[dst] != imm64 => at += usize::try_from(off).unwrap(),
                JEQ_K | JNE_K => {}
                EXIT => return regs[0],
                code => panic!("operation {code:#x}"),
            }
        }
    }

    fn ask(program: &[Insn], kind: Kind, major: u32, minor: u32, access: Access) -> bool {
        let access_type = (u32::from(access.bits()) << 16) | kind_bits(kind).cast_unsigned();
        match run(program, [access_type, major, minor]) {
            0 => false,
            1 => true,
            other => panic!("answer {other}"),
        }
    }

    #[test]
    fn the_default_program() {
        let program = program(&list("[]").unwrap());
        assert!(program.len() <= 9 + 8 * 11, "{} instructions", program.len());
        for (major, minor, access, expected) in [
            (1, 3, Access::ALL, true),
            (1, 11, Access::READ, false),
            (1, 11, Access::MKNOD, true),
            (136, 77, Access::WRITE, true),
            (10, 229, Access::READ, false),
        ] {
            assert_eq!(ask(&program, Kind::Char, major, minor, access), expected, "c {major}:{minor} {access}");
        }
        assert!(!ask(&program, Kind::Block, 1, 3, Access::READ));
    }

    #[test]
    fn empty_lists_have_a_program_too() {
        for default_allow in [false, true] {
            let program = program(&DeviceList { default_allow, ..DeviceList::deny_all() });
            assert_eq!(ask(&program, Kind::Char, 1, 3, Access::READ), default_allow);
        }
    }

    proptest! {
        #[test]
        fn the_program_answers_as_the_list_does(
            default_allow: bool,
            exceptions in proptest::collection::btree_map(devices(), access(), 0..12),
            device in devices(),
            access in access(),
        ) {
            let list = DeviceList { default_allow, exceptions };
            let Devices { kind, major, minor } = device;
            let (major, minor) = (major.unwrap_or(7), minor.unwrap_or(7));
            let expected = list.allows(kind, major, minor, access);
            prop_assert_eq!(ask(&program(&list), kind, major, minor, access), expected, "{:?}", list);
        }
    }
}
