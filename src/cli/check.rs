//! `check`: what this host can and cannot do for a bundle, before anything starts.

use std::path::{Path, PathBuf};

use super::definition::Definition;
use super::definition::shared::{BUNDLE, FORMAT};
use super::{Command, Global, Matches, print, root};
use crate::check::{self, Circumstances, Finding, Verdict};
use crate::error::{Error, Result};

/// The command.
pub static COMMAND: Definition = Definition {
    name: "check",
    about: "say what this host can and cannot do for a bundle",
    usage: "",
    description: "\
Reads the bundle and holds what it asks for against this host: kernel, cgroups and delegation, security modules,
rights, files. Nothing is made or changed. It fails if the bundle could not run here as it stands.

Each line says how a thing stands (ok, warning, ERROR), where, the field of config.json that asks for it, and what can be
done about it. In a directory without config.json, and without --bundle, the host alone is looked at.",
    min: 0,
    max: Some(0),
    stops_at_first: false,
    flags: &[BUNDLE, FORMAT],
    read: |m| Command::Check(CheckArgs::read(m)),
};

/// `check`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckArgs {
    /// `--bundle`
    pub bundle: Option<PathBuf>,
    /// `--format`
    pub format: Option<String>,
}

impl CheckArgs {
    fn read(m: &Matches) -> CheckArgs {
        CheckArgs { bundle: m.path(&BUNDLE), format: m.text(&FORMAT) }
    }
}

pub(super) fn run(global: &Global, args: &CheckArgs) -> Result<u8> {
    let rootless = root::rootless(global)?;
    let circumstances = Circumstances {
        rootless_euid: rootless.euid,
        rootless_cgroups: rootless.cgroups,
        systemd_cgroup: global.systemd_cgroup,
    };
    let bundle = root::clean(&root::absolute(args.bundle.as_deref().unwrap_or(Path::new("")))?);
    // A directory that is named has to be a bundle; the one we happen to be in need not.
    let is_bundle = args.bundle.is_some() || std::fs::symlink_metadata(bundle.join("config.json")).is_ok();
    let findings = check::check(is_bundle.then_some(bundle.as_path()), circumstances)?;
    let text = match args.format.as_deref().unwrap_or("table") {
        "table" => table(&findings),
        "json" => {
            serde_json::to_string_pretty(&findings).map_err(|e| Error::new(format!("findings as JSON: {e}")))? + "\n"
        }
        _ => return Err(Error::new("invalid format option")),
    };
    print(&text)?;
    let what = if is_bundle { "this bundle cannot run here" } else { "containers cannot run here" };
    match findings.iter().filter(|f| f.verdict == Verdict::Error).count() {
        0 => Ok(0),
        1 => Err(Error::new(format!("{what}: 1 error"))),
        n => Err(Error::new(format!("{what}: {n} errors"))),
    }
}

fn table(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { verdict, subject, detail, field, remedy } in findings {
        let verdict = match verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Error => "ERROR",
        };
        let place = if field.is_empty() { String::new() } else { format!(" ({field})") };
        let remedy = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
        let line = format!("{verdict:<8} {subject:<11} {detail}{place}{remedy}");
        // What a config.json says must not steer the terminal.
        text.extend(line.chars().map(|c| if c.is_control() { '?' } else { c }));
        text.push('\n');
    }
    text
}
