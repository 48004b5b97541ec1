//! When there is nothing left to do: the daemon has said so, or nobody has been here for a minute. That it was said is remembered: who
//! asks first, with containers still there, is not asked to ask again.

use std::time::{Duration, Instant};

use dunnage::files;
use dunnage::log;

use super::Server;
use super::process::Caller;
use crate::manager::socket;
use crate::proto::{Empty, Message};

/// How long the daemon may take to hear the last events.
const FLUSH: Duration = Duration::from_secs(5);
/// How long nobody has to be here; for tests the environment may say less.
const IDLE: Duration = Duration::from_secs(60);

/// How long another client may take to say what it has come for, or to go.
const OTHERS: Duration = Duration::from_millis(500);

/// How far it has come.
#[derive(Debug)]
pub struct Leaving {
    asked: bool,
    /// Who has asked, and waits for the answer.
    callers: Vec<Caller>,
    /// Since when nothing keeps us but other clients.
    ready_since: Option<Instant>,
    /// The socket is gone: nobody finds us any more, and nothing keeps us but what is to be said. At the latest at this moment we go.
    gone_until: Option<Instant>,
    idle_since: Option<Instant>,
    idle: Duration,
}

impl Leaving {
    /// Somebody has started us, and will come.
    pub fn new() -> Leaving {
        let seconds = std::env::var("DUNNAGE_SHIM_IDLE_SECONDS").ok().and_then(|text| text.parse().ok());
        Leaving {
            asked: false,
            callers: Vec::new(),
            ready_since: None,
            gone_until: None,
            idle_since: Some(Instant::now()),
            idle: seconds.map_or(IDLE, Duration::from_secs),
        }
    }

    /// The daemon wants us to go.
    pub fn asked(&mut self, caller: Caller) {
        self.asked = true;
        self.callers.push(caller);
    }

    /// Whether it does; for a program that goes on.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// Whether the program before us was asked to.
    pub fn set_asked(&mut self, asked: bool) {
        self.asked = asked;
    }

    /// Whether nobody finds us any more.
    pub fn is_gone(&self) -> bool {
        self.gone_until.is_some()
    }

    /// A client, or a container.
    pub fn somebody_is_here(&mut self) {
        self.idle_since = None;
    }

    /// When something is to be done about it.
    pub fn deadline(&self) -> Option<Instant> {
        let others = self.ready_since.and_then(|since| since.checked_add(OTHERS));
        let idle = self.idle_since.and_then(|since| since.checked_add(self.idle));
        self.gone_until.or(others).or(idle)
    }
}

impl Default for Leaving {
    fn default() -> Leaving {
        Leaving::new()
    }
}

impl Server {
    /// Whether the last container has gone, and the daemon wants us to follow, or nobody is here.
    pub(super) fn look_whether_to_leave(&mut self) {
        if !self.containers.is_empty() {
            // It is remembered that it was said, and that is the answer.
            self.leaving.ready_since = None;
            let callers = std::mem::take(&mut self.leaving.callers);
            self.answer_all(callers, &Ok(Empty {}.encode()));
            return;
        }
        let now = Instant::now();
        if self.leaving.asked {
            self.leaving.ready_since.get_or_insert(now);
        }
        if self.connections.is_empty() {
            self.leaving.idle_since.get_or_insert(now);
        }
    }

    /// SIGTERM: nobody is served any more; containers stay, and whoever starts the group again finds no socket.
    pub(super) fn stop_serving(&mut self) {
        log::info("asked to stop by a signal");
        if self.leaving.gone_until.is_none() {
            self.remove_socket();
            self.go();
        }
    }

    /// Nobody finds us any more.
    fn go(&mut self) {
        self.poll.remove(&self.listener);
        self.leaving.gone_until = Instant::now().checked_add(FLUSH);
        let callers = std::mem::take(&mut self.leaving.callers);
        self.answer_all(callers, &Ok(Empty {}.encode()));
    }

    /// Whether that was all.
    pub(super) fn has_left(&mut self, now: Instant) -> bool {
        if self.leaving.gone_until.is_none() && self.may_go(now) && self.nobody_knocks() {
            self.go();
        }
        let Some(until) = self.leaving.gone_until else { return false };
        let said = self.publisher.is_done() && !self.connections.values().any(|c| c.has_unsent());
        said || until <= now
    }

    fn may_go(&self, now: Instant) -> bool {
        if !self.containers.is_empty() || !self.workers.is_idle() {
            return false;
        }
        let over = |since: Option<Instant>, time: Duration| {
            since.and_then(|since| since.checked_add(time)).is_some_and(|until| until <= now)
        };
        let is_asking = |number: &u32| self.leaving.callers.iter().any(|caller| caller.connection == *number);
        let alone = self.connections.keys().all(is_asking);
        let asked = self.leaving.ready_since.is_some() && (alone || over(self.leaving.ready_since, OTHERS));
        asked || (self.connections.is_empty() && over(self.leaving.idle_since, self.leaving.idle))
    }

    /// `start` connects and decides under the same lock under which we look for the last time and remove the socket. A client that has
    /// connected meanwhile keeps us here.
    fn nobody_knocks(&mut self) -> bool {
        let Some(Ok(dir)) = self.socket.parent().map(|dir| files::open(dir, files::DIRECTORY)) else { return true };
        let _lock = socket::lock(&dir);
        let before = self.connections.len();
        self.accept();
        if self.connections.len() > before {
            self.leaving.ready_since = self.leaving.ready_since.map(|_| Instant::now());
            return false;
        }
        self.remove_socket();
        true
    }

    fn remove_socket(&self) {
        let Some(Ok(dir)) = self.socket.parent().map(|dir| files::open(dir, files::DIRECTORY)) else { return };
        socket::remove(&dir, &self.socket);
    }
}
