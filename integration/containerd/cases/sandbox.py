"""Pods whose sandbox the shim makes itself, through the sandbox API of containerd 2.0 and later.

A CRI with `sandboxer = "shim"` calls the same controller in the same order. That of Debian's 2.1.9 dies when it does (a nil specification in
NewBundle), before any shim is asked, so with it the tests are the controller's clients themselves, and put containers into the pod as the
CRI does. That of 1.7 can do it, if its environment says so (`sandbox_mode = "shim"`): there the pods are the CRI's.
"""

import json
import os
import signal
import time

import grpc
import leftovers
import ttrpc
from client import CallError
from cri import NODE, NOTREADY, POD, READY, Pod
from process import json_any, numbers, runc_options
from runner import contains, equal, eventually, test
from wire import decode, encode

NAMESPACES = ("ipc", "net", "pid", "uts")


def new(version):
    return version >= (2, 0)


def ended(call):
    try:
        call()
    except CallError as error:
        return error.not_found
    return True


def refused(call, code):
    try:
        call()
    except CallError as error:
        equal(error.code, code, error.text)
        return error.text
    raise AssertionError("it was not refused")


class Sandbox:
    def __init__(self, world, options=None, spec=None, netns="", annotations=None, runtime=None, **security):
        self.world, self.id = world, f"{world.name}-{next(numbers)}"
        self.store, self.controller = world.daemon.sandboxes(world.namespace)
        self.config = options or {
            "metadata": {"name": "n", "uid": "u", "namespace": "ns"}, "hostname": "pod-host", "annotations": annotations or {},
            "linux": {"cgroup_parent": world.daemon.parent, "security_context": {"namespace_options": security}},
        }  # fmt: skip
        # A CRI without a specification would give none; NewBundle of 2.1 wants one.
        spec = json_any("Spec", spec or {"ociVersion": "1.2.0"})
        runtime = {"name": "io.containerd.runc.v2", "options": runtime}
        self.record = {"sandbox_id": self.id, "runtime": runtime, "spec": spec, "sandboxer": "shim"}
        self.netns = netns
        world.at_end.append(self.clean)

    def create(self):
        self.store.Create(sandbox=self.record)
        options = {"type_url": "runtime.v1.PodSandboxConfig", "value": encode("PodSandboxConfig", self.config)}
        self.controller.Create(sandbox_id=self.id, options=options, netns_path=self.netns, sandbox=self.record, sandboxer="shim")
        return self

    def start(self):
        self.started = self.call("Start")
        bundle = f"{self.world.daemon.base}/state/io.containerd.sandbox.controller.v1.shim/{self.world.namespace}/{self.id}"
        self.pid, self.address = self.started.pid, leftovers.read(bundle + "/address").removeprefix("unix://")
        return self

    def run(self):
        return self.create().start()

    def call(self, method, **fields):
        return self.controller.later(method, sandbox_id=self.id, sandboxer="shim", **fields).result()

    def status(self, verbose=False):
        return self.call("Status", verbose=verbose)

    def direct(self, method):
        """A call that no daemon of Debian's can be made to make, to the shim itself."""
        request = encode("ShimSandboxRequest", {"sandbox_id": self.id})
        payload, status = ttrpc.call(self.address, "containerd.runtime.sandbox.v1.Sandbox", method, request)
        equal(status, None, method)
        return payload

    def shim(self):
        return ttrpc.shim_pid(self.address, self.id)

    def task(self, args, shared=False, **more):
        """A container in the pod's namespaces."""

        files = {"ipc": "ipc", "uts": "uts", "network": "net", **({"pid": "pid"} if shared else {})}

        def change(document):
            for one in document["linux"]["namespaces"]:
                if one["type"] in files:
                    one["path"] = f"/proc/{self.pid}/ns/{files[one['type']]}"
            document.pop("hostname")
            document["annotations"] = {"io.kubernetes.cri.sandbox-id": self.id, "io.kubernetes.cri.container-type": "container"}

        return self.world.task(args, change=change, sandbox=self.id, **more)

    def clean(self):
        for call in (lambda: self.call("Stop"), lambda: self.call("Shutdown"), lambda: self.store.Delete(sandbox_id=self.id)):
            # A daemon that has not noticed yet that the shim is gone does so soon.
            eventually(lambda: ended(call), what="its end")


def namespaces(pid):
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in NAMESPACES}


@test(versions=new)
def sandbox_life(world):
    """All methods, in the order in which a CRI calls them."""
    events = world.events()
    before = time.time()
    sandbox = Sandbox(world).create()
    equal(sandbox.status().state, "SANDBOX_NOTREADY", "what is created")
    sandbox.start()
    equal(pause(), sandbox.pid)
    assert before - 1 <= sandbox.started.created_at.seconds <= time.time(), sandbox.started
    platform = decode("ControllerPlatformResponse", sandbox.direct("Platform")).platform
    equal((platform.os, platform.architecture), ("linux", {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]))
    waiting = sandbox.controller.later("Wait", sandbox_id=sandbox.id, sandboxer="shim")
    status = sandbox.status(verbose=True)
    equal((status.sandbox_id, status.pid, status.state, status.created_at), (sandbox.id, sandbox.pid, "SANDBOX_READY", sandbox.started.created_at))
    equal(json.loads(status.info["info"])["pid"], sandbox.pid)
    sandbox.direct("PingSandbox")
    metric = sandbox.call("Metrics").metrics
    equal(metric.id, sandbox.id)
    contains(metric.data.type_url, "io.containerd.cgroups.v")
    shim = sandbox.shim()
    assert not waiting.done(), "it has not ended"
    sandbox.call("Stop")
    assert sandbox.pid not in leftovers.processes(), "what was stopped runs"
    ended = waiting.result()
    equal(ended.exit_status, 137)
    assert abs(ended.exited_at.seconds - time.time()) < 60, ended
    status = sandbox.status()
    equal((status.state, status.exited_at), ("SANDBOX_NOTREADY", ended.exited_at))
    sandbox.call("Stop")
    equal(sandbox.call("Wait").exit_status, 137, "a Wait after the end")
    # It is no task. (Of the end of the shim's connection the daemon tells as if it had been one.)
    equal(events.of(sandbox.id), [])
    sandbox.call("Shutdown")
    eventually(lambda: shim not in leftovers.processes(), what="the end of the shim")
    refused(lambda: sandbox.call("Shutdown"), grpc.StatusCode.NOT_FOUND)


@test(versions=new)
def sandbox_with_containers(world):
    """Their shim is the sandbox's, their namespaces are those that its process holds; the sandbox outlives them."""
    sandbox = Sandbox(world).run()
    shim, held = sandbox.shim(), namespaces(sandbox.pid)
    assert all(held[name] != os.readlink(f"/proc/1/ns/{name}") for name in NAMESPACES), held
    task = sandbox.task("hostname; sleep 1000").run()
    task.out.wait_for("pod-host\n")
    equal(world.shim(task.id), shim)
    theirs = namespaces(task.pid)
    equal({name for name in NAMESPACES if theirs[name] == held[name]}, {"ipc", "net", "uts"})
    equal(task.exec(["/bin/true"]).finish(), 0)
    task.kill()
    equal(task.wait(), 137)
    task.forget()
    equal((sandbox.status().state, sandbox.shim()), ("SANDBOX_READY", shim))
    other = sandbox.task("exit 3").create()
    waiting = other.wait_later()
    other.start()
    equal(waiting.result().exit_status, 3)
    other.forget()


@test(versions=new)
def sandbox_with_shared_pids(world):
    """Its process is the first of the pod's pid namespace: what is left there by others it reaps, and signals do not surprise it."""
    sandbox = Sandbox(world).run()
    task = sandbox.task("sh -c 'sleep 0.05 & echo $!' >/dev/null; kill -9 1; kill -1 1; echo sent; sleep 1000", shared=True).run()
    task.out.wait_for("sent")
    equal(namespaces(task.pid)["pid"], namespaces(sandbox.pid)["pid"])

    def children():
        path = f"/proc/{sandbox.pid}/task/{sandbox.pid}/children"
        return leftovers.read(path).split()

    eventually(lambda: not children(), what="no orphan, alive or not")
    equal(sandbox.status().state, "SANDBOX_READY")
    task.kill()
    task.forget()
    # SIGTERM is its way to end well.
    os.kill(sandbox.pid, signal.SIGTERM)
    equal(sandbox.call("Wait").exit_status, 0)
    equal(sandbox.status().state, "SANDBOX_NOTREADY")


@test(versions=new)
def sandbox_of_the_node(world):
    """Namespaces that are the node's are not made."""
    sandbox = Sandbox(world, network=NODE, pid=NODE, ipc=NODE).run()
    equal(namespaces(sandbox.pid), namespaces(os.getpid()))


@test(versions=new)
def sandbox_in_a_network(world):
    """The namespace that the CRI has made, with the sysctls of a pod."""
    path = f"{world.directory}/netns"
    holder = os.fork()
    if holder == 0:
        os.execvp("unshare", ["unshare", "--net", "sleep", "1000"])
    try:
        own = os.readlink("/proc/self/ns/net")
        eventually(lambda: os.readlink(f"/proc/{holder}/ns/net") != own, what="a network")
        open(path, "w").close()
        os.system(f"mount --bind /proc/{holder}/ns/net {path}")
        world.at_end.insert(0, lambda: os.system(f"umount {path}"))
        sandbox = Sandbox(world, netns=path).run()
        equal(os.readlink(f"/proc/{sandbox.pid}/ns/net"), os.readlink(f"/proc/{holder}/ns/net"))
        task = sandbox.task("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range").create()
        waiting = task.wait_later()
        task.start()
        equal((waiting.result().exit_status, task.out.wait_end().split()), (0, ["0", "0", "2147483647"]))
        task.forget()
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)


@test(versions=new)
def sandbox_with_users(world):
    ids = [{"host_id": 200000, "container_id": 0, "length": 65536}]
    sandbox = Sandbox(world, userns_options={"mode": 0, "uids": ids, "gids": ids}).run()
    contains(leftovers.read(f"/proc/{sandbox.pid}/status"), "Uid:\t200000")
    equal(leftovers.read(f"/proc/{sandbox.pid}/uid_map").split(), ["0", "200000", "65536"])


@test(versions=new)
def sandbox_that_is_refused(world):
    """Nothing of it is left, not even the shim."""
    sandbox = Sandbox(world, userns_options={"mode": 0, "uids": [], "gids": []})
    contains(refused(sandbox.create, grpc.StatusCode.INVALID_ARGUMENT), "user namespace: one range of uids is needed, not 0")
    eventually(lambda: not [line for line in leftovers.processes().values() if "containerd-shim" in line], what="the end of the shim")
    # Of a name that the daemon does not know it asks no shim.
    refused(lambda: sandbox.call("Start"), grpc.StatusCode.UNKNOWN)


@test(versions=new)
def sandbox_of_a_specification(world):
    """A client that says itself what the process is."""
    spec = world.task(["/bin/sleep", "1000"], rootfs="plain").spec
    sandbox = Sandbox(world, spec=spec).run()
    eventually(lambda: "sleep 1000" in leftovers.processes()[sandbox.pid], what="what it says")


@test(versions=new)
def sandbox_across_a_restart(world):
    """The daemon that comes back finds it ready, and a Wait ends when it does, truly."""
    sandbox = Sandbox(world).run()
    task = sandbox.task("sleep 1000").run()
    shim = sandbox.shim()
    world.daemon.kill()
    world.daemon.start()
    sandbox.store, sandbox.controller = world.daemon.sandboxes(world.namespace)
    equal((sandbox.status().state, sandbox.shim()), ("SANDBOX_READY", shim))
    world.daemon.kill()
    os.kill(sandbox.pid, signal.SIGTERM)
    eventually(lambda: sandbox.pid not in leftovers.processes(), what="its end")
    world.daemon.start()
    sandbox.store, sandbox.controller = world.daemon.sandboxes(world.namespace)
    equal((sandbox.status().state, sandbox.call("Wait").exit_status), ("SANDBOX_NOTREADY", 0))
    task.tasks = world.daemon.tasks(world.namespace)
    task.kill()
    task.forget()


@test(versions=new)
def sandbox_of_a_killed_shim(world):
    """The pod goes with its shim: what the daemon's `delete` finds of it, it removes."""
    sandbox = Sandbox(world).run()
    task = sandbox.task("sleep 1000").run()
    os.kill(sandbox.shim(), signal.SIGKILL)
    eventually(lambda: not {sandbox.pid, task.pid} & leftovers.processes().keys(), what="the end of the pod")


@test(versions=new)
def sandbox_that_is_upgraded(world):
    """It goes on in the new program with its times, and who waits for it waits on."""
    if world.daemon.shim.startswith(world.daemon.binaries):
        raise AssertionError("containerd's own cannot do that")
    sandbox = Sandbox(world).run()
    waiting = sandbox.controller.later("Wait", sandbox_id=sandbox.id, sandboxer="shim")
    before = sandbox.status()
    shim = sandbox.shim()
    done = os.popen(f"{world.daemon.shim} -socket {sandbox.address} upgrade 2>&1").read()
    contains(done, f"pid {shim}, version")
    equal((sandbox.status(), sandbox.shim()), (before, shim))
    assert not waiting.done()
    sandbox.call("Stop")
    equal(waiting.result().exit_status, 137)


def pause():
    """The one that there is. It was started, and becomes that program in a moment."""
    [pid] = eventually(lambda: [pid for pid, line in leftovers.processes().items() if line == "/pause"], what="the sandbox's process")
    return pid


@test(versions=lambda version: version == (1, 7))
def pods_of_the_cri(world):
    """A kubelet's view: pods as others, without a pause of an image."""
    daemon = world.daemon
    daemon.stop()
    daemon.more = {"ENABLE_CRI_SANDBOXES": "1"}
    world.at_end.insert(0, lambda: (daemon.stop(), daemon.more.clear(), daemon.start()))
    daemon.start()
    for network in (NODE, POD):
        pod = Pod(world, network=network, handler="sandbox")
        equal(pod.status().state, READY)
        pid = pause()
        assert os.stat(f"/proc/{pid}/exe").st_size < 8192, "it is the program of an image"
        container = pod.run("echo hello; readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; sleep 1000")
        eventually(lambda: len(container.output()) == 3, what="the log")
        equal(container.output(), ["hello", os.readlink(f"/proc/{pid}/ns/net"), os.readlink(f"/proc/{pid}/ns/ipc")])
        equal(container.output()[1] == os.readlink("/proc/self/ns/net"), network == NODE)
        equal(container.exec(["/bin/echo", "x"]).stdout, b"x\n")
        container.stop()
        equal(container.status().exit_code, 137)
        container.remove()
        equal(pod.status().state, READY)
        pod.stop()
        eventually(lambda: pod.status().state == NOTREADY, what="the end of the pod")
        assert pid not in leftovers.processes(), "the sandbox runs"
        pod.remove()
        eventually(lambda: not [line for line in leftovers.processes().values() if "containerd-shim" in line], what="the end of the shim")
    # One that ends by itself is not ready.
    pod = Pod(world, handler="sandbox")
    pid = pause()
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: pod.status().state == NOTREADY, what="a pod that is not ready")
