//! Scheduling and limits of another process, by its pid: one that is our child and not reaped, so that the pid is its own.

use nix::errno::Errno;

/// struct sched_attr of sched_setattr(2), without what came with utilisation clamping.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct SchedAttr {
    /// Of this structure.
    pub size: u32,
    /// `SCHED_*`
    pub policy: u32,
    /// `SCHED_FLAG_*`
    pub flags: u64,
    /// For SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// For SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub runtime: u64,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub deadline: u64,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub period: u64,
}

/// sched_setattr(2)
pub fn sched_setattr(pid: i32, attr: &SchedAttr) -> Result<(), Errno> {
    let attr = SchedAttr { size: u32::try_from(size_of::<SchedAttr>()).unwrap_or(0), ..*attr };
    // SAFETY: a structure that lives through the call and says its own size.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const attr, 0) };
    Errno::result(result).map(drop)
}

/// sched_setaffinity(2); bit n of the mask is CPU n. 0 is ourselves.
pub fn sched_setaffinity(pid: i32, mask: &[u64]) -> Result<(), Errno> {
    // SAFETY: the kernel reads as many bytes as the mask has.
    let result = unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, size_of_val(mask), mask.as_ptr()) };
    Errno::result(result).map(drop)
}

/// prlimit(2), setting both limits.
pub fn prlimit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: a structure that lives through the call; the old limits are not asked for.
    let result = unsafe { libc::prlimit64(pid, resource as _, &raw const limit, std::ptr::null_mut()) };
    Errno::result(result).map(drop)
}
