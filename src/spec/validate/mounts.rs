//! `mounts`: what can be told from the text. Where a destination leads in the root filesystem is looked at again by
//! descriptor, when it is mounted: the image may have links.

use super::{Check, is_mapped};
use crate::spec::mount_options::{self, MountOptions};
use crate::spec::{IdMapping, Linux, Mount, text};

/// Files below /proc that may be covered: what lxcfs gives a view of its own, and two more.
pub(crate) const PROC_FILES: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

impl Check<'_> {
    pub(super) fn mounts(&mut self, mounts: &[Mount], linux: &Linux) {
        if !mounts.is_empty() && linux.namespaces.iter().all(|n| n.kind != "mount") {
            // runc would make them on the host, where they outlive the container.
            self.warning("/mounts", "ignoring all mounts: the container has no mount namespace of its own");
        }
        for (i, mount) in mounts.iter().enumerate() {
            let at = format!("/mounts/{i}");
            let options = mount_options::parse(&mount.options);
            let fields = [&mount.destination, &mount.kind, &mount.source];
            if fields.into_iter().chain(&mount.options).any(|f| f.contains('\0')) {
                self.error(&at, format!("invalid mount {}: mount field contains null byte", describe(mount)));
            }
            if mount.destination.is_empty() {
                self.error(format!("{at}/destination"), "mount destination must not be empty");
            } else if !mount.destination.starts_with('/') {
                let why = format!(
                    "mount destination {} is not absolute. Support for non-absolute mount destinations will be \
                     removed in a future release.",
                    mount.destination
                );
                self.warning(format!("{at}/destination"), why);
            }
            if options.is_bind() && !options.data.is_empty() {
                let why = "bind mounts cannot have any filesystem-specific options applied";
                self.error(format!("{at}/options"), format!("invalid mount {}: {why}", describe(mount)));
            }
            self.below_proc(mount, &options, &at);
            self.id_mapped(mount, &options, linux, &at);
        }
    }

    fn below_proc(&mut self, mount: &Mount, options: &MountOptions, at: &str) {
        let destination = clean(&mount.destination);
        let quoted = || text::quote(&destination);
        if destination == "/proc" {
            // A bind may bring another procfs: its source is looked at when it is opened.
            if mount.kind != "proc" && !options.is_bind() {
                let why = format!("{} cannot be mounted because it is not of type proc", quoted());
                self.error(at, why);
            }
        } else if destination.starts_with("/proc/") && !PROC_FILES.contains(&destination.as_str()) {
            self.error(at, format!("{} cannot be mounted because it is inside /proc", quoted()));
        }
    }

    fn id_mapped(&mut self, mount: &Mount, options: &MountOptions, linux: &Linux, at: &str) {
        let (uid, gid) = (&mount.uid_mappings, &mount.gid_mappings);
        if options.idmap.is_none() && uid.is_empty() && gid.is_empty() {
            return;
        }
        let mut why = Vec::new();
        if !options.is_bind() {
            why.push("id-mapped mounts are only supported for bind-mounts");
        }
        if self.options.rootless_euid {
            why.push("id-mapped mounts are not supported for rootless containers");
        }
        // Without maps of its own the mount takes the user namespace's.
        let of_namespace = uid.is_empty() && gid.is_empty() && linux.namespaces.iter().any(|n| n.kind == "user");
        if !of_namespace && (uid.is_empty() || gid.is_empty()) {
            why.push("id-mapped mounts must have both uid and gid mappings specified");
        }
        for why in why {
            self.error(at, format!("invalid mount {}: {why}", describe(mount)));
        }
        self.id_map(uid, &format!("{at}/uidMappings"));
        self.id_map(gid, &format!("{at}/gidMappings"));
    }

    /// A tmpfs or devpts of a rootless container can be given only ids that are mapped.
    pub(super) fn rootless_mounts(&mut self, mounts: &[Mount], uid: &[IdMapping], gid: &[IdMapping]) {
        for (i, mount) in mounts.iter().enumerate() {
            for (n, option) in mount.options.iter().enumerate() {
                let Some((key, id)) = option.split_once('=') else { continue };
                let map = match key {
                    "uid" => uid,
                    "gid" => gid,
                    _ => continue,
                };
                // What is no number is for the filesystem to refuse.
                if id.parse().is_ok_and(|id| !is_mapped(map, id)) {
                    let why = format!(
                        "cannot specify {option} mount option for rootless container: user namespaces enabled, but \
                         no mapping found for {key} {id}"
                    );
                    self.error(format!("/mounts/{i}/options/{n}"), why);
                }
            }
        }
    }
}

/// A mount as Go prints a struct, which is how runc shows it.
fn describe(mount: &Mount) -> String {
    let Mount { destination, kind, source, options, uid_mappings, gid_mappings } = mount;
    format!(
        "{{Destination:{destination} Type:{kind} Source:{source} Options:[{}] UIDMappings:[{}] GIDMappings:[{}]}}",
        options.join(" "),
        describe_map(uid_mappings),
        describe_map(gid_mappings)
    )
}

fn describe_map(map: &[IdMapping]) -> String {
    let one = |m: &IdMapping| format!("{{ContainerID:{} HostID:{} Size:{}}}", m.container_id, m.host_id, m.size);
    map.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// The path without `.`, `..` and doubled slashes, by its text alone; a relative one begins at `/`.
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
