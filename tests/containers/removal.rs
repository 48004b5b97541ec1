//! Killing and removing converge, whatever the container has made of its cgroup; and who has left it is left alone.

use crate::cgroup2::unified;
use crate::common::{Beside, Bundle, Command, Driver, case, host, json, until};
use std::fs;
use std::path::PathBuf;

fn running(b: &mut Bundle) -> i32 {
    b.args(&["/bin/sleep", "100"]).run_detached();
    b.pid()
}

/// The container's cgroup in the hierarchy in which processes are frozen.
fn freezer(b: &Bundle) -> (PathBuf, bool) {
    let v1 = host::hierarchies().iter().any(|(name, _)| name == "freezer");
    (host::cgroup_dir(if v1 { "freezer" } else { "" }, &b.cgroup), v1)
}

fn thousands_of_cgroups(b: &mut Bundle, prepare: fn(&Bundle)) {
    prepare(b);
    running(b);
    for top in host::cgroup_leftovers(&b.cgroup) {
        for i in 0..300 {
            fs::create_dir_all(top.join(format!("{i}/a"))).unwrap();
        }
        let mut deep = top.clone();
        (0..40).for_each(|i| deep.push(i.to_string()));
        fs::create_dir_all(deep).unwrap();
    }
    let (top, _) = freezer(b);
    (0..2000).for_each(|i| fs::create_dir(top.join(format!("wide{i}"))).unwrap());
    b.wrap(&["prlimit", "--nofile=40"]);
    b.rt(&["delete", "--force", &b.id]).ok();
    b.wrap::<&str>(&[]);
    b.assert_gone();
}

#[test]
fn thousands_below() {
    case(|b| thousands_of_cgroups(b, |_| ()));
}

#[test]
fn thousands_below_on_v2() {
    case(|b| thousands_of_cgroups(b, unified));
}

/// A container that manages cgroups can freeze some of its processes; with them it would never end.
fn frozen_below(b: &mut Bundle, prepare: fn(&Bundle)) {
    prepare(b);
    for own_pid_namespace in [true, false] {
        for command in [&["delete", "--force"][..], &["kill"]] {
            b.another_id(&format!("{}-{own_pid_namespace}", command[0]));
            if !own_pid_namespace {
                b.drop_namespace("pid");
            }
            let mut out = b.sh("sleep 100 & echo $!; wait").run_detached();
            until("the child", || out.written().0.ends_with('\n'));
            let init = b.pid();
            let child = host::children(init)[0];
            let (top, v1) = freezer(b);
            let sub = top.join("a/b");
            fs::create_dir_all(&sub).unwrap();
            fs::write(sub.join("cgroup.procs"), child.to_string()).unwrap();
            let (file, value) = if v1 { ("freezer.state", "FROZEN") } else { ("cgroup.freeze", "1") };
            fs::write(sub.join(file), value).unwrap();
            until("it to be frozen", || match v1 {
                true => host::read(sub.join(file)) == value,
                false => host::read(sub.join("cgroup.events")).contains("frozen 1"),
            });
            let mut all = command.to_vec();
            all.push(&b.id);
            if command[0] == "kill" {
                b.rt(&[&all[..], &["KILL"]].concat()).ok();
                b.await_status("stopped");
                until("its end", || !host::alive(child));
                all = vec!["delete", &b.id];
            }
            b.rt(&all).ok();
            b.assert_gone();
            assert!(!host::alive(init) && !host::alive(child));
        }
    }
}

#[test]
fn frozen_cgroups_below() {
    case(|b| frozen_below(b, |_| ()));
}

#[test]
fn frozen_cgroups_below_on_v2() {
    case(|b| frozen_below(b, unified));
}

/// A threaded cgroup tells only the threads that are in it. Here all of the container is below a threaded one, or with systemd,
/// which makes no unit there, a part of it in one.
#[test]
fn threaded_cgroups() {
    case(|b| {
        unified(b);
        if Driver::under_test() == Driver::Cgroupfs {
            let parent = host::cgroup_dir("", b.cgroup_parent());
            fs::create_dir_all(&parent).unwrap();
            fs::create_dir(parent.join("first")).unwrap();
            // From now on the parent is the domain, and what is made in it is threaded or unusable.
            fs::write(parent.join("first/cgroup.type"), "threaded").unwrap();
        }
        b.drop_namespace("pid");
        let mut out = b.sh("sleep 100 & echo ready; wait").run_detached();
        until("its child", || out.written().0.contains("ready"));
        let dir = host::cgroup_dir("", &b.cgroup);
        let two = || {
            let ps = b.rt(&["ps", "--format", "json", &b.id]).ok().json();
            assert_eq!(ps.as_array().unwrap().len(), 2, "{ps}");
        };
        two();
        fs::create_dir(dir.join("below")).unwrap();
        fs::write(dir.join("below/cgroup.type"), "threaded").unwrap();
        fs::write(dir.join("below/cgroup.threads"), host::children(b.pid())[0].to_string()).unwrap();
        let kind = if Driver::under_test() == Driver::Cgroupfs { "threaded" } else { "domain threaded" };
        assert_eq!(host::read(dir.join("cgroup.type")), kind);
        two();
        b.rt(&["kill", &b.id, "KILL"]).ok();
        until("all of them to be dead", || host::pids_in_cgroup(&b.cgroup).is_empty());
        b.await_status("stopped");
        b.delete();
        b.assert_gone();
    });
}

/// It makes cgroups for as long as it lives.
#[test]
fn cgroups_that_are_made_meanwhile() {
    case(|b| {
        unified(b);
        let last = b.config["mounts"].as_array().unwrap().len() - 1;
        b.set(&format!("/mounts/{last}/options"), crate::common::json!(["nosuid"])).namespace("cgroup", None);
        b.drop_namespace("pid");
        let mut out =
            b.sh("cd /sys/fs/cgroup; i=0; while i=$((i+1)); do mkdir c$i c$i/a; echo $i; done").run_detached();
        until("some cgroups", || out.written().0.lines().count() > 20);
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}

#[test]
fn a_read_only_cgroupfs() {
    case(|b| {
        running(b);
        let remount = |how: &str| {
            for (_, point) in host::hierarchies() {
                let options = format!("remount,bind,{how}");
                Command::new(["mount", "-o", &options, point.to_str().unwrap()]).output().ok();
            }
        };
        remount("ro");
        b.rt(&["pause", &b.id]).fails(1, "read-only file system");
        let deleted = b.rt(&["delete", "--force", &b.id]);
        match Driver::under_test() {
            Driver::Cgroupfs => {
                deleted.fails(1, "read-only file system");
                assert!(b.state_dir().join("state.json").exists(), "what could not be removed must stay known");
            }
            // systemd has a mount of its own.
            Driver::Systemd => {
                deleted.ok();
                b.assert_gone();
            }
        }
        let mut other = Bundle::new();
        other.set("/linux/resources/hugepageLimits", json!([{"pageSize": "2MB", "limit": 4_194_304}]));
        let out = other.args(&["/bin/true"]).start_command("create", &[]).output();
        let out = out.fails(1, "mounted read-only");
        // With systemd the cgroup is there; what is missing is a file in it.
        if Driver::under_test() == Driver::Cgroupfs {
            out.err_has("read-only file system");
        }
        other.assert_gone();
        remount("rw");
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}

/// systemd removes a cgroup as soon as it is empty: also between the signal and the thawing of who died frozen.
#[test]
fn a_cgroup_that_goes_while_it_is_thawed() {
    case(|b| {
        for id in ["pids", "shared"] {
            b.another_id(id);
            if id == "shared" {
                b.drop_namespace("pid");
            }
            running(b);
            b.rt(&["pause", id]).ok();
            let trace = b.path("trace").display().to_string();
            b.wrap(&["strace", "-f", "-o", &trace, "-e", "trace=write", "-e", "inject=write:delay_enter=100000"]);
            b.rt(&["delete", "--force", id]).ok();
            b.wrap::<&str>(&[]);
            b.assert_gone();
        }
    });
}

/// v1: a pid is looked at again before it is signalled. One that leaves between the two is none of the container's.
#[test]
fn who_leaves_between_the_list_and_the_signal_lives() {
    case(|b| {
        if !host::hierarchies().iter().any(|(name, _)| name == "freezer") {
            return;
        }
        // With cgroup.kill there would be no list.
        Command::new(["sh", "-c", "umount /sys/fs/cgroup/unified 2>/dev/null; true"]).output().ok();
        let outside = host::cgroup_dir("freezer", &format!("{}/outside", b.cgroup_parent()));
        fs::create_dir_all(&outside).unwrap();
        b.drop_namespace("pid");
        let mut out = b.sh("sleep 100 & sleep 100 & sleep 100 & echo ready; wait").run_detached();
        until("its children", || out.written().0.contains("ready"));
        let init = b.pid();
        let children = host::children(init);
        let leaver = *children.iter().max().unwrap();
        let trace = b.path("trace").display().to_string();
        let inject = [
            "strace",
            "-o",
            &trace,
            "-e",
            "trace=pidfd_open,pidfd_send_signal",
            "-e",
            "inject=pidfd_open:delay_enter=400000",
        ];
        b.wrap(&inject);
        let killing = b.command(&["kill", &b.id, "KILL"]).spawn();
        let dir = host::cgroup_dir("freezer", &b.cgroup);
        until("the container to be held", || host::read(dir.join("freezer.state")) == "FROZEN");
        // By now they have been listed, and the first is waited for.
        std::thread::sleep(std::time::Duration::from_millis(100));
        fs::write(outside.join("cgroup.procs"), leaver.to_string()).unwrap();
        killing.wait().ok();
        let trace = host::read(&trace);
        assert!(trace.contains(&format!("pidfd_open({leaver},")), "it was not listed: {trace}");
        assert_eq!(trace.matches("pidfd_send_signal(").count(), children.len(), "{trace}");
        until("the others to be dead", || {
            !host::alive(init) && children.iter().all(|c| *c == leaver || !host::alive(*c))
        });
        assert!(host::alive(leaver));
        let _leaver = nix::sys::signal::kill(nix::unistd::Pid::from_raw(leaver), nix::sys::signal::Signal::SIGKILL);
        until("its end", || !host::alive(leaver));
        fs::remove_dir(&outside).unwrap();
    });
}

/// On v2 no command moves a process: it costs a lock of the whole system and charges its memory to the wrong cgroup. What is
/// to be in a cgroup is made in it. (What runs inside has no step for it: `enter-cgroups` is for the doors of v1.)
#[test]
fn nobody_is_moved_on_v2() {
    case(|b| {
        unified(b);
        let trace = b.path("trace").display().to_string();
        b.wrap(&[
            "strace",
            "-qq",
            "-s",
            "200",
            "-A",
            "-o",
            &trace,
            "-e",
            "trace=open,openat,openat2,write,writev,pwrite64",
        ]);
        b.sh("sleep 100");
        b.create();
        b.start();
        fs::create_dir(host::cgroup_dir("", &b.cgroup).join("sub")).unwrap();
        let id = b.id.clone();
        for args in [
            &["exec", &id, "true"][..],
            &["exec", "--detach", &id, "true"],
            &["exec", "--cgroup", "sub", &id, "true"],
            &["pause", &id],
            &["resume", &id],
            &["ps", &id],
            &["state", &id],
            &["kill", &id, "KILL"],
        ] {
            b.rt(args).ok();
        }
        b.await_status("stopped");
        b.delete();
        b.another_id("run").namespace("cgroup", None).sh("exit 0").run().ok();
        b.another_id("shared").drop_namespace("pid").args(&["/bin/sleep", "100"]).run_detached();
        b.rt(&["delete", "--force", &b.id]).ok();
        let trace = host::read(&trace);
        assert!(trace.lines().count() > 200 && trace.contains("cgroup.procs"), "nothing was traced");
        for line in trace.lines().filter(|l| ["cgroup.procs", "cgroup.threads", "/tasks"].iter().any(|f| l.contains(f)))
        {
            assert!(!line.contains("O_WRONLY") && !line.contains("O_RDWR"), "{line}");
        }
    });
}

/// A bystander in the parent's cgroup, which is none of the container's, survives everything.
#[test]
fn the_cgroup_above_is_left_alone() {
    case(|b| {
        let above = Beside::spawn(&["sleep", "100"]);
        for (name, point) in host::hierarchies() {
            let dir = point.join(b.cgroup_parent().trim_start_matches('/'));
            // v1's cpuset takes nobody before it has CPUs.
            if name != "cpuset" {
                fs::create_dir_all(&dir).unwrap();
                fs::write(dir.join("cgroup.procs"), above.pid().to_string()).unwrap();
            }
        }
        b.drop_namespace("pid");
        running(b);
        b.rt(&["pause", &b.id]).ok();
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
        assert!(host::alive(above.pid()));
        drop(above);
    });
}

/// Whoever mounts something in a state directory: it is not ours to empty.
#[test]
fn what_is_mounted_in_the_state_directory_stays() {
    case(|b| {
        b.args(&["/bin/true"]);
        b.create();
        let (files, inside) = (b.path("files"), b.state_dir().join("inside/mounted"));
        fs::create_dir_all(&inside).unwrap();
        fs::create_dir(&files).unwrap();
        fs::write(files.join("file"), "precious").unwrap();
        let mounted = inside.display().to_string();
        Command::new(["mount", "--bind", files.to_str().unwrap(), &mounted]).output().ok();
        b.rt(&["delete", "--force", &b.id]).fails(1, "something is mounted in its state directory");
        assert_eq!(host::read(files.join("file")), "precious");
        Command::new(["umount", &mounted]).output().ok();
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}
