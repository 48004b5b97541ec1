//! Other users, root among them, and a user's containers: nobody learns what is not theirs to know, and nobody is made to do what
//! another's state file says.

use super::{STRANGER, UID, as_user, give, ordinary_user};
use crate::common::{Bundle, case, host, json, until};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Every command that does something to a container.
const ACTS: [&[&str]; 8] = [
    &["kill", "ID", "KILL"],
    &["delete", "ID"],
    &["delete", "--force", "ID"],
    &["start", "ID"],
    &["pause", "ID"],
    &["resume", "ID"],
    &["exec", "ID", "/bin/true"],
    &["update", "--pids-limit", "7", "ID"],
];
const LOOKS: [&[&str]; 4] = [&["state", "ID"], &["ps", "ID"], &["events", "--stats", "ID"], &["list"]];

fn named<'a>(b: &'a Bundle, args: &[&'a str]) -> Vec<&'a str> {
    args.iter().map(|a| if *a == "ID" { b.id.as_str() } else { a }).collect()
}

fn open_for_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_stranger_learns_nothing() {
    case(|b| {
        ordinary_user(b).args(&["/bin/sleep", "100"]).run_detached();
        let pid = b.pid();
        b.wrap(&as_user(b, STRANGER));
        for args in ACTS.iter().chain(&LOOKS) {
            let there = b.rt(&named(b, args));
            let missing = b.rt(&args.iter().map(|a| if *a == "ID" { "other" } else { a }).collect::<Vec<_>>());
            assert!(there.code != 0 && there.err.contains("permission denied"), "{there}");
            let without_id = |text: &str| text.replace(&b.id, "X").replace("other", "X");
            let last = |out: &crate::common::Out| without_id(out.err.split_once("level=").unwrap().1);
            assert_eq!(last(&there), last(&missing), "{args:?}");
        }
        // A root that all may read tells the names, and no more.
        open_for_all(&b.root());
        for args in ACTS {
            let out = b.rt(&named(b, args));
            assert!(out.code != 0 && out.err.contains("permission denied"), "{out}");
        }
        let listed = b.rt(&["list"]).ok();
        assert!(!listed.out.contains(&b.id) && listed.err.contains("permission denied"), "{listed}");
        assert!(host::alive(pid));
        b.wrap(&as_user(b, UID));
        assert_eq!(b.status(), "running");
    });
}

#[test]
fn root_may_look() {
    case(|b| {
        ordinary_user(b).args(&["/bin/sleep", "100"]).run_detached();
        let pid = b.pid();
        b.wrap::<&str>(&[]);
        let listed = b.rt(&["list", "--format", "json"]).ok().json();
        assert_eq!((&listed[0]["owner"], &listed[0]["status"]), (&json!("ordinary"), &json!("running")));
        assert_eq!(b.pid(), pid);
        b.rt(&["ps", "--format", "json", &b.id]).ok();
    });
}

/// A user's state file says what the user likes: a hook to be run, processes and cgroups to be ended. Root does none of it, and
/// no other user either.
#[test]
fn a_state_file_of_another_is_not_obeyed() {
    case(|b| {
        let victim = crate::common::Beside::spawn(&["sleep", "1000"]);
        let owned = b.path("owned");
        let hook = b.script("hook", &format!(": >{}", owned.display()));
        let cgroups: Vec<_> = host::hierarchies();
        let theirs = format!("{}/victim", b.cgroup_parent());
        let mut paths = serde_json::Map::new();
        for (names, point) in &cgroups {
            let dir = point.join(theirs.trim_start_matches('/'));
            fs::create_dir_all(&dir).unwrap();
            names.split(',').for_each(|name| drop(paths.insert(name.into(), json!(dir))));
        }
        ordinary_user(b).set("/hooks/poststop", json!([{"path": hook}]));
        b.args(&["/bin/sleep", "100"]).create();
        open_for_all(&b.root());
        let file = b.state_dir().join("state.json");
        let mut state: serde_json::Value = serde_json::from_str(&host::read(&file)).unwrap();
        let real = state.clone();
        state["cgroup_paths"] = json!(paths);
        state["config"]["namespaces"] = json!([]);
        state["init_process_pid"] = json!(victim.pid());
        let stat = host::read(format!("/proc/{}/stat", victim.pid()));
        let start: u64 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
        state["init_process_start"] = json!(start);
        fs::write(&file, state.to_string()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(b.state_dir(), fs::Permissions::from_mode(0o755)).unwrap();

        for uid in [0, STRANGER] {
            b.wrap(&if uid == 0 { Vec::new() } else { as_user(b, uid) });
            for args in ACTS {
                let out = b.rt(&named(b, args));
                assert!(out.code != 0, "{out}");
                out.err_has("its state belongs to uid 4711").err_has("ask as that user");
            }
            b.rt(&["list", "-q"]).ok().says(&b.id);
        }
        assert!(host::alive(victim.pid()) && !owned.exists());
        assert!(cgroups.iter().all(|(_, point)| point.join(theirs.trim_start_matches('/')).exists()));

        // The beginnings of a create count as much.
        fs::remove_file(&file).unwrap();
        let intent = json!({"cgroup_paths": paths, "systemd_unit": "ssh.service"});
        let init = json!({"init_process_pid": victim.pid(), "init_process_start": start});
        fs::write(b.state_dir().join("creating.json"), format!("{intent}\n{init}\n")).unwrap();
        b.wrap::<&str>(&[]);
        b.rt(&["delete", "--force", &b.id]).code(1).err_has("its state belongs to uid 4711");
        assert!(host::alive(victim.pid()));

        // A directory of ours that others may write is no better.
        fs::remove_file(b.state_dir().join("creating.json")).unwrap();
        fs::write(&file, real.to_string()).unwrap();
        give(&b.root(), UID);
        b.wrap(&as_user(b, UID));
        fs::set_permissions(b.state_dir(), fs::Permissions::from_mode(0o773)).unwrap();
        b.rt(&["kill", &b.id, "KILL"]).code(1).err_has("others may write its state directory (mode 773)");
        fs::set_permissions(b.state_dir(), fs::Permissions::from_mode(0o711)).unwrap();
        // Its user's hook, by its user, who may not write there.
        b.rt(&["delete", "--force", &b.id]).code(1).err_has("error running poststop hook #0: exit status");
        assert!(!owned.exists());
        b.assert_gone();
    });
}

/// Files in a user's directory that are none: whoever looks goes on.
#[test]
fn looking_is_not_held_up() {
    case(|b| {
        ordinary_user(b);
        for id in ["fifo", "link", "endless", "dir", "deep"] {
            fs::create_dir(b.root().join(id)).unwrap();
        }
        let state = |id: &str| b.root().join(id).join("state.json");
        nix::unistd::mkfifo(&state("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
        std::os::unix::fs::symlink("/etc/shadow", state("link")).unwrap();
        fs::File::create(state("endless")).unwrap().set_len(1 << 40).unwrap();
        fs::create_dir(state("dir")).unwrap();
        fs::write(state("deep"), "[".repeat(1 << 20)).unwrap();
        let holder = crate::common::Beside::spawn(&[
            "sh",
            "-c",
            &format!("exec 3<>{}; exec sleep 1000", state("fifo").display()),
        ]);
        until("the fifo to be held", || fs::read_link(format!("/proc/{}/fd/3", holder.pid())).is_ok());
        give(&b.root(), UID);
        b.wrap::<&str>(&[]);
        let out = b.command(&["list"]).limit(30).output().ok();
        for id in ["fifo", "link", "endless", "dir", "deep"] {
            assert!(out.err.contains(&format!("load container {id}: ")), "{id}\n{out}");
        }
        assert!(out.err.contains("file too large") && out.err.len() < 4096, "{out}");
    });
}
