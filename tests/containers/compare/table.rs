//! The bundles. Every field of `linux.resources` is there, with its edges; what each host cannot do fails in both.

use crate::common::{Bundle, Driver, Value, json};
use std::fs;

/// A bundle, and what it is updated to.
pub struct Case {
    pub name: &'static str,
    resources: Value,
    /// `linux.resources` of an `update`; null: none.
    pub update: Value,
    more: fn(&mut Bundle),
    place: Place,
}

/// Where its cgroup is.
enum Place {
    /// A child of the test's.
    Usual,
    /// Two levels below the test's.
    Deep,
    /// A slice, with systemd.
    Slice,
}

fn of(name: &'static str, resources: Value) -> Case {
    Case { name, resources, update: Value::Null, more: |_| {}, place: Place::Usual }
}

impl Case {
    fn to(self, update: Value) -> Case {
        Case { update, ..self }
    }

    fn with(self, more: fn(&mut Bundle)) -> Case {
        Case { more, ..self }
    }

    fn at(self, place: Place) -> Case {
        Case { place, ..self }
    }

    /// Makes the bundle; the container's cgroup, and those above it that are the test's.
    pub fn prepare(&self, b: &mut Bundle) -> Vec<String> {
        let mut resources = self.resources.clone();
        if resources["devices"].is_null() {
            resources["devices"] = b.config["linux"]["resources"]["devices"].take();
        }
        b.set("/linux/resources", resources);
        (self.more)(b);
        let top = b.cgroup_parent().to_owned();
        let (path, groups) = match (&self.place, Driver::under_test()) {
            (Place::Usual, _) => return vec![b.cgroup.clone(), top],
            (Place::Deep, Driver::Cgroupfs) => {
                let groups = vec![format!("{top}/a/b"), format!("{top}/a"), top];
                (groups[0].clone(), groups)
            }
            (Place::Slice, Driver::Cgroupfs) => {
                let groups = vec![format!("{top}/a.slice"), top];
                (groups[0].clone(), groups)
            }
            (Place::Deep, Driver::Systemd) => {
                let slice = top.trim_start_matches('/').trim_end_matches(".slice");
                let (below, scope) = (format!("{top}/{slice}-a.slice/{slice}-a-b.slice"), format!("p-{}.scope", b.id));
                let groups = vec![format!("{below}/{scope}"), below, format!("{top}/{slice}-a.slice"), top.clone()];
                (format!("{slice}-a-b.slice:p:{}", b.id), groups)
            }
            (Place::Slice, Driver::Systemd) => {
                let slice = top.trim_start_matches('/').trim_end_matches(".slice");
                let groups = vec![format!("{top}/{slice}-a.slice"), top.clone()];
                (format!("{slice}.slice:p:{slice}-a.slice"), groups)
            }
        };
        b.set("/linux/cgroupsPath", path);
        groups
    }
}

pub fn all() -> Vec<Case> {
    let groups = [
        cpu,
        cpu_time,
        cpusets,
        memory,
        swap,
        pids,
        unified,
        disks,
        pages_and_networks,
        devices,
        places,
        delegation,
        annotations,
    ];
    groups.into_iter().flat_map(|cases| cases()).collect()
}

pub fn cpu() -> Vec<Case> {
    let cpu = |name, cpu: Value| of(name, json!({"cpu": cpu}));
    vec![
        cpu("shares-0", json!({"shares": 0})),
        cpu("shares-1", json!({"shares": 1})),
        cpu("shares-2", json!({"shares": 2})),
        cpu("shares", json!({"shares": 512})).to(json!({"cpu": {"shares": 3333}})),
        cpu("shares-most", json!({"shares": 262_144})),
        cpu("shares-too-many", json!({"shares": 262_145})),
        cpu("shares-huge", json!({"shares": u64::MAX})),
        cpu("idle", json!({"idle": 1})).to(json!({"cpu": {"idle": 0}})),
        cpu("idle-0", json!({"idle": 0})).to(json!({"cpu": {"idle": 1}})),
        cpu("idle-2", json!({"idle": 2})),
        cpu("idle-and-shares", json!({"idle": 1, "shares": 512})),
    ]
}

pub fn cpu_time() -> Vec<Case> {
    let cpu = |name, cpu: Value| of(name, json!({"cpu": cpu}));
    vec![
        cpu("quota", json!({"quota": 20_000, "period": 50_000})).to(json!({"cpu": {"quota": -1}})),
        cpu("quota-alone", json!({"quota": 20_000})).to(json!({"cpu": {"period": 20_000}})),
        cpu("quota-none", json!({"quota": -1})).to(json!({"cpu": {"quota": 30_000, "period": 10_000}})),
        cpu("quota-0", json!({"quota": 0, "period": 0})),
        cpu("quota-fraction", json!({"quota": 12_345, "period": 100_000})),
        cpu("quota-too-small", json!({"quota": 500})),
        cpu("period-alone", json!({"period": 50_000})),
        cpu("period-too-long", json!({"quota": 5000, "period": 1_000_001})),
        cpu("burst", json!({"quota": 20_000, "period": 50_000, "burst": 10_000})).to(json!({"cpu": {"burst": 0}})),
        cpu("real-time", json!({"realtimeRuntime": 5000, "realtimePeriod": 900_000})),
    ]
}

pub fn cpusets() -> Vec<Case> {
    let cpu = |name, cpu: Value| of(name, json!({"cpu": cpu}));
    vec![
        cpu("cpus", json!({"cpus": "0-1"})).to(json!({"cpu": {"cpus": "1"}})),
        cpu("cpus-and-mems", json!({"cpus": "0", "mems": "0"})).to(json!({"cpu": {"mems": "0"}})),
        cpu("cpus-empty", json!({"cpus": "", "mems": ""})).to(json!({"cpu": {"cpus": "0,1"}})),
        cpu("cpus-not-there", json!({"cpus": "4000"})),
    ]
}

pub fn memory() -> Vec<Case> {
    let memory = |name, memory: Value| of(name, json!({"memory": memory}));
    vec![
        memory("limit", json!({"limit": 64 << 20})).to(json!({"memory": {"limit": 32 << 20}})),
        memory("limit-odd", json!({"limit": (64 << 20) + 1})),
        memory("limit-0", json!({"limit": 0})),
        memory("limit-none", json!({"limit": -1})).to(json!({"memory": {"limit": 64 << 20}})),
        memory("limit-most", json!({"limit": i64::MAX})),
        memory("reservation", json!({"reservation": 16 << 20})).to(json!({"memory": {"reservation": -1}})),
        memory("reservation-none", json!({"reservation": -1})),
        memory("swappiness", json!({"swappiness": 10})),
        memory("swappiness-0", json!({"swappiness": 0})),
        memory("swappiness-too-high", json!({"swappiness": 101})),
        memory("oom-killer", json!({"limit": 64 << 20, "disableOOMKiller": true})),
        memory("kernel", json!({"limit": 64 << 20, "kernel": 8 << 20, "kernelTCP": 8 << 20, "useHierarchy": true})),
        memory("check", json!({"limit": 64 << 20, "checkBeforeUpdate": true}))
            .to(json!({"memory": {"limit": 48 << 20, "checkBeforeUpdate": true}})),
    ]
}

pub fn swap() -> Vec<Case> {
    let memory = |name, memory: Value| of(name, json!({"memory": memory}));
    vec![
        memory("swap", json!({"limit": 64 << 20, "swap": 96 << 20, "reservation": 16 << 20}))
            .to(json!({"memory": {"limit": 128 << 20, "swap": 160 << 20}})),
        memory("swap-equal", json!({"limit": 64 << 20, "swap": 64 << 20})).to(json!({"memory": {"swap": -1}})),
        memory("swap-none", json!({"limit": 64 << 20, "swap": -1})).to(json!({"memory": {"limit": -1}})),
        memory("swap-0", json!({"limit": 64 << 20, "swap": 0})),
        memory("swap-below-limit", json!({"limit": 64 << 20, "swap": 1 << 20})),
        memory("swap-alone", json!({"swap": 64 << 20})),
        memory("swap-none-alone", json!({"swap": -1})),
        memory("all-none", json!({"limit": -1, "swap": -1, "reservation": -1})),
    ]
}

pub fn pids() -> Vec<Case> {
    let pids = |name, limit: i64| of(name, json!({"pids": {"limit": limit}}));
    vec![
        of("nothing", json!({})),
        pids("pids", 20).to(json!({"pids": {"limit": 10}})),
        pids("pids-0", 0),
        pids("pids-1", 1),
        pids("pids-none", -1).to(json!({"pids": {"limit": 100}})),
        pids("pids-most", 4_194_304),
        pids("pids-too-many", i64::MAX),
    ]
}

pub fn unified() -> Vec<Case> {
    let unified = |name, unified: Value| of(name, json!({"unified": unified}));
    vec![
        unified("unified-tree", json!({"cgroup.max.depth": "3", "cgroup.max.descendants": "7"})),
        unified(
            "unified-memory",
            json!({"memory.max": "67108864", "memory.high": "33554432", "memory.low": "1048576",
            "memory.min": "max", "memory.swap.max": "0", "memory.oom.group": "1"}),
        ),
        unified("unified-oom", json!({"memory.oom.group": "0"})),
        unified("unified-cpu", json!({"cpu.weight": "59", "cpu.max": "20000 50000", "pids.max": "20"})),
        unified("unified-cpu-max", json!({"cpu.max": "max"})),
        unified("unified-idle", json!({"cpu.idle": "1"})),
        unified("unified-rsvd", json!({"hugetlb.2MB.rsvd.max": "2097152"})),
        unified("unified-cpuset", json!({"cpuset.cpus": "0-1", "cpuset.mems": "0"})),
        unified("unified-hugetlb", json!({"hugetlb.2MB.max": "2097152"})),
        unified("unified-pressure", json!({"cgroup.pressure": "0"})),
        unified("unified-no-such-controller", json!({"nosuch.max": "1"})),
        unified("unified-no-such-file", json!({"cgroup.nosuch": "1"})),
        unified("unified-path", json!({"../cgroup.freeze": "1"})),
        of(
            "unified-and-fields",
            json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20},
            "unified": {"memory.max": "33554432", "pids.max": "10"}}),
        ),
        of("unified-update", json!({"pids": {"limit": 20}})).to(json!({"unified": {"cgroup.max.depth": "5"}})),
    ]
}

/// Of this machine, as it has several names.
fn disk() -> (u64, u64) {
    let disks = fs::read_dir("/sys/block").unwrap().flatten().map(|disk| disk.path());
    let mut real = disks.filter(|disk| disk.join("device").exists());
    let numbers = fs::read_to_string(real.next().expect("a disk in /sys/block").join("dev")).unwrap();
    let (major, minor) = numbers.trim().split_once(':').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

pub fn disks() -> Vec<Case> {
    let block = |name, block: Value| of(name, json!({"blockIO": block}));
    let (major, minor) = disk();
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    vec![
        block("weight", json!({"weight": 500})).to(json!({"blockIO": {"weight": 100}})),
        block("weight-least", json!({"weight": 10})),
        block("weight-most", json!({"weight": 1000})),
        block("weight-too-low", json!({"weight": 9})),
        block("weight-too-high", json!({"weight": 1001})),
        block("weight-leaf", json!({"leafWeight": 300})),
        block("weight-device", json!({"weightDevice": [{"major": major, "minor": minor, "weight": 700}]})),
        block(
            "rates",
            json!({"throttleReadBpsDevice": rate(1 << 20), "throttleWriteBpsDevice": rate(2 << 20),
            "throttleReadIOPSDevice": rate(1000), "throttleWriteIOPSDevice": rate(2000)}),
        )
        .to(json!({"blockIO": {"throttleReadBpsDevice": rate(3 << 20)}})),
        block("rate-0", json!({"throttleReadBpsDevice": rate(0)})),
        block("rate-most", json!({"throttleReadBpsDevice": rate(u64::MAX)})),
        block("rate-of-nothing", json!({"throttleReadBpsDevice": [{"major": 4095, "minor": 5, "rate": 1}]})),
    ]
}

pub fn pages_and_networks() -> Vec<Case> {
    let huge = |name, size: &str, limit: u64| of(name, json!({"hugepageLimits": [{"pageSize": size, "limit": limit}]}));
    vec![
        huge("pages", "2MB", 2 << 20),
        huge("pages-0", "2MB", 0),
        huge("pages-odd", "2MB", 12_345),
        huge("pages-most", "1GB", u64::MAX),
        huge("pages-of-no-size", "3MB", 3 << 20),
        of("rdma", json!({"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10_000}}})),
        of("class", json!({"network": {"classID": 0x0010_0001}})),
        of("priorities", json!({"network": {"priorities": [{"name": "lo", "priority": 5}]}})),
    ]
}

pub fn devices() -> Vec<Case> {
    let deny = json!({"allow": false, "access": "rwm"});
    let rule = |allow: bool, kind: &str, major: i64, minor: i64, access: &str| {
        let mut rule = json!({"allow": allow, "type": kind, "access": access});
        for (key, number) in [("major", major), ("minor", minor)] {
            if number >= 0 {
                rule[key] = json!(number);
            }
        }
        rule
    };
    let devices = |name, rules: Vec<Value>| of(name, json!({"devices": rules}));
    vec![
        devices("devices-none", vec![]),
        devices("devices-all", vec![json!({"allow": true, "access": "rwm"})]).to(json!({"pids": {"limit": 50}})),
        devices("devices-one", vec![deny.clone(), rule(true, "c", 10, 229, "rw")])
            .to(json!({"devices": [{"allow": true, "access": "rwm"}], "pids": {"limit": 50}})),
        devices("devices-major", vec![deny.clone(), rule(true, "b", 8, -1, "r"), rule(true, "c", 4, -1, "rwm")]),
        devices("devices-kind", vec![deny.clone(), rule(true, "c", -1, -1, "rw")]),
        devices("devices-minor", vec![deny.clone(), rule(true, "c", -1, 7, "r")]),
        devices("devices-but-one", vec![json!({"allow": true, "access": "rwm"}), rule(false, "c", 10, 229, "rw")]),
        devices("devices-taken-back", vec![deny, rule(true, "c", 10, 229, "rwm"), rule(false, "c", 10, 229, "w")]),
        of("devices-made", json!({})).with(|b| {
            b.set(
                "/linux/devices",
                json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229,
                "fileMode": 0o666, "uid": 0, "gid": 0}]),
            );
        }),
    ]
}

pub fn places() -> Vec<Case> {
    let some = || json!({"pids": {"limit": 20}});
    vec![
        of("deep-bare", json!({})).at(Place::Deep),
        of("slice-bare", json!({})).at(Place::Slice),
        of("deep", some()).at(Place::Deep).to(json!({"pids": {"limit": 30}})),
        of("deep-cpus", json!({"cpu": {"cpus": "0"}})).at(Place::Deep),
        of("slice", some()).at(Place::Slice).to(json!({"pids": {"limit": 30}})),
        of("namespace", json!({})).with(|b| {
            b.namespace("cgroup", None);
        }),
        of("user-namespace", json!({})).with(|b| {
            b.user_namespace().namespace("cgroup", None);
        }),
        of("mount-writable", json!({})).with(writable),
    ]
}

/// The last of the mounts is that of cgroups: without `ro`.
fn writable(b: &mut Bundle) {
    let last = b.config["mounts"].as_array().unwrap().len() - 1;
    b.set(&format!("/mounts/{last}/options"), json!(["nosuid", "noexec", "nodev", "relatime"]));
}

pub fn delegation() -> Vec<Case> {
    let delegated = |name, resources: Value, more| of(name, resources).with(more);
    let limits = json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}});
    vec![
        delegated("delegated", json!({}), |b| {
            b.namespace("cgroup", None);
            writable(b);
        }),
        delegated("delegated-to-user", json!({}), |b| {
            b.namespace("cgroup", None).set("/process/user/uid", 1000);
            writable(b);
        }),
        delegated("delegated-in-user-namespace", json!({}), |b| {
            b.user_namespace().namespace("cgroup", None);
            writable(b);
        }),
        delegated("delegated-with-limits", limits, |b| {
            b.user_namespace().namespace("cgroup", None);
            writable(b);
        })
        .to(json!({"memory": {"limit": 48 << 20}, "pids": {"limit": 30}})),
    ]
}

/// Their types are written as runc wants them: it has `5` for an int32.
pub fn annotations() -> Vec<Case> {
    let with = |name, more| of(name, json!({"memory": {"limit": 64 << 20}})).with(more);
    vec![
        with("annotations", |b| {
            b.set(
                "/annotations",
                json!({"org.systemd.property.TimeoutStopUSec": "uint64 10000000",
                "org.systemd.property.CollectMode": "'inactive-or-failed'", "org.systemd.property.KillSignal": "15",
                "org.systemd.property.After": "['basic.target']", "org.systemd.property.SendSIGHUP": "true"}),
            );
        }),
        with("annotations-in-seconds", |b| {
            b.set("/annotations", json!({"org.systemd.property.TimeoutStopSec": "uint64 7"}));
        }),
        with("annotations-limits", |b| {
            b.set(
                "/annotations",
                json!({"org.systemd.property.MemoryMax": "uint64 33554432",
                "org.systemd.property.MemoryHigh": "uint64 16777216", "org.systemd.property.TasksMax": "uint64 33"}),
            );
        }),
        with("annotations-bad-value", |b| {
            b.set("/annotations", json!({"org.systemd.property.TimeoutStopUSec": "nonsense"}));
        }),
    ]
}
