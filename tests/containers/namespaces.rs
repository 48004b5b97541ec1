//! Namespaces: new ones, the host's, others joined by path; id maps; clock offsets.

use crate::common::{Beside, Bundle, case, host, json, strings, until};
use std::fs;

const KINDS: [(&str, &str); 5] = [("mount", "mnt"), ("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")];

#[test]
fn the_five_usual_ones_are_new() {
    case(|b| {
        let r = b.report();
        for (_, link) in KINDS {
            assert_ne!(r["ns"][link], host::own_namespace(link), "{link}");
        }
        for link in ["user", "cgroup", "time"] {
            assert_eq!(r["ns"][link], host::own_namespace(link), "{link}");
        }
        assert_eq!(r["pid"], 1);
        assert_eq!(r["ppid"], 0);
    });
}

#[test]
fn those_not_listed_are_the_hosts() {
    case(|b| {
        for kind in ["pid", "network", "ipc", "uts"] {
            b.drop_namespace(kind);
        }
        b.remove("/hostname");
        let r = b.report();
        for link in ["pid", "net", "ipc", "uts"] {
            assert_eq!(r["ns"][link], host::own_namespace(link), "{link}");
        }
        assert_ne!(r["pid"], 1);
    });
}

#[test]
fn loopback_is_up() {
    case(|b| {
        // IFF_UP | IFF_LOOPBACK
        b.sh("cat /sys/class/net/lo/flags; ls /sys/class/net").run().ok().says("0x9\nlo");
    });
}

#[test]
fn cgroup_namespace() {
    case(|b| {
        b.namespace("cgroup", None);
        let r = b.report();
        assert_ne!(r["ns"]["cgroup"], host::own_namespace("cgroup"));
        for line in strings(&r["cgroup"]) {
            assert!(line.ends_with(":/"), "{line}");
        }
    });
}

#[test]
fn time_namespace_with_offsets() {
    case(|b| {
        b.namespace("time", None);
        b.set(
            "/linux/timeOffsets",
            json!({"monotonic": {"secs": 7200, "nanosecs": 5}, "boottime": {"secs": 1_000_000}}),
        );
        let r = b.report();
        assert_ne!(r["ns"]["time"], host::own_namespace("time"));
        let offsets: Vec<Vec<String>> =
            strings(&r["timens_offsets"]).iter().map(|l| l.split_whitespace().map(str::to_string).collect()).collect();
        assert_eq!(offsets, [["monotonic", "7200", "5"], ["boottime", "1000000", "0"]]);
        assert!(r["boottime"].as_i64().unwrap() >= 1_000_000);
    });
}

#[test]
fn a_time_namespace_that_is_joined() {
    case(|b| {
        let sandbox = sandbox(&["time"], |s| {
            s.set("/linux/timeOffsets", json!({"boottime": {"secs": 500_000}}));
        });
        b.namespace("time", Some(&format!("/proc/{}/ns/time", sandbox.pid())));
        let r = b.report();
        assert_eq!(r["ns"]["time"], host::namespace(sandbox.pid(), "time"));
        assert!(r["boottime"].as_i64().unwrap() >= 500_000);
    });
}

/// A running container whose namespaces others join, as a pod's.
fn sandbox(extra: &[&str], adjust: impl FnOnce(&mut Bundle)) -> Bundle {
    let mut s = Bundle::new();
    for kind in extra {
        s.namespace(kind, None);
    }
    adjust(&mut s);
    s.args(&["/bin/sleep", "100"]).run_detached();
    s
}

#[test]
fn a_pod_shares_network_ipc_uts() {
    case(|b| {
        let sandbox = sandbox(&[], |s| {
            s.set("/hostname", "pod");
        });
        for (kind, link) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
            b.namespace(kind, Some(&format!("/proc/{}/ns/{link}", sandbox.pid())));
        }
        b.remove("/hostname");
        let r = b.report();
        for link in ["net", "ipc", "uts"] {
            assert_eq!(r["ns"][link], host::namespace(sandbox.pid(), link), "{link}");
        }
        assert_eq!(r["hostname"], "pod");
        assert_ne!(r["ns"]["pid"], host::namespace(sandbox.pid(), "pid"));
    });
}

#[test]
fn a_pid_namespace_that_is_joined() {
    case(|b| {
        let sandbox = sandbox(&[], |_| {});
        b.namespace("pid", Some(&format!("/proc/{}/ns/pid", sandbox.pid())));
        b.sh("cat /proc/1/comm; echo $$");
        let out = b.run().ok();
        let lines: Vec<&str> = out.out.lines().collect();
        assert_eq!(lines[0], "sleep", "{out}");
        assert_ne!(lines[1], "1", "{out}");
    });
}

#[test]
fn a_mount_namespace_that_is_joined() {
    case(|b| {
        let holder = Beside::spawn(&["unshare", "-m", "sleep", "100"]);
        let pid = holder.pid();
        until("unshare to have done it", || host::namespace(pid, "mnt") != host::own_namespace("mnt"));
        let held = host::namespace(pid, "mnt");
        let r = b.namespace("mount", Some(&format!("/proc/{pid}/ns/mnt"))).report();
        assert_eq!(r["ns"]["mnt"], held);
        assert_eq!(r["cwd"], "/");
    });
}

#[test]
fn a_cgroup_namespace_that_is_joined() {
    case(|b| {
        let sandbox = sandbox(&["cgroup"], |_| {});
        b.namespace("cgroup", Some(&format!("/proc/{}/ns/cgroup", sandbox.pid())));
        assert_eq!(b.report()["ns"]["cgroup"], host::namespace(sandbox.pid(), "cgroup"));
    });
}

/// config-linux.md, "Namespaces": what `path` leads to has to be a namespace, and of that kind.
#[test]
fn a_path_to_something_else_is_refused() {
    case(|b| {
        b.args(&["/bin/true"]);
        for (kind, path) in [("network", "/proc/self/ns/uts"), ("ipc", "/proc/self/ns/net"), ("uts", "/etc/passwd")] {
            let mut other = b.config.clone();
            std::mem::swap(&mut b.config, &mut other);
            b.namespace(kind, Some(path)).remove("/hostname").run().code(1);
            b.config = other;
        }
        b.run().ok();
        b.assert_gone();
    });
}

#[test]
fn user_namespace_with_maps() {
    case(|b| {
        let r = b.user_namespace().report();
        assert_ne!(r["ns"]["user"], host::own_namespace("user"));
        let map: Vec<String> = strings(&r["uid_map"])[0].split_whitespace().map(str::to_string).collect();
        assert_eq!(map, ["0", "100000", "65536"]);
        assert_eq!(r["status"]["Uid"], "0 0 0 0");
        assert_eq!(r["setgroups"], "allow");
        // The other namespaces belong to it: it may set its own host name.
        assert_eq!(r["hostname"], "runc");
    });
}

#[test]
fn ids_inside_and_outside() {
    case(|b| {
        b.user_namespace().set("/process/user", json!({"uid": 1000, "gid": 1001, "additionalGids": [7]}));
        b.args(&["/bin/sleep", "100"]).run_detached();
        let status = host::status(b.pid());
        assert_eq!(status["Uid"], "101000 101000 101000 101000");
        assert_eq!(status["Gid"], "101001 101001 101001 101001");
        assert_eq!(status["Groups"], "100007");
    });
}

#[test]
fn several_ranges() {
    case(|b| {
        b.user_namespace();
        let map = json!([
            {"containerID": 0, "hostID": 100_000, "size": 1000},
            {"containerID": 1000, "hostID": 300_000, "size": 1},
            {"containerID": 1001, "hostID": 200_000, "size": 64535}
        ]);
        b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        b.set("/process/user", json!({"uid": 1000, "gid": 1000})).args(&["/bin/sleep", "100"]).run_detached();
        assert_eq!(host::status(b.pid())["Uid"], "300000 300000 300000 300000");
    });
}

#[test]
fn a_user_namespace_that_is_joined() {
    case(|b| {
        let sandbox = sandbox(&[], |s| {
            s.user_namespace();
        });
        // containerd and CRI-O send the path and, with it, the same maps.
        b.user_namespace().namespace("user", Some(&format!("/proc/{}/ns/user", sandbox.pid())));
        let r = b.report();
        assert_eq!(r["ns"]["user"], host::namespace(sandbox.pid(), "user"));
        assert_eq!(r["status"]["Uid"], "0 0 0 0");
        for kind in ["network", "ipc", "uts"] {
            let link = if kind == "network" { "net" } else { kind };
            b.namespace(kind, Some(&format!("/proc/{}/ns/{link}", sandbox.pid())));
        }
        b.remove("/hostname").remove("/linux/uidMappings").remove("/linux/gidMappings");
        let r = b.report();
        assert_eq!(r["ns"]["net"], host::namespace(sandbox.pid(), "net"));
    });
}

/// Files of the container's own making belong to its root, seen from the host.
#[test]
fn the_devices_of_a_user_namespace() {
    case(|b| {
        b.user_namespace().sh("echo x > /dev/null && head -c 4 /dev/zero | wc -c; stat -c %t:%T:%a /dev/null /dev/tty");
        b.run().ok().says("4\n1:3:666\n5:0:666");
    });
}

#[test]
fn without_a_mount_namespace_it_is_a_chroot() {
    case(|b| {
        b.drop_namespace("mount").remove("/linux/maskedPaths").remove("/linux/readonlyPaths");
        b.config["mounts"] = json!([]);
        let setup = format!("mount -t proc proc {}; exec \"$@\"", b.rootfs("/proc").display());
        b.set("/root/readonly", false).wrap(&["unshare", "-m", "sh", "-c", &setup, "sh"]);
        let out = b.sh("ls /; pwd").run().ok();
        assert!(out.out.contains("payload") && out.out.ends_with("/\n"), "{out}");
    });
}

/// A container as an ordinary user, who is not logged in: one id mapped, no setgroups, no cgroup of its own.
fn rootless(b: &mut Bundle) -> &mut Bundle {
    b.without_systemd();
    b.namespace("user", None).drop_namespace("network").remove("/linux/resources").remove("/linux/cgroupsPath");
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    for mount in b.config["mounts"].as_array_mut().unwrap() {
        if let Some(options) = mount["options"].as_array_mut() {
            options.retain(|o| !o.as_str().unwrap().contains("gid="));
        }
        if mount["destination"] == "/sys" {
            *mount = json!({"destination": "/sys", "type": "none", "source": "/sys",
                "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
        }
    }
    let (dir, user) = (b.dir().to_path_buf(), Some(1000));
    let chown = std::process::Command::new("chown").args(["-hR", "1000:1000"]).arg(&dir).status().unwrap();
    assert!(chown.success());
    fs::create_dir(b.root()).unwrap();
    std::os::unix::fs::chown(b.root(), user, user).unwrap();
    b.wrap(&["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--"])
}

#[test]
fn an_ordinary_user() {
    case(|b| {
        let r = rootless(b).report();
        assert_eq!(r["status"]["Uid"], "0 0 0 0");
        assert_eq!(r["setgroups"], "deny");
        let map: Vec<String> = strings(&r["uid_map"])[0].split_whitespace().map(str::to_string).collect();
        assert_eq!(map, ["0", "1000", "1"]);
        assert!(!b.state_dir().exists());
    });
}

/// More than one's own id: the maps are written by newuidmap and newgidmap, found in PATH. Here they are scripts that
/// ask the test, which is root, to write them.
#[test]
fn an_ordinary_user_with_more_ids() {
    case(|b| {
        rootless(b);
        let map = json!([
            {"containerID": 0, "hostID": 1000, "size": 1},
            {"containerID": 1, "hostID": 100_001, "size": 5000}
        ]);
        b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        let wait = "echo \"$*\" > ${0%/*}/ask.${0##*/}.new; mv ${0%/*}/ask.${0##*/}.new ${0%/*}/ask.${0##*/}
            while ! [ -e ${0%/*}/done.${0##*/} ]; do sleep 0.01; done";
        b.script("newuidmap", wait);
        b.script("newgidmap", wait);
        b.args(&["/payload", "report"]);
        let path = format!("{}:/usr/bin:/bin", b.dir().display());
        let running = b.start_command("run", &[]).env("PATH", path).spawn();
        for (tool, file) in [("newuidmap", "uid_map"), ("newgidmap", "gid_map")] {
            until(&format!("{tool} to be called"), || b.path(&format!("ask.{tool}")).exists());
            let asked = host::read(b.path(&format!("ask.{tool}")));
            let words: Vec<&str> = asked.split(' ').collect();
            assert_eq!(words[1..], ["0", "1000", "1", "1", "100001", "5000"], "{tool}");
            fs::write(format!("/proc/{}/{file}", words[0]), "0 1000 1\n1 100001 5000\n").unwrap();
            fs::write(b.path(&format!("done.{tool}")), "").unwrap();
        }
        let r = running.wait().ok().json();
        assert_eq!(strings(&r["uid_map"]).len(), 2);
        assert_eq!(r["setgroups"], "allow");
    });
}
