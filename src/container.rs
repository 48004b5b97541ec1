//! What can be done to a container that exists: ask its status, signal it, freeze and thaw it, list its processes, delete it.
//! All of it from what is on disk, since callers give later commands no flag and hardly an environment. Knows nothing of
//! how a container is made.

use std::path::Path;
use std::time::Duration;

use crate::cgroup::systemd::{Manager, Scope, UnitName};
use crate::cgroup::{self, Host, Ooms, OwnedCgroup, Paths, Stats, Watch};
use crate::error::{Context, Error, Result};
use crate::host;
use crate::launch::hooks::{self, Moment};
use crate::log;
use crate::resctrl;
use crate::spec;
use crate::spec::oci_state::{self, OciState};
use crate::state::{
    self, Aborted, Brief, Claim, Config, ContainerDir, End, Hook, Intent, OCI_VERSION, State, Status, does_not_exist,
    not_running,
};
use crate::sys::pidfd::Exit;
use crate::sys::proc;

/// How long a killed init may take to end. One that is stuck in the kernel (a dead NFS server) does not.
const DEATH: Duration = Duration::from_secs(10);

/// A container as its state file has it.
#[derive(Debug)]
pub struct Container {
    /// `ROOT/ID`.
    pub dir: ContainerDir,
    /// What state.json says.
    pub state: State<Brief>,
}

impl Container {
    /// The container `id` of the state root, to do something to it: it has to be ours.
    ///
    /// # Errors
    /// `container does not exist`; an id that is none; a state that cannot be read, or is another user's.
    pub fn open(root: &Path, id: &str) -> Result<Container> {
        Container::load(ContainerDir::open(root, id)?)
    }

    /// The same, only to look at it.
    ///
    /// # Errors
    /// As [`Container::open`], but for whose it is.
    pub fn look(root: &Path, id: &str) -> Result<Container> {
        Container::load(ContainerDir::look(root, id)?)
    }

    /// The container of that directory.
    ///
    /// # Errors
    /// As [`Container::open`].
    pub fn load(dir: ContainerDir) -> Result<Container> {
        let state = dir.load()?;
        Ok(Container { dir, state })
    }

    /// What it is doing. Paused is what the freezer says, and nothing on disk.
    ///
    /// # Errors
    /// A freezer or a /proc that cannot be read.
    pub fn status(&self) -> Result<Status> {
        self.state.status(&self.dir, || cgroup::is_frozen(&self.paths()))
    }

    /// The host's pids of all its processes; none if it has stopped.
    ///
    /// # Errors
    /// A cgroup that cannot be read.
    pub fn pids(&self) -> Result<Vec<i32>> {
        self.cgroup()?.map_or(Ok(Vec::new()), |cgroup| cgroup.pids())
    }

    /// What it uses of the host.
    ///
    /// # Errors
    /// A cgroup that cannot be read, or none.
    pub fn stats(&self) -> Result<Stats> {
        Ok(self.with_resctrl(self.counted()?.stats()?))
    }

    /// [`Container::stats`] again and again, of a container that is watched and may have ended.
    ///
    /// # Errors
    /// A cgroup that cannot be read.
    pub fn watched_stats(&self, watch: &Watch) -> Result<Stats> {
        Ok(self.with_resctrl(watch.stats()?))
    }

    /// How it ended, as far as it can be told: as who reaped its init has noted, else by its zombie, and as long as its cgroup is
    /// there, whether memory was the reason.
    pub fn end(&self) -> Option<End> {
        self.dir.end().or_else(|| {
            let exit = self.exit_of_zombie();
            let oom = self.ooms();
            (exit.is_some() || oom.is_some()).then(|| self.ended(exit, oom))
        })
    }

    /// Its end, in so many words, for who knows how init ended.
    pub fn ended(&self, exit: Option<Exit>, oom: Option<Ooms>) -> End {
        let of_a_filter = matches!(exit, Some(Exit::Signal(libc::SIGSYS) | Exit::Dumped(libc::SIGSYS)));
        let filtered = of_a_filter && self.dir.load::<Config>().is_ok_and(|state| state.config.seccomp.is_some());
        End::new(exit, oom, filtered)
    }

    /// Whether memory ran out in it; as long as its cgroup is there.
    pub fn ooms(&self) -> Option<Ooms> {
        self.cgroup().ok().flatten().and_then(|cgroup| cgroup.ooms())
    }

    /// Of an init that has ended, and that nobody has reaped.
    pub fn exit_of_zombie(&self) -> Option<Exit> {
        let (pid, start) = (self.state.init_process_pid, self.state.init_process_start);
        let stat = proc::stat(pid).ok().flatten().filter(|stat| stat.is_dead() && stat.start_time == start)?;
        // 0 is also what is told to somebody who may not know.
        nix::unistd::geteuid().is_root().then(|| Exit::of_wait_status(stat.exit_code))
    }

    /// To wait for what happens to it.
    ///
    /// # Errors
    /// As [`Container::stats`].
    pub fn watch(&self) -> Result<Watch> {
        Watch::new(self.counted()?, self.state.init()?.map(|init| init.pidfd))
    }

    fn with_resctrl(&self, stats: Stats) -> Stats {
        let State { intel_rdt_path: class, intel_rdt_mon_path: monitoring, .. } = &self.state;
        match host::resctrl() {
            Some(root) if !class.is_empty() => Stats { intel_rdt: resctrl::stats(&root, class, monitoring), ..stats },
            _ => stats,
        }
    }

    fn counted(&self) -> Result<OwnedCgroup> {
        self.cgroup()?.ok_or_else(|| Error::new("the container has no cgroup: nothing is counted for it"))
    }

    /// Sends a signal to init. SIGKILL reaches all processes of a container without a pid namespace of its own, even when
    /// its init has ended: nothing else ends them (pods with a shared pid namespace, `--pid=host`).
    ///
    /// # Errors
    /// `container not running` (see [`is_not_running`]); `unable to signal init: invalid argument` for a number that no
    /// signal has.
    pub fn kill(&self, signal: i32) -> Result<()> {
        if signal == libc::SIGKILL && !self.has_own_pid_namespace() {
            return self.kill_all();
        }
        self.state.init()?.ok_or_else(not_running)?.kill(signal)?;
        if signal == libc::SIGKILL { self.thaw_to_die() } else { Ok(()) }
    }

    /// Processes frozen by cgroup v1 die only once they are thawed; a container can freeze cgroups below its own, too.
    fn thaw_to_die(&self) -> Result<()> {
        let paths = self.paths();
        if !cgroup::is_told_to_freeze(&paths)? && !cgroup::has_frozen_below(&paths) {
            return Ok(());
        }
        self.cgroup()?.map_or(Ok(()), |cgroup| cgroup.thaw_to_die())
    }

    /// Kills every process of the container.
    ///
    /// # Errors
    /// `unable to kill all processes: ...`
    pub fn kill_all(&self) -> Result<()> {
        let killed = match self.cgroup() {
            Ok(Some(cgroup)) if cgroup.exists() => cgroup.kill_all().and_then(|()| self.kill_init_elsewhere()),
            Ok(_) => {
                // Without a cgroup nobody knows what else is of this container.
                let init = self.state.init()?.ok_or_else(|| not_running().doing("unable to kill all processes"))?;
                log::warn("the container has no cgroup: only its init is killed");
                return init.kill(libc::SIGKILL);
            }
            Err(e) => Err(e),
        };
        match killed {
            Err(e) if self.state.config.rootless_cgroups => {
                log::warn(format_args!("failed to kill all processes, possibly due to lack of cgroup: {e}"));
                self.state.init()?.ok_or_else(not_running)?.kill(libc::SIGKILL)
            }
            killed => killed.doing(|| "unable to kill all processes"),
        }
    }

    /// Init may have been moved out of the cgroup.
    fn kill_init_elsewhere(&self) -> Result<()> {
        match self.state.init()?.map(|init| init.kill(libc::SIGKILL)) {
            Some(Err(e)) if !is_not_running(&e) => Err(e),
            _ => Ok(()),
        }
    }

    /// Freezes a running or created container.
    ///
    /// # Errors
    /// `container not running` for one that has stopped or is paused already; `unable to freeze`.
    pub fn pause(&self) -> Result<()> {
        match self.status()? {
            Status::Running | Status::Created => {}
            _ => return Err(not_running()),
        }
        self.freezable()?.freeze()
    }

    /// Thaws a paused container.
    ///
    /// # Errors
    /// `container not paused`.
    pub fn resume(&self) -> Result<()> {
        if self.status()? != Status::Paused {
            return Err(Error::new("container not paused"));
        }
        self.freezable()?.thaw()
    }

    /// The cgroup, if init is in it: to stop what else may be in there would not stop the container.
    fn freezable(&self) -> Result<OwnedCgroup> {
        let cgroup = self.cgroup()?.ok_or_else(|| Error::new("unable to freeze: the container has no cgroup"))?;
        if !cgroup.can_freeze(self.state.init_process_pid)? {
            return Err(Error::new("unable to freeze: the container's init is not in its cgroup")
                .hint("somebody has moved it, or the state file names another cgroup"));
        }
        Ok(cgroup)
    }

    /// Ends what is left of a container whose init has ended: processes, cgroup, state, in this order; a call that was
    /// killed at any moment can be repeated. Then its poststop hooks run, whose failure is told when all is removed.
    ///
    /// # Errors
    /// `unable to destroy container: ...`.
    pub fn destroy(self) -> Result<()> {
        let failed = "unable to destroy container";
        let removed = self.remove_cgroup().doing(|| "unable to remove container's cgroup").doing(|| failed);
        match removed {
            Err(e) if self.state.config.rootless_cgroups => log::warn(e),
            removed => removed?,
        }
        self.remove_resctrl_groups().doing(|| failed)?;
        let Container { dir, state } = self;
        dir.remove().doing(|| "unable to remove container state dir").doing(|| failed)?;
        poststop(&state).doing(|| failed)
    }

    fn remove_cgroup(&self) -> Result<()> {
        let cgroup = self.cgroup()?;
        if let Some(cgroup) = cgroup.as_ref().filter(|_| !self.has_own_pid_namespace()) {
            cgroup.kill_all()?;
        }
        let named = &self.state.config.cgroups;
        if named.Systemd {
            let scope = Scope::of(self.state.config.rootless_cgroups);
            match UnitName::of_parts(&named.parent, &named.scope_prefix, &named.name, scope) {
                Ok(name) => stop_unit(name.unit(), scope),
                Err(e) => log::warn(e),
            }
        }
        cgroup.map_or(Ok(()), |cgroup| cgroup.remove())
    }

    /// Those that were made for this container: its own group, unless it was put into one by `closID`, and the monitoring
    /// group.
    fn remove_resctrl_groups(&self) -> Result<()> {
        resctrl::remove(&self.state.intel_rdt_mon_path)?;
        if self.state.intel_rdt_path.is_empty() {
            return Ok(());
        }
        let config = self.dir.load::<Config>()?.config;
        if config.intel_rdt.is_some_and(|rdt| !rdt.closID.is_empty()) {
            return Ok(());
        }
        resctrl::remove(&self.state.intel_rdt_path)
    }

    /// Its cgroups, as the state has them.
    pub fn paths(&self) -> Paths {
        Paths(self.state.cgroup_paths.clone())
    }

    fn cgroup(&self) -> Result<Option<OwnedCgroup>> {
        own_cgroup(&self.paths())
    }

    /// Its init is 1 in a pid namespace that was made for it, and the end of that one is the end of all of them.
    pub fn has_own_pid_namespace(&self) -> bool {
        self.state.config.namespaces.iter().any(|n| n.kind == "NEWPID" && n.path.is_empty())
    }
}

fn own_cgroup(paths: &Paths) -> Result<Option<OwnedCgroup>> {
    // A container without a cgroup must not need one on this host.
    if paths.is_empty() { Ok(None) } else { OwnedCgroup::new(&Host::detect()?, paths) }
}

/// Ends a systemd unit and what systemd remembers of it. Without systemd's help the cgroup can be removed all the same, and
/// systemd drops a scope that has become empty by itself: so nothing fails for it.
fn stop_unit(name: &str, scope: Scope) {
    let stopped = Manager::connect(scope).and_then(|mut systemd| systemd.stop(name));
    if let Err(e) = stopped {
        log::warn(e.doing(format!("systemd unit {name} is left to systemd")));
    }
}

/// Whether that is the error for a container that has ended, wherever it was met.
pub fn is_not_running(e: &Error) -> bool {
    e.to_string().ends_with("container not running")
}

/// Deletes a container, or what a create has left that did not come to its end. One that was never started is ended first;
/// with `force` one that runs, too.
///
/// # Errors
/// `container does not exist`, unless `force`; `cannot delete container ID that is not stopped: running`;
/// `container init still running`; those of [`Container::destroy`].
pub fn delete(root: &Path, id: &str, force: bool) -> Result<()> {
    let missing = if force { Ok(()) } else { Err(does_not_exist()) };
    match Claim::of(root, id)? {
        Claim::Missing => missing,
        Claim::Aborted(aborted) => undo(aborted).and(missing),
        Claim::Container(dir) => {
            let container = Container::load(dir)?;
            match container.status()? {
                Status::Stopped => {}
                Status::Created => end(&container)?,
                _ if force => end(&container)?,
                status => {
                    return Err(Error::new(format!("cannot delete container {id} that is not stopped: {status}")));
                }
            }
            container.destroy()
        }
    }
}

/// Kills it and waits for the end of its init, one and the same process: the pid may be another's by then.
fn end(container: &Container) -> Result<()> {
    let init = container.state.init()?;
    let killed = match &init {
        Some(init) if container.has_own_pid_namespace() => {
            init.kill(libc::SIGKILL).and_then(|()| container.thaw_to_die())
        }
        _ => container.kill_all(),
    };
    match killed {
        Err(e) if !is_not_running(&e) => return Err(e),
        _ => {}
    }
    match init {
        Some(init) if !init.wait(DEATH)? => Err(Error::new("container init still running")),
        _ => Ok(()),
    }
}

/// Nothing of a create that was cut short was ever a container; what it may have made is on disk.
fn undo(aborted: Aborted) -> Result<()> {
    let remove = |intent: &Intent| {
        let cgroup = own_cgroup(&Paths(intent.cgroup_paths.clone()))?;
        if let Some(cgroup) = &cgroup {
            cgroup.kill_all()?;
        }
        if !intent.systemd_unit.is_empty() {
            stop_unit(&intent.systemd_unit, Scope::of(intent.systemd_user));
        }
        if let Some(cgroup) = cgroup {
            cgroup.remove().doing(|| "unable to remove container's cgroup")?;
        }
        resctrl::remove(&intent.intel_rdt_mon_path)?;
        resctrl::remove(&intent.intel_rdt_path)
    };
    aborted.undo(remove).doing(|| "unable to destroy container")
}

fn poststop(state: &State<Brief>) -> Result<()> {
    run_hooks(state, Moment::Poststop, &state.config.Hooks.poststop, 0)
}

/// Runs the poststart hooks, after the program of init `pid` was let go.
///
/// # Errors
/// The first hook that failed.
pub fn poststart(state: &State<Brief>, pid: i32) -> Result<()> {
    run_hooks(state, Moment::Poststart, &state.config.Hooks.poststart, pid)
}

fn run_hooks(state: &State<Brief>, moment: Moment, hooks: &[Hook], pid: i32) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let hooks: Vec<spec::Hook> = hooks.iter().map(to_spec).collect();
    let annotations = state::annotations(&state.config.labels);
    let told = OciState {
        oci_version: OCI_VERSION,
        id: &state.id,
        status: if pid == 0 { oci_state::Status::Stopped } else { oci_state::Status::Running },
        pid,
        bundle: state::bundle(&state.config.labels).unwrap_or_default(),
        annotations: &annotations,
    };
    hooks::run(moment, &hooks, &told, None)
}

/// A hook of a state file as one of config.json: the timeout is in nanoseconds there, in seconds here.
fn to_spec(hook: &Hook) -> spec::Hook {
    const SECOND: i64 = 1_000_000_000;
    spec::Hook {
        path: hook.path.clone(),
        args: hook.args.clone(),
        env: hook.env.clone(),
        timeout: hook.timeout.map(|ns| (ns / SECOND).max(1)),
    }
}
