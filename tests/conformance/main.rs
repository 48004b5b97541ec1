//! docs/conformance.md against the specification and the tests: no normative word of the specification is left out, and what a row
//! names is there. `features`: the document against what the rest of the program takes. `schema`: documents against the
//! specification's JSON schemas.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects, clippy::disallowed_methods)]

mod features;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Normative words of runtime-spec 1.3.0, document by document, all platforms: how often
/// `\b(MUST NOT|MUST|SHOULD NOT|SHOULD|REQUIRED|RECOMMENDED|SHALL NOT|SHALL)\b` is found in each. The last column of a row says how many
/// of them it is about.
const WORDS: [(&str, u32); 8] = [
    ("spec.md", 15),
    ("bundle.md", 4),
    ("runtime.md", 56),
    ("runtime-linux.md", 1),
    ("config.md", 195),
    ("config-linux.md", 117),
    ("features.md", 12),
    ("features-linux.md", 10),
];

/// One sentence of the specification.
struct Row {
    number: u32,
    document: String,
    section: String,
    says: String,
    shown: Vec<String>,
    reason: String,
    words: u32,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("docs/conformance.md")).unwrap();
    let mut document = String::new();
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            document = name.to_owned();
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let Some(number) = line.starts_with('|').then(|| cells[0].parse().ok()).flatten() else { continue };
        assert_eq!(cells.len(), 6, "six columns: {line}");
        let shown = cells[3].split('`').enumerate().filter(|(i, _)| i % 2 == 1).map(|(_, test)| test.to_owned());
        let (section, says, reason) = (cells[1].to_owned(), cells[2].to_owned(), cells[4].to_owned());
        let words = cells[5].parse().unwrap_or_else(|_| panic!("row {number}: how many words?"));
        rows.push(Row { number, document: document.clone(), section, says, shown: shown.collect(), reason, words });
    }
    rows
}

#[test]
fn every_row_has_a_number_of_its_own_and_a_test_or_a_reason() {
    let rows = rows();
    assert!(rows.len() > 200, "{} rows", rows.len());
    let mut seen = BTreeSet::new();
    for row in &rows {
        let Row { number, section, says, shown, reason, .. } = row;
        assert!(seen.insert(*number), "row {number} is there twice");
        assert!(!shown.is_empty() || !reason.is_empty(), "row {number} has neither a test nor a reason: {says}");
        assert!(!says.is_empty() && !section.is_empty(), "row {number} says nothing");
    }
}

#[test]
fn every_normative_word_is_in_a_row() {
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    for row in rows() {
        *found.entry(row.document).or_default() += row.words;
    }
    let wanted: BTreeMap<String, u32> = WORDS.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    assert_eq!(found, wanted);
}

#[test]
fn every_test_that_is_named_is_there() {
    let rows = rows();
    let named: BTreeSet<&String> = rows.iter().flat_map(|row| &row.shown).collect();
    assert!(named.len() > 100);
    let missing: Vec<&&String> = named.iter().filter(|test| !is_test(test)).collect();
    assert!(missing.is_empty(), "docs/conformance.md names what is not there: {missing:#?}");
}

/// `FILE::FUNCTION`, marked as a test; the directory of a golden plan; or a scene of the virtual machine.
fn is_test(name: &str) -> bool {
    let Some((file, function)) = name.split_once("::") else {
        let path = Path::new(ROOT).join(name);
        return path.join("plan.txt").is_file() || (name.ends_with(".sh") && path.is_file());
    };
    let Ok(source) = std::fs::read_to_string(Path::new(ROOT).join(file)) else { return false };
    let head = format!("fn {function}(");
    let lines: Vec<&str> = source.lines().collect();
    let marked =
        |at: usize| lines[..at].iter().rev().take_while(|l| l.trim().starts_with('#')).any(|l| l.trim() == "#[test]");
    lines.iter().enumerate().any(|(at, line)| line.trim().starts_with(&head) && marked(at))
}

#[test]
fn what_is_no_test_is_told() {
    assert!(is_test("tests/conformance/main.rs::what_is_no_test_is_told"));
    for name in
        ["tests/conformance/main.rs::rows", "tests/conformance/main.rs::nothing", "tests/plans/nothing", "no.rs::no"]
    {
        assert!(!is_test(name), "{name}");
    }
}

/// Of the binary: what is printed.
fn dunnage(arguments: &[&str], directory: &Path) -> Vec<u8> {
    let out = Command::new(env!("CARGO_BIN_EXE_dunnage")).args(arguments).current_dir(directory).output().unwrap();
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}
