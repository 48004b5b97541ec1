//! What a process gets as its descriptors 0-2 when it has no terminal, and who owns them. Knows nothing of how they get
//! there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::unistd::{Gid, Uid, fchown, getegid, geteuid, pipe2};

use super::relay::{Relay, kind};
use crate::error::{Errno, Error, Result};
use crate::sys::descriptors::stdio;

const NAMES: [&str; 3] = ["stdin", "stdout", "stderr"];

/// Who owns the process's stdio, in ids of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Of the process's user: it may open `/dev/stdout` again.
    pub uid: u32,
    /// Of the container's root; for pipes that we make. What the caller made keeps its group.
    pub gid: u32,
}

/// What becomes the process's descriptors 0-2, and what we do meanwhile.
#[derive(Debug, Default)]
pub struct StdioPlan {
    /// `None`: ours, unchanged. To be closed here once the process has them.
    pub child: [Option<OwnedFd>; 3],
    /// Our part.
    pub relay: Relay,
    /// Where its descriptors lead, as /proc/PID/fd has it; of what is no pipe, socket or null device only that it is something else.
    /// Whoever restores a checkpoint has to know the pipes.
    pub links: Vec<String>,
}

impl StdioPlan {
    /// create, `run -d`, `exec -d` without a terminal: ours, whatever they are. Only their owner changes.
    /// `null`: see [`null`].
    pub fn detached(owner: Owner, null: u32) -> Result<StdioPlan> {
        let mut plan = StdioPlan::default();
        for (slot, (fd, name)) in stdio().into_iter().zip(NAMES).enumerate() {
            if null & 1 << slot != 0 {
                plan.links.push(NULL.to_owned());
                continue;
            }
            let stat = stat(fd, name)?;
            give(fd, &stat, owner, name)?;
            plan.links.push(link(&stat));
        }
        Ok(plan)
    }

    /// With a terminal, whose slave `dunnage-init` puts on 0-2; [`Relay::terminal`] follows in the foreground.
    pub fn terminal() -> StdioPlan {
        StdioPlan { links: vec![NULL.to_owned(); 3], ..StdioPlan::default() }
    }

    /// run, exec without a terminal. runc copies everything through three pipes. A pipe or a socket of the caller can be
    /// passed on as it is: it is what the process would get anyway, one copy less. A terminal can't, because its
    /// holder may push input into it (TIOCSTI); nor a file, whose owner would have to change.
    pub fn foreground(owner: Owner, null: u32) -> Result<StdioPlan> {
        let mut plan = StdioPlan::default();
        for (slot, (fd, name)) in stdio().into_iter().zip(NAMES).enumerate() {
            if null & 1 << slot != 0 {
                plan.links.push(NULL.to_owned());
            } else {
                plan.add(slot, fd, name, owner)?;
            }
        }
        Ok(plan)
    }

    fn add(&mut self, slot: usize, fd: BorrowedFd<'_>, name: &str, owner: Owner) -> Result<()> {
        let stat = stat(fd, name)?;
        if is_null(&stat) || matches!(kind(&stat), SFlag::S_IFIFO | SFlag::S_IFSOCK) {
            self.links.push(link(&stat));
            return give(fd, &stat, owner, name);
        }
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|e| Error::sys(format!("pipe for {name}"), e))?;
        let child = if slot == 0 { &read } else { &write };
        self.links.push(link(&self::stat(child.as_fd(), name)?));
        if (geteuid().as_raw(), getegid().as_raw()) != (owner.uid, owner.gid) {
            match fchown(child, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid))) {
                // Rootless: the process does it itself, where it is root (step `stdio-owner`).
                Ok(()) | Err(Errno::EPERM) => {}
                Err(e) => return Err(Error::sys(format!("fchown of the pipe for {name}"), e)),
            }
        }
        let child = if slot == 0 {
            self.relay.add_stdin(fd, write)?;
            read
        } else {
            self.relay.add_output(read, fd)?;
            write
        };
        if let Some(place) = self.child.get_mut(slot) {
            *place = Some(child);
        }
        Ok(())
    }
}

fn stat(fd: BorrowedFd<'_>, name: &str) -> Result<FileStat> {
    fstat(fd).map_err(|e| Error::sys(format!("fstat of {name}"), e))
}

const NULL: &str = "/dev/null";

fn link(stat: &FileStat) -> String {
    match kind(stat) {
        SFlag::S_IFIFO => format!("pipe:[{}]", stat.st_ino),
        SFlag::S_IFSOCK => format!("socket:[{}]", stat.st_ino),
        _ if is_null(stat) => NULL.to_owned(),
        // Of a file one would have to ask for the name, which nobody reads.
        _ => "file".to_owned(),
    }
}

/// Which of descriptors 0-2 are the null device, a bit each: nothing has to be done about those.
pub fn null() -> u32 {
    let is_null = |fd| fstat(fd).is_ok_and(|stat| is_null(&stat));
    stdio().into_iter().zip([1, 2, 4]).filter(|(fd, _)| is_null(*fd)).fold(0, |bits, (_, bit)| bits | bit)
}

/// The null device of the host: nobody's to own.
fn is_null(stat: &FileStat) -> bool {
    kind(stat) == SFlag::S_IFCHR && stat.st_rdev == libc::makedev(1, 3)
}

/// Makes the process's user the owner of one of the caller's descriptors, as runc does; its group stays.
fn give(fd: BorrowedFd<'_>, stat: &FileStat, owner: Owner, name: &str) -> Result<()> {
    if is_null(stat) || stat.st_uid == owner.uid {
        return Ok(());
    }
    match fchown(fd, Some(Uid::from_raw(owner.uid)), None) {
        // A file of somebody else (rootless), or on a read-only filesystem: usable all the same.
        Ok(()) | Err(Errno::EPERM | Errno::EROFS) => Ok(()),
        Err(e) => Err(Error::sys(format!("fchown of {name}"), e)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek, Write};
    use std::os::unix::fs::MetadataExt;
    use std::process::Stdio;

    use super::super::alone::{code_within, command, is_alone, run};
    use super::*;

    const OURS: Owner = Owner { uid: 0, gid: 0 };
    const USER: Owner = Owner { uid: 1234, gid: 5678 };

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        file
    }

    fn content(mut file: File) -> Vec<u8> {
        let mut content = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn files_are_relayed_ten_megabytes_both_ways() {
        if is_alone() {
            let plan = StdioPlan::foreground(USER, 0).unwrap();
            assert!(plan.child.iter().all(Option::is_some));
            run(plan, "stat -L -c %F:%u:%g /proc/self/fd/0 /proc/self/fd/1 >&2; cat; exit 7");
        }
        let data: Vec<u8> = (0..10_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let (stdin, stdout, stderr) = (file(&data), file(b""), file(b""));
        let mut child = command("launch::stdio::tests::files_are_relayed_ten_megabytes_both_ways")
            .stdin(stdin.try_clone().unwrap())
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap())
            .spawn()
            .unwrap();
        assert_eq!(code_within(&mut child, 30), 7);
        assert!(content(stdout.try_clone().unwrap()).ends_with(&data));
        assert_eq!(String::from_utf8(content(stderr)).unwrap(), "fifo:1234:5678\nfifo:1234:5678\n");
        // The caller's own files stay the caller's.
        assert_eq!((stdin.metadata().unwrap().uid(), stdout.metadata().unwrap().uid()), (0, 0));
    }

    #[test]
    fn pipes_sockets_and_null_are_passed_on() {
        if is_alone() {
            let plan = StdioPlan::foreground(USER, 0).unwrap();
            assert!(plan.child.iter().all(Option::is_none) && plan.relay.is_idle());
            run(plan, "stat -L -c %F:%i:%u:%g /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2");
        }
        let (mut read, write) = std::io::pipe().unwrap();
        let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let (pipe_inode, socket_inode) = (fstat(&write).unwrap().st_ino, fstat(&socket).unwrap().st_ino);
        let mut child = command("launch::stdio::tests::pipes_sockets_and_null_are_passed_on")
            .stdin(Stdio::null())
            .stdout(write)
            .stderr(std::os::fd::OwnedFd::from(socket))
            .spawn()
            .unwrap();
        assert_eq!(code_within(&mut child, 20), 0);
        let mut out = String::new();
        read.read_to_string(&mut out).unwrap();
        let null = std::fs::metadata("/dev/null").unwrap();
        let want = format!(
            "character special file:{}:{}:{}\nfifo:{pipe_inode}:1234:0\nsocket:{socket_inode}:1234:0\n",
            null.ino(),
            null.uid(),
            null.gid()
        );
        assert!(out.ends_with(&want), "{out}");
    }

    #[test]
    fn the_hosts_terminal_stays_with_us() {
        if is_alone() {
            run(StdioPlan::foreground(OURS, 0).unwrap(), "test -t 0 || test -t 1 || test -t 2 || cat; exit 0");
        }
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut child = command("launch::stdio::tests::the_hosts_terminal_stays_with_us")
            .stdin(pty.slave.try_clone().unwrap())
            .stdout(pty.slave.try_clone().unwrap())
            .stderr(pty.slave.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut master = File::from(pty.master);
        // A line, and the end of the input (^D), as one types them.
        master.write_all(b"typed\n\x04").unwrap();
        assert_eq!(code_within(&mut child, 20), 0);
        drop(pty.slave);
        let mut out = Vec::new();
        let _hung_up = master.read_to_end(&mut out).unwrap_err();
        let out = String::from_utf8(out).unwrap();
        // Echoed by the terminal, and once more by cat.
        assert_eq!(out.matches("typed").count(), 2, "{out:?}");
    }

    #[test]
    fn detached_changes_the_owner_only_and_only_its_user() {
        if is_alone() {
            let plan = StdioPlan::detached(USER, 0).unwrap();
            assert!(plan.child.iter().all(Option::is_none) && plan.relay.is_idle());
            std::process::exit(0);
        }
        let (read, write) = std::io::pipe().unwrap();
        let stderr = file(b"");
        let mut child = command("launch::stdio::tests::detached_changes_the_owner_only_and_only_its_user")
            .stdin(Stdio::null())
            .stdout(write)
            .stderr(stderr.try_clone().unwrap())
            .spawn()
            .unwrap();
        assert_eq!(code_within(&mut child, 20), 0);
        let pipe = fstat(&read).unwrap();
        assert_eq!((pipe.st_uid, pipe.st_gid), (1234, 0));
        assert_eq!((stderr.metadata().unwrap().uid(), stderr.metadata().unwrap().gid()), (1234, 0));
        assert_eq!(std::fs::metadata("/dev/null").unwrap().uid(), 0);
    }
}
