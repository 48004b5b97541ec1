//! /dev: the nodes and links that every container has, and those of `linux.devices`.

use dunnage_steps::Step;

use super::mounts::Draft;
use super::{Plan, c, clean};
use crate::error::{Error, Result};
use crate::spec::{Device, Linux};

/// (path, major, minor): config-linux.md, "Default Devices".
const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/random", 1, 8),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/zero", 1, 5),
    ("/dev/urandom", 1, 9),
];

/// (link, target): config-linux.md, "Dev symbolic links".
const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

const S_IFCHR: u32 = 0o020000;
const S_IFBLK: u32 = 0o060000;
const S_IFIFO: u32 = 0o010000;

/// Makes them, unless /dev is bound from the host: then it is what the host says. `bind`: nodes can't be made here, but bound.
pub fn populate(p: &mut Plan, linux: &Linux, mounts: &[Draft], bind: bool) -> Result<()> {
    if mounts.iter().any(|m| m.is_bind_of("/dev")) {
        return Ok(());
    }
    for (path, major, minor) in DEFAULT {
        if linux.devices.iter().all(|d| clean(&d.path) != path) {
            let node = Step::Node {
                path: c(path, "")?,
                kind: S_IFCHR,
                major,
                minor,
                mode: 0o666,
                uid: 0,
                gid: 0,
                bind,
                exact: false,
            };
            p.always(node);
        }
    }
    for (i, device) in linux.devices.iter().enumerate() {
        let field = format!("/linux/devices/{i}");
        // It is a link in every container, whatever is asked for.
        if clean(&device.path) != "/dev/ptmx" {
            let step = node(device, bind, &field).map_err(|e| e.field(field.clone()))?;
            p.child(step, field);
        }
    }
    for (path, target) in LINKS {
        p.always(Step::Symlink { target: c(target, "")?, path: c(path, "")?, replace: false, target_exists: false });
    }
    p.always(Step::Symlink {
        target: c"/proc/kcore".into(),
        path: c"/dev/core".into(),
        replace: false,
        target_exists: true,
    });
    p.always(Step::Symlink {
        target: c"pts/ptmx".into(),
        path: c"/dev/ptmx".into(),
        replace: true,
        target_exists: false,
    });
    Ok(())
}

fn node(device: &Device, bind: bool, field: &str) -> Result<Step<dunnage_steps::Owned>> {
    let kind = match device.kind.as_str() {
        "c" | "u" => S_IFCHR,
        "b" => S_IFBLK,
        "p" => S_IFIFO,
        other => return Err(Error::new(format!("invalid device type {other:?}"))),
    };
    let number = |n: Option<i64>| u32::try_from(n.unwrap_or(0)).map_err(|_| Error::new("device number out of range"));
    Ok(Step::Node {
        path: c(clean(&device.path), field)?,
        kind,
        major: number(device.major)?,
        minor: number(device.minor)?,
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
        // A pipe is no device: it can be made anywhere.
        bind: bind && kind != S_IFIFO,
        // config-linux.md, "Devices": another file of that name is an error.
        exact: true,
    })
}
