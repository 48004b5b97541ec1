//! The server: one thread, one loop, everything that a group of containers is to the daemon. It never waits but in [`poll`]: what takes
//! time is done by [`workers`], and answered when they have done it.
//!
//! | file | owns |
//! |---|---|
//! | `poll` | epoll |
//! | `process`, `container` | what is known of each; what may be done in which state |
//! | `calls` | the methods that are answered at once |
//! | `changes` | those that take a worker, and what comes of it |
//! | `sandbox` | the methods of a pod's sandbox |
//! | `exits` | children that have ended; memory that ran out |
//! | `flows`, `pump` | streams |
//! | `publish` | events |
//! | `leaving` | when there is nothing left to do |
//! | `upgrade`, `resume` | another program goes on in our process |
//!
//! A child's end is looked at only after all that workers have sent: a process is known before it can be seen to end, because a worker
//! sends its pid before it exits, and only by its exit does the process become our child. So the race in which a process
//! ends before anybody knows of it cannot be written down here.

mod calls;
mod changes;
pub mod container;
mod exits;
mod flows;
mod leaving;
pub mod poll;
pub mod process;
pub mod publish;
pub mod pump;
mod resume;
pub mod sandbox;
pub mod upgrade;
pub mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dunnage::cgroup::Host;
use dunnage::error::{Error, Result};
use dunnage::sys::fork;
use dunnage::sys::pidfd::PidFd;
use dunnage::{files, log};
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{SockFlag, UnixAddr, accept4, getsockname, getsockopt, sockopt};

use crate::args::Args;
use crate::bundle::{Bundle, Exit, Member};
use crate::oom::Oom;
use crate::ttrpc::Answer;
use crate::ttrpc::connection::Connection;
use container::Container;
use flows::Flow;
use leaving::Leaving;
use poll::{Poll, Token};
use process::Caller;
use publish::Publisher;
use upgrade::Wanted;
use workers::Workers;

/// The listening socket is this descriptor when the server is executed.
pub const LISTENER: RawFd = 3;

/// What is due at some moment. Whoever it is for may be gone by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timer {
    /// Look whether the client has read the rest of a stream.
    Linger(u32),
    /// The other processes of a container have had their time to end.
    Ending(u32),
    /// Nobody waits any longer for a process's output: the container's number, the exec's id.
    Drained(u32, String),
    /// A logger that has read everything should have ended.
    Logger(u32),
}

/// The server.
pub struct Server {
    namespace: String,
    group: String,
    debug: bool,
    socket: PathBuf,
    /// The bundle of the group's first container.
    leader: PathBuf,
    listener: OwnedFd,
    signals: SignalFd,
    poll: Poll,
    host: Host,
    connections: BTreeMap<u32, Connection>,
    containers: BTreeMap<u32, Container>,
    flows: BTreeMap<u32, Flow>,
    /// Flows that had more to move than their turn allowed.
    eager: BTreeSet<u32>,
    workers: Workers,
    publisher: Publisher,
    oom: Oom,
    /// Ends of processes that nobody knows, as long as a worker may still tell of them.
    strangers: Vec<(Exit, dunnage::sys::pidfd::Exit)>,
    /// Of processes that are gone, and the signal that they get next.
    loggers: BTreeMap<u32, (PidFd, i32)>,
    timers: BTreeMap<(Instant, u32), Timer>,
    next: u32,
    leaving: Leaving,
    upgrade: Option<Wanted>,
}

/// Serves until there is nothing left to do.
///
/// # Errors
/// What keeps it from beginning.
pub fn run(args: &Args) -> Result<()> {
    let mut server = match args.resume {
        Some(fd) => Server::resume(args, fd)?,
        None => Server::begin(args)?,
    };
    loop {
        let now = Instant::now();
        server.fire(now);
        let publish = server.publisher.run(&server.poll, now);
        if server.has_left(now) {
            return Ok(());
        }
        server.upgrade_if_quiet(now);
        let timeout = server.timeout(now, publish);
        let tokens = server.poll.wait(timeout)?;
        server.turn(&tokens);
    }
}

impl Server {
    fn begin(args: &Args) -> Result<Server> {
        let listener = listener(&args.socket)?;
        open_log();
        let leader = std::env::current_dir().map_err(|e| Error::io("getcwd", &e))?;
        // The first bundle can be removed, too.
        std::env::set_current_dir("/").map_err(|e| Error::io("chdir /", &e))?;
        Server::with_listener(args, listener, leader)
    }

    fn with_listener(args: &Args, listener: OwnedFd, leader: PathBuf) -> Result<Server> {
        let failed = |call: &'static str| move |e| Error::sys(call, e);
        // We are executed as /proc/self/exe, and would be `exe` in ps; those who look for shims know them by this name.
        nix::sys::prctl::set_name(c"containerd-shim").map_err(failed("prctl PR_SET_NAME"))?;
        fork::become_subreaper().map_err(failed("prctl PR_SET_CHILD_SUBREAPER"))?;
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        for signal in [libc::SIGPIPE, libc::SIGHUP] {
            fork::ignore(signal);
        }
        let mut set = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1] {
            set.add(signal);
        }
        set.thread_block().map_err(failed("sigprocmask"))?;
        let signals =
            SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map_err(failed("signalfd"))?;
        let address: UnixAddr = getsockname(listener.as_raw_fd()).map_err(failed("getsockname"))?;
        let socket = address.path().ok_or_else(|| Error::new("the socket has no name"))?.to_owned();
        log::open(args.debug, log::Format::Text, None)?;
        let poll = Poll::new()?;
        poll.add_input(&listener, Token::Listener).map_err(failed("epoll_ctl"))?;
        poll.add_input(&signals, Token::Signals).map_err(failed("epoll_ctl"))?;
        let host = Host::detect()?;
        host.clone().keep();
        // Looked up once, here: the workers are copies of this process, and each would look again.
        dunnage::host::in_user_namespace();
        // Without a descriptor for it there is still the look at each container's end.
        let oom = Oom::new(&host).map_err(log::warn).unwrap_or_default();
        if let Some(fd) = oom.as_fd() {
            poll.add_input(fd, Token::Inotify).map_err(failed("epoll_ctl"))?;
        }
        let ttrpc = std::env::var_os("TTRPC_ADDRESS").unwrap_or_default();
        Ok(Server {
            namespace: args.namespace.clone(),
            group: args.id.clone(),
            debug: args.debug,
            socket,
            leader,
            listener,
            signals,
            poll,
            host,
            connections: BTreeMap::new(),
            containers: BTreeMap::new(),
            flows: BTreeMap::new(),
            eager: BTreeSet::new(),
            workers: Workers::default(),
            publisher: Publisher::new(ttrpc.into(), args.namespace.clone()),
            oom,
            strangers: Vec::new(),
            loggers: BTreeMap::new(),
            timers: BTreeMap::new(),
            next: 0,
            leaving: Leaving::new(),
            upgrade: None,
        })
    }

    /// A number that nothing else has.
    fn number(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    fn set_timer(&mut self, after: Duration, timer: Timer) {
        let number = self.number();
        if let Some(at) = Instant::now().checked_add(after) {
            self.timers.insert((at, number), timer);
        }
    }

    fn fire(&mut self, now: Instant) {
        while let Some(entry) = self.timers.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Timer::Linger(flow) => self.linger(flow),
                Timer::Ending(container) => self.give_up_waiting_for_execs(container),
                Timer::Drained(container, exec_id) => self.close_outputs(container, &exec_id),
                Timer::Logger(logger) => self.logger_is_late(logger),
            }
        }
    }

    fn timeout(&self, now: Instant, publish: Option<Instant>) -> Option<Duration> {
        if !self.eager.is_empty() {
            return Some(Duration::ZERO);
        }
        let timer = self.timers.keys().next().map(|(at, _)| *at);
        let upgrade = self.upgrade.as_ref().and_then(Wanted::deadline);
        let soonest = [timer, publish, self.leaving.deadline(), upgrade].into_iter().flatten().min();
        soonest.map(|at| at.saturating_duration_since(now))
    }

    fn turn(&mut self, tokens: &[Token]) {
        let workers: Vec<u32> = tokens
            .iter()
            .filter_map(|token| if let Token::Worker(number) = token { Some(*number) } else { None })
            .collect();
        workers.into_iter().for_each(|number| self.hear(number));
        for token in tokens {
            match *token {
                Token::Worker(_) => {}
                Token::Signals => self.signalled(),
                Token::Listener => self.accept(),
                Token::Connection(number) => self.serve(number),
                Token::Pump(number) => self.pump(number),
                // The next turn begins with it.
                Token::Publisher => {}
                Token::Inotify => self.memory_ran_out_somewhere(),
                Token::Memory(number) => self.memory_ran_out(number),
            }
        }
        for number in std::mem::take(&mut self.eager) {
            self.pump(number);
        }
    }

    /// What a worker has to say.
    fn hear(&mut self, number: u32) {
        if let Some((purpose, outcome, given)) = self.workers.receive(&self.poll, number) {
            self.done(purpose, outcome, given);
        }
    }

    fn signalled(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            match i32::try_from(info.ssi_signo).unwrap_or(0) {
                libc::SIGCHLD => {}
                libc::SIGUSR1 => self.dump(),
                _ => self.stop_serving(),
            }
        }
        self.reap();
    }

    fn accept(&mut self) {
        loop {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let Ok(raw) = accept4(self.listener.as_raw_fd(), flags) else { return };
            let Some(socket) = fork::inherited(raw) else { return };
            self.admit(socket);
        }
    }

    /// Only who could do to us what we do to others gets in; the socket's mode says the same.
    fn admit(&mut self, socket: OwnedFd) {
        let ours = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        match getsockopt(&socket, sockopt::PeerCredentials) {
            Ok(peer) if (peer.uid(), peer.gid()) == ours => {}
            _ => return,
        }
        let number = self.number();
        if self.poll.add_input(&socket, Token::Connection(number)).is_ok() {
            self.connections.insert(number, Connection::new(socket));
            self.leaving.somebody_is_here();
        }
    }

    fn serve(&mut self, number: u32) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if connection.has_unsent() {
            connection.flush();
            self.poll.want_output(connection.as_fd(), Token::Connection(number), connection.has_unsent());
        }
        let read = connection.read();
        for (stream, request) in read.requests {
            self.call(Caller { connection: number, stream }, request);
        }
        if read.ended || self.connections.get(&number).is_some_and(Connection::is_stuffed) {
            self.hang_up(number);
        }
    }

    fn hang_up(&mut self, number: u32) {
        if let Some(connection) = self.connections.remove(&number) {
            self.poll.remove(connection.as_fd());
        }
        for container in self.containers.values_mut() {
            for process in container.execs.values_mut().chain([&mut container.init]) {
                process.waiters.retain(|waiter| waiter.caller.connection != number);
            }
        }
        self.look_whether_to_leave();
    }

    fn answer(&mut self, caller: Caller, answer: Answer) {
        if let Some(connection) = self.connections.get_mut(&caller.connection) {
            connection.answer(caller.stream, answer);
            if connection.has_unsent() {
                self.poll.want_output(connection.as_fd(), Token::Connection(caller.connection), true);
            }
        }
    }

    fn answer_all(&mut self, callers: Vec<Caller>, answer: &Answer) {
        callers.into_iter().for_each(|caller| self.answer(caller, answer.clone()));
    }

    /// The number of the container of that id.
    fn find(&self, id: &str) -> Option<u32> {
        self.containers.iter().find(|(_, container)| container.whose.id == id).map(|(number, _)| *number)
    }

    /// The address as it is printed and kept.
    fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Notes who is here, for a `delete` after our death.
    fn note_members(&self) {
        let members: Vec<Member> = self
            .containers
            .values()
            .map(|c| Member { id: c.whose.id.clone(), bundle: c.whose.bundle.clone() })
            .collect();
        // The first container may have been removed, and then its bundle has.
        if let Ok(bundle) = Bundle::open(&self.leader)
            && let Err(e) = bundle.write_group(&members)
        {
            log::warn(e);
        }
    }

    /// For whoever looks for a fault (SIGUSR1).
    fn dump(&self) {
        log::info(format_args!(
            "shim of {}/{}: {} containers, {} connections, {} flows, {} timers, {} strangers, workers {:?}",
            self.namespace,
            self.group,
            self.containers.len(),
            self.connections.len(),
            self.flows.len(),
            self.timers.len(),
            self.strangers.len(),
            self.workers.numbers()
        ));
        for c in self.containers.values() {
            log::info(format_args!("container {}: {:?} {:?} {:?}", c.whose.id, c.init.phase, c.freezing, c.busy));
            for process in c.execs.values() {
                log::info(format_args!("exec {} {}: {:?}", c.whose.id, process.exec_id, process.phase));
            }
        }
    }
}

/// The socket that `start` has made, or one of our own.
fn listener(path: &Path) -> Result<OwnedFd> {
    if path.as_os_str().is_empty() {
        return fork::inherited(LISTENER).ok_or_else(|| Error::new("no socket was inherited as descriptor 3"));
    }
    match crate::manager::socket::claim(path)? {
        crate::manager::socket::Socket::Ours(socket) => Ok(socket),
        crate::manager::socket::Socket::Taken(_) => {
            Err(Error::new(format!("{} is served by another shim", path.display())))
        }
    }
}

/// Our stderr becomes the daemon's fifo for records. We hold a reader, too: while the daemon is away there is no SIGPIPE; what does not
/// fit is dropped, and a fifo that is not there is nothing that a container should die of.
fn open_log() {
    if let Ok(fifo) = files::open("log", OFlag::O_RDWR | OFlag::O_NONBLOCK) {
        fork::install(fifo.as_raw_fd(), 2).ok();
    }
}
