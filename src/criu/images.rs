//! The directories that CRIU is given, as descriptors, and the one file in them that is the runtime's own: descriptors.json, which
//! says where the container's descriptors 0-2 led, so that `restore` can put its own in place of pipes.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::UnlinkatFlags;

use super::log;
use crate::error::{Errno, Error, Result};
use crate::files::{self, DIRECTORY};

const DESCRIPTORS: &str = "descriptors.json";

/// Where images are, and where CRIU works.
#[derive(Debug)]
pub struct Directories {
    images: Directory,
    work: Option<Directory>,
}

#[derive(Debug)]
struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    fn open(path: &Path) -> Result<Directory> {
        let fd = files::open(path, DIRECTORY).map_err(|e| Error::sys(format!("open {}", path.display()), e))?;
        Ok(Directory { fd, path: path.to_owned() })
    }

    /// Made 0700 if it is missing: what is in it is the memory of processes.
    fn make(path: &Path) -> Result<Directory> {
        let fd = files::make_dirs(path).map_err(|e| Error::sys(format!("mkdir {}", path.display()), e))?;
        Ok(Directory { fd, path: path.to_owned() })
    }
}

impl Directories {
    /// To write images to.
    pub fn make(images: &Path, work: Option<&Path>) -> Result<Directories> {
        Ok(Directories { images: Directory::make(images)?, work: work.map(Directory::make).transpose()? })
    }

    /// To restore from; the images have to be there.
    pub fn open(images: &Path, work: Option<&Path>) -> Result<Directories> {
        Ok(Directories { images: Directory::open(images)?, work: work.map(Directory::make).transpose()? })
    }

    /// The same directories as the mount namespace that we are in has them: CRIU mounts something in its work directory.
    ///
    /// # Errors
    /// They are not there, or others are.
    pub fn again(&self) -> Result<Directories> {
        let again = |dir: &Directory| -> Result<Directory> {
            let failed = |call: &str, e| Error::sys(format!("{call} {}", dir.path.display()), e);
            let name = name_of(dir.fd.as_fd()).map_err(|e| failed("readlink", e))?;
            let fd = files::open(name.as_str(), DIRECTORY).map_err(|e| failed("open", e))?;
            let [one, two] = [&dir.fd, &fd].map(|fd| fstat(fd).map(|s| (s.st_dev, s.st_ino)));
            if one.map_err(|e| failed("stat", e))? != two.map_err(|e| failed("stat", e))? {
                return Err(Error::new(format!("{} is another directory now", dir.path.display())));
            }
            Ok(Directory { fd, path: dir.path.clone() })
        };
        Ok(Directories { images: again(&self.images)?, work: self.work.as_ref().map(again).transpose()? })
    }

    /// That of the images, by its number: CRIU opens it in our /proc/PID/fd.
    pub fn images(&self) -> i32 {
        self.images.fd.as_raw_fd()
    }

    /// That for logs and statistics, if it is another.
    pub fn work(&self) -> Option<i32> {
        self.work.as_ref().map(|dir| dir.fd.as_raw_fd())
    }

    /// `--parent-path`: below the images, as CRIU follows it.
    ///
    /// # Errors
    /// `--parent-path must be relative`, `invalid --parent-path`.
    pub fn check_parent(&self, parent: &str) -> Result<()> {
        if parent.starts_with('/') {
            return Err(Error::new("--parent-path must be relative"));
        }
        let whole = self.images.path.join(parent);
        files::open(&whole, OFlag::O_PATH | OFlag::O_DIRECTORY)
            .map(drop)
            .map_err(|e| Error::sys(format!("stat {}", whole.display()), e).doing("invalid --parent-path"))
    }

    /// Adds what the log says of it to an error of CRIU's, and where the log is.
    pub fn explain(&self, error: Error, log_file: &str) -> Error {
        let Directory { fd, path } = self.work.as_ref().unwrap_or(&self.images);
        let errors = log::errors(fd.as_fd(), log_file);
        if errors.is_empty() {
            return error;
        }
        let (text, ..) = error.into_parts();
        Error::new(format!("{text}: {}", errors.join(": ")))
            .hint(format!("log file: {}", path.join(log_file).display()))
    }

    /// Writes descriptors.json anew, 0600.
    ///
    /// # Errors
    /// openat(2), write(2).
    pub fn write_descriptors(&self, links: &[String]) -> Result<()> {
        let failed = |call: &str, e| Error::sys(format!("{call} {}", self.images.path.join(DESCRIPTORS).display()), e);
        match files::unlinkat(&self.images.fd, DESCRIPTORS, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(e) => return Err(failed("unlink", e)),
        }
        let file = files::create(&self.images.fd, DESCRIPTORS, Mode::S_IRUSR | Mode::S_IWUSR);
        let file = file.map_err(|e| failed("create", e))?;
        let json = serde_json::to_vec(links).map_err(|e| Error::new(format!("write {DESCRIPTORS}: {e}")))?;
        File::from(file).write_all(&json).map_err(|e| Error::io(format_args!("write {DESCRIPTORS}"), &e))
    }

    /// Reads it. Only a regular file counts: an image may come from anywhere.
    ///
    /// # Errors
    /// It is missing or says something else.
    pub fn read_descriptors(&self) -> Result<Vec<String>> {
        let name = self.images.path.join(DESCRIPTORS);
        let failed = |e| Error::sys(format!("open {}", name.display()), e);
        let fd = files::openat(&self.images.fd, DESCRIPTORS, OFlag::O_RDONLY | OFlag::O_NONBLOCK).map_err(failed)?;
        let stat = fstat(&fd).map_err(failed)?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Err(Error::new(format!("{} is not a regular file", name.display())));
        }
        let bytes =
            files::document_of(File::from(fd)).map_err(|e| Error::io(format_args!("read {}", name.display()), &e))?;
        // runc writes `null` for a container of which it knows no descriptors.
        let links: Option<Vec<String>> =
            serde_json::from_slice(&bytes).map_err(|e| Error::new(format!("{}: {e}", name.display())))?;
        Ok(links.unwrap_or_default())
    }
}

/// Where descriptors 0-2 of a process lead: `/dev/null`, `pipe:[1234]`.
///
/// # Errors
/// readlink(2).
pub fn links(pid: i32) -> Result<Vec<String>> {
    let link = |n: i32| {
        let path = format!("/proc/{pid}/fd/{n}");
        match nix::fcntl::readlink(path.as_str()) {
            Ok(link) => Ok(link.to_string_lossy().into_owned()),
            // It has closed it.
            Err(Errno::ENOENT) => Ok(String::new()),
            Err(e) => Err(Error::sys(format!("readlink {path}"), e)),
        }
    };
    (0..3).map(link).collect()
}

/// A directory by its handle, as the kernel names it.
pub(super) fn name_of(fd: BorrowedFd<'_>) -> std::result::Result<String, Errno> {
    let link = nix::fcntl::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()).as_str())?;
    Ok(link.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_there_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let images = dir.path().join("a/images");
        let directories = Directories::make(&images, None).unwrap();
        let links = ["/dev/null", "pipe:[1]", ""].map(str::to_owned);
        for _ in 0..2 {
            directories.write_descriptors(&links).unwrap();
        }
        assert_eq!(std::fs::read_to_string(images.join(DESCRIPTORS)).unwrap(), r#"["/dev/null","pipe:[1]",""]"#);
        assert_eq!(directories.read_descriptors().unwrap(), links);
        std::fs::write(images.join(DESCRIPTORS), "null").unwrap();
        assert!(directories.read_descriptors().unwrap().is_empty());
    }

    #[test]
    fn descriptors_that_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let directories = Directories::open(dir.path(), None).unwrap();
        let fault = || directories.read_descriptors().unwrap_err().to_string();
        assert!(fault().ends_with("no such file or directory"));
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join(DESCRIPTORS)).unwrap();
        assert!(fault().ends_with("too many levels of symbolic links"), "{}", fault());
        std::fs::remove_file(dir.path().join(DESCRIPTORS)).unwrap();
        nix::unistd::mkfifo(&dir.path().join(DESCRIPTORS), Mode::S_IRWXU).unwrap();
        assert!(fault().ends_with("is not a regular file"));
        std::fs::remove_file(dir.path().join(DESCRIPTORS)).unwrap();
        std::fs::write(dir.path().join(DESCRIPTORS), "{}").unwrap();
        assert!(fault().contains("invalid type"), "{}", fault());
    }

    #[test]
    fn parents() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("parent")).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let directories = Directories::make(&dir.path().join("images"), None).unwrap();
        directories.check_parent("../parent").unwrap();
        let fault = |parent| directories.check_parent(parent).unwrap_err().to_string();
        assert_eq!(fault("/parent"), "--parent-path must be relative");
        assert!(fault("../none").starts_with("invalid --parent-path: stat "));
        assert!(fault("../file").ends_with("not a directory"));
    }
}
