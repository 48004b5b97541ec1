//! Starting a program of the host (a hook, newuidmap) with exactly the argv, environment, directory and three descriptors
//! given. `std::process::Command` sorts and merges the environment, has no stable pidfd, and passes on every inherited
//! descriptor that is not close-on-exec.
//!
//! The child shares our memory and we stand still until it has executed (CLONE_VM, CLONE_VFORK): the cost doesn't grow
//! with our size, and an error needs no pipe to come back.

use std::ffi::{CStr, CString, c_char, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::pidfd::PidFd;

/// What to start.
#[derive(Debug)]
pub struct Program<'a> {
    /// Executed as given; no search in PATH.
    pub path: &'a CStr,
    /// With `argv[0]`.
    pub args: &'a [CString],
    /// The whole environment, entries as they are.
    pub env: &'a [CString],
    /// `None`: ours.
    pub cwd: Option<&'a CStr>,
    /// What becomes its descriptors 0, 1 and 2; none of them may itself be one of 0-2. It gets no others,
    pub stdio: [BorrowedFd<'a>; 3],
    /// but for these, which become 3, 4 and so on.
    pub more: &'a [BorrowedFd<'a>],
    /// The signal that it gets when the thread that starts it ends (PR_SET_PDEATHSIG).
    pub pdeathsig: Option<i32>,
}

/// A program that was started; the caller waits for it through the pidfd.
#[derive(Debug)]
pub struct Spawned {
    /// Our child.
    pub pidfd: PidFd,
    /// Its pid, for messages.
    pub pid: i32,
}

/// What failed in the child before the program took over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No child could be made.
    Clone(Errno),
    /// Its descriptors could not be put in place.
    Stdio(Errno),
    /// Its directory could not be entered.
    Chdir(Errno),
    /// The program could not be executed.
    Exec(Errno),
}

/// The child's stack in units of 16 bytes, which is the alignment that the ABI wants of its top: 64 KiB, enough for the
/// few frames below `child`, a signal frame with AVX-512 state included.
const STACK: usize = 4096;

/// What the child reads, and the one word that it writes.
struct Shared<'a> {
    path: *const c_char,
    args: *const *const c_char,
    env: *const *const c_char,
    cwd: *const c_char,
    /// What becomes 0, 1 and so on; none of them is among the numbers that are given.
    fds: &'a [RawFd],
    /// Descriptors to close one by one, where the kernel has no close_range (before 5.9).
    close: Option<&'a [RawFd]>,
    pdeathsig: Option<i32>,
    /// Who has to live for that to be told.
    parent: i32,
    failure: Option<Failure>,
}

/// Starts the program. Signals: none blocked, SIGPIPE (which Rust ignores) by default, the rest as ours.
pub fn spawn(program: &Program<'_>) -> Result<Spawned, Failure> {
    // One of 0-2 as a source could be overwritten before it is copied.
    if program.stdio.iter().any(|fd| fd.as_raw_fd() < 3) {
        return Err(Failure::Stdio(Errno::EBADF));
    }
    match spawn_closing(program, None) {
        Err(Failure::Stdio(Errno::ENOSYS)) => spawn_closing(program, Some(&open_descriptors())),
        result => result,
    }
}

fn spawn_closing(program: &Program<'_>, close: Option<&[RawFd]>) -> Result<Spawned, Failure> {
    let args = pointers(program.args);
    let env = pointers(program.env);
    let given = given(program)?;
    let fds: Vec<RawFd> = given.iter().map(|fd| fd.as_raw_fd()).collect();
    let mut shared = Shared {
        path: program.path.as_ptr(),
        args: args.as_ptr(),
        env: env.as_ptr(),
        cwd: program.cwd.map_or(std::ptr::null(), CStr::as_ptr),
        fds: &fds,
        close,
        pdeathsig: program.pdeathsig,
        parent: std::process::id().cast_signed(),
        failure: None,
    };
    let mut stack: Vec<MaybeUninit<u128>> = Vec::with_capacity(STACK);
    // SAFETY: one past the end of the allocation, which is where a stack that grows down begins.
    let top = unsafe { stack.as_mut_ptr().add(stack.capacity()) };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut pidfd: RawFd = -1;
    let argument = (&raw mut shared).cast::<c_void>();
    // SAFETY: `child` never returns into our frames and touches only `shared` and its own stack; both outlive it, as
    // CLONE_VFORK holds us here until it has executed or exited. With CLONE_PIDFD the kernel writes one int to `pidfd`.
    let pid = unsafe { libc::clone(child, top.cast(), flags, argument, &raw mut pidfd) };
    let pid = Errno::result(pid).map_err(Failure::Clone)?;
    // SAFETY: the kernel has just made it for us (close-on-exec by definition); nobody else knows of it.
    let pidfd = PidFd::from(unsafe { OwnedFd::from_raw_fd(pidfd) });
    // SAFETY: a local of ours; volatile because the compiler did not see the child write it.
    match unsafe { std::ptr::read_volatile(&raw const shared.failure) } {
        None => Ok(Spawned { pidfd, pid }),
        Some(failure) => {
            // It has exited with nothing to tell that `failure` does not.
            pidfd.reap().ok();
            Err(failure)
        }
    }
}

/// A descriptor of the child, in our table.
enum Source<'a> {
    Given(BorrowedFd<'a>),
    Moved(OwnedFd),
}

impl AsRawFd for Source<'_> {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Source::Given(fd) => fd.as_raw_fd(),
            Source::Moved(fd) => fd.as_raw_fd(),
        }
    }
}

/// What the child gets, in order, none under a number that another takes: that one would be overwritten before it is copied.
fn given<'a>(program: &Program<'a>) -> Result<Vec<Source<'a>>, Failure> {
    let all = program.stdio.iter().chain(program.more).copied();
    if program.more.is_empty() {
        return Ok(all.map(Source::Given).collect());
    }
    let first = program.more.len().saturating_add(program.stdio.len());
    let first = RawFd::try_from(first).map_err(|_| Failure::Stdio(Errno::EMFILE))?;
    let moved = |fd: BorrowedFd<'a>| {
        if fd.as_raw_fd() >= first {
            return Ok(Source::Given(fd));
        }
        let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(first)).map_err(Failure::Stdio)?;
        // SAFETY: the kernel has just made it for us; nobody else knows of it.
        Ok(Source::Moved(unsafe { OwnedFd::from_raw_fd(number) }))
    };
    all.map(moved).collect()
}

/// The child, between clone and execve: system calls only. It has our memory, so no allocation, no panic, no Drop.
extern "C" fn child(shared: *mut c_void) -> i32 {
    // SAFETY: `spawn_closing` passes its `Shared` and, held by CLONE_VFORK, does not touch it meanwhile.
    let shared = unsafe { &mut *shared.cast::<Shared<'_>>() };
    shared.failure = Some(until_exec(shared));
    // SAFETY: ends this process only, and without the exit handlers and buffers that it shares with us.
    unsafe { libc::_exit(127) }
}

/// Returns only if something failed.
fn until_exec(shared: &Shared<'_>) -> Failure {
    for (target, &source) in (0..).zip(shared.fds) {
        // SAFETY: no pointers; the table of descriptors is the child's own copy.
        if unsafe { libc::dup2(source, target) } == -1 {
            return Failure::Stdio(Errno::last());
        }
    }
    match shared.close {
        None => {
            // SAFETY: no pointers; as above, only the child's copies are closed.
            if unsafe { libc::syscall(libc::SYS_close_range, shared.fds.len(), u32::MAX, 0) } == -1 {
                return Failure::Stdio(Errno::last());
            }
        }
        Some(fds) => {
            for &fd in fds.iter().filter(|fd| usize::try_from(**fd).is_ok_and(|fd| fd >= shared.fds.len())) {
                // SAFETY: as above.
                unsafe { libc::close(fd) };
            }
        }
    }
    if let Some(signal) = shared.pdeathsig {
        // SAFETY: no pointers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
        // Nothing tells of a parent that ended before it was asked for.
        // SAFETY: no pointers.
        if unsafe { libc::getppid() } != shared.parent {
            return Failure::Clone(Errno::ECHILD);
        }
    }
    // SAFETY: no pointers to anything of ours; without CLONE_SIGHAND the dispositions are the child's own.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `none` is valid for the write.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: `none` was filled in by the line above; the old set is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
    // SAFETY: `cwd` is null, which is looked at first, or a string that `spawn` holds for the length of the call.
    if !shared.cwd.is_null() && unsafe { libc::chdir(shared.cwd) } == -1 {
        return Failure::Chdir(Errno::last());
    }
    // SAFETY: a string and two null-terminated arrays of strings, all held by `spawn`.
    unsafe { libc::execve(shared.path, shared.args, shared.env) };
    Failure::Exec(Errno::last())
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

/// The open descriptors from 3 on, the one of the listing included (closing it twice is harmless in the child).
fn open_descriptors() -> Vec<RawFd> {
    let names = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|fd| *fd > 2).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::super::pidfd::Exit;
    use super::*;

    fn run(script: &str, env: &[CString], cwd: Option<&CStr>, close: Option<&[RawFd]>) -> (Exit, String) {
        let null = File::open("/dev/null").unwrap();
        let (read, write) = std::io::pipe().unwrap();
        let args = [c"sh", c"-c", &CString::new(script).unwrap()].map(CStr::to_owned);
        let stdio = [null.as_fd(), write.as_fd(), write.as_fd()];
        let spawned = spawn_closing(
            &Program { path: c"/bin/sh", args: &args, env, cwd, stdio, more: &[], pdeathsig: None },
            close,
        )
        .unwrap();
        drop(write);
        let mut out = String::new();
        { read }.read_to_string(&mut out).unwrap();
        (spawned.pidfd.reap().unwrap(), out)
    }

    #[test]
    fn gives_exactly_what_was_asked() {
        let env = [c"B=2".to_owned(), c"A=1".to_owned(), c"B=3".to_owned()];
        let (exit, out) = run("cat /proc/self/environ | tr '\\0' ' '; pwd; exit 4", &env, Some(c"/usr"), None);
        assert_eq!(exit, Exit::Code(4));
        let words: Vec<&str> = out.split_whitespace().filter(|w| !w.starts_with("PWD=")).collect();
        // What dash exports is its business; that A and the last B arrive, and nothing of ours, is what matters.
        assert!(words.contains(&"A=1") && words.contains(&"/usr"), "{out}");
        assert!(!out.contains("CARGO") && !out.contains("HOME"), "{out}");
    }

    #[test]
    fn no_other_descriptor_gets_in() {
        let leaked = File::open("/etc").unwrap();
        nix::fcntl::fcntl(&leaked, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        // By where they lead: the shell has numbers of its own.
        let list = "for fd in /proc/$$/fd/*; do readlink $fd; done";
        for close in [None, Some(open_descriptors())] {
            let (_, out) = run(list, &[], None, close.as_deref());
            assert!(out.lines().any(|l| l == "/dev/null"), "{out}");
            assert!(!out.lines().any(|l| l == "/etc"), "{out}");
        }
    }

    #[test]
    fn more_descriptors_have_their_numbers() {
        let null = File::open("/dev/null").unwrap();
        // Which are low, and in the way of each other.
        let dirs = ["/etc", "/usr", "/"].map(|dir| File::open(dir).unwrap());
        let (read, write) = std::io::pipe().unwrap();
        let script = "for fd in 3 4 5 6; do readlink /proc/$$/fd/$fd || echo none; done";
        let args = [c"sh", c"-c", &CString::new(script).unwrap()].map(CStr::to_owned);
        let stdio = [null.as_fd(), write.as_fd(), null.as_fd()];
        let more: Vec<BorrowedFd<'_>> = dirs.iter().rev().map(AsFd::as_fd).collect();
        let env = [c"PATH=/usr/bin:/bin".to_owned()];
        let program =
            Program { path: c"/bin/sh", args: &args, env: &env, cwd: None, stdio, more: &more, pdeathsig: None };
        for close in [None, Some(open_descriptors())] {
            let spawned = spawn_closing(&program, close.as_deref()).unwrap();
            assert_eq!(spawned.pidfd.reap().unwrap(), Exit::Code(0));
        }
        drop(write);
        let mut out = String::new();
        { read }.read_to_string(&mut out).unwrap();
        assert_eq!(out, "/\n/usr\n/etc\nnone\n".repeat(2));
    }

    #[test]
    fn sigpipe_and_the_signal_mask_are_fresh() {
        let (_, out) = run("grep -E 'SigBlk|SigIgn' /proc/self/status", &[], None, None);
        let masks: Vec<u64> =
            out.lines().map(|l| u64::from_str_radix(l.split_whitespace().last().unwrap(), 16).unwrap()).collect();
        assert_eq!(masks.len(), 2, "{out}");
        assert_eq!(masks[0], 0, "{out}");
        assert_eq!(masks[1] & 1 << (libc::SIGPIPE - 1), 0, "{out}");
    }

    #[test]
    fn says_what_failed() {
        let null = File::open("/dev/null").unwrap();
        let stdio = [null.as_fd(); 3];
        let start = |path, cwd| {
            spawn(&Program { path, args: &[], env: &[], cwd, stdio, more: &[], pdeathsig: None }).unwrap_err()
        };
        assert_eq!(start(c"/no/such", None), Failure::Exec(Errno::ENOENT));
        assert_eq!(start(c"/etc/passwd", None), Failure::Exec(Errno::EACCES));
        assert_eq!(start(c"/bin/true", Some(c"/no/such")), Failure::Chdir(Errno::ENOENT));
        let stdin = std::io::stdin();
        let program = Program {
            path: c"/bin/true",
            args: &[],
            env: &[],
            cwd: None,
            stdio: [stdin.as_fd(); 3],
            more: &[],
            pdeathsig: None,
        };
        assert_eq!(spawn(&program).unwrap_err(), Failure::Stdio(Errno::EBADF));
    }
}
