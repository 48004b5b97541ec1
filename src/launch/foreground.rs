//! While a process runs in the foreground: signals go to it, its input and output come and go, orphans are reaped; its end
//! is ours. One thread, one poll(2) loop, nothing in it blocks.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::notify::Forwarder;
use super::relay::Relay;
use crate::error::{Errno, Error, Result};
use crate::sys::children::{reap_any, restore_sigchld};
use crate::sys::pidfd::{Exit, PidFd};

/// How soon a terminal that all had closed is noticed to be open again, in milliseconds.
const HUNG_UP_RETRY: u8 = 100;

/// Reads of a dead process's terminal: at 4 KiB each more than the kernel buffers for one (640 KiB). A program left behind
/// in the background could go on writing for ever.
const TERMINAL_DRAIN_READS: u32 = 256;

/// All signals that come for us, as a descriptor.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks all signals, for good. Before the process is cloned, so that none is lost and none ends us once it is
    /// there; its first act has to be to unblock them for itself. A fault of our own still ends us.
    pub fn block() -> Result<Signals> {
        restore_sigchld();
        let all = SigSet::all();
        all.thread_block().map_err(|e| Error::sys("sigprocmask", e))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let fd = SignalFd::with_flags(&all, flags).map_err(|e| Error::sys("signalfd", e))?;
        Ok(Signals { fd })
    }

    /// The next signal that somebody sent us.
    fn next(&self) -> Result<Option<i32>> {
        while let Some(info) = self.fd.read_signal().map_err(|e| Error::sys("read of the signalfd", e))? {
            // Our own write to a pipe that nobody reads is a SIGPIPE sent by us: no news for the container.
            let ours = info.ssi_code == libc::SI_USER && info.ssi_pid == std::process::id();
            if let (false, Ok(signal)) = (ours, i32::try_from(info.ssi_signo)) {
                return Ok(Some(signal));
            }
        }
        Ok(None)
    }
}

/// From now on orphans of the container's processes become our children (PR_SET_CHILD_SUBREAPER). Not with
/// `--no-subreaper`.
pub fn become_subreaper() -> Result<()> {
    set_child_subreaper(true).map_err(|e| Error::sys("prctl PR_SET_CHILD_SUBREAPER", e))
}

/// A process in the foreground.
#[derive(Debug)]
pub struct Foreground<'a> {
    /// From before the process was cloned.
    pub signals: &'a Signals,
    /// Our child.
    pub process: &'a PidFd,
    /// Its pid.
    pub pid: i32,
    /// Its input and output.
    pub relay: &'a mut Relay,
    /// The service manager that waits for its readiness; `run` only.
    pub notify: Option<&'a mut Forwarder>,
}

/// What a round of poll found.
struct Ready {
    signals: bool,
    process: bool,
    notify: bool,
    channels: Vec<bool>,
}

impl Foreground<'_> {
    /// Until the process ends. What it wrote last may still be in [`drain`]'s hands then.
    pub fn wait(mut self) -> Result<Exit> {
        // From here on the container has started, and it may run for long: what was to be said of its start is said now.
        crate::log::flush();
        loop {
            let ready = self.poll()?;
            // Output first: what the process did before it ended comes before its end.
            self.relay.step(ready.channels.into_iter());
            self.relay.retry_hung_up();
            if ready.process {
                let exit = self.process.try_reap().map_err(|e| Error::sys("waitid of the container's process", e))?;
                if let Some(exit) = exit {
                    return Ok(exit);
                }
            }
            if ready.notify
                && let Some(notify) = &mut self.notify
            {
                notify.forward_in_foreground();
            }
            if ready.signals
                && let Some(exit) = self.handle_signals()?
            {
                return Ok(exit);
            }
        }
    }

    fn poll(&self) -> Result<Ready> {
        let mut fds = Vec::with_capacity(6);
        fds.push(PollFd::new(self.signals.fd.as_fd(), PollFlags::POLLIN));
        fds.push(PollFd::new(self.process.as_fd(), PollFlags::POLLIN));
        let notify = self.notify.as_ref().and_then(|notify| notify.socket());
        fds.extend(notify.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let interests: Vec<Option<(BorrowedFd<'_>, PollFlags)>> = self.relay.interests().collect();
        fds.extend(interests.iter().flatten().map(|(fd, events)| PollFd::new(*fd, *events)));
        let timeout = if self.relay.is_hung_up() { PollTimeout::from(HUNG_UP_RETRY) } else { PollTimeout::NONE };
        wait_for(&mut fds, timeout)?;
        let mut ready = fds.iter().map(|fd| fd.any() != Some(false));
        let mut next = || ready.next().unwrap_or(false);
        Ok(Ready {
            signals: next(),
            process: next(),
            notify: notify.is_some() && next(),
            channels: interests.iter().map(|interest| interest.is_some() && next()).collect(),
        })
    }

    /// All that are pending; the process's exit if reaping orphans met it.
    fn handle_signals(&mut self) -> Result<Option<Exit>> {
        while let Some(signal) = self.signals.next()? {
            match signal {
                libc::SIGCHLD => {
                    if let Some(exit) = self.reap()? {
                        return Ok(Some(exit));
                    }
                }
                libc::SIGWINCH => self.relay.resize(),
                // What Go's runtime sends itself to preempt; callers written in Go let some slip out.
                libc::SIGURG => {}
                // A process that has just ended (ESRCH), or one that is not ours to signal (EPERM), stays as it is.
                signal => drop(self.process.send_signal(signal)),
            }
        }
        Ok(None)
    }

    fn reap(&mut self) -> Result<Option<Exit>> {
        loop {
            match reap_any() {
                Ok(Some((pid, exit))) if pid == self.pid => return Ok(Some(exit)),
                Ok(Some(_)) => {}
                Ok(None) | Err(Errno::ECHILD) => return Ok(None),
                Err(e) => return Err(Error::sys("waitid of orphans", e)),
            }
        }
    }
}

/// After the process ended, and after its container was destroyed if it is to be (that ends the other writers): passes on
/// what was written. As with runc, a program left in the background that holds a pipe holds us; SIGHUP, SIGINT, SIGQUIT and
/// SIGTERM let go.
pub fn drain(relay: &mut Relay, signals: &Signals) -> Result<()> {
    relay.close_inwards();
    let mut reads = 0_u32;
    loop {
        relay.end_empty_terminal();
        if relay.is_idle() || relay.is_terminal() && reads > TERMINAL_DRAIN_READS {
            return Ok(());
        }
        reads = reads.saturating_add(1);
        let ready = {
            let mut fds = vec![PollFd::new(signals.fd.as_fd(), PollFlags::POLLIN)];
            fds.extend(relay.interests().flatten().map(|(fd, events)| PollFd::new(fd, events)));
            wait_for(&mut fds, PollTimeout::NONE)?;
            fds.iter().skip(1).map(|fd| fd.any() != Some(false)).collect::<Vec<bool>>()
        };
        relay.step(ready.into_iter());
        while let Some(signal) = signals.next()? {
            if matches!(signal, libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | libc::SIGTERM) {
                return Ok(());
            }
        }
    }
}

fn wait_for(fds: &mut [PollFd<'_>], timeout: PollTimeout) -> Result<()> {
    loop {
        match poll(fds, timeout) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::sys("poll", e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::os::fd::OwnedFd;
    use std::process::{Child, Stdio};
    use std::time::{Duration, Instant};

    use nix::pty::openpty;
    use nix::sys::termios::tcgetattr;

    use super::super::alone::{code_within, command, finish, is_alone, run, start};
    use super::super::console::HostTerminal;
    use super::super::stdio::{Owner, StdioPlan};
    use super::*;
    use crate::sys::tty::tcsetwinsize;

    const OURS: Owner = Owner { uid: 0, gid: 0 };

    fn kill(child: &Child, signal: i32) {
        PidFd::open(child.id() as i32).unwrap().send_signal(signal).unwrap();
    }

    /// Reads lines until one is `want`.
    fn expect(lines: &mut impl Iterator<Item = std::io::Result<String>>, want: &str) {
        let found = lines.by_ref().map(Result::unwrap).find(|line| line.trim_end() == want);
        assert!(found.is_some(), "no line {want:?}");
    }

    /// Starts `test` alone, with its stdout in a pipe.
    fn with_pipe(test: &str) -> (Child, impl Iterator<Item = std::io::Result<String>>) {
        let mut child = command(&format!("launch::foreground::tests::{test}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    }

    #[test]
    fn signals_go_to_the_process_and_its_end_is_ours() {
        if is_alone() {
            let script = "
                for s in HUP INT QUIT USR1 USR2 ALRM TERM TSTP CONT TTIN TTOU PIPE 40; do trap \"echo $s\" $s; done
                trap 'echo WRONG' CHLD WINCH URG
                echo; echo up
                while test ! -e \"$0.none\"; do read x </dev/null; done";
            run(StdioPlan::foreground(OURS, 0).unwrap(), script);
        }
        let (mut child, mut lines) = with_pipe("signals_go_to_the_process_and_its_end_is_ours");
        expect(&mut lines, "up");
        for signal in [libc::SIGCHLD, libc::SIGWINCH, libc::SIGURG] {
            kill(&child, signal);
        }
        for (signal, name) in [
            (libc::SIGHUP, "HUP"),
            (libc::SIGINT, "INT"),
            (libc::SIGUSR1, "USR1"),
            (libc::SIGTSTP, "TSTP"),
            (libc::SIGPIPE, "PIPE"),
            (libc::SIGTERM, "TERM"),
            (40, "40"),
        ] {
            kill(&child, signal);
            assert_eq!(lines.next().unwrap().unwrap(), name);
        }
        kill(&child, 41);
        assert_eq!(code_within(&mut child, 10), 128 + 41);
    }

    #[test]
    fn orphans_are_reaped_and_only_the_process_counts() {
        if is_alone() {
            become_subreaper().unwrap();
            let script = "
                children() { echo; cat /proc/$PPID/task/*/children; }
                (sh -c 'exit 9' &); (sh -c 'sleep 0.3; exit 8' &)
                sleep 0.1; children; sleep 0.5; children; exit 3";
            run(StdioPlan::foreground(OURS, 0).unwrap(), script);
        }
        let (mut child, lines) = with_pipe("orphans_are_reaped_and_only_the_process_counts");
        assert_eq!(code_within(&mut child, 10), 3);
        let children: Vec<usize> = lines.skip(2).map(|line| line.unwrap().split_whitespace().count()).collect();
        // The shell and the orphan that sleeps; then the shell alone, and no zombie.
        assert_eq!(children[children.len() - 2..], [2, 1]);
    }

    #[test]
    fn a_caller_that_ignores_sigchld() {
        if is_alone() {
            run(StdioPlan::foreground(OURS, 0).unwrap(), "exit 6");
        }
        let test = command("launch::foreground::tests::a_caller_that_ignores_sigchld");
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "trap '' CHLD; exec \"$@\"", "sh"])
            .arg(test.get_program())
            .args(test.get_args())
            .envs(test.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .spawn()
            .unwrap();
        assert_eq!(code_within(&mut child, 10), 6);
    }

    #[test]
    fn idle_costs_nothing() {
        if is_alone() {
            run(StdioPlan::foreground(OURS, 0).unwrap(), "sleep 1; cat /proc/$PPID/status");
        }
        let (mut child, lines) = with_pipe("idle_costs_nothing");
        let switches =
            lines.map(Result::unwrap).find_map(|l| l.strip_prefix("voluntary_ctxt_switches:").map(str::to_owned));
        // Those of its start included, of which there are about ten.
        assert!(switches.unwrap().trim().parse::<u32>().unwrap() < 50);
        assert_eq!(code_within(&mut child, 10), 0);
    }

    #[test]
    fn what_comes_late_is_passed_on() {
        if is_alone() {
            run(StdioPlan::foreground(OURS, 0).unwrap(), "(sleep 0.3; echo late) & echo now; exit 4");
        }
        let out = tempfile::NamedTempFile::new().unwrap();
        let mut child = command("launch::foreground::tests::what_comes_late_is_passed_on")
            .stdout(out.reopen().unwrap())
            .spawn()
            .unwrap();
        assert_eq!(code_within(&mut child, 10), 4);
        assert!(std::fs::read_to_string(out.path()).unwrap().ends_with("now\nlate\n"));
    }

    #[test]
    fn a_background_program_lets_go_on_sigterm() {
        if is_alone() {
            run(StdioPlan::foreground(OURS, 0).unwrap(), "sleep 20 & echo now; exit 4");
        }
        let out = tempfile::NamedTempFile::new().unwrap();
        let mut child = command("launch::foreground::tests::a_background_program_lets_go_on_sigterm")
            .stdout(out.reopen().unwrap())
            .spawn()
            .unwrap();
        while !std::fs::read_to_string(out.path()).unwrap().ends_with("now\n") {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(200));
        assert!(child.try_wait().unwrap().is_none());
        kill(&child, libc::SIGTERM);
        assert_eq!(code_within(&mut child, 5), 4);
    }

    #[test]
    fn a_terminal_that_nobody_reads_does_not_stop_signals() {
        if is_alone() {
            run(StdioPlan::foreground(OURS, 0).unwrap(), "exec yes");
        }
        let pty = openpty(None, None).unwrap();
        let mut child = command("launch::foreground::tests::a_terminal_that_nobody_reads_does_not_stop_signals")
            .stdin(Stdio::null())
            .stdout(pty.slave)
            .spawn()
            .unwrap();
        // Long enough for `yes` to fill every buffer, and for all to stand still.
        let switches = || std::fs::read_to_string(format!("/proc/{}/schedstat", child.id())).unwrap();
        let mut before = String::new();
        while before != switches() {
            before = switches();
            std::thread::sleep(Duration::from_millis(300));
        }
        kill(&child, libc::SIGTERM);
        // `yes` is gone; its output still waits for the terminal, until told not to.
        std::thread::sleep(Duration::from_millis(300));
        kill(&child, libc::SIGTERM);
        assert_eq!(code_within(&mut child, 5), 128 + libc::SIGTERM);
    }

    /// `script` on an inner terminal as its controlling one, relayed to the terminal on our own 0-2. Begins a new line after
    /// the words of the test harness.
    fn run_on_terminal(script: &str) -> ! {
        let signals = Signals::block().unwrap();
        let host = HostTerminal::open().unwrap();
        let inner = openpty(None, None).unwrap();
        let stdio: [OwnedFd; 3] = std::array::from_fn(|_| inner.slave.try_clone().unwrap());
        drop(inner.slave);
        let process = start(&format!("exec setsid -cw sh -c 'echo; {script}'"), &stdio);
        drop(stdio);
        let console = host.attach(inner.master).unwrap();
        let relay = Relay::terminal(console, std::io::stdin().as_fd(), std::io::stdout().as_fd()).unwrap();
        finish(&signals, &process, relay, None)
    }

    struct OuterTerminal {
        master: File,
        slave: OwnedFd,
        child: Child,
    }

    fn on_terminal(test: &str) -> OuterTerminal {
        let size = libc::winsize { ws_row: 31, ws_col: 71, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let stdio = || pty.slave.try_clone().unwrap();
        let child = command(&format!("launch::foreground::tests::{test}"))
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        OuterTerminal { master: pty.master.into(), slave: pty.slave, child }
    }

    impl OuterTerminal {
        fn lines(&self) -> impl Iterator<Item = std::io::Result<String>> + use<> {
            BufReader::new(self.master.try_clone().unwrap()).lines()
        }
    }

    #[test]
    fn a_terminal_has_the_hosts_size_follows_it_and_is_left_as_it_was() {
        if is_alone() {
            run_on_terminal(
                "stty size; trap \"stty size\" WINCH; echo up; read line; echo got $line; until read line; do :; done; exit 5",
            );
        }
        let mut outer = on_terminal("a_terminal_has_the_hosts_size_follows_it_and_is_left_as_it_was");
        let before = tcgetattr(&outer.slave).unwrap();
        let mut lines = outer.lines();
        expect(&mut lines, "31 71");
        expect(&mut lines, "up");
        assert_ne!(tcgetattr(&outer.slave).unwrap(), before, "raw");
        outer.master.write_all(b"hello\r").unwrap();
        expect(&mut lines, "got hello");
        let size = libc::winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(outer.slave.as_fd(), &size).unwrap();
        // As the kernel does for the foreground group of a controlling terminal, which the test's terminal is not.
        kill(&outer.child, libc::SIGWINCH);
        expect(&mut lines, "40 100");
        outer.master.write_all(b"end\r").unwrap();
        assert_eq!(code_within(&mut outer.child, 10), 5);
        assert_eq!(tcgetattr(&outer.slave).unwrap(), before);
    }

    #[test]
    fn a_terminal_passes_a_megabyte_both_ways() {
        const SIZE: usize = 1_000_000;
        if is_alone() {
            run_on_terminal("stty raw -echo; echo up; head -c 1000000");
        }
        let mut outer = on_terminal("a_terminal_passes_a_megabyte_both_ways");
        let mut reader = BufReader::new(outer.master.try_clone().unwrap());
        let mut line = String::new();
        while line.trim_end() != "up" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        // All bytes but the line feed, which the host's terminal turns into two.
        let data: Vec<u8> = (0..=255).filter(|b| *b != b'\n').cycle().take(SIZE).collect();
        let (sent, mut writer) = (data.clone(), outer.master.try_clone().unwrap());
        let writer = std::thread::spawn(move || writer.write_all(&sent));
        let mut got = vec![0; SIZE];
        reader.read_exact(&mut got).unwrap();
        assert!(got == data);
        writer.join().unwrap().unwrap();
        assert_eq!(code_within(&mut outer.child, 10), 0);
    }

    #[test]
    fn a_reader_that_went_away_hangs_up_the_terminal_and_nothing_else() {
        let test = "launch::foreground::tests::a_reader_that_went_away_hangs_up_the_terminal_and_nothing_else";
        if is_alone() {
            let first = std::env::var("FIRST").unwrap();
            run_on_terminal(&format!("{first} echo up; read line; echo to nobody; sleep 0.3; exit 3"));
        }
        // The second would die of a SIGPIPE if ours were passed on to it.
        for (first, code) in [("", 128 + libc::SIGHUP), ("trap \"\" HUP;", 3)] {
            let pty = openpty(None, None).unwrap();
            let before = tcgetattr(&pty.slave).unwrap();
            let mut child = command(test)
                .env("FIRST", first)
                .stdin(pty.slave.try_clone().unwrap())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            expect(&mut lines, "up");
            drop(lines);
            File::from(pty.master.try_clone().unwrap()).write_all(b"\r").unwrap();
            assert_eq!(code_within(&mut child, 10), code);
            assert_eq!(tcgetattr(&pty.slave).unwrap(), before);
        }
    }

    #[test]
    fn a_terminal_that_all_had_closed_comes_back() {
        if is_alone() {
            run_on_terminal("echo here; exec <&- >&- 2>&-; sleep 0.5; exec </dev/tty >/dev/tty; echo back; exit 2");
        }
        let mut outer = on_terminal("a_terminal_that_all_had_closed_comes_back");
        let mut lines = outer.lines();
        expect(&mut lines, "here");
        expect(&mut lines, "back");
        assert_eq!(code_within(&mut outer.child, 10), 2);
    }

    #[test]
    fn the_last_words_on_a_terminal_are_not_lost() {
        if is_alone() {
            run_on_terminal("i=0; while test $i -lt 2000; do i=$((i+1)); echo line $i; done; echo last; exit 1");
        }
        let mut outer = on_terminal("the_last_words_on_a_terminal_are_not_lost");
        let mut lines = outer.lines();
        expect(&mut lines, "line 2000");
        expect(&mut lines, "last");
        assert_eq!(code_within(&mut outer.child, 10), 1);
    }

    #[test]
    fn a_program_left_on_the_terminal_does_not_hold_us() {
        if is_alone() {
            run_on_terminal("trap \"\" HUP; yes & sleep 0.2; exit 3");
        }
        let mut outer = on_terminal("a_program_left_on_the_terminal_does_not_hold_us");
        let mut master = outer.master.try_clone().unwrap();
        let begun = Instant::now();
        std::thread::spawn(move || while master.read(&mut [0; 65536]).is_ok() {});
        assert_eq!(code_within(&mut outer.child, 15), 3);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
