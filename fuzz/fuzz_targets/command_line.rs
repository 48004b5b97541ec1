//! Any lines as the arguments of a command line: understood, or refused in one line. No command is run.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use dunnage::cli;
use dunnage_fuzz::one_line;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let arguments = bytes.split(|b| *b == b'\n').map(|argument| OsString::from_vec(argument.to_vec()));
    let parsed = cli::parse([OsString::from("dunnage")].into_iter().chain(arguments).collect());
    match parsed.command {
        Ok(command) => assert!([1, 255].contains(&command.failure_code())),
        Err(refusal) => one_line(refusal.error),
    }
});
