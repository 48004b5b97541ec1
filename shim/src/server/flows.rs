//! The streams of all processes: which pump is whose, and when each is closed. A client's reader sees the end of a stream when we close
//! our ends of its fifo: soon after the process's end, but not before what it wrote was read, be it by a daemon that comes back in an hour.

use std::time::Duration;

use dunnage::sys::pidfd::PidFd;
use nix::errno::Errno;

use super::poll::Token;
use super::pump::{Keep, Progress, Pump};
use super::{Server, Timer};
use crate::jobs::{Given, Place};

/// The first look whether the client has read the rest; the next ones come later and later.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_secs(1);
/// The output of an exec is for the client that asked for it. One that has gone does not come back for it.
const LOOKS_FOR_EXEC: u32 = 70;
/// While a deletion waits for it.
const HURRIED_LOOK: Duration = Duration::from_millis(5);
/// How long a deletion waits for a reader to read what lies in the fifo: a client that closes its end when it has the answer has lost the
/// rest.
const UNREAD: Duration = Duration::from_secs(2);
/// The same where nobody reads the fifo: a daemon that comes back asks for the end of a container, and opens its fifos beside that.
const NO_READER: Duration = Duration::from_millis(500);
/// How long it waits for a process that has left its output to another one.
const HELD: Duration = Duration::from_secs(10);

/// How long a logger may take to end by itself, and then to obey SIGTERM.
const LOGGER: Duration = Duration::from_secs(2);
const OBEY: Duration = Duration::from_secs(12);

/// A stream of a process.
#[derive(Debug)]
pub struct Flow {
    /// What moves it.
    pub pump: Pump,
    /// The container's number.
    pub container: u32,
    /// The exec's id.
    pub exec_id: String,
    /// Its source has ended, and what lies in the fifo is not read yet.
    pub ended: bool,
    look: Duration,
    looks: u32,
}

impl Flow {
    /// Of a process.
    pub fn new(pump: Pump, container: u32, exec_id: String, ended: bool) -> Flow {
        Flow { pump, container, exec_id, ended, look: FIRST_LOOK, looks: 0 }
    }
}

impl Server {
    /// Connects a process that was started with its client.
    pub(super) fn connect_flows(&mut self, container: u32, exec_id: &str, given: Given) {
        let mut ends = [const { None }; 8];
        for (place, fd) in given {
            if let Some(end) = ends.get_mut(usize::from(place as u8)) {
                *end = Some(fd);
            }
        }
        let mut take = |place: Place| ends.get_mut(usize::from(place as u8)).and_then(Option::take);
        let console = take(Place::Console);
        let mut held = None;
        let (stdin, stdout, stderr) = match console {
            Some(console) => {
                let stdin = take(Place::StdinFrom).zip(console.try_clone().ok());
                let stdout = match take(Place::StdoutTo) {
                    Some(to) => Some((console, to)),
                    None => {
                        held = Some(console);
                        None
                    }
                };
                (
                    stdin.map(|(from, to)| Pump::input(from, to)),
                    stdout.map(|(from, to)| Pump::output(from, to, true)),
                    None,
                )
            }
            None => {
                let stdin = take(Place::StdinFrom).zip(take(Place::StdinTo));
                let stdout = take(Place::StdoutFrom).zip(take(Place::StdoutTo));
                let stderr = take(Place::StderrFrom).zip(take(Place::StderrTo));
                let output = |(from, to)| Pump::output(from, to, false);
                (stdin.map(|(from, to)| Pump::input(from, to)), stdout.map(output), stderr.map(output))
            }
        };
        let [stdin, stdout, stderr] =
            [stdin, stdout, stderr].map(|pump| pump.map(|pump| self.add_flow(container, exec_id, pump)));
        let Some(of) = self.containers.get_mut(&container) else { return };
        let Ok(process) = of.process_mut(exec_id) else { return };
        process.pumps.stdin = stdin;
        process.pumps.stdout = stdout;
        process.pumps.stderr = stderr;
        process.console = held;
        let end_stdin = process.close_stdin;
        for flow in [stdin, stdout, stderr].into_iter().flatten() {
            self.pump(flow);
        }
        if let Some(flow) = stdin.filter(|_| end_stdin) {
            self.let_input_end(flow);
        }
        self.resize(container, exec_id).ok();
    }

    /// Takes a pump in; the result is its number.
    pub(super) fn add_flow(&mut self, container: u32, exec_id: &str, pump: Pump) -> u32 {
        let number = self.number();
        self.listen_to(number, &pump);
        self.flows.insert(number, Flow::new(pump, container, exec_id.into(), false));
        number
    }

    pub(super) fn listen_to(&mut self, number: u32, pump: &Pump) {
        for side in [pump.from(), pump.to()] {
            match self.poll.add_edges(side, Token::Pump(number)) {
                // A file is always ready.
                Ok(()) | Err(Errno::EPERM | Errno::EEXIST) => {}
                Err(e) => dunnage::log::warn(format_args!("epoll_ctl: {e}")),
            }
        }
    }

    /// Moves what can be moved.
    pub(super) fn pump(&mut self, number: u32) {
        let Some(flow) = self.flows.get_mut(&number).filter(|flow| !flow.ended) else { return };
        match flow.pump.run() {
            Progress::Again => {
                self.eager.insert(number);
            }
            Progress::Waits => {}
            Progress::Ended => self.source_ended(number),
        }
    }

    fn source_ended(&mut self, number: u32) {
        let Some(flow) = self.flows.get_mut(&number) else { return };
        if flow.pump.is_input() {
            return self.close_flow(number);
        }
        self.poll.remove(flow.pump.to());
        self.poll.remove(flow.pump.from());
        // Of an exec the client is there, or nobody will ever read it. A container's output may be read by a daemon that comes back.
        flow.pump.finish(if flow.exec_id.is_empty() { Keep::Writer } else { Keep::Reader });
        flow.ended = true;
        if flow.pump.unread() == 0 {
            return self.close_flow(number);
        }
        self.set_timer(FIRST_LOOK, Timer::Linger(number));
    }

    pub(super) fn linger(&mut self, number: u32) {
        let Some(flow) = self.flows.get_mut(&number) else { return };
        flow.looks = flow.looks.saturating_add(1);
        let given_up = !flow.exec_id.is_empty() && flow.looks > LOOKS_FOR_EXEC;
        if flow.pump.unread() == 0 || given_up {
            return self.close_flow(number);
        }
        let process = self.containers.get(&flow.container).and_then(|c| c.process(&flow.exec_id).ok());
        let hurried = process.is_none_or(|process| !process.deleters.is_empty());
        flow.look = flow.look.saturating_mul(2).min(if hurried { HURRIED_LOOK } else { LAST_LOOK });
        let look = flow.look;
        self.set_timer(look, Timer::Linger(number));
    }

    /// The process has ended: there is nobody to read its stdin, and its terminal will not be opened again.
    pub(super) fn process_is_gone(&mut self, container: u32, exec_id: &str) {
        let Some(of) = self.containers.get_mut(&container) else { return };
        let Ok(process) = of.process_mut(exec_id) else { return };
        process.console = None;
        let pumps = process.pumps;
        if let Some(stdin) = pumps.stdin {
            self.close_flow(stdin);
        }
        for number in pumps.outputs() {
            if let Some(flow) = self.flows.get_mut(&number) {
                flow.pump.process_is_gone();
            }
            self.pump(number);
        }
    }

    /// Its process is deleted. The result is how long to wait for its output.
    pub(super) fn hurry_outputs(&mut self, container: u32, exec_id: &str) -> Duration {
        let Some(Ok(process)) = self.containers.get(&container).map(|c| c.process(exec_id)) else {
            return Duration::ZERO;
        };
        let flows: Vec<u32> = process.pumps.outputs().collect();
        let mut grace = Duration::ZERO;
        for number in flows {
            let Some(flow) = self.flows.get_mut(&number) else { continue };
            let wait = match (flow.ended, flow.pump.has_reader()) {
                (false, _) => HELD,
                (true, true) => UNREAD,
                (true, false) => NO_READER,
            };
            grace = grace.max(wait);
            if flow.ended {
                flow.look = FIRST_LOOK;
                self.linger(number);
            }
        }
        grace
    }

    /// It had its time.
    pub(super) fn close_outputs(&mut self, container: u32, exec_id: &str) {
        let Some(Ok(process)) = self.containers.get(&container).map(|c| c.process(exec_id)) else { return };
        if process.deleters.is_empty() {
            return;
        }
        for number in process.pumps.outputs().collect::<Vec<_>>() {
            self.close_flow(number);
        }
        if exec_id.is_empty() { self.finish_delete(container) } else { self.finish_exec(container, exec_id) }
    }

    /// Closes a stream.
    pub(super) fn close_flow(&mut self, number: u32) {
        let Some(flow) = self.flows.remove(&number) else { return };
        self.poll.remove(flow.pump.to());
        self.poll.remove(flow.pump.from());
        self.eager.remove(&number);
        let (container, exec_id) = (flow.container, flow.exec_id.clone());
        drop(flow);
        let Some(of) = self.containers.get_mut(&container) else { return };
        let Ok(process) = of.process_mut(&exec_id) else { return };
        process.pumps.forget(number);
        if process.deleters.is_empty() {
            return;
        }
        if exec_id.is_empty() { self.finish_delete(container) } else { self.finish_exec(container, &exec_id) }
    }

    /// Stdin ends when its writers have closed it: we are none any more.
    pub(super) fn let_input_end(&mut self, number: u32) {
        let Some(flow) = self.flows.get_mut(&number) else { return };
        self.poll.remove(flow.pump.from());
        self.poll.remove(flow.pump.to());
        flow.pump.let_input_end();
        let Some(flow) = self.flows.remove(&number) else { return };
        self.listen_to(number, &flow.pump);
        self.flows.insert(number, flow);
        self.pump(number);
    }

    /// A logger whose process is deleted reads the end of its output and ends; it is no child of a container's, so nobody waits for it.
    pub(super) fn end_logger(&mut self, logger: Option<PidFd>) {
        if let Some(logger) = logger {
            let number = self.number();
            self.loggers.insert(number, (logger, libc::SIGTERM));
            self.set_timer(LOGGER, Timer::Logger(number));
        }
    }

    /// It had its time.
    pub(super) fn logger_is_late(&mut self, number: u32) {
        let Some((logger, signal)) = self.loggers.get_mut(&number) else { return };
        let sent = std::mem::replace(signal, libc::SIGKILL);
        if logger.send_signal(sent).is_err() || sent == libc::SIGKILL {
            self.loggers.remove(&number);
        } else {
            self.set_timer(OBEY, Timer::Logger(number));
        }
    }
}
