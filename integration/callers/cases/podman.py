"""What only podman has: pods, health checks by command, hooks, sdnotify, user namespaces of its own, quadlets' options."""

import json
import os
import socket
import subprocess
import time

import leftovers
from checks import contains, equal, eventually
from registry import case

BOTH = ("podman", "podman-rootless")


@case(*BOTH)
def pod(podman):
    podman("pod", "create", "--name", "pod", "--network", "none")
    for name in ("a", "b"):
        podman("run", "-d", "--pod", "pod", "--name", name, "--log-driver", "k8s-file", "localhost/busybox:1", "sleep", "1000")
    for kind in ("net", "ipc", "uts"):
        inside = [podman("exec", name, "readlink", f"/proc/self/ns/{kind}") for name in ("a", "b")]
        equal(inside[0], inside[1], kind)
    assert podman("exec", "a", "readlink", "/proc/self/ns/mnt") != podman("exec", "b", "readlink", "/proc/self/ns/mnt")
    contains(podman("pod", "ps"), "Running")
    podman("pod", "stop", "--time", "0", "pod")
    contains(podman("pod", "ps"), "Exited")
    podman("pod", "start", "pod")
    equal(podman.exec("a", "echo again").text, "again")
    podman("pod", "kill", "pod")
    podman("pod", "rm", "--force", "pod")


@case(*BOTH)
def pod_with_a_shared_pid_namespace(podman):
    podman("pod", "create", "--name", "pod", "--network", "none", "--share", "pid,net,ipc,uts")
    for name in ("a", "b"):
        podman("run", "-d", "--pod", "pod", "--name", name, "--log-driver", "k8s-file", "localhost/busybox:1", "sleep", "1000")
    equal(podman.exec("a", "ps | grep -c '[s]leep 1000'").text, "2")
    podman("kill", "a")
    equal(podman("wait", "a"), "137")
    podman.exec("b", "true")


@case("podman", applies=lambda podman: podman.freezes)
def pod_is_paused(podman):
    podman("pod", "create", "--name", "pod", "--network", "none")
    podman("run", "-d", "--pod", "pod", "--name", "a", "--log-driver", "k8s-file", "localhost/busybox:1", "sleep", "1000")
    podman("pod", "pause", "pod")
    equal(podman.status("a"), "paused")
    podman("pod", "unpause", "pod")
    podman.exec("a", "true")


@case("podman")
def pod_with_limits(podman):
    podman("pod", "create", "--name", "pod", "--network", "none", "--memory", "64m", "--cpus", "0.5")
    podman("run", "-d", "--pod", "pod", "--name", "a", "--log-driver", "k8s-file", "localhost/busybox:1", "sleep", "1000")
    podman.exec("a", "true")


@case(*BOTH)
def kube_play(podman):
    document = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "played"},
        "spec": {
            "hostNetwork": True, "restartPolicy": "Never",
            "containers": [{"name": "one", "image": "localhost/busybox:1", "command": ["/bin/sh", "-c", "echo up; sleep 1000"],
                            "env": [{"name": "ANSWER", "value": "yes"}],
                            "securityContext": {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}],
        },
    }  # fmt: skip
    path = podman.fresh("pod.yaml")
    with open(path, "w") as f:
        json.dump(document, f)
    podman("play", "kube", "--log-driver", "k8s-file", path)
    got = podman("exec", "played-one", "/bin/sh", "-c", "echo $ANSWER; /bin/touch /x 2>/dev/null || echo refused")
    equal(got.split(), ["yes", "refused"])
    podman("play", "kube", "--down", path)


@case(*BOTH)
def init_then_start(podman):
    """The runtime's `create` and `start`, with time between them."""
    podman("create", "--name", "one", *podman.split([["sh", "-c", "echo hello; exit 3"]], "localhost/busybox:1"))
    podman("init", "one")
    equal(podman.status("one"), "initialized")
    podman("start", "one")
    equal(podman("wait", "one"), "3")
    podman("create", "--name", "two", *podman.split([["true"]], "localhost/busybox:1"))
    podman("init", "two")
    podman("rm", "--force", "--time", "0", "two")


@case(*BOTH)
def rootfs_of_the_caller(podman):
    import shutil

    path = podman.fresh("rootfs")
    shutil.copytree("/tmp/rootfs", path, symlinks=True)
    if podman.name == "podman-rootless":
        subprocess.run(["chown", "-hR", "1000:1000", path], check=True)
    equal(podman.box("--rootfs", path, ["sh", "-c", "echo x >/there; cat /there"], image=None).text, "x")
    equal(podman.box("--rootfs", path + ":O", ["sh", "-c", "echo y >/over; cat /there"], image=None).text, "x")
    assert not os.path.exists(path + "/over")


@case("podman")
def user_namespaces(podman):
    maps = "cat /proc/self/uid_map; touch /mine; stat -c %u /mine; id -u"
    got = podman.sh(maps, "--uidmap", "0:200000:1000", "--gidmap", "0:200000:1000")
    equal(got.split(), ["0", "200000", "1000", "0", "0"])
    path = podman.fresh("volume")
    os.makedirs(path)
    os.chown(path, 200000, 200000)
    podman.sh("echo x >/there/file", "--uidmap", "0:200000:1000", "--gidmap", "0:200000:1000", "--volume", f"{path}:/there")
    equal(os.stat(path + "/file").st_uid, 200000)
    podman.up("one", "--uidmap", "0:200000:1000", "--gidmap", "0:200000:1000", ["sleep", "1000"])
    equal(podman.exec("one", "id -u; cat /proc/self/uid_map").out.split(), ["0", "0", "200000", "1000"])


@case("podman", applies=lambda podman: podman.version >= (5, 0))
def mapped_volumes(podman):
    path = podman.fresh("volume")
    os.makedirs(path)
    os.chmod(path, 0o777)
    podman.sh("echo x >/there/file; stat -c %u /there/file", "--uidmap", "0:200000:1000", "--gidmap", "0:200000:1000", "--volume", f"{path}:/there:idmap")
    equal(os.stat(path + "/file").st_uid, 0)


@case("podman-rootless")
def keep_id(podman):
    equal(podman.sh("id -u", "--userns", "keep-id"), "1000")
    path = podman.fresh("mine")
    os.makedirs(path)
    os.chown(path, 1000, 1000)
    podman.sh("echo x >/there/file", "--userns", "keep-id", "--volume", f"{path}:/there")
    equal(os.stat(path + "/file").st_uid, 1000)
    podman.sh("echo x >/there/other", "--volume", f"{path}:/there")
    equal(os.stat(path + "/other").st_uid, 1000)
    equal(podman.sh("cat /proc/self/uid_map").split()[:3], ["0", "1000", "1"])


class Notify:
    """The socket that systemd gives to a service of type notify."""

    def __init__(self, podman):
        self.path = podman.fresh("notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.socket.settimeout(15)

    def lines(self, wanted):
        """All that came until the wanted line has."""
        seen = []
        while wanted not in seen:
            seen += self.socket.recv(4096).decode().splitlines()
        return seen


@case(*BOTH)
def sdnotify_by_conmon(podman):
    notify = Notify(podman)
    podman.environment = {**podman.environment, "NOTIFY_SOCKET": notify.path}
    try:
        podman.up("one", "--sdnotify", "conmon", ["sleep", "1000"])
        seen = notify.lines("READY=1")
    finally:
        del podman.environment["NOTIFY_SOCKET"]
    main = [line for line in seen if line.startswith("MAINPID=")]
    assert main, seen
    contains(open(f"/proc/{main[-1][8:]}/comm").read(), "conmon")


@case(*BOTH)
def sdnotify_by_the_container(podman):
    """READY=1 is what the container says, and no sooner."""
    notify = Notify(podman)
    # busybox's nc speaks no unix datagrams.
    program = "import os, socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1\\nSTATUS=fine', os.environ['NOTIFY_SOCKET'])"
    python = [word for path in ("/usr", "/lib", "/lib64") for word in ("--volume", f"{os.path.realpath(path)}:{path}:ro")]
    podman.environment = {**podman.environment, "NOTIFY_SOCKET": notify.path}
    try:
        began = time.monotonic()
        podman.up("one", "--sdnotify", "container", *python, ["sh", "-c", f'sleep 1; /usr/bin/python3 -c "{program}"; sleep 1000'])
        seen = notify.lines("READY=1")
        assert time.monotonic() - began > 0.9
    finally:
        del podman.environment["NOTIFY_SOCKET"]
    assert any(line.startswith("MAINPID=") for line in seen), seen


@case(*BOTH)
def descriptors_of_the_caller(podman):
    read, write = os.pipe()
    os.write(write, b"through a descriptor\n")
    os.close(write)
    os.set_inheritable(read, True)
    words = podman.words(["run", "--rm", "--preserve-fds", "1", *podman.split([["sh", "-c", "cat <&3"]], "localhost/busybox:1")])
    done = subprocess.run(["sh", "-c", f'exec 3<&{read}; exec "$@"', "sh", *words], pass_fds=[read], capture_output=True, env=podman.env(), timeout=60)
    os.close(read)
    equal(done.stdout.decode(), "through a descriptor\n", done.stderr.decode())


@case("podman")
def hooks(podman):
    directory = podman.fresh("hooks")
    os.makedirs(directory)
    for stage in ("createRuntime", "createContainer", "poststart", "poststop", "prestart"):
        script = f"{podman.base}/{stage}.sh"
        with open(script, "w") as f:
            f.write(f"#!/bin/sh\ncat >{podman.base}/{stage}.state\n")
        os.chmod(script, 0o755)
        with open(f"{directory}/{stage}.json", "w") as f:
            json.dump({"version": "1.0.0", "hook": {"path": script}, "when": {"always": True}, "stages": [stage]}, f)
    podman.command = [*podman.command[:1], "--hooks-dir", directory, *podman.command[1:]]
    try:
        podman.sh("true")
        for stage in ("createRuntime", "prestart", "poststart", "poststop"):
            state = json.load(open(f"{podman.base}/{stage}.state"))
            assert state["status"] and state["bundle"], state
    finally:
        podman.command = [podman.command[0], *podman.command[3:]]


@case(*BOTH)
def masks_of_ones_own(podman):
    contains(podman.sh("cat /proc/kcore 2>&1 | wc -c; ls /sys/firmware | wc -l", "--security-opt", "unmask=ALL"), "")
    equal(podman.sh("cat /etc/group | wc -c", "--security-opt", "mask=/etc/group"), "0")


def remove_parent():
    try:
        for path in sorted((path for path in leftovers.cgroups("") if "/parent" in path), key=len, reverse=True):
            os.rmdir(path)
        return True
    except OSError:
        return False


@case("podman")
def cgroups_of_ones_own(podman):
    try:
        podman.up("one", "--cgroup-parent", "/parent", ["sleep", "1000"])
        contains(open(f"/proc/{podman.pid('one')}/cgroup").read(), "/parent/libpod-")
        podman.remove("one")
    finally:
        # podman's own, when its conmon has ended.
        eventually(remove_parent, what="the end of conmon")
    contains(podman.sh("cat /proc/self/cgroup", "--cgroupns", "host"), "libpod")
    assert "libpod" not in podman.sh("cat /proc/self/cgroup", "--cgroupns", "private")


@case("podman")
def device_rules(podman):
    equal(podman.sh("mknod /tmp/x c 1 7 && head -c1 /tmp/x | wc -c", "--cap-add", "mknod", "--device-cgroup-rule", "c 1:7 rwm"), "1")
    contains(podman.sh("mknod /tmp/x c 1 11 2>&1; head -c1 /tmp/x 2>&1; true", "--cap-add", "mknod"), "not permitted")


@case(*BOTH)
def annotations_and_labels(podman):
    path = podman.fresh("pid")
    podman.up("one", "--annotation", "a.b/c=d", "--label", "x=y", "--pidfile", path, ["sleep", "1000"])
    equal(open(path).read().strip(), str(podman.pid("one")))
    contains(podman("inspect", "one"), "a.b/c")


@case(*BOTH)
def mount_and_cleanup(podman):
    podman("create", "--name", "one", *podman.split([["true"]], "localhost/busybox:1"))
    podman("start", "--attach", "one")
    podman("container", "cleanup", "one")
    equal(podman.inspect("one", ".State.ExitCode"), "0")


@case(*BOTH)
def secrets(podman):
    podman("secret", "create", "word", "-", stdin="hidden")
    try:
        equal(podman.sh("cat /run/secrets/word", "--secret", "word"), "hidden")
    finally:
        podman("secret", "rm", "word")


@case(*BOTH)
def init_killed_from_outside(podman):
    podman.up("one", ["sleep", "1000"])
    os.kill(podman.pid("one"), 9)
    equal(podman("wait", "one"), "137")
    eventually(lambda: podman.status("one") == "exited", what="exited")


@case("podman")
def state_of_the_runtime(podman):
    """The runtime's own commands on podman's container."""
    podman.up("one", ["sleep", "1000"])
    id = podman.inspect("one", ".Id")
    state = json.loads(subprocess.run([podman.side.runtime, "state", id], capture_output=True, check=True).stdout)
    equal((state["id"], state["status"], state["pid"]), (id, "running", podman.pid("one")))
    contains(subprocess.run([podman.side.runtime, "list"], capture_output=True, text=True).stdout, id)


# The criu of the release before is older than current kernels.
@case("podman", limit=120, applies=lambda podman: podman.version >= (5,))
def checkpoint(podman):
    podman.up("one", ["sh", "-c", "echo up; i=0; while :; do i=$((i + 1)); echo $i >/tmp/count; sleep 0.1; done"])
    eventually(lambda: int(podman.exec("one", "cat /tmp/count").text or 0) > 5, what="a count")
    podman("container", "checkpoint", "one")
    equal(podman.status("one"), "exited")
    podman("container", "restore", "one")
    before = int(podman.exec("one", "cat /tmp/count").text)
    # A new one would begin at 1.
    assert before > 1, before
    eventually(lambda: int(podman.exec("one", "cat /tmp/count").text or 0) > before, what="it to go on counting")
