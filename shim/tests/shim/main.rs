//! The shim as a daemon sees it: the test plays containerd, the real binary of the shim plays itself. It makes bundles, runs
//! `start` and `delete` in them, speaks ttrpc on the socket, holds the other ends of the FIFOs and hears the events.
//! `shim/tests/README.md` says how to run it, and how against containerd's own shim.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![allow(clippy::disallowed_methods)] // The tests own the directories that they walk.

mod common;

mod bootstrap;
mod changes;
mod checkpoint;
mod creation;
mod events;
mod exec;
mod exits;
mod external;
mod kill;
mod leaving;
mod life_cycle;
mod loggers;
mod oom;
mod removal;
mod rootfs;
mod sandbox;
mod server;
mod stdio;
mod terminal;
mod upgrade;
mod wait;
mod wire;
