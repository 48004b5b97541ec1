//! The file of a trace: numbers of 64 bits, by which the child tells when its steps ended. It is mapped by the child, and read by
//! the runtime, so that to note a time is a store, and no system call that a filter could forbid.
//!
//! The times are of the processor's counter (TSC, CNTVCT_EL0), which both halves read without a call; the runtime knows what they
//! are on CLOCK_MONOTONIC.
//!
//! ```text
//! 0     how many steps there are (the runtime)
//! 1     when the step `trace` began
//! 2+n   when step n ended; 0: it has not
//! ```
//!
//! What stands behind them is the runtime's, who reads nothing there that the child is trusted with.

/// The number of steps.
pub const COUNT: usize = 0;
/// When `trace` began.
pub const BEGIN: usize = 1;
/// When the first step ended; those of the others follow.
pub const ENDS: usize = 2;

/// Bytes of the numbers.
pub fn size(steps: u32) -> usize {
    usize::try_from(steps).unwrap_or(usize::MAX).saturating_add(ENDS).saturating_mul(size_of::<u64>())
}
