//! Plans: every decision that depends on config.json, taken before anything is made.
//!
//! | file | owns |
//! |---|---|
//! | [`compile`] | *the* order of creation, as one flat function |
//! | [`exec`] | the order of a process that joins a container |
//! | `entering`, `mounts`, `devices`, `process`, [`landlock`] | the parts of those orders: one section of config.json each |
//! | `labels` | what a trace calls a step: its verb, what it is about |
//! | [`parent`] | the steps of the runtime's own half, as data |
//! | [`facts`] | what a plan may know of the host |
//!
//! Pure: a function of the configuration, the facts and the options. Nothing here reaches the kernel.

pub mod compile;
mod devices;
mod entering;
pub mod exec;
pub mod facts;
mod labels;
pub mod landlock;
pub mod mounts;
pub mod parent;
mod process;

use std::borrow::Cow;
use std::ffi::CString;
use std::fmt;

use dunnage_steps::wire::Put;
use dunnage_steps::{Barrier, Owned, Slot, Step};

pub use entering::PER_MESSAGE;
pub use facts::Facts;
pub use parent::{ParentStep, Place};

use crate::error::{Error, Result};
use crate::resctrl::Group;

/// One step of the child, and the field of config.json that asked for it.
pub struct ChildStep {
    /// What to do.
    pub step: Step<Owned>,
    /// JSON pointer; empty if no single field did.
    pub field: Cow<'static, str>,
}

/// What will be done: by the runtime, and in the container by `dunnage-init`.
#[derive(Default)]
pub struct Plan {
    /// The runtime's half.
    pub parent: Vec<ParentStep>,
    /// The container's half.
    pub child: Vec<ChildStep>,
    /// What each place in the child's table of descriptors is for. Those from [`Plan::sent`] on arrive with `entered`.
    pub places: Vec<Place>,
}

impl Plan {
    fn parent(&mut self, step: ParentStep) {
        self.parent.push(step);
    }

    fn child(&mut self, step: Step<Owned>, field: impl Into<Cow<'static, str>>) {
        self.child.push(ChildStep { step, field: field.into() });
    }

    /// A step that no field asked for.
    fn always(&mut self, step: Step<Owned>) {
        self.child(step, "");
    }

    /// The child says it, the parent waits for it.
    fn child_says(&mut self, barrier: Barrier) {
        self.parent(ParentStep::Wait(barrier));
        self.always(Step::Tell { barrier });
    }

    /// The parent says it, the child waits for it.
    fn parent_says(&mut self, barrier: Barrier) {
        self.parent(ParentStep::Tell(barrier));
        self.always(Step::Wait { barrier, first: Slot::NONE });
    }

    /// The last that is said, and the first that is done: how many steps there are is known then.
    fn trace(&mut self, into: Option<Slot>) {
        let Some(into) = into else { return };
        let steps = u32::try_from(self.child.len().saturating_add(1)).unwrap_or(u32::MAX);
        self.child.insert(0, ChildStep { step: Step::Trace { into, steps }, field: "".into() });
    }

    fn place(&mut self, place: Place) -> Slot {
        let slot = Slot(u32::try_from(self.places.len()).unwrap_or(u32::MAX));
        self.places.push(place);
        slot
    }

    /// The first place whose descriptor is sent after the start; the others are inherited.
    pub fn sent(&self) -> usize {
        let sent = |p: &Place| matches!(p, Place::Tree { .. } | Place::Door { sent: true, .. });
        self.places.iter().position(sent).unwrap_or(self.places.len())
    }

    /// The container's half waits for `start` before the program runs.
    pub fn waits_for_start(&self) -> bool {
        self.child.iter().any(|step| matches!(step.step, Step::Fifo { .. }))
    }

    /// The resctrl group that is made.
    pub fn resctrl(&self) -> Option<&Group> {
        self.parent.iter().find_map(|step| if let ParentStep::Resctrl(group) = step { Some(group) } else { None })
    }

    /// The cgroup that is made limits this controller.
    pub fn limits(&self, controller: &str) -> bool {
        self.parent.iter().any(|step| match step {
            ParentStep::Cgroup(settings) | ParentStep::Adopt(settings) => {
                settings.list.iter().any(|setting| setting.controller == controller)
            }
            _ => false,
        })
    }

    /// The child's half as `dunnage-init` reads it. `descriptors`: of the places, in order; -1 for those not sent yet.
    pub fn encode(&self, descriptors: &[i32]) -> Vec<u8> {
        let mut out = Vec::with_capacity(4096);
        u32::try_from(descriptors.len()).unwrap_or(u32::MAX).put(&mut out);
        descriptors.iter().for_each(|fd| fd.put(&mut out));
        self.child.iter().for_each(|s| s.step.put(&mut out));
        out
    }

    /// Proves that the two halves meet: each barrier that one tells the other waits for, in the same order. A plan that passes
    /// cannot deadlock.
    ///
    /// # Errors
    /// Names the first pair that does not match.
    pub fn check(&self) -> Result<()> {
        let parents = self.parent.iter().filter_map(ParentStep::barrier);
        let childs = self.child.iter().flat_map(|s| child_barriers(&s.step));
        // The code that starts the child waits for the maps before it executes dunnage-init.
        let before = self.parent.iter().any(|s| matches!(s, ParentStep::Spawn { maps_first: true, .. }));
        let childs: Vec<_> = before.then_some((Barrier::IdMaps, false)).into_iter().chain(childs).collect();
        let parents: Vec<_> = parents.collect();
        for i in 0..parents.len().max(childs.len()) {
            match (parents.get(i), childs.get(i)) {
                (Some((a, tells)), Some((b, told))) if a == b && tells != told && *tells != a.is_childs() => (),
                (a, b) => return Err(Error::new(format!("the halves of the plan do not meet: {a:?} against {b:?}"))),
            }
        }
        Ok(())
    }
}

/// The barriers in a child's step: which, and whether it tells (or waits).
fn child_barriers(step: &Step<Owned>) -> Vec<(Barrier, bool)> {
    match step {
        Step::Tell { barrier } => vec![(*barrier, true)],
        Step::Wait { barrier, .. } => vec![(*barrier, false)],
        Step::Fork {} => vec![(Barrier::Forked, true)],
        Step::Console { .. } => vec![(Barrier::Console, true)],
        Step::Seccomp { notify: true, .. } => vec![(Barrier::Listener, true), (Barrier::Listening, false)],
        _ => Vec::new(),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.places.is_empty() {
            writeln!(f, "descriptors:")?;
            self.places.iter().enumerate().try_for_each(|(i, place)| writeln!(f, "  @{i} {place}"))?;
        }
        writeln!(f, "runtime:")?;
        for step in &self.parent {
            writeln!(f, "  {step}")?;
        }
        writeln!(f, "container:")?;
        for ChildStep { step, field } in &self.child {
            if field.is_empty() { writeln!(f, "  {step}")? } else { writeln!(f, "  {step}  # {field}")? }
        }
        Ok(())
    }
}

/// A string for the kernel. NUL bytes, which JSON can hold and the kernel cannot, are refused with the field's name.
fn c(s: impl AsRef<[u8]>, field: &str) -> Result<CString> {
    CString::new(s.as_ref()).map_err(|_| Error::new("contains nul byte (\\x00)").field(field.to_owned()))
}

fn cs(strs: &[String], field: &str) -> Result<Vec<CString>> {
    strs.iter().enumerate().map(|(i, s)| c(s, &format!("{field}/{i}"))).collect()
}

/// A path made absolute and free of `.`, `..` and double slashes, by its text alone.
pub fn clean(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => (),
            ".." => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    format!("/{}", out.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_paths() {
        for (given, wanted) in [("/", "/"), ("", "/"), ("a//b/", "/a/b"), ("/../x/./y/..", "/x"), ("/..", "/")] {
            assert_eq!(clean(given), wanted);
        }
    }

    #[test]
    fn halves_that_do_not_meet_are_found() {
        let mut plan = Plan::default();
        plan.child_says(Barrier::Ready);
        plan.parent_says(Barrier::Go);
        plan.check().unwrap();
        plan.always(Step::Tell { barrier: Barrier::Done });
        assert!(plan.check().is_err());
        plan.parent(ParentStep::Tell(Barrier::Done));
        assert!(plan.check().is_err(), "both tell");
        plan.parent.pop();
        plan.parent(ParentStep::Wait(Barrier::Done));
        plan.check().unwrap();
    }
}
