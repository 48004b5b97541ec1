//! Terminals and standard descriptors.

use crate::path::{self, Make};
use crate::run::{At, Done, Failure, Init};
use crate::sys::{self, Errno};
use crate::talk;
use dunnage_steps::{Barrier, Call};

/// A new pseudoterminal of the container's devpts becomes standard input, output and error.
pub fn console(init: &mut Init<'static>, uid: u32, rows: u32, columns: u32, mount: bool) -> Done {
    // Without a devpts of its own, the name is the image's, and could be any device: a handle opens none.
    let directory = path::open(init, c"/dev/pts", sys::O_DIRECTORY)?.at(Call::Open)?;
    if sys::fstatfs(directory.raw()).at(Call::Statfs)? != sys::DEVPTS_SUPER_MAGIC {
        return Err(Failure::found(Call::NotAPty));
    }
    let master = path::child(directory.raw(), c"ptmx", sys::O_RDWR, sys::RESOLVE_NO_XDEV).at(Call::Open)?;
    sys::ioctl(master.raw(), sys::TIOCSPTLCK, &0i32).at(Call::Ioctl)?;
    let slave = sys::ioctl_gptpeer(master.raw()).at(Call::Ioctl)?;
    match path::chown(slave.raw(), c"", uid, u32::MAX) {
        Err(Errno::EPERM | Errno::EROFS | Errno::EINVAL) => (),
        r => r.at(Call::Chown)?,
    }
    if rows != 0 && columns != 0 {
        let short = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        sys::ioctl(master.raw(), sys::TIOCSWINSZ, &[short(rows), short(columns), 0, 0]).at(Call::Ioctl)?;
    }
    if mount {
        let tree = path::copy_of(slave.raw(), false).at(Call::OpenTree)?;
        let target = path::destination(init, c"/dev/console", || Ok(Make::File))?;
        path::attach(tree.raw(), target.fd.raw()).at(Call::MoveMount)?;
    }
    talk::tell_with(init, Barrier::Console, &master)?;
    (0..3).try_for_each(|fd| sys::dup3(slave.raw(), fd)).at(Call::Dup)
}

/// A session of its own; its controlling terminal is standard input, if asked for.
pub fn session(terminal: bool) -> Done {
    sys::setsid().at(Call::Setsid)?;
    if terminal { sys::ioctl(0, sys::TIOCSCTTY, &0i32).at(Call::Ioctl) } else { Ok(()) }
}

/// Replaces standard descriptors that are the host's null device by the container's.
pub fn stdio_null(init: &mut Init<'static>, descriptors: u32) -> Done {
    let null = match path::open_file(init, c"/dev/null", sys::O_RDWR | sys::O_NONBLOCK)? {
        // No /dev in this container: a null device does not tell of where it is.
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => {
            init.about(c"/dev/null");
            return Err(errno).at(Call::Open);
        }
        Ok(null) => null,
    };
    let stat = sys::statx(null.raw(), c"").at(Call::Stat)?;
    if !stat.is(sys::S_IFCHR) || stat.rdev != (1, 3) {
        return Err(Failure::found(Call::NotANull));
    }
    for fd in 0..3 {
        if descriptors >> fd & 1 == 1 {
            sys::dup3(null.raw(), fd).at(Call::Dup)?;
        }
    }
    Ok(())
}

/// What belongs to nobody of this namespace, or cannot change hands, is usable all the same. Devices are not the process's.
pub fn stdio_owner(uid: u32) -> Done {
    for fd in 0..3 {
        // Closed by the caller.
        let Ok(stat) = sys::statx(fd, c"") else { continue };
        if stat.uid == uid || stat.is(sys::S_IFCHR) {
            continue;
        }
        match path::chown(fd, c"", uid, u32::MAX) {
            Ok(()) | Err(Errno::EPERM | Errno::EINVAL | Errno::EROFS) => {}
            Err(errno) => return Err(errno).at(Call::Chown),
        }
    }
    Ok(())
}
