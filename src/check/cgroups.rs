//! Control groups: the layout, the controllers that the limits need, and whether we may make a cgroup.

use std::collections::BTreeMap;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::{Asked, Findings, Verdict};
use crate::cgroup::host::{Layout, Version};
use crate::cgroup::settings::Missing;
use crate::cgroup::{DeviceList, Paths, Settings};

pub(super) fn look(findings: &mut Findings, asked: &Asked<'_>) {
    let layout = match asked.cgroups.layout() {
        Layout::V1 => "v1",
        Layout::V2 => "v2",
        Layout::Hybrid => "v1, with v2 beside it (hybrid): limits are those of v1",
    };
    findings.ok("cgroup", layout, "");
    if asked.circumstances.systemd_cgroup {
        findings.error("cgroup", "the systemd driver is not in this version", "/linux/cgroupsPath");
    }
    let resources = asked.linux.resources.clone().unwrap_or_default();
    if let Err(e) = DeviceList::new(&resources.devices, &asked.linux.devices) {
        findings.error("cgroup", e.to_string(), "/linux/resources/devices");
    }
    match Settings::new(asked.cgroups.version(), &resources) {
        Ok(settings) => limits(findings, asked, &settings),
        Err(e) => findings.error("cgroup", e.to_string(), "/linux/resources"),
    }
    place(findings, asked);
}

/// Each limit's controller, and on v1 its file: there the root of a hierarchy has them all.
fn limits(findings: &mut Findings, asked: &Asked<'_>, settings: &Settings) {
    let version = asked.cgroups.version();
    let available = asked.cgroups.available_controllers().unwrap_or_default();
    // v2 has some files (cgroup.*) without a controller, and hides the others of the root.
    let mut missing: BTreeMap<String, String> = BTreeMap::new();
    let mut there: Vec<&str> = Vec::new();
    for setting in &settings.list {
        let controller = setting.controller.as_ref();
        let wanted = match version {
            Version::V1 => asked.cgroups.hierarchy(controller).map(|h| format!("{}/{}", h.mount, setting.file)),
            Version::V2 if controller == "cgroup" || available.iter().any(|c| c == controller) => Some(String::new()),
            Version::V2 => None,
        };
        match wanted {
            None => {
                missing.insert(format!("controller {controller} is missing"), setting.field.to_string());
            }
            Some(file) if !file.is_empty() && setting.missing == Missing::Error && !is_there(&file) => {
                missing.insert(format!("{file} is missing"), setting.field.to_string());
            }
            Some(_) if !there.contains(&controller) => there.push(controller),
            Some(_) => {}
        }
    }
    if !there.is_empty() {
        findings.ok("cgroup", format!("controllers for the limits: {}", there.join(", ")), "/linux/resources");
    }
    for (detail, field) in missing {
        findings.error("cgroup", detail, field);
    }
}

fn is_there(path: &str) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// The cgroup's place: its nearest ancestor that is there has to let us make a directory.
fn place(findings: &mut Findings, asked: &Asked<'_>) {
    let field = "/linux/cgroupsPath";
    let paths = match Paths::new(asked.cgroups, &asked.linux.cgroups_path, "ID") {
        Ok(paths) => paths,
        Err(e) => return findings.error("cgroup", e.to_string(), field),
    };
    let refused: Vec<String> = paths.0.values().filter_map(|path| refusal(Path::new(path))).collect();
    let Some(first) = refused.first() else {
        let main = paths.0.values().next_back().map_or("", String::as_str);
        return findings.ok("cgroup", format!("{main} can be made"), field);
    };
    let ignored = asked.circumstances.rootless_cgroups && asked.linux.cgroups_path.is_empty();
    let (verdict, but) = match ignored {
        true => (Verdict::Warning, "; the container runs without a cgroup of its own, and without limits"),
        false => (Verdict::Error, ""),
    };
    findings.add(verdict, "cgroup", format!("{first}{but}"), field);
}

fn refusal(path: &Path) -> Option<String> {
    let ancestor = path.ancestors().find(|dir| std::fs::symlink_metadata(dir).is_ok())?;
    let e = access(ancestor, AccessFlags::W_OK).err()?;
    Some(crate::error::Error::sys(format_args!("mkdir below {}", ancestor.display()), e).to_string())
}
