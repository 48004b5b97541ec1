//! The critical path: which of the two sides the other one had to wait for, from the end backwards. Shortening what is not on it
//! shortens nothing.

use super::{Event, Side, Timeline};

/// A stretch of it: steps of one side, one after another.
#[derive(Debug, PartialEq, Eq)]
pub struct Stretch<'t> {
    /// Whose.
    pub side: Side,
    /// The first step, and the last.
    pub steps: Vec<&'t Event<'t>>,
    /// Nanoseconds.
    pub duration: u64,
}

/// From its begin to its end.
pub fn critical<'t>(timeline: &'t Timeline<'t>) -> Vec<Stretch<'t>> {
    let sides = [Side::Runtime, Side::Container]
        .map(|side| timeline.of(side).filter(|event| event.end.is_some()).collect::<Vec<&Event<'_>>>());
    let [runtime, container] = &sides;
    let of = |side| if side == Side::Runtime { runtime } else { container };
    let last = |events: &[&Event<'_>]| events.last().and_then(|event| event.end).unwrap_or(0);
    let mut side = if last(container) > last(runtime) { Side::Container } else { Side::Runtime };
    let mut index = of(side).len().checked_sub(1);
    let mut until = timeline.end();
    let mut path: Vec<Stretch<'_>> = Vec::new();
    while let Some(event) = index.and_then(|i| of(side).get(i)) {
        let other = if side == Side::Runtime { Side::Container } else { Side::Runtime };
        let woken = woken_by(of(side), of(other), event);
        let from = match woken {
            Some(teller) => of(other).get(teller).and_then(|event| event.end).unwrap_or(event.begin),
            None => event.begin,
        };
        let took = until.saturating_sub(from);
        match path.last_mut() {
            Some(stretch) if stretch.side == side => {
                stretch.steps.push(event);
                stretch.duration = stretch.duration.saturating_add(took);
            }
            _ => path.push(Stretch { side, steps: vec![event], duration: took }),
        }
        until = until.min(from);
        match (woken, index.and_then(|i| i.checked_sub(1))) {
            (Some(teller), _) => (side, index) = (other, Some(teller)),
            (None, Some(before)) => index = Some(before),
            // The container's half begins with the runtime's `spawn`.
            (None, None) if side == Side::Container => {
                (side, index) = (Side::Runtime, runtime.iter().rposition(|event| event.name == "spawn"));
            }
            (None, None) => index = None,
        }
    }
    path.iter_mut().for_each(|stretch| stretch.steps.reverse());
    path.reverse();
    path
}

/// The number of the other side's step that ended the wait, if that ended after the wait had begun.
fn woken_by(own: &[&Event<'_>], others: &[&Event<'_>], wait: &Event<'_>) -> Option<usize> {
    if wait.waits.is_empty() {
        return None;
    }
    // A barrier may be there more than once: the n-th is answered by the n-th.
    let n = own.iter().filter(|event| event.waits == wait.waits && event.begin < wait.begin).count();
    let mut tellers = others.iter().enumerate().filter(|(_, event)| event.tells == wait.waits);
    let (number, teller) = tellers.nth(n)?;
    let end = teller.end?;
    // What tells may still be on its way back when who was told goes on: then it is by its begin that the wait ended.
    (end.min(wait.end?) > wait.begin && teller.begin < wait.end?).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(side: Side, name: &'static str, begin: u64, end: u64) -> Event<'static> {
        let (tells, waits) = match name.split_once(' ') {
            Some(("tell", barrier)) => (barrier, ""),
            Some((_, barrier)) => ("", barrier),
            None => ("", ""),
        };
        Event {
            side,
            name: name.into(),
            subject: "".into(),
            field: "".into(),
            tells: tells.into(),
            waits: waits.into(),
            begin,
            end: Some(end),
        }
    }

    #[test]
    fn goes_to_who_was_waited_for() {
        let (r, c) = (Side::Runtime, Side::Container);
        let events = vec![
            event(r, "read", 0, 10),
            event(r, "spawn", 10, 20),
            event(r, "devices", 20, 30),
            event(r, "wait ready", 30, 62),
            event(r, "save", 62, 80),
            event(r, "tell go", 80, 82),
            event(r, "wait done", 82, 96),
            event(c, "mount", 22, 58),
            event(c, "tell ready", 58, 60),
            event(c, "wait go", 60, 84),
            event(c, "find", 84, 90),
            event(c, "tell done", 90, 95),
        ];
        let timeline = Timeline { title: String::new(), pids: [1, 2], events };
        let path = critical(&timeline);
        let told: Vec<(Side, u64, Vec<&str>)> =
            path.iter().map(|s| (s.side, s.duration, s.steps.iter().map(|e| e.name.as_ref()).collect())).collect();
        assert_eq!(
            told,
            [
                (r, 22, vec!["read", "spawn"]),
                (c, 38, vec!["mount", "tell ready"]),
                (r, 22, vec!["wait ready", "save", "tell go"]),
                (c, 13, vec!["wait go", "find", "tell done"]),
                (r, 1, vec!["wait done"]),
            ]
        );
        assert_eq!(path.iter().map(|s| s.duration).sum::<u64>(), 96);
    }

    #[test]
    fn a_wait_that_was_none_stays_on_its_side() {
        let (r, c) = (Side::Runtime, Side::Container);
        let events = vec![
            event(r, "spawn", 0, 10),
            event(r, "devices", 10, 50),
            event(r, "wait ready", 50, 51),
            event(c, "tell ready", 12, 20),
        ];
        let timeline = Timeline { title: String::new(), pids: [1, 2], events };
        let sides: Vec<Side> = critical(&timeline).iter().map(|s| s.side).collect();
        assert_eq!(sides, [r]);
    }
}
