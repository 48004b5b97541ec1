//! Id-mapped mounts of a container in a user namespace, as the kubelet's volumes are: who owns what, inside and on the host, and what
//! the container's root may not change about them.

use crate::common::mount::mount_at;
use crate::common::{Bundle, Value, case, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

/// A directory of the host with files that belong to these ids.
fn source(b: &Bundle, ids: &[u32]) -> String {
    let source = b.path("source");
    fs::create_dir(&source).unwrap();
    for id in ids {
        fs::write(source.join(id.to_string()), "").unwrap();
        chown(source.join(id.to_string()), Some(*id), Some(*id)).unwrap();
    }
    source.display().to_string()
}

/// The mount namespace that the runtime is started in is prepared by these lines.
fn prepared(b: &mut Bundle, lines: &str) {
    let setup = format!("set -e; {lines}; exec \"$@\"");
    b.wrap(&["unshare", "-m", "sh", "-c", &setup, "sh"]);
}

fn ranges(ranges: &[(u32, u32, u32)]) -> Value {
    ranges.iter().map(|(c, h, n)| json!({"containerID": c, "hostID": h, "size": n})).collect()
}

/// A bind at /mnt with maps of its own, for user and group ids alike.
fn mapped(b: &mut Bundle, source: &str, option: &str, maps: &[(u32, u32, u32)]) {
    let maps = ranges(maps);
    b.mount(json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["rbind", option],
        "uidMappings": maps, "gidMappings": maps}));
}

fn owner(path: impl AsRef<Path>) -> (u32, u32) {
    fs::symlink_metadata(path).map(|m| (m.uid(), m.gid())).unwrap()
}

/// As the kubelet sends volumes: with the pod's maps.
#[test]
fn volumes_have_the_owners_of_the_host() {
    case(|b| {
        let source = source(b, &[0, 7]);
        b.user_namespace().set("/process/user", json!({"uid": 7, "gid": 7}));
        fs::set_permissions(&source, fs::Permissions::from_mode(0o1777)).unwrap();
        mapped(b, &source, "idmap", &[(0, 100_000, 65536)]);
        b.sh("stat -c %n:%u:%g /mnt/*; touch /mnt/new; stat -c %u:%g /mnt/new")
            .run()
            .ok()
            .says("/mnt/0:0:0\n/mnt/7:7:7\n7:7");
        assert_eq!(owner(b.path("source/new")), (7, 7));
    });
}

#[test]
fn several_ranges_and_ids_outside_of_them() {
    case(|b| {
        let source = source(b, &[0, 1, 5, 9]);
        b.user_namespace().all_capabilities(&["CAP_DAC_OVERRIDE", "CAP_CHOWN"]);
        mapped(b, &source, "idmap", &[(0, 100_000, 2), (5, 100_050, 1)]);
        b.sh("stat -c %n:%u /mnt/*; touch /mnt/new && chown 50:50 /mnt/new; chown 6 /mnt/0; echo $?");
        let out = b.run().ok();
        assert_eq!(out.out, "/mnt/0:0\n/mnt/1:1\n/mnt/5:50\n/mnt/9:65534\n1\n", "{out}");
        // What the mount maps to no id of the host cannot own anything there.
        out.err_has("Value too large");
        assert_eq!(owner(b.path("source/new")), (5, 5));
    });
}

/// Another range than the container's: its root is somebody else to such a volume.
#[test]
fn a_map_that_is_not_the_containers() {
    case(|b| {
        let source = source(b, &[0]);
        b.user_namespace();
        mapped(b, &source, "idmap", &[(0, 101_000, 1000)]);
        let out = b.sh("stat -c %u:%g /mnt/0; touch /mnt/new").run().code(1);
        assert_eq!(out.out, "1000:1000\n", "{out}");
        assert!(!b.path("source/new").exists());
    });
}

#[test]
fn of_tmpfs_and_a_disk() {
    case(|b| {
        b.user_namespace();
        let dir = b.path("").display().to_string();
        prepared(
            b,
            &format!(
                "cd {dir}; mkdir t d; mount -t tmpfs t t
                 for i in t d; do touch $i/f; chown 7:8 $i/f; done"
            ),
        );
        for name in ["t", "d"] {
            b.mount(
                json!({"destination": format!("/mnt/{name}"), "source": b.path(name), "options": ["bind", "idmap"]}),
            );
        }
        b.sh("stat -c %u:%g /mnt/t/f /mnt/d/f; touch /mnt/t/new /mnt/d/new && stat -c %u /mnt/t/new /mnt/d/new");
        b.run().ok().says("7:8\n7:8\n0\n0");
    });
}

/// An overlay cannot be mapped on any kernel up to now; its layers can, which is what engines do.
#[test]
fn a_file_system_that_cannot() {
    case(|b| {
        b.user_namespace().args(&["/bin/true"]);
        let dir = b.path("").display().to_string();
        prepared(
            b,
            &format!(
                "cd {dir}; mkdir -p t m; mount -t tmpfs t t; mkdir -p t/l t/u t/w; mount -t overlay overlay -o lowerdir=t/l,upperdir=t/u,workdir=t/w m"
            ),
        );
        let at = b.config["mounts"].as_array().unwrap().len();
        b.mount(json!({"destination": "/mnt", "source": b.path("m"), "options": ["bind", "idmap"]}));
        let words = format!("failed to set MOUNT_ATTR_IDMAP on {dir}m: invalid argument");
        let out = b.run().fails(1, &words);
        if b.runtime().name == "dunnage" {
            out.err_has(&format!("/mounts/{at}")).err_has("overlay does not support id-mapped mounts");
        }
        b.assert_gone();
    });
}

/// What the host has made read-only, or `nosuid`, the root of a user namespace may not change, not even with all its capabilities.
#[test]
fn flags_stay_locked() {
    case(|b| {
        let source = source(b, &[]);
        b.user_namespace().all_capabilities(&["CAP_SYS_ADMIN"]);
        prepared(b, &format!("mount -t tmpfs -o ro,nosuid,nodev,noexec t {source}"));
        mapped(b, &source, "idmap", &[(0, 100_000, 65536)]);
        b.sh("for f in rw suid dev exec; do mount -o remount,bind,$f /mnt && echo $f; done; grep ' /mnt ' /proc/self/mountinfo");
        let out = b.run();
        assert!(out.out.contains(" /mnt ro,nosuid,nodev,noexec,"), "{out}");
        assert_eq!(out.out.lines().count(), 1, "{out}");
    });
}

/// What is hidden by a mount of the host's stays hidden.
#[test]
fn mounts_below_stay_where_they_are() {
    case(|b| {
        let source = source(b, &[]);
        b.user_namespace().all_capabilities(&["CAP_SYS_ADMIN"]);
        prepared(
            b,
            &format!(
                "mkdir {source}/sub; echo hidden > {source}/sub/f; mount -t tmpfs t {source}/sub; echo seen > {source}/sub/f"
            ),
        );
        mapped(b, &source, "ridmap", &[(0, 100_000, 65536)]);
        b.sh("umount /mnt/sub; cat /mnt/sub/f").run().ok().says("seen");
    });
}

#[test]
fn options_that_would_unlock_are_refused() {
    case(|b| {
        let source = source(b, &[]);
        b.user_namespace().args(&["/bin/true"]);
        prepared(b, &format!("mount -t tmpfs -o ro t {source}"));
        b.mount(json!({"destination": "/mnt", "source": source, "options": ["bind", "idmap", "rw"]}));
        b.run().fails(1, "cannot clear locked flags");
        b.assert_gone();
    });
}

#[test]
fn a_file_behind_a_closed_directory() {
    case(|b| {
        let source = source(b, &[0]);
        for (path, mode) in [(source.clone(), 0o700), (format!("{source}/0"), 0o600)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::write(format!("{source}/0"), "inside").unwrap();
        b.user_namespace();
        b.mount(json!({"destination": "/mnt/f", "source": format!("{source}/0"), "options": ["bind", "idmap", "ro"]}));
        b.sh("cat /mnt/f; stat -c %u /mnt/f").run().ok().says("inside0");
        assert!(mount_at(&b.report(), "/mnt/f").has_own("ro"));
    });
}

/// Forty volumes with the same maps: that of the container's own user namespace serves all of them.
#[test]
fn forty_volumes() {
    case(|b| {
        let source = source(b, &[7]);
        b.user_namespace();
        let maps = ranges(&[(0, 100_000, 65536)]);
        for i in 0..40 {
            b.mount(json!({"destination": format!("/mnt/{i}"), "source": source, "options": ["rbind", "ridmap"],
                "uidMappings": maps, "gidMappings": maps}));
        }
        b.sh("stat -c %u /mnt/*/7 | sort -u; ls /mnt | wc -l").run().ok().says("7\n40");
    });
}

/// Without a user namespace of the container's, only the mount has maps: the flags of the mount are root's to set.
#[test]
fn without_a_user_namespace() {
    case(|b| {
        let source = source(b, &[0]);
        prepared(b, &format!("mount --bind -o ro {source} {source} && mount -o remount,bind,ro {source}"));
        let maps = ranges(&[(0, 5000, 10)]);
        b.mount(json!({"destination": "/mnt", "source": source, "options": ["bind", "idmap", "rw", "nosuid"],
            "uidMappings": maps, "gidMappings": maps}));
        b.sh("stat -c %u:%g /mnt/0").run().ok().says("5000:5000");
        assert!(mount_at(&b.report(), "/mnt").has_own("rw"));
    });
}
