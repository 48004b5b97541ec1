//! The life of a container, and what its process finds.

use super::{UID, map, numbers, on_both, ordinary_user, own_network};
use crate::common::pty::{Receiver, Terminal};
use crate::common::{case, eventually, host, json, strings, until};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;

#[test]
fn what_spec_rootless_writes_runs() {
    case(|b| {
        let r = ordinary_user(b).report();
        assert_eq!(numbers(&r["uid_map"]), [[0, UID, 1]]);
        assert_eq!(numbers(&r["gid_map"]), [[0, UID, 1]]);
        assert_eq!(r["setgroups"], "deny");
        assert_eq!(r["status"]["Uid"], "0 0 0 0");
        // Of no group, and not of the overflow id that others' are shown as.
        assert_eq!(r["status"]["Groups"], "");
        assert_eq!(r["status"]["NoNewPrivs"], "1");
        assert_eq!(r["status"]["CapEff"], "0000000020000420");
        for (kind, own) in [("user", true), ("mnt", true), ("pid", true), ("ipc", true), ("uts", true), ("net", false)]
        {
            assert_eq!(r["ns"][kind] != host::own_namespace(kind), own, "{kind}");
        }
        b.assert_gone();
    });
}

#[test]
fn all_commands() {
    case(|b| {
        ordinary_user(b).sh("trap 'exit 7' TERM; while :; do sleep 0.1; done");
        b.create();
        assert_eq!(b.status(), "created");
        let mode = |path| std::fs::metadata(path).unwrap();
        assert_eq!((mode(b.state_dir()).uid(), mode(b.state_dir()).permissions().mode() & 0o777), (UID, 0o711));
        assert_eq!(mode(b.state_dir().join("state.json")).permissions().mode() & 0o777, 0o600);
        b.start();
        assert_eq!(b.status(), "running");
        assert_eq!(host::status(b.pid())["Uid"], format!("{UID} {UID} {UID} {UID}"));

        let r = b.exec_report(&[]);
        assert_eq!(r["ns"]["user"], host::namespace(b.pid(), "user"));
        assert_eq!((&r["status"]["Uid"], &r["status"]["Groups"]), (&json!("0 0 0 0"), &json!("")));
        let caps = b.exec_report(&["--cap", "CAP_CHOWN", "--user", "0:0"])["status"]["CapEff"].clone();
        assert_eq!(caps, "0000000020000421");
        b.exec_with(&["--user", "5"], &["/bin/true"]).fails(255, "unmapped uid 5 in user namespace");
        b.exec_with(&["--additional-gids", "7"], &["/bin/true"])
            .fails(255, "cannot set any additional groups in a rootless container");
        let process = json!({"args": ["/bin/sh", "-c", "echo $A; exit 3"], "cwd": "/", "env": ["A=b"]});
        b.exec_process(&process).code(3).says("b");
        let listed = b.rt(&["list", "--format", "json"]).ok().json();
        assert_eq!((&listed[0]["id"], &listed[0]["owner"]), (&json!(b.id), &json!("ordinary")));
        b.rt(&["list", "-q"]).ok().says(&b.id);

        // It has no cgroup: nobody counts its processes, or can stop them.
        for (args, words) in [
            (["pause", b.id.as_str()].as_slice(), "freeze"),
            (["events", "--stats", &b.id].as_slice(), "cgroup"),
            (["update", "--pids-limit", "7", &b.id].as_slice(), "cgroup"),
        ] {
            b.rt(args).code(1).err_has(words);
        }
        b.rt(&["resume", &b.id]).fails(1, "container not paused");
        b.rt(&["ps", "--format", "json", &b.id]).ok().says("null");

        b.rt(&["delete", &b.id]).fails(1, "that is not stopped: running");
        b.rt(&["kill", &b.id, "0"]).ok();
        b.rt(&["kill", &b.id, "TERM"]).ok();
        b.await_status("stopped");
        b.rt(&["kill", &b.id]).fails(1, "container not running");
        b.rt(&["kill", "-a", &b.id, "KILL"]).ok();
        b.delete();
        b.rt(&["state", &b.id]).fails(1, "container does not exist");
        b.assert_gone();

        b.run_detached();
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
        b.sh("exit 9").run().code(9);
        b.assert_gone();
    });
}

#[test]
fn terminals() {
    case(|b| {
        ordinary_user(b).set("/process/terminal", true);
        b.sh("tty; stat -c %u /dev/console /dev/pts/0; echo on /dev/console >/dev/console; read x; echo got $x; sleep 100");
        let receiver = Receiver::new(&b.path("console.sock"));
        chown(&receiver.path, Some(UID), Some(UID)).unwrap();
        b.start_command("create", &["--console-socket", receiver.path.to_str().unwrap()]).output().ok();
        let mut tty = Terminal::from(receiver.receive().fds.into_iter().next().unwrap());
        b.start();
        let said = tty.expect("on /dev/console");
        assert!(said.contains("0\r\n0\r\n"), "{said}");
        tty.write("it\n");
        tty.expect("got it");
        // A second one, by exec; relayed from a terminal of the caller's.
        let (mut caller, side) = Terminal::open(20, 90);
        let mut exec =
            b.command(&["exec", "--tty", &b.id, "/bin/sh", "-c", "tty; read x; echo got $x"]).spawn_on(&side);
        caller.expect("/dev/pts/1");
        caller.write("that\n");
        caller.expect("got that");
        until("exec to end", || exec.try_wait().unwrap().is_some());
        b.rt(&["delete", "--force", &b.id]).ok();

        let mut run = b
            .sh("until [ \"$(stty size 2>/dev/null)\" = '20 90' ]; do :; done; stty size; tty")
            .start_command("run", &[])
            .spawn_on(&side);
        caller.expect("20 90");
        assert!(eventually("run to end", || run.try_wait().unwrap()).success());
        b.assert_gone();
    });
}

#[test]
fn hooks_are_the_users() {
    case(|b| {
        let log = b.path("run-4711/hooks");
        let hook = b.script("hook", &format!("cat >/dev/null; echo $1 $(id -u) $(id -g) >>{}", log.display()));
        ordinary_user(b);
        let kinds = ["prestart", "createRuntime", "poststart", "poststop"];
        for kind in kinds {
            b.set(&format!("/hooks/{kind}"), json!([{"path": hook, "args": ["hook", kind]}]));
        }
        b.args(&["/bin/true"]).run().ok();
        assert_eq!(host::read(&log), kinds.map(|kind| format!("{kind} {UID} {UID}")).join("\n"));
    });
}

#[test]
fn descriptors_and_notification() {
    case(|b| {
        ordinary_user(b).args(&["/payload", "report"]);
        let keep: Vec<String> = ["sh", "-c", "exec 3</etc/hostname 4</etc/passwd; exec \"$@\"", "sh"]
            .into_iter()
            .map(str::to_string)
            .chain(super::as_user(b, UID))
            .collect();
        b.wrap(&keep);
        let fds = b.start_command("run", &["--preserve-fds", "1"]).output().ok().json()["fds"].clone();
        assert_eq!(fds.as_object().unwrap().keys().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
        assert_eq!(fds["3"], "/etc/hostname");

        let path = b.path("run-4711/notify.sock");
        let manager = UnixDatagram::bind(&path).unwrap();
        chown(&path, Some(UID), Some(UID)).unwrap();
        manager.set_read_timeout(Some(crate::common::patience(10))).unwrap();
        b.wrap(&super::as_user(b, UID)).sh("/payload notify READY=1; sleep 100");
        let running = b.start_command("run", &["--detach"]).env("NOTIFY_SOCKET", &path).spawn();
        let mut all = String::new();
        while !(all.contains("READY=1") && all.contains("MAINPID=")) {
            let mut buffer = [0; 1024];
            let n = manager.recv(&mut buffer).expect("READY=1 and MAINPID=");
            all += &String::from_utf8_lossy(&buffer[..n]);
        }
        let _ = manager.recv(&mut [0; 64]);
        running.wait().ok();
        assert!(all.contains(&format!("MAINPID={}", b.pid())), "{all}");
    });
}

#[test]
fn keyring_seccomp_sysctls_and_masks() {
    case(|b| {
        own_network(ordinary_user(b))
            .set("/linux/sysctl", json!({"net.ipv4.ping_group_range": "0 0", "net.core.somaxconn": "77"}));
        b.set("/linux/sysctl/kernel.msgmax", "9000");
        b.set("/linux/maskedPaths/-", "/etc/group").set("/linux/readonlyPaths/-", "/tmp").set("/root/readonly", false);
        b.set(
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}),
        );
        // Both where the filter is loaded: with noNewPrivileges, and with the capabilities of the namespace's root.
        for no_new_privileges in [true, false] {
            b.set("/process/noNewPrivileges", no_new_privileges);
            b.sh("cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax; cat /etc/group;
                mkdir /x 2>&1; touch /tmp/x 2>&1; echo 1 >/proc/sys/net/core/somaxconn");
            let out = b.run();
            for words in ["0\t0\n77\n9000\n", "Function not implemented", "/tmp/x: Read-only file system"] {
                assert!(out.out.contains(words), "{words}\n{out}");
            }
            assert!(!out.out.contains("root:x:0"), "{out}");
            assert!(out.err.contains("somaxconn: Read-only file system"), "{out}");
        }
        let keyring = b.report()["keyring"].as_str().unwrap().to_string();
        assert!(keyring.ends_with(&format!(";_ses.{}", b.id)), "{keyring}");
    });
}

/// Nothing of the host's cgroups can be written, whatever the user may write outside (CVE-2023-25809): the host's tree is
/// mounted where the kernel refuses another, and what lies below /sys is writable although /sys itself is not.
#[test]
fn the_hosts_cgroups_are_not_writable() {
    case(|b| {
        ordinary_user(b);
        on_both(b, |b, _| {
            let mut theirs = Vec::new();
            for (_, point) in host::hierarchies() {
                let dir = point.join(b.cgroup_parent().trim_start_matches('/'));
                std::fs::create_dir_all(&dir).unwrap();
                super::give(&dir, UID);
                theirs.push(dir.display().to_string());
            }
            // Each file that a cgroup has, of v1 and of v2, and a new cgroup below it.
            b.sh(&format!(
                "for d in {} $(find /sys/fs/cgroup -type d); do
                    if mkdir $d/made 2>/dev/null; then echo made $d; fi
                    for f in $d/*; do
                        if [ -f $f ] && {{ true >>$f; }} 2>/dev/null; then echo opened $f; fi
                    done
                done; echo end",
                theirs.join(" ")
            ));
            for cgroup_namespace in [false, true] {
                if cgroup_namespace {
                    b.namespace("cgroup", None);
                } else {
                    b.drop_namespace("cgroup");
                }
                b.run().ok().says("end");
            }
        });
    });
}

/// A program that is set-user-ID can become only who is mapped.
#[test]
fn set_user_id_programs_gain_mapped_ids_alone() {
    case(|b| {
        ordinary_user(b).set("/process/noNewPrivileges", false).set("/root/readonly", false);
        super::grant(&[(super::SUBORDINATE, 10)]);
        map(b, &[(super::SUBORDINATE, 10)]);
        // As each of: the host's root, the user (root inside), a subordinate id (1 inside).
        for (owner, uids) in [(0, "3 3 3 3"), (UID, "3 0 0 0"), (super::SUBORDINATE, "3 1 1 1")] {
            let file = b.rootfs("/payload");
            chown(&file, Some(owner), Some(owner)).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o4755)).unwrap();
            b.set("/process/user", json!({"uid": 3, "gid": 3}));
            assert_eq!(b.report()["status"]["Uid"], uids, "owned by {owner}");
        }
    });
}

#[test]
fn devices_are_the_hosts_by_bind() {
    case(|b| {
        ordinary_user(b).set("/linux/devices", json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]));
        b.sh("echo x >/dev/null && head -c 3 /dev/zero | wc -c; cd /dev; stat -c %n:%t:%T:%u null random tty zero fuse; ls -d fd ptmx");
        let lines = "3\nnull:1:3:65534\nrandom:1:8:65534\ntty:5:0:65534\nzero:1:5:65534\nfuse:a:e5:65534\nfd\nptmx";
        if std::path::Path::new("/dev/fuse").exists() {
            b.run().ok().says(lines);
        }
        b.set("/linux/devices", json!([{"path": "/dev/none", "type": "c", "major": 10, "minor": 229}]));
        b.run().fails(1, "no such file or directory").err_has("/dev/none");
        b.remove("/linux/devices").run().code(0).out_has("null:1:3:65534");
        let mounts = b.report()["mounts"].clone();
        let binds: Vec<String> =
            strings(&mounts).into_iter().filter(|m| m.contains(" /dev/") && m.contains("devtmpfs")).collect();
        assert!(binds.len() >= 6, "{mounts}");
    });
}
