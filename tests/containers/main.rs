//! Real containers: every test drives a runtime's binary on a real bundle and asserts from inside the container and
//! from outside it. `tests/README.md` says how to run them, and how to run them against another runtime.
//!
//! One test program and not one per subject, because linking is the slow part of building them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![allow(clippy::disallowed_methods)] // The tests own the directories that they walk.

mod common;

mod adversary;
mod advisories;
mod bad_input;
mod cgroup2;
mod cgroups;
mod check;
mod checkpoint;
mod commands;
mod compare;
mod concurrency;
mod console;
mod delegation;
mod descriptors;
mod ends;
mod errors;
mod events;
mod exec;
mod hooks;
mod hostile_input;
mod idmapped;
mod inspect;
mod interop;
mod landlock;
mod mounts;
mod namespaces;
mod nesting;
mod netdevices;
mod process;
mod removal;
mod robustness;
mod rootfs;
mod rootless;
mod safety;
mod seccomp;
mod security;
mod spec;
mod state_format;
mod takeover;
mod trace;
mod update;
mod userns;
