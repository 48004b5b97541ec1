//! What an update means: the limits that are saved + the request -> the limits that will be saved, and what of it is written
//! to the kernel. Pure.
//!
//! Written is what the request names, and what its value depends on (v2's swap limit is the difference of two), not the rest:
//! others have a say in a container's cgroup too (the kubelet's CPU manager, `systemctl set-property`), and an update of the
//! memory limit must neither undo theirs nor fail for a disk that has been unplugged since.

use crate::cgroup::Settings;
use crate::cgroup::host::Version;
use crate::cgroup::settings::cpu_weight;
use crate::cgroup::systemd::properties::rounded_quota;
use crate::error::Result;
use crate::spec::{BlockIo, Cpu, Memory, Pids, Resources};
use crate::spec::{ThrottleDevice as SpecThrottle, WeightDevice as SpecWeight};
use crate::state::{Cgroup, ThrottleDevice, WeightDevice};

/// The meaning of an update.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// `config.cgroups` from now on.
    pub saved: Cgroup,
    /// What is written to the kernel.
    pub write: Resources,
    /// Sections of the request that ask for a change which an update does not make.
    pub left_out: Vec<&'static str>,
}

/// A value of a state file or a request: zero is "not set" where it is no limit.
fn given<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

/// The same for the values of a state file.
fn set<T: Default + PartialEq>(value: T) -> Option<T> {
    given(Some(value))
}

/// Of the request, what is absent or zero is kept. (Zero is a value of `burst`, `idle` and `pids.limit`.)
///
/// # Errors
/// Values that contradict each other: swap below memory.
pub fn merge(version: Version, saved: &Cgroup, request: &Resources) -> Result<Merged> {
    let mut merged = Merged { saved: saved.clone(), ..Merged::default() };
    if let Some(asked) = &request.memory {
        merged.memory(asked);
    }
    if let Some(asked) = &request.cpu {
        merged.cpu(asked);
    }
    if let Some(limit) = request.pids.as_ref().and_then(|pids| pids.limit) {
        merged.saved.pids_limit = Some(limit);
        merged.write.pids = Some(Pids { limit: Some(limit) });
    }
    if let Some(asked) = &request.block_io {
        merged.block_io(asked);
    }
    merged.unified(version, request)?;
    merged.left_out = left_out(saved, request);
    Ok(merged)
}

impl Merged {
    fn memory(&mut self, asked: &Memory) {
        let (saved, write) = (&mut self.saved, &mut Memory::default());
        let (limit, swap) = (given(asked.limit), given(asked.swap));
        if let Some(check) = asked.check_before_update {
            saved.memory_check_before_update = check;
        }
        if let Some(limit) = limit {
            saved.memory = limit;
            if limit == -1 && swap.is_none() {
                // Unlimited memory means unlimited swap: it follows.
                saved.memory_swap = 0;
            }
        }
        if let Some(swap) = swap {
            saved.memory_swap = swap;
        }
        if limit.is_some() || swap.is_some() {
            write.limit = set(saved.memory);
            write.swap = set(saved.memory_swap);
            write.check_before_update = Some(saved.memory_check_before_update);
        }
        if let Some(reservation) = given(asked.reservation) {
            saved.memory_reservation = reservation;
            write.reservation = Some(reservation);
        }
        self.write.memory = set(write.clone());
    }

    fn cpu(&mut self, asked: &Cpu) {
        let (saved, write) = (&mut self.saved, &mut Cpu::default());
        let (quota, period) = (given(asked.quota), given(asked.period));
        saved.cpu_quota = quota.unwrap_or(saved.cpu_quota);
        saved.cpu_period = period.unwrap_or(saved.cpu_period);
        if saved.Systemd && saved.cpu_quota > 0 {
            // What the unit and the cgroup get.
            saved.cpu_quota = rounded_quota(saved.cpu_quota, saved.cpu_period);
        }
        if quota.is_some() || period.is_some() {
            (write.quota, write.period) = (set(saved.cpu_quota), set(saved.cpu_period));
        }
        if asked.burst.is_some() {
            (saved.cpu_burst, write.burst) = (asked.burst, asked.burst);
        }
        let shares = given(asked.shares);
        // SCHED_IDLE takes the shares away, and its end gives the default ones.
        let turned = asked.idle.is_some_and(|idle| idle != saved.cpu_idle.unwrap_or(0));
        if shares.is_some() || turned {
            saved.cpu_shares = shares.unwrap_or(0);
            saved.cpu_weight = shares.map_or(0, cpu_weight);
        }
        saved.cpu_idle = asked.idle.or(saved.cpu_idle);
        (write.shares, write.idle) = (shares, asked.idle);
        let (runtime, period) = (given(asked.realtime_runtime), given(asked.realtime_period));
        saved.cpu_rt_quota = runtime.unwrap_or(saved.cpu_rt_quota);
        saved.cpu_rt_period = period.unwrap_or(saved.cpu_rt_period);
        if runtime.is_some() || period.is_some() {
            (write.realtime_runtime, write.realtime_period) = (set(saved.cpu_rt_quota), set(saved.cpu_rt_period));
        }
        for (asked, saved, write) in [
            (&asked.cpus, &mut saved.cpuset_cpus, &mut write.cpus),
            (&asked.mems, &mut saved.cpuset_mems, &mut write.mems),
        ] {
            if !asked.is_empty() {
                saved.clone_from(asked);
                write.clone_from(asked);
            }
        }
        self.write.cpu = set(write.clone());
    }

    fn block_io(&mut self, asked: &BlockIo) {
        let saved = &mut self.saved;
        let (weight, leaf_weight) = (given(asked.weight), given(asked.leaf_weight));
        saved.blkio_weight = weight.unwrap_or(saved.blkio_weight);
        saved.blkio_leaf_weight = leaf_weight.unwrap_or(saved.blkio_leaf_weight);
        for device in &asked.weight_device {
            keep_weight(&mut saved.blkio_weight_device, device);
        }
        for (asked, saved) in [
            (&asked.throttle_read_bps_device, &mut saved.blkio_throttle_read_bps_device),
            (&asked.throttle_write_bps_device, &mut saved.blkio_throttle_write_bps_device),
            (&asked.throttle_read_iops_device, &mut saved.blkio_throttle_read_iops_device),
            (&asked.throttle_write_iops_device, &mut saved.blkio_throttle_write_iops_device),
        ] {
            asked.iter().for_each(|device| keep_rate(saved, device));
        }
        self.write.block_io = set(BlockIo { weight, leaf_weight, ..asked.clone() });
    }

    /// A file that is written as a field of its own is no longer what `unified` said of it; what `unified` asks for now comes
    /// last, as when a container is created.
    fn unified(&mut self, version: Version, request: &Resources) -> Result<()> {
        if !self.saved.unified.is_empty() {
            // One file holds the limits of many devices: those of the others remain.
            let whole = Settings::new(version, &self.write)?.list.into_iter().filter(|s| !s.value.contains(':'));
            whole.for_each(|setting| drop(self.saved.unified.remove(setting.file.as_ref())));
        }
        self.saved.unified.extend(request.unified.clone());
        self.write.unified.clone_from(&request.unified);
        Ok(())
    }
}

fn keep_weight(saved: &mut Vec<WeightDevice>, asked: &SpecWeight) {
    let (weight, leaf) = (asked.weight.unwrap_or(0), asked.leaf_weight.unwrap_or(0));
    match saved.iter_mut().find(|device| (device.major, device.minor) == (asked.major, asked.minor)) {
        Some(device) => {
            device.weight = set(weight).unwrap_or(device.weight);
            device.leafWeight = set(leaf).unwrap_or(device.leafWeight);
        }
        None => saved.push(WeightDevice { major: asked.major, minor: asked.minor, weight, leafWeight: leaf }),
    }
}

fn keep_rate(saved: &mut Vec<ThrottleDevice>, asked: &SpecThrottle) {
    match saved.iter_mut().find(|device| (device.major, device.minor) == (asked.major, asked.minor)) {
        Some(device) => device.rate = asked.rate,
        None => saved.push(ThrottleDevice { major: asked.major, minor: asked.minor, rate: asked.rate }),
    }
}

/// containerd sends all resources of a container with each update, so only what differs is worth a word.
fn left_out(saved: &Cgroup, request: &Resources) -> Vec<&'static str> {
    let asked = Cgroup::limits(request);
    let memory = request.memory.clone().unwrap_or_default();
    let differs = |given: bool, same: bool| given && !same;
    let table = [
        ("hugepageLimits", differs(!asked.hugetlb_limit.is_empty(), asked.hugetlb_limit == saved.hugetlb_limit)),
        ("rdma", differs(!asked.rdma.is_empty(), asked.rdma == saved.rdma)),
        ("network.classID", differs(asked.net_cls_classid_u != 0, asked.net_cls_classid_u == saved.net_cls_classid_u)),
        (
            "network.priorities",
            differs(!asked.net_prio_ifpriomap.is_empty(), asked.net_prio_ifpriomap == saved.net_prio_ifpriomap),
        ),
        ("memory.swappiness", differs(memory.swappiness.is_some(), memory.swappiness == saved.memory_swappiness)),
        (
            "memory.disableOOMKiller",
            differs(memory.disable_oom_killer.is_some(), asked.oom_kill_disable == saved.oom_kill_disable),
        ),
    ];
    table.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests;
