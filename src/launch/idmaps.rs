//! The maps of a user namespace (user_namespaces(7)): written directly, or by newuidmap(1) and newgidmap(1) where we may not.

use std::fmt::Write;

use nix::fcntl::OFlag;
use nix::unistd::{getegid, geteuid, write};

use super::hooks::{Ended, to_its_end};
use crate::error::{Errno, Error, Result};
use crate::spec::{Hook, IdMapping};

/// Writes the maps of the user namespace that `pid`, our child, is in.
pub fn write_maps(pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    if !geteuid().is_root() && is_self_alone(gids) {
        // Without privilege the kernel takes a group map only from who gives up setgroups(2) (CVE-2014-8989).
        put(pid, "setgroups", "deny").map_err(|e| Error::sys(format!("write /proc/{pid}/setgroups"), e))?;
    }
    one(pid, Kind::User, uids).map_err(|e| e.field("/linux/uidMappings"))?;
    one(pid, Kind::Group, gids).map_err(|e| e.field("/linux/gidMappings"))
}

/// Which of the two maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    Group,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Kind::User => 'u',
            Kind::Group => 'g',
        }
    }

    fn helper(self) -> &'static str {
        match self {
            Kind::User => "newuidmap",
            Kind::Group => "newgidmap",
        }
    }

    /// What to do about it, by what the helper says.
    fn why_refused(self, said: &str) -> String {
        let (letter, helper, uid) = (self.letter(), self.helper(), geteuid());
        if said.contains("Operation not permitted") {
            format!(
                "{helper} may not do it: it has to be set-user-ID root (or have file capabilities), on a file system that \
                 is not nosuid, and its caller without no_new_privs"
            )
        } else {
            let usermod = if self == Kind::User { "--add-subuids" } else { "--add-subgids" };
            format!(
                "these ids have to be granted to uid {uid} in /etc/sub{letter}id (usermod {usermod} FIRST-LAST USER)"
            )
        }
    }
}

/// One id, and it is our own group.
fn is_self_alone(gids: &[IdMapping]) -> bool {
    matches!(gids, [one] if one.size == 1 && one.host_id == getegid().as_raw())
}

fn one(pid: i32, kind: Kind, maps: &[IdMapping]) -> Result<()> {
    let file = format!("{}id_map", kind.letter());
    let mut text = String::new();
    for m in maps {
        writeln!(text, "{} {} {}", m.container_id, m.host_id, m.size).ok();
    }
    match put(pid, &file, &text) {
        Ok(()) => Ok(()),
        Err(Errno::EPERM) => by_helper(pid, kind, maps),
        Err(e @ Errno::EINVAL) => Err(Error::sys(format!("write /proc/{pid}/{file}"), e)
            .hint("the kernel takes up to 340 ranges, as less than a page of text, none of which overlaps another")),
        Err(e) => Err(Error::sys(format!("write /proc/{pid}/{file}"), e)),
    }
}

fn put(pid: i32, file: &str, text: &str) -> std::result::Result<(), Errno> {
    let fd = crate::files::open(format!("/proc/{pid}/{file}").as_str(), OFlag::O_WRONLY)?;
    write(&fd, text.as_bytes()).map(drop)
}

/// A directory service may have to be asked for the ranges.
const HELPER_SECONDS: i64 = 30;

/// The helper is set-user-ID root, and checks our claim against /etc/subuid. It is looked for in PATH, as by runc: it gets the
/// caller's privilege and no more from us, so whoever chooses it chooses for himself. It gets no environment.
fn by_helper(pid: i32, kind: Kind, maps: &[IdMapping]) -> Result<()> {
    let helper = kind.helper();
    let failed = || format!("failed to use new{}id map on {pid}", kind.letter());
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    let numbers = maps.iter().flat_map(|m| [m.container_id, m.host_id, m.size]).map(|n| n.to_string());
    let args: Vec<String> = [helper.into(), pid.to_string()].into_iter().chain(numbers).collect();
    // A relative entry would be a file of the bundle, which is our working directory.
    for dir in path.to_string_lossy().split(':').filter(|d| d.starts_with('/')) {
        let path = format!("{dir}/{helper}");
        let program = Hook { path, args: args.clone(), env: Some(Vec::new()), timeout: Some(HELPER_SECONDS) };
        return match to_its_end(&program, &[], None) {
            Err(e) if matches!(e.errno(), Some(Errno::ENOENT | Errno::EACCES | Errno::ENOTDIR)) => continue,
            Err(e) => Err(e.doing(failed())),
            Ok(Ended::Well) => Ok(()),
            Ok(Ended::Late(seconds)) => {
                Err(Error::new(format!("{} did not end within {seconds} s", program.path)).doing(failed()))
            }
            Ok(Ended::Badly { exit, stderr, .. }) => Err(Error::new(format!("{}: {exit}: {stderr}", program.path))
                .doing(failed())
                .hint(kind.why_refused(&stderr))),
        };
    }
    Err(Error::new(format!("exec: {helper:?}: executable file not found in $PATH"))
        .doing(failed())
        .hint("to map more than one's own id takes this program: Debian's package uidmap has it"))
}
