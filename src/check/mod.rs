//! What this host can and cannot do for a bundle, before anything starts: what config.json asks for, held against the
//! kernel, the control groups, the security modules, our rights and the files. Looks, and changes nothing. What cannot be
//! known without doing it is not claimed.

mod cgroups;
mod files;
mod kernel;
mod rights;

use std::path::Path;

use serde::Serialize;

use crate::cgroup::Host;
use crate::error::{Error, Result};
use crate::spec::problem::Severity;
use crate::spec::validate::{Options, validate};
use crate::spec::{Linux, Process, Spec, parse};
use crate::{cgroup, host};

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is there.
    Ok,
    /// The container starts, but not quite as it was asked for; or it can't be told.
    Warning,
    /// The container cannot be made here as it was asked for.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it stands.
    pub verdict: Verdict,
    /// Which part of the host: `kernel`, `cgroup`, `seccomp`, ...
    pub subject: &'static str,
    /// In words.
    pub detail: String,
    /// JSON pointer into config.json of what asks for it; empty if everything does.
    pub field: String,
}

/// How the runtime would be called.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circumstances {
    /// The effective user is not root.
    pub rootless_euid: bool,
    /// Permission errors of control groups are ignored.
    pub rootless_cgroups: bool,
    /// `--systemd-cgroup`
    pub systemd_cgroup: bool,
}

/// Everything that the parts look at.
struct Asked<'a> {
    bundle: &'a Path,
    spec: &'a Spec,
    linux: &'a Linux,
    process: &'a Process,
    cgroups: &'a cgroup::Host,
    circumstances: Circumstances,
}

impl Asked<'_> {
    fn has_new(&self, kind: &str) -> bool {
        self.linux.namespaces.iter().any(|n| n.kind == kind && n.path.is_empty())
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, verdict: Verdict, subject: &'static str, detail: impl Into<String>, field: impl Into<String>) {
        self.0.push(Finding { verdict, subject, detail: detail.into(), field: field.into() });
    }

    fn ok(&mut self, subject: &'static str, detail: impl Into<String>, field: impl Into<String>) {
        self.add(Verdict::Ok, subject, detail, field);
    }

    fn warning(&mut self, subject: &'static str, detail: impl Into<String>, field: impl Into<String>) {
        self.add(Verdict::Warning, subject, detail, field);
    }

    fn error(&mut self, subject: &'static str, detail: impl Into<String>, field: impl Into<String>) {
        self.add(Verdict::Error, subject, detail, field);
    }
}

/// Looks at everything that the bundle in the directory `bundle` asks for.
///
/// # Errors
/// A config.json that cannot be read. What it says is in the findings.
pub fn bundle(bundle: &Path, circumstances: Circumstances) -> Result<Vec<Finding>> {
    let file = bundle.join("config.json");
    let json = match std::fs::read(&file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new("JSON specification file config.json not found"));
        }
        read => read.map_err(|e| Error::io(format_args!("open {}", file.display()), &e))?,
    };
    let spec = parse::config(&json)?;
    let cgroups = Host::detect()?;
    let (no_linux, no_process) = (Linux::default(), Process::default());
    let asked = Asked {
        bundle,
        spec: &spec,
        linux: spec.linux.as_ref().unwrap_or(&no_linux),
        process: spec.process.as_ref().unwrap_or(&no_process),
        cgroups: &cgroups,
        circumstances,
    };
    let mut findings = Findings::default();
    config(&mut findings, &asked);
    kernel::look(&mut findings, &asked);
    cgroups::look(&mut findings, &asked);
    rights::look(&mut findings, &asked);
    files::look(&mut findings, &asked);
    Ok(findings.0)
}

/// What validation finds, which `create` would find as well.
fn config(findings: &mut Findings, asked: &Asked<'_>) {
    let Circumstances { rootless_euid, systemd_cgroup, .. } = asked.circumstances;
    let options = Options { rootless_euid, systemd_cgroup, no_pivot: false };
    let problems = validate(asked.spec, &host::facts(asked.cgroups), &options);
    if problems.is_empty() {
        findings.ok("config", "config.json is valid", "");
    }
    for problem in problems {
        let verdict = if problem.severity == Severity::Error { Verdict::Error } else { Verdict::Warning };
        findings.add(verdict, "config", problem.message, problem.field);
    }
}

#[cfg(test)]
mod tests;
