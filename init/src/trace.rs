//! When each step ends, for whoever asked for it. A store into a shared mapping, which goes with execve(2).

use crate::run::{At, Done, Init};
use crate::sys;
use core::sync::atomic::{AtomicU64, Ordering};
use dunnage_steps::{Call, Slot, ticks};

/// The numbers of [`ticks`].
pub struct Ticks(&'static [AtomicU64]);

impl Ticks {
    /// A step has ended, now.
    pub fn end(&self, step: u32) {
        let at = usize::try_from(step).ok().and_then(|n| n.checked_add(ticks::ENDS));
        self.set(at.unwrap_or(usize::MAX), sys::counter());
    }

    fn set(&self, at: usize, value: u64) {
        if let Some(word) = self.0.get(at) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

/// From here on. The file is not needed any more: nothing of it remains that who is in the container could open.
pub fn begin(init: &mut Init<'_>, into: Slot, steps: u32) -> Done {
    let begin = sys::counter();
    let file = init.slot(into)?;
    let words = sys::map_words(file, ticks::size(steps)).at(Call::Plan)?;
    sys::close(file);
    if let Some(slot) = usize::try_from(into.0).ok().and_then(|i| init.slots.get_mut(i)) {
        *slot = -1;
    }
    let ticks = Ticks(words);
    ticks.set(ticks::BEGIN, begin);
    init.ticks = Some(ticks);
    Ok(())
}
