use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use super::*;
use crate::dbus::fake::{Fake, Stage};

/// What every connection begins with.
const AUTHENTICATION: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
const METHOD: Method<'_> = Method { destination: "a.b", path: "/a", interface: "a.b", member: "M" };

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(300))
}

fn late() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn open(stage: &Stage, deadline: Deadline) -> Result<Connection, Failure> {
    Connection::open(&stage.address(), Peer::Direct, &["Wanted"], deadline)
}

/// `Timeout` within its time, and not before.
fn times_out<T: std::fmt::Debug>(start: Instant, result: Result<T, Failure>) {
    assert!(matches!(result, Err(Failure::Timeout)), "{result:?}");
    assert!((280..3000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

fn text<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_call_its_answer_and_the_signals_between() {
    let stage = Stage::new(|listener| {
        let mut fake = Fake::accept(&listener);
        let call = fake.expect("M");
        assert_eq!((call.destination.clone(), call.body().unwrap()), (None, vec![Value::Byte(1)]));
        for (member, n) in [("Wanted", 1), ("Other", 2), ("Wanted", 3)] {
            fake.signal("a.b", member, &[Value::Byte(n)]);
        }
        let mut to_somebody_else = call.clone();
        to_somebody_else.serial += 7;
        fake.reply(&to_somebody_else, &[]);
        fake.reply(&call, &[Value::String("yes".into())]);
        let call = fake.expect("M");
        fake.refuse(&call, "a.b.No", "not\nso");
        fake.signal("a.b", "Wanted", &[Value::Byte(4)]);
    });
    let mut connection = open(&stage, late()).unwrap();
    let answer = connection.call(METHOD, &[Value::Byte(1)], late()).unwrap();
    assert_eq!(answer.body().unwrap(), [Value::String("yes".into())]);
    match connection.call(METHOD, &[], late()) {
        Err(Failure::Refused { name, text }) => assert_eq!((&*name, &*text), ("a.b.No", "not so")),
        other => panic!("{other:?}"),
    }
    for n in [1, 3, 4] {
        assert_eq!(connection.signal(late()).unwrap().body().unwrap(), [Value::Byte(n)]);
    }
    stage.end();
    assert_eq!(text(connection.signal(late())), "the peer closed the connection");
}

#[test]
fn a_bus_is_greeted_and_told_the_destination() {
    let stage = Stage::new(|listener| {
        let mut fake = Fake::accept(&listener);
        let hello = fake.expect("Hello");
        fake.reply(&hello, &[Value::String(":1.2".into())]);
        let owner = fake.expect("NameHasOwner");
        fake.reply(&owner, &[Value::Bool(false)]);
        let rule = fake.expect("AddMatch");
        assert_eq!(rule.destination.as_deref(), Some("org.freedesktop.DBus"));
        fake.reply(&rule, &[]);
        let call = fake.expect("M");
        assert_eq!(call.destination.as_deref(), Some("a.b"));
        fake.reply(&call, &[]);
    });
    let mut connection = Connection::open(&stage.address(), Peer::Bus, &[], late()).unwrap();
    assert!(!connection.name_has_owner("a.b", late()).unwrap());
    connection.add_match("type='signal'", late()).unwrap();
    connection.call(METHOD, &[], late()).unwrap();
    stage.end();
}

/// Accepts, and never says a word.
#[test]
fn a_silent_peer() {
    let stage = Stage::new(|_listener| std::thread::sleep(Duration::from_millis(600)));
    let start = Instant::now();
    times_out(start, open(&stage, soon()));
    stage.end();
}

/// Does not even accept: its queue is full.
#[test]
fn a_peer_that_does_not_accept() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("s")).unwrap();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let address = Address::Path(dir.path().join("s"));
    let _first = std::os::unix::net::UnixStream::connect(dir.path().join("s")).unwrap();
    let start = Instant::now();
    times_out(start, Connection::open(&address, Peer::Direct, &[], soon()));
}

#[test]
fn a_peer_that_falls_silent() {
    let stage = Stage::new(|listener| {
        let mut fake = Fake::accept(&listener);
        fake.expect("M");
        assert!(fake.read().is_none());
    });
    let mut connection = open(&stage, late()).unwrap();
    let start = Instant::now();
    times_out(start, connection.call(METHOD, &[], soon()));
    drop(connection);
    stage.end();
}

/// A byte now and then gains no time: neither in a line nor in a message, and neither do whole messages for others.
#[test]
fn a_peer_that_dribbles() {
    for line in [true, false] {
        let stage = Stage::new(move |listener| {
            let mut stream = if line { listener.accept().unwrap().0 } else { Fake::accept(&listener).stream };
            let mut bytes: &[u8] = if line { b"OK 01234567890123456789" } else { b"l\x02\0\x01\0\x01\0\0\x01\0\0\0" };
            while let Some((byte, rest)) = bytes.split_first() {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                bytes = rest;
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        let start = Instant::now();
        times_out(start, open(&stage, soon()).and_then(|mut connection| connection.call(METHOD, &[], soon())));
        stage.end();
    }
    let stage = Stage::new(|listener| {
        let mut fake = Fake::accept(&listener);
        let mut other = Message::new(Kind::Reply);
        (other.serial, other.reply_serial) = (1, Some(999));
        let bytes = other.to_bytes().unwrap();
        while fake.stream.write_all(&bytes).is_ok() {}
    });
    let mut connection = open(&stage, late()).unwrap();
    let start = Instant::now();
    times_out(start, connection.call(METHOD, &[], soon()));
    drop(connection);
    stage.end();
}

#[test]
fn peers_that_leave_or_speak_something_else() {
    for (said, expected) in [
        (b"".as_slice(), "the peer closed the connection"),
        (b"REJECTED EXTERNAL\r\n", "authentication refused: REJECTED EXTERNAL"),
        (b"HTTP/1.1 400 \x1b[31m\r\n", "authentication refused: HTTP/1.1 400 \\u{1b}[31m"),
        (&[b'x'; 600], "the peer's authentication is not that of D-Bus"),
        (
            b"DATA\r\nOK 1\r\nERROR\r\nhello, this is not D-Bus",
            "malformed D-Bus message: neither little nor big endian",
        ),
        (
            b"DATA\r\nOK 1\r\nERROR\r\nl\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\0\0\0\0",
            "malformed D-Bus message: longer than 1 MiB",
        ),
    ] {
        let stage = Stage::new(move |listener| {
            let mut stream = listener.accept().unwrap().0;
            stream.read_exact(&mut [0; AUTHENTICATION.len()]).unwrap();
            stream.write_all(said).unwrap();
            if !said.is_empty() {
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            }
        });
        let result = open(&stage, late()).and_then(|mut connection| connection.call(METHOD, &[], late()));
        assert_eq!(text(result), expected);
        stage.end();
    }
    let nobody = Address::Path("/nonexistent/socket".into());
    let result = Connection::open(&nobody, Peer::Direct, &[], late());
    assert_eq!(text(result), "connect: no such file or directory");
}

/// systemd 219 answers AUTH and DATA with OK.
#[test]
fn an_old_systemd() {
    let stage = Stage::new(|listener| {
        let mut stream = listener.accept().unwrap().0;
        stream.read_exact(&mut [0; AUTHENTICATION.len()]).unwrap();
        stream.write_all(b"OK 1\r\nOK 1\r\nERROR\r\n").unwrap();
        let mut fake = Fake::authenticated(stream);
        let call = fake.expect("M");
        fake.reply(&call, &[]);
    });
    open(&stage, late()).unwrap().call(METHOD, &[], late()).unwrap();
    stage.end();
}

#[test]
fn more_signals_than_are_kept() {
    let stage = Stage::new(|listener| {
        let mut fake = Fake::accept(&listener);
        fake.expect("M");
        for _ in 0..=MAX_SIGNALS {
            fake.signal("a.b", "Wanted", &[]);
        }
    });
    let mut connection = open(&stage, late()).unwrap();
    assert_eq!(text(connection.call(METHOD, &[], late())), "more signals than anybody can want");
    stage.end();
}

#[test]
fn abstract_names() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("dunnage-dbus-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let actor = std::thread::spawn(move || drop(Fake::accept(&listener)));
    let address = Address::parse_list(&format!("unix:abstract={name}")).unwrap().remove(0);
    Connection::open(&address, Peer::Direct, &[], late()).unwrap();
    actor.join().unwrap();
}
