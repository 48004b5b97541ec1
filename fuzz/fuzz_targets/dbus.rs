//! Any bytes as what a bus or systemd sends: as one message, which can be written again if it can be read, and as all that comes
//! over a connection, from the authentication on. The first byte says whether it is a bus.
#![no_main]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use dunnage::dbus::wire::{FIXED_HEADER, Kind, Message};
use dunnage::dbus::{Address, Connection, Deadline, Failure, Method, Peer, Value};
use libfuzzer_sys::fuzz_target;

const SYSTEMD: Method<'_> = Method {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    member: "StopUnit",
};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    one_message(bytes);
    let peer = if first & 1 == 0 { Peer::Bus } else { Peer::Direct };
    if let Err(failure) = conversation(peer, bytes) {
        match failure {
            Failure::Refused { name, text } => {
                assert!(text.chars().count() <= 1024 && !text.contains(char::is_control), "{name} {text:?}");
            }
            Failure::Timeout => panic!("the peer has closed the connection"),
            Failure::Lost(error) | Failure::Invalid(error) => dunnage_fuzz::one_line(error),
        }
    }
});

fn one_message(bytes: &[u8]) {
    if let Some(head) = bytes.get(..FIXED_HEADER) {
        let _ = Message::length(head);
    }
    let Ok(message) = Message::from_bytes(bytes) else { return };
    let Ok(body) = message.body() else { return };
    let Ok(again) = message.clone().with_body(&body) else { panic!("{body:?} was read and cannot be written") };
    // A name that we would not send may still be received.
    let Ok(bytes) = again.to_bytes() else { return };
    assert_eq!(Message::from_bytes(&bytes).expect("what was written can be read"), again);
}

fn conversation(peer: Peer, bytes: &[u8]) -> Result<(), Failure> {
    static LISTENER: LazyLock<(Address, Sender<Vec<u8>>)> = LazyLock::new(listener);
    let (address, says) = &*LISTENER;
    says.send(bytes.to_vec()).expect("it listens");
    let deadline = Deadline::after(Duration::from_secs(5));
    let mut connection = Connection::open(address, peer, &["JobRemoved"], deadline)?;
    let answer = connection.call(SYSTEMD, &[Value::String("box.scope".into())], deadline)?;
    assert!(answer.kind == Kind::Reply && answer.reply_serial.is_some());
    loop {
        let signal = connection.signal(deadline)?;
        assert_eq!((signal.kind, signal.member.as_deref()), (Kind::Signal, Some("JobRemoved")));
    }
}

/// Somebody who, to each caller, says what was said to it, and no more.
fn listener() -> (Address, Sender<Vec<u8>>) {
    let name = format!("dunnage-fuzz-{}", std::process::id()).into_bytes();
    let listener = SocketAddr::from_abstract_name(&name).and_then(|name| UnixListener::bind_addr(&name));
    let listener = listener.expect("a socket");
    let (sender, receiver) = channel::<Vec<u8>>();
    std::thread::spawn(move || {
        for says in receiver {
            let (mut caller, _) = listener.accept().expect("a caller");
            // The caller may have heard enough.
            let _ = caller.write_all(&says).and_then(|()| caller.shutdown(Shutdown::Write));
            let _ = caller.read_to_end(&mut Vec::new());
        }
    });
    (Address::Abstract(name), sender)
}
