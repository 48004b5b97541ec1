//! Kernel calls that nix does not have, one small function each, named as the kernel names them. The only unsafe code of
//! the library. Knows no other module but [`crate::error`]'s `Errno` and
//! [`crate::files`].

pub mod bpf;
pub mod children;
pub mod clone;
pub mod counter;
pub mod descriptors;
pub mod flock;
pub mod fork;
pub mod landlock;
pub mod loopdev;
pub mod memfd;
pub mod mount;
pub mod netlink;
pub mod nsfs;
pub mod pidfd;
pub mod probe;
pub mod proc;
pub mod sched;
pub mod seccomp;
pub mod spawn;
pub mod start;
pub mod tty;
pub mod userns;
