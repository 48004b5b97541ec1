//! Notes the times while they come to be. Off, which is usual, it is an empty option.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use dunnage_steps::{Step, ticks};
use nix::sys::stat::Mode;
use nix::sys::uio::pread;
use serde::{Deserialize, Serialize};

use super::{Event, Side, Timeline, json, table};
use crate::error::{Errno, Error, Result};
use crate::plan::Plan;
use crate::state::ContainerDir;
use crate::sys::counter::{self, Moment};
use crate::sys::memfd;
use crate::{files, log};

/// How long to wait for the program to be executed, if somebody wants to know when. Milliseconds.
pub const EXEC: u16 = 1000;

/// What is recorded; nothing, unless somebody asked.
#[derive(Debug, Default)]
pub struct Recorder(Option<Box<Recording>>);

#[derive(Debug)]
struct Recording {
    output: Output,
    start: Moment,
    /// What the runtime did, and when it ended.
    marks: Vec<(Mark, u64)>,
    /// What the child notes.
    ticks: Option<OwnedFd>,
    /// When the program was executed.
    executed: Option<u64>,
}

#[derive(Debug)]
enum Output {
    /// `--trace`, opened before anything is made.
    File { path: PathBuf, file: OwnedFd },
    /// The annotation: under this name in the state directory.
    State(&'static str),
}

#[derive(Debug, Clone, Copy)]
enum Mark {
    /// Outside of the plan.
    Phase(&'static str),
    /// The step of the runtime's half with this number.
    Step(usize),
}

/// What `start` has to know of a step that ends under its eyes.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    name: String,
    subject: String,
    field: String,
}

impl Recorder {
    /// `--trace`. A relative path is one relative to the caller, so this comes before the way into the bundle.
    ///
    /// # Errors
    /// The file is there already, or cannot be made.
    pub fn to(path: Option<&Path>) -> Result<Recorder> {
        let Some(path) = path else { return Ok(Recorder(None)) };
        let file = files::create_at_path(path, Mode::from_bits_truncate(0o644)).map_err(|e| {
            let error = Error::sys(format!("create {}", path.display()), e).doing("--trace");
            let hint = "a trace is a file of its own, and replaces none";
            if e == Errno::EEXIST { error.hint(hint) } else { error }
        })?;
        Ok(Recorder::on(Output::File { path: path.to_owned(), file }))
    }

    /// The annotation asks for it: into the state directory, unless there is a file already.
    pub fn to_state(&mut self, name: &'static str) {
        if self.0.is_none() {
            *self = Recorder::on(Output::State(name));
        }
    }

    fn on(output: Output) -> Recorder {
        let marks = Vec::with_capacity(64);
        Recorder(Some(Box::new(Recording { output, start: Moment::now(), marks, ticks: None, executed: None })))
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Something outside of the plan has ended, that began when the last one ended.
    pub fn phase(&mut self, name: &'static str) {
        if let Some(recording) = &mut self.0 {
            recording.marks.push((Mark::Phase(name), counter::now()));
        }
    }

    /// A step of the runtime's half has ended.
    pub fn step(&mut self, number: usize) {
        if let Some(recording) = &mut self.0 {
            recording.marks.push((Mark::Step(number), counter::now()));
        }
    }

    /// The program is being executed, now.
    pub fn executed(&mut self) {
        if let Some(recording) = &mut self.0 {
            recording.executed = Some(counter::now());
        }
    }

    /// The file in which the child of a plan notes its times. With a container's directory it is there that `start` finds it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_ticks(&mut self, plan: &Plan, dir: Option<&ContainerDir>) -> Result<Option<OwnedFd>> {
        let Some(recording) = &mut self.0 else { return Ok(None) };
        let steps = u32::try_from(plan.child.len()).unwrap_or(u32::MAX);
        let (size, count) = (ticks::size(steps), u64::from(steps).to_ne_bytes());
        let failed = |e| Error::sys("memory for a trace", e);
        let waits = plan.child.iter().position(|step| matches!(step.step, Step::Fifo { .. }));
        let file = match (dir, waits) {
            (Some(dir), Some(first)) => {
                let mut bytes = vec![0; size];
                bytes.get_mut(..count.len()).unwrap_or_default().copy_from_slice(&count);
                let labels: Vec<Label> = plan.child.iter().skip(first).map(Label::of).collect();
                let labels = serde_json::to_writer(&mut bytes, &labels);
                labels.map_err(|e| Error::new(format!("steps as JSON: {e}")))?;
                let file = dir.make_ticks()?;
                write_all(&file, &bytes).map_err(failed)?;
                file
            }
            _ => {
                let file = memfd::shared(c"dunnage-trace", u64::try_from(size).unwrap_or(u64::MAX)).map_err(failed)?;
                write_all(&file, &count).map_err(failed)?;
                file
            }
        };
        recording.ticks = Some(file.try_clone().map_err(|e| Error::io("dup", &e))?);
        Ok(Some(file))
    }

    /// Writes what a plan's execution came to, as far as it came. That it cannot be written goes to the log: the container is there.
    pub fn finish(&mut self, title: String, child: i32, plan: &Plan, dir: Option<&ContainerDir>) {
        let Some(recording) = self.0.take() else { return };
        let scale = Scale { start: recording.start, end: Moment::now() };
        let mut events = recording.runtimes(&scale, plan);
        let steps = u32::try_from(plan.child.len()).unwrap_or(u32::MAX);
        let bytes = recording.ticks.as_ref().map(|file| read(file, ticks::size(steps))).unwrap_or_default();
        let words = words(&bytes);
        let steps = plan.child.iter().map(|step| {
            let barrier = |tells| step.barriers().into_iter().find(|(_, t)| *t == tells).map_or("", |(b, _)| b.name());
            Event {
                side: Side::Container,
                name: step.step.name().into(),
                subject: step.subject(),
                field: step.field.as_ref().into(),
                tells: barrier(true).into(),
                waits: barrier(false).into(),
                begin: 0,
                end: None,
            }
        });
        events.extend(timed(steps, &words, 0, recording.executed, &scale));
        recording.write(&Timeline { title, pids: [own_pid(), child], events }, dir);
    }

    /// Writes what `start` came to: its own part, and what the child has noted since `create`.
    pub fn finish_start(&mut self, title: String, child: i32, dir: &ContainerDir) {
        let Some(recording) = self.0.take() else { return };
        let scale = Scale { start: recording.start, end: Moment::now() };
        let none = Plan::default();
        let mut events = recording.runtimes(&scale, &none);
        let bytes = dir.ticks().unwrap_or_else(|e| {
            log::warn(e);
            None
        });
        let bytes = bytes.unwrap_or_default();
        let count = bytes.first_chunk().map_or(0, |n| u64::from_ne_bytes(*n));
        let size = ticks::size(u32::try_from(count).unwrap_or(u32::MAX));
        let (numbers, labels) = bytes.split_at_checked(size).unwrap_or_default();
        let labels: Vec<Label> = serde_json::from_slice(labels).unwrap_or_default();
        let first = usize::try_from(count).unwrap_or(0).saturating_sub(labels.len());
        let steps = labels.into_iter().map(|label| Event {
            side: Side::Container,
            name: label.name.into(),
            subject: label.subject.into(),
            field: label.field.into(),
            tells: "".into(),
            waits: "".into(),
            begin: 0,
            end: None,
        });
        events.extend(timed(steps, &words(numbers), first, recording.executed, &scale));
        recording.write(&Timeline { title, pids: [own_pid(), child], events }, Some(dir));
    }
}

impl Recording {
    fn runtimes<'p>(&self, scale: &Scale, plan: &'p Plan) -> Vec<Event<'p>> {
        let mut events = Vec::with_capacity(self.marks.len().saturating_add(plan.child.len()));
        let mut begin = scale.at(self.start.counter);
        for (mark, end) in &self.marks {
            let end = scale.at(*end).max(begin);
            let step = match mark {
                Mark::Step(number) => plan.parent.get(*number),
                Mark::Phase(_) => None,
            };
            let name = match mark {
                Mark::Phase(name) => name,
                Mark::Step(_) => step.map_or("", |step| step.name()),
            };
            let barrier =
                |tells| step.and_then(|s| s.barrier()).filter(|(_, t)| *t == tells).map_or("", |(b, _)| b.name());
            events.push(Event {
                side: Side::Runtime,
                name: name.into(),
                subject: step.map_or("", |step| step.subject()).into(),
                field: step.map_or("", |step| step.field()).into(),
                tells: barrier(true).into(),
                waits: barrier(false).into(),
                begin,
                end: Some(end),
            });
            begin = end;
        }
        events
    }

    fn write(self, timeline: &Timeline<'_>, dir: Option<&ContainerDir>) {
        let (name, file) = match self.output {
            Output::File { path, file } => (path, Ok(file)),
            Output::State(name) => {
                // A container that could not be made has no directory any more.
                let Some(dir) = dir else { return };
                (PathBuf::from(name), dir.make_trace(name))
            }
        };
        let text = match name.extension() {
            Some(extension) if extension == "txt" => table(timeline),
            _ => json::write(timeline),
        };
        let written = file.and_then(|file| {
            write_all(&file, text.as_bytes()).map_err(|e| Error::sys(format!("write {}", name.display()), e))
        });
        written.unwrap_or_else(|e| log::warn(e.doing("the trace is lost")));
    }
}

impl Label {
    fn of(step: &crate::plan::ChildStep) -> Label {
        let (name, subject) = (step.step.name().into(), step.subject().into_owned());
        Label { name, subject, field: step.field.clone().into_owned() }
    }
}

/// The counter on CLOCK_MONOTONIC, between two moments for which both are known.
struct Scale {
    start: Moment,
    end: Moment,
}

impl Scale {
    /// Nanoseconds. What lies outside (a processor whose counter differs, a step that began before we did) is at the border.
    fn at(&self, counter: u64) -> u64 {
        let nanoseconds = |moment: &Moment| moment.monotonic.as_nanos();
        let (from, to) = (self.start.counter, self.end.counter.max(self.start.counter));
        let passed = u128::from(counter.clamp(from, to).saturating_sub(from));
        let whole = u128::from(to.saturating_sub(from)).max(1);
        let span = nanoseconds(&self.end).saturating_sub(nanoseconds(&self.start));
        let since = passed.saturating_mul(span).checked_div(whole).unwrap_or(0);
        u64::try_from(nanoseconds(&self.start).saturating_add(since)).unwrap_or(u64::MAX)
    }
}

/// Gives the child's steps, of which the first has the number `first`, their times. The last is the execution of the program, which
/// no step survives: somebody else saw it.
fn timed<'e>(
    steps: impl ExactSizeIterator<Item = Event<'e>>,
    words: &[u64],
    first: usize,
    executed: Option<u64>,
    scale: &Scale,
) -> Vec<Event<'e>> {
    let word = |at: usize| words.get(at).copied().filter(|word| *word != 0);
    // The end of the step before the first; of the very first, when the trace began.
    let Some(begin) = word(ticks::BEGIN.saturating_add(first)) else { return Vec::new() };
    let mut begin = Some(scale.at(begin));
    let last = steps.len().saturating_sub(1);
    let timed = steps.enumerate().map_while(|(i, mut event)| {
        event.begin = begin?;
        let end = word(ticks::ENDS.saturating_add(first).saturating_add(i));
        let end = end.or(executed.filter(|_| i == last));
        event.end = end.map(|end| scale.at(end).max(event.begin));
        begin = event.end;
        Some(event)
    });
    timed.collect()
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default())).collect()
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

/// What the child has noted so far.
fn read(file: &OwnedFd, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let n = pread(file, &mut bytes, 0).unwrap_or(0);
    bytes.truncate(n);
    bytes
}

fn write_all(file: &OwnedFd, bytes: &[u8]) -> std::result::Result<(), Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = nix::unistd::write(file, rest)?;
        rest = rest.get(n..).ok_or(Errno::EIO)?;
    }
    Ok(())
}
