//! While a process runs in the foreground: signals go to it, its input and output come and go, orphans are reaped; its end
//! is ours. One thread, one poll(2) loop, nothing in it blocks.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::notify::Forwarder;
use super::relay::Relay;
use crate::error::{Errno, Error, Result};
use crate::sys::children::{reap_any, restore_sigchld};
use crate::sys::pidfd::{Exit, PidFd};

/// How soon a terminal that all had closed is noticed to be open again, in milliseconds.
const HUNG_UP_RETRY: u8 = 100;

/// Reads of a dead process's terminal: at 4 KiB each more than the kernel buffers for one (640 KiB). A program left behind
/// in the background could go on writing for ever.
const TERMINAL_DRAIN_READS: u32 = 256;

/// All signals that come for us, as a descriptor.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks all signals, for good. Before the process is cloned, so that none is lost and none ends us once it is
    /// there; its first act has to be to unblock them for itself. A fault of our own still ends us.
    pub fn block() -> Result<Signals> {
        restore_sigchld();
        let all = SigSet::all();
        all.thread_block().map_err(|e| Error::sys("sigprocmask", e))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let fd = SignalFd::with_flags(&all, flags).map_err(|e| Error::sys("signalfd", e))?;
        Ok(Signals { fd })
    }

    /// The next signal that somebody sent us.
    fn next(&self) -> Result<Option<i32>> {
        while let Some(info) = self.fd.read_signal().map_err(|e| Error::sys("read of the signalfd", e))? {
            // Our own write to a pipe that nobody reads is a SIGPIPE sent by us: no news for the container.
            let ours = info.ssi_code == libc::SI_USER && info.ssi_pid == std::process::id();
            if let (false, Ok(signal)) = (ours, i32::try_from(info.ssi_signo)) {
                return Ok(Some(signal));
            }
        }
        Ok(None)
    }
}

/// From now on orphans of the container's processes become our children (PR_SET_CHILD_SUBREAPER). Not with
/// `--no-subreaper`.
pub fn become_subreaper() -> Result<()> {
    set_child_subreaper(true).map_err(|e| Error::sys("prctl PR_SET_CHILD_SUBREAPER", e))
}

/// A process in the foreground.
#[derive(Debug)]
pub struct Foreground<'a> {
    /// From before the process was cloned.
    pub signals: &'a Signals,
    /// Our child.
    pub process: &'a PidFd,
    /// Its pid.
    pub pid: i32,
    /// Its input and output.
    pub relay: &'a mut Relay,
    /// The service manager that waits for its readiness; `run` only.
    pub notify: Option<&'a mut Forwarder>,
}

/// What a round of poll found.
struct Ready {
    signals: bool,
    process: bool,
    notify: bool,
    channels: Vec<bool>,
}

impl Foreground<'_> {
    /// Until the process ends. What it wrote last may still be in [`drain`]'s hands then.
    pub fn wait(mut self) -> Result<Exit> {
        loop {
            let ready = self.poll()?;
            // Output first: what the process did before it ended comes before its end.
            self.relay.step(ready.channels.into_iter());
            self.relay.retry_hung_up();
            if ready.process {
                let exit = self.process.try_reap().map_err(|e| Error::sys("waitid of the container's process", e))?;
                if let Some(exit) = exit {
                    return Ok(exit);
                }
            }
            if ready.notify
                && let Some(notify) = &mut self.notify
            {
                notify.forward_in_foreground();
            }
            if ready.signals
                && let Some(exit) = self.handle_signals()?
            {
                return Ok(exit);
            }
        }
    }

    fn poll(&self) -> Result<Ready> {
        let mut fds = Vec::with_capacity(6);
        fds.push(PollFd::new(self.signals.fd.as_fd(), PollFlags::POLLIN));
        fds.push(PollFd::new(self.process.as_fd(), PollFlags::POLLIN));
        let notify = self.notify.as_ref().and_then(|notify| notify.socket());
        fds.extend(notify.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let interests: Vec<Option<(BorrowedFd<'_>, PollFlags)>> = self.relay.interests().collect();
        fds.extend(interests.iter().flatten().map(|(fd, events)| PollFd::new(*fd, *events)));
        let timeout = if self.relay.is_hung_up() { PollTimeout::from(HUNG_UP_RETRY) } else { PollTimeout::NONE };
        wait_for(&mut fds, timeout)?;
        let mut ready = fds.iter().map(|fd| fd.any() != Some(false));
        let mut next = || ready.next().unwrap_or(false);
        Ok(Ready {
            signals: next(),
            process: next(),
            notify: notify.is_some() && next(),
            channels: interests.iter().map(|interest| interest.is_some() && next()).collect(),
        })
    }

    /// All that are pending; the process's exit if reaping orphans met it.
    fn handle_signals(&mut self) -> Result<Option<Exit>> {
        while let Some(signal) = self.signals.next()? {
            match signal {
                libc::SIGCHLD => {
                    if let Some(exit) = self.reap()? {
                        return Ok(Some(exit));
                    }
                }
                libc::SIGWINCH => self.relay.resize(),
                // What Go's runtime sends itself to preempt; callers written in Go let some slip out.
                libc::SIGURG => {}
                // A process that has just ended (ESRCH), or one that is not ours to signal (EPERM), stays as it is.
                signal => drop(self.process.send_signal(signal)),
            }
        }
        Ok(None)
    }

    fn reap(&mut self) -> Result<Option<Exit>> {
        loop {
            match reap_any() {
                Ok(Some((pid, exit))) if pid == self.pid => return Ok(Some(exit)),
                Ok(Some(_)) => {}
                Ok(None) | Err(Errno::ECHILD) => return Ok(None),
                Err(e) => return Err(Error::sys("waitid of orphans", e)),
            }
        }
    }
}

/// After the process ended, and after its container was destroyed if it is to be (that ends the other writers): passes on
/// what was written. As with runc, a program left in the background that holds a pipe holds us; SIGHUP, SIGINT, SIGQUIT and
/// SIGTERM let go.
pub fn drain(relay: &mut Relay, signals: &Signals) -> Result<()> {
    relay.close_inwards();
    let mut reads = 0_u32;
    loop {
        relay.end_empty_terminal();
        if relay.is_idle() || relay.is_terminal() && reads > TERMINAL_DRAIN_READS {
            return Ok(());
        }
        reads = reads.saturating_add(1);
        let ready = {
            let mut fds = vec![PollFd::new(signals.fd.as_fd(), PollFlags::POLLIN)];
            fds.extend(relay.interests().flatten().map(|(fd, events)| PollFd::new(fd, events)));
            wait_for(&mut fds, PollTimeout::NONE)?;
            fds.iter().skip(1).map(|fd| fd.any() != Some(false)).collect::<Vec<bool>>()
        };
        relay.step(ready.into_iter());
        while let Some(signal) = signals.next()? {
            if matches!(signal, libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | libc::SIGTERM) {
                return Ok(());
            }
        }
    }
}

fn wait_for(fds: &mut [PollFd<'_>], timeout: PollTimeout) -> Result<()> {
    loop {
        match poll(fds, timeout) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::sys("poll", e)),
        }
    }
}
