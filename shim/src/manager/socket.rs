//! Where the socket of a group is, who serves it, and how a new one gets there without two ever serving the same group.

use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dunnage::cli::root::clean;
use dunnage::error::{Error, Result};
use dunnage::files;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::unistd::UnlinkatFlags;

use crate::client::Client;
use crate::proto::task::{ConnectResponse, IdRequest};

/// The directory of all shims' sockets.
pub const DEFAULT_DIR: &str = "/run/containerd/s";
/// What the kernel takes, less the zero at the end.
const MAX_PATH: usize = 106;
/// How long whoever holds a socket may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// The name of a group's socket: a hash of the daemon, the namespace and the group, as containerd's own shims make it.
pub fn name(address: &str, namespace: &str, group: &str) -> String {
    let joined: Vec<&str> = [address, namespace, group].into_iter().filter(|part| !part.is_empty()).collect();
    let joined = joined.join("/");
    let path = clean(Path::new(&format!("/{joined}")));
    let path = path.to_string_lossy();
    let path = if joined.starts_with('/') { &*path } else { path.trim_start_matches('/') };
    hmac_sha256::Hash::hash(path.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The socket behind an address as it is printed and kept.
pub fn path_of(address: &str) -> PathBuf {
    address.strip_prefix("unix://").unwrap_or(address).into()
}

/// What `start` has got.
#[derive(Debug)]
pub enum Socket {
    /// A new one, which listens.
    Ours(OwnedFd),
    /// Somebody serves it.
    Taken(Speaks),
}

/// Which names a shim's task service has. All versions have the same messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// Ours, and those of containerd 1.x.
    V2,
    /// Those of containerd 2.x.
    OnlyV3,
}

/// Makes the group's socket, or finds out who serves it. A lock on the directory (not a file in it: there are those who count them)
/// keeps apart two that find the same dead one.
///
/// # Errors
/// socket(2), bind(2); a path that is too long.
pub fn claim(path: &Path) -> Result<Socket> {
    if path.as_os_str().len() > MAX_PATH {
        return Err(Error::new(format!("{:?}: unix socket path too long (> {MAX_PATH})", path.display().to_string())));
    }
    let dir = path.parent().unwrap_or(Path::new("/"));
    let failed = |call: &str, e| Error::sys(format!("{call} {}", path.display()), e);
    let dir = files::make_dirs(dir).map_err(|e| failed("mkdir for", e))?;
    let lock = lock(&dir).map_err(|e| failed("lock the directory of", e))?;
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
        .map_err(|e| failed("socket", e))?;
    let address = UnixAddr::new(path).map_err(|e| failed("bind", e))?;
    for attempt in 0..2 {
        // Its mode is 0600 from the first moment on.
        let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
        let bound = bind(socket.as_raw_fd(), &address);
        nix::sys::stat::umask(before);
        match bound {
            Ok(()) => {
                listen(&socket, Backlog::MAXCONN).map_err(|e| failed("listen", e))?;
                drop(lock);
                return Ok(Socket::Ours(socket));
            }
            Err(Errno::EADDRINUSE) if attempt == 0 => match probe(path) {
                Some(speaks) => return Ok(Socket::Taken(speaks)),
                None => remove(&dir, path),
            },
            Err(e) => return Err(failed("bind", e)),
        }
    }
    Err(failed("bind", Errno::EADDRINUSE))
}

/// The lock on a directory of sockets: one who removes a socket holds it, too.
///
/// # Errors
/// flock(2).
pub fn lock(dir: &OwnedFd) -> nix::Result<nix::fcntl::Flock<OwnedFd>> {
    let copy = dir.try_clone().map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))?;
    nix::fcntl::Flock::lock(copy, nix::fcntl::FlockArg::LockExclusive).map_err(|(_, e)| e)
}

/// Removes the socket's name.
pub fn remove(dir: impl AsFd, path: &Path) {
    if let Some(name) = path.file_name() {
        files::unlinkat(dir, name, UnlinkatFlags::NoRemoveDir).ok();
    }
}

/// Who serves the socket. `None`: nobody, and nobody will. One that is slow counts as there.
pub fn probe(path: &Path) -> Option<Speaks> {
    let ask = |client: &mut Client| {
        client.call::<ConnectResponse>("containerd.task.v2.Task", "Connect", &IdRequest::default())
    };
    match converse(path, PATIENCE, ask)? {
        Some(Err(failure)) if failure.code == 12 => Some(Speaks::OnlyV3),
        _ => Some(Speaks::V2),
    }
}

/// Speaks with whoever serves the socket: `None` if nobody does; `Some(None)` if somebody does who says nothing in time.
///
/// The kernel closes a dying process's descriptors one after the other: its clients may see the end before the socket refuses. So one who
/// hangs up is asked again, until he answers or is gone.
pub fn converse<T>(
    path: &Path,
    patience: Duration,
    ask: impl Fn(&mut Client) -> std::io::Result<T>,
) -> Option<Option<T>> {
    const TRIES: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(5);
    for _ in 0..TRIES {
        let answer = Client::connect(path, patience).and_then(|mut client| ask(&mut client));
        match answer.map_err(|e| e.kind()) {
            Ok(answer) => return Some(Some(answer)),
            Err(ErrorKind::ConnectionRefused | ErrorKind::NotFound) => return None,
            Err(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                std::thread::sleep(PAUSE);
            }
            Err(_) => return Some(None),
        }
    }
    Some(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against sha256sum.
    #[test]
    fn names_are_those_of_containerd() {
        let of = |address: &str, namespace: &str, group: &str, joined: &str| {
            let script = format!("printf %s '{joined}' | sha256sum | cut -d' ' -f1");
            let out = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
            assert_eq!(name(address, namespace, group), String::from_utf8(out.stdout).unwrap().trim());
        };
        of("/run/containerd/containerd.sock", "k8s.io", "abc", "/run/containerd/containerd.sock/k8s.io/abc");
        of("/run//containerd/../x.sock", "ns", "a/b", "/run/x.sock/ns/a/b");
        of("x.sock", "ns", "", "x.sock/ns");
    }

    #[test]
    fn one_of_many_gets_it_and_a_dead_one_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d/s");
        let Socket::Ours(first) = claim(&path).unwrap() else { panic!("taken by nobody") };
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap()) & 0o777, 0o600);
        // It listens but says nothing: it is there.
        assert!(matches!(claim(&path).unwrap(), Socket::Taken(Speaks::V2)));
        drop(first);
        assert!(matches!(claim(&path).unwrap(), Socket::Ours(_)));
        assert_eq!(std::fs::read_dir(dir.path().join("d")).unwrap().count(), 1);
        let long = dir.path().join("x".repeat(107));
        assert!(claim(&long).unwrap_err().to_string().contains("unix socket path too long (> 106)"));
    }
}
