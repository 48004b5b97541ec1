//! The commands that print or write documents: `spec`, `features`.

use crate::common::{base_config, case, host, json, strings};
use std::fs;

#[test]
fn spec_writes_the_default_configuration() {
    case(|b| {
        let dir = b.path("new");
        fs::create_dir(&dir).unwrap();
        b.bare(&["spec"]).dir(&dir).output().ok();
        let text = fs::read_to_string(dir.join("config.json")).unwrap();
        assert!(text.starts_with("{\n\t\"ociVersion\": \"1.") && !text.ends_with('\n'), "{text}");
        let mut written: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(written["process"]["terminal"], true);
        written["process"]["terminal"] = json!(false);
        written["ociVersion"] = json!("1.0.2");
        if fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok() {
            written["linux"]["namespaces"].as_array_mut().unwrap().retain(|n| n["type"] != "cgroup");
        }
        assert_eq!(written, base_config());
        b.bare(&["spec"]).dir(&dir).output().fails(1, "File config.json exists. Remove it first");
    });
}

#[test]
fn spec_in_another_bundle() {
    case(|b| {
        for flag in ["--bundle", "-b"] {
            let dir = b.path(flag);
            fs::create_dir(&dir).unwrap();
            b.bare(&["spec", flag, dir.to_str().unwrap()]).output().ok();
            assert!(dir.join("config.json").exists());
        }
    });
}

#[test]
fn spec_rootless() {
    case(|b| {
        let dir = b.path("new");
        fs::create_dir(&dir).unwrap();
        std::os::unix::fs::chown(&dir, Some(1000), Some(1000)).unwrap();
        b.wrap(&["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--"]);
        b.command(&["spec", "--rootless"]).dir(&dir).output().ok();
        let spec: serde_json::Value = serde_json::from_str(&host::read(dir.join("config.json"))).unwrap();
        let kinds: Vec<&str> =
            spec["linux"]["namespaces"].as_array().unwrap().iter().map(|n| n["type"].as_str().unwrap()).collect();
        assert!(kinds.contains(&"user") && !kinds.contains(&"network"), "{kinds:?}");
        assert_eq!(spec["linux"]["uidMappings"], json!([{"containerID": 0, "hostID": 1000, "size": 1}]));
        assert!(spec["linux"].get("resources").is_none());
        let text = spec["mounts"].to_string();
        assert!(!text.contains("gid=") && !text.contains("uid="), "{text}");
    });
}

#[test]
fn what_spec_writes_runs() {
    case(|b| {
        fs::remove_file(b.bundle().join("config.json")).unwrap_or_default();
        b.bare(&["spec", "--bundle", b.bundle().to_str().unwrap()]).output().ok();
        let path = b.config["linux"]["cgroupsPath"].clone();
        b.config = serde_json::from_str(&host::read(b.bundle().join("config.json"))).unwrap();
        b.set("/process/terminal", false).set("/linux/cgroupsPath", path).sh("echo hello").run().ok().says("hello");
    });
}

#[test]
fn features() {
    case(|b| {
        let out = b.bare(&["features"]).output().ok();
        assert_eq!(out.err, "");
        assert!(out.out.starts_with("{\n    \"ociVersionMin\": \"1.0.0\"") && out.out.ends_with("}\n"), "{out}");
        let f = out.json();
        assert!(f["ociVersionMax"].as_str().unwrap().starts_with("1."));
        let hooks = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
        assert_eq!(strings(&f["hooks"]), hooks);
        let options = strings(&f["mountOptions"]);
        let mut sorted = options.clone();
        sorted.sort();
        assert_eq!(options, sorted);
        for option in ["rro", "rbind", "tmpcopyup", "nosymfollow", "rshared", "lazytime"] {
            assert!(options.iter().any(|o| o == option), "{option}");
        }
        assert!(!options.iter().any(|o| o.contains("idmap")));
        for kind in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
            assert!(strings(&f["linux"]["namespaces"]).iter().any(|k| k == kind), "{kind}");
        }
        assert!(strings(&f["linux"]["capabilities"]).len() >= 41);
        for key in ["v1", "v2"] {
            assert_eq!(f["linux"]["cgroup"][key], true);
        }
        assert_eq!(f["linux"]["seccomp"]["enabled"], true);
        assert!(strings(&f["linux"]["seccomp"]["archs"]).iter().any(|a| a == "SCMP_ARCH_X86_64"));
    });
}

#[test]
fn newer_features() {
    case(|b| {
        let f = b.bare(&["features"]).output().ok().json();
        assert_eq!(f["linux"]["mountExtensions"]["idmap"]["enabled"], true);
        assert!(strings(&f["linux"]["namespaces"]).iter().any(|k| k == "time"));
        assert!(strings(&f["linux"]["seccomp"]["knownFlags"]).len() >= 3);
        assert_eq!(f["linux"]["memoryPolicy"]["modes"].as_array().map(Vec::len), Some(7));
        assert!(f["potentiallyUnsafeConfigAnnotations"].is_array());
    });
}
