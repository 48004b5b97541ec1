//! Whether systemd takes what we make of config.json, and in our sense: names, annotations, resources.

use dunnage::cgroup::host::Version;
use dunnage::cgroup::systemd::{Facts, Scope, Unit, UnitName, annotations, properties};
use dunnage::cgroup::{DeviceList, Host};

use super::{SYSTEMD, Sleeper, manager, scope, show};

/// Every annotation that is allowed: a value, and how `systemctl show` tells it.
const ANNOTATIONS: [(&str, &str, &str); 35] = [
    ("After", "['sysinit.target']", "sysinit.target"),
    ("AllowedCPUs", "[byte 0x5]", "0 2"),
    ("AllowedMemoryNodes", "[byte 0x1]", "0"),
    ("Before", "['shutdown.target']", "shutdown.target"),
    ("BlockIOWeight", "uint64 500", "500"),
    ("CPUQuotaPerSecUSec", "uint64 500000", "500ms"),
    ("CPUQuotaPeriodUSec", "uint64 50000", "50ms"),
    ("CPUShares", "uint64 500", "500"),
    ("CPUWeight", "uint64 50", "50"),
    ("CollectMode", "'inactive-or-failed'", "inactive-or-failed"),
    ("DefaultDependencies", "true", "yes"),
    ("Delegate", "true", "yes"),
    ("Description", "'a b'", "a b"),
    ("FinalKillSignal", "6", "6"),
    ("IOWeight", "uint64 50", "50"),
    ("KillMode", "'mixed'", "mixed"),
    ("KillSignal", "37", "37"),
    ("ManagedOOMMemoryPressure", "'kill'", "kill"),
    ("ManagedOOMMemoryPressureDurationUSec", "uint64 5000000", "5s"),
    ("ManagedOOMMemoryPressureLimit", "uint32 2147483647", "2147483647"),
    ("ManagedOOMSwap", "'kill'", "kill"),
    ("MemoryHigh", "uint64 104857600", "104857600"),
    ("MemoryLimit", "uint64 104857600", "104857600"),
    ("MemoryLow", "uint64 4096", "4096"),
    ("MemoryMax", "uint64 104857600", "104857600"),
    ("MemoryMin", "uint64 4096", "4096"),
    ("MemorySwapMax", "uint64 0", "0"),
    ("MemoryZSwapMax", "uint64 0", "0"),
    ("OOMPolicy", "'kill'", "kill"),
    ("RuntimeMaxUSec", "uint64 3600000000", "1h"),
    ("RuntimeRandomizedExtraUSec", "uint64 1000000", "1s"),
    ("SendSIGHUP", "true", "yes"),
    ("SendSIGKILL", "false", "no"),
    ("TasksMax", "uint64 50", "50"),
    ("TimeoutStopUSec", "uint64 5000000", "5s"),
];

#[test]
fn annotations_that_are_allowed() {
    let _guard = SYSTEMD.lock();
    let mut manager = manager();
    let mut wrong = Vec::new();
    assert!(ANNOTATIONS.iter().map(|(name, ..)| name).eq(annotations::ALLOWED.iter().map(|(name, _)| name)));
    for (name, text, expected) in ANNOTATIONS {
        let process = Sleeper::new();
        let mut unit = scope();
        let annotation = (format!("org.systemd.property.{name}"), text.to_string());
        unit.properties.extend(annotations::properties(&[annotation].into()).unwrap());
        match manager.start(&unit, process.named()) {
            Err(e) => wrong.push(e.to_string()),
            Ok(()) => {
                let shown = show(&unit.name, name);
                if !shown.split(' ').any(|word| word == expected) && shown != expected {
                    wrong.push(format!("{name}={text} is shown as {shown:?}"));
                }
                drop(process);
                manager.stop(&unit.name).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A unit of resources and device rules, in a slice of its own.
fn unit(path: &str, resources: &str, rules: &str) -> (Unit, UnitName) {
    let name = UnitName::new(path, "box", Scope::System).unwrap();
    let systemd = manager().version().unwrap();
    let resources = serde_json::from_str(resources).unwrap();
    let list = DeviceList::new(&serde_json::from_str::<Vec<_>>(rules).unwrap(), &[]).unwrap();
    let none = std::collections::BTreeMap::new();
    let request = properties::Request {
        name: &name,
        version: Version::V2,
        systemd,
        resources: &resources,
        devices: Some(&list),
        annotations: &none,
    };
    (Unit::new(&request).unwrap(), name)
}

#[test]
fn resources_of_config_json() {
    let _guard = SYSTEMD.lock();
    let mut manager = manager();
    let pid = std::process::id();
    let (unit, name) = unit(
        &format!("dunnage{pid}.slice:props:all"),
        r#"{"memory":{"limit":104857600,"reservation":4096,"swap":104857600},"pids":{"limit":0},
            "cpu":{"shares":1024,"quota":33333,"period":50000,"cpus":"0,2","mems":"0"},
            "unified":{"memory.high":"max","memory.min":"0","memory.oom.group":"1"}}"#,
        r#"[{"allow":true,"type":"b","major":8,"access":"r"}]"#,
    );
    let process = Sleeper::new();
    manager.start(&unit, process.named()).unwrap();
    for (name, expected) in [
        ("Description", "libcontainer container all"),
        ("Slice", &format!("dunnage{pid}.slice")),
        ("Delegate", "yes"),
        ("DefaultDependencies", "no"),
        ("OOMPolicy", "kill"),
        ("MemoryMax", "104857600"),
        ("MemoryLow", "4096"),
        ("MemorySwapMax", "0"),
        ("MemoryHigh", "infinity"),
        ("MemoryMin", "0"),
        ("TasksMax", "1"),
        ("CPUWeight", "100"),
        ("CPUQuotaPerSecUSec", "670ms"),
        ("CPUQuotaPeriodUSec", "50ms"),
        ("AllowedCPUs", "0 2"),
        ("AllowedMemoryNodes", "0"),
        ("DevicePolicy", "strict"),
        ("MemoryAccounting", "yes"),
        ("CPUAccounting", "yes"),
        ("IOAccounting", "yes"),
        ("TasksAccounting", "yes"),
    ] {
        assert_eq!(show(&unit.name, name), expected, "{name}");
    }
    let devices = show(&unit.name, "DeviceAllow");
    for rule in ["block-* m", "char-* m", "block-8 r", "/dev/char/1:3 rwm", "char-pts rwm", "char-136 rwm"] {
        assert!(devices.lines().any(|line| line == rule), "{rule} in {devices}");
    }

    // All of it can be taken back.
    let unlimited = serde_json::from_str(
        r#"{"memory":{"limit":-1,"reservation":-1,"swap":-1},"pids":{"limit":-1},"cpu":{"idle":1,"quota":-1}}"#,
    );
    let update = properties::resources(Version::V2, manager.version().unwrap(), &unlimited.unwrap()).unwrap();
    manager.set_properties(&unit.name, &update).unwrap();
    for name in ["MemoryMax", "MemorySwapMax", "TasksMax", "CPUQuotaPerSecUSec"] {
        assert_eq!(show(&unit.name, name), "infinity", "{name}");
    }
    assert_eq!(show(&unit.name, "CPUWeight"), "idle");
    let busy = serde_json::from_str(r#"{"cpu":{"idle":0}}"#).unwrap();
    let update = properties::resources(Version::V2, manager.version().unwrap(), &busy).unwrap();
    manager.set_properties(&unit.name, &update).unwrap();
    assert_eq!(show(&unit.name, "CPUWeight"), "[not set]");
    manager.stop(name.unit()).unwrap();
}

#[test]
fn units_are_where_we_look_for_them() {
    let _guard = SYSTEMD.lock();
    let mut manager = manager();
    let pid = std::process::id();
    for path in [
        format!(":props:{pid}"),
        format!("-.slice:props:root{pid}"),
        format!("system.slice::{pid}"),
        format!("dunnage{pid}-a-b.slice:cri-containerd:x"),
        format!("memory-dunnage{pid}.slice:cgroup.x:y"),
        format!("_dunnage{pid}.slice:_:y"),
        format!("system.slice:a\\x2db:{pid}"),
        format!("system.slice:cpu.a:{pid}"),
        format!("system.slice:p:{}", "x".repeat(246)),
    ] {
        let (unit, name) = unit(&path, "{}", "[]");
        let process = Sleeper::new();
        manager.start(&unit, process.named()).unwrap();
        let paths = name.paths(&Host::unified(), &Facts::default(), None).unwrap();
        assert_eq!(paths.get("").unwrap(), format!("/sys/fs/cgroup{}", process.cgroup()), "{path}");
        manager.stop(&unit.name).unwrap();
    }
}
