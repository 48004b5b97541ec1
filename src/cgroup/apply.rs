//! Writing limits and device rules into a cgroup: evaluates the rules that the settings carry, and words the failures. Must
//! not know the specification.

use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::unistd::{AccessFlags, access};

use super::create::{Cgroup, Place, READ_ONLY};
use super::devices::{DeviceList, ebpf, v1};
use super::dir::{Dir, read_file};
use super::host::Version;
use super::settings::{Missing, Setting, Settings};
use crate::error::{Errno, Error, Result};

impl Cgroup {
    /// Writes all limits; and the device rules, if given (an update never touches them). `rootless`: failures of device
    /// rules do not count, because without privilege they cannot work, and a device that the user may not open stays shut.
    pub fn apply(&self, settings: &Settings, devices: Option<&DeviceList>, rootless: bool) -> Result<()> {
        self.refuse_below_usage(settings)?;
        let todo = settings.list.iter().filter(|setting| !(setting.before_join && self.early_done));
        let mut rest: Vec<&Setting> = todo.collect();
        while let Some(first) = rest.first() {
            let controller = &first.controller;
            let place = self.place(controller).ok_or_else(|| {
                Error::new(format!("cannot set {controller} limit: container could not join or create cgroup"))
                    .field(first.field.clone())
            })?;
            let count = rest.iter().take_while(|setting| setting.controller == *controller).count();
            let of_one = rest.drain(..count).collect::<Vec<_>>();
            write_all(&place.dir, of_one)?;
        }
        match devices.map(|devices| self.apply_devices(devices)) {
            Some(Err(e)) if rootless || forgiven(&e, devices) => Ok(()),
            Some(result) => result.map_err(|e| e.field("/linux/resources/devices")),
            None => Ok(()),
        }
    }

    /// Where a controller's files are: on v2 all in one place.
    pub(super) fn place(&self, controller: &str) -> Option<&Place> {
        let v2 = self.version() == Version::V2;
        self.places.iter().find(|place| v2 || place.hierarchy.keys.iter().any(|key| key == controller))
    }

    fn apply_devices(&self, devices: &DeviceList) -> Result<()> {
        // Without any cgroup (rootless) there is nothing to guard.
        let Some(place) = self.place("devices") else { return Ok(()) };
        match place.dir.fd() {
            Some(fd) => ebpf::apply(fd, devices, place.fresh),
            None => v1::apply(&place.dir, devices, place.fresh),
        }
    }

    /// `checkBeforeUpdate`: cgroup v2 would reclaim and kill where v1 refuses. As far as the usage can be read.
    pub fn refuse_below_usage(&self, settings: &Settings) -> Result<()> {
        let Some((limit, total)) = settings.above_usage else { return Ok(()) };
        let Some(Ok(usage)) = self.place("memory").map(|place| place.dir.read_u64("memory.current")) else {
            return Ok(());
        };
        for (limit, what, field) in [(total, "memory+swap", "swap"), (limit, "memory", "limit")] {
            if u64::try_from(limit).is_ok_and(|limit| limit > 0 && limit <= usage) {
                return Err(Error::new(format!("rejecting {what} limit {limit} <= usage {usage}"))
                    .field(format!("/linux/resources/memory/{field}")));
            }
        }
        Ok(())
    }
}

/// In a user namespace neither bpf(2) nor devices.allow work; and rules that allow everything need not be enforced.
fn forgiven(e: &Error, devices: Option<&DeviceList>) -> bool {
    devices.is_some_and(DeviceList::allows_everything)
        || (matches!(e.errno(), Some(Errno::EPERM | Errno::EACCES)) && in_user_namespace())
}

/// The initial user namespace maps all ids one to one.
fn in_user_namespace() -> bool {
    let map = read_file("/proc/self/uid_map").unwrap_or_default();
    map.split_ascii_whitespace().ne(["0", "0", "4294967295"])
}

/// Writes the settings of one controller.
pub(super) fn write_all<'a>(dir: &Dir, settings: impl IntoIterator<Item = &'a Setting>) -> Result<()> {
    let mut again = Vec::new();
    let mut open: Option<(&str, OwnedFd)> = None;
    for setting in settings {
        match write_one(dir, setting, &mut open) {
            Err(e) if setting.retry && e.errno() == Some(Errno::EINVAL) => again.push(setting),
            other => other.map_err(|e| explain(dir, setting, e))?,
        }
    }
    for setting in again {
        write_one(dir, setting, &mut open).map_err(|e| explain(dir, setting, e))?;
    }
    Ok(())
}

/// Several lines for one file (io.max) go through one descriptor.
fn write_one<'a>(dir: &Dir, setting: &'a Setting, open: &mut Option<(&'a str, OwnedFd)>) -> Result<()> {
    let fd = match open.take() {
        Some((file, fd)) if file == setting.file => fd,
        _ => match (open_for_writing(dir, &setting.file), &setting.missing) {
            (Err(e), Missing::Ignore) if e.errno() == Some(Errno::ENOENT) => return Ok(()),
            (Err(e), Missing::Instead { file, value }) if e.errno() == Some(Errno::ENOENT) => {
                return dir.write(file, value);
            }
            (result, _) => result?,
        },
    };
    dir.write_to(&fd, &setting.file, &setting.value)?;
    if setting.read_back {
        let (asked, took) = (setting.value.parse::<u64>(), dir.read_u64(&setting.file)?);
        let bound = if asked.is_ok_and(|asked| asked > took) { "maximum" } else { "minimum" };
        if setting.value != took.to_string() {
            return Err(Error::new(format!("the {bound} allowed {} is {took}", setting.file.replace('.', "-"))));
        }
    }
    *open = Some((&setting.file, fd));
    Ok(())
}

/// On v2 a controller is named in cgroup.controllers before its files are there, while another runtime has the parent pass it
/// on. The kernel does so under one lock for all cgroups: whatever takes it comes after, even a change of nothing.
fn open_for_writing(dir: &Dir, file: &str) -> Result<OwnedFd> {
    match dir.open_file(file, OFlag::O_WRONLY) {
        Err(e) if e.errno() == Some(Errno::ENOENT) && dir.fd().is_some() => {
            let _ = dir.write("cgroup.subtree_control", "\n");
            dir.open_file(file, OFlag::O_WRONLY)
        }
        result => result,
    }
}

/// Where the errno alone would mislead.
fn explain(dir: &Dir, setting: &Setting, e: Error) -> Error {
    let unified = setting.field.starts_with("/linux/resources/unified/");
    let e = match (e.errno(), setting.file.as_ref()) {
        (Some(Errno::EBUSY), "memory.limit_in_bytes") => {
            let read = |file| dir.read_value(file).unwrap_or_else(|_| "unknown".into());
            let (usage, peak) = (read("memory.usage_in_bytes"), read("memory.max_usage_in_bytes"));
            Error::new(format!(
                "unable to set memory limit to {} (current usage: {usage}, peak usage: {peak})",
                setting.value
            ))
        }
        // Without it: neither could the controller be passed on.
        (Some(Errno::EROFS | Errno::ENOENT), _)
            if access(dir.path.as_str(), AccessFlags::W_OK) == Err(Errno::EROFS) =>
        {
            e.hint(READ_ONLY)
        }
        (Some(Errno::EINVAL), "cpu.shares" | "cpu.weight")
            if dir.read_value("cpu.idle").is_ok_and(|idle| idle == "1") =>
        {
            e.hint("the cgroup is idle (SCHED_IDLE) and has no weight: set idle to 0 with it")
        }
        (Some(Errno::ENOENT | Errno::EPERM | Errno::EACCES), file) if dir.fd().is_some() => {
            let controllers = dir.read_value("cgroup.controllers").unwrap_or_default();
            let controller = setting.controller.as_ref();
            let available = controller == "cgroup" || controllers.split(' ').any(|name| name == controller);
            match (available, unified) {
                (true, _) => e,
                (false, true) => Error::new(format!(
                    "unified resource {file:?} can't be set: controller {controller:?} not available"
                )),
                (false, false) => e.hint(format!(
                    "the cgroup has no controller {controller:?}; it has: {controllers}. A cgroup with processes passes none \
                     on (cgroups(7), \"no internal processes\"): inside a container, move them into a cgroup below it first"
                )),
            }
        }
        _ => e,
    };
    let e = if unified && e.errno().is_some() {
        e.doing(format!("unable to set unified resource {:?}", setting.file))
    } else {
        e
    };
    e.field(setting.field.clone())
}
