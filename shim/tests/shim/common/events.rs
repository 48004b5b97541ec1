//! The daemon's socket for events. It can go away and come back, be deaf or refuse, as that of a daemon that is restarted.

use std::fmt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use dunnage_shim::proto::events::{
    ForwardRequest, TaskCheckpointed, TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskOnly,
    TaskStart,
};
use dunnage_shim::proto::ttrpc::{Request, Response, Status};
use dunnage_shim::proto::{Any, Message, Timestamp};

use super::patience;
use super::ttrpc::{Frame, RESPONSE};

/// What came, taken apart as far as tests compare it.
#[derive(Debug, Clone)]
pub struct Event {
    pub topic: String,
    pub namespace: String,
    pub timestamp: Timestamp,
    pub container: String,
    /// Of the exec, or the container's.
    pub id: String,
    pub pid: u32,
    pub status: u32,
    pub exited_at: Option<Timestamp>,
    pub any: Any,
    /// The metadata of the call.
    pub metadata: Vec<(String, String)>,
    /// Which connection it came over.
    pub connection: usize,
}

/// `exit c1 e1 0`: the last part of the topic, the container, the exec if it is one's, the status if there is one.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.topic.rsplit('/').next().unwrap(), self.container)?;
        if !self.id.is_empty() && self.id != self.container {
            write!(f, " {}", self.id)?;
        }
        match self.topic.as_str() {
            "/tasks/exit" | "/tasks/delete" => write!(f, " {}", self.status),
            _ => Ok(()),
        }
    }
}

/// What the daemon does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Takes,
    /// Reads it and says nothing.
    Deaf,
    /// Answers with this code.
    Refuses(i32),
}

struct State {
    events: Vec<Event>,
    mood: Mood,
    connections: Vec<Option<UnixStream>>,
    refused: usize,
    /// Counts the times it was stopped: a thread of an older time ends.
    time: usize,
}

/// The server.
pub struct Events {
    pub path: PathBuf,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Events {
    pub fn at(path: PathBuf) -> Events {
        let state = State { events: Vec::new(), mood: Mood::Takes, connections: Vec::new(), refused: 0, time: 0 };
        let events = Events { path, state: Arc::new((Mutex::new(state), Condvar::new())) };
        events.serve();
        events
    }

    /// Listens (again).
    pub fn serve(&self) {
        let listener = UnixListener::bind(&self.path).unwrap();
        let state = self.state.clone();
        let time = state.0.lock().unwrap().time;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut now = state.0.lock().unwrap();
                if now.time != time {
                    return;
                }
                let connection = now.connections.len();
                now.connections.push(stream.try_clone().ok());
                drop(now);
                let state = state.clone();
                std::thread::spawn(move || connected(stream, connection, &state));
            }
        });
    }

    /// The daemon dies: no socket, no connections.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.time += 1;
        for stream in state.connections.iter_mut().filter_map(Option::take) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        drop(state);
        // The thread that listens wakes up, and sees that its time is over.
        let _ = UnixStream::connect(&self.path);
        std::fs::remove_file(&self.path).unwrap();
    }

    /// A test that fails while it looks must still be able to tell.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn mood(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// How many connections there ever were.
    pub fn connections(&self) -> usize {
        self.lock().connections.len()
    }

    /// How many calls were refused.
    pub fn refused(&self) -> usize {
        self.lock().refused
    }

    /// All by now, and from now on only those that come.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.lock().events)
    }

    pub fn all(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// All by now, in short: `start c1`, `exit c1 e1 0`.
    pub fn told(&self) -> Vec<String> {
        self.all().iter().map(Event::to_string).collect()
    }

    /// Waits until this one came.
    #[track_caller]
    pub fn expect(&self, short: &str) -> Event {
        self.when(short, |events| events.iter().find(|e| e.to_string() == short).cloned())
    }

    /// Waits until there are as many, and asserts that they are these, in this order.
    #[track_caller]
    pub fn are(&self, expected: &[&str]) {
        self.when(&format!("{expected:?}"), |events| (events.len() >= expected.len()).then_some(()));
        // One too many would come right after them.
        super::pause(50);
        assert_eq!(self.told(), expected);
    }

    #[track_caller]
    pub fn when<T>(&self, what: &str, condition: impl Fn(&[Event]) -> Option<T>) -> T {
        let told = &self.state.1;
        let end = Instant::now() + patience(15);
        let mut state = self.lock();
        loop {
            if let Some(found) = condition(&state.events) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            let heard: Vec<String> = state.events.iter().map(Event::to_string).collect();
            assert!(!left.is_zero(), "waited in vain for the event {what}; there were {heard:?}");
            state = told.wait_timeout(state, left).unwrap().0;
        }
    }
}

fn connected(mut stream: UnixStream, connection: usize, state: &(Mutex<State>, Condvar)) {
    while let Some(frame) = Frame::read(&mut stream) {
        let request = Request::decode(&frame.payload).expect("a Request");
        assert_eq!(request.service, "containerd.services.events.ttrpc.v1.Events");
        assert_eq!(request.method, "Forward");
        let mut now = state.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = match now.mood {
            Mood::Deaf => continue,
            Mood::Refuses(code) => Some(Status { code, message: "refused".into(), details: Vec::new() }),
            Mood::Takes => None,
        };
        let taken = status.is_none();
        let response = Response { status, payload: Vec::new() };
        let frame = Frame { stream: frame.stream, kind: RESPONSE, flags: 0, payload: response.encode() };
        // What can't be answered was not taken: it will come again.
        if frame.write(&mut stream).is_err() {
            return;
        }
        match taken {
            true => now.events.push(event(&request, connection)),
            false => now.refused += 1,
        }
        state.1.notify_all();
    }
}

fn event(request: &Request, connection: usize) -> Event {
    let envelope = ForwardRequest::decode(&request.payload).expect("a ForwardRequest").envelope.expect("an envelope");
    let any = envelope.event.expect("an event");
    let mut event = Event {
        topic: envelope.topic,
        namespace: envelope.namespace,
        timestamp: envelope.timestamp.expect("a time"),
        container: String::new(),
        id: String::new(),
        pid: 0,
        status: 0,
        exited_at: None,
        any: any.clone(),
        metadata: request.metadata.iter().map(|m| (m.key.clone(), m.value.clone())).collect(),
        connection,
    };
    take_apart(&mut event, &any);
    event
}

fn take_apart(event: &mut Event, any: &Any) {
    let kind = match event.topic.as_str() {
        "/tasks/create" => {
            let m = TaskCreate::decode(&any.value).unwrap();
            (event.container, event.pid) = (m.container_id, m.pid);
            "TaskCreate"
        }
        "/tasks/start" => {
            let m = TaskStart::decode(&any.value).unwrap();
            (event.container, event.pid) = (m.container_id, m.pid);
            "TaskStart"
        }
        "/tasks/exec-added" => {
            let m = TaskExecAdded::decode(&any.value).unwrap();
            (event.container, event.id) = (m.container_id, m.exec_id);
            "TaskExecAdded"
        }
        "/tasks/exec-started" => {
            let m = TaskExecStarted::decode(&any.value).unwrap();
            (event.container, event.id, event.pid) = (m.container_id, m.exec_id, m.pid);
            "TaskExecStarted"
        }
        "/tasks/exit" => {
            let m = TaskExit::decode(&any.value).unwrap();
            (event.container, event.id, event.pid) = (m.container_id, m.id, m.pid);
            (event.status, event.exited_at) = (m.exit_status, m.exited_at);
            "TaskExit"
        }
        "/tasks/delete" => {
            let m = TaskDelete::decode(&any.value).unwrap();
            (event.container, event.id, event.pid) = (m.container_id, m.id, m.pid);
            (event.status, event.exited_at) = (m.exit_status, m.exited_at);
            "TaskDelete"
        }
        "/tasks/checkpointed" => {
            event.container = TaskCheckpointed::decode(&any.value).unwrap().container_id;
            "TaskCheckpointed"
        }
        "/tasks/oom" | "/tasks/paused" | "/tasks/resumed" => {
            event.container = TaskOnly::decode(&any.value).unwrap().container_id;
            match event.topic.as_str() {
                "/tasks/oom" => "TaskOOM",
                "/tasks/paused" => "TaskPaused",
                _ => "TaskResumed",
            }
        }
        other => panic!("no topic of a shim: {other}"),
    };
    assert_eq!(any.type_url, format!("containerd.events.{kind}"));
}
