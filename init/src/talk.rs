//! The sync socket: barriers, failures, warnings. Each message is one packet.

use crate::run::{At, Failure, Init};
use crate::sys::{self, Errno, Fd};
use dunnage_steps::{Barrier, Call, Message, Say, Slot};

/// Tells the parent that a barrier is reached. By write(2): when a seccomp filter is loaded already, every profile that works
/// with runc allows it.
pub fn tell(init: &Init<'_>, barrier: Barrier, value: i64) -> Result<(), Failure> {
    let message = Message { value, ..Message::reached(barrier, init.step) };
    sys::write(init.sync, &message.to_bytes()).at(Call::Send).map(|_| ())
}

/// The same with a descriptor.
pub fn tell_with(init: &Init<'_>, barrier: Barrier, file: &Fd) -> Result<(), Failure> {
    sys::send_fd(init.sync, &Message::reached(barrier, init.step).to_bytes(), file.raw()).at(Call::Send)
}

/// Waits until the parent reaches a barrier; descriptors that come along take the places from `first` on.
///
/// When the parent is gone the container must not come to life: nothing on disk would know of it.
pub fn wait(init: &mut Init<'_>, barrier: Barrier, first: Slot) -> Result<(), Failure> {
    let mut packet = [0; Message::SIZE];
    let n = if first == Slot::NONE {
        sys::read(init.sync, &mut packet).at(Call::Recv)?
    } else {
        let mut place = first;
        let slots = &mut init.slots;
        sys::recv_fds(init.sync, &mut packet, |fd| {
            if let Some(slot) = usize::try_from(place.0).ok().and_then(|i| slots.get_mut(i)) {
                *slot = fd;
            }
            place = Slot(place.0.saturating_add(1));
        })
        .at(Call::Recv)?
    };
    if n == 0 {
        sys::exit(255);
    }
    match packet.get(..n).and_then(Message::from_bytes) {
        Some((Message { say: Say::Reached(reached), .. }, _)) if reached == barrier => Ok(()),
        _ => Err(Failure::of(Call::Recv, Errno::EPROTO)),
    }
}

/// Sends a failure or a warning with as much text as a message takes.
pub fn report(init: &Init<'_>, say: Say, failure: &Failure) {
    let message =
        Message { say, step: init.step, call: failure.call as u32, errno: failure.errno.0, value: failure.value };
    let mut packet = [0; Message::SIZE + Message::TEXT];
    let text = init.detail.as_bytes();
    let len = text.len().min(Message::TEXT);
    let (head, tail) = packet.split_at_mut(Message::SIZE);
    head.copy_from_slice(&message.to_bytes());
    if let (Some(to), Some(from)) = (tail.get_mut(..len), text.get(..len)) {
        to.copy_from_slice(from);
    }
    if let Some(bytes) = packet.get(..Message::SIZE.saturating_add(len)) {
        let _ = sys::write(init.sync, bytes);
    }
}
