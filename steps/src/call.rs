//! The calls that can fail inside a step, as numbers for the wire and as words for the error.

macro_rules! calls {
    ($($name:ident => $text:literal),* $(,)?) => {
        /// A call that failed.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        #[allow(missing_docs, reason = "each is named as its man page")]
        pub enum Call { $($name),* }

        impl Call {
            const ALL: &[Call] = &[$(Call::$name),*];

            /// The call with this number.
            pub fn from_u32(n: u32) -> Option<Call> {
                Call::ALL.iter().copied().find(|c| *c as u32 == n)
            }

            /// Its name, as in its man page; or, where no one call failed, what was found wrong.
            pub fn name(self) -> &'static str {
                match self { $(Call::$name => $text),* }
            }
        }
    };
}

calls! {
    Plan => "read the plan",
    Recv => "recvmsg",
    Send => "sendmsg",
    Open => "openat2",
    Openat => "openat",
    Read => "read",
    Write => "write",
    Stat => "statx",
    Statfs => "fstatfs",
    Mkdir => "mkdirat",
    Mknod => "mknodat",
    Symlink => "symlinkat",
    Unlink => "unlinkat",
    Readlink => "readlinkat",
    Chmod => "fchmodat",
    Chown => "fchownat",
    Xattr => "fsetxattr",
    Getdents => "getdents64",
    Mount => "mount",
    Umount => "umount2",
    OpenTree => "open_tree",
    MoveMount => "move_mount",
    MountSetattr => "mount_setattr",
    Fsopen => "fsopen",
    Fsconfig => "fsconfig",
    Fsmount => "fsmount",
    PivotRoot => "pivot_root",
    Chroot => "chroot",
    Chdir => "chdir",
    Fchdir => "fchdir",
    Getcwd => "getcwd",
    Setns => "setns",
    Unshare => "unshare",
    Clone => "clone3",
    Wait => "waitid",
    Poll => "poll",
    Pipe => "pipe2",
    Dup => "dup3",
    Socket => "socket",
    Ioctl => "ioctl",
    Setsid => "setsid",
    Sethostname => "sethostname",
    Setdomainname => "setdomainname",
    Prctl => "prctl",
    Capset => "capset",
    Setgroups => "setgroups",
    Setresgid => "setresgid",
    Setresuid => "setresuid",
    Keyctl => "keyctl",
    IoprioSet => "ioprio_set",
    Personality => "personality",
    SetMempolicy => "set_mempolicy",
    Seccomp => "seccomp",
    LandlockCreateRuleset => "landlock_create_ruleset",
    LandlockAddRule => "landlock_add_rule",
    LandlockRestrictSelf => "landlock_restrict_self",
    CloseRange => "close_range",
    Execve => "execve",
    PidfdOpen => "pidfd_open",
    // What no call reported, but was seen.
    NotANull => "not the null device",
    NotTheDevice => "the host has another device of that name",
    AnotherFile => "something else has that name in the root file system",
    NotAPty => "not a pseudoterminal of devpts",
    NotADirectory => "not a directory",
    OnRoot => "on the top of rootfs",
    InsideProc => "inside /proc",
    NotProcType => "not of type proc",
    Outside => "outside of the container's root",
    NotFoundInPath => "executable file not found in $PATH",
    RelativeInPath => "cannot run executable found relative to current directory",
    NotListed => "below no path of the annotation io.dunnage.landlock",
    HookFailed => "hook failed",
    HookTimeout => "hook ran past its timeout",
    LockedFlags => "locked mount flags",
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_call_is_found_by_its_number() {
        for c in super::Call::ALL {
            assert_eq!(super::Call::from_u32(*c as u32), Some(*c));
        }
        assert_eq!(super::Call::from_u32(u32::MAX), None);
    }
}
