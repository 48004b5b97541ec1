//! Which steps of the plan language take a path, and at which paths the stepped tests attack them. A step that is added has to
//! be added here: "enumerate, don't trust memory".

/// How a step is attacked.
pub enum How {
    /// At these paths.
    At(&'static [&'static str]),
    /// It takes none that an attacker has in his hands, because.
    Not(&'static str),
}

use How::{At, Not};

const NO_PATH: How = Not("no path");
const PRIVATE: How = Not("in a procfs that is attached nowhere, within which nothing can be mounted or linked");

/// Every verb of `steps/src/step.rs`.
pub const STEPS: &[(&str, How)] = &[
    ("trace", Not("a descriptor of the runtime's")),
    ("wait", NO_PATH),
    ("tell", NO_PATH),
    ("enter-cgroups", Not("descriptors of the runtime's")),
    ("hide", NO_PATH),
    ("join", Not("descriptors of the runtime's")),
    ("unshare", NO_PATH),
    ("time-offsets", PRIVATE),
    ("become-root", NO_PATH),
    ("fork", NO_PATH),
    ("proc", Not("made by the kernel; without the right to, the host's own, before its root is left")),
    ("keyring", PRIVATE),
    ("loopback", NO_PATH),
    ("propagation", Not("the root of the process")),
    ("private-parent", Not("the engine's path to the root file system")),
    ("root", Not("the engine's path to the root file system; what is in it cannot exchange it")),
    ("init-root", Not("a descriptor of the runtime's")),
    (
        "mount",
        At(&[
            "/proc",
            "/dev",
            "/dev/pts",
            "/sys",
            "/sys/fs/cgroup",
            "/vol/tmpfs",
            "/vol/copy",
            "/vol/made/deep",
            "/shared/in/deep",
        ]),
    ),
    ("bind", At(&["/vol/dir", "/vol/file", "/vol/new/file2", "/shared", "/shared/file", "/proc/cpuinfo"])),
    ("attributes", At(&["/vol/dir"])),
    ("propagate", At(&["/vol/dir", "/vol/made/deep", "/shared"])),
    ("mkdir", At(&["/vol/cwd", "/vol/cwd/deep"])),
    ("node", At(&["/dev/null", "/dev/zero", "/vol/nodes", "/vol/nodes/null", "/shared/null"])),
    ("symlink", At(&["/dev/fd", "/dev/stdin", "/dev/ptmx", "/proc/kcore"])),
    ("read-only", At(&["/sys/fs/cgroup"])),
    ("pivot", Not("`.` of a descriptor")),
    ("cover", Not("mounts of the host")),
    ("move-root", Not("`.` of a descriptor")),
    ("chroot", Not("`.` of a descriptor")),
    (
        "mask",
        At(&["/proc/keys", "/proc/timer_list", "/sys/firmware", "/vol/secret", "/vol/secret-dir", "/shared/secret"]),
    ),
    ("read-only-path", At(&["/proc/sys", "/proc/irq", "/vol/ro", "/shared/ro"])),
    ("console", At(&["/dev/pts", "/dev/pts/ptmx", "/dev/console"])),
    ("session", NO_PATH),
    ("stdio-null", At(&["/dev/null"])),
    ("stdio-owner", Not("the descriptors that the process has")),
    ("hostname", NO_PATH),
    ("domainname", NO_PATH),
    ("umask", NO_PATH),
    ("sysctl", PRIVATE),
    ("apparmor", PRIVATE),
    ("selinux", PRIVATE),
    ("no-new-privileges", NO_PATH),
    ("io-priority", NO_PATH),
    ("personality", NO_PATH),
    ("memory-policy", NO_PATH),
    ("seccomp", NO_PATH),
    ("landlock", At(&["/etc", "/bin", "/vol", "/shared"])),
    ("cwd", At(&["/vol/cwd/deep"])),
    ("cwd-again", At(&["/vol/cwd/deep"])),
    ("bounding", NO_PATH),
    ("ids", NO_PATH),
    ("capabilities", NO_PATH),
    ("home", At(&["/etc/passwd"])),
    ("find", At(&["/vol/bin/look"])),
    ("hook", At(&["/bin/busybox"])),
    ("close", NO_PATH),
    ("fifo", Not("a descriptor of the runtime's")),
    ("exec", At(&["/vol/bin/look"])),
];

/// The verbs, as the source has them: `Mount "mount" {`.
pub fn verbs() -> Vec<&'static str> {
    let source = include_str!("../../../steps/src/step.rs");
    let verb = |line: &'static str| {
        let (name, rest) = line.strip_prefix("    ")?.split_once(" \"")?;
        let (verb, fields) = rest.split_once('"')?;
        (name.starts_with(char::is_uppercase) && fields.starts_with(" {")).then_some(verb)
    };
    source.lines().filter_map(verb).collect()
}
