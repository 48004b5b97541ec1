//! `Stats`: what a container uses, as containerd wants it told. Asks the kernel at each call; what it said last of a container
//! that has ended is kept, because systemd removes the cgroup of such a one. Knows no task and no connection.
//!
//! Network and taskstats are left out, as containerd's own shim leaves them out: the first is the sandbox's, which has them from
//! its namespace; the second wants netlink and a look at every task of the host.

mod v1;
mod v2;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // A panic is what a test wants.
mod tests;

use std::sync::LazyLock;

use dunnage::cgroup::host::Version;
use dunnage::cgroup::stats::parse;
use dunnage::cgroup::{Dir, Host, OwnedCgroup, Paths, huge_page_sizes};
use dunnage::error::{Errno, Error, Result};
use nix::fcntl::OFlag;

use crate::proto::metrics::v1::{RdmaEntry, RdmaStat};
use crate::proto::metrics::{v1 as proto_v1, v2 as proto_v2};
use crate::proto::{Any, Message};

/// What there is to tell of a cgroup that is gone. Its code is NOT_FOUND: see [`is_gone`].
pub const GONE: &str = "cgroup does not exist: not found";

/// True of the error of [`Meter::read`] that is [`GONE`].
pub fn is_gone(e: &Error) -> bool {
    e.to_string() == GONE
}

/// The text of a file of one cgroup; `None` where there is none.
type Read<'a> = &'a dyn Fn(&str) -> Result<Option<String>>;

/// The sizes of huge pages of this host; asked only where their controller is.
type PageSizes = fn() -> &'static [String];

/// Reads the counters of one container's cgroup. Holds one descriptor on v2, none on v1.
#[derive(Debug)]
pub struct Meter {
    place: Place,
    /// As [`Meter::remember`] saw it.
    remembered: Option<Box<Metrics>>,
    /// As [`Meter::remember_kills`] was told.
    kills: u64,
}

/// Where the files are.
#[derive(Debug)]
enum Place {
    /// The directory of each controller that counts something. Opened at each call: six or more descriptors for each container,
    /// kept, would cost more than they save.
    V1(Vec<(String, String)>),
    /// `None`: it was not there.
    V2(Option<Dir>),
}

/// One of the two messages.
#[derive(Debug, Clone, PartialEq)]
enum Metrics {
    V1(proto_v1::Metrics),
    V2(proto_v2::Metrics),
}

impl Meter {
    /// For the cgroup of a container, which may have gone. `None` if it has none of its own.
    ///
    /// # Errors
    /// The paths are none of a container: as [`OwnedCgroup::new`]. The directory cannot be opened.
    pub fn new(host: &Host, paths: &Paths) -> Result<Option<Meter>> {
        let Some(owned) = OwnedCgroup::new(host, paths)? else { return Ok(None) };
        let paths = owned.paths();
        let place = match host.version() {
            // On hybrid the unified hierarchy has no controllers.
            Version::V1 => Place::V1(paths.0.into_iter().filter(|(key, _)| v1::counts(key)).collect()),
            Version::V2 => Place::V2(there(Dir::open(paths.get("").unwrap_or_default()))?),
        };
        Ok(Some(Meter { place, remembered: None, kills: 0 }))
    }

    /// The counters as they are now; those that are remembered if the cgroup is gone.
    ///
    /// # Errors
    /// [`GONE`]; a file that is there and cannot be read.
    pub fn read(&self) -> Result<Any> {
        let metrics = match self.ask()? {
            Some(metrics) => metrics,
            None => self.recall().ok_or_else(|| Error::new(GONE))?,
        };
        Ok(metrics.into_any())
    }

    /// Keeps the counters for the time when the cgroup will be gone: before an exit is told, and after an OOM kill. What was
    /// remembered before stays if it is gone by now.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn remember(&mut self) -> Result<()> {
        if let Some(metrics) = self.ask()? {
            self.remembered = Some(Box::new(metrics));
        }
        Ok(())
    }

    /// That many have been killed for want of memory ([`crate::oom::OomWatch::kills`]): told if the cgroup was gone before the
    /// counters could be remembered.
    pub fn remember_kills(&mut self, kills: u64) {
        self.kills = self.kills.max(kills);
    }

    /// What is remembered, for a program that goes on.
    pub fn remembered(&self) -> Option<Any> {
        self.recall().map(Metrics::into_any)
    }

    /// What the meter before this one has remembered.
    pub fn take_over(&mut self, remembered: &Any) {
        let v1 = || proto_v1::Metrics::decode(&remembered.value).map(Metrics::V1);
        let v2 = || proto_v2::Metrics::decode(&remembered.value).map(Metrics::V2);
        let metrics = if remembered.type_name() == proto_v1::TYPE { v1() } else { v2() };
        self.remembered = metrics.ok().map(Box::new);
    }

    /// `None` if the cgroup is gone.
    fn ask(&self) -> Result<Option<Metrics>> {
        match &self.place {
            Place::V1(controllers) => ask_v1(controllers),
            Place::V2(None) => Ok(None),
            Place::V2(Some(dir)) => ask_v2(dir),
        }
    }

    fn recall(&self) -> Option<Metrics> {
        let mut metrics = match (self.remembered.as_deref(), &self.place) {
            (Some(metrics), _) => metrics.clone(),
            (None, _) if self.kills == 0 => return None,
            (None, Place::V1(_)) => Metrics::V1(v1::nothing()),
            (None, Place::V2(_)) => Metrics::V2(v2::metrics("", &|_| Ok(None), page_sizes).ok()?),
        };
        let counted = match &mut metrics {
            Metrics::V1(metrics) => &mut metrics.memory_oom_control.get_or_insert_default().oom_kill,
            Metrics::V2(metrics) => &mut metrics.memory_events.get_or_insert_default().oom_kill,
        };
        *counted = self.kills.max(*counted);
        Some(metrics)
    }
}

impl Metrics {
    fn into_any(self) -> Any {
        match &self {
            Metrics::V1(metrics) => Any::of(proto_v1::TYPE, metrics),
            Metrics::V2(metrics) => Any::of(proto_v2::TYPE, metrics),
        }
    }
}

fn ask_v2(dir: &Dir) -> Result<Option<Metrics>> {
    let Some(controllers) = dir.read_if_there("cgroup.controllers")? else { return Ok(None) };
    let metrics = v2::metrics(&controllers, &|file| dir.read_if_there(file), page_sizes)?;
    // What was removed in the middle has told half of it.
    Ok(is_there(dir)?.then_some(Metrics::V2(metrics)))
}

fn ask_v1(controllers: &[(String, String)]) -> Result<Option<Metrics>> {
    let mut metrics = v1::nothing();
    let mut any = false;
    for (controller, path) in controllers {
        // systemd does not remove them at the same moment, and memory is the one that is asked about after an end.
        let gone = |dir: Option<&Dir>| dir.map_or(Ok(true), |dir| is_there(dir).map(|there| !there));
        let dir = there(Dir::open(path.as_str()))?;
        if let Some(dir) = &dir {
            v1::add(&mut metrics, controller, &|file| dir.read_if_there(file), page_sizes, device_name)?;
            any = true;
        }
        if controller == "memory" && gone(dir.as_ref())? {
            return Ok(None);
        }
    }
    Ok(any.then_some(Metrics::V1(metrics)))
}

fn there<T>(opened: Result<T>) -> Result<Option<T>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(e) if matches!(e.errno(), Some(Errno::ENOENT | Errno::ENODEV)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Every cgroup has this file, of both versions, and none that is removed.
fn is_there(dir: &Dir) -> Result<bool> {
    there(dir.open_file("cgroup.procs", OFlag::O_PATH)).map(|file| file.is_some())
}

fn page_sizes() -> &'static [String] {
    static SIZES: LazyLock<Vec<String>> = LazyLock::new(huge_page_sizes);
    &SIZES
}

/// `/dev/sda` of 8:0; nothing if there is none.
fn device_name(major: u64, minor: u64) -> String {
    // The kernel writes the slash of `cciss/c0d0` so, where a slash cannot be.
    let name = |link: std::ffi::OsString| Some(link.to_str()?.rsplit('/').next()?.replace('!', "/"));
    let link = nix::fcntl::readlink(format!("/sys/dev/block/{major}:{minor}").as_str()).ok();
    link.and_then(name).map(|name| format!("/dev/{name}")).unwrap_or_default()
}

/// The same files in both versions.
fn rdma(read: Read) -> Result<RdmaStat> {
    let entries = |file| -> Result<Vec<RdmaEntry>> {
        let entries = parse::rdma(&read(file)?.unwrap_or_default()).into_iter();
        let entry = |e: dunnage::cgroup::stats::RdmaEntry| RdmaEntry {
            device: e.device,
            hca_handles: e.hca_handles,
            hca_objects: e.hca_objects,
        };
        Ok(entries.map(entry).collect())
    };
    Ok(RdmaStat { current: entries("rdma.current")?, limit: entries("rdma.max")? })
}

/// The number in a file, 0 if there is none; `max` is the largest.
fn value(read: Read, file: &str) -> Result<u64> {
    Ok(read(file)?.as_deref().and_then(parse::number).unwrap_or(0))
}
