//! Real mounts, each test in a mount namespace and a process of its own.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::attach::{Place, remount_bind};
use super::{detach_all, mount_all, options, overlay, table, unmount_all};
use crate::confined::{self, MARK, Pids};
use crate::proto::Mount;

/// False in the harness, which then has run the test confined; true in that.
fn confined(name: &str, environment: &[(&str, &str)]) -> bool {
    confined::output(&format!("mounts::tests::{name}"), Pids::Same, environment).is_none()
}

/// A bundle on a tmpfs that is shared, as /run is.
struct Bundle {
    dir: tempfile::TempDir,
}

impl Bundle {
    fn new() -> Bundle {
        let dir = tempfile::tempdir().unwrap();
        sh(&format!("mount -t tmpfs tmpfs {0} && mount --make-shared {0}", dir.path().display()));
        fs::create_dir(dir.path().join("rootfs")).unwrap();
        Bundle { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn rootfs(&self) -> PathBuf {
        self.at("rootfs")
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, content: &str) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap()
    }

    /// What is mounted at the rootfs and below: places and types.
    fn mounted(&self) -> Vec<(String, String)> {
        let mounts = table::below(&self.rootfs()).unwrap();
        let name = |at: PathBuf| at.strip_prefix(self.dir.path()).unwrap().to_str().unwrap().to_owned();
        mounts.into_iter().map(|mount| (name(mount.at), mount.kind)).collect()
    }

    /// The options of an overlay of these layers, the uppermost first.
    fn overlay(&self, layers: &[&str]) -> Mount {
        let lower = layers.iter().map(|layer| self.text(layer)).collect::<Vec<_>>().join(":");
        for name in ["upper", "work"] {
            fs::create_dir_all(self.at(name)).unwrap();
        }
        let (upper, work) = (self.text("upper"), self.text("work"));
        let options = [format!("workdir={work}"), format!("upperdir={upper}"), format!("lowerdir={lower}")];
        Mount { kind: "overlay".into(), source: "overlay".into(), options: options.into(), ..Mount::default() }
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        detach_all(self.dir.path());
    }
}

fn sh(script: &str) {
    let status = Command::new("sh").args(["-euc", script]).status().unwrap();
    assert!(status.success(), "{script}: {status}");
}

fn mount(kind: &str, source: &str, target: &str, options: &[&str]) -> Mount {
    let options = options.iter().map(|o| (*o).to_owned()).collect();
    Mount { kind: kind.into(), source: source.into(), target: target.into(), options }
}

fn one(kind: &str) -> Vec<(String, String)> {
    vec![("rootfs".into(), kind.into())]
}

fn owner(path: &Path) -> (u32, u32) {
    let meta = fs::metadata(path).unwrap();
    (meta.uid(), meta.gid())
}

#[test]
fn an_overlay_by_each_way() {
    if !confined("an_overlay_by_each_way", &[]) {
        return;
    }
    for way in 0..3 {
        let bundle = Bundle::new();
        bundle.file("layers/1/fs/name", "lower");
        bundle.file("layers/2/fs/name", "upper");
        bundle.file("layers/1/fs/only", "here");
        let mut mount = bundle.overlay(&["layers/2/fs", "layers/1/fs"]);
        mount.options.push("noatime".into());
        let plan = options::plan(&mount).unwrap();
        let rootfs = bundle.rootfs();
        let place = Place::of(&rootfs, "").unwrap();
        overlay::by_way(&mount, &plan, &place, way).unwrap();
        drop(place);
        assert_eq!(bundle.mounted(), one("overlay"), "{way}");
        assert_eq!((bundle.read("rootfs/name"), bundle.read("rootfs/only")), ("upper".into(), "here".into()));
        fs::write(bundle.at("rootfs/only"), "changed").unwrap();
        assert_eq!((bundle.read("upper/only"), bundle.read("layers/1/fs/only")), ("changed".into(), "here".into()));
        sh(&format!("grep ' {} .*noatime' /proc/self/mountinfo", bundle.rootfs().display()));
        assert_eq!(fs::read_dir("/proc/self/cwd").unwrap().count(), fs::read_dir(".").unwrap().count());
        unmount_all(&bundle.rootfs()).unwrap();
        assert_eq!(bundle.mounted(), []);
        assert_eq!(fs::read_dir(bundle.rootfs()).unwrap().count(), 0);
    }
}

#[test]
fn more_layers_than_a_page_has_room_for() {
    if !confined("more_layers_than_a_page_has_room_for", &[]) {
        return;
    }
    let bundle = Bundle::new();
    let names: Vec<String> =
        (0..300).map(|n| format!("io.containerd.snapshotter.v1.overlayfs/snapshots/{n}/fs")).collect();
    for (n, name) in names.iter().enumerate() {
        bundle.file(&format!("{name}/name{n}"), &n.to_string());
        bundle.file(&format!("{name}/top"), &n.to_string());
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    mount_all(&[bundle.overlay(&names)], &bundle.rootfs()).unwrap();
    assert_eq!(bundle.mounted(), one("overlay"));
    assert_eq!((bundle.read("rootfs/name299"), bundle.read("rootfs/top")), ("299".into(), "0".into()));
    unmount_all(&bundle.rootfs()).unwrap();

    // What a kernel without lowerdir+ does with it: with the directory in common, a page has room for these,
    let rootfs = bundle.rootfs();
    let place = Place::of(&rootfs, "").unwrap();
    let cwd = std::env::current_dir().unwrap();
    let by_common = |count: usize| {
        let mount = bundle.overlay(&names[..count]);
        overlay::by_way(&mount, &options::plan(&mount).unwrap(), &place, 1).map(drop)
    };
    by_common(200).unwrap();
    assert_eq!((bundle.read("rootfs/name199"), bundle.read("rootfs/top")), ("199".into(), "0".into()));
    assert_eq!(std::env::current_dir().unwrap(), cwd);
    unmount_all(&bundle.rootfs()).unwrap();
    // and not for those of which each has a name that is too long.
    let long = "x".repeat(200);
    let names: Vec<String> = (0..30).map(|n| format!("{long}/{long}/{n}{long}")).collect();
    for name in &names {
        fs::create_dir_all(bundle.at(&format!("elsewhere/{name}"))).unwrap();
    }
    fs::create_dir_all(bundle.at("other")).unwrap();
    let names: Vec<String> = names.iter().map(|name| format!("elsewhere/{name}")).chain(["other".to_owned()]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let error = mount_all(&[bundle.overlay(&names)], &bundle.rootfs()).unwrap_err().to_string();
    assert_eq!(error, "failed to mount rootfs component: mount options is too long");
    assert_eq!(bundle.mounted(), []);
}

const MAPS: [&str; 2] = ["uidmap=0:100000:65536", "gidmap=0:200000:65536"];

#[test]
fn an_overlay_with_mapped_ids() {
    if !confined("an_overlay_with_mapped_ids", &[]) {
        return;
    }
    // The second time with a name that only mount(2) takes.
    for name in ["fs".to_owned(), format!("{0}/{0}", "x".repeat(140))] {
        let bundle = Bundle::new();
        let layers = [format!("layers/2/{name}"), format!("layers/1/{name}")];
        bundle.file(&format!("{}/name", layers[0]), "upper");
        bundle.file(&format!("{}/only", layers[1]), "lower");
        let mut overlay = bundle.overlay(&[&layers[0], &layers[1]]);
        overlay.options.extend(MAPS.map(str::to_owned));
        mount_all(&[overlay], &bundle.rootfs()).unwrap();
        assert_eq!(bundle.mounted(), one("overlay"));
        assert_eq!(owner(&bundle.at("rootfs/name")), (100_000, 200_000));
        fs::write(bundle.at("rootfs/only"), "changed").unwrap();
        assert_eq!(owner(&bundle.at("upper/only")), (100_000, 200_000));
        assert_eq!(owner(&bundle.at(&layers[1]).join("only")), (0, 0));
        assert_eq!(bundle.read(&format!("{}/only", layers[1])), "lower");
        unmount_all(&bundle.rootfs()).unwrap();
        assert_eq!(bundle.mounted(), []);
    }
}

#[test]
fn layers_that_are_mounts_have_their_ids_mapped_too() {
    if !confined("layers_that_are_mounts_have_their_ids_mapped_too", &[]) {
        return;
    }
    let bundle = Bundle::new();
    for layer in ["1", "2"] {
        fs::create_dir_all(bundle.at(&format!("layers/{layer}"))).unwrap();
        sh(&format!("mount -t tmpfs tmpfs {}", bundle.at(&format!("layers/{layer}")).display()));
        bundle.file(&format!("layers/{layer}/fs/name{layer}"), "");
    }
    let mut overlay = bundle.overlay(&["layers/2/fs", "layers/1/fs"]);
    overlay.options.extend(MAPS.map(str::to_owned));
    mount_all(&[overlay], &bundle.rootfs()).unwrap();
    for name in ["rootfs/name1", "rootfs/name2"] {
        assert_eq!(owner(&bundle.at(name)), (100_000, 200_000));
    }
    assert_eq!(bundle.mounted(), one("overlay"));
}

#[test]
fn what_is_missing_is_named_and_nothing_stays() {
    if !confined("what_is_missing_is_named_and_nothing_stays", &[]) {
        return;
    }
    let bundle = Bundle::new();
    bundle.file("layers/1/x", "");
    let rootfs = bundle.rootfs();
    let (root, gone) = (rootfs.display(), bundle.text("gone"));
    let begin = "failed to mount rootfs component";
    let tmpfs = || mount("tmpfs", "tmpfs", "", &[]);
    let mut mapped = bundle.overlay(&["layers/1", "gone"]);
    mapped.options.extend(MAPS.map(str::to_owned));
    let twice = ["uidmap=0:1:1,0:2:1", "gidmap=0:1:1", "bind"];
    let error = mount_all(&[mount("bind", &bundle.text("layers"), "", &twice)], &rootfs).unwrap_err().to_string();
    assert!(error.contains("/uid_map: invalid argument (option uidmap)"), "{error}");
    let bad_overlay = format!("{begin}: mount overlay (overlay) on {root}: no such file or directory");
    for (bad, text) in [
        (
            mount("nofs", "x", "", &[]),
            format!("{begin}: mount nofs (x) on {root}: no such device; this kernel has no file system \"nofs\""),
        ),
        (mount("tmpfs", "x", "a/b", &[]), format!("{begin}: open a/b in {root}: no such file or directory")),
        (mount("bind", &gone, "", &["bind"]), format!("{begin}: open {gone}: no such file or directory")),
        (bundle.overlay(&["layers/1", "gone"]), format!("{bad_overlay}; there is no directory {gone}")),
        (mapped, format!("{begin}: open {gone}: no such file or directory; there is no directory {gone}")),
        (
            mount("tmpfs", "x", "", &["X-containerd.x"]),
            format!("{begin}: internal mount option \"X-containerd.x\" was not consumed by the mount manager"),
        ),
    ] {
        assert_eq!(mount_all(&[tmpfs(), tmpfs(), bad], &rootfs).unwrap_err().to_string(), text);
        assert_eq!(bundle.mounted(), []);
    }
    let error = mount_all(&[tmpfs()], &bundle.at("gone")).unwrap_err().to_string();
    assert_eq!(error, format!("{begin}: open {gone}: no such file or directory"));
    let absent = bundle.overlay(&["layers/1"]);
    let mut options = absent.options.clone();
    options.push("bogus=1".into());
    let plan = options::plan(&Mount { options, ..absent.clone() }).unwrap();
    let place = Place::of(&rootfs, "").unwrap();
    let error = overlay::by_way(&absent, &plan, &place, 2).unwrap_err().to_string();
    assert!(error.starts_with("fsconfig bogus: ") && error.contains("nknown"), "{error}");
}

#[test]
fn a_bind_mount_and_its_flags() {
    if !confined("a_bind_mount_and_its_flags", &[]) {
        return;
    }
    let bundle = Bundle::new();
    fs::create_dir(bundle.at("source")).unwrap();
    sh(&format!("mount -t tmpfs -o nosuid,nodev,noatime tmpfs {}", bundle.at("source").display()));
    bundle.file("source/name", "x");
    fs::create_dir(bundle.at("source/below")).unwrap();
    sh(&format!("mount -t tmpfs tmpfs {}", bundle.at("source/below").display()));
    let options_of = |place: &str| {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let place = bundle.text(place);
        let line = table.lines().find(|line| line.split(' ').nth(4) == Some(&place));
        let line = line.unwrap_or_else(|| panic!("{place} is not in {table}"));
        line.split(' ').nth(5).unwrap().to_owned()
    };
    let bind = |options: &[&str]| mount_all(&[mount("bind", &bundle.text("source"), "", options)], &bundle.rootfs());
    bind(&["rbind", "ro"]).unwrap();
    assert_eq!(options_of("rootfs"), "ro,nosuid,nodev,noatime");
    assert_eq!(options_of("rootfs/below"), "rw,relatime");
    assert_eq!(options_of("source"), "rw,nosuid,nodev,noatime");
    assert_eq!(fs::write(bundle.at("rootfs/name"), "").unwrap_err().raw_os_error(), Some(libc::EROFS));
    unmount_all(&bundle.rootfs()).unwrap();
    // The source keeps what is mounted in it.
    assert_eq!(options_of("source/below"), "rw,relatime");

    bind(&["bind", "rw"]).unwrap();
    assert_eq!(bundle.mounted().len(), 1);
    fs::write(bundle.at("rootfs/name"), "y").unwrap();
    // As before Linux 5.12.
    let place = bundle.rootfs();
    let place = Place::of(&place, "").unwrap();
    remount_bind(&place.covered, libc::MS_RDONLY | libc::MS_NOEXEC).unwrap();
    drop(place);
    assert_eq!(options_of("rootfs"), "ro,nosuid,nodev,noexec,noatime");
    unmount_all(&bundle.rootfs()).unwrap();

    bind(&["rbind", "rro", "relatime", "noexec"]).unwrap();
    assert_eq!(options_of("rootfs"), "ro,nosuid,nodev,noexec,relatime");
    assert_eq!(options_of("rootfs/below"), "ro,relatime");
    unmount_all(&bundle.rootfs()).unwrap();

    bind(&[&["bind"], &MAPS[..]].concat()).unwrap();
    assert_eq!((owner(&bundle.at("rootfs/name")), owner(&bundle.at("source/name"))), ((100_000, 200_000), (0, 0)));
}

#[test]
fn another_file_system_with_mapped_ids_and_a_remount() {
    if !confined("another_file_system_with_mapped_ids_and_a_remount", &[]) {
        return;
    }
    let bundle = Bundle::new();
    let tmpfs = mount("tmpfs", "tmpfs", "", &[&["mode=0755", "size=1m"], &MAPS[..]].concat());
    mount_all(&[tmpfs, mount("", "", "", &["remount", "ro", "size=2m"])], &bundle.rootfs()).unwrap();
    assert_eq!(bundle.mounted(), one("tmpfs"));
    assert_eq!(owner(&bundle.rootfs()), (100_000, 200_000));
    sh(&format!("grep ' {} .* - tmpfs tmpfs ro,size=2048k' /proc/self/mountinfo", bundle.rootfs().display()));
}

#[test]
fn propagation_is_changed_after_the_mount() {
    if !confined("propagation_is_changed_after_the_mount", &[]) {
        return;
    }
    for (option, has) in [("rprivate", ""), ("rslave", "master:"), ("rshared", "shared:"), ("unbindable", "unbindable")]
    {
        let bundle = Bundle::new();
        fs::create_dir(bundle.at("source")).unwrap();
        mount_all(&[mount("bind", &bundle.text("source"), "", &["rbind", option])], &bundle.rootfs()).unwrap();
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let place = bundle.text("rootfs");
        let line = table.lines().find(|line| line.split(' ').nth(4) == Some(&place)).unwrap();
        let fields: Vec<&str> = line.split(' ').skip(6).take_while(|field| *field != "-").collect();
        assert!(if has.is_empty() { fields.is_empty() } else { fields[0].starts_with(has) }, "{option}: {fields:?}");
    }
}

#[test]
fn a_target_is_looked_up_in_the_root() {
    if !confined("a_target_is_looked_up_in_the_root", &[]) {
        return;
    }
    let bundle = Bundle::new();
    for dir in ["layer/real", "layer/etc", "outside"] {
        fs::create_dir_all(bundle.at(dir)).unwrap();
    }
    symlink(bundle.at("outside"), bundle.at("layer/evil")).unwrap();
    symlink("../../../../../etc", bundle.at("layer/up")).unwrap();
    symlink("/real", bundle.at("layer/link")).unwrap();
    let root = || mount("bind", &bundle.text("layer"), "/", &["bind"]);
    for (target, at) in
        [("/real", "rootfs/real"), ("link", "rootfs/real"), ("up", "rootfs/etc"), ("../etc", "rootfs/etc")]
    {
        mount_all(&[root(), mount("tmpfs", "tmpfs", target, &[])], &bundle.rootfs()).unwrap();
        assert_eq!(bundle.mounted()[1], (at.into(), "tmpfs".into()), "{target}");
        unmount_all(&bundle.rootfs()).unwrap();
    }
    let error = mount_all(&[root(), mount("tmpfs", "tmpfs", "evil", &[])], &bundle.rootfs()).unwrap_err();
    assert_eq!(error.errno(), Some(nix::errno::Errno::ENOENT), "{error}");
    // A rootfs that is a link itself.
    fs::remove_dir(bundle.rootfs()).unwrap();
    symlink(bundle.at("outside"), bundle.rootfs()).unwrap();
    let error = mount_all(&[mount("tmpfs", "tmpfs", "", &[])], &bundle.rootfs()).unwrap_err();
    assert_eq!(error.errno(), Some(nix::errno::Errno::ENOTDIR), "{error}");
}

#[test]
fn an_image_in_a_file() {
    if !confined("an_image_in_a_file", &[]) {
        return;
    }
    let bundle = Bundle::new();
    // Of a file system on which direct I/O works.
    let image = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    image.as_file().set_len(8 << 20).unwrap();
    let path = image.path().to_str().unwrap();
    sh(&format!("mkfs.ext4 -q {path}"));
    let device_of = || {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let place = bundle.text("rootfs");
        let line = table.lines().find(|line| line.split(' ').nth(4) == Some(&place)).unwrap();
        line.split(" - ").nth(1).unwrap().split(' ').nth(1).unwrap().replace("/dev/", "")
    };
    for (options, read_only, direct) in
        [(&["loop"][..], "0", "0"), (&["loop", "ro"], "1", "0"), (&["loop", "direct-io"], "0", "1")]
    {
        mount_all(&[mount("ext4", path, "", options)], &bundle.rootfs()).unwrap();
        let device = device_of();
        let sys = |name: &str| fs::read_to_string(format!("/sys/block/{device}/{name}"));
        assert_eq!(sys("ro").unwrap().trim(), read_only, "{options:?}");
        assert_eq!((sys("loop/dio").unwrap().trim(), sys("loop/autoclear").unwrap().trim()), (direct, "1"));
        assert_eq!(sys("loop/backing_file").unwrap().trim_end(), path);
        assert!(bundle.at("rootfs/lost+found").is_dir());
        unmount_all(&bundle.rootfs()).unwrap();
        // The kernel lets go of the file a moment later.
        let begun = std::time::Instant::now();
        while sys("loop/backing_file").is_ok_and(|file| file.trim_end() == path) {
            assert!(begun.elapsed().as_secs() < 10, "{device} keeps {path}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn whatever_is_stacked_is_unmounted() {
    if !confined("whatever_is_stacked_is_unmounted", &[]) {
        return;
    }
    let bundle = Bundle::new();
    let root = bundle.rootfs();
    // Two on one another, one below the first that is hidden by the second, names that mountinfo escapes, a link.
    let script = "mount -t tmpfs a $R; mkdir $R/proc; mount -t tmpfs b $R/proc; mount -t tmpfs c $R/proc
        mount -t tmpfs d $R; mkdir -p \"$R/a b/c\td\"; mount -t tmpfs e \"$R/a b\"; mkdir \"$R/a b/#\\\\\"
        mount -t tmpfs f \"$R/a b/#\\\\\"; mkdir ${R}2; mount -t tmpfs g ${R}2";
    sh(&format!("R={}; {script}", root.display()));
    assert_eq!(bundle.mounted().len(), 6);
    let link = tempfile::tempdir().unwrap();
    symlink(bundle.dir.path(), link.path().join("link")).unwrap();
    unmount_all(&link.path().join("link/rootfs")).unwrap();
    assert_eq!(bundle.mounted(), []);
    assert_eq!(table::below(&bundle.at("rootfs2")).unwrap().len(), 1);
    for nothing in [root, bundle.at("none/rootfs"), bundle.at("none")] {
        unmount_all(&nothing).unwrap();
        detach_all(&nothing);
    }
}

#[test]
fn one_that_is_in_use_is_waited_for() {
    if !confined("one_that_is_in_use_is_waited_for", &[]) {
        return;
    }
    let bundle = Bundle::new();
    let tmpfs = || mount_all(&[mount("tmpfs", "tmpfs", "", &[])], &bundle.rootfs()).unwrap();
    tmpfs();
    bundle.file("rootfs/name", "");
    let held = fs::File::open(bundle.at("rootfs/name")).unwrap();
    let (told, heard) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        heard.recv_timeout(std::time::Duration::from_millis(300)).unwrap_err();
        drop(held);
    });
    unmount_all(&bundle.rootfs()).unwrap();
    holder.join().unwrap();
    drop(told);
    assert_eq!(bundle.mounted(), []);

    tmpfs();
    bundle.file("rootfs/name", "x");
    let held = fs::File::open(bundle.at("rootfs/name")).unwrap();
    let begun = std::time::Instant::now();
    let error = unmount_all(&bundle.rootfs()).unwrap_err().to_string();
    let start = format!("failed rootfs umount: umount {}: device or resource busy", bundle.text("rootfs"));
    assert!(error.starts_with(&start), "{error}");
    assert!((2.4..10.0).contains(&begun.elapsed().as_secs_f64()));
    assert_eq!(bundle.mounted(), one("tmpfs"));
    detach_all(&bundle.rootfs());
    assert_eq!(bundle.mounted(), []);
    assert_eq!(std::io::read_to_string(held).unwrap(), "x");
}

#[test]
fn links_do_not_lead_an_unmount_away() {
    if !confined("links_do_not_lead_an_unmount_away", &[]) {
        return;
    }
    let bundle = Bundle::new();
    fs::create_dir(bundle.at("outside")).unwrap();
    sh(&format!("mount -t tmpfs x {}", bundle.at("outside").display()));
    fs::remove_dir(bundle.rootfs()).unwrap();
    symlink(bundle.at("outside"), bundle.rootfs()).unwrap();
    unmount_all(&bundle.rootfs()).unwrap();
    detach_all(&bundle.rootfs());
    assert_eq!(table::below(&bundle.at("outside")).unwrap().len(), 1);
}

const FAKE: &str = "/tmp/dunnage-shim-test-helper";

#[test]
fn a_helper_of_fuse() {
    let dir = tempfile::tempdir().unwrap();
    let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", dir.path().display());
    if std::env::var_os(MARK).is_none() {
        let script = "#!/bin/sh\nif [ \"$1\" = bad ]; then echo it is bad >&2; exit 3; fi\n\
            echo \"$@\" > \"${0%/*}/arguments\"; exec mount -t tmpfs -o size=4k \"$1\" \"$2\"\n";
        let mut file = fs::File::create(dir.path().join("mount.fuse")).unwrap();
        file.write_all(script.as_bytes()).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
    }
    if !confined("a_helper_of_fuse", &[("PATH", &path), (FAKE, dir.path().to_str().unwrap())]) {
        return;
    }
    let bundle = Bundle::new();
    mount_all(&[mount("fuse.some-fs", "source", "", &["ro", "a=b,c"])], &bundle.rootfs()).unwrap();
    assert_eq!(bundle.mounted(), one("tmpfs"));
    let arguments = fs::read_to_string(Path::new(&std::env::var(FAKE).unwrap()).join("arguments")).unwrap();
    assert_eq!(arguments, format!("source {} -o ro -o a=b,c -t some-fs\n", bundle.text("rootfs")));
    unmount_all(&bundle.rootfs()).unwrap();
    let error = mount_all(&[mount("fuse.some-fs", "bad", "", &[])], &bundle.rootfs()).unwrap_err().to_string();
    let want = format!(
        "failed to mount rootfs component: mount helper [mount.fuse bad {}]: exit status 3: it is bad",
        bundle.text("rootfs")
    );
    assert_eq!(error, want);
    let error = mount_all(&[mount("fuse.some-fs", "-bad", "", &[])], &bundle.rootfs()).unwrap_err().to_string();
    assert!(error.contains("would be an option"), "{error}");
}

#[test]
fn a_file_system_that_a_program_serves() {
    if !confined("a_file_system_that_a_program_serves", &[]) {
        return;
    }
    let bundle = Bundle::new();
    bundle.file("layers/1/name", "lower");
    let mut overlay = bundle.overlay(&["layers/1"]);
    overlay.kind = "fuse3.fuse-overlayfs".into();
    mount_all(&[overlay], &bundle.rootfs()).unwrap();
    assert_eq!(bundle.mounted(), one("fuse.fuse-overlayfs"));
    assert_eq!(bundle.read("rootfs/name"), "lower");
    fs::write(bundle.at("rootfs/name"), "changed").unwrap();
    unmount_all(&bundle.rootfs()).unwrap();
    assert_eq!(bundle.mounted(), []);
    assert_eq!((bundle.read("upper/name"), bundle.read("layers/1/name")), ("changed".into(), "lower".into()));
}

#[test]
fn a_program_that_serves_no_more() {
    if confined::output("mounts::tests::a_program_that_serves_no_more", Pids::Own, &[]).is_some() {
        return;
    }
    let bundle = Bundle::new();
    fs::create_dir_all(bundle.at("layers/1")).unwrap();
    let mut overlay = bundle.overlay(&["layers/1"]);
    overlay.kind = "fuse3.fuse-overlayfs".into();
    for lazily in [false, true] {
        mount_all(std::slice::from_ref(&overlay), &bundle.rootfs()).unwrap();
        // All in this pid namespace but us.
        for entry in fs::read_dir("/proc").unwrap() {
            let Ok(pid) = entry.unwrap().file_name().to_str().unwrap().parse::<i32>() else { continue };
            if pid != 1 {
                let process = dunnage::sys::pidfd::PidFd::open(pid).unwrap();
                process.send_signal(libc::SIGKILL).unwrap();
                process.reap().unwrap();
            }
        }
        assert_eq!(fs::metadata(bundle.rootfs()).unwrap_err().raw_os_error(), Some(libc::ENOTCONN));
        match lazily {
            false => unmount_all(&bundle.rootfs()).unwrap(),
            true => detach_all(&bundle.rootfs()),
        }
        assert_eq!(bundle.mounted(), []);
    }
}
