//! What may differ: `varies.txt` and `differences.txt`.

use crate::common::{Driver, Runtime, host};
use std::collections::BTreeSet;

/// A line of `differences.txt`.
struct Row {
    line: &'static str,
    runtimes: Vec<&'static str>,
    hosts: Vec<&'static str>,
    cases: Vec<&'static str>,
    keys: Vec<&'static str>,
}

/// The lines that apply to one case, here, and whether they were seen to.
pub struct Known {
    rows: Vec<(Row, bool, bool)>,
}

fn lines(text: &'static str) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| (line, line.split(" | ").map(str::trim).collect()))
}

fn varying() -> impl Iterator<Item = Vec<&'static str>> {
    lines(include_str!("varies.txt")).map(|(_, columns)| columns)
}

fn rows() -> impl Iterator<Item = Row> {
    let words = |column: &'static str| column.split_whitespace().collect();
    lines(include_str!("differences.txt")).map(move |(line, columns)| {
        let [runtimes, hosts, cases, keys, _] = columns[..] else { panic!("five columns, please: {line}") };
        let keys = keys.split(", ").collect();
        Row { line, runtimes: words(runtimes), hosts: words(hosts), cases: words(cases), keys }
    })
}

/// `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| (0..=text.len()).any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))),
    }
}

/// What this host is: `v1`, `hybrid` or `v2`; the driver; each controller.
pub fn facts() -> BTreeSet<String> {
    let hierarchies = host::hierarchies();
    let mut facts: BTreeSet<String> =
        hierarchies.iter().flat_map(|(names, _)| names.split(',').map(str::to_owned)).collect();
    let unified = facts.remove("");
    facts.insert(
        if !unified {
            "v1"
        } else if facts.is_empty() {
            "v2"
        } else {
            "hybrid"
        }
        .into(),
    );
    if facts.contains("v2") {
        let controllers = host::read(host::cgroup_dir("", "/").join("cgroup.controllers"));
        facts.extend(controllers.split_whitespace().map(str::to_owned));
    }
    let driver = if Driver::under_test() == Driver::Systemd { "by-systemd" } else { "by-cgroupfs" };
    facts.insert(driver.into());
    facts
}

impl Known {
    pub fn new(ours: &Runtime, other: &Runtime, case: &str) -> Known {
        let facts = facts();
        let here = |words: &&str| words.split('+').all(|word| word == "*" || facts.contains(word));
        let applies = |row: Row| {
            let runtime = row.runtimes.iter().find(|r| matches(r.trim_end_matches('?'), &other.name))?;
            let at_times = runtime.ends_with('?');
            let it_does = row.hosts.iter().any(here) && row.cases.iter().any(|c| matches(c, case));
            it_does.then_some((row, at_times, false))
        };
        Known { rows: if ours.name == other.name { Vec::new() } else { rows().filter_map(applies).collect() } }
    }

    /// The difference is a known one.
    pub fn covers(&mut self, key: &str) -> bool {
        if varying().any(|columns| matches(columns[0], key)) {
            return true;
        }
        let mut covered = false;
        for (row, _, seen) in &mut self.rows {
            if row.keys.iter().any(|pattern| matches(pattern, key)) {
                (covered, *seen) = (true, true);
            }
        }
        covered
    }

    /// The lines that should have been seen, where `reached` tells what both containers have come to.
    pub fn unseen(&self, reached: impl Fn(&str) -> bool) -> Vec<&'static str> {
        // `*` is for a container that there is.
        let begun = |phase: &str| ["created", "started", "updated"].iter().any(|p| matches(phase, p) && reached(p));
        let due = |row: &Row| row.keys.iter().filter_map(|key| key.split(':').next()).any(|p| begun(p) || reached(p));
        self.rows
            .iter()
            .filter(|(row, at_times, seen)| !at_times && !seen && due(row))
            .map(|(row, ..)| row.line)
            .collect()
    }
}

/// Each line has its columns and a reason, and names cases that there are.
pub fn check(cases: &[&str]) {
    for columns in varying() {
        assert!(columns.len() == 2 && !columns[1].is_empty(), "a key and a reason, please: {columns:?}");
    }
    for row in rows() {
        for name in &row.cases {
            assert!(cases.iter().any(|case| matches(name, case)), "no case {name}: {}", row.line);
        }
        for key in &row.keys {
            assert!(key.contains(':'), "PHASE:KEY, please: {}", row.line);
        }
    }
    assert!(matches("a*c*", "abcd") && !matches("a*c", "abcd") && matches("*", ""));
}
