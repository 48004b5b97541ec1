//! A seccomp agent: receives listeners and answers the calls that come over them.

use crate::common::pty::{Receiver, receive_fds};
use crate::common::{Value, patience};
use nix::libc::{self, c_int, c_ulong};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Instant;

/// `struct seccomp_notif` of `linux/seccomp.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    nr: i32,
    arch: u32,
    instruction_pointer: u64,
    args: [u64; 6],
}

/// `struct seccomp_notif_resp`
#[repr(C)]
struct Response {
    id: u64,
    val: i64,
    error: i32,
    flags: u32,
}

/// `struct seccomp_notif_addfd`
#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    srcfd: u32,
    newfd: u32,
    newfd_flags: u32,
}

const RECV: c_ulong = 0xc050_2100;
const SEND: c_ulong = 0xc018_2101;
const ADDFD: c_ulong = 0x4018_2103;
const CONTINUE: u32 = 1;
/// The call returns the number that the descriptor has there.
const ADDFD_AND_SEND: u32 = 2;

/// What a call is answered.
pub enum Answer {
    Value(i64),
    Errno(i32),
    Continue,
    Descriptor(File),
}

/// The socket of `listenerPath`.
pub struct Agent {
    receiver: Receiver,
}

/// One listener, and what came with it.
pub struct Handed {
    pub state: Value,
    fd: OwnedFd,
    connection: UnixStream,
}

impl Agent {
    pub fn new(path: &Path) -> Agent {
        Agent { receiver: Receiver::new(path) }
    }

    /// The next listener: one message with one descriptor.
    #[track_caller]
    pub fn next(&self) -> Handed {
        let connection = self.receiver.accept();
        let (state, mut fds) = receive_fds(&connection);
        assert_eq!(fds.len(), 1);
        Handed { state: serde_json::from_slice(&state).unwrap(), fd: fds.remove(0), connection }
    }
}

impl Handed {
    /// Whether the sender has closed its end behind the one state.
    pub fn is_all(&mut self) -> bool {
        self.connection.read(&mut [0]).is_ok_and(|n| n == 0)
    }

    /// Answers calls by their number and arguments until no process has the filter any more. Gives the numbers that came.
    pub fn serve(self, answer: impl Fn(i64, &[u64; 6]) -> Answer + Send + 'static) -> JoinHandle<Vec<i64>> {
        std::thread::spawn(move || {
            let mut seen = Vec::new();
            let end = Instant::now() + patience(30);
            while Instant::now() < end {
                let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
                // SAFETY: one struct pollfd.
                unsafe { libc::poll(&mut poll, 1, 50) };
                if poll.revents & libc::POLLIN != 0 {
                    seen.extend(self.answer_one(&answer));
                } else if poll.revents & libc::POLLHUP != 0 {
                    return seen;
                }
            }
            panic!("the filter is still in use after 30 seconds")
        })
    }

    fn answer_one(&self, answer: &impl Fn(i64, &[u64; 6]) -> Answer) -> Option<i64> {
        let mut call = Notification::default();
        // Its process may have died meanwhile.
        (self.ioctl(RECV, &mut call) == 0).then_some(())?;
        let number = i64::from(call.nr);
        let respond = |val, error, flags| {
            self.ioctl(SEND, &mut Response { id: call.id, val, error, flags });
        };
        match answer(number, &call.args) {
            Answer::Value(val) => respond(val, 0, 0),
            Answer::Errno(errno) => respond(0, -errno, 0),
            Answer::Continue => respond(0, 0, CONTINUE),
            Answer::Descriptor(file) => {
                let srcfd = file.as_raw_fd() as u32;
                let mut add = AddFd { id: call.id, flags: ADDFD_AND_SEND, srcfd, newfd: 0, newfd_flags: 0 };
                assert!(self.ioctl(ADDFD, &mut add) >= 0, "{}", std::io::Error::last_os_error());
            }
        }
        Some(number)
    }

    fn ioctl<T>(&self, request: c_ulong, argument: &mut T) -> c_int {
        // SAFETY: each request is called with the structure that it takes.
        unsafe { libc::ioctl(self.fd.as_raw_fd(), request, std::ptr::from_mut(argument)) }
    }
}
