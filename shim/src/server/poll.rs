//! What the one thread waits for, and who each event is for.

use std::os::fd::AsFd;
use std::time::Duration;

use dunnage::error::{Error, Result};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Who an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Token {
    /// A client wants in.
    Listener,
    /// A child has ended, or we are to end.
    Signals,
    /// A client.
    Connection(u32),
    /// A worker.
    Worker(u32),
    /// One of the two sides of a pump.
    Pump(u32),
    /// The daemon's socket for events.
    Publisher,
    /// Memory ran out in a cgroup v2.
    Inotify,
    /// Memory ran out in a cgroup v1: the container's number.
    Memory(u32),
}

impl Token {
    fn to_u64(self) -> u64 {
        let (kind, number) = match self {
            Token::Listener => (0, 0),
            Token::Signals => (1, 0),
            Token::Connection(n) => (2, n),
            Token::Worker(n) => (3, n),
            Token::Pump(n) => (4, n),
            Token::Publisher => (5, 0),
            Token::Inotify => (6, 0),
            Token::Memory(n) => (7, n),
        };
        u64::from(kind as u32) << 32 | u64::from(number)
    }

    fn of_u64(value: u64) -> Option<Token> {
        let number = u32::try_from(value & u64::from(u32::MAX)).ok()?;
        Some(match value >> 32 {
            0 => Token::Listener,
            1 => Token::Signals,
            2 => Token::Connection(number),
            3 => Token::Worker(number),
            4 => Token::Pump(number),
            5 => Token::Publisher,
            6 => Token::Inotify,
            7 => Token::Memory(number),
            _ => return None,
        })
    }
}

const INPUT_EDGES: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP).union(EpollFlags::EPOLLET);

/// epoll(7).
#[derive(Debug)]
pub struct Poll(Epoll);

impl Poll {
    /// # Errors
    /// epoll_create1(2).
    pub fn new() -> Result<Poll> {
        Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map(Poll).map_err(|e| Error::sys("epoll_create1", e))
    }

    /// Waits for input, as long as there is some.
    pub fn add_input(&self, fd: impl AsFd, token: Token) -> nix::Result<()> {
        self.0.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token.to_u64()))
    }

    /// Waits for room to write, too, or no longer.
    pub fn want_output(&self, fd: impl AsFd, token: Token, wanted: bool) {
        let flags = if wanted { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
        self.0.modify(fd, &mut EpollEvent::new(flags, token.to_u64())).ok();
    }

    /// Waits for changes of either direction, each told once. EPERM for a regular file, which is always ready.
    pub fn add_edges(&self, fd: impl AsFd, token: Token) -> nix::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        self.0.add(fd, EpollEvent::new(flags, token.to_u64()))
    }

    /// Waits for input, each told once; of room to write only while that is wanted: a peer that reads what it got makes room each time.
    pub fn add_input_edges(&self, fd: impl AsFd, token: Token) -> nix::Result<()> {
        self.0.add(fd, EpollEvent::new(INPUT_EDGES, token.to_u64()))
    }

    /// Waits for room to write, too, or no longer; for what [`Poll::add_input_edges`] has added.
    pub fn want_output_edges(&self, fd: impl AsFd, token: Token, wanted: bool) {
        let flags = if wanted { INPUT_EDGES | EpollFlags::EPOLLOUT } else { INPUT_EDGES };
        self.0.modify(fd, &mut EpollEvent::new(flags, token.to_u64())).ok();
    }

    /// Stops waiting. Closing does that only for a descriptor that no worker has a copy of.
    pub fn remove(&self, fd: impl AsFd) {
        self.0.delete(fd).ok();
    }

    /// Waits; the result is who has something to do.
    ///
    /// # Errors
    /// epoll_wait(2).
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Vec<Token>> {
        let mut events = [EpollEvent::empty(); 64];
        let timeout = match timeout {
            None => EpollTimeout::NONE,
            // Rounded up: a timer is not early, and nothing spins for the rest of a millisecond.
            Some(duration) => {
                let ms = u64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
                EpollTimeout::try_from(Duration::from_millis(ms)).unwrap_or(EpollTimeout::MAX)
            }
        };
        let count = match self.0.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(e) => return Err(Error::sys("epoll_wait", e)),
        };
        let events = events.get(..count).unwrap_or_default();
        Ok(events.iter().filter_map(|event| Token::of_u64(event.data())).collect())
    }
}
