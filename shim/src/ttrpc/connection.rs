//! One client's connection: bytes that arrive become requests, answers become bytes; nothing of it ever blocks. Knows no service, and
//! not who waits for what.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use super::frame::{self, DATA, HEADER, Header, REQUEST, RESPONSE};
use super::{Answer, Failure, MAX_MESSAGE};
use crate::proto::Message;
use crate::proto::ttrpc::{Request, Response};

/// One read of a socket. Calls of the daemon are a few hundred bytes; a specification has some ten thousand.
const CHUNK: usize = 16 << 10;
/// A client that does not read its answers is not answered for ever.
const MAX_UNSENT: usize = 4 * MAX_MESSAGE;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    /// The beginning of a frame whose rest has not come yet.
    partial: Vec<u8>,
    /// How much of a frame that was too long is still to come, and to be thrown away.
    discard: usize,
    /// The newest stream that the client has opened.
    newest: u32,
    unsent: Vec<u8>,
}

/// What a read has brought.
#[derive(Debug, Default)]
pub struct Read {
    /// Requests, in order, with their streams.
    pub requests: Vec<(u32, Request)>,
    /// The client has gone.
    pub ended: bool,
}

impl Connection {
    /// Of a socket that does not block.
    pub fn new(socket: OwnedFd) -> Connection {
        Connection { socket, partial: Vec::new(), discard: 0, newest: 0, unsent: Vec::new() }
    }

    /// What another program handed over: see [`Connection::parts`].
    pub fn from_parts(socket: OwnedFd, partial: Vec<u8>, discard: usize, newest: u32, unsent: Vec<u8>) -> Connection {
        Connection { socket, partial, discard, newest, unsent }
    }

    /// All that another program needs to go on with it.
    pub fn parts(&self) -> (BorrowedFd<'_>, &[u8], usize, u32, &[u8]) {
        (self.socket.as_fd(), &self.partial, self.discard, self.newest, &self.unsent)
    }

    /// Takes what has arrived. What is wrong with a frame is answered here.
    pub fn read(&mut self) -> Read {
        let mut read = Read::default();
        let mut chunk = [0u8; CHUNK];
        loop {
            match recv(self.socket.as_raw_fd(), &mut chunk, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => read.ended = true,
                Ok(n) => {
                    self.take(chunk.get(..n).unwrap_or_default(), &mut read);
                    if n == CHUNK {
                        continue;
                    }
                }
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => {}
                Err(_) => read.ended = true,
            }
            return read;
        }
    }

    /// Takes bytes that have arrived.
    pub fn take(&mut self, mut bytes: &[u8], read: &mut Read) {
        let discarded = self.discard.min(bytes.len());
        self.discard = self.discard.saturating_sub(discarded);
        bytes = bytes.get(discarded..).unwrap_or_default();
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(bytes);
            let whole = std::mem::take(&mut self.partial);
            match self.frames(&whole, read) {
                // Not copied again for each piece of a long one.
                0 => self.partial = whole,
                used => self.keep(whole.get(used..).unwrap_or_default()),
            }
        } else {
            let used = self.frames(bytes, read);
            self.keep(bytes.get(used..).unwrap_or_default());
        }
    }

    fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            return;
        }
        // The whole frame's room at once, where its length is known.
        let whole = frame::header(rest).map_or(HEADER, |h| h.length.saturating_add(HEADER));
        self.partial = Vec::with_capacity(whole.max(rest.len()));
        self.partial.extend_from_slice(rest);
    }

    /// All frames that are complete; the result is how many bytes they have.
    fn frames(&mut self, bytes: &[u8], read: &mut Read) -> usize {
        let mut used = 0usize;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            let Some(header) = frame::header(rest) else { return used };
            let end = HEADER.saturating_add(header.length);
            if header.length > MAX_MESSAGE {
                self.discard = end.saturating_sub(rest.len());
                let text = format!("message length {} exceed maximum message size of {MAX_MESSAGE}", header.length);
                self.newest = self.newest.max(header.stream);
                self.answer(header.stream, Err(Failure::exhausted(text)));
                if self.discard > 0 {
                    return bytes.len();
                }
                used = used.saturating_add(end);
                continue;
            }
            let Some(payload) = rest.get(HEADER..end) else { return used };
            used = used.saturating_add(end);
            match self.frame(header, payload) {
                Ok(Some(request)) => read.requests.push((header.stream, request)),
                Ok(None) => {}
                Err(failure) => self.answer(header.stream, Err(failure)),
            }
        }
    }

    fn frame(&mut self, header: Header, payload: &[u8]) -> Result<Option<Request>, Failure> {
        match header.kind {
            REQUEST | DATA if header.stream.is_multiple_of(2) => {
                Err(Failure::invalid("StreamID must be odd for client initiated streams"))
            }
            // None of our methods has a stream.
            DATA => Err(Failure::invalid("StreamID is no longer active")),
            REQUEST if header.stream <= self.newest => {
                Err(Failure::invalid("StreamID cannot be re-used and must increment"))
            }
            REQUEST => {
                self.newest = header.stream;
                let request = Request::decode(payload);
                request.map(Some).map_err(|fault| Failure::invalid(format_args!("unmarshal request error: {fault}")))
            }
            _ => Ok(None),
        }
    }

    /// Sends an answer, or as much of it as the socket takes now; see [`Connection::flush`].
    pub fn answer(&mut self, stream: u32, answer: Answer) {
        let response = match answer {
            Ok(payload) => Response { status: None, payload },
            Err(failure) => Response { status: Some(failure.into()), payload: Vec::new() },
        };
        let mut bytes = response.encode();
        if bytes.len() > MAX_MESSAGE {
            let text = format!("message length {} exceed maximum message size of {MAX_MESSAGE}", bytes.len());
            bytes = Response { status: Some(Failure::exhausted(text).into()), payload: Vec::new() }.encode();
        }
        frame::put(stream, RESPONSE, &bytes, &mut self.unsent);
        self.flush();
    }

    /// Sends what is left.
    pub fn flush(&mut self) {
        let mut sent = 0usize;
        while let Some(rest) = self.unsent.get(sent..).filter(|rest| !rest.is_empty()) {
            match send(self.socket.as_raw_fd(), rest, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                Ok(n) => sent = sent.saturating_add(n),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                // The read side learns of it.
                Err(_) => sent = self.unsent.len(),
            }
        }
        self.unsent.drain(..sent.min(self.unsent.len()));
        if self.unsent.is_empty() {
            // A large answer's memory is not kept for the next years.
            self.unsent = Vec::new();
        }
    }

    /// Whether something is left to be sent.
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether the client has stopped reading long ago.
    pub fn is_stuffed(&self) -> bool {
        self.unsent.len() > MAX_UNSENT
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn request(stream: u32, method: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let request = Request { service: "s".into(), method: method.into(), ..Request::default() };
        frame::put(stream, REQUEST, &request.encode(), &mut out);
        out
    }

    fn pair() -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Connection::new(ours.into()), theirs)
    }

    fn methods(read: &Read) -> Vec<(u32, &str)> {
        read.requests.iter().map(|(stream, r)| (*stream, r.method.as_str())).collect()
    }

    fn answers(client: &mut UnixStream) -> Vec<(u32, i32, String)> {
        client.set_nonblocking(true).unwrap();
        let mut bytes = Vec::new();
        let _would_block = client.read_to_end(&mut bytes);
        let mut all = Vec::new();
        let mut rest = &bytes[..];
        while let Some(header) = frame::header(rest) {
            let (payload, others) = rest[HEADER..].split_at(header.length);
            let status = Response::decode(payload).unwrap().status.unwrap_or_default();
            all.push((header.stream, status.code, status.message));
            rest = others;
        }
        all
    }

    #[test]
    fn cut_anywhere() {
        let bytes = [request(1, "a"), request(3, "b")].concat();
        for cut in 0..bytes.len() {
            let (mut connection, _client) = pair();
            let mut read = Read::default();
            connection.take(&bytes[..cut], &mut read);
            connection.take(&bytes[cut..], &mut read);
            assert_eq!(methods(&read), [(1, "a"), (3, "b")], "cut at {cut}");
            assert!(connection.partial.is_empty());
        }
    }

    #[test]
    fn what_is_out_of_order_is_told_and_the_rest_goes_on() {
        let (mut connection, mut client) = pair();
        let mut read = Read::default();
        let mut data = Vec::new();
        frame::put(5, DATA, b"x", &mut data);
        let mut unknown = Vec::new();
        frame::put(7, 9, b"x", &mut unknown);
        let mut garbage = Vec::new();
        frame::put(9, REQUEST, b"\xff", &mut garbage);
        let all =
            [request(3, "a"), request(2, "even"), request(3, "again"), request(1, "less"), data, unknown, garbage];
        connection.take(&[all.concat(), request(11, "b")].concat(), &mut read);
        assert_eq!(methods(&read), [(3, "a"), (11, "b")]);
        let answers = answers(&mut client);
        assert_eq!(
            answers.iter().map(|(s, c, _)| (*s, *c)).collect::<Vec<_>>(),
            [(2, 3), (3, 3), (1, 3), (5, 3), (9, 3)]
        );
        assert_eq!(answers[1].2, "StreamID cannot be re-used and must increment");
    }

    #[test]
    fn a_frame_that_is_too_long_is_thrown_away() {
        for piece in [1000usize, 1 << 20, 6 << 20] {
            let (mut connection, mut client) = pair();
            let length = 5 << 20;
            let mut bytes = vec![0u8; HEADER + length];
            bytes[..4].copy_from_slice(&(5u32 << 20).to_be_bytes());
            bytes[7] = 1;
            bytes[8] = REQUEST;
            bytes.extend(request(3, "after"));
            let mut read = Read::default();
            for piece in bytes.chunks(piece) {
                connection.take(piece, &mut read);
                assert!(connection.partial.capacity() < 1 << 16);
            }
            assert_eq!(methods(&read), [(3, "after")]);
            let text = "message length 5242880 exceed maximum message size of 4194304".to_owned();
            assert_eq!(answers(&mut client), [(1, 8, text)]);
        }
    }
}
