//! What is done to a container that exists: signals to all of it, freezing, new limits.

use dunnage::container::{Container, is_not_running};
use dunnage::error::Error;
use dunnage::spec::parse;
use dunnage::update::Request;

use super::other;
use super::{Outcome, Whose, oci};
use crate::ttrpc::Failure;

/// gRPC's number, see [`Failure::not_found`].
const NOT_FOUND: i32 = 5;

pub(super) fn open(whose: &Whose) -> Result<Container, Failure> {
    Container::open(&whose.root, &whose.id).map_err(|e| gone(&e).unwrap_or_else(|| e.into()))
}

/// The error for a container that somebody else has removed.
fn gone(e: &Error) -> Option<Failure> {
    e.to_string().contains("container does not exist").then(|| Failure::not_found("no such container"))
}

/// Every process is killed; that there is none left is no fault.
pub fn kill_all(whose: &Whose) -> Result<Outcome, Failure> {
    if let Some(runtime) = other::runtime(whose)? {
        return match other::kill(&runtime, whose, libc::SIGKILL, true) {
            Err(failure) if failure.code == NOT_FOUND => Ok(Outcome::default()),
            killed => killed,
        };
    }
    match open(whose)?.kill_all() {
        Err(e) if !is_not_running(&e) => Err(oci("killall", &e)),
        _ => Ok(Outcome::default()),
    }
}

/// A signal for the first process, or for all.
pub fn kill(whose: &Whose, signal: i32, all: bool) -> Result<Outcome, Failure> {
    if let Some(runtime) = other::runtime(whose)? {
        return other::kill(&runtime, whose, signal, all);
    }
    let container = open(whose)?;
    if all && signal == libc::SIGKILL {
        return kill_all(whose);
    }
    let sent = if all { signal_all(&container, signal) } else { container.kill(signal) };
    match sent {
        Ok(()) => Ok(Outcome::default()),
        Err(e) if is_not_running(&e) => Err(Failure::not_found("process already finished")),
        Err(e) => Err(Failure::unknown(format_args!("unknown error after kill: {e}"))),
    }
}

/// Each process is found in the cgroup and signalled by its pidfd. One that forks meanwhile has a child without the signal, as in runc.
fn signal_all(container: &Container, signal: i32) -> Result<(), Error> {
    for pid in container.pids()? {
        let Ok(process) = dunnage::sys::pidfd::PidFd::open(pid) else { continue };
        // The pid may have become another's before it was opened: it has to be in there still.
        if container.pids()?.contains(&pid) {
            process.send_signal(signal).ok();
        }
    }
    Ok(())
}

/// Freezes it.
pub fn pause(whose: &Whose) -> Result<Outcome, Failure> {
    if let Some(runtime) = other::runtime(whose)? {
        runtime.pause(&whose.id)?;
        return Ok(Outcome::default());
    }
    open(whose)?.pause().map_err(|e| oci("pause", &e))?;
    Ok(Outcome::default())
}

/// Thaws it.
pub fn resume(whose: &Whose) -> Result<Outcome, Failure> {
    if let Some(runtime) = other::runtime(whose)? {
        runtime.resume(&whose.id)?;
        return Ok(Outcome::default());
    }
    open(whose)?.resume().map_err(|e| oci("resume", &e))?;
    Ok(Outcome::default())
}

/// New limits.
pub fn update(whose: &Whose, resources: &[u8]) -> Result<Outcome, Failure> {
    if let Some(runtime) = other::runtime(whose)? {
        runtime.update(&whose.id, resources)?;
        return Ok(Outcome::default());
    }
    let resources = parse::resources(resources).map_err(|e| Failure::invalid(&e))?;
    let request = Request { resources, ..Request::default() };
    dunnage::update::update(&open(whose)?, request).map_err(|e| oci("update", &e))?;
    Ok(Outcome::default())
}
