//! The rest of the `linux` section: devices, paths, labels, Intel RDT, memory policy, personality.

use super::Check;
use crate::spec::names::{self, number};
use crate::spec::{IntelRdt, Linux, MemoryPolicy, Spec, list, text};

/// The kernel's MINORBITS is 20, which leaves 12 for the major number.
const MAJOR_MAX: i64 = (1 << 12) - 1;
const MINOR_MAX: i64 = (1 << 20) - 1;

impl Check<'_> {
    pub(super) fn devices(&mut self, linux: &Linux) {
        for (i, device) in linux.devices.iter().enumerate() {
            let at = format!("/linux/devices/{i}");
            if device.path.is_empty() {
                self.error(format!("{at}/path"), "device path must not be empty");
            }
            self.no_nul(format!("{at}/path"), "device path", &device.path);
            match device.kind.as_str() {
                "p" => continue,
                "c" | "u" | "b" => {}
                kind => {
                    self.error(format!("{at}/type"), format!("invalid device type {}", text::quote(kind)));
                    continue;
                }
            }
            for (key, value, max) in [("major", device.major, MAJOR_MAX), ("minor", device.minor, MINOR_MAX)] {
                let path = text::quote(&device.path);
                match value {
                    // 0:0 would be made, which overlayfs takes for a deleted file.
                    None => self.error(&at, format!("device {path} has no {key} number")),
                    Some(n) if !(0..=max).contains(&n) => {
                        self.error(format!("{at}/{key}"), format!("device {path} has an invalid {key} number {n}"));
                    }
                    Some(_) => {}
                }
            }
        }
    }

    pub(super) fn names_and_paths(&mut self, spec: &Spec, linux: &Linux) {
        let has_mount_ns = linux.namespaces.iter().any(|n| n.kind == "mount");
        let lists = [("maskedPaths", &linux.masked_paths), ("readonlyPaths", &linux.readonly_paths)];
        if !has_mount_ns && let Some((key, _)) = lists.iter().find(|(_, paths)| !paths.is_empty()) {
            let why = "unable to restrict sys entries without a private MNT namespace";
            self.error(format!("/linux/{key}"), why);
        }
        for (key, paths) in lists {
            for (i, path) in paths.iter().enumerate() {
                let at = format!("/linux/{key}/{i}");
                if !path.starts_with('/') {
                    // It means the same with a slash in front: the container's root is its working directory then.
                    self.warning(&at, format!("{key}: {} is not absolute", text::quote(path)));
                }
                self.no_nul(&at, "path", path);
            }
        }
        if !linux.mount_label.is_empty() {
            // A process label would have been told already: once is enough.
            let told = spec.process.as_ref().is_some_and(|p| !p.selinux_label.is_empty());
            if !told {
                self.selinux("/linux/mountLabel".into());
            }
        }
        // It is written between double quotes into the options of a mount.
        if linux.mount_label.contains(|c: char| c == '"' || c.is_control()) {
            let why = format!("invalid mount label {}", text::quote(&linux.mount_label));
            self.error("/linux/mountLabel", why);
        }
    }

    pub(super) fn intel_rdt(&mut self, linux: &Linux) {
        let Some(rdt) = &linux.intel_rdt else { return };
        let at = "/linux/intelRdt";
        let host = (self.host.rdt)();
        if !host.enabled {
            self.error(at, "intelRdt is specified in config, but Intel RDT is not enabled");
        }
        let id = rdt.clos_id.as_str();
        // It names a directory below the mount of resctrl; `/` alone is the root class.
        if matches!(id, "." | "..") || (id.len() > 1 && id.contains('/')) || id.contains('\0') {
            self.error(format!("{at}/closID"), format!("invalid intelRdt.ClosID {}", text::quote(id)));
        }
        self.schemata(rdt, at);
        if !host.enabled {
            return;
        }
        if !rdt.l3_cache_schema.is_empty() && !host.l3 {
            let why = "intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not enabled";
            self.error(format!("{at}/l3CacheSchema"), why);
        }
        if !rdt.mem_bw_schema.is_empty() && !host.mb {
            let why = "intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled";
            self.error(format!("{at}/memBwSchema"), why);
        }
    }

    /// config-linux.md: each of them is one line.
    fn schemata(&mut self, rdt: &IntelRdt, at: &str) {
        self.no_nul(format!("{at}/l3CacheSchema"), "intelRdt.l3CacheSchema", &rdt.l3_cache_schema);
        let bw = &rdt.mem_bw_schema;
        if !bw.is_empty() && (!bw.starts_with("MB:") || bw.contains(['\n', '\0'])) {
            let why = format!("invalid intelRdt.memBwSchema {}", text::quote(bw));
            self.error(format!("{at}/memBwSchema"), why);
        }
        for (i, line) in rdt.schemata.iter().enumerate() {
            if line.contains(['\n', '\0']) {
                let why = format!("invalid intelRdt.schemata {}", text::quote(line));
                self.error(format!("{at}/schemata/{i}"), why);
            }
        }
    }

    pub(super) fn memory_policy_and_personality(&mut self, linux: &Linux) {
        if let Some(policy) = &linux.memory_policy {
            self.memory_policy(policy);
        }
        if let Some(personality) = &linux.personality {
            let at = "/linux/personality";
            let domain = &personality.domain;
            if number(names::PERSONALITIES, domain).is_none() {
                self.error(format!("{at}/domain"), format!("invalid personality domain {domain}"));
            }
            if !personality.flags.is_empty() {
                let flags = personality.flags.join(" ");
                let why = format!(
                    "ignoring unsupported personality flags: [{flags}] because personality flag has not supported at \
                     this time"
                );
                self.warning(format!("{at}/flags"), why);
            }
        }
    }

    fn memory_policy(&mut self, policy: &MemoryPolicy) {
        let at = "/linux/memoryPolicy";
        if number(names::MPOL_MODES, &policy.mode).is_none() {
            let why = format!("invalid memory policy mode {}", text::quote(&policy.mode));
            self.error(format!("{at}/mode"), why);
        }
        for (i, flag) in policy.flags.iter().enumerate() {
            if number(names::MPOL_FLAGS, flag).is_none() {
                self.error(format!("{at}/flags/{i}"), format!("invalid memory policy flag {}", text::quote(flag)));
            }
        }
        let nodes = match list::parse(&policy.nodes, list::MAX_NODES) {
            Ok(nodes) => nodes.count(),
            Err(why) => {
                let nodes = text::quote(&policy.nodes);
                self.error(format!("{at}/nodes"), format!("invalid memory policy nodes {nodes}: {why}"));
                return;
            }
        };
        match policy.mode.as_str() {
            "MPOL_DEFAULT" | "MPOL_LOCAL" if nodes > 0 => {
                self.error(format!("{at}/nodes"), format!("memory policy mode requires 0 nodes but got {nodes}"));
            }
            "MPOL_BIND" | "MPOL_INTERLEAVE" | "MPOL_PREFERRED_MANY" | "MPOL_WEIGHTED_INTERLEAVE" if nodes == 0 => {
                self.error(format!("{at}/nodes"), "memory policy mode requires at least one node but got 0");
            }
            _ => {}
        }
    }
}
