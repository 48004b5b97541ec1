//! Files as kernels write them -> the JSON that readers get.

use serde_json::{Value, json};

use super::*;

const SIZES: fn() -> Vec<String> = || vec!["2MB".into(), "1GB".into()];

/// A cgroup of the files given.
fn reader<'a>(files: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Result<Option<String>> + 'a {
    move |file| Ok(files.iter().find(|(name, _)| *name == file).map(|(_, text)| (*text).to_owned()))
}

fn json_v1(controllers: &[&str], files: &[(&str, &str)]) -> Value {
    let mut stats = Stats::default();
    for controller in controllers {
        assert!(v1::counts(controller), "{controller}");
        v1::add(&mut stats, controller, &reader(files), SIZES).unwrap();
    }
    serde_json::to_value(stats).unwrap()
}

fn json_v2(files: &[(&str, &str)]) -> Value {
    serde_json::to_value(v2::stats(&reader(files), SIZES).unwrap()).unwrap()
}

/// What go-runc and others take for granted, of a cgroup of which nothing is known.
fn nothing() -> Value {
    json!({
        "cpu": {},
        "cpuset": {
            "cpu_exclusive": 0, "mem_hardwall": 0, "mem_exclusive": 0, "memory_migrate": 0, "memory_spread_page": 0,
            "memory_spread_slab": 0, "memory_pressure": 0, "sched_load_balance": 0, "sched_relax_domain_level": 0
        },
        "memory": {}, "pids": {}, "blkio": {}, "hugetlb": {}, "intel_rdt": {}, "network_interfaces": null
    })
}

#[test]
fn of_nothing_the_shape_is_left() {
    assert_eq!(json_v2(&[]), nothing());
    let all = ["cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "hugetlb", "rdma", "misc"];
    assert_eq!(json_v1(&all, &[]), nothing());
    for other in ["", "devices", "freezer", "net_cls", "perf_event", "name=systemd"] {
        assert!(!v1::counts(other), "{other}");
    }
}

#[test]
fn everything_of_v2() {
    let stats = json_v2(&[
        ("cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n"),
        (
            "cpu.stat",
            "usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\ncore_sched.force_idle_usec 0\nnr_periods 10\n\
             nr_throttled 4\nthrottled_usec 70\nnr_bursts 0\nburst_usec 0\n",
        ),
        (
            "cpu.pressure",
            "some avg10=1.50 avg60=0.25 avg300=0.00 total=12\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
        ),
        ("memory.stat", "anon 4096\nfile 8192\nkernel 100\nsock 0\nworkingset_refault_anon 7\n"),
        ("memory.current", "16384\n"),
        ("memory.max", "1048576\n"),
        ("memory.peak", "32768\n"),
        ("memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n"),
        ("memory.swap.current", "1000\n"),
        ("memory.swap.max", "2000\n"),
        ("memory.swap.peak", "1500\n"),
        ("memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"),
        ("pids.current", "3\n"),
        ("pids.max", "100\n"),
        (
            "io.stat",
            "253:0 8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=4096 dios=1\n\
             8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=0 dios=0 cost.usage=3 depth=max\n",
        ),
        (
            "io.pressure",
            "some avg10=0.00 avg60=0.00 avg300=0.10 total=8\nfull avg10=0.00 avg60=0.00 avg300=0.09 total=6\n",
        ),
        ("hugetlb.2MB.current", "2097152\n"),
        ("hugetlb.2MB.rsvd.current", "4194304\n"),
        ("hugetlb.2MB.events", "max 6\n"),
        ("hugetlb.1GB.current", "0\n"),
        ("hugetlb.1GB.events", "max 0\n"),
        ("rdma.current", "mlx4_0 hca_handle=1 hca_object=20\n"),
        ("rdma.max", "mlx4_0 hca_handle=2 hca_object=max\n"),
        ("misc.current", "res_a 3\nres_b 0\n"),
        ("misc.events", "res_a.max 5\nres_b.max 0\n"),
    ]);
    let mut wanted = nothing();
    wanted["cpu"] = json!({
        "usage": {"total": 5_000_000, "kernel": 2_000_000, "user": 3_000_000},
        "throttling": {"periods": 10, "throttledPeriods": 4, "throttledTime": 70_000},
        "psi": {"some": {"avg10": 1.5, "avg60": 0.25, "avg300": 0.0, "total": 12},
                "full": {"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 3}}
    });
    wanted["memory"] = json!({
        "cache": 8192,
        "usage": {"limit": 1_048_576, "usage": 16384, "max": 32768, "failcnt": 9},
        "swap": {"limit": 1_050_576, "usage": 17384, "failcnt": 0},
        "raw": {"anon": 4096, "file": 8192, "kernel": 100, "sock": 0, "workingset_refault_anon": 7},
        "psi": {"some": {"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 5},
                "full": {"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 0}}
    });
    wanted["pids"] = json!({"current": 3, "limit": 100});
    wanted["blkio"] = json!({
        "ioServiceBytesRecursive": [
            {"major": 8, "minor": 16, "op": "Read", "value": 1_459_200},
            {"major": 8, "minor": 16, "op": "Write", "value": 314_773_504},
            {"major": 8, "minor": 16, "op": "Discard", "value": 4096},
            {"major": 8, "op": "Read", "value": 90_430_464},
            {"major": 8, "op": "Write", "value": 299_008_000},
            {"major": 8, "op": "Discard"}],
        "ioServicedRecursive": [
            {"major": 8, "minor": 16, "op": "Read", "value": 192},
            {"major": 8, "minor": 16, "op": "Write", "value": 353},
            {"major": 8, "minor": 16, "op": "Discard", "value": 1},
            {"major": 8, "op": "Read", "value": 8950},
            {"major": 8, "op": "Write", "value": 1252},
            {"major": 8, "op": "Discard"}],
        "psi": {"some": {"avg10": 0.0, "avg60": 0.0, "avg300": 0.1, "total": 8},
                "full": {"avg10": 0.0, "avg60": 0.0, "avg300": 0.09, "total": 6}}
    });
    wanted["hugetlb"] = json!({"2MB": {"usage": 4_194_304, "failcnt": 6}, "1GB": {"failcnt": 0}});
    wanted["rdma"] = json!({
        "limit": [{"device": "mlx4_0", "hca_handles": 2, "hca_objects": u32::MAX}],
        "current": [{"device": "mlx4_0", "hca_handles": 1, "hca_objects": 20}]
    });
    wanted["misc"] = json!({"res_a": {"usage": 3, "events": 5}, "res_b": {"usage": 0, "events": 0}});
    assert_eq!(stats, wanted);
}

/// Limits that are none, in every combination; nothing wraps round.
#[test]
fn limits_of_v2() {
    for (memory, swap, limit, with_swap) in [
        ("max\n", "max\n", u64::MAX, u64::MAX),
        ("max\n", "0\n", u64::MAX, u64::MAX),
        ("max\n", "4096\n", u64::MAX, u64::MAX),
        ("8192\n", "max\n", 8192, u64::MAX),
        ("8192\n", "4096\n", 8192, 12288),
        ("8192\n", "0\n", 8192, 8192),
    ] {
        let files = [
            ("cgroup.controllers", "memory pids\n"),
            ("memory.max", memory),
            ("memory.swap.max", swap),
            ("memory.current", "5\n"),
            ("pids.max", "max\n"),
        ];
        let stats = json_v2(&files);
        assert_eq!(stats["memory"]["usage"]["limit"], limit, "{memory} {swap}");
        assert_eq!(stats["memory"]["swap"], json!({"limit": with_swap, "usage": 5, "failcnt": 0}), "{memory} {swap}");
        assert_eq!(stats["pids"], json!({}));
    }
    // A kernel that does not count swap.
    let stats = json_v2(&[("cgroup.controllers", "memory\n"), ("memory.max", "8192\n"), ("memory.current", "5\n")]);
    assert_eq!(stats["memory"]["swap"], json!({"limit": 8192, "usage": 5, "failcnt": 0}));
}

/// The files of a controller that was disabled are not read, even if there are any: a directory of that name is the
/// container's.
#[test]
fn disabled_controllers_of_v2() {
    let stats = json_v2(&[
        ("cgroup.controllers", "cpu\n"),
        ("cpu.stat", "usage_usec 1\nuser_usec 1\nsystem_usec 0\n"),
        ("memory.current", "1\n"),
        ("pids.current", "1\n"),
        ("io.stat", "8:0 rbytes=1\n"),
        ("hugetlb.2MB.current", "1\n"),
        ("rdma.current", "mlx4_0 hca_handle=1 hca_object=20\n"),
        ("misc.current", "res_a 3\n"),
    ]);
    let mut wanted = nothing();
    wanted["cpu"] = json!({"usage": {"total": 1000, "kernel": 0, "user": 1000}});
    assert_eq!(stats, wanted);
}

#[test]
fn everything_of_v1() {
    let all = ["cpu", "cpuacct", "cpuset", "memory", "pids", "hugetlb", "rdma", "misc"];
    let stats = json_v1(
        &all,
        &[
            (
                "cpu.stat",
                "nr_periods 10\nnr_throttled 4\nthrottled_time 70000\nnr_bursts 0\nburst_time 0\nwait_sum 1\n",
            ),
            ("cpuacct.stat", "user 12\nsystem 3\n"),
            ("cpuacct.usage", "150000001\n"),
            ("cpuacct.usage_percpu", "100000000 50000001 \n"),
            ("cpuacct.usage_all", "cpu user system\n0 80000000 20000000\n1 50000001 0\n"),
            ("cpuset.cpus", "0-2,5\n"),
            ("cpuset.mems", "0\n"),
            ("cpuset.cpu_exclusive", "1\n"),
            ("cpuset.mem_hardwall", "2\n"),
            ("cpuset.mem_exclusive", "3\n"),
            ("cpuset.memory_migrate", "4\n"),
            ("cpuset.memory_spread_page", "5\n"),
            ("cpuset.memory_spread_slab", "6\n"),
            ("cpuset.memory_pressure", "7\n"),
            ("cpuset.sched_load_balance", "8\n"),
            ("cpuset.sched_relax_domain_level", "-1\n"),
            ("memory.stat", "cache 512\nrss 1024\nhierarchical_memory_limit 9223372036854771712\n"),
            ("memory.usage_in_bytes", "2048\n"),
            ("memory.max_usage_in_bytes", "4096\n"),
            ("memory.failcnt", "3\n"),
            ("memory.limit_in_bytes", "8192\n"),
            ("memory.memsw.usage_in_bytes", "2049\n"),
            ("memory.memsw.max_usage_in_bytes", "4097\n"),
            ("memory.memsw.failcnt", "0\n"),
            ("memory.memsw.limit_in_bytes", "9223372036854771712\n"),
            ("memory.kmem.tcp.usage_in_bytes", "0\n"),
            ("memory.kmem.tcp.limit_in_bytes", "9223372036854771712\n"),
            ("pids.current", "2\n"),
            ("pids.max", "max\n"),
            ("hugetlb.2MB.rsvd.usage_in_bytes", "4194304\n"),
            ("hugetlb.2MB.rsvd.max_usage_in_bytes", "6291456\n"),
            ("hugetlb.2MB.rsvd.failcnt", "1\n"),
            ("hugetlb.1GB.usage_in_bytes", "0\n"),
            ("hugetlb.1GB.failcnt", "2\n"),
            ("rdma.current", "mlx4_0 hca_handle=1 hca_object=20\n"),
            ("misc.current", "sev 1\n"),
        ],
    );
    let mut wanted = nothing();
    wanted["cpu"] = json!({
        "usage": {"total": 150_000_001, "percpu": [100_000_000, 50_000_001], "percpu_kernel": [20_000_000, 0],
                  "percpu_user": [80_000_000, 50_000_001], "kernel": 30_000_000, "user": 120_000_000},
        "throttling": {"periods": 10, "throttledPeriods": 4, "throttledTime": 70_000}
    });
    wanted["cpuset"] = json!({
        "cpus": [0, 1, 2, 5], "cpu_exclusive": 1, "mems": [0], "mem_hardwall": 2, "mem_exclusive": 3, "memory_migrate": 4,
        "memory_spread_page": 5, "memory_spread_slab": 6, "memory_pressure": 7, "sched_load_balance": 8,
        "sched_relax_domain_level": -1
    });
    wanted["memory"] = json!({
        "cache": 512,
        "usage": {"limit": 8192, "usage": 2048, "max": 4096, "failcnt": 3},
        "swap": {"limit": 9_223_372_036_854_771_712_u64, "usage": 2049, "max": 4097, "failcnt": 0},
        "kernelTCP": {"limit": 9_223_372_036_854_771_712_u64, "failcnt": 0},
        "raw": {"cache": 512, "rss": 1024, "hierarchical_memory_limit": 9_223_372_036_854_771_712_u64}
    });
    wanted["pids"] = json!({"current": 2});
    wanted["hugetlb"] = json!({"2MB": {"usage": 4_194_304, "max": 6_291_456, "failcnt": 1}, "1GB": {"failcnt": 2}});
    wanted["rdma"] = json!({"current": [{"device": "mlx4_0", "hca_handles": 1, "hca_objects": 20}]});
    wanted["misc"] = json!({"sev": {"usage": 1, "events": 0}});
    assert_eq!(stats, wanted);
}

/// Who counts: the scheduler of the device, or the throttling layer, with or without the cgroups below.
#[test]
fn disks_of_v1() {
    let files = [
        ("blkio.bfq.io_serviced_recursive", "8:16 Read 9\n8:16 Total 9\nTotal 9\n"),
        ("blkio.bfq.io_service_bytes_recursive", "8:16 Write 4096\nTotal 4096\n"),
        ("blkio.bfq.io_queued_recursive", "8:16 Sync 1\n"),
        ("blkio.bfq.io_service_time_recursive", "8:16 Async 2\n"),
        ("blkio.bfq.io_wait_time_recursive", "8:16 Read 3\n"),
        ("blkio.bfq.io_merged_recursive", "8:16 Read 4\n"),
        ("blkio.bfq.time_recursive", "8:16 5\n"),
        ("blkio.bfq.sectors_recursive", "8:16 6\n"),
        ("blkio.io_serviced_recursive", "8:0 Read 10\nTotal 10\n"),
        ("blkio.io_service_bytes_recursive", "8:0 Read 11\nTotal 11\n"),
        ("blkio.throttle.io_serviced_recursive", "8:0 Read 12\nTotal 12\n"),
        ("blkio.throttle.io_service_bytes_recursive", "8:0 Discard 13\nTotal 13\n"),
        ("blkio.throttle.io_serviced", "8:0 Read 14\nTotal 14\n"),
        ("blkio.throttle.io_service_bytes", "8:0 Read 15\nTotal 15\n"),
    ];
    let entry = |op, value| json!([{"major": 8, "op": op, "value": value}]);
    let of = |op, value| json!([{"major": 8, "minor": 16, "op": op, "value": value}]);
    let without = |value| json!([{"major": 8, "minor": 16, "value": value}]);
    let bfq = json!({
        "ioServicedRecursive": [{"major": 8, "minor": 16, "op": "Read", "value": 9},
                                {"major": 8, "minor": 16, "op": "Total", "value": 9}],
        "ioServiceBytesRecursive": of("Write", 4096), "ioQueueRecursive": of("Sync", 1),
        "ioServiceTimeRecursive": of("Async", 2), "ioWaitTimeRecursive": of("Read", 3), "ioMergedRecursive": of("Read", 4),
        "ioTimeRecursive": without(5), "sectorsRecursive": without(6)
    });
    let two = |serviced, op, bytes| json!({"ioServicedRecursive": entry("Read", serviced), "ioServiceBytesRecursive": entry(op, bytes)});
    let wanted =
        [(0, bfq), (8, two(10, "Read", 11)), (10, two(12, "Discard", 13)), (12, two(14, "Read", 15)), (14, json!({}))];
    for (missing, blkio) in wanted {
        assert_eq!(json_v1(&["blkio"], &files[missing..])["blkio"], blkio, "without the first {missing}");
    }
    // A device that has done nothing does not make its scheduler the one who counts.
    let idle = [("blkio.bfq.io_serviced_recursive", "Total 0\n"), files[12], files[13]];
    assert_eq!(json_v1(&["blkio"], &idle)["blkio"], two(14, "Read", 15));
}

#[test]
fn sizes_of_pages() {
    for (directory, name) in [
        ("hugepages-2048kB", Some("2MB")),
        ("hugepages-1048576kB", Some("1GB")),
        ("hugepages-16777216kB", Some("16GB")),
        ("hugepages-64kB", Some("64KB")),
        ("hugepages-0kB", None),
        ("hugepages--1kB", None),
        ("nr_hugepages", None),
    ] {
        assert_eq!(parse::huge_page_size(directory).as_deref(), name, "{directory}");
    }
}

#[test]
fn numbers_that_are_none() {
    for text in ["", "\n", "-1\n", "1.5\n", "99999999999999999999999\n", "0x10\n", "1 2\n"] {
        assert_eq!(parse::number(text), None, "{text:?}");
    }
    let psi = parse::psi("some avg10=inf avg60=NaN avg300=-0.5 total=-1\nfull\n\nnone avg10=1\nfull avg10\n");
    assert_eq!((psi.some.avg10, psi.some.avg60, psi.some.avg300, psi.some.total), (0.0, 0.0, -0.5, 0));
    assert_eq!(psi.full, Pressure::default());
    assert_eq!(parse::list("3-1,-,a,4-x,65536,7\n"), [7]);
}

proptest::proptest! {
    /// Every file has some text: there is always a document, and it is JSON.
    #[test]
    fn any_text(text in "([a-z0-9_.:=-]{0,8}|max|full|some| |\n|18446744073709551615|0-65535|8:0|avg10=1e999|\\PC){0,30}") {
        let read = |file: &str| Ok(Some(match file {
            "cgroup.controllers" => "memory pids io hugetlb rdma misc".to_owned(),
            _ => text.clone(),
        }));
        let mut all = v2::stats(&read, SIZES).unwrap();
        serde_json::to_string(&all).unwrap();
        for controller in ["cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "hugetlb", "rdma", "misc"] {
            v1::add(&mut all, controller, &read, SIZES).unwrap();
        }
        serde_json::to_string(&all).unwrap();
    }
}
