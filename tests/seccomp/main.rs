//! The seccomp compiler against others: libseccomp, runc, seccompiler, the kernel's numbers, and the clock.
//! Needs the Debian packages python3, libseccomp2 and golang-github-containers-common; fails without them.
#![allow(clippy::disallowed_methods)] // Tests own the files that they touch.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![allow(clippy::cast_possible_truncation)]

mod against_crates;
mod against_libseccomp;
mod against_runc;
mod budgets;
mod command;
mod kernel;
mod real_profile;
mod reference;
