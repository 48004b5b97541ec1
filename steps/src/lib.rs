//! The step language: what the compiler of plans tells `dunnage-init` to do, and what the two say to each other while it
//! does it.
//!
//! * [`step::Step`] is the list of verbs, told once; the encoding, the decoding and the text of a plan come from it.
//! * [`wire`] is how the steps lie in memory: the child reads them in place, without an allocator.
//! * [`message`] is the conversation over the sync socket: barriers, failures, warnings.
//! * [`ticks`] is how the child notes when its steps end, if somebody wants to know.
//! * [`call`] names the system call that failed inside a step.
//!
//! The encoding is private to one build: both ends are compiled from this source into one binary, so it carries no
//! version. It knows neither the specification nor the host.
#![cfg_attr(not(feature = "owned"), no_std)]

pub mod call;
pub mod flags;
pub mod message;
pub mod step;
pub mod ticks;
pub mod wire;

pub use call::Call;
pub use message::{Barrier, Message, Say};
pub use step::{Borrowed, Repr, Step};

#[cfg(feature = "owned")]
pub use step::Owned;

/// A place in the small table of descriptors that a child is started with; the plan says which place, the launcher which
/// descriptor. [`Slot::NONE`] is no descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot(pub u32);

/// How many places there can be.
pub const MAX_PLACES: usize = 2048;

impl Slot {
    /// No descriptor.
    pub const NONE: Slot = Slot(u32::MAX);
}
