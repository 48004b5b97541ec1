//! Entering namespaces, and the process that goes on in them.

use crate::path;
use crate::run::{At, Done, Failure, Init};
use crate::sys::{self, Cloned, Errno, Fd};
use crate::talk;
use core::ffi::CStr;
use dunnage_steps::flags::{Attr, Namespaces};
use dunnage_steps::{Barrier, Call, Slot};

/// Enters cgroups of version 1: `0` is "this thread", for which the kernel (since 5.5) does without the lock and the grace
/// period that moving another process costs. A place without a descriptor is a hierarchy that we go without.
pub fn enter_cgroups(init: &mut Init<'_>, first: Slot, count: u32) -> Done {
    for i in 0..count {
        if let Ok(door) = init.slot(Slot(first.0.saturating_add(i))) {
            sys::write(door, b"0").at(Call::Write)?;
            sys::close(door);
        }
    }
    Ok(())
}

/// Joins the namespaces in a place.
pub fn join(init: &mut Init<'_>, from: Slot, kinds: Namespaces, retry: bool) -> Done {
    let bit = 1u64.checked_shl(from.0).unwrap_or(0);
    if init.joined & bit != 0 {
        return Ok(());
    }
    match sys::setns(init.slot(from)?, kinds.0) {
        // Perhaps it belongs to the user namespace that is joined next.
        Err(Errno::EPERM) if retry => Ok(()),
        r => {
            init.joined |= bit;
            r.at(Call::Setns)
        }
    }
}

/// Becomes root of the user namespace: its maps are written by now.
pub fn become_root() -> Done {
    sys::setresgid(0).at(Call::Setresgid)?;
    sys::setresuid(0).at(Call::Setresuid)
}

/// Hands over to a sister.
pub fn fork(init: &mut Init<'_>) -> Done {
    match sys::fork(sys::CLONE_PARENT).at(Call::Clone)? {
        Cloned::Child => Ok(()),
        Cloned::Parent { pidfd } => {
            talk::tell_with(init, Barrier::Forked, &pidfd)?;
            sys::exit(0)
        }
    }
}

/// A private procfs. Nothing that a container mounts over /proc can stand between it and us: CVE-2019-16884, CVE-2025-52881.
pub fn proc(init: &mut Init<'_>, full: bool) -> Done {
    init.proc = Some(match private_proc(full) {
        Ok(fd) => fd,
        // Not the owner of the pid namespace, or an old kernel: the host's, as long as we are in its root.
        Err(_) => {
            let fd = path::of_host(c"/proc", sys::O_PATH | sys::O_DIRECTORY).at(Call::Openat)?;
            if sys::fstatfs(fd.raw()).at(Call::Statfs)? != sys::PROC_SUPER_MAGIC {
                return Err(Failure::found(Call::NotProcType));
            }
            fd
        }
    });
    Ok(())
}

fn private_proc(full: bool) -> sys::Result<Fd> {
    let context = sys::fsopen(c"proc")?;
    if !full {
        sys::fsconfig_set_string(context.raw(), c"subset", c"pid")?;
    }
    sys::fsconfig_create(context.raw())?;
    sys::fsmount(context.raw(), Attr::NOSUID.with(Attr::NODEV).with(Attr::NOEXEC).0)
}

/// A file of the private procfs.
pub fn proc_file(init: &Init<'_>, path: &CStr, flags: u64) -> Result<sys::Result<Fd>, Failure> {
    let proc = init.proc.as_ref().map(Fd::raw).ok_or(Failure::found(Call::Plan))?;
    Ok(path::in_procfs(proc, path, flags))
}

/// Writes the offsets of the time namespace made last.
pub fn time_offsets(init: &mut Init<'_>, text: &CStr) -> Done {
    // After the change of user the file is the host's root's, unless we are "dumpable"; `hide` follows.
    sys::prctl(sys::PR_SET_DUMPABLE, 1, 0).at(Call::Prctl)?;
    let file = proc_file(init, c"self/timens_offsets", sys::O_WRONLY)?.at(Call::Open)?;
    sys::write(file.raw(), text.to_bytes()).at(Call::Write).map(|_| ())
}

/// Brings up `lo`. The kernel adds 127.0.0.1 and ::1 itself.
pub fn loopback() -> Done {
    #[repr(C)]
    struct IfReq {
        name: [u8; 16],
        flags: u16,
        pad: [u8; 22],
    }
    const IFF_UP_RUNNING: u16 = 0x41;
    let mut lo = IfReq { name: [0; 16], flags: IFF_UP_RUNNING, pad: [0; 22] };
    if let Some(name) = lo.name.get_mut(..2) {
        name.copy_from_slice(b"lo");
    }
    let socket = sys::socket_inet().at(Call::Socket)?;
    sys::ioctl(socket.raw(), sys::SIOCSIFFLAGS, &lo).at(Call::Ioctl)
}
