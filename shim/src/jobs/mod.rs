//! What takes time, and what may hang: each job is done by a copy of the server (a worker) that does this one thing, sends an
//! [`Outcome`] and exits. A worker may block, change its directory and its descriptors; it returns to nobody. It knows of the
//! server's state only what its [`Job`] says.

pub mod change;
pub mod checkpoint;
pub mod create;
pub mod delete;
pub mod exec;
pub mod other;
pub mod sandbox;
pub mod stdio;

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use dunnage::error::{Error, Result};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use crate::messages;
use crate::proto::Message;
use crate::proto::options::{CheckpointOptions, RuncOptions};
use crate::proto::sandbox::CreateSandboxRequest;
use crate::proto::task::CreateTaskRequest;
use crate::ttrpc::Failure;

/// Which container, and by which runtime.
#[derive(Debug, Clone)]
pub struct Whose {
    /// The daemon's namespace.
    pub namespace: String,
    /// The container.
    pub id: String,
    /// Its bundle.
    pub bundle: PathBuf,
    /// `<root>/<namespace>`.
    pub root: PathBuf,
    /// Its options.
    pub options: RuncOptions,
    /// Ours, as the bundle has it.
    pub address: String,
}

/// The streams that a client has asked for, as it named them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Streams {
    /// A terminal instead of pipes.
    pub terminal: bool,
    /// Columns and rows of the terminal, if somebody has said so already.
    pub size: Option<(u16, u16)>,
    /// Each empty, a path or a URL.
    pub stdin: String,
    /// As `stdin`.
    pub stdout: String,
    /// As `stdin`.
    pub stderr: String,
}

/// Something to be done.
#[derive(Debug)]
pub enum Job {
    /// Mounts, streams, container.
    Create(Box<CreateTaskRequest>),
    /// The process that holds a pod's namespaces.
    CreateSandbox(Box<CreateSandboxRequest>),
    /// Lets the first process go.
    Start,
    /// Makes the container out of an image of it: what [`Job::Create`] did not do of the request.
    Restore(Box<CreateTaskRequest>),
    /// One more process.
    Exec {
        /// Its id.
        id: String,
        /// process.json.
        spec: Vec<u8>,
        /// What the client wants of it.
        streams: Streams,
    },
    /// The container goes, then its mounts.
    Delete {
        /// There are mounts of ours.
        has_mounts: bool,
    },
    /// Every process of the container is killed.
    KillAll,
    /// A signal by another runtime, or to a container that is frozen.
    Kill {
        /// Its number.
        signal: i32,
        /// To all processes.
        all: bool,
    },
    /// Freezes it.
    Pause,
    /// Thaws it.
    Resume,
    /// New limits: LinuxResources as JSON.
    Update(Vec<u8>),
    /// An image of it.
    Checkpoint {
        /// Where.
        path: String,
        /// How.
        options: CheckpointOptions,
    },
}

messages! {
    /// What a worker has to tell; descriptors come beside it.
    Outcome {
        1 code: i32, 2 error: String, 3 pid: i32, 4 places: Vec<u64>, 5 cgroups: BTreeMap<String, String>,
        6 shares_pids: bool, 7 logger: i32, 8 has_mounts: bool, 9 sent: bool, 10 checkpoint: String,
    }
}

/// What a descriptor beside an [`Outcome`] is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Place {
    /// The master of the process's terminal.
    Console = 1,
    /// The client's fifo for stdin.
    StdinFrom,
    /// Our end of the process's pipe.
    StdinTo,
    /// Our end of the process's pipe.
    StdoutFrom,
    /// The client's fifo, or a file.
    StdoutTo,
    /// As stdout.
    StderrFrom,
    /// As stdout.
    StderrTo,
}

impl Place {
    /// All of them.
    pub const ALL: [Place; 7] = [
        Place::Console,
        Place::StdinFrom,
        Place::StdinTo,
        Place::StdoutFrom,
        Place::StdoutTo,
        Place::StderrFrom,
        Place::StderrTo,
    ];

    /// The one of that number.
    pub fn of(number: u64) -> Option<Place> {
        Place::ALL.into_iter().find(|place| u64::from(*place as u8) == number)
    }
}

/// Descriptors for the server.
pub type Given = Vec<(Place, OwnedFd)>;

/// Does the job and sends what came of it; the process ends with it.
pub fn work(whose: &Whose, job: &Job, socket: BorrowedFd<'_>) -> ! {
    let mut given = Given::new();
    let outcome = match perform(whose, job, &mut given) {
        Ok(outcome) => outcome,
        Err(failure) => Outcome { code: failure.code, error: failure.message, ..Outcome::default() },
    };
    if outcome.code != 0 {
        given.clear();
    }
    let sent = send(socket, outcome, &given);
    dunnage::log::flush();
    dunnage::sys::fork::exit(i32::from(sent.is_err()))
}

fn perform(whose: &Whose, job: &Job, given: &mut Given) -> Result<Outcome, Failure> {
    match job {
        Job::Create(request) => create::create(whose, request, given),
        Job::CreateSandbox(request) => sandbox::create_sandbox(whose, request, given),
        Job::Start => create::start(whose),
        Job::Restore(request) => create::restore(whose, request, given),
        Job::Exec { id, spec, streams } => exec::exec(whose, id, spec, streams, given),
        Job::Delete { has_mounts } => delete::delete(whose, *has_mounts),
        Job::KillAll => change::kill_all(whose),
        Job::Kill { signal, all } => change::kill(whose, *signal, *all),
        Job::Pause => change::pause(whose),
        Job::Resume => change::resume(whose),
        Job::Update(resources) => change::update(whose, resources),
        Job::Checkpoint { path, options } => checkpoint::checkpoint(whose, path, options),
    }
}

/// The longest error that a caller is told.
const MAX_ERROR: usize = 64 << 10;

fn send(socket: BorrowedFd<'_>, mut outcome: Outcome, given: &Given) -> nix::Result<()> {
    // One in which nothing is set would have no bytes, like the end of the socket.
    outcome.sent = true;
    if outcome.error.len() > MAX_ERROR {
        outcome.error = dunnage::text::short_line(&outcome.error, MAX_ERROR);
    }
    outcome.places = given.iter().map(|(place, _)| u64::from(*place as u8)).collect();
    let fds: Vec<RawFd> = given.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let rights = if fds.is_empty() { &[][..] } else { &rights };
    let bytes = outcome.encode();
    sendmsg::<()>(socket.as_raw_fd(), &[std::io::IoSlice::new(&bytes)], rights, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// An error in the words that callers look for: `OCI runtime create failed: ...`.
fn oci(verb: &str, error: &Error) -> Failure {
    Failure::unknown(format_args!("OCI runtime {verb} failed: {error}"))
}
