//! The order of creation. *This is it*: one flat function from top to bottom, in the order in which things happen. Runtime
//! and container are told their steps side by side, so that who waits for whom can be read here.
//!
//! What is observable of it (by hooks, by a seccomp profile, in errors) is runc's order; where ours differs, nothing can see
//! it before it is done, and the comment says why.

use dunnage_steps::flags::{MountFlags, Namespaces};
use dunnage_steps::{Barrier, Slot, Step};

use super::entering::{self, Entering};
use super::facts::Facts;
use super::landlock::Who;
use super::parent::{HookKind, ParentStep, Place};
use super::{Plan, c, devices, landlock, mounts, process};
use crate::cgroup::host::Version;
use crate::cgroup::systemd::properties::{self, round_quota};
use crate::cgroup::systemd::{Scope, Unit, UnitName};
use crate::cgroup::{DeviceList, Settings};
use crate::error::{Error, Result};
use crate::net::devices::Wanted;
use crate::resctrl::Group;
use crate::spec::landlock::Landlock;
use crate::spec::{Linux, NetDevice, Resources, Spec, trace};
use crate::text;

/// What is to be created, and how: config.json and the command line.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Absolute path of the bundle.
    pub bundle: &'a str,
    /// config.json, validated.
    pub spec: &'a Spec,
    /// The command line's part.
    pub options: &'a Options,
}

/// What the command line says about how a container is created.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--no-pivot`
    pub no_pivot: bool,
    /// `--no-new-keyring`
    pub no_new_keyring: bool,
    /// `--trace`; the annotation asks for it, too.
    pub trace: bool,
    /// `create`, not `run`: init waits at the exec fifo.
    pub wait_for_start: bool,
    /// How many descriptors of the caller, from 3 on, the program gets.
    pub extra_descriptors: u32,
    /// How many of these are LISTEN_FDS (sd_listen_fds(3)).
    pub listen_fds: u32,
    /// Directory of the notify socket on the host; the container finds it at /run/notify.
    pub notify_dir: Option<String>,
}

/// Compiles the creation of a container.
///
/// # Errors
/// What config.json asks for cannot be done; the error names the field.
pub fn create(request: &Request<'_>, facts: &Facts) -> Result<Plan> {
    let Request { spec, options, .. } = *request;
    let none = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    let resources = linux.resources.clone().unwrap_or_default();
    let program = spec.process.as_ref().ok_or_else(|| Error::new("process property must not be empty"))?;
    let root = spec.root.as_ref().ok_or_else(|| Error::new("root must be specified"))?;
    let rootfs = mounts::rootfs(request.bundle, &root.path);
    let mut plan = Plan::default();
    let p = &mut plan;
    let enter = Entering::of(linux, facts, p)?;
    let has_mount_ns = enter.has(Namespaces::MOUNT);
    let traced = options.trace || trace::asked(&spec.annotations).map_err(|p| Error::new(p.message).field(p.field))?;
    let trace = traced.then(|| p.place(Place::Trace));
    let fifo = options.wait_for_start.then(|| p.place(Place::Fifo));
    let cgroup = Cgroup::of(request, resources, linux, facts)?;
    let by_unit = cgroup.unit.as_ref().is_some_and(|unit| !unit.is_slice());
    let doors = entering::doors(p, facts, by_unit);
    let propagation = mounts::root_propagation(&linux.rootfs_propagation)?;
    let shared = propagation.contains(MountFlags::SHARED);
    let slave = propagation.contains(MountFlags::SLAVE);
    let unbindable = propagation.contains(MountFlags::UNBINDABLE);
    // Without `r` it is said of `/` alone: the mounts below it are still the host's peers.
    let tied = shared || !unbindable && !propagation.contains(MountFlags::REC);
    let root_places = mounts::root_places(p, &rootfs, tied, &enter, facts);
    let mut drafts = mounts::draft(request, linux, &enter, facts, p)?;

    // ---- before there is a process ----------------------------------------------------------------------------------
    // What will be made is on disk before it is made, so that `delete` finds it whenever we are killed.
    p.parent(ParentStep::Record);
    if !by_unit {
        // Earlier than runc, which starts without limits and sets them before the hooks: there is no moment to escape in, and
        // dunnage-init is small enough to live within any of them.
        cgroup.make(p);
    }
    let rdt = rdt(linux, request.id, facts)?;
    if let Some(group) = &rdt {
        p.parent(ParentStep::Resctrl(group.clone()));
    }
    if options.wait_for_start {
        p.parent(ParentStep::Fifo);
    }

    // ---- the process, in its namespaces -----------------------------------------------------------------------------
    entering::spawn(p, &enter, facts, by_unit, linux);
    if by_unit {
        // systemd refuses a scope without a process. So here, and only here, one is moved: it has executed dunnage-init,
        // which waits, and systemd moves it in the one call that makes the cgroup.
        cgroup.make(p);
    }
    if let Some(value) = program.oom_score_adj {
        p.parent(ParentStep::OomScoreAdj(value));
    }
    entering::enter(p, &enter, doors, by_unit, linux)?;
    if let Some(group) = &rdt {
        p.parent(ParentStep::JoinResctrl(group.joined()));
        // Hooks that run in the container are processes of it.
        p.parent_says(Barrier::Entered);
    }
    p.parent.extend(cgroup.devices_v2.clone().map(ParentStep::Devices));
    if let Some(owner) = spec.cgroup_owner().filter(|_| delegates(facts)) {
        p.parent(ParentStep::Delegate(owner));
    }
    if let Some(proc) = process::needs_proc(program, linux, fifo.is_some()) {
        p.always(proc);
    }
    let net_devices = net_devices(linux);
    if !net_devices.is_empty() {
        // The process is in its network namespace by now. Before hooks, and before sysctls that are about a device.
        p.child_says(Barrier::Networked);
        p.parent(ParentStep::NetDevices(net_devices));
        p.parent_says(Barrier::DevicesMoved);
    }
    if !options.no_new_keyring {
        process::keyring(p, request.id, &program.selinux_label, enter.has(Namespaces::USER))?;
    }
    if enter.new.contains(Namespaces::NET) {
        p.always(Step::Loopback {});
    }

    // ---- the root file system ---------------------------------------------------------------------------------------
    // Modes are what we say, until the container's own mask is set.
    p.always(Step::Umask { mode: 0 });
    if has_mount_ns {
        // What is unbindable could not become the root either: that comes at the end.
        let flags = if unbindable { MountFlags::PRIVATE.with(MountFlags::REC) } else { propagation };
        p.child(Step::Propagation { flags }, "/linux/rootfsPropagation");
        if tied {
            // What is mounted for the container must not show up on the host.
            let flags = if slave { MountFlags::SLAVE } else { MountFlags::PRIVATE };
            let from = root_places.mount;
            p.child(Step::PrivateParent { path: c(&rootfs, "/root/path")?, from, flags }, "/root/path");
        }
    }
    let from = root_places.root;
    p.child(Step::Root { path: c(&rootfs, "/root/path")?, from, bind: has_mount_ns }, "/root/path");
    if has_mount_ns {
        mounts::mount_all(p, &mut drafts);
        devices::populate(p, linux, &drafts, enter.has(Namespaces::USER) || facts.in_user_namespace)?;
    }

    // ---- hooks see the mounts and the host --------------------------------------------------------------------------
    let hooks = spec.hooks.clone().unwrap_or_default();
    // Those of the container, too, come after what the runtime does about its cgroup meanwhile.
    if !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty() || !hooks.create_container.is_empty() {
        p.child_says(Barrier::Mounted);
        if !hooks.prestart.is_empty() {
            p.parent(ParentStep::Hooks(HookKind::Prestart, hooks.prestart));
        }
        if !hooks.create_runtime.is_empty() {
            p.parent(ParentStep::Hooks(HookKind::CreateRuntime, hooks.create_runtime));
        }
        p.parent_says(Barrier::HooksRun);
    }
    process::hooks(p, request, "createContainer", &hooks.create_container, &enter)?;

    // ---- away from the host -----------------------------------------------------------------------------------------
    let masks = has_mount_ns && !linux.masked_paths.is_empty();
    if !has_mount_ns {
        p.always(Step::Chroot {});
    } else if options.no_pivot {
        for path in &facts.proc_mounts {
            p.always(Step::Cover { path: c(path, "")? });
        }
        p.always(Step::MoveRoot { keep_null: masks });
    } else {
        p.always(Step::Pivot { keep_null: masks, slave: tied });
    }
    if has_mount_ns && shared {
        p.child(Step::Propagation { flags: propagation }, "/linux/rootfsPropagation");
    }
    // After the hooks, which may mount something where it belongs; before the root is read-only.
    if super::clean(&program.cwd) != "/" {
        p.child(Step::Mkdir { path: c(super::clean(&program.cwd), "/process/cwd")?, mode: 0o755 }, "/process/cwd");
    }
    process::stdio(p, program, facts, has_mount_ns);
    mounts::finish(p, &drafts, root.readonly && has_mount_ns)?;

    // ---- what the process is ----------------------------------------------------------------------------------------
    p.child(Step::Umask { mode: program.user.umask.unwrap_or(0o022) }, "/process/user/umask");
    if !spec.hostname.is_empty() {
        p.child(Step::Hostname { name: c(&spec.hostname, "/hostname")? }, "/hostname");
    }
    if !spec.domainname.is_empty() {
        p.child(Step::Domainname { name: c(&spec.domainname, "/domainname")? }, "/domainname");
    }
    process::apparmor(p, &program.apparmor_profile)?;
    process::sysctls(p, linux)?;
    if has_mount_ns {
        mounts::restrict(p, linux)?;
        if unbindable {
            // What is to be read-only or masked is bound on itself: after that.
            p.child(Step::Propagation { flags: propagation }, "/linux/rootfsPropagation");
        }
    }
    process::attributes(p, program, linux)?;
    p.parent(ParentStep::PrepareState);
    process::few_descriptors(p, program, options, fifo.unwrap_or(Slot::NONE));
    p.child_says(Barrier::Ready);
    // Between the two: with RLIMIT_NOFILE 3 or RLIMIT_FSIZE 0 none of the above could be done, and later it is another user's
    // process, for which they take more privilege.
    process::scheduler(p, program);
    process::rlimits(p, program);
    p.parent(ParentStep::SaveState);
    p.parent_says(Barrier::Go);

    // ---- the user's program -----------------------------------------------------------------------------------------
    process::selinux(p, &program.selinux_label)?;
    let filter = process::seccomp(linux, facts)?;
    // With privileges to lose, the filter has to come while they are there (seccomp(2): CAP_SYS_ADMIN or no_new_privs).
    let (early, late) = if program.no_new_privileges { (None, filter) } else { (filter, None) };
    process::cwd(p, program)?;
    // Later than all files that we open, but for the fifo; earlier than the filter, which may forbid it, and the user, who may lack
    // the privilege (landlock(7): CAP_SYS_ADMIN or no_new_privs). Hooks of startContainer are under it.
    let asked = Landlock::of(&spec.annotations).map_err(|p| Error::new(p.message).field(p.field))?;
    landlock::restrict(p, asked.as_ref(), facts, Who::Init(fifo))?;
    process::listener(p, &early);
    p.child.extend(early);
    process::become_user(p, program, facts, &enter)?;
    process::find(p, program)?;
    process::listener(p, &late);
    p.child.extend(late);
    p.child_says(Barrier::Done);
    if let Some(from) = fifo {
        p.always(Step::Fifo { from, close_from: options.extra_descriptors.saturating_add(3) });
    }
    process::hooks(p, request, "startContainer", &hooks.start_container, &enter)?;
    p.child(process::execute(program, options)?, "/process/args");
    p.trace(trace);
    plan.check()?;
    Ok(plan)
}

/// What the runtime does around CRIU, which makes the processes.
#[derive(Default)]
pub struct Restore {
    /// Before CRIU is started.
    pub before: Plan,
    /// When CRIU is there, and waits: it is the process that systemd is given, and in its cgroup and its resctrl group are those that it
    /// makes.
    pub after: Vec<ParentStep>,
    /// When the processes are there, and do not run yet.
    pub made: Vec<ParentStep>,
}

/// Compiles the restoration of a container: its cgroup and its record, as [`create`] has them.
///
/// # Errors
/// As [`create`].
pub fn restore(request: &Request<'_>, facts: &Facts) -> Result<Restore> {
    let none = Linux::default();
    let linux = request.spec.linux.as_ref().unwrap_or(&none);
    let cgroup = Cgroup::of(request, linux.resources.clone().unwrap_or_default(), linux, facts)?;
    let by_unit = cgroup.unit.as_ref().is_some_and(|unit| !unit.is_slice());
    let rdt = rdt(linux, request.id, facts)?;
    let (mut before, mut after) = (Plan::default(), Plan::default());
    before.parent(ParentStep::Record);
    cgroup.make(if by_unit { &mut after } else { &mut before });
    if let Some(group) = &rdt {
        before.parent(ParentStep::Resctrl(group.clone()));
        after.parent(ParentStep::JoinResctrl(group.joined()));
    }
    after.parent.extend(cgroup.devices_v2.clone().map(ParentStep::Devices));
    if let Some(owner) = request.spec.cgroup_owner().filter(|_| delegates(facts)) {
        after.parent(ParentStep::Delegate(owner));
    }
    let made = vec![ParentStep::RecordInit, ParentStep::PrepareState, ParentStep::SaveState];
    Ok(Restore { before, after: after.parent, made })
}

/// To delegate is safe on cgroup v2 alone (config-linux.md, "Cgroup ownership"): on v1 the owner of a directory owns its limits.
fn delegates(facts: &Facts) -> bool {
    facts.cgroups.version() == Version::V2 && !facts.cgroup_paths.is_empty()
}

fn rdt(linux: &Linux, id: &str, facts: &Facts) -> Result<Option<Group>> {
    let Some(rdt) = &linux.intel_rdt else { return Ok(None) };
    let disabled =
        || Error::new("intelRdt is specified in config, but Intel RDT is not enabled").field("/linux/intelRdt");
    Ok(Some(Group::new(facts.resctrl.as_ref().ok_or_else(disabled)?, rdt, id)))
}

/// What is to be done about the cgroup. All of it is empty for a container that gets none (rootless).
#[derive(Default)]
struct Cgroup {
    /// systemd's unit, if systemd makes it.
    unit: Option<Unit>,
    settings: Option<Settings>,
    devices_v1: Option<DeviceList>,
    devices_v2: Option<DeviceList>,
}

impl Cgroup {
    fn of(request: &Request<'_>, mut resources: Resources, linux: &Linux, facts: &Facts) -> Result<Cgroup> {
        if facts.cgroup_paths.is_empty() {
            return Ok(Cgroup::default());
        }
        let version = if facts.v1_hierarchies() > 0 { Version::V1 } else { Version::V2 };
        let devices = DeviceList::new(&resources.devices, &linux.devices)?;
        let unit = match &facts.systemd {
            None => None,
            Some(systemd) => {
                round_quota(&mut resources);
                Some(Unit::new(&properties::Request {
                    name: &UnitName::new(&linux.cgroups_path, request.id, systemd.scope)?,
                    version,
                    systemd: systemd.version,
                    resources: &resources,
                    // The user's own may not attach a program to a cgroup.
                    devices: (systemd.scope == Scope::System).then_some(&devices),
                    annotations: &request.spec.annotations,
                })?)
            }
        };
        let settings = Some(Settings::new(version, &resources)?);
        let (devices_v1, devices_v2) =
            if version == Version::V1 { (Some(devices), None) } else { (None, Some(devices)) };
        Ok(Cgroup { unit, settings, devices_v1, devices_v2 })
    }

    /// Makes it, with its limits.
    fn make(&self, p: &mut Plan) {
        let Some(settings) = self.settings.clone() else { return };
        match self.unit.clone() {
            None => p.parent(ParentStep::Cgroup(settings)),
            Some(unit) => {
                p.parent(ParentStep::Unit(unit));
                p.parent(ParentStep::Adopt(settings));
            }
        }
        // Written rule by rule, the first of which denies all: the container may not be at work yet.
        p.parent.extend(self.devices_v1.clone().map(ParentStep::Devices));
    }
}

/// The devices that move into the container.
fn net_devices(linux: &Linux) -> Vec<Wanted> {
    let wanted = |(name, device): (&String, &NetDevice)| {
        let mut field = "/linux/netDevices".to_owned();
        text::push_pointer(&mut field, name);
        Wanted { name: name.clone(), inside: device.name.clone(), field }
    };
    linux.net_devices.iter().map(wanted).collect()
}
