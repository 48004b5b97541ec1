//! Reading and writing the files of one cgroup: one read(2) or write(2) each, as the kernel wants it (a value is one
//! write; there are no partial writes). Must not know what the files mean.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Type;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, fstatfs};
use nix::unistd::{read, write};

use crate::error::{Context, Errno, Error, Result};
use crate::files::{self, DIRECTORY};

/// A cgroup's directory: its path, and on v2 a descriptor of it, which is what is used then.
#[derive(Debug)]
pub struct Dir {
    /// As it was given.
    pub path: String,
    fd: Option<OwnedFd>,
}

impl Dir {
    /// By path alone: three calls per file instead of three and two for the directory, on v1 with its dozen hierarchies.
    pub fn at(path: impl Into<String>) -> Dir {
        Dir { path: path.into(), fd: None }
    }

    /// Opens the directory.
    pub fn open(path: impl Into<String>) -> Result<Dir> {
        let path = path.into();
        let fd = files::open(path.as_str(), DIRECTORY | OFlag::O_NOFOLLOW)
            .map_err(|e| Error::sys(format_args!("open {path}"), e))?;
        Ok(Dir { path, fd: Some(fd) })
    }

    /// Opens the cgroup `below` the mount of a hierarchy for something that cannot be undone: `EXDEV` if another file system
    /// is mounted over it, over one above it or over the hierarchy. In that one we would kill, freeze or remove who knows what.
    pub(super) fn open_unhidden(mount: &str, below: &str) -> Result<Dir> {
        let path = format!("{mount}{below}");
        let fail = |e| Error::sys(format_args!("open {path}"), e);
        let mount = files::open(mount, OFlag::O_PATH | OFlag::O_DIRECTORY).map_err(fail)?;
        let found = fstatfs(&mount).map_err(fail)?.filesystem_type();
        if found != CGROUP_SUPER_MAGIC && found != CGROUP2_SUPER_MAGIC {
            return Err(fail(Errno::EXDEV));
        }
        let fd = files::beneath(&mount, below.trim_start_matches('/'), ITSELF, HERE).map_err(fail)?;
        Ok(Dir { path, fd: Some(fd) })
    }

    /// The descriptor, if this was opened.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Opens a file of the cgroup; O_CLOEXEC and O_NOFOLLOW are added.
    pub fn open_file(&self, file: &str, access: OFlag) -> Result<OwnedFd> {
        let fd = match &self.fd {
            Some(dir) => files::openat(dir, file, access),
            None => files::open(format!("{}/{file}", self.path).as_str(), access | OFlag::O_NOFOLLOW),
        };
        fd.map_err(|e| Error::sys(format_args!("open {}/{file}", self.path), e))
    }

    /// The whole file.
    pub(super) fn read(&self, file: &str) -> Result<String> {
        let fd = self.open_file(file, OFlag::O_RDONLY)?;
        read_to_end(&fd).map_err(|e| Error::sys(format_args!("read {}/{file}", self.path), e))
    }

    /// The whole file, `None` if it is not there: the kernel or the cgroup has none, or the cgroup is gone. For those that the
    /// kernel writes in one piece (all but the lists of processes): a read that leaves room in the buffer was the last one.
    pub fn read_if_there(&self, file: &str) -> Result<Option<String>> {
        let absent = |e: &Error| matches!(e.errno(), Some(Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP));
        let fd = match self.open_file(file, OFlag::O_RDONLY) {
            Ok(fd) => fd,
            Err(e) if absent(&e) => return Ok(None),
            Err(e) => return Err(e),
        };
        match read_in_pieces(&fd).map_err(|e| Error::sys(format_args!("read {}/{file}", self.path), e)) {
            Ok(text) => Ok(Some(text)),
            Err(e) if absent(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// A file of one short value: the read that would show the end of the file is saved.
    pub(super) fn read_value(&self, file: &str) -> Result<String> {
        let fd = self.open_file(file, OFlag::O_RDONLY)?;
        let mut buf = [0u8; 256];
        let len = read(&fd, &mut buf).map_err(|e| Error::sys(format_args!("read {}/{file}", self.path), e))?;
        Ok(String::from_utf8_lossy(buf.get(..len).unwrap_or_default()).trim_end().into())
    }

    /// A value as a number; `max` is `u64::MAX`.
    pub(super) fn read_u64(&self, file: &str) -> Result<u64> {
        let value = self.read_value(file)?;
        if value == "max" {
            return Ok(u64::MAX);
        }
        value
            .parse()
            .map_err(|_| Error::new(format!("unable to parse {value:?} as a uint from Cgroup file {:?}", file)))
    }

    /// The value after `key` in a file of `key value` lines.
    pub(super) fn read_key(&self, file: &str, key: &str) -> Result<Option<u64>> {
        let text = self.read(file)?;
        Ok(text.lines().find_map(|line| line.split_once(' ').filter(|(k, _)| *k == key)?.1.trim().parse().ok()))
    }

    /// Writes one value.
    pub fn write(&self, file: &str, value: &str) -> Result<()> {
        let fd = self.open_file(file, OFlag::O_WRONLY)?;
        self.write_to(&fd, file, value)
    }

    /// Writes one value into a file of this cgroup that is open.
    pub(super) fn write_to(&self, fd: &OwnedFd, file: &str, value: &str) -> Result<()> {
        loop {
            match write(fd, value.as_bytes()) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(e) => {
                    return Err(Error::sys(format_args!("write {}/{file}", self.path), e))
                        .doing(|| format!("failed to write {value:?}"));
                }
            }
        }
    }
}

/// A directory of the same mount, and not by a link.
const ITSELF: OFlag = DIRECTORY.union(OFlag::O_NOFOLLOW);
const HERE: ResolveFlag = ResolveFlag::RESOLVE_NO_XDEV.union(ResolveFlag::RESOLVE_NO_SYMLINKS);

/// Opens a directory below `at`; `EXDEV` if something is mounted over it.
pub(super) fn open_child(at: BorrowedFd<'_>, name: &CStr) -> std::result::Result<OwnedFd, Errno> {
    files::beneath(at, name, ITSELF, HERE)
}

/// Opens a directory below `at`.
pub(super) fn open_dir(at: BorrowedFd<'_>, name: &CStr) -> std::result::Result<OwnedFd, Errno> {
    files::openat(at, name, DIRECTORY)
}

/// The names of the directories in a directory; any bytes, because the container may have chosen them.
pub(super) fn list_dirs(dir: BorrowedFd<'_>) -> std::result::Result<Vec<CString>, Errno> {
    let mut stream = nix::dir::Dir::from_fd(open_dir(dir, c".")?)?;
    let mut names = Vec::new();
    for entry in stream.iter() {
        let entry = entry?;
        if entry.file_type() == Some(Type::Directory) && !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Reads a file below `at` to its end.
pub(super) fn read_at(at: BorrowedFd<'_>, file: &str) -> std::result::Result<String, Errno> {
    read_to_end(&files::openat(at, file, OFlag::O_RDONLY)?)
}

/// Writes one value into a file below `at`.
pub(super) fn write_at(at: BorrowedFd<'_>, file: &str, value: &str) -> std::result::Result<(), Errno> {
    let fd = files::openat(at, file, OFlag::O_WRONLY)?;
    write(&fd, value.as_bytes()).map(drop)
}

/// Reads a file of procfs or cgroupfs to its end.
pub(super) fn read_file(path: &str) -> Result<String> {
    let fd = files::open(path, OFlag::O_RDONLY).map_err(|e| Error::sys(format_args!("open {path}"), e))?;
    read_to_end(&fd).map_err(|e| Error::sys(format_args!("read {path}"), e))
}

/// As [`read_to_end`], for a file that is one piece to the kernel.
fn read_in_pieces(fd: &OwnedFd) -> std::result::Result<String, Errno> {
    let mut text = Vec::new();
    let mut buf = [0u8; 16 << 10];
    loop {
        match read(fd, &mut buf) {
            Ok(n) => {
                text.extend_from_slice(buf.get(..n).unwrap_or_default());
                if n < buf.len() {
                    return Ok(String::from_utf8_lossy(&text).into_owned());
                }
            }
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
}

fn read_to_end(fd: &OwnedFd) -> std::result::Result<String, Errno> {
    let mut text = Vec::new();
    let mut buf = [0u8; 4096];
    loop {
        match read(fd, &mut buf) {
            Ok(0) => break,
            Ok(n) => text.extend_from_slice(buf.get(..n).unwrap_or_default()),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
