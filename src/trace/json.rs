//! The file: the Trace Event Format of Chromium ("Trace Event Format", JSON object form), which Perfetto reads. Complete events (`X`),
//! a beginning without an end (`B`) for what was going on when it was written, and the names (`M`).

use std::fmt::Write;

use serde::Deserialize;

use super::{Event, Side, Timeline};
use crate::error::{Error, Result};

/// The most events that are read; a container with 65,536 mounts has twice as many.
const MAX_EVENTS: usize = 1 << 18;

/// The whole file.
pub fn write(timeline: &Timeline<'_>) -> String {
    // Of an ordinary container: 80 events with 130 bytes each.
    let mut out = String::with_capacity(timeline.events.len().saturating_add(4).saturating_mul(160));
    out.push_str("{\"displayTimeUnit\":\"ns\",\"otherData\":{\"title\":");
    quote(&mut out, &timeline.title);
    out.push_str("},\"traceEvents\":[");
    for (side, pid) in [Side::Runtime, Side::Container].into_iter().zip(timeline.pids) {
        for what in ["process_name", "thread_name"] {
            let _ =
                write!(out, "\n{{\"ph\":\"M\",\"pid\":{pid},\"tid\":{pid},\"name\":\"{what}\",\"args\":{{\"name\":");
            quote(&mut out, side.name());
            out.push_str("}},");
        }
    }
    // Formatted once: to format is most of what a trace costs.
    let [runtime, container] = timeline.pids.map(|pid| format!("\"pid\":{pid},\"tid\":{pid},\"ts\":"));
    for event in &timeline.events {
        self::event(&mut out, event, if event.side == Side::Runtime { &runtime } else { &container });
        out.push(',');
    }
    // The last comma: JSON has none.
    out.pop();
    out.push_str("\n]}\n");
    out
}

fn event(out: &mut String, event: &Event<'_>, whose: &str) {
    out.push_str(if event.end.is_some() { "\n{\"ph\":\"X\"," } else { "\n{\"ph\":\"B\"," });
    out.push_str(whose);
    microseconds(out, event.begin);
    if event.end.is_some() {
        out.push_str(",\"dur\":");
        microseconds(out, event.duration());
    }
    out.push_str(",\"cat\":\"");
    out.push_str(event.side.name());
    out.push_str("\",\"name\":");
    quote(out, &event.name);
    out.push_str(",\"args\":{");
    let args = [("subject", &event.subject), ("field", &event.field), ("tells", &event.tells), ("waits", &event.waits)];
    for (key, value) in args.into_iter().filter(|(_, value)| !value.is_empty()) {
        if !out.ends_with('{') {
            out.push(',');
        }
        out.push('"');
        out.push_str(key);
        out.push_str("\":");
        quote(out, value);
    }
    out.push_str("}}");
}

/// Of nanoseconds, with three digits.
fn microseconds(out: &mut String, mut n: u64) {
    let mut digits = [b'0'; 21];
    let mut count = 0_usize;
    for digit in digits.iter_mut().rev() {
        if count == 3 {
            *digit = b'.';
        } else {
            *digit = b'0'.saturating_add(u8::try_from(n % 10).unwrap_or(0));
            n /= 10;
        }
        count = count.saturating_add(1);
        if n == 0 && count > 4 {
            break;
        }
    }
    let text = digits.get(digits.len().saturating_sub(count)..).unwrap_or_default();
    out.push_str(std::str::from_utf8(text).unwrap_or("0"));
}

fn quote(out: &mut String, text: &str) {
    let plain = |b: u8| (b' '..0x7f).contains(&b) && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "otherData", default)]
    other: Other,
    #[serde(rename = "traceEvents")]
    events: Vec<Read>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Other {
    title: String,
}

#[derive(Deserialize)]
struct Read {
    ph: String,
    pid: i32,
    #[serde(default)]
    cat: String,
    name: String,
    #[serde(default)]
    ts: f64,
    dur: Option<f64>,
    #[serde(default)]
    args: Args,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Args {
    subject: String,
    field: String,
    tells: String,
    waits: String,
}

/// A file that [`write`] has written.
///
/// # Errors
/// It is another's.
pub fn read(bytes: &[u8]) -> Result<Timeline<'static>> {
    let file: File = serde_json::from_slice(bytes).map_err(|e| Error::new(format!("no trace: {e}")))?;
    if file.events.len() > MAX_EVENTS {
        return Err(Error::new(format!("no trace: {} events, {MAX_EVENTS} are the most", file.events.len())));
    }
    let mut timeline = Timeline { title: file.other.title, ..Timeline::default() };
    for read in file.events {
        let side = match read.cat.as_str() {
            "runtime" => Side::Runtime,
            "container" => Side::Container,
            _ if read.ph == "M" => continue,
            other => return Err(Error::new(format!("no trace of ours: an event of category {other:?}"))),
        };
        let [runtime, container] = &mut timeline.pids;
        *(if side == Side::Runtime { runtime } else { container }) = read.pid;
        let begin = nanoseconds(read.ts)?;
        let end = read.dur.map(|duration| Ok(begin.saturating_add(nanoseconds(duration)?))).transpose()?;
        let Args { subject, field, tells, waits } = read.args;
        timeline.events.push(Event {
            side,
            name: read.name.into(),
            subject: subject.into(),
            field: field.into(),
            tells: tells.into(),
            waits: waits.into(),
            begin,
            end,
        });
    }
    timeline.events.sort_by_key(|event| (event.side, event.begin));
    Ok(timeline)
}

/// Of microseconds with a fraction. A double is exact to the nanosecond for the first hundred days after boot.
fn nanoseconds(microseconds: f64) -> Result<u64> {
    let n = (microseconds * 1000.0).round();
    // Below 2^53, where a double is a whole number.
    if (0.0..9_007_199_254_740_992.0).contains(&n) {
        Ok(n as u64)
    } else {
        Err(Error::new("no trace: a time that is none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn example() -> Timeline<'static> {
        let event = |side, name: &'static str, subject: &'static str, begin, end| Event {
            side,
            name: name.into(),
            subject: subject.into(),
            field: "".into(),
            tells: "".into(),
            waits: "".into(),
            begin,
            end,
        };
        let mut wait = event(Side::Runtime, "wait", "ready", 4_000, Some(9_500));
        wait.waits = "ready".into();
        let mut tell = event(Side::Container, "tell", "ready", 9_001, Some(9_400));
        tell.tells = "ready".into();
        let mut mount = event(Side::Container, "mount", "/a \"b\"\n\u{202e}", 6_000, Some(9_001));
        mount.field = "/mounts/0".into();
        let events = vec![
            event(Side::Runtime, "read", "", 1_000, Some(2_500)),
            event(Side::Runtime, "spawn", "", 2_500, Some(4_000)),
            wait,
            mount,
            tell,
            event(Side::Container, "fifo", "", 9_400, None),
        ];
        Timeline { title: "create a".into(), pids: [7, 8], events }
    }

    #[test]
    fn times_with_three_digits() {
        for (n, text) in [(0, "0.000"), (7, "0.007"), (999, "0.999"), (1000, "1.000"), (123_456, "123.456")] {
            let mut out = String::new();
            microseconds(&mut out, n);
            assert_eq!(out, text);
        }
        let mut out = String::new();
        microseconds(&mut out, u64::MAX);
        assert_eq!(out, "18446744073709551.615");
    }

    #[test]
    fn what_is_written_is_read() {
        let text = write(&example());
        assert_eq!(read(text.as_bytes()).unwrap(), example());
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let events = json["traceEvents"].as_array().unwrap();
        assert_eq!(events.len(), 4 + 6);
        assert_eq!(events[5]["ts"].as_f64(), Some(2.5));
        assert_eq!(events[5]["dur"].as_f64(), Some(1.5));
        assert_eq!(events.last().unwrap()["ph"], "B");
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"traceEvents": [{"ph": "X", "pid": 1, "name": "x", "cat": "gpu"}]}"#,
            r#"{"traceEvents": [{"ph": "X", "pid": 1, "name": "x", "cat": "runtime", "ts": -1}]}"#,
            r#"{"traceEvents": [{"ph": "X", "pid": 1, "name": "x", "cat": "runtime", "ts": 1e300}]}"#,
            r#"{"traceEvents": [{"ph": "X", "pid": 1, "name": "x", "cat": "runtime", "ts": 1, "dur": "x"}]}"#,
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        let no_events = write(&Timeline::default());
        assert_eq!(read(no_events.as_bytes()).unwrap(), Timeline::default());
    }
}
