//! What is ours alone: `plan` prints what would be done, `check` says what this host can't do; both change nothing.

use crate::common::{Bundle, case, host, json};

#[test]
fn plan_prints_and_changes_nothing() {
    case(|b| {
        b.set("/hostname", "planned").mount(json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"}));
        b.write_config();
        let before = host::mounts();
        let out = b.rt(&["plan", "--bundle", b.bundle().to_str().unwrap()]).ok();
        for words in ["runtime:", "container:", "planned", "/mounts/7", "/mnt", "barrier"] {
            assert!(out.out.contains(words), "{words}: {out}");
        }
        assert_eq!(host::mounts(), before);
        assert!(!b.root().exists());
        b.assert_gone();
    });
}

#[test]
fn plan_needs_no_root() {
    case(|b| {
        let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
        b.set("/mounts/2/options", json!(["nosuid", "noexec", "newinstance"]));
        b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        b.wrap(&["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--"]);
        b.without_systemd().write_config();
        b.rt(&["plan", "--bundle", b.bundle().to_str().unwrap()]).ok().out_has("container:");
    });
}

#[test]
fn check_says_yes() {
    case(|b| {
        b.args(&["/bin/true"]).write_config();
        let out = b.rt(&["check", "--bundle", b.bundle().to_str().unwrap()]).ok();
        assert!(!out.out.contains("fails") && out.out.contains("cgroup"), "{out}");
        b.assert_gone();
        b.run().ok();
    });
}

/// What `check` refuses, `create` refuses too, and the other way round.
/// A mount may bring the program, a module the file system: `check` says what it does not find, and does not call it impossible.
#[test]
fn check_warns_of_what_may_still_come() {
    case(|b| {
        let bundle = b.bundle().display().to_string();
        b.args(&["/no/such/program"]);
        let warned = |b: &mut Bundle, of: &str| {
            b.write_config();
            let out = b.rt(&["check", "--bundle", &bundle]).ok();
            assert!(out.out.lines().any(|l| l.starts_with("warning") && l.contains(of)), "{out}");
        };
        warned(b, "/no/such/program");
        b.args(&["/bin/true"]).set("/mounts/-", json!({"destination": "/mnt", "type": "nosuchfs", "source": "x"}));
        warned(b, "nosuchfs");
    });
}

#[test]
fn check_says_what_create_says() {
    case(|b| {
        b.args(&["/bin/true"]);
        let sound = b.config.clone();
        let bundle = b.bundle().display().to_string();
        let mut missed = Vec::new();
        let mut refused = vec![
            ("/process/apparmorProfile", json!("docker-default")),
            ("/process/selinuxLabel", json!("a:b:c:d")),
            ("/root/path", json!("nosuch")),
            ("/linux/namespaces/1", json!({"type": "network", "path": "/no/such"})),
            ("/mounts/-", json!({"destination": "/mnt", "type": "bind", "source": "/no/such", "options": ["bind"]})),
        ];
        if host::has_v1() {
            refused.push(("/linux/resources/unified", json!({"memory.max": "1"})));
        }
        const CAP_SYS_RESOURCE: u64 = 1 << 24;
        if host::own_capabilities() & CAP_SYS_RESOURCE == 0 {
            refused.push(("/process/oomScoreAdj", json!(-1000)));
        }
        for (pointer, value) in refused {
            b.config = sound.clone();
            b.set(pointer, value.clone());
            b.start_command("create", &[]).output().code(1);
            b.assert_gone();
            let out = b.rt(&["check", "--bundle", &bundle]);
            if out.code != 1 {
                missed.push(format!("{pointer} = {value}"));
            }
        }
        assert_eq!(missed, Vec::<String>::new(), "create refuses these");
    });
}
