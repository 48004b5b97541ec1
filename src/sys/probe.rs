//! Which system calls this kernel has, and the seccomp filter around us lets pass.

/// A call that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    number: libc::c_long,
}

const fn call(name: &'static str, number: libc::c_long) -> Call {
    Call { name, number }
}

/// clone3(2)
pub const CLONE3: Call = call("clone3", libc::SYS_clone3);
/// close_range(2)
pub const CLOSE_RANGE: Call = call("close_range", libc::SYS_close_range);
/// fsopen(2)
pub const FSOPEN: Call = call("fsopen", libc::SYS_fsopen);
/// mount_setattr(2)
pub const MOUNT_SETATTR: Call = call("mount_setattr", libc::SYS_mount_setattr);
/// move_mount(2)
pub const MOVE_MOUNT: Call = call("move_mount", libc::SYS_move_mount);
/// open_tree(2)
pub const OPEN_TREE: Call = call("open_tree", libc::SYS_open_tree);
/// openat2(2)
pub const OPENAT2: Call = call("openat2", libc::SYS_openat2);
/// pidfd_open(2)
pub const PIDFD_OPEN: Call = call("pidfd_open", libc::SYS_pidfd_open);
/// pidfd_send_signal(2)
pub const PIDFD_SEND_SIGNAL: Call = call("pidfd_send_signal", libc::SYS_pidfd_send_signal);
/// pidfd_getfd(2)
pub const PIDFD_GETFD: Call = call("pidfd_getfd", libc::SYS_pidfd_getfd);
/// Every call above.
pub const ALL: [Call; 10] = [
    CLONE3,
    CLOSE_RANGE,
    FSOPEN,
    MOUNT_SETATTR,
    MOVE_MOUNT,
    OPEN_TREE,
    OPENAT2,
    PIDFD_OPEN,
    PIDFD_SEND_SIGNAL,
    PIDFD_GETFD,
];

/// Whether the kernel answers the call with anything but ENOSYS.
pub fn has(call: Call) -> bool {
    let nothing: libc::c_long = 0;
    // SAFETY: -1 as the first argument is no descriptor, no process, no readable address and no range of descriptors, and the
    // sizes are 0: each of the calls above (there is no other `Call`) fails with it before it has done anything.
    let result = unsafe { libc::syscall(call.number, -1 as libc::c_long, nothing, nothing, nothing, nothing, nothing) };
    result != -1 || nix::errno::Errno::last() != nix::errno::Errno::ENOSYS
}

/// Whether clone3(2) knows CLONE_INTO_CGROUP (Linux 5.7).
pub fn has_clone_into_cgroup() -> bool {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    // struct clone_args: eleven words, of which the first is `flags` and the last `cgroup`.
    let mut args = [0_u64; 11];
    args[0] = CLONE_INTO_CGROUP;
    args[10] = u64::MAX;
    // SAFETY: a structure that lives through the call, and its size. No child comes of it: a kernel that knows the flag refuses
    // a descriptor above INT_MAX (EINVAL), one that does not refuses a structure with more than it knows (E2BIG).
    let result = unsafe { libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args)) };
    result == -1 && nix::errno::Errno::last() == nix::errno::Errno::EINVAL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_some_and_none_does_anything() {
        assert!(has(PIDFD_SEND_SIGNAL) && has(OPENAT2));
        assert!(!has(call("none", 0xffff)));
        let before = std::process::id();
        // True wherever Linux 5.7 is; either way there is still one of us.
        has_clone_into_cgroup();
        assert_eq!(std::process::id(), before);
        for call in ALL {
            has(call);
        }
    }
}
