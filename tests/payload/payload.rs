//! What the tests run inside containers: a static program that says as JSON how it finds itself, and does the few things
//! that busybox can't. Built by the harness with plain rustc (no crates), copied into the root file system as `/payload`.
//!
//! It has no Rust runtime start-up (`no_main`), because that would open closed descriptors and ignore SIGPIPE: what it
//! reports is what the container runtime left.
#![no_main]
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_ulong, c_void};
use std::fmt::Write as _;

unsafe extern "C" {
    fn syscall(n: c_long, ...) -> c_long;
    fn prctl(op: c_int, ...) -> c_int;
    fn umask(mask: u32) -> u32;
    fn getrlimit(what: c_int, out: *mut [u64; 2]) -> c_int;
    fn getpriority(which: c_int, who: u32) -> c_int;
    fn sched_getscheduler(pid: c_int) -> c_int;
    fn sched_getparam(pid: c_int, out: *mut c_int) -> c_int;
    fn personality(p: c_ulong) -> c_int;
    fn getsid(pid: c_int) -> c_int;
    fn getpgid(pid: c_int) -> c_int;
    fn getpid() -> c_int;
    fn getppid() -> c_int;
    fn isatty(fd: c_int) -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn clock_gettime(id: c_int, out: *mut [i64; 2]) -> c_int;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn fcntl(fd: c_int, op: c_int, ...) -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
    fn mount(source: *const c_char, target: *const c_char, kind: *const c_char, flags: c_ulong, data: *const c_void) -> c_int;
    fn umount2(target: *const c_char, flags: c_int) -> c_int;
    fn gethostname(buf: *mut c_char, len: usize) -> c_int;
    fn getdomainname(buf: *mut c_char, len: usize) -> c_int;
    fn ioctl(fd: c_int, req: c_ulong, ...) -> c_int;
    fn fork() -> c_int;
    fn raise(signal: c_int) -> c_int;
    fn flock(fd: c_int, op: c_int) -> c_int;
    fn sigaction(signal: c_int, new: *const c_void, old: *const c_void) -> c_int;
}

#[cfg(target_arch = "x86_64")]
mod nr {
    pub const IOPRIO_GET: i64 = 252;
    pub const KEYCTL: i64 = 250;
    pub const GET_MEMPOLICY: i64 = 239;
    pub const SCHED_GETATTR: i64 = 315;
    pub const PTRACE: i64 = 101;
    pub const MKNODAT: i64 = 259;
    pub const TRUNCATE: i64 = 76;
}
#[cfg(target_arch = "aarch64")]
mod nr {
    pub const IOPRIO_GET: i64 = 31;
    pub const KEYCTL: i64 = 219;
    pub const GET_MEMPOLICY: i64 = 236;
    pub const SCHED_GETATTR: i64 = 275;
    pub const PTRACE: i64 = 117;
    pub const MKNODAT: i64 = 33;
    pub const TRUNCATE: i64 = 45;
}

/// Just enough JSON to write.
enum Json {
    Null,
    Int(i64),
    Text(String),
    List(Vec<Json>),
    Map(BTreeMap<String, Json>),
}

impl Json {
    fn write(&self, to: &mut String) {
        match self {
            Json::Null => to.push_str("null"),
            Json::Int(n) => write!(to, "{n}").unwrap(),
            Json::Text(s) => quote(s, to),
            Json::List(l) => {
                to.push('[');
                for (i, v) in l.iter().enumerate() {
                    if i > 0 {
                        to.push(',');
                    }
                    v.write(to);
                }
                to.push(']');
            }
            Json::Map(m) => {
                to.push('{');
                for (i, (k, v)) in m.iter().enumerate() {
                    if i > 0 {
                        to.push(',');
                    }
                    quote(k, to);
                    to.push(':');
                    v.write(to);
                }
                to.push('}');
            }
        }
    }
}

fn quote(s: &str, to: &mut String) {
    to.push('"');
    for c in s.chars() {
        match c {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            c if (c as u32) < 32 => write!(to, "\\u{:04x}", c as u32).unwrap(),
            c => to.push(c),
        }
    }
    to.push('"');
}

fn text(path: &str) -> Json {
    std::fs::read(path).map_or(Json::Null, |b| Json::Text(String::from_utf8_lossy(&b).trim_end().to_string()))
}

fn lines(path: &str) -> Json {
    match std::fs::read_to_string(path) {
        Ok(s) => Json::List(s.lines().map(|l| Json::Text(l.to_string())).collect()),
        Err(_) => Json::Null,
    }
}

fn link(path: &str) -> Json {
    std::fs::read_link(path).map_or(Json::Null, |p| Json::Text(p.to_string_lossy().into_owned()))
}

/// Our descriptors, without the one that reads the directory.
fn fds() -> Json {
    let Ok(dir) = std::fs::read_dir("/proc/self/fd") else { return Json::Null };
    let names: Vec<String> = dir.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    // The directory is closed by now: a number that no longer resolves was its own.
    Json::Map(
        names
            .into_iter()
            .filter_map(|n| {
                let to = std::fs::read_link(format!("/proc/self/fd/{n}")).ok()?;
                Some((n, Json::Text(to.to_string_lossy().into_owned())))
            })
            .collect(),
    )
}

fn status() -> Json {
    let Ok(s) = std::fs::read_to_string("/proc/self/status") else { return Json::Null };
    Json::Map(
        s.lines()
            .filter_map(|l| l.split_once(':'))
            .map(|(k, v)| (k.to_string(), Json::Text(v.split_whitespace().collect::<Vec<_>>().join(" "))))
            .collect(),
    )
}

fn rlimits() -> Json {
    const NAMES: [&str; 16] = [
        "CPU",
        "FSIZE",
        "DATA",
        "STACK",
        "CORE",
        "RSS",
        "NPROC",
        "NOFILE",
        "MEMLOCK",
        "AS",
        "LOCKS",
        "SIGPENDING",
        "MSGQUEUE",
        "NICE",
        "RTPRIO",
        "RTTIME",
    ];
    let mut map = BTreeMap::new();
    for (i, name) in NAMES.iter().enumerate() {
        let mut pair = [0u64; 2];
        // SAFETY: `pair` is as large as struct rlimit.
        if unsafe { getrlimit(i as c_int, &mut pair) } == 0 {
            let side = |v: u64| if v == u64::MAX { Json::Text("unlimited".into()) } else { Json::Int(v as i64) };
            map.insert(format!("RLIMIT_{name}"), Json::List(vec![side(pair[0]), side(pair[1])]));
        }
    }
    Json::Map(map)
}

fn sched_attr() -> Json {
    let mut attr = [0u32; 14];
    // SAFETY: 56 bytes of room for a struct sched_attr of at most 56.
    let rc = unsafe { syscall(nr::SCHED_GETATTR, 0 as c_long, attr.as_mut_ptr(), 56 as c_long, 0 as c_long) };
    if rc != 0 {
        return Json::Null;
    }
    let u64_at = |i: usize| Json::Int((u64::from(attr[i]) | (u64::from(attr[i + 1]) << 32)) as i64);
    Json::Map(BTreeMap::from([
        ("policy".into(), Json::Int(attr[1].into())),
        ("flags".into(), u64_at(2)),
        ("nice".into(), Json::Int((attr[4] as i32).into())),
        ("priority".into(), Json::Int(attr[5].into())),
        ("runtime".into(), u64_at(6)),
        ("deadline".into(), u64_at(8)),
        ("period".into(), u64_at(10)),
    ]))
}

fn keyring() -> Json {
    let mut buf = [0u8; 256];
    // SAFETY: KEYCTL_DESCRIBE (6) of KEY_SPEC_SESSION_KEYRING (-3) writes at most 256 bytes.
    let n = unsafe { syscall(nr::KEYCTL, 6 as c_long, -3 as c_long, buf.as_mut_ptr(), 256 as c_long) };
    if n <= 0 {
        return Json::Null;
    }
    Json::Text(String::from_utf8_lossy(&buf[..n as usize - 1]).into_owned())
}

fn mempolicy() -> Json {
    let (mut mode, mut nodes) = (0 as c_int, [0u64; 16]);
    // SAFETY: room for an int and 1024 bits of node mask.
    let rc = unsafe {
        syscall(
            nr::GET_MEMPOLICY,
            &mut mode as *mut c_int,
            nodes.as_mut_ptr(),
            1024 as c_long,
            0 as c_long,
            0 as c_long,
        )
    };
    if rc != 0 { Json::Null } else { Json::List(vec![Json::Int(mode.into()), Json::Int(nodes[0] as i64)]) }
}

fn c_name(get: unsafe extern "C" fn(*mut c_char, usize) -> c_int) -> Json {
    let mut buf = [0u8; 128];
    // SAFETY: the size is that of the buffer.
    if unsafe { get(buf.as_mut_ptr().cast(), 128) } != 0 {
        return Json::Null;
    }
    Json::Text(CStr::from_bytes_until_nul(&buf).unwrap().to_string_lossy().into_owned())
}

fn clock(id: c_int) -> Json {
    let mut t = [0i64; 2];
    // SAFETY: `t` is as large as struct timespec.
    unsafe { clock_gettime(id, &mut t) };
    Json::Int(t[0])
}

fn report(args: &[String]) -> String {
    // First, before anything else opens one.
    let fds = fds();
    let env = std::env::vars_os()
        .map(|(k, v)| Json::Text(format!("{}={}", k.to_string_lossy(), v.to_string_lossy())))
        .collect();
    let ns = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"]
        .into_iter()
        .map(|n| (n.to_string(), link(&format!("/proc/self/ns/{n}"))))
        .collect();
    let mut prio: c_int = 0;
    let mut size = [0u16; 4];
    // SAFETY (this block and the calls in the map below): calls without pointers, or with pointers to locals of the kernel's size.
    let (mask, nice) = unsafe {
        sched_getparam(0, &mut prio);
        ioctl(0, 0x5413, size.as_mut_ptr().cast::<c_void>());
        (umask(0), getpriority(0, 0))
    };
    let int = |n: i64| Json::Int(n);
    let map = BTreeMap::from([
        ("args".to_string(), Json::List(args.iter().map(|a| Json::Text(a.clone())).collect())),
        ("env".into(), Json::List(env)),
        ("fds".into(), fds),
        ("status".into(), status()),
        ("rlimits".into(), rlimits()),
        ("sched".into(), sched_attr()),
        ("keyring".into(), keyring()),
        ("mempolicy".into(), mempolicy()),
        ("ns".into(), Json::Map(ns)),
        ("cwd".into(), link("/proc/self/cwd")),
        ("exe".into(), link("/proc/self/exe")),
        ("root".into(), link("/proc/self/root")),
        ("mounts".into(), lines("/proc/self/mountinfo")),
        ("cgroup".into(), lines("/proc/self/cgroup")),
        ("uid_map".into(), lines("/proc/self/uid_map")),
        ("gid_map".into(), lines("/proc/self/gid_map")),
        ("setgroups".into(), text("/proc/self/setgroups")),
        ("oom_score_adj".into(), text("/proc/self/oom_score_adj")),
        ("timens_offsets".into(), lines("/proc/self/timens_offsets")),
        ("hostname".into(), c_name(gethostname)),
        ("domainname".into(), c_name(getdomainname)),
        ("umask".into(), Json::Text(format!("{mask:04o}"))),
        ("nice".into(), int(nice.into())),
        ("rt_priority".into(), int(prio.into())),
        ("winsize".into(), Json::List(vec![int(size[0].into()), int(size[1].into())])),
        ("monotonic".into(), clock(1)),
        ("boottime".into(), clock(7)),
        ("policy".into(), int(unsafe { sched_getscheduler(0) }.into())),
        ("personality".into(), int(unsafe { personality(0xffff_ffff) }.into())),
        ("ioprio".into(), int(unsafe { syscall(nr::IOPRIO_GET, 1 as c_long, 0 as c_long) })),
        ("securebits".into(), int(unsafe { prctl(27) }.into())),
        ("dumpable".into(), int(unsafe { prctl(3) }.into())),
        ("pid".into(), int(unsafe { getpid() }.into())),
        ("ppid".into(), int(unsafe { getppid() }.into())),
        ("sid".into(), int(unsafe { getsid(0) }.into())),
        ("pgid".into(), int(unsafe { getpgid(0) }.into())),
        ("tty".into(), Json::List((0..3).map(|fd| int(unsafe { isatty(fd) }.into())).collect())),
    ]);
    let mut out = String::new();
    Json::Map(map).write(&mut out);
    out
}

/// `open FLAGS PATH`: prints `ok` or the errno's name-less text; what open(2) answers to exactly these flags.
fn open_as(flags: &str, path: &str) -> String {
    let flags = flags.chars().fold(0, |f, c| match c {
        'r' => f,
        'w' => f | 1,
        'n' => f | 0o4000,
        _ => f,
    });
    let path = CString::new(path).unwrap();
    // SAFETY: a NUL-terminated path.
    if unsafe { open(path.as_ptr(), flags) } >= 0 { "ok".into() } else { std::io::Error::last_os_error().to_string() }
}

/// Attaches to every process it can see, for ever, and says when it got one. Lets them go on and end.
fn ptrace_everyone() -> ! {
    loop {
        let mut status = 0;
        loop {
            // WNOHANG | __WALL. SAFETY: an int for the status.
            let pid = unsafe { waitpid(-1, &mut status, 1 | 0x4000_0000) };
            if pid <= 0 {
                break;
            }
            if status & 0xff == 0x7f {
                // PTRACE_CONT. SAFETY: no pointers.
                unsafe { syscall(nr::PTRACE, 7 as c_long, pid as c_long, 0 as c_long, 0 as c_long) };
            }
        }
        for pid in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = pid.file_name().to_string_lossy().parse::<c_long>() else { continue };
            if pid <= 1 || pid == unsafe { getpid() }.into() {
                continue;
            }
            // PTRACE_SEIZE (0x4206). SAFETY: no pointers.
            if unsafe { syscall(nr::PTRACE, 0x4206 as c_long, pid, 0 as c_long, 0 as c_long) } == 0 {
                let exe = std::fs::read_link(format!("/proc/{pid}/exe"));
                println!("seized {pid} {exe:?}");
            }
            for fd in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
                let n = fd.file_name().to_string_lossy().into_owned();
                if let (true, Ok(to)) = (n.parse::<u32>().is_ok_and(|n| n > 2), std::fs::read_link(fd.path())) {
                    println!("saw {pid} {n} {}", to.display());
                }
            }
        }
    }
}

/// Looks at every other process it can see, for ever, and says once of each which descriptors above 2 and which effective
/// capabilities it has been seen with.
fn watch_everyone() -> ! {
    let own = std::process::id().to_string();
    let mut said = std::collections::BTreeSet::new();
    loop {
        for pid in std::fs::read_dir("/proc").unwrap().flatten() {
            let pid = pid.file_name().to_string_lossy().into_owned();
            if pid == own || pid == "1" || pid.parse::<u32>().is_err() {
                continue;
            }
            let mut seen = Vec::new();
            for fd in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
                let n = fd.file_name().to_string_lossy().into_owned();
                if let (true, Ok(to)) = (n.parse::<u32>().is_ok_and(|n| n > 2), std::fs::read_link(fd.path())) {
                    seen.push(format!("{pid} fd {n} {}", to.display()));
                }
            }
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            seen.extend(status.lines().filter_map(|l| Some(format!("{pid} caps {}", l.strip_prefix("CapEff:\t")?))));
            for line in seen {
                if said.insert(line.clone()) {
                    println!("{line}");
                }
            }
        }
    }
}

/// `hostile CANARY`: for ever, tries to get out of the container through every other process that it sees: `CANARY` is a file
/// of the host. Says what it found that it must not; and, once, that it saw anybody at all.
fn hostile(canary: &str) -> ! {
    let own_mounts = std::fs::read_link("/proc/self/ns/mnt").ok();
    let (mut executables, mut seen) = (Vec::new(), false);
    for turn in 0u64.. {
        let mut status = 0;
        // WNOHANG | __WALL, then PTRACE_CONT of what has stopped. SAFETY: an int for the status; no pointers.
        while let pid @ 1.. = unsafe { waitpid(-1, &mut status, 1 | 0x4000_0000) } {
            if status & 0xff == 0x7f {
                unsafe { syscall(nr::PTRACE, 7 as c_long, pid as c_long, 0 as c_long, 0 as c_long) };
            }
        }
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<c_int>() else { continue };
            // Init of the container, and its attackers.
            if pid <= 1 || std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("payload")) {
                continue;
            }
            if !std::mem::replace(&mut seen, true) {
                println!("began");
            }
            if turn % 3 == 0 {
                // PTRACE_SEIZE. SAFETY: no pointers.
                unsafe { syscall(nr::PTRACE, 0x4206 as c_long, pid as c_long, 0 as c_long, 0 as c_long) };
            }
            let mut ways = vec![format!("/proc/{pid}/root"), format!("/proc/{pid}/cwd")];
            let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            ways.extend(fds.map(|fd| fd.path().display().to_string()));
            for way in ways {
                for path in [format!("{way}{canary}"), format!("{way}/../../../../../../../..{canary}")] {
                    if std::fs::read(&path).is_ok() {
                        println!("read the host's file by {path}");
                    }
                }
            }
            let other = std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
            if other.is_some() && own_mounts.is_some() && other != own_mounts {
                println!("{pid} is in another mount namespace");
            }
            if std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|e| e.windows(9).any(|w| w == b"OF_A_HOST")) {
                println!("{pid} has the environment of the host");
            }
            let _ = std::fs::read(format!("/proc/{pid}/maps"));
            if let Ok(mut memory) = std::fs::File::open(format!("/proc/{pid}/mem")) {
                let _ = std::io::Read::read(&mut memory, &mut [0; 64]);
            }
            // To be opened again for writing when nobody executes it any more.
            let exe = format!("/proc/{pid}/exe");
            let name = std::fs::read_link(&exe).unwrap_or_default();
            if let Ok(file) = std::fs::File::open(&exe)
                && !name.ends_with("look")
            {
                executables.push((file, name));
            }
            let _ = std::fs::OpenOptions::new().write(true).open(&exe);
            // SIGSTOP and SIGCONT; rarely, or nobody would get any further, SIGKILL. SAFETY: no pointers.
            match turn % 256 {
                200 => unsafe { _ = kill(pid, 9) },
                n if n % 16 == 5 => unsafe { _ = (kill(pid, 19), kill(pid, 18)) },
                _ => (),
            }
        }
        for (file, name) in &executables {
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
            let written = std::fs::OpenOptions::new().write(true).open(path).and_then(|mut f| std::io::Write::write(&mut f, b"x"));
            if written.is_ok() {
                println!("wrote to {}", name.display());
            }
        }
        if executables.len() > 32 {
            executables.clear();
        }
    }
    unreachable!()
}

/// `mounts PATH…`: for ever, mounts empty file systems over these, and takes them away again.
fn mount_over(paths: &[String]) -> ! {
    let paths: Vec<CString> = paths.iter().map(|p| CString::new(p.as_str()).unwrap()).collect();
    let tmpfs = c"tmpfs".as_ptr();
    loop {
        for path in &paths {
            // MNT_DETACH. SAFETY: strings, and no data.
            unsafe {
                if mount(tmpfs, path.as_ptr(), tmpfs, 0, std::ptr::null()) == 0 {
                    std::thread::sleep(std::time::Duration::from_micros(200));
                    umount2(path.as_ptr(), 2);
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(4));
        }
    }
}

/// `syscall NUMBER ARGUMENT…`: prints what it gave, or `errno N`.
fn raw_call(args: &[String]) -> String {
    let mut n = [0 as c_long; 7];
    for (slot, arg) in n.iter_mut().zip(args) {
        *slot = arg.parse().unwrap();
    }
    // SAFETY: the tests pass numbers only; a pointer among them is the kernel's to refuse.
    match unsafe { syscall(n[0], n[1], n[2], n[3], n[4], n[5], n[6]) } {
        -1 => format!("errno {}", std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        ok => ok.to_string(),
    }
}

/// `access DIR`: one attempt of each kind at what the test has made in the directory; a JSON object of `"ok"` or the errno.
fn access(dir: &str) -> String {
    use std::fs;
    use std::io::{Error, Read, Write};
    let at = |name: &str| format!("{dir}/{name}");
    let c = |name: &str| CString::new(at(name)).unwrap();
    let done = |result: c_long| if result == -1 { Err(Error::last_os_error()) } else { Ok(()) };
    let mknod = |name: &str, mode: c_int, device: c_int| {
        // SAFETY: a path that lives through the call, and numbers.
        done(unsafe { syscall(nr::MKNODAT, -100 as c_long, c(name).as_ptr(), mode as c_long, device as c_long) })
    };
    let open = |name: &str, how: &mut fs::OpenOptions| how.open(at(name));
    let attempts: [(&str, &dyn Fn() -> Result<(), Error>); 20] = [
        ("stat", &|| fs::metadata(at("file")).map(drop)),
        ("list", &|| fs::read_dir(dir).map(drop)),
        ("read", &|| open("file", fs::OpenOptions::new().read(true))?.read(&mut [0]).map(drop)),
        ("execute", &|| std::process::Command::new(at("program")).arg("none").status().map(drop)),
        ("write", &|| open("file", fs::OpenOptions::new().append(true))?.write(b"x").map(drop)),
        // SAFETY: a path that lives through the call, and a number.
        ("truncate", &|| done(unsafe { syscall(nr::TRUNCATE, c("file").as_ptr(), 0 as c_long) })),
        ("create", &|| open("new", fs::OpenOptions::new().write(true).create_new(true)).map(drop)),
        ("mkdir", &|| fs::create_dir(at("newdir"))),
        ("symlink", &|| std::os::unix::fs::symlink("file", at("newlink"))),
        ("fifo", &|| mknod("newfifo", 0o10666, 0)),
        ("mknod", &|| mknod("newdev", 0o20666, 0x103)),
        ("bind", &|| std::os::unix::net::UnixListener::bind(at("newsocket")).map(drop)),
        ("link", &|| fs::hard_link(at("file"), at("newhard"))),
        ("rename", &|| fs::rename(at("moved"), at("moved2"))),
        ("rename across", &|| fs::rename(at("from/file"), at("to/file"))),
        ("link across", &|| fs::hard_link(at("file"), at("to/hard"))),
        ("link to /w", &|| fs::hard_link(at("file"), format!("/w/of{}", dir.replace('/', "-")))),
        ("unlink", &|| fs::remove_file(at("victim"))),
        ("rmdir", &|| fs::remove_dir(at("empty"))),
        ("ioctl", &|| {
            let file = open("device", fs::OpenOptions::new().read(true))?;
            // SAFETY: TCGETS writes a struct termios; a null device has none to write.
            done(unsafe { ioctl(std::os::fd::AsRawFd::as_raw_fd(&file), 0x5401, [0u64; 16].as_mut_ptr()) }.into())
        }),
    ];
    let mut result = BTreeMap::new();
    for (name, attempt) in attempts {
        let said = match attempt() {
            Ok(()) => Json::Text("ok".into()),
            Err(e) => Json::Int(e.raw_os_error().unwrap_or(-1).into()),
        };
        result.insert(name.to_string(), said);
    }
    let mut text = String::new();
    Json::Map(result).write(&mut text);
    text
}

/// `look PATH…`: what a container that was made under attack has to show: its descriptors, its mounts, where it is, and what
/// is at these paths.
fn look(paths: &[String]) -> String {
    // First, before anything else opens one; and asked of the kernel, because there may be no /proc.
    // F_GETFD. SAFETY: no pointers.
    let fds = (0..1024).filter(|fd| unsafe { fcntl(*fd, 1) } >= 0).map(|fd| Json::Int(fd.into())).collect();
    let at = |path: &String| {
        use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
        let Ok(stat) = std::fs::symlink_metadata(path) else { return Json::Null };
        let kind = stat.file_type();
        let mut map = BTreeMap::from([("rdev".to_string(), Json::Int(stat.rdev() as i64))]);
        let kind = if kind.is_char_device() {
            "char"
        } else if kind.is_dir() {
            map.insert("entries".into(), std::fs::read_dir(path).map_or(Json::Null, |d| Json::Int(d.count() as i64)));
            "dir"
        } else if kind.is_file() {
            // O_NONBLOCK: it may be something else by now.
            let file = std::fs::OpenOptions::new().read(true).custom_flags(0o4000).open(path);
            let mut text = [0; 32];
            let n = file.and_then(|mut f| std::io::Read::read(&mut f, &mut text)).unwrap_or(0);
            map.insert("text".into(), Json::Text(String::from_utf8_lossy(&text[..n]).into_owned()));
            "file"
        } else {
            "other"
        };
        map.insert("kind".into(), Json::Text(kind.into()));
        Json::Map(map)
    };
    let paths = paths.iter().map(|p| (p.clone(), at(p))).collect();
    let stdin = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned().and_then(|fd| std::fs::File::from(fd).metadata());
    let stdin = stdin.map_or(0, |m| std::os::unix::fs::MetadataExt::rdev(&m));
    let map = BTreeMap::from([
        ("fds".to_string(), Json::List(fds)),
        ("mounts".into(), lines("/proc/self/mountinfo")),
        ("cwd".into(), std::env::current_dir().map_or(Json::Null, |d| Json::Text(d.to_string_lossy().into_owned()))),
        ("stdin".into(), Json::Int(stdin as i64)),
        ("paths".into(), Json::Map(paths)),
    ]);
    let mut out = String::new();
    Json::Map(map).write(&mut out);
    out
}

/// The call in a thread of its own.
fn thread_that_calls(args: &[String]) -> String {
    let args = args.to_vec();
    let thread = std::thread::spawn(move || raw_call(&args));
    for _ in 0..500 {
        if thread.is_finished() {
            return thread.join().unwrap();
        }
        if std::fs::read_dir("/proc/self/task").unwrap().count() == 1 {
            return "the thread is gone".into();
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    "the thread hangs".into()
}

/// `siginfo_t` of SIGSYS.
#[repr(C)]
struct SigSys {
    signo: c_int,
    errno: c_int,
    code: c_int,
    pad: c_int,
    address: *const c_void,
    syscall: c_int,
    arch: u32,
}

/// Says what the handler of SIGSYS is told of the call, and ends.
fn trapped_call(args: &[String]) {
    extern "C" fn told(_: c_int, info: *const SigSys, _: *const c_void) {
        // SAFETY: the kernel's siginfo_t.
        let info = unsafe { &*info };
        println!("SIGSYS code {} call {}", info.code, info.syscall);
        std::process::exit(0);
    }
    // struct sigaction of the C library: handler, mask, flags.
    #[repr(C)]
    struct Action {
        handler: extern "C" fn(c_int, *const SigSys, *const c_void),
        mask: [u64; 16],
        flags: c_int,
        restorer: usize,
    }
    const SIGSYS: c_int = 31;
    const SA_SIGINFO: c_int = 4;
    let action = Action { handler: told, mask: [0; 16], flags: SA_SIGINFO, restorer: 0 };
    // SAFETY: an action that lives; the old one is not asked for.
    unsafe { sigaction(SIGSYS, &raw const action as *const c_void, std::ptr::null()) };
    println!("{}", raw_call(args));
}

/// Traces a child that makes the call; says what PTRACE_EVENT_SECCOMP carries.
fn traced_call(args: &[String]) -> String {
    const TRACEME: c_long = 0;
    const CONT: c_long = 7;
    const SETOPTIONS: c_long = 0x4200;
    const GETEVENTMSG: c_long = 0x4201;
    const O_TRACESECCOMP: c_long = 1 << 7;
    const O_EXITKILL: c_long = 1 << 20;
    const SECCOMP_STOP: c_int = (7 << 16) | (5 << 8) | 0x7f;
    // SAFETY: one thread.
    let child = unsafe { fork() };
    if child == 0 {
        // SAFETY: no pointers.
        unsafe { syscall(nr::PTRACE, TRACEME, 0 as c_long, 0 as c_long, 0 as c_long) };
        // SAFETY: no pointers.
        unsafe { raise(19) };
        raw_call(args);
        std::process::exit(0);
    }
    let (mut status, mut message) = (0, 0 as c_ulong);
    // SAFETY: an int for the status.
    unsafe { waitpid(child, &mut status, 0) };
    // SAFETY: no pointers.
    unsafe { syscall(nr::PTRACE, SETOPTIONS, child as c_long, 0 as c_long, O_TRACESECCOMP | O_EXITKILL) };
    // SAFETY: no pointers.
    unsafe { syscall(nr::PTRACE, CONT, child as c_long, 0 as c_long, 0 as c_long) };
    // SAFETY: an int for the status.
    unsafe { waitpid(child, &mut status, 0) };
    if status != SECCOMP_STOP {
        return format!("status {status:#x}");
    }
    // SAFETY: a word for the message.
    unsafe { syscall(nr::PTRACE, GETEVENTMSG, child as c_long, 0 as c_long, &raw mut message) };
    format!("event {message}")
}

fn notify(message: &str) -> String {
    let to = std::env::var("NOTIFY_SOCKET").unwrap_or_default();
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    match socket.send_to(message.as_bytes(), &to) {
        Ok(_) => "sent".into(),
        Err(e) => format!("{to}: {e}"),
    }
}

/// FILE PROGRAM ARGUMENT...: the program, with a lock on the file that lasts as long as it.
fn flock_and_execute(args: &[String]) {
    use std::os::fd::IntoRawFd;
    use std::os::unix::process::CommandExt;
    let fd = std::fs::File::create(&args[0]).unwrap().into_raw_fd();
    // SAFETY: two integers, and a flag that lets the program inherit it.
    unsafe {
        assert_eq!(flock(fd, 2), 0);
        fcntl(fd, 2, 0);
    }
    panic!("{}", std::process::Command::new(&args[1]).args(&args[2..]).exec());
}

#[unsafe(no_mangle)]
pub extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let args: Vec<String> = (0..argc as usize)
        // SAFETY: the C start-up code passes argc strings.
        .map(|i| unsafe { CStr::from_ptr(*argv.add(i)) }.to_string_lossy().into_owned())
        .collect();
    let arg = |i: usize| args.get(i).map_or("", String::as_str);
    match arg(1) {
        "report" => println!("{}", report(&args)),
        "report-to" => std::fs::write(arg(2), report(&args)).unwrap(),
        "look" => println!("{}", look(&args[2..])),
        "hostile" => hostile(arg(2)),
        "mounts" => mount_over(&args[2..]),
        "open" => println!("{}", open_as(arg(2), arg(3))),
        "syscall" => println!("{}", raw_call(&args[2..])),
        "thread" => println!("{}", thread_that_calls(&args[2..])),
        "trapped" => trapped_call(&args[2..]),
        "traced" => println!("{}", traced_call(&args[2..])),
        "ptrace" => ptrace_everyone(),
        "watch" => watch_everyone(),
        "access" => println!("{}", access(arg(2))),
        "none" => (),
        "flock" => flock_and_execute(&args[2..]),
        "notify" => println!("{}", notify(arg(2))),
        other => {
            eprintln!("payload: no such thing: {other}");
            return 64;
        }
    }
    0
}
