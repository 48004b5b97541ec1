//! Any text as what the kernel says of the host: mountinfo, a process's cgroups, devices.list; separated by empty lines.
#![no_main]

use std::collections::BTreeSet;

use dunnage::cgroup::devices::v1;
use dunnage::cgroup::host::{Layout, Membership, Version};
use dunnage::cgroup::{Host, Paths};
use dunnage_fuzz::one_line;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, "\n\n");
    let mut part = || parts.next().unwrap_or_default();
    let (mountinfo, membership, devices) = (part(), part(), part());

    let host = Host::from_mountinfo(mountinfo);
    let mut keys = BTreeSet::new();
    for hierarchy in &host.hierarchies {
        assert!(hierarchy.mount.starts_with("/sys/fs/cgroup"), "{hierarchy:?}");
        assert!(!hierarchy.keys.is_empty());
        let own: BTreeSet<_> = hierarchy.keys.iter().cloned().collect();
        assert!(keys.is_disjoint(&own), "{own:?} twice");
        keys.extend(own);
        assert_eq!(hierarchy.version == Version::V2, hierarchy.keys == [""]);
    }
    assert_eq!(host.layout() == Layout::V1, host.unified_hierarchy().is_none());

    let own = Membership::from_text(membership);
    for hierarchy in &host.hierarchies {
        if let Some(directory) = own.directory(hierarchy) {
            let below = directory.strip_prefix(&hierarchy.mount).expect("below the mount");
            assert!(below.is_empty() || below.starts_with('/'), "{directory}");
            assert!(below.split('/').all(|part| part != ".."), "{directory}");
            assert!(own.is_in(hierarchy, &directory));
        }
    }
    for path in ["/box", "box", "../box", ""] {
        match Paths::with_membership(&host, path, "box", &own) {
            Ok(paths) => {
                for (key, path) in &paths.0 {
                    let hierarchy = host.hierarchy(key).expect("of a hierarchy");
                    let below = path.strip_prefix(&hierarchy.mount).expect("below its mount");
                    assert!(below.ends_with("/box") && below.split('/').all(|part| part != ".."), "{path}");
                }
            }
            Err(error) => one_line(error),
        }
    }

    match v1::parse(devices) {
        // What is not in effect yet is written, and nothing else.
        Ok(list) => assert!(v1::writes(&list, &list).is_empty()),
        Err(error) => one_line(error),
    }
});
