"""What is read of the kernel: CPU of a cgroup, CPU and memory of a process, and the machine itself.

Owns: files of /proc and of the cgroup hierarchy that counts CPU time. Knows nothing of shims and daemons.
"""

import os
import statistics
import time

import leftovers

TICK = os.sysconf("SC_CLK_TCK")


def _accounting():
    """The hierarchy that counts CPU time, and how its counter is read."""
    for hierarchy in leftovers.hierarchies():
        if os.path.exists(hierarchy + "/cpuacct.usage"):
            return hierarchy, lambda path: int(leftovers.read(path + "/cpuacct.usage")) / 1e6
    tops = [hierarchy for hierarchy in leftovers.hierarchies() if os.path.exists(hierarchy + "/cgroup.subtree_control")]
    return tops[0], lambda path: int(leftovers.read(path + "/cpu.stat").split()[1]) / 1e3


class Group:
    """All processes of one candidate: its daemon, shims, runtimes and containers are below one cgroup."""

    def __init__(self, parent):
        self.parent = parent
        hierarchy, self._usage = _accounting()
        self.path = hierarchy + parent
        # With cgroup v2 only a leaf may have processes.
        self.leaf = self.path + "/host"
        self.home = hierarchy + _own_cgroup(hierarchy)
        os.makedirs(self.leaf, exist_ok=True)

    def usage(self):
        """Milliseconds of CPU so far, of those that have ended as well."""
        return self._usage(self.path)

    def enter(self, pid):
        _write(self.leaf + "/cgroup.procs", pid)

    def leave(self, pid):
        _write(self.home + "/cgroup.procs", pid)

    def wait_empty(self, patience=10):
        """Until nothing runs in the leaf."""
        deadline = time.monotonic() + patience
        while leftovers.read(self.leaf + "/cgroup.procs"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"still running: {leftovers.read(self.leaf + '/cgroup.procs').split()}")
            time.sleep(0.001)


def _write(path, value):
    with open(path, "w") as f:
        f.write(str(value))


def _own_cgroup(hierarchy):
    name = os.path.basename(hierarchy)
    for line in leftovers.read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if name in controllers.split(",") or (not controllers and "cpuacct" not in name):
            return path
    return "/"


def process_cpu(pid):
    """Milliseconds of a process, of threads that have ended as well; in steps of a clock tick."""
    fields = leftovers.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / TICK


def threads_cpu(pid):
    """Milliseconds of the threads that a process has now, exact to the nanosecond."""
    return sum(int(leftovers.read(f"/proc/{pid}/task/{tid}/schedstat").split()[0]) for tid in os.listdir(f"/proc/{pid}/task")) / 1e6


def memory(pid):
    """KiB, threads and descriptors of a process."""
    rollup = {}
    for line in leftovers.read(f"/proc/{pid}/smaps_rollup").splitlines()[1:]:
        name, value, *_ = line.split()
        rollup[name.rstrip(":")] = int(value)
    status = dict(line.split(":", 1) for line in leftovers.read(f"/proc/{pid}/status").splitlines())
    return {
        "pss": rollup["Pss"],
        "rss": rollup["Rss"],
        "anon": rollup["Pss_Anon"],
        "dirty": rollup["Private_Dirty"],
        "pte": int(status["VmPTE"].split()[0]),
        "threads": int(status["Threads"]),
        "fds": len(os.listdir(f"/proc/{pid}/fd")),
    }


def host_busy():
    """Milliseconds of CPU of all processes and of the kernel, on all processors."""
    user, nice, system, _idle, _wait, irq, softirq, *_ = (int(word) for word in leftovers.read("/proc/stat").split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) * 1000 / TICK


def machine():
    model = next((line.split(":")[1].strip() for line in leftovers.read("/proc/cpuinfo").splitlines() if line.startswith("model name")), "CPU")
    kinds = "pure v2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "v1"
    memory_kb = int(leftovers.read("/proc/meminfo").split()[1])
    return f"Linux {os.uname().release}, {os.cpu_count()} x {model}, {memory_kb >> 20} GiB, cgroup {kinds}"


def load():
    return " ".join(leftovers.read("/proc/loadavg").split()[:3])


def median(samples):
    return statistics.median(samples) if samples else None
