//! State on disk is runc's: what one runtime made, the other can see, signal, execute in and delete.

use crate::common::Bundle;
use crate::common::{Runtime, case_of_two, host, json, other_runtime, until};

/// One creates, the other does the rest.
fn handed_over(b: &mut Bundle, from: &Runtime, to: &Runtime) {
    b.set("/annotations", json!({"k": "v"}));
    b.sh("trap 'exit 0' USR1; while :; do sleep 0.01; done");
    b.switch(from).create();
    b.switch(to);
    assert_eq!(b.status(), "created");
    let pid = b.pid();
    b.start();
    let state = b.state();
    assert_eq!((&state["status"], &state["annotations"]["k"]), (&json!("running"), &json!("v")));
    assert_eq!(state["bundle"], b.bundle().display().to_string());
    let r = b.exec_report(&["--user", "3:4"]);
    assert_eq!(r["status"]["Uid"], "3 3 3 3");
    for link in ["mnt", "pid", "net", "ipc", "uts"] {
        assert_eq!(r["ns"][link], host::namespace(pid, link), "{link}");
    }
    assert_eq!(r["status"]["CapBnd"], host::status(pid)["CapBnd"]);
    assert!(b.rt(&["list", "-q"]).ok().out.contains(&b.id));
    assert!(b.rt(&["ps", "--format", "json", &b.id]).ok().out.contains(&pid.to_string()));
    b.rt(&["pause", &b.id]).ok();
    b.switch(from);
    assert_eq!(b.status(), "paused");
    b.switch(to);
    b.rt(&["resume", &b.id]).ok();
    b.rt(&["kill", &b.id, "USR1"]).ok();
    b.await_status("stopped");
    b.delete();
    b.assert_gone();
    b.switch(from);
    b.rt(&["state", &b.id]).fails(1, "container does not exist");
}

#[test]
fn from_runc() {
    case_of_two(|b| handed_over(b, &other_runtime(), Runtime::under_test()));
}

#[test]
fn to_runc() {
    case_of_two(|b| handed_over(b, Runtime::under_test(), &other_runtime()));
}

/// With everything that state.json can say.
fn rich(b: &mut Bundle) {
    b.user_namespace().namespace("cgroup", None);
    b.set("/process/capabilities/inheritable", json!(["CAP_KILL"]))
        .set("/process/capabilities/ambient", json!(["CAP_KILL"]));
    b.set("/process/oomScoreAdj", 10).set("/linux/resources/pids", json!({"limit": 50}));
    b.set("/linux/resources/memory", json!({"limit": 64 << 20})).set("/process/user/umask", 0o027);
    b.set(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}),
    );
    let stopped = b.path("stopped").display().to_string();
    let path = b.script("poststop", &format!("cat > {stopped}"));
    b.set("/hooks/poststop", json!([{"path": path}]));
    b.args(&["/bin/sleep", "100"]);
}

fn rich_handed_over(b: &mut Bundle, from: &Runtime, to: &Runtime) {
    rich(b);
    b.switch(from).run_detached();
    b.switch(to);
    let r = b.exec_report(&[]);
    assert_eq!(r["status"]["Uid"], "0 0 0 0");
    assert_eq!(r["ns"]["user"], host::namespace(b.pid(), "user"));
    assert_eq!(r["status"]["Seccomp"], "2");
    assert_eq!(r["oom_score_adj"], "10");
    // 95 is EOPNOTSUPP: the filter of the container, with its own errno.
    assert!(b.exec(&["chroot", "/", "true"]).err.contains("Operation not supported"));
    b.rt(&["delete", "--force", &b.id]).ok();
    b.assert_gone();
    let state: serde_json::Value = serde_json::from_str(&host::read(b.path("stopped"))).unwrap();
    assert_eq!((&state["id"], &state["status"]), (&json!(b.id), &json!("stopped")));
}

#[test]
fn a_rich_state_from_runc() {
    case_of_two(|b| rich_handed_over(b, &other_runtime(), Runtime::under_test()));
}

#[test]
fn a_rich_state_to_runc() {
    case_of_two(|b| rich_handed_over(b, Runtime::under_test(), &other_runtime()));
}

/// A shared pid namespace is killed through the cgroup paths of the other's state.
#[test]
fn shared_pid_namespace_from_runc() {
    case_of_two(|b| {
        let mut pod = Bundle::new();
        pod.args(&["/bin/sleep", "100"]).run_detached();
        b.namespace("pid", Some(&format!("/proc/{}/ns/pid", pod.pid())));
        let mut out = b.switch(&other_runtime()).sh("setsid sleep 100 & echo ready; wait").run_detached();
        until("its child", || out.written().0.contains("ready"));
        let all = host::pids_in_cgroup(&b.cgroup);
        assert_eq!(all.len(), 2);
        b.switch(Runtime::under_test());
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
        assert!(host::alive(pod.pid()));
    });
}
