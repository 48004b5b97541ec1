//! Moves devices into a container's network namespace, with what they have, and gives them back if the container does not come to be.
//!
//! All that can be known beforehand is asked first (is there such a device, may it move, is the name free), for all of them; then
//! one after the other is moved and named in one request, gets the addresses that it had, and is set up. It is followed by its
//! number, which the kernel tells when it moves: in a namespace that others share, they may rename it.
//!
//! A device that has arrived is the container's: nothing here touches it after the container was made (config-linux.md, "Namespace
//! Lifecycle and Container Termination").

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::stat::fstat;

use super::link::{Address, Link, RTMGRP_LINK};
use super::socket::{Refused, Socket, own_namespace};
use crate::error::{Errno, Error, Result};
use crate::text;

/// What is asked for: a device, and what it is to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name in the runtime's network namespace.
    pub name: String,
    /// Its name in the container's; empty: the same. With `%d` the kernel puts a number there.
    pub inside: String,
    /// The field of config.json.
    pub field: String,
}

/// A device before it moves, with what it is to get back.
struct Before {
    link: Link,
    addresses: Vec<Address>,
}

/// A device that has moved.
struct Moved {
    before: Before,
    /// Its number there.
    index: u32,
}

/// The way between our network namespace and a container's.
pub struct Devices {
    ours: OwnedFd,
    container: OwnedFd,
    here: Socket,
    there: Socket,
    moved: Vec<Moved>,
}

impl Devices {
    /// Nothing has been moved yet. `container`: the file of its network namespace.
    ///
    /// # Errors
    /// A namespace that we cannot enter.
    pub fn between(container: OwnedFd) -> Result<Devices> {
        let ours = own_namespace()?;
        if is_same(&ours, &container)? {
            return Err(Error::new("the container's network namespace is our own: nothing is moved by that"));
        }
        let here = Socket::open(0).map_err(|e| Error::sys("socket (NETLINK_ROUTE)", e))?;
        let there = Socket::open_in(container.as_fd())?;
        Ok(Devices { ours, container, here, there, moved: Vec::new() })
    }

    /// Moves them all. Those that were moved before one failed wait for [`Devices::give_back`].
    ///
    /// # Errors
    /// Each names the device and its field.
    pub fn move_in(&mut self, list: &[Wanted]) -> Result<()> {
        let about =
            |wanted: &Wanted, e: Error| e.doing(format!("move netDevice {}", wanted.name)).field(wanted.field.as_str());
        let found: Vec<Link> = list.iter().map(|w| self.look(w).map_err(|e| about(w, e))).collect::<Result<_>>()?;
        for (wanted, link) in list.iter().zip(found) {
            self.move_one(wanted, link).map_err(|e| about(wanted, e))?;
        }
        Ok(())
    }

    /// What can be known before anything is changed.
    fn look(&mut self, wanted: &Wanted) -> Result<Link> {
        let link = find(&mut self.here, &wanted.name)?;
        let name = wanted.called(&link);
        if name.contains('%') {
            return Ok(link);
        }
        let taken = self.there.link_called(name).map_err(|r| r.error(format!("look for a device called {name}")))?;
        match taken {
            Some(_) => Err(taken_already(name, Errno::EEXIST.into())),
            None => Ok(link),
        }
    }

    fn move_one(&mut self, wanted: &Wanted, link: Link) -> Result<()> {
        let name = wanted.called(&link).to_owned();
        // Before the move, and with the device as it is: to set one down takes its IPv6 addresses from it.
        let addresses = self.here.addresses(link.index).map_err(|r| r.error("list its addresses"))?;
        let listening = Socket::open(RTMGRP_LINK).map_err(|e| Error::sys("socket (NETLINK_ROUTE)", e))?;
        let asked = self.here.move_link(link.index, self.container.as_fd(), &name);
        let number = listening.moved_to(link.index).map_err(|e| Error::sys("hear of the move", e));
        if let Ok(Some(index)) = number {
            self.moved.push(Moved { before: Before { link, addresses }, index });
        }
        asked.map_err(|refused| refused_move(&name, refused))?;
        let (Some(_), Some(Moved { before, index })) = (number?, self.moved.last()) else {
            return Err(Error::new("the kernel has not told what number it has got: Linux 4.16 is needed"));
        };
        let called = match name.contains('%') {
            true => self.there.link_numbered(*index).map_err(|r| r.error("ask for its name"))?.map(|l| l.name),
            false => None,
        };
        let kept: Vec<&Address> = before.addresses.iter().filter(|a| a.is_permanent() && a.is_global()).collect();
        let names = (before.link.name.as_str(), called.as_deref().unwrap_or(&name));
        self.there.add_addresses(*index, names, &kept).map_err(|(address, refused)| {
            let why = match refused.errno {
                Errno::EACCES | Errno::EPERM => Some("is IPv6 disabled in there (net.ipv6.conf.*.disable_ipv6)?"),
                _ => None,
            };
            let error = refused.error(format!("give it its address {address}"));
            why.map_or(error.clone(), |hint| error.hint(hint))
        })?;
        self.there.set_up(*index).map_err(|r| r.error("set it up"))
    }

    /// Moves back what was moved, under the old names, with what each had: its addresses, its place in a bridge, up if it was.
    /// Every one is tried. What else goes with the namespace in which a device is (routes, queueing) does not come back.
    ///
    /// # Errors
    /// In words: of each that did not come back as it was.
    pub fn give_back(&mut self) -> std::result::Result<(), Vec<Error>> {
        let mut failed = Vec::new();
        for Moved { before, index } in std::mem::take(&mut self.moved).into_iter().rev() {
            if let Err(e) = self.give_one_back(&before, index) {
                failed.push(e.doing(format!("network device {} is not back as it was", before.link.name)));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    fn give_one_back(&mut self, before: &Before, index: u32) -> Result<()> {
        let Before { link, addresses } = before;
        // What has its number now, and was not there when we came, need not be what we moved: others may share the namespace.
        let there = self.there.link_numbered(index).map_err(|r| r.error("look for it"))?;
        if there.is_none_or(|there| (there.kind, there.address) != (link.kind.clone(), link.address.clone())) {
            return Err(Error::new("it has gone"));
        }
        self.there.move_link(index, self.ours.as_fd(), &link.name).map_err(|r| r.error("move it back"))?;
        let back = find(&mut self.here, &link.name)?;
        if link.master != 0 {
            self.here.set_master(back.index, link.master).map_err(|r| r.error("put it back into its bridge"))?;
        }
        let had: Vec<&Address> = addresses.iter().filter(|a| a.is_permanent() && !a.is_automatic()).collect();
        self.here
            .add_addresses(back.index, (&link.name, &link.name), &had)
            .map_err(|(address, refused)| refused.error(format!("give it back its address {address}")))?;
        if link.up { self.here.set_up(back.index).map_err(|r| r.error("set it up")) } else { Ok(()) }
    }
}

impl Wanted {
    fn called<'a>(&'a self, link: &'a Link) -> &'a str {
        if self.inside.is_empty() { &link.name } else { &self.inside }
    }
}

fn is_same(one: &OwnedFd, other: &OwnedFd) -> Result<bool> {
    let id = |file: &OwnedFd| fstat(file).map(|s| (s.st_dev, s.st_ino)).map_err(|e| Error::sys("fstat", e));
    Ok(id(one)? == id(other)?)
}

/// A device of ours that may move.
///
/// # Errors
/// There is none; it may not.
pub fn find(here: &mut Socket, name: &str) -> Result<Link> {
    let link = here.link_called(name).map_err(|r| r.error(format!("look for {name}")))?;
    match link {
        None => Err(Error::sys(format!("link not found for interface {name} on runtime namespace"), Errno::ENODEV)),
        Some(link) if link.loopback => {
            Err(Error::sys("it is the loopback device, which each network namespace has of its own", Errno::EINVAL))
        }
        Some(link) => Ok(link),
    }
}

fn taken_already(name: &str, refused: Refused) -> Error {
    refused.error(format!("the container's network namespace has a device called {} already", text::quote(name)))
}

fn refused_move(name: &str, refused: Refused) -> Error {
    match refused.errno {
        Errno::EEXIST => taken_already(name, refused),
        Errno::EINVAL => refused
            .error("move it to the container's network namespace")
            .hint("the kernel does not let every device move: bridges and other devices of one network namespace stay"),
        _ => refused.error("move it to the container's network namespace"),
    }
}
