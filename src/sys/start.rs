//! What a process has to have in order before its first line of ordinary code: what std's `main` does that we need, without
//! what we do not (it reads /proc/self/maps and installs handlers that word a stack overflow: 17 system calls, 37 us).

use std::ffi::{CStr, OsStr, OsString, c_char};
use std::os::unix::ffi::OsStrExt;

/// Opens /dev/null on those of descriptors 0 to 2 that are closed, and ignores SIGPIPE. To be called once, first.
///
/// A closed one of the three would be the number of the next file that we open, and what is written to stderr would land in
/// it. SIGPIPE is ignored (as std and Go have it), since a hook that closes its stdin early must not kill us half-way; it
/// is for whoever executes a program to give it the default back.
pub fn prepare() {
    let mut fds = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: the array is ours and of the length given; poll writes to its `revents` only.
    let polled = unsafe { libc::poll(fds.as_mut_ptr(), 3, 0) };
    if polled > 0 {
        for fd in fds.iter().filter(|fd| fd.revents & libc::POLLNVAL != 0) {
            #[cfg_attr(
                not(test),
                expect(clippy::disallowed_methods, reason = "the lowest number has to be what is opened")
            )]
            // SAFETY: a constant string. The lowest free number is taken, and the ones below `fd` are open by now.
            let opened = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
            if opened != fd.fd {
                // No /dev/null: nothing can be said, and it is not safe to go on.
                std::process::abort();
            }
        }
    }
    // SAFETY: SIG_IGN runs no code of ours; no other thread exists yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// The words of the command line, from what the C library gives to `main`. std finds them by itself with glibc, not with
/// musl, whose initialisers get no arguments.
///
/// For `main` alone, which passes on what it was given and cannot be unsafe itself.
#[allow(clippy::not_unsafe_ptr_arg_deref)]
pub fn arguments(count: i32, arguments: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: the kernel puts `count` pointers there, and both live as long as the process.
    let pointers = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(arguments, count) } };
    // SAFETY: each of them is a string that ends with a zero.
    pointers.iter().map(|&p| OsStr::from_bytes(unsafe { CStr::from_ptr(p) }.to_bytes()).to_owned()).collect()
}
