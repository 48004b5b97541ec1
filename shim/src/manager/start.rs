//! `start`: finds the server of the container's group, or starts one, and says where it is. The server is this program again, executed
//! anew: it starts small, and what it inherits is named here. Knows nothing of what the server does.

use std::ffi::{CString, OsString};
use std::fmt::Write as _;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use dunnage::error::{Context, Error, Result};
use dunnage::files;
use dunnage::sys::fork::{self, Side};
use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::socket::{self, Socket, Speaks};
use super::{input, print};
use crate::args::Args;
use crate::bundle::{self, Bundle};
use crate::options;
use crate::proto::bootstrap::{BootstrapParams, BootstrapResult};
use crate::proto::options::RuncOptions;
use crate::proto::{Any, Message};

/// What the daemon has put on stdin.
#[derive(Debug, Default, PartialEq)]
pub struct Params {
    /// The message of containerd 2.3 and later; else the older form, options alone.
    pub bootstrap: bool,
    /// The runtime's options.
    pub options: RuncOptions,
    /// Records for whoever looks for a fault.
    pub debug: bool,
    /// Where sockets are; empty: the usual place.
    pub socket_dir: String,
    /// The daemon's socket for events; empty: the environment has it.
    pub ttrpc_address: String,
}

/// Understands stdin. Both forms have a string and bytes in front, so that each can be read as the other: it is the new one only if it
/// names this container and this namespace.
///
/// # Errors
/// It is neither.
pub fn understand(bytes: &[u8], id: &str, namespace: &str) -> Result<Params> {
    if bytes.is_empty() {
        return Ok(Params::default());
    }
    if let Ok(params) = BootstrapParams::decode(bytes)
        && params.instance_id == id
        && params.namespace == namespace
    {
        const DEBUG: i32 = -4;
        let values = params.extensions.iter().filter_map(|extension| extension.value.as_ref());
        let known = |any: &&Any| any.type_name().ends_with(".Options") && !any.type_name().contains("Checkpoint");
        let options = options::of_any(values.into_iter().find(known)).map_err(|e| Error::new(e.message))?;
        return Ok(Params {
            bootstrap: true,
            options,
            debug: params.log_level <= DEBUG,
            socket_dir: params.socket_dir,
            ttrpc_address: params.containerd_ttrpc_address,
        });
    }
    let any =
        Any::decode(bytes).map_err(|fault| Error::new(format!("stdin is neither options nor bootstrap: {fault}")))?;
    Ok(Params { options: options::of_any(Some(&any)).map_err(|e| Error::new(e.message))?, ..Params::default() })
}

/// Which container of a pod this is, as the specification's annotations tell; alone, it is its own group.
pub fn group(annotations: &std::collections::BTreeMap<String, String>, id: &str) -> String {
    let named = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];
    named.iter().find_map(|name| annotations.get(*name)).map_or(id, String::as_str).to_owned()
}

/// The annotations of a config.json, and nothing else of it.
pub fn annotations(config: &[u8]) -> Result<std::collections::BTreeMap<String, String>> {
    #[derive(serde::Deserialize)]
    struct Config {
        #[serde(default)]
        annotations: Option<std::collections::BTreeMap<String, String>>,
    }
    let config: Config = serde_json::from_slice(config).map_err(|e| Error::new(format!("config.json: {e}")))?;
    Ok(config.annotations.unwrap_or_default())
}

/// Does it.
///
/// # Errors
/// The daemon shows them to whoever wanted the container.
pub fn run(args: &Args) -> Result<()> {
    let params = understand(&input()?, &args.id, &args.namespace)?;
    let here = Bundle::open(Path::new("."))?;
    let group = match files::document("config.json") {
        Ok(config) => group(&annotations(&config)?, &args.id),
        // Of a sandbox: what it is to be comes with CreateSandbox. Of a container Create will say that it is missing.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => args.id.clone(),
        Err(e) => return Err(Error::io("open config.json", &e)),
    };
    let dir = if params.socket_dir.is_empty() { socket::DEFAULT_DIR } else { &params.socket_dir };
    let path = Path::new(dir).join(socket::name(&args.address, &args.namespace, &group));
    let speaks = match socket::claim(&path)? {
        Socket::Taken(speaks) => speaks,
        Socket::Ours(listener) => {
            let started = Server { args, params: &params, group: &group, listener }.start();
            if started.is_err()
                && let Ok(dir) = files::open(dir, files::DIRECTORY)
            {
                socket::remove(&dir, &path);
            }
            started?;
            Speaks::V2
        }
    };
    let address = format!("unix://{}", path.display());
    here.write(bundle::ADDRESS, address.as_bytes())?;
    if params.bootstrap && !params.socket_dir.is_empty() {
        // The daemon may look for it there; a second start of the same bundle finds it made.
        files::symlinkat(Path::new(dir), here.dir(), "s").ok();
    }
    print(&answer(&params, speaks, &address))
}

/// In the form that whoever asked understands.
fn answer(params: &Params, speaks: Speaks, address: &str) -> Vec<u8> {
    // Ours speak both; the newer one spares the daemon a `start` for each further container of a pod.
    let version = match std::env::var("DUNNAGE_SHIM_TASK_VERSION").as_deref() {
        Ok("2") if speaks == Speaks::V2 => 2,
        _ => 3,
    };
    match (params.bootstrap, speaks) {
        (true, _) => {
            BootstrapResult { version, address: address.into(), protocol: "ttrpc".into(), ..BootstrapResult::default() }
                .encode()
        }
        (false, Speaks::V2) => address.into(),
        (false, Speaks::OnlyV3) => {
            serde_json::json!({"version": 3, "address": address, "protocol": "ttrpc"}).to_string().into_bytes()
        }
    }
}

/// A server that is about to be started.
struct Server<'a> {
    args: &'a Args,
    params: &'a Params,
    group: &'a str,
    listener: OwnedFd,
}

/// What of our environment, which is the daemon's, the server gets: what reaches the daemon, systemd and programs; nothing that a
/// container could take for its own (NOTIFY_SOCKET, LISTEN_FDS).
const ENVIRONMENT: &[&str] = &[
    "PATH",
    "TTRPC_ADDRESS",
    "GRPC_ADDRESS",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DUNNAGE_SHIM_IDLE_SECONDS",
];

impl Server<'_> {
    fn start(&self) -> Result<()> {
        let (args, env) = (self.words()?, self.environment()?);
        let exe = CString::new("/proc/self/exe").map_err(|_| Error::new("nul"))?;
        let null = files::open("/dev/null", OFlag::O_RDWR).map_err(|e| Error::sys("open /dev/null", e))?;
        let (told, tells) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| Error::sys("pipe", e))?;
        let Side::Parent(pid) = fork::fork().map_err(|e| Error::sys("fork of the server", e))? else {
            let error = self.become_server(&exe, &args, &env, &null, tells.as_raw_fd());
            nix::unistd::write(&tells, error.to_string().as_bytes()).ok();
            fork::exit(1);
        };
        drop(tells);
        self.place(pid).inspect_err(|_| {
            // It is ours, and nobody has waited for it.
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).ok();
        })?;
        let mut error = String::new();
        std::io::Read::read_to_string(&mut std::fs::File::from(told), &mut error)
            .map_err(|e| Error::io("read the server's pipe", &e))?;
        if error.is_empty() { Ok(()) } else { Err(Error::new(error)) }
    }

    fn words(&self) -> Result<Vec<CString>> {
        let argv0 = std::env::args_os().next().unwrap_or_else(|| OsString::from("containerd-shim-dunnage-v2"));
        let mut words: Vec<&[u8]> = vec![argv0.as_bytes(), b"-namespace", self.args.namespace.as_bytes(), b"-id"];
        words.extend([self.group.as_bytes(), b"-address", self.args.address.as_bytes()]);
        if self.args.debug || self.params.debug {
            words.push(b"-debug");
        }
        words.into_iter().map(|word| CString::new(word).map_err(|_| Error::new("an argument has a nul byte"))).collect()
    }

    fn environment(&self) -> Result<Vec<CString>> {
        let mut all = Vec::new();
        let options = &self.params.options;
        if *options != RuncOptions::default() {
            let entry = format!("{}={}", options::ENVIRONMENT, options::to_json(options));
            all.push(CString::new(entry).map_err(|_| Error::new("the options have a nul byte"))?);
        }
        for name in ENVIRONMENT {
            let value = match *name {
                "TTRPC_ADDRESS" if !self.params.ttrpc_address.is_empty() => {
                    Some(self.params.ttrpc_address.clone().into())
                }
                name => std::env::var_os(name),
            };
            if let Some(value) = value {
                let mut entry = OsString::from(*name);
                entry.push("=");
                entry.push(value);
                all.push(CString::new(entry.as_bytes()).map_err(|_| Error::new("the environment has a nul byte"))?);
            }
        }
        Ok(all)
    }

    /// In the copy: only returns if it fails.
    fn become_server(&self, exe: &CString, args: &[CString], env: &[CString], null: &OwnedFd, tells: i32) -> Error {
        let prepare = || -> Result<()> {
            let failed = |call: &'static str| move |e: Errno| Error::sys(format!("{call} of the server"), e);
            // Group and session of its own: what ends the daemon's group does not end containers.
            nix::unistd::setsid().map_err(failed("setsid"))?;
            if std::env::var_os("SCHED_CORE").is_some_and(|value| !value.is_empty()) {
                fork::new_core_scheduling_group()
                    .map_err(failed("prctl PR_SCHED_CORE_CREATE"))
                    .doing(|| "enable sched core support")?;
            }
            for number in 0..3 {
                fork::install(null.as_raw_fd(), number).map_err(failed("dup2"))?;
            }
            fork::close_all_but(&[self.listener.as_raw_fd(), tells]).map_err(failed("close_range"))?;
            fork::install(self.listener.as_raw_fd(), crate::server::LISTENER).map_err(failed("dup2"))
        };
        if let Err(e) = prepare() {
            return e;
        }
        match nix::unistd::execve(exe, args, env) {
            Err(e) => Error::sys("execve of the server", e),
            Ok(never) => match never {},
        }
    }

    /// Its cgroup, and its place among those that the kernel kills when memory is short: one behind the daemon.
    fn place(&self, pid: i32) -> Result<()> {
        let cgroup = &self.params.options.shim_cgroup;
        if !cgroup.is_empty() {
            for directory in cgroup_directories(cgroup)? {
                let procs = directory.join("cgroup.procs");
                write(&procs, &pid.to_string()).map_err(|e| {
                    Error::sys(format!("write {}", procs.display()), e).doing(format!("failed to join cgroup {cgroup}"))
                })?;
            }
        }
        let daemon = nix::unistd::getppid();
        let score = files::read_to_string(format!("/proc/{daemon}/oom_score_adj")).ok();
        let Some(score) = score.and_then(|text| text.trim().parse::<i32>().ok()) else { return Ok(()) };
        let score = score.saturating_add(1).min(1000);
        match write(Path::new(&format!("/proc/{pid}/oom_score_adj")), &score.to_string()) {
            // Lower than the daemon's own it is never; whoever may not write it (a user namespace) goes without.
            Ok(()) | Err(Errno::EACCES | Errno::EPERM) => Ok(()),
            Err(e) => Err(Error::sys("write oom_score_adj of the server", e)),
        }
    }
}

fn write(path: &Path, text: &str) -> nix::Result<()> {
    let file = files::open(path, OFlag::O_WRONLY)?;
    nix::unistd::write(&file, text.as_bytes()).map(drop)
}

/// The directories of a cgroup in every hierarchy.
fn cgroup_directories(cgroup: &str) -> Result<Vec<PathBuf>> {
    let host = dunnage::cgroup::Host::detect()?;
    let below = dunnage::cli::root::clean(Path::new(&format!("/{cgroup}")));
    let below = below.strip_prefix("/").map_err(|_| Error::new("the shim's cgroup is no path"))?.to_owned();
    let mut directories: Vec<PathBuf> = Vec::new();
    for hierarchy in &host.hierarchies {
        let directory = Path::new(&hierarchy.mount).join(&below);
        // Of a hybrid host's hierarchies not each has every group.
        if files::open(&directory, files::DIRECTORY).is_ok() && !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    if directories.is_empty() {
        let mut message = String::new();
        write!(message, "failed to load cgroup {cgroup}: cgroup does not exist").ok();
        return Err(Error::new(message));
    }
    Ok(directories)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::bootstrap::Extension;

    fn any() -> Any {
        let options = RuncOptions { systemd_cgroup: true, ..RuncOptions::default() };
        Any::of("containerd.runc.v1.Options", &options)
    }

    #[test]
    fn the_two_forms_are_told_apart_by_what_they_name() {
        assert_eq!(understand(b"", "id", "ns").unwrap(), Params::default());
        let old = understand(&any().encode(), "id", "ns").unwrap();
        assert!(!old.bootstrap && old.options.systemd_cgroup);
        let mut params = BootstrapParams {
            instance_id: "id".into(),
            namespace: "ns".into(),
            log_level: -4,
            containerd_ttrpc_address: "/t".into(),
            extensions: vec![Extension { value: Some(any()) }],
            socket_dir: "/s".into(),
            ..BootstrapParams::default()
        };
        let new = understand(&params.encode(), "id", "ns").unwrap();
        assert!(new.bootstrap && new.debug && new.options.systemd_cgroup);
        assert_eq!((new.socket_dir.as_str(), new.ttrpc_address.as_str()), ("/s", "/t"));
        // An `Any` of that name is one.
        params.instance_id = "other".into();
        assert!(!understand(&params.encode(), "id", "ns").unwrap().bootstrap);
        assert!(understand(b"\xff\xff", "id", "ns").is_err());
    }

    #[test]
    fn groups() {
        let of = |config: &str| group(&annotations(config.as_bytes()).unwrap(), "id");
        assert_eq!(of("{}"), "id");
        assert_eq!(of(r#"{"annotations": null}"#), "id");
        assert_eq!(of(r#"{"annotations": {"io.kubernetes.cri.sandbox-id": "s"}}"#), "s");
        let both = r#"{"annotations": {"io.kubernetes.cri.sandbox-id": "s", "io.containerd.runc.v2.group": ""}}"#;
        assert_eq!(of(both), "");
    }

    #[test]
    fn answers() {
        let old = Params::default();
        assert_eq!(answer(&old, Speaks::V2, "unix:///s"), b"unix:///s");
        assert_eq!(
            String::from_utf8(answer(&old, Speaks::OnlyV3, "unix:///s")).unwrap(),
            r#"{"address":"unix:///s","protocol":"ttrpc","version":3}"#
        );
        let new = Params { bootstrap: true, ..Params::default() };
        assert_eq!(answer(&new, Speaks::V2, "unix:///s"), b"\x08\x03\x12\x09unix:///s\x1a\x05ttrpc");
    }
}
