//! Descriptors and sockets that callers hand in: preserved ones, LISTEN_FDS, NOTIFY_SOCKET, the pidfd socket.

use crate::common::pty::Receiver;
use crate::common::{Bundle, Value, case, host, json, patience, strings, until};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

fn numbers(report: &Value) -> Vec<String> {
    report["fds"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn preserved() {
    case(|b| {
        b.wrap(&["sh", "-c", "exec 3</etc/hostname 4</etc/passwd 5</etc/group; exec \"$@\"", "sh"]);
        b.args(&["/payload", "report"]);
        let r = b.start_command("run", &["--preserve-fds", "2"]).output().ok().json();
        assert_eq!(numbers(&r), ["0", "1", "2", "3", "4"], "{}", r["fds"]);
        b.sh("cat <&4");
        let out = b.start_command("run", &["--preserve-fds=2"]).output().ok();
        assert_eq!(out.out, std::fs::read_to_string("/etc/passwd").unwrap());
    });
}

#[test]
fn preserved_by_exec() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).run_detached();
        b.wrap(&["sh", "-c", "exec 3</etc/hostname 4</etc/passwd; exec \"$@\"", "sh"]);
        let r = b.exec_report(&["--preserve-fds", "1"]);
        assert_eq!(numbers(&r), ["0", "1", "2", "3"], "{}", r["fds"]);
    });
}

#[test]
fn preserved_but_not_there() {
    case(|b| {
        // A gap that is larger than what a runtime may have opened itself by then.
        b.wrap(&["sh", "-c", "exec 3</etc/hostname; exec \"$@\"", "sh"]).args(&["/bin/true"]);
        b.start_command("run", &["--preserve-fds", "60"]).output().fails(1, "unable to stat preserved-fd");
        b.assert_gone();
    });
}

#[test]
fn socket_activation() {
    case(|b| {
        let script = "exec 3</etc/hostname 4</etc/passwd 5</etc/group; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$@\"";
        b.wrap(&["sh", "-c", script, "sh"]).args(&["/payload", "report"]);
        let r = b.start_command("run", &["--preserve-fds", "1"]).output().ok().json();
        assert_eq!(numbers(&r), ["0", "1", "2", "3", "4", "5"], "{}", r["fds"]);
        let env = strings(&r["env"]);
        assert!(env.contains(&"LISTEN_FDS=2".into()) && env.contains(&"LISTEN_PID=1".into()), "{env:?}");
    });
}

#[test]
fn socket_activation_of_somebody_else() {
    case(|b| {
        b.wrap(&["sh", "-c", "exec 3</etc/hostname; LISTEN_PID=1 LISTEN_FDS=1 exec \"$@\"", "sh"]);
        let r = b.report();
        assert_eq!(numbers(&r), ["0", "1", "2"], "{}", r["fds"]);
        assert!(!strings(&r["env"]).iter().any(|e| e.starts_with("LISTEN_")));
    });
}

/// systemd's side of the notification protocol.
fn service_manager(b: &Bundle) -> UnixDatagram {
    let socket = UnixDatagram::bind(b.path("notify.sock")).unwrap();
    socket.set_read_timeout(Some(patience(10))).unwrap();
    socket
}

/// The messages until READY=1 and MAINPID= are there. The descriptor of a BARRIER=1 is closed by not being received.
fn messages(manager: &UnixDatagram) -> String {
    let mut all = String::new();
    while !(all.contains("READY=1") && all.contains("MAINPID=")) {
        let mut buffer = [0; 1024];
        let n = manager.recv(&mut buffer).expect("READY=1 and MAINPID=");
        all += &String::from_utf8_lossy(&buffer[..n]);
    }
    all
}

#[test]
fn notification_of_a_detached_run() {
    case(|b| {
        let manager = service_manager(b);
        b.sh("sleep 0.3; /payload notify READY=1; sleep 100");
        let begun = Instant::now();
        let running = b.start_command("run", &["--detach"]).env("NOTIFY_SOCKET", b.path("notify.sock")).spawn();
        let got = messages(&manager);
        assert!(begun.elapsed() >= Duration::from_millis(300));
        // Closes the pipe of the barrier.
        let _ = manager.recv(&mut [0; 64]);
        running.wait().ok();
        assert!(got.contains(&format!("MAINPID={}", b.pid())), "{got}");
    });
}

#[test]
fn notification_of_create_and_start() {
    case(|b| {
        let manager = service_manager(b);
        let socket = b.path("notify.sock");
        b.sh("echo $NOTIFY_SOCKET; /payload notify READY=1; sleep 100");
        let mut created = b.start_command("create", &[]).env("NOTIFY_SOCKET", &socket).spawn();
        until("create to return", || created.child.try_wait().unwrap().is_some());
        let start = b.command(&["start", &b.id]).env("NOTIFY_SOCKET", &socket).spawn();
        let got = messages(&manager);
        let _ = manager.recv(&mut [0; 64]);
        start.wait().ok();
        assert!(got.contains(&format!("MAINPID={}", b.pid())), "{got}");
        assert!(created.written().0.starts_with("/run/notify/notify.sock\n"), "{}", created.written().0);
        assert_eq!(b.status(), "running");
    });
}

#[test]
fn notification_of_a_container_that_dies() {
    case(|b| {
        let _manager = service_manager(b);
        b.sh("exit 1");
        b.start_command("run", &["--detach"]).env("NOTIFY_SOCKET", b.path("notify.sock")).limit(5).output().ok();
        b.await_status("stopped");
    });
}

/// The pid that a pidfd stands for, as our procfs sees it.
fn pid_of(fd: &std::os::fd::OwnedFd) -> i32 {
    use std::os::fd::AsRawFd;
    let info = host::read(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()));
    let line = info.lines().find_map(|l| l.strip_prefix("Pid:")).unwrap_or_else(|| panic!("not a pidfd: {info}"));
    line.trim().parse().unwrap()
}

#[test]
fn pidfd_socket_of_create() {
    case(|b| {
        let receiver = Receiver::new(&b.path("pidfd.sock"));
        b.args(&["/bin/sleep", "100"]);
        let create = b.start_command("create", &["--pidfd-socket", receiver.path.to_str().unwrap()]).spawn();
        let got = receiver.receive();
        until("create to return", || b.state_dir().join("state.json").exists());
        assert_eq!((got.payload.as_slice(), got.fds.len()), (&b"standard"[..], 1));
        drop(create.wait().ok());
        assert_eq!(pid_of(&got.fds[0]), b.pid());
    });
}

#[test]
fn pidfd_socket_of_exec() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).run_detached();
        let receiver = Receiver::new(&b.path("pidfd.sock"));
        let file = b.path("pid").display().to_string();
        let flags = ["-d", "--pid-file", &file, "--pidfd-socket", receiver.path.to_str().unwrap()];
        b.exec_with(&flags, &["sleep", "50"]).ok();
        let got = receiver.receive();
        assert_eq!((got.payload.as_slice(), got.fds.len()), (&b"setns"[..], 1));
        assert_eq!(pid_of(&got.fds[0]).to_string(), host::read(&file));
    });
}

#[test]
fn pidfd_socket_that_nobody_serves() {
    case(|b| {
        b.set("/process/args", json!(["/bin/true"]));
        let out = b.start_command("create", &["--pidfd-socket", "/no/such.sock"]).output();
        out.fails(1, "no such file or directory");
        b.assert_gone();
    });
}
