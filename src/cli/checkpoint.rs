//! `checkpoint`: flags -> `criu::checkpoint`.

use std::path::PathBuf;

use super::definition::{Definition, Flag, Takes};
use super::{Command, Global, Matches, id, open};
use crate::criu::checkpoint::checkpoint;
use crate::criu::options::{CgroupsMode, Checkpoint, Common};
use crate::error::{Error, Result};
use crate::{host, log};

/// The command.
pub static COMMAND: Definition = Definition {
    name: "checkpoint",
    about: "checkpoint a running container",
    usage: "ID",
    description: "\
Writes the processes of the container ID, which runs or is paused, into files, from which `restore` makes a container again. The
container ends by that and is removed, unless it is left running. The program criu does it.",
    min: 1,
    max: Some(1),
    stops_at_first: false,
    flags: &[
        IMAGE_PATH,
        WORK_PATH,
        PARENT_PATH,
        LEAVE_RUNNING,
        TCP_ESTABLISHED,
        TCP_SKIP_IN_FLIGHT,
        LINK_REMAP,
        EXT_UNIX_SK,
        SHELL_JOB,
        LAZY_PAGES,
        STATUS_FD,
        PAGE_SERVER,
        FILE_LOCKS,
        PRE_DUMP,
        MANAGE_CGROUPS_MODE,
        EMPTY_NS,
        AUTO_DEDUP,
    ],
    read: |m| Command::Checkpoint(Box::new(CheckpointArgs::read(m))),
};

pub(super) const IMAGE_PATH: Flag =
    Flag::new("image-path", Takes::Path("DIR"), "directory of criu's image files (default: ./checkpoint)");
pub(super) const WORK_PATH: Flag =
    Flag::new("work-path", Takes::Path("DIR"), "directory for criu's log and work files (default: that of the images)");
const PARENT_PATH: Flag = Flag::new(
    "parent-path",
    Takes::Text("DIR"),
    "images of an earlier --pre-dump, relative to the image path: what has not changed since is not written again",
);
const LEAVE_RUNNING: Flag = Flag::new("leave-running", Takes::Bool, "leave the container running");
pub(super) const TCP_ESTABLISHED: Flag = Flag::new("tcp-established", Takes::Bool, "allow open TCP connections");
const TCP_SKIP_IN_FLIGHT: Flag =
    Flag::new("tcp-skip-in-flight", Takes::Bool, "leave out TCP connections that are being accepted");
const LINK_REMAP: Flag =
    Flag::new("link-remap", Takes::Bool, "allow open files without a name, by giving them one where possible");
pub(super) const EXT_UNIX_SK: Flag =
    Flag::new("ext-unix-sk", Takes::Bool, "allow unix sockets whose other end is outside of the container");
pub(super) const SHELL_JOB: Flag =
    Flag::new("shell-job", Takes::Bool, "allow a session or a terminal from outside of the container");
pub(super) const LAZY_PAGES: Flag =
    Flag::new("lazy-pages", Takes::Bool, "copy memory only when it is used (userfaultfd)");
const STATUS_FD: Flag = Flag::new(
    "status-fd",
    Takes::Int("N"),
    "with --lazy-pages: descriptor that gets a zero byte when pages can be had",
);
const PAGE_SERVER: Flag =
    Flag::new("page-server", Takes::Text("ADDRESS:PORT"), "send memory to this `criu page-server`");
pub(super) const FILE_LOCKS: Flag = Flag::new("file-locks", Takes::Bool, "allow file locks");
const PRE_DUMP: Flag = Flag::new("pre-dump", Takes::Bool, "write memory alone, and leave the container running");
pub(super) const MANAGE_CGROUPS_MODE: Flag = Flag::new(
    "manage-cgroups-mode",
    Takes::Text("MODE"),
    "what of cgroups is kept: soft, full, strict or ignore (default: soft)",
);
pub(super) const EMPTY_NS: Flag = Flag::new(
    "empty-ns",
    Takes::Texts("KIND"),
    "make such a namespace, but not what is in it; network is the only kind, and always so",
);
pub(super) const AUTO_DEDUP: Flag =
    Flag::new("auto-dedup", Takes::Bool, "remove from earlier images what later ones have, too");

/// The flags that `checkpoint` and `restore` share, as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommonArgs {
    /// `--image-path`
    pub image_path: Option<PathBuf>,
    /// `--work-path`
    pub work_path: Option<PathBuf>,
    /// `--tcp-established`
    pub tcp_established: bool,
    /// `--ext-unix-sk`
    pub ext_unix_sk: bool,
    /// `--shell-job`
    pub shell_job: bool,
    /// `--file-locks`
    pub file_locks: bool,
    /// `--manage-cgroups-mode`
    pub manage_cgroups_mode: String,
    /// `--empty-ns`
    pub empty_ns: Vec<String>,
    /// `--auto-dedup`
    pub auto_dedup: bool,
    /// `--lazy-pages`
    pub lazy_pages: bool,
}

impl CommonArgs {
    pub(super) fn read(m: &Matches) -> CommonArgs {
        let path = |flag| m.path(flag).filter(|path| !path.as_os_str().is_empty());
        CommonArgs {
            image_path: path(&IMAGE_PATH),
            work_path: path(&WORK_PATH),
            tcp_established: m.bool(&TCP_ESTABLISHED),
            ext_unix_sk: m.bool(&EXT_UNIX_SK),
            shell_job: m.bool(&SHELL_JOB),
            file_locks: m.bool(&FILE_LOCKS),
            manage_cgroups_mode: m.text(&MANAGE_CGROUPS_MODE).unwrap_or_default(),
            empty_ns: m.texts(&EMPTY_NS),
            auto_dedup: m.bool(&AUTO_DEDUP),
            lazy_pages: m.bool(&LAZY_PAGES),
        }
    }

    /// What they mean.
    pub(super) fn meaning(&self) -> Result<Common> {
        // Network namespaces are restored empty in any case: what is in them was others' to make.
        if let Some(kind) = self.empty_ns.iter().find(|kind| *kind != "network") {
            return Err(Error::new(format!("namespace {} is not supported", crate::text::quote(kind))));
        }
        Ok(Common {
            image_path: self.image_path.clone().unwrap_or_else(|| "checkpoint".into()),
            work_path: self.work_path.clone(),
            tcp_established: self.tcp_established,
            ext_unix_sk: self.ext_unix_sk,
            shell_job: self.shell_job,
            file_locks: self.file_locks,
            cgroups_mode: CgroupsMode::parse(&self.manage_cgroups_mode)?,
            auto_dedup: self.auto_dedup,
            lazy_pages: self.lazy_pages,
        })
    }
}

/// `checkpoint`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointArgs {
    /// The container.
    pub id: String,
    /// What it has in common with `restore`.
    pub common: CommonArgs,
    /// `--parent-path`
    pub parent_path: String,
    /// `--leave-running`
    pub leave_running: bool,
    /// `--tcp-skip-in-flight`
    pub tcp_skip_in_flight: bool,
    /// `--link-remap`
    pub link_remap: bool,
    /// `--status-fd`; negative: none.
    pub status_fd: i64,
    /// `--page-server`
    pub page_server: String,
    /// `--pre-dump`
    pub pre_dump: bool,
}

impl CheckpointArgs {
    fn read(m: &Matches) -> CheckpointArgs {
        CheckpointArgs {
            id: id(m),
            common: CommonArgs::read(m),
            parent_path: m.text(&PARENT_PATH).unwrap_or_default(),
            leave_running: m.bool(&LEAVE_RUNNING),
            tcp_skip_in_flight: m.bool(&TCP_SKIP_IN_FLIGHT),
            link_remap: m.bool(&LINK_REMAP),
            status_fd: m.int(&STATUS_FD).unwrap_or(-1),
            page_server: m.text(&PAGE_SERVER).unwrap_or_default(),
            pre_dump: m.bool(&PRE_DUMP),
        }
    }

    fn meaning(&self) -> Result<Checkpoint> {
        let status_fd = (self.status_fd != -1).then_some(self.status_fd);
        let number = |fd: i64| {
            let invalid = || Error::sys(format!("invalid --status-fd argument {fd}"), crate::error::Errno::EBADF);
            i32::try_from(fd).map_err(|_| invalid())
        };
        Ok(Checkpoint {
            common: self.common.meaning()?,
            parent_path: self.parent_path.clone(),
            leave_running: self.leave_running,
            tcp_skip_in_flight: self.tcp_skip_in_flight,
            link_remap: self.link_remap,
            pre_dump: self.pre_dump,
            page_server: page_server(&self.page_server)?,
            status_fd: status_fd.map(number).transpose()?,
        })
    }
}

/// `ADDRESS:PORT`, with an address of IPv6 in brackets.
fn page_server(text: &str) -> Result<Option<(String, i32)>> {
    if text.is_empty() {
        return Ok(None);
    }
    let usage = || Error::new("Use --page-server ADDRESS:PORT to specify page server");
    let (address, port) = text.rsplit_once(':').ok_or_else(usage)?;
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare,
        None if address.contains([':', '[', ']']) => return Err(usage()),
        None => address,
    };
    if address.is_empty() || port.is_empty() {
        return Err(usage());
    }
    let port = port.parse::<u16>().map_err(|_| Error::new("Invalid port number"))?;
    // For CRIU port 0 is none at all.
    if port == 0 {
        return Err(Error::new("Invalid port number"));
    }
    Ok(Some((address.to_owned(), i32::from(port))))
}

/// As runc says it, of `restore`, too.
pub(super) fn warn_if_rootless() {
    if !nix::unistd::geteuid().is_root() || host::in_user_namespace() {
        log::warn("runc checkpoint is untested with rootless containers");
    }
}

pub(super) fn run(global: &Global, args: &CheckpointArgs) -> Result<u8> {
    warn_if_rootless();
    let container = open(global, &args.id)?;
    crate::criu::checkpoint::refuse_state(container.status()?)?;
    checkpoint(container, &args.meaning()?)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_servers() {
        let of = |text: &str| page_server(text).map_err(|e| e.to_string());
        assert_eq!(of(""), Ok(None));
        assert_eq!(of("127.0.0.1:9"), Ok(Some(("127.0.0.1".into(), 9))));
        assert_eq!(of("[::1]:65535"), Ok(Some(("::1".into(), 65535))));
        for text in ["host", ":9", "host:", "::1:9", "[::1:9", "[]:9"] {
            assert_eq!(of(text).unwrap_err(), "Use --page-server ADDRESS:PORT to specify page server", "{text}");
        }
        for text in ["host:x", "host:-1", "host:65536", "host:0"] {
            assert_eq!(of(text).unwrap_err(), "Invalid port number", "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant() {
        let fault = |args: CommonArgs| args.meaning().unwrap_err().to_string();
        let empty_ns = |kind: &str| CommonArgs { empty_ns: vec![kind.into()], ..CommonArgs::default() };
        assert_eq!(fault(empty_ns("ipc")), "namespace \"ipc\" is not supported");
        empty_ns("network").meaning().unwrap();
        let mode = CommonArgs { manage_cgroups_mode: "none".into(), ..CommonArgs::default() };
        assert_eq!(fault(mode), "invalid manage-cgroups-mode value");
        assert_eq!(CommonArgs::default().meaning().unwrap().image_path, PathBuf::from("checkpoint"));
    }
}
