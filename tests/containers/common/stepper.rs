//! A process stepped from system call to system call, to be killed at one of them.

use super::Command;
use nix::libc;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

/// How a stepped command ended.
pub struct Stepped {
    /// How many calls it had begun.
    pub calls: usize,
    pub killed: bool,
    pub code: i32,
}

/// Runs the command, without its children, and kills it when it begins its n-th call, before the kernel does anything of
/// it. With `usize::MAX` it runs to its end.
pub fn kill_at_call(mut command: Command, n: usize) -> Stepped {
    // SAFETY: between fork and exec, one system call: the parent becomes the tracer.
    let trace_me = || match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: as above, and no allocation.
    unsafe { command.inner().pre_exec(trace_me) };
    let inner = command.inner().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[allow(clippy::zombie_processes)] // It is reaped by pid, with the status that a tracer gets.
    let child = inner.spawn().unwrap();
    let pid = child.id() as i32;
    let ptrace = |request: libc::c_uint, data: i64| {
        // SAFETY: requests that take a number, for our own tracee.
        unsafe { libc::ptrace(request, pid, 0, data) }
    };
    let wait = || {
        let mut status = 0;
        // SAFETY: an int for the status.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, libc::__WALL) }, pid);
        status
    };
    let mut status = wait();
    ptrace(libc::PTRACE_SETOPTIONS, libc::PTRACE_O_TRACESYSGOOD.into());
    let (mut calls, mut entering) = (0, true);
    while libc::WIFSTOPPED(status) {
        let mut signal = libc::WSTOPSIG(status);
        if signal == libc::SIGTRAP | 0x80 {
            calls += usize::from(entering);
            if entering && calls == n {
                // SAFETY: our own child, which we have not reaped.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
            entering = !entering;
        }
        if signal & 0x7f == libc::SIGTRAP {
            signal = 0;
        }
        ptrace(libc::PTRACE_SYSCALL, signal.into());
        status = wait();
    }
    let killed = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL;
    Stepped { calls, killed, code: if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 } }
}
