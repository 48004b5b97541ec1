//! The sandbox of a pod as a container: config.json of the process that holds the pod's namespaces, from what the kubelet asks for. As
//! containerd's own sandboxer makes it of an image's pause; here the program is [`PROGRAM`], which nobody else uses. Pure.

use serde_json::{Value, json};

use crate::proto::cri::{
    IdMapping, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceOption, PodSandboxConfig, UserNamespace,
    namespace_mode,
};
use crate::ttrpc::Failure;

/// The name of the program in its root.
pub const PROGRAM: &str = "pause";
/// The kernel kills it after everything else: with it the pod's namespaces would go.
pub const OOM_SCORE_ADJ: i32 = -998;

/// config.json of a sandbox.
///
/// # Errors
/// `invalid`: a user namespace without ids, or with several ranges where containerd maps one.
pub fn spec(id: &str, config: &PodSandboxConfig, netns: &str, oom_score_adj: i32) -> Result<Vec<u8>, Failure> {
    let linux = config.linux.clone().unwrap_or_default();
    let security = linux.security_context.clone().unwrap_or_default();
    let options = security.namespace_options.clone().unwrap_or_default();
    let users = user_namespace(options.userns_options.as_ref())?;
    let own_network = options.network != namespace_mode::NODE;
    let mut spec = json!({
        "ociVersion": "1.2.0",
        "process": process(&security, oom_score_adj)?,
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=64k"]},
        ],
        "annotations": annotations(id, config, &linux),
        "linux": {
            "namespaces": namespaces(&options, netns, users.is_some()),
            "sysctl": sysctls(&linux, own_network, users.is_some()),
            // The least that there is: it sleeps.
            "resources": {"devices": [{"allow": false, "access": "rwm"}], "cpu": {"shares": 2}},
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                            "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    let Some(top) = spec.as_object_mut() else { return Err(Failure::unknown("the specification is no object")) };
    if own_network && !config.hostname.is_empty() {
        top.insert("hostname".into(), config.hostname.clone().into());
    }
    if let Some(Value::Object(platform)) = top.get_mut("linux") {
        if !linux.cgroup_parent.is_empty() {
            platform.insert("cgroupsPath".into(), cgroups_path(&linux.cgroup_parent, id).into());
        }
        if let Some((uids, gids)) = users {
            platform.insert("uidMappings".into(), uids);
            platform.insert("gidMappings".into(), gids);
        }
    }
    Ok(spec.to_string().into_bytes())
}

/// Nothing that it could do anything with: no capabilities, no new privileges.
fn process(security: &LinuxSandboxSecurityContext, oom_score_adj: i32) -> Result<Value, Failure> {
    let number = |value: Option<&crate::proto::cri::Int64Value>| {
        let value = value.map_or(0, |value| value.value);
        u32::try_from(value).map_err(|_| Failure::invalid(format_args!("user or group {value} is out of range")))
    };
    Ok(json!({
        "args": [format!("/{PROGRAM}")],
        "cwd": "/",
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "user": {
            "uid": number(security.run_as_user.as_ref())?,
            "gid": number(security.run_as_group.as_ref())?,
            "additionalGids": security.supplemental_groups,
        },
        // Said, since a process of which nothing is said keeps what we have.
        "capabilities": {"bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": []},
        "noNewPrivileges": true,
        "oomScoreAdj": oom_score_adj,
    }))
}

fn namespaces(options: &NamespaceOption, netns: &str, has_users: bool) -> Vec<Value> {
    let mut all = vec![json!({"type": "mount"})];
    if options.network != namespace_mode::NODE {
        // With the node's network goes the node's name.
        all.push(json!({"type": "uts"}));
        all.push(if netns.is_empty() { json!({"type": "network"}) } else { json!({"type": "network", "path": netns}) });
    }
    if options.pid != namespace_mode::NODE {
        all.push(json!({"type": "pid"}));
    }
    if options.ipc != namespace_mode::NODE {
        all.push(json!({"type": "ipc"}));
    }
    if has_users {
        all.push(json!({"type": "user"}));
    }
    all
}

/// Whose the root's directory has to be, for the runtime to make things in it: the ids of the pod's root.
pub fn root_owner(config: &PodSandboxConfig) -> (u32, u32) {
    let security = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    let options = security.and_then(|security| security.namespace_options.as_ref());
    let users = options.and_then(|options| options.userns_options.as_ref());
    let users = users.filter(|users| users.mode == namespace_mode::POD);
    let root = |ranges: &[IdMapping]| ranges.iter().find(|one| one.container_id == 0).map_or(0, |one| one.host_id);
    users.map_or((0, 0), |users| (root(&users.uids), root(&users.gids)))
}

/// The ranges of uids and gids, if the pod has a user namespace of its own.
fn user_namespace(options: Option<&UserNamespace>) -> Result<Option<(Value, Value)>, Failure> {
    let Some(options) = options.filter(|options| options.mode == namespace_mode::POD) else { return Ok(None) };
    let ranges = |what: &str, ranges: &[IdMapping]| match ranges {
        [one] if one.length > 0 => Ok(json!([{
            "containerID": one.container_id, "hostID": one.host_id, "size": one.length
        }])),
        _ => Err(Failure::invalid(format_args!("user namespace: one range of {what} is needed, not {}", ranges.len()))),
    };
    Ok(Some((ranges("uids", &options.uids)?, ranges("gids", &options.gids)?)))
}

/// A slice of systemd's is named by its last part.
fn cgroups_path(parent: &str, id: &str) -> String {
    let base = parent.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if base.ends_with(".slice") {
        format!("{base}:cri-containerd:{id}")
    } else {
        format!("{}/{id}", parent.trim_end_matches('/'))
    }
}

/// What a pod expects of a network of its own, where the kubelet has said nothing else: ports below 1024 and ping for everybody.
fn sysctls(
    linux: &LinuxPodSandboxConfig,
    own_network: bool,
    has_users: bool,
) -> std::collections::BTreeMap<String, String> {
    let mut all = linux.sysctls.clone();
    if own_network {
        all.entry("net.ipv4.ip_unprivileged_port_start".into()).or_insert_with(|| "0".into());
        // The ids of another user namespace are none there.
        if !has_users {
            all.entry("net.ipv4.ping_group_range".into()).or_insert_with(|| "0 2147483647".into());
        }
    }
    all
}

fn annotations(
    id: &str,
    config: &PodSandboxConfig,
    linux: &LinuxPodSandboxConfig,
) -> std::collections::BTreeMap<String, String> {
    let mut all = config.annotations.clone();
    let metadata = config.metadata.clone().unwrap_or_default();
    let mut add = |name: &str, value: String| all.insert(format!("io.kubernetes.cri.{name}"), value);
    add("container-type", "sandbox".into());
    add("sandbox-id", id.into());
    add("sandbox-name", metadata.name);
    add("sandbox-namespace", metadata.namespace);
    add("sandbox-uid", metadata.uid);
    add("sandbox-log-directory", config.log_directory.clone());
    if let Some(resources) = &linux.resources {
        add("sandbox-cpu-period", resources.cpu_period.to_string());
        add("sandbox-cpu-quota", resources.cpu_quota.to_string());
        add("sandbox-cpu-shares", resources.cpu_shares.to_string());
        add("sandbox-memory", resources.memory_limit_in_bytes.to_string());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::cri::{Int64Value, PodSandboxMetadata};

    fn made(config: &PodSandboxConfig, netns: &str) -> Value {
        let bytes = spec("p1", config, netns, OOM_SCORE_ADJ).unwrap();
        // The runtime takes what is written here.
        dunnage::spec::parse::config(&bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn kinds(spec: &Value) -> Vec<String> {
        let all = spec["linux"]["namespaces"].as_array().unwrap();
        all.iter()
            .map(|one| format!("{}{}", one["type"].as_str().unwrap(), one["path"].as_str().unwrap_or("")))
            .collect()
    }

    fn of(options: NamespaceOption) -> PodSandboxConfig {
        let security = LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
        PodSandboxConfig {
            hostname: "h".into(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: "/kubepods/pod7".into(),
                security_context: Some(security),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn whose_the_namespaces_are() {
        let pod = made(&of(NamespaceOption { pid: namespace_mode::CONTAINER, ..Default::default() }), "/run/netns/n");
        assert_eq!(kinds(&pod), ["mount", "uts", "network/run/netns/n", "pid", "ipc"]);
        assert_eq!(pod["hostname"], "h");
        assert_eq!(pod["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"], "0");
        let node = NamespaceOption { network: 2, pid: 2, ipc: 2, ..Default::default() };
        let node = made(&of(node), "");
        assert_eq!(kinds(&node), ["mount"]);
        // The name and the sysctls would be the node's.
        assert_eq!((node.get("hostname"), node["linux"]["sysctl"].as_object().unwrap().len()), (None, 0));
        assert_eq!(kinds(&made(&PodSandboxConfig::default(), "")), ["mount", "uts", "network", "pid", "ipc"]);
    }

    #[test]
    fn user_namespaces_have_one_range() {
        let range = IdMapping { host_id: 200_000, container_id: 0, length: 65536 };
        let options = |uids: Vec<IdMapping>, gids| {
            let users = UserNamespace { mode: namespace_mode::POD, uids, gids };
            of(NamespaceOption { userns_options: Some(users), ..Default::default() })
        };
        let pod = made(&options(vec![range.clone()], vec![range.clone()]), "");
        assert!(kinds(&pod).contains(&"user".into()));
        assert_eq!(pod["linux"]["uidMappings"], json!([{"containerID": 0, "hostID": 200_000, "size": 65536}]));
        assert_eq!(pod["linux"]["sysctl"].get("net.ipv4.ping_group_range"), None);
        assert_eq!(root_owner(&options(vec![range.clone()], vec![range.clone()])), (200_000, 200_000));
        assert_eq!(root_owner(&of(NamespaceOption::default())), (0, 0));
        for (uids, gids) in [(vec![], vec![range.clone()]), (vec![range.clone()], vec![range.clone(), range])] {
            let refused = spec("p1", &options(uids, gids), "", 0).unwrap_err();
            assert_eq!(refused.code, 3, "{}", refused.message);
        }
    }

    #[test]
    fn cgroups() {
        assert_eq!(cgroups_path("/kubepods/pod7", "i"), "/kubepods/pod7/i");
        assert_eq!(cgroups_path("/kubepods.slice/kubepods-pod7.slice", "i"), "kubepods-pod7.slice:cri-containerd:i");
        assert_eq!(made(&of(NamespaceOption::default()), "")["linux"]["cgroupsPath"], "/kubepods/pod7/p1");
    }

    #[test]
    fn names_users_and_limits() {
        let mut config = of(NamespaceOption::default());
        config.metadata =
            Some(PodSandboxMetadata { name: "n".into(), uid: "u".into(), namespace: "ns".into(), attempt: 0 });
        config.annotations.insert("a".into(), "b".into());
        let linux = config.linux.as_mut().unwrap();
        linux.sysctls.insert("net.ipv4.ip_unprivileged_port_start".into(), "80".into());
        linux.resources = Some(crate::proto::cri::LinuxContainerResources { cpu_shares: 7, ..Default::default() });
        linux.security_context.as_mut().unwrap().run_as_user = Some(Int64Value { value: 65535 });
        let pod = made(&config, "");
        assert_eq!(pod["annotations"]["io.kubernetes.cri.sandbox-name"], "n");
        assert_eq!(pod["annotations"]["io.kubernetes.cri.sandbox-cpu-shares"], "7");
        assert_eq!((&pod["annotations"]["a"], &pod["process"]["user"]["uid"]), (&json!("b"), &json!(65535)));
        assert_eq!(pod["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"], "80");
        assert_eq!(pod["process"]["oomScoreAdj"], -998);
        assert_eq!(pod["process"]["capabilities"]["bounding"], json!([]));
        config.linux.as_mut().unwrap().security_context.as_mut().unwrap().run_as_user = Some(Int64Value { value: -1 });
        assert_eq!(spec("p1", &config, "", 0).unwrap_err().code, 3);
    }
}
