//! The other end of a connection, as tests want it.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use super::wire::{FIXED_HEADER, Kind, Message};
use super::{Address, Value};

/// Where a [`Fake`] listens, and the thread that plays it.
pub(crate) struct Stage {
    dir: tempfile::TempDir,
    actor: Option<JoinHandle<()>>,
}

impl Stage {
    /// `play` gets the listener; its panic is the test's.
    pub(crate) fn new(play: impl FnOnce(UnixListener) + Send + 'static) -> Stage {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        Stage { dir, actor: Some(std::thread::spawn(move || play(listener))) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    pub(crate) fn address(&self) -> Address {
        Address::Path(self.path())
    }

    /// Waits until the play is over.
    pub(crate) fn end(mut self) {
        self.actor.take().unwrap().join().unwrap();
    }
}

/// A connection that speaks D-Bus.
pub(crate) struct Fake {
    pub(crate) stream: UnixStream,
    pub(crate) sender: Option<String>,
    serial: u32,
}

impl Fake {
    /// Past the authentication.
    pub(crate) fn authenticated(stream: UnixStream) -> Fake {
        Fake { stream, sender: None, serial: 0 }
    }

    /// Accepts and authenticates one.
    pub(crate) fn accept(listener: &UnixListener) -> Fake {
        let mut fake = Fake::authenticated(listener.accept().unwrap().0);
        fake.stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(fake.line(), "\0AUTH EXTERNAL");
        fake.stream.write_all(b"DATA\r\n").unwrap();
        assert_eq!(fake.line(), "DATA");
        fake.stream.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n").unwrap();
        assert_eq!(fake.line(), "NEGOTIATE_UNIX_FD");
        fake.stream.write_all(b"ERROR\r\n").unwrap();
        assert_eq!(fake.line(), "BEGIN");
        fake
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        String::from_utf8(line[..line.len() - 2].to_vec()).unwrap()
    }

    /// The next message, or none at the end.
    pub(crate) fn read(&mut self) -> Option<Message> {
        let mut bytes = vec![0; FIXED_HEADER];
        self.stream.read_exact(&mut bytes).ok()?;
        bytes.resize(Message::length(&bytes).unwrap(), 0);
        self.stream.read_exact(&mut bytes[FIXED_HEADER..]).ok()?;
        Some(Message::from_bytes(&bytes).unwrap())
    }

    /// The next message, which calls `member`.
    pub(crate) fn expect(&mut self, member: &str) -> Message {
        let call = self.read().expect(member);
        assert_eq!(call.member.as_deref(), Some(member));
        call
    }

    pub(crate) fn send(&mut self, mut message: Message, body: &[Value]) {
        self.serial += 1;
        (message.serial, message.sender) = (self.serial, self.sender.clone());
        let bytes = message.with_body(body).unwrap().to_bytes().unwrap();
        // Who has given up does not hear it.
        let _ = self.stream.write_all(&bytes);
    }

    pub(crate) fn reply(&mut self, to: &Message, body: &[Value]) {
        let mut message = Message::new(Kind::Reply);
        message.reply_serial = Some(to.serial);
        self.send(message, body);
    }

    pub(crate) fn refuse(&mut self, to: &Message, name: &str, text: &str) {
        let mut message = Message::new(Kind::Error);
        message.reply_serial = Some(to.serial);
        message.error_name = Some(name.into());
        self.send(message, &[Value::String(text.into())]);
    }

    pub(crate) fn signal(&mut self, interface: &str, member: &str, body: &[Value]) {
        let mut message = Message::new(Kind::Signal);
        message.path = Some("/org/freedesktop/systemd1".into());
        (message.interface, message.member) = (Some(interface.into()), Some(member.into()));
        self.send(message, body);
    }
}
