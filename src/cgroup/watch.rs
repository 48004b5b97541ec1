//! Waiting for what happens to a container's cgroup: out of memory, or its end. One thread, no timer of its own, and no
//! polling but where v1 says nothing. Knows nothing of what is told about it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::uio::pread;

use super::dir::Dir;
use super::host::Version;
use super::owned::{Node, OwnedCgroup};
use super::stats::Stats;
use crate::error::{Errno, Error, Result};
use crate::sys::pidfd::PidFd;

/// What was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The kernel found no memory for the cgroup, or killed in it for want of memory.
    Oom,
    /// Init has ended, and the cgroup has no processes any more, or is gone.
    End,
    /// The deadline has come.
    Time,
    /// Nobody reads what we write.
    Unread,
}

/// See the module.
#[derive(Debug)]
pub struct Watch {
    cgroup: OwnedCgroup,
    oom: Oom,
    life: Life,
}

/// Where the kernel tells that there is no memory left.
#[derive(Debug)]
enum Oom {
    /// Nowhere: the memory controller is not enabled.
    Unknown,
    /// An eventfd that memory.oom_control was asked to signal. It is also signalled when the cgroup is removed.
    V1 { signal: EventFd, memory: Dir },
    /// memory.events, which covers the cgroups below, and what it counted last.
    V2 { events: OwnedFd, last: Counted },
}

/// What memory.events said.
#[derive(Debug, Default)]
struct Counted {
    /// `oom_kill`
    kills: u64,
    /// `oom`: also of those whose end was not counted yet, or not necessary.
    ooms: u64,
    /// When `ooms` was seen to grow without `kills`.
    hungry: Option<Instant>,
}

/// Where the end is seen.
#[derive(Debug)]
enum Life {
    /// v1 does not tell when a cgroup is empty. Until init has ended it is not.
    Init(PidFd),
    /// Init has ended, and the cgroup is looked at after growing pauses.
    Orphans { pause: Duration },
    /// v2: `populated` in cgroup.events; and init, if it has not ended.
    Populated { events: OwnedFd, init: Option<PidFd> },
    /// v2: the cgroup is empty, but a process leaves its cgroup some time before it has ended, and until then it is alive to
    /// everybody else.
    Leaving(PidFd),
    /// There was no cgroup to begin with.
    Gone,
}

/// Where v1 says nothing, the time between two looks, in the beginning and in the end.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The kernel tells of memory.events every 10 ms at most. systemd removes a scope as soon as it is empty, perhaps before the kill
/// could be read: then the want of memory that was seen this shortly before was the reason.
const LAST_KILL: Duration = Duration::from_secs(1);

impl Watch {
    /// Of a container's cgroup; `init` if it has not ended. What happened before is not told.
    ///
    /// # Errors
    /// A file of the cgroup that is there and cannot be opened.
    pub fn new(cgroup: OwnedCgroup, init: Option<PidFd>) -> Result<Watch> {
        let (oom, life) = match cgroup.version() {
            Version::V1 => {
                let oom = cgroup.node("memory").map_or(Ok(Oom::Unknown), Oom::v1)?;
                (oom, init.map_or(Life::Orphans { pause: SHORTEST_PAUSE }, Life::Init))
            }
            Version::V2 => {
                let dir = cgroup.nodes.first().map(|node| Dir::at(node.path.as_str()));
                let open = |file| dir.as_ref().map_or(Ok(None), |dir| present(dir.open_file(file, OFlag::O_RDONLY)));
                let life = open("cgroup.events")?.map_or(Life::Gone, |events| Life::Populated { events, init });
                let mut oom =
                    open("memory.events")?.map_or(Oom::Unknown, |events| Oom::V2 { events, last: Counted::default() });
                oom.take()?;
                (oom, life)
            }
        };
        Ok(Watch { cgroup, oom, life })
    }

    /// What the cgroup uses now.
    ///
    /// # Errors
    /// As [`OwnedCgroup::stats`].
    pub fn stats(&self) -> Result<Stats> {
        self.cgroup.stats()
    }

    /// Waits until something has happened, at most until `deadline`. `output` is where the caller writes to: a pipe that
    /// nobody reads any more is noticed at once and not at the next write.
    ///
    /// # Errors
    /// What poll(2) or a file of the cgroup answers.
    pub fn wait(&mut self, deadline: Instant, output: BorrowedFd<'_>) -> Result<Happened> {
        loop {
            if self.oom.take()? {
                return Ok(Happened::Oom);
            }
            if self.has_ended()? {
                // What ended it may have been counted after the first look.
                return Ok(if self.oom.take()? { Happened::Oom } else { Happened::End });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Happened::Time);
            }
            if self.poll(left, output)? {
                return Ok(Happened::Unread);
            }
        }
    }

    /// Sleeps until there may be something to see; true if `output` is closed at its other end.
    fn poll(&mut self, most: Duration, output: BorrowedFd<'_>) -> Result<bool> {
        // Of the output only errors are waited for: they are always told.
        let mut fds = vec![PollFd::new(output, PollFlags::empty())];
        match &self.oom {
            Oom::Unknown => {}
            Oom::V1 { signal, .. } => fds.push(PollFd::new(signal.as_fd(), PollFlags::POLLIN)),
            Oom::V2 { events, .. } => fds.push(PollFd::new(events.as_fd(), PollFlags::POLLPRI)),
        }
        let most = match &self.life {
            Life::Orphans { pause } => most.min(*pause),
            _ => most,
        };
        match &self.life {
            Life::Init(init) | Life::Leaving(init) => fds.push(PollFd::new(init.as_fd(), PollFlags::POLLIN)),
            Life::Populated { events, .. } => fds.push(PollFd::new(events.as_fd(), PollFlags::POLLPRI)),
            Life::Orphans { .. } | Life::Gone => {}
        }
        // In nanoseconds: an interval below a millisecond would be no wait at all to poll(2).
        match ppoll(&mut fds, Some(TimeSpec::from_duration(most)), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::sys("ppoll", e)),
        }
        let closed = PollFlags::POLLERR | PollFlags::POLLHUP;
        Ok(fds.first().and_then(PollFd::revents).is_some_and(|told| told.intersects(closed)))
    }

    fn has_ended(&mut self) -> Result<bool> {
        match &mut self.life {
            Life::Init(init) => {
                if !is_over(init)? {
                    return Ok(false);
                }
                self.life = Life::Orphans { pause: SHORTEST_PAUSE };
                Ok(self.cgroup.pids()?.is_empty())
            }
            Life::Orphans { pause } => {
                *pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                Ok(self.cgroup.pids()?.is_empty())
            }
            Life::Populated { events, init } => {
                let text = read_from_start(events, "cgroup.events")?;
                if text.is_some_and(|text| text.lines().all(|line| line != "populated 0")) {
                    return Ok(false);
                }
                let Some(init) = init.take() else { return Ok(true) };
                let over = is_over(&init)?;
                self.life = Life::Leaving(init);
                Ok(over)
            }
            Life::Leaving(init) => is_over(init),
            Life::Gone => Ok(true),
        }
    }
}

impl Oom {
    fn v1(node: &Node) -> Result<Oom> {
        let Some(memory) = present(Dir::open(node.path.as_str()))? else { return Ok(Oom::Unknown) };
        let Some(control) = present(memory.open_file("memory.oom_control", OFlag::O_RDONLY))? else {
            return Ok(Oom::Unknown);
        };
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let signal = EventFd::from_value_and_flags(0, flags).map_err(|e| Error::sys("eventfd", e))?;
        let number = |fd: BorrowedFd<'_>| std::os::fd::AsRawFd::as_raw_fd(&fd);
        let request = format!("{} {}", number(signal.as_fd()), number(control.as_fd()));
        match memory.write("cgroup.event_control", &request) {
            Ok(()) => Ok(Oom::V1 { signal, memory }),
            Err(e) if is_absent(&e) => Ok(Oom::Unknown),
            Err(e) => Err(e),
        }
    }

    /// Whether it has happened since the last call.
    fn take(&mut self) -> Result<bool> {
        match self {
            Oom::Unknown => Ok(false),
            Oom::V1 { signal, memory } => match signal.read() {
                Ok(_) => Ok(present(memory.open_file("memory.oom_control", OFlag::O_RDONLY))?.is_some()),
                Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
                Err(e) => Err(Error::sys("read the eventfd of memory.oom_control", e)),
            },
            Oom::V2 { events, last } => {
                let Some(text) = read_from_start(events, "memory.events")? else {
                    let killed = last.hungry.is_some_and(|since| since.elapsed() < LAST_KILL);
                    // Without its controller the file would be reported as changed for ever.
                    *self = Oom::Unknown;
                    return Ok(killed);
                };
                // `oom` would miss what the host or a cgroup above us ran out of, and count what killed nobody.
                let value = |key| super::stats::value_of(&text, key);
                let (kills, ooms) = (value("oom_kill"), value("oom"));
                let killed = kills > last.kills;
                if killed {
                    last.hungry = None;
                } else if ooms > last.ooms {
                    last.hungry = Some(Instant::now());
                }
                (last.kills, last.ooms) = (kills, ooms);
                Ok(killed)
            }
        }
    }
}

fn is_over(init: &PidFd) -> Result<bool> {
    init.wait_exit(PollTimeout::ZERO).map_err(|e| Error::sys("poll on the pidfd of init", e))
}

/// A file of a cgroup, from its beginning; after that, poll(2) tells of its next change. `None` once it is removed.
fn read_from_start(fd: &OwnedFd, name: &str) -> Result<Option<String>> {
    let mut buf = [0u8; 4096];
    loop {
        match pread(fd, &mut buf, 0) {
            Ok(n) => return Ok(Some(String::from_utf8_lossy(buf.get(..n).unwrap_or_default()).into_owned())),
            Err(Errno::EINTR) => {}
            Err(Errno::ENODEV) => return Ok(None),
            Err(e) => return Err(Error::sys(format_args!("read {name}"), e)),
        }
    }
}

/// Nothing instead of an error where there is no such file or no such cgroup.
fn present<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

fn is_absent(e: &Error) -> bool {
    matches!(e.errno(), Some(Errno::ENOENT | Errno::ENODEV))
}
