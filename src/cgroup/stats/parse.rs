//! The forms that the files of both versions share. No text makes any of these fail: what is not understood is left out.

use std::collections::BTreeMap;

use super::{BlkioEntry, Misc, Psi, RdmaEntry};

/// A number; `max` is `u64::MAX`.
pub fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// Lines of `key number`.
pub fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, number(value)?))
    })
}

/// The number of one such line; 0 if there is none.
pub fn value_of(text: &str, key: &str) -> u64 {
    pairs(text).find(|(k, _)| *k == key).map_or(0, |(_, value)| value)
}

/// `0-2,7`.
pub(super) fn list(text: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

/// A `.pressure` file. A kernel before 5.13 has no line `full` for the processor.
pub fn psi(text: &str) -> Psi {
    let mut psi = Psi::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let pressure = match words.next() {
            Some("some") => &mut psi.some,
            Some("full") => &mut psi.full,
            _ => continue,
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            match key {
                "avg10" => pressure.avg10 = share(value),
                "avg60" => pressure.avg60 = share(value),
                "avg300" => pressure.avg300 = share(value),
                "total" => pressure.total = number(value).unwrap_or(0),
                _ => {}
            }
        }
    }
    psi
}

/// JSON has neither infinity nor NaN, which Rust would take for numbers.
fn share(text: &str) -> f64 {
    text.parse().ok().filter(|share: &f64| share.is_finite()).unwrap_or(0.0)
}

/// `8:16`
pub fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A v1 file: lines of `8:16 Read 4096`, or `8:16 4096`. The one that begins with `Total` is of no device.
pub fn blkio(text: &str) -> Vec<BlkioEntry> {
    let entry = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (major, minor) = device(words.next()?)?;
        let (op, value) = match (words.next()?, words.next()) {
            (op, Some(value)) => (op, value),
            (value, None) => ("", value),
        };
        Some(BlkioEntry { major, minor, op: op.into(), value: number(value)? })
    };
    text.lines().filter_map(entry).collect()
}

/// Lines of `mlx4_0 hca_handle=2 hca_object=max`.
pub fn rdma(text: &str) -> Vec<RdmaEntry> {
    let entry = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let mut entry = RdmaEntry { device: words.next()?.into(), ..RdmaEntry::default() };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let value = u32::try_from(number(value)?).unwrap_or(u32::MAX);
            match key {
                "hca_handle" => entry.hca_handles = value,
                "hca_object" => entry.hca_objects = value,
                _ => {}
            }
        }
        Some(entry)
    };
    text.lines().filter_map(entry).collect()
}

/// misc.current has lines of `sev 2`, misc.events of `sev.max 7`.
pub(super) fn misc(current: &str, events: &str) -> BTreeMap<String, Misc> {
    let mut all: BTreeMap<String, Misc> = BTreeMap::new();
    for (resource, usage) in pairs(current) {
        all.entry(resource.into()).or_default().usage = usage;
    }
    for (event, count) in pairs(events) {
        if let Some(resource) = event.strip_suffix(".max") {
            all.entry(resource.into()).or_default().events = count;
        }
    }
    all
}

/// `2MB` of `hugepages-2048kB`.
pub(super) fn huge_page_size(directory: &str) -> Option<String> {
    let kib: u64 = directory.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    const UNITS: [(u64, &str); 3] = [(1 << 20, "GB"), (1 << 10, "MB"), (1, "KB")];
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| kib >= *unit)?;
    Some(format!("{}{name}", kib.checked_div(unit)?))
}
