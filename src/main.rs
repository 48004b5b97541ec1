//! argv -> cli -> one command -> exit code: the only place that prints an error or exits.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use dunnage::cli::{self, Parsed, Refusal};
use dunnage::error::Error;
use dunnage::log;

fn main() -> ExitCode {
    run(std::env::args_os().collect()).into()
}

fn run(argv: Vec<OsString>) -> u8 {
    let Parsed { global, command } = cli::parse(argv);
    if let Err(e) = global.open_log() {
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
    std::io::stdout().write_all(refusal.stdout.as_bytes()).ok();
    fail(&refusal.error, refusal.code)
}

fn fail(e: &Error, code: u8) -> u8 {
    log::fatal(e);
    code
}
