//! An image of a container, by CRIU: where it works, and what is told if it fails.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use dunnage::criu;
use dunnage::criu::options::{CgroupsMode, Common, DUMP_LOG};
use dunnage::error::{Error, Result};
use dunnage::files;
use nix::fcntl::OFlag;
use nix::unistd::UnlinkatFlags;

use super::other;
use super::{Outcome, Whose, change, oci};
use crate::bundle::{self, Bundle};
use crate::external;
use crate::proto::options::CheckpointOptions;
use crate::ttrpc::Failure;

/// Makes it.
pub fn checkpoint(whose: &Whose, path: &str, options: &CheckpointOptions) -> Result<Outcome, Failure> {
    let path = if path.is_empty() { options.image_path.as_str() } else { path };
    if path.is_empty() {
        return Err(Failure::invalid("checkpoint: no path for the image"));
    }
    let given = !options.work_path.is_empty();
    let work = if given { PathBuf::from(&options.work_path) } else { whose.bundle.join("work/criu-work") };
    let saved = match other::runtime(whose)? {
        Some(runtime) => by_other(&runtime, whose, path, &work, options),
        None => by_us(whose, path, &work, options),
    };
    let log = saved.as_ref().err().and_then(|_| keep_log(whose, &work));
    if !given {
        remove(&work);
    }
    saved.map_err(|failure| match log {
        // The work directory is gone: this is where to look.
        Some(log) => Failure { message: format!("{} path= {}", failure.message, log.display()), ..failure },
        None => failure,
    })?;
    Ok(Outcome { checkpoint: path.to_owned(), ..Outcome::default() })
}

fn by_us(whose: &Whose, path: &str, work: &Path, options: &CheckpointOptions) -> Result<(), Failure> {
    let failed = |e: Error| oci("checkpoint", &e);
    if let Some(kind) = options.empty_namespaces.iter().find(|kind| *kind != "network") {
        return Err(failed(Error::new(format!("namespace {} is not supported", dunnage::text::quote(kind)))));
    }
    let asked = criu::options::Checkpoint {
        common: Common {
            image_path: path.into(),
            work_path: Some(work.to_owned()),
            tcp_established: options.open_tcp,
            ext_unix_sk: options.external_unix_sockets,
            shell_job: options.terminal,
            file_locks: options.file_locks,
            cgroups_mode: CgroupsMode::parse(&options.cgroups_mode).map_err(failed)?,
            ..Common::default()
        },
        parent_path: options.parent_path.clone(),
        leave_running: !options.exit,
        ..criu::options::Checkpoint::default()
    };
    criu::checkpoint::checkpoint(change::open(whose)?, &asked).map_err(failed)
}

fn by_other(
    runtime: &external::Runtime,
    whose: &Whose,
    path: &str,
    work: &Path,
    options: &CheckpointOptions,
) -> Result<(), Failure> {
    let checkpoint = external::Checkpoint {
        image_path: Path::new(path),
        work_path: work,
        parent_path: Some(options.parent_path.as_str()).filter(|parent| !parent.is_empty()),
        leave_running: !options.exit,
        tcp_established: options.open_tcp,
        ext_unix_sk: options.external_unix_sockets,
        shell_job: options.terminal,
        file_locks: options.file_locks,
        manage_cgroups_mode: Some(options.cgroups_mode.as_str()).filter(|mode| !mode.is_empty()),
        empty_ns: &options.empty_namespaces,
    };
    runtime.checkpoint(&whose.id, &checkpoint).map_err(Failure::from)
}

/// Copies CRIU's log into the bundle; its path there, if there is a log.
fn keep_log(whose: &Whose, work: &Path) -> Option<PathBuf> {
    let log = files::open(work, files::DIRECTORY)
        .and_then(|dir| files::openat(&dir, DUMP_LOG, OFlag::O_RDONLY | OFlag::O_NONBLOCK));
    let text = files::document_of(std::fs::File::from(log.ok()?)).ok()?;
    Bundle::open(&whose.bundle).and_then(|files| files.write(bundle::CRIU_LOG, &text)).ok()?;
    Some(whose.bundle.join(bundle::CRIU_LOG))
}

/// Removes CRIU's work directory: logs and statistics.
fn remove(work: &Path) {
    let (Some(parent), Some(name)) = (work.parent(), work.file_name()) else { return };
    let Ok(parent) = files::open(parent, files::DIRECTORY) else { return };
    let Ok(dir) = files::openat(&parent, name, files::DIRECTORY) else { return };
    let names: Vec<_> =
        files::list(dir.as_fd()).into_iter().flatten().flatten().map(|e| e.file_name().to_owned()).collect();
    for name in names {
        files::unlinkat(&dir, name.as_c_str(), UnlinkatFlags::NoRemoveDir).ok();
    }
    // One with more than files in it is not CRIU's, and stays.
    files::unlinkat(&parent, name, UnlinkatFlags::RemoveDir).ok();
}
