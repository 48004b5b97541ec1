//! Checkpoint, and Create from one; with a real criu, which `integration/criu.sh` puts where it is looked for.

use dunnage_shim::proto::Message;
use dunnage_shim::proto::events::TaskCheckpointed;
use dunnage_shim::proto::options::CheckpointOptions;

use crate::common::*;

/// Says its count: what is lost of its memory, or of the stream, shows as a gap.
const COUNT: &str = "i=0; while :; do i=$((i+1)); echo line $i; usleep 10000; done";

fn path() -> String {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/criu");
    assert!(dir.join("criu").is_file(), "{} has no criu: run integration/criu.sh", dir.display());
    format!("{}:{}", dir.canonicalize().unwrap().display(), std::env::var("PATH").unwrap())
}

/// As `boot`, with that criu.
fn boot(t: &Daemon, c: &Container) -> Task {
    let answer = Answer::of(&t.start_command(c, t.usual_stdin(c)).env("PATH", path()).output().ok());
    t.started(&answer);
    t.connect(&answer.address)
}

fn counting(t: &Daemon) -> Container {
    let mut c = t.container("c1");
    c.sh(COUNT);
    c
}

fn images(t: &Daemon) -> String {
    t.path("images").display().to_string()
}

/// The last whole line of the count.
fn last(text: &str) -> u32 {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn left_running_then_ended_then_restored() {
    case(|t| {
        let c = counting(t);
        let task = boot(t, &c);
        task.create(&c).unwrap();
        task.start("c1", "").unwrap();
        c.out.expect("line 5\n");
        let parent = t.path("parent").display().to_string();
        task.checkpoint_with("c1", &parent, &CheckpointOptions::default()).unwrap();
        let told = t.events.expect("checkpointed c1");
        assert_eq!(told.topic, "/tasks/checkpointed");
        let event = TaskCheckpointed::decode(&told.any.value).unwrap();
        assert_eq!((event.container_id.as_str(), event.checkpoint.as_str()), ("c1", parent.as_str()));
        assert_eq!(task.status("c1", ""), 2);
        let exit = CheckpointOptions { exit: true, ..CheckpointOptions::default() };
        task.checkpoint_with("c1", &images(t), &exit).unwrap();
        assert_eq!(task.wait("c1", "").unwrap(), 137);
        assert!(!c.path("criu-dump.log").exists() && !c.path("work/criu-work").exists());
        task.delete("c1", "").unwrap();
        let before = last(&c.out.text());

        let mut c = t.container("c2");
        c.sh(COUNT);
        c.request.checkpoint = images(t);
        let task = boot(t, &c);
        assert_eq!(task.create(&c).unwrap(), 0);
        assert_eq!(task.status("c2", ""), 1);
        task.exec(&t.exec(&c, "e1", &["/bin/true"])).fails(2, "cannot exec in a created state");
        task.checkpoint("c2", "/x").fails(2, "cannot checkpoint a task in created state");
        let pid = task.start("c2", "").unwrap();
        assert!(pid > 0);
        assert_eq!(task.status("c2", ""), 2);
        c.out.expect(&format!("line {}\n", before + 10));
        // Nothing was said twice, and nothing is missing.
        let first: u32 = c.out.so_far().lines().next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        assert!(first > 1 && first <= before + 1, "{first} after {before}");
        assert_eq!(task.run(&t.exec(&c, "e1", &["/bin/true"])), 0);
        assert!(task.pids("c2").unwrap().iter().any(|process| process.pid == pid));
        task.kill("c2", "", 9).unwrap();
        assert_eq!(task.wait("c2", "").unwrap(), 137);
        task.delete("c2", "").unwrap();
        t.events.expect("delete c2 137");
        let told: Vec<String> = t.events.told().into_iter().filter(|event| event.contains("c2")).collect();
        let events = [
            "create c2",
            "start c2",
            "exec-added c2 e1",
            "exec-started c2 e1",
            "exit c2 e1 0",
            "exit c2 137",
            "delete c2 137",
        ];
        assert_eq!(told, events);
    });
}

#[test]
fn a_terminal() {
    case(|t| {
        let mut c = t.container("c1");
        c.with_terminal().sh(COUNT);
        let task = boot(t, &c);
        task.create(&c).unwrap();
        task.start("c1", "").unwrap();
        c.out.expect("line 5\r\n");
        let options = CheckpointOptions { exit: true, terminal: true, ..CheckpointOptions::default() };
        task.checkpoint_with("c1", &images(t), &options).unwrap();
        task.wait("c1", "").unwrap();
        task.delete("c1", "").unwrap();
        let mut c = t.container("c2");
        c.with_terminal().sh(COUNT);
        c.request.checkpoint = images(t);
        // A session of its own has its terminal from inside: no option is needed to restore it.
        let task = boot(t, &c);
        task.create(&c).unwrap();
        task.start("c2", "").unwrap();
        c.out.expect("line 30\r\n");
        task.kill("c2", "", 9).unwrap();
        task.wait("c2", "").unwrap();
        task.delete("c2", "").unwrap();
    });
}

#[test]
fn what_fails_is_told_and_leaves_the_container() {
    case(|t| {
        let mut c = t.container("c1");
        // CRIU has no name by which it could find the file again.
        c.sh(&format!("exec 6>/tmp/a; echo x >&6; ln /tmp/a /tmp/b; rm /tmp/a; {COUNT}"));
        let task = boot(t, &c);
        task.create(&c).unwrap();
        task.start("c1", "").unwrap();
        c.out.expect("line 3\n");
        let failure = task.checkpoint("c1", &images(t)).unwrap_err();
        let log = c.path("criu-dump.log");
        let (begins, ends) = ("OCI runtime checkpoint failed: criu failed: type ", format!(" path= {}", log.display()));
        assert!(failure.message.starts_with(begins) && failure.message.ends_with(&ends), "{failure:?}");
        assert!(host::read(&log).contains("Error (criu/"));
        assert_eq!(task.status("c1", ""), 2);
        assert!(t.events.told().iter().all(|event| !event.starts_with("checkpointed")));
        let none = CheckpointOptions { empty_namespaces: vec!["ipc".into()], ..CheckpointOptions::default() };
        task.checkpoint_with("c1", &images(t), &none).fails(2, "namespace \"ipc\" is not supported");
        let mode = CheckpointOptions { cgroups_mode: "x".into(), ..CheckpointOptions::default() };
        task.checkpoint_with("c1", &images(t), &mode).fails(2, "invalid manage-cgroups-mode value");
        task.end("c1");
        // A restore that fails leaves one that can be deleted.
        let mut c = t.container("c2");
        c.request.checkpoint = t.path("none").display().to_string();
        let task = boot(t, &c);
        task.create(&c).unwrap();
        task.start("c2", "").fails(2, "OCI runtime restore failed: ");
        assert_eq!(task.status("c2", ""), 1);
        task.delete("c2", "").unwrap();
    });
}
