//! The features document (features.md, features-linux.md), made from the tables that the rest of the runtime uses, so
//! that it cannot promise what they do not know. What is said here must hold for the build, whatever the host has.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::default::OCI_VERSION;
use super::{landlock, mount_options, names, trace};
use crate::error::{Error, Result};

/// The oldest version whose configurations we take.
const OCI_VERSION_MIN: &str = "1.0.0";

/// In the order in which they run.
pub const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// What this build can do, as far as it does not follow from the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build<'a> {
    /// The systemd cgroup driver; with it, `org.systemd.property.` annotations have an effect.
    pub systemd: bool,
    /// Checkpoint and restore; with it, the annotation `org.criu.config` has an effect.
    pub criu: bool,
    /// `linux.intelRdt`.
    pub intel_rdt: bool,
    /// `linux.netDevices`.
    pub net_devices: bool,
    /// Architectures of seccomp profiles, sorted.
    pub seccomp_archs: &'a [&'a str],
    /// Which of the flags of seccomp(2) the running kernel knows.
    pub seccomp_flags: &'a [&'a str],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Features<'a> {
    oci_version_min: &'a str,
    oci_version_max: &'a str,
    hooks: [&'a str; 6],
    mount_options: Vec<&'a str>,
    linux: Linux<'a>,
    annotations: BTreeMap<&'a str, &'a str>,
    potentially_unsafe_config_annotations: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux<'a> {
    namespaces: Vec<&'a str>,
    capabilities: Vec<&'a str>,
    cgroup: Cgroup,
    seccomp: Seccomp<'a>,
    apparmor: Enabled,
    selinux: Enabled,
    intel_rdt: IntelRdt,
    memory_policy: MemoryPolicy<'a>,
    mount_extensions: MountExtensions,
    net_devices: Enabled,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cgroup {
    v1: bool,
    v2: bool,
    systemd: bool,
    systemd_user: bool,
    rdma: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seccomp<'a> {
    enabled: bool,
    actions: Vec<&'a str>,
    operators: Vec<&'a str>,
    archs: &'a [&'a str],
    known_flags: Vec<&'a str>,
    supported_flags: Vec<&'a str>,
}

#[derive(Serialize)]
struct Enabled {
    enabled: bool,
}

#[derive(Serialize)]
struct IntelRdt {
    enabled: bool,
    schemata: bool,
    monitoring: bool,
}

#[derive(Serialize)]
struct MemoryPolicy<'a> {
    modes: Vec<&'a str>,
    flags: Vec<&'a str>,
}

#[derive(Serialize)]
struct MountExtensions {
    idmap: Enabled,
}

fn listed<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(name, _)| *name).collect()
}

/// The document, indented with four spaces, with a newline at the end.
pub fn json(build: &Build<'_>) -> Result<String> {
    let mut unsafe_annotations = vec![landlock::ANNOTATION, trace::ANNOTATION];
    if build.systemd {
        unsafe_annotations.push("org.systemd.property.");
    }
    if build.criu {
        unsafe_annotations.push("org.criu.config");
    }
    let mut annotations = BTreeMap::from([("io.dunnage.version", env!("CARGO_PKG_VERSION"))]);
    if build.criu {
        annotations.insert("org.opencontainers.runc.checkpoint.enabled", "true");
    }
    let features = Features {
        oci_version_min: OCI_VERSION_MIN,
        oci_version_max: OCI_VERSION,
        hooks: HOOKS,
        mount_options: mount_options::names().collect(),
        linux: linux(build),
        // `org.opencontainers.runc.commit` is runc's alone, says runtime-spec.
        annotations,
        potentially_unsafe_config_annotations: unsafe_annotations,
    };
    let mut out = Vec::new();
    features
        .serialize(&mut Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b"    ")))
        .map_err(|e| Error::new(format!("write json: {e}")))?;
    out.push(b'\n');
    String::from_utf8(out).map_err(|e| Error::new(format!("write json: {e}")))
}

fn linux<'a>(build: &Build<'a>) -> Linux<'a> {
    let known = listed(&names::SECCOMP_FLAGS);
    Linux {
        namespaces: names::NAMESPACES.iter().map(|n| n.name).collect(),
        capabilities: names::CAPABILITIES.to_vec(),
        cgroup: Cgroup { v1: true, v2: true, systemd: build.systemd, systemd_user: build.systemd, rdma: true },
        seccomp: Seccomp {
            enabled: true,
            actions: listed(names::SECCOMP_ACTIONS),
            operators: listed(names::SECCOMP_OPERATORS),
            archs: build.seccomp_archs,
            supported_flags: known.iter().copied().filter(|f| build.seccomp_flags.contains(f)).collect(),
            known_flags: known,
        },
        apparmor: Enabled { enabled: true },
        selinux: Enabled { enabled: true },
        intel_rdt: IntelRdt { enabled: build.intel_rdt, schemata: build.intel_rdt, monitoring: build.intel_rdt },
        memory_policy: MemoryPolicy { modes: listed(names::MPOL_MODES), flags: listed(names::MPOL_FLAGS) },
        mount_extensions: MountExtensions { idmap: Enabled { enabled: true } },
        net_devices: Enabled { enabled: build.net_devices },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const BUILD: Build<'static> = Build {
        systemd: true,
        criu: false,
        intel_rdt: true,
        net_devices: true,
        seccomp_archs: &["SCMP_ARCH_X86_64"],
        seccomp_flags: &["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"],
    };

    fn document(build: &Build<'_>) -> Value {
        serde_json::from_str(&super::json(build).unwrap()).unwrap()
    }

    #[test]
    fn what_callers_look_at() {
        let text = super::json(&BUILD).unwrap();
        assert!(text.starts_with(
            "{\n    \"ociVersionMin\": \"1.0.0\",\n    \"ociVersionMax\": \"1.3.0\",\n    \"hooks\": [\n"
        ));
        assert!(text.ends_with("\n}\n"));
        let doc = document(&BUILD);
        let options: Vec<&str> = doc["mountOptions"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(options.is_sorted());
        for option in ["rro", "tmpcopyup", "defaults", "bind", "runbindable"] {
            assert!(options.contains(&option), "{option}");
        }
        assert!(!options.contains(&"idmap") && !options.contains(&"ridmap"));
        assert_eq!(doc["linux"]["mountExtensions"]["idmap"]["enabled"], true);
        assert_eq!(
            doc["linux"]["namespaces"],
            json!(["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"])
        );
        assert_eq!(doc["linux"]["capabilities"].as_array().unwrap().len(), 41);
        assert_eq!(doc["linux"]["seccomp"]["actions"].as_array().unwrap().len(), 9);
        assert_eq!(doc["linux"]["seccomp"]["operators"].as_array().unwrap().len(), 7);
        assert_eq!(
            doc["linux"]["seccomp"]["knownFlags"],
            json!([
                "SECCOMP_FILTER_FLAG_TSYNC",
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                "SECCOMP_FILTER_FLAG_LOG",
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
            ])
        );
        assert_eq!(
            doc["linux"]["seccomp"]["supportedFlags"],
            json!(["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"])
        );
        assert_eq!(doc["linux"]["memoryPolicy"]["modes"].as_array().unwrap().len(), 7);
        assert!(doc["annotations"].get("org.opencontainers.runc.commit").is_none());
    }

    #[test]
    fn nothing_is_claimed_that_the_build_lacks() {
        let none = Build { systemd: false, criu: false, intel_rdt: false, net_devices: false, ..BUILD };
        let doc = document(&none);
        assert_eq!(doc["potentiallyUnsafeConfigAnnotations"], json!(["io.dunnage.landlock", "io.dunnage.trace"]));
        assert_eq!(doc["linux"]["cgroup"]["systemd"], false);
        assert_eq!(doc["linux"]["netDevices"]["enabled"], false);
        let all = Build { criu: true, ..BUILD };
        assert_eq!(
            document(&all)["potentiallyUnsafeConfigAnnotations"],
            json!(["io.dunnage.landlock", "io.dunnage.trace", "org.systemd.property.", "org.criu.config"])
        );
    }

    #[test]
    fn read_by_an_independent_implementation() {
        let read: oci_spec::runtime::Features = serde_json::from_str(&super::json(&BUILD).unwrap()).unwrap();
        assert_eq!(read.oci_version_max(), "1.3.0");
    }
}
