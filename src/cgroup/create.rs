//! Making a container's cgroup in every hierarchy, and putting a process into it. Must not know limits, but for those that
//! must be there before a process can enter (v1 cpuset and realtime).

use std::os::fd::{BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid, fchown};

use super::dir::{Dir, read_file};
use super::host::{Hierarchy, Version};
use super::owned::{Node, OwnedCgroup, is_frozen};
use super::paths::Paths;
use super::settings::Settings;
use crate::error::{Errno, Error, Result};
use crate::files;

/// The cgroup's directories, for entering it and for writing its limits.
#[derive(Debug)]
pub struct Cgroup {
    pub(super) places: Vec<Place>,
    /// What we have made, parents first; on failure it goes again.
    made: Vec<String>,
    /// v1 limits that must be set before a process enters have been.
    pub(super) early_done: bool,
}

/// The directory in one hierarchy.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) hierarchy: Hierarchy,
    pub(super) dir: Dir,
    /// We have just made it: no processes, no settings, no device program.
    pub(super) fresh: bool,
}

/// What to do without permission to make or enter a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Fail.
    Fail,
    /// Go on without (rootless, and config.json gives no cgroupsPath). Limits then fail with a message of their own.
    GoWithout,
}

impl Denied {
    fn forgives(self, e: &Error) -> bool {
        self == Denied::GoWithout && matches!(e.errno(), Some(Errno::EACCES | Errno::EPERM | Errno::EROFS))
    }
}

impl OwnedCgroup {
    /// Makes the cgroup. It may exist, but must be without processes (those of cgroups below it count) and not frozen.
    /// On failure what was made is removed again.
    pub fn create(&self, settings: &Settings, denied: Denied) -> Result<Cgroup> {
        Cgroup::build(|cgroup| {
            cgroup.make(self, settings, denied)?;
            cgroup.refuse_if_in_use()?;
            cgroup.prepare(settings)
        })
    }

    /// Takes over the cgroup that systemd has made for this container, and makes what systemd has not: the cgroups of v1
    /// controllers that it does not know; on v2 it lets the controllers through that it does not know.
    pub fn adopt(&self, settings: &Settings) -> Result<Cgroup> {
        Cgroup::build(|cgroup| {
            cgroup.make(self, settings, Denied::Fail)?;
            cgroup.prepare(settings)
        })
    }

    /// The cgroup as it is, to enter it or to change its limits.
    pub fn open(&self) -> Result<Cgroup> {
        let place = |node: &Node| Place::open(node.hierarchy.clone(), node.path.clone(), false);
        Ok(Cgroup::of(self.nodes.iter().map(place).collect::<Result<_>>()?))
    }
}

impl Place {
    /// v1 by path alone (see [`Dir::at`]); on v2 a descriptor for clone3(2) and bpf(2).
    pub(super) fn open(hierarchy: Hierarchy, path: String, fresh: bool) -> Result<Place> {
        let dir = match hierarchy.version {
            Version::V1 => Dir::at(path),
            Version::V2 => Dir::open(path)?,
        };
        Ok(Place { hierarchy, dir, fresh })
    }

    fn has(&self, key: &str) -> bool {
        self.hierarchy.keys.iter().any(|k| k == key)
    }
}

impl Cgroup {
    /// Of directories that exist.
    pub(super) fn of(places: Vec<Place>) -> Cgroup {
        Cgroup { places, made: Vec::new(), early_done: false }
    }

    /// A new one; what these steps have made is removed again if one fails.
    fn build(steps: impl FnOnce(&mut Cgroup) -> Result<()>) -> Result<Cgroup> {
        let mut cgroup = Cgroup { places: Vec::new(), made: Vec::new(), early_done: true };
        match steps(&mut cgroup) {
            Ok(()) => Ok(cgroup),
            Err(e) => {
                cgroup.undo();
                Err(e)
            }
        }
    }

    /// The directories.
    fn make(&mut self, owned: &OwnedCgroup, settings: &Settings, denied: Denied) -> Result<()> {
        for node in &owned.nodes {
            let fresh = match make(&node.hierarchy.mount, &node.path, &mut self.made) {
                Ok(fresh) => fresh,
                Err(e) if denied.forgives(&e) && node.hierarchy.version == Version::V2 && owned.nodes.len() == 1 => {
                    if settings.is_empty() {
                        continue;
                    }
                    return Err(
                        e.doing("rootless needs no limits + no cgrouppath when no permission is granted for cgroups")
                    );
                }
                Err(e) if denied.forgives(&e) => continue,
                Err(e) => return Err(e),
            };
            self.places.push(Place::open(node.hierarchy.clone(), node.path.clone(), fresh)?);
        }
        Ok(())
    }

    /// What must be there before a process enters.
    fn prepare(&self, settings: &Settings) -> Result<()> {
        let unified = self.version() == Version::V2;
        for place in &self.places {
            if unified {
                enable_controllers(place, settings)?;
            } else if place.has("cpuset") {
                // From above before the limits: they must be within what the levels above have.
                inherit_cpuset(place, settings)?;
                self.early(place, settings, "cpuset")?;
            } else if place.has("cpu") {
                self.early(place, settings, "cpu")?;
            }
        }
        Ok(())
    }

    /// Limits of one controller that must be there before a process enters.
    fn early(&self, place: &Place, settings: &Settings, controller: &str) -> Result<()> {
        let early = settings.list.iter().filter(|s| s.before_join && s.controller == controller);
        super::apply::write_all(&place.dir, early)
    }

    /// One that existed may hold another container, whose limits would be changed and which would die with this one.
    fn refuse_if_in_use(&self) -> Result<()> {
        let existing = |key: &str| self.places.iter().find(|place| place.has(key) && !place.fresh);
        let asked = if self.version() == Version::V2 { "" } else { "devices" };
        if let Some(place) = existing(asked) {
            let node = Node { hierarchy: place.hierarchy.clone(), path: place.dir.path.clone() };
            let found = node.pids()?.len();
            if found != 0 {
                return Err(Error::new(format!("container's cgroup is not empty: {found} process(es) found"))
                    .hint("another container may use it: give each a cgroupsPath of its own"));
            }
        }
        let freezer = if self.version() == Version::V2 { "" } else { "freezer" };
        if existing(freezer).is_some() && is_frozen(&self.paths())? {
            return Err(Error::new("container's cgroup unexpectedly frozen"));
        }
        Ok(())
    }

    /// Where the limits are.
    pub fn version(&self) -> Version {
        match self.places.iter().any(|place| place.hierarchy.version == Version::V1) {
            true => Version::V1,
            false => Version::V2,
        }
    }

    /// The paths that there are: without those that were [`Denied::GoWithout`]. For the state file.
    pub fn paths(&self) -> Paths {
        let of = |place: &Place| {
            let path = place.dir.path.clone();
            place.hierarchy.keys.iter().map(move |key| (key.clone(), path.clone())).collect::<Vec<_>>()
        };
        Paths(self.places.iter().flat_map(of).collect())
    }

    /// For clone3(CLONE_INTO_CGROUP): the directory in the unified hierarchy, of v2 and of hybrid. `None` on v1 alone.
    pub fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        self.places.iter().find(|place| place.hierarchy.version == Version::V2)?.dir.fd()
    }

    /// The doors of the v1 hierarchies: a process enters by writing `0` into each, as its first act after clone3(2), while
    /// it has one thread. Empty on v2, where clone3 has done it all.
    ///
    /// This is how to enter v1, not a pid in cgroup.procs: for "this thread" the kernel (Linux 5.5) does without the global
    /// lock that moving another process takes, and whose first taker waits for a whole RCU grace period: measured with eight
    /// hierarchies 0.09 ms against 6..15 ms. The descriptors carry our privilege, so the child may have a user namespace.
    pub fn doors_v1(&mut self, denied: Denied) -> Result<Vec<OwnedFd>> {
        let mut doors = Ok(Vec::new());
        self.places.retain(|place| {
            if place.hierarchy.version == Version::V1
                && let Ok(open) = &mut doors
            {
                match place.dir.open_file("tasks", OFlag::O_WRONLY) {
                    Ok(fd) => open.push(fd),
                    Err(e) if denied.forgives(&e) => return false,
                    Err(e) => doors = Err(e),
                }
            }
            true
        });
        doors
    }

    /// Removes the directories that we have made, if nothing is in them; those above the container's, too.
    pub fn undo(&mut self) {
        for path in self.made.drain(..).rev() {
            // One that another container uses by now stays, and is not ours any more.
            let _ = files::rmdir_of_kernel(&path);
        }
    }

    /// Gives the directory, and the files that are safe for it, to a user who may then manage cgroups below (v2 only;
    /// config-linux.md, "Cgroup ownership").
    pub fn delegate(&self, owner: Uid) -> Result<()> {
        let Some(place) = self.places.iter().find(|place| place.hierarchy.version == Version::V2) else {
            return Ok(());
        };
        let Some(fd) = place.dir.fd() else { return Ok(()) };
        let fail = |file: &str, e| Error::sys(format_args!("chown {}/{file}", place.dir.path), e);
        fchown(fd, Some(owner), None::<Gid>).map_err(|e| fail("", e))?;
        let files = match read_file("/sys/kernel/cgroup/delegate") {
            Ok(files) => files,
            Err(e) if e.errno() == Some(Errno::ENOENT) => {
                "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n".into()
            }
            Err(e) => return Err(e),
        };
        for file in files.lines() {
            match files::fchownat(fd, file, Some(owner), None) {
                // Of a controller that is not enabled.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(e) => return Err(fail(file, e)),
            }
        }
        Ok(())
    }
}

/// mkdir with all that is missing above, below `mount`. True if the directory is new.
fn make(mount: &str, path: &str, made: &mut Vec<String>) -> Result<bool> {
    let mkdir = || files::mkdir_of_kernel(path);
    let mut result = mkdir();
    // A create that fails takes away what it has made above its cgroup, also under our feet.
    for _ in 0..10 {
        match path.rsplit_once('/') {
            Some((parent, _)) if result == Err(Errno::ENOENT) && parent.len() > mount.len() => {
                make(mount, parent, made)?;
                result = mkdir();
            }
            _ => break,
        }
    }
    match result {
        Ok(()) => {
            made.push(path.into());
            Ok(true)
        }
        Err(Errno::EEXIST) => Ok(false),
        Err(e @ Errno::EROFS) => Err(Error::sys(format_args!("mkdir {path}"), e).hint(READ_ONLY)),
        Err(e) => Err(Error::sys(format_args!("mkdir {path}"), e)),
    }
}

/// What to say of EROFS.
pub(super) const READ_ONLY: &str =
    "the control groups are mounted read-only here; in a container that is its engine's decision";

/// The directories from `mount` (included) down to `path` (not included).
fn parents<'a>(mount: &'a str, path: &'a str) -> impl Iterator<Item = &'a str> {
    path.match_indices('/').map(|(at, _)| path.get(..at).unwrap_or_default()).filter(|p| p.len() >= mount.len())
}

/// A v1 cpuset begins without CPUs and memory nodes, and then takes no process: what no limit has set comes from the next
/// cgroup above that has some, and so do those between.
fn inherit_cpuset(place: &Place, settings: &Settings) -> Result<()> {
    let mount = place.hierarchy.mount.as_str();
    let Some((parent, _)) = place.dir.path.rsplit_once('/') else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let limited = settings.list.iter().any(|setting| setting.file == file);
        if !limited && !place.fresh {
            cpuset(mount, &place.dir, file)?;
            continue;
        }
        // What is new is empty: no need to read it.
        let value = cpuset(mount, &Dir::at(parent), file)?;
        if !limited {
            place.dir.write(file, &value)?;
        }
    }
    Ok(())
}

fn cpuset(mount: &str, dir: &Dir, file: &str) -> Result<String> {
    let value = dir.read_value(file)?;
    match dir.path.rsplit_once('/') {
        Some((parent, _)) if value.is_empty() && parent.len() >= mount.len() => {
            let value = cpuset(mount, &Dir::at(parent), file)?;
            dir.write(file, &value)?;
            Ok(value)
        }
        _ => Ok(value),
    }
}

/// Controllers whose use makes a threaded cgroup impossible.
const DOMAIN_CONTROLLERS: [&str; 5] = ["memory", "io", "hugetlb", "rdma", "misc"];

/// Lets the cgroup have every controller that there is: each parent must pass them on in its cgroup.subtree_control.
/// Errors are left to the settings that need a controller: a parent with processes cannot pass on all of them, one that
/// was delegated perhaps none.
fn enable_controllers(place: &Place, settings: &Settings) -> Result<()> {
    let mount = Dir::at(place.hierarchy.mount.as_str());
    let available = mount.read_value("cgroup.controllers")?;
    let here = place.dir.read_value("cgroup.controllers")?;
    let has = |list: &str, name: &str| list.split_ascii_whitespace().any(|n| n == name);
    let missing: Vec<_> = available.split_ascii_whitespace().filter(|name| !has(&here, name)).collect();
    if missing.is_empty() && DOMAIN_CONTROLLERS.iter().any(|name| has(&here, name)) {
        return Ok(());
    }
    if !missing.is_empty() {
        let safe = DOMAIN_CONTROLLERS.iter().any(|name| has(&available, name));
        for parent in parents(&place.hierarchy.mount, &place.dir.path).map(Dir::at) {
            pass_on(&parent, &available, safe);
        }
    }
    repair_type(place, settings)
}

/// Lets the children of a cgroup have these controllers; `safe`: one of them is a domain controller.
///
/// A cgroup with processes refuses those, and takes the others: but then it is threaded, and every child that it has takes no
/// process any more. So nothing is passed on by such a one.
fn pass_on(parent: &Dir, controllers: &str, safe: bool) {
    let write = |names: &[&str]| {
        let all: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
        parent.write("cgroup.subtree_control", &all.join(" "))
    };
    let names: Vec<&str> = controllers.split_ascii_whitespace().collect();
    if safe && write(&names).is_ok() {
        return;
    }
    // The root of all, and only that one, has no type, and may have processes besides.
    let occupied = parent.read_value("cgroup.procs").is_ok_and(|procs| !procs.is_empty());
    if occupied && parent.read_value("cgroup.type").is_ok() {
        return;
    }
    for name in names {
        // Errors are left to the settings that need the controller.
        let _ = write(&[name]);
    }
}

/// Below a threaded cgroup, or one with processes and threaded children, a new one is "domain invalid": it takes processes
/// only once it is threaded itself.
fn repair_type(place: &Place, settings: &Settings) -> Result<()> {
    let kind = place.dir.read_value("cgroup.type")?;
    let domain: Vec<_> = DOMAIN_CONTROLLERS
        .into_iter()
        .filter(|name| settings.list.iter().any(|setting| setting.controller == *name))
        .collect();
    match (kind.as_str(), domain.is_empty()) {
        ("domain invalid", false) => Err(Error::new(format!(
            "cannot enter cgroupv2 {:?} with domain controllers -- it is in an invalid state",
            place.dir.path
        ))),
        ("domain invalid", true) => {
            // If it fails clone3 fails too, and says it better.
            let _ = place.dir.write("cgroup.type", "threaded");
            Ok(())
        }
        ("threaded" | "domain threaded", false) => Err(Error::new(format!(
            "cannot enter cgroupv2 {:?} with {:?} controllers -- it is in {kind} mode",
            place.dir.path,
            domain.join(",")
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_above() {
        let levels = |path| parents("/sys/fs/cgroup", path).collect::<Vec<_>>();
        assert_eq!(levels("/sys/fs/cgroup/a"), ["/sys/fs/cgroup"]);
        assert_eq!(levels("/sys/fs/cgroup/a/b/c"), ["/sys/fs/cgroup", "/sys/fs/cgroup/a", "/sys/fs/cgroup/a/b"]);
    }
}
