//! fork(2) for a program without threads (the shim): its workers are copies of it that do one thing and exit.

use std::os::fd::RawFd;

use nix::errno::Errno;

/// Which of the two we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that forked, with the child's pid.
    Parent(i32),
    /// The copy.
    Child,
}

/// Makes a copy of this process, which must have one thread: of others the copy would hold the locks.
///
/// # Errors
/// fork(2).
pub fn fork() -> Result<Side, Errno> {
    // SAFETY: the caller has one thread, so that no lock of the C library or of ours is held by one that the copy lacks.
    match Errno::result(unsafe { libc::fork() })? {
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(pid)),
    }
}

/// Ends this process, without a destructor or handler of whoever it is a copy of.
pub fn exit(code: i32) -> ! {
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor but 0-2 and those named. For a copy that never returns to whoever owned them.
///
/// # Errors
/// close_range(2): ENOSYS before Linux 5.9.
pub fn close_all_but(keep: &[RawFd]) -> Result<(), Errno> {
    let mut keep: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd > 2).collect();
    keep.sort_unstable();
    let mut first: RawFd = 3;
    for fd in keep {
        if fd > first {
            close_range(first, fd.saturating_sub(1).cast_unsigned())?;
        }
        first = fd.saturating_add(1);
    }
    close_range(first, u32::MAX)
}

fn close_range(first: RawFd, last: u32) -> Result<(), Errno> {
    // SAFETY: no pointers. What is closed belongs to values that this copy of the process never touches again.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Makes `fd` also descriptor `number`, which execve(2) leaves open.
///
/// # Errors
/// dup2(2).
pub fn install(fd: RawFd, number: RawFd) -> Result<(), Errno> {
    if fd == number {
        // SAFETY: no pointers; only the flag changes.
        return Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }).map(drop);
    }
    // SAFETY: no pointers. `number` is one of 0-2, or of a copy that is about to execute.
    Errno::result(unsafe { libc::dup2(fd, number) }).map(drop)
}

/// Signals as a program expects them that is executed next: none blocked, SIGPIPE and SIGCHLD by default.
pub fn default_signals() {
    nix::sys::signal::SigSet::empty().thread_set_mask().ok();
    for signal in [libc::SIGPIPE, libc::SIGCHLD, libc::SIGHUP] {
        // SAFETY: SIG_DFL is no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Ignores a signal.
pub fn ignore(signal: i32) {
    // SAFETY: SIG_IGN is no code of ours.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// PR_SET_CHILD_SUBREAPER: orphans among our descendants become our children.
///
/// # Errors
/// prctl(2).
pub fn become_subreaper() -> Result<(), Errno> {
    // SAFETY: no pointers.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// PR_SCHED_CORE_CREATE for our process group: a cookie of its own (core-scheduling in the kernel's documentation).
///
/// # Errors
/// prctl(2): EINVAL without CONFIG_SCHED_CORE, ENODEV without SMT.
pub fn new_core_scheduling_group() -> Result<(), Errno> {
    const PR_SCHED_CORE: i32 = 62;
    const CREATE: libc::c_ulong = 1;
    const PROCESS_GROUP: libc::c_ulong = 2;
    // SAFETY: no pointers.
    Errno::result(unsafe { libc::prctl(PR_SCHED_CORE, CREATE, 0, PROCESS_GROUP, 0) }).map(drop)
}

/// A descriptor that was inherited under a number, once.
pub fn inherited(number: RawFd) -> Option<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    if !super::descriptors::is_open(number) {
        return None;
    }
    super::descriptors::set_cloexec(number).ok()?;
    // SAFETY: it is open, and by the contract of whoever executed us it is ours; the caller asks once.
    Some(unsafe { std::os::fd::OwnedFd::from_raw_fd(number) })
}
