//! Sockets and terminals. See [`super`].

use super::*;

#[repr(C)]
struct MsgHdr {
    name: usize,
    namelen: u32,
    iov: *const [usize; 2],
    iovlen: usize,
    control: usize,
    controllen: usize,
    flags: i32,
}

const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const MSG_NOSIGNAL: usize = 0x4000;

/// The most descriptors in one message (SCM_MAX_FD is 253).
pub const MAX_FDS: usize = 253;

/// A control message of SCM_RIGHTS, as large as it can be.
#[repr(C, align(8))]
struct Rights {
    len: usize,
    level: i32,
    kind: i32,
    fds: [i32; MAX_FDS],
}

const RIGHTS_HEADER: usize = 16;

/// Sends one packet with one descriptor.
pub fn send_fd(socket: i32, bytes: &[u8], file: i32) -> Result<()> {
    let mut rights =
        Rights { len: RIGHTS_HEADER.saturating_add(4), level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [-1; MAX_FDS] };
    rights.fds[0] = file;
    let iov = [bytes.as_ptr() as usize, bytes.len()];
    let control = RIGHTS_HEADER.saturating_add(8);
    let msg = MsgHdr { name: 0, namelen: 0, iov: &iov, iovlen: 1, control: at(&rights), controllen: control, flags: 0 };
    none(call(nr::SENDMSG, [arg(socket), at(&msg), MSG_NOSIGNAL, 0, 0, 0]))
}

/// Receives one packet: its length, and the descriptors that came with it, each handed to `keep`.
pub fn recv_fds(socket: i32, to: &mut [u8], mut keep: impl FnMut(i32)) -> Result<usize> {
    let mut rights = Rights { len: 0, level: 0, kind: 0, fds: [-1; MAX_FDS] };
    let iov = [to.as_mut_ptr() as usize, to.len()];
    let control = size_of::<Rights>();
    let mut msg = MsgHdr {
        name: 0,
        namelen: 0,
        iov: &iov,
        iovlen: 1,
        control: at_mut(&mut rights),
        controllen: control,
        flags: 0,
    };
    let n = loop {
        match call(nr::RECVMSG, [arg(socket), at_mut(&mut msg), MSG_CMSG_CLOEXEC, 0, 0, 0]) {
            Err(Errno::EINTR) => continue,
            r => break r?,
        }
    };
    if msg.controllen >= RIGHTS_HEADER && rights.level == SOL_SOCKET && rights.kind == SCM_RIGHTS {
        let count = rights.len.saturating_sub(RIGHTS_HEADER) / 4;
        rights.fds.iter().take(count).for_each(|fd| keep(*fd));
    }
    Ok(n)
}

/// A datagram socket of the IPv4 family; for requests about interfaces.
pub fn socket_inet() -> Result<Fd> {
    const AF_INET: usize = 2;
    const SOCK_DGRAM_CLOEXEC: usize = 2 | 0o2000000;
    fd(call(nr::SOCKET, [AF_INET, SOCK_DGRAM_CLOEXEC, 0, 0, 0, 0]))
}

pub const SIOCSIFFLAGS: usize = 0x8914;
pub const TIOCSCTTY: usize = 0x540e;
pub const TIOCSWINSZ: usize = 0x5414;
pub const TIOCGPTPEER: usize = 0x5441;
pub const TIOCSPTLCK: usize = 0x4004_5431;

/// ioctl(2) with a pointer to a structure that the kernel reads.
pub fn ioctl<T>(file: i32, request: usize, of: &T) -> Result<()> {
    none(call(nr::IOCTL, [arg(file), request, at(of), 0, 0, 0]))
}

/// The other end of a pseudoterminal (TIOCGPTPEER): opened through the master, so no path can be swapped (CVE-2025-52565).
pub fn ioctl_gptpeer(master: i32) -> Result<Fd> {
    fd(call(nr::IOCTL, [arg(master), TIOCGPTPEER, word(O_RDWR | O_NOCTTY | O_CLOEXEC), 0, 0, 0]))
}
