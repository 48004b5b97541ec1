//! The annotation `io.dunnage.landlock`: what it leaves of the file system, that it never gives anything, what is refused.

use crate::common::pty::{Receiver, Terminal};
use crate::common::{Bundle, Value, case, json, patience, strings, until};
use crate::robustness::without;
use nix::libc;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Instant;

const FIELD: &str = "/annotations/io.dunnage.landlock";

fn landlock<'a>(b: &'a mut Bundle, read: &[&str], write: &[&str]) -> &'a mut Bundle {
    b.set(FIELD, json!({"read": read, "write": write}).to_string())
}

/// Three directories with the same content, for `payload access`: `/r`, `/w` and `/n`. Everybody may do everything in them.
fn directories(b: &mut Bundle) {
    b.set("/root/readonly", false);
    for dir in ["r", "w", "n"] {
        for empty in ["empty", "from", "to"] {
            fs::create_dir_all(b.rootfs(dir).join(empty)).unwrap();
        }
        for file in ["file", "victim", "moved", "from/file"] {
            b.file(&format!("{dir}/{file}"), 0o666, "x");
        }
        b.file(&format!("{dir}/program"), 0o777, fs::read(b.rootfs("payload")).unwrap());
        for path in [b.rootfs(dir), b.rootfs(dir).join("from"), b.rootfs(dir).join("to")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
    }
}

fn fresh(b: &mut Bundle) {
    for dir in ["r", "w", "n"] {
        fs::remove_dir_all(b.rootfs(dir)).ok();
    }
    directories(b);
}

/// What is done to the payload's directory, and what comes of it where that may be read, written, neither.
const KINDS: &[(&str, [i64; 3])] = &[
    // What Landlock does not govern.
    ("stat", [0, 0, 0]),
    ("list", [0, 0, 13]),
    ("read", [0, 0, 13]),
    ("execute", [0, 0, 13]),
    ("write", [13, 0, 13]),
    ("truncate", [13, 0, 13]),
    ("create", [13, 0, 13]),
    ("mkdir", [13, 0, 13]),
    ("symlink", [13, 0, 13]),
    ("fifo", [13, 0, 13]),
    ("bind", [13, 0, 13]),
    ("link", [13, 0, 13]),
    ("rename", [13, 0, 13]),
    ("rename across", [13, 0, 13]),
    ("link across", [13, 0, 13]),
    // Where both are writable it is a link like any other; from elsewhere it would be a way to more rights (EXDEV).
    ("link to /w", [18, 0, 18]),
    ("unlink", [13, 0, 13]),
    ("rmdir", [13, 0, 13]),
];

fn compare(said: &Value, column: usize, who: &str) {
    for (kind, expected) in KINDS {
        let expected = if expected[column] == 0 { json!("ok") } else { json!(expected[column]) };
        assert_eq!(said[kind], expected, "{kind} {who}: {said:#}");
    }
}

fn access<'a>(b: &'a mut Bundle, dir: &str) -> &'a mut Bundle {
    b.args(&["/payload", "access", dir])
}

type Who = (&'static str, fn(&mut Bundle));

const CAPABLE: &str = "root with capabilities";

const WHO: &[Who] = &[
    ("root", |_| ()),
    ("root without no_new_privs", |b| {
        b.set("/process/noNewPrivileges", false);
    }),
    ("a user", |b| {
        b.set("/process/user", json!({"uid": 1000, "gid": 1000})).set("/process/noNewPrivileges", false);
    }),
    (CAPABLE, |b| {
        let all =
            ["CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_FOWNER", "CAP_DAC_READ_SEARCH", "CAP_MAC_ADMIN"];
        b.all_capabilities(&all);
    }),
    ("without a mount namespace", |b| {
        for pointer in ["/linux/maskedPaths", "/linux/readonlyPaths", "/mounts"] {
            b.remove(pointer);
        }
        b.drop_namespace("mount");
    }),
];

#[test]
fn every_kind_of_access() {
    case(|b| {
        // Otherwise all of it would be possible.
        directories(b);
        for dir in ["/r", "/w", "/n"] {
            let said = access(b, dir).run().ok().json();
            for (kind, _) in KINDS {
                assert_eq!(said[kind], json!("ok"), "{kind} {dir}");
            }
        }
        let base = b.config.clone();
        for (who, adjust) in WHO {
            b.config = base.clone();
            adjust(b);
            landlock(b, &["/payload", "/r"], &["/w"]);
            fresh(b);
            for (column, dir) in ["/r", "/w", "/n"].iter().enumerate() {
                let said = access(b, dir).run().ok().json();
                compare(&said, column, &format!("{who} in {dir}"));
                if *who == CAPABLE {
                    assert_eq!(said["mknod"], [json!(13), json!("ok"), json!(13)][column], "{dir}");
                }
            }
        }
    });
}

#[test]
fn ioctl_on_devices() {
    case(|b| {
        b.set(
            "/linux/devices",
            json!([{"path": "/dev/device", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}]),
        );
        for (read, write, expected) in [
            (&["/payload", "/dev"][..], &[][..], libc::EACCES),
            (&["/payload"], &["/dev"], libc::ENOTTY), // The device was asked.
            (&["/payload"], &["/dev/device"], libc::ENOTTY),
            (&["/payload"], &[], libc::EACCES),
        ] {
            let said = access(landlock(b, read, write), "/dev").run().ok().json();
            assert_eq!(said["ioctl"], json!(expected), "{read:?} {write:?}: {said:#}");
        }
    });
}

#[test]
fn in_a_user_namespace() {
    case(|b| {
        directories(b);
        b.user_namespace();
        b.set("/process/noNewPrivileges", false);
        landlock(b, &["/payload", "/r"], &["/w"]);
        for (column, dir) in ["/r", "/w", "/n"].iter().enumerate() {
            compare(&access(b, dir).run().ok().json(), column, dir);
        }
        b.set("/process/args", json!(["/bin/sleep", "100"]));
        landlock(b, &["/payload", "/r", "/bin"], &["/w"]);
        b.run_detached();
        compare(&b.exec(&["/payload", "access", "/n"]).ok().json(), 2, "exec in /n");
    });
}

/// It finds the restriction in the state, whoever it is and whatever it asks for.
#[test]
fn of_an_exec() {
    case(|b| {
        for nnp in [true, false] {
            fresh(b);
            landlock(b, &["/payload", "/r", "/bin"], &["/w"]);
            b.set("/process/noNewPrivileges", nnp).args(&["/bin/sleep", "100"]).run_detached();
            for flags in [&[][..], &["--user", "1000:1000"], &["--cap", "CAP_SYS_ADMIN"]] {
                fresh(b);
                for (column, dir) in ["/r", "/w", "/n"].iter().enumerate() {
                    let said = b.exec_with(flags, &["/payload", "access", dir]).ok().json();
                    compare(&said, column, &format!("exec {flags:?} in {dir}"));
                }
            }
            let mut process = b.config["process"].clone();
            process["args"] = json!(["/payload", "access", "/n"]);
            process["noNewPrivileges"] = json!(false);
            compare(&b.exec_process(&process).ok().json(), 2, "exec of a process.json");
            b.exec(&["/n/program", "none"])
                .fails(255, "/n/program: below no path of the annotation io.dunnage.landlock");
            b.rt(&["delete", "--force", &b.id]).ok();
        }
    });
}

/// What the container has removed is not there for a later exec, which has less then.
#[test]
fn an_exec_after_a_path_is_gone() {
    case(|b| {
        fresh(b);
        landlock(b, &["/payload", "/bin"], &["/w", "/r/from"]).args(&["/bin/sleep", "100"]).run_detached();
        b.exec(&["ls", "/r/from"]).ok().says("file");
        fs::rename(b.rootfs("/r/from"), b.rootfs("/r/gone")).unwrap();
        b.exec(&["ls", "/r/gone"]).err_has("Permission denied");
        b.exec(&["ls", "/w/from"]).ok().says("file");
    });
}

/// By `create` and `start`, with hooks: those that run in the container before its program are under it, earlier ones are not.
#[test]
fn create_start_and_hooks() {
    case(|b| {
        directories(b);
        landlock(b, &["/bin", "/r"], &["/w"]);
        let outside = b.script("outside", &format!("echo outside > {}/n/by-create", b.rootfs("").display()));
        b.set("/hooks/createContainer", json!([{"path": outside}]));
        let line = "echo inside > /w/by-start; echo x > /n/by-start || true";
        b.set("/hooks/startContainer", json!([{"path": "/bin/sh", "args": ["sh", "-c", line]}]));
        b.sh("cat /r/file /w/by-start; cat /n/file");
        let running = b.create();
        b.start();
        b.await_status("stopped");
        let out = running.wait();
        assert_eq!(out.out, "xinside\n", "{out}");
        assert!(out.err.contains("can't open '/n/file': Permission denied"), "{out}");
        assert!(b.rootfs("/n/by-create").exists() && !b.rootfs("/n/by-start").exists());
    });
}

/// Standard streams, the terminal, the devices that hold nothing; not other devices.
#[test]
fn what_keeps_working() {
    case(|b| {
        landlock(b, &["/bin"], &[]);
        let devices = "for d in null zero full random urandom; do head -c 1 /dev/$d > /dev/null || echo $d; done; echo x > /dev/zero";
        b.sh(&format!("{devices}; echo done; ls /dev; : < /dev/ptmx"))
            .run()
            .out_has("done\n")
            .err_has("can't open /dev/ptmx");
        b.sh("cat").start_command("run", &[]).stdin("through\n").output().ok().says("through");
        b.set("/process/terminal", true).sh("stty size > /dev/tty; tty -s && read x < /dev/tty; echo got $x");
        let receiver = Receiver::new(&b.path("console.sock"));
        b.start_command("create", &["--console-socket", receiver.path.to_str().unwrap()]).output().ok();
        let mut tty = Terminal::from(receiver.receive().fds.into_iter().next().unwrap());
        b.start();
        tty.write("hello\n");
        tty.expect("got hello");
    });
}

/// With everything in the list of what may be written, all other barriers stand as without the annotation; and mounts
/// cannot be changed any more.
#[test]
fn it_gives_nothing() {
    case(|b| {
        b.all_capabilities(&["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_MKNOD"]);
        b.set("/linux/maskedPaths", json!(["/proc/keys", "/usr"])).set("/linux/readonlyPaths", json!(["/proc/sys"]));
        b.file("/usr/secret", 0o666, "secret");
        b.file("/etc/shadow", 0o600, "secret");
        let tried = "touch /new; echo x > /etc/passwd; cat /usr/secret; cat /proc/keys; echo 1 > /proc/sys/kernel/hostname; \
            mknod /dev/disk b 8 0 && cat /dev/disk; ls /sys/fs/cgroup > /dev/null; umount /usr; cat /usr/secret; \
            echo x > /dev/shm/y && cat /dev/shm/y";
        let without = b.sh(&format!("{tried}; true")).run().ok();
        for (read, write) in [
            (&[][..], &["/"][..]),
            (&["/", "/usr", "/proc/keys"], &["/dev/shm"]),
            (&[], &["/usr", "/bin", "/proc", "/etc", "/dev"]),
        ] {
            landlock(b, read, write);
            let with = b.run();
            for barrier in [
                "touch: /new",
                "can't create /etc/passwd",
                "can't open '/usr/secret'",
                "can't create /proc/sys/kernel/hostname",
            ] {
                assert!(without.err.contains(barrier) && with.err.contains(barrier), "{barrier}: {with}\n{without}");
            }
            assert!(!with.out.contains("secret") && with.out.len() <= without.out.len(), "{with}");
        }
        // In a new mount: without the annotation it works.
        let mount =
            "mount -t tmpfs none /mnt 2>&1 && echo mounted; mount -o remount,rw / 2>&1 && touch /new && echo writable";
        b.sh(mount).run().out_has("permission denied");
        b.remove(FIELD).run().out_has("mounted");
        // Who may not read a file still may not.
        landlock(b, &[], &["/"])
            .set("/process/user", json!({"uid": 1000, "gid": 1000}))
            .remove("/process/capabilities");
        b.sh("cat /etc/shadow").run().fails(1, "Permission denied");
    });
}

/// What is in the image, and who made it, does not matter: links lead inside, nothing is opened, nothing is waited for.
#[test]
fn paths_of_a_hostile_image() {
    case(|b| {
        let canary = b.path("canary");
        fs::write(&canary, "canary").unwrap();
        let up = "../".repeat(30);
        symlink(format!("{up}{}", canary.display()), b.rootfs("/out")).unwrap();
        symlink(&canary, b.rootfs("/absolute")).unwrap();
        symlink("/", b.rootfs("/all")).unwrap();
        symlink("ring", b.rootfs("/ring")).unwrap();
        symlink("/proc/self/exe", b.rootfs("/magic")).unwrap();
        nix::unistd::mkfifo(&b.rootfs("/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        // A tape that would rewind, a watchdog that would begin to bark: opened they are neither.
        b.set("/linux/devices", json!([{"path": "/dev/watchdog9", "type": "c", "major": 10, "minor": 130}]));
        for (path, expected) in [
            ("/out", "no such file or directory"),
            ("/absolute", "no such file or directory"),
            ("/nonexistent", "no such file or directory"),
            ("/etc/passwd/x", "not a directory"),
            ("/ring", "too many levels of symbolic links"),
            ("/magic", "too many levels of symbolic links"),
            ("/proc/self/root", "too many levels of symbolic links"),
            ("/proc/1/cwd", "too many levels of symbolic links"),
            ("/dev/stdin", "too many levels of symbolic links"),
        ] {
            let out = landlock(b, &["/bin", path], &[]).sh("true").run();
            let text = format!("annotation io.dunnage.landlock: openat2 {path}: {expected} (config.json {FIELD}); ");
            out.fails(1, &text);
            b.assert_gone();
        }
        let all = b.sh("cat /etc/passwd > /dev/null && echo works");
        landlock(all, &["/all"], &["/fifo", "/dev/watchdog9", "/tmp"]).run().ok().says("works");
        landlock(b, &["/bin"], &["/all"])
            .sh("cat /etc/passwd > /dev/null; cat /absolute")
            .run()
            .err_has("No such file");
        assert_eq!(fs::read_to_string(&canary).unwrap(), "canary");
    });
}

/// Whatever somebody writes into it: an error that names it, soon.
#[test]
fn values_that_are_refused() {
    case(|b| {
        let many = json!({"read": (0..100_000).map(|i| format!("/{i}")).collect::<Vec<_>>()}).to_string();
        let deep = format!("{{\"read\": {}", "[".repeat(60_000));
        let begun = Instant::now();
        for value in [
            "",
            "{}",
            "null",
            "[]",
            "{\"read\":[\"usr\"]}",
            "{\"write\":[\"/..\"]}",
            "{\"read\":[\"/\\u0000\"]}",
            &many,
            &deep,
        ] {
            b.set(FIELD, value)
                .run()
                .fails(1, "annotation io.dunnage.landlock: ")
                .err_has(&format!("(config.json {FIELD})"));
            b.assert_gone();
        }
        b.remove(FIELD)
            .set("/annotations/io.dunnage.landlock={\"write\":[\"~1", "\"]}")
            .run()
            .fails(1, "not known: this version");
        assert!(begun.elapsed() < patience(5), "{:?}", begun.elapsed());
        // As many as there may be.
        let most: Vec<String> = (0..255).map(|i| format!("/many/{i}")).chain(["/bin".into()]).collect();
        most.iter().for_each(|path| fs::create_dir_all(b.rootfs(path)).unwrap());
        b.config["annotations"] = json!({"io.dunnage.landlock": json!({"read": most}).to_string()});
        b.set("/process/rlimits/0", json!({"type": "RLIMIT_NOFILE", "hard": 16, "soft": 16}));
        b.sh("ls /many/254 && ls /many").run().err_has("can't open '/many': Permission denied");
    });
}

/// Told at create, while there is somebody to tell, with what is missing: program, script, interpreter, loader.
#[test]
fn a_program_that_is_not_listed() {
    case(|b| {
        let loader =
            if cfg!(target_arch = "x86_64") { "/lib64/ld-linux-x86-64.so.2" } else { "/lib/ld-linux-aarch64.so.1" };
        b.file(loader, 0o755, fs::read(loader).unwrap());
        b.file("/usr/bin/dynamic", 0o755, fs::read("/bin/true").unwrap());
        b.file("/usr/bin/script", 0o755, "#! /bin/sh -e\necho ran\n");
        b.file("/usr/bin/secret", 0o711, fs::read(b.rootfs("/payload")).unwrap());
        for (program, read, missing) in [
            ("/bin/sh", "/etc", "/bin/sh"),
            ("sh", "/etc", "/bin/sh"),
            ("/usr/bin/script", "/etc", "/usr/bin/script"),
            ("/usr/bin/script", "/usr", "/bin/sh"),
            ("/usr/bin/dynamic", "/usr", loader),
        ] {
            let told = format!("{missing}: below no path of the annotation io.dunnage.landlock");
            landlock(b, &[read], &["/tmp"]).args(&[program]);
            b.start_command("create", &[]).output().fails(1, &told).err_has("to \"read\"");
            b.assert_gone();
        }
        landlock(b, &["/usr", "/bin"], &[]).args(&["/usr/bin/script"]).run().ok().says("ran");
        // Who may execute, but not read it, is not refused by us.
        b.set("/process/user", json!({"uid": 1000, "gid": 1000})).args(&["/usr/bin/secret", "none"]).run().ok();
        landlock(b, &["/bin"], &[]).run().fails(255, "or is below no path of the annotation io.dunnage.landlock");
    });
}

/// A profile that is older than Landlock: the calls come before it.
#[test]
fn behind_a_seccomp_profile() {
    case(|b| {
        let calls = json!([{"names": ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"], "action": "SCMP_ACT_KILL_PROCESS"}]);
        b.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": calls}));
        landlock(b, &["/bin"], &["/tmp"]);
        for nnp in [true, false] {
            b.set("/process/noNewPrivileges", nnp).sh("cat /etc/passwd").run().fails(1, "Permission denied");
            b.args(&["/bin/sleep", "100"]).run_detached();
            b.exec(&["cat", "/etc/passwd"]).fails(1, "Permission denied");
            b.rt(&["delete", "--force", &b.id]).ok();
        }
    });
}

/// Never without what was asked for.
#[test]
fn a_kernel_without_landlock() {
    case(|b| {
        landlock(b, &["/bin"], &["/tmp"]).sh("echo works");
        without(b.start_command("run", &[]), &[libc::SYS_landlock_create_ruleset])
            .output()
            .fails(1, "annotation io.dunnage.landlock: this kernel has no Landlock, or it is switched off")
            .err_has("Linux 6.2");
        b.assert_gone();
        b.run().ok().says("works");
        without(b.remove(FIELD).start_command("run", &[]), &[libc::SYS_landlock_create_ruleset])
            .output()
            .ok()
            .says("works");
        landlock(b, &["/bin"], &["/tmp"]).args(&["/bin/sleep", "100"]).run_detached();
        without(b.command(&["exec", &b.id, "true"]), &[libc::SYS_landlock_create_ruleset])
            .output()
            .fails(255, "this kernel has no Landlock");
    });
}

/// The other consequences that docs/landlock.md names.
#[test]
fn consequences() {
    case(|b| {
        directories(b);
        let line = "cat /proc/1/environ > /dev/null && echo seen; chmod 640 /n/file && echo changed; echo $HOME";
        b.set("/process/env", json!(["PATH=/bin"])).args(&["/bin/sleep", "100"]).run_detached();
        b.exec(&["sh", "-c", line]).ok().says("seen\nchanged\n/root");
        b.rt(&["delete", "--force", &b.id]).ok();
        landlock(b, &["/bin", "/proc", "/r/file", "/r/from"], &[]).run_detached();
        let out = b.exec(&["sh", "-c", line]).says("changed\n/");
        assert!(out.err.contains("can't open '/proc/1/environ': Permission denied"), "{out}");
        // The file that was there then, under all its names; what comes to be in a directory.
        fs::hard_link(b.rootfs("/r/file"), b.rootfs("/n/same")).unwrap();
        b.file("/r/from/later", 0o644, "later");
        b.exec(&["cat", "/r/file", "/n/same", "/r/from/later"]).ok().says("xxlater");
        b.rt(&["delete", "--force", &b.id]).ok();
        // Of the container's own process, whose rights are those of its first moment.
        let line = "cat /r/file; : > /w/ready; until test -e /w/go; do :; done; cat /r/file";
        landlock(b, &["/bin", "/r/file"], &["/w"]).sh(line);
        let running = b.create();
        b.start();
        until("it has read", || b.rootfs("/w/ready").exists());
        fs::write(b.rootfs("/r/new"), "new").unwrap();
        fs::rename(b.rootfs("/r/new"), b.rootfs("/r/file")).unwrap();
        b.file("/w/go", 0o644, "");
        b.await_status("stopped");
        let out = running.wait();
        assert!(out.out == "x" && out.err.contains("can't open '/r/file': Permission denied"), "{out}");
    });
}

/// Engines keep images from setting it.
#[test]
fn listed_as_unsafe() {
    case(|b| {
        let features = b.bare(&["features"]).output().ok().json();
        let listed = strings(&features["potentiallyUnsafeConfigAnnotations"]);
        assert!(listed.iter().any(|name| name == "io.dunnage.landlock"), "{listed:?}");
    });
}
