//! Starting `dunnage-init`: clone3(2), a few calls in the child, execveat(2) of its sealed memfd.
//!
//! What runs between clone and exec is in `child` alone: system calls, no allocation, no panic. The child shares our memory
//! and we stand still until it has executed (CLONE_VM, CLONE_VFORK), so that the cost doesn't grow with our size; only
//! where it has to wait for us (for its id maps) does it get a copy.

use std::arch::asm;
use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use dunnage_steps::{Call, Message, Say};
use nix::errno::Errno;

use super::pidfd::PidFd;

/// What to start.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// `CLONE_NEW*`.
    pub namespaces: u64,
    /// A cgroup v2 directory that the child starts in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The executable: a memfd.
    pub executable: BorrowedFd<'a>,
    /// argv.
    pub args: &'a [CString],
    /// The child's end of the sync socket; it inherits it.
    pub sync: BorrowedFd<'a>,
    /// Our end of it.
    pub ours: BorrowedFd<'a>,
    /// More descriptors that it inherits, under the numbers that they have.
    pub inherit: &'a [RawFd],
    /// What becomes its descriptors 0-2; `None`: ours.
    pub stdio: [Option<RawFd>; 3],
    /// It waits for one packet on the sync socket, then becomes uid and gid 0, before it executes.
    pub waits_for_maps: bool,
}

/// What the child reads.
struct Child<'a> {
    start: &'a Start<'a>,
    argv: *const *const c_char,
    envp: *const *const c_char,
}

/// struct clone_args of clone3(2), as of Linux 5.7.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Starts it. What fails in the child before `dunnage-init` runs is reported on the sync socket, as step `u32::MAX`.
///
/// # Errors
/// That of clone3(2).
pub fn start(start: &Start<'_>) -> Result<(i32, PidFd), Errno> {
    let argv: Vec<*const c_char> = start.args.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
    let envp = [std::ptr::null()];
    let child_data = Child { start, argv: argv.as_ptr(), envp: envp.as_ptr() };
    let mut pidfd: RawFd = -1;
    let shared = if start.waits_for_maps { 0 } else { libc::CLONE_VM | libc::CLONE_VFORK };
    let flags = u64::from((shared | libc::CLONE_PIDFD).cast_unsigned()) | start.namespaces;
    let mut args = CloneArgs {
        flags,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        ..CloneArgs::default()
    };
    if let Some(cgroup) = start.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or(u64::MAX);
    }
    // SAFETY: `args` is as clone3(2) wants it. `child` gets data that outlives it: with CLONE_VFORK we are held here until
    // it has executed or ended, else it has a copy.
    let pid = unsafe { clone3(&args, child, (&raw const child_data).cast()) };
    match i32::try_from(pid) {
        Ok(pid) if pid > 0 => {
            // SAFETY: the kernel has just made it for us (close-on-exec by definition); nobody else knows of it.
            Ok((pid, PidFd::from(unsafe { OwnedFd::from_raw_fd(pidfd) })))
        }
        _ => Err(Errno::from_raw(i32::try_from(pid.wrapping_neg()).unwrap_or(0))),
    }
}

/// clone3(2) whose child calls `run` and never returns into our frames: it may use the stack below ours, which is free while we are
/// held or is its own copy. Returns the pid, or minus the errno.
///
/// # Safety
/// `args` describes a child without a stack of its own; `run` does not return; `data` is what `run` wants.
#[cfg(target_arch = "x86_64")]
unsafe fn clone3(args: &CloneArgs, run: extern "C" fn(*const c_void) -> !, data: *const c_void) -> isize {
    let result: isize;
    // SAFETY: the caller's promise. Not `nostack`: so no red zone of ours lies where the child's frames go.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "and rsp, -16",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") args,
            in("rsi") size_of::<CloneArgs>(),
            in("r12") data,
            in("r13") run,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
unsafe fn clone3(args: &CloneArgs, run: extern "C" fn(*const c_void) -> !, data: *const c_void) -> isize {
    let result: isize;
    // SAFETY: as above.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, #0",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") args as *const CloneArgs as isize => result,
            in("x1") size_of::<CloneArgs>(),
            in("x20") data,
            in("x21") run,
            lateout("x30") _,
        );
    }
    result
}

/// The child, between clone and exec.
extern "C" fn child(data: *const c_void) -> ! {
    // SAFETY: `start` passes its `Child`.
    let data = unsafe { &*data.cast::<Child<'_>>() };
    let (call, errno) = until_exec(data);
    let failure = Message { say: Say::Failed, step: u32::MAX, call: call as u32, errno: errno as i32, value: 0 };
    let bytes = failure.to_bytes();
    // SAFETY: a buffer of ours, and its length.
    unsafe { libc::write(data.start.sync.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    // SAFETY: ends this process only, and without the exit handlers and buffers that it shares with us.
    unsafe { libc::_exit(255) }
}

/// Returns only if something failed.
fn until_exec(data: &Child<'_>) -> (Call, Errno) {
    let start = data.start;
    if start.waits_for_maps
        && let Err(failure) = wait_for_maps(start)
    {
        return failure;
    }
    for (target, source) in (0..).zip(&start.stdio) {
        let Some(source) = *source else { continue };
        // SAFETY: no pointers; the table of descriptors is the child's own copy.
        if unsafe { libc::dup2(source, target) } == -1 {
            return (Call::Dup, Errno::last());
        }
    }
    for fd in start.inherit.iter().copied().chain([start.sync.as_raw_fd()]) {
        // SAFETY: no pointers; as above.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } == -1 {
            return (Call::Dup, Errno::last());
        }
    }
    // SAFETY: no pointers to anything of ours; without CLONE_SIGHAND the dispositions are the child's own.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `none` is valid for the write.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: `none` was filled in by the line above; the old set is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
    let fd = start.executable.as_raw_fd();
    // SAFETY: an empty path and two null-terminated arrays of strings, all held by `start`.
    unsafe { libc::syscall(libc::SYS_execveat, fd, c"".as_ptr(), data.argv, data.envp, libc::AT_EMPTY_PATH) };
    (Call::Execve, Errno::last())
}

/// One packet says that the maps are written; none, that there is nobody left to do so.
fn wait_for_maps(start: &Start<'_>) -> Result<(), (Call, Errno)> {
    // With a copy of our end it would not see that we are gone, and wait for ever, with a copy of the state's lock.
    // SAFETY: no pointers; the table of descriptors is the child's own copy.
    unsafe { libc::close(start.ours.as_raw_fd()) };
    let sync = start.sync.as_raw_fd();
    let mut packet = [0u8; Message::SIZE];
    // SAFETY: a buffer of ours, and its length.
    if unsafe { libc::read(sync, packet.as_mut_ptr().cast(), packet.len()) } <= 0 {
        return Err((Call::Recv, Errno::last()));
    }
    // By the raw calls: the C library's would tell other threads, of which this copy has none. An executable that is run as
    // root of the user namespace keeps its capabilities (capabilities(7)); as an unmapped user it would lose them.
    // SAFETY: no pointers.
    if unsafe { libc::syscall(libc::SYS_setresgid, 0, 0, 0) } == -1 {
        return Err((Call::Setresgid, Errno::last()));
    }
    // SAFETY: no pointers.
    if unsafe { libc::syscall(libc::SYS_setresuid, 0, 0, 0) } == -1 {
        return Err((Call::Setresuid, Errno::last()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::poll::PollTimeout;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    use super::*;

    /// Whatever it has copies of: a create that is killed must not leave it.
    #[test]
    fn who_waits_for_its_maps_ends_with_us() {
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (ours, childs) = pair.unwrap();
        let executable = std::fs::File::open("/bin/true").unwrap();
        let what = Start {
            namespaces: 0,
            cgroup: None,
            executable: executable.as_fd(),
            args: &[c"true".to_owned()],
            sync: childs.as_fd(),
            ours: ours.as_fd(),
            inherit: &[],
            stdio: [None; 3],
            waits_for_maps: true,
        };
        let (_, child) = start(&what).unwrap();
        drop(childs);
        assert_eq!(child.wait_exit(PollTimeout::from(100u8)), Ok(false), "it waits");
        drop(ours);
        let ended = child.wait_exit(PollTimeout::from(5000u16));
        child.send_signal(libc::SIGKILL).ok();
        child.reap().unwrap();
        assert_eq!(ended, Ok(true));
    }
}
