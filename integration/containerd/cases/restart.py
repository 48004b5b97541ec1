"""The daemon ends, is killed, and comes back while containers live, wait and die."""

import os
import time

import leftovers
from client import CallError
from process import CREATED, PAUSED, RUNNING, STOPPED, with_group
from runner import count, equal, eventually, test


def survivors(world):
    """One task in each state that a daemon may find."""
    tasks = {
        CREATED: world.task("exit 11").create(),
        RUNNING: world.task("read line; exit 12", stdin=True).run(),
        PAUSED: world.task(["/bin/sleep", "1000"]).run(),
    }
    tasks[PAUSED].tasks.Pause(container_id=tasks[PAUSED].id)
    return tasks


@test("TestDaemonRestart")
def daemon_restarts(world):
    restart_with(world, world.daemon.stop)


@test("TestDaemonRestartByKill")
def daemon_is_killed(world):
    restart_with(world, world.daemon.kill)


def restart_with(world, end):
    """Created, running and paused tasks stay what they are."""
    tasks = survivors(world)
    waiting = tasks[RUNNING].wait_later()
    end()
    try:
        waiting.result(5)
    except CallError as error:
        assert error.unavailable, error
    world.daemon.start()
    for status, task in tasks.items():
        state = task.state()
        equal((state.status, state.pid, state.stdout), (status, task.pid, task.paths["stdout"]))
    equal(tasks[CREATED].start().wait(), 11)
    tasks[PAUSED].tasks.Resume(container_id=tasks[PAUSED].id)
    equal(tasks[PAUSED].exec(["/bin/sh", "-c", "exit 5"]).finish(), 5)
    tasks[RUNNING].write("go\n")
    equal(tasks[RUNNING].wait(), 12)


@test()
def stopped_tasks_stay(world):
    """A task that ended before the daemon did, and was not deleted."""
    task = world.task("exit 14").run()
    equal(task.wait(), 14)
    world.daemon.restart()
    state = task.state()
    equal((state.status, state.exit_status, state.pid), (STOPPED, 14, task.pid))
    equal(task.delete().exit_status, 14)


@test()
def exits_without_a_daemon(world):
    """What ends while there is no daemon has its true exit code afterwards."""
    tasks = [world.task(f"read line; exit {status}", stdin=True).run() for status in (0, 7, 42)]
    killed = world.task(["/bin/sleep", "1000"]).run()
    for task in tasks:
        task.write("")
    world.daemon.kill()
    for task in tasks:
        task.write("go\n")
    os.kill(killed.pid, 15)
    os.kill(killed.pid, 9)
    for task in [*tasks, killed]:
        eventually(lambda: task.pid not in leftovers.processes(), what="the end of the process")
    world.daemon.start()
    for task, status in zip([*tasks, killed], (0, 7, 42, 137)):
        state = task.state()
        equal((state.status, state.exit_status), (STOPPED, status))
        equal(task.delete().exit_status, status)


@test("TestDaemonReconnectsToShimIOPipesOnRestart")
def streams_stay(world):
    """stdin is not at its end and stdout has readers, whatever the daemon does."""
    task = world.task(["/bin/cat"], stdin=True).run()
    for number in range(3):
        task.write(f"line {number}\n")
        task.out.wait_for(f"line {number}\n")
        (world.daemon.kill if number % 2 == 0 else world.daemon.stop)()
        world.daemon.start()
    task.write("last\n")
    task.out.wait_for("last\n")
    task.close_input()
    equal(task.wait(), 0)
    equal(task.out.wait_end(), "line 0\nline 1\nline 2\nlast\n")


@test()
def reader_goes_and_comes(world):
    """The reader of stdout dies as a daemon would, which is one's CRI: the container waits, and goes on for the next reader."""
    lines = 30000
    task = world.task(f"seq 1 {lines}").create()
    task.out.stop()
    task.start()
    eventually(lambda: "pipe" in leftovers.read(f"/proc/{task.pid}/wchan") or task.state().status == STOPPED, what="a full pipe")
    equal(task.state().status, RUNNING, "the container, which has no reader")
    task.out.__init__(task.paths["stdout"])
    equal(task.wait(), 0)
    equal(task.out.wait_end().split()[-1], str(lines))


@test()
def execs_across_a_restart(world):
    """Execs that run, and that end while there is no daemon."""
    task = world.task(["/bin/sleep", "1000"]).run()
    running = task.exec(["/bin/sh", "-c", "read line; exit 21"], stdin=True).start()
    ending = task.exec(["/bin/sh", "-c", "read line; exit 22"], stdin=True).start()
    for process in (running, ending):
        process.write("")
    world.daemon.kill()
    ending.write("go\n")
    eventually(lambda: ending.pid not in leftovers.processes(), what="the end of the exec")
    world.daemon.start()
    equal((running.state().status, ending.state().status), (RUNNING, STOPPED))
    equal(ending.wait(), 22)
    equal(ending.delete().exit_status, 22)
    running.write("go\n")
    equal(running.wait(), 21)
    equal(running.delete().exit_status, 21)


@test()
def groups_across_a_restart(world):
    """A group's members are told apart by the daemon that comes back; the shim goes with the last of them."""
    tasks = [world.task(f"read line; exit {number}", stdin=True, annotations=with_group(f"{world.name}-g")).run() for number in (31, 32, 33)]
    shim = world.shim(tasks[0].id)
    tasks[0].write("")
    tasks[1].write("")
    world.daemon.kill()
    tasks[1].write("go\n")
    eventually(lambda: tasks[1].pid not in leftovers.processes(), what="the end of the process")
    world.daemon.start()
    equal([task.state().status for task in tasks], [RUNNING, STOPPED, RUNNING])
    equal(tasks[1].delete().exit_status, 32)
    tasks[0].write("go\n")
    equal(tasks[0].wait(), 31)
    tasks[0].delete()
    equal({world.shim(tasks[2].id)}, {shim})
    more = world.task("exit 34", annotations=with_group(f"{world.name}-g")).run()
    equal(more.wait(), 34)
    equal(world.shim(more.id), shim)


@test(limit=240)
def killed_in_the_middle_of_calls(world):
    """The daemon dies within Create, Start, Exec and Delete: afterwards each can be ended and removed."""
    for number in range(count(8, 60)):
        task = world.task(["/bin/sleep", "1000"]).container()
        task.open_streams()
        world.made.append(task)
        request = {"container_id": task.id, "rootfs": task.mounts, "stdout": task.paths["stdout"], "stderr": task.paths["stderr"]}
        calls = [task.tasks.later("Create", **request)]
        if number % 4:
            calls[0].result()
            calls.append(task.tasks.later("Start", container_id=task.id))
        if number % 4 > 1:
            calls[-1].result()
            task.kill()
            task.wait()
            calls.append(task.tasks.later("Delete", container_id=task.id))
        time.sleep(number % 5 * 0.02)
        world.daemon.kill()
        world.daemon.start()
        for call in calls:
            try:
                call.result(5)
            except (CallError, TimeoutError):
                pass
        task.forget()
    # A shim that was started and never had a container is told by nobody that it is not wanted: it goes when it has idled.
    equal(world.place.settle(90), [], "left behind")


@test()
def shim_dies_without_a_daemon(world):
    """The daemon that comes back finds a dead socket, and cleans up."""
    task = world.task("sleep 1000 & sleep 1001").run()
    shim = world.shim(task.id)
    world.daemon.kill()
    os.kill(shim, 9)
    world.daemon.start()
    try:
        equal(task.state().status, STOPPED)
    except CallError as error:
        assert error.not_found, error
    task.forget()
