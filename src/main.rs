//! argv -> cli -> one command -> exit code: the only place that prints an error or exits.

#![cfg_attr(not(test), no_main)]

use std::ffi::OsString;
use std::io::Write;

use dunnage::cli::{self, Parsed, Refusal};
use dunnage::error::Error;
use dunnage::log;
use dunnage::sys::start;

/// The C library's entry, not Rust's: see [`start`] for what that saves. std takes argv from the C library by itself.
///
/// SAFETY of the attribute: no other `main` is in the program.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main() -> i32 {
    start::prepare();
    run(std::env::args_os().collect()).into()
}

fn run(argv: Vec<OsString>) -> u8 {
    let Parsed { global, command } = cli::parse(argv);
    if let Err(e) = global.prepare() {
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
