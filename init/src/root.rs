//! The root file system: binding it, and leaving the host's.

use crate::path;
use crate::run::{At, Done, Failure, Init};
use crate::sys::{self, Errno, Fd};
use core::ffi::CStr;
use dunnage_steps::flags::MountFlags;
use dunnage_steps::{Call, Slot};

/// Keeps the root; with `bind` as a mount of its own, which pivot_root(2) asks for.
/// `from`: a handle of it, where we could not get there ourselves.
pub fn root(init: &mut Init<'static>, path: &CStr, from: Slot, bind: bool) -> Done {
    if !bind {
        init.root = Some(path::of_host(path, sys::O_PATH | sys::O_DIRECTORY).at(Call::Openat)?);
        return Ok(());
    }
    let (at, name) = if from == Slot::NONE { (Fd::CWD, path) } else { (init.slot(from)?, c"") };
    let tree = match path::tree_of_host(at, name, true) {
        Err(Errno::ENOSYS) => {
            let flags = MountFlags::BIND.with(MountFlags::REC);
            path::mount_of_host(Some(path), path, None, flags.0).at(Call::Mount)?;
            path::of_host(path, sys::O_PATH | sys::O_DIRECTORY).at(Call::Openat)?
        }
        r => {
            let tree = r.at(Call::OpenTree)?;
            path::attach_root(tree.raw(), at, name).at(Call::MoveMount)?;
            tree
        }
    };
    init.root = Some(tree);
    Ok(())
}

/// Makes a directory the root.
pub fn init_root(init: &mut Init<'static>, from: Slot) -> Done {
    match init.slot(from) {
        Ok(fd) => {
            init.root = Some(Fd::from_raw(fd));
            chroot(init)
        }
        Err(_) => root(init, c"/", Slot::NONE, false),
    }
}

/// Changes the propagation of the mount that `path` is on. `from`: a handle of its top.
pub fn private_parent(init: &Init<'_>, path: &CStr, from: Slot, flags: MountFlags) -> Done {
    if from != Slot::NONE {
        return sys::mount_setattr(init.slot(from)?, false, 0, 0, flags.0).at(Call::MountSetattr);
    }
    let mut fd = path::of_host(path, sys::O_PATH | sys::O_DIRECTORY).at(Call::Openat)?;
    while !sys::statx(fd.raw(), c"").at(Call::Stat)?.mount_root {
        fd = path::above(fd.raw()).at(Call::Openat)?;
    }
    sys::mount_setattr(fd.raw(), false, 0, 0, flags.0).at(Call::MountSetattr)
}

/// Takes what masks need of the host, before it is left: its null device.
fn keep_null(init: &mut Init<'static>) -> Done {
    let null = match path::tree_of_host(Fd::CWD, c"/dev/null", false) {
        // An old kernel: the container's own will have to do.
        Err(Errno::ENOSYS) => return Ok(()),
        r => r.at(Call::OpenTree)?,
    };
    let stat = sys::statx(null.raw(), c"").at(Call::Stat)?;
    if !stat.is(sys::S_IFCHR) || stat.rdev != (1, 3) {
        return Err(Failure::found(Call::NotANull));
    }
    init.null = Some(null);
    Ok(())
}

/// pivot_root(2) with `.` twice: the old root is stacked on the new one, and taken off by the working directory, so that no
/// directory for it is needed.
pub fn pivot(init: &mut Init<'static>, keep: bool, slave: bool) -> Done {
    if keep {
        keep_null(init)?;
    }
    sys::fchdir(init.root()?).at(Call::Fchdir)?;
    sys::pivot_root(c".", c".").at(Call::PivotRoot)?;
    if slave {
        // Shared with the host: without this the host would lose its mounts with us.
        path::mount_here(None, None, MountFlags::SLAVE.with(MountFlags::REC).0, None).at(Call::Mount)?;
    }
    path::umount_of_host(c".").at(Call::Umount)?;
    path::chdir_as_user(c"/").at(Call::Chdir)
}

/// Moves the root to `/`, where pivot_root(2) cannot (a root in RAM).
pub fn move_root(init: &mut Init<'static>, keep: bool) -> Done {
    if keep {
        keep_null(init)?;
    }
    let root = init.root()?;
    sys::fchdir(root).at(Call::Fchdir)?;
    path::mount_of_host(Some(c"."), c"/", None, MountFlags::MOVE.0).at(Call::Mount)?;
    chroot(init)
}

/// Unmounts or covers a file system of the host that would stay reachable below the moved root.
pub fn cover(path: &CStr) -> Done {
    match path::umount_of_host(path) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(Errno::EINVAL | Errno::EPERM) => {
            path::mount_of_host(Some(c"tmpfs"), path, Some(c"tmpfs"), MountFlags::RDONLY.0).at(Call::Mount)
        }
        Err(errno) => Err(errno).at(Call::Umount),
    }
}

/// Makes the root the process's root.
pub fn chroot(init: &mut Init<'static>) -> Done {
    sys::fchdir(init.root()?).at(Call::Fchdir)?;
    path::chroot_here().at(Call::Chroot)
}
