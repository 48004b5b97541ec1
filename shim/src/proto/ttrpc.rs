//! The messages of ttrpc itself.

use super::Any;
use crate::messages;

messages! {
    /// In a frame of type 1.
    Request { 1 service: String, 2 method: String, 3 payload: Vec<u8>, 4 timeout_nano: i64, 5 metadata: Vec<KeyValue> }
    /// In a frame of type 2.
    Response { 1 status: Option<Status>, 2 payload: Vec<u8> }
    /// google.rpc.Status
    Status { 1 code: i32, 2 message: String, 3 details: Vec<Any> }
    /// One of a request's metadata.
    KeyValue { 1 key: String, 2 value: String }
}
