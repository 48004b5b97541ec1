//! To whom the container's cgroup is given (config-linux.md, "Cgroup ownership"). Pure; that it is done on cgroup v2 alone is
//! the plan's business.

use super::mount_options::{self, attr};
use super::{IdMapping, Linux, Mount, Spec};

impl Spec {
    /// The host's uid of the process's user, if the container is meant to manage cgroups below its own: its cgroup namespace is
    /// new, and its cgroups are mounted for writing. `None`: the cgroup stays the runtime's. A user who has no id on the host,
    /// or none that is known (a user namespace that is joined, without maps), is given nothing.
    pub fn cgroup_owner(&self) -> Option<u32> {
        let linux = self.linux.as_ref()?;
        let new = linux.namespaces.iter().any(|ns| ns.kind == "cgroup" && ns.path.is_empty());
        if !new || !self.mounts.iter().any(is_writable_cgroup) {
            return None;
        }
        linux.host_uid(self.process.as_ref()?.user.uid)
    }
}

impl Linux {
    fn host_uid(&self, uid: u32) -> Option<u32> {
        if !self.namespaces.iter().any(|ns| ns.kind == "user") {
            return Some(uid);
        }
        self.uid_mappings.iter().find_map(|map| map.host_id_of(uid))
    }
}

impl IdMapping {
    /// The id outside of the user namespace, if this range has it.
    pub fn host_id_of(&self, id: u32) -> Option<u32> {
        let offset = id.checked_sub(self.container_id).filter(|offset| *offset < self.size)?;
        self.host_id.checked_add(offset)
    }
}

/// The mount that the specification describes; a bind of some directory `cgroup` is none.
fn is_writable_cgroup(mount: &Mount) -> bool {
    let options = mount_options::parse(&mount.options);
    let read_only = options.rec_attr_set & attr::RDONLY != 0 || mount.options.iter().any(|option| option == "ro");
    mount.source == "cgroup" && is_cgroup_root(&mount.destination) && !options.is_bind() && !read_only
}

fn is_cgroup_root(destination: &str) -> bool {
    destination.split('/').filter(|part| !matches!(*part, "" | ".")).eq(["sys", "fs", "cgroup"])
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use serde_json::json;

    /// The owner of config.json with these namespaces, mount and user.
    fn owner(
        namespaces: serde_json::Value,
        mount: serde_json::Value,
        uid: u32,
        maps: serde_json::Value,
    ) -> Option<u32> {
        let config = json!({
            "ociVersion": "1.3.0",
            "process": {"cwd": "/", "args": ["x"], "user": {"uid": uid, "gid": 0}},
            "root": {"path": "rootfs"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, mount],
            "linux": {"namespaces": namespaces, "uidMappings": maps},
        });
        parse::config(config.to_string().as_bytes()).unwrap().cgroup_owner()
    }

    #[test]
    fn only_where_the_specification_asks_for_it() {
        let new = json!([{"type": "cgroup"}]);
        let mapped = json!([{"type": "cgroup"}, {"type": "user"}]);
        let mount = |destination: &str, source: &str, options: &[&str]| json!({"destination": destination, "type": "cgroup", "source": source, "options": options});
        let rw = mount("/sys/fs/cgroup", "cgroup", &["nosuid", "rw"]);
        let maps =
            json!([{"containerID": 0, "hostID": 100_000, "size": 10}, {"containerID": 10, "hostID": 500, "size": 5}]);
        for (what, namespaces, mount, uid, expected) in [
            ("root", &new, rw.clone(), 0, Some(0)),
            ("a user", &new, rw.clone(), 7, Some(7)),
            ("a mapped user", &mapped, rw.clone(), 0, Some(100_000)),
            ("of the second range", &mapped, rw.clone(), 12, Some(502)),
            ("an unmapped user", &mapped, rw.clone(), 99, None),
            (
                "no options",
                &new,
                json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}),
                0,
                Some(0),
            ),
            ("a slash too many", &new, mount("/sys//fs/cgroup/", "cgroup", &[]), 0, Some(0)),
            (
                "another type",
                &new,
                json!({"destination": "/sys/fs/cgroup", "type": "cgroup2", "source": "cgroup"}),
                0,
                Some(0),
            ),
            ("no cgroup namespace", &json!([{"type": "pid"}]), rw.clone(), 0, None),
            ("one that is joined", &json!([{"type": "cgroup", "path": "/proc/1/ns/cgroup"}]), rw.clone(), 0, None),
            ("read-only", &new, mount("/sys/fs/cgroup", "cgroup", &["ro"]), 0, None),
            ("read-only, then not", &new, mount("/sys/fs/cgroup", "cgroup", &["ro", "rw"]), 0, None),
            ("recursively read-only", &new, mount("/sys/fs/cgroup", "cgroup", &["rro"]), 0, None),
            ("elsewhere", &new, mount("/sys/fs/cgroup/x", "cgroup", &[]), 0, None),
            ("of another source", &new, mount("/sys/fs/cgroup", "none", &[]), 0, None),
            ("a bind", &new, mount("/sys/fs/cgroup", "cgroup", &["rbind"]), 0, None),
        ] {
            assert_eq!(owner(namespaces.clone(), mount, uid, maps.clone()), expected, "{what}");
        }
        let without_maps = owner(mapped.clone(), mount("/sys/fs/cgroup", "cgroup", &[]), 0, json!([]));
        assert_eq!(without_maps, None, "the maps of a namespace that is joined are not known");
    }
}
