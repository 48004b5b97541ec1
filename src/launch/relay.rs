//! Bytes between our caller and the container's process, while it runs in the foreground. One buffer per direction: a
//! side that doesn't read stops the side that writes, never us. Knows nothing of processes or signals.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::sys::termios::tcgetattr;
use nix::unistd::{read, write};

use super::console::Console;
use crate::error::{Errno, Error, Result};

/// Half of a pipe's capacity; a foreground run has at most three.
const BUFFER: usize = 32 * 1024;

/// What may be written without blocking to a pipe that poll(2) calls writable (PIPE_BUF, pipe(7)).
const PIPE_BUF: usize = 4096;

/// One side of a channel, by how to use it without ever blocking.
#[derive(Debug)]
enum End {
    /// An open file description of our own with O_NONBLOCK, or a file that never blocks.
    Free(OwnedFd),
    /// One that we share and must not make non-blocking for all the others who have it: only after poll(2), and little.
    Shared(OwnedFd),
    /// Sockets say it with each call.
    Socket(OwnedFd),
    /// The master of the container's terminal. Without an open slave a read is EIO, but one may be opened again: init
    /// systems close their console and come back to it.
    Master(OwnedFd),
}

impl End {
    /// `fd`: one that our caller gave us, and may go on using.
    fn inherited(fd: BorrowedFd<'_>, access: OFlag) -> Result<End> {
        let dup = || fd.try_clone_to_owned().map_err(|e| Error::io("dup of stdio", &e));
        let stat = fstat(fd).map_err(|e| Error::sys("fstat of stdio", e))?;
        match kind(&stat) {
            SFlag::S_IFSOCK => Ok(End::Socket(dup()?)),
            SFlag::S_IFREG => Ok(End::Free(dup()?)),
            // Opening any other device again could do more than that (a tape rewinds).
            SFlag::S_IFCHR if tcgetattr(fd).is_err() => Ok(End::Shared(dup()?)),
            _ => {
                // Opened once more it is a description of our own, to which O_NONBLOCK does no harm to others. It fails
                // where /proc or the right to open is missing (a terminal of another user after su).
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                match crate::files::open(path.as_str(), access | OFlag::O_NONBLOCK) {
                    Ok(own) => Ok(End::Free(own)),
                    Err(_) => Ok(End::Shared(dup()?)),
                }
            }
        }
    }

    /// Our end of a pipe that we made.
    fn pipe(fd: OwnedFd) -> Result<End> {
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|e| Error::sys("fcntl F_SETFL", e))?;
        Ok(End::Free(fd))
    }

    fn fd(&self) -> &OwnedFd {
        match self {
            End::Free(fd) | End::Shared(fd) | End::Socket(fd) | End::Master(fd) => fd,
        }
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            End::Socket(fd) => recv(fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT),
            _ => read(self.fd(), buffer),
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match self {
            End::Socket(fd) => send(fd.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL),
            End::Shared(fd) => write(fd, bytes.get(..PIPE_BUF).unwrap_or(bytes)),
            _ => write(self.fd(), bytes),
        }
    }
}

/// The type bits of a mode.
pub(super) fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// One direction.
#[derive(Debug)]
struct Channel {
    source: End,
    sink: End,
    buffer: Vec<u8>,
    /// What of the buffer is yet to be written: `from..to`.
    from: usize,
    to: usize,
    state: State,
    /// Into the container: of no more use once its process has ended.
    inwards: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Reading and writing.
    Open,
    /// The container's terminal has no open slave now; looked at again from time to time.
    HungUp,
    /// One side has ended, and nothing is left to write.
    Ended,
}

impl Channel {
    fn new(source: End, sink: End, inwards: bool) -> Channel {
        Channel { source, sink, buffer: Vec::new(), from: 0, to: 0, state: State::Open, inwards }
    }

    /// What to wait for: one side at a time, which is all the back-pressure that there is.
    fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match self.state {
            State::Open if self.from < self.to => Some((self.sink.fd().as_fd(), PollFlags::POLLOUT)),
            State::Open => Some((self.source.fd().as_fd(), PollFlags::POLLIN)),
            State::HungUp | State::Ended => None,
        }
    }

    /// One step: fills the empty buffer, then writes what it can.
    fn step(&mut self) {
        // A shared sink has to be polled before it is written to; any other says EAGAIN.
        if self.from < self.to || self.fill() && !matches!(self.sink, End::Shared(_)) {
            self.flush();
        }
    }

    /// Reads into the empty buffer; false if nothing came.
    fn fill(&mut self) -> bool {
        self.buffer.resize(BUFFER, 0);
        match self.source.read(&mut self.buffer) {
            Ok(n) if n > 0 => {
                (self.from, self.to, self.state) = (0, n, State::Open);
                return true;
            }
            Err(Errno::EAGAIN | Errno::EINTR) => self.state = State::Open,
            Err(Errno::EIO) if matches!(self.source, End::Master(_)) => self.state = State::HungUp,
            // The end; or an error that a copy can do nothing about but end.
            _ => self.state = State::Ended,
        }
        false
    }

    fn flush(&mut self) {
        let Some(bytes) = self.buffer.get(self.from..self.to) else { return };
        match self.sink.write(bytes) {
            Ok(n) => self.from = self.from.saturating_add(n),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // Nobody reads any more. The channel's end closes the source, and that tells the writer.
            Err(_) => self.state = State::Ended,
        }
    }
}

/// Everything that is relayed for one foreground process; possibly nothing. Dropping it restores the host's terminal.
#[derive(Debug, Default)]
pub struct Relay {
    channels: Vec<Channel>,
    console: Option<Console>,
}

impl Relay {
    /// Nothing to relay: the process has its caller's descriptors.
    pub fn none() -> Relay {
        Relay::default()
    }

    /// Adds: what comes from our stdin goes into a pipe of the process.
    pub(super) fn add_stdin(&mut self, stdin: BorrowedFd<'_>, pipe: OwnedFd) -> Result<()> {
        let source = End::inherited(stdin, OFlag::O_RDONLY)?;
        self.channels.push(Channel::new(source, End::pipe(pipe)?, true));
        Ok(())
    }

    /// Adds: what the process writes into a pipe goes to our stdout or stderr.
    pub(super) fn add_output(&mut self, pipe: OwnedFd, output: BorrowedFd<'_>) -> Result<()> {
        let sink = End::inherited(output, OFlag::O_WRONLY)?;
        self.channels.push(Channel::new(End::pipe(pipe)?, sink, false));
        Ok(())
    }

    /// Our stdin and stdout, and the container's terminal.
    pub fn terminal(console: Console, stdin: BorrowedFd<'_>, stdout: BorrowedFd<'_>) -> Result<Relay> {
        let master = || -> Result<End> {
            let fd = console.master().try_clone_to_owned().map_err(|e| Error::io("dup of the console", &e))?;
            Ok(End::Master(fd))
        };
        // The description came from the container's init, which has no copy left: it is ours alone.
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK;
        fcntl(console.master(), FcntlArg::F_SETFL(flags)).map_err(|e| Error::sys("fcntl F_SETFL", e))?;
        let inwards = Channel::new(End::inherited(stdin, OFlag::O_RDONLY)?, master()?, true);
        let outwards = Channel::new(master()?, End::inherited(stdout, OFlag::O_WRONLY)?, false);
        Ok(Relay { channels: vec![inwards, outwards], console: Some(console) })
    }

    /// For each channel what to wait for.
    pub(super) fn interests(&self) -> impl Iterator<Item = Option<(BorrowedFd<'_>, PollFlags)>> {
        self.channels.iter().map(Channel::interest)
    }

    /// Moves bytes on the channels that are ready, in the order of [`Relay::interests`]; the ended ones go.
    pub(super) fn step(&mut self, mut ready: impl Iterator<Item = bool>) {
        for channel in &mut self.channels {
            if ready.next().unwrap_or(false) {
                channel.step();
            }
        }
        self.drop_ended();
    }

    /// Whether a terminal has to be looked at without being asked.
    pub(super) fn is_hung_up(&self) -> bool {
        self.channels.iter().any(|c| c.state == State::HungUp)
    }

    /// Looks whether somebody has opened the terminal again.
    pub(super) fn retry_hung_up(&mut self) {
        for channel in self.channels.iter_mut().filter(|c| c.state == State::HungUp) {
            channel.step();
        }
    }

    /// The process has ended: nothing goes in any more.
    pub(super) fn close_inwards(&mut self) {
        self.channels.retain(|c| !c.inwards);
    }

    /// For a terminal whose process has ended: takes what the kernel still holds, and ends the channel if that is nothing.
    /// (Pipes end by themselves, with their last writer.)
    pub(super) fn end_empty_terminal(&mut self) {
        for channel in self.channels.iter_mut().filter(|c| matches!(c.source, End::Master(_))) {
            // With bytes in the buffer it is the sink that we wait for.
            if channel.from == channel.to && !channel.fill() {
                channel.state = State::Ended;
            }
        }
        self.drop_ended();
    }

    /// Whether the process has a terminal of ours, not pipes.
    pub(super) fn is_terminal(&self) -> bool {
        self.console.is_some()
    }

    /// Whether there is nothing (more) to relay.
    pub fn is_idle(&self) -> bool {
        self.channels.is_empty()
    }

    /// The host's terminal has another size.
    pub(super) fn resize(&self) {
        if let Some(console) = &self.console {
            console.resize();
        }
    }

    fn drop_ended(&mut self) {
        let ended = |c: &Channel| c.state == State::Ended;
        if self.channels.iter().any(|c| ended(c) && matches!(c.source, End::Master(_))) {
            // Nobody reads what the terminal shows. With its master gone the container's session gets SIGHUP, as if
            // somebody had closed the window, instead of standing still with a full terminal.
            self.channels.clear();
            self.console = None;
        }
        self.channels.retain(|c| !ended(c));
    }
}
