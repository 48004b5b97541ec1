//! The runtime's half of a start: the process that becomes the container, everything that is done for it from outside, and
//! what goes on around it as long as we are there.
#[cfg(test)]
mod alone;
pub mod console;
pub mod execute;
pub mod facts;
pub mod failure;
pub mod fds;
pub mod foreground;
pub mod hooks;
pub mod idmaps;
pub mod notify;
pub mod pidfile;
pub mod relay;
pub mod sockets;
pub mod stdio;
pub mod sync;
pub mod trees;
