//! The module against the real kernel: on the hierarchies of this host, and on cgroup v2 alone, which is mounted over them
//! in a private mount namespace. Each test has a cgroup of its own below `/dunnage-test-<pid>-<name>`; needs root.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::host::{Layout, Membership, ROOT, Version};
use super::*;
use crate::spec::{DeviceRule, Resources};

/// The container's cgroup of a test: everything in and above it is gone at the end, also after a panic.
struct Fixture {
    host: Host,
    name: String,
    owned: OwnedCgroup,
}

impl Fixture {
    fn new(name: &str) -> Fixture {
        assert!(nix::unistd::geteuid().is_root(), "the tests of cgroups need root: they make some");
        let host = Host::detect().unwrap();
        let name = format!("/dunnage-test-{}-{name}", std::process::id());
        let owned = owned(&host, &format!("{name}/pod/container"));
        Fixture { host, name, owned }
    }

    fn create(&self, resources: &str) -> Result<Cgroup, crate::error::Error> {
        let settings = self.settings(resources);
        let cgroup = self.owned.create(&settings, Denied::Fail)?;
        Ok(cgroup)
    }

    fn settings(&self, resources: &str) -> Settings {
        Settings::new(self.host.version(), &serde_json::from_str::<Resources>(resources).unwrap()).unwrap()
    }

    /// What the kernel has in a file of the container's cgroup.
    fn file(&self, key: &str, file: &str) -> String {
        let path = &self.owned.node(key).unwrap().path;
        std::fs::read_to_string(format!("{path}/{file}")).unwrap().trim_end().to_string()
    }

    /// A shell that does its work only once it is in the cgroup.
    fn spawn(&self, cgroup: &mut Cgroup, script: &str) -> Child {
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        cgroup.enter_v1(pid, Denied::Fail).unwrap();
        cgroup.enter_unified(pid, Denied::Fail).unwrap();
        drop(child.stdin.take());
        child
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let parent = owned(&self.host, &self.name);
        for result in [parent.kill_all(), parent.remove()] {
            if let Err(e) = result {
                eprintln!("clean-up of {}: {e}", self.name);
            }
        }
    }
}

fn owned(host: &Host, path: &str) -> OwnedCgroup {
    OwnedCgroup::new(host, &Paths::new(host, path, "unused").unwrap()).unwrap().unwrap()
}

/// SIGKILL ended it, within a time that leaves no doubt.
fn assert_killed(child: &mut Child) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.signal(), Some(libc::SIGKILL), "{status:?}");
            return;
        }
        assert!(Instant::now() < until, "still alive");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs the calling test again, in another process that `shell` prepares and then gives way to (`exec "$@"`). True there.
fn again(test: &str, shell: &str) -> bool {
    let variable = "DUNNAGE_TEST_AGAIN";
    if std::env::var_os(variable).is_some_and(|inner| inner == test) {
        return true;
    }
    let exe = std::env::current_exe().unwrap();
    let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let output = Command::new("timeout")
        .args(["-s", "KILL", "120", "unshare", "-m", "/bin/sh", "-ec", shell, "sh"])
        .arg(exe)
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(variable, test)
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("test result: ok. 1 passed"), "{}: {text}", output.status);
    false
}

/// On this host's hierarchies, then on v2 alone.
fn on_both(test: &str, f: impl Fn()) {
    if std::env::var_os("DUNNAGE_TEST_AGAIN").is_none() {
        f();
    }
    on_v2(test, f);
}

fn on_v2(test: &str, f: impl Fn()) {
    if again(test, r#"umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec "$@""#) {
        assert_eq!(Host::detect().unwrap().layout(), Layout::V2);
        f();
    }
}

#[test]
fn create_enter_kill_remove() {
    on_both("create_enter_kill_remove", || {
        let t = Fixture::new("life");
        assert!(!t.owned.exists());
        assert_eq!(t.owned.pids().unwrap(), [0i32; 0]);
        t.owned.kill_all().unwrap();
        t.owned.remove().unwrap();
        let mut cgroup = t.create("{}").unwrap();
        assert!(t.owned.exists());
        assert_eq!(cgroup.clone_into().is_some(), t.host.unified_hierarchy().is_some());
        let mut child = t.spawn(&mut cgroup, "sleep 100 & exec sleep 100");
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
    on_both("a_frozen_one_cannot_be_used_but_killed", || {
        let t = Fixture::new("freeze");
        let mut cgroup = t.create("{}").unwrap();
        let paths = cgroup.paths();
        assert_eq!(is_frozen(&paths), Ok(false));
        let mut child = t.spawn(&mut cgroup, "while :; do :; done");
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
    on_both("who_forks_all_the_time_dies_too", || {
        let t = Fixture::new("fork");
        for kill_file in [true, false] {
            let mut cgroup = t.create("{}").unwrap();
            if t.owned.node("pids").is_some() {
                cgroup.apply(&t.settings(r#"{"pids":{"limit":100}}"#), None, false).unwrap();
            }
            // At most 3 at a time, each new: a pid that was listed is gone by the time it is signalled.
            let mut child = t.spawn(&mut cgroup, "while :; do (exit 0) & (exit 0) & wait; done");
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
fn whatever_the_container_has_made_below_is_removed() {
    on_both("whatever_the_container_has_made_below_is_removed", || {
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
        let mut at =
            super::dir::open_dir(nix::fcntl::AT_FDCWD, &std::ffi::CString::new(node.path.as_str()).unwrap()).unwrap();
        let name = std::ffi::CString::new("n".repeat(200)).unwrap();
        for _ in 0..25 {
            nix::sys::stat::mkdirat(&at, name.as_c_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
            at = super::dir::open_dir(std::os::fd::AsFd::as_fd(&at), &name).unwrap();
        }
        drop(at);
        t.owned.remove().unwrap();
        assert!(!t.owned.exists());
    });
}

#[test]
fn our_own_cgroup_and_those_above_are_refused() {
    let test = "our_own_cgroup_and_those_above_are_refused";
    // In a process of its own: if a guard fails, nobody else is hit.
    if !again(test, r#"exec "$@""#) {
        return;
    }
    let t = Fixture::new("own");
    let mut cgroup = t.create("{}").unwrap();
    let me = i32::try_from(std::process::id()).unwrap();
    cgroup.enter_v1(me, Denied::Fail).unwrap();
    cgroup.enter_unified(me, Denied::Fail).unwrap();
    for path in [format!("{}/pod/container", t.name), format!("{}/pod", t.name), t.name.clone()] {
        let own = owned(&t.host, &path);
        for result in [own.kill_all(), own.freeze(), own.remove()] {
            let e = result.unwrap_err().to_string();
            assert!(e.contains("refusing to touch cgroup") && e.contains("this process itself is in it"), "{e}");
        }
    }
    // Out again, so that the fixture can clean up.
    for hierarchy in &t.host.hierarchies {
        super::dir::Dir::at(hierarchy.mount.as_str()).write("cgroup.procs", &me.to_string()).unwrap();
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

/// What a shell in the cgroup can do with /dev/kmsg (1:11) and /dev/null, and with a node that it makes.
const PROBE: &str = "
    t=$(mktemp -d); mknod $t/null c 1 3 && echo mknod; (: < $t/null) && echo null; (: > /dev/null) && echo write;
    (: < /dev/kmsg) && echo kmsg; (: < /dev/pts/ptmx) && echo ptmx; rm -r $t; exit 0";

fn probe(t: &Fixture, cgroup: &mut Cgroup) -> String {
    let output = t.spawn(cgroup, PROBE).wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().replace('\n', " ").trim().into()
}

#[test]
fn devices_are_what_the_rules_say() {
    on_both("devices_are_what_the_rules_say", || {
        let t = Fixture::new("devices");
        let mut cgroup = t.create("{}").unwrap();
        let apply = |cgroup: &Cgroup, rules: &str| {
            let list = DeviceList::new(&serde_json::from_str::<Vec<DeviceRule>>(rules).unwrap(), &[]).unwrap();
            cgroup.apply(&t.settings("{}"), Some(&list), false).unwrap();
        };
        assert_eq!(probe(&t, &mut cgroup), "mknod null write kmsg ptmx", "before any rule");
        apply(&cgroup, r#"[{"allow":false,"access":"rwm"}]"#);
        assert_eq!(probe(&t, &mut cgroup), "mknod null write ptmx", "the default list");
        // The same cgroup again, as `exec`, `update` or a restarted container has it.
        let mut cgroup = t.owned.open().unwrap();
        let kmsg = r#"[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]"#;
        apply(&cgroup, kmsg);
        assert_eq!(probe(&t, &mut cgroup), "mknod null write kmsg ptmx");
        apply(&cgroup, "[]");
        assert_eq!(probe(&t, &mut cgroup), "mknod null write ptmx");
        // A deny-list.
        apply(
            &cgroup,
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":11,"access":"r"}]"#,
        );
        assert_eq!(probe(&t, &mut cgroup), "mknod null write ptmx");
        apply(&cgroup, r#"[{"allow":true,"access":"rwm"}]"#);
        let expected = if t.host.version() == Version::V2 {
            "mknod null write kmsg ptmx"
        } else {
            // The kernel does not show the exceptions of a deny-list, so they stay; runc has the same limit.
            "mknod null write ptmx"
        };
        assert_eq!(probe(&t, &mut cgroup), expected);
    });
}

#[test]
fn limits_of_v1() {
    let t = Fixture::new("limits");
    if t.host.version() == Version::V2 {
        println!("this host has cgroup v2 alone: see limits_of_v2");
        assert!(t.host.hierarchies.len() == 1);
        return;
    }
    let mut cgroup = t.create(r#"{"cpu":{"cpus":"0","mems":"0"}}"#).unwrap();
    assert_eq!((t.file("cpuset", "cpuset.cpus"), t.file("cpuset", "cpuset.mems")), ("0".into(), "0".into()));
    let apply = |json: &str| t.owned.open().unwrap().apply(&t.settings(json), None, false).map_err(|e| e.to_string());
    cgroup
        .apply(
            &t.settings(
                r#"{"memory":{"limit":33554432,"reservation":16777216,"swappiness":10},"pids":{"limit":20},
                "cpu":{"shares":512,"quota":20000,"period":50000,"burst":1000}}"#,
            ),
            None,
            false,
        )
        .unwrap();
    for (key, file, value) in [
        ("memory", "memory.limit_in_bytes", "33554432"),
        ("memory", "memory.soft_limit_in_bytes", "16777216"),
        ("memory", "memory.swappiness", "10"),
        ("pids", "pids.max", "20"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "20000"),
        ("cpu", "cpu.cfs_period_us", "50000"),
    ] {
        assert_eq!(t.file(key, file), value, "{file}");
    }
    // In steps whose order matters: memory.limit <= memory.memsw.limit, and quota/period.
    for json in [
        r#"{"memory":{"limit":67108864,"swap":67108864}}"#,
        r#"{"memory":{"limit":134217728,"swap":134217728}}"#,
        r#"{"memory":{"limit":33554432,"swap":50331648}}"#,
        r#"{"memory":{"limit":-1}}"#,
        r#"{"memory":{"limit":33554432,"swap":-1}}"#,
        r#"{"cpu":{"quota":1000,"period":1000}}"#,
        r#"{"cpu":{"quota":1000000,"period":1000000,"burst":500000}}"#,
        r#"{"cpu":{"quota":-1,"burst":0}}"#,
    ] {
        apply(json).unwrap_or_else(|e| panic!("{json}: {e}"));
    }
    assert_eq!(t.file("memory", "memory.limit_in_bytes"), "33554432");
    assert_eq!(
        apply(r#"{"cpu":{"shares":1}}"#).unwrap_err(),
        "the minimum allowed cpu-shares is 2 (config.json /linux/resources/cpu/shares)"
    );
    assert_eq!(
        apply(r#"{"cpu":{"shares":262145}}"#).unwrap_err(),
        "the maximum allowed cpu-shares is 262144 (config.json /linux/resources/cpu/shares)"
    );
    let e = apply(r#"{"rdma":{"mlx5_1":{"hcaHandles":3}}}"#).unwrap_err();
    let expected = "cannot set rdma limit: container could not join or create cgroup";
    assert!(t.host.hierarchy("rdma").is_some() || e.starts_with(expected), "{e}");
    // A limit below what is in use.
    let mut child = t.spawn(&mut cgroup, "x=$(head -c 8000000 /dev/zero | tr '\\0' x); echo ready; sleep 100");
    let mut ready = [0u8; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    apply(r#"{"memory":{"swappiness":0}}"#).unwrap();
    match apply(r#"{"memory":{"limit":4096}}"#) {
        Err(e) => assert!(e.starts_with("unable to set memory limit to 4096 (current usage: "), "{e}"),
        // It could all be swapped out.
        Ok(()) => assert_eq!(t.file("memory", "memory.limit_in_bytes"), "4096"),
    }
    t.owned.kill_all().unwrap();
    assert_killed(&mut child);
    assert_eq!(t.owned.oom_kills().unwrap(), Some(0));
}

#[test]
fn the_kernel_kills_for_memory_and_we_see_it() {
    let t = Fixture::new("oom");
    if t.host.version() == Version::V2 && !t.host.available_controllers().unwrap().contains(&"memory".into()) {
        println!("this host's cgroup v2 has no memory controller");
        return;
    }
    let mut cgroup = t.create("{}").unwrap();
    cgroup.apply(&t.settings(r#"{"memory":{"limit":4194304,"swap":4194304}}"#), None, false).unwrap();
    let mut child = t.spawn(&mut cgroup, "x=$(head -c 50000000 /dev/zero | tr '\\0' x); sleep 100");
    let until = Instant::now() + Duration::from_secs(20);
    while t.owned.oom_kills().unwrap() == Some(0) {
        assert!(Instant::now() < until, "no oom_kill");
        std::thread::sleep(Duration::from_millis(5));
    }
    t.owned.kill_all().unwrap();
    let _ = child.wait().unwrap();
}

#[test]
fn limits_of_v2() {
    on_v2("limits_of_v2", || {
        let t = Fixture::new("limits");
        let controllers = t.host.available_controllers().unwrap();
        let has = |name: &str| controllers.iter().any(|c| c == name);
        let cgroup = t.create("{}").unwrap();
        let here = t.file("", "cgroup.controllers");
        assert_eq!(here.split(' ').filter(|c| !c.is_empty()).count(), controllers.len(), "{here} of {controllers:?}");
        let apply = |json: &str| cgroup.apply(&t.settings(json), None, false).map_err(|e| e.to_string());
        for (controller, json, file, value) in [
            ("pids", r#"{"pids":{"limit":20}}"#, "pids.max", "20"),
            ("memory", r#"{"memory":{"limit":33554432}}"#, "memory.max", "33554432"),
            ("cpu", r#"{"cpu":{"shares":512}}"#, "cpu.weight", "59"),
            ("hugetlb", r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#, "hugetlb.2MB.max", "4194304"),
            ("hugetlb", r#"{"unified":{"hugetlb.2MB.max":"2097152\n"}}"#, "hugetlb.2MB.max", "2097152"),
            ("memory", r#"{"unified":{"memory.high":"8388608"}}"#, "memory.high", "8388608"),
            ("cgroup", r#"{"unified":{"cgroup.max.depth":"7"}}"#, "cgroup.max.depth", "7"),
        ] {
            if controller == "cgroup" || has(controller) {
                apply(json).unwrap_or_else(|e| panic!("{json}: {e}"));
                assert_eq!(t.file("", file), value, "{file}");
            } else {
                println!("cgroup v2 has no {controller} here; its limit must be refused for that reason");
                let e = apply(json).unwrap_err();
                let unified =
                    format!("unified resource {file:?} can't be set: controller {controller:?} not available");
                let plain = format!("/{file}: no such file or directory");
                let hint = format!("the cgroup has no controller {controller:?}");
                assert!(e.starts_with(&unified) || (e.contains(&plain) && e.contains(&hint)), "{e}");
            }
        }
        let e = apply(r#"{"unified":{"cgroup.max.depth":"x"}}"#).unwrap_err();
        assert!(
            e.starts_with("unable to set unified resource \"cgroup.max.depth\": failed to write \"x\": write "),
            "{e}"
        );
        assert!(
            e.ends_with("cgroup.max.depth: invalid argument (config.json /linux/resources/unified/cgroup.max.depth)")
        );
    });
}

#[test]
fn threaded_parents() {
    on_v2("threaded_parents", || {
        let t = Fixture::new("threaded");
        let dir = |below: &str| super::dir::Dir::at(format!("{ROOT}{}{below}", t.name));
        for below in ["", "/pod", "/pod/sibling"] {
            std::fs::create_dir(dir(below).path).unwrap();
        }
        dir("/pod/sibling").write("cgroup.type", "threaded").unwrap();
        assert_eq!(dir("/pod").read_value("cgroup.type").unwrap(), "domain threaded");
        let e = t.create(r#"{"memory":{"limit":1}}"#).unwrap_err().to_string();
        assert!(e.starts_with("cannot enter cgroupv2") && e.contains("invalid state"), "{e}");
        t.create("{}").unwrap();
        assert_eq!(t.file("", "cgroup.type"), "threaded");
    });
}

#[test]
fn exec_enters_the_container_or_below() {
    on_both("exec_enters_the_container_or_below", || {
        let t = Fixture::new("exec");
        let mut cgroup = t.create("{}").unwrap();
        for node in &t.owned.nodes {
            std::fs::create_dir(format!("{}/sub", node.path)).unwrap();
        }
        if let Some(cpuset) = t.owned.node("cpuset") {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                super::dir::Dir::at(format!("{}/sub", cpuset.path)).write(file, &t.file("cpuset", file)).unwrap();
            }
        }
        let mut init = t.spawn(&mut cgroup, "exec sleep 100");
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
        assert!(sub("", "none").and_then(|mut c| c.enter_v1(pid, Denied::Fail)).is_err(), "must exist");
        if t.host.version() == Version::V1 {
            let mut one = sub("pids", "/sub").unwrap();
            assert_eq!(place(&mut one, "pids"), format!("{own}/sub"));
            assert_eq!(place(&mut one, "freezer"), own);
        }
        // Where init is, wherever it has gone.
        sub("", "sub").unwrap().enter_unified(pid, Denied::Fail).unwrap();
        if t.host.unified_hierarchy().is_some() {
            assert_eq!(place(&mut Cgroup::of_process(&t.host, pid).unwrap(), ""), format!("{own}/sub"));
        }
        t.owned.kill_all().unwrap();
        assert_killed(&mut init);
        t.owned.remove().unwrap();
    });
}

#[test]
fn delegation_gives_away_what_is_safe() {
    on_v2("delegation_gives_away_what_is_safe", || {
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
    if !again("without_permission", read_only) {
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
