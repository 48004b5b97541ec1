//! What a trace calls a step: its verb, what it is about, and the field that asked for it. Less than a plan says, since it is
//! written while somebody waits.

use std::borrow::Cow;
use std::ffi::CStr;

use dunnage_steps::{Barrier, Step};

use super::{ChildStep, ParentStep, child_barriers};

impl ChildStep {
    /// The path, name or barrier; empty if there is none.
    pub fn subject(&self) -> Cow<'_, str> {
        let text: &CStr = match &self.step {
            Step::Wait { barrier, .. } | Step::Tell { barrier } => return barrier.name().into(),
            Step::Join { kinds, .. } | Step::Unshare { kinds } => return kinds.to_string().into(),
            Step::Mount { dest, .. } | Step::Bind { dest, .. } => dest,
            Step::PrivateParent { path, .. }
            | Step::Root { path, .. }
            | Step::Mkdir { path, .. }
            | Step::Node { path, .. }
            | Step::Symlink { path, .. }
            | Step::ReadOnly { path }
            | Step::Cover { path }
            | Step::Mask { path, .. }
            | Step::ReadOnlyPath { path }
            | Step::Sysctl { path, .. }
            | Step::Cwd { path }
            | Step::CwdAgain { path } => path,
            Step::Find { program, .. } => program,
            Step::Hook { name, .. } => name,
            _ => return "".into(),
        };
        text.to_string_lossy()
    }

    /// The barriers in it: which, and whether it tells (or waits).
    pub fn barriers(&self) -> Vec<(Barrier, bool)> {
        child_barriers(&self.step)
    }
}

impl ParentStep {
    /// As the plan begins its line.
    pub fn name(&self) -> &'static str {
        match self {
            ParentStep::Record => "record",
            ParentStep::Cgroup(_) => "cgroup",
            ParentStep::Unit(_) => "unit",
            ParentStep::Attach { .. } => "attach",
            ParentStep::Adopt(_) => "adopt-cgroup",
            ParentStep::Devices(_) => "devices",
            ParentStep::Delegate(_) => "delegate",
            ParentStep::Resctrl(_) => "resctrl",
            ParentStep::JoinResctrl(_) => "join-resctrl",
            ParentStep::NetDevices(_) => "net-devices",
            ParentStep::Fifo => "fifo",
            ParentStep::Spawn { .. } => "spawn",
            ParentStep::RecordInit => "record-init",
            ParentStep::OwnAffinity(_) => "own-affinity",
            ParentStep::Affinity(_) => "affinity",
            ParentStep::OomScoreAdj(_) => "oom-score-adj",
            ParentStep::IdMaps { .. } => "id-maps",
            ParentStep::Trees(_) => "trees",
            ParentStep::Tell(_) => "tell",
            ParentStep::Wait(_) => "wait",
            ParentStep::Hooks(..) => "hooks",
            ParentStep::Rlimits(_) => "rlimits",
            ParentStep::Scheduler(_) => "scheduler",
            ParentStep::PrepareState => "prepare-state",
            ParentStep::SaveState => "save-state",
        }
    }

    /// The barrier, the kind of hooks, the unit; empty if there is none.
    pub fn subject(&self) -> &str {
        match self {
            ParentStep::Tell(barrier) | ParentStep::Wait(barrier) => barrier.name(),
            ParentStep::Hooks(kind, _) => kind.name(),
            ParentStep::Unit(unit) => &unit.name,
            ParentStep::Attach { unit, .. } => unit,
            _ => "",
        }
    }

    /// JSON pointer of the part of config.json that asked for it; empty if none did.
    pub fn field(&self) -> &'static str {
        match self {
            ParentStep::Cgroup(_) | ParentStep::Unit(_) | ParentStep::Adopt(_) => "/linux/resources",
            ParentStep::Devices(_) => "/linux/resources/devices",
            ParentStep::Delegate(_) => "/process/user/uid",
            ParentStep::Resctrl(_) | ParentStep::JoinResctrl(_) => "/linux/intelRdt",
            ParentStep::NetDevices(_) => "/linux/netDevices",
            ParentStep::Spawn { .. } => "/linux/namespaces",
            ParentStep::OwnAffinity(_) => "/process/execCPUAffinity",
            ParentStep::OomScoreAdj(_) => "/process/oomScoreAdj",
            ParentStep::IdMaps { .. } => "/linux/uidMappings",
            ParentStep::Trees(_) => "/mounts",
            ParentStep::Hooks(..) => "/hooks",
            ParentStep::Rlimits(_) => "/process/rlimits",
            ParentStep::Scheduler(_) => "/process/scheduler",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parent::HookKind;

    #[test]
    fn names_are_those_of_the_plan() {
        let steps = [
            ParentStep::Record,
            ParentStep::Attach { unit: "u".into(), below: String::new() },
            ParentStep::Fifo,
            ParentStep::RecordInit,
            ParentStep::Affinity(vec![1]),
            ParentStep::OwnAffinity(vec![1]),
            ParentStep::OomScoreAdj(1),
            ParentStep::Trees(0),
            ParentStep::Tell(Barrier::Go),
            ParentStep::Wait(Barrier::Ready),
            ParentStep::Hooks(HookKind::Prestart, Vec::new()),
            ParentStep::Rlimits(Vec::new()),
            ParentStep::PrepareState,
            ParentStep::SaveState,
        ];
        for step in steps {
            assert_eq!(step.to_string().split(' ').next(), Some(step.name()));
        }
    }
}
