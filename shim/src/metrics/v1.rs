//! cgroup v1: the files of a controller -> its part of the message. Pure but for the readers it is given.

use dunnage::cgroup::stats::{BlkioEntry, parse};
use dunnage::error::Result;

use super::{PageSizes, Read, rdma, value};
use crate::proto::metrics::v1::{
    BlkIoEntry, BlkIoStat, CpuStat, CpuUsage, HugetlbStat, MemoryEntry, MemoryOomControl, MemoryStat, Metrics,
    PidsStat, Throttle,
};

/// Whether there is something to read of a controller.
pub(super) fn counts(controller: &str) -> bool {
    matches!(controller, "cpu" | "cpuacct" | "memory" | "pids" | "blkio" | "hugetlb" | "rdma")
}

/// Nothing, in the messages that clients expect whatever the host has.
pub(super) fn nothing() -> Metrics {
    Metrics {
        pids: Some(PidsStat::default()),
        cpu: Some(CpuStat { usage: Some(CpuUsage::default()), throttling: Some(Throttle::default()) }),
        memory: Some(MemoryStat {
            usage: Some(MemoryEntry::default()),
            swap: Some(MemoryEntry::default()),
            kernel: Some(MemoryEntry::default()),
            kernel_tcp: Some(MemoryEntry::default()),
            ..MemoryStat::default()
        }),
        blkio: Some(BlkIoStat::default()),
        ..Metrics::default()
    }
}

/// What one controller says. `device` is the name of a block device.
pub(super) fn add(
    metrics: &mut Metrics,
    controller: &str,
    read: Read,
    page_sizes: PageSizes,
    device: fn(u64, u64) -> String,
) -> Result<()> {
    match controller {
        "cpu" => metrics.cpu.get_or_insert_default().throttling = Some(throttling(read)?),
        "cpuacct" => metrics.cpu.get_or_insert_default().usage = Some(usage(read)?),
        "memory" => {
            metrics.memory = Some(memory(read)?);
            metrics.memory_oom_control = read("memory.oom_control")?.map(|text| oom_control(&text));
        }
        "pids" => metrics.pids = Some(pids(read)?),
        "blkio" => metrics.blkio = Some(blkio(read, device)?),
        "hugetlb" => {
            for size in page_sizes() {
                metrics.hugetlb.push(hugetlb(read, size)?);
            }
        }
        "rdma" => metrics.rdma = Some(rdma(read)?),
        _ => {}
    }
    Ok(())
}

fn throttling(read: Read) -> Result<Throttle> {
    let text = read("cpu.stat")?.unwrap_or_default();
    let value = |key| parse::value_of(&text, key);
    Ok(Throttle {
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
    Ok(CpuUsage {
        total: value(read, "cpuacct.usage")?,
        kernel: ticks("system"),
        user: ticks("user"),
        per_cpu: percpu.split_ascii_whitespace().filter_map(parse::number).collect(),
    })
}

fn memory(read: Read) -> Result<MemoryStat> {
    let stat = memory_stat(&read("memory.stat")?.unwrap_or_default());
    Ok(MemoryStat {
        usage: Some(memory_entry(read, "memory")?),
        swap: Some(memory_entry(read, "memory.memsw")?),
        kernel: Some(memory_entry(read, "memory.kmem")?),
        kernel_tcp: Some(memory_entry(read, "memory.kmem.tcp")?),
        ..stat
    })
}

fn memory_stat(text: &str) -> MemoryStat {
    let mut stat = MemoryStat::default();
    for (key, value) in parse::pairs(text) {
        let field = match key {
            "cache" => &mut stat.cache,
            "rss" => &mut stat.rss,
            "rss_huge" => &mut stat.rss_huge,
            "mapped_file" => &mut stat.mapped_file,
            "dirty" => &mut stat.dirty,
            "writeback" => &mut stat.writeback,
            "pgpgin" => &mut stat.pg_pg_in,
            "pgpgout" => &mut stat.pg_pg_out,
            "pgfault" => &mut stat.pg_fault,
            "pgmajfault" => &mut stat.pg_maj_fault,
            "inactive_anon" => &mut stat.inactive_anon,
            "active_anon" => &mut stat.active_anon,
            "inactive_file" => &mut stat.inactive_file,
            "active_file" => &mut stat.active_file,
            "unevictable" => &mut stat.unevictable,
            "hierarchical_memory_limit" => &mut stat.hierarchical_memory_limit,
            "hierarchical_memsw_limit" => &mut stat.hierarchical_swap_limit,
            "total_cache" => &mut stat.total_cache,
            "total_rss" => &mut stat.total_rss,
            "total_rss_huge" => &mut stat.total_rss_huge,
            "total_mapped_file" => &mut stat.total_mapped_file,
            "total_dirty" => &mut stat.total_dirty,
            "total_writeback" => &mut stat.total_writeback,
            "total_pgpgin" => &mut stat.total_pg_pg_in,
            "total_pgpgout" => &mut stat.total_pg_pg_out,
            "total_pgfault" => &mut stat.total_pg_fault,
            "total_pgmajfault" => &mut stat.total_pg_maj_fault,
            "total_inactive_anon" => &mut stat.total_inactive_anon,
            "total_active_anon" => &mut stat.total_active_anon,
            "total_inactive_file" => &mut stat.total_inactive_file,
            "total_active_file" => &mut stat.total_active_file,
            "total_unevictable" => &mut stat.total_unevictable,
            _ => continue,
        };
        *field = value;
    }
    stat
}

/// Swap and the kernel's memory are not counted by every kernel: one missing file tells of all four.
fn memory_entry(read: Read, name: &str) -> Result<MemoryEntry> {
    let file = |what| format!("{name}.{what}");
    let Some(usage) = read(&file("usage_in_bytes"))? else { return Ok(MemoryEntry::default()) };
    Ok(MemoryEntry {
        limit: value(read, &file("limit_in_bytes"))?,
        usage: parse::number(&usage).unwrap_or(0),
        max: value(read, &file("max_usage_in_bytes"))?,
        failcnt: value(read, &file("failcnt"))?,
    })
}

fn oom_control(text: &str) -> MemoryOomControl {
    let value = |key| parse::value_of(text, key);
    MemoryOomControl {
        oom_kill_disable: value("oom_kill_disable"),
        under_oom: value("under_oom"),
        // Since Linux 4.13.
        oom_kill: value("oom_kill"),
    }
}

fn pids(read: Read) -> Result<PidsStat> {
    let limit = value(read, "pids.max")?;
    Ok(PidsStat { current: value(read, "pids.current")?, limit: if limit == u64::MAX { 0 } else { limit } })
}

/// Who counts depends on the scheduler of the device: bfq, cfq (before Linux 5.0), or with none the throttling layer, which
/// counts the cgroups below since Linux 5.1.
fn blkio(read: Read, device: fn(u64, u64) -> String) -> Result<BlkIoStat> {
    let mut names = Names { device, known: Vec::new() };
    let mut entries = |file: String| Ok(names.give(parse::blkio(&read(&file)?.unwrap_or_default())));
    for prefix in ["blkio.bfq", "blkio"] {
        let serviced: Vec<BlkIoEntry> = entries(format!("{prefix}.io_serviced_recursive"))?;
        if !serviced.is_empty() {
            return Ok(BlkIoStat {
                io_service_bytes_recursive: entries(format!("{prefix}.io_service_bytes_recursive"))?,
                io_serviced_recursive: serviced,
                io_queued_recursive: entries(format!("{prefix}.io_queued_recursive"))?,
                io_service_time_recursive: entries(format!("{prefix}.io_service_time_recursive"))?,
                io_wait_time_recursive: entries(format!("{prefix}.io_wait_time_recursive"))?,
                io_merged_recursive: entries(format!("{prefix}.io_merged_recursive"))?,
                io_time_recursive: entries(format!("{prefix}.time_recursive"))?,
                sectors_recursive: entries(format!("{prefix}.sectors_recursive"))?,
            });
        }
    }
    for suffix in ["_recursive", ""] {
        let serviced = entries(format!("blkio.throttle.io_serviced{suffix}"))?;
        if !serviced.is_empty() {
            return Ok(BlkIoStat {
                io_service_bytes_recursive: entries(format!("blkio.throttle.io_service_bytes{suffix}"))?,
                io_serviced_recursive: serviced,
                ..BlkIoStat::default()
            });
        }
    }
    Ok(BlkIoStat::default())
}

/// The names of block devices, each looked up once a call.
struct Names {
    device: fn(u64, u64) -> String,
    known: Vec<(u64, u64, String)>,
}

impl Names {
    fn give(&mut self, entries: Vec<BlkioEntry>) -> Vec<BlkIoEntry> {
        let named = |entry: BlkioEntry| {
            let (major, minor) = (entry.major, entry.minor);
            BlkIoEntry { op: entry.op, device: self.of(major, minor), major, minor, value: entry.value }
        };
        entries.into_iter().map(named).collect()
    }

    fn of(&mut self, major: u64, minor: u64) -> String {
        if let Some((.., name)) = self.known.iter().find(|known| (known.0, known.1) == (major, minor)) {
            return name.clone();
        }
        let name = (self.device)(major, minor);
        self.known.push((major, minor, name.clone()));
        name
    }
}

/// What is in use, as containerd has it: `rsvd`, which runc reads, is what was reserved.
fn hugetlb(read: Read, size: &str) -> Result<HugetlbStat> {
    let file = |what| format!("hugetlb.{size}.{what}");
    Ok(HugetlbStat {
        usage: value(read, &file("usage_in_bytes"))?,
        max: value(read, &file("max_usage_in_bytes"))?,
        failcnt: value(read, &file("failcnt"))?,
        pagesize: size.into(),
    })
}
