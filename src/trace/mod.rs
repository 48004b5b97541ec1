//! Where the time of a start goes: [`record`] notes it while it happens, [`json`] is the file, [`table`] what people read of it.
//!
//! A timeline has two sides, the runtime's and the container's half, each with one event after another. Times are nanoseconds on
//! CLOCK_MONOTONIC, so that those of `create` and `start` are on one scale.

pub mod json;
mod path;
pub mod record;
mod table;

use std::borrow::Cow;

pub use record::Recorder;
pub use table::table;

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// This program.
    Runtime,
    /// `dunnage-init`.
    Container,
}

impl Side {
    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Side::Runtime => "runtime",
            Side::Container => "container",
        }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Whose.
    pub side: Side,
    /// The verb, or what the runtime did outside of the plan.
    pub name: Cow<'a, str>,
    /// What it is about: a path, a name.
    pub subject: Cow<'a, str>,
    /// JSON pointer of the field of config.json that asked for it.
    pub field: Cow<'a, str>,
    /// The barrier that it tells the other side.
    pub tells: Cow<'a, str>,
    /// The barrier that it waits for.
    pub waits: Cow<'a, str>,
    /// Nanoseconds on CLOCK_MONOTONIC.
    pub begin: u64,
    /// The same; none: when the trace was written, it had not ended.
    pub end: Option<u64>,
}

impl Event<'_> {
    /// Nanoseconds; 0 for one that has not ended.
    pub fn duration(&self) -> u64 {
        self.end.map_or(0, |end| end.saturating_sub(self.begin))
    }

    /// Its name and what it is about.
    pub fn label(&self) -> String {
        if self.subject.is_empty() { self.name.to_string() } else { format!("{} {}", self.name, self.subject) }
    }
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline<'a> {
    /// `run ID`
    pub title: String,
    /// Of the runtime and of the container's process, as the host sees them; 0: unknown.
    pub pids: [i32; 2],
    /// In the order of their sides, and there of time.
    pub events: Vec<Event<'a>>,
}

impl<'a> Timeline<'a> {
    /// Those of one side.
    pub fn of(&self, side: Side) -> impl Iterator<Item = &Event<'a>> {
        self.events.iter().filter(move |event| event.side == side)
    }

    /// The first moment.
    pub fn begin(&self) -> u64 {
        self.events.iter().map(|event| event.begin).min().unwrap_or(0)
    }

    /// The last one.
    pub fn end(&self) -> u64 {
        self.events.iter().map(|event| event.end.unwrap_or(event.begin)).max().unwrap_or(0)
    }

    /// With what another file tells of the same container: `create` and `start`.
    pub fn join(&mut self, other: Timeline<'a>) {
        self.title = if self.title.is_empty() { other.title } else { format!("{}, {}", self.title, other.title) };
        // What had not ended there is told to its end here.
        let again = |event: &Event<'a>| {
            let same = |o: &Event<'a>| (o.side, &o.name, &o.subject) == (event.side, &event.name, &event.subject);
            event.end.is_none() && other.events.iter().any(same)
        };
        self.events.retain(|event| !again(event));
        self.pids = other.pids;
        self.events.extend(other.events);
        self.events.sort_by_key(|event| (event.side, event.begin));
    }
}
