//! seccomp(2), as far as the runtime itself calls it: it asks, and loads nothing.

use nix::errno::Errno;

/// Whether the kernel knows these `SECCOMP_FILTER_FLAG_*`: with a filter at address 0 it looks at the flags first (EINVAL),
/// then at the filter (EFAULT), and loads none. Where it has no memory for that they count as known: to load one will fail, and say so.
pub fn knows_flags(flags: u32) -> bool {
    let none: *const libc::sock_fprog = std::ptr::null();
    // SAFETY: the kernel reads from the address as from any address of a user, and reports a fault as EFAULT.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, none) };
    result == -1 && matches!(Errno::last(), Errno::EFAULT | Errno::ENOMEM | Errno::EAGAIN)
}
