//! What the files of a cgroup said before settings were written, and putting that back. Knows how the kernel shows what was
//! written, which is not always how it wants it; not what the values mean.

use std::collections::BTreeSet;

use super::create::Cgroup;
use super::dir::Dir;
use super::settings::{Missing, Settings};
use crate::error::{Errno, Error, Result};

/// The contents of the files that settings are going to be written to, in the order of the writes.
#[derive(Debug)]
pub struct Before(Vec<File>);

#[derive(Debug)]
struct File {
    controller: String,
    name: String,
    text: String,
    /// What an empty cpuset amounts to: one with processes does not become empty again.
    effective: Option<String>,
}

impl Cgroup {
    /// To be called before [`Cgroup::apply`] with the same settings. Files that are not there, or which only take orders
    /// (memory.reclaim), have nothing to go back to.
    pub fn before(&self, settings: &Settings) -> Before {
        let mut files: Vec<File> = Vec::new();
        for setting in &settings.list {
            let Some(place) = self.place(&setting.controller) else { continue };
            let instead = match &setting.missing {
                Missing::Instead { file, .. } => Some(*file),
                Missing::Error | Missing::Ignore => None,
            };
            // SCHED_IDLE takes the weight away, and its end gives the default one.
            let weights: &[&str] = if setting.file == "cpu.idle" { &["cpu.shares", "cpu.weight"] } else { &[] };
            for name in weights.iter().copied().chain([setting.file.as_ref()]).chain(instead) {
                if files.iter().any(|file| file.name == name) {
                    continue;
                }
                if let Ok(text) = place.dir.read(name) {
                    let empty = setting.controller == "cpuset" && text.trim().is_empty();
                    let effective = empty.then(|| place.dir.read_value(&format!("{name}.effective")).ok()).flatten();
                    files.push(File {
                        controller: setting.controller.to_string(),
                        name: name.to_owned(),
                        text,
                        effective,
                    });
                }
            }
        }
        Before(files)
    }

    /// Writes back what has changed, last first. Several rounds, as long as one brings something: the kernel refuses a value
    /// that contradicts another which is still the new one (a memory limit above that of memory and swap).
    pub fn restore(&self, before: &Before) -> Result<()> {
        let mut result = Ok(());
        for _ in 0..=before.0.len() {
            result = Ok(());
            let mut changed = false;
            for file in before.0.iter().rev() {
                match self.place(&file.controller).map_or(Ok(false), |place| file.restore(&place.dir)) {
                    Ok(written) => changed |= written,
                    Err(e) => result = result.and(Err(e)),
                }
            }
            if !changed {
                break;
            }
        }
        result
    }
}

impl File {
    /// True if something was written.
    fn restore(&self, dir: &Dir) -> Result<bool> {
        let now = dir.read(&self.name)?;
        if self.effective.as_deref() == Some(now.trim()) {
            return Ok(false);
        }
        let lines = way_back(&self.name, &self.text, &now);
        for line in &lines {
            match (dir.write(&self.name, line), &self.effective) {
                (Err(e), Some(effective)) if e.errno() == Some(Errno::ENOSPC) => dir.write(&self.name, effective)?,
                (result, _) => result?,
            }
        }
        if !lines.is_empty() && dir.read(&self.name)? == now {
            return Err(Error::new(format!("{}/{} stays as it is: {:?}", dir.path, self.name, now.trim_end())));
        }
        Ok(!lines.is_empty())
    }
}

/// The lines to write, each on its own, into a file that says `now`, so that it says `before` again.
fn way_back(file: &str, before: &str, now: &str) -> Vec<String> {
    if before == now {
        return Vec::new();
    }
    if before.trim().is_empty() && device(now).is_none() {
        // A write of nothing never reaches the kernel.
        return vec!["\n".into()];
    }
    let old: BTreeSet<&str> = before.lines().collect();
    let new: BTreeSet<&str> = now.lines().collect();
    let known: BTreeSet<&str> = old.iter().copied().filter_map(device).collect();
    let added = new.iter().copied().filter_map(device).filter(|device| !known.contains(device));
    let reset = added.map(|device| match file {
        "io.max" => format!("{device} rbps=max wbps=max riops=max wiops=max"),
        _ if file.starts_with("blkio.throttle.") => format!("{device} 0"),
        _ => format!("{device} default"),
    });
    old.difference(&new).map(|line| (*line).to_owned()).chain(reset).collect()
}

/// `8:0` of `8:0 rbps=1`: the key of a line in the files that have one for each device.
fn device(line: &str) -> Option<&str> {
    let key = line.split_ascii_whitespace().next()?;
    let (major, minor) = key.split_once(':')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (digits(major) && digits(minor)).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_go_back() {
        let table: &[(&str, &str, &str, &[&str])] = &[
            ("memory.max", "max\n", "4096\n", &["max"]),
            ("memory.max", "4096\n", "4096\n", &[]),
            ("cpu.max", "max 100000\n", "5000 10000\n", &["max 100000"]),
            ("cpuset.cpus", "\n", "0-1\n", &["\n"]),
            ("cpuset.cpus", "", "0-1\n", &["\n"]),
            ("io.max", "", "8:0 rbps=1 wbps=max riops=max wiops=max\n", &["8:0 rbps=max wbps=max riops=max wiops=max"]),
            (
                "io.max",
                "8:0 rbps=1 wbps=2 riops=max wiops=max\n",
                "8:0 rbps=9 wbps=2 riops=max wiops=max\n",
                &["8:0 rbps=1 wbps=2 riops=max wiops=max"],
            ),
            ("blkio.throttle.read_bps_device", "8:16 5\n", "8:0 1\n8:16 7\n", &["8:16 5", "8:0 0"]),
            ("io.bfq.weight", "default 100\n", "default 200\n8:0 50\n", &["default 100", "8:0 default"]),
            ("io.weight", "default 100\n8:0 50\n", "default 7\n8:0 50\n", &["default 100"]),
            ("misc.max", "a max\nb 5\n", "a 4\nb 5\n", &["a max"]),
        ];
        for (file, before, now, lines) in table {
            assert_eq!(way_back(file, before, now), *lines, "{file} {now:?} -> {before:?}");
        }
    }
}
