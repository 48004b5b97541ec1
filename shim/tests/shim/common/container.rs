//! A bundle, what Create is asked with it, and the client's ends of its streams; and the same for a command in it.

use std::fs;
use std::path::{Path, PathBuf};

use dunnage_shim::proto::options::RuncOptions;
use dunnage_shim::proto::task::{CreateTaskRequest, ExecProcessRequest};
use dunnage_shim::proto::{Any, Mount};

use super::{Daemon, Reader, Value, fifo, json};

/// A container that a test has made a bundle for.
pub struct Container {
    pub id: String,
    pub bundle: PathBuf,
    /// Written as config.json by `start`.
    pub config: Value,
    /// Its control group, below the hierarchies' mounts.
    pub cgroup: String,
    /// As Create will be asked.
    pub request: CreateTaskRequest,
    pub out: Reader,
    pub err: Reader,
}

impl Container {
    pub fn new(daemon: &Daemon, id: &str) -> Container {
        let bundle = daemon.bundle_of(id);
        fs::create_dir_all(bundle.join("rootfs")).unwrap();
        fifo(&bundle.join("log"));
        let (out, err) = (daemon.stream(id, "stdout"), daemon.stream(id, "stderr"));
        let cgroup = format!("{}/{id}", daemon.cgroup);
        let mut config = base_config();
        config["linux"]["cgroupsPath"] = json!(cgroup);
        config["root"]["path"] = json!(daemon.rootfs());
        let request = CreateTaskRequest {
            id: id.into(),
            bundle: bundle.display().to_string(),
            stdout: out.path.display().to_string(),
            stderr: err.path.display().to_string(),
            ..CreateTaskRequest::default()
        };
        Container { id: id.into(), bundle, config, cgroup, request, out, err }
    }

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

    pub fn args(&mut self, args: &[&str]) -> &mut Self {
        self.set("/process/args", json!(args))
    }

    /// The payload: a line for the shell.
    pub fn sh(&mut self, line: &str) -> &mut Self {
        self.args(&["/bin/sh", "-c", line])
    }

    /// One of a pod: the CRI's annotation.
    pub fn sandbox(&mut self, id: &str) -> &mut Self {
        self.set("/annotations/io.kubernetes.cri.sandbox-id", id)
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

    /// With a FIFO for its stdin.
    pub fn with_stdin(&mut self, daemon: &Daemon) -> &mut Self {
        self.request.stdin = fifo(&daemon.stream_path(&self.id, "stdin"));
        self
    }

    /// On a terminal: stderr is no stream then.
    pub fn with_terminal(&mut self) -> &mut Self {
        self.request.terminal = true;
        self.request.stderr = String::new();
        self.set("/process/terminal", true)
    }

    /// Without any stream.
    pub fn silent(&mut self) -> &mut Self {
        (self.request.stdout, self.request.stderr) = (String::new(), String::new());
        self
    }

    /// With a root file system that the shim has to mount: an overlay on that of the test.
    pub fn overlay(&mut self, daemon: &Daemon) -> &mut Self {
        let dir = daemon.path(&format!("overlay-{}", self.id));
        for name in ["upper", "work"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        let (lower, dir) = (daemon.rootfs().display().to_string(), dir.display());
        let options = [format!("lowerdir={lower}"), format!("upperdir={dir}/upper"), format!("workdir={dir}/work")];
        self.mounts(vec![Mount {
            kind: "overlay".into(),
            source: "overlay".into(),
            options: options.into(),
            ..Mount::default()
        }])
    }

    /// With these mounts as its root file system.
    pub fn mounts(&mut self, mounts: Vec<Mount>) -> &mut Self {
        self.request.rootfs = mounts;
        self.set("/root/path", "rootfs")
    }

    pub fn options(&mut self, options: &RuncOptions) -> &mut Self {
        self.request.options = Some(Any::of("containerd.runc.v1.Options", options));
        self
    }

    pub fn write_config(&self) {
        fs::write(self.bundle.join("config.json"), serde_json::to_vec_pretty(&self.config).unwrap()).unwrap();
    }

    /// A file of its bundle.
    pub fn path(&self, name: &str) -> PathBuf {
        self.bundle.join(name)
    }
}

/// A command in a container.
pub struct Exec {
    pub container: String,
    pub id: String,
    /// The OCI process.
    pub process: Value,
    /// As Exec will be asked, but for the process.
    pub ask: ExecProcessRequest,
    pub out: Reader,
    pub err: Reader,
}

impl Exec {
    pub fn new(daemon: &Daemon, container: &Container, id: &str, args: &[&str]) -> Exec {
        let name = format!("{}-{id}", container.id);
        let (out, err) = (daemon.stream(&name, "stdout"), daemon.stream(&name, "stderr"));
        let mut process = container.config["process"].clone();
        process["args"] = json!(args);
        process["terminal"] = json!(false);
        let ask = ExecProcessRequest {
            id: container.id.clone(),
            exec_id: id.into(),
            stdout: out.path.display().to_string(),
            stderr: err.path.display().to_string(),
            ..ExecProcessRequest::default()
        };
        Exec { container: container.id.clone(), id: id.into(), process, ask, out, err }
    }

    pub fn with_stdin(mut self, daemon: &Daemon) -> Exec {
        self.ask.stdin = fifo(&daemon.stream_path(&format!("{}-{}", self.container, self.id), "stdin"));
        self
    }

    pub fn with_terminal(mut self) -> Exec {
        self.ask.terminal = true;
        self.ask.stderr = String::new();
        self.process["terminal"] = json!(true);
        self
    }

    pub fn silent(mut self) -> Exec {
        (self.ask.stdout, self.ask.stderr) = (String::new(), String::new());
        self
    }

    pub fn request(&self) -> ExecProcessRequest {
        let spec = any_json("types.containerd.io/opencontainers/runtime-spec/1/Process", &self.process);
        ExecProcessRequest { spec: Some(spec), ..self.ask.clone() }
    }
}

/// What is JSON in an Any.
pub fn any_json(type_url: &str, value: &Value) -> Any {
    Any { type_url: type_url.into(), value: serde_json::to_vec(value).unwrap() }
}

/// Small, as the CRI plugin writes it.
fn base_config() -> Value {
    let capabilities = json!(["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sleep", "1000"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs"},
        "hostname": "test",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]}
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}]
        }
    })
}

/// The names under which busybox is in the root file system.
const APPLETS: &[&str] = &[
    "sh", "ls", "cat", "echo", "true", "false", "sleep", "id", "env", "pwd", "mkdir", "mount", "umount", "touch",
    "kill", "stat", "readlink", "head", "tail", "grep", "ps", "test", "tty", "stty", "rm", "dd", "wc", "setsid",
    "date", "find", "tr", "cut", "seq", "yes", "usleep", "mv", "cp", "md5sum", "sync", "nproc", "printf", "nohup",
    "mkfifo",
];

/// busybox (Debian's `busybox-static`) and a few files that programs expect. The containers of a test share it.
pub fn make_rootfs(root: &Path) {
    for dir in ["bin", "dev", "etc", "proc", "sys", "tmp", "root", "mnt"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("Debian package busybox-static");
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\ntty:x:5:\n").unwrap();
}
