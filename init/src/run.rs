//! The loop: reads the plan step by step and does each. The state between steps is [`Init`]: a few descriptors.

use crate::sys::{self, Errno, Fd};
use crate::text::{Path, Text};
use crate::{console, hook, landlock, mounts, namespaces, nodes, path, process, program, root, talk, trace};
use core::ffi::CStr;
use dunnage_steps::wire::{Get, Reader};
use dunnage_steps::{Borrowed, Call, MAX_PLACES, Say, Slot, Step};

/// Why a step failed: the call and its errno. Which step it was, the parent knows from the plan.
#[derive(Debug)]
pub struct Failure {
    pub call: Call,
    pub errno: Errno,
    pub value: i64,
}

impl Failure {
    pub fn of(call: Call, errno: Errno) -> Failure {
        Failure { call, errno, value: 0 }
    }

    /// Something found wrong that no call reported.
    pub fn found(what: Call) -> Failure {
        Failure::of(what, Errno(0))
    }
}

/// Names the call that an errno came from.
pub trait At<T> {
    fn at(self, call: Call) -> Result<T, Failure>;
}

impl<T> At<T> for sys::Result<T> {
    fn at(self, call: Call) -> Result<T, Failure> {
        self.map_err(|errno| Failure::of(call, errno))
    }
}

/// What the result of a step is.
pub type Done = Result<(), Failure>;

/// What lasts from step to step.
pub struct Init<'a> {
    /// The sync socket.
    pub sync: i32,
    /// The descriptors that the parent gave.
    pub slots: [i32; MAX_PLACES],
    /// Index of the step being done.
    pub step: u32,
    /// Where to note when it ends.
    pub ticks: Option<trace::Ticks>,
    /// Detail for a failure's message.
    pub detail: Text<1024>,
    /// The container's root, once there is one.
    pub root: Option<Fd>,
    /// A private procfs.
    pub proc: Option<Fd>,
    /// The mount made last.
    pub mount: Option<Fd>,
    /// The null device of the host, for masks and standard descriptors.
    pub null: Option<Fd>,
    /// The empty file system that covers masked directories.
    pub empty: Option<Fd>,
    /// The directory that nodes were last made in.
    pub directory: Option<(&'a [u8], Fd)>,
    /// Where it was made.
    pub mounted: &'a CStr,
    /// Places (bits) whose namespaces are joined.
    pub joined: u64,
    /// Landlock is in force.
    pub restricted: bool,
    /// `cwd` was refused, `cwd-again` has to do it.
    pub cwd_pending: bool,
    /// The user's program, as `find` found it.
    pub program: Path,
    /// `HOME=...` of the user.
    pub home: Path,
    /// The hook that is running, or failed: its name and number.
    pub hook: Option<(&'a CStr, u32)>,
    /// The parent was told `done` and no longer listens; failures go to standard error.
    pub done: bool,
}

impl Init<'_> {
    /// The descriptor in a place.
    pub fn slot(&self, slot: Slot) -> Result<i32, Failure> {
        usize::try_from(slot.0)
            .ok()
            .and_then(|i| self.slots.get(i))
            .copied()
            .filter(|fd| *fd >= 0)
            .ok_or(Failure::found(Call::Plan))
    }

    /// The container's root: inside it once it is pivoted to, the same descriptor serves.
    pub fn root(&self) -> Result<i32, Failure> {
        self.root.as_ref().map(Fd::raw).ok_or(Failure::found(Call::Plan))
    }

    /// Says more about a failure that follows: what was being looked at.
    pub fn about(&mut self, what: &CStr) {
        self.detail.clear();
        self.detail.push(what.to_bytes());
    }
}

/// Does the whole plan; ends with the user's program or with an exit.
pub fn run(sync: i32, plan: i32, len: usize) -> ! {
    sys::set_name(c"dunnage-init");
    let mut init = Init {
        sync,
        slots: [-1; MAX_PLACES],
        step: 0,
        ticks: None,
        detail: Text::new(),
        root: None,
        proc: None,
        mount: None,
        null: None,
        empty: None,
        directory: None,
        mounted: c"/",
        joined: 0,
        restricted: false,
        cwd_pending: false,
        program: Path::new(),
        home: Path::new(),
        hook: None,
        done: false,
    };
    let failure = match sys::map(plan, len) {
        Ok(bytes) => {
            drop(Fd::from_raw(plan));
            all_steps(&mut init, bytes)
        }
        Err(errno) => Failure::of(Call::Plan, errno),
    };
    if init.done {
        hook::name_failed(&mut init, &failure);
        program::say_why(&init, &failure);
    } else {
        talk::report(&init, Say::Failed, &failure);
    }
    sys::exit(255)
}

fn all_steps(init: &mut Init<'static>, bytes: &'static [u8]) -> Failure {
    let mut plan = Reader::new(bytes);
    let slots = u32::get(&mut plan).unwrap_or(0);
    for i in 0..slots {
        match (usize::try_from(i).ok().and_then(|i| init.slots.get_mut(i)), i32::get(&mut plan)) {
            (Some(slot), Some(fd)) => *slot = fd,
            _ => return Failure::found(Call::Plan),
        }
    }
    loop {
        let Some(step) = Step::<Borrowed<'static>>::get(&mut plan) else { return Failure::found(Call::Plan) };
        init.detail.clear();
        if let Err(failure) = one_step(init, step) {
            return failure;
        }
        if let Some(ticks) = &init.ticks {
            ticks.end(init.step);
        }
        init.step = init.step.saturating_add(1);
    }
}

/// The table of verbs.
fn one_step(init: &mut Init<'static>, step: Step<Borrowed<'static>>) -> Done {
    match step {
        Step::Trace { into, steps } => trace::begin(init, into, steps),
        Step::Wait { barrier, first } => talk::wait(init, barrier, first),
        Step::Tell { barrier } => {
            init.done |= barrier == dunnage_steps::Barrier::Done;
            talk::tell(init, barrier, 0)
        }
        Step::EnterCgroups { first, count } => namespaces::enter_cgroups(init, first, count),
        Step::Hide {} => sys::prctl(sys::PR_SET_DUMPABLE, 0, 0).at(Call::Prctl).map(|_| ()),
        Step::Join { from, kinds, retry } => namespaces::join(init, from, kinds, retry),
        Step::Unshare { kinds } => sys::unshare(kinds.0).at(Call::Unshare),
        Step::TimeOffsets { text } => namespaces::time_offsets(init, text),
        Step::BecomeRoot {} => namespaces::become_root(),
        Step::Fork {} => namespaces::fork(init),
        Step::Proc { full } => namespaces::proc(init, full),
        Step::Keyring { name, permissions, label } => process::keyring(init, name, permissions, label),
        Step::Loopback {} => namespaces::loopback(),

        Step::Propagation { flags } => path::mount_of_host(None, c"/", None, flags.0).at(Call::Mount),
        Step::PrivateParent { path, from, flags } => root::private_parent(init, path, from, flags),
        Step::Root { path, from, bind } => root::root(init, path, from, bind),
        Step::InitRoot { from } => root::init_root(init, from),
        Step::Mount { fstype, source, dest, flags, data, keep_mode, copy_up, in_proc, fallback, label } => {
            mounts::mount(
                init,
                &mounts::Filesystem { fstype, source, dest, flags, data, keep_mode, copy_up, in_proc, fallback, label },
            )
        }
        Step::Bind { source, from, dest, recursive, remount, set, clear, in_proc, procfs, optional, detached } => {
            mounts::bind(
                init,
                &mounts::Bind {
                    source,
                    from,
                    dest,
                    recursive,
                    remount,
                    set,
                    clear,
                    in_proc,
                    procfs,
                    optional,
                    detached,
                },
            )
        }
        Step::Attributes { set, clear } => mounts::attributes(init, set, clear),
        Step::Propagate { flags } => mounts::propagate(init, flags),
        Step::Mkdir { path, mode } => nodes::mkdir(init, path, mode),
        Step::Node { path, kind, major, minor, mode, uid, gid, bind, exact } => {
            nodes::node(init, &nodes::Node { path, kind, major, minor, mode, uid, gid, bind, exact })
        }
        Step::Symlink { target, path, replace, target_exists } => {
            nodes::symlink(init, target, path, replace, target_exists)
        }
        Step::ReadOnly { path } => mounts::read_only(init, path),
        Step::Pivot { keep_null, slave } => root::pivot(init, keep_null, slave),
        Step::Cover { path } => root::cover(path),
        Step::MoveRoot { keep_null } => root::move_root(init, keep_null),
        Step::Chroot {} => root::chroot(init),
        Step::Mask { path, label } => mounts::mask(init, path, label),
        Step::ReadOnlyPath { path } => mounts::read_only_path(init, path),

        Step::Console { uid, rows, columns, mount } => console::console(init, uid, rows, columns, mount),
        Step::Session { terminal } => console::session(terminal),
        Step::StdioNull { descriptors } => console::stdio_null(init, descriptors),
        Step::StdioOwner { uid } => console::stdio_owner(uid),
        Step::Hostname { name } => sys::sethostname(name).at(Call::Sethostname),
        Step::Domainname { name } => sys::setdomainname(name).at(Call::Setdomainname),
        Step::Umask { mode } => {
            sys::umask(mode);
            Ok(())
        }
        Step::Sysctl { path, value } => process::sysctl(init, path, value),
        Step::AppArmor { profile } => process::apparmor(init, profile),
        Step::SELinux { label } => process::selinux(init, label),
        Step::NoNewPrivileges {} => sys::prctl(sys::PR_SET_NO_NEW_PRIVS, 1, 0).at(Call::Prctl).map(|_| ()),
        Step::IoPriority { value } => sys::ioprio_set_process_group(value).at(Call::IoprioSet),
        Step::Personality { domain } => sys::personality(domain).at(Call::Personality),
        Step::MemoryPolicy { mode, nodes } => process::memory_policy(mode, nodes),
        Step::Seccomp { flags, notify, filter } => process::seccomp(init, flags, notify, filter),
        Step::Landlock { handled, read, write, optional, fifo } => {
            landlock::landlock(init, &landlock::Kept { handled, read, write, optional, fifo })
        }
        Step::Cwd { path } => process::cwd(init, path),
        Step::CwdAgain { path } => process::cwd_again(init, path),
        Step::Bounding { keep } => process::bounding(keep),
        Step::Ids { uid, gid, set_groups, groups } => process::ids(uid, gid, set_groups, groups),
        Step::Capabilities { effective, permitted, inheritable, ambient } => {
            process::capabilities(init, effective, permitted, inheritable, ambient)
        }
        Step::Home { uid } => program::home(init, uid),
        Step::Find { program, path } => program::find(init, program, path),
        Step::Hook { name, index, path, args, env, inherit_home, in_root, timeout, state, state_end } => hook::hook(
            init,
            &hook::Hook { name, index, path, args, env, inherit_home, in_root, timeout, state, state_end },
        ),
        Step::Close { from, root, proc, keep } => program::close(init, from, root, proc, keep),
        Step::Fifo { from, close_from } => program::fifo(init, from, close_from),
        Step::Exec { args, env, home, close_from } => program::exec(init, args, env, home, close_from),
    }
}
