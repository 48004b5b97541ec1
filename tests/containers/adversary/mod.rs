//! One adversary against every step of `create` and `exec`: a hostile image, and somebody who changes it while a runtime works
//! on it. Not a test for each advisory, because each was the forgotten sister of an earlier one.
//!
//! * `image`: the image and the configurations, of which every step that takes a path takes a hostile one;
//! * `racer`: what the attacker does to a path;
//! * `tracer`: stops a runtime between any two of its calls, so that the attacker acts exactly there;
//! * `steps`: which steps take a path, and where they are attacked;
//! * `watch`: what is asserted, from outside.

mod image;
mod racer;
mod steps;
mod tracer;
mod watch;

use crate::common::{Beside, Bundle, Value, case, eventually, host, patience, pty};
use image::{Rig, SCENES, Scene};
use racer::{Attack, Mutation, Storm, mutations};
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tracer::{Event, Root};
use watch::Tty;

/// One interference: at the `n`-th call that names something in the root.
#[derive(Debug, Clone, Copy)]
struct Move {
    n: usize,
    mutation: Mutation,
    /// Which component of the path: the last but so many.
    up: usize,
    /// Undone when that one call has been made; or else when the user's program begins.
    once: bool,
}

/// A call that named something in the root, and what.
type Call = (&'static str, PathBuf);

/// What came of a round.
struct Outcome {
    calls: Vec<Call>,
    /// What the attacker has changed.
    changed: Vec<PathBuf>,
    code: i32,
    err: String,
    look: Option<Value>,
}

/// What a round does, and from where the attacker gets at it.
#[derive(Clone, Copy)]
enum Verb<'a> {
    /// He shares the root file system and a volume.
    Create,
    /// He is in the container: its root, as it is in there.
    Exec(&'a Path),
}

/// `DUNNAGE_ADVERSARY_ROUNDS=N`: so many rounds of each test, however long they take.
fn rounds_asked_for() -> Option<usize> {
    std::env::var("DUNNAGE_ADVERSARY_ROUNDS").ok().map(|n| n.parse().expect("DUNNAGE_ADVERSARY_ROUNDS is a number"))
}

impl Rig {
    fn command(&self, b: &Bundle, scene: Scene, verb: Verb<'_>) -> Command {
        let socket = self.own.join("console").display().to_string();
        let mut command = match (verb, scene) {
            (Verb::Create, Scene::Terminal) => b.start_command("create", &["--console-socket", &socket]),
            (Verb::Create, Scene::NoPivot) => b.start_command("run", &["--no-pivot"]),
            (Verb::Create, _) => b.start_command("run", &[]),
            (Verb::Exec(_), _) => {
                let mut args = vec!["exec", "--cwd", "/vol/cwd/deep"];
                if scene == Scene::Terminal {
                    args.extend(["--tty", "--detach", "--console-socket", &socket]);
                }
                args.push(&b.id);
                args.extend(image::LOOK);
                b.command(&args)
            }
        };
        let mut command = std::mem::replace(command.inner(), Command::new("true"));
        let file = |name: &str| Stdio::from(fs::File::create(self.own.join(name)).unwrap());
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
        command
    }

    /// Runs a command that must succeed, without a file of the host as its output.
    #[track_caller]
    fn quietly(&self, mut command: crate::common::Command) {
        let file = |name: &str| Stdio::from(fs::File::create(self.own.join(name)).unwrap());
        let inner = command.inner().stdin(Stdio::null()).stdout(Stdio::null()).stderr(file("quiet"));
        let mut child = inner.spawn().unwrap();
        // A pid namespace ends when we have taken leave of all of its dead.
        let status = eventually("a command", || child.try_wait().unwrap());
        assert!(status.success(), "{}", fs::read_to_string(self.own.join("quiet")).unwrap());
    }

    /// One command, while others do what they want.
    fn plain_round(&self, b: &Bundle, scene: Scene, verb: Verb<'_>) -> Outcome {
        let mut command = self.command(b, scene, verb);
        let status = command.env("OF_A_HOST", "1").status().unwrap();
        let said = |name: &str| fs::read_to_string(self.own.join(name)).unwrap();
        host::reap_orphans();
        Outcome {
            calls: Vec::new(),
            changed: Vec::new(),
            code: status.code().unwrap_or(-1),
            err: said("err"),
            look: serde_json::from_str(said("out").trim()).ok(),
        }
    }

    /// Makes the move; what was changed, as the container names it.
    fn attack(&self, verb: Verb<'_>, what: Move, path: &Path) -> (Option<Attack>, Option<PathBuf>) {
        let (root, below) = match verb {
            // What is mounted comes into the container from outside.
            Verb::Exec(root) if what.mutation != Mutation::MountOver => (root, path),
            _ => self.outside(path),
        };
        let attack = Attack::make(what.mutation, root, below, what.up, ".away", &self.host);
        let prefix = if root == self.volume { "/shared" } else { "/" };
        let changed = attack.as_ref().map(|a| Path::new(prefix).join(a.path.strip_prefix("/").unwrap()));
        (attack, changed)
    }

    /// One command under one attack.
    fn round(&self, b: &Bundle, scene: Scene, verb: Verb<'_>, plan: Option<Move>) -> Outcome {
        let _ = fs::remove_file(self.own.join("console"));
        let socket = (scene == Scene::Terminal).then(|| pty::Receiver::new(&self.own.join("console")));
        let mut outcome = Outcome { calls: Vec::new(), changed: Vec::new(), code: 0, err: String::new(), look: None };
        let (mut attack, mut begun, mut terminal) = (None, false, None);
        let mut exes = Vec::new();
        let root = Root::new(&self.rootfs, &self.host.canary);
        tracer::trace(&mut self.command(b, scene, verb), &root, |event| match event {
            Event::Call(stop) => {
                outcome.calls.push((stop.call, stop.path.clone()));
                if let Some(plan) = plan.filter(|plan| plan.n + 1 == outcome.calls.len()) {
                    let changed;
                    (attack, changed) = self.attack(verb, plan, &stop.path);
                    outcome.changed.extend(changed);
                    begun = true;
                }
            }
            Event::Made if begun && plan.is_some_and(|p| p.once) => {
                attack.take().into_iter().for_each(Attack::undo);
            }
            Event::Made => (),
            Event::Entered(pid) => exes.push(fs::File::open(format!("/proc/{pid}/exe")).unwrap()),
            Event::Program => attack.take().into_iter().for_each(Attack::undo),
            Event::Ended(code) => {
                outcome.code = code;
                if let (Some(socket), 0) = (&socket, code) {
                    terminal = Some(listen(socket.receive().fds.remove(0)));
                    if matches!(verb, Verb::Create) {
                        start(b);
                    }
                }
            }
        });
        attack.take().into_iter().for_each(Attack::undo);
        outcome.err = fs::read_to_string(self.own.join("err")).unwrap();
        let said = match terminal {
            Some(said) => said.join().unwrap(),
            None => fs::read_to_string(self.own.join("out")).unwrap(),
        };
        outcome.look = serde_json::from_str(said.trim()).ok();
        exes.iter().for_each(sealed);
        if matches!(verb, Verb::Create) && (!host::cgroup_leftovers(&b.cgroup).is_empty() || b.state_dir().exists()) {
            self.quietly(b.command(&["delete", "--force", &b.id]));
        }
        host::reap_orphans();
        outcome
    }
}

/// Has the container start, without waiting for it: its process may be stopped by us.
fn start(b: &Bundle) {
    let mut command = b.command(&["start", &b.id]);
    let command = command.inner().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[allow(clippy::zombie_processes)] // With all that is left to the test.
    drop(command.spawn().unwrap());
}

/// What a terminal says until its other end is closed.
fn listen(master: OwnedFd) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut said = Vec::new();
        // EIO: the end.
        let _ = std::io::Read::read_to_end(&mut fs::File::from(master), &mut said);
        String::from_utf8_lossy(&said).into_owned()
    })
}

/// What entered the container was a copy that nobody can write, even now that nobody executes it.
fn sealed(exe: &fs::File) {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    let seals = SealFlag::from_bits_truncate(fcntl(exe, FcntlArg::F_GET_SEALS).expect("a file in memory"));
    let all = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    assert!(seals.contains(all), "{seals:?}");
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(exe));
    let written = fs::OpenOptions::new().write(true).open(again).and_then(|mut f| std::io::Write::write(&mut f, b"x"));
    assert!(written.is_err(), "what enters the container can be written");
}

/// Ends whatever is left when a round takes too long, so that it fails and says which one it was.
struct Watchdog {
    alive: Arc<AtomicBool>,
    barked: Arc<AtomicBool>,
}

impl Watchdog {
    fn new() -> Watchdog {
        let dog = Watchdog { alive: Arc::new(AtomicBool::new(true)), barked: Arc::new(AtomicBool::new(false)) };
        let (alive, barked) = (Arc::clone(&dog.alive), Arc::clone(&dog.barked));
        std::thread::spawn(move || {
            let mut idle = Instant::now();
            while Arc::strong_count(&alive) > 1 {
                std::thread::sleep(std::time::Duration::from_millis(100));
                if alive.swap(false, Ordering::Relaxed) {
                    idle = Instant::now();
                } else if idle.elapsed() > patience(10) {
                    barked.store(true, Ordering::Relaxed);
                    for pid in host::pids().filter(|pid| *pid != 1) {
                        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
                    }
                }
            }
        });
        dog
    }

    /// One more round is done.
    fn pat(&self, what: &dyn std::fmt::Display) {
        self.alive.store(true, Ordering::Relaxed);
        assert!(!self.barked.load(Ordering::Relaxed), "{what}: it did not end within ten seconds");
    }
}

impl Outcome {
    /// A container that is right, or none and why.
    fn is_clear(&self, rig: &Rig, tty: Tty, what: &dyn std::fmt::Display) {
        match &self.look {
            Some(look) => rig.watch.container_is_right(what, look, &self.changed, tty),
            None => {
                // The container's own process says it to its terminal, which is closed by then.
                let unheard = tty != Tty::None && self.code == 0;
                let told = self.err.contains('/')
                    || self.err.contains("hook #0: exit status 127")
                    || self.err.contains("something killed it");
                let broken = self.err.contains("internal error") || self.err.contains("panicked");
                assert!(unheard || told && !broken, "{what}: code {}, it said {:?}", self.code, self.err);
            }
        }
    }
}

/// Where the stepped rounds act: for each path that is named, each mutation once, by turns at each call that names it, at each
/// component of it, for one call and for good. That is divided among the scenes; of what a scene alone has it does all.
fn schedule(scene: Scene, calls: &[Call]) -> Vec<Move> {
    let all = mutations();
    let mut by_path = BTreeMap::<&Path, Vec<usize>>::new();
    for (n, (_, path)) in calls.iter().enumerate().filter(|(_, (_, path))| path.parent().is_some()) {
        by_path.entry(path).or_default().push(n);
    }
    let whole = rounds_asked_for().is_some();
    let nth = SCENES.iter().position(|s| *s == scene).unwrap();
    let mut moves = Vec::new();
    for (p, (path, calls)) in by_path.iter().enumerate() {
        for (m, mutation) in all.iter().enumerate() {
            let turn = p * 7 + m;
            if whole || turn % SCENES.len() == nth || scene.has_all_of(path) {
                let n = calls[turn % calls.len()];
                moves.push(Move { n, mutation: *mutation, up: turn / 2 % 3, once: turn % 2 == 0 });
            }
        }
    }
    moves
}

/// How long the rounds of a test took, and what they met.
#[derive(Default)]
struct Tally {
    rounds: usize,
    changed: usize,
    containers: usize,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        self.rounds += 1;
        self.changed += usize::from(!outcome.changed.is_empty());
        self.containers += usize::from(outcome.look.is_some());
    }

    /// Half of the changes happen at least, and some rounds end well and some do not: else nothing was attacked.
    fn tell(&self, what: &str, begin: Instant) {
        let Tally { rounds, changed, containers } = self;
        eprintln!(
            "{what}: {rounds} rounds in {:.1?}, {changed} with a change, {containers} ended well",
            begin.elapsed()
        );
        assert!(*containers > 0 && changed * 3 > *rounds, "{what}: the attacker does nothing");
    }
}

/// The schedule, at most `rounds_asked_for`; turned further for each time that it is begun again.
fn rounds(moves: &[Move]) -> impl Iterator<Item = Move> + '_ {
    let count = rounds_asked_for().unwrap_or(moves.len());
    (0..count).map(|i| {
        let (turn, mut one) = (i / moves.len(), moves[i % moves.len()]);
        one.up = (one.up + turn) % 3;
        one.once ^= turn % 2 == 1;
        one
    })
}

/// Before calls of a creation that name something in the root, mutations of what they name.
fn create_stepped(b: &mut Bundle, scene: Scene) {
    let mut rig = Rig::new(b, scene);
    let dog = Watchdog::new();
    let tty = if scene == Scene::Terminal { Tty::Console } else { Tty::None };
    let calm = rig.round(b, scene, Verb::Create, None);
    assert!(calm.look.is_some(), "without an attack: {} {}", calm.code, calm.err);
    calm.is_clear(&rig, tty, &"without an attack");
    let (mut tally, begin) = (Tally::default(), Instant::now());
    for one in rounds(&schedule(scene, &calm.calls)) {
        rig.build();
        let outcome = rig.round(b, scene, Verb::Create, Some(one));
        let what = format!("{scene:?}, {one:?} at {:?}, changed {:?}", calm.calls[one.n], outcome.changed);
        dog.pat(&what);
        rig.watch.host_is_untouched(&what);
        outcome.is_clear(&rig, tty, &what);
        b.assert_gone();
        tally.add(&outcome);
    }
    rig.watch.nothing_has_changed();
    tally.tell(&format!("create, {scene:?}"), begin);
}

/// As its state file says; `state` would write its answer to a file of the host.
fn pid_of(b: &Bundle) -> i32 {
    let state: Value = serde_json::from_str(&host::read(b.state_dir().join("state.json"))).unwrap();
    state["init_process_pid"].as_i64().unwrap() as i32
}

/// The same of processes that join a container, by somebody who is in there.
fn exec_stepped(b: &mut Bundle, scene: Scene) {
    let mut rig = Rig::new(b, scene);
    b.set("/process/terminal", false).args(&["/bin/busybox", "sleep", "1000"]);
    rig.quietly(b.start_command("run", &["--detach"]));
    let root = PathBuf::from(format!("/proc/{}/root", pid_of(b)));
    let verb = Verb::Exec(&root);
    let dog = Watchdog::new();
    let tty = if scene == Scene::Terminal { Tty::Stdin } else { Tty::None };
    let calm = rig.round(b, scene, verb, None);
    assert!(calm.look.is_some(), "without an attack: {} {}", calm.code, calm.err);
    calm.is_clear(&rig, tty, &"without an attack");
    let mut moves = Vec::new();
    for (n, (_, path)) in calm.calls.iter().enumerate().filter(|(_, (_, path))| path.parent().is_some()) {
        for (m, mutation) in mutations().into_iter().enumerate() {
            moves.push(Move { n, mutation, up: (n + m) % path.components().count().max(1), once: (n + m) % 2 == 0 });
        }
    }
    let (mut tally, begin) = (Tally::default(), Instant::now());
    for one in rounds(&moves) {
        let outcome = rig.round(b, scene, verb, Some(one));
        let what = format!("exec, {scene:?}, {one:?} at {:?}, changed {:?}", calm.calls[one.n], outcome.changed);
        dog.pat(&what);
        rig.watch.host_is_untouched(&what);
        outcome.is_clear(&rig, tty, &what);
        tally.add(&outcome);
    }
    rig.watch.nothing_has_changed();
    tally.tell(&format!("exec, {scene:?}"), begin);
}

/// What is changed blindly: all that the container's own paths begin with.
const IMAGE: &[&str] = &[
    "/vol",
    "/vol/made/deep",
    "/vol/copy/sub/file",
    "/etc/passwd",
    "/vol/secret",
    "/vol/new/file2",
    "/vol/nodes/null",
    "/vol/ro",
    "/vol/bin/look",
    "/vol/cwd/deep",
    "/bin/busybox",
    "/vol/dir",
];
/// And where the kernel's file systems go.
const KERNELS: &[&str] = &["/dev", "/proc", "/sys", "/dev/pts", "/dev/console", "/dev/null"];
const VOLUME: &[&str] = &["/in/deep", "/secret", "/file", "/ro", "/null", "/in"];

/// Without any, hardly a container comes to be.
const LULLS: &[Duration] =
    &[Duration::from_millis(4), Duration::from_millis(1), Duration::from_millis(12), Duration::ZERO];

/// Containers are made while others change everything as fast as they can: nobody knows what they hit.
fn create_blindly(b: &mut Bundle, scene: Scene, runs: usize) {
    let mut rig = Rig::new(b, scene);
    let dog = Watchdog::new();
    let (mut tally, mut changes, begin) = (Tally::default(), 0, Instant::now());
    let runs = rounds_asked_for().unwrap_or(runs);
    while tally.rounds < runs {
        rig.build();
        // By turns, or hardly anything would get beyond the first mount.
        let paths = if tally.rounds % 100 == 0 { [IMAGE, KERNELS].concat() } else { IMAGE.to_vec() };
        let lull = LULLS[tally.rounds / 50 % LULLS.len()];
        let over = |root: &Path, paths: &[&str]| Storm::over(root, paths, &rig.host, lull);
        let storms = [over(&rig.rootfs, &paths), over(&rig.volume, VOLUME)];
        let mut changed: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        changed.push("/shared".into());
        for _ in 0..50 {
            let mut outcome = rig.plain_round(b, scene, Verb::Create);
            outcome.changed.clone_from(&changed);
            let what = format!("{scene:?}, blindly, round {}", tally.rounds);
            dog.pat(&what);
            rig.watch.nobody_was_heard(&what);
            outcome.is_clear(&rig, Tty::None, &what);
            tally.add(&outcome);
        }
        changes += storms.into_iter().map(Storm::end).sum::<u64>();
        rig.calm_down();
        rig.watch.host_is_untouched(&"after the storm");
        b.assert_gone();
    }
    rig.watch.nothing_has_changed();
    tally.tell(&format!("create, {scene:?}, blindly, {changes} changes"), begin);
}

/// Processes join a container that is full of attackers: root there, with the privileges to trace and to mount.
fn exec_blindly(b: &mut Bundle, scene: Scene, runs: usize) {
    let mut rig = Rig::new(b, scene);
    let canary = rig.host.canary.join("file").display().to_string();
    b.all_capabilities(&[
        "CAP_SYS_PTRACE",
        "CAP_SYS_ADMIN",
        "CAP_KILL",
        "CAP_DAC_OVERRIDE",
        "CAP_SYS_CHROOT",
        "CAP_MKNOD",
    ]);
    b.args(&["/bin/busybox", "sleep", "1000"]).remove("/linux/seccomp");
    rig.quietly(b.start_command("run", &["--detach"]));
    let root = PathBuf::from(format!("/proc/{}/root", pid_of(b)));
    let inside = |output: &str, args: &[&str]| {
        let mut command = b.command(&[&["exec", "--cwd", "/", &b.id, "/payload"], args].concat());
        let file = fs::File::create(rig.own.join(output)).unwrap();
        let command = command.inner().stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Beside(command.spawn().unwrap())
    };
    let attackers = [
        inside("found", &["hostile", &canary]),
        inside("mounts", &["mounts", "/proc/self/attr", "/dev/pts", "/etc", "/proc"]),
    ];
    let dog = Watchdog::new();
    let (mut tally, begin) = (Tally::default(), Instant::now());
    let storm = Storm::over(&root, IMAGE, &rig.host, LULLS[1]);
    for n in 0..rounds_asked_for().unwrap_or(runs) {
        let mut outcome = rig.plain_round(b, scene, Verb::Exec(&root));
        outcome.changed.push("/".into());
        let what = format!("exec, {scene:?}, blindly, round {n}");
        dog.pat(&what);
        rig.watch.nobody_was_heard(&what);
        if outcome.look.is_some() || outcome.code != 137 {
            outcome.is_clear(&rig, Tty::None, &what);
        }
        tally.add(&outcome);
    }
    let changes = storm.end();
    let found = fs::read_to_string(rig.own.join("found")).unwrap();
    assert_eq!(found.trim(), "began", "what the attackers found");
    drop(attackers);
    rig.quietly(b.command(&["delete", "--force", &b.id]));
    rig.watch.nothing_has_changed();
    b.assert_gone();
    tally.tell(&format!("exec, {scene:?}, blindly, {changes} changes"), begin);
}

/// The table of steps is whole, and what it says is what the stepped tests do.
#[test]
fn every_step_is_attacked() {
    case(|_| {
        let mut verbs = steps::verbs();
        let mut listed: Vec<&str> = steps::STEPS.iter().map(|(verb, _)| *verb).collect();
        verbs.sort_unstable();
        listed.sort_unstable();
        assert_eq!(verbs, listed, "a step is not in the harness's table, or is no more");
        let mut attacked = BTreeMap::<PathBuf, Vec<Mutation>>::new();
        // The one that changes the host's cgroups comes last.
        let (last, first): (Vec<_>, Vec<_>) = SCENES.iter().partition(|s| **s == Scene::Unified);
        for scene in first.iter().chain(&last) {
            let b = &mut Bundle::new();
            let rig = Rig::new(b, *scene);
            let calls = rig.round(b, *scene, Verb::Create, None).calls;
            for one in schedule(*scene, &calls) {
                attacked.entry(calls[one.n].1.clone()).or_default().push(one.mutation);
            }
        }
        for (verb, how) in steps::STEPS {
            let paths = match how {
                steps::How::At(paths) => paths,
                steps::How::Not(why) => {
                    assert!(!why.is_empty(), "{verb}");
                    continue;
                }
            };
            let missing: Vec<_> = paths.iter().filter(|p| !attacked.contains_key(Path::new(p))).collect();
            assert!(missing.is_empty(), "{verb} is not attacked at {missing:?}");
            let of_it: Vec<Mutation> = paths.iter().flat_map(|p| attacked[Path::new(p)].clone()).collect();
            let missing: Vec<_> = mutations().into_iter().filter(|m| !of_it.contains(m)).collect();
            assert!(missing.is_empty(), "{verb} is not attacked by {missing:?}");
        }
    });
}

#[test]
fn create_plain() {
    case(|b| create_stepped(b, Scene::Plain));
}

#[test]
fn create_with_a_terminal() {
    case(|b| create_stepped(b, Scene::Terminal));
}

#[test]
fn create_in_a_user_namespace() {
    case(|b| create_stepped(b, Scene::Mapped));
}

#[test]
fn create_on_v2() {
    case(|b| create_stepped(b, Scene::Unified));
}

#[test]
fn create_in_the_images_own_dev() {
    case(|b| create_stepped(b, Scene::OwnDev));
}

#[test]
fn create_without_pivot_root() {
    case(|b| create_stepped(b, Scene::NoPivot));
}

#[test]
fn create_without_a_mount_namespace() {
    case(|b| create_stepped(b, Scene::NoMounts));
}

#[test]
fn create_with_mounts_that_propagate() {
    case(|b| create_stepped(b, Scene::Shared));
}

#[test]
fn exec_plain() {
    case(|b| exec_stepped(b, Scene::Plain));
}

#[test]
fn exec_with_a_terminal() {
    case(|b| exec_stepped(b, Scene::Terminal));
}

#[test]
fn exec_in_a_user_namespace() {
    case(|b| exec_stepped(b, Scene::Mapped));
}

#[test]
fn create_in_a_storm() {
    case(|b| create_blindly(b, Scene::Plain, 600));
}

#[test]
fn create_in_a_storm_in_a_user_namespace() {
    case(|b| create_blindly(b, Scene::Mapped, 400));
}

#[test]
fn exec_in_a_storm() {
    case(|b| exec_blindly(b, Scene::Plain, 600));
}

#[test]
fn exec_in_a_storm_in_a_user_namespace() {
    case(|b| exec_blindly(b, Scene::Mapped, 400));
}
