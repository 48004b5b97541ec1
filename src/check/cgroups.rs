//! Control groups: the layout, delegation, the controllers that the limits need, and the container's place.

use std::collections::BTreeMap;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::{Asked, Findings, Verdict};
use crate::cgroup::host::{Hierarchy, Layout, Membership, Version};
use crate::cgroup::settings::{Missing, Setting};
use crate::cgroup::systemd::{Manager, Scope, UnitName};
use crate::cgroup::{DeviceList, OwnedCgroup, Paths, Settings, huge_page_sizes, is_frozen};
use crate::error::Result;
use crate::sys::bpf;

pub(super) fn look(findings: &mut Findings, asked: &Asked<'_>) {
    let layout = match asked.cgroups.layout() {
        _ if asked.cgroups.hierarchies.is_empty() => {
            findings
                .error("cgroup", "no control groups are mounted below /sys/fs/cgroup", "")
                .remedy("mount -t cgroup2 none /sys/fs/cgroup");
            return;
        }
        Layout::V1 => "v1",
        Layout::V2 => "v2",
        Layout::Hybrid => "v1, with v2 beside it (hybrid): limits are those of v1",
    };
    findings.ok("cgroup", layout, "");
    if let Some(unified) = asked.cgroups.unified_hierarchy() {
        controllers(findings, asked, unified);
    }
    devices(findings, asked);
    let resources = asked.linux.resources.clone().unwrap_or_default();
    let settings = match Settings::new(asked.cgroups.version(), &resources) {
        Ok(settings) => settings.list,
        Err(e) => return findings.failure("cgroup", e, "/linux/resources"),
    };
    let located = match asked.circumstances.systemd_cgroup {
        true => unit(findings, asked),
        false => Paths::new(asked.cgroups, &asked.linux.cgroups_path, "ID"),
    };
    let paths = match located {
        Ok(paths) => paths,
        Err(e) => return findings.failure("cgroup", e, PATH),
    };
    match asked.cgroups.version() {
        Version::V1 => limits_v1(findings, asked, &settings),
        Version::V2 => limits_v2(findings, asked, &settings, paths.get("").unwrap_or_default()),
    }
    place(findings, asked, &paths);
    if !asked.linux.cgroups_path.is_empty() {
        occupied(findings, asked, &paths);
    }
}

/// Where the unit will be, if systemd answers and can have one of that name.
fn unit(findings: &mut Findings, asked: &Asked<'_>) -> Result<Paths> {
    let scope = Scope::of(asked.circumstances.rootless_cgroups);
    let name = UnitName::new(&asked.linux.cgroups_path, "ID", scope)?;
    let facts = Manager::connect(scope)?.facts()?;
    findings.ok("cgroup", format!("systemd {} makes {} in {}", facts.version, name.unit(), name.slice()), PATH);
    name.paths(asked.cgroups, &facts, Membership::of(1)?.as_ref())
}

const PATH: &str = "/linux/cgroupsPath";

/// What v2 has, and what of it we were given.
fn controllers(findings: &mut Findings, asked: &Asked<'_>, unified: &Hierarchy) {
    let list = words(asked, &format!("{}/cgroup.controllers", unified.mount)).join(", ");
    let none = "none (they are with v1)";
    findings.ok("cgroup", format!("controllers of v2: {}", if list.is_empty() { none } else { &list }), "");
    if asked.circumstances.rootless_euid {
        delegation(findings, asked, unified);
    }
    // Linux 5.14. The root of the hierarchy has none.
    let children = std::fs::read_dir(&unified.mount).into_iter().flatten().flatten();
    let mut children = children.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).peekable();
    if children.peek().is_some() && !children.any(|entry| is_there(entry.path().join("cgroup.kill"))) {
        findings
            .warning("cgroup", "no cgroup.kill (Linux 5.14): processes are frozen and killed one by one", "")
            .remedy("update the kernel");
    }
}

/// config.md leaves to the host which controllers a user gets; systemd's `Delegate=` says so.
fn delegation(findings: &mut Findings, asked: &Asked<'_>, unified: &Hierarchy) {
    let Some(own) = Membership::own().ok().and_then(|own| own.directory(unified)) else { return };
    let writable = |file: &str| access(format!("{own}/{file}").as_str(), AccessFlags::W_OK).is_ok();
    let list = words(asked, &format!("{own}/cgroup.controllers"));
    if !writable("cgroup.procs") {
        findings
            .warning("cgroup", format!("our own cgroup {own} is not delegated to us"), "")
            .remedy("start from a systemd user session, or with systemd-run --user --scope -p Delegate=yes");
    } else {
        findings.ok("cgroup", format!("delegated to us: {own}, with {}", list.join(", ")), "");
    }
}

fn words(asked: &Asked<'_>, file: &str) -> Vec<String> {
    asked.read(file).unwrap_or_default().split_ascii_whitespace().map(String::from).collect()
}

fn is_there(path: impl AsRef<Path>) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// The rules, and on v2 whether the kernel takes the program that enforces them: loaded, attached to nothing, and forgotten.
fn devices(findings: &mut Findings, asked: &Asked<'_>) {
    let field = "/linux/resources/devices";
    let resources = asked.linux.resources.clone().unwrap_or_default();
    let list = match DeviceList::new(&resources.devices, &asked.linux.devices) {
        Ok(list) => list,
        Err(e) => return findings.failure("cgroup", e, field),
    };
    if asked.cgroups.version() == Version::V1 || list.allows_everything() {
        return;
    }
    let instruction = |code, imm| bpf::Insn { code, regs: 0, off: 0, imm };
    // r0 = 1; exit
    let allow = [instruction(0xb7, 1), instruction(0x95, 0)];
    match bpf::prog_load_cgroup_device(&allow, c"Apache-2.0") {
        Ok(_) => findings.ok("cgroup", "device rules can be enforced (eBPF)", ""),
        Err(Errno::EPERM | Errno::EACCES) if asked.circumstances.rootless_cgroups || asked.in_user_namespace() => {
            let detail = "device rules are not enforced without privilege; devices have the host's permissions";
            findings.warning("cgroup", detail, field);
        }
        Err(e) => {
            let text = crate::error::Error::sys("bpf (BPF_PROG_TYPE_CGROUP_DEVICE)", e).to_string();
            findings
                .error("cgroup", text, field)
                .remedy("the kernel needs CONFIG_CGROUP_BPF, we CAP_BPF or CAP_SYS_ADMIN");
        }
    }
}

/// On v1 the root of a hierarchy has the files of its controllers.
fn limits_v1(findings: &mut Findings, asked: &Asked<'_>, settings: &[Setting]) {
    let mut there: Vec<&str> = Vec::new();
    let mut missing: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for setting in settings {
        let controller = setting.controller.as_ref();
        match asked.cgroups.hierarchy(controller).map(|h| format!("{}/{}", h.mount, setting.file)) {
            None => {
                let detail = format!("no controller {controller}: this limit cannot be enforced");
                missing.insert(detail, (&setting.field, "mount it below /sys/fs/cgroup, or leave the limit out"));
            }
            Some(file) if setting.missing == Missing::Error && !is_there(&file) => {
                missing.insert(
                    format!("{file} is missing: this limit cannot be enforced"),
                    (&setting.field, option(&file)),
                );
            }
            Some(_) if !there.contains(&controller) => there.push(controller),
            Some(_) => {}
        }
    }
    report(findings, &there, missing);
}

fn option(file: &str) -> &'static str {
    match file.rsplit('/').next().unwrap_or_default() {
        name if name.contains("memsw") || name.contains("swap") => "boot with swapaccount=1",
        name if name.contains("_rt_") => "the kernel needs CONFIG_RT_GROUP_SCHED",
        _ => "the kernel was built without it; leave the limit out",
    }
}

fn report(findings: &mut Findings, there: &[&str], missing: BTreeMap<String, (&str, &str)>) {
    if !there.is_empty() {
        findings.ok("cgroup", format!("controllers for the limits: {}", there.join(", ")), "/linux/resources");
    }
    for (detail, (field, remedy)) in missing {
        findings.error("cgroup", detail, field).remedy(remedy);
    }
}

/// On v2 a controller has to be passed on by every cgroup above the container's.
fn limits_v2(findings: &mut Findings, asked: &Asked<'_>, settings: &[Setting], path: &str) {
    let mut there: Vec<&str> = Vec::new();
    let mut missing: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for setting in settings {
        let controller = setting.controller.as_ref();
        if let Some(size) = unknown_page_size(&setting.file) {
            let detail = format!("the kernel has no huge pages of {size}: this limit cannot be enforced");
            missing.insert(detail, (&setting.field, "see /sys/kernel/mm/hugepages, or leave the limit out"));
            continue;
        }
        // cgroup.max.depth and the like are every cgroup's.
        if controller == "cgroup" || there.contains(&controller) {
            continue;
        }
        match stopped_at(asked, controller, path) {
            None => there.push(controller),
            Some(Stop::Missing) => {
                let detail = format!("no controller {controller}: this limit cannot be enforced");
                missing.insert(detail, (&setting.field, "boot with it enabled, or leave the limit out"));
            }
            Some(Stop::Denied(dir)) => {
                let detail = format!("{dir} does not pass on the controller {controller}, and we may not change that");
                missing.insert(
                    detail,
                    (&setting.field, "delegate the controller (systemd: Delegate=), or leave the limit out"),
                );
            }
            Some(Stop::InUse(dir)) => {
                let detail = format!("{dir} has processes and so cannot pass on the controller {controller}");
                missing.insert(detail, (&setting.field, "choose a cgroupsPath below a cgroup without processes"));
            }
        }
    }
    report(findings, &there, missing);
}

/// `3MB` of `hugetlb.3MB.max`, where there are none of that size. The root of v2 has no such file to look for.
fn unknown_page_size(file: &str) -> Option<&str> {
    let size = file.strip_prefix("hugetlb.")?.split('.').next()?;
    huge_page_sizes().iter().all(|known| known != size).then_some(size)
}

/// Why a controller does not get to the container's cgroup.
enum Stop {
    Missing,
    Denied(String),
    InUse(String),
}

/// From the top down to the last cgroup that exists: each either passes it on, or can be made to.
fn stopped_at(asked: &Asked<'_>, controller: &str, path: &str) -> Option<Stop> {
    let has = |file: String| words(asked, &file).iter().any(|name| name == controller);
    let root = asked.cgroups.unified_hierarchy()?.mount.as_str();
    if !has(format!("{root}/cgroup.controllers")) {
        return Some(Stop::Missing);
    }
    let below = path.strip_prefix(root)?;
    let ends = below.match_indices('/').map(|(at, _)| root.len().saturating_add(at));
    for dir in ends.filter_map(|end| path.get(..end)).take_while(|dir| is_there(dir)) {
        let file = format!("{dir}/cgroup.subtree_control");
        if has(file.clone()) {
            continue;
        }
        if access(file.as_str(), AccessFlags::W_OK).is_err() {
            return Some(Stop::Denied(dir.into()));
        }
        // cgroups(7), "no internal processes": all but the root.
        if dir != root && !words(asked, &format!("{dir}/cgroup.procs")).is_empty() {
            return Some(Stop::InUse(dir.into()));
        }
    }
    None
}

/// The cgroup's place: its nearest ancestor that is there has to let us make a directory.
fn place(findings: &mut Findings, asked: &Asked<'_>, paths: &Paths) {
    let refused: Vec<String> = paths.0.values().filter_map(|path| refusal(Path::new(path))).collect();
    let Some(first) = refused.first() else {
        let main = Path::new(paths.0.values().next_back().map_or("", String::as_str));
        return match (asked.bundle, main.parent()) {
            (None, Some(parent)) => findings.ok("cgroup", format!("below {} we can make more", parent.display()), ""),
            _ => findings.ok("cgroup", format!("{} can be made", main.display()), PATH),
        };
    };
    let ignored = asked.circumstances.rootless_cgroups && asked.linux.cgroups_path.is_empty();
    let (verdict, but) = match ignored {
        true => (Verdict::Warning, "; the container runs without a cgroup of its own, and without limits"),
        false => (Verdict::Error, ""),
    };
    findings.add(verdict, "cgroup", format!("{first}{but}"), if asked.bundle.is_some() { PATH } else { "" });
    findings.remedy("have the cgroup above it delegated to this user, or run as root");
}

fn refusal(path: &Path) -> Option<String> {
    let ancestor = path.ancestors().find(|dir| is_there(dir))?;
    let e = access(ancestor, AccessFlags::W_OK).err()?;
    Some(crate::error::Error::sys(format_args!("mkdir below {}", ancestor.display()), e).to_string())
}

/// A container gets a cgroup without processes, and one that is not frozen.
fn occupied(findings: &mut Findings, asked: &Asked<'_>, paths: &Paths) {
    let owned = match OwnedCgroup::new(asked.cgroups, paths) {
        Ok(Some(owned)) => owned,
        Ok(None) => return,
        Err(e) => return findings.failure("cgroup", e, PATH),
    };
    match owned.paths().0.values().map(|path| processes(Path::new(path), DEEP)).max().unwrap_or(0) {
        0 => {}
        n => findings
            .error("cgroup", format!("container's cgroup is not empty: {n} process(es) found"), PATH)
            .remedy("delete the container that it belongs to, or choose another path"),
    }
    if is_frozen(paths).unwrap_or(false) {
        findings.error("cgroup", "container's cgroup is frozen", PATH).remedy("thaw it, or choose another path");
    }
}

/// How many levels below a cgroup are looked at.
const DEEP: u32 = 32;

/// The processes of a cgroup and of those below it, as far as they can be seen: nothing is done to them.
fn processes(cgroup: &Path, levels: u32) -> usize {
    let own = crate::files::read_to_string(cgroup.join("cgroup.procs")).map_or(0, |text| text.lines().count());
    let Some(below) = levels.checked_sub(1) else { return own };
    let children = std::fs::read_dir(cgroup).into_iter().flatten().flatten();
    let children = children.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    children.map(|entry| processes(&entry.path(), below)).fold(own, usize::saturating_add)
}
