//! `linux.resources` -> properties of the unit, so that systemd writes the same limits as we do whenever it writes them again
//! (`daemon-reload`); and the unit as a whole. Pure. The values are those of [`Settings`], in systemd's units.

use std::collections::BTreeMap;

use super::{Property, Unit, UnitName, annotations};
use crate::cgroup::devices::{DeviceList, Devices, Kind};
use crate::cgroup::host::Version;
use crate::cgroup::settings::{Missing, Setting, Settings};
use crate::dbus::Value;
use crate::error::{Error, Result};
use crate::spec::{Cpu, Resources, list};

/// "No limit" or "not set" in all of systemd's unsigned properties.
const INFINITY: u64 = u64::MAX;

/// The kernel's default for a period of CPU time, in microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

const UNIFIED: &str = "/linux/resources/unified/";

/// Files that have a property of the same meaning, and the range that systemd accepts. What is outside it is clamped: then the
/// file is refused by the kernel, and that error names the field.
const LIMITS: [(&str, &str, u64, u64); 10] = [
    ("pids.max", "TasksMax", 1, INFINITY),
    // cgroup v2
    ("memory.max", "MemoryMax", 1, INFINITY),
    ("memory.high", "MemoryHigh", 1, INFINITY),
    ("memory.low", "MemoryLow", 0, INFINITY),
    ("memory.min", "MemoryMin", 0, INFINITY),
    ("memory.swap.max", "MemorySwapMax", 0, INFINITY),
    ("cpu.weight", "CPUWeight", 1, 10_000),
    // cgroup v1
    ("memory.limit_in_bytes", "MemoryLimit", 1, INFINITY),
    ("cpu.shares", "CPUShares", 2, 262_144),
    ("blkio.bfq.weight", "BlockIOWeight", 10, 1000),
];

/// The first versions of systemd that know a property.
mod since {
    pub const CPU_QUOTA_PERIOD: u32 = 242;
    pub const CPUSET: u32 = 244;
    pub const CPU_IDLE: u32 = 252;
    pub const SCOPE_OOM_POLICY: u32 = 253;
}

/// What a container's unit is made of.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its name.
    pub name: &'a UnitName,
    /// Which version of cgroups holds the limits.
    pub version: Version,
    /// The version of systemd; may be 0 if not [`needs_version`].
    pub systemd: u32,
    /// After [`round_quota`].
    pub resources: &'a Resources,
    /// What the container may do with devices; `None`: systemd is not told (a user's cannot enforce it).
    pub devices: Option<&'a DeviceList>,
    /// Of config.json.
    pub annotations: &'a BTreeMap<String, String>,
}

impl Unit {
    /// In the order that decides if a property is given twice: ours, the annotations', then what config.json says itself.
    ///
    /// # Errors
    /// An annotation is not allowed; a value is out of range.
    pub fn new(request: &Request<'_>) -> Result<Unit> {
        let Request { name, version, resources: asked, .. } = *request;
        let mut unit = Unit { name: name.unit().to_owned(), properties: Vec::new() };
        let own = |name: &str, value: Value| property(name, value, "");
        unit.properties.push(own("Description", Value::String(format!("libcontainer container {}", name.name()))));
        if unit.is_slice() {
            unit.properties.push(own("Wants", Value::strings([name.slice()])));
        } else {
            unit.properties.push(own("Slice", Value::String(name.slice().to_owned())));
            unit.properties.push(own("Delegate", Value::Bool(true)));
        }
        let io = if version == Version::V2 { "IOAccounting" } else { "BlockIOAccounting" };
        for name in ["MemoryAccounting", "CPUAccounting", io, "TasksAccounting"] {
            unit.properties.push(own(name, Value::Bool(true)));
        }
        unit.properties.push(own("DefaultDependencies", Value::Bool(false)));
        unit.properties.extend(annotations::properties(request.annotations)?);
        unit.properties.extend(oom_policy(version, request.systemd, asked));
        if let Some(list) = request.devices {
            unit.properties.extend(devices(version, list));
        }
        unit.properties.extend(resources(version, request.systemd, asked)?);
        Ok(unit)
    }
}

/// Whether [`resources`] or [`Unit::new`] depend on systemd's version: it takes a call to find out.
pub fn needs_version(resources: &Resources) -> bool {
    let gated = ["cpu.idle", "cpu.max", "cpuset.cpus", "cpuset.mems", "memory.oom.group"];
    gated.iter().any(|file| resources.unified.contains_key(*file))
        || resources
            .cpu
            .as_ref()
            .is_some_and(|c| c.idle.is_some() || c.period.unwrap_or(0) != 0 || !c.cpus.is_empty() || !c.mems.is_empty())
}

/// systemd keeps a CPU quota as a whole percentage, so a fraction is rounded up. To be done before anything else is made of
/// the resources: the cgroup file and the state file get the rounded quota too, or each `daemon-reload` would change it.
pub fn round_quota(resources: &mut Resources) {
    let Some(cpu) = &mut resources.cpu else { return };
    if let Some(quota @ 1..) = cpu.quota {
        cpu.quota = Some(rounded_quota(quota, cpu.period.unwrap_or(0)));
    }
}

/// `quota` of `period` (0: the default), both in microseconds, rounded up to 1 % of a CPU.
pub fn rounded_quota(quota: i64, period: u64) -> i64 {
    let (exact, rounded) = per_second(quota, period);
    if exact == rounded {
        return quota;
    }
    let period = if period == 0 { DEFAULT_PERIOD } else { period };
    i64::try_from(u128::from(rounded).saturating_mul(u128::from(period)).wrapping_div(1_000_000)).unwrap_or(quota)
}

/// Microseconds of CPU time per second, as asked for and rounded up to a hundredth of a second.
fn per_second(quota: i64, period: u64) -> (u64, u64) {
    let period = if period == 0 { DEFAULT_PERIOD } else { period };
    let asked = u128::from(quota.unsigned_abs()).saturating_mul(1_000_000).checked_div(u128::from(period));
    let exact = asked.and_then(|n| u64::try_from(n).ok()).unwrap_or(INFINITY);
    (exact, exact.checked_next_multiple_of(10_000).unwrap_or(INFINITY))
}

fn property(name: &str, value: Value, field: &str) -> Property {
    Property { name: name.to_owned(), value, field: field.to_owned() }
}

/// Everything that systemd has a property for; the rest is in the cgroup's files alone. Also what an update sets.
///
/// # Errors
/// Those of [`Settings::new`]; a value of `unified` that is not what its file takes; a bad list of CPUs.
pub fn resources(version: Version, systemd: u32, resources: &Resources) -> Result<Vec<Property>> {
    let settings = Settings::new(version, resources)?.list;
    let mut out = Vec::new();
    if let Some(Cpu { quota, period, .. }) = &resources.cpu {
        let field = format!("/linux/resources/cpu/{}", if quota.is_some() { "quota" } else { "period" });
        cpu_quota(&mut out, systemd, quota.unwrap_or(0), period.unwrap_or(0), &field);
    }
    for setting in &settings {
        let Setting { file, value, field, .. } = setting;
        if let Some((_, name, min, max)) = LIMITS.iter().find(|(known, ..)| known == file) {
            if *name != "CPUWeight" || !becomes_idle(&settings, version, systemd) {
                out.push(property(name, Value::Uint64(number(setting)?.clamp(*min, *max)), field));
            }
            continue;
        }
        match file.as_ref() {
            "cpu.max" if field.starts_with(UNIFIED) => unified_cpu_max(&mut out, systemd, setting)?,
            "cpu.idle" if version == Version::V2 && systemd >= since::CPU_IDLE => {
                if value.trim() == "1" {
                    // systemd's way to say so.
                    out.push(property("CPUWeight", Value::Uint64(0), field));
                } else if settings.iter().all(|s| s.file != "cpu.weight") {
                    // An update would leave it idle.
                    out.push(property("CPUWeight", Value::Uint64(INFINITY), field));
                }
            }
            // Not told, an update of anything would have it at systemd's default. The weights of devices are lines of this file, too.
            "io.bfq.weight" if let Missing::Instead { value, .. } = &setting.missing => {
                let weight = value.parse::<u64>().map_err(|_| invalid(setting))?;
                out.push(property("IOWeight", Value::Uint64(weight.clamp(1, 10_000)), field));
            }
            "cpuset.cpus" if systemd >= since::CPUSET => {
                out.push(property("AllowedCPUs", mask(setting, list::MAX_CPUS)?, field));
            }
            "cpuset.mems" if systemd >= since::CPUSET => {
                out.push(property("AllowedMemoryNodes", mask(setting, list::MAX_NODES)?, field));
            }
            _ => {}
        }
    }
    Ok(out)
}

/// An idle cgroup has no weight.
fn becomes_idle(settings: &[Setting], version: Version, systemd: u32) -> bool {
    let idle = settings.iter().any(|s| s.file == "cpu.idle" && s.value.trim() == "1");
    idle && version == Version::V2 && systemd >= since::CPU_IDLE
}

fn cpu_quota(out: &mut Vec<Property>, systemd: u32, quota: i64, period: u64, field: &str) {
    if period != 0 && systemd >= since::CPU_QUOTA_PERIOD {
        out.push(property("CPUQuotaPeriodUSec", Value::Uint64(period), field));
    }
    if quota != 0 || period != 0 {
        let per_second = if quota > 0 { per_second(quota, period).1 } else { INFINITY };
        out.push(property("CPUQuotaPerSecUSec", Value::Uint64(per_second), field));
    }
}

/// `max 100000`, `50000`: the file as cgroup v2 has it.
fn unified_cpu_max(out: &mut Vec<Property>, systemd: u32, setting: &Setting) -> Result<()> {
    let mut words = setting.value.split_ascii_whitespace();
    let quota = match words.next() {
        Some("max") => Some(0),
        word => word.and_then(|word| word.parse::<i64>().ok()).filter(|quota| *quota > 0),
    };
    let period = words.next().map_or(Some(DEFAULT_PERIOD), |word| word.parse().ok());
    let (Some(quota), Some(period @ 1..), None) = (quota, period, words.next()) else { return Err(invalid(setting)) };
    cpu_quota(out, systemd, quota, period, &setting.field);
    Ok(())
}

fn invalid(setting: &Setting) -> Error {
    Error::new(format!("invalid value of {}: {:?}", setting.file, setting.value)).field(setting.field.clone())
}

/// A number, or no limit in the words of v2 or v1.
fn number(setting: &Setting) -> Result<u64> {
    match setting.value.trim() {
        "max" | "-1" => Ok(INFINITY),
        digits => digits.parse().map_err(|_| invalid(setting)),
    }
}

/// `0-3,8` as bytes, the lowest bit of the first one first.
fn mask(setting: &Setting, limit: u32) -> Result<Value> {
    let mask = list::parse(&setting.value, limit)
        .map_err(|why| Error::new(format!("invalid value of {}: {why}", setting.file)).field(setting.field.clone()))?;
    let bytes: Vec<u8> = mask.words().iter().flat_map(|word| word.to_le_bytes()).collect();
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    Ok(Value::bytes(bytes.get(..length).unwrap_or_default()))
}

/// Only when the unit is made: there is no property to go back to what the kernel does by itself.
fn oom_policy(version: Version, systemd: u32, resources: &Resources) -> Option<Property> {
    let asked = resources.unified.get("memory.oom.group")?;
    let policy = match asked.trim() {
        "0" => "continue",
        "1" => "kill",
        _ => return None,
    };
    let known = version == Version::V2 && systemd >= since::SCOPE_OOM_POLICY;
    let field = format!("{UNIFIED}memory.oom.group");
    known.then(|| property("OOMPolicy", Value::String(policy.to_owned()), &field))
}

/// The device rules, for systemd's own enforcement; ours is beside it.
fn devices(version: Version, list: &DeviceList) -> Vec<Property> {
    let field = "/linux/resources/devices";
    let rule = |path: String, access: String| Value::Struct(vec![Value::String(path), Value::String(access)]);
    let allow = |rules: Vec<Value>| property("DeviceAllow", Value::Array("(ss)".into(), rules), field);
    let policy = |name: &str| property("DevicePolicy", Value::String(name.into()), field);
    let mut rules = Vec::new();
    let mut complete = !list.default_allow;
    for (devices, access) in &list.exceptions {
        let patterns = patterns(devices);
        complete &= !patterns.is_empty();
        rules.extend(patterns.into_iter().map(|pattern| rule(pattern, access.to_string())));
    }
    // systemd has neither exceptions from "everything" nor `*:5`. On v2 what we enforce stays beside what it enforces, so it
    // may let everything pass; if it were strict, it would take devices away. On v1 both write the same file, so what it
    // writes must not be more than is allowed.
    if list.allows_everything() || (!complete && version == Version::V2) {
        return vec![allow(Vec::new()), policy("auto")];
    }
    let mut out = vec![allow(Vec::new()), policy("strict")];
    if !list.default_allow {
        out.push(allow(rules));
    }
    out
}

/// How systemd.resource-control(5) writes these devices: all, those of a major number, one. None: it can't.
fn patterns(devices: &Devices) -> Vec<String> {
    let kind = if devices.kind == Kind::Char { "char" } else { "block" };
    match (devices.major, devices.minor) {
        (None, None) => vec![format!("{kind}-*")],
        (None, Some(_)) => Vec::new(),
        // systemd before 240 knows a major number by its name in /proc/devices only; that of terminals every container needs.
        (Some(136), None) if devices.kind == Kind::Char => vec!["char-pts".into(), "char-136".into()],
        (Some(major), None) => vec![format!("{kind}-{major}")],
        (Some(major), Some(minor)) => vec![format!("/dev/{kind}/{major}:{minor}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Version::{V1, V2};

    fn parse(json: &str) -> Resources {
        serde_json::from_str(json).unwrap()
    }

    fn lines(properties: Vec<Property>) -> Vec<String> {
        properties.into_iter().map(|p| format!("{}={} {}", p.name, p.value, p.value.signature())).collect()
    }

    /// `NAME=VALUE TYPE` of each.
    fn of(version: Version, systemd: u32, json: &str) -> Vec<String> {
        resources(version, systemd, &parse(json)).map(lines).unwrap_or_else(|e| vec![e.to_string()])
    }

    #[test]
    fn every_resource() {
        let table: &[(Version, &str, &[&str])] = &[
            (V2, "{}", &[]),
            (
                V2,
                r#"{"memory":{"limit":4096,"reservation":2048,"swap":8192}}"#,
                &["MemorySwapMax=4096 t", "MemoryMax=4096 t", "MemoryLow=2048 t"],
            ),
            (V2, r#"{"memory":{"limit":4096,"swap":4096}}"#, &["MemorySwapMax=0 t", "MemoryMax=4096 t"]),
            (
                V2,
                r#"{"memory":{"limit":-1,"reservation":-1}}"#,
                &[
                    "MemorySwapMax=18446744073709551615 t",
                    "MemoryMax=18446744073709551615 t",
                    "MemoryLow=18446744073709551615 t",
                ],
            ),
            (
                V2,
                r#"{"memory":{"swap":1}}"#,
                &["unable to set swap limit without memory limit (config.json \
                /linux/resources/memory/swap)"],
            ),
            (V2, r#"{"cpu":{"shares":1024}}"#, &["CPUWeight=100 t"]),
            (V2, r#"{"cpu":{"shares":1024,"idle":1}}"#, &["CPUWeight=0 t"]),
            (V2, r#"{"cpu":{"shares":1024,"idle":0}}"#, &["CPUWeight=100 t"]),
            (V2, r#"{"cpu":{"idle":0}}"#, &["CPUWeight=18446744073709551615 t"]),
            (V2, r#"{"cpu":{"quota":50000}}"#, &["CPUQuotaPerSecUSec=500000 t"]),
            (
                V2,
                r#"{"cpu":{"quota":50000,"period":100000}}"#,
                &["CPUQuotaPeriodUSec=100000 t", "CPUQuotaPerSecUSec=500000 t"],
            ),
            (V2, r#"{"cpu":{"quota":-1}}"#, &["CPUQuotaPerSecUSec=18446744073709551615 t"]),
            (
                V2,
                r#"{"cpu":{"period":50000}}"#,
                &["CPUQuotaPeriodUSec=50000 t", "CPUQuotaPerSecUSec=18446744073709551615 t"],
            ),
            (V2, r#"{"cpu":{"quota":0,"period":0}}"#, &[]),
            (V2, r#"{"cpu":{"cpus":"0-2,8","mems":"1"}}"#, &["AllowedCPUs=[7, 1] ay", "AllowedMemoryNodes=[2] ay"]),
            (V2, r#"{"cpu":{"cpus":"64"}}"#, &["AllowedCPUs=[0, 0, 0, 0, 0, 0, 0, 0, 1] ay"]),
            (
                V2,
                r#"{"cpu":{"cpus":"2-1"}}"#,
                &["invalid value of cpuset.cpus: invalid range: 2-1 (config.json \
                /linux/resources/cpu/cpus)"],
            ),
            (V2, r#"{"pids":{"limit":0}}"#, &["TasksMax=1 t"]),
            (V2, r#"{"pids":{"limit":-1}}"#, &["TasksMax=18446744073709551615 t"]),
            (V2, r#"{"pids":{"limit":7}}"#, &["TasksMax=7 t"]),
            (V2, r#"{"blockIO":{"weight":500}}"#, &["IOWeight=4950 t"]),
            (V2, r#"{"blockIO":{"weight":9}}"#, &["IOWeight=1 t"]),
            // Only files.
            (
                V2,
                r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":500}]},
                    "hugepageLimits":[{"pageSize":"2MB","limit":4}],"rdma":{"x":{"hcaHandles":1}},
                    "devices":[{"allow":true,"access":"rwm"}],"cpu":{"burst":5},"memory":{"swappiness":5}}"#,
                &[],
            ),
            (
                V2,
                r#"{"unified":{"memory.high":"5","memory.low":"0","memory.max":"max","memory.min":"1","memory.swap.max":"0",
                    "pids.max":" 9 ","cpu.weight":"20000","cpuset.cpus":"0","cpuset.mems":"0-1","io.max":"8:0 rbps=1"}}"#,
                &[
                    "CPUWeight=10000 t",
                    "AllowedCPUs=[1] ay",
                    "AllowedMemoryNodes=[3] ay",
                    "MemoryHigh=5 t",
                    "MemoryLow=0 t",
                    "MemoryMax=18446744073709551615 t",
                    "MemoryMin=1 t",
                    "MemorySwapMax=0 t",
                    "TasksMax=9 t",
                ],
            ),
            (V2, r#"{"unified":{"cpu.idle":"1","cpu.weight":"5"}}"#, &["CPUWeight=0 t"]),
            (V2, r#"{"unified":{"cpu.idle":"0","cpu.weight":"5"}}"#, &["CPUWeight=5 t"]),
            (
                V2,
                r#"{"unified":{"cpu.max":"max"}}"#,
                &["CPUQuotaPeriodUSec=100000 t", "CPUQuotaPerSecUSec=18446744073709551615 t"],
            ),
            // What is said last counts, as in the files.
            (
                V2,
                r#"{"cpu":{"quota":1000},"memory":{"limit":1},"unified":{"cpu.max":"10001 20000","memory.max":"2"}}"#,
                &[
                    "CPUQuotaPerSecUSec=10000 t",
                    "MemoryMax=1 t",
                    "CPUQuotaPeriodUSec=20000 t",
                    "CPUQuotaPerSecUSec=510000 t",
                    "MemoryMax=2 t",
                ],
            ),
            (
                V2,
                r#"{"unified":{"a/b":"1"}}"#,
                &["unified resource \"a/b\" must be a file name (no slashes) (config.json \
                /linux/resources/unified/a~1b)"],
            ),
            (
                V2,
                r#"{"unified":{"memory.max":"1G"}}"#,
                &["invalid value of memory.max: \"1G\" (config.json \
                /linux/resources/unified/memory.max)"],
            ),
            (
                V1,
                r#"{"memory":{"limit":-1,"swap":-1,"reservation":1},"cpu":{"shares":1,"quota":50000,"period":100000,"idle":1,
                    "cpus":"0"},"pids":{"limit":5},"blockIO":{"weight":5}}"#,
                &[
                    "CPUQuotaPeriodUSec=100000 t",
                    "CPUQuotaPerSecUSec=500000 t",
                    "AllowedCPUs=[1] ay",
                    "MemoryLimit=18446744073709551615 t",
                    "CPUShares=2 t",
                    "TasksMax=5 t",
                    "BlockIOWeight=10 t",
                ],
            ),
            (V1, r#"{"cpu":{"quota":-1}}"#, &["CPUQuotaPerSecUSec=18446744073709551615 t"]),
        ];
        for (version, json, expected) in table {
            assert_eq!(of(*version, 257, json), *expected, "{json}");
        }
    }

    #[test]
    fn bad_values_of_cpu_max() {
        for value in ["-1", "0", "x", "5 x", "5 0", "1 2 3", "max max", "99999999999999999999"] {
            let e = of(V2, 257, &format!(r#"{{"unified":{{"cpu.max":"{value}"}}}}"#));
            assert_eq!(
                e,
                [format!("invalid value of cpu.max: {value:?} (config.json /linux/resources/unified/cpu.max)")]
            );
        }
    }

    /// A systemd that does not know a property would refuse the whole unit.
    #[test]
    fn older_systemd() {
        let json = r#"{"cpu":{"shares":1024,"idle":1,"quota":1000,"period":10000,"cpus":"0","mems":"0"},
            "unified":{"cpu.idle":"1","cpu.weight":"7","memory.oom.group":"1"}}"#;
        let none: &[&str] = &["CPUQuotaPerSecUSec=100000 t", "CPUWeight=7 t"];
        let period: &[&str] = &["CPUQuotaPeriodUSec=10000 t", "CPUQuotaPerSecUSec=100000 t", "CPUWeight=7 t"];
        let cpuset: &[&str] = &["AllowedCPUs=[1] ay", "AllowedMemoryNodes=[1] ay"];
        let idle: &[&str] = &["CPUWeight=0 t"];
        let with_cpuset = [&period[..2], cpuset, &period[2..]].concat();
        let with_idle = [&period[..2], idle, cpuset, idle].concat();
        for (systemd, expected) in [
            (0, none),
            (241, none),
            (242, period),
            (243, period),
            (244, &with_cpuset),
            (251, &with_cpuset),
            (252, &with_idle),
        ] {
            assert_eq!(of(V2, systemd, json), expected, "{systemd}");
        }
        assert!(needs_version(&parse(json)));
        for (json, needed) in [
            ("{}", false),
            (r#"{"memory":{"limit":5},"cpu":{"shares":5,"quota":10000,"period":0},"pids":{"limit":5}}"#, false),
            (r#"{"unified":{"memory.high":"5"}}"#, false),
            (r#"{"unified":{"memory.oom.group":"1"}}"#, true),
            (r#"{"cpu":{"period":5}}"#, true),
            (r#"{"cpu":{"idle":0}}"#, true),
            (r#"{"cpu":{"mems":"0"}}"#, true),
        ] {
            let resources = parse(json);
            assert_eq!(needs_version(&resources), needed, "{json}");
            if !needed {
                assert_eq!(of(V2, 0, json), of(V2, 999, json), "{json}");
            }
        }
    }

    #[test]
    fn quota_in_whole_percents() {
        for (quota, period, per_second, rounded) in [
            (50_000, 100_000, 500_000, 50_000),
            (33_333, 100_000, 340_000, 34_000),
            (33_333, 0, 340_000, 34_000),
            (1, 100_000, 10_000, 1000),
            (1500, 1000, 1_500_000, 1500),
            (10_001, 20_000, 510_000, 10_200),
            (1, 99, 20_000, 1),
            (i64::MAX, 1, u64::MAX, i64::MAX),
        ] {
            assert_eq!(super::per_second(quota, period).1, per_second, "{quota} {period}");
            assert_eq!(rounded_quota(quota, period), rounded, "{quota} {period}");
            let mut resources = parse(&format!(r#"{{"cpu":{{"quota":{quota},"period":{period}}}}}"#));
            round_quota(&mut resources);
            assert_eq!(resources.cpu.unwrap().quota, Some(rounded));
        }
        for json in ["{}", r#"{"cpu":{}}"#, r#"{"cpu":{"quota":-1,"period":5}}"#, r#"{"cpu":{"quota":0}}"#] {
            let mut resources = parse(json);
            round_quota(&mut resources);
            assert_eq!(resources, parse(json));
        }
    }

    #[test]
    fn device_rules() {
        let rules = |json: &str| DeviceList::new(&serde_json::from_str::<Vec<_>>(json).unwrap(), &[]).unwrap();
        let shown = |version, json| lines(devices(version, &rules(json)));
        let strict = |rest: &str| {
            let default = r#"("/dev/char/1:3", "rwm"), ("/dev/char/1:5", "rwm"), ("/dev/char/1:7", "rwm"), ("/dev/char/1:8", "rwm"), ("/dev/char/1:9", "rwm"), ("/dev/char/5:0", "rwm"), ("/dev/char/5:2", "rwm"), ("/dev/char/10:200", "rwm"), ("char-pts", "rwm"), ("char-136", "rwm")"#;
            let all = format!(r#"DeviceAllow=[{}] a(ss)"#, rest.replace("DEFAULT", default));
            vec!["DeviceAllow=[] a(ss)".to_string(), "DevicePolicy=\"strict\" s".into(), all]
        };
        let auto = ["DeviceAllow=[] a(ss)", "DevicePolicy=\"auto\" s"];
        for version in [V1, V2] {
            assert_eq!(shown(version, "[]"), strict(r#"("block-*", "m"), ("char-*", "m"), DEFAULT"#));
            assert_eq!(shown(version, r#"[{"allow":true,"access":"rwm"}]"#), auto);
            assert_eq!(
                shown(
                    version,
                    r#"[{"allow":true,"type":"b","major":8,"access":"r"},{"allow":true,"type":"c","major":195,"access":"rw"}]"#
                ),
                strict(r#"("block-*", "m"), ("block-8", "r"), ("char-*", "m"), DEFAULT, ("char-195", "rw")"#)
            );
        }
        // What systemd cannot say: on v1 it must not open more, on v2 it must not close more.
        let hole = r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":11,"access":"w"}]"#;
        assert_eq!(shown(V2, hole), auto);
        assert_eq!(shown(V1, hole), &strict("")[..2]);
        let minor = r#"[{"allow":true,"type":"c","minor":200,"access":"r"}]"#;
        assert_eq!(shown(V2, minor), auto);
        assert_eq!(shown(V1, minor), strict(r#"("block-*", "m"), ("char-*", "m"), DEFAULT"#));
    }

    #[test]
    fn the_whole_unit() {
        let name = |path: &str| UnitName::new(path, "id1", super::super::Scope::System).unwrap();
        let annotations = [("org.systemd.property.MemoryMax".to_string(), "uint64 9".to_string())].into();
        let list = DeviceList::deny_all();
        let resources = parse(r#"{"memory":{"limit":5},"unified":{"memory.oom.group":"1"}}"#);
        let unit = |path: &str, version, devices| {
            let name = name(path);
            let request = Request {
                name: &name,
                version,
                systemd: 253,
                resources: &resources,
                devices,
                annotations: &annotations,
            };
            Unit::new(&request).unwrap()
        };
        let shown = unit("a-b.slice:p:x", V2, Some(&list));
        assert_eq!(shown.name, "p-x.scope");
        let fields: Vec<_> = shown.properties.iter().map(|p| p.field.clone()).collect();
        let expected = [
            ("Description=\"libcontainer container x\" s", ""),
            ("Slice=\"a-b.slice\" s", ""),
            ("Delegate=true b", ""),
            ("MemoryAccounting=true b", ""),
            ("CPUAccounting=true b", ""),
            ("IOAccounting=true b", ""),
            ("TasksAccounting=true b", ""),
            ("DefaultDependencies=false b", ""),
            ("MemoryMax=9 t", "/annotations/org.systemd.property.MemoryMax"),
            ("OOMPolicy=\"kill\" s", "/linux/resources/unified/memory.oom.group"),
            ("DeviceAllow=[] a(ss)", "/linux/resources/devices"),
            ("DevicePolicy=\"strict\" s", "/linux/resources/devices"),
            ("DeviceAllow=[] a(ss)", "/linux/resources/devices"),
            ("MemoryMax=5 t", "/linux/resources/memory/limit"),
        ];
        assert_eq!(lines(shown.properties), expected.map(|(line, _)| line));
        assert_eq!(fields, expected.map(|(_, field)| field));
        let slice = unit("-.slice:p:a.slice", V2, None);
        assert_eq!(slice.name, "a.slice");
        assert_eq!(lines(slice.properties)[1..3], ["Wants=[\"-.slice\"] as", "MemoryAccounting=true b"]);
        let resources = parse("{}");
        let name = name("");
        let none = BTreeMap::new();
        let old =
            Request { name: &name, version: V1, systemd: 0, resources: &resources, devices: None, annotations: &none };
        assert_eq!(lines(Unit::new(&old).unwrap().properties)[5], "BlockIOAccounting=true b");
    }
}
