//! The helpers of FUSE: file systems that programs serve are mounted and unmounted by programs. Nothing else may run one.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dunnage::error::{Context, Error, Result};

use crate::program::{Program, Stdio, argument, inherited_env, look_up, run};

/// Of what a helper prints.
const KEPT: usize = 4096;

/// A file system that has stopped answering must not hold us longer.
const UNMOUNT: Duration = Duration::from_secs(10);

/// `mount.fuse SOURCE TARGET [-o OPTION]... -t SUBTYPE`
pub fn mount(program: &str, subtype: &str, source: &str, options: &[String], target: &OwnedFd) -> Result<()> {
    // The helper takes a name. What it has was resolved in the root, and is without links.
    let link = format!("/proc/self/fd/{}", target.as_raw_fd());
    let target: PathBuf =
        nix::fcntl::readlink(link.as_str()).map_err(|e| Error::sys(format!("readlink {link}"), e))?.into();
    if source.starts_with('-') {
        return Err(Error::new(format!("the source {source:?} would be an option of {program}")));
    }
    let mut args = vec![argument(source)?, argument(&target)?];
    for option in options {
        args.extend([c"-o".to_owned(), argument(option)?]);
    }
    args.extend([c"-t".to_owned(), argument(subtype)?]);
    let path = look_up(program).doing(|| "mount helper")?;
    let env = inherited_env();
    // What serves the file system is its child: it lives on when we end.
    let helper =
        Program { path: &path, args, env: &env, stdio: Stdio::Kept(None, KEPT), dies_with_us: false, timeout: None };
    match run(&helper)? {
        ended if ended.well() => Ok(()),
        ended => {
            Err(Error::new(format!("mount helper [{program} {source} {}]: {}", target.display(), ended.describe())))
        }
    }
}

/// `fusermount -u TARGET`, of the newer FUSE or of the older; true if one of them has done it.
pub fn unmount(target: &Path) -> bool {
    let env = inherited_env();
    ["fusermount3", "fusermount"].iter().any(|name| {
        let (Ok(path), Ok(target)) = (look_up(name), argument(target)) else { return false };
        let args = vec![c"-u".to_owned(), c"--".to_owned(), target];
        let stdio = Stdio::Kept(None, KEPT);
        let helper = Program { path: &path, args, env: &env, stdio, dies_with_us: true, timeout: Some(UNMOUNT) };
        run(&helper).is_ok_and(|ended| ended.well())
    })
}
