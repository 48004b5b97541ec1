//! `seccomp`: what a profile does, and the program that it becomes.

use std::ffi::OsString;
use std::path::Path;

use serde_json::Value;

use super::definition::{Definition, Flag, Takes};
use super::{Command, Matches, print};
use crate::error::{Error, Result};
use crate::seccomp::engine::{self, Circumstances};
use crate::spec::{self, Seccomp};
use crate::{host, seccomp};

/// The command.
pub static COMMAND: Definition = Definition {
    name: "seccomp",
    about: "show what a seccomp profile does",
    usage: "FILE",
    description: "\
Writes to stdout which system calls get what from the profile in FILE, for each architecture: by the filter as the
kernel would get it, not by the words of the profile. Then that filter, instruction by instruction.

FILE is a config.json, the profile alone, or a profile of an engine such as /usr/share/containers/seccomp.json, whose
rules depend on the container: they are decided for this host's architecture and kernel and for the capabilities
given with --cap. `-` is stdin.",
    min: 1,
    max: Some(1),
    stops_at_first: false,
    flags: &[CAP],
    read: |m| Command::Seccomp(SeccompArgs::read(m)),
};

const CAP: Flag = Flag::new(
    "cap",
    Takes::Texts("CAP"),
    "a capability of the container, for a profile of an engine; again for more (default: those that Docker gives)",
);

/// `seccomp`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeccompArgs {
    /// The file, or `-`.
    pub file: OsString,
    /// `--cap`
    pub capabilities: Vec<String>,
}

impl SeccompArgs {
    fn read(m: &Matches) -> SeccompArgs {
        SeccompArgs { file: m.arguments.first().cloned().unwrap_or_default(), capabilities: m.texts(&CAP) }
    }
}

pub(super) fn run(args: &SeccompArgs) -> Result<u8> {
    let native = seccomp::native().ok_or_else(|| Error::new("seccomp is not supported on this architecture"))?;
    let file = Path::new(&args.file);
    let json = read(file)?;
    let kind: Value = serde_json::from_slice(&json)
        .map_err(|e| Error::new(spec::text::one_line(&format!("parse {}: {e}", file.display()))))?;
    let (profile, notes, document) = match Kind::of(&kind) {
        Kind::Config => (of_config(&json)?, String::new(), None),
        Kind::Profile => of_profile(&json, native, args)?,
        Kind::Other => {
            let what = format!("{} is neither a config.json nor a seccomp profile", file.display());
            return Err(Error::new(what).hint("it has none of linux, process, defaultAction, syscalls"));
        }
    };
    let text = seccomp::explain(&profile, native, host::seccomp_flags()).map_err(|e| match document {
        Some(name) => e.relocated(|field| (name, field.strip_prefix("/linux/seccomp").unwrap_or(field).to_owned())),
        None => e,
    })?;
    // What a profile says must not steer the terminal.
    print(&(notes + &text).lines().map(|line| spec::text::one_line(line) + "\n").collect::<String>())?;
    Ok(0)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    if file.as_os_str() == "-" {
        return crate::files::document_of(std::io::stdin()).map_err(|e| Error::io("read stdin", &e));
    }
    crate::files::document(file).map_err(|e| Error::io(format_args!("open {}", file.display()), &e))
}

/// What a document is, by its keys.
enum Kind {
    Config,
    Profile,
    Other,
}

impl Kind {
    fn of(json: &Value) -> Kind {
        let has = |key| json.get(key).is_some();
        match () {
            () if has("ociVersion") || has("linux") || has("process") => Kind::Config,
            () if has("defaultAction") || has("syscalls") => Kind::Profile,
            () => Kind::Other,
        }
    }
}

fn of_config(json: &[u8]) -> Result<Seccomp> {
    let linux = spec::parse::config(json)?.linux;
    linux
        .and_then(|l| l.seccomp)
        .ok_or_else(|| Error::new("no seccomp profile: every call is let through").field("/linux/seccomp"))
}

/// The profile, what has to be said of how it came about, and what errors call it.
fn of_profile(
    json: &[u8],
    native: &'static seccomp::Arch,
    args: &SeccompArgs,
) -> Result<(Seccomp, String, Option<&'static str>)> {
    let profile: engine::Profile = spec::parse::parse(json, "profile")?.unwrap_or_default();
    let mut capabilities = args.capabilities.clone();
    if capabilities.is_empty() {
        capabilities = engine::DEFAULT_CAPABILITIES.map(str::to_owned).to_vec();
    }
    let release = nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned());
    let kernel = release.ok().and_then(|r| engine::version(&r)).unwrap_or((u32::MAX, 0));
    let asked = profile.asks_for_capabilities();
    let rules = profile.syscalls.len();
    let of = Circumstances { native, capabilities: &capabilities, kernel };
    let resolved = profile.resolve(&of).map_err(|e| e.document("profile"))?;
    let notes = if asked { format!("for a container with {}\n", capabilities.join(" ")) } else { String::new() };
    // Rules that do not hold here are gone, and those after them have other places.
    let name = if resolved.syscalls.len() == rules { "profile" } else { "profile without what does not hold here" };
    Ok((resolved, notes, Some(name)))
}
