"""A containerd of the tests' own: its configuration, its life, and its sudden death.

Owns: the directory below which all of it is. The shim under test is found by the daemon as `containerd-shim-runc-v2` in a PATH
that begins with a directory of ours, in every version; for the CRI there is a second handler that names it by `runtime_path`.
"""

import os
import shutil
import signal
import subprocess
import time

import images
from client import CallError, Connection

CONFIG = """
version = {version}
root = "{base}/root"
state = "{base}/state"
temp = "{base}/tmp"
disabled_plugins = [{disabled}]

[grpc]
  address = "{base}/c.sock"
[ttrpc]
  address = "{base}/c.ttrpc"
[debug]
  level = "{level}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{base}/opt"
[plugins."{restart}"]
  interval = "1s"
"""

CRI_2 = """
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  {drain}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{base}/cni"
    conf_dir = "{base}/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
"""

CRI_3 = """
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{snapshotter}"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  {drain}
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{base}/cni"]
    conf_dir = "{base}/cni/net.d"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
"""

RUNTIME = """
  [plugins."{cri}".containerd.runtimes.{name}]
    runtime_type = "io.containerd.runc.v2"
    {path}
    [plugins."{cri}".containerd.runtimes.{name}.options]
      {options}
"""

PLUGIN = """#!/bin/sh
cat >/dev/null
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0"]}' ;;
ADD) echo '{"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.222.0.2/24"}]}' ;;
esac
"""

# What the tests have no use for, and what would look for devices of the host.
UNUSED = [
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.tracing.processor.v1.otlp",
]

# ExecSync waits that long for output after the process has ended, instead of forever.
DRAIN = "2s"


class Daemon:
    """One containerd. `start`, `kill` and `stop` may be called again and again; what is below `base` stays."""

    def __init__(self, binaries, shim, runc, base, parent, dunnage=None):
        self.shim, self.runc, self.base, self.parent = shim, runc, base, parent
        self.dunnage = dunnage
        self.binaries = binaries
        self.process = None
        self.connection = None
        # Of its environment.
        self.more = {}
        self.snapshotter = "overlayfs"
        self.level = "debug" if os.environ.get("DUNNAGE_DEBUG") else "info"
        for name in ("tmp", "bin", "cni", "opt"):
            os.makedirs(os.path.join(base, name))
        self.path = f"{base}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.link("containerd-shim-runc-v2", shim)
        self.link("runc", runc)
        self.network()
        self.configure()

    def link(self, name, target):
        path = os.path.join(self.base, "bin", name)
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(target, path)

    @property
    def version(self):
        return tuple(int(word) for word in os.path.basename(self.binaries).split(".")[:2])

    def become(self, binaries):
        """Another version, with all that this one has left."""
        self.stop()
        self.binaries = binaries
        self.configure()
        self.start()

    def network(self):
        """A plugin for pods with a network namespace: it does nothing, and says that they have an address."""
        os.makedirs(self.base + "/cni/net.d")
        for name in ("dummy", "loopback"):
            with open(f"{self.base}/cni/{name}", "w") as f:
                f.write(PLUGIN)
            os.chmod(f"{self.base}/cni/{name}", 0o755)
        with open(self.base + "/cni/net.d/10-dummy.conflist", "w") as f:
            f.write('{"cniVersion": "0.4.0", "name": "dummy", "plugins": [{"type": "dummy"}]}')

    @property
    def address(self):
        return self.base + "/c.sock"

    def configure(self):
        values = {"base": self.base, "pause": images.PAUSE, "snapshotter": self.snapshotter, "level": self.level}
        values["restart"] = "io.containerd.monitor.container.v1.restart" if self.version >= (2, 0) else "io.containerd.internal.v1.restart"
        values["drain"] = f'drain_exec_sync_io_timeout = "{DRAIN}"'
        new = self.version >= (2, 0)
        cri = "io.containerd.cri.v1.runtime" if new else "io.containerd.grpc.v1.cri"
        disabled = ", ".join(f'"{name}"' for name in UNUSED)
        text = CONFIG.format(version=3 if new else 2, disabled=disabled, **values) + (CRI_3 if new else CRI_2).format(**values)
        text += RUNTIME.format(cri=cri, name="runc", path="", options="")
        text += RUNTIME.format(cri=cri, name="path", path=f'runtime_path = "{self.shim}"', options="")
        text += RUNTIME.format(cri=cri, name="missing", path="", options='BinaryName = "no-runc"')
        if self.version == (1, 7):
            text += RUNTIME.format(cri=cri, name="sandbox", path='sandbox_mode = "shim"', options="")
        with open(self.base + "/config.toml", "w") as f:
            f.write(text)

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG")}
        return {**kept, "PATH": self.path, "TMPDIR": self.base + "/tmp", **self.more}

    def start(self, patience=90):
        log = open(self.base + "/daemon.log", "ab")
        self.process = subprocess.Popen(
            [self.binaries + "/containerd", "--config", self.base + "/config.toml"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.base, env=self.environment(), start_new_session=True,
        )  # fmt: skip
        log.close()
        if self.connection is None:
            self.connection = Connection(self.address)
        self.wait_ready(patience)

    def wait_ready(self, patience):
        """Until the CRI answers: it is the last to be there."""
        deadline = time.monotonic() + patience
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"containerd ended with {self.process.returncode}: {self.log_tail()}")
            try:
                # A deadline that a loaded machine meets; a connection that is not there yet does not use it up.
                return self.cri.Status(timeout_of_call=2)
            except (CallError, TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"containerd is not ready: {error}: {self.log_tail()}") from None
                time.sleep(0.02)

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def kill(self):
        """Death without a farewell."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(20)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def restart(self):
        self.stop()
        self.start()

    def log_tail(self, lines=15):
        with open(self.base + "/daemon.log", "rb") as f:
            return "\n".join(f.read().decode(errors="replace").splitlines()[-lines:])

    def tasks(self, namespace):
        return self.connection.service("containerd.services.tasks.v1.Tasks", namespace)

    def containers(self, namespace):
        return self.connection.service("containerd.services.containers.v1.Containers", namespace)

    def sandboxes(self, namespace):
        """The store and the controller of sandboxes."""
        return (self.connection.service("containerd.services.sandbox.v1." + name, namespace) for name in ("Store", "Controller"))

    @property
    def cri(self):
        return self.connection.service("runtime.v1.RuntimeService")

    @property
    def cri_images(self):
        return self.connection.service("runtime.v1.ImageService")

    def ctr(self, *arguments, namespace="ctr", timeout=30, check=True, **more):
        """The command line client; its output and exit status."""
        more.setdefault("stdin", subprocess.DEVNULL)
        command = [self.binaries + "/ctr", "--address", self.address, "--namespace", namespace, *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, env=self.environment(), **more)
        done.stdout, done.stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if check and done.returncode != 0:
            raise AssertionError(f"ctr {' '.join(arguments)}: {done.returncode}: {done.stderr.strip()}")
        return done

    def ctr_background(self, *arguments, namespace="ctr", **more):
        command = [self.binaries + "/ctr", "--address", self.address, "--namespace", namespace, *arguments]
        return subprocess.Popen(command, env=self.environment(), **more)

    def import_images(self, archive):
        for namespace in ("k8s.io", "ctr"):
            self.ctr("images", "import", "--snapshotter", self.snapshotter, archive, namespace=namespace, timeout=60)
        for image in (images.BUSYBOX, images.PAUSE, images.USERS):
            deadline = time.monotonic() + 20
            while self.cri_images.ImageStatus(image={"image": image}).image is None:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the CRI does not know {image} that was imported")
                time.sleep(0.05)

    def keep(self):
        """Remembers the root directory as it is now, for `renew`. The daemon is stopped."""
        shutil.rmtree(self.base + "/pristine", ignore_errors=True)
        subprocess.run(["cp", "-a", self.base + "/root", self.base + "/pristine"], check=True, timeout=60)

    def renew(self):
        """After a failed test: as if nothing had been. The daemon is dead, and so is all that it started."""
        for name in ("root", "state", "tmp"):
            shutil.rmtree(os.path.join(self.base, name), ignore_errors=True)
        os.makedirs(self.base + "/tmp")
        subprocess.run(["cp", "-a", self.base + "/pristine", self.base + "/root"], check=True, timeout=60)
