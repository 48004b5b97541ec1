//! What this host can and cannot do for a bundle, before anything starts: what config.json asks for, held against the
//! kernel, the control groups, the security modules, our rights and the files. Looks, and changes nothing. What cannot be
//! known without doing it is not claimed.
//!
//! | file | owns |
//! |---|---|
//! | `kernel` | system calls, file systems, sysctls, seccomp, security modules |
//! | `namespaces` | which can be made, which can be joined, the distributions' switches |
//! | `network` | network devices that are to move |
//! | `limits` | what a host can run out of: keys, mounts, processes |
//! | `cgroups` | layout, delegation, controllers, the container's place |
//! | `rights` | our capabilities, limits above ours, id maps |
//! | `files` | the root file system, the program, hooks, devices |
//! | `mounts` | sources, destinations, id-mapped mounts |

mod cgroups;
mod files;
mod kernel;
mod limits;
mod mounts;
mod namespaces;
mod network;
mod rights;

use std::path::Path;

use serde::Serialize;

use crate::cgroup::Host;
use crate::error::{Error, Result};
use crate::host;
use crate::spec::problem::Severity;
use crate::spec::validate::{Options, validate};
use crate::spec::{IdMapping, Linux, Process, Spec, parse};

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
    /// What to do about it; empty if nothing has to be done, or the detail says it.
    pub remedy: String,
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
    /// None: the host alone is looked at.
    bundle: Option<&'a Path>,
    spec: &'a Spec,
    linux: &'a Linux,
    process: &'a Process,
    cgroups: &'a Host,
    circumstances: Circumstances,
    /// Tests put files here that stand for those of the host with the same path.
    overlay: Option<&'a Path>,
}

impl Asked<'_> {
    fn has_new(&self, kind: &str) -> bool {
        self.linux.namespaces.iter().any(|n| n.kind == kind && n.path.is_empty())
    }

    fn joins(&self, kind: &str) -> bool {
        self.linux.namespaces.iter().any(|n| n.kind == kind && !n.path.is_empty())
    }

    /// Of a file of /proc, /sys or /etc; none if it cannot be read.
    fn read(&self, path: &str) -> Option<String> {
        let seeded = self.overlay.map(|dir| dir.join(path.trim_start_matches('/')));
        seeded
            .and_then(|file| crate::files::read_to_string(file).ok())
            .or_else(|| crate::files::read_to_string(path).ok())
    }

    /// The sysctl of this path below /proc/sys.
    fn sysctl(&self, name: &str) -> Option<String> {
        self.read(&format!("/proc/sys/{name}")).map(|text| text.trim().to_owned())
    }

    fn sysctl_number(&self, name: &str) -> Option<u64> {
        self.sysctl(name)?.parse().ok()
    }

    /// The host's id of the container's root.
    fn host_root(&self, maps: &[IdMapping]) -> u32 {
        if self.has_new("user") { crate::launch::execute::host_id(maps, 0) } else { 0 }
    }

    /// Whether root of the container is root of a user namespace.
    fn has_user_namespace(&self) -> bool {
        self.has_new("user") || self.joins("user")
    }

    /// Whether we are root in a user namespace only.
    fn in_user_namespace(&self) -> bool {
        let map = self.read("/proc/self/uid_map").unwrap_or_default();
        !map.is_empty() && map.split_ascii_whitespace().ne(["0", "0", "4294967295"])
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, verdict: Verdict, subject: &'static str, detail: impl Into<String>, field: impl Into<String>) {
        let (detail, field, remedy) = (detail.into(), field.into(), String::new());
        self.0.push(Finding { verdict, subject, detail, field, remedy });
    }

    fn ok(&mut self, subject: &'static str, detail: impl Into<String>, field: impl Into<String>) {
        self.add(Verdict::Ok, subject, detail, field);
    }

    fn warning(&mut self, subject: &'static str, detail: impl Into<String>, field: impl Into<String>) -> &mut Self {
        self.add(Verdict::Warning, subject, detail, field);
        self
    }

    fn error(&mut self, subject: &'static str, detail: impl Into<String>, field: impl Into<String>) -> &mut Self {
        self.add(Verdict::Error, subject, detail, field);
        self
    }

    /// An error that `create` would report, under the field that it names, or `field`.
    fn failure(&mut self, subject: &'static str, error: Error, field: &str) {
        let (text, place, hint) = error.into_parts();
        let place = place.filter(|place| !place.is_empty()).unwrap_or_else(|| field.into());
        self.error(subject, text, place).remedy(hint.unwrap_or_default());
    }

    /// What to do about the finding made last.
    fn remedy(&mut self, text: impl Into<String>) {
        if let Some(last) = self.0.last_mut() {
            last.remedy = text.into();
        }
    }
}

/// Looks at this host, and at everything that the bundle in the directory `bundle` asks of it.
///
/// # Errors
/// A config.json that is missing or cannot be opened; a host whose control groups cannot be read. What config.json says is in
/// the findings.
pub fn check(bundle: Option<&Path>, circumstances: Circumstances) -> Result<Vec<Finding>> {
    look(bundle, circumstances, &Host::detect()?, None)
}

fn look(
    bundle: Option<&Path>,
    circumstances: Circumstances,
    cgroups: &Host,
    overlay: Option<&Path>,
) -> Result<Vec<Finding>> {
    let mut findings = Findings::default();
    let spec = match bundle.map(read).transpose()? {
        // Without it only the host can be looked at.
        Some(Err(error)) => {
            findings.failure("config", error, "");
            None
        }
        Some(Ok(spec)) => Some(spec),
        None => None,
    };
    let bundle = bundle.filter(|_| spec.is_some());
    let spec = spec.unwrap_or_default();
    let (no_linux, no_process) = (Linux::default(), Process::default());
    let asked = Asked {
        bundle,
        spec: &spec,
        linux: spec.linux.as_ref().unwrap_or(&no_linux),
        process: spec.process.as_ref().unwrap_or(&no_process),
        cgroups,
        circumstances,
        overlay,
    };
    if bundle.is_some() {
        config(&mut findings, &asked);
    }
    kernel::look(&mut findings, &asked);
    namespaces::look(&mut findings, &asked);
    network::look(&mut findings, &asked);
    limits::look(&mut findings, &asked);
    cgroups::look(&mut findings, &asked);
    rights::look(&mut findings, &asked);
    if let Some(bundle) = bundle {
        files::look(&mut findings, &asked, bundle);
        mounts::look(&mut findings, &asked, bundle);
    }
    Ok(findings.0)
}

/// config.json, or what is wrong in it.
fn read(bundle: &Path) -> Result<std::result::Result<Spec, Error>> {
    let file = bundle.join("config.json");
    let json = match crate::files::document(&file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new("JSON specification file config.json not found"));
        }
        read => read.map_err(|e| Error::io(format_args!("open {}", file.display()), &e))?,
    };
    Ok(parse::config(&json))
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

fn stat_failed(path: &str, e: &std::io::Error) -> String {
    Error::io(format_args!("stat {path}"), e).to_string()
}

#[cfg(test)]
mod tests;
