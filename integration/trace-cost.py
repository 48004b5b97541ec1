#!/usr/bin/env python3
"""What --trace costs: runs of /bin/true with and without it, by turns, as root.

    integration/trace-cost.py DUNNAGE [PAIRS]

Prints the medians of processor time (user and system, of the runtime and of all that it has waited for) and of elapsed time, and the
median of the differences within the pairs. On a busy machine only the processor time means something.
"""
import json, os, shutil, statistics, subprocess, sys, tempfile, time


def run(dunnage, work, number, trace):
    argv = [dunnage, "--root", f"{work}/root", "run"]
    if trace:
        argv += ["--trace", f"{work}/trace-{number}.json"]
    begin = time.monotonic()
    child = subprocess.Popen(argv + ["cost"], cwd=work, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    elapsed = time.monotonic() - begin
    child.returncode = status
    if status:
        sys.exit(f"run ended with {status}")
    return (usage.ru_utime + usage.ru_stime) * 1e3, elapsed * 1e3


def main():
    dunnage, pairs = os.path.abspath(sys.argv[1]), int((sys.argv + ["300"])[2])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as work:
        os.makedirs(f"{work}/rootfs/bin")
        shutil.copy("/bin/busybox", f"{work}/rootfs/bin/true")
        subprocess.run([dunnage, "spec"], cwd=work, check=True)
        with open(f"{work}/config.json") as file:
            config = json.load(file)
        config["process"].update(terminal=False, args=["/bin/true"])
        config["linux"]["cgroupsPath"] = f"/dunnage-trace-cost-{os.getpid()}/c"
        with open(f"{work}/config.json", "w") as file:
            json.dump(config, file)
        run(dunnage, work, "first", True)
        off, on = [], []
        for number in range(pairs):
            # By turns the first, so that neither profits from the other.
            for trace in (False, True) if number % 2 else (True, False):
                (on if trace else off).append(run(dunnage, work, number, trace))
    for index, name in enumerate(["processor time", "elapsed time"]):
        without, with_ = [x[index] for x in off], [x[index] for x in on]
        difference = statistics.median(b - a for a, b in zip(without, with_))
        median = statistics.median(without)
        print(f"{name}: {median:.3f} ms off, {statistics.median(with_):.3f} ms on; "
              f"median difference {difference * 1e3:.0f} us, {100 * difference / median:.2f} % ({pairs} pairs)")
    for base, dirs, _ in os.walk("/sys/fs/cgroup"):
        if f"dunnage-trace-cost-{os.getpid()}" in dirs:
            os.rmdir(os.path.join(base, f"dunnage-trace-cost-{os.getpid()}"))


main()
