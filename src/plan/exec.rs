//! The order of `exec`: a process that joins a container.
//!
//! Until its last step but one it is no member of the container's pid namespace, so that nobody in the container can see it, and so
//! neither trace it nor look into its descriptors (CVE-2016-9962): when it does appear (`fork`) it has the rights of the
//! user's program, and no more. There is one exception: with a seccomp filter but without no_new_privs the filter has to be
//! loaded while privileged, by the process itself, and a filter may forbid fork; then `fork` comes first.

use dunnage_steps::flags::Namespaces;
use dunnage_steps::{Barrier, Slot, Step};

use super::compile::Options;
use super::entering::{self, ALL_CPUS, Entering};
use super::facts::Facts;
use super::landlock::Who;
use super::parent::{ParentStep, Place};
use super::{Plan, landlock, process};
use crate::error::{Error, Result};
use crate::spec::landlock::Landlock;
use crate::spec::{Linux, Process, list};

/// A process that is to join a container.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The container's id.
    pub id: &'a str,
    /// What to run.
    pub program: &'a Process,
    /// What of the container applies to it too: seccomp, personality, memory policy.
    pub linux: &'a Linux,
    /// What the container's annotation leaves its processes of the file system.
    pub landlock: Option<&'a Landlock>,
    /// The container's namespaces.
    pub namespaces: Namespaces,
    /// The container's session keyring is to be joined.
    pub keyring: bool,
    /// The container's umask; none: the caller's.
    pub umask: Option<u32>,
    /// The container's oom_score_adj.
    pub oom_score_adj: Option<i32>,
    /// The container's resctrl groups.
    pub resctrl: &'a [String],
    /// systemd's unit of the container, and the cgroup below it, if only systemd may put a process there (rootless).
    pub unit: Option<(&'a str, &'a str)>,
    /// The command line's part.
    pub options: &'a Options,
}

/// Compiles an exec.
///
/// # Errors
/// What the process asks for cannot be done; the error names the field of process.json.
pub fn exec(r: &Request<'_>, facts: &Facts) -> Result<Plan> {
    let Request { program, linux, .. } = *r;
    let mut plan = Plan::default();
    let p = &mut plan;
    let init = p.place(Place::Init);
    let root = p.place(Place::InitRoot);
    let trace = r.options.trace.then(|| p.place(Place::Trace));
    let container = Entering { new: r.namespaces, ..Entering::default() };
    let has = |kind| r.namespaces.contains(kind);

    let doors = entering::doors(p, facts, false);
    let affinity = program.exec_cpu_affinity.clone().unwrap_or_default();
    if !affinity.initial.is_empty() {
        p.parent(ParentStep::OwnAffinity(cpus(&affinity.initial, "Initial")?));
    }
    p.parent(ParentStep::Spawn {
        namespaces: Namespaces::none(),
        into_cgroup: r.unit.is_none() && facts.clones_into_cgroup(),
        pid_namespace: None,
        maps_first: false,
    });
    if let Some((unit, below)) = r.unit {
        p.parent(ParentStep::Attach { unit: unit.to_owned(), below: below.to_owned() });
    }
    process::rlimits(p, program);
    if r.unit.is_some() || !program.rlimits.is_empty() {
        p.parent_says(Barrier::Entered);
    }
    entering::enter_cgroups(p, doors);

    p.always(Step::Hide {});
    if let Some(proc) = process::needs_proc(program, &Linux::default(), false) {
        // Before the container's namespaces: in there it may not be ours to make.
        p.always(proc);
    }
    p.always(Step::Join { from: init, kinds: r.namespaces, retry: false });
    if has(Namespaces::USER) {
        p.always(Step::BecomeRoot {});
    }
    if r.keyring {
        process::keyring(p, r.id, &program.selinux_label, has(Namespaces::USER))?;
    }
    // Where init's root is not that of its mount namespace (no pivot_root, no mount namespace of its own, a runtime that was
    // itself in a chroot), setns(2) would leave us in the wrong one.
    p.always(Step::InitRoot { from: root });
    if program.terminal {
        process::console(p, program, false);
    } else {
        if facts.stdio_null != 0 {
            p.always(Step::StdioNull { descriptors: facts.stdio_null });
        }
        process::stdio_owner(p, program, facts);
    }
    if let Some(mode) = r.umask {
        p.always(Step::Umask { mode });
    }
    process::attributes(p, program, linux)?;
    process::selinux(p, &program.selinux_label)?;

    process::cwd(p, program)?;
    process::apparmor(p, &program.apparmor_profile)?;
    // No file is opened from here on, and as late as the filter, or the user, permit: as in `create`.
    landlock::restrict(p, r.landlock, facts, Who::Exec)?;
    let filter = process::seccomp(linux, facts)?;
    if filter.is_some() && !program.no_new_privileges {
        fork(p, r, true)?;
        process::listener(p, &filter);
        p.child.extend(filter);
        process::become_user(p, program, facts, &container)?;
        process::find(p, program)?;
    } else {
        process::become_user(p, program, facts, &container)?;
        process::find(p, program)?;
        fork(p, r, false)?;
        process::listener(p, &filter);
        p.child.extend(filter);
    }
    let terminal = program.terminal;
    // A session's leader has to be the process itself; with a filter that forbids setsid it would be too late after it.
    let at = p.child.iter().rposition(|s| matches!(s.step, Step::Wait { barrier: Barrier::Adopted, .. }));
    let session = super::ChildStep { step: Step::Session { terminal }, field: "/process/terminal".into() };
    p.child.insert(at.map_or(p.child.len(), |i| i.saturating_add(1)), session);
    p.child_says(Barrier::Done);
    p.child(process::execute(program, r.options)?, "/process/args");
    p.trace(trace);
    plan.check()?;
    Ok(plan)
}

/// The user's process comes to be, and gets from outside what only the runtime may set. With `root` it still needs the root.
fn fork(p: &mut Plan, r: &Request<'_>, root: bool) -> Result<()> {
    // Who may trace it in there could use what it has open: a procfs of the host's processes leads to the host's root.
    let from = r.options.extra_descriptors.saturating_add(3);
    p.always(Step::Close { from, root, proc: false, keep: Slot::NONE });
    p.parent(ParentStep::Wait(Barrier::Forked));
    p.always(Step::Fork {});
    let affinity = r.program.exec_cpu_affinity.clone().unwrap_or_default();
    let last = if affinity.last.is_empty() { ALL_CPUS.to_vec() } else { cpus(&affinity.last, "Final")? };
    if affinity.initial.is_empty() || !affinity.last.is_empty() {
        p.parent(ParentStep::Affinity(last));
    }
    if let Some(value) = r.oom_score_adj {
        p.parent(ParentStep::OomScoreAdj(value));
    }
    if !r.resctrl.is_empty() {
        p.parent(ParentStep::JoinResctrl(r.resctrl.to_vec()));
    }
    process::scheduler(p, r.program);
    p.parent_says(Barrier::Adopted);
    Ok(())
}

fn cpus(text: &str, name: &str) -> Result<Vec<u64>> {
    let mask = list::parse(text, list::MAX_CPUS).map_err(|e| Error::new(format!("bad CPUAffinity.{name}: {e}")))?;
    Ok(mask.words().to_vec())
}
