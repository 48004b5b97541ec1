//! D-Bus, as much of it as it takes to ask systemd for a unit: values, messages, one connection with one outstanding call
//! (D-Bus Specification, <https://dbus.freedesktop.org/doc/dbus-specification.html>). Knows nothing of systemd or containers.

pub mod address;
pub mod connection;
#[cfg(test)]
#[path = "tests/fake.rs"]
#[allow(clippy::arithmetic_side_effects)] // A panic is what a test wants.
pub(crate) mod fake;
pub mod value;
pub mod wire;

pub use address::Address;
pub use connection::{Connection, Deadline, Failure, Method, Peer};
pub use value::Value;
