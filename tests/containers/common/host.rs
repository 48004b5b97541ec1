//! What the host sees: processes, mounts, control groups. Nothing here asks the runtime.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// `/proc/PID/status`, each value with single spaces.
pub fn status(pid: i32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    text.lines()
        .filter_map(|l| l.split_once(':'))
        .map(|(k, v)| (k.to_string(), v.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

/// The effective capabilities of the test, and so of the runtime.
pub fn own_capabilities() -> u64 {
    u64::from_str_radix(&status(std::process::id() as i32)["CapEff"], 16).unwrap()
}

/// Running or sleeping; a zombie is not.
pub fn alive(pid: i32) -> bool {
    pid > 0 && status(pid).get("State").is_some_and(|s| !s.starts_with(['Z', 'X']))
}

/// `mnt:[4026531840]` and the like.
pub fn namespace(pid: i32, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}"))
        .unwrap_or_else(|e| panic!("ns {kind} of {pid}: {e}"))
        .display()
        .to_string()
}

pub fn own_namespace(kind: &str) -> String {
    namespace(std::process::id() as i32, kind)
}

pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).trim_end().to_string()
}

/// Every living pid of the host whose cgroup, in any hierarchy, has this in its path.
pub fn pids_in_cgroup(part: &str) -> Vec<i32> {
    assert!(super::driver::is_ours(part), "only groups of the tests: {part}");
    let inside = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|c| c.contains(part));
    pids().filter(inside).filter(|pid| alive(*pid)).collect()
}

/// The paths of a process's cgroups, in the hierarchies that are mounted here: the kernel names the others all the same.
pub fn cgroups_of(pid: i32) -> Vec<String> {
    let mounted: Vec<String> = hierarchies().into_iter().map(|(names, _)| names).collect();
    let has = |name: &str| mounted.iter().any(|names| names.split(',').any(|n| n == name.trim_start_matches("name=")));
    let text = read(format!("/proc/{pid}/cgroup"));
    let lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    lines.filter(|(names, _)| names.split(',').any(has)).map(|(_, path)| path.to_string()).collect()
}

/// Every pid whose parent is this one.
pub fn children(parent: i32) -> Vec<i32> {
    pids().filter(|pid| status(*pid).get("PPid").is_some_and(|p| *p == parent.to_string())).collect()
}

pub fn pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// Takes leave of the dead that were left to us, pid 1: a pid namespace ends only when all of its dead have been reaped.
/// Those of our own session and pid namespace are children of the test, who asks for their status himself.
pub fn reap_orphans() {
    let own = session(std::process::id() as i32);
    for pid in children(std::process::id() as i32) {
        let inside = status(pid).get("NSpid").is_some_and(|n| n.contains(' '));
        if !alive(pid) && (inside || session(pid) != own) {
            let _ =
                nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), Some(nix::sys::wait::WaitPidFlag::WNOHANG));
        }
    }
}

fn session(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.to_string())
}

/// The host's mount table, for "nothing was left".
pub fn mounts() -> Vec<String> {
    read("/proc/self/mountinfo").lines().map(str::to_string).collect()
}

/// Every cgroup hierarchy: (the controllers it is named by, mount point). The unified one is `""`.
pub fn hierarchies() -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    for line in mounts() {
        let (left, right) = line.split_once(" - ").unwrap();
        let point = PathBuf::from(left.split(' ').nth(4).unwrap());
        let mut right = right.split(' ');
        match right.next() {
            Some("cgroup2") => all.push((String::new(), point)),
            Some("cgroup") => {
                let name = point.file_name().unwrap().to_string_lossy().into_owned();
                all.push((name, point));
            }
            _ => {}
        }
    }
    all
}

/// Whether any controller is on cgroup v1.
pub fn has_v1() -> bool {
    hierarchies().iter().any(|(controllers, _)| !controllers.is_empty() && !controllers.starts_with("systemd"))
}

/// The directory of a cgroup path in a controller's hierarchy (`""`: unified).
pub fn cgroup_dir(controller: &str, path: &str) -> PathBuf {
    let (_, point) = hierarchies()
        .into_iter()
        .find(|(names, _)| names == controller || names.split(',').any(|n| n == controller))
        .unwrap_or_else(|| panic!("no hierarchy of {controller:?} is mounted"));
    point.join(path.trim_start_matches('/'))
}

/// A file of a v1 cgroup.
pub fn cgroup_file(controller: &str, path: &str, file: &str) -> String {
    read(cgroup_dir(controller, path).join(file))
}

/// Where a cgroup of this path is left.
pub fn cgroup_leftovers(path: &str) -> Vec<PathBuf> {
    hierarchies()
        .into_iter()
        .map(|(_, point)| point.join(path.trim_start_matches('/')))
        .filter(|p| p.is_dir())
        .collect()
}

/// Kills what is left, by pid, and removes the groups, deepest first.
pub fn sweep_cgroup(path: &str) {
    assert!(path.starts_with('/') && super::driver::is_ours(path), "only groups of the tests: {path}");
    for pid in pids_in_cgroup(path) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    let end = Instant::now() + super::patience(1);
    while Instant::now() < end {
        for top in cgroup_leftovers(path) {
            remove_groups(&top);
        }
        if cgroup_leftovers(path).is_empty() {
            return;
        }
        super::pause(5);
    }
    eprintln!("cgroups left: {:?}", cgroup_leftovers(path));
}

fn remove_groups(dir: &Path) {
    // A frozen process dies only when it is thawed.
    let _ = fs::write(dir.join("freezer.state"), "THAWED");
    let _ = fs::write(dir.join("cgroup.freeze"), "0");
    for child in fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.path().is_dir()) {
        remove_groups(&child.path());
    }
    let _ = fs::remove_dir(dir);
}
