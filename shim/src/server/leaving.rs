//! When there is nothing left to do: the daemon has said so, or nobody has been here for a minute. That it was said is remembered: who
//! asks first, with containers still there, is not asked to ask again.

use std::time::{Duration, Instant};

use dunnage::files;
use dunnage::log;

use super::Server;
use crate::manager::socket;

/// How long the daemon may take to hear the last events.
const FLUSH: Duration = Duration::from_secs(5);
/// How long nobody has to be here; for tests the environment may say less.
const IDLE: Duration = Duration::from_secs(60);

/// How far it has come.
#[derive(Debug)]
pub struct Leaving {
    asked: bool,
    /// By a signal: nobody is served any more.
    stopped: bool,
    /// We go as soon as all is said, and at the latest at this moment.
    until: Option<Instant>,
    idle_since: Option<Instant>,
    idle: Duration,
}

impl Leaving {
    /// Somebody has started us, and will come.
    pub fn new() -> Leaving {
        let seconds = std::env::var("DUNNAGE_SHIM_IDLE_SECONDS").ok().and_then(|text| text.parse().ok());
        Leaving {
            asked: false,
            stopped: false,
            until: None,
            idle_since: Some(Instant::now()),
            idle: seconds.map_or(IDLE, Duration::from_secs),
        }
    }

    /// The daemon wants us to go.
    pub fn asked(&mut self) {
        self.asked = true;
    }

    /// Whether it does; for a program that goes on.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// A client, or a container.
    pub fn somebody_is_here(&mut self) {
        self.idle_since = None;
    }

    /// When something is to be done about it.
    pub fn deadline(&self) -> Option<Instant> {
        self.until.or_else(|| self.idle_since?.checked_add(self.idle))
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
            return;
        }
        if self.leaving.asked && self.leaving.until.is_none() {
            self.leaving.until = Instant::now().checked_add(FLUSH);
        }
        if self.connections.is_empty() && self.leaving.idle_since.is_none() {
            self.leaving.idle_since = Some(Instant::now());
        }
    }

    /// SIGTERM: nobody is served any more; containers stay, and whoever starts the group again finds no socket.
    pub(super) fn stop_serving(&mut self) {
        log::info("asked to stop by a signal");
        self.poll.remove(&self.listener);
        self.remove_socket();
        self.leaving.stopped = true;
        self.leaving.until = Instant::now().checked_add(FLUSH);
    }

    /// Whether that was all. A client that has connected meanwhile keeps us here.
    pub(super) fn has_left(&mut self, now: Instant) -> bool {
        let said = self.publisher.is_done() && !self.connections.values().any(|c| c.has_unsent());
        let idle = self.leaving.until.is_none() && self.leaving.deadline().is_some_and(|deadline| deadline <= now);
        if self.leaving.stopped {
            return said || self.leaving.until.is_some_and(|until| until <= now);
        }
        if !self.containers.is_empty() || !self.workers.is_idle() {
            self.leaving.until = None;
            return false;
        }
        let leaves = match self.leaving.until {
            Some(until) => said || until <= now,
            None => idle && self.connections.is_empty(),
        };
        leaves && self.nobody_knocks()
    }

    /// `start` connects and decides under the same lock under which we look for the last time and remove the socket.
    fn nobody_knocks(&mut self) -> bool {
        let Some(Ok(dir)) = self.socket.parent().map(|dir| files::open(dir, files::DIRECTORY)) else { return true };
        let _lock = socket::lock(&dir);
        let before = self.connections.len();
        self.accept();
        if self.connections.len() > before {
            self.leaving.until = None;
            self.leaving.idle_since = None;
            return false;
        }
        self.remove_socket();
        true
    }

    /// Its name, if it is still ours.
    fn remove_socket(&self) {
        if self.leaving.stopped {
            return;
        }
        let Some(Ok(dir)) = self.socket.parent().map(|dir| files::open(dir, files::DIRECTORY)) else { return };
        socket::remove(&dir, &self.socket);
    }
}
