"""The shim dies without a farewell, at a random moment of each operation. When the daemon has noticed, nothing is left."""

import os
import random
import threading
import time

import leftovers
from client import CallError
from cri import EXITED, NOTREADY, Pod
from process import json_any, process_spec, with_group
from runner import count, equal, eventually, test

ROUNDS = int(os.environ.get("SHIM_KILLS", count(2, 25)))


def servers(id):
    """The pids of shims of a container or group: neither its `start` nor its `delete`."""
    found = []
    for pid, command in leftovers.processes().items():
        words = command.split()
        if "-id" in words and words[words.index("-id") + 1] == id and words[-1] not in ("start", "delete"):
            found.append(pid)
    return found


def running(world, **more):
    task = world.task("sleep 1000 & sleep 1001 & echo ready; wait", **more).run()
    task.out.wait_for("ready")
    return task


def stopped(world):
    task = running(world)
    task.kill()
    task.wait()
    return task


def paused(world):
    task = running(world)
    task.tasks.Pause(container_id=task.id)
    return task


def with_exec(world):
    task = running(world)
    process = task.exec(["/bin/sleep", "1002"])
    task.exec_id_of_test = process.exec_id
    return task


def creation(world):
    task = world.task("sleep 1000 & wait").container()
    task.open_streams()
    world.made.append(task)
    return task


def call(method, **fields):
    return lambda task: task.tasks.later(method, 20, container_id=task.id, **fields)


def create(task):
    return task.tasks.later("Create", 20, container_id=task.id, rootfs=task.mounts, stdout=task.paths["stdout"], stderr=task.paths["stderr"])


def start_exec(task):
    return task.tasks.later("Start", 20, container_id=task.id, exec_id=task.exec_id_of_test)


# name -> (what is there before, the call that is under way)
OPERATIONS = {
    "create": (creation, create),
    "start": (lambda world: world.task("sleep 1000 & wait").create(), call("Start")),
    "delete of the created": (lambda world: world.task("exit 0").create(), call("Delete")),
    "nothing": (running, call("Get")),
    "nothing, in a host's pid namespace": (lambda world: running(world, change=host_pids), call("Get")),
    "nothing, created": (lambda world: world.task("exit 0").create(), call("Get")),
    "nothing, paused": (paused, call("Get")),
    "nothing, stopped": (stopped, call("Get")),
    "exec": (running, call("Exec", exec_id="e", spec=json_any("Process", process_spec(["/bin/sleep", "1003"])))),
    "start of an exec": (with_exec, start_exec),
    "kill": (running, call("Kill", signal=9)),
    "kill of all": (running, call("Kill", signal=9, all=True)),
    "delete": (stopped, call("Delete")),
    "pause": (running, call("Pause")),
    "resume": (paused, call("Resume")),
    "update": (running, call("Update", resources=json_any("LinuxResources", {"pids": {"limit": 40}}))),
    "pids": (running, call("ListPids")),
    "wait": (running, call("Wait")),
}


def host_pids(document):
    document["linux"]["namespaces"] = [one for one in document["linux"]["namespaces"] if one["type"] != "pid"]


def kill_when(find, delay):
    """In a thread of its own, as the call that is under way must not wait for it."""

    def run():
        deadline = time.monotonic() + 5
        while not (found := find()) and time.monotonic() < deadline:
            pass
        time.sleep(delay)
        for pid in found:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def gone(task):
    try:
        return task.state().status not in (1, 2, 4, 5)
    except CallError as error:
        return error.not_found


def one_death(world, name, delay):
    prepare, under_way = OPERATIONS[name]
    task = prepare(world)
    known = servers(task.id)
    killer = kill_when((lambda: known) if known else (lambda: servers(task.id)), delay)
    pending = under_way(task)
    killer.join()
    try:
        pending.result(25)
    except CallError:
        pass
    eventually(lambda: gone(task), 15, "that the daemon notices")
    for one in [made for made in world.made if made.id == task.id]:
        one.release()
    task.forget()
    world.made.clear()


def now(world):
    """What is there; without the sockets, if it is known of this shim that its `delete` leaves them: the rest counts all the same."""
    left = world.place.now()
    if world.known("socket_of_a_killed_shim"):
        sockets = {one for one in left if one.startswith("socket ")}
        for one in sockets:
            os.unlink(one.removeprefix("socket "))
        left -= sockets
    return left


def settled(world, before, patience=10):
    """Waits until of what was there before nothing is."""
    deadline = time.monotonic() + patience
    while (left := now(world) & before) and time.monotonic() < deadline:
        time.sleep(0.05)
    equal(sorted(left), [], "left behind")


def deaths(world, names):
    """All rounds are gone through; what was left is told at the end, by the operation."""
    seed = int(os.environ.get("SEED", 0)) or random.randrange(1, 1 << 32)
    chance = random.Random(seed)
    problems, old = [], set()
    for name in names:
        for number in range(ROUNDS):
            # At once, then later and later: within the call, and after it.
            delay = chance.random() * 0.02 * (number + 1) if name != "create" else chance.random() * 0.15
            one_death(world, name, delay)
            deadline = time.monotonic() + 10
            while (left := now(world) - old) and time.monotonic() < deadline:
                time.sleep(0.05)
            if left:
                if len(problems) == 5:
                    break
                problems.append(f"{name}, {delay * 1000:.1f} ms: {'; '.join(sorted(left))}")
                old |= left
    if problems:
        raise AssertionError(f"left behind (SEED={seed}):\n        " + "\n        ".join(problems))


@test(limit=900)
def kill_shim_at_random_moments_of_creation(world):
    deaths(world, ["create", "start", "delete of the created", "nothing, created"])


@test(limit=900)
def kill_shim_at_random_moments_of_life(world):
    deaths(world, [name for name in OPERATIONS if name.startswith("nothing") and "created" not in name] + ["exec", "start of an exec", "wait", "pids", "update"])


@test(limit=900)
def kill_shim_at_random_moments_of_the_end(world):
    deaths(world, ["kill", "kill of all", "delete", "pause", "resume"])


@test()
def socket_of_a_killed_shim(world):
    task = running(world)
    os.kill(world.shim(task.id), 9)
    eventually(lambda: gone(task), 15, "that the daemon notices")
    task.forget()


@test()
def exit_status_after_the_death_of_a_shim(world):
    """What ended before the shim died has its own status, not that of the death."""
    events = world.events()
    task = world.task("exit 77").run()
    equal(task.wait(), 77)
    os.kill(world.shim(task.id), 9)
    equal(events.wait_for("TaskDelete", task.id).exit_status, 77)
    task.forget()


@test(limit=300)
def kill_shim_of_a_group(world):
    for _ in range(ROUNDS):
        tasks = [running(world, annotations=with_group(f"{world.name}-g")) for _ in range(4)]
        tasks[3].kill()
        tasks[3].wait()
        os.kill(world.shim(tasks[0].id), 9)
        for task in tasks:
            eventually(lambda: gone(task), 15, "that the daemon notices")
            task.forget()
        settled(world, now(world))


@test(limit=300)
def kill_shim_of_a_pod(world):
    """Of five containers nothing runs on, nor is anything mounted, before a kubelet has done anything."""
    for _ in range(ROUNDS):
        pod = Pod(world)
        containers = [pod.run("sleep 7001 & sleep 7002 & echo ready; wait") for _ in range(4)]
        containers.append(pod.run("exit 3"))
        containers[4].wait()
        for container in containers[:4]:
            eventually(container.output, what="the processes")
        os.kill(pod.shim(), 9)
        eventually(lambda: pod.status().state == NOTREADY, what="a pod that is not ready")
        for container in containers[:4]:
            container.wait(EXITED)
        equal(containers[4].status().exit_code, 3)
        # The daemon's own mount of /dev/shm and the network's are for StopPodSandbox.
        settled(world, {one for one in now(world) if one.split()[0] in ("process", "cgroup", "socket", "runtime") or "/rootfs" in one})
        pod.clean()
