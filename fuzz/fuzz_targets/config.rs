//! Any bytes as config.json: parsed, validated, compiled as a container and as an exec, for hosts of each kind.
#![no_main]

use dunnage::spec::landlock::Landlock;
use dunnage::spec::parse;
use dunnage_fuzz::plans::{self, On};
use dunnage_fuzz::{json, one_line};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| { json::mutate(data, size, max_size, seed) });

fuzz_target!(|bytes: &[u8]| {
    let spec = match parse::config(bytes) {
        Ok(spec) => spec,
        Err(error) => return one_line(error),
    };
    let again = parse::config(&serde_json::to_vec(&spec).expect("a spec can be written")).expect("and read again");
    assert_eq!(again, spec);
    for on in On::ALL {
        plans::create(&spec, on);
    }
    let landlock = Landlock::of(&spec.annotations).ok().flatten();
    let (process, linux) = (spec.process.unwrap_or_default(), spec.linux.unwrap_or_default());
    plans::join(&process, &linux, landlock.as_ref(), On::V2);
});
