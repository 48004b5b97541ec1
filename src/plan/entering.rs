//! Which namespaces a container gets, and how its first process comes to be in them.
//!
//! *Direct*: the kernel makes the new ones in clone3(2), the process joins the others. *Staged*: where that order does not do
//! (a user namespace that is joined, or made besides others that are joined; a time namespace, whose offsets are written
//! before anybody is in it), a first process joins and makes them, and hands over to a sister (`fork`).

use dunnage_steps::flags::Namespaces;
use dunnage_steps::{Barrier, MAX_PLACES, Slot, Step};

use super::facts::Facts;
use super::parent::{ParentStep, Place};
use super::{Plan, c};
use crate::error::{Error, Result};
use crate::spec::{Linux, names};

/// The namespaces of a container.
#[derive(Debug, Clone, Default)]
pub struct Entering {
    /// Made for it.
    pub new: Namespaces,
    /// Existing ones, with their places.
    pub joined: Vec<(Namespaces, Slot)>,
    /// A first process makes and joins, see above.
    pub staged: bool,
}

impl Entering {
    /// Reads `linux.namespaces`.
    pub fn of(linux: &Linux, _facts: &Facts, plan: &mut Plan) -> Result<Entering> {
        let mut e = Entering::default();
        for (i, n) in linux.namespaces.iter().enumerate() {
            let field = format!("/linux/namespaces/{i}");
            let kind = names::namespace(&n.kind).ok_or_else(|| {
                Error::new(format!("namespace {{{:?} {:?}}} does not exist", n.kind, n.path)).field(field.clone())
            })?;
            let kind = Namespaces(u64::try_from(kind.clone_flag).unwrap_or(0));
            if n.path.is_empty() {
                e.new = e.new.with(kind);
            } else {
                e.joined.push((kind, plan.place(Place::Namespace { kind, path: n.path.clone(), field })));
            }
        }
        let joins = |kind| e.joined.iter().any(|(k, _)| *k == kind);
        let joins_other = e.joined.iter().any(|(k, _)| *k != Namespaces::USER);
        e.staged = joins(Namespaces::USER)
            || e.new.contains(Namespaces::USER) && joins_other
            || e.new.contains(Namespaces::TIME)
            || joins(Namespaces::TIME);
        Ok(e)
    }

    /// True if the container has a namespace of this kind that is not the runtime's.
    pub fn has(&self, kind: Namespaces) -> bool {
        self.new.contains(kind) || self.joined.iter().any(|(k, _)| *k == kind)
    }

    /// The pid that init sees of itself: 1 in a pid namespace of its own.
    pub fn inner_pid(&self) -> Option<u32> {
        self.new.contains(Namespaces::PID).then_some(1)
    }

    fn place_of(&self, kind: Namespaces) -> Option<Slot> {
        self.joined.iter().find(|(k, _)| *k == kind).map(|(_, slot)| *slot)
    }

    /// True if this runtime has to write the maps of a user namespace.
    fn maps(&self) -> bool {
        self.new.contains(Namespaces::USER)
    }

    /// Those that the process has to make itself, not clone3(2). A cgroup namespace is rooted at the cgroup of its maker at that
    /// moment, which in clone3(2) would be ours. And what shows who owns it (/proc/net, /sys/class/net, /dev/mqueue) keeps the
    /// root of its user namespace of that moment, who is nobody before the maps are written.
    fn late(&self) -> Namespaces {
        let owned = Namespaces::NET.with(Namespaces::IPC);
        let late = if self.maps() { Namespaces::CGROUP.with(owned) } else { Namespaces::CGROUP };
        Namespaces(self.new.0 & late.0)
    }
}

/// The runtime's steps up to a running `dunnage-init`. `by_unit`: systemd gives it a cgroup when it is there.
pub fn spawn(p: &mut Plan, e: &Entering, facts: &Facts, by_unit: bool, linux: &Linux) {
    let namespaces = if e.staged { Namespaces::none() } else { e.new.without(e.late()) };
    let maps_first = namespaces.contains(Namespaces::USER);
    p.parent(ParentStep::Spawn {
        namespaces,
        into_cgroup: !by_unit && facts.clones_into_cgroup(),
        pid_namespace: if e.staged { None } else { e.place_of(Namespaces::PID).map(|s| s.0) },
        maps_first,
    });
    p.parent(ParentStep::RecordInit);
    if maps_first {
        p.parent(id_maps(linux));
        p.parent(ParentStep::Tell(Barrier::IdMaps));
    }
    p.parent(ParentStep::Affinity(ALL_CPUS.to_vec()));
}

fn id_maps(linux: &Linux) -> ParentStep {
    ParentStep::IdMaps { uids: linux.uid_mappings.clone(), gids: linux.gid_mappings.clone() }
}

/// As many CPUs as a kernel can be built for (NR_CPUS): what is not there, or not in the cpuset, the kernel takes off.
pub const ALL_CPUS: [u64; 128] = [u64::MAX; 128];

/// How many descriptors go with one `entered`: SCM_MAX_FD is 253.
pub const PER_MESSAGE: usize = 250;

/// The child's way into the cgroups of version 1: the first place of the files, and how many.
pub type Doors = (Slot, u32);

/// Gives the cgroups of version 1 their places. `sent`: they are made when there is a process already.
pub fn doors(p: &mut Plan, facts: &Facts, sent: bool) -> Doors {
    let count = facts.v1_hierarchies();
    let places: Vec<Slot> = (0..count).map(|hierarchy| p.place(Place::Door { hierarchy, sent })).collect();
    (places.first().copied().unwrap_or(Slot::NONE), u32::try_from(count).unwrap_or(0))
}

/// Into them, before anything else: what is done from here on is the container's account.
pub fn enter_cgroups(p: &mut Plan, (first, count): Doors) {
    if count > 0 {
        p.always(Step::EnterCgroups { first, count });
    }
}

/// The child's first steps. With systemd (`by_unit`) it waits to be taken over before it does anything.
pub fn enter(p: &mut Plan, e: &Entering, doors: Doors, by_unit: bool, linux: &Linux) -> Result<()> {
    if by_unit {
        p.parent(ParentStep::Tell(Barrier::Entered));
        p.always(Step::Wait { barrier: Barrier::Entered, first: doors.0 });
    }
    enter_cgroups(p, doors);
    if p.places.len() > MAX_PLACES {
        let text =
            format!("{} mounts of the host's are more than a user namespace's container can be given", p.places.len());
        return Err(Error::new(text).field("/mounts"));
    }
    if e.staged {
        staged(p, e, linux)?;
        trees(p);
        return Ok(());
    }
    trees(p);
    p.always(Step::Hide {});
    for (kind, from) in &e.joined {
        // The pid namespace is the parent's to join: it is for children.
        if *kind != Namespaces::PID {
            p.child(Step::Join { from: *from, kinds: *kind, retry: false }, namespace_field(p, *from));
        }
    }
    if !e.late().is_empty() {
        p.child(Step::Unshare { kinds: e.late() }, "/linux/namespaces");
    }
    Ok(())
}

/// The parts of the host's tree, found in the mount namespace of the process, which by now is the container's.
fn trees(p: &mut Plan) {
    let Some(first) = p.places.iter().position(|place| matches!(place, Place::Tree { .. })) else { return };
    p.parent(ParentStep::Trees(u32::try_from(first).unwrap_or(u32::MAX)));
    for first in (first..p.places.len()).step_by(PER_MESSAGE) {
        let first = Slot(u32::try_from(first).unwrap_or(u32::MAX));
        p.parent(ParentStep::Tell(Barrier::Entered));
        p.always(Step::Wait { barrier: Barrier::Entered, first });
    }
}

fn namespace_field(p: &Plan, slot: Slot) -> String {
    match usize::try_from(slot.0).ok().and_then(|i| p.places.get(i)) {
        Some(Place::Namespace { field, .. }) => field.clone(),
        _ => String::new(),
    }
}

fn staged(p: &mut Plan, e: &Entering, linux: &Linux) -> Result<()> {
    let user = e.place_of(Namespaces::USER);
    let joins_user = user.is_some();
    // Most belong to the host, and are to be joined with the host's privileges; what belongs to the user namespace is
    // tried again in it.
    for (kind, from) in e.joined.iter().filter(|(k, _)| *k != Namespaces::USER) {
        let retry = joins_user;
        p.child(Step::Join { from: *from, kinds: *kind, retry }, namespace_field(p, *from));
    }
    if let Some(from) = user {
        p.child(Step::Join { from, kinds: Namespaces::USER, retry: false }, namespace_field(p, from));
        p.always(Step::BecomeRoot {});
        for (kind, from) in e.joined.iter().filter(|(k, _)| *k != Namespaces::USER) {
            p.child(Step::Join { from: *from, kinds: *kind, retry: false }, namespace_field(p, *from));
        }
    }
    if e.maps() {
        p.child(Step::Unshare { kinds: Namespaces::USER }, "/linux/namespaces");
        p.child_says(Barrier::UserNamespace);
        p.parent(id_maps(linux));
        p.parent_says(Barrier::IdMaps);
        p.always(Step::BecomeRoot {});
    }
    let rest = e.new.without(Namespaces::USER);
    if !rest.is_empty() {
        p.child(Step::Unshare { kinds: rest }, "/linux/namespaces");
    }
    if !linux.time_offsets.is_empty() {
        p.always(Step::Proc { full: false });
        let line = |(clock, o): (&String, &crate::spec::TimeOffset)| format!("{clock} {} {}\n", o.secs, o.nanosecs);
        let text: String = linux.time_offsets.iter().map(line).collect();
        p.child(Step::TimeOffsets { text: c(text, "/linux/timeOffsets")? }, "/linux/timeOffsets");
    }
    p.always(Step::Hide {});
    p.parent(ParentStep::Wait(Barrier::Forked));
    p.always(Step::Fork {});
    p.parent(ParentStep::RecordInit);
    p.parent_says(Barrier::Adopted);
    Ok(())
}
