//! The kernel, without a C library: one raw system call instruction, and a typed function for each call that the steps
//! use, named as the kernel names it. The only unsafe code of this program besides its entry. Knows no step.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

mod files;
mod mounts;
mod nr;
mod processes;
mod sockets;

pub use files::*;
pub use mounts::*;
pub use processes::*;
pub use sockets::*;

/// What the kernel answered instead of a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

macro_rules! errnos { ($($name:ident = $n:literal),* $(,)?) => { impl Errno { $(pub const $name: Errno = Errno($n);)* } } }
errnos! {
    EPERM = 1, ENOENT = 2, EINTR = 4, ENOEXEC = 8, EAGAIN = 11, EACCES = 13, EBUSY = 16, EEXIST = 17, EXDEV = 18, ENOTDIR = 20,
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

    /// Closes it now, where there may be many.
    pub fn close(self) {
        close(self.0);
        core::mem::forget(self);
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

/// The processor's counter, the same for all processes. No system call.
#[cfg(target_arch = "x86_64")]
pub fn counter() -> u64 {
    // SAFETY: RDTSC touches no memory. It faults only under PR_SET_TSC, which nobody has asked for.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// As above.
#[cfg(target_arch = "aarch64")]
pub fn counter() -> u64 {
    let n: u64;
    // SAFETY: reads a register that Linux lets every process read.
    unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) n, options(nomem, nostack, preserves_flags)) };
    n
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
