//! A bundle with a container of its own: rootfs, config.json, `--root`, control group; all gone when it is dropped.

use super::command::{Command, Out, Running};
use super::confined::MARK;
use super::driver::{Driver, Place, is_ours};
use super::{Runtime, Value, eventually, host, json, pause, payload};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The names under which busybox is in the root file system.
const APPLETS: &[&str] = &[
    "sh", "ls", "cat", "echo", "true", "false", "sleep", "id", "env", "pwd", "mkdir", "mknod", "mount", "umount",
    "touch", "kill", "stat", "readlink", "ip", "ifconfig", "hostname", "head", "tail", "grep", "ps", "test", "tty",
    "stty", "chmod", "rm", "dd", "wc", "sort", "sync", "ln", "chown", "setsid", "trap", "date", "find", "df", "sed",
    "tr", "cut", "sysctl", "nproc", "nice", "renice", "taskset", "chroot", "mv", "cp", "md5sum", "dmesg", "ping", "nc",
    "vi", "yes", "usleep",
];

/// One bundle and the container made from it.
pub struct Bundle {
    /// Written as config.json before each command that reads it.
    pub config: Value,
    pub id: String,
    /// Where its control group is below the hierarchies' mounts, in a group of this test's own.
    pub cgroup: String,
    runtime: Runtime,
    driver: Driver,
    wrap: Vec<String>,
    dir: tempfile::TempDir,
}

impl Bundle {
    pub fn new() -> Bundle {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let test = std::env::var(MARK).expect("only confined tests make containers");
        let unique = format!("{test}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = tempfile::Builder::new().prefix("dunnage-test-").tempdir().unwrap();
        // A mapped root has to reach the root file system.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let id = format!("t{unique}");
        let driver = Driver::under_test();
        let Place { cgroups_path, cgroup } = driver.place(&driver.parent(&unique), &id);
        let mut config = base_config();
        config["linux"]["cgroupsPath"] = json!(cgroups_path);
        make_rootfs(&dir.path().join("bundle/rootfs"));
        Bundle { config, id, cgroup, runtime: Runtime::under_test().clone(), driver, wrap: Vec::new(), dir }
    }

    /// The directory that holds the bundle (`bundle/`), the state (`root/`) and whatever the test puts there.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn bundle(&self) -> PathBuf {
        self.path("bundle")
    }

    /// A path of the root file system, seen from the host.
    pub fn rootfs(&self, name: &str) -> PathBuf {
        self.path("bundle/rootfs").join(name.trim_start_matches('/'))
    }

    /// The `--root` directory.
    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.root().join(&self.id)
    }

    /// The group of this test's own, parent of the container's.
    pub fn cgroup_parent(&self) -> &str {
        self.cgroup.rsplit_once('/').unwrap().0
    }

    /// From now on without systemd, whichever driver is under test: for whom there is none, as for a user who is not logged in.
    pub fn without_systemd(&mut self) -> &mut Self {
        self.driver = Driver::Cgroupfs;
        let cgroup = self.cgroup.clone();
        self.set("/linux/cgroupsPath", cgroup)
    }

    /// Another container of the same bundle, root and cgroup parent.
    pub fn another_id(&mut self, id: &str) -> &mut Self {
        self.id = id.to_string();
        let Place { cgroups_path, cgroup } = Driver::under_test().place(self.cgroup_parent(), id);
        self.cgroup = cgroup;
        self.config["linux"]["cgroupsPath"] = json!(cgroups_path);
        self
    }

    // ---- config.json

    /// Sets the value at a JSON pointer; makes the objects on the way. `-` at the end appends to an array.
    pub fn set(&mut self, pointer: &str, value: impl Into<Value>) -> &mut Self {
        let mut at = &mut self.config;
        for part in pointer.trim_start_matches('/').split('/') {
            let part = part.replace("~1", "/").replace("~0", "~");
            if part == "-" {
                if !at.is_array() {
                    *at = json!([]);
                }
                at.as_array_mut().unwrap().push(value.into());
                return self;
            }
            at = match part.parse::<usize>() {
                Ok(i) if at.is_array() => &mut at[i],
                _ => {
                    if at.is_null() {
                        *at = json!({});
                    }
                    &mut at[part]
                }
            };
        }
        *at = value.into();
        self
    }

    pub fn remove(&mut self, pointer: &str) -> &mut Self {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        if let Some(map) = self.config.pointer_mut(parent).and_then(Value::as_object_mut) {
            map.remove(name);
        }
        self
    }

    pub fn args<S: AsRef<str>>(&mut self, args: &[S]) -> &mut Self {
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        self.set("/process/args", json!(args))
    }

    /// The payload: a line for the shell.
    pub fn sh(&mut self, line: &str) -> &mut Self {
        self.args(&["/bin/sh", "-c", line])
    }

    pub fn env(&mut self, entry: &str) -> &mut Self {
        self.set("/process/env/-", entry)
    }

    pub fn mount(&mut self, mount: Value) -> &mut Self {
        self.set("/mounts/-", mount)
    }

    /// Sets the path of a namespace, or adds it.
    pub fn namespace(&mut self, kind: &str, path: Option<&str>) -> &mut Self {
        self.drop_namespace(kind);
        let entry = path.map_or(json!({"type": kind}), |p| json!({"type": kind, "path": p}));
        self.set("/linux/namespaces/-", entry)
    }

    pub fn drop_namespace(&mut self, kind: &str) -> &mut Self {
        self.config["linux"]["namespaces"].as_array_mut().unwrap().retain(|n| n["type"] != kind);
        self
    }

    /// A user namespace: container 0..65536 is the host's 100000..; the root file system belongs to its root.
    pub fn user_namespace(&mut self) -> &mut Self {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        self.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        Command::new(["chown", "-hR", "100000:100000"].iter().map(OsStr::new).chain([self.rootfs("").as_os_str()]))
            .output()
            .ok();
        self
    }

    pub fn all_capabilities(&mut self, names: &[&str]) -> &mut Self {
        for set in ["bounding", "effective", "permitted"] {
            self.set(&format!("/process/capabilities/{set}"), json!(names));
        }
        self
    }

    /// A file of the root file system, with its mode.
    pub fn file(&self, name: &str, mode: u32, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.rootfs(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// A shell script on the host, outside of the bundle; for hooks.
    pub fn script(&self, name: &str, lines: &str) -> String {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    pub fn write_config(&self) {
        fs::write(self.bundle().join("config.json"), serde_json::to_vec_pretty(&self.config).unwrap()).unwrap();
    }

    // ---- commands

    /// From now on this stands before the runtime's own command line (`strace …`, `unshare -m …`).
    pub fn wrap<S: AsRef<str>>(&mut self, argv: &[S]) -> &mut Self {
        self.wrap = argv.iter().map(|s| s.as_ref().to_string()).collect();
        self
    }

    /// From now on commands go to this runtime, with the same `--root`.
    pub fn switch(&mut self, to: &Runtime) -> &mut Self {
        self.runtime = to.clone();
        self
    }

    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// `RUNTIME --root ROOT ARGS…`, to be adjusted.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let root = self.root();
        let mut argv: Vec<&OsStr> = self.wrap.iter().map(OsStr::new).collect();
        argv.extend([self.runtime.path.as_os_str(), OsStr::new("--root"), root.as_os_str()]);
        if self.driver == Driver::Systemd {
            argv.push(OsStr::new("--systemd-cgroup"));
        }
        argv.extend(args.iter().map(AsRef::as_ref));
        Command::new(argv)
    }

    /// The runtime without `--root`.
    pub fn bare<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        Command::new([self.runtime.path.as_os_str()].into_iter().chain(args.iter().map(AsRef::as_ref)))
    }

    /// Runs a command of the runtime to its end.
    pub fn rt<S: AsRef<OsStr>>(&self, args: &[S]) -> Out {
        self.command(args).output()
    }

    /// `VERB --bundle BUNDLE FLAGS… ID`, to be adjusted. Writes config.json.
    pub fn start_command(&self, verb: &str, flags: &[&str]) -> Command {
        self.write_config();
        let bundle = self.bundle().display().to_string();
        let mut args = vec![verb, "--bundle", &bundle];
        args.extend(flags);
        args.push(&self.id);
        self.command(&args)
    }

    /// A foreground `run` to its end.
    pub fn run(&self) -> Out {
        self.start_command("run", &[]).output()
    }

    /// A detached `run`; it must succeed.
    #[track_caller]
    pub fn run_detached(&self) -> Running {
        let mut running = self.start_command("run", &["--detach"]).spawn();
        finish(&mut running);
        running
    }

    /// `create`; it must succeed. What is returned reads the container's output.
    #[track_caller]
    pub fn create(&self) -> Running {
        let mut running = self.start_command("create", &[]).spawn();
        finish(&mut running);
        running
    }

    #[track_caller]
    pub fn start(&self) -> Out {
        self.rt(&["start", &self.id]).ok()
    }

    pub fn exec(&self, args: &[&str]) -> Out {
        self.exec_with(&[], args)
    }

    /// `exec FLAGS… ID ARGS…`.
    pub fn exec_with(&self, flags: &[&str], args: &[&str]) -> Out {
        let mut all = vec!["exec"];
        all.extend(flags);
        all.push(&self.id);
        all.extend(args);
        self.rt(&all)
    }

    /// `exec --process` with this process object.
    pub fn exec_process(&self, process: &Value) -> Out {
        let file = self.path("process.json");
        fs::write(&file, serde_json::to_vec(process).unwrap()).unwrap();
        self.rt(&["exec", "--process", file.to_str().unwrap(), &self.id])
    }

    /// Runs the payload's report as the container and returns what it says of itself.
    #[track_caller]
    pub fn report(&mut self) -> Value {
        self.args(&["/payload", "report"]);
        self.run().ok().json()
    }

    /// The same through `exec`.
    #[track_caller]
    pub fn exec_report(&self, flags: &[&str]) -> Value {
        self.exec_with(flags, &["/payload", "report"]).ok().json()
    }

    #[track_caller]
    pub fn state(&self) -> Value {
        self.rt(&["state", &self.id]).ok().json()
    }

    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().to_string()
    }

    /// The host's pid of the container's first process.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.state()["pid"].as_i64().unwrap() as i32
    }

    #[track_caller]
    pub fn await_status(&self, status: &str) {
        eventually(&format!("status {status}"), || (self.status() == status).then_some(()));
    }

    #[track_caller]
    pub fn delete(&self) -> Out {
        self.rt(&["delete", &self.id]).ok()
    }

    /// Nothing of the container is left: no state, no cgroup, no process.
    #[track_caller]
    pub fn assert_gone(&self) {
        assert!(!self.state_dir().exists(), "{} is left", self.state_dir().display());
        // Killed processes may still be on their way out.
        eventually("no process of the container to be left", || {
            host::pids_in_cgroup(&self.cgroup).is_empty().then_some(())
        });
        assert_eq!(host::cgroup_leftovers(&self.cgroup), Vec::<PathBuf>::new(), "cgroups are left");
    }
}

#[track_caller]
fn finish(running: &mut Running) {
    let status = eventually("the command to return", || running.child.try_wait().unwrap());
    let (out, err) = running.written();
    assert!(status.success(), "{status}\n--- stdout\n{out}\n--- stderr\n{err}");
}

impl Bundle {
    /// Its state names no cgroup but the test's own: a runtime may kill all that is in them.
    fn is_harmless(&self, state_dir: &Path) -> bool {
        let Ok(text) = fs::read_to_string(state_dir.join("state.json")) else { return true };
        let Ok(state) = serde_json::from_str::<Value>(&text) else { return true };
        let paths = state["cgroup_paths"].as_object();
        paths.is_some_and(|p| p.values().all(|v| v.as_str().is_some_and(is_ours)))
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        self.wrap.clear();
        // A user's state is not root's to obey, nor to read; the user's processes end with the test's pid namespace.
        let roots = fs::metadata(self.root()).is_ok_and(|m| m.uid() == 0);
        for entry in fs::read_dir(self.root()).into_iter().filter(|_| roots).flatten().flatten() {
            if !self.is_harmless(&entry.path()) {
                eprintln!("{:?} names cgroups that are not this test's: not deleted", entry.path());
                continue;
            }
            let child = std::process::Command::new(&self.runtime.path)
                .args(["--root".as_ref(), self.root().as_os_str(), "delete".as_ref(), "--force".as_ref()])
                .arg(entry.file_name())
                .spawn();
            let Ok(mut child) = child else { continue };
            // It waits for a pid namespace to end, which waits until we have reaped what was left to us.
            while child.try_wait().is_ok_and(|status| status.is_none()) {
                host::reap_orphans();
                pause(2);
            }
        }
        Driver::under_test().sweep(self.cgroup_parent());
    }
}

/// What `runc spec` writes, without a terminal.
pub fn base_config() -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "runc",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}

/// busybox (Debian's `busybox-static`), the tests' payload, and a few files that programs expect.
fn make_rootfs(root: &Path) {
    static PAYLOAD: OnceLock<PathBuf> = OnceLock::new();
    for dir in ["bin", "dev", "etc", "proc", "sys", "tmp", "root", "home/user", "usr/bin", "var", "mnt"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("Debian package busybox-static");
    fs::copy(PAYLOAD.get_or_init(payload::binary), root.join("payload")).unwrap();
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
        .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\ntty:x:5:\nuser:x:1000:\n").unwrap();
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
}
