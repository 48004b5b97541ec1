//! The annotation `io.dunnage.landlock`: which paths of the container its processes may use. Pure.
//!
//! Annotations come from images and pods. This one can only take away, but a value that is not understood would take nothing
//! away and nobody would see: whatever is not exactly as it should be is refused.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::object::Object;
use super::problem::{Problem, Severity};
use super::text::{one_line, push_pointer, quote};
use super::trace;

/// Its name.
pub const ANNOTATION: &str = "io.dunnage.landlock";

/// All names below are ours to give.
const OURS: &str = "io.dunnage.";

const MAX_BYTES: usize = 64 << 10;
const MAX_PATHS: usize = 256;
/// PATH_MAX, with the NUL.
const MAX_PATH: usize = 4096;

/// The paths that remain usable, as the container sees them: absolute, without `.` and `..`, each named once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct Landlock {
    /// What is below may be read, listed and executed.
    pub read: Vec<String>,
    /// What is below may be written, made, renamed and removed too.
    pub write: Vec<String>,
}

impl Landlock {
    /// The annotation among others, if it is there.
    ///
    /// # Errors
    /// It is not what it should be; or there is another below `io.dunnage.`, which would be a wish that is not heard.
    pub fn of(annotations: &BTreeMap<String, String>) -> Result<Option<Landlock>, Problem> {
        let ours = annotations.range(OURS.to_owned()..).map(|(key, _)| key).take_while(|key| key.starts_with(OURS));
        if let Some(other) = { ours }.find(|key| ![ANNOTATION, trace::ANNOTATION].contains(&key.as_str())) {
            let only = format!("this version knows {ANNOTATION} and {} alone", trace::ANNOTATION);
            return Err(problem(other, &format!("not known: {only}; correct the name, or leave it out")));
        }
        let Some(text) = annotations.get(ANNOTATION) else { return Ok(None) };
        parse(text).map(Some).map_err(|why| problem(ANNOTATION, &why))
    }

    /// The annotation of a running container, among the labels of its state.json: `NAME=VALUE`.
    ///
    /// # Errors
    /// It is not what it should be; or two labels could be it. Of a container of ours neither is possible, but another runtime writes
    /// the same labels: with a name that goes on with `=` somebody who may not set this annotation could replace it.
    pub fn of_labels(labels: &[String]) -> Result<Option<Landlock>, Problem> {
        let ours = |label: &'_ String| label.strip_prefix(ANNOTATION).is_some_and(|rest| rest.starts_with('='));
        let mut found = labels.iter().filter(|label| ours(label)).filter_map(|label| label.split_once('='));
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some((_, text)), None) => parse(text).map(Some).map_err(|why| problem(ANNOTATION, &why)),
            _ => Err(problem(ANNOTATION, "two labels of the container's state could be it")),
        }
    }
}

/// A fault of an annotation.
pub(super) fn problem(key: &str, why: &str) -> Problem {
    let mut field = "/annotations".to_owned();
    push_pointer(&mut field, key);
    Problem { field, message: format!("annotation {}: {why}", one_line(key)), severity: Severity::Error }
}

fn parse(text: &str) -> Result<Landlock, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("longer than {MAX_BYTES} bytes"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Landlock::deserialize(Object(&mut json)).and_then(|value| json.end().map(|()| value));
    let value = read.map_err(|e| {
        let e: String = one_line(&e.to_string()).chars().take(200).collect();
        format!("must be of the form {{\"read\": [\"/usr\"], \"write\": [\"/tmp\"]}}: {e}")
    })?;
    let count = value.read.len().saturating_add(value.write.len());
    match count {
        0 => return Err("names no path, so that nothing could be executed; leave it out for no restriction".into()),
        n if n > MAX_PATHS => return Err(format!("{n} paths, {MAX_PATHS} are the most: name directories above them")),
        _ => (),
    }
    let parts = |path| str::split(path, '/').filter(|part| !part.is_empty()).collect::<Vec<_>>();
    let writable: BTreeSet<Vec<&str>> = value.write.iter().map(|path| parts(path)).collect();
    let mut named = BTreeSet::new();
    for path in value.read.iter().chain(&value.write) {
        let refuse = |why: &str| Err(format!("{}{why}", quote(&path.chars().take(100).collect::<String>())));
        if !path.starts_with('/') {
            return refuse(" is not an absolute path");
        }
        if path.len() >= MAX_PATH || path.contains(char::is_control) {
            return refuse(" is too long, or has a control character");
        }
        let parts = parts(path);
        if parts.iter().any(|part| matches!(*part, "." | "..")) {
            return refuse(" has a component . or ..: name the directory itself");
        }
        // Who may write above it could put a link in its place, which an exec would follow.
        if (0..parts.len()).any(|n| parts.get(..n).is_some_and(|above| writable.contains(above))) {
            return refuse(" is below a path that may be written: that is enough, leave it out");
        }
        if !named.insert(parts) {
            return refuse(" is named twice; what may be written may be read, leave that out");
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Option<Landlock>, Problem> {
        Landlock::of(&pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    fn error(text: &str) -> String {
        let problem = of(&[(ANNOTATION, text)]).expect_err(text);
        assert_eq!(problem.field, "/annotations/io.dunnage.landlock");
        assert!(problem.message.len() < 500 && !problem.message.contains('\n'), "{problem:?}");
        problem.message.strip_prefix("annotation io.dunnage.landlock: ").unwrap().to_owned()
    }

    #[test]
    fn what_is_taken() {
        let paths = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (text, read, write) in [
            (r#"{"read": ["/usr", "/etc"], "write": ["/tmp"]}"#, &["/usr", "/etc"][..], &["/tmp"][..]),
            (r#" {"write":["/"]} "#, &[], &["/"]),
            (r#"{"read": ["/", "/a", "/ab"], "write": ["/a/b", "/a/bc"]}"#, &["/", "/a", "/ab"], &["/a/b", "/a/bc"]),
            (
                r#"{"read":["/usr/", "//lib", "/a b", "/\u00e4", "/..."],"write":[]}"#,
                &["/usr/", "//lib", "/a b", "/ä", "/..."],
                &[],
            ),
        ] {
            let expected = Landlock { read: paths(read), write: paths(write) };
            assert_eq!(of(&[(ANNOTATION, text)]), Ok(Some(expected)), "{text}");
        }
        let others = [("io.dunnage", "x"), ("io.dunnagf.x", "y"), ("org.io.dunnage.landlock", "z")];
        assert_eq!(of(&others), Ok(None));
    }

    #[test]
    fn what_is_refused() {
        let many =
            |n: usize| format!("{{\"read\": [{}]}}", (0..n).map(|i| format!("\"/{i}\"")).collect::<Vec<_>>().join(","));
        let long = |n: usize| format!("{{\"read\": [\"/{}\"]}}", "x".repeat(n));
        assert!(of(&[(ANNOTATION, &many(256))]).is_ok() && of(&[(ANNOTATION, &long(4094))]).is_ok());
        for (text, expected) in [
            ("", "must be of the form {"),
            ("/usr", "must be of the form {"),
            ("null", "must be of the form {"),
            ("{} x", "must be of the form {"),
            (r#"[["/usr"], ["/tmp"]]"#, "must be of the form {"),
            (r#"["/usr"]"#, "must be of the form {"),
            (r#"{"read": "/usr"}"#, "must be of the form {"),
            (r#"{"read": null, "write": ["/"]}"#, "must be of the form {"),
            (r#"{"read": [1]}"#, "must be of the form {"),
            (r#"{"read": ["/usr"], "execute": ["/usr"]}"#, "must be of the form {"),
            (r#"{"Read": ["/usr"]}"#, "must be of the form {"),
            (r#"{"read": ["/usr"], "read": ["/"]}"#, "must be of the form {"),
            (r#"{"read": ["/usr"], "\n\u001b": []}"#, "must be of the form {"),
            (&format!("{{\"read\": {}", "[".repeat(60_000)), "must be of the form {"),
            (&"[".repeat(1 << 20), "longer than 65536 bytes"),
            (&many(257), "257 paths, 256 are the most"),
            ("{}", "names no path"),
            (r#"{"read": [], "write": []}"#, "names no path"),
            (r#"{"read": ["usr"]}"#, "\"usr\" is not an absolute path"),
            (r#"{"write": [""]}"#, "\"\" is not an absolute path"),
            (r#"{"write": ["/a/../b"]}"#, "\"/a/../b\" has a component"),
            (r#"{"write": ["/.."]}"#, "\"/..\" has a component"),
            (r#"{"write": ["/a/./b"]}"#, "\"/a/./b\" has a component"),
            (r#"{"write": ["/a\u0000b"]}"#, "\"/a\\x00b\" is too long, or has a control character"),
            (r#"{"write": ["/a\nb"]}"#, "\"/a\\nb\" is too long, or has a control character"),
            (&long(4095), "\"/xxx"),
            (r#"{"read": ["/a", "/a"]}"#, "\"/a\" is named twice"),
            (r#"{"read": ["/a"], "write": ["//a/"]}"#, "\"//a/\" is named twice"),
            (r#"{"read": ["/a/b"], "write": ["/a"]}"#, "\"/a/b\" is below a path that may be written"),
            (r#"{"write": ["/a/", "/a//b/c"]}"#, "\"/a//b/c\" is below a path that may be written"),
            (r#"{"write": ["/", "/a"]}"#, "\"/a\" is below a path that may be written"),
        ] {
            let told = error(text);
            assert!(told.starts_with(expected), "{told}");
        }
        assert!(error(r#"{"exec": []}"#).contains("unknown field `exec`, expected `read` or `write`"));
    }

    #[test]
    fn of_a_state() {
        let of = |labels: &[&str]| Landlock::of_labels(&labels.iter().map(ToString::to_string).collect::<Vec<_>>());
        let one = r#"io.dunnage.landlock={"read":["/a=b"]}"#;
        let expected = Landlock { read: vec!["/a=b".into()], write: vec![] };
        assert_eq!(of(&["bundle=/b", one, "io.dunnage.landlock", "io.dunnage.landlocks={}"]), Ok(Some(expected)));
        assert_eq!(of(&["bundle=/b", "x=io.dunnage.landlock={}"]), Ok(None));
        assert!(of(&["io.dunnage.landlock={}"]).unwrap_err().message.contains("names no path"));
        // Its name is `io.dunnage.landlock={"write":["/`, its value `"]}`.
        let other = r#"io.dunnage.landlock={"write":["/="]}"#;
        assert!(of(&[one, other]).unwrap_err().message.contains("two labels"));
    }

    /// A name of ours with something behind it, or another, is no wish to be overheard. With `=` in it, it would even be the
    /// annotation's own line in the labels of state.json.
    #[test]
    fn other_names_of_ours() {
        for key in [
            "io.dunnage.",
            "io.dunnage.Landlock",
            "io.dunnage.landlock=x",
            "io.dunnage.landlock.read",
            "io.dunnage.a\nb",
        ] {
            let problem = of(&[(ANNOTATION, r#"{"read": ["/"]}"#), (key, "x"), ("zzz", "x")]).expect_err(key);
            assert!(problem.message.ends_with("correct the name, or leave it out"), "{problem:?}");
            assert!(problem.field.starts_with("/annotations/io.dunnage.") && !problem.message.contains('\n'));
        }
    }
}
