"""A connection to a containerd: its services by gRPC, without generated code, and an error that says which call it was.

Owns: names of methods, deadlines, the namespace's metadata. Survives the daemon's death: a call waits for the next one to listen.
"""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc  # noqa: E402  (the environment is read when it is loaded)

from wire import decode, encode  # noqa: E402

# service -> method -> (request, response)
METHODS = {
    "containerd.services.tasks.v1.Tasks": {
        "Create": ("CreateTaskRequest", "CreateTaskResponse"),
        "Start": ("StartRequest", "StartResponse"),
        "Delete": ("DeleteTaskRequest", "DeleteResponse"),
        "DeleteProcess": ("DeleteProcessRequest", "DeleteResponse"),
        "Get": ("GetRequest", "GetResponse"),
        "List": ("ListTasksRequest", "ListTasksResponse"),
        "Kill": ("KillRequest", "Empty"),
        "Exec": ("ExecProcessRequest", "Empty"),
        "ResizePty": ("ResizePtyRequest", "Empty"),
        "CloseIO": ("CloseIORequest", "Empty"),
        "Pause": ("PauseTaskRequest", "Empty"),
        "Resume": ("ResumeTaskRequest", "Empty"),
        "ListPids": ("ListPidsRequest", "ListPidsResponse"),
        "Update": ("UpdateTaskRequest", "Empty"),
        "Metrics": ("MetricsRequest", "MetricsResponse"),
        "Wait": ("WaitRequest", "WaitResponse"),
    },
    "containerd.services.containers.v1.Containers": {
        "Create": ("CreateContainerRequest", "CreateContainerResponse"),
        "List": ("ListContainersRequest", "ListContainersResponse"),
        "Update": ("UpdateContainerRequest", "UpdateContainerResponse"),
        "Delete": ("DeleteContainerRequest", "Empty"),
    },
    "containerd.services.sandbox.v1.Store": {"Create": ("StoreRequest", "StoreRequest"), "Delete": ("StoreDeleteRequest", "Empty")},
    "containerd.services.sandbox.v1.Controller": {
        "Create": ("ControllerCreateRequest", "Empty"),
        "Start": ("ControllerRequest", "ControllerStartResponse"),
        "Platform": ("ControllerRequest", "ControllerPlatformResponse"),
        "Stop": ("ControllerStopRequest", "Empty"),
        "Wait": ("ControllerRequest", "WaitResponse"),
        "Status": ("ControllerStatusRequest", "ControllerStatusResponse"),
        "Shutdown": ("ControllerRequest", "Empty"),
        "Metrics": ("ControllerRequest", "ControllerMetricsResponse"),
    },
    "runtime.v1.RuntimeService": {
        "Status": ("StatusRequest", "StatusResponse"),
        "RunPodSandbox": ("RunPodSandboxRequest", "RunPodSandboxResponse"),
        "StopPodSandbox": ("StopPodSandboxRequest", "Empty"),
        "RemovePodSandbox": ("RemovePodSandboxRequest", "Empty"),
        "PodSandboxStatus": ("PodSandboxStatusRequest", "PodSandboxStatusResponse"),
        "ListPodSandbox": ("ListPodSandboxRequest", "ListPodSandboxResponse"),
        "CreateContainer": ("CriCreateContainerRequest", "CriCreateContainerResponse"),
        "StartContainer": ("StartContainerRequest", "Empty"),
        "StopContainer": ("StopContainerRequest", "Empty"),
        "RemoveContainer": ("RemoveContainerRequest", "Empty"),
        "ListContainers": ("CriListContainersRequest", "CriListContainersResponse"),
        "ContainerStatus": ("ContainerStatusRequest", "ContainerStatusResponse"),
        "UpdateContainerResources": ("UpdateContainerResourcesRequest", "Empty"),
        "ReopenContainerLog": ("ReopenContainerLogRequest", "Empty"),
        "ExecSync": ("ExecSyncRequest", "ExecSyncResponse"),
        "Exec": ("ExecRequest", "ExecResponse"),
        "Attach": ("AttachRequest", "AttachResponse"),
        "ContainerStats": ("ContainerStatsRequest", "ContainerStatsResponse"),
        "PodSandboxStats": ("PodSandboxStatsRequest", "Empty"),
    },
    "runtime.v1.ImageService": {"ImageStatus": ("ImageStatusRequest", "ImageStatusResponse")},
}


class CallError(Exception):
    """A call that was answered with an error."""

    def __init__(self, method, error):
        self.code = error.code()
        self.text = error.details() or ""
        super().__init__(f"{method}: {self.code.name}: {self.text}")

    @property
    def not_found(self):
        return self.code == grpc.StatusCode.NOT_FOUND

    @property
    def unavailable(self):
        return self.code == grpc.StatusCode.UNAVAILABLE


class Pending:
    """A call that is under way."""

    def __init__(self, method, call, response):
        self.method, self.call, self.response = method, call, response

    def result(self, timeout=20):
        try:
            return decode(self.response, self.call.result(timeout=timeout))
        except grpc.FutureTimeoutError:
            self.call.cancel()
            raise TimeoutError(f"{self.method}: no answer within {timeout} s") from None
        except grpc.RpcError as error:
            raise CallError(self.method, error) from None

    def done(self):
        return self.call.done()

    def cancel(self):
        self.call.cancel()


class Service:
    """`service.Method(field=value, ...)` is a call; `service.later("Method", ...)` one that is waited for afterwards."""

    def __init__(self, connection, name, namespace=None):
        self._connection, self._name = connection, name
        self._metadata = [("containerd-namespace", namespace)] if namespace else []

    def later(self, method, timeout_of_call=120, /, **fields):
        request, response = METHODS[self._name][method]
        call = self._connection.channel.unary_unary(f"/{self._name}/{method}").future(
            encode(request, fields), timeout=timeout_of_call, metadata=self._metadata, wait_for_ready=True
        )
        return Pending(method, call, response)

    def __getattr__(self, method):
        def call(timeout_of_call=20, **fields):
            return self.later(method, timeout_of_call, **fields).result(timeout_of_call + 1)

        return call


class Connection:
    def __init__(self, address):
        options = [
            ("grpc.default_authority", "localhost"),
            ("grpc.initial_reconnect_backoff_ms", 20),
            ("grpc.min_reconnect_backoff_ms", 20),
            ("grpc.max_reconnect_backoff_ms", 100),
            ("grpc.max_receive_message_length", 64 << 20),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        self.channel = grpc.insecure_channel("unix:" + address, options=options)

    def service(self, name, namespace=None):
        return Service(self, name, namespace)

    def subscribe(self, filters):
        """The daemon's events, as they come."""
        method = "/containerd.services.events.v1.Events/Subscribe"
        stream = self.channel.unary_stream(method)(encode("SubscribeRequest", {"filters": filters}), wait_for_ready=True)
        return stream, (decode("Envelope", raw) for raw in stream)

    def close(self):
        self.channel.close()
