//! The console socket: where a runtime sends the terminal's master of a process that it makes.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dunnage::error::{Errno, Error, Result};
use dunnage::files;
use dunnage::sys::descriptors::recv_fd;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, isatty};

/// How long a runtime may take to send it, after it has ended well.
pub const PATIENCE: Duration = Duration::from_secs(30);

const NAME: &str = "pty.sock";

/// A socket in a directory of its own that nobody but us can enter; both go with it. Not in the bundle, whose path is longer
/// than a socket's may be.
#[derive(Debug)]
pub struct ConsoleSocket {
    listener: UnixListener,
    parent: OwnedFd,
    dir: OsString,
    path: PathBuf,
}

impl ConsoleSocket {
    /// In $XDG_RUNTIME_DIR, or /run.
    pub fn new() -> Result<ConsoleSocket> {
        let parent = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
        ConsoleSocket::below(&parent.unwrap_or_else(|| "/run".into()))
    }

    /// In a new directory below this one.
    pub fn below(path: &Path) -> Result<ConsoleSocket> {
        let failed = |e| Error::sys(format!("make a directory for the console socket in {}", path.display()), e);
        let parent = files::open(path, files::DIRECTORY).map_err(failed)?;
        let mut number = 0_u32;
        let dir = loop {
            let name = OsString::from(format!("dunnage-pty-{}-{number}", std::process::id()));
            match files::mkdirat(&parent, name.as_os_str(), Mode::S_IRWXU) {
                Ok(()) => break name,
                // That of an earlier process of this number, which did not live to remove it.
                Err(Errno::EEXIST) if number < 1000 => number = number.saturating_add(1),
                Err(e) => return Err(failed(e)),
            }
        };
        let path = path.join(&dir).join(NAME);
        match UnixListener::bind(&path).and_then(|listener| listener.set_nonblocking(true).map(|()| listener)) {
            Ok(listener) => Ok(ConsoleSocket { listener, parent, dir, path }),
            Err(e) => {
                files::unlinkat(&parent, dir.as_os_str(), UnlinkatFlags::RemoveDir).ok();
                Err(Error::io(format!("bind {}", path.display()), &e))
            }
        }
    }

    /// What the runtime is given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The master: one connection, one message, one descriptor.
    ///
    /// # Errors
    /// Nothing came in time, or no terminal.
    pub fn receive(&self, patience: Duration) -> Result<OwnedFd> {
        let doing = || format!("receive the terminal from {}", self.path.display());
        let deadline = Instant::now().checked_add(patience);
        wait(self.listener.as_fd(), deadline).map_err(|e| Error::sys(doing(), e))?;
        let (stream, _) = self.listener.accept().map_err(|e| Error::io(doing(), &e))?;
        wait(stream.as_fd(), deadline).map_err(|e| Error::sys(doing(), e))?;
        // It is to be the terminal's name, which nobody needs.
        let mut name = [0; 4096];
        match recv_fd(stream.as_fd(), &mut name).map_err(|e| Error::sys(doing(), e))? {
            (_, Some(master)) if isatty(&master) == Ok(true) => Ok(master),
            (_, Some(_)) => Err(Error::new("what came is no terminal").doing(doing())),
            (_, None) => Err(Error::new("no descriptor came").doing(doing())),
        }
    }
}

/// Until there is something to read; `ETIMEDOUT`.
fn wait(fd: BorrowedFd<'_>, deadline: Option<Instant>) -> std::result::Result<(), Errno> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())).unwrap_or_default();
        let timeout = PollTimeout::from(u16::try_from(left.as_millis()).unwrap_or(u16::MAX));
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_zero() => return Err(Errno::ETIMEDOUT),
            Ok(0) | Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

impl Drop for ConsoleSocket {
    fn drop(&mut self) {
        if let Ok(dir) = files::openat(&self.parent, self.dir.as_os_str(), files::DIRECTORY) {
            files::unlinkat(&dir, NAME, UnlinkatFlags::NoRemoveDir).ok();
        }
        files::unlinkat(&self.parent, self.dir.as_os_str(), UnlinkatFlags::RemoveDir).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunnage::launch::sockets::FdSocket;

    #[test]
    fn one_terminal() {
        let dir = tempfile::tempdir().unwrap();
        let socket = ConsoleSocket::below(dir.path()).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(socket.path().parent().unwrap()).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o700);
        let second = ConsoleSocket::below(dir.path()).unwrap();
        assert_ne!(socket.path(), second.path());
        let late = second.receive(Duration::from_millis(50)).unwrap_err();
        assert_eq!(late.errno(), Some(Errno::ETIMEDOUT), "{late}");

        let master = nix::pty::posix_openpt(nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_NOCTTY).unwrap();
        FdSocket::console(socket.path()).unwrap().send_console(master.as_fd()).unwrap();
        assert_eq!(isatty(socket.receive(PATIENCE).unwrap()), Ok(true));
        let file = std::fs::File::open("/dev/null").unwrap();
        FdSocket::console(socket.path()).unwrap().send_console(file.as_fd()).unwrap();
        assert!(socket.receive(PATIENCE).unwrap_err().to_string().ends_with("what came is no terminal"));
        drop(std::os::unix::net::UnixStream::connect(socket.path()).unwrap());
        assert!(socket.receive(PATIENCE).unwrap_err().to_string().ends_with("no descriptor came"));
        drop((socket, second));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
