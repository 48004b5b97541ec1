//! `linux.sysctl`: which keys exist per container, and the file of each. A key that is not in a namespace of the
//! container's own would change the host.

/// A key in the form with dots, which messages show: if the separator met first is `/`, both are swapped throughout.
pub fn normalise(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(at) if key.as_bytes().get(at) == Some(&b'/') => swap(key),
        _ => key.to_owned(),
    }
}

/// The file of a key in the form with dots, relative to /proc/sys; `None` if it is not one that stays below the directory
/// that its first part names (`net.//.kernel.core_pattern` means `net/../kernel/core_pattern`).
pub fn path(dotted: &str) -> Option<String> {
    let path = swap(dotted);
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control);
    path.split('/').all(plain).then_some(path)
}

fn swap(key: &str) -> String {
    key.chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            c => c,
        })
        .collect()
}

/// Which namespace of its own a container needs to set a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A new or joined ipc namespace.
    Ipc,
    /// A network namespace that is not the host's.
    Network,
    /// A uts namespace.
    Uts,
    /// kernel.hostname: the field `hostname` is for that.
    Hostname,
    /// Limits of the user namespace.
    User,
    /// The key is the host's.
    Host,
}

const IPC_KEYS: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The scope of a key in the form with dots.
pub fn scope(dotted: &str) -> Scope {
    if path(dotted).is_none() {
        return Scope::Host;
    }
    match dotted {
        "kernel.domainname" => Scope::Uts,
        "kernel.hostname" => Scope::Hostname,
        key if IPC_KEYS.contains(&key) || key.starts_with("fs.mqueue.") => Scope::Ipc,
        key if key.starts_with("net.") => Scope::Network,
        key if key.starts_with("user.") => Scope::User,
        _ => Scope::Host,
    }
}

/// Why a value cannot be meant for one key, if so. Values are written verbatim to one file, so they cannot smuggle here
/// what they could in a tool that joins them (CVE-2022-0811); they are refused so that the attempt is seen.
pub fn value_fault(value: &str) -> Option<&'static str> {
    let line = value.strip_suffix('\n').unwrap_or(value);
    if line.contains('\0') {
        Some("contains nul byte (\\x00)")
    } else if line.contains(['\n', '\r']) {
        Some("contains a line break")
    } else if line.split_once('+').is_some_and(|(_, rest)| rest.contains('=')) {
        Some("contains another assignment")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators() {
        for (key, dotted, file) in [
            ("net.ipv4.ip_forward", "net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", "net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            (
                "net/ipv4/conf/eno2.100.rp_filter",
                "net.ipv4.conf.eno2/100/rp_filter",
                "net/ipv4/conf/eno2.100.rp_filter",
            ),
            (
                "net/ipv4/conf/eno2.100/rp_filter",
                "net.ipv4.conf.eno2/100.rp_filter",
                "net/ipv4/conf/eno2.100/rp_filter",
            ),
            (
                "net.ipv4.conf.eno2/100.rp_filter",
                "net.ipv4.conf.eno2/100.rp_filter",
                "net/ipv4/conf/eno2.100/rp_filter",
            ),
            ("plain", "plain", "plain"),
        ] {
            assert_eq!(normalise(key), dotted, "{key}");
            assert_eq!(path(dotted).as_deref(), Some(file), "{key}");
        }
    }

    #[test]
    fn scopes() {
        for (key, expected) in [
            ("kernel.shmmax", Scope::Ipc),
            ("fs.mqueue.queues_max", Scope::Ipc),
            ("net.ipv4.ip_forward", Scope::Network),
            ("kernel.domainname", Scope::Uts),
            ("kernel.hostname", Scope::Hostname),
            ("user.max_pid_namespaces", Scope::User),
            ("kernel.core_pattern", Scope::Host),
            ("kernel.shmmax2", Scope::Host),
            ("vm.swappiness", Scope::Host),
            ("net", Scope::Host),
            ("fs.mqueue.", Scope::Host),
            // Out of the directory again.
            ("net.//.kernel.core_pattern", Scope::Host),
            ("net./.x", Scope::Host),
            ("net..x", Scope::Host),
            ("net.ipv4\0.x", Scope::Host),
            ("", Scope::Host),
        ] {
            assert_eq!(scope(key), expected, "{key:?}");
        }
        assert_eq!(scope(&normalise("net/../kernel/core_pattern")), Scope::Host);
    }

    #[test]
    fn values() {
        for good in ["1", "250\t32000\t32\t128", "8080,9148", "1\n", "", "a+b", "example.org", "4096 131072 6291456"] {
            assert_eq!(value_fault(good), None, "{good:?}");
        }
        for bad in ["1+kernel.core_pattern=|/x", "1\nkernel.core_pattern=x", "1\n\n", "1\0", "1\r2"] {
            assert!(value_fault(bad).is_some(), "{bad:?}");
        }
    }
}
