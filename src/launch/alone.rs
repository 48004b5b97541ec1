//! For tests of what concerns a whole process (its stdio, signals, children): the test starts itself again in a process
//! of its own, where it is the only test.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use super::foreground::{Foreground, Signals, drain};
use super::notify::Forwarder;
use super::relay::Relay;
use super::stdio::StdioPlan;
use crate::sys::spawn::{Program, Spawned, spawn};

const VARIABLE: &str = "DUNNAGE_TEST_ALONE";

/// Whether this is the test's own process; its part is then the body, which ends in `std::process::exit`.
pub fn is_alone() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Starts the test of this full name (below the crate) in a process of its own; the caller adds stdio. What the process
/// writes to stdout comes after some words of the test harness.
pub fn command(test: &str) -> Command {
    // The harness has a thread of its own, which is not to take the signals: all threads inherit what is blocked.
    let mut command = Command::new("/usr/bin/env");
    command.arg("--block-signal").arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--test-threads=1", "--nocapture"]).env(VARIABLE, "1");
    command
}

/// The exit code of a process that must end within `seconds`.
pub fn code_within(child: &mut std::process::Child, seconds: u64) -> i32 {
    let begun = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap();
        }
        if begun.elapsed().as_secs() >= seconds {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("still runs after {seconds} s");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Starts `sh -c script` with these descriptors.
pub fn start(script: &str, stdio: &[OwnedFd; 3]) -> Spawned {
    let args = [c"sh".to_owned(), c"-c".to_owned(), std::ffi::CString::new(script).unwrap()];
    let env = [c"PATH=/usr/bin:/bin".to_owned()];
    let stdio = stdio.each_ref().map(AsFd::as_fd);
    spawn(&Program { path: c"/bin/sh", args: &args, env: &env, cwd: None, stdio, more: &[], pdeathsig: None }).unwrap()
}

/// The whole of a foreground run of `script`; ends this process with its exit code.
pub fn run(plan: StdioPlan, script: &str) -> ! {
    let signals = Signals::block().unwrap();
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let mut stdio = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].map(|fd| fd.try_clone_to_owned().unwrap());
    for (place, child) in stdio.iter_mut().zip(plan.child) {
        if let Some(child) = child {
            *place = child;
        }
    }
    let process = start(script, &stdio);
    drop(stdio);
    finish(&signals, &process, plan.relay, None)
}

/// From the start of the process to our own end.
pub fn finish(signals: &Signals, process: &Spawned, mut relay: Relay, notify: Option<&mut Forwarder>) -> ! {
    let foreground = Foreground { signals, process: &process.pidfd, pid: process.pid, relay: &mut relay, notify };
    let exit = foreground.wait().unwrap();
    drain(&mut relay, signals).unwrap();
    drop(relay);
    std::process::exit(exit.shell_status());
}
