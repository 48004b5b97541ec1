//! Thousands of lives of containers on a few shims side by side: when all have ended, whatever a shim has, and whatever it made, is what
//! it was. `make soak`; SOAK=N lives (default 300), CHECK=N lives between two checks (default 500, and a third of a short run).
//!
//! A life: Create and Start, a command that copies its stdin, one that is killed or ends with its container, on a terminal at times,
//! Kill, Delete; each answer, all output and every event are compared. One of the shims is upgraded, in the middle, at each check.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![allow(clippy::disallowed_methods)] // The tests own the directories that they walk.

#[allow(unused_imports)] // It is made for many tests.
#[path = "../shim/common/mod.rs"]
mod common;
mod life;
mod look;
mod watch;

use std::collections::BTreeMap;
use std::time::Instant;

use common::*;
use dunnage_shim::proto::table::{UpgradeRequest, UpgradeResponse};
use dunnage_shim::server::upgrade::SERVICE;
use life::{Life, Pace};
use look::Look;

/// Shims, each with a container that stays, as that of a pod.
const GROUPS: usize = 3;
/// Lives at a time in each.
const SIDE: usize = 2;

/// One shim.
pub(crate) struct Group {
    pub name: String,
    pub task: Task,
    pub pid: i32,
}

#[test]
fn soak() {
    case(|t| {
        let lives = number("SOAK", 300);
        let check = number("CHECK", if lives > 1500 { 500 } else { lives / 3 }).max(GROUPS * SIDE);
        let mut soak = Soak { groups: groups(t), t, lived: 0, began: Instant::now(), pace: Pace::default() };
        watch::begin();
        // What is made once, on the first use, is no leak.
        soak.live(check.min(60));
        let first = soak.look();
        soak.tell(&first);
        let mut settled = None;
        while soak.lived < lives {
            soak.live(check.min(lives - soak.lived));
            let now = soak.look_until_like(&first);
            soak.tell(&now);
            now.assert_like(&first, look::AT_FIRST);
            // What a heap has to be is found in time; from then on it is that.
            if soak.lived >= 2000 {
                now.assert_like(settled.get_or_insert_with(|| now.clone()), look::SETTLED);
            }
            soak.upgrade_the_last();
        }
    });
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().filter(|n| !n.is_empty()).map_or(default, |n| n.parse().expect(name))
}

fn groups(t: &Daemon) -> Vec<Group> {
    let group = |n: usize| {
        let name = format!("pod{n}");
        let mut container = t.container(&name);
        container.silent();
        let task = t.launch(&container);
        let pid = task.shim_pid();
        Group { name, task, pid }
    };
    (0..GROUPS).map(group).collect()
}

struct Soak<'a> {
    t: &'a Daemon,
    groups: Vec<Group>,
    lived: usize,
    began: Instant,
    pace: Pace,
}

impl Soak<'_> {
    /// So many lives, `GROUPS * SIDE` at a time, each step of all before the next.
    fn live(&mut self, count: usize) {
        let end = self.lived + count;
        let mut expected = BTreeMap::new();
        for Group { name, .. } in self.groups.iter().filter(|_| self.lived == 0) {
            expected.insert(name.clone(), vec![format!("create {name}"), format!("start {name}")]);
        }
        while self.lived < end {
            let at_once = (GROUPS * SIDE).min(end - self.lived);
            let lives = (0..at_once).map(|n| Life::new(self.t, &self.groups[n % GROUPS], self.lived + n));
            let lives: Vec<Life> = lives.collect();
            life::live(self.t, &lives, &mut self.pace);
            self.lived += at_once;
            // One that comes and goes.
            let visitor = self.t.connect(&self.groups[self.lived / at_once % GROUPS].task.address);
            assert_eq!(visitor.state("nobody", "").unwrap_err().code, 5);
            visitor.client.close();
            for life in lives {
                expected.insert(life.id.clone(), life.events());
                life.forget();
            }
        }
        self.events_are(expected);
    }

    /// Each once, in its container's order.
    fn events_are(&self, expected: BTreeMap<String, Vec<String>>) {
        let count: usize = expected.values().map(Vec::len).sum();
        self.t.events.when(&format!("all {count} of them"), |events| (events.len() >= count).then_some(()));
        // One too many would come right after them, or be seen the next time.
        pause(100);
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in self.t.events.take() {
            told.entry(event.container.clone()).or_default().push(event.to_string());
        }
        for (id, events) in &told {
            assert_eq!(Some(events), expected.get(id), "the events of {id}");
        }
        assert_eq!(told.len(), expected.len(), "events of {:?}", told.keys());
    }

    fn look(&self) -> Look {
        Look::at(self.t, &self.groups)
    }

    /// What ends in the background may take a moment.
    fn look_until_like(&self, first: &Look) -> Look {
        let end = Instant::now() + patience(10);
        loop {
            let now = self.look();
            if now.is_like(first) || Instant::now() > end {
                return now;
            }
            pause(20);
        }
    }

    fn tell(&self, now: &Look) {
        let (seconds, Pace { took, step }) = (self.began.elapsed().as_secs_f64(), &self.pace);
        eprintln!("soak: {} lives in {seconds:.1} s, slowest step {step} of {took:.0?}; {now}", self.lived);
    }

    fn upgrade_the_last(&mut self) {
        if !Shim::under_test().is_ours() {
            return;
        }
        let group = self.groups.last().expect("a group");
        let request = UpgradeRequest { binary: Shim::under_test().path.display().to_string() };
        let response: UpgradeResponse = group.task.client.call(SERVICE, "Upgrade", &request).unwrap();
        assert_eq!(response.pid as i32, group.pid);
        assert_eq!(group.task.status(&group.name, ""), 2);
    }
}
