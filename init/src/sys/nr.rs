//! System call numbers: x86_64 from the kernel's syscall_64.tbl, aarch64 from asm-generic/unistd.h. From 424 on they are the same.

macro_rules! numbers { ($($name:ident = $x86_64:literal $generic:literal)*) => { $(
    #[cfg(target_arch = "x86_64")]
    pub const $name: usize = $x86_64;
    #[cfg(target_arch = "aarch64")]
    pub const $name: usize = $generic;
)* } }

numbers! {
    READ = 0 63
    WRITE = 1 64
    CLOSE = 3 57
    OPENAT = 257 56
    MKDIRAT = 258 34
    MKNODAT = 259 33
    SYMLINKAT = 266 36
    UNLINKAT = 263 35
    READLINKAT = 267 78
    FCHMODAT = 268 53
    FCHOWNAT = 260 54
    FSTATFS = 138 44
    GETDENTS64 = 217 61
    UTIMENSAT = 280 88
    FLISTXATTR = 196 13
    FGETXATTR = 193 10
    FSETXATTR = 190 7
    DUP3 = 292 24
    PPOLL = 271 73
    FCNTL = 72 25
    MMAP = 9 222
    MOUNT = 165 40
    UMOUNT2 = 166 39
    PIVOT_ROOT = 155 41
    CHROOT = 161 51
    CHDIR = 80 49
    FCHDIR = 81 50
    GETCWD = 79 17
    SETNS = 308 268
    UNSHARE = 272 97
    WAITID = 247 95
    GETPID = 39 172
    EXIT_GROUP = 231 94
    EXECVE = 59 221
    SETSID = 112 157
    UMASK = 95 166
    SETHOSTNAME = 170 161
    SETDOMAINNAME = 171 162
    PRCTL = 157 167
    CAPSET = 126 91
    SETGROUPS = 116 159
    SETRESGID = 119 149
    SETRESUID = 117 147
    KEYCTL = 250 219
    IOPRIO_SET = 251 30
    PERSONALITY = 135 92
    SET_MEMPOLICY = 238 237
    SECCOMP = 317 277
    PREAD64 = 17 67
    LSEEK = 8 62
    MEMFD_CREATE = 319 279
    FACCESSAT = 269 48
    SENDMSG = 46 211
    RECVMSG = 47 212
    SOCKET = 41 198
    IOCTL = 16 29
    STATX = 332 291
    PIDFD_SEND_SIGNAL = 424 424
    OPEN_TREE = 428 428
    MOVE_MOUNT = 429 429
    FSOPEN = 430 430
    FSCONFIG = 431 431
    FSMOUNT = 432 432
    CLONE3 = 435 435
    CLOSE_RANGE = 436 436
    OPENAT2 = 437 437
    MOUNT_SETATTR = 442 442
}
