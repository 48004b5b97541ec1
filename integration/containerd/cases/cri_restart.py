"""What a kubelet sees of its pods after the daemon was killed."""

import os

import leftovers
from cri import EXITED, NOTREADY, READY, RUNNING, Pod
from runner import equal, eventually, test


@test("TestContainerdRestart")
def containers_of_a_killed_daemon(world):
    """Running ones run, the exit codes of those that ended before and meanwhile are the true ones, and logs go on."""
    pods = [Pod(world), Pod(world)]
    running = pods[0].run("i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done")
    ended = pods[0].run("exit 21")
    equal(ended.wait().exit_code, 21)
    ending = [pods[0].run("sleep 1000; exit 22"), pods[1].run("sleep 1000; exit 22"), pods[1].run("sleep 1000; exit 0")]
    sleeps = [eventually(lambda: child_of(container.task_pid()), what="the sleep") for container in ending]
    eventually(lambda: len(running.output()) > 5, what="the log")
    world.daemon.kill()
    for pid in sleeps:
        os.kill(pid, 15)
        eventually(lambda: pid not in leftovers.processes(), what="the end of the sleep")
    world.daemon.start()
    equal([pod.status().state for pod in pods], [READY, READY])
    status = running.status()
    equal(status.state, RUNNING)
    equal(ended.status().exit_code, 21)
    for container, code in zip(ending, (22, 22, 0)):
        status = container.wait()
        equal((status.exit_code, status.reason), (code, "Error" if code else "Completed"))
    before = len(running.output())
    eventually(lambda: len(running.output()) > before + 5, what="a log that goes on")
    equal(running.exec(["/bin/sh", "-c", "exit 5"]).exit_code, 5)
    more = pods[1].run("echo more; exit 23")
    equal(more.wait().exit_code, 23)
    eventually(lambda: more.output() == ["more"], what="the log of a new container in an old pod")


def child_of(parent):
    return next((pid for pid in leftovers.processes() if leftovers.parent(pid) == parent), None)


@test()
def stdin_of_a_killed_daemon(world):
    """Attached before, and attached again after."""
    container = Pod(world).run("while read line; do echo got $line; done; exit 6", stdin=True)
    for word in ("one", "two", "three"):
        stream = container.attach(stdin=True)
        stream.write(f"{word}\n")
        stream.wait_for(f"got {word}\n")
        stream.close()
        # What the daemon has read and not written goes with it.
        eventually(lambda: container.output()[-1:] == [f"got {word}"], what="the log")
        world.daemon.kill()
        world.daemon.start()
    equal(container.status().state, RUNNING)
    equal(container.output(), ["got one", "got two", "got three"])


@test()
def pods_that_end_without_a_daemon(world):
    pod = Pod(world)
    container = pod.run(["/bin/sleep", "1000"])
    pid = pod.task_pid()
    world.daemon.kill()
    os.kill(pid, 9)
    eventually(lambda: pid not in leftovers.processes(), what="the end of the pause")
    world.daemon.start()
    eventually(lambda: pod.status().state == NOTREADY, what="a pod that is not ready")
    equal(container.status().state, RUNNING)
    container.stop()
    equal(container.status().state, EXITED)


@test()
def pods_are_removed_after_a_restart(world):
    pods = [Pod(world) for _ in range(3)]
    shims = [pod.shim() for pod in pods]
    for pod in pods:
        pod.run(["/bin/sleep", "1000"])
    world.daemon.kill()
    world.daemon.start()
    for pod in pods:
        pod.stop()
        pod.remove()
    eventually(lambda: not set(shims) & set(leftovers.processes()), what="the end of the shims")
