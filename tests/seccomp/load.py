#!/usr/bin/env python3
"""Loads programs into the kernel, each in a process of its own: one JSON list of [code, jt, jf, k] a line in, a line out: the
errno of the refusal or 0, and the microseconds that it took."""

import ctypes
import json
import mmap
import os
import signal
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2

for line in sys.stdin:
    program = json.loads(line)
    code = b"".join(struct.pack("=HBBI", *i) for i in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    # Under the filter the process can tell nothing: it leaves word in shared memory.
    word = mmap.mmap(-1, 4096)
    word[:16] = struct.pack("=qd", -1, 0)
    pid = os.fork()
    if pid == 0:
        signal.alarm(5)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        start = time.perf_counter()
        rc = libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0)
        word[:16] = struct.pack("=qd", 0 if rc == 0 else ctypes.get_errno(), time.perf_counter() - start)
        os._exit(0)
    os.waitpid(pid, 0)
    errno, seconds = struct.unpack("=qd", word[:16])
    print(json.dumps([errno, seconds * 1e6]), flush=True)
