//! Namespaces, their maps and offsets, and what may be set only inside them.

use std::collections::BTreeSet;

use super::{Check, IdMaps, is_mapped};
use crate::spec::names::{self, number};
use crate::spec::sysctl::{self, Scope};
use crate::spec::{IdMapping, Linux, Namespace, NetDevice, Spec, text};

/// The kernel's __NEW_UTS_LEN.
const UTS_NAME_MAX: usize = 64;
/// With the NUL at its end (IFNAMSIZ).
const IFNAMSIZ: usize = 16;

fn find<'l>(linux: &'l Linux, kind: &str) -> Option<&'l Namespace> {
    linux.namespaces.iter().find(|n| n.kind == kind)
}

impl Check<'_> {
    /// Gives the maps of the user namespace, if there is one and they are known.
    pub(super) fn namespaces<'l>(&mut self, spec: &Spec, linux: &'l Linux) -> Option<IdMaps<&'l [IdMapping]>> {
        let mut seen = BTreeSet::new();
        for (i, ns) in linux.namespaces.iter().enumerate() {
            let at = format!("/linux/namespaces/{i}");
            let shown = || format!("{{{} {}}}", text::quote(&ns.kind), text::quote(&ns.path));
            let Some(kind) = names::namespace(&ns.kind) else {
                self.error(at, format!("namespace {} does not exist", shown()));
                continue;
            };
            if !seen.insert(kind.name) {
                self.error(at, format!("malformed spec file: duplicated ns {}", shown()));
                continue;
            }
            // config-linux.md: "This value MUST be an absolute path".
            if !ns.path.is_empty() && !ns.path.starts_with('/') {
                self.error(format!("{at}/path"), format!("namespace path {} is not absolute", text::quote(&ns.path)));
            }
            self.no_nul(format!("{at}/path"), "namespace path", &ns.path);
            // These three can be missing from a kernel that we run on; to ask for the others would be a call for nothing.
            if matches!(kind.name, "user" | "time" | "cgroup") && !(self.host.has_namespace)(kind) {
                self.error(at, format!("{} namespaces aren't enabled in the kernel", kind.name));
            }
        }
        self.time_namespace(linux);
        self.uts_namespace(spec, linux);
        self.user_namespace(linux)
    }

    fn time_namespace(&mut self, linux: &Linux) {
        if linux.time_offsets.is_empty() {
            return;
        }
        match find(linux, "time") {
            None => {
                let why = "time namespace offsets specified, but time namespace isn't enabled in the config";
                self.error("/linux/timeOffsets", why);
            }
            Some(ns) if !ns.path.is_empty() => {
                let why = "time namespace enabled, but both namespace path and time offsets specified -- you may only \
                           provide one";
                self.error("/linux/timeOffsets", why);
            }
            Some(_) => {}
        }
        for (clock, offset) in &linux.time_offsets {
            let mut at = "/linux/timeOffsets".to_owned();
            text::push_pointer(&mut at, clock);
            if !matches!(clock.as_str(), "monotonic" | "boottime") {
                self.error(&at, format!("invalid clock {} in timeOffsets", text::quote(clock)));
            }
            if offset.nanosecs >= 1_000_000_000 {
                self.error(&at, format!("invalid nanosecs {} of clock {clock}", offset.nanosecs));
            }
        }
    }

    fn uts_namespace(&mut self, spec: &Spec, linux: &Linux) {
        for (key, call, name) in
            [("hostname", "sethostname", &spec.hostname), ("domainname", "setdomainname", &spec.domainname)]
        {
            let at = format!("/{key}");
            if !name.is_empty() && find(linux, "uts").is_none() {
                self.error(&at, format!("unable to set {key} without a private UTS namespace"));
            }
            if name.len() > UTS_NAME_MAX {
                self.error(&at, format!("{call}: invalid argument: {key} is longer than {UTS_NAME_MAX} bytes"));
            }
            self.no_nul(&at, key, name);
        }
    }

    fn user_namespace<'l>(&mut self, linux: &'l Linux) -> Option<IdMaps<&'l [IdMapping]>> {
        // Maps without the namespace are ignored, as by runc.
        let ns = find(linux, "user")?;
        let maps = IdMaps { uid: linux.uid_mappings.as_slice(), gid: linux.gid_mappings.as_slice() };
        if ns.path.is_empty() {
            self.has_root(maps, ["/linux/uidMappings", "/linux/gidMappings"]);
        } else {
            let given = !maps.uid.is_empty() || !maps.gid.is_empty();
            match (self.host.userns_maps)(&ns.path) {
                // Engines send both; that is an error only if they differ.
                Ok(Some(real)) if given && !(same_map(&real.uid, maps.uid) && same_map(&real.gid, maps.gid)) => {
                    let why = "user namespaces enabled, but both namespace path and non-matching mapping specified -- \
                               you may only provide one";
                    self.error("/linux/uidMappings", why);
                }
                Ok(Some(real)) => self.has_root(IdMaps { uid: &real.uid, gid: &real.gid }, ["/linux/namespaces"; 2]),
                Ok(None) => {}
                Err(why) => {
                    self.error("/linux/namespaces", format!("failed to cache mappings for userns: {why}"));
                }
            }
        }
        self.id_map(maps.uid, "/linux/uidMappings");
        self.id_map(maps.gid, "/linux/gidMappings");
        (!maps.uid.is_empty() && !maps.gid.is_empty()).then_some(maps)
    }

    /// `at`: where the maps of user and of group ids are from.
    fn has_root(&mut self, maps: IdMaps<&[IdMapping]>, at: [&str; 2]) {
        for ((key, map), at) in [("uid", maps.uid), ("gid", maps.gid)].into_iter().zip(at) {
            if map.is_empty() {
                self.error(at, format!("user namespaces enabled, but no {key} mappings found"));
            } else if !is_mapped(map, 0) {
                self.error(at, format!("user namespaces enabled, but no mapping found for {key} 0"));
            }
        }
    }

    /// user_namespaces(7): ranges must not be empty, wrap around, overlap (on either side), or be more than 340.
    pub(super) fn id_map(&mut self, map: &[IdMapping], at: &str) {
        const MAX_RANGES: usize = 340;
        if map.len() > MAX_RANGES {
            let n = map.len();
            self.error(at, format!("invalid id mapping: {n} ranges are more than the kernel takes ({MAX_RANGES})"));
            return;
        }
        for (i, range) in map.iter().enumerate() {
            let overlap = |a: u32, b: u32, n: u32| a < b.saturating_add(n) && b < a.saturating_add(range.size);
            let other = map.iter().take(i).position(|o| {
                overlap(range.container_id, o.container_id, o.size) || overlap(range.host_id, o.host_id, o.size)
            });
            if let Some(other) = other {
                self.error(format!("{at}/{i}"), format!("invalid id mapping: overlaps that of {at}/{other}"));
            }
            if range.size == 0 {
                self.error(format!("{at}/{i}/size"), "invalid id mapping: size must not be zero");
            } else if range.container_id.checked_add(range.size).is_none()
                || range.host_id.checked_add(range.size).is_none()
            {
                self.error(format!("{at}/{i}"), "invalid id mapping: range goes past the last id");
            }
        }
    }

    pub(super) fn net_devices(&mut self, linux: &Linux) {
        if linux.net_devices.is_empty() {
            return;
        }
        let at = "/linux/netDevices";
        match find(linux, "network") {
            None => self.error(at, "unable to move network devices without a NET namespace"),
            Some(ns) if ns.path.is_empty() => (),
            Some(ns) => match (self.host.is_own_netns)(&ns.path) {
                Ok(false) => (),
                Ok(true) => self.error(at, "unable to move network devices to the network namespace that they are in"),
                Err(why) => self.error(at, format!("invalid netns path: {why}")),
            },
        }
        if self.options.rootless_euid {
            self.error(at, "network devices are not supported for rootless containers");
        }
        // A template never collides, and what a device is called here need not be what it is to be called there.
        let called = |name: &String, device: &NetDevice| {
            if device.name.is_empty() { name.clone() } else { device.name.clone() }
        };
        let mut taken = BTreeSet::new();
        for (name, device) in &linux.net_devices {
            let mut at = at.to_owned();
            text::push_pointer(&mut at, name);
            if !is_net_device_name(name) {
                self.error(&at, format!("invalid network device name {}", text::quote(name)));
            }
            if !device.name.is_empty() && !is_net_device_name(&device.name) {
                let why = format!("invalid network device name {}", text::quote(&device.name));
                self.error(format!("{at}/name"), why);
            }
            let inside = called(name, device);
            if !inside.contains('%') && !taken.insert(inside.clone()) {
                let why = format!("two network devices are to be called {}", text::quote(&inside));
                self.error(if device.name.is_empty() { at } else { format!("{at}/name") }, why);
            }
        }
    }

    pub(super) fn sysctls(&mut self, linux: &Linux) {
        for (key, value) in &linux.sysctl {
            let mut at = "/linux/sysctl".to_owned();
            text::push_pointer(&mut at, key);
            let dotted = sysctl::normalise(key);
            if let Some(why) = self.sysctl_fault(linux, &dotted) {
                self.error(&at, why);
            }
            if let Some(why) = sysctl::value_fault(value) {
                self.error(&at, format!("invalid value of sysctl {}: {why}", text::quote(&dotted)));
            }
        }
    }

    fn sysctl_fault(&self, linux: &Linux, dotted: &str) -> Option<String> {
        let key = text::quote(dotted);
        let host = || Some(format!("sysctl {key} is not in a separate kernel namespace"));
        let has = |kind| find(linux, kind).is_some();
        match sysctl::scope(dotted) {
            Scope::Ipc if has("ipc") => None,
            Scope::Ipc => Some(format!("sysctl {key} is not allowed in the hosts ipc namespace")),
            Scope::Uts if has("uts") => None,
            Scope::Hostname if has("uts") => {
                Some(format!("sysctl {key} is not allowed as it conflicts with the OCI \"hostname\" field"))
            }
            Scope::User if has("user") => None,
            Scope::User => Some(format!("setting ucounts without a user namespace not allowed: {dotted}")),
            Scope::Network => {
                let own = match find(linux, "network") {
                    None => Ok(true),
                    Some(ns) if ns.path.is_empty() => Ok(false),
                    Some(ns) => (self.host.is_own_netns)(&ns.path),
                };
                match own {
                    Ok(false) => None,
                    Ok(true) => Some(format!("sysctl {key} not allowed in host network namespace")),
                    Err(why) => Some(format!("invalid netns path: {why}")),
                }
            }
            Scope::Uts | Scope::Hostname | Scope::Host => host(),
        }
    }

    pub(super) fn rootfs_propagation(&mut self, linux: &Linux) {
        let (at, mode) = ("/linux/rootfsPropagation", linux.rootfs_propagation.as_str());
        if !mode.is_empty() && number(names::PROPAGATIONS, mode).is_none() {
            self.error(at, format!("rootfsPropagation={mode} is not supported"));
        }
        // What is mounted under the old root would stay reachable, and private keeps it from being unmounted there.
        if self.options.no_pivot && matches!(mode, "private" | "rprivate") {
            self.error(at, "rootfsPropagation of [r]private is not safe without pivot_root");
        }
    }

    pub(super) fn rootless(&mut self, spec: &Spec, linux: &Linux, maps: Option<IdMaps<&[IdMapping]>>) {
        if !self.options.rootless_euid {
            return;
        }
        let Some(ns) = find(linux, "user") else {
            self.error("/linux/namespaces", "rootless container requires user namespaces");
            return;
        };
        if ns.path.is_empty() {
            for (key, name, map) in [("uid", "UID", &linux.uid_mappings), ("gid", "GID", &linux.gid_mappings)] {
                if map.is_empty() {
                    let why = format!("rootless containers requires at least one {name} mapping");
                    self.error(format!("/linux/{key}Mappings"), why);
                }
            }
        }
        if let Some(maps) = maps {
            self.rootless_mounts(&spec.mounts, maps.uid, maps.gid);
        }
    }
}

/// Maps are sets of ranges: their order says nothing.
fn same_map(a: &[IdMapping], b: &[IdMapping]) -> bool {
    a.len() == b.len() && a.iter().all(|range| b.contains(range))
}

/// The kernel's dev_valid_name(), without `:`, which separates aliases, and what would move a terminal's cursor. `%d` is a template.
fn is_net_device_name(name: &str) -> bool {
    let bad = |b: u8| matches!(b, b'/' | b':' | 0) || b.is_ascii_whitespace();
    !name.is_empty()
        && name.len() < IFNAMSIZ
        && name != "."
        && name != ".."
        && !name.bytes().any(bad)
        && !name.chars().any(char::is_control)
}
