//! Workers: copies of this process that do one job each ([`crate::jobs`]), and what they send.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use dunnage::error::{Error, Result};
use dunnage::launch::spawn::keep_init;
use dunnage::log;
use dunnage::sys::descriptors::recv_fds;
use dunnage::sys::fork::{self, Side};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socketpair};

use super::poll::{Poll, Token};
use super::process::Caller;
use crate::jobs::{self, Given, Job, Outcome, Place, Whose};
use crate::proto::Message;

/// What the server wanted a job for.
#[derive(Debug)]
pub struct Purpose {
    /// The container's number.
    pub container: u32,
    /// The exec's id, or empty.
    pub exec_id: String,
    /// What was done.
    pub kind: Kind,
    /// Who waits for it.
    pub caller: Option<Caller>,
}

/// The kinds of jobs.
#[expect(missing_docs, reason = "the names are those of the jobs")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Create,
    Start,
    Restore,
    Exec,
    Delete,
    /// After the first process's end.
    KillRest,
    Kill,
    Pause,
    Resume,
    Update,
    Checkpoint,
}

/// One that works.
#[derive(Debug)]
struct Worker {
    pid: i32,
    socket: OwnedFd,
    purpose: Purpose,
}

/// All that work.
#[derive(Debug, Default)]
pub struct Workers {
    all: BTreeMap<u32, Worker>,
    /// Those whose answer was read, or will never come, and which are not reaped yet.
    ending: Vec<i32>,
    next: u32,
}

impl Workers {
    /// Whether nobody works.
    pub fn is_idle(&self) -> bool {
        self.all.is_empty()
    }

    /// Has a job done.
    ///
    /// # Errors
    /// No process could be made.
    pub fn start(&mut self, poll: &Poll, whose: &Whose, job: &Job, purpose: Purpose, debug: bool) -> Result<()> {
        // Of the second process on there is one for all: a container with one process, of which a pod has many, needs none that stays.
        let init = matches!(job, Job::Exec { .. }).then(keep_init).flatten();
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(|e| Error::sys("socketpair for a worker", e))?;
        let Side::Parent(pid) = fork::fork().map_err(|e| Error::sys("fork of a worker", e))? else {
            become_worker(whose, job, &theirs, init, debug)
        };
        drop(theirs);
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        poll.add_input(&ours, Token::Worker(number)).map_err(|e| Error::sys("epoll_ctl", e))?;
        self.all.insert(number, Worker { pid, socket: ours, purpose });
        Ok(())
    }

    /// What the worker has sent, if it has; nothing and an error if it died before.
    pub fn receive(&mut self, poll: &Poll, number: u32) -> Option<(Purpose, Outcome, Given)> {
        let worker = self.all.get(&number)?;
        let mut buffer = vec![0u8; waiting(&worker.socket)];
        let received = match recv_fds(worker.socket.as_fd(), &mut buffer) {
            Err(Errno::EINTR | Errno::EAGAIN) => return None,
            received => received,
        };
        poll.remove(&worker.socket);
        let worker = self.all.remove(&number)?;
        self.ending.push(worker.pid);
        let (outcome, given) = match received {
            Ok((n, fds)) if n > 0 => match Outcome::decode(buffer.get(..n).unwrap_or_default()) {
                Ok(outcome) => {
                    let places = outcome.places.iter().filter_map(|number| Place::of(*number));
                    let given = places.zip(fds).collect();
                    (outcome, given)
                }
                Err(fault) => (died(&format!("its answer is malformed: {fault}")), Given::new()),
            },
            Ok(_) => (died("it ended without an answer"), Given::new()),
            Err(e) => (died(&e.to_string()), Given::new()),
        };
        Some((worker.purpose, outcome, given))
    }

    /// Whether one has sent its answer, or died.
    pub fn has_sent(&self, number: u32) -> bool {
        let Some(worker) = self.all.get(&number) else { return false };
        let mut fds = [PollFd::new(worker.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|count| count > 0)
    }

    /// The numbers of all that work.
    pub fn numbers(&self) -> Vec<u32> {
        self.all.keys().copied().collect()
    }

    /// Whether that process, which has ended, was one.
    pub fn reaped(&mut self, pid: i32) -> bool {
        let index = self.ending.iter().position(|ending| *ending == pid);
        if let Some(index) = index {
            self.ending.swap_remove(index);
        }
        // One that has not been heard yet will be: its socket is still there.
        index.is_some() || self.all.values().any(|worker| worker.pid == pid)
    }
}

/// How long the next answer is. Its longest is an error of 64 KiB; a buffer for that, each time, would stay in our memory for years.
fn waiting(socket: &OwnedFd) -> usize {
    const LONGEST: usize = 80 << 10;
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
    recv(socket.as_raw_fd(), &mut [], flags).map_or(LONGEST, |length| length.min(LONGEST))
}

fn died(why: &str) -> Outcome {
    const UNKNOWN: i32 = 2;
    Outcome { code: UNKNOWN, error: format!("the worker failed: {why}"), ..Outcome::default() }
}

/// In the copy. It keeps its socket and our log; whatever else we have open (fifos whose end a client waits for) it must not hold.
fn become_worker(whose: &Whose, job: &Job, socket: &OwnedFd, init: Option<BorrowedFd<'_>>, debug: bool) -> ! {
    let [_, _, stderr] = dunnage::sys::descriptors::stdio();
    let log = stderr.try_clone_to_owned();
    let mut keep = vec![socket.as_raw_fd()];
    keep.extend(log.as_ref().map(AsRawFd::as_raw_fd));
    keep.extend(init.as_ref().map(AsRawFd::as_raw_fd));
    if fork::close_all_but(&keep).is_err() {
        fork::exit(1);
    }
    if let Ok(log) = log {
        log::to(debug, log::Format::Text, log);
    }
    fork::default_signals();
    jobs::work(whose, job, socket.as_fd())
}
