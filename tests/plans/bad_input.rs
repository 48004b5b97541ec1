//! Each string and each number of a configuration that has every field, replaced by what it can't be: either it has a meaning, or
//! there is one error of one line that names the field. The same for process.json and for the resources of an update.

#![allow(clippy::arithmetic_side_effects)]

use std::time::{Duration, Instant};

use dunnage::cgroup::Settings;
use dunnage::cgroup::host::Version;
use dunnage::error::Error;
use dunnage::spec::{parse, problem, validate};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::case::Case;
use super::coverage::leaves;

const EVERYTHING: &str = include_str!("../../src/spec/tests/everything.json");

/// What stands in a string's place; as it is in JSON.
const STRINGS: &[(&str, &str)] = &[
    ("NUL", r#""a\u0000b""#),
    ("newline", r#""a\nb""#),
    ("..", r#""../../../../etc""#),
    ("control", r#""\u001b[2J\u009b\u202e""#),
    ("empty", r#""""#),
    ("lone surrogate", r#""\ud800""#),
    ("null", "null"),
    ("true", "true"),
    ("number", "7"),
    ("list", "[]"),
    ("object", "{}"),
];

/// What stands in a number's.
const NUMBERS: &[&str] = &[
    "-1",
    "0",
    "-0",
    "2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "1.5",
    "1e3",
    "1e400",
    "\"1\"",
    "null",
    "true",
    "[1]",
    "{}",
    "0x1f",
    "1_000",
    "NaN",
    "-",
];

/// What is read from outside.
#[derive(Clone, Copy)]
enum Document {
    Config,
    /// `exec --process`
    Process,
    /// `update --resources`
    Resources,
}

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("bad_input::strings", strings),
        Trial::test("bad_input::numbers", numbers),
        Trial::test("bad_input::keys", keys),
        Trial::test("bad_input::raw_bytes", raw_bytes),
    ]
}

/// config.json with every field, on a host that can do it all. The fixture is of valid values, not of a sensible whole; what it is
/// refused for as it stands, does not count.
fn seed() -> Case {
    let mut case = Case::load("00-base");
    case.config = serde_json::from_str(EVERYTHING).unwrap();
    *case.config.pointer_mut("/process/scheduler/priority").unwrap() = json!(0);
    told(&case, Document::Config, case.config.to_string().as_bytes())
        .map_err(|e| e.to_string())
        .expect("the seed is valid");
    case
}

/// Puts text that may not be JSON in the place of a leaf.
fn replaced(config: &Value, pointer: &str, text: &[u8]) -> Vec<u8> {
    const MARK: &str = "\"the place\"";
    let mut config = config.clone();
    *config.pointer_mut(pointer).unwrap() = json!("the place");
    let whole = config.to_string();
    let at = whole.find(MARK).unwrap();
    [&whole.as_bytes()[..at], text, &whole.as_bytes()[at + MARK.len()..]].concat()
}

/// What is said of a document; `Ok` if it has a meaning.
fn told(case: &Case, document: Document, json: &[u8]) -> Result<(), Error> {
    const HOST: &validate::HostFacts<'_> = &validate::HostFacts::COMPLETE;
    let joined = |problems: Vec<_>| problem::join(&problems, "config.json").map_or(Ok(()), Err);
    match document {
        Document::Config => {
            let mut spec = parse::config(json)?;
            joined(validate::validate(&spec, HOST, &validate::Options::default()))?;
            // Valid, and not supported.
            spec.linux.iter_mut().for_each(|linux| linux.net_devices.clear());
            case.compile(&spec, None).map(drop)
        }
        Document::Process => {
            let process = parse::process(json)?;
            joined(validate::validate_process(&process, None, HOST, &validate::Options::default()))
        }
        Document::Resources => {
            let resources = parse::resources(json)?;
            joined(validate::validate_resources(&resources, HOST))?;
            Settings::new(Version::V2, &resources).map(drop)
        }
    }
}

/// Rules for every error, whatever it says. `pointer`: what was changed.
fn is_clear(error: &Error, pointer: &str, what: &str) -> Result<(), String> {
    let text = error.to_string();
    let fault = |why: &str| Err(format!("{pointer} = {what}: {why}: {}", text.chars().take(600).collect::<String>()));
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')) {
        return fault("not one line of visible text");
    }
    if text.len() > 4 << 10 {
        return fault("has no end");
    }
    // The place itself, one above it, or, where the text is not JSON, its line. Where it is checked that two fields agree,
    // the other's place will do.
    let section = pointer.split('/').nth(1).unwrap_or_default();
    if !text.contains(&format!("/{section}")) && !text.contains(" at line ") {
        return fault("does not say where");
    }
    Ok(())
}

fn try_all(leaf: impl Fn(&Value) -> bool, texts: &[(&str, &str)]) -> Result<(), Failed> {
    let case = seed();
    for (document, part, fewest) in [
        (Document::Config, "", 500),
        (Document::Process, "/process", 100),
        (Document::Resources, "/linux/resources", 20),
    ] {
        let whole = case.config.pointer(part).unwrap();
        told(&case, document, whole.to_string().as_bytes()).map_err(|e| format!("{part}: {e}"))?;
        let (mut tried, mut refused, mut slowest) = (0_u32, 0_u32, Duration::ZERO);
        let mut faults = Vec::new();
        for (pointer, _) in leaves(whole) {
            if !leaf(whole.pointer(&pointer).unwrap()) {
                continue;
            }
            for (what, text) in texts {
                let json = replaced(whole, &pointer, text.as_bytes());
                let began = Instant::now();
                let outcome = told(&case, document, &json);
                slowest = slowest.max(began.elapsed());
                tried += 1;
                if let Err(error) = outcome {
                    refused += 1;
                    faults.extend(is_clear(&error, &pointer, what).err());
                }
            }
        }
        if !faults.is_empty() {
            return Err(format!("{} of {tried}:\n{}", faults.len(), faults.join("\n")).into());
        }
        if tried < fewest || refused < tried / 3 {
            return Err(format!("{part}: {tried} tried, {refused} refused: what is tried has gone").into());
        }
        if slowest > Duration::from_secs(2) {
            return Err(format!("one took {slowest:?}").into());
        }
    }
    Ok(())
}

fn strings() -> Result<(), Failed> {
    let long = format!("\"{}\"", "x".repeat(1 << 18));
    let mut texts = STRINGS.to_vec();
    texts.push(("256 KiB", &long));
    try_all(Value::is_string, &texts)
}

fn numbers() -> Result<(), Failed> {
    let texts: Vec<(&str, &str)> = NUMBERS.iter().map(|n| (*n, *n)).collect();
    try_all(|v| v.is_number() || v.is_boolean(), &texts)
}

/// The keys of maps are strings, too.
fn keys() -> Result<(), Failed> {
    let case = seed();
    for map in [
        "/annotations",
        "/linux/sysctl",
        "/linux/netDevices",
        "/linux/timeOffsets",
        "/linux/resources/unified",
        "/linux/resources/rdma",
    ] {
        let value = case.config.pointer(map).and_then(|m| m.as_object()?.values().next().cloned()).ok_or(map)?;
        for (what, key) in STRINGS.iter().filter(|(_, text)| text.starts_with('"')) {
            let json = replaced(&case.config, map, format!("{{{key}:{value}}}").as_bytes());
            if let Err(error) = told(&case, Document::Config, &json) {
                is_clear(&error, map, what)?;
            } else if !matches!((map, *what), ("/annotations", _) | ("/linux/resources/rdma", "..")) {
                // A name with a slash, a line break or a NUL is a file elsewhere, or another's line.
                return Err(format!("{map} takes the key {key}").into());
            }
        }
    }
    let twice = br#"{"ociVersion":"1.0.0","process":{"cwd":"/","cwd":"/etc"}}"#;
    let error = told(&case, Document::Config, twice).err().ok_or("a key that is given twice")?.to_string();
    if !error.contains("duplicate field `cwd`") { Err(error.into()) } else { Ok(()) }
}

/// What is no UTF-8, and what ends anywhere.
fn raw_bytes() -> Result<(), Failed> {
    let case = seed();
    for (pointer, _) in leaves(&case.config) {
        if case.config.pointer(&pointer).unwrap().is_string() {
            for bytes in [&b"\"\xff\xfe\""[..], b"\"\xc0\x80\"", b"\"\xed\xa0\x80\"", b"\"a\nb\"", b"\"a\0b\""] {
                match told(&case, Document::Config, &replaced(&case.config, &pointer, bytes)) {
                    Ok(_) => return Err(format!("{pointer} takes {bytes:?}").into()),
                    Err(error) => is_clear(&error, &pointer, "bytes")?,
                }
            }
        }
    }
    let whole = case.config.to_string();
    for end in 0..whole.len() {
        let error = told(&case, Document::Config, &whole.as_bytes()[..end])
            .err()
            .ok_or("half a document is taken")?
            .to_string();
        if !error.contains("at line 1 column") {
            return Err(format!("up to {end}: {error}").into());
        }
    }
    Ok(())
}
