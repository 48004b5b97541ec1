//! The architectures of a profile: their names in the specification, how the kernel tells them apart, where their arguments
//! lie, and their system call numbers. Knows nothing of profiles or programs.

use std::cmp::Ordering;

use super::tables;

/// What a filter has to know of one architecture.
#[derive(Debug, PartialEq, Eq)]
pub struct Arch {
    /// `SCMP_ARCH_*`, as in config.json.
    pub name: &'static str,
    /// `AUDIT_ARCH_*`: `seccomp_data.arch`.
    pub audit: u32,
    /// Registers are 64 bits wide. Of x32 libseccomp compares 32, and so do we.
    pub wide: bool,
    /// `seccomp_data.args` has the high word first.
    pub big_endian: bool,
    /// `socketcall` and `ipc` exist: a rule on `socket` holds for `socketcall(SYS_SOCKET, ...)` too.
    pub multiplexed: bool,
    /// Added to the numbers of the table.
    pub base: u32,
    column: usize,
}

/// The bit that tells x32 calls from x86_64 calls; their `AUDIT_ARCH` is one.
pub const X32_BIT: u32 = 0x4000_0000;

/// The private calls of 32-bit ARM (`__ARM_NR_BASE`) are not numbered with the others, and never the newest.
pub const ARM_PRIVATE: u32 = 0xf_0000;

/// `-1`: a tracer's way to say that a call be skipped (seccomp(2), since Linux 4.8).
pub const SKIPPED: u32 = u32::MAX;

const fn arch(name: &'static str, audit: u32, bits: u8, big_endian: bool, column: usize) -> Arch {
    Arch { name, audit, wide: bits == 64, big_endian, multiplexed: false, base: 0, column }
}

const fn multiplexed(arch: Arch) -> Arch {
    Arch { multiplexed: true, ..arch }
}

const fn based(base: u32, arch: Arch) -> Arch {
    Arch { base, ..arch }
}

const LE: bool = false;
const BE: bool = true;

/// Every architecture of config-linux.md, sorted by name. Audit values are `include/uapi/linux/audit.h`'s.
pub static ARCHES: [Arch; 23] = [
    arch("SCMP_ARCH_AARCH64", 0xc000_00b7, 64, LE, tables::AARCH64),
    arch("SCMP_ARCH_ARM", 0x4000_0028, 32, LE, tables::ARM),
    arch("SCMP_ARCH_LOONGARCH64", 0xc000_0102, 64, LE, tables::LOONGARCH64),
    multiplexed(arch("SCMP_ARCH_M68K", 0x0000_0004, 32, BE, tables::M68K)),
    multiplexed(based(4000, arch("SCMP_ARCH_MIPS", 0x0000_0008, 32, BE, tables::MIPS))),
    based(5000, arch("SCMP_ARCH_MIPS64", 0x8000_0008, 64, BE, tables::MIPS64)),
    based(6000, arch("SCMP_ARCH_MIPS64N32", 0xa000_0008, 32, BE, tables::MIPS64N32)),
    multiplexed(based(4000, arch("SCMP_ARCH_MIPSEL", 0x4000_0008, 32, LE, tables::MIPS))),
    based(5000, arch("SCMP_ARCH_MIPSEL64", 0xc000_0008, 64, LE, tables::MIPS64)),
    based(6000, arch("SCMP_ARCH_MIPSEL64N32", 0xe000_0008, 32, LE, tables::MIPS64N32)),
    arch("SCMP_ARCH_PARISC", 0x0000_000f, 32, BE, tables::PARISC),
    arch("SCMP_ARCH_PARISC64", 0x8000_000f, 64, BE, tables::PARISC64),
    multiplexed(arch("SCMP_ARCH_PPC", 0x0000_0014, 32, BE, tables::PPC)),
    multiplexed(arch("SCMP_ARCH_PPC64", 0x8000_0015, 64, BE, tables::PPC64)),
    multiplexed(arch("SCMP_ARCH_PPC64LE", 0xc000_0015, 64, LE, tables::PPC64)),
    arch("SCMP_ARCH_RISCV64", 0xc000_00f3, 64, LE, tables::RISCV64),
    multiplexed(arch("SCMP_ARCH_S390", 0x0000_0016, 32, BE, tables::S390)),
    multiplexed(arch("SCMP_ARCH_S390X", 0x8000_0016, 64, BE, tables::S390X)),
    multiplexed(arch("SCMP_ARCH_SH", 0x4000_002a, 32, LE, tables::SH)),
    multiplexed(arch("SCMP_ARCH_SHEB", 0x0000_002a, 32, BE, tables::SH)),
    based(X32_BIT, arch("SCMP_ARCH_X32", 0xc000_003e, 32, LE, tables::X32)),
    multiplexed(arch("SCMP_ARCH_X86", 0x4000_0003, 32, LE, tables::X86)),
    arch("SCMP_ARCH_X86_64", 0xc000_003e, 64, LE, tables::X86_64),
];

impl Arch {
    /// The call of this number, if the architecture has one.
    pub fn call(&self, number: u32) -> Option<Call> {
        Call::all().find(|call| call.number(self) == Some(number))
    }
}

/// The architecture that this program was built for, or none of the specification's.
pub fn native() -> Option<&'static Arch> {
    let name = match std::env::consts::ARCH {
        "x86_64" if cfg!(target_pointer_width = "32") => "SCMP_ARCH_X32",
        "x86_64" => "SCMP_ARCH_X86_64",
        "x86" => "SCMP_ARCH_X86",
        "aarch64" => "SCMP_ARCH_AARCH64",
        "arm" => "SCMP_ARCH_ARM",
        "riscv64" => "SCMP_ARCH_RISCV64",
        "s390x" => "SCMP_ARCH_S390X",
        "powerpc" => "SCMP_ARCH_PPC",
        "powerpc64" if cfg!(target_endian = "little") => "SCMP_ARCH_PPC64LE",
        "powerpc64" => "SCMP_ARCH_PPC64",
        "loongarch64" => "SCMP_ARCH_LOONGARCH64",
        "mips" if cfg!(target_endian = "little") => "SCMP_ARCH_MIPSEL",
        "mips" => "SCMP_ARCH_MIPS",
        "mips64" if cfg!(target_endian = "little") => "SCMP_ARCH_MIPSEL64",
        "mips64" => "SCMP_ARCH_MIPS64",
        "m68k" => "SCMP_ARCH_M68K",
        _ => return None,
    };
    by_name(name)
}

/// The architecture of this `SCMP_ARCH_*`.
pub fn by_name(name: &str) -> Option<&'static Arch> {
    ARCHES.iter().find(|a| a.name == name)
}

/// A system call by name, on any architecture: a row of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call(usize);

impl Call {
    /// The call of this name, if any architecture has one.
    pub fn by_name(name: &str) -> Option<Call> {
        let (mut low, mut high) = (0, tables::COUNT);
        while low < high {
            let middle = low.midpoint(high);
            match Call(middle).name().cmp(name) {
                Ordering::Equal => return Some(Call(middle)),
                Ordering::Less => low = middle.saturating_add(1),
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Every call, by name.
    pub fn all() -> impl Iterator<Item = Call> {
        (0..tables::COUNT).map(Call)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let start = tables::STARTS.get(self.0).copied().unwrap_or_default();
        let end = tables::STARTS.get(self.0.saturating_add(1)).copied().unwrap_or_default();
        tables::NAMES.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }

    /// Its number on an architecture, as `seccomp_data.nr` has it.
    pub fn number(self, arch: &Arch) -> Option<u32> {
        match tables::NUMBERS.get(self.0).and_then(|row| row.get(arch.column)) {
            None | Some(&tables::ABSENT) => None,
            Some(&n) if n >= 0xf000 => Some(ARM_PRIVATE | u32::from(n & 0xfff)),
            Some(&n) => Some(arch.base.wrapping_add(u32::from(n))),
        }
    }

    /// Whether other calls hide behind it: `socketcall` and `ipc`.
    pub fn is_multiplexer(self) -> bool {
        MULTIPLEXED.iter().any(|(_, by, _)| *by == self.name())
    }

    /// The call that hides behind this one under that value of its first argument.
    pub fn behind(self, value: u64) -> Option<&'static str> {
        MULTIPLEXED.iter().find(|(_, by, v)| *by == self.name() && u64::from(*v) == value).map(|(name, ..)| *name)
    }

    /// Where the call hides behind another on architectures that multiplex: the other's number there, and the value of its first
    /// argument (`include/uapi/linux/net.h`, `ipc.h`).
    pub fn multiplexer(self, arch: &Arch) -> Option<(u32, u32)> {
        if !arch.multiplexed {
            return None;
        }
        let name = self.name();
        let (_, by, value) = MULTIPLEXED.iter().find(|(n, ..)| *n == name)?;
        Some((Call::by_name(by)?.number(arch)?, *value))
    }
}

#[rustfmt::skip]
static MULTIPLEXED: [(&str, &str, u32); 32] = [
    ("socket", "socketcall", 1), ("bind", "socketcall", 2), ("connect", "socketcall", 3), ("listen", "socketcall", 4),
    ("accept", "socketcall", 5), ("getsockname", "socketcall", 6), ("getpeername", "socketcall", 7),
    ("socketpair", "socketcall", 8), ("send", "socketcall", 9), ("recv", "socketcall", 10), ("sendto", "socketcall", 11),
    ("recvfrom", "socketcall", 12), ("shutdown", "socketcall", 13), ("setsockopt", "socketcall", 14),
    ("getsockopt", "socketcall", 15), ("sendmsg", "socketcall", 16), ("recvmsg", "socketcall", 17),
    ("accept4", "socketcall", 18), ("recvmmsg", "socketcall", 19), ("sendmmsg", "socketcall", 20),
    ("semop", "ipc", 1), ("semget", "ipc", 2), ("semctl", "ipc", 3), ("semtimedop", "ipc", 4), ("msgsnd", "ipc", 11),
    ("msgrcv", "ipc", 12), ("msgget", "ipc", 13), ("msgctl", "ipc", 14), ("shmat", "ipc", 21), ("shmdt", "ipc", 22),
    ("shmget", "ipc", 23), ("shmctl", "ipc", 24),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_found() {
        let names: Vec<_> = Call::all().map(Call::name).collect();
        assert!(names.is_sorted());
        assert!(names.len() > 480);
        for call in Call::all() {
            assert_eq!(Call::by_name(call.name()), Some(call));
        }
        assert_eq!(Call::by_name("nonesuch"), None);
        assert_eq!(Call::by_name(""), None);
        assert!(ARCHES.is_sorted_by_key(|a| a.name));
        assert!(MULTIPLEXED.iter().all(|(n, by, _)| Call::by_name(n).is_some() && Call::by_name(by).is_some()));
    }

    #[test]
    fn numbers_of_the_headers() {
        let number = |arch: &str, name: &str| Call::by_name(name)?.number(by_name(arch)?);
        assert_eq!(number("SCMP_ARCH_X86_64", "openat2"), Some(437));
        assert_eq!(number("SCMP_ARCH_X32", "read"), Some(0x4000_0000));
        assert_eq!(number("SCMP_ARCH_X32", "rt_sigaction"), Some(0x4000_0200));
        assert_eq!(number("SCMP_ARCH_MIPSEL64", "read"), Some(5000));
        assert_eq!(number("SCMP_ARCH_ARM", "set_tls"), Some(0xf_0005));
        assert_eq!(number("SCMP_ARCH_ARM", "clock_gettime64"), Some(403));
        assert_eq!(number("SCMP_ARCH_AARCH64", "open"), None);
        assert_eq!(number("SCMP_ARCH_RISCV64", "riscv_flush_icache"), Some(259));
        assert_eq!(number("SCMP_ARCH_S390X", "s390_pci_mmio_read"), Some(353));
    }
}
