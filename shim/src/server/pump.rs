//! One stream of a process, from one descriptor to another, without memory of its own where the kernel can do it (splice(2)). Knows
//! descriptors, not processes. A pump runs until one side has to wait; the edges of epoll wake it.
//!
//! What is written when nobody can take it any more (a logger that died, a full disk) is thrown away and not a reason to stop: the
//! process would block for ever. What nobody reads *yet* stays in the pipes, and then the process waits: nothing is kept in here.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use dunnage::files;
use nix::errno::Errno;
use nix::fcntl::{OFlag, SpliceFFlags, splice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{read, write};

/// What is moved at once, in bytes: a pipe's usual capacity.
const CHUNK: usize = 64 << 10;
/// Without splice, by way of our stack.
const COPY: usize = 16 << 10;
/// How often in a row, before others have their turn.
const TURNS: u32 = 16;

/// What a pump did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There may be more, at once.
    Again,
    /// One side has to wait.
    Waits,
    /// The source has ended.
    Ended,
}

/// Which end of a fifo is kept until what lies in it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// A reader that comes later still finds somebody to open it with; one that is there does not see the end yet.
    Writer,
    /// The reader that is there sees the end at once.
    Reader,
}

/// How the two are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Splice,
    Copy,
    /// What comes is thrown away.
    Drop,
}

/// A stream.
#[derive(Debug)]
pub struct Pump {
    from: OwnedFd,
    to: OwnedFd,
    way: Way,
    /// Read, and not written yet; only without splice.
    rest: Vec<u8>,
    /// The source is a terminal, which may be without a process for a while.
    terminal: bool,
    /// The process is gone: a terminal without a process has ended.
    over: bool,
    /// Into a process: it ends when the other end of `to` does.
    input: bool,
}

fn is_fifo(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFIFO)
}

impl Pump {
    /// Out of a process; `terminal`: `from` is the master of one.
    pub fn output(from: OwnedFd, to: OwnedFd, terminal: bool) -> Pump {
        Pump::new(from, to, terminal, false)
    }

    /// Into a process.
    pub fn input(from: OwnedFd, to: OwnedFd) -> Pump {
        Pump::new(from, to, false, true)
    }

    fn new(from: OwnedFd, to: OwnedFd, terminal: bool, input: bool) -> Pump {
        // splice(2) refuses files opened for appending, and asks for a pipe on one side at least.
        let way = if is_fifo(from.as_fd()) && is_fifo(to.as_fd()) { Way::Splice } else { Way::Copy };
        for fd in [&from, &to] {
            let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFL).unwrap_or(0);
            let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
            nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFL(flags)).ok();
        }
        Pump { from, to, way, rest: Vec::new(), terminal, over: false, input }
    }

    /// Where it comes from: the terminal's master, or a pipe.
    pub fn from(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }

    /// Where it goes.
    pub fn to(&self) -> BorrowedFd<'_> {
        self.to.as_fd()
    }

    /// Whether it goes into the process.
    pub fn is_input(&self) -> bool {
        self.input
    }

    /// Whether the source is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether bytes wait in here.
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Bytes that another program had read.
    pub fn set_rest(&mut self, rest: Vec<u8>) {
        self.rest = rest;
    }

    /// The process is gone.
    pub fn process_is_gone(&mut self) {
        self.over = true;
    }

    /// Whether it is known to be.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Stdin's fifo is no longer held open by us: it ends when its writers have closed it.
    pub fn let_input_end(&mut self) {
        let path = format!("/proc/self/fd/{}", self.from.as_raw_fd());
        if let Ok(reader) = files::open(path.as_str(), OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            self.from = reader;
        }
    }

    /// Moves what can be moved.
    pub fn run(&mut self) -> Progress {
        for _ in 0..TURNS {
            let step = match self.way {
                Way::Splice => self.splice(),
                Way::Copy => self.copy(),
                Way::Drop => self.drop_input(),
            };
            match step {
                Progress::Again => {}
                step => return step,
            }
        }
        Progress::Again
    }

    fn splice(&mut self) -> Progress {
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
        match splice(&self.from, None, &self.to, None, CHUNK, flags) {
            Ok(0) => Progress::Ended,
            Ok(_) | Err(Errno::EINTR) => Progress::Again,
            // One of the two has to wait; which, its edge will tell.
            Err(Errno::EAGAIN) => Progress::Waits,
            Err(Errno::EINVAL) => {
                self.way = Way::Copy;
                Progress::Again
            }
            Err(_) => self.cannot_write(),
        }
    }

    fn copy(&mut self) -> Progress {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return self.write(&rest);
        }
        let mut buffer = [0u8; COPY];
        match read(&self.from, &mut buffer) {
            Ok(0) => Progress::Ended,
            Ok(n) => self.write(buffer.get(..n).unwrap_or_default()),
            Err(Errno::EINTR) => Progress::Again,
            Err(Errno::EAGAIN) => Progress::Waits,
            // Nobody has the terminal open: not yet, or no longer.
            Err(Errno::EIO) if self.terminal && !self.over => Progress::Waits,
            Err(_) => Progress::Ended,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Progress {
        match write(&self.to, bytes) {
            Ok(n) if n >= bytes.len() => Progress::Again,
            Ok(n) => {
                self.rest = bytes.get(n..).unwrap_or_default().to_vec();
                Progress::Again
            }
            Err(Errno::EINTR) => {
                self.rest = bytes.to_vec();
                Progress::Again
            }
            Err(Errno::EAGAIN) => {
                self.rest = bytes.to_vec();
                Progress::Waits
            }
            // The file's disk is full; perhaps not for ever.
            Err(Errno::ENOSPC | Errno::EDQUOT) if !self.input => Progress::Again,
            Err(_) => self.cannot_write(),
        }
    }

    fn cannot_write(&mut self) -> Progress {
        if self.input {
            return Progress::Ended;
        }
        self.way = Way::Drop;
        Progress::Again
    }

    fn drop_input(&mut self) -> Progress {
        self.rest = Vec::new();
        let mut buffer = [0u8; COPY];
        match read(&self.from, &mut buffer) {
            Ok(0) => Progress::Ended,
            Ok(_) | Err(Errno::EINTR) => Progress::Again,
            Err(Errno::EAGAIN) => Progress::Waits,
            Err(Errno::EIO) if self.terminal && !self.over => Progress::Waits,
            Err(_) => Progress::Ended,
        }
    }

    /// The source has ended: nothing is written to the fifo any more, and one of our two ends goes. A pipe keeps what is in it as long as
    /// anybody has it open.
    pub fn finish(&mut self, keep: Keep) {
        if self.input || !is_fifo(self.to.as_fd()) {
            return;
        }
        let flags = if keep == Keep::Writer { OFlag::O_WRONLY } else { OFlag::O_RDONLY };
        let path = format!("/proc/self/fd/{}", self.to.as_raw_fd());
        if let Ok(end) = files::open(path.as_str(), flags | OFlag::O_NONBLOCK) {
            self.to = end;
        }
    }

    /// With the writer alone: whether somebody reads the fifo.
    pub fn has_reader(&self) -> bool {
        let mut fds = [PollFd::new(self.to.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(_) => !fds.iter().any(|fd| fd.revents().is_some_and(|events| events.contains(PollFlags::POLLERR))),
            Err(_) => true,
        }
    }

    /// How many bytes lie in the fifo, unread.
    pub fn unread(&self) -> usize {
        if !is_fifo(self.to.as_fd()) {
            return 0;
        }
        dunnage::sys::descriptors::readable(self.to.as_fd()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use nix::unistd::pipe2;

    use super::*;

    fn pipe() -> (std::fs::File, std::fs::File) {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
        (read.into(), write.into())
    }

    fn until_it_waits(pump: &mut Pump) -> Progress {
        loop {
            match pump.run() {
                Progress::Again => {}
                other => return other,
            }
        }
    }

    #[test]
    fn a_full_pipe_stops_it_and_nothing_is_lost() {
        let (source, mut process) = pipe();
        let (mut client, sink) = pipe();
        let mut pump = Pump::output(source.into(), sink.into(), false);
        let data: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let mut got = Vec::new();
        let written = data.clone();
        let writer = std::thread::spawn(move || process.write_all(&written).unwrap());
        let mut buffer = vec![0; 10_000];
        loop {
            if until_it_waits(&mut pump) == Progress::Ended {
                break;
            }
            if pump.unread() > 0 {
                let n = client.read(&mut buffer).unwrap();
                got.extend_from_slice(&buffer[..n]);
            }
        }
        writer.join().unwrap();
        drop(pump);
        client.read_to_end(&mut got).unwrap();
        assert!(got == data);
    }

    #[test]
    fn a_file_gets_it_by_copy_and_a_full_disk_or_a_dead_logger_is_survived() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let open = || std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let (source, mut process) = pipe();
        let mut pump = Pump::output(source.into(), open().into(), false);
        process.write_all(b"one\n").unwrap();
        assert_eq!(until_it_waits(&mut pump), Progress::Waits);
        drop(process);
        assert_eq!(until_it_waits(&mut pump), Progress::Ended);
        assert_eq!(std::fs::read(&path).unwrap(), b"one\n");

        let (gone, logger) = pipe();
        drop(gone);
        for dead in [std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap(), logger] {
            let (source, mut process) = pipe();
            let mut pump = Pump::output(source.into(), dead.into(), false);
            for _ in 0..10 {
                process.write_all(&[b'x'; 60_000]).unwrap();
                assert_eq!(until_it_waits(&mut pump), Progress::Waits);
            }
        }
    }

    #[test]
    fn a_fifo_keeps_what_nobody_has_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let both = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let (source, mut process) = pipe();
        let mut pump = Pump::output(source.into(), both.into(), false);
        process.write_all(b"last words").unwrap();
        drop(process);
        assert_eq!(until_it_waits(&mut pump), Progress::Ended);
        pump.finish(Keep::Writer);
        assert_eq!((pump.has_reader(), pump.unread()), (false, 10));
        let mut late = std::fs::OpenOptions::new().read(true).open(&path).unwrap();
        assert!(pump.has_reader());
        drop(pump);
        let mut text = String::new();
        late.read_to_string(&mut text).unwrap();
        assert_eq!(text, "last words");
    }

    #[test]
    fn input_ends_with_its_writers_once_we_let_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let both = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let (mut process, sink) = pipe();
        let mut pump = Pump::input(both.into(), sink.into());
        let mut client = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        client.write_all(b"typed").unwrap();
        drop(client);
        assert_eq!(until_it_waits(&mut pump), Progress::Waits);
        pump.let_input_end();
        assert_eq!(until_it_waits(&mut pump), Progress::Ended);
        drop(pump);
        let mut text = String::new();
        process.read_to_string(&mut text).unwrap();
        assert_eq!(text, "typed");
    }

    #[test]
    fn a_terminal_without_a_process_waits_until_there_was_one() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let (mut client, sink) = pipe();
        let name = std::fs::read_link(format!("/proc/self/fd/{}", pty.slave.as_raw_fd())).unwrap();
        drop(pty.slave);
        let mut pump = Pump::output(pty.master, sink.into(), true);
        assert_eq!(until_it_waits(&mut pump), Progress::Waits);
        let mut process = std::fs::OpenOptions::new().write(true).open(name).unwrap();
        process.write_all(b"hi\n").unwrap();
        drop(process);
        assert_eq!(until_it_waits(&mut pump), Progress::Waits);
        pump.process_is_gone();
        assert_eq!(until_it_waits(&mut pump), Progress::Ended);
        drop(pump);
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hi\r\n");
    }
}
