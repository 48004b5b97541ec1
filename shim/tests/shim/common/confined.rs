//! Every test in a pid and a mount namespace of its own, with a `/run` of its own: the sockets, the bundles and the states of its
//! containers are where a daemon would have them, and whatever a test leaves behind dies with the namespaces. The test is its
//! pid 1, to which an orphaned shim and the containers of a killed one go.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::mount::{MsFlags, mount};

/// Set in the environment of a test that is confined, to what makes its names unique: the pid outside.
pub const MARK: &str = "DUNNAGE_TEST_CONFINED";

/// Runs this one test again, confined, and fails if it fails.
pub fn run(name: &str) {
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, std::process::id().to_string())
        // A signal to "the process group" must not reach the one that runs all tests either.
        .process_group(0)
        .status()
        .expect("Debian package util-linux");
    assert!(status.success(), "{name}, in its own pid namespace: {status}");
}

/// Refuses to go on where a test could hurt: it kills every process it sees at its end.
pub fn assert_confined() {
    assert!(std::process::id() == 1, "{MARK} is for the harness alone");
}

/// Nothing of the host's `/run` is seen, and nothing of ours is left.
pub fn own_run() {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("test"), "/run", Some("tmpfs"), flags, Some("mode=755")).expect("a /run of the test's own");
}

/// What makes this test's names unique on the machine.
pub fn unique() -> String {
    std::env::var(MARK).expect("only confined tests make containers")
}
