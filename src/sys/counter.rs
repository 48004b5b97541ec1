//! The processor's counter, which this half and `dunnage-init` read without a system call, and what it is on CLOCK_MONOTONIC.

use std::time::Duration;

/// Its value now.
#[cfg(target_arch = "x86_64")]
pub fn now() -> u64 {
    // SAFETY: RDTSC touches no memory. It faults only under PR_SET_TSC, which nobody has asked for.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Its value now.
#[cfg(target_arch = "aarch64")]
pub fn now() -> u64 {
    let n: u64;
    // SAFETY: reads a register that Linux lets every process read.
    unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) n, options(nomem, nostack, preserves_flags)) };
    n
}

/// One moment, on the counter and on CLOCK_MONOTONIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The counter.
    pub counter: u64,
    /// Since boot, without the time that the machine slept.
    pub monotonic: Duration,
}

impl Moment {
    /// Now.
    pub fn now() -> Moment {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is ours and of the type that the call fills in.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        let monotonic =
            Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
        Moment { counter: now(), monotonic }
    }
}
