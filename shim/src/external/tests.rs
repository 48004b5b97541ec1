//! Real runtimes: runc, crun, a wrapper as nvidia's is, and scripts that fail.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use dunnage::sys::pidfd::{Exit, PidFd};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use super::console::{ConsoleSocket, PATIENCE};
use super::*;
use crate::confined::{self, MARK, Pids};
use crate::program::inherited_env;

fn text(args: Args) -> String {
    args.0.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn arguments_of_checkpoint_and_restore() {
    let [image, work] = ["/i", "/w"].map(Path::new);
    let plain = Checkpoint {
        image_path: image,
        work_path: work,
        parent_path: None,
        leave_running: false,
        tcp_established: false,
        ext_unix_sk: false,
        shell_job: false,
        file_locks: false,
        manage_cgroups_mode: None,
        empty_ns: &[],
    };
    assert_eq!(text(plain.args().unwrap()), "checkpoint --image-path /i --work-path /w");
    let full = Checkpoint {
        parent_path: Some("../p"),
        leave_running: true,
        tcp_established: true,
        ext_unix_sk: true,
        shell_job: true,
        file_locks: true,
        manage_cgroups_mode: Some("soft"),
        empty_ns: &["network".into(), "user".into()],
        ..plain
    };
    let want = "checkpoint --image-path /i --work-path /w --parent-path ../p --leave-running --tcp-established \
        --ext-unix-sk --shell-job --file-locks --manage-cgroups-mode soft --empty-ns network --empty-ns user";
    assert_eq!(text(full.args().unwrap()), want);
    let [bundle, pid_file, socket] = ["/b", "/b/init.pid", "/s"].map(Path::new);
    let create = Create { bundle, pid_file, console_socket: Some(socket), no_pivot: true, no_new_keyring: true };
    let restore = Restore { create, image_path: image, work_path: work, parent_path: None };
    let want = "restore --image-path /i --work-path /w --detach --no-subreaper --bundle /b --pid-file /b/init.pid \
        --console-socket /s --no-pivot";
    assert_eq!(text(restore.args().unwrap()), want);
    assert!(restore.args().unwrap().then("--root").is_err());
}

/// A bundle, the runtime's state and a control group, all gone with it.
struct Fixture {
    dir: tempfile::TempDir,
    runtime: Runtime,
    id: String,
    cgroup: String,
}

impl Fixture {
    fn new(binary: &Path) -> Fixture {
        let dir = tempfile::Builder::new().prefix("dunnage-shim-test-").tempdir().unwrap();
        let bin = dir.path().join("rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).expect("Debian package busybox-static");
        for applet in ["sh", "echo", "sleep", "cat", "true"] {
            symlink("busybox", bin.join(applet)).unwrap();
        }
        for name in ["proc", "dev"] {
            fs::create_dir(dir.path().join("rootfs").join(name)).unwrap();
        }
        let harness = std::env::var(MARK).expect("only confined tests make containers");
        let unique = format!("{harness}-{}", binary.file_name().unwrap().to_str().unwrap());
        let runtime = Runtime {
            binary: binary.into(),
            root: dir.path().join("root/namespace"),
            systemd_cgroup: false,
            log: dir.path().join("log.json"),
            env: inherited_env(),
        };
        Fixture { dir, runtime, id: format!("c{unique}"), cgroup: format!("/dunnage-shim-test-{unique}") }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn configure(&self, args: &[&str], terminal: bool) {
        let mount = |kind: &str, at: &str| json!({ "destination": at, "type": kind, "source": kind });
        let namespaces: Vec<Value> =
            ["pid", "mount", "ipc", "uts", "network"].iter().map(|kind| json!({ "type": kind })).collect();
        let config = json!({
            "ociVersion": "1.0.2",
            "process": process(args, terminal),
            "root": { "path": "rootfs", "readonly": true },
            "mounts": [mount("proc", "/proc"), mount("tmpfs", "/dev"), mount("devpts", "/dev/pts")],
            "linux": { "namespaces": namespaces, "cgroupsPath": format!("{}/{}", self.cgroup, self.id) },
        });
        fs::write(self.at("config.json"), config.to_string()).unwrap();
    }

    fn create(&self, console_socket: Option<&Path>) -> Result<i32> {
        let (bundle, pid_file) = (self.dir.path(), self.at("init.pid"));
        let pid_file = pid_file.as_path();
        let create = Create { bundle, pid_file, console_socket, no_pivot: false, no_new_keyring: true };
        self.runtime.create(&self.id, &create)?;
        Ok(fs::read_to_string(pid_file).unwrap().parse().unwrap())
    }

    /// The runtime waits until the container's process is gone; that is when its processes are reaped, which is for us to do.
    fn delete_running(&self, pids: &[i32]) {
        std::thread::scope(|scope| {
            let reapers: Vec<_> = pids.iter().map(|pid| scope.spawn(|| reap(*pid))).collect();
            self.runtime.delete(&self.id, true).unwrap();
            for reaper in reapers {
                assert_eq!(reaper.join().unwrap(), Exit::Signal(libc::SIGKILL));
            }
        });
    }

    fn status(&self) -> String {
        self.runtime.state(&self.id).unwrap().status
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.runtime.delete(&self.id, true).ok();
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap() {
            let group = hierarchy.unwrap().path().join(&self.cgroup[1..]);
            fs::remove_dir(group.join(&self.id)).ok();
            fs::remove_dir(group).ok();
        }
    }
}

fn process(args: &[&str], terminal: bool) -> Value {
    json!({
        "args": args, "cwd": "/", "env": ["PATH=/bin"], "user": { "uid": 0, "gid": 0 }, "terminal": terminal,
        "capabilities": { "bounding": [], "effective": [], "permitted": [] },
    })
}

/// The end of a process that became ours: its parent, the runtime, has ended.
fn reap(pid: i32) -> Exit {
    let process = PidFd::open(pid).unwrap();
    assert!(process.wait_exit(PollTimeout::from(20_000_u16)).unwrap(), "{pid} does not end");
    process.reap().unwrap()
}

/// What a runtime that failed has left us: a process that still is in the pid namespace keeps that from ending.
fn reap_all_but(pid: i32) {
    for thread in fs::read_dir("/proc/self/task").unwrap() {
        let children = fs::read_to_string(thread.unwrap().path().join("children")).unwrap();
        for child in children.split_whitespace().map(|child| child.parse().unwrap()).filter(|child| *child != pid) {
            reap(child);
        }
    }
}

fn script(name: &Path, text: &str) {
    fs::write(name, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(name, fs::Permissions::from_mode(0o755)).unwrap();
}

/// crun wants no hybrid hierarchies.
fn without_unified() {
    Command::new("umount").arg("/sys/fs/cgroup/unified").status().unwrap();
}

fn the_life_of_a_container(binary: &Path) {
    let fixture = Fixture::new(binary);
    let (runtime, id) = (&fixture.runtime, fixture.id.as_str());
    fixture.configure(&["sh", "-c", "echo said by init; sleep 100 & sleep 100"], false);
    let pid = fixture.create(None).unwrap();
    assert_eq!((fixture.status().as_str(), runtime.state(id).unwrap().pid), ("created", pid));
    assert_eq!(runtime.ps(id).unwrap(), [pid]);
    runtime.start(id).unwrap();
    assert_eq!(fixture.status(), "running");

    let (process_file, pid_file) = (fixture.at("process.json"), fixture.at("exec.pid"));
    fs::write(&process_file, process(&["sh", "-c", "echo said by exec; exit 7"], false).to_string()).unwrap();
    let exec = Exec { process: &process_file, pid_file: &pid_file, console_socket: None };
    runtime.exec(id, &exec).unwrap();
    assert_eq!(reap(fs::read_to_string(&pid_file).unwrap().parse().unwrap()), Exit::Code(7));

    runtime.pause(id).unwrap();
    assert_eq!(fixture.status(), "paused");
    runtime.resume(id).unwrap();
    runtime.update(id, br#"{"pids":{"limit":77}}"#).unwrap();
    let limit = format!("/sys/fs/cgroup/pids{}/{id}/pids.max", fixture.cgroup);
    assert_eq!(fs::read_to_string(limit).unwrap().trim(), "77");

    assert!(runtime.delete(id, false).unwrap_err().to_string().starts_with("failed to delete task: "));
    runtime.kill(id, 0, false).unwrap();
    runtime.kill(id, libc::SIGKILL, true).unwrap();
    assert_eq!(reap(pid), Exit::Signal(libc::SIGKILL));
    let finished = runtime.kill(id, libc::SIGTERM, false).unwrap_err();
    assert!(matches!(finished, NotKilled::Finished), "{finished}");
    runtime.delete(id, false).unwrap();
    let gone = runtime.kill(id, libc::SIGTERM, false).unwrap_err();
    assert!(matches!(gone, NotKilled::NoContainer), "{gone}");
    runtime.delete(id, false).unwrap();
    runtime.delete(id, true).unwrap();
    assert!(runtime.state(id).unwrap_err().to_string().starts_with("OCI runtime state failed: "));
    assert!(runtime.start(id).unwrap_err().to_string().starts_with("OCI runtime start failed: "));
}

fn terminals(binary: &Path) {
    let fixture = Fixture::new(binary);
    let (runtime, id) = (&fixture.runtime, fixture.id.as_str());
    fixture.configure(&["sh", "-c", "test -t 0 && echo a terminal; sleep 100"], true);
    let socket = ConsoleSocket::new().unwrap();
    let pid = fixture.create(Some(socket.path())).unwrap();
    let master = socket.receive(PATIENCE).unwrap();
    drop(socket);
    runtime.start(id).unwrap();
    expect(master.as_fd(), "a terminal");

    let (process_file, pid_file) = (fixture.at("process.json"), fixture.at("exec.pid"));
    fs::write(&process_file, process(&["sh", "-c", "test -t 1 && echo another; sleep 100"], true).to_string()).unwrap();
    let socket = ConsoleSocket::new().unwrap();
    let exec = Exec { process: &process_file, pid_file: &pid_file, console_socket: Some(socket.path()) };
    runtime.exec(id, &exec).unwrap();
    let second = socket.receive(PATIENCE).unwrap();
    expect(second.as_fd(), "another");
    fixture.delete_running(&[pid, fs::read_to_string(&pid_file).unwrap().parse().unwrap()]);
}

fn expect(master: std::os::fd::BorrowedFd<'_>, words: &str) {
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains(words) {
        let ready = poll(&mut [PollFd::new(master, PollFlags::POLLIN)], PollTimeout::from(20_000_u16)).unwrap();
        assert_eq!(ready, 1, "after {:?}", String::from_utf8_lossy(&got));
        let mut buffer = [0; 256];
        let length = nix::unistd::read(master, &mut buffer).unwrap();
        got.extend_from_slice(&buffer[..length]);
    }
}

fn what_cannot_be_made(binary: &Path) {
    let fixture = Fixture::new(binary);
    fixture.configure(&["no-such-program"], false);
    let error = fixture.create(None).unwrap_err().to_string();
    assert!(error.starts_with("OCI runtime create failed: "), "{error}");
    assert!(
        error.contains("executable file `no-such-program` not found")
            || error.contains("executable file not found in $PATH"),
        "{error}"
    );
    fixture.configure(&["sleep", "100"], false);
    let pid = fixture.create(None).unwrap();
    fixture.runtime.start(&fixture.id).unwrap();
    let (process_file, pid_file) = (fixture.at("process.json"), fixture.at("exec.pid"));
    fs::write(&process_file, process(&["no-such-program"], false).to_string()).unwrap();
    let exec = Exec { process: &process_file, pid_file: &pid_file, console_socket: None };
    let error = fixture.runtime.exec(&fixture.id, &exec).unwrap_err().to_string();
    assert!(error.starts_with("OCI runtime exec failed: ") && error.contains("not found"), "{error}");
    reap_all_but(pid);
    fixture.delete_running(&[pid]);
}

#[test]
fn runc() {
    if let Some(output) = confined::output("external::tests::runc", Pids::Own, &[]) {
        assert!(output.contains("said by init\n") && output.contains("said by exec\n"), "{output}");
        return;
    }
    let binary = find("runc").expect("Debian package runc");
    the_life_of_a_container(&binary);
    terminals(&binary);
    what_cannot_be_made(&binary);
}

#[test]
fn crun() {
    if let Some(output) = confined::output("external::tests::crun", Pids::Own, &[]) {
        assert!(output.contains("said by init\n") && output.contains("said by exec\n"), "{output}");
        return;
    }
    without_unified();
    let binary = find("crun").expect("Debian package crun");
    the_life_of_a_container(&binary);
    terminals(&binary);
    what_cannot_be_made(&binary);
}

#[test]
fn a_wrapper() {
    if let Some(output) = confined::output("external::tests::a_wrapper", Pids::Own, &[]) {
        assert!(output.contains("said by init\n") && output.contains("said by exec\n"), "{output}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let wrapper = dir.path().join("wrapper");
    script(&wrapper, "echo \"$@\" >> \"${0%/*}/calls\"; exec runc \"$@\"");
    the_life_of_a_container(&wrapper);
    let calls = fs::read_to_string(dir.path().join("calls")).unwrap();
    let create = calls.lines().next().unwrap();
    let words = [" --log-format json create --bundle /", "/init.pid --no-new-keyring c"];
    assert!(create.starts_with("--root /") && words.iter().all(|word| create.contains(word)), "{create}");
}

/// A runtime that is a script, and its files.
fn scripted(dir: &Path, text: &str) -> Runtime {
    let binary = dir.join("scripted");
    script(&binary, text);
    let root = dir.join("root");
    Runtime { binary, root, systemd_cgroup: true, log: dir.join("log.json"), env: inherited_env() }
}

#[test]
fn what_a_runtime_says_when_it_fails() {
    let dir = tempfile::tempdir().unwrap();
    // --root R --log L ...
    let log = |level: &str, text: &str| format!(r#"echo '{{"level":"{level}","msg":"{text}","time":"x"}}' >> "$4";"#);
    let starts = |script: &str| scripted(dir.path(), script).start("id").unwrap_err().to_string();
    let two = log("error", "first") + &log("error", "second") + &log("warning", "third") + "echo stderr >&2; exit 1";
    assert_eq!(starts(&two), "OCI runtime start failed: second");
    // What it said then is not what it says now.
    let prefix = "OCI runtime start failed: scripted did not terminate successfully";
    assert_eq!(starts("echo that >&2; exit 2"), format!("{prefix}: exit status 2: that"));
    assert_eq!(starts("kill -9 $$"), format!("{prefix}: signal: killed"));
    let arguments = scripted(dir.path(), "echo \"$@\" >&2; exit 1").start("id").unwrap_err().to_string();
    let at = dir.path().display();
    let want = format!("--root {at}/root --log {at}/log.json --log-format json --systemd-cgroup start id");
    assert_eq!(arguments, format!("{prefix}: exit status 1: {want}"));
    assert!(starts("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1").len() < KEPT + 200);

    let kills = |script: &str, all| scripted(dir.path(), script).kill("id", 9, all).unwrap_err().to_string();
    let say = |text: &str| log("error", text) + "exit 1";
    for (text, all, want) in [
        ("container not running", false, "process already finished"),
        ("os: process already finished", true, "process already finished"),
        ("kill: No such process", false, "process already finished"),
        ("container does not exist", false, "no such container"),
        ("boom", false, "unknown error after kill: boom"),
        ("boom", true, "unknown error after kill: OCI runtime killall failed: boom"),
    ] {
        assert_eq!(kills(&say(text), all), want);
    }
    let deletes = |text: &str| scripted(dir.path(), &say(text)).delete("id", false).map_err(|e| e.to_string());
    assert_eq!(deletes("container does not exist"), Ok(()));
    assert_eq!(deletes("boom"), Err("failed to delete task: boom".into()));
    fs::create_dir_all(dir.path().join("root/id")).unwrap();
    // Not the container is missing.
    assert_eq!(
        deletes("x: no such file or directory"),
        Err("failed to delete task: x: no such file or directory".into())
    );
    assert_eq!(scripted(dir.path(), "echo null").ps("id").unwrap(), Vec::<i32>::new());
    assert!(scripted(dir.path(), "echo [1,").ps("id").unwrap_err().to_string().starts_with("OCI runtime ps failed: "));
    assert_eq!(scripted(dir.path(), "echo $#$1").features().unwrap(), b"1features\n");
    assert!(scripted(dir.path(), "exit 1").features().is_err());
    let cat = scripted(dir.path(), "cat >&2; exit 1").update("id", b"{}").unwrap_err().to_string();
    assert_eq!(cat, "OCI runtime update failed: scripted did not terminate successfully: exit status 1: {}");
    assert!(scripted(dir.path(), "exit 0").start("--force").is_err());
}

#[test]
fn one_that_is_not_there() {
    let error = find("no-runc").unwrap_err().to_string();
    assert_eq!(error, "exec: \"no-runc\": executable file not found in $PATH");
    let dir = tempfile::tempdir().unwrap();
    let mut runtime = scripted(dir.path(), "");
    runtime.binary = dir.path().join("gone");
    let error = runtime.start("id").unwrap_err().to_string();
    assert_eq!(error, format!("fork/exec {}/gone: no such file or directory", dir.path().display()));
}
