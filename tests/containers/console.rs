//! Terminals: handed over a socket, or relayed in the foreground; what is refused.

use crate::common::pty::{Receiver, Terminal};
use crate::common::{Bundle, case, eventually, host, json, patience, until};
use std::os::unix::fs::MetadataExt;

fn terminal(b: &mut Bundle) -> &mut Bundle {
    b.set("/process/terminal", true)
}

/// Waits for the size: the runtime copies its own terminal's when it has the container's, which may be after the exec.
fn await_size(size: &str) -> String {
    format!("until [ \"$(stty size 2>/dev/null)\" = '{size}' ]; do :; done; stty size")
}

/// `create` with a console socket; the master's side.
fn create(b: &Bundle) -> Terminal {
    let receiver = Receiver::new(&b.path("console.sock"));
    b.start_command("create", &["--console-socket", receiver.path.to_str().unwrap()]).output().ok();
    let got = receiver.receive();
    assert!((1..4096).contains(&got.payload.len()), "payload of {} bytes", got.payload.len());
    assert_eq!(got.fds.len(), 1);
    assert!(got.closed, "the socket stays open");
    Terminal::from(got.fds.into_iter().next().unwrap())
}

#[test]
fn handed_over_a_socket() {
    case(|b| {
        terminal(b)
            .sh("tty; test -t 0 && test -t 1 && test -t 2 && echo all; echo to-tty > /dev/tty; read x; echo got $x");
        let mut tty = create(b);
        b.start();
        tty.expect("to-tty");
        tty.write("hello\n");
        let said = tty.expect("got hello");
        assert!(said.contains("/dev/pts/0\r\n") || said.contains("/dev/console\r\n"), "{said}");
        assert!(said.contains("all\r\n"), "{said}");
        b.await_status("stopped");
    });
}

#[test]
fn the_console_device() {
    case(|b| {
        terminal(b).set("/process/user", json!({"uid": 1000, "gid": 1000}));
        b.sh("echo here > /dev/console; stat -c %F:%u /dev/console; stat -c %u /dev/pts/0; grep -c /dev/console /proc/self/mountinfo");
        let mut tty = create(b);
        b.start();
        let said = tty.expect("\r\n1\r\n");
        assert!(said.contains("here\r\ncharacter special file:1000\r\n1000\r\n"), "{said}");
    });
}

#[test]
fn no_console_device_without_a_terminal() {
    case(|b| {
        b.sh("test -e /dev/console && echo yes || echo no").run().ok().says("no");
    });
}

#[test]
fn size_of_the_configuration() {
    case(|b| {
        terminal(b).set("/process/consoleSize", json!({"height": 12, "width": 34})).sh("stty size");
        let mut tty = create(b);
        b.start();
        tty.expect("12 34");
    });
}

#[test]
fn a_size_without_a_terminal_is_ignored() {
    case(|b| {
        b.set("/process/consoleSize", json!({"height": 12, "width": 34}))
            .sh("tty; echo end")
            .run()
            .ok()
            .says("not a tty\nend");
    });
}

#[test]
fn the_holder_of_the_master_resizes_it() {
    case(|b| {
        terminal(b).sh("trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done");
        let mut tty = create(b);
        b.start();
        tty.expect("ready");
        tty.resize(40, 77);
        tty.expect("40 77");
    });
}

#[test]
fn it_is_the_controlling_terminal() {
    case(|b| {
        terminal(b).sh("trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.01; done");
        let mut tty = create(b);
        b.start();
        tty.expect("ready");
        tty.write("\u{3}");
        tty.expect("interrupted");
    });
}

#[test]
fn a_terminal_needs_a_socket_or_the_foreground() {
    case(|b| {
        let refused = "cannot allocate tty if runc will detach without setting console socket";
        terminal(b);
        b.start_command("create", &[]).output().fails(1, refused);
        b.start_command("run", &["-d"]).output().fails(1, refused);
        b.assert_gone();
        b.set("/process/terminal", false);
        let socket = b.path("console.sock").display().to_string();
        let out = b.start_command("run", &["--console-socket", &socket]).output();
        out.fails(1, "cannot use console socket if runc will not detach or allocate tty");
        b.assert_gone();
    });
}

#[test]
fn a_dead_socket() {
    case(|b| {
        let socket = b.path("nobody.sock").display().to_string();
        let out = terminal(b).start_command("create", &["--console-socket", &socket]).output();
        out.fails(1, "no such file or directory");
        b.assert_gone();
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        b.start_command("create", &["--console-socket", &socket]).output().fails(1, "connection refused");
        b.assert_gone();
    });
}

#[test]
fn in_the_foreground() {
    case(|b| {
        terminal(b).sh(&format!("{}; read x; echo got $x; exit 5", await_size("21 43")));
        let (mut tty, slave) = Terminal::open(21, 43);
        let mut child = b.start_command("run", &[]).spawn_on(&slave);
        tty.expect("21 43");
        tty.write("typed\r");
        tty.expect("got typed");
        let status = eventually("run to end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(5));
        b.assert_gone();
    });
}

#[test]
fn the_foreground_terminal_is_raw_and_restored() {
    case(|b| {
        terminal(b).sh("echo ready; read x");
        let (mut tty, slave) = Terminal::open(21, 43);
        let flags = || nix::sys::termios::tcgetattr(&slave).unwrap().local_flags;
        let before = flags();
        let mut child = b.start_command("run", &[]).spawn_on(&slave);
        tty.expect("ready");
        until("raw mode", || !flags().contains(nix::sys::termios::LocalFlags::ICANON));
        tty.write("\r");
        eventually("run to end", || child.try_wait().unwrap());
        assert_eq!(flags(), before);
    });
}

#[test]
fn the_foreground_follows_the_window() {
    case(|b| {
        terminal(b).sh("trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done");
        let (mut tty, slave) = Terminal::open(21, 43);
        let mut child = b.start_command("run", &[]).spawn_on(&slave);
        tty.expect("ready");
        tty.resize(50, 60);
        // The terminal is not the runtime's controlling one here: tell it what a shell's would.
        let pid = nix::unistd::Pid::from_raw(child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGWINCH).unwrap();
        tty.expect("50 60");
        b.rt(&["kill", &b.id, "KILL"]).ok();
        let status = eventually("run to end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(137));
    });
}

#[test]
fn exec_over_a_socket() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).run_detached();
        let receiver = Receiver::new(&b.path("console.sock"));
        let flags = ["--tty", "--detach", "--console-socket", receiver.path.to_str().unwrap()];
        b.exec_with(&flags, &["sh", "-c", "tty; read x; echo got $x"]).ok();
        let got = receiver.receive();
        assert!(got.fds.len() == 1 && got.closed && !got.payload.is_empty());
        let mut tty = Terminal::from(got.fds.into_iter().next().unwrap());
        tty.expect("/dev/pts/0");
        tty.write("hello\n");
        tty.expect("got hello");
    });
}

#[test]
fn exec_in_the_foreground() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).run_detached();
        let (mut tty, slave) = Terminal::open(30, 90);
        let mut child = b
            .command(&["exec", "-t", &b.id, "sh", "-c", &format!("{}; sleep 0.3; exit 9", await_size("30 90"))])
            .spawn_on(&slave);
        tty.expect("30 90");
        assert_eq!(eventually("exec to end", || child.try_wait().unwrap()).code(), Some(9));
        let refused = "cannot allocate tty if runc will detach without setting console socket";
        b.exec_with(&["-t", "-d"], &["true"]).fails(255, refused);
    });
}

/// Detached and without a terminal the descriptors are the caller's, and belong to the process' user.
#[test]
fn detached_streams_belong_to_the_user() {
    case(|b| {
        b.set("/process/user", json!({"uid": 1000, "gid": 1000}))
            .sh("echo x > /dev/stderr; echo reopened > /proc/self/fd/1");
        let out = b.path("stdout");
        let file = std::fs::File::create(&out).unwrap();
        let mut command = b.start_command("run", &["-d"]);
        command.inner().stdout(file.try_clone().unwrap());
        let status = {
            let inner = command.inner();
            inner.stdin(std::process::Stdio::null()).stderr(file.try_clone().unwrap());
            inner.status().unwrap()
        };
        assert!(status.success());
        b.await_status("stopped");
        let meta = file.metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid()), (1000, 0));
        assert!(host::read(&out).contains("reopened"));
    });
}

/// Whoever reads the pipes sees the end when the container ends: `create` keeps no copy.
#[test]
fn nobody_else_holds_the_pipes() {
    case(|b| {
        b.args(&["/bin/echo", "hello"]);
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut command = b.start_command("create", &[]);
        command.inner().stdin(std::process::Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
        let status = command.inner().status().unwrap();
        assert!(status.success());
        // The builder holds the test's own copy.
        drop(command);
        b.start();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(crate::common::drain(&mut reader)));
        let all = receiver.recv_timeout(patience(10)).expect("the pipe stays open");
        assert_eq!(all, "hello\n");
    });
}
