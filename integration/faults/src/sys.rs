//! The calls to the kernel that the standard library does not have: the only unsafe code of this program.

use std::ffi::CString;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

fn check(result: libc::c_int) -> Result<libc::c_int> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

/// fork(2): 0 in the child. This program has one thread.
pub fn fork() -> Result<i32> {
    // SAFETY: one thread, so that no lock is held by another one.
    check(unsafe { libc::fork() })
}

pub fn exit(code: i32) -> ! {
    // SAFETY: ends the process; nothing of it has to be cleaned up.
    unsafe { libc::_exit(code) }
}

pub fn unshare(flags: libc::c_int) -> Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

fn c(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

pub fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong) -> Result<()> {
    let (source, target, kind) = (c(source), c(target), c(kind));
    // SAFETY: strings that outlive the call; no data.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, std::ptr::null()) })
        .map(drop)
        .map_err(|e| Error::other(format!("mount {kind:?} on {target:?}: {e}")))
}

pub fn detach(target: &str) -> Result<()> {
    let target = c(target);
    // SAFETY: a string that outlives the call.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// A pipe whose reading end does not block: (to read, to write).
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: room for two numbers.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: the kernel has just given it to us.
    let read = unsafe { OwnedFd::from_raw_fd(ends[0]) };
    // SAFETY: as above.
    let write = unsafe { OwnedFd::from_raw_fd(ends[1]) };
    // SAFETY: numbers only.
    check(unsafe { libc::fcntl(read.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    Ok((read, write))
}

pub fn kill(pid: i32, signal: i32) {
    // SAFETY: numbers only; that the process has ended already is fine.
    unsafe { libc::kill(pid, signal) };
}

/// A changed child: its pid and status. None if `WNOHANG` was given or a signal came first.
pub fn wait(pid: i32, flags: libc::c_int) -> Result<Option<(i32, i32)>> {
    let mut status = 0;
    // SAFETY: room for the status.
    match check(unsafe { libc::waitpid(pid, &mut status, flags | libc::__WALL) }) {
        Ok(0) => Ok(None),
        Ok(pid) => Ok(Some((pid, status))),
        Err(e) if e.raw_os_error() == Some(libc::EINTR) => Ok(None),
        Err(e) => Err(e),
    }
}

extern "C" fn nothing(_: libc::c_int) {}

/// A signal every so many milliseconds, so that no wait(2) lasts longer; 0: no more.
pub fn tick(milliseconds: i64) {
    // SAFETY: all zeros are an action without flags: a call is not restarted.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
    // SAFETY: `action` lives through the call, and its handler does nothing.
    unsafe { libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()) };
    let each = libc::timeval { tv_sec: 0, tv_usec: milliseconds.saturating_mul(1000) };
    let timer = libc::itimerval { it_interval: each, it_value: each };
    // SAFETY: `timer` lives through the call.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
}

/// Starts a program: stdin is /dev/null, `out` and `err` are its others. With a `gate` it executes when that can be read.
pub fn spawn(argv: &[String], out: &OwnedFd, err: &OwnedFd, gate: Option<&OwnedFd>) -> Result<i32> {
    let argv: Vec<CString> = argv.iter().map(|a| c(a)).collect();
    let mut pointers: Vec<*const libc::c_char> = argv.iter().map(|a| a.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let env = [c("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), c("HOME=/")];
    let env = [env[0].as_ptr(), env[1].as_ptr(), std::ptr::null()];
    let null = c("/dev/null");
    let (out, err, gate) = (out.as_raw_fd(), err.as_raw_fd(), gate.map(AsRawFd::as_raw_fd));
    let pid = fork()?;
    if pid != 0 {
        return Ok(pid);
    }
    if let Some(gate) = gate {
        let mut poll = libc::pollfd { fd: gate, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        unsafe { libc::poll(&mut poll, 1, -1) };
    }
    // SAFETY: a string that outlives the call.
    let stdin = unsafe { libc::open(null.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    for (from, to) in [(stdin, 0), (out, 1), (err, 2)] {
        // SAFETY: numbers only.
        unsafe { libc::dup2(from, to) };
    }
    // What we, or a shell that put us into the background, ignore is not the command's to ignore.
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGPIPE] {
        // SAFETY: numbers only.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: a session of its own, numbers only.
    unsafe { libc::setsid() };
    // SAFETY: arrays of strings that end in a null pointer.
    unsafe { libc::execve(pointers[0], pointers.as_ptr(), env.as_ptr()) };
    exit(127)
}

pub fn ptrace(request: libc::c_uint, pid: i32, address: usize, data: usize) -> Result<()> {
    // SAFETY: requests that take numbers, for our own tracee.
    match unsafe { libc::ptrace(request, pid, address, data) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()),
    }
}

/// The message of the event in which a tracee is stopped.
pub fn event_message(pid: i32) -> Option<i32> {
    let mut message: libc::c_ulong = 0;
    // SAFETY: room for the number that the request gives.
    let done = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, &mut message) };
    (done == 0).then(|| i32::try_from(message).unwrap_or(0))
}

/// The call at whose beginning (number, arguments) or end (none) a tracee is stopped.
pub enum CallStop {
    Entry(i64, [u64; 6]),
    Exit,
    Other,
}

pub fn call_stop(pid: i32) -> CallStop {
    // SAFETY: all zeros are a struct of numbers.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of_val(&info);
    // SAFETY: `info` has the size that is told.
    unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size, &mut info) };
    match info.op {
        libc::PTRACE_SYSCALL_INFO_ENTRY => {
            // SAFETY: the kernel has filled this part, as it says.
            let entry = unsafe { info.u.entry };
            CallStop::Entry(i64::try_from(entry.nr).unwrap_or(-1), entry.args)
        }
        libc::PTRACE_SYSCALL_INFO_EXIT => CallStop::Exit,
        _ => CallStop::Other,
    }
}

const ORIG_RAX: usize = 15 * 8;
const RAX: usize = 10 * 8;

/// The call that a tracee is about to make is not made.
pub fn skip_call(pid: i32) -> Result<()> {
    ptrace(libc::PTRACE_POKEUSER, pid, ORIG_RAX, usize::MAX)
}

/// The call that a tracee has made has failed.
pub fn set_errno(pid: i32, errno: i32) -> Result<()> {
    ptrace(libc::PTRACE_POKEUSER, pid, RAX, usize::try_from(errno).unwrap_or(0).wrapping_neg())
}

/// `struct rusage`'s peak of resident memory, in KiB, of a child that is waited for.
pub fn wait_for_peak(pid: i32) -> Result<(i32, i64)> {
    // SAFETY: all zeros are a struct of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    loop {
        // SAFETY: room for both.
        match check(unsafe { libc::wait4(pid, &mut status, 0, &mut usage) }) {
            Ok(_) => return Ok((status, usage.ru_maxrss)),
            Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
}

pub fn setns(fd: i32) -> Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::setns(fd, 0) }).map(drop)
}

pub fn hostname(buffer: &mut [u8; 65]) {
    // SAFETY: a buffer of the size that is told.
    unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), 64) };
}

pub fn mkfifo(path: &str) -> Result<()> {
    let path = c(path);
    // SAFETY: a string that outlives the call.
    check(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }).map(drop)
}
