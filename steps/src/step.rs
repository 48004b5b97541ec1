//! The verbs. A step says what is wanted, with every decision that depends on config.json already taken; inside a step only
//! the state of the kernel may still decide (a file or a directory, a call that an old kernel lacks).

use crate::flags::{Attr, Caps, FileAccess, MountFlags, Namespaces};
use crate::{Barrier, Slot};

/// How a step holds what has no fixed size: owned by the compiler, borrowed from the plan by the child.
pub trait Repr {
    /// One string.
    type Str: core::fmt::Debug;
    /// Several strings.
    type Strs;
    /// Numbers of 64 bits.
    type Words;
}

/// Read in place from the plan's bytes.
pub struct Borrowed<'a>(core::marker::PhantomData<&'a ()>);

impl<'a> Repr for Borrowed<'a> {
    type Str = &'a core::ffi::CStr;
    type Strs = crate::wire::Strs<'a>;
    type Words = crate::wire::Words<'a>;
}

/// Built by the compiler.
#[cfg(feature = "owned")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned;

#[cfg(feature = "owned")]
impl Repr for Owned {
    type Str = std::ffi::CString;
    type Strs = Vec<std::ffi::CString>;
    type Words = Vec<u64>;
}

macro_rules! field_type {
    ($r:ident Str) => {
        $r::Str
    };
    ($r:ident Strs) => {
        $r::Strs
    };
    ($r:ident Words) => {
        $r::Words
    };
    ($r:ident $other:ident) => {
        $other
    };
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident $text:literal { $($(#[$fdoc:meta])* $field:ident: $ty:ident),* $(,)? })*) => {
        /// One step of the child.
        #[allow(missing_docs, reason = "the verb's text tells of its fields")]
        pub enum Step<R: Repr> {
            $($(#[$doc])* $name { $($(#[$fdoc])* $field: field_type!(R $ty)),* },)*
        }

        #[derive(Clone, Copy)]
        #[repr(u32)]
        enum Op { $($name),* }

        impl<'a> crate::wire::Get<'a> for Step<Borrowed<'a>> {
            fn get(from: &mut crate::wire::Reader<'a>) -> Option<Self> {
                let op = u32::get(from)?;
                $(if op == Op::$name as u32 {
                    return Some(Step::$name { $($field: crate::wire::Get::get(from)?),* });
                })*
                None
            }
        }

        #[cfg(feature = "owned")]
        impl crate::wire::Put for Step<Owned> {
            fn put(&self, to: &mut Vec<u8>) {
                match self {
                    $(Step::$name { $($field),* } => {
                        (Op::$name as u32).put(to);
                        $(crate::wire::Put::put($field, to);)*
                    })*
                }
            }
        }

        impl<R: Repr> Step<R> {
            /// The verb.
            pub fn name(&self) -> &'static str {
                match self { $(Step::$name { .. } => $text),* }
            }
        }

        #[cfg(feature = "owned")]
        impl std::fmt::Display for Step<Owned> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Step::$name { $($field),* } => {
                        f.write_str($text)?;
                        $(text::field(f, stringify!($field), $field)?;)*
                        Ok(())
                    })*
                }
            }
        }
    };
}

steps! {
    /// From here on notes when each of the `steps` of the plan ends, in the file in this place ([`crate::ticks`]).
    Trace "trace" { into: Slot, steps: u32 }

    // ---- entering the namespaces ------------------------------------------------------------------------------------
    /// Waits for the parent. Descriptors that come with the message take the places from `first` on.
    Wait "wait" { barrier: Barrier, first: Slot }
    /// Tells the parent.
    Tell "tell" { barrier: Barrier }
    /// Enters control groups of version 1, by writing to the files in these places.
    EnterCgroups "enter-cgroups" { first: Slot, count: u32 }
    /// Makes this process unreadable to others (PR_SET_DUMPABLE), before it enters what others are in: CVE-2016-9962.
    Hide "hide" {}
    /// Joins namespaces: of a process (a pidfd and any kinds) or one by its file.
    /// With `retry`, EPERM is no failure: a later `join` of the same place, after the user namespace, tries again.
    Join "join" { from: Slot, kinds: Namespaces, retry: bool }
    /// Makes namespaces.
    Unshare "unshare" { kinds: Namespaces }
    /// Writes offsets of a new time namespace, before any process enters it (time_namespaces(7)).
    TimeOffsets "time-offsets" { text: Str }
    /// Becomes uid and gid 0 of the user namespace.
    BecomeRoot "become-root" {}
    /// The rest is done by a child (a sister, CLONE_PARENT), which is in the pid and time namespaces joined or made before;
    /// this process ends.
    Fork "fork" {}
    /// Opens a private procfs, attached nowhere; `full` if more than the processes is needed (sysctl).
    Proc "proc" { full: bool }
    /// Joins a new session keyring called `name` and adds `permissions` to it; `label` is its SELinux label or empty.
    Keyring "keyring" { name: Str, permissions: u32, label: Str }
    /// Brings up the loopback interface.
    Loopback "loopback" {}

    // ---- the root file system ---------------------------------------------------------------------------------------
    /// Sets the propagation of `/`.
    Propagation "propagation" { flags: MountFlags }
    /// Makes the mount that holds `path` private, so that what is mounted below does not reach the host. Only the mount
    /// that `path` is on, found by mount ids, or by the handle in `from`.
    PrivateParent "private-parent" { path: Str, from: Slot, flags: MountFlags }
    /// Keeps the directory as the root of what follows; with `bind` after binding it on itself, by its handle in `from` if there
    /// is one.
    Root "root" { path: Str, from: Slot, bind: bool }
    /// Makes the directory in a place the root, of the process and of what follows. No descriptor: `/` is it.
    InitRoot "init-root" { from: Slot }
    /// Mounts a file system at `dest` inside the root. With `keep_mode` (tmpfs) an existing directory's mode is kept;
    /// with `copy_up` its content is copied into the new mount. Where the kernel does not permit it, or is busy, `fallback` of
    /// the host is bound instead (cgroup2), or an empty tmpfs if that is not there (rootless). Only with `in_proc` may `dest` be
    /// inside a procfs. `label` is the SELinux context that its root gets afterwards (mqueue, which takes none as an option).
    Mount "mount" { fstype: Str, source: Str, dest: Str, flags: MountFlags, data: Str, keep_mode: bool, copy_up: bool, in_proc: bool, fallback: Str, label: Str }
    /// Binds `source` of the host, or the tree in the place `from`, at `dest` inside the root. With `remount` its flags become
    /// exactly `set`, except those that the kernel has locked; locked ones that are in `clear` are an error.
    /// With `procfs` it has to be a procfs; with `optional` a source that is not there is skipped. What is in
    /// `from` is a copy already if `detached`, else a handle.
    Bind "bind" { source: Str, from: Slot, dest: Str, recursive: bool, remount: bool, set: Attr, clear: Attr, in_proc: bool, procfs: bool, optional: bool, detached: bool }
    /// Sets attributes of the mount made last and of all below it.
    Attributes "attributes" { set: Attr, clear: Attr }
    /// Sets the propagation of the mount made last.
    Propagate "propagate" { flags: MountFlags }
    /// Makes a directory inside the root.
    Mkdir "mkdir" { path: Str, mode: u32 }
    /// Makes a device node inside the root, and its directories; what is there is kept, and with `exact` has to be that device. Where
    /// mknod is not permitted, or with `bind`, the host's node of the same path is bound.
    Node "node" { path: Str, kind: u32, major: u32, minor: u32, mode: u32, uid: u32, gid: u32, bind: bool, exact: bool }
    /// Makes a symbolic link inside the root; kept if one is there, unless `replace`. With `target_exists` only if the target does.
    Symlink "symlink" { target: Str, path: Str, replace: bool, target_exists: bool }
    /// Makes the mount at `path` inside the root read-only, with the flags it has.
    ReadOnly "read-only" { path: Str }
    /// Makes the root the root of the mount namespace; the host's is gone, but for its null device with `keep_null` (for masks).
    /// With `slave` the old root is cut off from the host before it is unmounted.
    Pivot "pivot" { keep_null: bool, slave: bool }
    /// Unmounts a procfs or sysfs of the host, or covers it, before `move-root`.
    Cover "cover" { path: Str }
    /// The same as `pivot` without pivot_root(2): the mount is moved to `/`.
    MoveRoot "move-root" { keep_null: bool }
    /// Only chroot(2), without a mount namespace.
    Chroot "chroot" {}
    /// Covers `path`: a file by the null device, a directory by an empty file system that all such share. A path that is not there
    /// is skipped.
    Mask "mask" { path: Str, label: Str }
    /// Binds `path` on itself, read-only. A path that is not there is skipped.
    ReadOnlyPath "read-only-path" { path: Str }

    // ---- the process ------------------------------------------------------------------------------------------------
    /// Makes a pseudoterminal in the container's devpts, sends its master to the parent and becomes its user: standard
    /// input, output and error. With `mount` it is bound on /dev/console too.
    Console "console" { uid: u32, rows: u32, columns: u32, mount: bool }
    /// Makes a session; with `terminal`, standard input becomes its controlling terminal.
    Session "session" { terminal: bool }
    /// Opens the container's null device over those of the descriptors 0-2 that were the host's (bit `1 << fd`).
    StdioNull "stdio-null" { descriptors: u32 }
    /// Makes a user of the namespace the owner of those of the descriptors 0-2 that are somebody's of it: it may open them again.
    StdioOwner "stdio-owner" { uid: u32 }
    /// Sets the host name.
    Hostname "hostname" { name: Str }
    /// Sets the NIS domain name.
    Domainname "domainname" { name: Str }
    /// Sets the file mode creation mask.
    Umask "umask" { mode: u32 }
    /// Writes a sysctl, below /proc/sys of the private procfs.
    Sysctl "sysctl" { path: Str, value: Str }
    /// Asks AppArmor for a profile at the next execve.
    AppArmor "apparmor" { profile: Str }
    /// Asks SELinux for a label at the next execve.
    SELinux "selinux" { label: Str }
    /// Gives up gaining privileges by execve (prctl(2) PR_SET_NO_NEW_PRIVS).
    NoNewPrivileges "no-new-privileges" {}
    /// Sets the I/O priority of the process group, in the form of ioprio_set(2).
    IoPriority "io-priority" { value: u32 }
    /// Sets the execution domain (personality(2)).
    Personality "personality" { domain: u64 }
    /// Sets the NUMA memory policy: mode with flags, and the mask of nodes.
    MemoryPolicy "memory-policy" { mode: u32, nodes: Words }
    /// Loads a seccomp filter: instructions of struct sock_filter as 64-bit words; flags as in seccomp(2). With
    /// `notify` the listener is handed over by the barriers `listener` and `listening`.
    Seccomp "seccomp" { flags: u64, notify: bool, filter: Words }
    /// Gives up rights over files for good, for all that comes of this process (landlock(7)): of those in `handled` it keeps all
    /// below the paths of `write`, and below those of `read` the rights to read, list and execute. The devices that
    /// hold nothing (null, zero, full, random, urandom, tty) stay usable, and the exec fifo in the place `fifo`.
    /// With `optional` a path that is not there is skipped.
    Landlock "landlock" { handled: FileAccess, read: Strs, write: Strs, optional: bool, fifo: Slot }
    /// Goes to the working directory. EACCES and EPERM are left to `cwd-again`.
    Cwd "cwd" { path: Str }
    /// Goes there as the user of the container, if `cwd` could not; and makes sure that it is inside the container.
    CwdAgain "cwd-again" { path: Str }
    /// Drops all other capabilities from the bounding set.
    Bounding "bounding" { keep: Caps }
    /// Becomes the user; capabilities are kept over it.
    Ids "ids" { uid: u32, gid: u32, set_groups: bool, groups: Words }
    /// Sets the thread's capabilities.
    Capabilities "capabilities" { effective: Caps, permitted: Caps, inheritable: Caps, ambient: Caps }
    /// Looks up the home directory of `uid` in /etc/passwd, for the environment of the user's program.
    Home "home" { uid: u32 }
    /// Finds the program: as the user, in the working directory, by `path` (the value of PATH).
    Find "find" { program: Str, path: Str }
    /// Runs a hook in the container, with `in_root` in the directory of its root. Its state document is `state`, this process's
    /// pid, then `state_end`; without `state_end` it is `state` alone.
    Hook "hook" { name: Str, index: u32, path: Str, args: Strs, env: Strs, inherit_home: bool, in_root: bool, timeout: u64, state: Str, state_end: Str }
    /// Closes all descriptors from `from` on but the sync socket, with `root` that of the root, with `proc` that of the private
    /// procfs, and the one in the place `keep`.
    Close "close" { from: u32, root: bool, proc: bool, keep: Slot }
    /// Waits until `start` opens the exec fifo, and writes to it. Before that, all descriptors from `close_from` on are closed.
    Fifo "fifo" { from: Slot, close_from: u32 }
    /// Becomes the user's program; with `home` its environment gets what `home` found. It inherits the descriptors below
    /// `close_from`.
    Exec "exec" { args: Strs, env: Strs, home: bool, close_from: u32 }
}

#[cfg(feature = "owned")]
mod text {
    use super::*;
    use std::ffi::CString;
    use std::fmt::{Formatter, Result};

    /// Writes ` name=value`. What says nothing (false, empty, no place) is left out, so that a plan stays short.
    pub(super) fn field(f: &mut Formatter<'_>, name: &str, value: &impl Value) -> Result {
        if value.is_default() {
            return Ok(());
        }
        write!(f, " {}=", name.replace('_', "-"))?;
        match (name, value.number()) {
            ("mode" | "kind", Some(n)) => write!(f, "{n:#o}"),
            ("permissions", Some(n)) => write!(f, "{n:#x}"),
            _ => value.write(f),
        }
    }

    pub(super) trait Value {
        fn is_default(&self) -> bool {
            false
        }
        /// Of those that some fields are masks of.
        fn number(&self) -> Option<u32> {
            None
        }
        fn write(&self, f: &mut Formatter<'_>) -> Result;
    }

    impl Value for u32 {
        fn number(&self) -> Option<u32> {
            Some(*self)
        }
        fn write(&self, f: &mut Formatter<'_>) -> Result {
            write!(f, "{self}")
        }
    }

    impl Value for CString {
        fn is_default(&self) -> bool {
            self.is_empty()
        }
        fn write(&self, f: &mut Formatter<'_>) -> Result {
            let s = self.to_string_lossy();
            if s.contains(|c: char| c.is_control() || matches!(c, ' ' | '"' | '#')) {
                write!(f, "{s:?}")
            } else {
                f.write_str(&s)
            }
        }
    }

    impl Value for Vec<CString> {
        fn is_default(&self) -> bool {
            self.is_empty()
        }
        fn write(&self, f: &mut Formatter<'_>) -> Result {
            let strs: Vec<_> = self.iter().map(|s| s.to_string_lossy()).collect();
            write!(f, "{strs:?}")
        }
    }

    impl Value for Vec<u64> {
        fn is_default(&self) -> bool {
            self.is_empty()
        }
        fn write(&self, f: &mut Formatter<'_>) -> Result {
            // A filter would drown the plan; its length and sum tell whether two are the same.
            if self.len() > 16 {
                let sum = self.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, w| (h ^ w).wrapping_mul(0x100_0000_01b3));
                write!(f, "[{} words, sum {sum:016x}]", self.len())
            } else {
                write!(f, "{self:?}")
            }
        }
    }

    impl Value for Slot {
        fn is_default(&self) -> bool {
            *self == Slot::NONE
        }
        fn write(&self, f: &mut Formatter<'_>) -> Result {
            write!(f, "@{}", self.0)
        }
    }

    impl Value for Barrier {
        fn write(&self, f: &mut Formatter<'_>) -> Result {
            f.write_str(self.name())
        }
    }

    impl Value for bool {
        fn is_default(&self) -> bool {
            !self
        }
        fn write(&self, f: &mut Formatter<'_>) -> Result {
            write!(f, "{self}")
        }
    }

    macro_rules! shown { ($($t:ty: $empty:expr),*) => { $(impl Value for $t {
        fn is_default(&self) -> bool {
            $empty(self)
        }
        fn write(&self, f: &mut Formatter<'_>) -> Result {
            write!(f, "{self}")
        }
    })* } }
    shown!(u64: |_| false, MountFlags: |f: &MountFlags| f.is_empty(), Attr: |f: &Attr| f.is_empty(),
           Namespaces: |_| false, Caps: |_| false, FileAccess: |_| false);
}

#[cfg(all(test, feature = "owned"))]
mod tests {
    use super::*;
    use crate::wire::{Get, Put, Reader};

    #[test]
    fn what_is_put_is_got() {
        let steps: Vec<Step<Owned>> = vec![
            Step::Tell { barrier: Barrier::Ready },
            Step::Bind {
                source: c"/a".into(),
                from: Slot::NONE,
                dest: c"/b c".into(),
                recursive: true,
                remount: true,
                set: Attr::RDONLY,
                clear: Attr::none(),
                in_proc: false,
                procfs: false,
                optional: false,
                detached: false,
            },
            Step::Exec { args: vec![c"sh".into(), c"".into()], env: vec![], home: true, close_from: 3 },
            Step::Seccomp { flags: 4, notify: false, filter: (0..20).collect() },
        ];
        let mut bytes = Vec::new();
        steps.iter().for_each(|s| s.put(&mut bytes));
        let mut from = Reader::new(&bytes);
        for step in &steps {
            let got = Step::get(&mut from).unwrap();
            assert_eq!(got.name(), step.name());
            if let (Step::Exec { args, env, home, .. }, Step::Exec { args: a, .. }) = (&got, step) {
                assert!(args.eq(a.iter().map(|s| s.as_c_str())) && env.is_empty() && *home);
            }
            if let Step::Seccomp { filter, .. } = got {
                assert!(filter.iter().eq(0..20));
            }
        }
        assert!(from.is_empty());
        assert_eq!(steps[1].to_string(), r#"bind source=/a dest="/b c" recursive=true remount=true set=ro"#);
        assert_eq!(steps[0].to_string(), "tell barrier=ready");
        for cut in 0..bytes.len() {
            let mut from = Reader::new(&bytes[..cut]);
            while Step::get(&mut from).is_some() {}
        }
    }
}
