//! The root file systems that the shim mounts, and that they are gone after Delete.

use std::fs::{self, File};

use dunnage_shim::proto::Mount;

use crate::common::*;

fn mount(kind: &str, source: &str, target: &str, options: &[&str]) -> Mount {
    Mount {
        kind: kind.into(),
        source: source.into(),
        target: target.into(),
        options: options.iter().map(|option| option.to_string()).collect(),
    }
}

fn bind(t: &Daemon, more: &[&str]) -> Mount {
    mount("bind", t.rootfs().to_str().unwrap(), "", &[&["rbind"], more].concat())
}

fn mounted(c: &Container) -> Vec<String> {
    let root = c.path("rootfs").display().to_string();
    host::mounts().into_iter().filter(|m| m.split(' ').nth(4).unwrap().starts_with(&root)).collect()
}

#[test]
fn an_overlay_is_mounted_and_unmounted() {
    case(|t| {
        let mut c = t.container("c1");
        c.overlay(t).sh("echo hello > /file; cat /file");
        let task = t.boot(&c);
        task.create(&c).unwrap();
        assert_eq!(mounted(&c).len(), 1);
        task.start("c1", "").unwrap();
        assert_eq!(c.out.text(), "hello\n");
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        assert!(mounted(&c).is_empty());
        assert!(c.path("rootfs").is_dir());
        assert_eq!(fs::read_to_string(t.path("overlay-c1/upper/file")).unwrap(), "hello\n");
    });
}

#[test]
fn the_first_event_names_the_mounts() {
    case(|t| {
        use dunnage_shim::proto::{Message, events::TaskCreate};
        let mut c = t.container("c1");
        c.overlay(t);
        let task = t.boot(&c);
        task.create(&c).unwrap();
        let event = t.events.expect("create c1");
        assert_eq!(TaskCreate::decode(&event.any.value).unwrap().rootfs, c.request.rootfs);
    });
}

/// A bind mount alone does not become read-only in one call.
#[test]
fn a_read_only_bind_is_read_only() {
    case(|t| {
        let mut c = t.container("c1");
        c.mounts(vec![bind(t, &["ro"])]).sh("echo x > /file");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(1));
        assert!(c.err.text().contains("Read-only file system"));
    });
}

#[test]
fn flags_are_obeyed() {
    case(|t| {
        let mut c = t.container("c1");
        c.mounts(vec![
            bind(t, &[]),
            mount("tmpfs", "tmpfs", "mnt", &["nosuid", "nodev", "noexec", "size=1m", "mode=700"]),
        ]);
        c.sh("grep ' /mnt ' /proc/mounts; stat -c %a /mnt");
        let task = t.boot(&c);
        task.create(&c).unwrap();
        assert_eq!(mounted(&c).len(), 2);
        task.start("c1", "").unwrap();
        let out = c.out.text();
        assert!(out.contains("rw,nosuid,nodev,noexec,") && out.contains("size=1024k"), "{out}");
        assert!(out.ends_with("\n700\n"), "{out}");
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        assert!(mounted(&c).is_empty());
    });
}

/// What an image contains is not where a mount goes.
#[test]
fn a_target_does_not_lead_out_of_the_root() {
    case(|t| {
        let victim = t.path("victim");
        fs::create_dir(&victim).unwrap();
        std::os::unix::fs::symlink(&victim, t.rootfs().join("link")).unwrap();
        for target in ["link", "../../../../../../run/test/victim"] {
            let mut c = t.container("c1");
            c.mounts(vec![bind(t, &[]), mount("tmpfs", "tmpfs", target, &[])]);
            let task = t.boot(&c);
            let created = task.create(&c).is_ok();
            let outside = host::mounts().into_iter().filter(|m| m.contains("/run/test/victim")).count();
            assert_eq!(outside, 0, "{target}");
            if created {
                task.delete("c1", "").unwrap();
            }
            fs::remove_dir_all(&c.bundle).unwrap();
        }
    });
}

/// The root is where the container's mounts are, and the outer ones remain below them.
#[test]
fn mounts_may_be_on_top_of_each_other() {
    case(|t| {
        let mut c = t.container("c1");
        c.mounts(vec![bind(t, &[]), bind(t, &[]), bind(t, &["ro"])]).args(&["/bin/true"]);
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        assert!(mounted(&c).is_empty(), "{:?}", mounted(&c));
    });
}

#[test]
fn an_option_for_the_daemon_is_refused() {
    case(|t| {
        let mut c = t.container("c1");
        c.mounts(vec![bind(t, &["X-containerd.mkfs=x"])]);
        let task = t.boot(&c);
        task.create(&c).fails(2, "X-containerd.mkfs=x");
        assert!(mounted(&c).is_empty());
    });
}

/// The options of one mount have a page, and an image of a hundred layers needs more.
#[test]
fn an_overlay_of_a_hundred_layers() {
    case(|t| {
        let layers: Vec<String> = (0..100)
            .map(|n| {
                let dir = t.path(&format!("snapshots/{n:064}/fs"));
                fs::create_dir_all(dir.join(format!("layer{n}"))).unwrap();
                dir.display().to_string()
            })
            .chain([t.rootfs().display().to_string()])
            .collect();
        let lower = format!("lowerdir={}", layers.join(":"));
        assert!(lower.len() > 8000);
        let mut c = t.container("c1");
        for name in ["upper", "work"] {
            fs::create_dir_all(t.path(name)).unwrap();
        }
        let options = [lower.as_str(), "upperdir=/run/test/upper", "workdir=/run/test/work"];
        c.mounts(vec![mount("overlay", "overlay", "", &options)]).sh("echo /layer* | wc -w");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(0));
        assert_eq!(c.out.text(), "100\n");
    });
}

/// Twenty layers with the long paths of a daemon: more than a page, and less with relative paths.
#[test]
fn an_overlay_of_long_paths() {
    case(|t| {
        let base = "snapshots/io.containerd.snapshotter.v1.overlayfs/with/a/long/way/to/the/layers/of/an/image/of/many/layers/in/a/place";
        let layers: Vec<String> = (0..40)
            .map(|n| {
                let dir = t.path(&format!("{base}/{n}/fs"));
                fs::create_dir_all(dir.join(format!("layer{n}"))).unwrap();
                dir.display().to_string()
            })
            .collect();
        fs::rename(t.rootfs().join("bin"), t.path(base).join("0/fs/bin")).unwrap();
        for dir in ["proc", "dev", "sys", "etc", "tmp"] {
            fs::create_dir_all(t.path(base).join("0/fs").join(dir)).unwrap();
        }
        let mut c = t.container("c1");
        let lower = format!("lowerdir={}", layers.join(":"));
        assert!(lower.len() > 4096);
        c.mounts(vec![mount("overlay", "overlay", "", &[&lower])]).sh("echo /layer* | wc -w");
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(0));
        assert_eq!(c.out.text(), "40\n");
    });
}

/// Somebody looks into it, for a second.
#[test]
fn a_root_that_is_busy_for_a_moment_is_unmounted_later() {
    case(|t| {
        let mut c = t.container("c1");
        c.overlay(t).args(&["/bin/true"]);
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        let busy = File::open(c.path("rootfs/bin/busybox")).unwrap();
        let delete = task.begin_delete("c1", "");
        assert!(delete.within(patience(1)).is_none());
        assert_eq!(task.status("c1", ""), 3, "it is answered meanwhile");
        drop(busy);
        delete.wait().unwrap();
        assert!(mounted(&c).is_empty());
    });
}

/// Delete fails, and what is there stays known, so that it can be asked for again.
#[test]
fn a_root_that_stays_busy_can_be_deleted_later() {
    case(|t| {
        let mut c = t.container("c1");
        c.overlay(t).sh("exit 6");
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        let busy = File::open(c.path("rootfs/bin/busybox")).unwrap();
        task.delete("c1", "").fails(2, "failed rootfs umount");
        assert_eq!(task.status("c1", ""), 3);
        assert_eq!(mounted(&c).len(), 1, "not behind anybody's back: its files may still change");
        drop(busy);
        assert_eq!(task.delete("c1", "").unwrap().exit_status, 6);
        assert!(mounted(&c).is_empty());
        t.events.are(&["create c1", "start c1", "exit c1 6", "delete c1 6"]);
    });
}

/// The bundle's own directory is not the shim's to mount or to unmount.
#[test]
fn without_mounts_nothing_is_mounted() {
    case(|t| {
        let mut c = t.container("c1");
        c.args(&["/bin/true"]);
        let before = host::mounts().len();
        let task = t.launch(&c);
        task.wait("c1", "").unwrap();
        assert_eq!(host::mounts().len(), before);
        task.delete("c1", "").unwrap();
        assert!(c.path("rootfs").is_dir());
    });
}

/// The root's owner is another inside than outside.
#[test]
fn a_root_may_have_mapped_owners() {
    case(|t| {
        let mut c = t.container("c1");
        let lower = format!("lowerdir={}", t.rootfs().display());
        let maps = ["uidmap=0:100000:65536", "gidmap=0:100000:65536"];
        for name in ["upper", "work"] {
            fs::create_dir_all(t.path(name)).unwrap();
            std::os::unix::fs::chown(t.path(name), Some(100_000), Some(100_000)).unwrap();
        }
        let options = [maps[0], maps[1], &lower, "upperdir=/run/test/upper", "workdir=/run/test/work"];
        c.mounts(vec![mount("overlay", "overlay", "", &options)]);
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        c.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        c.sh("stat -c '%u %g' /bin/busybox; echo x > /tmp/file; stat -c %u /tmp/file");
        // The mapped root has to reach the root file system.
        use std::os::unix::fs::PermissionsExt;
        for dir in c.bundle.ancestors().take_while(|dir| *dir != std::path::Path::new("/run")) {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(0), "{}", c.err.text());
        assert_eq!(c.out.text(), "0 0\n0\n");
    });
}
