"""The name `runc` becomes another program under containerd's own shim, which looks it up at every call: with containers that are there,
and back. The containers of a shim stay with it; only what it executes changes.

Needs run.py's --dunnage; without it, it is another copy of runc.
"""

import os
import shutil

from cases.ctr import Ctr
from leftovers import read
from runner import contains, equal, test


class Name:
    """`runc`, as the daemon and its shims find it."""

    def __init__(self, world):
        self.daemon = world.daemon
        self.other = world.daemon.dunnage or shutil.copy(world.daemon.runc, world.directory + "/runc")
        link = world.daemon.link
        # Whichever shim is under test: here it is the one that executes a runtime.
        link("containerd-shim-runc-v2", world.daemon.binaries + "/containerd-shim-runc-v2")
        world.at_end.append(lambda: link("containerd-shim-runc-v2", world.daemon.shim))
        world.at_end.append(lambda: self.becomes(world.daemon.runc))
        self.becomes(world.daemon.runc)

    def becomes(self, program):
        """From one moment to the next: there is none at which the name is missing."""
        path = self.daemon.base + "/bin/runc"
        os.symlink(program, path + ".new")
        os.rename(path + ".new", path)


# Says by its exit code that it is in the container: of what ends at once, ctr 1.7 loses the output at times.
INSIDE = '[ "$(tr "\\0" " " </proc/1/cmdline)" = "/bin/sleep 1000 " ] && exit 5'


def use(ctr, name):
    for number in range(2):
        equal(ctr("task", "exec", "--exec-id", f"e{number}", name, "/bin/sh", "-c", INSIDE, check=False).returncode, 5, name)
    ctr("task", "pause", name)
    equal(ctr.status(name), "PAUSED", name)
    ctr("task", "resume", name)
    equal(ctr.status(name), "RUNNING", name)
    contains(ctr("task", "ps", name).stdout, "PID")
    contains(ctr("task", "metrics", name).stdout, name)


def end(ctr, name):
    ctr("task", "kill", "-s", "SIGKILL", name)
    ctr.wait_status(name, "STOPPED")
    contains(ctr("task", "delete", name, check=False).stderr, "137")


def made_by_us(world, name):
    """By the state on disk, where the shim has its runtime put it."""
    return '"dunnage"' in read(f"/run/containerd/runc/ctr/{name}/state.json")


@test(limit=180)
def the_runtime_is_exchanged(world):
    ctr, name = Ctr(world), Name(world)

    def begin(container):
        ctr.run(container, ["/bin/sleep", "1000"], "-d")

    old = [f"old{number}" for number in range(3)]
    for container in old:
        begin(container)
    # It goes on while the name changes.
    waiting = world.daemon.ctr_background("task", "exec", "--exec-id", "long", "old0", "/bin/sh", "-c", "sleep 3; exit 9")
    name.becomes(name.other)
    for container in old:
        use(ctr, container)
    equal(waiting.wait(30), 9)
    end(ctr, "old0")
    new = [f"new{number}" for number in range(2)]
    for container in new:
        begin(container)
        equal(made_by_us(world, container), world.daemon.dunnage is not None, container)
    # containerd is another one, too: it finds the shims, and these their containers.
    world.daemon.restart()
    for container in ("old1", "new0"):
        use(ctr, container)
    end(ctr, "old1")
    end(ctr, "new0")
    # And back.
    name.becomes(world.daemon.runc)
    for container in ("old2", "new1"):
        use(ctr, container)
        end(ctr, container)
