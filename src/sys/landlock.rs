//! Landlock, as far as the runtime itself calls it: it asks, and restricts nothing.

/// The version of the kernel's Landlock (landlock(7)); 0 if there is none.
pub fn abi() -> u32 {
    const LANDLOCK_CREATE_RULESET_VERSION: libc::c_long = 1;
    let nothing: libc::c_long = 0;
    // SAFETY: with this flag the address and the size have to be 0, and the call makes nothing: it returns a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, nothing, LANDLOCK_CREATE_RULESET_VERSION) };
    u32::try_from(version).unwrap_or(0)
}
