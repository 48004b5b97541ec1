//! The options of a mount as containerd's snapshotters write them -> what has to be done. Pure; must not know where it is mounted.

use dunnage::error::{Error, Result};
use dunnage::spec::{IdMapping, mount_options};
use libc::{MS_BIND, MS_REC, MS_REMOUNT};

use crate::proto::Mount;

/// What one mount takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which way.
    pub how: How,
    /// MS_* of mount(2), without MS_BIND, MS_REC and MS_REMOUNT, which `how` says.
    pub flags: u64,
    /// MOUNT_ATTR_* to set and to clear on the mount and all below it (`rro` and the like).
    pub recursive_attributes: (u64, u64),
    /// MS_* of one mount(2) each, after the mount: the kernel takes no other change in the same call.
    pub propagation: Vec<u64>,
    /// What only the file system knows, as given.
    pub data: Vec<String>,
    /// The ids of the files are others here.
    pub idmap: Option<Maps>,
}

/// The ways to mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// A part of the tree a second time, with `recursive` what is mounted below it.
    Bind {
        /// `rbind`
        recursive: bool,
    },
    /// Other options for what is mounted there.
    Remount,
    /// The one file system whose sources are in its options.
    Overlay,
    /// Any other file system of the kernel's.
    Filesystem {
        /// The source is a file that a loop device makes a block device.
        image: Option<Image>,
    },
    /// One of FUSE, whose helper mounts it: the only programs that a mount runs.
    Helper {
        /// `mount.fuse` or `mount.fuse3`
        program: &'static str,
        /// What the helper takes as `-t`.
        subtype: String,
    },
}

/// How a loop device treats its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Opened for reading only.
    pub read_only: bool,
    /// Past the page cache.
    pub direct_io: bool,
}

/// The two maps of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maps {
    /// Of users.
    pub uids: Vec<IdMapping>,
    /// Of groups.
    pub gids: Vec<IdMapping>,
}

/// Reads type and options.
///
/// # Errors
/// What is meant for containerd alone, or contradicts itself.
pub fn plan(mount: &Mount) -> Result<Plan> {
    if let Some(internal) = mount.options.iter().find(|option| option.starts_with("X-containerd.")) {
        return Err(Error::new(format!("internal mount option {internal:?} was not consumed by the mount manager")));
    }
    if let Some((program, subtype)) = helper(&mount.kind)? {
        let how = How::Helper { program, subtype };
        let data = mount.options.clone();
        return Ok(Plan { how, flags: 0, recursive_attributes: (0, 0), propagation: Vec::new(), data, idmap: None });
    }
    let (mut uidmap, mut gidmap, mut image) = (None, None, false);
    let mut rest = Vec::with_capacity(mount.options.len());
    for option in &mount.options {
        match option.split_once('=') {
            Some(("uidmap", map)) => uidmap = Some(id_map("uidmap", map)?),
            Some(("gidmap", map)) => gidmap = Some(id_map("gidmap", map)?),
            _ if option == "loop" => image = true,
            _ => rest.push(option.as_str()),
        }
    }
    let idmap = match (uidmap, gidmap) {
        (None, None) => None,
        (Some(uids), Some(gids)) => Some(Maps { uids, gids }),
        _ => return Err(Error::new("of the options uidmap= and gidmap= there is only one")),
    };
    sorted(mount, &rest, image, idmap)
}

fn sorted(mount: &Mount, options: &[&str], image: bool, idmap: Option<Maps>) -> Result<Plan> {
    let mut data = Vec::new();
    let mut known = Vec::with_capacity(options.len());
    for option in options {
        // What is not one of the table's comes back as it was.
        let parsed = mount_options::parse(&[option]);
        // These two the container's runtime gives a meaning to, not a mount.
        if parsed.tmpcopyup || parsed.idmap.is_some() || !parsed.data.is_empty() {
            data.push((*option).to_owned());
        } else {
            known.push(*option);
        }
    }
    let parsed = mount_options::parse(&known);
    let flags = parsed.flags & !(MS_BIND | MS_REC | MS_REMOUNT);
    let how = if parsed.flags & MS_REMOUNT != 0 {
        How::Remount
    } else if parsed.is_bind() {
        How::Bind { recursive: parsed.flags & MS_REC != 0 }
    } else if mount.kind == "overlay" {
        // Its layers are among them, and are looked for.
        data = data.iter().flat_map(|option| words(option)).map(str::to_owned).collect();
        How::Overlay
    } else {
        How::Filesystem { image: image.then(|| loop_device(flags, &mut data)) }
    };
    match how {
        How::Bind { .. } | How::Overlay | How::Remount if image => {
            Err(Error::new(format!("option loop of a mount that has no block device ({:?})", mount.kind)))
        }
        How::Remount if idmap.is_some() => Err(Error::new("options uidmap= and gidmap= of a remount")),
        how => Ok(Plan {
            how,
            flags,
            recursive_attributes: (parsed.rec_attr_set, parsed.rec_attr_clr),
            propagation: parsed.propagation,
            data,
            idmap,
        }),
    }
}

/// At the commas, as the kernel does it: neither at one after a backslash nor at one in quotes, which are SELinux's.
fn words(options: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut escaped, mut quoted) = (0, false, false);
    for (at, byte) in options.bytes().enumerate() {
        if byte == b',' && !escaped && !quoted {
            out.push(options.get(start..at).unwrap_or_default());
            start = at.saturating_add(1);
        }
        quoted ^= byte == b'"';
        escaped = byte == b'\\' && !escaped;
    }
    out.push(options.get(start..).unwrap_or_default());
    out
}

/// Its options are among those of the file system.
fn loop_device(flags: u64, data: &mut Vec<String>) -> Image {
    let before = data.len();
    data.retain(|option| option != "direct-io");
    Image { read_only: flags & libc::MS_RDONLY != 0, direct_io: data.len() != before }
}

/// `fuse.X` or `fuse3.X`.
fn helper(kind: &str) -> Result<Option<(&'static str, String)>> {
    let (program, subtype) = match kind.split_once('.') {
        Some(("fuse", subtype)) => ("mount.fuse", subtype),
        Some(("fuse3", subtype)) => ("mount.fuse3", subtype),
        _ => return Ok(None),
    };
    // The helper runs it by a shell.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if subtype.is_empty() || subtype.starts_with('-') || !subtype.chars().all(plain) {
        return Err(Error::new(format!("{kind:?} is no type of a file system")));
    }
    Ok(Some((program, subtype.to_owned())))
}

/// `container:host:size[,...]`
fn id_map(option: &str, map: &str) -> Result<Vec<IdMapping>> {
    let bad = || Error::new(format!("option {option}={map:?} is not CONTAINER-ID:HOST-ID:SIZE[,...]"));
    let number = |text: &str| text.parse::<u32>().map_err(|_| bad());
    map.split(',')
        .map(|range| {
            let fields: Vec<&str> = range.split(':').collect();
            let [container, host, size] = fields.as_slice() else { return Err(bad()) };
            Ok(IdMapping { container_id: number(container)?, host_id: number(host)?, size: number(size)? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, options: &[&str]) -> Mount {
        let options = options.iter().map(|o| (*o).to_owned()).collect();
        Mount { kind: kind.into(), source: "source".into(), options, ..Mount::default() }
    }

    fn of(kind: &str, options: &[&str]) -> Plan {
        plan(&mount(kind, options)).unwrap()
    }

    #[test]
    fn every_flag_of_containerd() {
        for (option, flags) in [
            ("async", 0),
            ("atime", 0),
            ("defaults", 0),
            ("dev", 0),
            ("diratime", 0),
            ("dirsync", libc::MS_DIRSYNC),
            ("exec", 0),
            ("mand", libc::MS_MANDLOCK),
            ("noatime", libc::MS_NOATIME),
            ("nodev", libc::MS_NODEV),
            ("nodiratime", libc::MS_NODIRATIME),
            ("noexec", libc::MS_NOEXEC),
            ("nomand", 0),
            ("norelatime", 0),
            ("nostrictatime", 0),
            ("nosuid", libc::MS_NOSUID),
            ("relatime", libc::MS_RELATIME),
            ("ro", libc::MS_RDONLY),
            ("rw", 0),
            ("strictatime", libc::MS_STRICTATIME),
            ("suid", 0),
            ("sync", libc::MS_SYNCHRONOUS),
        ] {
            let plan = of("ext4", &[option]);
            let none = Plan { flags, ..of("ext4", &[]) };
            assert_eq!(plan, none, "{option}");
        }
        for (option, flag) in [
            ("private", libc::MS_PRIVATE),
            ("rprivate", libc::MS_PRIVATE | MS_REC),
            ("shared", libc::MS_SHARED),
            ("rshared", libc::MS_SHARED | MS_REC),
            ("slave", libc::MS_SLAVE),
            ("rslave", libc::MS_SLAVE | MS_REC),
            ("unbindable", libc::MS_UNBINDABLE),
            ("runbindable", libc::MS_UNBINDABLE | MS_REC),
        ] {
            let plan = of("bind", &["bind", option]);
            assert_eq!((plan.propagation, plan.flags), (vec![flag], 0), "{option}");
        }
    }

    #[test]
    fn the_ways_to_mount() {
        for (kind, options, how) in [
            ("bind", &["rbind", "rw"][..], How::Bind { recursive: true }),
            ("bind", &["bind"], How::Bind { recursive: false }),
            ("overlay", &["bind"], How::Bind { recursive: false }),
            ("overlay", &["lowerdir=/a:/b"], How::Overlay),
            ("", &["remount", "ro", "bind"], How::Remount),
            ("erofs", &["ro"], How::Filesystem { image: None }),
            ("fuse", &[], How::Filesystem { image: None }),
            ("fuse.sshfs", &["ro"], How::Helper { program: "mount.fuse", subtype: "sshfs".into() }),
            ("fuse3.fuse-overlayfs", &[], How::Helper { program: "mount.fuse3", subtype: "fuse-overlayfs".into() }),
            ("ext4", &["loop"], How::Filesystem { image: Some(Image { read_only: false, direct_io: false }) }),
            (
                "ext4",
                &["ro", "direct-io", "loop"],
                How::Filesystem { image: Some(Image { read_only: true, direct_io: true }) },
            ),
        ] {
            assert_eq!(of(kind, options).how, how, "{kind} {options:?}");
        }
        // A file system may have an option of that name.
        assert_eq!(of("x", &["direct-io"]).data, ["direct-io"]);
        assert_eq!(of("ext4", &["direct-io", "loop", "acl"]).data, ["acl"]);
    }

    #[test]
    fn what_is_for_the_file_system_stays_as_it_is() {
        let options = ["index=off", "userxattr", "workdir=/w", "ro", "lowerdir=/a:/b", "idmap", "tmpcopyup"];
        let plan = of("overlay", &options);
        assert_eq!(plan.data, ["index=off", "userxattr", "workdir=/w", "lowerdir=/a:/b", "idmap", "tmpcopyup"]);
        assert_eq!(plan.flags, libc::MS_RDONLY);
        let joined = ["index=off,lowerdir=/a\\,b:/c", "context=\"a:s0:c1,c2\",x"];
        let plan = of("overlay", &joined);
        assert_eq!(plan.data, ["index=off", "lowerdir=/a\\,b:/c", "context=\"a:s0:c1,c2\"", "x"]);
        assert_eq!(of("x", &joined).data, joined);
        // What a helper reads is its business.
        assert_eq!(of("fuse.x", &["ro", "uidmap=1"]).data, ["ro", "uidmap=1"]);
        assert_eq!(of("bind", &["bind", "rro"]).recursive_attributes, (1, 0));
    }

    #[test]
    fn maps_of_ids() {
        let map = |container_id, host_id, size| IdMapping { container_id, host_id, size };
        let plan = of("overlay", &["uidmap=0:1000:1,1:70000:65535", "gidmap=0:4294967294:1", "lowerdir=/l"]);
        let maps = plan.idmap.unwrap();
        assert_eq!(maps.uids, [map(0, 1000, 1), map(1, 70000, 65535)]);
        assert_eq!(maps.gids, [map(0, u32::MAX - 1, 1)]);
        assert_eq!(plan.data, ["lowerdir=/l"]);
    }

    #[test]
    fn what_is_refused() {
        for (kind, options, text) in [
            (
                "overlay",
                &["X-containerd.mkfs.size=1"][..],
                "internal mount option \"X-containerd.mkfs.size=1\" was not consumed by the mount manager",
            ),
            (
                "fuse.x",
                &["X-containerd.a"],
                "internal mount option \"X-containerd.a\" was not consumed by the mount manager",
            ),
            ("overlay", &["uidmap=0:1:1"], "of the options uidmap= and gidmap= there is only one"),
            ("overlay", &["gidmap=0:1:1"], "of the options uidmap= and gidmap= there is only one"),
            ("bind", &["uidmap=0:1"], "option uidmap=\"0:1\" is not CONTAINER-ID:HOST-ID:SIZE[,...]"),
            ("bind", &["uidmap="], "option uidmap=\"\" is not CONTAINER-ID:HOST-ID:SIZE[,...]"),
            ("bind", &["gidmap=0:-1:1"], "option gidmap=\"0:-1:1\" is not CONTAINER-ID:HOST-ID:SIZE[,...]"),
            ("bind", &["bind", "loop"], "option loop of a mount that has no block device (\"bind\")"),
            ("fuse.", &[], "\"fuse.\" is no type of a file system"),
            ("fuse.-x", &[], "\"fuse.-x\" is no type of a file system"),
            ("fuse3.a;reboot", &[], "\"fuse3.a;reboot\" is no type of a file system"),
            ("x", &["remount", "uidmap=0:1:1", "gidmap=0:1:1"], "options uidmap= and gidmap= of a remount"),
        ] {
            assert_eq!(plan(&mount(kind, options)).unwrap_err().to_string(), text);
        }
    }
}
