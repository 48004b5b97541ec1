//! libcontainer's `config` -> config.json's words: what a process that is exec'd takes over from its container. Pure.

use super::types::{Capabilities, Config, IdMap, MemoryPolicy, Personality};
use crate::error::{Error, Result};
use crate::spec::{self, names};

impl Config {
    /// The part of `linux` that applies to every process of the container: its namespaces, id maps, seccomp profile, memory
    /// policy and personality.
    pub fn linux_of_exec(&self) -> Result<spec::Linux> {
        let namespaces = self.namespaces.iter().map(|ns| {
            let kind = names::NAMESPACES.iter().find(|kind| kind.libcontainer == ns.kind);
            let kind = kind.ok_or_else(|| unknown("namespace", &ns.kind))?;
            Ok(spec::Namespace { kind: kind.name.to_owned(), path: ns.path.clone() })
        });
        Ok(spec::Linux {
            namespaces: namespaces.collect::<Result<_>>()?,
            uid_mappings: id_mappings(&self.uid_mappings)?,
            gid_mappings: id_mappings(&self.gid_mappings)?,
            seccomp: self.seccomp.as_ref().map(super::Seccomp::to_spec).transpose()?,
            memory_policy: self.memory_policy.as_ref().map(memory_policy).transpose()?,
            personality: self.personality.as_ref().map(personality).transpose()?,
            ..spec::Linux::default()
        })
    }

    /// Fills in what `process` leaves open and the container has: capabilities if there is no such object, the SELinux label,
    /// scheduler, I/O priority and CPU affinity. (Not rlimits, nor the AppArmor profile: runc has no fall-back for them.)
    pub fn complete(&self, process: &mut spec::Process) {
        if process.capabilities.is_none() {
            process.capabilities = self.capabilities.as_ref().map(Capabilities::to_spec);
        }
        if process.selinux_label.is_empty() {
            process.selinux_label.clone_from(&self.process_label);
        }
        if process.scheduler.is_none() {
            process.scheduler.clone_from(&self.scheduler);
        }
        if process.io_priority.is_none() {
            process.io_priority.clone_from(&self.io_priority);
        }
        if process.exec_cpu_affinity.is_none() {
            process.exec_cpu_affinity = self.exec_cpu_affinity.as_ref().map(|affinity| spec::ExecCpuAffinity {
                initial: affinity.Initial.as_deref().map(list).unwrap_or_default(),
                last: affinity.Final.as_deref().map(list).unwrap_or_default(),
            });
        }
    }

    /// Uid and gid on the host of the container's root; who is not mapped is the host's.
    pub fn host_root(&self) -> (u32, u32) {
        let root = |maps: &[IdMap]| {
            let map = maps.iter().find(|map| map.container_id == 0 && map.size > 0);
            map.and_then(|map| u32::try_from(map.host_id).ok()).unwrap_or(0)
        };
        (root(&self.uid_mappings), root(&self.gid_mappings))
    }
}

impl Capabilities {
    /// Absent and empty lists are one in a state.
    pub fn to_spec(&self) -> spec::Capabilities {
        spec::Capabilities {
            bounding: self.Bounding.clone(),
            effective: self.Effective.clone(),
            inheritable: (!self.Inheritable.is_empty()).then(|| self.Inheritable.clone()),
            permitted: self.Permitted.clone(),
            ambient: self.Ambient.clone(),
        }
    }
}

fn unknown(what: &str, value: impl std::fmt::Display) -> Error {
    Error::new(format!("state.json: unknown {what} {value}"))
}

fn id_mappings(maps: &[IdMap]) -> Result<Vec<spec::IdMapping>> {
    let id = |n: i64| u32::try_from(n).map_err(|_| unknown("id", n));
    let map = |map: &IdMap| {
        Ok(spec::IdMapping { container_id: id(map.container_id)?, host_id: id(map.host_id)?, size: id(map.size)? })
    };
    maps.iter().map(map).collect()
}

fn memory_policy(policy: &MemoryPolicy) -> Result<spec::MemoryPolicy> {
    let mode = names::MPOL_MODES.iter().find(|(_, number)| *number == policy.mode);
    let (mode, _) = mode.ok_or_else(|| unknown("memory policy", policy.mode))?;
    let known = names::MPOL_FLAGS.iter().fold(0, |all, (_, flag)| all | flag);
    if policy.flags & !known != 0 {
        return Err(unknown("memory policy flag", policy.flags & !known));
    }
    let flags = names::MPOL_FLAGS.iter().filter(|(_, flag)| policy.flags & flag != 0);
    Ok(spec::MemoryPolicy {
        mode: (*mode).to_owned(),
        nodes: list(&policy.nodes),
        flags: flags.map(|(name, _)| (*name).to_owned()).collect(),
    })
}

fn personality(personality: &Personality) -> Result<spec::Personality> {
    let domain = names::PERSONALITIES.iter().find(|(_, number)| *number == personality.domain);
    let (domain, _) = domain.ok_or_else(|| unknown("personality", personality.domain))?;
    Ok(spec::Personality { domain: (*domain).to_owned(), flags: Vec::new() })
}

/// A mask of 64-bit words as a list of numbers.
fn list(mask: &[u64]) -> String {
    let mut numbers = Vec::new();
    for (word, base) in mask.iter().zip((0_u32..).step_by(64)) {
        numbers.extend((0..64).filter(|bit| word >> bit & 1 == 1).map(|bit| base.saturating_add(bit).to_string()));
    }
    numbers.join(",")
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;
    use crate::spec::Spec;

    fn config(json: serde_json::Value) -> (Spec, Config) {
        let spec: Spec = serde_json::from_value(json).unwrap();
        let config = Config::from_spec(&spec, &Origin::default()).unwrap();
        (spec, config)
    }

    #[test]
    fn linux_there_and_back() {
        let (spec, config) = config(serde_json::json!({"ociVersion": "1.3.0", "linux": {
            "namespaces": [{"type": "pid"}, {"type": "network", "path": "/run/netns/x"}, {"type": "user"}],
            "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 65536}],
            "memoryPolicy": {"mode": "MPOL_PREFERRED_MANY", "nodes": "0,63,64,130",
                "flags": ["MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"]},
            "personality": {"domain": "LINUX32"},
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": []},
        }}));
        assert_eq!(Some(config.linux_of_exec().unwrap()), spec.linux);
        assert_eq!(config.host_root(), (100_000, 200_000));
        assert_eq!(Config::default().host_root(), (0, 0));
    }

    #[test]
    fn a_process_takes_what_it_leaves_open() {
        let process = serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/",
            "capabilities": {"bounding": ["CAP_KILL"], "effective": [], "permitted": []},
            "selinuxLabel": "l", "scheduler": {"policy": "SCHED_BATCH", "nice": 3},
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
            "execCPUAffinity": {"initial": "0,1", "final": "1"}});
        let (spec, config) = config(serde_json::json!({"ociVersion": "1.3.0", "process": process}));
        let expected = spec.process.unwrap();
        let empty: spec::Process =
            serde_json::from_value(serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/"})).unwrap();
        let mut filled = empty.clone();
        config.complete(&mut filled);
        assert_eq!(filled, expected);

        // What it has, it keeps.
        let own: spec::Process = serde_json::from_value(serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/",
            "capabilities": {}, "selinuxLabel": "m", "scheduler": {"policy": "SCHED_OTHER"},
            "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}, "execCPUAffinity": {}}))
        .unwrap();
        let mut completed = own.clone();
        config.complete(&mut completed);
        assert_eq!(completed, own);

        let mut nothing = empty.clone();
        Config::default().complete(&mut nothing);
        assert_eq!(nothing, empty);
    }

    #[test]
    fn numbers_that_are_not_known_are_errors() {
        for broken in [
            Config { personality: Some(Personality { domain: 99 }), ..Config::default() },
            Config { memory_policy: Some(MemoryPolicy { mode: 99, ..MemoryPolicy::default() }), ..Config::default() },
            Config { memory_policy: Some(MemoryPolicy { flags: 1, ..MemoryPolicy::default() }), ..Config::default() },
            Config { uid_mappings: vec![IdMap { host_id: -1, ..IdMap::default() }], ..Config::default() },
        ] {
            assert!(broken.linux_of_exec().is_err(), "{broken:?}");
        }
    }
}
