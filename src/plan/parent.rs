//! The steps of the runtime's own half, as data. `launch` executes them.

use std::fmt;

use dunnage_steps::Barrier;
use dunnage_steps::flags::Namespaces;

use crate::cgroup::systemd::Unit;
use crate::cgroup::{DeviceList, Settings};
use crate::net::devices::Wanted;
use crate::resctrl::Group;
use crate::spec::{Hook, IdMapping, Rlimit, Scheduler};
use crate::text::one_line;

/// The kinds of hooks that the runtime itself runs while it creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// Deprecated; before createRuntime.
    Prestart,
    /// After the mounts, before pivot_root.
    CreateRuntime,
}

impl HookKind {
    /// Its key in config.json.
    pub fn name(self) -> &'static str {
        match self {
            HookKind::Prestart => "prestart",
            HookKind::CreateRuntime => "createRuntime",
        }
    }
}

/// One step of the runtime.
#[derive(Debug, Clone, PartialEq)]
pub enum ParentStep {
    /// Puts on disk what is about to be made.
    Record,
    /// Makes the cgroup, with its limits. Before the container starts: it is never without them.
    Cgroup(Settings),
    /// Has systemd make the cgroup: a transient unit that takes the process over. It waits for `entered` all the while.
    Unit(Unit),
    /// Has systemd move the process into the cgroup of its unit of this name (rootless, where that is not ours to do).
    Attach {
        /// The unit.
        unit: String,
        /// The cgroup below its own, absolute; empty for its own.
        below: String,
    },
    /// Takes over the cgroup that systemd has made, makes what systemd has not (controllers that it does not know), and writes
    /// the limits into its files, as with [`ParentStep::Cgroup`].
    Adopt(Settings),
    /// Sets the device rules; in force before any hook or program runs. On v2 that is one program, attached at one moment: while
    /// dunnage-init makes the mounts, since to load it takes the kernel as long as a dozen of them.
    Devices(DeviceList),
    /// Gives the cgroup, but not its limits, to this user of the host: the container may make cgroups below it. After the
    /// limits are written, before a hook or program of the container runs.
    Delegate(u32),
    /// Makes the resctrl group, with its schemata.
    Resctrl(Group),
    /// Puts the process, by then the one that will be the user's, into these resctrl groups.
    JoinResctrl(Vec<String>),
    /// Moves devices of our network namespace into the container's.
    NetDevices(Vec<Wanted>),
    /// Makes the exec fifo.
    Fifo,
    /// Starts `dunnage-init`.
    Spawn {
        /// In new namespaces of these kinds.
        namespaces: Namespaces,
        /// In the container's cgroup.
        into_cgroup: bool,
        /// In the pid namespace of this place.
        pid_namespace: Option<u32>,
        /// As root of the new user namespace: it waits for `id-maps` before it executes.
        maps_first: bool,
    },
    /// Puts on disk who init is.
    RecordInit,
    /// Sets the CPUs that we ourselves run on, which the process starts with: words of a mask.
    OwnAffinity(Vec<u64>),
    /// Sets the CPUs that the process runs on; by default all, so that a caller's own restriction is not inherited.
    Affinity(Vec<u64>),
    /// Sets its oom_score_adj.
    OomScoreAdj(i32),
    /// Writes the maps of the user namespace.
    IdMaps {
        /// User ids.
        uids: Vec<IdMapping>,
        /// Group ids.
        gids: Vec<IdMapping>,
    },
    /// Opens the trees in the places from this one on; they go with `entered`.
    Trees(u32),
    /// Tells the child.
    Tell(Barrier),
    /// Waits for the child.
    Wait(Barrier),
    /// Runs hooks.
    Hooks(HookKind, Vec<Hook>),
    /// Sets resource limits.
    Rlimits(Vec<Rlimit>),
    /// Sets the scheduling policy.
    Scheduler(Scheduler),
    /// Writes what will be state.json, while the container is being made.
    PrepareState,
    /// Makes it state.json.
    SaveState,
}

impl ParentStep {
    /// The barrier, and whether we tell it.
    pub fn barrier(&self) -> Option<(Barrier, bool)> {
        match self {
            ParentStep::Tell(b) => Some((*b, true)),
            ParentStep::Wait(b) => Some((*b, false)),
            _ => None,
        }
    }
}

/// What a place in the child's table of descriptors holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A namespace, by its file.
    Namespace {
        /// Its kind.
        kind: Namespaces,
        /// Its file on the host.
        path: String,
        /// The field that names it.
        field: String,
    },
    /// The container's init (exec).
    Init,
    /// The root directory of that.
    InitRoot,
    /// The file by which a cgroup of version 1 is entered.
    Door {
        /// Of the hierarchies that the container has, the one with this number.
        hierarchy: usize,
        /// It is sent with `entered`: systemd makes the cgroup for a process that is there already.
        sent: bool,
    },
    /// A handle of the exec fifo.
    Fifo,
    /// The file in which the child notes when its steps end.
    Trace,
    /// A part of the host's tree, cloned.
    Tree {
        /// Where it is.
        source: String,
        /// With what is mounted below.
        recursive: bool,
        /// What is given of it.
        given: Given,
        /// The field that asks for it.
        field: String,
    },
}

/// What the container is given of the host's tree. All of it is of the container's mount namespace, where the kernel has locked the
/// flags that it may not take away (mount_namespaces(7)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A handle, found with our rights.
    Handle,
    /// A handle of the top of the mount that it is on.
    Mount,
    /// A copy, with mapped ids.
    Mapped(Idmap),
}

/// How the ids of a mount are mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idmap {
    /// User ids; empty: those of the container's user namespace.
    pub uids: Vec<IdMapping>,
    /// Group ids.
    pub gids: Vec<IdMapping>,
    /// The whole tree, not its top mount alone.
    pub recursive: bool,
}

impl fmt::Display for ParentStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParentStep::Record => f.write_str("record"),
            ParentStep::Cgroup(settings) => {
                f.write_str("cgroup")?;
                self::settings(f, settings)
            }
            ParentStep::Unit(unit) => self::unit(f, unit),
            ParentStep::Attach { unit, below } => write!(f, "attach unit={} below={below:?}", one_line(unit)),
            ParentStep::Adopt(settings) => {
                f.write_str("adopt-cgroup")?;
                self::settings(f, settings)
            }
            ParentStep::Devices(list) => {
                write!(f, "devices {} all", if list.default_allow { "allow" } else { "deny" })?;
                list.exceptions.iter().try_for_each(|(devices, access)| write!(f, ", but {devices} {access}"))
            }
            ParentStep::Delegate(owner) => write!(f, "delegate uid={owner}  # /process/user/uid"),
            ParentStep::Resctrl(group) => write!(f, "resctrl {group}"),
            ParentStep::JoinResctrl(groups) => write!(f, "join-resctrl {}", one_line(&groups.join(" "))),
            ParentStep::NetDevices(list) => {
                f.write_str("net-devices")?;
                list.iter().try_for_each(|device| net_device(f, device))
            }
            ParentStep::Fifo => f.write_str("fifo"),
            ParentStep::Spawn { namespaces, into_cgroup, pid_namespace, maps_first } => {
                write!(f, "spawn namespaces={namespaces}")?;
                if *into_cgroup {
                    f.write_str(" into-cgroup=true")?;
                }
                if let Some(place) = pid_namespace {
                    write!(f, " pid-namespace=@{place}")?;
                }
                if *maps_first { f.write_str(" waits-for=id-maps") } else { Ok(()) }
            }
            ParentStep::RecordInit => f.write_str("record-init"),
            ParentStep::OwnAffinity(mask) => write!(f, "own-affinity {mask:x?}"),
            ParentStep::Affinity(mask) if mask.iter().all(|w| *w == u64::MAX) => f.write_str("affinity all"),
            ParentStep::Affinity(mask) => write!(f, "affinity {mask:x?}"),
            ParentStep::OomScoreAdj(value) => write!(f, "oom-score-adj {value}"),
            ParentStep::IdMaps { uids, gids } => {
                f.write_str("id-maps")?;
                maps(f, uids, gids)
            }
            ParentStep::Trees(first) => write!(f, "trees from=@{first}"),
            ParentStep::Tell(barrier) => write!(f, "tell barrier={}", barrier.name()),
            ParentStep::Wait(barrier) => write!(f, "wait barrier={}", barrier.name()),
            ParentStep::Hooks(kind, hooks) => {
                write!(f, "hooks {}", kind.name())?;
                hooks.iter().enumerate().try_for_each(|(i, hook)| self::hook(f, *kind, i, hook))
            }
            ParentStep::Rlimits(limits) => {
                f.write_str("rlimits")?;
                limits.iter().try_for_each(|l| write!(f, " {}={}:{}", one_line(&l.kind), l.soft, l.hard))
            }
            ParentStep::Scheduler(s) => {
                write!(f, "scheduler {} nice={} priority={}", one_line(&s.policy), s.nice, s.priority)?;
                if !s.flags.is_empty() {
                    write!(f, " flags={}", one_line(&s.flags.join("|")))?;
                }
                if (s.runtime, s.deadline, s.period) == (0, 0, 0) {
                    return Ok(());
                }
                write!(f, " runtime={} deadline={} period={}", s.runtime, s.deadline, s.period)
            }
            ParentStep::PrepareState => f.write_str("prepare-state"),
            ParentStep::SaveState => f.write_str("save-state"),
        }
    }
}

fn settings(f: &mut fmt::Formatter<'_>, settings: &Settings) -> fmt::Result {
    if let Some((limit, swap)) = settings.above_usage {
        write!(f, " above-usage={limit}:{swap}")?;
    }
    settings
        .list
        .iter()
        .try_for_each(|s| write!(f, "\n    {}={}  # {}", one_line(&s.file), one_line(&s.value), s.field))
}

fn unit(f: &mut fmt::Formatter<'_>, unit: &Unit) -> fmt::Result {
    write!(f, "unit {}", one_line(&unit.name))?;
    unit.properties.iter().try_for_each(|p| {
        write!(f, "\n    {}={}", p.name, p.value)?;
        if p.field.is_empty() { Ok(()) } else { write!(f, "  # {}", p.field) }
    })
}

fn net_device(f: &mut fmt::Formatter<'_>, device: &Wanted) -> fmt::Result {
    write!(f, "\n    {}", one_line(&device.name))?;
    if !device.inside.is_empty() {
        write!(f, " as={}", one_line(&device.inside))?;
    }
    write!(f, "  # {}", device.field)
}

fn maps(f: &mut fmt::Formatter<'_>, uids: &[IdMapping], gids: &[IdMapping]) -> fmt::Result {
    for (name, maps) in [("uid", uids), ("gid", gids)] {
        for m in maps {
            write!(f, " {name}={}:{}:{}", m.container_id, m.host_id, m.size)?;
        }
    }
    Ok(())
}

fn hook(f: &mut fmt::Formatter<'_>, kind: HookKind, index: usize, hook: &Hook) -> fmt::Result {
    write!(f, "\n    path={} args={:?}", one_line(&hook.path), hook.args)?;
    match &hook.env {
        Some(env) => write!(f, " env={env:?}")?,
        None => f.write_str(" env=inherited")?,
    }
    if let Some(seconds) = hook.timeout {
        write!(f, " timeout={seconds}s")?;
    }
    write!(f, "  # /hooks/{}/{index}", kind.name())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Namespace { kind, path, field } => write!(f, "namespace {kind} {}  # {field}", one_line(path)),
            Place::Init => f.write_str("init"),
            Place::InitRoot => f.write_str("init-root"),
            Place::Door { hierarchy, .. } => write!(f, "cgroup {hierarchy}"),
            Place::Fifo => f.write_str("fifo"),
            Place::Trace => f.write_str("trace"),
            Place::Tree { source, recursive, given, field } => {
                write!(f, "tree {}", one_line(source))?;
                if *recursive {
                    f.write_str(" recursive=true")?;
                }
                match given {
                    Given::Handle => (),
                    Given::Mount => f.write_str(" mount=true")?,
                    Given::Mapped(idmap) => {
                        f.write_str(if idmap.recursive { " copied=true ridmap" } else { " copied=true idmap" })?;
                        maps(f, &idmap.uids, &idmap.gids)?;
                    }
                }
                write!(f, "  # {field}")
            }
        }
    }
}
