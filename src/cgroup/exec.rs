//! Which cgroup a process that `exec` starts enters: the container's, one below it (`--cgroup`), or where its init is. And moving one
//! there that is not `dunnage-init` (CRIU).

use std::collections::BTreeMap;

use super::create::{Cgroup, Place};
use super::host::{Membership, Version};
use super::owned::OwnedCgroup;
use super::paths::clean;
use crate::error::{Error, Result};

impl OwnedCgroup {
    /// The container's cgroup with `--cgroup`: controller -> path below it, where `""` stands for all (the only key on v2)
    /// and an empty map for none. They must exist.
    pub fn open_sub(&self, subs: &BTreeMap<String, String>) -> Result<Cgroup> {
        if let Some(unknown) = subs.keys().find(|key| !key.is_empty() && self.node(key).is_none()) {
            return Err(Error::new(format!("unknown controller {unknown} in SubCgroupPaths")));
        }
        let mut places = Vec::new();
        for node in &self.nodes {
            let own = node.hierarchy.keys.iter().find_map(|key| subs.get(key));
            let sub = own.or_else(|| subs.get("")).map(String::as_str).unwrap_or_default();
            if escapes(sub) {
                return Err(Error::new(format!("bad sub cgroup path: {sub}")));
            }
            let path = format!("{}{}", node.path, clean(sub)?);
            places.push(Place::open(node.hierarchy.clone(), path, false)?);
        }
        Ok(Cgroup::of(places))
    }
}

impl Cgroup {
    /// Moves a process of ours, which does nothing yet, into it: one that was started without knowing of cgroups.
    pub fn enter(&self, pid: i32) -> Result<()> {
        self.places.iter().try_for_each(|place| place.dir.write("cgroup.procs", &pid.to_string()))
    }

    /// Turns to where a process is now in the unified hierarchy. For an exec whose container's cgroup takes no processes
    /// (`EBUSY` of clone3: it has children with controllers) because its init has moved below.
    pub fn follow(&mut self, pid: i32) -> Result<()> {
        let here = Membership::of(pid)?.ok_or_else(|| Error::new(format!("process {pid} is gone")))?;
        for place in self.places.iter_mut().filter(|place| place.hierarchy.version == Version::V2) {
            let path = here.directory(&place.hierarchy);
            let path = path.ok_or_else(|| Error::new(format!("the cgroup of process {pid} cannot be seen here")))?;
            *place = Place::open(place.hierarchy.clone(), path, false)?;
        }
        Ok(())
    }
}

/// `a/../..` leads out of where it begins.
fn escapes(path: &str) -> bool {
    let mut depth = 0usize;
    path.split('/').any(|part| match part {
        "" | "." => false,
        ".." => match depth.checked_sub(1) {
            Some(up) => {
                depth = up;
                false
            }
            None => true,
        },
        _ => {
            depth = depth.saturating_add(1);
            false
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::{Host, Paths};

    #[test]
    fn escapes_are_found() {
        for (path, out) in [
            ("", false),
            ("/", false),
            ("a/b", false),
            ("/a/../b", false),
            ("a/..", false),
            ("..", true),
            ("/..", true),
            ("a/../../b", true),
            ("./../x", true),
            ("a..b", false),
        ] {
            assert_eq!(escapes(path), out, "{path:?}");
        }
    }

    #[test]
    fn bad_subs() {
        let paths = Paths(BTreeMap::from([(String::new(), "/sys/fs/cgroup/dunnage-test-none".to_string())]));
        let cgroup = OwnedCgroup::new(&Host::unified(), &paths).unwrap().unwrap();
        let sub = |key: &str, path: &str| {
            cgroup.open_sub(&BTreeMap::from([(key.to_string(), path.to_string())])).unwrap_err().to_string()
        };
        assert_eq!(sub("", "a/../../b"), "bad sub cgroup path: a/../../b");
        assert_eq!(sub("cpu", "a"), "unknown controller cpu in SubCgroupPaths");
        assert_eq!(sub("", "a"), "open /sys/fs/cgroup/dunnage-test-none/a: no such file or directory");
    }
}
