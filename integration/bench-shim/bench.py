#!/usr/bin/python3
"""The shim measured against the reference: containerd-shim-runc-v2 with runc, in one run, in namespaces of its own.

  integration/bench-shim/bench.py --shim PATH [--only MEASURE]... [--out DIRECTORY]

Two pairs: the newest containerd, shim and runc of Debian, and those of bookworm (integration/containerd/daemons.sh and
integration/peers.sh fetch them). QUICK=1: smaller counts. DIRECTORY (default docs/bench) gets shim.md and shim.svg.

Owns: arguments, namespaces, counts, the order of measures.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

# The source tree stays as it is.
sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
INTEGRATION = os.path.dirname(HERE)
PROJECT = os.path.dirname(INTEGRATION)
sys.path.append(INTEGRATION + "/containerd")
PEERS = PROJECT + "/target/bench-shim/peers"

QUICK = os.environ.get("QUICK", "") not in ("", "no", "0")
NEW, OLD = "new", "old"
MEASURES = ("pods", "life", "exec", "direct", "calls", "output", "probes", "many", "growth")
COUNTS = {
    "pods": 3 if QUICK else 10,
    "life": 4 if QUICK else 20,
    "execs": 5 if QUICK else 40,
    "direct life": 4 if QUICK else 15,
    "direct execs": 10 if QUICK else 60,
    "call rounds": 3 if QUICK else 5,
    "calls": 100 if QUICK else 400,
    "output rounds": 1 if QUICK else 3,
    "megabytes": 128 if QUICK else 1024,
    "probes": {NEW: 40 if QUICK else 1000, OLD: 20 if QUICK else 200},
    "probe block": 10 if QUICK else 50,
    "many": {NEW: 12 if QUICK else 105, OLD: 6 if QUICK else 35},
    "many rounds": 1 if QUICK else 3,
    "growth": {"dunnage": 500 if QUICK else 10000, "reference": 50 if QUICK else 300},
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shim", required=True, help="containerd-shim-dunnage-v2")
    parser.add_argument("--only", action="append", choices=MEASURES, help="not all measures")
    parser.add_argument("--out", default=PROJECT + "/docs/bench", help="where shim.md and shim.svg are written")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    return parser.parse_args()


def fetch():
    """The two pairs as {pair: (directory of containerd, runc)}."""
    subprocess.run([INTEGRATION + "/containerd/daemons.sh"], check=True)
    if not os.path.exists(PEERS + "/list"):
        subprocess.run([INTEGRATION + "/peers.sh", PEERS], check=True, env={**os.environ, "YOUKI": "no"})
    with open(PROJECT + "/target/containerd/list") as f:
        containerds = {suite: directory for suite, _, directory in (line.split() for line in f)}
    with open(PEERS + "/list") as f:
        runc = next(path for name, _, path in (line.split() for line in f) if name == "runc")
    return {NEW: (containerds["sid"], runc), OLD: (containerds["bookworm"], containerds["bookworm"] + "/runc")}


def outside(args):
    from run import remove_cgroups

    pairs = fetch()
    parent = f"/dunnage-bench-{os.getpid()}"
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", sys.executable]
    words += [os.path.abspath(__file__), "--shim", os.path.realpath(args.shim), "--out", os.path.abspath(args.out)]
    for name in args.only or []:
        words += ["--only", name]
    base = tempfile.mkdtemp(prefix="db")
    os.chmod(base, 0o711)
    words += ["--inside", json.dumps({"parent": parent, "pairs": pairs, "base": base})]
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL).returncode
    finally:
        # The namespaces have ended, and with them all processes and mounts.
        remove_cgroups(parent)
        shutil.rmtree(base, ignore_errors=True)


# From here on: inside of the namespaces.


def inside(args, place):
    import run

    child = os.fork()
    if child != 0:
        run.reap_while(child)
    run.prepare_mounts("host")
    run.make_cgroup(place["parent"])
    import report

    began = time.monotonic()
    figures, facts = measure(args, place, place["base"])
    facts["seconds"] = round(time.monotonic() - began)

    os._exit(report.write(figures, facts, args.out, args.only))


def measure(args, place, base):
    import direct
    import images
    import measures
    import meters

    images.rootfs(base + "/rootfs")
    images.pause(base + "/pause")
    images.archive(base + "/images.tar", base + "/rootfs", base + "/pause")
    events = base + "/events.sock"
    direct.sink(events)
    facts = {"machine": meters.machine(), "load": meters.load(), "counts": COUNTS, "quick": QUICK, **versions(args, place)}
    figures = measures.Figures()
    wanted = args.only or MEASURES
    if {"life", "exec", "pods", "probes", "many"} & set(wanted):
        with_daemons(figures, wanted, args, place, base)
    if {"direct", "calls", "output", "growth"} & set(wanted):
        without_daemons(figures, wanted, args, place, base, events)
    return figures, facts


def step(name, wanted, function, *arguments):
    if name in wanted:
        began = time.monotonic()
        function(*arguments)
        print(f"bench-shim: {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def with_daemons(figures, wanted, args, place, base):
    import measures
    from sides import OURS, REFERENCE, Side

    sides = []
    for pair, (binaries, runc) in place["pairs"].items():
        for kind, shim in ((OURS, args.shim), (REFERENCE, binaries + "/containerd-shim-runc-v2")):
            side = Side(kind, pair, binaries, shim, runc, base, place["parent"], base + "/rootfs")
            side.start(base + "/images.tar")
            sides.append(side)
    step("pods", wanted, measures.pods, figures, sides, COUNTS["pods"])
    step("life", wanted, measures.task_life, figures, sides, COUNTS["life"])
    step("exec", wanted, measures.task_exec, figures, sides, COUNTS["execs"])
    for pair in place["pairs"]:
        mine = [side for side in sides if side.pair == pair]
        step("probes", wanted, measures.probes, figures, mine, COUNTS["probes"][pair], COUNTS["probe block"])
        step("many", wanted, measures.many_pods, figures, mine, COUNTS["many"][pair], COUNTS["many rounds"])
    for side in sides:
        side.daemon.stop()


def without_daemons(figures, wanted, args, place, base, events):
    import without
    from direct import Side
    from sides import OURS, REFERENCE

    binaries, runc = place["pairs"][NEW]
    # No daemon, no pair: ours is the same in both.
    sides = [Side(OURS, "*", args.shim, runc, binaries + "/containerd", base, place["parent"], base + "/rootfs", events)]
    for pair, (binaries, runc) in place["pairs"].items():
        shim = binaries + "/containerd-shim-runc-v2"
        sides.append(Side(REFERENCE, pair, shim, runc, binaries + "/containerd", base, place["parent"], base + "/rootfs", events))
    step("direct", wanted, without.life, figures, sides, COUNTS["direct life"])
    step("output", wanted, without.output, figures, sides, COUNTS["output rounds"], COUNTS["megabytes"])
    running = without.Running(sides)
    step("direct", wanted, without.execs, figures, running, COUNTS["direct execs"])
    step("calls", wanted, without.calls, figures, running, COUNTS["call rounds"], COUNTS["calls"])
    step("growth", wanted, without.growth, figures, running, COUNTS["growth"])
    running.end()


def said(*words):
    text = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20).stdout.decode()
    return text.splitlines()[0] if text else "?"


def versions(args, place):
    pairs = {}
    for pair, (binaries, runc) in place["pairs"].items():
        # Debian's additions to a version (+ds1, ~ds1) tell nothing.
        daemon, runtime = (re.split("[+~]", said(path, "--version").split()[2])[0] for path in (binaries + "/containerd", runc))
        sizes = {name: os.path.getsize(path) for name, path in (("shim", binaries + "/containerd-shim-runc-v2"), ("runc", runc))}
        pairs[pair] = {"containerd": daemon, "runc": runtime, "bytes": sizes}
    commit = said("git", "-C", PROJECT, "rev-parse", "--short", "HEAD")
    return {"pairs": pairs, "commit": commit, "bytes": os.path.getsize(args.shim)}


def main():
    args = arguments()
    if args.inside:
        inside(args, json.loads(args.inside))
    return outside(args)


if __name__ == "__main__":
    sys.exit(main())
