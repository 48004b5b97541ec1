//! The state directory: `ROOT/ID/`, and the files in it, by descriptor. Knows their names, modes and order, not what
//! state.json says.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Type;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, ResolveFlag};
use nix::sys::stat::{Mode, fstat, fstatat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, geteuid, read, write};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::end::End;
use super::types::State;
use crate::error::{Context, Error, Result};
use crate::files::{self, DIRECTORY};

/// The state of a container that exists.
const STATE: &str = "state.json";
/// A state with 100,000 mounts has 30 MB.
const MAX_STATE: usize = 64 << 20;
/// There as long as the container is `created`: init waits for somebody to read from it.
const EXEC_FIFO: &str = "exec.fifo";
/// How the container ended.
const END: &str = "end.json";
/// Where init of a `create` that is traced notes its times, for `start`.
const TICKS: &str = "trace.steps";

/// There between the writing of a checkpoint and the end of the container.
const CHECKPOINT: &str = "checkpoint";
/// There during a restore.
pub const CRIU_ROOT: &str = "criu-root";

/// The directory that holds one directory per container (`--root`).
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

/// `ROOT/ID`. Everything in it is reached through the descriptor: another container that takes the id later is another
/// directory.
#[derive(Debug)]
pub struct ContainerDir {
    fd: OwnedFd,
    root: OwnedFd,
    pub(super) id: String,
}

/// Whether `id` may name a container: it becomes a file name, a part of cgroup paths and of unit names.
pub fn check_id(id: &str) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+-.".contains(&b);
    match id {
        "" => Err(Error::new("container id cannot be empty")),
        "." | ".." => Err(Error::new("invalid container ID format")),
        _ if id.bytes().all(allowed) => Ok(()),
        _ => Err(Error::new("invalid container ID format")),
    }
}

/// What every command says of an id that is not there; callers match on it.
pub fn does_not_exist() -> Error {
    Error::new("container does not exist")
}

impl Root {
    /// Opens the state root; the error's errno is `ENOENT` if there is none.
    pub fn open(path: &Path) -> Result<Root> {
        let fd = files::open(path, DIRECTORY).map_err(|e| Error::sys(format!("open {}", path.display()), e))?;
        Ok(Root { fd, path: path.to_owned() })
    }

    /// Opens the state root and makes what of it is missing, 0700; as `mkdir -p`.
    pub fn create(path: &Path) -> Result<Root> {
        match Root::open(path) {
            Err(e) if e.errno() == Some(Errno::ENOENT) => {}
            other => return other,
        }
        let fd = files::make_dirs(path).map_err(|e| {
            let error = Error::sys(format!("mkdir {}", path.display()), e);
            let hint = "let $XDG_RUNTIME_DIR, or --root, name a directory that is yours";
            if e == Errno::EACCES { error.hint(hint) } else { error }
        })?;
        Ok(Root { fd, path: path.to_owned() })
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ids that have a directory, sorted. Whether a container is behind it shows when it is loaded.
    pub fn ids(&self) -> Result<Vec<String>> {
        let failed = |e| Error::sys(format!("readdir {}", self.path.display()), e);
        let mut dir = files::list(&self.fd).map_err(failed)?;
        let mut ids = Vec::new();
        for entry in dir.iter() {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if check_id(name).is_ok() && matches!(entry.file_type(), Some(Type::Directory) | None) {
                ids.push(name.to_owned());
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// The directory of `id`: `container does not exist` if it is missing.
    pub fn container(&self, id: &str) -> Result<ContainerDir> {
        let fd = self.fd.try_clone().map_err(|e| Error::io("dup", &e))?;
        Root { fd, path: PathBuf::new() }.into_container(id)
    }

    /// The same, for one container only.
    pub fn into_container(self, id: &str) -> Result<ContainerDir> {
        check_id(id)?;
        match files::openat(&self.fd, id, DIRECTORY) {
            Ok(fd) => Ok(ContainerDir { fd, root: self.fd, id: id.to_owned() }),
            Err(Errno::ENOENT) => Err(does_not_exist()),
            Err(e) => Err(Error::sys(format!("open {id}"), e)),
        }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl ContainerDir {
    /// `root/id`, for commands that act on one container; it has to be ours. What a state file says is obeyed: hooks are run,
    /// processes and cgroups ended, units stopped. Of another user's that would be done with our rights, and not with his.
    pub fn open(root: &Path, id: &str) -> Result<ContainerDir> {
        let dir = ContainerDir::look(root, id)?;
        dir.refuse_if_not_ours()?;
        Ok(dir)
    }

    /// `root/id`, for commands that only look, whosever it is. A missing root is a missing container.
    pub fn look(root: &Path, id: &str) -> Result<ContainerDir> {
        check_id(id)?;
        match Root::open(root) {
            Ok(root) => root.into_container(id),
            Err(e) if e.errno() == Some(Errno::ENOENT) => Err(does_not_exist()),
            Err(e) => Err(e),
        }
    }

    fn refuse_if_not_ours(&self) -> Result<()> {
        let stat = fstat(&self.fd).map_err(|e| Error::sys(format!("stat {}", self.id), e))?;
        let (owner, us) = (stat.st_uid, geteuid());
        if owner != us.as_raw() {
            let what =
                format!("container {}: its state belongs to uid {owner}, and not to uid {us}, who asks", self.id);
            return Err(
                Error::new(what).hint("it would be that user's word, carried out by this one: ask as that user")
            );
        }
        if Mode::from_bits_truncate(stat.st_mode).intersects(Mode::S_IWGRP | Mode::S_IWOTH) {
            let what = format!(
                "container {}: others may write its state directory (mode {:o})",
                self.id,
                stat.st_mode & 0o7777
            );
            return Err(Error::new(what).hint("what it says may not be ours: look at it, then chmod go-w"));
        }
        Ok(())
    }

    /// The container's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Loads state.json: [`super::Config`] is all of it, [`super::Brief`] what most commands need. A directory without one
    /// is a create that is under way or was aborted: `container does not exist`.
    pub fn load<C: DeserializeOwned>(&self) -> Result<State<C>> {
        self.load_from(&self.read_state()?)
    }

    pub(super) fn has_state(&self) -> Result<bool> {
        self.has(STATE)
    }

    fn has(&self, name: &str) -> Result<bool> {
        match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(e) => Err(Error::sys(format!("stat {}/{name}", self.id), e)),
        }
    }

    pub(super) fn read_state(&self) -> Result<Vec<u8>> {
        self.read_file(STATE)?.ok_or_else(does_not_exist)
    }

    pub(super) fn load_from<'a, C: Deserialize<'a>>(&self, bytes: &'a [u8]) -> Result<State<C>> {
        let state: State<C> = serde_json::from_slice(bytes)
            .map_err(|e| Error::new(e.to_string()))
            .doing(|| format!("container {}: {STATE}", self.id))?;
        if state.id != self.id {
            // The id goes into paths and messages; a state that was copied here must not speak for another container.
            return Err(Error::new(format!("container {}: {STATE} is of container {:?}", self.id, state.id)));
        }
        Ok(state)
    }

    /// A whole file of the directory; `None` if it is missing.
    pub(super) fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let failed = |call: &str, e| Error::sys(format!("{call} {}/{name}", self.id), e);
        // Root may look at what a user has put there: a fifo must not hold it, nor an endless file.
        let file = match files::openat(&self.fd, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Ok(file) => file,
            Err(Errno::ENOENT) => return Ok(None),
            Err(e) => return Err(failed("open", e)),
        };
        // A state without seccomp profile has 6 KiB: one read, and one that says it was all.
        let mut bytes = Vec::new();
        let mut chunk = [0u8; 16384];
        loop {
            match read(&file, &mut chunk).map_err(|e| failed("read", e))? {
                0 => return Ok(Some(bytes)),
                _ if bytes.len() > MAX_STATE => return Err(failed("read", Errno::EFBIG)),
                n => bytes.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            }
        }
    }

    /// Writes state.json: a temporary file, then a rename, so that a reader sees the old one or the new one, whole.
    pub fn save<C: serde::Serialize>(&self, state: &State<C>) -> Result<()> {
        let bytes = serde_json::to_vec(state).map_err(|e| Error::new(format!("write {STATE}: {e}")))?;
        self.replace_state(&bytes)
    }

    pub(super) fn replace_state(&self, bytes: &[u8]) -> Result<()> {
        let temp = self.write_aside(bytes)?;
        self.rename_state(&temp)
    }

    /// Makes what was written aside the state.
    pub(super) fn rename_state(&self, temp: &str) -> Result<()> {
        let renamed = files::rename(&self.fd, temp, STATE);
        if renamed.is_err() {
            // The first error is the one to tell; what may stay behind is swept by `delete`.
            let _ = files::unlinkat(&self.fd, temp, UnlinkatFlags::NoRemoveDir);
        }
        renamed.map_err(|e| Error::sys(format!("rename {}/{STATE}", self.id), e))
    }

    /// Writes a file that can become state.json, and returns its name.
    pub(super) fn write_aside(&self, bytes: &[u8]) -> Result<String> {
        let failed = |call: &str, e| Error::sys(format!("{call} {}/{STATE}", self.id), e);
        if bytes.len() > MAX_STATE {
            return Err(failed("write", Errno::EFBIG));
        }
        let mut temp = String::new();
        let mut file = Err(Errno::EEXIST);
        // O_EXCL, because two writers may not share one; a name is only taken by one that died or by one in another pid
        // namespace.
        for attempt in 0..100u32 {
            temp = format!("state-{}-{attempt}", std::process::id());
            file = self.create_file(&temp);
            if !matches!(file, Err(Errno::EEXIST)) {
                break;
            }
        }
        let file = file.map_err(|e| failed("create", e))?;
        if let Err(e) = write_all(&file, bytes) {
            let _ = files::unlinkat(&self.fd, temp.as_str(), UnlinkatFlags::NoRemoveDir);
            return Err(failed("write", e));
        }
        Ok(temp)
    }

    pub(super) fn create_file(&self, name: &str) -> std::result::Result<OwnedFd, Errno> {
        files::create(&self.fd, name, Mode::S_IRUSR | Mode::S_IWUSR)
    }

    /// Changes the state on disk. Keys that `change` does not touch stay as they are, those that we do not know included: the
    /// file may have been written by another version, or by runc.
    pub fn update(&self, change: impl FnOnce(&mut State) -> Result<()>) -> Result<State> {
        let bytes = self.read_state()?;
        let before: State = self.load_from(&bytes)?;
        let mut after = before.clone();
        change(&mut after)?;
        self.replace_state(&super::rewrite::rewrite(&bytes, &before, &after)?)?;
        Ok(after)
    }

    /// Makes exec.fifo, 0622, owned by the container's root (`owner`: uid and gid on the host): its init opens it for
    /// writing and blocks until `start` reads.
    pub fn make_exec_fifo(&self, owner: (u32, u32)) -> Result<()> {
        let failed = |call: &str, e| Error::sys(format!("{call} {}/{EXEC_FIFO}", self.id), e);
        let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IWGRP | Mode::S_IWOTH;
        files::mkfifoat(&self.fd, EXEC_FIFO, mode).map_err(|e| failed("mkfifo", e))?;
        // Whatever our umask is.
        files::fchmodat(&self.fd, EXEC_FIFO, mode).map_err(|e| failed("chmod", e))?;
        if owner == (0, 0) {
            return Ok(());
        }
        let (uid, gid) = (Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)));
        files::fchownat(&self.fd, EXEC_FIFO, uid, gid).map_err(|e| failed("chown", e))
    }

    /// An O_PATH descriptor of exec.fifo, to hand to init.
    pub fn exec_fifo_path(&self) -> Result<OwnedFd> {
        files::openat(&self.fd, EXEC_FIFO, OFlag::O_PATH)
            .map_err(|e| Error::sys(format!("open {}/{EXEC_FIFO}", self.id), e))
    }

    /// The reading end, without waiting for init to be there (O_NONBLOCK); for `start`. A missing fifo is `ENOENT`.
    pub fn open_exec_fifo(&self) -> Result<OwnedFd> {
        files::openat(&self.fd, EXEC_FIFO, OFlag::O_RDONLY | OFlag::O_NONBLOCK)
            .map_err(|e| Error::sys(format!("exec fifo: open {}/{EXEC_FIFO}", self.id), e))
    }

    /// Whether the fifo is there, which is what makes a container `created`.
    pub fn has_exec_fifo(&self) -> Result<bool> {
        self.has(EXEC_FIFO)
    }

    /// Removes the fifo: the container is `running` from here on.
    pub fn remove_exec_fifo(&self) -> Result<()> {
        self.unlink(EXEC_FIFO)
    }

    /// Notes how the container ended, for `state`.
    ///
    /// # Errors
    /// As for state.json.
    pub fn save_end(&self, end: &End) -> Result<()> {
        let bytes = serde_json::to_vec(end).map_err(|e| Error::new(format!("write {END}: {e}")))?;
        let temp = self.write_aside(&bytes)?;
        files::rename(&self.fd, temp.as_str(), END).map_err(|e| Error::sys(format!("rename {}/{END}", self.id), e))
    }

    /// How the container ended, if somebody noted it. What is no such file is none: it must not keep anybody from the state.
    pub fn end(&self) -> Option<End> {
        let file = files::openat(&self.fd, END, OFlag::O_RDONLY | OFlag::O_NONBLOCK).ok()?;
        // A page holds it; what has more is another's.
        let mut bytes = [0u8; super::end::MAX];
        let n = read(&file, &mut bytes).ok()?;
        End::read(bytes.get(..n).filter(|bytes| bytes.len() < super::end::MAX)?)
    }

    /// Makes the file in which init notes when its steps end, for reading and writing.
    pub fn make_ticks(&self) -> Result<OwnedFd> {
        files::create_to_map(&self.fd, TICKS, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|e| Error::sys(format!("create {}/{TICKS}", self.id), e))
    }

    /// That file; `None` if the create was not traced.
    pub fn ticks(&self) -> Result<Option<Vec<u8>>> {
        self.read_file(TICKS)
    }

    /// A new file for a trace that an annotation asked for.
    pub fn make_trace(&self, name: &str) -> Result<OwnedFd> {
        self.create_file(name).map_err(|e| Error::sys(format!("create {}/{name}", self.id), e))
    }

    /// Makes or removes the mark that a checkpoint was written; it may be there, or missing, already.
    pub fn mark_checkpoint(&self, marked: bool) -> Result<()> {
        if !marked {
            return self.unlink(CHECKPOINT);
        }
        match self.create_file(CHECKPOINT) {
            Ok(_) | Err(Errno::EEXIST) => Ok(()),
            Err(e) => Err(Error::sys(format!("create {}/{CHECKPOINT}", self.id), e)),
        }
    }

    /// Makes the directory to which CRIU's root is mounted (in a namespace of CRIU's own).
    pub fn make_criu_root(&self) -> Result<()> {
        let made = files::mkdirat(&self.fd, CRIU_ROOT, Mode::S_IRWXU);
        made.map_err(|e| Error::sys(format!("mkdir {}/{CRIU_ROOT}", self.id), e))
    }

    /// Removes it.
    pub fn remove_criu_root(&self) -> Result<()> {
        missing_is_fine(files::unlinkat(&self.fd, CRIU_ROOT, UnlinkatFlags::RemoveDir))
            .map_err(|e| Error::sys(format!("rmdir {}/{CRIU_ROOT}", self.id), e))
    }

    /// Uid that owns the directory: who created the container.
    pub fn owner(&self) -> Result<u32> {
        fstat(&self.fd).map(|s| s.st_uid).map_err(|e| Error::sys(format!("stat {}", self.id), e))
    }

    /// Removes the directory. The last thing that `delete` does: as long as state.json is there a `delete` that was killed
    /// can be repeated, and without it the rest counts as an aborted create, which `delete` removes too.
    pub fn remove(self) -> Result<()> {
        self.unlink(EXEC_FIFO)?;
        self.unlink(STATE)?;
        match self.rmdir() {
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
            other => return other.map_err(|e| Error::sys(format!("rmdir {}", self.id), e)),
        }
        // notify/, what CRIU left, temporary files of a writer that was killed.
        sweep(&self.fd, 8).map_err(|e| {
            let error = Error::sys(format!("remove {}", self.id), e);
            if e == Errno::EXDEV {
                error.hint("something is mounted in its state directory: unmount it")
            } else {
                error
            }
        })?;
        self.rmdir().map_err(|e| Error::sys(format!("rmdir {}", self.id), e))
    }

    fn rmdir(&self) -> std::result::Result<(), Errno> {
        missing_is_fine(files::unlinkat(&self.root, self.id.as_str(), UnlinkatFlags::RemoveDir))
    }

    pub(super) fn unlink(&self, name: &str) -> Result<()> {
        missing_is_fine(files::unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir))
            .map_err(|e| Error::sys(format!("unlink {}/{name}", self.id), e))
    }
}

impl AsFd for ContainerDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn missing_is_fine(result: std::result::Result<(), Errno>) -> std::result::Result<(), Errno> {
    match result {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

pub(super) fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> std::result::Result<(), Errno> {
    while !bytes.is_empty() {
        let n = write(file, bytes)?;
        bytes = bytes.get(n..).ok_or(Errno::EIO)?;
    }
    Ok(())
}

/// Empties a directory, without following links, at most `depth` levels down. What is mounted in there is not ours: `EXDEV`.
fn sweep(dir: &OwnedFd, depth: u32) -> std::result::Result<(), Errno> {
    let mut names = Vec::new();
    for entry in files::list(dir)?.iter() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    for name in names {
        match files::unlinkat(dir, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR | Errno::EPERM) => {
                let depth = depth.checked_sub(1).ok_or(Errno::ELOOP)?;
                let how = ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_SYMLINKS;
                sweep(&files::beneath(dir, name.as_c_str(), DIRECTORY, how)?, depth)?;
                missing_is_fine(files::unlinkat(dir, name.as_c_str(), UnlinkatFlags::RemoveDir))?;
            }
            other => missing_is_fine(other)?,
        }
    }
    Ok(())
}
