//! `binary://`: the container writes to a program that the client chose.

use std::fs;

use crate::common::*;

/// Copies fd 3 and 4 into files, then says that it is ready.
const LOGGER: &str = r#"
echo "$@" > /run/test/argv
env > /run/test/env
ls -l /proc/self/fd > /run/test/fds
cat <&3 > /run/test/out 4<&- 5>&- &
cat <&4 > /run/test/err 3<&- 5>&- &
exec 3<&- 4<&-
echo ready >&5
exec 5>&-
wait
echo done > /run/test/done
"#;

fn logged(t: &Daemon, c: &mut Container, url: &str) {
    let logger = t.script("logger", LOGGER);
    c.request.stdout = url.replace("LOGGER", &logger);
    c.request.stderr = c.request.stdout.clone();
}

fn read(name: &str) -> String {
    fs::read_to_string(format!("/run/test/{name}")).unwrap_or_default()
}

#[test]
fn a_logger_gets_what_is_written() {
    case(|t| {
        let mut c = t.container("c1");
        logged(t, &mut c, "binary://LOGGER");
        c.sh("echo out; echo err >&2; seq 1 50000");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(0));
        task.delete("c1", "").unwrap();
        assert_eq!(read("done"), "done\n", "it saw the end by itself");
        assert_eq!(read("out").lines().count(), 50_001);
        assert_eq!(read("err"), "err\n");
        t.events.are(&["create c1", "start c1", "exit c1 0", "delete c1 0"]);
    });
}

#[test]
fn a_logger_knows_for_whom_it_is_and_nothing_else() {
    case(|t| {
        let mut c = t.container("c1");
        logged(t, &mut c, "binary://LOGGER?one=1&two=a%20b&empty=&one=again");
        c.args(&["/bin/true"]);
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        let argv = read("argv");
        for pair in ["one 1", "two a b", "empty "] {
            assert!(argv.contains(pair), "{argv}");
        }
        assert!(!argv.contains("again"), "{argv}");
        let mut env: Vec<String> = read("env").lines().map(str::to_string).collect();
        // The shell's own.
        env.retain(|line| !["PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|own| line.starts_with(own)));
        env.sort_unstable();
        assert_eq!(env, ["CONTAINER_ID=c1", "CONTAINER_NAMESPACE=k8s.io"]);
    });
}

/// In the order of the URL.
#[test]
fn a_loggers_arguments_keep_their_order() {
    case(|t| {
        let mut c = t.container("c1");
        logged(t, &mut c, "binary://LOGGER?d=4&c=3&b=2&a=1&f=6&e=5");
        c.args(&["/bin/true"]);
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        assert_eq!(read("argv"), "d 4 c 3 b 2 a 1 f 6 e 5\n");
    });
}

#[test]
fn a_command_may_have_a_logger() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let mut e = t.exec_sh(&c, "e1", "echo out");
        let mut for_its_url = t.container("url");
        logged(t, &mut for_its_url, "binary://LOGGER");
        (e.ask.stdout, e.ask.stderr) = (for_its_url.request.stdout.clone(), for_its_url.request.stderr.clone());
        assert_eq!(task.run(&e), 0);
        assert_eq!(read("out"), "out\n");
        assert!(read("env").contains("CONTAINER_ID=e1"), "{}", read("env"));
    });
}

#[test]
fn a_logger_may_be_on_a_terminal() {
    case(|t| {
        let mut c = t.container("c1");
        logged(t, &mut c, "binary://LOGGER");
        c.request.terminal = true;
        c.set("/process/terminal", true).sh("tty");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(0));
        task.delete("c1", "").unwrap();
        assert_eq!(read("out"), "/dev/pts/0\r\n");
    });
}

#[test]
fn a_logger_that_does_not_exist_is_an_error() {
    case(|t| {
        let mut c = t.container("c1");
        c.request.stdout = "binary:///run/test/no-such-logger".into();
        c.request.stderr = c.request.stdout.clone();
        let task = t.boot(&c);
        task.create(&c).fails(2, "no such file or directory");
        task.state("c1", "").fails(5, "not found");
        assert_eq!(t.events.told(), [""; 0]);
    });
}

/// Its closing the descriptor is enough.
#[test]
fn a_logger_that_leaves_without_a_word_is_ready() {
    case(|t| {
        let mut c = t.container("c1");
        let logger = t.script("logger", "exit 3");
        c.request.stdout = format!("binary://{logger}");
        c.request.stderr = c.request.stdout.clone();
        c.sh("exit 4");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(4));
        task.delete("c1", "").unwrap();
        t.events.are(&["create c1", "start c1", "exit c1 4", "delete c1 4"]);
    });
}

/// Since 2.3.
#[test]
fn a_logger_of_the_second_kind_has_to_say_that_it_is_ready() {
    case(|t| {
        let mut c = t.container("c1");
        let logger = t.script("logger", "exit 3");
        c.request.stdout = format!("binary-v2://{logger}");
        c.request.stderr = c.request.stdout.clone();
        let task = t.boot(&c);
        task.create(&c).fails(2, "logging binary did not call ready");
        task.state("c1", "").fails(5, "not found");
        let mut d = t.container("c2");
        logged(t, &mut d, "binary-v2://LOGGER");
        d.sandbox("c1").sh("echo second").write_config();
        task.create(&d).unwrap();
        task.start("c2", "").unwrap();
        task.wait("c2", "").unwrap();
        task.delete("c2", "").unwrap();
        assert_eq!(read("out"), "second\n");
    });
}

/// It is asked by SIGTERM, and after twelve seconds killed.
#[test]
fn a_logger_that_does_not_end_is_ended() {
    case(|t| {
        let mut c = t.container("c1");
        let logger = t.script("logger", "exec 5>&-; while :; do sleep 1; done");
        c.request.stdout = format!("binary://{logger}");
        c.request.stderr = c.request.stdout.clone();
        c.args(&["/bin/true"]);
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        let begun = std::time::Instant::now();
        task.delete("c1", "").unwrap();
        assert!(begun.elapsed() < patience(25), "{:?}", begun.elapsed());
        let left = || host::pids().any(|pid| host::status(pid).get("Name").is_some_and(|n| n == "logger"));
        until("the logger to be gone", || !left());
    });
}
