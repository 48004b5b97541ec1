//! The words for what failed in the container: `dunnage-init` says which step and which errno; the plan, which we still
//! hold, says what that step was and which field of config.json asked for it.

use dunnage_steps::flags::MountFlags;
use dunnage_steps::{Call, Owned, Step};

use super::sync::Heard;
use crate::error::{Errno, Error};
use crate::log;
use crate::plan::{ChildStep, Place, Plan};
use crate::spec::landlock::ANNOTATION;

/// What the child reported, as an error for the user.
pub fn explain(plan: &Plan, heard: &Heard) -> Error {
    let message = heard.message;
    let call = Call::from_u32(message.call).unwrap_or(Call::Plan);
    let errno = Errno::from_raw(message.errno);
    if message.step == u32::MAX {
        return Error::sys(call.name(), errno).doing("start dunnage-init");
    }
    let step = usize::try_from(message.step).ok().and_then(|i| plan.child.get(i));
    let Some(ChildStep { step, field }) = step else {
        return Error::sys(format!("step {} of the container's half: {}", message.step, call.name()), errno);
    };
    let found = Found { call, errno, value: message.value, text: &heard.text };
    let error = match (step, joined(plan, step)) {
        (Step::Join { kinds, .. }, Some(path)) => found.plain(format!("setns {path} (namespace {kinds})")),
        _ => words(step, &found),
    };
    let error = match hint(step, &found) {
        Some(hint) => error.hint(hint),
        None => error,
    };
    if field.is_empty() { error } else { error.field(field.to_string()) }
}

/// The file of the namespace that a step joins.
fn joined<'p>(plan: &'p Plan, step: &Step<Owned>) -> Option<&'p str> {
    let Step::Join { from, .. } = step else { return None };
    match usize::try_from(from.0).ok().and_then(|i| plan.places.get(i)) {
        Some(Place::Namespace { path, .. }) => Some(path),
        _ => None,
    }
}

struct Found<'a> {
    call: Call,
    errno: Errno,
    value: i64,
    text: &'a str,
}

impl Found<'_> {
    /// `call: errno`, or what was found wrong.
    fn plain(&self, call: impl std::fmt::Display) -> Error {
        if self.errno as i32 == 0 {
            Error::new(format!("{call}: {}", self.call.name()))
        } else {
            Error::sys(call, self.errno)
        }
    }
}

fn words(step: &Step<Owned>, f: &Found<'_>) -> Error {
    let show = |s: &std::ffi::CStr| s.to_string_lossy().into_owned();
    match step {
        Step::Find { program, .. } => find(&show(program), f),
        Step::Cwd { path, .. } | Step::CwdAgain { path } if f.call == Call::Outside => {
            let text = "current working directory is outside of container mount namespace root -- possible container breakout detected";
            Error::new(text).doing(format!("chdir to cwd ({:?}) set in config.json failed", show(path)))
        }
        Step::Cwd { path, .. } | Step::CwdAgain { path } => {
            f.plain(format!("chdir to cwd ({:?}) set in config.json failed", show(path)))
        }
        Step::Mount { source, dest, fstype, flags, data, .. } => {
            let text = format!("fstype={}, flags={flags}, data={}", show(fstype), show(data));
            mount(&show(source), &show(dest), *flags, &text, f)
        }
        Step::Bind { source, dest, recursive, .. } => {
            if f.call == Call::OpenTree || f.call == Call::Open && f.text == show(source) {
                return f.plain(format!("open {}", show(source))).doing("failed to fulfil mount request");
            }
            let flags = if *recursive { MountFlags::BIND.with(MountFlags::REC) } else { MountFlags::BIND };
            mount(&show(source), &show(dest), flags, &format!("flags={flags}"), f)
        }
        Step::Sysctl { path, value } => {
            let file = format!("/proc/sys/{}", show(path));
            if f.call == Call::Open {
                f.plain(format!("open {file}")).doing(format!("open sysctl {} file", show(path).replace('/', ".")))
            } else {
                f.plain(format!("write {file}")).doing(format!("failed to write sysctl value {:?}", show(value)))
            }
        }
        Step::AppArmor { .. } => f
            .plain(format!("{} /proc/self/attr/apparmor/exec", f.call.name()))
            .doing("apparmor failed to apply profile")
            .doing("unable to apply apparmor profile"),
        // podman takes what has such a path in such quotes for an error of a security module.
        Step::Keyring { .. } if matches!(f.call, Call::Open | Call::Write) => f
            .plain(format!("{} `/proc/self/attr/keycreate`", f.call.name()))
            .doing("unable to label the session keyring"),
        Step::SELinux { .. } => {
            f.plain(format!("{} `/proc/self/attr/exec`", f.call.name())).doing("unable to apply selinux label")
        }
        Step::Hook { name, index, .. } => hook(&show(name), *index, f),
        Step::Ids { uid, gid, .. } => match (f.call, f.errno) {
            (Call::Setresgid, Errno::EINVAL) => {
                Error::new(format!("cannot setgid to unmapped gid {gid} in user namespace"))
            }
            (Call::Setresuid, Errno::EINVAL) => {
                Error::new(format!("cannot setuid to unmapped uid {uid} in user namespace"))
            }
            _ => f.plain(f.call.name()).doing("set the user of the process"),
        },
        Step::Console { .. } => {
            f.plain(format!("{} of /dev/pts/ptmx", f.call.name())).doing("make the container's terminal")
        }
        Step::Capabilities { .. } => f.plain(f.call.name()).doing("unable to apply caps"),
        Step::Node { path, .. } => {
            let error = if matches!(f.call, Call::NotTheDevice | Call::AnotherFile) {
                Error::new(f.call.name())
            } else {
                f.plain(format!("{} {}", f.call.name(), show(path)))
            };
            error.doing(format!("error creating device nodes: {}", show(path)))
        }
        Step::Seccomp { .. } => f.plain(f.call.name()).doing("error loading seccomp filter into kernel"),
        Step::Landlock { .. } => {
            let what =
                if f.text.is_empty() { f.call.name().to_owned() } else { format!("{} {}", f.call.name(), f.text) };
            f.plain(what).doing(format!("annotation {ANNOTATION}"))
        }
        Step::StdioNull { .. } if f.call == Call::NotANull => Error::new("container's /dev/null is invalid"),
        Step::Exec { args, .. } => {
            let program = args.first().map(|a| show(a)).unwrap_or_default();
            let error = f.plain(format!("exec {program}"));
            if f.text.is_empty() { error } else { error.hint(f.text) }
        }
        other => {
            let about = if f.text.is_empty() { String::new() } else { format!(" {}", f.text) };
            f.plain(format!("{}{about}", f.call.name())).doing(other.to_string())
        }
    }
}

fn find(program: &str, f: &Found<'_>) -> Error {
    let exec = format!("exec: {program:?}");
    match f.call {
        Call::NotFoundInPath | Call::RelativeInPath => f.plain(exec),
        Call::NotListed => f.plain(format!("{exec}: {}", f.text)),
        Call::Stat => f.plain(format!("stat {program}")).doing(exec),
        _ => f.plain(exec),
    }
}

fn mount(source: &str, dest: &str, flags: MountFlags, details: &str, f: &Found<'_>) -> Error {
    let what = match f.call {
        Call::NotADirectory if matches!(dest, "/proc" | "/sys") => {
            return Error::new(format!(
                "filesystem {:?} must be mounted on ordinary directory",
                dest.trim_start_matches('/')
            ));
        }
        Call::OnRoot => return Error::new(format!("mountpoint {dest:?} is on the top of rootfs")),
        Call::InsideProc => return Error::new(format!("{dest:?} cannot be mounted because it is inside /proc")),
        Call::NotProcType => return Error::new(format!("{dest:?} cannot be mounted because it is not of type proc")),
        Call::LockedFlags => format!("cannot clear locked flags (of {flags})"),
        call => format!("{} src={source}, dst={dest}, {details}", call.name()),
    };
    let error = if f.call == Call::LockedFlags { Error::sys(what, f.errno) } else { f.plain(what) };
    error.doing(format!("error mounting {source:?} to rootfs at {dest:?}"))
}

fn hook(name: &str, index: u32, f: &Found<'_>) -> Error {
    let why = match f.call {
        Call::HookTimeout => "hook ran past specified timeout".to_owned(),
        // From 128 on it is how a shell would say that a signal ended it.
        Call::HookFailed if f.value > 128 => format!("signal {}, {}", f.value.saturating_sub(128), f.text),
        Call::HookFailed => format!("exit status {}, {}", f.value, f.text),
        _ => f.plain(f.call.name()).to_string(),
    };
    Error::new(format!("error running {name} hook #{index}: {why}"))
}

/// Where the errno alone misleads.
fn hint(step: &Step<Owned>, f: &Found<'_>) -> Option<String> {
    if let (Step::AppArmor { profile }, Call::Write, Errno::ENOENT) = (step, f.call, f.errno) {
        return Some(format!("the profile {:?} is not loaded: apparmor_parser -r FILE", profile.to_string_lossy()));
    }
    let text = match (step, f.call, f.errno) {
        (Step::Find { .. }, Call::Execve, Errno::EACCES) if !f.text.is_empty() => f.text,
        (Step::Landlock { .. }, Call::Open, Errno::ENOENT | Errno::ENOTDIR) => {
            "each path has to be there: make it in the image or by a mount, or take it out of the list"
        }
        (Step::Landlock { .. }, Call::Open, Errno::ELOOP) => {
            "a link that a process has in /proc is not followed, nor a ring of links: name the file itself"
        }
        (Step::Find { .. }, Call::NotListed, _) => {
            "add it, or a directory above it, to \"read\"; programs need their libraries, too"
        }
        (_, Call::Mount | Call::MoveMount | Call::OpenTree, Errno::ENOSPC) => {
            "the mount namespace is full: see the sysctl fs.mount-max"
        }
        (_, Call::Keyctl, Errno::EDQUOT) => {
            "the user has too many keys: see the sysctl kernel.keys.maxkeys, or use --no-new-keyring"
        }
        (Step::Unshare { .. }, _, Errno::ENOSPC) => "too many namespaces: see the sysctls user.max_*_namespaces",
        (_, Call::Open, Errno::ENOSYS) => {
            "openat2 is missing: Linux 5.6 is needed, or a seccomp filter around us that lets it pass"
        }
        (Step::Attributes { .. } | Step::Propagate { .. }, _, Errno::ENOSYS) => {
            "mount_setattr is missing: Linux 5.12 is needed"
        }
        (Step::Console { .. }, Call::Open, Errno::ENOENT) => {
            "the container has no devpts at /dev/pts: add that mount, or set terminal to false"
        }
        (Step::Capabilities { .. }, _, Errno::EPERM) => {
            "a set asks for a capability that the permitted set (or the runtime) does not have"
        }
        (Step::AppArmor { .. }, Call::Write, Errno::EINVAL) => "AppArmor is off, or this is no name of a profile",
        (Step::Keyring { .. } | Step::SELinux { .. }, Call::Write, Errno::EINVAL) => "the policy has no such label",
        (Step::Keyring { .. } | Step::SELinux { .. }, Call::Write, Errno::EACCES) => {
            "the policy does not let us set labels: we would need setexec and setkeycreate"
        }
        (Step::Mount { data, .. }, Call::Mount, Errno::EINVAL | Errno::EACCES)
            if data.to_bytes().ends_with(b"\"") && data.to_string_lossy().contains("context=\"") =>
        {
            "the policy may not have /linux/mountLabel, or not let us mount with it"
        }
        (Step::Mount { fstype, .. }, Call::Mount, Errno::EPERM) if fstype.to_bytes() == b"proc" => {
            "in a user namespace that takes a new pid namespace, made with it; without one, bind /proc (rbind). In a container \
             whose own /proc is masked, the kernel allows neither"
        }
        (Step::Mount { fstype, .. }, Call::Mount, Errno::EPERM) if fstype.to_bytes() == b"sysfs" => {
            "in a user namespace that takes a new network namespace, made with it; without one, bind /sys (rbind)"
        }
        (Step::Node { bind: true, .. }, Call::OpenTree | Call::NotTheDevice, _) => {
            "in a user namespace devices cannot be made: those of the host are bound, by the same path"
        }
        (Step::Join { .. }, _, Errno::EINVAL) => "it is no namespace of this kind, or one that we are in already",
        (Step::Mount { fstype, .. }, _, Errno::EINVAL) if fstype.to_bytes() == b"devpts" => {
            "a gid=5 that the user namespace does not map gives this"
        }
        _ => return None,
    };
    Some(text.into())
}

/// What did not work, though the container is made.
pub fn warn(heard: &Heard) {
    let errno = Errno::from_raw(heard.message.errno);
    let call = Call::from_u32(heard.message.call).map_or("?", Call::name);
    log::warn(Error::sys(format!("{call} ({})", heard.message.value), errno).doing("capability not made ambient"));
}
