#!/usr/bin/env python3
"""Container engines with the runtime under test: podman, buildah, Docker, containerd of some Debian releases, as root and not.

  integration/callers/run.py --dunnage BINARY --shim BINARY [--suite NAME]... [--caller NAME]... [--side NAME]... [--only PATTERN]...

Every case runs with the reference first (runc, and crun for podman), then with ours. What one of the references passes, ours must pass;
what is known to differ is in differences.txt. At the end a table: case, caller, and how each did. VERBOSE=1: why a reference failed.

Owns: arguments, namespaces (enter.sh), the table. Each release's engines run in a root file system of that release (roots.sh).
"""

import argparse
import fnmatch
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback

# The source tree stays as it is.
sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.path.join(PROJECT, "target", "callers")
sys.path[:0] = [HERE, os.path.join(HERE, "..", "containerd")]

from checks import Alarm, Differences  # noqa: E402

SUITES = ("bookworm", "trixie", "sid")
SYSTEM_RUNTIMES = {"runc": "/usr/sbin/runc", "crun": "/usr/bin/crun"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dunnage", help="the runtime under test")
    parser.add_argument("--shim", help="the shim under test")
    parser.add_argument("--suite", action="append", help="Debian releases (default: bookworm, trixie and sid)")
    parser.add_argument("--caller", action="append", help="podman, podman-rootless, buildah, docker, ctr (default: all)")
    parser.add_argument("--side", action="append", help="runc, crun, dunnage, shim (default: all)")
    parser.add_argument("--only", action="append", help="cases whose name contains this; * and ? are wildcards")
    parser.add_argument("--systemd", action="store_true", help="podman where systemd is PID 1: podman-systemd, podman-user")
    parser.add_argument("--list", action="store_true", help="the cases")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    return parser.parse_args()


def load_cases():
    import importlib

    for name in sorted(os.listdir(HERE + "/cases")):
        if name.endswith(".py") and name != "__init__.py":
            importlib.import_module("cases." + name[:-3])
    import registry

    return registry.CASES


def wanted(name, patterns):
    return not patterns or any(fnmatch.fnmatch(name, f"*{pattern}*") for pattern in patterns)


# Inside of the namespaces.


def reap_while(child):
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def describe(problem):
    places = [frame for frame in traceback.extract_tb(problem.__traceback__) if "/cases/" in frame.filename]
    where = f" (line {places[-1].lineno})" if places else ""
    kind = "" if isinstance(problem, AssertionError) else type(problem).__name__ + ": "
    return (kind + str(problem))[:1500] + where


def limited():
    """Whether the hierarchies have controllers."""
    v2 = "/sys/fs/cgroup/cgroup.controllers"
    return not os.path.exists(v2) or "pids" in open(v2).read().split()


def prepare():
    """The image, and what engines have to be told of this machine."""
    import images

    subprocess.run([HERE + "/../rootfs.sh", "/tmp/rootfs"], check=True)
    with open("/tmp/rootfs/etc/passwd", "a") as f:
        f.write("squid:x:31:31:squid:/:/bin/sh\n")
    with open("/tmp/rootfs/etc/group", "a") as f:
        f.write("squid:x:31:\nextra:x:1234:squid\n")
    os.chmod("/tmp/rootfs/tmp", 0o1777)
    subprocess.run(["tar", "-C", "/tmp/rootfs", "--owner=0", "--group=0", "-cf", "/tmp/rootfs.tar", "."], check=True)
    # The default limits of buildah may be above those of this session, which only CAP_SYS_RESOURCE can raise.
    files, processes = (resource.getrlimit(which)[1] for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
    with open("/etc/containers/containers.conf", "w") as f:
        f.write(f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]\n')
        if not limited():
            f.write("pids_limit = 0\n")
    images.of_busybox("/tmp/images.tar", "/tmp/rootfs")


class Place:
    """What there is besides the daemon's own: processes, mounts, cgroups, states of runtimes."""

    STATES = ("/run/runc", "/run/crun", "/run/user/1000/runc", "/run/user/1000/crun", "/run/containerd/s", "/run/containerd/runc/default")

    def __init__(self, caller, daemons=()):
        """DAEMONS: how the command lines of processes begin that may be other ones later."""
        self.caller, self.daemons = caller, tuple(daemons)
        self.quiet = set()
        self.quiet = self.now()

    def now(self):
        import leftovers

        processes = leftovers.processes().items()
        found = {f"process {pid}: {command}" for pid, command in processes if not (self.daemons and command.startswith(self.daemons))}
        points = leftovers.mounts([self.caller.base, "/run"])
        found |= {f"mount {point}" for point in points if not point.endswith(self.caller.mounts)}
        found |= {f"cgroup {path}" for path in leftovers.cgroups("") if not re.search(self.caller.stays, path)}
        for directory in self.STATES:
            if os.path.isdir(directory):
                found |= {f"state {directory}/{name}" for name in os.listdir(directory)}
        return found - self.quiet

    def settle(self, patience):
        deadline = time.monotonic() + patience
        while (left := self.now()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return sorted(left)


def inside(args):
    child = os.fork()
    if child != 0:
        reap_while(child)
    import engines
    import leftovers

    prepare()
    if args.systemd:
        # Parts of the machine's /proc are mounted over, and so the kernel allows none in a user namespace, unless there is a whole one.
        subprocess.run(["mount", "-t", "proc", "proc", "/mnt"], check=True)
    cases = load_cases()
    started = time.monotonic()
    for kind in engines.WITH_SYSTEMD if args.systemd else engines.PLAIN:
        mine = [case for case in cases if kind.name in case.callers and wanted(case.name, args.only)]
        if not mine or (args.caller and kind.name not in args.caller):
            continue
        for name in engines.sides(kind):
            if args.side and name not in args.side:
                continue
            runtime = SYSTEM_RUNTIMES.get(name, "/usr/local/sbin/dunnage")
            shim = "/usr/local/bin/containerd-shim-dunnage-v2" if name == "shim" else None
            # A shim has its runtime linked in: it must ask no other.
            if shim:
                runtime = "/usr/local/sbin/dunnage"
            one_side(kind(engines.Side(name, runtime, shim), f"/tmp/{kind.name}-{name}"), mine)
    left = [] if args.systemd else sorted(leftovers.processes().values())
    say(end=True, seconds=time.monotonic() - started, left=left)
    os._exit(0)


def say(**record):
    print("RESULT " + json.dumps(record), flush=True)


def one_side(caller, cases):
    began = time.monotonic()
    base = Place(caller, caller.host)
    try:
        with Alarm(180):
            caller.start()
            caller.used |= {"pod", "create"}
            caller.reset()
    except Exception as problem:
        for case in cases:
            say(case=case.name, caller=caller.name, side=caller.side.name, error=f"it does not start: {describe(problem)}", seconds=0)
        caller.stop()
        return
    place = Place(caller, caller.daemons)
    for case in cases:
        if case.applies and not case.applies(caller):
            continue
        mark, error = time.monotonic(), None
        try:
            with Alarm(case.limit):
                case.function(caller)
        except Exception as problem:
            error = describe(problem)
        try:
            with Alarm(60):
                if error:
                    caller.used |= {"pod", "create", "volume"}
                caller.reset()
        except Exception as problem:
            error = error or f"cleaning up: {describe(problem)}"
        left = place.settle(0.3 if error else 8)
        if left:
            error = error or "left behind: " + "; ".join(left)
            place = Place(caller, caller.daemons)
        say(case=case.name, caller=caller.name, side=caller.side.name, error=error, seconds=round(time.monotonic() - mark, 2))
    try:
        with Alarm(60):
            caller.stop()
    except Exception as problem:
        say(case="(the end)", caller=caller.name, side=caller.side.name, error=describe(problem), seconds=0)
    # Of the daemon itself nothing may be left, either.
    left = [one for one in base.settle(8) if not one.startswith("state /run/containerd")]
    error = "left behind: " + "; ".join(left) if left else None
    say(case="(the end)", caller=caller.name, side=caller.side.name, error=error, seconds=round(time.monotonic() - began, 2))


# Outside.


def outside(args):
    suites = args.suite or list(SUITES)
    subprocess.run([HERE + "/roots.sh"], env={**os.environ, "SUITES": " ".join(suites)}, check=True)
    results, problems, lock = {}, [], threading.Lock()

    def one(suite):
        parent = f"/dunnage-callers-{suite}-{os.getpid()}"
        root = f"{TARGET}/{suite}"
        with tempfile.TemporaryDirectory(prefix="dunnage-callers-") as directory:
            words = [HERE + "/enter.sh", root, parent, "python3", "/integration/callers/run.py", "--inside", suite]
            if args.systemd:
                words = ["unshare", "--mount", "--propagation", "private", HERE + "/boot.sh", root, "python3", HERE + "/run.py", "--inside", suite, "--systemd"]
            for name in ("caller", "side", "only"):
                for value in getattr(args, name) or []:
                    words += [f"--{name}", value]
            environment = {**os.environ, "TMPDIR": directory, "DUNNAGE": args.dunnage, "SHIM": args.shim}
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, cwd=PROJECT)
            ended = False
            for line in process.stdout:
                line = line.decode(errors="replace").rstrip("\n")
                with lock:
                    if not line.startswith("RESULT "):
                        print(f"{suite}  {line}", flush=True)
                        continue
                    record = json.loads(line[7:])
                    if record.get("end"):
                        ended = True
                        print(f"{suite}  all of it took {record['seconds']:.0f} s", flush=True)
                        problems.extend(f"{suite}: left at the end: {one}" for one in record["left"])
                        continue
                    results[suite, record["caller"], record["case"], record["side"]] = record["error"]
                    tell(suite, record)
            process.wait()
            if not ended:
                problems.append(f"{suite}: the runner did not come to its end")

    threads = [threading.Thread(target=one, args=[suite]) for suite in suites]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return table(results, problems)


def tell(suite, record):
    text = f"{suite}  {record['caller']} {record['side']}  {record['case']}"
    reference = record["side"] in SYSTEM_RUNTIMES
    word = "ok    " if not record["error"] else "no    " if reference else "FAILS "
    why = f": {record['error']}" if record["error"] and (not reference or os.environ.get("VERBOSE")) else ""
    print(f"{word} {text} [{record['seconds']:.1f} s]{why}", flush=True)


def table(results, problems):
    """Case by case, and the verdict."""
    differences = {side: Differences(HERE + "/differences.txt", side) for side in ("dunnage", "shim")}
    passed, failed = 0, list(problems)
    columns = ("runc", "crun", "dunnage", "shim")
    print(f"\n{'case':34} {'caller':26} " + " ".join(f"{name:8}" for name in columns))
    rows = {}
    for (suite, caller, case, side), error in results.items():
        rows.setdefault((case, caller, suite), {})[side] = error
    for (case, caller, suite), sides in sorted(rows.items()):
        marks = {}
        references = [sides[name] for name in SYSTEM_RUNTIMES if name in sides]
        for side, error in sides.items():
            marks[side] = "-" if error else "ok"
            if side in SYSTEM_RUNTIMES:
                continue
            known = differences[side].of(f"{suite}/{caller}/{case}")
            name = f"{suite}/{caller}/{case} of {side}"
            if not error and not (known and not known[0]):
                passed += 1
            elif error and known:
                passed, marks[side] = passed + 1, "known"
            elif not error:
                failed.append(f"{name}: it passes, and is listed: {known[1]}")
            else:
                marks[side] = "FAILED"
                all_fail = references and all(references)
                failed.append(f"{name}{' (the references fail, too: a case for the list, or a wrong one)' if all_fail else ''}: {error}")
        print(f"{case:34} {suite + '/' + caller:26} " + " ".join(f"{marks.get(name, ''):8}" for name in columns))
    for line in failed:
        print("FAILED  " + line)
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


def main():
    args = arguments()
    if args.list:
        for case in load_cases():
            print(f"{case.name:34} {' '.join(case.callers)}")
        return 0
    if args.inside:
        inside(args)
    return outside(args)


if __name__ == "__main__":
    sys.exit(main())
