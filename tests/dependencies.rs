//! docs/dependencies.md has a note on each package that is in the program or runs when it is built, at the version that is locked; and
//! dunnage-init has none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The packages with their versions, of all architectures that a release is built for.
fn graph(manifest: &str) -> BTreeSet<(String, String)> {
    let mut packages = BTreeSet::new();
    for target in [
        "x86_64-unknown-linux-gnu",
        "x86_64-unknown-linux-musl",
        "aarch64-unknown-linux-gnu",
        "aarch64-unknown-linux-musl",
    ] {
        let out = Command::new(option_env!("CARGO").unwrap_or("cargo"))
            .args([
                "tree",
                "--offline",
                "--locked",
                "-e",
                "normal,build",
                "--prefix",
                "none",
                "--format",
                "{p}",
                "--target",
                target,
            ])
            .args(["--manifest-path", manifest])
            .current_dir(ROOT)
            .output()
            .expect("cargo");
        let (text, err) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8_lossy(&out.stderr).into_owned());
        assert!(out.status.success(), "cargo tree: {err}");
        for line in text.lines() {
            let mut words = line.split(' ');
            let (name, version) = (words.next().unwrap(), words.next().unwrap());
            // Ours have a path.
            if !line.contains(ROOT) {
                packages.insert((name.to_owned(), version.trim_start_matches('v').to_owned()));
            }
        }
    }
    packages
}

fn noted(page: &str) -> BTreeSet<(String, String)> {
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| package"));
    rows.map(|row| (cells(row)[1].clone(), cells(row)[2].clone())).collect()
}

#[test]
fn each_package_has_a_note() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/dependencies.md")).unwrap();
    let graph: BTreeSet<_> = graph("Cargo.toml").union(&graph("shim/Cargo.toml")).cloned().collect();
    let noted = noted(&page);
    assert!(graph.len() > 15, "cargo tree shows {graph:?}");
    let missing: Vec<_> = graph.difference(&noted).collect();
    let gone: Vec<_> = noted.difference(&graph).collect();
    assert!(missing.is_empty(), "without a note, or of another version than was looked at: {missing:?}");
    assert!(gone.is_empty(), "noted, and not in the graph: {gone:?}");
}

#[test]
fn what_enters_a_container_depends_on_nothing() {
    assert_eq!(graph("init/Cargo.toml"), BTreeSet::new());
}
