//! Where a container's cgroup is: `linux.cgroupsPath` -> `cgroup_paths` of the state file. Pure, but for a relative path
//! the caller gives our own [`Membership`]. Must not touch the cgroup.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::host::{Hierarchy, Host, Membership, Version};
use crate::error::{Error, Result};

/// `cgroup_paths` of libcontainer's state: on v1 controller -> directory (hybrid: `""` -> the unified one), on v2 only `""`.
/// Text from a state file: nothing here is checked, [`super::OwnedCgroup::new`] does that.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Paths(pub BTreeMap<String, String>);

impl Paths {
    /// The cgroupfs driver's rules. `cgroups_path` is empty if config.json has none: then the name is `id`, below our own
    /// cgroup (v2: beside it, because a cgroup with processes cannot have limits on its children).
    pub fn new(host: &Host, cgroups_path: &str, id: &str) -> Result<Paths> {
        if cgroups_path.starts_with('/') {
            absolute(host, cgroups_path)
        } else {
            relative(host, cgroups_path, id, None)
        }
    }

    /// The same with our own membership given.
    pub fn with_membership(host: &Host, cgroups_path: &str, id: &str, own: &Membership) -> Result<Paths> {
        if cgroups_path.starts_with('/') {
            absolute(host, cgroups_path)
        } else {
            relative(host, cgroups_path, id, Some(own))
        }
    }

    /// One path for each hierarchy, under each of its keys.
    pub(super) fn collect(host: &Host, path: impl Fn(&Hierarchy) -> Result<String>) -> Result<Paths> {
        // Without it a v1 container could open every device of the host; so its absence is fatal, as in runc.
        if host.version() == Version::V1 && host.hierarchy("devices").is_none() {
            return Err(
                Error::new("mountpoint for devices not found").hint("mount the control groups below /sys/fs/cgroup")
            );
        }
        let mut paths = BTreeMap::new();
        for hierarchy in &host.hierarchies {
            let path = path(hierarchy)?;
            for key in &hierarchy.keys {
                paths.insert(key.clone(), path.clone());
            }
        }
        Ok(Paths(paths))
    }

    /// The container has no cgroup of its own (rootless without permission).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory of a controller's hierarchy (`""`: v2's).
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Which version holds the limits of this container.
    pub fn version(&self) -> Version {
        if self.0.len() == 1 && self.0.contains_key("") { Version::V2 } else { Version::V1 }
    }
}

fn absolute(host: &Host, cgroups_path: &str) -> Result<Paths> {
    let below = clean(cgroups_path)?;
    if below.is_empty() {
        return Err(Error::new("the root of a cgroup hierarchy cannot be a container's cgroup")
            .field("/linux/cgroupsPath")
            .hint("it holds every process of the host; name a cgroup below it"));
    }
    Paths::collect(host, |hierarchy| Ok(format!("{}{below}", hierarchy.mount)))
}

fn relative(host: &Host, cgroups_path: &str, id: &str, own: Option<&Membership>) -> Result<Paths> {
    let below = clean(if cgroups_path.is_empty() { id } else { cgroups_path })?;
    if below.is_empty() {
        return Err(Error::new(format!("cgroupsPath {cgroups_path:?} names no cgroup")).field("/linux/cgroupsPath"));
    }
    let read;
    let own = match own {
        Some(own) => own,
        None => {
            read = Membership::own()?;
            &read
        }
    };
    Paths::collect(host, |hierarchy| {
        let base = own.directory(hierarchy).ok_or_else(|| {
            Error::new(format!("our own cgroup cannot be seen below {}", hierarchy.mount))
                .field("/linux/cgroupsPath")
                .hint("give an absolute cgroupsPath")
        })?;
        // v2 puts the container beside us: "no internal processes".
        let base = match (host.version(), base.strip_prefix(hierarchy.mount.as_str())) {
            (Version::V2, Some(rel)) => {
                let parent = rel.rsplit_once('/').map(|(parent, _)| parent).unwrap_or_default();
                format!("{}{parent}", hierarchy.mount)
            }
            _ => base,
        };
        Ok(format!("{base}{below}"))
    })
}

/// `/a/b` of `a//./x/../b`: `..` never leaves the top. Empty for the top itself.
pub(super) fn clean(path: &str) -> Result<String> {
    if path.contains(['\0', '\n']) {
        return Err(Error::new(format!("invalid cgroup path {path:?}")).field("/linux/cgroupsPath"));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    Ok(parts.iter().flat_map(|part| ["/", part]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
1 0 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
2 0 0:2 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
3 0 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    fn v2(cgroups_path: &str, own: &str) -> String {
        let own = Membership::from_text(format!("0::{own}\n"));
        match Paths::with_membership(&Host::unified(), cgroups_path, "id1", &own) {
            Ok(paths) => {
                assert_eq!(paths.0.len(), 1);
                assert_eq!(paths.version(), Version::V2);
                paths.get("").unwrap().into()
            }
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn on_v2() {
        for (cgroups_path, own, expected) in [
            ("", "/", "/sys/fs/cgroup/id1"),
            ("", "/user.slice/me", "/sys/fs/cgroup/user.slice/id1"),
            ("a/b", "/user.slice/me", "/sys/fs/cgroup/user.slice/a/b"),
            ("a/../../../b", "/user.slice/me", "/sys/fs/cgroup/user.slice/b"),
            ("/a/b", "/user.slice/me", "/sys/fs/cgroup/a/b"),
            ("/a//./b/", "/me", "/sys/fs/cgroup/a/b"),
            ("/../../etc", "/me", "/sys/fs/cgroup/etc"),
            ("system.slice:runc:id1", "/s/me", "/sys/fs/cgroup/s/system.slice:runc:id1"),
            ("/kubepods/burstable/podX/id1", "/", "/sys/fs/cgroup/kubepods/burstable/podX/id1"),
        ] {
            assert_eq!(v2(cgroups_path, own), expected, "{cgroups_path:?} from {own}");
        }
    }

    #[test]
    fn what_names_no_cgroup_is_refused() {
        let root = "the root of a cgroup hierarchy cannot be a container's cgroup (config.json /linux/cgroupsPath); \
                    it holds every process of the host; name a cgroup below it";
        for cgroups_path in ["/", "//", "/..", "/a/..", "/./"] {
            assert_eq!(v2(cgroups_path, "/me"), root);
        }
        for cgroups_path in ["..", ".", "a/.."] {
            assert!(v2(cgroups_path, "/me").contains("names no cgroup"));
        }
        assert!(v2("a\nb", "/me").contains("invalid cgroup path"));
        assert!(v2("a", "/../outside").contains("give an absolute cgroupsPath"));
        let none = Host { hierarchies: Vec::new() };
        let e = Paths::new(&none, "/a", "id1").unwrap_err().to_string();
        assert!(e.starts_with("mountpoint for devices not found"), "{e}");
    }

    proptest::proptest! {
        /// Whatever the text, it leads below the mount (and, relative, below our base), or nowhere.
        #[test]
        fn no_path_escapes(path in "(/|\\.\\.|\\.|a|b:c|\\\\| |\\.\\.\\.){0,9}", own in "(/u){0,2}/me") {
            let own = Membership::from_text(format!("2:cpu,cpuacct:{own}\n1:devices:{own}\n0::{own}\n"));
            for host in [Host::unified(), Host::from_mountinfo(HYBRID)] {
                let Ok(paths) = Paths::with_membership(&host, &path, "id1", &own) else { continue };
                let checked = crate::cgroup::OwnedCgroup::new(&host, &paths).unwrap().unwrap();
                proptest::prop_assert_eq!(&checked.paths(), &paths);
                if !path.starts_with('/') && host.version() == Version::V1 {
                    for (key, path) in &paths.0 {
                        let base = own.directory(host.hierarchy(key).unwrap()).unwrap();
                        proptest::prop_assert!(path.starts_with(&format!("{base}/")), "{path}");
                    }
                }
            }
        }
    }

    #[test]
    fn on_hybrid() {
        let host = Host::from_mountinfo(HYBRID);
        let own = Membership::from_text("2:cpu,cpuacct:/own/cpu\n1:devices:/\n0::/u/own\n");
        let paths = |cgroups_path| {
            let paths = Paths::with_membership(&host, cgroups_path, "id1", &own).unwrap();
            assert_eq!(paths.version(), Version::V1);
            paths.0.into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>()
        };
        assert_eq!(
            paths("/a/b"),
            [
                "=/sys/fs/cgroup/unified/a/b",
                "cpu=/sys/fs/cgroup/cpu,cpuacct/a/b",
                "cpuacct=/sys/fs/cgroup/cpu,cpuacct/a/b",
                "devices=/sys/fs/cgroup/devices/a/b",
            ]
        );
        assert_eq!(
            paths(""),
            [
                "=/sys/fs/cgroup/unified/u/own/id1",
                "cpu=/sys/fs/cgroup/cpu,cpuacct/own/cpu/id1",
                "cpuacct=/sys/fs/cgroup/cpu,cpuacct/own/cpu/id1",
                "devices=/sys/fs/cgroup/devices/id1",
            ]
        );
    }
}
