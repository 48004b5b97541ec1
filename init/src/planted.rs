//! One violation for each line of `clippy.toml` beside this folder, as in `tests/lint/planted.rs`. Only clippy reads this file.

use crate::sys;

pub fn planted() {
    #[expect(clippy::disallowed_methods)]
    let _ = sys::openat2;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::openat;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::mkdirat;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::mknodat;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::symlinkat;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::unlinkat;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::readlinkat;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::fchmodat;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::fchownat;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::utimensat;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::mount;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::umount2;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::open_tree_clone;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::move_mount;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::chroot;
    #[expect(clippy::disallowed_methods)]
    let _ = sys::chdir;
}
