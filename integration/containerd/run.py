#!/usr/bin/python3
"""The shim under real containerd daemons: one runner for each, in pid and mount namespaces of its own.

  integration/containerd/run.py [--daemon 1.6|1.7|2.1|all] [--shim PATH] [--runc PATH] [--dunnage PATH] [--only PATTERN]... [--list]

Without --shim it is the reference shim that came with each daemon, and with it the known differences of differences.txt count.
FULL=yes: the counts of the long tests in full. VERBOSE=1: why a known difference failed. DUNNAGE_DEBUG=1: the daemons log all.

Owns: arguments, namespaces, the sum. In a namespace: a tmpfs on /run/containerd, mounts shared as on a host, PID 1 that reaps.
What goes wrong in there cannot reach the machine: other processes are not visible, other cgroups show no pids.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

# The source tree stays as it is.
sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.path.join(PROJECT, "target", "containerd")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--daemon", action="append", help="1.6, 1.7, 2.1 or all (default)")
    parser.add_argument("--shim", help="the shim under test (default: the one that came with each daemon)")
    parser.add_argument("--runc", help="the runc that a shim may want (default: the one that came with each daemon)")
    parser.add_argument("--dunnage", help="our runtime, which takes runc's place under the shim that came with each daemon")
    parser.add_argument("--only", action="append", help="tests whose name contains this; * and ? are wildcards")
    parser.add_argument("--cgroups", choices=("host", "v2"), default="host", help="v2: a pure tree of v2, without controllers")
    parser.add_argument("--serial", action="store_true", help="one daemon after the other")
    parser.add_argument("--list", action="store_true", help="the names of the tests")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    return parser.parse_args()


def load_tests():
    import importlib

    sys.path.insert(0, HERE)
    for name in sorted(os.listdir(HERE + "/cases")):
        if name.endswith(".py"):
            importlib.import_module("cases." + name[:-3])
    import runner

    return runner


def daemons(wanted):
    subprocess.run([HERE + "/daemons.sh"], check=True)
    found = []
    with open(TARGET + "/list") as f:
        for line in f:
            _, version, directory = line.split()
            if not wanted or "all" in wanted or any((version + ".").startswith(one + ".") or one == "2.x" and version[0] == "2" for one in wanted):
                found.append((version, directory))
    return found


# From here on: inside of the namespaces.


def reap_while(child):
    """PID 1 of the namespace: reaps what is left to it until the runner has ended."""
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def command(*words):
    subprocess.run(words, check=True, timeout=30)


def prepare_mounts(cgroups):
    # As systemd leaves them on a host: what the shim mounts is seen by all who share.
    command("mount", "--make-rshared", "/")
    os.makedirs("/run/containerd", exist_ok=True)
    command("mount", "-t", "tmpfs", "-o", "mode=711", "tmpfs", "/run/containerd")
    if cgroups == "v2":
        command("umount", "-l", "/sys/fs/cgroup")
        command("mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")


def make_cgroup(parent):
    """Of every hierarchy, so that the tests' containers are below one name wherever they are."""
    import leftovers

    for hierarchy in leftovers.hierarchies():
        path = hierarchy + parent
        os.makedirs(path, exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if os.path.exists(f"{path}/{name}"):
                with open(f"{path}/{name}", "w") as f:
                    f.write(leftovers.read(f"{hierarchy}/{name}"))


def remove_cgroups(parent):
    import leftovers

    for path in sorted(leftovers.cgroups(parent), key=len, reverse=True) + [top + parent for top in leftovers.hierarchies()]:
        try:
            os.rmdir(path)
        except OSError:
            pass


def inside(args, runner):
    binaries, parent = args.inside.split("=")
    child = os.fork()
    if child != 0:
        reap_while(child)
    import images
    from daemon import Daemon
    from leftovers import Place

    # Ignored signals are inherited by all that is started.
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    prepare_mounts(args.cgroups)
    make_cgroup(parent)
    base = tempfile.mkdtemp(prefix="dd")
    # The root of a user namespace goes through it, to its rootfs.
    os.chmod(base, 0o711)
    version = os.path.basename(binaries)
    shim = os.path.realpath(args.shim) if args.shim else binaries + "/containerd-shim-runc-v2"
    runc = os.path.realpath(args.runc) if args.runc else binaries + "/runc"
    images.rootfs(base + "/rootfs")
    images.pause(base + "/pause")
    images.archive(base + "/images.tar", base + "/rootfs", base + "/pause")
    daemon = Daemon(binaries, shim, runc, base, parent, os.path.realpath(args.dunnage) if args.dunnage else None)
    daemon.start()
    daemon.import_images(base + "/images.tar")
    daemon.stop()
    daemon.keep()
    place = Place(base, parent, daemon)
    daemon.start()
    name = ("shim-" if args.shim else "reference-") + version
    differences = runner.Differences(HERE + "/differences.txt", name)
    one = runner.Runner(daemon, place, base + "/rootfs", version, differences, f"{TARGET}/logs/{version}")
    one.run(args.only or ["*"])
    daemon.kill()
    place.remove()
    shutil.rmtree(base, ignore_errors=True)
    print(f"SUM {one.passed} {one.failed}", flush=True)
    os._exit(0)


def outside(args):
    sums, lock = {}, threading.Lock()

    def one(version, directory):
        parent = f"/dunnage-{version}-{os.getpid()}"
        words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", sys.executable]
        words += [sys.argv[0], "--inside", f"{directory}={parent}", "--cgroups", args.cgroups]
        for name in ("shim", "runc", "dunnage"):
            words += [f"--{name}", getattr(args, name)] if getattr(args, name) else []
        for pattern in args.only or []:
            words += ["--only", pattern]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        for line in process.stdout:
            line = line.decode(errors="replace").rstrip("\n")
            with lock:
                if line.startswith("SUM "):
                    sums[version] = tuple(int(word) for word in line.split()[1:])
                else:
                    print(line, flush=True)
        process.wait()
        remove_cgroups(parent)

    found = daemons(args.daemon)
    threads = [threading.Thread(target=one, args=which) for which in found]
    for thread in threads:
        thread.start()
        if args.serial:
            thread.join()
    for thread in threads:
        thread.join()
    passed = sum(one[0] for one in sums.values())
    failed = sum(one[1] for one in sums.values())
    for version, _ in found:
        if version not in sums:
            print(f"{version}  the runner did not come to its end")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main():
    sys.path.insert(0, HERE)
    args = arguments()
    if args.list:
        for name, *_ in load_tests().TESTS:
            print(name)
        return 0
    if args.inside:
        inside(args, load_tests())
    return outside(args)


if __name__ == "__main__":
    sys.exit(main())
