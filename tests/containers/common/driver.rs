//! Who makes the control groups: the environment's `DUNNAGE_TEST_DRIVER`, `cgroupfs` (the default) or `systemd`. With the
//! second every command of the runtime gets `--systemd-cgroup`, and every container is a scope in a slice of its test's own.

use std::sync::OnceLock;

use super::host;

/// A cgroup driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    Cgroupfs,
    Systemd,
}

/// Where a container is put: what its configuration says, and where that is below the hierarchies' mounts.
pub struct Place {
    pub cgroups_path: String,
    pub cgroup: String,
}

/// What the groups of tests begin with. No dashes: in the name of a slice they would be levels.
const SLICE: &str = "dunnage_test_";

impl Driver {
    pub fn under_test() -> Driver {
        static DRIVER: OnceLock<Driver> = OnceLock::new();
        *DRIVER.get_or_init(|| match std::env::var("DUNNAGE_TEST_DRIVER").as_deref() {
            Err(_) | Ok("" | "cgroupfs") => Driver::Cgroupfs,
            Ok("systemd") => Driver::Systemd,
            Ok(other) => panic!("DUNNAGE_TEST_DRIVER={other}"),
        })
    }

    /// The group of a test's own, below which its containers are.
    pub fn parent(self, unique: &str) -> String {
        match self {
            Driver::Cgroupfs => format!("/dunnage-test-{unique}"),
            Driver::Systemd => format!("/{SLICE}{}.slice", unique.replace('-', "_")),
        }
    }

    /// The container `id` in that group.
    pub fn place(self, parent: &str, id: &str) -> Place {
        match self {
            Driver::Cgroupfs => {
                let cgroup = format!("{parent}/{id}");
                Place { cgroups_path: cgroup.clone(), cgroup }
            }
            Driver::Systemd => {
                // The name of a unit is its own in all of systemd, and not only in its slice.
                let slice = parent.trim_start_matches('/');
                let prefix = slice.trim_end_matches(".slice");
                Place {
                    cgroups_path: format!("{slice}:{prefix}:{id}"),
                    cgroup: format!("{parent}/{prefix}-{id}.scope"),
                }
            }
        }
    }

    /// Ends what is left in a group, and the group.
    pub fn sweep(self, parent: &str) {
        if self == Driver::Systemd {
            // systemctl wants to see the pid of process 1, which is outside of the test's pid namespace.
            const MANAGER: [&str; 3] =
                ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
            let stop = ["StopUnit", "ss", parent.trim_start_matches('/'), "replace"];
            let mut busctl = std::process::Command::new("busctl");
            // Of a test that has made no container there is no slice.
            let _ = busctl.args(["--quiet", "call"]).args(MANAGER).args(stop).output();
        }
        host::sweep_cgroup(parent);
    }
}

/// Whether it is a group of the tests.
pub fn is_ours(cgroup: &str) -> bool {
    cgroup.contains("dunnage-test-") || cgroup.contains(SLICE)
}
