//! The sandbox service as a daemon of 2.2 and later calls it: there is no config.json, and `start` does not know what it starts.

use std::fs;

use dunnage_shim::proto::cri::{
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceOption, PodSandboxConfig, namespace_mode,
};
use dunnage_shim::proto::sandbox::{
    CreateSandboxRequest, PlatformResponse, SandboxMetricsResponse, SandboxRequest, SandboxStatusRequest,
    SandboxStatusResponse, StartSandboxResponse, StopSandboxRequest, WaitSandboxResponse,
};
use dunnage_shim::proto::{Any, Empty, Message, Mount};

use crate::common::*;

const SERVICE: &str = "containerd.runtime.sandbox.v1.Sandbox";

fn start(t: &Daemon, id: &str) -> (Task, CreateSandboxRequest) {
    let (bundle, run) = t.start_sandbox(id);
    let answer = Answer::of(&run.output().ok());
    t.started(&answer);
    let options = NamespaceOption { network: namespace_mode::NODE, ..NamespaceOption::default() };
    let security = LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
    let linux = LinuxPodSandboxConfig {
        cgroup_parent: t.cgroup.clone(),
        security_context: Some(security),
        ..LinuxPodSandboxConfig::default()
    };
    let config = PodSandboxConfig { linux: Some(linux), ..PodSandboxConfig::default() };
    let request = CreateSandboxRequest {
        sandbox_id: id.into(),
        bundle_path: bundle.display().to_string(),
        options: Some(Any::of("runtime.v1.PodSandboxConfig", &config)),
        ..CreateSandboxRequest::default()
    };
    (t.connect(&answer.address), request)
}

fn call<R: Message>(task: &Task, method: &str, id: &str) -> Result<R, Failure> {
    task.client.call(SERVICE, method, &SandboxRequest { sandbox_id: id.into() })
}

fn status(task: &Task, id: &str) -> Result<SandboxStatusResponse, Failure> {
    task.client.call(SERVICE, "SandboxStatus", &SandboxStatusRequest { sandbox_id: id.into(), verbose: true })
}

fn stop(task: &Task, id: &str) -> Result<Empty, Failure> {
    task.client.call(SERVICE, "StopSandbox", &StopSandboxRequest { sandbox_id: id.into(), timeout_secs: 10 })
}

#[test]
fn a_life() {
    case(|t| {
        let (task, request) = start(t, "s1");
        task.client.call::<Empty>(SERVICE, "CreateSandbox", &request).unwrap();
        assert_eq!(status(&task, "s1").unwrap().state, "SANDBOX_NOTREADY");
        let waiting = task.client.begin::<WaitSandboxResponse>(
            SERVICE,
            "WaitSandbox",
            &SandboxRequest { sandbox_id: "s1".into() },
        );
        let started: StartSandboxResponse = call(&task, "StartSandbox", "s1").unwrap();
        let now = status(&task, "s1").unwrap();
        assert_eq!((now.state.as_str(), now.pid), ("SANDBOX_READY", started.pid));
        assert_eq!(now.created_at, started.created_at);
        assert!(now.info["info"].contains(&started.pid.to_string()));
        let platform: PlatformResponse = call(&task, "Platform", "s1").unwrap();
        assert_eq!(platform.platform.unwrap().os, "linux");
        call::<Empty>(&task, "PingSandbox", "s1").unwrap();
        let metrics: SandboxMetricsResponse = call(&task, "SandboxMetrics", "s1").unwrap();
        assert!(metrics.metrics.unwrap().data.unwrap().type_url.starts_with("io.containerd.cgroups.v"));
        // The one file of its root is not writable there, and there is no other.
        let root = format!("/proc/{}/root", started.pid);
        eventually("its program", || {
            fs::read(format!("/proc/{}/cmdline", started.pid)).is_ok_and(|c| c == b"/pause\0").then_some(())
        });
        assert!(fs::File::options().append(true).open(format!("{root}/pause")).is_err());
        let mut names: Vec<_> = fs::read_dir(&root).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["dev", "pause", "proc"]);
        assert_eq!(host::status(started.pid.cast_signed())["CapPrm"], "0000000000000000");
        assert!(waiting.pending(), "it has not ended");
        stop(&task, "s1").unwrap();
        assert_eq!(waiting.wait().unwrap().exit_status, 137);
        assert_eq!(status(&task, "s1").unwrap().state, "SANDBOX_NOTREADY");
        stop(&task, "s1").unwrap();
        call::<Empty>(&task, "ShutdownSandbox", "s1").unwrap();
        eventually("the shim to leave", || task.client.is_closed().then_some(()));
        assert_eq!(t.events.told().len(), 0, "it is no task");
    });
}

/// ShutdownSandbox is enough, in whatever state.
#[test]
fn shutdown_alone() {
    case(|t| {
        for (id, starts) in [("s1", true), ("s2", false)] {
            let (task, request) = start(t, id);
            task.client.call::<Empty>(SERVICE, "CreateSandbox", &request).unwrap();
            if starts {
                call::<StartSandboxResponse>(&task, "StartSandbox", id).unwrap();
            }
            call::<Empty>(&task, "ShutdownSandbox", id).unwrap();
            eventually("the shim to leave", || task.client.is_closed().then_some(()));
        }
    });
}

#[test]
fn what_is_refused() {
    case(|t| {
        let (task, request) = start(t, "s1");
        let refused =
            |request: &CreateSandboxRequest| task.client.call::<Empty>(SERVICE, "CreateSandbox", request).unwrap_err();
        let mount = Mount { kind: "tmpfs".into(), source: "x".into(), ..Mount::default() };
        assert_eq!(refused(&CreateSandboxRequest { rootfs: vec![mount], ..request.clone() }).code, 3);
        let other = Some(Any { type_url: "x.y.Z".into(), value: Vec::new() });
        assert_eq!(refused(&CreateSandboxRequest { options: other, ..request.clone() }).code, 3);
        assert_eq!(refused(&CreateSandboxRequest { sandbox_id: "../s".into(), ..request.clone() }).code, 3);
        for method in ["StartSandbox", "WaitSandbox", "PingSandbox", "SandboxMetrics"] {
            assert_eq!(call::<Empty>(&task, method, "s1").unwrap_err().code, 5, "{method}");
        }
        assert_eq!((stop(&task, "s1").unwrap_err().code, status(&task, "s1").unwrap_err().code), (5, 5));
        assert_eq!(call::<Empty>(&task, "PauseSandbox", "s1").unwrap_err().code, 12);
        task.client.call::<Empty>(SERVICE, "CreateSandbox", &request).unwrap();
        assert_eq!(refused(&request).code, 6);
        // A task is no sandbox.
        let c = t.container("c1");
        c.write_config();
        task.create(&c).unwrap();
        assert_eq!(status(&task, "c1").unwrap_err().code, 5);
        task.delete("c1", "").unwrap();
        // The daemon that could not make one ends the shim in the same way.
        call::<Empty>(&task, "ShutdownSandbox", "s1").unwrap();
    });
}
