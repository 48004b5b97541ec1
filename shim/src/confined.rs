//! Tests that mount or start containers: each in a process and a mount namespace of its own, where it is the only test, and in a
//! pid namespace of its own if what it starts could reach the machine's processes. With that, what it leaves behind dies.

use std::process::{Command, Stdio};

/// Set in the environment of a confined test.
pub const MARK: &str = "DUNNAGE_SHIM_TEST_CONFINED";

/// Which pid namespace a test is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pids {
    /// The machine's.
    Same,
    /// Its own, and the test is pid 1 there: orphans are its children, as they are a subreaper's.
    Own,
}

/// In the harness: runs the test of this full name again, confined, and gives what it wrote to stdout. There: `None`.
pub fn output(name: &str, pids: Pids, environment: &[(&str, &str)]) -> Option<String> {
    if std::env::var_os(MARK).is_some() {
        return None;
    }
    let own: &[&str] = match pids {
        Pids::Same => &[],
        Pids::Own => &["--pid", "--fork", "--kill-child", "--mount-proc"],
    };
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "timeout", "-k", "5", "60", "unshare", "--mount"])
        .args(own)
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, std::process::id().to_string())
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("Debian package util-linux");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}, confined: {}\n{stdout}\n{stderr}", output.status);
    Some(stdout)
}
