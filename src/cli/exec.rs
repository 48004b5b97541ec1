//! `exec`: flags -> `launch::exec`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::definition::shared::{CONSOLE_SOCKET, DETACH, PID_FILE, PIDFD_SOCKET, PRESERVE_FDS, TRACE};
use super::definition::{Definition, Flag, Takes};
use super::process::{process, sub_cgroups};
use super::{Command, Global, Matches, id, root};
use crate::error::{Context, Result};
use crate::launch::{self, exec::Target};

/// The command.
pub static COMMAND: Definition = Definition {
    name: "exec",
    about: "execute a new process inside the container",
    usage: "ID COMMAND [ARGUMENT...] | --process FILE ID",
    description: "\
Runs COMMAND in the namespaces and the cgroup of the container ID, with the process of its config.json as the base and
the flags on top; or the process that FILE describes, alone. All that follows ID belongs to COMMAND.

It returns the exit status of COMMAND, or 255 if COMMAND could not be run.",
    min: 1,
    max: None,
    stops_at_first: true,
    flags: &[
        CONSOLE_SOCKET,
        PIDFD_SOCKET,
        CWD,
        ENV,
        TTY,
        USER,
        ADDITIONAL_GIDS,
        PROCESS,
        DETACH,
        PID_FILE,
        PROCESS_LABEL,
        APPARMOR,
        NO_NEW_PRIVS,
        CAP,
        PRESERVE_FDS,
        CGROUP,
        IGNORE_PAUSED,
        TRACE,
    ],
    read: |m| Command::Exec(Box::new(ExecArgs::read(m))),
};

const CWD: Flag = Flag::new("cwd", Takes::Text("DIR"), "current working directory in the container");
const ENV: Flag =
    Flag::new("env", Takes::Texts("NAME=VALUE"), "set an environment variable; as often as wanted").short('e');
const TTY: Flag = Flag::new("tty", Takes::Bool, "allocate a pseudoterminal").short('t');
const USER: Flag = Flag::new("user", Takes::Text("UID[:GID]"), "user and group to run as, by number").short('u');
const ADDITIONAL_GIDS: Flag =
    Flag::new("additional-gids", Takes::Ints("GID"), "one more group to be in; as often as wanted").short('g');
const PROCESS: Flag =
    Flag::new("process", Takes::Path("FILE"), "file with an OCI process object; the other flags of it do not apply")
        .short('p');
const PROCESS_LABEL: Flag = Flag::new("process-label", Takes::Text("LABEL"), "SELinux label of the process");
const APPARMOR: Flag = Flag::new("apparmor", Takes::Text("PROFILE"), "AppArmor profile of the process");
const NO_NEW_PRIVS: Flag = Flag::new("no-new-privs", Takes::Bool, "the process cannot gain privileges by exec");
const CAP: Flag = Flag::new("cap", Takes::Texts("CAP_NAME"), "add a capability; as often as wanted").short('c');
const CGROUP: Flag = Flag::new(
    "cgroup",
    Takes::Texts("[CONTROLLERS:]PATH"),
    "run it in a cgroup below the container's own, which must be there; as often as there are controllers",
);
const IGNORE_PAUSED: Flag =
    Flag::new("ignore-paused", Takes::Bool, "exec in a paused container; the process runs after `resume`");

/// `exec`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecArgs {
    /// The container.
    pub id: String,
    /// The program and its arguments; empty with `--process`.
    pub args: Vec<OsString>,
    /// `--process`: this file is used alone.
    pub process: Option<PathBuf>,
    /// `--console-socket`
    pub console_socket: Option<PathBuf>,
    /// `--pidfd-socket`
    pub pidfd_socket: Option<PathBuf>,
    /// `--pid-file`
    pub pid_file: Option<PathBuf>,
    /// `--detach`
    pub detach: bool,
    /// `--preserve-fds`
    pub preserve_fds: i64,
    /// `--tty`
    pub tty: bool,
    /// `--user`: `UID[:GID]`, not looked at yet.
    pub user: Option<String>,
    /// `--additional-gids`; a negative one is refused later.
    pub additional_gids: Vec<i64>,
    /// `--cwd`
    pub cwd: Option<String>,
    /// `--env`
    pub env: Vec<String>,
    /// `--apparmor`
    pub apparmor: Option<String>,
    /// `--process-label`
    pub process_label: Option<String>,
    /// `--no-new-privs`; `None`: as config.json has it.
    pub no_new_privs: Option<bool>,
    /// `--cap`
    pub cap: Vec<String>,
    /// `--cgroup`, not looked at yet.
    pub cgroup: Vec<String>,
    /// `--ignore-paused`
    pub ignore_paused: bool,
    /// `--trace`
    pub trace: Option<PathBuf>,
}

impl ExecArgs {
    fn read(m: &Matches) -> ExecArgs {
        // An empty value is none, as for runc.
        let text = |flag| m.text(flag).filter(|text| !text.is_empty());
        let path = |flag| m.path(flag).filter(|path| !path.as_os_str().is_empty());
        ExecArgs {
            id: id(m),
            args: m.arguments.iter().skip(1).cloned().collect(),
            process: path(&PROCESS),
            console_socket: path(&CONSOLE_SOCKET),
            pidfd_socket: path(&PIDFD_SOCKET),
            pid_file: path(&PID_FILE),
            detach: m.bool(&DETACH),
            preserve_fds: m.int(&PRESERVE_FDS).unwrap_or(0),
            tty: m.bool(&TTY),
            user: text(&USER),
            additional_gids: m.ints(&ADDITIONAL_GIDS),
            cwd: text(&CWD),
            env: m.texts(&ENV),
            apparmor: text(&APPARMOR),
            process_label: text(&PROCESS_LABEL),
            no_new_privs: m.given_bool(&NO_NEW_PRIVS),
            cap: m.texts(&CAP),
            cgroup: m.texts(&CGROUP),
            ignore_paused: m.bool(&IGNORE_PAUSED),
            trace: m.path(&TRACE),
        }
    }
}

pub(super) fn run(global: &Global, args: &ExecArgs) -> Result<u8> {
    exec(global, args).doing(|| "exec failed")
}

fn exec(global: &Global, args: &ExecArgs) -> Result<u8> {
    let arguments = launch::exec::Arguments {
        takes_console: false,
        root: root::find(global)?.path,
        id: args.id.clone(),
        console_socket: args.console_socket.clone(),
        pidfd_socket: args.pidfd_socket.clone(),
        pid_file: args.pid_file.clone(),
        trace: args.trace.clone(),
        detach: args.detach,
        preserve_fds: u32::try_from(args.preserve_fds).unwrap_or(0),
        ignore_paused: args.ignore_paused,
        sub_cgroups: sub_cgroups(&args.cgroup)?,
    };
    let target = Target::open(&arguments)?;
    let process = process(args, target.bundle())?;
    launch::exec::exec(&arguments, &target, process)
}
