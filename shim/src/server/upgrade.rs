//! Another program goes on in our process: it is executed with the sockets, fifos, terminals and pidfds that we have, and a table that
//! says what each of them is. Children stay children, since the process stays; connections stay open; what is unsent, and who waits for
//! what, is in the table.
//!
//! It is done when no worker works (calls that would start one wait, and go with the table) and no event is on its way. Whether the new
//! program can read the table is asked of it before: it reads it once without acting on it. Only then do we go, by execve(2), which
//! either takes our place or leaves everything as it was.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dunnage::error::{Error, Result};
use dunnage::log;
use dunnage::sys::{descriptors, fork, memfd};
use nix::errno::Errno;

use super::Server;
use super::container::{Container, Freezing};
use super::process::{Caller, Phase, Process};
use crate::program::{self, Program, Stdio};
use crate::proto::Message;
use crate::proto::table::{
    TCall, TCaller, TConnection, TContainer, TEvent, TExit, TFlow, TLogger, TProcess, TSandbox, TSize, TWaiter, Table,
    UpgradeRequest, VERSION,
};
use crate::proto::ttrpc::Request;
use crate::ttrpc::Failure;

/// The service of our own on a shim's socket.
pub const SERVICE: &str = "dunnage.shim.v1.Shim";
/// What the new program prints when it has read the table.
pub const READABLE: &str = "the table is readable";
/// How long workers may take to end their work.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the new program may take to read the table.
const READING: Duration = Duration::from_secs(5);

/// Somebody wants it.
#[derive(Debug)]
pub struct Wanted {
    caller: Caller,
    binary: PathBuf,
    since: Instant,
    deferred: Vec<(Caller, Request)>,
}

impl Wanted {
    /// When it is to be looked at again, whatever happens.
    pub fn deadline(&self) -> Option<Instant> {
        self.since.checked_add(PATIENCE)
    }
}

fn t_caller(caller: Caller) -> TCaller {
    TCaller { connection: caller.connection, stream: caller.stream }
}

fn t_call((caller, request): &(Caller, Request)) -> TCall {
    TCall { caller: Some(t_caller(*caller)), request: request.encode() }
}

fn fd(fd: Option<&impl AsRawFd>) -> i32 {
    fd.map_or(0, AsRawFd::as_raw_fd)
}

fn t_process(process: &Process, now: Instant) -> TProcess {
    let waiter = |waiter: &super::process::Waiter| TWaiter {
        caller: Some(t_caller(waiter.caller)),
        left: waiter.until.map_or(0, |until| {
            u64::try_from(until.saturating_duration_since(now).as_nanos()).unwrap_or(u64::MAX).max(1)
        }),
    };
    TProcess {
        exec_id: process.exec_id.clone(),
        phase: match process.phase {
            // Nobody works, so nobody starts it.
            Phase::Created | Phase::Starting => 0,
            Phase::Running => 1,
            Phase::Stopped => 2,
            Phase::Failed => 3,
        },
        pid: process.pid,
        pidfd: process.pidfd.as_ref().map_or(0, |pidfd| pidfd.as_fd().as_raw_fd()),
        spec: process.spec.clone(),
        terminal: process.streams.terminal,
        stdin: process.streams.stdin.clone(),
        stdout: process.streams.stdout.clone(),
        stderr: process.streams.stderr.clone(),
        flow_stdin: process.pumps.stdin.unwrap_or(0),
        flow_stdout: process.pumps.stdout.unwrap_or(0),
        flow_stderr: process.pumps.stderr.unwrap_or(0),
        console: fd(process.console.as_ref()),
        size: process.size.map(|(width, height)| TSize { width: width.into(), height: height.into() }),
        logger: process.logger.as_ref().map_or(0, |logger| logger.as_fd().as_raw_fd()),
        exit: process.exit.map(|exit| TExit { status: exit.status, seconds: exit.seconds, nanos: exit.nanos }),
        waiters: process.waiters.iter().map(waiter).collect(),
        deleters: process.deleters.iter().map(|caller| t_caller(*caller)).collect(),
        close_stdin: process.close_stdin,
    }
}

fn t_container(container: &Container, now: Instant) -> TContainer {
    let whose = &container.whose;
    TContainer {
        number: container.number,
        id: whose.id.clone(),
        bundle: whose.bundle.to_string_lossy().into_owned(),
        root: whose.root.to_string_lossy().into_owned(),
        options: Some(whose.options.clone()),
        init: Some(t_process(&container.init, now)),
        execs: container.execs.values().map(|process| t_process(process, now)).collect(),
        queue: container.queue.iter().map(t_call).collect(),
        freezing: u32::from(container.freezing == Freezing::Paused),
        has_mounts: container.has_mounts,
        shares_pids: container.shares_pids,
        cgroups: container.cgroups.0.clone(),
        ending: container.ending,
        removed: container.removed,
        kills: container.oom.as_ref().map_or(0, |watch| watch.kills()),
        remembered: container.meter.as_ref().and_then(|meter| meter.remembered()),
        sandbox: container.sandbox.as_ref().map(|sandbox| TSandbox {
            created_at: Some(sandbox.created_at.clone()),
            stoppers: sandbox.stoppers.iter().copied().map(t_caller).collect(),
            closers: sandbox.closers.iter().copied().map(t_caller).collect(),
        }),
    }
}

impl Server {
    /// The methods of our own service.
    pub(super) fn own_call(&mut self, caller: Caller, request: &Request) -> Result<(), Failure> {
        if request.method != "Upgrade" {
            return Err(Failure::unimplemented(format_args!("method {}", request.method)));
        }
        if self.upgrade.is_some() {
            return Err(Failure::precondition("an upgrade is going on"));
        }
        let binary: UpgradeRequest = super::calls::decode(request)?;
        let binary = PathBuf::from(binary.binary);
        if !binary.is_absolute() {
            return Err(Failure::invalid("the new program needs an absolute path"));
        }
        self.publisher.hold(true);
        self.upgrade = Some(Wanted { caller, binary, since: Instant::now(), deferred: Vec::new() });
        Ok(())
    }

    /// Whether a call waits for the new program, because it would start a worker.
    pub(super) fn defers(&mut self, caller: Caller, request: &Request) -> bool {
        let Some(wanted) = &mut self.upgrade else { return false };
        let at_once = matches!(
            request.method.as_str(),
            "State"
                | "Connect"
                | "Pids"
                | "Stats"
                | "Wait"
                | "Upgrade"
                | "Platform"
                | "WaitSandbox"
                | "SandboxStatus"
                | "PingSandbox"
                | "SandboxMetrics"
        );
        if !at_once {
            wanted.deferred.push((caller, request.clone()));
        }
        !at_once
    }

    /// Does it, if it is wanted and nobody works. Returns only if not.
    pub(super) fn upgrade_if_quiet(&mut self, now: Instant) {
        let Some(wanted) = &self.upgrade else { return };
        let age = now.saturating_duration_since(wanted.since);
        // One that the daemon may have already would be told twice by the new program.
        let quiet = self.workers.is_idle() && !self.publisher.is_calling();
        if !quiet && age < PATIENCE {
            return;
        }
        let failed = if quiet { self.hand_over() } else { Error::new("workers have not ended in 30 seconds") };
        log::error(format_args!("the shim is not upgraded: {failed}"));
        self.publisher.hold(false);
        if let Some(wanted) = self.upgrade.take() {
            self.answer(wanted.caller, Err(Failure::unknown(failed)));
            wanted.deferred.into_iter().for_each(|(caller, request)| self.call(caller, request));
            self.run_all_queues();
        }
    }

    /// Executes the new program. Returns only if that does not work; then everything is as it was.
    fn hand_over(&mut self) -> Error {
        let Some(wanted) = &self.upgrade else { return Error::new("nobody wants it") };
        let binary = wanted.binary.clone();
        let (table, mut fds) = self.table(wanted);
        let bytes = table.encode();
        let (exe, table) = match try_it(&binary, &bytes) {
            Ok(ready) => ready,
            Err(e) => return e,
        };
        fds.push(table.as_raw_fd());
        let (args, env) = match self.command(&binary, table.as_raw_fd()) {
            Ok(command) => command,
            Err(e) => return e,
        };
        let kept = fds.iter().try_for_each(|fd| fork::install(*fd, *fd));
        let e = match kept {
            Ok(()) => match nix::unistd::execve(&exe, &args, &env) {
                Err(e) => e,
                Ok(never) => match never {},
            },
            Err(e) => e,
        };
        for fd in fds {
            descriptors::set_cloexec(fd).ok();
        }
        Error::sys(format!("execve {}", binary.display()), e)
    }

    fn command(&self, binary: &Path, table: RawFd) -> Result<(Vec<CString>, Vec<CString>)> {
        let word = |bytes: &[u8]| CString::new(bytes).map_err(|_| Error::new("an argument has a nul byte"));
        let table = table.to_string();
        let words: [&[u8]; 9] = [
            binary.as_os_str().as_bytes(),
            b"-namespace",
            self.namespace.as_bytes(),
            b"-id",
            self.group.as_bytes(),
            b"-resume",
            table.as_bytes(),
            if self.debug { b"-debug" } else { b"-debug=false" },
            b"serve",
        ];
        let env = std::env::vars_os().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            word(name.as_bytes())
        });
        Ok((words.into_iter().map(word).collect::<Result<_>>()?, env.collect::<Result<_>>()?))
    }

    /// All that we know, and the descriptors in it.
    fn table(&self, wanted: &Wanted) -> (Table, Vec<RawFd>) {
        let now = Instant::now();
        let connection = |(number, connection): (&u32, &crate::ttrpc::connection::Connection)| {
            let (socket, partial, discard, newest, unsent) = connection.parts();
            TConnection {
                number: *number,
                fd: socket.as_raw_fd(),
                partial: partial.to_vec(),
                discard: u64::try_from(discard).unwrap_or(0),
                newest,
                unsent: unsent.to_vec(),
            }
        };
        let flow = |(number, flow): (&u32, &super::flows::Flow)| TFlow {
            number: *number,
            container: flow.container,
            exec_id: flow.exec_id.clone(),
            from: flow.pump.from().as_raw_fd(),
            to: flow.pump.to().as_raw_fd(),
            terminal: flow.pump.is_terminal(),
            input: flow.pump.is_input(),
            over: flow.pump.is_over(),
            ended: flow.ended,
            rest: flow.pump.rest().to_vec(),
        };
        let table = Table {
            version: VERSION,
            namespace: self.namespace.clone(),
            group: self.group.clone(),
            debug: self.debug,
            socket: self.socket.to_string_lossy().into_owned(),
            leader: self.leader.to_string_lossy().into_owned(),
            listener: self.listener.as_raw_fd(),
            connections: self.connections.iter().map(connection).collect(),
            containers: self.containers.values().map(|container| t_container(container, now)).collect(),
            flows: self.flows.iter().map(flow).collect(),
            next: self.next,
            shutdown_asked: self.leaving.is_asked(),
            events: self
                .publisher
                .waiting()
                .map(|event| TEvent { topic: event.topic.clone(), request: event.request.clone() })
                .collect(),
            deferred: wanted.deferred.iter().map(t_call).collect(),
            caller: Some(t_caller(wanted.caller)),
            loggers: self
                .loggers
                .values()
                .map(|(fd, signal)| TLogger { fd: fd.as_fd().as_raw_fd(), signal: *signal })
                .collect(),
        };
        let fds = descriptors_of(&table);
        (table, fds)
    }
}

/// The descriptors in a table.
pub fn descriptors_of(table: &Table) -> Vec<RawFd> {
    let processes = table.containers.iter().flat_map(|c| c.init.iter().chain(&c.execs));
    let of_processes = processes.flat_map(|p| [p.pidfd, p.console, p.logger]);
    let of_flows = table.flows.iter().flat_map(|flow| [flow.from, flow.to]);
    let all = [table.listener].into_iter().chain(table.connections.iter().map(|c| c.fd)).chain(of_processes);
    all.chain(of_flows).chain(table.loggers.iter().map(|logger| logger.fd)).filter(|fd| *fd > 0).collect()
}

/// Lets the new program read the table, and makes the descriptor in which it will find it.
fn try_it(binary: &Path, table: &[u8]) -> Result<(CString, std::os::fd::OwnedFd)> {
    let exe = CString::new(binary.as_os_str().as_bytes()).map_err(|_| Error::new("the path has a nul byte"))?;
    let ended = program::run(&Program {
        path: binary,
        args: vec![c"read-table".to_owned()],
        env: &[],
        stdio: Stdio::Kept(Some(table), 4096),
        dies_with_us: true,
        timeout: Some(READING),
    })?;
    if !ended.well() || String::from_utf8_lossy(&ended.stdout).trim() != READABLE {
        let what = format!("{} cannot go on with what this shim has: {}", binary.display(), ended.describe());
        return Err(Error::new(what));
    }
    let table = memfd::sealed(c"dunnage-shim-table", table, false).map_err(|e: Errno| Error::sys("memfd_create", e))?;
    Ok((exe, table))
}

/// `read-table`: whether we could go on with the table on stdin.
///
/// # Errors
/// We could not.
pub fn read_table() -> Result<()> {
    let table = Table::decode(&crate::manager::input()?)
        .map_err(|fault| Error::new(format!("the table is malformed: {fault}")))?;
    check(&table)?;
    crate::manager::print(READABLE.as_bytes())
}

/// # Errors
/// It is one that we do not understand.
pub fn check(table: &Table) -> Result<()> {
    if table.version != VERSION {
        return Err(Error::new(format!(
            "the table has version {}; this program reads version {VERSION}",
            table.version
        )));
    }
    if table.listener <= 0
        || table.caller.is_none()
        || table.containers.iter().any(|c| c.init.is_none() || c.number == 0)
    {
        return Err(Error::new("the table is incomplete"));
    }
    let mut fds = descriptors_of(table);
    fds.sort_unstable();
    // Each becomes one owner's, who closes it.
    if fds.windows(2).any(|two| two.first() == two.last()) {
        return Err(Error::new("the table has a descriptor twice"));
    }
    Ok(())
}
