//! `--pid-file`: a file that is either absent or complete. Knows nothing of what happens before it may appear.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::UnlinkatFlags;

use crate::error::{Errno, Error, Result};
use crate::files;

const MODE: Mode = Mode::from_bits_truncate(0o666);

/// Where the pid file will be. The directory is opened here, before the chdir into the bundle: a relative path is one
/// relative to the caller.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    dir: OwnedFd,
    name: OsString,
}

impl PidFile {
    /// Opens the directory in which `path` lies, so that a wrong path fails before anything is started.
    pub fn prepare(path: &Path) -> Result<PidFile> {
        let Some(name) = path.file_name() else {
            return Err(Error::sys(format!("open pid file {:?}", path), Errno::EISDIR));
        };
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let dir = files::open(parent, OFlag::O_PATH | OFlag::O_DIRECTORY)
            .map_err(|e| Error::sys(format!("open {} of the pid file", parent.display()), e))?;
        Ok(PidFile { path: path.into(), dir, name: name.into() })
    }

    /// Writes the digits, without a newline (go-runc reads the whole file as a number), and lets the file appear when they are in
    /// it: whoever waits for it never sees half of it. Mode 0666 less the umask.
    pub fn write(&self, pid: i32) -> Result<()> {
        match self.write_nameless(pid) {
            Ok(()) => Ok(()),
            // There is one already, or the file system has no such files; or it fails again, and is told.
            Err(_) => self.write_beside(pid),
        }
    }

    /// In a file that has no name until it is complete: of a process that is killed meanwhile nothing is left.
    fn write_nameless(&self, pid: i32) -> std::io::Result<()> {
        let mut file: std::fs::File = files::create_nameless(&self.dir, MODE)?.into();
        file.write_all(pid.to_string().as_bytes())?;
        Ok(files::name(&file, &self.dir, self.name.as_os_str())?)
    }

    /// In place of what is there.
    fn write_beside(&self, pid: i32) -> Result<()> {
        let (temporary, file) = self.create()?;
        let written = std::fs::File::from(file)
            .write_all(pid.to_string().as_bytes())
            .map_err(|e| Error::io(format!("write {}", self.path.display()), &e))
            .and_then(|()| {
                files::rename(&self.dir, temporary.as_os_str(), self.name.as_os_str())
                    .map_err(|e| Error::sys(format!("rename to {}", self.path.display()), e))
            });
        if written.is_err() {
            // What failed is told; that the temporary file could not be removed either would only hide it.
            files::unlinkat(&self.dir, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir).ok();
        }
        written
    }

    /// A new file beside the target. O_EXCL: in a directory that others may write to, nobody's link is followed and
    /// nobody's file is used; a name that is taken (an earlier process of our pid died here) leads to the next.
    fn create(&self) -> Result<(OsString, OwnedFd)> {
        let mut error = Errno::EEXIST;
        for attempt in 0..100 {
            let name = format!(".dunnage-pid-{}-{attempt}", std::process::id());
            match files::create(&self.dir, OsStr::new(&name), MODE) {
                Ok(file) => return Ok((name.into(), file)),
                Err(e) => error = e,
            }
            if error != Errno::EEXIST {
                break;
            }
        }
        Err(Error::sys(format!("create {}", self.path.display()), error))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn digits_only_and_nothing_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        std::fs::write(&path, "old and longer").unwrap();
        // Taken by one who had our pid: not in our way.
        std::fs::write(dir.path().join(format!(".dunnage-pid-{}-0", std::process::id())), "").unwrap();
        PidFile::prepare(&path).unwrap().write(4711).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"4711");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        let umask = nix::sys::stat::umask(Mode::empty());
        nix::sys::stat::umask(umask);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666 & !umask.bits());
    }

    /// A process that is killed while it writes leaves no file that nobody knows of.
    #[test]
    fn a_new_one_has_no_name_until_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let file = PidFile::prepare(&path).unwrap();
        file.write_nameless(4711).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"4711");
        let umask = nix::sys::stat::umask(Mode::empty());
        nix::sys::stat::umask(umask);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666 & !umask.bits());
        assert_eq!(file.write_nameless(4712).unwrap_err().raw_os_error(), Some(libc::EEXIST));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_reader_sees_all_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let file = PidFile::prepare(&path).unwrap();
        file.write(1_000_000).unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                (0..2000).all(|_| std::fs::read_to_string(&path).unwrap().parse::<u32>().unwrap() >= 1_000_000)
            });
            for pid in 1_000_000..1_000_500 {
                file.write(pid).unwrap();
            }
            assert!(reader.join().unwrap());
        });
    }

    #[test]
    fn replaces_a_symlink_instead_of_following_it() {
        let dir = tempfile::tempdir().unwrap();
        let (canary, path) = (dir.path().join("canary"), dir.path().join("pid"));
        std::fs::write(&canary, "alive").unwrap();
        std::os::unix::fs::symlink(&canary, &path).unwrap();
        PidFile::prepare(&path).unwrap().write(7).unwrap();
        assert_eq!(std::fs::read_to_string(&canary).unwrap(), "alive");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "7");
    }

    #[test]
    fn errors_name_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let missing = PidFile::prepare(&dir.path().join("no/pid")).unwrap_err();
        assert_eq!(missing.errno(), Some(Errno::ENOENT));
        let taken = dir.path().join("dir");
        std::fs::create_dir(&taken).unwrap();
        let error = PidFile::prepare(&taken).unwrap().write(1).unwrap_err();
        assert!(error.to_string().starts_with("rename to "), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "the temporary file is gone");
        assert!(PidFile::prepare(Path::new("/")).is_err());
    }
}
