//! The attacker: what somebody who shares the container's root file system, or a volume in it, can do to a path while a runtime
//! works on it. One change at a time and undone again ([`Attack`]), or many as fast as they go ([`Storm`]).

use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, open, openat, renameat2};
use nix::libc;
use nix::sys::stat::Mode;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is put in place of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bait {
    /// To the canary, by its path on the host.
    Absolute,
    /// To the canary, up and over the host's root.
    Upwards,
    /// To the canary, through links of procfs.
    ProcRoot,
    ProcOne,
    ProcCwd,
    ProcFd,
    /// To a name beside the canary at which nothing is: what is made through it would be on the host.
    Dangling,
    /// To the host's procfs file that a write would harm.
    Sysctl,
    /// To other places of the container: its root, its /proc, itself.
    ToRoot,
    ToProc,
    ToAttr,
    Loop,
    Fifo,
    Socket,
    Device,
    File,
    Directory,
}

pub const BAITS: &[Bait] = &[
    Bait::Absolute,
    Bait::Upwards,
    Bait::ProcRoot,
    Bait::ProcOne,
    Bait::ProcCwd,
    Bait::ProcFd,
    Bait::Dangling,
    Bait::Sysctl,
    Bait::ToRoot,
    Bait::ToProc,
    Bait::ToAttr,
    Bait::Loop,
    Bait::Fifo,
    Bait::Socket,
    Bait::Device,
    Bait::File,
    Bait::Directory,
];

impl Bait {
    /// Puts it at a path where nothing is. `directory`: where the canary is meant as a directory, and not as a file.
    pub fn lay(self, at: &Path, canary: &Path, directory: bool) -> io::Result<()> {
        let target = if directory { canary.join("dir") } else { canary.join("file") };
        let shown = target.display();
        let link = |to: String| symlink(to, at);
        let node = |kind: libc::mode_t, device: u64| {
            // SAFETY: a path and numbers.
            match unsafe { libc::mknod(c(at).as_ptr(), kind | 0o666, device) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        match self {
            Bait::Absolute => link(format!("{shown}")),
            Bait::Upwards => link(format!("../../../../../../../../..{shown}")),
            Bait::ProcRoot => link(format!("/proc/self/root{shown}")),
            Bait::ProcOne => link(format!("/proc/1/root{shown}")),
            Bait::ProcCwd => link(format!("/proc/self/cwd/../../../../../..{shown}")),
            Bait::ProcFd => link(format!("/proc/self/fd/3/../../../../../..{shown}")),
            Bait::Dangling => link(format!("{}/made", canary.display())),
            Bait::Sysctl => link("/proc/sys/kernel/core_pattern".into()),
            Bait::ToRoot => link("/".into()),
            Bait::ToProc => link("/proc".into()),
            Bait::ToAttr => link("/proc/self/attr/current".into()),
            Bait::Loop => link(at.file_name().unwrap_or_default().to_string_lossy().into_owned()),
            Bait::Fifo => node(libc::S_IFIFO, 0),
            Bait::Socket => node(libc::S_IFSOCK, 0),
            // The null device's neighbour.
            Bait::Device => node(libc::S_IFCHR, libc::makedev(1, 5)),
            Bait::File => fs::File::create_new(at).map(|_| ()),
            Bait::Directory => fs::create_dir(at),
        }
    }
}

/// What is done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// It and the bait change places, in one moment (renameat2(2)); if there was nothing, the bait is laid.
    Exchange(Bait),
    /// It is gone.
    Remove,
    /// Something else is mounted over it, with links to the canary in it. Where the mount is shared it shows up in the container.
    MountOver,
    /// Nobody may do anything with it.
    Forbid,
}

pub fn mutations() -> Vec<Mutation> {
    let mut all: Vec<Mutation> = BAITS.iter().map(|bait| Mutation::Exchange(*bait)).collect();
    all.extend([Mutation::Remove, Mutation::MountOver, Mutation::Forbid]);
    all
}

/// One mutation that was made, to be undone.
pub struct Attack {
    /// What was changed, seen from the container's root.
    pub path: PathBuf,
    /// The same by the descriptor of its directory: others may be changing the way to it, and an attacker who follows a bait
    /// would harm the canary himself.
    victim: PathBuf,
    /// Beside it.
    away: PathBuf,
    undo: Undo,
    _parent: OwnedFd,
}

enum Undo {
    Back,
    Take,
    Unmount,
    Mode(OwnedFd, fs::Permissions),
    Nothing,
}

impl Attack {
    /// Mutates one component of `path` (below `root`): the last but `up`, or the first that is not there. What is out of the
    /// way gets the name `away`, beside it. None, if there is nothing to be changed.
    pub fn make(mutation: Mutation, root: &Path, path: &Path, up: usize, away: &str, host: &Host) -> Option<Attack> {
        let parts: Vec<_> = path.strip_prefix("/").unwrap_or(path).components().map(|c| c.as_os_str()).collect();
        // The root itself is not the attacker's.
        let depth = parts.len().saturating_sub(up).max(1).min(parts.len());
        let itself = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut parent = open(root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
        let mut at = 0;
        while at + 1 < depth
            && let Ok(next) = openat(&parent, parts[at], itself, Mode::empty())
        {
            (parent, at) = (next, at + 1);
        }
        let directory = by_number(&parent);
        let mut attack = Attack {
            path: Path::new("/").join(parts.get(..=at)?.iter().collect::<PathBuf>()),
            victim: directory.join(parts[at]),
            away: directory.join(away),
            undo: Undo::Nothing,
            _parent: parent,
        };
        attack.undo = attack.change(mutation, at + 1 == parts.len(), host);
        attack.happened().then_some(attack)
    }

    fn change(&self, mutation: Mutation, last: bool, host: &Host) -> Undo {
        let there = fs::symlink_metadata(&self.victim).ok();
        let directory = !last || there.as_ref().is_some_and(|m| m.is_dir());
        match mutation {
            Mutation::Exchange(bait) => {
                if bait.lay(&self.away, &host.canary, directory).is_err() {
                    return Undo::Nothing;
                }
                let (moved, undo) = match there {
                    Some(_) => (exchange(&self.away, &self.victim).is_ok(), Undo::Back),
                    None => (fs::rename(&self.away, &self.victim).is_ok(), Undo::Take),
                };
                if !moved {
                    remove(&self.away);
                    return Undo::Nothing;
                }
                undo
            }
            Mutation::Remove if fs::rename(&self.victim, &self.away).is_ok() => Undo::Back,
            Mutation::Remove => Undo::Nothing,
            Mutation::MountOver => match itself(&self.victim) {
                Some((_fd, path, stat)) if !stat.is_symlink() => {
                    let source = if stat.is_dir() { host.hostile.clone() } else { host.hostile.join("file") };
                    if bind(&source, &path) { Undo::Unmount } else { Undo::Nothing }
                }
                _ => Undo::Nothing,
            },
            // We act as the host's root, but a device node of a user namespace is the host's own: the container could not.
            Mutation::Forbid => match itself(&self.victim) {
                Some((.., stat)) if is_the_hosts(&self.path, &stat) => Undo::Nothing,
                Some((fd, path, stat)) if fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).is_ok() => {
                    Undo::Mode(fd, stat.permissions())
                }
                _ => Undo::Nothing,
            },
        }
    }

    fn happened(&self) -> bool {
        !matches!(self.undo, Undo::Nothing)
    }

    /// Everything is as it was, but for what a runtime has made meanwhile.
    pub fn undo(self) {
        match self.undo {
            Undo::Back => {
                // Something may have been made where nothing was.
                if exchange(&self.away, &self.victim).is_err() {
                    let _ = fs::rename(&self.away, &self.victim);
                }
            }
            Undo::Take => drop(fs::rename(&self.victim, &self.away)),
            Undo::Unmount => unmount(&self.victim),
            Undo::Mode(fd, mode) => drop(fs::set_permissions(by_number(&fd), mode)),
            Undo::Nothing => (),
        }
        remove(&self.away);
    }
}

/// What has this name now: a descriptor, a path that leads to nothing else, and what it is. By its name alone, another
/// attacker's bait would have this one change the mode of the host's root.
fn itself(path: &Path) -> Option<(OwnedFd, PathBuf, fs::Metadata)> {
    let fd = open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let path = by_number(&fd);
    // Of a link, this path is not followed any further.
    let stat = fs::metadata(&path).ok()?;
    Some((fd, path, stat))
}

fn is_the_hosts(path: &Path, stat: &fs::Metadata) -> bool {
    fs::symlink_metadata(path).is_ok_and(|of_host| (of_host.dev(), of_host.ino()) == (stat.dev(), stat.ino()))
}

fn by_number(fd: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

/// What of the host an attacker leads to, and what of his own he mounts.
#[derive(Debug, Clone)]
pub struct Host {
    /// A directory of the host: `file`, `dir`, and nothing called `made`.
    pub canary: PathBuf,
    /// A directory to be mounted over others: `file`, and links to the canary by the names that paths go on with.
    pub hostile: PathBuf,
}

fn remove(path: &Path) {
    if fs::remove_file(path).is_err() {
        let _ = fs::remove_dir_all(path);
    }
}

pub fn exchange(one: &Path, two: &Path) -> nix::Result<()> {
    renameat2(AT_FDCWD, one, AT_FDCWD, two, RenameFlags::RENAME_EXCHANGE)
}

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

pub fn bind(source: &Path, target: &Path) -> bool {
    let nothing = std::ptr::null();
    // SAFETY: two paths.
    unsafe { libc::mount(c(source).as_ptr(), c(target).as_ptr(), nothing, libc::MS_BIND, nothing.cast()) == 0 }
}

/// A tmpfs of one's own, from and to which mounts propagate.
pub fn shared_tmpfs(at: &Path) {
    let nothing = std::ptr::null();
    // SAFETY: strings, and no data.
    let made = unsafe { libc::mount(c"adversary".as_ptr(), c(at).as_ptr(), c"tmpfs".as_ptr(), 0, nothing) };
    assert_eq!(made, 0, "{}: {}", at.display(), io::Error::last_os_error());
    // SAFETY: a path, and no data.
    let shared = unsafe { libc::mount(nothing.cast(), c(at).as_ptr(), nothing.cast(), libc::MS_SHARED, nothing) };
    assert_eq!(shared, 0, "{}: {}", at.display(), io::Error::last_os_error());
}

/// What is mounted at the path, and below it, is taken away, whoever uses it.
pub fn unmount(at: &Path) {
    // SAFETY: a path.
    unsafe { libc::umount2(c(at).as_ptr(), libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW) };
}

/// A thread that changes paths as fast as it can, until it is ended. One for a tree: two would not find what each has put away.
pub struct Storm {
    stop: Arc<AtomicBool>,
    /// Gives the number of changes.
    thread: JoinHandle<u64>,
}

impl Storm {
    /// For each path in turn: away with it, baits in its place, mounts over it, and back; then a `lull`.
    pub fn over(root: &Path, paths: &[&str], host: &Host, lull: Duration) -> Storm {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, root, host, all) = (Arc::clone(&stop), root.to_path_buf(), host.clone(), mutations());
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        let thread = std::thread::spawn(move || {
            let (mut turn, mut changes) = (0, 0);
            while !ended.load(Ordering::Relaxed) {
                let (path, mutation) = (&paths[turn % paths.len()], all[turn / paths.len() % all.len()]);
                if let Some(attack) = Attack::make(mutation, &root, path, turn % 2, ".away", &host) {
                    changes += 1;
                    // So long that a command is hit at several of its calls, or at one.
                    std::thread::sleep(Duration::from_micros((turn % 7) as u64 * 40));
                    attack.undo();
                    std::thread::sleep(lull);
                }
                turn += 1;
            }
            changes
        });
        Storm { stop, thread }
    }

    /// Ends it; says how many changes there were.
    pub fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the attacker has failed")
    }
}
