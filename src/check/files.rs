//! Files: the root file system, what is bound into it, hooks, and whether the program is there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use super::kernel::stat_failed;
use super::{Asked, Findings};
use crate::spec::mount_options;

pub(super) fn look(findings: &mut Findings, asked: &Asked<'_>) {
    root(findings, asked);
    for (i, mount) in asked.spec.mounts.iter().enumerate() {
        if !mount_options::parse(&mount.options).is_bind() {
            continue;
        }
        let source = asked.bundle.join(&mount.source);
        if let Err(e) = std::fs::metadata(&source) {
            findings.error("mounts", stat_failed(&source.to_string_lossy(), &e), format!("/mounts/{i}/source"));
        }
    }
    hooks(findings, asked);
}

fn root(findings: &mut Findings, asked: &Asked<'_>) {
    let Some(root) = &asked.spec.root else { return };
    let path = asked.bundle.join(&root.path);
    match std::fs::metadata(&path) {
        Err(e) => findings.error(
            "root",
            format!("invalid rootfs: {}", stat_failed(&path.to_string_lossy(), &e)),
            "/root/path",
        ),
        Ok(meta) if !meta.is_dir() => {
            findings.error("root", format!("{} is not a directory", path.display()), "/root/path")
        }
        Ok(_) => {
            findings.ok("root", format!("{} is a directory", path.display()), "/root/path");
            program(findings, asked, &path);
        }
    }
}

/// Where the program would be looked for. Mounts may bring it or hide it, so nothing more than a warning comes of it.
fn program(findings: &mut Findings, asked: &Asked<'_>, root: &Path) {
    let Some(name) = asked.process.args.first() else { return };
    let path = asked.process.env.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or_default();
    let candidates: Vec<PathBuf> = match name.contains('/') {
        true => vec![Path::new(&asked.process.cwd).join(name)],
        false => path.split(':').filter(|dir| dir.starts_with('/')).map(|dir| Path::new(dir).join(name)).collect(),
    };
    match candidates.iter().find(|candidate| is_executable_in(root, candidate)) {
        Some(found) => findings.ok("program", format!("{} can be executed", found.display()), "/process/args/0"),
        None => {
            let detail = format!("no executable {name:?} in the root file system, as long as no mount brings it");
            findings.warning("program", detail, "/process/args/0");
        }
    }
}

/// Resolved as the container will: a link of the image leads nowhere outside of it.
fn is_executable_in(root: &Path, path: &Path) -> bool {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    open(root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .and_then(|root| openat2(&root, path, how))
        .and_then(|file| nix::sys::stat::fstat(&file))
        .is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG && stat.st_mode & 0o111 != 0)
}

fn hooks(findings: &mut Findings, asked: &Asked<'_>) {
    let Some(hooks) = &asked.spec.hooks else { return };
    // createContainer's are looked up on the host as well; startContainer's are in the container.
    for (name, list) in [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ] {
        for (i, hook) in list.iter().enumerate() {
            let field = format!("/hooks/{name}/{i}/path");
            match std::fs::metadata(&hook.path) {
                Err(e) => findings.error("hooks", stat_failed(&hook.path, &e), field),
                Ok(meta) if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 => {
                    findings.error("hooks", format!("{} is not executable", hook.path), field);
                }
                Ok(_) => findings.ok("hooks", format!("{name}: {}", hook.path), field),
            }
        }
    }
}
