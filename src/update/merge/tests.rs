//! The table of merges: what was saved, what is asked for, what is saved then, and what is written.

use super::super::super::cgroup::host::Version::{self, V1, V2};
use super::*;
use serde_json::{Value, json};

fn merged(version: Version, saved: Value, request: Value) -> Result<Merged> {
    merge(version, &serde_json::from_value(saved).unwrap(), &serde_json::from_value(request).unwrap())
}

#[test]
fn every_field() {
    // (saved, request, what is saved then, what is written); `saved` alone is what stays.
    let table = [
        (json!({"memory": 9, "pids_limit": 5}), json!({}), json!({"memory": 9, "pids_limit": 5}), json!({})),
        (json!({"memory": 9}), json!({"memory": {"limit": 0}}), json!({"memory": 9}), json!({})),
        // Memory, with the swap that depends on it.
        (
            json!({"memory": 9}),
            json!({"memory": {"limit": 7}}),
            json!({"memory": 7}),
            json!({"memory": {"limit": 7, "checkBeforeUpdate": false}}),
        ),
        (
            json!({"memory": 9, "memory_swap": 19, "memory_reservation": 4}),
            json!({"memory": {"limit": 7}}),
            json!({"memory": 7, "memory_swap": 19, "memory_reservation": 4}),
            json!({"memory": {"limit": 7, "swap": 19, "checkBeforeUpdate": false}}),
        ),
        (
            json!({"memory": 9, "memory_check_before_update": true}),
            json!({"memory": {"swap": 20}}),
            json!({"memory": 9, "memory_swap": 20, "memory_check_before_update": true}),
            json!({"memory": {"limit": 9, "swap": 20, "checkBeforeUpdate": true}}),
        ),
        (
            json!({"memory": 9, "memory_swap": 19}),
            json!({"memory": {"limit": -1}}),
            json!({"memory": -1}),
            json!({"memory": {"limit": -1, "checkBeforeUpdate": false}}),
        ),
        (
            json!({"memory": 9, "memory_swap": 19}),
            json!({"memory": {"limit": -1, "swap": 30}}),
            json!({"memory": -1, "memory_swap": 30}),
            json!({"memory": {"limit": -1, "swap": 30, "checkBeforeUpdate": false}}),
        ),
        (
            json!({"memory_reservation": 5}),
            json!({"memory": {"reservation": -1, "checkBeforeUpdate": true, "kernel": 7, "kernelTCP": 7}}),
            json!({"memory_reservation": -1, "memory_check_before_update": true}),
            json!({"memory": {"reservation": -1}}),
        ),
        // Quota and period go together.
        (
            json!({"cpu_quota": 5, "cpu_period": 10}),
            json!({"cpu": {"quota": 7}}),
            json!({"cpu_quota": 7, "cpu_period": 10}),
            json!({"cpu": {"quota": 7, "period": 10}}),
        ),
        (
            json!({"cpu_quota": 5, "cpu_period": 10}),
            json!({"cpu": {"period": 20}}),
            json!({"cpu_quota": 5, "cpu_period": 20}),
            json!({"cpu": {"quota": 5, "period": 20}}),
        ),
        (
            json!({"cpu_quota": 5, "cpu_period": 10}),
            json!({"cpu": {"quota": 0, "period": 0}}),
            json!({"cpu_quota": 5, "cpu_period": 10}),
            json!({}),
        ),
        (
            json!({"cpu_quota": 5}),
            json!({"cpu": {"quota": -1}}),
            json!({"cpu_quota": -1}),
            json!({"cpu": {"quota": -1}}),
        ),
        // systemd keeps whole percentages.
        (
            json!({"Systemd": true, "cpu_quota": 5000, "cpu_period": 10000}),
            json!({"cpu": {"quota": 5001}}),
            json!({"Systemd": true, "cpu_quota": 5100, "cpu_period": 10000}),
            json!({"cpu": {"quota": 5100, "period": 10000}}),
        ),
        (
            json!({"cpu_burst": 5, "cpu_quota": 9}),
            json!({"cpu": {"burst": 0}}),
            json!({"cpu_burst": 0, "cpu_quota": 9}),
            json!({"cpu": {"burst": 0}}),
        ),
        // Shares, and SCHED_IDLE, which has none.
        (
            json!({"cpu_shares": 512, "cpu_weight": 59}),
            json!({"cpu": {"shares": 1024}}),
            json!({"cpu_shares": 1024, "cpu_weight": 100}),
            json!({"cpu": {"shares": 1024}}),
        ),
        (json!({"cpu_shares": 512}), json!({"cpu": {"shares": 0}}), json!({"cpu_shares": 512}), json!({})),
        (
            json!({"cpu_shares": 512, "cpu_weight": 59}),
            json!({"cpu": {"idle": 1}}),
            json!({"cpu_idle": 1}),
            json!({"cpu": {"idle": 1}}),
        ),
        (
            json!({"cpu_idle": 1}),
            json!({"cpu": {"idle": 0, "shares": 1024}}),
            json!({"cpu_idle": 0, "cpu_shares": 1024, "cpu_weight": 100}),
            json!({"cpu": {"idle": 0, "shares": 1024}}),
        ),
        (
            json!({"cpu_shares": 512, "cpu_weight": 59}),
            json!({"cpu": {"idle": 0}}),
            json!({"cpu_idle": 0, "cpu_shares": 512, "cpu_weight": 59}),
            json!({"cpu": {"idle": 0}}),
        ),
        (
            json!({"cpu_rt_quota": 5, "cpu_rt_period": 10}),
            json!({"cpu": {"realtimeRuntime": 6}}),
            json!({"cpu_rt_quota": 6, "cpu_rt_period": 10}),
            json!({"cpu": {"realtimeRuntime": 6, "realtimePeriod": 10}}),
        ),
        // Sets, each for itself.
        (
            json!({"cpuset_cpus": "0-3", "cpuset_mems": "0"}),
            json!({"cpu": {"cpus": "1"}}),
            json!({"cpuset_cpus": "1", "cpuset_mems": "0"}),
            json!({"cpu": {"cpus": "1"}}),
        ),
        // Processes: zero is a limit, -1 none; what a runc before 1.4 wrote for "none" is not touched.
        (
            json!({"pids_limit": 0}),
            json!({"memory": {"reservation": 5}}),
            json!({"pids_limit": 0, "memory_reservation": 5}),
            json!({"memory": {"reservation": 5}}),
        ),
        (
            json!({"pids_limit": 7}),
            json!({"pids": {"limit": 0}}),
            json!({"pids_limit": 0}),
            json!({"pids": {"limit": 0}}),
        ),
        (
            json!({"pids_limit": 7}),
            json!({"pids": {"limit": -1}}),
            json!({"pids_limit": -1}),
            json!({"pids": {"limit": -1}}),
        ),
        (json!({"pids_limit": 7}), json!({"pids": {}}), json!({"pids_limit": 7}), json!({})),
        // Block devices, by their numbers.
        (
            json!({"blkio_weight": 10, "blkio_leaf_weight": 20}),
            json!({"blockIO": {"weight": 30}}),
            json!({"blkio_weight": 30, "blkio_leaf_weight": 20}),
            json!({"blockIO": {"weight": 30}}),
        ),
        (
            json!({"blkio_weight_device": [{"major": 8, "weight": 10, "leafWeight": 20}]}),
            json!({"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 30},
                {"major": 8, "minor": 16, "leafWeight": 40}]}}),
            json!({"blkio_weight_device": [{"major": 8, "weight": 30, "leafWeight": 20},
                {"major": 8, "minor": 16, "leafWeight": 40}]}),
            json!({"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 30},
                {"major": 8, "minor": 16, "leafWeight": 40}]}}),
        ),
        (
            json!({"blkio_throttle_read_bps_device": [{"major": 8, "rate": 1}, {"major": 9, "rate": 2}],
                "blkio_throttle_write_iops_device": [{"major": 8, "rate": 3}]}),
            json!({"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 1, "rate": 6}]}}),
            json!({"blkio_throttle_read_bps_device": [{"major": 8, "rate": 5}, {"major": 9, "rate": 2}],
                "blkio_throttle_write_bps_device": [{"major": 8, "minor": 1, "rate": 6}],
                "blkio_throttle_write_iops_device": [{"major": 8, "rate": 3}]}),
            json!({"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 1, "rate": 6}]}}),
        ),
        // null is absent.
        (
            json!({"memory": 9}),
            json!({"memory": null, "cpu": null, "pids": null, "blockIO": null, "unified": null, "devices": null}),
            json!({"memory": 9}),
            json!({}),
        ),
    ];
    for (saved, request, saved_then, written) in table {
        for version in [V1, V2] {
            let merged = merged(version, saved.clone(), request.clone()).unwrap();
            let expected: Cgroup = serde_json::from_value(saved_then.clone()).unwrap();
            assert_eq!(merged.saved, expected, "{saved} + {request}");
            let expected: Resources = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(merged.write, expected, "{saved} + {request}");
            assert!(merged.left_out.is_empty(), "{request}");
        }
    }
}

#[test]
fn a_file_has_one_value() {
    let saved = json!({"memory": 9, "unified": {"memory.max": "5", "memory.high": "4", "io.max": "8:0 rbps=1"}});
    let request = json!({"memory": {"limit": 7}, "unified": {"memory.high": "3", "cpu.max": "max"},
        "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 16, "rate": 5}]}});
    let merged = merged(V2, saved, request).unwrap();
    let unified = json!({"memory.high": "3", "io.max": "8:0 rbps=1", "cpu.max": "max"});
    assert_eq!(json!(merged.saved.unified), unified);
    assert_eq!(json!(merged.write.unified), json!({"memory.high": "3", "cpu.max": "max"}));
    let files: Vec<_> = Settings::new(V2, &merged.write).unwrap().list.into_iter().map(|s| s.file).collect();
    assert_eq!(files, ["memory.max", "io.max", "cpu.max", "memory.high"]);
}

#[test]
fn contradictions() {
    let refusal = |saved: Value, request: Value| {
        let merged = merged(V2, saved, request).unwrap();
        Settings::new(V2, &merged.write).unwrap_err().to_string()
    };
    let at = "(config.json /linux/resources/memory/swap)";
    assert_eq!(
        refusal(json!({}), json!({"memory": {"swap": 5}})),
        format!("unable to set swap limit without memory limit {at}")
    );
    let short = format!("memory+swap limit should be >= memory limit {at}");
    assert_eq!(refusal(json!({}), json!({"memory": {"limit": 9, "swap": 5}})), short);
    assert_eq!(refusal(json!({"memory": 5, "memory_swap": 6}), json!({"memory": {"limit": 9}})), short);
}

#[test]
fn what_an_update_does_not_change() {
    let saved = json!({"hugetlb_limit": [{"page_size": "2MB", "limit": 5}], "rdma": {"a": {"hca_handles": 1}},
        "net_cls_classid_u": 7, "net_prio_ifpriomap": [{"interface": "lo", "priority": 3}],
        "memory_swappiness": 10, "oom_kill_disable": true});
    let same = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 5}], "rdma": {"a": {"hcaHandles": 1}},
        "network": {"classID": 7, "priorities": [{"name": "lo", "priority": 3}]},
        "memory": {"swappiness": 10, "disableOOMKiller": true}});
    let other = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 6}], "rdma": {"a": {"hcaHandles": 2}},
        "network": {"classID": 8, "priorities": [{"name": "lo", "priority": 4}]},
        "memory": {"swappiness": 11, "disableOOMKiller": false}});
    for (request, left_out) in [
        (json!({}), &[][..]),
        (same, &[]),
        (
            other,
            &[
                "hugepageLimits",
                "rdma",
                "network.classID",
                "network.priorities",
                "memory.swappiness",
                "memory.disableOOMKiller",
            ],
        ),
    ] {
        let merged = merged(V1, saved.clone(), request.clone()).unwrap();
        assert_eq!(merged.left_out, left_out, "{request}");
        assert_eq!((merged.write, json!(merged.saved)), (Resources::default(), saved.clone()), "{request}");
    }
}

fn resources() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let n = || prop_oneof![Just(json!(null)), Just(json!(0)), Just(json!(-1)), any::<i64>().prop_map(|n| json!(n))];
    let u = || prop_oneof![Just(json!(null)), Just(json!(0)), any::<u64>().prop_map(|n| json!(n))];
    (n(), n(), n(), n(), u(), u(), n(), n()).prop_map(
        |(limit, swap, reservation, quota, period, shares, idle, pids)| {
            json!({"memory": {"limit": limit, "swap": swap, "reservation": reservation}, "pids": {"limit": pids},
            "cpu": {"quota": quota, "period": period, "shares": shares, "idle": idle, "burst": period}})
        },
    )
}

proptest::proptest! {
    /// Two requests of which the second says nothing new are one; and whatever is asked for, it is written or an error.
    #[test]
    fn an_update_can_be_repeated(first in resources(), second in resources()) {
        for version in [V1, V2] {
            let one = merged(version, json!({}), first.clone()).unwrap().saved;
            let once = merge(version, &one, &serde_json::from_value(second.clone()).unwrap()).unwrap();
            let twice = merge(version, &once.saved, &serde_json::from_value(second.clone()).unwrap()).unwrap();
            assert_eq!(once.saved, twice.saved);
            // A settings error must not be a panic.
            let _ = Settings::new(version, &once.write);
        }
    }
}
