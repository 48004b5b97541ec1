//! Which control group hierarchies this host has and where they are mounted. Costs one statfs(2) on cgroup v2; reads
//! /proc/self/mountinfo only where /sys/fs/cgroup is something else. Must not know containers.

use std::sync::OnceLock;

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use super::dir::read_file;
use crate::error::{Context, Errno, Error, Result};

/// Where the hierarchies are mounted; everything else below it is not looked at, as in all other runtimes.
pub const ROOT: &str = "/sys/fs/cgroup";

/// What runc calls the controllers of v1 (keys of `cgroup_paths`), in the order in which their limits are set.
const V1_CONTROLLERS: [&str; 15] = [
    "cpuset",
    "devices",
    "memory",
    "cpu",
    "cpuacct",
    "pids",
    "blkio",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "freezer",
    "rdma",
    "misc",
    "name=systemd",
];

/// The version of a hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy per controller, or per few.
    V1,
    /// The unified one.
    V2,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its version.
    pub version: Version,
    /// Keys in `cgroup_paths`: controllers mounted together (`cpu`, `cpuacct`), `name=systemd`, or `""` for v2.
    pub keys: Vec<String>,
    /// Where it is mounted, without a slash at the end.
    pub mount: String,
    /// Which directory of it is mounted there: `/`, but for a bind mount, as containers have them without a cgroup
    /// namespace.
    pub root: String,
}

/// The hierarchies of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// v1 hierarchies first, in the order in which limits are set; then the unified one.
    pub hierarchies: Vec<Hierarchy>,
}

/// How the hierarchies are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Controllers on v1 alone.
    V1,
    /// Controllers on v1, and v2 without controllers (or with those that v1 left) at /sys/fs/cgroup/unified.
    Hybrid,
    /// v2 at /sys/fs/cgroup.
    V2,
}

/// See [`Host::keep`].
static KEPT: OnceLock<Host> = OnceLock::new();

impl Host {
    /// What this program has found, and its copies find from now on: for one that stays (the shim), since the hierarchies of a host do not
    /// change while containers run, and to read all its mounts takes longer than anything else that an exec asks of it.
    pub fn keep(self) {
        // Kept once: the same.
        KEPT.set(self).ok();
    }

    /// Looks at /sys/fs/cgroup, and only if that is not cgroup2 at /proc/self/mountinfo.
    pub fn detect() -> Result<Host> {
        if let Some(host) = KEPT.get() {
            return Ok(host.clone());
        }
        match statfs(ROOT) {
            Ok(fs) if fs.filesystem_type() == CGROUP2_SUPER_MAGIC => Ok(Host::unified()),
            Ok(_) | Err(Errno::ENOENT) => Ok(Host::from_mountinfo(&read_file("/proc/self/mountinfo")?)),
            Err(e) => Err(Error::sys(format_args!("statfs {ROOT}"), e)).doing(|| "detect control groups"),
        }
    }

    /// cgroup v2 alone.
    pub fn unified() -> Host {
        Host {
            hierarchies: vec![Hierarchy {
                version: Version::V2,
                keys: vec![String::new()],
                mount: ROOT.into(),
                root: "/".into(),
            }],
        }
    }

    /// The hierarchies among the mounts of proc_pid_mountinfo(5). A controller that is mounted twice counts once, where it
    /// was mounted first.
    pub fn from_mountinfo(mountinfo: &str) -> Host {
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for found in mountinfo.lines().filter_map(hierarchy) {
            let known = |key: &String| hierarchies.iter().any(|h| h.keys.contains(key));
            if !found.keys.is_empty() && !found.keys.iter().any(known) {
                hierarchies.push(found);
            }
        }
        hierarchies.sort_by_key(|h| h.keys.iter().filter_map(|k| rank(k)).min().unwrap_or(usize::MAX));
        Host { hierarchies }
    }

    /// v1, hybrid or v2.
    pub fn layout(&self) -> Layout {
        match (self.hierarchies.iter().any(|h| h.version == Version::V1), self.unified_hierarchy()) {
            (false, Some(_)) => Layout::V2,
            (_, None) => Layout::V1,
            (true, Some(_)) => Layout::Hybrid,
        }
    }

    /// Which version holds the limits: [`Version::V1`] on hybrid.
    pub fn version(&self) -> Version {
        if self.layout() == Layout::V2 { Version::V2 } else { Version::V1 }
    }

    /// The hierarchy of a key of `cgroup_paths`.
    pub fn hierarchy(&self, key: &str) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|h| h.keys.iter().any(|k| k == key))
    }

    /// The v2 hierarchy, of v2 and hybrid.
    pub fn unified_hierarchy(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|h| h.version == Version::V2)
    }

    /// The controllers that v2 has here, of `cgroup.controllers` of its root.
    pub fn available_controllers(&self) -> Result<Vec<String>> {
        let Some(v2) = self.unified_hierarchy() else { return Ok(Vec::new()) };
        let text = read_file(&format!("{}/cgroup.controllers", v2.mount))?;
        Ok(text.split_ascii_whitespace().map(String::from).collect())
    }
}

fn rank(key: &str) -> Option<usize> {
    V1_CONTROLLERS.iter().position(|known| *known == key)
}

/// One line of mountinfo: `36 35 98:0 /root /mount opts [optional...] - cgroup source super,options`.
fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount_part, fs_part) = line.split_once(" - ")?;
    let mut fs = fs_part.split(' ');
    let version = match fs.next()? {
        "cgroup" => Version::V1,
        "cgroup2" => Version::V2,
        _ => return None,
    };
    let mut fields = mount_part.split(' ').skip(3);
    let root = unescape(fields.next()?);
    let mount = unescape(fields.next()?);
    let below = mount.strip_prefix(ROOT)?;
    let keys = match version {
        Version::V2 if below.is_empty() || below == "/unified" => vec![String::new()],
        Version::V2 => return None,
        Version::V1 => {
            let options = fs.nth(1)?.split(',');
            options.filter(|option| rank(option).is_some()).map(String::from).collect()
        }
    };
    Some(Hierarchy { version, keys, mount, root })
}

/// Blanks, tabs, newlines and backslashes are octal in mountinfo.
fn unescape(field: &str) -> String {
    let mut out = String::new();
    let mut parts = field.split('\\');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        match (part.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()), part.get(3..)) {
            (Some(byte), Some(rest)) => {
                out.push(char::from(byte));
                out.push_str(rest);
            }
            _ => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

/// Where a process is, by proc_pid_cgroup(5): the path of each hierarchy, relative to the root of our cgroup namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership(String);

impl Membership {
    /// Of this process.
    pub fn own() -> Result<Membership> {
        read_file("/proc/self/cgroup").map(Membership)
    }

    /// Of another; `None` if there is no such process.
    pub fn of(pid: i32) -> Result<Option<Membership>> {
        match read_file(&format!("/proc/{pid}/cgroup")) {
            Ok(text) => Ok(Some(Membership(text))),
            Err(e) if matches!(e.errno(), Some(Errno::ENOENT | Errno::ESRCH)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// From the text of the file.
    pub fn from_text(text: impl Into<String>) -> Membership {
        Membership(text.into())
    }

    /// The path in the hierarchy of `key` (`""` for v2), as the kernel shows it.
    pub fn path(&self, key: &str) -> Option<&str> {
        self.0.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let here = if key.is_empty() { controllers.is_empty() } else { controllers.split(',').any(|c| c == key) };
            here.then_some(path)
        })
    }

    /// Every controller (`name=x`; `""` for v2) with its path, as the kernel shows them.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.0.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        fields.flat_map(|(keys, path)| keys.split(',').map(move |key| (key, path)))
    }

    /// True if the process is in the cgroup of this directory, or in one below it.
    pub fn is_in(&self, hierarchy: &Hierarchy, path: &str) -> bool {
        let here = self.directory(hierarchy);
        let below = here.as_deref().and_then(|here| here.strip_prefix(path));
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }

    /// The directory of that path, below the mount of its hierarchy. `None` if it is not below what is mounted there (a
    /// cgroup namespace or a bind mount hides it) or was removed.
    pub fn directory(&self, hierarchy: &Hierarchy) -> Option<String> {
        let path = self.path(hierarchy.keys.first()?)?;
        let below = if hierarchy.root == "/" { path } else { path.strip_prefix(hierarchy.root.as_str())? };
        let hidden = below.split('/').any(|part| part == "..") || below.ends_with(" (deleted)");
        let elsewhere = !below.is_empty() && !below.starts_with('/');
        (!hidden && !elsewhere).then(|| format!("{}{}", hierarchy.mount, below.trim_end_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEMD_V1: &str = "\
25 30 0:23 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
26 25 0:24 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
27 25 0:25 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
28 25 0:26 / /sys/fs/cgroup/elogind rw - cgroup cgroup rw,name=elogind
31 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:15 - cgroup cgroup rw,cpu,cpuacct
32 25 0:30 /docker/x /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 25 0:31 / /sys/fs/cgroup/net_cls,net_prio rw,relatime shared:17 - cgroup cgroup rw,net_cls,net_prio
34 25 0:32 / /sys/fs/cgroup/devices rw,relatime shared:18 - cgroup cgroup rw,devices
99 25 0:30 / /mnt/elsewhere/memory rw,relatime shared:16 - cgroup cgroup rw,memory
98 25 0:24 / /mnt/v2 rw,relatime shared:16 - cgroup2 cgroup rw
97 25 0:30 / /sys/fs/cgroup/again rw,relatime shared:16 - cgroup cgroup rw,memory
";

    #[test]
    fn hybrid_with_comounts() {
        let host = Host::from_mountinfo(SYSTEMD_V1);
        assert_eq!((host.layout(), host.version()), (Layout::Hybrid, Version::V1));
        let mounts: Vec<_> =
            host.hierarchies.iter().map(|h| (h.keys.join(" "), h.mount.as_str(), h.root.as_str())).collect();
        assert_eq!(
            mounts,
            [
                ("devices".into(), "/sys/fs/cgroup/devices", "/"),
                ("memory".into(), "/sys/fs/cgroup/memory", "/docker/x"),
                ("cpu cpuacct".into(), "/sys/fs/cgroup/cpu,cpuacct", "/"),
                ("net_cls net_prio".into(), "/sys/fs/cgroup/net_cls,net_prio", "/"),
                ("name=systemd".into(), "/sys/fs/cgroup/systemd", "/"),
                (String::new(), "/sys/fs/cgroup/unified", "/"),
            ]
        );
        assert_eq!(host.hierarchy("cpuacct").unwrap().mount, "/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(host.hierarchy("hugetlb"), None);
    }

    #[test]
    fn other_layouts() {
        assert_eq!(Host::unified().layout(), Layout::V2);
        let v1 = SYSTEMD_V1.replace("cgroup2", "tmpfs");
        assert_eq!(Host::from_mountinfo(&v1).layout(), Layout::V1);
        assert!(Host::from_mountinfo("1 2 0:1 / / rw - ext4 /dev/vda rw\n").hierarchies.is_empty());
        assert_eq!(unescape(r"/a\040b\134c\9"), r"/a b\c\9");
    }

    #[test]
    fn where_a_process_is() {
        let m = Membership::from_text("4:cpu,cpuacct:/a\n3:memory:/docker/x/y\n2:name=systemd:/../z\n0::/user/b c\n");
        let host = Host::from_mountinfo(SYSTEMD_V1);
        let dir = |key| m.directory(host.hierarchy(key).unwrap());
        assert_eq!(m.path("cpuacct"), Some("/a"));
        assert_eq!(m.path(""), Some("/user/b c"));
        assert_eq!(dir("cpu").as_deref(), Some("/sys/fs/cgroup/cpu,cpuacct/a"));
        assert_eq!(dir("memory").as_deref(), Some("/sys/fs/cgroup/memory/y"), "below the bind mount");
        assert_eq!(dir("name=systemd"), None, "outside our cgroup namespace");
        assert_eq!(dir("devices"), None, "not listed");
        let m = Membership::from_text("3:memory:/docker/xy\n0::/gone (deleted)\n");
        assert_eq!(m.directory(host.hierarchy("memory").unwrap()), None, "/docker/xy is not below /docker/x");
        assert_eq!(m.directory(host.hierarchy("").unwrap()), None);
        let m = Membership::from_text("0::/\n");
        assert_eq!(m.directory(&Host::unified().hierarchies[0]).as_deref(), Some(ROOT));
    }

    #[test]
    fn this_host() {
        let host = Host::detect().unwrap();
        assert!(!host.hierarchies.is_empty(), "no control groups are mounted here");
        let own = Membership::own().unwrap();
        let pid = std::process::id().to_string();
        for hierarchy in &host.hierarchies {
            let dir = own.directory(hierarchy).unwrap();
            let procs = std::fs::read_to_string(format!("{dir}/cgroup.procs")).unwrap();
            assert!(procs.lines().any(|line| line == pid), "{pid} is not in {dir}");
        }
        assert_eq!(Membership::of(i32::MAX).unwrap(), None);
    }
}
