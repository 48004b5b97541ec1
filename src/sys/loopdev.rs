//! Loop devices (loop(4)): a file as a block device. Knows no file systems.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// The device refuses to be written to.
pub const LO_FLAGS_READ_ONLY: u32 = 1;
/// Nobody has it open or mounted any more: it lets go of the file.
pub const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// It reads and writes past the page cache of the file.
pub const LO_FLAGS_DIRECT_IO: u32 = 16;

const LOOP_SET_FD: libc::Ioctl = 0x4c00;
const LOOP_CLR_FD: libc::Ioctl = 0x4c01;
const LOOP_SET_STATUS64: libc::Ioctl = 0x4c04;
const LOOP_SET_DIRECT_IO: libc::Ioctl = 0x4c08;
const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;

/// struct loop_info64.
#[repr(C)]
#[derive(Clone, Copy)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// struct loop_config.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopInfo64>() == 232 && size_of::<LoopConfig>() == 304);

/// The number of a device that has no file, made if there is none. Whoever comes first gets it: [`configure`] says `EBUSY`
/// to the others.
pub fn get_free(control: BorrowedFd<'_>) -> Result<i32, Errno> {
    // SAFETY: no pointers.
    Errno::result(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) })
}

/// Gives the device a file and `LO_FLAGS_*`. `name` is shown by losetup(8).
pub fn configure(device: impl AsFd, file: impl AsFd, flags: u32, name: &[u8]) -> Result<(), Errno> {
    let (device, file) = (device.as_fd(), file.as_fd());
    let fd = file.as_raw_fd().cast_unsigned();
    let config = LoopConfig { fd, block_size: 0, info: info(flags, name), reserved: [0; 8] };
    // SAFETY: the structure that the call reads.
    match Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) }) {
        // Before Linux 5.8.
        Err(Errno::EINVAL | Errno::ENOTTY) => configure_in_steps(device, file, flags, name),
        result => result.map(drop),
    }
}

/// The same, with what there was before LOOP_CONFIGURE.
fn configure_in_steps(device: BorrowedFd<'_>, file: BorrowedFd<'_>, flags: u32, name: &[u8]) -> Result<(), Errno> {
    // SAFETY: no pointers.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_FD, file.as_raw_fd()) })?;
    let result = set_status(device, &info(flags & !LO_FLAGS_DIRECT_IO, name)).and_then(|()| {
        if flags & LO_FLAGS_DIRECT_IO == 0 {
            return Ok(());
        }
        // SAFETY: no pointers.
        Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_DIRECT_IO, 1) }).map(drop)
    });
    if result.is_err() {
        // SAFETY: no pointers.
        unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD, 0) };
    }
    result
}

fn set_status(device: BorrowedFd<'_>, info: &LoopInfo64) -> Result<(), Errno> {
    // The kernel says EAGAIN while pages of the device are being written back.
    for _ in 0..64 {
        // SAFETY: the structure that the call reads.
        match Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_STATUS64, std::ptr::from_ref(info)) }) {
            Err(Errno::EAGAIN) => std::thread::sleep(std::time::Duration::from_millis(5)),
            result => return result.map(drop),
        }
    }
    Err(Errno::EAGAIN)
}

fn info(flags: u32, name: &[u8]) -> LoopInfo64 {
    let mut file_name = [0; 64];
    // The last byte stays the end of the string.
    for (to, from) in file_name.iter_mut().take(63).zip(name) {
        *to = *from;
    }
    LoopInfo64 {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        sizelimit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags,
        file_name,
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};

    #[test]
    fn both_ways_to_give_a_device_its_file() {
        let backing = tempfile::NamedTempFile::new().unwrap();
        backing.as_file().set_len(1 << 20).unwrap();
        let control = File::open("/dev/loop-control").unwrap();
        for in_steps in [false, true] {
            let (number, device) = loop {
                let number = get_free(control.as_fd()).unwrap();
                let device = OpenOptions::new().read(true).write(true).open(format!("/dev/loop{number}")).unwrap();
                let flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
                let done = match in_steps {
                    false => configure(&device, backing.as_file(), flags, b"canary"),
                    true => configure_in_steps(device.as_fd(), backing.as_file().as_fd(), flags, b"canary"),
                };
                match done {
                    // Another test was first.
                    Err(Errno::EBUSY) => continue,
                    done => done.unwrap(),
                }
                break (number, device);
            };
            let read = |what: &str| std::fs::read_to_string(format!("/sys/block/loop{number}/{what}")).unwrap();
            assert_eq!(read("size").trim(), "2048", "{in_steps}");
            assert_eq!(read("loop/backing_file").trim_end(), backing.path().to_str().unwrap());
            assert_eq!(read("loop/autoclear").trim(), "1");
            drop(device);
        }
    }
}
