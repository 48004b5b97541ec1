//! Every test in a pid namespace of its own.
//!
//! A runtime that mistakes the root cgroup for a container's kills every process of it: a released runc did so, from a
//! state file of these tests. Signals can't leave a pid namespace, so here it can only end the test. And whatever a test
//! leaves behind dies with the namespace. The test is its pid 1, to which orphans go, as to a container manager.
//!
//! But runc tells systemd its containers' pids as numbers, which systemd takes for its own. Whoever has runc start containers by
//! systemd stays in the pid namespace in which that is so ([`Pids::Systemds`]): on a host that may be broken.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{Driver, Runtime};

/// Set in the environment of a test that is confined, to what makes its names unique: the pid outside.
pub const MARK: &str = "DUNNAGE_TEST_CONFINED";

/// Which pid namespace a test is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pids {
    Own,
    Systemds,
}

impl Pids {
    /// Of a test that starts containers with these runtimes.
    pub fn of(runtimes: &[&Runtime]) -> Pids {
        let by_number = |runtime: &&Runtime| runtime.name != "dunnage";
        match Driver::under_test() == Driver::Systemd && runtimes.iter().any(by_number) {
            true => Pids::Systemds,
            false => Pids::Own,
        }
    }
}

/// Runs this one test again, confined, and fails if it fails.
pub fn run(name: &str, pids: Pids) {
    let pids: &[&str] = match pids {
        Pids::Own => &["--pid", "--fork", "--kill-child", "--mount-proc"],
        Pids::Systemds => &[],
    };
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--mount"])
        .args(pids)
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, std::process::id().to_string())
        // A signal to "the process group" must not reach the one that runs all tests either.
        .process_group(0)
        .status()
        .expect("Debian package util-linux");
    assert!(status.success(), "{name}, in its own pid namespace: {status}");
}
