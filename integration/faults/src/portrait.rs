//! A process of a container as it is seen from the host: everything that `config.json` asks for, as lines. Two containers of
//! one configuration have the same portrait; what is missing in one is a line.

use crate::sys;
use std::ffi::CStr;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

const NAMESPACES: &[&str] = &["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
const STATUS: &[&str] = &[
    "Umask",
    "Uid",
    "Gid",
    "Groups",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "SigBlk",
    "SigIgn",
    "NSpid",
];

fn read(pid: i32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_else(|e| format!("{e}")).replace('\0', " ")
}

/// Of a process that runs the container's program.
pub fn of(pid: i32) -> Vec<String> {
    let mut lines = Vec::new();
    for file in ["cmdline", "environ", "cgroup", "oom_score_adj", "limits", "personality"] {
        lines.extend(read(pid, file).lines().map(|l| format!("{file}: {l}")));
    }
    for line in read(pid, "status").lines() {
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name == "NSpid" {
            lines.push(format!("pid namespaces: {}", value.split_whitespace().count()));
        } else if STATUS.contains(&name) {
            lines.push(format!("status: {name} {}", value.trim()));
        }
    }
    for name in NAMESPACES {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap_or_default();
        lines.push(format!("namespace {name} of its own: {}", of(&pid.to_string()) != of("self")));
    }
    for line in read(pid, "mountinfo").lines() {
        let (before, after) = line.split_once(" - ").unwrap_or((line, ""));
        let words: Vec<&str> = before.split(' ').collect();
        // Without ids, device, and the options that repeat the device's.
        lines.push(format!("mount: {} - {}", words.get(3..).unwrap_or_default().join(" "), after));
    }
    for link in ["cwd", "root", "exe"] {
        lines.push(format!("{link}: {}", fs::read_link(format!("/proc/{pid}/{link}")).unwrap_or_default().display()));
    }
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let kind = target.to_string_lossy().split(':').next().unwrap_or_default().to_string();
        lines.push(format!("descriptor {}: {kind}", entry.file_name().to_string_lossy()));
    }
    for dir in ["dev", "etc", "data"] {
        for entry in fs::read_dir(format!("/proc/{pid}/root/{dir}")).into_iter().flatten().flatten() {
            let Ok(m) = fs::symlink_metadata(entry.path()) else { continue };
            let link = fs::read_link(entry.path()).map(|l| l.display().to_string()).unwrap_or_default();
            let name = entry.file_name();
            let (mode, owner, device) = (m.mode(), (m.uid(), m.gid()), m.rdev());
            lines.push(format!("/{dir}/{}: {mode:o} {owner:?} {device} {link}", name.to_string_lossy()));
        }
    }
    lines.push(format!("hostname: {}", hostname(pid)));
    lines.push(format!("sysctl: {}", sysctl(pid)));
    lines.sort();
    lines
}

/// Asked by a child, which enters for that.
fn entered(pid: i32, namespace: &str, what: impl FnOnce() -> String) -> String {
    use std::io::{Read, Write};
    let Ok((read, write)) = sys::pipe() else { return String::new() };
    let Ok(file) = fs::File::open(format!("/proc/{pid}/ns/{namespace}")) else { return String::new() };
    match sys::fork() {
        Ok(0) => {
            if sys::setns(file.as_raw_fd()).is_ok() {
                let _ = fs::File::from(write).write_all(what().as_bytes());
            }
            sys::exit(0)
        }
        Ok(child) => {
            while let Ok(None) = sys::wait(child, 0) {}
            let mut text = String::new();
            let mut bytes = Vec::new();
            drop(write);
            let _ = fs::File::from(read).read_to_end(&mut bytes);
            text.push_str(&String::from_utf8_lossy(&bytes));
            text
        }
        Err(_) => String::new(),
    }
}

fn hostname(pid: i32) -> String {
    entered(pid, "uts", || {
        let mut name = [0u8; 65];
        sys::hostname(&mut name);
        CStr::from_bytes_until_nul(&name).map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    })
}

fn sysctl(pid: i32) -> String {
    entered(pid, "net", || fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default().trim().into())
}

/// The first lines that one has and the other has not.
pub fn difference(clean: &[String], now: &[String]) -> Option<String> {
    let missing = clean.iter().filter(|l| !now.contains(l)).map(|l| format!("missing: {l}"));
    let more = now.iter().filter(|l| !clean.contains(l)).map(|l| format!("instead: {l}"));
    let all: Vec<String> = missing.chain(more).take(3).collect();
    (!all.is_empty()).then(|| all.join("; "))
}
