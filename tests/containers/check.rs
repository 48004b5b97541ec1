//! `check` against what it speaks of: it finds an error exactly where `run` fails, and changes nothing.

use crate::common::{Bundle, case, json};
use std::os::unix::fs::PermissionsExt;

/// Seeds something, after which the bundle runs or does not.
type Case = (&'static str, bool, fn(&mut Bundle) -> &mut Bundle);

fn bind<'a>(b: &'a mut Bundle, source: &str, destination: &str, options: &[&str]) -> &'a mut Bundle {
    let options: Vec<&str> = ["bind"].iter().chain(options).copied().collect();
    b.mount(json!({"destination": destination, "type": "bind", "source": source, "options": options}))
}

fn mapped<'a>(b: &'a mut Bundle, source: &str) -> &'a mut Bundle {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    b.mount(json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["bind"],
        "uidMappings": map, "gidMappings": map}))
}

const CASES: &[Case] = &[
    ("as it is", true, |b| b),
    ("no root", false, |b| b.set("/root/path", "missing")),
    ("no source", false, |b| bind(b, "/nonexistent", "/mnt", &[])),
    ("a file on a directory", false, |b| bind(b, "/etc/passwd", "/bin", &[])),
    ("a directory on a file", false, |b| bind(b, "/tmp", "/etc/passwd", &[])),
    ("a file on a file", true, |b| bind(b, "/etc/passwd", "/etc/passwd", &["ro"])),
    ("ids of a directory", true, |b| {
        let dir = b.path("source");
        std::fs::create_dir(&dir).unwrap();
        mapped(b, dir.to_str().unwrap())
    }),
    ("ids of procfs", false, |b| mapped(b, "/proc/sys")),
    ("a namespace of another kind", false, |b| {
        b.drop_namespace("network").namespace("network", Some("/proc/1/ns/uts"))
    }),
    ("no namespace", false, |b| b.drop_namespace("uts").namespace("uts", Some("/etc/passwd"))),
    ("a user namespace", true, |b| b.user_namespace()),
    ("no hook", false, |b| b.set("/hooks/createRuntime", json!([{"path": "/nonexistent"}]))),
    ("a hook that can't be executed", false, |b| b.set("/hooks/createRuntime", json!([{"path": "/etc/passwd"}]))),
    ("more files than anybody may", false, |b| b.set("/process/rlimits/0/hard", 1_u64 << 40)),
    ("no such sysctl", false, |b| b.set("/linux/sysctl", json!({"net.nosuch.key": "1"}))),
    ("a sysctl", true, |b| b.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))),
    ("no agent", false, |b| {
        let calls = json!([{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]);
        b.set(
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nonexistent", "syscalls": calls}),
        )
    }),
    ("Landlock", true, |b| b.set("/annotations/io.dunnage.landlock", "{\"read\": [\"/\"]}")),
    ("a path that Landlock cannot keep", false, |b| b.set("/annotations/io.dunnage.landlock", "{\"read\": [\"bin\"]}")),
    ("no such controller", false, |b| {
        b.set("/linux/resources/hugepageLimits", json!([{"pageSize": "3MB", "limit": 0}]))
    }),
    // Last, since the others need the root.
    ("closed to the user namespace's root", false, |b| {
        b.user_namespace();
        std::fs::set_permissions(b.rootfs("/"), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(b.rootfs("/"), Some(0), Some(0)).unwrap();
        b
    }),
];

#[test]
fn finds_an_error_where_run_fails() {
    case(|b| {
        let plain = b.args(&["/bin/true"]).config.clone();
        for (name, runs, seed) in CASES {
            b.config = plain.clone();
            seed(b).write_config();
            let bundle = b.bundle().display().to_string();
            let check = b.rt(&["check", "--bundle", &bundle, "--format", "json"]);
            let findings: serde_json::Value =
                serde_json::from_str(&check.out).unwrap_or_else(|e| panic!("{e}: {check}"));
            let errors = findings.as_array().unwrap().iter().filter(|f| f["verdict"] == "error").count();
            assert_eq!((errors == 0, check.code == 0), (*runs, *runs), "{name}: {check}");
            b.assert_gone();
            let run = b.run();
            assert_eq!(run.code == 0, *runs, "{name}: {run}");
            b.assert_gone();
        }
    });
}
