//! Settings of cgroup v2: the specification's units are v1's, so most values are converted (runc-compatible, because
//! monitoring compares them between nodes).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{Missing, Setting, given, hugetlb, pids_max, pointer_part, rdma, set};
use crate::error::{Error, Result};
use crate::spec::{BlockIo, Cpu, Memory, Resources};

/// What the kernel takes as the period of `cpu.max`, in microseconds (tg_set_bandwidth in kernel/sched/core.c).
const PERIODS: RangeInclusive<u64> = 1_000..=1_000_000;
/// The kernel's default for `cpu.max`, in microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

pub(super) fn settings(out: &mut Vec<Setting>, r: &Resources) -> Result<()> {
    if let Some(limit) = r.pids.as_ref().and_then(|p| p.limit) {
        out.push(set("pids.max", pids_max(limit), "/linux/resources/pids/limit"));
    }
    if let Some(m) = &r.memory {
        memory(out, m)?;
    }
    if let Some(b) = &r.block_io {
        block_io(out, b);
    }
    if let Some(c) = &r.cpu {
        cpu(out, c);
        for (file, value, field) in [
            ("cpuset.cpus", &c.cpus, "/linux/resources/cpu/cpus"),
            ("cpuset.mems", &c.mems, "/linux/resources/cpu/mems"),
        ] {
            if !value.is_empty() {
                out.push(set(file, value, field));
            }
        }
    }
    hugetlb(out, &r.hugepage_limits, "max")?;
    rdma(out, &r.rdma)?;
    unified(out, &r.unified)
}

/// What must be above `memory.current` before anything is written; the kernel would reclaim and kill instead of refusing.
pub(super) fn above_usage(r: &Resources) -> Option<(i64, i64)> {
    let m = r.memory.as_ref().filter(|m| m.check_before_update == Some(true))?;
    let limits = (m.limit.unwrap_or(0), m.swap.unwrap_or(0));
    (limits.0 > 0 || limits.1 > 0).then_some(limits)
}

fn max_or(n: i64) -> String {
    if n == -1 { "max".into() } else { n.to_string() }
}

fn memory(out: &mut Vec<Setting>, m: &Memory) -> Result<()> {
    let limit = m.limit.unwrap_or(0);
    let total = m.swap.unwrap_or(0);
    let refuse = |what: &str| Err(Error::new(what).field("/linux/resources/memory/swap"));
    // `memory.swap` of the specification is memory + swap; `memory.swap.max` is swap alone.
    let swap = match (limit, total) {
        (-1, 0) | (_, -1) => Some(-1),
        (_, 0) => None,
        (-1, total) => Some(total),
        (0, _) => return refuse("unable to set swap limit without memory limit"),
        (limit, total) if total < limit => return refuse("memory+swap limit should be >= memory limit"),
        (limit, total) => Some(total.saturating_sub(limit)),
    };
    // Swap first: with the new memory limit and the old swap limit the kernel might push out more than is allowed.
    if let Some(swap) = swap {
        // Without swap accounting there is no file; 0 and -1 ask for nothing then.
        let missing = if matches!(swap, 0 | -1) { Missing::Ignore } else { Missing::Error };
        out.push(Setting { missing, ..set("memory.swap.max", max_or(swap), "/linux/resources/memory/swap") });
    }
    if limit != 0 {
        out.push(set("memory.max", max_or(limit), "/linux/resources/memory/limit"));
    }
    if let Some(reservation) = given(m.reservation) {
        out.push(set("memory.low", max_or(reservation), "/linux/resources/memory/reservation"));
    }
    Ok(())
}

fn block_io(out: &mut Vec<Setting>, b: &BlockIo) {
    if let Some(weight @ 1..) = b.weight {
        out.push(Setting {
            missing: Missing::Instead { file: "io.weight", value: io_weight(weight).to_string() },
            ..set("io.bfq.weight", weight, "/linux/resources/blockIO/weight")
        });
    }
    for (i, d) in b.weight_device.iter().enumerate() {
        if let Some(weight @ 1..) = d.weight {
            // Only BFQ knows weights per device (Linux 5.4); without it there is nothing that they could be converted to.
            let field = format!("/linux/resources/blockIO/weightDevice/{i}");
            out.push(Setting {
                missing: Missing::Ignore,
                ..set("io.bfq.weight", format!("{}:{} {weight}", d.major, d.minor), field)
            });
        }
    }
    for (key, devices, field) in [
        ("rbps", &b.throttle_read_bps_device, "throttleReadBpsDevice"),
        ("wbps", &b.throttle_write_bps_device, "throttleWriteBpsDevice"),
        ("riops", &b.throttle_read_iops_device, "throttleReadIOPSDevice"),
        ("wiops", &b.throttle_write_iops_device, "throttleWriteIOPSDevice"),
    ] {
        for (i, d) in devices.iter().enumerate() {
            let field = format!("/linux/resources/blockIO/{field}/{i}");
            out.push(set("io.max", format!("{}:{} {key}={}", d.major, d.minor, d.rate), field));
        }
    }
}

fn cpu(out: &mut Vec<Setting>, c: &Cpu) {
    if let Some(idle) = c.idle {
        out.push(set("cpu.idle", idle, "/linux/resources/cpu/idle"));
    }
    // The kernel refuses a weight for an idle cgroup.
    if let Some(shares @ 1..) = c.shares
        && c.idle != Some(1)
    {
        out.push(set("cpu.weight", cpu_weight(shares), "/linux/resources/cpu/shares"));
    }
    if let Some(burst) = c.burst {
        // burst <= quota holds at all times, so an increase must wait for the quota.
        out.push(Setting { retry: true, ..set("cpu.max.burst", burst, "/linux/resources/cpu/burst") });
    }
    let (quota, period) = (c.quota.unwrap_or(0), c.period.unwrap_or(0));
    if quota != 0 || period != 0 {
        let quota = if quota > 0 { quota.to_string() } else { "max".into() };
        let period = if period == 0 { DEFAULT_PERIOD } else { period };
        // One file for both: which of them the kernel refuses has to be known here.
        let of_period = c.quota.is_none() || !PERIODS.contains(&period);
        let field = if of_period { "/linux/resources/cpu/period" } else { "/linux/resources/cpu/quota" };
        out.push(set("cpu.max", format!("{quota} {period}"), field));
    }
}

fn unified(out: &mut Vec<Setting>, files: &BTreeMap<String, String>) -> Result<()> {
    for (file, content) in files {
        let field = format!("/linux/resources/unified/{}", pointer_part(file));
        let refuse = |what: &str| Err(Error::new(format!("unified resource {file:?} {what}")).field(field.clone()));
        if file.contains('/') {
            return refuse("must be a file name (no slashes)");
        }
        if !file.contains('.') || file.starts_with('.') {
            return refuse("must be in the form CONTROLLER.PARAMETER");
        }
        if matches!(file.as_str(), "cgroup.procs" | "cgroup.threads" | "cgroup.kill") {
            return refuse("can't be set: it acts on processes, of any container");
        }
        // The kernel takes one line per write.
        for line in content.lines().filter(|line| !line.trim().is_empty()) {
            out.push(set(file.clone(), line, field.clone()));
        }
    }
    Ok(())
}

/// cpu.shares (2..=262144, 1024 is normal) -> cpu.weight (1..=10000, 100 is normal): through the three pairs (2, 1), (1024,
/// 100), (262144, 10000), quadratic in the logarithm. The linear conversion of old gave 1024 a weight of 39, so that a
/// container with default shares lost against every process outside of containers.
pub(crate) fn cpu_weight(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        // At most 18 bits: exact in f64, and the result lies in 1..=10000.
        shares => {
            let l = f64::from(u32::try_from(shares).unwrap_or(u32::MAX)).log2();
            10f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0).ceil() as u64
        }
    }
}

/// blkio.weight (10..=1000) -> io.weight (1..=10000). What is not in the one range is not in the other, and refused.
fn io_weight(weight: u16) -> u32 {
    let above = u32::from(weight).checked_sub(10);
    above.map_or(0, |above| above.saturating_mul(9999).wrapping_div(990).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{compile, lines};
    use super::*;
    use crate::cgroup::host::Version::V2;

    #[test]
    fn weights() {
        for (shares, weight) in [
            (1, 1),
            (2, 1),
            (3, 2),
            (100, 17),
            (512, 59),
            (1024, 100),
            (3333, 256),
            (262_143, 10_000),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(cpu_weight(shares), weight, "{shares}");
        }
        let all: Vec<_> = (2..=262_144).map(cpu_weight).collect();
        assert!(all.is_sorted() && all.iter().all(|w| (1..=10_000).contains(w)));
        for (blkio, io) in [(10, 1), (100, 910), (500, 4950), (1000, 10_000), (5, 0), (1001, 10_010)] {
            assert_eq!(io_weight(blkio), io, "{blkio}");
        }
    }

    #[test]
    fn memory_and_swap() {
        let short = "memory+swap limit should be >= memory limit (config.json /linux/resources/memory/swap)";
        let alone = "unable to set swap limit without memory limit (config.json /linux/resources/memory/swap)";
        let table: &[(i64, i64, &[&str])] = &[
            (10, 0, &["memory.max=10"]),
            (-1, 0, &["memory.swap.max=max (optional)", "memory.max=max"]),
            (0, -1, &["memory.swap.max=max (optional)"]),
            (10, -1, &["memory.swap.max=max (optional)", "memory.max=10"]),
            (10, 10, &["memory.swap.max=0 (optional)", "memory.max=10"]),
            (10, 30, &["memory.swap.max=20", "memory.max=10"]),
            (-1, 30, &["memory.swap.max=30", "memory.max=max"]),
            (0, 30, &[alone]),
            (30, 10, &[short]),
        ];
        for (limit, swap, expected) in table {
            let json = format!(r#"{{"memory":{{"limit":{limit},"swap":{swap}}}}}"#);
            assert_eq!(lines(V2, &json), *expected, "{json}");
        }
    }

    #[test]
    fn every_resource() {
        let table: &[(&str, &[&str])] = &[
            (
                r#"{"memory":{"reservation":5,"disableOOMKiller":true,"swappiness":101,"kernel":9,"kernelTCP":9}}"#,
                &["memory.low=5"],
            ),
            (r#"{"memory":{"reservation":-1}}"#, &["memory.low=max"]),
            (
                r#"{"cpu":{"shares":1024,"quota":50000,"period":200000,"burst":1000,"idle":0,"cpus":"0-1","mems":"0",
                    "realtimeRuntime":1,"realtimePeriod":1}}"#,
                &[
                    "cpu.idle=0",
                    "cpu.weight=100",
                    "cpu.max.burst=1000 (retry)",
                    "cpu.max=50000 200000",
                    "cpuset.cpus=0-1",
                    "cpuset.mems=0",
                ],
            ),
            (r#"{"cpu":{"shares":1024,"idle":1}}"#, &["cpu.idle=1"]),
            (r#"{"cpu":{"quota":50000}}"#, &["cpu.max=50000 100000"]),
            (r#"{"cpu":{"quota":-1}}"#, &["cpu.max=max 100000"]),
            (r#"{"cpu":{"period":50000}}"#, &["cpu.max=max 50000"]),
            (r#"{"pids":{"limit":0}}"#, &["pids.max=1"]),
            (r#"{"pids":{"limit":-1}}"#, &["pids.max=max"]),
            (
                r#"{"blockIO":{"weight":500,"leafWeight":300,
                    "weightDevice":[{"major":8,"minor":0,"weight":500,"leafWeight":300}],
                    "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600}],
                    "throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":601}],
                    "throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":602}],
                    "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":300}]}}"#,
                &[
                    "io.bfq.weight=500 (or io.weight=4950)",
                    "io.bfq.weight=8:0 500 (optional)",
                    "io.max=8:0 rbps=600",
                    "io.max=8:0 wbps=601",
                    "io.max=8:0 riops=602",
                    "io.max=8:16 wiops=300",
                ],
            ),
            (
                r#"{"hugepageLimits":[{"pageSize":"2MB","limit":209715200}]}"#,
                &["hugetlb.2MB.max=209715200", "hugetlb.2MB.rsvd.max=209715200 (optional)"],
            ),
            (r#"{"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":500}]}}"#, &[]),
            (r#"{"rdma":{"mlx5_1":{"hcaHandles":3}}}"#, &["rdma.max=mlx5_1 hca_handle=3"]),
            (
                r#"{"pids":{"limit":5},"unified":{"io.max":"259:0 rbps=2097152\n253:0 wiops=120\n","memory.high":"1"}}"#,
                &["pids.max=5", "io.max=259:0 rbps=2097152", "io.max=253:0 wiops=120", "memory.high=1"],
            ),
        ];
        for (json, expected) in table {
            assert_eq!(lines(V2, json), *expected, "{json}");
        }
    }

    #[test]
    fn unified_names_are_files_of_a_controller() {
        for (key, what) in [
            ("a/b.c", "must be a file name (no slashes)"),
            ("../memory.max", "must be a file name (no slashes)"),
            ("memory", "must be in the form CONTROLLER.PARAMETER"),
            ("..", "must be in the form CONTROLLER.PARAMETER"),
            ("cgroup.procs", "can't be set: it acts on processes, of any container"),
        ] {
            let e = compile(V2, &format!(r#"{{"unified":{{"{key}":"1"}}}}"#)).unwrap_err().to_string();
            assert!(e.starts_with(&format!("unified resource {key:?} {what}")), "{e}");
        }
    }

    #[test]
    fn check_before_update() {
        let above = |memory: &str| compile(V2, &format!(r#"{{"memory":{memory}}}"#)).unwrap().above_usage;
        assert_eq!(above(r#"{"limit":10}"#), None);
        assert_eq!(above(r#"{"limit":10,"swap":20,"checkBeforeUpdate":true}"#), Some((10, 20)));
        assert_eq!(above(r#"{"limit":-1,"checkBeforeUpdate":true}"#), None);
    }
}
