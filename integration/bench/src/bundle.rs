//! Bundles: the default config of `runc spec` without a terminal, with few changes, one directory a runtime (because the
//! cgroup differs), one root filesystem for all.

use crate::Result;
use crate::runtimes::Runtime;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A bundle, for each runtime.
pub struct Bundle {
    base: PathBuf,
    /// The root filesystem that all share: it is mounted read-only.
    pub rootfs: PathBuf,
}

impl Bundle {
    /// The bundle's directory for a runtime.
    pub fn dir(&self, runtime: &str) -> PathBuf {
        self.base.join(runtime)
    }

    /// Writes config.json for each runtime: the default with `change` applied.
    pub fn new(work: &Path, name: &str, runtimes: &[Runtime], change: impl Fn(&mut Value)) -> Result<Self> {
        let bundle = Bundle { base: work.join(name), rootfs: work.join("rootfs") };
        let default: Value = serde_json::from_slice(&fs::read(work.join("config.json"))?)?;
        for runtime in runtimes {
            let mut config = default.clone();
            set(&mut config, "/process/terminal", json!(false));
            set(&mut config, "/process/args", json!(["/bin/true"]));
            set(&mut config, "/root/path", json!(bundle.rootfs));
            set(&mut config, "/linux/cgroupsPath", json!(format!("/{}/{}", parent(), runtime.name)));
            change(&mut config);
            let dir = bundle.dir(&runtime.name);
            fs::create_dir_all(&dir)?;
            fs::write(dir.join("config.json"), serde_json::to_vec_pretty(&config)?)?;
        }
        Ok(bundle)
    }
}

/// The cgroup above those of all containers here: never a runtime's default, which could be shared with others.
pub fn parent() -> String {
    format!("dunnage-bench-{}", std::process::id())
}

/// Sets a value by JSON pointer; objects on the way are made.
pub fn set(root: &mut Value, pointer: &str, value: Value) {
    let mut at = root;
    for key in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        let Some(object) = at.as_object_mut() else { return };
        at = object.entry(key).or_insert(Value::Null);
    }
    *at = value;
}

/// The seccomp profile that engines ship with, as the OCI section that they would make of it for the default
/// capabilities, or None when the host has no such file.
pub fn seccomp() -> Option<Value> {
    let profile: Value = serde_json::from_slice(&fs::read("/usr/share/containers/seccomp.json").ok()?).ok()?;
    let mut calls = vec![];
    for rule in profile.get("syscalls")?.as_array()? {
        let list = |pointer| rule.pointer(pointer).and_then(Value::as_array).filter(|l| !l.is_empty());
        let granted = |cap: &Value| ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"].iter().any(|c| cap == c);
        let wanted = list("/includes/caps").is_none_or(|l| l.iter().all(granted))
            && list("/includes/arches").is_none_or(|l| l.iter().any(|x| x == "amd64"))
            && list("/excludes/caps").is_none_or(|l| !l.iter().any(granted))
            && list("/excludes/arches").is_none_or(|l| !l.iter().any(|x| x == "amd64"));
        if !wanted {
            continue;
        }
        let mut kept = json!({});
        for key in ["names", "action", "errnoRet", "args"] {
            if let Some(v) = rule.get(key).filter(|v| !v.is_null()) {
                set(&mut kept, &format!("/{key}"), v.clone());
            }
        }
        calls.push(kept);
    }
    let mut section = json!({
        "defaultAction": profile.get("defaultAction")?,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": calls,
    });
    if let Some(errno) = profile.get("defaultErrnoRet") {
        set(&mut section, "/defaultErrnoRet", errno.clone());
    }
    Some(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_makes_objects_on_the_way() {
        let mut v = json!({"a": {"b": 1}});
        set(&mut v, "/a/b", json!(2));
        set(&mut v, "/c/d", json!([3]));
        assert_eq!(v, json!({"a": {"b": 2}, "c": {"d": [3]}}));
    }
}
