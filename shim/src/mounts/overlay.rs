//! Overlay: its layers are in its options. A page of options is not enough for many layers, and layers that are to have other ids
//! have to be mounted for that first.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use dunnage::error::{Errno, Error, Result};
use dunnage::files;
use dunnage::launch::trees;
use dunnage::sys::mount::{FsConfig, MountAttr, fsconfig, fsmount, fsopen, mount_id, mount_setattr, open_tree_clone};
use nix::fcntl::OFlag;
use nix::unistd::{fchdir, read};

use super::attach::{Place, attributes, data, detach, failed, mount2, page_size, user_namespace};
use super::options::{Maps, Plan};
use crate::proto::Mount;

/// From here on the options may not fit in a page: what the kernel and a security module add to them is not ours to count.
const SPARE: usize = 512;

/// Mounts an overlay.
pub fn mount(mount: &Mount, plan: &Plan, place: &Place<'_>) -> Result<OwnedFd> {
    let result = match &plan.idmap {
        Some(maps) => mapped(mount, plan, maps, place),
        None => plain(mount, plan, place),
    };
    result.map_err(|error| match missing(&plan.data) {
        Some(path) if error.errno() == Some(Errno::ENOENT) => error.hint(format!("there is no directory {path}")),
        _ => error,
    })
}

fn plain(mount: &Mount, plan: &Plan, place: &Place<'_>) -> Result<OwnedFd> {
    if length(&plan.data).saturating_add(SPARE) < page_size() {
        return by_mount2(mount, plan, &plan.data, place);
    }
    if let Some(overlay) = by_context(&plan.data, plan.flags)? {
        place.attach(&overlay)?;
        return Ok(overlay);
    }
    by_mount2_from_common(mount, plan, place)
}

/// With the names of the layers cut short, from the directory that they have in common.
fn by_mount2_from_common(mount: &Mount, plan: &Plan, place: &Place<'_>) -> Result<OwnedFd> {
    let Some((common, options)) = relative(&plan.data) else {
        return by_mount2(mount, plan, &plan.data, place);
    };
    let common = open_dir(&common)?;
    in_directory(&common, || by_mount2(mount, plan, &options, place))
}

fn by_mount2(mount: &Mount, plan: &Plan, options: &[String], place: &Place<'_>) -> Result<OwnedFd> {
    mount2(&mount.source, &place.covered, &mount.kind, plan.flags, &data(options)?)
        .map_err(|e| failed(mount, place, e))?;
    place.top()
}

/// With layers whose ids are mapped: the directory that they have in common is mounted so for the moment in which the overlay
/// is made, which holds them from then on. That moment's place is the overlay's own, so that nothing but the bundle needs
/// cleaning up if we do not live to the end of it.
fn mapped(mount: &Mount, plan: &Plan, maps: &Maps, place: &Place<'_>) -> Result<OwnedFd> {
    let Some((common, options)) = relative(&plan.data) else {
        return Err(Error::new("an overlay with mapped ids has no lowerdir that is an absolute path"));
    };
    let layers = layers(&plan.data);
    let found = open_dir(&common)?;
    let name = common.to_string_lossy();
    let recursive = has_mounts(&found, &layers)?;
    let tree = open_tree_clone(found.as_fd(), recursive).map_err(|e| Error::sys(format!("open_tree {name}"), e))?;
    trees::map_ids(&tree, &name, recursive, recursive, &user_namespace(maps)?)?;
    let read_only = MountAttr { propagation: libc::MS_PRIVATE, ..attributes(libc::MS_RDONLY) };
    mount_setattr(tree.as_fd(), recursive, &read_only).map_err(|e| Error::sys(format!("mount_setattr {name}"), e))?;
    place.attach(&tree)?;
    let overlay = in_directory(&tree, || match by_context(&options, plan.flags)? {
        Some(overlay) => Ok(overlay),
        None => {
            let attached = by_mount2(mount, plan, &options, place)?;
            let overlay = open_tree_clone(attached.as_fd(), false);
            detach(&attached);
            overlay.map_err(|e| Error::sys("open_tree of the overlay", e))
        }
    });
    detach(&tree);
    let overlay = overlay?;
    place.attach(&overlay)?;
    Ok(overlay)
}

/// Whether a layer is on another mount than the directory that all are in.
fn has_mounts(common: &OwnedFd, layers: &[&str]) -> Result<bool> {
    let Ok(id) = mount_id(common.as_fd()) else { return Ok(false) };
    for layer in layers.iter().filter(|layer| !layer.is_empty()) {
        if mount_id(open_dir(Path::new(layer))?.as_fd()) != Ok(id) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// As a context of the new interface, attached nowhere: one option for each layer, so no page is too small.
///
/// `None` if this kernel (before 6.7) or these options need mount(2).
fn by_context(options: &[String], flags: u64) -> Result<Option<OwnedFd>> {
    // What mount(2) takes a backslash away from is taken as it is here; and a value has at most 255 bytes.
    let long = |value: &str| value.len() > 255 || value.contains('\\');
    let long_option = |option: &String| match option.split_once('=') {
        Some(("lowerdir", list)) => list.split(':').any(long),
        Some((_, value)) => long(value),
        None => false,
    };
    if options.iter().any(long_option) {
        return Ok(None);
    }
    let context = match fsopen(c"overlay") {
        Ok(context) => context,
        // EPERM is a seccomp filter's.
        Err(Errno::ENOSYS | Errno::EPERM) => return Ok(None),
        Err(e) => return Err(Error::sys("fsopen overlay", e)),
    };
    // A file system of the old interface takes whatever it is told until it is made.
    if fsconfig(context.as_fd(), FsConfig::Flag(c"dunnage_asks")).is_ok() {
        return Ok(None);
    }
    // What it said about that.
    said(&context);
    let told = |(key, value): (&str, Option<&str>)| tell(&context, key, value);
    for (index, setting) in settings(options, flags).into_iter().enumerate() {
        match told(setting) {
            Ok(()) => {}
            // The first of them is lowerdir+.
            Err(Errno::EINVAL) if index == 0 && setting.0 == "lowerdir+" && said(&context).contains("nknown") => {
                return Ok(None);
            }
            Err(e) => return Err(explained(&context, format!("fsconfig {}", setting.0), e)),
        }
    }
    fsconfig(context.as_fd(), FsConfig::Create)
        .map_err(|e| explained(&context, "mount overlay: fsconfig".into(), e))?;
    let attributes = u32::try_from(attributes(flags).set).unwrap_or(0);
    fsmount(context.as_fd(), attributes).map(Some).map_err(|e| explained(&context, "fsmount overlay".into(), e))
}

/// Keys and values, the layers first.
fn settings(options: &[String], flags: u64) -> Vec<(&str, Option<&str>)> {
    let mut out = Vec::with_capacity(options.len());
    let mut key = "lowerdir+";
    for layer in layers(options) {
        match layer {
            // Two colons: what follows has only the data of files.
            "" => key = "datadir+",
            layer => out.push((key, Some(layer))),
        }
    }
    for option in options {
        match option.split_once('=') {
            Some(("lowerdir", _)) => {}
            // In a page of options SELinux's have quotes around them, for their commas.
            Some((key, value)) if key.ends_with("context") => out.push((key, Some(value.trim_matches('"')))),
            Some((key, value)) => out.push((key, Some(value))),
            None => out.push((option.as_str(), None)),
        }
    }
    out.push(("source", Some("overlay")));
    let of_file_system = [
        (libc::MS_RDONLY, "ro"),
        (libc::MS_SYNCHRONOUS, "sync"),
        (libc::MS_DIRSYNC, "dirsync"),
        (libc::MS_MANDLOCK, "mand"),
        (libc::MS_LAZYTIME, "lazytime"),
    ];
    out.extend(of_file_system.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| (*name, None)));
    out
}

fn tell(context: &OwnedFd, key: &str, value: Option<&str>) -> std::result::Result<(), Errno> {
    let string = |text| CString::new(text).map_err(|_| Errno::EINVAL);
    let key = string(key)?;
    match value {
        None => fsconfig(context.as_fd(), FsConfig::Flag(&key)),
        Some(value) => fsconfig(context.as_fd(), FsConfig::String(&key, &string(value)?)),
    }
}

/// What the kernel has to say about the context.
fn said(context: &OwnedFd) -> String {
    let mut messages = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length) = read(context, &mut buffer) {
        let message = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        // `e ` is for errors, `w ` for warnings.
        messages.push(message.get(2..).unwrap_or_default().trim_end().to_owned());
    }
    messages.join("; ")
}

fn explained(context: &OwnedFd, call: String, errno: Errno) -> Error {
    match said(context) {
        text if text.is_empty() => Error::sys(call, errno),
        text => Error::sys(format!("{call}: {text}"), errno),
    }
}

/// The first of the directories that is not there.
fn missing(options: &[String]) -> Option<String> {
    let named = options.iter().filter_map(|option| match option.split_once('=')? {
        ("upperdir" | "workdir", path) => Some(path),
        _ => None,
    });
    let mut all = layers(options).into_iter().filter(|layer| !layer.is_empty()).chain(named);
    all.find(|path| std::fs::metadata(path).is_err()).map(str::to_owned)
}

/// The ways to make one, for a test that has made the layers.
#[cfg(test)]
pub fn by_way(mount: &Mount, plan: &Plan, place: &Place<'_>, way: usize) -> Result<OwnedFd> {
    match way {
        0 => by_mount2(mount, plan, &plan.data, place),
        1 => by_mount2_from_common(mount, plan, place),
        _ => {
            let overlay = by_context(&plan.data, plan.flags)?.ok_or_else(|| Error::new("not by context"))?;
            place.attach(&overlay).map(|()| overlay)
        }
    }
}

/// The lower layers, the uppermost first; an empty one is between two colons.
fn layers(options: &[String]) -> Vec<&str> {
    let list = options.iter().rev().find_map(|option| option.strip_prefix("lowerdir="));
    list.map(split).unwrap_or_default()
}

/// At the colons that have no backslash before them.
fn split(list: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, byte) in list.bytes().enumerate() {
        if byte == b':' && !escaped {
            out.push(list.get(start..at).unwrap_or_default());
            start = at.saturating_add(1);
        }
        escaped = byte == b'\\' && !escaped;
    }
    out.push(list.get(start..).unwrap_or_default());
    out
}

fn length(options: &[String]) -> usize {
    options.iter().map(|option| option.len().saturating_add(1)).sum()
}

/// The directory that all layers are in, and the options with the layers as seen from there. `None` if one is relative
/// already, or has no parent.
fn relative(options: &[String]) -> Option<(PathBuf, Vec<String>)> {
    let layers = layers(options);
    let mut common: Option<PathBuf> = None;
    for layer in layers.iter().filter(|layer| !layer.is_empty()) {
        let parent = Path::new(layer).parent().filter(|parent| parent.is_absolute())?;
        common = Some(match common {
            None => parent.to_owned(),
            Some(common) => shared(&common, parent),
        });
    }
    let common = common?;
    let from_there = |layer: &&str| match Path::new(layer).strip_prefix(&common) {
        Ok(rest) => rest.to_str().map(str::to_owned),
        // The empty one.
        Err(_) => Some(String::new()),
    };
    let list = layers.iter().map(from_there).collect::<Option<Vec<_>>>()?.join(":");
    let rest = options.iter().filter(|option| !option.starts_with("lowerdir="));
    let options = rest.cloned().chain([format!("lowerdir={list}")]).collect();
    Some((common, options))
}

fn shared(a: &Path, b: &Path) -> PathBuf {
    a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

fn open_dir(path: &Path) -> Result<OwnedFd> {
    files::open(path, OFlag::O_PATH | OFlag::O_DIRECTORY).map_err(|e| Error::sys(format!("open {}", path.display()), e))
}

/// Does something with this as the working directory, and comes back.
fn in_directory<T>(dir: &OwnedFd, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = open_dir(Path::new("."))?;
    fchdir(dir).map_err(|e| Error::sys("fchdir to the layers", e))?;
    let result = work();
    fchdir(&before).map_err(|e| Error::sys("fchdir back from the layers", e))?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(options: &[&str]) -> Vec<String> {
        options.iter().map(|o| (*o).to_owned()).collect()
    }

    #[test]
    fn layers_seen_from_the_directory_that_they_share() {
        for (options, want) in [
            (&["lowerdir=/s/1/fs:/s/2/fs", "index=off"][..], Some(("/s", "index=off,lowerdir=1/fs:2/fs"))),
            (&["lowerdir=/s/1/fs"], Some(("/s/1", "lowerdir=fs"))),
            (&["lowerdir=/s/1:/s/12"], Some(("/s", "lowerdir=1:12"))),
            (&["lowerdir=/s/1:/s/1/x"], Some(("/s", "lowerdir=1:1/x"))),
            (&["lowerdir=/a:/b"], Some(("/", "lowerdir=a:b"))),
            (&["lowerdir=/s/a\\:b:/s/c"], Some(("/s", "lowerdir=a\\:b:c"))),
            (&["lowerdir=/s/1::/s/2", "metacopy=on"], Some(("/s", "metacopy=on,lowerdir=1::2"))),
            (&["lowerdir=1:2"], None),
            (&["lowerdir=/"], None),
            (&["upperdir=/u"], None),
        ] {
            let got = relative(&strings(options)).map(|(common, options)| (common, options.join(",")));
            assert_eq!(got, want.map(|(common, options)| (common.into(), options.into())), "{options:?}");
        }
    }

    #[test]
    fn what_the_context_is_told() {
        let options = strings(&["index=off", "userxattr", "lowerdir=/1:/2::/3", "upperdir=/u", "context=\"a:c1,c2\""]);
        let got: Vec<String> = settings(&options, libc::MS_RDONLY | libc::MS_NODEV)
            .into_iter()
            .map(|(key, value)| value.map_or(key.to_owned(), |value| format!("{key}={value}")))
            .collect();
        let want = "lowerdir+=/1 lowerdir+=/2 datadir+=/3 index=off userxattr upperdir=/u context=a:c1,c2 source=overlay \
            ro";
        assert_eq!(got.join(" "), want);
    }
}
