//! Every test in a pid namespace of its own.
//!
//! A runtime that mistakes the root cgroup for a container's kills every process of it: a released runc did so, from a
//! state file of these tests. Signals can't leave a pid namespace, so here it can only end the test. And whatever a test
//! leaves behind dies with the namespace. The test is its pid 1, to which orphans go, as to a container manager.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Set in the environment of a test that is confined, to what makes its names unique: the pid outside.
pub const MARK: &str = "DUNNAGE_TEST_CONFINED";

/// Runs this one test again, confined, and fails if it fails.
pub fn run(name: &str) {
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, std::process::id().to_string())
        // A signal to "the process group" must not reach the one that runs all tests either.
        .process_group(0)
        .status()
        .expect("Debian package util-linux");
    assert!(status.success(), "{name}, in its own pid namespace: {status}");
}
