//! Names of the host become descriptors here, and directories, modes and owners are changed here, and nowhere else in the
//! runtime's half (`clippy.toml` forbids the calls anywhere else; `tests/lint.rs` says what keeps that from being got round).
//! Names inside a container's root are not for this module: `init/src/path.rs` resolves those, or [`in_root`].
//!
//! What a path is decides which function there is for it:
//! * a path of the kernel's file systems, or one that the engine or the administrator gave: [`open`], [`read`]. It is
//!   followed wherever it leads, but never creates or truncates (CVE-2024-45310);
//! * a name in a directory that is open: [`openat`] and its kind. One component, and never through a link, so that nobody who
//!   writes to the directory chooses where we end (CVE-2021-30465);
//! * a path below a directory that somebody else writes to: [`beneath`], [`in_root`]. The kernel resolves it.
#![cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "the one place for paths of the host"))]

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::NixPath;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::{FchmodatFlags, Mode};
use nix::unistd::{Gid, Uid, UnlinkatFlags};

type Result<T> = std::result::Result<T, Errno>;

/// Added to every open: no descriptor of ours is inherited by chance, and no terminal becomes ours.
const ALWAYS: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NOCTTY);
/// What makes or empties a file; only [`create`] and the two after it may.
const MAKING: OFlag = OFlag::O_CREAT.union(OFlag::O_TRUNC).union(OFlag::O_TMPFILE.difference(OFlag::O_DIRECTORY));
/// A directory to look names up in.
pub const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY);

/// Opens what exists. O_CLOEXEC and O_NOCTTY are added.
///
/// # Errors
/// open(2); `EINVAL` for flags that would make or empty a file.
pub fn open<P: ?Sized + NixPath>(path: &P, flags: OFlag) -> Result<OwnedFd> {
    nix::fcntl::open(path, existing(flags)?, Mode::empty())
}

/// The same, if no component is a link (`ELOOP`).
///
/// # Errors
/// openat2(2).
pub fn open_without_links<P: ?Sized + NixPath>(path: &P, flags: OFlag) -> Result<OwnedFd> {
    resolve(AT_FDCWD, path, flags, ResolveFlag::RESOLVE_NO_SYMLINKS)
}

/// Opens `name`, one component and no link, in a directory.
///
/// # Errors
/// openat(2); `EINVAL` for a name that is a path.
pub fn openat<P: ?Sized + NixPath>(dir: impl AsFd, name: &P, flags: OFlag) -> Result<OwnedFd> {
    single(name)?;
    nix::fcntl::openat(dir, name, existing(flags)? | OFlag::O_NOFOLLOW, Mode::empty())
}

/// The directory above one that is open; its own if it is a root.
///
/// # Errors
/// openat(2).
pub fn above(dir: impl AsFd, flags: OFlag) -> Result<OwnedFd> {
    nix::fcntl::openat(dir, "..", flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// The working directory becomes our root: that of the caller, after a namespace that has another was visited.
///
/// # Errors
/// chroot(2).
pub fn chroot_here() -> Result<()> {
    nix::unistd::chroot(".")
}

/// Opens a path below a directory, which neither `..` nor a link can leave.
///
/// # Errors
/// openat2(2).
pub fn beneath<P: ?Sized + NixPath>(dir: impl AsFd, path: &P, flags: OFlag, more: ResolveFlag) -> Result<OwnedFd> {
    resolve(dir, path, flags, ResolveFlag::RESOLVE_BENEATH | more)
}

/// Opens a path as a process would whose root the directory is.
///
/// # Errors
/// openat2(2).
pub fn in_root<P: ?Sized + NixPath>(root: impl AsFd, path: &P, flags: OFlag) -> Result<OwnedFd> {
    resolve(root, path, flags, ResolveFlag::RESOLVE_IN_ROOT)
}

fn resolve<P: ?Sized + NixPath>(dir: impl AsFd, path: &P, flags: OFlag, how: ResolveFlag) -> Result<OwnedFd> {
    nix::fcntl::openat2(dir, path, OpenHow::new().flags(existing(flags)?).resolve(how))
}

/// Makes a file in a directory, for writing; `EEXIST` if anything has the name, be it a link that leads nowhere.
///
/// # Errors
/// openat(2); `EINVAL` for a name that is a path.
pub fn create<P: ?Sized + NixPath>(dir: impl AsFd, name: &P, mode: Mode) -> Result<OwnedFd> {
    single(name)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | ALWAYS;
    nix::fcntl::openat(dir, name, flags, mode)
}

/// A file for writing that has no name: it is gone with the last of its descriptors, unless it gets one ([`name`]).
///
/// # Errors
/// openat(2) with O_TMPFILE; `EOPNOTSUPP`: the file system has no such files.
pub fn create_nameless(dir: impl AsFd, mode: Mode) -> Result<OwnedFd> {
    nix::fcntl::openat(dir, ".", OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC, mode)
}

/// Gives a file that has no name one in a directory; `EEXIST` if anything has it.
///
/// # Errors
/// linkat(2); `EINVAL` for a name that is a path.
pub fn name<P: ?Sized + NixPath>(file: impl AsFd, dir: impl AsFd, name: &P) -> Result<()> {
    single(name)?;
    // AT_EMPTY_PATH would take a privilege.
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    nix::unistd::linkat(AT_FDCWD, path.as_str(), dir, name, AtFlags::AT_SYMLINK_FOLLOW)
}

/// The same for reading and writing, as mmap(2) wants it.
///
/// # Errors
/// As [`create`].
pub fn create_to_map<P: ?Sized + NixPath>(dir: impl AsFd, name: &P, mode: Mode) -> Result<OwnedFd> {
    single(name)?;
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | ALWAYS;
    nix::fcntl::openat(dir, name, flags, mode)
}

/// Makes a file that the caller named; `EEXIST` if anything has the name, be it a link that leads nowhere.
///
/// # Errors
/// open(2).
pub fn create_at_path(path: &Path, mode: Mode) -> Result<OwnedFd> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | ALWAYS;
    nix::fcntl::open(path, flags, mode)
}

/// Makes a file in the working directory, which is the caller's.
///
/// # Errors
/// As [`create`].
pub fn create_here(name: &str, mode: Mode) -> Result<OwnedFd> {
    create(AT_FDCWD, name, mode)
}

/// Opens a log that the caller named, made if it is missing, for appending. O_SYNC as runc has it:
/// the record must be there when the node dies a moment later.
///
/// # Errors
/// open(2).
pub fn append(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_SYNC | ALWAYS;
    nix::fcntl::open(path, flags, Mode::from_bits_truncate(0o644))
}

/// Opens a file in a directory, made if it is missing, for appending: a log that a client named. Never through a link.
///
/// # Errors
/// openat(2); `EINVAL` for a name that is a path.
pub fn append_in<P: ?Sized + NixPath>(dir: impl AsFd, name: &P) -> Result<OwnedFd> {
    single(name)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_NOFOLLOW | ALWAYS;
    nix::fcntl::openat(dir, name, flags, Mode::from_bits_truncate(0o644))
}

/// The largest document. Configurations of engines have 10 to 100 KiB; programs with the largest environment that
/// execve(2) takes, 6 MiB.
pub const MAX_DOCUMENT: u64 = 8 << 20;

/// A whole config.json, process.json or the like, whoever wrote it.
///
/// # Errors
/// open(2), read(2); `EFBIG`.
pub fn document(path: impl AsRef<Path>) -> std::io::Result<Vec<u8>> {
    document_of(std::fs::File::open(path)?)
}

/// The same from what is open.
///
/// # Errors
/// read(2); `EFBIG`.
pub fn document_of(file: impl Read) -> std::io::Result<Vec<u8>> {
    // What an engine writes is read at once.
    let mut bytes = Vec::with_capacity(32 << 10);
    file.take(MAX_DOCUMENT.saturating_add(1)).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_DOCUMENT);
    if fits { Ok(bytes) } else { Err(Errno::EFBIG.into()) }
}

/// A whole file of the kernel's, or one that is the administrator's.
///
/// # Errors
/// open(2), read(2).
pub fn read(path: impl AsRef<Path>) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

/// A whole file that is text.
///
/// # Errors
/// open(2), read(2); `InvalidData`.
pub fn read_to_string(path: impl AsRef<Path>) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

/// The entries of an open directory, `.` and `..` among them.
///
/// # Errors
/// openat(2).
pub fn list(dir: impl AsFd) -> Result<Dir> {
    Dir::from_fd(openat(dir, ".", DIRECTORY)?)
}

/// Makes a directory in a file system of the kernel's (cgroup, resctrl), where nobody can put a link.
///
/// # Errors
/// mkdir(2).
pub fn mkdir_of_kernel(path: &str) -> Result<()> {
    nix::sys::stat::mkdirat(AT_FDCWD, path, Mode::from_bits_truncate(0o755))
}

/// Removes one there.
///
/// # Errors
/// rmdir(2).
pub fn rmdir_of_kernel(path: &str) -> Result<()> {
    nix::unistd::unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir)
}

/// Makes a directory in a directory.
///
/// # Errors
/// mkdirat(2); `EINVAL` for a name that is a path.
pub fn mkdirat<P: ?Sized + NixPath>(dir: impl AsFd, name: &P, mode: Mode) -> Result<()> {
    single(name)?;
    nix::sys::stat::mkdirat(dir, name, mode)
}

/// A directory that the administrator or the engine named, made 0700 with its parents if it is missing. Their links are
/// followed (/var/run -> /run).
///
/// # Errors
/// openat(2), mkdirat(2).
pub fn make_dirs(path: &Path) -> Result<OwnedFd> {
    let start = if path.is_absolute() { "/" } else { "." };
    let mut fd = open(start, DIRECTORY)?;
    for name in path.components() {
        let name = name.as_os_str();
        let enter = |at: BorrowedFd<'_>| nix::fcntl::openat(at, name, DIRECTORY | ALWAYS, Mode::empty());
        fd = match enter(fd.as_fd()) {
            Err(Errno::ENOENT) => match nix::sys::stat::mkdirat(&fd, name, Mode::S_IRWXU) {
                Ok(()) | Err(Errno::EEXIST) => enter(fd.as_fd()),
                Err(e) => Err(e),
            },
            other => other,
        }?;
    }
    Ok(fd)
}

/// Makes a link in a directory.
///
/// # Errors
/// symlinkat(2); `EINVAL` for a name that is a path.
pub fn symlinkat<P: ?Sized + NixPath>(target: &Path, dir: impl AsFd, name: &P) -> Result<()> {
    single(name)?;
    nix::unistd::symlinkat(target, dir, name)
}

/// Makes a fifo in a directory.
///
/// # Errors
/// mkfifoat(3); `EINVAL` for a name that is a path.
pub fn mkfifoat<P: ?Sized + NixPath>(dir: impl AsFd, name: &P, mode: Mode) -> Result<()> {
    single(name)?;
    nix::unistd::mkfifoat(dir, name, mode)
}

/// Changes the mode of what was made in a directory that only we write to: chmod(2) follows a link.
///
/// # Errors
/// fchmodat(2); `EINVAL` for a name that is a path.
pub fn fchmodat<P: ?Sized + NixPath>(dir: impl AsFd, name: &P, mode: Mode) -> Result<()> {
    single(name)?;
    nix::sys::stat::fchmodat(dir, name, mode, FchmodatFlags::FollowSymlink)
}

/// Gives a name in a directory, or the link that it is, to another.
///
/// # Errors
/// fchownat(2); `EINVAL` for a name that is a path.
pub fn fchownat<P: ?Sized + NixPath>(dir: impl AsFd, name: &P, uid: Option<Uid>, gid: Option<Gid>) -> Result<()> {
    single(name)?;
    nix::unistd::fchownat(dir, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// Gives a name in a directory another name there.
///
/// # Errors
/// renameat(2); `EINVAL` for a name that is a path.
pub fn rename<P: ?Sized + NixPath, Q: ?Sized + NixPath>(dir: impl AsFd, from: &P, to: &Q) -> Result<()> {
    single(from)?;
    single(to)?;
    nix::fcntl::renameat(dir.as_fd(), from, dir.as_fd(), to)
}

/// Removes a file, or a directory that is empty, from a directory.
///
/// # Errors
/// unlinkat(2); `EINVAL` for a name that is a path.
pub fn unlinkat<P: ?Sized + NixPath>(dir: impl AsFd, name: &P, flag: UnlinkatFlags) -> Result<()> {
    single(name)?;
    nix::unistd::unlinkat(dir, name, flag)
}

fn existing(flags: OFlag) -> Result<OFlag> {
    match flags {
        _ if flags.intersects(MAKING) => Err(Errno::EINVAL),
        // openat2(2) refuses a handle with more flags than it heeds.
        _ if flags.contains(OFlag::O_PATH) => Ok(flags | OFlag::O_CLOEXEC),
        _ => Ok(flags | ALWAYS),
    }
}

/// One component: a name that holds a slash would be resolved through whatever is there.
fn single<P: ?Sized + NixPath>(name: &P) -> Result<()> {
    let one = |name: &std::ffi::CStr| !name.to_bytes().contains(&b'/') && name.to_bytes() != b"..";
    if name.with_nix_path(one)? { Ok(()) } else { Err(Errno::EINVAL) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_each_function_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("d/e")).unwrap();
        fs::write(at("file"), "canary").unwrap();
        symlink("file", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        symlink("/", at("d/root")).unwrap();
        let fd = open(dir.path(), DIRECTORY).unwrap();
        let mode = Mode::from_bits_truncate(0o600);
        for (what, got, errno) in [
            ("creates by path", open(&at("new"), OFlag::O_WRONLY | OFlag::O_CREAT), Errno::EINVAL),
            ("truncates", open(&at("file"), OFlag::O_WRONLY | OFlag::O_TRUNC), Errno::EINVAL),
            ("makes a nameless file", open(dir.path(), OFlag::O_WRONLY | OFlag::O_TMPFILE), Errno::EINVAL),
            ("follows a link", openat(&fd, "link", OFlag::O_RDONLY), Errno::ELOOP),
            ("takes a path", openat(&fd, "d/e", OFlag::O_RDONLY), Errno::EINVAL),
            ("goes up", openat(&fd, "..", OFlag::O_RDONLY), Errno::EINVAL),
            ("takes what is there", create(&fd, "file", mode), Errno::EEXIST),
            ("takes a link", create(&fd, "dangling", mode), Errno::EEXIST),
            ("creates by path", create(&fd, "d/new", mode), Errno::EINVAL),
            ("passes a link", open_without_links(&at("d/root/etc"), OFlag::O_PATH), Errno::ELOOP),
            ("leaves by a link", beneath(&fd, "d/root", OFlag::O_PATH, ResolveFlag::empty()), Errno::EXDEV),
            ("leaves by ..", beneath(&fd, "../x", OFlag::O_PATH, ResolveFlag::empty()), Errno::EXDEV),
            ("leaves the root", in_root(&fd, "d/root/etc/passwd", OFlag::O_PATH), Errno::ENOENT),
        ] {
            assert_eq!(got.unwrap_err(), errno, "{what}");
        }
        let unlink = |name: &str| unlinkat(&fd, name, UnlinkatFlags::NoRemoveDir);
        for (what, got) in [
            ("mkdirat", mkdirat(&fd, "d/x", mode)),
            ("mkfifoat", mkfifoat(&fd, "d/x", mode)),
            ("fchmodat", fchmodat(&fd, "d/e", mode)),
            ("fchownat", fchownat(&fd, "../x", None, None)),
            ("rename from", rename(&fd, "d/e", "x")),
            ("rename to", rename(&fd, "file", "d/x")),
            ("unlinkat", unlink("d/root")),
        ] {
            assert_eq!(got, Err(Errno::EINVAL), "{what}");
        }
        assert_eq!(fs::read(at("file")).unwrap(), b"canary");
        assert!(!at("new").exists() && !at("nowhere").exists());
        in_root(&fd, "/d/root/file", OFlag::O_RDONLY).unwrap();
        unlink("link").unwrap();
        assert!(at("file").exists());
    }

    #[test]
    fn missing_directories_are_made_for_us_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        symlink("real", dir.path().join("link")).unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        make_dirs(&dir.path().join("link/a/b")).unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("real/a"), mode("real/a/b")), (0o700, 0o700));
        fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(make_dirs(&dir.path().join("file/x")).unwrap_err(), Errno::ENOTDIR);
    }
}
