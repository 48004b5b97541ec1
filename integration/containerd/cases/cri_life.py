"""Pods and containers through the CRI, as a kubelet sees them."""

import os
import signal
import time

import grpc
import images
import leftovers
from client import CallError
from cri import CONTAINER, CREATED, EXITED, NODE, NOTREADY, POD, READY, RUNNING, Pod
from runner import contains, count, equal, eventually, test


def fails(call, *words):
    try:
        call()
    except CallError as error:
        for word in words:
            contains(error.text, word)
        return error
    raise AssertionError(f"it was accepted: {words}")


@test()
def pod_life(world):
    pod = Pod(world)
    equal(pod.status().state, READY)
    pid = pod.task_pid()
    assert pid in leftovers.processes()
    container = pod.make("echo hello; sleep 1000")
    equal(container.status().state, CREATED)
    container.start()
    equal(container.wait(RUNNING).exit_code, 0)
    equal(world.shim(container.id, "k8s.io"), pod.shim(), "one shim for the pod")
    shim = pod.shim()
    eventually(lambda: container.output() == ["hello"], what="the log")
    container.stop()
    status = container.status()
    equal((status.state, status.exit_code), (EXITED, 137))
    container.remove()
    pod.stop()
    equal(pod.status().state, NOTREADY)
    assert pid not in leftovers.processes()
    pod.remove()
    eventually(lambda: shim not in leftovers.processes(), what="the end of the shim")


@test()
def pod_with_a_network_namespace(world):
    pod = Pod(world, network=POD)
    container = pod.run("readlink /proc/self/ns/net; sleep 1000")
    eventually(container.output, what="the log")
    equal(container.output()[0], os.readlink(f"/proc/{pod.task_pid()}/ns/net"))
    assert container.output()[0] != os.readlink("/proc/self/ns/net")


@test("TestRuntimeHandler")
def runtime_handlers(world):
    pod = Pod(world, handler="path")
    equal(pod.run("exit 3").wait().exit_code, 3)
    fails(lambda: Pod(world, handler="missing"), '"no-runc"')
    fails(lambda: Pod(world, handler="nosuch"))


@test()
def container_exits(world):
    pod = Pod(world)
    for script, code, reason in (("exit 0", 0, "Completed"), ("exit 7", 7, "Error"), ("sh -c 'kill -9 $$'; exit $?", 137, "Error")):
        status = pod.run(script).wait()
        equal((status.exit_code, status.reason), (code, reason))
        # started_at is when the daemon had the answer: a short life is over by then.
        assert status.created_at < status.finished_at, status


@test()
def container_cannot_start(world):
    pod = Pod(world)
    container = pod.make(["nosuch"])
    fails(container.start, 'exec: "nosuch": executable file not found in $PATH')
    status = container.wait()
    equal((status.exit_code, status.reason), (128, "StartError"))
    contains(status.message, "OCI runtime create failed")
    equal(pod.run("exit 5").wait().exit_code, 5)


@test("TestContainerIOLeakAfterStartFailed")
def descriptors_after_failed_starts(world):
    pod = Pod(world)
    pod.run("exit 0").wait()
    shim = pod.shim()

    def pipes():
        names = []
        for fd in os.listdir(f"/proc/{shim}/fd"):
            try:
                names.append(os.readlink(f"/proc/{shim}/fd/{fd}"))
            except OSError:
                pass
        return sorted(name.split(":")[0] for name in names if name.startswith("pipe") or "/io/" in name)

    def fail():
        container = pod.make(["nosuch"])
        fails(container.start)
        container.remove()

    fail()
    before = pipes()
    for _ in range(count(3, 30)):
        fail()
    try:
        eventually(lambda: pipes() == before)
    except AssertionError:
        equal(pipes(), before)


@test()
def exec_sync(world):
    container = Pod(world).run(["/bin/sleep", "1000"])
    done = container.exec(["/bin/sh", "-c", "echo out; echo err >&2; exit 9"])
    equal((done.stdout, done.stderr, done.exit_code), (b"out\n", b"err\n", 9))
    equal(container.exec(["/bin/true"]).exit_code, 0)
    equal(len(container.exec(["/bin/head", "-c", "1000000", "/dev/zero"]).stdout), 1000000)
    fails(lambda: container.exec(["nosuch"]), 'exec: "nosuch": executable file not found in $PATH')
    error = fails(lambda: container.exec(["/bin/sleep", "999"], timeout=1))
    equal(error.code, grpc.StatusCode.DEADLINE_EXCEEDED)
    eventually(lambda: not any("sleep 999" in line for line in leftovers.processes().values()), what="the end of what took too long")
    equal(container.status().state, RUNNING)


@test()
def probes_that_time_out(world):
    """A kubelet's probe with a time limit: shells, and what they wait for. Nothing of it stays, and later probes are as good as ever."""
    container = Pod(world).run(["/bin/sleep", "1000"])
    quiet = set(leftovers.processes())
    scripts = ["sleep 991; true", "sleep 992 | cat", "(sleep 993 & sleep 994 & wait) & wait", "trap '' TERM INT HUP; while :; do sleep 0.1; done"]
    calls = [
        (script, container.cri.later("ExecSync", 60, container_id=container.id, cmd=["/bin/sh", "-c", script], timeout=1)) for script in scripts
    ]
    for script, call in calls:
        equal(fails(lambda: call.result(60)).code, grpc.StatusCode.DEADLINE_EXCEEDED, script)
    left = lambda: {pid: line for pid, line in leftovers.processes().items() if pid not in quiet}  # noqa: E731
    try:
        eventually(lambda: not left(), 5)
    except AssertionError:
        equal(left(), {})
    equal(container.exec(["/bin/sh", "-c", "echo fine"], timeout=10).stdout, b"fine\n")
    equal(container.status().state, RUNNING)


@test()
def exec_sync_at_once(world):
    """Probes of a busy node."""
    container = Pod(world).run(["/bin/sleep", "1000"])
    calls = [
        container.cri.later("ExecSync", 60, container_id=container.id, cmd=["/bin/sh", "-c", f"echo {number}; exit {number % 100}"])
        for number in range(count(20, 200))
    ]
    for number, call in enumerate(calls):
        done = call.result(60)
        equal((done.stdout, done.exit_code), (f"{number}\n".encode(), number % 100))


@test("TestContainerDrainExecIOAfterExit", versions=lambda version: version >= (1, 7))
def held_streams_of_an_exec(world):
    """The end of an exec is told after the time that the configuration gives, though a child of it keeps the streams."""
    container = Pod(world).run(["/bin/sleep", "1000"])
    began = time.monotonic()
    try:
        equal(container.exec(["/bin/sh", "-c", "sleep 30 & echo done"]).exit_code, 0)
    except CallError as error:
        contains(error.text, "io is still held by other processes")
    assert time.monotonic() - began < 15
    equal(container.exec(["/bin/sh", "-c", "exit 3"]).exit_code, 3)


@test()
def exec_streams(world):
    container = Pod(world).run(["/bin/sleep", "1000"])
    stream = container.stream(["/bin/sh", "-c", "echo out; echo err >&2; exit 4"])
    equal(stream.end(), 4)
    equal((stream.data[stream.STDOUT], stream.data[stream.STDERR]), (b"out\n", b"err\n"))
    stream = container.stream(["/bin/sh"], tty=True, stdin=True)
    stream.resize(101, 37)
    stream.write("stty size; tty\n")
    stream.wait_for("37 101")
    stream.wait_for("/dev/pts/")
    stream.write("exit 5\n")
    equal(stream.end(), 5)
    stream = container.stream(["/bin/seq", "1", "50000"])
    equal(stream.end(), 0)
    equal(stream.data[stream.STDOUT].split()[-1], b"50000")


@test()
def attach_streams(world):
    container = Pod(world).run("while read line; do echo got $line; done; exit 6", stdin=True)
    for word in ("one", "two"):
        stream = container.attach(stdin=True)
        stream.write(f"{word}\n")
        stream.wait_for(f"got {word}\n")
        stream.close()
    eventually(lambda: container.output() == ["got one", "got two"], what="the log")


@test()
def logs(world):
    pod = Pod(world)
    container = pod.run("echo out; echo err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf end")
    container.wait()
    eventually(lambda: len(container.output()) >= 2, what="the log")
    equal(container.output("stderr"), ["err"])
    equal(container.output()[:2], ["out", "x" * 40000])
    container = pod.run("i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done")
    eventually(lambda: len(container.output()) > 5, what="some lines")
    path = os.path.join(pod.logs, container.log_path)
    os.rename(path, path + ".1")
    container.cri.ReopenContainerLog(container_id=container.id)
    eventually(lambda: len(container.output()) > 5, what="some lines after the rotation")
    container.stop()
    after = [int(line) for line in container.output()]
    container.log_path += ".1"
    lines = [int(line) for line in container.output()] + after
    equal(lines, list(range(1, len(lines) + 1)))


@test()
def stats(world):
    container = Pod(world).run("i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; echo ready; sleep 1000", resources={"memory_limit_in_bytes": 64 << 20})
    eventually(container.output, 30, "the work")
    got = container.cri.ContainerStats(container_id=container.id).stats
    assert got.cpu.usage_core_nano_seconds.value > 1_000_000, got
    assert 4096 <= got.memory.working_set_bytes.value < 64 << 20, got


@test()
def update_resources(world):
    container = Pod(world).run(["/bin/sleep", "1000"], resources={"memory_limit_in_bytes": 64 << 20, "cpu_shares": 512})
    container.cri.UpdateContainerResources(container_id=container.id, linux={"memory_limit_in_bytes": 96 << 20, "cpu_shares": 256})
    directory = f"{world.daemon.parent}/{container.id}"
    found = [leftovers.read(f"/sys/fs/cgroup/{name}").strip() for name in (f"memory{directory}/memory.limit_in_bytes", f"cpu{directory}/cpu.shares")]
    if any(found):
        equal(found, [str(96 << 20), "256"])
    equal(container.status().state, RUNNING)


@test()
def restarted_container(world):
    """A container that fails is replaced in its pod, again and again."""
    pod = Pod(world)
    old = pod.run("exit 1")
    for attempt in range(1, count(5, 50)):
        old.wait()
        new = pod.run(f"exit {attempt}")
        old.remove()
        equal(new.wait().exit_code, attempt)
        old = new
    equal(pod.status().state, READY)


@test("TestSharedPidMultiProcessContainerStop")
def stop_with_shared_pids(world):
    stop_all(world, Pod(world, pid=POD))


@test()
def stop_with_host_pids(world):
    stop_all(world, Pod(world, pid=NODE))


@test()
def stop_with_own_pids(world):
    stop_all(world, Pod(world, pid=CONTAINER))


def stop_all(world, pod):
    container = pod.run("sleep 5001 & sleep 5002 & echo ready; wait")
    eventually(container.output, what="the processes")
    container.exec(["/bin/sh", "-c", "sleep 5003 >/dev/null 2>&1 &"])
    container.stop()
    equal(container.status().exit_code, 137)
    left = [line for line in leftovers.processes().values() if "sleep 500" in line]
    equal(left, [])


@test()
def stop_signals(world):
    """The signal for a stop first, and after the time that was given the other."""
    pod = Pod(world)
    gentle = pod.run("trap 'exit 44' TERM; echo ready; while :; do sleep 0.05; done")
    deaf = pod.run("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    for container in (gentle, deaf):
        eventually(container.output, what="the trap")
    gentle.stop(timeout=20)
    equal(gentle.status().exit_code, 44)
    began = time.monotonic()
    deaf.stop(timeout=1)
    equal(deaf.status().exit_code, 137)
    assert 0.9 < time.monotonic() - began < 10


@test()
def stop_in_both_orders(world):
    for order in ("containers first", "pod at once", "remove at once"):
        pod = Pod(world)
        shim = pod.shim()
        containers = [pod.run(["/bin/sleep", "1000"]) for _ in range(2)]
        if order == "containers first":
            for container in containers:
                container.stop()
                container.remove()
        if order != "remove at once":
            pod.stop()
        pod.remove()
        eventually(lambda: shim not in leftovers.processes(), what=f"{order}: the end of the shim")


@test("TestShutdownShimWhenPauseExitsBeforeWorkload")
def pause_ends_first(world):
    pod = Pod(world)
    shim = pod.shim()
    container = pod.run(["/bin/sleep", "1000"])
    os.kill(pod.task_pid(), signal.SIGKILL)
    eventually(lambda: pod.status().state == NOTREADY, what="a pod that is not ready")
    equal(container.status().state, RUNNING)
    pod.stop()
    pod.remove()
    eventually(lambda: shim not in leftovers.processes(), what="the end of the shim")


@test("TestOOMKilled")
def out_of_memory(world):
    pod = Pod(world)
    resources = {"memory_limit_in_bytes": 16 << 20}
    status = pod.run("x=x; while :; do x=$x$x$x; done", resources=resources).wait(timeout=40)
    equal((status.exit_code, status.reason), (137, "OOMKilled"))
    # Not the init: the container lives.
    container = pod.run("sh -c 'x=x; while :; do x=$x$x$x; done'; echo $?; sleep 1000", resources=resources)
    eventually(lambda: container.output()[-1:] == ["137"], 40, "the end of the child")
    equal(container.status().state, RUNNING)


@test("TestContainerTTYLeakAfterExit")
def terminals_after_the_end(world):
    pod = Pod(world)
    shim = pod.shim()
    for _ in range(count(2, 20)):
        container = pod.run("echo hello; exit 0", tty=True)
        equal(container.wait().exit_code, 0)
    eventually(lambda: not [fd for fd in os.listdir(f"/proc/{shim}/fd") if "ptmx" in name_of(shim, fd)], what="no terminals in the shim")


def name_of(pid, fd):
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return ""


@test()
def user_of_the_image(world):
    pod = Pod(world)
    container = pod.run("id -u; id -g", image=images.USERS)
    container.wait()
    eventually(lambda: container.output() == ["31", "31"], what="squid's ids")
    container = pod.run("id -u", security={"run_as_username": "daemon"})
    container.wait()
    eventually(lambda: container.output() == ["7"], what="daemon's id")


@test("TestPodUserNS", versions=lambda version: version >= (2, 0))
def user_namespace(world):
    handlers = {handler.name: handler.features for handler in world.daemon.cri.Status().runtime_handlers}
    equal(handlers["runc"].user_namespaces, True, "what the daemon says that the shim can")
    ids = [{"host_id": 200000, "container_id": 0, "length": 65536}]
    pod = Pod(world, network=POD, user_namespace={"mode": POD, "uids": ids, "gids": ids})
    container = pod.make("cat /proc/self/uid_map; id -u; touch /tmp/made; stat -c %u /tmp/made; sleep 1000",
                         security={"namespace_options": {"network": POD, "pid": CONTAINER, "userns_options": {"mode": POD, "uids": ids, "gids": ids}}})  # fmt: skip
    container.start()
    try:
        eventually(lambda: len(container.output()) == 3)
    except AssertionError:
        equal((container.status(), container.log()), "three lines")
    equal([container.output()[0].split(), *container.output()[1:3]], [["0", "200000", "65536"], "0", "0"])
    equal(container.exec(["/bin/id", "-u"]).stdout, b"0\n")
    contains(leftovers.read(f"/proc/{container.task_pid()}/status"), "Uid:\t200000")


@test()
def many_pods(world):
    """Pods side by side, all created and removed at the same time."""
    pods = [Pod(world) for _ in range(count(4, 20))]
    containers = [pod.run(f"echo {number}; exit {number}") for number, pod in enumerate(pods)]
    for number, container in enumerate(containers):
        equal(container.wait().exit_code, number)
    calls = [pod.cri.later("StopPodSandbox", 60, pod_sandbox_id=pod.id) for pod in pods]
    for call in calls:
        call.result(60)
