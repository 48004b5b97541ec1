//! Device nodes, links and directories inside the root.

use crate::path::{self, Make};
use crate::run::{At, Done, Failure, Init};
use crate::sys::{self, Errno, Fd};
use crate::text::Path;
use core::ffi::CStr;
use dunnage_steps::Call;

/// Does something with the directory of `path` and the name in it. Devices come in rows: the directory is remembered.
fn in_directory<T>(
    init: &mut Init<'static>,
    path: &'static CStr,
    then: impl FnOnce(&mut Init<'static>, i32, &CStr) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let bytes = path.to_bytes();
    let slash = bytes.iter().rposition(|b| *b == b'/').ok_or(Failure::found(Call::Plan))?;
    let (parent, name) = bytes.split_at(slash);
    let mut text = Path::new();
    let name = text.push(name.get(1..).unwrap_or_default()).c_str().ok_or(Failure::found(Call::Plan))?;
    let fd = match init.directory.take() {
        Some((known, fd)) if known == parent => fd,
        _ => {
            let mut whole = Path::new();
            let whole = whole.push(parent).push(b"/").c_str().ok_or(Failure::found(Call::Plan))?;
            path::directory(init, whole)?.fd
        }
    };
    let result = then(init, fd.raw(), name);
    init.directory = Some((parent, fd));
    result
}

/// Makes a directory.
pub fn mkdir(init: &mut Init<'static>, path: &'static CStr, mode: u32) -> Done {
    in_directory(init, path, |_, dir, name| match path::mkdir(dir, name, mode) {
        Err(Errno::EEXIST) => Ok(()),
        r => r.at(Call::Mkdir),
    })
}

/// The fields of [`dunnage_steps::Step::Node`].
pub struct Node {
    pub path: &'static CStr,
    pub kind: u32,
    pub major: u32,
    pub minor: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub bind: bool,
    pub exact: bool,
}

/// Makes a device node, or binds the host's.
pub fn node(init: &mut Init<'static>, n: &Node) -> Done {
    if n.bind {
        return bind_node(init, n);
    }
    let dev = u64::from(n.minor & 0xff) | u64::from(n.major) << 8 | u64::from(n.minor & !0xff) << 12;
    let made = in_directory(init, n.path, |_, dir, name| match path::mknod(dir, name, n.kind | n.mode, dev) {
        Ok(()) if (n.uid, n.gid) != (0, 0) => path::chown(dir, name, n.uid, n.gid).at(Call::Chown),
        Err(Errno::EEXIST) if n.exact => is_there(dir, name, n),
        Err(Errno::EEXIST) => Ok(()),
        r => r.at(Call::Mknod),
    });
    match made {
        // No CAP_MKNOD, or a user namespace around us.
        Err(Failure { call: Call::Mknod, errno: Errno::EPERM, .. }) => bind_node(init, n),
        r => r,
    }
}

/// What has the name already has to be this very device, or pipe; a link that leads to it is not.
fn is_there(dir: i32, name: &CStr, n: &Node) -> Done {
    let stat = sys::statx(dir, name).at(Call::Stat)?;
    if stat.is(n.kind) && (stat.rdev == (n.major, n.minor) || stat.is(sys::S_IFIFO)) {
        Ok(())
    } else {
        Err(Failure::found(Call::AnotherFile))
    }
}

/// The device that is asked for, and no other that happens to have its name on the host, where a link may lead anywhere.
fn bind_node(init: &mut Init<'static>, n: &Node) -> Done {
    let tree = path::tree_of_host(Fd::CWD, n.path, false).at(Call::OpenTree)?;
    let stat = sys::statx(tree.raw(), c"").at(Call::Stat)?;
    if !stat.is(n.kind) || stat.rdev != (n.major, n.minor) {
        return Err(Failure::found(Call::NotTheDevice));
    }
    let target = path::destination(init, n.path, || Ok(Make::File))?;
    path::attach(tree.raw(), target.fd.raw()).at(Call::MoveMount)?;
    init.directory = None;
    Ok(())
}

/// Makes a symbolic link.
pub fn symlink(
    init: &mut Init<'static>,
    target: &CStr,
    path: &'static CStr,
    replace: bool,
    target_exists: bool,
) -> Done {
    if target_exists && path::open(init, target, 0)?.is_err() {
        return Ok(());
    }
    in_directory(init, path, |_, dir, name| match path::symlink(target, dir, name) {
        Err(Errno::EEXIST) if replace => {
            path::unlink(dir, name).at(Call::Unlink)?;
            path::symlink(target, dir, name).at(Call::Symlink)
        }
        Err(Errno::EEXIST) => Ok(()),
        r => r.at(Call::Symlink),
    })
}
