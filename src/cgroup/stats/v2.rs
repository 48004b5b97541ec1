//! cgroup v2: one directory. Pure but for the reader it is given.

use super::v1::{misc, pids, rdma, value};
use super::{Blkio, BlkioEntry, Cpu, CpuUsage, Hugetlb, Memory, MemoryEntry, Psi, Read, Stats, Throttling, parse};
use crate::error::Result;

/// What the cgroup says. Files of controllers that it does not have are not looked for.
pub(super) fn stats(read: Read, page_sizes: fn() -> Vec<String>) -> Result<Stats> {
    let controllers = read("cgroup.controllers")?.unwrap_or_default();
    let has = |name| controllers.split_ascii_whitespace().any(|controller| controller == name);
    // Time and pressure are counted without a controller.
    let mut stats = Stats { cpu: cpu(read)?, ..Stats::default() };
    if has("memory") {
        stats.memory = memory(read)?;
    }
    stats.memory.psi = psi(read, "memory.pressure")?;
    if has("pids") {
        stats.pids = pids(read)?;
    }
    if has("io") {
        stats.blkio = io(&read("io.stat")?.unwrap_or_default());
    }
    stats.blkio.psi = psi(read, "io.pressure")?;
    if has("hugetlb") {
        for size in page_sizes() {
            if let Some(pages) = hugetlb(read, &size)? {
                stats.hugetlb.insert(size, pages);
            }
        }
    }
    if has("rdma") {
        stats.rdma = rdma(read)?;
    }
    if has("misc") {
        stats.misc = misc(read)?;
    }
    Ok(stats)
}

fn psi(read: Read, file: &str) -> Result<Option<Psi>> {
    Ok(read(file)?.map(|text| parse::psi(&text)))
}

fn cpu(read: Read) -> Result<Cpu> {
    let text = read("cpu.stat")?.unwrap_or_default();
    let value = |key| parse::value_of(&text, key);
    let nanoseconds = |key| value(key).saturating_mul(1000);
    Ok(Cpu {
        usage: CpuUsage {
            total: nanoseconds("usage_usec"),
            kernel: nanoseconds("system_usec"),
            user: nanoseconds("user_usec"),
            ..CpuUsage::default()
        },
        throttling: Throttling {
            periods: value("nr_periods"),
            throttled_periods: value("nr_throttled"),
            throttled_time: nanoseconds("throttled_usec"),
        },
        psi: psi(read, "cpu.pressure")?,
    })
}

fn memory(read: Read) -> Result<Memory> {
    let stat = read("memory.stat")?.unwrap_or_default();
    let raw: std::collections::BTreeMap<String, u64> = parse::pairs(&stat).map(|(k, v)| (k.into(), v)).collect();
    let events = read("memory.events")?.unwrap_or_default();
    let usage = MemoryEntry {
        limit: value(read, "memory.max")?,
        usage: value(read, "memory.current")?,
        max: value(read, "memory.peak")?,
        failcnt: parse::value_of(&events, "max"),
    };
    // v1's counter is of memory and swap together, and readers of these numbers know no other. Two peaks make no sum.
    let swap = MemoryEntry {
        limit: usage.limit.saturating_add(value(read, "memory.swap.max")?),
        usage: usage.usage.saturating_add(value(read, "memory.swap.current")?),
        ..MemoryEntry::default()
    };
    Ok(Memory { cache: raw.get("file").copied().unwrap_or(0), usage, swap, raw, ..Memory::default() })
}

/// Lines of `8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`. Some kernels put the name of a device that has nothing to
/// tell in front of the next one's.
fn io(text: &str) -> Blkio {
    let mut blkio = Blkio::default();
    for line in text.lines() {
        let mut device = None;
        for word in line.split_ascii_whitespace() {
            let Some((key, value)) = word.split_once('=') else {
                device = parse::device(word);
                continue;
            };
            let (list, op) = match key {
                "rbytes" => (&mut blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut blkio.io_service_bytes_recursive, "Write"),
                "dbytes" => (&mut blkio.io_service_bytes_recursive, "Discard"),
                "rios" => (&mut blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut blkio.io_serviced_recursive, "Write"),
                "dios" => (&mut blkio.io_serviced_recursive, "Discard"),
                _ => continue,
            };
            if let (Some((major, minor)), Some(value)) = (device, parse::number(value)) {
                list.push(BlkioEntry { major, minor, op: op.into(), value });
            }
        }
    }
    blkio
}

fn hugetlb(read: Read, size: &str) -> Result<Option<Hugetlb>> {
    for prefix in [format!("hugetlb.{size}.rsvd"), format!("hugetlb.{size}")] {
        if let Some(usage) = read(&format!("{prefix}.current"))? {
            let events = read(&format!("hugetlb.{size}.events"))?.unwrap_or_default();
            let usage = parse::number(&usage).unwrap_or(0);
            return Ok(Some(Hugetlb { usage, max: 0, failcnt: parse::value_of(&events, "max") }));
        }
    }
    Ok(None)
}
