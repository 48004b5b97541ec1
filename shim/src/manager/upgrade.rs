//! `upgrade [PROGRAM]`: running shims go on as another program, ours if none is named. Without `-socket` or `-id` all shims whose sockets
//! are in the usual place.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dunnage::error::{Error, Result};
use dunnage::files;

use super::{print, socket};
use crate::args::Args;
use crate::client::Client;
use crate::proto::table::{UpgradeRequest, UpgradeResponse};
use crate::server::upgrade::SERVICE;

/// A shim waits for its workers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does it, and says of each shim what came of it.
///
/// # Errors
/// One of them was not upgraded. It goes on as it is.
pub fn run(args: &Args) -> Result<()> {
    let binary = match args.rest.first() {
        Some(binary) => dunnage::cli::root::absolute(Path::new(binary))?,
        None => std::fs::read_link("/proc/self/exe").map_err(|e| Error::io("readlink /proc/self/exe", &e))?,
    };
    let sockets = sockets(args)?;
    let mut failed = 0u32;
    for path in &sockets {
        let line = match upgrade(path, &binary) {
            Ok(Some(shim)) => {
                format!("{}: pid {}, version {} {}\n", path.display(), shim.pid, shim.version, shim.revision)
            }
            Ok(None) => format!("{}: nobody is there\n", path.display()),
            Err(e) => {
                failed = failed.saturating_add(1);
                format!("{}: {e}\n", path.display())
            }
        };
        print(line.as_bytes())?;
    }
    if failed > 0 { Err(Error::new(format!("{failed} of {} shims were not upgraded", sockets.len()))) } else { Ok(()) }
}

fn sockets(args: &Args) -> Result<Vec<PathBuf>> {
    if !args.socket.as_os_str().is_empty() {
        return Ok(vec![args.socket.clone()]);
    }
    if !args.id.is_empty() {
        let name = socket::name(&args.address, &args.namespace, &args.id);
        return Ok(vec![Path::new(socket::DEFAULT_DIR).join(name)]);
    }
    let failed = |e| Error::sys(format!("open {}", socket::DEFAULT_DIR), e);
    let mut dir = files::open(socket::DEFAULT_DIR, files::DIRECTORY).and_then(files::list).map_err(failed)?;
    let names = dir.iter().filter_map(|entry| entry.ok()).map(|entry| entry.file_name().to_bytes().to_vec());
    let names = names.filter(|name| name.len() == 64);
    Ok(names.map(|name| Path::new(socket::DEFAULT_DIR).join(std::ffi::OsStr::from_bytes(&name))).collect())
}

fn upgrade(socket: &Path, binary: &Path) -> Result<Option<UpgradeResponse>> {
    let failed = |e: std::io::Error| Error::io(format_args!("call {}", socket.display()), &e);
    let mut client = match Client::connect(socket, PATIENCE) {
        Ok(client) => client,
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let request = UpgradeRequest { binary: binary.to_string_lossy().into_owned() };
    match client.call(SERVICE, "Upgrade", &request).map_err(failed)? {
        Ok(shim) => Ok(Some(shim)),
        // A shim of containerd's, which goes on as it is.
        Err(failure) if failure.code == 12 => Err(Error::new("not a shim of ours")),
        Err(failure) => Err(Error::new(failure.message)),
    }
}
