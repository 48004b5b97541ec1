//! The annotation `io.dunnage.landlock` as a step: which rights the kernel's Landlock governs, and whether that is enough.

use dunnage_steps::flags::FileAccess;
use dunnage_steps::{Slot, Step};

use super::facts::Facts;
use super::{Plan, cs};
use crate::error::{Error, Result};
use crate::spec::landlock::{ANNOTATION, Landlock};

/// With less, what may be read only could be truncated (LANDLOCK_ACCESS_FS_TRUNCATE).
pub const MIN_ABI: u32 = 3;
/// From here on it governs ioctl(2) on devices.
pub const IOCTL_ABI: u32 = 5;

/// The rights that this ABI governs, of those that we know.
fn handled(abi: u32) -> FileAccess {
    let first = FileAccess::MAKE_SYM.0 << 1;
    let third = FileAccess(first.saturating_sub(1)).with(FileAccess::REFER).with(FileAccess::TRUNCATE);
    if abi < IOCTL_ABI { third } else { third.with(FileAccess::IOCTL_DEV) }
}

/// Who is restricted.
#[derive(Debug, Clone, Copy)]
pub enum Who {
    /// The container's first process; with a fifo if it waits at one.
    Init(Option<Slot>),
    /// One that joins it.
    Exec,
}

/// Restricts the process, if that was asked for.
pub fn restrict(p: &mut Plan, asked: Option<&Landlock>, facts: &Facts, who: Who) -> Result<()> {
    let Some(Landlock { read, write }) = asked else { return Ok(()) };
    // The annotation is not in process.json. What the container has removed since is no misspelling: then less is left.
    let (field, optional, fifo) = match who {
        Who::Init(fifo) => ("/annotations/io.dunnage.landlock", false, fifo.unwrap_or(Slot::NONE)),
        Who::Exec => ("", true, Slot::NONE),
    };
    insufficient(facts.landlock).map_or(Ok(()), |e| Err(e.field(field)))?;
    let (read, write) = (cs(read, field)?, cs(write, field)?);
    p.child(Step::Landlock { handled: handled(facts.landlock), read, write, optional, fifo }, field);
    Ok(())
}

/// Why the annotation cannot be enforced here: then there is no container, rather than one without it.
pub fn insufficient(abi: u32) -> Option<Error> {
    let why = match abi {
        0 => "this kernel has no Landlock, or it is switched off".to_owned(),
        1..MIN_ABI => format!("the Landlock of this kernel (ABI {abi}) cannot keep a file from being truncated"),
        _ => return None,
    };
    let needed =
        "Linux 6.2 with CONFIG_SECURITY_LANDLOCK is needed, and landlock among its security modules (lsm= at boot)";
    Some(Error::new(format!("annotation {ANNOTATION}: {why}")).hint(needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_and_abi() {
        for (abi, rights) in [(3, 0x7fff), (4, 0x7fff), (5, 0xffff), (7, 0xffff), (99, 0xffff)] {
            assert_eq!(handled(abi), FileAccess(rights));
            assert!(insufficient(abi).is_none());
        }
        for (abi, why) in [(0, "has no Landlock"), (1, "(ABI 1) cannot keep"), (2, "(ABI 2) cannot keep")] {
            let e = insufficient(abi).unwrap().to_string();
            assert!(
                e.starts_with("annotation io.dunnage.landlock: ") && e.contains(why) && e.contains("Linux 6.2"),
                "{e}"
            );
        }
    }
}
