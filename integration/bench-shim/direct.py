"""A shim without a daemon: its commands `start` and `delete`, and its task API over one connection, as a daemon speaks it.

Owns: bundles, the connection, the process that takes the shims' events. Knows nothing of what is measured.
"""

import itertools
import json
import os
import shutil
import signal
import socket
import struct
import time

import ttrpc
from meters import Group
from process import json_any, process_spec, spec
from run import make_cgroup
from wire import SCHEMA, _parse, decode, encode

SCHEMA.update({
    name: _parse(fields)
    for name, fields in {
        "ShimCreate": "id=1:str bundle=2:str rootfs=3:[Mount] terminal=4:bool stdin=5:str stdout=6:str stderr=7:str",
        "ShimProcess": "id=1:str exec_id=2:str",
        "ShimId": "id=1:str",
        "ShimExec": "id=1:str exec_id=2:str terminal=3:bool stdin=4:str stdout=5:str stderr=6:str spec=7:Any",
        "ShimKill": "id=1:str exec_id=2:str signal=3:uint all=4:bool",
        "ShimShutdown": "id=1:str now=2:bool",
    }.items()
})
REQUESTS = {
    "Create": "ShimCreate", "Start": "ShimProcess", "Wait": "ShimProcess", "Delete": "ShimProcess", "State": "ShimProcess",
    "Exec": "ShimExec", "Kill": "ShimKill", "Stats": "ShimId", "Connect": "ShimId", "Shutdown": "ShimShutdown",
}  # fmt: skip
ANSWERS = {"Wait": "WaitResponse", "Connect": "ConnectResponse"}
NAMESPACE = "direct"
numbers = itertools.count(1)


class _Sink(ttrpc.Recorder):
    def _record(self, request):
        pass


def sink(path):
    """A process of its own that takes events: its work is neither the shim's nor the client's. Before there are threads."""
    pid = os.fork()
    if pid == 0:
        _Sink(path).open()
        while True:
            signal.pause()
    while not os.path.exists(path):
        time.sleep(0.01)
    return pid


class Side:
    """A shim, with the runc that it finds in its PATH."""

    def __init__(self, kind, pair, shim, runc, containerd, base, parent, rootfs, events):
        self.kind, self.pair, self.shim, self.containerd, self.rootfs = kind, pair, shim, containerd, rootfs
        self.name = f"direct-{kind}{pair}".replace("*", "")
        make_cgroup(f"{parent}/{self.name}")
        self.group = Group(f"{parent}/{self.name}")
        self.base = f"{base}/{self.name}"
        os.makedirs(self.base + "/bin")
        os.symlink(runc, self.base + "/bin/runc")
        path = f"{self.base}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.environment = {"PATH": path, "TTRPC_ADDRESS": events, "GRPC_ADDRESS": self.base + "/c.sock", "MAX_SHIM_VERSION": "2"}


class Shim:
    """One server with one container."""

    def __init__(self, side, args):
        self.side, self.id = side, f"{side.name}-{next(numbers)}"
        self.bundle = f"{side.base}/{self.id}"
        for name in ("rootfs", "upper", "work"):
            os.makedirs(f"{self.bundle}/{name}")
        document = spec("rootfs", f"{side.group.parent}/{self.id}", process_spec(args))
        with open(self.bundle + "/config.json", "w") as f:
            json.dump(document, f)
        os.mkfifo(self.bundle + "/log")
        self.log = os.open(self.bundle + "/log", os.O_RDONLY | os.O_NONBLOCK)

    def command(self, *more):
        words = [self.side.shim, "-namespace", NAMESPACE, "-address", self.side.base + "/c.sock"]
        words += ["-publish-binary", self.side.containerd, "-id", self.id, *more]
        # Not subprocess: what that needs for itself is as long as what is measured. The server inherits stderr.
        os.chdir(self.bundle)
        told, tells = os.pipe()
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, tells, 1),
            (os.POSIX_SPAWN_OPEN, 2, self.side.base + "/stderr", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
        ]  # fmt: skip
        pid = os.posix_spawn(words[0], words, self.side.environment, file_actions=actions)
        os.close(tells)
        with open(told, "rb") as pipe:
            said = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.chdir("/")
        if status != 0:
            raise AssertionError(f"{' '.join(words)}: {status}: {self.drain_log()}")
        return said

    def start(self):
        said = self.command("start").decode()
        address, version = said, 2
        if said.startswith("{"):
            answer = json.loads(said)
            address, version = answer["address"], answer["version"]
        self.service = f"containerd.task.v{version}.Task"
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(60)
        self.connection.connect(address.strip().removeprefix("unix://"))
        self.stream = 1
        return self

    def frame(self, method, **fields):
        request = {"service": self.service, "method": method, "payload": encode(REQUESTS[method], {"id": self.id, **fields})}
        payload = encode("TtrpcRequest", request)
        frame = struct.pack(">IIBB", len(payload), self.stream, ttrpc.REQUEST, 0) + payload
        self.stream += 2
        return frame

    def call(self, method, **fields):
        self.connection.sendall(self.frame(method, **fields))
        _, _, payload = ttrpc.read_frame(self.connection)
        answer = decode("TtrpcResponse", payload)
        if answer.status and answer.status.code:
            raise AssertionError(f"{self.side.name}: {method}: {answer.status.message} {self.drain_log()}")
        return decode(ANSWERS.get(method, "Empty"), answer.payload)

    def create(self, **streams):
        lower = [f"lowerdir={self.side.rootfs}", f"upperdir={self.bundle}/upper", f"workdir={self.bundle}/work"]
        mounts = [{"type": "overlay", "source": "overlay", "options": lower}]
        self.call("Create", bundle=self.bundle, rootfs=mounts, **streams)

    def run(self):
        self.start()
        self.create()
        self.call("Start")
        return self

    def exec(self, number, process):
        self.call("Exec", exec_id=number, spec=process)
        self.call("Start", exec_id=number)
        status = self.call("Wait", exec_id=number).exit_status
        self.call("Delete", exec_id=number)
        if status != 0:
            raise AssertionError(f"{self.side.name}: the exec ended with {status}")

    def pid(self):
        return self.call("Connect").shim_pid

    def drain_log(self):
        try:
            return os.read(self.log, 1 << 16).decode(errors="replace")
        except BlockingIOError:
            return ""

    def shutdown(self):
        try:
            self.call("Shutdown")
        except (EOFError, ConnectionError):
            # The reference may be gone before its answer is.
            pass
        self.connection.close()

    def end(self):
        """Kill and all that follows."""
        self.call("Kill", signal=9, all=True)
        self.call("Wait")
        self.call("Delete")
        self.shutdown()
        self.command("-bundle", self.bundle, "delete")
        self.forget()

    def forget(self):
        os.close(self.log)
        shutil.rmtree(self.bundle, ignore_errors=True)


def true_spec():
    return json_any("Process", process_spec(["/bin/true"]))
