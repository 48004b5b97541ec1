#!/usr/bin/env python3
"""Runs the validation suite of the OCI's runtime-tools against two runtimes, check by check, and holds the result against
what is recorded in expected.txt.

    integration/validation/run.py --suite target/validation/suite --runtime target/.../dunnage [--reference runc]

Fails if a check fails with ours that the reference passes; if a check fails that is not recorded with its reason; if
a recorded failure has gone away; if there are fewer tests or checks than recorded. Every test runs in mount, pid, cgroup, network
and ipc namespaces of its own (inside.py), in control groups of its own, with a time limit.

    --only PATTERN     the tests whose name contains it; nothing is missed then
    --keep DIRECTORY   the output of every test, by each runtime
    --report FILE      docs/validation.md
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# The source tree stays as it is.
sys.dont_write_bytecode = True

import expected  # noqa: E402
import report  # noqa: E402
import tap  # noqa: E402

HERE = Path(__file__).resolve().parent
SECONDS = 120 * int(os.environ.get("DUNNAGE_TEST_SLOW", "1"))
# A test mostly sleeps: it looks once a second whether its container has ended.
AT_ONCE = 6
# Faults of one test that are told one by one.
MANY = 6


@dataclass(frozen=True)
class Runtime:
    """`name` is what the list calls it."""

    name: str
    path: str


class Groups:
    """Control groups of one run, in every hierarchy; what is in them ended with its pid namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
        self.roots = [Path(where) for _, where, kind, *_ in mounts
                      if kind in ("cgroup", "cgroup2") and where.startswith("/sys/fs/cgroup")]

    def make(self, test: str) -> list[Path]:
        """The files of a test's groups into which its first process is written."""
        files = []
        for root in self.roots:
            parent, group = root / self.name, root / self.name / test
            for directory in (parent, group):
                directory.mkdir(exist_ok=True)
                for file in ("cpuset.cpus", "cpuset.mems"):
                    # On v1 a new group has none, and takes no process. On v2 they are the parent's by themselves.
                    if (directory / file).exists() and not (directory / "cgroup.controllers").exists():
                        (directory / file).write_text((root / file).read_text("ascii"), "ascii")
            if (root / "cgroup.controllers").exists():
                for directory in (root, parent):
                    all_of_them = (directory / "cgroup.controllers").read_text("ascii").split()
                    for controller in all_of_them:
                        (directory / "cgroup.subtree_control").write_text(f"+{controller}", "ascii")
            files.append(group / "cgroup.procs")
        return files

    def remove(self, test: str = "") -> None:
        """A process that was killed may take a moment to leave."""
        for root in self.roots:
            group = root / self.name / test
            for directory, _, _ in os.walk(group, topdown=False):
                for _ in range(100):
                    try:
                        os.rmdir(directory)
                        break
                    except FileNotFoundError:
                        break
                    except OSError:
                        time.sleep(0.05)


def one(suite: Path, groups: Groups, test: str, runtime: Runtime, keep: Path | None) -> list[tap.Check]:
    """Runs a test against a runtime."""
    unique = f"{test}-{runtime.name}"
    files = [str(file) for file in groups.make(unique)]
    enter = 'for file do [ "$file" != -- ] || break; echo $$ >"$file"; shift; done; shift; exec "$@"'
    command = ["/bin/sh", "-c", enter, "sh", *files, "--",
               "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--cgroup", "--ipc",
               sys.executable, str(HERE / "inside.py"), str(SECONDS), str(suite / "bin" / test)]
    environment = {"PATH": os.environ["PATH"], "RUNTIME": runtime.path, "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(command, cwd=suite, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=SECONDS + 30, check=False)
        out, err, status = done.stdout, done.stderr, done.returncode
    except subprocess.TimeoutExpired as late:
        out, err, status = late.stdout or b"", (late.stderr or b"") + b"\nstopped\n", 124
    groups.remove(unique)
    text = out.decode("utf-8", "replace")
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        said = f"{text}\n-- stderr\n{err.decode('utf-8', 'replace')}\n-- status {status}\n"
        (keep / f"{test}.{runtime.name}").write_text(said, "utf-8")
    return tap.parse(text, status)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--runtime", required=True)
    parser.add_argument("--reference", default=os.environ.get("RUNC", "runc"))
    parser.add_argument("--only")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--report", type=Path)
    return parser.parse_args()


def binary(name: str) -> str:
    path = shutil.which(name)
    if not path:
        sys.exit(f"{name}: no such program")
    return os.path.abspath(path)


def first_line(runtime: Runtime) -> str:
    done = subprocess.run([runtime.path, "--version"], capture_output=True, encoding="utf-8", check=True)
    return done.stdout.splitlines()[0].replace(" version ", " ")


def main() -> int:
    given = arguments()
    if os.geteuid() != 0:
        sys.exit("the tests make containers: that needs root")
    start = time.monotonic()
    suite = given.suite.resolve()
    ours, reference = Runtime("ours", binary(given.runtime)), Runtime("reference", binary(given.reference))
    tests = sorted(file.name for file in (suite / "bin").iterdir() if not given.only or given.only in file.name)
    groups = Groups(f"dunnage-validation-{os.getpid()}")
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            running = {(test, runtime): pool.submit(one, suite, groups, test, runtime, given.keep)
                       for test in tests for runtime in (ours, reference)}
            results = {test: (running[test, ours].result(), running[test, reference].result()) for test in tests}
    finally:
        groups.remove()

    recorded = expected.read(HERE / "expected.txt")
    rows = [report.Row(test, *results[test], recorded.get(test)) for test in tests]
    print("\n".join(report.table(rows)))
    if given.report:
        version = (suite / "version").read_text("utf-8").strip()
        given.report.write_text(report.page(rows, version, [first_line(ours), first_line(reference)]), "utf-8")
    faults = []
    for row in rows:
        of_it = expected.faults(row)
        # A test that does not begin fails in all of its checks.
        faults += of_it[:MANY] + [f"{row.test}: and {len(of_it) - MANY} more"] * (len(of_it) > MANY)
    if not given.only:
        faults += [f"{test}: recorded, but not in the suite" for test in recorded if test not in tests]
    for fault in faults:
        print(f"FAILED  {fault}")
    made = sum(len(row.ours) for row in rows)
    print(f"{len(rows)} tests, {made} checks each, against {ours.path} and {reference.path}: {time.monotonic() - start:.0f} s")
    failed = len({fault.split(":")[0] for fault in faults})
    print(f"{len(rows) - failed} passed, {failed} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
