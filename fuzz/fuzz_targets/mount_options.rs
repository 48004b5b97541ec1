//! Any lines as the options of a mount, against another reading of the specification: of each flag the last word counts.
#![no_main]

use dunnage::spec::mount_options::{names, parse};
use libfuzzer_sys::fuzz_target;

/// MS_*, who sets it, who clears it.
const FLAGS: [(u64, &[&str], &[&str]); 18] = [
    (1, &["ro"], &["rw"]),
    (2, &["nosuid"], &["suid"]),
    (4, &["nodev"], &["dev"]),
    (8, &["noexec"], &["exec"]),
    (16, &["sync"], &["async"]),
    (32, &["remount"], &[]),
    (64, &["mand"], &["nomand"]),
    (128, &["dirsync"], &[]),
    (256, &["nosymfollow"], &["symfollow"]),
    (1 << 10, &["noatime"], &["atime"]),
    (1 << 11, &["nodiratime"], &["diratime"]),
    (1 << 12, &["bind", "rbind"], &[]),
    (1 << 14, &["rbind"], &[]),
    (1 << 15, &["silent"], &["loud"]),
    (1 << 21, &["relatime"], &["norelatime"]),
    (1 << 23, &["iversion"], &["noiversion"]),
    (1 << 24, &["strictatime"], &["nostrictatime"]),
    (1 << 25, &["lazytime"], &["nolazytime"]),
];

/// MOUNT_ATTR_*, the same.
const ATTRIBUTES: [(u64, &[&str], &[&str]); 6] = [
    (1, &["rro"], &["rrw"]),
    (2, &["rnosuid"], &["rsuid"]),
    (4, &["rnodev"], &["rdev"]),
    (8, &["rnoexec"], &["rexec"]),
    (0x80, &["rnodiratime"], &["rdiratime"]),
    (0x20_0000, &["rnosymfollow"], &["rsymfollow"]),
];

/// MOUNT_ATTR__ATIME, one field.
const ATIME: u64 = 0x70;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let options: Vec<&str> = text.split('\n').collect();
    let parsed = parse(&options);

    assert_eq!((parsed.flags, parsed.cleared), last_words(&FLAGS, &options), "{options:?}");
    let (mut set, mut clear) = last_words(&ATTRIBUTES, &options);
    let (value, named) = access_time(&options);
    set |= value;
    clear |= if named { ATIME } else { 0 };
    assert_eq!((parsed.rec_attr_set, parsed.rec_attr_clr), (set, clear), "{options:?}");

    let known: Vec<&str> = names().chain(["idmap", "ridmap"]).collect();
    let data = options.iter().filter(|o| !known.contains(o)).copied();
    let data: Vec<&str> = data.skip_while(|o| o.is_empty()).collect();
    assert_eq!(parsed.data, data.join(","), "{options:?}");
    let propagation = ["private", "shared", "slave", "unbindable"];
    let propagates =
        |o: &&&str| propagation.contains(o) || o.strip_prefix('r').is_some_and(|o| propagation.contains(&o));
    assert_eq!(parsed.propagation.len(), options.iter().filter(propagates).count());
    assert!(parsed.propagation.iter().all(|flag| (flag & !(1 << 14)).is_power_of_two()));
    assert_eq!(parsed.tmpcopyup, options.contains(&"tmpcopyup"));
    let idmap = options.iter().rev().find(|o| ["idmap", "ridmap"].contains(o));
    assert_eq!(parsed.idmap.map(|i| i.recursive), idmap.map(|o| *o == "ridmap"));

    let twice = parse(&[&options[..], &options].concat());
    assert_eq!((twice.flags, twice.cleared), (parsed.flags, parsed.cleared));
    assert_eq!((twice.rec_attr_set, twice.rec_attr_clr), (parsed.rec_attr_set, parsed.rec_attr_clr));
});

/// What is set and what is cleared.
fn last_words(table: &[(u64, &[&str], &[&str])], options: &[&str]) -> (u64, u64) {
    let (mut set, mut clear) = (0, 0);
    for (flag, setters, clearers) in table {
        match options.iter().rev().find(|o| setters.contains(o) || clearers.contains(o)) {
            Some(last) if setters.contains(last) => set |= flag,
            Some(_) => clear |= flag,
            None => (),
        }
    }
    (set, clear)
}

/// The value, and whether any option named it.
fn access_time(options: &[&str]) -> (u64, bool) {
    let all = ["rrelatime", "rnoatime", "rstrictatime", "ratime", "rnostrictatime"];
    let named = options.iter().any(|o| all.contains(o));
    let Some(last) = options.iter().rposition(|o| all[..3].contains(o)) else { return (0, named) };
    // Taken back by its opposite alone.
    let value = match options[last] {
        "rnoatime" if !options[last..].contains(&"ratime") => 0x10,
        "rstrictatime" if !options[last..].contains(&"rnostrictatime") => 0x20,
        _ => 0,
    };
    (value, named)
}
