//! Lines of mountinfo (proc_pid_mountinfo(5)), as a container reports them.

use super::{Value, strings};

/// One mount.
#[derive(Debug, Clone)]
pub struct Mount {
    pub device: String,
    /// What of the file system is mounted.
    pub root: String,
    pub point: String,
    /// Of the mount itself: `ro`, `nosuid`, ...
    pub options: Vec<String>,
    /// `shared:1`, `master:1`, `unbindable`.
    pub propagation: Vec<String>,
    pub kind: String,
    pub source: String,
    /// Of the file system.
    pub super_options: Vec<String>,
}

impl Mount {
    pub fn parse(line: &str) -> Mount {
        let (left, right) = line.split_once(" - ").unwrap();
        let (left, right): (Vec<&str>, Vec<&str>) = (left.split(' ').collect(), right.split(' ').collect());
        let list = |s: &str| s.split(',').map(str::to_string).collect();
        Mount {
            device: left[2].into(),
            root: left[3].into(),
            point: left[4].into(),
            options: list(left[5]),
            propagation: left[6..].iter().map(|s| s.to_string()).collect(),
            kind: right[0].into(),
            source: right[1].into(),
            super_options: list(right.get(2).copied().unwrap_or_default()),
        }
    }

    /// It has this option, of its own or of its file system.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().chain(&self.super_options).any(|o| o == option)
    }

    pub fn has_own(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }
}

/// The uppermost mount at a path, in a payload's report.
#[track_caller]
pub fn mount_at(report: &Value, point: &str) -> Mount {
    find_mount(report, point)
        .unwrap_or_else(|| panic!("nothing is mounted at {point}: {:#?}", strings(&report["mounts"])))
}

pub fn find_mount(report: &Value, point: &str) -> Option<Mount> {
    strings(&report["mounts"]).iter().map(|l| Mount::parse(l)).rfind(|m| m.point == point)
}
