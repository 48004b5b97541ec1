"""What is measured of a shim under a daemon. The candidates take turns round by round, in another order each time: what else the
machine does at the moment, it does to all of them.

Owns: the order of calls and what of them is counted. Each function adds its samples to the figures; all times are milliseconds.
"""

import random
import time
from concurrent.futures import ThreadPoolExecutor

from meters import host_busy, memory
from process import json_any, process_spec
from sides import SLEEP, Pod

IDLE = 10


class Figures:
    """Samples by key and candidate."""

    def __init__(self):
        self.samples = {}

    def add(self, key, side, value):
        self.samples.setdefault(key, {}).setdefault((side.kind, side.pair), []).append(value)

    def of(self, key, kind, pair):
        found = self.samples.get(key, {})
        return found.get((kind, pair)) or found.get((kind, "*")) or []


class Clock:
    """Wall time, CPU of a candidate, of its daemon and of ourselves, between `with` and its end."""

    def __init__(self, side):
        self.side = side

    def __enter__(self):
        self.before, self.began = self._counters(), time.perf_counter()
        self.usage = self.before[0]
        return self

    def __exit__(self, *_):
        self.wall = (time.perf_counter() - self.began) * 1000
        self.cpu, self.client, self.host = (after - before for before, after in zip(self.before, self._counters()))

    def _counters(self):
        return self.side.group.usage(), time.process_time() * 1000, host_busy()


def shuffled(sides):
    return random.sample(sides, len(sides))


def pods(figures, sides, count):
    """Memory, threads and descriptors of shims side by side, and what one more container costs each."""
    for pair in sorted({side.pair for side in sides}):
        mine = [side for side in sides if side.pair == pair]
        # Ours and the reference share no pages: they need not be apart.
        all = {side: [Pod(side).run() for _ in range(count)] for side in mine}
        pids = {side: [pod.shim_pid() for pod in all[side]] for side in mine}
        time.sleep(IDLE)
        before = {side: [memory(pid) for pid in pids[side]] for side in mine}
        for side in mine:
            for pod in all[side]:
                pod.add()
        time.sleep(IDLE / 2)
        for side in mine:
            for pid, first in zip(pids[side], before[side]):
                second = memory(pid)
                for name, value in first.items():
                    figures.add(f"pod {name}", side, value)
                    figures.add(f"more {name}", side, second[name] - value)
            for pod in all[side]:
                pod.remove()


def task_life(figures, sides, rounds):
    """Create, Start, Wait and Delete of /bin/true by the daemon's task API."""
    for _ in range(rounds):
        for side in shuffled(sides):
            task = side.quiet_task(["/bin/true"]).container()
            with Clock(side) as clock:
                task.create()
                created = time.perf_counter()
                task.start()
                started = time.perf_counter()
                task.wait()
                waited = time.perf_counter()
                task.delete()
            figures.add("task create wall", side, (created - clock.began) * 1000)
            figures.add("task start wall", side, (started - created) * 1000)
            figures.add("task delete wall", side, clock.wall - (waited - clock.began) * 1000)
            figures.add("task life wall", side, clock.wall)
            figures.add("task life cpu", side, clock.cpu)
            task.forget()


def task_exec(figures, sides, rounds):
    """Exec, Start, Wait and DeleteProcess of /bin/true by the daemon's task API."""
    process = json_any("Process", process_spec(["/bin/true"]))
    tasks = {side: side.quiet_task(SLEEP).run() for side in sides}
    for number in range(rounds + 2):
        for side, task in shuffled(list(tasks.items())):
            whose = {"container_id": task.id, "exec_id": f"x{number}"}
            with Clock(side) as clock:
                task.tasks.Exec(spec=process, **whose)
                task.tasks.Start(**whose)
                task.tasks.Wait(**whose)
                task.tasks.DeleteProcess(**whose)
            # The first ones load programs.
            if number >= 2:
                figures.add("task exec wall", side, clock.wall)
                figures.add("task exec cpu", side, clock.cpu)
    for task in tasks.values():
        task.kill()
        task.wait()
        task.forget()


def split(figures, key, side, clock, daemon, per=1):
    """All CPU of it, and which part of it is the daemon's and the client's."""
    figures.add(f"{key} cpu", side, (clock.cpu + clock.client) / per)
    figures.add(f"{key} cpu daemon", side, daemon / per)
    figures.add(f"{key} cpu client", side, clock.client / per)
    figures.add(f"{key} cpu shim", side, (clock.cpu - daemon) / per)
    figures.add(f"{key} host", side, clock.host / per)
    figures.add(f"{key} wall", side, clock.wall / per)


def probes(figures, sides, count, block):
    """ExecSync of /bin/true, as a kubelet's probe: CPU of a probe, in blocks that take turns."""
    all = {side: Pod(side).run() for side in sides}
    for pod in all.values():
        pod.exec(["/bin/true"])
    for _ in range(count // block):
        for side in shuffled(sides):
            daemon = side.daemon_cpu()
            with Clock(side) as clock:
                for _ in range(block):
                    all[side].exec(["/bin/true"])
            split(figures, "probe", side, clock, side.daemon_cpu() - daemon, block)
    for pod in all.values():
        pod.remove()


def many_pods(figures, sides, count, rounds):
    """So many pods at the same time, each with one container: all CPU until they run, and until they are gone."""
    for _ in range(rounds):
        for side in shuffled(sides):
            many_of_one(figures, side, count)


def many_of_one(figures, side, count):
    with ThreadPoolExecutor(count) as pool:
        daemon = side.daemon_cpu()
        with Clock(side) as clock:
            all = list(pool.map(lambda _: Pod(side).run(), range(count)))
        split(figures, "many start", side, clock, side.daemon_cpu() - daemon)
        daemon = side.daemon_cpu()
        with Clock(side) as clock:
            list(pool.map(Pod.remove, all))
        split(figures, "many stop", side, clock, side.daemon_cpu() - daemon)
