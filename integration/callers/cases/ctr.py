"""containerd's ctr: our binary as BinaryName of containerd's own shim, and our shim. More of the shim, and of the CRI: integration/containerd."""

import os
import signal
import subprocess

from checks import contains, equal, eventually
from registry import case
from terminal import Terminal

LOOP = ["sh", "-c", "trap 'exit 4' TERM; echo up; while :; do sleep 0.1; done"]


def ended_with_4(ctr):
    """Older ctrs say it in words."""
    done = ctr.run("task", "delete", "one", check=False)
    assert done.code == 4 or "non-zero exit code 4" in done.err, (done.code, done.err)


@case("ctr")
def ctr_exit_status(ctr):
    done = ctr.box("one", "--rm", ["sh", "-c", "echo hello; echo problem >&2; exit 3"], check=3)
    equal((done.out, done.err.splitlines()[0]), ("hello\n", "problem"))
    contains(ctr.box("two", "--rm", ["nosuch"], check=1).err, 'exec: "nosuch": executable file not found in $PATH')
    contains(ctr.box("three", "--rm", ["/etc/passwd"], check=1).err, "permission denied")


@case("ctr")
def ctr_life(ctr):
    ctr.box("one", "--detach", "--null-io", LOOP)
    equal(ctr.status("one"), "RUNNING")
    done = ctr.run("task", "exec", "--exec-id", "e1", "one", "sh", "-c", "echo out; exit 5", check=5)
    equal(done.out, "out\n")
    contains(ctr.run("task", "exec", "--exec-id", "e2", "one", "nosuch", check=False).err, "executable file not found in $PATH")
    ctr("task", "pause", "one")
    equal(ctr.status("one"), "PAUSED")
    ctr("task", "resume", "one")
    equal(ctr.status("one"), "RUNNING")
    contains(ctr("task", "ps", "one"), "PID")
    contains(ctr("task", "metrics", "one").lower(), "memory")
    ctr("task", "kill", "one")
    eventually(lambda: ctr.status("one") == "STOPPED", what="its end")
    ended_with_4(ctr)
    ctr("containers", "delete", "one")


@case("ctr")
def ctr_terminal(ctr):
    terminal = Terminal(lambda **streams: subprocess.Popen(ctr.words(["run", *ctr.split("one", ["--rm", "--tty", ["sh"]])]), env=ctr.env(), **streams))
    terminal.write("tty; echo is it $((6 * 7))\n")
    terminal.wait_for("/dev/pts/0")
    terminal.wait_for("is it 42")
    terminal.write("exit 9\n")
    equal(terminal.end(), 9)


@case("ctr")
def ctr_attach(ctr):
    first = ctr.start_command("run", *ctr.split("one", ["--rm", ["sh", "-c", "while read line; do echo got $line; done; exit 6"]]), stdin=-1, stdout=-1)
    first.stdin.write(b"first\n")
    first.stdin.flush()
    equal(first.stdout.readline(), b"got first\n")
    first.stdin.close()
    first.wait(20)
    equal(first.returncode, 6)


@case("ctr")
def ctr_log_of_a_file(ctr):
    path = ctr.fresh("log")
    ctr.box("one", "--detach", "--log-uri", f"file://{path}", ["sh", "-c", "seq 1 1000; echo end >&2"])
    eventually(lambda: ctr.status("one") == "STOPPED", what="its end")
    eventually(lambda: os.path.exists(path) and "end" in open(path).read() and "\n1000\n" in open(path).read(), what="the log")


@case("ctr")
def ctr_options(ctr):
    flags = ctr("run", "--help")
    # --user is new in 1.7, --uidmap in 1.6.
    user, who = (["--user", "31:7"], ["31", "7"]) if "--user " in flags else ([], ["0", "0"])
    equal(ctr.box("one", "--rm", *user, "--cwd", "/tmp", "--env", "ANSWER=yes", ["sh", "-c", "id -u; id -g; pwd; echo $ANSWER"]).out.split(), [*who, "/tmp", "yes"])
    contains(ctr.box("two", "--rm", "--read-only", ["sh", "-c", "touch /x || echo refused"]).out, "refused")
    ctr.box("three", "--rm", "--privileged", ["mount", "-t", "tmpfs", "none", "/mnt"], check=False)
    ctr.box("four", "--rm", "--net-host", ["true"])
    contains(ctr.box("five", "--rm", "--memory-limit", str(64 << 20), ["sh", "-c", "cat /proc/self/cgroup"]).out, "five")
    ctr.box("six", "--rm", "--seccomp", ["true"])
    contains(ctr.box("seven", "--rm", "--mount", "type=bind,src=/tmp/rootfs,dst=/there,options=rbind:ro", ["ls", "/there"]).out, "bin")
    equal(ctr.box("eight", "--rm", "--uidmap", "0:200000:1000", "--gidmap", "0:200000:1000", ["cat", "/proc/self/uid_map"], check=False).out.split()[:3], ["0", "200000", "1000"])


@case("ctr")
def ctr_across_a_restart(ctr):
    """What runs goes on; what ends meanwhile is known afterwards."""
    ctr.box("one", "--detach", "--null-io", LOOP)
    pid = next(int(line.split()[1]) for line in ctr("task", "ls").splitlines() if line.startswith("one"))
    ctr.server.send_signal(signal.SIGKILL)
    ctr.server.wait()
    assert os.path.exists(f"/proc/{pid}")
    ctr.up_again()
    equal(ctr.status("one"), "RUNNING")
    ctr.run("task", "exec", "--exec-id", "e1", "one", "true")
    ctr("task", "kill", "one")
    eventually(lambda: ctr.status("one") == "STOPPED", what="its end")
    ended_with_4(ctr)
