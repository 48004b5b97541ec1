//! Which runtime is under test, and where it is known to differ.

use super::{Driver, host};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// A runtime's binary.
#[derive(Debug, Clone)]
pub struct Runtime {
    pub path: PathBuf,
    /// `dunnage`, or `runc-1.1`, `crun-1.8`: the key of `differences.txt`.
    pub name: String,
}

impl Runtime {
    /// The environment's `RUNTIME` (a path, or a name in PATH), else the binary that cargo built.
    pub fn under_test() -> &'static Runtime {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        RUNTIME.get_or_init(|| match std::env::var_os("RUNTIME") {
            Some(path) if !path.is_empty() => Runtime::at(path.into()),
            _ => Runtime { path: env!("CARGO_BIN_EXE_dunnage").into(), name: "dunnage".into() },
        })
    }

    pub fn at(path: PathBuf) -> Runtime {
        let out = Command::new(&path).arg("--version").output().unwrap_or_else(|e| panic!("{path:?} --version: {e}"));
        let first = String::from_utf8_lossy(&out.stdout).lines().next().unwrap_or_default().to_string();
        let mut words = first.split([' ', '-', '+']).filter(|w| *w != "version");
        let (program, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let version: Vec<&str> = version.split('.').take(2).collect();
        let name = if program == "dunnage" { program.into() } else { format!("{program}-{}", version.join(".")) };
        Runtime { path, name }
    }
}

/// A real runc for the tests of interoperation: the environment's `RUNC`, else the one in PATH (Debian's package `runc`).
pub fn other_runtime() -> Runtime {
    Runtime::at(std::env::var_os("RUNC").map_or_else(|| "runc".into(), PathBuf::from))
}

/// The runc that `integration/peers.sh` has fetched: the newest that Debian has.
fn fetched_runc() -> Option<Runtime> {
    let peers = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/list")).ok()?;
    let path = peers.lines().find_map(|line| line.strip_prefix("runc ")?.split_once(' '))?.1;
    Some(Runtime::at(path.into()))
}

/// The newest runc that there is: the environment's `RUNC`, the fetched one, the one in PATH.
pub fn newest_runc() -> Runtime {
    let fetched = std::env::var_os("RUNC").is_none().then(fetched_runc).flatten();
    fetched.unwrap_or_else(other_runtime)
}

/// How the runtime under test is known to differ in one test, from `differences.txt`.
pub struct Difference {
    pub reason: &'static str,
    /// It fails at times (a race of that runtime): it may pass.
    pub at_times: bool,
}

pub fn difference(test: &str) -> Option<Difference> {
    let runtime = &Runtime::under_test().name;
    include_str!("../differences.txt").lines().filter(|l| !l.starts_with('#')).find_map(|line| {
        let mut columns = line.splitn(3, '|').map(str::trim);
        let (runtimes, name, reason) = (columns.next()?, columns.next()?, columns.next()?);
        if name != test {
            return None;
        }
        runtimes.split_whitespace().find_map(|listed| {
            let at_times = listed.ends_with('?');
            let listed = listed.trim_end_matches('?');
            let listed = match listed.strip_suffix("@v2") {
                Some(_) if host::has_v1() => return None,
                Some(rest) => rest,
                None => listed,
            };
            let listed = match listed.strip_suffix("+systemd") {
                Some(_) if Driver::under_test() != Driver::Systemd => return None,
                Some(rest) => rest,
                None => listed,
            };
            let it_is = match listed.strip_suffix('*') {
                Some(prefix) => runtime.starts_with(prefix),
                None => runtime == listed,
            };
            it_is.then_some(Difference { reason, at_times })
        })
    })
}
