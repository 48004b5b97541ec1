//! A cgroup that belongs to one container: the only type that can kill, freeze or remove, made only from paths that have
//! been checked. A state file without paths, or with wrong ones, has ended whole hosts: on cgroup v1 an empty path is the
//! root of every hierarchy, and `delete` then killed every process in it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, OFlag};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{UnlinkatFlags, getpid, unlinkat};

use super::dir::{Dir, list_dirs, open_dir};
use super::host::{Hierarchy, Host, Membership, Version};
use super::paths::{Paths, clean};
use crate::error::{Context, Errno, Error, Result};
use crate::sys::pidfd::PidFd;

/// See the module.
#[derive(Debug, Clone)]
pub struct OwnedCgroup {
    /// One per hierarchy, in the order in which limits are set.
    pub(super) nodes: Vec<Node>,
}

/// The cgroup in one hierarchy.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) hierarchy: Hierarchy,
    /// The directory: absolute, clean, below the mount of the hierarchy.
    pub(super) path: String,
}

impl OwnedCgroup {
    /// Checks the paths (new ones, or from a state file) and takes them over. `None` if there are none: the container has
    /// no cgroup of its own, and nothing must be killed, frozen or removed for it.
    ///
    /// A path must be absolute and clean, and below the mount of its hierarchy. That it is neither our own cgroup nor an
    /// ancestor of it is asked of the kernel, in the moment before something is killed, frozen or removed.
    pub fn new(host: &Host, paths: &Paths) -> Result<Option<OwnedCgroup>> {
        if paths.is_empty() {
            return Ok(None);
        }
        if host.version() == Version::V2 && (paths.0.len() > 1 || paths.get("").is_none()) {
            return Err(Error::new(format!("expected a single path, got {:?}", paths.0)));
        }
        let mut nodes: Vec<Node> = Vec::new();
        for (key, path) in &paths.0 {
            let refuse = |why: &str| Error::new(format!("refusing cgroup path {path:?} of {key:?}: it is {why}"));
            let Some(hierarchy) = host.hierarchy(key) else {
                return Err(refuse("in a hierarchy that is not mounted here"));
            };
            if !path.starts_with('/') || clean(path).as_ref() != Ok(path) {
                return Err(refuse("not an absolute and clean path"));
            }
            // Co-mounted controllers have links: /sys/fs/cgroup/cpu -> cpu,cpuacct.
            let link = format!("{}/{key}/", super::host::ROOT);
            let below = match path.strip_prefix(hierarchy.mount.as_str()) {
                Some("") => return Err(refuse("the root of the hierarchy")),
                Some(below) if below.starts_with('/') => below.trim_start_matches('/'),
                _ => path.strip_prefix(link.as_str()).ok_or_else(|| refuse("not below the mount of the hierarchy"))?,
            };
            let path = format!("{}/{below}", hierarchy.mount);
            match nodes.iter().find(|node| node.hierarchy == *hierarchy) {
                None => nodes.push(Node { hierarchy: hierarchy.clone(), path }),
                Some(node) if node.path == path => {}
                Some(node) => return Err(refuse(&format!("not {:?}, which shares the hierarchy", node.path))),
            }
        }
        nodes.sort_by_key(|node| host.hierarchies.iter().position(|h| *h == node.hierarchy));
        Ok(Some(OwnedCgroup { nodes }))
    }

    /// The cgroup is there (on v1: in the hierarchy that is asked for processes).
    pub fn exists(&self) -> bool {
        self.main().is_some_and(|node| Dir::open(node.path.as_str()).is_ok())
    }

    /// All processes of the cgroup and those below it, as pids of our pid namespace. None if it does not exist.
    pub fn pids(&self) -> Result<Vec<i32>> {
        self.main().map_or(Ok(Vec::new()), Node::pids)
    }

    /// The paths that were checked, for the state file.
    pub fn paths(&self) -> Paths {
        let of =
            |node: &Node| node.hierarchy.keys.iter().map(|key| (key.clone(), node.path.clone())).collect::<Vec<_>>();
        Paths(self.nodes.iter().flat_map(of).collect())
    }

    /// SIGKILL to every process of the cgroup and those below it, and none that comes in meanwhile gets away. Frozen ones
    /// are thawed to die. Does not wait for their end. Nothing happens if the cgroup does not exist.
    pub fn kill_all(&self) -> Result<()> {
        let Some(main) = self.main() else { return Ok(()) };
        main.refuse_if_not_ours_alone()?;
        if let Some(unified) = self.nodes.iter().find(|node| node.hierarchy.version == Version::V2) {
            if unified.path != main.path {
                unified.refuse_if_not_ours_alone()?;
            }
            match Dir::at(unified.path.as_str()).write("cgroup.kill", "1") {
                Ok(()) if self.nodes.len() == 1 => return Ok(()),
                // On hybrid that was the fast way; but who made the container may have entered v1 alone.
                Ok(()) => {}
                // Before Linux 5.14, or no cgroup there; a threaded one refuses.
                Err(e) if matches!(e.errno(), Some(Errno::ENOENT | Errno::EOPNOTSUPP)) => {}
                Err(e) => return Err(e),
            }
        }
        if main.pids()?.is_empty() {
            return Ok(());
        }
        // Frozen, none can fork away from us; if the freezer fails, fork bombs are run after for a while.
        let frozen = self.freeze().is_ok();
        let mut result = main.kill_each();
        if !frozen {
            for _ in 0..100 {
                if !matches!(result, Ok(n) if n > 0) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
                result = main.kill_each();
            }
        }
        let thawed = if frozen { self.thaw() } else { Ok(()) };
        result.and(thawed).map(drop)
    }

    /// Stops every process until [`OwnedCgroup::thaw`]; returns when all have stopped.
    pub fn freeze(&self) -> Result<()> {
        let node = self.freezer().ok_or_else(|| Error::new("unable to freeze: no freezer cgroup"))?;
        node.refuse_if_not_ours_alone()?;
        let dir = Dir::at(node.path.as_str());
        let result = match node.hierarchy.version {
            Version::V1 => freeze_v1(&dir),
            Version::V2 => freeze_v2(&dir),
        };
        if result.is_err() {
            // Half-frozen is worse than running; the first error is the one to tell.
            let _ = self.thaw();
        }
        result
    }

    /// Lets them go on.
    pub fn thaw(&self) -> Result<()> {
        let Some(node) = self.freezer() else { return Ok(()) };
        let dir = Dir::at(node.path.as_str());
        match node.hierarchy.version {
            Version::V1 => dir.write("freezer.state", "THAWED"),
            Version::V2 => dir.write("cgroup.freeze", "0"),
        }
    }

    /// Removes the cgroup from every hierarchy with all that the container has made below it. Waits about a second for
    /// processes that are about to end. It is no error if it (or a part of it) is gone.
    pub fn remove(&self) -> Result<()> {
        let mut left: Vec<&Node> = self.nodes.iter().collect();
        let mut wait = Duration::from_micros(100);
        loop {
            let mut errors: BTreeMap<&str, Error> = BTreeMap::new();
            left.retain(|node| match node.remove() {
                Ok(()) => false,
                Err(e) => {
                    errors.insert(node.path.as_str(), e);
                    true
                }
            });
            let Some((_, first)) = errors.pop_first() else { return Ok(()) };
            let busy = errors.values().chain([&first]).all(|e| e.errno() == Some(Errno::EBUSY));
            // A doubling row from 0.1 ms: 1.6 s in all.
            if !busy || wait > Duration::from_secs(1) {
                return Err(if left.len() == 1 { first } else { failed_to_remove(&left, &first) });
            }
            std::thread::sleep(wait);
            wait = wait.saturating_mul(2);
        }
    }

    /// How often the kernel has killed here for want of memory; `None` where the kernel does not count that.
    pub fn oom_kills(&self) -> Result<Option<u64>> {
        let Some(node) = self.node("memory").or_else(|| self.node("")) else { return Ok(None) };
        let file = if node.hierarchy.version == Version::V1 { "memory.oom_control" } else { "memory.events" };
        match Dir::at(node.path.as_str()).read_key(file, "oom_kill") {
            Err(e) if e.errno() == Some(Errno::ENOENT) => Ok(None),
            other => other,
        }
    }

    /// Which version holds the limits and counts: v1 on hybrid.
    pub(super) fn version(&self) -> Version {
        let v1 = self.nodes.iter().any(|node| node.hierarchy.version == Version::V1);
        if v1 { Version::V1 } else { Version::V2 }
    }

    pub(super) fn node(&self, key: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.hierarchy.keys.iter().any(|k| k == key))
    }

    /// The one that is asked for processes. The freezer, where they can be held; devices as runc does.
    fn main(&self) -> Option<&Node> {
        ["freezer", "devices", ""].iter().find_map(|key| self.node(key)).or_else(|| self.nodes.first())
    }

    fn freezer(&self) -> Option<&Node> {
        // On hybrid a process is frozen through v1, because that is where `state` of all runtimes looks.
        self.node("freezer").or_else(|| self.nodes.iter().find(|n| n.hierarchy.version == Version::V2))
    }
}

fn failed_to_remove(left: &[&Node], first: &Error) -> Error {
    let paths: BTreeMap<&str, &str> =
        left.iter().flat_map(|node| node.hierarchy.keys.iter().map(|key| (key.as_str(), node.path.as_str()))).collect();
    let paths: Vec<String> = paths.iter().map(|(key, path)| format!("{key}:{path}")).collect();
    Error::new(format!("Failed to remove paths: map[{}]: {first}", paths.join(" ")))
}

impl Node {
    pub(super) fn pids(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        match Dir::open(self.path.as_str()) {
            Ok(dir) => subtree_pids(&dir, &mut pids)?,
            Err(e) if e.errno() == Some(Errno::ENOENT) => {}
            Err(e) => return Err(e),
        }
        Ok(pids)
    }

    /// The last line of defence, asked of the kernel: a container's cgroup has neither us in it nor the first process of
    /// our pid namespace. If it has, it is our own cgroup, an ancestor of it, or the host's.
    fn refuse_if_not_ours_alone(&self) -> Result<()> {
        let own = getpid().as_raw();
        match self.pids()?.into_iter().find(|pid| *pid == own || *pid == 1) {
            None => Ok(()),
            Some(1) => Err(Error::new(format!("refusing to touch cgroup {}: process 1 is in it", self.path))),
            Some(_) => Err(Error::new(format!("refusing to touch cgroup {}: this process itself is in it", self.path))),
        }
    }

    /// One round of SIGKILL; how many were there. A pid is signalled through a descriptor that was opened before its cgroup
    /// was looked up, so that a pid which meanwhile is somebody else's is left alone.
    pub(super) fn kill_each(&self) -> Result<usize> {
        let pids = self.pids()?;
        let mut result = Ok(pids.len());
        // 0 is a process that our pid namespace does not show.
        for pid in pids.into_iter().filter(|pid| *pid > 0) {
            match self.kill_if_here(pid) {
                Ok(()) => {}
                Err(e) if e.errno() == Some(Errno::ESRCH) => {}
                Err(e) => result = result.and(Err(e)),
            }
        }
        result
    }

    fn kill_if_here(&self, pid: i32) -> Result<()> {
        let fd = PidFd::open(pid).map_err(|e| Error::sys(format_args!("pidfd_open {pid}"), e))?;
        let Some(membership) = Membership::of(pid)? else { return Ok(()) };
        let here = membership.directory(&self.hierarchy).is_some_and(|dir| {
            dir.strip_prefix(self.path.as_str()).is_some_and(|below| below.is_empty() || below.starts_with('/'))
        });
        if here {
            fd.send_signal(libc::SIGKILL).map_err(|e| Error::sys(format_args!("kill {pid}"), e))?;
        }
        Ok(())
    }

    fn remove(&self) -> Result<()> {
        match rmdir(AT_FDCWD, self.path.as_str()) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(Errno::EBUSY) => {
                self.refuse_if_not_ours_alone()?;
                match Dir::open(self.path.as_str()) {
                    Ok(dir) => remove_below(&dir)?,
                    Err(e) if e.errno() == Some(Errno::ENOENT) => return Ok(()),
                    Err(e) => return Err(e),
                }
                match rmdir(AT_FDCWD, self.path.as_str()) {
                    Ok(()) | Err(Errno::ENOENT) => Ok(()),
                    Err(e) => Err(Error::sys(format_args!("rmdir {}", self.path), e)),
                }
            }
            // A read-only cgroupfs answers before it has looked.
            Err(Errno::EROFS) if Dir::open(self.path.as_str()).is_err_and(|e| e.errno() == Some(Errno::ENOENT)) => {
                Ok(())
            }
            Err(e) => Err(Error::sys(format_args!("rmdir {}", self.path), e)),
        }
    }
}

fn rmdir<P: ?Sized + nix::NixPath>(at: BorrowedFd<'_>, name: &P) -> std::result::Result<(), Errno> {
    unlinkat(at, name, UnlinkatFlags::RemoveDir)
}

/// A walk below `top` with one descriptor however deep it is: the container may have nested its cgroups deeper than a path
/// is long or than we may have descriptors. `visit` sees each cgroup when the walk comes to it.
fn walk(
    top: &Dir,
    mut visit: impl FnMut(BorrowedFd<'_>) -> Result<()>,
    mut leave: impl FnMut(BorrowedFd<'_>, &CStr),
) -> Result<()> {
    let fail = |e| Error::sys(format_args!("walk {}", top.path), e);
    let mut at: OwnedFd = open_dir(top.fd().unwrap_or(AT_FDCWD), c".").map_err(fail)?;
    visit(at.as_fd())?;
    let mut levels = vec![(CString::default(), list_dirs(at.as_fd()).map_err(fail)?)];
    while let Some((_, todo)) = levels.last_mut() {
        match todo.pop() {
            Some(child) => match open_dir(at.as_fd(), &child) {
                Ok(fd) => {
                    visit(fd.as_fd())?;
                    levels.push((child, list_dirs(fd.as_fd()).map_err(fail)?));
                    at = fd;
                }
                // Removed in the meantime.
                Err(Errno::ENOENT | Errno::ENODEV) => {}
                Err(e) => return Err(fail(e)),
            },
            None => {
                let Some((name, _)) = levels.pop() else { break };
                if !levels.is_empty() {
                    at = open_dir(at.as_fd(), c"..").map_err(fail)?;
                    leave(at.as_fd(), &name);
                }
            }
        }
    }
    Ok(())
}

/// The processes of `top` and of all cgroups below it.
fn subtree_pids(top: &Dir, pids: &mut Vec<i32>) -> Result<()> {
    let read = |dir: BorrowedFd<'_>| {
        let procs = super::dir::read_at(dir, "cgroup.procs");
        let procs = match procs {
            // A threaded cgroup (v2) lists its processes only at the top of its domain.
            Err(Errno::EOPNOTSUPP) => super::dir::read_at(dir, "cgroup.threads"),
            other => other,
        };
        match procs {
            // 0 is a process that our pid namespace does not show.
            Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
            Err(Errno::ENOENT | Errno::ENODEV) => {}
            Err(e) => return Err(Error::sys(format_args!("read {}: cgroup.procs", top.path), e)),
        }
        Ok(())
    };
    walk(top, read, |_, _| {})
}

/// Removes every cgroup below `top` that has no processes; what stays makes the rmdir of `top` fail.
fn remove_below(top: &Dir) -> Result<()> {
    walk(
        top,
        |_| Ok(()),
        |parent, name| {
            // One with processes stays.
            let _ = rmdir(parent, name);
        },
    )
}

/// The v1 freezer can fail to catch a process that forks or is stopped by a debugger: it stays FREEZING. Then it helps to
/// write again, and sometimes only to let go for a moment.
fn freeze_v1(dir: &Dir) -> Result<()> {
    for round in 1..=1000u32 {
        if round.is_multiple_of(50) {
            dir.write("freezer.state", "THAWED")?;
            std::thread::sleep(Duration::from_millis(10));
        }
        dir.write("freezer.state", "FROZEN")?;
        if round.is_multiple_of(25) {
            std::thread::sleep(Duration::from_micros(10));
        }
        match dir.read_value("freezer.state")?.as_str() {
            "FROZEN" => return Ok(()),
            "FREEZING" => {}
            other => return Err(Error::new(format!("unexpected state {other:?} while freezing"))),
        }
    }
    Err(Error::new("unable to freeze"))
}

/// v2 freezes by itself; cgroup.events says when it is done, and poll(2) wakes on each change of it.
fn freeze_v2(dir: &Dir) -> Result<()> {
    dir.write("cgroup.freeze", "1")?;
    let limit = Duration::from_secs(10);
    let deadline = Instant::now().checked_add(limit);
    // Opened before it is read, so that no change is missed.
    let events = dir.open_file("cgroup.events", OFlag::O_RDONLY)?;
    while dir.read_key("cgroup.events", "frozen")? != Some(1) {
        let rest = deadline.and_then(|at| at.checked_duration_since(Instant::now()));
        let Some(rest) = rest.filter(|rest| !rest.is_zero()) else {
            return Err(Error::new(format!("timeout of {limit:?} reached waiting for the cgroup to freeze")));
        };
        // A change between open and poll is reported at once; the tick only guards against a kernel that says nothing.
        let tick = rest.min(Duration::from_millis(100));
        let tick = PollTimeout::try_from(tick).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], tick) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::sys("poll cgroup.events", e)),
        }
    }
    Ok(())
}

/// Whether the processes are frozen by the cgroup itself (not by one above it). Only reads, so it takes the paths of a
/// state file as they are; three system calls for one that is not frozen. False if the cgroup does not exist.
pub fn is_frozen(paths: &Paths) -> Result<bool> {
    let frozen = match (paths.get("freezer"), paths.get("")) {
        (Some(path), _) => is_frozen_v1(&Dir::at(path)),
        (None, Some(path)) => is_frozen_v2(&Dir::at(path)),
        (None, None) => Ok(false),
    };
    match frozen {
        Err(e) if matches!(e.errno(), Some(Errno::ENOENT | Errno::ENODEV)) => Ok(false),
        other => other.doing(|| "unable to get cgroup freezer state"),
    }
}

fn is_frozen_v1(dir: &Dir) -> Result<bool> {
    for _ in 0..1000 {
        match dir.read_value("freezer.state")?.as_str() {
            "THAWED" => return Ok(false),
            "FROZEN" => return Ok(dir.read_value("freezer.self_freezing")? == "1"),
            // On the way to one of the others.
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    Ok(false)
}

fn is_frozen_v2(dir: &Dir) -> Result<bool> {
    Ok(dir.read_value("cgroup.freeze")? == "1" && dir.read_key("cgroup.events", "frozen")? == Some(1))
}
