//! The harness: which shim is under test, the daemon's side of everything it speaks, and what must be left at the end: nothing.
//!
//! It must not know any subject: what a test expects is in the test.
#![allow(dead_code)] // Some of what is taken from the runtime's own tests is not used here.

mod confined;
mod container;
mod daemon;
#[path = "../../../../tests/containers/common/driver.rs"]
mod driver;
pub mod events;
mod fifo;
#[path = "../../../../tests/containers/common/host.rs"]
pub mod host;
mod leftovers;
mod run;
mod task;
pub mod ttrpc;
mod under_test;

pub use container::{Container, Exec, any_json};
pub use daemon::{Answer, Daemon, Stdin};
pub use driver::Driver;
pub use events::{Events, Mood};
pub use fifo::{Reader, Writer, fifo};
pub use run::{Ran, Run};
pub use serde_json::{Value, json};
pub use task::{Fails, Failure, Task};
pub use under_test::Shim;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Runs one test with a daemon of its own. After it, whatever it did not end itself is ended as a daemon would, and then nothing
/// may be left. When `differences.txt` says that the shim under test is known to differ here, the test must fail: a difference
/// that is gone has to leave the list.
pub fn case<F: FnOnce(&mut Daemon)>(body: F) {
    let name = test_name(std::any::type_name::<F>());
    assert!(nix::unistd::geteuid().is_root(), "these tests make containers: they need root");
    if std::env::var_os(confined::MARK).is_none() {
        return confined::run(&name);
    }
    confined::assert_confined();
    confined::own_run();
    let expected = under_test::difference(&name);
    let mut daemon = Daemon::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        body(&mut daemon);
        daemon.finish();
    }));
    if result.is_err() {
        daemon.tell();
    }
    drop(daemon);
    match (result, expected) {
        (Ok(()), None) => {}
        (Err(_), Some(known)) => eprintln!("{name}: differs as listed: {}", known.reason),
        (Ok(()), Some(known)) if known.at_times => {}
        (Ok(()), Some(known)) => {
            panic!("{name} passes, but differences.txt lists it for {} ({})", Shim::under_test().name, known.reason)
        }
        (Err(failure), None) => resume_unwind(failure),
    }
}

/// `shim::exec::a_name::{{closure}}` -> `exec::a_name`.
fn test_name(closure: &str) -> String {
    let path = closure.split_once("::").map_or(closure, |(_, rest)| rest);
    path.strip_suffix("::{{closure}}").expect("a closure in the function of the test").to_string()
}

/// `DUNNAGE_TEST_SLOW=N`: the machine is N times as slow as a usual one.
fn slowness() -> u32 {
    static FACTOR: OnceLock<u32> = OnceLock::new();
    let read = || std::env::var("DUNNAGE_TEST_SLOW").map_or(1, |n| n.parse().expect("DUNNAGE_TEST_SLOW is a number"));
    *FACTOR.get_or_init(read)
}

/// So many seconds on a machine of usual speed. Only for limits whose end is a failure.
pub fn patience(seconds: u64) -> Duration {
    Duration::from_secs(seconds) * slowness()
}

/// Between two looks at something.
pub fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds) * slowness());
}

/// Waits until `ready` gives something, at most ten seconds.
#[track_caller]
pub fn eventually<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience(10);
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < end, "waited ten seconds in vain: {what}");
        host::reap_orphans();
        pause(5);
    }
}

/// Waits until a condition holds, at most ten seconds.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    eventually(what, || condition().then_some(()));
}
