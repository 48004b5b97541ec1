//! What a cgroup's files say of its use of resources, in the shape that `events` prints (runc's, which go-runc reads). The
//! parsers are pure and take whatever text there is; only this file reads. Knows nothing of containers.
//!
//! A controller that is not enabled, a file that a kernel does not have, and a cgroup that goes away while it is read are
//! all the same: nothing is said of them.

pub mod parse;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // A panic is what a test wants.
mod tests;
mod v1;
mod v2;

pub(super) use parse::value_of;

use std::collections::BTreeMap;

use serde::Serialize;

use super::dir::{Dir, list_dirs};
use super::host::Version;
use super::owned::{Node, OwnedCgroup};
use crate::error::{Errno, Result};

/// All of it. `rdma` and `misc` are ours (in libcontainer's form), and are left out where there is nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // The names are those of the controllers.
pub struct Stats {
    pub cpu: Cpu,
    pub cpuset: Cpuset,
    pub memory: Memory,
    pub pids: Pids,
    pub blkio: Blkio,
    /// By page size: `2MB`, `1GB`.
    pub hugetlb: BTreeMap<String, Hugetlb>,
    #[serde(skip_serializing_if = "is_zero")]
    pub rdma: Rdma,
    /// By resource.
    #[serde(skip_serializing_if = "is_zero")]
    pub misc: BTreeMap<String, Misc>,
    /// An object even with nothing in it, as readers expect it.
    pub intel_rdt: IntelRdt,
    /// Those of runc's own network setup, which no engine uses: always null.
    pub network_interfaces: Option<()>,
}

/// `cpu`, and v1's `cpuacct`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// Since the cgroup was made.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: CpuUsage,
    /// By the quota.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttling: Throttling,
    /// v2.
    #[serde(skip_serializing_if = "is_zero")]
    pub psi: Option<Psi>,
}

/// In nanoseconds; by processor on v1 alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct CpuUsage {
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub percpu: Vec<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    pub percpu_kernel: Vec<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    pub percpu_user: Vec<u64>,
    pub kernel: u64,
    pub user: u64,
}

/// By the quota of the cgroup.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// That have passed.
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    /// In which the quota was used up.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    /// In nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// Pressure stall information: the share of time lost to waiting for a resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Psi {
    /// By some of the processes.
    pub some: Pressure,
    /// By all of them at once.
    pub full: Pressure,
}

/// One line of a `.pressure` file: percent of the last seconds, and microseconds in all.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Pressure {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

/// v1's `cpuset`; empty on v2.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // One file each.
pub struct Cpuset {
    #[serde(skip_serializing_if = "is_zero")]
    pub cpus: Vec<u16>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub mems: Vec<u16>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// `memory`, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Of files.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    /// Of all kinds.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: MemoryEntry,
    /// Memory and swap together, on v2 too.
    #[serde(skip_serializing_if = "is_zero")]
    pub swap: MemoryEntry,
    /// v1.
    #[serde(skip_serializing_if = "is_zero")]
    pub kernel: MemoryEntry,
    /// v1.
    #[serde(rename = "kernelTCP", skip_serializing_if = "is_zero")]
    pub kernel_tcp: MemoryEntry,
    /// memory.stat.
    #[serde(skip_serializing_if = "is_zero")]
    pub raw: BTreeMap<String, u64>,
    /// v2.
    #[serde(skip_serializing_if = "is_zero")]
    pub psi: Option<Psi>,
}

/// One counter of memory. No limit is `u64::MAX` on v2, 2^63 without the last page on v1.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MemoryEntry {
    /// The most there may be.
    pub limit: u64,
    /// Now.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most there has been.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was met.
    pub failcnt: u64,
}

/// `pids`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Pids {
    /// Threads; without the controller, processes.
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// 0: none.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// v1's `blkio` with the cgroups below; `io` of v2 in the same terms.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // One file of v1 each.
pub struct Blkio {
    #[serde(skip_serializing_if = "is_zero")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "is_zero")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "is_zero")]
    pub io_queue_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "is_zero")]
    pub io_service_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "is_zero")]
    pub io_wait_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "is_zero")]
    pub io_merged_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "is_zero")]
    pub io_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "is_zero")]
    pub sectors_recursive: Vec<BlkioEntry>,
    /// v2.
    #[serde(skip_serializing_if = "is_zero")]
    pub psi: Option<Psi>,
}

/// One device and kind of operation.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BlkioEntry {
    /// Of the device.
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    /// Of the device.
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`; empty where the file knows none.
    #[serde(skip_serializing_if = "is_zero")]
    pub op: String,
    /// Bytes, operations, nanoseconds or sectors.
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

/// Huge pages of one size, in bytes: those reserved, where the kernel counts them (Linux 5.7).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Hugetlb {
    /// Now.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most there has been; v1.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was met.
    pub failcnt: u64,
}

/// `rdma`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Rdma {
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: Vec<RdmaEntry>,
    #[serde(skip_serializing_if = "is_zero")]
    pub current: Vec<RdmaEntry>,
}

/// One device.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RdmaEntry {
    /// Its name.
    pub device: String,
    /// No limit is `u32::MAX`.
    pub hca_handles: u32,
    /// No limit is `u32::MAX`.
    pub hca_objects: u32,
}

/// One resource of `misc`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Misc {
    /// Now.
    pub usage: u64,
    /// How often the limit was met.
    pub events: u64,
}

/// resctrl, which is no cgroup: see [`crate::resctrl::stats`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IntelRdt {
    /// What the cache can do.
    #[serde(skip_serializing_if = "is_zero")]
    pub l3_cache_info: L3CacheInfo,
    /// Of the class of all that have no other. Of code and data, with CDP, a line each.
    #[serde(skip_serializing_if = "is_zero")]
    pub l3_cache_schema_root: String,
    /// Of the container's class.
    #[serde(skip_serializing_if = "is_zero")]
    pub l3_cache_schema: String,
    /// What the bandwidth can do.
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_bw_info: MemBwInfo,
    /// Of the class of all that have no other.
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_bw_schema_root: String,
    /// Of the container's class.
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_bw_schema: String,
    /// All lines of the container's class.
    #[serde(skip_serializing_if = "is_zero")]
    pub schemata: Vec<String>,
    /// By L3 cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub mbm_stats: Vec<MemoryBandwidthMonitoring>,
    /// By L3 cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cmt_stats: Vec<CacheMonitoring>,
}

/// `info/L3` of resctrl.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // One file each.
pub struct L3CacheInfo {
    #[serde(skip_serializing_if = "is_zero")]
    pub cbm_mask: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub min_cbm_bits: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_closids: u64,
}

/// `info/MB` of resctrl.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // One file each.
pub struct MemBwInfo {
    #[serde(skip_serializing_if = "is_zero")]
    pub bandwidth_gran: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub delay_linear: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub min_bandwidth: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_closids: u64,
}

/// What was moved between one L3 cache and the memory (MBM).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MemoryBandwidthMonitoring {
    /// All of it.
    #[serde(skip_serializing_if = "is_zero")]
    pub mbm_total_bytes: Option<u64>,
    /// Of the memory of the cache's own NUMA node.
    #[serde(skip_serializing_if = "is_zero")]
    pub mbm_local_bytes: Option<u64>,
}

/// What there is in one L3 cache (CMT).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CacheMonitoring {
    /// In bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub llc_occupancy: Option<u64>,
}

/// For what JSON leaves out.
fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The text of a file of one cgroup; `None` where there is none.
type Read<'a> = &'a dyn Fn(&str) -> Result<Option<String>>;

impl OwnedCgroup {
    /// What the cgroup uses, those below it included; nothing of resctrl.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        for node in &self.nodes {
            match node.hierarchy.version {
                // Beside v1 it has no controllers, and runtimes report none of its pressure files.
                Version::V2 if self.version() == Version::V1 => {}
                Version::V2 => stats = node.stats_v2()?,
                Version::V1 => node.add_stats_v1(&mut stats)?,
            }
        }
        Ok(stats)
    }
}

impl Node {
    fn stats_v2(&self) -> Result<Stats> {
        let Some(dir) = self.open()? else { return Ok(Stats::default()) };
        let mut stats = v2::stats(&|file| dir.read_if_there(file), huge_page_sizes)?;
        if stats.pids.current == 0 {
            stats.pids.current = u64::try_from(self.pids()?.len()).unwrap_or(u64::MAX);
        }
        Ok(stats)
    }

    fn add_stats_v1(&self, stats: &mut Stats) -> Result<()> {
        let counting: Vec<&String> = self.hierarchy.keys.iter().filter(|key| v1::counts(key)).collect();
        if counting.is_empty() {
            return Ok(());
        }
        let Some(dir) = self.open()? else { return Ok(()) };
        for controller in counting {
            v1::add(stats, controller, &|file| dir.read_if_there(file), huge_page_sizes)?;
        }
        Ok(())
    }

    fn open(&self) -> Result<Option<Dir>> {
        match Dir::open(self.path.as_str()) {
            Ok(dir) => Ok(Some(dir)),
            Err(e) if e.errno() == Some(Errno::ENOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// The sizes of huge pages of this host, as cgroups name them: `2MB`. None where the kernel has no huge pages.
pub fn huge_page_sizes() -> Vec<String> {
    let names = crate::files::open("/sys/kernel/mm/hugepages", crate::files::DIRECTORY)
        .and_then(|dir| list_dirs(std::os::fd::AsFd::as_fd(&dir)));
    let names = names.unwrap_or_default();
    names.iter().filter_map(|name| parse::huge_page_size(name.to_str().ok()?)).collect()
}
