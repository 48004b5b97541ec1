//! Thousands of containers one after another, hundreds at once: whatever the host has of them afterwards is what it had.

use crate::scenario::{self, Runtime};
use crate::sys;
use crate::tracer::Child;
use crate::world::{self, BUNDLE, CALLER, Cgroups, World};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// What the host has at a moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Look {
    pub lives: usize,
    /// MiB that programs could have.
    pub available: u64,
    /// MiB of the kernel's own that it can't give back.
    pub slab: u64,
    pub files: u64,
    pub mounts: usize,
    pub processes: usize,
    pub cgroups: u64,
    /// The largest command since the last look, KiB.
    pub peak: i64,
    /// Since the last look.
    pub milliseconds_a_life: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Soak {
    pub looks: Vec<Look>,
    pub left: Vec<String>,
    pub at_once: AtOnce,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AtOnce {
    pub asked: usize,
    pub running: usize,
    pub milliseconds: u128,
    /// What commands said that failed.
    pub failed: Vec<String>,
    pub left: Vec<String>,
}

fn meminfo(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or_default() / 1024
}

fn look(lives: usize, peak: i64, since: Duration, count: usize) -> Look {
    world::reap();
    let files = fs::read_to_string("/proc/sys/fs/file-nr").unwrap_or_default();
    let stat = fs::read_to_string("/sys/fs/cgroup/cgroup.stat").unwrap_or_default();
    let descendants = stat.lines().find_map(|l| l.strip_prefix("nr_descendants ")).and_then(|n| n.parse().ok());
    Look {
        lives,
        available: meminfo("MemAvailable"),
        slab: meminfo("SUnreclaim"),
        files: files.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default(),
        mounts: world::mounts().len(),
        processes: world::processes().len(),
        cgroups: descendants.unwrap_or_default(),
        peak,
        milliseconds_a_life: since.as_secs_f64() * 1000.0 / count.max(1) as f64,
    }
}

/// A command to its end; returns its peak.
fn command(runtime: &Runtime<'_>, args: &[&str]) -> Result<i64, String> {
    let mut child = Child::spawn(&runtime.argv(args), None).map_err(|e| e.to_string())?;
    let (status, peak) = sys::wait_for_peak(child.pid).map_err(|e| e.to_string())?;
    if status == 0 { Ok(peak) } else { Err(format!("{args:?}: status {status}: {}", child.written().1)) }
}

pub fn run(binary: &str, rootfs: &str, lives: usize, at_once: usize) -> Result<Soak, String> {
    let inside = |world: &World| -> Result<Soak, String> {
        let runtime = Runtime { path: binary, world };
        scenario::write_config(&scenario::config(world, rootfs, scenario::ID))?;
        let id = scenario::ID;
        let mut looks = Vec::new();
        let (mut peak, mut since, mut count) = (0, Instant::now(), 0);
        let each = (lives / 10).max(1);
        for n in 0..=lives {
            if n == 20 || (n > 0 && n % each == 0) {
                looks.push(look(n, peak, since.elapsed(), count));
                (peak, since, count) = (0, Instant::now(), 0);
            }
            for args in [&["create", "--bundle", BUNDLE, id][..], &["start", id], &["delete", "--force", id]] {
                peak = peak.max(command(&runtime, args)?);
            }
            world::reap();
            count += 1;
        }
        let left = world.left_after(Duration::from_secs(5));
        Ok(Soak { looks, left, at_once: all_at_once(&runtime, rootfs, at_once)? })
    };
    let limit = Duration::from_secs(60 * 60);
    world::run(Cgroups::Unified, limit, inside).map_err(|e| e.to_string())?.unwrap_or(Err("no answer".into()))
}

/// The same command for all, started before one of them is waited for.
fn all(runtime: &Runtime<'_>, commands: &[Vec<String>], failed: &mut Vec<String>) {
    let mut children = BTreeMap::new();
    for args in commands {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match Child::spawn(&runtime.argv(&args), None) {
            Ok(child) => drop(children.insert(child.pid, child)),
            Err(e) => failed.push(e.to_string()),
        }
    }
    while !children.is_empty() {
        let Ok(Some((pid, status))) = sys::wait(-1, 0) else { continue };
        if let Some(mut child) = children.remove(&pid)
            && status != 0
        {
            failed.push(child.written().1);
        }
    }
}

fn all_at_once(runtime: &Runtime<'_>, rootfs: &str, count: usize) -> Result<AtOnce, String> {
    let ids: Vec<String> = (0..count).map(|n| format!("c{n}")).collect();
    let mut at_once = AtOnce { asked: count, ..AtOnce::default() };
    let bundle = |id: &str| format!("{CALLER}/{id}");
    for id in &ids {
        let config = scenario::config(runtime.world, rootfs, id).to_string();
        fs::create_dir(bundle(id)).map_err(|e| e.to_string())?;
        fs::write(format!("{}/config.json", bundle(id)), config).map_err(|e| e.to_string())?;
    }
    let line = |words: &[&str]| words.iter().map(|w| w.to_string()).collect::<Vec<_>>();
    let begun = Instant::now();
    let runs: Vec<_> = ids.iter().map(|id| line(&["run", "--detach", "--bundle", &bundle(id), id])).collect();
    all(runtime, &runs, &mut at_once.failed);
    let listed = runtime.call(&["list", "--quiet"]).1.lines().count();
    let programs = world::processes().into_iter().filter(|p| world::comm(*p) == "sleep").count();
    at_once.running = listed.min(programs);
    let deletes: Vec<_> = ids.iter().map(|id| line(&["delete", "--force", id])).collect();
    all(runtime, &deletes, &mut at_once.failed);
    at_once.milliseconds = begun.elapsed().as_millis();
    for id in &ids {
        fs::remove_dir_all(bundle(id)).map_err(|e| e.to_string())?;
    }
    at_once.left = runtime.world.left_after(Duration::from_secs(10));
    Ok(at_once)
}
