//! Asks the host what a plan and the validation may know of it; each thing only if the configuration makes it matter.

use std::os::fd::AsFd;

use dunnage_steps::flags::Namespaces;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::geteuid;

use crate::cgroup::{Host, Paths};
use crate::error::{Errno, Error, Result};
use crate::plan::Facts;
use crate::seccomp;
use crate::spec::names::NamespaceKind;
use crate::spec::validate::{HostFacts, Rdt};
use crate::spec::{IdMapping, Spec, names, validate};

/// The kernel's highest capability; the newest that we know if it does not say.
pub fn last_capability() -> u8 {
    let text = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
    text.trim().parse().unwrap_or(40)
}

/// What this process may give: its permitted set.
pub fn own_capabilities() -> Result<u64> {
    let set = caps::read(None, caps::CapSet::Permitted).map_err(|e| Error::new(format!("capget: {e}")))?;
    Ok(set.iter().fold(0, |bits, cap| bits | cap.bitmask()))
}

/// Which of descriptors 0-2 are the null device.
fn stdio_null() -> u32 {
    let is_null = |fd: std::os::fd::BorrowedFd<'_>| {
        fstat(fd).is_ok_and(|s| SFlag::from_bits_truncate(s.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR && s.st_rdev == 0x103)
    };
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]
        .into_iter()
        .zip([1, 2, 4])
        .filter(|(fd, _)| is_null(*fd))
        .fold(0, |bits, (_, bit)| bits | bit)
}

/// What the kernel knows of `SECCOMP_FILTER_FLAG_*`: asked with a filter that cannot be read (EFAULT: known, EINVAL: not).
pub fn seccomp_flags() -> u32 {
    seccomp::FLAGS.iter().map(|(_, flag)| *flag).filter(|flag| crate::sys::seccomp::knows_flag(*flag)).fold(0, |a, b| a | b)
}

/// Full procfs and sysfs mounts of the host, for `--no-pivot`.
fn proc_mounts(rootfs: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").map_err(|e| Error::io("open /proc/self/mountinfo", &e))?;
    let full = |line: &str| {
        let (head, tail) = line.split_once(" - ")?;
        let fields: Vec<&str> = head.split(' ').collect();
        let (root, point) = (*fields.get(3)?, *fields.get(4)?);
        let kind = tail.split(' ').next()?;
        let outside = !point.starts_with(rootfs);
        (matches!(kind, "proc" | "sysfs") && root == "/" && outside).then(|| point.to_owned())
    };
    Ok(text.lines().filter_map(full).collect())
}

/// The facts for creating a container.
pub fn gather(spec: &Spec, cgroups: Host, paths: &Paths, rootfs: &str, no_pivot: bool) -> Result<Facts> {
    let process = spec.process.as_ref();
    let has_caps = process.is_some_and(|p| p.capabilities.is_some());
    let terminal = process.is_some_and(|p| p.terminal);
    let filtered = spec.linux.as_ref().is_some_and(|l| l.seccomp.is_some());
    Ok(Facts {
        euid: geteuid().as_raw(),
        in_user_namespace: crate::cli::root::in_user_namespace(),
        capabilities: if has_caps { own_capabilities()? } else { 0 },
        last_capability: if has_caps { last_capability() } else { 0 },
        cgroups,
        cgroup_paths: paths.0.clone(),
        proc_mounts: if no_pivot { proc_mounts(rootfs)? } else { Vec::new() },
        stdio_null: if terminal { 0 } else { stdio_null() },
        seccomp_flags: if filtered { seccomp_flags().into() } else { 0 },
    })
}

/// What the validation may ask.
pub fn for_validation(cgroups: &Host) -> HostFacts<'static> {
    HostFacts {
        cgroup_v2: cgroups.version() == crate::cgroup::host::Version::V2,
        last_cap: &last_capability,
        has_namespace: &has_namespace,
        selinux: &selinux,
        rdt: &|| Rdt::default(),
        is_own_netns: &is_own_netns,
        userns_maps: &userns_maps,
    }
}

fn has_namespace(kind: &NamespaceKind) -> bool {
    nix::sys::stat::lstat(format!("/proc/self/ns/{}", kind.file).as_str()).is_ok()
}

fn selinux() -> bool {
    nix::sys::stat::stat("/sys/fs/selinux/enforce").is_ok()
}

fn is_own_netns(path: &str) -> std::result::Result<bool, String> {
    let stat = |path: &str| nix::sys::stat::stat(path).map_err(|e| Error::sys(format!("stat {path}"), e).to_string());
    let (there, own) = (stat(path)?, stat("/proc/self/ns/net")?);
    Ok((there.st_dev, there.st_ino) == (own.st_dev, own.st_ino))
}

/// Of `/proc/PID/ns/user` only: the maps are those of the process.
fn userns_maps(path: &str) -> std::result::Result<Option<validate::OwnedMaps>, String> {
    let Some(process) = path.strip_suffix("/ns/user").filter(|p| p.starts_with("/proc/")) else { return Ok(None) };
    let read = |name: &str| -> Option<Vec<IdMapping>> {
        let text = std::fs::read_to_string(format!("{process}/{name}")).ok()?;
        text.lines().map(map_line).collect()
    };
    Ok(read("uid_map").zip(read("gid_map")).map(|(uid, gid)| validate::OwnedMaps { uid, gid }))
}

fn map_line(line: &str) -> Option<IdMapping> {
    let mut numbers = line.split_ascii_whitespace().map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(IdMapping { container_id: next()?, host_id: next()?, size: next()? })
}

/// Kinds of namespaces as flags, from their names in state.json.
pub fn namespaces_of_state(kinds: impl Iterator<Item = String>) -> Namespaces {
    kinds
        .filter_map(|name| names::NAMESPACES.iter().find(|k| k.libcontainer == name))
        .filter_map(|kind| u64::try_from(kind.clone_flag).ok())
        .fold(Namespaces::none(), |all, flag| all.with(Namespaces(flag)))
}

/// The container's root has to be there, under its own name: a link in it could be another directory a moment later.
pub fn check_rootfs(path: &str) -> Result<()> {
    use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(nix::fcntl::AT_FDCWD, path, how) {
        Ok(_) => Ok(()),
        Err(Errno::ELOOP) => Err(Error::new("invalid rootfs: not an absolute path, or a symlink").field("/root/path")),
        Err(e) => Err(Error::sys(format!("stat {path}"), e).doing("invalid rootfs").field("/root/path")),
    }
}
