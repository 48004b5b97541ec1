//! Whatever a state file says: no cgroup is killed, frozen or removed that is a root, ours, above ours, our caller's, or
//! has processes that are none of ours. And what is the container's goes away, whatever it has made of it.
//!
//! NEVER against another runtime, which may end every process of the machine (`cgroups::a_state_without_a_group_kills_nobody`
//! has the story). The runtime, its caller and the bystanders are in cgroups of the test's own and in pid namespaces of their own.

use crate::cgroup2::unified;
use crate::common::{Beside, Bundle, Command, Out, Value, case, eventually, host, json, until};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

const COMMANDS: [&[&str]; 5] =
    [&["kill", "ID", "KILL"], &["pause", "ID"], &["resume", "ID"], &["delete", "ID"], &["delete", "--force", "ID"]];

fn only_ours() -> bool {
    std::env::var_os("RUNTIME").is_none()
}

/// Key of `cgroup_paths` -> the hierarchy's mount point; one for each controller.
fn hierarchies() -> BTreeMap<String, PathBuf> {
    let mut all = BTreeMap::new();
    for (names, point) in host::hierarchies() {
        for name in names.split(',') {
            let key = if name == "systemd" { "name=systemd" } else { name };
            all.insert(key.to_string(), point.clone());
        }
    }
    all
}

fn paths(below: &str) -> Value {
    hierarchies().into_iter().map(|(key, point)| (key, json!(format!("{}{below}", point.display())))).collect()
}

/// A cgroup of this path in every hierarchy.
fn make(below: &str) {
    for (name, point) in host::hierarchies() {
        let dir = point.join(below.trim_start_matches('/'));
        fs::create_dir_all(&dir).unwrap();
        if name == "cpuset" {
            let mut at = point.clone();
            for part in below.trim_start_matches('/').split('/') {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    let above = host::read(at.join(file));
                    fs::write(at.join(part).join(file), above).unwrap();
                }
                at.push(part);
            }
        }
    }
}

fn enter(below: &str, pid: i32) {
    for (_, point) in host::hierarchies() {
        fs::write(point.join(below.trim_start_matches('/')).join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

/// A shell's line that puts the shell into a cgroup.
fn enter_line(below: &str) -> String {
    let line = |(_, point): (String, PathBuf)| format!("echo $$ > {}{below}/cgroup.procs; ", point.display());
    host::hierarchies().into_iter().map(line).collect()
}

/// A pid and a mount namespace below the test's, in which the runtime is called, and whose pids are all that it sees.
struct Inner {
    pid: i32,
    _holder: Beside,
}

impl Inner {
    fn new() -> Inner {
        let argv = ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "sleep", "1000"];
        let holder = Beside::spawn(&argv);
        let pid = eventually("the namespace", || host::children(holder.pid()).first().copied());
        until("its procfs", || host::read(format!("/proc/{pid}/comm")) == "sleep");
        Inner { pid, _holder: holder }
    }

    fn enter(&self) -> Vec<String> {
        ["nsenter", "-t", &self.pid.to_string(), "-m", "-p", "--"].map(str::to_string).to_vec()
    }

    /// Runs a shell's line in there.
    #[track_caller]
    fn sh(&self, line: &str) -> Out {
        Command::new(self.enter().into_iter().chain(["sh".into(), "-ec".into(), line.to_string()])).output().ok()
    }

    /// Lets a process sleep in there, in a cgroup; the pid that the test sees.
    fn bystander(&self, below: &str) -> (Beside, i32) {
        let argv: Vec<String> = self.enter().into_iter().chain(["sleep".into(), "500".into()]).collect();
        let beside = Beside::spawn(&argv.iter().map(String::as_str).collect::<Vec<_>>());
        let pid = eventually("the bystander", || host::children(beside.pid()).first().copied());
        until("it to sleep", || host::read(format!("/proc/{pid}/comm")) == "sleep");
        enter(below, pid);
        (beside, pid)
    }
}

/// The runtime is a child of `caller`, and itself in `own`.
struct Stage<'a> {
    b: &'a Bundle,
    inner: Inner,
    root: PathBuf,
    parent: String,
    bystanders: Vec<(&'static str, Beside, i32)>,
}

impl<'a> Stage<'a> {
    fn new(b: &'a mut Bundle) -> Stage<'a> {
        let inner = Inner::new();
        let parent = b.cgroup_parent().to_string();
        for name in ["own/inner", "caller", "hidden", "neighbour"] {
            make(&format!("{parent}/{name}"));
        }
        b.without_systemd().drop_namespace("pid").args(&["/bin/sleep", "100"]).write_config();
        let hidden = Beside::spawn(&["sleep", "500"]);
        enter(&format!("{parent}/hidden"), hidden.pid());
        let pid = hidden.pid();
        let mut bystanders = vec![("hidden", hidden, pid)];
        for name in ["own", "caller"] {
            let (beside, pid) = inner.bystander(&format!("{parent}/{name}"));
            bystanders.push((name, beside, pid));
        }
        // A directory that no clean-up on the real host ever looks at.
        let root = b.path("hostile");
        Stage { b, inner, root, parent, bystanders }
    }

    fn run(&self, args: &[&str]) -> Out {
        let own = enter_line(&format!("{}/own", self.parent));
        let caller = enter_line(&format!("{}/caller", self.parent));
        // The runtime's parent is the first shell.
        let line = format!("{caller} sh -ec '{own} exec \"$@\"' sh \"$@\"; exit $?");
        let program = [self.b.runtime().path.display().to_string(), "--root".into(), self.root.display().to_string()];
        let argv = self.inner.enter().into_iter().chain(["sh".into(), "-c".into(), line, "sh".into()]);
        let mut command = Command::new(argv.chain(program).chain(self.arguments(args)));
        // A signal to "process 0" is one to the own process group.
        command.inner().process_group(0);
        command.output()
    }

    fn arguments(&self, args: &[&str]) -> Vec<String> {
        args.iter().map(|a| if *a == "ID" { self.b.id.clone() } else { a.to_string() }).collect()
    }

    fn file(&self) -> PathBuf {
        self.root.join(&self.b.id).join("state.json")
    }

    /// A running container and its state.
    fn container(&self) -> Value {
        let state = || -> Option<Value> { serde_json::from_slice(&fs::read(self.file()).ok()?).ok() };
        if let Some(state) = state().filter(|_| self.run(&["state", "ID"]).out.contains("\"running\"")) {
            return state;
        }
        let _ = fs::remove_dir_all(self.root.join(&self.b.id));
        host::sweep_cgroup(&self.b.cgroup);
        let bundle = self.b.bundle().display().to_string();
        self.run(&["run", "--detach", "--bundle", &bundle, "ID"]).ok();
        state().unwrap()
    }

    /// Every command with these paths; nobody but the container may notice.
    #[track_caller]
    fn attack(&self, what: &str, paths: &Value) {
        for command in COMMANDS {
            self.command(what, paths, &self.container(), command);
        }
        // Once more when it has ended: only then is anything removed.
        let sane = self.container();
        self.run(&["kill", "ID", "KILL"]).ok();
        until("its end", || self.run(&["state", "ID"]).out.contains("\"stopped\""));
        self.command(what, paths, &sane, &["delete", "ID"]);
    }

    #[track_caller]
    fn command(&self, what: &str, paths: &Value, sane: &Value, command: &[&str]) {
        let mut hostile = sane.clone();
        hostile["cgroup_paths"] = paths.clone();
        hostile["config"]["cgroups"] = json!({});
        fs::write(self.file(), hostile.to_string()).unwrap();
        let out = self.run(command);
        assert!(out.code != 137, "{what}: the runtime has ended itself: {out}");
        std::thread::sleep(std::time::Duration::from_millis(5));
        self.unharmed(&format!("{what}: {command:?}: {out}"));
        if self.file().exists() {
            fs::write(self.file(), sane.to_string()).unwrap();
        }
    }

    #[track_caller]
    fn unharmed(&self, what: &str) {
        for (name, _, pid) in &self.bystanders {
            assert!(host::alive(*pid), "{name} was killed: {what}");
            let state = host::status(*pid)["State"].clone();
            assert!(state.starts_with('S'), "{name} was frozen ({state}): {what}");
        }
        for (_, point) in host::hierarchies() {
            for name in ["own", "own/inner", "caller", "hidden", "neighbour"] {
                let dir = point.join(self.parent.trim_start_matches('/')).join(name);
                assert!(dir.is_dir() || name.ends_with("inner"), "{} was removed: {what}", dir.display());
                assert!(!frozen(&dir), "{} was frozen: {what}", dir.display());
            }
        }
    }
}

fn frozen(dir: &Path) -> bool {
    let is = |file: &str, value: &str| fs::read_to_string(dir.join(file)).is_ok_and(|text| text.trim() == value);
    is("freezer.state", "FROZEN") || is("freezer.state", "FREEZING") || is("cgroup.freeze", "1")
}

fn attack_by_paths(b: &mut Bundle, prepare: fn(&Bundle)) {
    prepare(b);
    let stage = Stage::new(b);
    let parent = stage.parent.clone();
    let own = format!("{parent}/own");
    stage.attack("no paths", &json!({}));
    stage.attack("empty paths", &hierarchies().into_keys().map(|key| (key, json!(""))).collect());
    stage.attack("the roots", &paths(""));
    stage.attack("the roots with a slash", &paths("/"));
    stage.attack("the roots with a dot", &paths("/."));
    stage.attack("relative", &hierarchies().into_keys().map(|key| (key, json!(own.trim_start_matches('/')))).collect());
    stage.attack("not below a mount", &hierarchies().into_keys().map(|key| (key, json!(own))).collect());
    stage.attack("our own", &paths(&own));
    stage.attack("above our own", &paths(&parent));
    stage.attack("our own by dots", &paths(&format!("{parent}/neighbour/../own")));
    stage.attack("the root by dots", &paths(&format!("{own}/../../..")));
    stage.attack("our own by more slashes", &paths(&format!("/{own}")));
    stage.attack("our own with a slash", &paths(&format!("{own}/")));
    stage.attack("our caller's", &paths(&format!("{parent}/caller")));
    stage.attack("processes that we do not see", &paths(&format!("{parent}/hidden")));
    stage.attack("no such hierarchy", &json!({"nosuch": format!("/sys/fs/cgroup/nosuch{own}")}));
    stage.attack("the unified one alone", &json!({"": hierarchies().get("").map(|p| format!("{}{own}", p.display()))}));
    // Of each, another's.
    let mut points: Vec<(String, PathBuf)> = hierarchies().into_iter().collect();
    let first = points[0].1.clone();
    for i in 0..points.len() {
        points[i].1 = points.get(i + 1).map_or(first.clone(), |next| next.1.clone());
    }
    let swapped: Value = points.into_iter().map(|(k, p)| (k, json!(format!("{}{own}", p.display())))).collect();
    stage.attack("of another hierarchy", &swapped);
    // By a link, from outside and from inside.
    let link = b_link(&stage);
    let linked: Value = hierarchies()
        .into_iter()
        .map(|(k, p)| (k, json!(format!("{link}/{}{own}", p.file_name().unwrap().display()))))
        .collect();
    stage.attack("by a link", &linked);
}

/// A link to the mount points.
fn b_link(stage: &Stage<'_>) -> String {
    let link = stage.b.path("link");
    std::os::unix::fs::symlink("/sys/fs/cgroup", &link).unwrap();
    link.display().to_string()
}

#[test]
fn hostile_paths() {
    if only_ours() {
        case(|b| attack_by_paths(b, |_| ()));
    }
}

#[test]
fn hostile_paths_on_v2() {
    if only_ours() {
        case(|b| attack_by_paths(b, unified));
    }
}

/// Something else is mounted where the state file says that the cgroup is.
fn attack_by_mounts(b: &mut Bundle, prepare: fn(&Bundle)) {
    prepare(b);
    let stage = Stage::new(b);
    let parent = stage.parent.clone();
    let tree = stage.b.path("tree");
    let neighbours = |line: &dyn Fn(&str) -> String| {
        host::hierarchies()
            .iter()
            .map(|(_, point)| line(&format!("{}{parent}/neighbour", point.display())))
            .collect::<String>()
    };
    let survives = |what: &str| {
        fs::create_dir_all(tree.join("empty/below")).unwrap();
        fs::write(tree.join("cgroup.procs"), "").unwrap();
        stage.attack(what, &paths(&format!("{parent}/neighbour")));
        assert!(tree.join("empty/below").is_dir(), "{what}: it has removed directories that are no cgroups");
    };
    fs::create_dir_all(&tree).unwrap();
    stage.inner.sh(&neighbours(&|dir| format!("mount --bind {} {dir}; ", tree.display())));
    survives("another file system over it");
    stage.inner.sh(&neighbours(&|dir| {
        format!("umount {dir}; mkdir -p {dir}/sub; mount --bind {} {dir}/sub; ", tree.display())
    }));
    survives("another file system over one below it");
    stage.inner.sh(&neighbours(&|dir| format!("umount {dir}/sub; rmdir {dir}/sub; ")));
    // What is ours, by another way.
    for name in ["own", "caller", "hidden"] {
        let bind = |dir: &str| format!("mount --bind {} {dir}; ", dir.replace("neighbour", name));
        stage.inner.sh(&neighbours(&bind));
        stage.attack(&format!("{name} over it"), &paths(&format!("{parent}/neighbour")));
        stage.inner.sh(&neighbours(&|dir| format!("umount {dir}; ")));
    }
    let root =
        |dir: &str| format!("mount --bind {} {dir}; ", dir.strip_suffix(&format!("{parent}/neighbour")).unwrap());
    stage.inner.sh(&neighbours(&root));
    stage.attack("the root over it", &paths(&format!("{parent}/neighbour")));
    stage.inner.sh(&neighbours(&|dir| format!("umount {dir}; ")));
    // We are below it, and what we are in is hidden.
    let covered = format!("{parent}/covered/inner");
    make(&covered);
    let (_beside, bystander) = stage.inner.bystander(&covered);
    let hide: String =
        host::hierarchies().iter().map(|(_, p)| format!("mount -t tmpfs none {}{covered}; ", p.display())).collect();
    let sane = stage.container();
    stage.inner.sh(&hide);
    for command in COMMANDS {
        let mut state = sane.clone();
        state["cgroup_paths"] = paths(&format!("{parent}/covered"));
        fs::create_dir_all(stage.file().parent().unwrap()).unwrap();
        fs::write(stage.file(), state.to_string()).unwrap();
        let program = [stage.b.runtime().path.display().to_string(), "--root".into(), stage.root.display().to_string()];
        let argv = ["sh".into(), "-ec".into(), format!("{} exec \"$@\"", enter_line(&covered)), "sh".into()];
        let argv = argv.into_iter().chain(stage.inner.enter()).chain(program).chain(stage.arguments(command));
        let out = Command::new(argv).output();
        assert!(out.code != 137 && host::alive(bystander), "what we are in was killed: {out}");
        assert!(host::status(bystander)["State"].starts_with('S'), "what we are in was frozen: {out}");
    }
}

#[test]
fn hostile_mounts() {
    if only_ours() {
        case(|b| attack_by_mounts(b, |_| ()));
    }
}

#[test]
fn hostile_mounts_on_v2() {
    if only_ours() {
        case(|b| attack_by_mounts(b, unified));
    }
}

/// In a cgroup namespace the root is no root, and what is outside has names with dots.
#[test]
fn in_a_cgroup_namespace() {
    if only_ours() {
        case(|b| {
            unified(b);
            let parent = b.cgroup_parent().to_string();
            make(&format!("{parent}/ns/own"));
            make(&format!("{parent}/outside"));
            let outside = Beside::spawn(&["sleep", "500"]);
            enter(&format!("{parent}/outside"), outside.pid());
            b.args(&["/bin/sleep", "100"]).drop_namespace("pid").run_detached();
            let file = b.state_dir().join("state.json");
            let sane: Value = serde_json::from_str(&host::read(&file)).unwrap();
            let line = format!(
                "echo $$ > /sys/fs/cgroup{parent}/ns/cgroup.procs; exec unshare -C -m sh -ec \
                 'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
                  echo $$ > /sys/fs/cgroup/own/cgroup.procs; exec \"$@\"' sh \"$@\""
            );
            for path in ["/sys/fs/cgroup", "/sys/fs/cgroup/own", "/sys/fs/cgroup/../outside", "/sys/fs/cgroup/.."] {
                for command in COMMANDS {
                    let mut state = sane.clone();
                    state["cgroup_paths"] = json!({"": path});
                    fs::create_dir_all(b.state_dir()).unwrap();
                    fs::write(&file, state.to_string()).unwrap();
                    b.wrap(&["sh", "-c", &line, "sh"]);
                    let args: Vec<&str> = command.iter().map(|a| if *a == "ID" { b.id.as_str() } else { a }).collect();
                    let out = b.rt(&args);
                    assert_ne!(out.code, 137, "{path}: {out}");
                    assert!(host::alive(outside.pid()), "{path}: {out}");
                    assert!(host::cgroup_dir("", &format!("{parent}/ns/own")).is_dir(), "{path}: {out}");
                }
            }
            let _ = fs::remove_dir_all(b.state_dir());
        });
    }
}
