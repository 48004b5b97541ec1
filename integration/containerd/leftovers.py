"""What is there now that a test may have left: processes, mounts, cgroups, sockets, bundles, runtime state.

It runs in pid and mount namespaces of the tests' own, so that all that it sees was made by a test or by a daemon of the tests.
Owns: looking and, after a failure, removing. Reports as sets of words that a person understands.
"""

import os
import signal
import time

RUN = "/run/containerd"
CGROUPS = "/sys/fs/cgroup"


def hierarchies():
    if os.path.exists(CGROUPS + "/cgroup.controllers"):
        return [CGROUPS]
    return [os.path.join(CGROUPS, name) for name in sorted(os.listdir(CGROUPS)) if os.path.isdir(os.path.join(CGROUPS, name))]


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read().decode(errors="replace")
    except OSError:
        return ""


def processes(but=()):
    """pid -> command line of each process that is neither init, nor we, nor a thread of the kernel."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in (1, os.getpid()) or int(name) in but:
            continue
        status = read(f"/proc/{name}/stat")
        command = read(f"/proc/{name}/cmdline").replace("\0", " ").strip()
        if status and " Z " not in status[status.rfind(")") :][:4]:
            found[int(name)] = command or status
    return found


def parent(pid):
    """The parent's pid; 0 if there is no such process."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def mounts(below):
    """Mount points below one of the directories."""
    points = [line.split()[4] for line in read("/proc/self/mountinfo").splitlines()]
    return [point for point in points if any(point.startswith(directory + "/") for directory in below)]


def cgroups(parent):
    found = []
    for hierarchy in hierarchies():
        top = hierarchy + parent
        for directory, names, _ in os.walk(top):
            found += [os.path.join(directory, name) for name in names]
    return found


def _entries(*levels):
    """Names of the directories at a depth below the first."""
    top, depth = levels
    if depth == 0:
        return [top]
    try:
        names = os.listdir(top)
    except OSError:
        return []
    return [found for name in names for found in _entries(os.path.join(top, name), depth - 1)]


class Place:
    """One daemon's places, and what is in them."""

    def __init__(self, base, parent, daemon):
        self.base, self.parent, self.daemon = base, parent, daemon
        self.quiet = set()
        self.quiet = self.now()

    def now(self):
        found = {f"process {pid}: {command}" for pid, command in processes([self.daemon.pid]).items()}
        found |= {f"mount {point}" for point in mounts([self.base, RUN])}
        found |= {f"cgroup {path}" for path in cgroups(self.parent)}
        found |= {f"socket {path}" for path in _entries(RUN + "/s", 1)}
        found |= {f"runtime state {path}" for path in _entries(RUN + "/runc", 2)}
        found |= {f"fifo {path}" for path in _entries(RUN + "/fifo", 1)}
        found |= {f"bundle {path}" for path in self._bundles()}
        return found - self.quiet

    def _bundles(self):
        # A name with a dot is one that the daemon was about to remove when it was killed; it does not look at it again.
        state = self.base + "/state/io.containerd."
        found = _entries(state + "runtime.v2.task", 2) + _entries(state + "sandbox.controller.v1.shim", 2)
        return [path for path in found if not os.path.basename(path).startswith(".")]

    def settle(self, patience=10):
        """Waits until nothing is left; returns what still is."""
        deadline = time.monotonic() + patience
        while (left := self.now()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return sorted(left)

    def remove(self):
        """After a failed test: everything goes, by pid and by path, and the daemon is dead already."""
        for _ in range(100):
            self._thaw()
            alive = processes()
            for pid in alive:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not alive:
                break
            time.sleep(0.05)
        for point in reversed(mounts([self.base, RUN])):
            os.system(f"umount -l '{point}' 2>/dev/null")
        for path in sorted(cgroups(self.parent), key=len, reverse=True):
            try:
                os.rmdir(path)
            except OSError:
                pass
        os.system(f"rm -rf {RUN}/s/* {RUN}/runc/* {RUN}/fifo/*")

    def _thaw(self):
        for path in cgroups(self.parent):
            for name, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
                try:
                    with open(os.path.join(path, name), "w") as f:
                        f.write(word)
                except OSError:
                    pass
