//! bpf(2), as far as device filters of cgroup v2 need it: load a program, attach it to a cgroup, see and replace what is
//! attached.

use std::ffi::CStr;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// `struct bpf_insn` of include/uapi/linux/bpf.h.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// Operation.
    pub code: u8,
    /// Destination register in the low nibble, source register in the high one (little endian: bit fields).
    pub regs: u8,
    /// Offset of a jump or a memory access.
    pub off: i16,
    /// Immediate operand.
    pub imm: i32,
}

// Commands and constants of include/uapi/linux/bpf.h.
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// The program adds to those of other cgroups and of others in this one.
pub const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
/// The program takes the place of another in one step (Linux 5.6).
pub const BPF_F_REPLACE: u32 = 1 << 2;

// `union bpf_attr`: the kernel takes the size with each call and reads what it knows; what is absent is zero.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
}

#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

#[repr(C)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

#[repr(C)]
struct GetId {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The system call on any of the structures above.
fn bpf<T>(cmd: libc::c_int, attr: &mut T) -> Result<i32, Errno> {
    let attr: *mut T = attr;
    // SAFETY: `attr` is ours, of this size, and each caller keeps alive what its addresses point to.
    let rc = unsafe { libc::syscall(libc::SYS_bpf, cmd, attr, size_of::<T>()) };
    i32::try_from(Errno::result(rc)?).map_err(|_| Errno::EOVERFLOW)
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us (close-on-exec by itself); nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

fn address<T: ?Sized>(of: *const T) -> u64 {
    of.cast::<u8>().addr() as u64
}

/// Again on `EAGAIN`: the verifier gives way to whatever interrupts us, be it a signal that we ignore (SIGCHLD of a child
/// that has ended). A few times: libbpf has the same limit.
fn unhurried(mut call: impl FnMut() -> Result<i32, Errno>) -> Result<i32, Errno> {
    for _ in 1..ATTEMPTS {
        match call() {
            Err(Errno::EAGAIN) => {}
            other => return other,
        }
    }
    call()
}

const ATTEMPTS: u32 = 5;

/// Loads a program of type BPF_PROG_TYPE_CGROUP_DEVICE. Before Linux 5.11 programs count against RLIMIT_MEMLOCK, so on
/// `EPERM` the limit is lifted for a second attempt.
pub fn prog_load_cgroup_device(insns: &[Insn], license: &CStr) -> Result<OwnedFd, Errno> {
    let load = || {
        let mut attr = Load {
            prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
            insn_cnt: u32::try_from(insns.len()).map_err(|_| Errno::E2BIG)?,
            insns: address(insns),
            license: address(license.as_ptr()),
        };
        unhurried(|| bpf(BPF_PROG_LOAD, &mut attr)).map(owned)
    };
    match load() {
        Err(Errno::EPERM) => {
            let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
            if setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).is_err() {
                return Err(Errno::EPERM);
            }
            let result = load();
            // The container would inherit it.
            setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard)?;
            result
        }
        other => other,
    }
}

/// Attaches a device program to the cgroup that `cgroup` is the directory of. With `replace`, and [`BPF_F_REPLACE`] in
/// `flags`, in place of that one.
pub fn prog_attach(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    flags: u32,
    replace: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let mut attr = Attach {
        target_fd: number(cgroup),
        attach_bpf_fd: number(program),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: flags,
        replace_bpf_fd: replace.map(number).unwrap_or(0),
    };
    bpf(BPF_PROG_ATTACH, &mut attr).map(drop)
}

/// Detaches a device program.
pub fn prog_detach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut attr = Attach {
        target_fd: number(cgroup),
        attach_bpf_fd: number(program),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: 0,
        replace_bpf_fd: 0,
    };
    bpf(BPF_PROG_DETACH, &mut attr).map(drop)
}

/// The device programs attached to this very cgroup. `EINVAL` where the kernel has no such programs.
pub fn prog_query(cgroup: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, Errno> {
    // The kernel allows 64 programs per cgroup and type.
    let mut ids = [0u32; 64];
    let mut attr = Query {
        target_fd: number(cgroup),
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: address(ids.as_mut_ptr()),
        prog_cnt: 64,
        padding: 0,
    };
    bpf(BPF_PROG_QUERY, &mut attr)?;
    let found = usize::try_from(attr.prog_cnt).map_err(|_| Errno::EOVERFLOW)?;
    let mut programs = Vec::new();
    for &id in ids.iter().take(found) {
        match bpf(BPF_PROG_GET_FD_BY_ID, &mut GetId { id, next_id: 0, open_flags: 0 }) {
            Ok(fd) => programs.push(owned(fd)),
            // Detached by somebody in between.
            Err(Errno::ENOENT) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(programs)
}

/// Makes `program` the only device program of the cgroup, without a moment in which none is attached.
pub fn prog_replace_all(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let old = prog_query(cgroup)?;
    if let [only] = old.as_slice() {
        match prog_attach(cgroup, program, BPF_F_ALLOW_MULTI | BPF_F_REPLACE, Some(only.as_fd())) {
            // Before Linux 5.6, or attached by somebody without BPF_F_ALLOW_MULTI.
            Err(Errno::EINVAL | Errno::EPERM) => {}
            other => return other,
        }
    }
    prog_attach(cgroup, program, BPF_F_ALLOW_MULTI, None)?;
    for old in old {
        prog_detach(cgroup, old.as_fd())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_interrupted_loads_again() {
        let tried = |answers: &[Errno]| {
            let mut answers = answers.iter();
            let done = unhurried(|| answers.next().map_or(Ok(3), |e| Err(*e)));
            (done, answers.len())
        };
        assert_eq!(tried(&[]), (Ok(3), 0));
        assert_eq!(tried(&[Errno::EAGAIN; 4]), (Ok(3), 0));
        assert_eq!(tried(&[Errno::EAGAIN; 7]), (Err(Errno::EAGAIN), 2));
        assert_eq!(tried(&[Errno::EAGAIN, Errno::ENOMEM, Errno::EAGAIN]), (Err(Errno::ENOMEM), 1));
    }
}
