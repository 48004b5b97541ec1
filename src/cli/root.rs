//! Where the state of containers lies, and whether we are rootless: decided from the flags, the environment and the user
//! namespace, as runc decides it, so that both programs see the same containers.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::sys::stat::{Mode, fchmod, fstat};

use super::Global;
use super::definition::parse_bool;
use crate::error::{Context, Error, Result};
use crate::files;
use crate::host::in_user_namespace;

/// The state root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Absolute and lexically clean.
    pub path: PathBuf,
    /// Given by `--root`. A default root that is missing is an empty one.
    pub explicit: bool,
}

/// What decides, as read from the host.
struct Facts {
    euid_is_root: bool,
    /// `None`: not asked, since nothing depends on it.
    in_user_namespace: Option<bool>,
    xdg_runtime_dir: Option<OsString>,
    user: Option<OsString>,
}

/// The state root of this invocation. The per-user default is made; others are made by whoever creates a container.
///
/// # Errors
/// `--root /`; a runtime directory that is not ours to write.
pub fn find(global: &Global) -> Result<Root> {
    if let Some(path) = given(global)? {
        return Ok(Root { path, explicit: true });
    }
    let mut facts = Facts {
        euid_is_root: nix::unistd::geteuid().is_root(),
        in_user_namespace: None,
        xdg_runtime_dir: std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()),
        user: std::env::var_os("USER"),
    };
    if facts.euid_is_root && facts.xdg_runtime_dir.is_some() && facts.user.as_deref() != Some("root".as_ref()) {
        facts.in_user_namespace = Some(in_user_namespace());
    }
    match default(&facts) {
        None => Ok(Root { path: "/run/runc".into(), explicit: false }),
        Some(path) => {
            make_sticky(&path)?;
            Ok(Root { path, explicit: false })
        }
    }
}

/// What `--root` says, absolute and clean.
///
/// # Errors
/// It is `/`, or relative to a directory that is gone.
pub fn given(global: &Global) -> Result<Option<PathBuf>> {
    let Some(given) = &global.root else { return Ok(None) };
    let path = clean(&absolute(given)?);
    if path == Path::new("/") {
        return Err(Error::new("Option --root argument should not be set to /"));
    }
    Ok(Some(path))
}

/// The per-user root, where it is the default.
fn default(facts: &Facts) -> Option<PathBuf> {
    let xdg = facts.xdg_runtime_dir.as_ref()?;
    let user_is_root = facts.user.as_deref() == Some("root".as_ref());
    let per_user = !facts.euid_is_root || (facts.in_user_namespace == Some(true) && !user_is_root);
    per_user.then(|| Path::new(xdg).join("runc"))
}

/// Mode 01700: the sticky bit keeps systemd-tmpfiles from cleaning it away. Where `$XDG_RUNTIME_DIR` is for all to write (/tmp
/// in many containers), others may have been there first.
fn make_sticky(path: &Path) -> Result<()> {
    const WRITABLE: &str = "the path in $XDG_RUNTIME_DIR must be writable by the user";
    const PERMISSION: &str = "you should check permission of the path in $XDG_RUNTIME_DIR";
    let failed = |call: &str, e| Error::sys(format!("{call} {}", path.display()), e);
    let dir = files::make_dirs(path).map_err(|e| failed("mkdir", e)).doing(|| WRITABLE)?;
    let stat = fstat(&dir).map_err(|e| failed("stat", e)).doing(|| PERMISSION)?;
    if stat.st_uid != nix::unistd::geteuid().as_raw() {
        let what = format!("{} belongs to uid {}", path.display(), stat.st_uid);
        return Err(Error::new(what).doing(PERMISSION).hint("let it, or --root, name a directory that is yours"));
    }
    if stat.st_mode & 0o7777 == 0o1700 {
        return Ok(());
    }
    fchmod(&dir, Mode::S_ISVTX | Mode::S_IRWXU).map_err(|e| failed("chmod", e)).doing(|| PERMISSION)
}

/// How little we may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rootless {
    /// The effective uid is not 0.
    pub euid: bool,
    /// Permission errors of the cgroup file system are to be ignored.
    pub cgroups: bool,
}

/// What `--rootless` says, or the host where it says `auto`.
///
/// # Errors
/// A value that is neither `auto` nor a bool: `strconv.ParseBool: parsing "foo": invalid syntax`.
pub fn rootless(global: &Global) -> Result<Rootless> {
    let euid = !nix::unistd::geteuid().is_root();
    let cgroups = match global.rootless.as_deref() {
        None => euid || in_user_namespace(),
        Some(text) if text.is_empty() || text.eq_ignore_ascii_case("auto") => euid || in_user_namespace(),
        Some(text) => parse_bool(text).map_err(Error::new)?,
    };
    Ok(Rootless { euid, cgroups })
}

/// The path from `/`; an empty one is the current directory.
///
/// # Errors
/// `getcwd`.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let cwd = std::env::current_dir().map_err(|e| Error::io("getcwd", &e))?;
    Ok(cwd.join(path))
}

/// Go's `filepath.Clean` of an absolute path: `.`, `..` and doubled slashes resolved without a look at the file system.
pub fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    debug_assert!(out.as_os_str().as_bytes().starts_with(b"/"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_root_is_runcs() {
        let facts = |euid_is_root, in_user_namespace, xdg: Option<&str>, user: Option<&str>| Facts {
            euid_is_root,
            in_user_namespace,
            xdg_runtime_dir: xdg.map(Into::into),
            user: user.map(Into::into),
        };
        let per_user = Some(PathBuf::from("/run/user/7/runc"));
        let xdg = Some("/run/user/7");
        for (facts, root) in [
            (facts(false, None, xdg, None), per_user.clone()),
            (facts(false, None, xdg, Some("root")), per_user.clone()),
            (facts(false, None, None, Some("me")), None),
            (facts(true, Some(false), xdg, Some("me")), None),
            (facts(true, Some(false), xdg, None), None),
            (facts(true, Some(true), xdg, Some("me")), per_user.clone()),
            (facts(true, Some(true), xdg, None), per_user),
            (facts(true, Some(true), xdg, Some("root")), None),
            (facts(true, Some(true), None, Some("me")), None),
        ] {
            assert_eq!(default(&facts), root);
        }
    }

    #[test]
    fn given_root_is_made_absolute_and_clean() {
        let cwd = std::env::current_dir().unwrap();
        let root = |given: &str| find(&Global { root: Some(given.into()), ..Global::default() });
        assert_eq!(root("/a/./b//../c/").unwrap(), Root { path: "/a/c".into(), explicit: true });
        assert_eq!(root("").unwrap().path, cwd);
        assert_eq!(root("x/../y").unwrap().path, cwd.join("y"));
        for slash in ["/", "//", "/../..", "/a/.."] {
            let e = root(slash).unwrap_err();
            assert_eq!(e.to_string(), "Option --root argument should not be set to /");
        }
    }

    #[test]
    fn rootless_flag_takes_gos_bools_and_auto() {
        let rootless = |given: &str| rootless(&Global { rootless: Some(given.into()), ..Global::default() });
        assert!(rootless("T").unwrap().cgroups);
        assert!(!rootless("0").unwrap().cgroups);
        for auto in ["AuTo", ""] {
            assert_eq!(rootless(auto).unwrap(), super::rootless(&Global::default()).unwrap());
        }
        let e = rootless("foo").unwrap_err();
        assert_eq!(e.to_string(), "strconv.ParseBool: parsing \"foo\": invalid syntax");
    }
}
