//! The cases, from `cases/SUBJECT.txt`: scenes, each with a bundle and containers of its own, and lines for a shell.
//!
//! `== NAME` begins a scene. `! LINE` sets something up and must succeed; any other line is a case. `#` begins a comment. The lines of a
//! scene are run in their order, in one directory; `prelude.sh` has the functions that they use.

use std::fs;
use std::path::PathBuf;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity/cases");

/// Lines that share a directory and its containers.
pub struct Scene {
    pub name: String,
    pub lines: Vec<Line>,
}

pub enum Line {
    SetUp(String),
    Case(String),
}

impl Scene {
    pub fn cases(&self) -> impl Iterator<Item = &String> {
        self.lines.iter().filter_map(|line| match line {
            Line::Case(text) => Some(text),
            Line::SetUp(_) => None,
        })
    }
}

/// The subjects that there are files of.
pub fn files() -> impl Iterator<Item = String> {
    let names = fs::read_dir(CASES).unwrap().map(|entry| PathBuf::from(entry.unwrap().file_name()));
    names.map(|name| name.file_stem().unwrap().to_str().unwrap().to_owned())
}

pub fn scenes(subject: &str) -> Vec<Scene> {
    let text = fs::read_to_string(format!("{CASES}/{subject}.txt")).unwrap();
    let mut scenes: Vec<Scene> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            assert!(scenes.iter().all(|scene| scene.name != name), "two scenes {name} of {subject}");
            scenes.push(Scene { name: name.to_owned(), lines: Vec::new() });
            continue;
        }
        let scene = scenes.last_mut().expect("a scene first");
        scene.lines.push(match line.strip_prefix("! ") {
            Some(set_up) => Line::SetUp(set_up.to_owned()),
            None => Line::Case(line.to_owned()),
        });
    }
    scenes
}
