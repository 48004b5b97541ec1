#!/usr/bin/env python3
"""The oracle of tests/seccomp_oracle.rs: what libseccomp (Debian's libseccomp2) makes of a profile, given to it as runc does.

One JSON object a line in, one line out:
  {"resolve": [NAME, ...], "arch": TOKEN}    -> numbers as JSON, null where the name is unknown to the architecture
  {"known": [NAME, ...]}                     -> booleans: whether any architecture has the name
  {"default": ACTION, "remove_native": BOOL, "arches": [TOKEN, ...], "big_endian": BOOL,
   "rules": [[NAME, ACTION, [[INDEX, OP, VALUE, VALUE_TWO], ...]], ...]}
      -> {"refused": [rule numbers], "program": [[code, jt, jf, k], ...]}
Actions are SECCOMP_RET_* with their data, operators enum scmp_compare, tokens SCMP_ARCH_*.
"""

import ctypes
import errno
import json
import os
import signal
import struct
import sys

try:
    lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
except OSError as e:
    sys.exit(f"{e}: install the package libseccomp2")


class Arg(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


lib.seccomp_init.restype = ctypes.c_void_p
lib.seccomp_init.argtypes = [ctypes.c_uint32]
lib.seccomp_release.argtypes = [ctypes.c_void_p]
lib.seccomp_arch_native.restype = ctypes.c_uint32
lib.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
lib.seccomp_arch_remove.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
lib.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Arg)]
lib.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
lib.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
lib.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]

UNKNOWN = -1
native = lib.seccomp_arch_native()


def check(what, rc):
    if rc < 0:
        sys.exit(f"{what}: {os.strerror(-rc)}")


def resolve(request):
    numbers = [lib.seccomp_syscall_resolve_name_arch(request["arch"], n.encode()) for n in request["resolve"]]
    return [n if n >= 0 else None for n in numbers]


def known(request):
    return [lib.seccomp_syscall_resolve_name(n.encode()) != UNKNOWN for n in request["known"]]


def compile(request):
    ctx = lib.seccomp_init(request["default"])
    if request["remove_native"]:
        check("seccomp_arch_remove", lib.seccomp_arch_remove(ctx, native))
    for arch in request["arches"]:
        rc = lib.seccomp_arch_add(ctx, arch)
        if rc != -errno.EEXIST:
            check(f"seccomp_arch_add {arch:#x}", rc)
    refused = []
    for i, (name, action, args) in enumerate(request["rules"]):
        if action == request["default"]:
            continue
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if number == UNKNOWN:
            continue
        indices = [a[0] for a in args]
        together = [args] if len(set(indices)) == len(indices) else [[a] for a in args]
        for part in together:
            array = (Arg * max(len(part), 1))(*(Arg(*a) for a in part))
            rc = lib.seccomp_rule_add_array(ctx, action, number, len(part), array)
            if rc == -errno.EEXIST:
                refused.append(i)
            else:
                check(f"seccomp_rule_add {name}", rc)
    fd = os.memfd_create("bpf")
    check("seccomp_export_bpf", lib.seccomp_export_bpf(ctx, fd))
    size = os.lseek(fd, 0, os.SEEK_CUR)
    data = os.pread(fd, size, 0)
    os.close(fd)
    lib.seccomp_release(ctx)
    form = ">HBBI" if request["big_endian"] else "<HBBI"
    return {"refused": refused, "program": list(struct.iter_unpack(form, data))}


for line in sys.stdin:
    # libseccomp 2.5 does not come to an end with some profiles: the signal ends the process, the test starts another.
    signal.setitimer(signal.ITIMER_REAL, 2)
    request = json.loads(line)
    answer = next((verb for verb in (resolve, known) if verb.__name__ in request), compile)
    print(json.dumps(answer(request)), flush=True)
    signal.setitimer(signal.ITIMER_REAL, 0)
