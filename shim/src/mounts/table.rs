//! The mounts of our namespace, as proc_pid_mountinfo(5) lists them. Pure but for the reading.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use dunnage::error::{Error, Result};
use dunnage::files;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// Where.
    pub at: PathBuf,
    /// The type of its file system.
    pub kind: String,
}

impl Mounted {
    /// Of a file system that a program serves.
    pub fn is_fuse(&self) -> bool {
        self.kind == "fuse" || self.kind.starts_with("fuse.")
    }
}

/// What is mounted at a path and below it.
pub fn below(top: &Path) -> Result<Vec<Mounted>> {
    const FILE: &str = "/proc/self/mountinfo";
    let table = files::read(FILE).map_err(|e| Error::io(format!("read {FILE}"), &e))?;
    Ok(parse(&table, top))
}

/// One place once, whatever is stacked there; the deepest first.
pub fn places(mounts: Vec<Mounted>) -> Vec<Mounted> {
    let mut places: Vec<Mounted> = Vec::with_capacity(mounts.len());
    // Of a stack the last one is on top.
    for mount in mounts.into_iter().rev() {
        if !places.iter().any(|known| known.at == mount.at) {
            places.push(mount);
        }
    }
    places.sort_by_key(|mount| std::cmp::Reverse(mount.at.components().count()));
    places
}

/// The same of a table's bytes.
pub fn parse(table: &[u8], top: &Path) -> Vec<Mounted> {
    table.split(|byte| *byte == b'\n').filter_map(line).filter(|mount| mount.at.starts_with(top)).collect()
}

/// `36 35 98:0 /root /mount opts [optional...] - type source super,options`
fn line(line: &[u8]) -> Option<Mounted> {
    let mut fields = line.split(|byte| *byte == b' ');
    let at = PathBuf::from(unescape(fields.nth(4)?));
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(Mounted { at, kind: String::from_utf8_lossy(kind).into_owned() })
}

/// Blanks, tabs, newlines, backslashes (and `#`) are three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let octal = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
        match after.split_at_checked(3) {
            Some((digits, after)) if byte == b'\\' => match octal(digits) {
                Some(byte) => {
                    out.push(byte);
                    rest = after;
                }
                None => out.push(byte),
            },
            _ => out.push(byte),
        }
    }
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
25 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
31 25 0:30 / /b/rootfs rw shared:2 master:1 - overlay overlay rw,lowerdir=/a\n\
32 31 0:31 / /b/rootfs/a\\040b rw - fuse.sshfs x rw\n\
33 31 0:32 / /b/rootfs/a\\134040\\011c/d rw - tmpfs - rw\n\
34 31 0:33 / /b/rootfs rw - fuse - rw\n\
35 25 0:34 / /b/rootfs2 rw - fuseblk /dev/x rw\n\
garbage\n";

    #[test]
    fn those_below_a_path() {
        let got = parse(TABLE, Path::new("/b/rootfs"));
        let want = [
            ("/b/rootfs", "overlay"),
            ("/b/rootfs/a b", "fuse.sshfs"),
            ("/b/rootfs/a\\040\tc/d", "tmpfs"),
            ("/b/rootfs", "fuse"),
        ];
        let want = want.map(|(at, kind)| Mounted { at: at.into(), kind: kind.into() });
        assert_eq!(got, want);
        assert_eq!(got.iter().map(Mounted::is_fuse).collect::<Vec<_>>(), [false, true, false, true]);
        let order = places(got).into_iter().map(|mount| (mount.at, mount.kind)).collect::<Vec<_>>();
        let want = [("/b/rootfs/a\\040\tc/d", "tmpfs"), ("/b/rootfs/a b", "fuse.sshfs"), ("/b/rootfs", "fuse")];
        assert_eq!(order, want.map(|(at, kind)| (at.into(), kind.into())));
    }

    #[test]
    fn escapes() {
        for (field, text) in [(&b"a\\040"[..], "a "), (b"\\04", "\\04"), (b"\\x40", "\\x40"), (b"\\134\\", "\\\\")] {
            assert_eq!(unescape(field), text);
        }
    }
}
