"""What is measured of a shim without a daemon: what is its own, and nobody else's.

Owns: the order of calls and what of them is counted. Times are milliseconds, of a single call microseconds.
"""

import os
import subprocess
import time

from direct import Shim, true_spec
from measures import Clock, shuffled
from meters import memory, threads_cpu
from wire import decode

SLEEP = ["/bin/sleep", "1000000"]
# So many execs, and all that a shim does once has been done.
FIRST = 40


def life(figures, sides, rounds):
    """The command `start`; Create, Start, Wait and Delete of /bin/true; Shutdown and the command `delete`."""
    for number in range(rounds + 1):
        for side in shuffled(sides):
            shim = Shim(side, ["/bin/true"])
            side.group.enter(os.getpid())
            with Clock(side) as clock:
                shim.start()
                started = time.perf_counter()
                shim.create()
                shim.call("Start")
                shim.call("Wait")
                shim.call("Delete")
                deleted = time.perf_counter()
                shim.shutdown()
                shim.command("-bundle", shim.bundle, "delete")
            side.group.leave(os.getpid())
            side.group.wait_empty()
            cpu = side.group.usage() - clock.usage - clock.client
            shim.forget()
            if number >= 1:
                figures.add("direct start wall", side, (started - clock.began) * 1000)
                figures.add("direct life wall", side, (deleted - started) * 1000)
                figures.add("direct end wall", side, clock.wall - (deleted - clock.began) * 1000)
                figures.add("direct whole wall", side, clock.wall)
                figures.add("direct whole cpu", side, cpu)


class Running:
    """One container that sleeps, of each candidate."""

    def __init__(self, sides):
        self.shims = {}
        for side in sides:
            side.group.enter(os.getpid())
            self.shims[side] = Shim(side, SLEEP).run()
            side.group.leave(os.getpid())

    def end(self):
        for shim in self.shims.values():
            shim.end()


def execs(figures, running, rounds):
    process = true_spec()
    for number in range(rounds + 2):
        for side, shim in shuffled(list(running.shims.items())):
            with Clock(side) as clock:
                shim.exec(f"x{number}", process)
            if number >= 2:
                figures.add("direct exec wall", side, clock.wall)
                figures.add("direct exec cpu", side, clock.cpu)


class OneProcessor:
    """Client and server on one processor: else it is the wake-up of an idle processor that is measured, ten times a short call."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        self.before = os.sched_getaffinity(0)
        self._pin({max(self.before)})

    def __exit__(self, *_):
        self._pin(self.before)

    def _pin(self, processors):
        for tid in [0, *map(int, os.listdir(f"/proc/{self.pid}/task"))]:
            os.sched_setaffinity(tid, processors)


def round_trips(shim, pid, method, count):
    """Median of a call as its client sees it, and CPU of the server for each, in microseconds."""
    # Numbers of streams only rise: these are the next ones.
    connection, frames = shim.connection, [shim.frame(method) for _ in range(count)]
    walls, before = [], threads_cpu(pid)
    for frame in frames:
        began = time.perf_counter_ns()
        connection.sendall(frame)
        answer = connection.recv(1 << 16)
        walls.append((time.perf_counter_ns() - began) / 1000)
        assert len(answer) == 10 + int.from_bytes(answer[:4], "big"), "an answer in parts"
        payload = answer[10:]
    cpu = (threads_cpu(pid) - before) * 1000 / count
    status = decode("TtrpcResponse", payload).status
    assert status is None or not status.code, f"{shim.side.name}: {method}: {status}"
    return sorted(walls)[count // 2], cpu


def calls(figures, running, rounds, count):
    """Connect, State and Stats, in blocks that take turns."""
    for _ in range(rounds):
        for side, shim in shuffled(list(running.shims.items())):
            pid = shim.pid()
            with OneProcessor(pid):
                for method in ("Connect", "State", "Stats"):
                    wall, cpu = round_trips(shim, pid, method, count)
                    figures.add(f"{method} wall", side, wall)
                    figures.add(f"{method} cpu", side, cpu)


def growth(figures, running, counts):
    """Private memory before and after many execs, one after the other. COUNTS: how many by kind of candidate."""
    process = true_spec()
    for side, shim in running.shims.items():
        pid = shim.pid()
        time.sleep(1)
        before = memory(pid)
        for number in range(counts[side.kind]):
            shim.exec(f"g{number}", process)
            if number % 50 == 0:
                shim.drain_log()
            if number == FIRST:
                figures.add("growth first", side, memory(pid)["anon"] - before["anon"])
        time.sleep(1)
        after = memory(pid)
        figures.add("growth", side, after["anon"] - before["anon"])
        figures.add("growth fds", side, after["fds"] - before["fds"])


def output(figures, sides, rounds, megabytes):
    """CPU of the server while so much goes through a container's stdout to a FIFO that somebody reads."""
    for _ in range(rounds):
        for side in shuffled(sides):
            shim = Shim(side, ["/bin/dd", "if=/dev/zero", "bs=64k", f"count={megabytes * 16}"])
            streams = {name: f"{shim.bundle}/{name}" for name in ("stdout", "stderr")}
            for path in streams.values():
                os.mkfifo(path)
            readers = [subprocess.Popen(["/bin/cat", path], stdout=subprocess.DEVNULL) for path in streams.values()]
            side.group.enter(os.getpid())
            shim.start()
            shim.create(**streams)
            side.group.leave(os.getpid())
            pid = shim.pid()
            before = threads_cpu(pid)
            with Clock(side) as clock:
                shim.call("Start")
                shim.call("Wait")
                shim.call("Delete")
            figures.add("output cpu", side, threads_cpu(pid) - before)
            figures.add("output wall", side, clock.wall)
            for reader in readers:
                reader.wait(30)
            shim.shutdown()
            shim.command("-bundle", shim.bundle, "delete")
            shim.forget()
