//! `dunnage-init`: the child's half of every create, run and exec.
//!
//! It is embedded in the runtime, started from a sealed private memfd in the container's namespaces, and does the steps of
//! a plan one after the other. It takes no decision about the user's config: those are in the plan. It has no allocator,
//! no C library and no dependency besides the step types.
//!
//! `dunnage-init SYNC PLAN LENGTH`: the descriptors of the sync socket and of the plan, and the plan's length.
//!
//! Reading order: [`run`] (the loop and the table of verbs), then the file of the verb: [`namespaces`], [`root`],
//! [`mounts`], [`nodes`], [`process`], [`landlock`], [`console`], [`hook`], [`program`].
#![no_std]
#![no_main]

mod console;
mod copy_up;
mod hook;
mod landlock;
mod memory;
mod mounts;
mod namespaces;
mod nodes;
mod path;
#[cfg(clippy)]
#[expect(dead_code, reason = "not called")]
mod planted;
mod process;
mod program;
mod root;
mod run;
mod sys;
mod talk;
mod text;
mod trace;

/// Entry: the kernel leaves argc, argv and envp on the stack.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    core::arch::naked_asm!("xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {}", "ud2", sym start)
}

/// Entry, as above.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    core::arch::naked_asm!("mov x29, #0", "mov x0, sp", "bl {}", "brk #1", sym start)
}

extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: `stack` is the kernel's initial stack: a count, and as many pointers to strings that live as long as we do.
    let argc = unsafe { *stack };
    let argv = stack.wrapping_add(1).cast::<*const core::ffi::c_char>();
    // SAFETY: see above; argv begins one word after the count.
    let argv = unsafe { core::slice::from_raw_parts(argv, argc) };
    let number = |i: usize| {
        let p = argv.get(i).copied().filter(|p| !p.is_null())?;
        // SAFETY: the kernel ends every argument with a NUL.
        unsafe { core::ffi::CStr::from_ptr(p) }.to_str().ok()?.parse::<i32>().ok()
    };
    match (number(1), number(2), number(3).and_then(|n| usize::try_from(n).ok())) {
        (Some(sync), Some(plan), Some(len)) => run::run(sync, plan, len),
        _ => {
            let _ = sys::write(2, b"dunnage-init is started by dunnage alone\n");
            sys::exit(255)
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    let _ = sys::write(2, b"dunnage-init: internal error\n");
    sys::exit(255)
}
