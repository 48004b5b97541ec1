"""What only Docker has: a daemon that goes and comes."""

import os
import signal

from checks import contains, equal, eventually
from registry import case

UP = ["sh", "-c", "echo up; while :; do sleep 0.1; done"]


@case("docker", limit=90)
def live_restore(docker):
    """A daemon that is replaced while containers run."""
    docker.stop()
    docker.up_again("--live-restore")
    try:
        docker.up("one", ["sh", "-c", "trap 'echo usr1' USR1; trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done"])
        pid = docker.pid("one")
        docker.stop()
        assert os.path.exists(f"/proc/{pid}")
        os.kill(pid, signal.SIGUSR1)
        docker.up_again("--live-restore")
        equal(docker.pid("one"), pid)
        docker.wait_log("one", "usr1")
        docker.exec("one", "true")
        docker("stop", "one")
        equal(docker.inspect("one", ".State.ExitCode"), "9")
    finally:
        docker.reset()
        docker.stop()
        docker.up_again()


@case("docker", limit=90)
def exit_while_the_daemon_is_away(docker):
    """Somebody has to keep the exit code until it is back."""
    docker.stop()
    docker.up_again("--live-restore")
    try:
        docker.up("one", ["sh", "-c", "echo up; while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 5"])
        pid = docker.pid("one")
        docker.exec("one", "(sleep 2; touch /tmp/go) >/dev/null 2>&1 &")
        docker.stop()
        eventually(lambda: not os.path.exists(f"/proc/{pid}"), what="its end")
        docker.up_again("--live-restore")
        equal(docker("wait", "one"), "5")
    finally:
        docker.reset()
        docker.stop()
        docker.up_again()


@case("docker", limit=90)
def live_restore_after_a_kill(docker):
    docker.stop()
    docker.up_again("--live-restore")
    try:
        docker.up("one", UP)
        pid = docker.pid("one")
        docker.server.send_signal(signal.SIGKILL)
        docker.server.wait()
        assert os.path.exists(f"/proc/{pid}")
        docker.up_again("--live-restore")
        equal(docker.pid("one"), pid)
        equal(docker.exec("one", "echo inside").text, "inside")
        docker("rm", "--force", "one")
    finally:
        docker.reset()
        docker.stop()
        docker.up_again()


@case("docker", limit=90)
def restart_of_the_daemon(docker):
    """Without live-restore all containers end; those that are to be always there come again."""
    docker.up("always", "--restart", "always", UP)
    docker.up("never", UP)
    docker.stop()
    docker.up_again()
    eventually(lambda: docker.status("always") == "running", timeout=20, what="the one that is always there")
    equal(docker.status("never"), "exited")
    docker.exec("always", "true")


@case("docker")
def runtime_is_known(docker):
    contains(docker("info"), "Runtimes:")
    done = docker.run("run", "--rm", "--runtime", "nosuch", *docker.split([["true"]], "localhost/busybox:1"), check=False)
    equal(done.code, 125)


@case("docker")
def user_of_the_image(docker):
    docker("build", "--tag", "localhost/users:1", "-", stdin="FROM localhost/busybox:1\nUSER squid\nWORKDIR /tmp\nENV ANSWER=yes\n")
    equal(docker.box(["sh", "-c", "id -un; pwd; echo $ANSWER"], image="localhost/users:1").out.split(), ["squid", "/tmp", "yes"])
    docker("rmi", "--force", "localhost/users:1")
