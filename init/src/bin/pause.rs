//! `pause`: the first process of a pod whose sandbox the shim makes itself. It holds the pod's namespaces, and in a pid namespace that the
//! pod's containers share, orphans end without becoming zombies. SIGTERM or SIGINT end it.
//!
//! It is a program of its own, so that nothing of the runtime's lies in a file that a container could reach.
#![no_std]
#![no_main]

use core::arch::{asm, naked_asm};

/// Numbers of system calls.
#[cfg(target_arch = "x86_64")]
mod nr {
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const EXIT_GROUP: usize = 231;
}

/// As above.
#[cfg(target_arch = "aarch64")]
mod nr {
    pub const RT_SIGACTION: usize = 134;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const EXIT_GROUP: usize = 94;
}

const SIGINT: usize = 2;
const SIGTERM: usize = 15;
const SIGCHLD: usize = 17;
const SIG_BLOCK: usize = 0;
const SIG_IGN: usize = 1;
/// Bytes of the kernel's signal set.
const SIGSET: usize = 8;

#[cfg(target_arch = "x86_64")]
fn syscall(number: usize, [a, b, c, d]: [usize; 4]) -> isize {
    let result;
    // SAFETY: none of the calls of this program writes to memory, and what they read lives until they return.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
             lateout("rcx") _, lateout("r11") _, options(nostack))
    }
    result
}

#[cfg(target_arch = "aarch64")]
fn syscall(number: usize, [a, b, c, d]: [usize; 4]) -> isize {
    let result;
    // SAFETY: none of the calls of this program writes to memory, and what they read lives until they return.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c, in("x3") d, options(nostack))
    }
    result
}

#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "and rsp, -16", "call {}", "ud2", sym start)
}

#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!("mov x29, #0", "bl {}", "brk #1", sym start)
}

extern "C" fn start() -> ! {
    // struct sigaction of the kernel: the handler, flags, restorer, mask.
    let ignored = [SIG_IGN, 0, 0, 0];
    // The kernel reaps for a parent that ignores this signal.
    syscall(nr::RT_SIGACTION, [SIGCHLD, ignored.as_ptr().expose_provenance(), 0, SIGSET]);
    let ends = 1u64 << (SIGINT - 1) | 1 << (SIGTERM - 1);
    let set = (&raw const ends).expose_provenance();
    // What is blocked is kept even for the first process of a namespace, which the kernel spares other signals without a handler.
    syscall(nr::RT_SIGPROCMASK, [SIG_BLOCK, set, 0, SIGSET]);
    // EINTR: stopped and continued.
    while syscall(nr::RT_SIGTIMEDWAIT, [set, 0, 0, SIGSET]) <= 0 {}
    exit(0)
}

fn exit(status: usize) -> ! {
    loop {
        syscall(nr::EXIT_GROUP, [status, 0, 0, 0]);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(255)
}
