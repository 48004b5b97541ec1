//! Namespaces, maps, and what may be set only inside namespaces.

use super::*;

#[test]
fn namespaces_and_maps() {
    let ns = |change: Value| json!({"linux": {"namespaces": namespaces(change)}});
    let user = |uid: Value, gid: Value| {
        json!({"linux": {"namespaces": namespaces(json!({"with": [{"type": "user"}]})),
            "uidMappings": uid, "gidMappings": gid}})
    };
    let map = |container: u32, host: u32, size: u32| json!([{"containerID": container, "hostID": host, "size": size}]);
    let at = "/linux/namespaces/6";
    errors(&[
        (ns(json!({"with": [{"type": "bogus"}]})), at, "namespace {\"bogus\" \"\"} does not exist"),
        (
            ns(json!({"with": [{"type": "pid", "path": "/proc/1/ns/pid"}]})),
            at,
            "malformed spec file: duplicated ns {\"pid\" \"/proc/1/ns/pid\"}",
        ),
        (
            ns(json!({"with": [{"type": "time", "path": "proc/1/ns/time"}]})),
            "/linux/namespaces/6/path",
            "namespace path \"proc/1/ns/time\" is not absolute",
        ),
        (user(json!([]), map(0, 1, 1)), "/linux/uidMappings", "user namespaces enabled, but no uid mappings found"),
        (user(map(0, 1, 1), json!([])), "/linux/gidMappings", "user namespaces enabled, but no gid mappings found"),
        (
            user(map(1, 1, 1), map(0, 1, 1)),
            "/linux/uidMappings",
            "user namespaces enabled, but no mapping found for uid 0",
        ),
        (
            user(map(0, 1, 1), map(1, 1, 9)),
            "/linux/gidMappings",
            "user namespaces enabled, but no mapping found for gid 0",
        ),
        (
            user(map(0, u32::MAX, 2), map(0, 1, 1)),
            "/linux/uidMappings/0",
            "invalid id mapping: range goes past the last id",
        ),
        (
            user(json!([map(0, 1000, 10)[0], map(9, 5000, 10)[0]]), map(0, 1, 1)),
            "/linux/uidMappings/1",
            "invalid id mapping: overlaps that of /linux/uidMappings/0",
        ),
        (
            user(map(0, 1, 1), json!([map(0, 1000, 10)[0], map(20, 990, 10)[0], map(30, 999, 2)[0]])),
            "/linux/gidMappings/2",
            "invalid id mapping: overlaps that of /linux/gidMappings/0",
        ),
        (
            user(map(0, 1, 1), (0..341).map(|i| map(i, i, 1)[0].clone()).collect()),
            "/linux/gidMappings",
            "invalid id mapping: 341 ranges are more than the kernel takes (340)",
        ),
        (ns(json!({"without": "uts"})), "/hostname", "unable to set hostname without a private UTS namespace"),
        (
            json!({"hostname": "", "domainname": "x", "linux": {"namespaces": namespaces(json!({"without": "uts"}))}}),
            "/domainname",
            "unable to set domainname without a private UTS namespace",
        ),
        (
            json!({"hostname": "x".repeat(65)}),
            "/hostname",
            "sethostname: invalid argument: hostname is longer than 64 bytes",
        ),
        (
            json!({"mounts": [], "linux": {"namespaces": namespaces(json!({"without": "mount"}))}}),
            "/linux/maskedPaths",
            "unable to restrict sys entries without a private MNT namespace",
        ),
        (
            json!({"mounts": [], "linux": {"maskedPaths": [], "namespaces": namespaces(json!({"without": "mount"}))}}),
            "/linux/readonlyPaths",
            "unable to restrict sys entries without a private MNT namespace",
        ),
        (
            json!({"linux": {"timeOffsets": {"boottime": {"secs": 1}}}}),
            "/linux/timeOffsets",
            "time namespace offsets specified, but time namespace isn't enabled in the config",
        ),
        (
            json!({"linux": {"timeOffsets": {"boottime": {"secs": 1}},
                "namespaces": namespaces(json!({"with": [{"type": "time", "path": "/x"}]}))}}),
            "/linux/timeOffsets",
            "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one",
        ),
        (
            json!({"linux": {"timeOffsets": {"real/time": {}}, "namespaces": namespaces(json!({"with": [{"type": "time"}]}))}}),
            "/linux/timeOffsets/real~1time",
            "invalid clock \"real/time\" in timeOffsets",
        ),
        (
            json!({"linux": {"rootfsPropagation": "x"}}),
            "/linux/rootfsPropagation",
            "rootfsPropagation=x is not supported",
        ),
    ]);
    let no_pivot = Options { no_pivot: true, ..ROOT };
    table(
        &HOST,
        &no_pivot,
        Severity::Error,
        &[(
            json!({"linux": {"rootfsPropagation": "rprivate"}}),
            "/linux/rootfsPropagation",
            "rootfsPropagation of [r]private is not safe without pivot_root",
        )],
    );
    accepted(
        &HOST,
        &ROOT,
        &[
            user(map(0, 100_000, 65536), map(0, 100_000, 65536)),
            // Maps without the namespace are ignored.
            json!({"linux": {"uidMappings": map(5, 5, 5)}}),
            ns(json!({"with": [{"type": "user", "path": "/proc/1/ns/user"}]})),
            json!({"linux": {"rootfsPropagation": "rslave"}}),
        ],
    );
}

#[test]
fn kernels_without_a_namespace() {
    for (kind, message) in [
        ("user", "user namespaces aren't enabled in the kernel"),
        ("time", "time namespaces aren't enabled in the kernel"),
        ("cgroup", "cgroup namespaces aren't enabled in the kernel"),
    ] {
        let mut spec = default::spec(false);
        let linux = spec.linux.as_mut().unwrap();
        linux.namespaces.push(crate::spec::Namespace { kind: kind.into(), path: "/x".into() });
        assert_eq!(told(&validate(&spec, &OLD_HOST, &ROOT)), [("/linux/namespaces/5", message)]);
    }
}

#[test]
fn maps_beside_a_path_must_be_the_same() {
    let at = |path: &str, uid: Value, gid: Value| {
        let mut spec = patched(json!({"linux": {
            "namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "user", "path": path}],
            "uidMappings": uid, "gidMappings": gid
        }}));
        spec.hostname.clear();
        spec
    };
    let host = HostFacts { has_namespace: &|_| true, ..OLD_HOST };
    let uid = json!([
        {"containerID": 10, "hostID": 5000, "size": 5},
        {"containerID": 0, "hostID": 1000, "size": 10},
    ]);
    let gid = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    assert_eq!(told(&validate(&at("/ns", uid.clone(), gid.clone()), &host, &ROOT)), []);
    let different = validate(&at("/ns", gid.clone(), gid.clone()), &host, &ROOT);
    assert_eq!(
        told(&different),
        [(
            "/linux/uidMappings",
            "user namespaces enabled, but both namespace path and non-matching mapping specified -- you may only \
             provide one"
        )]
    );
    let missing = validate(&at("/nosuch", uid, gid), &host, &ROOT);
    assert_eq!(
        told(&missing),
        [("/linux/namespaces", "failed to cache mappings for userns: open /nosuch: no such file or directory")]
    );
}

#[test]
fn sysctls() {
    let sysctl = |key: &str, without: &str| json!({"hostname": "", "linux": {"sysctl": {key: "1"}, "namespaces": namespaces(json!({"without": without}))}});
    let at = "/linux/sysctl/";
    for (key, without, message) in [
        ("kernel.core_pattern", "", "sysctl \"kernel.core_pattern\" is not in a separate kernel namespace"),
        ("kernel.shmmax", "ipc", "sysctl \"kernel.shmmax\" is not allowed in the hosts ipc namespace"),
        ("fs.mqueue.msg_max", "ipc", "sysctl \"fs.mqueue.msg_max\" is not allowed in the hosts ipc namespace"),
        ("net.ipv4.ip_forward", "network", "sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace"),
        ("kernel.domainname", "uts", "sysctl \"kernel.domainname\" is not in a separate kernel namespace"),
        ("kernel.hostname", "uts", "sysctl \"kernel.hostname\" is not in a separate kernel namespace"),
        (
            "kernel.hostname",
            "",
            "sysctl \"kernel.hostname\" is not allowed as it conflicts with the OCI \"hostname\" field",
        ),
        (
            "user.max_pid_namespaces",
            "",
            "setting ucounts without a user namespace not allowed: user.max_pid_namespaces",
        ),
        ("net.//.kernel.shmmni", "", "sysctl \"net.//.kernel.shmmni\" is not in a separate kernel namespace"),
    ] {
        let pointer = format!("{at}{}", key.replace('/', "~1"));
        errors(&[(sysctl(key, without), &pointer, message)]);
    }
    errors(&[
        (
            sysctl("net/ipv4/conf/eno2.100/rp_filter", "network"),
            "/linux/sysctl/net~1ipv4~1conf~1eno2.100~1rp_filter",
            "sysctl \"net.ipv4.conf.eno2/100.rp_filter\" not allowed in host network namespace",
        ),
        (
            json!({"linux": {"sysctl": {"kernel.shm_rmid_forced": "1+kernel.core_pattern=|/x"}}}),
            "/linux/sysctl/kernel.shm_rmid_forced",
            "invalid value of sysctl \"kernel.shm_rmid_forced\": contains another assignment",
        ),
        (
            json!({"linux": {"sysctl": {"kernel.shm_rmid_forced": "1\nx"}}}),
            "/linux/sysctl/kernel.shm_rmid_forced",
            "invalid value of sysctl \"kernel.shm_rmid_forced\": contains a line break",
        ),
    ]);
    accepted(
        &HOST,
        &ROOT,
        &[sysctl("kernel.shmmax", ""), sysctl("net/ipv4/ip_forward", ""), sysctl("kernel.domainname", "")],
    );
}

#[test]
fn net_sysctls_in_a_joined_namespace() {
    for (path, message) in [
        ("/proc/self/ns/net", Some("sysctl \"net.core.somaxconn\" not allowed in host network namespace")),
        ("/nosuch", Some("invalid netns path: stat /nosuch: no such file or directory")),
        ("/run/netns/a", None),
    ] {
        let spec = patched(json!({"hostname": "", "linux": {"sysctl": {"net.core.somaxconn": "1"},
            "namespaces": [{"type": "mount"}, {"type": "network", "path": path}]}}));
        let expected: Vec<_> = message.into_iter().map(|m| ("/linux/sysctl/net.core.somaxconn", m)).collect();
        assert_eq!(told(&validate(&spec, &OLD_HOST, &ROOT)), expected, "{path}");
    }
}

#[test]
fn network_devices() {
    let devices = |d: Value| json!({"linux": {"netDevices": d}});
    let at = |name: &str| format!("/linux/netDevices/{name}");
    errors(&[
        (devices(json!({"a b": {}})), &at("a b"), "invalid network device name \"a b\""),
        (devices(json!({"eth0": {"name": ".."}})), &at("eth0/name"), "invalid network device name \"..\""),
        (devices(json!({"eth0": {"name": "a:1"}})), &at("eth0/name"), "invalid network device name \"a:1\""),
        (
            devices(json!({"abcdefghijklmnop": {}})),
            &at("abcdefghijklmnop"),
            "invalid network device name \"abcdefghijklmnop\"",
        ),
        (
            json!({"linux": {"netDevices": {"eth0": {}}, "namespaces": namespaces(json!({"without": "network"}))}}),
            "/linux/netDevices",
            "unable to move network devices without a NET namespace",
        ),
        (
            devices(json!({"eth0": {"name": "net0"}, "eth1": {"name": "net0"}})),
            &at("eth1/name"),
            "two network devices are to be called \"net0\"",
        ),
        (
            devices(json!({"eth0": {"name": "eth1"}, "eth1": {}})),
            &at("eth1"),
            "two network devices are to be called \"eth1\"",
        ),
    ]);
    accepted(
        &HOST,
        &ROOT,
        &[
            devices(json!({"eth0": {"name": "eth%d"}, "abcdefghijklmno": {}})),
            devices(json!({"eth0": {"name": "eth1"}, "eth1": {"name": "eth0"}})),
            devices(json!({"eth0": {"name": "net%d"}, "eth1": {"name": "net%d"}})),
        ],
    );
}

#[test]
fn network_devices_into_a_joined_namespace() {
    for (path, message) in [
        ("/proc/self/ns/net", Some("unable to move network devices to the network namespace that they are in")),
        ("/nosuch", Some("invalid netns path: stat /nosuch: no such file or directory")),
        ("/run/netns/a", None),
    ] {
        let spec = patched(json!({"hostname": "", "linux": {"netDevices": {"eth1": {}},
            "namespaces": [{"type": "mount"}, {"type": "network", "path": path}]}}));
        let expected: Vec<_> = message.into_iter().map(|m| ("/linux/netDevices", m)).collect();
        assert_eq!(told(&validate(&spec, &OLD_HOST, &ROOT)), expected, "{path}");
    }
}
