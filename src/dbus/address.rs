//! Addresses of buses (D-Bus Specification, "Server Addresses"): `unix:path=/run/dbus/system_bus_socket;unix:abstract=x`. Pure.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::error::{Error, Result};

/// Where somebody listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Path(PathBuf),
    /// A name in the abstract namespace (of the network namespace).
    Abstract(Vec<u8>),
}

impl Address {
    /// Those of a list that we can speak to: `unix:` with a path or an abstract name.
    ///
    /// # Errors
    /// There is none.
    pub fn parse_list(list: &str) -> Result<Vec<Address>> {
        let usable: Vec<Address> = list.split(';').filter_map(Address::parse).collect();
        if usable.is_empty() {
            return Err(Error::new(format!("no address of a unix socket in {list:?}")));
        }
        Ok(usable)
    }

    fn parse(address: &str) -> Option<Address> {
        let pairs = address.strip_prefix("unix:")?.split(',').filter_map(|pair| pair.split_once('='));
        pairs.fold(None, |found, (key, value)| match key {
            "path" => Some(Address::Path(PathBuf::from(OsString::from_vec(unescape(value)?)))),
            "abstract" => Some(Address::Abstract(unescape(value)?)),
            // `guid` and what transports may add.
            _ => found,
        })
    }
}

/// As an address list has it, for errors; not escaped.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Path(path) => write!(f, "unix:path={}", path.as_os_str().as_bytes().escape_ascii()),
            Address::Abstract(name) => write!(f, "unix:abstract={}", name.escape_ascii()),
        }
    }
}

/// `%20` is a space; what is not escaped stands for itself. Empty or with a bad escape: none.
fn unescape(value: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            let digits = after.first_chunk::<2>().filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(first);
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let path = |p: &str| Address::Path(p.into());
        for (list, expected) in [
            ("unix:path=/run/dbus/system_bus_socket", vec![path("/run/dbus/system_bus_socket")]),
            ("unix:path=/a%20b%2fc,guid=1234;tcp:host=x,port=1", vec![path("/a b/c")]),
            (
                "unix:guid=12,abstract=/tmp/dbus-X;unix:path=/b;",
                vec![Address::Abstract(b"/tmp/dbus-X".into()), path("/b")],
            ),
            ("unixexec:path=/bin/sh", vec![]),
            ("unix:tmpdir=/tmp", vec![]),
            ("unix:path=%2", vec![]),
            ("unix:path=%+1", vec![]),
            ("unix:path=", vec![]),
            ("/run/x", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(Address::parse_list(list).unwrap_or_default(), expected, "{list}");
        }
        let error = Address::parse_list("tcp:host=x").unwrap_err().to_string();
        assert_eq!(error, r#"no address of a unix socket in "tcp:host=x""#);
    }
}
