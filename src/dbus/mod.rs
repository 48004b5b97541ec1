//! D-Bus, as much of it as it takes to ask systemd for a unit: values, messages, one connection with one outstanding call
//! (D-Bus Specification, <https://dbus.freedesktop.org/doc/dbus-specification.html>). Knows nothing of systemd or containers.

pub mod value;

pub use value::Value;
