//! Processes on a terminal.

use std::fs;
use std::time::Instant;

use crate::common::*;

#[test]
fn a_container_is_on_a_terminal() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_terminal().sh("tty; echo err >&2; readlink /proc/self/fd/0");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(0));
        assert_eq!(c.out.text(), "/dev/pts/0\r\nerr\r\n/dev/pts/0\r\n");
        assert!(task.state("c1", "").unwrap().terminal);
    });
}

#[test]
fn what_is_typed_arrives() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_terminal().with_stdin(t).sh("echo ready; read line; echo got $line");
        let task = t.launch(&c);
        c.out.expect("ready");
        let mut stdin = Writer::to(&c.request.stdin);
        stdin.write("hello\n");
        assert_eq!(task.wait("c1", ""), Ok(0));
        assert_eq!(c.out.text(), "ready\r\nhello\r\ngot hello\r\n");
    });
}

/// The terminal itself makes the signal.
#[test]
fn control_c_is_a_signal() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_terminal()
            .with_stdin(t)
            .sh("trap 'echo interrupted; exit 5' INT; echo ready; while :; do usleep 10000; done");
        let task = t.launch(&c);
        c.out.expect("ready");
        Writer::to(&c.request.stdin).write(b"\x03");
        assert_eq!(task.wait("c1", ""), Ok(5));
        assert!(c.out.text().contains("interrupted"));
    });
}

#[test]
fn its_size_is_set_before_start() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_terminal().sh("stty size");
        let task = t.boot(&c);
        task.create(&c).unwrap();
        task.resize("c1", "", 132, 43).unwrap();
        task.start("c1", "").unwrap();
        assert_eq!(c.out.text(), "43 132\r\n");
    });
}

#[test]
fn its_size_is_changed_later_and_the_process_is_told() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_terminal().sh("trap 'stty size; exit' WINCH; echo ready; while :; do usleep 10000; done");
        let task = t.launch(&c);
        c.out.expect("ready");
        task.resize("c1", "", 100, 50).unwrap();
        assert_eq!(c.out.text(), "ready\r\n50 100\r\n");
    });
}

#[test]
fn its_size_comes_from_the_configuration() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_terminal().sh("stty size").set("/process/consoleSize", json!({"height": 33, "width": 99}));
        t.launch(&c);
        assert_eq!(c.out.text(), "33 99\r\n");
    });
}

#[test]
fn what_has_no_terminal_has_no_size() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        task.resize("c1", "", 80, 24).unwrap();
        task.exec(&t.exec(&c, "e1", &["/bin/true"])).unwrap();
        task.start("c1", "e1").unwrap();
        task.wait("c1", "e1").unwrap();
        task.resize("c1", "e1", 80, 24).fails(2, "cannot resize a stopped container");
    });
}

#[test]
fn a_command_has_a_terminal_of_its_own() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_terminal();
        let task = t.launch(&c);
        let e =
            t.exec_sh(&c, "e1", "tty; echo ready; read line; echo got $line; stty size").with_terminal().with_stdin(t);
        task.exec(&e).unwrap();
        task.start("c1", "e1").unwrap();
        e.out.expect("ready");
        task.resize("c1", "e1", 120, 40).unwrap();
        Writer::to(&e.ask.stdin).write("x\n");
        assert_eq!(task.wait("c1", "e1"), Ok(0));
        assert_eq!(e.out.text(), "/dev/pts/1\r\nready\r\nx\r\ngot x\r\n40 120\r\n");
    });
}

/// Whole, although the terminal is gone when the process is.
#[test]
fn a_large_output_arrives_whole() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let expected: String = (1..=50_000).map(|n| format!("{n}\r\n")).collect();
        for n in 0..3 {
            let e = t.exec(&c, &format!("e{n}"), &["/bin/seq", "1", "50000"]).with_terminal();
            assert_eq!(task.run(&e), 0);
            assert!(e.out.text() == expected, "run {n}: {} bytes", e.out.bytes().len());
        }
    });
}

#[test]
fn a_short_output_arrives_whole() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        for n in 0..20 {
            let e = t.exec(&c, &format!("e{n}"), &["/bin/echo", "-n", "x"]).with_terminal();
            assert_eq!(task.run(&e), 0);
            assert_eq!(e.out.text(), "x", "run {n}");
        }
    });
}

/// Who closes the terminal and opens it again: in between there is nobody, and that is not the end.
#[test]
fn a_terminal_that_is_closed_for_a_while_is_not_at_its_end() {
    case(|t| {
        let mut c = t.container("c1");
        // 10 is kept by the shell itself: busybox opens the terminal for its jobs only when it is interactive.
        c.with_terminal().sh(
            "t=$(tty); echo one; exec </dev/null >/dev/null 2>&1; usleep 500000; echo two > $t; usleep 300000; echo three > $t",
        );
        let task = t.launch(&c);
        let begun = cpu(task.shim_pid());
        assert_eq!(task.wait("c1", ""), Ok(0));
        assert_eq!(c.out.text(), "one\r\ntwo\r\nthree\r\n");
        // Nor a reason to ask again and again: 100 ticks are a second.
        let used = cpu(task.shim_pid()) - begun;
        assert!(used < 20, "{used} ticks");
    });
}

/// In ticks.
fn cpu(pid: i32) -> u64 {
    let stat = host::read(format!("/proc/{pid}/stat"));
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// In the pid namespace of the host: a child of the command keeps its terminal open.
#[test]
fn delete_waits_ten_seconds_for_whoever_holds_the_terminal() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let e = t.exec_sh(&c, "e1", "trap '' HUP; (sleep 1000 &); echo left").with_terminal();
        task.exec(&e).unwrap();
        task.start("c1", "e1").unwrap();
        assert_eq!(task.wait("c1", "e1"), Ok(0));
        let begun = Instant::now();
        task.delete("c1", "e1").unwrap();
        assert!(begun.elapsed() < patience(12), "{:?}", begun.elapsed());
        assert_eq!(e.out.text(), "left\r\n");
    });
}

#[test]
fn close_io_does_not_end_a_terminal() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_terminal().with_stdin(t).sh("echo ready; usleep 500000; echo on");
        let task = t.launch(&c);
        c.out.expect("ready");
        drop(Writer::to(&c.request.stdin));
        task.close_io("c1", "").unwrap();
        assert_eq!(task.wait("c1", ""), Ok(0));
        assert_eq!(c.out.text(), "ready\r\non\r\n");
    });
}

/// A terminal that is not closed is lost for the machine, which has 4096.
#[test]
fn no_terminal_is_left() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let pid = task.shim_pid();
        let terminals = || {
            let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
            fds.filter(|fd| fs::read_link(fd.path()).is_ok_and(|l| l.ends_with("ptmx"))).count()
        };
        for n in 0..5 {
            let id = format!("e{n}");
            let e = t.exec(&c, &id, &["/bin/true"]).with_terminal();
            task.exec(&e).unwrap();
            task.start("c1", &id).unwrap();
            task.wait("c1", &id).unwrap();
        }
        // Even without Delete.
        until("all terminals to be closed", || terminals() == 0);
        let failing = t.exec(&c, "f", &["no-such-command"]).with_terminal();
        task.exec(&failing).unwrap();
        task.start("c1", "f").fails(2, "executable file not found");
        until("all terminals to be closed", || terminals() == 0);
    });
}
