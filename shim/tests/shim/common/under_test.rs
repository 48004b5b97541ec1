//! Which shim is under test, and where it is known to differ.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::host;

pub const V2: &str = "containerd.task.v2.Task";
pub const V3: &str = "containerd.task.v3.Task";

/// A shim's binary.
#[derive(Debug, Clone)]
pub struct Shim {
    pub path: PathBuf,
    /// `dunnage`, or `reference-1.6`: the key of `differences.txt`.
    pub name: String,
    /// Under which of its names the task API is called.
    pub service: &'static str,
    /// It understands what a daemon since 2.3 puts on `start`'s stdin.
    pub has_params: bool,
}

impl Shim {
    /// The environment's `SHIM` (a path), else the binary that cargo built.
    pub fn under_test() -> &'static Shim {
        static SHIM: OnceLock<Shim> = OnceLock::new();
        SHIM.get_or_init(|| match std::env::var_os("SHIM") {
            Some(path) if !path.is_empty() => Shim::at(path.into()),
            _ => Shim::at(env!("CARGO_BIN_EXE_containerd-shim-dunnage-v2").into()),
        })
    }

    /// Two lines of `-v` matter: the program's name and its version. What is not ours is containerd's.
    fn at(path: PathBuf) -> Shim {
        let path = std::fs::canonicalize(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        if path.file_name().is_some_and(|name| name == "containerd-shim-dunnage-v2") {
            let service = if std::env::var("DUNNAGE_TEST_API").is_ok_and(|api| api == "v2") { V2 } else { V3 };
            return Shim { path, name: "dunnage".into(), service, has_params: true };
        }
        let out = Command::new(&path).arg("-v").output().unwrap_or_else(|e| panic!("{path:?} -v: {e}"));
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let version =
            text.lines().find_map(|l| l.trim().strip_prefix("Version:")).expect("a version").trim().to_string();
        let parts: Vec<&str> = version.trim_start_matches('v').split('.').take(2).collect();
        let service = if parts[0] == "1" { V2 } else { V3 };
        let minor: u32 = parts[1].parse().unwrap_or(0);
        Shim {
            path,
            name: format!("reference-{}", parts.join(".")),
            service,
            has_params: parts[0] != "1" && minor >= 3,
        }
    }

    pub fn is_ours(&self) -> bool {
        self.name == "dunnage"
    }
}

/// How the shim under test is known to differ in one test, from `differences.txt`.
pub struct Difference {
    pub reason: &'static str,
    /// It fails at times (a race of that shim): it may pass.
    pub at_times: bool,
}

pub fn difference(test: &str) -> Option<Difference> {
    let shim = &Shim::under_test().name;
    include_str!("../differences.txt").lines().filter(|l| !l.starts_with('#')).find_map(|line| {
        let mut columns = line.splitn(3, '|').map(str::trim);
        let (shims, name, reason) = (columns.next()?, columns.next()?, columns.next()?);
        if name != test {
            return None;
        }
        shims.split_whitespace().find_map(|listed| {
            let at_times = listed.ends_with('?');
            let listed = listed.trim_end_matches('?');
            let listed = match listed.strip_suffix("@v2") {
                Some(_) if host::has_v1() => return None,
                Some(rest) => rest,
                None => listed,
            };
            let it_is = match listed.strip_suffix('*') {
                Some(prefix) => shim.starts_with(prefix),
                None => shim == listed,
            };
            it_is.then_some(Difference { reason, at_times })
        })
    })
}
