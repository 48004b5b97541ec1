//! Everything else inside a user namespace, where the kernel refuses more: mounts, devices, masks, terminals, exec.

use crate::common::mount::mount_at;
use crate::common::pty::{Receiver, Terminal};
use crate::common::{Beside, Bundle, case, host, json, until};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

#[test]
fn default_mounts_and_masks() {
    case(|b| {
        b.user_namespace().set("/root/readonly", false);
        b.file("/secret", 0o644, "secret");
        b.set("/linux/maskedPaths/-", "/secret").set("/linux/readonlyPaths/-", "/etc");
        let r = b.report();
        for (point, kind) in
            [("/proc", "proc"), ("/dev", "tmpfs"), ("/dev/pts", "devpts"), ("/dev/mqueue", "mqueue"), ("/sys", "sysfs")]
        {
            assert_eq!(mount_at(&r, point).kind, kind, "{point}");
        }
        assert!(mount_at(&r, "/proc/sys").has_own("ro") && mount_at(&r, "/etc").has_own("ro"));
        b.sh("cat /secret; touch /etc/x").run().code(1).says("").err_has("Read-only file system");
    });
}

/// Binds of a host's file system with flags that the container's root may not take away.
#[test]
fn binds_keep_what_is_locked() {
    case(|b| {
        let source = b.path("source").display().to_string();
        let setup =
            format!("mkdir {source} && mount -t tmpfs -o nosuid,nodev,noexec,mode=777 tmpfs {source} && exec \"$@\"");
        b.user_namespace().wrap(&["unshare", "-m", "sh", "-c", &setup, "sh"]);
        b.mount(json!({"destination": "/mnt", "source": source, "options": ["bind", "ro"]}));
        let m = mount_at(&b.report(), "/mnt");
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(m.has_own(option), "{option}: {m:?}");
        }
    });
}

/// An option that would take away a flag which is locked is refused by the kernel; it must not be dropped in silence.
#[test]
fn binds_may_not_clear_what_is_locked() {
    case(|b| {
        let source = b.path("source").display().to_string();
        let setup = format!("mkdir -p {source} && mount -t tmpfs -o nosuid,mode=777 tmpfs {source} && exec \"$@\"");
        b.user_namespace().wrap(&["unshare", "-m", "sh", "-c", &setup, "sh"]).args(&["/bin/true"]);
        b.mount(json!({"destination": "/mnt", "source": source, "options": ["bind", "suid"]}));
        let out = b.run().fails(1, "operation not permitted");
        assert!(out.err.contains("/mnt"), "{out}");
        b.assert_gone();
    });
}

/// The source is only reachable for the host's root.
#[test]
fn a_source_behind_a_closed_directory() {
    case(|b| {
        let closed = b.path("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("file"), "inside").unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        b.user_namespace()
            .mount(json!({"destination": "/mnt/f", "source": closed.join("file"), "options": ["bind", "ro"]}));
        b.sh("cat /mnt/f").run().ok().says("inside");
    });
}

/// More than one message can carry: the sources are opened outside, and SCM_RIGHTS takes 253 descriptors.
#[test]
fn three_hundred_binds() {
    case(|b| {
        b.user_namespace();
        let file = b.path("source");
        fs::write(&file, "x").unwrap();
        for i in 0..300 {
            b.mount(json!({"destination": format!("/mnt/{i}"), "source": file, "options": ["bind", "ro"]}));
        }
        b.sh("cat /mnt/* | wc -c; grep -c ' /mnt/' /proc/self/mountinfo").run().ok().says("300\n300");
    });
}

#[test]
fn devices_are_binds_of_the_hosts() {
    case(|b| {
        b.user_namespace();
        b.set(
            "/linux/resources/devices/-",
            json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"}),
        );
        b.set(
            "/linux/devices",
            json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}]),
        );
        b.sh("stat -c %t:%T /dev/fuse /dev/zero /dev/urandom; head -c 3 /dev/zero | wc -c; ls -l /dev/ptmx | sed 's/.*-> //'");
        b.run().ok().says("a:e5\n1:5\n1:9\n3\npts/ptmx");
    });
}

#[test]
fn a_terminal() {
    case(|b| {
        b.user_namespace().set("/process/terminal", true).set("/process/user", json!({"uid": 7, "gid": 7}));
        b.sh("tty; stat -c %u /dev/console; echo done");
        let receiver = Receiver::new(&b.path("console.sock"));
        b.start_command("create", &["--console-socket", receiver.path.to_str().unwrap()]).output().ok();
        let mut tty = Terminal::from(receiver.receive().fds.remove(0));
        b.start();
        let said = tty.expect("done");
        assert!(said.contains("/dev/pts/0") && said.contains("\r\n7\r\n"), "{said}");
    });
}

#[test]
fn streams_belong_to_the_mapped_user() {
    case(|b| {
        b.user_namespace().set("/process/user", json!({"uid": 5, "gid": 5})).sh("echo hi");
        let file = fs::File::create(b.path("out")).unwrap();
        let mut command = b.start_command("run", &["-d"]);
        command
            .inner()
            .stdin(std::process::Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file.try_clone().unwrap());
        assert!(command.inner().status().unwrap().success());
        b.await_status("stopped");
        // runc can't from inside and lets it be; both are right, as long as the stream works.
        assert!([0, 100_005].contains(&file.metadata().unwrap().uid()));
        assert_eq!(host::read(b.path("out")), "hi");
    });
}

#[test]
fn files_belong_to_the_mapped_user() {
    case(|b| {
        b.user_namespace().set("/root/readonly", false).set("/process/cwd", "/made/here");
        b.sh("echo x > /tmp/mine; chown 5:6 /tmp/mine").all_capabilities(&["CAP_CHOWN"]).run().ok();
        let owner = |path: &str| fs::metadata(b.rootfs(path)).map(|m| (m.uid(), m.gid())).unwrap();
        assert_eq!(owner("/tmp/mine"), (100_005, 100_006));
        assert_eq!(owner("/made/here"), (100_000, 100_000));
    });
}

#[test]
fn unmapped_ids_are_refused() {
    case(|b| {
        b.user_namespace().args(&["/bin/true"]).set("/process/user", json!({"uid": 70_000, "gid": 0}));
        b.run().fails(1, "cannot setuid to unmapped uid 70000 in user namespace");
        b.set("/process/user", json!({"uid": 0, "gid": 70_000}));
        b.run().fails(1, "cannot setgid to unmapped gid 70000 in user namespace");
        b.assert_gone();
    });
}

#[test]
fn all_namespaces_at_once() {
    case(|b| {
        b.user_namespace().namespace("cgroup", None).namespace("time", None);
        b.set("/linux/timeOffsets", json!({"monotonic": {"secs": 100}})).args(&["/bin/sleep", "100"]).run_detached();
        let pid = b.pid();
        for link in ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user", "time"] {
            assert_ne!(host::namespace(pid, link), host::own_namespace(link), "{link}");
        }
        let r = b.exec_report(&[]);
        for link in ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user", "time"] {
            assert_eq!(r["ns"][link], host::namespace(pid, link), "{link}");
        }
    });
}

#[test]
fn sysctls_of_its_namespaces() {
    case(|b| {
        b.user_namespace().set("/linux/sysctl", json!({"net.ipv4.ip_default_ttl": "33", "kernel.shmmni": "55"}));
        b.sh("cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/shmmni").run().ok().says("33\n55");
    });
}

#[test]
fn tmpcopyup_keeps_owners() {
    case(|b| {
        b.file("/data/file", 0o644, "x");
        b.user_namespace();
        chown(b.rootfs("/data/file"), Some(100_007), Some(100_008)).unwrap();
        b.mount(json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}));
        b.sh("stat -c %u:%g /data/file").run().ok().says("7:8");
    });
}

#[test]
fn hooks_see_the_hosts_pid() {
    case(|b| {
        let out = b.path("uid_map").display().to_string();
        let path =
            b.script("hook", &format!("pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); cat /proc/$pid/uid_map > {out}"));
        b.user_namespace().set("/hooks/createRuntime", json!([{"path": path}])).args(&["/bin/true"]).run().ok();
        until("the hook's file", || host::read(&out).split_whitespace().eq(["0", "100000", "65536"]));
    });
}

/// The kernel fixes the owner of these when their namespaces are made.
#[test]
fn what_namespaces_show_belongs_to_root() {
    case(|b| {
        b.user_namespace().all_capabilities(&["CAP_NET_ADMIN"]);
        let at = b.config["mounts"].as_array().unwrap().iter().position(|m| m["destination"] == "/sys").unwrap();
        b.set(&format!("/mounts/{at}/options"), json!(["nosuid", "noexec", "nodev"]));
        b.sh("stat -c %u /proc/net/dev /sys/class/net/lo/mtu /dev/mqueue
              echo 1400 > /sys/class/net/lo/mtu && cat /sys/class/net/lo/mtu");
        b.run().ok().says("0\n0\n0\n1400");
    });
}

/// A user namespace that others hold, as a pod's sandbox does, with the maps of [`Bundle::user_namespace`].
fn held(b: &mut Bundle) -> Beside {
    let holder = Beside::spawn(&["unshare", "-U", "sleep", "100"]);
    let pid = holder.pid();
    until("unshare to have done it", || host::namespace(pid, "user") != host::own_namespace("user"));
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{pid}/{map}"), "0 100000 65536\n").unwrap();
    }
    b.user_namespace().namespace("user", Some(&format!("/proc/{pid}/ns/user")));
    holder
}

/// Only the host's root gets there: the runtime leads the way, whoever makes the user namespace, and whatever the propagation.
#[test]
fn a_root_behind_a_closed_directory() {
    case(|b| {
        b.user_namespace();
        for (mode, propagation) in [(0o700, "rslave"), (0o710, "rprivate"), (0o700, "slave"), (0o700, "shared")] {
            fs::set_permissions(b.bundle(), fs::Permissions::from_mode(mode)).unwrap();
            b.set("/linux/rootfsPropagation", propagation);
            b.sh("stat -c %u:%g /").run().ok().says("0:0");
        }
        let log = b.path("log").display().to_string();
        let hook = b.script("hook", &format!("(pwd; id -u; stat -c %u .) > {log}"));
        fs::write(&log, "").unwrap();
        chown(&log, Some(100_000), None).unwrap();
        b.set("/hooks/createContainer", json!([{"path": hook, "env": ["PATH=/usr/bin:/bin"]}]));
        let _holder = held(b);
        b.run().ok().says("0:0");
        assert_eq!(host::read(&log), format!("{}\n0\n0", b.rootfs("").display().to_string().trim_end_matches('/')));
    });
}

/// As [`binds_keep_what_is_locked`], for a container of a pod.
#[test]
fn flags_stay_locked_in_a_user_namespace_that_is_joined() {
    case(|b| {
        let _holder = held(b);
        b.all_capabilities(&["CAP_SYS_ADMIN"]);
        let source = b.path("source").display().to_string();
        let setup = format!("mkdir {source} && mount -t tmpfs -o ro,nosuid,nodev tmpfs {source} && exec \"$@\"");
        b.wrap(&["unshare", "-m", "sh", "-c", &setup, "sh"]);
        b.mount(json!({"destination": "/mnt", "source": source, "options": ["bind"]}));
        b.sh("for f in rw suid dev; do mount -o remount,bind,$f /mnt && echo $f; done; grep ' /mnt ' /proc/self/mountinfo");
        let out = b.run();
        assert!(out.out.contains(" /mnt ro,nosuid,nodev,") && out.out.lines().count() == 1, "{out}");
    });
}

/// As engines mount it: what is written belongs to the mapped user, what is another's is nobody's.
#[test]
fn an_overlay_as_root() {
    case(|b| {
        b.user_namespace().set("/root/readonly", false);
        let dir = b.path("layers").display().to_string();
        let setup = format!(
            "mkdir {dir} && mount -t tmpfs -o mode=755 t {dir} && cd {dir} && mkdir u w m o && chown 100000:100000 u && touch o/others &&
             mount -t overlay overlay -o lowerdir=o:{},upperdir=u,workdir=w m && \"$@\"; stat -c %u:%g u/new",
            b.rootfs("").display()
        );
        b.set("/root/path", format!("{dir}/m"));
        b.wrap(&["unshare", "-m", "sh", "-c", &setup, "sh"]);
        b.sh("stat -c %u:%g / /others /bin/busybox; touch /new; touch /others 2>&1; true");
        b.run().ok().says("0:0\n65534:65534\n0:0\ntouch: /others: Permission denied\n100000:100000");
    });
}

/// A user namespace bound to a file, as podman and containerd keep one: by what name it goes does not tell what its maps are.
fn pinned(b: &mut Bundle, map: &str) {
    let file = b.path("userns").display().to_string();
    fs::write(&file, "").unwrap();
    let setup = format!(
        "unshare -U sleep 100 & pid=$!
         until [ $(readlink /proc/$pid/ns/user) != $(readlink /proc/self/ns/user) ]; do sleep 0.01; done
         for i in uid gid; do [ -z '{map}' ] || echo {map} > /proc/$pid/${{i}}_map; done
         mount --bind /proc/$pid/ns/user {file}; kill $pid; exec \"$@\""
    );
    b.wrap(&["unshare", "-m", "sh", "-c", &setup, "sh"]);
    b.user_namespace().namespace("user", Some(&file));
}

#[test]
fn a_pinned_user_namespace() {
    case(|b| {
        pinned(b, "0 100000 65536");
        b.sh("cat /proc/self/uid_map | tr -s ' '").run().ok().says("0 100000 65536");
        // Its maps need not be told; what the program is given belongs to its user all the same.
        b.remove("/linux/uidMappings").remove("/linux/gidMappings").set("/process/user", json!({"uid": 5, "gid": 5}));
        b.sh("stat -L -c %u /proc/self/fd/1").run().ok().says("5");
        b.set("/process/user", json!({"uid": 70_000, "gid": 5}));
        b.run().fails(1, "cannot setuid to unmapped uid 70000 in user namespace");
        b.assert_gone();
    });
}

#[test]
fn a_pinned_user_namespace_with_other_maps() {
    case(|b| {
        pinned(b, "0 200000 65536");
        b.args(&["/bin/true"]);
        b.run().fails(1, "user namespaces enabled, but both namespace path and non-matching mapping specified");
    });
}

#[test]
fn a_user_namespace_without_maps() {
    case(|b| {
        pinned(b, "");
        b.remove("/linux/uidMappings").remove("/linux/gidMappings").args(&["/bin/true"]);
        b.run().fails(1, "user namespaces enabled, but no uid mappings found");
    });
}

#[test]
fn what_is_no_user_namespace() {
    case(|b| {
        b.user_namespace().args(&["/bin/true"]);
        for path in ["/proc/self/ns/uts", "/etc/passwd", "/nonexistent"] {
            b.namespace("user", Some(path)).run().fails(1, "failed to cache mappings for userns: ").err_has(path);
        }
        b.assert_gone();
    });
}

/// A second process, whose user is of another range than root: what it makes is that range's.
#[test]
fn exec_by_a_second_range() {
    case(|b| {
        b.user_namespace().set("/root/readonly", false);
        let maps = json!([
            {"containerID": 0, "hostID": 100_000, "size": 1000},
            {"containerID": 5000, "hostID": 300_000, "size": 10}
        ]);
        b.set("/linux/uidMappings", maps.clone()).set("/linux/gidMappings", maps);
        b.args(&["/bin/sleep", "100"]).run_detached();
        b.exec_with(&["-u", "5003:5004", "-g", "7"], &["/bin/sh", "-c", "id -G; touch /tmp/new"]).ok().says("5004 7");
        let made = fs::metadata(b.rootfs("/tmp/new")).unwrap();
        assert_eq!((made.uid(), made.gid()), (300_003, 300_004));
        b.exec_with(&["-u", "2000"], &["/bin/true"]).fails(255, "");
        b.exec_with(&["-g", "2000"], &["/bin/true"]).fails(255, "setgroups: invalid argument");
        let caps = b.exec_with(&["-c", "CAP_SYS_ADMIN"], &["/bin/grep", "CapEff", "/proc/self/status"]).ok().out;
        assert_eq!(u64::from_str_radix(caps.split_whitespace().last().unwrap(), 16).unwrap() >> 21 & 1, 1, "{caps}");
    });
}

#[test]
fn exec_into_a_user_namespace_that_was_joined() {
    case(|b| {
        let holder = held(b);
        b.remove("/linux/uidMappings").remove("/linux/gidMappings").args(&["/bin/sleep", "100"]).run_detached();
        let r = b.exec_report(&["-u", "5:6"]);
        assert_eq!(r["ns"]["user"], host::namespace(holder.pid(), "user"));
        assert_eq!(r["status"]["Uid"], "5 5 5 5");
        b.exec_with(&["-u", "70000"], &["/bin/true"]).fails(255, "");
    });
}

/// Those of the mapped ids see themselves as root, with all that takes; those of the host's are as ever.
#[test]
fn hooks_and_their_users() {
    case(|b| {
        let log = b.path("log").display().to_string();
        fs::write(&log, "").unwrap();
        chown(&log, Some(100_000), None).unwrap();
        b.user_namespace().sh("echo");
        fs::write(b.rootfs("/hook"), "#!/bin/sh\necho startContainer $(id -u) >&2; exit 3\n").unwrap();
        fs::set_permissions(b.rootfs("/hook"), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["prestart", "createRuntime", "createContainer", "poststop"] {
            let line =
                format!("echo {name} $(id -u) $(stat -c %u /) $(awk '{{print $2}}' /proc/self/uid_map) >> {log}");
            let path = b.script(name, &line);
            b.set(&format!("/hooks/{name}"), json!([{"path": path, "env": ["PATH=/usr/bin:/bin"]}]));
        }
        b.set("/hooks/startContainer", json!([{"path": "/hook"}]));
        b.run().err_has("startContainer 0");
        let said = host::read(&log);
        let wanted = "prestart 0 0 0\ncreateRuntime 0 0 0\ncreateContainer 0 65534 100000\npoststop 0 0 0";
        assert_eq!(said, wanted);
    });
}

/// What has the name of a device on the host must be that device.
#[test]
fn devices_are_those_that_are_asked_for() {
    case(|b| {
        b.user_namespace().args(&["/bin/true"]);
        for (path, major, minor) in
            [("/dev/fuse", 1, 3), ("/dev/fd", 1, 3), ("/dev/pts", 1, 3), ("/dev/nonexistent", 1, 3)]
        {
            b.set("/linux/devices", json!([{"path": path, "type": "c", "major": major, "minor": minor}]));
            b.run().fails(1, "error creating device nodes: ").err_has(path);
        }
        b.assert_gone();
    });
}

/// The kernel refuses these, and so do others; the error says what to do.
#[test]
fn proc_and_sys_of_others() {
    case(|b| {
        b.user_namespace().drop_namespace("pid").args(&["/bin/true"]);
        b.run().fails(1, "error mounting \"proc\" to rootfs at \"/proc\"").err_has("operation not permitted");
        b.namespace("pid", None).drop_namespace("network");
        b.run().fails(1, "error mounting \"sysfs\" to rootfs at \"/sys\"").err_has("operation not permitted");
        b.assert_gone();
    });
}

/// Of the ipc, network and user namespaces; those of the last limit what the container may make.
#[test]
fn sysctls_of_a_user_namespace() {
    case(|b| {
        b.user_namespace();
        b.set(
            "/linux/sysctl",
            json!({"user.max_net_namespaces": "3", "fs.mqueue.msg_max": "11", "net.core.somaxconn": "99",
            "net.ipv4.ping_group_range": "0 65535"}),
        );
        b.sh("cd /proc/sys; cat user/max_net_namespaces fs/mqueue/msg_max net/core/somaxconn; tr -s '\\t' ' ' < net/ipv4/ping_group_range");
        b.run().ok().says("3\n11\n99\n0 65535");
    });
}
