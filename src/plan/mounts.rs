//! The root file system and `mounts`: each entry of config.json becomes the steps that make it.

use std::path::Path;

use dunnage_steps::flags::{Attr, MountFlags, Namespaces};
use dunnage_steps::{Owned, Slot, Step};

use super::compile::Request;
use super::entering::Entering;
use super::facts::Facts;
use super::parent::{Given, Idmap, Place};
use super::{Plan, c, clean};
use crate::cgroup::host::Version;
use crate::error::{Error, Result};
use crate::spec::mount_options::{self, MountOptions};
use crate::spec::validate::PROC_FILES;
use crate::spec::{Linux, Mount};

/// The steps of one mount, and what has to be done about it when all are made.
pub struct Draft {
    dest: String,
    bind: bool,
    steps: Vec<Step<Owned>>,
    /// To be read-only, but only at the end: it has to be populated first.
    read_only: bool,
    field: String,
}

impl Draft {
    /// True if it binds something of the host over `path`.
    pub fn is_bind_of(&self, path: &str) -> bool {
        self.bind && self.dest == path
    }
}

/// The container's root on the host.
pub fn rootfs(bundle: &str, path: &str) -> String {
    clean(&Path::new(bundle).join(path).to_string_lossy())
}

/// `rootfsPropagation` as flags; nothing stands for rslave.
pub fn root_propagation(text: &str) -> Result<MountFlags> {
    let rec = MountFlags::REC;
    let flags = match text {
        "" | "rslave" => MountFlags::SLAVE.with(rec),
        "slave" => MountFlags::SLAVE,
        "private" => MountFlags::PRIVATE,
        "rprivate" => MountFlags::PRIVATE.with(rec),
        "shared" => MountFlags::SHARED,
        "rshared" => MountFlags::SHARED.with(rec),
        "unbindable" => MountFlags::UNBINDABLE,
        "runbindable" => MountFlags::UNBINDABLE.with(rec),
        other => {
            return Err(
                Error::new(format!("rootfsPropagation={other} is not supported")).field("/linux/rootfsPropagation")
            );
        }
    };
    Ok(flags)
}

/// Drafts the steps of all mounts. Trees that the parent has to clone get their places.
pub fn draft(request: &Request<'_>, linux: &Linux, e: &Entering, facts: &Facts, p: &mut Plan) -> Result<Vec<Draft>> {
    let mut drafts = Vec::new();
    for (i, mount) in request.spec.mounts.iter().enumerate() {
        let field = format!("/mounts/{i}");
        let options = mount_options::parse(&mount.options);
        let dest = clean(&mount.destination);
        let one = One { mount, options: &options, dest: &dest, field: &field, request, linux };
        let made = if options.is_bind() {
            check_destination(&one).and_then(|()| bind(&one, e, facts, p))
        } else if mount.kind == "cgroup" {
            check_destination(&one).and_then(|()| cgroup(&one, e, facts))
        } else {
            check_destination(&one).and_then(|()| filesystem(&one))
        };
        drafts.push(made.map_err(|e| e.field(field.clone()))?);
    }
    if let Some(dir) = &request.options.notify_dir {
        drafts.push(notify(dir)?);
    }
    Ok(drafts)
}

struct One<'a> {
    mount: &'a Mount,
    options: &'a MountOptions,
    dest: &'a str,
    field: &'a str,
    request: &'a Request<'a>,
    linux: &'a Linux,
}

fn is_allowed_in_proc(dest: &str) -> bool {
    PROC_FILES.contains(&dest)
}

/// What can be said of a destination by its text; links in it are dunnage-init's to see.
fn check_destination(one: &One<'_>) -> Result<()> {
    let rootfs = rootfs(one.request.bundle, one.request.spec.root.as_ref().map_or("", |r| &r.path));
    let dest = one.dest;
    if dest == "/" {
        return Err(Error::new(format!("mountpoint {rootfs:?} is on the top of rootfs {rootfs:?}")));
    }
    let whole = format!("{rootfs}{dest}");
    if dest == "/proc" {
        // Whether a bind is of a procfs, dunnage-init sees.
        return if one.mount.kind == "proc" || one.options.is_bind() {
            Ok(())
        } else {
            Err(Error::new(format!("{whole:?} cannot be mounted because it is not of type proc")))
        };
    }
    if dest.starts_with("/proc/") && !is_allowed_in_proc(dest) {
        return Err(Error::new(format!("{whole:?} cannot be mounted because it is inside /proc")));
    }
    Ok(())
}

/// Mount options, and the SELinux context of everything in the file system. In quotes: a context has commas (`s0:c1,c2`).
fn with_context(data: &str, label: &str) -> String {
    match (data, label) {
        (_, "") => data.to_owned(),
        ("", _) => format!("context=\"{label}\""),
        _ => format!("{data},context=\"{label}\""),
    }
}

/// A file system of its own.
fn filesystem(one: &One<'_>) -> Result<Draft> {
    let One { mount, options, dest, field, linux, .. } = *one;
    let tmpfs = mount.kind == "tmpfs";
    let flags = MountFlags(options.flags);
    // It has to be populated before it is read-only.
    let read_only = (tmpfs || dest == "/dev") && flags.contains(MountFlags::RDONLY);
    // In a user namespace the kernel takes a context as an option of a few types only, and mqueue is none of them.
    let afterwards = if mount.kind == "mqueue" { linux.mount_label.as_str() } else { "" };
    let data = match mount.kind.as_str() {
        "proc" | "sysfs" | "mqueue" => options.data.clone(),
        _ => with_context(&options.data, &linux.mount_label),
    };
    let step = Step::Mount {
        fstype: c(&mount.kind, field)?,
        source: c(&mount.source, field)?,
        dest: c(dest, field)?,
        flags: if read_only { flags.without(MountFlags::RDONLY) } else { flags },
        data: c(data, field)?,
        // A mode that the options give comes after it and wins, so it need not be looked at here.
        keep_mode: tmpfs && !mount.options.iter().any(|o| o.starts_with("mode=")),
        copy_up: options.tmpcopyup,
        in_proc: is_allowed_in_proc(dest),
        fallback: c"".into(),
        label: c(afterwards, "/linux/mountLabel")?,
    };
    let mut draft = Draft { dest: dest.into(), bind: false, steps: vec![step], read_only, field: field.into() };
    after(&mut draft, options);
    Ok(draft)
}

/// A part of the host's tree.
fn bind(one: &One<'_>, e: &Entering, facts: &Facts, p: &mut Plan) -> Result<Draft> {
    let One { mount, options, dest, field, request, .. } = *one;
    if !options.data.is_empty() {
        let text = "bind mounts cannot have any filesystem-specific options applied";
        return Err(Error::new(format!("invalid mount {{{dest} {}}}: {text}: {}", mount.source, options.data)));
    }
    let source = clean(&Path::new(request.bundle).join(&mount.source).to_string_lossy());
    let flags = MountFlags(options.flags);
    let recursive = flags.contains(MountFlags::REC);
    let not_attributes = MountFlags::BIND.with(MountFlags::REC).with(MountFlags::REMOUNT);
    let remount = !flags.without(not_attributes).is_empty() || options.cleared != 0;
    let mapped = options.idmap.is_some() || !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
    // Mapped ids are the host's to set.
    let given = if mapped {
        Some(Given::Mapped(Idmap {
            uids: mount.uid_mappings.clone(),
            gids: mount.gid_mappings.clone(),
            recursive: options.idmap.is_some_and(|i| i.recursive),
        }))
    } else {
        out_of_reach(e, facts).then_some(Given::Handle)
    };
    let from = match given {
        Some(given) => p.place(Place::Tree { source: source.clone(), recursive, given, field: field.into() }),
        None => Slot::NONE,
    };
    let step = Step::Bind {
        source: c(&source, field)?,
        from,
        dest: c(dest, field)?,
        recursive,
        remount,
        set: attributes(flags),
        clear: cleared(flags, MountFlags(options.cleared)),
        in_proc: is_allowed_in_proc(dest),
        procfs: dest == "/proc",
        optional: false,
        detached: mapped,
    };
    let mut draft = Draft { dest: dest.into(), bind: true, steps: vec![step], read_only: false, field: field.into() };
    after(&mut draft, options);
    Ok(draft)
}

/// The root of a user namespace may not get to where something of the host's is. (Without privilege over the host there is nothing
/// that we could do for it.)
fn out_of_reach(e: &Entering, facts: &Facts) -> bool {
    e.has(Namespaces::USER) && facts.euid == 0
}

/// Where the root and the mount that it is on are found, if the container could not get there itself.
#[derive(Debug, Clone, Copy)]
pub struct RootPlaces {
    /// The directory.
    pub root: Slot,
    /// The top of its mount.
    pub mount: Slot,
}

/// Gives them their places. `tied`: the mount is needed too.
pub fn root_places(p: &mut Plan, rootfs: &str, tied: bool, e: &Entering, facts: &Facts) -> RootPlaces {
    let mut places = RootPlaces { root: Slot::NONE, mount: Slot::NONE };
    if e.has(Namespaces::MOUNT) && out_of_reach(e, facts) {
        let mut find = |given| {
            p.place(Place::Tree { source: rootfs.to_owned(), recursive: false, given, field: "/root/path".into() })
        };
        places.root = find(Given::Handle);
        if tied {
            places.mount = find(Given::Mount);
        }
    }
    places
}

/// Recursive attributes, then propagation, in the order given.
fn after(draft: &mut Draft, options: &MountOptions) {
    if options.rec_attr_set | options.rec_attr_clr != 0 {
        draft.steps.push(Step::Attributes { set: Attr(options.rec_attr_set), clear: Attr(options.rec_attr_clr) });
    }
    draft.steps.extend(options.propagation.iter().map(|flags| Step::Propagate { flags: MountFlags(*flags) }));
}

const SAME: [(MountFlags, Attr); 8] = [
    (MountFlags::RDONLY, Attr::RDONLY),
    (MountFlags::NOSUID, Attr::NOSUID),
    (MountFlags::NODEV, Attr::NODEV),
    (MountFlags::NOEXEC, Attr::NOEXEC),
    (MountFlags::NOSYMFOLLOW, Attr::NOSYMFOLLOW),
    (MountFlags::NODIRATIME, Attr::NODIRATIME),
    (MountFlags::NOATIME, Attr::NOATIME),
    (MountFlags::STRICTATIME, Attr::STRICTATIME),
];

/// `MS_*` as `MOUNT_ATTR_*`.
fn attributes(flags: MountFlags) -> Attr {
    SAME.into_iter().filter(|(f, _)| flags.contains(*f)).fold(Attr::none(), |a, (_, b)| a.with(b))
}

/// What must be off. Access times are one field: to name any value of it is to clear the others.
fn cleared(set: MountFlags, cleared: MountFlags) -> Attr {
    let atime = MountFlags::NOATIME.with(MountFlags::RELATIME).with(MountFlags::STRICTATIME);
    let touched = (set.0 | cleared.0) & atime.0 != 0;
    let named = attributes(cleared).without(Attr::ATIME);
    if touched { named.with(Attr::ATIME) } else { named }
}

/// Type `cgroup`: what the container sees of its control groups.
fn cgroup(one: &One<'_>, e: &Entering, facts: &Facts) -> Result<Draft> {
    match facts.cgroups.version() {
        Version::V2 => cgroup2(one, e, facts),
        Version::V1 => cgroup1(one, e, facts),
    }
}

fn cgroup2(one: &One<'_>, e: &Entering, facts: &Facts) -> Result<Draft> {
    let own = facts.cgroup_paths.get("").map(String::as_str);
    let fallback = own.filter(|_| e.has(Namespaces::CGROUP)).unwrap_or(crate::cgroup::host::ROOT);
    let step = Step::Mount {
        fstype: c"cgroup2".into(),
        source: c"cgroup".into(),
        dest: c(one.dest, one.field)?,
        flags: MountFlags(one.options.flags),
        data: c(&one.options.data, one.field)?,
        keep_mode: false,
        copy_up: false,
        in_proc: false,
        fallback: c(fallback, one.field)?,
        label: c"".into(),
    };
    let mut draft =
        Draft { dest: one.dest.into(), bind: false, steps: vec![step], read_only: false, field: one.field.into() };
    after(&mut draft, one.options);
    Ok(draft)
}

/// v1: a tmpfs with a directory for each hierarchy, and links for controllers that share one.
fn cgroup1(one: &One<'_>, e: &Entering, facts: &Facts) -> Result<Draft> {
    let One { dest, field, options, .. } = *one;
    let flags = MountFlags(options.flags);
    let base = MountFlags::NOSUID.with(MountFlags::NODEV).with(MountFlags::NOEXEC);
    let mount = |fstype: &str, source: &str, at: &str, flags, data: &str| -> Result<Step<Owned>> {
        Ok(Step::Mount {
            fstype: c(fstype, field)?,
            source: c(source, field)?,
            dest: c(at, field)?,
            flags,
            data: c(data, field)?,
            keep_mode: false,
            copy_up: false,
            in_proc: false,
            fallback: c"".into(),
            label: c"".into(),
        })
    };
    let data = with_context("mode=755", &one.linux.mount_label);
    let mut steps = vec![mount("tmpfs", "tmpfs", dest, base, &data)?];
    for h in &facts.cgroups.hierarchies {
        let Some(name) = h.mount.rsplit('/').next().filter(|n| !n.is_empty()) else { continue };
        let at = format!("{dest}/{name}");
        let own = h.keys.iter().find_map(|k| facts.cgroup_paths.get(k));
        if e.has(Namespaces::CGROUP) {
            let (fstype, data) =
                if h.version == Version::V2 { ("cgroup2", String::new()) } else { ("cgroup", h.keys.join(",")) };
            steps.push(mount(fstype, "cgroup", &at, flags.with(base), &data)?);
        } else if let Some(own) = own {
            steps.push(Step::Bind {
                source: c(own, field)?,
                from: Slot::NONE,
                dest: c(&at, field)?,
                recursive: false,
                remount: true,
                set: attributes(flags.with(base)),
                clear: Attr::none(),
                in_proc: false,
                procfs: false,
                // Rootless, a group that could not be made is gone without.
                optional: true,
                detached: false,
            });
        }
        for key in h.keys.iter().filter(|k| !k.contains('=') && k.as_str() != name && h.version == Version::V1) {
            let path = c(format!("{dest}/{key}"), field)?;
            steps.push(Step::Symlink { target: c(name, field)?, path, replace: false, target_exists: false });
        }
    }
    let read_only = flags.contains(MountFlags::RDONLY);
    if read_only {
        // With all in it that is to be in it.
        steps.push(Step::ReadOnly { path: c(dest, field)? });
    }
    Ok(Draft { dest: dest.into(), bind: false, steps, read_only: false, field: field.into() })
}

/// The directory of the notify socket.
fn notify(dir: &str) -> Result<Draft> {
    let dest = "/run/notify";
    let step = Step::Bind {
        source: c(dir, "")?,
        from: Slot::NONE,
        dest: c(dest, "")?,
        recursive: false,
        remount: true,
        set: Attr::RDONLY.with(Attr::NOSUID).with(Attr::NODEV).with(Attr::NOEXEC),
        clear: Attr::none(),
        in_proc: false,
        procfs: false,
        optional: false,
        detached: false,
    };
    Ok(Draft { dest: dest.into(), bind: true, steps: vec![step], read_only: false, field: String::new() })
}

/// Emits what was drafted.
pub fn mount_all(p: &mut Plan, drafts: &mut [Draft]) {
    for draft in drafts {
        for step in draft.steps.drain(..) {
            p.child(step, draft.field.clone());
        }
    }
}

/// What could only be made read-only when all was in it.
pub fn finish(p: &mut Plan, drafts: &[Draft], root_read_only: bool) -> Result<()> {
    for draft in drafts.iter().filter(|d| d.read_only) {
        p.child(Step::ReadOnly { path: c(&draft.dest, &draft.field)? }, draft.field.clone());
    }
    if root_read_only {
        p.child(Step::ReadOnly { path: c"/".into() }, "/root/readonly");
    }
    Ok(())
}

/// `readonlyPaths`, then `maskedPaths`, each once.
pub fn restrict(p: &mut Plan, linux: &Linux) -> Result<()> {
    let label = c(&linux.mount_label, "/linux/mountLabel")?;
    let mut seen = std::collections::BTreeSet::new();
    for (i, path) in linux.readonly_paths.iter().enumerate() {
        let field = format!("/linux/readonlyPaths/{i}");
        p.child(Step::ReadOnlyPath { path: c(clean(path), &field)? }, field);
    }
    for (i, path) in linux.masked_paths.iter().enumerate() {
        let field = format!("/linux/maskedPaths/{i}");
        if seen.insert(clean(path)) {
            p.child(Step::Mask { path: c(clean(path), &field)?, label: label.clone() }, field);
        }
    }
    Ok(())
}
