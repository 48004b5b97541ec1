//! What may differ: `differences.txt`.
//!
//! An entry is a paragraph: `row:`, how the first cell of its row in `docs/runc-behaviour.md` begins (the reason is there); `when:`, of
//! which runtimes, as `runc`, `runc<1.2`, `runc>=1.5`, or `crun/runc` where another than ours is under test; `case:` (as often as
//! wanted), which cases, `SUBJECT/SCENE: LINE`; and pieces, `code:`, `out:`, `err:`, as `OURS => THEIRS`. In patterns, `*` is any text,
//! and in THEIRS `\1` is what the first `*` of OURS has found. Of an entry, every piece must be seen in each of its `case:` lines.

use crate::common::Runtime;

struct Entry {
    row: String,
    when: Vec<String>,
    cases: Vec<String>,
    pieces: Vec<(String, String, String)>,
}

/// The entries that apply to a subject, and which pairs of `case:` and piece were seen.
pub struct Known {
    pairs: Vec<Pair>,
}

struct Pair {
    case: String,
    piece: (String, String, String),
    row: String,
    seen: bool,
}

fn entries() -> Vec<Entry> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity/differences.txt")).unwrap();
    let text = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()).map(entry).collect()
}

fn entry(paragraph: &str) -> Entry {
    let mut entry = Entry { row: String::new(), when: Vec::new(), cases: Vec::new(), pieces: Vec::new() };
    for line in paragraph.lines() {
        let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("KEY: VALUE, please: {line:?}"));
        match key {
            "row" => entry.row = value.to_owned(),
            "when" => entry.when = value.split_whitespace().map(str::to_owned).collect(),
            "case" => entry.cases.push(value.to_owned()),
            "code" | "out" | "err" | "flag" => {
                let (ours, theirs) = value.split_once("=>").unwrap_or_else(|| panic!("OURS => THEIRS, please: {line}"));
                entry.pieces.push((key.to_owned(), ours.trim().to_owned(), theirs.trim().to_owned()));
            }
            _ => panic!("{key}: {paragraph}"),
        }
    }
    entry
}

/// `runc<1.2` says something of `runc-1.1`.
fn is(runtime: &Runtime, condition: &str) -> bool {
    let (name, version) = runtime.name.split_once('-').unwrap_or((&runtime.name, "0.0"));
    let number = |text: &str| -> Vec<u32> { text.split('.').map(|n| n.parse().unwrap_or(0)).collect() };
    match condition.find(['<', '>']) {
        None => condition == name,
        Some(at) => {
            let (wanted, limit) = condition.split_at(at);
            let limit_is = |prefix: &str| number(limit.strip_prefix(prefix).unwrap());
            let fits = match limit.as_bytes() {
                [b'<', b'=', ..] => number(version) <= limit_is("<="),
                [b'>', b'=', ..] => number(version) >= limit_is(">="),
                [b'<', ..] => number(version) < limit_is("<"),
                _ => number(version) > limit_is(">"),
            };
            wanted == name && fits
        }
    }
}

impl Known {
    pub fn new(ours: &Runtime, other: &Runtime, subject: &str) -> Known {
        let applies = |entry: &Entry| {
            entry.when.iter().any(|when| {
                let (our, their) = when.split_once('/').unwrap_or(("dunnage", when));
                ours.name != other.name && is(ours, our) && is(other, their)
            })
        };
        let mut pairs = Vec::new();
        for entry in entries().iter().filter(|entry| applies(entry)) {
            let of_subject = |case: &&String| case.split('/').next() == Some(subject);
            for case in entry.cases.iter().filter(of_subject) {
                for piece in &entry.pieces {
                    let row = entry.row.clone();
                    pairs.push(Pair { case: case.clone(), piece: piece.clone(), row, seen: false });
                }
            }
        }
        Known { pairs }
    }

    /// The difference is a known one.
    pub fn covers(&mut self, case: &str, piece: &str, our: &str, their: &str) -> bool {
        let mut covered = false;
        for pair in &mut self.pairs {
            let (of, ours, theirs) = &pair.piece;
            if of == piece && matches(&pair.case, "", case, "") && matches(ours, theirs, our, their) {
                (covered, pair.seen) = (true, true);
            }
        }
        covered
    }

    pub fn unseen(&self) -> impl Iterator<Item = String> {
        let unseen = self.pairs.iter().filter(|pair| !pair.seen);
        unseen.map(|Pair { case, piece: (piece, ours, theirs), row, .. }| {
            format!("{row:?}, case: {case}, {piece}: {ours} => {theirs}")
        })
    }
}

enum Part<'a> {
    Text(&'a str),
    Any,
    Same(usize),
    End,
}

fn parts(pattern: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['*', '\\']) {
        parts.push(Part::Text(&rest[..at]));
        let digit = rest[at + 1..].chars().next().and_then(|c| c.to_digit(10));
        match (&rest[at..=at], digit) {
            ("*", _) => parts.push(Part::Any),
            (_, Some(n)) => parts.push(Part::Same(n as usize)),
            (other, None) => parts.push(Part::Text(other)),
        }
        rest = &rest[at + if rest[at..].starts_with('\\') && digit.is_some() { 2 } else { 1 }..];
    }
    parts.push(Part::Text(rest));
    parts.push(Part::End);
    parts
}

/// Both patterns fit both texts, with the same text for a `*` of the first and its `\N` in the second.
fn matches(ours: &str, theirs: &str, our: &str, their: &str) -> bool {
    let parts: Vec<Part> = parts(ours).into_iter().chain(parts(theirs)).collect();
    fit(&parts, our, their, &mut Vec::new())
}

fn fit<'t>(parts: &[Part], text: &'t str, next: &'t str, found: &mut Vec<&'t str>) -> bool {
    let Some((part, rest)) = parts.split_first() else { return true };
    match part {
        Part::Text(literal) => text.strip_prefix(literal).is_some_and(|text| fit(rest, text, next, found)),
        Part::Same(n) => {
            let same = found.get(n - 1).and_then(|same| text.strip_prefix(same));
            same.is_some_and(|text| fit(rest, text, next, found))
        }
        Part::End => text.is_empty() && fit(rest, next, "", found),
        Part::Any => (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| {
            found.push(&text[..at]);
            let fits = fit(rest, &text[at..], next, found);
            found.pop();
            fits
        }),
    }
}

/// Each entry has its reason in the documentation, and cases.
pub fn check() {
    let documentation =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/runc-behaviour.md")).unwrap();
    for entry in entries() {
        let row = &entry.row;
        assert!(
            documentation.lines().any(|line| line.starts_with(&format!("| {row}"))),
            "docs/runc-behaviour.md has no row: {row}"
        );
        let whole = !entry.when.is_empty() && !entry.cases.is_empty() && !entry.pieces.is_empty();
        assert!(whole, "{row}: something is missing");
    }
    assert!(matches("a*c*", r"\2*", "abcd", "dx") && !matches("a*c", "", "abcd", "") && matches("*", r"\1", "", ""));
    // Not of the file: the matcher itself.
    assert!(!matches("*; *", r"\1", "a; b", "b") && matches(r"\n*", "*", r"\nx", ""));
}
