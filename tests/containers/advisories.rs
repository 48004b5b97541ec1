//! What the advisories of engines and shims ask of a runtime: each test is the attack of one, asserted from outside. Those of
//! runtimes are in `security`; docs/security.md has the table of both.

use crate::common::{Command, Driver, case, host, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;

/// CVE-2022-1708, CVE-2022-31030: the output of an exec was held in memory. A file is written by us, not by the container.
#[test]
fn output_without_end_takes_no_memory() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).run_detached();
        let peak = b.path("peak");
        b.wrap(&["busybox", "time", "-f", "%M", "-o", peak.to_str().unwrap()]);
        let mut peaks = [1, 30_000_000].map(|bytes: usize| {
            let out = b.exec(&["head", "-c", &bytes.to_string(), "/dev/zero"]).ok();
            assert_eq!(out.out.len(), bytes);
            host::read(&peak).trim().parse::<u64>().unwrap()
        });
        peaks[0] += 1024;
        assert!(peaks[1] < peaks[0], "{peaks:?} KiB");
    });
}

/// CVE-2020-15257: an abstract socket is reachable from every container with the host's network.
#[test]
fn no_abstract_sockets() {
    case(|b| {
        let socket = b.path("notify");
        let _manager = UnixDatagram::bind(&socket).unwrap();
        b.drop_namespace("network");
        // Its own network, so that nothing but what we make is in the list.
        b.wrap(&["unshare", "-n"]).sh("cat /proc/net/unix; /payload notify READY=1");
        let out = b.start_command("run", &[]).env("NOTIFY_SOCKET", &socket).output().ok();
        assert!(out.out.contains("notify.sock"), "the socket that we do make is seen\n{out}");
        assert!(!out.out.contains('@'), "{out}");
    });
}

/// CVE-2022-0492: who can write a hierarchy's `release_agent` runs a program of the host.
#[test]
fn nobody_becomes_the_release_agent() {
    case(|b| {
        let attempt = "
            set -- /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent
            for f; do [ -e $f ] && echo /tmp/x 2>/dev/null >$f && echo written $f; done
            mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo remounted
            mkdir /tmp/c; mount -t cgroup -o rdma cgroup /tmp/c 2>/dev/null && echo mounted
            unshare -Um true || echo it was not tried
            unshare -Um mount -t cgroup -o rdma cgroup /tmp/c 2>/dev/null && echo mounted in its own
            true";
        b.set("/root/readonly", false);
        symlink("busybox", b.rootfs("/bin/unshare")).unwrap();
        for namespace in [false, true] {
            if namespace {
                b.namespace("cgroup", None);
            }
            b.sh(attempt).run().ok().says("");
        }
    });
}

/// A shell of an ordinary user of the host.
fn as_nobody(line: &str) -> Command {
    Command::new(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/bin/sh", "-c", line])
}

/// CVE-2021-41103, CVE-2024-25621: what lies in the state root can't be listed, read or entered by other users of the host, the
/// container's own root included.
#[test]
fn the_state_is_not_readable_by_others() {
    case(|b| {
        for user_namespace in [false, true] {
            if user_namespace {
                b.user_namespace();
            }
            b.args(&["/bin/sleep", "100"]).run_detached();
            let open = |path: &std::path::Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
            // Who named another root has its place open, at worst.
            open(b.dir());
            let (root, dir) = (b.root(), b.state_dir());
            let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o7777;
            assert_eq!(mode(&root) & 0o077, 0, "the root: {:o}", mode(&root));
            assert_eq!(mode(&dir) & 0o066, 0, "the container's directory: {:o}", mode(&dir));
            assert_eq!(mode(&dir.join("state.json")) & 0o077, 0, "state.json: {:o}", mode(&dir.join("state.json")));
            let (root, dir) = (root.display(), dir.display());
            let attempts = [
                format!("ls {root}"),
                format!("ls {dir}"),
                format!("cat {dir}/state.json"),
                format!("cd {dir}"),
                format!("touch {dir}/x"),
                format!("echo > {dir}/exec.fifo"),
            ];
            for line in &attempts {
                let out = as_nobody(line).output();
                assert!(out.code != 0 && out.out.is_empty(), "{line}: {out}");
            }
            // With the root opened by its owner, the directory has its own rights.
            open(&b.root());
            for line in [&attempts[1], &attempts[2], &attempts[4]] {
                let out = as_nobody(line).output();
                assert!(out.code != 0 && out.out.is_empty(), "{line}: {out}");
            }
            fs::set_permissions(b.root(), fs::Permissions::from_mode(0o700)).unwrap();
            b.rt(&["delete", "--force", &b.id]).ok();
            b.assert_gone();
        }
    });
}

/// CVE-2022-4318: what is in an entry of the environment makes no line of /etc/passwd, and no entry beside it.
#[test]
fn environment_entries_stay_what_they_are() {
    case(|b| {
        b.file("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\n");
        b.set("/root/readonly", false);
        let entries = ["HOME=/root\nevil:x:0:0::/:/bin/sh", "A==b=", "EMPTY=", "A B=c"];
        b.set("/process/env", json!(entries));
        assert_eq!(b.report()["env"], json!(entries));
        assert!(!host::read(b.rootfs("/etc/passwd")).contains("evil"));
        for (entry, words) in [
            ("=x", "name cannot be empty"),
            ("NAME", "missing '='"),
            ("A=\0B=c", "contains nul byte"),
            ("", "missing '='"),
        ] {
            b.config["process"]["env"] = json!(["PATH=/bin", entry]);
            b.run().fails(1, words);
        }
        b.assert_gone();
    });
}

/// CVE-2022-23648 and its kind: `..` and links in the destination and in the source of a mount.
#[test]
fn mounts_do_not_climb() {
    case(|b| {
        let outside = b.path("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "of the host").unwrap();
        symlink(&outside, b.rootfs("/out")).unwrap();
        symlink("../../../../../../../../..", b.rootfs("/up")).unwrap();
        b.set("/root/readonly", false);
        let sound = b.config.clone();
        for destination in [
            "/../../../../../../../../outside".to_owned(),
            "/mnt/../../../../../../etc".to_owned(),
            format!("/up{}", outside.display()),
            "/out".to_owned(),
            "/out/new".to_owned(),
            format!("/../..{}/new", outside.display()),
        ] {
            b.config = sound.clone();
            b.mount(json!({"destination": destination, "type": "tmpfs", "source": "tmpfs"}));
            b.sh("touch /mark; ls /out/ 2>/dev/null; cat /out/secret 2>/dev/null; true");
            let out = b.run();
            assert!(!out.out.contains("of the host"), "{destination}: {out}");
            let names: Vec<_> = fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(names, ["secret"], "{destination}: something was made on the host");
            assert!(!host::mounts().iter().any(|l| l.contains("/outside")), "{destination}: mounted on the host");
            b.assert_gone();
        }
    });
}

/// CVE-2024-1753, CVE-2024-9407 and their kind: the links in a source are the host's and are followed there; those in the image
/// never are, whatever the destination or the working directory is called.
#[test]
fn links_of_the_image_are_no_sources() {
    case(|b| {
        let host_dir = b.path("volume");
        fs::create_dir(&host_dir).unwrap();
        fs::write(host_dir.join("file"), "the volume").unwrap();
        symlink(&host_dir, b.path("link")).unwrap();
        b.set("/root/readonly", false);
        // An ordinary source through a link of the host.
        b.mount(json!({"destination": "/a", "type": "bind", "source": b.path("link"), "options": ["bind"]}));
        b.sh("cat /a/file").run().ok().says("the volume");
        // The image's own link in the way of the destination: in the container it stays.
        symlink("/etc", b.rootfs("/b")).unwrap();
        b.mount(json!({"destination": "/b/made", "type": "bind", "source": host_dir, "options": ["bind"]}));
        b.sh("cat /etc/made/file").run().ok().says("the volume");
        assert!(!fs::exists("/etc/made").unwrap(), "made on the host");
        // A working directory that is a link out of the image.
        for (target, seen) in [("/../../../../../..", "/"), ("/etc", "/etc"), (host_dir.to_str().unwrap(), "")] {
            let _ = fs::remove_file(b.rootfs("/work"));
            symlink(target, b.rootfs("/work")).unwrap();
            b.set("/process/cwd", "/work").sh("pwd -P; ls file 2>/dev/null; true");
            let out = b.run();
            assert!(!out.out.contains("file"), "{target}: {out}");
            if !seen.is_empty() {
                out.ok().out_has(seen);
            }
        }
        assert_eq!(fs::read_dir(&host_dir).unwrap().count(), 1);
    });
}

/// CVE-2024-5154: /etc/mtab, resolv.conf and hosts of the image are links to files of the host, and files are bound over them, which
/// makes them if they are missing.
#[test]
fn files_of_etc_are_links() {
    case(|b| {
        let canary = b.path("canary");
        fs::create_dir(&canary).unwrap();
        let source = b.path("source");
        fs::write(&source, "from outside").unwrap();
        b.set("/root/readonly", false);
        for name in ["mtab", "resolv.conf", "hosts", "hostname"] {
            let inside = b.rootfs(&format!("/etc/{name}"));
            let _ = fs::remove_file(&inside);
            symlink(format!("../../../../../../../..{}/{name}", canary.display()), &inside).unwrap();
            b.mount(json!({"destination": format!("/etc/{name}"), "type": "bind", "source": source, "options": ["bind", "ro"]}));
        }
        b.sh("cat /etc/mtab /etc/resolv.conf /etc/hosts /etc/hostname").run();
        assert_eq!(fs::read_dir(&canary).unwrap().count(), 0, "made on the host");
        assert_eq!(host::read(&source), "from outside");
        assert!(!host::mounts().iter().any(|l| l.contains("/canary")));
        b.assert_gone();
    });
}

/// Masked directories (moby GHSA-6fw5-f8r9-fgfm, GHSA-7ww5-4wqc-m92c): empty, and not to be opened up again, neither by root of
/// the container nor by root of a user namespace of its own, who may mount.
#[test]
fn masks_are_not_taken_off() {
    case(|b| {
        symlink("busybox", b.rootfs("/bin/unshare")).unwrap();
        b.file("/etc/secret/file", 0o644, "the secret");
        b.set("/linux/maskedPaths", json!(["/proc/acpi", "/proc/scsi", "/proc/kcore", "/etc/secret"]));
        b.set("/linux/readonlyPaths", json!(["/proc/sys"])).set("/root/readonly", false);
        b.file(
            "/attack",
            0o755,
            "#!/bin/sh
            exec 2>/dev/null
            for d in /etc/secret /proc/acpi /proc/scsi; do
                [ -d $d ] || continue
                [ -z \"$(ls -A $d)\" ] || echo $d is not empty
                mount -o remount,rw $d && echo remounted $d
                mount -o remount,bind,rw $d && echo remounted $d
                touch $d/x && echo written $d
                umount $d && echo unmounted $d
                umount -l $d && echo unmounted $d
            done
            mount -o remount,bind,rw /proc/sys && echo remounted /proc/sys
            umount -l /proc/sys && echo unmounted /proc/sys
            head -c 1 /proc/kcore
            cat /etc/secret/file
            mkdir -p /m; mount -t proc proc /m && echo mounted another
            mount --bind /etc /m && cat /m/secret/file
            mount --rbind /etc /m && cat /m/secret/file
            echo done",
        );
        for shell in ["/attack", "unshare -Um /attack"] {
            b.sh(shell).run().ok().says("done");
        }
    });
}

/// CVE-2023-25173: a file that the group may *not* read stays closed to a member of it, because the groups are really set.
#[test]
fn negative_group_permissions_hold() {
    case(|b| {
        let file = b.file("/shut", 0o604, "not for the group");
        std::os::unix::fs::chown(&file, Some(0), Some(4000)).unwrap();
        b.set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [4000]}));
        b.sh("cat /shut").run().fails(1, "Permission denied");
        b.set("/process/user", json!({"uid": 1000, "gid": 1000})).sh("cat /shut").run().ok().says("not for the group");
        // Nor do the caller's groups come along.
        let open = b.file("/open", 0o640, "for the group");
        std::os::unix::fs::chown(&open, Some(0), Some(4000)).unwrap();
        b.wrap(&["setpriv", "--groups", "4000"]);
        b.sh("cat /open").run().fails(1, "Permission denied");
    });
}

/// CVE-2024-3154: annotations that would have systemd run something. By the systemd driver they are refused; otherwise they are
/// words.
#[test]
fn annotations_run_nothing() {
    case(|b| {
        let mark = b.path("mark");
        for name in ["ExecStopPost", "ExecStartPre", "ExecStop", "OnFailure", "Requires", "FailureAction"] {
            let annotation = format!("org.systemd.property.{name}");
            let value = format!("[('/bin/touch', ['/bin/touch', '{}'], false)]", mark.display());
            b.set("/annotations", json!({ annotation: value })).args(&["/bin/true"]);
            let out = b.run();
            match Driver::under_test() {
                Driver::Systemd => drop(out.fails(1, "cannot be set by an")),
                Driver::Cgroupfs => drop(out.ok()),
            }
            assert!(!mark.exists(), "{name} was run");
            b.assert_gone();
        }
    });
}
