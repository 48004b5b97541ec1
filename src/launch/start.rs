//! `start`: lets the program of a created container run.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use nix::unistd::read;

use super::notify::Forwarder;
use super::notify_wait;
use crate::container::{self, Container};
use crate::error::{Errno, Error, Result};
use crate::log;
use crate::spec::trace::asked_by_labels;
use crate::state::{Status, not_running};
use crate::trace::{Recorder, record};

/// Starts it, with `trace` noting where the time goes; with NOTIFY_SOCKET in our environment, waits until it is ready.
///
/// # Errors
/// It is not in the state `created`; a poststart hook failed (then init is killed).
pub fn start(root: &Path, id: &str, trace: Option<&Path>) -> Result<()> {
    let mut trace = Recorder::to(trace)?;
    let container = Container::open(root, id)?;
    if asked_by_labels(&container.state.config.labels) {
        trace.to_state("trace-start.json");
    }
    match container.status()? {
        Status::Created => (),
        Status::Stopped => return Err(Error::new("cannot start a container that has stopped")),
        Status::Running => return Err(Error::new("cannot start an already running container")),
        other => return Err(Error::new(format!("cannot start a container in the {other} state"))),
    }
    let init = container.state.init()?.ok_or_else(not_running)?;
    let host = std::env::var_os("NOTIFY_SOCKET").filter(|s| !s.is_empty()).map(PathBuf::from);
    let notify = host.map(|host| Forwarder::bind(container.dir.as_fd(), &host)).transpose()?;
    trace.phase("state");
    let fifo = release(&container, init.pidfd.as_fd())?;
    trace.phase("release");
    if trace.is_on() && closes_within(&fifo, record::EXEC) {
        trace.executed();
        trace.phase("wait");
    }
    drop(fifo);

    let poststart = container::poststart(&container.state, init.pid);
    trace.phase("poststart");
    trace.finish_start(format!("start {id}"), init.pid, &container.dir);
    if let Err(e) = poststart {
        if let Err(kill) = init.kill(libc::SIGKILL) {
            log::warn(kill);
        }
        return Err(e);
    }
    notify_wait(notify, &init.pidfd, init.pid)
}

/// Opens the exec fifo: that is what init waits for. Then reads what it says, and removes the fifo, which is still open.
fn release(container: &Container, init: std::os::fd::BorrowedFd<'_>) -> Result<OwnedFd> {
    let fifo = container.dir.open_exec_fifo()?;
    loop {
        let mut fds = [PollFd::new(fifo.as_fd(), PollFlags::POLLIN), PollFd::new(init, PollFlags::POLLIN)];
        match poll(&mut fds, LOOK_AGAIN) {
            Ok(_) | Err(Errno::EINTR) => (),
            Err(e) => return Err(Error::sys("poll the exec fifo", e)),
        }
        let [_, ended] = fds.map(|fd| fd.any() == Some(true));
        let mut byte = [0u8; 8];
        match read(&fifo, &mut byte) {
            Ok(n) if n > 0 => return container.dir.remove_exec_fifo().map(|()| fifo),
            // Nobody has opened it for writing, or has closed it again.
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => (),
            Err(e) => return Err(Error::sys("read the exec fifo", e)),
        }
        if fstat(&fifo).is_ok_and(|s| s.st_nlink == 0) {
            // Another `start` was faster.
            return Err(Error::new("cannot start an already running container"));
        }
        if ended {
            return Err(Error::new(
                "exec fifo is empty: container init did not signal execve readiness (process died before writing, or \
                 fifo already consumed)",
            ));
        }
        if fds_closed(&fifo) {
            // Closed by its writer, which poll(2) does not wait on: the one who read it is about to remove it.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// How long to wait before looking whether somebody else has taken the fifo.
const LOOK_AGAIN: u8 = 100;

/// Its writer has it open until it executes the program.
fn closes_within(fifo: &OwnedFd, milliseconds: u16) -> bool {
    let mut fds = [PollFd::new(fifo.as_fd(), PollFlags::empty())];
    matches!(poll(&mut fds, milliseconds), Ok(1))
}

fn fds_closed(fifo: &OwnedFd) -> bool {
    let mut fd = [PollFd::new(fifo.as_fd(), PollFlags::empty())];
    poll(&mut fd, PollTimeout::ZERO).is_ok()
        && fd.iter().all(|fd| fd.revents().is_some_and(|r| r.contains(PollFlags::POLLHUP)))
}
