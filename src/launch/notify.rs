//! sd_notify(3) for containers: a socket of the container's own, and from it to the service manager that started us only
//! the news that the container is ready. The mount and the variable in the container are the compiler's.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socket};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, mkdirat};
use nix::unistd::{UnlinkatFlags, pipe2, unlinkat};

use super::sockets::{bind_in, connect_unix, send_fd};
use crate::error::{Errno, Error, Result};
use crate::sys::pidfd::PidFd;

/// The directory below the container's state directory that is bind-mounted on [`CONTAINER_DIR`].
pub const DIR: &str = "notify";
/// Where it is mounted: bind, nosuid, noexec, nodev, ro.
pub const CONTAINER_DIR: &str = "/run/notify";
/// What the container's environment says.
pub const ENV: &str = "NOTIFY_SOCKET=/run/notify/notify.sock";

const SOCKET: &str = "notify.sock";

/// How long the service manager may take to work off its queue; sd_notify_barrier(3) of runc waits as long.
const BARRIER_TIMEOUT: u16 = 30_000;

/// Makes the directory, at create: its mount is part of the container.
pub fn make_dir(state_dir: BorrowedFd<'_>) -> Result<()> {
    mkdirat(state_dir, DIR, Mode::from_bits_truncate(0o755)).map_err(|e| Error::sys("mkdir notify", e))
}

/// The container's socket and where its news goes. Bound before the container's program starts, so that its first word has
/// a place to go.
#[derive(Debug)]
pub struct Forwarder {
    container: Option<OwnedFd>,
    host: PathBuf,
}

/// How waiting for readiness ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// The service manager knows, and has dealt with it.
    Forwarded,
    /// It was told but did not say within 30 s that it has dealt with it: `Timeout after waiting 30s for barrier. Ignored.`
    BarrierTimeout,
    /// The container's process ended first; no error.
    ProcessEnded,
}

impl Forwarder {
    /// `host`: our own NOTIFY_SOCKET, a path or `@` and an abstract name. Not yet used: a stale one must not fail a `run`.
    pub fn bind(state_dir: BorrowedFd<'_>, host: &Path) -> Result<Forwarder> {
        let failed = |call: &str, e| Error::sys(format!("{call} the container's notify socket"), e);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let dir = openat(state_dir, DIR, flags, Mode::empty()).map_err(|e| failed("open the directory of", e))?;
        let socket = datagram_socket().map_err(|e| failed("make", e))?;
        let bound = match bind_in(socket.as_fd(), dir.as_fd(), SOCKET) {
            // Left by a start that failed.
            Err(Errno::EADDRINUSE) => {
                unlinkat(&dir, SOCKET, UnlinkatFlags::NoRemoveDir).map_err(|e| failed("remove", e))?;
                bind_in(socket.as_fd(), dir.as_fd(), SOCKET)
            }
            bound => bound,
        };
        bound.map_err(|e| failed("bind", e))?;
        // Whatever user the container's program has may write to it, whatever our umask.
        let mode = Mode::from_bits_truncate(0o777);
        fchmodat(&dir, SOCKET, mode, FchmodatFlags::FollowSymlink).map_err(|e| failed("chmod", e))?;
        Ok(Forwarder { container: Some(socket), host: host.into() })
    }

    /// For `start` and `run -d`: waits until the container is ready or its process has ended, however long that takes.
    /// `process` may be anybody's child. Fails at once if the service manager's socket is dead.
    pub fn wait_ready(self, process: &PidFd, pid: i32) -> Result<Readiness> {
        let host = self.connect()?;
        let Some(container) = self.container else { return Ok(Readiness::ProcessEnded) };
        loop {
            let mut fds =
                [PollFd::new(container.as_fd(), PollFlags::POLLIN), PollFd::new(process.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(Error::sys("poll", e)),
            }
            let [message, end] = fds.map(|fd| fd.any() == Some(true));
            // A message before the end: what it said last counts.
            if message && let Some(ready) = receive_ready(container.as_fd())? {
                return forward(host.as_fd(), &ready, pid)
                    .and_then(|()| barrier(host.as_fd()))
                    .map_err(|e| Error::sys(format!("notify {}", self.host.display()), e));
            }
            if end && !message {
                return Ok(Readiness::ProcessEnded);
            }
        }
    }

    /// What the foreground loop waits for, until the container was ready once.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.container.as_ref().map(AsFd::as_fd)
    }

    /// A message is there. In the foreground it is we who the service manager watches, so MAINPID is ours; and as we live
    /// on, no barrier is needed. A manager that can't be reached is no reason to end a container that runs.
    pub(super) fn forward_in_foreground(&mut self) {
        let Some(container) = &self.container else { return };
        if let Ok(None) = receive_ready(container.as_fd()) {
            return;
        }
        let pid = std::process::id().cast_signed();
        if let Ok(host) = self.connect() {
            forward(host.as_fd(), b"READY=1", pid).ok();
        }
        // Closed, so that the container's later messages are refused at once instead of filling a queue that nobody reads.
        self.container = None;
    }

    fn connect(&self) -> Result<OwnedFd> {
        let connected = datagram_socket().and_then(|socket| {
            connect_unix(socket.as_fd(), &self.host)?;
            Ok(socket)
        });
        connected.map_err(|e| Error::sys(format!("dial unixgram {}: connect", self.host.display()), e))
    }
}

fn datagram_socket() -> Result<OwnedFd, Errno> {
    socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
}

/// One datagram of the container's, which is hostile: bounded, and without room for descriptors, so the kernel drops those.
/// Returns its line that begins with `READY=`; whatever else it says is between the container and nobody.
fn receive_ready(container: BorrowedFd<'_>) -> Result<Option<Vec<u8>>> {
    let mut buffer = [0; 4096];
    let length = match recv(container.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
        Ok(length) => length,
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
        Err(e) => return Err(Error::sys("read of the container's notify socket", e)),
    };
    let message = buffer.get(..length).unwrap_or_default();
    Ok(message.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"READY=")).map(<[u8]>::to_vec))
}

fn forward(host: BorrowedFd<'_>, ready: &[u8], pid: i32) -> Result<(), Errno> {
    for message in [[ready, b"\n"].concat(), format!("MAINPID={pid}\n").into_bytes()] {
        send(host.as_raw_fd(), &message, MsgFlags::MSG_NOSIGNAL)?;
    }
    Ok(())
}

/// sd_notify_barrier(3): the manager closes the pipe's writing end once it has dealt with all that came before. Without
/// this we could be gone before it has looked up whose message it was.
fn barrier(host: BorrowedFd<'_>) -> Result<Readiness, Errno> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    send_fd(host, b"BARRIER=1", write.as_fd())?;
    drop(write);
    let mut fds = [PollFd::new(read.as_fd(), PollFlags::empty())];
    loop {
        match poll(&mut fds, PollTimeout::from(BARRIER_TIMEOUT)) {
            Ok(0) => return Ok(Readiness::BarrierTimeout),
            Ok(_) => return Ok(Readiness::Forwarded),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
}
