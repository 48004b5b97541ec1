//! A command of a runtime and all processes that come of it, stopped before and after each system call; at one of them
//! something goes wrong. Knows nothing of containers.

use crate::{calls, sys};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Result, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum What {
    /// SIGKILL to the process, when it has begun the call and the kernel has done nothing of it.
    KillBefore,
    /// SIGKILL to the process, when the call is done.
    KillAfter,
    /// The call is not made and fails with this errno, a position in [`calls::ERRNOS`].
    Errno(usize),
}

/// One call: of the n-th process (0 is the command), the k-th one (from 1) of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Point {
    pub process: usize,
    pub call: i64,
    pub occurrence: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fault {
    pub at: Point,
    pub what: What,
}

/// A call that was seen, with what it could have failed with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    pub at: Point,
    pub errnos: Vec<usize>,
}

#[derive(Debug, Default)]
pub struct Traced {
    /// Exit code, or 128 and the signal; none: it did not end in time.
    pub code: Option<i32>,
    /// The fault happened.
    pub reached: bool,
    pub seen: Vec<Seen>,
    pub out: String,
    pub err: String,
}

/// A command that runs, with the reading ends of its output.
pub struct Child {
    pub pid: i32,
    out: fs::File,
    err: fs::File,
}

impl Child {
    pub fn spawn(argv: &[String], gate: Option<&OwnedFd>) -> Result<Child> {
        let (out, out_end) = sys::pipe()?;
        let (err, err_end) = sys::pipe()?;
        let pid = sys::spawn(argv, &out_end, &err_end, gate)?;
        Ok(Child { pid, out: out.into(), err: err.into() })
    }

    /// What was written until now.
    pub fn written(&mut self) -> (String, String) {
        let all = |file: &mut fs::File| {
            let mut bytes = Vec::new();
            // The end is that there is nothing now: somebody may still hold the other end.
            let _ = file.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        (all(&mut self.out), all(&mut self.err))
    }
}

pub fn exit_code(status: i32) -> i32 {
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { libc::WTERMSIG(status).saturating_add(128) }
}

struct Tracer<'a> {
    runtime: &'a str,
    fault: Option<Fault>,
    record: bool,
    main: i32,
    begun: bool,
    /// Threads that are traced: the number of their process and its pid.
    threads: BTreeMap<i32, (usize, i32)>,
    processes: BTreeMap<i32, usize>,
    counts: BTreeMap<(usize, i64), u32>,
    /// Threads whose call in progress is to be changed at its end.
    pending: BTreeMap<i32, What>,
    ended: BTreeSet<i32>,
    done: Traced,
}

const OPTIONS: libc::c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACEEXEC;

fn as_data(number: libc::c_int) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// Runs `argv`. `inits` are processes that are there already and are traced, too, as those before the command.
pub fn trace(argv: &[String], inits: &[i32], fault: Option<Fault>, record: bool, limit: Duration) -> Result<Traced> {
    let (gate, mut open) = sys::pipe().map(|(r, w)| (r, fs::File::from(w)))?;
    let mut child = Child::spawn(argv, Some(&gate))?;
    let mut t = Tracer {
        runtime: argv.first().map_or("", String::as_str),
        fault,
        record,
        main: child.pid,
        begun: false,
        threads: BTreeMap::new(),
        processes: BTreeMap::new(),
        counts: BTreeMap::new(),
        pending: BTreeMap::new(),
        ended: BTreeSet::new(),
        done: Traced::default(),
    };
    for pid in std::iter::once(&child.pid).chain(inits) {
        sys::ptrace(libc::PTRACE_SEIZE, *pid, 0, as_data(OPTIONS))?;
        t.adopt(*pid);
        // To be stopped at the ends of the calls that they are in, too.
        sys::ptrace(libc::PTRACE_INTERRUPT, *pid, 0, 0)?;
    }
    open.write_all(b"!")?;
    sys::tick(5);
    t.pump(Instant::now() + limit);
    sys::tick(0);
    t.release();
    (t.done.out, t.done.err) = child.written();
    Ok(t.done)
}

impl Tracer<'_> {
    fn adopt(&mut self, tid: i32) {
        if self.threads.contains_key(&tid) || self.ended.contains(&tid) {
            return;
        }
        let status = fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
        let tgid = status.lines().find_map(|l| l.strip_prefix("Tgid:")?.trim().parse().ok()).unwrap_or(tid);
        let next = self.processes.len();
        let process = *self.processes.entry(tgid).or_insert(next);
        self.threads.insert(tid, (process, tgid));
    }

    /// Until the command has ended, and what is left of its processes waits for somebody, or runs something else.
    fn pump(&mut self, deadline: Instant) {
        let mut idle = 0;
        while !self.threads.is_empty() {
            match sys::wait(-1, 0) {
                Ok(Some((pid, status))) => {
                    idle = 0;
                    self.handle(pid, status);
                }
                Ok(None) => {
                    if Instant::now() > deadline {
                        break;
                    }
                    if self.done.code.is_some() {
                        idle = if self.all_wait() { idle + 1 } else { 0 };
                        if idle > 2 {
                            break;
                        }
                    }
                }
                Err(_) => break,
            }
        }
        if self.done.code.is_none() {
            sys::kill(self.main, libc::SIGKILL);
        }
    }

    fn all_wait(&self) -> bool {
        self.threads.keys().all(|tid| {
            let stat = fs::read_to_string(format!("/proc/{tid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S'))
        })
    }

    fn handle(&mut self, tid: i32, status: i32) {
        if !libc::WIFSTOPPED(status) {
            self.threads.remove(&tid);
            self.pending.remove(&tid);
            self.ended.insert(tid);
            if tid == self.main {
                self.done.code = Some(exit_code(status));
            }
            return;
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        let mut deliver = 0;
        self.adopt(tid);
        if signal == libc::SIGTRAP | 0x80 {
            self.call(tid);
        } else if event == libc::PTRACE_EVENT_EXEC {
            if self.executed(tid) {
                return;
            }
        } else if event == libc::PTRACE_EVENT_STOP {
            // Of a new one, of our own interruption, or with the others of a stopped group.
        } else if event == 0 {
            deliver = signal;
        } else if let Some(child) = sys::event_message(tid) {
            self.adopt(child);
        }
        let _ = sys::ptrace(libc::PTRACE_SYSCALL, tid, 0, as_data(deliver));
    }

    /// Whether it is let go: it runs somebody else's program.
    fn executed(&mut self, tid: i32) -> bool {
        if tid == self.main && !self.begun {
            self.begun = true;
            return false;
        }
        let exe = fs::read_link(format!("/proc/{tid}/exe")).unwrap_or_default();
        let exe = exe.to_string_lossy();
        // A sealed copy, or a mount of its own that has no path here.
        let its = |name: &str| name == "runc" || Some(name) == self.runtime.rsplit('/').next();
        let name = exe.trim_end_matches(" (deleted)").rsplit('/').next().unwrap_or_default();
        if tid == self.main || exe.starts_with("/memfd:") || its(name) {
            return false;
        }
        let _ = sys::ptrace(libc::PTRACE_DETACH, tid, 0, 0);
        self.threads.remove(&tid);
        true
    }

    fn call(&mut self, tid: i32) {
        let Some(&(process, tgid)) = self.threads.get(&tid) else { return };
        if !self.begun && tid == self.main {
            return;
        }
        match sys::call_stop(tid) {
            sys::CallStop::Entry(call, args) => {
                let count = self.counts.entry((process, call)).or_default();
                *count += 1;
                let at = Point { process, call, occurrence: *count };
                if self.record {
                    let errnos = calls::plausible(tid, &calls::name(call), &args);
                    self.done.seen.push(Seen { at, errnos });
                }
                let Some(fault) = self.fault.filter(|f| f.at == at) else { return };
                match fault.what {
                    What::KillBefore => {
                        self.done.reached = true;
                        sys::kill(tgid, libc::SIGKILL);
                    }
                    What::KillAfter => drop(self.pending.insert(tid, fault.what)),
                    What::Errno(_) => {
                        self.done.reached = true;
                        self.pending.insert(tid, fault.what);
                        // A descriptor is closed even if close(2) says EINTR or EIO.
                        if call != libc::SYS_close {
                            let _ = sys::skip_call(tid);
                        }
                    }
                }
            }
            sys::CallStop::Exit => match self.pending.remove(&tid) {
                Some(What::Errno(n)) => {
                    let errno = calls::ERRNOS.get(n).map_or(libc::EIO, |(_, e, _)| *e);
                    let _ = sys::set_errno(tid, errno);
                }
                Some(_) => {
                    self.done.reached = true;
                    sys::kill(tgid, libc::SIGKILL);
                }
                None => {}
            },
            sys::CallStop::Other => {}
        }
    }

    /// What still waits is not traced any more.
    fn release(&mut self) {
        for tid in self.threads.keys() {
            let _ = sys::ptrace(libc::PTRACE_INTERRUPT, *tid, 0, 0);
        }
        let end = Instant::now() + Duration::from_secs(2);
        sys::tick(5);
        while !self.threads.is_empty() && Instant::now() < end {
            let Ok(changed) = sys::wait(-1, 0) else { break };
            let Some((tid, status)) = changed else { continue };
            if libc::WIFSTOPPED(status) {
                let plain = status >> 16 == 0 && libc::WSTOPSIG(status) != libc::SIGTRAP | 0x80;
                let signal = if plain { libc::WSTOPSIG(status) } else { 0 };
                let _ = sys::ptrace(libc::PTRACE_DETACH, tid, 0, as_data(signal));
            }
            self.threads.remove(&tid);
        }
        sys::tick(0);
    }
}
