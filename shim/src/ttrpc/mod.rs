//! ttrpc, the protocol between containerd and its shims: frames over a Unix socket. [`frame`] is the format, [`connection`] the
//! server's side of one socket. Knows no service.

pub mod connection;
pub mod frame;

use crate::proto::ttrpc::Status;

/// The largest frame's payload, in bytes.
pub const MAX_MESSAGE: usize = 4 << 20;

/// A refusal, with the number that gRPC gives its kind. containerd's clients tell them apart by that number, some by the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// gRPC's number.
    pub code: i32,
    /// What the caller is told.
    pub message: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $code:literal $suffix:literal;)*) => {
        impl Failure {$(
            $(#[$doc])*
            pub fn $name(message: impl std::fmt::Display) -> Failure {
                Failure { code: $code, message: format!(concat!("{}", $suffix), message) }
            }
        )*}
    };
}

// The suffix is what callers look for after a few hops.
kinds! {
    /// Whatever has no number of its own.
    unknown 2 "";
    /// Bytes that are no message, a frame out of order.
    invalid 3 "";
    /// The caller has stopped listening.
    deadline 4 "";
    /// No such container or process.
    not_found 5 ": not found";
    /// The id is taken.
    already_exists 6 ": already exists";
    /// Too long a message.
    exhausted 8 "";
    /// Not in this state.
    precondition 9 ": failed precondition";
    /// Bytes in a request that are not its message.
    internal 13 "";
    /// No such service or method; the daemon then tries an older one.
    unimplemented 12 "";
}

impl From<dunnage::error::Error> for Failure {
    fn from(e: dunnage::error::Error) -> Failure {
        Failure::unknown(e)
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Status {
        Status { code: failure.code, message: failure.message, details: Vec::new() }
    }
}

/// What a call is answered with: the bytes of a message, or why not.
pub type Answer = Result<Vec<u8>, Failure>;
