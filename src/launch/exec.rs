//! `exec`: one more process in a container.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::console::{self, HostTerminal};
use super::create::Here;
use super::execute::{Busy, Execution, Identity, Process, host_id};
use super::facts;
use super::fds::ExtraFds;
use super::foreground::{self, Foreground, Signals};
use super::pidfile::PidFile;
use super::relay::Relay;
use super::sockets::{FdSocket, PidfdPayload};
use super::stdio::{Owner, StdioPlan};
use nix::fcntl::OFlag;

use crate::cgroup::systemd::{Manager, Scope, UnitName};
use crate::cgroup::{Cgroup, Host, OwnedCgroup, Paths};
use crate::error::{Context, Errno, Error, Result};
use crate::plan::Facts;
use crate::plan::compile::Options;
use crate::plan::exec::{self, Request};
use crate::spec::landlock::Landlock;
use crate::spec::{self, problem, validate};
use crate::state::{self, Config, ContainerDir, InitProcess, State, Status};
use crate::sys::descriptors::stdio as stdio_fds;
use crate::trace::Recorder;
use crate::{host, log};

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// The state root.
    pub root: PathBuf,
    /// The container.
    pub id: String,
    /// `--console-socket`
    pub console_socket: Option<PathBuf>,
    /// The caller takes the terminal's master itself: [`exec_here`].
    pub takes_console: bool,
    /// `--pidfd-socket`
    pub pidfd_socket: Option<PathBuf>,
    /// `--pid-file`
    pub pid_file: Option<PathBuf>,
    /// `--trace`
    pub trace: Option<PathBuf>,
    /// `--detach`
    pub detach: bool,
    /// `--preserve-fds`
    pub preserve_fds: u32,
    /// `--ignore-paused`
    pub ignore_paused: bool,
    /// `--cgroup`: controller (or `""` for all) -> path below the container's.
    pub sub_cgroups: BTreeMap<String, String>,
}

/// A container that a process is to join, and may.
pub struct Target {
    /// Its state.
    pub state: State<Config>,
    /// Its first process, held from the first look on. Not where the caller hands descriptors over: ours would be among their numbers.
    init: Option<InitProcess>,
}

impl Target {
    /// # Errors
    /// It does not exist, has stopped, or is paused.
    pub fn open(args: &Arguments) -> Result<Target> {
        let dir = ContainerDir::open(&args.root, &args.id)?;
        let state: State<Config> = dir.load()?;
        let paths = Paths(state.cgroup_paths.clone());
        let init = if args.preserve_fds == 0 { state.init()? } else { None };
        let frozen = || crate::cgroup::is_frozen(&paths);
        let status = match init {
            Some(_) => state.status_of_living(&dir, frozen)?,
            None => state.status(&dir, frozen)?,
        };
        match status {
            Status::Stopped => Err(Error::new("cannot exec in a stopped container")),
            Status::Paused if !args.ignore_paused => {
                Err(Error::new("cannot exec in a paused container (use --ignore-paused to override)"))
            }
            _ => Ok(Target { state, init }),
        }
    }

    /// The bundle, as the state knows it.
    pub fn bundle(&self) -> Option<&str> {
        state::bundle(&self.state.config.labels)
    }
}

/// Runs `process` in the container; the result is its exit code, or 0 with `--detach`.
///
/// # Errors
/// It could not be started.
pub fn exec(args: &Arguments, target: &Target, process: spec::Process) -> Result<u8> {
    let Started { process, signals, mut relay, .. } = start(args, target, process)?;
    match signals {
        None => Ok(0),
        Some(signals) => wait(&process, &signals, &mut relay),
    }
}

/// [`exec()`] with `--detach` for a caller that links us (the shim): with [`Arguments::takes_console`] it gets the terminal's master.
///
/// # Errors
/// As [`exec()`].
pub fn exec_here(args: &Arguments, target: &Target, process: spec::Process) -> Result<Here> {
    let Started { process, console, .. } = start(args, target, process)?;
    Ok(Here { pid: process.pid, console })
}

/// A process that was started, and what is to be done for it in the foreground.
struct Started {
    process: Process,
    console: Option<OwnedFd>,
    signals: Option<Signals>,
    relay: Relay,
}

fn start(args: &Arguments, target: &Target, mut process: spec::Process) -> Result<Started> {
    let mut trace = Recorder::to(args.trace.as_deref())?;
    let config = &target.state.config;
    config.complete(&mut process);
    let console_socket = args.console_socket.is_some() || (args.takes_console && process.terminal);
    console::check_flags(process.terminal, args.detach, console_socket)?;
    let pid_file = args.pid_file.as_deref().map(PidFile::prepare).transpose()?;
    let extra = ExtraFds::new(args.preserve_fds, std::process::id(), |_| None)?;
    extra.mark_others_cloexec()?;
    let linux = config.linux_of_exec()?;
    let cgroups = Host::detect()?;
    check(&process, &linux, &cgroups, config)?;
    trace.phase("check");
    let console_socket = args.console_socket.as_deref().map(FdSocket::console).transpose()?;
    let pidfd_socket = args.pidfd_socket.as_deref().map(FdSocket::pidfd).transpose()?;
    let terminal = if process.terminal && !args.detach { Some(HostTerminal::open()?) } else { None };
    let own;
    let init = match &target.init {
        Some(init) => init,
        None => {
            own = target.state.init()?.ok_or_else(|| Error::new("cannot exec in a stopped container"))?;
            &own
        }
    };

    let names = config.namespaces.iter().map(|n| n.kind.clone());
    let landlock = Landlock::of_labels(&config.labels).map_err(|problem| Error::new(problem.message))?;
    let mut facts = gather(&process, &linux, cgroups, target)?;
    if landlock.is_some() {
        facts.landlock = crate::sys::landlock::abi();
    }
    let groups = resctrl_groups(&target.state);
    // Between two parts of the tree that the user may use lies one that is root's: the user's systemd has a way across.
    let named = &config.cgroups;
    let by_systemd = named.Systemd && config.rootless_cgroups;
    let unit = by_systemd
        .then(|| UnitName::of_parts(&named.parent, &named.scope_prefix, &named.name, Scope::User))
        .transpose()?;
    let below = args.sub_cgroups.get("").map(|sub| format!("/{}", sub.trim_matches('/'))).unwrap_or_default();
    trace.phase("facts");
    let extra_descriptors = u32::try_from(extra.count()).unwrap_or(0);
    let options = Options { extra_descriptors, trace: trace.is_on(), ..Options::default() };
    let request = Request {
        id: &args.id,
        program: &process,
        linux: &linux,
        landlock: landlock.as_ref(),
        namespaces: facts::namespaces_of_state(names),
        keyring: !config.no_new_keyring,
        umask: config.umask,
        oom_score_adj: config.oom_score_adj,
        resctrl: &groups,
        unit: unit.as_ref().map(|name| (name.unit(), below.as_str())),
        options: &options,
    };
    let plan = exec::exec(&request, &facts)?;
    trace.phase("compile");
    if !args.detach {
        foreground::become_subreaper()?;
    }
    let signals = if args.detach {
        // A caller that ignores SIGCHLD would have our children reap themselves.
        crate::sys::children::restore_sigchld();
        None
    } else {
        Some(Signals::block()?)
    };
    let owner = Owner { uid: host_id(&linux.uid_mappings, process.user.uid), gid: host_id(&linux.gid_mappings, 0) };
    let stdio = match (process.terminal, args.detach) {
        (true, _) => StdioPlan::terminal(),
        (false, true) => StdioPlan::detached(owner, facts.stdio_null)?,
        (false, false) => StdioPlan::foreground(owner, facts.stdio_null)?,
    };
    let annotations = state::annotations(&config.labels);
    let agent = linux.seccomp.as_ref().map(|s| (s.listener_path.as_str(), s.listener_metadata.as_str()));
    let identity =
        Identity { id: &args.id, bundle: target.bundle().unwrap_or_default(), annotations: &annotations, agent };
    let mut execution = Execution::new(&plan, identity);
    execution.init = Some(init.pidfd.as_fd());
    execution.init_root = init_root(init)?;
    execution.cgroup = cgroup(target, &facts, args)?;
    // Who names a cgroup, be it `/`, means that one.
    execution.busy = if args.sub_cgroups.is_empty() { Busy::FollowInit } else { Busy::Fail };
    execution.manager = unit.map(|_| Manager::connect(Scope::User)).transpose()?;
    execution.stdio = stdio.child;
    execution.trace = Some(&mut trace).filter(|trace| trace.is_on());
    if let Err(e) = execution.run() {
        let pid = execution.process.as_ref().map_or(0, |process| process.pid);
        if let Some(process) = &execution.process {
            end(process);
        }
        trace.finish(format!("exec {} (failed)", args.id), pid, &plan, None);
        // The fields are of a process object: of process.json, or made of the flags.
        return Err(e.document("exec's").doing("unable to start container process"));
    }
    let Execution { process: started, mut console, .. } = execution;
    let started = started.ok_or_else(|| Error::new("the plan started no process"))?;

    let mut relay = stdio.relay;
    let handed_over = || -> Result<()> {
        if let Some(master) = &console {
            console::check_master(master.as_fd())?;
        }
        match (console_socket, terminal) {
            (Some(socket), _) => console.take().map_or(Ok(()), |master| socket.send_console(master.as_fd()))?,
            (None, Some(terminal)) => {
                if let Some(master) = console.take() {
                    let [stdin, stdout, _] = stdio_fds();
                    relay = Relay::terminal(terminal.attach(master)?, stdin, stdout)?;
                }
            }
            (None, None) => (),
        }
        if let Some(socket) = pidfd_socket {
            socket.send_pidfd(PidfdPayload::Setns, started.pidfd.as_fd())?;
        }
        pid_file.as_ref().map_or(Ok(()), |file| file.write(started.pid))
    };
    if let Err(e) = handed_over() {
        end(&started);
        return Err(e);
    }
    trace.phase("hand-over");
    trace.finish(format!("exec {}", args.id), started.pid, &plan, None);
    Ok(Started { process: started, console, signals, relay })
}

/// The root directory of init, by its link in procfs; init is alive, or what the link led to would be of another process.
fn init_root(init: &InitProcess) -> Result<Option<OwnedFd>> {
    let path = format!("/proc/{}/root", init.pid);
    let root = match crate::files::open(path.as_str(), OFlag::O_PATH | OFlag::O_DIRECTORY) {
        Ok(root) => root,
        // Not ours to look at (rootless): then there was a pivot_root, and a mount namespace whose root it is.
        Err(Errno::EACCES | Errno::EPERM) => return Ok(None),
        Err(e) => return Err(Error::sys(format!("open {path}"), e)),
    };
    if init.wait(std::time::Duration::ZERO)? {
        return Err(Error::new("cannot exec in a stopped container"));
    }
    Ok(Some(root))
}

/// Those that the container is in. Its class may have been removed since: then its processes are in the root's.
fn resctrl_groups(state: &State<Config>) -> Vec<String> {
    let paths = [&state.intel_rdt_path, &state.intel_rdt_mon_path];
    paths.into_iter().filter(|path| !path.is_empty() && std::fs::symlink_metadata(path).is_ok()).cloned().collect()
}

/// Nobody would know of it.
fn end(process: &Process) {
    process.pidfd.send_signal(libc::SIGKILL).ok();
    process.pidfd.reap().ok();
}

fn wait(process: &Process, signals: &Signals, relay: &mut Relay) -> Result<u8> {
    let foreground = Foreground { signals, process: &process.pidfd, pid: process.pid, relay, notify: None };
    let exit = foreground.wait()?;
    foreground::drain(relay, signals)?;
    Ok(u8::try_from(exit.shell_status()).unwrap_or(255))
}

fn check(process: &spec::Process, linux: &spec::Linux, cgroups: &Host, config: &Config) -> Result<()> {
    let mapped = !linux.uid_mappings.is_empty();
    let maps = mapped.then_some(validate::IdMaps { uid: &linux.uid_mappings[..], gid: &linux.gid_mappings[..] });
    let options = validate::Options { rootless_euid: config.rootless_euid, ..Default::default() };
    let problems = validate::validate_process(process, maps, &host::facts(cgroups), &options);
    problem::warnings(&problems).for_each(log::warn);
    problem::join(&problems, "process.json").map_or(Ok(()), Err)
}

fn gather(process: &spec::Process, linux: &spec::Linux, cgroups: Host, target: &Target) -> Result<Facts> {
    let spec = spec::Spec { process: Some(process.clone()), linux: Some(linux.clone()), ..Default::default() };
    facts::gather(&spec, cgroups, &Paths(target.state.cgroup_paths.clone()), "", false)
}

/// The cgroup to start in: the container's, or one below it.
fn cgroup(target: &Target, facts: &Facts, args: &Arguments) -> Result<Option<Cgroup>> {
    let paths = Paths(target.state.cgroup_paths.clone());
    let Some(owned) = OwnedCgroup::new(&facts.cgroups, &paths)? else { return Ok(None) };
    match owned.open_sub(&args.sub_cgroups) {
        Ok(cgroup) => Ok(Some(cgroup)),
        Err(_) if target.state.config.rootless_cgroups => Ok(None),
        Err(e) => Err(e).doing(|| "error adding the process to cgroups"),
    }
}
