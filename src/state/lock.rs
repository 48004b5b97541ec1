//! One command at a time that changes the state of a container: flock(2) on its directory. The same lock is held by who makes
//! the container, until it is one ([`super::Creating`]); nobody who only looks, signals or deletes waits for it.

use std::time::{Duration, Instant};

use super::dir::ContainerDir;
use crate::error::{Error, Result};
use crate::sys::flock;

/// Held until it is dropped, or until this process ends.
#[derive(Debug)]
pub struct Lock<'a>(&'a ContainerDir);

impl ContainerDir {
    /// False if somebody else holds it. Never waits.
    pub(super) fn try_lock(&self) -> Result<bool> {
        flock::try_lock(self).map_err(|e| Error::sys(format!("flock {}", self.id), e))
    }

    /// Waits for the lock, at most for `patience`: its holder may hang in the kernel.
    pub fn lock(&self, patience: Duration) -> Result<Lock<'_>> {
        let deadline = Instant::now().checked_add(patience);
        while !self.try_lock()? {
            if deadline.is_none_or(|end| Instant::now() >= end) {
                return Err(Error::new(format!("container {} is being changed by another command", self.id)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Lock(self))
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // It can't fail on an open descriptor, and ends with the process at the latest.
        let _ = flock::unlock(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Root;
    use super::*;

    #[test]
    fn one_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("c")).unwrap();
        let open = || Root::open(root.path()).unwrap().into_container("c").unwrap();
        let (one, two) = (open(), open());
        let held = one.lock(Duration::ZERO).unwrap();
        let refused = two.lock(Duration::from_millis(20)).unwrap_err().to_string();
        assert_eq!(refused, "container c is being changed by another command");
        drop(held);
        drop(two.lock(Duration::ZERO).unwrap());
    }
}
