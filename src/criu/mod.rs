//! CRIU, which writes what processes are into files and makes them again: `checkpoint`, and what `restore` needs of it
//! (`launch::restore`). It is a program of its own (`criu swrk`) that we ask over a socket.
//!
//! | file | owns |
//! |---|---|
//! | [`rpc`] | its messages, as its rpc.proto has them |
//! | [`options`] | pure: flags + state.json's `config` + facts -> the options of a request |
//! | [`swrk`] | starting it, the conversation, its end |
//! | [`images`] | the directories of images and logs; descriptors.json |
//! | [`log`] | what of its log is told in our errors |
//! | [`tree`] | the container's mounts by name: where they are, and the mount namespace that CRIU restores in |
//! | [`checkpoint`] | `checkpoint` from beginning to end |
//!
//! What it writes is read by nobody but itself, and is as trusted as root: see docs/security.md. What it answers is bounded, and
//! a pid of its is believed if it is our child.

pub mod checkpoint;
pub mod images;
pub mod log;
pub mod options;
pub mod rpc;
pub mod swrk;
pub mod tree;
