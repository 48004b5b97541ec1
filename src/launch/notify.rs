//! sd_notify(3) for containers: a socket of the container's own, and from it to the service manager that started us only
//! the news that the container is ready. The mount and the variable in the container are the compiler's.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socket};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, pipe2};

use super::sockets::{bind_in, connect_unix, send_fd};
use crate::error::{Errno, Error, Result};
use crate::files;
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
    files::mkdirat(state_dir, DIR, Mode::from_bits_truncate(0o755)).map_err(|e| Error::sys("mkdir notify", e))
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
        let dir = files::openat(state_dir, DIR, OFlag::O_PATH | OFlag::O_DIRECTORY)
            .map_err(|e| failed("open the directory of", e))?;
        let socket = datagram_socket().map_err(|e| failed("make", e))?;
        let bound = match bind_in(socket.as_fd(), dir.as_fd(), SOCKET) {
            // Left by a start that failed.
            Err(Errno::EADDRINUSE) => {
                files::unlinkat(&dir, SOCKET, UnlinkatFlags::NoRemoveDir).map_err(|e| failed("remove", e))?;
                bind_in(socket.as_fd(), dir.as_fd(), SOCKET)
            }
            bound => bound,
        };
        bound.map_err(|e| failed("bind", e))?;
        // Whatever user the container's program has may write to it, whatever our umask.
        let mode = Mode::from_bits_truncate(0o777);
        files::fchmodat(&dir, SOCKET, mode).map_err(|e| failed("chmod", e))?;
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixDatagram;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    use super::super::alone::{code_within, command, finish, is_alone, start};
    use super::super::foreground::Signals;
    use super::super::relay::Relay;
    use super::*;
    use crate::sys::descriptors::recv_fd;

    /// A state directory with the container's socket in it, a service manager's socket, and a process to wait for.
    struct Scene {
        dir: tempfile::TempDir,
        manager: UnixDatagram,
        process: Child,
    }

    impl Scene {
        fn new() -> Scene {
            let dir = tempfile::tempdir().unwrap();
            let manager = UnixDatagram::bind(dir.path().join("manager")).unwrap();
            manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            make_dir(File::open(dir.path()).unwrap().as_fd()).unwrap();
            let process = Command::new("/bin/sleep").arg("60").spawn().unwrap();
            Scene { dir, manager, process }
        }

        fn bind(&self) -> Forwarder {
            Forwarder::bind(File::open(self.dir.path()).unwrap().as_fd(), &self.dir.path().join("manager")).unwrap()
        }

        fn pidfd(&self) -> PidFd {
            PidFd::open(self.process.id() as i32).unwrap()
        }

        /// What the container's program says.
        fn say(&self, message: &[u8]) {
            let socket = UnixDatagram::unbound().unwrap();
            socket.send_to(message, self.dir.path().join("notify/notify.sock")).unwrap();
        }

        /// What the manager hears, with the descriptor that came along.
        fn hear(&self) -> (String, Option<OwnedFd>) {
            let mut buffer = [0; 4096];
            let (length, fd) = recv_fd(self.manager.as_fd(), &mut buffer).unwrap();
            (String::from_utf8(buffer[..length].to_vec()).unwrap(), fd)
        }

        fn hears_nothing(&self) -> bool {
            self.manager.set_nonblocking(true).unwrap();
            let nothing = recv_fd(self.manager.as_fd(), &mut [0; 16]).unwrap_err() == Errno::EAGAIN;
            self.manager.set_nonblocking(false).unwrap();
            nothing
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            self.process.kill().ok();
            self.process.wait().ok();
        }
    }

    #[test]
    fn tells_the_manager_and_waits_for_its_answer() {
        let scene = Scene::new();
        let waiting = scene.bind();
        let (pidfd, pid) = (scene.pidfd(), 4711);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || waiting.wait_ready(&pidfd, pid));
            for ignored in [&b"STATUS=soon\nWATCHDOG=1"[..], b"", b"XREADY=1", &[0xff; 5000], b"FDSTORE=1\n READY=1"] {
                scene.say(ignored);
            }
            scene.say(b"MAINPID=1\nREADY=1\nSTATUS=up\n");
            assert_eq!(scene.hear().0, "READY=1\n");
            assert_eq!(scene.hear().0, "MAINPID=4711\n");
            let (message, barrier) = scene.hear();
            assert_eq!(message, "BARRIER=1");
            std::thread::sleep(Duration::from_millis(100));
            assert!(!waiting.is_finished());
            drop(barrier.unwrap());
            assert_eq!(waiting.join().unwrap(), Ok(Readiness::Forwarded));
        });
        assert!(scene.hears_nothing());
    }

    #[test]
    fn a_descriptor_of_the_container_is_dropped() {
        let scene = Scene::new();
        let waiting = scene.bind();
        let (read, write) = std::io::pipe().unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        socket.connect(scene.dir.path().join("notify/notify.sock")).unwrap();
        send_fd(socket.as_fd(), b"FDSTORE=1", write.as_fd()).unwrap();
        drop(write);
        assert_eq!(receive_ready(waiting.socket().unwrap()), Ok(None));
        let mut fds = [PollFd::new(read.as_fd(), PollFlags::empty())];
        assert_eq!(poll(&mut fds, PollTimeout::ZERO), Ok(1), "the writing end is nowhere any more");
    }

    #[test]
    fn ends_with_the_process() {
        let mut scene = Scene::new();
        let waiting = scene.bind();
        let (pidfd, begun) = (scene.pidfd(), Instant::now());
        scene.process.kill().unwrap();
        assert_eq!(waiting.wait_ready(&pidfd, 1), Ok(Readiness::ProcessEnded));
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(scene.hears_nothing());
    }

    #[test]
    fn last_words_count() {
        let mut scene = Scene::new();
        let waiting = scene.bind();
        scene.say(b"STATUS=x");
        scene.say(b"READY=1");
        let pidfd = scene.pidfd();
        scene.process.kill().unwrap();
        pidfd.wait_exit(PollTimeout::NONE).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| waiting.wait_ready(&pidfd, 1));
            assert_eq!(scene.hear().0, "READY=1\n");
            scene.hear();
            drop(scene.hear());
            assert_eq!(waiting.join().unwrap(), Ok(Readiness::Forwarded));
        });
    }

    #[test]
    fn anybody_may_write_to_it_and_it_can_be_bound_again() {
        let scene = Scene::new();
        drop(scene.bind());
        let forwarder = scene.bind();
        let mode = std::fs::metadata(scene.dir.path().join("notify/notify.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o777);
        scene.say(b"READY=1");
        assert_eq!(receive_ready(forwarder.socket().unwrap()), Ok(Some(b"READY=1".to_vec())));
    }

    #[test]
    fn a_dead_manager_is_an_error_at_once() {
        let scene = Scene::new();
        let dir = File::open(scene.dir.path()).unwrap();
        let forwarder = Forwarder::bind(dir.as_fd(), Path::new("/no/manager")).unwrap();
        let error = forwarder.wait_ready(&scene.pidfd(), 1).unwrap_err();
        assert_eq!(error.to_string(), "dial unixgram /no/manager: connect: no such file or directory");
    }

    #[test]
    fn in_the_foreground_the_main_process_is_ours() {
        let test = "launch::notify::tests::in_the_foreground_the_main_process_is_ours";
        if is_alone() {
            let dir = std::env::var("SCENE").unwrap();
            let manager = Path::new(&dir).join("manager");
            let mut forwarder = Forwarder::bind(File::open(&dir).unwrap().as_fd(), &manager).unwrap();
            let signals = Signals::block().unwrap();
            let null = || File::open("/dev/null").unwrap().into();
            let process = start("sleep 60", &[null(), null(), null()]);
            finish(&signals, &process, Relay::none(), Some(&mut forwarder));
        }
        let scene = Scene::new();
        let mut child = command(test).env("SCENE", scene.dir.path()).spawn().unwrap();
        let path = scene.dir.path().join("notify/notify.sock");
        let say = |message: &[u8]| UnixDatagram::unbound().unwrap().send_to(message, &path);
        while say(b"STATUS=starting").is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        say(b"READY=1").unwrap();
        assert_eq!(scene.hear().0, "READY=1\n");
        assert_eq!(scene.hear().0, format!("MAINPID={}\n", child.id()));
        while say(b"STATUS=up").is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
        PidFd::open(child.id() as i32).unwrap().send_signal(libc::SIGTERM).unwrap();
        assert_eq!(code_within(&mut child, 10), 128 + libc::SIGTERM);
        assert!(scene.hears_nothing());
    }
}
