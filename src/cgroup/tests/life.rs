//! Making, entering, freezing, killing and removing; and refusing to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::host::{Membership, ROOT, Version};
use super::super::*;
use super::{Fixture, again, assert_killed, enter, on_both, on_v2, owned};

#[test]
fn create_enter_kill_remove() {
    on_both("life::create_enter_kill_remove", || {
        let t = Fixture::new("life");
        assert!(!t.owned.exists());
        assert_eq!(t.owned.pids().unwrap(), [0i32; 0]);
        t.owned.kill_all().unwrap();
        t.owned.remove().unwrap();
        let mut cgroup = t.create("{}").unwrap();
        assert!(t.owned.exists());
        assert_eq!(cgroup.clone_into().is_some(), t.host.unified_hierarchy().is_some());
        let mut child = t.spawn(&cgroup, "sleep 100 & exec sleep 100");
        let pid = i32::try_from(child.id()).unwrap();
        let membership = Membership::of(pid).unwrap().unwrap();
        for hierarchy in &t.host.hierarchies {
            let dir = membership.directory(hierarchy).unwrap();
            assert_eq!(dir, format!("{}{}/pod/container", hierarchy.mount, t.name));
        }
        while t.owned.pids().unwrap().len() < 2 {
            std::thread::yield_now();
        }
        assert!(t.owned.pids().unwrap().contains(&pid));
        // A second container may not have it, and must not take it away either.
        let e = t.create("{}").unwrap_err().to_string();
        assert!(e.starts_with("container's cgroup is not empty: 2 process(es) found"), "{e}");
        t.owned.kill_all().unwrap();
        assert_killed(&mut child);
        t.owned.remove().unwrap();
        assert!(!t.owned.exists());
        t.owned.remove().unwrap();
        // What we had made above goes with `undo`.
        cgroup.undo();
        for hierarchy in &t.host.hierarchies {
            assert!(!std::path::Path::new(&format!("{}{}", hierarchy.mount, t.name)).is_dir());
        }
    });
}

#[test]
fn a_frozen_one_cannot_be_used_but_killed() {
    on_both("life::a_frozen_one_cannot_be_used_but_killed", || {
        let t = Fixture::new("freeze");
        let cgroup = t.create("{}").unwrap();
        let paths = cgroup.paths();
        assert_eq!(is_frozen(&paths), Ok(false));
        let mut child = t.spawn(&cgroup, "while :; do :; done");
        let cpu_time = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            stat.rsplit_once(')').unwrap().1.split(' ').nth(12).unwrap().parse::<u64>().unwrap()
        };
        t.owned.freeze().unwrap();
        assert_eq!(is_frozen(&paths), Ok(true));
        let before = cpu_time();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(cpu_time(), before, "it goes on");
        t.owned.thaw().unwrap();
        assert_eq!(is_frozen(&paths), Ok(false));
        while cpu_time() == before {
            std::thread::yield_now();
        }
        t.owned.freeze().unwrap();
        t.owned.kill_all().unwrap();
        assert_killed(&mut child);
        t.owned.freeze().unwrap();
        assert_eq!(t.create("{}").unwrap_err().to_string(), "container's cgroup unexpectedly frozen");
        t.owned.thaw().unwrap();
        t.owned.remove().unwrap();
        assert_eq!(is_frozen(&paths), Ok(false), "what does not exist is not frozen");
    });
}

#[test]
fn who_forks_all_the_time_dies_too() {
    on_both("life::who_forks_all_the_time_dies_too", || {
        let t = Fixture::new("fork");
        for kill_file in [true, false] {
            let cgroup = t.create("{}").unwrap();
            if t.owned.node("pids").is_some() {
                cgroup.apply(&t.settings(r#"{"pids":{"limit":100}}"#), None, false).unwrap();
            }
            // At most 3 at a time, each new: a pid that was listed is gone by the time it is signalled.
            let mut child = t.spawn(&cgroup, "while :; do (exit 0) & (exit 0) & wait; done");
            std::thread::sleep(Duration::from_millis(20));
            if kill_file {
                t.owned.kill_all().unwrap();
            } else {
                // As on kernels without cgroup.kill: one hierarchy, held by its freezer.
                let node = t.owned.nodes.iter().find(|n| n.hierarchy.version == t.host.version()).unwrap();
                let key = &node.hierarchy.keys;
                let key = if key[0].is_empty() { "" } else { "freezer" };
                let node = t.owned.node(key).unwrap().clone();
                let one = OwnedCgroup { nodes: vec![node] };
                one.freeze().unwrap();
                one.nodes[0].kill_each().unwrap();
                one.thaw().unwrap();
            }
            assert_killed(&mut child);
            t.owned.remove().unwrap();
        }
    });
}

#[test]
fn on_hybrid_who_is_in_v1_alone_dies_too() {
    let t = Fixture::new("v1-alone");
    let cgroup = t.create("{}").unwrap();
    let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    enter(&cgroup, pid, t.host.version()).unwrap();
    t.owned.kill_all().unwrap();
    assert_killed(&mut child);
    assert_eq!(is_frozen(&t.owned.paths()), Ok(false));
    t.owned.remove().unwrap();
}

#[test]
fn the_cgroup_of_process_1_is_refused() {
    // In a pid namespace of its own, whose process 1 is a shell.
    let in_pid_namespace = r#"exec unshare --pid --fork --mount-proc /bin/sh -c '"$@"; exit $?' sh "$@""#;
    if !again("life::the_cgroup_of_process_1_is_refused", in_pid_namespace) {
        return;
    }
    let t = Fixture::new("init");
    let cgroup = t.create("{}").unwrap();
    enter(&cgroup, 1, Version::V1).unwrap();
    enter(&cgroup, 1, Version::V2).unwrap();
    assert_ne!(std::process::id(), 1);
    for result in [t.owned.kill_all(), t.owned.freeze(), t.owned.remove()] {
        let e = result.unwrap_err().to_string();
        assert!(e.contains("refusing to touch cgroup") && e.contains("process 1 is in it"), "{e}");
    }
    for hierarchy in &t.host.hierarchies {
        super::super::dir::Dir::at(hierarchy.mount.as_str()).write("cgroup.procs", "1").unwrap();
    }
}

#[test]
fn whatever_the_container_has_made_below_is_removed() {
    on_both("life::whatever_the_container_has_made_below_is_removed", || {
        use std::os::unix::ffi::OsStrExt;
        let t = Fixture::new("below");
        t.create("{}").unwrap();
        for node in &t.owned.nodes {
            let top = std::path::Path::new(&node.path);
            std::fs::create_dir(top.join(std::ffi::OsStr::from_bytes(b"\xff name"))).unwrap();
            let mut below = top.to_path_buf();
            for depth in 0..5 {
                below.push(depth.to_string());
                std::fs::create_dir(&below).unwrap();
            }
        }
        // Deeper than a path can be long.
        let node = t.owned.nodes.last().unwrap();
        let mut at = crate::files::open(node.path.as_str(), crate::files::DIRECTORY).unwrap();
        let name = std::ffi::CString::new("n".repeat(200)).unwrap();
        for _ in 0..25 {
            nix::sys::stat::mkdirat(&at, name.as_c_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
            at = super::super::dir::open_dir(std::os::fd::AsFd::as_fd(&at), &name).unwrap();
        }
        drop(at);
        t.owned.remove().unwrap();
        assert!(!t.owned.exists());
    });
}

#[test]
fn our_own_cgroup_and_those_above_are_refused() {
    let test = "life::our_own_cgroup_and_those_above_are_refused";
    // In a process of its own: if a guard fails, nobody else is hit.
    if !again(test, r#"exec "$@""#) {
        return;
    }
    let t = Fixture::new("own");
    let cgroup = t.create("{}").unwrap();
    let me = i32::try_from(std::process::id()).unwrap();
    enter(&cgroup, me, Version::V1).unwrap();
    enter(&cgroup, me, Version::V2).unwrap();
    for path in [format!("{}/pod/container", t.name), format!("{}/pod", t.name), t.name.clone()] {
        let own = owned(&t.host, &path);
        for result in [own.kill_all(), own.freeze(), own.remove()] {
            let e = result.unwrap_err().to_string();
            assert!(e.contains("refusing to touch cgroup") && e.contains("this process itself is in it"), "{e}");
        }
    }
    // Out again, so that the fixture can clean up.
    for hierarchy in &t.host.hierarchies {
        super::super::dir::Dir::at(hierarchy.mount.as_str()).write("cgroup.procs", &me.to_string()).unwrap();
    }
}

#[test]
fn paths_of_a_state_file_are_not_believed() {
    let host = Host::detect().unwrap();
    let v1 = host.version() == Version::V1;
    let try_with = |change: &dyn Fn(&mut BTreeMap<String, String>)| {
        let mut paths = Paths::new(&host, "/dunnage-test-none/x", "x").unwrap();
        change(&mut paths.0);
        OwnedCgroup::new(&host, &paths).map(|owned| owned.is_some()).map_err(|e| e.to_string())
    };
    let set = |key: &'static str, path: String| {
        move |paths: &mut BTreeMap<String, String>| drop(paths.insert(key.into(), path.clone()))
    };
    assert_eq!(try_with(&|_| {}), Ok(true));
    assert_eq!(try_with(&BTreeMap::clear), Ok(false));
    let key = if v1 { "freezer" } else { "" };
    let mount = host.hierarchy(key).unwrap().mount.clone();
    for (path, why) in [
        (String::new(), "not an absolute and clean path"),
        ("dunnage-test-none/x".into(), "not an absolute and clean path"),
        ("/".into(), "not an absolute and clean path"),
        (mount.clone(), "the root of the hierarchy"),
        (format!("{mount}/"), "not an absolute and clean path"),
        (format!("{mount}/."), "not an absolute and clean path"),
        (format!("{mount}/a/.."), "not an absolute and clean path"),
        (format!("{mount}/a/../../x"), "not an absolute and clean path"),
        (format!("{mount}//a"), "not an absolute and clean path"),
        (format!("{mount}x/a"), "not below the mount of the hierarchy"),
        ("/etc".into(), "not below the mount of the hierarchy"),
        ("/sys/fs".into(), "not below the mount of the hierarchy"),
    ] {
        let e = try_with(&set(key, path.clone())).unwrap_err();
        assert!(e.starts_with(&format!("refusing cgroup path {path:?}")) && e.ends_with(why), "{e}");
    }
    let e = try_with(&set("no-such-controller", format!("{mount}/x"))).unwrap_err();
    assert!(e.contains("not mounted here") || e.contains("expected a single path"), "{e}");
}

#[test]
fn links_of_co_mounted_controllers() {
    let host = Host::from_mountinfo(
        "1 0 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
         2 0 0:2 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n",
    );
    let new = |cpu: &str, cpuacct: &str| {
        let paths = [("cpu", cpu), ("cpuacct", cpuacct)].map(|(k, v)| (k.to_string(), format!("{ROOT}/{v}")));
        OwnedCgroup::new(&host, &Paths(BTreeMap::from(paths)))
            .map(|owned| owned.unwrap().nodes.into_iter().map(|node| node.path).collect::<Vec<_>>())
    };
    assert_eq!(new("cpu/a", "cpu,cpuacct/a").unwrap(), ["/sys/fs/cgroup/cpu,cpuacct/a"]);
    assert!(new("cpu/a", "cpuacct/b").unwrap_err().to_string().contains("shares the hierarchy"));
}

#[test]
fn exec_enters_the_container_or_below() {
    on_both("life::exec_enters_the_container_or_below", || {
        let t = Fixture::new("exec");
        let cgroup = t.create("{}").unwrap();
        for node in &t.owned.nodes {
            std::fs::create_dir(format!("{}/sub", node.path)).unwrap();
        }
        if let Some(cpuset) = t.owned.node("cpuset") {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                super::super::dir::Dir::at(format!("{}/sub", cpuset.path))
                    .write(file, &t.file("cpuset", file))
                    .unwrap();
            }
        }
        let mut init = t.spawn(&cgroup, "exec sleep 100");
        let place = |cgroup: &mut Cgroup, key: &str| {
            let mut child = t.spawn(cgroup, "exec sleep 100");
            let membership = Membership::of(i32::try_from(child.id()).unwrap()).unwrap().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            membership.path(key).unwrap().to_string()
        };
        let sub = |key: &str, path: &str| {
            let subs = if path.is_empty() { BTreeMap::new() } else { BTreeMap::from([(key.into(), path.into())]) };
            t.owned.open_sub(&subs)
        };
        let own = format!("{}/pod/container", t.name);
        let key = if t.host.version() == Version::V1 { "pids" } else { "" };
        assert_eq!(place(&mut sub("", "").unwrap(), key), own);
        assert_eq!(place(&mut sub("", "/").unwrap(), key), own);
        assert_eq!(place(&mut sub("", "sub").unwrap(), key), format!("{own}/sub"));
        let pid = i32::try_from(init.id()).unwrap();
        assert!(sub("", "none").and_then(|c| enter(&c, pid, Version::V1)).is_err(), "must exist");
        if t.host.version() == Version::V1 {
            let mut one = sub("pids", "/sub").unwrap();
            assert_eq!(place(&mut one, "pids"), format!("{own}/sub"));
            assert_eq!(place(&mut one, "freezer"), own);
        }
        // Where init is, wherever it has gone.
        enter(&sub("", "sub").unwrap(), pid, Version::V2).unwrap();
        if t.host.unified_hierarchy().is_some() {
            let mut cgroup = sub("", "").unwrap();
            cgroup.follow(pid).unwrap();
            assert_eq!(place(&mut cgroup, ""), format!("{own}/sub"));
        }
        t.owned.kill_all().unwrap();
        assert_killed(&mut init);
        t.owned.remove().unwrap();
    });
}

#[test]
fn delegation_gives_away_what_is_safe() {
    on_v2("life::delegation_gives_away_what_is_safe", || {
        use std::os::unix::fs::MetadataExt;
        let t = Fixture::new("delegate");
        t.create("{}").unwrap().delegate(nix::unistd::Uid::from_raw(12345)).unwrap();
        let uid = |file: &str| std::fs::metadata(format!("{}/{file}", t.owned.nodes[0].path)).unwrap().uid();
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            assert_eq!(uid(file), 12345, "{file}");
        }
        for file in ["cgroup.freeze", "cgroup.max.depth", "cgroup.kill"] {
            let delegate = std::fs::read_to_string("/sys/kernel/cgroup/delegate").unwrap();
            assert_eq!(uid(file) == 12345, delegate.lines().any(|line| line == file), "{file}");
        }
    });
}

#[test]
fn without_permission() {
    // A read-only mount refuses root as well, and EROFS is one of what rootless forgives.
    let read_only = "for m in $(sed -n 's|.* \\(/sys/fs/cgroup[^ ]*\\) .* - cgroup2\\? .*|\\1|p' /proc/self/mountinfo);
        do mount -o remount,bind,ro $m; done; exec \"$@\"";
    if !again("life::without_permission", read_only) {
        return;
    }
    let t = Fixture::new("denied");
    let e = t.create("{}").unwrap_err();
    assert_eq!(e.errno(), Some(crate::error::Errno::EROFS), "{e}");
    t.owned.remove().unwrap();
    let v2 = t.host.version() == Version::V2;
    let limits = t.settings(r#"{"pids":{"limit":5}}"#);
    let cgroup = t.owned.create(&t.settings("{}"), Denied::GoWithout).unwrap();
    assert!(cgroup.paths().is_empty() && cgroup.clone_into().is_none());
    assert!(OwnedCgroup::new(&t.host, &cgroup.paths()).unwrap().is_none(), "nothing to kill, nothing to remove");
    cgroup.apply(&t.settings("{}"), Some(&DeviceList::deny_all()), true).unwrap();
    let e = match t.owned.create(&limits, Denied::GoWithout) {
        Ok(cgroup) => cgroup.apply(&limits, None, true).unwrap_err(),
        Err(e) => e,
    };
    let expected = if v2 {
        "rootless needs no limits + no cgrouppath when no permission is granted for cgroups: mkdir "
    } else {
        "cannot set pids limit: container could not join or create cgroup"
    };
    assert!(e.to_string().starts_with(expected), "{e}");
}

#[test]
fn a_process_enters_by_the_doors() {
    let t = Fixture::new("doors");
    let mut cgroup = t.create("{}").unwrap();
    let doors = cgroup.doors_v1(Denied::Fail).unwrap();
    let v1 = t.host.hierarchies.iter().filter(|h| h.version == Version::V1).count();
    assert_eq!(doors.len(), v1);
    let numbers: Vec<_> = doors.iter().map(|fd| std::os::fd::AsRawFd::as_raw_fd(fd).to_string()).collect();
    let script =
        format!("for n in {}; do echo 0 > /proc/$PPID/fd/$n; done; exec cat /proc/self/cgroup", numbers.join(" "));
    let output = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
    let membership = Membership::from_text(String::from_utf8(output.stdout).unwrap());
    for hierarchy in t.host.hierarchies.iter().filter(|h| h.version == Version::V1) {
        assert_eq!(membership.path(&hierarchy.keys[0]), Some(format!("{}/pod/container", t.name).as_str()));
    }
}
