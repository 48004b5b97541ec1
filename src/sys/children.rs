//! Children as a whole: what a subreaper has to do for processes that it never started.

use std::mem::MaybeUninit;

use nix::errno::Errno;

use super::pidfd::Exit;

/// Reaps any child that has ended: its pid and how it ended. `None`: none has. ECHILD: we have no children. (nix's
/// `waitpid` answers EINVAL, with the child reaped and lost, for one that a real-time signal ended.)
pub fn reap_any() -> Result<Option<(i32, Exit)>, Errno> {
    let options = libc::WEXITED | libc::WNOHANG | libc::__WALL;
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `info` is valid for a write of one siginfo_t, which is all that waitid writes.
    Errno::result(unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) })?;
    // SAFETY: zeroed is a valid siginfo_t, and so is what the kernel put there.
    let info = unsafe { info.assume_init() };
    // SAFETY: waitid fills in the fields of SIGCHLD, or leaves the zeroes if no child has ended.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    Ok(match (pid, info.si_code) {
        (0, _) => None,
        (pid, code) => Some((pid, Exit::of_waitid(code, status))),
    })
}

/// Makes children waitable again if our caller had SIGCHLD ignored, which execve passes on: the kernel would reap them
/// unseen, and every wait would end in ECHILD.
pub fn restore_sigchld() {
    // SAFETY: SIG_DFL is no code of ours, so nothing that a handler must respect is at stake.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}
