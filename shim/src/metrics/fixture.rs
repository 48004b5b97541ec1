//! For tests: real cgroups, below one of the test's own, that are gone at its end.

use std::process::{Child, Command, Stdio};

use dunnage::cgroup::{Denied, Host, OwnedCgroup, Paths, Settings};

/// The cgroups of one test, below `/dunnage-test-shim-<pid>-<name>`. Needs root.
pub(crate) struct Fixture {
    pub(crate) host: Host,
    name: String,
}

impl Fixture {
    pub(crate) fn new(name: &str) -> Fixture {
        assert!(nix::unistd::geteuid().is_root(), "the tests of cgroups need root: they make some");
        Fixture { host: Host::detect().unwrap(), name: format!("/dunnage-test-shim-{}-{name}", std::process::id()) }
    }

    /// Where a container's cgroup is or will be.
    pub(crate) fn paths(&self, below: &str) -> Paths {
        Paths::new(&self.host, &format!("{}{below}", self.name), "unused").unwrap()
    }

    /// Makes it, with the limits of a config.json.
    pub(crate) fn create(&self, below: &str, resources: &str) -> Paths {
        let paths = self.paths(below);
        let resources: dunnage::spec::Resources = serde_json::from_str(resources).unwrap();
        let settings = Settings::new(self.host.version(), &resources).unwrap();
        let owned = OwnedCgroup::new(&self.host, &paths).unwrap().unwrap();
        let cgroup = owned.create(&settings, Denied::Fail).unwrap();
        cgroup.apply(&settings, None, false).unwrap();
        paths
    }

    /// Removes it, which must have no processes any more.
    pub(crate) fn remove(&self, below: &str) {
        OwnedCgroup::new(&self.host, &self.paths(below)).unwrap().unwrap().remove().unwrap();
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let owned = OwnedCgroup::new(&self.host, &self.paths("")).unwrap().unwrap();
        if let Err(e) = owned.remove() {
            eprintln!("clean-up of {}: {e}", self.name);
        }
    }
}

/// A shell in a cgroup; it goes on when its standard input ends, and its end is that of the test.
pub(crate) struct Payload(pub(crate) Child);

impl Payload {
    pub(crate) fn new(paths: &Paths, script: &str) -> Payload {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("read go; {script}")]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        for path in paths.0.values() {
            std::fs::write(format!("{path}/cgroup.procs"), child.id().to_string()).unwrap();
        }
        Payload(child)
    }

    pub(crate) fn go(&mut self) {
        drop(self.0.stdin.take());
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
