//! The user's program: its home directory, its file, the exec fifo, and execve; and why that failed, in words.

use crate::path;
use crate::run::{At, Done, Failure, Init};
use crate::sys::{self, Errno, Fd};
use crate::text::Text;
use core::ffi::CStr;
use core::fmt::Write;
use dunnage_steps::wire::Strs;
use dunnage_steps::{Call, Slot};

/// The most of /etc/passwd that is read: an image may hold anything under that name (CVE-2026-47262).
const PASSWD_MAX: usize = 1 << 20;

/// Looks up the home directory.
pub fn home(init: &mut Init<'_>, uid: u32) -> Done {
    init.home.clear();
    init.home.push(b"HOME=");
    let file = match path::open_file(init, c"/etc/passwd", sys::O_NONBLOCK)? {
        // The container's filter does not know openat2(2). We are in its root.
        Err(Errno::ENOSYS | Errno::EPERM) => path::as_user(c"/etc/passwd", sys::O_NONBLOCK | sys::O_NOFOLLOW),
        r => r,
    };
    // Nor perhaps statx(2): then the limit has to do.
    let regular = |file: &Fd| sys::statx(file.raw(), c"").map_or(true, |s| s.is(sys::S_IFREG));
    let found = match file {
        Ok(file) if regular(&file) => home_in(init, &file, uid),
        _ => false,
    };
    if !found {
        init.home.push(b"/");
    }
    Ok(())
}

fn home_in(init: &mut Init<'_>, file: &Fd, uid: u32) -> bool {
    let mut buffer = [0u8; 4096];
    let mut line = Text::<2048>::new();
    let mut total = 0usize;
    while total < PASSWD_MAX {
        let n = sys::read(file.raw(), &mut buffer).unwrap_or(0);
        total = total.saturating_add(n);
        for byte in buffer.get(..n).unwrap_or_default() {
            if *byte != b'\n' {
                line.push(&[*byte]);
            } else if take_home(init, line.as_bytes(), uid) {
                return true;
            } else {
                line.clear();
            }
        }
        if n == 0 {
            return take_home(init, line.as_bytes(), uid);
        }
    }
    false
}

/// One line of passwd(5): name:password:uid:gid:comment:home:shell.
fn take_home(init: &mut Init<'_>, line: &[u8], uid: u32) -> bool {
    let mut fields = line.split(|b| *b == b':').skip(2);
    let number = fields.next().and_then(|f| core::str::from_utf8(f).ok()).and_then(|f| f.parse::<u32>().ok());
    match (number, fields.nth(2)) {
        (Some(n), Some(home)) if n == uid && !home.is_empty() => {
            init.home.push(home);
            true
        }
        _ => false,
    }
}

/// Finds the program as the user, in the working directory, and keeps its path.
pub fn find(init: &mut Init<'_>, program: &CStr, path: &CStr) -> Done {
    let name = program.to_bytes();
    init.program.clear();
    if name.contains(&b'/') {
        init.program.push(name);
        let path = init.program.c_str().ok_or(Failure::of(Call::Execve, Errno::ENAMETOOLONG))?;
        let found = executable(path);
        if let Err(Failure { call: Call::Execve, errno: Errno::EACCES, .. }) = found
            && let Ok(stat) = sys::stat_path(path)
        {
            let why: &[u8] = match stat.mode & 0o111 {
                0o111 => b"it has the execute permission, so its mount has noexec",
                0 => b"nobody has the execute permission (x bit): chmod +x it in the image",
                _ => b"this user does not have the execute permission",
            };
            init.detail.push(why);
        }
        return found.and_then(|()| listed(init));
    }
    // An empty PATH has no entries; an empty entry is the working directory.
    let entries = path.to_bytes();
    for directory in entries.split(|b| *b == b':').filter(|_| !entries.is_empty()) {
        let relative = !directory.starts_with(b"/");
        init.program.clear();
        if directory.is_empty() {
            init.program.push(b".");
        } else {
            init.program.push(directory);
        }
        init.program.push(b"/").push(name);
        if init.program.c_str().is_some_and(|path| executable(path).is_ok()) {
            return if relative { Err(Failure::found(Call::RelativeInPath)) } else { listed(init) };
        }
    }
    Err(Failure::found(Call::NotFoundInPath))
}

fn executable(path: &CStr) -> Done {
    match sys::stat_path(path) {
        // The container's filter does not know statx(2): execve(2) will tell.
        Err(Errno::ENOSYS | Errno::EPERM) => (),
        r if r.at(Call::Stat)?.is(sys::S_IFDIR) => return Err(Errno::EISDIR).at(Call::Execve),
        _ => (),
    }
    sys::access_execute(path).at(Call::Execve)
}

/// Under Landlock execve(2) may be refused the program, or what that is started by; here there still is somebody to tell.
fn listed(init: &mut Init<'_>) -> Done {
    if !init.restricted {
        return Ok(());
    }
    let program = init.program.c_str().ok_or(Failure::of(Call::Execve, Errno::ENAMETOOLONG))?;
    let mut head = [0u8; 512];
    let starter = match open_listed(program) {
        Ok(file) => {
            let n = sys::read(file.raw(), &mut head).unwrap_or(0);
            let head = head.get(..n).unwrap_or_default();
            script_interpreter(head).or_else(|| elf_loader(&file, head))
        }
        // That it may be executed and not read is possible: execve(2) will tell.
        Err(Errno::EACCES) if sys::access_read(program).is_err() => None,
        Err(Errno::EACCES) => {
            init.detail.push(init.program.as_bytes());
            return Err(Failure::found(Call::NotListed));
        }
        Err(_) => None,
    };
    let Some(starter) = starter else { return Ok(()) };
    match starter.c_str() {
        Some(path) if open_listed(path).err() == Some(Errno::EACCES) && sys::access_read(path).is_ok() => {
            init.detail.push(starter.as_bytes());
            Err(Failure::found(Call::NotListed))
        }
        _ => Ok(()),
    }
}

/// Only a regular file: to open a device is to use it.
fn open_listed(name: &CStr) -> sys::Result<Fd> {
    match sys::stat_path(name)?.is(sys::S_IFREG) {
        true => path::as_user(name, sys::O_NONBLOCK),
        false => Err(Errno::EINVAL),
    }
}

/// Closes what is not needed any more.
pub fn close(init: &mut Init<'_>, from: u32, root: bool, proc: bool, keep: Slot) -> Done {
    // Before their numbers can be those of others.
    (init.mount, init.null, init.empty, init.directory) = (None, None, None, None);
    let proc = init.proc.as_ref().filter(|_| proc).map_or(-1, Fd::raw);
    let root = init.root.as_ref().filter(|_| root).map_or(-1, Fd::raw);
    let mut keep = [init.sync, root, proc, init.slot(keep).unwrap_or(-1)];
    close_all_but(from, &mut keep);
    Ok(())
}

fn close_all_but(from: u32, keep: &mut [i32]) {
    let first = i32::try_from(from).unwrap_or(i32::MAX);
    if sys::close_all_but(first, keep).is_err() {
        // No close_range: one by one, as far as we can have come.
        (first..1024).filter(|fd| !keep.contains(fd)).for_each(sys::close);
    }
}

/// Waits until `start` reads from the fifo. Only a handle was kept of it, and nothing else of the host's: who is in the
/// container meanwhile can reach nothing through our descriptors (CVE-2024-21626).
pub fn fifo(init: &mut Init<'_>, from: Slot, close_from: u32) -> Done {
    let proc = init.proc.as_ref().map(Fd::raw).ok_or(Failure::found(Call::Plan))?;
    let handle = init.slot(from)?;
    let mut keep = [proc, handle];
    close_all_but(close_from, &mut keep);
    let mut path = Text::<32>::new();
    let _ = write!(path, "self/fd/{handle}");
    let fifo = path::again(proc, path.c_str().unwrap_or(c""), sys::O_WRONLY).at(Call::Openat)?;
    sys::write(fifo.raw(), b"0").at(Call::Write).map(|_| ())
}

/// Room for the pointers of an ordinary command line or environment.
pub type Room = [*const i8; 128];

/// Pointers to strings, ended by a null, as execve(2) wants them.
pub fn pointers<'r>(strs: Strs<'_>, more: Option<&CStr>, room: &'r mut Room) -> sys::Result<&'r [*const i8]> {
    let needed = strs.len().saturating_add(2);
    let places = match room.get_mut(..needed) {
        Some(places) => places,
        None => sys::pointers(needed)?,
    };
    let all = strs.map(Some).chain(core::iter::once(more)).flatten();
    places.iter_mut().zip(all).for_each(|(to, from)| *to = from.as_ptr().cast());
    Ok(places)
}

/// Becomes the program. `close_from`: the first descriptor that it does not get.
pub fn exec(init: &mut Init<'_>, args: Strs<'_>, env: Strs<'_>, home: bool, close_from: u32) -> Done {
    let (mut room, mut more_room) = ([core::ptr::null(); 128], [core::ptr::null(); 128]);
    let argv = pointers(args, None, &mut room).at(Call::Execve)?;
    let home = if home { init.home.c_str() } else { None };
    let envp = pointers(env, home, &mut more_room).at(Call::Execve)?;
    if sys::close_range_cloexec(i32::try_from(close_from).unwrap_or(i32::MAX)).is_err() {
        // All that we opened is marked already. What the parent passed is in the places and the socket.
        for fd in init.slots.into_iter().chain([init.sync]).filter(|fd| *fd > 2) {
            let _ = sys::set_cloexec(fd);
        }
    }
    let path = init.program.c_str().ok_or(Failure::of(Call::Execve, Errno::ENAMETOOLONG))?;
    let errno = sys::execve(path, argv, envp);
    init.detail.clear();
    why(init, errno);
    Err(errno).at(Call::Execve)
}

/// What the errno of execve(2) does not say.
fn why(init: &mut Init<'_>, errno: Errno) {
    let mut head = [0u8; 512];
    let file = init.program.c_str().and_then(|p| path::as_user(p, sys::O_NONBLOCK).ok());
    let n = file.as_ref().and_then(|f| sys::read(f.raw(), &mut head).ok()).unwrap_or(0);
    let head = head.get(..n).unwrap_or_default();
    let d = &mut init.detail;
    match errno {
        Errno::ENOENT => {
            if let Some(interpreter) = script_interpreter(head) {
                let interpreter = interpreter.as_bytes();
                if let Some(name) = interpreter.strip_suffix(b"\r") {
                    d.push(b"its first line ends in CR LF, so that the interpreter is not ").push(name);
                    d.push(b" but a name with a carriage return; convert it to LF");
                } else {
                    d.push(b"its interpreter ").push(interpreter).push(b" is missing in the container");
                }
            } else if let Some(loader) = file.as_ref().and_then(|f| elf_loader(f, head)) {
                d.push(b"its loader ").push(loader.as_bytes()).push(b" is missing in the container");
            }
        }
        Errno::ENOEXEC => match elf_machine(head) {
            Some(machine) if machine != THIS_MACHINE => {
                d.push(b"it is built for another architecture: ").push(machine_name(machine));
            }
            None if !head.starts_with(b"#!") => {
                d.push(b"it is neither an ELF program nor a script that begins with #!");
            }
            _ => (),
        },
        Errno::EACCES => {
            d.push(b"its file, or that of its interpreter, has no execute permission, is on a mount with noexec, ");
            d.push(b"or a security module forbids it");
            if init.restricted {
                d.push(b", or is ").push(Call::NotListed.name().as_bytes());
            }
        }
        _ => (),
    }
}

#[cfg(target_arch = "x86_64")]
const THIS_MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const THIS_MACHINE: u16 = 183;

fn elf_machine(head: &[u8]) -> Option<u16> {
    head.strip_prefix(b"\x7fELF")?;
    Some(u16::from_le_bytes(head.get(18..20)?.try_into().ok()?))
}

fn machine_name(machine: u16) -> &'static [u8] {
    match machine {
        3 => b"x86",
        8 => b"MIPS",
        20 | 21 => b"PowerPC",
        22 => b"S/390",
        40 => b"arm",
        62 => b"x86_64",
        183 => b"aarch64",
        243 => b"RISC-V",
        258 => b"LoongArch",
        _ => b"unknown to us",
    }
}

/// What stands behind `#!`.
fn script_interpreter(head: &[u8]) -> Option<Text<256>> {
    let line = head.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let mut text = Text::new();
    text.push(line.trim_ascii_start().split(|b| matches!(b, b' ' | b'\t')).next()?);
    Some(text)
}

/// The path in PT_INTERP of a 64-bit ELF file.
fn elf_loader(file: &Fd, head: &[u8]) -> Option<Text<256>> {
    elf_machine(head)?;
    let u64_at = |at: usize| Some(u64::from_le_bytes(head.get(at..at.checked_add(8)?)?.try_into().ok()?));
    let start = usize::try_from(u64_at(32)?).ok()?;
    let size = usize::from(u16::from_le_bytes(head.get(54..56)?.try_into().ok()?));
    let count = usize::from(u16::from_le_bytes(head.get(56..58)?.try_into().ok()?));
    const PT_INTERP: u32 = 3;
    (0..count).find_map(|i| {
        let at = start.checked_add(size.checked_mul(i)?)?;
        let kind = u32::from_le_bytes(head.get(at..at.checked_add(4)?)?.try_into().ok()?);
        if kind != PT_INTERP {
            return None;
        }
        let mut path = [0u8; 256];
        let n = sys::pread(file.raw(), &mut path, u64_at(at.checked_add(8)?)?).ok()?;
        let mut text = Text::new();
        text.push(path.get(..n)?.split(|b| *b == 0).next()?);
        Some(text)
    })
}

/// Nobody listens any more: the container's standard error is told, as runc does.
pub fn say_why(init: &Init<'_>, failure: &Failure) {
    let mut text = Text::<2048>::new();
    let program = init.program.as_bytes();
    if init.hook.is_some() {
        text.push(init.detail.as_bytes()).push(b"\n");
        let _ = sys::write(2, text.as_bytes());
        return;
    }
    if failure.call == Call::Execve {
        text.push(b"exec ").push(program).push(b": ").push(errno_text(failure.errno));
    } else {
        text.push(failure.call.name().as_bytes()).push(b": ").push(errno_text(failure.errno));
    }
    if !init.detail.is_empty() {
        text.push(b" (").push(init.detail.as_bytes()).push(b")");
    }
    text.push(b"\n");
    let _ = sys::write(2, text.as_bytes());
}

/// The errnos of execve(2), and of what may fail shortly before it, in the words of Go.
pub fn errno_text(errno: Errno) -> &'static [u8] {
    match errno {
        Errno(0) => b"failed",
        Errno::EPERM => b"operation not permitted",
        Errno::ENOENT => b"no such file or directory",
        Errno::ENOEXEC => b"exec format error",
        Errno::EACCES => b"permission denied",
        Errno::EISDIR => b"is a directory",
        Errno::ENOTDIR => b"not a directory",
        Errno::EINVAL => b"invalid argument",
        Errno::EINTR => b"interrupted system call",
        Errno(5) => b"input/output error",
        Errno(7) => b"argument list too long",
        Errno(12) => b"cannot allocate memory",
        Errno(14) => b"bad address",
        Errno(23) => b"too many open files in system",
        Errno(24) => b"too many open files",
        Errno(26) => b"text file busy",
        Errno::EAGAIN => b"resource temporarily unavailable",
        Errno::ELOOP => b"too many levels of symbolic links",
        Errno(28) => b"no space left on device",
        Errno::ENAMETOOLONG => b"file name too long",
        Errno(80) => b"accessing a corrupted shared library",
        _ => b"unknown error",
    }
}
