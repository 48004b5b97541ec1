//! The root file system: readonly, propagation, pivot_root, devices, masked and read-only paths.

use crate::common::mount::{Mount, find_mount, mount_at};
use crate::common::{Bundle, case, host, json, strings};
use std::collections::BTreeSet;
use std::fs;

#[test]
fn read_only() {
    case(|b| {
        b.sh("touch /x").run().code(1).err_has("Read-only file system");
        b.set("/root/readonly", false).run().ok();
        assert!(b.rootfs("/x").exists());
        b.remove("/root/readonly").sh("touch /y").run().ok();
    });
}

#[test]
fn the_path_may_be_absolute() {
    case(|b| {
        let path = b.rootfs("").display().to_string();
        b.set("/root/path", path.trim_end_matches('/')).sh("ls /payload").run().ok().says("/payload");
    });
}

#[test]
fn the_old_root_is_gone() {
    case(|b| {
        let r = b.report();
        let mounts = strings(&r["mounts"]);
        // Every mount is one of config.json's or of the runtime's own making: none of the host's is left.
        assert_eq!(mounts.iter().filter(|l| Mount::parse(l).point == "/").count(), 1, "{mounts:#?}");
        assert!(find_mount(&r, "/work").is_none());
        b.sh("ls / | sort | tr '\\n' ' '").run().ok().says("bin dev etc home mnt payload proc root sys tmp usr var");
        b.sh("cd /; cd ..; pwd; ls ../../../payload").run().ok().says("/\n../../../payload");
    });
}

#[test]
fn no_pivot() {
    case(|b| {
        b.set("/linux/rootfsPropagation", "rslave").args(&["/payload", "report"]);
        let before = host::mounts();
        let r = b.start_command("run", &["--no-pivot"]).output().ok().json();
        assert_eq!((&r["cwd"], &r["root"]), (&json!("/"), &json!("/")));
        assert_eq!(host::mounts(), before);
        assert_ne!(r["ns"]["mnt"], host::own_namespace("mnt"));
    });
}

/// Nothing of a full procfs or sysfs of the host may stay reachable without pivot_root.
#[test]
fn no_pivot_leaves_no_procfs_behind() {
    case(|b| {
        b.set("/linux/rootfsPropagation", "rslave").args(&["/payload", "report"]);
        let r = b.start_command("run", &["--no-pivot"]).output().ok().json();
        let kinds =
            strings(&r["mounts"]).iter().map(|l| Mount::parse(l)).filter(|m| m.kind == "proc" && m.root == "/").count();
        assert_eq!(kinds, 1, "{:#?}", r["mounts"]);
    });
}

#[test]
fn propagation_of_the_root() {
    case(|b| {
        // Binds are impossible when all is unbindable: those of cgroup mounts on v1, and those that make paths read-only.
        b.config["mounts"].as_array_mut().unwrap().truncate(6);
        b.remove("/linux/readonlyPaths").remove("/linux/maskedPaths");
        for (value, shared, master, unbindable) in [
            ("shared", true, false, false),
            ("rshared", true, false, false),
            ("private", false, false, false),
            ("rprivate", false, false, false),
            ("slave", false, false, false),
            ("rslave", false, false, false),
            ("unbindable", false, false, true),
            ("runbindable", false, false, true),
        ] {
            b.set("/linux/rootfsPropagation", value);
            let m = mount_at(&b.report(), "/");
            let has = |what: &str| m.propagation.iter().any(|p| p.starts_with(what));
            assert_eq!(
                (has("shared"), has("master"), has("unbindable")),
                (shared, master, unbindable),
                "{value}: {m:?}"
            );
        }
    });
}

/// What is unbindable for the container must not keep the runtime from binding: read-only paths, masks, cgroups.
#[test]
fn an_unbindable_root_and_paths_that_are_bound() {
    case(|b| {
        fs::create_dir(b.rootfs("/data")).unwrap();
        b.file("/key", 0o644, "secret");
        b.set("/linux/rootfsPropagation", "runbindable").set("/root/readonly", false);
        b.set("/linux/readonlyPaths/-", "/data").set("/linux/maskedPaths/-", "/key");
        let r = b.report();
        assert!(mount_at(&r, "/").propagation.iter().any(|p| p == "unbindable"));
        assert!(mount_at(&r, "/data").has_own("ro") && mount_at(&r, "/proc/sys").has_own("ro"));
        b.sh("cat /key; touch /data/x").run().code(1).says("").err_has("Read-only file system");
    });
}

/// With a shared mount of the host: `rslave` lets the host's later mounts in, the default keeps them out.
#[test]
fn later_mounts_of_the_host() {
    case(|b| {
        for (propagation, seen) in [("rslave", "yes"), ("rprivate", "no")] {
            let volume = b.path(&format!("volume-{propagation}"));
            fs::create_dir_all(volume.join("sub")).unwrap();
            let v = volume.display();
            // The runtime runs in the background of a namespace in which the volume is mounted on after `created`.
            let setup = format!(
                "mount --make-rprivate / && mount --bind {v} {v} && mount --make-shared {v} && \"$@\" && \
                 mount -t tmpfs tmpfs {v}/sub && touch {v}/sub/late"
            );
            b.another_id(&format!("c-{propagation}"));
            b.wrap(&["unshare", "-m", "sh", "-c", &setup, "sh"]);
            b.config["mounts"].as_array_mut().unwrap().truncate(7);
            b.mount(json!({"destination": "/mnt", "source": volume, "options": ["rbind", propagation]}));
            b.sh("test -e /mnt/sub/late && echo yes || echo no");
            let mut out = b.create();
            b.wrap::<&str>(&[]);
            b.start();
            b.await_status("stopped");
            assert_eq!(out.written().0.trim(), seen, "{propagation}");
        }
    });
}

#[test]
fn default_devices() {
    case(|b| {
        b.sh("cd /dev; stat -c %n:%F:%t:%T:%a:%u:%g null zero full random urandom tty; \
              for l in fd stdin stdout stderr ptmx; do echo $l $(readlink $l); done");
        let expected = "null:character special file:1:3:666:0:0\nzero:character special file:1:5:666:0:0\n\
            full:character special file:1:7:666:0:0\nrandom:character special file:1:8:666:0:0\n\
            urandom:character special file:1:9:666:0:0\ntty:character special file:5:0:666:0:0\n\
            fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\nptmx pts/ptmx";
        b.run().ok().says(expected);
    });
}

#[test]
fn devices_of_the_configuration() {
    case(|b| {
        b.set(
            "/linux/devices",
            json!([
                {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 3, "gid": 4},
                {"path": "/dev/sub/dir/block", "type": "b", "major": 7, "minor": 0, "fileMode": 0o600},
                {"path": "/dev/pipe", "type": "p", "fileMode": 0o622},
                {"path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 5},
                {"path": "/opt/null", "type": "c", "major": 1, "minor": 3},
                {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o622}
            ]),
        );
        // A default that is redefined loses its rule with it.
        b.set(
            "/linux/resources/devices/-",
            json!({"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}),
        );
        b.set("/root/readonly", false);
        b.sh("stat -c %n:%F:%t:%T:%a:%u:%g /dev/fuse /dev/sub/dir/block /dev/pipe /dev/unbuffered /opt/null /dev/null");
        let expected = "/dev/fuse:character special file:a:e5:640:3:4\n/dev/sub/dir/block:block special file:7:0:600:0:0\n\
            /dev/pipe:fifo:0:0:622:0:0\n/dev/unbuffered:character special file:1:5:666:0:0\n\
            /opt/null:character special file:1:3:666:0:0\n/dev/null:character special file:1:3:622:0:0";
        b.run().ok().says(expected);
    });
}

/// A bind mount at /dev brings its own.
/// config-linux.md, "Devices": what is at the path of a device has to be that device.
#[test]
fn something_else_has_the_name_of_a_device() {
    case(|b| {
        b.set("/root/readonly", false).args(&["/bin/true"]);
        let device = |b: &mut Bundle, path: &str| {
            b.set("/linux/devices", json!([{"path": path, "type": "c", "major": 1, "minor": 3}])).run()
        };
        b.file("/opt/file", 0o644, "");
        std::os::unix::fs::symlink("/dev/null", b.rootfs("/opt/link")).unwrap();
        let mknod = |b: &Bundle, name: &str, minor: &str| {
            let path = b.rootfs(name);
            assert!(std::process::Command::new("mknod").arg(path).args(["c", "1", minor]).status().unwrap().success());
        };
        mknod(b, "/opt/zero", "5");
        mknod(b, "/opt/null", "3");
        for path in ["/opt/file", "/opt/link", "/opt/zero"] {
            device(b, path)
                .fails(
                    1,
                    &format!(
                        "error creating device nodes: {path}: something else has that name in the root file system"
                    ),
                )
                .err_has("(config.json /linux/devices/0)");
        }
        // It is there already: of a container before, or made by a bind.
        device(b, "/opt/null").ok();
        device(b, "/opt/new").ok();
        device(b, "/opt/new").ok();
    });
}

#[test]
fn no_default_devices_in_a_bound_dev() {
    case(|b| {
        let dev = b.path("dev");
        fs::create_dir(&dev).unwrap();
        let mounts = b.config["mounts"].as_array_mut().unwrap();
        mounts.retain(|m| !m["destination"].as_str().unwrap().starts_with("/dev"));
        mounts.push(json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["bind"]}));
        b.set("/linux/maskedPaths", json!([])).sh("ls /dev").run().ok().says("");
        assert_eq!(fs::read_dir(&dev).unwrap().count(), 0);
    });
}

/// The payload's /dev/null is the container's, also when the caller's was given to it.
#[test]
fn null_descriptors_are_the_containers_own() {
    case(|b| {
        b.args(&["/payload", "report-to", "/out/report"]).set("/root/readonly", false);
        fs::create_dir(b.rootfs("/out")).unwrap();
        let mut command = b.start_command("create", &[]);
        command.inner().stdin(std::process::Stdio::null());
        let script = "exec \"$@\" </dev/null >/dev/null 2>&1";
        b.wrap(&["sh", "-c", script, "sh"]);
        b.start_command("run", &["-d"]).output().ok();
        b.wrap::<&str>(&[]);
        b.await_status("stopped");
        let r: serde_json::Value = serde_json::from_str(&host::read(b.rootfs("/out/report"))).unwrap();
        assert_eq!(r["fds"], json!({"0": "/dev/null", "1": "/dev/null", "2": "/dev/null"}));
    });
}

#[test]
fn masked_paths() {
    case(|b| {
        b.file("/secret/file", 0o644, "secret");
        b.file("/key", 0o644, "secret");
        b.set("/linux/maskedPaths", json!(["/secret", "/key", "/no/such", "/key", "/proc/keys", "/sys/firmware"]));
        b.set("/root/readonly", false).set("/mounts/5/options", json!(["nosuid", "noexec", "nodev"]));
        b.sh("ls /secret /sys/firmware; cat /key /proc/keys; stat -c %t:%T /key; touch /secret/x; mount -o remount,rw /secret");
        let out = b.run();
        let out = out.err_has("Read-only file system").says("/secret:\n\n/sys/firmware:\n1:3");
        assert_ne!(out.code, 0);
        let r = b.report();
        let m = mount_at(&r, "/secret");
        assert!(m.kind == "tmpfs" && m.has_own("ro"), "{m:?}");
    });
}

/// However many directories are masked: one empty file system for all.
#[test]
fn masked_directories_share_one_superblock() {
    case(|b| {
        let names: Vec<String> = (0..20).map(|i| format!("/mask/{i}")).collect();
        for name in &names {
            fs::create_dir_all(b.rootfs(name)).unwrap();
        }
        b.set("/linux/maskedPaths", json!(names));
        let r = b.report();
        let devices: BTreeSet<String> = names.iter().map(|n| mount_at(&r, n).device).collect();
        assert_eq!(devices.len(), 1, "{devices:?}");
    });
}

#[test]
fn masked_paths_through_symlinks_stay_inside() {
    case(|b| {
        fs::write(b.path("canary"), "canary").unwrap();
        std::os::unix::fs::symlink(b.path("canary"), b.rootfs("/link")).unwrap();
        b.set("/linux/maskedPaths", json!(["/link"])).sh("true");
        let _ = b.run();
        assert_eq!(host::read(b.path("canary")), "canary");
    });
}

#[test]
fn read_only_paths() {
    case(|b| {
        fs::create_dir_all(b.rootfs("/data/sub")).unwrap();
        b.set("/linux/readonlyPaths", json!(["/data", "/dev/shm", "/no/such", "/proc/sys"]))
            .set("/root/readonly", false);
        let r = b.report();
        assert!(mount_at(&r, "/data").has_own("ro"));
        let shm = mount_at(&r, "/dev/shm");
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(shm.has_own(option), "{shm:?}");
        }
        b.sh("touch /data/sub/x").run().code(1).err_has("Read-only file system");
        b.sh("echo 1 > /proc/sys/kernel/shmmni").run().code(1);
        b.sh("touch /elsewhere").run().ok();
    });
}

#[test]
fn nothing_stays_on_the_host() {
    case(|b| {
        let before = host::mounts();
        b.args(&["/bin/sleep", "100"]).run_detached();
        assert_eq!(host::mounts(), before);
        b.rt(&["delete", "--force", &b.id]).ok();
        assert_eq!(host::mounts(), before);
        b.assert_gone();
    });
}

/// A rootfs that is a mount point itself, as overlayfs of containerd is.
#[test]
fn rootfs_is_a_mount_point() {
    case(|b| {
        let root = b.rootfs("").display().to_string();
        overlay(b, &root);
        b.set("/root/readonly", false).sh("touch /new; df / | tail -n 1 | cut -d ' ' -f 1").run().ok().says("overlay");
    });
}

fn overlay(b: &mut Bundle, root: &str) {
    let tmp = b.path("tmpfs").display().to_string();
    let setup = format!(
        "mkdir {tmp} && mount -t tmpfs tmpfs {tmp} && mkdir {tmp}/u {tmp}/w && \
         mount -t overlay -o lowerdir={root},upperdir={tmp}/u,workdir={tmp}/w overlay {root} && exec \"$@\""
    );
    b.wrap(&["unshare", "-m", "sh", "-c", &setup, "sh"]);
}
