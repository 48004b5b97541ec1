//! What is looked at: files of cgroups with their modes and owners, units, the state file. Each is a text under a key, which
//! begins with the phase of the container's life: `created:memory/memory.limit_in_bytes`, `started:unit MemoryMax`.

use super::line;
use crate::common::{Bundle, Driver, Out, Value, host};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

/// All that was seen of one container.
pub struct Seen {
    all: BTreeMap<String, String>,
    /// Its cgroups below the hierarchies' mounts: its own first, then those above.
    groups: Vec<String>,
    phase: &'static str,
    reached: Vec<&'static str>,
    /// What names this container and no other, and what stands for it.
    names: Vec<(String, &'static str)>,
}

impl Seen {
    pub fn new(b: &Bundle, groups: Vec<String>) -> Seen {
        let (pid, number) = b.id.trim_start_matches('t').split_once('-').unwrap();
        // As it is, and as systemd writes it: in names of slices, in paths of D-Bus, and escaped.
        let written = ["-", "_", "_2d", "_5f", "\\x2d"].map(|dash| format!("{pid}{dash}{number}"));
        let mut names = vec![(b.dir().display().to_string(), "DIR")];
        names.extend(written.map(|name| (name, "UNIQUE")));
        Seen { all: BTreeMap::new(), groups, phase: "", reached: Vec::new(), names }
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.all.get(key).map(String::as_str)
    }

    /// For a message: with what was said, if it is of an exit code.
    pub fn shown(&self, key: &str) -> String {
        let said = key.strip_suffix("exit code").and_then(|phase| self.get(&format!("{phase}message")));
        format!("{:?} {}", self.get(key), said.unwrap_or_default())
    }

    pub fn keys<'a>(&'a self, other: &'a Seen) -> BTreeSet<&'a str> {
        self.all.keys().chain(other.all.keys()).map(String::as_str).collect()
    }

    /// It has come to this phase, and the command has not failed.
    pub fn reached(&self, phase: &str) -> bool {
        self.reached.contains(&phase)
    }

    fn note(&mut self, key: &str, value: impl Into<String>) {
        let (mut key, mut value) = (format!("{}:{key}", self.phase), value.into());
        for (name, stands) in &self.names {
            key = with_name(&key, name, stands);
            value = with_name(&value, name, stands);
        }
        self.all.insert(key, value);
    }

    /// A command of this phase has ended.
    pub fn ended(&mut self, phase: &'static str, out: &Out) {
        self.phase = phase;
        self.note("exit code", out.code.to_string());
        if out.code == 0 {
            self.reached.push(phase);
        } else {
            // Not compared: for who reads of a difference.
            self.note("message", out.err.trim());
        }
    }

    /// What there is when the container has gone, or has not come.
    pub fn after(&mut self, b: &Bundle, created: bool) {
        self.phase = if created { "left" } else { "failed" };
        self.reached.push(self.phase);
        self.look(b);
    }

    pub fn look(&mut self, b: &Bundle) {
        for (hierarchy, point) in host::hierarchies() {
            let hierarchy = if hierarchy.is_empty() { "v2" } else { hierarchy.as_str() };
            for (above, group) in self.groups.clone().iter().enumerate() {
                let prefix = format!("{hierarchy}/{}", "../".repeat(above));
                self.files(&prefix, &point.join(group.trim_start_matches('/')));
            }
            if let Ok(text) = fs::read_to_string(point.join("cgroup.subtree_control")) {
                self.note("v2/ROOT/cgroup.subtree_control", text.trim_end());
            }
        }
        if Driver::under_test() == Driver::Systemd {
            for (above, group) in self.groups.clone().iter().enumerate() {
                let unit = group.rsplit('/').next().unwrap();
                self.unit(&format!("{}unit", "../".repeat(above)), unit);
            }
        }
        if let Ok(text) = fs::read_to_string(b.state_dir().join("state.json")) {
            let state: Value = serde_json::from_str(&text).unwrap();
            for (place, of) in [("cgroups", &state["config"]["cgroups"]), ("cgroup_paths", &state["cgroup_paths"])] {
                for (key, value) in of.as_object().unwrap() {
                    if let Some(value) = crate::update::without_zeros(value.clone()) {
                        self.note(&format!("state {place} {key}"), line(&value));
                    }
                }
            }
        }
    }

    fn files(&mut self, prefix: &str, dir: &Path) {
        let Ok(metadata) = fs::metadata(dir) else { return };
        let rights = |m: fs::Metadata| format!("{:o} {}:{}", m.mode(), m.uid(), m.gid());
        self.note(&format!("{prefix} rights"), rights(metadata));
        for file in fs::read_dir(dir).unwrap().flatten() {
            let name = file.file_name().into_string().unwrap();
            let Ok(metadata) = file.metadata() else { continue };
            if metadata.is_file() {
                let mut text = match fs::read_to_string(file.path()) {
                    Ok(text) => text.trim_end().to_owned(),
                    Err(e) => e.to_string(),
                };
                match name.as_str() {
                    // In the order in which they came.
                    "devices.list" => {
                        let mut lines: Vec<&str> = text.lines().collect();
                        lines.sort_unstable();
                        text = lines.join("\n");
                    }
                    "cgroup.procs" | "cgroup.threads" | "tasks" => text = format!("{} of them", text.lines().count()),
                    _ => {}
                }
                self.note(&format!("{prefix}{name}"), text);
            }
            self.note(&format!("{prefix}{name} rights"), rights(metadata));
        }
    }

    fn unit(&mut self, prefix: &str, unit: &str) {
        let show = Command::new("systemctl").args(["show", "--all", "--", unit]).output().expect("systemd");
        let text = String::from_utf8_lossy(&show.stdout).into_owned();
        let mut files = String::new();
        let mut properties: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let mut words: Vec<&str> = value.split(' ').collect();
            if matches!(name, "FragmentPath" | "DropInPaths") {
                let paths = words.iter().filter(|path| path.starts_with("/run/"));
                files.extend(paths.filter_map(|path| fs::read_to_string(path).ok()));
            }
            if matches!(name, "After" | "Before") {
                // In any order.
                words.sort_unstable();
            }
            properties.entry(name).or_default().push(words.join(" "));
        }
        for (name, values) in properties {
            self.note(&format!("{prefix} {name}"), values.join("; "));
        }
        // What systemd has written down to know it again after a daemon-reload; in which of its files, is one of the properties.
        let mut settings: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, value) in files.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once('=')) {
            settings.entry(name).or_default().push(value);
        }
        for (name, values) in settings {
            self.note(&format!("{prefix} file {name}"), values.join("; "));
        }
    }
}

/// `stands` for each `name`, where it is not the beginning of a longer number.
fn with_name(text: &str, name: &str, stands: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split(name);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str(if part.starts_with(|c: char| c.is_ascii_digit()) { name } else { stands });
        out.push_str(part);
    }
    out
}
