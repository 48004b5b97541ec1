//! The runtimes under test, and how each command is spelled for them.

use crate::Result;
use crate::bundle::Bundle;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of the program that is no runtime: floor.c.
pub const FLOOR: &str = "floor";

/// A program under test.
pub struct Runtime {
    /// What the tables call it.
    pub name: String,
    /// Its executable.
    pub binary: PathBuf,
    /// The number in the first line of `--version`.
    pub version: String,
    /// Its own state directory.
    pub state: PathBuf,
    /// The cgroup of its containers: in each hierarchy for the floor, as cgroupsPath for the others.
    pub cgroups: Vec<PathBuf>,
}

impl Runtime {
    /// From an argument `NAME=BINARY`. A runtime that cannot say its version cannot be measured either.
    pub fn new(argument: &str, work: &Path) -> Result<Self> {
        let (name, binary) = argument.split_once('=').ok_or_else(|| format!("{argument}: not NAME=BINARY"))?;
        let output = Command::new(binary).arg("--version").output().map_err(|e| format!("{binary}: {e}"))?;
        if !output.status.success() {
            return Err(format!("{binary} --version: {}", output.status).into());
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = said.lines().next().and_then(|l| l.split_whitespace().last()).unwrap_or_default().to_owned();
        Ok(Runtime {
            name: name.into(),
            binary: binary.into(),
            version,
            state: work.join("state").join(name),
            cgroups: vec![],
        })
    }

    /// Whether this is the floor.
    pub fn is_floor(&self) -> bool {
        self.name == FLOOR
    }

    fn argv(&self, words: &[&str]) -> Vec<String> {
        let mut argv = vec![self.binary.display().to_string()];
        let state = self.state.display().to_string();
        if self.is_floor() {
            let mut words = words.iter();
            argv.extend(words.next().map(|w| w.to_string()));
            argv.push(state);
            argv.extend(words.map(|w| w.to_string()));
        } else {
            argv.extend(["--root".into(), state]);
            argv.extend(words.iter().map(|w| w.to_string()));
        }
        argv
    }

    /// `run` or `create` of a bundle.
    pub fn launch(&self, command: &str, bundle: &Bundle, id: &str) -> Vec<String> {
        if self.is_floor() {
            let mut argv = self.argv(&[command, id, &bundle.rootfs.display().to_string()]);
            argv.extend(self.cgroups.iter().map(|c| c.display().to_string()));
            return argv;
        }
        self.argv(&[command, "--bundle", &bundle.dir(&self.name).display().to_string(), id])
    }

    /// A command that takes an id and `rest`. The floor knows what to do without the rest.
    pub fn on(&self, command: &str, id: &str, rest: &[&str]) -> Vec<String> {
        let mut words = vec![command, id];
        if !self.is_floor() {
            words.extend(rest);
        }
        self.argv(&words)
    }

    /// `delete --force`, for clean-up.
    pub fn force_delete(&self, id: &str) -> Vec<String> {
        if self.is_floor() { self.argv(&["delete", id]) } else { self.argv(&["delete", "--force", id]) }
    }

    /// `--version`.
    pub fn print_version(&self) -> Vec<String> {
        vec![self.binary.display().to_string(), "--version".into()]
    }
}
