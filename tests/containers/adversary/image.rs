//! The hostile image, the configurations that touch everything in it, and the file systems that both live on.

use super::racer::{self, Host};
use super::watch::Watch;
use crate::cgroup2::unified;
use crate::common::{Bundle, host, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// One way to configure a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// All kinds of mounts, devices, masks, hooks; root on cgroup v1.
    Plain,
    /// With a terminal, by `create` and `start`.
    Terminal,
    /// In a user namespace.
    Mapped,
    /// cgroup v2 alone, and the root is read-only.
    Unified,
    /// Nothing is mounted on /dev: nodes and links are made in what the image has there.
    OwnDev,
    /// `--no-pivot`
    NoPivot,
    /// No mount namespace.
    NoMounts,
    /// Mounts propagate to the host; and rights over files are given up (Landlock).
    Shared,
}

pub const SCENES: &[Scene] = &[
    Scene::Plain,
    Scene::Terminal,
    Scene::Mapped,
    Scene::Unified,
    Scene::OwnDev,
    Scene::NoPivot,
    Scene::NoMounts,
    Scene::Shared,
];

impl Scene {
    /// Of this path it makes all attacks itself: no other scene names it, or few.
    pub fn has_all_of(self, path: &Path) -> bool {
        let own: &[&str] = match self {
            Scene::Plain => &["/vol/cwd/deep", "/etc/passwd", "/vol/bin/look", "/bin/busybox", "/vol/dir"],
            Scene::Terminal => &["/dev/console", "/dev/pts", "/dev/pts/ptmx"],
            Scene::OwnDev => &["/dev/null", "/dev/ptmx", "/dev/fd"],
            Scene::NoMounts => &["/vol/cwd"],
            Scene::Unified => &["/sys/fs/cgroup"],
            Scene::Shared => &["/etc", "/bin"],
            _ => &[],
        };
        own.iter().any(|own| Path::new(own) == path)
    }
}

/// What the payload looks at: masks that must hold, and what may be something else only if the attacker put it there.
pub const MASKED: &[&str] =
    &["/proc/keys", "/proc/timer_list", "/sys/firmware", "/vol/secret", "/vol/secret-dir", "/shared/secret"];
pub const READ_ONLY: &[&str] = &["/proc/sys", "/proc/irq", "/vol/ro", "/shared/ro"];
pub const NULLS: &[&str] = &["/dev/null", "/vol/nodes/null", "/shared/null"];
/// What the container runs: the payload, which looks at all that was to be masked, made and set.
pub const LOOK: &[&str] = &[
    "look",
    "look",
    "/proc/keys",
    "/proc/timer_list",
    "/sys/firmware",
    "/vol/secret",
    "/vol/secret-dir",
    "/shared/secret",
    "/dev/null",
    "/vol/nodes/null",
    "/shared/null",
    "/dev/console",
    SYSCTL_FILE,
];
/// In the container's own network namespace; the host has another value.
pub const SYSCTL: (&str, &str) = ("net.ipv4.ip_unprivileged_port_start", "7");
pub const SYSCTL_FILE: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// The image, the shared volume, the canary, and who watches.
pub struct Rig {
    pub rootfs: PathBuf,
    /// A volume that another container has, too: /shared.
    pub volume: PathBuf,
    pub host: Host,
    pub watch: Watch,
    /// Of the test alone: outputs, sockets, sources of binds.
    pub own: PathBuf,
    arena: PathBuf,
    mapped: bool,
    mounted: Vec<PathBuf>,
}

impl Rig {
    pub fn new(b: &mut Bundle, scene: Scene) -> Rig {
        assert_eq!(std::process::id(), 1, "it ends every process that it sees: it needs a pid namespace of its own");
        if scene == Scene::Unified {
            unified(b);
        }
        let [arena, own, state, host] = ["arena", "own", "root", "host"].map(|name| b.path(name));
        for dir in [&arena, &own, &state, &host] {
            fs::create_dir_all(dir).unwrap();
            racer::shared_tmpfs(dir);
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let canary = host.join("canary");
        make_canary(&canary);
        let store = arena.join("store");
        fs::create_dir(&store).unwrap();
        for name in ["payload", "bin/busybox"] {
            fs::copy(b.rootfs(name), store.join(Path::new(name).file_name().unwrap())).unwrap();
        }
        let hostile = arena.join("hostile");
        fs::create_dir(&hostile).unwrap();
        fs::write(hostile.join("file"), "bait").unwrap();
        for name in LEAVES {
            symlink(canary.join("dir").join(name), hostile.join(name)).unwrap();
        }
        fs::create_dir(own.join("dir")).unwrap();
        fs::write(own.join("bound"), "bound").unwrap();
        let (rootfs, volume) = (arena.join("rootfs"), arena.join("volume"));
        let mapped = scene == Scene::Mapped;
        let host = Host { canary, hostile };
        let mounted = vec![host.canary.parent().unwrap().to_path_buf(), own.clone(), arena.clone(), state];
        let watch = Watch::begin(b, &host.canary, [&rootfs, &volume, &own]);
        let rig = Rig { rootfs, volume, host, watch, own, arena, mapped, mounted };
        rig.build();
        configure(b, scene, &rig);
        rig
    }

    /// The image as it was published: whatever an attacker or a runtime has changed is gone.
    pub fn build(&self) {
        for dir in [&self.rootfs, &self.volume] {
            if fs::symlink_metadata(dir).is_ok() {
                fs::remove_dir_all(dir).unwrap();
            }
            fs::create_dir(dir).unwrap();
        }
        let at = |name: &str| self.rootfs.join(name);
        for dir in [
            "bin",
            "dev",
            "etc",
            "proc",
            "sys",
            "run",
            "shared",
            "vol",
            "vol/bin",
            "vol/tmpfs",
            "vol/dir",
            "vol/copy",
            "vol/copy/sub",
        ] {
            fs::create_dir(at(dir)).unwrap();
        }
        for dir in ["vol/nodes", "vol/secret-dir", "vol/ro", "vol/cwd"] {
            fs::create_dir(at(dir)).unwrap();
        }
        for (from, to) in [("payload", "vol/bin/look"), ("payload", "payload"), ("busybox", "bin/busybox")] {
            fs::hard_link(self.arena.join("store").join(from), at(to)).unwrap();
        }
        for (name, text) in [
            ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
            ("etc/group", "root:x:0:\n"),
            ("vol/file", ""),
            ("vol/copy/file", "copied"),
            ("vol/copy/sub/file", "copied"),
            ("vol/secret", "secret"),
            ("vol/secret-dir/inner", "secret"),
        ] {
            fs::write(at(name), text).unwrap();
        }
        symlink("/etc/passwd", at("vol/copy/link")).unwrap();
        for dir in ["in", "ro"] {
            fs::create_dir(self.volume.join(dir)).unwrap();
        }
        fs::write(self.volume.join("secret"), "secret").unwrap();
        if self.mapped {
            for dir in [&self.rootfs, &self.volume] {
                give(dir, 100_000);
            }
        }
    }

    /// Takes away what attackers have mounted themselves and could not take away again, because something was in their way.
    pub fn calm_down(&self) {
        for mount in host::mounts().iter().rev() {
            let words: Vec<&str> = mount.split(' ').collect();
            if words[3].starts_with("/hostile") && Path::new(words[4]).starts_with(&self.arena) {
                racer::unmount(Path::new(words[4]));
            }
        }
    }

    /// Where a path of the container is for somebody who shares its root file system or the volume.
    pub fn outside<'a>(&'a self, path: &'a Path) -> (&'a Path, &'a Path) {
        match path.strip_prefix("/shared") {
            Ok(rest) if !rest.as_os_str().is_empty() => (&self.volume, rest),
            _ => (&self.rootfs, path),
        }
    }
}

impl Drop for Rig {
    /// Whatever is mounted in there is taken away before anybody removes what is below.
    fn drop(&mut self) {
        for dir in &self.mounted {
            for mount in host::mounts().iter().rev() {
                let point = mount.split(' ').nth(4).unwrap_or_default();
                // The runtime's state stays, until it has been asked to remove what it knows of.
                if Path::new(point).starts_with(dir) && !dir.ends_with("root") {
                    racer::unmount(Path::new(point));
                }
            }
        }
    }
}

/// Names that paths of the configuration end with, or go on with.
const LEAVES: &[&str] = &[
    "bin",
    "busybox",
    "bound",
    "console",
    "copy",
    "core",
    "cwd",
    "deep",
    "dir",
    "fd",
    "file2",
    "fs",
    "cgroup",
    "group",
    "in",
    "inner",
    "look",
    "made",
    "mqueue",
    "new",
    "nodes",
    "notify",
    "null",
    "passwd",
    "ptmx",
    "pts",
    "ro",
    "secret",
    "secret-dir",
    "shm",
    "stdin",
    "sub",
    "tmpfs",
    "tty",
    "vol",
    "shared",
    "sys",
    "keys",
];

fn make_canary(at: &Path) {
    fs::create_dir(at).unwrap();
    fs::write(at.join("file"), "canary").unwrap();
    fs::create_dir(at.join("dir")).unwrap();
    // Some of the names are there and some are not: what is opened, and what is made, is seen either way.
    for (i, name) in LEAVES.iter().enumerate() {
        match i % 3 {
            0 => fs::write(at.join("dir").join(name), "canary").unwrap(),
            1 => fs::create_dir(at.join("dir").join(name)).unwrap(),
            _ => (),
        }
    }
    let name = c"trusted.canary";
    let path = std::ffi::CString::new(at.join("file").to_str().unwrap()).unwrap();
    // SAFETY: two strings, and one byte of a value.
    unsafe { nix::libc::setxattr(path.as_ptr(), name.as_ptr(), c"x".as_ptr().cast(), 1, 0) };
}

fn give(at: &Path, id: u32) {
    std::os::unix::fs::lchown(at, Some(id), Some(id)).unwrap();
    if fs::symlink_metadata(at).unwrap().is_dir() {
        fs::read_dir(at).unwrap().for_each(|entry| give(&entry.unwrap().path(), id));
    }
}

/// Every kind of step that takes a path takes one that the attacker has in his hands.
fn configure(b: &mut Bundle, scene: Scene, rig: &Rig) {
    let own = |name: &str| rig.own.join(name).display().to_string();
    let (file, dir) = (own("bound"), own("dir"));
    b.set("/root/path", rig.rootfs.display().to_string()).set("/root/readonly", scene == Scene::Unified);
    b.set("/process/env", json!(["PATH=/vol/bin:/bin"])).set("/process/cwd", "/vol/cwd/deep");
    b.args(LOOK);
    b.set(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO"}]}),
    );
    if scene == Scene::NoMounts {
        b.drop_namespace("mount").remove("/mounts");
        b.remove("/linux/maskedPaths").remove("/linux/readonlyPaths");
        return;
    }
    for mount in [
        json!({"destination": "/vol/tmpfs", "type": "tmpfs", "source": "tmpfs"}),
        json!({"destination": "/vol/copy", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}),
        json!({"destination": "/vol/made/deep", "type": "tmpfs", "source": "tmpfs", "options": ["rslave"]}),
        json!({"destination": "/vol/dir", "type": "bind", "source": dir, "options": ["rbind", "rslave", "rro"]}),
        json!({"destination": "/vol/file", "type": "bind", "source": file, "options": ["bind", "ro"]}),
        json!({"destination": "/vol/new/file2", "type": "bind", "source": file, "options": ["bind"]}),
        json!({"destination": "/shared", "type": "bind", "source": rig.volume, "options": ["rbind", "rslave"]}),
        json!({"destination": "/shared/in/deep", "type": "tmpfs", "source": "tmpfs"}),
        json!({"destination": "/shared/file", "type": "bind", "source": file, "options": ["bind"]}),
        json!({"destination": "/proc/cpuinfo", "type": "bind", "source": file, "options": ["bind"]}),
    ] {
        b.mount(mount);
    }
    let mut masked = MASKED.to_vec();
    masked.push("/proc/kcore");
    b.set("/linux/maskedPaths", json!(masked)).set("/linux/readonlyPaths", json!(READ_ONLY));
    let node =
        |path: &str| json!({"path": path, "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 1, "gid": 1});
    if scene != Scene::Mapped {
        b.set("/linux/devices", json!([node("/vol/nodes/null"), node("/shared/null")]));
    }
    b.set("/linux/sysctl", json!({SYSCTL.0: SYSCTL.1}));
    b.set("/hooks/createContainer", json!([{"path": "/bin/true"}]));
    b.set("/hooks/startContainer", json!([{"path": "/bin/busybox", "args": ["busybox", "true"]}]));
    let dev = |path: &str| path.starts_with("/dev");
    match scene {
        Scene::Terminal => drop(b.set("/process/terminal", true)),
        Scene::Mapped => {
            let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        }
        Scene::OwnDev => {
            let mounts = b.config["mounts"].as_array_mut().unwrap();
            mounts.retain(|m| !dev(m["destination"].as_str().unwrap()));
        }
        Scene::Shared => {
            let kept = json!({"read": ["/bin", "/vol", "/etc"], "write": ["/shared", "/proc", "/dev", "/sys"]});
            b.set("/linux/rootfsPropagation", "shared");
            b.set("/annotations", json!({"io.dunnage.landlock": kept.to_string()}));
        }
        _ => (),
    }
}
