//! A container that is being made, and one whose making was cut short. What is about to be made outside the state directory is
//! on disk (`creating.json`) before it is made, so that `delete` can undo a create that was killed at any moment. Knows how
//! that is recorded and who may act on it; what a cgroup is, it leaves to its caller.
//!
//! The order, and what is true if the process dies right after:
//!
//! | step | on disk | `delete` |
//! |---|---|---|
//! | [`Root::create_container`] | an empty directory, locked | removes it |
//! | [`Creating::intend`] | which cgroups will be made | kills what is in them, removes them, then the directory |
//! | [`Creating::record_init`] | and who init is | kills init as well |
//! | [`Creating::commit`] | state.json | it is a container |
//!
//! Between clone3 and `record_init`, init must be in a recorded cgroup, or die with its parent by itself.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use super::dir::{ContainerDir, Root, check_id, does_not_exist, write_all};
use super::object::object;
use super::status::{InitProcess, not_running};
use super::types::State;
use crate::error::{Error, Result};
use crate::files;
use crate::sys::flock;

/// What is being made, one JSON object a line: an [`Intent`], then an [`Init`] once there is one.
const CREATING: &str = "creating.json";

object! {
    /// What a create is about to make outside the state directory.
    pub struct Intent {
        /// As [`State::cgroup_paths`]. Only cgroups that were found empty or missing may be named here, *before* this is
        /// written: whatever is in them later is ours to kill.
        pub cgroup_paths: BTreeMap<String, String>,
        /// systemd's scope, if the systemd driver is used.
        pub systemd_unit: String,
        /// It is the user's own systemd (rootless).
        pub systemd_user: bool,
        /// resctrl group.
        pub intel_rdt_path: String,
        /// resctrl monitoring group.
        pub intel_rdt_mon_path: String,
    }
}

/// The second line of `creating.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Init {
    init_process_pid: i32,
    init_process_start: u64,
}

/// A container directory that this process is filling. Until [`Creating::commit`] the directory is locked: that is how
/// others know that the creator is alive. Only `delete` looks at the lock.
#[derive(Debug)]
pub struct Creating {
    dir: ContainerDir,
    record: Option<OwnedFd>,
    /// Name of the file that becomes state.json.
    prepared: Option<String>,
}

impl Root {
    /// Makes and locks `ROOT/ID`, 0711. Nothing else may be made for the container before.
    pub fn create_container(self, id: &str) -> Result<Creating> {
        check_id(id)?;
        let mode = Mode::S_IRWXU | Mode::S_IXGRP | Mode::S_IXOTH;
        match files::mkdirat(&self, id, mode) {
            Ok(()) => {}
            Err(Errno::EEXIST) => return Err(Error::new("container with given ID already exists")),
            Err(e) => return Err(Error::sys(format!("mkdir {}/{id}", self.path().display()), e)),
        }
        // A `delete` may take the directory, still empty, for that of an aborted create. Nothing is lost but this attempt.
        let dir = self.into_container(id).map_err(|e| if e == does_not_exist() { deleted(id) } else { e })?;
        if !dir.try_lock()? {
            return Err(deleted(id));
        }
        Ok(Creating { dir, record: None, prepared: None })
    }
}

fn deleted(id: &str) -> Error {
    Error::new(format!("container {id} was deleted while it was being created"))
}

impl Creating {
    /// The directory, to make exec.fifo in.
    pub fn dir(&self) -> &ContainerDir {
        &self.dir
    }

    /// Puts on disk what is about to be made. Once, and before any of it.
    pub fn intend(&mut self, intent: &Intent) -> Result<()> {
        let file = self.dir.create_file(CREATING).map_err(|e| match e {
            Errno::ENOENT => deleted(&self.dir.id),
            e => Error::sys(format!("create {}/{CREATING}", self.dir.id), e),
        })?;
        self.append(&file, intent)?;
        self.record = Some(file);
        Ok(())
    }

    /// Adds init, as soon as it has been cloned. `start_time` is [`super::start_time`] of it.
    pub fn record_init(&self, pid: i32, start_time: u64) -> Result<()> {
        match &self.record {
            Some(file) => self.append(file, &Init { init_process_pid: pid, init_process_start: start_time }),
            None => Err(Error::new("init was made before anything on disk said so")),
        }
    }

    /// One line; one that was cut short is told by its missing newline, and nothing of it had been made yet.
    fn append(&self, file: &OwnedFd, value: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(value).map_err(|e| Error::new(format!("write {CREATING}: {e}")))?;
        line.push(b'\n');
        write_all(file, &line).map_err(|e| Error::sys(format!("write {}/{CREATING}", self.dir.id), e))
    }

    /// Writes what will be state.json, under another name: what takes time is done before it is needed.
    pub fn prepare<C: Serialize>(&mut self, state: &State<C>) -> Result<()> {
        let bytes = serde_json::to_vec(state).map_err(|e| Error::new(format!("write state.json: {e}")))?;
        self.prepared = Some(self.dir.write_aside(&bytes)?);
        Ok(())
    }

    /// Makes what was prepared state.json: from here on it is a container, and everybody's. If it fails, the intent still
    /// stands.
    pub fn commit(&mut self) -> Result<()> {
        let prepared = self.prepared.take().ok_or_else(|| Error::new("no state was prepared"))?;
        self.dir.rename_state(&prepared)?;
        self.dir.unlink(CREATING)?;
        self.record = None;
        flock::unlock(&self.dir).map_err(|e| Error::sys(format!("flock {}", self.dir.id), e))
    }

    /// The directory of the container that [`Creating::commit`] made.
    pub fn into_dir(self) -> ContainerDir {
        self.dir
    }

    /// Removes the directory again, before or after [`Creating::commit`]; all that was intended has been undone by the
    /// caller.
    pub fn abandon(self) -> Result<()> {
        self.dir.unlink(CREATING)?;
        self.dir.remove()
    }
}

/// What there is under an id, for `delete`.
#[derive(Debug)]
pub enum Claim {
    /// Nothing.
    Missing,
    /// A container, with a state.json.
    Container(ContainerDir),
    /// What a create left that did not come to its end.
    Aborted(Aborted),
}

impl Claim {
    /// Looks under `id`. A directory without state.json whose creator is alive is given a second to become a container; after
    /// that it is an error, because it must not be pulled out from under the creator.
    pub fn of(root: &Path, id: &str) -> Result<Claim> {
        Claim::within(root, id, Duration::from_secs(1))
    }

    fn within(root: &Path, id: &str, patience: Duration) -> Result<Claim> {
        let deadline = Instant::now().checked_add(patience);
        loop {
            let dir = match ContainerDir::open(root, id) {
                Ok(dir) => dir,
                Err(e) if e == does_not_exist() => return Ok(Claim::Missing),
                Err(e) => return Err(e),
            };
            if dir.has_state()? {
                return Ok(Claim::Container(dir));
            }
            if dir.try_lock()? {
                // The creator may have come to its end between the two.
                if dir.has_state()? {
                    return Ok(Claim::Container(dir));
                }
                return Ok(Claim::Aborted(Aborted::read(dir)?));
            }
            if deadline.is_none_or(|end| Instant::now() >= end) {
                return Err(Error::new(format!("container {id} is still being created")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A create that was cut short, and ours to undo: its directory is locked while this lives.
#[derive(Debug)]
pub struct Aborted {
    dir: ContainerDir,
    intent: Option<Intent>,
    init: Option<Init>,
}

impl Aborted {
    fn read(dir: ContainerDir) -> Result<Aborted> {
        let bytes = dir.read_file(CREATING)?.unwrap_or_default();
        let end = bytes.iter().rposition(|&b| b == b'\n').unwrap_or(0);
        let mut lines = bytes.get(..end).unwrap_or_default().split(|&b| b == b'\n').filter(|line| !line.is_empty());
        let bad = |e: serde_json::Error| Error::new(format!("container {}: {CREATING}: {e}", dir.id));
        let intent = lines.next().map(serde_json::from_slice).transpose().map_err(bad)?;
        let init = lines.next().map(serde_json::from_slice).transpose().map_err(bad)?;
        Ok(Aborted { dir, intent, init })
    }

    /// What it may have made; `None` if it had not come so far as to make anything outside its directory.
    pub fn intent(&self) -> Option<&Intent> {
        self.intent.as_ref()
    }

    /// Undoes it: kills its init, has `undo` kill what is in the intended cgroups and remove them, then removes the
    /// directory. If anything fails the record stays, so that it can be repeated.
    pub fn undo(self, undo: impl FnOnce(&Intent) -> Result<()>) -> Result<()> {
        if let Some(init) = self.init
            && let Some(process) = InitProcess::open(init.init_process_pid, init.init_process_start)?
        {
            match process.kill(libc::SIGKILL) {
                Err(e) if e != not_running() => return Err(e),
                _ => {}
            }
        }
        if let Some(intent) = &self.intent {
            undo(intent)?;
        }
        self.dir.unlink(CREATING)?;
        self.dir.remove()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Brief, Config, start_time};
    use super::*;
    use std::path::PathBuf;
    use std::process::Command;

    fn root() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/root");
        (dir, path)
    }

    fn create(root: &Path, id: &str) -> Result<Creating> {
        Root::create(root)?.create_container(id)
    }

    fn intent() -> Intent {
        Intent { cgroup_paths: [(String::new(), "/sys/fs/cgroup/x/c".to_owned())].into(), ..Intent::default() }
    }

    fn state(id: &str) -> State {
        State { id: id.into(), ..State::default() }
    }

    fn commit(creating: &mut Creating, id: &str) {
        creating.prepare(&state(id)).unwrap();
        creating.commit().unwrap();
    }

    fn aborted(root: &Path) -> Aborted {
        match Claim::within(root, "c", Duration::ZERO).unwrap() {
            Claim::Aborted(aborted) => aborted,
            other => panic!("{other:?}"),
        }
    }

    fn entries(dir: &Path) -> Vec<String> {
        let names = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_container_comes_into_being() {
        let (_keep, root) = root();
        let mut creating = create(&root, "c").unwrap();
        assert_eq!(create(&root, "c").unwrap_err().to_string(), "container with given ID already exists");
        creating.intend(&intent()).unwrap();
        creating.record_init(1, 2).unwrap();
        creating.dir().make_exec_fifo((0, 0)).unwrap();
        assert_eq!(entries(&root.join("c")), ["creating.json", "exec.fifo"]);
        let missing = ContainerDir::open(&root, "c").unwrap().load::<Brief>().unwrap_err();
        assert_eq!(missing.to_string(), "container does not exist");

        commit(&mut creating, "c");
        assert_eq!(entries(&root.join("c")), ["exec.fifo", "state.json"]);
        let dir = creating.into_dir();
        assert_eq!(dir.load::<Config>().unwrap(), state("c"));
        // Nobody holds a lock any more.
        assert!(matches!(Claim::within(&root, "c", Duration::ZERO), Ok(Claim::Container(_))));
        dir.remove().unwrap();
        assert!(entries(&root).is_empty());
    }

    #[test]
    fn abandoned_before_and_after_it_was_a_container() {
        for committed in [false, true] {
            let (_keep, root) = root();
            let mut creating = create(&root, "c").unwrap();
            creating.intend(&intent()).unwrap();
            if committed {
                commit(&mut creating, "c");
            }
            creating.abandon().unwrap();
            assert!(entries(&root).is_empty());
        }
    }

    #[test]
    fn delete_waits_for_a_living_creator_and_then_refuses() {
        let (_keep, root) = root();
        let mut creating = create(&root, "c").unwrap();
        creating.intend(&intent()).unwrap();
        let error = Claim::within(&root, "c", Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.to_string(), "container c is still being created");
        let other = std::thread::spawn({
            let root = root.clone();
            move || Claim::within(&root, "c", Duration::from_secs(20)).unwrap()
        });
        commit(&mut creating, "c");
        assert!(matches!(other.join().unwrap(), Claim::Container(_)));
    }

    #[test]
    fn undone_from_every_moment_of_death() {
        type Reach = fn(&mut Creating) -> Result<()>;
        let moments: [(&str, Reach, bool); 5] = [
            ("directory", |_| Ok(()), false),
            ("intent", |c| c.intend(&intent()), true),
            ("fifo", |c| c.intend(&intent()).and_then(|()| c.dir().make_exec_fifo((0, 0))), true),
            ("init", |c| c.intend(&intent()).and_then(|()| c.record_init(i32::MAX, 1)), true),
            (
                "temporary state file, notify directory",
                |c| {
                    drop(c.dir.create_file("state-1-0").unwrap());
                    files::mkdirat(c.dir(), "notify", Mode::S_IRWXU).unwrap();
                    nix::sys::stat::mkdirat(c.dir(), "notify/deep", Mode::S_IRWXU).unwrap();
                    c.intend(&intent())
                },
                true,
            ),
        ];
        for (moment, reach, undoes) in moments {
            let (_keep, root) = root();
            let mut creating = create(&root, "c").unwrap();
            reach(&mut creating).unwrap();
            // All that a SIGKILL does to it: the descriptors are closed.
            drop(creating);

            let first = aborted(&root);
            assert_eq!(first.intent(), undoes.then(intent).as_ref(), "{moment}");
            assert!(Claim::within(&root, "c", Duration::ZERO).is_err(), "{moment}: two at a time");
            assert_eq!(first.undo(|_| Err(Error::new("busy"))).is_err(), undoes, "{moment}");
            if undoes {
                // The record outlives the failure.
                let mut undone = None;
                let second = aborted(&root).undo(|intent| {
                    undone = Some(intent.clone());
                    Ok(())
                });
                second.unwrap();
                assert_eq!(undone, Some(intent()), "{moment}");
            }
            assert!(matches!(Claim::of(&root, "c"), Ok(Claim::Missing)), "{moment}");
            assert!(entries(&root).is_empty(), "{moment}");
        }
    }

    #[test]
    fn undoing_kills_the_init_that_was_recorded_and_no_other() {
        for same in [true, false] {
            let (_keep, root) = root();
            let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
            let pid = i32::try_from(child.id()).unwrap();
            let start = start_time(pid).unwrap();
            let mut creating = create(&root, "c").unwrap();
            creating.intend(&Intent::default()).unwrap();
            creating.record_init(pid, if same { start } else { start + 1 }).unwrap();
            drop(creating);
            aborted(&root).undo(|_| Ok(())).unwrap();
            if !same {
                assert_eq!(child.try_wait().unwrap(), None);
                child.kill().unwrap();
            }
            assert!(!child.wait().unwrap().success());
        }
    }

    #[test]
    fn a_line_that_was_cut_short_was_never_acted_on() {
        for (text, intent, init) in [
            ("", false, false),
            (r#"{"cgroup_paths":{"":"/x"#, false, false),
            ("{\"cgroup_paths\":{}}\n", true, false),
            ("{\"cgroup_paths\":{}}\n{\"init_process_pid\":1", true, false),
            ("{\"cgroup_paths\":{}}\n{\"init_process_pid\":1,\"init_process_start\":2}\n", true, true),
        ] {
            let (_keep, root) = root();
            drop(create(&root, "c").unwrap());
            std::fs::write(root.join("c").join(CREATING), text).unwrap();
            let aborted = aborted(&root);
            assert_eq!((aborted.intent.is_some(), aborted.init.is_some()), (intent, init), "{text}");
        }
        let (_keep, root) = root();
        drop(create(&root, "c").unwrap());
        std::fs::write(root.join("c").join(CREATING), "nonsense\n").unwrap();
        assert!(Claim::of(&root, "c").is_err(), "what was about to be made is not known, so the record must stay");
        assert_eq!(entries(&root.join("c")), [CREATING]);
    }

    #[test]
    fn a_creator_whose_directory_is_gone_is_told() {
        let (_keep, root) = root();
        let mut creating = create(&root, "c").unwrap();
        std::fs::remove_dir(root.join("c")).unwrap();
        let error = creating.intend(&intent()).unwrap_err();
        assert_eq!(error.to_string(), "container c was deleted while it was being created");
    }

    #[test]
    fn a_state_is_changed_whole_or_not_at_all() {
        let (_keep, root) = root();
        let mut creating = create(&root, "c").unwrap();
        commit(&mut creating, "c");
        let dir = creating.into_dir();
        // A writer that was killed with our pid left its temporary file.
        drop(dir.create_file(&format!("state-{}-0", std::process::id())).unwrap());
        let changed = dir.update(|state| {
            state.config.hostname = "h".into();
            Ok(())
        });
        assert_eq!(dir.load::<Config>(), changed);
        assert_eq!(changed.unwrap().config.hostname, "h");
        let refused = dir.update(|state| {
            state.config.hostname = "other".into();
            Err(Error::new("no"))
        });
        assert_eq!(refused, Err(Error::new("no")));
        assert_eq!(dir.load::<Config>().unwrap().config.hostname, "h");
        dir.remove().unwrap();
        assert!(entries(&root).is_empty());
    }

    #[test]
    fn a_state_of_another_container_is_refused() {
        let (_keep, root) = root();
        let mut creating = create(&root, "c").unwrap();
        commit(&mut creating, "d");
        let error = creating.into_dir().load::<Brief>().unwrap_err();
        assert_eq!(error.to_string(), "container c: state.json is of container \"d\"");
    }

    #[test]
    fn ids_that_are_not_file_names_make_nothing() {
        for bad in ["", ".", "..", "a/b", "a b", "\u{e4}", "a\0", "$x", "a:b"] {
            let (_keep, root) = root();
            assert!(create(&root, bad).is_err() && Claim::of(&root, bad).is_err(), "{bad:?}");
            assert!(entries(&root).is_empty(), "{bad:?}");
        }
        for good in ["a", "a.b", "...", "-", "_+-.", "0123abc", "A"] {
            check_id(good).unwrap();
        }
    }
}
