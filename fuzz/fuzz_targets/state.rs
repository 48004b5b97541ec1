//! Any bytes as state.json: read, shown, written back, and what an exec takes of it compiled. Asks nothing of the host.
#![no_main]

use dunnage::spec::Process;
use dunnage::spec::landlock::Landlock;
use dunnage::state::{Brief, Config, Report, State, Status, annotations, bundle};
use dunnage_fuzz::plans::{self, On};
use dunnage_fuzz::{json, one_line};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| { json::mutate(data, size, max_size, seed) });

fuzz_target!(|bytes: &[u8]| {
    let brief = serde_json::from_slice::<State<Brief>>(bytes);
    if let Ok(state) = &brief {
        for status in [Status::Running, Status::Stopped] {
            let report = Report::new(clone(state), status);
            let shown = report.pretty().expect("a report can be shown");
            let shown: serde_json::Value = serde_json::from_str(&shown).expect("as JSON");
            assert_eq!(shown["id"], state.id.as_str());
            assert_eq!(shown["pid"], if status == Status::Stopped { 0 } else { state.init_process_pid });
        }
    }
    let Ok(state) = serde_json::from_slice::<State<Config>>(bytes) else { return };
    let text = serde_json::to_vec(&state).expect("a state can be written");
    let again: State<Config> = serde_json::from_slice(&text).expect("and read again");
    assert_eq!(again, state);
    assert_eq!(serde_json::to_vec(&again).expect("and written again"), text);
    let brief = brief.expect("the less, if the whole can be read");
    let config = &state.config;
    assert_eq!((&brief.id, &brief.cgroup_paths), (&state.id, &state.cgroup_paths));
    assert_eq!((&brief.config.rootfs, &brief.config.labels), (&config.rootfs, &config.labels));
    bundle(&config.labels);
    annotations(&config.labels);
    config.host_root();
    let mut process = Process { args: vec!["sh".into()], cwd: "/".into(), ..Process::default() };
    config.complete(&mut process);
    let landlock = Landlock::of_labels(&config.labels).map_err(|problem| one_line(problem.message)).ok().flatten();
    match config.linux_of_exec() {
        Ok(linux) => plans::join(&process, &linux, landlock.as_ref(), On::V2),
        Err(error) => one_line(error),
    }
});

fn clone(state: &State<Brief>) -> State<Brief> {
    serde_json::from_slice(&serde_json::to_vec(state).expect("a state can be written")).expect("and read again")
}
