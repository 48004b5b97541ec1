//! What the field's advisories teach: each test is the attack of one, asserted from outside. `docs` and the advisories'
//! numbers say more; those that belong to a subject (user parsing, masked paths, groups) are with their subject.

use crate::common::{Bundle, case, host, json};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A directory of the host with one file, and what must still be in it afterwards.
struct Canary<'a>(&'a Path);

impl Canary<'_> {
    fn new(dir: &Path) -> Canary<'_> {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("file"), "canary").unwrap();
        Canary(dir)
    }

    #[track_caller]
    fn assert_untouched(&self) {
        let names: Vec<_> = fs::read_dir(self.0).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["file"], "something was made on the host");
        assert_eq!(host::read(self.0.join("file")), "canary");
        let point = self.0.display().to_string();
        assert!(!host::mounts().iter().any(|l| l.contains(&point)), "something was mounted on the host");
    }
}

/// CVE-2016-3697: a numeric uid that is also a user's name in the image.
#[test]
fn numeric_uid_is_not_a_name() {
    case(|b| {
        b.file("/etc/passwd", 0o644, "1000:x:0:0::/:/bin/sh\nroot:x:0:0::/root:/bin/sh\n");
        b.set("/process/user", json!({"uid": 1000, "gid": 1000}));
        b.sh("id -u; echo $HOME").run().ok().says("1000\n/");
    });
}

/// CVE-2019-19921, CVE-2023-27561, youki CVE-2025-54867.
#[test]
fn proc_and_sys_as_symlinks() {
    case(|b| {
        fs::remove_dir(b.rootfs("/proc")).unwrap();
        symlink("/tmp", b.rootfs("/proc")).unwrap();
        b.args(&["/bin/true"]).run().fails(1, "must be mounted on ordinary directory");
        fs::remove_file(b.rootfs("/proc")).unwrap();
        fs::create_dir(b.rootfs("/proc")).unwrap();
        fs::remove_dir(b.rootfs("/sys")).unwrap();
        symlink("/", b.rootfs("/sys")).unwrap();
        b.run().fails(1, "must be mounted on ordinary directory");
        b.assert_gone();
    });
}

/// CVE-2026-41579: `/dev` of the image leads to the host.
#[test]
fn dev_as_a_symlink() {
    case(|b| {
        let dir = b.path("canary");
        let canary = Canary::new(&dir);
        fs::remove_dir(b.rootfs("/dev")).unwrap();
        symlink(format!("../../../../../../..{}", dir.display()), b.rootfs("/dev")).unwrap();
        b.args(&["/bin/true"]);
        b.run();
        canary.assert_untouched();
        // Without a mount at /dev the nodes and links are made in what the image has there.
        b.config["mounts"].as_array_mut().unwrap().retain(|m| !m["destination"].as_str().unwrap().starts_with("/dev"));
        b.set("/root/readonly", false).run();
        canary.assert_untouched();
    });
}

/// Everything that a runtime makes in a root file system is there already, as a link to the host.
#[test]
fn what_is_made_in_the_image_is_a_link_already() {
    case(|b| {
        let dir = b.path("canary");
        let canary = Canary::new(&dir);
        for name in ["target-dir", "target-file", "device", "cwd"] {
            symlink(dir.join(name), b.rootfs(name)).unwrap();
        }
        symlink(&dir, b.rootfs("over")).unwrap();
        let file = b.path("source");
        fs::write(&file, "").unwrap();
        b.set("/root/readonly", false);
        b.mount(json!({"destination": "/target-dir/sub", "type": "tmpfs", "source": "tmpfs"}));
        b.mount(json!({"destination": "/target-file", "type": "bind", "source": file, "options": ["bind"]}));
        b.mount(json!({"destination": "/over/x", "type": "tmpfs", "source": "tmpfs"}));
        b.set(
            "/linux/devices",
            json!([{"path": "/device", "type": "c", "major": 1, "minor": 3},
            {"path": "/over/node", "type": "c", "major": 1, "minor": 3}]),
        );
        b.args(&["/bin/true"]);
        b.run();
        canary.assert_untouched();
        b.remove("/linux/devices").set("/process/cwd", "/cwd/a/b").run();
        canary.assert_untouched();
    });
}

/// CVE-2024-21626: a working directory through a leaked descriptor of the host.
#[test]
fn working_directory_through_a_descriptor() {
    case(|b| {
        b.wrap(&["sh", "-c", "exec 3</ 7</ 8</sys/fs/cgroup 9<.; exec \"$@\"", "sh"]);
        b.sh("ls -d etc/dunnage-host-marker work root/.cargo var/lib/dpkg 2>/dev/null; pwd");
        for n in 3..24 {
            for path in [format!("/proc/self/fd/{n}"), format!("/proc/self/fd/{n}/..")] {
                let out = b.set("/process/cwd", path.clone()).run();
                assert!(out.code != 0 || !out.out.contains("dpkg"), "{path}: {out}");
            }
        }
        b.set("/process/cwd", "/").args(&["/bin/sleep", "100"]).run_detached();
        for n in 3..24 {
            let path = format!("/proc/self/fd/{n}");
            let out = b.exec_with(&["--cwd", &path], &["ls", "var/lib/dpkg"]);
            assert_ne!(out.code, 0, "{path}: {out}");
        }
    });
}

/// CVE-2019-5736: the runtime's own binary, through /proc/PID/exe.
#[test]
fn the_runtime_is_not_writable_from_inside() {
    case(|b| {
        let before = fs::read(&b.runtime().path).unwrap_or_default();
        symlink("/proc/self/exe", b.rootfs("/entry")).unwrap();
        b.file("/script", 0o755, "#!/proc/self/exe\n");
        b.all_capabilities(&["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"]).set("/root/readonly", false);
        b.args(&["/entry", "init"]).run();
        b.args(&["/script"]).run();
        let attack =
            "while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] || echo x > $p/exe; done; done 2>/dev/null";
        b.sh(attack).run_detached();
        for _ in 0..20 {
            b.exec(&["true"]);
            b.exec(&["/entry", "init"]);
        }
        assert_eq!(fs::read(&b.runtime().path).unwrap_or_default(), before);
    });
}

/// Before the user's program runs, what waits inside is not the file on the host.
#[test]
fn what_waits_inside_is_not_the_file_of_the_host() {
    case(|b| {
        b.args(&["/bin/true"]).create();
        let exe = fs::read_link(format!("/proc/{}/exe", b.pid())).unwrap();
        assert!(exe.to_string_lossy().contains("memfd:"), "{}", exe.display());
        let write = fs::OpenOptions::new().write(true).open(format!("/proc/{}/exe", b.pid()));
        assert!(write.is_err(), "it is not sealed");
    });
}

/// CVE-2016-9962: a process of the container attaches to what enters it, and looks into its descriptors.
#[test]
fn what_enters_cannot_be_traced() {
    case(|b| {
        b.all_capabilities(&["CAP_DAC_OVERRIDE", "CAP_SYS_CHROOT"]);
        let mut out = b.args(&["/payload", "ptrace"]).run_detached();
        for _ in 0..40 {
            b.exec(&["true"]);
        }
        let (said, _) = out.written();
        // The user's own program may be traced: it is the container's. One that is ending has no executable any more.
        let bad: Vec<&str> = said
            .lines()
            .filter(|l| !(l.starts_with("seized ") && (l.contains("/bin/busybox") || l.contains("NotFound"))))
            .collect();
        assert_eq!(bad, Vec::<&str>::new());
    });
}

/// The same with CAP_SYS_PTRACE, which may look into everything in its pid namespace: what enters has nothing to show.
#[test]
fn a_tracer_finds_nothing_in_what_enters() {
    case(|b| {
        let names = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SYS_PTRACE"];
        let mut watcher = b.all_capabilities(&names).args(&["/payload", "watch"]).run_detached();
        let own = u64::from_str_radix(&host::status(b.pid())["CapEff"], 16).unwrap();
        // That it does look: a descriptor which a process of the container opens itself.
        b.exec(&["sh", "-c", "exec 7</etc/passwd; sleep 0.5"]).ok();
        assert!(watcher.written().0.contains(" fd 7 /etc/passwd\n"), "the watcher is blind");
        for _ in 0..30 {
            b.exec(&["true"]).ok();
        }
        let (said, _) = watcher.written();
        let harmless = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
            [_, "caps", set] => u64::from_str_radix(set, 16).is_ok_and(|set| set & !own == 0),
            [_, "fd", _, to] => to == "/etc/passwd" || to.starts_with("socket:["),
            _ => false,
        };
        assert_eq!(said.lines().filter(|l| !harmless(l)).collect::<Vec<_>>(), Vec::<&str>::new());
        // One socket of each: that by which it and the runtime talk.
        let mut sockets = BTreeMap::<&str, BTreeSet<&str>>::new();
        for line in said.lines().filter(|l| l.contains("socket:[")) {
            let mut words = line.split(' ');
            sockets.entry(words.next().unwrap()).or_default().extend(words.next_back());
        }
        assert!(sockets.values().all(|one| one.len() == 1), "{sockets:?}");
    });
}

/// CVE-2025-31133, youki CVE-2025-62161: what masks a file is /dev/null of the image, which is something else.
#[test]
fn masks_are_not_taken_from_the_image() {
    case(|b| {
        b.config["mounts"].as_array_mut().unwrap().retain(|m| !m["destination"].as_str().unwrap().starts_with("/dev"));
        b.file("/etc/target", 0o666, "the target");
        b.file("/key", 0o644, "the secret");
        for target in ["/etc/target", "/key", "/proc/version"] {
            let _ = fs::remove_file(b.rootfs("/dev/null"));
            symlink(target, b.rootfs("/dev/null")).unwrap();
            b.set("/linux/maskedPaths", json!(["/key"]))
                .set("/root/readonly", false)
                .sh("cat /key; stat -c %t:%T /key");
            let out = b.run();
            assert!(out.code != 0 || out.out.trim() == "1:3", "{target}: {out}");
            assert_eq!(host::read(b.rootfs("/etc/target")), "the target");
        }
    });
}

/// CVE-2022-0811: one sysctl that carries another.
#[test]
fn a_sysctl_carries_no_other() {
    case(|b| {
        let pattern = host::read("/proc/sys/kernel/core_pattern");
        b.args(&["/bin/true"]).set("/linux/sysctl", json!({"kernel.shm_rmid_forced": "1+kernel.core_pattern=/evil"}));
        b.run().code(1);
        b.set("/linux/sysctl", json!({"kernel.shm_rmid_forced": "1\nkernel.core_pattern=/evil"})).run();
        assert_eq!(host::read("/proc/sys/kernel/core_pattern"), pattern);
    });
}

/// CVE-2018-15664 and CVE-2019-14271: nothing of the image is loaded by the runtime.
#[test]
fn nothing_of_the_image_is_loaded() {
    case(|b| {
        for name in
            ["/etc/ld.so.preload", "/lib/x86_64-linux-gnu/libnss_files.so.2", "/etc/nsswitch.conf", "/lib64/ld-evil.so"]
        {
            b.file(name, 0o755, "/lib64/ld-evil.so\n");
        }
        let trace = b.path("trace").display().to_string();
        b.wrap(&["strace", "-f", "-qq", "-o", &trace, "-e", "trace=open,openat,openat2,execve"]);
        b.args(&["/bin/true"]).run().ok();
        let trace = host::read(trace);
        // The static payload loads nothing itself; the host's own libraries are not in a runtime's child that has a root.
        let opened = |path: &str| trace.lines().any(|l| l.contains(&format!("\"{path}\"")) && !l.contains("ENOENT"));
        assert!(!opened("/lib64/ld-evil.so") && !opened("/etc/ld.so.preload"), "{trace}");
    });
}

/// CVE-2026-47262: a user database of the image that never ends, or never begins.
#[test]
fn hostile_passwd_and_group() {
    case(|b| {
        b.args(&["/bin/true"]);
        let replace = |make: &dyn Fn(&Path)| {
            for name in ["/etc/passwd", "/etc/group"] {
                let _ = fs::remove_file(b.rootfs(name));
                make(&b.rootfs(name));
            }
        };
        let run = |b: &Bundle| b.start_command("run", &[]).limit(8).output();
        let makers: [&dyn Fn(&Path); 4] = [
            &|p| nix::unistd::mkfifo(p, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap(),
            &|p| symlink("/dev/zero", p).unwrap(),
            &|p| fs::File::create(p).unwrap().set_len(4 << 30).unwrap(),
            &|p| symlink("/proc/self/mem", p).unwrap(),
        ];
        for make in makers {
            replace(make);
            run(b);
            b.assert_gone();
        }
    });
}

/// What `tmpcopyup` copies becomes a device that never ends, between the look at it and its opening.
#[test]
fn a_file_that_becomes_a_device_while_it_is_copied() {
    case(|b| {
        let names: Vec<_> =
            (0..64).map(|i| (b.file(&format!("/vol/{i}"), 0o644, "x"), b.rootfs(&format!("/zero{i}")))).collect();
        for (_, zero) in &names {
            mknod(zero, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 5)).unwrap();
        }
        let options = json!(["tmpcopyup", "size=1m"]);
        b.mount(json!({"destination": "/vol", "type": "tmpfs", "source": "tmpfs", "options": options}));
        b.sh("cat /vol/* 2>/dev/null | head -c 100 | tr -d '\\000'");
        // A millisecond before each opening is time enough.
        b.wrap(&["strace", "-f", "-o", "/dev/null", "-e", "trace=openat2", "-e", "inject=openat2:delay_enter=1000"]);
        let stop = AtomicBool::new(false);
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for (file, zero) in &names {
                        renameat2(AT_FDCWD, file, AT_FDCWD, zero, RenameFlags::RENAME_EXCHANGE).unwrap();
                    }
                }
            });
            let outcomes = (0..4).map(|_| b.run()).collect();
            stop.store(true, Ordering::Relaxed);
            outcomes
        });
        // It would not end, or run out of room.
        outcomes.into_iter().for_each(|out| drop(out.ok()));
    });
}

/// Links and directories are exchanged under the runtime's hands, in a volume that two containers share
/// (CVE-2019-19921, CVE-2021-30465, CVE-2024-45310, CVE-2025-52881).
#[test]
fn targets_that_are_exchanged() {
    case(|b| {
        let dir = b.path("canary");
        let canary = Canary::new(&dir);
        fs::create_dir_all(b.rootfs("/vol/a/x")).unwrap();
        symlink(&dir, b.rootfs("/vol/b")).unwrap();
        symlink("../../../../../../../../..", b.rootfs("/vol/up")).unwrap();
        for sub in ["made/deep", "file"] {
            b.mount(json!({"destination": format!("/vol/a/{sub}"), "type": "tmpfs", "source": "tmpfs"}));
        }
        let file = b.rootfs("/etc/passwd").display().to_string();
        b.mount(json!({"destination": "/vol/a/bound", "type": "bind", "source": file, "options": ["bind"]}));
        b.set("/linux/maskedPaths", json!(["/vol/a/x", "/vol/a/file"])).set("/linux/readonlyPaths", json!(["/vol/a"]));
        b.set("/linux/devices", json!([{"path": "/vol/a/node", "type": "c", "major": 1, "minor": 3}]));
        b.set("/root/readonly", false).set("/process/cwd", "/vol/a/cwd").args(&["/bin/true"]);
        let stop = AtomicBool::new(false);
        let (one, two) = (b.rootfs("/vol/a"), b.rootfs("/vol/b"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let _ = renameat2(AT_FDCWD, &one, AT_FDCWD, &two, RenameFlags::RENAME_EXCHANGE);
                }
            });
            for _ in 0..40 {
                b.run();
            }
            stop.store(true, Ordering::Relaxed);
        });
        canary.assert_untouched();
        b.assert_gone();
    });
}

/// An annotation of the image's must not choose the bundle that `exec` reads.
#[test]
fn an_annotation_does_not_move_the_bundle() {
    case(|b| {
        b.set("/annotations", json!({"bundle": "/etc"})).args(&["/bin/sleep", "100"]).run_detached();
        assert_eq!(b.state()["bundle"], b.bundle().display().to_string());
        b.exec(&["echo", "still"]).ok().says("still");
    });
}

/// The container's environment is not the hooks' (CVE-2025-23266).
#[test]
fn hooks_do_not_get_the_containers_environment() {
    case(|b| {
        let out = b.path("env").display().to_string();
        let path = b.script("hook", &format!("env > {out}"));
        b.env("LD_PRELOAD=/evil.so").set("/hooks/createContainer", json!([{"path": path}])).args(&["/bin/true"]);
        b.set("/hooks/createRuntime", json!([{"path": path}])).run().ok();
        assert!(!host::read(out).contains("LD_PRELOAD"));
    });
}

/// The process waits where the container's root can't reach it: no descriptor but the fifo's, no path of the host.
#[test]
fn a_created_container_holds_nothing_of_the_host() {
    case(|b| {
        b.wrap(&["sh", "-c", "exec 3</ 5</etc; exec \"$@\"", "sh"]);
        b.args(&["/bin/true"]).create();
        let pid = b.pid();
        let identity = |path: &Path| fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten().map(|e| e.path()) {
            let link = fs::read_link(&entry).unwrap();
            let stdio = ["0", "1", "2"].iter().any(|n| entry.ends_with(n));
            let of_the_host = identity(&link).is_some() && identity(&link) == identity(&entry);
            assert!(stdio || link.ends_with("exec.fifo") || !of_the_host, "{}: {}", entry.display(), link.display());
        }
        assert_eq!(fs::read_link(format!("/proc/{pid}/root")).unwrap(), Path::new("/"));
    });
}
