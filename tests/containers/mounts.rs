//! The mounts of config.json: types, every option, targets, binds, propagation, id-mapped mounts, control groups.

use crate::common::mount::{Mount, find_mount, mount_at};
use crate::common::{Bundle, Value, case, host, json, strings};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

/// The runtime runs in a mount namespace of the test's own, after this shell code.
fn with_host_mounts(b: &mut Bundle, setup: &str) {
    let line = format!("{setup} && exec \"$@\"");
    b.wrap(&["unshare", "-m", "--propagation", "private", "sh", "-c", &line, "sh"]);
}

/// A directory of the host, next to the bundle.
fn host_dir(b: &Bundle, name: &str) -> String {
    let dir = b.path(name);
    fs::create_dir_all(&dir).unwrap();
    dir.display().to_string()
}

#[test]
fn the_default_mounts() {
    case(|b| {
        let before = host::mounts();
        let r = b.report();
        for (point, kind, options) in [
            ("/proc", "proc", "rw"),
            ("/dev", "tmpfs", "rw nosuid mode=755 size=65536k"),
            ("/dev/pts", "devpts", "rw nosuid noexec gid=5 mode=620 ptmxmode=666"),
            ("/dev/shm", "tmpfs", "rw nosuid nodev noexec size=65536k"),
            ("/dev/mqueue", "mqueue", "rw nosuid nodev noexec"),
            ("/sys", "sysfs", "ro nosuid nodev noexec"),
            ("/sys/fs/cgroup", if host::has_v1() { "tmpfs" } else { "cgroup2" }, "rw nosuid nodev noexec"),
        ] {
            let m = mount_at(&r, point);
            assert_eq!(m.kind, kind, "{point}");
            for option in options.split(' ') {
                assert!(m.has(option), "{point} must have {option}: {m:?}");
            }
        }
        assert!(mount_at(&r, "/").has_own("ro"));
        assert_eq!(host::mounts(), before, "the host's mount table has changed");
    });
}

/// Options of the mount itself and of its file system, on a tmpfs.
#[test]
fn options_of_a_tmpfs() {
    case(|b| {
        let table: &[(&[&str], &str, &str)] = &[
            (&["ro"], "ro", "rw"),
            (&["ro", "rw"], "rw", ""),
            (&["nosuid"], "nosuid", ""),
            (&["nosuid", "suid"], "rw", "nosuid"),
            (&["nodev"], "nodev", ""),
            (&["nodev", "dev"], "rw", "nodev"),
            (&["noexec"], "noexec", ""),
            (&["noexec", "exec"], "rw", "noexec"),
            (&["noatime"], "noatime", "relatime"),
            (&["noatime", "atime"], "relatime", "noatime"),
            (&["nodiratime"], "nodiratime", ""),
            (&["nodiratime", "diratime"], "relatime", "nodiratime"),
            (&["relatime"], "relatime", ""),
            (&["strictatime"], "rw", "relatime"),
            (&["strictatime", "nostrictatime"], "relatime", ""),
            (&["sync"], "sync", ""),
            (&["sync", "async"], "rw", "sync"),
            (&["dirsync"], "dirsync", ""),
            (&["lazytime"], "lazytime", ""),
            (&["lazytime", "nolazytime"], "rw", "lazytime"),
            (&["nosymfollow"], "nosymfollow", ""),
            (&["nosymfollow", "symfollow"], "rw", "nosymfollow"),
            (&["mode=711", "size=1m", "nr_inodes=99"], "mode=711 size=1024k nr_inodes=99", ""),
            (&["silent", "loud", "norelatime", "noiversion", "nomand"], "rw", ""),
        ];
        for (i, (options, _, _)) in table.iter().enumerate() {
            b.mount(
                json!({"destination": format!("/tmp/m{i}"), "type": "tmpfs", "source": "tmpfs", "options": options}),
            );
        }
        b.set("/root/readonly", false);
        let r = b.report();
        for (i, (options, yes, no)) in table.iter().enumerate() {
            let m = mount_at(&r, &format!("/tmp/m{i}"));
            for option in yes.split_whitespace() {
                assert!(m.has_own(option) || option != "ro" && m.has(option), "{options:?} must give {option}: {m:?}");
            }
            for option in no.split_whitespace() {
                assert!(!m.has_own(option), "{options:?} must not give {option}: {m:?}");
            }
        }
    });
}

/// A bind without options keeps what its source has; with any, it has exactly these (and the source's atime).
#[test]
fn options_of_a_bind() {
    case(|b| {
        let source = host_dir(b, "source");
        with_host_mounts(b, &format!("mount -t tmpfs -o nosuid,noexec,noatime tmpfs {source}"));
        let table: &[(&[&str], &str, &str)] = &[
            (&["bind"], "rw nosuid noexec noatime", "nodev"),
            (&["rbind", "ro"], "ro noatime", "nosuid noexec"),
            (&["bind", "nodev", "nosuid"], "nodev nosuid", "noexec"),
            (&["bind", "suid", "exec"], "rw", "nosuid noexec"),
            (&["bind", "relatime"], "relatime", "noatime"),
            (&["bind", "strictatime"], "rw", "noatime relatime"),
            (&["bind", "nosymfollow", "nodiratime"], "nosymfollow nodiratime", ""),
        ];
        for (i, (options, _, _)) in table.iter().enumerate() {
            b.mount(json!({"destination": format!("/mnt/m{i}"), "type": "bind", "source": source, "options": options}));
        }
        b.set("/root/readonly", false);
        let r = b.report();
        for (i, (options, yes, no)) in table.iter().enumerate() {
            let m = mount_at(&r, &format!("/mnt/m{i}"));
            for option in yes.split_whitespace() {
                assert!(m.has_own(option), "{options:?} must give {option}: {m:?}");
            }
            for option in no.split_whitespace() {
                assert!(!m.has_own(option), "{options:?} must not give {option}: {m:?}");
            }
        }
    });
}

/// What `rro` and its family do, to the mount and to the one below it.
#[test]
fn recursive_attributes() {
    case(|b| {
        let source = host_dir(b, "source");
        let setup = format!("mount -t tmpfs tmpfs {source} && mkdir {source}/sub && mount -t tmpfs tmpfs {source}/sub");
        with_host_mounts(b, &setup);
        let table: &[(&str, &str)] = &[
            ("rro", "ro"),
            ("rnosuid", "nosuid"),
            ("rnodev", "nodev"),
            ("rnoexec", "noexec"),
            ("rnodiratime", "nodiratime"),
            ("rnoatime", "noatime"),
            ("rrelatime", "relatime"),
            ("rnosymfollow", "nosymfollow"),
        ];
        for (option, _) in table {
            let mount = json!({"destination": format!("/mnt/{option}"), "type": "bind", "source": source,
                "options": ["rbind", option]});
            b.mount(mount);
        }
        b.mount(json!({"destination": "/mnt/strict", "source": source, "options": ["rbind", "rstrictatime"]}));
        b.mount(json!({"destination": "/mnt/plain", "source": source, "options": ["rbind", "ro"]}));
        b.set("/root/readonly", false);
        let r = b.report();
        for (option, expected) in table {
            for point in [format!("/mnt/{option}"), format!("/mnt/{option}/sub")] {
                let m = mount_at(&r, &point);
                assert!(m.has_own(expected), "{option} must give {expected} at {point}: {m:?}");
            }
        }
        assert!(!mount_at(&r, "/mnt/strict/sub").has_own("relatime"));
        assert!(mount_at(&r, "/mnt/plain").has_own("ro") && mount_at(&r, "/mnt/plain/sub").has_own("rw"));
    });
}

#[test]
fn recursive_attributes_are_cleared() {
    case(|b| {
        let source = host_dir(b, "source");
        let setup = format!(
            "mount -t tmpfs -o ro,nosuid,nodev,noexec tmpfs {source}; mount -o remount,rw {source} && mkdir {source}/sub && \
             mount -t tmpfs -o ro,nosuid,nodev,noexec,noatime tmpfs {source}/sub"
        );
        with_host_mounts(b, &setup);
        b.mount(json!({"destination": "/mnt/x", "type": "bind", "source": source,
            "options": ["rbind", "rrw", "rsuid", "rdev", "rexec", "ratime", "rdiratime", "rsymfollow"]}));
        b.set("/root/readonly", false);
        let m = mount_at(&b.report(), "/mnt/x/sub");
        for option in ["ro", "nosuid", "nodev", "noexec", "noatime"] {
            assert!(!m.has_own(option), "{option}: {m:?}");
        }
    });
}

#[test]
fn bind_of_a_directory_and_of_a_file() {
    case(|b| {
        fs::write(b.path("file"), "of the host").unwrap();
        fs::write(format!("{}/inside", host_dir(b, "dir")), "too").unwrap();
        b.mount(json!({"destination": "/mnt/new/file", "type": "bind", "source": b.path("file"), "options": ["bind", "ro"]}));
        b.mount(json!({"destination": "/mnt/new/dir", "type": "none", "source": b.path("dir"), "options": ["rbind"]}));
        b.sh("cat /mnt/new/file /mnt/new/dir/inside; echo more > /mnt/new/dir/written; echo x > /mnt/new/file");
        b.run().code(1).says("of the hosttoo").err_has("Read-only file system");
        assert_eq!(host::read(b.path("dir/written")), "more");
        // What was missing has been made: an empty file, directories.
        let made = fs::metadata(b.rootfs("/mnt/new/file")).unwrap();
        assert!(made.is_file() && made.len() == 0);
        assert_eq!(fs::metadata(b.rootfs("/mnt/new")).unwrap().permissions().mode() & 0o7777, 0o755);
    });
}

#[test]
fn bind_takes_one_mount_rbind_all() {
    case(|b| {
        let source = host_dir(b, "source");
        let setup = format!("mkdir {source}/sub && mount -t tmpfs tmpfs {source}/sub && touch {source}/sub/below");
        with_host_mounts(b, &setup);
        b.mount(json!({"destination": "/mnt/one", "source": source, "options": ["bind"]}));
        b.mount(json!({"destination": "/mnt/all", "source": source, "options": ["rbind"]}));
        b.sh("ls /mnt/one/sub; echo -; ls /mnt/all/sub").run().ok().says("-\nbelow");
    });
}

#[test]
fn a_relative_source_is_in_the_bundle() {
    case(|b| {
        fs::create_dir(b.bundle().join("data")).unwrap();
        fs::write(b.bundle().join("data/x"), "in the bundle").unwrap();
        b.mount(json!({"destination": "/mnt", "type": "bind", "source": "data", "options": ["bind"]}));
        b.sh("cat /mnt/x").run().ok().says("in the bundle");
    });
}

#[test]
fn a_missing_source_is_told() {
    case(|b| {
        b.mount(json!({"destination": "/mnt", "type": "bind", "source": "/no/such", "options": ["bind"]}));
        b.run().fails(1, "/no/such: no such file or directory");
        b.assert_gone();
    });
}

/// config.md, "Mounts": for old tools, below the root whatever the working directory is.
#[test]
fn a_relative_destination_is_below_the_root() {
    case(|b| {
        b.mount(json!({"destination": "mnt", "type": "tmpfs", "source": "tmpfs"}));
        b.set("/process/cwd", "/tmp").sh("grep -c ' /mnt tmpfs ' /proc/mounts; grep -c /tmp/mnt /proc/mounts");
        let out = b.run();
        assert_eq!(out.out, "1\n0\n", "{out}");
        out.err_has("mount destination mnt is not absolute");
    });
}

#[test]
fn mounts_are_made_in_order() {
    case(|b| {
        fs::write(format!("{}/a", host_dir(b, "one")), "").unwrap();
        b.mount(json!({"destination": "/mnt", "type": "tmpfs", "source": "first"}));
        b.mount(json!({"destination": "/mnt/below", "source": b.path("one"), "options": ["bind"]}));
        b.mount(json!({"destination": "/mnt/below", "type": "tmpfs", "source": "over"}));
        b.mount(json!({"destination": "/mnt/below/../deep/er", "type": "tmpfs", "source": "third"}));
        let r = b.report();
        assert_eq!(mount_at(&r, "/mnt/below").source, "over");
        assert_eq!(mount_at(&r, "/mnt/deep/er").source, "third");
    });
}

/// Links in an image lead where they lead inside of it, also when they point above it.
#[test]
fn symlinked_destinations_stay_inside() {
    case(|b| {
        for (link, to) in [("abs", "/target/abs"), ("up", "../../../../target/up"), ("rel", "target/rel")] {
            fs::create_dir_all(b.rootfs(&format!("/target/{link}"))).unwrap();
            symlink(to, b.rootfs(link)).unwrap();
            b.mount(json!({"destination": format!("/{link}"), "type": "tmpfs", "source": link}));
        }
        // The last component is missing behind the link.
        symlink("/target", b.rootfs("dir")).unwrap();
        b.mount(json!({"destination": "/dir/made", "type": "tmpfs", "source": "made"}));
        let r = b.report();
        for name in ["abs", "up", "rel", "made"] {
            assert_eq!(mount_at(&r, &format!("/target/{name}")).source, name);
        }
        assert!(!std::path::Path::new("/target").exists(), "made on the host");
    });
}

/// The link points at something that is not there: it is made, inside.
#[test]
fn dangling_symlinks_stay_inside() {
    case(|b| {
        let canary = b.path("canary");
        symlink(&canary, b.rootfs("dangling")).unwrap();
        b.mount(json!({"destination": "/dangling", "type": "tmpfs", "source": "tmpfs"})).args(&["/payload", "report"]);
        let out = b.run();
        assert!(!canary.exists(), "made on the host");
        if out.code == 0 {
            assert_eq!(mount_at(&out.json(), canary.to_str().unwrap()).kind, "tmpfs");
        }
    });
}

#[test]
fn tmpfs_takes_the_mode_of_its_target() {
    case(|b| {
        fs::create_dir(b.rootfs("/sticky")).unwrap();
        fs::set_permissions(b.rootfs("/sticky"), fs::Permissions::from_mode(0o1770)).unwrap();
        b.mount(json!({"destination": "/sticky", "type": "tmpfs", "source": "tmpfs"}));
        b.mount(json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["mode=0701"]}));
        b.sh("stat -c %a /sticky /mnt").run().ok().says("1770\n701");
    });
}

/// What is made because it is missing has no mode to be taken: the file system's own stands.
#[test]
fn tmpfs_on_what_is_missing_is_open_to_all() {
    case(|b| {
        fs::create_dir(b.rootfs("/there")).unwrap();
        fs::set_permissions(b.rootfs("/there"), fs::Permissions::from_mode(0o710)).unwrap();
        for point in ["/missing", "/missing-too/deep", "/there", "/there/missing"] {
            b.mount(json!({"destination": point, "type": "tmpfs", "source": "tmpfs"}));
        }
        b.sh("stat -c %a /missing /missing-too/deep /there /there/missing").run().ok().says("1777\n1777\n710\n1777");
    });
}

#[test]
fn tmpcopyup() {
    case(|b| {
        b.file("/data/sub/file", 0o646, "content");
        chown(b.rootfs("/data/sub/file"), Some(12), Some(34)).unwrap();
        fs::set_permissions(b.rootfs("/data/sub"), fs::Permissions::from_mode(0o2755)).unwrap();
        symlink("sub/file", b.rootfs("/data/link")).unwrap();
        b.mount(json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}));
        b.sh("stat -c %a:%u:%g /data/sub /data/sub/file; cat /data/link; echo new > /data/sub/file; df /data | grep -c tmpfs");
        b.run().ok().says("2755:0:0\n646:12:34\ncontent1");
        assert_eq!(host::read(b.rootfs("/data/sub/file")), "content");
    });
}

#[test]
fn defaults_means_nothing() {
    case(|b| {
        b.mount(json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["defaults", "nosuid"]}));
        assert!(mount_at(&b.report(), "/mnt").has_own("nosuid"));
    });
}

#[test]
fn a_read_only_tmpfs_is_filled_before() {
    case(|b| {
        for mount in b.config["mounts"].as_array_mut().unwrap() {
            if mount["destination"] == "/dev" {
                mount["options"].as_array_mut().unwrap().push(json!("ro"));
            }
        }
        let r = b.report();
        assert!(mount_at(&r, "/dev").has_own("ro"));
        b.sh("test -c /dev/null && touch /dev/x").run().code(1).err_has("Read-only file system");
    });
}

#[test]
fn propagation_of_a_bind() {
    case(|b| {
        let source = host_dir(b, "source");
        let mut setup = format!("mount -t tmpfs tmpfs {source} && mount --make-shared {source}");
        setup +=
            &format!(" && mkdir {source}/sub && mount -t tmpfs tmpfs {source}/sub && mount --make-shared {source}/sub");
        with_host_mounts(b, &setup);
        b.set("/root/readonly", false);
        let run = |b: &mut Bundle, root: &str, kinds: &[&str]| {
            b.config["mounts"].as_array_mut().unwrap().truncate(7);
            for kind in kinds {
                b.mount(json!({"destination": format!("/mnt/{kind}"), "source": source, "options": ["rbind", kind]}));
            }
            b.set("/linux/rootfsPropagation", root).report()
        };
        let has = |r: &Value, point: &str, what: &str| {
            mount_at(r, &format!("/mnt/{point}")).propagation.iter().any(|p| p.starts_with(what))
        };
        // rootfsPropagation is applied to `/` and, if recursive, to all below: shared ones need a shared root.
        let r = run(b, "rslave", &["private", "slave", "unbindable", "rprivate", "rslave", "runbindable"]);
        for kind in ["private", "rprivate"] {
            assert!(!has(&r, kind, "shared") && !has(&r, kind, "master"), "{kind}");
        }
        assert!(has(&r, "private/sub", "master") && !has(&r, "rprivate/sub", "master"));
        for point in ["slave", "rslave", "slave/sub", "rslave/sub"] {
            assert!(has(&r, point, "master") && !has(&r, point, "shared"), "{point}");
        }
        assert!(has(&r, "unbindable", "unbindable") && !has(&r, "unbindable/sub", "unbindable"));
        assert!(has(&r, "runbindable", "unbindable") && has(&r, "runbindable/sub", "unbindable"));
        let r = run(b, "rshared", &["shared", "rshared"]);
        for point in ["shared", "rshared", "rshared/sub"] {
            assert!(has(&r, point, "shared"), "{point}");
        }
    });
}

/// Owners seen through an id-mapped bind: what the file has on the host, moved by the map.
#[test]
fn id_mapped_bind() {
    case(|b| {
        fs::write(format!("{}/mine", host_dir(b, "source")), "").unwrap();
        chown(b.path("source/mine"), Some(1000), Some(2000)).unwrap();
        let mut mount =
            json!({"destination": "/mnt", "type": "bind", "source": b.path("source"), "options": ["bind", "idmap"]});
        mount["uidMappings"] = json!([{"containerID": 1000, "hostID": 5000, "size": 1}]);
        mount["gidMappings"] = json!([{"containerID": 2000, "hostID": 6000, "size": 1}]);
        b.mount(mount).sh("stat -c %u:%g /mnt/mine").run().ok().says("5000:6000");
    });
}

/// Without maps of its own the mount takes the container's user namespace.
#[test]
fn id_mapped_bind_by_the_user_namespace() {
    case(|b| {
        let source = host_dir(b, "source");
        fs::write(format!("{source}/mine"), "").unwrap();
        chown(b.path("source/mine"), Some(7), Some(8)).unwrap();
        b.user_namespace();
        b.mount(json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["bind", "idmap"]}));
        b.sh("stat -c %u:%g /mnt/mine; touch /mnt/new").run().ok().says("7:8");
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(b.path("source/new")).unwrap()), 0);
    });
}

/// The same where that namespace is joined: its maps are the kernel's to tell, config.json has none.
#[test]
fn id_mapped_bind_by_a_user_namespace_that_is_joined() {
    case(|b| {
        let source = host_dir(b, "source");
        fs::write(format!("{source}/mine"), "").unwrap();
        chown(b.path("source/mine"), Some(7), Some(8)).unwrap();
        b.user_namespace().args(&["/bin/sleep", "100"]).run_detached();
        let path = format!("/proc/{}/ns/user", b.pid());
        b.another_id("joins").namespace("user", Some(&path));
        b.remove("/linux/uidMappings").remove("/linux/gidMappings");
        b.mount(json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["bind", "idmap"]}));
        b.sh("stat -c %u:%g /mnt/mine; touch /mnt/new").run().ok().says("7:8");
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(b.path("source/new")).unwrap()), 0);
    });
}

#[test]
fn id_mapped_recursively() {
    case(|b| {
        let source = host_dir(b, "source");
        with_host_mounts(
            b,
            &format!(
                "mkdir {source}/sub && mount -t tmpfs tmpfs {source}/sub && touch {source}/sub/mine && chown 1 {source}/sub/mine"
            ),
        );
        for (name, option) in [("top", "idmap"), ("all", "ridmap")] {
            let mut mount =
                json!({"destination": format!("/mnt/{name}"), "source": source, "options": ["rbind", option]});
            mount["uidMappings"] = json!([{"containerID": 1, "hostID": 91, "size": 1}]);
            mount["gidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
            b.mount(mount);
        }
        b.sh("stat -c %u /mnt/top/sub/mine /mnt/all/sub/mine").run().ok().says("1\n91");
    });
}

#[test]
fn cgroup_mount_shows_the_own_group() {
    case(|b| {
        let r = b.report();
        let groups: Vec<Mount> = strings(&r["mounts"])
            .iter()
            .map(|l| Mount::parse(l))
            .filter(|m| m.kind == "cgroup" && m.point.starts_with("/sys/fs/cgroup/"))
            .collect();
        let controllers = host::hierarchies().iter().filter(|(name, _)| !name.is_empty()).count();
        assert_eq!(groups.len(), controllers, "{groups:?}");
        for m in groups {
            assert!(m.root.ends_with(&b.cgroup) && m.has_own("ro"), "{m:?}");
        }
    });
}

#[test]
fn cgroup_mount_in_a_cgroup_namespace() {
    case(|b| {
        let r = b.namespace("cgroup", None).report();
        let m = mount_at(&r, "/sys/fs/cgroup/pids");
        assert!(m.kind == "cgroup" && m.root == "/" && m.has_own("ro"), "{m:?}");
        b.sh("cat /sys/fs/cgroup/pids/cgroup.procs | head -n 1").run().ok().says("1");
    });
}

#[test]
fn lxcfs_may_cover_files_of_proc() {
    case(|b| {
        fs::write(b.path("cpuinfo"), "mine").unwrap();
        b.mount(
            json!({"destination": "/proc/cpuinfo", "type": "bind", "source": b.path("cpuinfo"), "options": ["bind"]}),
        );
        b.sh("cat /proc/cpuinfo").run().ok().says("mine");
    });
}

#[test]
fn nothing_else_may_cover_proc() {
    case(|b| {
        b.mount(json!({"destination": "/proc/self", "type": "tmpfs", "source": "tmpfs"}));
        b.run().fails(1, "cannot be mounted because it is inside /proc");
        b.config["mounts"].as_array_mut().unwrap().pop();
        b.mount(json!({"destination": "/proc", "type": "tmpfs", "source": "tmpfs"}));
        b.run().fails(1, "cannot be mounted because it is not of type proc");
        b.assert_gone();
    });
}

#[test]
fn a_bind_of_a_procfs_may() {
    case(|b| {
        b.config["mounts"][0] =
            json!({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind", "nosuid"]});
        b.drop_namespace("pid");
        let r = b.report();
        assert!(find_mount(&r, "/proc").is_some_and(|m| m.kind == "proc" && m.has_own("nosuid")));
    });
}
