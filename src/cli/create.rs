//! `create`: flags -> `launch::create`.

use std::path::PathBuf;

use super::definition::Definition;
use super::definition::shared::{BUNDLE, CONSOLE_SOCKET, PID_FILE, PIDFD_SOCKET, PRESERVE_FDS, TRACE};
use super::definition::{Flag, Takes};
use super::{Command, Global, Matches, id, root};
use crate::error::{Context, Result};
use crate::launch;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "create",
    about: "create a container",
    usage: "ID",
    description: "\
Makes the container ID out of a bundle: its namespaces, its cgroup, its file system. The user's program does not run
until `start`. ID must be unique on this host; it is made of letters, digits and _ + - .",
    min: 1,
    max: Some(1),
    stops_at_first: false,
    flags: &[BUNDLE, CONSOLE_SOCKET, PIDFD_SOCKET, PID_FILE, NO_PIVOT, NO_NEW_KEYRING, PRESERVE_FDS, TRACE],
    read: |m| Command::Create(CreateArgs::read(m)),
};

pub(super) const NO_PIVOT: Flag = Flag::new(
    "no-pivot",
    Takes::Bool,
    "move the root instead of pivot_root; for a root file system on a ramdisk, and less safe",
);
pub(super) const NO_NEW_KEYRING: Flag =
    Flag::new("no-new-keyring", Takes::Bool, "keep the caller's session keyring instead of a new one");

/// What `create` and `run` have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateArgs {
    /// The container.
    pub id: String,
    /// `--bundle`; `None`: the current directory.
    pub bundle: Option<PathBuf>,
    /// `--console-socket`
    pub console_socket: Option<PathBuf>,
    /// `--pidfd-socket`
    pub pidfd_socket: Option<PathBuf>,
    /// `--pid-file`, relative to the caller's current directory.
    pub pid_file: Option<PathBuf>,
    /// `--no-pivot`
    pub no_pivot: bool,
    /// `--no-new-keyring`
    pub no_new_keyring: bool,
    /// `--preserve-fds`
    pub preserve_fds: i64,
    /// `--trace`, relative to the caller's current directory.
    pub trace: Option<PathBuf>,
}

impl CreateArgs {
    pub(super) fn read(m: &Matches) -> CreateArgs {
        // An empty value is none, as for runc.
        let path = |flag| m.path(flag).filter(|path| !path.as_os_str().is_empty());
        CreateArgs {
            id: id(m),
            bundle: path(&BUNDLE),
            console_socket: path(&CONSOLE_SOCKET),
            pidfd_socket: path(&PIDFD_SOCKET),
            pid_file: path(&PID_FILE),
            no_pivot: m.bool(&NO_PIVOT),
            no_new_keyring: m.bool(&NO_NEW_KEYRING),
            preserve_fds: m.int(&PRESERVE_FDS).unwrap_or(0),
            trace: m.path(&TRACE),
        }
    }
}

pub(super) fn run(global: &Global, args: &CreateArgs) -> Result<u8> {
    let create = || launch::create::create(&arguments(global, args)?);
    // The word `runc` whatever our name is: scrapers of logs match it.
    create().map(|()| 0).doing(|| "runc create failed")
}

/// What `create`, `run` and `plan` have in common.
pub(super) fn arguments(global: &Global, args: &CreateArgs) -> Result<launch::create::Arguments> {
    let rootless = root::rootless(global)?;
    Ok(launch::create::Arguments {
        takes_console: false,
        root: root::find(global)?.path,
        id: args.id.clone(),
        bundle: args.bundle.clone(),
        console_socket: args.console_socket.clone(),
        pidfd_socket: args.pidfd_socket.clone(),
        pid_file: args.pid_file.clone(),
        trace: args.trace.clone(),
        no_pivot: args.no_pivot,
        no_new_keyring: args.no_new_keyring,
        preserve_fds: u32::try_from(args.preserve_fds).unwrap_or(0),
        systemd_cgroup: global.systemd_cgroup,
        rootless_euid: rootless.euid,
        rootless_cgroups: rootless.cgroups,
    })
}
