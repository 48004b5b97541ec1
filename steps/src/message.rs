//! The conversation between the launcher and `dunnage-init` over one `SOCK_SEQPACKET` pair: each message is one packet.

/// A point that one half reaches only after the other. The direction is part of the meaning, so that
/// [a plan can be checked](super) without running it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Barrier {
    /// To the child: it is in its cgroup, and what only the host may set on it (oom_score_adj) is set. May carry descriptors of
    /// mount sources.
    Entered = 1,
    /// To the parent: the user namespace exists, its maps can be written.
    UserNamespace,
    /// To the child: the id maps are written.
    IdMaps,
    /// To the parent, with a pidfd: a process took over; the one that began the plan ends.
    Forked,
    /// To the child that took over: the parent knows it.
    Adopted,
    /// To the parent: it is in its network namespace, devices may be moved into it.
    Networked,
    /// To the child: they are there.
    DevicesMoved,
    /// To the parent: mounts and /dev are made, prestart and createRuntime hooks may run.
    Mounted,
    /// To the child: these hooks have run.
    HooksRun,
    /// To the parent, with the master of the console.
    Console,
    /// To the parent: all that needs it is done; state may be saved.
    Ready,
    /// To the child: state is on disk, go on to the user's program.
    Go,
    /// To the parent: the filter is loaded, [`Message::value`] is the listener's descriptor number in the child.
    Listener,
    /// To the child: the agent has the listener.
    Listening,
    /// To the parent: nothing but the exec fifo stands between here and the user's program.
    Done,
}

impl Barrier {
    const ALL: [Barrier; 15] = [
        Barrier::Entered,
        Barrier::UserNamespace,
        Barrier::IdMaps,
        Barrier::Forked,
        Barrier::Adopted,
        Barrier::Networked,
        Barrier::DevicesMoved,
        Barrier::Mounted,
        Barrier::HooksRun,
        Barrier::Console,
        Barrier::Ready,
        Barrier::Go,
        Barrier::Listener,
        Barrier::Listening,
        Barrier::Done,
    ];

    /// The barrier with this number.
    pub fn from_u32(n: u32) -> Option<Barrier> {
        Barrier::ALL.into_iter().find(|b| *b as u32 == n)
    }

    /// Its name in plans and errors.
    pub fn name(self) -> &'static str {
        match self {
            Barrier::Entered => "entered",
            Barrier::UserNamespace => "user-namespace",
            Barrier::IdMaps => "id-maps",
            Barrier::Forked => "forked",
            Barrier::Adopted => "adopted",
            Barrier::Networked => "networked",
            Barrier::DevicesMoved => "devices-moved",
            Barrier::Mounted => "mounted",
            Barrier::HooksRun => "hooks-run",
            Barrier::Console => "console",
            Barrier::Ready => "ready",
            Barrier::Go => "go",
            Barrier::Listener => "listener",
            Barrier::Listening => "listening",
            Barrier::Done => "done",
        }
    }

    /// True for the barriers that the child reaches and the parent waits for.
    pub fn is_childs(self) -> bool {
        matches!(
            self,
            Barrier::UserNamespace
                | Barrier::Forked
                | Barrier::Networked
                | Barrier::Mounted
                | Barrier::Console
                | Barrier::Ready
                | Barrier::Listener
                | Barrier::Done
        )
    }
}

impl crate::wire::Get<'_> for Barrier {
    fn get(from: &mut crate::wire::Reader<'_>) -> Option<Self> {
        Barrier::from_u32(u32::get(from)?)
    }
}

#[cfg(feature = "owned")]
impl crate::wire::Put for Barrier {
    fn put(&self, to: &mut Vec<u8>) {
        crate::wire::Put::put(&(*self as u32), to);
    }
}

/// What a message says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Say {
    /// A barrier is reached.
    Reached(Barrier),
    /// Step `step` failed; the child ends.
    Failed,
    /// Something about step `step` did not work, and the container is made nevertheless.
    Warning,
}

/// One packet. `text` follows the fixed part: at most [`Message::TEXT`] bytes of detail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// What it says.
    pub say: Say,
    /// Index of the step in the child's list.
    pub step: u32,
    /// The call that failed (see [`crate::Call`]), or 0.
    pub call: u32,
    /// Its errno, or 0.
    pub errno: i32,
    /// A number that belongs to the barrier, or a cause that belongs to the failure.
    pub value: i64,
}

impl Message {
    /// Bytes of the fixed part.
    pub const SIZE: usize = 32;
    /// The most bytes of text that follow it.
    pub const TEXT: usize = 1024;

    /// A barrier without more to say.
    pub fn reached(barrier: Barrier, step: u32) -> Message {
        Message { say: Say::Reached(barrier), step, call: 0, errno: 0, value: 0 }
    }

    /// The fixed part as bytes.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let (kind, barrier) = match self.say {
            Say::Reached(b) => (1u32, b as u32),
            Say::Failed => (2, 0),
            Say::Warning => (3, 0),
        };
        let mut out = [0; Self::SIZE];
        let words = [kind, barrier, self.step, self.call, self.errno.cast_unsigned(), 0];
        let (head, tail) = out.split_at_mut(24);
        for (to, word) in head.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        tail.copy_from_slice(&self.value.to_ne_bytes());
        out
    }

    /// The message at the front of a packet, and the text behind it.
    pub fn from_bytes(packet: &[u8]) -> Option<(Message, &[u8])> {
        use crate::wire::{Get, Reader};
        let (fixed, text) = packet.split_at_checked(Self::SIZE)?;
        let mut from = Reader::new(fixed);
        let (kind, barrier) = (u32::get(&mut from)?, u32::get(&mut from)?);
        let say = match kind {
            1 => Say::Reached(Barrier::from_u32(barrier)?),
            2 => Say::Failed,
            3 => Say::Warning,
            _ => return None,
        };
        let (step, call, errno) = (u32::get(&mut from)?, u32::get(&mut from)?, i32::get(&mut from)?);
        u32::get(&mut from)?;
        Some((Message { say, step, call, errno, value: i64::get(&mut from)? }, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_wire() {
        for say in [Say::Failed, Say::Warning].into_iter().chain(Barrier::ALL.map(Say::Reached)) {
            let m = Message { say, step: 7, call: 3, errno: -5, value: i64::MIN };
            let mut packet = m.to_bytes().to_vec();
            packet.extend_from_slice(b"why");
            assert_eq!(Message::from_bytes(&packet), Some((m, &b"why"[..])));
        }
        assert_eq!(Message::from_bytes(&[0; 31]), None);
        assert_eq!(Message::from_bytes(&[0; 32]), None);
    }

    #[test]
    fn names_and_numbers_are_distinct() {
        for (i, a) in Barrier::ALL.iter().enumerate() {
            assert_eq!(Barrier::from_u32(*a as u32), Some(*a));
            for b in &Barrier::ALL[i + 1..] {
                assert_ne!(a.name(), b.name());
            }
        }
    }
}
