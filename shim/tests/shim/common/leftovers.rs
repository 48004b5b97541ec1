//! What must be left of a test that ended everything: nothing.

use std::fs;
use std::path::Path;

use super::daemon::{Daemon, SHIM_SOCKETS};
use super::{host, until};

/// Processes, control groups, mounts, sockets, states.
#[track_caller]
pub fn assert_none(daemon: &Daemon, ids: &[String]) {
    until(&format!("no process to be left but {:?}", processes()), || processes().is_empty());
    for id in ids {
        let left = host::cgroup_leftovers(&format!("{}/{id}", daemon.cgroup));
        assert!(left.is_empty(), "control groups are left: {left:?}");
    }
    let new: Vec<String> = host::mounts().into_iter().filter(|m| !daemon.mounts_at_first().contains(m)).collect();
    assert!(new.is_empty(), "mounts are left: {new:#?}");
    assert_empty(Path::new(SHIM_SOCKETS));
    assert_empty(&Path::new("/run/containerd/runc").join(&daemon.namespace));
}

/// The living ones of our pid namespace, but us.
fn processes() -> Vec<String> {
    host::reap_orphans();
    host::pids()
        .filter(|pid| *pid != 1 && host::alive(*pid))
        .map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect()
}

#[track_caller]
pub fn assert_empty(dir: &Path) {
    let left: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    assert!(left.is_empty(), "left: {left:?}");
}
