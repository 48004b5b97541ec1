//! The systemd driver: systemd makes the container's cgroup, as a transient unit, and applies limits that it knows.
//!
//! | file | owns |
//! |---|---|
//! | [`name`] | pure: `cgroupsPath` -> slice and unit; unit -> `cgroup_paths` |
//! | [`properties`] | pure: `linux.resources` -> properties of the unit |
//! | [`annotations`] | pure: `org.systemd.property.NAME` annotations -> properties, through an allow-list; `gvariant` reads the values |
//! | [`manager`] | the calls to systemd's manager, each with a deadline |
//! | `places` | where systemd listens |

pub mod annotations;
mod gvariant;
pub mod manager;
pub mod name;
mod places;
pub mod properties;

pub use manager::Manager;
pub use name::UnitName;

use crate::dbus::Value;

/// Whose systemd it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// The host's.
    #[default]
    System,
    /// The user's own (rootless).
    User,
}

impl Scope {
    /// Who may not make cgroups on the host asks the user's own.
    pub fn of(rootless_cgroups: bool) -> Scope {
        if rootless_cgroups { Scope::User } else { Scope::System }
    }
}

/// What must be known of systemd before a unit can be planned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Whose.
    pub scope: Scope,
    /// `257` of `257.9-1~deb13u1`; 0: nobody asked, because nothing depends on it.
    pub version: u32,
    /// The cgroup of the manager itself, below which its slices are: empty for the system's, for a user's
    /// `/user.slice/user-1000.slice/user@1000.service`.
    pub control_group: String,
}

/// A property of a unit (systemd.resource-control(5), org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// As D-Bus knows it: `MemoryMax`, `CPUQuotaPerSecUSec`.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// JSON pointer of the field that asked for it; empty: the driver's own.
    pub field: String,
}

/// A transient unit to be started.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Unit {
    /// `runc-abc.scope`; a name that ends in `.slice` has no processes of its own.
    pub name: String,
    /// All but `PIDs`, which is known only when there is a process.
    pub properties: Vec<Property>,
}

impl Unit {
    /// A slice holds units, not processes.
    pub fn is_slice(&self) -> bool {
        self.name.ends_with(".slice")
    }
}
