//! Landlock: the rights over files that the process keeps, as rules about files that are opened here, inside the root.

use crate::path;
use crate::run::{At, Done, Init};
use crate::sys::{self, Errno, Fd};
use core::ffi::CStr;
use dunnage_steps::flags::FileAccess;
use dunnage_steps::wire::Strs;
use dunnage_steps::{Call, Slot};

const READ: FileAccess = FileAccess::EXECUTE.with(FileAccess::READ_FILE).with(FileAccess::READ_DIR);
/// Of what is not a directory; with any other right the kernel refuses a rule about it.
const OF_A_FILE: FileAccess = FileAccess::EXECUTE.with(OF_A_DEVICE);
const OF_A_DEVICE: FileAccess =
    FileAccess::READ_FILE.with(FileAccess::WRITE_FILE).with(FileAccess::TRUNCATE).with(FileAccess::IOCTL_DEV);

/// What every program may take for granted, and what holds nothing.
const DEVICES: [(&CStr, (u32, u32)); 6] = [
    (c"/dev/null", (1, 3)),
    (c"/dev/zero", (1, 5)),
    (c"/dev/full", (1, 7)),
    (c"/dev/random", (1, 8)),
    (c"/dev/urandom", (1, 9)),
    (c"/dev/tty", (5, 0)),
];

/// The fields of [`dunnage_steps::Step::Landlock`].
pub struct Kept<'a> {
    pub handled: FileAccess,
    pub read: Strs<'a>,
    pub write: Strs<'a>,
    pub optional: bool,
    pub fifo: Slot,
}

/// Restricts this process and all that it becomes or starts.
pub fn landlock(init: &mut Init<'_>, kept: &Kept<'_>) -> Done {
    let Kept { handled, read, write, optional, fifo } = *kept;
    let ruleset = sys::landlock_create_ruleset(handled.0).at(Call::LandlockCreateRuleset)?;
    let paths = write.map(|path| (path, handled)).chain(read.map(|path| (path, READ)));
    for (path, allowed) in paths {
        init.about(path);
        // A handle: nothing of a device or a fifo is woken by it.
        let file = match path::open(init, path, 0)? {
            Err(Errno::ENOENT | Errno::ENOTDIR) if optional => continue,
            r => r.at(Call::Open)?,
        };
        keep(&ruleset, file.raw(), allowed).at(Call::LandlockAddRule)?;
        file.close();
    }
    for (path, number) in DEVICES {
        let Ok(file) = path::open(init, path, 0)? else { continue };
        // An image may hold anything under that name.
        if sys::statx(file.raw(), c"").is_ok_and(|s| s.is(sys::S_IFCHR) && s.rdev == number) {
            keep(&ruleset, file.raw(), OF_A_DEVICE.and(handled)).at(Call::LandlockAddRule)?;
        }
        file.close();
    }
    if fifo != Slot::NONE {
        // It lies on the host, under no path that the container has.
        keep(&ruleset, init.slot(fifo)?, FileAccess::WRITE_FILE).at(Call::LandlockAddRule)?;
    }
    init.detail.clear();
    sys::landlock_restrict_self(ruleset.raw()).at(Call::LandlockRestrictSelf)?;
    init.restricted = true;
    Ok(())
}

fn keep(ruleset: &Fd, file: i32, allowed: FileAccess) -> sys::Result<()> {
    match sys::landlock_add_rule(ruleset.raw(), allowed.0, file) {
        Err(Errno::EINVAL) => sys::landlock_add_rule(ruleset.raw(), allowed.and(OF_A_FILE).0, file),
        r => r,
    }
}
