//! Attributes of the process: keyring, labels, filter, working directory, user, capabilities.

use crate::namespaces::proc_file;
use crate::path;
use crate::run::{At, Done, Failure, Init};
use crate::sys::{self, Errno, Fd};
use crate::talk;
use crate::text::{Path, Text};
use core::ffi::CStr;
use dunnage_steps::flags::Caps;
use dunnage_steps::wire::Words;
use dunnage_steps::{Barrier, Call, Say, Slot};

/// A session keyring of the container's own.
pub fn keyring(init: &mut Init<'_>, name: &CStr, permissions: u32, label: &CStr) -> Done {
    if !label.is_empty() {
        let file = proc_file(init, c"self/attr/keycreate", sys::O_WRONLY)?.at(Call::Open)?;
        attribute(&file, label.to_bytes())?;
    }
    let key = match sys::join_session_keyring(name) {
        // A kernel without keyrings has none to leak.
        Err(Errno::ENOSYS) => return Ok(()),
        r => r.at(Call::Keyctl)?,
    };
    if permissions == 0 {
        return Ok(());
    }
    // "type;uid;gid;permissions;description", the permissions in hexadecimal.
    let mut text = [0; 512];
    let n = sys::describe_key(key, &mut text).at(Call::Keyctl)?;
    let text = core::str::from_utf8(text.get(..n).unwrap_or_default()).unwrap_or_default();
    let now =
        text.split(';').nth(3).and_then(|p| u32::from_str_radix(p, 16).ok()).ok_or(Failure::found(Call::Keyctl))?;
    let wanted = usize::try_from(now | permissions).unwrap_or(0);
    sys::keyctl(sys::KEYCTL_SETPERM, key, wanted, 0).at(Call::Keyctl).map(|_| ())
}

/// Writes one sysctl.
pub fn sysctl(init: &mut Init<'_>, name: &CStr, value: &CStr) -> Done {
    let mut path = Path::new();
    let path = path.push(b"sys/").push(name.to_bytes()).c_str().ok_or(Failure::of(Call::Open, Errno::ENAMETOOLONG))?;
    let file = proc_file(init, path, sys::O_WRONLY)?.at(Call::Open)?;
    sys::write(file.raw(), value.to_bytes()).at(Call::Write).map(|_| ())
}

/// The profile of the next execve.
pub fn apparmor(init: &mut Init<'_>, profile: &CStr) -> Done {
    let file = match proc_file(init, c"self/attr/apparmor/exec", sys::O_WRONLY)? {
        // Linux before 5.8 has one place for all security modules.
        Err(Errno::ENOENT) => proc_file(init, c"self/attr/exec", sys::O_WRONLY)?.at(Call::Open)?,
        r => r.at(Call::Open)?,
    };
    let mut text = Text::<4096>::new();
    text.push(b"exec ").push(profile.to_bytes());
    attribute(&file, text.c_str().ok_or(Failure::of(Call::Write, Errno::ENAMETOOLONG))?.to_bytes())
}

/// The label of the next execve.
pub fn selinux(init: &mut Init<'_>, label: &CStr) -> Done {
    let file = proc_file(init, c"self/attr/exec", sys::O_WRONLY)?.at(Call::Open)?;
    attribute(&file, label.to_bytes())
}

/// What is longer than a page the kernel would cut off: another name.
fn attribute(file: &Fd, text: &[u8]) -> Done {
    match sys::write(file.raw(), text).at(Call::Write)? {
        n if n == text.len() => Ok(()),
        _ => Err(Failure::of(Call::Write, Errno::ENAMETOOLONG)),
    }
}

/// The NUMA policy; 1024 nodes are what a kernel can be built for.
pub fn memory_policy(mode: u32, nodes: Words<'_>) -> Done {
    let mut mask = [0u64; 16];
    mask.iter_mut().zip(nodes.iter()).for_each(|(to, from)| *to = from);
    let used = mask.get(..nodes.len()).ok_or(Failure::of(Call::SetMempolicy, Errno::EINVAL))?;
    sys::set_mempolicy(mode, used).at(Call::SetMempolicy)
}

/// Loads the filter.
pub fn seccomp(init: &mut Init<'_>, flags: u64, notify: bool, filter: Words<'_>) -> Done {
    let listener = sys::seccomp_set_filter(flags, filter.bytes()).at(Call::Seccomp)?;
    if !notify {
        return Ok(());
    }
    // sendmsg may be what the agent is asked about: the number goes by write(2), which a profile may not notify of, and the
    // parent takes the descriptor with pidfd_getfd(2).
    let listener = i32::try_from(listener).unwrap_or(-1);
    talk::tell(init, Barrier::Listener, listener.into())?;
    talk::wait(init, Barrier::Listening, Slot::NONE)?;
    sys::close(listener);
    Ok(())
}

/// Goes to the working directory, if root may.
pub fn cwd(init: &mut Init<'_>, path: &CStr) -> Done {
    let fd = match path::open(init, path, sys::O_DIRECTORY)? {
        Err(Errno::EACCES | Errno::EPERM) => {
            init.cwd_pending = true;
            return Ok(());
        }
        r => r.at(Call::Chdir)?,
    };
    match sys::fchdir(fd.raw()) {
        // Root is not root on NFS, and not without capabilities.
        Err(Errno::EACCES | Errno::EPERM) => {
            init.cwd_pending = true;
            Ok(())
        }
        r => r.at(Call::Chdir),
    }
}

/// Goes there as the user, and looks at where this is: what the kernel calls unreachable is outside of the container
/// (CVE-2024-21626).
pub fn cwd_again(init: &mut Init<'_>, path: &CStr) -> Done {
    if init.cwd_pending {
        match path::open(init, path, sys::O_DIRECTORY)? {
            // The container's filter does not know openat2(2). We are in its root, and where we are is looked at below.
            Err(Errno::ENOSYS | Errno::EPERM) => path::chdir_as_user(path).at(Call::Chdir)?,
            r => sys::fchdir(r.at(Call::Chdir)?.raw()).at(Call::Chdir)?,
        }
    }
    let mut buffer = [0; crate::text::PATH_MAX];
    match sys::getcwd(&mut buffer) {
        Ok(path) if path.starts_with(b"/") => Ok(()),
        Ok(_) | Err(Errno::ENOENT) => Err(Failure::found(Call::Outside)),
        Err(errno) => Err(errno).at(Call::Getcwd),
    }
}

/// Drops what is not to be kept from the bounding set.
pub fn bounding(keep: Caps) -> Done {
    for cap in 0..64usize {
        if keep.0 >> cap & 1 == 0 {
            match sys::prctl(sys::PR_CAPBSET_DROP, cap, 0) {
                // The first number that the kernel has no capability for.
                Err(Errno::EINVAL) => break,
                r => r.at(Call::Prctl)?,
            };
        }
    }
    Ok(())
}

/// Groups first, then the group, then the user: in any other order a privilege is missing for the next, or kept (CVE-2023-25173).
pub fn ids(uid: u32, gid: u32, set_groups: bool, groups: Words<'_>) -> Done {
    if uid != 0 {
        sys::prctl(sys::PR_SET_KEEPCAPS, 1, 0).at(Call::Prctl)?;
    }
    if set_groups {
        let mut few = [0u32; 64];
        let list = match few.get_mut(..groups.len()) {
            Some(list) => list,
            None => sys::numbers(groups.len()).at(Call::Setgroups)?,
        };
        list.iter_mut().zip(groups.iter()).for_each(|(to, from)| *to = u32::try_from(from).unwrap_or(u32::MAX));
        sys::setgroups(list).at(Call::Setgroups)?;
    }
    sys::setresgid(gid).at(Call::Setresgid)?;
    sys::setresuid(uid).at(Call::Setresuid)
}

/// The four sets of the thread; the bounding set is done before.
pub fn capabilities(init: &mut Init<'_>, effective: Caps, permitted: Caps, inheritable: Caps, ambient: Caps) -> Done {
    sys::capset(effective.0, permitted.0, inheritable.0).at(Call::Capset)?;
    match sys::prctl(sys::PR_CAP_AMBIENT, sys::PR_CAP_AMBIENT_CLEAR_ALL, 0) {
        Err(Errno::EINVAL) if ambient.is_empty() => return Ok(()),
        r => r.at(Call::Prctl)?,
    };
    for cap in 0..64usize {
        if ambient.0 >> cap & 1 == 1
            && let Err(errno) = sys::prctl(sys::PR_CAP_AMBIENT, sys::PR_CAP_AMBIENT_RAISE, cap)
        {
            // Not both permitted and inheritable: a program without it still runs (capabilities(7)).
            talk::report(
                init,
                Say::Warning,
                &Failure { call: Call::Prctl, errno, value: i64::try_from(cap).unwrap_or(0) },
            );
        }
    }
    Ok(())
}
