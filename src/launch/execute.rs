//! Executes the runtime's half of a plan.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use dunnage_steps::Barrier;
use dunnage_steps::flags::Namespaces;
use nix::fcntl::OFlag;
use nix::poll::PollTimeout;
use nix::unistd::{Uid, write};

use super::hooks::{self, Moment};
use super::spawn::{Executable, FileSize, pid_of, start_in, start_with_init};
use super::sync::{Heard, Sync, Trouble};
use super::trees::Trees;
use super::{failure, idmaps};
use crate::cgroup::systemd::{Manager, Scope, Unit};
use crate::cgroup::{Cgroup, Denied, OwnedCgroup, Paths, Settings};
use crate::error::{Context, Errno, Error, Result};
use crate::log;
use crate::net::devices::{Devices, Wanted};
use crate::plan::PER_MESSAGE;
use crate::plan::parent::HookKind;
use crate::plan::{ParentStep, Place, Plan};
use crate::resctrl::{self, Class};
use crate::spec::oci_state::{OciState, Status};
use crate::spec::{Hook, IdMapping, Rlimit, Scheduler, Spec, names};
use crate::state::{Config, Creating, Intent, Origin, State, start_time};
use crate::sys::clone::Start;
use crate::sys::pidfd::PidFd;
use crate::sys::{memfd, sched};
use crate::trace::{Recorder, record};

/// A process that the runtime started.
#[derive(Debug)]
pub struct Process {
    /// In our pid namespace.
    pub pid: i32,
    /// It, and no other.
    pub pidfd: PidFd,
    /// Clock ticks since boot; 0 for an exec, of which nobody keeps a record.
    pub start_time: u64,
}

/// What a container's hooks and agents are told of it.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Absolute path of the bundle.
    pub bundle: &'a str,
    /// Of config.json.
    pub annotations: &'a std::collections::BTreeMap<String, String>,
    /// `linux.seccomp.listenerPath` and `listenerMetadata`.
    pub agent: Option<(&'a str, &'a str)>,
}

/// What to do if the cgroup has children with controllers, which on v2 keeps processes out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// Fail.
    Fail,
    /// Enter the one to which init has moved; it must have, or there could be no such children.
    FollowInit,
}

/// What is being executed, and what has come of it so far.
pub struct Execution<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Who it is for.
    pub identity: Identity<'a>,
    /// Where the container's cgroup is to be, or is.
    pub owned: Option<&'a OwnedCgroup>,
    /// The paths of that.
    pub cgroup_paths: Paths,
    /// The cgroup, made or opened.
    pub cgroup: Option<Cgroup>,
    /// What to do without permission for cgroups.
    pub denied: Denied,
    /// What to do if it takes no processes.
    pub busy: Busy,
    /// The user may not set device rules, which then do not count.
    pub rootless: bool,
    /// The state directory (create).
    pub creating: Option<&'a mut Creating>,
    /// The container's init (exec).
    pub init: Option<BorrowedFd<'a>>,
    /// Its root directory; none: it can't be told, and is that of its mount namespace.
    pub init_root: Option<OwnedFd>,
    /// Maps of the container's user namespace, for id-mapped mounts that name none.
    pub maps: (Vec<IdMapping>, Vec<IdMapping>),
    /// systemd's unit of the container, and whose systemd's (create).
    pub unit: Option<(String, Scope)>,
    /// systemd, if it makes the cgroup or has to move the process.
    pub manager: Option<Manager>,
    /// systemd has been asked to start the unit; it may have, even if it has not said so.
    pub unit_started: bool,
    /// What becomes descriptors 0-2.
    pub stdio: [Option<OwnedFd>; 3],
    /// What the container is made from, for state.json (create).
    pub origin: Option<(&'a Spec, &'a Origin<'a>)>,
    /// The process, once there is one.
    pub process: Option<Process>,
    /// The resctrl groups that were made for this container alone, in this order.
    pub resctrl_made: Vec<String>,
    /// The network devices that were moved into the container.
    pub net_devices: Option<Box<Devices>>,
    /// The master of the container's terminal.
    pub console: Option<OwnedFd>,
    /// What notes when each step ends, if somebody wants to know.
    pub trace: Option<&'a mut Recorder>,
    /// Where its descriptors 0-2 lead, for state.json and so for a checkpoint (create).
    pub links: Vec<String>,
    sync: Option<Sync>,
    places: Vec<Option<OwnedFd>>,
}

impl<'a> Execution<'a> {
    /// Nothing has been done yet.
    pub fn new(plan: &'a Plan, identity: Identity<'a>) -> Execution<'a> {
        Execution {
            plan,
            identity,
            owned: None,
            cgroup_paths: Paths::default(),
            cgroup: None,
            denied: Denied::Fail,
            busy: Busy::Fail,
            rootless: false,
            creating: None,
            init: None,
            init_root: None,
            unit: None,
            manager: None,
            unit_started: false,
            maps: (Vec::new(), Vec::new()),
            stdio: [None, None, None],
            origin: None,
            process: None,
            resctrl_made: Vec::new(),
            net_devices: None,
            console: None,
            trace: None,
            links: Vec::new(),
            sync: None,
            places: Vec::new(),
        }
    }

    /// All steps, in order. What was made before a failure is the caller's to undo: [`Execution::process`] and
    /// [`Execution::cgroup`] tell what there is.
    pub fn run(&mut self) -> Result<()> {
        let plan = self.plan;
        self.steps(&plan.parent)?;
        if self.trace.is_some() && !plan.waits_for_start() {
            self.see_it_executed();
        }
        Ok(())
    }

    /// Steps that come after those of the plan.
    pub fn steps(&mut self, steps: &[ParentStep]) -> Result<()> {
        steps.iter().enumerate().try_for_each(|(number, step)| {
            let done = self.step(step).map_err(|e| match step {
                // What came of that is what the child has said.
                ParentStep::Wait(_) => e,
                _ => self.first_to_fail(e),
            });
            if let Some(trace) = &mut self.trace {
                trace.step(number);
            }
            done
        })
    }

    /// The program's execution closes the socket. Hooks of the container may still come before it: it is not waited for long.
    fn see_it_executed(&mut self) {
        if let (Some(sync), Some(trace)) = (&self.sync, &mut self.trace)
            && sync.closes_within(record::EXEC)
        {
            trace.executed();
        }
    }

    /// What we can't find, or do, because the child has ended is not the error to tell, but the child's; the same where systemd
    /// has removed the scope of such a one.
    fn first_to_fail(&self, ours: Error) -> Error {
        let missing = matches!(ours.errno(), Some(Errno::ENOENT | Errno::ENODEV));
        let made = self.unit_started || self.cgroup.as_ref().is_some_and(|cgroup| !cgroup.paths().is_empty());
        let gone = || missing && made && self.owned.is_some_and(|owned| !owned.exists());
        // What is a process's own goes a moment before it has ended.
        let moment = if missing { PollTimeout::from(50u8) } else { PollTimeout::ZERO };
        let ended = || self.process.as_ref().is_some_and(|p| p.pidfd.wait_exit(moment) == Ok(true));
        match &self.sync {
            Some(sync) if ended() || gone() => match sync.last_words() {
                Some(trouble) => self.trouble(trouble, Barrier::Ready),
                None => ours,
            },
            _ => ours,
        }
    }

    fn step(&mut self, step: &ParentStep) -> Result<()> {
        match step {
            ParentStep::Record => self.record(),
            ParentStep::Cgroup(settings) => {
                let Some(owned) = self.owned else { return Ok(()) };
                let cgroup = owned.create(settings, self.denied).doing(|| "unable to apply cgroup configuration")?;
                // Kept first, so that what fails now is removed.
                self.cgroup.insert(cgroup).apply(settings, None, self.rootless).doing(|| "error setting cgroup config")
            }
            ParentStep::Unit(unit) => self.start_unit(unit),
            ParentStep::Attach { unit, below } => {
                let pid = self.pid()?;
                let moved = self.manager()?.attach(unit, below, &[pid]);
                moved.doing(|| "error adding the process to the container's cgroup")
            }
            ParentStep::Adopt(settings) => self.adopt(settings),
            ParentStep::Devices(list) => {
                let none = Settings::default();
                let set = |cgroup: &Cgroup| cgroup.apply(&none, Some(list), self.rootless);
                self.cgroup.as_ref().map_or(Ok(()), set).doing(|| "error setting cgroup config")
            }
            ParentStep::Delegate(owner) => self.delegate(*owner),
            ParentStep::Resctrl(group) => group.make(&mut self.resctrl_made).doing(|| "unable to apply Intel RDT"),
            ParentStep::JoinResctrl(groups) => {
                resctrl::join(groups, self.pid()?).map_err(|e| e.field("/linux/intelRdt"))
            }
            ParentStep::NetDevices(list) => self.net_devices(list).doing(|| "error creating network interfaces"),
            ParentStep::Fifo => {
                let owner = (host_id(&self.maps.0, 0), host_id(&self.maps.1, 0));
                self.creating.as_ref().map_or(Ok(()), |c| c.dir().make_exec_fifo(owner))
            }
            ParentStep::Spawn { namespaces, into_cgroup, pid_namespace, maps_first } => {
                self.spawn(*namespaces, *into_cgroup, *pid_namespace, *maps_first)
            }
            ParentStep::RecordInit => self.record_init(),
            ParentStep::OwnAffinity(mask) => sched::sched_setaffinity(0, mask)
                .map_err(|e| Error::sys("sched_setaffinity", e).field("/execCPUAffinity/initial")),
            ParentStep::Affinity(mask) => self.affinity(mask),
            ParentStep::OomScoreAdj(value) => oom_score_adj(self.pid()?, *value),
            ParentStep::IdMaps { uids, gids } => idmaps::write_maps(self.pid()?, uids, gids),
            ParentStep::Trees(first) => self.trees(*first),
            ParentStep::Tell(barrier) => self.tell(*barrier),
            ParentStep::Wait(barrier) => self.wait(*barrier),
            ParentStep::Hooks(kind, list) => self.hooks(*kind, list),
            ParentStep::Rlimits(limits) => limits.iter().enumerate().try_for_each(|(i, limit)| self.rlimit(i, limit)),
            ParentStep::Scheduler(scheduler) => set_scheduler(self.pid()?, scheduler),
            ParentStep::PrepareState => self.prepare_state(),
            ParentStep::SaveState => self.creating.as_mut().map_or(Ok(()), |creating| creating.commit()),
        }
    }

    fn delegate(&self, owner: u32) -> Result<()> {
        let given = self.cgroup.as_ref().map_or(Ok(()), |cgroup| cgroup.delegate(Uid::from_raw(owner)));
        match given {
            // Rootless, and not our own id. It is only the container's comfort.
            Err(e) if e.errno() == Some(Errno::EPERM) => {
                log::warn(e.doing("the container cannot manage cgroups below its own"));
                Ok(())
            }
            given => given.doing(|| "unable to delegate the container's cgroup"),
        }
    }

    fn manager(&mut self) -> Result<&mut Manager> {
        self.manager.as_mut().ok_or_else(nobody_connected)
    }

    fn start_unit(&mut self, unit: &Unit) -> Result<()> {
        self.unit_started = true;
        let manager = self.manager.as_mut().ok_or_else(nobody_connected)?;
        let process = self.process.as_ref().filter(|_| !unit.is_slice());
        manager.start(unit, process.map(|p| (p.pid, p.pidfd.as_fd()))).doing(|| "unable to apply cgroup configuration")
    }

    fn adopt(&mut self, settings: &Settings) -> Result<()> {
        let Some(owned) = self.owned else { return Ok(()) };
        let cgroup = owned.adopt(settings).doing(|| "unable to apply cgroup configuration")?;
        self.cgroup.insert(cgroup).apply(settings, None, self.rootless).doing(|| "error setting cgroup config")?;
        let mut doors = self.doors()?;
        for (place, to) in self.plan.places.iter().zip(&mut self.places) {
            if let Place::Door { hierarchy, sent: true } = place {
                *to = doors.get_mut(*hierarchy).and_then(Option::take);
            }
        }
        Ok(())
    }

    fn prepare_state(&mut self) -> Result<()> {
        let process = self.process.as_ref().ok_or_else(no_process)?;
        let (Some(creating), Some((spec, origin))) = (&mut self.creating, self.origin) else { return Ok(()) };
        let config = Config::from_spec(spec, origin)?;
        // Without those that we had to go without.
        let paths = self.cgroup.as_ref().map(|c| c.paths().0).unwrap_or_default();
        if self.denied == Denied::GoWithout && paths.is_empty() && !has_own_pid_namespace(spec) {
            log::warn(
                "Creating a rootless container with no cgroup and no private pid namespace. Nothing will tell its processes \
                 from others: when its init is killed, the rest of them stays.",
            );
        }
        let mut state = State::new(self.identity.id, process.pid, process.start_time, config, paths);
        state.external_descriptors = std::mem::take(&mut self.links);
        if let Some(group) = self.plan.resctrl() {
            state.intel_rdt_path = group.path.clone();
            state.intel_rdt_mon_path = group.monitoring.clone().unwrap_or_default();
        }
        creating.prepare(&state)
    }

    fn pid(&self) -> Result<i32> {
        self.process.as_ref().map(|p| p.pid).ok_or_else(no_process)
    }

    fn record(&mut self) -> Result<()> {
        let Some(creating) = &mut self.creating else { return Ok(()) };
        // Only what is nobody's may be recorded as ours: whoever finds the record kills what is in there.
        if let Some(owned) = self.owned.filter(|o| o.exists()) {
            let n = owned.pids()?.len();
            if n > 0 {
                return Err(Error::new(format!("container's cgroup is not empty: {n} process(es) found")));
            }
        }
        let (systemd_unit, scope) = self.unit.clone().unwrap_or_default();
        let mut intent = Intent {
            cgroup_paths: self.cgroup_paths.0.clone(),
            systemd_unit,
            systemd_user: scope == Scope::User,
            ..Default::default()
        };
        if let Some(group) = self.plan.resctrl() {
            group.check_free()?;
            intent.intel_rdt_path = if group.class == Class::Own { group.path.clone() } else { String::new() };
            intent.intel_rdt_mon_path = group.monitoring.clone().unwrap_or_default();
        }
        creating.intend(&intent)
    }

    fn record_init(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.start_time = start_time(process.pid)?;
        self.creating.as_ref().map_or(Ok(()), |c| c.record_init(process.pid, process.start_time))
    }

    fn spawn(&mut self, namespaces: Namespaces, into: bool, pid_ns: Option<u32>, maps_first: bool) -> Result<()> {
        self.open_places()?;
        if let Some(place) = pid_ns {
            self.join_pid_namespace(place)?;
        }
        let (ours, childs) = Sync::pair()?;
        let failed = |what: &str, e| Error::sys(what, e).doing("start dunnage-init");
        let limit = FileSize::raise().map_err(|e| failed("prlimit RLIMIT_FSIZE", e))?;
        let executable = Executable::get().map_err(|e| failed("memfd_create", e))?;
        let numbers: Vec<RawFd> = self.places.iter().map(|fd| fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)).collect();
        let encoded = self.plan.encode(&numbers);
        let plan = memfd::sealed(c"dunnage-plan", &encoded, false).map_err(|e| failed("memfd_create", e))?;
        drop(limit);
        let words = [
            String::from("dunnage-init"),
            childs.as_raw_fd().to_string(),
            plan.as_raw_fd().to_string(),
            encoded.len().to_string(),
        ];
        let args: Vec<CString> = words.into_iter().filter_map(|w| CString::new(w).ok()).collect();
        let inherit: Vec<RawFd> = numbers.into_iter().filter(|fd| *fd >= 0).chain([plan.as_raw_fd()]).collect();
        let start = Start {
            namespaces: namespaces.0,
            cgroup: None,
            executable: executable.as_fd(),
            args: &args,
            sync: childs.as_fd(),
            ours: ours.as_fd(),
            inherit: &inherit,
            stdio: [0, 1, 2].map(|i| self.stdio.get(i).and_then(Option::as_ref).map(AsRawFd::as_raw_fd)),
            waits_for_maps: maps_first,
        };
        let cgroup = self.cgroup.as_mut().filter(|_| into);
        let (pid, pidfd) = match (self.init, self.busy) {
            (Some(init), Busy::FollowInit) => start_with_init(start, cgroup, init),
            _ => start_in(start, cgroup.as_deref()),
        }?;
        self.process = Some(Process { pid, pidfd, start_time: 0 });
        self.sync = Some(ours);
        // The child has its own: pipes end, and namespaces go, when it does.
        self.stdio = [None, None, None];
        let sent = self.plan.sent();
        self.places.iter_mut().take(sent).for_each(|p| *p = None);
        Ok(())
    }

    /// Opens what the child inherits. What is sent later is opened later.
    fn open_places(&mut self) -> Result<()> {
        let mut doors = self.doors()?;
        for place in &self.plan.places {
            let fd = match place {
                Place::Namespace { path, field, .. } => {
                    let fd = crate::files::open(path.as_str(), OFlag::O_RDONLY);
                    Some(fd.map_err(|e| Error::sys(format!("open {path}"), e).field(field.as_str()))?)
                }
                Place::Init => match self.init {
                    Some(fd) => Some(fd.try_clone_to_owned().map_err(|e| Error::io("dup", &e))?),
                    None => None,
                },
                Place::InitRoot => self.init_root.take(),
                Place::Door { hierarchy, sent: false } => doors.get_mut(*hierarchy).and_then(Option::take),
                Place::Door { sent: true, .. } => None,
                Place::Fifo => self.creating.as_ref().map(|c| c.dir().exec_fifo_path()).transpose()?,
                Place::Trace => match &mut self.trace {
                    Some(trace) => trace.make_ticks(self.plan, self.creating.as_ref().map(|c| c.dir()))?,
                    None => None,
                },
                Place::Tree { .. } => None,
            };
            self.places.push(fd);
        }
        Ok(())
    }

    /// The ways into the cgroups of version 1.
    fn doors(&mut self) -> Result<Vec<Option<OwnedFd>>> {
        let Some(cgroup) = &mut self.cgroup else { return Ok(Vec::new()) };
        let doors = cgroup.doors_v1(self.denied).doing(|| "error adding the process to its cgroups")?;
        Ok(doors.into_iter().map(Some).collect())
    }

    /// For our children: we ourselves stay where we are (pid_namespaces(7)).
    fn join_pid_namespace(&self, place: u32) -> Result<()> {
        let fd = usize::try_from(place).ok().and_then(|i| self.places.get(i)).and_then(Option::as_ref);
        let fd = fd.ok_or_else(|| Error::new("the pid namespace has no descriptor"))?;
        nix::sched::setns(fd, nix::sched::CloneFlags::CLONE_NEWPID)
            .map_err(|e| Error::sys("setns of the pid namespace", e).field("/linux/namespaces"))
    }

    fn trees(&mut self, first: u32) -> Result<()> {
        let mut trees = Trees::new(self.pid()?, &self.maps);
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        for (place, to) in self.plan.places.iter().zip(&mut self.places).skip(first) {
            if let Place::Tree { source, recursive, given, field } = place {
                let tree = trees.open(source, *recursive, given);
                *to = Some(tree.map_err(|e| e.field(field.as_str()))?);
            }
        }
        Ok(())
    }

    fn net_devices(&mut self, list: &[Wanted]) -> Result<()> {
        // Our child, which waits for us: nobody else has its pid.
        let path = format!("/proc/{}/ns/net", self.pid()?);
        let container =
            crate::files::open(path.as_str(), OFlag::O_RDONLY).map_err(|e| Error::sys(format!("open {path}"), e))?;
        // Kept first, so that what has moved before something fails is given back.
        self.net_devices.insert(Box::new(Devices::between(container)?)).move_in(list)
    }

    fn tell(&mut self, barrier: Barrier) -> Result<()> {
        let sync = self.sync.as_ref().ok_or_else(no_process)?;
        if barrier != Barrier::Entered {
            return sync.tell(barrier, &[]);
        }
        let sent = self.plan.sent();
        let chunk: Vec<OwnedFd> =
            self.places.iter_mut().skip(sent).filter_map(Option::take).take(PER_MESSAGE).collect();
        let fds: Vec<RawFd> = chunk.iter().map(AsRawFd::as_raw_fd).collect();
        sync.tell(barrier, &fds)
    }

    fn wait(&mut self, barrier: Barrier) -> Result<()> {
        let sync = self.sync.as_ref().ok_or_else(no_process)?;
        let heard = match (barrier, &self.process) {
            // Its sister holds the socket, too: if it was killed between the two, there is neither a word nor an end of it.
            (Barrier::Forked, Some(process)) => sync.wait_for(barrier, process.pidfd.as_fd()),
            _ => sync.wait(barrier),
        };
        let heard = match heard {
            Ok(heard) => heard,
            Err(trouble) => return Err(self.trouble(trouble, barrier)),
        };
        match barrier {
            Barrier::Console => self.console = heard.fd,
            Barrier::Forked => self.forked(heard)?,
            Barrier::Listener => self.listener(&heard)?,
            _ => (),
        }
        Ok(())
    }

    fn trouble(&self, trouble: Trouble, barrier: Barrier) -> Error {
        let oom = || self.cgroup_was_out_of_memory();
        let error = match trouble {
            Trouble::Ours(e) => return e,
            Trouble::Reported(heard) => {
                let error = failure::explain(self.plan, &heard);
                let starved = heard.message.errno == Errno::ENOMEM as i32 && oom();
                if starved {
                    error.field("/linux/resources/memory").hint("the cgroup has no memory left: memory limit too low?")
                } else {
                    error
                }
            }
            Trouble::Ended if oom() => {
                return Error::new("container init was OOM-killed (memory limit too low?)")
                    .field("/linux/resources/memory");
            }
            Trouble::Ended => Error::new(format!("dunnage-init ended before it was {}", barrier.name())).hint(KILLED),
        };
        if self.init.is_some() { error } else { error.doing("error during container init") }
    }

    /// By what the kernel has counted; or, if systemd has removed the empty cgroup already, because that is why a limited one dies.
    fn cgroup_was_out_of_memory(&self) -> bool {
        self.owned.is_some_and(|owned| {
            matches!(owned.oom_kills(), Ok(Some(n)) if n > 0) || (!owned.exists() && self.plan.limits("memory"))
        })
    }

    /// A sister of the process has taken over; that one has ended, or is about to.
    fn forked(&mut self, heard: Heard) -> Result<()> {
        let pidfd = heard.fd.ok_or_else(|| Error::new("dunnage-init forked without telling which process"))?;
        let pid = pid_of(pidfd.as_fd())?;
        let first = self.process.replace(Process { pid, pidfd: PidFd::from(pidfd), start_time: 0 });
        if let Some(first) = first {
            first.pidfd.reap().map_err(|e| Error::sys("waitid", e))?;
        }
        Ok(())
    }

    fn listener(&mut self, heard: &Heard) -> Result<()> {
        let process = self.process.as_ref().ok_or_else(no_process)?;
        let number = RawFd::try_from(heard.message.value).unwrap_or(-1);
        let fd = crate::sys::descriptors::pidfd_getfd(process.pidfd.as_fd(), number)
            .map_err(|e| Error::sys("pidfd_getfd of the seccomp listener", e))?;
        let (path, metadata) = self.identity.agent.ok_or_else(|| Error::new("seccomp listenerPath is not set"))?;
        // The state is the container's: of its first process, also where the filter is on one that `exec` starts.
        let of_container = match self.init {
            Some(init) => self.state(Status::Running, pid_of(init)?),
            None => self.state(Status::Creating, process.pid),
        };
        let state = crate::spec::oci_state::ContainerProcessState::new(process.pid, metadata, of_container);
        let json = crate::spec::oci_state::to_json(&state)?;
        super::sockets::FdSocket::seccomp_agent(std::path::Path::new(path))?.send_seccomp(&json, fd.as_fd())
    }

    fn state(&self, status: Status, pid: i32) -> OciState<'a> {
        let Identity { id, bundle, annotations, .. } = self.identity;
        OciState { oci_version: crate::spec::default::OCI_VERSION, id, status, pid, bundle, annotations }
    }

    fn hooks(&mut self, kind: HookKind, list: &[Hook]) -> Result<()> {
        let moment = match kind {
            HookKind::Prestart => Moment::Prestart,
            HookKind::CreateRuntime => Moment::CreateRuntime,
        };
        let cwd =
            CString::new(self.identity.bundle).map_err(|_| Error::new("the bundle's path contains a nul byte"))?;
        hooks::run(moment, list, &self.state(Status::Creating, self.pid()?), Some(&cwd))
    }

    fn affinity(&self, mask: &[u64]) -> Result<()> {
        match sched::sched_setaffinity(self.pid()?, mask) {
            // None of the CPUs asked for is in the cpuset, or the kernel does not let us: the process keeps what it has.
            Err(Errno::EINVAL | Errno::EPERM) if mask.iter().all(|w| *w == u64::MAX) => Ok(()),
            r => r.map_err(|e| Error::sys("sched_setaffinity", e)),
        }
    }

    fn rlimit(&self, i: usize, limit: &Rlimit) -> Result<()> {
        let field = format!("/process/rlimits/{i}");
        let number = names::number(names::RLIMITS, &limit.kind)
            .ok_or_else(|| Error::new(format!("wrong rlimit value: {}", limit.kind)).field(field.as_str()))?;
        let error = match sched::prlimit(self.pid()?, number, limit.soft, limit.hard) {
            Ok(()) => return Ok(()),
            Err(e) => Error::sys(format!("prlimit {} to {}:{}", limit.kind, limit.soft, limit.hard), e).field(field),
        };
        Err(match error.errno() {
            Some(Errno::EPERM) => {
                error.hint("to raise a hard limit takes CAP_SYS_RESOURCE, which the runtime does not have here")
            }
            _ => error,
        }
        .doing("error setting rlimits for ready process"))
    }
}

fn nobody_connected() -> Error {
    Error::new("the plan asks systemd, which nobody is connected to")
}

/// Made for it: the end of its init is the end of all that is in there.
fn has_own_pid_namespace(spec: &Spec) -> bool {
    let namespaces = spec.linux.iter().flat_map(|linux| &linux.namespaces);
    namespaces.into_iter().any(|ns| ns.kind == "pid" && ns.path.is_empty())
}

fn no_process() -> Error {
    Error::new("the plan speaks to a process that is not there")
}

/// The host's id of an id in the container.
pub fn host_id(maps: &[IdMapping], id: u32) -> u32 {
    maps.iter().find_map(|map| map.host_id_of(id)).unwrap_or(id)
}

/// The last is a fault of the kernel (seen in 6.18): it counts how often cgroup.kill was written, and kills who is cloned into a
/// cgroup whose count is not that of the caller's.
const KILLED: &str = "something killed it: a limit of its cgroup, its seccomp filter, a person, or the kernel, because its cgroup \
                      (or ours) is one that was killed as a whole before (cgroup.kill) and is used again";

fn oom_score_adj(pid: i32, value: i32) -> Result<()> {
    let path = format!("/proc/{pid}/oom_score_adj");
    let written =
        crate::files::open(path.as_str(), OFlag::O_WRONLY).and_then(|fd| write(&fd, value.to_string().as_bytes()));
    written.map(drop).map_err(|e| {
        let error = Error::sys(format!("failed to update /proc/self/oom_score_adj: write {value}"), e)
            .field("/process/oomScoreAdj");
        if e == Errno::EACCES {
            error.hint("to lower it takes CAP_SYS_RESOURCE, which the runtime does not have here")
        } else {
            error
        }
    })
}

fn set_scheduler(pid: i32, s: &Scheduler) -> Result<()> {
    let field = "/process/scheduler";
    let policy = names::number(names::SCHED_POLICIES, &s.policy)
        .ok_or_else(|| Error::new(format!("invalid scheduler policy: {}", s.policy)).field(field))?;
    let flags = s.flags.iter().filter_map(|f| names::number(names::SCHED_FLAGS, f)).fold(0, |a, b| a | b);
    let attr = sched::SchedAttr {
        policy,
        flags,
        nice: s.nice,
        priority: u32::try_from(s.priority).unwrap_or(0),
        runtime: s.runtime,
        deadline: s.deadline,
        period: s.period,
        ..Default::default()
    };
    sched::sched_setattr(pid, &attr).map_err(|e| {
        let error = Error::sys("sched_setattr", e).doing("error setting scheduler").field(field);
        if e == Errno::EPERM { error.hint(
                "process scheduler can't be used together with AllowedCPUs; SCHED_FIFO and SCHED_RR need cpu.rt_runtime_us in a \
                 cgroup of version 1",
            ) } else { error }
    })
}
