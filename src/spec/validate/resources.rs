//! `linux.resources` and `cgroupsPath`, as far as no cgroup is needed to tell: names of files, rules, ranges.

use super::Check;
use crate::spec::{Linux, Resources, text};

impl Check<'_> {
    pub(super) fn cgroups_path(&mut self, linux: &Linux) {
        let path = &linux.cgroups_path;
        if self.options.systemd_cgroup && !path.is_empty() && path.split(':').count() != 3 {
            let why = format!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {} instead",
                text::quote(path)
            );
            self.error("/linux/cgroupsPath", why);
        }
        self.no_nul("/linux/cgroupsPath", "cgroupsPath", path);
    }

    pub(super) fn resources(&mut self, resources: &Resources, at: &str) {
        self.device_rules(resources, at);
        self.unified(resources, at);
        for (i, limit) in resources.hugepage_limits.iter().enumerate() {
            // It becomes part of a file name.
            if !is_page_size(&limit.page_size) {
                let size = text::quote(&limit.page_size);
                self.error(format!("{at}/hugepageLimits/{i}/pageSize"), format!("invalid hugepage size {size}"));
            }
        }
        for device in resources.rdma.keys() {
            // It is the first word of a line.
            if device.is_empty() || device.chars().any(|c| c.is_control() || c.is_whitespace()) {
                let mut field = format!("{at}/rdma");
                text::push_pointer(&mut field, device);
                self.error(field, format!("invalid rdma device name {}", text::quote(device)));
            }
        }
        if let Some(cpu) = &resources.cpu {
            self.no_nul(format!("{at}/cpu/cpus"), "cpus", &cpu.cpus);
            self.no_nul(format!("{at}/cpu/mems"), "mems", &cpu.mems);
        }
        let swappiness = resources.memory.as_ref().and_then(|m| m.swappiness);
        if let Some(value) = swappiness.filter(|value| *value > 100 && !self.host.cgroup_v2) {
            let why = format!("invalid memory swappiness value: {value} (valid range is 0-100)");
            self.error(format!("{at}/memory/swappiness"), why);
        }
    }

    /// config-linux.md, "Unified": what cannot be converted. Engines send it to every host and runc passes it over, so it is told.
    pub(super) fn of_v1_alone(&mut self, resources: &Resources) {
        let at = "/linux/resources";
        if !self.host.cgroup_v2 {
            return;
        }
        let memory = resources.memory.as_ref();
        let cpu = resources.cpu.as_ref();
        let network = resources.network.as_ref();
        let disks = resources.block_io.as_ref();
        for (asked, field) in [
            (memory.is_some_and(|m| m.swappiness.is_some()), "memory/swappiness"),
            (memory.is_some_and(|m| m.disable_oom_killer == Some(true)), "memory/disableOOMKiller"),
            (cpu.is_some_and(|c| c.realtime_runtime.is_some_and(|us| us != 0)), "cpu/realtimeRuntime"),
            (cpu.is_some_and(|c| c.realtime_period.is_some_and(|us| us != 0)), "cpu/realtimePeriod"),
            (network.is_some_and(|n| n.class_id.is_some_and(|id| id != 0)), "network/classID"),
            (network.is_some_and(|n| !n.priorities.is_empty()), "network/priorities"),
            (disks.is_some_and(|b| b.leaf_weight.is_some_and(|w| w != 0)), "blockIO/leafWeight"),
        ] {
            if asked {
                self.warning(format!("{at}/{field}"), format!("{field} is ignored: cgroup v2 has nothing like it"));
            }
        }
    }

    fn device_rules(&mut self, resources: &Resources, at: &str) {
        for (i, rule) in resources.devices.iter().enumerate() {
            let at = format!("{at}/devices/{i}");
            if !matches!(rule.kind.as_str(), "" | "a" | "b" | "c") {
                let why = format!("invalid cgroup device type {}", text::quote(&rule.kind));
                self.error(format!("{at}/type"), why);
            }
            if rule.access.is_empty() {
                self.error(format!("{at}/access"), format!("device access at {i} field cannot be empty"));
            } else if !rule.access.bytes().all(|b| b"rwm".contains(&b)) {
                let access = text::quote(&rule.access);
                self.error(format!("{at}/access"), format!("device access at {i} field is invalid: {access}"));
            }
            for (key, n) in [("major", rule.major), ("minor", rule.minor)] {
                if n.is_some_and(|n| n < -1 || n > i64::from(u32::MAX)) {
                    self.error(format!("{at}/{key}"), format!("invalid {key} number of the device rule at {i}"));
                }
            }
        }
    }

    fn unified(&mut self, resources: &Resources, at: &str) {
        if resources.unified.is_empty() {
            return;
        }
        let at = format!("{at}/unified");
        if !self.host.cgroup_v2 {
            self.error(&at, "invalid configuration: cannot use unified on cgroup v1");
        }
        for (file, value) in &resources.unified {
            let mut at = at.clone();
            text::push_pointer(&mut at, file);
            if file.contains('/') {
                let why = format!("unified resource {} must be a file name (no slashes)", text::quote(file));
                self.error(&at, why);
            } else if matches!(file.as_str(), "" | "." | "..") {
                let why = format!("unified resource {} must be in the form CONTROLLER.PARAMETER", text::quote(file));
                self.error(&at, why);
            }
            self.no_nul(&at, "name of unified resource", file);
            self.no_nul(&at, "value of unified resource", value);
        }
    }
}

/// The schema's `^[1-9][0-9]*[KMG]B$`.
fn is_page_size(size: &str) -> bool {
    let digits = ["KB", "MB", "GB"].into_iter().find_map(|unit| size.strip_suffix(unit));
    digits.is_some_and(|d| !d.is_empty() && !d.starts_with('0') && d.bytes().all(|b| b.is_ascii_digit()))
}
