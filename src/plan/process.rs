//! The `process` object and what goes with it, for init and for exec alike: each function adds the steps of a few fields.

use std::collections::BTreeMap;

use dunnage_steps::flags::{Caps, Namespaces};
use dunnage_steps::{Owned, Slot, Step};

use super::compile::{Options, Request};
use super::entering::Entering;
use super::facts::Facts;
use super::parent::ParentStep;
use super::{ChildStep, Plan, c, cs};
use crate::error::{Error, Result};
use crate::seccomp;
use crate::spec::oci_state::{self, OciState, Status};
use crate::spec::{Hook, Linux, Process, list, names, sysctl};

/// The private procfs, if anything needs it.
pub fn needs_proc(program: &Process, linux: &Linux, needed: bool) -> Option<Step<Owned>> {
    let full = !linux.sysctl.is_empty();
    let labels = !program.apparmor_profile.is_empty() || !program.selinux_label.is_empty();
    (full || labels || needed).then_some(Step::Proc { full })
}

/// The session keyring `_ses.ID`, which every process of the container joins.
pub fn keyring(p: &mut Plan, id: &str, label: &str, user_namespace: bool) -> Result<()> {
    // Search, for those who exec into it: in a user namespace they are "others", else they have root's uid (keyrings(7)).
    let permissions = if user_namespace { 0x8 } else { 0x8_0000 };
    let field = if label.is_empty() { "" } else { "/process/selinuxLabel" };
    p.child(Step::Keyring { name: c(format!("_ses.{id}"), "")?, permissions, label: c(label, field)? }, field);
    Ok(())
}

/// Terminal or not, a session of its own.
pub fn stdio(p: &mut Plan, program: &Process, facts: &Facts, mount_console: bool) {
    if program.terminal {
        console(p, program, mount_console);
        p.child(Step::Session { terminal: true }, "/process/terminal");
        return;
    }
    p.always(Step::Session { terminal: false });
    if facts.stdio_null != 0 {
        p.always(Step::StdioNull { descriptors: facts.stdio_null });
    }
    stdio_owner(p, program, facts);
}

/// Root has given them away already. Who is not can do so as root of the user namespace alone, inside.
pub fn stdio_owner(p: &mut Plan, program: &Process, facts: &Facts) {
    if facts.euid != 0 && program.user.uid != 0 {
        p.child(Step::StdioOwner { uid: program.user.uid }, "/process/user/uid");
    }
}

/// A terminal of the container's devpts; who its session is comes later.
pub fn console(p: &mut Plan, program: &Process, mount: bool) {
    let size = program.console_size.clone().unwrap_or_default();
    let short = |n: u64| u32::try_from(n).unwrap_or(0);
    p.parent(ParentStep::Wait(dunnage_steps::Barrier::Console));
    let step = Step::Console { uid: program.user.uid, rows: short(size.height), columns: short(size.width), mount };
    p.child(step, "/process/terminal");
}

/// The AppArmor profile of the next execve.
pub fn apparmor(p: &mut Plan, profile: &str) -> Result<()> {
    if !profile.is_empty() {
        let field = "/process/apparmorProfile";
        p.child(Step::AppArmor { profile: c(profile, field)? }, field);
    }
    Ok(())
}

/// The SELinux label of the next execve.
pub fn selinux(p: &mut Plan, label: &str) -> Result<()> {
    if !label.is_empty() {
        let field = "/process/selinuxLabel";
        p.child(Step::SELinux { label: c(label, field)? }, field);
    }
    Ok(())
}

/// `linux.sysctl`. What is allowed is the validation's business; the path comes from the same table.
pub fn sysctls(p: &mut Plan, linux: &Linux) -> Result<()> {
    for (key, value) in &linux.sysctl {
        let mut field = "/linux/sysctl".to_owned();
        crate::spec::text::push_pointer(&mut field, key);
        let dotted = sysctl::normalise(key);
        let path = sysctl::path(&dotted).ok_or_else(|| {
            Error::new(format!("sysctl {dotted:?} is not in a separate kernel namespace")).field(field.clone())
        })?;
        p.child(Step::Sysctl { path: c(path, &field)?, value: c(value, &field)? }, field);
    }
    Ok(())
}

/// What the process sets for itself while it is root: no_new_privs, I/O priority, personality, memory policy.
pub fn attributes(p: &mut Plan, program: &Process, linux: &Linux) -> Result<()> {
    if program.no_new_privileges {
        p.child(Step::NoNewPrivileges {}, "/process/noNewPrivileges");
    }
    if let Some(io) = &program.io_priority {
        let class = names::number(names::IOPRIO_CLASSES, &io.class).ok_or_else(|| {
            Error::new(format!("invalid ioPriority.Class: {:?}", io.class)).field("/process/ioPriority/class")
        })?;
        let priority = u32::try_from(io.priority).map_err(|_| {
            Error::new(format!("invalid ioPriority.Priority: {}", io.priority)).field("/process/ioPriority/priority")
        })?;
        p.child(Step::IoPriority { value: class << 13 | priority }, "/process/ioPriority");
    }
    if let Some(personality) = &linux.personality {
        let domain = names::number(names::PERSONALITIES, &personality.domain).ok_or_else(|| {
            Error::new(format!("invalid personality domain {}", personality.domain)).field("/linux/personality/domain")
        })?;
        p.child(Step::Personality { domain: domain.into() }, "/linux/personality");
    }
    if let Some(policy) = &linux.memory_policy {
        let field = "/linux/memoryPolicy";
        let mode = names::number(names::MPOL_MODES, &policy.mode)
            .ok_or_else(|| Error::new(format!("invalid memory policy mode {:?}", policy.mode)).field(field))?;
        let flags = policy.flags.iter().filter_map(|f| names::number(names::MPOL_FLAGS, f)).fold(0, |a, b| a | b);
        let nodes = list::parse(&policy.nodes, list::MAX_NODES)
            .map(|mask| mask.words().to_vec())
            .map_err(|e| Error::new(format!("invalid memory policy nodes {:?}: {e}", policy.nodes)).field(field))?;
        p.child(Step::MemoryPolicy { mode: mode | flags, nodes }, field);
    }
    Ok(())
}

/// What the parent sets on the process from outside, since only it has the privilege. Before the process is another user: then
/// it would take more privilege (prlimit(2)).
pub fn rlimits(p: &mut Plan, program: &Process) {
    if !program.rlimits.is_empty() {
        p.parent(ParentStep::Rlimits(program.rlimits.clone()));
    }
}

/// How many descriptors init may have open by now, and how many the runtime has.
const MANY_DESCRIPTORS: u64 = 512;

/// Under a low limit of open files there has to be room below it for the files of what follows.
pub fn few_descriptors(p: &mut Plan, program: &Process, options: &Options, fifo: Slot) {
    if program.rlimits.iter().any(|l| l.kind == "RLIMIT_NOFILE" && l.soft < MANY_DESCRIPTORS) {
        let from = options.extra_descriptors.saturating_add(3);
        p.child(Step::Close { from, root: true, proc: true, keep: fifo }, "/process/rlimits");
    }
}

/// The scheduling policy, from outside for the same reason. Of the last process, as it may not be inherited
/// (SCHED_FLAG_RESET_ON_FORK).
pub fn scheduler(p: &mut Plan, program: &Process) {
    if let Some(scheduler) = &program.scheduler {
        p.parent(ParentStep::Scheduler(scheduler.clone()));
    }
}

/// The filter, compiled.
pub fn seccomp(linux: &Linux, facts: &Facts) -> Result<Option<ChildStep>> {
    let Some(profile) = &linux.seccomp else { return Ok(None) };
    let native = seccomp::native().ok_or_else(|| Error::new("seccomp is not supported on this architecture"))?;
    let supported = u32::try_from(facts.seccomp_flags).unwrap_or(0);
    let Some(program) = seccomp::compile(profile, native, supported)? else { return Ok(None) };
    let word = |i: &seccomp::SockFilter| {
        // struct sock_filter as it lies in memory: u16 code, u8 jt, u8 jf, u32 k.
        let [c0, c1] = i.code.to_ne_bytes();
        let [k0, k1, k2, k3] = i.k.to_ne_bytes();
        u64::from_ne_bytes([c0, c1, i.jt, i.jf, k0, k1, k2, k3])
    };
    let filter = program.filter.iter().map(word).collect();
    let step = Step::Seccomp { flags: program.flags.into(), notify: program.notify, filter };
    Ok(Some(ChildStep { step, field: "/linux/seccomp".into() }))
}

/// The runtime's side of a filter that notifies.
pub fn listener(p: &mut Plan, filter: &Option<ChildStep>) {
    if let Some(ChildStep { step: Step::Seccomp { notify: true, .. }, .. }) = filter {
        p.parent(ParentStep::Wait(dunnage_steps::Barrier::Listener));
        p.parent(ParentStep::Tell(dunnage_steps::Barrier::Listening));
    }
}

/// The working directory, as root. Before a filter that is loaded with privileges: how we find it is no business of the profile's
/// (openat2(2) is in few that are older than Linux 5.6).
pub fn cwd(p: &mut Plan, program: &Process) -> Result<()> {
    p.child(Step::Cwd { path: c(&program.cwd, "/process/cwd")? }, "/process/cwd");
    Ok(())
}

/// User, groups, capabilities, the working directory as that user: in the only order in which each still has the privilege that it needs.
pub fn become_user(p: &mut Plan, program: &Process, facts: &Facts, e: &Entering) -> Result<()> {
    let path = c(&program.cwd, "/process/cwd")?;
    let caps = program.capabilities.as_ref().map(|caps| sets(caps, facts, e));
    if let Some(caps) = &caps {
        p.child(Step::Bounding { keep: caps.bounding }, "/process/capabilities/bounding");
    }
    let user = &program.user;
    let groups = user.additional_gids.iter().map(|g| u64::from(*g)).collect();
    // Rootless: the kernel permits it only where the maps were written by a privileged helper, and then for none but those.
    let set_groups = facts.euid == 0 && !facts.setgroups_denied;
    p.child(Step::Ids { uid: user.uid, gid: user.gid, set_groups, groups }, "/process/user");
    p.child(Step::CwdAgain { path }, "/process/cwd");
    if let Some(caps) = caps {
        let Sets { effective, permitted, inheritable, ambient, .. } = caps;
        p.child(Step::Capabilities { effective, permitted, inheritable, ambient }, "/process/capabilities");
    }
    Ok(())
}

struct Sets {
    bounding: Caps,
    effective: Caps,
    permitted: Caps,
    inheritable: Caps,
    ambient: Caps,
}

/// The five sets. What the runtime itself lacks it cannot give, except in a user namespace of the container's own.
fn sets(caps: &crate::spec::Capabilities, facts: &Facts, e: &Entering) -> Sets {
    let ours = if e.has(Namespaces::USER) { u64::MAX } else { facts.capabilities };
    let set = |names: &[String]| Caps(names::capability_set(names, facts.last_capability) & ours);
    let (permitted, inheritable) = (set(&caps.permitted), set(caps.inheritable.as_deref().unwrap_or_default()));
    Sets {
        bounding: set(&caps.bounding),
        effective: set(&caps.effective),
        permitted,
        inheritable,
        // What is not both permitted and inheritable the kernel would refuse (capabilities(7)); many a config names it.
        ambient: Caps(set(&caps.ambient).0 & permitted.0 & inheritable.0),
    }
}

/// Looks for the program, after the home directory if the environment lacks one.
pub fn find(p: &mut Plan, program: &Process) -> Result<()> {
    let (env, home) = environment(program, &Options::default());
    if home {
        p.child(Step::Home { uid: program.user.uid }, "/process/env");
    }
    let path = env.iter().find_map(|e| e.strip_prefix("PATH=")).unwrap_or_default();
    let name = program.args.first().ok_or_else(|| Error::new("args must not be empty").field("/process/args"))?;
    p.child(Step::Find { program: c(name, "/process/args/0")?, path: c(path, "/process/env")? }, "/process/args/0");
    Ok(())
}

/// execve.
pub fn execute(program: &Process, options: &Options) -> Result<Step<Owned>> {
    let (env, home) = environment(program, options);
    Ok(Step::Exec {
        args: cs(&program.args, "/process/args")?,
        env: cs(&env, "/process/env")?,
        home,
        close_from: options.extra_descriptors.saturating_add(3),
    })
}

/// The environment of the program, and whether HOME has to be added. Of a name that is given twice the last counts, where
/// it stands; an empty HOME counts as none.
pub fn environment(program: &Process, options: &Options) -> (Vec<String>, bool) {
    let mut env = program.env.clone();
    // Ours come last, so that those of the config, which speak of other sockets, do not count.
    if options.notify_dir.is_some() {
        env.push("NOTIFY_SOCKET=/run/notify/notify.sock".into());
    }
    if options.listen_fds > 0 {
        env.push(format!("LISTEN_FDS={}", options.listen_fds));
        env.push("LISTEN_PID=1".into());
    }
    let last: BTreeMap<&str, usize> = env.iter().enumerate().map(|(i, e)| (name_of(e), i)).collect();
    let counts = |(i, e): (usize, &String)| last.get(name_of(e)) == Some(&i) && e != "HOME=";
    let mut kept = env.iter().enumerate().map(counts).collect::<Vec<bool>>().into_iter();
    env.retain(|_| kept.next() == Some(true));
    let home = !env.iter().any(|entry| entry.starts_with("HOME="));
    (env, home)
}

fn name_of(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

/// Hooks that run in the container: createContainer and startContainer.
pub fn hooks(p: &mut Plan, r: &Request<'_>, name: &str, hooks: &[Hook], e: &Entering) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let before_start = name == "createContainer";
    let status = if before_start { Status::Creating } else { Status::Created };
    let (state, state_end) = state(r, status, e)?;
    let (inherited, home) = match &r.spec.process {
        Some(program) if !before_start => environment(program, r.options),
        _ => (Vec::new(), false),
    };
    for (i, hook) in hooks.iter().enumerate() {
        let field = format!("/hooks/{name}/{i}");
        let args = if hook.args.is_empty() { std::slice::from_ref(&hook.path) } else { &hook.args };
        let step = Step::Hook {
            name: c(name, "")?,
            index: u32::try_from(i).unwrap_or(u32::MAX),
            path: c(&hook.path, &field)?,
            args: cs(args, &field)?,
            env: cs(hook.env.as_ref().unwrap_or(&inherited), &field)?,
            inherit_home: home && hook.env.is_none(),
            in_root: before_start,
            timeout: hook.timeout.and_then(|s| u64::try_from(s).ok()).unwrap_or(0).saturating_mul(1000),
            state: c(&state, "")?,
            state_end: c(&state_end, "")?,
        };
        p.child(step, field);
    }
    Ok(())
}

/// The state document, cut where the pid stands if that is not known before the container runs.
fn state(r: &Request<'_>, status: Status, e: &Entering) -> Result<(String, String)> {
    let document = OciState {
        oci_version: crate::spec::default::OCI_VERSION,
        id: r.id,
        status,
        pid: 1,
        bundle: r.bundle,
        annotations: &r.spec.annotations,
    };
    let line = String::from_utf8(oci_state::to_json(&document)?).map_err(|e| Error::new(e.to_string()))?;
    if e.inner_pid().is_some() {
        return Ok((line, String::new()));
    }
    // A quote inside a string is escaped, so this is the key and no text of somebody's.
    let key = "\"pid\":";
    match line.split_once(&format!("{key}1")) {
        Some((head, tail)) => Ok((format!("{head}{key}"), tail.into())),
        None => Err(Error::new("the state document has no pid")),
    }
}
