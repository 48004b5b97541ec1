//! What a shim keeps in bundles, for the daemon and for `delete`, which comes when nobody else is left to ask. Every file appears by a
//! rename, so that it is whole or not there. A bundle belongs to the daemon: nobody else writes to it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use dunnage::error::{Error, Result};
use dunnage::files;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::UnlinkatFlags;
use serde::{Deserialize, Serialize};

use crate::proto::Timestamp;

/// The shim's address.
pub const ADDRESS: &str = "address";
/// The runtime's options.
pub const OPTIONS: &str = "options.json";
/// The runtime's name.
pub const RUNTIME: &str = "runtime";
/// The first process's pid.
pub const INIT_PID: &str = "init.pid";
/// What CRIU said of a checkpoint that failed.
pub const CRIU_LOG: &str = "criu-dump.log";
/// How the first process ended.
const EXIT: &str = "dunnage-exit.json";
/// The containers of the group, in the bundle of its first.
const GROUP: &str = "dunnage-group.json";

/// How a process ended, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its pid.
    pub pid: i32,
    /// As a shell has it: the code, or 128 and the signal.
    pub status: u32,
    /// Seconds since 1970.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanos: i32,
}

impl Exit {
    /// When.
    pub fn time(&self) -> Timestamp {
        Timestamp { seconds: self.seconds, nanos: self.nanos }
    }
}

/// A container of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its bundle.
    pub bundle: PathBuf,
}

/// A bundle's directory.
#[derive(Debug)]
pub struct Bundle {
    dir: OwnedFd,
}

impl Bundle {
    /// # Errors
    /// open(2).
    pub fn open(path: &Path) -> Result<Bundle> {
        let dir = files::open(path, files::DIRECTORY);
        Ok(Bundle { dir: dir.map_err(|e| Error::sys(format!("open {}", path.display()), e))? })
    }

    /// Writes a file, readable by root alone.
    ///
    /// # Errors
    /// What openat(2), write(2) or renameat(2) say.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let temporary = format!(".{name}.{}", std::process::id());
        let failed = |call: &str, e| Error::sys(format!("{call} {name} in the bundle"), e);
        let file = match files::create(&self.dir, temporary.as_str(), Mode::S_IRUSR | Mode::S_IWUSR) {
            // Of one with our pid that died here.
            Err(nix::errno::Errno::EEXIST) => {
                self.remove(&temporary);
                files::create(&self.dir, temporary.as_str(), Mode::S_IRUSR | Mode::S_IWUSR)
            }
            created => created,
        }
        .map_err(|e| failed("create", e))?;
        let written = std::io::Write::write_all(&mut std::fs::File::from(file), content)
            .map_err(|e| Error::io(format_args!("write {name} in the bundle"), &e))
            .and_then(|()| files::rename(&self.dir, temporary.as_str(), name).map_err(|e| failed("rename", e)));
        if written.is_err() {
            self.remove(&temporary);
        }
        written
    }

    /// A whole file, if it is there.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let file = files::openat(&self.dir, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK).ok()?;
        files::document_of(std::fs::File::from(file)).ok()
    }

    /// The same as text, without space around it.
    pub fn read_text(&self, name: &str) -> Option<String> {
        Some(String::from_utf8(self.read(name)?).ok()?.trim().to_owned())
    }

    /// Removes a file that may be missing.
    pub fn remove(&self, name: &str) {
        files::unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir).ok();
    }

    /// The directory itself.
    pub fn dir(&self) -> impl AsFd {
        self.dir.as_fd()
    }

    /// Notes how the first process ended.
    ///
    /// # Errors
    /// As [`Bundle::write`].
    pub fn write_exit(&self, exit: &Exit) -> Result<()> {
        self.write(EXIT, &serde_json::to_vec(exit).unwrap_or_default())
    }

    /// How the first process ended, if somebody noted it.
    pub fn exit(&self) -> Option<Exit> {
        serde_json::from_slice(&self.read(EXIT)?).ok()
    }

    /// Notes who is in the group.
    ///
    /// # Errors
    /// As [`Bundle::write`].
    pub fn write_group(&self, members: &[Member]) -> Result<()> {
        self.write(GROUP, &serde_json::to_vec(members).unwrap_or_default())
    }

    /// Who is in the group.
    pub fn group(&self) -> Vec<Member> {
        self.read(GROUP).and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = Bundle::open(dir.path()).unwrap();
        assert_eq!((bundle.exit(), bundle.group().len()), (None, 0));
        let exit = Exit { pid: 7, status: 137, seconds: 5, nanos: 6 };
        bundle.write_exit(&exit).unwrap();
        assert_eq!(bundle.exit(), Some(exit));
        let members = [Member { id: "a".into(), bundle: "/b/a".into() }];
        bundle.write_group(&members).unwrap();
        bundle.write_group(&members).unwrap();
        assert_eq!(bundle.group(), members);
        bundle.write(ADDRESS, b"unix:///x\n").unwrap();
        assert_eq!(bundle.read_text(ADDRESS).unwrap(), "unix:///x");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    /// A daemon's fifo of that name is not waited for.
    #[test]
    fn a_fifo_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&dir.path().join(EXIT), Mode::S_IRWXU).unwrap();
        assert_eq!(Bundle::open(dir.path()).unwrap().exit(), None);
    }
}
