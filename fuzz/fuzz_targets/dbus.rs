//! Any bytes as a message of a bus or of systemd; what can be read can be written again.
#![no_main]

use dunnage::dbus::wire::{FIXED_HEADER, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(head) = bytes.get(..FIXED_HEADER) {
        let _ = Message::length(head);
    }
    let Ok(message) = Message::from_bytes(bytes) else { return };
    let Ok(body) = message.body() else { return };
    let Ok(again) = message.clone().with_body(&body) else { panic!("{body:?} was read and cannot be written") };
    // A name that we would not send may still be received.
    let Ok(bytes) = again.to_bytes() else { return };
    assert_eq!(Message::from_bytes(&bytes).expect("what was written can be read"), again);
});
