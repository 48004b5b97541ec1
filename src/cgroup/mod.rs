//! Control groups: which this host has, where a container's is, its limits and device rules, freezing, killing, removing.
//!
//! | file | owns |
//! |---|---|
//! | [`host`] | v1, hybrid or v2; where each hierarchy is mounted; our own cgroup |
//! | [`paths`] | pure: `linux.cgroupsPath` -> `cgroup_paths` of the state file |
//! | [`settings`] | pure: `linux.resources` -> files and values, for v1 and for v2 |
//! | [`devices`] | pure: device rules -> allow- or deny-list -> writes (v1) or eBPF (v2) |
//! | [`owned`] | the one type that can kill, freeze and remove; made only after checks |
//! | [`Dir`] | reading and writing the files of one cgroup |
//! | [`stats`] | what a cgroup uses; pure, but for a reader of files |
//! | [`watch`] | waiting for what happens to it: no memory left, its end |
//! | [`create`], [`apply`], [`exec`] | making a cgroup, writing its limits, entering it |
//! | [`restore`] | what its files said before, and putting that back |
//!
//! The way through: [`Host::detect`] -> [`Paths::new`] -> (state file) -> [`OwnedCgroup::new`] -> [`OwnedCgroup::create`]
//! -> [`Cgroup::clone_into`] and [`Cgroup::doors_v1`] -> [`Cgroup::apply`] -> [`OwnedCgroup::kill_all`] ->
//! [`OwnedCgroup::remove`].
//!
//! cgroupfs has no symbolic links, so a path below its mount leads where it says; on v2 a descriptor of the directory is
//! held all the same, because clone3(2) and bpf(2) want one.

pub mod apply;
pub mod create;
pub mod devices;
mod dir;
pub mod exec;
pub mod host;
pub mod ooms;
mod owned;
pub mod paths;
pub mod restore;
pub mod settings;
pub mod stats;
pub mod systemd;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // A panic is what a test wants.
mod tests;
pub mod watch;

pub use create::{Cgroup, Denied};
pub use devices::DeviceList;
pub use dir::Dir;
pub use host::{Host, Membership};
pub use ooms::{Ooms, Whose};
pub use owned::{OwnedCgroup, has_frozen_below, is_frozen, is_told_to_freeze};
pub use paths::Paths;
pub use restore::Before;
pub use settings::Settings;
pub use stats::{Stats, huge_page_sizes};
pub use watch::Watch;

/// Who makes the cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// We do, with mkdir(2). (systemd, asked through D-Bus for a transient scope, will be the other.)
    #[default]
    Cgroupfs,
}
