//! Containers of an ordinary user: what works without root, what is refused, and what others can do about it.
//!
//! The user has a real uid without any privilege. Its entries in /etc/passwd, /etc/subuid and /etc/subgid are in the test's own
//! mount namespace alone.

mod cgroups;
mod ids;
mod life;
mod others;
mod refused;
mod root;

use crate::cgroup2::unified;
use crate::common::{Bundle, Command, Value, host, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

/// Who has no rights but its own.
pub const UID: u32 = 4711;
/// Who has nothing to do with it.
pub const STRANGER: u32 = 4712;
const SUBORDINATE: u32 = 700_000;

fn give(path: &Path, uid: u32) {
    let path = path.to_str().unwrap();
    Command::new(["chown", "-hR", &format!("{uid}:{uid}"), path]).output().ok();
}

/// A directory of this user's alone.
fn private(path: &Path, uid: u32) {
    fs::create_dir_all(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    chown(path, Some(uid), Some(uid)).unwrap();
}

/// What comes before a command line to have this user run it.
fn as_user(b: &Bundle, uid: u32) -> Vec<String> {
    let (id, xdg) = (uid.to_string(), b.path(&format!("run-{uid}")));
    [
        "/usr/bin/setpriv",
        "--reuid",
        &id,
        "--regid",
        &id,
        "--clear-groups",
        "--",
        "/usr/bin/env",
        &format!("XDG_RUNTIME_DIR={}", xdg.display()),
    ]
    .map(str::to_string)
    .to_vec()
}

/// The users, without ids but their own, in an /etc of this test; the runtime is run by the first. config.json is as
/// `spec --rootless` writes it, without a terminal.
fn ordinary_user(b: &mut Bundle) -> &mut Bundle {
    b.without_systemd();
    // Not in the bundle's directory, which is removed with the mount still there.
    let etc = "mount -t tmpfs tmpfs /srv && mkdir /srv/upper /srv/work &&
        mount -t overlay overlay -o lowerdir=/etc,upperdir=/srv/upper,workdir=/srv/work /etc &&
        echo 'ordinary:x:4711:4711::/:/bin/sh' >>/etc/passwd && echo 'stranger:x:4712:4712::/:/bin/sh' >>/etc/passwd &&
        : >/etc/subuid && : >/etc/subgid && chmod 0644 /etc/passwd /etc/subuid /etc/subgid";
    Command::new(["sh", "-c", etc]).output().ok();
    give(&b.bundle(), UID);
    private(&b.root(), UID);
    for uid in [UID, STRANGER] {
        private(&b.path(&format!("run-{uid}")), uid);
    }
    b.wrap(&as_user(b, UID));
    let dir = b.path("spec");
    private(&dir, UID);
    b.command(&["spec", "--rootless"]).dir(&dir).output().ok();
    b.config = serde_json::from_str(&host::read(dir.join("config.json"))).unwrap();
    b.set("/process/terminal", false)
}

/// These ids beside the user's own, for user and group; granted in /etc/subuid and /etc/subgid.
fn grant(ranges: &[(u32, u32)]) {
    let lines: String = ranges.iter().map(|(first, size)| format!("ordinary:{first}:{size}\n")).collect();
    for file in ["/etc/subuid", "/etc/subgid"] {
        fs::write(file, &lines).unwrap();
    }
}

/// Container 0 is the user, what follows are these ids of the host.
fn map(b: &mut Bundle, ranges: &[(u32, u32)]) {
    let mut maps = vec![json!({"containerID": 0, "hostID": UID, "size": 1})];
    let mut next = 1;
    for (first, size) in ranges {
        maps.push(json!({"containerID": next, "hostID": first, "size": size}));
        next += size;
    }
    b.set("/linux/uidMappings", json!(maps)).set("/linux/gidMappings", json!(maps));
}

/// The files of a report's map, as numbers.
fn numbers(map: &Value) -> Vec<Vec<u32>> {
    let line = |l: &Value| l.as_str().unwrap().split_whitespace().map(|n| n.parse().unwrap()).collect();
    map.as_array().unwrap().iter().map(line).collect()
}

/// A network namespace of its own, which `spec --rootless` does without.
fn own_network(b: &mut Bundle) -> &mut Bundle {
    b.namespace("network", None)
}

/// Replaces the mount at this destination.
fn remount(b: &mut Bundle, destination: &str, mount: Value) {
    let mounts = b.config["mounts"].as_array_mut().unwrap();
    *mounts.iter_mut().find(|m| m["destination"] == destination).unwrap() = mount;
}

/// The same on this host's hierarchies (true: some of them are v1's), and where there is v2 alone.
fn on_both(b: &mut Bundle, test: impl Fn(&mut Bundle, bool)) {
    if host::has_v1() {
        test(b, true);
        unified(b);
    }
    test(b, false);
}
