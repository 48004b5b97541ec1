"""The messages that the tests speak, as tables: field=number:type.

Types: str, bytes, int (signed), uint, bool, double, a message's name, [type] repeated, {type} a map from strings. Fields that no
test needs are left out. Sources: the .proto files of containerd's API and of the CRI (runtime.v1); names are theirs.
"""

ANY = "type_url=1:str value=2:bytes"
_TASK_ID = "container_id=1:str"
_PROCESS_ID = "container_id=1:str exec_id=2:str"
_SANDBOX_ID = "pod_sandbox_id=1:str"

# Types that occur in several services.
TYPES = {
    "Empty": "",
    "Any": ANY,
    "Timestamp": "seconds=1:int nanos=2:int",
    "Mount": "type=1:str source=2:str target=3:str options=4:[str]",
    "RuncOptions": "no_pivot_root=1:bool no_new_keyring=2:bool shim_cgroup=3:str io_uid=4:uint io_gid=5:uint binary_name=6:str"
    " root=7:str systemd_cgroup=9:bool",
    "ProcessDetails": "exec_id=1:str",
}

TASKS = {
    "CreateTaskRequest": "container_id=1:str rootfs=3:[Mount] stdin=4:str stdout=5:str stderr=6:str terminal=7:bool options=9:Any",
    "CreateTaskResponse": "container_id=1:str pid=2:uint",
    "StartRequest": _PROCESS_ID,
    "StartResponse": "pid=1:uint",
    "DeleteTaskRequest": _TASK_ID,
    "DeleteProcessRequest": _PROCESS_ID,
    "DeleteResponse": "id=1:str pid=2:uint exit_status=3:uint exited_at=4:Timestamp",
    "GetRequest": _PROCESS_ID,
    "Process": "container_id=1:str id=2:str pid=3:uint status=4:uint stdin=5:str stdout=6:str stderr=7:str terminal=8:bool"
    " exit_status=9:uint exited_at=10:Timestamp",
    "GetResponse": "process=1:Process",
    "ListTasksRequest": "filter=1:str",
    "ListTasksResponse": "tasks=1:[Process]",
    "KillRequest": "container_id=1:str exec_id=2:str signal=3:uint all=4:bool",
    "ExecProcessRequest": "container_id=1:str stdin=2:str stdout=3:str stderr=4:str terminal=5:bool spec=6:Any exec_id=7:str",
    "ResizePtyRequest": "container_id=1:str exec_id=2:str width=3:uint height=4:uint",
    "CloseIORequest": "container_id=1:str exec_id=2:str stdin=3:bool",
    "PauseTaskRequest": _TASK_ID,
    "ResumeTaskRequest": _TASK_ID,
    "ListPidsRequest": _TASK_ID,
    "ProcessInfo": "pid=1:uint info=2:Any",
    "ListPidsResponse": "processes=1:[ProcessInfo]",
    "UpdateTaskRequest": "container_id=1:str resources=2:Any annotations=3:{str}",
    "MetricsRequest": "filters=1:[str]",
    "Metric": "timestamp=1:Timestamp id=2:str data=3:Any",
    "MetricsResponse": "metrics=1:[Metric]",
    "WaitRequest": _PROCESS_ID,
    "WaitResponse": "exit_status=1:uint exited_at=2:Timestamp",
}

CONTAINERS = {
    "Runtime": "name=1:str options=2:Any",
    "Container": "id=1:str labels=2:{str} image=3:str runtime=4:Runtime spec=5:Any snapshotter=6:str snapshot_key=7:str sandbox=11:str",
    "CreateContainerRequest": "container=1:Container",
    "CreateContainerResponse": "container=1:Container",
    "ListContainersRequest": "filters=1:[str]",
    "ListContainersResponse": "containers=1:[Container]",
    "FieldMask": "paths=1:[str]",
    "UpdateContainerRequest": "container=1:Container update_mask=2:FieldMask",
    "UpdateContainerResponse": "container=1:Container",
    "DeleteContainerRequest": "id=1:str",
}

_CONTROLLED = "sandbox_id=1:str sandboxer=10:str"
SANDBOXES = {
    "SandboxRuntime": "name=1:str options=2:Any",
    "Sandbox": "sandbox_id=1:str runtime=2:SandboxRuntime spec=3:Any sandboxer=10:str",
    "StoreRequest": "sandbox=1:Sandbox",
    "StoreDeleteRequest": "sandbox_id=1:str",
    "ControllerCreateRequest": "sandbox_id=1:str options=3:Any netns_path=4:str annotations=5:{str} sandbox=6:Sandbox sandboxer=10:str",
    "ControllerRequest": _CONTROLLED,
    "ControllerStartResponse": "sandbox_id=1:str pid=2:uint created_at=3:Timestamp address=5:str version=6:uint",
    "Platform": "os=1:str architecture=2:str variant=3:str",
    "ControllerPlatformResponse": "platform=1:Platform",
    "ControllerStopRequest": "sandbox_id=1:str timeout_secs=2:uint sandboxer=10:str",
    "ControllerStatusRequest": "sandbox_id=1:str verbose=2:bool sandboxer=10:str",
    "ControllerStatusResponse": "sandbox_id=1:str pid=2:uint state=3:str info=4:{str} created_at=5:Timestamp exited_at=6:Timestamp address=8:str",
    "ControllerMetricsResponse": "metrics=1:Metric",
    "ShimSandboxRequest": "sandbox_id=1:str",
}

EVENTS = {
    "SubscribeRequest": "filters=1:[str]",
    "Envelope": "timestamp=1:Timestamp namespace=2:str topic=3:str event=4:Any",
    "ForwardRequest": "envelope=1:Envelope",
    "TaskIO": "stdin=1:str stdout=2:str stderr=3:str terminal=4:bool",
    "TaskCreate": "container_id=1:str bundle=2:str rootfs=3:[Mount] io=4:TaskIO checkpoint=5:str pid=6:uint",
    "TaskStart": "container_id=1:str pid=2:uint",
    "TaskDelete": "container_id=1:str pid=2:uint exit_status=3:uint exited_at=4:Timestamp id=5:str",
    "TaskExit": "container_id=1:str id=2:str pid=3:uint exit_status=4:uint exited_at=5:Timestamp",
    "TaskOOM": _TASK_ID,
    "TaskExecAdded": _PROCESS_ID,
    "TaskExecStarted": "container_id=1:str exec_id=2:str pid=3:uint",
    "TaskPaused": _TASK_ID,
    "TaskResumed": _TASK_ID,
}

# cgroups.v1.Metrics and cgroups.v2.Metrics, what of them is compared.
METRICS = {
    "Pids": "current=1:uint limit=2:uint",
    "CpuUsageV1": "total=1:uint kernel=2:uint user=3:uint",
    "CpuV1": "usage=1:CpuUsageV1",
    "MemoryEntry": "limit=1:uint usage=2:uint max=3:uint failcnt=4:uint",
    "MemoryV1": "usage=33:MemoryEntry",
    "MetricsV1": "pids=2:Pids cpu=3:CpuV1 memory=4:MemoryV1",
    "CpuV2": "usage_usec=1:uint",
    "MemoryV2": "usage=32:uint usage_limit=33:uint",
    "MetricsV2": "pids=1:Pids cpu=2:CpuV2 memory=4:MemoryV2",
}

# ttrpc's request and response, for the recorder of events.
TTRPC = {
    "TtrpcRequest": "service=1:str method=2:str payload=3:bytes timeout_nano=4:int",
    "TtrpcStatus": "code=1:int message=2:str",
    "TtrpcResponse": "status=1:TtrpcStatus payload=2:bytes",
    "ConnectRequest": "id=1:str",
    "ConnectResponse": "shim_pid=1:uint task_pid=2:uint version=3:str",
}

# The CRI. Where a name is containerd's as well, it begins with Cri.
CRI = {
    "Int64Value": "value=1:int",
    "UInt64Value": "value=1:uint",
    "IDMapping": "host_id=1:uint container_id=2:uint length=3:uint",
    "UserNamespace": "mode=1:uint uids=2:[IDMapping] gids=3:[IDMapping]",
    "NamespaceOption": "network=1:uint pid=2:uint ipc=3:uint target_id=4:str userns_options=5:UserNamespace",
    "SandboxSecurity": "namespace_options=1:NamespaceOption privileged=6:bool",
    "LinuxPodSandboxConfig": "cgroup_parent=1:str security_context=2:SandboxSecurity sysctls=3:{str}",
    "PodSandboxMetadata": "name=1:str uid=2:str namespace=3:str attempt=4:uint",
    "PodSandboxConfig": "metadata=1:PodSandboxMetadata hostname=2:str log_directory=3:str labels=6:{str} annotations=7:{str}"
    " linux=8:LinuxPodSandboxConfig",
    "RunPodSandboxRequest": "config=1:PodSandboxConfig runtime_handler=2:str",
    "RunPodSandboxResponse": _SANDBOX_ID,
    "StopPodSandboxRequest": _SANDBOX_ID,
    "RemovePodSandboxRequest": _SANDBOX_ID,
    "PodSandboxStatusRequest": "pod_sandbox_id=1:str verbose=2:bool",
    "PodSandboxStatus": "id=1:str metadata=2:PodSandboxMetadata state=3:uint created_at=4:int",
    "PodSandboxStatusResponse": "status=1:PodSandboxStatus info=2:{str}",
    "ListPodSandboxRequest": "",
    "PodSandbox": "id=1:str state=3:uint",
    "ListPodSandboxResponse": "items=1:[PodSandbox]",
    "ImageSpec": "image=1:str",
    "KeyValue": "key=1:str value=2:str",
    "LinuxContainerResources": "cpu_period=1:int cpu_quota=2:int cpu_shares=3:int memory_limit_in_bytes=4:int oom_score_adj=5:int"
    " cpuset_cpus=6:str",
    "ContainerSecurity": "privileged=2:bool namespace_options=3:NamespaceOption run_as_user=5:Int64Value run_as_username=6:str",
    "LinuxContainerConfig": "resources=1:LinuxContainerResources security_context=2:ContainerSecurity",
    "ContainerMetadata": "name=1:str attempt=2:uint",
    "CriMount": "container_path=1:str host_path=2:str readonly=3:bool",
    "ContainerConfig": "metadata=1:ContainerMetadata image=2:ImageSpec command=3:[str] args=4:[str] working_dir=5:str"
    " envs=6:[KeyValue] mounts=7:[CriMount] labels=9:{str} annotations=10:{str} log_path=11:str stdin=12:bool stdin_once=13:bool tty=14:bool"
    " linux=15:LinuxContainerConfig",
    "CriCreateContainerRequest": "pod_sandbox_id=1:str config=2:ContainerConfig sandbox_config=3:PodSandboxConfig",
    "CriCreateContainerResponse": "container_id=1:str",
    "StartContainerRequest": "container_id=1:str",
    "StopContainerRequest": "container_id=1:str timeout=2:int",
    "RemoveContainerRequest": "container_id=1:str",
    "CriListContainersRequest": "",
    "CriContainer": "id=1:str pod_sandbox_id=2:str state=6:uint",
    "CriListContainersResponse": "containers=1:[CriContainer]",
    "ContainerStatusRequest": "container_id=1:str verbose=2:bool",
    "ContainerStatus": "id=1:str state=3:uint created_at=4:int started_at=5:int finished_at=6:int exit_code=7:int reason=10:str"
    " message=11:str log_path=15:str",
    "ContainerStatusResponse": "status=1:ContainerStatus info=2:{str}",
    "UpdateContainerResourcesRequest": "container_id=1:str linux=2:LinuxContainerResources",
    "ReopenContainerLogRequest": "container_id=1:str",
    "ExecSyncRequest": "container_id=1:str cmd=2:[str] timeout=3:int",
    "ExecSyncResponse": "stdout=1:bytes stderr=2:bytes exit_code=3:int",
    "ExecRequest": "container_id=1:str cmd=2:[str] tty=3:bool stdin=4:bool stdout=5:bool stderr=6:bool",
    "ExecResponse": "url=1:str",
    "AttachRequest": "container_id=1:str stdin=2:bool tty=3:bool stdout=4:bool stderr=5:bool",
    "AttachResponse": "url=1:str",
    "CpuUsage": "timestamp=1:int usage_core_nano_seconds=2:UInt64Value",
    "MemoryUsage": "timestamp=1:int working_set_bytes=2:UInt64Value",
    "ContainerStats": "cpu=2:CpuUsage memory=3:MemoryUsage",
    "ContainerStatsRequest": "container_id=1:str",
    "ContainerStatsResponse": "stats=1:ContainerStats",
    "PodSandboxStatsRequest": _SANDBOX_ID,
    "StatusRequest": "verbose=1:bool",
    "HandlerFeatures": "recursive_read_only_mounts=1:bool user_namespaces=2:bool",
    "RuntimeHandler": "name=1:str features=2:HandlerFeatures",
    "StatusResponse": "runtime_handlers=3:[RuntimeHandler]",
    "ImageStatusRequest": "image=1:ImageSpec",
    "Image": "id=1:str repo_tags=2:[str]",
    "ImageStatusResponse": "image=1:Image",
}

MESSAGES = {**TYPES, **TASKS, **CONTAINERS, **SANDBOXES, **EVENTS, **METRICS, **TTRPC, **CRI}
