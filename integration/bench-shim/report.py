"""docs/bench/shim.md and the lines that are printed: what was measured, as tables, with how it was.

Owns: rows, units, words. The picture is svg.py's, the promises are budgets.py's.
"""

import json
import os
import sys
import time

import svg
from budgets import NEW, OURS, REFERENCE, budgets
from meters import median

OLD = "old"
# (title, how, [(label, key, unit)])
TABLES = [
    ("An idle pod", "{pods} pods side by side, each with its pause and one more container, after ten seconds: median of a shim. *One more*: what a further container adds.", [
        ("PSS", "pod pss", "KiB"), ("RSS", "pod rss", "KiB"), ("anonymous", "pod anon", "KiB"), ("private dirty", "pod dirty", "KiB"),
        ("page tables (VmPTE)", "pod pte", "KiB"), ("threads", "pod threads", ""), ("descriptors", "pod fds", ""),
        ("one more: PSS", "more pss", "KiB"), ("one more: anonymous", "more anon", "KiB"), ("one more: descriptors", "more fds", ""),
    ]),
    ("A task of /bin/true, by the daemon", "{life} rounds; without streams. CPU is that of the daemon, the shim, the runtime and the container.", [
        ("Create", "task create wall", "ms"), ("Start", "task start wall", "ms"), ("Delete", "task delete wall", "ms"),
        ("Create, Start, Wait, Delete", "task life wall", "ms"), ("the same, CPU", "task life cpu", "ms"),
    ]),
    ("A task of /bin/true, without a daemon", "{direct life} rounds: the shim's commands and its task API, spoken directly. CPU is that of the shim, the runtime and the container.", [
        ("`start`", "direct start wall", "ms"), ("Create, Start, Wait, Delete", "direct life wall", "ms"),
        ("Shutdown and `delete`", "direct end wall", "ms"), ("all of it", "direct whole wall", "ms"), ("all of it, CPU", "direct whole cpu", "ms"),
    ]),
    ("An exec of /bin/true", "Exec, Start, Wait, Delete: {execs} rounds by the daemon, {direct execs} without.", [
        ("by the daemon", "task exec wall", "ms"), ("by the daemon, CPU", "task exec cpu", "ms"),
        ("without a daemon", "direct exec wall", "ms"), ("without a daemon, CPU", "direct exec cpu", "ms"),
    ]),
    ("Exec probes", "ExecSync of /bin/true through the CRI, one after the other: {probes[new]} ({probes[old]} with the older pair) in blocks of {probe block}. A probe's CPU; *all* is the daemon, the client (Python's gRPC), the shim, the runtime and the container.", [
        ("all", "probe cpu", "ms"), ("the daemon's part", "probe cpu daemon", "ms"), ("the client's part", "probe cpu client", "ms"),
        ("shim, runtime, container", "probe cpu shim", "ms"), ("wall", "probe wall", "ms"),
    ]),
    ("Many pods at once", "{many[new]} pods ({many[old]} with the older pair) of pause and one container, all in parallel, on the host's network; {many rounds} rounds: CPU until all run, and until all are removed. *Whole host*: /proc/stat, other work of the machine included.", [
        ("start: all", "many start cpu", "s"), ("start: the daemon's part", "many start cpu daemon", "s"), ("start: the client's part", "many start cpu client", "s"),
        ("start: shims, runtimes, containers", "many start cpu shim", "s"), ("start: whole host", "many start host", "s"), ("start: wall", "many start wall", "s"),
        ("stop: all", "many stop cpu", "s"), ("stop: the daemon's part", "many stop cpu daemon", "s"), ("stop: the client's part", "many stop cpu client", "s"),
        ("stop: shims, runtimes, containers", "many stop cpu shim", "s"), ("stop: whole host", "many stop host", "s"), ("stop: wall", "many stop wall", "s"),
    ]),
    ("Single calls", "{call rounds} blocks of {calls} round trips over one connection, client and server on one processor: as a (Python) client sees them, and CPU of the server for each.", [
        ("Connect, round trip", "Connect wall", "us"), ("Connect, server", "Connect cpu", "us"), ("State, round trip", "State wall", "us"),
        ("State, server", "State cpu", "us"), ("Stats, round trip", "Stats wall", "us"), ("Stats, server", "Stats cpu", "us"),
    ]),
    ("Output", "{output rounds} times {megabytes} MiB of a container's stdout through the shim to a FIFO.", [
        ("CPU of the shim", "output cpu", "ms"), ("wall", "output wall", "ms"),
    ]),
    ("Growth", "Anonymous memory after {growth[dunnage]} execs (the reference: {growth[reference]}) less that before the first.", [
        ("anonymous", "growth", "KiB"), ("of it, by the first 40", "growth first", "KiB"), ("descriptors", "growth fds", ""),
    ]),
]  # fmt: skip


def show(value, unit):
    if value is None:
        return "-"
    value = value / 1000 if unit == "s" else value
    digits = 0 if unit in ("KiB", "") else 2 if abs(value) < 100 else 1
    return f"{value:.{digits}f}"


def ratio(ours, theirs):
    return f"{ours / theirs:.2f}" if ours is not None and theirs else "-"


def table(figures, facts, title, how, rows):
    lines = []
    for label, key, unit in rows:
        cells = []
        for pair in (NEW, OLD):
            ours, theirs = (median(figures.of(key, kind, pair)) for kind in (OURS, REFERENCE))
            cells += [show(ours, unit), show(theirs, unit), ratio(ours, theirs)]
        if any(cell != "-" for cell in cells):
            lines.append(f"| {label}{', ' + unit if unit else ''} | {' | '.join(cells)} |")
    if not lines:
        return []
    names = [f"dunnage | reference {facts['pairs'][pair]['containerd']} | ratio" for pair in (NEW, OLD)]
    head = [f"| | {names[0]} | {names[1]} |", "|---|" + "---:|" * 6]
    return [f"## {title}", "", how.format(**facts["counts"]), "", *head, *lines, ""]


def candidates(facts):
    mib = 1 << 20
    lines = ["| | containerd | shim | runc |", "|---|---|---|---|"]
    for pair in (NEW, OLD):
        one = facts["pairs"][pair]
        sizes = {name: f"{bytes / mib:.1f} MiB" for name, bytes in one["bytes"].items()}
        lines.append(f"| reference {one['containerd']} | {one['containerd']} | containerd-shim-runc-v2, {sizes['shim']} | {one['runc']}, {sizes['runc']} |")
    lines.append(f"| dunnage | each of them | containerd-shim-dunnage-v2, {facts['bytes'] / mib:.1f} MiB, {facts['commit']} | - |")
    return lines


def held(figures, facts):
    lines = ["| | measured | at most | |", "|---|---:|---:|---|"]
    for budget in budgets(figures, facts["counts"]):
        of = f" ({budget.of})" if budget.of else ""
        measured, limit = (f"{show(value, budget.unit)} {budget.unit}".strip() for value in (budget.measured, budget.limit))
        lines.append(f"| {budget.what} | {measured} | {limit}{of} | {budget.verdict} |")
    return lines


def document(figures, facts):
    quick = " Counts were small (QUICK=1): take no figure from here." if facts["quick"] else ""
    lines = [
        "<!-- Written by `make bench-shim`; do not edit. -->", "# The shim, measured", "",
        "Repeat it with `make bench-shim` (as root; it fetches the daemons and runtimes of Debian). The reference is",
        "containerd-shim-runc-v2 with runc, each pair in one run with ours, under the same containerd. The candidates take turns,",
        "round by round, in another order each time. Figures are medians. CPU time is that of a cgroup in which a candidate's daemon, shims,",
        "runtimes and containers are, so that other work of the machine is not counted; work that the kernel does on its own",
        "threads (the end of a cgroup, of a namespace) is counted for nobody.", "",
        f"{time.strftime('%Y-%m-%d')}: {facts['machine']}. Load average before the run: {facts['load']}; it took {facts['seconds']} s.{quick}", "",
        *candidates(facts), "", "![The shim against the reference](shim.svg)", "", "## Budgets", "",
        f"Against the newer pair (containerd {facts['pairs'][NEW]['containerd']}, runc {facts['pairs'][NEW]['runc']}).", "",
        *held(figures, facts), "",
    ]  # fmt: skip
    for one in TABLES:
        lines += table(figures, facts, *one)
    return "\n".join(lines).rstrip("\n") + "\n"


def write(figures, facts, directory, only):
    """Prints and writes all; a run of some measures is only printed. What is missed is told, and is no failure of the run."""
    text = document(figures, facts)
    print("\n".join(line for line in text.splitlines() if line.startswith("|") or line.startswith("## ")))
    if only:
        return 0
    with open(directory + "/shim.md", "w") as f:
        f.write(text)
    with open(directory + "/shim.svg", "w") as f:
        f.write(svg.plot(figures, facts))
    raw = {key: {f"{kind} {pair}": values for (kind, pair), values in by.items()} for key, by in figures.samples.items()}
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../target/bench-shim/samples.json")
    with open(path, "w") as f:
        json.dump({"facts": facts, "samples": raw}, f)
    print(f"bench-shim: {directory}/shim.md, shim.svg", file=sys.stderr)
    return 0
