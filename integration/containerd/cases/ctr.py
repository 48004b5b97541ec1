"""containerd's own command line client: a client that is not ours, with its FIFOs, terminals and restart monitor."""

import subprocess

import images
from runner import contains, equal, eventually, test
from terminal import Terminal

PLACE = "ctr"


class Ctr:
    """Runs containers of the busybox image, and removes what is left of them at the end."""

    def __init__(self, world):
        self.world, self.names = world, []
        world.at_end.append(self.clean)

    def __call__(self, *arguments, **more):
        return self.world.daemon.ctr(*arguments, **more)

    def words(self, name, command, *options):
        self.names.append(name)
        cgroup = ["--cgroup", f"{self.world.daemon.parent}/{name}", "--snapshotter", self.world.daemon.snapshotter]
        return ["run", *cgroup, *options, images.BUSYBOX, name, *command]

    def run(self, name, command, *options, **more):
        return self(*self.words(name, command, *options), **more)

    def clean(self):
        known = self("containers", "list", "-q").stdout.split()
        for name in self.names:
            if name in known:
                self("task", "delete", "--force", name, check=False)
                self("containers", "delete", name, check=False)
                self("snapshots", "--snapshotter", self.world.daemon.snapshotter, "rm", name, check=False)

    def status(self, name):
        for line in self("task", "list").stdout.splitlines():
            if line.split()[0] == name:
                return line.split()[2]
        return None

    def wait_status(self, name, status):
        eventually(lambda: self.status(name) == status, what=f"{name}: {status}")


@test()
def ctr_run(world):
    done = Ctr(world).run("run1", ["/bin/sh", "-c", "echo hello; exit 3"], "--rm", check=False)
    equal((done.stdout, done.returncode), ("hello\n", 3))


@test()
def ctr_run_many(world):
    """A client that opens its FIFOs in its own time: no output of a short life is lost."""
    ctr = Ctr(world)
    for number in range(5):
        equal(ctr.run(f"many{number}", ["/bin/echo", f"number {number}"], "--rm").stdout, f"number {number}\n")


@test()
def ctr_run_of_nothing(world):
    done = Ctr(world).run("nothing", ["nosuch"], "--rm", check=False)
    assert done.returncode != 0
    contains(done.stderr, 'exec: "nosuch": executable file not found in $PATH')


@test("TestContainerUsername", versions=lambda version: version >= (1, 7))
def ctr_user(world):
    equal(Ctr(world).run("user1", ["/bin/sh", "-c", "id -u; id -g"], "--rm", "--user", "squid").stdout, "31\n31\n")


@test()
def ctr_exec(world):
    ctr = Ctr(world)
    ctr.run("exec1", ["/bin/sleep", "1000"], "-d")
    done = ctr("task", "exec", "--exec-id", "e1", "exec1", "/bin/sh", "-c", "echo in; echo err >&2; exit 5", check=False)
    equal((done.stdout, done.returncode), ("in\n", 5))
    contains(done.stderr, "err")
    with open(world.directory + "/in", "wb") as f:
        f.write(b"through stdin\n")
    with open(world.directory + "/in", "rb") as f:
        equal(ctr("task", "exec", "--exec-id", "e2", "exec1", "/bin/cat", stdin=f).stdout, "through stdin\n")
    contains(ctr("task", "ps", "exec1").stdout, "PID")


@test()
def ctr_terminal(world):
    ctr = Ctr(world)
    words = ctr.words("tty1", ["/bin/sh"], "--rm", "-t")
    terminal = Terminal(lambda **streams: world.daemon.ctr_background(*words, **streams))
    terminal.write("tty; echo one''two\n")
    terminal.wait_for("/dev/pts/0")
    terminal.wait_for("onetwo")
    terminal.write("exit 6\n")
    equal(terminal.end(), 6)


@test("TestContainerAttach")
def ctr_attach(world):
    ctr = Ctr(world)
    words = ctr.words("attach1", ["/bin/sh", "-c", "trap '' HUP; while read line; do echo got $line; done; exit 4"])
    first = world.daemon.ctr_background(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ctr.wait_status("attach1", "RUNNING")
    first.stdin.write(b"one\n")
    first.stdin.flush()
    equal(first.stdout.readline(), b"got one\n")
    first.kill()
    first.wait()
    second = world.daemon.ctr_background("task", "attach", "attach1", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    second.stdin.write(b"two\n")
    second.stdin.flush()
    equal(second.stdout.readline(), b"got two\n")
    ctr("task", "kill", "-s", "KILL", "attach1")
    second.stdin.close()
    equal(second.wait(15), 137)
    for process in (first, second):
        process.stdout.close()


@test()
def ctr_kill_pause_resume_metrics(world):
    ctr = Ctr(world)
    ctr.run("life1", ["/bin/sleep", "1000"], "-d")
    ctr("task", "pause", "life1")
    equal(ctr.status("life1"), "PAUSED")
    ctr("task", "resume", "life1")
    equal(ctr.status("life1"), "RUNNING")
    contains(ctr("task", "metrics", "life1").stdout, "life1")
    ctr("task", "kill", "-s", "SIGTERM", "life1")
    ctr("task", "kill", "-s", "SIGKILL", "life1")
    ctr.wait_status("life1", "STOPPED")
    contains(ctr("task", "delete", "life1", check=False).stderr, "137")


@test("TestContainerLoadUnexistingProcess")
def ctr_of_nothing(world):
    done = Ctr(world)("task", "kill", "nosuch", check=False)
    contains(done.stderr, "not found")


@test()
def restart_monitor(world):
    """containerd's restart plugin: it deletes and creates the task again, with a log file for its streams."""
    ctr = Ctr(world)
    log = world.directory + "/log"
    uri = f"file://{log}"
    ctr.run("again1", ["/bin/sh", "-c", "echo started; sleep 0.5; exit 1"], "-d", "--log-uri", uri, "--label", "containerd.io/restart.status=running",
            "--label", "containerd.io/restart.policy=always", "--label", f"containerd.io/restart.loguri={uri}")  # fmt: skip

    def runs():
        with open(log) as f:
            return f.read().count("started")

    eventually(lambda: runs() >= 3, 20, "three runs")
    ctr("containers", "label", "again1", "containerd.io/restart.status=stopped")
    eventually(lambda: ctr.status("again1") in (None, "STOPPED"), what="the end of the restarts")
