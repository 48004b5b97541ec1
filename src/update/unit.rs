//! The systemd driver's part of an update: systemd is told first, because it writes the files of what it is told, and does so
//! again with each `daemon-reload`. Which limit is which property is `cgroup::systemd::properties`' business.

use crate::cgroup::host::Version;
use crate::cgroup::systemd::properties::{self, needs_version};
use crate::cgroup::systemd::{Manager, Property, Scope, UnitName};
use crate::dbus::Value;
use crate::error::Result;
use crate::spec::{BlockIo, Cpu, Memory, Pids, Resources};
use crate::state::Cgroup;

/// A unit whose properties are to be changed.
#[derive(Debug)]
pub struct Unit {
    manager: Manager,
    name: String,
    properties: Vec<Property>,
    /// The same ones, as they were.
    before: Vec<Property>,
}

impl Unit {
    /// The unit of a container that the systemd driver has made, with what `write` means for it; `None` if there is none, or if
    /// that is nothing. `saved` is the state before the update; a `rootless`
    /// container is the user's systemd's.
    pub fn new(version: Version, saved: &Cgroup, rootless: bool, write: &Resources) -> Result<Option<Unit>> {
        if !saved.Systemd {
            return Ok(None);
        }
        let scope = Scope::of(rootless);
        let name = UnitName::of_parts(&saved.parent, &saved.scope_prefix, &saved.name, scope)?;
        let mut manager = Manager::connect(scope)?;
        let old = limits(saved);
        let systemd = if needs_version(write) || needs_version(&old) { manager.version()? } else { 0 };
        let mut write = write.clone();
        if let Some(cpu) = write.cpu.as_mut().filter(|cpu| saved.cpu_idle == Some(1) && cpu.idle.is_none()) {
            // For systemd a weight is the end of SCHED_IDLE; for the kernel, which is asked after it, an error.
            cpu.shares = None;
        }
        let properties = properties::resources(version, systemd, &write)?;
        if properties.is_empty() {
            return Ok(None);
        }
        // A state that contradicts itself (another runtime's) must not keep anybody from changing it.
        let old = properties::resources(version, systemd, &old).unwrap_or_default();
        let before = way_back(&properties, &old);
        Ok(Some(Unit { manager, name: name.unit().to_owned(), properties, before }))
    }

    /// Tells systemd, for as long as the unit lives.
    pub fn set(&mut self) -> Result<()> {
        self.manager.set_properties(&self.name, &self.properties)
    }

    /// Takes it back.
    pub fn restore(&mut self) -> Result<()> {
        self.manager.set_properties(&self.name, &self.before)
    }
}

/// What of a state has a property.
fn limits(saved: &Cgroup) -> Resources {
    let memory = Memory {
        limit: Some(saved.memory),
        swap: Some(saved.memory_swap),
        reservation: Some(saved.memory_reservation),
        ..Memory::default()
    };
    let cpu = Cpu {
        shares: Some(saved.cpu_shares),
        quota: Some(saved.cpu_quota),
        period: Some(saved.cpu_period),
        idle: saved.cpu_idle,
        cpus: saved.cpuset_cpus.clone(),
        mems: saved.cpuset_mems.clone(),
        ..Cpu::default()
    };
    Resources {
        memory: Some(memory),
        cpu: Some(cpu),
        // A runc before 1.4 wrote 0 for "no limit".
        pids: Some(Pids { limit: saved.pids_limit.filter(|limit| *limit != 0) }),
        block_io: Some(BlockIo { weight: Some(saved.blkio_weight), ..BlockIo::default() }),
        unified: saved.unified.clone(),
        ..Resources::default()
    }
}

/// For each new property the old value; or what systemd has without one, which no limit can say.
fn way_back(new: &[Property], old: &[Property]) -> Vec<Property> {
    let before = |property: &Property| {
        // The last one counts, for systemd too.
        let known = old.iter().rfind(|known| known.name == property.name);
        let value = known.map_or_else(|| unset(&property.name), |known| known.value.clone());
        Property { value, ..property.clone() }
    };
    new.iter().map(before).collect()
}

fn unset(property: &str) -> Value {
    match property {
        "MemoryLow" | "MemoryMin" => Value::Uint64(0),
        "AllowedCPUs" | "AllowedMemoryNodes" => Value::Array("y".into(), Vec::new()),
        _ => Value::Uint64(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn back(version: Version, saved: Json, write: Json) -> Vec<String> {
        let old = limits(&serde_json::from_value(saved).unwrap());
        let of = |resources: &Resources| properties::resources(version, 257, resources).unwrap();
        let write: Resources = serde_json::from_value(write).unwrap();
        way_back(&of(&write), &of(&old)).iter().map(|p| format!("{}={}", p.name, p.value)).collect()
    }

    #[test]
    fn what_was_not_limited_is_not_limited_again() {
        let all = json!({"memory": {"limit": 9, "swap": 10, "reservation": 3}, "pids": {"limit": 4},
            "cpu": {"shares": 1024, "quota": 10000, "period": 20000, "cpus": "1", "mems": "0"},
            "unified": {"memory.high": "5", "memory.min": "6"}});
        let none = u64::MAX;
        let unlimited = [
            format!("CPUQuotaPeriodUSec={none}"),
            format!("CPUQuotaPerSecUSec={none}"),
            format!("TasksMax={none}"),
            format!("MemorySwapMax={none}"),
            format!("MemoryMax={none}"),
            "MemoryLow=0".into(),
            format!("CPUWeight={none}"),
            "AllowedCPUs=[]".into(),
            "AllowedMemoryNodes=[]".into(),
            format!("MemoryHigh={none}"),
            "MemoryMin=0".into(),
        ];
        assert_eq!(back(Version::V2, json!({"pids_limit": 0}), all.clone()), unlimited);
        let saved = json!({"memory": 7, "memory_swap": 9, "memory_reservation": 2, "pids_limit": 5, "cpu_shares": 512,
            "cpu_quota": 5000, "cpu_period": 10000, "cpuset_cpus": "0", "cpuset_mems": "1",
            "unified": {"memory.high": "1"}});
        let limited = [
            "CPUQuotaPeriodUSec=10000",
            "CPUQuotaPerSecUSec=500000",
            "TasksMax=5",
            "MemorySwapMax=2",
            "MemoryMax=7",
            "MemoryLow=2",
            "CPUWeight=59",
            "AllowedCPUs=[1]",
            "AllowedMemoryNodes=[2]",
            "MemoryHigh=1",
            "MemoryMin=0",
        ];
        assert_eq!(back(Version::V2, saved, all), limited);
        assert_eq!(
            back(Version::V1, json!({"memory": 5}), json!({"memory": {"limit": -1}, "cpu": {"shares": 2}})),
            ["MemoryLimit=5".to_owned(), format!("CPUShares={none}")]
        );
    }
}
