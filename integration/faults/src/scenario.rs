//! The commands that are attacked: what has to be there before, how it is called, and how one sees from outside that it did
//! what it says.

use crate::portrait;
use crate::sys;
use crate::tracer::{Child, exit_code};
use crate::world::{self, BUNDLE, CALLER, Cgroups, ROOT, World};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

pub const ID: &str = "faults";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Create,
    /// With a user namespace and hooks, on the host's cgroups.
    CreateMapped,
    Start,
    Run,
    Exec,
    ExecDetached,
    Kill,
    Delete,
    DeleteStopped,
    Update,
}

use Scenario::*;

pub const ALL: &[(&str, Scenario)] = &[
    ("create", Create),
    ("create-mapped", CreateMapped),
    ("start", Start),
    ("run", Run),
    ("exec", Exec),
    ("exec-detached", ExecDetached),
    ("kill", Kill),
    ("delete", Delete),
    ("delete-stopped", DeleteStopped),
    ("update", Update),
];

/// A limit on what is not attacked.
pub fn patience() -> Duration {
    Duration::from_secs(10 * slow())
}

pub fn slow() -> u64 {
    std::env::var("DUNNAGE_TEST_SLOW").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}

/// A runtime in a world.
pub struct Runtime<'a> {
    pub path: &'a str,
    pub world: &'a World,
}

/// Exit code (none: it took too long), stdout, stderr.
pub type Said = (Option<i32>, String, String);

impl Runtime<'_> {
    pub fn argv(&self, args: &[&str]) -> Vec<String> {
        [self.path, "--root", ROOT].iter().chain(args).map(|s| s.to_string()).collect()
    }

    /// To its end; the end of others is noticed on the way.
    pub fn call(&self, args: &[&str]) -> Said {
        let Ok(mut child) = Child::spawn(&self.argv(args), None) else { return (None, String::new(), String::new()) };
        let end = Instant::now() + patience();
        let mut code = None;
        let (mut out, mut err) = child.written();
        sys::tick(5);
        while Instant::now() < end {
            match sys::wait(-1, 0) {
                Ok(Some((pid, status))) if pid == child.pid => {
                    code = Some(exit_code(status));
                    break;
                }
                Ok(Some(_)) => continue,
                _ => {}
            }
            let more = child.written();
            out.push_str(&more.0);
            err.push_str(&more.1);
        }
        sys::tick(0);
        if code.is_none() {
            sys::kill(child.pid, libc::SIGKILL);
        }
        let more = child.written();
        (code, out + &more.0, err + &more.1)
    }

    pub fn must(&self, args: &[&str]) -> Result<String, String> {
        match self.call(args) {
            (Some(0), out, _) => Ok(out),
            other => Err(format!("{args:?}: {other:?}")),
        }
    }

    /// Pid and status.
    pub fn state(&self, id: &str) -> Result<(i32, String), String> {
        let state: Value = serde_json::from_str(&self.must(&["state", id])?).map_err(|e| format!("state: {e}"))?;
        let pid = state["pid"].as_i64().and_then(|p| i32::try_from(p).ok()).unwrap_or(0);
        Ok((pid, state["status"].as_str().unwrap_or_default().to_string()))
    }

    pub fn delete(&self, id: &str) -> Said {
        self.call(&["delete", "--force", id])
    }

    fn portrait_of_init(&self) -> Result<Vec<String>, String> {
        let (pid, status) = self.state(ID)?;
        if status != "running" {
            return Err(format!("the container is {status}"));
        }
        portrait_of(pid)
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(2 * slow());
    loop {
        world::reap();
        if done() {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(what.to_string());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Once it runs the program.
fn portrait_of(pid: i32) -> Result<Vec<String>, String> {
    let runs = || fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|c| c.starts_with("/bin/sleep"));
    until("the program does not run", runs)?;
    // The kernel is not done with execve(2) when its first signs are seen.
    let mut last = portrait::of(pid);
    for _ in 0..10 {
        let next = portrait::of(pid);
        if next == last {
            break;
        }
        last = next;
    }
    Ok(last)
}

fn pid_file(id: &str) -> Result<i32, String> {
    let text = fs::read_to_string(format!("{CALLER}/pid")).map_err(|e| format!("{id}: no pid file: {e}"))?;
    text.trim().parse().map_err(|_| format!("the pid file says {text:?}"))
}

fn ended(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |s| s.rsplit_once(") ").is_some_and(|(_, r)| r.starts_with('Z')))
}

/// A file of the container's cgroup, of whichever hierarchy has it.
fn limit(world: &World, file: &str) -> String {
    let root = std::path::Path::new("/sys/fs/cgroup");
    let dirs = fs::read_dir(root).into_iter().flatten().flatten().map(|e| e.path());
    dirs.chain([root.to_path_buf()])
        .find_map(|d| fs::read_to_string(d.join(&world.cgroup[1..]).join(ID).join(file)).ok())
        .unwrap_or_default()
        .trim()
        .to_string()
}

impl Scenario {
    pub fn cgroups(self) -> Cgroups {
        if matches!(self, Update | CreateMapped) { Cgroups::Host } else { Cgroups::Unified }
    }

    pub fn config(self, world: &World, rootfs: &str) -> Value {
        let mut config = config(world, rootfs, ID);
        if self == CreateMapped {
            let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
            config["linux"]["namespaces"].as_array_mut().into_iter().for_each(|n| n.push(json!({"type": "user"})));
            let hook = json!([{"path": "/bin/true"}]);
            config["hooks"] = json!({"createRuntime": hook, "createContainer": hook, "poststop": hook});
        }
        config
    }

    /// Everything before the command. Returns the processes that work for it and are there already.
    pub fn prepare(self, runtime: &Runtime<'_>) -> Result<Vec<i32>, String> {
        match self {
            Create | CreateMapped | Run => {}
            Start => {
                runtime.must(&["create", "--bundle", BUNDLE, ID])?;
                return Ok(vec![runtime.state(ID)?.0]);
            }
            _ => {
                runtime.must(&["run", "--detach", "--bundle", BUNDLE, ID])?;
            }
        }
        if self == DeleteStopped {
            let (pid, _) = runtime.state(ID)?;
            runtime.must(&["kill", ID, "KILL"])?;
            until("killed", || ended(pid))?;
        }
        Ok(Vec::new())
    }

    pub fn args(self) -> Vec<&'static str> {
        match self {
            Create | CreateMapped => vec!["create", "--bundle", BUNDLE, "--pid-file", "/run/caller/pid", ID],
            Start => vec!["start", ID],
            Run => vec!["run", "--detach", "--bundle", BUNDLE, "--pid-file", "/run/caller/pid", ID],
            Exec => vec!["exec", ID, "/bin/sh", "-c", "echo works"],
            ExecDetached => {
                vec!["exec", "--detach", "--pid-file", "/run/caller/pid", "--env", "A=B", ID, "/bin/sleep", "200"]
            }
            Kill => vec!["kill", ID, "KILL"],
            Delete => vec!["delete", "--force", ID],
            DeleteStopped => vec!["delete", ID],
            Update => vec!["update", "--pids-limit", "77", "--cpu-share", "512", "--memory", "67108864", ID],
        }
    }

    /// After it has answered 0: what is there, to be compared with what a clean one has made; or what is not.
    pub fn result(self, runtime: &Runtime<'_>, out: &str) -> Result<Vec<String>, String> {
        match self {
            Create | CreateMapped => {
                let (pid, status) = runtime.state(ID)?;
                if status != "created" {
                    return Err(format!("the container is {status}"));
                }
                if pid_file(ID)? != pid {
                    return Err("the pid file names somebody else".into());
                }
                runtime.must(&["start", ID])?;
                runtime.portrait_of_init()
            }
            Start => runtime.portrait_of_init(),
            Run => {
                if pid_file(ID)? != runtime.state(ID)?.0 {
                    return Err("the pid file names somebody else".into());
                }
                runtime.portrait_of_init()
            }
            Exec => Ok(vec![format!("output: {out}")]),
            ExecDetached => portrait_of(pid_file(ID)?),
            Kill => {
                let (pid, _) = runtime.state(ID)?;
                until("the container runs on", || ended(pid))?;
                Ok(Vec::new())
            }
            Delete | DeleteStopped => match runtime.world.left_after(Duration::from_secs(1)).first() {
                Some(left) => Err(format!("not deleted: {left}")),
                None => Ok(Vec::new()),
            },
            Update => {
                let files = ["pids.max", "cpu.shares", "memory.limit_in_bytes"];
                Ok(files.iter().map(|f| format!("{f}: {}", limit(runtime.world, f))).collect())
            }
        }
    }
}

/// A configuration that asks for something of every kind.
pub fn config(world: &World, rootfs: &str, id: &str) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0, "additionalGids": [10, 20], "umask": 0o27},
            "args": ["/bin/sleep", "200"],
            "env": ["PATH=/bin", "TERM=xterm"],
            "cwd": "/data",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "oomScoreAdj": 100,
            "noNewPrivileges": true,
        },
        "root": {"path": rootfs, "readonly": true},
        "hostname": "runc",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
            {"destination": "/data", "type": "bind", "source": rootfs, "options": ["rbind", "ro", "nosuid"]},
        ],
        "linux": {
            "cgroupsPath": format!("{}/{id}", world.cgroup),
            "sysctl": {"net.ipv4.ip_forward": "1"},
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}],
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [{"names": ["swapon", "swapoff", "reboot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]
            },
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

pub fn write_config(config: &Value) -> Result<(), String> {
    fs::write(format!("{BUNDLE}/config.json"), config.to_string()).map_err(|e| e.to_string())
}
