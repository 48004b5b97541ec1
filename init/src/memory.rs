//! The four functions that the compiler itself calls to move memory, which a C library would bring.

/// Copies; the regions do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller promises `n` readable bytes at `from` and as many writable ones at `to`.
    unsafe {
        core::arch::asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let mut i = 0;
        while i < n {
            // SAFETY: `n` readable bytes at `from`. Volatile, or the compiler would turn the loop into a call of this function.
            let byte = unsafe { from.wrapping_add(i).read_volatile() };
            // SAFETY: as many writable ones at `to`.
            unsafe { to.wrapping_add(i).write_volatile(byte) };
            i = i.wrapping_add(1);
        }
    }
    to
}

/// Copies; the regions may overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= n {
        // SAFETY: going forward, no byte is overwritten before it is read: `to` lies before `from`, or behind its end.
        return unsafe { memcpy(to, from, n) };
    }
    let mut i = n;
    while i > 0 {
        i = i.wrapping_sub(1);
        let (to, from) = (to.wrapping_add(i), from.wrapping_add(i));
        // SAFETY: the caller promises `n` readable bytes at `from`.
        let byte = unsafe { from.read_volatile() };
        // SAFETY: and as many writable ones at `to`.
        unsafe { to.write_volatile(byte) };
    }
    to
}

/// Fills with one byte.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller promises `n` writable bytes at `to`.
    unsafe {
        core::arch::asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte as u8, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let mut i = 0;
        while i < n {
            // SAFETY: as above; volatile for the same reason as in memcpy.
            unsafe { to.wrapping_add(i).write_volatile(byte as u8) };
            i = i.wrapping_add(1);
        }
    }
    to
}

/// Compares.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    let mut i = 0;
    while i < n {
        // SAFETY: the caller promises `n` readable bytes at `a`.
        let x = unsafe { a.wrapping_add(i).read_volatile() };
        // SAFETY: and at `b`.
        let y = unsafe { b.wrapping_add(i).read_volatile() };
        if x != y {
            return i32::from(x).wrapping_sub(i32::from(y));
        }
        i = i.wrapping_add(1);
    }
    0
}

/// Equal or not, which is all that slices ask.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memcmp(a, b, n) }
}

/// The length of a string, for `CStr`.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(s: *const u8) -> usize {
    let mut n = 0;
    // SAFETY: the caller promises a NUL at the end, and no byte behind it is read.
    while unsafe { s.wrapping_add(n).read_volatile() } != 0 {
        n = n.wrapping_add(1);
    }
    n
}
