//! Hearing of it when the kernel kills in a container for want of memory: one descriptor for the whole shim, and on v1 one more
//! for each container. Counts kills; what is told of them, and to whom, it does not know.
//!
//! v2: inotify on memory.events, of which the shim has one instance (`fs.inotify.max_user_instances`, 128 by default, would be a
//! limit to the containers of a node). v1: an eventfd, which the kernel signals *before* it kills, to every cgroup below the one
//! that is full, and when the cgroup is removed: the count has to follow, and a timer looks again until it has.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use dunnage::cgroup::host::Version;
use dunnage::cgroup::stats::parse;
use dunnage::cgroup::{Dir, Host, OwnedCgroup, Paths};
use dunnage::error::{Errno, Error, Result};
use nix::fcntl::OFlag;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::{Pid, getpid};

/// v1: the first of the pauses, doubled each time, before the count is looked at again; and the last. 1.3 s in all: with a slow
/// console the kernel writes for so long between the signal and the kill.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(640);

/// v2: the kernel tells of memory.events every 10 ms at most, and systemd removes a scope as soon as it is empty, perhaps before
/// the kill could be read: then the want of memory that was seen this shortly before was the reason.
const LAST_KILL: Duration = Duration::from_secs(1);

/// The watches of a shim. The default one wakes nobody: for who could not make another. [`OomWatch::check`] works all the same.
#[derive(Debug, Default)]
pub struct Oom(Rc<Bell>);

/// What [`Oom::ready`] says of an [`OomWatch`]. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchId(u64);

/// One container's. The watch ends when this is dropped; its descriptor leaves the caller's epoll before that.
#[derive(Debug)]
pub struct OomWatch {
    bell: Rc<Bell>,
    id: WatchId,
    /// On v1 that of the memory controller. By path, because it is looked at so seldom.
    dir: Dir,
    source: Source,
    kills: u64,
}

#[derive(Debug)]
enum Source {
    /// `signal` came, and the count has not followed yet: then the next pause.
    V1 { signal: EventFd, unsettled: Option<Duration> },
    /// How often memory was missing, when that was last seen to grow without a kill, and when there was one.
    V2 { ooms: u64, hungry: Option<Instant>, killed_at: Option<Instant> },
}

/// What the watches share.
#[derive(Debug)]
struct Bell {
    waker: Waker,
    /// A forked process shares the inotify instance: what ends there must not end here.
    owner: Pid,
    next: Cell<u64>,
    /// v2: two containers of one cgroup have the same descriptor.
    watched: RefCell<BTreeMap<WatchId, WatchDescriptor>>,
    /// v1
    unsettled: RefCell<BTreeSet<WatchId>>,
}

#[derive(Debug)]
enum Waker {
    None,
    Inotify(Inotify),
    Timer(TimerFd),
}

impl Default for Bell {
    fn default() -> Bell {
        Bell::new(Waker::None)
    }
}

impl Oom {
    /// For the containers of this host.
    ///
    /// # Errors
    /// inotify_init1(2), timerfd_create(2): `EMFILE` if the node has too many.
    pub fn new(host: &Host) -> Result<Oom> {
        Oom::of(host.version())
    }

    fn of(version: Version) -> Result<Oom> {
        let waker = match version {
            Version::V2 => Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
                .map(Waker::Inotify)
                .map_err(|e| Error::sys("inotify_init1", e).hint("see fs.inotify.max_user_instances"))?,
            Version::V1 => TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)
                .map(Waker::Timer)
                .map_err(|e| Error::sys("timerfd_create", e))?,
        };
        Ok(Oom(Rc::new(Bell::new(waker))))
    }

    /// For epoll; when it can be read, [`Oom::ready`] is called.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.0.waker {
            Waker::None => None,
            Waker::Inotify(inotify) => Some(inotify.as_fd()),
            Waker::Timer(timer) => Some(timer.as_fd()),
        }
    }

    /// Watches a container's cgroup from now on. `None` if there is nothing to watch: no cgroup of its own, no memory controller,
    /// or gone.
    ///
    /// # Errors
    /// The paths are none of a container: as [`OwnedCgroup::new`]. The kernel refuses.
    pub fn watch(&mut self, host: &Host, paths: &Paths) -> Result<Option<OomWatch>> {
        let Some(owned) = OwnedCgroup::new(host, paths)? else { return Ok(None) };
        let (version, key) = (host.version(), if host.version() == Version::V1 { "memory" } else { "" });
        owned.paths().get(key).map_or(Ok(None), |path| self.watch_at(version, path))
    }

    fn watch_at(&mut self, version: Version, path: &str) -> Result<Option<OomWatch>> {
        let (dir, id) = (Dir::at(path), self.0.new_id());
        // What was counted before is no news; what is counted from here on is, even before the kernel was asked to wake us.
        let read = |file| Ok(dir.read_if_there(file)?.unwrap_or_default());
        let (counted, source) = match version {
            Version::V1 => {
                let counted = read("memory.oom_control")?;
                (counted, register(&dir)?.map(|signal| Source::V1 { signal, unsettled: None }))
            }
            Version::V2 => {
                let counted = read("memory.events")?;
                let ooms = parse::value_of(&counted, "oom");
                (counted, self.0.watch(id, path)?.then_some(Source::V2 { ooms, hungry: None, killed_at: None }))
            }
        };
        let kills = parse::value_of(&counted, "oom_kill");
        let bell = self.0.clone();
        Ok(source.map(|source| OomWatch { bell, id, dir, source, kills }))
    }

    /// Takes what there is to read and says which watches have to be [checked](OomWatch::check).
    pub fn ready(&mut self) -> Vec<WatchId> {
        match &self.0.waker {
            Waker::None => Vec::new(),
            Waker::Inotify(inotify) => {
                let (mut seen, mut lost) = (BTreeSet::new(), false);
                while let Ok(events) = inotify.read_events() {
                    lost |= events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW));
                    seen.extend(events.iter().map(|event| event.wd));
                }
                let watched = self.0.watched.borrow();
                watched.iter().filter(|(_, wd)| lost || seen.contains(wd)).map(|(id, _)| *id).collect()
            }
            Waker::Timer(timer) => {
                // EAGAIN if it was read before; looking once too often does no harm.
                let _ = timer.wait();
                self.0.unsettled.take().into_iter().collect()
            }
        }
    }
}

impl OomWatch {
    /// Which one [`Oom::ready`] speaks of.
    pub fn id(&self) -> WatchId {
        self.id
    }

    /// v1: when it can be read, this watch has to be [checked](OomWatch::check).
    pub fn event_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.source {
            Source::V1 { signal, .. } => Some(signal.as_fd()),
            Source::V2 { .. } => None,
        }
    }

    /// How many the kernel has killed for want of memory, as it was seen last, since the cgroup was made.
    pub fn kills(&self) -> u64 {
        self.kills
    }

    /// As a watch before this one has seen them.
    pub fn set_kills(&mut self, kills: u64) {
        self.kills = kills;
    }

    /// Whether the kernel has killed for want of memory since the last call. To be called when the watch wakes, and once more before
    /// the exit of init is told: the kernel counts a kill before it kills, but wakes us some time after.
    pub fn check(&mut self) -> bool {
        match self.source {
            Source::V1 { .. } => self.check_v1(),
            Source::V2 { .. } => self.check_v2(),
        }
    }

    fn check_v2(&mut self) -> bool {
        // What cannot be read is gone: to us it is the same.
        let text = self.dir.read_if_there("memory.events").ok().flatten();
        let Source::V2 { ooms, hungry, killed_at } = &mut self.source else { return false };
        let Some(text) = text else {
            let killed = hungry.take().is_some_and(|since| since.elapsed() < LAST_KILL);
            self.kills = self.kills.saturating_add(u64::from(killed));
            return killed;
        };
        // `oom` counts what killed nobody, and misses what a cgroup above us ran out of.
        let (kills, now) = (parse::value_of(&text, "oom_kill"), parse::value_of(&text, "oom"));
        let killed = kills > self.kills;
        if killed {
            (*hungry, *killed_at) = (None, Some(Instant::now()));
        } else if now > *ooms && killed_at.is_none_or(|at| at.elapsed() > LAST_KILL) {
            // While one who was killed dies, others run out of memory still.
            *hungry = Some(Instant::now());
        }
        (self.kills, *ooms) = (kills, now);
        killed
    }

    fn check_v1(&mut self) -> bool {
        let Source::V1 { signal, unsettled } = &mut self.source else { return false };
        let signalled = signal.read().is_ok();
        let text = self.dir.read_if_there("memory.oom_control").ok().flatten();
        let Some(text) = text else {
            // That was the signal of its removal.
            *unsettled = None;
            return false;
        };
        let Some((_, kills)) = parse::pairs(&text).find(|(key, _)| *key == "oom_kill") else {
            // Before Linux 4.13.
            return signalled;
        };
        if kills > self.kills {
            self.kills = kills;
            *unsettled = None;
            return true;
        }
        let pause = if signalled { Some(FIRST_PAUSE) } else { *unsettled };
        let Some(pause) = pause else { return false };
        if pause <= LAST_PAUSE && self.bell.again(self.id, pause) {
            *unsettled = Some(pause.saturating_mul(2));
            return false;
        }
        *unsettled = None;
        // A kill in a cgroup below counts there alone; if there is one, the signal is all we have.
        has_cgroups_below(&self.dir)
    }
}

impl Drop for OomWatch {
    fn drop(&mut self) {
        self.bell.forget(self.id);
    }
}

impl Bell {
    fn new(waker: Waker) -> Bell {
        Bell { waker, owner: getpid(), next: Cell::new(0), watched: RefCell::default(), unsettled: RefCell::default() }
    }

    fn new_id(&self) -> WatchId {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        WatchId(id)
    }

    /// v2; false if there is nothing to watch.
    fn watch(&self, id: WatchId, path: &str) -> Result<bool> {
        let file = format!("{path}/memory.events");
        let Waker::Inotify(inotify) = &self.waker else {
            return Ok(Dir::at(path).read_if_there("memory.events")?.is_some());
        };
        match inotify.add_watch(file.as_str(), AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_DONT_FOLLOW) {
            Ok(wd) => {
                self.watched.borrow_mut().insert(id, wd);
                Ok(true)
            }
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(false),
            Err(e) => {
                let e = Error::sys(format_args!("inotify_add_watch {file}"), e);
                Err(if e.errno() == Some(Errno::ENOSPC) { e.hint("see fs.inotify.max_user_watches") } else { e })
            }
        }
    }

    /// The kernel keeps a watch on a file of a cgroup that is removed: it has to be told.
    fn forget(&self, id: WatchId) {
        self.unsettled.borrow_mut().remove(&id);
        let wd = self.watched.borrow_mut().remove(&id);
        if let (Waker::Inotify(inotify), Some(wd)) = (&self.waker, wd)
            && self.owner == getpid()
            && !self.watched.borrow().values().any(|other| *other == wd)
        {
            // EINVAL where the kernel has removed it with the file.
            let _ = inotify.rm_watch(wd);
        }
    }

    /// v1: [`Oom::ready`] will say this one after the pause, or before. False if it cannot.
    fn again(&self, id: WatchId, pause: Duration) -> bool {
        let Waker::Timer(timer) = &self.waker else { return false };
        let left = match timer.get() {
            Ok(Some(Expiration::OneShot(left))) => Duration::from(left),
            _ => pause,
        };
        let set = timer.set(Expiration::OneShot(left.min(pause).into()), TimerSetTimeFlags::empty());
        self.unsettled.borrow_mut().insert(id);
        set.is_ok()
    }
}

/// v1: asks for a signal; `None` if there is no such cgroup.
fn register(memory: &Dir) -> Result<Option<EventFd>> {
    let ask = || {
        let control = memory.open_file("memory.oom_control", OFlag::O_RDONLY)?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let signal = EventFd::from_value_and_flags(0, flags).map_err(|e| Error::sys("eventfd", e))?;
        let request = format!("{} {}", signal.as_fd().as_raw_fd(), control.as_raw_fd());
        memory.write("cgroup.event_control", &request)?;
        Ok(signal)
    };
    match ask() {
        Ok(signal) => Ok(Some(signal)),
        Err(e) if matches!(Error::errno(&e), Some(Errno::ENOENT | Errno::ENODEV)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A directory of a cgroup has a link for each one below it, beside its own two.
fn has_cgroups_below(dir: &Dir) -> bool {
    nix::sys::stat::lstat(dir.path.as_str()).is_ok_and(|stat| stat.st_nlink > 2)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // A panic is what a test wants.
mod tests;
