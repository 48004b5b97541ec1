//! What a process writes reaches its reader, whole and in order; what it is written, it reads; and every end comes.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::time::Instant;

use nix::libc;

use crate::common::*;

#[test]
fn a_reader_gets_every_byte() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("dd if=/dev/zero bs=4096 count=4096 2>/dev/null; echo end; seq 1 200000 >&2");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(0));
        let out = c.out.bytes();
        assert_eq!(out.len(), 4096 * 4096 + 4);
        assert!(out.ends_with(b"\0end\n"));
        let expected: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
        assert!(c.err.text() == expected, "every line, in order");
    });
}

/// The shim waits for its reader before Create answers, so nobody loses what is written at once.
#[test]
fn create_waits_for_the_reader() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("echo quick");
        let path = t.stream_path("late", "stdout");
        c.request.stdout = fifo(&path);
        let task = t.boot(&c);
        let create = task.begin_create(&c);
        assert!(create.within(patience(1)).is_none(), "nobody reads yet");
        let late = Reader::of(&path);
        create.wait().unwrap();
        task.start("c1", "").unwrap();
        assert_eq!(late.text(), "quick\n");
    });
}

#[test]
fn start_of_a_command_waits_for_the_reader() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let mut e = t.exec_sh(&c, "e1", "echo quick");
        let path = t.stream_path("late", "stdout");
        e.ask.stdout = fifo(&path);
        task.exec(&e).unwrap();
        let start = task.begin_start("c1", "e1");
        assert!(start.within(patience(1)).is_none(), "nobody reads yet");
        // Meanwhile all others are answered.
        assert_eq!(task.run(&t.exec(&c, "e2", &["/bin/true"])), 0);
        let late = Reader::of(&path);
        start.wait().unwrap();
        assert_eq!(late.text(), "quick\n");
    });
}

/// For thirty seconds.
#[test]
fn a_reader_who_never_comes_fails_create_and_leaves_nothing() {
    case(|t| {
        let mut c = t.container("c1");
        c.request.stdout = fifo(&t.stream_path("never", "stdout"));
        let task = t.boot(&c);
        let begun = Instant::now();
        let create = task.begin_create(&c).within(patience(40)).expect("an answer within 40 s");
        assert!(begun.elapsed() > std::time::Duration::from_secs(25));
        create.fails(4, "failed to start io pipe copy");
        task.state("c1", "").fails(5, "not found");
        assert_eq!(host::pids_in_cgroup(&c.cgroup), [0; 0]);
    });
}

#[test]
fn the_reader_sees_the_end_when_the_process_ends() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let e = t.exec_sh(&c, "e1", "echo x");
        task.exec(&e).unwrap();
        task.start("c1", "e1").unwrap();
        // Without Wait, without Delete.
        assert_eq!(e.out.text(), "x\n");
        assert_eq!(e.err.text(), "");
    });
}

/// A process may close one of its streams and live on.
#[test]
fn each_stream_ends_by_itself() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("exec 2>&-; echo on; sleep 1000");
        let task = t.launch(&c);
        assert_eq!(c.err.text(), "");
        c.out.expect("on");
        assert!(!c.out.has_ended());
        assert!(task.begin_wait("c1", "").pending());
    });
}

/// The daemon dies and comes back: the process neither dies of it nor loses a byte that had room.
#[test]
fn a_reader_may_go_and_another_come() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_stdin(t).sh("while read line; do echo got $line; done; echo end");
        let path = t.stream_path("c1", "stdout");
        c.request.stdout = fifo(&path);
        let first = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let task = t.launch(&c);
        let mut stdin = Writer::to(&c.request.stdin);
        drop(first);
        stdin.write("one\n");
        stdin.write("two\n");
        // Nobody reads; then the next one does.
        pause(300);
        assert!(task.begin_wait("c1", "").pending());
        let second = Reader::of(&path);
        second.expect("got one\ngot two\n");
        task.close_io("c1", "").unwrap();
        drop(stdin);
        assert_eq!(second.text(), "got one\ngot two\nend\n");
        assert_eq!(task.wait("c1", ""), Ok(0));
    });
}

#[test]
fn stdin_arrives_and_its_end_does_with_close_io() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_stdin(t).sh("cat; echo end");
        let task = t.launch(&c);
        let mut stdin = Writer::to(&c.request.stdin);
        stdin.write("hello\n");
        c.out.expect("hello\n");
        // The shim has a writer of its own: the client's leaving is no end.
        drop(stdin);
        pause(300);
        assert!(!c.out.so_far().contains("end"));
        let mut again = Writer::to(&c.request.stdin);
        again.write("again\n");
        c.out.expect("again\n");
        // Only when both have gone.
        task.close_io("c1", "").unwrap();
        pause(100);
        assert!(!c.out.so_far().contains("end"));
        again.write("last\n");
        drop(again);
        assert_eq!(c.out.text(), "hello\nagain\nlast\nend\n");
        assert_eq!(task.wait("c1", ""), Ok(0));
        task.close_io("c1", "").unwrap();
    });
}

#[test]
fn close_io_may_come_before_start_and_twice() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_stdin(t).sh("cat; echo end");
        let task = t.boot(&c);
        task.create(&c).unwrap();
        let mut stdin = Writer::to(&c.request.stdin);
        stdin.write("early\n");
        drop(stdin);
        task.close_io("c1", "").unwrap();
        task.close_io("c1", "").unwrap();
        task.start("c1", "").unwrap();
        assert_eq!(c.out.text(), "early\nend\n");
    });
}

#[test]
fn a_command_has_a_stdin_of_its_own() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        task.close_io("c1", "").unwrap();
        let e = t.exec_sh(&c, "e1", "wc -c").with_stdin(t);
        task.exec(&e).unwrap();
        task.start("c1", "e1").unwrap();
        let mut stdin = Writer::to(&e.ask.stdin);
        // Far more than a pipe holds.
        stdin.write(vec![b'x'; 3_000_000]);
        drop(stdin);
        task.close_io("c1", "e1").unwrap();
        assert_eq!(e.out.text(), "3000000\n");
        assert_eq!(task.wait("c1", "e1"), Ok(0));
    });
}

/// The process no longer reads: neither the client nor the shim may wait for it for ever.
#[test]
fn stdin_that_nobody_reads_holds_nothing_up() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_stdin(t).sh("exec 0<&-; echo closed; sleep 1000");
        let task = t.launch(&c);
        c.out.expect("closed");
        let mut stdin = Writer::to(&c.request.stdin);
        stdin.write(vec![b'x'; 1000]);
        pause(100);
        assert_eq!(task.run(&t.exec(&c, "e1", &["/bin/true"])), 0);
        task.end("c1");
    });
}

/// 64 KiB in the FIFO and 64 in the pipe; then the process stands still, and nobody else does.
#[test]
fn a_slow_reader_holds_up_only_his_process() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("dd if=/dev/zero bs=1000 count=1000 2>/dev/null; echo done >&2");
        let path = t.stream_path("c1", "stdout");
        c.request.stdout = fifo(&path);
        let slow = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let task = t.launch(&c);
        pause(500);
        assert_eq!(c.err.so_far(), "", "it is not done");
        assert!(task.begin_wait("c1", "").pending());
        let e = t.exec(&c, "e1", &["/bin/echo", "hello"]);
        assert_eq!(task.run(&e), 0);
        assert_eq!(e.out.text(), "hello\n");
        nix::fcntl::fcntl(&slow, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
        let reader = Reader::of_file(&path, slow);
        assert_eq!(reader.bytes().len(), 1_000_000);
        assert_eq!(c.err.text(), "done\n");
        assert_eq!(task.wait("c1", ""), Ok(0));
    });
}

// ---- what else a stream can be

#[test]
fn a_file_is_appended_to() {
    case(|t| {
        let mut c = t.container("c1");
        let path = t.path("out.txt");
        fs::write(&path, "before\n").unwrap();
        c.request.stdout = path.display().to_string();
        c.sh("echo after");
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\nafter\n");
    });
}

#[test]
fn one_file_for_both_streams_loses_nothing() {
    case(|t| {
        let mut c = t.container("c1");
        let path = t.path("both.txt");
        fs::write(&path, "").unwrap();
        c.request.stdout = path.display().to_string();
        c.request.stderr = c.request.stdout.clone();
        c.sh("for i in $(seq 1 500); do echo out $i; echo err $i >&2; done");
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1000);
        let order: Vec<&str> = text.lines().filter(|l| l.starts_with("out")).collect();
        assert_eq!(order, (1..=500).map(|i| format!("out {i}")).collect::<Vec<_>>());
    });
}

#[test]
fn the_null_device_takes_everything() {
    case(|t| {
        let mut c = t.container("c1");
        (c.request.stdout, c.request.stderr) = ("/dev/null".into(), "/dev/null".into());
        c.sh("seq 1 100000; echo x >&2");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(0));
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    });
}

#[test]
fn a_full_device_does_not_stop_the_process() {
    case(|t| {
        let mut c = t.container("c1");
        (c.request.stdout, c.request.stderr) = ("/dev/full".into(), "/dev/full".into());
        c.sh("seq 1 100000; exit 4");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(4));
    });
}

#[test]
fn without_streams_there_is_the_null_device() {
    case(|t| {
        let mut c = t.container("c1");
        c.silent().sh("for fd in 0 1 2; do x=\"$x$(readlink /proc/$$/fd/$fd) \"; done; echo $x > /tmp/said; exit 6");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(6));
        assert_eq!(fs::read_to_string(t.rootfs().join("tmp/said")).unwrap(), "/dev/null /dev/null /dev/null\n");
    });
}

#[test]
fn without_streams_writing_works_all_the_same() {
    case(|t| {
        let mut c = t.container("c1");
        c.silent().sh("echo x && echo y >&2 && exit 6");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(6));
    });
}

#[test]
fn a_command_without_streams_reads_an_end_and_writes_nowhere() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let e = t.exec_sh(&c, "e1", "cat && echo x && echo y >&2 && exit 6").silent();
        assert_eq!(task.run(&e), 6);
    });
}

#[test]
fn one_stream_may_be_missing() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let mut e = t.exec_sh(&c, "e1", "echo out; echo err >&2");
        e.ask.stderr = String::new();
        assert_eq!(task.run(&e), 0);
        assert_eq!(e.out.text(), "out\n");
        let mut e = t.exec_sh(&c, "e2", "echo out; echo err >&2");
        e.ask.stdout = String::new();
        assert_eq!(task.run(&e), 0);
        assert_eq!(e.err.text(), "err\n");
    });
}

#[test]
fn a_fifo_may_be_a_url() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("echo out; echo err >&2");
        c.request.stdout = format!("fifo://{}", c.request.stdout);
        c.request.stderr = format!("fifo://{}", c.request.stderr);
        let task = t.launch(&c);
        assert_eq!(c.out.text(), "out\n");
        assert_eq!(c.err.text(), "err\n");
        assert_eq!(task.state("c1", "").unwrap().stdout, c.request.stdout, "as it was given");
    });
}

#[test]
fn a_file_url_is_made_with_its_directories() {
    case(|t| {
        let mut c = t.container("c1");
        c.request.stdout = "file:///run/test/logs/of/c1.log".into();
        c.request.stderr = c.request.stdout.clone();
        c.sh("echo out; echo err >&2");
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        let text = fs::read_to_string("/run/test/logs/of/c1.log").unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["err", "out"]);
    });
}

#[test]
fn an_unknown_scheme_is_refused() {
    case(|t| {
        let mut c = t.container("c1");
        c.request.stdout = "gopher:///x".into();
        let task = t.boot(&c);
        task.create(&c).fails(2, "unknown STDIO scheme gopher");
        task.state("c1", "").fails(5, "not found");
        assert_eq!(t.events.told(), [""; 0]);
    });
}

// ---- who holds a stream

/// Wait is at once; Delete gives the rest ten seconds, and then closes.
#[test]
fn delete_waits_ten_seconds_for_whoever_holds_the_streams() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let e = t.exec_sh(&c, "e1", "sleep 1000 & echo left");
        task.exec(&e).unwrap();
        task.start("c1", "e1").unwrap();
        let begun = Instant::now();
        assert_eq!(task.wait("c1", "e1"), Ok(0));
        assert!(begun.elapsed() < patience(5));
        e.out.expect("left\n");
        assert!(!e.out.has_ended());
        let begun = Instant::now();
        // Nobody else waits with it.
        let delete = task.begin_delete("c1", "e1");
        assert_eq!(task.run(&t.exec(&c, "e2", &["/bin/true"])), 0);
        assert!(delete.pending());
        delete.wait().unwrap();
        let took = begun.elapsed();
        assert!(took < patience(12), "{took:?}");
        assert_eq!(e.out.text(), "left\n");
    });
}

#[test]
fn what_is_written_after_the_exit_still_arrives() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let e = t.exec_sh(&c, "e1", "(usleep 700000; echo late) & exit 0");
        task.exec(&e).unwrap();
        task.start("c1", "e1").unwrap();
        assert_eq!(task.wait("c1", "e1"), Ok(0));
        task.delete("c1", "e1").unwrap();
        assert_eq!(e.out.text(), "late\n");
    });
}

/// Delete of a container ends whatever holds its streams.
#[test]
fn the_last_words_arrive_before_delete_answers() {
    case(|t| {
        let mut c = t.container("c1");
        c.sh("seq 1 100000; exit 1");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(1));
        task.delete("c1", "").unwrap();
        let text = c.out.text();
        assert!(text.ends_with("\n100000\n") && text.lines().count() == 100_000);
    });
}

/// Descriptors are let go as soon as they are of no use.
#[test]
fn no_descriptor_is_left_of_a_command() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let pid = task.shim_pid();
        let fds = || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        task.run(&t.exec(&c, "warm", &["/bin/true"]).with_stdin(t));
        let before = fds();
        for n in 0..10 {
            let id = format!("e{n}");
            let e = t.exec(&c, &id, &["/bin/echo", "x"]).with_stdin(t);
            assert_eq!(task.run(&e), 0);
            assert_eq!(e.out.text(), "x\n");
        }
        until("all descriptors to be closed", || fds() <= before);
    });
}

/// The container's root can open /dev/stdout again.
#[test]
fn the_streams_belong_to_whom_the_options_say() {
    case(|t| {
        let mut c = t.container("c1");
        c.set("/process/user", json!({"uid": 1234, "gid": 1235}));
        c.options(&dunnage_shim::proto::options::RuncOptions { io_uid: 1234, io_gid: 1235, ..Default::default() });
        c.sh("stat -L -c '%u %g' /proc/self/fd/1; echo again > /proc/self/fd/1");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(0));
        assert_eq!(c.out.text(), "1234 1235\nagain\n");
    });
}

/// What a process inherits must block: `O_NONBLOCK` is a property of the open description.
#[test]
fn the_streams_of_a_process_block() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_stdin(t).sh("for fd in 0 1 2; do grep flags /proc/self/fdinfo/$fd; done");
        t.launch(&c);
        let mut flags = String::new();
        c.out.text().as_bytes().read_to_string(&mut flags).unwrap();
        for line in flags.lines() {
            let bits = i32::from_str_radix(line.split_whitespace().nth(1).unwrap(), 8).unwrap();
            assert_eq!(bits & libc::O_NONBLOCK, 0, "{flags}");
        }
        assert_eq!(flags.lines().count(), 3);
    });
}
