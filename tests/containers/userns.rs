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
