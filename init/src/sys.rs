//! The kernel, without a C library: one raw system call instruction, and a typed function for each call that the steps
//! use, named as the kernel names it. The only unsafe code of this program besides its entry. Knows no step.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, Ordering};

mod nr;

/// What the kernel answered instead of a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

macro_rules! errnos { ($($name:ident = $n:literal),* $(,)?) => { impl Errno { $(pub const $name: Errno = Errno($n);)* } } }
errnos! {
    EPERM = 1, ENOENT = 2, EINTR = 4, ENOEXEC = 8, EAGAIN = 11, EACCES = 13, EBUSY = 16, EEXIST = 17, ENOTDIR = 20,
    EISDIR = 21, EINVAL = 22, EROFS = 30, ENAMETOOLONG = 36, ENOSYS = 38, ELOOP = 40, EPROTO = 71,
    EOPNOTSUPP = 95,
}

pub type Result<T> = core::result::Result<T, Errno>;

/// A descriptor that is closed with its owner.
#[derive(Debug)]
pub struct Fd(i32);

impl Fd {
    pub const CWD: i32 = -100;

    pub fn raw(&self) -> i32 {
        self.0
    }

    pub fn from_raw(fd: i32) -> Fd {
        Fd(fd)
    }
}

/// How many descriptors were let go without closing them.
static LEFT_OPEN: AtomicU32 = AtomicU32::new(0);
/// How many at most: far below any limit of open files.
const LEFT_OPEN_MAX: u32 = 128;

impl Drop for Fd {
    /// All our descriptors are close-on-exec, and the first of them are left to that: a fifth of all calls would be close(2)
    /// otherwise, for what lives a millisecond. Before waiting for `start`, [`close_all_but`] closes them.
    fn drop(&mut self) {
        if LEFT_OPEN.fetch_add(1, Ordering::Relaxed) >= LEFT_OPEN_MAX {
            close(self.0);
        }
    }
}

/// close(2), at once.
pub fn close(file: i32) {
    let _ = call(nr::CLOSE, [arg(file), 0, 0, 0, 0, 0]);
}

/// Closes all descriptors from `first` on, but for these.
pub fn close_all_but(first: i32, keep: &mut [i32]) -> Result<()> {
    keep.sort_unstable();
    let mut from = first;
    for fd in keep.iter().copied().filter(|fd| *fd >= first) {
        if from < fd {
            close_range(from, fd.saturating_sub(1), 0)?;
        }
        from = fd.saturating_add(1);
    }
    close_range(from, i32::MAX, 0)
}

#[cfg(target_arch = "x86_64")]
fn raw(n: usize, a: [usize; 6]) -> isize {
    let [a0, a1, a2, a3, a4, a5] = a;
    let r: isize;
    // SAFETY: the instruction clobbers rcx and r11 alone. That the arguments point to memory of the right size and lifetime
    // is kept by the typed functions below, which are the only callers.
    unsafe {
        core::arch::asm!("syscall", inlateout("rax") n.cast_signed() => r, in("rdi") a0, in("rsi") a1, in("rdx") a2,
            in("r10") a3, in("r8") a4, in("r9") a5, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    r
}

#[cfg(target_arch = "aarch64")]
fn raw(n: usize, a: [usize; 6]) -> isize {
    let [a0, a1, a2, a3, a4, a5] = a;
    let r: isize;
    // SAFETY: as above; the kernel keeps all registers but x0.
    unsafe {
        core::arch::asm!("svc 0", in("x8") n, inlateout("x0") a0.cast_signed() => r, in("x1") a1, in("x2") a2, in("x3") a3,
            in("x4") a4, in("x5") a5, options(nostack));
    }
    r
}

fn call(n: usize, a: [usize; 6]) -> Result<usize> {
    let r = raw(n, a);
    // Errnos are the last page of the address space, as everywhere in Linux.
    if (-4095..0).contains(&r) {
        Err(Errno(i32::try_from(r.wrapping_neg()).unwrap_or(0)))
    } else {
        Ok(r.cast_unsigned())
    }
}

fn fd(r: Result<usize>) -> Result<Fd> {
    r.map(|n| Fd(i32::try_from(n).unwrap_or(-1)))
}

fn none(r: Result<usize>) -> Result<()> {
    r.map(|_| ())
}

/// An int as a register's content.
fn arg(n: i32) -> usize {
    isize::try_from(n).unwrap_or(-1).cast_unsigned()
}

fn word(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn ptr(s: &CStr) -> usize {
    s.as_ptr() as usize
}

fn opt(s: Option<&CStr>) -> usize {
    s.map_or(0, ptr)
}

fn at<T>(t: &T) -> usize {
    core::ptr::from_ref(t) as usize
}

fn at_mut<T>(t: &mut T) -> usize {
    core::ptr::from_mut(t) as usize
}

// ---- files ---------------------------------------------------------------------------------------------------------

pub const O_WRONLY: u64 = 1;
pub const O_RDWR: u64 = 2;
pub const O_CREAT: u64 = 0o100;
pub const O_EXCL: u64 = 0o200;
pub const O_NOCTTY: u64 = 0o400;
pub const O_NONBLOCK: u64 = 0o4000;
pub const O_CLOEXEC: u64 = 0o2000000;
pub const O_PATH: u64 = 0o10000000;
#[cfg(target_arch = "x86_64")]
pub const O_DIRECTORY: u64 = 0o200000;
#[cfg(target_arch = "x86_64")]
pub const O_NOFOLLOW: u64 = 0o400000;
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: u64 = 0o40000;
#[cfg(target_arch = "aarch64")]
pub const O_NOFOLLOW: u64 = 0o100000;

pub const RESOLVE_NO_XDEV: u64 = 1;
pub const RESOLVE_NO_MAGICLINKS: u64 = 2;
pub const RESOLVE_NO_SYMLINKS: u64 = 4;
pub const RESOLVE_BENEATH: u64 = 8;
pub const RESOLVE_IN_ROOT: u64 = 0x10;

pub fn openat2(dir: i32, path: &CStr, flags: u64, mode: u32, resolve: u64) -> Result<Fd> {
    let how: [u64; 3] = [flags | O_CLOEXEC, u64::from(mode), resolve];
    loop {
        match call(nr::OPENAT2, [arg(dir), ptr(path), at(&how), size_of_val(&how), 0, 0]) {
            // A rename somewhere raced with `..` in the path: the kernel asks to try again.
            Err(Errno::EAGAIN) => continue,
            r => return fd(r),
        }
    }
}

/// Plain openat(2), for paths that are the host's or our own.
pub fn openat(dir: i32, path: &CStr, flags: u64) -> Result<Fd> {
    fd(call(nr::OPENAT, [arg(dir), ptr(path), word(flags | O_CLOEXEC), 0, 0, 0]))
}

pub fn read(from: i32, to: &mut [u8]) -> Result<usize> {
    call(nr::READ, [arg(from), to.as_mut_ptr() as usize, to.len(), 0, 0, 0])
}

pub fn pread(from: i32, to: &mut [u8], at: u64) -> Result<usize> {
    call(nr::PREAD64, [arg(from), to.as_mut_ptr() as usize, to.len(), word(at), 0, 0])
}

pub fn rewind(file: i32) -> Result<()> {
    none(call(nr::LSEEK, [arg(file), 0, 0, 0, 0, 0]))
}

pub fn memfd_create(name: &CStr) -> Result<Fd> {
    const MFD_CLOEXEC: usize = 1;
    fd(call(nr::MEMFD_CREATE, [ptr(name), MFD_CLOEXEC, 0, 0, 0, 0]))
}

/// Whether the process may execute a file; what a mount with `noexec` forbids counts.
pub fn access_execute(path: &CStr) -> Result<()> {
    const X_OK: usize = 1;
    none(call(nr::FACCESSAT, [arg(Fd::CWD), ptr(path), X_OK, 0, 0, 0]))
}

pub fn write(to: i32, from: &[u8]) -> Result<usize> {
    call(nr::WRITE, [arg(to), from.as_ptr() as usize, from.len(), 0, 0, 0])
}

pub fn mkdirat(dir: i32, path: &CStr, mode: u32) -> Result<()> {
    none(call(nr::MKDIRAT, [arg(dir), ptr(path), word(mode.into()), 0, 0, 0]))
}

pub fn mknodat(dir: i32, path: &CStr, mode: u32, dev: u64) -> Result<()> {
    none(call(nr::MKNODAT, [arg(dir), ptr(path), word(mode.into()), word(dev), 0, 0]))
}

pub fn symlinkat(target: &CStr, dir: i32, path: &CStr) -> Result<()> {
    none(call(nr::SYMLINKAT, [ptr(target), arg(dir), ptr(path), 0, 0, 0]))
}

pub fn unlinkat(dir: i32, path: &CStr) -> Result<()> {
    none(call(nr::UNLINKAT, [arg(dir), ptr(path), 0, 0, 0, 0]))
}

pub fn readlinkat<'a>(dir: i32, path: &CStr, to: &'a mut [u8]) -> Result<&'a [u8]> {
    let n = call(nr::READLINKAT, [arg(dir), ptr(path), to.as_mut_ptr() as usize, to.len(), 0, 0])?;
    to.get(..n).ok_or(Errno::EINVAL)
}

pub fn fchmodat(dir: i32, path: &CStr, mode: u32) -> Result<()> {
    none(call(nr::FCHMODAT, [arg(dir), ptr(path), word(mode.into()), 0, 0, 0]))
}

const AT_SYMLINK_NOFOLLOW: usize = 0x100;
const AT_EMPTY_PATH: usize = 0x1000;

/// Of the link itself, if it is one; of `dir` if the path is empty.
pub fn fchownat(dir: i32, path: &CStr, uid: u32, gid: u32) -> Result<()> {
    let flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
    none(call(nr::FCHOWNAT, [arg(dir), ptr(path), word(uid.into()), word(gid.into()), flags, 0]))
}

/// The parts of struct statx that the steps look at.
#[derive(Clone, Copy)]
pub struct Stat {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub ino: u64,
    pub rdev: (u32, u32),
    pub mount: u64,
    pub mount_root: bool,
    pub atime: (i64, u32),
    pub mtime: (i64, u32),
}

pub const S_IFMT: u32 = 0o170000;
pub const S_IFDIR: u32 = 0o040000;
pub const S_IFLNK: u32 = 0o120000;
pub const S_IFREG: u32 = 0o100000;
pub const S_IFCHR: u32 = 0o020000;

impl Stat {
    pub fn is(&self, kind: u32) -> bool {
        self.mode & S_IFMT == kind
    }
}

/// statx(2) of the descriptor itself (empty path) or of a name in a directory, never following a link at its end.
pub fn statx(dir: i32, path: &CStr) -> Result<Stat> {
    stat(dir, path, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)
}

/// The same of what a path leads to.
pub fn stat_path(path: &CStr) -> Result<Stat> {
    stat(Fd::CWD, path, 0)
}

fn stat(dir: i32, path: &CStr, flags: usize) -> Result<Stat> {
    #[repr(C)]
    #[derive(Default)]
    struct Time {
        sec: i64,
        nsec: u32,
        pad: i32,
    }
    #[repr(C)]
    #[derive(Default)]
    struct Statx {
        mask: u32,
        blksize: u32,
        attributes: u64,
        nlink: u32,
        uid: u32,
        gid: u32,
        mode: u16,
        pad: u16,
        ino: u64,
        size: u64,
        blocks: u64,
        attributes_mask: u64,
        times: [Time; 4],
        rdev_major: u32,
        rdev_minor: u32,
        dev_major: u32,
        dev_minor: u32,
        mnt_id: u64,
        spare: [u64; 13],
    }
    const BASIC_STATS_AND_MNT_ID: usize = 0x7ff | 0x1000;
    const MOUNT_ROOT: u64 = 0x2000;
    let mut s = Statx::default();
    call(nr::STATX, [arg(dir), ptr(path), flags, BASIC_STATS_AND_MNT_ID, at_mut(&mut s), 0])?;
    let [atime, _, _, mtime] = s.times;
    Ok(Stat {
        mode: s.mode.into(),
        uid: s.uid,
        gid: s.gid,
        ino: s.ino,
        rdev: (s.rdev_major, s.rdev_minor),
        mount: s.mnt_id,
        mount_root: s.attributes & MOUNT_ROOT != 0,
        atime: (atime.sec, atime.nsec),
        mtime: (mtime.sec, mtime.nsec),
    })
}

pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;
pub const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;

/// struct statfs of a 64-bit kernel: the type is its first word, the flags are its eleventh.
fn statfs(file: i32) -> Result<[u64; 16]> {
    let mut buf = [0u64; 16];
    call(nr::FSTATFS, [arg(file), at_mut(&mut buf), 0, 0, 0, 0])?;
    Ok(buf)
}

/// The type of the file system that a descriptor is on.
pub fn fstatfs(file: i32) -> Result<u64> {
    statfs(file).map(|s| s[0])
}

/// The flags of the mount that a descriptor is on, as mount(2) takes them.
pub fn mount_flags(file: i32) -> Result<u64> {
    const ST_SAME_AS_MS: u64 = 0xf | 0x10 | 0x40 | 0x400 | 0x800;
    const ST_RELATIME: u64 = 0x1000;
    const MS_RELATIME: u64 = 0x20_0000;
    const ST_NOSYMFOLLOW: u64 = 0x2000;
    const MS_NOSYMFOLLOW: u64 = 0x100;
    let f = statfs(file)?[10];
    let other = |st: u64, ms: u64| if f & st != 0 { ms } else { 0 };
    Ok(f & ST_SAME_AS_MS | other(ST_RELATIME, MS_RELATIME) | other(ST_NOSYMFOLLOW, MS_NOSYMFOLLOW))
}

pub fn getdents64(dir: i32, to: &mut [u8]) -> Result<usize> {
    call(nr::GETDENTS64, [arg(dir), to.as_mut_ptr() as usize, to.len(), 0, 0, 0])
}

pub fn utimensat(dir: i32, path: &CStr, times: [(i64, u32); 2]) -> Result<()> {
    let t: [i64; 4] = [times[0].0, times[0].1.into(), times[1].0, times[1].1.into()];
    none(call(nr::UTIMENSAT, [arg(dir), ptr(path), at(&t), AT_SYMLINK_NOFOLLOW, 0, 0]))
}

pub fn flistxattr(file: i32, to: &mut [u8]) -> Result<usize> {
    call(nr::FLISTXATTR, [arg(file), to.as_mut_ptr() as usize, to.len(), 0, 0, 0])
}

pub fn fgetxattr(file: i32, name: &CStr, to: &mut [u8]) -> Result<usize> {
    call(nr::FGETXATTR, [arg(file), ptr(name), to.as_mut_ptr() as usize, to.len(), 0, 0])
}

pub fn fsetxattr(file: i32, name: &CStr, value: &[u8]) -> Result<()> {
    none(call(nr::FSETXATTR, [arg(file), ptr(name), value.as_ptr() as usize, value.len(), 0, 0]))
}

pub fn dup3(from: i32, to: i32) -> Result<()> {
    // dup3(2) refuses equal descriptors; nothing is to be done for them.
    if from == to { Ok(()) } else { none(call(nr::DUP3, [arg(from), arg(to), 0, 0, 0, 0])) }
}

/// Waits until one of the descriptors is readable or closed; false when `timeout` milliseconds passed first (-1: never).
pub fn poll(fds: &mut [PollFd], timeout: i32) -> Result<bool> {
    let mut t = [i64::from(timeout) / 1000, (i64::from(timeout) % 1000).saturating_mul(1_000_000)];
    let limit = if timeout < 0 { 0 } else { at_mut(&mut t) };
    loop {
        match call(nr::PPOLL, [fds.as_mut_ptr() as usize, fds.len(), limit, 0, 0, 0]) {
            Err(Errno::EINTR) => continue,
            r => return r.map(|n| n > 0),
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct PollFd {
    pub fd: i32,
    pub events: i16,
    pub revents: i16,
}

pub const POLLIN: i16 = 1;

/// Marks every descriptor from `first` on as closed by execve.
pub fn close_range_cloexec(first: i32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    close_range(first, i32::MAX, CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: i32, last: i32, flags: usize) -> Result<()> {
    none(call(nr::CLOSE_RANGE, [arg(first), arg(last), flags, 0, 0, 0]))
}

pub fn set_cloexec(file: i32) -> Result<()> {
    const F_SETFD: usize = 2;
    none(call(nr::FCNTL, [arg(file), F_SETFD, 1, 0, 0, 0]))
}

/// Maps a file read-only, for the life of the process.
pub fn map(file: i32, len: usize) -> Result<&'static [u8]> {
    const PROT_READ: usize = 1;
    const MAP_PRIVATE: usize = 2;
    let p = call(nr::MMAP, [0, len, PROT_READ, MAP_PRIVATE, arg(file), 0])?;
    // SAFETY: the kernel mapped `len` bytes at `p`, and nothing unmaps them. The file is sealed against writing, so
    // they do not change.
    Ok(unsafe { core::slice::from_raw_parts(p as *const u8, len) })
}

// ---- mounts --------------------------------------------------------------------------------------------------------

pub fn mount(
    source: Option<&CStr>,
    target: &CStr,
    fstype: Option<&CStr>,
    flags: u64,
    data: Option<&CStr>,
) -> Result<()> {
    none(call(nr::MOUNT, [opt(source), ptr(target), opt(fstype), word(flags), opt(data), 0]))
}

pub const MNT_DETACH: usize = 2;

pub fn umount2(target: &CStr, flags: usize) -> Result<()> {
    none(call(nr::UMOUNT2, [ptr(target), flags, 0, 0, 0, 0]))
}

/// A detached copy of the mount at a path; with `recursive` of the whole tree below it.
pub fn open_tree_clone(dir: i32, path: &CStr, recursive: bool) -> Result<Fd> {
    const OPEN_TREE_CLONE: usize = 1;
    const AT_RECURSIVE: usize = 0x8000;
    let flags = OPEN_TREE_CLONE | word(O_CLOEXEC) | AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    fd(call(nr::OPEN_TREE, [arg(dir), ptr(path), flags, 0, 0, 0]))
}

/// Attaches the mount `from` on what the descriptor `to` is, or to a path.
pub fn move_mount(from: i32, to: i32, path: &CStr) -> Result<()> {
    const F_EMPTY_PATH: usize = 4;
    const T_EMPTY_PATH: usize = 0x40;
    none(call(nr::MOVE_MOUNT, [arg(from), ptr(c""), arg(to), ptr(path), F_EMPTY_PATH | T_EMPTY_PATH, 0]))
}

/// Changes the mount that the descriptor is the root of.
pub fn mount_setattr(mount: i32, recursive: bool, set: u64, clear: u64, propagation: u64) -> Result<()> {
    const AT_RECURSIVE: usize = 0x8000;
    let attr: [u64; 4] = [set, clear, propagation, 0];
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    none(call(nr::MOUNT_SETATTR, [arg(mount), ptr(c""), flags, at(&attr), size_of_val(&attr), 0]))
}

pub fn fsopen(fstype: &CStr) -> Result<Fd> {
    const FSOPEN_CLOEXEC: usize = 1;
    fd(call(nr::FSOPEN, [ptr(fstype), FSOPEN_CLOEXEC, 0, 0, 0, 0]))
}

pub fn fsconfig_set_string(context: i32, key: &CStr, value: &CStr) -> Result<()> {
    const FSCONFIG_SET_STRING: usize = 1;
    none(call(nr::FSCONFIG, [arg(context), FSCONFIG_SET_STRING, ptr(key), ptr(value), 0, 0]))
}

pub fn fsconfig_create(context: i32) -> Result<()> {
    const FSCONFIG_CMD_CREATE: usize = 6;
    none(call(nr::FSCONFIG, [arg(context), FSCONFIG_CMD_CREATE, 0, 0, 0, 0]))
}

pub fn fsmount(context: i32, attributes: u64) -> Result<Fd> {
    const FSMOUNT_CLOEXEC: usize = 1;
    fd(call(nr::FSMOUNT, [arg(context), FSMOUNT_CLOEXEC, word(attributes), 0, 0, 0]))
}

pub fn pivot_root(new: &CStr, old: &CStr) -> Result<()> {
    none(call(nr::PIVOT_ROOT, [ptr(new), ptr(old), 0, 0, 0, 0]))
}

pub fn chroot(path: &CStr) -> Result<()> {
    none(call(nr::CHROOT, [ptr(path), 0, 0, 0, 0, 0]))
}

pub fn chdir(path: &CStr) -> Result<()> {
    none(call(nr::CHDIR, [ptr(path), 0, 0, 0, 0, 0]))
}

pub fn fchdir(dir: i32) -> Result<()> {
    none(call(nr::FCHDIR, [arg(dir), 0, 0, 0, 0, 0]))
}

pub fn getcwd(to: &mut [u8]) -> Result<&[u8]> {
    let n = call(nr::GETCWD, [to.as_mut_ptr() as usize, to.len(), 0, 0, 0, 0])?;
    to.get(..n.saturating_sub(1)).ok_or(Errno::EINVAL)
}

// ---- processes -----------------------------------------------------------------------------------------------------

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

// ---- sockets and terminals -----------------------------------------------------------------------------------------

#[repr(C)]
struct MsgHdr {
    name: usize,
    namelen: u32,
    iov: *const [usize; 2],
    iovlen: usize,
    control: usize,
    controllen: usize,
    flags: i32,
}

const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const MSG_NOSIGNAL: usize = 0x4000;

/// The most descriptors in one message (SCM_MAX_FD is 253).
pub const MAX_FDS: usize = 253;

/// A control message of SCM_RIGHTS, as large as it can be.
#[repr(C, align(8))]
struct Rights {
    len: usize,
    level: i32,
    kind: i32,
    fds: [i32; MAX_FDS],
}

const RIGHTS_HEADER: usize = 16;

/// Sends one packet with one descriptor.
pub fn send_fd(socket: i32, bytes: &[u8], file: i32) -> Result<()> {
    let mut rights =
        Rights { len: RIGHTS_HEADER.saturating_add(4), level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [-1; MAX_FDS] };
    rights.fds[0] = file;
    let iov = [bytes.as_ptr() as usize, bytes.len()];
    let control = RIGHTS_HEADER.saturating_add(8);
    let msg = MsgHdr { name: 0, namelen: 0, iov: &iov, iovlen: 1, control: at(&rights), controllen: control, flags: 0 };
    none(call(nr::SENDMSG, [arg(socket), at(&msg), MSG_NOSIGNAL, 0, 0, 0]))
}

/// Receives one packet: its length, and the descriptors that came with it, each handed to `keep`.
pub fn recv_fds(socket: i32, to: &mut [u8], mut keep: impl FnMut(i32)) -> Result<usize> {
    let mut rights = Rights { len: 0, level: 0, kind: 0, fds: [-1; MAX_FDS] };
    let iov = [to.as_mut_ptr() as usize, to.len()];
    let control = size_of::<Rights>();
    let mut msg = MsgHdr {
        name: 0,
        namelen: 0,
        iov: &iov,
        iovlen: 1,
        control: at_mut(&mut rights),
        controllen: control,
        flags: 0,
    };
    let n = loop {
        match call(nr::RECVMSG, [arg(socket), at_mut(&mut msg), MSG_CMSG_CLOEXEC, 0, 0, 0]) {
            Err(Errno::EINTR) => continue,
            r => break r?,
        }
    };
    if msg.controllen >= RIGHTS_HEADER && rights.level == SOL_SOCKET && rights.kind == SCM_RIGHTS {
        let count = rights.len.saturating_sub(RIGHTS_HEADER) / 4;
        rights.fds.iter().take(count).for_each(|fd| keep(*fd));
    }
    Ok(n)
}

/// A datagram socket of the IPv4 family; for requests about interfaces.
pub fn socket_inet() -> Result<Fd> {
    const AF_INET: usize = 2;
    const SOCK_DGRAM_CLOEXEC: usize = 2 | 0o2000000;
    fd(call(nr::SOCKET, [AF_INET, SOCK_DGRAM_CLOEXEC, 0, 0, 0, 0]))
}

pub const SIOCSIFFLAGS: usize = 0x8914;
pub const TIOCSCTTY: usize = 0x540e;
pub const TIOCSWINSZ: usize = 0x5414;
pub const TIOCGPTPEER: usize = 0x5441;
pub const TIOCSPTLCK: usize = 0x4004_5431;

/// ioctl(2) with a pointer to a structure that the kernel reads.
pub fn ioctl<T>(file: i32, request: usize, of: &T) -> Result<()> {
    none(call(nr::IOCTL, [arg(file), request, at(of), 0, 0, 0]))
}

/// The other end of a pseudoterminal (TIOCGPTPEER): opened through the master, so no path can be swapped (CVE-2025-52565).
pub fn ioctl_gptpeer(master: i32) -> Result<Fd> {
    fd(call(nr::IOCTL, [arg(master), TIOCGPTPEER, word(O_RDWR | O_NOCTTY | O_CLOEXEC), 0, 0, 0]))
}
