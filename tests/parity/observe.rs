//! One scene by one runtime: what each case prints and how it ends, without what differs from one container to the next.

use crate::common::{Bundle, Command, Out, Runtime, Value};
use crate::script::{Line, Scene};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// What is seen of a case.
pub struct Seen {
    code: String,
    out: String,
    err: String,
}

impl Seen {
    /// Each piece, of both.
    pub fn pieces<'a>(&'a self, other: &'a Seen) -> [(&'static str, &'a str, &'a str); 3] {
        [("code", &self.code, &other.code), ("out", &self.out, &other.out), ("err", &self.err, &other.err)]
    }
}

pub fn observe(runtime: &Runtime, scene: &Scene) -> Vec<Seen> {
    let mut b = Bundle::new();
    b.switch(runtime).another_id("box").write_config();
    fs::create_dir(b.path("bin")).unwrap();
    symlink(in_path(runtime), b.path("bin/runc")).unwrap();
    let mut seen = Vec::new();
    let mut pids = BTreeSet::new();
    for line in &scene.lines {
        match line {
            Line::SetUp(text) => drop(shell(&b, text).ok()),
            Line::Case(text) => {
                pids.extend(first_processes(&b));
                let out = shell(&b, text);
                pids.extend(first_processes(&b));
                let code = out.code.to_string();
                seen.push(Seen { code, out: general(&b, &pids, &out.out), err: general(&b, &pids, &out.err) });
            }
        }
    }
    seen
}

/// A name is looked up as a shell does it.
pub fn in_path(runtime: &Runtime) -> PathBuf {
    if runtime.path.components().count() > 1 {
        return fs::canonicalize(&runtime.path).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|dir| dir.join(&runtime.path)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("no {:?} in PATH", runtime.path))
}

fn shell(b: &Bundle, line: &str) -> Out {
    let prelude = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity/prelude.sh");
    let path = std::env::var("PATH").unwrap();
    let command = Command::new(["sh", "-c", &format!(". {prelude}\n{line}")]).dir(b.dir());
    let mut command = command.env("PATH", format!("{}:{path}", b.path("bin").display())).env("LC_ALL", "C");
    command.inner().env_remove("XDG_RUNTIME_DIR").env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS");
    command.output()
}

/// The pids of the first processes of all containers.
fn first_processes(b: &Bundle) -> impl Iterator<Item = String> {
    let dirs = fs::read_dir(b.root()).into_iter().flatten().flatten();
    let states = dirs.filter_map(|dir| fs::read(dir.path().join("state.json")).ok());
    states
        .filter_map(|json| Some(serde_json::from_slice::<Value>(&json).ok()?["init_process_pid"].as_i64()?.to_string()))
}

/// The text without names, times and pids of its own, in one line.
fn general(b: &Bundle, pids: &BTreeSet<String>, text: &str) -> String {
    let text = text.replace(&b.dir().display().to_string(), "DIR").replace(b.cgroup_parent(), "/GROUP");
    let mut text = without_times(&text);
    for pid in pids {
        text = without_pid(&text, pid);
    }
    without_help(&text).replace('\n', "⏎")
}

/// `2026-11-21T06:10:46.5Z` and the like are `TIME`, and what fills up a column behind it is two blanks.
fn without_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = (0..rest.len()).find(|at| rest.is_char_boundary(*at) && is_time(&rest[*at..])) {
        out.push_str(&rest[..at]);
        out.push_str("TIME");
        let time = |c: char| c.is_ascii_digit() || "-:.TZ+".contains(c);
        rest = rest[at..].trim_start_matches(time);
        if rest.starts_with("  ") {
            out.push_str("  ");
            rest = rest.trim_start_matches(' ');
        }
    }
    out + rest
}

fn is_time(text: &str) -> bool {
    let form = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(b, f): (u8, &u8)| if *f == b'd' { b.is_ascii_digit() } else { b == *f };
    text.len() >= form.len() && text.bytes().zip(form).all(fits)
}

/// A number of its own is `PID`; what fills up a column behind it stays as wide as it was with it.
fn without_pid(text: &str, pid: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(pid) {
        let (before, after) = (&rest[..at], &rest[at + pid.len()..]);
        out.push_str(before);
        rest = after;
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.');
        if inside(before.chars().next_back()) || inside(after.chars().next()) {
            out.push_str(pid);
            continue;
        }
        out.push_str("PID");
        let blanks = after.len() - after.trim_start_matches(' ').len();
        if blanks > 1 {
            rest = &after[blanks..];
            out.push_str(&" ".repeat((pid.len() + blanks).saturating_sub(3)));
        }
    }
    out + rest
}

/// A help text is known by its first lines; [`crate::help`] looks into it.
fn without_help(text: &str) -> String {
    let Some((before, help)) = text.split_once("NAME:\n") else { return text.to_owned() };
    let name = help.trim_start().split(" - ").next().unwrap_or_default();
    format!("{before}HELP({name})")
}
