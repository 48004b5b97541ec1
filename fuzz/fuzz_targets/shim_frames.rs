//! Any bytes as what a client of the shim sends, cut anywhere: the requests and the answers are those of another reading of the
//! protocol, wherever the bytes are cut and even if another program goes on in between (an upgrade). What is kept of a frame that is
//! not complete is no more than what came.
//!
//! The first byte says how many cuts there are; two bytes each say where.
#![no_main]

use std::io::Read as _;
use std::os::unix::net::UnixStream;

use dunnage_shim::proto::Message;
use dunnage_shim::proto::table::TConnection;
use dunnage_shim::proto::ttrpc::{Request, Response};
use dunnage_shim::ttrpc::MAX_MESSAGE;
use dunnage_shim::ttrpc::connection::{Connection, Read};
use dunnage_shim::ttrpc::frame::{self, DATA, HEADER, REQUEST, RESPONSE};
use libfuzzer_sys::fuzz_target;

type Requests = Vec<(u32, Request)>;
/// Stream, code.
type Answers = Vec<(u32, i32)>;

fuzz_target!(|bytes: &[u8]| {
    let Some((cuts, bytes)) = cuts(bytes) else { return };
    let expected = by_the_book(bytes);
    assert_eq!(cut(bytes, &[], false), expected);
    assert_eq!(cut(bytes, &cuts, false), expected, "cut at {cuts:?}");
    assert_eq!(cut(bytes, &cuts, true), expected, "cut at {cuts:?}, and handed over there");
});

fn cuts(bytes: &[u8]) -> Option<(Vec<usize>, &[u8])> {
    let (count, rest) = bytes.split_first()?;
    let (cuts, bytes) = rest.split_at_checked(2 * usize::from(count % 16))?;
    let mut cuts: Vec<usize> =
        cuts.chunks_exact(2).map(|c| usize::from(u16::from_le_bytes([c[0], c[1]])) % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    Some((cuts, bytes))
}

/// What comes of the bytes in pieces.
fn cut(bytes: &[u8], cuts: &[usize], handed_over: bool) -> (Requests, Answers) {
    let (ours, mut theirs) = UnixStream::pair().expect("a socketpair");
    theirs.set_nonblocking(true).expect("fcntl");
    let mut connection = Connection::new(ours.into());
    let (mut read, mut sent, mut from) = (Read::default(), Vec::new(), 0);
    for to in cuts.iter().copied().chain([bytes.len()]) {
        connection.take(&bytes[from..to], &mut read);
        from = to;
        if handed_over {
            connection = hand_over(&connection);
        }
        let (_, partial, discard, ..) = connection.parts();
        assert!(partial.len() <= from && partial.len() < HEADER + MAX_MESSAGE);
        assert!(discard == 0 || partial.is_empty(), "of what is thrown away nothing is kept");
        // What the socket does not take now is sent when it does.
        loop {
            let _would_block = theirs.read_to_end(&mut sent);
            if !connection.has_unsent() {
                break;
            }
            connection.flush();
        }
        let _would_block = theirs.read_to_end(&mut sent);
    }
    assert!(!read.ended);
    (read.requests, answers(&sent))
}

/// As an upgrade does it, by a message.
fn hand_over(connection: &Connection) -> Connection {
    let (socket, partial, discard, newest, unsent) = connection.parts();
    let (partial, unsent, discard) = (partial.to_vec(), unsent.to_vec(), discard as u64);
    let t = TConnection { number: 1, fd: 3, partial, discard, newest, unsent };
    let t = TConnection::decode(&t.encode()).expect("what was encoded");
    let socket = socket.try_clone_to_owned().expect("dup");
    Connection::from_parts(socket, t.partial, t.discard as usize, t.newest, t.unsent)
}

fn answers(mut bytes: &[u8]) -> Answers {
    let mut all = Vec::new();
    while let Some(header) = frame::header(bytes) {
        assert_eq!((header.kind, header.flags), (RESPONSE, 0));
        let response = Response::decode(&bytes[HEADER..HEADER + header.length]).expect("a response");
        all.push((header.stream, response.status.expect("a refusal").code));
        bytes = &bytes[HEADER + header.length..];
    }
    assert!(bytes.is_empty(), "half an answer");
    all
}

/// The protocol once more, of bytes that are all there.
fn by_the_book(mut bytes: &[u8]) -> (Requests, Answers) {
    const INVALID: i32 = 3;
    const EXHAUSTED: i32 = 8;
    let (mut requests, mut answers, mut newest) = (Vec::new(), Vec::new(), 0);
    while bytes.len() >= HEADER {
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
        let (length, stream, kind) = (number(0) as usize, number(4), bytes[8]);
        let rest = &bytes[HEADER..];
        if length > MAX_MESSAGE {
            answers.push((stream, EXHAUSTED));
            newest = newest.max(stream);
            bytes = &rest[length.min(rest.len())..];
            continue;
        }
        if rest.len() < length {
            break;
        }
        let payload = &rest[..length];
        bytes = &rest[length..];
        if kind == REQUEST && stream % 2 == 1 && stream > newest {
            newest = stream;
            match Request::decode(payload) {
                Ok(request) => requests.push((stream, request)),
                Err(_) => answers.push((stream, INVALID)),
            }
        } else if [REQUEST, DATA].contains(&kind) {
            answers.push((stream, INVALID));
        }
    }
    (requests, answers)
}
