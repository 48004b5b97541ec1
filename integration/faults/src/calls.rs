//! Which system call can fail with which of the six errnos: what its man page lists, what the file systems and sockets below
//! it hand up, and what signals do. Calls that only ask the process about itself have none.

use std::fs;

pub const ERRNOS: &[(&str, i32, &str)] = &[
    ("ENOMEM", libc::ENOMEM, "cannot allocate memory"),
    ("EIO", libc::EIO, "input/output error"),
    ("ENOSPC", libc::ENOSPC, "no space left on device"),
    ("EINTR", libc::EINTR, "interrupted system call"),
    ("EAGAIN", libc::EAGAIN, "resource temporarily unavailable"),
    ("EMFILE", libc::EMFILE, "too many open files"),
];

/// Names, and the initials of what they can fail with: m(emory), i(o), s(pace), n (interrupted), a(gain), f(iles).
/// `A`: EAGAIN if the descriptor does not block.
const TABLE: &[(&str, &str)] = &[
    ("open openat creat", "mif"),
    ("openat2", "miaf"),
    ("read readv pread64", "minA"),
    ("write writev pwrite64", "misnA"),
    ("sendfile splice copy_file_range", "minA"),
    ("getdents64", "mi"),
    ("mkdir mkdirat mknod mknodat symlink symlinkat link linkat rename renameat renameat2", "mis"),
    ("rmdir unlink unlinkat", "mi"),
    ("stat lstat fstat newfstatat statx access faccessat faccessat2 readlink readlinkat statfs fstatfs", "mi"),
    ("chmod fchmod fchmodat chown lchown fchown fchownat utimensat truncate ftruncate", "mi"),
    ("getxattr lgetxattr fgetxattr listxattr", "mi"),
    ("setxattr lsetxattr fsetxattr fallocate", "mis"),
    ("chdir fchdir chroot getcwd", "mi"),
    ("fsync fdatasync", "is"),
    ("close", "in"),
    ("flock", "n"),
    ("fcntl ioctl", "m"),
    ("dup dup2 dup3 pipe pipe2 eventfd2 timerfd_create signalfd4 epoll_create1 inotify_init1 pidfd_open", "mf"),
    ("inotify_add_watch epoll_ctl", "ms"),
    ("memfd_create", "mf"),
    ("socket socketpair", "mf"),
    ("bind listen setsockopt", "m"),
    ("connect", "mna"),
    ("accept accept4", "mnf"),
    ("sendto sendmsg sendmmsg", "mnA"),
    ("recvfrom recvmsg recvmmsg", "mnA"),
    ("poll ppoll select pselect6 epoll_wait epoll_pwait", "mn"),
    ("wait4 waitid", "n"),
    ("clone clone3 fork vfork", "msa"),
    ("execve execveat", "mifa"),
    ("unshare", "ms"),
    ("setns", "m"),
    ("mount", "mis"),
    ("umount2", "mi"),
    ("fsopen open_tree fspick", "msf"),
    ("fsconfig", "mi"),
    ("fsmount", "msf"),
    ("move_mount", "ms"),
    ("mount_setattr pivot_root", "m"),
    ("mmap mprotect mremap munmap", "m"),
    ("seccomp", "ma"),
    ("bpf", "mfa"),
    ("keyctl add_key", "m"),
    ("setuid setgid setresuid setresgid setreuid setregid", "ma"),
    ("setgroups", "m"),
    ("set_mempolicy landlock_create_ruleset landlock_add_rule", "m"),
];

/// The errnos that this call of this process may get, as positions in [`ERRNOS`].
pub fn plausible(pid: i32, name: &str, args: &[u64; 6]) -> Vec<usize> {
    let Some((_, letters)) = TABLE.iter().find(|(names, _)| names.split(' ').any(|n| n == name)) else {
        return Vec::new();
    };
    letters
        .chars()
        .filter_map(|letter| match letter {
            'm' => Some(0),
            'i' => (!asks_no_disk(pid, name, args)).then_some(1),
            's' => (!asks_no_disk(pid, name, args)).then_some(2),
            'n' => interruptible(pid, name, args).then_some(3),
            'a' => Some(4),
            'A' => does_not_block(pid, args[0]).then_some(4),
            _ => Some(5),
        })
        .collect()
}

/// A socket or a pipe has no disk below it.
fn asks_no_disk(pid: i32, name: &str, args: &[u64; 6]) -> bool {
    ["read", "write", "readv", "writev"].contains(&name) && !is_of_a_filesystem(pid, args[0])
}

/// Files of a disk are waited for without an ear for signals.
fn interruptible(pid: i32, name: &str, args: &[u64; 6]) -> bool {
    !["read", "write", "readv", "writev", "pread64", "pwrite64", "close"].contains(&name)
        || !is_of_a_filesystem(pid, args[0])
        || name == "close"
}

fn is_of_a_filesystem(pid: i32, fd: u64) -> bool {
    fs::read_link(format!("/proc/{pid}/fd/{fd}")).is_ok_and(|path| path.is_absolute())
}

fn does_not_block(pid: i32, fd: u64) -> bool {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|l| l.strip_prefix("flags:")).map(str::trim);
    flags.and_then(|f| i32::from_str_radix(f, 8).ok()).is_some_and(|f| f & libc::O_NONBLOCK != 0)
        && !is_of_a_filesystem(pid, fd)
}

pub fn name(number: i64) -> String {
    let known = usize::try_from(number).ok().and_then(syscalls::Sysno::new);
    known.map_or_else(|| format!("call {number}"), |n| n.name().to_string())
}
