//! Checkpoint and restore, with a real criu: `integration/criu.sh` puts it where it is looked for.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::common::pty::{Receiver, Terminal};
use crate::common::{Bundle, Command, Out, Runtime, case, case_of_two, eventually, host, json, other_runtime, until};

/// A search path that begins with the criu of the tests.
fn path() -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/criu");
    assert!(dir.join("criu").is_file(), "{} has no criu: run integration/criu.sh", dir.display());
    format!("{}:{}", dir.display(), std::env::var("PATH").unwrap())
}

fn criu() -> PathBuf {
    path().split(':').next().map(|dir| Path::new(dir).join("criu")).unwrap()
}

fn criu_has(feature: &str) -> bool {
    Command::new([criu().to_str().unwrap(), "check", "--feature", feature]).output().code == 0
}

/// Writes its count into a file that it holds open: what is lost of its memory, or of the file, shows as a gap.
const COUNT: &str = "exec 5>>/count; i=0; while :; do i=$((i+1)); echo $i >&5; usleep 10000; done";

fn counting(b: &mut Bundle) -> &mut Bundle {
    b.set("/root/readonly", false).sh(COUNT)
}

/// How far it has come, without a gap.
#[track_caller]
fn count(b: &Bundle) -> usize {
    let text = std::fs::read_to_string(b.rootfs("/count")).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().enumerate().for_each(|(i, line)| assert_eq!(line, (i + 1).to_string(), "line {}", i + 1));
    whole.lines().count()
}

#[track_caller]
fn goes_on(b: &Bundle) {
    let before = count(b);
    until("the count to go on", || count(b) > before + 2);
}

/// `run --detach` with descriptors that lead nowhere: criu takes no files of the host.
#[track_caller]
fn run(b: &mut Bundle) {
    b.wrap(&["sh", "-c", "exec \"$0\" \"$@\" </dev/null >/dev/null 2>&1"]);
    let out = b.start_command("run", &["--detach"]).output();
    b.wrap::<&str>(&[]);
    if out.code != 0 {
        b.start_command("run", &["--detach"]).output().ok();
    }
}

#[track_caller]
fn counted(b: &mut Bundle) {
    counting(b);
    run(b);
    goes_on(b);
}

fn checkpoint(b: &Bundle, flags: &[&str]) -> Out {
    let images = b.path("images").display().to_string();
    checkpoint_to(b, &images, flags)
}

fn checkpoint_to(b: &Bundle, images: &str, flags: &[&str]) -> Out {
    let mut args = vec!["checkpoint", "--image-path", images];
    args.extend(flags);
    args.push(&b.id);
    b.command(&args).env("PATH", path()).output()
}

fn restore_command(b: &Bundle, flags: &[&str]) -> Command {
    let images = b.path("images").display().to_string();
    let work = b.path("work").display().to_string();
    let mut all = vec!["--image-path", &images, "--work-path", &work];
    all.extend(flags);
    b.start_command("restore", &all).env("PATH", path())
}

fn restore(b: &mut Bundle, flags: &[&str]) -> Out {
    let mut all = vec!["--detach"];
    all.extend(flags);
    restore_command(b, &all).output()
}

/// On hosts with v1, containers that have no cgroup namespace see binds, of which runc's and ours are not the same.
fn without_cgroups(b: &mut Bundle) -> &mut Bundle {
    b.config["mounts"].as_array_mut().unwrap().retain(|m| m["type"] != "cgroup");
    b
}

/// What is mounted below the test's own directory, as the host sees it.
fn mounted(b: &Bundle) -> usize {
    let dir = b.dir().display().to_string();
    host::mounts().iter().filter(|m| m.contains(&dir)).count()
}

#[test]
fn memory_and_open_files_survive() {
    case(|b| {
        counted(b);
        let (first, before) = (b.cgroup.clone(), host::status(b.pid()));
        checkpoint(b, &[]).ok();
        b.assert_gone();
        let stood = count(b);
        let pid_file = b.path("pid");
        b.another_id("again");
        restore(b, &["--pid-file", pid_file.to_str().unwrap()]).ok();
        goes_on(b);
        assert!(count(b) > stood && host::pids_in_cgroup(&first).is_empty());
        let pid = b.pid();
        assert_eq!(host::read(&pid_file), pid.to_string());
        assert_eq!(b.status(), "running");
        let after = host::status(pid);
        for key in ["CapEff", "CapBnd", "CapPrm", "NoNewPrivs", "Seccomp", "Uid"] {
            assert_eq!(before[key], after[key], "{key}");
        }
        // It is a container as any other.
        let r = b.exec_report(&["--user", "3:4"]);
        assert_eq!(r["status"]["Uid"], "3 3 3 3");
        for link in ["mnt", "pid", "net", "ipc", "uts", "time"] {
            assert_eq!(r["ns"][link], host::namespace(pid, link), "{link}");
        }
        assert!(host::pids_in_cgroup(&b.cgroup).contains(&pid));
        assert!(b.rt(&["ps", "--format", "json", &b.id]).ok().out.contains(&pid.to_string()));
        assert!(b.rt(&["list", "-q"]).ok().out.contains("again"));
        assert!(b.rt(&["events", "--stats", &b.id]).ok().out.contains("\"pids\""));
        b.rt(&["pause", &b.id]).ok();
        assert_eq!(b.status(), "paused");
        b.rt(&["resume", &b.id]).ok();
        assert!(!b.state_dir().join("criu-root").exists() && !b.state_dir().join("checkpoint").exists());
        assert_eq!(mounted(b), 0);
        b.rt(&["kill", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        b.delete();
        b.assert_gone();
    });
}

#[test]
fn left_running() {
    case(|b| {
        counted(b);
        checkpoint(b, &["--leave-running"]).ok();
        goes_on(b);
        assert!(!b.state_dir().join("checkpoint").exists());
        b.rt(&["delete", "--force", &b.id]).ok();
        // What has been counted since is not in the images: they are of an earlier time.
        std::fs::remove_file(b.rootfs("/count")).unwrap();
        let out = restore(b, &[]);
        out.fails(1, "criu failed");
        b.assert_gone();
    });
}

#[test]
fn what_does_not_run_is_refused() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).create();
        checkpoint(b, &[]).fails(1, "Container cannot be checkpointed in created state");
        b.start();
        b.rt(&["kill", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        checkpoint(b, &[]).fails(1, "Container cannot be checkpointed in stopped state");
        assert!(!b.path("images").exists());
        b.delete();
        checkpoint(b, &[]).fails(1, "container does not exist");
    });
}

#[test]
fn a_paused_container() {
    case(|b| {
        counted(b);
        b.rt(&["pause", &b.id]).ok();
        checkpoint(b, &[]).ok();
        b.assert_gone();
        restore(b, &[]).ok();
        goes_on(b);
    });
}

#[test]
fn arguments_that_cannot_be_meant() {
    case(|b| {
        counted(b);
        for (flags, message) in [
            (&["--parent-path", "/x"][..], "--parent-path must be relative"),
            (&["--parent-path", "../none"], "invalid --parent-path: "),
            (&["--page-server", "localhost"], "Use --page-server ADDRESS:PORT to specify page server"),
            (&["--page-server", "localhost:x"], "Invalid port number"),
            (&["--manage-cgroups-mode", "x"], "invalid manage-cgroups-mode value"),
            (&["--empty-ns", "ipc"], "namespace \"ipc\" is not supported"),
            (&["--lazy-pages", "--status-fd", "77"], "invalid --status-fd argument 77: bad file descriptor"),
            (&["--lazy-pages", "--status-fd", "0"], "invalid --status-fd argument 0: not writable"),
        ] {
            checkpoint(b, flags).fails(1, message);
        }
        goes_on(b);
    });
}

#[test]
fn memory_is_written_once() {
    case(|b| {
        b.set("/root/readonly", false).sh(&format!("x=$(yes | head -c 20000000); : > /ready; {COUNT}"));
        run(b);
        until("the memory to be there", || b.rootfs("/ready").exists());
        let pages = |dir: &str| -> u64 {
            let files = std::fs::read_dir(b.path(dir)).unwrap().map(Result::unwrap);
            let pages = files.filter(|f| f.file_name().to_string_lossy().starts_with("pages-"));
            pages.map(|f| f.metadata().unwrap().len()).sum()
        };
        let first = checkpoint_to(b, b.path("first").to_str().unwrap(), &["--pre-dump"]);
        if !criu_has("mem_dirty_track") {
            // A kernel without soft-dirty pages; the virtual machine has them.
            first.fails(1, "criu is missing features: [MemTrack]");
            return goes_on(b);
        }
        first.ok();
        goes_on(b);
        assert!(pages("first") > 15_000_000, "{}", pages("first"));
        checkpoint(b, &["--parent-path", "../first"]).ok();
        b.assert_gone();
        assert!(pages("images") < 5_000_000, "{}", pages("images"));
        restore(b, &["--auto-dedup"]).ok();
        goes_on(b);
    });
}

/// A program beside the test, ended with it.
struct Beside(std::process::Child);

impl Beside {
    fn start(args: &[&str], dir: &Path) -> Beside {
        let log = std::fs::File::create(dir.join(format!("beside-{}.log", args[1]))).unwrap();
        let mut command = std::process::Command::new(args[0]);
        command.args(&args[1..]).env("PATH", path()).stdin(std::process::Stdio::null());
        Beside(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listens(port: u16) -> bool {
    let hex = format!(":{port:04X} ");
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .any(|file| host::read(file).lines().any(|l| l.contains(&hex) && l.split_whitespace().nth(3) == Some("0A")))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn pages_to_a_server() {
    case(|b| {
        counted(b);
        let (images, port) = (b.path("images"), free_port());
        std::fs::create_dir(&images).unwrap();
        let number = port.to_string();
        let dir = images.display().to_string();
        let (program, log) = (criu(), b.path("server.log"));
        let server = [
            program.to_str().unwrap(),
            "page-server",
            "--images-dir",
            &dir,
            "--address",
            "127.0.0.1",
            "--port",
            &number,
            "-o",
            log.to_str().unwrap(),
        ];
        let mut server = Beside::start(&server, b.dir());
        until("the page server to listen", || listens(port));
        let other = b.path("other");
        checkpoint_to(b, other.to_str().unwrap(), &["--page-server", &format!("127.0.0.1:{port}")]).ok();
        eventually("the page server to end", || server.0.try_wait().unwrap());
        let names = |dir: &Path| -> Vec<String> {
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
        };
        assert!(names(&images).iter().any(|n| n.starts_with("pages-")), "{:?}", names(&images));
        assert!(!names(&other).iter().any(|n| n.starts_with("pages-")), "{:?}", names(&other));
        for name in names(&other) {
            std::fs::copy(other.join(&name), images.join(&name)).unwrap();
        }
        restore(b, &[]).ok();
        goes_on(b);
    });
}

/// The other side comes and goes: criu 4.2 serves nobody on this kernel ("page-pipe: splice: -1"), runc's checkpoint neither.
#[test]
fn the_status_descriptor_tells_when_pages_are_served() {
    case(|b| {
        counted(b);
        let port = free_port();
        let images = b.path("images").display().to_string();
        let (mut ready, ours) = std::io::pipe().unwrap();
        nix::fcntl::fcntl(&ours, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        let (number, server) = (ours.as_raw_fd().to_string(), format!("127.0.0.1:{port}"));
        let flags = ["--lazy-pages", "--page-server", &server, "--status-fd", &number, "--leave-running"];
        let mut args = vec!["checkpoint", "--image-path", &images];
        args.extend(flags);
        args.push(&b.id);
        let dumping = b.command(&args).env("PATH", path()).spawn();
        drop(ours);
        let mut told = Vec::new();
        ready.read_to_end(&mut told).unwrap();
        assert_eq!(told, [0]);
        assert!(listens(port));
        drop(std::net::TcpStream::connect(("127.0.0.1", port)).unwrap());
        dumping.wait();
        goes_on(b);
    });
}

#[test]
fn memory_comes_when_it_is_used() {
    case(|b| {
        counted(b);
        checkpoint(b, &[]).ok();
        let (images, work) = (b.path("images").display().to_string(), b.path("work").display().to_string());
        std::fs::create_dir(&work).unwrap();
        let program = criu();
        let daemon = [program.to_str().unwrap(), "lazy-pages", "--images-dir", &images, "--work-dir", &work];
        let mut daemon = Beside::start(&daemon, b.dir());
        until("the lazy-pages daemon", || b.path("work/lazy-pages.socket").exists());
        restore(b, &["--lazy-pages"]).ok();
        goes_on(b);
        assert!(eventually("the daemon to end", || daemon.0.try_wait().unwrap()).success());
        goes_on(b);
    });
}

/// A network namespace that outlives containers, with its loopback device up.
fn network(b: &Bundle) -> Beside {
    let holder = Beside::start(&["unshare", "--net", "sleep", "1000"], b.dir());
    let pid = holder.0.id();
    until("the network namespace", || host::namespace(pid as i32, "net") != host::own_namespace("net"));
    let up = ["nsenter", "--net", "-t", &pid.to_string(), "busybox", "ip", "link", "set", "lo", "up"];
    Command::new(up).output().ok();
    holder
}

#[test]
fn an_open_connection_in_an_external_network_namespace() {
    case(|b| {
        let holder = network(b);
        let netns = format!("/proc/{}/ns/net", holder.0.id());
        b.namespace("network", Some(&netns)).set("/root/readonly", false);
        // The server writes what comes.
        let count = "i=0; while :; do i=$((i+1)); echo $i; usleep 10000; done";
        b.sh(&format!("sleep 1000 | nc -l -p 99 >/count & usleep 500000; ({count}) | nc 127.0.0.1 99"));
        run(b);
        goes_on(b);
        let refused = checkpoint(b, &[]).fails(1, "criu failed: type ");
        assert!(refused.err.contains("Error (criu/") && refused.err.contains("dump.log"), "{}", refused.err);
        goes_on(b);
        checkpoint(b, &["--tcp-established"]).ok();
        b.assert_gone();
        restore(b, &["--tcp-established"]).ok();
        assert_eq!(host::namespace(b.pid(), "net"), host::namespace(holder.0.id() as i32, "net"));
        goes_on(b);
    });
}

#[test]
fn an_external_pid_namespace() {
    case(|b| {
        let mut pod = Bundle::new();
        // It reaps what is left to it: a zombie's pid is not free.
        pod.sh("while :; do sleep 0.2; done").run_detached();
        b.namespace("pid", Some(&format!("/proc/{}/ns/pid", pod.pid())));
        counted(b);
        let pid = b.pid();
        checkpoint(b, &[]).ok();
        b.assert_gone();
        assert!(host::alive(pod.pid()));
        // As long as it is not reaped its pid is not free.
        until("its end", || {
            host::reap_orphans();
            !Path::new(&format!("/proc/{pid}")).exists()
        });
        restore(b, &[]).ok();
        goes_on(b);
        assert_eq!(host::namespace(b.pid(), "pid"), host::namespace(pod.pid(), "pid"));
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
        assert!(host::alive(pod.pid()));
    });
}

#[test]
fn file_locks() {
    case(|b| {
        b.set("/root/readonly", false).args(&["/payload", "flock", "/lock", "/bin/sh", "-c", COUNT]);
        run(b);
        goes_on(b);
        let locked = |b: &Bundle| {
            let lock = b.rootfs("/lock").display().to_string();
            Command::new(["flock", "-n", &lock, "true"]).output().code != 0
        };
        assert!(locked(b));
        checkpoint(b, &[]).fails(1, "criu failed");
        goes_on(b);
        checkpoint(b, &["--file-locks"]).ok();
        assert!(!locked(b));
        restore(b, &["--file-locks"]).ok();
        goes_on(b);
        assert!(locked(b));
    });
}

#[test]
fn criu_has_a_configuration_of_its_own() {
    case(|b| {
        let file = b.path("criu.conf");
        std::fs::write(&file, "file-locks\n").unwrap();
        b.set("/annotations", json!({"org.criu.config": file.to_str().unwrap()}));
        b.set("/root/readonly", false).args(&["/payload", "flock", "/lock", "/bin/sh", "-c", COUNT]);
        run(b);
        goes_on(b);
        checkpoint(b, &[]).ok();
        restore(b, &[]).ok();
        goes_on(b);
    });
}

#[test]
fn files_that_have_lost_their_name() {
    case(|b| {
        b.set("/root/readonly", false).sh(&format!("exec 6>/a; echo x >&6; ln /a /b; rm /a; {COUNT}"));
        run(b);
        goes_on(b);
        checkpoint(b, &[]).fails(1, "criu failed");
        goes_on(b);
        checkpoint(b, &["--link-remap"]).ok();
        restore(b, &[]).ok();
        goes_on(b);
    });
}

#[test]
fn every_other_flag_is_taken() {
    case(|b| {
        counted(b);
        let flags =
            ["--shell-job", "--ext-unix-sk", "--tcp-skip-in-flight", "--tcp-established", "--empty-ns", "network"];
        let modes = ["soft", "full", "strict", "ignore"];
        for mode in modes {
            let images = b.path(mode).display().to_string();
            let mut all = flags.to_vec();
            all.extend(["--manage-cgroups-mode", mode, "--leave-running"]);
            checkpoint_to(b, &images, &all).ok();
        }
        goes_on(b);
        checkpoint(b, &["--manage-cgroups-mode", "ignore"]).ok();
        let flags =
            ["--shell-job", "--ext-unix-sk", "--empty-ns", "network", "--manage-cgroups-mode", "ignore", "--no-pivot"];
        restore(b, &flags).ok();
        goes_on(b);
        assert!(host::pids_in_cgroup(&b.cgroup).contains(&b.pid()));
    });
}

const ECHO: &str = "echo ready; n=0; while read x; do n=$((n+1)); echo got $n $x; done";

#[test]
fn a_terminal_over_a_socket() {
    case(|b| {
        b.set("/process/terminal", true).sh(ECHO);
        let receiver = Receiver::new(&b.path("console.sock"));
        b.start_command("run", &["--detach", "--console-socket", receiver.path.to_str().unwrap()]).output().ok();
        let mut tty = Terminal::from(receiver.receive().fds.into_iter().next().unwrap());
        tty.expect("ready");
        tty.write("a\n");
        tty.expect("got 1 a");
        checkpoint(b, &["--shell-job"]).ok();
        b.assert_gone();
        restore(b, &["--shell-job"]).fails(1, "cannot allocate tty if runc will detach without setting console socket");
        b.assert_gone();
        let receiver = Receiver::new(&b.path("console2.sock"));
        restore(b, &["--shell-job", "--console-socket", receiver.path.to_str().unwrap()]).ok();
        let got = receiver.receive();
        assert!(got.closed && got.fds.len() == 1);
        let mut tty = Terminal::from(got.fds.into_iter().next().unwrap());
        tty.write("b\n");
        tty.expect("got 2 b");
    });
}

#[test]
fn a_terminal_in_the_foreground() {
    case(|b| {
        b.set("/process/terminal", true).sh(ECHO);
        let receiver = Receiver::new(&b.path("console.sock"));
        b.start_command("run", &["--detach", "--console-socket", receiver.path.to_str().unwrap()]).output().ok();
        let mut tty = Terminal::from(receiver.receive().fds.into_iter().next().unwrap());
        tty.expect("ready");
        checkpoint(b, &["--shell-job"]).ok();
        let (mut tty, slave) = Terminal::open(21, 43);
        let mut child = restore_command(b, &["--shell-job"]).spawn_on(&slave);
        until("the container", || b.rt(&["state", &b.id]).code == 0);
        tty.write("b\r");
        tty.expect("got 1 b");
        b.rt(&["kill", &b.id, "TERM"]).ok();
        b.rt(&["kill", &b.id, "KILL"]);
        assert_eq!(eventually("restore to end", || child.try_wait().unwrap()).code(), Some(137));
        b.assert_gone();
    });
}

#[test]
fn in_the_foreground_with_pipes() {
    case(|b| {
        b.sh("while [ ! -e /end ]; do echo here; usleep 10000; done; exit 7");
        b.set("/root/readonly", false);
        b.wrap(&["sh", "-c", "\"$0\" \"$@\" </dev/null 2>&1 | cat >/dev/null &"]);
        b.start_command("run", &["--detach"]).output();
        b.wrap::<&str>(&[]);
        until("the container", || b.rt(&["state", &b.id]).code == 0);
        checkpoint(b, &[]).ok();
        b.assert_gone();
        let descriptors = host::read(b.path("images/descriptors.json"));
        assert!(descriptors.starts_with("[\"/dev/null\",\"pipe:["), "{descriptors}");
        // To a file, and so through a pipe of the runtime's.
        let mut restored = restore_command(b, &[]).spawn();
        until("its output", || restored.written().0.contains("here\n"));
        assert_eq!(b.status(), "running");
        b.file("/end", 0o644, "");
        let out = restored.wait();
        assert_eq!(out.code, 7, "{}", out.err);
        b.assert_gone();
    });
}

#[test]
fn mounts_of_the_host_and_places_that_are_missing() {
    case(|b| {
        let (data, inner) = (b.path("data"), b.path("inner"));
        for dir in [&data, &inner] {
            std::fs::create_dir(dir).unwrap();
        }
        std::fs::write(inner.join("x"), "inner").unwrap();
        std::fs::write(b.path("file"), "file").unwrap();
        std::fs::create_dir(b.rootfs("/real")).unwrap();
        std::os::unix::fs::symlink("/real", b.rootfs("/link")).unwrap();
        for (source, at) in
            [(&data, "/link/new/data"), (&inner, "/link/new/data/inner"), (&b.path("file"), "/etc/one/file")]
        {
            b.mount(json!({"destination": at, "source": source, "type": "bind", "options": ["rbind", "rw"]}));
        }
        let count = COUNT.replace("/count", "/real/new/data/count");
        b.sh(&format!("cat /real/new/data/inner/x /etc/one/file >/real/new/data/seen; {count}"));
        run(b);
        // The shell makes the file before anything is in it.
        until("it to see both", || std::fs::read(data.join("seen")).is_ok_and(|seen| seen == b"innerfile"));
        checkpoint(b, &[]).ok();
        b.assert_gone();
        // Another root file system of the same image, in which nobody has made directories yet.
        std::fs::remove_dir_all(b.rootfs("/real/new")).unwrap();
        std::fs::remove_dir_all(b.rootfs("/etc/one")).unwrap();
        restore(b, &[]).ok();
        let lines = |dir: &Path| host::read(dir.join("count")).lines().count();
        let before = lines(&data);
        until("the count to go on", || lines(&data) > before + 2);
        let out = b.exec(&["cat", "/link/new/data/inner/x", "/etc/one/file"]).ok();
        assert_eq!(out.out, "innerfile");
        assert_eq!(mounted(b), 0);
    });
}

#[test]
fn hooks() {
    case(|b| {
        let log = b.path("hooks");
        let script = b.script("hook", &format!("echo $1 $(cat) >> {}", log.display()));
        for kind in ["prestart", "createRuntime", "poststart", "poststop"] {
            b.set(&format!("/hooks/{kind}"), json!([{"path": script, "args": ["hook", kind]}]));
        }
        counted(b);
        checkpoint(b, &[]).ok();
        std::fs::remove_file(&log).unwrap();
        restore(b, &[]).ok();
        let said = host::read(&log);
        let kinds: Vec<&str> = said.lines().map(|l| l.split(' ').next().unwrap()).collect();
        assert_eq!(kinds, ["prestart", "createRuntime"]);
        let state: crate::common::Value =
            serde_json::from_str(said.lines().next().unwrap().split_once(' ').unwrap().1).unwrap();
        assert_eq!((&state["status"], &state["pid"]), (&json!("creating"), &json!(b.pid())));
        goes_on(b);
        b.rt(&["delete", "--force", &b.id]).ok();
        assert!(host::read(&log).lines().last().unwrap().starts_with("poststop "));
    });
}

#[test]
fn a_failed_hook_leaves_nothing() {
    case(|b| {
        counted(b);
        checkpoint(b, &[]).ok();
        let script = b.script("hook", "echo no >&2; exit 3");
        b.set("/hooks/createRuntime", json!([{"path": script}]));
        restore(b, &[]).fails(1, "error running createRuntime hook #0: exit status 3, stdout: , stderr: no");
        b.assert_gone();
        b.remove("/hooks");
        restore(b, &[]).ok();
        goes_on(b);
    });
}

#[test]
fn what_criu_says_is_in_our_error() {
    case(|b| {
        // Of the host, without a mount that leads there. CRIU interrupts a call that sleeps: a sleep alone would end by that.
        b.sh("while :; do sleep 1; done").run_detached();
        let out = checkpoint(b, &[]).fails(1, "criu failed: type ");
        assert!(out.err.contains("Error (criu/files-reg.c:"), "{}", out.err);
        assert!(out.err.contains("Dumping FAILED."), "{}", out.err);
        assert_eq!(out.err.lines().count(), 1, "{}", out.err);
        assert_eq!(b.status(), "running");
        // Images that are none.
        std::fs::write(b.path("images/inventory.img"), "no image").unwrap();
        b.another_id("other");
        let out = restore(b, &[]).fails(1, "criu failed: type RESTORE errno ");
        assert!(out.err.contains("Error (criu/") && out.err.contains("restore.log"), "{}", out.err);
        b.assert_gone();
        std::fs::remove_file(b.path("images/descriptors.json")).unwrap();
        restore(b, &[]).fails(1, "no such file or directory");
        b.assert_gone();
        std::fs::remove_dir_all(b.path("images")).unwrap();
        restore(b, &[]).fails(1, "no such file or directory");
        b.assert_gone();
    });
}

#[test]
fn an_id_that_is_taken() {
    case(|b| {
        counted(b);
        checkpoint(b, &["--leave-running"]).ok();
        restore(b, &[]).fails(1, "container with given ID already exists");
        goes_on(b);
    });
}

/// What stands in for criu says what no criu would.
#[test]
fn a_criu_that_is_none() {
    case(|b| {
        counted(b);
        let images = b.path("images").display().to_string();
        let bin = b.path("bin");
        std::fs::create_dir(&bin).unwrap();
        let try_with = |b: &Bundle, lines: Option<&str>| {
            if let Some(lines) = lines {
                b.script("bin/criu", lines);
            }
            let args = ["checkpoint", "--image-path", &images, &b.id];
            b.command(&args).env("PATH", format!("{}:/usr/bin:/bin", bin.display())).output()
        };
        try_with(b, None).fails(1, "CRIU version check failed").fails(1, "not found in $PATH");
        for (lines, message) in [
            ("exit 0", "criu ended before it had answered"),
            ("printf '\\377\\377' >&3", "an answer of criu: "),
            (
                "head -c 100000 /dev/zero | dd bs=100000 iflag=fullblock 2>/dev/null >&3",
                "an answer of criu is too long",
            ),
            ("printf '\\010\\012\\020\\000\\070\\026' >&3", "criu failed: type VERSION errno 22"),
            ("printf '\\010\\001\\020\\001' >&3", "unable to parse the response of criu: type 1"),
            // 2.9.0
            (
                "printf '\\010\\012\\020\\001\\122\\004\\010\\002\\020\\011' >&3",
                "CRIU version 20900 must be 30000 or higher",
            ),
        ] {
            // One that has not read what it was asked resets the connection.
            let lines = format!("dd bs=4096 count=1 <&3 >/dev/null 2>&1\n{lines}");
            try_with(b, Some(&lines)).fails(1, message);
        }
        goes_on(b);
    });
}

/// One checkpoints, the other restores.
fn handed_over(b: &mut Bundle, from: &Runtime, to: &Runtime) {
    without_cgroups(b);
    b.switch(from);
    counted(b);
    checkpoint(b, &[]).ok();
    b.assert_gone();
    b.switch(to).another_id("again");
    restore(b, &[]).ok();
    goes_on(b);
    let pid = b.pid();
    b.switch(from);
    assert_eq!((b.status().as_str(), b.pid()), ("running", pid));
    b.exec(&["/bin/true"]).ok();
    b.rt(&["delete", "--force", &b.id]).ok();
    b.assert_gone();
}

#[test]
fn from_runc() {
    case_of_two(|b| handed_over(b, &other_runtime(), Runtime::under_test()));
}

#[test]
fn to_runc() {
    case_of_two(|b| handed_over(b, Runtime::under_test(), &other_runtime()));
}
