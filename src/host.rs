//! This host, as far as a configuration's validity depends on it. Each fact is read when it is asked for and only then: most
//! configurations ask for none. Knows nothing of what is done with the answers.

use std::os::fd::AsFd;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use std::os::unix::fs::MetadataExt;

use nix::sys::statfs::statfs;
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::cgroup;
use crate::seccomp::{self, flag};
use crate::spec::IdMapping;
use crate::spec::names::NamespaceKind;
use crate::spec::validate::{HostFacts, IdMaps, OwnedMaps, Rdt};
use crate::sys::seccomp::knows_flags;
use crate::sys::userns::Holder;

/// For [`crate::spec::validate::validate`].
pub fn facts(cgroups: &cgroup::Host) -> HostFacts<'static> {
    HostFacts {
        cgroup_v2: cgroups.version() == cgroup::host::Version::V2,
        last_cap: &last_capability,
        has_namespace: &has_namespace,
        selinux: &has_selinux,
        rdt: &rdt,
        is_own_netns: &is_own_netns,
        userns_maps: &userns_maps,
    }
}

/// Whether root here is not root on the host: /proc/self/uid_map is not the identity (user_namespaces(7)). Without a /proc
/// that tells, we are taken to be in the initial user namespace.
pub fn in_user_namespace() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        // One read: a map of an initial user namespace is one line. std would ask for the size, and read again for the end.
        let mut map = [0u8; 64];
        let read =
            crate::files::open("/proc/self/uid_map", OFlag::O_RDONLY).and_then(|fd| nix::unistd::read(&fd, &mut map));
        read.is_ok_and(|n| !is_identity(map.get(..n).unwrap_or_default()))
    })
}

/// Whether our user namespace was made by somebody without privilege over its parent, who may not drop groups.
pub fn setgroups_denied() -> bool {
    crate::files::read("/proc/self/setgroups").is_ok_and(|text| text.trim_ascii() == b"deny")
}

fn is_identity(uid_map: &[u8]) -> bool {
    let mut words = uid_map.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
    let first = [words.next(), words.next(), words.next()];
    first == [Some(&b"0"[..]), Some(b"0"), Some(b"4294967295")] && words.next().is_none()
}

/// The highest capability of the kernel. Where /proc does not tell, that of the oldest kernel we run on (5.4:
/// CAP_AUDIT_READ): a kernel refuses sets with a capability that it does not have.
pub fn last_capability() -> u8 {
    const CAP_AUDIT_READ: u8 = 37;
    let text = crate::files::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
    text.trim_end().parse().unwrap_or(CAP_AUDIT_READ)
}

/// Whether the kernel has namespaces of this kind. If that can't be told now, it will say so when one is made.
pub fn has_namespace(kind: &NamespaceKind) -> bool {
    let file = std::fs::symlink_metadata(format!("/proc/self/ns/{}", kind.file));
    !file.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
}

/// Whether SELinux is on, as libselinux and runc tell it: selinuxfs is mounted where it always is, not read-only (as in a
/// container), and a policy is loaded, without which every process is called `kernel`.
pub fn has_selinux() -> bool {
    const ROOT: &str = "/sys/fs/selinux";
    let writable = || statvfs(ROOT).is_ok_and(|fs| !fs.flags().contains(FsFlags::ST_RDONLY));
    let has_policy =
        || crate::files::read("/proc/self/attr/current").is_ok_and(|label| !label.starts_with(b"kernel\0"));
    is_mount_of(ROOT, libc::SELINUX_MAGIC) && writable() && has_policy()
}

/// Whether AppArmor is on.
pub fn has_apparmor() -> bool {
    crate::files::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.first() == Some(&b'Y'))
}

/// What resctrl offers.
pub fn rdt() -> Rdt {
    let Some(root) = resctrl() else { return Rdt::default() };
    let has = |name: &str| std::fs::symlink_metadata(format!("{root}/info/{name}")).is_ok();
    // With code and data prioritisation (CDP) the one cache shows as two.
    Rdt { enabled: true, l3: has("L3") || has("L3CODE"), mb: has("MB") }
}

/// Where resctrl is mounted: where everybody mounts it.
pub fn resctrl() -> Option<String> {
    const ROOT: &str = "/sys/fs/resctrl";
    is_mount_of(ROOT, libc::RDTGROUP_SUPER_MAGIC).then(|| ROOT.to_owned())
}

/// The `SECCOMP_FILTER_FLAG_*` of the specification that the kernel knows.
pub fn seccomp_flags() -> u32 {
    let known = |flag: u32| match flag {
        // The kernel takes this one only together with that one.
        flag::WAIT_KILLABLE_RECV => knows_flags(flag | flag::NEW_LISTENER),
        flag => knows_flags(flag),
    };
    seccomp::FLAGS.iter().map(|(_, flag)| *flag).filter(|flag| known(*flag)).fold(0, |all, flag| all | flag)
}

fn is_mount_of(path: &str, magic: libc::c_long) -> bool {
    statfs(path).is_ok_and(|fs| i128::from(fs.filesystem_type().0) == i128::from(magic))
}

/// Whether the file is the network namespace that we are in.
///
/// # Errors
/// In words: it cannot be told.
pub fn is_own_netns(path: &str) -> Result<bool, String> {
    let id = |path: &str| {
        let meta = std::fs::metadata(path).map_err(|e| crate::error::Error::io(format_args!("stat {path}"), &e))?;
        Ok((meta.dev(), meta.ino()))
    };
    let both = id(path).and_then(|theirs| Ok(theirs == id("/proc/self/ns/net")?));
    both.map_err(|e: crate::error::Error| e.to_string())
}

/// The maps of the user namespace that `path` is. None: only root could tell.
///
/// # Errors
/// In words: they cannot be read.
pub fn userns_maps(path: &str) -> Result<Option<OwnedMaps>, String> {
    match path.strip_prefix("/proc/").and_then(|rest| rest.strip_suffix("/ns/user")) {
        Some(process) => maps_of(process).map(Some),
        None => maps_within(path),
    }
}

/// A file that is bound somewhere names no process: one is sent there.
fn maps_within(path: &str) -> Result<Option<OwnedMaps>, String> {
    let told = |call: &str, e: Errno| crate::error::Error::sys(format!("{call} {path}"), e).to_string();
    let file = crate::files::open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK);
    let file = file.map_err(|e| told("open", e))?;
    match Holder::of(file.as_fd()) {
        Ok(holder) => maps_of(&holder.pid.to_string()).map(Some),
        Err(Errno::EPERM) if !geteuid().is_root() => Ok(None),
        Err(e) => Err(told("setns", e)),
    }
}

fn maps_of(process: &str) -> Result<OwnedMaps, String> {
    let map = |file: &str| {
        let path = format!("/proc/{process}/{file}");
        let text = crate::files::read_to_string(&path)
            .map_err(|e| crate::error::Error::io(format_args!("open {path}"), &e).to_string())?;
        parse_map(&text).ok_or_else(|| format!("{path}: not an id map"))
    };
    Ok(IdMaps { uid: map("uid_map")?, gid: map("gid_map")? })
}

fn parse_map(text: &str) -> Option<Vec<IdMapping>> {
    text.lines()
        .map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse);
            let mut next = || numbers.next()?.ok();
            Some(IdMapping { container_id: next()?, host_id: next()?, size: next()? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::names::NAMESPACES;

    #[test]
    fn identity_map_is_the_initial_user_namespace() {
        assert!(is_identity(b"         0          0 4294967295\n"));
        for map in [&b"         0       1000          1\n"[..], b"", b"0 0 4294967294\n", b"0 0 4294967295\n1 1 1\n"] {
            assert!(!is_identity(map));
        }
    }

    #[test]
    fn this_kernel() {
        assert!((37..64).contains(&last_capability()));
        let mount = NAMESPACES.iter().find(|k| k.name == "mount").unwrap();
        assert!(has_namespace(mount));
        // Since Linux 3.17 and 4.14; no kernel has a flag 1 << 30.
        assert_eq!(seccomp_flags() & (flag::TSYNC | flag::LOG), flag::TSYNC | flag::LOG);
        assert!(!knows_flags(1 << 30));
        assert_eq!(is_own_netns("/proc/self/ns/net"), Ok(true));
        assert_eq!(is_own_netns("/proc/self/ns/uts"), Ok(false));
        assert_eq!(is_own_netns("/nonexistent").unwrap_err(), "stat /nonexistent: no such file or directory");
    }

    #[test]
    fn maps_are_those_of_the_process() {
        let own = userns_maps("/proc/self/ns/user").unwrap().unwrap();
        let text = std::fs::read_to_string("/proc/self/uid_map").unwrap();
        assert_eq!(own.uid.len(), text.lines().count());
        assert_eq!(userns_maps("/nonexistent").unwrap_err(), "open /nonexistent: no such file or directory");
        let other = userns_maps("/proc/self/task/../ns/uts");
        assert!(other.as_ref().is_err_and(|e| e.contains("invalid argument")) || other == Ok(None));
        assert!(userns_maps("/proc/0/ns/user").is_err());
        let maps = parse_map("         0     100000      65536\n     65536 4294967294          1\n").unwrap();
        assert_eq!(maps[0], IdMapping { container_id: 0, host_id: 100_000, size: 65536 });
        assert_eq!(maps[1].host_id, u32::MAX - 1);
        assert_eq!(parse_map("0 1\n"), None);
    }
}
