//! What is checked from outside: nobody has touched the host's canary, nothing was made on the host, nothing is left, and the
//! container that came of it is right.

use super::image::{MASKED, NULLS, READ_ONLY, SYSCTL, SYSCTL_FILE};
use crate::common::mount::Mount;
use crate::common::{Bundle, Value, host, json, strings};
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A listener to all that happens in a file system (fanotify(7)).
struct Listener(fs::File);

const CHANGES: u64 = libc::FAN_CREATE
    | libc::FAN_DELETE
    | libc::FAN_MOVED_FROM
    | libc::FAN_MOVED_TO
    | libc::FAN_ATTRIB
    | libc::FAN_MODIFY
    | libc::FAN_CLOSE_WRITE
    | libc::FAN_ONDIR;
const LOOKS: u64 = libc::FAN_OPEN | libc::FAN_OPEN_EXEC | libc::FAN_ACCESS;

impl Listener {
    fn new(at: &Path, events: u64) -> Listener {
        let flags = libc::FAN_CLASS_NOTIF | libc::FAN_NONBLOCK | libc::FAN_CLOEXEC | libc::FAN_UNLIMITED_QUEUE;
        let path = std::ffi::CString::new(at.to_str().unwrap()).unwrap();
        // SAFETY: flags alone.
        let fd = unsafe { libc::fanotify_init(flags | libc::FAN_REPORT_DFID_NAME, 0) };
        assert!(fd >= 0, "fanotify_init: {}", std::io::Error::last_os_error());
        // SAFETY: a descriptor that the kernel has just given to us alone.
        let file = fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        let mark = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
        // SAFETY: a path.
        let marked = unsafe { libc::fanotify_mark(file.as_raw_fd(), mark, events, libc::AT_FDCWD, path.as_ptr()) };
        assert_eq!(marked, 0, "fanotify_mark {}: {}", at.display(), std::io::Error::last_os_error());
        Listener(file)
    }

    /// What others than the test have done: (event's bits, pid, name). Processes outside of the test's pid namespace have none.
    fn heard(&mut self) -> Vec<(u64, i32, String)> {
        let mut all = Vec::new();
        let mut buffer = vec![0u8; 65536];
        while let Ok(n @ 1..) = self.0.read(&mut buffer) {
            let mut rest = &buffer[..n];
            // struct fanotify_event_metadata: u32 length, u8, u8, u16, u64 mask, i32 fd, i32 pid.
            while rest.len() >= 24 {
                let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
                let mask = u64::from_ne_bytes(rest[8..16].try_into().unwrap());
                let pid = i32::from_ne_bytes(rest[20..24].try_into().unwrap());
                if pid > 0 && pid != std::process::id() as i32 {
                    // The name is what ends the record.
                    let text: Vec<u8> = rest[24..length]
                        .iter()
                        .rev()
                        .skip_while(|b| **b == 0)
                        .take_while(|b| **b != 0)
                        .copied()
                        .collect();
                    all.push((
                        mask,
                        pid,
                        String::from_utf8_lossy(&text.into_iter().rev().collect::<Vec<_>>()).into_owned(),
                    ));
                }
                rest = &rest[length..];
            }
        }
        all
    }
}

/// What terminal a process has to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tty {
    None,
    /// One of the container's, on standard input.
    Stdin,
    /// The same is on /dev/console.
    Console,
}

/// How the host is, and has to stay.
pub struct Watch {
    canary: PathBuf,
    opened: Listener,
    changed: Listener,
    files: BTreeMap<PathBuf, String>,
    mounts: Vec<String>,
    /// Devices of the file systems that a container may have parts of.
    given: BTreeSet<String>,
    binary: PathBuf,
    content: Vec<u8>,
    sysctls: Vec<(&'static str, String)>,
    /// The modes of directories that baits lead to.
    modes: Vec<u32>,
}

fn modes() -> Vec<u32> {
    ["/", "/proc", "/dev", "/sys", "/tmp"].iter().map(|path| fs::metadata(path).unwrap().mode()).collect()
}

/// Of a whole machine, or read by all of it.
const SYSCTLS: &[&str] = &[
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/sysrq",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/net/ipv4/ip_unprivileged_port_start",
    "/proc/self/attr/current",
];

impl Watch {
    pub fn begin(b: &Bundle, canary: &Path, given: [&Path; 3]) -> Watch {
        let device = |path: &Path| {
            let dev = fs::metadata(path.ancestors().find(|p| fs::symlink_metadata(p).is_ok()).unwrap()).unwrap().dev();
            format!("{}:{}", libc::major(dev), libc::minor(dev))
        };
        let binary = b.runtime().path.clone();
        Watch {
            canary: canary.to_path_buf(),
            opened: Listener::new(canary, CHANGES | LOOKS),
            changed: Listener::new(Path::new("/"), CHANGES),
            files: snapshot(canary),
            mounts: host::mounts(),
            given: given.map(device).into(),
            content: fs::read(&binary).unwrap(),
            binary,
            modes: modes(),
            sysctls: SYSCTLS.iter().map(|path| (*path, fs::read_to_string(path).unwrap_or_default())).collect(),
        }
    }

    /// Nobody has done anything to the canary or to the host's root. While an attacker is at work, too.
    pub fn nobody_was_heard(&mut self, what: &dyn std::fmt::Display) {
        let heard = self.opened.heard();
        assert!(heard.is_empty(), "{what}: the canary was touched: {heard:x?}");
        let heard = self.changed.heard();
        assert!(heard.is_empty(), "{what}: the host's root was changed: {heard:x?}");
    }

    /// The host is as it was. Cheap; after every round.
    pub fn host_is_untouched(&mut self, what: &dyn std::fmt::Display) {
        self.nobody_was_heard(what);
        let mounts: Vec<String> = host::mounts().into_iter().filter(|m| !self.mounts.contains(m)).collect();
        assert!(mounts.is_empty(), "{what}: mounted on the host: {mounts:#?}");
        assert_eq!(modes(), self.modes, "{what}: a mode of the host has changed");
        let now = snapshot(&self.canary);
        let other: Vec<_> = now.iter().filter(|(path, stat)| self.files.get(*path) != Some(stat)).collect();
        assert!(other.is_empty() && now.len() == self.files.len(), "{what}: the canary has changed: {other:#?}");
    }

    /// The same, and what costs more: at the end.
    pub fn nothing_has_changed(&mut self) {
        self.host_is_untouched(&"at the end");
        assert!(fs::read(&self.binary).unwrap() == self.content, "the runtime's binary has changed");
        for (path, value) in &self.sysctls {
            assert_eq!(fs::read_to_string(path).unwrap_or_default(), *value, "{path}");
        }
        assert_eq!(host::read(self.canary.join("file")), "canary");
    }

    /// The container has nothing of the host, and what it was to have; but for what is at or below `changed`, where the
    /// attacker was.
    pub fn container_is_right(&self, what: &dyn std::fmt::Display, look: &Value, changed: &[PathBuf], tty: Tty) {
        let safe = |path: &str| !changed.iter().any(|changed| Path::new(path).starts_with(changed));
        assert_eq!(look["fds"], json!([0, 1, 2]), "{what}: descriptors");
        let mounts: Vec<Mount> = strings(&look["mounts"]).iter().map(|l| Mount::parse(l)).collect();
        for mount in &mounts {
            assert!(self.may_have(mount), "{what}: a mount of the host: {mount:?}");
        }
        // Null: it has been removed.
        let cwd = look["cwd"].as_str().unwrap_or("/");
        assert!(cwd.starts_with('/') && !cwd.contains("unreachable"), "{what}: cwd {cwd}");
        if mounts.iter().all(|m| m.point != "/proc") {
            return;
        }
        let at = |path: &str| &look["paths"][path];
        let null = |found: &Value| found["kind"] == "char" && found["rdev"] == libc::makedev(1, 3);
        for path in MASKED.iter().filter(|p| safe(p)) {
            let found = at(path);
            let covered = found.is_null() || null(found) || found["entries"] == 0;
            assert!(covered, "{what}: {path} is not masked: {found}");
        }
        for path in NULLS.iter().filter(|p| safe(p)) {
            assert!(at(path).is_null() || null(at(path)), "{what}: {path} is {}", at(path));
        }
        for path in READ_ONLY.iter().filter(|p| safe(p)) {
            let mount = mounts.iter().rfind(|m| m.point == **path);
            assert!(mount.is_none_or(|m| m.has_own("ro")), "{what}: {path} is writable");
        }
        if safe("/proc") {
            assert_eq!(
                at(SYSCTL_FILE)["text"].as_str().map(str::trim),
                Some(SYSCTL.1),
                "{what}: the sysctl is not set"
            );
        }
        let rdev = |value: &Value| value.as_u64().unwrap_or(0);
        let stdin = rdev(&look["stdin"]);
        assert!(tty == Tty::None || libc::major(stdin) == 136, "{what}: not on a terminal");
        if tty == Tty::Console && safe("/dev/console") {
            assert_eq!(rdev(&at("/dev/console")["rdev"]), stdin, "{what}: another console");
        }
    }

    /// Of the file systems that the host has, a container may have those it was given, the devices, and its own cgroups.
    fn may_have(&self, mount: &Mount) -> bool {
        let hosts = self.mounts.iter().map(|l| Mount::parse(l)).any(|m| m.device == mount.device);
        !hosts
            || match mount.kind.as_str() {
                "cgroup" | "cgroup2" => true,
                "devtmpfs" => mount.root != "/",
                _ => self.given.contains(&mount.device) && mount.root != "/" || mount.root == "/null",
            }
    }
}

/// What a snapshot can tell without reading.
fn snapshot(at: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut rest = vec![at.to_path_buf()];
    while let Some(path) = rest.pop() {
        let m = fs::symlink_metadata(&path).unwrap();
        if m.is_dir() {
            rest.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        let times = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
        let text = format!("{:o} {}:{} inode {} size {} {times:?}", m.mode(), m.uid(), m.gid(), m.ino(), m.size());
        all.insert(path, text);
    }
    all
}
