//! Written by tools/syscall-tables.py from the kernel's lists: the name and the number of every system call of every
//! architecture. Data only. One line a call, so that a review of a new kernel's calls is a review of new lines.
#![cfg_attr(rustfmt, rustfmt_skip)]

/// How many calls there are.
pub const COUNT: usize = 508;

/// A column of [`NUMBERS`].
pub const X86_64: usize = 0;
/// A column of [`NUMBERS`].
pub const X86: usize = 1;
/// A column of [`NUMBERS`].
pub const X32: usize = 2;
/// A column of [`NUMBERS`].
pub const AARCH64: usize = 3;
/// A column of [`NUMBERS`].
pub const ARM: usize = 4;
/// A column of [`NUMBERS`].
pub const RISCV64: usize = 5;
/// A column of [`NUMBERS`].
pub const S390X: usize = 6;
/// A column of [`NUMBERS`].
pub const S390: usize = 7;
/// A column of [`NUMBERS`].
pub const PPC64: usize = 8;
/// A column of [`NUMBERS`].
pub const PPC: usize = 9;
/// A column of [`NUMBERS`].
pub const MIPS: usize = 10;
/// A column of [`NUMBERS`].
pub const MIPS64: usize = 11;
/// A column of [`NUMBERS`].
pub const MIPS64N32: usize = 12;
/// A column of [`NUMBERS`].
pub const LOONGARCH64: usize = 13;
/// A column of [`NUMBERS`].
pub const PARISC: usize = 14;
/// A column of [`NUMBERS`].
pub const PARISC64: usize = 15;
/// A column of [`NUMBERS`].
pub const M68K: usize = 16;
/// A column of [`NUMBERS`].
pub const SH: usize = 17;

/// How many columns there are.
pub const COLUMNS: usize = 18;

/// In [`NUMBERS`]: the architecture does not have the call.
pub const ABSENT: u16 = 0xffff;

/// All names, sorted, without separators: one text and not a table of pointers, which a position-independent
/// executable would have to relocate at each start.
pub static NAMES: &str = "\
    _llseek\
    _newselect\
    _sysctl\
    accept\
    accept4\
    access\
    acct\
    add_key\
    adjtimex\
    afs_syscall\
    alarm\
    arch_prctl\
    arm_fadvise64_64\
    arm_sync_file_range\
    atomic_barrier\
    atomic_cmpxchg_32\
    bdflush\
    bind\
    bpf\
    break\
    breakpoint\
    brk\
    cachectl\
    cacheflush\
    cachestat\
    capget\
    capset\
    chdir\
    chmod\
    chown\
    chown32\
    chroot\
    clock_adjtime\
    clock_adjtime64\
    clock_getres\
    clock_getres_time64\
    clock_gettime\
    clock_gettime64\
    clock_nanosleep\
    clock_nanosleep_time64\
    clock_settime\
    clock_settime64\
    clone\
    clone3\
    close\
    close_range\
    connect\
    copy_file_range\
    creat\
    create_module\
    delete_module\
    dup\
    dup2\
    dup3\
    epoll_create\
    epoll_create1\
    epoll_ctl\
    epoll_ctl_old\
    epoll_pwait\
    epoll_pwait2\
    epoll_wait\
    epoll_wait_old\
    eventfd\
    eventfd2\
    execve\
    execveat\
    exit\
    exit_group\
    faccessat\
    faccessat2\
    fadvise64\
    fadvise64_64\
    fallocate\
    fanotify_init\
    fanotify_mark\
    fchdir\
    fchmod\
    fchmodat\
    fchmodat2\
    fchown\
    fchown32\
    fchownat\
    fcntl\
    fcntl64\
    fdatasync\
    fgetxattr\
    file_getattr\
    file_setattr\
    finit_module\
    flistxattr\
    flock\
    fork\
    fremovexattr\
    fsconfig\
    fsetxattr\
    fsmount\
    fsopen\
    fspick\
    fstat\
    fstat64\
    fstatat64\
    fstatfs\
    fstatfs64\
    fsync\
    ftime\
    ftruncate\
    ftruncate64\
    futex\
    futex_requeue\
    futex_time64\
    futex_wait\
    futex_waitv\
    futex_wake\
    futimesat\
    get_kernel_syms\
    get_mempolicy\
    get_robust_list\
    get_thread_area\
    get_tls\
    getcpu\
    getcwd\
    getdents\
    getdents64\
    getegid\
    getegid32\
    geteuid\
    geteuid32\
    getgid\
    getgid32\
    getgroups\
    getgroups32\
    getitimer\
    getpagesize\
    getpeername\
    getpgid\
    getpgrp\
    getpid\
    getpmsg\
    getppid\
    getpriority\
    getrandom\
    getresgid\
    getresgid32\
    getresuid\
    getresuid32\
    getrlimit\
    getrusage\
    getsid\
    getsockname\
    getsockopt\
    gettid\
    gettimeofday\
    getuid\
    getuid32\
    getxattr\
    getxattrat\
    gtty\
    idle\
    init_module\
    inotify_add_watch\
    inotify_init\
    inotify_init1\
    inotify_rm_watch\
    io_cancel\
    io_destroy\
    io_getevents\
    io_pgetevents\
    io_pgetevents_time64\
    io_setup\
    io_submit\
    io_uring_enter\
    io_uring_register\
    io_uring_setup\
    ioctl\
    ioperm\
    iopl\
    ioprio_get\
    ioprio_set\
    ipc\
    kcmp\
    kexec_file_load\
    kexec_load\
    keyctl\
    kill\
    landlock_add_rule\
    landlock_create_ruleset\
    landlock_restrict_self\
    lchown\
    lchown32\
    lgetxattr\
    link\
    linkat\
    listen\
    listmount\
    listns\
    listxattr\
    listxattrat\
    llistxattr\
    lock\
    lookup_dcookie\
    lremovexattr\
    lseek\
    lsetxattr\
    lsm_get_self_attr\
    lsm_list_modules\
    lsm_set_self_attr\
    lstat\
    lstat64\
    madvise\
    map_shadow_stack\
    mbind\
    membarrier\
    memfd_create\
    memfd_secret\
    migrate_pages\
    mincore\
    mkdir\
    mkdirat\
    mknod\
    mknodat\
    mlock\
    mlock2\
    mlockall\
    mmap\
    mmap2\
    modify_ldt\
    mount\
    mount_setattr\
    move_mount\
    move_pages\
    mprotect\
    mpx\
    mq_getsetattr\
    mq_notify\
    mq_open\
    mq_timedreceive\
    mq_timedreceive_time64\
    mq_timedsend\
    mq_timedsend_time64\
    mq_unlink\
    mremap\
    mseal\
    msgctl\
    msgget\
    msgrcv\
    msgsnd\
    msync\
    multiplexer\
    munlock\
    munlockall\
    munmap\
    name_to_handle_at\
    nanosleep\
    newfstatat\
    nfsservctl\
    nice\
    oldfstat\
    oldlstat\
    oldolduname\
    oldstat\
    olduname\
    open\
    open_by_handle_at\
    open_tree\
    open_tree_attr\
    openat\
    openat2\
    pause\
    pciconfig_iobase\
    pciconfig_read\
    pciconfig_write\
    perf_event_open\
    personality\
    pidfd_getfd\
    pidfd_open\
    pidfd_send_signal\
    pipe\
    pipe2\
    pivot_root\
    pkey_alloc\
    pkey_free\
    pkey_mprotect\
    poll\
    ppoll\
    ppoll_time64\
    prctl\
    pread64\
    preadv\
    preadv2\
    prlimit64\
    process_madvise\
    process_mrelease\
    process_vm_readv\
    process_vm_writev\
    prof\
    profil\
    pselect6\
    pselect6_time64\
    ptrace\
    putpmsg\
    pwrite64\
    pwritev\
    pwritev2\
    query_module\
    quotactl\
    quotactl_fd\
    read\
    readahead\
    readdir\
    readlink\
    readlinkat\
    readv\
    reboot\
    recv\
    recvfrom\
    recvmmsg\
    recvmmsg_time64\
    recvmsg\
    remap_file_pages\
    removexattr\
    removexattrat\
    rename\
    renameat\
    renameat2\
    request_key\
    restart_syscall\
    riscv_flush_icache\
    riscv_hwprobe\
    rmdir\
    rseq\
    rseq_slice_yield\
    rt_sigaction\
    rt_sigpending\
    rt_sigprocmask\
    rt_sigqueueinfo\
    rt_sigreturn\
    rt_sigsuspend\
    rt_sigtimedwait\
    rt_sigtimedwait_time64\
    rt_tgsigqueueinfo\
    rtas\
    s390_guarded_storage\
    s390_pci_mmio_read\
    s390_pci_mmio_write\
    s390_runtime_instr\
    s390_sthyi\
    sched_get_priority_max\
    sched_get_priority_min\
    sched_getaffinity\
    sched_getattr\
    sched_getparam\
    sched_getscheduler\
    sched_rr_get_interval\
    sched_rr_get_interval_time64\
    sched_setaffinity\
    sched_setattr\
    sched_setparam\
    sched_setscheduler\
    sched_yield\
    seccomp\
    security\
    select\
    semctl\
    semget\
    semop\
    semtimedop\
    semtimedop_time64\
    send\
    sendfile\
    sendfile64\
    sendmmsg\
    sendmsg\
    sendto\
    set_mempolicy\
    set_mempolicy_home_node\
    set_robust_list\
    set_thread_area\
    set_tid_address\
    set_tls\
    setdomainname\
    setfsgid\
    setfsgid32\
    setfsuid\
    setfsuid32\
    setgid\
    setgid32\
    setgroups\
    setgroups32\
    sethostname\
    setitimer\
    setns\
    setpgid\
    setpriority\
    setregid\
    setregid32\
    setresgid\
    setresgid32\
    setresuid\
    setresuid32\
    setreuid\
    setreuid32\
    setrlimit\
    setsid\
    setsockopt\
    settimeofday\
    setuid\
    setuid32\
    setxattr\
    setxattrat\
    sgetmask\
    shmat\
    shmctl\
    shmdt\
    shmget\
    shutdown\
    sigaction\
    sigaltstack\
    signal\
    signalfd\
    signalfd4\
    sigpending\
    sigprocmask\
    sigreturn\
    sigsuspend\
    socket\
    socketcall\
    socketpair\
    splice\
    spu_create\
    spu_run\
    ssetmask\
    stat\
    stat64\
    statfs\
    statfs64\
    statmount\
    statx\
    stime\
    stty\
    subpage_prot\
    swapcontext\
    swapoff\
    swapon\
    switch_endian\
    symlink\
    symlinkat\
    sync\
    sync_file_range\
    sync_file_range2\
    syncfs\
    sys_debug_setcontext\
    syscall\
    sysfs\
    sysinfo\
    syslog\
    sysmips\
    tee\
    tgkill\
    time\
    timer_create\
    timer_delete\
    timer_getoverrun\
    timer_gettime\
    timer_gettime64\
    timer_settime\
    timer_settime64\
    timerfd\
    timerfd_create\
    timerfd_gettime\
    timerfd_gettime64\
    timerfd_settime\
    timerfd_settime64\
    times\
    tkill\
    truncate\
    truncate64\
    tuxcall\
    ugetrlimit\
    ulimit\
    umask\
    umount\
    umount2\
    uname\
    unlink\
    unlinkat\
    unshare\
    uprobe\
    uretprobe\
    uselib\
    userfaultfd\
    usr26\
    usr32\
    ustat\
    utime\
    utimensat\
    utimensat_time64\
    utimes\
    vfork\
    vhangup\
    vm86\
    vm86old\
    vmsplice\
    vserver\
    wait4\
    waitid\
    waitpid\
    write\
    writev\
";

/// Where each name begins in [`NAMES`], and the end.
pub static STARTS: [u16; 509] = [
    0, 7, 17, 24, 30, 37, 43, 47, 54, 62, 73, 78, 88, 104, 123, 137,
    154, 161, 165, 168, 173, 183, 186, 194, 204, 213, 219, 225, 230, 235, 240, 247,
    253, 266, 281, 293, 312, 325, 340, 355, 377, 390, 405, 410, 416, 421, 432, 439,
    454, 459, 472, 485, 488, 492, 496, 508, 521, 530, 543, 554, 566, 576, 590, 597,
    605, 611, 619, 623, 633, 642, 652, 661, 673, 682, 695, 708, 714, 720, 728, 737,
    743, 751, 759, 764, 771, 780, 789, 801, 813, 825, 835, 840, 844, 856, 864, 873,
    880, 886, 892, 897, 904, 913, 920, 929, 934, 939, 948, 959, 964, 977, 989, 999,
    1010, 1020, 1029, 1044, 1057, 1072, 1087, 1094, 1100, 1106, 1114, 1124, 1131, 1140, 1147, 1156,
    1162, 1170, 1179, 1190, 1199, 1210, 1221, 1228, 1235, 1241, 1248, 1255, 1266, 1275, 1284, 1295,
    1304, 1315, 1324, 1333, 1339, 1350, 1360, 1366, 1378, 1384, 1392, 1400, 1410, 1414, 1418, 1429,
    1446, 1458, 1471, 1487, 1496, 1506, 1518, 1531, 1551, 1559, 1568, 1582, 1599, 1613, 1618, 1624,
    1628, 1638, 1648, 1651, 1655, 1670, 1680, 1686, 1690, 1707, 1730, 1752, 1758, 1766, 1775, 1779,
    1785, 1791, 1800, 1806, 1815, 1826, 1836, 1840, 1854, 1866, 1871, 1880, 1897, 1913, 1930, 1935,
    1942, 1949, 1965, 1970, 1980, 1992, 2004, 2017, 2024, 2029, 2036, 2041, 2048, 2053, 2059, 2067,
    2071, 2076, 2086, 2091, 2104, 2114, 2124, 2132, 2135, 2148, 2157, 2164, 2179, 2201, 2213, 2232,
    2241, 2247, 2252, 2258, 2264, 2270, 2276, 2281, 2292, 2299, 2309, 2315, 2332, 2341, 2351, 2361,
    2365, 2373, 2381, 2392, 2399, 2407, 2411, 2428, 2437, 2451, 2457, 2464, 2469, 2485, 2499, 2514,
    2529, 2540, 2551, 2561, 2578, 2582, 2587, 2597, 2607, 2616, 2629, 2633, 2638, 2650, 2655, 2662,
    2668, 2675, 2684, 2699, 2715, 2731, 2748, 2752, 2758, 2766, 2781, 2787, 2794, 2802, 2809, 2817,
    2829, 2837, 2848, 2852, 2861, 2868, 2876, 2886, 2891, 2897, 2901, 2909, 2917, 2932, 2939, 2955,
    2966, 2979, 2985, 2993, 3002, 3013, 3028, 3046, 3059, 3064, 3068, 3084, 3096, 3109, 3123, 3138,
    3150, 3163, 3178, 3200, 3217, 3221, 3241, 3259, 3278, 3296, 3306, 3328, 3350, 3367, 3380, 3394,
    3412, 3433, 3461, 3478, 3491, 3505, 3523, 3534, 3541, 3549, 3555, 3561, 3567, 3572, 3582, 3599,
    3603, 3611, 3621, 3629, 3636, 3642, 3655, 3678, 3693, 3708, 3723, 3730, 3743, 3751, 3761, 3769,
    3779, 3785, 3793, 3802, 3813, 3824, 3833, 3838, 3845, 3856, 3864, 3874, 3883, 3894, 3903, 3914,
    3922, 3932, 3941, 3947, 3957, 3969, 3975, 3983, 3991, 4001, 4009, 4014, 4020, 4025, 4031, 4039,
    4048, 4059, 4065, 4073, 4082, 4092, 4103, 4112, 4122, 4128, 4138, 4148, 4154, 4164, 4171, 4179,
    4183, 4189, 4195, 4203, 4212, 4217, 4222, 4226, 4238, 4249, 4256, 4262, 4275, 4282, 4291, 4295,
    4310, 4326, 4332, 4352, 4359, 4364, 4371, 4377, 4384, 4387, 4393, 4397, 4409, 4421, 4437, 4450,
    4465, 4478, 4493, 4500, 4514, 4529, 4546, 4561, 4578, 4583, 4588, 4596, 4606, 4613, 4623, 4629,
    4634, 4640, 4647, 4652, 4658, 4666, 4673, 4679, 4688, 4694, 4705, 4710, 4715, 4720, 4725, 4734,
    4750, 4756, 4761, 4768, 4772, 4779, 4787, 4794, 4799, 4805, 4812, 4817, 4823,
];

/// The numbers, by name and [`Column`]. Without the architecture's base (x32 has 0x40000000, MIPS 4000, 5000, 6000);
/// 0xf000 stands for the private calls of 32-bit ARM, at 0xf0000.
pub static NUMBERS: [[u16; COLUMNS]; COUNT] = [
    // X86_64 X86 X32 AARCH64 ARM RISCV64 S390X S390 PPC64 PPC MIPS MIPS64 MIPS64N32 LOONGARCH64 PARISC PARISC64 M68K SH
    [ABSENT,140,ABSENT,ABSENT,140,ABSENT,ABSENT,140,140,140,140,ABSENT,ABSENT,ABSENT,140,ABSENT,140,140], // _llseek
    [ABSENT,142,ABSENT,ABSENT,142,ABSENT,ABSENT,142,142,142,142,22,22,ABSENT,142,142,142,142], // _newselect
    [156,149,ABSENT,ABSENT,149,ABSENT,149,149,149,149,153,152,152,ABSENT,149,149,149,149], // _sysctl
    [43,ABSENT,43,202,285,202,ABSENT,ABSENT,330,330,168,42,42,202,35,35,ABSENT,344], // accept
    [288,364,288,242,366,242,364,364,344,344,334,293,297,242,320,320,361,358], // accept4
    [21,33,21,ABSENT,33,ABSENT,33,33,33,33,33,20,20,ABSENT,33,33,33,33], // access
    [163,51,163,89,51,89,51,51,51,51,51,158,158,89,51,51,51,51], // acct
    [248,286,248,217,309,217,278,278,269,269,280,239,243,217,264,264,279,285], // add_key
    [159,124,159,171,124,171,124,124,124,124,124,154,154,171,124,124,124,124], // adjtimex
    [183,137,183,ABSENT,ABSENT,ABSENT,137,137,137,137,137,176,176,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // afs_syscall
    [37,27,37,ABSENT,ABSENT,ABSENT,27,27,27,27,27,37,37,ABSENT,27,27,27,27], // alarm
    [158,384,158,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // arch_prctl
    [ABSENT,ABSENT,ABSENT,ABSENT,270,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // arm_fadvise64_64
    [ABSENT,ABSENT,ABSENT,ABSENT,341,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // arm_sync_file_range
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,336,ABSENT], // atomic_barrier
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,335,ABSENT], // atomic_cmpxchg_32
    [ABSENT,134,ABSENT,ABSENT,134,ABSENT,134,134,134,134,134,ABSENT,ABSENT,ABSENT,134,134,134,134], // bdflush
    [49,361,49,200,282,200,361,361,327,327,169,48,48,200,22,22,358,341], // bind
    [321,357,321,280,386,280,351,351,361,361,355,315,319,280,341,341,354,375], // bpf
    [ABSENT,17,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,17,17,17,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // break
    [ABSENT,ABSENT,ABSENT,ABSENT,61441,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // breakpoint
    [12,45,12,214,45,214,45,45,45,45,45,12,12,214,45,45,45,45], // brk
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,148,198,198,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // cachectl
    [ABSENT,ABSENT,ABSENT,ABSENT,61442,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,147,197,197,ABSENT,356,356,123,123], // cacheflush
    [451,451,451,451,451,451,451,451,451,451,451,451,451,451,451,451,451,451], // cachestat
    [125,184,125,90,184,90,184,184,183,183,204,123,123,90,106,106,184,184], // capget
    [126,185,126,91,185,91,185,185,184,184,205,124,124,91,107,107,185,185], // capset
    [80,12,80,49,12,49,12,12,12,12,12,78,78,49,12,12,12,12], // chdir
    [90,15,90,ABSENT,15,ABSENT,15,15,15,15,15,88,88,ABSENT,15,15,15,15], // chmod
    [92,182,92,ABSENT,182,ABSENT,212,182,181,181,202,90,90,ABSENT,180,180,16,182], // chown
    [ABSENT,212,ABSENT,ABSENT,212,ABSENT,ABSENT,212,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,198,212], // chown32
    [161,61,161,51,61,51,61,61,61,61,61,156,156,51,61,61,61,61], // chroot
    [305,343,305,266,372,266,337,337,347,347,341,300,305,266,324,324,342,361], // clock_adjtime
    [ABSENT,405,ABSENT,ABSENT,405,ABSENT,ABSENT,405,ABSENT,405,405,ABSENT,405,ABSENT,405,ABSENT,405,405], // clock_adjtime64
    [229,266,229,114,264,114,261,261,247,247,264,223,227,114,257,257,261,266], // clock_getres
    [ABSENT,406,ABSENT,ABSENT,406,ABSENT,ABSENT,406,ABSENT,406,406,ABSENT,406,ABSENT,406,ABSENT,406,406], // clock_getres_time64
    [228,265,228,113,263,113,260,260,246,246,263,222,226,113,256,256,260,265], // clock_gettime
    [ABSENT,403,ABSENT,ABSENT,403,ABSENT,ABSENT,403,ABSENT,403,403,ABSENT,403,ABSENT,403,ABSENT,403,403], // clock_gettime64
    [230,267,230,115,265,115,262,262,248,248,265,224,228,115,258,258,262,267], // clock_nanosleep
    [ABSENT,407,ABSENT,ABSENT,407,ABSENT,ABSENT,407,ABSENT,407,407,ABSENT,407,ABSENT,407,ABSENT,407,407], // clock_nanosleep_time64
    [227,264,227,112,262,112,259,259,245,245,262,221,225,112,255,255,259,264], // clock_settime
    [ABSENT,404,ABSENT,ABSENT,404,ABSENT,ABSENT,404,ABSENT,404,404,ABSENT,404,ABSENT,404,ABSENT,404,404], // clock_settime64
    [56,120,56,220,120,220,120,120,120,120,120,55,55,220,120,120,120,120], // clone
    [435,435,435,435,435,435,435,435,435,435,435,435,435,435,435,435,435,ABSENT], // clone3
    [3,6,3,57,6,57,6,6,6,6,6,3,3,57,6,6,6,6], // close
    [436,436,436,436,436,436,436,436,436,436,436,436,436,436,436,436,436,436], // close_range
    [42,362,42,203,283,203,362,362,328,328,170,41,41,203,31,31,359,342], // connect
    [326,377,326,285,391,285,375,375,379,379,360,320,324,285,346,346,376,380], // copy_file_range
    [85,8,85,ABSENT,8,ABSENT,8,8,8,8,8,83,83,ABSENT,8,8,8,8], // creat
    [174,127,ABSENT,ABSENT,ABSENT,ABSENT,127,127,127,127,127,167,167,ABSENT,ABSENT,ABSENT,127,ABSENT], // create_module
    [176,129,176,106,129,106,129,129,129,129,129,169,169,106,129,129,129,129], // delete_module
    [32,41,32,23,41,23,41,41,41,41,41,31,31,23,41,41,41,41], // dup
    [33,63,33,ABSENT,63,ABSENT,63,63,63,63,63,32,32,ABSENT,63,63,63,63], // dup2
    [292,330,292,24,358,24,326,326,316,316,327,286,290,24,312,312,326,330], // dup3
    [213,254,213,ABSENT,250,ABSENT,249,249,236,236,248,207,207,ABSENT,224,224,249,254], // epoll_create
    [291,329,291,20,357,20,327,327,315,315,326,285,289,20,311,311,325,329], // epoll_create1
    [233,255,233,21,251,21,250,250,237,237,249,208,208,21,225,225,250,255], // epoll_ctl
    [214,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // epoll_ctl_old
    [281,319,281,22,346,22,312,312,303,303,313,272,276,22,297,297,315,319], // epoll_pwait
    [441,441,441,441,441,441,441,441,441,441,441,441,441,441,441,441,441,441], // epoll_pwait2
    [232,256,232,ABSENT,252,ABSENT,251,251,238,238,250,209,209,ABSENT,226,226,251,256], // epoll_wait
    [215,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // epoll_wait_old
    [284,323,284,ABSENT,351,ABSENT,318,318,307,307,319,278,282,ABSENT,304,304,319,323], // eventfd
    [290,328,290,19,356,19,323,323,314,314,325,284,288,19,310,310,324,328], // eventfd2
    [59,11,520,221,11,221,11,11,11,11,11,57,57,221,11,11,11,11], // execve
    [322,358,545,281,387,281,354,354,362,362,356,316,320,281,342,342,355,376], // execveat
    [60,1,60,93,1,93,1,1,1,1,1,58,58,93,1,1,1,1], // exit
    [231,252,231,94,248,94,248,248,234,234,246,205,205,94,222,222,247,252], // exit_group
    [269,307,269,48,334,48,300,300,298,298,300,259,263,48,287,287,300,307], // faccessat
    [439,439,439,439,439,439,439,439,439,439,439,439,439,439,439,439,439,439], // faccessat2
    [221,250,221,223,ABSENT,223,253,253,233,233,254,215,216,223,ABSENT,ABSENT,246,250], // fadvise64
    [ABSENT,272,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,264,ABSENT,254,ABSENT,ABSENT,ABSENT,ABSENT,236,236,267,272], // fadvise64_64
    [285,324,285,47,352,47,314,314,309,309,320,279,283,47,305,305,320,324], // fallocate
    [300,338,300,262,367,262,332,332,323,323,336,295,300,262,322,322,337,337], // fanotify_init
    [301,339,301,263,368,263,333,333,324,324,337,296,301,263,323,323,338,338], // fanotify_mark
    [81,133,81,50,133,50,133,133,133,133,133,79,79,50,133,133,133,133], // fchdir
    [91,94,91,52,94,52,94,94,94,94,94,89,89,52,94,94,94,94], // fchmod
    [268,306,268,53,333,53,299,299,297,297,299,258,262,53,286,286,299,306], // fchmodat
    [452,452,452,452,452,452,452,452,452,452,452,452,452,452,452,452,452,452], // fchmodat2
    [93,95,93,55,95,55,207,95,95,95,95,91,91,55,95,95,95,95], // fchown
    [ABSENT,207,ABSENT,ABSENT,207,ABSENT,ABSENT,207,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,207,207], // fchown32
    [260,298,260,54,325,54,291,291,289,289,291,250,254,54,278,278,291,298], // fchownat
    [72,55,72,25,55,25,55,55,55,55,55,70,70,25,55,55,55,55], // fcntl
    [ABSENT,221,ABSENT,ABSENT,221,ABSENT,ABSENT,221,ABSENT,204,220,ABSENT,212,ABSENT,202,202,239,221], // fcntl64
    [75,148,75,83,148,83,148,148,148,148,152,73,73,83,148,148,148,148], // fdatasync
    [193,231,193,10,231,10,229,229,214,214,229,185,185,10,243,243,228,231], // fgetxattr
    [468,468,468,468,468,468,468,468,468,468,468,468,468,468,468,468,468,468], // file_getattr
    [469,469,469,469,469,469,469,469,469,469,469,469,469,469,469,469,469,469], // file_setattr
    [313,350,313,273,379,273,344,344,353,353,348,307,312,273,333,333,348,368], // finit_module
    [196,234,196,13,234,13,232,232,217,217,232,188,188,13,246,246,231,234], // flistxattr
    [73,143,73,32,143,32,143,143,143,143,143,71,71,32,143,143,143,143], // flock
    [57,2,57,ABSENT,2,ABSENT,2,2,2,2,2,56,56,ABSENT,2,2,2,2], // fork
    [199,237,199,16,237,16,235,235,220,220,235,191,191,16,249,249,234,237], // fremovexattr
    [431,431,431,431,431,431,431,431,431,431,431,431,431,431,431,431,431,431], // fsconfig
    [190,228,190,7,228,7,226,226,211,211,226,182,182,7,240,240,225,228], // fsetxattr
    [432,432,432,432,432,432,432,432,432,432,432,432,432,432,432,432,432,432], // fsmount
    [430,430,430,430,430,430,430,430,430,430,430,430,430,430,430,430,430,430], // fsopen
    [433,433,433,433,433,433,433,433,433,433,433,433,433,433,433,433,433,433], // fspick
    [5,108,5,80,108,80,108,108,108,108,108,5,5,80,28,28,108,108], // fstat
    [ABSENT,197,ABSENT,ABSENT,197,ABSENT,ABSENT,197,ABSENT,197,215,ABSENT,ABSENT,ABSENT,112,112,197,197], // fstat64
    [ABSENT,300,ABSENT,ABSENT,327,ABSENT,ABSENT,293,ABSENT,291,293,ABSENT,ABSENT,ABSENT,280,280,293,300], // fstatat64
    [138,100,138,44,100,44,100,100,100,100,100,135,135,44,100,100,100,100], // fstatfs
    [ABSENT,269,ABSENT,ABSENT,267,ABSENT,266,266,253,253,256,ABSENT,218,ABSENT,299,299,264,269], // fstatfs64
    [74,118,74,82,118,82,118,118,118,118,118,72,72,82,118,118,118,118], // fsync
    [ABSENT,35,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,35,35,35,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // ftime
    [77,93,77,46,93,46,93,93,93,93,93,75,75,46,93,93,93,93], // ftruncate
    [ABSENT,194,ABSENT,ABSENT,194,ABSENT,ABSENT,194,ABSENT,194,212,ABSENT,ABSENT,ABSENT,200,200,194,194], // ftruncate64
    [202,240,202,98,240,98,238,238,221,221,238,194,194,98,210,210,235,240], // futex
    [456,456,456,456,456,456,456,456,456,456,456,456,456,456,456,456,456,456], // futex_requeue
    [ABSENT,422,ABSENT,ABSENT,422,ABSENT,ABSENT,422,ABSENT,422,422,ABSENT,422,ABSENT,422,ABSENT,422,422], // futex_time64
    [455,455,455,455,455,455,455,455,455,455,455,455,455,455,455,455,455,455], // futex_wait
    [449,449,449,449,449,449,449,449,449,449,449,449,449,449,449,449,449,449], // futex_waitv
    [454,454,454,454,454,454,454,454,454,454,454,454,454,454,454,454,454,454], // futex_wake
    [261,299,261,ABSENT,326,ABSENT,292,292,290,290,292,251,255,ABSENT,279,279,292,299], // futimesat
    [177,130,ABSENT,ABSENT,ABSENT,ABSENT,130,130,130,130,130,170,170,ABSENT,ABSENT,ABSENT,130,ABSENT], // get_kernel_syms
    [239,275,239,236,320,236,269,269,260,260,269,228,232,236,261,261,269,275], // get_mempolicy
    [274,312,531,100,339,100,305,305,299,299,310,269,273,100,290,290,305,312], // get_robust_list
    [211,244,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,333,ABSENT], // get_thread_area
    [ABSENT,ABSENT,ABSENT,ABSENT,61446,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // get_tls
    [309,318,309,168,345,168,311,311,302,302,312,271,275,168,296,296,314,318], // getcpu
    [79,183,79,17,183,17,183,183,182,182,203,77,77,17,110,110,183,183], // getcwd
    [78,141,78,ABSENT,141,ABSENT,141,141,141,141,141,76,76,ABSENT,141,141,141,141], // getdents
    [217,220,217,61,217,61,220,220,202,202,219,308,299,61,201,201,220,220], // getdents64
    [108,50,108,177,50,177,202,50,50,50,50,106,106,177,50,50,50,50], // getegid
    [ABSENT,202,ABSENT,ABSENT,202,ABSENT,ABSENT,202,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,202,202], // getegid32
    [107,49,107,175,49,175,201,49,49,49,49,105,105,175,49,49,49,49], // geteuid
    [ABSENT,201,ABSENT,ABSENT,201,ABSENT,ABSENT,201,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,201,201], // geteuid32
    [104,47,104,176,47,176,200,47,47,47,47,102,102,176,47,47,47,47], // getgid
    [ABSENT,200,ABSENT,ABSENT,200,ABSENT,ABSENT,200,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,200,200], // getgid32
    [115,80,115,158,80,158,205,80,80,80,80,113,113,158,80,80,80,80], // getgroups
    [ABSENT,205,ABSENT,ABSENT,205,ABSENT,ABSENT,205,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,205,205], // getgroups32
    [36,105,36,102,105,102,105,105,105,105,105,35,35,102,105,105,105,105], // getitimer
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,166,ABSENT], // getpagesize
    [52,368,52,205,287,205,368,368,332,332,171,51,51,205,53,53,365,346], // getpeername
    [121,132,121,155,132,155,132,132,132,132,132,119,119,155,132,132,132,132], // getpgid
    [111,65,111,ABSENT,65,ABSENT,65,65,65,65,65,109,109,ABSENT,65,65,65,65], // getpgrp
    [39,20,39,172,20,172,20,20,20,20,20,38,38,172,20,20,20,20], // getpid
    [181,188,181,ABSENT,ABSENT,ABSENT,188,188,187,187,208,174,174,ABSENT,ABSENT,ABSENT,188,ABSENT], // getpmsg
    [110,64,110,173,64,173,64,64,64,64,64,108,108,173,64,64,64,64], // getppid
    [140,96,140,141,96,141,96,96,96,96,96,137,137,141,96,96,96,96], // getpriority
    [318,355,318,278,384,278,349,349,359,359,353,313,317,278,339,339,352,373], // getrandom
    [120,171,120,150,171,150,211,171,170,170,191,118,118,150,171,171,171,171], // getresgid
    [ABSENT,211,ABSENT,ABSENT,211,ABSENT,ABSENT,211,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,211,211], // getresgid32
    [118,165,118,148,165,148,209,165,165,165,186,116,116,148,165,165,165,165], // getresuid
    [ABSENT,209,ABSENT,ABSENT,209,ABSENT,ABSENT,209,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,209,209], // getresuid32
    [97,76,97,163,ABSENT,163,191,76,76,76,76,95,95,ABSENT,76,76,76,76], // getrlimit
    [98,77,98,165,77,165,77,77,77,77,77,96,96,165,77,77,77,77], // getrusage
    [124,147,124,156,147,156,147,147,147,147,151,122,122,156,147,147,147,147], // getsid
    [51,367,51,204,286,204,367,367,331,331,172,50,50,204,44,44,364,345], // getsockname
    [55,365,542,209,295,209,365,365,340,340,173,54,54,209,182,182,362,354], // getsockopt
    [186,224,186,178,224,178,236,236,207,207,222,178,178,178,206,206,221,224], // gettid
    [96,78,96,169,78,169,78,78,78,78,78,94,94,169,78,78,78,78], // gettimeofday
    [102,24,102,174,24,174,199,24,24,24,24,100,100,174,24,24,24,24], // getuid
    [ABSENT,199,ABSENT,ABSENT,199,ABSENT,ABSENT,199,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,199,199], // getuid32
    [191,229,191,8,229,8,227,227,212,212,227,183,183,8,241,241,226,229], // getxattr
    [464,464,464,464,464,464,464,464,464,464,464,464,464,464,464,464,464,464], // getxattrat
    [ABSENT,32,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,32,32,32,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // gtty
    [ABSENT,112,ABSENT,ABSENT,ABSENT,ABSENT,112,112,112,112,112,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // idle
    [175,128,175,105,128,105,128,128,128,128,128,168,168,105,128,128,128,128], // init_module
    [254,292,254,27,317,27,285,285,276,276,285,244,248,27,270,270,285,291], // inotify_add_watch
    [253,291,253,ABSENT,316,ABSENT,284,284,275,275,284,243,247,ABSENT,269,269,284,290], // inotify_init
    [294,332,294,26,360,26,324,324,318,318,329,288,292,26,314,314,328,332], // inotify_init1
    [255,293,255,28,318,28,286,286,277,277,286,245,249,28,271,271,286,292], // inotify_rm_watch
    [210,249,210,3,247,3,247,247,231,231,245,204,204,3,219,219,245,249], // io_cancel
    [207,246,207,1,244,1,244,244,228,228,242,201,201,1,216,216,242,246], // io_destroy
    [208,247,208,4,245,4,245,245,229,229,243,202,202,4,217,217,243,247], // io_getevents
    [333,385,333,292,399,292,382,382,388,388,368,328,332,292,350,350,ABSENT,ABSENT], // io_pgetevents
    [ABSENT,416,ABSENT,ABSENT,416,ABSENT,ABSENT,416,ABSENT,416,416,ABSENT,416,ABSENT,416,ABSENT,416,416], // io_pgetevents_time64
    [206,245,543,0,243,0,243,243,227,227,241,200,200,0,215,215,241,245], // io_setup
    [209,248,544,2,246,2,246,246,230,230,244,203,203,2,218,218,244,248], // io_submit
    [426,426,426,426,426,426,426,426,426,426,426,426,426,426,426,426,426,426], // io_uring_enter
    [427,427,427,427,427,427,427,427,427,427,427,427,427,427,427,427,427,427], // io_uring_register
    [425,425,425,425,425,425,425,425,425,425,425,425,425,425,425,425,425,425], // io_uring_setup
    [16,54,514,29,54,29,54,54,54,54,54,15,15,29,54,54,54,54], // ioctl
    [173,101,173,ABSENT,ABSENT,ABSENT,ABSENT,101,101,101,101,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // ioperm
    [172,110,172,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,110,110,110,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // iopl
    [252,290,252,31,315,31,283,283,274,274,315,274,278,31,268,268,283,289], // ioprio_get
    [251,289,251,30,314,30,282,282,273,273,314,273,277,30,267,267,282,288], // ioprio_set
    [ABSENT,117,ABSENT,ABSENT,ABSENT,ABSENT,117,117,117,117,117,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,117,117], // ipc
    [312,349,312,272,378,272,343,343,354,354,347,306,311,272,332,332,347,367], // kcmp
    [320,ABSENT,320,294,401,294,381,381,382,382,ABSENT,ABSENT,ABSENT,294,355,355,ABSENT,ABSENT], // kexec_file_load
    [246,283,528,104,347,104,277,277,268,268,311,270,274,104,300,300,313,283], // kexec_load
    [250,288,250,219,311,219,280,280,271,271,282,241,245,219,266,266,281,287], // keyctl
    [62,37,62,129,37,129,37,37,37,37,37,60,60,129,37,37,37,37], // kill
    [445,445,445,445,445,445,445,445,445,445,445,445,445,445,445,445,445,445], // landlock_add_rule
    [444,444,444,444,444,444,444,444,444,444,444,444,444,444,444,444,444,444], // landlock_create_ruleset
    [446,446,446,446,446,446,446,446,446,446,446,446,446,446,446,446,446,446], // landlock_restrict_self
    [94,16,94,ABSENT,16,ABSENT,198,16,16,16,16,92,92,ABSENT,16,16,182,16], // lchown
    [ABSENT,198,ABSENT,ABSENT,198,ABSENT,ABSENT,198,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,212,198], // lchown32
    [192,230,192,9,230,9,228,228,213,213,228,184,184,9,242,242,227,230], // lgetxattr
    [86,9,86,ABSENT,9,ABSENT,9,9,9,9,9,84,84,ABSENT,9,9,9,9], // link
    [265,303,265,37,330,37,296,296,294,294,296,255,259,37,283,283,296,303], // linkat
    [50,363,50,201,284,201,363,363,329,329,174,49,49,201,32,32,360,343], // listen
    [458,458,458,458,458,458,458,458,458,458,458,458,458,458,458,458,458,458], // listmount
    [470,470,470,470,470,470,470,470,470,470,470,470,470,470,470,470,470,470], // listns
    [194,232,194,11,232,11,230,230,215,215,230,186,186,11,244,244,229,232], // listxattr
    [465,465,465,465,465,465,465,465,465,465,465,465,465,465,465,465,465,465], // listxattrat
    [195,233,195,12,233,12,231,231,216,216,231,187,187,12,245,245,230,233], // llistxattr
    [ABSENT,53,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,53,53,53,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // lock
    [212,253,212,18,249,18,110,110,235,235,247,206,206,18,223,223,248,253], // lookup_dcookie
    [198,236,198,15,236,15,234,234,219,219,234,190,190,15,248,248,233,236], // lremovexattr
    [8,19,8,62,19,62,19,19,19,19,19,8,8,62,19,19,19,19], // lseek
    [189,227,189,6,227,6,225,225,210,210,225,181,181,6,239,239,224,227], // lsetxattr
    [459,459,459,459,459,459,459,459,459,459,459,459,459,459,459,459,459,459], // lsm_get_self_attr
    [461,461,461,461,461,461,461,461,461,461,461,461,461,461,461,461,461,461], // lsm_list_modules
    [460,460,460,460,460,460,460,460,460,460,460,460,460,460,460,460,460,460], // lsm_set_self_attr
    [6,107,6,ABSENT,107,ABSENT,107,107,107,107,107,6,6,ABSENT,84,84,107,107], // lstat
    [ABSENT,196,ABSENT,ABSENT,196,ABSENT,ABSENT,196,ABSENT,196,214,ABSENT,ABSENT,ABSENT,198,198,196,196], // lstat64
    [28,219,28,233,220,233,219,219,205,205,218,27,27,233,119,119,238,219], // madvise
    [453,453,453,453,453,453,453,453,453,453,453,453,453,453,453,453,453,453], // map_shadow_stack
    [237,274,237,235,319,235,268,268,259,259,268,227,231,235,260,260,268,274], // mbind
    [324,375,324,283,389,283,356,356,365,365,358,318,322,283,343,343,374,378], // membarrier
    [319,356,319,279,385,279,350,350,360,360,354,314,318,279,340,340,353,374], // memfd_create
    [447,447,447,447,ABSENT,447,447,447,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // memfd_secret
    [256,294,256,238,400,238,287,287,258,258,287,246,250,238,272,272,287,294], // migrate_pages
    [27,218,27,232,219,232,218,218,206,206,217,26,26,232,72,72,237,218], // mincore
    [83,39,83,ABSENT,39,ABSENT,39,39,39,39,39,81,81,ABSENT,39,39,39,39], // mkdir
    [258,296,258,34,323,34,289,289,287,287,289,248,252,34,276,276,289,296], // mkdirat
    [133,14,133,ABSENT,14,ABSENT,14,14,14,14,14,131,131,ABSENT,14,14,14,14], // mknod
    [259,297,259,33,324,33,290,290,288,288,290,249,253,33,277,277,290,297], // mknodat
    [149,150,149,228,150,228,150,150,150,150,154,146,146,228,150,150,150,150], // mlock
    [325,376,325,284,390,284,374,374,378,378,359,319,323,284,345,345,375,379], // mlock2
    [151,152,151,230,152,230,152,152,152,152,156,148,148,230,152,152,152,152], // mlockall
    [9,90,9,222,ABSENT,222,90,90,90,90,90,9,9,222,90,90,90,90], // mmap
    [ABSENT,192,ABSENT,ABSENT,192,ABSENT,ABSENT,192,ABSENT,192,210,ABSENT,ABSENT,ABSENT,89,89,192,192], // mmap2
    [154,123,154,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,123,123,123,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // modify_ldt
    [165,21,165,40,21,40,21,21,21,21,21,160,160,40,21,21,21,21], // mount
    [442,442,442,442,442,442,442,442,442,442,442,442,442,442,442,442,442,442], // mount_setattr
    [429,429,429,429,429,429,429,429,429,429,429,429,429,429,429,429,429,429], // move_mount
    [279,317,533,239,344,239,310,310,301,301,308,267,271,239,295,295,310,317], // move_pages
    [10,125,10,226,125,226,125,125,125,125,125,10,10,226,125,125,125,125], // mprotect
    [ABSENT,56,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,56,56,56,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // mpx
    [245,282,245,185,279,185,276,276,267,267,276,235,239,185,234,234,276,282], // mq_getsetattr
    [244,281,527,184,278,184,275,275,266,266,275,234,238,184,233,233,275,281], // mq_notify
    [240,277,240,180,274,180,271,271,262,262,271,230,234,180,229,229,271,277], // mq_open
    [243,280,243,183,277,183,274,274,265,265,274,233,237,183,232,232,274,280], // mq_timedreceive
    [ABSENT,419,ABSENT,ABSENT,419,ABSENT,ABSENT,419,ABSENT,419,419,ABSENT,419,ABSENT,419,ABSENT,419,419], // mq_timedreceive_time64
    [242,279,242,182,276,182,273,273,264,264,273,232,236,182,231,231,273,279], // mq_timedsend
    [ABSENT,418,ABSENT,ABSENT,418,ABSENT,ABSENT,418,ABSENT,418,418,ABSENT,418,ABSENT,418,ABSENT,418,418], // mq_timedsend_time64
    [241,278,241,181,275,181,272,272,263,263,272,231,235,181,230,230,272,278], // mq_unlink
    [25,163,25,216,163,216,163,163,163,163,167,24,24,216,163,163,163,163], // mremap
    [462,462,462,462,462,462,462,462,462,462,462,462,462,462,462,462,462,462], // mseal
    [71,402,71,187,304,187,402,402,402,402,402,69,69,187,191,191,402,402], // msgctl
    [68,399,68,186,303,186,399,399,399,399,399,66,66,186,190,190,399,399], // msgget
    [70,401,70,188,302,188,401,401,401,401,401,68,68,188,189,189,401,401], // msgrcv
    [69,400,69,189,301,189,400,400,400,400,400,67,67,189,188,188,400,400], // msgsnd
    [26,144,26,227,144,227,144,144,144,144,144,25,25,227,144,144,144,144], // msync
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,201,201,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // multiplexer
    [150,151,150,229,151,229,151,151,151,151,155,147,147,229,151,151,151,151], // munlock
    [152,153,152,231,153,231,153,153,153,153,157,149,149,231,153,153,153,153], // munlockall
    [11,91,11,215,91,215,91,91,91,91,91,11,11,215,91,91,91,91], // munmap
    [303,341,303,264,370,264,335,335,345,345,339,298,303,264,325,325,340,359], // name_to_handle_at
    [35,162,35,101,162,101,162,162,162,162,166,34,34,101,162,162,162,162], // nanosleep
    [262,ABSENT,262,79,ABSENT,79,293,ABSENT,291,ABSENT,ABSENT,252,256,79,ABSENT,ABSENT,ABSENT,ABSENT], // newfstatat
    [180,169,ABSENT,42,169,42,169,169,168,168,189,173,173,42,ABSENT,ABSENT,169,169], // nfsservctl
    [ABSENT,34,ABSENT,ABSENT,34,ABSENT,34,34,34,34,34,ABSENT,ABSENT,ABSENT,34,34,34,34], // nice
    [ABSENT,28,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,28,28,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,28,28], // oldfstat
    [ABSENT,84,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,84,84,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,84,84], // oldlstat
    [ABSENT,59,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,59,59,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // oldolduname
    [ABSENT,18,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,18,18,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,18,18], // oldstat
    [ABSENT,109,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,109,109,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,109], // olduname
    [2,5,2,ABSENT,5,ABSENT,5,5,5,5,5,2,2,ABSENT,5,5,5,5], // open
    [304,342,304,265,371,265,336,336,346,346,340,299,304,265,326,326,341,360], // open_by_handle_at
    [428,428,428,428,428,428,428,428,428,428,428,428,428,428,428,428,428,428], // open_tree
    [467,467,467,467,467,467,467,467,467,467,467,467,467,467,467,467,467,467], // open_tree_attr
    [257,295,257,56,322,56,288,288,286,286,288,247,251,56,275,275,288,295], // openat
    [437,437,437,437,437,437,437,437,437,437,437,437,437,437,437,437,437,437], // openat2
    [34,29,34,ABSENT,29,ABSENT,29,29,29,29,29,33,33,ABSENT,29,29,29,29], // pause
    [ABSENT,ABSENT,ABSENT,ABSENT,271,ABSENT,ABSENT,ABSENT,200,200,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // pciconfig_iobase
    [ABSENT,ABSENT,ABSENT,ABSENT,272,ABSENT,ABSENT,ABSENT,198,198,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // pciconfig_read
    [ABSENT,ABSENT,ABSENT,ABSENT,273,ABSENT,ABSENT,ABSENT,199,199,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // pciconfig_write
    [298,336,298,241,364,241,331,331,319,319,333,292,296,241,318,318,332,336], // perf_event_open
    [135,136,135,92,136,92,136,136,136,136,136,132,132,92,136,136,136,136], // personality
    [438,438,438,438,438,438,438,438,438,438,438,438,438,438,438,438,438,438], // pidfd_getfd
    [434,434,434,434,434,434,434,434,434,434,434,434,434,434,434,434,434,434], // pidfd_open
    [424,424,424,424,424,424,424,424,424,424,424,424,424,424,424,424,424,424], // pidfd_send_signal
    [22,42,22,ABSENT,42,ABSENT,42,42,42,42,42,21,21,ABSENT,42,42,42,42], // pipe
    [293,331,293,59,359,59,325,325,317,317,328,287,291,59,313,313,327,331], // pipe2
    [155,217,155,41,218,41,217,217,203,203,216,151,151,41,67,67,217,217], // pivot_root
    [330,381,330,289,395,289,385,385,384,384,364,324,328,289,352,352,382,385], // pkey_alloc
    [331,382,331,290,396,290,386,386,385,385,365,325,329,290,353,353,383,386], // pkey_free
    [329,380,329,288,394,288,384,384,386,386,363,323,327,288,351,351,381,384], // pkey_mprotect
    [7,168,7,ABSENT,168,ABSENT,168,168,167,167,188,7,7,ABSENT,168,168,168,168], // poll
    [271,309,271,73,336,73,302,302,281,281,302,261,265,73,274,274,302,309], // ppoll
    [ABSENT,414,ABSENT,ABSENT,414,ABSENT,ABSENT,414,ABSENT,414,414,ABSENT,414,ABSENT,414,ABSENT,414,414], // ppoll_time64
    [157,172,157,167,172,167,172,172,171,171,192,153,153,167,172,172,172,172], // prctl
    [17,180,17,67,180,67,180,180,179,179,200,16,16,67,108,108,180,180], // pread64
    [295,333,534,69,361,69,328,328,320,320,330,289,293,69,315,315,329,333], // preadv
    [327,378,546,286,392,286,376,376,380,380,361,321,325,286,347,347,377,381], // preadv2
    [302,340,302,261,369,261,334,334,325,325,338,297,302,261,321,321,339,339], // prlimit64
    [440,440,440,440,440,440,440,440,440,440,440,440,440,440,440,440,440,440], // process_madvise
    [448,448,448,448,448,448,448,448,448,448,448,448,448,448,448,448,448,448], // process_mrelease
    [310,347,539,270,376,270,340,340,351,351,345,304,309,270,330,330,345,365], // process_vm_readv
    [311,348,540,271,377,271,341,341,352,352,346,305,310,271,331,331,346,366], // process_vm_writev
    [ABSENT,44,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,44,44,44,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // prof
    [ABSENT,98,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,98,98,98,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // profil
    [270,308,270,72,335,72,301,301,280,280,301,260,264,72,273,273,301,308], // pselect6
    [ABSENT,413,ABSENT,ABSENT,413,ABSENT,ABSENT,413,ABSENT,413,413,ABSENT,413,ABSENT,413,ABSENT,413,413], // pselect6_time64
    [101,26,521,117,26,117,26,26,26,26,26,99,99,117,26,26,26,26], // ptrace
    [182,189,182,ABSENT,ABSENT,ABSENT,189,189,188,188,209,175,175,ABSENT,ABSENT,ABSENT,189,ABSENT], // putpmsg
    [18,181,18,68,181,68,181,181,180,180,201,17,17,68,109,109,181,181], // pwrite64
    [296,334,535,70,362,70,329,329,321,321,331,290,294,70,316,316,330,334], // pwritev
    [328,379,547,287,393,287,377,377,381,381,362,322,326,287,348,348,378,382], // pwritev2
    [178,167,ABSENT,ABSENT,ABSENT,ABSENT,167,167,166,166,187,171,171,ABSENT,ABSENT,ABSENT,167,ABSENT], // query_module
    [179,131,179,60,131,60,131,131,131,131,131,172,172,60,131,131,131,131], // quotactl
    [443,443,443,443,443,443,443,443,443,443,443,443,443,443,443,443,443,443], // quotactl_fd
    [0,3,0,63,3,63,3,3,3,3,3,0,0,63,3,3,3,3], // read
    [187,225,187,213,225,213,222,222,191,191,223,179,179,213,207,207,240,225], // readahead
    [ABSENT,89,ABSENT,ABSENT,ABSENT,ABSENT,89,89,89,89,89,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,89,89], // readdir
    [89,85,89,ABSENT,85,ABSENT,85,85,85,85,85,87,87,ABSENT,85,85,85,85], // readlink
    [267,305,267,78,332,78,298,298,296,296,298,257,261,78,285,285,298,305], // readlinkat
    [19,145,515,65,145,65,145,145,145,145,145,18,18,65,145,145,145,145], // readv
    [169,88,169,142,88,142,88,88,88,88,88,164,164,142,88,88,88,88], // reboot
    [ABSENT,ABSENT,ABSENT,ABSENT,291,ABSENT,ABSENT,ABSENT,336,336,175,ABSENT,ABSENT,ABSENT,98,98,ABSENT,350], // recv
    [45,371,517,207,292,207,371,371,337,337,176,44,44,207,123,123,368,351], // recvfrom
    [299,337,537,243,365,243,357,357,343,343,335,294,298,243,319,319,371,357], // recvmmsg
    [ABSENT,417,ABSENT,ABSENT,417,ABSENT,ABSENT,417,ABSENT,417,417,ABSENT,417,ABSENT,417,ABSENT,417,417], // recvmmsg_time64
    [47,372,519,212,297,212,372,372,342,342,177,46,46,212,184,184,369,356], // recvmsg
    [216,257,216,234,253,234,267,267,239,239,251,210,210,234,227,227,252,257], // remap_file_pages
    [197,235,197,14,235,14,233,233,218,218,233,189,189,14,247,247,232,235], // removexattr
    [466,466,466,466,466,466,466,466,466,466,466,466,466,466,466,466,466,466], // removexattrat
    [82,38,82,ABSENT,38,ABSENT,38,38,38,38,38,80,80,ABSENT,38,38,38,38], // rename
    [264,302,264,38,329,ABSENT,295,295,293,293,295,254,258,ABSENT,282,282,295,302], // renameat
    [316,353,316,276,382,276,347,347,357,357,351,311,315,276,337,337,351,371], // renameat2
    [249,287,249,218,310,218,279,279,270,270,281,240,244,218,265,265,280,286], // request_key
    [219,0,219,128,0,128,7,7,0,0,253,213,214,128,0,0,0,0], // restart_syscall
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,259,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // riscv_flush_icache
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,258,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // riscv_hwprobe
    [84,40,84,ABSENT,40,ABSENT,40,40,40,40,40,82,82,ABSENT,40,40,40,40], // rmdir
    [334,386,334,293,398,293,383,383,387,387,367,327,331,293,354,354,384,387], // rseq
    [471,471,471,471,471,471,471,471,471,471,471,471,471,471,471,471,471,471], // rseq_slice_yield
    [13,174,512,134,174,134,174,174,173,173,194,13,13,134,174,174,174,174], // rt_sigaction
    [127,176,522,136,176,136,176,176,175,175,196,125,125,136,176,176,176,176], // rt_sigpending
    [14,175,14,135,175,135,175,175,174,174,195,14,14,135,175,175,175,175], // rt_sigprocmask
    [129,178,524,138,178,138,178,178,177,177,198,127,127,138,178,178,178,178], // rt_sigqueueinfo
    [15,173,513,139,173,139,173,173,172,172,193,211,211,139,173,173,173,173], // rt_sigreturn
    [130,179,130,133,179,133,179,179,178,178,199,128,128,133,179,179,179,179], // rt_sigsuspend
    [128,177,523,137,177,137,177,177,176,176,197,126,126,137,177,177,177,177], // rt_sigtimedwait
    [ABSENT,421,ABSENT,ABSENT,421,ABSENT,ABSENT,421,ABSENT,421,421,ABSENT,421,ABSENT,421,ABSENT,421,421], // rt_sigtimedwait_time64
    [297,335,536,240,363,240,330,330,322,322,332,291,295,240,317,317,331,335], // rt_tgsigqueueinfo
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,255,255,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // rtas
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,378,378,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // s390_guarded_storage
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,353,353,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // s390_pci_mmio_read
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,352,352,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // s390_pci_mmio_write
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,342,342,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // s390_runtime_instr
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,380,380,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // s390_sthyi
    [146,159,146,125,159,125,159,159,159,159,163,143,143,125,159,159,159,159], // sched_get_priority_max
    [147,160,147,126,160,126,160,160,160,160,164,144,144,126,160,160,160,160], // sched_get_priority_min
    [204,242,204,123,242,123,240,240,223,223,240,196,196,123,212,212,312,242], // sched_getaffinity
    [315,352,315,275,381,275,346,346,356,356,350,310,314,275,335,335,350,369], // sched_getattr
    [143,155,143,121,155,121,155,155,155,155,159,140,140,121,155,155,155,155], // sched_getparam
    [145,157,145,120,157,120,157,157,157,157,161,142,142,120,157,157,157,157], // sched_getscheduler
    [148,161,148,127,161,127,161,161,161,161,165,145,145,127,161,161,161,161], // sched_rr_get_interval
    [ABSENT,423,ABSENT,ABSENT,423,ABSENT,ABSENT,423,ABSENT,423,423,ABSENT,423,ABSENT,423,ABSENT,423,423], // sched_rr_get_interval_time64
    [203,241,203,122,241,122,239,239,222,222,239,195,195,122,211,211,311,241], // sched_setaffinity
    [314,351,314,274,380,274,345,345,355,355,349,309,313,274,334,334,349,370], // sched_setattr
    [142,154,142,118,154,118,154,154,154,154,158,139,139,118,154,154,154,154], // sched_setparam
    [144,156,144,119,156,119,156,156,156,156,160,141,141,119,156,156,156,156], // sched_setscheduler
    [24,158,24,124,158,124,158,158,158,158,162,23,23,124,158,158,158,158], // sched_yield
    [317,354,317,277,383,277,348,348,358,358,352,312,316,277,338,338,380,372], // seccomp
    [185,ABSENT,185,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // security
    [23,82,23,ABSENT,ABSENT,ABSENT,142,ABSENT,82,82,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,82,ABSENT], // select
    [66,394,66,191,300,191,394,394,394,394,394,64,64,191,187,187,394,394], // semctl
    [64,393,64,190,299,190,393,393,393,393,393,62,62,190,186,186,393,393], // semget
    [65,ABSENT,65,193,298,193,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,63,63,193,185,185,ABSENT,ABSENT], // semop
    [220,ABSENT,220,192,312,192,392,ABSENT,392,ABSENT,ABSENT,214,215,192,228,228,ABSENT,ABSENT], // semtimedop
    [ABSENT,420,ABSENT,ABSENT,420,ABSENT,ABSENT,420,ABSENT,420,420,ABSENT,420,ABSENT,420,ABSENT,420,420], // semtimedop_time64
    [ABSENT,ABSENT,ABSENT,ABSENT,289,ABSENT,ABSENT,ABSENT,334,334,178,ABSENT,ABSENT,ABSENT,58,58,ABSENT,348], // send
    [40,187,40,71,187,71,187,187,186,186,207,39,39,71,122,122,187,187], // sendfile
    [ABSENT,239,ABSENT,ABSENT,239,ABSENT,ABSENT,223,ABSENT,226,237,ABSENT,219,ABSENT,209,209,236,239], // sendfile64
    [307,345,538,269,374,269,358,358,349,349,343,302,307,269,329,329,372,363], // sendmmsg
    [46,370,518,211,296,211,370,370,341,341,179,45,45,211,183,183,367,355], // sendmsg
    [44,369,44,206,290,206,369,369,335,335,180,43,43,206,82,82,366,349], // sendto
    [238,276,238,237,321,237,270,270,261,261,270,229,233,237,262,262,270,276], // set_mempolicy
    [450,450,450,450,450,450,450,450,450,450,450,450,450,450,450,450,450,450], // set_mempolicy_home_node
    [273,311,530,99,338,99,304,304,300,300,309,268,272,99,289,289,304,311], // set_robust_list
    [205,243,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,283,242,246,ABSENT,ABSENT,ABSENT,334,ABSENT], // set_thread_area
    [218,258,218,96,256,96,252,252,232,232,252,212,213,96,237,237,253,258], // set_tid_address
    [ABSENT,ABSENT,ABSENT,ABSENT,61445,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // set_tls
    [171,121,171,162,121,162,121,121,121,121,121,166,166,162,121,121,121,121], // setdomainname
    [123,139,123,152,139,152,216,139,139,139,139,121,121,152,139,139,139,139], // setfsgid
    [ABSENT,216,ABSENT,ABSENT,216,ABSENT,ABSENT,216,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,216,216], // setfsgid32
    [122,138,122,151,138,151,215,138,138,138,138,120,120,151,138,138,138,138], // setfsuid
    [ABSENT,215,ABSENT,ABSENT,215,ABSENT,ABSENT,215,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,215,215], // setfsuid32
    [106,46,106,144,46,144,214,46,46,46,46,104,104,144,46,46,46,46], // setgid
    [ABSENT,214,ABSENT,ABSENT,214,ABSENT,ABSENT,214,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,214,214], // setgid32
    [116,81,116,159,81,159,206,81,81,81,81,114,114,159,81,81,81,81], // setgroups
    [ABSENT,206,ABSENT,ABSENT,206,ABSENT,ABSENT,206,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,206,206], // setgroups32
    [170,74,170,161,74,161,74,74,74,74,74,165,165,161,74,74,74,74], // sethostname
    [38,104,38,103,104,103,104,104,104,104,104,36,36,103,104,104,104,104], // setitimer
    [308,346,308,268,375,268,339,339,350,350,344,303,308,268,328,328,344,364], // setns
    [109,57,109,154,57,154,57,57,57,57,57,107,107,154,57,57,57,57], // setpgid
    [141,97,141,140,97,140,97,97,97,97,97,138,138,140,97,97,97,97], // setpriority
    [114,71,114,143,71,143,204,71,71,71,71,112,112,143,71,71,71,71], // setregid
    [ABSENT,204,ABSENT,ABSENT,204,ABSENT,ABSENT,204,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,204,204], // setregid32
    [119,170,119,149,170,149,210,170,169,169,190,117,117,149,170,170,170,170], // setresgid
    [ABSENT,210,ABSENT,ABSENT,210,ABSENT,ABSENT,210,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,210,210], // setresgid32
    [117,164,117,147,164,147,208,164,164,164,185,115,115,147,164,164,164,164], // setresuid
    [ABSENT,208,ABSENT,ABSENT,208,ABSENT,ABSENT,208,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,208,208], // setresuid32
    [113,70,113,145,70,145,203,70,70,70,70,111,111,145,70,70,70,70], // setreuid
    [ABSENT,203,ABSENT,ABSENT,203,ABSENT,ABSENT,203,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,203,203], // setreuid32
    [160,75,160,164,75,164,75,75,75,75,75,155,155,ABSENT,75,75,75,75], // setrlimit
    [112,66,112,157,66,157,66,66,66,66,66,110,110,157,66,66,66,66], // setsid
    [54,366,541,208,294,208,366,366,339,339,181,53,53,208,181,181,363,353], // setsockopt
    [164,79,164,170,79,170,79,79,79,79,79,159,159,170,79,79,79,79], // settimeofday
    [105,23,105,146,23,146,213,23,23,23,23,103,103,146,23,23,23,23], // setuid
    [ABSENT,213,ABSENT,ABSENT,213,ABSENT,ABSENT,213,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,213,213], // setuid32
    [188,226,188,5,226,5,224,224,209,209,224,180,180,5,238,238,223,226], // setxattr
    [463,463,463,463,463,463,463,463,463,463,463,463,463,463,463,463,463,463], // setxattrat
    [ABSENT,68,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,68,68,68,ABSENT,ABSENT,ABSENT,68,68,68,68], // sgetmask
    [30,397,30,196,305,196,397,397,397,397,397,29,29,196,192,192,397,397], // shmat
    [31,396,31,195,308,195,396,396,396,396,396,30,30,195,195,195,396,396], // shmctl
    [67,398,67,197,306,197,398,398,398,398,398,65,65,197,193,193,398,398], // shmdt
    [29,395,29,194,307,194,395,395,395,395,395,28,28,194,194,194,395,395], // shmget
    [48,373,48,210,293,210,373,373,338,338,182,47,47,210,117,117,370,352], // shutdown
    [ABSENT,67,ABSENT,ABSENT,67,ABSENT,67,67,67,67,67,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,67,67], // sigaction
    [131,186,525,132,186,132,186,186,185,185,206,129,129,132,166,166,186,186], // sigaltstack
    [ABSENT,48,ABSENT,ABSENT,ABSENT,ABSENT,48,48,48,48,48,ABSENT,ABSENT,ABSENT,48,48,48,48], // signal
    [282,321,282,ABSENT,349,ABSENT,316,316,305,305,317,276,280,ABSENT,302,302,317,321], // signalfd
    [289,327,289,74,355,74,322,322,313,313,324,283,287,74,309,309,323,327], // signalfd4
    [ABSENT,73,ABSENT,ABSENT,73,ABSENT,73,73,73,73,73,ABSENT,ABSENT,ABSENT,73,73,73,73], // sigpending
    [ABSENT,126,ABSENT,ABSENT,126,ABSENT,126,126,126,126,126,ABSENT,ABSENT,ABSENT,126,126,126,126], // sigprocmask
    [ABSENT,119,ABSENT,ABSENT,119,ABSENT,119,119,119,119,119,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,119,119], // sigreturn
    [ABSENT,72,ABSENT,ABSENT,72,ABSENT,72,72,72,72,72,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,72,72], // sigsuspend
    [41,359,41,198,281,198,359,359,326,326,183,40,40,198,17,17,356,340], // socket
    [ABSENT,102,ABSENT,ABSENT,ABSENT,ABSENT,102,102,102,102,102,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,102,102], // socketcall
    [53,360,53,199,288,199,360,360,333,333,184,52,52,199,56,56,357,347], // socketpair
    [275,313,275,76,340,76,306,306,283,283,304,263,267,76,291,291,306,313], // splice
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,279,279,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // spu_create
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,278,278,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // spu_run
    [ABSENT,69,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,69,69,69,ABSENT,ABSENT,ABSENT,69,69,69,69], // ssetmask
    [4,106,4,ABSENT,106,ABSENT,106,106,106,106,106,4,4,ABSENT,18,18,106,106], // stat
    [ABSENT,195,ABSENT,ABSENT,195,ABSENT,ABSENT,195,ABSENT,195,213,ABSENT,ABSENT,ABSENT,101,101,195,195], // stat64
    [137,99,137,43,99,43,99,99,99,99,99,134,134,43,99,99,99,99], // statfs
    [ABSENT,268,ABSENT,ABSENT,266,ABSENT,265,265,252,252,255,ABSENT,217,ABSENT,298,298,263,268], // statfs64
    [457,457,457,457,457,457,457,457,457,457,457,457,457,457,457,457,457,457], // statmount
    [332,383,332,291,397,291,379,379,383,383,366,326,330,291,349,349,379,383], // statx
    [ABSENT,25,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,25,25,25,25,ABSENT,ABSENT,ABSENT,25,25,25,25], // stime
    [ABSENT,31,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,31,31,31,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // stty
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,310,310,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // subpage_prot
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,249,249,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // swapcontext
    [168,115,168,225,115,225,115,115,115,115,115,163,163,225,115,115,115,115], // swapoff
    [167,87,167,224,87,224,87,87,87,87,87,162,162,224,87,87,87,87], // swapon
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,363,363,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // switch_endian
    [88,83,88,ABSENT,83,ABSENT,83,83,83,83,83,86,86,ABSENT,83,83,83,83], // symlink
    [266,304,266,36,331,36,297,297,295,295,297,256,260,36,284,284,297,304], // symlinkat
    [162,36,162,81,36,81,36,36,36,36,36,157,157,81,36,36,36,36], // sync
    [277,314,277,84,ABSENT,84,307,307,ABSENT,ABSENT,305,264,268,84,292,292,307,314], // sync_file_range
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,308,308,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,388], // sync_file_range2
    [306,344,306,267,373,267,338,338,348,348,342,301,306,267,327,327,343,362], // syncfs
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,256,256,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // sys_debug_setcontext
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,0,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // syscall
    [139,135,139,ABSENT,135,ABSENT,135,135,135,135,135,136,136,ABSENT,135,135,135,135], // sysfs
    [99,116,99,179,116,179,116,116,116,116,116,97,97,179,116,116,116,116], // sysinfo
    [103,103,103,116,103,116,103,103,103,103,103,101,101,116,103,103,103,103], // syslog
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,149,199,199,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // sysmips
    [276,315,276,77,342,77,308,308,284,284,306,265,269,77,293,293,308,315], // tee
    [234,270,234,131,268,131,241,241,250,250,266,225,229,131,259,259,265,270], // tgkill
    [201,13,201,ABSENT,ABSENT,ABSENT,ABSENT,13,13,13,13,ABSENT,ABSENT,ABSENT,13,13,13,13], // time
    [222,259,526,107,257,107,254,254,240,240,257,216,220,107,250,250,254,259], // timer_create
    [226,263,226,111,261,111,258,258,244,244,261,220,224,111,254,254,258,263], // timer_delete
    [225,262,225,109,260,109,257,257,243,243,260,219,223,109,253,253,257,262], // timer_getoverrun
    [224,261,224,108,259,108,256,256,242,242,259,218,222,108,252,252,256,261], // timer_gettime
    [ABSENT,408,ABSENT,ABSENT,408,ABSENT,ABSENT,408,ABSENT,408,408,ABSENT,408,ABSENT,408,ABSENT,408,408], // timer_gettime64
    [223,260,223,110,258,110,255,255,241,241,258,217,221,110,251,251,255,260], // timer_settime
    [ABSENT,409,ABSENT,ABSENT,409,ABSENT,ABSENT,409,ABSENT,409,409,ABSENT,409,ABSENT,409,ABSENT,409,409], // timer_settime64
    [ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,317,317,ABSENT,ABSENT,318,277,281,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // timerfd
    [283,322,283,85,350,85,319,319,306,306,321,280,284,85,306,306,318,322], // timerfd_create
    [287,326,287,87,354,87,321,321,312,312,322,281,285,87,308,308,322,326], // timerfd_gettime
    [ABSENT,410,ABSENT,ABSENT,410,ABSENT,ABSENT,410,ABSENT,410,410,ABSENT,410,ABSENT,410,ABSENT,410,410], // timerfd_gettime64
    [286,325,286,86,353,86,320,320,311,311,323,282,286,86,307,307,321,325], // timerfd_settime
    [ABSENT,411,ABSENT,ABSENT,411,ABSENT,ABSENT,411,ABSENT,411,411,ABSENT,411,ABSENT,411,ABSENT,411,411], // timerfd_settime64
    [100,43,100,153,43,153,43,43,43,43,43,98,98,153,43,43,43,43], // times
    [200,238,200,130,238,130,237,237,208,208,236,192,192,130,208,208,222,238], // tkill
    [76,92,76,45,92,45,92,92,92,92,92,74,74,45,92,92,92,92], // truncate
    [ABSENT,193,ABSENT,ABSENT,193,ABSENT,ABSENT,193,ABSENT,193,211,ABSENT,ABSENT,ABSENT,199,199,193,193], // truncate64
    [184,ABSENT,184,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,225,225,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // tuxcall
    [ABSENT,191,ABSENT,ABSENT,191,ABSENT,ABSENT,191,190,190,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,191,191], // ugetrlimit
    [ABSENT,58,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,58,58,58,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // ulimit
    [95,60,95,166,60,166,60,60,60,60,60,93,93,166,60,60,60,60], // umask
    [ABSENT,22,ABSENT,ABSENT,ABSENT,ABSENT,22,22,22,22,22,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,22,22], // umount
    [166,52,166,39,52,39,52,52,52,52,52,161,161,39,52,52,52,52], // umount2
    [63,122,63,160,122,160,122,122,122,122,122,61,61,160,59,59,122,122], // uname
    [87,10,87,ABSENT,10,ABSENT,10,10,10,10,10,85,85,ABSENT,10,10,10,10], // unlink
    [263,301,263,35,328,35,294,294,292,292,294,253,257,35,281,281,294,301], // unlinkat
    [272,310,272,97,337,97,303,303,282,282,303,262,266,97,288,288,303,310], // unshare
    [336,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // uprobe
    [335,ABSENT,335,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // uretprobe
    [134,86,ABSENT,ABSENT,86,ABSENT,86,86,86,86,86,ABSENT,ABSENT,ABSENT,86,86,86,86], // uselib
    [323,374,323,282,388,282,355,355,364,364,357,317,321,282,344,344,373,377], // userfaultfd
    [ABSENT,ABSENT,ABSENT,ABSENT,61443,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // usr26
    [ABSENT,ABSENT,ABSENT,ABSENT,61444,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // usr32
    [136,62,136,ABSENT,62,ABSENT,62,62,62,62,62,133,133,ABSENT,62,62,62,62], // ustat
    [132,30,132,ABSENT,ABSENT,ABSENT,30,30,30,30,30,130,130,ABSENT,30,30,30,30], // utime
    [280,320,280,88,348,88,315,315,304,304,316,275,279,88,301,301,316,320], // utimensat
    [ABSENT,412,ABSENT,ABSENT,412,ABSENT,ABSENT,412,ABSENT,412,412,ABSENT,412,ABSENT,412,ABSENT,412,412], // utimensat_time64
    [235,271,235,ABSENT,269,ABSENT,313,313,251,251,267,226,230,ABSENT,336,336,266,271], // utimes
    [58,190,58,ABSENT,190,ABSENT,190,190,189,189,ABSENT,ABSENT,ABSENT,ABSENT,113,113,190,190], // vfork
    [153,111,153,58,111,58,111,111,111,111,111,150,150,58,111,111,111,111], // vhangup
    [ABSENT,166,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,113,113,113,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // vm86
    [ABSENT,113,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // vm86old
    [278,316,532,75,343,75,309,309,285,285,307,266,270,75,294,294,309,316], // vmsplice
    [236,273,ABSENT,ABSENT,313,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,277,236,240,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT], // vserver
    [61,114,61,260,114,260,114,114,114,114,114,59,59,260,114,114,114,114], // wait4
    [247,284,529,95,280,95,281,281,272,272,278,237,241,95,235,235,277,284], // waitid
    [ABSENT,7,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,ABSENT,7,7,7,ABSENT,ABSENT,ABSENT,7,7,7,7], // waitpid
    [1,4,1,64,4,64,4,4,4,4,4,1,1,64,4,4,4,4], // write
    [20,146,516,66,146,66,146,146,146,146,146,19,19,66,146,146,146,146], // writev
];
