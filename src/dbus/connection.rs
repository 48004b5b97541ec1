//! One connection with one outstanding call. No thread; no wait without a deadline, which is one for the whole of what is
//! asked, so that a peer that dribbles gains nothing.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::SendTimeout;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, sendmsg, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::wire::{FIXED_HEADER, Kind, Message};
use super::{Address, Value};
use crate::error::{Errno, Error, Result};

/// Signals kept while nobody asks for them.
const MAX_SIGNALS: usize = 256;
/// The longest line of the authentication: `OK ` and 32 digits in practice.
const MAX_LINE: usize = 512;

/// Until when to wait, on a clock that nobody sets.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// From now on.
    pub fn after(time: Duration) -> Deadline {
        let now = Instant::now();
        Deadline(now.checked_add(time).unwrap_or(now))
    }

    /// The earlier one of this and `time` from now.
    #[must_use]
    pub fn within(self, time: Duration) -> Deadline {
        Deadline(self.0.min(Deadline::after(time).0))
    }

    /// What is left, never zero.
    pub fn rest(self) -> Result<Duration, Failure> {
        match self.0.checked_duration_since(Instant::now()) {
            Some(rest) if !rest.is_zero() => Ok(rest),
            _ => Err(Failure::Timeout),
        }
    }
}

/// How asking goes wrong. Who asks decides by it whether to ask again.
#[derive(Debug)]
pub enum Failure {
    /// The peer answered with an error: its name (`org.freedesktop.systemd1.NoSuchUnit`), and its text for people.
    Refused {
        /// Of the error.
        name: String,
        /// For people.
        text: String,
    },
    /// There is no connection, or not any more. Whether a call that was sent has been heard is not known.
    Lost(Error),
    /// The deadline has passed. An answer may still come; nobody will read it.
    Timeout,
    /// The peer speaks something else, or we were asked to send what D-Bus does not carry. Asking again does not help.
    Invalid(Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused { name, text } if text.is_empty() => f.write_str(name),
            Failure::Refused { text, .. } => f.write_str(text),
            Failure::Lost(error) | Failure::Invalid(error) => error.fmt(f),
            Failure::Timeout => f.write_str("no answer in time"),
        }
    }
}

impl Failure {
    fn lost(call: &str, errno: Errno) -> Failure {
        Failure::Lost(Error::sys(call, errno))
    }
}

/// What is at the other end of the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A bus, which first wants a Hello and then passes messages on to whom they name.
    Bus,
    /// The service itself.
    Direct,
}

/// A method call without its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Method<'a> {
    /// The service, as a bus knows it. Not told to a [`Peer::Direct`].
    pub destination: &'a str,
    /// The object.
    pub path: &'a str,
    /// The object's interface.
    pub interface: &'a str,
    /// The method.
    pub member: &'a str,
}

const BUS: Method<'_> = Method {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
};

/// An authenticated connection.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    peer: Peer,
    serial: u32,
    passes_descriptors: bool,
    /// Of the peer's bytes what is not yet a whole message.
    received: Vec<u8>,
    /// Members of the signals that somebody will ask for; all others are dropped as they come.
    wanted: &'static [&'static str],
    signals: VecDeque<Message>,
}

impl Connection {
    /// Connects and authenticates. `wanted`: members of the signals to keep; a bus has to be told with [`Self::add_match`], too.
    pub fn open(
        address: &Address,
        peer: Peer,
        wanted: &'static [&'static str],
        deadline: Deadline,
    ) -> Result<Connection, Failure> {
        let socket = connected(address, deadline)?;
        let (received, signals) = (Vec::new(), VecDeque::new());
        let mut connection =
            Connection { socket, peer, serial: 0, passes_descriptors: false, received, wanted, signals };
        connection.authenticate(deadline)?;
        if peer == Peer::Bus {
            connection.call(BUS, &[], deadline)?;
        }
        Ok(connection)
    }

    /// EXTERNAL without saying who: the kernel tells the peer, also when our ids are those of another user namespace.
    ///
    /// All in one write, and no message before the answer: what systemd reads together with BEGIN stays in its buffer until
    /// something else arrives.
    fn authenticate(&mut self, deadline: Deadline) -> Result<(), Failure> {
        self.send(b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", &[], deadline)?;
        let mut answer = self.line(deadline)?;
        if answer == "DATA" {
            answer = self.line(deadline)?;
        } else if answer.starts_with("OK") {
            // systemd before 247 is content with AUTH, and then answers DATA too.
            self.line(deadline)?;
        }
        if answer.starts_with("OK") {
            self.passes_descriptors = self.line(deadline)? == "AGREE_UNIX_FD";
            return Ok(());
        }
        Err(Failure::Lost(Error::new(format!("authentication refused: {}", answer.escape_debug()))))
    }

    fn line(&mut self, deadline: Deadline) -> Result<String, Failure> {
        loop {
            if let Some(end) = self.received.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.received.drain(..end.saturating_add(2)).collect();
                let line = line.get(..end).unwrap_or_default();
                return Ok(String::from_utf8_lossy(line).into_owned());
            }
            if self.received.len() > MAX_LINE {
                return Err(Failure::Invalid(Error::new("the peer's authentication is not that of D-Bus")));
            }
            self.receive(deadline)?;
        }
    }

    /// Whether somebody has this name on a bus, for who must not wait until a bus has started it.
    pub fn name_has_owner(&mut self, name: &str, deadline: Deadline) -> Result<bool, Failure> {
        let method = Method { member: "NameHasOwner", ..BUS };
        let answer = self.call(method, &[Value::String(name.into())], deadline)?;
        Ok(answer.body().map_err(Failure::Invalid)? == [Value::Bool(true)])
    }

    /// Asks a bus for signals (D-Bus Specification, "Match Rules").
    pub fn add_match(&mut self, rule: &str, deadline: Deadline) -> Result<(), Failure> {
        let method = Method { member: "AddMatch", ..BUS };
        self.call(method, &[Value::String(rule.into())], deadline).map(drop)
    }

    /// Calls and waits for the answer. Signals that come meanwhile are kept.
    pub fn call(&mut self, method: Method<'_>, arguments: &[Value], deadline: Deadline) -> Result<Message, Failure> {
        self.call_with(method, arguments, &[], deadline)
    }

    /// Whether descriptors can go with a call.
    pub fn passes_descriptors(&self) -> bool {
        self.passes_descriptors
    }

    /// The same with descriptors, to which [`Value::Descriptor`]s among the arguments refer by their place.
    pub fn call_with(
        &mut self,
        method: Method<'_>,
        arguments: &[Value],
        descriptors: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<Message, Failure> {
        let serial = self.send_call(method, arguments, descriptors, deadline)?;
        loop {
            let message = self.message(deadline)?;
            match message.kind {
                Kind::Reply if message.reply_serial == Some(serial) => return Ok(message),
                Kind::Error if message.reply_serial == Some(serial) => return Err(refused(message)),
                _ => self.keep(message)?,
            }
        }
    }

    /// The next signal of those kept.
    pub fn signal(&mut self, deadline: Deadline) -> Result<Message, Failure> {
        loop {
            if let Some(signal) = self.signals.pop_front() {
                return Ok(signal);
            }
            let message = self.message(deadline)?;
            self.keep(message)?;
        }
    }

    fn keep(&mut self, message: Message) -> Result<(), Failure> {
        let wanted = message.member.as_deref().is_some_and(|member| self.wanted.contains(&member));
        if message.kind != Kind::Signal || !wanted {
            return Ok(());
        }
        if self.signals.len() >= MAX_SIGNALS {
            return Err(Failure::Lost(Error::new("more signals than anybody can want")));
        }
        self.signals.push_back(message);
        Ok(())
    }

    fn send_call(
        &mut self,
        method: Method<'_>,
        arguments: &[Value],
        descriptors: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<u32, Failure> {
        self.serial = self.serial.checked_add(1).unwrap_or(1);
        let mut message = Message::new(Kind::Call);
        message.serial = self.serial;
        message.descriptors = u32::try_from(descriptors.len()).unwrap_or(u32::MAX);
        message.path = Some(method.path.into());
        message.interface = Some(method.interface.into());
        message.member = Some(method.member.into());
        message.destination = (self.peer == Peer::Bus).then(|| method.destination.into());
        let bytes = message.with_body(arguments).and_then(|message| message.to_bytes()).map_err(Failure::Invalid)?;
        self.send(&bytes, descriptors, deadline)?;
        Ok(self.serial)
    }

    /// Descriptors go with the first byte.
    fn send(&mut self, bytes: &[u8], descriptors: &[BorrowedFd<'_>], deadline: Deadline) -> Result<(), Failure> {
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let with = [ControlMessage::ScmRights(&numbers)];
        let mut control: &[ControlMessage<'_>] = if numbers.is_empty() { &[] } else { &with };
        let mut rest = bytes;
        while !rest.is_empty() {
            // MSG_NOSIGNAL: a peer that has gone is an error of ours, not our end.
            let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
            match sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(rest)], control, flags, None) {
                Ok(n) => (rest, control) = (rest.get(n..).unwrap_or_default(), &[]),
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLOUT, deadline)?,
                Err(Errno::EINTR) => {}
                Err(e) => return Err(Failure::lost("send", e)),
            }
        }
        Ok(())
    }

    fn message(&mut self, deadline: Deadline) -> Result<Message, Failure> {
        loop {
            if let Some(head) = self.received.get(..FIXED_HEADER) {
                let length = Message::length(head).map_err(Failure::Invalid)?;
                if let Some(bytes) = self.received.get(..length) {
                    let message = Message::from_bytes(bytes).map_err(Failure::Invalid)?;
                    self.received.drain(..length);
                    return Ok(message);
                }
            }
            self.receive(deadline)?;
        }
    }

    /// Some more bytes.
    fn receive(&mut self, deadline: Deadline) -> Result<(), Failure> {
        let mut buffer = [0; 4096];
        loop {
            // Asked first: a peer that never stops talking must not keep us past the deadline either.
            deadline.rest()?;
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Err(Failure::Lost(Error::new("the peer closed the connection"))),
                Ok(n) => {
                    self.received.extend(buffer.get(..n).unwrap_or_default());
                    return Ok(());
                }
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLIN, deadline)?,
                Err(Errno::EINTR) => {}
                Err(e) => return Err(Failure::lost("recv", e)),
            }
        }
    }

    fn wait(&self, events: PollFlags, deadline: Deadline) -> Result<(), Failure> {
        // Rounded up: not to ask again and again in the last millisecond.
        let rest = deadline.rest()?.as_millis().saturating_add(1);
        let timeout = PollTimeout::try_from(rest).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.socket.as_fd(), events)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(e) => Err(Failure::lost("poll", e)),
        }
    }
}

fn connected(address: &Address, deadline: Deadline) -> Result<OwnedFd, Failure> {
    let failed = Failure::lost;
    let name = match address {
        Address::Path(path) => UnixAddr::new(path.as_path()),
        Address::Abstract(name) => UnixAddr::new_abstract(name),
    };
    let name = name.map_err(|e| failed("connect", e))?;
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    let socket = socket.map_err(|e| failed("socket", e))?;
    loop {
        // A peer that does not accept lets connect(2) wait for this long when its queue is full; there is no poll(2) for it.
        let rest = i64::try_from(deadline.rest()?.as_micros()).unwrap_or(i64::MAX);
        let timeout = TimeVal::microseconds(rest.max(1));
        setsockopt(&socket, SendTimeout, &timeout).map_err(|e| failed("setsockopt", e))?;
        match connect(socket.as_raw_fd(), &name) {
            Ok(()) => return Ok(socket),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Err(Failure::Timeout),
            Err(e) => return Err(failed("connect", e)),
        }
    }
}

/// The text is for our log and our user's terminal: one line, of a length that one reads.
fn refused(message: Message) -> Failure {
    let text = match message.body().ok().and_then(|body| body.into_iter().next()) {
        Some(Value::String(text)) => text.chars().take(1024).map(|c| if c.is_control() { ' ' } else { c }).collect(),
        _ => String::new(),
    };
    Failure::Refused { name: message.error_name.unwrap_or_default(), text }
}

#[cfg(test)]
#[path = "tests/connection.rs"]
#[allow(clippy::arithmetic_side_effects)] // A panic is what a test wants.
mod tests;
