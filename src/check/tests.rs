use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use super::*;
use crate::cgroup::host::{Hierarchy, Version};
use crate::spec::{Device, Hook, Hooks, IdMapping, Mount, Namespace, Resources, Rlimit, Seccomp, Syscall, default};

/// A bundle with an almost empty root file system, and what stands for files of the host.
struct Case {
    dir: tempfile::TempDir,
    spec: Spec,
    circumstances: Circumstances,
    cgroups: Host,
}

impl Case {
    fn new() -> Case {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let case = Case {
            dir,
            spec: default::spec(false),
            circumstances: Circumstances::default(),
            cgroups: Host::detect().unwrap(),
        };
        case.put("rootfs/bin/sh", "");
        std::fs::set_permissions(case.path("rootfs/bin/sh"), PermissionsExt::from_mode(0o755)).unwrap();
        case
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().into()
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A file of the host, as the check is to see it.
    fn host(&self, path: &str, text: &str) {
        self.put(&format!("host{path}"), text);
    }

    fn linux(&mut self) -> &mut Linux {
        self.spec.linux.as_mut().unwrap()
    }

    fn process(&mut self) -> &mut Process {
        self.spec.process.as_mut().unwrap()
    }

    fn namespace(&mut self, kind: &str, path: impl Into<String>) {
        let path = path.into();
        match self.linux().namespaces.iter_mut().find(|n| n.kind == kind) {
            Some(namespace) => namespace.path = path,
            None => self.linux().namespaces.push(Namespace { kind: kind.into(), path }),
        }
    }

    fn user_namespace(&mut self, host_id: u32) {
        self.namespace("user", "");
        let map = IdMapping { container_id: 0, host_id, size: 65536 };
        (self.linux().uid_mappings, self.linux().gid_mappings) = (vec![map.clone()], vec![map]);
    }

    /// As an ordinary user runs it: one id.
    fn rootless(&mut self) {
        self.circumstances = Circumstances { rootless_euid: true, rootless_cgroups: true, systemd_cgroup: false };
        self.user_namespace(0);
        (self.linux().uid_mappings[0].size, self.linux().gid_mappings[0].size) = (1, 1);
        self.spec.mounts.retain(|m| m.destination != "/dev/pts");
    }

    fn bind(&mut self, source: impl Into<String>, destination: &str, options: &[&str]) {
        let options = ["bind"].iter().chain(options).map(|o| (*o).into()).collect();
        let (source, destination) = (source.into(), destination.into());
        self.spec.mounts.push(Mount { source, destination, kind: "bind".into(), options, ..Mount::default() });
    }

    /// cgroup v2 as a tree of plain files: (directory, controllers of it, controllers for those below).
    fn unified(&mut self, tree: &[(&str, &str, &str)]) {
        for (dir, controllers, below) in tree {
            self.put(&format!("cgroup{dir}/cgroup.controllers"), controllers);
            self.put(&format!("cgroup{dir}/cgroup.subtree_control"), below);
            self.put(&format!("cgroup{dir}/cgroup.procs"), "");
            self.put(&format!("cgroup{dir}/cgroup.kill"), "");
        }
        let mount = self.text("cgroup");
        let unified = Hierarchy { version: Version::V2, keys: vec![String::new()], mount, root: "/".into() };
        self.cgroups = Host { hierarchies: vec![unified] };
        // Programs are enforced by the real one, or refused by it: not what is asked here.
        self.linux().resources.get_or_insert_default().devices =
            vec![crate::spec::DeviceRule { allow: true, access: "rwm".into(), ..Default::default() }];
    }

    fn all(&self) -> Vec<Finding> {
        std::fs::write(self.path("config.json"), default::to_json(&self.spec).unwrap()).unwrap();
        look(Some(self.dir.path()), self.circumstances, &self.cgroups, Some(&self.path("host"))).unwrap()
    }

    /// What is not in order.
    fn complaints(&self) -> Vec<Finding> {
        self.all().into_iter().filter(|f| f.verdict != Verdict::Ok).collect()
    }
}

/// Its name; the verdict, the field and some words of the finding; how it is seeded.
type Fault<'a> = (&'a str, Verdict, &'a str, &'a str, fn(&mut Case));

/// Seeds one fault each; the finding has to be there, and no other.
fn seeded(faults: &[Fault<'_>]) {
    for (name, verdict, field, words, seed) in faults {
        let before = Case::new().complaints();
        let mut case = Case::new();
        seed(&mut case);
        let found: Vec<Finding> = case.complaints().into_iter().filter(|f| !before.contains(f)).collect();
        let hit = found.iter().any(|f| f.verdict == *verdict && f.field == *field && f.detail.contains(words));
        assert!(hit, "{name}: {found:#?}");
        assert_eq!(found.len(), 1, "{name}: only that: {found:#?}");
    }
}

use Verdict::{Error as E, Warning as W};

#[test]
fn the_default_bundle_can_run_here() {
    assert_eq!(Case::new().complaints(), []);
}

#[test]
fn a_bundle_is_told_all_its_faults() {
    let mut case = Case::new();
    case.spec.root.as_mut().unwrap().path = "missing".into();
    case.process().cwd = "relative".into();
    case.spec.mounts[0].options = vec!["bind".into()];
    case.spec.mounts[0].source = "/nonexistent/source".into();
    let found = case.complaints();
    let fields: Vec<&str> = found.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["/process/cwd", "/root/path", "/mounts/0/source"]);
    assert!(found[1].detail.starts_with("invalid rootfs: stat "));
    assert!(found[1].detail.ends_with("no such file or directory"));
}

#[test]
fn a_config_that_cannot_be_read_is_a_finding_beside_the_host() {
    let case = Case::new();
    case.put("config.json", "{\"ociVersion\": 7}");
    let found = look(Some(case.dir.path()), case.circumstances, &case.cgroups, None).unwrap();
    assert_eq!((found[0].verdict, found[0].subject), (Verdict::Error, "config"));
    assert!(found.iter().any(|f| f.subject == "kernel"));
    assert!(!found.iter().any(|f| f.subject == "root"));
}

#[test]
fn no_bundle() {
    let e = check(Some(Path::new("/nonexistent")), Circumstances::default()).unwrap_err();
    assert_eq!(e.to_string(), "JSON specification file config.json not found");
    let host = check(None, Circumstances::default()).unwrap();
    assert!(host.iter().all(|f| f.field.is_empty()), "{host:#?}");
    assert!(host.iter().any(|f| f.detail.starts_with("system calls: pidfd_send_signal")));
}

#[test]
fn faults_of_the_root_and_the_program() {
    seeded(&[
        ("no root", E, "/root/path", "no such file or directory", |c| c.spec.root.as_mut().unwrap().path = "no".into()),
        ("a file", E, "/root/path", "is not a directory", |c| {
            c.put("file", "");
            c.spec.root.as_mut().unwrap().path = "file".into();
        }),
        ("no program", W, "/process/args/0", "no executable \"nosuch\"", |c| c.process().args = vec!["nosuch".into()]),
        // A link is followed inside the root: /bin/cat of the host does not count.
        ("a link out", W, "/process/args/0", "no executable", |c| {
            std::os::unix::fs::symlink("/bin/cat", c.path("rootfs/bin/cat")).unwrap();
            c.process().args = vec!["/bin/cat".into()];
        }),
        ("closed to the mapped root", E, "/linux/uidMappings", "may not enter", |c| {
            c.user_namespace(100_000);
            c.process().terminal = false;
            c.spec.mounts.clear();
            std::fs::set_permissions(c.path("rootfs"), PermissionsExt::from_mode(0o700)).unwrap();
        }),
        ("a terminal without devpts", E, "/process/terminal", "takes a devpts", |c| {
            c.process().terminal = true;
            c.spec.mounts.retain(|m| m.destination != "/dev/pts" && m.destination != "/dev");
        }),
    ]);
}

#[test]
fn faults_of_hooks() {
    let mut case = Case::new();
    let hook = |path: &str| Hook { path: path.into(), ..Default::default() };
    let poststop = vec![hook("/nonexistent/hook"), hook("/etc/passwd"), hook("/bin/sh")];
    let start_container = vec![hook("/bin/sh"), hook("/bin/nosuch")];
    case.spec.hooks = Some(Hooks { poststop, start_container, ..Default::default() });
    let found = case.complaints();
    let details: Vec<&str> = found.iter().map(|f| f.detail.as_str()).collect();
    assert_eq!(details[..2], ["stat /nonexistent/hook: no such file or directory", "/etc/passwd is not executable"]);
    assert_eq!((found[2].verdict, found[2].field.as_str()), (W, "/hooks/startContainer/1/path"));
    assert_eq!((found.len(), found[1].remedy.as_str()), (3, "chmod +x /etc/passwd"));
}

#[test]
fn faults_of_mounts() {
    seeded(&[
        ("no source", E, "/mounts/7/source", "no such file", |c| c.bind("/nonexistent", "/mnt", &[])),
        ("a directory on a file", E, "/mounts/7/destination", "a directory is to be mounted", |c| {
            c.put("rootfs/file", "");
            c.bind("/tmp", "/file", &[]);
        }),
        ("a file on a directory", E, "/mounts/7/destination", "a file is to be mounted", |c| {
            c.bind("/etc/passwd", "/bin", &[]);
        }),
        ("a file system", W, "/mounts/4/type", "does not know the file system nosuchfs", |c| {
            c.spec.mounts[4].kind = "nosuchfs".into();
        }),
        (
            "what the mapped root cannot make",
            E,
            "/mounts/7/destination",
            "user 100000, who is the container's root, may not write to /bin",
            |c| {
                c.user_namespace(100_000);
                for dir in ["proc", "dev", "sys"] {
                    std::fs::create_dir(c.path(&format!("rootfs/{dir}"))).unwrap();
                }
                c.bind("/tmp", "/bin/x/y", &[]);
            },
        ),
        // procfs has no id-mapped mounts.
        ("ids that cannot be mapped", E, "/mounts/7", "MOUNT_ATTR_IDMAP", |c| {
            c.bind("/proc/sys", "/mnt", &["idmap"]);
            let map = vec![IdMapping { container_id: 0, host_id: 100_000, size: 65536 }];
            (c.spec.mounts[7].uid_mappings, c.spec.mounts[7].gid_mappings) = (map.clone(), map);
        }),
    ]);
}

#[test]
fn ids_that_can_be_mapped() {
    let mut case = Case::new();
    // A tmpfs takes it since Linux 6.3.
    case.bind("/dev/shm", "/mnt", &["idmap"]);
    let map = vec![IdMapping { container_id: 0, host_id: 100_000, size: 65536 }];
    (case.spec.mounts[7].uid_mappings, case.spec.mounts[7].gid_mappings) = (map.clone(), map);
    let found = case.all();
    let told = found.iter().find(|f| f.field == "/mounts/7").unwrap();
    assert!(told.detail == "/dev/shm can be id-mapped" || told.detail.contains("MOUNT_ATTR_IDMAP"), "{told:?}");
}

#[test]
fn faults_of_namespaces() {
    seeded(&[
        ("not there", E, "/linux/namespaces/1/path", "open /nonexistent: no such file", |c| {
            c.namespace("network", "/nonexistent");
        }),
        ("of another kind", E, "/linux/namespaces/1/path", "but a uts namespace", |c| {
            c.namespace("network", "/proc/self/ns/uts");
        }),
        ("none", E, "/linux/namespaces/3/path", "an ordinary file", |c| c.namespace("uts", "/etc/passwd")),
        ("none allowed", E, "/linux/namespaces/1", "user.max_net_namespaces is 0", |c| {
            c.host("/proc/sys/user/max_net_namespaces", "0\n");
        }),
        ("a distribution's switch", E, "/linux/namespaces", "unprivileged_userns_clone is 0", |c| {
            c.rootless();
            c.host("/proc/sys/kernel/unprivileged_userns_clone", "0\n");
        }),
        ("and another", E, "/linux/namespaces", "apparmor_restrict_unprivileged_userns is 1", |c| {
            c.rootless();
            c.host("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
        }),
    ]);
}

#[test]
fn faults_of_network_devices() {
    fn device(c: &mut Case, name: &str) {
        c.linux().net_devices.insert(name.into(), crate::spec::NetDevice::default());
    }
    seeded(&[
        ("not there", E, "/linux/netDevices/no-such-dev", "link not found for interface no-such-dev", |c| {
            device(c, "no-such-dev");
        }),
        ("not one that moves", E, "/linux/netDevices/lo", "it is the loopback device", |c| device(c, "lo")),
    ]);
}

#[test]
fn hosts_that_run_out() {
    seeded(&[
        ("keys", E, "", "user 0 has 200 of 200 keys", |c| {
            c.host("/proc/key-users", "    0: 200 200/200 200/200 1/9\n")
        }),
        ("nearly", W, "", "user 0 has 181 of 200 keys", |c| c.host("/proc/key-users", "0: 1 1/1 181/200 1/9\n")),
        ("of the mapped root", E, "", "user 100000 has 9 of 9 keys", |c| {
            c.user_namespace(100_000);
            c.process().terminal = false;
            c.spec.mounts.clear();
            c.host("/proc/key-users", "    0: 1 1/1 1/200 1/9\n100000: 1 1/1 9/9 1/9\n");
        }),
        ("mounts", E, "/mounts", "mounts of 12", |c| c.host("/proc/sys/fs/mount-max", "12\n")),
        ("pids", W, "", "kernel.pid_max is 300", |c| {
            c.host("/proc/loadavg", "0.1 0.1 0.1 1/299 12345\n");
            c.host("/proc/sys/kernel/pid_max", "300\n");
        }),
        ("memory files", E, "", "vm.memfd_noexec is 2", |c| c.host("/proc/sys/vm/memfd_noexec", "2\n")),
    ]);
}

/// CapEff without those of the bits.
fn without(case: &mut Case, bits: &[u32]) {
    let mask = bits.iter().fold((1_u64 << 41) - 1, |mask, bit| mask & !(1 << bit));
    case.host("/proc/self/status", &format!("Name:\tx\nCapEff:\t{mask:016x}\n"));
}

#[test]
fn rights_that_we_lack() {
    seeded(&[
        ("mounts", E, "/linux/namespaces", "no CAP_SYS_ADMIN", |c| without(c, &[21])),
        ("loopback", E, "/linux/namespaces", "no CAP_NET_ADMIN", |c| without(c, &[12])),
        ("groups", E, "/process/user", "no CAP_SETGID", |c| without(c, &[6])),
        ("bounding set", E, "/process/capabilities/bounding", "no CAP_SETPCAP", |c| without(c, &[8])),
        ("devices", W, "/linux/devices", "no CAP_MKNOD", |c| without(c, &[27])),
        ("given on", W, "/process/capabilities/bounding", "do not have CAP_SYS_BOOT", |c| {
            without(c, &[22]);
            c.process().capabilities.as_mut().unwrap().bounding.push("CAP_SYS_BOOT".into());
        }),
        ("scheduler", E, "/process/scheduler", "no CAP_SYS_NICE", |c| {
            without(c, &[23]);
            let fifo = crate::spec::Scheduler { policy: "SCHED_FIFO".into(), priority: 1, ..Default::default() };
            c.process().scheduler = Some(fifo);
        }),
        ("limits", E, "/process/rlimits/1", "takes CAP_SYS_RESOURCE", |c| {
            without(c, &[24]);
            // Above the default of 0 that nobody raises.
            c.process().rlimits.push(Rlimit { kind: "RLIMIT_NICE".into(), soft: 1, hard: 40 });
        }),
        ("open files", E, "/process/rlimits/0", "above fs.nr_open (500)", |c| {
            without(c, &[]);
            c.host("/proc/sys/fs/nr_open", "500\n");
        }),
        ("out of memory", E, "/process/oomScoreAdj", "below ours (0)", |c| {
            without(c, &[24]);
            c.host("/proc/self/oom_score_adj", "0\n");
            c.process().oom_score_adj = Some(-1);
        }),
        // Root of a user namespace has all capabilities, and none over the host.
        ("out of memory, in a user namespace", E, "/process/oomScoreAdj", "below ours (0)", |c| {
            without(c, &[]);
            c.host("/proc/self/uid_map", "0 100000 65536\n");
            c.host("/proc/self/oom_score_adj", "0\n");
            c.process().oom_score_adj = Some(-1);
        }),
        ("ids of a user namespace around us", E, "/linux/uidMappings/0", "not mapped", |c| {
            c.host("/proc/self/uid_map", "0 1000 65536\n");
            c.host("/proc/self/gid_map", "0 1000 200000\n");
            c.user_namespace(100_000);
            c.process().terminal = false;
            c.spec.mounts.clear();
        }),
    ]);
}

#[test]
fn ids_that_were_not_granted() {
    let mut case = Case::new();
    case.circumstances = Circumstances { rootless_euid: true, rootless_cgroups: true, systemd_cgroup: false };
    case.host("/etc/passwd", "root:x:0:0::/:/bin/sh\n");
    case.host("/etc/subuid", "me:100000:65536\nroot:200000:65536\n");
    case.host("/etc/subgid", "root:100000:65536\n");
    case.user_namespace(100_000);
    let found = case.complaints();
    let told: Vec<_> = found.iter().filter(|f| f.detail.contains("does not grant")).map(|f| f.field.as_str()).collect();
    assert_eq!(told, ["/linux/uidMappings/0"]);
}

#[test]
fn faults_of_cgroups() {
    seeded(&[
        ("no unit's name", E, "/linux/cgroupsPath", "invalid slice name", |c| {
            c.circumstances.systemd_cgroup = true;
            c.linux().cgroups_path = "a.service:runc:x".into();
        }),
        ("the root", E, "/linux/cgroupsPath", "cannot be a container's cgroup", |c| {
            c.linux().cgroups_path = "/".into()
        }),
        ("no hierarchy", E, "", "no control groups are mounted", |c| c.cgroups = Host { hierarchies: Vec::new() }),
    ]);
}

fn memory_limit() -> Resources {
    serde_json::from_str(r#"{"memory": {"limit": 1000000}}"#).unwrap()
}

#[test]
fn controllers_that_do_not_get_to_the_container() {
    seeded(&[
        ("passed on", W, "/process/args/0", "no executable", |c| {
            c.linux().resources = Some(memory_limit());
            c.linux().cgroups_path = "/slice/x".into();
            c.unified(&[("", "memory pids", "memory"), ("/slice", "memory", "memory")]);
            // Nothing to complain of but this.
            c.process().args = vec!["nosuch".into()];
        }),
        ("not there", E, "/linux/resources/memory/limit", "no controller memory", |c| {
            c.linux().resources = Some(memory_limit());
            c.linux().cgroups_path = "/slice/x".into();
            c.unified(&[("", "pids", "pids"), ("/slice", "pids", "")]);
        }),
        ("a cgroup in use", E, "/linux/resources/memory/limit", "has processes and so cannot pass on", |c| {
            c.linux().resources = Some(memory_limit());
            c.linux().cgroups_path = "/slice/x".into();
            c.unified(&[("", "memory", "memory"), ("/slice", "memory", "")]);
            c.put("cgroup/slice/cgroup.procs", "4711\n");
        }),
        ("occupied", E, "/linux/cgroupsPath", "container's cgroup is not empty: 1 process(es) found", |c| {
            c.linux().cgroups_path = "/slice/x".into();
            c.unified(&[("", "memory", "memory"), ("/slice", "memory", ""), ("/slice/x", "", "")]);
            c.put("cgroup/slice/x/cgroup.procs", "4711\n");
        }),
        ("frozen", E, "/linux/cgroupsPath", "is frozen", |c| {
            c.linux().cgroups_path = "/slice/x".into();
            c.unified(&[("", "memory", "memory"), ("/slice", "memory", ""), ("/slice/x", "", "")]);
            c.put("cgroup/slice/x/cgroup.freeze", "1\n");
            c.put("cgroup/slice/x/cgroup.events", "populated 0\nfrozen 1\n");
        }),
        ("an old kernel", W, "", "no cgroup.kill", |c| {
            c.linux().cgroups_path = "/slice/x".into();
            c.unified(&[("", "memory", "memory"), ("/slice", "memory", "")]);
            std::fs::remove_file(c.path("cgroup/slice/cgroup.kill")).unwrap();
        }),
    ]);
}

fn notifying(path: &str) -> Seccomp {
    let call = Syscall { names: vec!["mkdir".into()], action: "SCMP_ACT_NOTIFY".into(), ..Default::default() };
    let default_action = "SCMP_ACT_ALLOW".into();
    Seccomp { default_action, listener_path: path.into(), syscalls: vec![call], ..Default::default() }
}

#[test]
fn faults_of_profiles_and_sysctls() {
    seeded(&[
        ("a call that nobody has", W, "/linux/seccomp/syscalls", "skipped: nosuchcall", |c| {
            let mut profile = notifying("");
            profile.syscalls[0].names = vec!["nosuchcall".into()];
            profile.syscalls[0].action = "SCMP_ACT_ERRNO".into();
            c.linux().seccomp = Some(profile);
        }),
        ("no agent", E, "/linux/seccomp/listenerPath", "stat /nonexistent: no such file", |c| {
            c.linux().seccomp = Some(notifying("/nonexistent"));
        }),
        ("not an agent", E, "/linux/seccomp/listenerPath", "is not a socket", |c| {
            c.linux().seccomp = Some(notifying("/etc/passwd"));
        }),
        ("no such sysctl", E, "/linux/sysctl/net.nosuch.key", "/proc/sys/net/nosuch/key is missing", |c| {
            c.linux().sysctl.insert("net.nosuch.key".into(), "1".into());
        }),
        ("of a device that comes later", W, "/linux/sysctl/net.ipv4.conf.eth7.forwarding", "may have it", |c| {
            c.linux().sysctl.insert("net.ipv4.conf.eth7.forwarding".into(), "1".into());
        }),
        ("no AppArmor", E, "/process/apparmorProfile", "AppArmor is off", |c| {
            c.host("/sys/module/apparmor/parameters/enabled", "N\n");
            c.process().apparmor_profile = "mine".into();
        }),
        ("no such profile", E, "/process/apparmorProfile", "profile mine is not loaded", |c| {
            c.host("/sys/module/apparmor/parameters/enabled", "Y\n");
            c.host("/sys/kernel/security/apparmor/profiles", "mine2 (enforce)\nother (complain)\n");
            c.process().apparmor_profile = "mine".into();
        }),
    ]);
}

#[test]
fn an_agent_that_listens() {
    let mut case = Case::new();
    let path = case.text("agent");
    let _socket = UnixListener::bind(&path).unwrap();
    case.linux().seccomp = Some(notifying(&path));
    without(&mut case, &[]);
    assert_eq!(case.complaints(), []);
}

#[test]
fn devices_of_a_user_namespace_are_the_hosts() {
    let mut case = Case::new();
    case.user_namespace(100_000);
    let device = |path: &str, minor| Device {
        path: path.into(),
        kind: "c".into(),
        major: Some(1),
        minor: Some(minor),
        ..Default::default()
    };
    case.linux().devices = vec![device("/dev/nosuch", 3), device("/dev/zero", 3), device("/dev/null", 3)];
    let found: Vec<Finding> = case.complaints().into_iter().filter(|f| f.subject == "devices").collect();
    assert_eq!((found[0].verdict, found[0].field.as_str()), (E, "/linux/devices/0"));
    assert_eq!((found[1].verdict, found[1].field.as_str()), (W, "/linux/devices/1"));
    assert_eq!(found.len(), 2);
}

#[test]
fn nothing_is_changed() {
    let mut case = Case::new();
    case.user_namespace(100_000);
    case.bind("/dev/shm", "/mnt/new", &["idmap"]);
    let state = || {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let rights: Vec<String> =
            status.lines().filter(|l| l.starts_with("Cap") || l.contains("id:")).map(Into::into).collect();
        (mounts, rights)
    };
    let before = state();
    case.all();
    assert_eq!(state(), before);
    assert!(std::fs::symlink_metadata(case.path("rootfs/mnt")).is_err());
}

#[test]
fn landlock_of_this_kernel() {
    let dir = Path::new("/nonexistent");
    let mut spec = default::spec(false);
    for wanted in [false, true] {
        if wanted {
            spec.annotations.insert("io.dunnage.landlock".into(), r#"{"read": ["/"]}"#.into());
        }
        for (abi, bundle, expected) in [
            (0, None, Some(Verdict::Warning)),
            (2, None, Some(Verdict::Warning)),
            (0, Some(dir), None),
            (3, Some(dir), Some(Verdict::Warning)),
            (7, Some(dir), Some(Verdict::Ok)),
        ] {
            let expected = if wanted && abi < 3 { Some(Verdict::Error) } else { expected };
            let asked = Asked {
                bundle,
                spec: &spec,
                linux: &Linux::default(),
                process: &Process::default(),
                cgroups: &Host::unified(),
                circumstances: Circumstances::default(),
                overlay: None,
            };
            let mut findings = Findings::default();
            kernel::landlock(&mut findings, &asked, abi);
            let found = findings.0.first();
            assert_eq!(found.map(|f| f.verdict), expected, "ABI {abi}, {bundle:?}, wanted: {wanted}");
            assert!(found.is_none_or(|f| f.verdict == Verdict::Ok || abi == 3 || f.remedy.contains("Linux 6.2")));
        }
    }
}
