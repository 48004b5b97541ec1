//! Links and their addresses, as rtnetlink(7) tells them, and what can be asked for them.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::message::{
    Message, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, RTM_DELLINK, RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR,
    RTM_NEWLINK, Request, attributes, number, text,
};
use super::socket::{Outcome, Socket};
use crate::error::Errno;

/// What a socket has to be told of to hear of links (`RTMGRP_LINK`).
pub const RTMGRP_LINK: u32 = 1;

/// struct ifinfomsg.
const IFINFOMSG: usize = 16;
/// struct ifaddrmsg.
const IFADDRMSG: usize = 8;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_NEW_IFINDEX: u16 = 49;
const IFLA_INFO_KIND: u16 = 1;
/// `RTEXT_FILTER_SKIP_STATS`: counters are most of what the kernel tells of a link.
const SKIP_STATS: u32 = 8;

const IFF_UP: u32 = libc::IFF_UP.cast_unsigned();
const IFF_LOOPBACK: u32 = libc::IFF_LOOPBACK.cast_unsigned();

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_RT_PRIORITY: u16 = 9;
const IFA_PROTO: u16 = 11;

const IFA_F_NODAD: u32 = 0x02;
const IFA_F_OPTIMISTIC: u32 = 0x04;
const IFA_F_HOMEADDRESS: u32 = 0x10;
const IFA_F_PERMANENT: u32 = 0x80;
const IFA_F_MANAGETEMPADDR: u32 = 0x100;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
const IFA_F_MCAUTOJOIN: u32 = 0x400;
/// Those that somebody chose. The others are what the kernel has found out.
const CHOSEN: u32 =
    IFA_F_NODAD | IFA_F_OPTIMISTIC | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;

const RT_SCOPE_UNIVERSE: u8 = 0;

/// The most addresses that a device may have.
const MAX_ADDRESSES: usize = 65_536;

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in its network namespace.
    pub index: u32,
    /// Its name there.
    pub name: String,
    /// It is up.
    pub up: bool,
    /// It is a loopback device.
    pub loopback: bool,
    /// The number of the bridge (or the like) that it is a port of; 0: none.
    pub master: u32,
    /// Its hardware address; empty: none.
    pub address: Vec<u8>,
    /// What kind of virtual device it is (`veth`, `dummy`); empty: it does not say, as physical ones.
    pub kind: String,
}

impl Link {
    fn read(message: &Message<'_>) -> Option<Link> {
        let index = number(message.payload, 4)?;
        let flags = number(message.payload, 8)?;
        let mut link = Link {
            index,
            name: String::new(),
            up: flags & IFF_UP != 0,
            loopback: flags & IFF_LOOPBACK != 0,
            master: 0,
            address: Vec::new(),
            kind: String::new(),
        };
        for (kind, value) in attributes(message.payload, IFINFOMSG) {
            match kind {
                IFLA_IFNAME => text(value).clone_into(&mut link.name),
                IFLA_MASTER => link.master = number(value, 0)?,
                IFLA_ADDRESS => value.clone_into(&mut link.address),
                IFLA_LINKINFO => {
                    let of = attributes(value, 0).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                    link.kind = of.map_or("", |(_, value)| text(value)).to_owned();
                }
                _ => (),
            }
        }
        Some(link)
    }
}

/// An address of a device, and everything that was chosen about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `AF_INET` or `AF_INET6`.
    family: u8,
    prefix: u8,
    scope: u8,
    flags: u32,
    /// Attributes as they were read.
    attributes: Vec<(u16, Vec<u8>)>,
    /// IPv4 addresses have one: the device's name, or that and `:` and something.
    label: String,
}

impl Address {
    fn read(message: &Message<'_>) -> Option<(u32, Address)> {
        let &[family, prefix, flags, scope] = message.payload.first_chunk()?;
        let index = number(message.payload, 4)?;
        let mut address =
            Address { family, prefix, scope, flags: flags.into(), attributes: Vec::new(), label: String::new() };
        for (kind, value) in attributes(message.payload, IFADDRMSG) {
            match kind {
                IFA_FLAGS => address.flags = number(value, 0)?,
                IFA_LABEL => text(value).clone_into(&mut address.label),
                IFA_ADDRESS | IFA_LOCAL | IFA_BROADCAST | IFA_CACHEINFO | IFA_RT_PRIORITY | IFA_PROTO => {
                    address.attributes.push((kind, value.to_owned()));
                }
                _ => (),
            }
        }
        Some((index, address))
    }

    /// Whether it stays until somebody takes it away.
    pub fn is_permanent(&self) -> bool {
        self.flags & IFA_F_PERMANENT != 0
    }

    /// Whether it is of global scope.
    pub fn is_global(&self) -> bool {
        self.scope == RT_SCOPE_UNIVERSE
    }

    /// Whether the kernel makes it by itself when the device is set up.
    pub fn is_automatic(&self) -> bool {
        i32::from(self.family) == libc::AF_INET6 && !self.is_global()
    }

    /// The request that makes it, of a device called `name` that was called `before`.
    fn request(&self, index: u32, before: &str, name: &str) -> Request {
        let mut body = vec![self.family, self.prefix, 0, self.scope];
        body.extend(index.to_ne_bytes());
        let mut request = Request::new(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &body);
        for (kind, value) in &self.attributes {
            request = request.attribute(*kind, value);
        }
        if self.flags & CHOSEN != 0 {
            request = request.attribute(IFA_FLAGS, &(self.flags & CHOSEN).to_ne_bytes());
        }
        // What the label begins with is the name of the device; the kernel does the same when one is renamed. Without: the name.
        let label = self.label.strip_prefix(before).filter(|rest| rest.starts_with(':'));
        match label.map(|rest| format!("{name}{rest}")).filter(|label| label.len() < libc::IFNAMSIZ) {
            Some(label) => request.text(IFA_LABEL, &label),
            None => request,
        }
    }
}

fn link_body(index: u32, flags: u32, change: u32) -> Vec<u8> {
    // AF_UNSPEC, and no type.
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend(change.to_ne_bytes());
    body
}

impl Socket {
    /// The device of this name; none: there is none.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn link_called(&mut self, name: &str) -> Outcome<Option<Link>> {
        self.link(0, |request| request.text(IFLA_IFNAME, name))
    }

    /// The device of this number; none: there is none.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn link_numbered(&mut self, index: u32) -> Outcome<Option<Link>> {
        self.link(index, |request| request)
    }

    fn link(&mut self, index: u32, more: impl FnOnce(Request) -> Request) -> Outcome<Option<Link>> {
        let request = more(Request::new(RTM_GETLINK, NLM_F_ACK, &link_body(index, 0, 0)));
        let mut found = None;
        let asked = self.ask(request.attribute(IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes()), |message| {
            if message.kind == RTM_NEWLINK {
                found = Link::read(message);
            }
        });
        match asked {
            Ok(()) => Ok(found),
            Err(refused) if refused.errno == Errno::ENODEV => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// The addresses of a device, in the order in which the kernel has them.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn addresses(&mut self, index: u32) -> Outcome<Vec<Address>> {
        let mut body = vec![0; 4];
        body.extend(index.to_ne_bytes());
        let found = self.list(&Request::new(RTM_GETADDR, NLM_F_DUMP, &body), |found, message| {
            if message.kind == RTM_NEWADDR
                && let Some((of, address)) = Address::read(message)
                && of == index
            {
                found.push(address);
            }
        })?;
        if found.len() > MAX_ADDRESSES { Err(Errno::E2BIG.into()) } else { Ok(found) }
    }

    /// Gives a device these addresses. Its name, and the one that it had when they were read, are for their labels.
    ///
    /// # Errors
    /// The kernel's answer, and which address.
    pub fn add_addresses(
        &mut self,
        index: u32,
        (before, name): (&str, &str),
        list: &[&Address],
    ) -> std::result::Result<(), (String, super::socket::Refused)> {
        let v6 = |address: &&&Address| i32::from(address.family) == libc::AF_INET6;
        // The kernel keeps those of IPv4 in the order in which they came, those of IPv6 the other way round.
        let ordered = list.iter().filter(|a| !v6(a)).chain(list.iter().rev().filter(v6));
        for address in ordered {
            let made = self.ask(address.request(index, before, name), |_| ());
            made.map_err(|refused| (address.to_string(), refused))?;
        }
        Ok(())
    }

    /// Sets a device up.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn set_up(&mut self, index: u32) -> Outcome<()> {
        self.act(RTM_NEWLINK, 0, &link_body(index, IFF_UP, IFF_UP), |request| request)
    }

    /// Makes a device a port of a bridge, or of what else has ports.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn set_master(&mut self, index: u32, master: u32) -> Outcome<()> {
        self.act(RTM_NEWLINK, 0, &link_body(index, 0, 0), |r| r.attribute(IFLA_MASTER, &master.to_ne_bytes()))
    }

    /// Moves a device to another network namespace, under this name, in one request: at no moment has it the one name there or the
    /// other here. It is set down by that, and loses its addresses, routes and its place in a bridge.
    ///
    /// # Errors
    /// The kernel's answer. An old kernel may have moved it all the same: it names it after it has moved it.
    pub fn move_link(&mut self, index: u32, to: BorrowedFd<'_>, name: &str) -> Outcome<()> {
        self.act(RTM_NEWLINK, 0, &link_body(index, 0, 0), |request| {
            request.text(IFLA_IFNAME, name).attribute(IFLA_NET_NS_FD, &to.as_raw_fd().to_ne_bytes())
        })
    }

    /// Of a socket that hears of links: the number that the device of this number has got where it has moved. None: it has not.
    ///
    /// # Errors
    /// As [`Socket::told`].
    pub fn moved_to(&self, index: u32) -> std::result::Result<Option<u32>, Errno> {
        let mut now = None;
        self.told(|message| {
            if message.kind == RTM_DELLINK && number(message.payload, 4) == Some(index) {
                let told = attributes(message.payload, IFINFOMSG).find(|(kind, _)| *kind == IFLA_NEW_IFINDEX);
                now = told.and_then(|(_, value)| number(value, 0)).or(now);
            }
        })?;
        Ok(now)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value =
            |wanted| self.attributes.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| value.as_slice());
        let bytes = value(IFA_LOCAL).or(value(IFA_ADDRESS)).unwrap_or_default();
        let address = match (bytes.first_chunk::<16>(), bytes.first_chunk::<4>()) {
            (Some(v6), _) => std::net::IpAddr::from(*v6),
            (None, Some(v4)) => std::net::IpAddr::from(*v4),
            (None, None) => return f.write_str("an address"),
        };
        write!(f, "{address}/{}", self.prefix)
    }
}
