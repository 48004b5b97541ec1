//! A state directory that somebody else has written to: `list` goes on listing the others, no command hangs, and what is not
//! the container's is not touched: processes, files, mounts, cgroups and other containers.

use crate::scenario::{self, Runtime};
use crate::sys;
use crate::world::{self, BUNDLE, CALLER, Cgroups, ROOT, World};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The container whose state is attacked, and another one.
const X: &str = "attacked";
const OTHER: &str = "other";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    pub name: String,
    /// Empty: all is well.
    pub faults: Vec<String>,
}

/// What is changed of the directory of a container that runs.
type Change = fn(&Scene) -> Result<(), String>;

struct Scene {
    dir: PathBuf,
    /// state.json, or crun's `status`.
    file: PathBuf,
    canary: i32,
}

impl Scene {
    fn text(&self) -> Result<String, String> {
        fs::read_to_string(&self.file).map_err(|e| e.to_string())
    }

    fn write(&self, bytes: impl AsRef<[u8]>) -> Result<(), String> {
        fs::write(&self.file, bytes).map_err(|e| e.to_string())
    }

    fn replace(&self, with: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), String> {
        fs::remove_file(&self.file).and_then(|()| with(&self.file)).map_err(|e| e.to_string())
    }

    fn instead(&self, with: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), String> {
        fs::remove_dir_all(&self.dir).and_then(|()| with(&self.dir)).map_err(|e| e.to_string())
    }

    fn set(&self, pid: Option<i32>, cgroup: Option<&str>) -> Result<(), String> {
        let mut state: Value = serde_json::from_str(&self.text()?).map_err(|e| e.to_string())?;
        let runc = state.get("init_process_pid").is_some();
        if let Some(pid) = pid {
            state[if runc { "init_process_pid" } else { "pid" }] = json!(pid);
        }
        if let Some(cgroup) = cgroup {
            if runc {
                state["cgroup_paths"] = json!({"": format!("/sys/fs/cgroup{cgroup}")});
                state["config"]["cgroups"]["path"] = json!(cgroup);
            } else {
                state["cgroup-path"] = json!(cgroup);
            }
        }
        self.write(state.to_string())
    }
}

fn fifo(path: &Path) -> std::io::Result<()> {
    sys::mkfifo(&path.to_string_lossy())
}

const CASES: &[(&str, Change)] = &[
    ("an empty directory", |s| s.instead(|d| fs::create_dir(d))),
    ("a file for the directory", |s| s.instead(|d| fs::write(d, "x"))),
    ("a fifo for the directory", |s| s.instead(fifo)),
    ("the directory is a link to another container's", |s| s.instead(|d| symlink(format!("{ROOT}/{OTHER}"), d))),
    ("the directory is a link to somebody's files", |s| s.instead(|d| symlink(format!("{CALLER}/files"), d))),
    ("the directory is a link to nothing", |s| s.instead(|d| symlink("/nowhere", d))),
    ("the state is empty", |s| s.write("")),
    ("the state is cut off", |s| {
        let text = s.text()?;
        s.write(&text[..text.len() / 2])
    }),
    ("the state is random bytes", |s| s.write((0..5000u32).map(|n| (n * n % 251) as u8).collect::<Vec<_>>())),
    ("the state is 1 GiB of nothing", |s| s.replace(|f| fs::File::create(f)?.set_len(1 << 30))),
    ("the state is nested 100,000 deep", |s| s.write("{\"a\":".repeat(100_000))),
    ("the state is a list", |s| s.write("[1, 2]")),
    ("the state's numbers are too large", |s| {
        s.write(r#"{"id":"attacked","pid":99999999999999999999,"init_process_pid":1e99}"#)
    }),
    ("the state is a directory", |s| s.replace(|f| fs::create_dir(f))),
    ("the state is a fifo", |s| s.replace(fifo)),
    ("the state is a socket", |s| s.replace(|f| std::os::unix::net::UnixListener::bind(f).map(drop))),
    ("the state is a link to /dev/zero", |s| s.replace(|f| symlink("/dev/zero", f))),
    ("the state is a link to another container's", |s| {
        let name = s.file.file_name().unwrap_or_default().to_os_string();
        s.replace(|f| symlink(Path::new(ROOT).join(OTHER).join(name), f))
    }),
    ("the state is a link to somebody's file", |s| s.replace(|f| symlink(format!("{CALLER}/files/file"), f))),
    ("the state is another container's", |s| {
        let name = s.file.file_name().unwrap_or_default().to_os_string();
        fs::copy(Path::new(ROOT).join(OTHER).join(name), &s.file).map(drop).map_err(|e| e.to_string())
    }),
    ("the pid is somebody's", |s| s.set(Some(s.canary), None)),
    ("the pid is 1", |s| s.set(Some(1), None)),
    ("the pid is 0", |s| s.set(Some(0), None)),
    ("the pid is -1", |s| s.set(Some(-1), None)),
    ("the cgroup is the root", |s| s.set(None, Some("/"))),
    ("the cgroup is empty", |s| s.set(None, Some(""))),
    ("the cgroup has .. in it", |s| s.set(None, Some("/c/../c/somebody"))),
    ("another user's, and the pid is somebody's", |s| {
        s.set(Some(s.canary), None)?;
        own(s)
    }),
    ("another user's, and the cgroup is somebody's", |s| {
        s.set(None, Some("/c/somebody"))?;
        own(s)
    }),
    ("anybody may write it, and the cgroup is somebody's", |s| {
        s.set(None, Some("/c/somebody"))?;
        fs::set_permissions(&s.dir, fs::Permissions::from_mode(0o777)).map_err(|e| e.to_string())
    }),
    ("a directory, a fifo and links to somebody's files lie in it", |s| {
        let more = s.dir.join("more");
        fs::create_dir(&more)
            .and_then(|()| symlink(format!("{CALLER}/files"), more.join("link")))
            .and_then(|()| symlink(format!("{CALLER}/files"), s.dir.join("link")))
            .and_then(|()| fifo(&more.join("fifo")))
            .and_then(|()| fs::write(s.dir.join("file"), "x"))
            .map_err(|e| e.to_string())
    }),
    ("somebody's files are mounted in it", |s| {
        let dir = s.dir.join("mnt");
        fs::create_dir(&dir)
            .and_then(|()| sys::mount(&format!("{CALLER}/files"), &dir.to_string_lossy(), "", libc::MS_BIND))
            .map_err(|e| e.to_string())
    }),
    ("strange names lie beside it", |_| {
        for name in ["with space", "new\nline", "-rf", ".hidden", "\u{1b}[31m", "a:b"] {
            fs::create_dir(Path::new(ROOT).join(name)).map_err(|e| e.to_string())?;
        }
        let foreign = std::ffi::OsStr::new("caf");
        let bytes = [std::os::unix::ffi::OsStrExt::as_bytes(foreign), &[0xe9]].concat();
        let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(&bytes);
        fs::create_dir(Path::new(ROOT).join(name)).map_err(|e| e.to_string())?;
        fs::write(format!("{ROOT}/README"), "x").map_err(|e| e.to_string())
    }),
];

fn own(s: &Scene) -> Result<(), String> {
    chown(&s.dir, Some(1000), Some(1000))
        .and_then(|()| chown(&s.file, Some(1000), Some(1000)))
        .map_err(|e| e.to_string())
}

/// All that is somebody's.
fn untouched(canary: i32, other: i32) -> Vec<String> {
    let mut touched = Vec::new();
    world::reap();
    if world::comm(canary) != "sleep" {
        touched.push("killed somebody's process".to_string());
    }
    if world::comm(other) != "sleep" {
        touched.push("killed another container".to_string());
    }
    if !Path::new(&format!("{ROOT}/{OTHER}")).is_dir() {
        touched.push("removed another container's state".to_string());
    }
    if fs::read_to_string(format!("{CALLER}/files/file")).ok().as_deref() != Some("precious") {
        touched.push("removed somebody's file".to_string());
    }
    if fs::read_to_string(format!("{CALLER}/mounted/file")).ok().as_deref() != Some("precious") {
        touched.push("unmounted somebody's file system".to_string());
    }
    if fs::read_to_string("/sys/fs/cgroup/c/somebody/cgroup.freeze").ok().as_deref() == Some("1\n") {
        touched.push("froze somebody's process".to_string());
    }
    touched
}

/// The start time that tells one process from another of the same pid has hundredths of a second (proc_pid_stat(5)): no two of
/// those that matter here may have the same.
fn another_tick() {
    std::thread::sleep(Duration::from_millis(30));
}

fn case(runtime: &Runtime<'_>, rootfs: &str, change: Change) -> Result<Vec<String>, String> {
    let failed = |e: std::io::Error| e.to_string();
    another_tick();
    for id in [OTHER, X] {
        scenario::write_config(&scenario::config(runtime.world, rootfs, id))?;
        runtime.must(&["run", "--detach", "--bundle", BUNDLE, id])?;
    }
    let other = runtime.state(OTHER)?.0;
    fs::create_dir(format!("{CALLER}/files")).map_err(failed)?;
    fs::create_dir(format!("{CALLER}/mounted")).map_err(failed)?;
    sys::mount("tmpfs", &format!("{CALLER}/mounted"), "tmpfs", 0).map_err(failed)?;
    for dir in ["files", "mounted"] {
        fs::write(format!("{CALLER}/{dir}/file"), "precious").map_err(failed)?;
    }
    another_tick();
    let canary = crate::tracer::Child::spawn(&["/bin/sleep".into(), "300".into()], None).map_err(failed)?;
    fs::create_dir("/sys/fs/cgroup/c/somebody").map_err(failed)?;
    fs::write("/sys/fs/cgroup/c/somebody/cgroup.procs", canary.pid.to_string()).map_err(failed)?;
    while world::comm(canary.pid) != "sleep" {
        std::thread::sleep(Duration::from_millis(1));
    }
    let dir = Path::new(ROOT).join(X);
    let file = ["state.json", "status"].iter().map(|n| dir.join(n)).find(|f| f.exists()).ok_or("no state file")?;
    change(&Scene { dir, file, canary: canary.pid })?;

    let mut faults = Vec::new();
    let list = |when: &str, faults: &mut Vec<String>| {
        for args in [&["list"][..], &["list", "--format", "json"]] {
            let (code, out, _) = runtime.call(args);
            match code {
                None => faults.push(format!("`{}` hangs{when}", args.join(" "))),
                Some(0) if out.contains(OTHER) => {}
                Some(0) => faults.push(format!("`{}` does not show the other{when}", args.join(" "))),
                Some(code) => faults.push(format!("`{}` fails with {code}{when}", args.join(" "))),
            }
        }
    };
    list("", &mut faults);
    for args in [&["state", X][..], &["kill", X, "KILL"], &["delete", X], &["delete", "--force", X]] {
        let (code, out, err) = runtime.call(args);
        let what = args[..args.len() - 1].join(" ");
        if code.is_none() {
            faults.push(format!("`{what}` hangs"));
        }
        if code.is_some_and(|c| c > 128) || (out + &err).contains("panic") {
            faults.push(format!("`{what}` crashes"));
        }
        for touched in untouched(canary.pid, other) {
            if !faults.iter().any(|f| f.ends_with(&touched)) {
                faults.push(format!("`{what}` {touched}"));
            }
        }
    }
    if !faults.iter().any(|f| f.contains("another container")) {
        list(" afterwards", &mut faults);
    }
    let mut short: Vec<String> = Vec::new();
    for fault in faults {
        if !short.contains(&fault) {
            short.push(fault);
        }
    }
    Ok(short)
}

pub fn run(binary: &str, rootfs: &str) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for (name, change) in CASES {
        let inside = |world: &World| case(&Runtime { path: binary, world }, rootfs, *change);
        let limit = Duration::from_secs(200 * scenario::slow());
        let faults = match world::run(Cgroups::Unified, limit, inside).map_err(|e| e.to_string())? {
            Some(faults) => faults.map_err(|e| format!("{name}: {e}"))?,
            None => vec!["everything was killed, this program included".to_string()],
        };
        cases.push(Case { name: name.to_string(), faults });
    }
    Ok(cases)
}
