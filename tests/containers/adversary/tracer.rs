//! A command of a runtime and all processes that come of it, stopped at each of their system calls that names something in
//! the container's root: between any two calls somebody else may act. Knows nothing of what is done then.

use nix::libc;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};

/// Where a process is stopped.
pub struct Stop {
    /// The call that it is about to make.
    pub call: &'static str,
    /// What that names, as seen from the container's root: `/etc/passwd`.
    pub path: PathBuf,
}

/// What happens to the processes.
pub enum Event<'a> {
    /// A call begins, and names something in the root.
    Call(&'a Stop),
    /// The call that was told last has been made.
    Made,
    /// A process has executed the runtime's own part that goes into the container.
    Entered(i32),
    /// The user's program is about to begin, and is not stopped any more.
    Program,
    /// The command has ended, with this code. What it left in the container may still be stopped.
    Ended(i32),
}

/// What a call names: by a path, relative to a directory (both are numbers of arguments), or by descriptor alone.
#[derive(Clone, Copy)]
enum Names {
    Path(usize),
    At(usize, usize),
    Descriptor(usize),
}

use Names::{At, Descriptor, Path as Named};

const CALLS: &[(libc::c_long, &str, Names)] = &[
    (libc::SYS_openat, "openat", At(0, 1)),
    (libc::SYS_openat2, "openat2", At(0, 1)),
    (libc::SYS_mkdirat, "mkdirat", At(0, 1)),
    (libc::SYS_mknodat, "mknodat", At(0, 1)),
    (libc::SYS_symlinkat, "symlinkat", At(1, 2)),
    (libc::SYS_unlinkat, "unlinkat", At(0, 1)),
    (libc::SYS_fchownat, "fchownat", At(0, 1)),
    (libc::SYS_fchmodat, "fchmodat", At(0, 1)),
    (libc::SYS_utimensat, "utimensat", At(0, 1)),
    (libc::SYS_readlinkat, "readlinkat", At(0, 1)),
    (libc::SYS_statx, "statx", At(0, 1)),
    (libc::SYS_newfstatat, "newfstatat", At(0, 1)),
    (libc::SYS_faccessat, "faccessat", At(0, 1)),
    (libc::SYS_faccessat2, "faccessat2", At(0, 1)),
    (libc::SYS_renameat2, "renameat2", At(0, 1)),
    (libc::SYS_open_tree, "open_tree", At(0, 1)),
    (libc::SYS_move_mount, "move_mount", At(2, 3)),
    (libc::SYS_mount_setattr, "mount_setattr", At(0, 1)),
    (libc::SYS_execveat, "execveat", At(0, 1)),
    (libc::SYS_execve, "execve", Named(0)),
    (libc::SYS_mount, "mount", Named(1)),
    (libc::SYS_umount2, "umount2", Named(0)),
    (libc::SYS_chdir, "chdir", Named(0)),
    (libc::SYS_chroot, "chroot", Named(0)),
    (libc::SYS_pivot_root, "pivot_root", Named(0)),
    (libc::SYS_fchdir, "fchdir", Descriptor(0)),
    (libc::SYS_getdents64, "getdents64", Descriptor(0)),
    (libc::SYS_fgetxattr, "fgetxattr", Descriptor(0)),
    (libc::SYS_fsetxattr, "fsetxattr", Descriptor(0)),
    (libc::SYS_fchown, "fchown", Descriptor(0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, "open", Named(0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, "mkdir", Named(0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_readlink, "readlink", Named(0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_stat, "stat", Named(0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lstat, "lstat", Named(0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_access, "access", Named(0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_symlink, "symlink", Named(1)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, "unlink", Named(0)),
];

/// `RESOLVE_IN_ROOT` of openat2(2).
const IN_ROOT: u64 = 0x10;

/// The container's root, by its path on the host and by what it is.
pub struct Root {
    path: PathBuf,
    identity: (u64, u64),
    /// A place of the host that no process may ever hold, not even to do nothing with it.
    canary: PathBuf,
}

impl Root {
    pub fn new(path: &Path, canary: &Path) -> Root {
        Root { path: path.into(), canary: canary.into(), identity: identity(path).expect("a root file system") }
    }

    /// The process has it as its own root.
    fn is_of(&self, pid: i32) -> bool {
        identity(Path::new(&format!("/proc/{pid}/root/"))) == Some(self.identity)
    }

    /// A path as the kernel tells it of a process, seen from the root; none if it is not in there.
    fn inside(&self, pid: i32, path: &Path) -> Option<PathBuf> {
        match path.strip_prefix(&self.path) {
            Ok(rest) => Some(Path::new("/").join(rest)),
            Err(_) => self.is_of(pid).then(|| path.to_path_buf()),
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
}

fn request(request: libc::c_uint, pid: i32, data: i64) -> i64 {
    // SAFETY: requests that take a number, for our own tracee.
    unsafe { libc::ptrace(request, pid, 0, data) }
}

/// The entry of the call in which a process is stopped: its number and arguments.
fn entry(pid: i32) -> Option<(i64, [u64; 6])> {
    // SAFETY: all zeros are a struct of numbers.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of_val(&info);
    // SAFETY: `info` has the size that is told.
    unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size, &mut info) };
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: the kernel has filled this part, as it says.
    let entry = unsafe { info.u.entry };
    Some((entry.nr as i64, entry.args))
}

fn memory(pid: i32, address: u64, buffer: &mut [u8]) -> usize {
    use nix::sys::uio::{RemoteIoVec, process_vm_readv};
    let remote = [RemoteIoVec { base: address as usize, len: buffer.len() }];
    process_vm_readv(nix::unistd::Pid::from_raw(pid), &mut [std::io::IoSliceMut::new(buffer)], &remote).unwrap_or(0)
}

/// A string of the process; empty if it has none there.
fn string(pid: i32, address: u64) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut text = Vec::new();
    // Up to the end of a page at a time: the next one may not be there.
    while text.len() < 4096 {
        let at = address + text.len() as u64;
        let mut part = vec![0; (256 - at % 256) as usize];
        let n = memory(pid, at, &mut part);
        let end = part[..n].iter().position(|b| *b == 0);
        text.extend_from_slice(&part[..end.unwrap_or(n)]);
        if end.is_some() || n == 0 {
            break;
        }
    }
    std::ffi::OsString::from_vec(text).into()
}

/// `a/./b/../c` is `a/c`, as far as names alone tell.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            _ => (),
        }
    }
    clean
}

/// What the call names in the root.
fn named(root: &Root, pid: i32) -> Option<Stop> {
    let (number, args) = entry(pid)?;
    let (_, call, names) = CALLS.iter().find(|(n, _, _)| *n == number)?;
    let link = |link: String| fs::read_link(link).ok();
    let directory = |fd: u64| {
        let held = match fd as i32 {
            libc::AT_FDCWD => link(format!("/proc/{pid}/cwd")),
            fd => link(format!("/proc/{pid}/fd/{fd}")),
        };
        // What is mounted there would not be seen on the host. (In the container's root the same name is a path of its own.)
        let outside = held.as_ref().is_some_and(|held| held.starts_with(&root.canary)) && !root.is_of(pid);
        assert!(!outside, "{call} is made at {held:?}");
        held
    };
    let whole = match *names {
        Descriptor(fd) => directory(args[fd])?,
        Named(path) => directory(libc::AT_FDCWD as u64)?.join(string(pid, args[path])),
        At(fd, path) => {
            let mut path = string(pid, args[path]);
            let mut resolve = [0; 8];
            if *call == "openat2"
                && memory(pid, args[2] + 16, &mut resolve) == 8
                && u64::from_ne_bytes(resolve) & IN_ROOT != 0
            {
                path = path.strip_prefix("/").map(Path::to_path_buf).unwrap_or(path);
            }
            if path.is_absolute() { path } else { directory(args[fd])?.join(path) }
        }
    };
    Some(Stop { call, path: clean(&root.inside(pid, &whole)?) })
}

/// Runs the command and tells of all that happens, until it has ended and none of its processes is stopped any more.
pub fn trace(command: &mut std::process::Command, root: &Root, mut tell: impl FnMut(Event<'_>)) {
    // SAFETY: between fork and exec, one system call: the parent becomes the tracer.
    let trace_me = || match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: as above, and no allocation.
    unsafe { command.pre_exec(trace_me) };
    #[allow(clippy::zombie_processes)] // It is reaped by pid, with the status that a tracer gets.
    let main = command.spawn().unwrap().id() as i32;
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_EXITKILL;
    // Known, and those of them that run the runtime's part in the container.
    let (mut known, mut inits, mut begun) = (BTreeSet::new(), BTreeSet::new(), None);
    // Those that are traced: the ends of others are none of ours.
    let mut traced = BTreeSet::from([main]);
    while !traced.is_empty() {
        let mut status = 0;
        // SAFETY: an int for the status.
        let pid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL) };
        if pid < 0 {
            return;
        }
        if !libc::WIFSTOPPED(status) {
            traced.remove(&pid);
            if pid == main {
                let code =
                    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) };
                tell(Event::Ended(code));
            }
            continue;
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        let mut deliver = 0;
        if known.insert(pid) {
            // The command after its execve, or a child of a traced process, by a SIGSTOP.
            if pid == main {
                request(libc::PTRACE_SETOPTIONS, pid, options.into());
            }
        } else if signal == libc::SIGTRAP | 0x80 {
            if begun == Some(pid) {
                begun = None;
                tell(Event::Made);
            } else if let Some(stop) = named(root, pid) {
                begun = Some(pid);
                tell(Event::Call(&stop));
            }
        } else if event == libc::PTRACE_EVENT_EXEC {
            begun = None;
            let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            if exe.to_string_lossy().starts_with("/memfd:") {
                inits.insert(pid);
                tell(Event::Entered(pid));
            } else {
                if inits.contains(&pid) {
                    tell(Event::Program);
                }
                // A hook, if it is not the program.
                request(libc::PTRACE_DETACH, pid, 0);
                traced.remove(&pid);
                continue;
            }
        } else if event == 0 {
            deliver = signal;
        } else if let Some(child) = child_of_event(pid) {
            traced.insert(child);
            // A sister goes on with the steps; a child becomes a hook.
            if inits.contains(&pid) && parent(child) != Some(pid) {
                inits.insert(child);
            }
        }
        request(libc::PTRACE_SYSCALL, pid, deliver.into());
    }
}

fn parent(pid: i32) -> Option<i32> {
    crate::common::host::status(pid).get("PPid")?.parse().ok()
}

fn child_of_event(pid: i32) -> Option<i32> {
    let mut child: libc::c_ulong = 0;
    // SAFETY: room for the number that the request gives.
    let done = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, &mut child) };
    (done == 0).then_some(child as i32)
}
