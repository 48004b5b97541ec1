//! A netlink socket of one network namespace. The kernel answers within the call that asks, so whoever waits longer than a moment
//! waits in vain: that is an error, and not a hang.
//!
//! In a network namespace that others share, they may send to our socket, too: what does not come from the kernel (port 0) does not
//! count.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvmsg, send, setsockopt, socket,
    sockopt::ReceiveTimeout,
};
use nix::sys::time::TimeVal;

use super::message::{self, Message, NLM_F_ACK, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, Request};
use crate::error::{Errno, Error, Result};
use crate::files;
use crate::sys::netlink::{NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK, switch_on};

/// For the kernel's answer, which is there when the request returns.
const PATIENCE: TimeVal = TimeVal::new(10, 0);
/// The kernel makes lists in pieces of at most 32 KiB.
const LARGEST: usize = 64 << 10;
/// A list of more pieces is none that we have a use for: half a million addresses.
const PIECES: usize = 1024;
/// How often a list that changed meanwhile is asked for again.
const TRIES: usize = 16;
/// Messages that are not the answer to ours: how many are passed over.
const STRANGERS: usize = 4096;

/// Why the kernel did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its errno.
    pub errno: Errno,
    /// Its own words; mostly empty.
    pub words: String,
}

impl Refused {
    /// As an error of ours: `call: errno`, with the kernel's words behind it.
    pub fn error(self, call: impl std::fmt::Display) -> Error {
        let error = Error::sys(call, self.errno);
        if self.words.is_empty() { error } else { error.hint(format!("the kernel says: {}", self.words)) }
    }
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Refused {
        Refused { errno, words: String::new() }
    }
}

/// A socket of NETLINK_ROUTE.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// In our own network namespace. `groups`: what the kernel is to tell without being asked (`RTMGRP_*`).
    ///
    /// # Errors
    /// socket(2), bind(2).
    pub fn open(groups: u32) -> std::result::Result<Socket, Errno> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        setsockopt(&fd, ReceiveTimeout, &PATIENCE)?;
        for option in [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK] {
            // Without: fewer words, longer lists.
            switch_on(fd.as_fd(), option).ok();
        }
        Ok(Socket { fd, sequence: 0 })
    }

    /// In another one, into which we go for that. There is one thread (sys/clone.rs needs that, too).
    ///
    /// # Errors
    /// setns(2), and those of [`Socket::open`].
    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<Socket> {
        let ours = own_namespace()?;
        setns(namespace, CloneFlags::CLONE_NEWNET)
            .map_err(|e| Error::sys("setns of the container's network namespace", e))?;
        let opened = Socket::open(0);
        setns(&ours, CloneFlags::CLONE_NEWNET)
            .map_err(|e| Error::sys("setns back to the runtime's network namespace", e))?;
        opened.map_err(|e| Error::sys("socket (NETLINK_ROUTE) in the container's network namespace", e))
    }

    /// Has something done.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn act(&mut self, kind: u16, flags: u16, body: &[u8], more: impl FnOnce(Request) -> Request) -> Outcome<()> {
        self.ask(more(Request::new(kind, flags | NLM_F_ACK, body)), |_| ())
    }

    /// Asks for one thing.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn ask(&mut self, request: Request, mut each: impl FnMut(&Message<'_>)) -> Outcome<()> {
        self.send(request)?;
        let mut buffer = vec![0; LARGEST];
        for _ in 0..STRANGERS {
            let datagram = self.receive(&mut buffer, MsgFlags::empty())?;
            for message in message::messages(datagram).filter(|m| m.sequence == self.sequence) {
                match message.kind {
                    NLMSG_ERROR => return answered(&message),
                    _ => each(&message),
                }
            }
        }
        Err(Errno::ETIMEDOUT.into())
    }

    /// Asks for a list. Whatever changes while it is made, what `each` hears in the end is one that was whole; before another
    /// try `again` is called.
    ///
    /// # Errors
    /// The kernel's answer; `EAGAIN`: it changes without end; `E2BIG`: it has none.
    pub fn list<T>(&mut self, request: &Request, mut each: impl FnMut(&mut Vec<T>, &Message<'_>)) -> Outcome<Vec<T>> {
        let mut buffer = vec![0; LARGEST];
        for _ in 0..TRIES {
            let mut found = Vec::new();
            self.send(request.clone())?;
            if self.whole_list(&mut buffer, |message| each(&mut found, message))? {
                return Ok(found);
            }
        }
        Err(Errno::EAGAIN.into())
    }

    /// False: it has changed meanwhile.
    fn whole_list(&mut self, buffer: &mut [u8], mut each: impl FnMut(&Message<'_>)) -> Outcome<bool> {
        let mut interrupted = false;
        for _ in 0..PIECES {
            let datagram = self.receive(buffer, MsgFlags::empty())?;
            for message in message::messages(datagram).filter(|m| m.sequence == self.sequence) {
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_ERROR => answered(&message)?,
                    // With an errno, if the list could not be made.
                    NLMSG_DONE => return answered(&message).map(|()| !interrupted),
                    _ => each(&message),
                }
            }
        }
        Err(Errno::E2BIG.into())
    }

    /// What the kernel has told without being asked, up to now.
    ///
    /// # Errors
    /// recvmsg(2); `ENOBUFS`: there was more than it kept.
    pub fn told(&self, mut each: impl FnMut(&Message<'_>)) -> std::result::Result<(), Errno> {
        let mut buffer = vec![0; LARGEST];
        for _ in 0..STRANGERS {
            match self.receive(&mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(datagram) => message::messages(datagram).for_each(|m| each(&m)),
                Err(Errno::EAGAIN) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn send(&mut self, request: Request) -> std::result::Result<(), Errno> {
        // Never 0, which is of nobody's request.
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        send(self.fd.as_raw_fd(), &request.finish(self.sequence), MsgFlags::empty()).map(drop)
    }

    /// The next datagram of the kernel's; nothing of a stranger's.
    fn receive<'a>(&self, buffer: &'a mut [u8], flags: MsgFlags) -> std::result::Result<&'a [u8], Errno> {
        let (length, truncated, sender) = loop {
            let mut into = [IoSliceMut::new(buffer)];
            match recvmsg::<NetlinkAddr>(self.fd.as_raw_fd(), &mut into, None, flags) {
                Ok(m) => break (m.bytes, m.flags.contains(MsgFlags::MSG_TRUNC), m.address.map(|a| a.pid())),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e),
            }
        };
        match sender {
            Some(0) if truncated => Err(Errno::EMSGSIZE),
            Some(0) => Ok(buffer.get(..length).unwrap_or_default()),
            _ => Ok(&[]),
        }
    }
}

/// What comes of a request.
pub type Outcome<T> = std::result::Result<T, Refused>;

/// Our own network namespace.
///
/// # Errors
/// open(2).
pub fn own_namespace() -> Result<OwnedFd> {
    const OWN: &str = "/proc/self/ns/net";
    files::open(OWN, OFlag::O_RDONLY).map_err(|e| Error::sys(format!("open {OWN}"), e))
}

fn answered(message: &Message<'_>) -> Outcome<()> {
    match message::answer(message) {
        // The end of a list need not say anything.
        None if message.kind == NLMSG_DONE => Ok(()),
        None => Err(Errno::EBADMSG.into()),
        Some((0, _)) => Ok(()),
        Some((code, words)) => Err(Refused { errno: Errno::from_raw(code), words: words.to_owned() }),
    }
}
