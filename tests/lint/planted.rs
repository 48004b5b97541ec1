//! One violation for each line of `clippy.toml`: should the lint miss one, then the expectation is not fulfilled, which `make lint`
//! takes for an error. Nothing here is called.
// The crate allows it, as tests do; here it has to be seen.
#![warn(clippy::disallowed_methods)]

type Fd = std::os::fd::BorrowedFd<'static>;

#[allow(clippy::too_many_lines)]
pub fn planted() {
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::File::open::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::File::options;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::OpenOptions::open::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::read::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::read_to_string::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::fcntl::open::<str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::fcntl::openat::<str, Fd>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::fcntl::openat2::<str, Fd>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::dir::Dir::open::<str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::dir::Dir::openat::<Fd, str>;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::open;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::openat;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::creat;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::fopen;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::File::create::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::File::create_new::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::write::<&str, &str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::copy::<&str, &str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::create_dir::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::create_dir_all::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::DirBuilder::create::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::unistd::mkdir::<str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::sys::stat::mkdirat::<Fd, str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::unistd::mkfifo::<str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::unistd::mkfifoat::<Fd, str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::sys::stat::mknod::<str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::sys::stat::mknodat::<Fd, str>;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::mkdir;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::mkdirat;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::mkfifo;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::mkfifoat;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::mknod;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::mknodat;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::set_permissions::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::os::unix::fs::chown::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::os::unix::fs::lchown::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::sys::stat::fchmodat::<Fd, str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::unistd::chown::<str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::unistd::fchownat::<Fd, str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::unistd::truncate::<str>;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::chmod;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::fchmodat;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::chown;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::lchown;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::fchownat;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::truncate;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::hard_link::<&str, &str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::rename::<&str, &str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::os::unix::fs::symlink::<&str, &str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::fcntl::renameat::<str, str, Fd, Fd>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::fcntl::renameat2::<str, str, Fd, Fd>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::unistd::symlinkat::<Fd, str, str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::unistd::linkat::<Fd, Fd, str, str>;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::link;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::linkat;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::symlink;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::symlinkat;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::rename;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::renameat;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::renameat2;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::remove_file::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::remove_dir::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::remove_dir_all::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::unistd::unlink::<str>;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::unistd::unlinkat::<Fd, str>;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::unlink;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::unlinkat;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::rmdir;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::mount;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::umount;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::umount2;
    #[expect(clippy::disallowed_methods)]
    let _ = libc::chroot;
    #[expect(clippy::disallowed_methods)]
    let _ = nix::unistd::chroot::<str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::canonicalize::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::path::Path::canonicalize;
    #[expect(clippy::disallowed_methods)]
    let _ = std::fs::exists::<&str>;
    #[expect(clippy::disallowed_methods)]
    let _ = std::path::Path::exists;
    #[expect(clippy::disallowed_methods)]
    let _ = std::path::Path::try_exists;
}
