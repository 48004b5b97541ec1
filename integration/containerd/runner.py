"""Runs the tests of one daemon: the registry of tests, what a test is given, what is checked after each.

Owns: the order, the time limits, the lines of output, the list of known differences. Runs in namespaces that run.py has made.
"""

import fnmatch
import json
import os
import re
import shutil
import threading
import time
import traceback

import leftovers
import ttrpc
from checks import Alarm, Differences, contains, equal, eventually  # noqa: F401  (the cases take them from here)
from process import Task
from wire import SCHEMA, decode

TESTS = []
FULL = os.environ.get("FULL", "no") not in ("", "no", "0")


def test(name=None, versions=None, limit=60):
    """Registers a test. VERSIONS: a function of the daemon's version that says whether it applies; LIMIT: seconds."""

    def register(function):
        TESTS.append((name or function.__name__, function, versions or (lambda version: True), limit))
        return function

    return register


def count(reduced, full):
    """How often: little for every day, all of it with FULL=yes."""
    return full if FULL else reduced


class World:
    """What a test is given."""

    namespace = "t"

    def __init__(self, daemon, place, rootfs, name, differences):
        self.known = differences.of
        self.daemon, self.place, self.rootfs = daemon, place, rootfs
        self.name = re.sub("[^a-z0-9]", "", name.lower())[:20]
        self.directory = f"{daemon.base}/t"
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        self.made = []
        self.at_end = []

    def task(self, args, **more):
        if isinstance(args, str):
            args = ["/bin/sh", "-c", args]
        return Task(self, args, **more)

    def bundle(self, id, namespace=None):
        return f"{self.daemon.base}/state/io.containerd.runtime.v2.task/{namespace or self.namespace}/{id}"

    def shim_address(self, id, namespace=None):
        bundle = self.bundle(id, namespace)
        text = leftovers.read(bundle + "/address")
        if not text:
            text = json.loads(leftovers.read(bundle + "/bootstrap.json"))["address"]
        return text.strip()

    def shim(self, id, namespace=None):
        """The pid of a container's shim."""
        return ttrpc.shim_pid(self.shim_address(id, namespace), id)

    def events(self, *topics):
        return Events(self, topics or ("/tasks/",))

    def close(self):
        problems = []
        for step in reversed(self.at_end):
            self._try(step, problems)
        for process in self.made:
            process.release()
        for process in reversed(self.made):
            if isinstance(process, Task) and process.created:
                self._try(process.forget, problems)
        return problems

    @staticmethod
    def _try(step, problems):
        try:
            step()
        except Exception as error:
            problems.append(str(error))


class Events:
    """The daemon's events of our namespace since now, decoded, in their order."""

    def __init__(self, world, topics):
        self.seen, self.changed = [], threading.Condition()
        self.stream, envelopes = world.daemon.connection.subscribe([f'topic~="^{topic}"' for topic in topics])

        def read():
            try:
                for envelope in envelopes:
                    kind = envelope.event.type_url.rpartition(".")[2]
                    if envelope.namespace != world.namespace or kind not in SCHEMA:
                        continue
                    with self.changed:
                        self.seen.append((kind, decode(kind, envelope.event.value)))
                        self.changed.notify_all()
            except Exception:  # the end of the stream: cancelled, or the daemon is gone
                pass

        threading.Thread(target=read, daemon=True).start()
        world.at_end.append(self.stream.cancel)
        # The stream is there when the daemon has answered: its first bytes are the headers.
        time.sleep(0.2)

    def of(self, id):
        """[(kind, exec id or container id)] of one container."""
        with self.changed:
            events = [(kind, event) for kind, event in self.seen if event.container_id == id]
        return [(kind, event.get("exec_id") or event.get("id") or id) for kind, event in events]

    def wait_for(self, kind, id, /, timeout=10, **fields):
        def found():
            for seen, event in self.seen:
                if seen == kind and event.container_id == id and all(event[name] == value for name, value in fields.items()):
                    return event
            return None

        with self.changed:
            if not self.changed.wait_for(found, timeout):
                raise AssertionError(f"no {kind} of {id} {fields}, but {[(k, e.container_id) for k, e in self.seen]}")
            return found()


class Runner:
    def __init__(self, daemon, place, rootfs, label, differences, logs):
        self.daemon, self.place, self.rootfs, self.label = daemon, place, rootfs, label
        self.differences, self.logs = differences, logs
        self.passed = self.failed = 0

    def run(self, only):
        for name, function, applies, limit in TESTS:
            if applies(self.daemon.version) and any(fnmatch.fnmatch(name.lower(), f"*{pattern.lower()}*") for pattern in only):
                self.one(name, function, limit)

    def one(self, name, function, limit):
        began = time.monotonic()
        mark = os.path.getsize(self.daemon.base + "/daemon.log")
        world = World(self.daemon, self.place, self.rootfs, name, self.differences)
        error = None
        try:
            with Alarm(limit):
                function(world)
        except BaseException as problem:
            if isinstance(problem, KeyboardInterrupt):
                raise
            error = self.describe(problem)
        try:
            with Alarm(60):
                error = self.after(world, error)
        except Exception as problem:
            error = error or f"cleaning up: {self.describe(problem)}"
        self.report(name, error, time.monotonic() - began, mark)
        if error:
            self.renew()

    @staticmethod
    def describe(problem):
        places = [frame for frame in traceback.extract_tb(problem.__traceback__) if "/cases/" in frame.filename]
        where = f" (line {places[-1].lineno})" if places else ""
        kind = "" if isinstance(problem, AssertionError) else type(problem).__name__ + ": "
        text = str(problem)
        return f"{kind}{text if len(text) < 1500 else text[:700] + ' ... ' + text[-700:]}{where}"

    def after(self, world, error):
        problems = world.close()
        if not error and problems:
            error = "cleaning up: " + "; ".join(problems)
        left = self.place.settle(0.1 if error else 10)
        if not error and left:
            error = "left behind: " + "; ".join(left)
        return error

    def report(self, name, error, seconds, mark):
        known = self.differences.of(name)
        if error and known:
            self.passed += 1
            line = f"ok      {name}: fails as is known: {known[1]}"
            if os.environ.get("VERBOSE"):
                line += f"\n        {error}"
        elif error:
            self.failed += 1
            line = f"FAILED  {name}: {error}\n        the daemon's log: {self.save_log(name, mark)}"
        elif known and not known[0]:
            self.failed += 1
            line = f"FAILED  {name}: it passes, and is listed as a difference: {known[1]}"
        else:
            self.passed += 1
            line = f"ok      {name}"
        for part in f"{line} [{seconds:.1f} s]".splitlines():
            print(f"{self.label}  {part}", flush=True)

    def save_log(self, name, mark):
        os.makedirs(self.logs, exist_ok=True)
        path = os.path.join(self.logs, name + ".log")
        with open(self.daemon.base + "/daemon.log", "rb") as source, open(path, "wb") as target:
            source.seek(mark)
            target.write(source.read())
        return path

    def renew(self):
        self.daemon.kill()
        self.place.remove()
        self.daemon.renew()
        self.daemon.start()
