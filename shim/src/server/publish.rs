//! Events, to the daemon: one after the other, each until it has been taken. While the daemon is away they wait, in order; what is
//! dropped when they are too many is what nobody waits for.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dunnage::log;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};

use super::poll::{Poll, Token};
use crate::proto::events::{Envelope, ForwardRequest};
use crate::proto::ttrpc::{KeyValue, Request, Response};
use crate::proto::{Any, Message, Timestamp};
use crate::ttrpc::frame::{self, HEADER, REQUEST, RESPONSE};

const SERVICE: &str = "containerd.services.events.ttrpc.v1.Events";
/// How long the daemon may take for one.
const PATIENCE: Duration = Duration::from_secs(5);
/// An idle connection is the daemon's descriptor, one for each pod of the node.
const IDLE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How many may wait.
const MAX_WAITING: usize = 10_000;

/// An event that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `/tasks/...`
    pub topic: String,
    /// The request to forward it, as bytes.
    pub request: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Nothing to do, or not until this moment.
    Pausing(Option<Instant>),
    /// The first of the queue is on its way: what of it is not sent, what of the answer is there, until when.
    Calling { unsent: Vec<u8>, answer: Vec<u8>, deadline: Instant },
}

/// The queue, and the connection.
#[derive(Debug)]
pub struct Publisher {
    address: PathBuf,
    namespace: String,
    queue: VecDeque<Event>,
    connection: Option<OwnedFd>,
    /// The connection has no room: we wait for it.
    full: bool,
    state: State,
    stream: u32,
    pause: Duration,
    idle_since: Option<Instant>,
    held: bool,
}

/// A daemon that is about to end, or just begins, says no to what it takes a moment later. What it does not understand it never will.
fn refuses_for_now(response: &Response) -> bool {
    const INVALID_ARGUMENT: i32 = 3;
    response.status.as_ref().is_some_and(|status| status.code != 0 && status.code != INVALID_ARGUMENT)
}

impl Publisher {
    /// To the socket at that address. Without one nobody wants events.
    pub fn new(address: PathBuf, namespace: String) -> Publisher {
        Publisher {
            address,
            namespace,
            queue: VecDeque::new(),
            connection: None,
            full: false,
            state: State::Pausing(None),
            stream: 1,
            pause: FIRST_PAUSE,
            idle_since: None,
            held: false,
        }
    }

    /// What waits; for a program that goes on with it.
    pub fn waiting(&self) -> impl Iterator<Item = &Event> {
        self.queue.iter()
    }

    /// What another program has left.
    pub fn take_over(&mut self, events: impl IntoIterator<Item = Event>) {
        self.queue.extend(events);
    }

    /// One is on its way: the daemon may have it already.
    pub fn is_calling(&self) -> bool {
        matches!(self.state, State::Calling { .. })
    }

    /// No other event is sent before this is called with `false`. The one that is on its way is awaited, or given up, in five seconds.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Nothing waits.
    pub fn is_done(&self) -> bool {
        self.queue.is_empty()
    }

    /// Puts an event behind the others.
    pub fn publish(&mut self, topic: &str, name: &str, event: &impl Message) {
        if self.address.as_os_str().is_empty() {
            return;
        }
        if self.queue.len() >= MAX_WAITING {
            self.drop_one();
        }
        let envelope = Envelope {
            timestamp: Some(Timestamp::now()),
            namespace: self.namespace.clone(),
            topic: topic.into(),
            event: Some(Any::of(&format!("containerd.events.{name}"), event)),
        };
        let metadata = KeyValue { key: "containerd-namespace-ttrpc".into(), value: self.namespace.clone() };
        let request = Request {
            service: SERVICE.into(),
            method: "Forward".into(),
            payload: ForwardRequest { envelope: Some(envelope) }.encode(),
            timeout_nano: i64::try_from(PATIENCE.as_nanos()).unwrap_or(0),
            metadata: vec![metadata],
        };
        self.queue.push_back(Event { topic: topic.into(), request: request.encode() });
    }

    /// The oldest of those that matter least: that an exec was wanted, or started. The first may be on its way.
    fn drop_one(&mut self) {
        let exec = |event: &Event| event.topic == "/tasks/exec-added" || event.topic == "/tasks/exec-started";
        let index = self.queue.iter().skip(1).position(exec).map_or(1, |index| index.saturating_add(1));
        self.queue.remove(index);
        log::warn("too many events wait for the daemon: one is dropped");
    }

    /// Goes on; the result is when to do so again if nothing happens.
    pub fn run(&mut self, poll: &Poll, now: Instant) -> Option<Instant> {
        loop {
            match &mut self.state {
                State::Pausing(Some(until)) if now < *until => return Some(*until),
                State::Pausing(_) if self.held => return None,
                State::Pausing(_) => {
                    let Some(event) = self.queue.front() else { return self.idle(poll, now) };
                    self.idle_since = None;
                    let mut unsent = Vec::new();
                    frame::put(self.stream, REQUEST, &event.request, &mut unsent);
                    if !self.connect(poll) {
                        self.later(poll, now);
                        continue;
                    }
                    let deadline = now.checked_add(PATIENCE).unwrap_or(now);
                    self.state = State::Calling { unsent, answer: Vec::new(), deadline };
                }
                State::Calling { deadline, .. } => {
                    let deadline = *deadline;
                    match self.exchange(poll) {
                        Ok(Some(response)) if refuses_for_now(&response) => self.later(poll, now),
                        Ok(Some(response)) => self.taken(&response),
                        Ok(None) if now < deadline => return Some(deadline),
                        Ok(None) | Err(_) => self.later(poll, now),
                    }
                }
            }
        }
    }

    fn idle(&mut self, poll: &Poll, now: Instant) -> Option<Instant> {
        self.state = State::Pausing(None);
        self.connection.as_ref()?;
        let since = *self.idle_since.get_or_insert(now);
        let until = since.checked_add(IDLE)?;
        if now < until {
            return Some(until);
        }
        self.close(poll);
        None
    }

    fn close(&mut self, poll: &Poll) {
        if let Some(connection) = self.connection.take() {
            poll.remove(&connection);
        }
        self.full = false;
        self.stream = 1;
        self.idle_since = None;
    }

    fn connect(&mut self, poll: &Poll) -> bool {
        if self.connection.is_some() {
            return true;
        }
        let open = || -> nix::Result<OwnedFd> {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
            connect(socket.as_raw_fd(), &UnixAddr::new(&self.address)?)?;
            poll.add_input_edges(&socket, Token::Publisher)?;
            Ok(socket)
        };
        self.connection = open().ok();
        // The number of the next stream is written into the frame before we know that the connection is new.
        self.connection.is_some()
    }

    /// The daemon is away, or slow: the same event again, a little later.
    fn later(&mut self, poll: &Poll, now: Instant) {
        self.close(poll);
        self.state = State::Pausing(now.checked_add(self.pause));
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
    }

    fn taken(&mut self, response: &Response) {
        if let Some(status) = response.status.as_ref().filter(|status| status.code != 0) {
            log::warn(format_args!("the daemon refuses an event: {}", status.message));
        }
        self.queue.pop_front();
        if self.queue.is_empty() {
            self.queue.shrink_to(16);
        }
        self.stream = self.stream.wrapping_add(2);
        self.pause = FIRST_PAUSE;
        self.state = State::Pausing(None);
    }

    /// Sends what is unsent, reads what is there. The response, once it is whole.
    fn exchange(&mut self, poll: &Poll) -> nix::Result<Option<Response>> {
        let State::Calling { unsent, answer, .. } = &mut self.state else { return Ok(None) };
        let connection = self.connection.as_ref().ok_or(Errno::ENOTCONN)?;
        let socket = connection.as_raw_fd();
        while !unsent.is_empty() {
            match send(socket, unsent, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                Ok(n) => drop(unsent.drain(..n.min(unsent.len()))),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(e) => return Err(e),
            }
        }
        if self.full == unsent.is_empty() {
            self.full = !unsent.is_empty();
            poll.want_output_edges(connection, Token::Publisher, self.full);
        }
        let mut buffer = [0u8; 4096];
        // A daemon that answers and ends: what it has answered counts, and is not told again.
        let mut ended = false;
        loop {
            match recv(socket, &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => {
                    ended = true;
                    break;
                }
                Ok(n) => answer.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(e) => return Err(e),
            }
        }
        while let Some(header) = frame::header(answer) {
            let end = header.length.saturating_add(HEADER);
            let Some(payload) = answer.get(HEADER..end) else { break };
            // An answer to an earlier call, which we had given up, may come first.
            if header.kind == RESPONSE && header.stream == self.stream {
                return Response::decode(payload).map(Some).map_err(|_| Errno::EBADMSG);
            }
            drop(answer.drain(..end));
        }
        if ended { Err(Errno::ECONNRESET) } else { Ok(None) }
    }
}
