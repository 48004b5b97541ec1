//! `delete`: the daemon executes it for every container that it removes, and it is all that is left when a shim was killed. It removes
//! what is there of the container, and says how that ended. What a live shim serves is that shim's; what a dead one has left
//! goes: of the group's first container everybody, because for the others nobody will come.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dunnage::cli::root::clean;
use dunnage::container;
use dunnage::error::{Error, Result};
use dunnage::state::InitProcess;
use dunnage::{files, log};

use super::print;
use super::socket;
use super::start::{annotations, group};
use crate::args::Args;
use crate::bundle::{self, Bundle};
use crate::client::Client;
use crate::external;
use crate::mounts;
use crate::options;
use crate::program;
use crate::proto::task::{DeleteResponse, KillRequest, ProcessRequest, StateResponse};
use crate::proto::{Empty, Message, Timestamp};

/// How long a shim may take to say whom it has.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long whoever inherited a process may take to reap it.
const LOOK: Duration = Duration::from_millis(2);
const LOOKS: u32 = 100;
/// Of a process that nobody saw end: killed.
const KILLED: u32 = 128 + 9;

/// Who serves the container's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shim {
    /// Nobody.
    Dead,
    /// Somebody.
    Alive,
}

/// Does it.
///
/// # Errors
/// Something of the container is left: the daemon keeps the bundle.
pub fn run(args: &Args) -> Result<()> {
    let id = args.id.as_str();
    dunnage::state::check_id(id)?;
    let bundle = path_of_bundle(args)?;
    let files = Bundle::open(&bundle).ok();
    // The daemon removes it next.
    std::env::set_current_dir("/").map_err(|e| Error::io("chdir /", &e))?;
    let socket = path_of_socket(args, files.as_ref());
    let shim = ask(&socket, id);
    let witness = Witness::of(args, id, files.as_ref());
    remove(args, id, &bundle, files.as_ref())?;
    if shim == Shim::Dead {
        if let Some(files) = &files {
            remove_group(args, id, files);
        }
        remove_socket(&socket);
    }
    let known = files.as_ref().and_then(|files| files.read_text(bundle::INIT_PID)).and_then(|text| text.parse().ok());
    let exit = files.as_ref().and_then(Bundle::exit).or_else(|| witness.and_then(Witness::exit));
    let (status, time) = exit.map_or_else(|| (KILLED, Timestamp::now()), |exit| (exit.status, exit.time()));
    let pid = exit.and_then(|exit| u32::try_from(exit.pid).ok()).or(known).unwrap_or(0);
    print(&DeleteResponse { pid, exit_status: status, exited_at: Some(time) }.encode())
}

/// The first process of a container whose shim is dead, held while it lives: the kernel tells us of its end, whoever reaps it.
struct Witness(InitProcess);

impl Witness {
    fn of(args: &Args, id: &str, files: Option<&Bundle>) -> Option<Witness> {
        let options = files.and_then(|files| files.read(bundle::OPTIONS)).map(|bytes| options::of_json(&bytes));
        let root = options::state_root(&options.unwrap_or_default(), &args.namespace);
        container::Container::look(&root, id).ok()?.state.init().ok()?.map(Witness)
    }

    fn exit(self) -> Option<bundle::Exit> {
        let now = Timestamp::now();
        for _ in 0..LOOKS {
            match self.0.pidfd.exit_info() {
                Ok(Some(exit)) => {
                    let status = u32::try_from(exit.shell_status()).unwrap_or(KILLED);
                    return Some(bundle::Exit { pid: self.0.pid, status, seconds: now.seconds, nanos: now.nanos });
                }
                // It has ended, and whoever inherited it has not looked yet.
                Ok(None) => std::thread::sleep(LOOK),
                Err(_) => return None,
            }
        }
        None
    }
}

/// Beside our working directory, which is the bundle of this container or, of a group, another's.
fn path_of_bundle(args: &Args) -> Result<PathBuf> {
    if args.bundle.is_absolute() {
        return Ok(args.bundle.clone());
    }
    let here = std::env::current_dir().map_err(|e| Error::io("getcwd", &e))?;
    Ok(here.parent().unwrap_or(&here).join(&args.id))
}

/// As the bundle has it, or as its `start` has made it.
fn path_of_socket(args: &Args, files: Option<&Bundle>) -> PathBuf {
    if let Some(address) = files.and_then(|files| files.read_text(bundle::ADDRESS)).filter(|text| !text.is_empty()) {
        return socket::path_of(&address);
    }
    let config = files.and_then(|files| files.read("config.json")).unwrap_or_default();
    let group = annotations(&config).map_or_else(|_| args.id.clone(), |annotations| group(&annotations, &args.id));
    Path::new(socket::DEFAULT_DIR).join(socket::name(&args.address, &args.namespace, &group))
}

/// Somebody who accepts is alive, however slow.
fn ask(socket: &Path, id: &str) -> Shim {
    let request = ProcessRequest { id: id.into(), exec_id: String::new() };
    let state = |client: &mut Client| client.call::<StateResponse>("containerd.task.v2.Task", "State", &request);
    match socket::converse(socket, PATIENCE, state) {
        None => Shim::Dead,
        Some(answer) => {
            if let Some(Ok(state)) = answer {
                log::debug(format_args!("the shim still has {id} in state {}", state.status));
                socket::converse(socket, PATIENCE, |client| make_it_forget(client, id));
            }
            Shim::Alive
        }
    }
}

/// The daemon has given up a container that its shim still has. The shim ends it and forgets it, or it would stay for its sake; what it does
/// not do in time is done by us.
fn make_it_forget(client: &mut Client, id: &str) -> std::io::Result<()> {
    const SERVICE: &str = "containerd.task.v2.Task";
    let request = ProcessRequest { id: id.into(), exec_id: String::new() };
    let kill = KillRequest { id: id.into(), exec_id: String::new(), signal: libc::SIGKILL.cast_unsigned(), all: true };
    let _ended_already = client.call::<Empty>(SERVICE, "Kill", &kill)?;
    for _ in 0..LOOKS {
        match client.call::<DeleteResponse>(SERVICE, "Delete", &request)? {
            // It is about to end.
            Err(failure) if failure.code == 2 => std::thread::sleep(LOOK),
            _ => break,
        }
    }
    Ok(())
}

/// Everything that is left of a container.
fn remove(args: &Args, id: &str, bundle: &Path, files: Option<&Bundle>) -> Result<()> {
    let options = files.and_then(|files| files.read(bundle::OPTIONS)).map(|bytes| options::of_json(&bytes));
    let options = options.unwrap_or_default();
    let root = options::state_root(&options, &args.namespace);
    if let Some(binary) = options::external(&options) {
        // Ours reads what runc has written, too; what another one keeps, only it knows.
        delete_by(binary, &root, bundle, id);
    }
    container::delete(&root, id, true)?;
    let rootfs = bundle.join("rootfs");
    if let Err(e) = mounts::unmount_all(&rootfs) {
        log::warn(e);
        // All its processes are dead, so nothing is written any more.
        mounts::detach_all(&rootfs);
    }
    Ok(())
}

fn delete_by(binary: &str, root: &Path, bundle: &Path, id: &str) {
    let deleted = external::find(binary).and_then(|binary| {
        let (root, log, env) = (root.to_owned(), bundle.join("log.json"), program::inherited_env());
        external::Runtime { binary, root, systemd_cgroup: false, log, env }.delete(id, true)
    });
    if let Err(e) = deleted {
        log::warn(e);
    }
}

/// The others of the group, whose shim was this one's.
fn remove_group(args: &Args, id: &str, files: &Bundle) {
    for member in files.group() {
        if member.id == id
            || dunnage::state::check_id(&member.id).is_err()
            || !is_beside(args, &member.bundle, &member.id)
        {
            continue;
        }
        let bundle = Bundle::open(&member.bundle).ok();
        if let Err(e) = remove(args, &member.id, &member.bundle, bundle.as_ref()) {
            log::warn(e.doing(format!("{} of the same group", member.id)));
        }
    }
}

/// A bundle is named by its container.
fn is_beside(_args: &Args, bundle: &Path, id: &str) -> bool {
    clean(bundle) == bundle && bundle.file_name().is_some_and(|name| name == id)
}

/// A dead shim's, if no other was started in the meantime.
fn remove_socket(path: &Path) {
    let Some(Ok(dir)) = path.parent().map(|dir| files::open(dir, files::DIRECTORY)) else { return };
    let Ok(_lock) = socket::lock(&dir) else { return };
    if socket::probe(path).is_none() {
        socket::remove(&dir, path);
    }
}
