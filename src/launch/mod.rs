//! The runtime's half of a start: the process that becomes the container, everything that is done for it from outside, and
//! what goes on around it as long as we are there.
#[cfg(test)]
mod alone;
pub mod console;
pub mod create;
pub mod exec;
pub mod execute;
pub mod facts;
pub mod failure;
pub mod fds;
pub mod foreground;
pub mod hooks;
pub mod idmaps;
pub mod notify;
pub mod pidfile;
pub mod relay;
pub mod restore;
pub mod sockets;
pub mod spawn;
pub mod start;
pub mod stdio;
pub mod sync;
pub mod trees;

use crate::error::Result;
use crate::log;
use crate::sys::pidfd::PidFd;

/// Waits until the service manager knows that the container is ready.
fn notify_wait(forwarder: Option<notify::Forwarder>, process: &PidFd, pid: i32) -> Result<()> {
    let Some(forwarder) = forwarder else { return Ok(()) };
    if forwarder.wait_ready(process, pid)? == notify::Readiness::BarrierTimeout {
        log::warn("Timeout after waiting 30s for barrier. Ignored.");
    }
    Ok(())
}
