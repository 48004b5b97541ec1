//! Control groups of a user: none, given by root (chown), and in a user namespace. By systemd: integration/vm/guest.d.

use super::{UID, as_user, give, map, on_both, ordinary_user, remount};
use crate::common::{Bundle, Command, case, host, json, until};
use std::fs;

#[test]
fn none_and_no_permission() {
    case(|b| {
        let own = b.cgroup.clone();
        ordinary_user(b);
        let config = b.config.clone();
        let check = |b: &mut Bundle, v1: bool| {
            b.config = config.clone();
            b.args(&["/bin/sleep", "100"]).run_detached();
            assert_eq!(host::read(format!("/proc/{}/cgroup", b.pid())), host::read("/proc/self/cgroup"));
            let state: serde_json::Value = serde_json::from_str(&host::read(b.state_dir().join("state.json"))).unwrap();
            if b.runtime().name == "dunnage" {
                assert_eq!(state["cgroup_paths"], json!({}));
            }
            // In a cgroup namespace, what it sees is the root of that.
            let seen = b.exec(&["/bin/cat", "/proc/self/cgroup"]).ok().out;
            assert!([host::read("/proc/self/cgroup").as_str(), "0::/"].contains(&seen.trim()), "{seen}");
            b.rt(&["delete", "--force", &b.id]).ok();

            b.set("/linux/cgroupsPath", own.as_str());
            b.run().fails(1, "unable to apply cgroup configuration").err_has("permission denied");
            b.assert_gone();
            b.remove("/linux/cgroupsPath");
            for (resources, controller) in [
                (json!({"memory": {"limit": 50_000_000}}), "memory"),
                (json!({"pids": {"limit": 10}}), "pids"),
                (json!({"cpu": {"shares": 512}}), "cpu"),
                (json!({"cpu": {"quota": 50_000}}), "cpu"),
            ] {
                b.set("/linux/resources", resources);
                let words = match v1 {
                    true => format!("cannot set {controller} limit: container could not join or create cgroup"),
                    false => {
                        "rootless needs no limits + no cgrouppath when no permission is granted for cgroups".into()
                    }
                };
                b.run().fails(1, &words);
                b.assert_gone();
            }
            // Device rules, and what forbids nothing, are no limits.
            b.set("/linux/resources", json!({"devices": [{"allow": false, "access": "rwm"}]}));
            b.args(&["/bin/true"]).run().ok();
            // Whoever says that it is not rootless is not let through.
            let (root, bundle) = (b.root().display().to_string(), b.bundle().display().to_string());
            let mut argv = as_user(b, UID);
            argv.extend([b.runtime().path.display().to_string()]);
            argv.extend(["--root", &root, "--rootless=false", "run", "--bundle", &bundle, "x"].map(str::to_string));
            Command::new(argv).output().fails(1, "unable to apply cgroup configuration").err_has("permission denied");
        };
        on_both(b, check);
    });
}

/// Groups that root has made and given away; the user is in one of them, or could enter none of v2.
#[test]
fn given_by_root() {
    case(|b| {
        let cgroup = b.cgroup.clone();
        let parent = b.cgroup_parent().to_string();
        ordinary_user(b);
        let config = b.config.clone();
        let check = |b: &mut Bundle, v1: bool| {
            b.config = config.clone();
            let mut enter = String::new();
            for (_, point) in host::hierarchies() {
                let dir = point.join(parent.trim_start_matches('/'));
                fs::create_dir_all(dir.join("caller")).unwrap();
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    if v1 && dir.join(file).exists() {
                        fs::write(dir.join(file), host::read(point.join(file))).unwrap();
                        fs::write(dir.join("caller").join(file), host::read(point.join(file))).unwrap();
                    }
                }
                give(&dir, UID);
                enter += &format!("echo 0 >{}/caller/cgroup.procs; ", dir.display());
            }
            let mut wrap = vec!["sh".to_string(), "-c".into(), format!("{enter}exec \"$@\""), "sh".into()];
            wrap.extend(as_user(b, UID));
            b.wrap(&wrap).set("/linux/cgroupsPath", cgroup.as_str());
            // The v2 hierarchy of a hybrid host has no controllers, and a real one may not have this.
            let limited =
                v1 || fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|c| c.contains("pids"));
            if v1 {
                b.set(
                    "/linux/resources",
                    json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 20}, "cpu": {"shares": 512}}),
                );
            }
            b.sh("sleep 1000 & sleep 1000 & wait").run_detached();
            let pid = b.pid();
            for path in host::cgroups_of(pid) {
                assert_eq!(path, cgroup);
            }
            if v1 {
                assert_eq!(host::cgroup_file("memory", &cgroup, "memory.limit_in_bytes"), "67108864");
                assert_eq!(host::cgroup_file("pids", &cgroup, "pids.max"), "20");
                b.rt(&["update", "--pids-limit", "30", &b.id]).ok();
                assert_eq!(host::cgroup_file("pids", &cgroup, "pids.max"), "30");
            }
            until("three processes", || {
                b.rt(&["ps", "--format", "json", &b.id]).ok().json().as_array().unwrap().len() == 3
            });
            let seen = b.exec(&["/bin/cat", "/proc/self/cgroup"]).ok();
            // In a cgroup namespace the root of it.
            assert!(seen.out == "0::/\n" || seen.out.contains(&format!(":{cgroup}\n")), "{seen}");
            let stats = b.rt(&["events", "--stats", &b.id]).ok().json();
            assert!(!limited || !v1 || stats["data"]["pids"]["current"].as_u64() == Some(3), "{stats}");
            b.rt(&["pause", &b.id]).ok();
            assert_eq!(b.status(), "paused");
            b.rt(&["resume", &b.id]).ok();
            assert_eq!(b.status(), "running");
            b.rt(&["kill", &b.id, "KILL"]).ok();
            b.await_status("stopped");
            b.delete();
            b.assert_gone();
            for (_, point) in host::hierarchies() {
                let _ = fs::remove_dir(point.join(parent.trim_start_matches('/')).join("caller"));
            }
        };
        on_both(b, check);
    });
}

/// With neither a cgroup nor a pid namespace nothing holds its processes together.
#[test]
fn nothing_of_its_own() {
    case(|b| {
        ordinary_user(b).drop_namespace("pid");
        remount(b, "/proc", json!({"destination": "/proc", "type": "none", "source": "/proc", "options": ["rbind"]}));
        b.set("/linux/maskedPaths", json!([])).set("/linux/readonlyPaths", json!([]));
        b.sh("sleep 1000 & exec sleep 2000");
        let mut running = b.start_command("run", &["--detach"]).spawn();
        until("run to end", || running.child.try_wait().unwrap().is_some());
        assert!(
            running.written().1.contains("Creating a rootless container with no cgroup and no private pid namespace."),
            "{}",
            running.written().1
        );
        let (pid, beside) = (b.pid(), host::children(b.pid())[0]);
        b.rt(&["ps", "--format", "json", &b.id]).ok().says("null");
        b.rt(&["kill", &b.id, "KILL"]).ok().err_has("only its init is killed");
        b.await_status("stopped");
        // Nobody knows that it was the container's; above all, nobody else is killed.
        assert!(!host::alive(pid) && host::alive(beside));
        b.delete();
        assert!(!b.state_dir().exists());
        assert!(host::alive(beside));
        b.run_detached();
        b.rt(&["delete", "--force", &b.id]).ok();
        assert!(!b.state_dir().exists() && host::alive(beside));
    });
}

/// As root of a user namespace (`podman unshare`, rootless docker), of one id and of more.
#[test]
fn in_a_user_namespace() {
    case(|b| {
        ordinary_user(b);
        let ranges = [(super::SUBORDINATE, 1000)];
        super::grant(&ranges);
        let config = b.config.clone();
        for more in [false, true] {
            b.config = config.clone();
            let mut wrap = as_user(b, UID);
            wrap.extend(["unshare", "--user", "--map-root-user"].map(str::to_string));
            let ids = if more {
                wrap.push("--map-auto".into());
                map(b, &[(1, 900)]);
                901
            } else {
                map(b, &[]);
                1
            };
            for maps in ["uidMappings", "gidMappings"] {
                b.set(&format!("/linux/{maps}/0/hostID"), 0);
            }
            b.wrap(&wrap);
            let r = b.report();
            assert_eq!(super::numbers(&r["uid_map"]).iter().map(|m| m[2]).sum::<u32>(), ids);
            b.args(&["/bin/sleep", "100"]).create();
            // Each command comes with a user namespace of its own here, and may then not join that of the other.
            assert_eq!(host::status(b.pid())["Uid"].split(' ').next().unwrap(), UID.to_string());
            b.start();
            b.rt(&["kill", &b.id, "KILL"]).ok();
            b.await_status("stopped");
            b.delete();
            b.assert_gone();
        }
    });
}
