//! Processes: namespaces, credentials, what they are and how they end. See [`super`].

use super::*;

pub fn setns(namespace: i32, kinds: u64) -> Result<()> {
    none(call(nr::SETNS, [arg(namespace), word(kinds), 0, 0, 0, 0]))
}

pub fn unshare(kinds: u64) -> Result<()> {
    none(call(nr::UNSHARE, [word(kinds), 0, 0, 0, 0, 0]))
}

/// What clone3(2) returned, and to whom.
pub enum Cloned {
    Parent { pidfd: Fd },
    Child,
}

const CLONE_PIDFD: u64 = 0x1000;
/// The child's parent is our parent.
pub const CLONE_PARENT: u64 = 0x8000;
const SIGCHLD: u64 = 17;
pub const SIGKILL: usize = 9;

/// A copy of this process, as fork(2) makes it.
pub fn fork(flags: u64) -> Result<Cloned> {
    let mut pidfd = -1i32;
    // With CLONE_PARENT the exit signal is the one that we were started with, and naming one is an error.
    let signal = if flags & CLONE_PARENT != 0 { 0 } else { SIGCHLD };
    let args: [u64; 11] = [flags | CLONE_PIDFD, at_mut(&mut pidfd) as u64, 0, 0, signal, 0, 0, 0, 0, 0, 0];
    match call(nr::CLONE3, [at(&args), 64, 0, 0, 0, 0]) {
        Ok(0) => Ok(Cloned::Child),
        Ok(_) => Ok(Cloned::Parent { pidfd: Fd(pidfd) }),
        Err(e) => Err(e),
    }
}

/// Waits for a child's end: its exit status, or 128 and the signal.
pub fn waitid(pidfd: i32) -> Result<i32> {
    const P_PIDFD: usize = 3;
    const WEXITED: usize = 4;
    const CLD_EXITED: i32 = 1;
    // siginfo_t of SIGCHLD: signo, errno, code, pad, pid, uid, status.
    let mut info = [0i32; 32];
    loop {
        match call(nr::WAITID, [P_PIDFD, arg(pidfd), at_mut(&mut info), WEXITED, 0, 0]) {
            Err(Errno::EINTR) => continue,
            r => {
                r?;
                return Ok(if info[2] == CLD_EXITED { info[6] } else { info[6].saturating_add(128) });
            }
        }
    }
}

pub fn pidfd_send_signal(pidfd: i32, signal: usize) -> Result<()> {
    none(call(nr::PIDFD_SEND_SIGNAL, [arg(pidfd), signal, 0, 0, 0, 0]))
}

pub fn getpid() -> usize {
    call(nr::GETPID, [0; 6]).unwrap_or(0)
}

pub fn exit(status: i32) -> ! {
    loop {
        let _ = call(nr::EXIT_GROUP, [arg(status), 0, 0, 0, 0, 0]);
    }
}

/// `argv` and `envp` end with a null pointer each, and each points to strings that live in the plan or on the caller's stack.
pub fn execve(path: &CStr, argv: &[*const i8], envp: &[*const i8]) -> Errno {
    debug_assert!(argv.last().is_some_and(|p| p.is_null()) && envp.last().is_some_and(|p| p.is_null()));
    match call(nr::EXECVE, [ptr(path), argv.as_ptr() as usize, envp.as_ptr() as usize, 0, 0, 0]) {
        Err(e) => e,
        Ok(_) => Errno::EINVAL,
    }
}

fn anonymous(len: usize) -> Result<usize> {
    const PROT_READ_WRITE: usize = 3;
    const MAP_PRIVATE_ANONYMOUS: usize = 0x22;
    call(nr::MMAP, [0, len, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, usize::MAX, 0])
}

/// Memory for `n` pointers, all null.
pub fn pointers(n: usize) -> Result<&'static mut [*const i8]> {
    let p = anonymous(n.checked_mul(size_of::<*const i8>()).ok_or(Errno::EINVAL)?)?;
    // SAFETY: the kernel mapped zeroed, page-aligned memory of this length at `p`; nobody else knows of it, nothing
    // unmaps it, and all zeroes is a valid null pointer.
    Ok(unsafe { core::slice::from_raw_parts_mut(p as *mut *const i8, n) })
}

/// Memory for `n` numbers, all zero.
pub fn numbers(n: usize) -> Result<&'static mut [u32]> {
    let p = anonymous(n.checked_mul(size_of::<u32>()).ok_or(Errno::EINVAL)?)?;
    // SAFETY: as in `pointers`.
    Ok(unsafe { core::slice::from_raw_parts_mut(p as *mut u32, n) })
}

pub fn setsid() -> Result<()> {
    none(call(nr::SETSID, [0; 6]))
}

pub fn umask(mode: u32) -> u32 {
    call(nr::UMASK, [word(mode.into()), 0, 0, 0, 0, 0]).ok().and_then(|m| u32::try_from(m).ok()).unwrap_or(0o022)
}

pub fn sethostname(name: &CStr) -> Result<()> {
    none(call(nr::SETHOSTNAME, [ptr(name), name.count_bytes(), 0, 0, 0, 0]))
}

pub fn setdomainname(name: &CStr) -> Result<()> {
    none(call(nr::SETDOMAINNAME, [ptr(name), name.count_bytes(), 0, 0, 0, 0]))
}

pub const PR_SET_DUMPABLE: usize = 4;
pub const PR_SET_KEEPCAPS: usize = 8;
pub const PR_SET_NAME: usize = 15;
pub const PR_CAPBSET_DROP: usize = 24;
pub const PR_SET_NO_NEW_PRIVS: usize = 38;
pub const PR_CAP_AMBIENT: usize = 47;
pub const PR_CAP_AMBIENT_RAISE: usize = 2;
pub const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;

/// prctl(2) with numbers.
pub fn prctl(option: usize, a: usize, b: usize) -> Result<usize> {
    call(nr::PRCTL, [option, a, b, 0, 0, 0])
}

/// The name that ps(1) shows, at most 15 bytes of it.
pub fn set_name(name: &CStr) {
    let _ = call(nr::PRCTL, [PR_SET_NAME, ptr(name), 0, 0, 0, 0]);
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// The thread's effective, permitted and inheritable capabilities.
pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    let header = [CAPABILITY_VERSION_3, 0];
    let low = |set: u64| (set & 0xffff_ffff) as u32;
    let high = |set: u64| (set >> 32) as u32;
    let data = [low(effective), low(permitted), low(inheritable), high(effective), high(permitted), high(inheritable)];
    none(call(nr::CAPSET, [at(&header), at(&data), 0, 0, 0, 0]))
}

/// `groups` as the kernel wants them: native 32-bit numbers.
pub fn setgroups(groups: &[u32]) -> Result<()> {
    none(call(nr::SETGROUPS, [groups.len(), groups.as_ptr() as usize, 0, 0, 0, 0]))
}

pub fn setresgid(gid: u32) -> Result<()> {
    let g = word(gid.into());
    none(call(nr::SETRESGID, [g, g, g, 0, 0, 0]))
}

pub fn setresuid(uid: u32) -> Result<()> {
    let u = word(uid.into());
    none(call(nr::SETRESUID, [u, u, u, 0, 0, 0]))
}

pub const KEYCTL_JOIN_SESSION_KEYRING: usize = 1;
pub const KEYCTL_SETPERM: usize = 5;
pub const KEYCTL_DESCRIBE: usize = 6;

/// keyctl(2) with a string (or none), and a buffer (or none).
pub fn keyctl(operation: usize, a: usize, b: usize, c: usize) -> Result<usize> {
    call(nr::KEYCTL, [operation, a, b, c, 0, 0])
}

pub fn join_session_keyring(name: &CStr) -> Result<usize> {
    keyctl(KEYCTL_JOIN_SESSION_KEYRING, ptr(name), 0, 0)
}

pub fn describe_key(key: usize, to: &mut [u8]) -> Result<usize> {
    keyctl(KEYCTL_DESCRIBE, key, to.as_mut_ptr() as usize, to.len())
}

pub fn ioprio_set_process_group(value: u32) -> Result<()> {
    const IOPRIO_WHO_PGRP: usize = 2;
    none(call(nr::IOPRIO_SET, [IOPRIO_WHO_PGRP, 0, word(value.into()), 0, 0, 0]))
}

pub fn personality(domain: u64) -> Result<()> {
    none(call(nr::PERSONALITY, [word(domain), 0, 0, 0, 0, 0]))
}

pub fn set_mempolicy(mode: u32, nodes: &[u64]) -> Result<()> {
    // The kernel reads one bit less than it is told, for historical reasons (set_mempolicy(2), BUGS).
    let bits = nodes.len().saturating_mul(64).saturating_add(usize::from(!nodes.is_empty()));
    let mask = if nodes.is_empty() { 0 } else { nodes.as_ptr() as usize };
    none(call(nr::SET_MEMPOLICY, [word(mode.into()), mask, bits, 0, 0, 0]))
}

/// Loads a filter; returns the listener's descriptor number if one was asked for.
pub fn seccomp_set_filter(flags: u64, filter: &[u8]) -> Result<usize> {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    #[repr(C)]
    struct Prog {
        len: u16,
        filter: *const u8,
    }
    let len = u16::try_from(filter.len() / 8).map_err(|_| Errno::EINVAL)?;
    let prog = Prog { len, filter: filter.as_ptr() };
    call(nr::SECCOMP, [SECCOMP_SET_MODE_FILTER, word(flags), at(&prog), 0, 0, 0])
}

/// A ruleset that governs these `LANDLOCK_ACCESS_FS_*`. The size of the first field says that the others are not meant.
pub fn landlock_create_ruleset(handled: u64) -> Result<Fd> {
    fd(call(nr::LANDLOCK_CREATE_RULESET, [at(&handled), size_of_val(&handled), 0, 0, 0, 0]))
}

/// Lets the ruleset keep `allowed` for a file, or for all below a directory.
pub fn landlock_add_rule(ruleset: i32, allowed: u64, file: i32) -> Result<()> {
    const LANDLOCK_RULE_PATH_BENEATH: usize = 1;
    #[repr(C, packed)]
    struct PathBeneath {
        allowed_access: u64,
        parent_fd: i32,
    }
    let rule = PathBeneath { allowed_access: allowed, parent_fd: file };
    none(call(nr::LANDLOCK_ADD_RULE, [arg(ruleset), LANDLOCK_RULE_PATH_BENEATH, at(&rule), 0, 0, 0]))
}

pub fn landlock_restrict_self(ruleset: i32) -> Result<()> {
    none(call(nr::LANDLOCK_RESTRICT_SELF, [arg(ruleset), 0, 0, 0, 0, 0]))
}
