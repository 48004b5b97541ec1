"""Pods and containers through the CRI, as a kubelet makes them, and streams by the CRI's websockets.

Owns: their configurations, the log's format, the websocket. Knows no expectations.
"""

import base64
import json
import os
import socket
import struct
import time
import urllib.parse

import images
from client import CallError
from process import numbers

POD, CONTAINER, NODE = 0, 1, 2
READY, NOTREADY = 0, 1
CREATED, RUNNING, EXITED, UNKNOWN = range(4)


class Container:
    def __init__(self, pod, args, image=images.BUSYBOX, stdin=False, tty=False, resources=None, security=None, mounts=(), **config):
        self.pod, self.cri = pod, pod.cri
        self.name = f"c{next(numbers)}"
        self.log_path = self.name + ".log"
        options = {"network": pod.network, "pid": pod.pid}
        self.config = {
            "metadata": {"name": self.name}, "image": {"image": image}, "command": list(args), "log_path": self.log_path,
            "stdin": stdin, "tty": tty, "mounts": list(mounts),
            "linux": {"resources": resources or {}, "security_context": {"namespace_options": options, **(security or {})}}, **config,
        }  # fmt: skip
        created = self.cri.CreateContainer(pod_sandbox_id=pod.id, config=self.config, sandbox_config=pod.config)
        self.id = created.container_id

    def start(self):
        self.cri.StartContainer(container_id=self.id)
        return self

    def status(self):
        return self.cri.ContainerStatus(container_id=self.id).status

    def wait(self, state=EXITED, timeout=20):
        deadline = time.monotonic() + timeout
        while (now := self.status()).state != state:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: state {now.state}, not {state}, after {timeout} s")
            time.sleep(0.03)
        return now

    def task_pid(self):
        info = self.cri.ContainerStatus(container_id=self.id, verbose=True).info
        return json.loads(info["info"])["pid"]

    def exec(self, args, timeout=0, deadline=30):
        return self.cri.ExecSync(container_id=self.id, cmd=list(args), timeout=timeout, timeout_of_call=deadline)

    def stop(self, timeout=0):
        self.cri.StopContainer(container_id=self.id, timeout_of_call=30, timeout=timeout)

    def remove(self):
        self.cri.RemoveContainer(container_id=self.id)

    def stream(self, args, tty=False, stdin=False):
        url = self.cri.Exec(container_id=self.id, cmd=list(args), tty=tty, stdin=stdin, stdout=True, stderr=not tty).url
        return Stream(url)

    def attach(self, tty=False, stdin=False):
        return Stream(self.cri.Attach(container_id=self.id, tty=tty, stdin=stdin, stdout=True, stderr=not tty).url)

    def log(self):
        """[(stream, text)], whole lines put together from their parts."""
        lines, parts = [], {}
        try:
            with open(os.path.join(self.pod.logs, self.log_path), errors="replace") as f:
                for line in f.read().splitlines():
                    _, stream, tag, text = (line.split(" ", 3) + [""] * 3)[:4]
                    parts[stream] = parts.get(stream, "") + text
                    if tag == "F":
                        lines.append((stream, parts.pop(stream)))
        except FileNotFoundError:
            pass
        return lines

    def output(self, stream="stdout"):
        return [text for name, text in self.log() if name == stream]


class Pod:
    def __init__(self, world, network=NODE, pid=CONTAINER, handler="", user_namespace=None, annotations=None):
        self.world, self.cri = world, world.daemon.cri
        self.network, self.pid = network, pid
        name = f"pod{next(numbers)}"
        self.logs = f"{world.directory}/logs-{name}"
        os.makedirs(self.logs)
        options = {"network": network, "pid": pid, **({"userns_options": user_namespace} if user_namespace else {})}
        self.config = {
            "metadata": {"name": name, "uid": name, "namespace": "default"}, "log_directory": self.logs,
            "linux": {"cgroup_parent": world.daemon.parent, "security_context": {"namespace_options": options}},
            "annotations": annotations or {},
        }  # fmt: skip
        self.id = self.cri.RunPodSandbox(config=self.config, runtime_handler=handler).pod_sandbox_id
        world.at_end.append(self.clean)

    def run(self, args, **more):
        return self.make(args, **more).start()

    def make(self, args, **more):
        if isinstance(args, str):
            args = ["/bin/sh", "-c", args]
        return Container(self, args, **more)

    def status(self):
        return self.cri.PodSandboxStatus(pod_sandbox_id=self.id).status

    def task_pid(self):
        info = self.cri.PodSandboxStatus(pod_sandbox_id=self.id, verbose=True).info
        return json.loads(info["info"])["pid"]

    def shim(self):
        return self.world.shim(self.id, "k8s.io")

    def stop(self):
        self.cri.StopPodSandbox(pod_sandbox_id=self.id)

    def remove(self):
        self.cri.RemovePodSandbox(pod_sandbox_id=self.id)

    def clean(self):
        """A kubelet that wants it gone tries again."""
        for attempt in range(3):
            try:
                self.stop()
                return self.remove()
            except CallError as error:
                if error.not_found:
                    return None
                if attempt == 2:
                    raise
                time.sleep(0.2)


class Stream:
    """An exec or attach through the streaming server: Kubernetes' channels over a websocket."""

    STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)

    def __init__(self, url):
        parts = urllib.parse.urlparse(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=15)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", "Connection: Upgrade", "Upgrade: websocket",
                 "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Protocol: v4.channel.k8s.io", "Origin: http://localhost"]  # fmt: skip
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.buffer = b""
        self.data = {channel: b"" for channel in range(5)}
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise AssertionError(f"no websocket: {head.decode()}")

    def _more(self):
        got = self.socket.recv(65536)
        if not got:
            raise EOFError("the stream has ended")
        self.buffer += got

    def _take(self, length):
        while len(self.buffer) < length:
            self._more()
        taken, self.buffer = self.buffer[:length], self.buffer[length:]
        return taken

    def read(self):
        """One frame; False at the end."""
        try:
            first, length = self._take(2)
            if length == 126:
                (length,) = struct.unpack(">H", self._take(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self._take(8))
            payload = self._take(length)
        except (EOFError, ConnectionError):
            return False
        if first & 0xF == 8:
            return False
        if first & 0xF in (1, 2) and payload:
            self.data[payload[0]] += payload[1:]
        return True

    def write(self, data, channel=STDIN):
        payload = bytes([channel]) + (data.encode() if isinstance(data, str) else data)
        head = struct.pack(">BB", 0x82, 0x80 | len(payload)) if len(payload) < 126 else struct.pack(">BBH", 0x82, 0xFE, len(payload))
        # The mask is of zeros: the payload is as it is.
        self.socket.sendall(head + bytes(4) + payload)

    def resize(self, width, height):
        self.write(json.dumps({"Width": width, "Height": height}), self.RESIZE)

    def wait_for(self, wanted, channel=STDOUT):
        while wanted.encode() not in self.data[channel]:
            if not self.read():
                raise AssertionError(f"waited for {wanted!r}, got {self.data!r}")

    def end(self):
        """Until the end; the exit code that the last channel tells."""
        while self.read():
            pass
        self.socket.close()
        status = json.loads(self.data[self.ERROR] or b"{}")
        if status.get("status") == "Success":
            return 0
        causes = status.get("details", {}).get("causes", [])
        return next((int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"), status)

    def close(self):
        self.socket.close()
