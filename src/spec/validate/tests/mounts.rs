//! Mounts, and what a user who is not root may not do.

use super::*;

#[test]
fn mounts() {
    let mounts = |mount: Value| json!({"mounts": [mount]});
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    let shown = |dest: &str, kind: &str, options: &str, uid: &str, gid: &str| {
        format!(
            "invalid mount {{Destination:{dest} Type:{kind} Source: Options:[{options}] UIDMappings:[{uid}] \
             GIDMappings:[{gid}]}}: "
        )
    };
    let range = "{ContainerID:0 HostID:1000 Size:1}";
    errors(&[
        (
            mounts(json!({"destination": "/a", "type": "none", "options": ["rbind", "x=1"]})),
            "/mounts/0/options",
            &(shown("/a", "none", "rbind x=1", "", "")
                + "bind mounts cannot have any filesystem-specific options applied"),
        ),
        (
            mounts(
                json!({"destination": "/a", "type": "tmpfs", "options": ["idmap"], "uidMappings": map, "gidMappings": map}),
            ),
            "/mounts/0",
            &(shown("/a", "tmpfs", "idmap", range, range) + "id-mapped mounts are only supported for bind-mounts"),
        ),
        (
            mounts(json!({"destination": "/a", "options": ["bind"], "uidMappings": map})),
            "/mounts/0",
            &(shown("/a", "", "bind", range, "") + "id-mapped mounts must have both uid and gid mappings specified"),
        ),
        (
            mounts(json!({"destination": "/a", "options": ["bind", "ridmap"]})),
            "/mounts/0",
            &(shown("/a", "", "bind ridmap", "", "")
                + "id-mapped mounts must have both uid and gid mappings specified"),
        ),
        (
            mounts(json!({"destination": "/a\0", "type": "tmpfs"})),
            "/mounts/0",
            &(shown("/a\0", "tmpfs", "", "", "") + "mount field contains null byte"),
        ),
        (mounts(json!({"type": "tmpfs"})), "/mounts/0/destination", "mount destination must not be empty"),
        (
            mounts(json!({"destination": "/a", "options": ["bind"], "uidMappings": [{"size": 0}], "gidMappings": map})),
            "/mounts/0/uidMappings/0/size",
            "invalid id mapping: size must not be zero",
        ),
    ]);
    table(
        &HOST,
        &ROOT,
        Severity::Warning,
        &[(
            mounts(json!({"destination": "dev", "type": "tmpfs"})),
            "/mounts/0/destination",
            "mount destination dev is not absolute. Support for non-absolute mount destinations will be removed in a \
             future release.",
        )],
    );
    accepted(
        &HOST,
        &ROOT,
        &[
            mounts(json!({"destination": "/a", "source": "/b", "options": ["bind", "defaults", "rro"]})),
            mounts(json!({"destination": "/a", "type": "tmpfs", "options": ["defaults", "size=1k"]})),
            mounts(json!({"destination": "/a", "options": ["bind", "idmap"], "uidMappings": map, "gidMappings": map})),
        ],
    );
    // The user namespace's maps are the mount's.
    let mut with_userns = mounts(json!({"destination": "/a", "options": ["rbind", "ridmap"]}));
    with_userns["linux"] = json!({
        "namespaces": namespaces(json!({"with": [{"type": "user"}]})), "uidMappings": map, "gidMappings": map
    });
    accepted(&HOST, &ROOT, &[with_userns]);
}

#[test]
fn nothing_is_mounted_inside_proc() {
    for (destination, kind, options, message) in [
        ("/proc/x", "tmpfs", "ro", Some("\"/proc/x\" cannot be mounted because it is inside /proc")),
        ("/proc/x", "proc", "ro", Some("\"/proc/x\" cannot be mounted because it is inside /proc")),
        ("/proc/sys", "none", "bind", Some("\"/proc/sys\" cannot be mounted because it is inside /proc")),
        (
            "//a/.././proc//self/attr/",
            "none",
            "bind",
            Some("\"/proc/self/attr\" cannot be mounted because it is inside /proc"),
        ),
        ("/../proc/uptime/x", "none", "bind", Some("\"/proc/uptime/x\" cannot be mounted because it is inside /proc")),
        ("/proc", "tmpfs", "ro", Some("\"/proc\" cannot be mounted because it is not of type proc")),
        ("/proc/.", "sysfs", "ro", Some("\"/proc\" cannot be mounted because it is not of type proc")),
        ("/proc", "proc", "ro", None),
        ("/proc", "none", "rbind", None),
        ("/proc/uptime", "none", "bind", None),
        ("/proc/sys/kernel/ns_last_pid", "none", "bind", None),
        ("/procfs", "tmpfs", "ro", None),
    ] {
        let spec = patched(json!({"mounts": [{"destination": destination, "type": kind, "options": [options]}]}));
        let problems = validate(&spec, &HOST, &ROOT);
        let expected: Vec<_> = message.into_iter().map(|m| ("/mounts/0", m)).collect();
        assert_eq!(told(&problems), expected, "{destination}");
    }
}

#[test]
fn rootless() {
    let check = |patch: Value| {
        let mut config = serde_json::to_value(default::rootless(true, 1000, 1000)).unwrap();
        merge(&mut config, patch);
        let problems = validate(&parse::config(config.to_string().as_bytes()).unwrap(), &HOST, &ROOTLESS);
        problems.into_iter().map(|p| p.message).collect::<Vec<_>>()
    };
    assert_eq!(
        check(json!({"linux": {"namespaces": namespaces(json!({}))}})),
        ["rootless container requires user namespaces"]
    );
    assert_eq!(
        check(json!({"linux": {"uidMappings": [], "gidMappings": []}})),
        [
            "user namespaces enabled, but no uid mappings found",
            "user namespaces enabled, but no gid mappings found",
            "rootless containers requires at least one UID mapping",
            "rootless containers requires at least one GID mapping",
        ]
    );
    assert_eq!(
        check(json!({"process": {"user": {"additionalGids": [0]}}})),
        ["cannot set any additional groups in a rootless container"]
    );
    assert_eq!(
        check(json!({"mounts": [{"destination": "/a", "type": "tmpfs", "options": ["uid=5", "gid=0", "uid=x"]}]})),
        ["cannot specify uid=5 mount option for rootless container: user namespaces enabled, but no mapping found \
             for uid 5"]
    );
    assert!(
        check(json!({"mounts": [{"destination": "/a", "options": ["bind", "idmap"]}]}))[0]
            .ends_with("id-mapped mounts are not supported for rootless containers")
    );
    assert_eq!(
        check(
            json!({"linux": {"netDevices": {"eth0": {}}, "namespaces": namespaces(json!({"with": [{"type": "user"}]}))}})
        ),
        ["network devices are not supported for rootless containers"]
    );
}
