"""The daemon is killed again and again, while containers write and others end: nothing is lost, nothing is doubled."""

import os
import random
import re
import time

import leftovers
from cri import EXITED, RUNNING, UNKNOWN, Pod
from process import STOPPED, with_group
from runner import count, equal, eventually, test
from ttrpc import Recorder

ROUNDS = int(os.environ.get("DAEMON_KILLS", count(8, 100)))
WRITERS = count(12, 20)


def seeded():
    seed = int(os.environ.get("SEED", 0)) or random.randrange(1, 1 << 32)
    return random.Random(seed), seed


class Outages:
    """The daemon's deaths, and those of its socket for events, which is ours: what came there is written down."""

    def __init__(self, world):
        self.world, self.daemon = world, world.daemon
        self.recorder = Recorder(world.daemon.base + "/r.sock")
        wrapper = world.daemon.base + "/bin/recorded"
        with open(wrapper, "w") as f:
            f.write(f'#!/bin/sh\nTTRPC_ADDRESS={self.recorder.path} exec {world.daemon.shim} "$@"\n')
        os.chmod(wrapper, 0o755)
        world.daemon.link("containerd-shim-runc-v2", wrapper)
        world.at_end.append(self.end)
        self.recorder.open()

    def end(self):
        self.world.daemon.link("containerd-shim-runc-v2", self.world.daemon.shim)
        self.recorder.close()

    def death(self):
        self.recorder.close()
        self.daemon.kill()

    def birth(self):
        self.recorder.open()
        self.daemon.start()

    def whole_life(self, id, exits):
        """The events of a container that was deleted: each once, in order. EXITS: who -> status; the init's is under its id."""
        self.recorder.wait_for("TaskDelete", id, 15)
        seen = self.recorder.of(id)
        kinds = [kind for kind, _ in seen]
        equal([kinds.count(kind) for kind in ("TaskCreate", "TaskStart", "TaskDelete")], [1, 1, 1], f"{id}: {kinds}")
        equal((kinds[0], kinds[1], kinds[-2], kinds[-1]), ("TaskCreate", "TaskStart", "TaskExit", "TaskDelete"), id)
        ends = [(event.id, event.exit_status) for kind, event in seen if kind == "TaskExit"]
        equal(sorted(ends), sorted(exits.items()), f"{id}: the exits")
        equal(ends[-1][0], id, "the last exit")


def one_round(world, outages, chance, number, host):
    """Some end before the daemon dies, some with it, some without it, some when it comes back."""
    moments = ["before", "within", "without", "after"]
    # Statuses that nobody gives by default.
    tasks = {moment: world.task(f"read line; exit {20 + index}", stdin=True, rootfs=chance.choice(["overlay", "plain"])).run()
             for index, moment in enumerate(moments)}  # fmt: skip
    process = host.exec(["/bin/sh", "-c", f"read line; exit {number % 100 + 1}"], stdin=True).start()
    for one in [*tasks.values(), process]:
        one.write("")
    tasks["before"].write("go\n")
    time.sleep(chance.random() * 0.05)
    tasks["within"].write("go\n")
    outages.death()
    time.sleep(chance.random() * 0.2)
    tasks["without"].write("go\n")
    process.write("go\n")
    time.sleep(chance.random() * 0.2)
    outages.birth()
    tasks["after"].write("go\n")
    for index, moment in enumerate(moments):
        task = tasks[moment]
        equal(task.wait(), 20 + index, f"round {number}, {moment}: the status")
        equal(task.wait_status(STOPPED).exit_status, 20 + index)
        equal(task.delete().exit_status, 20 + index)
        outages.whole_life(task.id, {task.id: 20 + index})
        task.out.wait_end()
        task.release()
        task.forget()
    equal(process.wait(), number % 100 + 1, f"round {number}: the exec's status")
    process.delete()
    return process


@test(limit=900)
def kill_daemon_a_hundred_times(world):
    chance, seed = seeded()
    outages = Outages(world)
    try:
        writers = []
        for number in range(WRITERS):
            # One of them as fast as it is read; half of them in two groups.
            group = with_group(f"{world.name}-g{number % 2}") if number >= WRITERS // 2 else None
            fast = number == 0
            writer = world.task(["/bin/writer", "0" if fast else "5000", str(40 + number)], annotations=group)
            writers.append(writer.create(rate=200_000 if fast else None).start())
        execs = {}
        for number in range(ROUNDS):
            host = chance.choice(writers)
            process = one_round(world, outages, chance, number, host)
            execs.setdefault(host.id, {})[process.exec_id] = number % 100 + 1
        for number, writer in enumerate(writers):
            written_down(writer, number, outages, execs.get(writer.id, {}))
    except AssertionError as error:
        raise AssertionError(f"{error} (SEED={seed})") from error


def written_down(writer, number, outages, execs):
    """Ends a writer: all its lines are there, its status is its own, and so are its events."""
    equal(writer.state().status, 2, "the writer's status (RUNNING)")
    writer.kill(15)
    equal(writer.wait(40), 40 + number)
    lines = writer.out.wait_end(40).split()
    equal(lines.pop(), "end")
    for index, line in enumerate(lines):
        if line != f"{index:09}":
            raise AssertionError(f"writer {number}: line {index} of {len(lines)} is {line!r}")
    assert len(lines) > 100, f"only {len(lines)} lines"
    writer.delete()
    outages.whole_life(writer.id, {**execs, writer.id: 40 + number})


@test(limit=900)
def kill_daemon_under_logs(world):
    """Through the CRI, where the daemon reads: what it has read and not written dies with it, once for each death. Nothing else
    is missing, nothing is doubled, no container notices."""
    chance, seed = seeded()
    pods = [Pod(world) for _ in range(count(2, 5))]
    writers = [pod.run(["/bin/writer", "5000", "33"]) for pod in pods for _ in range(count(3, 4))]
    rounds = max(ROUNDS // 2, 6)
    for number in range(rounds):
        pod = chance.choice(pods)
        before, within, without = (pod.run(f"sleep {10000 + index}; exit {index + 50}") for index in range(3))
        time.sleep(chance.random() * 0.1)
        pids = [one.task_pid() for one in (before, within, without)]
        kill_children(pids[0])
        before.wait()
        kill_children(pids[1])
        time.sleep(chance.random() * 0.01)
        world.daemon.kill()
        kill_children(pids[2])
        time.sleep(chance.random() * 0.2)
        world.daemon.start()
        for index, one in enumerate((before, within, without)):
            if one is within:
                true_or_unknown(one, index + 50)
            else:
                equal(one.wait().exit_code, index + 50, f"round {number}, {one.id} (SEED={seed})")
            one.remove()
    for writer in writers:
        equal(writer.status().state, RUNNING)
        writer.stop(timeout=30)
        status = writer.wait(EXITED)
        equal((status.exit_code, status.reason), (33, "Error"))
        eventually(lambda: writer.output()[-1:] == ["end"], what="the last line of the log")
        only_gaps(writer.output()[:-1], rounds)


def true_or_unknown(container, code):
    """A daemon that dies between its Delete and its own record of the exit has lost it, whatever the shim does; it says so."""
    status = eventually(lambda: (now := container.status()).state in (EXITED, UNKNOWN) and now, 20, "the end")
    if status.state == EXITED and status.exit_code != 255:
        equal(status.exit_code, code)
    if status.state == UNKNOWN:
        container.stop()


def kill_children(pid):
    found = eventually(lambda: [child for child in leftovers.processes() if leftovers.parent(child) == pid], what="the child")
    for child in found:
        os.kill(child, 15)


def only_gaps(lines, deaths):
    whole = [int(line) for line in lines if re.fullmatch(r"\d{9}", line)]
    assert len(lines) - len(whole) <= deaths, f"{len(lines) - len(whole)} broken lines with {deaths} deaths"
    gaps = [(before, after) for before, after in zip(whole, whole[1:]) if after != before + 1]
    back = [gap for gap in gaps if gap[1] <= gap[0]]
    equal(back, [], "lines that are out of order or doubled")
    assert len(gaps) <= deaths, f"{len(gaps)} gaps with {deaths} deaths: {gaps}"
    assert len(whole) > 50, f"only {len(whole)} lines"
