//! What there is of a shim, and of all that shims make.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use super::Group;
use super::common::*;

/// By how much the memory of a shim may grow, in KiB: how full its heap's last pages are is chance.
pub const AT_FIRST: u64 = 192;
/// The same after two thousand lives: 50 bytes of each would be seen at the end of ten thousand.
pub const SETTLED: u64 = 64;

/// One shim.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    /// Anonymous memory, in KiB.
    memory: u64,
    counts: Counts,
}

/// What must be the same to the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counts {
    /// By kind: sockets, pipes, eventpolls, pidfds, timerfds, files.
    descriptors: BTreeMap<String, usize>,
    /// Descriptors that its eventpolls watch.
    watched: usize,
    threads: usize,
    children: usize,
    /// Of memory.
    mappings: usize,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Look {
    shims: Vec<Process>,
    counts: BTreeMap<&'static str, usize>,
    /// Control groups of the whole machine, and those of them that have no directory any more. They are others', too.
    machine: (usize, usize),
}

impl Look {
    pub fn at(t: &Daemon, groups: &[Group]) -> Look {
        host::reap_orphans();
        let entries = |dir: &str| fs::read_dir(dir).map_or(0, Iterator::count);
        let cgroups =
            host::hierarchies().iter().map(|(_, top)| below(&top.join(t.cgroup.trim_start_matches('/')))).sum();
        let counts = [
            ("mounts", host::mounts().len()),
            ("cgroups", cgroups),
            ("processes", host::pids().count()),
            ("sockets", entries("/run/containerd/s")),
            ("states", entries(&format!("/run/containerd/runc/{}", t.namespace))),
            ("bundles", entries(&format!("/run/containerd/io.containerd.runtime.v2.task/{}", t.namespace))),
            ("fifos", entries("/run/containerd/fifo")),
        ];
        let shims = groups.iter().map(|group| Process::of(group.pid)).collect();
        Look { shims, counts: counts.into(), machine: machine() }
    }

    /// But for the memory.
    pub fn is_like(&self, first: &Look) -> bool {
        let counts = |look: &Look| look.shims.iter().map(|shim| shim.counts.clone()).collect::<Vec<_>>();
        self.counts == first.counts && counts(self) == counts(first)
    }

    #[track_caller]
    pub fn assert_like(&self, first: &Look, more: u64) {
        assert_eq!(self.counts, first.counts, "what the shims have made");
        for (now, first) in self.shims.iter().zip(&first.shims) {
            assert_eq!(now.counts, first.counts, "what a shim has");
            assert!(now.memory <= first.memory + more, "{} KiB, and {} before", now.memory, first.memory);
        }
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |of: fn(&Process) -> u64| self.shims.iter().map(|shim| of(shim).to_string()).collect::<Vec<_>>().join("/");
        write!(
            f,
            "each shim: {} KiB, {} fds, {} watched, {} threads, {} children; {:?}; machine: {} cgroups of memory, {} of them gone",
            list(|shim| shim.memory),
            list(|shim| shim.counts.descriptors.values().sum::<usize>() as u64),
            list(|shim| shim.counts.watched as u64),
            list(|shim| shim.counts.threads as u64),
            list(|shim| shim.counts.children as u64),
            self.counts,
            self.machine.0,
            self.machine.1
        )
    }
}

impl Process {
    fn of(pid: i32) -> Process {
        let proc = |name: &str| format!("/proc/{pid}/{name}");
        let rollup = host::read(proc("smaps_rollup"));
        let memory = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("Anonymous");
        let memory = memory.trim().trim_end_matches(" kB").parse().expect("KiB");
        let mut descriptors = BTreeMap::new();
        for entry in fs::read_dir(proc("fd")).unwrap().flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default().display().to_string();
            let kind = if target.starts_with('/') { "file" } else { target.split(":[").next().unwrap_or_default() };
            *descriptors.entry(kind.to_owned()).or_default() += 1;
        }
        let infos = fs::read_dir(proc("fdinfo")).unwrap().flatten();
        let infos = infos.map(|entry| fs::read_to_string(entry.path()).unwrap_or_default());
        let counts = Counts {
            descriptors,
            watched: infos.map(|info| info.lines().filter(|line| line.starts_with("tfd:")).count()).sum(),
            threads: host::status(pid)["Threads"].parse().expect("a number"),
            children: host::children(pid).len(),
            mappings: host::read(proc("maps")).lines().count(),
        };
        Process { memory, counts }
    }
}

/// Directories below this one.
fn below(top: &std::path::Path) -> usize {
    let entries = fs::read_dir(top).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| 1 + below(&entry.path()))
        .sum()
}

fn machine() -> (usize, usize) {
    let table = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let memory = table.lines().find(|line| line.starts_with("memory\t"));
    let count = memory.and_then(|line| line.split('\t').nth(2)?.parse().ok()).unwrap_or(0usize);
    let top = host::hierarchies().into_iter().find(|(names, _)| names.split(',').any(|name| name == "memory"));
    let there = top.map_or(count, |(_, top)| 1 + below(&top));
    (count, count.saturating_sub(there))
}
