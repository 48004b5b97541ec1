//! The containerd shim as a library: what `containerd-shim-dunnage-v2` does, and what its tests and fuzz targets take apart.
//!
//! | module | owns |
//! |---|---|
//! | [`args`] | the command line |
//! | [`manager`] | the modes that end at once: `start`, `delete`, `-info`, `-v` |
//! | [`server`] | the server: one loop, and the state of a group of containers |
//! | [`jobs`] | what its workers do, which may take time |
//! | [`external`] | another OCI runtime in our place, by its command line |
//! | [`pod`] | pure: the sandbox of a pod as a container |
//! | [`mounts`] | the root file system that containerd hands over: mounting, unmounting |
//! | [`program`] | a program of the host, run to its end |
//! | [`metrics`], [`oom`] | what a container uses, and when its memory has run out |
//! | [`bundle`], [`options`] | files in bundles; the runtime's options |
//! | [`client`] | one call to a shim |
//! | [`ttrpc`], [`proto`] | the protocol; containerd's messages and protobuf's wire format |
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod args;
pub mod bundle;
pub mod client;
#[cfg(test)]
mod confined;
pub mod external;
pub mod jobs;
pub mod manager;
pub mod metrics;
pub mod mounts;
pub mod oom;
pub mod options;
pub mod pod;
pub mod program;
pub mod proto;
pub mod server;
pub mod ttrpc;

pub use dunnage::messages;
