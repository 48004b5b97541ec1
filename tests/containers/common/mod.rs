//! The harness: which runtime is under test, bundles, commands with time limits, the host's view of a container.
//!
//! It must not know any subject: what a test expects is in the test.

mod bundle;
mod command;
mod confined;
mod driver;
pub mod host;
pub mod mount;
mod payload;
pub mod pty;
mod runtime;
pub mod stepper;

pub use bundle::{Bundle, base_config};
pub use command::{Beside, Command, Out, drain};
use confined::Pids;
pub use driver::Driver;
pub use runtime::{Runtime, newest_runc, other_runtime};
pub use serde_json::{Value, json};

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Runs one test on a fresh bundle. When `differences.txt` says that the runtime under test is known to differ here, the
/// test must fail: a difference that is gone has to leave the list.
pub fn case<F: FnOnce(&mut Bundle)>(body: F) {
    confined_case(Pids::of(&[Runtime::under_test()]), body);
}

/// The same for a test that starts containers with [`other_runtime`] too.
pub fn case_of_two<F: FnOnce(&mut Bundle)>(body: F) {
    confined_case(Pids::of(&[Runtime::under_test(), &other_runtime()]), body);
}

fn confined_case<F: FnOnce(&mut Bundle)>(pids: Pids, body: F) {
    let name = test_name(std::any::type_name::<F>());
    assert!(nix::unistd::geteuid().is_root(), "these tests make containers: they need root");
    if std::env::var_os(confined::MARK).is_none() {
        return confined::run(&name, pids);
    }
    assert!(std::process::id() == 1 || pids == Pids::Systemds, "{} is for the harness alone", confined::MARK);
    let expected = runtime::difference(&name);
    let mut bundle = Bundle::new();
    let result = catch_unwind(AssertUnwindSafe(|| body(&mut bundle)));
    drop(bundle);
    match (result, expected) {
        (Ok(()), None) => {}
        (Err(_), Some(known)) => eprintln!("{name}: differs as listed: {}", known.reason),
        (Ok(()), Some(known)) if known.at_times => {}
        (Ok(()), Some(known)) => {
            let runtime = &Runtime::under_test().name;
            panic!("{name} passes, but differences.txt lists it for {runtime} ({})", known.reason)
        }
        (Err(failure), None) => resume_unwind(failure),
    }
}

/// `containers::mounts::readonly_root::{{closure}}` -> `mounts::readonly_root`.
fn test_name(closure: &str) -> String {
    let path = closure.split_once("::").map_or(closure, |(_, rest)| rest);
    // A function's name is not its test's: run again under that name, it would be no test at all, and pass.
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

/// Between two looks at something. On a slow machine, looking is what makes the others wait.
pub fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds) * slowness());
}

/// Waits until `ready` gives something, at most ten seconds.
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
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    eventually(what, || condition().then_some(()));
}

/// The strings of a JSON array; empty for anything else.
pub fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_string)).collect()
}
