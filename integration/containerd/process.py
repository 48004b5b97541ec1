"""A container's task and its execs through containerd's API, with their streams: FIFOs that the test itself owns and reads.

Owns: the OCI specification of the tests' containers, the FIFOs, the readers. Does not know what is expected of a shim.
"""

import copy
import errno
import itertools
import json
import os
import select
import signal
import threading
import time

from client import CallError
from wire import decode, encode

SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/"
UNKNOWN, CREATED, RUNNING, STOPPED, PAUSED, PAUSING = range(6)
CAPABILITIES = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
    "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
]  # fmt: skip
MOUNTS = [
    ("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
]
numbers = itertools.count(1)


def process_spec(args, tty=False, user=None, env=()):
    caps = {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}
    return {
        "terminal": tty, "user": user or {"uid": 0, "gid": 0}, "args": list(args), "env": ["PATH=/bin", "TERM=xterm", *env],
        "cwd": "/", "capabilities": caps, "noNewPrivileges": True,
    }  # fmt: skip


def spec(rootfs, cgroup, process):
    kinds = ("pid", "ipc", "uts", "mount", "network")
    mounts = [dict(zip(("destination", "type", "source", "options"), mount)) for mount in MOUNTS]
    return {
        "ociVersion": "1.0.2", "process": process, "root": {"path": rootfs}, "hostname": "test", "mounts": mounts,
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds], "cgroupsPath": cgroup,
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        },
    }  # fmt: skip


def json_any(kind, value):
    return {"type_url": SPEC_TYPE + kind, "value": json.dumps(value).encode()}


def runc_options(**fields):
    return {"type_url": "containerd.runc.v1.Options", "value": encode("RuncOptions", fields)}


class Reader(threading.Thread):
    """Reads a FIFO that was opened before there was a writer, until the last writer has closed it."""

    def __init__(self, path, keep=True, rate=None):
        super().__init__(daemon=True)
        self.path, self.keep, self.rate = path, keep, rate
        self.data, self.count = bytearray(), 0
        self.ended = threading.Event()
        self.stopped = False
        self.changed = threading.Condition()
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.start()

    def run(self):
        # POLLHUP is there only after a writer has been: a FIFO that nobody has opened yet is not at its end.
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while not self.stopped:
            if not poll.poll(200):
                continue
            try:
                got = os.read(self.fd, 65536)
            except BlockingIOError:
                continue
            with self.changed:
                self.data += got if self.keep else b""
                self.count += len(got)
                self.changed.notify_all()
            if not got:
                break
            if self.rate:
                time.sleep(len(got) / self.rate)
        os.close(self.fd)
        self.ended.set()
        with self.changed:
            self.changed.notify_all()

    def text(self):
        return bytes(self.data).decode(errors="replace")

    def wait_for(self, wanted, timeout=10):
        """Until the text has been read; returns all that has."""
        with self.changed:
            if not self.changed.wait_for(lambda: wanted in self.text() or self.ended.is_set(), timeout) or wanted not in self.text():
                raise AssertionError(f"waited for {wanted!r}, got {self.text()[-300:]!r}")
            return self.text()

    def wait_end(self, timeout=15):
        if not self.ended.wait(timeout):
            raise AssertionError(f"{os.path.basename(self.path)}: no end of file within {timeout} s, got {self.text()[-100:]!r}")
        return self.text()

    def stop(self):
        self.stopped = True
        self.ended.wait(5)


class Process:
    """What a task and an exec have in common."""

    exec_id = ""

    def __init__(self, world, id, tty, stdin):
        self.world, self.id, self.tty = world, id, tty
        self.tasks = world.daemon.tasks(world.namespace)
        self.directory = f"{world.directory}/f{next(numbers)}"
        os.makedirs(self.directory)
        self.input = None
        self.paths = {"stdin": "", "stdout": "", "stderr": ""}
        for name in (["stdin"] if stdin else []) + ["stdout"] + ([] if tty else ["stderr"]):
            self.paths[name] = f"{self.directory}/{name}"
            os.mkfifo(self.paths[name], 0o700)
        self.out = self.err = None

    def open_streams(self, **reader):
        self.out = Reader(self.paths["stdout"], **reader)
        self.err = None if self.tty else Reader(self.paths["stderr"], **reader)

    def start(self, timeout=20):
        self.pid = self.tasks.Start(container_id=self.id, exec_id=self.exec_id, timeout_of_call=timeout).pid
        return self

    def write(self, data):
        if self.input is None:
            self.input = open_when_read(self.paths["stdin"])
            os.set_blocking(self.input, True)
        os.write(self.input, data.encode() if isinstance(data, str) else data)

    def close_input(self, call=True):
        if self.input is not None:
            os.close(self.input)
            self.input = None
        if call:
            self.tasks.CloseIO(container_id=self.id, exec_id=self.exec_id, stdin=True)

    def wait_later(self):
        return self.tasks.later("Wait", container_id=self.id, exec_id=self.exec_id)

    def wait(self, timeout=20):
        """The exit status."""
        return self.tasks.Wait(container_id=self.id, exec_id=self.exec_id, timeout_of_call=timeout).exit_status

    def state(self):
        return self.tasks.Get(container_id=self.id, exec_id=self.exec_id).process

    def wait_status(self, status, timeout=10):
        deadline = time.monotonic() + timeout
        while (now := self.state()).status != status:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.id} {self.exec_id}: status {now.status}, not {status}, after {timeout} s")
            time.sleep(0.02)
        return now

    def kill(self, number=signal.SIGKILL, all=False):
        self.tasks.Kill(container_id=self.id, exec_id=self.exec_id, signal=int(number), all=all)

    def resize(self, width, height):
        self.tasks.ResizePty(container_id=self.id, exec_id=self.exec_id, width=width, height=height)

    def release(self):
        """The test's own ends."""
        if self.input is not None:
            os.close(self.input)
            self.input = None
        for reader in (self.out, self.err):
            if reader:
                reader.stop()


class Exec(Process):
    def __init__(self, task, args, tty=False, stdin=False, exec_id=None, **process):
        super().__init__(task.world, task.id, tty, stdin)
        self.exec_id = exec_id or f"e{next(numbers)}"
        self.spec = process_spec(args, tty, **process)

    def add(self, **reader):
        self.open_streams(**reader)
        paths = {name: path for name, path in self.paths.items() if path}
        self.tasks.Exec(container_id=self.id, exec_id=self.exec_id, terminal=self.tty, spec=json_any("Process", self.spec), **paths)
        return self

    def delete(self, timeout=20):
        return self.tasks.DeleteProcess(container_id=self.id, exec_id=self.exec_id, timeout_of_call=timeout)

    def finish(self, timeout=20):
        """Starts it, waits and deletes; its status."""
        waiting = self.wait_later()
        self.start()
        status = waiting.result(timeout).exit_status
        self.delete()
        return status


class Task(Process):
    """A container with its task. `rootfs="overlay"`: the shim mounts it; "plain": it is a directory."""

    def __init__(self, world, args, id=None, tty=False, stdin=False, rootfs="overlay", labels=None, annotations=None, options=None,
                 change=None, sandbox="", **process):  # fmt: skip
        super().__init__(world, id or f"{world.name}-{next(numbers)}"[-60:], tty, stdin)
        self.mounts, root = [], world.rootfs
        if rootfs == "overlay":
            upper, work = self.directory + "/upper", self.directory + "/work"
            os.makedirs(upper)
            os.makedirs(work)
            layers = [f"lowerdir={world.rootfs}", f"upperdir={upper}", f"workdir={work}"]
            self.mounts, root = [{"type": "overlay", "source": "overlay", "options": layers}], "rootfs"
        self.cgroup = f"{world.daemon.parent}/{self.id}"
        self.spec = spec(root, self.cgroup, process_spec(args, tty, **process))
        if annotations:
            self.spec["annotations"] = annotations
        if change:
            change(self.spec)
        self.options, self.labels, self.sandbox = options, labels or {}, sandbox
        self.created = False

    def container(self):
        runtime = {"name": "io.containerd.runc.v2", "options": self.options}
        record = {"id": self.id, "labels": self.labels, "runtime": runtime, "spec": json_any("Spec", self.spec), "sandbox": self.sandbox}
        self.world.daemon.containers(self.world.namespace).Create(container=record)
        self.created = True
        return self

    def create(self, timeout=20, **reader):
        if not self.created:
            self.container()
        self.world.made.append(self)
        self.open_streams(**reader)
        paths = {name: path for name, path in self.paths.items() if path}
        request = {"container_id": self.id, "rootfs": self.mounts, "terminal": self.tty, "options": self.options, **paths}
        self.pid = self.tasks.Create(timeout_of_call=timeout, **request).pid
        return self

    def run(self):
        return self.create().start()

    def exec(self, args, **more):
        reader = more.pop("reader", {})
        made = Exec(self, args, **more)
        self.world.made.append(made)
        return made.add(**reader)

    def delete(self, timeout=20):
        return self.tasks.Delete(container_id=self.id, timeout_of_call=timeout)

    def pids(self):
        found = {}
        for process in self.tasks.ListPids(container_id=self.id).processes:
            details = decode("ProcessDetails", process.info.value).exec_id if process.info else ""
            found[process.pid] = details
        return found

    def metrics(self):
        """The decoded metrics of either generation of cgroups, or None."""
        for metric in self.tasks.Metrics(filters=["id==" + self.id]).metrics:
            kind = {"io.containerd.cgroups.v1.Metrics": "MetricsV1", "io.containerd.cgroups.v2.Metrics": "MetricsV2"}
            return decode(kind[metric.data.type_url.rpartition("/")[2]], metric.data.value)
        return None

    def forget(self):
        """Ends and removes all of it, in whatever state it is."""
        for _ in range(3):
            try:
                self.tasks.Delete(container_id=self.id, timeout_of_call=12)
                break
            except CallError as error:
                if error.not_found:
                    break
                self._kill_quietly()
        self.world.daemon.containers(self.world.namespace).Delete(id=self.id)
        self.created = False

    def _kill_quietly(self):
        for call in (self.tasks.Resume, lambda **id: self.tasks.Kill(signal=9, all=True, **id), self.tasks.Wait):
            try:
                call(container_id=self.id, timeout_of_call=5)
            except (CallError, TimeoutError):
                pass


def with_group(group):
    return {"io.containerd.runc.v2.group": group}


def host_pid(document):
    document["linux"]["namespaces"] = [one for one in document["linux"]["namespaces"] if one["type"] != "pid"]


def limit_memory(bytes):
    def change(document):
        document["linux"]["resources"]["memory"] = {"limit": bytes}

    return change


def copy_of(document):
    return copy.deepcopy(document)


def open_when_read(path, timeout=10):
    """Opens a FIFO for writing as soon as somebody reads it."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
