#!/usr/bin/env python3
"""Writes src/seccomp/tables.rs from the kernel's own lists of system calls.

    tools/syscall-tables.py LINUX_SOURCE_TREE > src/seccomp/tables.rs

The tree is any Linux >= 6.11 (the first with scripts/syscall.tbl); Debian's is in the package linux-source-6.12. Calls that
are younger than the tree are in NEWER below: since Linux 5.1 a new call has one number on every architecture.
"""

import pathlib
import sys

# column, list, the ABIs in that list which the architecture has (its Makefile.syscalls, or the list's heading)
ARCHES = [
    ("X86_64", "arch/x86/entry/syscalls/syscall_64.tbl", "common 64"),
    ("X86", "arch/x86/entry/syscalls/syscall_32.tbl", "i386"),
    ("X32", "arch/x86/entry/syscalls/syscall_64.tbl", "common x32"),
    ("AARCH64", "scripts/syscall.tbl", "common 64 renameat rlimit memfd_secret"),
    ("ARM", "arch/arm/tools/syscall.tbl", "common eabi"),
    ("RISCV64", "scripts/syscall.tbl", "common 64 riscv rlimit memfd_secret"),
    ("S390X", "arch/s390/kernel/syscalls/syscall.tbl", "common 64"),
    ("S390", "arch/s390/kernel/syscalls/syscall.tbl", "common 32"),
    ("PPC64", "arch/powerpc/kernel/syscalls/syscall.tbl", "common 64 nospu"),
    ("PPC", "arch/powerpc/kernel/syscalls/syscall.tbl", "common 32 nospu"),
    ("MIPS", "arch/mips/kernel/syscalls/syscall_o32.tbl", "o32"),
    ("MIPS64", "arch/mips/kernel/syscalls/syscall_n64.tbl", "common n64"),
    ("MIPS64N32", "arch/mips/kernel/syscalls/syscall_n32.tbl", "n32"),
    ("LOONGARCH64", "scripts/syscall.tbl", "common 64"),
    ("PARISC", "arch/parisc/kernel/syscalls/syscall.tbl", "common 32"),
    ("PARISC64", "arch/parisc/kernel/syscalls/syscall.tbl", "common 64"),
    ("M68K", "arch/m68k/kernel/syscalls/syscall.tbl", "common"),
    ("SH", "arch/sh/kernel/syscalls/syscall.tbl", "common"),
]

# number, name, where, since
NEWER = [
    (336, "uprobe", ["X86_64"], "6.18"),
    (463, "setxattrat", None, "6.13"),
    (464, "getxattrat", None, "6.13"),
    (465, "listxattrat", None, "6.13"),
    (466, "removexattrat", None, "6.13"),
    (467, "open_tree_attr", None, "6.15"),
    (468, "file_getattr", None, "6.17"),
    (469, "file_setattr", None, "6.17"),
    (470, "listns", None, "6.19"),
    (471, "rseq_slice_yield", None, "7.0"),
]

# The private calls of 32-bit ARM, at 0xf0000 (arch/arm/include/uapi/asm/unistd.h); 0xf000 in the table.
ARM_PRIVATE = ["breakpoint", "cacheflush", "usr26", "usr32", "set_tls", "get_tls"]

ABSENT = 0xFFFF


def read(tree, path, abis):
    calls = {}
    for line in (tree / path).read_text().splitlines():
        fields = line.split("#")[0].split()
        if len(fields) < 3 or fields[1] not in abis or fields[2].startswith(("reserved", "unused")):
            continue
        number, name = int(fields[0]), fields[2]
        if name in calls and calls[name] != number:
            sys.exit(f"{path}: {name} is both {calls[name]} and {number}")
        calls[name] = number
    return calls


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tree = pathlib.Path(sys.argv[1])
    columns = []
    for arch, path, abis in ARCHES:
        calls = read(tree, path, abis.split())
        for number, name, only, _ in NEWER:
            if only is None or arch in only:
                if calls.setdefault(name, number) != number:
                    sys.exit(f"{arch}: {name} is {calls[name]}, not {number}: correct NEWER")
        if arch == "ARM":
            for i, name in enumerate(ARM_PRIVATE):
                calls[name] = 0xF001 + i
        columns.append(calls)
    names = sorted(set().union(*columns))

    out = sys.stdout.write
    out("//! Written by tools/syscall-tables.py from the kernel's lists: the name and the number of every system call of every\n")
    out("//! architecture. Data only. One line a call, so that a review of a new kernel's calls is a review of new lines.\n")
    out("#![cfg_attr(rustfmt, rustfmt_skip)]\n\n")
    out("/// How many calls there are.\n")
    out(f"pub const COUNT: usize = {len(names)};\n\n")
    for i, (arch, _, _) in enumerate(ARCHES):
        out(f"/// A column of [`NUMBERS`].\npub const {arch}: usize = {i};\n")
    out("\n")
    out("/// How many columns there are.\n")
    out(f"pub const COLUMNS: usize = {len(ARCHES)};\n\n")
    out("/// In [`NUMBERS`]: the architecture does not have the call.\n")
    out(f"pub const ABSENT: u16 = {ABSENT:#x};\n\n")
    out("/// All names, sorted, without separators: one text and not a table of pointers, which a position-independent\n")
    out("/// executable would have to relocate at each start.\n")
    out('pub static NAMES: &str = "\\\n' + "".join(f"    {n}\\\n" for n in names) + '";\n\n')
    out("/// Where each name begins in [`NAMES`], and the end.\n")
    starts, at = [], 0
    for n in names:
        starts.append(at)
        at += len(n)
    starts.append(at)
    out(f"pub static STARTS: [u16; {len(names) + 1}] = [\n")
    for i in range(0, len(starts), 16):
        out("    " + " ".join(f"{s}," for s in starts[i : i + 16]) + "\n")
    out("];\n\n")
    out("/// The numbers, by name and [`Column`]. Without the architecture's base (x32 has 0x40000000, MIPS 4000, 5000, 6000);\n")
    out("/// 0xf000 stands for the private calls of 32-bit ARM, at 0xf0000.\n")
    out("pub static NUMBERS: [[u16; COLUMNS]; COUNT] = [\n")
    out("    // " + " ".join(a for a, _, _ in ARCHES) + "\n")
    for n in names:
        row = [c.get(n, ABSENT) for c in columns]
        out("    [" + ",".join("ABSENT" if v == ABSENT else str(v) for v in row) + f"], // {n}\n")
    out("];\n")


main()
