//! New limits for a container that exists, whole or not at all: if the kernel refuses one of them, or the state cannot be
//! written, those that were written before it are put back. `merge` says what a request means, `unit` tells systemd. Knows
//! nothing of flags.

pub mod merge;
mod unit;

use std::time::Duration;

use crate::cgroup::{Before, Cgroup, Host, OwnedCgroup, Paths, Settings};
use crate::container::Container;
use crate::error::{Error, Result};
use crate::host;
use crate::log;
use crate::resctrl;
use crate::spec::{Resources, problem, validate};
use crate::state::{State, Status, not_running};
use unit::Unit;

/// How long another update may take: one that hangs must not make a row of them hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// As `linux.resources`; device rules in it are ignored.
    pub resources: Resources,
    /// Intel RDT; empty: as it is.
    pub l3_cache_schema: String,
    /// Intel RDT; empty: as it is.
    pub mem_bw_schema: String,
}

/// Changes the limits of a container that is created, running or paused.
///
/// # Errors
/// `container not running`; a value that cannot be meant, or that the kernel refuses. Fields are named as those of config.json.
pub fn update(container: &Container, request: Request) -> Result<()> {
    let _lock = container.dir.lock(PATIENCE)?;
    if container.status()? == Status::Stopped {
        return Err(not_running());
    }
    let host = Host::detect()?;
    // A GPU may have been let in by others since: what is said of devices here is what config.json has said, not news.
    let resources = Resources { devices: Vec::new(), ..request.resources };
    let problems = validate::validate_resources(&resources, &host::facts(&host));
    if let Some(e) = problem::join(&problems, "resources") {
        return Err(e);
    }
    let schemata = [request.l3_cache_schema.as_str(), &request.mem_bw_schema];
    rdt_offers(&schemata)?;
    let (mut written, mut class) = (None, None);
    let result = container.dir.update(|state| {
        change(&host, state, &resources, &mut written)?;
        class = change_class(state, &schemata)?;
        Ok(())
    });
    if let (Err(_), Some(class)) = (&result, class)
        && let Err(e) = class.restore()
    {
        log::warn(e.doing("the old schemata cannot be put back"));
    }
    if let (Err(_), Some(written)) = (&result, &mut written)
        && let Err(e) = written.restore()
    {
        log::warn(format_args!(
            "Setting back cgroup configs failed due to error: {e}, your state.json and actual configs might be inconsistent."
        ));
    }
    result.map(drop)
}

/// What has been, or is being, written to.
struct Written {
    cgroup: Cgroup,
    before: Before,
    unit: Option<Unit>,
}

impl Written {
    /// systemd first, as when limits are set: it writes files, too.
    fn restore(&mut self) -> Result<()> {
        let unit = self.unit.as_mut().map_or(Ok(()), Unit::restore);
        self.cgroup.restore(&self.before).and(unit)
    }
}

/// Writes to the kernel. What it takes to go back is in `written` before the first write.
fn change(host: &Host, state: &mut State, request: &Resources, written: &mut Option<Written>) -> Result<()> {
    let version = host.version();
    let merged = merge::merge(version, &state.config.cgroups, request)?;
    for section in &merged.left_out {
        log::warn(format_args!("update does not change {section}: the container keeps what it was created with"));
    }
    let settings = Settings::new(version, &merged.write)?;
    let saved = std::mem::replace(&mut state.config.cgroups, merged.saved);
    if settings.is_empty() {
        return Ok(());
    }
    let owned = OwnedCgroup::new(host, &Paths(state.cgroup_paths.clone()))?;
    let cgroup = owned.ok_or_else(|| Error::new("cannot set limits: the container has no cgroup"))?.open()?;
    // Before systemd writes what the kernel would take as an order to reclaim and kill.
    cgroup.refuse_below_usage(&settings)?;
    let unit = Unit::new(version, &saved, state.config.rootless_cgroups, &merged.write)?;
    let before = cgroup.before(&settings);
    let written = written.insert(Written { cgroup, before, unit });
    written.unit.as_mut().map_or(Ok(()), Unit::set)?;
    written.cgroup.apply(&settings, None, state.config.rootless_cgroups)
}

/// Both may be empty: the schema of the cache and that of the bandwidth.
fn rdt_offers([l3_cache, mem_bw]: &[&str; 2]) -> Result<()> {
    if l3_cache.is_empty() && mem_bw.is_empty() {
        return Ok(());
    }
    let offered = host::rdt();
    if !l3_cache.is_empty() && !offered.l3 {
        return Err(Error::new("Intel RDT/CAT: l3 cache schema is not enabled"));
    }
    if !mem_bw.is_empty() && !offered.mb {
        return Err(Error::new("Intel RDT/MBA: memory bandwidth schema is not enabled"));
    }
    Ok(())
}

/// Gives the container's resctrl group new schemata; what is returned goes back.
fn change_class(state: &mut State, schemata: &[&str; 2]) -> Result<Option<resctrl::Before>> {
    let [l3_cache, mem_bw] = schemata.map(str::to_owned);
    if l3_cache.is_empty() && mem_bw.is_empty() {
        return Ok(None);
    }
    let none = "updating a non-existent Intel RDT configuration is not supported";
    let (Some(rdt), false) = (&mut state.config.intel_rdt, state.intel_rdt_path.is_empty()) else {
        return Err(Error::new(none));
    };
    let root = host::resctrl().ok_or_else(|| Error::new(none))?;
    let before = resctrl::change(&root, &state.intel_rdt_path, schemata)?;
    for (saved, new) in [(&mut rdt.l3_cache_schema, l3_cache), (&mut rdt.memBwSchema, mem_bw)] {
        if !new.is_empty() {
            *saved = new;
        }
    }
    Ok(Some(before))
}
