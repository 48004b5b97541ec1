"""The daemon becomes another version, and the older one again, under containers that live on: one shim serves them all."""

import os

from cri import READY, RUNNING, Pod
from process import RUNNING as TASK_RUNNING
from runner import equal, eventually, test


def older(world, version):
    """The directory of an older daemon, which was fetched with this one."""
    top = os.path.dirname(world.daemon.binaries)
    return next(os.path.join(top, name) for name in sorted(os.listdir(top)) if name.startswith(version + "."))


class Living:
    """A task and a pod, made under one version, that are used under each."""

    def __init__(self, world):
        self.world = world
        self.task = world.task("while read line; do echo got $line; done; exit 61", stdin=True).run()
        self.pod = Pod(world)
        self.container = self.pod.run("i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")
        self.used = 0

    def use(self):
        self.used += 1
        equal(self.task.state().status, TASK_RUNNING)
        self.task.write(f"{self.used}\n")
        self.task.out.wait_for(f"got {self.used}\n")
        equal(self.task.exec(["/bin/sh", "-c", "exit 5"]).finish(), 5)
        equal((self.pod.status().state, self.container.status().state), (READY, RUNNING))
        equal(self.container.exec(["/bin/sh", "-c", "exit 6"]).exit_code, 6)
        before = len(self.container.output())
        eventually(lambda: len(self.container.output()) > before, what="a log that goes on")
        # A pod gets a new container under whatever daemon there is.
        more = self.pod.run("echo more; exit 62")
        equal(more.wait().exit_code, 62)
        more.remove()

    def end(self):
        self.task.close_input()
        equal(self.task.wait(), 61)
        self.task.forget()
        self.container.stop()
        equal(self.container.status().exit_code, 137)
        self.pod.stop()
        self.pod.remove()


def through(world, *versions):
    own = world.daemon.binaries
    world.at_end.append(lambda: world.daemon.become(own))
    living = []
    for version in versions:
        world.daemon.become(older(world, version) if version else own)
        for one in living:
            one.use()
        living.append(Living(world))
        living[-1].use()
    for one in living:
        one.end()


@test("TestUpgrade", versions=lambda version: version >= (2, 0), limit=180)
def daemon_is_upgraded_and_downgraded(world):
    through(world, "1.7", None, "1.7")


@test("TestIssue10467", versions=lambda version: version >= (2, 0), limit=180)
def daemon_is_upgraded_twice(world):
    through(world, "1.6", "1.7", None)
