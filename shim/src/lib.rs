//! The containerd shim as a library: what `containerd-shim-dunnage-v2` does, and what its tests and fuzz targets take apart.
//!
//! | module | owns |
//! |---|---|
//! | [`metrics`] | what a container uses, as containerd wants it told |
//! | [`oom`] | hearing of kills for want of memory |
//! | [`proto`] | containerd's messages and protobuf's wire format |
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod metrics;
pub mod oom;
pub mod proto;
