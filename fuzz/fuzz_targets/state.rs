//! Any bytes as state.json: read, shown, written back, and what an exec takes of it compiled. Asks nothing of the host.
#![no_main]

use dunnage::state::{Brief, Config, Report, State, Status, annotations, bundle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(state) = serde_json::from_slice::<State<Brief>>(bytes) {
        for status in [Status::Running, Status::Stopped] {
            let _ = Report::new(clone(&state), status).pretty();
        }
    }
    let Ok(state) = serde_json::from_slice::<State<Config>>(bytes) else { return };
    let text = serde_json::to_vec(&state).expect("a state can be written");
    let again: State<Config> = serde_json::from_slice(&text).expect("and read again");
    assert_eq!(serde_json::to_vec(&again).expect("and written again"), text);
    let config = &state.config;
    bundle(&config.labels);
    annotations(&config.labels);
    config.host_root();
    let mut process = dunnage::spec::Process::default();
    config.complete(&mut process);
    if let Ok(linux) = config.linux_of_exec()
        && let (Some(profile), Some(native)) = (&linux.seccomp, dunnage::seccomp::native())
    {
        let _ = dunnage::seccomp::compile(profile, native, 0x3f);
    }
});

fn clone(state: &State<Brief>) -> State<Brief> {
    serde_json::from_slice(&serde_json::to_vec(state).expect("a state can be written")).expect("and read again")
}
