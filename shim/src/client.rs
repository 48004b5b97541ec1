//! One call to a shim, and the wait for its answer: how `start` learns whom it found, and `delete` whether somebody is there.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::proto::ttrpc::{Request, Response};
use crate::proto::{Fault, Message};
use crate::ttrpc::frame::{self, HEADER, REQUEST};
use crate::ttrpc::{Failure, MAX_MESSAGE};

/// A connection to a shim.
#[derive(Debug)]
pub struct Client {
    socket: UnixStream,
    stream: u32,
}

impl Client {
    /// Connects to a socket that listens. Each later read and write has the same time.
    ///
    /// # Errors
    /// connect(2): ECONNREFUSED, ENOENT: nobody is there.
    pub fn connect(path: &Path, patience: Duration) -> std::io::Result<Client> {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        Ok(Client { socket, stream: 1 })
    }

    /// Calls a method; the result is its answer.
    ///
    /// # Errors
    /// The outer one: nobody answers in time. The inner one: the answer is no.
    pub fn call<M: Message>(
        &mut self,
        service: &str,
        method: &str,
        request: &impl Message,
    ) -> std::io::Result<Result<M, Failure>> {
        let request =
            Request { service: service.into(), method: method.into(), payload: request.encode(), ..Request::default() };
        let mut bytes = Vec::new();
        frame::put(self.stream, REQUEST, &request.encode(), &mut bytes);
        self.stream = self.stream.wrapping_add(2);
        self.socket.write_all(&bytes)?;
        let mut head = [0u8; HEADER];
        self.socket.read_exact(&mut head)?;
        let length = frame::header(&head).map_or(0, |header| header.length);
        if length > MAX_MESSAGE {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        let mut payload = vec![0u8; length];
        self.socket.read_exact(&mut payload)?;
        let malformed = |_: Fault| std::io::Error::from(std::io::ErrorKind::InvalidData);
        let response = Response::decode(&payload).map_err(malformed)?;
        match response.status.filter(|status| status.code != 0) {
            Some(status) => Ok(Err(Failure { code: status.code, message: status.message })),
            None => M::decode(&response.payload).map(Ok).map_err(malformed),
        }
    }
}
