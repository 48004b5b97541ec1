//! Where systemd listens, in the order in which to try.
//!
//! | scope | first | then |
//! |---|---|---|
//! | system | `/run/dbus/system_bus_socket` | `/run/systemd/private` |
//! | user | `$XDG_RUNTIME_DIR/bus` | `$XDG_RUNTIME_DIR/systemd/private` |
//!
//! The private socket is systemd's own: no bus has to be up. But for every connection to it systemd describes all its objects
//! anew, which takes 2 ms of its time (257), where a bus has answered everything in 0.8 ms. So the bus comes first.
//!
//! An address in DBUS_SYSTEM_BUS_ADDRESS or DBUS_SESSION_BUS_ADDRESS that is not the one of the table is taken at its word, and
//! nothing else is tried: it may lead to another systemd, and a unit made by the wrong one is worse than none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Scope;
use crate::dbus::{Address, Peer};
use crate::error::{Context, Error, Result};

/// A socket and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: Address,
    pub(super) peer: Peer,
}

/// The sockets to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) list: Vec<Place>,
}

impl Places {
    /// For this process and its environment.
    ///
    /// # Errors
    /// The host was not booted with systemd, or an address is none.
    pub(super) fn of(scope: Scope) -> Result<Places> {
        match scope {
            Scope::System => {
                // What sd_booted(3) asks.
                if !Path::new("/run/systemd/system").is_dir() {
                    return Err(Error::new("systemd not running on this host, cannot use systemd cgroups manager"));
                }
                let variable = ("DBUS_SYSTEM_BUS_ADDRESS", std::env::var_os("DBUS_SYSTEM_BUS_ADDRESS"));
                Places::new("/run/dbus/system_bus_socket".into(), "/run/systemd/private".into(), variable)
            }
            Scope::User => {
                let set = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
                let dir = set.map_or_else(|| format!("/run/user/{}", nix::unistd::geteuid()).into(), PathBuf::from);
                let variable = ("DBUS_SESSION_BUS_ADDRESS", std::env::var_os("DBUS_SESSION_BUS_ADDRESS"));
                Places::new(dir.join("bus"), dir.join("systemd/private"), variable)
            }
        }
    }

    fn new(bus: PathBuf, private: PathBuf, (name, value): (&str, Option<OsString>)) -> Result<Places> {
        let usual = vec![
            Place { address: Address::Path(bus.clone()), peer: Peer::Bus },
            Place { address: Address::Path(private), peer: Peer::Direct },
        ];
        let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(Places { list: usual }) };
        let addresses = Address::parse_list(&value.to_string_lossy()).doing(|| format!("the variable {name}"))?;
        let same = |address: &Address| match address {
            Address::Path(path) => {
                *path == bus || path.strip_prefix("/var").is_ok_and(|rest| Path::new("/").join(rest) == bus)
            }
            Address::Abstract(_) => false,
        };
        if addresses.iter().any(same) {
            return Ok(Places { list: usual });
        }
        Ok(Places { list: addresses.into_iter().map(|address| Place { address, peer: Peer::Bus }).collect() })
    }

    /// Whether somebody listens here usually: where the socket is, or was, its directory is.
    pub(super) fn expected(&self) -> bool {
        self.list.iter().any(|place| match &place.address {
            Address::Path(path) => path.parent().is_some_and(Path::is_dir),
            Address::Abstract(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_and_the_variable() {
        let private = || Place { address: Address::Path("/r/systemd/private".into()), peer: Peer::Direct };
        let bus = |path: &str| Place { address: Address::Path(path.into()), peer: Peer::Bus };
        let usual = vec![bus("/run/dbus/bus"), private()];
        for (value, expected) in [
            (None, usual.clone()),
            (Some(""), usual.clone()),
            (Some("unix:path=/run/dbus/bus,guid=1"), usual.clone()),
            // /var/run is a link to /run.
            (Some("unix:path=/var/run/dbus/bus"), usual.clone()),
            (Some("unix:path=/elsewhere;unix:path=/b"), vec![bus("/elsewhere"), bus("/b")]),
        ] {
            let places = Places::new("/run/dbus/bus".into(), "/r/systemd/private".into(), ("V", value.map(Into::into)));
            assert_eq!(places.unwrap().list, expected, "{value:?}");
        }
        let error = Places::new("/p".into(), "/b".into(), ("V", Some("tcp:".into()))).unwrap_err().to_string();
        assert_eq!(error, r#"the variable V: no address of a unix socket in "tcp:""#);
    }
}
