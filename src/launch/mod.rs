//! (being written)
#[cfg(test)]
mod alone;
pub mod console;
pub mod fds;
pub mod foreground;
pub mod hooks;
pub mod notify;
pub mod oci_state;
pub mod pidfile;
pub mod relay;
pub mod sockets;
pub mod stdio;
