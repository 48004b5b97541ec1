//! Network devices (`linux.netDevices`): moved into the container's network namespace, and given back if it does not come to be.
//!
//! | file | owns |
//! |---|---|
//! | [`message`] | rtnetlink(7) messages: built, and read with every length checked. Pure |
//! | [`socket`] | a netlink socket of one network namespace: a request and its answer, lists, what the kernel tells |
//! | [`link`] | what there is to know of a device, and what can be asked for it |
//! | [`devices`] | the move: in which order, and how it is undone |
//!
//! Knows nothing of config.json and of containers: a namespace is a descriptor, a device is a name.

pub mod devices;
pub mod link;
pub mod message;
pub mod socket;
