//! config.json as types (runtime-spec 1.3), its validation, and the tables of names that it uses.
//! Pure: reads bytes and facts that it is given, never the host.
//!
//! A field is an `Option` where absent and zero (or empty) mean different things; elsewhere absent is zero, as in Go.
//! Names of an enumeration stay text, so that validation, which knows the field, decides between error and warning.

pub mod bounds;
mod config;
pub mod default;
pub mod features;
pub mod landlock;
mod linux;
pub mod list;
pub mod mount_options;
pub mod names;
pub(crate) mod object;
pub mod oci_state;
mod owner;
pub mod parse;
pub mod problem;
mod process;
mod resources;
mod seccomp;
pub mod sysctl;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod validate;

pub use config::{Hook, Hooks, Mount, Root, Spec};
pub use linux::{Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NetDevice, Personality, TimeOffset};
pub use process::{Capabilities, ConsoleSize, ExecCpuAffinity, IoPriority, Process, Rlimit, Scheduler, User};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources, ThrottleDevice,
    WeightDevice,
};
pub use seccomp::{Arg, Seccomp, Syscall};

pub use crate::text;
