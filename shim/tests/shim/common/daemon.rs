//! The daemon that a test plays: where it keeps bundles and FIFOs, how it runs the shim's commands, what it does at the end.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use dunnage_shim::proto::bootstrap::{BootstrapParams, BootstrapResult, Extension};
use dunnage_shim::proto::task::DeleteResponse;
use dunnage_shim::proto::{Any, Message};

use super::ttrpc::Client;
use super::{Container, Events, Exec, Ran, Reader, Run, Shim, Task, confined, container, eventually, fifo, leftovers};

/// Where everything of a daemon is, in the test's own `/run`.
pub const STATE: &str = "/run/containerd";
pub const SOCKET: &str = "/run/containerd/containerd.sock";
pub const SHIM_SOCKETS: &str = "/run/containerd/s";

/// What `start` is given on stdin.
#[derive(Debug, Clone)]
pub enum Stdin {
    /// Up to containerd 2.2: the options or nothing.
    Any(Option<Any>),
    /// Since 2.3, with the options.
    Params(Option<Any>),
    /// This.
    Bytes(Vec<u8>),
}

/// What `start` said.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// `unix://...`
    pub address: String,
    pub version: i32,
}

/// One for each test.
pub struct Daemon {
    pub namespace: String,
    pub events: Events,
    /// The group that all of its containers' are in.
    pub cgroup: String,
    /// What its shims wrote to `log`.
    log: Arc<Mutex<Vec<u8>>>,
    bundles: RefCell<Vec<String>>,
    servers: RefCell<Vec<String>>,
    streams: Cell<usize>,
    /// The test leaves things behind, as it says itself.
    untidy: Cell<bool>,
    mounts: Vec<String>,
}

impl Daemon {
    pub fn new() -> Daemon {
        for dir in [STATE, "/run/containerd/fifo", "/run/test"] {
            fs::create_dir_all(dir).unwrap();
        }
        container::make_rootfs("/run/test/rootfs".as_ref());
        Daemon {
            namespace: "k8s.io".into(),
            events: Events::at(format!("{SOCKET}.ttrpc").into()),
            cgroup: super::Driver::Cgroupfs.parent(&confined::unique()),
            log: Arc::default(),
            bundles: RefCell::default(),
            servers: RefCell::default(),
            streams: Cell::new(0),
            untidy: Cell::new(false),
            mounts: super::host::mounts(),
        }
    }

    pub fn rootfs(&self) -> PathBuf {
        "/run/test/rootfs".into()
    }

    /// A file of the test's own.
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/run/test").join(name)
    }

    /// A script on the host; for hooks and loggers.
    pub fn script(&self, name: &str, lines: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    pub fn bundle_of(&self, id: &str) -> PathBuf {
        PathBuf::from(STATE).join("io.containerd.runtime.v2.task").join(&self.namespace).join(id)
    }

    /// A path for a stream of a process; one directory each, as clients have it.
    pub fn stream_path(&self, process: &str, stream: &str) -> PathBuf {
        let n = self.streams.replace(self.streams.get() + 1);
        let dir = PathBuf::from(STATE).join(format!("fifo/{n}"));
        fs::create_dir_all(&dir).unwrap();
        dir.join(format!("{process}-{stream}"))
    }

    /// A stream that is read.
    pub fn stream(&self, process: &str, stream: &str) -> Reader {
        let path = self.stream_path(process, stream);
        fifo(&path);
        Reader::of(&path)
    }

    /// A bundle for a container, whose `log` is read.
    pub fn container(&self, id: &str) -> Container {
        let container = Container::new(self, id);
        self.bundles.borrow_mut().push(id.into());
        self.listen(&container);
        container
    }

    pub fn exec(&self, container: &Container, id: &str, args: &[&str]) -> Exec {
        Exec::new(self, container, id, args)
    }

    /// The same with a line for the shell.
    pub fn exec_sh(&self, container: &Container, id: &str, line: &str) -> Exec {
        Exec::new(self, container, id, &["/bin/sh", "-c", line])
    }

    fn listen(&self, container: &Container) {
        // Read and write, as the daemon does: there is a reader before any writer, and never an end.
        let mut log = File::options().read(true).write(true).open(container.path("log")).unwrap();
        let all = self.log.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n) = log.read(&mut buffer) {
                all.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    // ---- the shim's commands

    /// `SHIM -namespace … -id ID ACTION` in the container's bundle, to be adjusted.
    pub fn command(&self, container: &Container, more: &[&str]) -> Run {
        let mut args =
            vec!["-namespace", &self.namespace, "-address", SOCKET, "-publish-binary", "/usr/bin/containerd"];
        args.extend(["-id", &container.id]);
        args.extend(more);
        self.bare(&args).dir(&container.bundle)
    }

    /// The shim with these words and the daemon's environment.
    pub fn bare(&self, args: &[&str]) -> Run {
        Run::new(&Shim::under_test().path, args)
            .env("TTRPC_ADDRESS", &self.events.path)
            .env("GRPC_ADDRESS", SOCKET)
            .env("NAMESPACE", &self.namespace)
            .env("MAX_SHIM_VERSION", "2")
            .env("GOMAXPROCS", "2")
    }

    /// What a daemon of the shim's age puts on `start`'s stdin.
    pub fn usual_stdin(&self, container: &Container) -> Stdin {
        let options = container.request.options.clone();
        if Shim::under_test().has_params { Stdin::Params(options) } else { Stdin::Any(options) }
    }

    pub fn params(&self, container: &Container, options: Option<Any>) -> BootstrapParams {
        BootstrapParams {
            instance_id: container.id.clone(),
            namespace: self.namespace.clone(),
            containerd_version: "2.3.4".into(),
            containerd_ttrpc_address: self.events.path.display().to_string(),
            containerd_grpc_address: SOCKET.into(),
            containerd_binary: "/usr/bin/containerd".into(),
            extensions: options.map(|any| Extension { value: Some(any) }).into_iter().collect(),
            ..BootstrapParams::default()
        }
    }

    fn stdin_bytes(&self, container: &Container, stdin: Stdin) -> Option<Vec<u8>> {
        match stdin {
            Stdin::Any(None) => None,
            Stdin::Any(Some(any)) => Some(any.encode()),
            Stdin::Params(options) => Some(self.params(container, options).encode()),
            Stdin::Bytes(bytes) => Some(bytes),
        }
    }

    /// The command `start`, to be adjusted. Writes config.json.
    pub fn start_command(&self, container: &Container, stdin: Stdin) -> Run {
        container.write_config();
        let bytes = self.stdin_bytes(container, stdin);
        self.command(container, &["start"]).stdin(bytes)
    }

    /// The bundle of a pod's sandbox, in which nothing is, and the command `start` in it.
    pub fn start_sandbox(&self, id: &str) -> (PathBuf, Run) {
        let bundle =
            PathBuf::from(STATE).join("io.containerd.sandbox.controller.v1.shim").join(&self.namespace).join(id);
        fs::create_dir_all(&bundle).unwrap();
        let args = ["-namespace", &self.namespace, "-address", SOCKET, "-id", id, "start"];
        let run = self.bare(&args).dir(&bundle);
        (bundle, run)
    }

    /// The command `start`, which must succeed.
    #[track_caller]
    pub fn start_with(&self, container: &Container, stdin: Stdin) -> Answer {
        let answer = Answer::of(&self.start_command(container, stdin).output().ok());
        self.started(&answer);
        answer
    }

    /// Remembers a server, for the end of the test.
    pub fn started(&self, answer: &Answer) {
        let mut servers = self.servers.borrow_mut();
        if !servers.contains(&answer.address) {
            servers.push(answer.address.clone());
        }
    }

    /// A server for this container (or its group's), and a connection to it.
    #[track_caller]
    pub fn boot(&self, container: &Container) -> Task {
        let answer = self.start_with(container, self.usual_stdin(container));
        self.connect(&answer.address)
    }

    /// The same, and Create and Start.
    #[track_caller]
    pub fn launch(&self, container: &Container) -> Task {
        let task = self.boot(container);
        task.create(container).unwrap();
        task.start(&container.id, "").unwrap();
        task
    }

    #[track_caller]
    pub fn connect(&self, address: &str) -> Task {
        self.try_connect(address).unwrap_or_else(|e| panic!("{address}: {e}"))
    }

    pub fn try_connect(&self, address: &str) -> std::io::Result<Task> {
        let path = address.strip_prefix("unix://").expect("an address of a unix socket");
        let client = Client::connect(path, &self.namespace)?;
        Ok(Task { client, service: Shim::under_test().service, address: address.into() })
    }

    /// The command `delete`.
    pub fn delete_command(&self, container: &Container) -> Run {
        let bundle = container.bundle.display().to_string();
        self.command(container, &["-bundle", &bundle, "delete"])
    }

    /// The command `delete`, which must succeed, and what it said.
    #[track_caller]
    pub fn delete(&self, container: &Container) -> DeleteResponse {
        let ran = self.delete_command(container).output().ok();
        DeleteResponse::decode(&ran.out).unwrap_or_else(|e| panic!("no DeleteResponse: {e}\n{ran}"))
    }

    // ---- the end

    /// The test leaves things behind, and says why in its own words.
    pub fn untidy(&self) {
        self.untidy.set(true);
    }

    /// Ends what still is, as a daemon would; then nothing may be left.
    pub fn finish(&self) {
        if self.untidy.get() {
            return;
        }
        let ids = self.bundles.borrow().clone();
        for address in self.servers.borrow().iter() {
            let Ok(task) = self.try_connect(address) else { continue };
            for id in &ids {
                if task.state(id, "").is_ok() {
                    let _ = task.kill_all(id, 9);
                    let _ = task.wait(id, "");
                    task.delete(id, "").unwrap_or_else(|e| panic!("Delete of {id}, at the end: {e:?}"));
                }
            }
            let _ = task.shutdown("");
            eventually("the shim to leave after Shutdown", || task.client.is_closed().then_some(()));
        }
        leftovers::assert_none(self, &ids);
    }

    pub fn mounts_at_first(&self) -> &[String] {
        &self.mounts
    }

    /// For a test that failed: what can explain it.
    pub fn tell(&self) {
        eprintln!("--- events: {:?}\n--- log\n{}", self.events.told(), self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // In our own pid namespace, of which we are the first process: these are the test's and nobody else's.
        confined::assert_confined();
        for pid in super::host::pids().filter(|pid| *pid != 1) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        super::host::sweep_cgroup(&self.cgroup);
    }
}

impl Answer {
    /// Whichever of the three forms it has.
    #[track_caller]
    pub fn of(ran: &Ran) -> Answer {
        if let Ok(result) = BootstrapResult::decode(&ran.out)
            && result.protocol == "ttrpc"
        {
            return Answer { address: result.address, version: result.version };
        }
        let text = ran.text();
        if let Ok(json) = serde_json::from_str::<super::Value>(&text) {
            assert_eq!(json["protocol"], "ttrpc", "{ran}");
            let version = i32::try_from(json["version"].as_i64().unwrap()).unwrap();
            return Answer { address: json["address"].as_str().unwrap().into(), version };
        }
        assert!(text.starts_with("unix://"), "an answer of start: {ran}");
        Answer { address: text.trim().into(), version: 2 }
    }

    /// The socket's path.
    pub fn path(&self) -> &str {
        self.address.strip_prefix("unix://").unwrap()
    }
}
