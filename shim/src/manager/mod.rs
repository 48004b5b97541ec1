//! The modes in which we are executed for a moment: `start`, `delete`, `-info`, `-v`. The daemon waits for each of them.

pub mod delete;
pub mod info;
pub mod socket;
pub mod start;
pub mod upgrade;

use std::io::Read;

use dunnage::error::{Error, Result};

/// The most that the daemon hands to us, in bytes.
const MAX_INPUT: u64 = 10 << 20;

/// All of stdin.
///
/// # Errors
/// read(2); it has no end below ten megabytes.
pub fn input() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_INPUT.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|e| Error::io("read stdin", &e))?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_INPUT);
    if fits { Ok(bytes) } else { Err(Error::new(format!("stdin has more than {MAX_INPUT} bytes"))) }
}

/// Writes the answer.
///
/// # Errors
/// write(2).
pub fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    std::io::Write::write_all(&mut stdout, bytes)
        .and_then(|()| std::io::Write::flush(&mut stdout))
        .map_err(|e| Error::io("write stdout", &e))
}
