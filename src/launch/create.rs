//! `create` and `run`: from the command line to a container, and for `run` to its end.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::console::{self, HostTerminal};
use super::execute::{Execution, Identity, Process, host_id};
use super::facts::{self, Placement};
use super::fds::ExtraFds;
use super::foreground::{self, Foreground, Signals};
use super::hooks::{self, Moment};
use super::notify::{self, Forwarder};
use super::notify_wait;
use super::pidfile::PidFile;
use super::relay::Relay;
use super::sockets::{FdSocket, PidfdPayload};
use super::stdio::{Owner, StdioPlan};
use crate::cgroup::systemd::{Manager, Scope};
use crate::cgroup::{Cgroup, Denied, Host, OwnedCgroup};
use crate::container::Container;
use crate::error::{Error, Result};
use crate::net::devices::Devices;
use crate::plan::compile::{self, Options, Request};
use crate::plan::{Facts, Plan, mounts};
use crate::spec::oci_state::{OciState, Status};
use crate::spec::{Spec, parse, problem, validate};
use crate::state::{ContainerDir, Creating, Origin, Root};
use crate::sys::descriptors::stdio;
use crate::sys::pidfd::Exit;
use crate::trace::Recorder;
use crate::{host, log, resctrl, spec};

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// The state root.
    pub root: PathBuf,
    /// The container's id.
    pub id: String,
    /// `--bundle`; none: the working directory.
    pub bundle: Option<PathBuf>,
    /// `--console-socket`
    pub console_socket: Option<PathBuf>,
    /// The caller takes the terminal's master itself: [`create_here`].
    pub takes_console: bool,
    /// `--pidfd-socket`
    pub pidfd_socket: Option<PathBuf>,
    /// `--pid-file`
    pub pid_file: Option<PathBuf>,
    /// `--trace`
    pub trace: Option<PathBuf>,
    /// `--no-pivot`
    pub no_pivot: bool,
    /// `--no-new-keyring`
    pub no_new_keyring: bool,
    /// `--preserve-fds`
    pub preserve_fds: u32,
    /// `--systemd-cgroup`
    pub systemd_cgroup: bool,
    /// The effective user is not root.
    pub rootless_euid: bool,
    /// Permission errors of the cgroup file system are to be ignored.
    pub rootless_cgroups: bool,
}

/// How `run` differs from `create` and `start`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Run {
    /// `--detach`
    pub detach: bool,
    /// `--keep`
    pub keep: bool,
    /// `--no-subreaper`
    pub no_subreaper: bool,
}

/// Creates a container whose program waits for `start`.
///
/// # Errors
/// Whatever goes wrong; nothing is left then.
pub fn create(args: &Arguments) -> Result<()> {
    let bundle = Bundle::open(args, None)?;
    let mut made = bundle.make()?;
    made.hand_over()?;
    Ok(())
}

/// What a caller in our own process gets of a process that was made.
#[derive(Debug)]
pub struct Here {
    /// Its pid; it is our child.
    pub pid: i32,
    /// The master of its terminal, if it has one.
    pub console: Option<std::os::fd::OwnedFd>,
}

/// [`create`] for a caller that links us (the shim): with [`Arguments::takes_console`] it gets the terminal's master.
///
/// # Errors
/// As [`create`].
pub fn create_here(args: &Arguments) -> Result<Here> {
    let mut made = Bundle::open(args, None)?.make()?;
    made.hand_over()?;
    Ok(Here { pid: made.outcome.process.pid, console: made.outcome.console.take() })
}

/// Creates a container and starts its program; in the foreground, waits for its end and removes it. Returns the exit code.
///
/// # Errors
/// As [`create`].
pub fn run(args: &Arguments, run: Run) -> Result<u8> {
    let bundle = Bundle::open(args, Some(run))?;
    if !run.detach && !run.no_subreaper {
        foreground::become_subreaper()?;
    }
    let mut made = bundle.make()?;
    if run.detach {
        made.hand_over()?;
        made.started()?;
        if let Err(e) = made.wait_until_ready() {
            // The container runs; that the service manager does not hear of it is between the two of them.
            log::warn(e);
        }
        return Ok(0);
    }
    let code = made.foreground();
    if !made.bundle.terminal() {
        // The program ends here, and with it all that is open: a call less for each. (A terminal has to be given back.)
        std::mem::forget(made);
    }
    code
}

/// A bundle, read and found right, and everything that is to be known before something is made.
pub struct Bundle<'a> {
    pub(super) args: &'a Arguments,
    pub(super) run: Option<Run>,
    pub(super) spec: Spec,
    pub(super) path: String,
    pub(super) rootfs: String,
    options: Options,
    pid_file: Option<PidFile>,
    trace: Recorder,
    notify_host: Option<PathBuf>,
}

/// Reads config.json of the working directory.
fn read_config() -> Result<Spec> {
    let bytes = match crate::files::document("config.json") {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new("JSON specification file config.json not found"));
        }
        r => r.map_err(|e| Error::io("open config.json", &e))?,
    };
    parse::config(&bytes)
}

/// Goes to the bundle and returns its absolute path.
pub fn enter_bundle(bundle: Option<&Path>) -> Result<String> {
    if let Some(dir) = bundle {
        std::env::set_current_dir(dir).map_err(|e| Error::io(format_args!("chdir {}", dir.display()), &e))?;
    }
    let path = std::env::current_dir().map_err(|e| Error::io("getcwd", &e))?;
    path.into_os_string().into_string().map_err(|_| Error::new("the path of the bundle is not UTF-8"))
}

/// Finds all faults of a config.json. Warnings go to the log.
pub fn check(spec: &Spec, cgroups: &Host, options: &validate::Options) -> Result<()> {
    let problems = validate::validate(spec, &host::facts(cgroups), options);
    if let Some(error) = problem::join(&problems, "config.json") {
        return Err(error);
    }
    problem::warnings(&problems).for_each(log::warn);
    Ok(())
}

impl<'a> Bundle<'a> {
    /// Reads and checks it. Nothing is changed by that but our working directory.
    pub fn open(args: &'a Arguments, run: Option<Run>) -> Result<Bundle<'a>> {
        if args.id.is_empty() {
            return Err(Error::new("container id cannot be empty"));
        }
        // Relative to the caller's directory, which we are about to leave.
        let pid_file = args.pid_file.as_deref().map(PidFile::prepare).transpose()?;
        let mut trace = Recorder::to(args.trace.as_deref())?;
        let path = enter_bundle(args.bundle.as_deref())?;
        let spec = read_config()?;
        if spec::trace::asked(&spec.annotations).unwrap_or(false) {
            trace.to_state("trace.json");
        }
        let extra = ExtraFds::new(args.preserve_fds, std::process::id(), |name| std::env::var(name).ok())?;
        extra.mark_others_cloexec()?;
        let rootfs = mounts::rootfs(&path, spec.root.as_ref().map_or("", |r| &r.path));
        let notify_host = std::env::var_os("NOTIFY_SOCKET").filter(|s| !s.is_empty()).map(PathBuf::from);
        let notify_dir = notify_host.as_ref().map(|_| args.root.join(&args.id).join(notify::DIR));
        let options = Options {
            no_pivot: args.no_pivot,
            no_new_keyring: args.no_new_keyring,
            trace: trace.is_on(),
            wait_for_start: run.is_none(),
            extra_descriptors: u32::try_from(extra.count()).unwrap_or(0),
            listen_fds: u32::try_from(extra.listen()).unwrap_or(0),
            notify_dir: notify_dir.map(|d| d.to_string_lossy().into_owned()),
        };
        trace.phase("read");
        Ok(Bundle { args, run, spec, path, rootfs, options, pid_file, trace, notify_host })
    }

    fn title(&self) -> String {
        format!("{} {}", if self.run.is_some() { "run" } else { "create" }, self.args.id)
    }

    pub(super) fn validation(&self) -> validate::Options {
        validate::Options {
            rootless_euid: self.args.rootless_euid,
            systemd_cgroup: self.args.systemd_cgroup,
            no_pivot: self.args.no_pivot,
        }
    }

    pub(super) fn request(&self) -> Request<'_> {
        Request { id: &self.args.id, bundle: &self.path, spec: &self.spec, options: &self.options }
    }

    pub(super) fn identity(&self) -> Identity<'_> {
        let seccomp = self.spec.linux.as_ref().and_then(|l| l.seccomp.as_ref());
        Identity {
            id: &self.args.id,
            bundle: &self.path,
            annotations: &self.spec.annotations,
            agent: seccomp.map(|s| (s.listener_path.as_str(), s.listener_metadata.as_str())),
        }
    }

    pub(super) fn terminal(&self) -> bool {
        self.spec.process.as_ref().is_some_and(|p| p.terminal)
    }

    /// Who is to own what the program has as descriptors 0-2.
    pub(super) fn owner(&self) -> Owner {
        let linux = self.spec.linux.clone().unwrap_or_default();
        let uid = self.spec.process.as_ref().map_or(0, |p| p.user.uid);
        Owner { uid: host_id(&linux.uid_mappings, uid), gid: host_id(&linux.gid_mappings, 0) }
    }

    /// The maps of a user namespace that is joined: who owns the program's descriptors depends on them, and the state tells them.
    pub(super) fn learn_maps(&mut self) -> Result<()> {
        let Some(linux) = self.spec.linux.as_mut().filter(|l| l.uid_mappings.is_empty()) else { return Ok(()) };
        let joined = linux.namespaces.iter().find(|n| n.kind == "user" && !n.path.is_empty());
        let maps = joined.map_or(Ok(None), |n| host::userns_maps(&n.path)).map_err(Error::new)?;
        if let Some(maps) = maps {
            (linux.uid_mappings, linux.gid_mappings) = (maps.uid, maps.gid);
        }
        Ok(())
    }

    /// Makes the container.
    pub fn make(mut self) -> Result<Made<'a>> {
        let cgroups = Host::detect()?;
        check(&self.spec, &cgroups, &self.validation())?;
        self.trace.phase("check");
        self.learn_maps()?;
        facts::check_rootfs(&self.rootfs)?;
        let (placement, facts) = self.place(cgroups)?;
        self.trace.phase("facts");
        let owned = OwnedCgroup::new(&facts.cgroups, &placement.paths)?;
        let plan = compile::create(&self.request(), &facts)?;
        self.trace.phase("compile");

        let (mut creating, sockets) = self.claim()?;
        let keep = self.run.is_some_and(|r| r.keep);
        let mut trace = std::mem::take(&mut self.trace);
        trace.phase("state-directory");
        let outcome = self.execute(&plan, &mut creating, owned.as_ref(), placement, facts.stdio_null, &mut trace);
        match outcome {
            Ok(outcome) => Ok(Made {
                bundle: self,
                dir: Some(creating.into_dir()),
                outcome,
                sockets,
                trace,
                plan,
                restored: false,
                ended: false,
            }),
            Err(failed) => {
                let pid = failed.process.as_ref().map_or(0, |process| process.pid);
                trace.finish(format!("{} (failed)", self.title()), pid, &plan, None);
                let error = failed.error.clone();
                if !keep {
                    self.undo(creating, owned.as_ref(), *failed);
                }
                Err(error.doing("unable to start container process"))
            }
        }
    }

    /// Where the cgroup is to be, and what else has to be known of the host.
    pub(super) fn place(&self, cgroups: Host) -> Result<(Placement, Facts)> {
        let driver = self.args.systemd_cgroup.then(|| Scope::of(self.args.rootless_cgroups));
        let placement = facts::placement(&self.spec, &self.args.id, &cgroups, driver)?;
        let mut facts = facts::gather(&self.spec, cgroups, &placement.paths, &self.rootfs, self.args.no_pivot)?;
        facts.systemd = placement.unit.as_ref().map(|(_, facts)| facts.clone());
        Ok((placement, facts))
    }

    /// The id is ours from here on, on disk; whom the caller wants to hear of the container is there.
    pub(super) fn claim(&self) -> Result<(Creating, Sockets)> {
        let creating = Root::create(&self.args.root)?.create_container(&self.args.id)?;
        match Sockets::connect(self) {
            Ok(sockets) => Ok((creating, sockets)),
            Err(e) => {
                creating.abandon()?;
                Err(e)
            }
        }
    }

    pub(super) fn origin(&self) -> Origin<'_> {
        Origin {
            id: &self.args.id,
            bundle: &self.path,
            rootfs: &self.rootfs,
            no_pivot: self.args.no_pivot,
            no_new_keyring: self.args.no_new_keyring,
            systemd_cgroup: self.args.systemd_cgroup,
            rootless_euid: self.args.rootless_euid,
            rootless_cgroups: self.args.rootless_cgroups,
        }
    }

    fn execute(
        &self,
        plan: &Plan,
        creating: &mut Creating,
        owned: Option<&OwnedCgroup>,
        placement: Placement,
        null: u32,
        trace: &mut Recorder,
    ) -> std::result::Result<Outcome, Box<Failed>> {
        if self.notify_host.is_some() {
            notify::make_dir(creating.dir().as_fd()).map_err(Failed::with_nothing)?;
        }
        // A `run` is its own start: the socket has to be there before the program is.
        let notify = match (&self.notify_host, self.run) {
            (Some(host), Some(_)) => Some(Forwarder::bind(creating.dir().as_fd(), host).map_err(Failed::with_nothing)?),
            _ => None,
        };
        let detached = self.run.is_none_or(|r| r.detach);
        let signals = if detached {
            // A caller that ignores SIGCHLD would have our children reap themselves.
            crate::sys::children::restore_sigchld();
            None
        } else {
            Some(Signals::block().map_err(Failed::with_nothing)?)
        };
        let stdio = self.stdio(detached, null).map_err(Failed::with_nothing)?;
        let linux = self.spec.linux.clone().unwrap_or_default();
        let origin = self.origin();
        let mut execution = Execution::new(plan, self.identity());
        execution.owned = owned;
        execution.cgroup_paths = placement.paths;
        execution.unit = placement.unit.map(|(name, facts)| (name, facts.scope));
        execution.manager = placement.manager;
        execution.rootless = self.args.rootless_cgroups;
        if self.args.rootless_cgroups && linux.cgroups_path.is_empty() && execution.unit.is_none() {
            execution.denied = Denied::GoWithout;
        }
        execution.creating = Some(creating);
        execution.maps = (linux.uid_mappings, linux.gid_mappings);
        execution.stdio = stdio.child;
        execution.links = stdio.links;
        execution.origin = Some((&self.spec, &origin));
        execution.trace = Some(trace).filter(|trace| trace.is_on());
        let result = execution.run();
        let Execution { process, console, cgroup, unit, unit_started, manager, resctrl_made, net_devices, .. } =
            execution;
        let unit = unit.map(|(name, _)| name).zip(manager).filter(|_| unit_started);
        match (result, process) {
            (Ok(()), Some(process)) => {
                Ok(Outcome { process, console, relay: stdio.relay, signals, notify, net_devices })
            }
            (Ok(()), None) => Err(Failed::with_nothing(Error::new("the plan started no process"))),
            (Err(error), process) => Err(Box::new(Failed { error, process, cgroup, unit, resctrl_made, net_devices })),
        }
    }

    pub(super) fn stdio(&self, detached: bool, null: u32) -> Result<StdioPlan> {
        match (self.terminal(), detached) {
            (true, _) => Ok(StdioPlan::terminal()),
            (false, true) => StdioPlan::detached(self.owner(), null),
            (false, false) => StdioPlan::foreground(self.owner(), null),
        }
    }

    /// Undoes a creation that failed: the process, the cgroup, the directory; then the hooks hear of its end. What cannot be undone
    /// goes to the log, and stays recorded for `delete`.
    pub(super) fn undo(&self, creating: Creating, owned: Option<&OwnedCgroup>, mut failed: Failed) {
        if let Some(process) = failed.process {
            // It may have ended by itself.
            process.pidfd.send_signal(libc::SIGKILL).ok();
            process.pidfd.reap().ok();
        }
        give_back(failed.net_devices.take());
        let killed = match owned.filter(|_| failed.cgroup.is_some() || failed.unit.is_some()) {
            Some(owned) => {
                let killed = owned.kill_all();
                // The end of the unit is the end of all that is in it.
                let ended = failed.unit.map_or(killed, |(unit, mut m)| m.stop(&unit));
                ended.and_then(|()| owned.remove())
            }
            None => Ok(()),
        };
        // Those above it that nobody had before.
        failed.cgroup.iter_mut().for_each(Cgroup::undo);
        if let Err(e) = killed {
            log::warn(e.doing("unable to remove container's cgroup"));
            return;
        }
        if let Err(e) = failed.resctrl_made.iter().rev().try_for_each(|group| resctrl::remove(group)) {
            log::warn(e);
            return;
        }
        if let Err(e) = creating.abandon() {
            log::warn(e.doing("unable to remove container state dir"));
        }
        let hooks = self.spec.hooks.clone().unwrap_or_default().poststop;
        if let Err(e) = hooks::run(Moment::Poststop, &hooks, &self.state(Status::Stopped, 0), None) {
            log::warn(e);
        }
    }

    pub(super) fn state(&self, status: Status, pid: i32) -> OciState<'_> {
        OciState {
            oci_version: crate::spec::default::OCI_VERSION,
            id: &self.args.id,
            status,
            pid,
            bundle: &self.path,
            annotations: &self.spec.annotations,
        }
    }
}

/// The container did not come to be: its network devices are not to end with its network namespace.
fn give_back(devices: Option<Box<Devices>>) {
    if let Some(Err(failed)) = devices.map(|mut devices| devices.give_back()) {
        failed.into_iter().for_each(log::warn);
    }
}

/// Connected and opened before anything is made, so that a dead one fails first.
#[derive(Default)]
pub(super) struct Sockets {
    console: Option<FdSocket>,
    pidfd: Option<FdSocket>,
    terminal: Option<HostTerminal>,
}

impl Sockets {
    fn connect(bundle: &Bundle<'_>) -> Result<Sockets> {
        let args = bundle.args;
        let detached = bundle.run.is_none_or(|r| r.detach);
        let console_socket = args.console_socket.is_some() || (args.takes_console && bundle.terminal());
        console::check_flags(bundle.terminal(), detached, console_socket)?;
        Ok(Sockets {
            console: args.console_socket.as_deref().map(FdSocket::console).transpose()?,
            pidfd: args.pidfd_socket.as_deref().map(FdSocket::pidfd).transpose()?,
            terminal: if bundle.terminal() && !detached { Some(HostTerminal::open()?) } else { None },
        })
    }
}

/// What a plan that could not be executed to its end has left.
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) process: Option<Process>,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) resctrl_made: Vec<String>,
    pub(super) net_devices: Option<Box<Devices>>,
    /// systemd's unit that was started.
    pub(super) unit: Option<(String, Manager)>,
}

impl Failed {
    /// Before anything was made.
    pub(super) fn with_nothing(error: Error) -> Box<Failed> {
        Box::new(Failed { error, process: None, cgroup: None, resctrl_made: Vec::new(), net_devices: None, unit: None })
    }
}

/// What executing the plan gave.
pub(super) struct Outcome {
    pub(super) process: Process,
    pub(super) console: Option<std::os::fd::OwnedFd>,
    pub(super) relay: Relay,
    pub(super) signals: Option<Signals>,
    pub(super) notify: Option<Forwarder>,
    /// Until the container is its caller's.
    pub(super) net_devices: Option<Box<Devices>>,
}

/// A container that was made.
pub struct Made<'a> {
    pub(super) bundle: Bundle<'a>,
    pub(super) dir: Option<ContainerDir>,
    pub(super) outcome: Outcome,
    pub(super) sockets: Sockets,
    pub(super) trace: Recorder,
    pub(super) plan: Plan,
    /// It was not started, but goes on: there are no poststart hooks.
    pub(super) restored: bool,
    /// The process has been waited for.
    pub(super) ended: bool,
}

impl Made<'_> {
    /// Gives callers what they asked for: the terminal, the pidfd, the pid file. If one cannot be given, the container goes again.
    pub fn hand_over(&mut self) -> Result<()> {
        let given = self.give();
        let net_devices = self.outcome.net_devices.take();
        if given.is_err() {
            self.destroy().unwrap_or_else(log::warn);
            give_back(net_devices);
        }
        self.trace.phase("hand-over");
        if self.bundle.run.is_none() {
            self.tell_times();
        }
        given
    }

    fn tell_times(&mut self) {
        self.trace.finish(self.bundle.title(), self.outcome.process.pid, &self.plan, self.dir.as_ref());
    }

    fn give(&mut self) -> Result<()> {
        if let Some(master) = &self.outcome.console {
            console::check_master(master.as_fd())?;
        }
        if let (Some(socket), Some(master)) = (self.sockets.console.take(), &self.outcome.console) {
            socket.send_console(master.as_fd())?;
        }
        if let Some(socket) = self.sockets.pidfd.take() {
            socket.send_pidfd(PidfdPayload::Standard, self.outcome.process.pidfd.as_fd())?;
        }
        self.bundle.pid_file.as_ref().map_or(Ok(()), |file| file.write(self.outcome.process.pid))
    }

    /// The program runs: poststart hooks.
    fn started(&mut self) -> Result<()> {
        if self.restored {
            return Ok(());
        }
        let hooks = self.bundle.spec.hooks.clone().unwrap_or_default().poststart;
        let state = self.bundle.state(Status::Running, self.outcome.process.pid);
        let run = hooks::run(Moment::Poststart, &hooks, &state, None);
        self.trace.phase("poststart");
        self.tell_times();
        if run.is_err() {
            self.outcome.process.pidfd.send_signal(libc::SIGKILL).ok();
            self.destroy().unwrap_or_else(log::warn);
        }
        run
    }

    fn wait_until_ready(self) -> Result<()> {
        let Outcome { process, notify, .. } = self.outcome;
        notify_wait(notify, &process.pidfd, process.pid)
    }

    /// Until the program ends; the result is its exit code.
    pub(super) fn foreground(&mut self) -> Result<u8> {
        if let (Some(master), Some(terminal)) = (self.outcome.console.take(), self.sockets.terminal.take()) {
            let attached = console::check_master(master.as_fd()).and_then(|()| terminal.attach(master));
            let [stdin, stdout, _] = stdio();
            match attached.and_then(|console| Relay::terminal(console, stdin, stdout)) {
                Ok(relay) => self.outcome.relay = relay,
                Err(e) => {
                    self.destroy().unwrap_or_else(log::warn);
                    return Err(e);
                }
            }
        }
        self.hand_over()?;
        self.started()?;
        let Outcome { process, relay, signals, notify, .. } = &mut self.outcome;
        let Some(signals) = signals else { return Err(Error::new("no signals in the foreground")) };
        let foreground =
            Foreground { signals, process: &process.pidfd, pid: process.pid, relay, notify: notify.as_mut() };
        let exit = foreground.wait()?;
        self.ended = true;
        self.note_end(exit);
        if !self.bundle.run.is_some_and(|r| r.keep)
            && let Err(e) = self.destroy()
        {
            log::warn(e);
        }
        // Last: who else has the pipes open may have been killed only now.
        if let Outcome { relay, signals: Some(signals), .. } = &mut self.outcome {
            foreground::drain(relay, signals)?;
        }
        Ok(u8::try_from(exit.shell_status()).unwrap_or(255))
    }

    /// For `state`, if the container is kept; for the log, if something killed it.
    fn note_end(&self, exit: Exit) {
        let keep = self.bundle.run.is_some_and(|r| r.keep);
        if !keep && (matches!(exit, Exit::Code(_)) || !log::debugging()) {
            return;
        }
        let noted =
            ContainerDir::look(&self.bundle.args.root, &self.bundle.args.id).and_then(Container::load).and_then(|c| {
                let end = c.ended(Some(exit), c.ooms());
                log::debug(&end.reason);
                if keep { c.dir.save_end(&end) } else { Ok(()) }
            });
        noted.unwrap_or_else(log::warn);
    }

    pub(super) fn destroy(&mut self) -> Result<()> {
        // A process that still runs is killed; one that we have waited for is gone.
        if !self.ended && self.outcome.process.pidfd.send_signal(libc::SIGKILL).is_ok() {
            self.outcome.process.pidfd.reap().ok();
        }
        self.dir.take().map_or(Ok(()), |dir| Container::load(dir)?.destroy())
    }
}

/// Compiles a bundle without doing anything: `dunnage plan`.
///
/// # Errors
/// Faults of the bundle.
pub fn plan(args: &Arguments) -> Result<String> {
    let mut bundle = Bundle::open(args, None)?;
    let cgroups = Host::detect()?;
    check(&bundle.spec, &cgroups, &bundle.validation())?;
    bundle.learn_maps()?;
    let (_, facts) = bundle.place(cgroups)?;
    Ok(compile::create(&bundle.request(), &facts)?.to_string())
}
