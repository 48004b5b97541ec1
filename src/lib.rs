//! Dunnage as a library: everything that the `dunnage` binary does, and what the containerd shim (`shim/`) calls.
//!
//! The layers, top to bottom; each may use those below it, never those above:
//!
//! | module | owns |
//! |---|---|
//! | [`cli`] | the command line: flags -> one call -> print |
//! | [`container`] | what can be done to a container that exists: status, kill, pause, resume, pids, delete |
//! | [`update`] | new limits for a container that exists |
//! | [`check`] | what this host can and cannot do for a bundle |
//! | [`criu`] | `checkpoint`, and CRIU as `restore` needs it, too: options, conversation, errors |
//! | [`launch`] | the parent's half of a start: clone3, barriers, id maps, hooks, console, clean-up |
//! | [`state`], [`cgroup`], [`resctrl`] | the state directory in libcontainer's format; control groups; Intel RDT |
//! | [`plan`] | pure: (spec, host, options) -> plan. `plan/compile.rs` is *the* order of creation |
//! | [`trace`] | where the time of a start goes: what is recorded, its file, the table |
//! | [`seccomp`], [`spec`] | pure: profile -> BPF; config.json as types, and its validation |
//! | [`host`] | what validation may ask about this host |
//! | [`net`] | network devices: rtnetlink(7), a container's devices moved in and given back |
//! | [`files`] | paths of the host: the one place that opens, makes and changes by name |
//! | [`sys`] | kernel calls that nix does not have; the only unsafe code |
//! | [`protobuf`] | the wire format of protocol buffers |
//! | [`error`], [`text`] | the one error type; the text of messages |
#![deny(unsafe_code)]
// Tests own the directories that they work in.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod cgroup;
pub mod check;
pub mod cli;
pub mod container;
pub mod criu;
pub mod dbus;
pub mod error;
pub mod files;
pub mod host;
pub mod launch;
pub mod log;
pub mod net;
pub mod plan;
pub mod protobuf;
pub mod resctrl;
pub mod seccomp;
pub mod spec;
pub mod state;
#[allow(unsafe_code)]
pub mod sys;
pub mod text;
pub mod trace;
pub mod update;
