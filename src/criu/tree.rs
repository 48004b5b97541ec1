//! The container's mounts by name. For a checkpoint: where they are in its root, links followed, which is how CRIU knows external ones.
//! For a restore: a mount namespace of CRIU's own in which the new root is mounted as CRIU wants it, and the directories that mounts of
//! the configuration need. runc does both on the host, where a restore that is killed leaves its mounts; here they end with CRIU.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::fchdir;

use super::images::name_of;
use crate::error::{Context, Errno, Error, Result};
use crate::files;
use crate::state::{Config, Mount};
use crate::sys::mount::{MountAttr, mount_setattr, move_mount, open_tree_clone};

const HANDLE: OFlag = OFlag::O_PATH;
const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY);

/// The destination of a mount inside its root: some configurations name it from the host's.
fn inside<'a>(config: &Config, mount: &'a Mount) -> &'a str {
    mount.destination.strip_prefix(config.rootfs.as_str()).unwrap_or(&mount.destination)
}

/// Where the mounts of a container that runs are, in its own root.
///
/// # Errors
/// open(2) of its root.
pub fn mountpoints(pid: i32, config: &Config) -> Result<Vec<String>> {
    let root = root_of(pid)?;
    let find = |mount: &Mount| {
        let at = inside(config, mount);
        // What has been unmounted is of no interest to CRIU, under any name.
        files::in_root(&root, at, HANDLE).and_then(|fd| name_of(fd.as_fd())).unwrap_or_else(|_| crate::plan::clean(at))
    };
    Ok(config.mounts.iter().map(find).collect())
}

/// Which of the masked paths of a container that runs are there and no directories.
///
/// # Errors
/// open(2) of its root, or of one that is there.
pub fn masked_files(pid: i32, config: &Config) -> Result<Vec<String>> {
    let root = root_of(pid)?;
    let mut found = Vec::new();
    for path in &config.mask_paths {
        let failed = |e| Error::sys(format!("stat /proc/{pid}/root{path}"), e);
        match files::in_root(&root, path.as_str(), HANDLE) {
            Ok(fd) if is_directory(fd.as_fd()).map_err(failed)? => {}
            Ok(_) => found.push(path.clone()),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(found)
}

fn root_of(pid: i32) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}/root");
    files::open(path.as_str(), DIRECTORY).map_err(|e| Error::sys(format!("open {path}"), e))
}

fn is_directory(fd: BorrowedFd<'_>) -> std::result::Result<bool, Errno> {
    fstat(fd).map(|s| SFlag::from_bits_truncate(s.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR)
}

/// Makes the directories and files that the mounts of the configuration need, as creating the container would have, and returns where
/// they are. `at` is an empty directory of ours.
///
/// # Errors
/// `create criu restore mountpoint for X mount`.
pub fn prepare(config: &Config, at: &str) -> Result<Vec<String>> {
    in_own_namespace(|| {
        let root = mount_root(config, at)?;
        let tmpfs: Vec<String> = config
            .mounts
            .iter()
            .filter(|m| m.device == "tmpfs")
            .map(|m| crate::plan::clean(inside(config, m)))
            .collect();
        // CRIU makes what is on a tmpfs with the rest of its contents.
        let on_tmpfs =
            |path: &str| tmpfs.iter().any(|t| path.strip_prefix(t.as_str()).is_some_and(|r| r.starts_with('/')));
        let mut found = Vec::new();
        for mount in &config.mounts {
            let path = crate::plan::clean(inside(config, mount));
            if on_tmpfs(&path) || mount.device == "cgroup" {
                found.push(path);
                continue;
            }
            let made = one(root.as_fd(), mount, &path, at);
            found.push(made.doing(|| format!("create criu restore mountpoint for {} mount", mount.destination))?);
        }
        Ok(found)
    })
}

/// The place of one mount. What is bound is bound, since others may be inside of it.
fn one(root: BorrowedFd<'_>, mount: &Mount, path: &str, at: &str) -> Result<String> {
    let bound = match mount.device.as_str() {
        "bind" => {
            let failed = |call: &str, e| Error::sys(format!("{call} {}", mount.source), e);
            let source = files::open(mount.source.as_str(), HANDLE).map_err(|e| failed("open", e))?;
            let directory = is_directory(source.as_fd()).map_err(|e| failed("stat", e))?;
            let tree = open_tree_clone(source.as_fd(), true).map_err(|e| failed("open_tree", e))?;
            Some((tree, directory))
        }
        _ => None,
    };
    let directory = bound.as_ref().is_none_or(|(_, directory)| *directory);
    let place = make(root, path, directory)?;
    let failed = |call: &str, e| Error::sys(format!("{call} {path}"), e);
    let name = name_of(place.as_fd()).map_err(|e| failed("readlink", e))?;
    if let Some((tree, _)) = bound {
        move_mount(tree.as_fd(), place.as_fd()).map_err(|e| failed("move_mount", e))?;
    }
    Ok(name.strip_prefix(at).filter(|rest| !rest.is_empty()).unwrap_or(path).to_owned())
}

/// Finds a path in the root, and makes what of it is missing. Whoever writes to the root meanwhile cannot lead us out of it.
fn make(root: BorrowedFd<'_>, path: &str, directory: bool) -> Result<OwnedFd> {
    match files::in_root(root, path, HANDLE) {
        Err(Errno::ENOENT) => {}
        found => return found.map_err(|e| Error::sys(format!("open {path}"), e)),
    }
    let mut walked = String::from("/");
    let mut above = files::in_root(root, "/", DIRECTORY).map_err(|e| Error::sys("open /", e))?;
    let mut names = path.split('/').filter(|name| !name.is_empty()).peekable();
    while let Some(name) = names.next() {
        let below = format!("{}/{name}", walked.trim_end_matches('/'));
        let failed = |call: &str, e| Error::sys(format!("{call} {below}"), e);
        let last = names.peek().is_none();
        let found = match files::in_root(root, below.as_str(), HANDLE) {
            Err(Errno::ENOENT) => {
                if last && !directory {
                    let mode = Mode::from_bits_truncate(0o755);
                    files::create(&above, name, mode).map_err(|e| failed("create", e))?;
                } else {
                    files::mkdirat(&above, name, Mode::from_bits_truncate(0o755)).map_err(|e| failed("mkdir", e))?;
                }
                files::in_root(root, below.as_str(), HANDLE)
            }
            found => found,
        };
        above = found.map_err(|e| failed("open", e))?;
        walked = below;
    }
    Ok(above)
}

/// Starts something in a mount namespace of its own, in which the container's root is mounted at `at`, private and with nothing over it.
///
/// # Errors
/// A call that failed; or those of `start`.
pub fn with_root<T>(config: &Config, at: &str, start: impl FnOnce() -> Result<T>) -> Result<T> {
    in_own_namespace(|| {
        mount_root(config, at)?;
        start()
    })
}

/// Mounts the root file system with all that is mounted in it at `at`.
fn mount_root(config: &Config, at: &str) -> Result<OwnedFd> {
    let rootfs = &config.rootfs;
    let failed = |call: &str, what: &str, e| Error::sys(format!("{call} {what}"), e).doing("mount the root for criu");
    let root = files::open_without_links(rootfs.as_str(), DIRECTORY).map_err(|e| failed("open", rootfs, e))?;
    let tree = open_tree_clone(root.as_fd(), true).map_err(|e| failed("open_tree", rootfs, e))?;
    let target = files::open(at, DIRECTORY).map_err(|e| failed("open", at, e))?;
    move_mount(tree.as_fd(), target.as_fd()).map_err(|e| failed("move_mount", at, e))?;
    // As a path leads there now.
    files::open(at, DIRECTORY).map_err(|e| failed("open", at, e))
}

/// Does something in a new mount namespace, from which nothing gets back to the host, and comes back.
fn in_own_namespace<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let open = |file: &str, flags| files::open(file, flags).map_err(|e| Error::sys(format!("open {file}"), e));
    let ours = open("/proc/self/ns/mnt", OFlag::O_RDONLY)?;
    let (root, cwd) = (open("/", DIRECTORY)?, open(".", DIRECTORY)?);
    unshare(CloneFlags::CLONE_NEWNS).map_err(|e| Error::sys("unshare (namespaces mount)", e))?;
    let slave = MountAttr { propagation: libc::MS_SLAVE, ..MountAttr::default() };
    let done = open("/", DIRECTORY)
        .and_then(|top| {
            mount_setattr(top.as_fd(), true, &slave).map_err(|e| {
                let error = Error::sys("mount_setattr / (rslave)", e);
                if e == Errno::EINVAL { error.hint("the runtime's own root has to be a mount") } else { error }
            })
        })
        .and_then(|()| work());
    setns(&ours, CloneFlags::CLONE_NEWNS)
        // It has put us at the root of the namespace, which need not be ours.
        .and_then(|()| fchdir(&root))
        .and_then(|()| files::chroot_here())
        .and_then(|()| fchdir(&cwd))
        .map_err(|e| Error::sys("setns back to the runtime's mount namespace", e))?;
    done
}
