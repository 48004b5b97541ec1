//! The host's side of a terminal: which combinations of flags make sense, and the caller's terminal while a process runs
//! in the foreground. The master comes from `dunnage-init`, which opens it inside the container.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::{SFlag, fstat};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::error::{Errno, Error, Result};
use crate::sys::descriptors::stdio;
use crate::sys::tty::{ptn, tcgetwinsize, tcsetwinsize};

/// Refuses what can't work. `detach`: create, `run -d` and `exec -d`.
pub fn check_flags(terminal: bool, detach: bool, console_socket: bool) -> Result<()> {
    match (terminal, detach, console_socket) {
        (true, true, false) => {
            Err(Error::new("cannot allocate tty if runc will detach without setting console socket"))
        }
        (false, _, true) | (_, false, true) => {
            Err(Error::new("cannot use console socket if runc will not detach or allocate tty"))
        }
        _ => Ok(()),
    }
}

/// Refuses what is not the master of a pseudoterminal. It comes from inside the container's root, where a mount of the
/// bundle could lie over `/dev/pts` (the class of CVE-2025-52565); who gets it next trusts it to be one.
pub fn check_master(master: BorrowedFd<'_>) -> Result<()> {
    let stat = fstat(master).map_err(|e| Error::sys("fstat of the container's terminal", e))?;
    let is_ptmx = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR
        && stat.st_rdev == libc::makedev(5, 2);
    // A device file with ptmx's number is not enough: it has to be one that a devpts made a terminal of.
    if is_ptmx && ptn(master).is_ok() {
        return Ok(());
    }
    Err(Error::new("/dev/pts/ptmx of the container is not the master of a pseudoterminal"))
}

/// `process.consoleSize`, in characters; a size with a zero in it is none. For a detached process, whose terminal has no
/// host terminal to take it from.
pub fn set_size(master: BorrowedFd<'_>, height: u16, width: u16) -> Result<()> {
    if height == 0 || width == 0 {
        return Ok(());
    }
    let size = libc::winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, &size).map_err(|e| Error::sys("ioctl TIOCSWINSZ", e).field("/process/consoleSize"))
}

/// The terminal that our caller sits at. Found before anything is started, so that its absence is an early error.
#[derive(Debug)]
pub struct HostTerminal {
    tty: OwnedFd,
    saved: Termios,
}

impl HostTerminal {
    /// The first terminal among stderr, stdout and stdin, else `/dev/tty`.
    pub fn open() -> Result<HostTerminal> {
        let standard = stdio().into_iter().rev().find_map(|fd| Some((fd.try_clone_to_owned(), tcgetattr(fd).ok()?)));
        if let Some((tty, saved)) = standard {
            let tty = tty.map_err(|e| Error::io("dup of the terminal", &e))?;
            return Ok(HostTerminal { tty, saved });
        }
        let tty = crate::files::open("/dev/tty", OFlag::O_RDWR).map_err(|e| Error::sys("open /dev/tty", e))?;
        let saved = tcgetattr(&tty).map_err(|e| Error::sys("tcgetattr of /dev/tty", e))?;
        Ok(HostTerminal { tty, saved })
    }

    /// Connects it to the container's terminal: the size is copied, each key goes through as it is typed (raw), and line
    /// ends are translated here only. Undone when the result is dropped.
    pub fn attach(self, master: OwnedFd) -> Result<Console> {
        let settings = |e| Error::sys("settings of the container's terminal", e);
        let mut inner = tcgetattr(&master).map_err(settings)?;
        inner.output_flags.remove(OutputFlags::ONLCR);
        tcsetattr(&master, SetArg::TCSANOW, &inner).map_err(settings)?;
        let mut raw = self.saved.clone();
        cfmakeraw(&mut raw);
        // Since the container's side no longer does it, this side goes on turning a line feed into a new line.
        raw.output_flags.insert(OutputFlags::OPOST);
        // From here on the drop of `console` restores what `raw` changes.
        let console = Console { host: self, master };
        console.resize();
        tcsetattr(&console.host.tty, SetArg::TCSANOW, &raw).map_err(|e| Error::sys("set the terminal to raw", e))?;
        Ok(console)
    }
}

/// The caller's terminal connected to the container's.
#[derive(Debug)]
pub struct Console {
    host: HostTerminal,
    master: OwnedFd,
}

impl Console {
    /// Gives the container's terminal the size of the host's: at the start, and on each SIGWINCH. A terminal that has
    /// just gone has no size; that is not worth ending the container for.
    pub fn resize(&self) {
        let result: Result<(), Errno> =
            tcgetwinsize(self.host.tty.as_fd()).and_then(|size| tcsetwinsize(self.master.as_fd(), &size));
        result.ok();
    }

    /// The master of the container's terminal.
    pub fn master(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // If the terminal has gone, there is nothing to restore and nobody to tell.
        tcsetattr(&self.host.tty, SetArg::TCSANOW, &self.host.saved).ok();
    }
}

#[cfg(test)]
mod tests {
    use nix::pty::openpty;
    use nix::sys::termios::LocalFlags;

    use super::*;

    #[test]
    fn flags_that_make_no_sense() {
        let (no_socket, no_use) = (
            Some("cannot allocate tty if runc will detach without setting console socket"),
            Some("cannot use console socket if runc will not detach or allocate tty"),
        );
        for (terminal, detach, socket, want) in [
            (true, true, true, None),
            (true, true, false, no_socket),
            (true, false, true, no_use),
            (true, false, false, None),
            (false, true, true, no_use),
            (false, true, false, None),
            (false, false, true, no_use),
            (false, false, false, None),
        ] {
            let got = check_flags(terminal, detach, socket).err().map(|e| e.to_string());
            assert_eq!(got.as_deref(), want, "terminal {terminal}, detach {detach}, socket {socket}");
        }
    }

    #[test]
    fn attached_raw_and_sized_then_as_before() {
        let size = libc::winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
        let host = openpty(&size, None).unwrap();
        let inner = openpty(None, None).unwrap();
        let before = tcgetattr(&host.slave).unwrap();
        let terminal = HostTerminal { tty: host.slave.try_clone().unwrap(), saved: before.clone() };
        let console = terminal.attach(inner.master).unwrap();

        let raw = tcgetattr(&host.slave).unwrap();
        assert!(!raw.local_flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG));
        assert!(raw.output_flags.contains(OutputFlags::OPOST | OutputFlags::ONLCR));
        assert!(!tcgetattr(&inner.slave).unwrap().output_flags.contains(OutputFlags::ONLCR));
        let got = tcgetwinsize(inner.slave.as_fd()).unwrap();
        assert_eq!((got.ws_row, got.ws_col), (33, 77));

        tcsetwinsize(host.master.as_fd(), &libc::winsize { ws_row: 50, ..size }).unwrap();
        console.resize();
        assert_eq!(tcgetwinsize(inner.slave.as_fd()).unwrap().ws_row, 50);
        drop(console);
        assert_eq!(tcgetattr(&host.slave).unwrap(), before);
    }

    #[test]
    fn only_a_master_is_a_master() {
        let pty = openpty(None, None).unwrap();
        check_master(pty.master.as_fd()).unwrap();
        let (pipe, _write) = std::io::pipe().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        for other in [pty.slave.as_fd(), pipe.as_fd(), null.as_fd()] {
            check_master(other).unwrap_err();
        }
    }

    #[test]
    fn console_size_is_all_or_nothing() {
        let pty = openpty(None, None).unwrap();
        let size = || tcgetwinsize(pty.slave.as_fd()).map(|s| (s.ws_row, s.ws_col)).unwrap();
        set_size(pty.master.as_fd(), 0, 80).unwrap();
        assert_eq!(size(), (0, 0));
        set_size(pty.master.as_fd(), 24, 80).unwrap();
        assert_eq!(size(), (24, 80));
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(set_size(null.as_fd(), 1, 1).unwrap_err().errno(), Some(Errno::ENOTTY));
    }
}
