//! `restore`: a container again, from what `checkpoint` has written. Its record, its cgroup and what is around it are made as for
//! `create`; its processes, their namespaces and mounts by CRIU, which is a process of the container's cgroup while it does.
//!
//! Its notifications come in this order; what is done at them is in `Restoring::notified`:
//!
//! | | |
//! |---|---|
//! | `setup-namespaces` | the first process is there, in its namespaces: hooks prestart and createRuntime |
//! | `orphan-pts-master` | the master of the container's terminal comes |
//! | `post-restore` | all processes are there, and stand still: it becomes a container on disk |

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;

use super::create::{Arguments, Bundle, Failed, Here, Made, Outcome, Run};
use super::execute::{Execution, Process};
use super::foreground::{self, Signals};
use super::hooks::{self, Moment};
use super::stdio::StdioPlan;
use crate::cgroup::{Cgroup, Denied, Host, Membership, OwnedCgroup};
use crate::criu::checkpoint::cgroup_binds;
use crate::criu::images::{self, Directories};
use crate::criu::options::{self, RESTORE_LOG, Restore, RestoreFacts};
use crate::criu::rpc::{CgRoot, Notify, Opts, kind};
use crate::criu::swrk::{self, Criu};
use crate::criu::tree;
use crate::error::{Context, Errno, Error, Result};
use crate::files;
use crate::plan::{ParentStep, compile};
use crate::spec::oci_state::Status;
use crate::spec::{Namespace, Spec};
use crate::state::{CRIU_ROOT, Config, ContainerDir, Creating, Origin, start_time};
use crate::sys::descriptors::stdio;
use crate::sys::pidfd::PidFd;

/// Restores a container; in the foreground, waits for its end and removes it. Returns the exit code.
///
/// # Errors
/// Whatever goes wrong; nothing is left then.
pub fn restore(args: &Arguments, asked: &Restore, run: Run) -> Result<u8> {
    // Before the bundle is entered: they are relative to the caller.
    let directories = Directories::open(&asked.common.image_path, asked.common.work_path.as_deref())?;
    let bundle = Bundle::open(args, Some(run))?;
    if !run.detach && !run.no_subreaper {
        foreground::become_subreaper()?;
    }
    let mut made = make(bundle, asked, directories)?;
    if run.detach {
        made.hand_over()?;
        return Ok(0);
    }
    made.foreground()
}

/// [`restore`], detached, for a caller that links us (the shim): with [`Arguments::takes_console`] it gets the terminal's master.
///
/// # Errors
/// As [`restore`].
pub fn restore_here(args: &Arguments, asked: &Restore) -> Result<Here> {
    let directories = Directories::open(&asked.common.image_path, asked.common.work_path.as_deref())?;
    let bundle = Bundle::open(args, Some(Run { detach: true, ..Run::default() }))?;
    let mut made = make(bundle, asked, directories)?;
    made.hand_over()?;
    Ok(Here { pid: made.outcome.process.pid, console: made.outcome.console.take() })
}

fn make<'a>(mut bundle: Bundle<'a>, asked: &Restore, directories: Directories) -> Result<Made<'a>> {
    let cgroups = Host::detect()?;
    super::create::check(&bundle.spec, &cgroups, &bundle.validation())?;
    bundle.learn_maps()?;
    super::facts::check_rootfs(&bundle.rootfs)?;
    let criu = Criu::find()?;
    let version = criu.version(options::OLDEST)?;
    let links = directories.read_descriptors()?;
    let (placement, facts) = bundle.place(cgroups)?;
    let owned = OwnedCgroup::new(&facts.cgroups, &placement.paths)?;
    let plan = compile::restore(&bundle.request(), &facts)?;
    let specs = [bundle.spec.clone(), with_time_namespace(&bundle.spec)];

    let (mut creating, sockets) = bundle.claim()?;
    let origin = bundle.origin();
    let request = Request {
        bundle: &bundle,
        asked,
        directories: &directories,
        criu: &criu,
        version,
        links,
        specs: &specs,
        origin: &origin,
    };
    let made = request.execute(&plan, &mut creating, owned.as_ref(), placement);
    match made {
        Ok(outcome) => {
            let dir = Some(creating.into_dir());
            let (trace, plan) = Default::default();
            Ok(Made { bundle, dir, outcome, sockets, trace, plan, restored: true, ended: false })
        }
        Err(failed) => {
            let error = failed.error.clone();
            bundle.undo(creating, owned.as_ref(), *failed);
            Err(error)
        }
    }
}

/// CRIU restores into a time namespace, so that clocks go on: whoever joins the container has to join it, too.
fn with_time_namespace(spec: &Spec) -> Spec {
    let mut spec = spec.clone();
    let linux = spec.linux.get_or_insert_default();
    if !linux.namespaces.iter().any(|ns| ns.kind == "time") {
        linux.namespaces.push(Namespace { kind: "time".to_owned(), path: String::new() });
    }
    spec
}

/// What is restored, and how.
struct Request<'a> {
    bundle: &'a Bundle<'a>,
    asked: &'a Restore,
    directories: &'a Directories,
    criu: &'a Criu,
    version: i32,
    links: Vec<String>,
    /// config.json; and what it is in a new time namespace.
    specs: &'a [Spec; 2],
    origin: &'a Origin<'a>,
}

impl<'x> Request<'x> {
    fn execute(
        &self,
        plan: &'x compile::Restore,
        creating: &'x mut Creating,
        owned: Option<&'x OwnedCgroup>,
        placement: super::facts::Placement,
    ) -> std::result::Result<Outcome, Box<Failed>> {
        let detached = self.bundle.run.is_none_or(|r| r.detach);
        let signals = if detached { None } else { Some(Signals::block().map_err(Failed::with_nothing)?) };
        let stdio = self.bundle.stdio(detached, 0).map_err(Failed::with_nothing)?;
        let root =
            creating.dir().make_criu_root().and_then(|()| criu_root(creating.dir())).map_err(Failed::with_nothing)?;
        let [spec, _] = self.specs;
        let linux = spec.linux.clone().unwrap_or_default();
        let mut execution = Execution::new(&plan.before, self.bundle.identity());
        execution.owned = owned;
        execution.cgroup_paths = placement.paths;
        execution.unit = placement.unit.map(|(name, facts)| (name, facts.scope));
        execution.manager = placement.manager;
        execution.rootless = self.bundle.args.rootless_cgroups;
        if self.bundle.args.rootless_cgroups && linux.cgroups_path.is_empty() && execution.unit.is_none() {
            execution.denied = Denied::GoWithout;
        }
        execution.creating = Some(creating);
        execution.maps = (linux.uid_mappings, linux.gid_mappings);
        execution.origin = Some((spec, self.origin));
        let StdioPlan { child, relay, .. } = stdio;
        let result = self.run(&mut execution, plan, &root, child);
        let Execution { process, console, cgroup, unit, unit_started, manager, resctrl_made, .. } = execution;
        let unit = unit.map(|(name, _)| name).zip(manager).filter(|_| unit_started);
        match (result, process) {
            (Ok(()), Some(process)) => {
                Ok(Outcome { process, console, relay, signals, notify: None, net_devices: None })
            }
            (Ok(()), None) => Err(Failed::with_nothing(Error::new("criu restored no process"))),
            (Err(error), process) => {
                Err(Box::new(Failed { error, process, cgroup, unit, resctrl_made, net_devices: None }))
            }
        }
    }

    fn run(
        &self,
        execution: &mut Execution<'x>,
        plan: &compile::Restore,
        root: &str,
        child: [Option<OwnedFd>; 3],
    ) -> Result<()> {
        execution.run()?;
        let [spec, _] = self.specs;
        let config = Config::from_spec(spec, self.origin)?;
        let mut facts = RestoreFacts {
            version: self.version,
            directories: (0, None),
            root: root.to_owned(),
            mountpoints: tree::prepare(&config, root)?,
            cgroup_binds: cgroup_binds(&execution.cgroup.as_ref().map(Cgroup::paths).unwrap_or_default())?,
            links: self.links.clone(),
        };
        let stdio = stdio_of(child, self.bundle.terminal())?;
        let namespaces = namespaces(&config)?;
        let more: Vec<BorrowedFd<'_>> = namespaces.iter().map(AsFd::as_fd).collect();
        let (mut conversation, directories) = tree::with_root(&config, root, || {
            let directories = self.directories.again()?;
            Ok((self.criu.start(stdio.each_ref().map(AsFd::as_fd), &more, true)?, directories))
        })?;
        facts.directories = (directories.images(), directories.work());
        let mut opts = options::restore(self.asked, &config, &facts)?;
        // Pipes end with the container, not with us.
        execution.links = images::links(conversation.pid())?;
        drop((stdio, namespaces));
        self.enter(execution, plan, &conversation, &mut opts)?;
        let mut restoring = Restoring { request: self, execution, made: &plan.made };
        let answered =
            conversation.ask(&swrk::request(kind::RESTORE, opts), |notify, fd| restoring.notified(notify, fd));
        if let Err(e) = answered {
            // First, so that the log is whole.
            drop(conversation);
            return Err(self.directories.explain(e, RESTORE_LOG));
        }
        let exit = conversation.finish()?;
        if exit.shell_status() != 0 {
            let error = Error::new(format!("criu failed: exit status {}", exit.shell_status()));
            return Err(self.directories.explain(error, RESTORE_LOG));
        }
        let Some(creating) = &execution.creating else { return Ok(()) };
        creating.dir().remove_criu_root().and_then(|()| creating.dir().mark_checkpoint(false))
    }

    /// CRIU, which waits, enters the container's cgroup; and is told it as the place of what it makes, wherever that was before.
    fn enter(
        &self,
        execution: &mut Execution<'x>,
        plan: &compile::Restore,
        conversation: &swrk::Conversation,
        opts: &mut Opts,
    ) -> Result<()> {
        let pid = conversation.pid();
        if let Some(cgroup) = &execution.cgroup {
            cgroup.enter(pid).doing(|| "error adding criu to the container's cgroup")?;
        }
        let pidfd = conversation.pidfd().try_clone_to_owned().map_err(|e| Error::io("dup", &e))?;
        execution.process = Some(Process { pid, pidfd: PidFd::from(pidfd), start_time: 0 });
        let entered = execution.steps(&plan.after);
        // From here on it is ended by the conversation.
        execution.process = None;
        entered?;
        let here = Membership::of(pid)?.ok_or_else(|| Error::new("criu has ended"))?;
        let root = |(key, path): (&str, &str)| CgRoot { ctrl: Some(key.to_owned()), path: path.to_owned() };
        opts.cg_root = here.all().map(root).collect();
        Ok(())
    }
}

/// A restoration, between CRIU's notifications.
struct Restoring<'a, 'x> {
    request: &'a Request<'x>,
    execution: &'a mut Execution<'x>,
    made: &'a [ParentStep],
}

impl Restoring<'_, '_> {
    fn notified(&mut self, notify: &Notify, fd: Option<OwnedFd>) -> Result<()> {
        match notify.script.as_str() {
            "setup-namespaces" => self.hooks(notify.pid),
            "orphan-pts-master" => {
                let master = fd.ok_or_else(|| Error::new("criu sent no descriptor of the terminal"))?;
                super::console::check_master(master.as_fd())?;
                self.execution.console = Some(master);
                Ok(())
            }
            "post-restore" => self.restored(notify.pid),
            _ => Ok(()),
        }
    }

    fn hooks(&self, pid: i32) -> Result<()> {
        let bundle = self.request.bundle;
        let hooks = bundle.spec.hooks.clone().unwrap_or_default();
        let cwd =
            CString::new(bundle.path.as_str()).map_err(|_| Error::new("the bundle's path contains a nul byte"))?;
        for (moment, list) in [(Moment::Prestart, &hooks.prestart), (Moment::CreateRuntime, &hooks.create_runtime)] {
            hooks::run(moment, list, &bundle.state(Status::Creating, pid), Some(&cwd))?;
        }
        Ok(())
    }

    fn restored(&mut self, pid: i32) -> Result<()> {
        let failed = |call: &str, e| Error::sys(format!("{call} {pid}, which criu has restored"), e);
        let pidfd = PidFd::open(pid).map_err(|e| failed("pidfd_open", e))?;
        // It is asked for as our child (rst_sibling): another process's pid is not believed.
        match pidfd.try_reap() {
            Ok(None) => {}
            Ok(Some(_)) => return Err(Error::new("the restored process has ended")),
            Err(e) => return Err(failed("waitid of", e)),
        }
        if has_own_time(pid)? {
            let [_, in_time] = self.request.specs;
            self.execution.origin = Some((in_time, self.request.origin));
        }
        self.execution.process = Some(Process { pid, pidfd, start_time: start_time(pid)? });
        self.execution.steps(self.made)
    }
}

fn has_own_time(pid: i32) -> Result<bool> {
    let inode = |path: String| match nix::sys::stat::stat(path.as_str()) {
        Ok(stat) => Ok(Some(stat.st_ino)),
        // Before Linux 5.6.
        Err(Errno::ENOENT) => Ok(None),
        Err(e) => Err(Error::sys(format!("stat {path}"), e)),
    };
    Ok(inode(format!("/proc/{pid}/ns/time"))? != inode("/proc/self/ns/time".to_owned())?)
}

/// `ROOT/ID/criu-root` by its true name: CRIU compares it with the table of mounts.
fn criu_root(dir: &ContainerDir) -> Result<String> {
    let path =
        nix::fcntl::readlink(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&dir.as_fd())).as_str());
    let path = path.map_err(|e| Error::sys("readlink of the state directory", e))?;
    let path = Path::new(&path).join(CRIU_ROOT);
    path.into_os_string().into_string().map_err(|_| Error::new("the path of the state root is not UTF-8"))
}

/// CRIU's 0-2, which become those of the container's processes that had pipes there.
fn stdio_of(child: [Option<OwnedFd>; 3], terminal: bool) -> Result<[OwnedFd; 3]> {
    let mut all = Vec::new();
    for (ours, given) in stdio().into_iter().zip(child) {
        all.push(match given {
            Some(fd) => fd,
            None if terminal => swrk::null()?,
            None => ours.try_clone_to_owned().map_err(|e| Error::io("dup", &e))?,
        });
    }
    all.try_into().map_err(|_| Error::new("three descriptors"))
}

/// Those that CRIU gets as descriptors.
fn namespaces(config: &Config) -> Result<Vec<OwnedFd>> {
    let open = |(_, path): (_, &str)| match files::open(path, OFlag::O_RDONLY) {
        Ok(fd) => Ok(fd),
        Err(e) => {
            crate::log::error(Error::sys(format!("open {path}"), e).doing("a namespace that is named must exist"));
            Err(Error::new(format!("Requested network namespace {path} does not exist")))
        }
    };
    options::inherited_namespaces(config).into_iter().map(open).collect()
}
