//! cgroup v2: the files of one directory -> the message. Pure but for the reader it is given.

use dunnage::cgroup::stats::parse;
use dunnage::error::Result;

use super::{PageSizes, Read, rdma, value};
use crate::proto::metrics::v2::{
    CpuStat, HugeTlbStat, IoEntry, IoStat, MemoryEvents, MemoryStat, Metrics, PidsStat, PsiData, PsiStats,
};

/// What the cgroup says; `controllers` is its cgroup.controllers, and the files of others are not looked for.
///
/// Messages are there without their controllers, too, as clients expect that: `ctr` ends in a panic without `pids`.
pub(super) fn metrics(controllers: &str, read: Read, page_sizes: PageSizes) -> Result<Metrics> {
    let has = |name| controllers.split_ascii_whitespace().any(|controller| controller == name);
    // Time and pressure are counted without a controller.
    let mut metrics = Metrics { cpu: Some(cpu(read)?), ..Metrics::default() };
    let mut memory = MemoryStat::default();
    if has("memory") {
        memory = self::memory(read)?;
        metrics.memory_events = read("memory.events")?.map(|text| memory_events(&text));
    }
    memory.psi = psi(read, "memory.pressure")?;
    metrics.memory = Some(memory);
    metrics.pids = Some(match has("pids") {
        true => PidsStat { current: value(read, "pids.current")?, limit: value(read, "pids.max")? },
        false => PidsStat::default(),
    });
    let usage = if has("io") { io(&read("io.stat")?.unwrap_or_default()) } else { Vec::new() };
    metrics.io = Some(IoStat { usage, psi: psi(read, "io.pressure")? });
    metrics.rdma = Some(if has("rdma") { rdma(read)? } else { Default::default() });
    if has("hugetlb") {
        for size in page_sizes() {
            metrics.hugetlb.push(hugetlb(read, size)?);
        }
    }
    Ok(metrics)
}

/// `message.key = value` for keys that are names of fields; true if it is one.
macro_rules! take {
    ($message:ident, $key:ident, $value:ident: $($field:ident)*) => {
        match $key {
            $(stringify!($field) => { $message.$field = $value; true })*
            _ => false,
        }
    };
}

fn cpu(read: Read) -> Result<CpuStat> {
    let mut stat = CpuStat { psi: psi(read, "cpu.pressure")?, ..CpuStat::default() };
    for (key, value) in parse::pairs(&read("cpu.stat")?.unwrap_or_default()) {
        take!(stat, key, value:
            usage_usec user_usec system_usec nr_periods nr_throttled throttled_usec nr_bursts burst_usec);
    }
    Ok(stat)
}

fn memory(read: Read) -> Result<MemoryStat> {
    let stat = memory_stat(&read("memory.stat")?.unwrap_or_default());
    Ok(MemoryStat {
        usage: value(read, "memory.current")?,
        usage_limit: value(read, "memory.max")?,
        // The peaks: since Linux 5.19 and 6.5.
        max_usage: value(read, "memory.peak")?,
        swap_usage: value(read, "memory.swap.current")?,
        swap_limit: value(read, "memory.swap.max")?,
        swap_max_usage: value(read, "memory.swap.peak")?,
        ..stat
    })
}

fn memory_stat(text: &str) -> MemoryStat {
    let mut stat = MemoryStat::default();
    for (key, value) in parse::pairs(text) {
        let taken = take!(stat, key, value:
            anon file kernel_stack slab sock shmem file_mapped file_dirty file_writeback anon_thp inactive_anon active_anon
            inactive_file active_file unevictable slab_reclaimable slab_unreclaimable pgfault pgmajfault workingset_refault
            workingset_activate workingset_nodereclaim pgrefill pgscan pgsteal pgactivate pgdeactivate pglazyfree pglazyfreed
            thp_fault_alloc thp_collapse_alloc);
        if taken {
            continue;
        }
        // One counter each before Linux 5.9.
        let sum = match key {
            "workingset_refault_anon" | "workingset_refault_file" => &mut stat.workingset_refault,
            "workingset_activate_anon" | "workingset_activate_file" => &mut stat.workingset_activate,
            _ => continue,
        };
        *sum = sum.saturating_add(value);
    }
    stat
}

fn memory_events(text: &str) -> MemoryEvents {
    let mut events = MemoryEvents::default();
    for (key, value) in parse::pairs(text) {
        take!(events, key, value: low high max oom oom_kill oom_group_kill);
    }
    events
}

/// `None` too if the kernel counts no pressure (`psi=0`).
fn psi(read: Read, file: &str) -> Result<Option<PsiStats>> {
    let Some(text) = read(file)? else { return Ok(None) };
    let psi = parse::psi(&text);
    let line = |name: &str, line: dunnage::cgroup::stats::Pressure| {
        let there = text.lines().any(|text| text.split(' ').next() == Some(name));
        let data = PsiData { avg10: line.avg10, avg60: line.avg60, avg300: line.avg300, total: line.total };
        there.then_some(data)
    };
    Ok(Some(PsiStats { some: line("some", psi.some), full: line("full", psi.full) }))
}

/// Lines of `8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`. Some kernels put the name of a device that has nothing to
/// tell in front of the next one's.
fn io(text: &str) -> Vec<IoEntry> {
    let mut entries: Vec<IoEntry> = Vec::new();
    for line in text.lines() {
        let mut entry = None;
        for word in line.split_ascii_whitespace() {
            if let Some((major, minor)) = parse::device(word) {
                entry = Some(IoEntry { major, minor, ..IoEntry::default() });
            } else if let Some(entry) = entry.as_mut()
                && let Some((key, value)) = word.split_once('=')
                && let Some(value) = parse::number(value)
            {
                take!(entry, key, value: rbytes wbytes rios wios);
            }
        }
        let named = line.contains('=');
        entries.extend(entry.filter(|_| named));
    }
    entries
}

/// What is in use, as containerd has it: `rsvd`, which runc reads, is what was reserved.
fn hugetlb(read: Read, size: &str) -> Result<HugeTlbStat> {
    let file = |what| format!("hugetlb.{size}.{what}");
    Ok(HugeTlbStat {
        current: value(read, &file("current"))?,
        max: value(read, &file("max"))?,
        failcnt: parse::value_of(&read(&file("events"))?.unwrap_or_default(), "max"),
        pagesize: size.into(),
    })
}
