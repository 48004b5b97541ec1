"""Units of systemd whose service is a container: podman's words, systemd's view."""

import os
import subprocess

from checks import contains, equal, eventually
from registry import case

BOTH = ("podman-systemd", "podman-user")


class Unit:
    """A unit `u.service` with one ExecStart."""

    def __init__(self, podman, run, more=""):
        self.podman = podman
        words = [*podman.program, "run", "--rm", "--name", "unit", "--network", "none", "--log-driver", "k8s-file", *run]
        quoted = " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%") + '"' for word in words)
        with open(f"{podman.units}/u.service", "w") as f:
            f.write("[Service]\nType=notify\nNotifyAccess=all\nTimeoutStartSec=30\nTimeoutStopSec=20\nDelegate=yes\nKillMode=mixed\n")
            f.write(f"ExecStart={quoted}\nExecStop=podman stop --ignore --time 5 unit\nExecStopPost=podman rm --force --ignore --time 0 unit\n{more}")
        self.ctl("daemon-reload")

    def ctl(self, *words, check=True):
        done = subprocess.run([*self.podman.ctl, *words], capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            log = subprocess.run(["journalctl", "--no-pager", "-n", "20"], capture_output=True, text=True).stdout
            raise AssertionError(f"systemctl {words}: {done.stderr} {log[-800:]}")
        return done.stdout.strip()

    def show(self, name):
        return self.ctl("show", "--value", "--property", name, "u.service")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ctl("stop", "u.service", check=False)
        self.ctl("reset-failed", "u.service", check=False)
        os.unlink(f"{self.podman.units}/u.service")
        self.ctl("daemon-reload")


SLEEP = ["localhost/busybox:1", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


@case(*BOTH)
def unit_ready_by_conmon(podman):
    with Unit(podman, ["--sdnotify", "conmon", "--cgroups", "no-conmon", *SLEEP]) as unit:
        unit.ctl("start", "u.service")
        equal(unit.show("ActiveState"), "active")
        contains(open(f"/proc/{unit.show('MainPID')}/comm").read(), "conmon")
        podman.exec("unit", "true")
        unit.ctl("stop", "u.service")
        equal((unit.show("ActiveState"), unit.show("Result")), ("inactive", "success"))
    equal(podman("ps", "--all", "--quiet"), "")


@case(*BOTH)
def unit_ready_by_the_container(podman):
    """The unit is active when the container says so; its status text is the container's."""
    program = "import os, socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1\\nSTATUS=fine', os.environ['NOTIFY_SOCKET'])"
    python = [word for path in ("/usr", "/lib", "/lib64") for word in ("--volume", f"{os.path.realpath(path)}:{path}:ro")]
    script = f'sleep 1; echo before; /usr/bin/python3 -c "{program}"; trap "exit 0" TERM; while :; do sleep 0.1; done'
    with Unit(podman, ["--sdnotify", "container", "--cgroups", "no-conmon", *python, "localhost/busybox:1", "sh", "-c", script]) as unit:
        unit.ctl("start", "u.service")
        equal(unit.show("ActiveState"), "active")
        contains(podman("logs", "unit"), "before")
        eventually(lambda: unit.show("StatusText") == "fine", what="the status text")
        contains(open(f"/proc/{unit.show('MainPID')}/comm").read(), "conmon")


@case(*BOTH)
def unit_that_is_never_ready(podman):
    """A container that ends without a word: the unit fails, at once."""
    with Unit(podman, ["--sdnotify", "container", "--cgroups", "no-conmon", "localhost/busybox:1", "false"]) as unit:
        unit.ctl("start", "u.service", check=False)
        eventually(lambda: unit.show("ActiveState") == "failed", what="failed")
    equal(podman("ps", "--all", "--quiet"), "")


@case(*BOTH)
def unit_that_restarts(podman):
    with Unit(podman, ["--sdnotify", "conmon", "--replace", "--cgroups", "no-conmon", *SLEEP], "Restart=always\nRestartSec=100ms\n") as unit:
        unit.ctl("start", "u.service")
        first = podman.pid("unit")
        os.kill(first, 9)
        eventually(lambda: unit.show("NRestarts") == "1" and unit.show("ActiveState") == "active", timeout=20, what="a restart")
        assert podman.pid("unit") != first


@case(*BOTH)
def unit_with_split_cgroups(podman):
    """conmon and the container below the unit's own cgroup."""
    with Unit(podman, ["--sdnotify", "conmon", "--cgroups", "split", *SLEEP]) as unit:
        unit.ctl("start", "u.service")
        contains(open(f"/proc/{podman.pid('unit')}/cgroup").read(), "/u.service/")
        podman.exec("unit", "true")


@case("podman-systemd")
def scope_of_a_container(podman):
    """systemd's view: a scope while it runs, and nothing afterwards."""
    podman.up("one", ["sleep", "1000"])
    id = podman.inspect("one", ".Id")
    show = lambda: subprocess.run(["systemctl", "show", "--value", "--property", "ActiveState", f"libpod-{id}.scope"], capture_output=True, text=True).stdout.strip()  # noqa: E731
    equal(show(), "active")
    contains(open(f"/proc/{podman.pid('one')}/cgroup").read(), f"libpod-{id}.scope")
    podman.remove("one")
    eventually(lambda: show() == "inactive", what="inactive")


@case("podman-systemd", "podman-user")
def health_by_timers(podman):
    """The timer of a health check is a transient unit."""
    podman.up("well", "--health-cmd", "test ! -e /tmp/ill", "--health-interval", "1s", "--health-retries", "1", "--health-timeout", "5s", ["sleep", "1000"])
    eventually(lambda: podman.inspect("well", ".State.Health.Status") == "healthy", timeout=20, what="healthy")
    podman.exec("well", "touch /tmp/ill")
    eventually(lambda: podman.inspect("well", ".State.Health.Status") == "unhealthy", timeout=20, what="unhealthy")
