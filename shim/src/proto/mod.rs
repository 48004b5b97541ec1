//! containerd's messages, as its .proto files have them: names and numbers are theirs. [`wire`] is the format.

pub use dunnage::protobuf as wire;

pub mod bootstrap;
pub mod cri;
pub mod events;
pub mod metrics;
pub mod options;
pub mod sandbox;
pub mod table;
pub mod task;
pub mod ttrpc;

use crate::messages;
pub use wire::{Fault, Message};

messages! {
    /// google.protobuf.Any
    Any { 1 type_url: String, 2 value: Vec<u8> }
    /// google.protobuf.Timestamp; see [`NEVER`].
    Timestamp { 1 seconds: i64, 2 nanos: i32 }
    /// google.protobuf.Empty
    Empty {}
    /// containerd.types.Mount
    Mount { 1 kind: String, 2 source: String, 3 target: String, 4 options: Vec<String> }
}

/// "Not yet": the zero of Go's time, which is what its clients expect. The zero of the message would be 1970.
pub const NEVER: Timestamp = Timestamp { seconds: -62_135_596_800, nanos: 0 };

impl Timestamp {
    /// The present.
    pub fn now() -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp {
            seconds: i64::try_from(since.as_secs()).unwrap_or(0),
            nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
        }
    }
}

impl Any {
    /// A message with its type's name.
    pub fn of(type_url: &str, message: &impl Message) -> Any {
        Any { type_url: type_url.into(), value: message.encode() }
    }

    /// The type's name without what may stand before it (`type.googleapis.com/`).
    pub fn type_name(&self) -> &str {
        self.type_url.rsplit('/').next().unwrap_or_default()
    }
}
