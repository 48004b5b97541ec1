//! CRIU as a process of ours: started as `criu swrk 3`, asked over a socket whose packets are messages, ended with us.
//!
//! While it dumps it is not told to die with us (PR_SET_PDEATHSIG): killed while it holds the container's processes, it would leave them
//! stopped, with code of its own in them. It meets our end at the socket, puts everything back and exits. That is also how a failure of
//! ours ends it; one that does not heed it is killed. While it restores it dies with us: what it has made by then is in the container's
//! cgroup, where `delete` finds it.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::poll::PollTimeout;
use nix::sys::socket::{AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, send, shutdown, socketpair};
use nix::unistd::{AccessFlags, access};

use super::rpc::{Features, Notify, Opts, Req, Resp, kind};
use crate::error::{Errno, Error, Result};
use crate::files;
use crate::protobuf::Message;
use crate::sys::children::restore_sigchld;
use crate::sys::descriptors::recv_fd;
use crate::sys::pidfd::{Exit, PidFd};
use crate::sys::spawn::{Failure, Program, spawn};

/// Where it is looked for if we have no PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Its answers have some hundred bytes.
const MAX_ANSWER: usize = 64 << 10;
/// How long it may take to put things back when it hears no more of us: a dump; and what may be killed.
const GRACE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(1)];

/// The program.
#[derive(Debug)]
pub struct Criu {
    path: CString,
    env: Vec<CString>,
}

impl Criu {
    /// Looks for it in PATH.
    ///
    /// # Errors
    /// `exec: "criu": executable file not found in $PATH`.
    pub fn find() -> Result<Criu> {
        let dirs = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
        // A relative entry would be a file of the bundle, which is our working directory.
        for dir in std::env::split_paths(&dirs).filter(|dir| dir.is_absolute()) {
            let path = dir.join("criu");
            if access(&path, AccessFlags::X_OK).is_err() || !path.is_file() {
                continue;
            }
            let variable = |name: &str, value: &Path| {
                use std::os::unix::ffi::OsStrExt;
                CString::new([name.as_bytes(), b"=", value.as_os_str().as_bytes()].concat()).ok()
            };
            // It starts programs (tar, ip, nft, iptables-restore) and writes temporary files. What else it reads from an environment
            // changes what it does: HOME a configuration, CRIU_* configurations and plugins.
            let given = ["TMPDIR"].into_iter().filter_map(|name| variable(name, Path::new(&std::env::var_os(name)?)));
            let env = variable("PATH", Path::new(&dirs)).into_iter().chain(given).collect();
            let path = variable("", &path).and_then(|path| path.to_bytes().get(1..).and_then(|p| CString::new(p).ok()));
            return Ok(Criu { path: path.ok_or_else(|| Error::new("a NUL byte in PATH"))?, env });
        }
        Err(Error::new("exec: \"criu\": executable file not found in $PATH")
            .doing("CRIU version check failed")
            .hint("checkpoint and restore take this program: Debian's package criu has it"))
    }

    /// Its version, as it counts: 4.2.1 is 40201.
    ///
    /// # Errors
    /// `CRIU version check failed`, `CRIU version N must be M or higher`.
    pub fn version(&self, oldest: i32) -> Result<i32> {
        let resp = self.ask_once(&Req { kind: Some(kind::VERSION), ..Req::default() });
        let resp = resp.map_err(|e| e.doing("CRIU version check failed"))?;
        let version = resp.version.as_ref().map_or(0, super::rpc::Version::number);
        if version < oldest {
            return Err(Error::new(format!("CRIU version {version} must be {oldest} or higher")));
        }
        Ok(version)
    }

    /// Whether it and the kernel have all of these.
    ///
    /// # Errors
    /// `CRIU feature check failed`, `criu is missing features`.
    pub fn check(&self, wanted: &Features) -> Result<()> {
        let req = Req { kind: Some(kind::FEATURE_CHECK), features: Some(wanted.clone()), ..Req::default() };
        let resp = self.ask_once(&req).map_err(|e| e.doing("CRIU feature check failed"))?;
        let has = resp.features.unwrap_or_default();
        let features =
            [("MemTrack", wanted.mem_track, has.mem_track), ("LazyPages", wanted.lazy_pages, has.lazy_pages)];
        let missing: Vec<&str> = features.iter().filter(|(_, wanted, has)| *wanted && !has).map(|f| f.0).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Error::new(format!("criu is missing features: [{}]", missing.join(" "))))
        }
    }

    fn ask_once(&self, req: &Req) -> Result<Resp> {
        let null = null()?;
        let mut conversation = self.start([null.as_fd(); 3], &[], true)?;
        let resp = conversation.ask(req, |_, _| Ok(()))?;
        conversation.finish()?;
        Ok(resp)
    }

    /// Starts it. `stdio`, none of which is one of ours, becomes its 0-2, and `more` its descriptors from 4 on. `dies_with_us`: see the
    /// module.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        &self,
        stdio: [BorrowedFd<'_>; 3],
        more: &[BorrowedFd<'_>],
        dies_with_us: bool,
    ) -> Result<Conversation> {
        restore_sigchld();
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (ours, its) = pair.map_err(|e| Error::sys("socketpair", e))?;
        let args = [c"criu", c"swrk", c"3"].map(|arg| arg.to_owned());
        let more: Vec<BorrowedFd<'_>> = [its.as_fd()].into_iter().chain(more.iter().copied()).collect();
        let program = Program {
            path: &self.path,
            args: &args,
            env: &self.env,
            cwd: Some(c"/"),
            stdio,
            more: &more,
            pdeathsig: dies_with_us.then_some(libc::SIGKILL),
        };
        let spawned = spawn(&program).map_err(|failure| match failure {
            Failure::Clone(e) => Error::sys("clone", e),
            Failure::Stdio(e) => Error::sys("stdio of criu", e),
            Failure::Chdir(e) => Error::sys("chdir /", e),
            Failure::Exec(e) => Error::sys(format!("fork/exec {}", self.path.to_string_lossy()), e),
        })?;
        Ok(Conversation { socket: ours, process: spawned.pidfd, pid: spawned.pid, dies_with_us, ended: false })
    }
}

/// The null device, for CRIU's 0-2 where they are nobody's.
///
/// # Errors
/// open(2).
pub fn null() -> Result<OwnedFd> {
    let fd = files::open("/dev/null", nix::fcntl::OFlag::O_RDWR).map_err(|e| Error::sys("open /dev/null", e))?;
    // 0-2 are open in every program of ours: it is none of them.
    Ok(OwnedFd::from(File::from(fd)))
}

/// A CRIU that was started. Dropped before its end, it is ended.
#[derive(Debug)]
pub struct Conversation {
    socket: OwnedFd,
    process: PidFd,
    pid: i32,
    dies_with_us: bool,
    ended: bool,
}

impl Conversation {
    /// Its pid: our child, not waited for.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// It, and no other.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// Asks, and answers its notifications until it has the answer. What `notified` fails with ends it.
    ///
    /// # Errors
    /// `criu failed: type T errno N`; it ended, or said what is no message.
    pub fn ask(&mut self, req: &Req, mut notified: impl FnMut(&Notify, Option<OwnedFd>) -> Result<()>) -> Result<Resp> {
        let asked = req.kind.unwrap_or_default();
        self.send(req)?;
        loop {
            let (resp, fd) = self.receive()?;
            if !resp.success {
                // What it says beside that is the first error that it met, which need not be why it failed: its log says more.
                let (kind, errno) = (kind::name(resp.kind), resp.cr_errno);
                return Err(Error::new(format!("criu failed: type {kind} errno {errno}")));
            }
            if resp.kind == asked {
                return Ok(resp);
            }
            let Some(notify) = resp.notify.as_ref().filter(|_| resp.kind == kind::NOTIFY) else {
                return Err(Error::new(format!("unable to parse the response of criu: type {}", resp.kind)));
            };
            if let Err(e) = notified(notify, fd) {
                // It puts back what it has done.
                self.send(&Req { kind: Some(kind::NOTIFY), ..Req::default() }).ok();
                return Err(e);
            }
            self.send(&Req { kind: Some(kind::NOTIFY), notify_success: true, ..Req::default() })?;
        }
    }

    fn send(&self, req: &Req) -> Result<()> {
        match send(self.socket.as_raw_fd(), &req.encode(), MsgFlags::MSG_NOSIGNAL) {
            // What has ended has not answered: that is heard next.
            Ok(_) | Err(Errno::EPIPE) => Ok(()),
            Err(e) => Err(Error::sys("send to criu", e)),
        }
    }

    fn receive(&self) -> Result<(Resp, Option<OwnedFd>)> {
        // One byte more, to tell that a message was cut.
        let mut buffer = vec![0; MAX_ANSWER.saturating_add(1)];
        let (length, fd) = loop {
            match recv_fd(self.socket.as_fd(), &mut buffer) {
                Err(Errno::EINTR) => {}
                // It had not even read what it was asked.
                Err(Errno::ECONNRESET) => break (0, None),
                Err(e) => return Err(Error::sys("receive from criu", e)),
                Ok(got) => break got,
            }
        };
        match length {
            0 => Err(Error::new("criu ended before it had answered")),
            length if length > MAX_ANSWER => Err(Error::new("an answer of criu is too long")),
            length => {
                let resp = Resp::decode(buffer.get(..length).unwrap_or_default());
                Ok((resp.map_err(|e| Error::new(format!("an answer of criu: {e}")))?, fd))
            }
        }
    }

    /// Says that nothing more comes, and waits for its end.
    ///
    /// # Errors
    /// waitid(2).
    pub fn finish(mut self) -> Result<Exit> {
        shutdown(self.socket.as_raw_fd(), Shutdown::Write).ok();
        let exit = self.process.reap().map_err(|e| Error::sys("waitid of criu", e))?;
        self.ended = true;
        Ok(exit)
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        shutdown(self.socket.as_raw_fd(), Shutdown::Both).ok();
        let [dump, other] = GRACE;
        let grace = if self.dies_with_us { other } else { dump };
        if !self.process.wait_exit(PollTimeout::try_from(grace).unwrap_or(PollTimeout::MAX)).unwrap_or(false) {
            // As some do that fail to restore: they wait for who waits for them.
            crate::log::debug(format_args!("criu did not end within {} s, and is killed", grace.as_secs()));
            self.process.send_signal(libc::SIGKILL).ok();
        }
        self.process.reap().ok();
    }
}

/// A request with options.
pub fn request(kind: i32, opts: Opts) -> Req {
    Req { kind: Some(kind), opts: Some(opts), ..Req::default() }
}
