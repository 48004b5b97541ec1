//! The module against the real kernel: on the hierarchies of this host, and on cgroup v2 alone, which is mounted over them
//! in a private mount namespace. Each test has a cgroup of its own below `/dunnage-test-<pid>-<name>`; needs root.

mod life;
mod limits;
mod oracle;

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::host::{Layout, Version};
use super::*;
use crate::spec::Resources;

/// The container's cgroup of a test: everything in and above it is gone at the end, also after a panic.
struct Fixture {
    host: Host,
    name: String,
    owned: OwnedCgroup,
}

impl Fixture {
    fn new(name: &str) -> Fixture {
        assert!(nix::unistd::geteuid().is_root(), "the tests of cgroups need root: they make some");
        let host = Host::detect().unwrap();
        let name = format!("/dunnage-test-{}-{name}", std::process::id());
        let owned = owned(&host, &format!("{name}/pod/container"));
        Fixture { host, name, owned }
    }

    fn create(&self, resources: &str) -> Result<Cgroup, crate::error::Error> {
        let settings = self.settings(resources);
        let cgroup = self.owned.create(&settings, Denied::Fail)?;
        Ok(cgroup)
    }

    fn settings(&self, resources: &str) -> Settings {
        Settings::new(self.host.version(), &serde_json::from_str::<Resources>(resources).unwrap()).unwrap()
    }

    /// What the kernel has in a file of the container's cgroup.
    fn file(&self, key: &str, file: &str) -> String {
        let path = &self.owned.node(key).unwrap().path;
        std::fs::read_to_string(format!("{path}/{file}")).unwrap().trim_end().to_string()
    }

    /// A shell that does its work only once it is in the cgroup.
    fn spawn(&self, cgroup: &Cgroup, script: &str) -> Child {
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        enter(cgroup, pid, Version::V1).unwrap();
        enter(cgroup, pid, Version::V2).unwrap();
        drop(child.stdin.take());
        child
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let parent = owned(&self.host, &self.name);
        for result in [parent.kill_all(), parent.remove()] {
            if let Err(e) = result {
                eprintln!("clean-up of {}: {e}", self.name);
            }
        }
    }
}

fn owned(host: &Host, path: &str) -> OwnedCgroup {
    OwnedCgroup::new(host, &Paths::new(host, path, "unused").unwrap()).unwrap().unwrap()
}

/// Moves a process into the hierarchies of a version. Real containers are cloned into v2, and enter v1 by its doors.
fn enter(cgroup: &Cgroup, pid: i32, version: Version) -> Result<(), crate::error::Error> {
    let places = cgroup.places.iter().filter(|place| place.hierarchy.version == version);
    for place in places {
        place.dir.write("cgroup.procs", &pid.to_string())?;
    }
    Ok(())
}

/// SIGKILL ended it, within a time that leaves no doubt.
fn assert_killed(child: &mut Child) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.signal(), Some(libc::SIGKILL), "{status:?}");
            return;
        }
        assert!(Instant::now() < until, "still alive");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs the calling test again, in another process that `shell` prepares and then gives way to (`exec "$@"`). True there.
fn again(test: &str, shell: &str) -> bool {
    let variable = "DUNNAGE_TEST_AGAIN";
    if std::env::var_os(variable).is_some_and(|inner| inner == test) {
        return true;
    }
    let exe = std::env::current_exe().unwrap();
    let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let output = Command::new("timeout")
        .args(["-s", "KILL", "120", "unshare", "-m", "/bin/sh", "-ec", shell, "sh"])
        .arg(exe)
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(variable, test)
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("test result: ok. 1 passed"), "{}: {text}", output.status);
    false
}

/// On this host's hierarchies, then on v2 alone.
fn on_both(test: &str, f: impl Fn()) {
    if std::env::var_os("DUNNAGE_TEST_AGAIN").is_none() {
        f();
    }
    on_v2(test, f);
}

fn on_v2(test: &str, f: impl Fn()) {
    if again(test, r#"umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec "$@""#) {
        assert_eq!(Host::detect().unwrap().layout(), Layout::V2);
        f();
    }
}
