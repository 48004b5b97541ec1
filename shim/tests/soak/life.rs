//! One container from its bundle to its removal, with two commands in it; several at a time, each step of all before the next.

use std::fs;
use std::time::{Duration, Instant};

use dunnage_shim::proto::Empty;

use super::Group;
use super::common::*;

/// What the first command copies: usually, and at times.
const SMALL: usize = 1000;
const LARGE: usize = 300_000;

pub struct Life {
    pub id: String,
    task: Task,
    container: Container,
    copies: Exec,
    waits: Exec,
    payload: Vec<u8>,
    /// The second command is not killed, but ends with its container.
    together: bool,
    directories: Vec<std::path::PathBuf>,
}

impl Life {
    pub fn new(t: &Daemon, group: &Group, n: usize) -> Life {
        let id = format!("c{n}");
        let mut container = Container::new(t, &id);
        container.sh("echo out; echo err >&2; exec sleep 1000").sandbox(&group.name);
        if n.is_multiple_of(2) {
            container.overlay(t);
        }
        container.write_config();
        let copies = t.exec_sh(&container, "copies", "cat; exit 7").with_stdin(t);
        let waits = t.exec_sh(&container, "waits", "echo here; exec sleep 1000");
        let waits = if n.is_multiple_of(3) { waits.with_terminal() } else { waits };
        let length = if n.is_multiple_of(10) { LARGE } else { SMALL };
        let payload = (0..length).map(|at| b'a' + ((at + n) % 26) as u8).collect();
        let streams = [&container.out, &container.err, &copies.out, &copies.err, &waits.out, &waits.err];
        let mut directories: Vec<_> = streams.iter().map(|reader| reader.path.clone()).collect();
        directories.push(copies.ask.stdin.clone().into());
        let mut directories: Vec<_> = directories.iter().filter_map(|path| Some(path.parent()?.into())).collect();
        directories.extend([container.bundle.clone(), t.path(&format!("overlay-{id}"))]);
        let task = group.task.clone();
        Life { id, task, container, copies, waits, payload, together: n.is_multiple_of(7), directories }
    }

    /// All that the daemon must be told, in this order.
    pub fn events(&self) -> Vec<String> {
        let id = &self.id;
        let mut events = vec![format!("create {id}"), format!("start {id}")];
        for (exec, status) in [("copies", 7), ("waits", 137)] {
            events.push(format!("exec-added {id} {exec}"));
            events.push(format!("exec-started {id} {exec}"));
            events.push(format!("exit {id} {exec} {status}"));
        }
        events.extend([format!("exit {id} 137"), format!("delete {id} 137")]);
        events
    }

    /// What the daemon would remove, and what is the test's.
    pub fn forget(self) {
        if self.waits.ask.terminal {
            // Nobody opens it, and its reader would wait for ever.
            drop(fs::File::options().read(true).write(true).open(&self.waits.err.path));
        }
        for directory in self.directories {
            match fs::remove_dir_all(&directory) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => panic!("{}: {e}", directory.display()),
                _ => {}
            }
        }
    }
}

/// The step that took longest, of all lives that go together.
#[derive(Default)]
pub struct Pace {
    pub took: Duration,
    pub step: &'static str,
}

impl Pace {
    /// The same call of each, all at a time.
    fn each<T, R>(
        &mut self,
        step: &'static str,
        lives: &[Life],
        begin: impl Fn(&Life) -> T,
        end: impl Fn(&Life, T) -> R,
    ) -> Vec<R> {
        let begun = Instant::now();
        let calls: Vec<T> = lives.iter().map(begin).collect();
        let results = lives.iter().zip(calls).map(|(life, call)| end(life, call)).collect();
        self.note(step, begun);
        results
    }

    fn note(&mut self, step: &'static str, begun: Instant) {
        super::watch::step();
        if begun.elapsed() > self.took {
            (self.took, self.step) = (begun.elapsed(), step);
        }
    }
}

pub fn live(t: &Daemon, lives: &[Life], pace: &mut Pace) {
    pace.each("Create", lives, |life| life.task.begin_create(&life.container), |_, call| call.wait().unwrap());
    let ends: Vec<_> = lives.iter().map(|life| life.task.begin_wait(&life.id, "")).collect();
    pace.each("Start", lives, |life| life.task.begin_start(&life.id, ""), |_, call| call.wait().unwrap());
    copies(lives, pace);
    waits(lives, pace);
    let begun = Instant::now();
    for life in lives {
        life.container.out.expect("out");
        life.container.err.expect("err");
        life.task.kill(&life.id, "", 9).unwrap();
    }
    for (life, end) in lives.iter().zip(ends) {
        assert_eq!(end.wait().unwrap().exit_status, 137, "{}", life.id);
        if life.together {
            assert_eq!(life.task.wait(&life.id, "waits").unwrap(), 137);
            life.task.delete(&life.id, "waits").unwrap();
        }
    }
    pace.note("Kill", begun);
    pace.each(
        "Delete",
        lives,
        |life| life.task.begin_delete(&life.id, ""),
        |_, call| assert_eq!(call.wait().unwrap().exit_status, 137),
    );
    for life in lives {
        assert_eq!((life.container.out.text(), life.container.err.text()), ("out\n".into(), "err\n".into()));
        assert_eq!(life.waits.out.text().trim_end(), "here");
        let left = host::cgroup_leftovers(&format!("{}/{}", t.cgroup, life.id));
        assert!(left.is_empty(), "{left:?}");
    }
}

fn copies(lives: &[Life], pace: &mut Pace) {
    let exec = |life: &Life| life.task.begin::<Empty>("Exec", &life.copies.request());
    pace.each("Exec", lives, exec, |_, call| call.wait().unwrap());
    let ends: Vec<_> = lives.iter().map(|life| life.task.begin_wait(&life.id, "copies")).collect();
    pace.each(
        "Start of a command",
        lives,
        |life| life.task.begin_start(&life.id, "copies"),
        |_, call| call.wait().unwrap(),
    );
    let begun = Instant::now();
    for life in lives {
        Writer::to(&life.copies.ask.stdin).write(&life.payload);
        life.task.close_io(&life.id, "copies").unwrap();
    }
    for (life, end) in lives.iter().zip(ends) {
        assert_eq!(end.wait().unwrap().exit_status, 7, "{}", life.id);
    }
    pace.note("copying", begun);
    pace.each(
        "Delete of a command",
        lives,
        |life| life.task.begin_delete(&life.id, "copies"),
        |_, call| call.wait().unwrap(),
    );
    for life in lives {
        assert!(life.copies.out.bytes() == life.payload, "{}: not what was written", life.id);
        assert_eq!(life.copies.err.text(), "");
    }
}

fn waits(lives: &[Life], pace: &mut Pace) {
    let exec = |life: &Life| life.task.begin::<Empty>("Exec", &life.waits.request());
    pace.each("Exec", lives, exec, |_, call| call.wait().unwrap());
    pace.each(
        "Start of a command",
        lives,
        |life| life.task.begin_start(&life.id, "waits"),
        |_, call| call.wait().unwrap(),
    );
    let begun = Instant::now();
    for life in lives {
        life.waits.out.expect("here");
        if !life.together {
            life.task.kill(&life.id, "waits", 9).unwrap();
        }
    }
    for life in lives.iter().filter(|life| !life.together) {
        assert_eq!(life.task.wait(&life.id, "waits").unwrap(), 137);
        let deleted = life.task.delete(&life.id, "waits").unwrap();
        assert_eq!(deleted.exit_status, 137);
    }
    pace.note("Kill of the command", begun);
}
