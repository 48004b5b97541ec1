//! Our end of the conversation with `dunnage-init`: one packet a message.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use dunnage_steps::{Barrier, Message, Say};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};

use crate::error::{Errno, Error, Result};
use crate::sys::descriptors::recv_fd;

/// Our end.
#[derive(Debug)]
pub struct Sync {
    socket: OwnedFd,
}

/// What was heard.
#[derive(Debug)]
pub struct Heard {
    /// The fixed part.
    pub message: Message,
    /// The text behind it.
    pub text: String,
    /// The descriptor that came along.
    pub fd: Option<OwnedFd>,
}

impl Sync {
    /// Ours, and the child's.
    pub fn pair() -> Result<(Sync, OwnedFd)> {
        let (ours, childs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(|e| Error::sys("socketpair", e))?;
        Ok((Sync { socket: ours }, childs))
    }

    /// Tells the child that a barrier is reached, with descriptors. A child that has gone says why itself, or not at all.
    pub fn tell(&self, barrier: Barrier, fds: &[RawFd]) -> Result<()> {
        let bytes = Message::reached(barrier, 0).to_bytes();
        let rights = [ControlMessage::ScmRights(fds)];
        let control = if fds.is_empty() { [].as_slice() } else { rights.as_slice() };
        let iov = [std::io::IoSlice::new(&bytes)];
        match sendmsg::<()>(self.socket.as_raw_fd(), &iov, control, MsgFlags::MSG_NOSIGNAL, None) {
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(e) => Err(Error::sys(format!("tell the container {}", barrier.name()), e)),
        }
    }

    /// The next message; none if the child has ended, or has become the user's program.
    pub fn hear(&self) -> Result<Option<Heard>> {
        let mut packet = [0u8; Message::SIZE + Message::TEXT];
        let (n, fd) = loop {
            match recv_fd(self.socket.as_fd(), &mut packet) {
                Ok(received) => break received,
                // ECONNRESET, once: it has ended without reading what we told it. What it has said comes after that.
                Err(Errno::EINTR | Errno::ECONNRESET) => continue,
                Err(e) => return Err(Error::sys("recvmsg", e)),
            }
        };
        match packet.get(..n).and_then(Message::from_bytes) {
            Some((message, text)) => Ok(Some(Heard { message, text: String::from_utf8_lossy(text).into_owned(), fd })),
            None if n == 0 => Ok(None),
            None => Err(Error::new("a message from dunnage-init is garbled")),
        }
    }

    /// Waits for one barrier. Warnings on the way go to the log.
    pub fn wait(&self, barrier: Barrier) -> std::result::Result<Heard, Trouble> {
        loop {
            match self.hear()? {
                Some(heard) => match heard.message.say {
                    Say::Reached(reached) if reached == barrier => return Ok(heard),
                    Say::Reached(other) => {
                        let text = format!("waited for {}, heard {}", barrier.name(), other.name());
                        return Err(Error::new(text).into());
                    }
                    Say::Failed => return Err(Trouble::Reported(heard)),
                    Say::Warning => super::failure::warn(&heard),
                },
                None => return Err(Trouble::Ended),
            }
        }
    }

    /// The same of one process, even if others that it has made hold the socket, too.
    pub fn wait_for(&self, barrier: Barrier, process: BorrowedFd<'_>) -> std::result::Result<Heard, Trouble> {
        loop {
            // In this order: what it has said before its end is there when its end is seen.
            let mut fds = [process, self.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                Err(e) => return Err(Error::sys("poll dunnage-init", e).into()),
                Ok(_) => (),
            }
            return match fds.map(|fd| fd.any() == Some(true)) {
                [true, false] => Err(Trouble::Ended),
                _ => self.wait(barrier),
            };
        }
    }

    /// Whether the child has nothing more to say, in so many milliseconds: it has become the user's program, or ended.
    pub fn closes_within(&self, milliseconds: u16) -> bool {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::empty())];
        matches!(poll(&mut fds, milliseconds), Ok(1))
    }

    /// How a child came to its end that has ended, or is about to.
    pub fn last_words(&self) -> Option<Trouble> {
        loop {
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            if !matches!(poll(&mut fds, LAST_WORDS), Ok(1)) {
                return None;
            }
            match self.hear().ok()? {
                Some(heard) if heard.message.say == Say::Failed => return Some(Trouble::Reported(heard)),
                Some(_) => {}
                None => return Some(Trouble::Ended),
            }
        }
    }
}

/// Milliseconds. One that has ended says it at once.
const LAST_WORDS: u16 = 1000;

impl AsFd for Sync {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Why a barrier was not reached.
#[derive(Debug)]
pub enum Trouble {
    /// The child said which step failed.
    Reported(Heard),
    /// It ended without a word.
    Ended,
    /// Something of ours.
    Ours(Error),
}

impl From<Error> for Trouble {
    fn from(e: Error) -> Self {
        Trouble::Ours(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_failure_behind_what_was_reached() {
        let say = |childs: &OwnedFd, message: Message| nix::unistd::write(childs, &message.to_bytes()).unwrap();
        let (ours, childs) = Sync::pair().unwrap();
        assert!(ours.last_words().is_none(), "it lives, and says nothing");
        say(&childs, Message::reached(Barrier::Mounted, 3));
        say(&childs, Message { say: Say::Failed, step: 7, call: 1, errno: 2, value: 0 });
        drop(childs);
        assert!(matches!(ours.last_words(), Some(Trouble::Reported(heard)) if heard.message.step == 7));
        assert!(matches!(ours.last_words(), Some(Trouble::Ended)));
    }

    /// The socket has no end as long as somebody else holds it.
    #[test]
    fn the_end_of_one_process_is_seen_while_another_holds_the_socket() {
        let (ours, childs) = Sync::pair().unwrap();
        let mut child = std::process::Command::new("/bin/sleep").arg("100").spawn().unwrap();
        let pidfd = crate::sys::pidfd::PidFd::open(child.id().try_into().unwrap()).unwrap();
        nix::unistd::write(&childs, &Message::reached(Barrier::Forked, 0).to_bytes()).unwrap();
        child.kill().unwrap();
        assert!(pidfd.wait_exit(PollTimeout::NONE).unwrap());
        assert!(ours.wait_for(Barrier::Forked, pidfd.as_fd()).is_ok(), "what it said before");
        assert!(matches!(ours.wait_for(Barrier::Forked, pidfd.as_fd()), Err(Trouble::Ended)));
        child.wait().unwrap();
    }

    /// What it has not read comes back as an error, before what it has said.
    #[test]
    fn a_child_that_does_not_listen_is_heard() {
        let (ours, childs) = Sync::pair().unwrap();
        ours.tell(Barrier::Entered, &[]).unwrap();
        let failed = Message { say: Say::Failed, step: 7, call: 1, errno: 2, value: 0 };
        nix::unistd::write(&childs, &failed.to_bytes()).unwrap();
        drop(childs);
        assert!(matches!(ours.wait(Barrier::Ready), Err(Trouble::Reported(heard)) if heard.message.step == 7));
        assert!(matches!(ours.wait(Barrier::Ready), Err(Trouble::Ended)));
    }
}
