//! Files: the root file system, the program, hooks, devices.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, Gid, Uid, faccessat, setfsgid, setfsuid};

use super::{Asked, Findings, stat_failed};
use crate::files;
use crate::spec::Hook;

pub(super) fn look(findings: &mut Findings, asked: &Asked<'_>, bundle: &Path) {
    root(findings, asked, bundle);
    hooks(findings, asked, bundle);
    devices(findings, asked);
    terminal(findings, asked);
}

/// The root file system on the host.
pub(super) fn rootfs(asked: &Asked<'_>, bundle: &Path) -> Option<PathBuf> {
    asked.spec.root.as_ref().map(|root| bundle.join(&root.path))
}

fn root(findings: &mut Findings, asked: &Asked<'_>, bundle: &Path) {
    let Some(path) = rootfs(asked, bundle) else { return };
    let field = "/root/path";
    match std::fs::metadata(&path) {
        Err(e) => {
            let text = format!("invalid rootfs: {}", stat_failed(&path.to_string_lossy(), &e));
            findings.error("root", text, field).remedy("unpack the root file system there");
        }
        Ok(meta) if !meta.is_dir() => {
            findings.error("root", format!("{} is not a directory", path.display()), field);
        }
        Ok(_) => {
            findings.ok("root", format!("{} is a directory", path.display()), field);
            reachable(findings, asked, &path);
            if statvfs(&path).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOEXEC)) {
                findings
                    .error(
                        "root",
                        format!("{} is on a mount with noexec: nothing in it can be executed", path.display()),
                        field,
                    )
                    .remedy("mount -o remount,exec, or put the bundle elsewhere");
            }
            program(findings, asked, &path);
        }
    }
}

/// Root of a user namespace is an ordinary user of the host.
fn ordinary_root(asked: &Asked<'_>) -> Option<(u32, u32)> {
    let (uid, gid) = (asked.host_root(&asked.linux.uid_mappings), asked.host_root(&asked.linux.gid_mappings));
    (asked.has_new("user") && nix::unistd::geteuid().is_root() && uid != 0).then_some((uid, gid))
}

/// Who has to get into the root file system; to it, we lead. Asked of the kernel, as that user.
fn reachable(findings: &mut Findings, asked: &Asked<'_>, path: &Path) {
    let Some((uid, gid)) = ordinary_root(asked) else { return };
    let handle = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let Ok(root) = files::open(path, handle) else { return };
    // `.` in it is what takes the permission to search it.
    if as_user(uid, gid, || files::openat(&root, ".", handle)) == Err(Errno::EACCES) {
        let detail = format!("user {uid}, who is the container's root, may not enter {}", path.display());
        findings.error("root", detail, "/linux/uidMappings").remedy(format!("chmod o+x {}", path.display()));
    }
}

/// Who makes a destination that is missing.
pub(super) fn can_make(findings: &mut Findings, asked: &Asked<'_>, root: &Path, wanted: &Path, field: &str) {
    let Some((uid, gid)) = ordinary_root(asked) else { return };
    let above = wanted.ancestors().skip(1).find_map(|dir| Some((dir, open_in_root(root, dir).ok()?)));
    let Some((above, directory)) = above else { return };
    let denied = as_user(uid, gid, || faccessat(&directory, ".", AccessFlags::W_OK, AtFlags::AT_EACCESS));
    if denied == Err(Errno::EACCES) {
        let detail = format!(
            "{} is missing, and user {uid}, who is the container's root, may not write to {} of the image",
            wanted.display(),
            above.display()
        );
        findings.error("mounts", detail, field).remedy("make it in the image, or give the image to that user");
    }
}

/// With the rights of an ordinary user over files, which this thread gets and gives back (setfsuid(2)).
fn as_user<T>(uid: u32, gid: u32, call: impl FnOnce() -> nix::Result<T>) -> Result<(), Errno> {
    let group = setfsgid(Gid::from_raw(gid));
    let user = setfsuid(Uid::from_raw(uid));
    let result = call().map(drop);
    setfsuid(user);
    setfsgid(group);
    result
}

/// Where the program would be looked for. Mounts may bring it or hide it, so nothing more than a warning comes of it.
fn program(findings: &mut Findings, asked: &Asked<'_>, root: &Path) {
    let field = "/process/args/0";
    let Some(name) = asked.process.args.first() else { return };
    let path = asked.process.env.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or_default();
    let candidates: Vec<PathBuf> = match name.contains('/') {
        true => vec![Path::new(&asked.process.cwd).join(name)],
        false => path.split(':').filter(|dir| dir.starts_with('/')).map(|dir| Path::new(dir).join(name)).collect(),
    };
    match candidates.iter().find(|candidate| is_executable_in(root, candidate)) {
        Some(found) => findings.ok("program", format!("{} can be executed", found.display()), field),
        None => {
            let detail = format!("no executable {name:?} in the root file system, as long as no mount brings it");
            findings.warning("program", detail, field).remedy("check args, and PATH in env");
        }
    }
}

/// Resolved as the container will: a link of the image leads nowhere outside of it.
pub(super) fn in_root(root: &Path, path: &Path) -> nix::Result<nix::sys::stat::FileStat> {
    open_in_root(root, path).and_then(|file| nix::sys::stat::fstat(&file))
}

fn open_in_root(root: &Path, path: &Path) -> nix::Result<OwnedFd> {
    let root = files::open(root, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
    files::in_root(&root, path, OFlag::O_PATH)
}

fn is_executable_in(root: &Path, path: &Path) -> bool {
    in_root(root, path).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG && stat.st_mode & 0o111 != 0)
}

fn hooks(findings: &mut Findings, asked: &Asked<'_>, bundle: &Path) {
    let Some(hooks) = &asked.spec.hooks else { return };
    // createContainer's are looked up on the host as well: the root is not yet changed.
    for (name, list) in [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ] {
        list.iter().enumerate().for_each(|(i, hook)| host_hook(findings, name, i, hook));
    }
    let Some(root) = rootfs(asked, bundle) else { return };
    for (i, hook) in hooks.start_container.iter().enumerate() {
        if !is_executable_in(&root, Path::new(&hook.path)) {
            let detail = format!("no executable {} in the root file system, as long as no mount brings it", hook.path);
            findings.warning("hooks", detail, format!("/hooks/startContainer/{i}/path"));
        }
    }
}

fn host_hook(findings: &mut Findings, name: &str, i: usize, hook: &Hook) {
    let field = format!("/hooks/{name}/{i}/path");
    match std::fs::metadata(&hook.path) {
        Err(e) => {
            findings.error("hooks", stat_failed(&hook.path, &e), field).remedy("install it, or take the hook out");
        }
        Ok(meta) if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 => {
            findings
                .error("hooks", format!("{} is not executable", hook.path), field)
                .remedy(format!("chmod +x {}", hook.path));
        }
        Ok(_) => findings.ok("hooks", format!("{name}: {}", hook.path), field),
    }
}

/// Where devices cannot be made they are bound, so the host has to have them.
fn devices(findings: &mut Findings, asked: &Asked<'_>) {
    if !asked.has_user_namespace() && !asked.in_user_namespace() {
        return;
    }
    for (i, device) in asked.linux.devices.iter().enumerate().filter(|(_, d)| d.kind != "p") {
        let field = format!("/linux/devices/{i}");
        let wanted = (device.major.unwrap_or(0), device.minor.unwrap_or(0), device.kind == "b");
        match std::fs::metadata(&device.path) {
            Err(e) => findings
                .error("devices", stat_failed(&device.path, &e), field)
                .remedy("in a user namespace a device is the host's: it has to be there"),
            Ok(meta) => {
                let (major, minor) = (libc::major(meta.rdev()), libc::minor(meta.rdev()));
                let found = (i64::from(major), i64::from(minor), meta.file_type().is_block_device());
                if found != wanted {
                    let detail =
                        format!("{} of the host is {major}:{minor}, and that is what the container gets", device.path);
                    findings.warning("devices", detail, field);
                }
            }
        }
    }
}

/// A terminal is one of the container's own devpts.
fn terminal(findings: &mut Findings, asked: &Asked<'_>) {
    let has = |dest: &str| asked.spec.mounts.iter().any(|m| m.destination.trim_end_matches('/') == dest);
    if asked.process.terminal && asked.has_new("mount") && !has("/dev/pts") && !has("/dev") {
        findings
            .error("root", "a terminal takes a devpts at /dev/pts, and there is no such mount", "/process/terminal")
            .remedy("add the mount, or set terminal to false");
    }
}
