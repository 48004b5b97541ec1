//! The options of a mount (config.md, "Linux mount options"): one table, from which the features document is made too.
//! Must not know what is mounted where.

use libc::{MS_BIND, MS_REC};

/// What a list of options asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// MS_* of mount(2) to set.
    pub flags: u64,
    /// MS_* that were asked to be off: a bind mount keeps its source's flags unless they are named.
    pub cleared: u64,
    /// MS_* of one mount(2) call each, after the mount, in this order.
    pub propagation: Vec<u64>,
    /// MOUNT_ATTR_* to set on the whole tree with mount_setattr(2).
    pub rec_attr_set: u64,
    /// MOUNT_ATTR_* to clear on the whole tree. Access times are one field, not bits: all of it is cleared or nothing.
    pub rec_attr_clr: u64,
    /// What only the filesystem knows, joined with commas.
    pub data: String,
    /// A tmpfs begins with a copy of what it covers.
    pub tmpcopyup: bool,
    /// An id-mapped mount.
    pub idmap: Option<Idmap>,
}

/// How an id mapping applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idmap {
    /// On the whole tree, or on the top mount only.
    pub recursive: bool,
}

impl MountOptions {
    /// `bind` or `rbind` make a bind mount, whatever the type says.
    pub fn is_bind(&self) -> bool {
        self.flags & MS_BIND != 0
    }
}

/// What one option does.
#[derive(Debug, Clone, Copy)]
enum Effect {
    Ignored,
    Set(u64),
    Clear(u64),
    Propagation(u64),
    RecSet(u64),
    RecClear(u64),
    /// One value of the access time field.
    RecAtime(u64),
    /// Not that value: the field returns to relatime, the kernel's default.
    RecAtimeNot(u64),
    TmpCopyUp,
    Idmap(Idmap),
}
use Effect::{Clear, Ignored, Propagation, RecAtime, RecAtimeNot, RecClear, RecSet, Set, TmpCopyUp};

/// MOUNT_ATTR_* of mount_setattr(2).
pub mod attr {
    /// Read-only.
    pub const RDONLY: u64 = 0x0000_0001;
    /// Ignore set-user-id bits and file capabilities.
    pub const NOSUID: u64 = 0x0000_0002;
    /// No access to devices.
    pub const NODEV: u64 = 0x0000_0004;
    /// No execution.
    pub const NOEXEC: u64 = 0x0000_0008;
    /// The access time field.
    pub const ATIME: u64 = 0x0000_0070;
    /// A value of that field.
    pub const RELATIME: u64 = 0x0000_0000;
    /// A value of that field.
    pub const NOATIME: u64 = 0x0000_0010;
    /// A value of that field.
    pub const STRICTATIME: u64 = 0x0000_0020;
    /// No access times of directories.
    pub const NODIRATIME: u64 = 0x0000_0080;
    /// Do not follow symbolic links (Linux 5.14).
    pub const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// Sorted by name.
const OPTIONS: &[(&str, Effect)] = &[
    ("async", Clear(libc::MS_SYNCHRONOUS)),
    ("atime", Clear(libc::MS_NOATIME)),
    ("bind", Set(MS_BIND)),
    // mount(8): "rw, suid, dev, exec, auto, nouser, async", which is what no flag at all means.
    ("defaults", Ignored),
    ("dev", Clear(libc::MS_NODEV)),
    ("diratime", Clear(libc::MS_NODIRATIME)),
    ("dirsync", Set(libc::MS_DIRSYNC)),
    ("exec", Clear(libc::MS_NOEXEC)),
    ("idmap", Effect::Idmap(Idmap { recursive: false })),
    ("iversion", Set(libc::MS_I_VERSION)),
    ("lazytime", Set(libc::MS_LAZYTIME)),
    ("loud", Clear(libc::MS_SILENT)),
    ("mand", Set(libc::MS_MANDLOCK)),
    ("noatime", Set(libc::MS_NOATIME)),
    ("nodev", Set(libc::MS_NODEV)),
    ("nodiratime", Set(libc::MS_NODIRATIME)),
    ("noexec", Set(libc::MS_NOEXEC)),
    ("noiversion", Clear(libc::MS_I_VERSION)),
    ("nolazytime", Clear(libc::MS_LAZYTIME)),
    ("nomand", Clear(libc::MS_MANDLOCK)),
    ("norelatime", Clear(libc::MS_RELATIME)),
    ("nostrictatime", Clear(libc::MS_STRICTATIME)),
    ("nosuid", Set(libc::MS_NOSUID)),
    ("nosymfollow", Set(libc::MS_NOSYMFOLLOW)),
    ("private", Propagation(libc::MS_PRIVATE)),
    ("ratime", RecAtimeNot(attr::NOATIME)),
    ("rbind", Set(MS_BIND | MS_REC)),
    ("rdev", RecClear(attr::NODEV)),
    ("rdiratime", RecClear(attr::NODIRATIME)),
    ("relatime", Set(libc::MS_RELATIME)),
    ("remount", Set(libc::MS_REMOUNT)),
    ("rexec", RecClear(attr::NOEXEC)),
    ("ridmap", Effect::Idmap(Idmap { recursive: true })),
    ("rnoatime", RecAtime(attr::NOATIME)),
    ("rnodev", RecSet(attr::NODEV)),
    ("rnodiratime", RecSet(attr::NODIRATIME)),
    ("rnoexec", RecSet(attr::NOEXEC)),
    // The kernel has no "not relatime" besides noatime and strictatime.
    ("rnorelatime", Ignored),
    ("rnostrictatime", RecAtimeNot(attr::STRICTATIME)),
    ("rnosuid", RecSet(attr::NOSUID)),
    ("rnosymfollow", RecSet(attr::NOSYMFOLLOW)),
    ("ro", Set(libc::MS_RDONLY)),
    ("rprivate", Propagation(libc::MS_PRIVATE | MS_REC)),
    ("rrelatime", RecAtime(attr::RELATIME)),
    ("rro", RecSet(attr::RDONLY)),
    ("rrw", RecClear(attr::RDONLY)),
    ("rshared", Propagation(libc::MS_SHARED | MS_REC)),
    ("rslave", Propagation(libc::MS_SLAVE | MS_REC)),
    ("rstrictatime", RecAtime(attr::STRICTATIME)),
    ("rsuid", RecClear(attr::NOSUID)),
    ("rsymfollow", RecClear(attr::NOSYMFOLLOW)),
    ("runbindable", Propagation(libc::MS_UNBINDABLE | MS_REC)),
    ("rw", Clear(libc::MS_RDONLY)),
    ("shared", Propagation(libc::MS_SHARED)),
    ("silent", Set(libc::MS_SILENT)),
    ("slave", Propagation(libc::MS_SLAVE)),
    ("strictatime", Set(libc::MS_STRICTATIME)),
    ("suid", Clear(libc::MS_NOSUID)),
    ("symfollow", Clear(libc::MS_NOSYMFOLLOW)),
    ("sync", Set(libc::MS_SYNCHRONOUS)),
    ("tmpcopyup", TmpCopyUp),
    ("unbindable", Propagation(libc::MS_UNBINDABLE)),
];

/// Reads the options of one mount, in order; of two that contradict each other the later one wins. It cannot fail: what
/// is not in the table is for the filesystem.
pub fn parse<S: AsRef<str>>(options: &[S]) -> MountOptions {
    let mut out = MountOptions::default();
    for option in options {
        let option = option.as_ref();
        match OPTIONS.binary_search_by(|(name, _)| (*name).cmp(option)) {
            Ok(at) => {
                if let Some((_, effect)) = OPTIONS.get(at) {
                    apply(*effect, &mut out);
                }
            }
            Err(_) => {
                if !out.data.is_empty() {
                    out.data.push(',');
                }
                out.data.push_str(option);
            }
        }
    }
    out
}

fn apply(effect: Effect, out: &mut MountOptions) {
    match effect {
        Ignored => {}
        Set(flag) => {
            out.flags |= flag;
            out.cleared &= !flag;
        }
        Clear(flag) => {
            out.flags &= !flag;
            out.cleared |= flag;
        }
        Propagation(flag) => out.propagation.push(flag),
        RecSet(bit) => {
            out.rec_attr_set |= bit;
            out.rec_attr_clr &= !bit;
        }
        RecClear(bit) => {
            out.rec_attr_set &= !bit;
            out.rec_attr_clr |= bit;
        }
        RecAtime(value) => {
            out.rec_attr_set = (out.rec_attr_set & !attr::ATIME) | value;
            out.rec_attr_clr |= attr::ATIME;
        }
        RecAtimeNot(value) => {
            if out.rec_attr_set & attr::ATIME == value {
                out.rec_attr_set &= !attr::ATIME;
            }
            out.rec_attr_clr |= attr::ATIME;
        }
        TmpCopyUp => out.tmpcopyup = true,
        Effect::Idmap(idmap) => out.idmap = Some(idmap),
    }
}

/// The options that the features document lists, sorted. The mapped ones have a feature of their own there.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().filter(|(_, effect)| !matches!(effect, Effect::Idmap(_))).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_no_doubles() {
        assert!(OPTIONS.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn every_option_of_the_specification_is_known() {
        // config.md, "Linux mount options", in its order.
        let listed = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev \
            nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime \
            rbind rdev rdiratime relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid \
            rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw \
            shared silent slave strictatime suid symfollow sync tmpcopyup unbindable idmap ridmap";
        for option in listed.split_whitespace() {
            assert_eq!(parse(&[option]).data, "", "{option} would be passed to the filesystem");
        }
    }

    #[test]
    fn flags_as_mount_2_wants_them() {
        for (options, flags, cleared) in [
            ("nosuid,noexec,nodev", 2 | 4 | 8, 0),
            ("bind", 4096, 0),
            ("rbind,ro", 4096 | 16384 | 1, 0),
            ("ro,rw", 0, 1),
            ("rw,ro", 1, 0),
            ("noatime,atime", 0, 1024),
            ("sync,dirsync,mand,silent", 16 | 128 | 64 | 32768, 0),
            ("async,loud,nomand", 0, 16 | 32768 | 64),
            ("relatime,strictatime,lazytime,iversion", (1 << 21) | (1 << 24) | (1 << 25) | (1 << 23), 0),
            ("norelatime,nostrictatime,nolazytime,noiversion", 0, (1 << 21) | (1 << 24) | (1 << 25) | (1 << 23)),
            ("nosymfollow", 256, 0),
            ("symfollow,diratime,dev,exec,suid", 0, 256 | 2048 | 4 | 8 | 2),
            ("remount,nodiratime", 32 | 2048, 0),
            ("defaults", 0, 0),
        ] {
            let parsed = parse(&options.split(',').collect::<Vec<_>>());
            assert_eq!((parsed.flags, parsed.cleared, parsed.data.as_str()), (flags, cleared, ""), "{options}");
        }
    }

    #[test]
    fn propagation_keeps_its_order() {
        let parsed = parse(&["rslave", "ro", "shared", "rprivate", "unbindable"]);
        let rec = 16384;
        assert_eq!(parsed.propagation, [rec | 1 << 19, 1 << 20, rec | 1 << 18, 1 << 17]);
        assert_eq!(parsed.flags, 1);
    }

    #[test]
    fn recursive_attributes_as_mount_setattr_wants_them() {
        for (options, set, clr) in [
            ("rro", 1, 0),
            ("rro,rrw", 0, 1),
            ("rrw,rro", 1, 0),
            ("rnosuid,rnodev,rnoexec", 2 | 4 | 8, 0),
            ("rsuid,rdev,rexec", 0, 2 | 4 | 8),
            ("rnodiratime", 0x80, 0),
            ("rdiratime", 0, 0x80),
            ("rnosymfollow", 0x20_0000, 0),
            ("rsymfollow", 0, 0x20_0000),
            // A part of the access time field alone is EINVAL.
            ("rnoatime", 0x10, 0x70),
            ("rrelatime", 0, 0x70),
            ("rstrictatime", 0x20, 0x70),
            ("rnoatime,rstrictatime", 0x20, 0x70),
            ("rnoatime,ratime", 0, 0x70),
            ("rstrictatime,ratime", 0x20, 0x70),
            ("ratime", 0, 0x70),
            ("rnorelatime", 0, 0),
        ] {
            let parsed = parse(&options.split(',').collect::<Vec<_>>());
            assert_eq!((parsed.rec_attr_set, parsed.rec_attr_clr), (set, clr), "{options}");
            assert_eq!((parsed.flags, parsed.data.as_str()), (0, ""), "{options}");
        }
    }

    #[test]
    fn the_rest_is_for_the_filesystem() {
        let parsed = parse(&["mode=755", "ro", "size=65536k", "acl", "defaults"]);
        assert_eq!((parsed.data.as_str(), parsed.flags), ("mode=755,size=65536k,acl", 1));
        assert_eq!(parse(&["RO"]).data, "RO");
    }

    #[test]
    fn extensions() {
        assert!(parse(&["tmpcopyup"]).tmpcopyup);
        assert_eq!(parse(&["idmap"]).idmap, Some(Idmap { recursive: false }));
        assert_eq!(parse(&["bind", "ridmap"]).idmap, Some(Idmap { recursive: true }));
        assert!(parse(&["rbind"]).is_bind() && !parse(&["ro"]).is_bind());
    }
}
