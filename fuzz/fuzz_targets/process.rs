//! Any bytes as process.json: parsed, validated, compiled as an exec into a container with a filter and into one without.
#![no_main]

use std::sync::LazyLock;

use dunnage::spec::{Linux, parse};
use dunnage_fuzz::plans::{self, On};
use dunnage_fuzz::{json, one_line};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

static FILTERED: LazyLock<Linux> = LazyLock::new(|| {
    let linux = r#"{"personality": {"domain": "LINUX32"}, "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"},
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["fork"], "action": "SCMP_ACT_ERRNO"}]}}"#;
    serde_json::from_str(linux).expect("a section linux")
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| { json::mutate(data, size, max_size, seed) });

fuzz_target!(|bytes: &[u8]| {
    let process = match parse::process(bytes) {
        Ok(process) => process,
        Err(error) => return one_line(error),
    };
    let text = serde_json::to_vec(&process).expect("a process can be written");
    assert_eq!(parse::process(&text).expect("and read again"), process);
    for on in On::ALL {
        plans::join(&process, &Linux::default(), None, on);
        plans::join(&process, &FILTERED, None, on);
    }
});
