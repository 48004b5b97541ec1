//! argv -> a mode of the shim -> exit code: the only place that prints an error or exits.

#![cfg_attr(not(test), no_main)]

use std::ffi::{OsString, c_char};
use std::io::Write;

use dunnage::error::{Error, Result};
use dunnage::sys::start;
use dunnage_shim::args::{Args, USAGE};
use dunnage_shim::{manager, server};

/// musl's own asks the kernel at almost every growth and release.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// The C library's entry, not Rust's: see [`start`] for what that saves.
///
/// SAFETY of the attribute: no other `main` is in the program.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main(count: i32, arguments: *const *const c_char) -> i32 {
    start::prepare();
    run(start::arguments(count, arguments))
}

fn run(argv: Vec<OsString>) -> i32 {
    let mut words = argv.into_iter();
    let argv0 = words.next().unwrap_or_default();
    let args = match Args::parse(words) {
        Ok(args) => args,
        Err(complaint) => {
            let usage = format!("{}\nUsage of {}:\n{USAGE}", Error::new(complaint), argv0.display());
            std::io::stderr().write_all(usage.as_bytes()).ok();
            return 2;
        }
    };
    match mode(&argv0, &args) {
        Ok(()) => 0,
        Err(e) => {
            std::io::stderr().write_all(format!("{}: {e}\n", argv0.display()).as_bytes()).ok();
            1
        }
    }
}

fn mode(argv0: &std::ffi::OsStr, args: &Args) -> Result<()> {
    if args.version {
        return manager::info::version(argv0);
    }
    if args.info {
        return manager::info::info();
    }
    match args.action.as_str() {
        "upgrade" => return manager::upgrade::run(args),
        "read-table" => return server::upgrade::read_table(),
        _ => {}
    }
    if args.namespace.is_empty() {
        return Err(Error::new("shim namespace cannot be empty"));
    }
    match args.action.as_str() {
        "start" => manager::start::run(args),
        "delete" => manager::delete::run(args),
        _ => server::run(args),
    }
}
