//! Mounts: whether the sources are there, the destinations can be, and the ids can be mapped.

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::statvfs::{FsFlags, statvfs};

use super::{Asked, Findings, files, stat_failed};
use crate::error::Error;
use crate::launch::trees;
use crate::spec::Mount;
use crate::spec::mount_options::{self, MountOptions};
use crate::sys::mount::open_tree_clone;

pub(super) fn look(findings: &mut Findings, asked: &Asked<'_>, bundle: &Path) {
    for (i, mount) in asked.spec.mounts.iter().enumerate() {
        let options = mount_options::parse(&mount.options);
        let field = format!("/mounts/{i}");
        let source = bundle.join(&mount.source);
        let is_directory = match std::fs::metadata(&source) {
            _ if !options.is_bind() => true,
            Ok(meta) => meta.is_dir(),
            Err(e) => {
                findings
                    .error("mounts", stat_failed(&source.to_string_lossy(), &e), format!("{field}/source"))
                    .remedy("make it, or take the mount out");
                continue;
            }
        };
        destination(findings, asked, bundle, i, is_directory);
        if options.is_bind() {
            id_map(findings, asked, mount, &options, &source, &field);
        }
    }
}

/// What is there already must be of the same sort, and what is not there must be possible to make. Not where an earlier mount
/// decides it.
fn destination(findings: &mut Findings, asked: &Asked<'_>, bundle: &Path, i: usize, is_directory: bool) {
    let Some(root) = files::rootfs(asked, bundle) else { return };
    let dest = |m: &Mount| Path::new("/").join(&m.destination);
    let Some(wanted) = asked.spec.mounts.get(i).map(dest) else { return };
    if asked.spec.mounts.iter().take(i).any(|earlier| wanted.starts_with(dest(earlier))) {
        return;
    }
    let field = format!("/mounts/{i}/destination");
    let is_read_only = || statvfs(&root).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY));
    match files::in_root(&root, &wanted) {
        Ok(stat) if (stat.st_mode & libc::S_IFMT == libc::S_IFDIR) != is_directory => {
            let (source, there) = if is_directory { ("a directory", "a file") } else { ("a file", "a directory") };
            findings.error(
                "mounts",
                format!("{} is {there}, and {source} is to be mounted on it", wanted.display()),
                field,
            );
        }
        Err(Errno::ENOENT) if is_read_only() => {
            findings
                .error(
                    "mounts",
                    format!("{} is missing, and the root file system is read-only", wanted.display()),
                    field,
                )
                .remedy("make it in the image");
        }
        Err(Errno::ENOENT) => files::can_make(findings, asked, &root, &wanted, &field),
        _ => {}
    }
}

/// Tried on a copy of the mount that is attached nowhere, with a user namespace that ends with the attempt: which file
/// systems take it depends on the kernel's version, and on what a file system is stacked on.
fn id_map(
    findings: &mut Findings,
    asked: &Asked<'_>,
    mount: &Mount,
    options: &MountOptions,
    source: &Path,
    field: &str,
) {
    if options.idmap.is_none() && mount.uid_mappings.is_empty() && mount.gid_mappings.is_empty() {
        return;
    }
    let all = options.idmap.is_some_and(|idmap| idmap.recursive);
    let maps = match mount.uid_mappings.is_empty() {
        true => (&asked.linux.uid_mappings, &asked.linux.gid_mappings),
        false => (&mount.uid_mappings, &mount.gid_mappings),
    };
    let name = source.display();
    let tried = trees::user_namespace(maps.0, maps.1).and_then(|userns| {
        let at = crate::files::open(source, OFlag::O_PATH).map_err(|e| Error::sys(format!("open {name}"), e))?;
        let tree = open_tree_clone(at.as_fd(), all).map_err(|e| Error::sys(format!("open_tree {name}"), e))?;
        trees::map_ids(&tree, &name.to_string(), all, all, &userns)
    });
    match tried {
        Ok(_) => findings.ok("mounts", format!("{} can be id-mapped", source.display()), field),
        Err(e) => findings.failure("mounts", e, field),
    }
}
