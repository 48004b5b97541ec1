//! Going on where another program has left: the other side of `upgrade`. Every descriptor of the table becomes ours, once.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::os::fd::{OwnedFd, RawFd};
use std::time::{Duration, Instant};

use dunnage::cgroup::Paths;
use dunnage::error::{Error, Result};
use dunnage::log;
use dunnage::sys::fork;
use dunnage::sys::pidfd::PidFd;

use super::container::{Busy, Container, Freezing};
use super::flows::Flow;
use super::poll::Token;
use super::process::{Caller, Phase, Process, Pumps, Waiter};
use super::publish::Event;
use super::pump::Pump;
use super::sandbox::Sandbox;
use super::{Server, Timer, upgrade};
use crate::args::Args;
use crate::bundle::Exit;
use crate::jobs::{Streams, Whose};
use crate::manager::info::VERSION;
use crate::metrics::Meter;
use crate::proto::Message;
use crate::proto::table::{TCall, TCaller, TContainer, TFlow, TProcess, Table, UpgradeResponse};
use crate::proto::ttrpc::Request;
use crate::ttrpc::connection::Connection;

/// Each descriptor of the table, until somebody takes it.
struct Descriptors(BTreeMap<RawFd, OwnedFd>);

impl Descriptors {
    fn of(table: &Table) -> Descriptors {
        let all = upgrade::descriptors_of(table).into_iter();
        Descriptors(all.filter_map(|fd| Some((fd, fork::inherited(fd)?))).collect())
    }

    fn take(&mut self, fd: i32) -> Option<OwnedFd> {
        self.0.remove(&fd)
    }

    fn need(&mut self, fd: i32) -> Result<OwnedFd> {
        self.take(fd).ok_or_else(|| Error::new(format!("descriptor {fd} of the table is not open")))
    }
}

fn caller(caller: &TCaller) -> Caller {
    Caller { connection: caller.connection, stream: caller.stream }
}

fn call(call: &TCall) -> Option<(Caller, Request)> {
    Some((caller(call.caller.as_ref()?), Request::decode(&call.request).ok()?))
}

fn flow_number(number: u32) -> Option<u32> {
    (number != 0).then_some(number)
}

fn process(process: TProcess, fds: &mut Descriptors, now: Instant) -> Process {
    let pid = process.pid;
    Process {
        phase: match process.phase {
            0 => Phase::Created,
            1 => Phase::Running,
            2 => Phase::Stopped,
            _ => Phase::Failed,
        },
        pid,
        pidfd: fds.take(process.pidfd).map(PidFd::from),
        spec: process.spec,
        streams: Streams {
            terminal: process.terminal,
            size: None,
            stdin: process.stdin,
            stdout: process.stdout,
            stderr: process.stderr,
        },
        pumps: Pumps {
            stdin: flow_number(process.flow_stdin),
            stdout: flow_number(process.flow_stdout),
            stderr: flow_number(process.flow_stderr),
        },
        console: fds.take(process.console),
        close_stdin: process.close_stdin,
        size: process.size.map(|size| {
            let part = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
            (part(size.width), part(size.height))
        }),
        logger: fds.take(process.logger).map(PidFd::from),
        exit: process.exit.map(|exit| Exit { pid, status: exit.status, seconds: exit.seconds, nanos: exit.nanos }),
        waiters: process
            .waiters
            .iter()
            .filter_map(|waiter| {
                let left = (waiter.left != 0).then(|| Duration::from_nanos(waiter.left));
                let until = left.and_then(|left| now.checked_add(left));
                Some(Waiter { caller: caller(waiter.caller.as_ref()?), until })
            })
            .collect(),
        deleters: process.deleters.iter().map(caller).collect(),
        exec_id: process.exec_id,
    }
}

impl Server {
    /// Goes on with the table in that descriptor.
    ///
    /// # Errors
    /// It cannot be: containers go on without a shim, and `delete` finds them.
    pub(super) fn resume(args: &Args, fd: RawFd) -> Result<Server> {
        let mut bytes = Vec::new();
        let memfd = fork::inherited(fd).ok_or_else(|| Error::new("the table's descriptor is not open"))?;
        let mut memfd = std::fs::File::from(memfd);
        let read = memfd.rewind().and_then(|()| memfd.read_to_end(&mut bytes));
        read.map_err(|e| Error::io("read the table", &e))?;
        let table = Table::decode(&bytes).map_err(|fault| Error::new(format!("the table is malformed: {fault}")))?;
        upgrade::check(&table)?;
        let mut fds = Descriptors::of(&table);
        let listener = fds.need(table.listener)?;
        let mut server = Server::with_listener(args, listener, table.leader.clone().into())?;
        server.take_over(table, &mut fds)?;
        Ok(server)
    }

    fn take_over(&mut self, table: Table, fds: &mut Descriptors) -> Result<()> {
        let now = Instant::now();
        self.next = table.next;
        for c in table.connections {
            let socket = fds.need(c.fd)?;
            self.poll.add_input(&socket, Token::Connection(c.number)).map_err(|e| Error::sys("epoll_ctl", e))?;
            let discard = usize::try_from(c.discard).unwrap_or(0);
            self.connections.insert(c.number, Connection::from_parts(socket, c.partial, discard, c.newest, c.unsent));
            self.leaving.somebody_is_here();
        }
        for container in table.containers {
            self.take_container(container, fds, now);
        }
        for flow in table.flows {
            self.take_flow(flow, fds)?;
        }
        for logger in table.loggers {
            let number = self.number();
            if let Some(fd) = fds.take(logger.fd) {
                self.loggers.insert(number, (PidFd::from(fd), logger.signal));
                self.set_timer(Duration::from_secs(12), Timer::Logger(number));
            }
        }
        let events = table.events.into_iter().map(|event| Event { topic: event.topic, request: event.request });
        self.publisher.take_over(events);
        self.leaving.set_asked(table.shutdown_asked);
        self.settle();
        if let Some(asked) = &table.caller {
            let revision = dunnage::cli::version::commit().into();
            let answer = UpgradeResponse { pid: std::process::id(), version: VERSION.into(), revision };
            self.answer(caller(asked), Ok(answer.encode()));
        }
        log::info(format_args!("the shim goes on as version {VERSION} with {} containers", self.containers.len()));
        table.deferred.iter().filter_map(call).for_each(|(caller, request)| self.call(caller, request));
        self.run_all_queues();
        Ok(())
    }

    fn take_container(&mut self, t: TContainer, fds: &mut Descriptors, now: Instant) {
        let whose = Whose {
            namespace: self.namespace.clone(),
            id: t.id,
            bundle: t.bundle.into(),
            root: t.root.into(),
            options: t.options.unwrap_or_default(),
            address: self.address(),
        };
        let mut container = Container::new(t.number, whose, process(t.init.unwrap_or_default(), fds, now));
        container.execs = t.execs.into_iter().map(|exec| (exec.exec_id.clone(), process(exec, fds, now))).collect();
        container.queue = t.queue.iter().filter_map(call).collect();
        container.busy = if t.removed { Busy::Delete } else { Busy::No };
        container.freezing = if t.freezing == 1 { Freezing::Paused } else { Freezing::No };
        (container.has_mounts, container.shares_pids) = (t.has_mounts, t.shares_pids);
        (container.ending, container.removed) = (t.ending, t.removed);
        container.cgroups = Paths(t.cgroups);
        container.sandbox = t.sandbox.map(|sandbox| Sandbox {
            created_at: sandbox.created_at.unwrap_or_default(),
            stoppers: sandbox.stoppers.iter().map(caller).collect(),
            closers: sandbox.closers.iter().map(caller).collect(),
        });
        self.containers.insert(t.number, container);
        self.leaving.somebody_is_here();
        self.watch_memory(t.number);
        let Some(container) = self.containers.get_mut(&t.number) else { return };
        if let Some(watch) = &mut container.oom {
            // What happened while nobody watched is found by the next look.
            watch.set_kills(t.kills);
        }
        if let (Some(meter), Some(remembered)) = (&mut container.meter, &t.remembered) {
            meter.take_over(remembered);
        } else if let (None, Some(_)) = (&container.meter, &t.remembered) {
            container.meter = Meter::new(&self.host, &container.cgroups).unwrap_or_default();
        }
    }

    fn take_flow(&mut self, t: TFlow, fds: &mut Descriptors) -> Result<()> {
        let (from, to) = (fds.need(t.from)?, fds.need(t.to)?);
        let mut pump = if t.input { Pump::input(from, to) } else { Pump::output(from, to, t.terminal) };
        pump.set_rest(t.rest);
        if t.over {
            pump.process_is_gone();
        }
        if !t.ended {
            self.listen_to(t.number, &pump);
        }
        self.flows.insert(t.number, Flow::new(pump, t.container, t.exec_id, t.ended));
        Ok(())
    }

    /// What happened meanwhile, and what was to happen at some moment.
    fn settle(&mut self) {
        let flows: Vec<(u32, bool)> = self.flows.iter().map(|(number, flow)| (*number, flow.ended)).collect();
        for (number, ended) in flows {
            if ended { self.linger(number) } else { self.pump(number) }
        }
        let numbers: Vec<u32> = self.containers.keys().copied().collect();
        for number in numbers {
            self.memory_ran_out(number);
            let Some(container) = self.containers.get(&number) else { continue };
            let deleting = container.execs.values().filter(|exec| !exec.deleters.is_empty());
            let deleting: Vec<String> = deleting.map(|exec| exec.exec_id.clone()).collect();
            let (ending, removed) = (container.ending, container.removed);
            deleting.iter().for_each(|exec_id| self.drain(number, exec_id));
            if ending {
                self.set_timer(Duration::from_secs(10), Timer::Ending(number));
            }
            if removed {
                self.drain(number, "");
            }
        }
        self.reap();
        let numbers: Vec<u32> = self.containers.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.go_on_closing(number));
        self.look_whether_to_leave();
    }
}
