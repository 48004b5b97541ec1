//! `linux.resources` -> the files to write and their values, in order, for cgroup v1 (`v1`) and v2 (`v2`). Pure. What
//! depends on the kernel is told as a rule with the setting ([`Missing`], [`Setting::retry`], [`Setting::read_back`]), which
//! `apply` evaluates. Device rules are elsewhere ([`super::devices`]).

mod v1;
mod v2;

pub(crate) use v2::cpu_weight;

use std::borrow::Cow;

use super::host::Version;
use crate::error::{Error, Result};
use crate::spec::text::push_pointer;
use crate::spec::{HugepageLimit, Rdma, Resources};

/// One value for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Whose file it is; on v1 also in which hierarchy.
    pub controller: Cow<'static, str>,
    /// Name of the file.
    pub file: Cow<'static, str>,
    /// What is written, in one write(2).
    pub value: String,
    /// JSON pointer of the field that asked for it.
    pub field: Cow<'static, str>,
    /// If the kernel has no such file.
    pub missing: Missing,
    /// `EINVAL` may come of the order: try again after the controller's other settings.
    pub retry: bool,
    /// The kernel clamps in silence: what it took is compared with what was written.
    pub read_back: bool,
    /// v1: must be there before a process can enter.
    pub before_join: bool,
}

/// What to do when the file does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// Fail.
    Error,
    /// The setting has no meaning without it.
    Ignore,
    /// Another file says the same in its own units.
    Instead {
        /// Name of the other file.
        file: &'static str,
        /// Its value.
        value: String,
    },
}

/// Everything that config.json asks of the cgroup, devices apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// In the order in which they are written; one controller's are together.
    pub list: Vec<Setting>,
    /// `memory.checkBeforeUpdate` on v2: (limit, memory + swap limit) in bytes that must be above the current usage.
    pub above_usage: Option<(i64, i64)>,
}

impl Settings {
    /// Of `resources`, for a host whose limits are in hierarchies of `version`.
    pub fn new(version: Version, resources: &Resources) -> Result<Settings> {
        let mut list = Vec::new();
        let mut above_usage = None;
        match version {
            Version::V1 => v1::settings(&mut list, resources)?,
            Version::V2 => {
                v2::settings(&mut list, resources)?;
                above_usage = v2::above_usage(resources);
            }
        }
        Ok(Settings { list, above_usage })
    }

    /// Nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// A setting without special rules.
fn set(file: impl Into<Cow<'static, str>>, value: impl ToString, field: impl Into<Cow<'static, str>>) -> Setting {
    let file = file.into();
    // `memory.max` -> `memory`; names of controllers have no dots.
    let controller = match &file {
        Cow::Borrowed(name) => Cow::Borrowed(name.split('.').next().unwrap_or_default()),
        Cow::Owned(name) => Cow::Owned(name.split('.').next().unwrap_or_default().into()),
    };
    Setting {
        controller,
        file,
        value: value.to_string(),
        field: field.into(),
        missing: Missing::Error,
        retry: false,
        read_back: false,
        before_join: false,
    }
}

/// Nonzero; zero is "not set" for the values that Go programs cannot leave out.
fn given(n: Option<i64>) -> Option<i64> {
    n.filter(|n| *n != 0)
}

/// hugetlb.SIZE.`limit` and its reservation counterpart (Linux 5.7), which also counts at mmap time.
fn hugetlb(out: &mut Vec<Setting>, limits: &[HugepageLimit], limit: &str) -> Result<()> {
    for (i, huge) in limits.iter().enumerate() {
        let field = format!("/linux/resources/hugepageLimits/{i}");
        if huge.page_size.is_empty() || !huge.page_size.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Error::new(format!("invalid huge page size {:?}", huge.page_size)).field(field));
        }
        out.push(set(format!("hugetlb.{}.{limit}", huge.page_size), huge.limit, field.clone()));
        let reserved = set(format!("hugetlb.{}.rsvd.{limit}", huge.page_size), huge.limit, field);
        out.push(Setting { missing: Missing::Ignore, ..reserved });
    }
    Ok(())
}

/// `mlx5_1 hca_handle=3 hca_object=10000`.
fn rdma<'a>(out: &mut Vec<Setting>, devices: impl IntoIterator<Item = (&'a String, &'a Rdma)>) -> Result<()> {
    for (device, limits) in devices {
        let field = format!("/linux/resources/rdma/{}", pointer_part(device));
        if !is_word(device) {
            return Err(Error::new(format!("invalid RDMA device name {device:?}")).field(field));
        }
        let mut line = device.clone();
        for (key, limit) in [("hca_handle", limits.hca_handles), ("hca_object", limits.hca_objects)] {
            if let Some(limit) = limit {
                line.push_str(&format!(" {key}={limit}"));
            }
        }
        out.push(set("rdma.max", line, field));
    }
    Ok(())
}

/// A name that stays one field of a line.
fn is_word(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_whitespace)
}

/// The pids limit; the kernel has no way to forbid the first process that does not also keep it out, so 0 becomes 1.
fn pids_max(limit: i64) -> String {
    match limit {
        ..0 => "max".into(),
        0 => "1".into(),
        n => n.to_string(),
    }
}

/// A key as a part of a JSON pointer (RFC 6901).
fn pointer_part(key: &str) -> String {
    let mut part = String::new();
    push_pointer(&mut part, key);
    part.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn compile(version: Version, json: &str) -> Result<Settings> {
        Settings::new(version, &serde_json::from_str::<Resources>(json).unwrap())
    }

    /// `file=value` of each, with its rules after it.
    pub(super) fn lines(version: Version, json: &str) -> Vec<String> {
        let settings = match compile(version, json) {
            Ok(settings) => settings.list,
            Err(e) => return vec![e.to_string()],
        };
        let line = |s: Setting| {
            let mut line = format!("{}={}", s.file, s.value);
            match s.missing {
                Missing::Error => {}
                Missing::Ignore => line.push_str(" (optional)"),
                Missing::Instead { file, value } => line.push_str(&format!(" (or {file}={value})")),
            }
            for (flag, name) in [(s.retry, " (retry)"), (s.read_back, " (read back)"), (s.before_join, " (early)")] {
                line.push_str(if flag { name } else { "" });
            }
            line
        };
        settings.into_iter().map(line).collect()
    }

    #[test]
    fn nothing_asked_nothing_written() {
        for version in [Version::V1, Version::V2] {
            for json in [
                "{}",
                r#"{"devices":[{"allow":false,"access":"rwm"}]}"#,
                r#"{"memory":{},"cpu":{},"pids":{},"blockIO":{}}"#,
                r#"{"memory":{"limit":0,"swap":0,"reservation":0,"kernel":5,"kernelTCP":5,"useHierarchy":true}}"#,
                r#"{"cpu":{"shares":0,"quota":0,"period":0,"cpus":"","mems":""},"blockIO":{"weight":0}}"#,
            ] {
                assert!(compile(version, json).unwrap().is_empty(), "{json}");
            }
        }
    }

    #[test]
    fn fields_are_json_pointers() {
        let json = r#"{"memory":{"limit":1},"hugepageLimits":[{"pageSize":"2MB","limit":2}],"rdma":{"a/b":{"hcaHandles":1}},
            "blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}]}}"#;
        for version in [Version::V1, Version::V2] {
            let fields: Vec<_> = compile(version, json).unwrap().list.into_iter().map(|s| s.field).collect();
            for field in ["memory/limit", "hugepageLimits/0", "rdma/a~1b", "blockIO/throttleReadBpsDevice/0"] {
                let pointer = format!("/linux/resources/{field}");
                assert!(fields.iter().any(|f| *f == pointer), "{pointer} in {fields:?}");
            }
        }
    }

    #[test]
    fn a_page_size_is_no_path() {
        for version in [Version::V1, Version::V2] {
            for size in ["", "../x", "2MB/x", "2MB.max"] {
                let json = format!(r#"{{"hugepageLimits":[{{"pageSize":"{size}","limit":2}}]}}"#);
                let e = compile(version, &json).unwrap_err().to_string();
                assert!(e.starts_with("invalid huge page size"), "{e}");
            }
        }
    }

    fn number() -> impl Strategy<Value = serde_json::Value> {
        prop_oneof![
            Just(serde_json::Value::Null),
            any::<u16>().prop_map(Into::into),
            any::<i64>().prop_map(|n| n.unsigned_abs().into()),
            prop_oneof![Just(0u64), Just(1), Just(2), Just(262_144), Just(u64::from(u16::MAX))].prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
        ]
    }

    proptest! {
        /// Any numbers and names: an error or settings that each are one line for one file of the directory.
        #[test]
        fn one_line_for_one_file(n in proptest::collection::vec(number(), 24), name in "[a-z./~0-9 -]{0,12}") {
            let device = serde_json::json!([{"major": n[0], "minor": n[1], "rate": n[2], "weight": n[3], "leafWeight": n[4]}]);
            let json = serde_json::json!({
                "memory": {"limit": n[5], "swap": n[6], "reservation": n[7], "swappiness": n[8]},
                "cpu": {"shares": n[9], "quota": n[10], "period": n[11], "burst": n[12], "idle": n[13],
                    "realtimeRuntime": n[14], "realtimePeriod": n[15], "cpus": name},
                "pids": {"limit": n[16]},
                "blockIO": {"weight": n[17], "weightDevice": device, "throttleReadBpsDevice": device},
                "hugepageLimits": [{"pageSize": name, "limit": n[18]}],
                "network": {"classID": n[19], "priorities": [{"name": name, "priority": 1}]},
                "rdma": {&name: {"hcaHandles": n[20]}},
                "unified": {&name: "1\n2\n"},
            });
            // Each part alone, so that one that is refused does not hide the others.
            for (part, value) in json.as_object().unwrap() {
                let Ok(resources) = serde_json::from_value::<Resources>(serde_json::json!({part: value})) else { continue };
                for version in [Version::V1, Version::V2] {
                    for setting in Settings::new(version, &resources).map(|s| s.list).unwrap_or_default() {
                        prop_assert!(!setting.file.contains('/') && setting.file.contains('.'), "{setting:?}");
                        prop_assert!(!setting.value.contains('\n') && !setting.value.is_empty(), "{setting:?}");
                        prop_assert!(setting.field.starts_with("/linux/resources/"), "{setting:?}");
                    }
                }
            }
        }
    }
}
