//! Documents against the JSON schemas of the specification, by Debian's python3-jsonschema. The schemas are not ours:
//! `integration/schema.sh` fetches Debian's package of them; DUNNAGE_SCHEMA names another directory.

use dunnage::spec::oci_state::{ContainerProcessState, OciState, Status, to_json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// argv: the directory, the schema, whether properties that it does not have are errors. Relative references are to files beside it.
const VALIDATOR: &str = r#"
import json, pathlib, sys
from jsonschema import RefResolver
from jsonschema.validators import validator_for
directory, name, strict = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "strict"
# The parts of an allOf know but a part of the properties each.
def parts(schema):
    if isinstance(schema, dict):
        for part in schema.get("allOf", []):
            yield part.get("$ref", "").split("/")[-1]
        schema = schema.values()
    if not isinstance(schema, str) and hasattr(schema, "__iter__"):
        for value in schema:
            yield from parts(value)
def closed(schema, name="", part=False):
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and not part and name not in open_ones:
            schema.setdefault("additionalProperties", False)
        for key, value in schema.items():
            closed(value, key, key == "allOf")
    elif isinstance(schema, list):
        for value in schema:
            closed(value, "", part)
    return schema
files = {file: json.loads(file.read_text()) for file in directory.glob("*.json")}
open_ones = {name for schema in files.values() for name in parts(schema) if name}
# features-linux.md has these, and its schema of 1.3.0 does not.
linux = files[directory / "features-linux.json"]["linux"]["properties"]
names = {"type": "array", "items": {"type": "string"}}
for where, missing, schema in (
    (linux["intelRdt"]["properties"], "schemata", {"type": "boolean"}),
    (linux["intelRdt"]["properties"], "monitoring", {"type": "boolean"}),
    (linux, "memoryPolicy", {"type": "object", "properties": {"modes": names, "flags": names}}),
):
    assert missing not in where, "the schema has " + missing + " by now: take this away"
    where[missing] = schema
store = {}
for file, schema in files.items():
    # The address of a file is its name: it must not be asked for elsewhere.
    schema.pop("id", None)
    schema.pop("$id", None)
    store["file:///" + file.name] = closed(schema) if strict else schema
root = store["file:///" + name]
resolver = RefResolver("file:///" + name, root, store=store)
errors = list(validator_for(root)(root, resolver=resolver).iter_errors(json.load(sys.stdin)))
for error in errors:
    print("/" + "/".join(map(str, error.absolute_path)), error.message[:300])
sys.exit(1 if errors else 0)
"#;

fn directory() -> PathBuf {
    let fetched = || Path::new(super::ROOT).join("target/schema/runtime-spec");
    let directory = std::env::var_os("DUNNAGE_SCHEMA").map_or_else(fetched, PathBuf::from);
    let there = directory.join("config-schema.json").is_file();
    assert!(there, "{}: no schemas there: run integration/schema.sh, or set DUNNAGE_SCHEMA", directory.display());
    directory
}

/// What is wrong with a document.
fn faults(schema: &str, strict: bool, document: &[u8]) -> Result<(), String> {
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-W", "ignore", "-c", VALIDATOR]).arg(directory()).args([schema, if strict { "strict" } else { "" }]);
    let mut python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(document).unwrap();
    let out = python.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    if out.status.success() { Ok(()) } else { Err(text) }
}

#[track_caller]
fn valid(schema: &str, strict: bool, document: &[u8]) {
    if let Err(why) = faults(schema, strict, document) {
        panic!("{schema}: {why}\n{}", String::from_utf8_lossy(document));
    }
}

#[test]
fn configurations() {
    for arguments in [&["spec"][..], &["spec", "--rootless"]] {
        let bundle = tempfile::tempdir().unwrap();
        super::dunnage(arguments, bundle.path());
        valid("config-schema.json", false, &std::fs::read(bundle.path().join("config.json")).unwrap());
    }
    // Every field that we know is one of the specification's, but for two that 1.3 has replaced.
    let mut everything: serde_json::Value =
        serde_json::from_slice(include_bytes!("../../src/spec/tests/everything.json")).unwrap();
    for gone in ["enableCMT", "enableMBM"] {
        assert!(everything["linux"]["intelRdt"].as_object_mut().unwrap().remove(gone).is_some());
    }
    valid("config-schema.json", true, everything.to_string().as_bytes());
}

#[test]
fn features() {
    valid("features-schema.json", true, &super::dunnage(&["features"], Path::new("/")));
}

/// Of a container that has ended: its state is one that runc recorded, and the pid in it nobody's.
#[test]
fn state_of_a_container() {
    let root = tempfile::tempdir().unwrap();
    let recorded =
        std::fs::read(Path::new(super::ROOT).join("tests/fixtures/state/runc-1.4.3-new.state.json")).unwrap();
    let mut state: serde_json::Value = serde_json::from_slice(&recorded).unwrap();
    state["init_process_pid"] = serde_json::json!(0x003f_fffe);
    let id = state["id"].as_str().unwrap().to_owned();
    std::fs::create_dir(root.path().join(&id)).unwrap();
    std::fs::write(root.path().join(&id).join("state.json"), state.to_string()).unwrap();
    let document = super::dunnage(&["--root", root.path().to_str().unwrap(), "state", &id], Path::new("/"));
    valid("state-schema.json", false, &document);
}

#[test]
fn states_of_hooks_and_agents() {
    let annotations = BTreeMap::from([("org.example.a".to_owned(), "1".to_owned())]);
    for (status, pid) in [(Status::Creating, 7), (Status::Created, 7), (Status::Running, 7), (Status::Stopped, 0)] {
        let state =
            OciState { oci_version: "1.3.0", id: "box", status, pid, bundle: "/bundle", annotations: &annotations };
        valid("state-schema.json", true, &to_json(&state).unwrap());
        let of_process = to_json(&ContainerProcessState::new(7, "meta", state)).unwrap();
        let of_process: serde_json::Value = serde_json::from_slice(&of_process).unwrap();
        valid("state-schema.json", true, of_process["state"].to_string().as_bytes());
        let keys: Vec<&String> = of_process.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["fds", "metadata", "ociVersion", "pid", "state"]);
    }
}

#[test]
fn a_document_that_is_wrong_is_found() {
    for (schema, document, why) in [
        ("config-schema.json", r#"{"ociVersion": 1}"#, "/ociVersion"),
        (
            "config-schema.json",
            r#"{"ociVersion": "1.0.0", "linux": {"namespaces": [{"type": "x"}]}}"#,
            "/linux/namespaces/0",
        ),
        (
            "config-schema.json",
            r#"{"ociVersion": "1.0.0", "linux": {"memoryPolicy": {"mode": 1}}}"#,
            "/linux/memoryPolicy",
        ),
        ("features-schema.json", r#"{"ociVersionMin": "1.0.0", "ociVersionMax": "1.3.0", "x": 1}"#, "'x'"),
        (
            "features-schema.json",
            r#"{"ociVersionMin": "1.0.0", "ociVersionMax": "1.3.0", "linux": {"netDevices": {"x": true}}}"#,
            "/linux/netDevices",
        ),
        ("state-schema.json", r#"{"ociVersion": "1.0.0", "id": "x", "status": "gone"}"#, ""),
    ] {
        let found = faults(schema, true, document.as_bytes());
        assert!(found.as_ref().is_err_and(|e| e.contains(why)), "{schema} {document}: {found:?}");
    }
}
