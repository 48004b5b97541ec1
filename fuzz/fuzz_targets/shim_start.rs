//! What the shim is started with: any bytes on stdin, as its command line (a line each), as the options' TOML and JSON, as a
//! config.json whose annotations matter.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use dunnage::error::Error;
use dunnage_fuzz::one_line;
use dunnage_shim::args::Args;
use dunnage_shim::manager::start::{annotations, group, understand};
use dunnage_shim::options::{external, of_any, of_json, state_root, to_json};
use dunnage_shim::proto::bootstrap::BootstrapParams;
use dunnage_shim::proto::options::{RuncOptions, RuntimeOptions};
use dunnage_shim::proto::{Any, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    stdin(bytes);
    command_line(bytes);
    let toml = RuntimeOptions { config_body: bytes.to_vec(), ..RuntimeOptions::default() };
    match of_any(Some(&Any::of("runtimeoptions.v1.Options", &toml))) {
        Ok(options) => known(&options),
        Err(failure) => assert_eq!(failure.code, 3),
    }
    known(&of_json(bytes));
    match annotations(bytes) {
        Ok(annotations) => {
            let group = group(&annotations, "id");
            assert!(group == "id" || annotations.values().any(|value| *value == group));
        }
        Err(e) => one_line(e),
    }
});

/// In the newer form it is understood only by the container that it names, and by any other as the older one or not at all.
fn stdin(bytes: &[u8]) {
    let (id, namespace) = match BootstrapParams::decode(bytes) {
        Ok(params) => {
            let any = |extension: &dunnage_shim::proto::bootstrap::Extension| extension.value.clone();
            if params.extensions.iter().filter_map(any).any(|any| reads_a_file(&any)) {
                return;
            }
            (params.instance_id, params.namespace)
        }
        Err(_) => ("id".into(), "namespace".into()),
    };
    if Any::decode(bytes).is_ok_and(|any| reads_a_file(&any)) {
        return;
    }
    let names_it = BootstrapParams::decode(bytes).is_ok();
    match understand(bytes, &id, &namespace) {
        Ok(params) => {
            assert_eq!(params.bootstrap, names_it && !bytes.is_empty());
            known(&params.options);
        }
        Err(e) => one_line(e),
    }
    for (id, namespace) in [(format!("{id}x"), namespace.clone()), (id, format!("{namespace}x"))] {
        match understand(bytes, &id, &namespace) {
            Ok(params) => assert!(!params.bootstrap),
            Err(e) => one_line(e),
        }
    }
}

/// Whichever an input thinks of must not be opened here.
fn reads_a_file(any: &Any) -> bool {
    RuntimeOptions::decode(&any.value).is_ok_and(|options| !options.config_path.is_empty())
}

/// What `delete` reads of it again is what was known.
fn known(options: &RuncOptions) {
    let again = of_json(to_json(options).as_bytes());
    assert_eq!(again.binary_name, options.binary_name);
    assert_eq!((&again.root, again.systemd_cgroup), (&options.root, options.systemd_cgroup));
    assert_eq!(external(&again), external(options));
    assert_eq!(state_root(&again, "ns"), state_root(options, "ns"));
    assert_eq!(to_json(&of_json(to_json(&again).as_bytes())), to_json(&again));
}

fn command_line(bytes: &[u8]) {
    let words = || bytes.split(|byte| *byte == b'\n').map(|word| OsString::from_vec(word.to_vec()));
    match Args::parse(words()) {
        Ok(args) => {
            // The flags once more, in front, change nothing; nor does anything behind the action.
            let twice: Vec<OsString> = words().chain(["more".into()]).collect();
            let more = Args::parse(twice).expect("a word more");
            if !args.action.is_empty() {
                assert_eq!(more.rest.len(), args.rest.len() + 1);
                assert_eq!(Args { rest: args.rest.clone(), ..more }, args);
            }
        }
        Err(complaint) => one_line(Error::new(complaint)),
    }
}
