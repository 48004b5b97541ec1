//! Who owns a container's cgroup on v2 (config-linux.md, "Cgroup ownership"), and that it is not a way out of its limits.

use crate::cgroup2::unified;
use crate::common::{Bundle, case, host, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A cgroup namespace, and cgroups that are mounted for writing.
fn asks_for_it(b: &mut Bundle) {
    b.namespace("cgroup", None).set("/root/readonly", false);
    let last = b.config["mounts"].as_array().unwrap().len() - 1;
    b.set(&format!("/mounts/{last}/options"), json!(["nosuid", "noexec", "nodev"]));
}

fn dir(b: &Bundle) -> PathBuf {
    host::cgroup_dir("", &b.cgroup)
}

/// The files of the cgroup, and the directory itself as `""`, by their owner.
fn owned_by(b: &Bundle, uid: u32) -> BTreeSet<String> {
    let files = fs::read_dir(dir(b)).unwrap().flatten().filter(|e| e.file_type().unwrap().is_file());
    let names = files.map(|e| e.file_name().into_string().unwrap()).chain([String::new()]);
    names.filter(|name| fs::symlink_metadata(dir(b).join(name)).unwrap().uid() == uid).collect()
}

/// What may be given away, of what is there.
fn delegated(b: &Bundle) -> BTreeSet<String> {
    let names = host::read("/sys/kernel/cgroup/delegate").lines().map(str::to_string).collect::<Vec<_>>();
    names.into_iter().filter(|name| dir(b).join(name).exists()).chain([String::new()]).collect()
}

fn owner_in_state(b: &Bundle) -> serde_json::Value {
    let state: serde_json::Value = serde_json::from_str(&host::read(b.state_dir().join("state.json"))).unwrap();
    state["config"]["cgroups"]["owner_uid"].clone()
}

#[test]
fn the_user_of_the_process_is_given_the_cgroup() {
    case(|b| {
        unified(b);
        asks_for_it(b);
        let plain = b.config.clone();
        b.args(&["/bin/sleep", "100"]).set("/process/user", json!({"uid": 1000, "gid": 1000})).create();
        assert_eq!(owned_by(b, 1000), delegated(b), "without a user namespace");
        assert_eq!(owner_in_state(b), json!(1000));
        b.another_id("mapped");
        let path = b.config["linux"]["cgroupsPath"].clone();
        b.config = plain;
        b.set("/linux/cgroupsPath", path).user_namespace();
        b.args(&["/bin/sleep", "100"]).set("/process/user", json!({"uid": 7, "gid": 7})).create();
        assert_eq!(owned_by(b, 100_007), delegated(b));
        assert_eq!(owner_in_state(b), json!(100_007));
        // The group is nobody's business.
        assert_eq!(fs::metadata(dir(b)).unwrap().gid(), 0);
    });
}

/// It manages cgroups below its own; its own limits stay what they are.
#[test]
fn a_delegated_cgroup_is_no_way_out_of_its_limits() {
    case(|b| {
        unified(b);
        asks_for_it(b);
        b.user_namespace().set("/linux/resources/unified", json!({"cgroup.max.descendants": "3"}));
        b.sh("cd /sys/fs/cgroup
              mkdir leaf && echo 0 > leaf/cgroup.procs && grep ^0: /proc/self/cgroup
              for c in $(cat cgroup.controllers); do echo +$c > cgroup.subtree_control && echo passed on; done
              mkdir leaf/a leaf/b && echo three; mkdir leaf/c 2>/dev/null || echo no more
              for f in *; do if test -f $f && echo max 2>/dev/null > $f; then echo $f; fi; done
              echo end; sleep 100");
        let mut out = b.create();
        b.start();
        crate::common::until("the payload", || out.written().0.contains("end\n"));
        let (text, errors) = out.written();
        let (below, writable) = text.split_once("no more\n").unwrap_or_else(|| panic!("{text} {errors}"));
        assert!(below.starts_with("0::/leaf\n") && below.ends_with("three\n"), "{text} {errors}");
        let controllers = host::read(dir(b).join("cgroup.controllers"));
        assert_eq!(below.matches("passed on").count(), controllers.split_whitespace().count(), "{text} {errors}");
        // `max` is no pid and no controller, so what could be opened may still have refused it.
        let delegated = delegated(b);
        let writable: Vec<&str> = writable.lines().filter(|l| *l != "end" && !l.is_empty()).collect();
        assert!(writable.iter().all(|file| delegated.contains(*file)), "written to: {writable:?}");
        assert_eq!(host::read(dir(b).join("cgroup.max.descendants")), "3");
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}

type Change<'a> = &'a dyn Fn(&mut Bundle) -> &mut Bundle;

/// Each of these alone is a reason not to.
#[test]
fn nothing_is_given_away_that_was_not_asked_for() {
    case(|b| {
        unified(b);
        asks_for_it(b);
        b.args(&["/bin/sleep", "100"]).set("/process/user", json!({"uid": 1000, "gid": 1000}));
        let plain = b.config.clone();
        let last = b.config["mounts"].as_array().unwrap().len() - 1;
        let namespace = format!("/proc/{}/ns/cgroup", std::process::id());
        let changes: [(&str, Change); 4] = [
            ("readonly", &|b| b.set(&format!("/mounts/{last}/options/-"), "ro")),
            ("elsewhere", &|b| b.set(&format!("/mounts/{last}/destination"), "/mnt")),
            ("none", &|b| b.drop_namespace("cgroup")),
            ("joined", &|b| b.namespace("cgroup", Some(&namespace))),
        ];
        for (id, change) in changes {
            b.config = plain.clone();
            change(b.another_id(id));
            b.create();
            assert_eq!(owned_by(b, 1000), BTreeSet::new(), "{id}");
            assert_eq!(owner_in_state(b), json!(null), "{id}");
        }
    });
}

/// On v1 who owns the directory owns the limits in it. What was asked for is in the state all the same, as runc has it.
#[test]
fn nothing_is_given_away_on_v1() {
    case(|b| {
        if host::hierarchies().iter().all(|(name, _)| name.is_empty()) {
            return;
        }
        asks_for_it(b);
        b.args(&["/bin/sleep", "100"]).set("/process/user", json!({"uid": 1000, "gid": 1000})).create();
        for group in host::cgroup_leftovers(&b.cgroup) {
            assert_eq!(fs::metadata(&group).unwrap().uid(), 0, "{}", group.display());
            for file in fs::read_dir(&group).unwrap().flatten() {
                assert_eq!(file.metadata().unwrap().uid(), 0, "{}", file.path().display());
            }
        }
        assert_eq!(owner_in_state(b), json!(1000));
    });
}
