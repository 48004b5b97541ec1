//! `spec`: writes a config.json to begin with.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use super::definition::shared::BUNDLE;
use super::definition::{Definition, Flag, Takes};
use super::{Command, Matches};
use nix::sys::stat::Mode;

use crate::cgroup::host::{Host, Version};
use crate::error::{Errno, Error, Result};
use crate::files;
use crate::spec::default;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "spec",
    about: "create a new specification file",
    usage: "",
    description: "\
Writes a config.json that runs `sh` on a terminal, in the root file system that lies in `rootfs` beside it. It is for
editing. One that is already there is left alone.",
    min: 0,
    max: Some(0),
    stops_at_first: false,
    flags: &[BUNDLE, ROOTLESS_SPEC],
    read: |m| Command::Spec(SpecArgs::read(m)),
};

const ROOTLESS_SPEC: Flag =
    Flag::new("rootless", Takes::Bool, "write one for a container without root: with a user namespace of one id");

/// `spec`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecArgs {
    /// `--bundle`
    pub bundle: Option<PathBuf>,
    /// `--rootless`
    pub rootless: bool,
}

impl SpecArgs {
    fn read(m: &Matches) -> SpecArgs {
        SpecArgs { bundle: m.path(&BUNDLE), rootless: m.bool(&ROOTLESS_SPEC) }
    }
}

pub(super) fn run(args: &SpecArgs) -> Result<u8> {
    if let Some(bundle) = &args.bundle {
        std::env::set_current_dir(bundle).map_err(|e| Error::io(format_args!("chdir {}", bundle.display()), &e))?;
    }
    let cgroup_v2 = Host::detect()?.version() == Version::V2;
    let spec = match args.rootless {
        false => default::spec(cgroup_v2),
        true => default::rootless(cgroup_v2, nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()),
    };
    let file = match files::create_here("config.json", Mode::from_bits_truncate(0o666)) {
        Err(Errno::EEXIST) => return Err(Error::new("File config.json exists. Remove it first")),
        opened => opened.map_err(|e| Error::sys("open config.json", e))?,
    };
    let mut file = File::from(file);
    file.write_all(&default::to_json(&spec)?).map_err(|e| Error::io("write config.json", &e))?;
    Ok(0)
}
