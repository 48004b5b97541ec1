//! The `process` object, in config.json and in process.json.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, IdMaps, is_mapped};
use crate::spec::names::{self, number};
use crate::spec::{Capabilities, IdMapping, IoPriority, Process, Rlimit, Scheduler, list, text};

/// CAP_AUDIT_READ, of Linux 3.16: every kernel that we run on has the capabilities up to it.
const LAST_OLD_CAP: u8 = 37;

impl Check<'_> {
    /// What runc looks at before anything else.
    pub(super) fn process_required(&mut self, process: &Process, at: &str) {
        if process.cwd.is_empty() {
            self.error(format!("{at}/cwd"), "Cwd property must not be empty");
        } else if !process.cwd.starts_with('/') {
            self.error(format!("{at}/cwd"), "Cwd must be an absolute path");
        }
        if process.args.is_empty() {
            self.error(format!("{at}/args"), "args must not be empty");
        }
        if !process.selinux_label.is_empty() {
            self.selinux(format!("{at}/selinuxLabel"));
        }
    }

    pub(super) fn selinux(&mut self, field: String) {
        if !(self.host.selinux)() {
            self.error(field, "selinux label is specified in config, but selinux is disabled or not supported");
        }
    }

    /// The rest. `maps` are those of the container's user namespace, if they are known.
    pub(super) fn process(&mut self, process: &Process, at: &str, maps: Option<IdMaps<&[IdMapping]>>) {
        self.user(process, at, maps);
        if let Some(caps) = &process.capabilities {
            self.capabilities(caps, &format!("{at}/capabilities"));
        }
        if let Some(scheduler) = &process.scheduler {
            self.scheduler(scheduler, &format!("{at}/scheduler"));
        }
        if let Some(priority) = &process.io_priority {
            self.io_priority(priority, &format!("{at}/ioPriority"));
        }
        if let Some(affinity) = &process.exec_cpu_affinity {
            for (key, name, cpus) in [("initial", "Initial", &affinity.initial), ("final", "Final", &affinity.last)] {
                if let Err(why) = list::parse(cpus, list::MAX_CPUS) {
                    self.error(format!("{at}/execCPUAffinity/{key}"), format!("bad CPUAffinity.{name}: {why}"));
                }
            }
        }
        self.rlimits(&process.rlimits, &format!("{at}/rlimits"));
        self.env(&process.env, &format!("{at}/env"));
        if let Some(adj) = process.oom_score_adj.filter(|adj| !(-1000..=1000).contains(adj)) {
            let why =
                format!("failed to update /proc/self/oom_score_adj: Invalid argument: {adj} is not in -1000..1000");
            self.error(format!("{at}/oomScoreAdj"), why);
        }
        self.no_nul(format!("{at}/cwd"), "cwd", &process.cwd);
        for (i, arg) in process.args.iter().enumerate() {
            self.no_nul(format!("{at}/args/{i}"), "argument", arg);
        }
        self.no_nul(format!("{at}/apparmorProfile"), "apparmor profile", &process.apparmor_profile);
        self.no_nul(format!("{at}/selinuxLabel"), "selinux label", &process.selinux_label);
    }

    fn user(&mut self, process: &Process, at: &str, maps: Option<IdMaps<&[IdMapping]>>) {
        let user = &process.user;
        // -1 is no id: setresuid(2) takes it for "leave as it is", which would leave root.
        for (key, id) in [("uid", user.uid), ("gid", user.gid)] {
            if id == u32::MAX {
                self.error(
                    format!("{at}/user/{key}"),
                    format!("cannot set{key} to unmapped {key} {id} in user namespace"),
                );
            }
        }
        for (i, gid) in user.additional_gids.iter().enumerate() {
            if *gid == u32::MAX {
                self.error(format!("{at}/user/additionalGids/{i}"), format!("invalid additional gid {gid}"));
            }
        }
        if let Some(maps) = maps {
            for (key, id, map) in [("uid", user.uid, maps.uid), ("gid", user.gid, maps.gid)] {
                // A namespace without maps, or without root, is told where its maps are checked.
                if id != 0 && id != u32::MAX && !map.is_empty() && !is_mapped(map, id) {
                    let why = format!("cannot set{key} to unmapped {key} {id} in user namespace");
                    self.error(format!("{at}/user/{key}"), why);
                }
            }
            for (i, gid) in user.additional_gids.iter().enumerate() {
                if *gid != u32::MAX && !maps.gid.is_empty() && !is_mapped(maps.gid, *gid) {
                    let why = format!("setgroups: invalid argument: unmapped gid {gid} in user namespace");
                    self.error(format!("{at}/user/additionalGids/{i}"), why);
                }
            }
        }
        if self.options.rootless_euid && !user.additional_gids.is_empty() {
            let why = "cannot set any additional groups in a rootless container";
            self.error(format!("{at}/user/additionalGids"), why);
        }
    }

    fn capabilities(&mut self, caps: &Capabilities, at: &str) {
        let none = Vec::new();
        let all = [
            &caps.bounding,
            &caps.effective,
            caps.inheritable.as_ref().unwrap_or(&none),
            &caps.permitted,
            &caps.ambient,
        ];
        let mut last = None;
        let mut unknown = BTreeSet::new();
        for name in all.into_iter().flatten() {
            let known = match names::capability(name) {
                Some(bit) if bit <= LAST_OLD_CAP => true,
                Some(bit) => bit <= *last.get_or_insert_with(|| (self.host.last_cap)()),
                None => false,
            };
            if !known {
                unknown.insert(name.as_str());
            }
        }
        if !unknown.is_empty() {
            let list = unknown.into_iter().map(text::one_line).collect::<Vec<_>>().join(" ");
            self.warning(at, format!("ignoring unknown or unavailable capabilities: [{list}]"));
        }
    }

    fn rlimits(&mut self, rlimits: &[Rlimit], at: &str) {
        let mut seen = BTreeMap::new();
        for (i, limit) in rlimits.iter().enumerate() {
            let (name, soft, hard) = (&limit.kind, limit.soft, limit.hard);
            let Some(resource) = number(names::RLIMITS, name) else {
                self.error(format!("{at}/{i}/type"), format!("wrong rlimit value: {name}"));
                continue;
            };
            if soft > hard {
                let why = format!(
                    "error setting rlimit type {resource}: invalid argument: soft limit {soft} of {name} is above hard \
                     limit {hard}"
                );
                self.error(format!("{at}/{i}"), why);
            }
            // "If rlimits contains duplicated entries with same type, the runtime MUST generate an error." runc takes
            // the last one; where all say the same there is nothing to choose.
            if *seen.entry(resource).or_insert(limit) != limit {
                self.error(format!("{at}/{i}/type"), format!("duplicated rlimit {name} with another value"));
            }
        }
    }

    fn env(&mut self, env: &[String], at: &str) {
        for (i, var) in env.iter().enumerate() {
            let why = match var.split_once('=') {
                None => "invalid environment variable: missing '='".to_owned(),
                Some(("", _)) => "invalid environment variable: name cannot be empty".to_owned(),
                // The value may be a secret.
                Some((name, _)) if var.contains('\0') => {
                    format!("invalid environment variable {}: contains nul byte (\\x00)", text::quote(name))
                }
                Some(_) => continue,
            };
            self.error(format!("{at}/{i}"), why);
        }
    }

    fn scheduler(&mut self, scheduler: &Scheduler, at: &str) {
        let policy = scheduler.policy.as_str();
        if policy.is_empty() {
            self.error(format!("{at}/policy"), "scheduler policy is required");
            return;
        }
        if number(names::SCHED_POLICIES, policy).is_none() {
            self.error(format!("{at}/policy"), format!("invalid scheduler policy: {policy}"));
        }
        if matches!(policy, "SCHED_OTHER" | "SCHED_BATCH") && !(-20..=19).contains(&scheduler.nice) {
            let nice = scheduler.nice;
            let why = format!("invalid scheduler.nice: {nice} when scheduler.policy is {policy}");
            self.error(format!("{at}/nice"), why);
        }
        if scheduler.priority != 0 && !matches!(policy, "SCHED_FIFO" | "SCHED_RR") {
            let why = "scheduler.priority can only be specified for SchedFIFO or SchedRR policy";
            self.error(format!("{at}/priority"), why);
        }
        let deadline = [scheduler.runtime, scheduler.deadline, scheduler.period];
        if policy != "SCHED_DEADLINE" && deadline != [0; 3] {
            self.error(at, "scheduler runtime/deadline/period can only be specified for SchedDeadline policy");
        }
        for (i, flag) in scheduler.flags.iter().enumerate() {
            if number(names::SCHED_FLAGS, flag).is_none() {
                self.error(format!("{at}/flags/{i}"), format!("invalid scheduler flag: {flag}"));
            }
        }
    }

    fn io_priority(&mut self, priority: &IoPriority, at: &str) {
        if !(0..=7).contains(&priority.priority) {
            let why = format!("invalid ioPriority.Priority: {}", priority.priority);
            self.error(format!("{at}/priority"), why);
        }
        if number(names::IOPRIO_CLASSES, &priority.class).is_none() {
            let why = format!("invalid ioPriority.Class: {}", text::quote(&priority.class));
            self.error(format!("{at}/class"), why);
        }
    }
}
