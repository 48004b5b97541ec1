//! ttrpc as a client of containerd's speaks it: a connection with many outstanding calls. Threads that block are good enough here.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dunnage_shim::proto::Message;
use dunnage_shim::proto::ttrpc::{KeyValue, Request, Response};

use super::{Failure, patience};

pub const REQUEST: u8 = 1;
pub const RESPONSE: u8 = 2;
pub const DATA: u8 = 3;

/// One frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub stream: u32,
    pub kind: u8,
    pub flags: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn request(stream: u32, request: &Request) -> Frame {
        Frame { stream, kind: REQUEST, flags: 0, payload: request.encode() }
    }

    pub fn header(&self) -> [u8; 10] {
        let mut header = [0; 10];
        header[..4].copy_from_slice(&u32::try_from(self.payload.len()).unwrap().to_be_bytes());
        header[4..8].copy_from_slice(&self.stream.to_be_bytes());
        (header[8], header[9]) = (self.kind, self.flags);
        header
    }

    pub fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        to.write_all(&[&self.header()[..], &self.payload].concat())
    }

    /// None: the end.
    pub fn read(from: &mut impl Read) -> Option<Frame> {
        let mut header = [0; 10];
        from.read_exact(&mut header).ok()?;
        let length = u32::from_be_bytes(header[..4].try_into().unwrap());
        let stream = u32::from_be_bytes(header[4..8].try_into().unwrap());
        let mut payload = vec![0; length as usize];
        from.read_exact(&mut payload).ok()?;
        Some(Frame { stream, kind: header[8], flags: header[9], payload })
    }
}

/// A request as a daemon sends it.
pub fn request(service: &str, method: &str, payload: Vec<u8>, namespace: &str) -> Request {
    let metadata = vec![KeyValue { key: "containerd-namespace-ttrpc".into(), value: namespace.into() }];
    Request { service: service.into(), method: method.into(), payload, timeout_nano: 0, metadata }
}

type Answered = Result<Vec<u8>, Failure>;

#[derive(Default)]
struct Waiting {
    calls: HashMap<u32, Sender<Answered>>,
    closed: bool,
}

/// A connection.
#[derive(Clone)]
pub struct Client {
    stream: Arc<Mutex<UnixStream>>,
    waiting: Arc<Mutex<Waiting>>,
    last: Arc<AtomicU32>,
    namespace: String,
}

/// An outstanding call.
pub struct Call<R> {
    answer: Receiver<Answered>,
    what: String,
    kind: PhantomData<R>,
}

impl Client {
    pub fn connect(path: &str, namespace: &str) -> std::io::Result<Client> {
        let stream = UnixStream::connect(path)?;
        let mut reader = stream.try_clone()?;
        let waiting: Arc<Mutex<Waiting>> = Arc::default();
        let shared = waiting.clone();
        std::thread::spawn(move || {
            while let Some(frame) = Frame::read(&mut reader) {
                let sender = shared.lock().unwrap().calls.remove(&frame.stream);
                let sender = sender.unwrap_or_else(|| panic!("an answer that nobody waits for: {frame:?}"));
                let _ = sender.send(answer(&frame));
            }
            let mut waiting = shared.lock().unwrap();
            waiting.closed = true;
            for (_, sender) in waiting.calls.drain() {
                let _ = sender.send(Err(Failure::closed()));
            }
        });
        let stream = Arc::new(Mutex::new(stream));
        Ok(Client { stream, waiting, last: Arc::new(AtomicU32::new(0)), namespace: namespace.into() })
    }

    /// Whether the shim has closed it.
    pub fn is_closed(&self) -> bool {
        self.waiting.lock().unwrap().closed
    }

    pub fn close(&self) {
        let _ = self.stream.lock().unwrap().shutdown(std::net::Shutdown::Both);
    }

    /// Calls without waiting for the answer.
    pub fn begin<R: Message>(&self, service: &str, method: &str, message: &impl Message) -> Call<R> {
        self.send(request(service, method, message.encode(), &self.namespace))
    }

    pub fn send<R: Message>(&self, request: Request) -> Call<R> {
        let (sender, answer) = channel();
        // The ids go out in their order.
        let mut stream = self.stream.lock().unwrap();
        let id = match self.last.load(Ordering::Relaxed) {
            0 => 1,
            last => last + 2,
        };
        self.last.store(id, Ordering::Relaxed);
        let what = format!("{} (stream {id})", request.method);
        let closed = {
            let mut waiting = self.waiting.lock().unwrap();
            if !waiting.closed {
                waiting.calls.insert(id, sender.clone());
            }
            waiting.closed
        };
        if closed || Frame::request(id, &request).write(&mut *stream).is_err() {
            let _ = sender.send(Err(Failure::closed()));
        }
        Call { answer, what, kind: PhantomData }
    }

    #[track_caller]
    pub fn call<R: Message>(&self, service: &str, method: &str, message: &impl Message) -> Result<R, Failure> {
        self.begin(service, method, message).wait()
    }
}

fn answer(frame: &Frame) -> Answered {
    assert!(frame.kind == RESPONSE && frame.flags == 0, "a response to a unary call: {frame:?}");
    let response = Response::decode(&frame.payload).expect("a Response");
    match response.status {
        Some(status) if status.code != 0 => Err(Failure { code: status.code, message: status.message }),
        _ => Ok(response.payload),
    }
}

impl<R: Message> Call<R> {
    /// The answer, which must come within 45 seconds.
    #[track_caller]
    pub fn wait(&self) -> Result<R, Failure> {
        self.within(patience(45)).unwrap_or_else(|| panic!("no answer to {}", self.what))
    }

    /// The answer, if it comes within this time.
    pub fn within(&self, time: Duration) -> Option<Result<R, Failure>> {
        match self.answer.recv_timeout(time) {
            Ok(answer) => Some(answer.map(|bytes| R::decode(&bytes).expect("the message of the answer"))),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(Failure::closed())),
        }
    }

    /// Whether it is answered by now.
    pub fn pending(&self) -> bool {
        self.within(Duration::ZERO).is_none()
    }
}
