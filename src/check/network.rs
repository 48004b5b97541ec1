//! Network devices that are to move into the container: whether there are such, and whether they may.

use super::{Asked, Findings};
use crate::error::Error;
use crate::net::devices::find;
use crate::net::socket::Socket;
use crate::text;

pub(super) fn look(findings: &mut Findings, asked: &Asked<'_>) {
    if asked.linux.net_devices.is_empty() {
        return;
    }
    const FIELD: &str = "/linux/netDevices";
    let mut here = match Socket::open(0) {
        Ok(socket) => socket,
        Err(e) => return findings.failure("network", Error::sys("socket (NETLINK_ROUTE)", e), FIELD),
    };
    for name in asked.linux.net_devices.keys() {
        let mut field = FIELD.to_owned();
        text::push_pointer(&mut field, name);
        match find(&mut here, name) {
            Ok(link) if link.kind.is_empty() => findings.ok("network", format!("network device {name}"), field),
            Ok(link) => findings.ok("network", format!("network device {name} ({})", link.kind), field),
            Err(e) => findings.failure("network", e, &field),
        }
    }
}
