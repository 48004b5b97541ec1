//! argv -> cli -> one command -> exit code: the only place that prints an error or exits.

#![cfg_attr(not(test), no_main)]

use std::ffi::{OsString, c_char};
use std::io::Write;

use dunnage::cli::{self, Parsed, Refusal};
use dunnage::error::Error;
use dunnage::log;
use dunnage::sys::start;

/// musl's own asks the kernel at almost every growth and release: 60 system calls in a `run`.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// The C library's entry, not Rust's: see [`start`] for what that saves.
///
/// SAFETY of the attribute: no other `main` is in the program.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main(count: i32, arguments: *const *const c_char) -> i32 {
    start::prepare();
    run(start::arguments(count, arguments)).into()
}

fn run(argv: Vec<OsString>) -> u8 {
    let Parsed { global, alone, command } = cli::parse(argv);
    if !alone && let Err(e) = global.prepare() {
        return fail(&e, 1);
    }
    match command {
        Ok(command) => match command.run(&global) {
            Ok(code) => {
                log::flush();
                code
            }
            Err(e) => fail(&e, command.failure_code()),
        },
        Err(refusal) => refuse(&refusal),
    }
}

/// A caller that closed its end of stdout or stderr still gets the exit code.
fn refuse(refusal: &Refusal) -> u8 {
    std::io::stderr().write_all(refusal.stderr.as_bytes()).ok();
    let mut stdout = std::io::stdout();
    stdout.write_all(refusal.stdout.as_bytes()).and_then(|()| stdout.flush()).ok();
    fail(&refusal.error, refusal.code)
}

fn fail(e: &Error, code: u8) -> u8 {
    log::fatal(e);
    code
}
