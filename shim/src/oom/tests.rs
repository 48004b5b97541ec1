//! Kills for want of memory, for real; and what v2's files say, with a directory that is none of the kernel's.

use std::os::unix::process::ExitStatusExt;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::*;
use crate::metrics::fixture::{Fixture, Payload};

const SMALL: &str = r#"{"memory":{"limit":8388608,"swap":8388608}}"#;
const TOO_MUCH: &str = "exec dd if=/dev/zero of=/dev/null bs=64M count=1";

/// Waits for wake-ups as a loop of epoll would; true if one of them was for a kill, false if there is none for that long.
fn woken(oom: &mut Oom, watch: &mut OomWatch, most: Duration) -> bool {
    let until = Instant::now() + most;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let (mut rang, mut signalled) = (false, false);
        {
            let fds = [oom.as_fd(), watch.event_fd()];
            let mut fds: Vec<PollFd<'_>> =
                fds.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            if poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap() == 0 {
                return false;
            }
            rang |= fds[0].any().unwrap();
            signalled |= fds.get(1).is_some_and(|fd| fd.any().unwrap());
        }
        let named = rang && oom.ready().contains(&watch.id());
        if (named || signalled) && watch.check() {
            return true;
        }
    }
}

fn assert_killed(payload: &mut Payload) {
    assert_eq!(payload.0.wait().unwrap().signal(), Some(libc::SIGKILL));
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_kill_is_heard_of_once() {
    let fixture = Fixture::new("oom");
    let paths = fixture.create("/c", SMALL);
    let mut oom = Oom::new(&fixture.host).unwrap();
    let mut watch = oom.watch(&fixture.host, &paths).unwrap().unwrap();
    for kills in 1..3 {
        let mut payload = Payload::new(&paths, TOO_MUCH);
        assert!(!watch.check(), "nothing has happened yet");
        payload.go();
        assert!(woken(&mut oom, &mut watch, LONG));
        assert_killed(&mut payload);
        assert_eq!(watch.kills(), kills);
        assert!(!watch.check(), "told before");
    }
    // A watch of a shim that came later does not tell it again.
    assert!(!oom.watch(&fixture.host, &paths).unwrap().unwrap().check());
    fixture.remove("/c");
    assert!(!woken(&mut oom, &mut watch, Duration::from_millis(100)), "the signal of its removal");
    assert!(!watch.check());
    assert!(oom.watch(&fixture.host, &paths).unwrap().is_none());
}

/// The look before the exit of init is told: whatever woke us first, the kill is counted by then.
#[test]
fn a_kill_is_known_when_the_process_has_ended() {
    let fixture = Fixture::new("final");
    let paths = fixture.create("/c", SMALL);
    // The second as if no descriptor had been left for the shim.
    for mut oom in [Oom::new(&fixture.host).unwrap(), Oom::default()] {
        let mut watch = oom.watch(&fixture.host, &paths).unwrap().unwrap();
        let mut payload = Payload::new(&paths, TOO_MUCH);
        payload.go();
        assert_killed(&mut payload);
        assert!(watch.check());
    }
}

/// v1 signals all cgroups below the one that is full.
#[test]
fn the_kill_of_a_neighbour_is_not_ours() {
    let fixture = Fixture::new("pod");
    fixture.create("/pod", SMALL);
    let (hungry, idle) = (fixture.create("/pod/hungry", "{}"), fixture.create("/pod/idle", "{}"));
    let mut oom = Oom::new(&fixture.host).unwrap();
    let mut watch = oom.watch(&fixture.host, &hungry).unwrap().unwrap();
    let mut other = oom.watch(&fixture.host, &idle).unwrap().unwrap();
    assert_ne!(watch.id(), other.id());
    let mut payload = Payload::new(&hungry, TOO_MUCH);
    payload.go();
    assert_killed(&mut payload);
    assert!(!woken(&mut oom, &mut other, LAST_PAUSE * 3));
    assert_eq!(other.kills(), 0);
    assert!(watch.check());
}

#[test]
fn a_cgroup_that_ends_was_not_killed() {
    let fixture = Fixture::new("end");
    let paths = fixture.create("/c", SMALL);
    let mut oom = Oom::new(&fixture.host).unwrap();
    let mut watch = oom.watch(&fixture.host, &paths).unwrap().unwrap();
    Payload::new(&paths, "true").kill();
    fixture.remove("/c");
    assert!(!woken(&mut oom, &mut watch, Duration::from_millis(100)));
    assert!(!watch.check());
}

/// What proc_pid_fdinfo(5) says of the inotify instance.
fn watches(oom: &Oom) -> usize {
    let info = format!("/proc/self/fdinfo/{}", oom.as_fd().unwrap().as_raw_fd());
    std::fs::read_to_string(info).unwrap().lines().filter(|line| line.starts_with("inotify ")).count()
}

struct Files(tempfile::TempDir);

impl Files {
    fn new(text: &str) -> Files {
        let files = Files(tempfile::tempdir().unwrap());
        files.write(text);
        files
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.0.path().join("memory.events"), text).unwrap();
    }

    fn watched_by(&self, oom: &mut Oom) -> OomWatch {
        oom.watch_at(Version::V2, self.path()).unwrap().unwrap()
    }
}

fn events(oom: u64, oom_kill: u64) -> String {
    format!("low 0\nhigh 0\nmax 31\noom {oom}\noom_kill {oom_kill}\noom_group_kill 0\n")
}

#[test]
fn what_memory_events_says() {
    let files = Files::new(&events(4, 3));
    let mut oom = Oom::of(Version::V2).unwrap();
    let mut watch = files.watched_by(&mut oom);
    assert_eq!((watch.check(), watch.kills()), (false, 3), "before our time");
    for (ooms, kills, expected) in [
        (4, 3, false),
        // Of memory that the caller then did without.
        (5, 3, false),
        (6, 4, true),
        (6, 4, false),
        (7, 7, true),
        // The host has no memory, not the cgroup.
        (7, 8, true),
    ] {
        files.write(&events(ooms, kills));
        assert!(oom.ready().contains(&watch.id()), "{ooms} {kills}");
        assert_eq!(watch.check(), expected, "{ooms} {kills}");
        assert_eq!(watch.kills(), kills);
    }
    assert!(oom.ready().is_empty());
}

#[test]
fn what_ends_before_the_kill_was_read() {
    for (last, expected) in [((5, 3), true), ((4, 3), false), ((5, 4), false)] {
        let files = Files::new(&events(4, 3));
        let mut oom = Oom::of(Version::V2).unwrap();
        let mut watch = files.watched_by(&mut oom);
        files.write(&events(last.0, last.1));
        watch.check();
        drop(files);
        let before = watch.kills();
        assert_eq!((watch.check(), watch.kills()), (expected, before + u64::from(expected)), "{last:?}");
        assert!(!watch.check(), "once");
    }
    let mut oom = Oom::of(Version::V2).unwrap();
    assert!(oom.watch_at(Version::V2, "/nowhere").unwrap().is_none());
    let empty = tempfile::tempdir().unwrap();
    assert!(oom.watch_at(Version::V2, empty.path().to_str().unwrap()).unwrap().is_none(), "no memory controller");
}

#[test]
fn no_watch_is_left() {
    let (a, b) = (Files::new(&events(0, 0)), Files::new(&events(0, 0)));
    let mut oom = Oom::of(Version::V2).unwrap();
    let (first, second, third) = (a.watched_by(&mut oom), b.watched_by(&mut oom), b.watched_by(&mut oom));
    assert_eq!(watches(&oom), 2);
    a.write(&events(1, 1));
    b.write(&events(1, 1));
    assert_eq!(oom.ready(), [first.id(), second.id(), third.id()]);
    b.write(&events(2, 2));
    a.write(&events(2, 2));
    drop((first, second));
    assert_eq!(watches(&oom), 1, "the other container of that cgroup has it still");
    assert_eq!(oom.ready(), [third.id()]);
    drop(third);
    assert_eq!(watches(&oom), 0);
    assert!(oom.ready().is_empty(), "nor is its end told");
    // The instance is one that a fork shares with the shim.
    Rc::get_mut(&mut oom.0).unwrap().owner = Pid::from_raw(1);
    drop(a.watched_by(&mut oom));
    assert_eq!(watches(&oom), 1);
}
