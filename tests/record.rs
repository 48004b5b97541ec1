//! docs/security.md is a record that can be checked: each advisory has a test or the reason why none is needed, and each test
//! that it names is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

use std::fs;
use std::path::Path;

/// The functions marked as tests, as `file::function`: of `tests/` and the unit tests in `src/`, `steps/` and `init/`.
fn tests_of(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_of(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let dir = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
            let file = path.file_stem().unwrap().to_str().unwrap();
            let module = if file == "mod" { dir } else { file };
            let mut marked = false;
            for line in text.lines().map(str::trim) {
                if let Some(name) = line.strip_prefix("fn ").and_then(|l| l.split('(').next()).filter(|_| marked) {
                    // A file is `module`, and one of a folder's files may be told by the folder's name.
                    found.push(format!("{module}::{name}"));
                    found.push(format!("{dir}::{name}"));
                }
                marked = line.starts_with("#[test]") || marked && (line.starts_with("#[") || line.starts_with("//"));
            }
        }
    }
}

/// The words in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_advisory_has_a_test_that_exists() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = Vec::new();
    for dir in ["tests", "src", "steps", "init"] {
        tests_of(&repository.join(dir), &mut tests);
    }
    let document = fs::read_to_string(repository.join("docs/security.md")).unwrap();
    let record = document.split("\n## ").find(|s| s.starts_with("Advisory by advisory")).expect("the record");
    let rows: Vec<Vec<&str>> = record
        .lines()
        .filter_map(|l| l.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|l| l.split(" | ").collect())
        .filter(|cells: &Vec<_>| cells.len() == 4 && cells[3] != "test")
        .collect();
    let mut faults = Vec::new();
    for cells in &rows {
        let named: Vec<&str> = quoted(cells[3]).filter(|w| w.contains("::")).collect();
        if named.is_empty() && !cells[3].starts_with("no test: ") {
            faults.push(format!("{}: neither a test nor the reason", cells[0]));
        }
        for name in named {
            let last_two: Vec<&str> = name.rsplitn(3, "::").take(2).collect();
            let name = format!("{}::{}", last_two[1], last_two[0]);
            if !tests.contains(&name) {
                faults.push(format!("{}: there is no test {name}", cells[0]));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(rows.len() > 40, "only {} rows were read", rows.len());
}
