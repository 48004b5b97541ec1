//! `events`: a container's use of resources, again and again, and its want of memory, at once. One JSON object a line.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::definition::{Definition, Flag, Takes};
use super::{Command, Global, Matches, id, look, print};
use crate::cgroup::Stats;
use crate::cgroup::watch::Happened;
use crate::container::Container;
use crate::error::{Errno, Error, Result};
use crate::log;
use crate::state::{InitProcess, Status};

/// The command.
pub static COMMAND: Definition = Definition {
    name: "events",
    about: "display the events of a container: want of memory, and statistics of its use of resources",
    usage: "ID",
    description: "\
Writes JSON objects to stdout, one a line, until the container ID has ended: what it uses of processor, memory, disks and the
rest, once in an interval, at once each time that the kernel kills in it for want of memory, and how it ended.",
    min: 1,
    max: Some(1),
    stops_at_first: false,
    flags: &[INTERVAL, STATS],
    read: |m| Command::Events(EventsArgs::read(m)),
};

const INTERVAL: Flag = Flag::new(
    "interval",
    Takes::Duration("DURATION"),
    "time between two statistics, such as 500ms or 1m30s (default: 5s)",
);
const STATS: Flag = Flag::new("stats", Takes::Bool, "write the statistics once, now, and nothing else");
const DEFAULT_INTERVAL: i64 = 5_000_000_000;

/// `events`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsArgs {
    /// The container.
    pub id: String,
    /// `--interval`, in nanoseconds.
    pub interval: Option<i64>,
    /// `--stats`
    pub stats: bool,
}

impl EventsArgs {
    fn read(m: &Matches) -> EventsArgs {
        EventsArgs { id: id(m), interval: m.int(&INTERVAL), stats: m.bool(&STATS) }
    }
}

/// One line.
#[derive(Serialize)]
struct Event<'a, D: Serialize> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a D>,
}

pub(super) fn run(global: &Global, args: &EventsArgs) -> Result<u8> {
    let container = look(global, &args.id)?;
    let interval = u64::try_from(args.interval.unwrap_or(DEFAULT_INTERVAL)).unwrap_or(0);
    if interval == 0 {
        return Err(Error::new("duration interval must be greater than 0"));
    }
    if container.status()? == Status::Stopped {
        return Err(Error::new(format!("container with id {} is not running", args.id)));
    }
    let told = match args.stats {
        true => container.stats().and_then(|stats| tell("stats", &args.id, Some(&stats))),
        false => stream(&container, &args.id, Duration::from_nanos(interval)),
    };
    match told {
        // Who reads no more has seen what it wanted.
        Err(e) if e.errno() == Some(Errno::EPIPE) => Ok(0),
        told => told.map(|()| 0),
    }
}

fn stream(container: &Container, id: &str, interval: Duration) -> Result<()> {
    let init = container.state.init()?;
    let mut watch = container.watch()?;
    let stdout = std::io::stdout();
    let mut next = Instant::now().checked_add(interval);
    loop {
        // An interval beyond the end of time is none.
        let deadline = next.ok_or_else(|| Error::new("duration interval is too large"))?;
        match watch.wait(deadline, stdout.as_fd())? {
            Happened::Unread => return Ok(()),
            Happened::End => return tell_end(container, id, init.as_ref()),
            Happened::Oom => tell("oom", id, None::<&Stats>)?,
            Happened::Time => {
                match container.watched_stats(&watch) {
                    Ok(stats) => tell("stats", id, Some(&stats))?,
                    Err(e) => {
                        log::error(e);
                        // Held back until the end of the command, it would be of no use to anybody.
                        log::flush();
                    }
                }
                // Those that were missed, because nobody read or the machine slept, are left out.
                let now = Instant::now();
                next = deadline.checked_add(interval).filter(|next| *next > now).or_else(|| now.checked_add(interval));
            }
        }
    }
}

/// Held by its descriptor, init can be asked how it ended, whoever's child it was: as a zombie, or when it was reaped (Linux 6.15).
fn tell_end(container: &Container, id: &str, init: Option<&InitProcess>) -> Result<()> {
    let exit = container
        .exit_of_zombie()
        .or_else(|| init.and_then(|init| init.pidfd.exit_info().ok().flatten()))
        // Between the two it was reaped.
        .or_else(|| container.exit_of_zombie());
    let end = container.dir.end().unwrap_or_else(|| container.ended(exit, container.ooms()));
    tell("end", id, Some(&end))
}

fn tell<D: Serialize>(kind: &'static str, id: &str, data: Option<&D>) -> Result<()> {
    let line = serde_json::to_string(&Event { kind, id, data });
    print(&(line.map_err(|e| Error::new(format!("{kind} as JSON: {e}")))? + "\n"))
}
