"""The candidates: for each containerd a daemon with the shim and the runc that came with it, and one with ours. Each has a cgroup
of its own in which all of it is, so that its CPU time is its own, whatever else the machine does.

Owns: daemons, their lives, pods as a kubelet makes them. Knows nothing of what is measured.
"""

import itertools
import os

import images
from daemon import Daemon
from meters import Group, process_cpu
from run import make_cgroup
from runner import World

OURS, REFERENCE = "dunnage", "reference"
PATIENCE = 300
SLEEP = ["/bin/sleep", "1000000"]
numbers = itertools.count(1)


class Side(World):
    """One candidate with a daemon. PAIR: which containerd."""

    namespace = "bench"

    def __init__(self, kind, pair, binaries, shim, runc, base, parent, rootfs):
        self.kind, self.pair, self.shim_path, self.runc, self.rootfs = kind, pair, shim, runc, rootfs
        self.name = f"{kind}{pair}"
        self.parent = f"{parent}/{self.name}"
        make_cgroup(self.parent)
        self.group = Group(self.parent)
        os.makedirs(f"{base}/{self.name}")
        self.daemon = Daemon(binaries, shim, runc, f"{base}/{self.name}", self.parent)
        self.directory = f"{base}/{self.name}/t"
        os.makedirs(self.directory)
        self.made, self.at_end = [], []

    def start(self, archive):
        self.daemon.start()
        self.group.enter(self.daemon.pid)
        self.daemon.import_images(archive)

    def daemon_cpu(self):
        return process_cpu(self.daemon.pid)

    def quiet_task(self, args):
        """A task without streams."""
        task = self.task(args)
        task.paths = dict.fromkeys(task.paths, "")
        task.open_streams = lambda: None
        return task


class Pod:
    """A pod as a kubelet makes it, with one container more than its own. The host's network: no plugins are measured."""

    def __init__(self, side):
        self.side, self.cri = side, side.daemon.cri
        self.containers = []
        name = f"p{next(numbers)}"
        logs = f"{side.directory}/{name}"
        os.makedirs(logs)
        self.options = {"namespace_options": {"network": 2, "pid": 1}}
        self.config = {
            "metadata": {"name": name, "uid": name, "namespace": "default"}, "log_directory": logs,
            "linux": {"cgroup_parent": side.parent, "security_context": self.options},
        }  # fmt: skip

    def run(self):
        self.id = self.cri.RunPodSandbox(timeout_of_call=PATIENCE, config=self.config).pod_sandbox_id
        self.add()
        return self

    def add(self):
        name = f"c{next(numbers)}"
        config = {
            "metadata": {"name": name}, "image": {"image": images.BUSYBOX}, "command": SLEEP, "log_path": name + ".log",
            "linux": {"resources": {}, "security_context": self.options},
        }  # fmt: skip
        request = {"pod_sandbox_id": self.id, "config": config, "sandbox_config": self.config}
        id = self.cri.CreateContainer(timeout_of_call=PATIENCE, **request).container_id
        self.cri.StartContainer(timeout_of_call=PATIENCE, container_id=id)
        self.containers.append(id)

    def exec(self, args):
        answer = self.cri.ExecSync(timeout_of_call=PATIENCE, container_id=self.containers[0], cmd=args)
        if answer.exit_code != 0:
            raise AssertionError(f"{args}: {answer}")

    def shim_pid(self):
        return self.side.shim(self.id, "k8s.io")

    def remove(self):
        for id in self.containers:
            self.cri.StopContainer(timeout_of_call=PATIENCE, container_id=id, timeout=0)
        self.cri.StopPodSandbox(timeout_of_call=PATIENCE, pod_sandbox_id=self.id)
        for id in self.containers:
            self.cri.RemoveContainer(timeout_of_call=PATIENCE, container_id=id)
        self.cri.RemovePodSandbox(timeout_of_call=PATIENCE, pod_sandbox_id=self.id)
