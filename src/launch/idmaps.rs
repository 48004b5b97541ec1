//! The maps of a user namespace (user_namespaces(7)): written directly, or by newuidmap(1) and newgidmap(1) where we may not.

use std::ffi::{CString, OsStr};
use std::fmt::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{getegid, geteuid, write};

use crate::error::{Errno, Error, Result};
use crate::spec::IdMapping;
use crate::sys::pidfd::Exit;
use crate::sys::spawn::{Program, spawn};

/// Writes the maps of the user namespace that `pid`, our child, is in.
pub fn write_maps(pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    if !geteuid().is_root() && is_self_alone(gids) {
        // Without privilege the kernel takes a group map only from who gives up setgroups(2) (CVE-2014-8989).
        put(pid, "setgroups", "deny").map_err(|e| Error::sys(format!("write /proc/{pid}/setgroups"), e))?;
    }
    one(pid, "uid_map", "newuidmap", uids)?;
    one(pid, "gid_map", "newgidmap", gids)
}

/// One id, and it is our own group.
fn is_self_alone(gids: &[IdMapping]) -> bool {
    matches!(gids, [one] if one.size == 1 && one.host_id == getegid().as_raw())
}

fn one(pid: i32, file: &str, helper: &str, maps: &[IdMapping]) -> Result<()> {
    let mut text = String::new();
    for m in maps {
        writeln!(text, "{} {} {}", m.container_id, m.host_id, m.size).ok();
    }
    match put(pid, file, &text) {
        Ok(()) => Ok(()),
        Err(Errno::EPERM) => by_helper(pid, helper, maps),
        Err(e) => Err(Error::sys(format!("write /proc/{pid}/{file}"), e)),
    }
}

fn put(pid: i32, file: &str, text: &str) -> std::result::Result<(), Errno> {
    let fd = open(format!("/proc/{pid}/{file}").as_str(), OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    write(&fd, text.as_bytes()).map(drop)
}

/// The helper is set-user-ID root, and checks our claim against /etc/subuid.
fn by_helper(pid: i32, helper: &str, maps: &[IdMapping]) -> Result<()> {
    let failed = || format!("failed to use {} on {pid}", helper.replace("id", "id "));
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    let numbers = maps.iter().flat_map(|m| [m.container_id, m.host_id, m.size]).map(|n| n.to_string());
    let words = [helper.to_owned(), pid.to_string()].into_iter().chain(numbers);
    let args: Vec<CString> = words.filter_map(|w| CString::new(w).ok()).collect();
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|e| Error::io("open /dev/null", &e))?;
    for dir in path.as_bytes().split(|b| *b == b':').filter(|d| d.starts_with(b"/")) {
        let program = [dir, b"/", helper.as_bytes()].concat();
        let Ok(program) = CString::new(program) else { continue };
        let stdio = [null.as_fd(), null.as_fd(), null.as_fd()];
        let Ok(child) = spawn(&Program { path: &program, args: &args, env: &[], cwd: None, stdio }) else { continue };
        return match child.pidfd.reap() {
            Ok(Exit::Code(0)) => Ok(()),
            Ok(exit) => {
                let text =
                    format!("{} ended with {}", OsStr::from_bytes(program.as_bytes()).display(), exit.shell_status());
                Err(Error::new(text)
                    .doing(failed())
                    .hint("the ids have to be granted to this user in /etc/subuid and /etc/subgid"))
            }
            Err(e) => Err(Error::sys("waitid", e).doing(failed())),
        };
    }
    Err(Error::new(format!("exec: {helper:?}: executable file not found in $PATH"))
        .doing(failed())
        .hint("Debian's package uidmap has it"))
}
