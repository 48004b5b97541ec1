//! Any document as `{"saved": limits of a state file, "asked": resources of an update}`, on both versions of cgroups: what is
//! saved, what is written and what systemd is told.
#![no_main]

use dunnage::cgroup::Settings;
use dunnage::cgroup::host::Version;
use dunnage::cgroup::systemd::properties;
use dunnage::dbus::wire::{Kind, Message};
use dunnage::spec::validate::{self, HostFacts};
use dunnage::spec::{Resources, problem};
use dunnage::state::Cgroup;
use dunnage::update::merge::merge;
use dunnage_fuzz::{json, one_line};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::Value;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| { json::mutate(data, size, max_size, seed) });

fuzz_target!(|bytes: &[u8]| {
    let Ok(Value::Object(mut both)) = serde_json::from_slice(bytes) else { return };
    let mut take = |key: &str| both.remove(key).unwrap_or_default();
    let Ok(saved) = serde_json::from_value::<Cgroup>(take("saved")) else { return };
    let Ok(asked) = serde_json::from_value::<Resources>(take("asked")) else { return };
    for version in [Version::V1, Version::V2] {
        update(version, &saved, &asked);
    }
});

fn update(version: Version, saved: &Cgroup, asked: &Resources) {
    let nothing = merge(version, saved, &Resources::default()).expect("nothing is asked for");
    assert_eq!(nothing.write, Resources::default());
    assert!(nothing.left_out.is_empty());

    let host = HostFacts { cgroup_v2: version == Version::V2, ..HostFacts::COMPLETE };
    let problems = validate::validate_resources(asked, &host);
    problem::warnings(&problems).for_each(one_line);
    if let Some(error) = problem::join(&problems, "resources") {
        return one_line(error);
    }
    let merged = match merge(version, saved, asked) {
        Ok(merged) => merged,
        Err(error) => return one_line(error),
    };
    match Settings::new(version, &merged.write) {
        // A file is one name in the container's own directory.
        Ok(settings) => settings.list.iter().for_each(|s| assert!(!s.file.contains('/') && s.file != "..", "{s:?}")),
        Err(error) => return one_line(error),
    }
    // Who asks for the same once more changes nothing.
    let again = merge(version, &merged.saved, asked).expect("it was merged before");
    assert_eq!(again.saved, merged.saved);
    match properties::resources(version, 257, &merged.write) {
        Ok(list) => {
            for property in list {
                one_line(&property.name);
                Message::new(Kind::Call).with_body(&[property.value]).expect("it can be sent");
            }
        }
        Err(error) => one_line(error),
    }
}
