//! `tmpcopyup`: what an image has in a directory is copied into the tmpfs that is mounted over it: contents, owners, modes,
//! times and extended attributes.

use crate::path;
use crate::run::{At, Done, Failure};
use crate::sys::{self, Errno, Fd};
use crate::text::Text;
use core::ffi::CStr;
use core::fmt::Write;
use dunnage_steps::Call;

/// How deep an image's tree may be; each level holds three descriptors.
const DEPTH: u32 = 100;

/// Copies all that is in a directory into another. What is read is opened once more through `proc`, a procfs.
pub fn tree(proc: i32, from: &Fd, to: &Fd, depth: u32) -> Done {
    if depth > DEPTH {
        return Err(Errno::ELOOP).at(Call::Getdents);
    }
    let mut buffer = [0u8; 2048];
    loop {
        let n = sys::getdents64(from.raw(), &mut buffer).at(Call::Getdents)?;
        if n == 0 {
            return Ok(());
        }
        let mut rest = buffer.get(..n).unwrap_or_default();
        while let Some((name, next)) = entry(rest) {
            rest = next;
            if !matches!(name.to_bytes(), b"." | b"..") {
                copy(proc, from, to, name, depth)?;
            }
        }
    }
}

/// The first struct linux_dirent64: inode, offset, u16 length, u8 type, name.
fn entry(bytes: &[u8]) -> Option<(&CStr, &[u8])> {
    let len = usize::from(u16::from_ne_bytes(bytes.get(16..18)?.try_into().ok()?));
    let (this, next) = bytes.split_at_checked(len)?;
    Some((CStr::from_bytes_until_nul(this.get(19..)?).ok()?, next))
}

/// Whoever shares the image may put something else in the place of a name at any moment, a device that never ends for one. So a
/// handle is taken, which wakes nothing, and what that is, is copied.
fn copy(proc: i32, from: &Fd, to: &Fd, name: &CStr, depth: u32) -> Done {
    let handle = path::child(from.raw(), name, sys::O_PATH | sys::O_NOFOLLOW, 0).at(Call::Openat)?;
    let stat = sys::statx(handle.raw(), c"").at(Call::Stat)?;
    let mode = stat.mode & 0o7777;
    match stat.mode & sys::S_IFMT {
        sys::S_IFDIR => {
            path::mkdir(to.raw(), name, mode).at(Call::Mkdir)?;
            let source = path::child(handle.raw(), c".", sys::O_DIRECTORY, 0).at(Call::Openat)?;
            let target = path::child(to.raw(), name, sys::O_DIRECTORY, 0).at(Call::Openat)?;
            tree(proc, &source, &target, depth.saturating_add(1))?;
            attributes(&source, &target)?;
        }
        sys::S_IFREG => {
            let mut again = Text::<32>::new();
            let _ = write!(again, "self/fd/{}", handle.raw());
            let source = path::again(proc, again.c_str().unwrap_or(c""), 0).at(Call::Openat)?;
            let target = path::new_file(to.raw(), name).at(Call::Open)?;
            contents(&source, &target)?;
            attributes(&source, &target)?;
        }
        sys::S_IFLNK => {
            let mut link = crate::text::Path::new();
            let mut buffer = [0; crate::text::PATH_MAX];
            link.push(path::readlink(handle.raw(), c"", &mut buffer).at(Call::Readlink)?);
            let target = link.c_str().ok_or(Failure::of(Call::Readlink, Errno::ENAMETOOLONG))?;
            path::symlink(target, to.raw(), name).at(Call::Symlink)?;
        }
        kind => {
            let (major, minor) = stat.rdev;
            let dev = u64::from(minor & 0xff) | u64::from(major) << 8 | u64::from(minor & !0xff) << 12;
            path::mknod(to.raw(), name, kind | mode, dev).at(Call::Mknod)?;
        }
    }
    path::chown(to.raw(), name, stat.uid, stat.gid).at(Call::Chown)?;
    if !stat.is(sys::S_IFLNK) {
        // After the owner, which takes set-user-ID bits away.
        path::chmod(to.raw(), name, mode).at(Call::Chmod)?;
    }
    path::utimes(to.raw(), name, [stat.atime, stat.mtime]).at(Call::Stat)
}

fn contents(from: &Fd, to: &Fd) -> Done {
    let mut buffer = [0u8; 16384];
    loop {
        let n = sys::read(from.raw(), &mut buffer).at(Call::Read)?;
        let mut rest = buffer.get(..n).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let written = sys::write(to.raw(), rest).at(Call::Write)?;
            rest = rest.get(written..).unwrap_or_default();
        }
    }
}

/// Extended attributes; those that a tmpfs cannot hold are left behind.
fn attributes(from: &Fd, to: &Fd) -> Done {
    let mut names = [0u8; 4096];
    let n = match sys::flistxattr(from.raw(), &mut names) {
        Err(Errno::EOPNOTSUPP) => return Ok(()),
        r => r.at(Call::Xattr)?,
    };
    let mut rest = names.get(..n).unwrap_or_default();
    while let Ok(name) = CStr::from_bytes_until_nul(rest) {
        let mut value = [0u8; 8192];
        let n = sys::fgetxattr(from.raw(), name, &mut value).at(Call::Xattr)?;
        match sys::fsetxattr(to.raw(), name, value.get(..n).unwrap_or_default()) {
            Err(Errno::EOPNOTSUPP | Errno::EPERM) => (),
            r => r.at(Call::Xattr)?,
        }
        rest = rest.get(name.count_bytes().saturating_add(1)..).unwrap_or_default();
    }
    Ok(())
}
