//! Files, directories, their attributes. See [`super`].

use super::*;

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

/// Whether its owner and mode let the process read a file.
pub fn access_read(path: &CStr) -> Result<()> {
    const R_OK: usize = 4;
    none(call(nr::FACCESSAT, [arg(Fd::CWD), ptr(path), R_OK, 0, 0, 0]))
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
pub const AT_EMPTY_PATH: usize = 0x1000;

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
pub const S_IFIFO: u32 = 0o010000;

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

pub fn close_range(first: i32, last: i32, flags: usize) -> Result<()> {
    none(call(nr::CLOSE_RANGE, [arg(first), arg(last), flags, 0, 0, 0]))
}

pub fn set_cloexec(file: i32) -> Result<()> {
    const F_SETFD: usize = 2;
    none(call(nr::FCNTL, [arg(file), F_SETFD, 1, 0, 0, 0]))
}

/// Maps numbers that another process may read, for the life of the process.
pub fn map_words(file: i32, bytes: usize) -> Result<&'static [AtomicU64]> {
    const PROT_READ_WRITE: usize = 3;
    const MAP_SHARED: usize = 1;
    let p = call(nr::MMAP, [0, bytes, PROT_READ_WRITE, MAP_SHARED, arg(file), 0])?;
    let count = bytes.checked_div(size_of::<AtomicU64>()).unwrap_or(0);
    // SAFETY: the kernel mapped `bytes` bytes at `p`, a page's beginning and so aligned, for reading and writing, and nothing
    // unmaps them. Whatever they hold is a number, and that others may store there too is what an atomic is for.
    Ok(unsafe { core::slice::from_raw_parts(p as *const AtomicU64, count) })
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
