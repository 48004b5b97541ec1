#!/usr/bin/env python3
"""Process 1 of the namespaces in which one test runs: mounts what belongs there, runs the program, and reaps whatever it leaves
behind. A test has its own /run (so the runtimes' default state directories), /tmp (its bundles) and control groups, of
which it sees nothing but those below its own.

    inside.py SECONDS PROGRAM
"""

import os
import signal
import subprocess
import sys


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


# Where programs look for them.
CGROUPS = "/sys/fs/cgroup"


def mounted() -> list[tuple[str, str, str]]:
    """Control groups: where, which type, with which controllers."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        for line in lines:
            before, after = line.split(" - ")
            kind, _, options = after.split()[:3]
            if kind in ("cgroup", "cgroup2"):
                controllers = [o for o in options.split(",") if o not in ("rw", "ro")]
                found.append((before.split()[4], kind, ",".join(controllers)))
    return found


def own_control_groups() -> None:
    """Mounted again, by a process that is in a cgroup namespace of its own, the hierarchies begin at its group. Whoever else has
    mounted them elsewhere on this host would only confuse."""
    for where, kind, options in reversed(mounted()):
        # The kernel refuses a second mount of the same hierarchy on top of the first.
        subprocess.run(["umount", "--lazy", where], check=True)
        if not where.startswith(CGROUPS):
            continue
        if kind == "cgroup":
            mount("-t", "cgroup", "-o", options, "cgroup", where)
            continue
        mount("-t", "cgroup2", "cgroup2", where)
        if where == CGROUPS:
            # Controllers are not for the children of a group that has processes.
            os.mkdir(f"{where}/test")
            with open(f"{where}/cgroup.procs", encoding="ascii") as procs:
                members = procs.read().split()
            for member in members:
                with open(f"{where}/test/cgroup.procs", "w", encoding="ascii") as procs:
                    procs.write(member)


def main() -> int:
    seconds, program = float(sys.argv[1]), sys.argv[2]
    own_control_groups()
    mount("-t", "tmpfs", "-o", "mode=755", "run", "/run")
    mount("-t", "tmpfs", "-o", "mode=1777", "tmp", "/tmp")
    test = subprocess.Popen([program], stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(test.pid, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    while True:
        pid, status = os.wait()
        if pid == test.pid:
            return os.waitstatus_to_exitcode(status) % 256


if __name__ == "__main__":
    sys.exit(main())
