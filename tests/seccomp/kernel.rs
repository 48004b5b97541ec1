//! The kernel's verifier takes every program, and takes it fast.

use std::io::Write;
use std::process::{Command, Stdio};

use dunnage::seccomp::{SockFilter, arch, compile};
use serde_json::json;

use crate::against_libseccomp::{Random, profile};
use crate::real_profile::{CAPS, profile as real_profile};

/// The kernel's answers: errno, microseconds.
fn load(programs: &[Vec<SockFilter>]) -> Vec<(i64, f64)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seccomp/load.py");
    let mut command = Command::new("python3");
    let mut child =
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("install the package python3");
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = programs
        .iter()
        .map(|p| format!("{}\n", json!(p.iter().map(|i| (i.code, i.jt, i.jf, i.k)).collect::<Vec<_>>())))
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn kernel_takes_every_program() {
    let native = arch::native().unwrap();
    let names: Vec<&str> = arch::Call::all().map(arch::Call::name).collect();
    let mut random = Random(7);
    let families: [&[&str]; 3] = [&["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], &["SCMP_ARCH_AARCH64"], &[]];
    let mut programs: Vec<_> = (0..150)
        .map(|i| compile(&profile(&mut random, &names, families[i % 3]), native, 0).unwrap().unwrap().filter)
        .collect();
    programs.extend(vec![compile(&real_profile(&CAPS), native, 0).unwrap().unwrap().filter; 21]);
    let answers = load(&programs);
    assert_eq!(answers.len(), programs.len());
    let refused: Vec<_> = answers.iter().zip(&programs).filter(|((errno, _), _)| *errno != 0).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let mut times: Vec<f64> = answers[150..].iter().map(|a| a.1).collect();
    times.sort_by(f64::total_cmp);
    println!("{} instructions are installed in {:.0} us", programs[150].len(), times[10]);
}
