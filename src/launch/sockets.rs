//! Unix sockets towards our callers: connecting to a path of any length, and handing over one descriptor with a payload:
//! `--console-socket`, `--pidfd-socket`, the seccomp agent. Knows nothing of containers.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, send, sendmsg, setsockopt,
    socket, sockopt::SendTimeout,
};
use nix::sys::time::TimeVal;

use crate::error::{Errno, Error, Result};

/// What the console socket's message carries: the name of the master inside the container, as runc gives it (receivers
/// want 1 to 4095 bytes).
const CONSOLE_PAYLOAD: &[u8] = b"/dev/pts/ptmx";

/// How long the seccomp agent may take to accept us, and to read. The container's process waits for it, and what agents are is
/// nobody's promise: runc waits for ever for one that does not read.
const AGENT_PATIENCE: TimeVal = TimeVal::new(10, 0);

const AGENT_BUSY: &str = "the agent does not accept connections, or does not read: it had ten seconds";

/// A connection to a caller's socket, for exactly one message with one descriptor.
#[derive(Debug)]
pub struct FdSocket {
    socket: OwnedFd,
}

impl FdSocket {
    /// Connects to `--console-socket`, early: a dead socket has to fail before anything is started.
    pub fn console(path: &Path) -> Result<FdSocket> {
        let socket = stream(path).map_err(|e| Error::sys(format!("dial unix {}: connect", path.display()), e))?;
        Ok(FdSocket { socket })
    }

    /// Connects to `--pidfd-socket`. The spelling of the error is runc's.
    pub fn pidfd(path: &Path) -> Result<FdSocket> {
        let socket = stream(path).map_err(|e| Error::sys(format!("failed to dail {}", path.display()), e))?;
        Ok(FdSocket { socket })
    }

    /// Connects to the seccomp agent of `linux.seccomp.listenerPath`.
    pub fn seccomp_agent(path: &Path) -> Result<FdSocket> {
        FdSocket::seccomp_agent_within(path, AGENT_PATIENCE)
    }

    /// The same, for an agent that takes the connection, and later the message, within that time each.
    fn seccomp_agent_within(path: &Path, patience: TimeVal) -> Result<FdSocket> {
        let connected = stream_within(path, Some(patience)).map_err(|e| {
            let failed = Error::sys(format!("dial unix {}: connect", path.display()), e);
            let failed = failed
                .doing("failed to connect with seccomp agent specified in the seccomp profile")
                .field("/linux/seccomp/listenerPath");
            if e == Errno::EAGAIN { failed.hint(AGENT_BUSY) } else { failed }
        });
        Ok(FdSocket { socket: connected? })
    }

    /// Sends the master of the container's terminal and closes the connection.
    pub fn send_console(self, master: BorrowedFd<'_>) -> Result<()> {
        send_fd(self.socket.as_fd(), CONSOLE_PAYLOAD, master).map_err(|e| Error::sys("send the console's master", e))
    }

    /// Sends the container process's pidfd and closes the connection.
    pub fn send_pidfd(self, payload: PidfdPayload, pidfd: BorrowedFd<'_>) -> Result<()> {
        let payload = match payload {
            PidfdPayload::Standard => b"standard".as_slice(),
            PidfdPayload::Setns => b"setns",
        };
        send_fd(self.socket.as_fd(), payload, pidfd).map_err(|e| Error::sys("send the pidfd", e))
    }

    /// Sends `ContainerProcessState` (JSON) with the notify descriptor of the filter and closes the connection.
    pub fn send_seccomp(self, state: &[u8], notify: BorrowedFd<'_>) -> Result<()> {
        send_fd(self.socket.as_fd(), state, notify).map_err(|e| {
            let failed = Error::sys("send the seccomp notify descriptor", e).field("/linux/seccomp/listenerPath");
            if e == Errno::EAGAIN { failed.hint(AGENT_BUSY) } else { failed }
        })
    }
}

/// How the process came to be, as `--pidfd-socket` receivers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PidfdPayload {
    /// create, run
    Standard,
    /// exec
    Setns,
}

/// One message of `payload` and exactly one descriptor. What does not fit the socket's buffer at once follows without it.
pub fn send_fd(socket: BorrowedFd<'_>, payload: &[u8], fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let fds = [fd.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    // MSG_NOSIGNAL: a peer that has gone is an error of ours (EPIPE), not our end.
    let mut sent =
        retry(|| sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(payload)], &rights, MsgFlags::MSG_NOSIGNAL, None))?;
    while let Some(rest) = payload.get(sent..).filter(|rest| !rest.is_empty()) {
        sent = sent.saturating_add(retry(|| send(socket.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL))?);
    }
    Ok(())
}

/// A connected stream socket.
fn stream(path: &Path) -> Result<OwnedFd, Errno> {
    stream_within(path, None)
}

/// The same; EAGAIN where connecting, or later a send, takes longer.
fn stream_within(path: &Path, patience: Option<TimeVal>) -> Result<OwnedFd, Errno> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    if let Some(patience) = patience {
        setsockopt(&socket, SendTimeout, &patience)?;
    }
    connect_unix(socket.as_fd(), path)?;
    Ok(socket)
}

/// Connects to a path of any length; a leading `@` names the abstract namespace, as Go and systemd write it.
pub fn connect_unix(socket: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
    match address(path) {
        Err(Errno::ENAMETOOLONG) => {
            // sun_path has 108 bytes. The socket's own inode, opened without opening it, has a short name.
            let inode = crate::files::open(path, OFlag::O_PATH)?;
            let short = UnixAddr::new(proc_path(inode.as_fd()).as_str())?;
            retry(|| connect(socket.as_raw_fd(), &short))
        }
        address => {
            let address = address?;
            retry(|| connect(socket.as_raw_fd(), &address))
        }
    }
}

/// Binds `socket` as `name` in the directory `dir`, however long that one's path is.
pub fn bind_in(socket: BorrowedFd<'_>, dir: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    let address = UnixAddr::new(format!("{}/{name}", proc_path(dir)).as_str())?;
    bind(socket.as_raw_fd(), &address)
}

fn address(path: &Path) -> Result<UnixAddr, Errno> {
    match path.as_os_str().as_bytes() {
        [b'@', name @ ..] => UnixAddr::new_abstract(name),
        _ => UnixAddr::new(path),
    }
}

fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Signals are not errors.
fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::net::{UnixListener, UnixStream};

    use nix::sys::stat::fstat;

    use super::*;
    use crate::sys::descriptors::recv_fd;

    /// What the peer of one message sees: payload, the descriptor, and whether the stream then ends.
    fn receive(peer: &UnixStream) -> (Vec<u8>, OwnedFd, bool) {
        let mut buffer = [0; 4096];
        let (n, fd) = recv_fd(peer.as_fd(), &mut buffer).unwrap();
        let end = { peer }.read(&mut [0]).unwrap() == 0;
        (buffer[..n].to_vec(), fd.unwrap(), end)
    }

    fn same_file(a: impl AsFd, b: impl AsFd) -> bool {
        let (a, b) = (fstat(a).unwrap(), fstat(b).unwrap());
        (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
    }

    #[test]
    fn one_message_one_descriptor_then_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let file = File::open("/etc/passwd").unwrap();

        FdSocket::console(&path).unwrap().send_console(file.as_fd()).unwrap();
        let (payload, fd, end) = receive(&listener.accept().unwrap().0);
        assert!(end && same_file(&fd, &file));
        assert_eq!(payload, b"/dev/pts/ptmx");

        for (payload, text) in [(PidfdPayload::Standard, "standard"), (PidfdPayload::Setns, "setns")] {
            FdSocket::pidfd(&path).unwrap().send_pidfd(payload, file.as_fd()).unwrap();
            let (payload, fd, end) = receive(&listener.accept().unwrap().0);
            assert!(end && same_file(&fd, &file));
            assert_eq!(payload, text.as_bytes());
        }
    }

    #[test]
    fn a_path_longer_than_sun_path() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120)).join("e".repeat(120));
        std::process::Command::new("/bin/mkdir").arg("-p").arg(&deep).status().unwrap();
        let name = "socket-".repeat(9);
        let opened = File::open(&deep).unwrap();
        let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind_in(listener.as_fd(), opened.as_fd(), &name).unwrap();
        let listener = UnixListener::from(listener);
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();

        FdSocket::console(&deep.join(name)).unwrap().send_console(opened.as_fd()).unwrap();
        assert!(same_file(receive(&listener.accept().unwrap().0).1, &opened));
    }

    #[test]
    fn a_state_larger_than_the_buffer_arrives_whole() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let state = vec![b'x'; 3 << 20];
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            let (n, fd) = recv_fd(theirs.as_fd(), &mut buffer).unwrap();
            let mut rest = Vec::new();
            { theirs }.read_to_end(&mut rest).unwrap();
            (n + rest.len(), fd.is_some())
        });
        FdSocket { socket: ours.into() }.send_seccomp(&state, File::open("/dev/null").unwrap().as_fd()).unwrap();
        assert_eq!(reader.join().unwrap(), (state.len(), true));
    }

    #[test]
    fn dead_sockets_and_dead_peers_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        drop(UnixListener::bind(&gone).unwrap());
        let text = |r: Result<FdSocket>| r.unwrap_err().to_string().replace(&*dir.path().to_string_lossy(), "D");
        assert_eq!(text(FdSocket::console(&gone)), "dial unix D/gone: connect: connection refused");
        assert_eq!(text(FdSocket::pidfd(&gone)), "failed to dail D/gone: connection refused");
        assert_eq!(
            text(FdSocket::seccomp_agent(&dir.path().join("no"))),
            "failed to connect with seccomp agent specified in the seccomp profile: dial unix D/no: connect: no such \
             file or directory (config.json /linux/seccomp/listenerPath)"
        );
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let error = FdSocket { socket: ours.into() }.send_console(File::open("/dev/null").unwrap().as_fd());
        assert_eq!(error.unwrap_err().errno(), Some(Errno::EPIPE));
    }

    /// An agent that hangs must not hang us: neither its full backlog, nor its full buffer.
    #[test]
    fn an_agent_that_takes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        let soon = TimeVal::new(0, 50_000);
        let first = FdSocket::seccomp_agent_within(&path, soon).unwrap();
        let refused = FdSocket::seccomp_agent_within(&path, soon).unwrap_err().to_string();
        assert!(refused.contains("connect: resource temporarily unavailable"), "{refused}");
        assert!(refused.contains("it had ten seconds"), "{refused}");
        let refused = first.send_seccomp(&vec![b'x'; 3 << 20], File::open("/dev/null").unwrap().as_fd()).unwrap_err();
        assert_eq!(refused.errno(), Some(Errno::EAGAIN));
    }

    #[test]
    fn abstract_names() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("dunnage-test-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let file = File::open("/dev/null").unwrap();
        FdSocket::console(Path::new(&format!("@{name}"))).unwrap().send_console(file.as_fd()).unwrap();
        assert!(receive(&listener.accept().unwrap().0).2);
    }
}
