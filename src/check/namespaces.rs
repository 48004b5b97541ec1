//! Namespaces: which can be made, which can be joined.

use std::os::fd::AsFd;

use super::{Asked, Findings, stat_failed};
use crate::error::Errno;
use crate::host;
use crate::spec::names::{self, NamespaceKind};
use crate::sys::nsfs::ns_get_nstype;

const FIELD: &str = "/linux/namespaces";

pub(super) fn look(findings: &mut Findings, asked: &Asked<'_>) {
    let mut made = Vec::new();
    for (i, namespace) in asked.linux.namespaces.iter().enumerate() {
        let field = format!("{FIELD}/{i}");
        let Some(kind) = names::namespace(&namespace.kind) else { continue };
        if !namespace.path.is_empty() {
            join(findings, kind, &namespace.path, &format!("{field}/path"));
        } else if can_make(findings, asked, kind, &field) {
            made.push(kind.name);
        }
    }
    if asked.bundle.is_none() {
        made = names::NAMESPACES.iter().filter(|kind| can_make(findings, asked, kind, "")).map(|k| k.name).collect();
    }
    if !made.is_empty() {
        let field = if asked.bundle.is_some() { FIELD } else { "" };
        findings.ok("namespaces", format!("{} can be made", made.join(", ")), field);
    }
    if asked.circumstances.rootless_euid && (asked.bundle.is_none() || asked.has_new("user")) {
        switches(findings, asked);
    }
}

/// user_namespaces(7), "/proc/sys/user": how many there may be.
fn can_make(findings: &mut Findings, asked: &Asked<'_>, kind: &NamespaceKind, field: &str) -> bool {
    if !host::has_namespace(kind) {
        findings.error("namespaces", format!("the kernel has no {} namespaces", kind.name), field);
        return false;
    }
    let limit = format!("user/max_{}_namespaces", kind.file);
    if asked.sysctl_number(&limit) == Some(0) {
        let name = limit.replace('/', ".");
        findings
            .error("namespaces", format!("{name} is 0: no {} namespaces", kind.name), field)
            .remedy(format!("sysctl -w {name}=1024"));
        return false;
    }
    true
}

/// The file has to be a namespace, and of the kind that it is to be joined as.
fn join(findings: &mut Findings, kind: &NamespaceKind, path: &str, field: &str) {
    let wanted = format!("a {} namespace", kind.name);
    let file = match crate::files::open(path, nix::fcntl::OFlag::O_RDONLY).map_err(std::io::Error::from) {
        Ok(file) => file,
        Err(e) => {
            findings
                .error("namespaces", stat_failed(path, &e).replacen("stat", "open", 1), field)
                .remedy("whose namespace this is has ended, or never was; start that first");
            return;
        }
    };
    match ns_get_nstype(file.as_fd()) {
        Ok(flag) if flag == kind.clone_flag => {
            findings.ok("namespaces", format!("{wanted} to join: {path}"), field);
        }
        Ok(flag) => {
            let found = names::NAMESPACES.iter().find(|k| k.clone_flag == flag).map_or("another", |k| k.name);
            findings.error("namespaces", format!("{path} is not {wanted}, but a {found} namespace"), field);
        }
        Err(Errno::ENOTTY) => {
            findings.error("namespaces", format!("{path} is not {wanted}, but an ordinary file"), field);
        }
        Err(e) => {
            findings.failure(
                "namespaces",
                crate::error::Error::sys(format_args!("ioctl NS_GET_NSTYPE {path}"), e),
                field,
            );
        }
    }
}

/// Distributions' own switches; each shows only as a bare EPERM or EACCES later.
fn switches(findings: &mut Findings, asked: &Asked<'_>) {
    for (name, bad, good) in
        [("kernel.unprivileged_userns_clone", "0", "1"), ("kernel.apparmor_restrict_unprivileged_userns", "1", "0")]
    {
        if asked.sysctl(&name.replace('.', "/")).as_deref() == Some(bad) {
            findings
                .error("namespaces", format!("{name} is {bad}: users may not make user namespaces"), FIELD)
                .remedy(format!("sysctl -w {name}={good}, or an AppArmor profile that allows userns"));
        }
    }
}
