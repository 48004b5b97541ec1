//! cgroup v1: a hierarchy for each controller, or for a few. Pure but for the reader it is given.

use super::{Blkio, CpuUsage, Cpuset, Hugetlb, Memory, MemoryEntry, Misc, Pids, Rdma, Read, Stats, Throttling, parse};
use crate::error::Result;

/// Whether there is something to read of a controller.
pub(super) fn counts(controller: &str) -> bool {
    matches!(controller, "cpu" | "cpuacct" | "cpuset" | "memory" | "pids" | "blkio" | "hugetlb" | "rdma" | "misc")
}

/// What one controller says.
pub(super) fn add(stats: &mut Stats, controller: &str, read: Read, page_sizes: fn() -> Vec<String>) -> Result<()> {
    match controller {
        "cpu" => stats.cpu.throttling = throttling(read)?,
        "cpuacct" => stats.cpu.usage = usage(read)?,
        "cpuset" => stats.cpuset = cpuset(read)?,
        "memory" => stats.memory = memory(read)?,
        "pids" => stats.pids = pids(read)?,
        "blkio" => stats.blkio = blkio(read)?,
        "hugetlb" => {
            for size in page_sizes() {
                if let Some(pages) = hugetlb(read, &size)? {
                    stats.hugetlb.insert(size, pages);
                }
            }
        }
        "rdma" => stats.rdma = rdma(read)?,
        "misc" => stats.misc = misc(read)?,
        _ => {}
    }
    Ok(())
}

fn throttling(read: Read) -> Result<Throttling> {
    let text = read("cpu.stat")?.unwrap_or_default();
    let value = |key| parse::value_of(&text, key);
    Ok(Throttling {
        periods: value("nr_periods"),
        throttled_periods: value("nr_throttled"),
        throttled_time: value("throttled_time"),
    })
}

fn usage(read: Read) -> Result<CpuUsage> {
    // USER_HZ, which is 100 wherever Linux runs.
    const NANOSECONDS_A_TICK: u64 = 10_000_000;
    let stat = read("cpuacct.stat")?.unwrap_or_default();
    let ticks = |key| parse::value_of(&stat, key).saturating_mul(NANOSECONDS_A_TICK);
    let percpu = read("cpuacct.usage_percpu")?.unwrap_or_default();
    let mut usage = CpuUsage {
        total: value(read, "cpuacct.usage")?,
        percpu: percpu.split_ascii_whitespace().filter_map(parse::number).collect(),
        kernel: ticks("system"),
        user: ticks("user"),
        ..CpuUsage::default()
    };
    // `cpu user system`, then a line for each processor.
    for line in read("cpuacct.usage_all")?.unwrap_or_default().lines().skip(1) {
        let mut columns = line.split(' ').skip(1).filter_map(parse::number);
        if let (Some(user), Some(kernel)) = (columns.next(), columns.next()) {
            usage.percpu_user.push(user);
            usage.percpu_kernel.push(kernel);
        }
    }
    Ok(usage)
}

fn cpuset(read: Read) -> Result<Cpuset> {
    let list = |file| Ok(parse::list(&read(file)?.unwrap_or_default()));
    let level = read("cpuset.sched_relax_domain_level")?.unwrap_or_default();
    Ok(Cpuset {
        cpus: list("cpuset.cpus")?,
        cpu_exclusive: value(read, "cpuset.cpu_exclusive")?,
        mems: list("cpuset.mems")?,
        mem_hardwall: value(read, "cpuset.mem_hardwall")?,
        mem_exclusive: value(read, "cpuset.mem_exclusive")?,
        memory_migrate: value(read, "cpuset.memory_migrate")?,
        memory_spread_page: value(read, "cpuset.memory_spread_page")?,
        memory_spread_slab: value(read, "cpuset.memory_spread_slab")?,
        memory_pressure: value(read, "cpuset.memory_pressure")?,
        sched_load_balance: value(read, "cpuset.sched_load_balance")?,
        sched_relax_domain_level: level.trim().parse().unwrap_or(0),
    })
}

fn memory(read: Read) -> Result<Memory> {
    let stat = read("memory.stat")?.unwrap_or_default();
    let raw: std::collections::BTreeMap<String, u64> = parse::pairs(&stat).map(|(k, v)| (k.into(), v)).collect();
    Ok(Memory {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: memory_entry(read, "memory")?,
        swap: memory_entry(read, "memory.memsw")?,
        kernel: memory_entry(read, "memory.kmem")?,
        kernel_tcp: memory_entry(read, "memory.kmem.tcp")?,
        raw,
        psi: None,
    })
}

/// Swap and the kernel's memory are not counted by every kernel: one missing file tells of all four.
fn memory_entry(read: Read, name: &str) -> Result<MemoryEntry> {
    let Some(usage) = read(&format!("{name}.usage_in_bytes"))? else { return Ok(MemoryEntry::default()) };
    Ok(MemoryEntry {
        limit: value(read, &format!("{name}.limit_in_bytes"))?,
        usage: parse::number(&usage).unwrap_or(0),
        max: value(read, &format!("{name}.max_usage_in_bytes"))?,
        failcnt: value(read, &format!("{name}.failcnt"))?,
    })
}

/// The same files in v2.
pub(super) fn pids(read: Read) -> Result<Pids> {
    let limit = value(read, "pids.max")?;
    Ok(Pids { current: value(read, "pids.current")?, limit: if limit == u64::MAX { 0 } else { limit } })
}

/// Who counts depends on the scheduler of the device: bfq, cfq (before Linux 5.0), or with none the throttling layer, which
/// counts the cgroups below since Linux 5.1.
fn blkio(read: Read) -> Result<Blkio> {
    let entries = |file: String| -> Result<_> { Ok(parse::blkio(&read(&file)?.unwrap_or_default())) };
    for prefix in ["blkio.bfq", "blkio"] {
        let serviced = entries(format!("{prefix}.io_serviced_recursive"))?;
        if !serviced.is_empty() {
            return Ok(Blkio {
                io_service_bytes_recursive: entries(format!("{prefix}.io_service_bytes_recursive"))?,
                io_serviced_recursive: serviced,
                io_queue_recursive: entries(format!("{prefix}.io_queued_recursive"))?,
                io_service_time_recursive: entries(format!("{prefix}.io_service_time_recursive"))?,
                io_wait_time_recursive: entries(format!("{prefix}.io_wait_time_recursive"))?,
                io_merged_recursive: entries(format!("{prefix}.io_merged_recursive"))?,
                io_time_recursive: entries(format!("{prefix}.time_recursive"))?,
                sectors_recursive: entries(format!("{prefix}.sectors_recursive"))?,
                psi: None,
            });
        }
    }
    for suffix in ["_recursive", ""] {
        let serviced = entries(format!("blkio.throttle.io_serviced{suffix}"))?;
        if !serviced.is_empty() {
            return Ok(Blkio {
                io_service_bytes_recursive: entries(format!("blkio.throttle.io_service_bytes{suffix}"))?,
                io_serviced_recursive: serviced,
                ..Blkio::default()
            });
        }
    }
    Ok(Blkio::default())
}

fn hugetlb(read: Read, size: &str) -> Result<Option<Hugetlb>> {
    for prefix in [format!("hugetlb.{size}.rsvd"), format!("hugetlb.{size}")] {
        if let Some(usage) = read(&format!("{prefix}.usage_in_bytes"))? {
            return Ok(Some(Hugetlb {
                usage: parse::number(&usage).unwrap_or(0),
                max: value(read, &format!("{prefix}.max_usage_in_bytes"))?,
                failcnt: value(read, &format!("{prefix}.failcnt"))?,
            }));
        }
    }
    Ok(None)
}

/// The same files in v2.
pub(super) fn rdma(read: Read) -> Result<Rdma> {
    let entries = |file| Ok(parse::rdma(&read(file)?.unwrap_or_default()));
    Ok(Rdma { limit: entries("rdma.max")?, current: entries("rdma.current")? })
}

/// The same files in v2.
pub(super) fn misc(read: Read) -> Result<std::collections::BTreeMap<String, Misc>> {
    let current = read("misc.current")?.unwrap_or_default();
    Ok(parse::misc(&current, &read("misc.events")?.unwrap_or_default()))
}

/// The number in a file, 0 if there is none.
pub(super) fn value(read: Read, file: &str) -> Result<u64> {
    Ok(read(file)?.as_deref().and_then(parse::number).unwrap_or(0))
}
