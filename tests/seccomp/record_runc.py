#!/usr/bin/env python3
"""Records which programs runc really loads: writes tests/seccomp/runc.json, which tests/seccomp/against_runc.rs reads.

Needs root, runc and strace. The container has a root, a cgroup and a pid namespace of its own; its program does not exist,
so that it ends once the filter is loaded.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# What runc needs to come to its end under the filter.
NEEDED = """read write close openat fstat newfstatat mmap munmap mprotect madvise futex rt_sigaction rt_sigprocmask rt_sigreturn
sigaltstack clone epoll_create1 epoll_ctl epoll_pwait eventfd2 fcntl getpid gettid getppid tgkill nanosleep exit exit_group
prctl capget capset setuid setgid setgroups getuid getgid geteuid getegid setresuid setresgid chdir getcwd execve readlinkat
lseek ioctl pipe2 dup3 getdents64 fstatfs statfs unlinkat sched_yield getrandom umask fchown stat lstat brk sendmsg recvmsg
set_robust_list sched_getaffinity wait4 waitid kill prlimit64 arch_prctl faccessat access""".split()

X86_64, X86, X32 = "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"


def profile(default, arches, *more, **fields):
    rules = [{"names": NEEDED, "action": "SCMP_ACT_ALLOW"}, *more]
    if default == "SCMP_ACT_ALLOW":
        rules = rules[1:]
    arches = {"architectures": arches} if arches else {}
    return {"defaultAction": default, **arches, **fields, "syscalls": rules}


def rule(name, action, *args, **fields):
    args = [dict(zip(("index", "op", "value", "valueTwo"), a)) for a in args]
    return {"names": [name], "action": action, **fields, **({"args": args} if args else {})}


def profiles():
    openat2 = rule("openat2", "SCMP_ACT_ALLOW")
    for default in ("ERRNO", "KILL", "KILL_PROCESS", "TRAP", "LOG", "TRACE"):
        yield profile(f"SCMP_ACT_{default}", [X86_64], openat2)
    for arches in ([], [X86], [X86_64, X86], [X86_64, X32], [X86_64, X86, X32], [X32]):
        yield profile("SCMP_ACT_ERRNO", arches, openat2)
    # Only a rule that is the default, or of another architecture, or unknown, names the newest call.
    yield profile("SCMP_ACT_ERRNO", [X86_64, X86], rule("landlock_add_rule", "SCMP_ACT_ERRNO"))
    yield profile("SCMP_ACT_ERRNO", [X86_64, X86], rule("clock_gettime64", "SCMP_ACT_ALLOW"))
    yield profile("SCMP_ACT_ERRNO", [X86_64, X86], rule("nonesuch", "SCMP_ACT_ALLOW"))
    yield profile("SCMP_ACT_ERRNO", [X86_64, X86], openat2, defaultErrnoRet=38)
    yield profile("SCMP_ACT_ERRNO", [X86_64], openat2, defaultErrnoRet=95)
    # A rule of socket is one of socketcall.
    yield profile("SCMP_ACT_ERRNO", [X86_64, X86], rule("socket", "SCMP_ACT_ALLOW", (0, "SCMP_CMP_NE", 40)), openat2)
    # One argument twice: any suffices.
    twice = [(0, "SCMP_CMP_EQ", 1), (0, "SCMP_CMP_EQ", 3)]
    yield profile("SCMP_ACT_ERRNO", [X86_64], rule("dup", "SCMP_ACT_ALLOW", *twice), openat2)
    masked = (1, "SCMP_CMP_MASKED_EQ", 0xF0, 0x1F)
    yield profile("SCMP_ACT_ALLOW", [X86_64], rule("mincore", "SCMP_ACT_ERRNO", (0, "SCMP_CMP_EQ", 2), masked, errnoRet=7))
    yield profile("SCMP_ACT_ALLOW", [], rule("mincore", "SCMP_ACT_TRACE", errnoRet=7))


VALUES = {
    **{"BPF_LD": 0, "BPF_W": 0, "BPF_ABS": 0x20, "BPF_JMP": 5, "BPF_K": 0, "BPF_JEQ": 0x10, "BPF_JGT": 0x20, "BPF_JGE": 0x30},
    **{"BPF_JSET": 0x40, "BPF_JA": 0, "BPF_RET": 6, "BPF_ALU": 4, "BPF_AND": 0x50},
    **{"SECCOMP_RET_KILL_PROCESS": 0x80000000, "SECCOMP_RET_KILL_THREAD": 0, "SECCOMP_RET_TRAP": 0x30000},
    **{"SECCOMP_RET_ERRNO": 0x50000, "SECCOMP_RET_TRACE": 0x7FF00000, "SECCOMP_RET_LOG": 0x7FFC0000},
    **{"SECCOMP_RET_ALLOW": 0x7FFF0000},
}


def number(text):
    value = 0
    for part in text.strip().split("|"):
        value |= VALUES[part] if part in VALUES else int(part, 0)
    return value


def record(directory, i, seccomp):
    config = {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/nonesuch"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "linux": {
            "cgroupsPath": f"/dunnage-test-{os.getpid()}/{i}",
            "namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts")],
            "seccomp": seccomp,
        },
    }
    (directory / "config.json").write_text(json.dumps(config))
    trace = directory / "trace"
    strace = ["strace", "-f", "-v", "-e", "abbrev=none", "-e", "trace=prctl,seccomp", "-o", str(trace)]
    limits = ["prlimit", "--cpu=3", f"--fsize={1 << 24}"]
    runc = ["runc", "--root", str(directory / "root"), "run", "--bundle", str(directory), f"dunnage-test-{os.getpid()}-{i}"]
    subprocess.run(limits + strace + runc, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    filters = re.findall(r"filter=\[(.*?)\]\}", trace.read_text())
    if len(filters) != 1:
        sys.exit(f"runc loaded {len(filters)} filters of {seccomp}")
    program = []
    for kind, words in re.findall(r"BPF_(STMT|JUMP)\(([^)]*)\)", filters[0]):
        words = [number(w) for w in words.split(",")]
        program.append([words[0], words[2], words[3], words[1]] if kind == "JUMP" else [words[0], 0, 0, words[1]])
    return {"profile": seccomp, "program": program}


with tempfile.TemporaryDirectory(prefix="dunnage-test-") as name:
    directory = pathlib.Path(name)
    (directory / "rootfs" / "proc").mkdir(parents=True)
    records = [json.dumps(record(directory, i, p)) for i, p in enumerate(profiles())]
for parent in pathlib.Path("/sys/fs/cgroup").glob(f"**/dunnage-test-{os.getpid()}"):
    parent.rmdir()
path = pathlib.Path(__file__).parent / "runc.json"
path.write_text("[\n" + ",\n".join(records) + "\n]\n")
print(f"{path}: {len(records)} programs")
