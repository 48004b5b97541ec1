//! Where a round happens: pid, mount, ipc, network and (but on the hybrid host) cgroup namespaces of its own, with nothing
//! in /tmp, /run and /dev/shm. Whatever a broken runtime kills or removes, it does in there; and whatever is in there
//! afterwards, it has left.

use crate::sys;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Result, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The state root, the bundle, and files of the command that its caller removes.
pub const ROOT: &str = "/run/state";
pub const BUNDLE: &str = "/run/bundle";
pub const CALLER: &str = "/run/caller";

/// How the host's control groups look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cgroups {
    /// Version 2 alone, in a cgroup namespace.
    Unified,
    /// As the host has them.
    Host,
}

/// The cgroup that all rounds of this program are below.
pub fn parent() -> String {
    format!("dunnage-faults-{}", std::process::id())
}

fn hierarchies() -> Vec<PathBuf> {
    let own = |p: &PathBuf| p.join("cgroup.procs").exists();
    let root = PathBuf::from("/sys/fs/cgroup");
    if own(&root) {
        return vec![root];
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.map(|e| e.path()).filter(|p| !p.is_symlink() && own(p)).collect()
}

/// The hierarchy of version 2.
fn unified() -> PathBuf {
    hierarchies().into_iter().find(|h| h.join("cgroup.controllers").exists()).unwrap_or_default()
}

fn below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            below(&entry.path(), found);
            found.push(entry.path());
        }
    }
}

/// Runs `inside` as process 1 of a world of its own and returns what it returns; none if that took longer than `limit`.
pub fn run<T: Serialize + DeserializeOwned>(
    cgroups: Cgroups,
    limit: Duration,
    inside: impl FnOnce(&World) -> T,
) -> Result<Option<T>> {
    let group = format!("{}/round", parent());
    let (read, write) = sys::pipe()?;
    let made: Vec<PathBuf> = match cgroups {
        Cgroups::Unified => vec![unified().join(&group)],
        Cgroups::Host => hierarchies().iter().map(|h| h.join(&group)).collect(),
    };
    for dir in &made {
        fs::create_dir_all(dir)?;
        if dir.join("cpuset.cpus").exists() {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                for dir in dir.ancestors().take(2).collect::<Vec<_>>().into_iter().rev() {
                    let value = fs::read_to_string(dir.parent().unwrap_or(dir).join(file))?;
                    fs::write(dir.join(file), value)?;
                }
            }
        }
    }
    let outer = sys::fork()?;
    if outer == 0 {
        let done = World::enter(cgroups, &group, inside, &mut fs::File::from(write));
        if let Err(e) = &done {
            eprintln!("a round could not be prepared: {e}");
        }
        sys::exit(i32::from(done.is_err()));
    }
    drop(write);
    let end = Instant::now() + limit;
    let mut bytes = Vec::new();
    let mut read = fs::File::from(read);
    let mut first = None;
    sys::tick(20);
    while Instant::now() < end {
        let _ = read.read_to_end(&mut bytes);
        // The pid of process 1 comes first, so that we can end it.
        if first.is_none() && bytes.len() >= 4 {
            first = Some(i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        if sys::wait(outer, 0)?.is_some() {
            first = None;
            break;
        }
    }
    sys::tick(0);
    if let Some(pid) = first {
        sys::kill(pid, libc::SIGKILL);
        thaw(&made);
        sys::wait(outer, 0)?;
    }
    let _ = read.read_to_end(&mut bytes);
    remove(&made);
    Ok(bytes.get(4..).and_then(|b| serde_json::from_slice(b).ok()))
}

/// What is frozen by version 1 can't end.
fn thaw(groups: &[PathBuf]) {
    for group in groups {
        let mut all = Vec::new();
        below(group, &mut all);
        for dir in all {
            if dir.join("freezer.state").exists() {
                let _ = fs::write(dir.join("freezer.state"), "THAWED");
            }
        }
    }
}

fn remove(groups: &[PathBuf]) {
    let end = Instant::now() + Duration::from_secs(5);
    for group in groups {
        loop {
            let mut all = Vec::new();
            below(group, &mut all);
            all.push(group.clone());
            for dir in all {
                let _ = fs::remove_dir(dir);
            }
            if !group.exists() || Instant::now() > end {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = group.parent().map(fs::remove_dir);
    }
}

/// The inside of a round.
pub struct World {
    /// What `cgroupsPath` starts with.
    pub cgroup: String,
    /// The directories of that in each hierarchy.
    groups: Vec<PathBuf>,
    mounts: Vec<String>,
}

impl World {
    fn enter<T: Serialize>(
        cgroups: Cgroups,
        group: &str,
        inside: impl FnOnce(&World) -> T,
        tell: &mut fs::File,
    ) -> Result<()> {
        let mut flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWNET;
        if cgroups == Cgroups::Unified {
            let own = unified().join(group);
            fs::write(own.join("cgroup.procs"), "0")?;
            sys::unshare(libc::CLONE_NEWCGROUP)?;
            fs::create_dir(own.join("host"))?;
            fs::write(own.join("host/cgroup.procs"), "0")?;
            flags |= 0;
        }
        sys::unshare(flags)?;
        let first = sys::fork()?;
        if first != 0 {
            tell.write_all(&first.to_ne_bytes())?;
            while sys::wait(first, 0)?.is_none() {}
            return Ok(());
        }
        let world = World::prepare(cgroups, group)?;
        let result = inside(&world);
        tell.write_all(&serde_json::to_vec(&result)?)?;
        sys::exit(0)
    }

    fn prepare(cgroups: Cgroups, group: &str) -> Result<World> {
        sys::mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE)?;
        sys::mount("proc", "/proc", "proc", 0)?;
        for dir in ["/tmp", "/run", "/dev/shm", "/var/tmp"] {
            if Path::new(dir).is_dir() {
                sys::mount("tmpfs", dir, "tmpfs", 0)?;
            }
        }
        let (cgroup, groups) = match cgroups {
            Cgroups::Unified => {
                sys::detach("/sys/fs/cgroup")?;
                sys::mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0)?;
                fs::create_dir("/sys/fs/cgroup/c")?;
                ("/c".to_string(), vec![PathBuf::from("/sys/fs/cgroup/c")])
            }
            Cgroups::Host => (format!("/{group}"), hierarchies().iter().map(|h| h.join(group)).collect()),
        };
        for dir in [BUNDLE, CALLER] {
            fs::create_dir(dir)?;
        }
        let mounts = mounts();
        Ok(World { cgroup, groups, mounts })
    }

    /// Everything that is there and was not before the runtime came. The caller's own files do not count.
    pub fn left(&self) -> Vec<String> {
        reap();
        let mut left = Vec::new();
        for pid in processes() {
            left.push(format!("process {}", comm(pid)));
        }
        for group in &self.groups {
            let mut all = Vec::new();
            below(group, &mut all);
            left.extend(all.iter().map(|g| format!("cgroup {}", g.strip_prefix(group).unwrap_or(g).display())));
        }
        left.extend(mounts().into_iter().filter(|m| !self.mounts.contains(m)).map(|m| format!("mount {m}")));
        let known: BTreeSet<&str> =
            [ROOT, BUNDLE, CALLER, "/run/bundle/config.json", "/run/caller/pid"].into_iter().collect();
        for dir in ["/tmp", "/run", "/dev/shm", "/var/tmp"] {
            files(Path::new(dir), &mut |path, kind| {
                // crun's, of all its containers: compiled seccomp profiles, something to mask with.
                let kept = path.starts_with("/run/state/.cache") || path == "/run/state/.empty-directory";
                if !known.contains(path) && !kept {
                    left.push(format!("{kind} {path}"));
                }
            });
        }
        let sockets = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        // Those of this round alone: it has its own network namespace.
        left.extend(sockets.lines().skip(1).map(|l| format!("socket {}", l.split(' ').next_back().unwrap_or(""))));
        left
    }

    /// The same, when what is ending has ended.
    pub fn left_after(&self, patience: Duration) -> Vec<String> {
        let end = Instant::now() + patience;
        loop {
            let left = self.left();
            if left.is_empty() || Instant::now() > end {
                return left;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Those whose parents have ended are ours, as we are process 1.
pub fn reap() {
    while let Ok(Some(_)) = sys::wait(-1, libc::WNOHANG) {}
}

pub fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).filter(|p| *p != 1).collect()
}

pub fn comm(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_string()
}

/// Mount points with what is mounted there.
pub fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines()
        .filter_map(|l| {
            let mut words = l.split(' ');
            let point = words.nth(4)?;
            Some(format!("{point} {}", l.split_once(" - ")?.1.split(' ').next()?))
        })
        .collect()
}

fn files(dir: &Path, tell: &mut impl FnMut(&str, &str)) {
    let device = fs::symlink_metadata(dir).map(|m| m.dev()).unwrap_or_default();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let kind = metadata.file_type();
        let name = match () {
            () if kind.is_dir() => "directory",
            () if kind.is_fifo() => "fifo",
            () if kind.is_socket() => "socket",
            () => "file",
        };
        tell(&path.to_string_lossy(), name);
        if kind.is_dir() && metadata.dev() == device {
            files(&path, tell);
        }
    }
}
