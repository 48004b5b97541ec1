//! A timeline for people: every step, the sums, the critical path, who waited.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::path::critical;
use super::{Event, Side, Timeline};
use crate::text::one_line;

/// What a step belongs to.
fn phase(event: &Event<'_>) -> &'static str {
    match (event.side, event.name.as_ref()) {
        (_, "wait") => "waiting for the other side",
        (_, "tell" | "fork") => "telling the other side",
        (_, "trace") => "tracing",
        (_, "hook" | "hooks" | "poststart") => "hooks",
        (Side::Runtime, "read" | "check" | "facts" | "compile") => "reading and compiling",
        (Side::Runtime, "cgroup" | "unit" | "attach" | "adopt-cgroup" | "devices" | "delegate") => "cgroup",
        (Side::Runtime, "resctrl" | "join-resctrl") => "resctrl",
        (Side::Runtime, "state-directory" | "record" | "record-init" | "prepare-state" | "save-state" | "fifo") => {
            "state on disk"
        }
        (Side::Runtime, "spawn") => "the process",
        (Side::Runtime, _) => "the process, from outside",
        (
            Side::Container,
            "enter-cgroups" | "hide" | "join" | "unshare" | "time-offsets" | "become-root" | "proc" | "keyring"
            | "loopback",
        ) => "namespaces",
        (
            Side::Container,
            "propagation" | "private-parent" | "root" | "init-root" | "pivot" | "cover" | "move-root" | "chroot",
        ) => "root",
        (Side::Container, "mount" | "bind" | "attributes" | "propagate") => "mounts",
        (Side::Container, "mkdir" | "node" | "symlink") => "devices and links",
        (Side::Container, "read-only" | "mask" | "read-only-path") => "masks",
        (Side::Container, "fifo") => "waiting for start",
        (Side::Container, "exec") => "the program",
        (Side::Container, _) => "the process, from inside",
    }
}

/// All of it.
pub fn table(timeline: &Timeline<'_>) -> String {
    let (begin, end) = (timeline.begin(), timeline.end());
    let whole = end.saturating_sub(begin);
    let mut out = format!("{}: {} us\n\n", one_line(&timeline.title), microseconds(whole));
    steps(&mut out, timeline, begin, whole);
    totals(&mut out, timeline, whole);
    path(&mut out, timeline, whole);
    waits(&mut out, timeline, whole);
    out
}

fn steps(out: &mut String, timeline: &Timeline<'_>, begin: u64, whole: u64) {
    let mut events: Vec<&Event<'_>> = timeline.events.iter().collect();
    events.sort_by_key(|event| (event.begin, event.side));
    out.push_str("  start us  duration  share  side       step\n");
    for event in events {
        let start = microseconds(event.begin.saturating_sub(begin));
        let (duration, share) = match event.end {
            Some(_) => (microseconds(event.duration()), share(event.duration(), whole)),
            None => ("...".into(), String::new()),
        };
        let _ =
            write!(out, "{start:>10}{duration:>10}{share:>7}  {:<9}  {}", event.side.name(), one_line(&event.label()));
        if !event.field.is_empty() {
            let _ = write!(out, "  # {}", one_line(&event.field));
        }
        out.push('\n');
    }
}

fn totals(out: &mut String, timeline: &Timeline<'_>, whole: u64) {
    let mut sums: BTreeMap<(Side, &str), (u64, usize)> = BTreeMap::new();
    for event in timeline.events.iter().filter(|event| event.end.is_some()) {
        let sum = sums.entry((event.side, phase(event))).or_default();
        *sum = (sum.0.saturating_add(event.duration()), sum.1.saturating_add(1));
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (sum, _))| std::cmp::Reverse(*sum));
    out.push_str("\nby phase\n  total us  share  steps  side       phase\n");
    for ((side, phase), (sum, count)) in sums {
        let _ =
            writeln!(out, "{:>10}{:>7}{count:>7}  {:<9}  {phase}", microseconds(sum), share(sum, whole), side.name());
    }
}

fn path(out: &mut String, timeline: &Timeline<'_>, whole: u64) {
    out.push_str("\nthe critical path: what the end had to wait for, and the three that took longest of each part\n  total us  share  side       from .. to\n");
    for stretch in critical(timeline) {
        let ends = (stretch.steps.first(), stretch.steps.last());
        let (Some(first), Some(last)) = ends else { continue };
        let _ = write!(
            out,
            "{:>10}{:>7}  {:<9}  {} .. {}",
            microseconds(stretch.duration),
            share(stretch.duration, whole),
            stretch.side.name(),
            one_line(&first.label()),
            one_line(&last.label())
        );
        let mut longest: Vec<&&Event<'_>> = stretch.steps.iter().filter(|event| event.waits.is_empty()).collect();
        longest.sort_by_key(|event| std::cmp::Reverse(event.duration()));
        let words = longest.iter().take(3).map(|e| format!("{} {}", one_line(&e.label()), microseconds(e.duration())));
        let _ = writeln!(out, "  ({})", words.collect::<Vec<_>>().join(", "));
    }
}

fn waits(out: &mut String, timeline: &Timeline<'_>, whole: u64) {
    let mut waits: Vec<&Event<'_>> =
        timeline.events.iter().filter(|e| !e.waits.is_empty() && e.end.is_some()).collect();
    waits.sort_by_key(|event| std::cmp::Reverse(event.duration()));
    out.push_str("\nwaited\n        us  share  side       for\n");
    for event in waits {
        let (took, share) = (microseconds(event.duration()), share(event.duration(), whole));
        let _ = writeln!(out, "{took:>10}{share:>7}  {:<9}  {}", event.side.name(), one_line(&event.waits));
    }
}

/// Of nanoseconds, with one digit.
fn microseconds(n: u64) -> String {
    format!("{}.{}", n / 1000, n % 1000 / 100)
}

/// In percent, with one digit.
fn share(part: u64, whole: u64) -> String {
    let tenths = part.saturating_mul(1000).checked_div(whole).unwrap_or(0);
    format!("{}.{}%", tenths / 10, tenths % 10)
}
