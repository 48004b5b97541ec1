"""A task's life through containerd's API: create, start, states, exit, delete, events."""

from process import CREATED, RUNNING, STOPPED
from runner import equal, test


@test()
def task_life(world):
    task = world.task("echo out; echo err >&2; exit 7").create()
    equal(task.state().status, CREATED)
    waiting = task.wait_later()
    task.start()
    equal(waiting.result().exit_status, 7)
    equal(task.out.wait_end(), "out\n")
    equal(task.err.wait_end(), "err\n")
    state = task.wait_status(STOPPED)
    equal(state.exit_status, 7)
    equal(task.delete().exit_status, 7)
