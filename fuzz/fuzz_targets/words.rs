//! Any text in the places of config.json that have a language of their own: systemd's annotations, `cgroupsPath` as the name of
//! a unit or as a path, lists of CPUs, keys of sysctls; and addresses of buses.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use dunnage::cgroup::host::Membership;
use dunnage::cgroup::systemd::annotations::{ALLOWED, properties};
use dunnage::cgroup::systemd::{Facts, Scope, UnitName};
use dunnage::cgroup::{Host, Paths};
use dunnage::dbus::Address;
use dunnage::dbus::wire::{Kind, Message};
use dunnage::spec::{list, sysctl};
use dunnage::text;
use dunnage_fuzz::one_line;
use libfuzzer_sys::fuzz_target;

const ROOT: &str = "/sys/fs/cgroup";

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    one_line(text::one_line(&text));
    one_line(text::quote(&text));
    if let Some((name, value)) = text.split_once('\n') {
        annotation(name, value);
    }
    cpus(&text);
    key(&text);
    unit(&text);
    path(&text);
    let _ = Address::parse_list(&text).map_err(one_line);
});

/// Of the type that the property has, and such that it can be sent.
fn annotation(name: &str, value: &str) {
    let annotations = BTreeMap::from([(format!("org.systemd.property.{name}"), value.to_owned())]);
    match properties(&annotations) {
        Ok(found) => {
            for property in found {
                let signature =
                    ALLOWED.iter().find(|(allowed, _)| *allowed == property.name).expect("an allowed one").1;
                assert_eq!(property.value.signature(), signature);
                one_line(&property.value);
                Message::new(Kind::Call).with_body(&[property.value]).expect("it can be sent");
            }
        }
        Err(error) => one_line(error),
    }
}

/// Against a set, made without ranges.
fn cpus(text: &str) {
    const LIMIT: u32 = 300;
    let Ok(mask) = list::parse(text, LIMIT) else { return };
    let mut set = BTreeSet::new();
    for element in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
        let mut ends = element.splitn(2, '-').map(|n| n.trim().parse::<u32>().expect("a number"));
        let first = ends.next().expect("one");
        set.extend(first..=ends.next().unwrap_or(first));
    }
    assert!((0..LIMIT + 64).all(|n| mask.contains(n) == set.contains(&n)), "{text:?}");
    assert_eq!(mask.count() as usize, set.len());
}

/// What is below a directory stays there.
fn key(text: &str) {
    let dotted = sysctl::normalise(text);
    assert_eq!(sysctl::normalise(&dotted), dotted);
    if let Some(path) = sysctl::path(&dotted) {
        clean(&format!("/{path}"));
    }
}

/// What systemd would be asked for, and where it would put it.
fn unit(text: &str) {
    let name = match UnitName::new(text, "box", Scope::System) {
        Ok(name) => name,
        Err(error) => return one_line(error),
    };
    let unit = name.unit();
    assert!(unit.len() < 256 && (unit.ends_with(".scope") || unit.ends_with(".slice")), "{unit}");
    assert!(!unit.contains('/') && !unit.contains(char::is_control), "{unit:?}");
    let facts = Facts { version: 257, ..Facts::default() };
    let paths = name.paths(&Host::unified(), &facts, None).expect("v2 has one place");
    clean(paths.get("").expect("the place"));
}

/// Below the mount, whatever it says.
fn path(text: &str) {
    let own = Membership::from_text("0::/ours\n");
    match Paths::with_membership(&Host::unified(), text, "box", &own) {
        Ok(paths) => clean(paths.get("").expect("the place")),
        Err(error) => one_line(error),
    }
}

fn clean(path: &str) {
    let parts = path.strip_prefix('/').expect("absolute").split('/');
    parts.for_each(|part| assert!(!matches!(part, "" | "." | ".."), "{path:?}"));
    assert!(!path.contains('\0') || path.starts_with(ROOT), "{path:?}");
}
