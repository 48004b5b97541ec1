//! Settings of cgroup v1: the specification was written for it, so most values go as they are.

use super::{Missing, Setting, given, hugetlb, is_word, pids_max, rdma, set};
use crate::error::{Error, Result};
use crate::spec::{BlockIo, Cpu, Memory, Network, Resources};

pub(super) fn settings(out: &mut Vec<Setting>, r: &Resources) -> Result<()> {
    if !r.unified.is_empty() {
        return Err(
            Error::new("invalid configuration: cannot use unified on cgroup v1").field("/linux/resources/unified")
        );
    }
    if let Some(c) = &r.cpu {
        cpuset(out, c);
    }
    if let Some(m) = &r.memory {
        memory(out, m)?;
    }
    if let Some(c) = &r.cpu {
        cpu(out, c);
    }
    if let Some(limit) = r.pids.as_ref().and_then(|p| p.limit) {
        out.push(set("pids.max", pids_max(limit), "/linux/resources/pids/limit"));
    }
    if let Some(b) = &r.block_io {
        block_io(out, b);
    }
    hugetlb(out, &r.hugepage_limits, "limit_in_bytes")?;
    if let Some(n) = &r.network {
        network(out, n)?;
    }
    rdma(out, &r.rdma)
}

fn cpuset(out: &mut Vec<Setting>, c: &Cpu) {
    for (file, value, field) in
        [("cpuset.cpus", &c.cpus, "/linux/resources/cpu/cpus"), ("cpuset.mems", &c.mems, "/linux/resources/cpu/mems")]
    {
        if !value.is_empty() {
            // A cpuset without CPUs or nodes takes no process (ENOSPC).
            out.push(Setting { before_join: true, ..set(file, value, field) });
        }
    }
}

fn memory(out: &mut Vec<Setting>, m: &Memory) -> Result<()> {
    let limit = m.limit.unwrap_or(0);
    if limit != 0 {
        // memory.limit <= memory.memsw.limit holds at all times, so an increase must wait for the other.
        out.push(Setting { retry: true, ..set("memory.limit_in_bytes", limit, "/linux/resources/memory/limit") });
    }
    match m.swap.unwrap_or(0) {
        // Unlimited memory means unlimited swap, if swap is counted at all.
        0 if limit == -1 => {
            out.push(Setting {
                missing: Missing::Ignore,
                ..set("memory.memsw.limit_in_bytes", -1, "/linux/resources/memory/limit")
            });
        }
        0 => {}
        swap => out.push(set("memory.memsw.limit_in_bytes", swap, "/linux/resources/memory/swap")),
    }
    if let Some(reservation) = given(m.reservation) {
        out.push(set("memory.soft_limit_in_bytes", reservation, "/linux/resources/memory/reservation"));
    }
    if m.disable_oom_killer == Some(true) {
        out.push(set("memory.oom_control", 1, "/linux/resources/memory/disableOOMKiller"));
    }
    match m.swappiness {
        // -1 as callers in C and Go wrote it.
        None | Some(u64::MAX) => {}
        Some(value @ ..=100) => out.push(set("memory.swappiness", value, "/linux/resources/memory/swappiness")),
        Some(value) => {
            return Err(Error::new(format!("invalid memory swappiness value: {value} (valid range is 0-100)"))
                .field("/linux/resources/memory/swappiness"));
        }
    }
    Ok(())
}

fn cpu(out: &mut Vec<Setting>, c: &Cpu) {
    if let Some(shares @ 1..) = c.shares {
        // An idle cgroup takes none; one that ceases to be idle takes them only then.
        let setting = set("cpu.shares", shares, "/linux/resources/cpu/shares");
        out.push(Setting { read_back: true, retry: c.idle.is_some(), ..setting });
    }
    // The kernel checks quota/period (and burst) against the parent's at each write; between old and new values that can
    // fail where the pair would not.
    if let Some(period @ 1..) = c.period {
        out.push(Setting { retry: true, ..set("cpu.cfs_period_us", period, "/linux/resources/cpu/period") });
    }
    if let Some(burst) = c.burst {
        // Linux 5.14; an older kernel only lacks the bonus.
        let setting = set("cpu.cfs_burst_us", burst, "/linux/resources/cpu/burst");
        out.push(Setting { retry: true, missing: Missing::Ignore, ..setting });
    }
    if let Some(quota) = given(c.quota) {
        out.push(set("cpu.cfs_quota_us", quota, "/linux/resources/cpu/quota"));
    }
    if let Some(idle) = c.idle {
        out.push(set("cpu.idle", idle, "/linux/resources/cpu/idle"));
    }
    if let Some(period @ 1..) = c.realtime_period {
        let setting = set("cpu.rt_period_us", period, "/linux/resources/cpu/realtimePeriod");
        out.push(Setting { retry: true, before_join: true, ..setting });
    }
    if let Some(runtime) = given(c.realtime_runtime) {
        let setting = set("cpu.rt_runtime_us", runtime, "/linux/resources/cpu/realtimeRuntime");
        out.push(Setting { before_join: true, ..setting });
    }
}

fn block_io(out: &mut Vec<Setting>, b: &BlockIo) {
    if let Some(weight @ 1..) = b.weight {
        out.push(Setting {
            missing: Missing::Instead { file: "blkio.weight", value: weight.to_string() },
            ..set("blkio.bfq.weight", weight, "/linux/resources/blockIO/weight")
        });
    }
    if let Some(weight @ 1..) = b.leaf_weight {
        out.push(set("blkio.leaf_weight", weight, "/linux/resources/blockIO/leafWeight"));
    }
    for (i, d) in b.weight_device.iter().enumerate() {
        let field = format!("/linux/resources/blockIO/weightDevice/{i}");
        if let Some(weight @ 1..) = d.weight {
            let value = format!("{}:{} {weight}", d.major, d.minor);
            let setting = set("blkio.bfq.weight_device", &value, field.clone());
            out.push(Setting { missing: Missing::Instead { file: "blkio.weight_device", value }, ..setting });
        }
        if let Some(weight @ 1..) = d.leaf_weight {
            out.push(set("blkio.leaf_weight_device", format!("{}:{} {weight}", d.major, d.minor), field));
        }
    }
    for (file, devices, field) in [
        ("blkio.throttle.read_bps_device", &b.throttle_read_bps_device, "throttleReadBpsDevice"),
        ("blkio.throttle.write_bps_device", &b.throttle_write_bps_device, "throttleWriteBpsDevice"),
        ("blkio.throttle.read_iops_device", &b.throttle_read_iops_device, "throttleReadIOPSDevice"),
        ("blkio.throttle.write_iops_device", &b.throttle_write_iops_device, "throttleWriteIOPSDevice"),
    ] {
        for (i, d) in devices.iter().enumerate() {
            let field = format!("/linux/resources/blockIO/{field}/{i}");
            out.push(set(file, format!("{}:{} {}", d.major, d.minor, d.rate), field));
        }
    }
}

fn network(out: &mut Vec<Setting>, n: &Network) -> Result<()> {
    if let Some(class @ 1..) = n.class_id {
        out.push(set("net_cls.classid", class, "/linux/resources/network/classID"));
    }
    for (i, p) in n.priorities.iter().enumerate() {
        let field = format!("/linux/resources/network/priorities/{i}");
        if !is_word(&p.name) {
            return Err(Error::new(format!("invalid network interface name {:?}", p.name)).field(field));
        }
        out.push(set("net_prio.ifpriomap", format!("{} {}", p.name, p.priority), field));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::lines;
    use crate::cgroup::host::Version::V1;

    #[test]
    fn every_resource() {
        let table: &[(&str, &[&str])] = &[
            (r#"{"memory":{"limit":536870912}}"#, &["memory.limit_in_bytes=536870912 (retry)"]),
            (
                r#"{"memory":{"limit":-1}}"#,
                &["memory.limit_in_bytes=-1 (retry)", "memory.memsw.limit_in_bytes=-1 (optional)"],
            ),
            (
                r#"{"memory":{"limit":10,"swap":30,"reservation":5,"disableOOMKiller":true,"swappiness":0}}"#,
                &[
                    "memory.limit_in_bytes=10 (retry)",
                    "memory.memsw.limit_in_bytes=30",
                    "memory.soft_limit_in_bytes=5",
                    "memory.oom_control=1",
                    "memory.swappiness=0",
                ],
            ),
            (r#"{"memory":{"disableOOMKiller":false,"swappiness":18446744073709551615}}"#, &[]),
            (
                r#"{"memory":{"swappiness":101}}"#,
                &["invalid memory swappiness value: 101 (valid range is 0-100) (config.json \
                   /linux/resources/memory/swappiness)"],
            ),
            (
                r#"{"cpu":{"shares":1024,"quota":50000,"period":100000,"burst":0,"idle":1,"cpus":"0-1","mems":"0"}}"#,
                &[
                    "cpuset.cpus=0-1 (early)",
                    "cpuset.mems=0 (early)",
                    "cpu.shares=1024 (retry) (read back)",
                    "cpu.cfs_period_us=100000 (retry)",
                    "cpu.cfs_burst_us=0 (optional) (retry)",
                    "cpu.cfs_quota_us=50000",
                    "cpu.idle=1",
                ],
            ),
            (r#"{"cpu":{"shares":1024}}"#, &["cpu.shares=1024 (read back)"]),
            (
                r#"{"cpu":{"realtimeRuntime":950000,"realtimePeriod":1000000}}"#,
                &["cpu.rt_period_us=1000000 (retry) (early)", "cpu.rt_runtime_us=950000 (early)"],
            ),
            (r#"{"cpu":{"quota":-1}}"#, &["cpu.cfs_quota_us=-1"]),
            (r#"{"pids":{"limit":0}}"#, &["pids.max=1"]),
            (r#"{"pids":{"limit":-5}}"#, &["pids.max=max"]),
            (r#"{"pids":{"limit":32771}}"#, &["pids.max=32771"]),
            (
                r#"{"blockIO":{"weight":500,"leafWeight":300,
                    "weightDevice":[{"major":8,"minor":0,"weight":500,"leafWeight":300},{"major":8,"minor":16,"weight":50}],
                    "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600}],
                    "throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":601}],
                    "throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":602}],
                    "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":300}]}}"#,
                &[
                    "blkio.bfq.weight=500 (or blkio.weight=500)",
                    "blkio.leaf_weight=300",
                    "blkio.bfq.weight_device=8:0 500 (or blkio.weight_device=8:0 500)",
                    "blkio.leaf_weight_device=8:0 300",
                    "blkio.bfq.weight_device=8:16 50 (or blkio.weight_device=8:16 50)",
                    "blkio.throttle.read_bps_device=8:0 600",
                    "blkio.throttle.write_bps_device=8:0 601",
                    "blkio.throttle.read_iops_device=8:0 602",
                    "blkio.throttle.write_iops_device=8:16 300",
                ],
            ),
            (
                r#"{"hugepageLimits":[{"pageSize":"2MB","limit":18446744073709551615}]}"#,
                &[
                    "hugetlb.2MB.limit_in_bytes=18446744073709551615",
                    "hugetlb.2MB.rsvd.limit_in_bytes=18446744073709551615 (optional)",
                ],
            ),
            (
                r#"{"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":500},{"name":"lo","priority":0}]}}"#,
                &["net_cls.classid=1048577", "net_prio.ifpriomap=eth0 500", "net_prio.ifpriomap=lo 0"],
            ),
            (
                r#"{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000},"rxe3":{"hcaObjects":7}}}"#,
                &["rdma.max=mlx5_1 hca_handle=3 hca_object=10000", "rdma.max=rxe3 hca_object=7"],
            ),
            (
                r#"{"unified":{"memory.high":"1"}}"#,
                &["invalid configuration: cannot use unified on cgroup v1 (config.json /linux/resources/unified)"],
            ),
        ];
        for (json, expected) in table {
            assert_eq!(lines(V1, json), *expected, "{json}");
        }
    }
}
