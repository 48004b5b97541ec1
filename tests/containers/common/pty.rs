//! Terminals, and the sockets over which runtimes hand descriptors out.

use super::{eventually, patience, pause};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The master's side of a terminal, with everything that it has said.
pub struct Terminal {
    master: std::fs::File,
    said: String,
}

impl Terminal {
    /// A new pair: the master, and the slave for a command's descriptors.
    pub fn open(rows: u16, columns: u16) -> (Terminal, OwnedFd) {
        let size = nix::pty::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = nix::pty::openpty(Some(&size), None).unwrap();
        (Terminal::from(pair.master), pair.slave)
    }

    pub fn from(master: OwnedFd) -> Terminal {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        Terminal { master: master.into(), said: String::new() }
    }

    pub fn write(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        nix::ioctl_write_ptr_bad!(set_size, nix::libc::TIOCSWINSZ, nix::libc::winsize);
        let size = nix::libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: an open terminal and a struct winsize.
        unsafe { set_size(self.master.as_raw_fd(), &size) }.unwrap();
    }

    /// Reads until it has said this; gives all it has said.
    #[track_caller]
    pub fn expect(&mut self, words: &str) -> String {
        let end = Instant::now() + patience(10);
        while Instant::now() < end {
            self.poll();
            if self.said.contains(words) {
                return self.said.clone();
            }
            pause(5);
        }
        panic!("the terminal did not say {words:?} within ten seconds, but: {}", self.said);
    }

    /// What it has said by now; whether the other side is still open.
    pub fn poll(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.master.read(&mut buffer) {
                Ok(0) => return false,
                Ok(n) => self.said.push_str(&String::from_utf8_lossy(&buffer[..n])),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                // EIO: no slave is open any more.
                Err(_) => return false,
            }
        }
    }
}

/// A socket that waits for one descriptor, as conmon and go-runc do.
pub struct Receiver {
    listener: UnixListener,
    pub path: PathBuf,
}

/// What came over it.
pub struct Received {
    pub payload: Vec<u8>,
    pub fds: Vec<OwnedFd>,
    /// The sender has closed its end after the one message.
    pub closed: bool,
}

impl Receiver {
    pub fn new(path: &Path) -> Receiver {
        let listener = UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        Receiver { listener, path: path.to_path_buf() }
    }

    pub fn accept(&self) -> UnixStream {
        let stream = eventually("a connection", || self.listener.accept().ok()).0;
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(patience(10))).unwrap();
        stream
    }

    pub fn receive(&self) -> Received {
        let mut stream = self.accept();
        let (payload, fds) = receive_fds(&stream);
        let mut rest = [0; 16];
        let closed = stream.read(&mut rest).is_ok_and(|n| n == 0);
        Received { payload, fds, closed }
    }
}

/// One message and its descriptors.
pub fn receive_fds(stream: &UnixStream) -> (Vec<u8>, Vec<OwnedFd>) {
    let mut buffer = [0; 4096];
    let mut space = nix::cmsg_space!([i32; 16]);
    let (n, raw) = {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let message =
            recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC).unwrap();
        let mut raw = Vec::new();
        for part in message.cmsgs().unwrap() {
            if let ControlMessageOwned::ScmRights(fds) = part {
                raw.extend(fds);
            }
        }
        (message.bytes, raw)
    };
    // SAFETY: descriptors that the kernel has just given to us alone.
    let fds = raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect();
    (buffer[..n].to_vec(), fds)
}
