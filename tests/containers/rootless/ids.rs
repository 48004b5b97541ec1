//! More ids than one's own: newuidmap(1) and newgidmap(1), of Debian's package `uidmap`.

use super::{SUBORDINATE, UID, grant, map, numbers, ordinary_user};
use crate::common::{case, host, json, strings};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

#[test]
fn granted_ranges() {
    case(|b| {
        let ranges = [(SUBORDINATE, 1000), (SUBORDINATE + 5000, 1), (SUBORDINATE + 2000, 500)];
        grant(&ranges);
        ordinary_user(b);
        // Its /etc is new.
        grant(&ranges);
        map(b, &ranges);
        let r = b.report();
        let expected =
            [[0, UID, 1], [1, SUBORDINATE, 1000], [1001, SUBORDINATE + 5000, 1], [1002, SUBORDINATE + 2000, 500]];
        assert_eq!(numbers(&r["uid_map"]), expected);
        assert_eq!(numbers(&r["gid_map"]), expected);
        assert_eq!(r["setgroups"], "allow");

        // As one of these, whose streams are its own: it may open them again.
        b.set("/process/user", json!({"uid": 1001, "gid": 1002}));
        let line = "stat -L -c %u /proc/self/fd/1; echo again >/dev/stdout; cat </dev/stdin";
        b.sh(line).start_command("run", &[]).stdin("in").output().ok().says("1001\nagain\nin");
        b.args(&["/bin/sleep", "100"]).run_detached();
        assert_eq!(host::status(b.pid())["Uid"].split(' ').next().unwrap(), (SUBORDINATE + 5000).to_string());
        let r = b.exec_report(&["--user", "3:4"]);
        assert_eq!((&r["status"]["Uid"], &r["status"]["Gid"]), (&json!("3 3 3 3"), &json!("4 4 4 4")));
        b.exec_with(&["--user", "3"], &["/bin/sh", "-c", "stat -L -c %u /proc/self/fd/1; echo again >/dev/stdout"])
            .ok()
            .says("3\nagain");
        b.rt(&["kill", &b.id, "KILL"]).ok();
        b.await_status("stopped");
        b.delete();
        b.assert_gone();
    });
}

/// Each says who has to do what.
#[test]
fn ranges_that_are_not_granted() {
    case(|b| {
        ordinary_user(b).args(&["/bin/true"]);
        let none = (900_000, 10);
        for (uids, gids, words) in [
            (
                none,
                (SUBORDINATE, 10),
                ["failed to use newuid map on", "uid range [1-11) -> [900000-900010) not allowed", "/etc/subuid"],
            ),
            (
                (SUBORDINATE, 10),
                none,
                ["failed to use newgid map on", "gid range [1-11) -> [900000-900010) not allowed", "/etc/subgid"],
            ),
            ((SUBORDINATE, 20), (SUBORDINATE, 10), ["failed to use newuid map on", "uid range", "/etc/subuid"]),
        ] {
            grant(&[(SUBORDINATE, 10)]);
            map(b, &[uids]);
            b.set("/linux/gidMappings/1", json!({"containerID": 1, "hostID": gids.0, "size": gids.1}));
            let out = b.run().code(1);
            words.into_iter().fold(out, |out, words| out.err_has(words));
            b.assert_gone();
        }
        // Somebody else's configuration: its one id is not ours.
        map(b, &[]);
        b.set("/linux/uidMappings/0/hostID", UID + 1);
        b.run().code(1).err_has("uid range [0-1) -> [4712-4713) not allowed").err_has("/etc/subuid");
    });
}

/// The helpers of PATH, whatever they are.
#[test]
fn helpers_that_do_not_help() {
    case(|b| {
        ordinary_user(b).args(&["/bin/true"]);
        grant(&[(SUBORDINATE, 10)]);
        map(b, &[(SUBORDINATE, 10)]);
        let log = b.path("run-4711/log");
        let say = format!("{{ echo \"$@\"; /usr/bin/tr '\\0' '\\n' </proc/$$/environ; }} >{}", log.display());
        let dir = b.path("path");
        fs::create_dir(&dir).unwrap();
        let path = format!("{}:/no/such/directory", dir.display());
        let fails = |words: [&str; 2]| {
            let out = b.start_command("run", &[]).env("PATH", &path).env("SECRET", "x").limit(60).output().code(1);
            words.into_iter().fold(out, |out, words| out.err_has(words)).err_has("failed to use newuid map on");
            b.assert_gone();
        };
        fails(["executable file not found in $PATH", "uidmap"]);
        let helper = |mode: u32, lines: &str| {
            fs::write(dir.join("newuidmap"), format!("#!/bin/sh\n{lines}\n")).unwrap();
            fs::set_permissions(dir.join("newuidmap"), fs::Permissions::from_mode(mode)).unwrap();
        };
        helper(0o644, "");
        fails(["executable file not found in $PATH", "uidmap"]);
        helper(0o755, &format!("{say}; echo no, thank you >&2; exit 3"));
        fails(["exit status 3", "no, thank you"]);
        let text = host::read(&log);
        let lines: Vec<&str> = text.lines().collect();
        let words: Vec<&str> = lines[0].split(' ').collect();
        assert_eq!(words[1..], ["0", "4711", "1", "1", "700000", "10"]);
        // Not even PATH; what the shell adds of its own is not ours.
        assert!(lines[1..].iter().all(|l| l.starts_with("PWD=") || l.starts_with("_=")), "{text}");
        // Says that all is well, and has done nothing.
        helper(0o755, "exit 0");
        fs::copy(dir.join("newuidmap"), dir.join("newgidmap")).unwrap();
        let out = b.start_command("run", &[]).env("PATH", &path).output().code(1);
        assert!(!out.err.contains("failed to use"), "{out}");
        b.assert_gone();
        // The real one, which is not set-user-ID any more.
        fs::copy("/usr/bin/newuidmap", dir.join("newuidmap")).unwrap();
        fs::set_permissions(dir.join("newuidmap"), fs::Permissions::from_mode(0o755)).unwrap();
        fails(["Operation not permitted", "set-user-ID root"]);

        let begun = Instant::now();
        helper(0o755, "exec /bin/sleep 1000");
        fails(["did not end within 30 s", "newuidmap"]);
        assert!(begun.elapsed() >= Duration::from_secs(29));
    });
}

/// What is looked for is never a file of the bundle, which is where we are.
#[test]
fn helpers_are_not_taken_from_the_bundle() {
    case(|b| {
        ordinary_user(b).args(&["/payload", "report"]);
        grant(&[(SUBORDINATE, 10)]);
        map(b, &[(SUBORDINATE, 10)]);
        let trap = b.path("run-4711/trap");
        for name in ["newuidmap", "newgidmap"] {
            let file = b.bundle().join(name);
            fs::write(&file, format!("#!/bin/sh\n: >{}\n", trap.display())).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let out = b.start_command("run", &[]).dir(b.bundle()).env("PATH", "::.:bin:/usr/bin:/bin").output().ok();
        assert_eq!(strings(&out.json()["uid_map"]).len(), 2);
        assert!(!trap.exists());
    });
}

#[test]
fn more_ranges_than_the_kernel_takes() {
    case(|b| {
        ordinary_user(b).args(&["/bin/true"]);
        for (n, fits) in [(200, true), (340, false), (400, false)] {
            let ranges: Vec<(u32, u32)> = (0..n).map(|i| (SUBORDINATE + 2 * i, 1)).collect();
            grant(&ranges);
            map(b, &ranges);
            let out = b.run();
            if fits {
                out.ok();
            } else {
                out.fails(1, "ranges are more than the kernel takes (340)");
            }
            b.assert_gone();
        }
    });
}
