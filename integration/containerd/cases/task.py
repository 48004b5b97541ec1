"""A task's life through containerd's API: create, start, states, signals, exit, delete, and what the shim is to the daemon."""

import os
import subprocess
import time

import grpc
import leftovers
from client import CallError
from process import CREATED, PAUSED, RUNNING, STOPPED, host_pid, json_any, limit_memory, runc_options, with_group
from runner import contains, count, equal, eventually, test


def refused(call, *words, code=None):
    """The call fails, with these words in its text."""
    try:
        call()
    except CallError as error:
        for word in words:
            contains(error.text, word)
        if code:
            equal(error.code, code)
        return error
    raise AssertionError(f"it was not refused: {words}")


@test()
def task_life(world):
    task = world.task("echo out; echo err >&2; read line; exit 7", stdin=True).create()
    equal(task.state().status, CREATED)
    waiting = task.wait_later()
    equal(task.start().pid, task.state().pid)
    equal(task.state().status, RUNNING)
    equal(task.state().stdout, task.paths["stdout"], "the path that a restarted daemon opens")
    task.write("go\n")
    equal(waiting.result().exit_status, 7)
    equal(task.out.wait_end(), "out\n")
    equal(task.err.wait_end(), "err\n")
    state = task.wait_status(STOPPED)
    equal(state.exit_status, 7)
    assert abs(state.exited_at.seconds - time.time()) < 60, f"it ended at {state.exited_at.seconds}"
    equal(task.wait(), 7, "a Wait after the end")
    deleted = task.delete()
    equal((deleted.exit_status, deleted.pid), (7, task.pid))
    refused(task.state, code=grpc.StatusCode.NOT_FOUND)
    refused(task.delete, code=grpc.StatusCode.NOT_FOUND)


@test()
def exit_statuses(world):
    for script, status in (("exit 0", 0), ("exit 255", 255), ("kill -9 $$", 137), ("kill -15 $$", 143), ("kill -6 $$", 134)):
        # PID 1 cannot be ended by a signal of its own: its child is, and it tells what its shell says of that.
        task = world.task(f"/bin/sh -c '{script}'; exit $?").run()
        equal(task.wait(), status, script)
        task.forget()


@test()
def created_tasks(world):
    task = world.task("exit 0").create()
    equal(task.pids(), {task.pid: ""})
    equal(task.delete().pid, task.pid)
    task.forget()
    task = world.task("exit 0").create()
    waiting = task.wait_later()
    task.kill()
    equal(waiting.result().exit_status, 137)
    refused(task.start)
    task.delete()


@test()
def states_refuse(world):
    task = world.task("read line", stdin=True).create()
    refused(lambda: task.tasks.Pause(container_id=task.id))
    task.start()
    refused(task.start, "cannot start a running process")
    refused(task.delete)
    refused(lambda: task.create(), code=grpc.StatusCode.ALREADY_EXISTS)
    refused(lambda: task.tasks.Get(container_id=task.id, exec_id="nosuch"), code=grpc.StatusCode.NOT_FOUND)
    refused(lambda: task.tasks.Kill(container_id=task.id, exec_id="nosuch", signal=9), code=grpc.StatusCode.NOT_FOUND)
    process = task.exec(["/bin/sleep", "1000"])
    refused(process.kill, code=grpc.StatusCode.FAILED_PRECONDITION)
    refused(lambda: task.exec(["/bin/true"], exec_id=process.exec_id), code=grpc.StatusCode.ALREADY_EXISTS)
    process.start()
    refused(process.delete)
    process.kill()
    equal(process.wait(), 137)
    process.delete()
    task.kill()
    equal(task.wait(), 137)
    refused(task.kill, "process already finished", code=grpc.StatusCode.NOT_FOUND)
    refused(lambda: task.exec(["/bin/true"]).start())


@test("TestRegressionIssue6429")
def creation_fails(world):
    events = world.events()
    for args, words in ((["/bin/nosuch"], ["/bin/nosuch", "no such file or directory"]), (["nosuch"], ['"nosuch"', "executable file not found in $PATH"]),
                        (["/etc/passwd"], ["permission denied"])):  # fmt: skip
        task = world.task(args)
        refused(task.create, "OCI runtime create failed", *words)
        task.release()
        task.forget()
        equal(events.of(task.id), [], "events of a task that never was (TestRegressionIssue6429)")


@test("TestContainerRuntimeOptionsv2")
def binary_name_missing(world):
    refused(world.task("exit 0", options=runc_options(binary_name="no-runc")).create, '"no-runc"')


@test()
def rootfs_cannot_be_mounted(world):
    task = world.task("exit 0")
    task.mounts = [{"type": "overlay", "source": "overlay", "options": ["lowerdir=/nosuch"]}]
    refused(task.create, "failed to mount rootfs component")
    task = world.task("exit 0")
    # The first is undone when the second fails.
    task.mounts.append({"type": "bind", "source": "/nosuch", "options": ["rbind"]})
    refused(task.create, "failed to mount rootfs component")


@test()
def rootfs_kinds(world):
    task = world.task("cat /etc/passwd | head -1; touch /made", rootfs="plain", change=lambda spec: spec["root"].update(readonly=True)).run()
    equal(task.wait(), 1)
    contains(task.out.wait_end(), "root:x:0:0")
    task = world.task("touch /made", change=lambda spec: None)
    task.mounts = [{"type": "bind", "source": world.rootfs, "options": ["rbind", "ro"]}]
    equal(task.run().wait(), 1)
    contains(task.err.wait_end(), "Read-only file system")


@test()
def events_in_order(world):
    events = world.events()
    task = world.task("read line; exit 3", stdin=True).run()
    process = task.exec(["/bin/sh", "-c", "exit 4"])
    equal(process.finish(), 4)
    task.tasks.Pause(container_id=task.id)
    task.tasks.Resume(container_id=task.id)
    task.write("go\n")
    equal(task.wait(), 3)
    task.delete()
    gone = events.wait_for("TaskDelete", task.id)
    equal((gone.exit_status, gone.pid), (3, task.pid))
    e = process.exec_id
    wanted = [("TaskCreate", task.id), ("TaskStart", task.id), ("TaskExecAdded", e), ("TaskExecStarted", e), ("TaskExit", e),
              ("TaskPaused", task.id), ("TaskResumed", task.id), ("TaskExit", task.id), ("TaskDelete", task.id)]  # fmt: skip
    equal(events.of(task.id), wanted)
    ended = events.wait_for("TaskExit", task.id, id=e)
    equal((ended.exit_status, ended.pid), (4, process.pid))
    created = events.wait_for("TaskCreate", task.id)
    equal((created.pid, created.io.stdout, len(created.rootfs)), (task.pid, task.paths["stdout"], 1))


@test("TestRegressionIssue4769")
def one_exit_event(world):
    """A process that ends at once has one exit, after its start."""
    events = world.events()
    for _ in range(count(10, 100)):
        task = world.task(["/bin/true"], rootfs="plain").run()
        equal(task.wait(), 0)
        task.delete()
        events.wait_for("TaskDelete", task.id)
        kinds = [kind for kind, _ in events.of(task.id)]
        equal(kinds, ["TaskCreate", "TaskStart", "TaskExit", "TaskDelete"])
        task.forget()


def slow_runc(world, command, before="", after=""):
    """A runtime by BinaryName that is slow in one of its commands."""
    path = world.directory + "/runc-slow"
    with open(path, "w") as f:
        f.write(f'#!/bin/sh\nfor word; do [ "$word" = {command} ] && found=1; done\n[ -z "$found" ] || {{ {before or ":"}; }}\n')
        f.write(f'{world.daemon.base}/bin/runc "$@"\nstatus=$?\n[ -z "$found" ] || {{ {after or ":"}; }}\nexit $status\n')
    os.chmod(path, 0o755)
    return runc_options(binary_name=path)


@test("TestIssue9103")
def init_ends_within_start(world):
    events = world.events()
    task = world.task(["/bin/true"], options=slow_runc(world, "start", after="sleep 1")).create()
    try:
        task.start()
        wanted = ["TaskCreate", "TaskStart", "TaskExit", "TaskDelete"]
    except CallError:
        wanted = ["TaskCreate", "TaskExit", "TaskDelete"]
    equal(task.wait(), 0)
    equal(task.wait_status(STOPPED).exit_status, 0)
    task.delete()
    events.wait_for("TaskDelete", task.id)
    equal([kind for kind, _ in events.of(task.id)], wanted)


@test("TestIssue10589")
def init_ends_within_exec(world):
    """The init ends while an exec is being started: the exec's exit comes first all the same."""
    events = world.events()
    task = world.task(["/bin/sleep", "1000"], options=slow_runc(world, "exec", after="sleep 1")).run()
    process = task.exec(["/bin/sleep", "1000"])
    starting = process.tasks.later("Start", container_id=task.id, exec_id=process.exec_id)
    eventually(lambda: len(task.pids()) > 1, what="the exec's process")
    task.kill()
    try:
        starting.result()
    except CallError:
        pass
    equal(task.wait(), 137)
    task.delete()
    events.wait_for("TaskDelete", task.id)
    seen = events.of(task.id)
    equal(seen[-2:], [("TaskExit", task.id), ("TaskDelete", task.id)])
    if ("TaskExecStarted", process.exec_id) in seen:
        assert seen.index(("TaskExecStarted", process.exec_id)) < seen.index(("TaskExit", process.exec_id)), seen


@test()
def signals_reach(world):
    """Each signal number, as it is given, and not to the execs."""
    script = 'for s in 1 2 10 12 15 34 64; do trap "echo got $s" $s; done; echo ready; while :; do read -t 1 line; done'
    task = world.task(script, stdin=True).run()
    task.out.wait_for("ready")
    for number in (1, 2, 10, 12, 15, 34, 64):
        task.kill(number)
        task.out.wait_for(f"got {number}\n")
    task.kill(0)


@test("TestContainerKillAll")
def kill_all(world):
    task = world.task("sleep 1000 & sleep 1001 & echo ready; wait", change=host_pid).run()
    task.out.wait_for("ready")
    eventually(lambda: len(task.pids()) == 3, what="three processes")
    task.kill(all=True)
    equal(task.wait(), 137)
    task.delete()


@test("TestContainerKillInitPidHost")
def kill_init_with_host_pids(world):
    """Nothing of it stays when init dies and no pid namespace ends with it."""
    init_dies(world, host_pid)


@test("TestContainerKillInitKillsChildWhenNotHostPid")
def kill_init_with_own_pids(world):
    init_dies(world, None)


def init_dies(world, change):
    task = world.task("sleep 1000 & echo ready; wait", change=change).run()
    task.out.wait_for("ready")
    process = task.exec(["/bin/sh", "-c", "sleep 1001 & sleep 1002 & wait"]).start()
    eventually(lambda: len(task.pids()) == 5, what="five processes")
    pids = list(task.pids())
    task.kill()
    equal(task.wait(), 137)
    equal(process.wait(), 137)
    eventually(lambda: not set(pids) & set(leftovers.processes()), what="the end of all processes")
    process.delete()
    task.delete()


@test("TestTaskForceDelete")
def force_delete(world):
    """What a client's forced delete does: signal 9 to all, wait, delete."""
    task = world.task(["/bin/sleep", "1000"]).run()
    waiting = task.wait_later()
    task.kill(all=True)
    equal(waiting.result().exit_status, 137)
    equal(task.delete().exit_status, 137)


@test("TestKillContainerDeletedByRunc")
def deleted_behind_the_shim(world):
    """The state on disk is runc's: an administrator removes a container with it, and the shim notices."""
    task = world.task(["/bin/sleep", "1000"]).run()
    waiting = task.wait_later()
    subprocess.run([world.daemon.base + "/bin/runc", "--root", f"/run/containerd/runc/{world.namespace}", "delete", "--force", task.id], check=True, timeout=20)
    equal(waiting.result().exit_status, 137)
    refused(task.kill, code=grpc.StatusCode.NOT_FOUND)
    task.delete()


@test()
def runtime_root(world):
    root = world.directory + "/runc-root"
    task = world.task(["/bin/sleep", "1000"], options=runc_options(root=root)).run()
    equal(os.listdir(f"{root}/{world.namespace}"), [task.id])
    task.kill()
    task.wait()
    task.delete()
    equal(os.listdir(f"{root}/{world.namespace}"), [])


@test("TestContainerPids")
def pids(world):
    task = world.task("sleep 1000 & echo ready; wait").run()
    task.out.wait_for("ready")
    process = task.exec(["/bin/sleep", "1001"]).start()
    found = eventually(lambda: (found := task.pids()) and len(found) == 3 and found, what="three pids")
    equal(found[task.pid], "")
    equal(found[process.pid], process.exec_id)


@test()
def pause_and_resume(world):
    task = world.task("while echo tick; do sleep 0.02; done").run()
    task.out.wait_for("tick")
    task.tasks.Pause(container_id=task.id)
    equal(task.state().status, PAUSED)
    refused(lambda: task.exec(["/bin/true"]))
    time.sleep(0.2)
    before = task.out.count
    time.sleep(0.3)
    equal(task.out.count, before, "bytes of a paused container")
    task.tasks.Resume(container_id=task.id)
    equal(task.state().status, RUNNING)
    eventually(lambda: task.out.count > before, what="output after the resume")


@test()
def killed_while_paused(world):
    task = world.task(["/bin/sleep", "1000"]).run()
    task.tasks.Pause(container_id=task.id)
    waiting = task.wait_later()
    task.kill()
    equal(waiting.result().exit_status, 137)
    equal(task.wait_status(STOPPED).exit_status, 137)
    task.delete()


def link(path):
    try:
        return os.readlink(path).split(":")[0]
    except OSError:
        return "/proc"


def limit_of(task, controller, v1, v2):
    one = f"/sys/fs/cgroup/{controller}{task.cgroup}/{v1}"
    return leftovers.read(one if os.path.exists(one) else f"/sys/fs/cgroup{task.cgroup}/{v2}").strip()


@test()
def update(world):
    task = world.task(["/bin/sleep", "1000"], change=limit_memory(64 << 20)).run()
    equal(limit_of(task, "memory", "memory.limit_in_bytes", "memory.max"), str(64 << 20))
    resources = {"memory": {"limit": 32 << 20}, "pids": {"limit": 33}}
    task.tasks.Update(container_id=task.id, resources=json_any("LinuxResources", resources))
    equal(limit_of(task, "memory", "memory.limit_in_bytes", "memory.max"), str(32 << 20))
    equal(limit_of(task, "pids", "pids.max", "pids.max"), "33")


@test("TestContainerMetrics")
def metrics(world):
    task = world.task("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo ready; sleep 1000 & sleep 1001 & wait").run()
    task.out.wait_for("ready", 20)
    got = eventually(lambda: (m := task.metrics()) and m.pids.current == 3 and m, what="three processes")
    assert (got.cpu.usage.total if "usage" in got.cpu else got.cpu.usage_usec * 1000) > 1_000_000, got
    usage = got.memory.usage
    assert (usage.usage if hasattr(usage, "keys") else usage) > 4096, got


@test("TestDeletedContainerMetrics")
def metrics_of_the_deleted(world):
    task = world.task("exit 0").run()
    equal(task.wait(), 0)
    task.delete()
    try:
        equal(task.metrics(), None)
    except CallError as error:
        assert error.not_found, error


@test("TestOOMEventMonitor")
def oom_event(world):
    events = world.events()
    task = world.task("x=x; while :; do x=$x$x$x; done", change=limit_memory(16 << 20), rootfs="plain").run()
    equal(task.wait(40), 137)
    task.delete()
    events.wait_for("TaskDelete", task.id)
    kinds = [kind for kind, _ in events.of(task.id)]
    assert "TaskOOM" in kinds and kinds.index("TaskOOM") < kinds.index("TaskExit"), kinds


@test("TestShimOOMScore")
def shim_oom_score(world):
    task = world.task(["/bin/sleep", "1000"]).run()
    own = int(leftovers.read(f"/proc/{world.daemon.pid}/oom_score_adj"))
    equal(int(leftovers.read(f"/proc/{world.shim(task.id)}/oom_score_adj")), min(own + 1, 1000))
    equal(int(leftovers.read(f"/proc/{task.pid}/oom_score_adj")) >= own, True)


@test("TestShimInCgroup")
def shim_in_cgroup(world):
    cgroup = f"{world.daemon.parent}/shims"
    paths = [hierarchy + cgroup for hierarchy in leftovers.hierarchies()]
    for path in paths:
        os.makedirs(path)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if os.path.exists(f"{path}/{name}"):
                with open(f"{path}/{name}", "w") as f:
                    f.write(leftovers.read(f"{path}/../{name}"))

    def remove():
        for path in paths:
            eventually(lambda: not leftovers.read(path + "/cgroup.procs"), what="an empty group")
            os.rmdir(path)

    world.at_end.append(remove)
    task = world.task(["/bin/sleep", "1000"], options=runc_options(shim_cgroup=cgroup)).run()
    contains(leftovers.read(f"/proc/{world.shim(task.id)}/cgroup"), cgroup)
    assert cgroup not in leftovers.read(f"/proc/{task.pid}/cgroup"), "the container is in the shim's cgroup"
    task.forget()


@test("TestShimSockLength")
def longest_namespace(world):
    world.namespace = "n" * 76
    task = world.task("exit 9").run()
    equal(task.wait(), 9)
    equal(len(world.shim_address(task.id).removeprefix("unix://")) <= 106, True)
    task.forget()


def descriptors(shim):
    """What a shim has open, but for its sockets and the kernel's own."""
    names = (link(f"/proc/{shim}/fd/{fd}") for fd in os.listdir(f"/proc/{shim}/fd"))
    return sorted(name for name in names if not name.startswith(("anon_inode", "socket", "/proc")))


def execs_leave_no_descriptors(world, number, **streams):
    task = world.task(["/bin/sleep", "1000"]).run()
    shim = world.shim(task.id)
    task.exec(["/bin/true"]).finish()
    before = descriptors(shim)
    for _ in range(number):
        task.exec(["/bin/true"], **streams).finish()
    try:
        eventually(lambda: descriptors(shim) == before, 5)
    except AssertionError:
        equal(descriptors(shim), before)


@test("TestShimDoesNotLeakPipes")
def descriptors_of_execs(world):
    execs_leave_no_descriptors(world, count(6, 200))


@test()
def descriptors_of_terminals(world):
    execs_leave_no_descriptors(world, count(6, 200), tty=True)


@test()
def descriptors_of_stdin(world):
    """A process that never read its stdin, and a client that never wrote."""
    execs_leave_no_descriptors(world, count(6, 200), stdin=True)


@test("TestShimDoesNotLeakSockets")
def sockets_of_shims(world):
    before = set(os.listdir("/run/containerd/s"))
    task = world.task(["/bin/sleep", "1000"]).run()
    equal(len(set(os.listdir("/run/containerd/s")) - before), 1)
    task.forget()
    eventually(lambda: set(os.listdir("/run/containerd/s")) == before, what="no more sockets than before")


@test()
def groups_share_a_shim(world):
    tasks = [world.task(["/bin/sleep", "1000"], annotations=with_group(f"{world.name}-g")).run() for _ in range(3)]
    equal(len({world.shim(task.id) for task in tasks}), 1, "shims of the group")
    shim = world.shim(tasks[0].id)
    # The first of the group may go first.
    tasks[0].forget()
    equal(tasks[1].state().status, RUNNING)
    equal(tasks[1].exec(["/bin/sh", "-c", "exit 5"]).finish(), 5)
    for task in tasks[1:]:
        task.forget()
    eventually(lambda: shim not in leftovers.processes(), what="the end of the shim")


@test()
def groups_start_at_once(world):
    tasks = [world.task("exit 6", annotations=with_group(f"{world.name}-g")).container() for _ in range(8)]
    for task in tasks:
        task.open_streams()
        world.made.append(task)
    creating = [task.tasks.later("Create", container_id=task.id, rootfs=task.mounts, stdout=task.paths["stdout"], stderr=task.paths["stderr"]) for task in tasks]
    for pending in creating:
        pending.result(40)
    equal(len({world.shim(task.id) for task in tasks}), 1, "shims of the group")
    for task in tasks:
        equal(task.start().wait(), 6)


@test()
def execs_that_die_at_once(world):
    """Each has its exit after its start, none after the init's."""
    events = world.events()
    task = world.task(["/bin/sleep", "1000"]).run()
    execs = [task.exec(["/bin/sh", "-c", f"exit {number % 200}"]) for number in range(count(24, 200))]
    waiting = [process.wait_later() for process in execs]
    starting = [process.tasks.later("Start", container_id=task.id, exec_id=process.exec_id) for process in execs]
    for pending in starting:
        pending.result(60)
    equal([pending.result().exit_status for pending in waiting], [number % 200 for number in range(len(execs))])
    for process in execs:
        process.delete()
    task.kill()
    task.wait()
    task.delete()
    events.wait_for("TaskDelete", task.id)
    seen = events.of(task.id)
    equal(seen[-2:], [("TaskExit", task.id), ("TaskDelete", task.id)])
    for process in execs:
        equal([kind for kind, who in seen if who == process.exec_id], ["TaskExecAdded", "TaskExecStarted", "TaskExit"], process.exec_id)


@test()
def execs_die_with_the_init(world):
    """The init is killed under many execs: their exits come before its own."""
    events = world.events()
    for _ in range(count(2, 20)):
        task = world.task(["/bin/sleep", "1000"], rootfs="plain").run()
        execs = [task.exec(["/bin/sleep", "1000"]).start() for _ in range(8)]
        task.kill()
        equal(task.wait(), 137)
        for process in execs:
            equal(process.wait(), 137)
            process.delete()
        task.delete()
        events.wait_for("TaskDelete", task.id)
        kinds = events.of(task.id)
        equal(kinds[-2:], [("TaskExit", task.id), ("TaskDelete", task.id)])
        equal(sum(kind == "TaskExit" for kind, _ in kinds), 9)
        task.forget()


@test()
def exec_of_what_is_not_there(world):
    events = world.events()
    task = world.task(["/bin/sleep", "1000"]).run()
    process = task.exec(["nosuch"])
    refused(process.start, "OCI runtime exec failed", '"nosuch"', "executable file not found in $PATH")
    process.delete()
    equal(task.exec(["/bin/sh", "-c", "exit 8"]).finish(), 8)
    equal([kind for kind, who in events.of(task.id) if who == process.exec_id], ["TaskExecAdded"])


@test()
def process_of_an_exec(world):
    """An exec's user, environment and directory are its own."""
    task = world.task(["/bin/sleep", "1000"]).run()
    process = task.exec(["/bin/sh", "-c", 'echo "$(id -u) $(id -g) $ANSWER $(hostname)"'], user={"uid": 31, "gid": 7}, env=["ANSWER=42"])
    equal(process.finish(), 0)
    equal(process.out.wait_end(), "31 7 42 test\n")


@test()
def signals_are_fresh(world):
    """The shim's signals are not the container's: mask and dispositions are those of a fresh process."""
    task = world.task(["/bin/cat", "/proc/self/status"]).run()
    equal(task.wait(), 0)
    for line in task.out.wait_end().splitlines():
        name, _, value = line.partition(":")
        if name in ("SigBlk", "SigIgn"):
            # 32 and 33 are glibc's own: its posix_spawn leaves them ignored, and make starts us by it.
            equal(int(value.strip(), 16) & ~(3 << 31), 0, name)
