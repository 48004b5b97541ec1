//! A cgroup that belongs to one container: the only type that can kill, freeze or remove, made only from paths that have
//! been checked. A state file without paths, or with wrong ones, has ended whole hosts: on cgroup v1 an empty path is the
//! root of every hierarchy, and `delete` then killed every process in it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, OFlag};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::lstat;
use nix::unistd::{UnlinkatFlags, getpid, getppid};

use super::dir::{Dir, list_dirs, open_child, open_dir, read_file, write_at};
use super::host::{Hierarchy, Host, Membership, Version};
use super::paths::{Paths, clean};
use crate::error::{Context, Errno, Error, Result};
use crate::files::{self, DIRECTORY};
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
        // What cannot be looked at is there.
        self.main().is_some_and(|node| !matches!(node.open_unhidden(), Ok(None)))
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
        let checked = main.open_ours()?;
        let unified = match self.nodes.iter().find(|node| node.hierarchy.version == Version::V2) {
            Some(node) if node.path == main.path => checked,
            Some(node) => node.open_ours()?,
            None => None,
        };
        if let Some(unified) = unified {
            match unified.write("cgroup.kill", "1") {
                Ok(()) if self.nodes.len() == 1 => return Ok(()),
                // On hybrid that was the fast way; but who made the container may have entered v1 alone.
                Ok(()) => {}
                // Before Linux 5.14; a threaded one refuses.
                Err(e) if matches!(e.errno(), Some(Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP)) => {}
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
        let thawed = self.thaw_to_die();
        result.and(if frozen { thawed } else { Ok(()) }.map(|()| 0)).map(drop)
    }

    /// Stops every process until [`OwnedCgroup::thaw`]; returns when all have stopped.
    pub fn freeze(&self) -> Result<()> {
        let node = self.freezer().ok_or_else(|| Error::new("unable to freeze: no freezer cgroup"))?;
        let gone = || Error::new(format!("unable to freeze: cgroup {} does not exist", node.path));
        let dir = node.open_ours()?.ok_or_else(gone)?;
        let result = match node.hierarchy.version {
            Version::V1 => freeze_v1(&dir),
            Version::V2 => freeze_v2(&dir),
        };
        if result.is_err() {
            // Half-frozen is worse than running; the first error is the one to tell.
            let _ = thaw_at(&node.hierarchy, &dir);
        }
        result
    }

    /// True if that process is among those that [`OwnedCgroup::freeze`] stops.
    pub fn can_freeze(&self, pid: i32) -> Result<bool> {
        let Some(node) = self.freezer() else { return Ok(false) };
        Ok(Membership::of(pid)?.is_some_and(|membership| membership.is_in(&node.hierarchy, &node.path)))
    }

    /// Lets them go on.
    pub fn thaw(&self) -> Result<()> {
        let Some(node) = self.freezer() else { return Ok(()) };
        node.open_ours()?.map_or(Ok(()), |dir| thaw_at(&node.hierarchy, &dir))
    }

    /// Lets those that were sent SIGKILL die, which on v1 a frozen process does not: also in cgroups that the container itself
    /// has frozen below its own. On v2 they die as they are.
    pub fn thaw_to_die(&self) -> Result<()> {
        let Some(node) = self.freezer() else { return Ok(()) };
        let Some(top) = node.open_ours()? else { return Ok(()) };
        let thaw = |dir: BorrowedFd<'_>| match write_at(dir, "freezer.state", "THAWED") {
            Ok(()) | Err(Errno::ENOENT | Errno::ENODEV) => Ok(()),
            Err(e) => Err(Error::sys(format_args!("thaw {}", top.path), e)),
        };
        let thawed = match node.hierarchy.version {
            Version::V1 => walk(&top, thaw, |_, _| {}).map(drop),
            Version::V2 => thaw_at(&node.hierarchy, &top),
        };
        match thawed {
            // systemd removes a cgroup as soon as the last of it is dead.
            Err(e) if matches!(e.errno(), Some(Errno::ENOENT | Errno::ENODEV)) => Ok(()),
            thawed => thawed,
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

    /// How often the kernel has killed here for want of memory, or found none; `None` where it does not count that.
    pub fn oom_kills(&self) -> Result<Option<u64>> {
        let Some(node) = self.node("memory").or_else(|| self.node("")) else { return Ok(None) };
        let dir = Dir::at(node.path.as_str());
        let read = |file, key| match dir.read_key(file, key) {
            Err(e) if e.errno() == Some(Errno::ENOENT) => Ok(None),
            other => other,
        };
        match node.hierarchy.version {
            Version::V1 => read("memory.oom_control", "oom_kill"),
            // execve(2) that finds no memory for the new program ends the process without an OOM kill.
            Version::V2 => Ok(read("memory.events", "oom_kill")?.max(read("memory.events", "oom")?)),
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

    /// The directory in which [`OwnedCgroup::freeze`] stops them, and of which version that is.
    pub fn freezer_path(&self) -> Option<(&str, Version)> {
        self.freezer().map(|node| (node.path.as_str(), node.hierarchy.version))
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
    /// All processes of the subtree. 0 is one that our pid namespace does not show (v2; v1 leaves it out).
    pub(super) fn pids(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        if let Some(dir) = self.open_unhidden()? {
            subtree_pids(&dir, &mut pids)?;
        }
        Ok(pids)
    }

    /// The directory; none if it does not exist.
    fn open_unhidden(&self) -> Result<Option<Dir>> {
        let below = self.path.strip_prefix(self.hierarchy.mount.as_str()).unwrap_or_default();
        match Dir::open_unhidden(&self.hierarchy.mount, below) {
            Ok(dir) => Ok(Some(dir)),
            Err(e) if matches!(e.errno(), Some(Errno::ENOENT | Errno::ENODEV)) => Ok(None),
            Err(e) if matches!(e.errno(), Some(Errno::EXDEV | Errno::ELOOP)) => {
                Err(self.refusal("something else is mounted over it").hint("umount it, then try again"))
            }
            Err(e) => Err(e),
        }
    }

    fn refusal(&self, why: &str) -> Error {
        Error::new(format!("refusing to touch cgroup {}: {why}", self.path))
    }

    /// The last line of defence, asked of the kernel: a container's cgroup has neither us in it, nor who called us, nor the
    /// first process of our pid namespace. If it has, it is our own cgroup, an ancestor of it, or the host's. Nor has it processes
    /// from outside of our pid namespace: those of our containers are in ours, or in one below it.
    fn open_ours(&self) -> Result<Option<Dir>> {
        let Some(dir) = self.open_unhidden()? else { return Ok(None) };
        // By name, too: something may be mounted over the part in which we are.
        if Membership::own()?.is_in(&self.hierarchy, &self.path) {
            return Err(self.refusal("this process itself is in it"));
        }
        let (own, caller) = (getpid().as_raw(), getppid().as_raw());
        let mut seen = Vec::new();
        // A process that has ended between two steps of the kernel's has no number either, but not twice.
        for _ in 0..3 {
            seen.clear();
            subtree_pids(&dir, &mut seen)?;
            if !seen.contains(&0) {
                break;
            }
        }
        let why = |pid: &i32| match *pid {
            0 => Some("it has processes of another pid namespace"),
            1 => Some("process 1 is in it"),
            pid if pid == own => Some("this process itself is in it"),
            pid if pid == caller => Some("the process that called us is in it"),
            _ => None,
        };
        seen.iter().find_map(why).map_or(Ok(Some(dir)), |why| Err(self.refusal(why)))
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
        if membership.is_in(&self.hierarchy, &self.path) {
            fd.send_signal(libc::SIGKILL).map_err(|e| Error::sys(format_args!("kill {pid}"), e))?;
        }
        Ok(())
    }

    fn remove(&self) -> Result<()> {
        let fail = |e| Error::sys(format_args!("rmdir {}", self.path), e);
        match files::rmdir_of_kernel(&self.path) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(Errno::EBUSY) => {
                let Some(dir) = self.open_ours()? else { return Ok(()) };
                let whole = remove_below(&dir)?;
                match files::rmdir_of_kernel(&self.path) {
                    Ok(()) | Err(Errno::ENOENT) => Ok(()),
                    Err(e) if whole => Err(fail(e)),
                    Err(e) => Err(fail(e).hint("something is mounted over a cgroup below it: umount that")),
                }
            }
            // A read-only cgroupfs answers before it has looked.
            Err(Errno::EROFS) if matches!(self.open_unhidden(), Ok(None)) => Ok(()),
            Err(e) => Err(fail(e)),
        }
    }
}

/// Lets the cgroup go on, as far as it was frozen itself.
fn thaw_at(hierarchy: &Hierarchy, dir: &Dir) -> Result<()> {
    match hierarchy.version {
        Version::V1 => dir.write("freezer.state", "THAWED"),
        Version::V2 => dir.write("cgroup.freeze", "0"),
    }
}

fn rmdir<P: ?Sized + nix::NixPath>(at: BorrowedFd<'_>, name: &P) -> std::result::Result<(), Errno> {
    files::unlinkat(at, name, UnlinkatFlags::RemoveDir)
}

/// A walk below `top` with one descriptor however deep it is: the container may have nested its cgroups deeper than a path
/// is long or than we may have descriptors. `visit` sees each cgroup when the walk comes to it. What something is mounted over
/// is left out: the result is whether that was nothing.
fn walk(
    top: &Dir,
    mut visit: impl FnMut(BorrowedFd<'_>) -> Result<()>,
    mut leave: impl FnMut(BorrowedFd<'_>, &CStr),
) -> Result<bool> {
    let fail = |e| Error::sys(format_args!("walk {}", top.path), e);
    let mut whole = true;
    let mut at: OwnedFd = open_dir(top.fd().unwrap_or(AT_FDCWD), c".").map_err(fail)?;
    visit(at.as_fd())?;
    let mut levels = vec![(CString::default(), list_dirs(at.as_fd()).map_err(fail)?)];
    while let Some((_, todo)) = levels.last_mut() {
        match todo.pop() {
            Some(child) => match open_child(at.as_fd(), &child) {
                Ok(fd) => {
                    visit(fd.as_fd())?;
                    levels.push((child, list_dirs(fd.as_fd()).map_err(fail)?));
                    at = fd;
                }
                // Removed in the meantime.
                Err(Errno::ENOENT | Errno::ENODEV) => {}
                Err(Errno::EXDEV | Errno::ELOOP) => whole = false,
                Err(e) => return Err(fail(e)),
            },
            None => {
                let Some((name, _)) = levels.pop() else { break };
                if !levels.is_empty() {
                    at = files::above(&at, DIRECTORY).map_err(fail)?;
                    leave(at.as_fd(), &name);
                }
            }
        }
    }
    Ok(whole)
}

/// The processes of `top` and of all cgroups below it.
fn subtree_pids(top: &Dir, pids: &mut Vec<i32>) -> Result<()> {
    let mut threaded = false;
    let read = |dir: BorrowedFd<'_>| {
        let (procs, threads) = match super::dir::read_at(dir, "cgroup.procs") {
            // A threaded cgroup (v2) lists its processes only at the top of its domain, which may be above `top`.
            Err(Errno::EOPNOTSUPP) => (super::dir::read_at(dir, "cgroup.threads"), true),
            other => (other, false),
        };
        threaded |= threads;
        match procs {
            Ok(text) => {
                let listed = text.lines().filter_map(|line| line.parse::<i32>().ok());
                pids.extend(listed.filter_map(|id| if threads { thread_group(id) } else { Some(id) }));
            }
            Err(Errno::ENOENT | Errno::ENODEV) => {}
            Err(e) => return Err(Error::sys(format_args!("read {}: cgroup.procs", top.path), e)),
        }
        Ok(())
    };
    walk(top, read, |_, _| {})?;
    if threaded {
        pids.sort_unstable();
        pids.dedup();
    }
    Ok(())
}

/// The process of a thread; none if it has ended.
fn thread_group(tid: i32) -> Option<i32> {
    if tid == 0 {
        return Some(0);
    }
    let status = read_file(&format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
}

/// Removes every cgroup below `top` that has no processes; what stays makes the rmdir of `top` fail. False if something is
/// mounted over one of them.
fn remove_below(top: &Dir) -> Result<bool> {
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
    ask_freezer(paths, is_frozen_v1, is_frozen_v2)
}

/// The same, but not whether they have all stopped: one that was killed meanwhile has not, or has no processes any more.
pub fn is_told_to_freeze(paths: &Paths) -> Result<bool> {
    let says_1 = |file| move |dir: &Dir| Ok(dir.read_value(file)? == "1");
    ask_freezer(paths, says_1("freezer.self_freezing"), says_1("cgroup.freeze"))
}

fn ask_freezer(paths: &Paths, v1: impl Fn(&Dir) -> Result<bool>, v2: impl Fn(&Dir) -> Result<bool>) -> Result<bool> {
    let answer = match (paths.get("freezer"), paths.get("")) {
        (Some(path), _) => v1(&Dir::at(path)),
        (None, Some(path)) => v2(&Dir::at(path)),
        (None, None) => Ok(false),
    };
    match answer {
        Err(e) if matches!(e.errno(), Some(Errno::ENOENT | Errno::ENODEV)) => Ok(false),
        other => other.doing(|| "unable to get cgroup freezer state"),
    }
}

/// Whether v1 processes may be frozen in cgroups below: whether there are any. One system call.
pub fn has_frozen_below(paths: &Paths) -> bool {
    // A directory of cgroupfs has two links, and one for each directory in it.
    paths.get("freezer").is_some_and(|path| lstat(path).is_ok_and(|stat| stat.st_nlink > 2))
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
