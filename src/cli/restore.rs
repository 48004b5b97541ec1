//! `restore`: flags -> `launch::restore`.

use super::checkpoint::{
    AUTO_DEDUP, CommonArgs, EMPTY_NS, EXT_UNIX_SK, FILE_LOCKS, IMAGE_PATH, LAZY_PAGES, MANAGE_CGROUPS_MODE, SHELL_JOB,
    TCP_ESTABLISHED, WORK_PATH, warn_if_rootless,
};
use super::create::{CreateArgs, NO_PIVOT, arguments};
use super::definition::shared::{BUNDLE, CONSOLE_SOCKET, DETACH, PID_FILE};
use super::definition::{Definition, Flag, Takes};
use super::run::NO_SUBREAPER;
use super::{Command, Global, Matches};
use crate::criu::options::Restore;
use crate::error::Result;
use crate::launch::create::Run;
use crate::launch::restore::restore;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "restore",
    about: "restore a container from a previous checkpoint",
    usage: "ID",
    description: "\
Makes the container ID from a bundle and the files that `checkpoint` has written: with its own cgroup, under any name. In the
foreground it then does what `run` does, and returns the program's exit status. The program criu does it. Images are to be
trusted as a program that root runs.",
    min: 1,
    max: Some(1),
    stops_at_first: false,
    flags: &[
        CONSOLE_SOCKET,
        IMAGE_PATH,
        WORK_PATH,
        TCP_ESTABLISHED,
        TCP_CLOSE,
        EXT_UNIX_SK,
        SHELL_JOB,
        FILE_LOCKS,
        MANAGE_CGROUPS_MODE,
        BUNDLE,
        DETACH,
        PID_FILE,
        NO_SUBREAPER,
        NO_PIVOT,
        EMPTY_NS,
        AUTO_DEDUP,
        LAZY_PAGES,
        LSM_PROFILE,
        LSM_MOUNT_CONTEXT,
    ],
    read: |m| Command::Restore(Box::new(RestoreArgs::read(m))),
};

const TCP_CLOSE: Flag = Flag::new("tcp-close", Takes::Bool, "restore TCP connections as closed ones");
const LSM_PROFILE: Flag =
    Flag::new("lsm-profile", Takes::Text("TYPE:NAME"), "AppArmor profile or SELinux label of the restored processes");
const LSM_MOUNT_CONTEXT: Flag =
    Flag::new("lsm-mount-context", Takes::Text("CONTEXT"), "SELinux context of the restored mounts");

/// `restore`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreArgs {
    /// What it has in common with `create`.
    pub create: CreateArgs,
    /// What it has in common with `checkpoint`.
    pub common: CommonArgs,
    /// `--tcp-close`
    pub tcp_close: bool,
    /// `--detach`
    pub detach: bool,
    /// `--no-subreaper`
    pub no_subreaper: bool,
    /// `--lsm-profile`
    pub lsm_profile: String,
    /// `--lsm-mount-context`
    pub lsm_mount_context: String,
}

impl RestoreArgs {
    fn read(m: &Matches) -> RestoreArgs {
        RestoreArgs {
            create: CreateArgs::read(m),
            common: CommonArgs::read(m),
            tcp_close: m.bool(&TCP_CLOSE),
            detach: m.bool(&DETACH),
            no_subreaper: m.bool(&NO_SUBREAPER),
            lsm_profile: m.text(&LSM_PROFILE).unwrap_or_default(),
            lsm_mount_context: m.text(&LSM_MOUNT_CONTEXT).unwrap_or_default(),
        }
    }
}

pub(super) fn run(global: &Global, args: &RestoreArgs) -> Result<u8> {
    warn_if_rootless();
    let asked = Restore {
        common: args.common.meaning()?,
        lsm_profile: args.lsm_profile.clone(),
        lsm_mount_context: args.lsm_mount_context.clone(),
        tcp_close: args.tcp_close,
    };
    let run = Run { detach: args.detach, keep: false, no_subreaper: args.no_subreaper };
    restore(&arguments(global, &args.create)?, &asked, run)
}
