//! Hooks that run in the container: createContainer and startContainer.
//!
//! The state document is a file in memory on standard input, and output is caught in files in memory: no pipe has to be served, none
//! can block us or end us by a signal, and a grandchild that keeps one open is nobody's concern.

use crate::program;
use crate::run::{At, Done, Failure, Init};
use crate::sys::{self, Cloned, Fd, PollFd};
use crate::text::Text;
use core::ffi::CStr;
use core::fmt::Write;
use dunnage_steps::Call;
use dunnage_steps::wire::Strs;

/// The fields of [`dunnage_steps::Step::Hook`].
pub struct Hook {
    pub name: &'static CStr,
    pub index: u32,
    pub path: &'static CStr,
    pub args: Strs<'static>,
    pub env: Strs<'static>,
    pub inherit_home: bool,
    pub in_root: bool,
    pub timeout: u64,
    pub state: &'static CStr,
    pub state_end: &'static CStr,
}

/// Runs a hook to its end.
pub fn hook(init: &mut Init<'static>, h: &Hook) -> Done {
    init.hook = Some((h.name, h.index));
    let done = run(init, h);
    if done.is_ok() {
        init.hook = None;
    }
    done
}

/// For a failure that only the container's standard error hears of: `error running NAME hook #I: exit status 3, stdout: ...`.
pub fn name_failed(init: &mut Init<'_>, failure: &Failure) {
    let Some((name, index)) = init.hook else { return };
    let mut text = Text::<1024>::new();
    text.push(b"error running ").push(name.to_bytes());
    let _ = write!(text, " hook #{index}: ");
    match failure.call {
        Call::HookFailed => {
            let _ = write!(text, "exit status {}, ", failure.value);
            text.push(init.detail.as_bytes());
        }
        call => {
            text.push(call.name().as_bytes());
        }
    }
    init.detail = text;
}

fn run(init: &mut Init<'static>, h: &Hook) -> Done {
    let state = sys::memfd_create(c"state").at(Call::Open)?;
    write_state(&state, h)?;
    let (out, err) = (sys::memfd_create(c"stdout").at(Call::Open)?, sys::memfd_create(c"stderr").at(Call::Open)?);
    let (mut room, mut more_room) = ([core::ptr::null(); 128], [core::ptr::null(); 128]);
    let argv = program::pointers(h.args, None, &mut room).at(Call::Execve)?;
    let home = init.home.c_str().filter(|home| h.inherit_home && !home.is_empty());
    let env = program::pointers(h.env, home, &mut more_room).at(Call::Execve)?;
    match sys::fork(0).at(Call::Clone)? {
        Cloned::Child => {
            let dir = if h.in_root { init.root() } else { Ok(-1) };
            let errno = become_hook(h, dir.unwrap_or(-1), [&state, &out, &err], argv, env);
            // The parent reads it as the hook's own words.
            let mut text = Text::<64>::new();
            text.push(b"execve: ").push(program::errno_text(errno));
            let _ = sys::write(2, text.as_bytes());
            sys::exit(127)
        }
        Cloned::Parent { pidfd } => {
            let mut fds = [PollFd { fd: pidfd.raw(), events: sys::POLLIN, revents: 0 }];
            let limit = if h.timeout == 0 { -1 } else { i32::try_from(h.timeout).unwrap_or(i32::MAX) };
            if !sys::poll(&mut fds, limit).at(Call::Poll)? {
                sys::pidfd_send_signal(pidfd.raw(), sys::SIGKILL).at(Call::Wait)?;
                sys::waitid(pidfd.raw()).at(Call::Wait)?;
                return Err(Failure::found(Call::HookTimeout));
            }
            match sys::waitid(pidfd.raw()).at(Call::Wait)? {
                0 => Ok(()),
                status => {
                    quote(init, b"stdout: ", &out);
                    init.detail.push(b", ");
                    quote(init, b"stderr: ", &err);
                    Err(Failure { value: status.into(), ..Failure::found(Call::HookFailed) })
                }
            }
        }
    }
}

fn write_state(file: &Fd, h: &Hook) -> Done {
    let mut pid = Text::<16>::new();
    if !h.state_end.is_empty() {
        let _ = write!(pid, "{}", sys::getpid());
    }
    for part in [h.state.to_bytes(), pid.as_bytes(), h.state_end.to_bytes()] {
        let mut rest = part;
        while !rest.is_empty() {
            let n = sys::write(file.raw(), rest).at(Call::Write)?;
            rest = rest.get(n..).unwrap_or_default();
        }
    }
    sys::rewind(file.raw()).at(Call::Write)
}

fn become_hook(h: &Hook, dir: i32, files: [&Fd; 3], argv: &[*const i8], env: &[*const i8]) -> sys::Errno {
    let [state, out, err] = files;
    let prepared = sys::dup3(state.raw(), 0)
        .and_then(|()| sys::dup3(out.raw(), 1))
        .and_then(|()| sys::dup3(err.raw(), 2))
        .and_then(|()| if dir < 0 { Ok(()) } else { sys::fchdir(dir) })
        // Nothing but its three, not even what the user's program is to inherit.
        .and_then(|()| sys::close_range_cloexec(3).or(Ok(())));
    match prepared {
        Ok(()) => sys::execve(h.path, argv, env),
        Err(errno) => errno,
    }
}

/// The first bytes of what the hook wrote.
fn quote(init: &mut Init<'_>, name: &[u8], file: &Fd) {
    let mut text = [0; 400];
    let n = sys::rewind(file.raw()).and_then(|()| sys::read(file.raw(), &mut text)).unwrap_or(0);
    let text = text.get(..n).unwrap_or_default().trim_ascii_end();
    init.detail.push(name).push(text);
}
