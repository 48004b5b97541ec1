"""The callers: podman, podman of an ordinary user, Docker, buildah, containerd's ctr. Each with state of its own, for one runtime.

Owns: how each is told which runtime to use, its daemon's life, the image. Knows no expectations.
"""

import itertools
import os
import re
import shutil
import signal
import subprocess
import time

import leftovers
from terminal import Terminal

IMAGE = "localhost/busybox:1"
USER = 1000


class Done:
    """A command that has ended."""

    def __init__(self, words, process):
        self.words, self.code = words, process.returncode
        self.out, self.err = process.stdout.decode(errors="replace"), process.stderr.decode(errors="replace")

    @property
    def text(self):
        return self.out.strip()


class Side:
    """A runtime under test: by its program, or by a shim."""

    def __init__(self, name, runtime, shim=None):
        self.name, self.runtime, self.shim = name, runtime, shim


class Caller:
    name = ""
    sides = ("runc", "dunnage")
    # Paths of cgroups that it leaves by itself, whatever the runtime: a pattern.
    stays = "/$"
    # Ends of the paths of mounts, likewise: podman's driver's, of the network that Docker calls host.
    mounts = ("/storage/overlay", "/netns/default")
    # How the command lines of its daemons begin, and those of the machine's.
    daemons = host = ()

    def __init__(self, side, base):
        self.side, self.base = side, base
        # Words of the commands since the last reset that tell what they may have left.
        self.used = set()
        self.paths = itertools.count(1)
        os.makedirs(base, exist_ok=True)
        os.chmod(base, 0o711)

    # What a command begins with, and its environment.
    command = ()
    environment = {}

    def words(self, arguments):
        return [*self.command, *[str(argument) for argument in arguments]]

    def env(self):
        return {**os.environ, **self.environment}

    def run(self, *arguments, stdin=None, timeout=60, check=True, **more):
        """A command of the caller's; fails unless it ends with 0 (or with CHECK, if that is a number)."""
        words = self.words(arguments)
        self.used.update(word for word in words if word in ("create", "-d", "pod", "play", "--volume", "volume"))
        source = {"input": stdin.encode()} if isinstance(stdin, str) else {"input": stdin} if stdin else {"stdin": subprocess.DEVNULL}
        # Not by pipes: what is left in the background would hold them.
        done = Done(words, subprocess.run(words, **source, capture_output=True, timeout=timeout, env=self.env(), cwd="/", **more))
        wanted = 0 if check is True else check
        if check is not False and done.code != wanted:
            raise AssertionError(f"{' '.join(str(a) for a in arguments)[:300]}: exit status {done.code}, not {wanted}: {(done.err or done.out).strip()[-600:]}")
        return done

    def __call__(self, *arguments, **more):
        """What it writes to stdout."""
        return self.run(*arguments, **more).text

    def start_command(self, *arguments, **more):
        self.used.add("-d")
        return subprocess.Popen(self.words(arguments), env=self.env(), cwd="/", start_new_session=True, **more)

    def terminal(self, *arguments):
        return Terminal(lambda **streams: subprocess.Popen(self.words(arguments), env=self.env(), cwd="/", **streams))

    def fresh(self, name):
        """A path in its directory that nothing has yet."""
        return f"{self.base}/{name}-{next(self.paths)}"

    def start(self):
        """Its daemon, and the image."""

    def reset(self):
        """Removes all containers."""

    def stop(self):
        """Ends its daemon, by pid."""

    def daemon(self, words, log, ready, environment=None, patience=60):
        """A process that is ready when READY() is true."""
        with open(log, "ab") as out:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", env={**os.environ, **(environment or {})}, start_new_session=True)
        deadline = time.monotonic() + patience
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                with open(log, errors="replace") as f:
                    raise RuntimeError(f"{words[0]} is not ready ({process.poll()}): {f.read()[-2000:]}")
            time.sleep(0.05)
        return process

    @staticmethod
    def end(process, patience=30):
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)

    def link(self, name, target):
        """NAME, in a directory that comes first in the PATH of a daemon of ours."""
        os.makedirs(self.base + "/bin", exist_ok=True)
        path = f"{self.base}/bin/{name}"
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(target, path)

    @property
    def path(self):
        return {"PATH": f"{self.base}/bin:{os.environ['PATH']}"}


class Engine(Caller):
    """What podman's and Docker's command lines have in common."""

    # Of every container: no network but its own loopback.
    options = ("--network", "none")
    # cgroups that it can limit, and that it can freeze.
    limits = freezes = True

    def box(self, *options_and_command, image=IMAGE, **more):
        """`run` in the foreground. The first argument without a dash after the options is told by `image`: options, IMAGE, command."""
        return self.run("run", "--rm", *self.split(options_and_command, image), **more)

    def split(self, words, image):
        """[options..., [command...]]: a list among the words is the command."""
        options = [word for word in words if not isinstance(word, (list, tuple))]
        command = [part for word in words if isinstance(word, (list, tuple)) for part in word]
        return [*self.options, *options, *([image] if image else []), *command]

    def sh(self, script, *options, **more):
        """The output of a shell's script in a new container."""
        return self.box(*options, ["sh", "-c", script], **more).text

    def up(self, name, *words, image=IMAGE, **more):
        """A container in the background; waits until a script's `echo up` was logged, if it has one."""
        self.run("run", "-d", "--name", name, *self.split(words, image), **more)
        script = next((word for word in words if isinstance(word, (list, tuple))), [])
        if any("echo up;" in part for part in script):
            self.wait_log(name, "up")
        return name

    def wait_log(self, name, wanted, timeout=15):
        deadline = time.monotonic() + timeout
        while wanted not in (logs := self.run("logs", name, check=False)).out + logs.err:
            if time.monotonic() > deadline:
                raise AssertionError(f"{name}: {wanted!r} is not in its log: {logs.out[-300:]!r} {logs.err[-300:]!r}")
            time.sleep(0.05)

    def remove(self, *names):
        """By force, and at once."""
        self("rm", "--force", *(() if self.name == "docker" else ("--time", "0")), *names)

    def inspect(self, name, what):
        return self("inspect", "--format", "{{" + what + "}}", name)

    def status(self, name):
        return self.inspect(name, ".State.Status")

    def exec(self, name, script, *options, **more):
        return self.run("exec", *options, name, "sh", "-c", script, **more)

    def pid(self, name):
        return int(self.inspect(name, ".State.Pid"))


class Podman(Engine):
    name = "podman"
    sides = ("runc", "crun", "dunnage")
    # Those of its pods it forgets in hierarchies that it does not know.
    stays = "/libpod_parent(/conmon|/[0-9a-f]{64})?$"
    owner = ()
    manager = "cgroupfs"

    def __init__(self, side, base):
        super().__init__(side, base)
        self.flags = ["--root", base + "/storage", "--runroot", base + "/runroot"]
        self.program = ["podman", *self.flags, "--tmpdir", base + "/tmp", "--runtime", side.runtime, "--cgroup-manager", self.manager,
                        "--events-backend", "file", "--storage-driver", "overlay"]  # fmt: skip
        self.command = [*self.owner, *self.program]
        self.options = ("--network", "none", "--log-driver", "k8s-file")
        self.environment = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "yes"}

    @property
    def version(self):
        return tuple(int(word) for word in re.findall(r"\d+", subprocess.run(["podman", "--version"], capture_output=True, text=True).stdout)[:2])

    def start(self):
        self("import", "--change", 'CMD=["sh"]', "/tmp/rootfs.tar", IMAGE)
        # The image of a pod's first container is made once, from catatonit.
        self("pod", "create", "--name", "first")
        self("pod", "rm", "-f", "first")

    def reset(self):
        used, self.used = self.used, set()
        if used & {"pod", "play"}:
            self("pod", "rm", "--all", "--force", "--time", "0")
        if used & {"create", "-d"}:
            self("rm", "--all", "--force", "--time", "0")
        if used & {"volume", "--volume"}:
            self("volume", "prune", "--force")
        self.used = set()

    def stop(self):
        for path in leftovers.mounts([self.base]):
            subprocess.run(["umount", "-l", path], check=False)


class Rootless(Podman):
    name = "podman-rootless"
    owner = ("setpriv", "--reuid", str(USER), "--regid", str(USER), "--init-groups", "--")
    # On cgroup v1 an ordinary user has none; without systemd, none on v2 either.
    limits = freezes = False

    def __init__(self, side, base):
        super().__init__(side, base)
        runtime = f"/run/user/{USER}"
        self.environment |= {"HOME": "/home/user", "XDG_RUNTIME_DIR": runtime, "USER": "user", "LOGNAME": "user"}
        for path in (runtime, base):
            os.makedirs(path, mode=0o700, exist_ok=True)
            os.chown(path, USER, USER)

    def stop(self):
        super().stop()
        # The process that holds the user namespace.
        self("system", "migrate", check=False)


class Systemd(Podman):
    """By systemd's scopes, where it is PID 1."""

    name = "podman-systemd"
    manager = "systemd"
    # The hierarchy has no controllers there.
    limits = False
    # Slices are systemd's, which keeps them.
    stays = "^((?!libpod).)*$|/libpod_parent.*$"
    daemons = host = ("/usr/lib/systemd/", "/lib/systemd/", "/usr/bin/dbus", "(sd-", "systemd-", "(systemd")
    ctl = ("systemctl",)
    units = "/run/systemd/system"
    configuration = "/etc/containers"

    def __init__(self, side, base):
        super().__init__(side, base)
        # By files: the timers of health checks know no flags.
        self.program = ["podman"]
        self.command = [*self.owner, *self.program]
        os.makedirs(self.configuration, exist_ok=True)
        with open(self.configuration + "/storage.conf", "w") as f:
            f.write(f'[storage]\ndriver = "overlay"\ngraphroot = "{base}/storage"\nrunroot = "{base}/runroot"\n')
        os.makedirs(self.configuration + "/containers.conf.d", exist_ok=True)
        with open(self.configuration + "/containers.conf.d/callers.conf", "w") as f:
            f.write(f'[engine]\nruntime = "{side.runtime}"\ncgroup_manager = "systemd"\nevents_logger = "file"\n')


class User(Systemd):
    """An ordinary user's, by the user's own systemd."""

    name = "podman-user"
    ctl = ("runuser", "-u", "user", "--", "env", f"XDG_RUNTIME_DIR=/run/user/{USER}", "systemctl", "--user")
    owner = ("runuser", "-u", "user", "--", "env", "HOME=/home/user", f"XDG_RUNTIME_DIR=/run/user/{USER}",
             f"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{USER}/bus", "PODMAN_IGNORE_CGROUPSV1_WARNING=yes",
             "systemd-run", "--user", "--quiet", "--collect", "--pipe", "--wait", "--expand-environment=no", "--property=Delegate=yes", "--property=KillMode=process", "--")  # fmt: skip
    units = f"/run/user/{USER}/systemd/user"
    configuration = "/home/user/.config/containers"

    def __init__(self, side, base):
        super().__init__(side, base)
        os.chown(base, USER, USER)
        subprocess.run(["chown", "-R", "user", "/home/user/.config"], check=True)
        subprocess.run(["systemctl", "start", f"user@{USER}.service"], check=True, timeout=60)
        subprocess.run(["install", "-d", "-o", "user", f"/run/user/{USER}/systemd", self.units], check=True)

    def stop(self):
        super().stop()
        self("system", "migrate", check=False)


class Docker(Engine):
    name = "docker"
    sides = ("runc", "dunnage", "shim")
    stays = "/docker$"
    daemons = ("dockerd ", "containerd --config")

    def __init__(self, side, base):
        super().__init__(side, base)
        self.address = base + "/d.sock"
        self.command = ["docker", "--host", "unix://" + self.address]
        self.environment = {"DOCKER_BUILDKIT": "0", "HOME": base}
        self.server = None
        self.log = base + "/dockerd.log"
        # What builds asks for by its name.
        self.link("runc", side.runtime)
        if side.shim:
            self.link("containerd-shim-runc-v2", side.shim)

    def start(self):
        self.up_again()
        self("import", "--change", 'CMD ["sh"]', "/tmp/rootfs.tar", IMAGE)

    def up_again(self, *options):
        with open(self.base + "/daemon.json", "w") as f:
            f.write("{}")
        words = ["dockerd", "--host", "unix://" + self.address, "--config-file", self.base + "/daemon.json", "--data-root", self.base + "/data",
                 "--exec-root", self.base + "/exec", "--pidfile", self.base + "/d.pid", "--storage-driver", "overlay2", "--bridge", "none",
                 "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--exec-opt", "native.cgroupdriver=cgroupfs"]  # fmt: skip
        if not self.side.shim:
            words += ["--add-runtime", f"test={self.side.runtime}", "--default-runtime", "test"]
        ready = lambda: os.path.exists(self.address) and self.run("version", check=False).code == 0  # noqa: E731
        self.server = self.daemon([*words, *options], self.log, ready, self.path)

    def reset(self):
        used, self.used = self.used, set()
        names = self("ps", "--all", "--quiet").split() if used else []
        if names:
            self("rm", "--force", "--volumes", *names)

    def stop(self):
        self.end(self.server)


class Buildah(Caller):
    name = "buildah"
    sides = ("runc", "crun", "dunnage")

    def __init__(self, side, base):
        super().__init__(side, base)
        self.command = ["buildah", "--root", base + "/storage", "--runroot", base + "/runroot", "--storage-driver", "overlay"]
        self.environment = {"BUILDAH_RUNTIME": side.runtime, "BUILDAH_ISOLATION": "oci", "TMPDIR": base}
        self.image = None

    def start(self):
        made = self("from", "scratch")
        self("add", made, "/tmp/rootfs.tar", "/")
        self("config", "--cmd", "sh", made)
        self("commit", "--rm", made, IMAGE)

    def reset(self):
        self("rm", "--all")

    def stop(self):
        for path in leftovers.mounts([self.base]):
            subprocess.run(["umount", "-l", path], check=False)


CONTAINERD = """
version = 2
root = "{base}/root"
state = "{base}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images", "io.containerd.nri.v1.nri"]
[grpc]
  address = "{base}/c.sock"
[ttrpc]
  address = "{base}/c.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{base}/opt"
"""


class Ctr(Caller):
    name = "ctr"
    # The parent of a namespace's containers.
    stays = "/default$"
    daemons = ("containerd --config",)
    sides = ("runc", "dunnage", "shim")

    def __init__(self, side, base):
        super().__init__(side, base)
        self.command = ["ctr", "--address", base + "/c.sock"]
        self.server = None
        if side.shim:
            self.link("containerd-shim-runc-v2", side.shim)

    def start(self):
        with open(self.base + "/config.toml", "w") as f:
            f.write(CONTAINERD.format(base=self.base))
        self.up_again()
        self("images", "import", "--snapshotter", "overlayfs", "/tmp/images.tar")

    def up_again(self):
        ready = lambda: self.run("version", check=False).code == 0  # noqa: E731
        self.server = self.daemon(["containerd", "--config", self.base + "/config.toml"], self.base + "/containerd.log", ready, self.path)

    def box(self, name, *options_and_command, **more):
        """`ctr run`, by the shim or by the runtime as its BinaryName."""
        return self.run("run", *self.split(name, options_and_command), **more)

    def split(self, name, words):
        binary = () if self.side.shim else ("--runc-binary", self.side.runtime)
        options = [word for word in words if not isinstance(word, (list, tuple))]
        command = [part for word in words if isinstance(word, (list, tuple)) for part in word]
        return [*binary, "--snapshotter", "overlayfs", *options, IMAGE, name, *command]

    def status(self, name):
        lines = [line.split() for line in self("task", "ls").splitlines()]
        return next((line[2] for line in lines if line and line[0] == name), None)

    def reset(self):
        for name in self("containers", "ls", "-q").split():
            for _ in range(2):
                self.run("task", "kill", "--all", "-s", "KILL", name, check=False)
                self.run("task", "delete", "--force", name, check=False)
            self.run("containers", "delete", name, check=False)
            self.run("snapshots", "--snapshotter", "overlayfs", "rm", name, check=False)

    def stop(self):
        self.end(self.server)


def sides(kind):
    """crun knows no hybrid hierarchies."""
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    return [side for side in kind.sides if side != "crun" or unified]


# Those of a machine without systemd, and of one with it.
PLAIN = [Podman, Rootless, Buildah, Docker, Ctr]
WITH_SYSTEMD = [Systemd, User]


def remove(path):
    shutil.rmtree(path, ignore_errors=True)
